//! `brevbro audit export`: the journal's events, one JSON object a line, for what collects and searches such.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::cli::CliError;
use crate::cli::journal::{JournalArgs, Place, Unread};
use crate::event::{Event, Field};
use crate::ident::ParticipantId;
use crate::store::journal::{Entry, Following, JournalError};
use crate::store::{PostgresJournal, Walk};

/// How often new lines are looked for.
const LOOK: Duration = Duration::from_millis(500);

/// The arguments of `brevbro audit export`.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    journal: JournalArgs,
    /// Only events from then on: `2026-11-20`, `2026-11-20T14:10` (local time) or `2026-11-20T13:10:00Z`.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<Timestamp>,
    /// Only events before then.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    until: Option<Timestamp>,
    /// Only events of this participant of ours, and nothing of another's (SDK C1.6 3.3.a).
    #[arg(long, value_name = "PARTICIPANT")]
    organisation: Option<ParticipantId>,
    /// Goes on with what comes, until it is ended.
    #[arg(long, conflicts_with = "until")]
    follow: bool,
    /// Lists the fields that a line may have, with what they mean, and ends.
    #[arg(long)]
    fields: bool,
}

/// One line.
#[derive(Serialize)]
struct Exported<'a> {
    line: u64,
    number: u64,
    #[serde(flatten)]
    event: &'a Event,
}

/// Why the events could not be written.
#[derive(Debug, thiserror::Error)]
enum Unwritten {
    #[error(transparent)]
    Journal(#[from] Unread),
    #[error("the output cannot be written")]
    Output(#[from] io::Error),
}

impl From<JournalError> for Unwritten {
    fn from(error: JournalError) -> Self {
        Self::Journal(error.into())
    }
}

pub(super) async fn run(args: &ExportArgs) -> Result<(), CliError> {
    let written = if args.fields {
        list(io::stdout().lock()).map_err(Unwritten::Output)
    } else {
        match args.journal.place().await? {
            Place::Folder(dir) => args.files(dir, BufWriter::new(io::stdout().lock())),
            Place::Database { journal, .. } => args.rows(&journal).await,
        }
    };
    match written {
        // Whoever reads along has seen enough.
        Err(Unwritten::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(Unwritten::Journal(error)) => Err(error.told("brevbro audit verify says what is whole")),
        other => Ok(other?),
    }
}

impl ExportArgs {
    /// Events out of files.
    fn files(&self, dir: PathBuf, mut out: impl Write) -> Result<(), Unwritten> {
        let mut following = Following::new(dir);
        loop {
            following.next(|entry| Ok::<(), Unwritten>(self.write(&mut out, &entry)?))?;
            out.flush()?;
            if !self.follow {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Events out of a database.
    async fn rows(&self, journal: &PostgresJournal) -> Result<(), Unwritten> {
        let mut walk = Walk::default();
        loop {
            let page = journal.next(&mut walk).await.map_err(Unread::from)?;
            let mut out = BufWriter::new(io::stdout().lock());
            page.iter().try_for_each(|entry| self.write(&mut out, entry))?;
            out.flush()?;
            match (page.is_empty(), self.follow) {
                (false, _) => {}
                (true, false) => return Ok(()),
                (true, true) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    fn write(&self, out: &mut impl Write, entry: &Entry) -> io::Result<()> {
        for (number, event) in (entry.event..).zip(&entry.events).filter(|(_, event)| self.wants(event)) {
            serde_json::to_writer(&mut *out, &Exported { line: entry.seq, number, event })?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn wants(&self, event: &Event) -> bool {
        let own = self.organisation.is_none() || event.organisation == self.organisation;
        own && self.since.is_none_or(|since| event.at >= since) && self.until.is_none_or(|until| event.at < until)
    }
}

/// Every field with its meaning, as Markdown: docs/audit.md has it.
fn list(mut out: impl Write) -> io::Result<()> {
    let always = [
        ("line", "number of the journal's line, from 0"),
        ("number", "number of the event, from 0"),
        ("at", "when, in UTC (RFC 3339)"),
        ("name", "what happened"),
        ("record", "our name for the message, where it is about one"),
        ("organisation", "the participant of ours whose event it is, where it is somebody's"),
    ];
    writeln!(out, "| field | means |\n|---|---|")?;
    for (name, means) in always {
        writeln!(out, "| `{name}` | {means} |")?;
    }
    for (field, means) in Field::ALL {
        let name = serde_json::to_value(field)?;
        writeln!(out, "| `{}` | {means} |", name.as_str().unwrap_or_default())?;
    }
    out.flush()
}

fn instant(text: &str) -> Result<Timestamp, String> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let local = match text.parse::<Date>() {
        Ok(date) if text.len() == 10 => Some(date.at(0, 0, 0, 0)),
        _ => text.replace(' ', "T").parse::<DateTime>().ok(),
    };
    let zoned = local.and_then(|local| local.to_zoned(TimeZone::system()).ok());
    zoned.map(|zoned| zoned.timestamp()).ok_or_else(|| "a time such as 2026-11-20, 2026-11-20T14:10 or 2026-11-20T13:10:00Z is needed".to_owned())
}
