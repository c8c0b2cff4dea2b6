//! What every node is made of, whatever its role: where state is kept, who is found and trusted, who is served.

use std::path::PathBuf;
use std::sync::Arc;

use super::expiry::expiry;
use super::keys::AtRest;
use super::outside::transport_profiles;
use super::schedules::{participant, retention, schedule};
use super::store::{self, Kept};
use super::{Outside, StartError, isolation};
use crate::config::checked;
use crate::edge::clock::SystemClock;
use crate::ident::FunctionId;
use crate::outbound::retry::Patience;
use crate::port::Clock;
use crate::store::cipher::Keys;
use crate::worker::{LaneOptions, Lanes, Limits, MailboxQuota, Node, Quotas, Room, Settings};

/// Opens the state and everything else that both sides need.
pub(super) async fn of(config: &checked::Gateway) -> Result<(Node, Arc<AtRest>), StartError> {
    let dir = config.state_dir.clone();
    let setup = |what| move |why: String| StartError::Setup { what, why };
    isolation::claim(&dir, &config.federation, config.environment).map_err(setup("the state"))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let keys = Arc::new(Keys::new(config.encryption.clone()));
    let Kept { store, blobs, under_keys, company } = store::open(config, &clock, &keys).await?;
    let at_rest = AtRest::new(keys, under_keys, Arc::clone(&store), Arc::clone(&clock), config.file.clone());
    at_rest.report();
    let scratch = dir.join("scratch");
    std::fs::create_dir_all(&scratch).map_err(|error| setup("the scratch folder")(error.to_string()))?;
    let Outside { directory, trust, .. } = Outside::of(config)?;
    let node = Node {
        name: config.node.clone(),
        company,
        store,
        blobs,
        directory,
        trust,
        clock,
        room: Room::of(config.memory),
        limits: Limits::new(config.participants.iter().map(quotas).collect(), &config.node),
        settings: settings(config, scratch),
        participants: config.participants.iter().map(participant).collect(),
        lanes: Lanes::new(lanes(config)),
    };
    Ok((node, at_rest))
}

fn quotas(participant: &checked::Participant) -> Quotas {
    let checked::OrganisationLimit { waiting, unopened, stored } = participant.limits;
    let mailbox = |(function, limit): &(FunctionId, checked::MailboxLimit)| {
        let checked::MailboxLimit { waiting, stored, at_once } = *limit;
        MailboxQuota { function: function.clone(), waiting, stored, at_once }
    };
    Quotas { organisation: participant.id.clone(), waiting, unopened, stored, mailboxes: participant.mailboxes.iter().map(mailbox).collect() }
}

fn lanes(config: &checked::Gateway) -> LaneOptions {
    let options = LaneOptions::of(&schedule(&config.retry, None, Patience::RealTime));
    config.access_point.as_ref().map_or(options, |point| LaneOptions {
        at_once: point.max_sends as usize,
        to_access_point: point.max_sends_per_destination as usize,
        ..options
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
