//! Why the demo ends early.

use std::path::PathBuf;

use crate::daemon::StartError;
use crate::testbed::TestbedError;

/// Why the demo ends early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The folder holds something that the demo did not make.
    #[error("{0} holds files that no demo made, and a demo clears its folder")]
    Foreign(PathBuf),
    /// Another demo works in the folder.
    #[error("another demo is using {0}")]
    InUse(PathBuf),
    /// The federation cannot be set up.
    #[error("the testbed cannot be set up")]
    Testbed(#[from] TestbedError),
    /// A gateway does not start.
    #[error("a gateway does not start")]
    Start(#[from] StartError),
    /// A mail server does not start.
    #[error("a mail server does not start")]
    MailServer(#[from] crate::edge::smtp_server::SmtpServerError),
    /// A mail was not taken.
    #[error("a mail was not taken")]
    Submit(#[from] super::submit::SubmitError),
    /// A file cannot be read or written.
    #[error("{path} cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something did not come in time.
    #[error("{0} did not come in time")]
    Late(&'static str),
    /// The store cannot be read.
    #[error("a gateway's state cannot be read")]
    Store(#[from] crate::port::StoreError),
    /// Checks failed.
    #[error("{0} checks failed")]
    Failed(usize),
}
