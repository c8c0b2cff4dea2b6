//! Whole dialogues, and what must hold of every dialogue.

mod chunks;
mod every;
mod logins;

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
