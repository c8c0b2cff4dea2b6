//! What lies between two access points, and what the federation answers.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use brevbro::crypto::{Certificate, sha256};
use brevbro::edge::as4_server::As4Reception;
use brevbro::edge::serving::Peer;
use brevbro::event::{Event, EventName, Field};
use brevbro::ident::{AccessPointId, As4MessageId, DocumentKind, MessageId, ParticipantId, Sha256};
use brevbro::inbound::Arrival;
use brevbro::outbound::accept::Link;
use brevbro::outbound::address::TRANSPORT_PROFILE;
use brevbro::port::{
    Answer, BlobId, Blobs, Clock, Directory, DirectoryError, Finding, Freshness, Metadata, Pending, Realm, Request, ScanError, Scanner, Store,
    Transport, TransportError, Trust, TrustError,
};
use tokio::time::sleep;

use crate::gateway::keys;
use crate::life::Life;
use crate::plan::{Extra, Sabotage};
use crate::world::{NAMES, World, participant};

/// Where an edge stands: in which world, and of which life of which side it is.
#[derive(Clone)]
pub struct Place {
    pub world: Arc<World>,
    pub side: usize,
    pub life: Arc<Life>,
}

/// One attempt to send a request.
#[derive(Debug, Clone)]
pub struct Push {
    pub from: usize,
    pub id: String,
    pub digest: Sha256,
}

/// AS4 to the other side.
pub struct Wire(pub Place);

impl Transport for Wire {
    fn push(&self, mut request: Request) -> Pending<'_, Result<Answer, TransportError>> {
        Box::pin(async move {
            let Place { world, side, life } = &self.0;
            life.here().await;
            let mut octets = Vec::new();
            request.body.read_to_end(&mut octets).unwrap();
            if world.plan.sabotage == Some(Sabotage::ChangesRequests) {
                octets.extend(world.roll(100).to_string().into_bytes());
            }
            let id = between(&octets, "MessageId>").unwrap_or_default();
            world.tell(format!("{} sends {id}", NAMES[*side]));
            world.log.lock().unwrap().pushes.push(Push { from: *side, id: id.clone(), digest: sha256(&octets) });
            accepted_is_stored(world, *side, &id).await;
            let answer = carry(world, *side, request, octets, &id).await;
            life.here().await;
            world.tell(format!(
                "{}: {id} gets {}",
                NAMES[*side],
                answer.as_ref().map_or_else(ToString::to_string, |answer| answer.status.to_string())
            ));
            answer
        })
    }
}

async fn carry(world: &Arc<World>, from: usize, request: Request, octets: Vec<u8>, id: &str) -> Result<Answer, TransportError> {
    let endpoint = request.endpoint.clone();
    let unreachable = || TransportError::Unreachable { endpoint: endpoint.clone(), reason: "nobody there".into() };
    let no_answer = |reason: &str| TransportError::NoAnswer { endpoint: endpoint.clone(), reason: reason.into() };
    sleep(Duration::from_millis(world.roll(400))).await;
    let to = 1 - from;
    if world.plan.is_cut(to, world.elapsed()) && world.fails(1) {
        return Err(unreachable());
    }
    let chance = world.plan.net;
    if world.fails(chance) {
        sleep(Duration::from_mins(1)).await;
        return Err(no_answer("the request was lost"));
    }
    if world.fails(chance) {
        return Ok(Answer { status: 503, content_type: "text/plain".into(), retry_after: Some(Duration::from_secs(30)), body: Vec::new() });
    }
    if world.fails(chance) {
        sleep(Duration::from_secs(world.roll(90))).await;
    }
    let answer = serve(world, to, request.content_type.clone(), octets.clone()).await;
    if matches!(answer, Served::Nobody) {
        return Err(unreachable());
    }
    if world.fails(chance) {
        let (own, content_type, octets, wait) = (Arc::clone(world), request.content_type, octets, world.roll(3_000));
        world.beside(async move {
            sleep(Duration::from_secs(wait)).await;
            own.tell("a copy of a request comes late");
            serve(&own, to, content_type, octets).await;
        });
    }
    if world.fails(chance) {
        world.tell(format!("the answer to {id} is lost"));
        sleep(Duration::from_secs(30)).await;
        return Err(no_answer("the answer was lost"));
    }
    match answer {
        Served::Answer(answer) => {
            if world.fails(chance * 3) {
                world.kill(to, "it has just answered");
            }
            Ok(answer)
        }
        Served::Nobody | Served::Broke => Err(no_answer("the other side is gone")),
    }
}

/// What came of a request at the other side.
pub enum Served {
    Answer(Answer),
    Nobody,
    Broke,
}

/// Hands a request to a side's gateway; what is answered must be durable there.
pub async fn serve(world: &Arc<World>, to: usize, content_type: String, octets: Vec<u8>) -> Served {
    let Some((life, gateway, _)) = world.up(to) else { return Served::Nobody };
    let own = Arc::clone(world);
    let told = life.run(async move {
        let id = between(&octets, "MessageId>").unwrap_or_default();
        let peer = Peer::new(SocketAddr::from(([192, 0, 2, 1], 4711)));
        let answer = gateway.access_point().unwrap().receive(content_type, peer, Box::new(std::io::Cursor::new(octets))).await;
        if answer.status == 200 && contains(&answer.body, "Receipt>") {
            receipt_is_durable(&own, to, &id).await;
        }
        answer
    });
    told.await.map_or(Served::Broke, Served::Answer)
}

