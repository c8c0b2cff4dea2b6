//! One gateway whole, in one thread and in a time that is only told; around it other access points, a directory and a mail
//! server that are models.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use brevbro::as4::pmode::PMode;
use brevbro::as4::receipt;
use brevbro::as4::receive::{self, Context, Options, ReceiveLimits};
use brevbro::crypto::{Certificate, Identity, KeyReference, sha256};
use brevbro::event::{Event, EventName, Field};
use brevbro::ident::{As4MessageId, DocumentKind, MessageId, ParticipantId, RecordId, Sha256};
use brevbro::inbound::receive::Bringer;
use brevbro::mail::pair::Pace;
use brevbro::mail::policy::MailboxPolicy;
use brevbro::outbound::accept::{Recipient, Transaction};
use brevbro::outbound::address::TRANSPORT_PROFILE;
use brevbro::outbound::retry::Schedule;
use brevbro::outbound::state::Notify;
use brevbro::port::{
    Answer, Blobs, Clock, Delivery, Directory, DirectoryError, Freshness, MailSink, Metadata, Pending, Realm, Request, SinkAnswer, SinkError, Store,
    Transport, TransportError, Trust, TrustError,
};
use brevbro::sdk::message::MessageLimits;
use brevbro::store::{MemoryBlobs, MemoryStore};
use brevbro::worker::{
    AccessPoint, AccessPointSide, Acquaintances, Company, Crew, Expiry, Gateway, Household, LaneOptions, Lanes, Limits, MailSettings, MailSide,
    Mailbox, Mode, Node, Organisation, Participant, Quotas, Retention, Room, Settings, Settled, Sides, Sinks,
};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::common::pki::Ca;

/// Nothing is deleted while a test looks.
const RETENTION: Retention = Retention { content: Duration::from_hours(24 * 400), metadata: Duration::from_hours(24 * 800) };
const OWN: &str = "0203:own.example";

struct Keys {
    own_point: Identity,
    peer_point: Identity,
    own: Identity,
    peer: Identity,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let ca = Ca::new("CA");
        let [own_point, peer_point, own, peer] = ["AP0001-TEST", "AP0002-TEST", "own.example", "peer.example"].map(|name| ca.issue(name));
        Keys { own_point, peer_point, own, peer }
    })
}

