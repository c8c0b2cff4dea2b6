//! What must be right at the end.

use std::io::Write;

use mail_parser::{MessageParser, MimeHeaders};

use super::mail::{self, attachments};

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
        self.that("referensen är framme", text.contains("SN 2026/1047"));
        for file in attachments() {
            let same = message.attachments().any(|part| part.attachment_name() == Some(file.name) && part.contents() == file.body);
            self.that(&format!("{} är framme, byte för byte", file.name), same);
        }
        self.that("signaturens logotyp kom inte med som bilaga", message.attachment_count() == attachments().len());
    }

    /// The delivered answer belongs to the conversation.
    pub(super) fn answer(&mut self, delivered: &[u8], original: &str) {
        let text = MessageParser::default().parse(delivered).and_then(|message| message.body_text(0).map(std::borrow::Cow::into_owned));
        self.that("svaret är framme", text.is_some_and(|text| text.contains(mail::REPLY_SENTENCE)));
        let threads = ["In-Reply-To", "References"].iter().any(|name| header(delivered, name).is_some_and(|value| value.contains(original)));
        self.that("svaret hör till tråden", threads);
    }

    /// A delivery notice says `delivered` for the mail that was sent.
    pub(super) fn notice(&mut self, what: &str, dsn: &[u8], original: &str) {
        let report = header(dsn, "Content-Type").is_some_and(|value| value.contains("multipart/report") && value.contains("delivery-status"));
        let text = String::from_utf8_lossy(dsn);
        let fields = text.contains("Action: delivered") && text.contains("Status: 2.0.0") && text.contains("Original-Envelope-Id: demo-1");
        self.that(&format!("{what}: delivered 2.0.0"), report && fields && text.contains(original));
    }

    /// Prints every check; how many failed.
    pub(super) fn print(&self, out: &mut (dyn Write + Send)) -> usize {
        for (what, holds) in &self.0 {
            super::say(out, &format!("  {}  {what}", if *holds { "ok " } else { "FEL" }));
        }
        self.0.iter().filter(|(_, holds)| !holds).count()
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
