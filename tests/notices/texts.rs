//! Every text is in the manual as its reader gets it.

use std::path::Path;

use crate::dsn;
use crate::made::{Setting, composed, rows};

const HEAD: &str = "\
# What a sender is told

Every notice that brevbro sends: when, as which delivery status (RFC 3464, RFC 3463), and in which words. Exchange shows its own text for a
status code in the user's language, with ours below. This page is made by `tests/notices` of the program's own texts (`BREVBRO_BLESS=1`), so it is
never out of date.

- A notice goes to the envelope's sender, as long as that address may send; never to `<>`, and its own sender is `<>`.
- NOTIFY decides what is told (RFC 3461 4.1). Without it: failures and delays. Success is told when the mail asks for it (NOTIFY=SUCCESS,
  Return-Receipt-To), when the mailbox has `success-notice = \"always\"`, or when something of the mail was left out.
- Each recipient has its own notice: it is a message of its own, with an outcome, a time and a receipt of its own.
- An outcome is told once. After ACCEPTED or REJECTED nothing is told any more; a receipt that contradicts alarms the operator. After a failure
  without a receipt, one that comes late is told once and says that the earlier notice no longer holds.
- A receipt that names a message a duplicate tells nothing by itself: the receipt of the attempt that arrived first decides.
- Nothing of the content is in it, whatever RET asks for: the header of the original comes back, to who wrote it.
- With `[organisation.hours]` a delay is told when somebody is there to read it, and only working time counts until then.

What is decided before the mail is accepted is no notice but a reply to the mail server, which tells its user at once: 550 5.1.2 for an
organisation that is not in SDK (with addresses that are like it), 550 5.1.1 and 5.1.3 for an address that cannot be one, 552 5.3.4 for a
message that is too large (with both numbers), 550 5.6.1, 5.7.1 and 5.6.0 for a file type, malware or a mail that cannot be read (with the
file's name), 550 5.7.1 for a sender that may not send.

The operator is alarmed as well where the table says so.

| event | status | subject begins | operator |
|---|---|---|---|
";

fn manual() -> String {
    let setting = Setting::habo();
    let (mut table, mut texts) = (HEAD.to_owned(), String::new());
    for row in rows() {
        let mail = composed(&setting, &row.outcome);
        let report = dsn::read(&mail, &[]).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let parsed = mail_parser::MessageParser::default().parse(&mail).unwrap();
        let (subject, text) = (parsed.subject().unwrap().to_owned(), report.text.trim_end().to_owned());
        let operator = if alarms(row.action, row.status) { "yes" } else { "" };
        table.extend(["| ", row.event, " | `", row.action, "` ", row.status, " | ", &subject, " | ", operator, " |\n"]);
        texts.extend(["\n## ", row.event, "\n\n`", row.action, "` ", row.status, "\n\n```text\n", &text, "\n```\n"]);
    }
    table + &texts
}

/// What is the sender's own to mend does not alarm anybody.
fn alarms(action: &str, status: &str) -> bool {
    let own = ["5.1.1", "5.1.2", "5.6.1", "5.0.0", "5.3.4", "5.7.1", "5.3.0"];
    status == "4.4.6" || (action == "failed" && !own.contains(&status))
}

#[test]
fn every_text_stands_in_the_manual() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/notices.md");
    if std::env::var_os("BREVBRO_BLESS").is_some() {
        std::fs::write(&path, manual()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), manual(), "BREVBRO_BLESS=1 cargo test --test notices");
}

#[test]
fn texts_are_told_apart_and_say_first_what_became_of_the_message() {
    let setting = Setting::habo();
    let mut seen = Vec::new();
    for row in rows() {
        let report = dsn::read(&composed(&setting, &row.outcome), &[]).unwrap();
        let first = report.text.split(". ").next().unwrap().to_owned();
        let begins = ["Meddelandet", "Det är oklart om meddelandet har kommit fram", "Svaret har inte tagits emot", "Ett sent besked"];
        assert!(begins.iter().any(|words| first.starts_with(words)), "{}: {first}", row.event);
        assert!(report.text.contains("Arbetsförmedlingen") && !seen.contains(&report.text), "{}", row.event);
        seen.push(report.text);
    }
}
