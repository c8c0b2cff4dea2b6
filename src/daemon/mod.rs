//! The daemon: a checked configuration becomes running edges around one worker; start, drain, stop.
//!
//! Order of start: store and spool, orphans taken in, workers, AS4, and last SMTP, so that nothing is taken in before
//! what was taken in earlier is safe. Order of stop: SMTP and AS4 take nothing new, running jobs end, the store closes.

mod access_point;
mod audit;
pub mod control;
mod expiry;
mod imap;
mod isolation;
pub mod keys;
pub mod limits;
mod mail;
mod node;
mod outside;
mod schedules;
mod sinks;
mod store;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::config::{self, checked};
use crate::edge::as4_server::{As4Reception, As4Server, As4ServerError};
use crate::edge::imap::{OutboxOptions, OutboxReception, watch};
use crate::edge::serving::{Stop, Stopper, stop};
use crate::edge::smtp_server::{SmtpServer, SmtpServerError};
use crate::edge::tap::Tap;
use crate::event::{Event, EventName, Field};
use crate::failure::Failure;
use crate::port::{Op, Step, StoreError};
use crate::worker::{Company, Crew, Found, Gateway, MailDoor, MailSide, OutboxDoor, OutboxSettings, Sides, TERM, Turn};

use keys::AtRest;
use mail::Doors;

pub(crate) use mail::policy;
pub use outside::Outside;
pub(crate) use store::{connection as database_connection, options as database};

/// How often the ends of certificates are looked at, and what other nodes have left.
const WATCH: std::time::Duration = std::time::Duration::from_hours(1);

