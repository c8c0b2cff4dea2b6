//! The organisations and their mailboxes, each with its own keys, addresses and functions.

use std::time::Duration;

use super::check::{Checker, Common};
use super::checked::{AccessPoint, Imap, MailboxLimit, OrganisationLimit, Retained, Retry};
use super::errors::ConfigError;
use super::keys::{KeyFiles, Purpose};
use super::raw;
use super::values::words;
use crate::crypto::{Identity, KeyUse};
use crate::ident::{FunctionId, MailAddress, MailServerName, ParticipantId};
use crate::outbound::hours::Hours;
use crate::outbound::retry::Patience;

/// An organisation that is served.
#[derive(Debug)]
pub struct Organisation {
    /// Its participant id.
    pub participant: ParticipantId,
    /// Its name.
    pub name: String,
    /// What signs.
    pub signing: Identity,
    /// What decrypts, tried in this order; at least one.
    pub decryption: Vec<Identity>,
    /// Its function mailboxes; at least one.
    pub mailboxes: Vec<Mailbox>,
    /// When to try again what it sends.
    pub retry: Retry,
    /// How long its messages are kept that have ended.
    pub retention: Retained,
    /// How much it may have here at once.
    pub limits: OrganisationLimit,
    /// When its people work; none for always.
    pub hours: Option<Hours>,
    /// By which clock its messages are given up.
    pub patience: Patience,
}

impl Organisation {
    /// The mailbox of a function.
    #[must_use]
    pub fn mailbox(&self, function: &FunctionId) -> Option<&Mailbox> {
        self.mailboxes.iter().find(|mailbox| mailbox.function == *function)
    }
}

/// A function mailbox.
#[derive(Debug, Clone)]
pub struct Mailbox {
    /// Its address.
    pub address: MailAddress,
    /// Its function address.
    pub function: FunctionId,
    /// Its name.
    pub label: String,
    /// Who else may send as it.
    pub senders: Vec<MailAddress>,
    /// Where its messages go.
    pub deliver_to: MailAddress,
    /// Its mail server, when that is not the first.
    pub mail_server: Option<MailServerName>,
    /// What receivers learn of the writer.
    pub person: PersonPolicy,
    /// Whether its messages are confidential when the mail does not say.
    pub confidential: bool,
    /// What becomes of quoted mails.
    pub history: History,
    /// What becomes of images in the text.
    pub inline_images: InlineImages,
    /// What becomes of signatures.
    pub signed_mail: SignedMail,
    /// When the sender is told of success.
    pub success_notice: SuccessNotice,
    /// What it gets of a message.
    pub delivery: DeliveryMode,
    /// When it is reminded of a message that waits.
    pub remind_after: Option<Duration>,
    /// Messages that it may exchange with one function, where that is not the gateway's number.
    pub loop_messages: Option<u32>,
    /// Media types that it takes, in lower case, PDF among them; empty for the common ones.
    pub file_types: Vec<String>,
    /// How much it may have here at once.
    pub limits: MailboxLimit,
    /// It by IMAP.
    pub imap: Option<Imap>,
}

words! {
    /// What receivers learn of the person who wrote.
    pub PersonPolicy {
        /// Nothing.
        None = "none",
        /// The name.
        Name = "name",
        /// Name and mail address.
        NameAndAddress = "name-and-address",
    }
    /// What becomes of the mails that an answer quotes.
    pub History {
        /// They are part of the message.
        Keep = "keep",
        /// They are left out.
        Trim = "trim",
    }
    /// What becomes of images in the text.
    pub InlineImages {
        /// What only decorates is left out.
        DropDecorative = "drop-decorative",
        /// All are attached.
        Keep = "keep",
        /// None is.
        Drop = "drop",
    }
    /// Signed mails.
    pub SignedMail {
        /// Their content is sent without the signature.
        Unwrap = "unwrap",
        /// The signed whole is attached besides.
        Keep = "keep",
    }
    /// What a mailbox gets of a message.
    pub DeliveryMode {
        /// The message.
        Full = "full",
        /// A notice that it waits.
        Notice = "notice",
    }
    /// When the sender is told that a message was accepted.
    pub SuccessNotice {
        /// When the mail asks for it.
        Asked = "asked",
        /// Always.
        Always = "always",
    }
}

