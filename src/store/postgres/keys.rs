//! Keys of bodies among several nodes: which are needed, which are in use, and bodies sealed anew.
//!
//! A body refers to its key, and the database sees to it that a key which is referred to stays known, and that nobody writes
//! under one that is not. So a key is out of use when its row could be deleted: no body is under it, no node that was heard of
//! within the hour writes under it, and one that has slept longer than that is refused when it writes.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::bodies::{PostgresBlobs, Table, key_of};
use super::column;
use super::fault::Fault;
use super::link::{Link, Session, persist};
use super::writer::{Place, Writer};
use crate::crypto::rest::{KeyId, RestKey};
use crate::port::{BlobId, Pending, StoreError};
use crate::store::cipher::{Census, Rekey, Rekeyed, Rings};

/// How often a node says what it writes under.
const SAY: Duration = Duration::from_mins(10);
/// Bodies that are counted at a time.
const PAGE: i64 = 10_000;

impl PostgresBlobs {
    /// Sees that these keys open everything and are no other side's, and has it known that new bodies come under the active ones.
    async fn take_keys(&self, rings: &Rings) -> Result<(), StoreError> {
        persist!(self.link, session => async {
            self.apart(&session, rings).await?;
            for table in self.tables() {
                let needed = "SELECT key FROM {}_keys AS known WHERE EXISTS (SELECT 1 FROM {}_blobs WHERE key = known.key) ORDER BY key";
                let needed = keys(&session, &table.sql(needed)).await?;
                if let Some(missing) = needed.into_iter().find(|key| rings.key(*key).is_none()) {
                    return Err(Fault::Wrong(StoreError::Locked(missing.to_string())));
                }
            }
            let active = self.tables().iter().filter_map(|table| Some((*table, ring(rings, *table).first()?.id().to_string())));
            let active: Vec<(Table, String)> = active.collect();
            let ids: BTreeSet<&str> = active.iter().map(|(_, key)| key.as_str()).collect();
            let ids: Vec<&str> = ids.into_iter().collect();
            // First that it is used, so that nobody takes it out of use again.
            session.execute("DELETE FROM key_users WHERE node = $1 AND key <> ALL ($2)", &[&self.node, &ids]).await?;
            let said = "INSERT INTO key_users (node, key) SELECT $1::text, unnest($2::text[]) ON CONFLICT (node, key) DO UPDATE SET at = now()";
            session.execute(said, &[&self.node, &ids]).await?;
            for (table, key) in &active {
                session.execute(&table.sql("INSERT INTO {}_keys (key) VALUES ($1) ON CONFLICT DO NOTHING"), &[key]).await?;
            }
            Ok::<(), Fault>(())
        })
    }

    /// A node that is to see no clear content holds no key of any, whatever its configuration says.
    async fn apart(&self, session: &Session, rings: &Rings) -> Result<(), Fault> {
        if self.tables().contains(&Table::Clear) {
            return Ok(());
        }
        let content = keys(session, "SELECT key FROM clear_keys ORDER BY key").await?;
        match content.into_iter().find(|key| rings.key(*key).is_some()) {
            Some(key) => Err(Fault::wrong(format!(
                "clear content is under the key {key}, which must not be on a node that is access point alone: the nodes with the mail side \
                 need content-keys of their own in [encryption], and brevbro store rekey, before this one starts"
            ))),
            None => Ok(()),
        }
    }

    /// Begins to say from time to time what this node writes under.
    pub(super) async fn under_keys(self) -> Result<Self, StoreError> {
        self.take_keys(&self.keys.rings()).await?;
        let mut aside = JoinSet::new();
        aside.spawn(keep_saying(Arc::clone(&self.link), self.node.clone()));
        Ok(self.beside(aside))
    }

    /// Counts the bodies of a pair of tables.
    async fn count(&self, table: Table, census: &mut Census) -> Result<(), StoreError> {
        let page = table.sql(
            "SELECT id, key FROM {}_blobs WHERE written IS NOT NULL AND replaced IS NULL AND ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2",
        );
        let mut after: Option<Uuid> = None;
        loop {
            let rows = persist!(self.link, session => async {
                let statement = session.statement(&page).await?;
                Ok::<_, Fault>(session.query(&statement, &[&after, &PAGE]).await?)
            })?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(column(last, 0)?);
            for row in &rows {
                match column::<Option<String>>(row, 1)?.map(|key| key.parse::<KeyId>()) {
                    None => census.clear += 1,
                    Some(Ok(key)) => *census.keys.entry(key).or_default() += 1,
                    Some(Err(_)) => census.damaged += 1,
                }
            }
        }
    }

