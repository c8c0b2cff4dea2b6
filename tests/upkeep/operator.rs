//! The operator: asks a gateway on its control socket, as the command line does.

use std::path::PathBuf;

use brevbro::cli::control::{Running, Unanswered};
use brevbro::daemon::control::Command;
use serde::de::DeserializeOwned;

use crate::gateway::harness::Gateway;

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