/// A participant that is served, without its keys.
#[derive(Debug, Clone)]
pub struct Participant {
    /// Its id.
    pub id: ParticipantId,
    /// When to try again what it sends.
    pub retry: Retry,
    /// How long its messages are kept that have ended.
    pub retention: Retained,
    /// How much it may have here at once.
    pub limits: OrganisationLimit,
    /// The same of its mailboxes, where they are known.
    pub mailboxes: Vec<(FunctionId, MailboxLimit)>,
    /// When its people work; none for always.
    pub hours: Option<Hours>,
    /// By which clock its messages are given up.
    pub patience: Patience,
}

impl From<&Organisation> for Participant {
    fn from(organisation: &Organisation) -> Self {
        let Organisation { participant, retry, retention, limits, mailboxes, hours, patience, .. } = organisation;
        Self {
            id: participant.clone(),
            retry: *retry,
            retention: *retention,
            limits: *limits,
            mailboxes: mailboxes.iter().map(|mailbox| (mailbox.function.clone(), mailbox.limits)).collect(),
            hours: hours.clone(),
            patience: *patience,
        }
    }
}

impl Checker<'_> {
    pub(super) fn organisations(&mut self, raw: Vec<raw::Organisation>, common: &Common) -> Option<Vec<Organisation>> {
        if raw.is_empty() {
            self.error(ConfigError::new("organisation", "is empty").hint("add a section [[organisation]]"));
            return None;
        }
        let read: Vec<_> = raw.into_iter().enumerate().map(|(i, raw)| self.organisation(i, raw, common)).collect();
        let organisations: Vec<Organisation> = read.into_iter().collect::<Option<_>>()?;
        self.participants_apart(organisations.iter().map(|organisation| &organisation.participant));
        self.mailboxes_apart(&organisations);
        self.outboxes_apart(&organisations);
        Some(organisations)
    }

    /// The participants of an access point node, which knows no more of them.
    pub(super) fn participants(&mut self, raw: Vec<raw::Organisation>, common: &Common) -> Option<Vec<Participant>> {
        if raw.is_empty() {
            self.error(ConfigError::new("organisation", "is empty").hint("add a section [[organisation]] with its participant"));
            return None;
        }
        let read: Vec<_> = raw.into_iter().enumerate().map(|(i, raw)| self.participant(i, raw, common)).collect();
        let participants: Vec<Participant> = read.into_iter().collect::<Option<_>>()?;
        self.participants_apart(participants.iter().map(|participant| &participant.id));
        Some(participants)
    }

    fn participant(&mut self, index: usize, raw: raw::Organisation, common: &Common) -> Option<Participant> {
        let at = format!("organisation[{index}]");
        let retry = self.retry_of(&at, raw.retry.as_ref(), common.retry);
        let retention = self.retention_of(&at, raw.retention.as_ref(), common.retention);
        let limits = Self::limits_of(raw.limits.as_ref(), common.limits);
        let (hours, patience) = self.hours_of(&at, raw.hours)?;
        Some(Participant { id: raw.participant?, retry: retry?, retention: retention?, limits: limits?, mailboxes: Vec::new(), hours, patience })
    }

    fn participants_apart<'a>(&mut self, participants: impl Iterator<Item = &'a ParticipantId>) {
        let mut before: Vec<&ParticipantId> = Vec::new();
        for (i, participant) in participants.enumerate() {
            if before.contains(&participant) {
                let at = format!("organisation[{i}].participant");
                self.error(ConfigError::new(at, "stands twice").text(participant).hint("put its mailboxes together"));
            }
            before.push(participant);
        }
    }

    /// Office hours of an organisation, and by which clock its messages are given up.
    fn hours_of(&mut self, at: &str, raw: Option<raw::Hours>) -> Option<(Option<Hours>, Patience)> {
        match raw {
            Some(raw) => self.hours(at, raw).map(|(hours, patience)| (Some(hours), patience)),
            None => Some((None, Patience::RealTime)),
        }
    }

    fn organisation(&mut self, index: usize, raw: raw::Organisation, common: &Common) -> Option<Organisation> {
        let at = format!("organisation[{index}]");
        let others = raw.encryption_key.unwrap_or_default();
        let files = KeyFiles { key: raw.key, password: raw.key_password_file, certificate: raw.certificate };
        let signing = self.identity(&at, files, if others.is_empty() { Purpose::Both } else { Purpose::Sign });
        let keys = others.into_iter().enumerate().map(|(i, raw)| {
            let files = KeyFiles { key: raw.key, password: raw.key_password_file, certificate: raw.certificate };
            self.identity(&format!("{at}.encryption-key[{i}]"), files, Purpose::Decrypt)
        });
        let keys: Vec<_> = keys.collect();
        let limits = Self::limits_of(raw.limits.as_ref(), common.limits);
        let mailboxes = raw.mailbox.map(|raw| {
            if raw.is_empty() {
                self.error(ConfigError::new(format!("{at}.mailbox"), "is empty").hint("add a section [[organisation.mailbox]]"));
            }
            for (i, raw) in raw.iter().enumerate() {
                self.within_organisation(&format!("{at}.mailbox[{i}]"), raw.limits.as_ref(), limits);
            }
            let read: Vec<_> = raw.into_iter().enumerate().map(|(i, raw)| self.mailbox(&format!("{at}.mailbox[{i}]"), raw, common)).collect();
            read.into_iter().collect::<Option<Vec<_>>>()
        });
        let retry = self.retry_of(&at, raw.retry.as_ref(), common.retry);
        let retention = self.retention_of(&at, raw.retention.as_ref(), common.retention);
        let hours = self.hours_of(&at, raw.hours);
        let signing = signing?;
        let mut decryption: Vec<Identity> = keys.into_iter().collect::<Option<_>>()?;
        // What signs is published and may be encrypted to, so it decrypts too, unless it must not.
        if signing.certificate.may(KeyUse::Encrypt) && !decryption.iter().any(|identity| identity.certificate == signing.certificate) {
            decryption.insert(0, signing.clone());
        }
        let (hours, patience) = hours?;
        Some(Organisation {
            participant: raw.participant?,
            name: raw.name?.0,
            signing,
            decryption,
            mailboxes: mailboxes??,
            retry: retry?,
            retention: retention?,
            limits: limits?,
            hours,
            patience,
        })
    }

    fn mailbox(&mut self, at: &str, raw: raw::Mailbox, common: &Common) -> Option<Mailbox> {
        let inside = [("address", raw.address.as_ref()), ("deliver-to", raw.deliver_to.as_ref())];
        for (key, address) in inside.into_iter().filter_map(|(key, address)| Some((key, address?))) {
            self.outside(common, &format!("{at}.{key}"), address);
        }
        let mut file_types: Vec<String> = raw.file_types.unwrap_or_default().into_iter().map(|kind| kind.0).collect();
        // SDK B1.3.3 4: PDF is always taken.
        if !file_types.is_empty() && !file_types.iter().any(|kind| kind == "application/pdf") {
            file_types.push("application/pdf".to_owned());
        }
        if raw.remind_after.is_some() && raw.delivery == Some(DeliveryMode::Full) {
            let hint = "say delivery = \"notice\", or remove it";
            self.error(ConfigError::new(format!("{at}.remind-after"), "has no meaning with delivery = \"full\"").hint(hint));
        }
        let limits = Self::limits_of_mailbox(raw.limits.as_ref(), common.limits);
        let imap = raw.imap.map(|imap| self.imap(&format!("{at}.imap"), imap, raw.address.as_ref()));
        let address = raw.address?;
        Some(Mailbox {
            deliver_to: raw.deliver_to.unwrap_or_else(|| address.clone()),
            mail_server: raw.mail_server,
            address,
            function: raw.function?,
            label: raw.label?.0,
            senders: raw.senders?,
            person: raw.person?,
            confidential: raw.confidential?,
            history: raw.history?,
            inline_images: raw.inline_images?,
            signed_mail: raw.signed_mail?,
            success_notice: raw.success_notice?,
            delivery: raw.delivery?,
            remind_after: raw.remind_after.map(|span| span.0),
            loop_messages: raw.loop_messages,
            file_types,
            limits: limits?,
            imap: match imap {
                Some(imap) => Some(imap?),
                None => None,
            },
        })
    }

    /// One address, one mailbox; one function, one mailbox of its organisation.
    fn mailboxes_apart(&mut self, organisations: &[Organisation]) {
        let all: Vec<_> = organisations
            .iter()
            .enumerate()
            .flat_map(|(i, organisation)| {
                organisation.mailboxes.iter().enumerate().map(move |(j, mailbox)| (i, format!("organisation[{i}].mailbox[{j}]"), mailbox))
            })
            .collect();
        for (n, (own, at, mailbox)) in all.iter().enumerate() {
            for (other, other_at, earlier) in all.iter().take(n) {
                if mailbox.address == earlier.address {
                    self.error(ConfigError::new(format!("{at}.address"), format!("is {other_at}'s too")).text(&mailbox.address));
                }
                if own == other && mailbox.function == earlier.function {
                    let same = mailbox.function.as_str() == earlier.function.as_str();
                    let reason = if same { format!("is {other_at}'s too") } else { format!("differs from {other_at}'s only in case") };
                    let hint = "mail addresses are compared without case, so a mail could not tell them apart";
                    self.error(ConfigError::new(format!("{at}.function"), reason).text(&mailbox.function).hint(hint));
                }
            }
            for (k, sender) in mailbox.senders.iter().enumerate() {
                if let Some((_, other_at, _)) =
                    all.iter().find(|(_, other_at, other)| other_at != at && (other.address == *sender || other.senders.contains(sender)))
                {
                    let reason = format!("may send as {other_at} too: its mail would have two senders");
                    self.error(ConfigError::new(format!("{at}.senders[{k}]"), reason).text(sender));
                }
            }
        }
    }

    /// An access point's key is never a participant's: the two sides can run on different machines.
    pub(super) fn keys_apart(&mut self, access_point: &AccessPoint, organisations: &[Organisation]) {
        for (i, organisation) in organisations.iter().enumerate() {
            if organisation.signing.certificate == access_point.identity.certificate {
                let hint = "the access point's certificate comes from the federation, the organisation's from SITHS or another participant CA";
                self.error(ConfigError::new(format!("organisation[{i}].key"), "is the access point's key").hint(hint));
            }
        }
        let tls = [
            ("access-point.tls.key", access_point.tls.as_ref().map(|tls| &tls.certificate)),
            ("access-point.client-tls.key", access_point.client_tls.certificate.as_ref()),
        ];
        let own = access_point.identity.certificate.public_key().ok();
        for (at, certificate) in tls.into_iter().filter_map(|(at, certificate)| Some((at, certificate?))) {
            if certificate.public_key().is_ok_and(|key| own.as_ref().is_some_and(|own| own.public_eq(&key))) {
                let hint = "TLS has its own certificate, from SITHS or another CA that the federation accepts for it (SDK C3.2.1 2.4)";
                self.error(ConfigError::new(at, "is the access point's key").hint(hint));
            }
        }
    }
}
