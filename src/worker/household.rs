//! The participants that the gateway serves, their keys and their function mailboxes.

use std::time::Duration;

use crate::crypto::Identity;
use crate::ident::{FunctionId, MailAddress, MailServerName, ParticipantId};
use crate::mail::pair::Pace;
use crate::mail::policy::MailboxPolicy;
use crate::outbound::convert::Labels;

/// What a mailbox gets of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The message as a mail.
    Full,
    /// A notice that the message waits in the gateway, and perhaps another when nobody has read it after that time.
    Notice(Option<Duration>),
}

/// One function mailbox.
#[derive(Debug, Clone)]
pub struct Mailbox {
    /// The mail address that it sends as.
    pub address: MailAddress,
    /// The function address in SDK.
    pub function: FunctionId,
    /// The function's name.
    pub label: Option<String>,
    /// Other addresses that may send as it.
    pub senders: Vec<MailAddress>,
    /// Where its mail is delivered.
    pub deliver_to: MailAddress,
    /// What it gets of a message.
    pub mode: Mode,
    /// Which mail server gets its mail; the first when none is named.
    pub mail_server: Option<MailServerName>,
    /// How its mails are converted.
    pub policy: MailboxPolicy,
    /// How many messages it may exchange with one function elsewhere.
    pub pace: Pace,
    /// Whether success is told always, and not just when it was asked for.
    pub always_tell: bool,
}

/// One participant.
#[derive(Debug, Clone)]
pub struct Organisation {
    /// Its id.
    pub participant: ParticipantId,
    /// Its name.
    pub name: String,
    /// Signs its envelopes.
    pub signing: Identity,
    /// Open what was sealed for it: the current key and older ones.
    pub decryption: Vec<Identity>,
    /// Its mailboxes.
    pub mailboxes: Vec<Mailbox>,
}

impl Mailbox {
    /// After how long it is reminded of a message that nobody has read.
    pub(super) fn reminds_after(&self) -> Option<Duration> {
        match self.mode {
            Mode::Full => None,
            Mode::Notice(after) => after,
        }
    }
}

impl Organisation {
    /// The mailbox of a function.
    #[must_use]
    pub fn mailbox(&self, function: &FunctionId) -> Option<&Mailbox> {
        self.mailboxes.iter().find(|mailbox| &mailbox.function == function)
    }

    /// What messages of a function say of their sender.
    pub(super) fn labels(&self, function: &FunctionId) -> Labels {
        Labels { organisation: Some(self.name.clone()), function: self.mailbox(function).and_then(|mailbox| mailbox.label.clone()) }
    }
}

/// All participants.
#[derive(Debug, Clone, Default)]
pub struct Household {
    /// One or more.
    pub organisations: Vec<Organisation>,
}

impl Household {
    /// The organisation of a participant id.
    #[must_use]
    pub fn organisation(&self, participant: &ParticipantId) -> Option<&Organisation> {
        self.organisations.iter().find(|organisation| &organisation.participant == participant)
    }

    /// The mailbox of a function of a participant.
    #[must_use]
    pub fn mailbox(&self, participant: &ParticipantId, function: &FunctionId) -> Option<&Mailbox> {
        self.organisation(participant)?.mailbox(function)
    }

    /// The mailbox that an address may send as.
    #[must_use]
    pub fn sender(&self, address: &MailAddress) -> Option<(&Organisation, &Mailbox)> {
        let of = |organisation| move |mailbox| (organisation, mailbox);
        let mut all = self.organisations.iter().flat_map(|organisation| organisation.mailboxes.iter().map(of(organisation)));
        all.find(|(_, mailbox): &(&Organisation, &Mailbox)| &mailbox.address == address || mailbox.senders.contains(address))
    }
}
