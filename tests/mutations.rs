//! Every parser with damaged input: fixtures and what we write ourselves, changed by numbers that only look random. No
//! panic, and every promise of `mutations/bodies.rs` holds. What fails is kept in `target/mutations/`.
//!
//! `BREVBRO_MUTATIONS=20` runs twenty times as many; `BREVBRO_SEEDS=fuzz/corpus` writes the seeds down for the fuzzer.

#![allow(unreachable_pub, dead_code)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

#[path = "mutations/bodies.rs"]
mod bodies;

#[path = "containers/writer.rs"]
mod writer;

#[path = "mutations/seeds.rs"]
mod seeds;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One parser stops here, however slow the machine.
const TIME: Duration = Duration::from_secs(15);

/// What breaks things in XML, MIME and SMTP.
const WORDS: [&[u8]; 44] = [
    b"<",
    b">",
    b"/>",
    b"&",
    b"&amp;",
    b"&#0;",
    b"&#x10ffff;",
    b"&x;",
    b"\"",
    b"'",
    b"]]>",
    b"<![CDATA[",
    b"<!--",
    b"-->",
    b"<?x?>",
    b"<!DOCTYPE a [<!ENTITY x 'y'>]>",
    b" xmlns=\"\"",
    b" xmlns:x=\"urn:x\"",
    b" xmlns:x=\"\"",
    b" xml:base=\"/x\"",
    b" Id=\"body\"",
    b"x:",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\x00",
    b"\xc3\xa5",
    b"\xf0\x90\x8d\x88",
    b"\xe2\x80\xae",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n.\r\n",
    b"\t",
    b" ",
    b"--",
    b"--\r\n",
    b"=",
    b"=\r\n",
    b"=?utf-8?q?=0d=0a?=",
    b"multipart/mixed; boundary=x",
    b"0",
    b"-1",
    b"99999999999999999999",
];

/// Values that may stand in an element and in a line, so that what comes after well-formedness is reached.
const VALUES: [&str; 20] = [
    "",
    " ",
    "å",
    "\u{202e}\u{feff}\u{200b}",
    "&#13;",
    "&lt;script&gt;&amp;",
    "a\r\n.\r\nX-SDK-Message-Id: b",
    "=?utf-8?q?=0d=0aBcc:?=",
    "# a\n\n* **b** _c_\n  1. `d` [e](javascript:f) <b>g",
    "../../etc/passwd",
    "true",
    "-1",
    "2026-11-21T10:00:00.000Z",
    "9999-12-31T23:59:59.999Z",
    "0000-00-00T24:00:60.000+99:99",
    "0203:habo.se",
    "0007:2021006883",
    "7bc5576a-3f87-4cf5-a0c5-277da06fcacb",
    "text/plain",
    "QQ==",
];

/// Numbers that only look random, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }

    /// A range of at most `longest` octets.
    fn range(&mut self, octets: &[u8], longest: usize) -> std::ops::Range<usize> {
        let from = self.below(octets.len());
        let length = 1 + self.below(longest);
        from..(from + length).min(octets.len())
    }
}

/// The value of some element: what stands between two tags.
fn value(octets: &[u8], at: usize) -> Option<std::ops::Range<usize>> {
    let from = at + octets[at..].iter().position(|octet| *octet == b'>')? + 1;
    let to = from + octets[from..].iter().position(|octet| *octet == b'<')?;
    Some(from..to)
}

/// Some element, from its start tag to the next end tag of its name.
fn element(octets: &[u8], at: usize) -> Option<std::ops::Range<usize>> {
    let from = at + octets[at..].windows(2).position(|pair| pair[0] == b'<' && pair[1].is_ascii_alphabetic())?;
    let name: Vec<u8> = octets[from + 1..].iter().take_while(|octet| !b" />\r\n".contains(octet)).copied().collect();
    let end = [b"</".as_slice(), &name, b">"].concat();
    let to = from + octets[from..].windows(end.len()).position(|window| window == end)? + end.len();
    Some(from..to)
}

