//! Connections to PostgreSQL: made, kept, given out, given up, and made again.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::{ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use rustls::ClientConfig;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, Connection, Socket, Statement};

use super::fault::Fault;
use super::tls::{Secret, Tls};
use super::{PostgresOptions, quoted};
use crate::port::StoreError;

/// Connections to one database.
pub(super) struct Link {
    pool: Pool,
    server: Config,
    tls: Option<Arc<ClientConfig>>,
    patience: Duration,
    /// How long one attempt may take, from the first question to the last answer.
    pub(super) limit: Duration,
}

impl Link {
    pub(super) fn new(options: &PostgresOptions) -> Result<Self, StoreError> {
        let mut server = options.server.clone();
        server.application_name(format!("brevbro {}", options.node));
        server.connect_timeout(options.connect_timeout);
        // Of several hosts, the one that takes changes: the primary after a switch-over too.
        server.target_session_attrs(TargetSessionAttrs::ReadWrite);
        server.ssl_mode(if options.tls.is_some() { SslMode::Require } else { SslMode::Disable });
        server.keepalives_idle(Duration::from_secs(20));
        server.tcp_user_timeout(Duration::from_secs(30));
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(server.clone(), Tls(options.tls.clone()), recycling);
        let settings: Arc<str> = settings(options).into();
        let pool = Pool::builder(manager)
            .max_size(options.connections.max(2))
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts { wait: Some(options.connect_timeout), create: Some(options.connect_timeout), recycle: Some(options.connect_timeout) })
            .post_create(Hook::async_fn(move |client: &mut ClientWrapper, _| {
                let settings = Arc::clone(&settings);
                Box::pin(async move { greet(client, &settings).await })
            }))
            .build()
            .map_err(|error| StoreError::Broken(error.to_string()))?;
        Ok(Self { pool, server, tls: options.tls.clone(), patience: options.patience, limit: options.statement_timeout })
    }

    /// A connection that nobody else uses.
    pub(super) async fn session(&self) -> Result<Session, Fault> {
        Ok(Session { object: Some(self.pool.get().await?), within: false })
    }

    /// A connection of its own that listens, and what it hears.
    pub(super) async fn listener(&self) -> Result<(Client, Connection<Socket, Secret<Socket>>), Fault> {
        Ok(self.server.connect(Tls(self.tls.clone())).await?)
    }

    /// Attempts at something until the database has been away for too long.
    pub(super) fn tries(&self) -> Tries {
        Tries::within(self.patience)
    }
}

/// What every connection has set, whatever the server's settings are or become.
fn settings(options: &PostgresOptions) -> String {
    let schema = quoted(&options.schema);
    let millis = options.statement_timeout.as_millis();
    format!(
        "SET search_path TO {schema}; SET TIME ZONE 'UTC'; SET statement_timeout = {millis}; SET idle_in_transaction_session_timeout = {millis}; \
         SET default_transaction_isolation = 'read committed'; SET client_min_messages = 'error'"
    )
}

/// A connection for whose commits the server does not wait is refused; the setting that it has now it keeps.
async fn greet(client: &ClientWrapper, settings: &str) -> Result<(), HookError> {
    client.batch_execute(settings).await.map_err(HookError::Backend)?;
    let pinned = "SELECT set_config('synchronous_commit', current_setting('synchronous_commit'), false)";
    let kept = client.query_one(pinned, &[]).await.map_err(HookError::Backend)?;
    match kept.try_get::<_, String>(0).map_err(HookError::Backend)?.as_str() {
        "off" => Err(HookError::message(
            "synchronous_commit is off in PostgreSQL, so what it confirms can be lost: set it to on, or to remote_apply with a standby, for this database or role",
        )),
        _ => Ok(()),
    }
}

/// A connection, given back when dropped, and closed instead when it stands in the middle of a transaction.
pub(super) struct Session {
    object: Option<Object>,
    within: bool,
}

impl Session {
    /// A statement, prepared on this connection once.
    pub(super) async fn statement(&self, sql: &str) -> Result<Statement, Fault> {
        Ok(self.object.as_ref().ok_or_else(|| Fault::Lost("the connection was given up".into()))?.prepare_cached(sql).await?)
    }

    /// From here on what is asked is part of a transaction that is not over.
    pub(super) fn begin(&mut self) {
        self.within = true;
    }

    /// Makes the transaction durable.
    pub(super) async fn commit(&mut self) -> Result<(), Fault> {
        // Interrupting a commit that waits for a standby would end the wait and keep the commit: it has no time limit here, only on our side.
        self.batch_execute("SET LOCAL statement_timeout = 0; COMMIT").await?;
        self.within = false;
        Ok(())
    }

    /// Takes the transaction back.
    pub(super) async fn roll_back(&mut self) -> Result<(), Fault> {
        self.batch_execute("ROLLBACK").await?;
        self.within = false;
        Ok(())
    }

    /// Closes it: it is of no more use.
    pub(super) fn give_up(&mut self) {
        drop(self.object.take().map(Object::take));
    }
}

impl Deref for Session {
    type Target = Client;

    #[expect(clippy::expect_used, reason = "only `give_up` takes it, after the last use")]
    fn deref(&self) -> &Client {
        self.object.as_ref().expect("a connection")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.within {
            self.give_up();
        }
    }
}

/// Attempts, with growing waits between them.
pub(super) struct Tries {
    until: Instant,
    done: u32,
}

impl Tries {
    pub(super) fn within(patience: Duration) -> Self {
        Self { until: Instant::now() + patience, done: 0 }
    }

    /// Waits before the next attempt; the error when there is none.
    pub(super) async fn after(&mut self, fault: Fault) -> Result<(), StoreError> {
        let wait = match &fault {
            // Whoever was in the way is through soon; not all at once again.
            Fault::Again(_) => Duration::from_micros(500 + u64::from(uuid::Uuid::new_v4().as_fields().1) % (4_000 << self.done.min(5))),
            Fault::Lost(_) => Duration::from_millis(25 << self.done.min(5)),
            Fault::Refused(_) | Fault::Full | Fault::Wrong(_) => return Err(fault.into_error()),
        };
        self.done += 1;
        if Instant::now() + wait > self.until {
            return Err(fault.into_error());
        }
        tracing::debug!(?fault, "PostgreSQL is asked again");
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// Runs what is asked of a session until it succeeds, is refused, or the database has been away for too long.
macro_rules! persist {
    ($link:expr, $session:ident => $work:expr) => {{
        let mut tries = $link.tries();
        loop {
            let fault = match $link.session().await {
                Err(fault) => fault,
                Ok(mut $session) => match tokio::time::timeout($link.limit, async { $work.await }).await {
                    Ok(Ok(done)) => break Ok(done),
                    Ok(Err(fault)) => {
                        if matches!(fault, $crate::store::postgres::fault::Fault::Lost(_)) {
                            $session.give_up();
                        }
                        fault
                    }
                    Err(_) => {
                        $session.give_up();
                        $crate::store::postgres::fault::Fault::Lost("PostgreSQL does not answer in time".into())
                    }
                },
            };
            if let Err(error) = tries.after(fault).await {
                break Err(error);
            }
        }
    }};
}
pub(super) use persist;
