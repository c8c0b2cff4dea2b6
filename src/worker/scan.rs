//! Looking for malware: in mails before `250`, in messages before our message receipt.
//!
//! Of a mail every attachment is looked at as it would be sent, and the mail as it came, which the scanner takes apart by its
//! own reading. Of a message every file and every text is looked at as it would be delivered: in the XML, base64 hides them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::chance::fresh;
use super::effects::from_store;
use super::reception::Refusal;
use super::{Company, MailSide, Node};
use crate::content::{Content, File};
use crate::crypto::sha256;
use crate::failure::Failure;
use crate::ident::RecordId;
use crate::inbound::{Arrival, scan as inbound};
use crate::mail::alarm::Cause;
use crate::outbound::accept::Transaction;
use crate::outbound::retry::{Next, later};
use crate::outbound::scan as outbound;
use crate::port::{Finding, Key, Op, ScanError, Scanner, Step, Tell};
use crate::sdk::rules::{Breach, MAX_BREACHES};
use jiff::Timestamp;

/// How long a mail may be looked at while its client waits for an answer, which it does for ten minutes (RFC 5321 4.5.3.2.6).
const FOR_MAIL: Duration = Duration::from_mins(4);
/// How long after a mail to the operator the next about the same is sent.
const QUIET: Duration = Duration::from_hours(1);

/// Which way what passes is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directions {
    /// Mails to SDK and messages from it.
    Both,
    /// Mails to SDK.
    Out,
    /// Messages from SDK.
    In,
}

/// What happens while the scanner gives no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Mails are refused for the time being, messages wait.
    Closed,
    /// Everything passes, and the journal names it.
    Open,
}

/// The scanner and what follows from its word.
pub struct Malware {
    scanner: Arc<dyn Scanner>,
    directions: Directions,
    on_failure: OnFailure,
    alarm_after: Duration,
    /// Whether it may be noted that there is no verdict to be had. At start, nobody knows.
    troubled: AtomicBool,
}

/// A part of a message by its place in the XML: which `documents`, and which of its kind in there, from 1.
#[derive(Debug, Clone, Copy)]
enum Part {
    File(usize, usize),
    Text(usize, usize),
}

/// What came of looking at a message.
pub(super) enum Scanned {
    /// It may be taken.
    Passed,
    /// It is turned away.
    Infected(Vec<inbound::Found>),
    /// Nobody can tell now.
    Waits(ScanError),
}

impl Malware {
    /// Everything is asked of this scanner. `alarm_after`: how long it may fail before the operator is told.
    #[must_use]
    pub fn new(scanner: Arc<dyn Scanner>, directions: Directions, on_failure: OnFailure, alarm_after: Duration) -> Self {
        Self { scanner, directions, on_failure, alarm_after, troubled: AtomicBool::new(true) }
    }

    /// The scanner's name and version.
    ///
    /// # Errors
    /// [`ScanError`] when it does not answer.
    pub async fn version(&self) -> Result<String, ScanError> {
        self.scanner.version().await
    }

