//! What keeps malware out and ends loops.

use std::time::Duration;

use super::check::Checker;
use super::checked::{Loops, Malware};
use super::errors::ConfigError;
use super::raw;
use super::values::{ScannerAddress, is_loopback_host};
use crate::edge::clamd::{ClamdAddress, ClamdOptions};

/// A hold is doubled up to a day, and never more.
const LONGEST_HOLD: Duration = Duration::from_hours(24);

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
