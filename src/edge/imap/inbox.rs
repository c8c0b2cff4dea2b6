//! A folder that gets messages, by APPEND: a [`MailSink`] for servers that take no SMTP from here, or to put messages beside
//! the inbox.
//!
//! An APPEND whose answer is missed may have happened (the IMAP form of RFC 1047). The next attempt at the same mail then
//! looks for its Message-ID first, which is the same at every attempt.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex as PlainMutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use mail_parser::MessageParser;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::session::{AppendError, Session};
use super::{ImapError, ImapOptions};
use crate::mail::imap::refusal::Why;
use crate::port::{Delivery, MailSink, Pending, SinkAnswer, SinkError};

/// How long a session may rest; servers end theirs after ten minutes and more.
const REST: Duration = Duration::from_mins(2);
/// How long a server is left alone that says that too much was asked of it, and not for how long.
const THROTTLED: Duration = Duration::from_mins(5);

/// Where messages go.
#[derive(Clone)]
pub struct InboxOptions {
    /// The mailbox.
    pub account: ImapOptions,
    /// The folder.
    pub folder: String,
    /// Whether it is made when it is not there.
    pub create: Creation,
    /// The flags that a message gets, `\Flagged`; none leaves it unread.
    pub flags: Vec<String>,
}

/// What to do about a folder that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// Make it.
    Allowed,
    /// Wait for somebody to make it.
    Forbidden,
}

/// A [`MailSink`] that puts mails into a folder.
pub struct ImapSink {
    options: InboxOptions,
    resting: Mutex<Option<(Instant, Session)>>,
    /// The server asked to be left alone until then.
    quiet_until: PlainMutex<Option<Instant>>,
    /// Message-IDs of mails that were handed over without an answer since the start.
    unanswered: PlainMutex<HashSet<String>>,
}

impl ImapSink {
    /// A sink; it connects when there is something to deliver.
    #[must_use]
    pub fn new(options: InboxOptions) -> Self {
        Self { options, resting: Mutex::new(None), quiet_until: PlainMutex::default(), unanswered: PlainMutex::default() }
    }

    async fn hand_over(&self, delivery: Delivery, earlier: Earlier) -> Result<SinkAnswer, SinkError> {
        let place = || format!("{}: ", self.options.account.place());
        self.check_quiet().map_err(|left| SinkError::Temporary(format!("{}it asked to be left alone, {} s more", place(), left.as_secs())))?;
        let head = MessageParser::default().parse_headers(delivery.message.as_slice());
        let id = head.as_ref().and_then(|mail| mail.message_id()).map(ToOwned::to_owned).unwrap_or_default();
        let date = head.as_ref().and_then(|mail| mail.date()).and_then(|date| Timestamp::from_second(date.to_timestamp()).ok());
        drop(head);
        // One mail at a time: servers throttle by mailbox.
        let mut resting = self.resting.lock().await;
        let rested = resting.take().filter(|(since, _)| since.elapsed() < REST).map(|(_, session)| session);
        let earlier = if self.is_unanswered(&id) { Earlier::Perhaps } else { earlier };
        let mail = Mail { octets: &delivery.message, id: &id, at: date.unwrap_or_else(Timestamp::now), earlier };
        let fresh = rested.is_none();
        let mut session = match rested {
            Some(session) => session,
            None => self.open().await?,
        };
        let mut done = self.put(&mut session, &mail).await;
        // It rested too long and the server had closed it: nothing was sent, a new one will tell.
        if !fresh && matches!(&done, Err(Broke::Early(ImapError::Lost(_) | ImapError::Ended(_)))) {
            session = self.open().await?;
            done = self.put(&mut session, &mail).await;
        }
        match done {
            Ok(text) => {
                self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                *resting = Some((Instant::now(), session));
                Ok(SinkAnswer { text })
            }
            Err(Broke::Said(error)) => {
                *resting = Some((Instant::now(), session));
                Err(error)
            }
            Err(Broke::Early(error)) => Err(self.judged(&error)),
            Err(Broke::Late(error)) => {
                self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
                Err(SinkError::Unknown(format!("{}{error}", place())))
            }
        }
    }

    async fn open(&self) -> Result<Session, SinkError> {
        // Whatever fails here says nothing about the mail, so all of it is temporary.
        self.options.account.open().await.map_err(|error| {
            self.note_quiet(&error);
            SinkError::Temporary(format!("{}: {error}", self.options.account.place()))
        })
    }

