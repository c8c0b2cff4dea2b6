//! `brevbro convert`: what it prints and how it ends.

use std::io::Write;
use std::process::{Command, Output, Stdio};

const MAIL: &str = "From: Anna Ek <anna@habo.se>\nSubject: [dnr KS 2026/7] Remiss\nMIME-Version: 1.0\n\
                    Content-Type: text/html; charset=utf-8\n\n<p>Hej, <b>se bilden</b>: <img src=\"https://habo.se/karta.png\" height=\"400\"></p>\n";

/// Runs `brevbro convert` with a file on standard input.
fn convert(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_brevbro"))
        .arg("convert")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_mail_is_told_as_its_message_with_everything_that_it_lost() {
    let output = convert(&["-"], MAIL);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for part in ["Remiss\n", "dnr KS 2026/7", "(Anna Ek)", "Hej, **se bilden**:", "- [SAKNAS / MISSING] En bild som bara fanns på webben"] {
        assert!(told.contains(part), "{part} in\n{told}");
    }
}

#[test]
fn the_xml_of_a_mail_converts_back_into_a_mail() {
    let output = convert(&["--xml", "-"], MAIL);
    let xml = text(&output.stdout);
    assert!(xml.contains("characterSequence") && text(&output.stderr).contains("MISSING"), "{xml}");
    let mail = convert(&["--in", "-"], &xml);
    let mail_text = text(&mail.stdout);
    assert_eq!(mail.status.code(), Some(0), "{}", text(&mail.stderr));
    assert!(mail_text.contains("Subject: ") && mail_text.contains("<strong>se bilden</strong>"), "{mail_text}");
}

#[test]
fn each_end_has_its_exit_code() {
    let refused = convert(&["-"], "From: a@b.se\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nkapat\n");
    assert_eq!(refused.status.code(), Some(3));
    assert!(text(&refused.stderr).contains("550 5.6.0") && text(&refused.stderr).contains("Mejlet är skadat"), "{}", text(&refused.stderr));
    assert_eq!(convert(&["-"], "From: a@b.se\nAuto-Submitted: auto-replied\n\nx\n").status.code(), Some(3));
    assert_eq!(convert(&["--in", "-"], "<x/>").status.code(), Some(3));
    assert_eq!(convert(&["/finns/inte.eml"], "").status.code(), Some(2));
    assert_eq!(convert(&["--to", "a@b.se", "-"], MAIL).status.code(), Some(2), "an address needs a configuration");
    assert_eq!(convert(&["--config", "/finns/inte.toml", "-"], MAIL).status.code(), Some(2));
}
