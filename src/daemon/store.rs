//! Where state is kept, as the configuration says: in files here, or in a database that nodes share.

use std::sync::Arc;

use super::StartError;
use crate::config::{Database, StateStore, checked};
use crate::port::{Blobs, Clock, Store};
use crate::store::cipher::{Keys, Rekey};
use crate::store::{Bodies, PostgresOptions, PostgresStore, SledOptions, SledStore, Spool, SpoolOptions, Unfinished};
use crate::worker::Company;

/// The store, the bodies beside it, and whether others use them too.
pub(super) struct Kept {
    pub(super) store: Arc<dyn Store>,
    pub(super) blobs: Arc<dyn Blobs>,
    /// The bodies once more, as those that lie under keys.
    pub(super) under_keys: Arc<dyn Rekey>,
    pub(super) company: Company,
}

/// Opens it.
pub(super) async fn open(config: &checked::Gateway, clock: &Arc<dyn Clock>, keys: &Arc<Keys>) -> Result<Kept, StartError> {
    match &config.store {
        StateStore::Local(reserve) => {
            let (dir, reserve) = (&config.state_dir, *reserve);
            let failed = |source| StartError::Store { dir: dir.display().to_string(), source };
            Unfinished::refuse(dir).map_err(failed)?;
            let spool = SpoolOptions { reserve, keys: Arc::clone(keys), ..SpoolOptions::new(dir.join("spool")) };
            let blobs = Arc::new(Spool::open(spool).map_err(failed)?);
            let options = SledOptions { reserve, clock: Arc::clone(clock), segments: config.audit.segments, ..SledOptions::new(dir.join("store")) };
            let store = SledStore::open(options).map_err(failed)?;
            Ok(Kept { store: Arc::new(store), under_keys: Arc::clone(&blobs) as Arc<dyn Rekey>, blobs, company: Company::Alone })
        }
        StateStore::Postgresql(database) => {
            let failed = |source| StartError::Store { dir: format!("the database {}", database.database), source };
            let store = PostgresStore::open(options(config, database)).await.map_err(failed)?;
            let blobs = Arc::new(store.blobs_under(Arc::clone(keys)).await.map_err(failed)?);
            Ok(Kept { store: Arc::new(store), under_keys: Arc::clone(&blobs) as Arc<dyn Rekey>, blobs, company: Company::Nodes })
        }
    }
}

/// The database as the store of a node is told of it.
pub(crate) fn options(config: &checked::Gateway, database: &Database) -> PostgresOptions {
    PostgresOptions {
        node: config.node.to_string(),
        // A machine in the DMZ has no rights on what is in the clear.
        bodies: if config.role() == checked::Role::AccessPoint { Bodies::Sealed } else { Bodies::All },
        keep: config.audit.segments.keep,
        ..connection(database)
    }
}

/// The database as whoever uses it is told of it.
pub(crate) fn connection(database: &Database) -> PostgresOptions {
    let mut server = tokio_postgres::Config::new();
    for host in &database.hosts {
        server.host(host).port(database.port);
    }
    server.dbname(&database.database).user(&database.user);
    if let Some(password) = &database.password {
        server.password(password.expose());
    }
    PostgresOptions {
        tls: database.tls.clone(),
        schema: database.schema.clone(),
        connections: usize::try_from(database.max_connections).unwrap_or(usize::MAX),
        connect_timeout: database.connect_timeout,
        statement_timeout: database.statement_timeout,
        patience: database.patience,
        ..PostgresOptions::of(server)
    }
}
