//! How much an organisation and a mailbox may have here at once: for all, for one organisation, for one mailbox.

use super::check::Checker;
use super::declare::section;
use super::errors::ConfigError;
use super::values::Size;

section! {
    /// How much one organisation, and one mailbox of it, may have here at once, so that whoever floods the gateway takes no room from
    /// the others. The values that come with the gateway are far above what anybody needs. `docs/limits.md` lists these and all
    /// other limits, and what is answered at each.
    Limits {
        /// Messages of one organisation that are under way at once, in both directions: from their arrival here to their end. At this
        /// number its mails and the messages to it are put off (SMTP 452, AS4 HTTP 507); message receipts are always taken.
        max_waiting: u32 = Default "50000";
        /// Messages to one organisation that wait to be opened. When it gets them faster than they can be opened, the others'
        /// wait behind them; what is more is put off (HTTP 507).
        max_unopened: u32 = Default "2000";
        /// Octets of one organisation's messages, as they came in: those under way, and those that have ended until retention
        /// deletes their content. On the disk they take up to three times as much. What is more is put off.
        max_stored: Size = Default "\"500 GB\"";
        /// Messages of one mailbox that are under way at once. At this number its mails are put off; what comes to it is taken.
        max_mailbox_waiting: u32 = Default "20000";
        /// Octets of one mailbox's messages. At this number its mails are put off; what comes to it is taken.
        max_mailbox_stored: Size = Default "\"200 GB\"";
        /// Mails that one mailbox may hand in at the same moment by SMTP. What is more is put off (451 4.4.5).
        max_mailbox_at_once: u32 = Default "20";
    }
}

section! {
    /// How much one organisation may have here at once: what stands here holds instead of `[limits]`.
    OrganisationLimits {
        /// Its messages under way.
        max_waiting: u32 = Optional "100000";
        /// Messages to it that wait to be opened.
        max_unopened: u32 = Optional "5000";
        /// Octets of its messages.
        max_stored: Size = Optional "\"1000 GB\"";
    }
}

section! {
    /// How much one mailbox may have here at once: what stands here holds instead of `[limits]`.
    MailboxLimits {
        /// Its messages under way.
        max_waiting: u32 = Optional "5000";
        /// Octets of its messages.
        max_stored: Size = Optional "\"20 GB\"";
        /// Mails that it may hand in at the same moment.
        max_at_once: u32 = Optional "5";
    }
}

/// How much an organisation may have here at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrganisationLimit {
    /// Messages under way.
    pub waiting: u64,
    /// Messages to be opened.
    pub unopened: u64,
    /// Octets.
    pub stored: u64,
}

/// How much a mailbox may have here at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxLimit {
    /// Messages under way.
    pub waiting: u64,
    /// Octets.
    pub stored: u64,
    /// Mails that it hands in at the same moment.
    pub at_once: usize,
}

/// What holds where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CommonLimits {
    organisation: OrganisationLimit,
    mailbox: MailboxLimit,
}

impl Checker<'_> {
    pub(super) fn limits(raw: &Limits) -> Option<CommonLimits> {
        Some(CommonLimits {
            organisation: OrganisationLimit {
                waiting: raw.max_waiting?.into(),
                unopened: raw.max_unopened?.into(),
                stored: raw.max_stored.as_ref()?.0,
            },
            mailbox: MailboxLimit {
                waiting: raw.max_mailbox_waiting?.into(),
                stored: raw.max_mailbox_stored.as_ref()?.0,
                at_once: raw.max_mailbox_at_once? as usize,
            },
        })
    }

    /// What an organisation says for itself, and for the rest what holds for all.
    pub(super) fn limits_of(raw: Option<&OrganisationLimits>, of_all: Option<CommonLimits>) -> Option<OrganisationLimit> {
        let of_all = of_all?.organisation;
        let Some(raw) = raw else { return Some(of_all) };
        Some(OrganisationLimit {
            waiting: raw.max_waiting.map_or(of_all.waiting, u64::from),
            unopened: raw.max_unopened.map_or(of_all.unopened, u64::from),
            stored: raw.max_stored.as_ref().map_or(of_all.stored, |size| size.0),
        })
    }

    /// The same of a mailbox.
    pub(super) fn limits_of_mailbox(raw: Option<&MailboxLimits>, of_all: Option<CommonLimits>) -> Option<MailboxLimit> {
        let of_all = of_all?.mailbox;
        let Some(raw) = raw else { return Some(of_all) };
        Some(MailboxLimit {
            waiting: raw.max_waiting.map_or(of_all.waiting, u64::from),
            stored: raw.max_stored.as_ref().map_or(of_all.stored, |size| size.0),
            at_once: raw.max_at_once.map_or(of_all.at_once, |number| number as usize),
        })
    }

    /// A mailbox that is given more than its organisation has would never get to its limit.
    pub(super) fn within_organisation(&mut self, at: &str, mailbox: Option<&MailboxLimits>, organisation: Option<OrganisationLimit>) {
        let (Some(mailbox), Some(organisation)) = (mailbox, organisation) else { return };
        let hint = "its organisation's is reached before: lower it, or raise the organisation's";
        if let Some(waiting) = mailbox.max_waiting.filter(|waiting| u64::from(*waiting) > organisation.waiting) {
            let reason = format!("is more than its organisation's, {}", organisation.waiting);
            self.error(ConfigError::new(format!("{at}.limits.max-waiting"), reason).value(waiting).hint(hint));
        }
        if let Some(stored) = mailbox.max_stored.as_ref().filter(|stored| stored.0 > organisation.stored) {
            let reason = format!("is more than its organisation's, {}", organisation.stored);
            self.error(ConfigError::new(format!("{at}.limits.max-stored"), reason).value(stored.0).hint(hint));
        }
    }
}
