//! Two servers must never see two different mails in one stream (CVE-2023-51764, -51765, -51766), on real sockets and
//! however the stream is cut into packets.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::office::Office;

/// What some server has taken for the end of a mail, or might.
const ENDS: &[&str] = &[
    "\n.\n",
    "\n.\r\n",
    "\n.\r",
    "\r\n.\n",
    "\r\n.\r",
    "\r.\r",
    "\r.\r\n",
    "\r.\n",
    "\r\r\n.\r\n",
    "\r\n.\r\r\n",
    "\r\r\n.\r\r\n",
    "\n\r\n.\r\n",
    "\r\n\n.\r\n",
    "\n\n.\r\n",
    "\n\r.\r\n",
    "\0\n.\r\n",
    "\n\0.\r\n",
    "\r\n.\0\n",
    "\r\n\0.\r\0\n",
    "\r\0\n.\r\n",
    "\u{85}.\n",
    "\u{2028}.\n",
    "\u{b}.\n",
];

/// What looks like an end and is text: the mail goes on.
const TEXT: &[&str] = &[
    "\r\n..\r\n",
    "\r\n.\0\r\n",
    "\r\n. \r\n",
    "\r\n .\r\n",
    "\r\n\0.\r\n",
    "\r\n...\r\n",
    "\r\n.x\r\n",
    "\0.\r\n",
    "\u{85}.\r\n",
    "\r\n.\u{200b}\r\n",
];

const EVIL: &str = "MAIL FROM:<boss@habo.test>\r\nRCPT TO:<b@sdk.habo.test>\r\nDATA\r\nSubject: evil\r\n\r\nevil\r\n.\r\n";
const HEAD: &str = "EHLO x\r\nMAIL FROM:<a@habo.test>\r\nRCPT TO:<b@sdk.habo.test>\r\n";

/// Sends the pieces, each as a packet of its own, and hears everything until the server closes.
async fn talk(office: &Office, pieces: &[&[u8]]) -> String {
    let mut tcp = TcpStream::connect(office.address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    for piece in pieces {
        // A server that has heard enough closes.
        if tcp.write_all(piece).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    let mut heard = Vec::new();
    drop(tokio::time::timeout(Duration::from_secs(20), tcp.read_to_end(&mut heard)).await.unwrap());
    String::from_utf8(heard).unwrap()
}

fn last_codes(heard: &str) -> Vec<&str> {
    heard.lines().filter(|line| line.as_bytes().get(3) == Some(&b' ')).map(|line| &line[..3]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_end_but_the_right_one_ends_a_mail_wherever_the_stream_is_cut() {
    let office = Office::open(|_| {}).await;
    for end in ENDS {
        let stream = format!("{HEAD}DATA\r\nSubject: x\r\n\r\ntext{end}{EVIL}QUIT\r\n");
        let at = stream.find("text").unwrap();
        for cut in std::iter::once(0).chain(at + 4..=at + 4 + end.len()) {
            let (first, second) = stream.as_bytes().split_at(cut);
            let heard = talk(&office, &[first, second]).await;
            assert_eq!(last_codes(&heard), ["220", "250", "250", "250", "354", "550"], "{end:?} cut at {cut}: {heard}");
        }
    }
    assert!(office.taken().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn octet_by_octet_one_mail_is_one_mail() {
    let office = Office::open(|_| {}).await;
    for (number, text) in TEXT.iter().enumerate() {
        let stream = format!("{HEAD}DATA\r\nSubject: x\r\n\r\ntext{text}{}.\r\nQUIT\r\n", EVIL.replace("\r\n.\r\n", "\r\n"));
        let octets: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        let heard = talk(&office, &octets).await;
        assert_eq!(last_codes(&heard), ["220", "250", "250", "250", "354", "250", "221"], "{text:?}: {heard}");
        let taken = office.taken();
        assert_eq!(taken.len(), number + 1, "{text:?}");
        let mail = String::from_utf8(taken[number].octets.clone()).unwrap();
        assert!(mail.contains("MAIL FROM:<boss@habo.test>\r\n") && mail.ends_with("evil\r\n"), "{text:?}: all of it is text");
        assert_eq!(taken[number].envelope.sender.address.as_ref().unwrap().as_str(), "a@habo.test");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_end_that_is_none_ends_the_dialogue_in_a_command_too() {
    let office = Office::open(|_| {}).await;
    for stream in [
        "EHLO x\nMAIL FROM:<boss@habo.test>\r\n",
        "EHLO x\r\nMAIL FROM:<a@habo.test>\nRCPT TO:<b@sdk.habo.test>\r\n",
        "EHLO x\rQUIT\r\n",
        "\nEHLO x\r\n",
    ] {
        for cut in 0..stream.len() {
            let (first, second) = stream.as_bytes().split_at(cut);
            let heard = talk(&office, &[first, second]).await;
            assert!(heard.ends_with("500 5.5.2 Bare CR or LF: lines end in CRLF, closing the connection\r\n"), "{stream:?} cut at {cut}: {heard}");
        }
    }
    assert!(office.taken().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_carry_no_commands_wherever_the_stream_is_cut() {
    let office = Office::open(|_| {}).await;
    // The first chunk looks like the end of its mail and another mail; it is as long as it says.
    let body = format!("Subject: x\r\n\r\ntext\r\n.\r\n{EVIL}");
    let stream = format!("{HEAD}BDAT {}\r\n{body}BDAT 7 LAST\r\n\r\nend\r\nQUIT\r\n", body.len());
    let at = stream.find("BDAT").unwrap();
    for cut in (at..at + 14).chain(stream.len() - 30..stream.len()) {
        let before = office.taken().len();
        let (first, second) = stream.as_bytes().split_at(cut);
        let heard = talk(&office, &[first, second]).await;
        assert_eq!(last_codes(&heard), ["220", "250", "250", "250", "250", "250", "221"], "cut at {cut}: {heard}");
        let taken = office.taken();
        assert_eq!(taken.len(), before + 1);
        assert_eq!(String::from_utf8(taken[before].octets.clone()).unwrap(), format!("{body}\r\nend\r\n"));
    }
    // Refused, or with an end that is none: still no command.
    let count = office.taken().len();
    for end in ENDS.iter().filter(|end| end.chars().any(|c| c == '\n')) {
        let body = format!("Subject: x\r\n\r\ntext{end}{EVIL}");
        let mut stream = format!("{HEAD}BDAT {}\r\n{body}", body.len());
        write!(stream, "BDAT {} LAST\r\n{EVIL}NOOP\r\nQUIT\r\n", EVIL.len()).unwrap();
        let heard = talk(&office, &[stream.as_bytes()]).await;
        assert_eq!(last_codes(&heard), ["220", "250", "250", "250", "550", "503", "250", "221"], "{end:?}: {heard}");
    }
    assert_eq!(office.taken().len(), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_any_length_are_one_line() {
    // RFC 5321 4.5.3.1.6 lets a server take more than 1000 octets, and a mail that is taken loses nothing.
    let office = Office::open(|_| {}).await;
    for length in [998, 999, 1000, 1001, 4096, 100_000] {
        let line = "x".repeat(length);
        let heard = talk(&office, &[format!("{HEAD}DATA\r\n{line}\r\n.{line}\r\n.\r\nQUIT\r\n").as_bytes()]).await;
        assert_eq!(last_codes(&heard), ["220", "250", "250", "250", "354", "250", "221"], "{length}");
        assert_eq!(office.taken().last().unwrap().octets, format!("{line}\r\n{line}\r\n").into_bytes(), "{length}");
    }
}
