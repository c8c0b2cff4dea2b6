//! Asking DNS and SMPs for a recipient's metadata, each in its [lane](super::lanes): one that is down is asked from time to time
//! only, and the messages that wait for it keep no others from being sealed.
//!
//! What is remembered needs no lane. Old answers neither: who has one to fall back upon does not wait.

use jiff::Timestamp;

use super::Node;
use super::lanes::{Destination, Ended, Pass, Waits};
use crate::failure::{Blame, Failure, Stage};
use crate::ident::{DocumentKind, ParticipantId};
use crate::outbound::address::Unaddressed;
use crate::outbound::state::place;
use crate::port::{DirectoryError, Fail, Freshness, Lease, Metadata};

/// It waits for its turn to ask.
#[derive(Debug)]
pub(super) struct InLine(pub(super) Destination, pub(super) Waits);

/// Why there is no recipient now.
#[derive(Debug)]
pub(super) enum Unfound {
    /// It cannot be addressed.
    Unaddressed(Unaddressed),
    /// Nobody was asked.
    InLine(InLine),
}

impl From<Unaddressed> for Unfound {
    fn from(unaddressed: Unaddressed) -> Self {
        Self::Unaddressed(unaddressed)
    }
}

impl From<InLine> for Unfound {
    fn from(line: InLine) -> Self {
        Self::InLine(line)
    }
}

impl Unfound {
    /// As an attempt that failed, for who cannot wait in line.
    pub(super) fn into_unaddressed(self) -> Unaddressed {
        match self {
            Self::Unaddressed(unaddressed) => unaddressed,
            Self::InLine(InLine(to, _)) => {
                Unaddressed { failure: Failure::temporary(Stage::Address, Blame::Federation, format!("{to} is down or busy")), fail: Fail::Directory }
            }
        }
    }
}

impl Node {
    /// Metadata as [`Directory`](crate::port::Directory) has them, for a job that has waited since then.
    pub(super) async fn registered(
        &self,
        (participant, kind): (&ParticipantId, DocumentKind),
        freshness: Freshness,
        lease: &Lease,
        since: Timestamp,
    ) -> Result<Result<Metadata, DirectoryError>, InLine> {
        if freshness == Freshness::Cached && self.directory.knows(participant, kind) {
            return Ok(self.directory.metadata(participant, kind, freshness).await);
        }
        let pass = self.enter_line(Destination::Dns, lease, since)?;
        let asked = self.directory.asks(participant).await;
        self.leave_line(pass, asked.as_ref().err()).await;
        let pass = match asked {
            Ok(Some(smp)) => Some(self.enter_line(Destination::Smp(place(&smp)), lease, since)?),
            Ok(None) => None,
            Err(error) => return Ok(Err(error)),
        };
        let found = self.directory.metadata(participant, kind, freshness).await;
        if let Some(pass) = pass {
            self.leave_line(pass, found.as_ref().err()).await;
        }
        Ok(found)
    }

    fn enter_line(&self, to: Destination, lease: &Lease, since: Timestamp) -> Result<Pass, InLine> {
        self.lanes.enter(&to, lease.job.id, lease.job.record, since).map_err(|waits| InLine(to, waits))
    }

    async fn leave_line(&self, pass: Pass, error: Option<&DirectoryError>) {
        // Who says that there is nothing has answered, and so has one who cannot be believed.
        let (ended, why) = match error {
            Some(error @ DirectoryError::Unavailable { .. }) => (Ended::Unreached(None), error.to_string()),
            Some(_) | None => (Ended::Taken, String::new()),
        };
        self.leave(Some(pass), ended, &why).await;
    }
}
