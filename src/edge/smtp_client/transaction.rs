//! One mail over one connection.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::response::Response;
use tokio::time::timeout;

use super::ClientTimeouts;
use super::hello::Offers;
use crate::ident::MessageId;
use crate::port::{SinkAnswer, SinkError};

/// One mail for one recipient.
pub(super) struct Transaction<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    /// What a notice about it shall name it by.
    pub(super) id: Option<&'a MessageId>,
    pub(super) message: &'a [u8],
}

/// How a transaction failed.
pub(super) enum Broke {
    /// The server said so, and goes on.
    Refused(SinkError),
    /// The server said so, and goes away.
    Closing(SinkError),
    /// The connection broke before the final dot had left.
    Early(String),
    /// The final dot had left, or may have.
    Late(String),
}

/// A connection that is ready for MAIL.
pub(super) struct Connection {
    smtp: AsyncSmtpConnection,
    offers: Offers,
    /// Whether the final dot of a mail was given to the network.
    ended: Arc<AtomicBool>,
}

impl Connection {
    pub(super) fn new(smtp: AsyncSmtpConnection, offers: Offers, ended: Arc<AtomicBool>) -> Self {
        Self { smtp, offers, ended }
    }

    /// Whether the server still listens; what an earlier mail left behind is gone then.
    pub(super) async fn is_alive(&mut self, limit: Duration) -> bool {
        matches!(timeout(limit, self.smtp.command("RSET\r\n")).await, Ok(Ok(answer)) if answer.has_code(250))
    }

    /// Says goodbye; there is nothing to lose any more.
    pub(super) async fn quit(mut self) {
        drop(timeout(Duration::from_secs(2), self.smtp.quit()).await);
    }

    pub(super) async fn send(&mut self, mail: &Transaction<'_>, timeouts: &ClientTimeouts) -> Result<SinkAnswer, Broke> {
        self.ended.store(false, Ordering::SeqCst);
        let (of_mail, of_recipient) = self.parameters(mail)?;
        self.command("MAIL", format!("MAIL FROM:<{}>{of_mail}\r\n", mail.from), timeouts).await?;
        self.command("RCPT", format!("RCPT TO:<{}>{of_recipient}\r\n", mail.to), timeouts).await?;
        let ready = self.command("DATA", "DATA\r\n".to_owned(), timeouts).await?;
        if !ready.has_code(354) {
            return Err(Broke::Early(format!("DATA was answered with {}", words(&ready))));
        }
        // In LMTP there is one answer for each recipient (RFC 2033 4.2), and there is one recipient.
        let sent = timeout(timeouts.message, self.smtp.message(mail.message)).await;
        match sent {
            Ok(Ok(answer)) if answer.has_code(250) => Ok(SinkAnswer { text: words(&answer) }),
            Ok(Ok(answer)) => Err(self.broke(format!("the mail was answered with {}", words(&answer)))),
            Ok(Err(error)) => Err(self.judged("the mail", &error)),
            Err(_) => Err(self.broke("no answer to the mail in time".to_owned())),
        }
    }

    /// The parameters of MAIL and RCPT, as far as the server offers what they belong to. What the mail cannot do without and the
    /// server does not offer is a refusal, before anything is sent.
    fn parameters(&self, mail: &Transaction<'_>) -> Result<(String, String), Broke> {
        let head = mail.message.windows(4).position(|w| w == b"\r\n\r\n").map_or(mail.message, |end| mail.message.get(..end).unwrap_or_default());
        let refused = |why: String| Broke::Refused(SinkError::Permanent(why));
        let lacks = |extension: &str| refused(format!("the mail needs {extension}, which the mail server does not offer"));
        let (mut of_mail, mut of_recipient) = (String::new(), String::new());
        // RFC 6531 3.4
        if !mail.from.is_ascii() || !mail.to.is_ascii() || !head.is_ascii() {
            self.offers.parameters("SMTPUTF8").ok_or_else(|| lacks("SMTPUTF8"))?;
            of_mail += " SMTPUTF8";
        }
        if !mail.message.is_ascii() {
            self.offers.parameters("8BITMIME").ok_or_else(|| lacks("8BITMIME"))?;
            of_mail += " BODY=8BITMIME";
        }
        if self.offers.has("SIZE") {
            let size = mail.message.len() as u64 + 2;
            if let Some(largest) = self.offers.largest().filter(|largest| size > *largest) {
                return Err(refused(format!("5.3.4 the mail has {size} octets, the mail server takes at most {largest}")));
            }
            let _ = write!(of_mail, " SIZE={size}");
        }
        if self.offers.has("DSN") {
            // RFC 3461 4.3: the content is secret. 4.1: nobody waits for a notice about a mail without a sender.
            of_mail += " RET=HDRS";
            if let Some(id) = mail.id {
                let _ = write!(of_mail, " ENVID={}", id.folded());
            }
            of_recipient += if mail.from.is_empty() { " NOTIFY=NEVER" } else { " NOTIFY=FAILURE" };
            if let Some(address) = xtext(mail.to) {
                let _ = write!(of_recipient, " ORCPT=rfc822;{address}");
            }
        }
        Ok((of_mail, of_recipient))
    }

    async fn command(&mut self, name: &'static str, line: String, timeouts: &ClientTimeouts) -> Result<Response, Broke> {
        match timeout(timeouts.command, self.smtp.command(line)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.judged(name, &error)),
            Err(_) => Err(Broke::Early(format!("no answer to {name} in time"))),
        }
    }

    fn judged(&self, to: &str, error: &lettre::transport::smtp::Error) -> Broke {
        let text = format!("{to}: {error}");
        match error.status().map(u16::from) {
            // 530, 534, 535, 538: it wants TLS or a login; that is settings, not the mail (RFC 3207 4, RFC 4954 6).
            Some(530 | 534 | 535 | 538) => Broke::Closing(SinkError::Temporary(text)),
            // In answer to the whole mail it is a plain "not now": the server says that it did not take it.
            Some(421) if self.ended.load(Ordering::SeqCst) => Broke::Closing(SinkError::Temporary(text)),
            // It is going down, or was about to when it was asked.
            Some(421) => Broke::Early(text),
            Some(code) if code >= 500 => Broke::Refused(SinkError::Permanent(text)),
            Some(_) => Broke::Refused(SinkError::Temporary(text)),
            None => self.broke(text),
        }
    }

    fn broke(&self, reason: String) -> Broke {
        if self.ended.load(Ordering::SeqCst) { Broke::Late(reason) } else { Broke::Early(reason) }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

fn words(response: &Response) -> String {
    format!("{} {}", response.code(), response.message().collect::<Vec<_>>().join(" "))
}

/// An address as xtext (RFC 3461 4); `None` when it is not ASCII.
fn xtext(address: &str) -> Option<String> {
    let mut text = String::with_capacity(address.len());
    for c in address.chars() {
        match c {
            '+' | '=' => drop(write!(text, "+{:02X}", u32::from(c))),
            '!'..='~' => text.push(c),
            _ => return None,
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_xtext() {
        assert_eq!(xtext("a=3Ab+c@habo.se").unwrap(), "a+3D3Ab+2Bc@habo.se");
        assert_eq!((xtext("åsa@habo.se"), xtext("a b@habo.se")), (None, None));
    }
}
