//! A session: one folder at a time, and what is done with the mails in it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout};

use super::ImapError;
use super::connection::Connection;
use crate::mail::imap::refusal::{Refusal, Why};
use crate::mail::imap::reply::{Fetched, Reply, Status};
use crate::mail::imap::write::{folder as folder_name, internal_date, quoted};

/// Octets of a header that is asked for by itself.
const HEADER: usize = 256 << 10;
/// Octets that a server with LITERAL- takes without being asked (RFC 7888 5).
const SMALL: usize = 4096;

/// A session that is logged in.
pub struct Session {
    connection: Connection,
}

/// A folder that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selected {
    /// UIDs count as long as this number stays.
    pub validity: u32,
}

/// How an APPEND failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendError {
    /// The mail is not there.
    Not(ImapError),
    /// The whole mail was sent and the answer did not come: it may be there.
    Unknown(ImapError),
}

impl From<ImapError> for AppendError {
    fn from(error: ImapError) -> Self {
        Self::Not(error)
    }
}

impl Session {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Whether the server says that it can do something, `MOVE`.
    #[must_use]
    pub fn can(&self, capability: &str) -> bool {
        self.connection.can(capability)
    }

    /// Opens a folder to read and change it.
    ///
    /// # Errors
    /// [`ImapError`]; a folder without lasting UIDs is unsuited (RFC 4315 2).
    pub async fn select(&mut self, folder: &str) -> Result<Selected, ImapError> {
        self.open("SELECT", folder).await
    }

    /// Opens a folder to read it.
    ///
    /// # Errors
    /// As [`Self::select`].
    pub async fn examine(&mut self, folder: &str) -> Result<Selected, ImapError> {
        self.open("EXAMINE", folder).await
    }

    async fn open(&mut self, command: &'static str, folder: &str) -> Result<Selected, ImapError> {
        let (mut validity, mut sticky) = (None, true);
        let line = format!("{command} {}", named(folder)?);
        let each = |reply| {
            if let Reply::Said(said) = reply
                && let Some(code) = said.code
            {
                match code.name.as_str() {
                    "UIDVALIDITY" => validity = code.arguments.parse().ok(),
                    "UIDNOTSTICKY" => sticky = false,
                    _ => {}
                }
            }
        };
        self.connection.command(command, &line, each).await?;
        self.connection.news = false;
        let validity = validity.filter(|_| sticky).ok_or_else(|| ImapError::Unsuited("the folder has no lasting UIDs".into()))?;
        Ok(Selected { validity })
    }

