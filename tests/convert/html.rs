//! HTML as the mail programs of our users write it, in and below `html/`: what becomes of it, with every note.
//!
//! `BREVBRO_BLESS=1` writes the golden files anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use brevbro::mail::convert::{Outgoing, outgoing};
use brevbro::mail::policy::{History, MailboxPolicy};

use crate::common::golden::Golden;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/convert/html")
}

fn inputs() -> Vec<(String, String)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "html"));
    paths.sort();
    paths.iter().map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap())).collect()
}

/// A PNG of a size, as far as its header goes.
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    bytes.resize(3_000, 7);
    bytes
}

/// A mail with the HTML, a logo (`cid:logo@prov`) and a map (`cid:karta@prov`).
fn mail(subject: &str, html: &str) -> Vec<u8> {
    let image = |id: &str, bytes: &[u8]| {
        let body = base64::engine::general_purpose::STANDARD.encode(bytes);
        format!(
            "--x\r\nContent-Type: image/png; name=\"{id}.png\"\r\nContent-ID: <{id}@prov>\r\nContent-Disposition: inline\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{body}\r\n"
        )
    };
    let images = image("logo", &png(240, 110)) + &image("karta", &png(800, 600));
    let html = base64::engine::general_purpose::STANDARD.encode(html);
    format!(
        "From: Anna <anna@habo.se>\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=x\r\n\r\n\
         --x\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{html}\r\n{images}--x--\r\n"
    )
    .into_bytes()
}

fn account(mail: &Outgoing) -> String {
    let mut out = String::new();
    for file in &mail.files {
        writeln!(out, "file: {}", *file.name).unwrap();
    }
    for note in &mail.notes {
        writeln!(out, "note: {:?} {}", note.loss, *note.swedish).unwrap();
    }
    for text in &mail.texts {
        // A hard break is two spaces, which no editor shows.
        writeln!(out, "----\n{}", text.replace("  \n", "··\n")).unwrap();
    }
    out
}

#[test]
fn html_of_every_program_becomes_what_its_golden_file_says() {
    let mut golden = Golden::default();
    let inputs = inputs();
    assert!(inputs.len() >= 8);
    for (name, html) in inputs {
        let keep = account(&outgoing(&mail("SV: Prov", &html), &MailboxPolicy::default()).unwrap());
        let trim = account(&outgoing(&mail("SV: Prov", &html), &MailboxPolicy { history: History::Cut, ..MailboxPolicy::default() }).unwrap());
        let got = if keep == trim { keep } else { format!("{keep}\n==== history = \"trim\"\n{trim}") };
        let path = folder().join(format!("{name}.expected"));
        golden.hold(&path, &got);
    }
    golden.settle();
}

#[test]
fn a_forwarded_mail_is_never_trimmed() {
    let policy = MailboxPolicy { history: History::Cut, ..MailboxPolicy::default() };
    for (name, html) in inputs() {
        let whole = outgoing(&mail("VB: Prov", &html), &MailboxPolicy::default()).unwrap();
        assert_eq!(outgoing(&mail("VB: Prov", &html), &policy).unwrap().texts, whole.texts, "{name}");
    }
}
