//! The mail side of a configuration: SMTP and IMAP, the organisations and their mailboxes, what looks for malware.

use std::sync::Arc;

use super::schedules::schedule;
use super::{StartError, imap, sinks};
use crate::config::checked;
use crate::edge::clamd::Clamd;
use crate::edge::imap::OutboxOptions;
use crate::edge::serving::ConnectionLimits;
use crate::edge::smtp_server::{SmtpServerOptions, SmtpTls};
use crate::ident::MailAddress;
use crate::mail::pair::Pace;
use crate::mail::policy::{AllowedTypes, MailboxPolicy};
use crate::mail::session::OnwardTls;
use crate::outbound::retry::Patience;
use crate::sdk::message::MessageLimits;
use crate::worker::{
    Account, Admission, Directions, Household, MailSettings, MailSide, Mailbox, Malware, Mode, Node, OnFailure, Organisation, OutboxSettings, Rate,
    SenderPace,
};

/// Where mails come in.
#[derive(Default)]
pub(super) struct Doors {
    /// By SMTP, and from whom.
    pub(super) smtp: Option<(SmtpServerOptions, Admission)>,
    /// Folders whose mails are sent.
    pub(super) outboxes: Vec<(OutboxOptions, OutboxSettings)>,
}

/// The side, and the doors that are to be opened for it.
pub(super) fn wire(config: &checked::Gateway, mail: &checked::Mail, node: &Arc<Node>) -> Result<(Arc<MailSide>, Doors), StartError> {
    let setup = |what| move |why: String| StartError::Setup { what, why };
    let imap::Folders { outboxes, inboxes } = imap::folders(mail).map_err(setup("a mailbox by IMAP"))?;
    let smtp = mail.smtp.as_ref().map(|smtp| (smtp_options(smtp, onward(mail)), admission(smtp)));
    let side = MailSide {
        node: Arc::clone(node),
        sinks: sinks::sinks(mail, inboxes).map_err(setup("delivery to the mail server"))?,
        household: household(&mail.organisations, mail.loops),
        malware: mail.malware.clone().map(malware),
        mail: settings(config, mail).map_err(setup("the steps' settings"))?,
    };
    Ok((Arc::new(side), Doors { smtp, outboxes }))
}

fn settings(config: &checked::Gateway, mail: &checked::Mail) -> Result<MailSettings, String> {
    Ok(MailSettings {
        operator: mail.operator.clone(),
        postmaster: MailAddress::new(format!("postmaster@{}", config.mail_domain)).map_err(|error| error.to_string())?,
        refused_types: jiff::SignedDuration::try_from(mail.refused_types()).unwrap_or(jiff::SignedDuration::MAX),
        delivery: schedule(&config.delivery, None, Patience::RealTime),
        message: limits(mail.max_incoming)?,
        sending: limits(mail.max_message())?,
        reading: mail.reading_url.as_ref().map(|url| url.as_str().to_owned()),
    })
}

fn smtp_options(smtp: &checked::Smtp, onward: OnwardTls) -> SmtpServerOptions {
    let tls = match &smtp.tls {
        None => SmtpTls::Plain,
        Some(tls) if smtp.require_tls => SmtpTls::Required(Arc::clone(&tls.config)),
        Some(tls) => SmtpTls::Offered(Arc::clone(&tls.config)),
    };
    SmtpServerOptions {
        tls,
        connections: ConnectionLimits { total: smtp.max_connections as usize, per_peer: smtp.max_connections_per_address as usize },
        // MIME is larger than what it becomes: base64 with line ends, twice the text, headers. What counts is the
        // message on the wire, and that is counted at the end of the data.
        max_message: smtp.max_message + smtp.max_message / 2,
        max_recipients: smtp.max_recipients as usize,
        max_mails: smtp.max_mails,
        onward,
        command_timeout: smtp.timeout,
        ..SmtpServerOptions::new(smtp.listen, smtp.hostname.clone())
    }
}

/// AS4 goes over TLS and what it carries is encrypted to its receiver; what comes back to the sender are notices.
fn onward(mail: &checked::Mail) -> OnwardTls {
    let mut servers = std::iter::once(&mail.server).chain(&mail.other_servers);
    if servers.any(|server| matches!(server.security, checked::DeliverySecurity::Plain)) { OnwardTls::Uncertain } else { OnwardTls::Always }
}

