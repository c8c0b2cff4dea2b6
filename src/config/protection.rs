//! What keeps malware out and ends loops.

use std::time::Duration;

use super::check::Checker;
use super::errors::ConfigError;
use super::raw;
use super::values::{ScannerAddress, is_loopback_host, words};
use crate::edge::clamd::{ClamdAddress, ClamdOptions};

/// A hold is doubled up to a day, and never more.
const LONGEST_HOLD: Duration = Duration::from_hours(24);

/// How fast functions may answer each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loops {
    /// Messages in each direction.
    pub messages: u32,
    /// Within this time.
    pub window: Duration,
    /// How long they are held first.
    pub hold: Duration,
}

/// Malware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malware {
    /// How clamd is asked.
    pub clamd: ClamdOptions,
    /// What is looked into.
    pub directions: ScanDirections,
    /// What happens while there is no verdict to be had.
    pub on_failure: OnScanFailure,
    /// How long there may be none before the operator is told.
    pub alarm_after: Duration,
}

words! {
    /// What is looked into for malware.
    pub ScanDirections {
        /// Mails to SDK and messages from it.
        Both = "both",
        /// Mails to SDK.
        Out = "out",
        /// Messages from SDK.
        In = "in",
    }
    /// What happens while there is no verdict to be had.
    pub OnScanFailure {
        /// Nothing passes.
        Closed = "closed",
        /// Everything passes.
        Open = "open",
    }
}

impl Checker<'_> {
    pub(super) fn loops(&mut self, raw: raw::Loops) -> Option<Loops> {
        if raw.hold.is_some_and(|hold| hold.0 > LONGEST_HOLD) {
            let hint = "a message is given up after retry.give-up, and that time runs while it is held";
            self.error(ConfigError::new("loops.hold", "is longer than a day").hint(hint));
        }
        Some(Loops { messages: raw.messages?, window: raw.window?.0, hold: raw.hold?.0 })
    }

    pub(super) fn malware(&mut self, raw: raw::Malware) -> Option<Malware> {
        let elsewhere = |address: &ScannerAddress| matches!(&address.0, ClamdAddress::Tcp(host, _) if !is_loopback_host(host));
        if let Some(address) = raw.clamd.as_ref().filter(|address| elsewhere(address) && raw.allow_plain != Some(true)) {
            let hint = "run clamd on this machine; if the way there is safe, say allow-plain = true";
            self.error(ConfigError::new("malware.clamd", "would send messages in the clear to another machine").text(address).hint(hint));
        }
        let clamd = ClamdOptions {
            timeout: raw.timeout?.0,
            max_octets: raw.max_size?.0,
            connections: raw.max_connections? as usize,
            ..ClamdOptions::new(raw.clamd?.0)
        };
        Some(Malware { clamd, directions: raw.directions?, on_failure: raw.on_failure?, alarm_after: raw.alarm_after?.0 })
    }
}
