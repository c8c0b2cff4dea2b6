//! Writing a body: parts as they fill, and what is left together with the head.
//!
//! A body that fits into one part, as most do, is one transaction. The parts of a larger one are committed without waiting for
//! the disk: the last transaction waits, and with it everything before it; that they are all there is looked at then, for a
//! database that crashed meanwhile may have lost some.

use std::io::{self, Write};
use std::sync::Arc;

use tokio::runtime::Handle;
use uuid::Uuid;

use super::bodies::{PART, Table, kind_word};
use super::fault::Fault;
use super::link::{Link, Session, persist};
use super::pipeline::{Answer, Pipeline};
use super::reader::as_io;
use crate::crypto::Hasher;
use crate::ident::Sha256;
use crate::port::{Blob, BlobWriter, Pending, StoreError, Stored};

const HEAD: &str = "INSERT INTO {}_blobs (body, id, kind, header) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
const ADD: &str = "INSERT INTO {}_parts (body, part, data) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
const COUNT: &str = "SELECT count(*), coalesce(sum(octet_length(data)), 0)::bigint FROM {}_parts WHERE body = $1";
const IS_WRITTEN: &str = "SELECT written IS NOT NULL FROM {}_blobs WHERE body = $1";
const REPLACE: &str = "UPDATE {}_blobs SET replaced = now() WHERE id = $1 AND body <> $2 AND written IS NOT NULL AND replaced IS NULL";
const FINISH: &str = "UPDATE {}_blobs SET written = now(), octets = $2, digest = $3 WHERE body = $1 AND written IS NULL";
const ABANDON: &str = "DELETE FROM {}_blobs WHERE body = $1 AND written IS NULL";

/// [`BlobWriter`] into PostgreSQL.
pub(super) struct Writer {
    body: Arc<Unfinished>,
    buffer: Vec<u8>,
    parts: i32,
    hasher: Hasher,
    octets: u64,
    failed: Option<io::ErrorKind>,
}

/// What is known of a body that is not committed.
struct Unfinished {
    link: Arc<Link>,
    runtime: Handle,
    blob: Blob,
    /// Its own name, whatever blob it is of.
    body: Uuid,
    table: Table,
    /// Where an older body of the blob may be.
    tables: &'static [Table],
}

impl Writer {
    pub(super) fn new(link: Arc<Link>, runtime: Handle, blob: Blob, tables: &'static [Table]) -> Self {
        let table = Table::of(blob.kind);
        let body = Arc::new(Unfinished { link, runtime, blob, body: Uuid::new_v4(), table, tables });
        Self { body, buffer: Vec::new(), parts: 0, hasher: Hasher::new(), octets: 0, failed: None }
    }

    fn take(&mut self, octets: &[u8]) -> io::Result<usize> {
        let taken = octets.len().min(PART - self.buffer.len());
        let octets = octets.get(..taken).unwrap_or_default();
        self.buffer.extend_from_slice(octets);
        self.hasher.update(octets);
        self.octets += taken as u64;
        if self.buffer.len() == PART {
            let body = Arc::clone(&self.body);
            let sent = body.runtime.block_on(async { persist!(body.link, session => body.add(&mut session, self.parts, &self.buffer)) });
            sent.map_err(as_io)?;
            self.buffer.clear();
            self.parts += 1;
        }
        Ok(taken)
    }
}

impl Write for Writer {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if let Some(kind) = self.failed {
            return Err(kind.into());
        }
        let taken = self.take(octets);
        self.failed = taken.as_ref().err().map(io::Error::kind);
        taken
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for Writer {
    fn commit(mut self: Box<Self>) -> Pending<'static, Result<Stored, StoreError>> {
        Box::pin(async move {
            match self.failed {
                None => {}
                Some(io::ErrorKind::StorageFull) => return Err(StoreError::Full),
                Some(kind) => return Err(StoreError::Broken(format!("a part of a body could not be written: {kind}"))),
            }
            let digest = std::mem::take(&mut self.hasher).finish();
            let stored = Stored { id: self.body.blob.id, octets: self.octets, digest };
            let last = Last { part: self.parts, data: std::mem::take(&mut self.buffer), octets: self.octets, digest };
            let body = &self.body;
            let mut repeated = false;
            persist!(body.link, session => body.finish(&mut session, &last, std::mem::replace(&mut repeated, true)))?;
            self.parts = 0;
            Ok(stored)
        })
    }
}