/// An AS4 receipt goes out: the message, its record and the receipt itself are there.
async fn receipt_is_durable(world: &Arc<World>, side: usize, id: &str) {
    let disk = &world.sides[side].disk;
    let from: AccessPointId = keys().points[1 - side].certificate.common_name().unwrap().parse().unwrap();
    let seen = Arrival::seen(&from, &As4MessageId::new(id).unwrap());
    let signal = disk.store.note(seen).await.unwrap().and_then(|note| note.parse().ok()).map(BlobId);
    let kept = match signal {
        Some(signal) => disk.blobs.open(signal).await.is_ok(),
        None => false,
    };
    let record =
        disk.events().await.iter().rev().find(|event| event.name == EventName::Received && is(event, Field::As4MessageId, id)).and_then(|e| e.record);
    let recorded = match record {
        Some(record) => disk.store.record(record).await.unwrap().is_some(),
        None => false,
    };
    if !kept || !recorded {
        world.wrong(format!("{} acknowledges {id}, which is not durable (receipt {kept}, record {recorded})", NAMES[side]));
    }
}

/// A message receipt that says ACCEPTED goes out: the message is stored.
async fn accepted_is_stored(world: &Arc<World>, side: usize, id: &str) {
    let disk = &world.sides[side].disk;
    let events = disk.events().await;
    let Some(submitted) = events.iter().find(|event| event.name == EventName::Submitted && is(event, Field::As4MessageId, id)) else {
        return world.wrong(format!("{} sends {id}, which its journal does not know", NAMES[side]));
    };
    if submitted.fields.get(&Field::ReceiptCode).is_none_or(|code| code != "ACCEPTED") {
        return;
    }
    let message = submitted.fields[&Field::MessageId].clone();
    if !is_stored(world, side, &message).await {
        world.wrong(format!("{} sends ACCEPTED for {message}, which is not stored", NAMES[side]));
    }
}

/// Whether a side keeps a received message.
pub async fn is_stored(world: &World, side: usize, message: &str) -> bool {
    let disk = &world.sides[side].disk;
    let note = disk.store.note(Link::received(&MessageId::new(message).unwrap())).await.unwrap();
    let Some(link) = note.and_then(|note| Link::from_note(&note)) else { return false };
    disk.store.record(link.record).await.unwrap().is_some()
}

pub fn is(event: &Event, field: Field, value: &str) -> bool {
    event.fields.get(&field).is_some_and(|own| own == value)
}

pub fn contains(octets: &[u8], text: &str) -> bool {
    octets.windows(text.len()).any(|piece| piece == text.as_bytes())
}

/// The text after the first occurrence of this, up to the next tag.
pub fn between(octets: &[u8], begin: &str) -> Option<String> {
    let at = octets.windows(begin.len()).position(|piece| piece == begin.as_bytes())? + begin.len();
    let end = octets[at..].iter().position(|octet| *octet == b'<')?;
    String::from_utf8(octets[at..at + end].to_vec()).ok()
}

/// DNS, SMP and the CAs.
pub struct Register(pub Place);

impl Register {
    fn find(&self, participant: &ParticipantId) -> Result<usize, DirectoryError> {
        let Place { world, side, .. } = &self.0;
        if world.plan.is_blind(*side, world.elapsed()) && world.fails(1) {
            return Err(DirectoryError::Unavailable { service: "SMP".into(), reason: "it does not answer".into() });
        }
        let found = (0..2).find(|side| crate::world::participant(*side) == *participant);
        found.ok_or_else(|| DirectoryError::UnknownParticipant(participant.clone()))
    }
}

impl Directory for Register {
    fn kinds<'a>(&'a self, participant: &'a ParticipantId) -> Pending<'a, Result<Vec<DocumentKind>, DirectoryError>> {
        Box::pin(async move { self.0.life.does(async { self.find(participant).map(|_| DocumentKind::ALL.to_vec()) }).await })
    }

    fn metadata<'a>(&'a self, of: &'a ParticipantId, kind: DocumentKind, _: Freshness) -> Pending<'a, Result<Metadata, DirectoryError>> {
        Box::pin(async move {
            let Place { world, side, life } = &self.0;
            life.here().await;
            let found = self.find(of)?;
            let (keys, now) = (keys(), world.sides[*side].clock.now());
            Ok(Metadata {
                participant: participant(found),
                kind,
                endpoint: format!("https://{}.example/as4", NAMES[found]),
                access_point: keys.points[found].certificate.clone(),
                transport_profile: TRANSPORT_PROFILE.into(),
                activation: None,
                expiration: None,
                signing: vec![keys.participants[found].certificate.clone()],
                encryption: vec![keys.participants[found].certificate.clone()],
                signer: keys.points[found].certificate.clone(),
                stale: (world.plan.extras.contains(&Extra::Stale)).then_some(now),
            })
        })
    }
}

impl Trust for Register {
    fn judge<'a>(&'a self, _: Realm, _: &'a Certificate, _: &'a [Certificate]) -> Pending<'a, Result<(), TrustError>> {
        Box::pin(async move {
            let Place { world, side, life } = &self.0;
            life.here().await;
            if world.plan.is_blind(*side, world.elapsed()) && world.fails(2) {
                return Err(TrustError::Unchecked("no list is to be had".into()));
            }
            Ok(())
        })
    }
}

/// Looks for malware; sometimes it does not answer.
pub struct Scan(pub Place);

impl Scanner for Scan {
    fn scan<'a>(&'a self, _: &'a [u8]) -> Pending<'a, Result<Finding, ScanError>> {
        Box::pin(async move {
            self.0.life.here().await;
            if self.0.world.fails(2) { Err(ScanError::NoVerdict("it does not answer".into())) } else { Ok(Finding::Clean) }
        })
    }

    fn version(&self) -> Pending<'_, Result<String, ScanError>> {
        Box::pin(async { Ok("model".into()) })
    }
}