    /// Whether mails have come since [`Self::search`].
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.connection.news
    }

    /// The UIDs that a search finds, ascending.
    ///
    /// # Errors
    /// [`ImapError`].
    pub async fn search(&mut self, criteria: &str) -> Result<BTreeSet<u32>, ImapError> {
        self.connection.news = false;
        let mut found = BTreeSet::new();
        let each = |reply| {
            if let Reply::Search(uids) = reply {
                found.extend(uids.into_iter().filter(|uid| *uid > 0));
            }
        };
        self.connection.command("UID SEARCH", &format!("UID SEARCH {criteria}"), each).await?;
        Ok(found)
    }

    /// The UIDs of mails with this Message-ID, without brackets.
    ///
    /// # Errors
    /// [`ImapError`].
    pub async fn search_message_id(&mut self, id: &str) -> Result<BTreeSet<u32>, ImapError> {
        let id = quoted(id).ok_or_else(|| ImapError::Unsuited("the Message-ID cannot be searched for".into()))?;
        self.search(&format!("HEADER Message-ID {id}")).await
    }

    /// Size and date of a mail; `None` when it is gone.
    ///
    /// # Errors
    /// [`ImapError`].
    pub async fn look(&mut self, uid: u32) -> Result<Option<Fetched>, ImapError> {
        self.fetch(uid, "UID RFC822.SIZE INTERNALDATE FLAGS").await
    }

    /// The header of a mail.
    ///
    /// # Errors
    /// [`ImapError`]; a header of more than 256 KiB ends the connection.
    pub async fn header(&mut self, uid: u32) -> Result<Option<Vec<u8>>, ImapError> {
        self.part(uid, "UID BODY.PEEK[HEADER]", HEADER).await
    }

    /// A whole mail of at most so many octets.
    ///
    /// # Errors
    /// [`ImapError`]; a larger mail ends the connection.
    pub async fn mail(&mut self, uid: u32, limit: usize) -> Result<Option<Vec<u8>>, ImapError> {
        self.part(uid, "UID BODY.PEEK[]", limit).await
    }

    async fn part(&mut self, uid: u32, items: &str, limit: usize) -> Result<Option<Vec<u8>>, ImapError> {
        self.connection.allow(limit);
        let fetched = self.fetch(uid, items).await;
        self.connection.allow_no_more();
        match fetched? {
            None => Ok(None),
            Some(Fetched { body: Some(body), .. }) => Ok(Some(body.0)),
            Some(_) => Err(ImapError::Unsuited("the server left out what was asked for".into())),
        }
    }

    async fn fetch(&mut self, uid: u32, items: &str) -> Result<Option<Fetched>, ImapError> {
        let mut found: Option<Fetched> = None;
        let each = |reply| {
            if let Reply::Fetch(fetched) = reply
                && fetched.uid == Some(uid)
            {
                // A change of flags may be told in between, also of this mail (RFC 9051 7.5.2).
                let old = found.take().unwrap_or_default();
                found = Some(Fetched {
                    number: fetched.number,
                    uid: fetched.uid,
                    size: fetched.size.or(old.size),
                    flags: fetched.flags.or(old.flags),
                    internal_date: fetched.internal_date.or(old.internal_date),
                    body: fetched.body.or(old.body),
                });
            }
        };
        self.connection.command("UID FETCH", &format!("UID FETCH {uid} ({items})"), each).await?;
        Ok(found)
    }

    /// Takes a mail out of the open folder and puts it into another, which is made when it is not there.
    ///
    /// # Errors
    /// [`ImapError`]; the mail is in the open folder still, or in both.
    pub async fn move_to(&mut self, uid: u32, folder: &str) -> Result<(), ImapError> {
        match self.try_move(uid, folder).await {
            Err(ImapError::Refused { refusal: Refusal { why: Why::NoFolder | Why::Other, .. }, .. }) => {
                self.create(folder).await?;
                self.try_move(uid, folder).await
            }
            moved => moved,
        }
    }

    async fn try_move(&mut self, uid: u32, folder: &str) -> Result<(), ImapError> {
        let name = named(folder)?;
        if self.can("MOVE") {
            return self.connection.command("UID MOVE", &format!("UID MOVE {uid} {name}"), |_| ()).await.map(drop);
        }
        self.connection.command("UID COPY", &format!("UID COPY {uid} {name}"), |_| ()).await?;
        self.connection.command("UID STORE", &format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"), |_| ()).await?;
        // Without UIDPLUS an EXPUNGE would take what others have marked. Marked as deleted it is not looked at again.
        if self.can("UIDPLUS") {
            self.connection.command("UID EXPUNGE", &format!("UID EXPUNGE {uid}"), |_| ()).await?;
        }
        Ok(())
    }

    /// Makes a folder; it is no error when it is there.
    ///
    /// # Errors
    /// [`ImapError`].
    pub async fn create(&mut self, folder: &str) -> Result<(), ImapError> {
        let name = named(folder)?;
        let refused = match self.connection.command("CREATE", &format!("CREATE {name}"), |_| ()).await {
            Err(error @ ImapError::Refused { .. }) => error,
            other => return other.map(drop),
        };
        // What STATUS answers to is there.
        match self.connection.command("STATUS", &format!("STATUS {name} (MESSAGES)"), |_| ()).await {
            Ok(_) => Ok(()),
            Err(ImapError::Refused { .. }) => Err(refused),
            Err(error) => Err(error),
        }
    }

    /// The largest mail that a folder takes, as far as the server tells (RFC 7889).
    ///
    /// # Errors
    /// [`ImapError`].
    pub async fn append_limit(&mut self, folder: &str) -> Result<Option<u64>, ImapError> {
        let told = self.connection.capabilities.iter().flatten().find_map(|word| word.strip_prefix("APPENDLIMIT=")?.parse().ok());
        if told.is_some() || !self.can("APPENDLIMIT") {
            return Ok(told);
        }
        let mut limit = None;
        let each = |reply| {
            if let Reply::Folder(items) = reply {
                limit = items.iter().find(|(name, _)| name == "APPENDLIMIT").map(|(_, limit)| *limit);
            }
        };
        match self.connection.command("STATUS", &format!("STATUS {} (APPENDLIMIT)", named(folder)?), each).await {
            // A folder that is not there has no limit yet.
            Ok(_) | Err(ImapError::Refused { .. }) => Ok(limit),
            Err(error) => Err(error),
        }
    }

    /// The octets that the mailbox may hold, as far as the server tells (RFC 9208).
    ///
    /// # Errors
    /// [`ImapError`].
    pub async fn quota(&mut self, folder: &str) -> Result<Option<u64>, ImapError> {
        if !self.connection.capabilities.iter().flatten().any(|word| word == "QUOTA" || word.starts_with("QUOTA=")) {
            return Ok(None);
        }
        let mut limit: Option<u64> = None;
        let each = |reply| {
            if let Reply::Quota(resources) = reply {
                // RFC 9208 5.1: in units of 1024 octets.
                let storage = resources.into_iter().filter(|(name, ..)| name == "STORAGE").map(|(_, _, limit)| limit.saturating_mul(1024));
                limit = storage.chain(limit).min();
            }
        };
        match self.connection.command("GETQUOTAROOT", &format!("GETQUOTAROOT {}", named(folder)?), each).await {
            Ok(_) | Err(ImapError::Refused { .. }) => Ok(limit),
            Err(error) => Err(error),
        }
    }

    /// Puts a mail into a folder; its UIDVALIDITY and UID, as far as the server tells (RFC 4315 3).
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn append(&mut self, folder: &str, flags: &[String], at: Timestamp, mail: &[u8]) -> Result<Option<String>, AppendError> {
        let unasked = mail.len() <= SMALL && (self.can("LITERAL+") || self.can("LITERAL-"));
        let plus = if unasked { "+" } else { "" };
        let flags = if flags.is_empty() { String::new() } else { format!("({}) ", flags.join(" ")) };
        let line = format!("APPEND {} {flags}{} {{{}{plus}}}", named(folder)?, internal_date(at), mail.len());
        let tag = self.connection.begin(&line).await?;
        if !unasked && self.connection.go_on("APPEND", &tag).await?.is_some() {
            return Err(ImapError::Unsuited("the server took a mail that was not sent".into()).into());
        }
        self.connection.write(mail).await?;
        // From here on it may be there, whatever is heard or not.
        let ended = async {
            self.connection.write(b"\r\n").await?;
            self.connection.finish("APPEND", &tag, &mut |_| ()).await
        };
        match ended.await {
            Ok(said) => Ok(said.code.filter(|code| code.name == "APPENDUID").map(|code| code.arguments)),
            Err(error @ ImapError::Refused { .. }) => Err(AppendError::Not(error)),
            Err(error) => Err(AppendError::Unknown(error)),
        }
    }

    /// Waits until mails have come, at most so long (RFC 2177); whether they have.
    ///
    /// # Errors
    /// [`ImapError`].
    pub async fn idle(&mut self, at_most: Duration) -> Result<bool, ImapError> {
        let tag = self.connection.begin("IDLE").await?;
        if self.connection.go_on("IDLE", &tag).await?.is_some() {
            return Ok(self.has_news());
        }
        let until = Instant::now() + at_most;
        while !self.has_news() {
            match timeout(until.saturating_duration_since(Instant::now()), self.connection.next()).await {
                Err(_) => break,
                Ok(reply) => match reply? {
                    // The server ended it by itself.
                    Reply::Done(done, said) if done == tag && said.status == Status::Ok => return Ok(self.has_news()),
                    Reply::Done(done, said) if done == tag => {
                        return Err(ImapError::Refused { command: "IDLE", refusal: Refusal::of(&said) });
                    }
                    _ => {}
                },
            }
        }
        self.connection.write(b"DONE\r\n").await?;
        self.connection.finish("IDLE", &tag, &mut |_| ()).await?;
        Ok(self.has_news())
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        drop(timeout(Duration::from_secs(2), self.connection.command("LOGOUT", "LOGOUT", |_| ())).await);
    }
}

fn named(folder: &str) -> Result<String, ImapError> {
    folder_name(folder).ok_or_else(|| ImapError::Unsuited("the folder's name is none".into()))
}
