//! All that a gateway keeps, in one file, for a store of another kind.
//!
//! ```text
//!  brevbro-export 1
//!  head 151        what is in it, JSON ([`Head`])
//!  line 1234       a line of the journal as it was written, without its line feed; all of them in their order
//!  change 321      a record, a note or a job: JSON of [`Change`](crate::store::journal::Change)
//!  body 200        JSON: head, length and digest of a body
//!  data 4711       that body
//!  end 87          how many of each, JSON
//!  sha256 <64 hex> of everything before
//! ```
//!
//! Each word and number of octets is a line of its own; after it come so many octets and a line feed. Bodies are in the clear,
//! whatever they lay under: the file is as secret as they are.
//!
//! An import reads the whole file before it changes anything, and begins with a mark that makes every gateway refuse the
//! place until the last step takes it away. It goes into an empty place only. The journal goes on where it ended, with the same
//! lines: its chain says that both are one.

mod export;
mod form;
mod import;

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::ident::{RecordId, Sha256};
use crate::port::{Blobs, Store, StoreError};
use crate::store::journal::JournalError;
use crate::store::{PostgresStore, SledStore};

pub use export::{Exported, export};
pub use import::{Checked, Target, check, import};

/// The form that this version writes; it reads all up to it.
const VERSION: u32 = 1;
/// Octets of everything but a body.
const MAX_FRAME: usize = 16 * 1024 * 1024;

/// A store that nobody else uses.
pub enum Place {
    /// In files: the state folder, and what is opened in it.
    Files {
        /// The state folder.
        dir: PathBuf,
        /// Records, notes, jobs and the journal.
        store: SledStore,
        /// Bodies.
        blobs: Box<dyn Blobs>,
    },
    /// In a database.
    Database {
        /// Records, notes, jobs and the journal.
        store: PostgresStore,
        /// Bodies.
        blobs: Box<dyn Blobs>,
    },
}

impl Place {
    fn store(&self) -> &dyn Store {
        match self {
            Self::Files { store, .. } => store,
            Self::Database { store, .. } => store,
        }
    }

    fn blobs(&self) -> &dyn Blobs {
        match self {
            Self::Files { blobs, .. } | Self::Database { blobs, .. } => blobs.as_ref(),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Files { .. } => Kind::Files,
            Self::Database { .. } => Kind::Postgresql,
        }
    }
}

/// What kind of store something came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Files of one node.
    Files,
    /// A database.
    Postgresql,
}

/// What is in an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The version of the program that wrote it.
    pub program: String,
    /// When.
    pub at: Timestamp,
    /// Where it was kept.
    pub from: Kind,
    /// Whose state it is: federation and environment, a line each; empty where nobody said so.
    pub federation: String,
}

/// How much of each there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Lines of the journal.
    pub lines: u64,
    /// Records, notes and jobs.
    pub changes: u64,
    /// Bodies.
    pub bodies: u64,
}

/// A body, before its octets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct BodyHead {
    blob: crate::port::Blob,
    octets: u64,
    digest: Sha256,
}

/// Why nothing was exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum PortableError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The file.
    #[error("the export cannot be written or read")]
    File(#[from] io::Error),
    /// The file is none, or not what was written.
    #[error("the export is not what was written: {0}")]
    Damaged(String),
    /// A later version wrote it.
    #[error("the export is of form {0}, and this version of brevbro reads {VERSION}")]
    Newer(u32),
    /// A record cannot be read.
    #[error("record {0} cannot be read: {1}")]
    Record(RecordId, String),
    /// There is something already.
    #[error("{0} is not empty")]
    NotEmpty(String),
    /// It is of another federation.
    #[error("the export holds messages of the federation {theirs}, and the configuration names {ours}")]
    Federation {
        /// The export's.
        theirs: String,
        /// Ours.
        ours: String,
    },
}

impl PortableError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Store(_) | Self::Journal(_) => "stop every gateway that uses it; brevbro store verify says whether it is whole",
            Self::File(_) => "see that there is room, and that the file may be read and written",
            Self::Damaged(_) => "export once more; nothing was imported",
            Self::Newer(_) => "import it with the version of brevbro that wrote it, or a newer one",
            Self::Record(..) => "export with the version of brevbro that ran last",
            Self::NotEmpty(_) => "import into a new state folder, or a new schema of the database ([store] schema)",
            Self::Federation { .. } => "import it with the configuration of the same federation",
        }
    }

    fn record(id: RecordId) -> impl FnOnce(Failure) -> Self {
        move |failure| Self::Record(id, failure.what)
    }
}
