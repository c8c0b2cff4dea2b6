//! Whether there is room: asked before anything is taken in.

use serde::{Deserialize, Serialize};

use super::ledger::Owner;
use super::{Limit, Quotas};
use crate::failure::{Blame, Failure, Shortage, Stage};
use crate::ident::{FunctionId, ParticipantId};
use crate::port::Tally;
use crate::worker::Node;

/// What is used of a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Which.
    pub limit: Limit,
    /// By whom.
    pub whose: String,
    /// How much.
    pub used: u64,
    /// Of how much.
    pub most: u64,
}

/// A mailbox's name in logs and alarms.
pub(in crate::worker) fn mailbox_name(organisation: &ParticipantId, function: &FunctionId) -> String {
    format!("{function} of {organisation}")
}

/// A limit as it is used.
fn usage(limit: Limit, whose: String, used: i64, most: u64) -> Usage {
    Usage { limit, whose, used: u64::try_from(used).unwrap_or(0), most }
}

impl Usage {
    /// How much of it is used, in thousandths.
    #[must_use]
    pub fn permille(&self) -> u64 {
        u64::try_from(u128::from(self.used) * 1_000 / u128::from(self.most.max(1))).unwrap_or(u64::MAX)
    }

    /// Whether so much more is too much.
    fn is_passed_by(&self, more: u64) -> bool {
        self.used.saturating_add(more) > self.most
    }

    /// Why something is put off for it.
    pub(in crate::worker) fn failure(&self, stage: Stage) -> Failure {
        let what = format!("{} of {}: {} of {}", self.limit.word(), self.whose, self.used, self.most);
        Failure::temporary(stage, Blame::Us, what).for_want_of(Shortage::Quota)
    }
}

impl Node {
    /// The limit of an organisation of ours that keeps a message to it from being taken in.
    pub(in crate::worker) async fn room_to_receive(&self, organisation: &ParticipantId) -> Result<Option<Usage>, Failure> {
        let Some(quotas) = self.limits.of(organisation) else { return Ok(None) };
        Ok(self.organisation_usage(quotas).await?.into_iter().find(|usage| usage.is_passed_by(1)))
    }

    /// The limit that keeps a mail of a mailbox of ours from being taken in, of so many octets where that is known.
    pub(in crate::worker) async fn room_to_send(
        &self,
        organisation: &ParticipantId,
        function: &FunctionId,
        octets: u64,
    ) -> Result<Option<Usage>, Failure> {
        let Some(quotas) = self.limits.of(organisation) else { return Ok(None) };
        let mut all = self.mailbox_usage(quotas, function).await?;
        // What waits to be opened keeps nobody from sending.
        all.extend(self.organisation_usage(quotas).await?.into_iter().filter(|usage| usage.limit != Limit::OrganisationUnopened));
        let of = |limit: Limit| if matches!(limit, Limit::OrganisationStored | Limit::MailboxStored) { octets.max(1) } else { 1 };
        Ok(all.into_iter().find(|usage| usage.is_passed_by(of(usage.limit))))
    }

    pub(super) async fn organisation_usage(&self, quotas: &Quotas) -> Result<Vec<Usage>, Failure> {
        let Quotas { organisation, waiting, unopened, stored, .. } = quotas;
        let sum = self.used(Owner::organisation(organisation)).await?;
        let closed: Tally = self.used(Owner::unopened(organisation)).await?;
        let whose = organisation.to_string();
        Ok(vec![
            usage(Limit::OrganisationWaiting, whose.clone(), sum.messages, *waiting),
            usage(Limit::OrganisationUnopened, whose.clone(), closed.messages, *unopened),
            usage(Limit::OrganisationStored, whose, sum.octets, *stored),
        ])
    }

    pub(super) async fn mailbox_usage(&self, quotas: &Quotas, function: &FunctionId) -> Result<Vec<Usage>, Failure> {
        let Some(mailbox) = quotas.mailboxes.iter().find(|mailbox| mailbox.function == *function) else { return Ok(Vec::new()) };
        let sum = self.used(Owner::mailbox(&quotas.organisation, function)).await?;
        let whose = mailbox_name(&quotas.organisation, function);
        Ok(vec![
            usage(Limit::MailboxWaiting, whose.clone(), sum.messages, mailbox.waiting),
            usage(Limit::MailboxStored, whose, sum.octets, mailbox.stored),
        ])
    }

    /// What is used of every organisation's limits and, where `mailboxes` says so, of every mailbox's.
    pub(in crate::worker) async fn usage(&self, mailboxes: bool) -> Result<Vec<Usage>, Failure> {
        let mut all = Vec::new();
        for quotas in &self.limits.quotas {
            all.extend(self.organisation_usage(quotas).await?);
            for mailbox in quotas.mailboxes.iter().filter(|_| mailboxes) {
                all.extend(self.mailbox_usage(quotas, &mailbox.function).await?);
            }
        }
        Ok(all)
    }
}