    /// Looks at one piece after another, up to so many finds; which and what. What was found counts, whatever the rest is.
    async fn look(&self, pieces: &[&[u8]], finds: usize) -> Result<Vec<(usize, String)>, ScanError> {
        let (mut found, mut doubt) = (Vec::new(), None);
        for (at, piece) in pieces.iter().enumerate().filter(|(_, piece)| !piece.is_empty()) {
            match self.scanner.scan(piece).await {
                Ok(Finding::Clean) => {}
                Ok(Finding::Malware(name)) => found.push((at, name)),
                Err(error @ ScanError::TooLarge { .. }) => doubt = Some(error),
                Err(error) => {
                    doubt = Some(error);
                    break;
                }
            }
            if found.len() >= finds {
                break;
            }
        }
        match doubt {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }
}

impl MailSide {
    /// Looks into a mail that could be sent otherwise.
    ///
    /// # Errors
    /// A [`Failure`] when the store does not work.
    pub(super) async fn scan_mail(&self, transaction: &Transaction, mail: &[u8], files: &[File]) -> Result<Option<Refusal>, Failure> {
        let Some(malware) = self.malware.as_ref().filter(|malware| malware.directions != Directions::In) else { return Ok(None) };
        // The attachments first: then the one that it is in can be named.
        let pieces: Vec<&[u8]> = files.iter().map(|file| file.body.as_slice()).chain([mail]).collect();
        let looked = tokio::time::timeout(FOR_MAIL, malware.look(&pieces, 1)).await;
        let looked = looked.unwrap_or_else(|_| Err(ScanError::NoVerdict("the whole mail took too long".into())));
        self.note_scanner(malware, looked.as_ref().err()).await?;
        let found = match looked {
            Ok(found) => found.into_iter().next(),
            Err(error) if malware.on_failure == OnFailure::Open => {
                self.carry_out("scan", outbound::unscanned(transaction, &error, self.now()).into()).await?;
                return Ok(None);
            }
            Err(error) => return Ok(Some(unscanned(&error))),
        };
        let Some((at, name)) = found else { return Ok(None) };
        let digest = sha256(pieces.get(at).copied().unwrap_or(mail));
        tracing::warn!(transaction = %transaction.id.simple(), function = %transaction.function, %name, "a mail with malware is refused");
        let mark = Key::new("malware", &format!("{} {}", transaction.organisation.folded(), transaction.function.folded()));
        let alarm = if self.tell_again(&mark).await? { outbound::Alarm::As(RecordId(fresh())) } else { outbound::Alarm::Told };
        let mut step = outbound::infected(transaction, &outbound::Found { name: name.clone(), digest }, alarm, self.now());
        if alarm != outbound::Alarm::Told {
            step = step.op(Op::Note(mark, self.now().to_string()));
        }
        self.carry_out("scan", step.into()).await?;
        Ok(Some(infected(files.get(at).map(|file| file.name.as_str()), &name)))
    }

    /// Looks into a message that could be taken otherwise. `places`: which `documents` of the XML each of its documents is.
    ///
    /// # Errors
    /// A [`Failure`] when the store does not work.
    pub(super) async fn scan_message(&self, arrival: &Arrival, content: &Content, places: &[usize]) -> Result<Scanned, Failure> {
        let Some(malware) = self.malware.as_ref().filter(|malware| malware.directions != Directions::Out) else { return Ok(Scanned::Passed) };
        let mut pieces: Vec<&[u8]> = Vec::new();
        let mut parts = Vec::new();
        for (document, place) in content.documents.iter().zip(places) {
            for (file, number) in document.files.iter().zip(1..) {
                pieces.push(&file.body);
                parts.push(Part::File(*place, number));
            }
            for (text, number) in document.texts.iter().zip(1..) {
                pieces.push(text.as_bytes());
                parts.push(Part::Text(*place, number));
            }
        }
        let looked = malware.look(&pieces, MAX_BREACHES).await;
        self.note_scanner(malware, looked.as_ref().err()).await?;
        let found = match looked {
            Ok(found) if found.is_empty() => return Ok(Scanned::Passed),
            Ok(found) => found,
            Err(error) if malware.on_failure == OnFailure::Open => {
                self.carry_out("scan", inbound::unscanned(arrival, &error, self.now()).into()).await?;
                return Ok(Scanned::Passed);
            }
            Err(error) => return Ok(Scanned::Waits(error)),
        };
        let found = found.into_iter().filter_map(|(at, name)| {
            let digest = sha256(pieces.get(at)?);
            let breach = match *parts.get(at)? {
                Part::File(document, file) => Breach::malware(document, file),
                Part::Text(document, text) => Breach::malware_in_text(document, text),
            };
            Some(inbound::Found { name, digest, breach })
        });
        Ok(Scanned::Infected(found.collect()))
    }

    /// When a message that nobody can look into is tried again: never given up, since it is ours to look after.
    pub(super) fn next_scan(&self, attempt: u32, now: Timestamp) -> Timestamp {
        let schedule = &self.settings.schedule;
        match schedule.next(attempt, now, now, Node::random()) {
            Next::At(due) => due,
            Next::GiveUp => later(now, schedule.longest),
        }
    }