    async fn put(&self, session: &mut Session, mail: &Mail<'_>) -> Result<String, Broke> {
        let folder = &self.options.folder;
        let octets = mail.octets.len() as u64;
        // RFC 7889 2: larger mails need not be tried.
        if let Some(limit) = session.append_limit(folder).await?
            && octets > limit
        {
            let why = format!("{}: the mail has {octets} octets, the server takes at most {limit} (APPENDLIMIT)", self.options.account.place());
            return Err(Broke::Said(SinkError::Permanent(why)));
        }
        if mail.earlier == Earlier::Perhaps
            && !mail.id.is_empty()
            && let Some(uid) = self.find(session, mail.id).await?
        {
            return Ok(format!("it was there already, UID {uid}"));
        }
        let mut appended = session.append(folder, &self.options.flags, mail.at, mail.octets).await;
        if let Err(AppendError::Not(error)) = &appended
            && error.why() == Some(Why::NoFolder)
            && self.options.create == Creation::Allowed
        {
            session.create(folder).await?;
            appended = session.append(folder, &self.options.flags, mail.at, mail.octets).await;
        }
        match appended {
            Ok(Some(uid)) => Ok(format!("APPENDUID {uid}")),
            Ok(None) => Ok("APPEND completed".into()),
            Err(AppendError::Unknown(error)) => Err(Broke::Late(error)),
            Err(AppendError::Not(error)) if error.why() == Some(Why::OverQuota) => {
                let place = self.options.account.place();
                Err(Broke::Said(match session.quota(folder).await? {
                    Some(limit) if octets > limit => {
                        SinkError::Permanent(format!("{place}: {error}; the mail is larger than the whole quota of {limit} octets"))
                    }
                    _ => SinkError::Temporary(format!("{place}: {error}")),
                }))
            }
            Err(AppendError::Not(error)) if error.leaves_session() => Err(Broke::Said(self.judged(&error))),
            Err(AppendError::Not(error)) => Err(Broke::Early(error)),
        }
    }

    /// The mail of an earlier attempt.
    async fn find(&self, session: &mut Session, id: &str) -> Result<Option<u32>, ImapError> {
        match session.examine(&self.options.folder).await {
            Ok(_) => {}
            // Not even the folder is there.
            Err(error) if error.leaves_session() => return Ok(None),
            Err(error) => return Err(error),
        }
        Ok(session.search_message_id(id).await?.last().copied())
    }

    fn judged(&self, error: &ImapError) -> SinkError {
        self.note_quiet(error);
        let text = format!("{}: {error}", self.options.account.place());
        match error.why() {
            // What only a person can mend: the message waits, and the person is told at once.
            Some(Why::TooLarge | Why::Permission | Why::NoFolder) => SinkError::Permanent(text),
            _ => SinkError::Temporary(text),
        }
    }

    fn note_quiet(&self, error: &ImapError) {
        let wait = error.wait().or_else(|| (error.why() == Some(Why::Throttled)).then_some(THROTTLED));
        if let Some(wait) = wait {
            *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + wait);
        }
    }

    /// How long the server is to be left alone yet.
    fn check_quiet(&self) -> Result<(), Duration> {
        let mut until = self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = until.map(|until| until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero()) {
            return Err(left);
        }
        *until = None;
        Ok(())
    }

    fn is_unanswered(&self, id: &str) -> bool {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }
}

impl MailSink for ImapSink {
    fn deliver(&self, delivery: Delivery) -> Pending<'_, Result<SinkAnswer, SinkError>> {
        Box::pin(self.hand_over(delivery, Earlier::No))
    }

    fn deliver_again(&self, delivery: Delivery) -> Pending<'_, Result<SinkAnswer, SinkError>> {
        Box::pin(self.hand_over(delivery, Earlier::Perhaps))
    }
}

impl fmt::Debug for ImapSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImapSink({})", self.options.account.place())
    }
}

/// A mail that is to be put into the folder.
struct Mail<'a> {
    octets: &'a [u8],
    id: &'a str,
    at: Timestamp,
    earlier: Earlier,
}

/// Whether an earlier attempt may have put the mail there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Earlier {
    No,
    Perhaps,
}

/// How it failed.
enum Broke {
    /// The server said so, and the session goes on.
    Said(SinkError),
    /// The session ended before the mail was sent whole.
    Early(ImapError),
    /// The session ended after that.
    Late(ImapError),
}

impl From<ImapError> for Broke {
    fn from(error: ImapError) -> Self {
        Self::Early(error)
    }
}
