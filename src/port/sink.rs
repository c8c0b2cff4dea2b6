//! Handing a mail to the internal mail server.

use super::Pending;
use crate::ident::{MailAddress, MessageId};

/// One mail for one recipient.
pub struct Delivery {
    /// `MAIL FROM`; `None` is `<>`.
    pub from: Option<MailAddress>,
    /// `RCPT TO`.
    pub to: MailAddress,
    /// The mail, with CRLF line ends.
    pub message: Vec<u8>,
    /// The message that a notice about the mail shall name (`ENVID`, RFC 3461 4.4).
    pub id: Option<MessageId>,
}

/// The mail server took the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkAnswer {
    /// Its words, for the journal.
    pub text: String,
}

/// The mail server did not take the mail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// It said no for now (4xx), or could not be reached. Try again.
    #[error("the mail server deferred the mail: {0}")]
    Temporary(String),
    /// It said no for good (5xx).
    #[error("the mail server refused the mail: {0}")]
    Permanent(String),
    /// The connection broke after the mail was sent and before the answer came: it may have been taken.
    #[error("the mail server's answer was missed: {0}")]
    Unknown(String),
}

impl SinkError {
    /// Whether it is the server itself that does not work, as far as can be told: it gave no answer, or one for now that names
    /// neither the address nor the mailbox (RFC 3463 3.2, 3.3).
    #[must_use]
    pub fn is_of_the_server(&self) -> bool {
        match self {
            Self::Permanent(_) => false,
            Self::Temporary(text) | Self::Unknown(text) => !matches!(enhanced(text), Some((1 | 2 | 7, _))),
        }
    }

    /// What the operator may look at, by the enhanced status code that the mail server gave (RFC 3463 3).
    #[must_use]
    pub fn hint(&self) -> &'static str {
        let (Self::Temporary(text) | Self::Permanent(text) | Self::Unknown(text)) = self;
        match enhanced(text) {
            Some((1, _)) => "the mail server does not know the address: make the mailbox, or name another one with deliver-to",
            Some((2, 2)) => "the mailbox is full: make room in it",
            Some((2, 1)) => "the mailbox is closed: open it, or name another one with deliver-to",
            Some((2 | 3, 3 | 4)) => "let the mail server take mails of 45 MB from the gateway: a message of 30 MB becomes one",
            Some((7, _)) => "the mail server's rules do not let the gateway send to the mailbox",
            _ => "see the mail server's log; the message is kept and the sender has been told ACCEPTED",
        }
    }
}

/// Subject and detail of the first enhanced status code in an answer.
fn enhanced(text: &str) -> Option<(u16, u16)> {
    text.split_ascii_whitespace().find_map(|word| {
        let mut parts = word.split('.').map(|part| part.parse::<u16>().ok().filter(|_| part.len() <= 3));
        let (class, subject, detail) = (parts.next()??, parts.next()??, parts.next()??);
        ((class == 4 || class == 5) && parts.next().is_none()).then_some((subject, detail))
    })
}

/// Delivers mail.
pub trait MailSink: Send + Sync {
    /// Hands the mail over; durable there when it returns.
    fn deliver(&self, delivery: Delivery) -> Pending<'_, Result<SinkAnswer, SinkError>>;

    /// Hands a mail over that may be there already: how an earlier attempt ended is unknown. A sink that can look for the
    /// mail does; the others hand it over once more.
    fn deliver_again(&self, delivery: Delivery) -> Pending<'_, Result<SinkAnswer, SinkError>> {
        self.deliver(delivery)
    }

    /// Takes leave of the mail server, at the end of the program.
    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_mailbox_is_not_a_server_that_is_down() {
        let temporary = |text: &str| SinkError::Temporary(text.to_owned()).is_of_the_server();
        assert!(temporary("mail.habo.se:25: connect: no answer in time") && temporary("421 4.3.2 shutting down") && temporary("451 later"));
        assert!(!temporary("RCPT: transient error (452): 4.2.2 over quota") && !temporary("450 4.1.1 unknown for now"));
        assert!(SinkError::Unknown("the mail: broken pipe".into()).is_of_the_server() && !SinkError::Permanent("554 no".into()).is_of_the_server());
    }

    #[test]
    fn the_hint_follows_the_enhanced_code_and_nothing_that_looks_like_one() {
        let hint = |text: &str| SinkError::Permanent(text.to_owned()).hint();
        assert!(hint("RCPT: permanent error (550): 5.1.1 <a@b.se>: unknown").contains("does not know"));
        assert!(hint("RCPT: transient error (452): 4.2.2 over quota").contains("full"));
        assert!(hint("5.3.4 the mail has 50000000 octets, the mail server takes at most 10000000").contains("45 MB"));
        assert!(hint("MAIL: permanent error (550): 5.7.60 SMTP; Client does not have permissions to send as this sender").contains("rules"));
        for other in ["554 no 5.1.1.9 127.0.0.1 5.1", "550 what", "4.x.1", "2.1.1 fine"] {
            assert!(hint(other).contains("log"), "{other}");
        }
    }
}