/// How often it is looked at what is used of limits.
const LIMITS: std::time::Duration = std::time::Duration::from_secs(30);

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is refused.
    #[error("the configuration is refused")]
    Config(#[from] config::ConfigErrors),
    /// The store or the spool cannot be opened.
    #[error("the state in {dir} cannot be opened")]
    Store {
        /// Where.
        dir: String,
        /// Why.
        source: StoreError,
    },
    /// Something cannot be set up.
    #[error("{what} cannot be set up: {why}")]
    Setup {
        /// What.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// The SMTP server does not start.
    #[error("the SMTP server does not start")]
    Smtp(#[from] SmtpServerError),
    /// The control socket cannot be made.
    #[error("the control socket cannot be made")]
    Control(#[from] control::ControlError),
    /// The AS4 endpoint does not start.
    #[error("the AS4 endpoint does not start")]
    As4(#[from] As4ServerError),
}

/// A daemon that runs.
pub struct Daemon {
    /// The worker's view of everything.
    pub gateway: Arc<Gateway>,
    /// What is kept, and its keys.
    pub at_rest: Arc<AtRest>,
    /// Where mail is taken by SMTP; port 0 where it is not: it comes from outbox folders only, or to other nodes.
    pub smtp: SocketAddr,
    /// Where AS4 is taken; port 0 on a mail node.
    pub as4: SocketAddr,
    crew: Crew,
    stopper: Stopper,
    servers: JoinSet<()>,
    /// What has no part in stopping: it ends with the daemon.
    aside: JoinSet<()>,
    /// What signs the journal's heads.
    signing: Option<Arc<audit::Signing>>,
}

impl Daemon {
    /// Starts everything that the configuration names.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub async fn start(config: checked::Gateway) -> Result<Self, StartError> {
        Self::start_tapped(config, None).await
    }

    /// Reads a configuration file and starts what it names, with a tap on the AS4 connections that the gateway makes.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub async fn start_file(path: &Path, tap: Arc<dyn Tap>) -> Result<Self, StartError> {
        Self::start_tapped(config::load(path)?, Some(tap)).await
    }

    /// As [`Self::start`], with a tap on the AS4 connections that the gateway makes.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    async fn start_tapped(config: checked::Gateway, tap: Option<Arc<dyn Tap>>) -> Result<Self, StartError> {
        let (node, at_rest) = node::of(&config).await?;
        let node = Arc::new(node);
        if node.company == Company::Nodes {
            let claimed = isolation::claim_store(node.store.as_ref(), &config.federation, config.environment).await;
            claimed.map_err(|why| StartError::Setup { what: "the state", why })?;
        }
        let point = config.access_point.as_ref().map(|point| access_point::wire(&config, point, tap, &node));
        let mail = config.mail.as_ref().map(|mail| mail::wire(&config, mail, &node)).transpose()?;
        let (point, endpoint) = point.unzip();
        let (mail, doors) = mail.unzip();
        let gateway = Arc::new(Gateway::new(match (&point, &mail) {
            (Some(point), Some(mail)) => Sides::Both(Arc::clone(point), Arc::clone(mail)),
            (Some(point), None) => Sides::AccessPoint(Arc::clone(point)),
            (None, Some(mail)) => Sides::Mail(Arc::clone(mail)),
            (None, None) => return Err(StartError::Setup { what: "the node", why: "it has neither side".into() }),
        }));
        let started = Event::new(node.clock.now(), EventName::Started).with(Field::Node, &config.node);
        let noted = node.store.apply(Step::new().op(Op::Audit(started))).await;
        noted.map_err(|source| StartError::Store { dir: config.state_dir.display().to_string(), source })?;
        if let Some(mail) = &mail {
            put_in_order(mail).await?;
        }
        let control = control::ControlSocket::bind(&config.state_dir)?;
        let endpoint = match endpoint {
            Some(options) => Some(As4Server::bind(options).await?),
            None => None,
        };
        let Doors { smtp, outboxes } = doors.unwrap_or_default();
        let smtp = match smtp {
            Some((options, admission)) => Some((SmtpServer::bind(options).await?, admission)),
            None => None,
        };
        let addresses = (smtp.as_ref().map(|(server, _)| server.address()), endpoint.as_ref().map(As4Server::address));
        let crew = Crew::start(&gateway);
        let (stopper, stopped) = stop();
        let mut servers = JoinSet::new();
        if let (Some(server), Some(side)) = (endpoint, point) {
            servers.spawn(server.run(side as Arc<dyn As4Reception>, stopped.clone()));
        }
        if let Some(side) = mail {
            if let Some((server, admission)) = smtp {
                servers.spawn(server.run(Arc::new(MailDoor::new(Arc::clone(&side), admission)), stopped.clone()));
            }
            for (options, settings) in outboxes {
                servers.spawn(watch_in_turn(Arc::clone(&side), options, settings, stopped.clone()));
            }
        }
        let mut aside = aside(&gateway);
        let signing = audit::Signing::of(&config, &node.store, &node.clock);
        if let Some(signing) = &signing {
            aside.spawn(Arc::clone(signing).run());
        }
        aside.spawn(control.serve(Arc::new(control::Answering {
            gateway: Arc::clone(&gateway),
            at_rest: Arc::clone(&at_rest),
            started: gateway.clock.now(),
        })));
        let (smtp, as4) = (addresses.0.unwrap_or_else(nowhere), addresses.1.unwrap_or_else(nowhere));
        Ok(Self { gateway, at_rest, smtp, as4, crew, stopper, servers, aside, signing })
    }

    /// Takes nothing new, ends what runs, and returns.
    pub async fn stop(mut self) {
        self.stopper.stop();
        while self.servers.join_next().await.is_some() {}
        self.crew.drain().await;
        if let Some(mail) = self.gateway.mail() {
            mail.sinks.close().await;
        }
        if let Some(signing) = self.signing.take() {
            signing.sign().await;
        }
        // They hold the store open.
        self.at_rest.stop().await;
        self.aside.shutdown().await;
    }
}

/// What a run before this one left is taken in, deleted, or goes on.
async fn put_in_order(mail: &MailSide) -> Result<(), StartError> {
    let setup = |what| move |failure: Failure| StartError::Setup { what, why: failure.what };
    tell_found(mail.take_in_orphans().await.map_err(setup("what an earlier run left"))?);
    mail.retire_all().await.map_err(setup("retention"))?;
    let unread = mail.deliver_unread().await.map_err(setup("what waits to be read"))?;
    if unread > 0 {
        tracing::info!(unread, "messages that nobody has read go to their mailboxes, which get them whole by now");
    }
    Ok(())
}

fn tell_found(found: Found) {
    if found != Found::default() {
        tracing::info!(taken_in = found.taken_in, deleted = found.deleted, "what an earlier run left was put in order");
    }
}

/// Among several nodes, what one left that died is put in order by those that live.
async fn keep_in_order(mail: Arc<MailSide>) {
    loop {
        tokio::time::sleep(WATCH).await;
        match mail.take_in_orphans().await {
            Ok(found) => tell_found(found),
            Err(failure) => tracing::warn!(what = failure.what, "what other nodes left cannot be looked for"),
        }
    }
}

/// A folder whose mails are sent is watched by one node at a time.
async fn watch_in_turn(mail: Arc<MailSide>, options: OutboxOptions, settings: OutboxSettings, stopped: Stop) {
    let place = format!("{} {}", options.account.place(), options.folder);
    let door: Arc<OutboxDoor> = Arc::new(OutboxDoor::new(Arc::clone(&mail), settings));
    match mail.company {
        Company::Alone => watch(options, door, stopped).await,
        Company::Nodes => {
            let turn = Turn::new(Arc::clone(&mail.store), &mail.name, &place, TERM);
            turn.take(stopped, |stop| watch(options.clone(), Arc::clone(&door) as Arc<dyn OutboxReception>, stop)).await;
        }
    }
}

/// What runs beside the flows.
fn aside(gateway: &Arc<Gateway>) -> JoinSet<()> {
    let mut aside = JoinSet::new();
    let watching = Arc::clone(gateway);
    aside.spawn(async move {
        loop {
            if let Err(failure) = watching.watch_expiry().await {
                tracing::warn!(what = failure.what, "the ends of certificates cannot be watched");
            }
            tokio::time::sleep(WATCH).await;
        }
    });
    let watching = Arc::clone(gateway);
    aside.spawn(async move {
        loop {
            tokio::time::sleep(LIMITS).await;
            if let Err(failure) = watching.watch_limits().await {
                tracing::warn!(what = failure.what, "limits cannot be watched");
            }
        }
    });
    if let Some(mail) = gateway.mail().filter(|mail| mail.company == Company::Nodes) {
        aside.spawn(keep_in_order(Arc::clone(mail)));
    }
    if let Some(mail) = gateway.mail().map(Arc::clone) {
        aside.spawn(async move { mail::report_scanner(mail.malware.as_ref()).await });
    }
    let well = Arc::clone(gateway);
    aside.spawn(async move { well.watch_store().await });
    let asked = Arc::clone(gateway);
    aside.spawn(async move {
        for wrong in asked.check_registration().await {
            tracing::warn!(participant = %wrong.participant, kind = ?wrong.kind, "our registration in the federation: {}", wrong.what);
        }
    });
    aside
}

/// An address at which nothing is.
fn nowhere() -> SocketAddr {
    SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, 0))
}