    /// Forgets the keys of these rings that nothing new comes under, no body is under and no other node writes under. A node
    /// that does not see all tables leaves that to the others.
    async fn retire(&self, census: &Census) -> Result<(), StoreError> {
        if !self.tables().contains(&Table::Clear) {
            return Ok(());
        }
        let rings = self.keys.rings();
        for table in self.tables() {
            let active = ring(&rings, *table).first().map(|key| key.id());
            let own = rings.content.iter().chain(&rings.transport).map(|key| key.id());
            for key in own.filter(|key| Some(*key) != active && !census.keys.contains_key(key)) {
                let gone = table.sql(
                    "DELETE FROM {}_keys WHERE key = $1 AND NOT EXISTS (SELECT 1 FROM {}_blobs WHERE key = $1) \
                     AND NOT EXISTS (SELECT 1 FROM key_users WHERE key = $1 AND node <> $2 AND at > now() - interval '1 hour')",
                );
                persist!(self.link, session => async {
                    match session.execute(&gone, &[&key.to_string(), &self.node]).await {
                        // A body came under it just now.
                        Err(error) if error.code() == Some(&SqlState::FOREIGN_KEY_VIOLATION) => Ok::<u64, Fault>(0),
                        other => Ok(other?),
                    }
                })?;
            }
        }
        Ok(())
    }
}

impl Rekey for PostgresBlobs {
    fn needs(&self, rings: Rings) -> Pending<'_, Result<(), StoreError>> {
        Box::pin(async move { self.take_keys(&rings).await })
    }

    fn census(&self) -> Pending<'_, Result<Census, StoreError>> {
        Box::pin(async move {
            let mut census = Census::default();
            for table in self.tables() {
                self.count(*table, &mut census).await?;
            }
            self.retire(&census).await?;
            for table in self.tables() {
                let known = table.sql("SELECT key FROM {}_keys");
                census.needed.extend(persist!(self.link, session => keys(&session, &known))?);
            }
            Ok(census)
        })
    }

    fn rekey(&self, id: BlobId) -> Pending<'_, Result<Rekeyed, StoreError>> {
        Box::pin(async move {
            let Some((table, row)) = self.find(id).await? else { return Ok(Rekeyed::Gone) };
            let (old, key) = (column::<Uuid>(&row, 0)?, key_of(&row)?);
            let (blob, _, mut body) = self.opened(id, table, &row)?;
            let Some(active) = self.keys.active(blob.kind).filter(|active| Some(active.id()) != key) else { return Ok(Rekeyed::Kept) };
            let mut writer = Writer::new(self, blob, Some(&*active), Place::Of(old))?;
            let copied = self.runtime.spawn_blocking(move || io::copy(&mut body, &mut writer).map(|_| writer)).await;
            let copied = copied.map_err(|_| StoreError::Broken("a body could not be copied".into()))?;
            match copied {
                Ok(writer) => Ok(if writer.end().await?.is_some() { Rekeyed::Anew } else { Rekeyed::Gone }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Rekeyed::Gone),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(StoreError::Damaged(format!("the body {old}: {error}"))),
                Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(StoreError::Full),
                Err(error) => Err(StoreError::Broken(format!("the body {old} cannot be sealed anew: {error}"))),
            }
        })
    }
}

/// The ring of what is kept in a pair of tables.
fn ring(rings: &Rings, table: Table) -> &[Arc<RestKey>] {
    match table {
        Table::Clear => &rings.content,
        Table::Sealed => &rings.transport,
    }
}

/// The keys that a question names.
async fn keys(session: &Session, sql: &str) -> Result<BTreeSet<KeyId>, Fault> {
    let rows = session.query(sql, &[]).await?;
    let key = |row: &tokio_postgres::Row| column::<String>(row, 0)?.parse::<KeyId>().map_err(|_| StoreError::Damaged("the name of a key".into()));
    rows.iter().map(key).collect::<Result<_, _>>().map_err(Fault::Wrong)
}

async fn keep_saying(link: Arc<Link>, node: String) {
    loop {
        tokio::time::sleep(SAY).await;
        let said = persist!(link, session => async {
            Ok::<u64, Fault>(session.execute("UPDATE key_users SET at = now() WHERE node = $1", &[&node]).await?)
        });
        if let Err(error) = said {
            tracing::warn!(%error, "PostgreSQL cannot be told which keys this node writes under");
        }
    }
}
