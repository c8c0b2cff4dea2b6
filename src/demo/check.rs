//! What must be right at the end.

use std::io::Write;

use mail_parser::{MessageParser, MimeHeaders};

use super::error::DemoError;
use super::mail::{self, attachments};
use crate::content::Reference;
use crate::sdk::message::{self, MessageLimits};

/// Checks with their outcomes.
#[derive(Debug, Default)]
pub(super) struct Checks(Vec<(String, bool)>);

impl Checks {
    /// Adds one.
    pub(super) fn that(&mut self, what: &str, holds: bool) {
        self.0.push((what.to_owned(), holds));
    }

    /// The delivered mail is the one that was sent.
    pub(super) fn mail(&mut self, delivered: &[u8]) {
        let Some(message) = MessageParser::default().parse(delivered) else {
            return self.that("det levererade mejlet går att läsa", false);
        };
        self.that("rubriken är framme", message.subject() == Some(mail::SUBJECT));
        let (text, html) = (message.body_text(0).unwrap_or_default(), message.body_html(0).unwrap_or_default());
        let both = |words: &str| squeezed(&text).contains(words) && squeezed(&html).contains(words);
        let plain = |words: &str| squeezed(&text).replace(['*', '_'], "").contains(words);
        self.that("varje mening är framme, med å, ä och ö", mail::SENTENCES.iter().all(|words| plain(words)) && both("Återkom gärna före fredag."));
        self.that("referensen är framme", text.contains(mail::REFERENCE));
        for file in attachments() {
            let same = message.attachments().any(|part| part.attachment_name() == Some(file.name) && part.contents() == file.body);
            self.that(&format!("{} är framme, byte för byte", file.name), same);
        }
        self.that("signaturens logotyp kom inte med som bilaga", message.attachment_count() == attachments().len());
    }

    /// The delivered answer belongs to the conversation: a mail client finds the mail that was sent.
    pub(super) fn answer(&mut self, delivered: &[u8], original: &str) {
        let text = MessageParser::default().parse(delivered).and_then(|message| message.body_text(0).map(std::borrow::Cow::into_owned));
        let text = text.unwrap_or_default();
        self.that("svaret är framme", text.contains(mail::REPLY_SENTENCE));
        self.that("svaret nämner vår referens", text.contains(&format!("dnr {}", mail::REFERENCE)));
        self.that("svarets In-Reply-To är det skickade mejlet", header(delivered, "In-Reply-To").as_deref() == Some(original));
        let references = header(delivered, "References").unwrap_or_default();
        self.that("svarets References slutar med det skickade mejlet", references.split(' ').next_back() == Some(original));
    }

    /// The answer's SDK message answers the first one and gives back its reference (SDK B1.3.3 4.3.2).
    pub(super) fn thread(&mut self, first: &[u8], answer: &[u8]) {
        let read = |xml: &[u8]| message::read(xml, &MessageLimits::default()).ok();
        let (Some(first), Some(answer)) = (read(first), read(answer)) else {
            return self.that("båda SDK-meddelandena går att läsa", false);
        };
        self.that("svarets refToMessageId är det första meddelandet", answer.in_reply_to.as_ref() == Some(&first.message_id));
        self.that("svaret är i samma konversation", answer.conversation_id == first.conversation_id);
        let has = |references: &[Reference]| references.iter().any(|one| one.id.root == "dnr" && one.id.extension.as_str() == mail::REFERENCE);
        self.that("referensen är avsändarens i meddelandet", has(&first.sender.references));
        self.that("referensen är mottagarens i svaret", has(&answer.recipient.references));
    }

    /// A delivery notice says `delivered` for the mail that was sent.
    pub(super) fn notice(&mut self, what: &str, dsn: &[u8], original: &str) {
        let report = header(dsn, "Content-Type").is_some_and(|value| value.contains("multipart/report") && value.contains("delivery-status"));
        let text = String::from_utf8_lossy(dsn);
        let fields = text.contains("Action: delivered") && text.contains("Status: 2.0.0") && text.contains("Original-Envelope-Id: demo-1");
        self.that(&format!("{what}: delivered 2.0.0"), report && fields && text.contains(original));
    }

