//! `brevbro trace`: where a message is, and everything that happened to it.
//!
//! It reads the journal and nothing else: the gateway may be running, or gone. With `--organisation` nothing of another
//! participant is shown (SDK C1.6 3.3.a).

use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use serde::Deserialize;

use self::print::Printing;
use self::search::{Events, Query};
use super::CliError;
use super::journal::{JournalArgs, Place, Unread};
use crate::event::{Event, Language};
use crate::ident::ParticipantId;
use crate::store::journal::find::{Finder, Found, fold};

mod print;
mod search;

/// The arguments of `brevbro trace`.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// Any ids of it: Message-ID, messageId, conversation, AS4 MessageId, a receipt's id, a certificate's fingerprint, a record.
    #[arg(value_name = "ID", required_unless_present_any = ["from", "to", "mailbox", "at"])]
    ids: Vec<String>,
    /// The mail address that it came from.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// The mail address that it was sent to, or delivered to.
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// A mail address at either end.
    #[arg(long, value_name = "ADDRESS")]
    mailbox: Option<String>,
    /// About when, in local time: `14:10` today, `2026-11-20` or `2026-11-20T14:10`.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// How many minutes before and after.
    #[arg(long, value_name = "MINUTES", default_value_t = 15)]
    within: u32,
    /// Only what this participant of ours may see.
    #[arg(long, value_name = "PARTICIPANT")]
    organisation: Option<ParticipantId>,
    /// The other side's journal, as its `brevbro audit export` wrote it: both halves become one life.
    #[arg(long, value_name = "FILE")]
    with: Option<PathBuf>,
    /// One JSON object for each message.
    #[arg(long)]
    json: bool,
    /// The language: `sv` or `en`.
    #[arg(long, default_value = "sv")]
    language: Tongue,
    #[command(flatten)]
    journal: JournalArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Tongue {
    Sv,
    En,
}

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
enum TraceError {
    #[error("{0} is no time such as 14:10, 2026-11-20 or 2026-11-20T14:10")]
    Time(String),
    #[error("the other side's journal {} cannot be read", .0.display())]
    Other(PathBuf, #[source] io::Error),
    #[error("line {line} of the other side's journal {} is no event", path.display())]
    NoEvent { path: PathBuf, line: usize },
    #[error("nothing in the journal answers to that")]
    Nothing,
}

/// The gateway's own journal.
enum Own {
    Files(Finder),
    Database(search::Table),
}

/// A line of an exported journal.
#[derive(Deserialize)]
struct Exported {
    line: u64,
    number: u64,
    #[serde(flatten)]
    event: Event,
}

/// Prints every message that the question names.
///
/// # Errors
/// [`CliError`] when the question or a journal cannot be read, or nothing is found.
pub async fn run(args: &TraceArgs) -> Result<(), CliError> {
    let zone = TimeZone::system();
    let query = query(args, &Timestamp::now().to_zoned(zone.clone())).map_err(CliError::usage)?;
    let own = match args.journal.place().await? {
        Place::Folder(dir) => Own::Files(Finder::open(&dir).map_err(|error| Unread::from(error).told("brevbro audit verify says what is whole"))?),
        Place::Database { journal, .. } => Own::Database(search::Table::new(journal)),
    };
    let other = args.with.as_deref().map(exported).transpose()?;
    let mut sources: Vec<&dyn Events> = vec![match &own {
        Own::Files(finder) => finder,
        Own::Database(table) => table,
    }];
    sources.extend(other.as_ref().map(|other| other as &dyn Events));
    let lives = query.lives(&sources).await.map_err(|error| error.told("brevbro audit verify says what is whole"))?;
    let unread = match &own {
        Own::Files(finder) => finder.unread,
        Own::Database(table) => table.unread(),
    };
    if unread > 0 {
        warn_unread(unread);
    }
    if lives.is_empty() {
        let hint = "try --within 120, another --at (local time), or the other address; `brevbro audit export` shows everything";
        return Err(CliError::failure(TraceError::Nothing).hint(hint));
    }
    let language = match args.language {
        Tongue::Sv => Language::Swedish,
        Tongue::En => Language::English,
    };
    let (printing, mut out) = (Printing { language, zone }, BufWriter::new(io::stdout().lock()));
    let shown = lives.iter().try_for_each(|life| if args.json { print::json(&mut out, life) } else { printing.words(&mut out, life) });
    match shown.and_then(|()| out.flush()) {
        // Whoever reads along has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// What cannot be read may be what was asked for.
fn warn_unread(lines: u64) {
    let text = format!("warning: {lines} lines of the journal cannot be read; run brevbro audit verify\n");
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn query(args: &TraceArgs, now: &Zoned) -> Result<Query, TraceError> {
    Ok(Query {
        ids: args.ids.iter().map(|id| fold(id)).collect(),
        from: args.from.as_deref().map(fold),
        to: args.to.as_deref().map(fold),
        mailbox: args.mailbox.as_deref().map(fold),
        window: args.at.as_deref().map(|at| window(at, args.within, now)).transpose()?,
        organisation: args.organisation.clone(),
    })
}

/// Around a time that somebody names in local time; a day is the whole of it.
fn window(at: &str, minutes: u32, now: &Zoned) -> Result<(Timestamp, Timestamp), TraceError> {
    let wrong = || TraceError::Time(at.to_owned());
    let zone = now.time_zone();
    let instant = |time: DateTime| time.to_zoned(zone.clone()).map(|zoned| zoned.timestamp()).map_err(|_| wrong());
    if let Ok(date) = at.parse::<jiff::civil::Date>()
        && at.len() == 10
    {
        let next = date.tomorrow().map_err(|_| wrong())?;
        return Ok((instant(date.at(0, 0, 0, 0))?, instant(next.at(0, 0, 0, 0))? - SignedDuration::from_nanos(1)));
    }
    let time = match at.parse::<Time>() {
        Ok(time) if at.len() <= 8 => now.date().to_datetime(time),
        _ => at.replace(' ', "T").parse::<DateTime>().map_err(|_| wrong())?,
    };
    // 14:10 is the whole minute.
    let (first, around) = (instant(time)?, SignedDuration::from_mins(minutes.into()));
    let last = first.saturating_add(around + SignedDuration::from_secs(60)).map_err(|_| wrong())?;
    Ok((first.saturating_sub(around).map_err(|_| wrong())?, last - SignedDuration::from_nanos(1)))
}

/// An exported journal, whole.
fn exported(path: &Path) -> Result<Vec<Found>, TraceError> {
    let failed = |error| TraceError::Other(path.to_owned(), error);
    let lines = BufReader::new(std::fs::File::open(path).map_err(failed)?).lines();
    let mut found = Vec::new();
    for (at, line) in lines.enumerate() {
        let line = line.map_err(failed)?;
        let read: Exported = serde_json::from_str(&line).map_err(|_| TraceError::NoEvent { path: path.to_owned(), line: at + 1 })?;
        found.push(Found { line: read.line, number: read.number, event: read.event });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_local_and_means_a_while_around_it() {
        let now: Zoned = "2026-11-20T15:00:00[Europe/Stockholm]".parse().unwrap();
        let span = |at: &str, minutes| {
            let (first, last) = window(at, minutes, &now).unwrap();
            (first.to_string(), last.to_string())
        };
        assert_eq!(span("14:10", 15), ("2026-11-20T12:55:00Z".into(), "2026-11-20T13:25:59.999999999Z".into()));
        assert_eq!(span("14:10", 15), span("2026-11-20T14:10", 15));
        assert_eq!(span("2026-11-20 14:10", 0), ("2026-11-20T13:10:00Z".into(), "2026-11-20T13:10:59.999999999Z".into()));
        assert_eq!(span("2026-07-01", 15), ("2026-06-30T22:00:00Z".into(), "2026-07-01T21:59:59.999999999Z".into()));
        for wrong in ["", "klockan två", "igår", "2026-13-01", "25:00"] {
            assert!(window(wrong, 15, &now).is_err(), "{wrong}");
        }
    }
}
