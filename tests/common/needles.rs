//! Looking for secrets where they may not be: in a process's memory, in files, in tables.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};

use base64::prelude::*;

/// A secret, in every form in which it may lie somewhere.
pub struct Needle {
    pub name: &'static str,
    pub forms: Vec<Vec<u8>>,
}

impl Needle {
    /// A text: as it is, in UTF-16, and in base64 whatever comes before it.
    pub fn text(name: &'static str, text: &str) -> Self {
        let mut forms = vec![text.as_bytes().to_vec(), text.encode_utf16().flat_map(u16::to_le_bytes).collect()];
        for before in 0..3 {
            let encoded = BASE64_STANDARD.encode([vec![b' '; before], text.as_bytes().to_vec()].concat());
            // Neither what the octets before nor those behind have a part in.
            forms.push(encoded.as_bytes()[4 * before.min(1)..encoded.len() - 4].to_vec());
        }
        Self { name, forms }
    }

    /// A number of a key: as it is written in files, and as OpenSSL keeps it in memory.
    pub fn number(name: &'static str, number: &[u8]) -> Self {
        Self { name, forms: vec![number.to_vec(), number.iter().rev().copied().collect()] }
    }

    pub fn is_in(&self, octets: &[u8]) -> bool {
        self.forms.iter().any(|form| memchr::memmem::find(octets, form).is_some())
    }
}

/// The names of the needles that are in there.
pub fn found(needles: &[Needle], octets: &[u8]) -> Vec<&'static str> {
    needles.iter().filter(|needle| needle.is_in(octets)).map(|needle| needle.name).collect()
}

/// What a process has in memory that is readable, all of it.
pub fn in_memory(process: u32, needles: &[Needle]) -> Vec<&'static str> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let (mut seen, mut regions) = (Vec::new(), 0);
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        let bound = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let (from, to) = range.split_once('-').map(|(from, to)| (bound(from), bound(to))).unwrap();
        // Not what only the kernel reads.
        if !rest.starts_with('r') || line.ends_with("[vvar]") || line.ends_with("[vsyscall]") || line.ends_with("[vvar_vclock]") {
            continue;
        }
        let mut octets = Vec::new();
        // What was given back since the list was made is gone.
        if memory.seek(SeekFrom::Start(from)).is_ok() && (&memory).take(to - from).read_to_end(&mut octets).is_ok() {
            regions += 1;
        }
        seen.extend(found(needles, &octets));
    }
    assert!(regions > 20, "{regions} regions of process {process} could be read:\n{maps}");
    seen.sort_unstable();
    seen.dedup();
    seen
}

/// With this a gateway does not overwrite what it frees, so that what was in its memory is found there for long.
pub const UNWIPED: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.perturb=0");

/// Whether this process may look into the memory of one that lets nobody of its own user do so; when it may not, the test is
/// skipped.
pub fn may_look() -> bool {
    let may = std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0;
    if !may {
        super::skip("only root may look into the memory of a gateway");
    }
    may
}
