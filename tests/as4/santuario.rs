//! Apache Santuario as judge: it opens what we write and writes what we open, and shares no code with us
//! (`peers/Santuario.java`).

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use base64::prelude::*;
use brevbro::as4::receive::Options;
use brevbro::as4::{Code, EbmsError, error, pmode};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::Value;

use crate::common::{has, skip};
use crate::exchange::{BOUNDARY, opened, own_pmode, packaged, receipt_for, receiver, sender, signal_id};
use crate::foreign::{self, C14n, EXC, Foreign, Part, transport};

const LIBRARY: &str = "/usr/share/java/xmlsec.jar";
/// Beside it: what it logs with, and the codecs.
const OTHERS: &str = ":/usr/share/java/slf4j-api.jar:/usr/share/java/slf4j-nop.jar:/usr/share/java/commons-codec.jar";
const PAYLOAD: &[u8] = b"<XHE>Pr\xc3\xb6v</XHE>";

/// Santuario on a folder, with the key of one end and the certificate of the other as PEM files.
struct Judge {
    dir: tempfile::TempDir,
}

impl Judge {
    /// None, with a printed reason, where Java or the library is absent.
    fn new() -> Option<Self> {
        if !has("javac") {
            return None;
        }
        if !Path::new(LIBRARY).is_file() {
            skip(&format!("{LIBRARY} is absent; `make test` installs it"));
            return None;
        }
        let judge = Self { dir: tempfile::tempdir().unwrap() };
        for (name, identity) in [("sender", sender()), ("receiver", receiver())] {
            let key = BASE64_STANDARD.encode(identity.key.to_pkcs8().unwrap());
            let pem = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n{}", identity.certificate.to_pem());
            fs::write(judge.dir.path().join(name), pem).unwrap();
        }
        Some(judge)
    }

    fn write(&self, name: &str, octets: &[u8]) {
        fs::write(self.dir.path().join(name), octets).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.dir.path().join(name)).unwrap()
    }

    fn run(&self, words: &[&str]) -> Result<Value, String> {
        let path = |word: &str| self.dir.path().join(word).display().to_string();
        let file = |word: &&str| if ["sender", "receiver"].contains(word) { path(word) } else { (*word).to_owned() };
        let line = [words[0].to_owned(), path("")].into_iter().chain(words[1..].iter().map(file)).collect::<Vec<_>>().join("\t");
        let answer = program().lock().unwrap_or_else(std::sync::PoisonError::into_inner).ask(&line);
        let report: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error} in {answer:?}"));
        report["error"].as_str().map_or(Ok(report.clone()), |error| Err(error.to_owned()))
    }

    /// Opens the SOAP part and the parts with these Content-IDs.
    fn open(&self, soap: &[u8], parts: &[(&str, &[u8])], key: &str, certificate: &str) -> Result<Value, String> {
        self.write("soap.xml", soap);
        for (number, (_, octets)) in parts.iter().enumerate() {
            self.write(&format!("part-{number}"), octets);
        }
        let cids = parts.iter().map(|(cid, _)| *cid);
        self.run(&["open", key, certificate].into_iter().chain(cids).collect::<Vec<_>>())
    }
}

/// The program itself, which is slow to start: one for all tests. It ends with its input, when the tests end.
struct Program {
    _child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer
    }
}

fn program() -> &'static Mutex<Program> {
    static PROGRAM: OnceLock<Mutex<Program>> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut command = Command::new("java");
        command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]).arg(format!("{LIBRARY}{OTHERS}"));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/Santuario.java"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Mutex::new(Program { _child: child, input, output })
    })
}

/// The bodies of a package whose delimiters and headers end in CRLF, as we and the foreign writer write it.
fn bodies(body: &[u8], boundary: &str) -> Vec<Vec<u8>> {
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    let whole = [b"\r\n", body].concat();
    let starts: Vec<usize> = whole.windows(delimiter.len()).enumerate().filter(|(_, w)| *w == delimiter).map(|(at, _)| at).collect();
    starts
        .windows(2)
        .map(|pair| {
            let part = &whole[pair[0]..pair[1]];
            let head = part.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
            part[head..].to_vec()
        })
        .collect()
}

fn unpacked(gzip: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(gzip), &mut out).unwrap();
    out
}

fn all_hold(report: &Value, references: usize) {
    assert_eq!(report["valid"], true, "{report}");
    let found = report["references"].as_object().unwrap();
    assert!(found.len() == references && found.values().all(|holds| holds == true), "{report}");
}

