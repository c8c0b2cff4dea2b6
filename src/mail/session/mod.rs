//! The receiving side of one SMTP connection, without socket and clock: octets in, [`Action`]s out.
//!
//! The driver gives what it read to [`Session::input`] and carries out [`Session::next`] until there is none.
//! When the session asks a [`Question`] it goes on only after [`Session::answer`]; after [`Action::StartTls`] only
//! after [`Session::secured`]. Any chunking of the same octets gives the same dialogue.
//!
//! Against smuggling (CVE-2023-51764): every line ends in CRLF, a bare CR or LF in command or data ends the connection,
//! only `CRLF.CRLF` ends the data, and plaintext that came after STARTTLS is thrown away (RFC 3207 4.2). Octets that BDAT
//! announced are never read as commands, whether they are wanted or not.

mod command;
mod data;
mod envelope;
mod incoming;
mod login;
mod reply;
pub mod timeout;

use std::collections::VecDeque;

pub use envelope::{Body, Charset, Envelope, Greeting, Notify, Occasion, Onward, OriginalRecipient, Recipient, Ret, Sender};
use incoming::{Chunk, Incoming};
use login::Exchange;
pub use login::{Credentials, Mechanism};
pub use reply::Reply;
use zeroize::Zeroizing;

use crate::ident::Domain;

/// Octets of a command line with its CRLF: 512 (RFC 5321 4.5.3.1.4) and room for every parameter that is offered.
const COMMAND_LINE: usize = 2048;
/// Octets of a line within AUTH (RFC 4954 4).
const LOGIN_LINE: usize = 12_288;
/// The first octet of a TLS record that begins a handshake (RFC 8446 5.1).
const TLS_HANDSHAKE: u8 = 0x16;
/// Octets of one endless line after which the connection ends.
const ENDLESS_LINE: usize = 64 * 1024;
/// Refused recipients on one connection: a long list of former addresses is honest, a dictionary is not.
const REFUSED_RECIPIENTS: u32 = 200;

/// Where the connection stands with TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// There is none and none is offered.
    Plain,
    /// STARTTLS is offered.
    Offered,
    /// No mail is taken before STARTTLS.
    Required,
    /// The connection is encrypted.
    Secured,
}

/// What a session promises and bears.
#[derive(Debug, Clone)]
pub struct Options {
    /// Our name.
    pub hostname: Domain,
    /// Where the connection stands with TLS when it begins.
    pub security: Security,
    /// Octets of one mail.
    pub max_message: u64,
    /// Recipients of one mail (RFC 5321 4.5.3.1.8 asks for 100).
    pub max_recipients: usize,
    /// Mails on one connection, those that are refused among them (RFC 9422 4.1).
    pub max_mails: u32,
    /// Faulty commands on one connection.
    pub max_errors: u32,
    /// Whether REQUIRETLS can be kept.
    pub onward: OnwardTls,
}

/// Whether what is accepted goes on encrypted and authenticated, so that REQUIRETLS can be promised (RFC 8689).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnwardTls {
    /// It always does: REQUIRETLS is offered to those who come by TLS.
    Always,
    /// It may not: REQUIRETLS is not offered.
    Uncertain,
}

/// What the driver does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this; replies may be collected until there is no further action (RFC 2920 3.2).
    Reply(Reply),
    /// Decide this and call [`Session::answer`].
    Ask(Question),
    /// Keep this, a piece of the mail.
    Data(Vec<u8>),
    /// Forget the pieces: this mail is refused.
    Discard,
    /// Send what is collected, shake hands, call [`Session::secured`].
    StartTls,
    /// The client went on after it could have read our `250` for the last mail: it knows that the mail is ours (RFC 1047).
    Confirmed,
    /// Send what is collected and close.
    Close,
}

/// What the session cannot decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// May this client send in this name? It stands in [`Session::envelope`].
    Sender,
    /// Is the mail taken for this recipient?
    Recipient(Recipient),
    /// Is the client who it says it is?
    Login(Credentials),
    /// Is there room for the mail? Pieces follow.
    Data,
    /// The mail is complete: is it ours now? Whoever says yes has made it durable.
    Message,
}

/// What the next octets are, for the driver's timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expects {
    /// A command.
    Command,
    /// A piece of a mail, or the command that announces one.
    Data,
}

#[derive(Debug)]
enum Phase {
    Command,
    Asked(Question),
    /// A line of AUTH comes.
    Login(Exchange),
    /// The mail comes, after DATA.
    Data(Incoming),
    /// A chunk comes, after BDAT.
    Chunk(Chunk),
    StartTls,
    Closed,
}

