//! `brevbro status`: how the gateway that runs is.

use std::fmt::Write;

use clap::Args;

use super::CliError;
use super::control::Running;
use crate::daemon::control::Command;
use crate::worker::{Overview, Usage};

/// The arguments of `brevbro status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    running: Running,
}

/// Prints what is to be done and what waits for somebody.
///
/// # Errors
/// [`CliError`] when no gateway runs.
pub fn run(args: &StatusArgs) -> Result<(), CliError> {
    args.running.print(Command::Status {}, |overview| show(&overview))
}

fn show(overview: &Overview) -> String {
    let Overview { name, version, started, working, admits, queues, states, limits } = overview;
    let mut text = format!("{name}, brevbro {version}, running since {started:.0}\n");
    if !working {
        text.push_str("the store does not work: look into the log\n");
    }
    if !admits {
        text.push_str("nothing new is taken in: make room where state-dir is, or see store.reserve\n");
    }
    // A text takes what is written to it.
    for line in queues {
        let queue = serde_json::to_value(line.queue).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
        let due = line.due.map(|due| format!("   first due {due:.0}")).unwrap_or_default();
        let _ = writeln!(text, "  {queue:<10}{:>8}{due}", line.jobs);
    }
    for (state, count) in states {
        let more = if count.more { "+" } else { "" };
        let _ = writeln!(text, "  {state}: {}{more}", count.number);
    }
    for Usage { limit, whose, used, most } in limits {
        let full = if used >= most { "   reached" } else { "" };
        let _ = writeln!(text, "  {}: {used} of {most}, {whose}{full}", limit.option());
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::port::{Queue, State};
    use crate::worker::{Count, Limit, Line};

    #[test]
    fn a_status_is_read_at_a_glance() {
        let overview = Overview {
            name: "gw.habo.se".into(),
            version: "1.0".into(),
            started: Timestamp::UNIX_EPOCH,
            working: true,
            admits: false,
            queues: vec![Line { queue: Queue::Send, jobs: 12, due: Some(Timestamp::UNIX_EPOCH) }, Line { queue: Queue::Await, jobs: 0, due: None }],
            states: vec![(State::new("held"), Count { number: 1_000, more: true })],
            limits: vec![
                Usage { limit: Limit::MailboxWaiting, whose: "inkorg of 0203:habo.se".into(), used: 20_000, most: 20_000 },
                Usage { limit: Limit::OrganisationStored, whose: "0203:habo.se".into(), used: 7, most: 9 },
            ],
        };
        let expected = "gw.habo.se, brevbro 1.0, running since 1970-01-01T00:00:00Z\nnothing new is taken in: make room where state-dir is, or see store.reserve\n  send            12   first due 1970-01-01T00:00:00Z\n  await            0\n  held: 1000+\n  limits.max-mailbox-waiting: 20000 of 20000, inkorg of 0203:habo.se   reached\n  limits.max-stored: 7 of 9, 0203:habo.se";
        assert_eq!(show(&overview), expected);
    }
}
