//! Writing a body: parts as they fill, and what is left together with the head.
//!
//! A body that fits into one part, as most do, is one transaction. The parts of a larger one are committed without waiting for
//! the disk: the last transaction waits, and with it everything before it; that they are all there is looked at then, for a
//! database that crashed meanwhile may have lost some.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;
use uuid::Uuid;

use super::bodies::{PART, PostgresBlobs, SEALED_PART, Table, kind_word};
use super::fault::Fault;
use super::link::{Link, Session, persist};
use super::pipeline::{Answer, Pipeline};
use super::reader::as_io;
use crate::crypto::Hasher;
use crate::crypto::rest::{KeyId, RestKey, Sealer};
use crate::ident::Sha256;
use crate::port::{Blob, BlobWriter, Pending, StoreError, Stored};
use crate::store::cipher;

const HEAD: &str = "INSERT INTO {}_blobs (body, id, kind, header, key, head) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
const ADD: &str = "INSERT INTO {}_parts (body, part, data) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
const COUNT: &str = "SELECT count(*), coalesce(sum(octet_length(data)), 0)::bigint FROM {}_parts WHERE body = $1";
const IS_WRITTEN: &str = "SELECT written IS NOT NULL FROM {}_blobs WHERE body = $1";
const REPLACE: &str = "UPDATE {}_blobs SET replaced = now(), key = NULL WHERE id = $1 AND body <> $2 AND written IS NOT NULL AND replaced IS NULL";
const REPLACE_ONE: &str =
    "UPDATE {}_blobs SET replaced = now(), key = NULL WHERE id = $1 AND body <> $2 AND body = $3 AND written IS NOT NULL AND replaced IS NULL";
const FINISH: &str = "UPDATE {}_blobs SET written = now(), octets = $2, digest = $3 WHERE body = $1 AND written IS NULL";
/// Its age is that of the body in whose place it comes. Nothing is changed where another body has come in that place.
const FINISH_ONE: &str = "UPDATE {}_blobs AS own SET written = (SELECT written FROM {}_blobs WHERE body = $4), octets = $2, digest = $3 \
                          WHERE own.body = $1 AND own.written IS NULL AND NOT EXISTS \
                          (SELECT FROM {}_blobs AS other WHERE other.id = own.id AND other.written IS NOT NULL AND other.replaced IS NULL)";
const ABANDON: &str = "DELETE FROM {}_blobs WHERE body = $1 AND written IS NULL";

/// [`BlobWriter`] into PostgreSQL.
pub(super) struct Writer {
    out: Out,
    hasher: Hasher,
    octets: u64,
    failed: Option<io::ErrorKind>,
}

/// Where a body is written to.
enum Out {
    /// In the clear.
    Clear(Parts),
    /// Under a key.
    Sealed(Box<Sealer<Parts>>),
}

/// Parts as they fill. One that is full is sent at once.
struct Parts {
    body: Arc<Unfinished>,
    buffer: Vec<u8>,
    /// Octets of a full part.
    size: usize,
    sent: i32,
    octets: u64,
}

/// Where a body comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Whatever the blob had before is replaced.
    Newest,
    /// This body of the blob is replaced, if it still is the blob's.
    Of(Uuid),
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
    place: Place,
    /// The key that it is under, and what stands sealed before it.
    front: OnceLock<(KeyId, Vec<u8>)>,
}

impl Writer {
    /// Begins a body of a blob, under a key where there is one.
    pub(super) fn new(blobs: &PostgresBlobs, blob: Blob, key: Option<&RestKey>, place: Place) -> Result<Self, StoreError> {
        let table = Table::of(blob.kind);
        let (link, runtime, tables) = (Arc::clone(&blobs.link), blobs.runtime.clone(), blobs.tables());
        let body = Arc::new(Unfinished { link, runtime, blob, body: Uuid::new_v4(), table, tables, place, front: OnceLock::new() });
        let size = if key.is_some() { SEALED_PART } else { PART };
        let parts = Parts { body: Arc::clone(&body), buffer: Vec::new(), size, sent: 0, octets: 0 };
        let out = match key {
            None => Out::Clear(parts),
            Some(key) => {
                let (front, sealer) = cipher::seal_apart(key, &body.blob, parts).map_err(|error| broken(error.kind()))?;
                body.front.get_or_init(|| (key.id(), front));
                Out::Sealed(Box::new(sealer))
            }
        };
        Ok(Self { out, hasher: Hasher::new(), octets: 0, failed: None })
    }

    fn out(&mut self) -> &mut dyn Write {
        match &mut self.out {
            Out::Clear(parts) => parts,
            Out::Sealed(sealer) => sealer,
        }
    }

    /// Makes the body durable and its blob's; `None` when what it was to replace is not the blob's any more.
    pub(super) async fn end(self) -> Result<Option<Stored>, StoreError> {
        let Self { out, hasher, octets, failed } = self;
        match failed {
            None => {}
            Some(io::ErrorKind::StorageFull) => return Err(StoreError::Full),
            Some(kind) => return Err(broken(kind)),
        }
        let digest = hasher.finish();
        // Of a body under a key the tags of its chunks say that it is what was written, and a digest would say what it is.
        let (mut parts, own) = match out {
            Out::Clear(parts) => (parts, Some(digest)),
            Out::Sealed(sealer) => {
                let (mut parts, last) = sealer.end().map_err(|error| broken(error.kind()))?;
                // A part has room for it: it holds whole chunks, and is sent when no other fits.
                parts.octets += last.len() as u64;
                parts.buffer.extend(last);
                (parts, None)
            }
        };
        let body = Arc::clone(&parts.body);
        let last = Last { part: parts.sent, data: std::mem::take(&mut parts.buffer), octets: parts.octets, digest: own };
        let mut repeated = false;
        let done = persist!(body.link, session => body.finish(&mut session, &last, std::mem::replace(&mut repeated, true)))?;
        if done {
            parts.sent = 0;
        }
        Ok(done.then_some(Stored { id: body.blob.id, octets, digest }))
    }
}