    /// Notes since when there is no verdict to be had, and tells the operator when that lasts; of what is too large at once,
    /// since waiting mends nothing.
    async fn note_scanner(&self, malware: &Malware, error: Option<&ScanError>) -> Result<(), Failure> {
        let Some(error) = error else { return self.note_scanner_works(malware).await };
        tracing::warn!(%error, "malware cannot be looked for");
        let (now, mut step) = (self.now(), Step::new());
        let (lasts, told, hint) = match error {
            ScanError::TooLarge { .. } => {
                let hint = "raise StreamMaxLength, MaxScanSize and MaxFileSize in clamd.conf, then malware.max-size";
                (true, Key::new("scanner", "too-large"), hint)
            }
            ScanError::NoVerdict(_) => {
                malware.troubled.store(true, Ordering::Relaxed);
                let before = self.store.note(self.down()).await.map_err(|error| from_store(&error))?;
                let since = before.and_then(|since| since.parse::<Timestamp>().ok());
                if since.is_none() {
                    step = step.op(Op::Note(self.down(), now.to_string()));
                }
                let lasts = since.is_some_and(|since| now >= later(since, malware.alarm_after));
                (lasts, Key::new("scanner", "told"), "see whether clamd runs, and its log; malware.on-failure says what happens meanwhile")
            }
        };
        if lasts && self.tell_again(&told).await? {
            let alarm = Tell::alarm(Cause::Scanner, &error.to_string(), hint).job(RecordId(fresh()), "alarm", now);
            step = step.op(Op::Note(told, now.to_string())).op(alarm);
        }
        if step.ops.is_empty() {
            return Ok(());
        }
        self.carry_out("scan", step.into()).await.map(drop)
    }

    async fn note_scanner_works(&self, malware: &Malware) -> Result<(), Failure> {
        if !malware.troubled.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        if self.store.note(self.down()).await.map_err(|error| from_store(&error))?.is_some() {
            tracing::info!("malware is looked for again");
            let step = Step::new().op(Op::Forget(self.down())).op(Op::Forget(Key::new("scanner", "told")));
            self.carry_out("scan", step.into()).await?;
        }
        Ok(())
    }

    /// Since when there is no verdict to be had. Each of several nodes has a scanner of its own.
    fn down(&self) -> Key {
        match self.company {
            Company::Alone => Key::new("scanner", "down"),
            Company::Nodes => Key::new("scanner", &format!("down {}", self.name)),
        }
    }

    /// Whether the last mail to the operator under this mark is long enough ago.
    async fn tell_again(&self, mark: &Key) -> Result<bool, Failure> {
        let before = self.store.note(mark.clone()).await.map_err(|error| from_store(&error))?;
        let before = before.and_then(|before| before.parse::<Timestamp>().ok());
        Ok(before.is_none_or(|before| self.now() >= later(before, QUIET)))
    }
}

fn infected(file: Option<&str>, name: &str) -> Refusal {
    let (swedish, english) = match file {
        Some(file) => (format!("Filen \"{file}\" innehåller skadlig kod ({name})"), format!("the file \"{file}\" holds malicious code ({name})")),
        None => (format!("Mejlet innehåller skadlig kod ({name})"), format!("the mail holds malicious code ({name})")),
    };
    Refusal::new(550, (7, 1), &format!("{swedish}. Meddelandet har inte skickats"), &format!("{english}. The message was not sent"))
}

fn unscanned(error: &ScanError) -> Refusal {
    match error {
        ScanError::TooLarge { octets } => Refusal::new(
            552,
            (3, 4),
            &format!("Mejlet eller en bilaga ({octets} byte) är för stor för skyddet mot skadlig kod och har inte skickats"),
            &format!("the mail or a file in it ({octets} octets) is too large for the malware scanner and was not sent"),
        ),
        // RFC 3463 3.8 X.7.1: not delivered for a reason of security, for the time being.
        ScanError::NoVerdict(_) => Refusal::new(
            451,
            (7, 1),
            "Skyddet mot skadlig kod svarar inte just nu, försök igen senare",
            "the malware scanner does not answer for now, try again later",
        ),
    }
}
