//! What is asked and answered on the control socket.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::ident::ParticipantId;
use crate::worker::Target;

/// The version of questions that this gateway understands; it goes up when one changes its meaning.
pub const VERSION: u8 = 1;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The version that it is written in.
    pub version: u8,
    /// Who asks, by the name of a person where one is known: for the journal, beside the user id that the kernel tells.
    #[serde(default)]
    pub by: String,
    /// What is asked.
    pub command: Command,
}

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "name")]
pub enum Command {
    /// How the gateway is.
    Status {},
    /// What waits, and why.
    Queue {
        /// So many of each queue at most.
        limit: usize,
    },
    /// A message that ended without outcome is sent again.
    Resend {
        /// Its messageId or record.
        id: String,
    },
    /// What waits for its next attempt is tried now.
    Retry {
        /// Its messageId or record.
        id: String,
    },
    /// All that waits for its next attempt to an organisation is tried now.
    RetryTo {
        /// The organisation.
        participant: ParticipantId,
    },
    /// What was kept back goes on.
    Release {
        /// The messageId or record of one of them.
        id: String,
    },
    /// A received message is delivered once more.
    Redeliver {
        /// Its messageId or record.
        id: String,
    },
    /// An operator has seen to a received message.
    Handled {
        /// Its messageId or record.
        id: String,
        /// How.
        reason: String,
    },
    /// A message that has not left is stopped.
    Cancel {
        /// Its messageId or record.
        id: String,
    },
    /// Nothing of this is deleted.
    Hold {
        /// Of what.
        on: Target,
        /// Why.
        reason: String,
    },
    /// It is deleted again when its time is over.
    Unhold {
        /// Of what.
        on: Target,
    },
    /// All holds.
    Holds {},
    /// How many bodies are under which key.
    Keys {},
    /// Read the keys again.
    ReloadKeys {},
    /// Encrypt with the active keys what lies under older ones.
    Rekey {},
}

impl Command {
    /// Its name, for the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status {} => "status",
            Self::Queue { .. } => "queue",
            Self::Resend { .. } => "resend",
            Self::Retry { .. } => "retry",
            Self::RetryTo { .. } => "retry-to",
            Self::Release { .. } => "release",
            Self::Redeliver { .. } => "redeliver",
            Self::Handled { .. } => "handled",
            Self::Cancel { .. } => "cancel",
            Self::Hold { .. } => "hold",
            Self::Unhold { .. } => "unhold",
            Self::Holds {} => "holds",
            Self::Keys {} => "keys",
            Self::ReloadKeys {} => "reload-keys",
            Self::Rekey {} => "rekey",
        }
    }
}

/// A line of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// A part of it, of the command's own form.
    Line(serde_json::Value),
    /// The end: the answer is whole.
    Done {},
    /// The end: it cannot be done.
    Refused(Refused),
}

/// Why something is not done, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{what}")]
pub struct Refused {
    /// What is wrong.
    pub what: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl Refused {
    /// A refusal.
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self { what: failure.what, hint: failure.hint }
    }
}

impl Request {
    /// A question of this version.
    #[must_use]
    pub fn new(by: impl Into<String>, command: Command) -> Self {
        Self { version: VERSION, by: by.into(), command }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// [`Refused`]: another version, or nothing that is known here.
    pub fn read(line: &[u8]) -> Result<Self, Refused> {
        #[derive(Deserialize)]
        struct Any {
            version: u8,
        }
        let unread = || Refused::new("the question is not understood", "use the brevbro of the same version as the gateway that runs");
        let Any { version } = serde_json::from_slice(line).map_err(|_| unread())?;
        if version != VERSION {
            let hint = "use the brevbro of the same version as the gateway that runs";
            return Err(Refused::new(format!("the question is of version {version}, and this gateway understands {VERSION}"), hint));
        }
        let request: Self = serde_json::from_slice(line).map_err(|_| unread())?;
        if request.by.chars().count() > 128 || request.by.chars().any(char::is_control) {
            return Err(Refused::new("the name of who asks is no name", ""));
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_of_another_version_are_refused_with_advice() {
        let line = serde_json::to_vec(&Request::new("anna", Command::Status {})).unwrap();
        assert_eq!(String::from_utf8_lossy(&line), r#"{"version":1,"by":"anna","command":{"name":"status"}}"#);
        assert_eq!(Request::read(&line).unwrap().command, Command::Status {});
        let newer = br#"{"version":2,"command":{"name":"what-comes-later"}}"#;
        assert!(Request::read(newer).unwrap_err().what.contains("version 2"));
        for line in [&b"{}"[..], b"", b"{\"version\":1}", br#"{"version":1,"command":{"name":"unknown"}}"#] {
            assert_eq!(Request::read(line).unwrap_err().what, "the question is not understood");
        }
        assert!(Request::read(br#"{"version":1,"by":"a\nb","command":{"name":"status"}}"#).is_err());
    }
}
