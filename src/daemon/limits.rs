//! Every limit of the gateway, in one list: what is limited, how much there is, what is answered when it is used up, and who
//! hears of it. `docs/limits.md` is made of it.

use std::fmt::Write as _;

use crate::config::default_of;
use crate::edge::smtp_server::MAX_ERRORS;
use crate::mail::session::timeout::DATA;
use crate::store::Reserve;
use crate::worker::{FAILED_LOGINS, FOR_ROOM, PASSWORDS_AT_ONCE};

/// One limit.
struct Row {
    what: &'static str,
    of: &'static str,
    most: Most,
    then: &'static str,
    told: Told,
}

/// How much there is.
enum Most {
    /// An option sets it.
    Option(&'static str),
    /// An option sets it for all, and another for one of them.
    Either(&'static str, &'static str),
    /// An option sets it, and without that it is so much.
    LeftOut(&'static str, String),
    /// It is fixed.
    Fixed(String),
}

/// Who hears of it, besides whoever is put off.
#[derive(Clone, Copy)]
enum Told {
    /// The operator, once when it is reached and once when it is over.
    Once,
    /// The operator, when it lasts.
    WhenItLasts,
    /// The log has it.
    Log,
    /// The journal has it, with the message that it is about.
    Journal,
    /// The sender gets the reason.
    Sender,
    /// Nobody.
    Nobody,
}

impl Told {
    const fn word(self) -> &'static str {
        match self {
            Self::Once => "operator, once",
            Self::WhenItLasts => "operator, when it lasts",
            Self::Log => "log",
            Self::Journal => "journal",
            Self::Sender => "sender",
            Self::Nobody => "nobody",
        }
    }
}

/// The list as Markdown: a table for each part.
#[must_use]
pub fn list() -> String {
    let mut text = String::new();
    for (title, rows) in
        [("Organisations and mailboxes", owners()), ("What all share", shared()), ("Mail in", mail()), ("AS4 in", as4()), ("Sizes", sizes())]
    {
        // A text takes what is written to it.
        let _ = writeln!(text, "### {title}\n\n| what | of | how much | when it is reached | who is told |\n|---|---|---|---|---|");
        for Row { what, of, most, then, told } in rows {
            let most = match most {
                Most::Option(path) => format!("`{path}`: {}", default(path)),
                Most::Either(path, own) => format!("`{path}`: {}; of one: `{own}`", default(path)),
                Most::LeftOut(path, most) => format!("`{path}`: {most}"),
                Most::Fixed(text) => text,
            };
            let _ = writeln!(text, "| {what} | {of} | {most} | {then} | {} |", told.word());
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len() + 1);
    text
}

fn default(path: &str) -> String {
    default_of(path).map_or_else(|| "(no such option)".to_owned(), |default| default.trim_matches('"').to_owned())
}

const fn row(what: &'static str, of: &'static str, most: Most, then: &'static str, told: Told) -> Row {
    Row { what, of, most, then, told }
}

fn owners() -> Vec<Row> {
    let later = "SMTP: `452 4.2.2` to MAIL; AS4: HTTP 507, Retry-After 60; outbox folder: the mail stays in it. Message receipts are taken";
    let mails = "SMTP: `452 4.2.2` to MAIL; outbox folder: the mail stays in it. What comes to it is taken";
    vec![
        row(
            "messages under way, both directions",
            "organisation",
            Most::Either("limits.max-waiting", "organisation.limits.max-waiting"),
            later,
            Told::Once,
        ),
        row(
            "messages that wait to be opened",
            "organisation",
            Most::Either("limits.max-unopened", "organisation.limits.max-unopened"),
            "AS4: HTTP 507, Retry-After 60. Message receipts are taken",
            Told::Once,
        ),
        row(
            "octets of messages, as they came in, until retention deletes their content",
            "organisation",
            Most::Either("limits.max-stored", "organisation.limits.max-stored"),
            later,
            Told::Once,
        ),
        row(
            "messages under way, both directions",
            "mailbox",
            Most::Either("limits.max-mailbox-waiting", "organisation.mailbox.limits.max-waiting"),
            mails,
            Told::Once,
        ),
        row(
            "octets of messages, as they came in, until retention deletes their content",
            "mailbox",
            Most::Either("limits.max-mailbox-stored", "organisation.mailbox.limits.max-stored"),
            mails,
            Told::Once,
        ),
        row(
            "mails that come in at once by SMTP",
            "mailbox",
            Most::Either("limits.max-mailbox-at-once", "organisation.mailbox.limits.max-at-once"),
            "`451 4.4.5` to DATA",
            Told::Once,
        ),
        row("mails in a minute", "sender", Most::Option("smtp.pace.mails-per-minute"), "`450 4.7.1` to MAIL", Told::Log),
        row("mails in an hour", "sender", Most::Option("smtp.pace.mails-per-hour"), "`450 4.7.1` to MAIL", Told::Log),
        row("recipients in a minute", "sender", Most::Option("smtp.pace.recipients-per-minute"), "`450 4.7.1` to RCPT", Told::Log),
        row("recipients in an hour", "sender", Most::Option("smtp.pace.recipients-per-hour"), "`450 4.7.1` to RCPT", Told::Log),
        row(
            "messages in `loops.window`",
            "pair of functions",
            Most::Either("loops.messages", "organisation.mailbox.loop-messages"),
            "what goes out is held and goes on by itself",
            Told::Once,
        ),
    ]
}

fn shared() -> Vec<Row> {
    // Compared with the text below when it is compiled.
    const { assert!(FOR_ROOM.as_secs() == 4 * 60) };
    vec![
        row(
            "octets of memory for messages that are held whole; the organisation that holds least comes first",
            "node",
            Most::Option("memory"),
            "steps wait; SMTP: after 4 minutes `452 4.3.1` to the mail; outbox folder: it waits",
            Told::Once,
        ),
        row(
            "octets of the disk of `state-dir` that stay free",
            "node",
            Most::LeftOut("store.reserve", format!("{} MB", Reserve::default().octets() / 1_000_000)),
            "SMTP: `452 4.3.1`; AS4: HTTP 503, Retry-After 30; outbox folder: the mail stays in it; what is under way is tried again",
            Told::WhenItLasts,
        ),
        row("connections to PostgreSQL", "node", Most::Option("store.max-connections"), "the next step waits", Told::Nobody),
    ]
}

fn mail() -> Vec<Row> {
    vec![
        row("connections", "SMTP server", Most::Option("smtp.max-connections"), "`421 4.7.0` before the greeting", Told::Once),
        row("connections", "client address", Most::Option("smtp.max-connections-per-address"), "`421 4.7.0` before the greeting", Told::Once),
        row("mails", "connection", Most::Option("smtp.max-mails"), "`421 4.7.0`: the client goes on with another connection", Told::Nobody),
        row("recipients", "mail", Most::Option("smtp.max-recipients"), "`452 4.5.3` to RCPT; outbox folder: a notice to the writer", Told::Sender),
        row("faulty commands", "connection", Most::Fixed(MAX_ERRORS.to_string()), "`421 4.7.0`", Told::Nobody),
        row("silence", "client", Most::Option("smtp.timeout"), "`421 4.4.2`", Told::Nobody),
        row("time of a whole mail", "mail", Most::Fixed(format!("{} min", DATA.as_secs() / 60)), "`421 4.4.2`", Told::Nobody),
        row(
            "failed logins in ten minutes",
            "client address",
            Most::Fixed(FAILED_LOGINS.to_string()),
            "`454 4.7.0` to AUTH, until they are older",
            Told::Log,
        ),
        row("passwords that are checked at once", "node", Most::Fixed(PASSWORDS_AT_ONCE.to_string()), "the next one waits", Told::Nobody),
    ]
}

fn as4() -> Vec<Row> {
    vec![
        row(
            "connections",
            "endpoint",
            Most::Option("access-point.max-connections"),
            "one that has sent no request makes room, the oldest of the address that has most; else the new one is closed",
            Told::Once,
        ),
        row(
            "connections",
            "client address",
            Most::Option("access-point.max-connections-per-address"),
            "its own oldest that has sent no request makes room; else the new one is closed",
            Told::Once,
        ),
        row(
            "requests that come in or are worked on",
            "client: its certificate, or else its address",
            Most::Option("access-point.max-requests-per-client"),
            "HTTP 503, Retry-After 10",
            Told::Once,
        ),
        row("silence", "client", Most::Option("access-point.silence-timeout"), "HTTP 408, or the connection is closed", Told::Nobody),
        row("time of a body", "request", Most::Option("access-point.request-timeout"), "HTTP 408", Told::Nobody),
        row("head", "request", Most::Fixed("32 KiB, 64 fields".to_owned()), "HTTP 431", Told::Nobody),
    ]
}

fn sizes() -> Vec<Row> {
    vec![
        row(
            "SDK message that is sent, octets",
            "message",
            Most::Option("smtp.max-message"),
            "`552 5.3.4`; outbox folder: a notice to the writer",
            Told::Sender,
        ),
        row(
            "SDK message that is received, octets",
            "message",
            Most::Option("max-incoming-message"),
            "message receipt REJECTED, BV too-long",
            Told::Journal,
        ),
        row(
            "envelope that is received, octets",
            "AS4 message",
            Most::Option("access-point.max-envelope"),
            "EBMS:0303; of the request's body, 2 MiB more: HTTP 413",
            Told::Journal,
        ),
    ]
}
