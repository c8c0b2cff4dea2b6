//! Whole dialogues, and what must hold of every dialogue.

use proptest::prelude::*;

use super::*;

fn options() -> Options {
    Options {
        hostname: Domain::new("gw.habo.se").unwrap(),
        security: Security::Offered,
        max_message: 1000,
        max_recipients: 3,
        max_mails: 150,
        max_errors: 5,
        onward: OnwardTls::Uncertain,
    }
}

/// What a driver does that takes every mail, except for recipients named `okand` and mails that say `virus`.
struct Driver {
    session: Session,
    mail: Vec<u8>,
    /// Replies line by line; other events in square brackets.
    log: Vec<String>,
}

impl Driver {
    fn new(options: Options) -> Self {
        let mut driver = Self { session: Session::new(options), mail: Vec::new(), log: Vec::new() };
        driver.work();
        driver
    }

    fn say(&mut self, octets: &[u8]) {
        self.session.input(octets);
        self.work();
    }

    fn work(&mut self) {
        while let Some(action) = self.session.next() {
            match action {
                Action::Reply(reply) => self.log.extend(reply.to_string().lines().map(str::to_owned)),
                Action::Data(piece) => self.mail.extend(piece),
                Action::Discard => {
                    self.mail.clear();
                    self.log.push("[discard]".into());
                }
                Action::StartTls => {
                    self.log.push("[tls]".into());
                    return;
                }
                Action::Confirmed => self.log.push("[confirmed]".into()),
                Action::Close => self.log.push("[close]".into()),
                Action::Ask(question) => {
                    let answer = match question {
                        Question::Recipient(recipient) if recipient.address.local() == "okand" => Err(Reply::new(550, (1, 1), "Unknown")),
                        Question::Login(Credentials::Password { user, password }) => {
                            self.log.push(format!("[login {}]", user.0));
                            if password.0.as_str() == "hemlig" { Ok(user.0) } else { Err(Reply::login_failed()) }
                        }
                        Question::Login(Credentials::Certificate { name }) => {
                            self.log.push(format!("[login by certificate{}]", name.map(|name| format!(" {name}")).unwrap_or_default()));
                            Ok("exchange".to_owned())
                        }
                        Question::Message => {
                            let mail = String::from_utf8_lossy(&std::mem::take(&mut self.mail)).into_owned();
                            let envelope = self.session.envelope().unwrap();
                            let from = envelope.sender.address.as_ref().map_or("<>", |address| address.as_str());
                            let to: Vec<&str> = envelope.recipients.iter().map(|recipient| recipient.address.as_str()).collect();
                            self.log.push(format!("[mail {from} -> {} {mail:?}]", to.join(",")));
                            if mail.contains("virus") { Err(Reply::new(550, (7, 1), "Malware")) } else { Ok("m1".to_owned()) }
                        }
                        _ => Ok(String::new()),
                    };
                    self.session.answer(answer);
                }
            }
        }
    }

