//! What every node is made of, whatever its role: where state is kept, who is found and trusted, who is served.

use std::path::PathBuf;
use std::sync::Arc;

use super::expiry::expiry;
use super::outside::transport_profiles;
use super::schedules::{participant, retention, schedule};
use super::{Outside, StartError, isolation};
use crate::config::checked;
use crate::edge::clock::SystemClock;
use crate::outbound::retry::Patience;
use crate::port::{Blobs, Clock, Store};
use crate::store::{SledOptions, SledStore, Spool, SpoolOptions};
use crate::worker::{Company, Node, Room, Settings};

/// Opens the state and everything else that both sides need.
pub(super) fn of(config: &checked::Gateway) -> Result<Node, StartError> {
    let dir = config.state_dir.clone();
    let store_error = |source| StartError::Store { dir: dir.display().to_string(), source };
    let setup = |what| move |why: String| StartError::Setup { what, why };
    isolation::claim(&dir, &config.federation, config.environment).map_err(setup("the state"))?;
    let blobs: Arc<dyn Blobs> = Arc::new(Spool::open(SpoolOptions::new(dir.join("spool"))).map_err(store_error)?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let options = SledOptions { clock: Arc::clone(&clock), ..SledOptions::new(dir.join("store")) };
    let store: Arc<dyn Store> = Arc::new(SledStore::open(options).map_err(store_error)?);
    let scratch = dir.join("scratch");
    std::fs::create_dir_all(&scratch).map_err(|error| setup("the scratch folder")(error.to_string()))?;
    let Outside { directory, trust, .. } = Outside::of(config)?;
    Ok(Node {
        name: config.node.clone(),
        company: Company::Alone,
        store,
        blobs,
        directory,
        trust,
        clock,
        room: Room::of(config.memory),
        settings: settings(config, scratch),
        participants: config.participants.iter().map(participant).collect(),
    })
}

fn settings(config: &checked::Gateway, scratch: PathBuf) -> Settings {
    Settings {
        name: config.name.clone(),
        domain: config.mail_domain.clone(),
        federation: config.federation.clone(),
        schedule: schedule(&config.retry, None, Patience::RealTime),
        retention: retention(config.retention),
        scratch,
        transport_profiles: transport_profiles(config),
        expiry: expiry(config),
    }
}
