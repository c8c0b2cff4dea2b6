//! Bodies in PostgreSQL: in parts of 1 MiB, so that nobody holds a whole one.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_postgres::Row;
use uuid::Uuid;

use super::fault::Fault;
use super::link::{Link, persist};
use super::reader::Parts;
use super::writer::Writer;
use super::{Bodies, column, many};
use crate::ident::Sha256;
use crate::port::{Blob, BlobId, BlobKind, BlobWriter, Blobs, Listed, OpenBlob, Pending, StoreError};
use crate::store::verified::Verified;
use crate::store::{MAX_HEADER, text};

/// Octets of a part.
pub(super) const PART: usize = 1024 * 1024;

/// [`Blobs`] in PostgreSQL.
pub struct PostgresBlobs {
    link: Arc<Link>,
    bodies: Bodies,
    /// Where those who read and write on blocking threads have their questions asked.
    runtime: Handle,
}

impl PostgresBlobs {
    pub(super) fn new(link: Arc<Link>, bodies: Bodies, runtime: Handle) -> Self {
        Self { link, bodies, runtime }
    }

    /// The tables that may be named.
    fn tables(&self) -> &'static [Table] {
        match self.bodies {
            Bodies::All => &[Table::Sealed, Table::Clear],
            Bodies::Sealed => &[Table::Sealed],
        }
    }
}

/// A pair of tables: heads and parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
            Ok(Box::new(Writer::new(Arc::clone(&self.link), self.runtime.clone(), blob, self.tables())) as Box<dyn BlobWriter>)
        })
    }

    fn open(&self, id: BlobId) -> Pending<'_, Result<OpenBlob, StoreError>> {
        Box::pin(async move {
            for table in self.tables() {
                let sql =
                    table.sql("SELECT body, kind, header, octets, digest FROM {}_blobs WHERE id = $1 AND written IS NOT NULL AND replaced IS NULL");
                let found = persist!(self.link, session => async {
                    let statement = session.statement(&sql).await?;
                    Ok::<Option<Row>, Fault>(session.query_opt(&statement, &[&id.0]).await?)
                })?;
                if let Some(row) = found {
                    return self.opened(id, *table, &row);
                }
            }
            Err(StoreError::Missing("blob"))
        })
    }

    fn delete(&self, id: BlobId) -> Pending<'_, Result<(), StoreError>> {
        Box::pin(async move {
            for table in self.tables() {
                // Those that it replaced go with it; one that is being written is not it yet.
                let sql = table.sql("DELETE FROM {}_blobs WHERE id = $1 AND written IS NOT NULL");
                persist!(self.link, session => async {
                    let statement = session.statement(&sql).await?;
                    Ok::<u64, Fault>(session.execute(&statement, &[&id.0]).await?)
                })?;
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

impl PostgresBlobs {
    fn opened(&self, id: BlobId, table: Table, row: &Row) -> Result<OpenBlob, StoreError> {
        let body: Uuid = column(row, 0)?;
        let blob = Blob { id, kind: kind(&column::<String>(row, 1)?)?, header: column(row, 2)? };
        let octets = u64::try_from(column::<i64>(row, 3)?).unwrap_or_default();
        let digest: Vec<u8> = column(row, 4)?;
        let digest = digest.try_into().map(Sha256).map_err(|_| StoreError::Damaged("the digest of a body".into()))?;
        let parts = Parts::new(Arc::clone(&self.link), self.runtime.clone(), table, body, octets);
        Ok((blob, octets, Box::new(Verified::new(parts, octets, digest))))
    }
}
