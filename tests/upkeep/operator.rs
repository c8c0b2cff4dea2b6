//! The operator: asks a gateway on its control socket, as the command line does.

use std::path::PathBuf;

use brevbro::cli::control::{Running, Unanswered};
use brevbro::daemon::control::Command;
use serde::de::DeserializeOwned;

use crate::gateway::harness::{Gateway, Setup};

/// Asks and waits for the whole answer.
pub(crate) async fn ask<T: DeserializeOwned + Send + 'static>(gateway: &Gateway, command: Command) -> Result<Vec<T>, Unanswered> {
    ask_at(gateway.dir().join("state"), command).await
}

/// As [`ask`], of whoever runs on a folder.
pub(crate) async fn ask_at<T: DeserializeOwned + Send + 'static>(state_dir: PathBuf, command: Command) -> Result<Vec<T>, Unanswered> {
    let asked = move || {
        let mut lines = Vec::new();
        Running { state_dir, json: false }
            .ask(command, |line| {
                lines.push(line);
                Ok(())
            })
            .map(|()| lines)
    };
    tokio::task::spawn_blocking(asked).await.unwrap()
}

/// Days that are as short as [`short_days`] makes them, and more of them than a test takes.
pub(crate) const KEPT: &str = "\n[retention]\ncontent-days = 36500\nmetadata-days = 36500\n";

/// From here on a day of retention is twenty milliseconds long, in this whole process.
pub(crate) fn short_days() {
    fail::cfg("purge.day", "return(20)").unwrap();
}

/// A gateway whose messages are kept as long as a test takes.
pub(crate) fn kept(name: &str) -> Setup {
    Setup { mailbox: KEPT, ..Setup::new(name) }
}