fn broken(kind: io::ErrorKind) -> StoreError {
    StoreError::Broken(format!("a part of a body could not be written: {kind}"))
}

impl Write for Writer {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if let Some(kind) = self.failed {
            return Err(kind.into());
        }
        match self.out().write(octets) {
            Ok(taken) => {
                self.hasher.update(octets.get(..taken).unwrap_or_default());
                self.octets += taken as u64;
                Ok(taken)
            }
            Err(error) => {
                self.failed = Some(error.kind());
                Err(error)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for Writer {
    fn commit(self: Box<Self>) -> Pending<'static, Result<Stored, StoreError>> {
        Box::pin(async move { self.end().await?.ok_or_else(|| StoreError::Broken("the body that was to be replaced is gone".into())) })
    }
}

impl Write for Parts {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let taken = octets.len().min(self.size - self.buffer.len());
        self.buffer.extend_from_slice(octets.get(..taken).unwrap_or_default());
        self.octets += taken as u64;
        if self.buffer.len() == self.size {
            let body = Arc::clone(&self.body);
            let sent = body.runtime.block_on(async { persist!(body.link, session => body.add(&mut session, self.sent, &self.buffer)) });
            sent.map_err(as_io)?;
            self.buffer.clear();
            self.sent += 1;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Parts {
    /// What was sent of a body that nobody finishes is deleted; what is left then is, a day later.
    fn drop(&mut self) {
        if self.sent > 0 {
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
    digest: Option<Sha256>,
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

    /// Sends what is left, looks whether all is there, and makes it the blob's body; `false` when what it was to replace is
    /// not the blob's body any more.
    async fn finish(&self, session: &mut Session, last: &Last, repeated: bool) -> Result<bool, Fault> {
        fail::fail_point!("store.postgres.body", |_| Err(Fault::Full));
        let of = |template: &str| self.table.sql(template);
        let (head, add, count) = (session.statement(&of(HEAD)).await?, session.statement(&of(ADD)).await?, session.statement(&of(COUNT)).await?);
        let finish = session.statement(&of(if self.place == Place::Newest { FINISH } else { FINISH_ONE })).await?;
        let mut replace = Vec::new();
        match self.place {
            Place::Newest => {
                for table in self.tables {
                    replace.push(session.statement(&table.sql(REPLACE)).await?);
                }
            }
            Place::Of(_) => replace.push(session.statement(&of(REPLACE_ONE)).await?),
        }
        session.begin();
        // Two that commit the same name follow one another, and so does one that repeats itself for want of an answer.
        let lock = i64::from_be_bytes(*self.blob.id.0.as_bytes().first_chunk().unwrap_or(&[0; 8]));
        session.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({lock})")).await?;
        if repeated && session.query_opt(&of(IS_WRITTEN), &[&self.body]).await?.is_some_and(|row| row.try_get(0).unwrap_or(false)) {
            return session.roll_back().await.map(|()| true);
        }
        let mut asked = Pipeline::new(session);
        asked.execute(head, self.head());
        if !last.data.is_empty() {
            asked.execute(add, vec![Box::new(self.body), Box::new(last.part), Box::new(last.data.as_slice())]);
        }
        let counted = asked.query(count, vec![Box::new(self.body)]);
        let mut replaced = 0;
        for statement in replace {
            replaced = asked.execute(statement, self.with_place(vec![Box::new(self.blob.id.0), Box::new(self.body)]));
        }
        let octets = i64::try_from(last.octets).unwrap_or(i64::MAX);
        let digest = last.digest.map(|digest| digest.0.to_vec());
        let finished = asked.execute(finish, self.with_place(vec![Box::new(self.body), Box::new(octets), Box::new(digest)]));
        let answers = asked.run().await?;
        if self.place != Place::Newest && answers.get(replaced).map(Answer::changed) != Some(1) {
            return session.roll_back().await.map(|()| false);
        }
        let row = answers.get(counted).and_then(|answer| answer.rows().first());
        let there: Option<(i64, i64)> = row.and_then(|row| Some((row.try_get(0).ok()?, row.try_get(1).ok()?)));
        let parts = i64::from(last.part) + i64::from(!last.data.is_empty());
        if there != Some((parts, octets)) || answers.get(finished).map(Answer::changed) != Some(1) {
            return Err(Fault::wrong("the database lost a part of a body before it was whole"));
        }
        session.commit().await.map(|()| true)
    }

    fn head(&self) -> Values<'_> {
        let (key, front) = self.front.get().map(|(key, front)| (key.to_string(), front.as_slice())).unzip();
        let header = if key.is_some() { "" } else { self.blob.header.as_str() };
        vec![Box::new(self.body), Box::new(self.blob.id.0), Box::new(kind_word(self.blob.kind)), Box::new(header), Box::new(key), Box::new(front)]
    }

    /// Adds the body in whose place this one comes.
    fn with_place<'a>(&self, mut values: Values<'a>) -> Values<'a> {
        if let Place::Of(old) = self.place {
            values.push(Box::new(old));
        }
        values
    }
}

/// What the places of a statement stand for.
type Values<'a> = Vec<Box<dyn tokio_postgres::types::ToSql + Sync + Send + 'a>>;
