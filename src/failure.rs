//! What went wrong, where, whose it is, whether to try again, and what to do about it.
//!
//! Module borders have their own error enums; a flow turns them into a [`Failure`], which decides between retry,
//! notice and alarm. A failure's texts go to logs and operators: they name things, never content.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Field;

/// The step of a flow at which a failure happened, in the order of the flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Taking a mail in.
    Accept,
    /// Mail to SDK message.
    Convert,
    /// Finding the recipient in DNS, SMP and CertPub.
    Address,
    /// Encrypting and signing the XHE.
    Seal,
    /// AS4 out, until the receipt is verified.
    Send,
    /// Waiting for the message receipt.
    Settle,
    /// AS4 in, until our receipt is sent.
    Receive,
    /// Verifying and decrypting the XHE.
    Open,
    /// Validating the message.
    Check,
    /// SDK message to mail.
    Render,
    /// Handing a mail to the mail server.
    Deliver,
    /// Keeping state.
    Store,
}

/// Whose doing a failure is, and so who must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// This gateway, its configuration or its machine: the operator acts.
    Us,
    /// The person or system that sent the mail: a notice tells them.
    Sender,
    /// The other organisation, its message service or access point.
    Peer,
    /// DNS, SMP or the certificates of the federation.
    Federation,
    /// The internal mail server.
    MailServer,
}

/// Whether the same thing may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permanence {
    /// Try again, with the same bytes.
    Temporary,
    /// It will fail again; tell whoever must act.
    Permanent,
}

/// What there is not enough of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shortage {
    /// Room on the disk.
    Disk,
    /// Room in memory.
    Memory,
    /// What one organisation or mailbox may have here.
    Quota,
}

/// One failure of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{what}")]
pub struct Failure {
    /// Where.
    pub stage: Stage,
    /// Whose.
    pub blame: Blame,
    /// Again or never.
    pub permanence: Permanence,
    /// What failed, in English, for the log.
    pub what: String,
    /// What to do, in English, for the operator; empty when there is nothing to do but wait.
    pub hint: String,
    /// What else the journal's line names: the other access point, its certificate, its error code (SDK C3.4.6 3.4.1).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<Field, String>,
    /// What of ours was used up: who asked is told so in the words of their protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortage: Option<Shortage>,
    /// How long the other side asked us to wait before we try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Duration>,
}

impl Failure {
    /// A failure that may pass.
    pub fn temporary(stage: Stage, blame: Blame, what: impl Into<String>) -> Self {
        Self {
            stage,
            blame,
            permanence: Permanence::Temporary,
            what: what.into(),
            hint: String::new(),
            facts: BTreeMap::new(),
            shortage: None,
            wait: None,
        }
    }

    /// A failure that stays.
    pub fn permanent(stage: Stage, blame: Blame, what: impl Into<String>) -> Self {
        Self {
            stage,
            blame,
            permanence: Permanence::Permanent,
            what: what.into(),
            hint: String::new(),
            facts: BTreeMap::new(),
            shortage: None,
            wait: None,
        }
    }

    /// The same failure with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same failure with something that the journal names besides; what was named before stays.
    #[must_use]
    pub fn about(mut self, field: Field, value: impl ToString) -> Self {
        self.facts.entry(field).or_insert_with(|| value.to_string());
        self
    }

    /// The same failure for want of something.
    #[must_use]
    pub fn for_want_of(mut self, shortage: Shortage) -> Self {
        self.shortage = Some(shortage);
        self
    }

    /// The same failure, not to be tried again before that time has passed.
    #[must_use]
    pub fn not_within(mut self, wait: Option<Duration>) -> Self {
        self.wait = wait;
        self
    }

    /// Whether to try again.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.permanence == Permanence::Temporary
    }
}

/// An error with its causes in one line: of hyper and of OpenSSL these alone say what happened.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
