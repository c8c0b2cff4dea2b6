//! What somebody may have meant who wrote an address that does not exist: addresses that are like it and that are known here.
//!
//! Known are the organisations of this gateway, those of a static directory, and whom the sender's own organisation exchanged
//! messages with of late: whom another one here writes to is its own affair (SDK C1.6 3.3.a).
//! What is suggested are whole addresses: they can be clicked, and they say organisation and function alike.

use super::MailSide;
use crate::ident::{FunctionId, MailAddress, ParticipantId};
use crate::inbound::{Delivered, Incoming};
use crate::mail::address;
use crate::mail::near;
use crate::outbound::{Cargo, Outgoing};

/// So many messages, each way, are looked at.
const OF_LATE: usize = 500;

impl MailSide {
    /// Functions of this organisation that have taken messages and are like this one, as addresses.
    pub(super) async fn addresses_like(&self, own: &ParticipantId, participant: &ParticipantId, function: &FunctionId) -> Vec<MailAddress> {
        let taken = self.taken_by(own).await;
        let there: Vec<FunctionId> = taken.into_iter().filter(|(other, _)| other == participant).map(|(_, function)| function).collect();
        let near = near::nearest(function.as_str(), there.iter().map(FunctionId::as_str));
        near.into_iter().filter_map(|function| self.address(participant, &FunctionId::new(function).ok()?)).collect()
    }

    /// Organisations whose name is like this one, as addresses of the same function.
    pub(super) async fn organisations_like(&self, participant: &ParticipantId, function: &FunctionId) -> Vec<MailAddress> {
        let mut known: Vec<ParticipantId> = self.household.organisations.iter().map(|organisation| organisation.participant.clone()).collect();
        known.extend(self.directory.known());
        if let Some(own) = self.only_organisation() {
            known.extend(self.taken_by(own).await.into_iter().map(|(participant, _)| participant));
            known.extend(self.heard_of(own).await);
        }
        let near = near::nearest(participant.as_str(), known.iter().map(ParticipantId::as_str));
        near.into_iter().filter_map(|near| self.address(&near.parse().ok()?, function)).collect()
    }

    /// Functions of any organisation that have taken messages and are like this name, as addresses.
    pub(super) async fn functions_like(&self, name: &str) -> Vec<MailAddress> {
        let Some(own) = self.only_organisation() else { return Vec::new() };
        let taken = self.taken_by(own).await;
        // The name itself too: what was left out may be the organisation.
        let known = taken.iter().map(|(_, function)| function.as_str());
        let near = known.clone().find(|function| function.eq_ignore_ascii_case(name)).into_iter().chain(near::nearest(name, known));
        let of = |near: &str| taken.iter().find(|(_, function)| function.as_str() == near);
        near.filter_map(of).filter_map(|(participant, function)| self.address(participant, function)).collect()
    }

    /// Whose correspondents may be named before it is known who asks.
    fn only_organisation(&self) -> Option<&ParticipantId> {
        match self.household.organisations.as_slice() {
            [only] => Some(&only.participant),
            _ => None,
        }
    }

    fn address(&self, participant: &ParticipantId, function: &FunctionId) -> Option<MailAddress> {
        address::canonical(participant, function, &self.settings.domain).ok().map(|written| written.address().clone())
    }

    /// Whom accepted messages of an organisation were for.
    async fn taken_by(&self, own: &ParticipantId) -> Vec<(ParticipantId, FunctionId)> {
        let records = self.store.list(Outgoing::ACCEPTED, OF_LATE).await.unwrap_or_default();
        let letters = records.iter().filter_map(|record| match Outgoing::from_record(record).ok()?.cargo() {
            Cargo::Letter(letter) if letter.organisation == *own => Some((letter.participant, letter.to_function)),
            Cargo::Letter(_) | Cargo::Reply(_) => None,
        });
        letters.collect()
    }

    /// Whom delivered messages to it were from.
    async fn heard_of(&self, own: &ParticipantId) -> Vec<ParticipantId> {
        let records = self.store.list(Incoming::DELIVERED, OF_LATE).await.unwrap_or_default();
        let senders = records.iter().filter_map(|record| match Incoming::from_record(record).ok()? {
            Incoming::Delivered(Delivered { taken, .. }) if taken.arrival.organisation == *own => Some(taken.arrival.from),
            _ => None,
        });
        senders.collect()
    }
}
