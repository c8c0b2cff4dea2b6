//! The linter sees what is wrong: each damage to a sound notice is found.

use crate::dsn;
use crate::made::{SECRET, Setting, composed, rows};

#[test]
fn each_broken_rule_is_named() {
    let setting = Setting::habo();
    let of = |event: &str| {
        let row = rows().into_iter().find(|row| row.event.starts_with(event)).unwrap();
        String::from_utf8(composed(&setting, &row.outcome)).unwrap()
    };
    let (failed, delayed) = (of("REJECTED BV too-long"), of("access point does not"));
    assert_eq!(dsn::faults(failed.as_bytes(), &[SECRET]), [""; 0]);
    for (from, to, fault) in [
        ("Date: Wed, 4", "X-Date: Wed, 4", "Date stands 0 times"),
        ("Date: Wed, 4 Mar", "Date: Wed, 34 Mar", "RFC 5322 3.3"),
        ("Auto-Submitted: auto-replied\r\n", "", "Auto-Submitted"),
        ("Auto-Submitted: auto-replied\r\n", "Auto-Submitted: auto-replied\r\nReply-To: <a@b.se>\r\n", "Reply-To stands 1 times"),
        ("In-Reply-To: <abc@habo.se>", "In-Reply-To: <abd@habo.se>", "the original is"),
        ("report-type=\"delivery-status\"", "report-type=\"disposition-notification\"", "RFC 6522 3"),
        ("MIME-Version: 1.0\r\n", "MIME-Version: 1.0\n", "CRLF"),
        ("Action: failed", "Action: delivered", "with Status"),
        ("Action: failed", "Action: lost", "with Status"),
        ("Status: 5.3.4", "Status: 5.3", "with Status"),
        ("Status: 5.3.4", "Status: 5.3.4\r\nStatus: 5.3.4", "Status stands 2 times"),
        ("Diagnostic-Code: x-sdk;", "Diagnostic-Code: smtp;", "no SMTP server"),
        ("Diagnostic-Code: x-sdk;", "Diagnostic-Code: x sdk;", "Diagnostic-Code is"),
        ("Reporting-MTA: dns; gw.habo.se\r\n", "", "Reporting-MTA stands 0 times"),
        ("Final-Recipient: rfc822; kundtjnst", "Final-Recipient: rfc822; kundtjänst", "7bit"),
        ("Final-Recipient: rfc822; kundtjnst", "Final-Recipient: utf-8; kund=tjnst", "Final-Recipient is"),
        ("Final-Recipient: rfc822; ", "Final-Recipient: ", "Final-Recipient is"),
        ("Last-Attempt-Date:", "Will-Retry-Until: Wed, 4 Mar 2026 08:30:00 +0000\r\nLast-Attempt-Date:", "Will-Retry-Until"),
        ("Action: failed\r\nStatus: 5.3.4\r\n", "Status: 5.3.4\r\nAction: failed\r\n", "too late"),
        ("Arrival-Date:", "X-Arrival-Date:", "does not belong"),
        ("text/rfc822-headers", "message/rfc822", "never more than the header"),
        (" boundary=x\r\n", " boundary=x\r\n\r\nHej\r\n", "something follows"),
        (" boundary=x\r\n", " boundary=x\r\nX: HEMLIGT-7f3a\r\n", "stands in it"),
        ("Skickat: 2026", "Skickat: HEMLIGT-7f3a 2026", "stands in it"),
        ("Skickat: 2026", "Skickat: \u{e5}2026", "quoted-printable"),
        ("In English", "In Finnish", "Swedish, then English"),
        ("_1--\r\n", "_1-\r\n", "no end"),
    ] {
        assert!(failed.contains(from), "{from}");
        let faults = dsn::faults(failed.replacen(from, to, 1).as_bytes(), &[SECRET]);
        assert!(faults.iter().any(|found| found.contains(fault)), "{from} as {to}: {faults:#?}");
    }
    let patience = delayed.lines().find(|line| line.starts_with("Will-Retry-Until")).unwrap();
    let faults = dsn::faults(delayed.replace(&format!("{patience}\r\n"), "").as_bytes(), &[]);
    assert_eq!(faults, ["Will-Retry-Until and delayed"]);
    // A secret behind an encoding is found too.
    let hidden = failed.replace("Skickat: 2026", "Skickat: HEMLI=\r\nGT-7f3a 2026");
    assert!(dsn::faults(hidden.as_bytes(), &[SECRET]).iter().any(|fault| fault.contains("stands in it")));
}
