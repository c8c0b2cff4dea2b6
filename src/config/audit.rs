//! How the journal is kept, and what proves that nobody touched it.

use std::time::Duration;

use jiff::SignedDuration;

use super::check::Checker;
use super::declare::section;
use super::errors::ConfigError;
use super::files;
use super::values::{Line, SecretFile, Size, Span};
use crate::crypto::NotaryKey;
use crate::store::journal::JournalOptions;

/// A segment holds some hundred steps at least: each costs a file.
const SMALLEST: u64 = 4_096;
/// Longer than this nothing is kept by a number of days.
const LONGEST: u32 = 100 * 366;

section! {
    /// The audit journal.
    RawAudit {
        /// A new segment (file) of the journal is begun when the last has so many octets. In PostgreSQL there are none.
        segment_size: Size = Default "\"64 MiB\"";
        /// A new segment is begun when the last is so old, at the next line.
        segment_age: Span = Default "\"30d\"";
        /// So many days after it was left a segment is deleted, which the journal says; in PostgreSQL, lines so many days after they
        /// were written. Left out, none is. Every line holds ids, addresses and times, no content.
        keep_days: u32 = Optional "3650";
        /// The key that signs the journal's last line from time to time (PEM; `brevbro audit key` makes one). Keep its public part
        /// and the signed heads elsewhere: with them `brevbro audit verify` proves that no line was changed, removed or cut off.
        signing_key: SecretFile = Optional "\"/etc/brevbro/audit.pem\"";
        /// So long after a line it is signed, at the latest.
        head_interval: Span = Default "\"5m\"";
        /// After so many lines a head is signed, at the latest.
        head_lines: u32 = Default "1000";
        /// A program that gets each signed head, a line of JSON, on its standard input, and sends it somewhere else. It has half a
        /// minute. Heads are in the log as well, and in `state-dir/store/journal/heads.jsonl`. Of several nodes each signs and sends.
        head_command: Vec<Line> = Optional "[\"/usr/bin/logger\", \"--tag\", \"brevbro-head\"]";
    }
}

/// The journal.
#[derive(Debug)]
pub struct Audit {
    /// When it goes on in a new segment, and how long old ones are kept.
    pub segments: JournalOptions,
    /// What signs its heads, when something does.
    pub heads: Option<Heads>,
}

/// What signs the journal's last line.
#[derive(Debug, Clone)]
pub struct Heads {
    /// The key.
    pub key: NotaryKey,
    /// So long after a line, at the latest.
    pub interval: Duration,
    /// After so many lines, at the latest.
    pub lines: u64,
    /// The program that gets each head, with its arguments; empty for none.
    pub command: Vec<String>,
}

impl Checker<'_> {
    pub(super) fn audit(&mut self, raw: RawAudit) -> Option<Audit> {
        if let Some(octets) = raw.segment_size.as_ref().map(|size| size.0).filter(|octets| *octets < SMALLEST) {
            self.error(ConfigError::new("audit.segment-size", "is less than 4 KiB").value(octets));
        }
        if let Some(days) = raw.keep_days.filter(|days| *days > LONGEST) {
            self.error(ConfigError::new("audit.keep-days", "is more than 100 years").value(days).hint("leave it out to keep all"));
        }
        let command: Vec<String> = raw.head_command.unwrap_or_default().into_iter().map(|word| word.0).collect();
        if raw.signing_key.is_none() && !command.is_empty() {
            let hint = "brevbro audit key makes a key for audit.signing-key";
            self.error(ConfigError::new("audit.head-command", "has no heads to send: none are signed").hint(hint));
        }
        let heads = match raw.signing_key {
            Some(file) => Some(Heads { key: self.notary_key(&file)?, interval: raw.head_interval?.0, lines: raw.head_lines?.into(), command }),
            None => None,
        };
        let keep = raw.keep_days.map(|days| SignedDuration::from_hours(i64::from(days.min(LONGEST)) * 24));
        let age = SignedDuration::try_from(raw.segment_age?.0).unwrap_or(SignedDuration::MAX);
        Some(Audit { segments: JournalOptions { octets: raw.segment_size?.0, age, keep }, heads })
    }

    fn notary_key(&mut self, file: &SecretFile) -> Option<NotaryKey> {
        let at = "audit.signing-key";
        let octets = files::secret(&self.secret_path(file)).map_err(|error| self.secret_error(at, file, &error)).ok()?.octets;
        let key = NotaryKey::from_pem(&octets);
        key.map_err(|error| self.error(ConfigError::new(at, format!("cannot be used: {error}")).hint("brevbro audit key makes one"))).ok()
    }
}
