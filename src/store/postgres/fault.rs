//! What an answer of PostgreSQL means for whoever asked.

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::port::{Guard, StoreError};

/// Why a call did not do what it should.
#[derive(Debug)]
pub(super) enum Fault {
    /// A condition of the step does not hold.
    Refused(Box<Guard>),
    /// Others were in the way; it was taken back whole.
    Again(String),
    /// No connection, or one that broke: what was asked for may or may not have happened.
    Lost(String),
    /// The database's disk is full.
    Full,
    /// It will not be better another time.
    Wrong(StoreError),
}

impl Fault {
    /// Something that the database does not say by itself.
    pub(super) fn wrong(why: impl Into<String>) -> Self {
        Self::Wrong(StoreError::Broken(why.into()))
    }

    /// What whoever called is told in the end.
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Refused(guard) => StoreError::Conflict(guard),
            Self::Again(why) | Self::Lost(why) => StoreError::Broken(why),
            Self::Full => StoreError::Full,
            Self::Wrong(error) => error,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return Self::Lost(format!("the connection to PostgreSQL: {}", chain(&error)));
        };
        let code = said.code();
        // The message names tables and constraints; the detail beside it may quote values.
        let why = format!("PostgreSQL: {} ({})", said.message(), code.code());
        if *code == SqlState::DISK_FULL {
            return Self::Full;
        }
        // A statement that this connection prepared is not there, or one that it did not is.
        if [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::DUPLICATE_PSTATEMENT].contains(code) {
            return super::server::pooled();
        }
        let again = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::LOCK_NOT_AVAILABLE, SqlState::UNIQUE_VIOLATION];
        if again.contains(code) {
            return Self::Again(why);
        }
        if *code == SqlState::FOREIGN_KEY_VIOLATION && matches!(said.constraint(), Some("clear_blobs_key" | "sealed_blobs_key")) {
            return Self::wrong(
                "another node has taken the key that this one writes under out of use: brevbro store reload-keys, with the newer key first",
            );
        }
        // A server that was made a standby, is starting or stopping, or has no seat left: another one, or it later, has.
        let lost = [
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::QUERY_CANCELED,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ];
        if lost.contains(code) || code.code().starts_with("08") || code.code().starts_with("57P") {
            return Self::Lost(why);
        }
        Self::Wrong(StoreError::Broken(why))
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => match Self::from(error) {
                // Nothing was asked for yet, and whatever keeps us out may pass.
                Self::Wrong(StoreError::Broken(why)) => Self::Lost(why),
                other => other,
            },
            PoolError::Timeout(TimeoutType::Wait) => Self::Lost("every connection to PostgreSQL is in use".into()),
            PoolError::Timeout(_) => Self::Lost("PostgreSQL does not answer".into()),
            PoolError::PostCreateHook(deadpool_postgres::HookError::Backend(error)) => Self::from(error),
            PoolError::PostCreateHook(deadpool_postgres::HookError::Message(why)) => Self::wrong(why),
            other => Self::Lost(format!("a connection to PostgreSQL cannot be used: {other}")),
        }
    }
}

/// An error with all that is behind it: the topmost one says little.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = source.source();
    }
    text
}
