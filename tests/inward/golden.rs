//! Whole mails, octet for octet, and what Python's reader makes of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use brevbro::crypto::sha256;

use crate::common;
use crate::common::golden::Golden;
use crate::messages;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inward")
}

#[test]
fn messages_become_the_mails_of_the_golden_files() {
    let mut golden = Golden::default();
    for message in messages::all() {
        let mail = messages::mail(&messages::xml(&message));
        assert_eq!(mail, messages::mail(&messages::xml(&message)), "{}: the same message is the same mail", message.name);
        let path = folder().join(format!("{}.eml", message.name));
        golden.hold(&path, std::str::from_utf8(&mail).unwrap());
    }
    golden.settle();
}

#[test]
fn any_mail_server_passes_the_mails_unharmed() {
    for message in messages::all() {
        let mail = messages::mail(&messages::xml(&message));
        assert!(mail.is_ascii(), "{}: no 8BITMIME, no SMTPUTF8", message.name);
        for line in mail.split_inclusive(|octet| *octet == b'\n') {
            assert!(line.ends_with(b"\r\n") && line.len() <= 160, "{}: {}", message.name, String::from_utf8_lossy(line));
            let line = &line[..line.len() - 2];
            assert!(!line.contains(&b'\r') && !line.contains(&0) && !line.ends_with(b" "), "{}", message.name);
            assert!(!line.starts_with(b"."), "{}: stuffing changes nothing", message.name);
        }
    }
}

#[test]
fn a_foreign_reader_finds_every_file_under_its_name_and_the_fixed_shape() {
    if !common::has("python3") {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let messages = messages::all();
    let paths = messages.iter().map(|message| common::temporary(temporary.path(), message.name, messages::mail(&messages::xml(message))));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail/peer.py");
    let output = common::run(Command::new("python3").arg("-I").arg(script).arg("read").args(paths)).unwrap();
    let read: Vec<serde_json::Value> = serde_json::from_slice(&output).unwrap();
    for (message, read) in messages.iter().zip(&read) {
        let name = message.name;
        assert_eq!(read["defects"], serde_json::json!([]), "{name}");
        let shape: Vec<&str> = read["shape"].as_array().unwrap().iter().map(|kind| kind.as_str().unwrap()).collect();
        assert_eq!(shape[..4], ["multipart/mixed", "multipart/alternative", "text/plain", "text/html"], "{name}");
        let files: Vec<_> = {
            let mut documents: Vec<_> = message.content.documents.iter().collect();
            documents.sort_by_key(|document| document.index.as_ref().unwrap().parse::<u32>().unwrap());
            documents.iter().flat_map(|document| &document.files).map(|file| sha256(&file.body).to_string()).collect()
        };
        let got: Vec<&str> = read["files"].as_array().unwrap().iter().map(|file| file["sha256"].as_str().unwrap()).collect();
        assert_eq!(got, files, "{name}: byte for byte, in order");
        assert_eq!(shape.len(), 4 + files.len(), "{name}: a file is one part");
        for kind in &shape[4..] {
            assert!(
                !kind.starts_with("multipart/") && !kind.starts_with("message/") && !kind.contains("tnef") && !kind.contains("pkcs7"),
                "{name}: {kind}"
            );
        }
    }
    let many = read[3]["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        many[..14],
        [
            "Protokoll § 12 – Å, Ä och Ö.docx",
            "Protokoll § 12 – Å, Ä och Ö (2).docx",
            "passwd",
            "kalkyl.xlsx",
            "fakturafdp.exe",
            "brev.eml",
            "smime.p7m",
            "winmail.dat",
            "rapport",
            "aBcc_ x@example.org",
            "=_utf-8_B_w6U=_=.pdf",
            "_citat_ ; x=y.pdf",
            "namnlös",
            "namnlös (2)",
        ]
    );
}

#[test]
fn what_the_mail_cannot_show_is_said_in_it() {
    let message = &messages::all()[3];
    let mail = messages::mail(&messages::xml(message));
    let parsed = mail_parser::MessageParser::default().parse(&mail).unwrap();
    for body in [parsed.body_text(0).unwrap(), parsed.body_html(0).unwrap()] {
        for said in [
            "{urn:example:system}prioritet, {urn:example:system}handlingsplan",
            "2025-11-01 12:00 UTC",
            "fakturafdp.exe",
            "är ett program",
            "w6U=",
            "namnlös (2)",
        ] {
            assert!(body.contains(said), "{said} in {body}");
        }
        // Names that a mail can show as they are need no word.
        assert!(!body.contains("brev.eml") && !body.contains("kalkyl.xlsx\" heter"), "{body}");
    }
}
