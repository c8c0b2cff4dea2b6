//! Which journal a command is about: a gateway's files, or the database that its nodes share.

use std::path::PathBuf;

use clap::Args;

use super::CliError;
use crate::config::{self, StateStore};
use crate::daemon;
use crate::port::StoreError;
use crate::store::journal::JournalError;
use crate::store::{PostgresJournal, PostgresOptions, SledOptions, Unfinished};

/// Where the journal is.
#[derive(Debug, Args)]
pub(super) struct JournalArgs {
    /// The gateway's state folder, with the journal in it. The gateway may be running.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/brevbro")]
    state_dir: PathBuf,
    /// The gateway's configuration, in the place of --state-dir: it says where the journal is, in PostgreSQL too. Nothing but
    /// `state-dir` and `[store]` is read of it.
    #[arg(long, value_name = "FILE", conflicts_with = "state_dir")]
    config: Option<PathBuf>,
}

/// A journal.
pub(super) enum Place {
    /// In files.
    Folder(PathBuf),
    /// In a database.
    Database {
        /// The journal.
        journal: PostgresJournal,
        /// Where this node keeps the heads that it signed.
        heads: PathBuf,
    },
}

/// Why a journal cannot be asked, or does not hold true.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    /// In files.
    #[error(transparent)]
    Files(#[from] JournalError),
    /// In a database.
    #[error(transparent)]
    Database(#[from] StoreError),
}

impl JournalArgs {
    /// Opens it.
    ///
    /// # Errors
    /// [`CliError`]: the configuration is wrong, or the database cannot be asked.
    pub(super) async fn place(&self) -> Result<Place, CliError> {
        let folder = |state: &std::path::Path| SledOptions::new(state.join("store")).journal();
        let whole = |state: &std::path::Path| -> Result<Place, CliError> {
            Unfinished::refuse(state)?;
            Ok(Place::Folder(folder(state)))
        };
        let Some(path) = &self.config else { return whole(&self.state_dir) };
        let state = config::state(path).map_err(CliError::usage)?;
        let heads = folder(&state.dir);
        match &state.store {
            StateStore::Local(_) => whole(&state.dir),
            StateStore::Postgresql(database) => {
                let options = PostgresOptions { node: "journal".into(), connections: 2, ..daemon::database_connection(database) };
                let journal = PostgresJournal::open(&options).await;
                let hint = "the role of [store] needs the right to read journal, journal_end and schema_version; a node in the DMZ does not have it";
                Ok(Place::Database { journal: journal.map_err(|error| CliError::from(error).hint(hint))?, heads })
            }
        }
    }
}

impl Unread {
    /// Whether the journal was read, and is not as it was written.
    pub(super) fn is_unsound(&self) -> bool {
        match self {
            Self::Files(error) => matches!(error, JournalError::Damaged { .. } | JournalError::Short { .. } | JournalError::Empty),
            Self::Database(error) => matches!(error, StoreError::Damaged(_)),
        }
    }

    /// As the command line tells it; `unsound` is what to do about a journal that is not as it was written.
    pub(super) fn told(self, unsound: &str) -> CliError {
        match &self {
            error if error.is_unsound() => CliError::unsound(self).hint(unsound),
            Self::Files(_) => CliError::failure(self).hint("name the gateway's state-dir with --state-dir, or its configuration with --config"),
            Self::Database(_) => CliError::failure(self).hint("see that the database is there, and ask again"),
        }
    }
}
