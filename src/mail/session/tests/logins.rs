//! Logins, and what goes over TLS only.

use super::*;

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