/// One change, seldom up to four.
fn mutated(numbers: &mut Numbers, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut octets = seeds[numbers.below(seeds.len())].clone();
    for _ in 0..[1, 1, 2, 4][numbers.below(4)] {
        let at = numbers.below(octets.len() + 1);
        match numbers.below(16) {
            9..=11 => {
                let Some(range) = value(&octets, at) else { continue };
                let word = VALUES[numbers.below(VALUES.len())].repeat([1, 1, 1, 300][numbers.below(4)]);
                drop(octets.splice(range, word.into_bytes()));
            }
            12 => {
                let (Some(range), other) = (value(&octets, at), &seeds[numbers.below(seeds.len())]) else { continue };
                let Some(theirs) = value(other, numbers.below(other.len())) else { continue };
                drop(octets.splice(range, other[theirs].to_vec()));
            }
            13 => drop(element(&octets, at).map(|range| octets.drain(range))),
            14 => {
                let Some(range) = element(&octets, at).filter(|range| range.len() < 5000) else { continue };
                let copy = octets[range.clone()].to_vec();
                drop(octets.splice(range.start..range.start, copy));
            }
            15 => {
                let other = &seeds[numbers.below(seeds.len())];
                let Some(theirs) = element(other, numbers.below(other.len())).filter(|range| range.len() < 5000) else { continue };
                let Some(range) = element(&octets, at) else { continue };
                drop(octets.splice(range, other[theirs].to_vec()));
            }
            0 if !octets.is_empty() => {
                let at = numbers.below(octets.len());
                octets[at] ^= 1 << numbers.below(8);
            }
            1 if !octets.is_empty() => {
                let at = numbers.below(octets.len());
                octets[at] = numbers.below(256) as u8;
            }
            2 => drop(octets.drain(numbers.range(&octets, 40))),
            3 => drop(octets.drain(numbers.range(&octets, 4000))),
            4 => {
                let piece = octets[numbers.range(&octets, 400)].to_vec();
                drop(octets.splice(at..at, piece));
            }
            5 => {
                let other = &seeds[numbers.below(seeds.len())];
                let piece = other[numbers.range(other, 1000)].to_vec();
                drop(octets.splice(at..at, piece));
            }
            6 => octets.truncate(at),
            7 => {
                let word = WORDS[numbers.below(WORDS.len())].repeat(1 + numbers.below(40));
                drop(octets.splice(at..at, word));
            }
            _ => drop(octets.splice(at..at, WORDS[numbers.below(WORDS.len())].iter().copied())),
        }
    }
    octets
}

/// Runs a parser's body; keeps the input of a broken promise.
fn taken(name: &str, body: bodies::Body, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| body(input))).unwrap_or_else(|panic| {
        let folder = root().join("target/mutations");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}-{:.12}", brevbro::crypto::sha256(input).to_string()));
        std::fs::write(&path, input).unwrap();
        println!("{name}: the input is in {}", path.display());
        std::panic::resume_unwind(panic);
    })
}

fn replay(name: &str, count: usize) {
    let (_, body) = bodies::ALL.into_iter().find(|(own, _)| *own == name).unwrap();
    let seeds = seeds::of(name);
    assert!(!seeds.is_empty());
    if let Some(folder) = std::env::var_os("BREVBRO_SEEDS") {
        let folder = root().join(folder).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for seed in &seeds {
            std::fs::write(folder.join(format!("{:.16}", brevbro::crypto::sha256(seed).to_string())), seed).unwrap();
        }
    }
    let whole = seeds.iter().filter(|seed| taken(name, body, seed)).count();
    assert!(whole > 0, "no seed is taken");
    let times: usize = std::env::var("BREVBRO_MUTATIONS").ok().map_or(1, |times| times.parse().unwrap());
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (began, mut tried, mut good) = (Instant::now(), 0, 0);
    for _ in 0..count * times {
        if times == 1 && began.elapsed() > TIME {
            break;
        }
        tried += 1;
        good += usize::from(taken(name, body, &mutated(&mut numbers, &seeds)));
    }
    println!("{name}: {whole} of {} seeds and {good} of {tried} mutations are taken, {:?}", seeds.len(), began.elapsed());
    // Damage that is always seen at once never gets behind the first check.
    assert!(good > 0 && good < tried, "{good} of {tried}");
}

macro_rules! parsers {
    ($($name:ident $count:literal)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name), $count);
        })*

        /// Each parser is replayed, and has a fuzz target.
        #[test]
        fn every_parser_is_replayed_and_fuzzed() {
            let manifest: toml::Table = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap().parse().unwrap();
            let targets: Vec<&str> = manifest["bin"].as_array().unwrap().iter().map(|target| target["name"].as_str().unwrap()).collect();
            let bodies: Vec<&str> = bodies::ALL.iter().map(|(name, _)| *name).collect();
            assert_eq!(bodies, [$(stringify!($name)),*]);
            assert_eq!(bodies, targets);
        }
    };
}

parsers! {
    as4_package 1500
    as4_ebms 2000
    as4_security 1500
    as4_answer 1500
    as4_written 300
    xhe 1000
    sdk_message 4000
    sdk_receipt 5000
    smp 1000
    c14n 1500
    smtp_session 1500
    mail_author 3000
    mail 1500
    tnef 1500
    rtf 1500
    lzfu 1500
    calendar 1500
    mail_thread 3000
    returned 1500
    imap 1500
    certificate 2000
    crl 1000
    ocsp 1000
    sealed 1500
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}
