//! What must hold of every dialogue, however its octets come and whatever they are.

use proptest::prelude::*;

use super::*;

/// Ends of data that other servers have taken for the end (CVE-2023-51764, -51765, -51766), each followed by a second mail.
const SMUGGLING: &[&str] = &[
    "\n.\n",
    "\n.\r\n",
    "\r.\r",
    "\r.\r\n",
    "\r\n.\n",
    "\r\n.\r",
    "\r\r\n.\r\r\n",
    "\n\r\n.\n\r\n",
    "\r\n\n.\r\n",
    "\r\n.\r\r\n",
    "\n.\r",
    "\r.\n",
    "\0\n.\r\n",
    "\r\n.\0\n",
];

#[test]
fn no_smuggled_mail_gets_through() {
    for end in SMUGGLING {
        let smuggled = "MAIL FROM:<boss@habo.se>\r\nRCPT TO:<b@sdk.habo.se>\r\nDATA\r\nevil\r\n.\r\n";
        let driver = talk(&format!("{START}Subject: x\r\n\r\ntext{end}{smuggled}{smuggled}"));
        assert_eq!(driver.codes(), format!("{STARTED} [discard] 550 [close]"), "{end:?}");
        assert!(!driver.log.iter().any(|line| line.starts_with("[mail")), "{end:?}");
    }
    assert_eq!(talk("EHLO x\nMAIL FROM:<>\r\n").codes(), "220 500 [close]");
    assert_eq!(talk("EHLO x\rMAIL FROM:<>\r\n").codes(), "220 500 [close]");
}

/// The pieces that dialogues and attacks are made of.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "EHLO pc.habo.se\r\n",
        "HELO pc\r\n",
        "MAIL FROM:<a@habo.se> SIZE=10\r\n",
        "MAIL FROM:<å@habo.se> SMTPUTF8 BODY=8BITMIME\r\n",
        "RCPT TO:<b@sdk.habo.se> NOTIFY=SUCCESS ORCPT=rfc822;b+40x\r\n",
        "RCPT TO:<okand@sdk.habo.se>\r\n",
        "DATA\r\n",
        "Subject: x\r\n\r\ntext\r\n",
        "..\r\n",
        ".\r\n",
        "\r\n.\r\n",
        "RSET\r\n",
        "NOOP\r\n",
        "QUIT\r\n",
        "STARTTLS\r\n",
        "BDAT 5\r\n",
        "BDAT 0 LAST\r\n",
        "BDAT 14 LAST\r\n",
        "AUTH PLAIN AGV4Y2hhbmdlAGhlbWxpZw==\r\n",
        "AUTH LOGIN\r\n",
        "aGVtbGln\r\n",
        "\r",
        "\n",
        "\r\n",
        ".",
        "\0",
    ])
    .prop_map(|text| text.as_bytes().to_vec());
    let noise = prop::collection::vec(any::<u8>(), 0..40);
    let long = (0..4000_usize).prop_map(|length| vec![b'y'; length]);
    let piece = prop_oneof![20 => known, 1 => noise, 1 => long];
    let usual = prop_oneof![Just(String::new()), Just(HELLO.to_owned()), Just(START.to_owned())];
    (usual, prop::collection::vec(piece, 0..24)).prop_map(|(start, pieces)| [start.into_bytes(), pieces.concat()].concat())
}

/// A confirmation is about when octets came, so it is the one thing that chunks may change.
fn without_confirmations(driver: Driver) -> (Vec<String>, Vec<u8>) {
    (driver.log.into_iter().filter(|line| line != "[confirmed]").collect(), driver.mail)
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_dialogue(input in pieces(), cuts in prop::collection::vec(1..50_usize, 1..40)) {
        let mut whole = Driver::new(options());
        whole.say(&input);
        let mut chunked = Driver::new(options());
        let mut rest = input.as_slice();
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            chunked.say(piece);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(without_confirmations(whole), without_confirmations(chunked));
    }

    #[test]
    fn a_mail_arrives_as_it_was_stuffed(lines in prop::collection::vec("[a.å]{0,6}", 0..20), cut in 1..20_usize) {
        let (mut mail, mut stuffed) = (String::new(), String::new());
        for line in &lines {
            mail.extend([line, "\r\n"]);
            stuffed.extend([if line.starts_with('.') { "." } else { "" }, line, "\r\n"]);
        }
        let mut driver = talk(START);
        format!("{stuffed}.\r\n").as_bytes().chunks(cut).for_each(|piece| driver.say(piece));
        let end = format!("[mail a@habo.se -> b@sdk.habo.se {mail:?}] 250");
        prop_assert!(driver.codes().ends_with(&end), "{}", driver.codes());
    }
}
