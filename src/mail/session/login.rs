//! AUTH: PLAIN (RFC 4616), LOGIN as mail programs speak it, and EXTERNAL (RFC 4422 A), over TLS only.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::{Greeting, Phase, Question, Reply, Security, Session};
use crate::content::Redacted;

/// Failed logins on one connection.
const FAILED_LOGINS: u32 = 3;

/// RFC 4954 4: padded base64 and nothing else in it.
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new());

/// How a client may say who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// User and password in one line.
    Plain,
    /// User and password, asked for one after the other.
    Login,
    /// By the certificate that it has shown.
    External,
}

impl Mechanism {
    /// Its name in SASL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::External => "EXTERNAL",
        }
    }
}

/// What a client says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user and a password; people mistake one field for the other, so neither is shown.
    Password {
        /// The user.
        user: Redacted<String>,
        /// The password.
        password: Redacted<Zeroizing<String>>,
    },
    /// Whoever the certificate is for.
    Certificate {
        /// The name that it wants to act under, when it named one.
        name: Option<String>,
    },
}

/// How far a login has come.
#[derive(Debug)]
pub(super) enum Exchange {
    /// The one line of PLAIN comes.
    Plain,
    /// The user comes.
    User,
    /// The password comes.
    Password(Redacted<String>),
    /// The name of EXTERNAL comes, perhaps empty.
    External,
}

impl Session {
    /// AUTH.
    pub(super) fn log_in(&mut self, args: &str) {
        let (name, initial) = args.split_once(' ').map_or((args, None), |(name, initial)| (name, Some(initial.trim_matches(' '))));
        match self.security {
            // RFC 4954 6: passwords do not cross the network in the clear.
            Security::Offered | Security::Required => return self.fault(Reply::new(538, (7, 11), "STARTTLS comes first")),
            Security::Plain => return self.fault(Reply::new(502, (5, 1), "Command not implemented")),
            Security::Secured if self.mechanisms.is_empty() => return self.fault(Reply::new(502, (5, 1), "Command not implemented")),
            Security::Secured => {}
        }
        if !matches!(self.greeted, Some((Greeting::Ehlo, _))) {
            return self.fault(Reply::new(503, (5, 1), "EHLO comes first"));
        }
        // RFC 4954 4: once, and not within a mail.
        if self.logged_in || self.envelope.is_some() {
            return self.fault(Reply::new(503, (5, 1), "Not now: logged in already, or a mail is under way"));
        }
        let Some(mechanism) = self.mechanisms.iter().copied().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name)) else {
            return self.fault(Reply::new(504, (5, 4), "No such mechanism"));
        };
        let exchange = match mechanism {
            Mechanism::Plain => Exchange::Plain,
            Mechanism::Login => Exchange::User,
            Mechanism::External => Exchange::External,
        };
        match initial {
            // RFC 4954 4: `=` is an initial response of no octets.
            Some("=") => self.respond(exchange, ""),
            Some(initial) => self.respond(exchange, initial),
            None => self.challenge(exchange),
        }
    }

    fn challenge(&mut self, exchange: Exchange) {
        let text = match &exchange {
            Exchange::Plain | Exchange::External => "",
            Exchange::User => "VXNlcm5hbWU6",
            Exchange::Password(_) => "UGFzc3dvcmQ6",
        };
        self.phase = Phase::Login(exchange);
        self.reply(Reply::bare(334, vec![text.to_owned()]));
    }

    /// Takes a line of the client's, in base64.
    pub(super) fn respond(&mut self, exchange: Exchange, line: &str) {
        if line == "*" {
            return self.fault(Reply::new(501, (7, 0), "Login cancelled"));
        }
        let octets = BASE64.decode(line).map(Zeroizing::new);
        let Some(text) = octets.as_ref().ok().and_then(|octets| std::str::from_utf8(octets).ok()) else {
            return self.fault(Reply::new(501, (5, 2), "Not base64 of UTF-8"));
        };
        match exchange {
            Exchange::Plain => match plain(text) {
                Some(credentials) => self.ask(Question::Login(credentials)),
                None => self.fault(Reply::new(501, (5, 2), "Not the form of PLAIN")),
            },
            Exchange::User => self.challenge(Exchange::Password(Redacted(text.to_owned()))),
            Exchange::Password(user) => {
                let password = Redacted(Zeroizing::new(text.to_owned()));
                self.ask(Question::Login(Credentials::Password { user, password }));
            }
            Exchange::External => {
                let name = (!text.is_empty()).then(|| text.to_owned());
                self.ask(Question::Login(Credentials::Certificate { name }));
            }
        }
    }

    /// Whether the client is who it says it is.
    pub(super) fn settle_login(&mut self, answer: Result<(), Reply>) {
        match answer {
            Ok(()) => {
                self.logged_in = true;
                self.idle_commands = 0;
                self.reply(Reply::new(235, (7, 0), "Logged in"));
            }
            Err(reply) => {
                self.failed_logins += 1;
                self.fault(reply);
                if self.failed_logins >= FAILED_LOGINS {
                    self.end(Reply::new(421, (7, 0), "Too many failed logins"));
                }
            }
        }
    }
}

/// RFC 4616 2: `[authzid] NUL authcid NUL passwd`. Nobody acts for another: an authzid must be the authcid.
fn plain(text: &str) -> Option<Credentials> {
    let mut parts = text.split('\0');
    let (acts_as, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    let sound = parts.next().is_none() && !user.is_empty() && !password.is_empty() && (acts_as.is_empty() || acts_as == user);
    sound.then(|| Credentials::Password { user: Redacted(user.to_owned()), password: Redacted(Zeroizing::new(password.to_owned())) })
}
