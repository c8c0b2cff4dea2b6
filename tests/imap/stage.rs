//! What the tests of this binary share.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use crate::common::dovecot::{Dovecot, DovecotSetup};

#[test]
fn a_dovecot_of_its_own_takes_mail_by_lmtp_and_shows_it_by_imap() {
    let Some(mut dovecot) = Dovecot::start(&DovecotSetup::of(&["inkorg@a.se"])) else { return };
    let talk = |address, lines: &[&str]| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        stream.write_all(lines.join("\r\n").as_bytes()).unwrap();
        BufReader::new(stream).lines().map_while(Result::ok).collect::<Vec<_>>().join("\n")
    };
    let said = talk(
        dovecot.lmtp,
        &["LHLO a", "MAIL FROM:<>", "RCPT TO:<inkorg@a.se>", "RCPT TO:<okand@a.se>", "DATA", "Subject: hej", "", "hej", ".", "QUIT", ""],
    );
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