impl Drop for Writer {
    /// What was sent of a body that nobody finishes is deleted; what is left then is, a day later.
    fn drop(&mut self) {
        if self.parts > 0 {
            let body = Arc::clone(&self.body);
            self.body.runtime.spawn(async move {
                let sql = body.table.sql(ABANDON);
                let deleted = persist!(body.link, session => async { Ok::<u64, Fault>(session.execute(&sql, &[&body.body]).await?) });
                if let Err(error) = deleted {
                    tracing::debug!(%error, "an unfinished body stays for a day");
                }
            });
        }
    }
}

/// The end of a body.
struct Last {
    part: i32,
    data: Vec<u8>,
    octets: u64,
    digest: Sha256,
}

impl Unfinished {
    /// Sends a part that is full.
    async fn add(&self, session: &mut Session, part: i32, data: &[u8]) -> Result<(), Fault> {
        fail::fail_point!("store.postgres.part", |_| Err(Fault::Full));
        let (head, add) = (session.statement(&self.table.sql(HEAD)).await?, session.statement(&self.table.sql(ADD)).await?);
        session.begin();
        let mut asked = Pipeline::new(session);
        asked.batch("BEGIN; SET LOCAL synchronous_commit = off");
        if part == 0 {
            asked.execute(head, self.head());
        }
        asked.execute(add, vec![Box::new(self.body), Box::new(part), Box::new(data)]);
        asked.run().await?;
        session.commit().await
    }

    /// Sends what is left, looks whether all is there, and makes it the blob's body.
    async fn finish(&self, session: &mut Session, last: &Last, repeated: bool) -> Result<(), Fault> {
        fail::fail_point!("store.postgres.body", |_| Err(Fault::Full));
        let of = |template: &str| self.table.sql(template);
        let (head, add, count) = (session.statement(&of(HEAD)).await?, session.statement(&of(ADD)).await?, session.statement(&of(COUNT)).await?);
        let finish = session.statement(&of(FINISH)).await?;
        let mut replace = Vec::new();
        for table in self.tables {
            replace.push(session.statement(&table.sql(REPLACE)).await?);
        }
        session.begin();
        // Two that commit the same name follow one another, and so does one that repeats itself for want of an answer.
        let lock = i64::from_be_bytes(*self.blob.id.0.as_bytes().first_chunk().unwrap_or(&[0; 8]));
        session.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({lock})")).await?;
        if repeated && session.query_opt(&of(IS_WRITTEN), &[&self.body]).await?.is_some_and(|row| row.try_get(0).unwrap_or(false)) {
            return session.roll_back().await;
        }
        let mut asked = Pipeline::new(session);
        asked.execute(head, self.head());
        if !last.data.is_empty() {
            asked.execute(add, vec![Box::new(self.body), Box::new(last.part), Box::new(last.data.as_slice())]);
        }
        let counted = asked.query(count, vec![Box::new(self.body)]);
        for statement in replace {
            asked.execute(statement, vec![Box::new(self.blob.id.0), Box::new(self.body)]);
        }
        let octets = i64::try_from(last.octets).unwrap_or(i64::MAX);
        let finished = asked.execute(finish, vec![Box::new(self.body), Box::new(octets), Box::new(last.digest.0.to_vec())]);
        let answers = asked.run().await?;
        let row = answers.get(counted).and_then(|answer| answer.rows().first());
        let there: Option<(i64, i64)> = row.and_then(|row| Some((row.try_get(0).ok()?, row.try_get(1).ok()?)));
        let parts = i64::from(last.part) + i64::from(!last.data.is_empty());
        if there != Some((parts, octets)) || answers.get(finished).map(Answer::changed) != Some(1) {
            return Err(Fault::wrong("the database lost a part of a body before it was whole"));
        }
        session.commit().await
    }

    fn head(&self) -> Vec<Box<dyn tokio_postgres::types::ToSql + Sync + Send + '_>> {
        vec![Box::new(self.body), Box::new(self.blob.id.0), Box::new(kind_word(self.blob.kind)), Box::new(self.blob.header.as_str())]
    }
}