#[test]
fn santuario_decrypts_and_verifies_what_we_write() {
    let Some(judge) = Judge::new() else { return };
    let (body, sent) = packaged(PAYLOAD);
    let parts = bodies(&body, BOUNDARY);
    let report = judge.open(&parts[0], &[("message", &parts[1])], "receiver", "sender").unwrap();
    all_hold(&report, 3);
    assert_eq!(unpacked(&judge.read("plain-0")), PAYLOAD);

    // It can say no: another signer, a changed header, a changed attachment, another key.
    let refused = judge.open(&parts[0], &[("message", &parts[1])], "receiver", "receiver").unwrap();
    assert_eq!(refused["valid"], false, "{refused}");
    let changed = String::from_utf8(parts[0].clone()).unwrap().replace("0203:habo.se", "0203:evil.se");
    let refused = judge.open(changed.as_bytes(), &[("message", &parts[1])], "receiver", "sender").unwrap();
    assert!(refused["references"].as_object().unwrap().values().any(|holds| holds == false), "{refused}");
    let mut other = parts[1].clone();
    other[20] ^= 1;
    assert!(judge.open(&parts[0], &[("message", &other)], "receiver", "sender").is_err());
    assert!(judge.open(&parts[0], &[("message", &parts[1])], "sender", "sender").is_err());

    // Receipt and error too.
    let (received, _) = opened(&body, &sent).unwrap();
    let error = error::write(&[EbmsError::not_serviced()], Some(&sent.message_id), &signal_id(), Timestamp::now(), receiver()).unwrap();
    for signal in [receipt_for(&received), error] {
        all_hold(&judge.open(&signal, &[], "sender", "receiver").unwrap(), 2);
    }
}

/// The foreign writer's own forms hold for a third program, so that what it makes us read is what they mean.
#[test]
fn santuario_reads_the_forms_that_the_foreign_writer_writes() {
    let Some(judge) = Judge::new() else { return };
    let digest = brevbro::crypto::Digest::Sha256;
    let forms = [
        Foreign::new(),
        Foreign {
            transport: transport("http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p", Some(digest), None, ""),
            oaep: (digest, brevbro::crypto::Digest::Sha1, Vec::new()),
            signed_info: C14n(EXC, Some("#default env")),
            line_break: "&#xd;\n",
            ..Foreign::new()
        },
        Foreign {
            cipher: ("http://www.w3.org/2009/xmlenc11#aes256-gcm", openssl::symm::Cipher::aes_256_gcm()),
            transport: transport("http://www.w3.org/2009/xmlenc11#rsa-oaep", Some(digest), None, ""),
            oaep: (digest, brevbro::crypto::Digest::Sha1, Vec::new()),
            transform: C14n("http://www.w3.org/TR/2001/REC-xml-c14n-20010315", None),
            digest: brevbro::crypto::Digest::Sha512,
            parts: vec![Part::new("one@x", PAYLOAD), Part::new("two@x", b"<two/>")],
            ..Foreign::new()
        },
    ];
    for (number, form) in forms.into_iter().enumerate() {
        let (_, body) = form.written();
        let bodies = bodies(&body, "----=_Part");
        let parts: Vec<(&str, &[u8])> = form.parts.iter().zip(&bodies[1..]).map(|(part, body)| (part.cid.as_str(), body.as_slice())).collect();
        let report = judge.open(&bodies[0], &parts, "receiver", "sender").unwrap_or_else(|error| panic!("form {number}: {error}"));
        all_hold(&report, 2 + parts.len());
        assert_eq!(unpacked(&judge.read("plain-0")), form.parts[0].payload, "form {number}");
        form.is_taken(&format!("form {number}"));
    }
}

#[test]
fn we_take_what_santuario_signs_and_encrypts() {
    let Some(judge) = Judge::new() else { return };
    let (messaging, _) = packaged(PAYLOAD);
    let soap = String::from_utf8(bodies(&messaging, BOUNDARY).remove(0)).unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(PAYLOAD).unwrap();
    judge.write("messaging.xml", crate::common::soap::cut(&soap, "eb:Messaging").as_bytes());
    judge.write("plain-0", &gzip.finish().unwrap());
    let package = |soap: &[u8], part: &[u8]| {
        let head = b"--b\r\nContent-Type: application/soap+xml; charset=UTF-8\r\n\r\n";
        [head, soap, b"\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-ID: <message>\r\n\r\n", part, b"\r\n--b--\r\n"].concat()
    };
    let opened = |body: &[u8]| foreign::opened("multipart/related; boundary=b", body, &Options::default());
    for form in ["token", "identifier", "serial", "thumbprint", "certificate"] {
        judge.run(&["make", "sender", "receiver", form]).unwrap_or_else(|error| panic!("{form}: {error}"));
        let (soap, part) = (judge.read("soap.xml"), judge.read("part-0"));
        let (received, payload) = opened(&package(&soap, &part)).unwrap_or_else(|refusal| panic!("{form}: {refusal}"));
        assert_eq!((payload.as_slice(), received.signer()), (PAYLOAD, Some(&sender().certificate)), "{form}");
        pmode::check(&received, &own_pmode()).unwrap();
        let changed = String::from_utf8(soap.clone()).unwrap().replace("0203:habo.se", "0203:evil.se");
        assert!(opened(&package(changed.as_bytes(), &part)).unwrap_err().error.is(Code::FailedAuthentication), "{form}");
    }
}
