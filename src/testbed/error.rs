//! Why the testbed cannot do something.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::crypto::{IdentityError, IssueError};
use crate::smp::SmpError;

/// Why the testbed cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum TestbedError {
    /// A file or directory cannot be read or written.
    #[error("{path} cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds something else than the testbed writes.
    #[error("{path} is damaged")]
    Json {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A key file cannot be used.
    #[error("{path} holds no usable key")]
    Key {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: IdentityError,
    },
    /// A certificate or list cannot be made.
    #[error("a certificate or revocation list cannot be made")]
    Issue(#[from] IssueError),
    /// Metadata cannot be signed.
    #[error("the SMP's metadata cannot be signed")]
    Smp(#[from] SmpError),
    /// It has no certificate of this testbed, so there is nothing to register or revoke.
    #[error("{0} has no certificate of this testbed")]
    NoCertificate(String),
    /// A port is taken, most likely by another testbed on the same directory.
    #[error("{address} cannot be listened on")]
    Port {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A message of an acceptance case cannot be made or sent.
    #[error("the case cannot be run: {0}")]
    Case(String),
    /// The state is not as it should be.
    #[error("the testbed is damaged: {0}")]
    Broken(String),
}
