//! What the tests of this binary share: a gateway with a mailbox on a Dovecot.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::common::dovecot::{Dovecot, DovecotSetup};
use crate::common::temporary;
use crate::harness::{Gateway, Setup, wait_for};

/// The folders of an outbox that is not named otherwise.
pub const OUTBOX: &str = "SDK att skicka";
pub const SENT: &str = "SDK skickat";
pub const FAILED: &str = "SDK ej skickat";

/// A text that a configuration may keep for ever.
pub fn kept(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// A Dovecot with the mailbox of a gateway of this name, and its outbox folders.
pub fn dovecot(name: &str, more: &str) -> Option<Dovecot> {
    let user = format!("inkorg@{name}.se");
    let dovecot = Dovecot::start(&DovecotSetup { more: more.to_owned(), ..DovecotSetup::of(&[&user]) })?;
    dovecot.make_folder(&user, OUTBOX);
    Some(dovecot)
}

/// The lines of `[organisation.mailbox.imap]` for a Dovecot, by TLS.
pub fn account(dovecot: &Dovecot) -> String {
    let dir = kept(tempfile::tempdir().unwrap().keep().display().to_string());
    let password = temporary(dir, "password", "password\n");
    std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let ca = temporary(dir, "ca.pem", dovecot.ca.certificate().to_pem());
    format!(
        "[organisation.mailbox.imap]\nhost = \"localhost\"\nport = {}\nca = [\"{}\"]\npassword-file = \"{}\"\ntimeout = \"20s\"\n",
        dovecot.imaps.port(),
        ca.display(),
        password.display()
    )
}

/// A gateway whose mailbox is sent from an outbox folder; `outbox` has more lines of its section.
pub async fn gateway(name: &str, dovecot: &Dovecot, outbox: &str) -> Gateway {
    let mailbox = kept(format!("{}[organisation.mailbox.imap.outbox]\n{outbox}\n", account(dovecot)));
    Gateway::start(Setup { mailbox, ..Setup::new(name) }).await
}

/// A mail as a person writes it.
pub fn mail(from: &str, to: &str, subject: &str) -> String {
    format!(
        "From: Anna Ek <{from}>\r\nTo: {to}\r\nSubject: {subject}\r\nDate: Mon, 05 Jan 2026 10:00:00 +0100\r\n\
         Message-ID: <{subject}@example.se>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHej hopp\r\n"
    )
}

/// Waits until a folder has so many mails, and gives them.
pub async fn mails(dovecot: &Dovecot, user: &str, folder: &str, number: usize) -> Vec<String> {
    let what = format!("{number} mails in {folder} of {user}");
    wait_for(&what, || async { Some(dovecot.mails(user, folder)).filter(|mails| mails.len() == number) }).await
}

#[test]
fn a_dovecot_of_its_own_takes_mail_by_lmtp_and_shows_it_by_imap() {
    let Some(mut dovecot) = Dovecot::start(&DovecotSetup::of(&["inkorg@a.se"])) else { return };
    let talk = |address, lines: &[&str]| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(lines.join("\r\n").as_bytes()).unwrap();
        BufReader::new(stream).lines().map_while(Result::ok).collect::<Vec<_>>().join("\n")
    };
    let dialogue = ["LHLO a", "MAIL FROM:<>", "RCPT TO:<inkorg@a.se>", "RCPT TO:<okand@a.se>", "DATA", "Subject: hej", "", "hej", ".", "QUIT", ""];
    let said = talk(dovecot.lmtp, &dialogue);
    assert!(said.contains("250 2.0.0 <inkorg@a.se>") && said.contains("\n550 5.1.1 <okand@a.se>"), "{said}\n{}", dovecot.log());
    let [mail] = &dovecot.mails("inkorg@a.se", "INBOX")[..] else { panic!("one mail") };
    assert!(mail.contains("\r\nSubject: hej\r\n\r\nhej\r\n"), "{mail}");
    dovecot.make_folder("inkorg@a.se", "SDK/Ut");
    dovecot.put("inkorg@a.se", "SDK/Ut", "Subject: ut\r\n\r\n");
    dovecot.halt();
    dovecot.go_on();
    let look = ["a LOGIN inkorg@a.se password", "b STATUS INBOX (MESSAGES)", "c STATUS SDK/Ut (MESSAGES)", "d LOGOUT", ""];
    let said = talk(dovecot.imap, &look);
    assert!(said.contains("* STATUS INBOX (MESSAGES 1)") && said.contains("* STATUS SDK/Ut (MESSAGES 1)"), "{said}\n{}", dovecot.log());
}
