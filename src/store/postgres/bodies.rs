//! Bodies in PostgreSQL: in parts of 1 MiB, so that nobody holds a whole one.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_postgres::Row;
use uuid::Uuid;

use super::fault::Fault;
use super::link::{Link, persist};
use super::reader::Parts;
use super::writer::{Place, Writer};
use super::{Bodies, column, many};
use crate::crypto::rest::{KeyId, SEALED_CHUNK};
use crate::ident::Sha256;
use crate::port::{Blob, BlobId, BlobKind, BlobWriter, Blobs, Listed, OpenBlob, Pending, StoreError};
use crate::store::cipher::{self, Keys, Unopened};
use crate::store::verified::Verified;
use crate::store::{MAX_HEADER, text};

/// Octets of a part.
pub(super) const PART: usize = 1024 * 1024;
/// Octets of a part of a body under a key, which ends with a chunk.
pub(super) const SEALED_PART: usize = 16 * SEALED_CHUNK;

/// [`Blobs`] in PostgreSQL.
pub struct PostgresBlobs {
    pub(super) link: Arc<Link>,
    bodies: Bodies,
    /// Where those who read and write on blocking threads have their questions asked.
    pub(super) runtime: Handle,
    /// What new bodies are sealed with, and older ones opened.
    pub(super) keys: Arc<Keys>,
    /// Who says that it uses them.
    pub(super) node: String,
    /// It ends with them.
    _aside: JoinSet<()>,
}

impl PostgresBlobs {
    pub(super) fn new(link: Arc<Link>, bodies: Bodies, runtime: Handle, keys: Arc<Keys>, node: String) -> Self {
        Self { link, bodies, runtime, keys, node, _aside: JoinSet::new() }
    }

    /// With something that runs as long as they are used.
    pub(super) fn beside(self, aside: JoinSet<()>) -> Self {
        Self { _aside: aside, ..self }
    }

    /// The tables that may be named.
    pub(super) fn tables(&self) -> &'static [Table] {
        match self.bodies {
            Bodies::All => &[Table::Sealed, Table::Clear],
            Bodies::Sealed => &[Table::Sealed],
        }
    }
}

/// A pair of tables: heads and parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Sealed,
    Clear,
}

impl Table {
    /// Where bodies of a kind are kept.
    pub(super) const fn of(kind: BlobKind) -> Self {
        match kind {
            BlobKind::Envelope | BlobKind::Request | BlobKind::Signal => Self::Sealed,
            BlobKind::Mail | BlobKind::Message | BlobKind::Receipt => Self::Clear,
        }
    }

    /// A statement over this pair, which stands in it as `{}`.
    pub(super) fn sql(self, template: &str) -> String {
        template.replace("{}", if self == Self::Sealed { "sealed" } else { "clear" })
    }
}

/// A kind as it stands in the tables.
pub(super) const fn kind_word(kind: BlobKind) -> &'static str {
    match kind {
        BlobKind::Mail => "mail",
        BlobKind::Envelope => "envelope",
        BlobKind::Request => "request",
        BlobKind::Signal => "signal",
        BlobKind::Message => "message",
        BlobKind::Receipt => "receipt",
    }
}

fn kind(word: &str) -> Result<BlobKind, StoreError> {
    let all = [BlobKind::Mail, BlobKind::Envelope, BlobKind::Request, BlobKind::Signal, BlobKind::Message, BlobKind::Receipt];
    all.into_iter()
        .find(|kind| kind_word(*kind) == word)
        .ok_or_else(|| StoreError::Damaged("a body is of a kind that this version does not know".into()))
}