fn admission(smtp: &checked::Smtp) -> Admission {
    let networks = smtp.clients.clone();
    let account = |account: &checked::SmtpAccount| Account {
        name: account.name.clone(),
        password: account.password.clone(),
        certificate_name: account.certificate_name.as_ref().map(ToString::to_string),
        mailboxes: account.mailboxes.clone(),
        originator: account.originator.clone(),
    };
    let pace = SenderPace {
        mails: Rate { minute: smtp.mails_per_minute, hour: smtp.mails_per_hour },
        recipients: Rate { minute: smtp.recipients_per_minute, hour: smtp.recipients_per_hour },
    };
    let admits = Box::new(move |address| networks.iter().any(|network| network.contains(address)));
    Admission::new(admits, smtp.accounts.iter().map(account).collect(), pace)
}

fn household(organisations: &[checked::Organisation], loops: checked::Loops) -> Household {
    let organisations = organisations.iter().map(|organisation| Organisation {
        participant: organisation.participant.clone(),
        name: organisation.name.clone(),
        signing: organisation.signing.clone(),
        decryption: organisation.decryption.clone(),
        mailboxes: organisation.mailboxes.iter().map(|own| mailbox(own.clone(), loops)).collect(),
    });
    Household { organisations: organisations.collect() }
}

fn mailbox(mailbox: checked::Mailbox, loops: checked::Loops) -> Mailbox {
    let policy = policy(&mailbox);
    Mailbox {
        address: mailbox.address,
        function: mailbox.function,
        label: Some(mailbox.label),
        senders: mailbox.senders,
        deliver_to: mailbox.deliver_to,
        mail_server: mailbox.mail_server,
        mode: match mailbox.delivery {
            checked::DeliveryMode::Full => Mode::Full,
            checked::DeliveryMode::Notice => Mode::Notice(mailbox.remind_after),
        },
        policy,
        pace: Pace { messages: mailbox.loop_messages.unwrap_or(loops.messages), window: loops.window, hold: loops.hold },
        always_tell: mailbox.success_notice == checked::SuccessNotice::Always,
    }
}

/// How mails of a mailbox are converted.
pub(crate) fn policy(mailbox: &checked::Mailbox) -> MailboxPolicy {
    use crate::mail::policy::{History, InlineImages, PersonPolicy, Secrecy, SignedMail};
    MailboxPolicy {
        person: match mailbox.person {
            checked::PersonPolicy::None => PersonPolicy::None,
            checked::PersonPolicy::Name => PersonPolicy::Name,
            checked::PersonPolicy::NameAndAddress => PersonPolicy::NameAndAddress,
        },
        secrecy: if mailbox.confidential { Secrecy::Confidential } else { Secrecy::Open },
        types: if mailbox.file_types.is_empty() { AllowedTypes::default() } else { AllowedTypes::named(&mailbox.file_types) },
        history: match mailbox.history {
            checked::History::Keep => History::Keep,
            checked::History::Trim => History::Cut,
        },
        images: match mailbox.inline_images {
            checked::InlineImages::DropDecorative => InlineImages::DropDecorative,
            checked::InlineImages::Keep => InlineImages::Keep,
            checked::InlineImages::Drop => InlineImages::DropAll,
        },
        signed: match mailbox.signed_mail {
            checked::SignedMail::Unwrap => SignedMail::Unwrap,
            checked::SignedMail::Keep => SignedMail::Keep,
        },
    }
}

fn malware(configured: checked::Malware) -> Malware {
    let directions = match configured.directions {
        checked::ScanDirections::Both => Directions::Both,
        checked::ScanDirections::Out => Directions::Out,
        checked::ScanDirections::In => Directions::In,
    };
    let on_failure = match configured.on_failure {
        checked::OnScanFailure::Closed => OnFailure::Closed,
        checked::OnScanFailure::Open => OnFailure::Open,
    };
    Malware::new(Arc::new(Clamd::new(configured.clamd)), directions, on_failure, configured.alarm_after)
}

/// Says in the log what looks for malware. One that does not answer keeps nothing from starting: what needs it waits.
pub(super) async fn report_scanner(malware: Option<&Malware>) {
    let Some(malware) = malware else {
        tracing::warn!("nothing looks for malware here: there is no section [malware]; the mail server has to");
        return;
    };
    match malware.version().await {
        Ok(version) => tracing::info!(version, "malware is looked for"),
        Err(error) => tracing::warn!(%error, "malware cannot be looked for"),
    }
}

fn limits(payload: u64) -> Result<MessageLimits, String> {
    usize::try_from(payload).map(|payload| MessageLimits { payload }).map_err(|error| error.to_string())
}
