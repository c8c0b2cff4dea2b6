//! What somebody may have meant who wrote an address that does not exist: addresses that are like it and that are known here.
//!
//! Known are the organisations of this gateway, those of a static directory, and whom messages were exchanged with of late.
//! What is suggested are whole addresses: they can be clicked, and they say organisation and function alike.

use super::Gateway;
use crate::ident::{FunctionId, MailAddress, ParticipantId};
use crate::inbound::{Delivered, Incoming};
use crate::mail::address;
use crate::mail::near;
use crate::outbound::{Cargo, Outgoing};

/// So many messages, each way, are looked at.
const OF_LATE: usize = 500;

impl Gateway {
    /// Functions of this organisation that have taken messages and are like this one, as addresses.
    pub(super) async fn addresses_like(&self, participant: &ParticipantId, function: &FunctionId) -> Vec<MailAddress> {
        let taken = self.taken_by().await;
        let there: Vec<FunctionId> = taken.into_iter().filter(|(other, _)| other == participant).map(|(_, function)| function).collect();
        let near = near::nearest(function.as_str(), there.iter().map(FunctionId::as_str));
        near.into_iter().filter_map(|function| self.address(participant, &FunctionId::new(function).ok()?)).collect()
    }

    /// Organisations whose name is like this one, as addresses of the same function.
    pub(super) async fn organisations_like(&self, participant: &ParticipantId, function: &FunctionId) -> Vec<MailAddress> {
        let mut known: Vec<ParticipantId> = self.household.organisations.iter().map(|organisation| organisation.participant.clone()).collect();
        known.extend(self.directory.known());
        known.extend(self.taken_by().await.into_iter().map(|(participant, _)| participant));
        known.extend(self.heard_of().await);
        let near = near::nearest(participant.as_str(), known.iter().map(ParticipantId::as_str));
        near.into_iter().filter_map(|near| self.address(&near.parse().ok()?, function)).collect()
    }

    /// Functions of any organisation that have taken messages and are like this name, as addresses.
    pub(super) async fn functions_like(&self, name: &str) -> Vec<MailAddress> {
        let taken = self.taken_by().await;
        // The name itself too: what was left out may be the organisation.
        let known = taken.iter().map(|(_, function)| function.as_str());
        let near = known.clone().find(|function| function.eq_ignore_ascii_case(name)).into_iter().chain(near::nearest(name, known));
        let of = |near: &str| taken.iter().find(|(_, function)| function.as_str() == near);
        near.filter_map(of).filter_map(|(participant, function)| self.address(participant, function)).collect()
    }

    fn address(&self, participant: &ParticipantId, function: &FunctionId) -> Option<MailAddress> {
        address::canonical(participant, function, &self.settings.domain).ok().map(|written| written.address().clone())
    }

    /// Whom accepted messages were for.
    async fn taken_by(&self) -> Vec<(ParticipantId, FunctionId)> {
        let records = self.store.list(Outgoing::ACCEPTED, OF_LATE).await.unwrap_or_default();
        let letters = records.iter().filter_map(|record| match Outgoing::from_record(record).ok()?.cargo() {
            Cargo::Letter(letter) => Some((letter.participant, letter.to_function)),
            Cargo::Reply(_) => None,
        });
        letters.collect()
    }

    /// Whom delivered messages were from.
    async fn heard_of(&self) -> Vec<ParticipantId> {
        let records = self.store.list(Incoming::DELIVERED, OF_LATE).await.unwrap_or_default();
        let senders = records.iter().filter_map(|record| match Incoming::from_record(record).ok()? {
            Incoming::Delivered(Delivered { taken, .. }) => Some(taken.arrival.from),
            _ => None,
        });
        senders.collect()
    }
}
