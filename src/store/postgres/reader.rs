//! Reading a body, a part at a time.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_postgres::Row;
use uuid::Uuid;

use super::bodies::{PostgresBlobs, Table};
use super::fault::Fault;
use super::link::{Link, persist};
use crate::crypto::rest::sought;
use crate::port::StoreError;

/// A body as a stream; holds one part and no connection.
pub(super) struct Parts {
    link: Arc<Link>,
    runtime: Handle,
    sql: String,
    body: Uuid,
    octets: u64,
    /// Octets of a full part.
    size: u64,
    at: u64,
    held: Option<(i32, Vec<u8>)>,
}

impl Parts {
    pub(super) fn new(blobs: &PostgresBlobs, table: Table, body: Uuid, octets: u64, size: usize) -> Self {
        let (link, runtime) = (Arc::clone(&blobs.link), blobs.runtime.clone());
        let sql = table.sql("SELECT data FROM {}_parts WHERE body = $1 AND part = $2");
        Self { link, runtime, sql, body, octets, size: size as u64, at: 0, held: None }
    }

    fn fetch(&self, part: i32) -> io::Result<Vec<u8>> {
        let found = self.runtime.block_on(async {
            persist!(self.link, session => async {
                let statement = session.statement(&self.sql).await?;
                Ok::<Option<Row>, Fault>(session.query_opt(&statement, &[&self.body, &part]).await?)
            })
        });
        match found.map_err(as_io)? {
            Some(row) => row.try_get(0).map_err(io::Error::other),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "a body was deleted while it was read")),
        }
    }
}

impl Read for Parts {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.octets || into.is_empty() {
            return Ok(0);
        }
        let part = i32::try_from(self.at / self.size).map_err(io::Error::other)?;
        if self.held.as_ref().is_none_or(|(held, _)| *held != part) {
            // What was held is let go first.
            self.held = None;
            self.held = Some((part, self.fetch(part)?));
        }
        let begin = usize::try_from(self.at % self.size).map_err(io::Error::other)?;
        let rest = self.held.as_ref().and_then(|(_, data)| data.get(begin..)).unwrap_or_default();
        let taken = rest.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..taken), rest.get(..taken)) {
            to.copy_from_slice(from);
        }
        self.at += taken as u64;
        Ok(taken)
    }
}

impl Seek for Parts {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = sought(to, self.at, self.octets)?;
        Ok(self.at)
    }
}

/// What a reader or writer is told.
pub(super) fn as_io(error: StoreError) -> io::Error {
    match error {
        StoreError::Full => io::ErrorKind::StorageFull.into(),
        StoreError::Damaged(why) => io::Error::new(io::ErrorKind::InvalidData, why),
        other => io::Error::other(other),
    }
}