    /// Prints every check.
    pub(super) fn print(&self, out: &mut (dyn Write + Send)) {
        super::say(out, "Kontroller / Checks");
        for (what, holds) in &self.0 {
            super::say(out, &format!("  {}  {what}", if *holds { "ok " } else { "FEL" }));
        }
    }

    /// Whether everything holds; a demo without checks shows nothing and fails too.
    ///
    /// # Errors
    /// [`DemoError::Failed`] with how many do not.
    pub(super) fn verdict(&self) -> Result<(), DemoError> {
        match self.0.iter().filter(|(_, holds)| !holds).count() {
            0 if !self.0.is_empty() => Ok(()),
            failed => Err(DemoError::Failed(failed)),
        }
    }
}

/// The raw value of a header, unfolded.
pub(super) fn header(mail: &[u8], name: &str) -> Option<String> {
    let message = MessageParser::default().parse(mail)?;
    let value = message.header_raw(name)?;
    Some(value.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{CliError, Exit};

    #[test]
    fn one_check_that_fails_among_many_fails_the_demo_with_exit_code_1() {
        let mut checks = Checks::default();
        assert!(checks.verdict().is_err(), "nothing was checked");
        checks.that("a", true);
        assert!(checks.verdict().is_ok());
        checks.that("b", false);
        checks.that("c", true);
        let error = checks.verdict().unwrap_err();
        assert!(matches!(error, DemoError::Failed(1)));
        assert_eq!(CliError::from(error).exit(), Exit::Failure);
        let mut out = Vec::new();
        checks.print(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "Kontroller / Checks\n  ok   a\n  FEL  b\n  ok   c\n");
    }

    fn failed(checks: &Checks) -> Vec<&str> {
        checks.0.iter().filter(|(_, holds)| !holds).map(|(what, _)| what.as_str()).collect()
    }

    #[test]
    fn a_mail_that_lost_an_octet_of_an_attachment_fails_that_check_alone() {
        let sent = mail::outlook("a@habo.se", "b@x.sdk.habo.se", "<1@habo.se>", jiff::Timestamp::UNIX_EPOCH);
        let text = String::from_utf8(sent).unwrap().replace("[dnr SN 2026/1047] ", "");
        let start = text.rfind("UEsDBB").unwrap();
        let damaged = format!("{}UEsDBC{}", &text[..start], &text[start + 6..]);
        let (mut whole, mut checks) = (Checks::default(), Checks::default());
        whole.mail(text.as_bytes());
        checks.mail(damaged.as_bytes());
        let new: Vec<_> = failed(&checks).into_iter().filter(|what| !failed(&whole).contains(what)).collect();
        assert_eq!(new, ["Planering våren 2027.docx är framme, byte för byte"]);
    }

    #[test]
    fn an_answer_that_does_not_thread_and_a_notice_of_failure_are_found() {
        let reply = mail::reply("b@af.se", "a@habo.se", "<2@af.se>", "<other@habo.se>", "<other@habo.se>", jiff::Timestamp::UNIX_EPOCH);
        let mut checks = Checks::default();
        checks.answer(&reply, "<1@habo.se>");
        let expected =
            ["svaret nämner vår referens", "svarets In-Reply-To är det skickade mejlet", "svarets References slutar med det skickade mejlet"];
        assert_eq!(failed(&checks), expected);
        let notice = b"Content-Type: multipart/report; report-type=delivery-status\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n<1@habo.se> demo-1";
        let mut checks = Checks::default();
        checks.notice("besked", notice, "<1@habo.se>");
        assert_eq!(failed(&checks), ["besked: delivered 2.0.0"]);
    }
}
