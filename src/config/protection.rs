//! What keeps malware out.

use super::check::Checker;
use super::checked::Malware;
use super::errors::ConfigError;
use super::raw;
use super::values::{ScannerAddress, is_loopback_host};
use crate::edge::clamd::{ClamdAddress, ClamdOptions};

impl Checker<'_> {
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
