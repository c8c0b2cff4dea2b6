//! When to try again, of all and of each organisation.

use crate::config::checked;
use crate::outbound::hours::Hours;
use crate::outbound::retry::{Patience, Schedule};
use crate::worker::{Participant, Retention};

pub(super) fn schedule(retry: &checked::Retry, hours: Option<Hours>, patience: Patience) -> Schedule {
    Schedule {
        first: retry.first,
        factor: retry.factor,
        longest: retry.longest,
        give_up: retry.give_up,
        least_attempts: retry.least_attempts,
        in_order_within: retry.in_order_within,
        delay_after: retry.delayed_notice_after,
        receipt_within: retry.receipt_timeout,
        hours,
        patience,
    }
}

pub(super) fn participant(participant: &checked::Participant) -> Participant {
    let schedule = schedule(&participant.retry, participant.hours.clone(), participant.patience);
    Participant { id: participant.id.clone(), schedule, retention: retention(participant.retention) }
}

pub(super) fn retention(kept: checked::Retained) -> Retention {
    Retention { content: kept.content, metadata: kept.metadata }
}