/// Runs a test in a time that passes as fast as nothing happens.
pub fn run<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    keys();
    brevbro::worker::fix_chance(Some(1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(test());
    brevbro::worker::fix_chance(None);
}

/// The gateway's clock: it runs evenly, but for when a test sets it.
pub struct Hands {
    start: Instant,
    offset: AtomicI64,
    set: Mutex<Option<Instant>>,
}

impl Hands {
    pub fn set_by(&self, by: SignedDuration) {
        self.offset.fetch_add(by.as_secs(), Ordering::SeqCst);
        *self.set.lock().unwrap() = Some(Instant::now());
    }

    /// What a program that has just begun knows.
    fn begin(&self) {
        *self.set.lock().unwrap() = Some(Instant::now());
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        let base: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
        base + SignedDuration::try_from(self.start.elapsed()).unwrap() + SignedDuration::from_secs(self.offset.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Option<Duration> {
        Some(self.start.elapsed())
    }

    fn even_since(&self) -> Timestamp {
        let even = self.set.lock().unwrap().unwrap_or(self.start).elapsed();
        self.now() - SignedDuration::try_from(even).unwrap()
    }
}

/// What another access point does.
#[derive(Debug, Clone)]
pub enum Manner {
    /// It takes what comes, after so long.
    Takes(Duration),
    /// Nobody is there; that is known after so long.
    Gone(Duration),
    /// It answers 503, and asks to be left alone for so long.
    Busy(Duration),
}

/// A message that another access point took.
#[derive(Debug, Clone)]
pub struct Taken {
    pub at: Duration,
    pub id: As4MessageId,
}

/// Another access point, and what it has seen.
#[derive(Default)]
pub struct Peer {
    manner: Mutex<Option<Manner>>,
    /// AS4 ids that it answers with a fault, whatever else it takes.
    pub poison: Mutex<BTreeSet<String>>,
    pub attempts: Mutex<BTreeMap<String, usize>>,
    pub pushes: Mutex<Vec<Duration>>,
    pub taken: Mutex<Vec<Taken>>,
    bodies: Mutex<BTreeMap<String, Sha256>>,
    running: AtomicUsize,
    pub most: AtomicUsize,
}

impl Peer {
    pub fn is(&self, manner: Manner) {
        *self.manner.lock().unwrap() = Some(manner);
    }

    pub fn taken(&self) -> usize {
        self.taken.lock().unwrap().len()
    }

    /// Forgets what it has seen so far, but for what it took.
    pub fn count_anew(&self) -> (usize, usize) {
        (std::mem::take(&mut *self.pushes.lock().unwrap()).len(), self.most.swap(0, Ordering::SeqCst))
    }
}

/// What DNS and SMPs do, and how often each was asked for somebody.
#[derive(Default)]
pub struct Registry {
    /// The host of each peer's SMP. Of others everything is known.
    pub smps: BTreeMap<String, String>,
    /// Hosts that do not answer; `dns` is DNS.
    pub down: BTreeSet<String>,
    pub asked: BTreeMap<String, usize>,
}

impl Registry {
    /// Whether an answer comes.
    fn ask(&mut self, host: &str) -> bool {
        *self.asked.entry(host.to_owned()).or_default() += 1;
        !self.down.contains(host)
    }
}

/// What is outside.
pub struct World {
    pub hands: Arc<Hands>,
    pub store: Arc<MemoryStore>,
    blobs: Arc<MemoryBlobs>,
    pub peers: BTreeMap<String, Arc<Peer>>,
    pub mails: Mutex<Vec<(Duration, String)>>,
    /// Whether the mail server is there; how often it was tried while it was not.
    pub mail_server: Mutex<Option<usize>>,
    pub registry: Mutex<Registry>,
    schedule: Schedule,
    accepted: AtomicUsize,
}

impl World {
    pub fn new(peers: &[&str], schedule: Schedule) -> Arc<Self> {
        let hands = Arc::new(Hands { start: Instant::now(), offset: AtomicI64::new(0), set: Mutex::default() });
        let store = Arc::new(MemoryStore::with_clock(Arc::clone(&hands) as _));
        let peers = peers.iter().map(|name| ((*name).to_owned(), Arc::<Peer>::default())).collect();
        Arc::new(Self {
            hands,
            store,
            blobs: Arc::default(),
            peers,
            mails: Mutex::default(),
            mail_server: Mutex::default(),
            registry: Mutex::default(),
            schedule,
            accepted: AtomicUsize::new(0),
        })
    }

    pub fn elapsed(&self) -> Duration {
        self.hands.start.elapsed()
    }

    pub fn peer(&self, name: &str) -> &Peer {
        &self.peers[name]
    }

    /// Starts the gateway on what is stored.
    pub fn start(self: &Arc<Self>) -> (Arc<Gateway>, Crew) {
        self.store.restart();
        self.hands.begin();
        let gateway = Arc::new(gateway(self));
        let crew = Crew::start(&gateway);
        (gateway, crew)
    }

    /// Every event so far.
    pub async fn events(&self) -> Vec<Event> {
        self.store.audit(0, usize::MAX).await.unwrap().into_iter().map(|(_, event)| event).collect()
    }

    pub async fn count(&self, name: EventName) -> usize {
        self.events().await.iter().filter(|event| event.name == name).count()
    }

    /// The AS4 ids of the messages of each conversation, in the order in which they were accepted.
    pub async fn conversations(&self) -> Vec<Vec<String>> {
        let events = self.events().await;
        let field = |event: &Event, field| event.fields.get(&field).cloned().unwrap_or_default();
        let sealed: BTreeMap<Option<RecordId>, String> =
            events.iter().filter(|event| event.name == EventName::Sealed).map(|event| (event.record, field(event, Field::As4MessageId))).collect();
        let mut conversations: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for event in events.iter().filter(|event| event.name == EventName::MailAccepted) {
            let id = sealed.get(&event.record).cloned().unwrap_or_default();
            conversations.entry(field(event, Field::ConversationId)).or_default().push(id);
        }
        conversations.into_values().collect()
    }

    /// Mails whose text holds this.
    pub fn mails_with(&self, text: &str) -> usize {
        self.mails.lock().unwrap().iter().filter(|(_, mail)| mail.contains(text)).count()
    }

    /// Hands in a mail to a peer: its Message-ID is its token, and it may answer another token's.
    pub async fn hand_in(&self, gateway: &Gateway, peer: &str, token: &str, answers: Option<&str>) {
        let mail = gateway.mail().unwrap();
        let n = self.accepted.fetch_add(1, Ordering::SeqCst);
        let references = answers.map(|answers| format!("In-Reply-To: <{answers}@own.example>\r\nReferences: <{answers}@own.example>\r\n"));
        let text = format!(
            "From: inkorg@own.example\r\nTo: f@{peer}.example.sdk.own.example\r\nMessage-ID: <{token}@own.example>\r\n{}Subject: {token}\r\nDate: Mon, 2 Mar 2026 08:00:00 +0000\r\n\r\nHej {n}\r\n",
            references.unwrap_or_default()
        );
        let record = Recipient {
            record: RecordId(Uuid::new_v4()),
            message_id: MessageId::new(Uuid::new_v4().to_string()).unwrap(),
            address: format!("f@{peer}.example.sdk.own.example").parse().unwrap(),
            participant: format!("0203:{peer}.example").parse().unwrap(),
            function: "f".parse().unwrap(),
            notify: Notify { success: false, failure: true, delay: true },
            orcpt: None,
        };
        let transaction = Transaction {
            id: Uuid::new_v4(),
            at: self.hands.now(),
            organisation: OWN.parse().unwrap(),
            function: "inkorg".parse().unwrap(),
            sender: "inkorg@own.example".parse().unwrap(),
            envid: None,
            recipients: vec![record],
            peer: "192.0.2.1".into(),
            account: None,
            originator: None,
            origin: None,
        };
        let mut writer = self.blobs.create(transaction.blob().unwrap(), None).await.unwrap();
        std::io::Write::write_all(&mut writer, text.as_bytes()).unwrap();
        let stored = writer.commit().await.unwrap();
        assert_eq!(mail.settle_mail(&transaction, stored.digest).await.unwrap(), Settled::Accepted, "{text}");
    }
}

fn unlimited() -> Quotas {
    Quotas { organisation: OWN.parse().unwrap(), waiting: 1_000_000, unopened: 1_000_000, stored: u64::MAX, mailboxes: Vec::new() }
}

fn gateway(world: &Arc<World>) -> Gateway {
    let keys = keys();
    let node = Arc::new(Node {
        name: "gw".parse().unwrap(),
        company: Company::Alone,
        store: Arc::clone(&world.store) as _,
        blobs: Arc::clone(&world.blobs) as _,
        directory: Arc::new(Register(Arc::clone(world))),
        trust: Arc::new(Register(Arc::clone(world))),
        clock: Arc::clone(&world.hands) as _,
        room: Room::of(256 << 20),
        limits: Limits::new(vec![unlimited()], &"gw".parse().unwrap()),
        settings: Settings {
            name: "gw.own.example".parse().unwrap(),
            domain: "sdk.own.example".parse().unwrap(),
            federation: "urn:fdc:digg.se:edelivery:federation:test".parse().unwrap(),
            schedule: world.schedule.clone(),
            retention: RETENTION,
            scratch: std::env::temp_dir(),
            transport_profiles: vec![TRANSPORT_PROFILE.to_owned()],
            expiry: Expiry { days: Vec::new(), watched: Vec::new() },
        },
        participants: vec![Participant { id: OWN.parse().unwrap(), schedule: world.schedule.clone(), retention: RETENTION }],
        lanes: Lanes::new(LaneOptions::of(&world.schedule)),
    });
    let own = keys.own_point.certificate.common_name().unwrap().parse::<brevbro::ident::AccessPointId>().unwrap();
    let access_point = AccessPointSide {
        node: Arc::clone(&node),
        transport: Arc::new(Wire(Arc::clone(world))),
        access_point: AccessPoint {
            name: own.clone(),
            identity: keys.own_point.clone(),
            others: Vec::new(),
            public_url: "https://own.example/as4".into(),
            pmode: PMode::sdk(own),
            limits: ReceiveLimits::default(),
            bringer: Bringer::Approved,
        },
        acquaintances: Acquaintances::default(),
    };
    let mailbox = Mailbox {
        address: "inkorg@own.example".parse().unwrap(),
        function: "inkorg".parse().unwrap(),
        label: None,
        senders: Vec::new(),
        deliver_to: "inkorg@own.example".parse().unwrap(),
        mode: Mode::Full,
        mail_server: None,
        policy: MailboxPolicy::default(),
        pace: Pace { messages: 1_000_000, window: Duration::from_hours(1), hold: Duration::from_hours(1) },
        always_tell: false,
    };
    let organisation = Organisation {
        participant: OWN.parse().unwrap(),
        name: "Organisationen".into(),
        signing: keys.own.clone(),
        decryption: vec![keys.own.clone()],
        mailboxes: vec![mailbox],
    };
    let mail = MailSide {
        node,
        sinks: Sinks::new(Arc::new(MailServer(Arc::clone(world)))),
        household: Household { organisations: vec![organisation] },
        malware: None,
        mail: MailSettings {
            operator: "drift@own.example".parse().unwrap(),
            postmaster: "postmaster@sdk.own.example".parse().unwrap(),
            refused_types: SignedDuration::from_hours(24),
            delivery: world.schedule.clone(),
            message: MessageLimits::RECEIVING,
            sending: MessageLimits::SENDING,
            reading: None,
        },
    };
    Gateway::new(Sides::Both(Arc::new(access_point), Arc::new(mail)))
}

/// AS4 to the peers.
struct Wire(Arc<World>);

impl Transport for Wire {
    fn push(&self, mut request: Request) -> Pending<'_, Result<Answer, TransportError>> {
        Box::pin(async move {
            let world = &self.0;
            let name = request.endpoint.strip_prefix("https://").and_then(|rest| rest.split('.').next()).unwrap().to_owned();
            let peer = Arc::clone(&world.peers[&name]);
            let mut body = Vec::new();
            request.body.read_to_end(&mut body).unwrap();
            peer.pushes.lock().unwrap().push(world.elapsed());
            let running = peer.running.fetch_add(1, Ordering::SeqCst) + 1;
            peer.most.fetch_max(running, Ordering::SeqCst);
            let manner = peer.manner.lock().unwrap().clone().unwrap_or(Manner::Takes(Duration::from_millis(50)));
            let answer = match manner {
                Manner::Takes(after) => {
                    sleep(after).await;
                    Ok(take(world, &peer, &request.content_type, &body))
                }
                Manner::Gone(after) => {
                    sleep(after).await;
                    Err(TransportError::Unreachable { endpoint: request.endpoint.clone(), reason: "nobody there".into() })
                }
                Manner::Busy(asked) => Ok(Answer { status: 503, content_type: "text/plain".into(), retry_after: Some(asked), body: Vec::new() }),
            };
            peer.running.fetch_sub(1, Ordering::SeqCst);
            answer
        })
    }
}

/// The peer opens the message and signs its receipt, as every access point does.
fn take(world: &World, peer: &Peer, content_type: &str, body: &[u8]) -> Answer {
    let known = |_: &KeyReference| -> Option<Certificate> { Some(keys().own_point.certificate.clone()) };
    let (own, options) = ([keys().peer_point.clone()], Options::default());
    let with = Context { keys: &own, known: &known, options: &options, at: Timestamp::now() };
    let mut envelope = Vec::new();
    let received = receive::open(content_type, &mut &body[..], &with, Cursor::new(Vec::new()), &mut envelope).unwrap();
    let id = received.header.message_id.clone();
    *peer.attempts.lock().unwrap().entry(id.to_string()).or_default() += 1;
    let digest = sha256(body);
    assert_eq!(*peer.bodies.lock().unwrap().entry(id.to_string()).or_insert(digest), digest, "the same id is the same octets");
    if peer.poison.lock().unwrap().contains(id.as_str()) {
        return Answer { status: 500, content_type: "text/html".into(), retry_after: None, body: b"<html/>".to_vec() };
    }
    peer.taken.lock().unwrap().push(Taken { at: world.elapsed(), id });
    let signal = As4MessageId::new(format!("{}@peer.example", Uuid::new_v4())).unwrap();
    let answer = receipt::write(&received, &signal, Timestamp::now(), &keys().peer_point).unwrap();
    Answer { status: 200, content_type: "application/soap+xml".into(), retry_after: None, body: answer }
}

/// DNS, SMP and the CAs.
struct Register(Arc<World>);

/// The name of a peer among participants.
fn name_of(participant: &ParticipantId) -> &str {
    participant.as_str().strip_prefix("0203:").and_then(|domain| domain.split('.').next()).unwrap()
}

impl Register {
    /// Asks a host: what does not answer takes its time.
    async fn ask(&self, host: &str) -> Result<(), DirectoryError> {
        let answers = self.0.registry.lock().unwrap().ask(host);
        sleep(if answers { Duration::from_millis(20) } else { Duration::from_secs(10) }).await;
        if answers { Ok(()) } else { Err(DirectoryError::Unavailable { service: host.to_owned(), reason: "no answer".into() }) }
    }
}

impl Directory for Register {
    fn kinds<'a>(&'a self, _: &'a ParticipantId) -> Pending<'a, Result<Vec<DocumentKind>, DirectoryError>> {
        Box::pin(async { Ok(DocumentKind::ALL.to_vec()) })
    }

    fn knows(&self, participant: &ParticipantId, _: DocumentKind) -> bool {
        !self.0.registry.lock().unwrap().smps.contains_key(name_of(participant))
    }

    fn asks<'a>(&'a self, participant: &'a ParticipantId) -> Pending<'a, Result<Option<String>, DirectoryError>> {
        Box::pin(async move {
            self.ask("dns").await?;
            let registry = self.0.registry.lock().unwrap();
            Ok(registry.smps.get(name_of(participant)).map(|host| format!("http://{host}/")))
        })
    }

    fn metadata<'a>(&'a self, of: &'a ParticipantId, kind: DocumentKind, _: Freshness) -> Pending<'a, Result<Metadata, DirectoryError>> {
        Box::pin(async move {
            let smp = self.0.registry.lock().unwrap().smps.get(name_of(of)).cloned();
            if let Some(smp) = smp {
                self.ask(&smp).await?;
            }
            let name = of.as_str().strip_prefix("0203:").unwrap();
            Ok(Metadata {
                participant: of.clone(),
                kind,
                endpoint: format!("https://{name}/as4"),
                access_point: keys().peer_point.certificate.clone(),
                transport_profile: TRANSPORT_PROFILE.into(),
                activation: None,
                expiration: None,
                signing: vec![keys().peer.certificate.clone()],
                encryption: vec![keys().peer.certificate.clone()],
                signer: keys().peer_point.certificate.clone(),
                stale: None,
            })
        })
    }
}

impl Trust for Register {
    fn judge<'a>(&'a self, _: Realm, _: &'a Certificate, _: &'a [Certificate]) -> Pending<'a, Result<(), TrustError>> {
        Box::pin(async { Ok(()) })
    }
}

/// The mail server.
struct MailServer(Arc<World>);

impl MailSink for MailServer {
    fn deliver(&self, delivery: Delivery) -> Pending<'_, Result<SinkAnswer, SinkError>> {
        Box::pin(async move {
            sleep(Duration::from_millis(20)).await;
            if let Some(tried) = &mut *self.0.mail_server.lock().unwrap() {
                *tried += 1;
                return Err(SinkError::Temporary("mail.own.example:25: connect: refused".into()));
            }
            let text = String::from_utf8_lossy(&delivery.message).into_owned();
            self.0.mails.lock().unwrap().push((self.0.elapsed(), text));
            Ok(SinkAnswer { text: "250 ok".into() })
        })
    }
}