    fn codes(&self) -> String {
        self.log
            .iter()
            .map(|line| if line.starts_with('[') { line.as_str() } else { line.get(..4).unwrap_or(line) }.trim_end())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// The log of a dialogue in one piece.
fn talk(input: &str) -> Driver {
    let mut driver = Driver::new(options());
    driver.say(input.as_bytes());
    driver
}

const HELLO: &str = "EHLO pc.habo.se\r\n";
const START: &str = "EHLO pc.habo.se\r\nMAIL FROM:<a@habo.se>\r\nRCPT TO:<b@sdk.habo.se>\r\nDATA\r\n";
const GREETED: &str = "220 250- 250- 250- 250- 250- 250- 250- 250- 250- 250";
const STARTED: &str = "220 250- 250- 250- 250- 250- 250- 250- 250- 250- 250 250 250 354";

#[test]
fn a_mail_is_taken_in_one_pipelined_dialogue() {
    let driver = talk(&format!("{START}Subject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n"));
    assert_eq!(
        driver.log,
        [
            "220 gw.habo.se ESMTP brevbro",
            "250-gw.habo.se",
            "250-PIPELINING",
            "250-SIZE 1000",
            "250-8BITMIME",
            "250-SMTPUTF8",
            "250-ENHANCEDSTATUSCODES",
            "250-DSN",
            "250-CHUNKING",
            "250-LIMITS MAILMAX=150 RCPTMAX=3",
            "250 STARTTLS",
            "250 2.1.0 Sender ok",
            "250 2.1.5 Recipient ok",
            "354 Send the mail, end it with a dot on a line of its own",
            "[mail a@habo.se -> b@sdk.habo.se \"Subject: x\\r\\n\\r\\n.dot\\r\\n\"]",
            "250 2.0.0 Ok: m1",
            "221 2.0.0 Bye",
            "[close]",
        ]
    );
}

#[test]
fn commands_out_of_order_are_refused() {
    assert_eq!(talk("MAIL FROM:<a@habo.se>\r\n").codes(), "220 503");
    assert_eq!(talk("EHLO x\r\nRCPT TO:<b@habo.se>\r\nDATA\r\n").codes(), format!("{GREETED} 503 503"));
    assert_eq!(talk("EHLO x\r\nMAIL FROM:<>\r\nMAIL FROM:<>\r\nDATA\r\n").codes(), format!("{GREETED} 250 503 554"));
    assert_eq!(talk("EHLO x\r\nMAIL FROM:<>\r\nRSET\r\nRCPT TO:<b@habo.se>\r\n").codes(), format!("{GREETED} 250 250 503"));
    assert_eq!(talk("EHLO x\r\nMAIL FROM:<>\r\nEHLO x\r\nRCPT TO:<b@habo.se>\r\n").log.last().unwrap(), "503 5.5.1 MAIL comes first");
}

#[test]
fn refused_recipients_do_not_stop_the_others() {
    let to = |who| format!("RCPT TO:<{who}@sdk.habo.se>\r\n");
    let driver = talk(&format!("{HELLO}MAIL FROM:<>\r\n{}{}DATA\r\nx\r\n.\r\n", to("okand"), to("b")));
    assert_eq!(driver.codes(), format!("{GREETED} 250 550 250 354 [mail <> -> b@sdk.habo.se \"x\\r\\n\"] 250"));
    let none = talk(&format!("{HELLO}MAIL FROM:<>\r\n{}DATA\r\n", to("okand")));
    assert_eq!(none.log.last().unwrap(), "554 5.5.1 No valid recipients");
    let many = talk(&format!("{HELLO}MAIL FROM:<>\r\n{}", to("b").repeat(4)));
    assert_eq!(many.log.last().unwrap(), "452 4.5.3 Too many recipients");
}

#[test]
fn a_mail_over_the_limit_is_refused_before_and_after_it_is_sent() {
    let early = talk(&format!("{HELLO}MAIL FROM:<a@habo.se> SIZE=1001\r\n"));
    assert_eq!(early.log.last().unwrap(), "552 5.3.4 The mail of 1001 octets is over the limit of 1000");
    let line = "0123456789abcdef\r\n";
    let late = talk(&format!("{START}{}.\r\nNOOP\r\n", line.repeat(60)));
    assert_eq!(late.codes(), format!("{STARTED} [discard] 552 250"), "the connection goes on");
    let endless = talk(&format!("{START}{}", line.repeat(200)));
    assert_eq!(endless.codes(), format!("{STARTED} [discard] 552 [close]"), "a 421 would have it all sent again");
}

#[test]
fn an_smtputf8_address_needs_smtputf8() {
    assert_eq!(talk(&format!("{HELLO}MAIL FROM:<å@habo.se>\r\n")).log.last().unwrap(), "553 5.6.7 The sender's address needs SMTPUTF8");
    let granted = talk(&format!("{HELLO}MAIL FROM:<å@habo.se> SMTPUTF8\r\nRCPT TO:<ö@sdk.habo.se>\r\n"));
    assert_eq!(granted.codes(), format!("{GREETED} 250 250"));
    assert_eq!(talk("HELO x\r\nMAIL FROM:<å@habo.se> SMTPUTF8\r\n").codes(), "220 250 555");
}

#[test]
fn after_starttls_nothing_of_before_counts() {
    let mut driver = talk("EHLO x\r\nMAIL FROM:<a@habo.se>\r\nSTARTTLS\r\nRCPT TO:<injected@sdk.habo.se>\r\nNOOP\r\n");
    assert_eq!(driver.codes(), format!("{GREETED} 250 220 [tls]"));
    driver.say(b"NOOP\r\n");
    driver.session.secured(Vec::new());
    driver.log.clear();
    driver.say(b"MAIL FROM:<a@habo.se>\r\nEHLO x\r\nSTARTTLS\r\n");
    assert_eq!(driver.codes(), "503 250- 250- 250- 250- 250- 250- 250- 250- 250 503");
}

#[test]
fn where_tls_is_required_no_mail_is_taken_before_it() {
    let mut driver = Driver::new(Options { security: Security::Required, ..options() });
    driver.say(b"EHLO x\r\nMAIL FROM:<a@habo.se>\r\nNOOP\r\nSTARTTLS\r\n");
    assert_eq!(driver.codes(), format!("{GREETED} 530 250 220 [tls]"));
    driver.session.secured(Vec::new());
    driver.log.clear();
    driver.say(b"EHLO x\r\nMAIL FROM:<a@habo.se>\r\n");
    assert!(driver.codes().ends_with("250 250"));
    let mut plain = Driver::new(Options { security: Security::Plain, ..options() });
    plain.say(b"EHLO x\r\nSTARTTLS\r\n");
    assert!(plain.codes().ends_with("502") && !plain.log.iter().any(|line| line.ends_with("STARTTLS")));
}

#[test]
fn what_is_no_mail_is_answered_by_the_book() {
    let driver = talk("NOOP x\r\nHELP\r\nVRFY anna\r\nEXPN list\r\nETRN habo.se\r\nVRFY\r\nFOO\r\n");
    assert_eq!(driver.codes(), "220 250 214 252 502 502 501 500");
    assert_eq!(talk("LHLO x\r\nEHLO [192.0.2.1]\r\nNOOP\r\n").codes(), format!("220 502 {} 250", &GREETED[4..]));
    assert!(
        driver.log.iter().skip(1).all(|line| line.get(4..6).is_some_and(|class| class.starts_with(line.get(..1).unwrap()) && class.ends_with('.')))
    );
    assert_eq!(talk("EHLO\r\nEHLO a b\r\nHELO å\r\n").codes(), "220 501 501 501");
    assert_eq!(talk("GET / HTTP/1.1\r\nMAIL FROM:<>\r\n").codes(), "220 500 [close]");
    assert_eq!(talk("SSH-2.0-OpenSSH_9.2\r\n").codes(), "220 500 [close]");
    let mut hello = Driver::new(options());
    hello.say(&[0x16, 3, 1, 2, 0, 1]);
    assert_eq!(hello.codes(), "220 500 [close]", "TLS before STARTTLS");
}

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

/// A driver over TLS that takes the user `exchange` with the password `hemlig`, and any certificate.
fn secured() -> Driver {
    let mut driver = Driver::new(Options { security: Security::Secured, onward: OnwardTls::Always, ..options() });
    driver.session.secured(vec![Mechanism::Plain, Mechanism::Login, Mechanism::External]);
    driver
}

#[test]
fn logins_are_offered_and_taken_over_tls_only() {
    let mut plain = talk("EHLO x\r\nAUTH PLAIN AGV4Y2hhbmdlAGhlbWxpZw==\r\n");
    assert_eq!(plain.log.last().unwrap(), "538 5.7.11 STARTTLS comes first");
    assert!(!plain.log.iter().any(|line| line.contains("AUTH") || line.contains("REQUIRETLS")));
    plain.say(b"STARTTLS\r\n");
    plain.session.secured(vec![Mechanism::Plain, Mechanism::External]);
    plain.say(b"AUTH PLAIN AGV4Y2hhbmdlAGhlbWxpZw==\r\nEHLO x\r\n");
    assert!(plain.log.iter().any(|line| line == "503 5.5.1 EHLO comes first"));
    assert_eq!(plain.log.last().unwrap(), "250 AUTH PLAIN EXTERNAL");
    plain.say(b"AUTH PLAIN AGV4Y2hhbmdlAGhlbWxpZw==\r\nAUTH PLAIN AGV4Y2hhbmdlAGhlbWxpZw==\r\nMAIL FROM:<a@habo.se> AUTH=<>\r\n");
    assert!(plain.codes().ends_with("[login exchange] 235 503 250"), "once");
    let mut none = Driver::new(Options { security: Security::Secured, ..options() });
    none.say(b"EHLO x\r\nAUTH PLAIN\r\n");
    assert!(none.codes().ends_with("250 502"));
}

#[test]
fn every_mechanism_speaks_with_and_without_an_initial_response() {
    for (said, heard) in [
        ("AUTH PLAIN\r\nAGV4Y2hhbmdlAGhlbWxpZw==\r\n", "334 [login exchange] 235"),
        ("auth plain ZXhjaGFuZ2UAZXhjaGFuZ2UAaGVtbGln\r\n", "[login exchange] 235"),
        ("AUTH LOGIN\r\nZXhjaGFuZ2U=\r\naGVtbGln\r\n", "334 334 [login exchange] 235"),
        ("AUTH LOGIN ZXhjaGFuZ2U=\r\naGVtbGln\r\n", "334 [login exchange] 235"),
        ("AUTH EXTERNAL\r\n\r\n", "334 [login by certificate] 235"),
        ("AUTH EXTERNAL =\r\n", "[login by certificate] 235"),
        ("AUTH EXTERNAL ZXhjaGFuZ2U=\r\n", "[login by certificate exchange] 235"),
        ("AUTH LOGIN\r\n*\r\n", "334 501"),
        ("AUTH PLAIN *\r\n", "501"),
        ("AUTH PLAIN AGV4Y2hhbmdlAGhlbWxpZw\r\n", "501"),
        ("AUTH PLAIN AGV4Y2hhbmdl AGhlbWxpZw==\r\n", "501"),
        ("AUTH PLAIN =\r\n", "501"),
        ("AUTH PLAIN AAA=\r\n", "501"),
        // Acting for another.
        ("AUTH PLAIN Ym9zcwBleGNoYW5nZQBoZW1saWc=\r\n", "501"),
        ("AUTH CRAM-MD5\r\n", "504"),
        ("AUTH\r\n", "504"),
        ("MAIL FROM:<a@habo.se>\r\nAUTH PLAIN AGV4Y2hhbmdlAGhlbWxpZw==\r\n", "250 503"),
    ] {
        let mut driver = secured();
        driver.say(HELLO.as_bytes());
        driver.log.clear();
        driver.say(said.as_bytes());
        assert_eq!(driver.codes(), heard, "{said}");
    }
    assert_eq!(secured_login_prompts(), ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"]);
}

fn secured_login_prompts() -> Vec<String> {
    let mut driver = secured();
    driver.say(b"EHLO x\r\nAUTH LOGIN\r\nZXhjaGFuZ2U=\r\n");
    driver.log.split_off(driver.log.len() - 2)
}

#[test]
fn a_third_failed_login_ends_the_connection_and_a_long_line_the_login() {
    let mut driver = secured();
    driver.say(HELLO.as_bytes());
    driver.log.clear();
    driver.say("AUTH PLAIN AGV4Y2hhbmdlAGZlbA==\r\n".repeat(9).as_bytes());
    assert_eq!(driver.codes(), "[login exchange] 535 [login exchange] 535 [login exchange] 535 421 [close]");
    let mut long = secured();
    long.say(format!("{HELLO}AUTH PLAIN\r\n{}\r\nNOOP\r\n", "A".repeat(LOGIN_LINE)).as_bytes());
    assert!(long.codes().ends_with("334 500 250"), "{}", long.codes());
    assert!(long.session.buffer.capacity() <= ENDLESS_LINE);
}

#[test]
fn a_question_about_a_login_shows_no_password() {
    let question =
        Question::Login(Credentials::Password { user: "exchange".to_owned().into(), password: Zeroizing::new("hemlig".to_owned()).into() });
    assert!(!format!("{question:?}").contains("hemlig"));
}

#[test]
fn requiretls_is_offered_where_it_can_be_kept() {
    let mut driver = secured();
    driver.say(b"EHLO x\r\nMAIL FROM:<a@habo.se> REQUIRETLS\r\n");
    assert_eq!(driver.session.envelope().unwrap().sender.onward, Onward::TlsOnly);
    assert!(driver.log.iter().any(|line| line == "250 REQUIRETLS"));
    let mut uncertain = Driver::new(Options { security: Security::Secured, ..options() });
    uncertain.say(b"EHLO x\r\nMAIL FROM:<a@habo.se> REQUIRETLS\r\n");
    assert!(uncertain.codes().ends_with("555") && !uncertain.log.iter().any(|line| line.contains("REQUIRETLS")));
}

#[test]
fn a_connection_has_its_limit_of_mails() {
    let few = Options { max_mails: 2, ..options() };
    let mut driver = Driver::new(few);
    driver.say(format!("{HELLO}{}", "MAIL FROM:<>\r\nRSET\r\n".repeat(3)).as_bytes());
    assert_eq!(driver.codes(), format!("{GREETED} 250 250 250 250 421 [close]"));
}

#[test]
fn a_client_that_only_errs_or_idles_is_sent_away() {
    assert_eq!(talk(&"FOO\r\n".repeat(9)).codes(), "220 500 500 500 500 500 500 421 [close]");
    assert!(talk(&"NOOP\r\n".repeat(200)).codes().ends_with("250 421 [close]"));
    assert!(talk(&format!("{HELLO}{}", "MAIL FROM:<>\r\nRSET\r\n".repeat(100))).codes().ends_with("421 [close]"));
}

#[test]
fn long_lines_cost_no_memory_and_endless_ones_the_connection() {
    let mut driver = Driver::new(options());
    for _ in 0..30 {
        driver.say(&[b'x'; 1000]);
        assert!(driver.session.buffer.len() <= COMMAND_LINE);
    }
    driver.say(b"\r\nNOOP\r\n");
    assert_eq!(driver.codes(), "220 500 250");
    assert_eq!(talk(&format!("{}\r\n", "x".repeat(ENDLESS_LINE + 1))).codes(), "220 421 [close]");
}

#[test]
fn a_mail_that_cannot_be_kept_is_read_to_its_end_and_refused() {
    let mut driver = talk(&format!("{START}one\r\n"));
    driver.session.refuse_data(Reply::new(452, (3, 1), "Disk full"));
    driver.say(b"two\r\n.\r\nNOOP\r\n");
    assert_eq!(driver.codes(), format!("{STARTED} [discard] 452 250"));
}

#[test]
fn a_refused_message_and_a_closing_answer_leave_nothing_behind() {
    assert_eq!(
        talk(&format!("{START}virus\r\n.\r\nDATA\r\n")).codes(),
        format!("{STARTED} [mail a@habo.se -> b@sdk.habo.se \"virus\\r\\n\"] 550 503")
    );
    let mut session = Session::new(options());
    session.input(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@habo.se>\r\n");
    while let Some(action) = session.next() {
        if action == Action::Ask(Question::Sender) {
            session.answer(Err(Reply::shutting_down()));
        }
        if action == Action::Close {
            break;
        }
    }
    session.answer(Ok(String::new()));
    session.input(b"NOOP\r\n");
    assert_eq!(session.next(), None);
}

#[test]
fn only_what_comes_after_our_250_confirms_a_mail() {
    let mut driver = talk(&format!("{START}x\r\n.\r\n"));
    driver.log.clear();
    driver.say(b"QUI");
    assert_eq!(driver.codes(), "");
    driver.say(b"T\r\n");
    assert_eq!(driver.codes(), "[confirmed] 221 [close]");

    let pipelined = talk(&format!("{START}x\r\n.\r\nQUIT\r\n"));
    assert!(!pipelined.codes().contains("confirmed"), "sent with the dot, it tells nothing");

    let mut next = talk(&format!("{START}x\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<b@sdk.habo.se>\r\nDATA\r\n"));
    next.log.clear();
    next.say(b"y\r\n.\r\n");
    assert_eq!(next.codes(), "[confirmed] [mail <> -> b@sdk.habo.se \"y\\r\\n\"] 250", "354 was read after 250");

    let mut refused = talk(&format!("{START}virus\r\n.\r\n"));
    refused.say(b"QUIT\r\n");
    assert!(!refused.codes().contains("confirmed"));
}

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