impl Blobs for PostgresBlobs {
    /// What is expected is not asked for: how much room the database has is not known here.
    fn create(&self, blob: Blob, _expected: Option<u64>) -> Pending<'_, Result<Box<dyn BlobWriter>, StoreError>> {
        Box::pin(async move {
            text("the header of a blob", &blob.header, MAX_HEADER)?;
            if self.bodies == Bodies::Sealed && Table::of(blob.kind) == Table::Clear {
                return Err(StoreError::Broken("this node keeps no bodies in the clear".into()));
            }
            let key = self.keys.active(blob.kind);
            Ok(Box::new(Writer::new(self, blob, key.as_deref(), Place::Newest)?) as Box<dyn BlobWriter>)
        })
    }

    fn open(&self, id: BlobId) -> Pending<'_, Result<OpenBlob, StoreError>> {
        Box::pin(async move {
            let (table, row) = self.find(id).await?.ok_or(StoreError::Missing("blob"))?;
            self.opened(id, table, &row)
        })
    }

    fn delete(&self, id: BlobId) -> Pending<'_, Result<(), StoreError>> {
        Box::pin(async move {
            for table in self.tables() {
                // Those that it replaced go with it; one that is being written is not it yet.
                let sql = table.sql("DELETE FROM {}_blobs WHERE id = $1 AND written IS NOT NULL");
                // One that came in the place of another meanwhile, under another key, was not seen by the first look.
                let mut gone = 1;
                while gone > 0 {
                    gone = persist!(self.link, session => async {
                        let statement = session.statement(&sql).await?;
                        Ok::<u64, Fault>(session.execute(&statement, &[&id.0]).await?)
                    })?;
                }
            }
            Ok(())
        })
    }

    fn all(&self, after: Option<BlobId>, limit: usize) -> Pending<'_, Result<Vec<Listed>, StoreError>> {
        Box::pin(async move {
            let one = "(SELECT id, written FROM {}_blobs WHERE written IS NOT NULL AND replaced IS NULL AND ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2)";
            let both: Vec<String> = self.tables().iter().map(|table| table.sql(one)).collect();
            let age = "greatest(0, extract(epoch FROM clock_timestamp() - written) * 1000000)::bigint";
            let sql = format!("SELECT id, {age} FROM ({}) AS listed ORDER BY id LIMIT $2", both.join(" UNION ALL "));
            let rows = persist!(self.link, session => async {
                let statement = session.statement(&sql).await?;
                Ok::<Vec<Row>, Fault>(session.query(&statement, &[&after.map(|after| after.0), &many(limit)]).await?)
            })?;
            let listed = |row: &Row| -> Result<Listed, StoreError> {
                let micros = u64::try_from(column::<i64>(row, 1)?).unwrap_or_default();
                Ok(Listed { id: BlobId(column(row, 0)?), age: std::time::Duration::from_micros(micros) })
            };
            rows.iter().map(listed).collect()
        })
    }
}

/// The newest body of a blob that is whole.
const FIND: &str = "SELECT body, kind, header, octets, digest, key, head FROM {}_blobs WHERE id = $1 AND written IS NOT NULL AND replaced IS NULL";

impl PostgresBlobs {
    /// The row of a blob, and where it stands.
    pub(super) async fn find(&self, id: BlobId) -> Result<Option<(Table, Row)>, StoreError> {
        for table in self.tables() {
            let sql = table.sql(FIND);
            let found = persist!(self.link, session => async {
                let statement = session.statement(&sql).await?;
                Ok::<Option<Row>, Fault>(session.query_opt(&statement, &[&id.0]).await?)
            })?;
            if let Some(row) = found {
                return Ok(Some((*table, row)));
            }
        }
        Ok(None)
    }

    pub(super) fn opened(&self, id: BlobId, table: Table, row: &Row) -> Result<OpenBlob, StoreError> {
        let body: Uuid = column(row, 0)?;
        let octets = u64::try_from(column::<i64>(row, 3)?).unwrap_or_default();
        if key_of(row)?.is_some() {
            let front: Vec<u8> = column(row, 6)?;
            let parts = Parts::new(self, table, body, octets, SEALED_PART);
            let (blob, opened) = cipher::open_apart(&self.keys, &front, parts).map_err(|unopened| match unopened {
                Unopened::Locked(error) => error,
                Unopened::Io(error) => StoreError::Damaged(format!("the head of the body {body}: {error}")),
            })?;
            if blob.id != id || Table::of(blob.kind) != table {
                return Err(StoreError::Damaged(format!("the head of the body {body} is another blob's")));
            }
            return Ok((blob, opened.octets(), Box::new(opened)));
        }
        let blob = Blob { id, kind: kind(&column::<String>(row, 1)?)?, header: column(row, 2)? };
        let digest: Vec<u8> = column(row, 4)?;
        let digest = digest.try_into().map(Sha256).map_err(|_| StoreError::Damaged("the digest of a body".into()))?;
        let parts = Parts::new(self, table, body, octets, PART);
        Ok((blob, octets, Box::new(Verified::new(parts, octets, digest))))
    }
}

/// The key that a body is under, of a row as [`PostgresBlobs::find`] finds it.
pub(super) fn key_of(row: &Row) -> Result<Option<KeyId>, StoreError> {
    let key: Option<String> = column(row, 5)?;
    key.map(|key| key.parse().map_err(|_| StoreError::Damaged("the name of a body's key".into()))).transpose()
}
