//! Mails in chunks (RFC 3030).

use super::*;

/// MAIL and RCPT done; then `input`.
fn chunked(input: &str) -> Driver {
    talk(&format!("{HELLO}MAIL FROM:<a@habo.se>\r\nRCPT TO:<b@sdk.habo.se>\r\n{input}"))
}

#[test]
fn a_mail_in_chunks_is_the_octets_that_were_counted() {
    let taken = |mail: &str| format!("{GREETED} 250 250 {mail} 250");
    assert_eq!(chunked("BDAT 6 LAST\r\n.\r\nx\r\n").codes(), taken("[mail a@habo.se -> b@sdk.habo.se \".\\r\\nx\\r\\n\"]"));
    let in_three = chunked("BDAT 4\r\na\r\n\rBDAT 3\r\n\nb\rbdat 1 last\r\n\nNOOP\r\n");
    assert_eq!(in_three.codes(), format!("{GREETED} 250 250 250 250 [mail a@habo.se -> b@sdk.habo.se \"a\\r\\n\\r\\nb\\r\\n\"] 250 250"));
    assert_eq!(in_three.log[13], "250 2.0.0 4 octets so far");
    let zero = chunked("BDAT 3\r\na\r\nBDAT 0\r\nBDAT 0 LAST\r\n");
    assert_eq!(zero.codes(), format!("{GREETED} 250 250 250 250 [mail a@habo.se -> b@sdk.habo.se \"a\\r\\n\"] 250"));
}

#[test]
fn octets_of_a_chunk_are_never_commands_whoever_refuses_it() {
    let evil = "MAIL FROM:<boss@habo.se>\r\n";
    let chunk = format!("BDAT {} LAST\r\n{evil}", evil.len());
    assert_eq!(talk(&format!("{chunk}NOOP\r\n")).codes(), "220 503 250");
    assert_eq!(talk(&format!("{HELLO}{chunk}NOOP\r\n")).codes(), format!("{GREETED} 503 250"));
    let nobody = talk(&format!("{HELLO}MAIL FROM:<a@habo.se>\r\nRCPT TO:<okand@sdk.habo.se>\r\n{chunk}RSET\r\n"));
    assert_eq!(nobody.codes(), format!("{GREETED} 250 550 554 250"));
    let helo = talk(&format!("HELO x\r\nMAIL FROM:<a@habo.se>\r\nRCPT TO:<b@sdk.habo.se>\r\n{chunk}NOOP\r\n"));
    assert_eq!(helo.codes(), "220 250 250 250 503 250");
    let mut required = Driver::new(Options { security: Security::Required, ..options() });
    required.say(format!("{HELLO}{chunk}NOOP\r\n").as_bytes());
    assert_eq!(required.codes(), format!("{GREETED} 530 250"));
    // What a refused chunk had pipelined behind it (RFC 3030 2).
    let bare = "Subject: x\n\nMAIL FROM:<boss@habo.se>\r\n";
    let refused = chunked(&format!("BDAT {}\r\n{bare}{chunk}NOOP\r\n", bare.len()));
    assert_eq!(refused.codes(), format!("{GREETED} 250 250 [discard] 550 503 250"));
    assert_eq!(refused.log[14], "550 5.6.0 Bare CR or LF in the mail: lines end in CRLF");
    assert!(chunked("BDAT 2 LAST\r\na\rNOOP\r\n").codes().ends_with("[discard] 550 250"), "a CR at the end is bare");
}

#[test]
fn chunks_and_data_do_not_mix() {
    assert_eq!(
        chunked("BDAT 3\r\na\r\nDATA\r\nBDAT 0 LAST\r\n").codes(),
        format!("{GREETED} 250 250 250 503 [mail a@habo.se -> b@sdk.habo.se \"a\\r\\n\"] 250")
    );
    assert_eq!(chunked("BDAT 3\r\na\r\nRCPT TO:<c@sdk.habo.se>\r\nMAIL FROM:<>\r\n").codes(), format!("{GREETED} 250 250 250 503 503"));
    assert_eq!(chunked("BDAT 3\r\na\r\nRSET\r\nBDAT 0 LAST\r\n").codes(), format!("{GREETED} 250 250 250 [discard] 250 503"));
    assert!(chunked("BDAT 3\r\na\r\nEHLO x\r\n").codes().contains("[discard] 250-"));
    assert!(chunked("BDAT 3\r\na\r\nQUIT\r\n").codes().ends_with("221 [close]"));
    assert!(chunked("BDAT 3 LAST\r\na\r\nBDAT 3 LAST\r\na\r\n").codes().ends_with("250 503"), "nothing follows the last");
}

#[test]
fn chunk_sizes_that_cannot_be_are_refused_before_anything_is_read() {
    for size in ["", "x", "-1", "3 FIRST", "3 LAST x", "+3", "0x10", "1.5", "3LAST"] {
        assert_eq!(chunked(&format!("BDAT {size}\r\n")).codes(), format!("{GREETED} 250 250 501 [close]"), "{size}");
    }
    for size in ["2001", "99999999999999999999999999", "18446744073709551615 LAST"] {
        assert_eq!(chunked(&format!("BDAT {size}\r\n")).codes(), format!("{GREETED} 250 250 552 [close]"), "{size}");
    }
    // Over the limit and not over twice the limit: read, and refused at the end of its chunk.
    let over = chunked(&format!("BDAT 600\r\n{}BDAT 600\r\n{}NOOP\r\n", "x".repeat(600), "x".repeat(600)));
    assert_eq!(over.codes(), format!("{GREETED} 250 250 250 [discard] 552 250"));
    assert_eq!(over.log[15], "552 5.3.4 The mail of 1200 octets is over the limit of 1000");
    assert!(chunked(&format!("BDAT 900\r\n{}BDAT 1101\r\n", "x".repeat(900))).codes().ends_with("250 [discard] 552 [close]"));
}

#[test]
fn many_small_chunks_bring_a_mail_forward_and_empty_ones_do_not() {
    let small = format!("{}BDAT 0 LAST\r\n", "BDAT 1\r\nx".repeat(900));
    assert!(chunked(&small).codes().ends_with("] 250"));
    assert!(chunked(&format!("BDAT 1\r\nx{}", "BDAT 0\r\n".repeat(200))).codes().ends_with("[discard] 421 [close]"));
}

#[test]
fn a_chunk_without_room_is_read_and_refused() {
    let mut session = Session::new(options());
    session.input(format!("{HELLO}MAIL FROM:<a@habo.se>\r\nRCPT TO:<b@sdk.habo.se>\r\nBDAT 6 LAST\r\nNOOP\r\nNOOP\r\n").as_bytes());
    let mut codes = Vec::new();
    while let Some(action) = session.next() {
        match action {
            Action::Ask(Question::Data) => session.answer(Err(Reply::new(452, (3, 1), "Disk full"))),
            Action::Ask(_) => session.answer(Ok(String::new())),
            Action::Reply(reply) => codes.push(reply.code()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(codes, [220, 250, 250, 250, 452, 250]);
}
