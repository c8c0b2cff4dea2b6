//! `brevbro journal`: what happened, out of the journal: of one participant, of one message, or all.
//!
//! A participant's lines are its own (SDK C1.6 3.3.a): with `--participant` nothing of another one is shown.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;

use super::CliError;
use crate::event::Event;
use crate::ident::ParticipantId;
use crate::store::{SledOptions, journal};

/// The arguments of `brevbro journal`.
#[derive(Debug, Args)]
pub struct JournalArgs {
    /// The gateway's state folder. The gateway may be running.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/brevbro")]
    state_dir: PathBuf,
    /// Only the events of this participant of ours.
    #[arg(long)]
    participant: Option<ParticipantId>,
    /// Only the events that name this id: a messageId, a conversation, an AS4 MessageId, a Message-ID, a record.
    #[arg(long)]
    id: Option<String>,
}

impl JournalArgs {
    fn wants(&self, event: &Event) -> bool {
        let own = self.participant.as_ref().is_none_or(|participant| event.organisation.as_ref() == Some(participant));
        let named = |id: &String| {
            event.record.is_some_and(|record| record.to_string() == *id) || event.fields.values().any(|value| value.eq_ignore_ascii_case(id))
        };
        own && self.id.as_ref().is_none_or(named)
    }
}

/// Why the journal could not be shown.
#[derive(Debug, thiserror::Error)]
enum Unshown {
    #[error(transparent)]
    Journal(#[from] journal::JournalError),
    #[error("the output cannot be written")]
    Output(#[from] io::Error),
}

/// Prints one line of JSON for each event.
///
/// # Errors
/// [`CliError`] when the journal cannot be read or is damaged.
pub fn run(args: &JournalArgs) -> Result<(), CliError> {
    let path = SledOptions::new(args.state_dir.join("store")).journal();
    let mut out = BufWriter::new(io::stdout().lock());
    let shown = journal::read(&path, |event| {
        if args.wants(&event) {
            let line = serde_json::to_string(&event).map_err(io::Error::other)?;
            writeln!(out, "{line}")?;
        }
        Ok::<(), Unshown>(())
    });
    let shown = shown.and_then(|()| Ok(out.flush()?));
    match shown {
        // Whoever reads along has seen enough.
        Err(Unshown::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error @ Unshown::Journal(journal::JournalError::Io { .. })) => {
            Err(CliError::from(error).hint("name the gateway's state-dir with --state-dir"))
        }
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::event::{EventName, Field};
    use crate::ident::RecordId;

    fn args(participant: Option<&str>, id: Option<&str>) -> JournalArgs {
        JournalArgs { state_dir: PathBuf::new(), participant: participant.map(|id| id.parse().unwrap()), id: id.map(str::to_owned) }
    }

    #[test]
    fn a_participant_sees_its_own_lines_and_no_others() {
        let record = RecordId(uuid::Uuid::from_u128(7));
        let own = Event::new(Timestamp::UNIX_EPOCH, EventName::Taken).of(record, &"0203:habo.se".parse().unwrap()).with(Field::MessageId, "m-1");
        let of_gateway = Event::new(Timestamp::UNIX_EPOCH, EventName::Started);
        assert!(args(Some("0203:HABO.se"), None).wants(&own));
        assert!(!args(Some("0203:mullsjo.se"), None).wants(&own));
        assert!(!args(Some("0203:habo.se"), None).wants(&of_gateway));
        assert!(args(None, None).wants(&of_gateway));
        for id in ["m-1", "M-1", &record.to_string()] {
            assert!(args(None, Some(id)).wants(&own), "{id}");
        }
        assert!(!args(None, Some("m-2")).wants(&own));
        assert!(!args(Some("0203:mullsjo.se"), Some("m-1")).wants(&own));
    }
}