/// One SMTP connection, seen from the server.
#[derive(Debug)]
pub struct Session {
    options: Options,
    security: Security,
    phase: Phase,
    greeted: Option<(Greeting, String)>,
    envelope: Option<Envelope>,
    /// The mail that comes in chunks, from its first BDAT to its last.
    chunks: Option<Incoming>,
    /// The first chunk, while it is asked whether there is room for the mail.
    first_chunk: Option<Chunk>,
    /// How the client may log in.
    mechanisms: Vec<Mechanism>,
    logged_in: bool,
    failed_logins: u32,
    actions: VecDeque<Action>,
    /// What has come and is not read yet; its first octet is the `read`-th of the connection.
    buffer: Vec<u8>,
    read: u64,
    /// Octets of an overlong line that were thrown away, while its end has not come.
    overlong: Option<usize>,
    /// How much had come when the last mail was taken: what comes from there on confirms it.
    unconfirmed: Option<u64>,
    errors: u32,
    refused_recipients: u32,
    idle_commands: u32,
    mails: u32,
}

impl Session {
    /// A connection that has just been made; its first action is the greeting.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let greeting = Reply::bare(220, vec![format!("{} ESMTP brevbro", options.hostname)]);
        Self {
            security: options.security,
            options,
            phase: Phase::Command,
            greeted: None,
            envelope: None,
            chunks: None,
            first_chunk: None,
            mechanisms: Vec::new(),
            logged_in: false,
            failed_logins: 0,
            actions: VecDeque::from([Action::Reply(greeting)]),
            buffer: Vec::new(),
            read: 0,
            overlong: None,
            unconfirmed: None,
            errors: 0,
            refused_recipients: 0,
            idle_commands: 0,
            mails: 0,
        }
    }

    /// Takes octets that the client sent. They are kept until [`Self::next`] reads them, so a driver reads a socket
    /// only when there is no action left.
    pub fn input(&mut self, octets: &[u8]) {
        // Between STARTTLS and the handshake, and after the end, nothing that comes counts.
        if !matches!(self.phase, Phase::StartTls | Phase::Closed) {
            self.buffer.extend_from_slice(octets);
        }
    }

    /// The next action; none when the session waits for input, for an answer or for the handshake.
    #[expect(clippy::should_implement_trait, reason = "no iterator: input and answers come between two calls")]
    pub fn next(&mut self) -> Option<Action> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Some(action);
            }
            let read_on = match self.phase {
                Phase::Command | Phase::Login(_) => self.read_line(),
                Phase::Data(_) => self.read_data(),
                Phase::Chunk(_) => self.read_chunk(),
                Phase::Asked(_) | Phase::StartTls | Phase::Closed => false,
            };
            if !read_on {
                return self.actions.pop_front();
            }
        }
    }

    /// The transaction that is open.
    #[must_use]
    pub fn envelope(&self) -> Option<&Envelope> {
        self.envelope.as_ref()
    }

    /// What the next octets are.
    #[must_use]
    pub fn expects(&self) -> Expects {
        if matches!(self.phase, Phase::Data(_) | Phase::Chunk(_)) || self.chunks.is_some() { Expects::Data } else { Expects::Command }
    }

    /// Answers the question that stands: `Ok` grants it (with the text of the reply to [`Question::Message`],
    /// which the others ignore), `Err` refuses it with a negative reply; a closing one ends the connection.
    pub fn answer(&mut self, answer: Result<String, Reply>) {
        let question = match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Asked(question) => question,
            // No question stands: nothing changes.
            other => {
                self.phase = other;
                return;
            }
        };
        match (question, answer) {
            (Question::Sender, Ok(_)) => self.reply(Reply::new(250, (1, 0), "Sender ok")),
            (Question::Recipient(recipient), Ok(_)) => {
                if let Some(envelope) = &mut self.envelope {
                    envelope.recipients.push(recipient);
                }
                self.reply(Reply::new(250, (1, 5), "Recipient ok"));
            }
            (Question::Recipient(_), Err(reply)) => {
                self.refused_recipients += 1;
                self.reply(reply);
                if self.refused_recipients > REFUSED_RECIPIENTS {
                    self.end(Reply::new(421, (7, 0), "Too many refused recipients"));
                }
            }
            (Question::Login(_), answer) => self.settle_login(answer.map(|_| ())),
            (Question::Data, answer) if self.first_chunk.is_some() => self.begin_chunks(answer.map(|_| ())),
            (Question::Data, Ok(_)) => {
                self.phase = Phase::Data(Incoming::dotted());
                self.reply(Reply::bare(354, vec!["Send the mail, end it with a dot on a line of its own".to_owned()]));
            }
            (Question::Message, Ok(text)) => {
                self.envelope = None;
                self.chunks = None;
                self.idle_commands = 0;
                self.unconfirmed = Some(self.read + self.buffer.len() as u64);
                self.reply(Reply::accepted(&text));
            }
            (Question::Sender | Question::Data | Question::Message, Err(reply)) => {
                self.envelope = None;
                self.chunks = None;
                self.reply(reply);
            }
        }
    }

    /// The mail that is coming in cannot be kept: the rest of it is thrown away and the reply given at its end.
    pub fn refuse_data(&mut self, reply: Reply) {
        if let Some(incoming) = self.incoming()
            && incoming.refused.is_none()
        {
            incoming.refused = Some(reply);
            self.actions.push_back(Action::Discard);
        }
    }

    /// The handshake is done, after STARTTLS or before the first octet: the client begins anew (RFC 3207 4.2) and may
    /// log in by these.
    pub fn secured(&mut self, mechanisms: Vec<Mechanism>) {
        if matches!(self.phase, Phase::StartTls) || (self.security == Security::Secured && self.greeted.is_none()) {
            self.phase = Phase::Command;
            self.security = Security::Secured;
            self.mechanisms = mechanisms;
            self.greeted = None;
            self.envelope = None;
        }
    }

    /// Ends the connection from our side, with a reply of code 421 (RFC 5321 3.8).
    pub fn end(&mut self, reply: Reply) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        self.forget();
        self.actions.push_back(Action::Reply(reply));
        self.close();
    }

    /// The mail that is under way, in whichever form it comes.
    fn incoming(&mut self) -> Option<&mut Incoming> {
        match &mut self.phase {
            Phase::Data(incoming) => Some(incoming),
            _ => self.chunks.as_mut(),
        }
    }

    /// Ends the transaction without a mail.
    fn forget(&mut self) {
        if self.incoming().is_some_and(|incoming| incoming.refused.is_none()) {
            self.actions.push_back(Action::Discard);
        }
        self.envelope = None;
        self.chunks = None;
        self.first_chunk = None;
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.buffer = Vec::new();
        self.actions.push_back(Action::Close);
    }

    fn reply(&mut self, reply: Reply) {
        let closing = reply.is_closing();
        self.actions.push_back(Action::Reply(reply));
        if closing {
            self.close();
        }
    }

    /// A reply to a faulty command.
    fn fault(&mut self, reply: Reply) {
        self.reply(reply);
        self.errors += 1;
        if self.errors > self.options.max_errors {
            self.end(Reply::new(421, (7, 0), "Too many errors"));
        }
    }

    fn ask(&mut self, question: Question) {
        self.phase = Phase::Asked(question.clone());
        self.actions.push_back(Action::Ask(question));
    }

    /// Takes the first `count` octets off the buffer.
    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(count.min(self.buffer.len()));
        let taken = std::mem::replace(&mut self.buffer, rest);
        self.read += taken.len() as u64;
        taken
    }

    /// Reads one line, if a whole one is there; whether anything was read.
    fn read_line(&mut self) -> bool {
        if self.greeted.is_none() && self.overlong.is_none() && self.buffer.first() == Some(&TLS_HANDSHAKE) {
            self.end(Reply::new(500, (5, 1), "TLS begins with STARTTLS here, closing the connection"));
            return true;
        }
        // The first octet that can end a line tells whether it does.
        let Some(at) = self.buffer.iter().position(|b| matches!(b, b'\r' | b'\n')) else {
            return self.cut_overlong(self.buffer.len());
        };
        if self.overlong.unwrap_or(0) + at > ENDLESS_LINE {
            return self.cut_overlong(at);
        }
        let whole = match (self.buffer.get(at), self.buffer.get(at + 1)) {
            (Some(b'\r'), None) => return self.cut_overlong(at),
            (Some(b'\r'), Some(b'\n')) => true,
            _ => false,
        };
        if !whole {
            self.end(Reply::new(500, (5, 2), "Bare CR or LF: lines end in CRLF, closing the connection"));
            return true;
        }
        self.confirm();
        // It may hold a password.
        let mut line = Zeroizing::new(self.take(at + 2));
        line.truncate(at);
        if self.overlong.take().is_some() || at + 2 > self.line_limit() {
            self.too_long();
            return true;
        }
        match std::str::from_utf8(&line) {
            Ok(line) if !line.contains(char::is_control) => self.heard(line),
            _ => self.fault(Reply::new(500, (5, 2), "Unreadable characters")),
        }
        true
    }

    fn heard(&mut self, line: &str) {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Login(exchange) => self.respond(exchange, line),
            _ => self.command(line),
        }
    }

    fn line_limit(&self) -> usize {
        if matches!(self.phase, Phase::Login(_)) { LOGIN_LINE } else { COMMAND_LINE }
    }

    fn too_long(&mut self) {
        let reply = match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Login(_) => Reply::new(500, (5, 6), "Line of the login too long"),
            _ => Reply::new(500, (5, 2), "Line too long"),
        };
        self.fault(reply);
    }

    /// What is read next may tell that the client knows of the last mail. What came before our reply tells nothing:
    /// Postfix sends QUIT along with the final dot.
    fn confirm(&mut self) {
        if self.unconfirmed.is_some_and(|from| self.read >= from) {
            self.unconfirmed = None;
            self.actions.push_back(Action::Confirmed);
        }
    }

    /// Throws away what is too long to be a command, so that memory stays bounded; whether the connection ended.
    fn cut_overlong(&mut self, octets: usize) -> bool {
        let seen = self.overlong.unwrap_or(0) + octets;
        if seen > ENDLESS_LINE {
            self.end(Reply::new(421, (5, 2), "Line without end"));
            return true;
        }
        if self.overlong.is_some() || octets > self.line_limit() {
            self.take(octets);
            self.overlong = Some(seen);
        }
        false
    }
}

fn too_large(octets: u64, limit: u64) -> Reply {
    Reply::new(552, (3, 4), format!("The mail of {octets} octets is over the limit of {limit}"))
}

#[cfg(test)]
mod tests;
