//! A test access point: it takes what is sent to the test participants, answers each message with a message receipt, and
//! sends the acceptance cases.
//!
//! It keeps what it took, so that the other side can be judged field by field. It is a tool for trying others: it holds
//! whole messages in memory and nothing on disk.

use std::collections::{HashMap, HashSet};
use std::io::{Cursor, Read};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::case::{case, package};
use super::cast::{Actor, Cast, Role};
use super::{Authority, Case, CaseRequest, Recipient, Testbed, TestbedError};
use crate::as4::pmode::{PMode, Verdict};
use crate::as4::receive::{Context, Options};
use crate::as4::{self, Received, Sent, UserMessage};
use crate::crypto::Certificate;
use crate::edge::as4_client::As4Client;
use crate::edge::as4_server::{As4Reception, As4Server, As4ServerOptions, As4Tls};
use crate::edge::http::HttpOptions;
use crate::edge::reach::Reach;
use crate::edge::serving::{Peer, Stopper, stop};
use crate::edge::tls::{ClientAuth, Roots, TlsIdentity, client_config, server_config};
use crate::ident::{As4MessageId, DocumentKind, FederationId, FunctionId, MessageId, ParticipantId};
use crate::port::{Answer, Pending, Request, Transport};
use crate::sdk::envelope::Header;
use crate::sdk::message::{self, MessageLimits};
use crate::sdk::receipt::{self, Outcome, Receipt};
use crate::sdk::seal;

/// Octets of a request that are held.
const REQUEST: u64 = 300_000_000;

/// How a test access point is run.
#[derive(Clone)]
pub struct PointOptions {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The federation of its envelopes.
    pub federation: FederationId,
    /// Hears what happens.
    pub heard: Arc<dyn Fn(&Heard) + Send + Sync>,
}

/// Something that happened at a test access point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A message or a message receipt came.
    Took(Box<Taken>),
    /// It was answered with a message receipt ACCEPTED, or not, and why not.
    Receipted {
        /// The message.
        message: MessageId,
        /// What the other access point said to the receipt.
        answer: Result<(), String>,
    },
    /// A request came that is no AS4 message for a test participant.
    Refused(String),
}

/// What a test access point took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// When.
    pub at: Timestamp,
    /// The AS4 message: its header as it stands there, its signature, its parts.
    pub received: Received,
    /// The HTTP Content-Type.
    pub content_type: String,
    /// The SOAP part, as it came.
    pub soap: Vec<u8>,
    /// What each rule of the P-Mode says of it.
    pub verdicts: Vec<Verdict>,
    /// The envelope.
    pub envelope: Vec<u8>,
    /// What the envelope says.
    pub header: Result<Header, String>,
    /// The message receipt inside, if it is one.
    pub receipt: Option<Receipt>,
    /// Which attempt of the same message this was.
    pub attempt: usize,
    /// What it was answered with.
    pub signal: Vec<u8>,
}

/// What an access point answered to a request of a case.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The request's `eb:MessageId`.
    pub as4_id: As4MessageId,
    /// The envelope's id.
    pub envelope_id: MessageId,
    /// Octets of the envelope.
    pub envelope_octets: usize,
    /// The signal, octet by octet.
    pub body: Vec<u8>,
    /// What it says.
    pub answer: as4::Answer,
}

/// Sends acceptance cases: the keys of the test participants, without an endpoint.
#[derive(Clone)]
pub struct Sender {
    testbed: Testbed,
    cast: Cast,
    federation: FederationId,
    client: As4Client,
}

impl Sender {
    /// Takes the test participants' keys, or makes them. Blocking.
    ///
    /// # Errors
    /// [`TestbedError`].
    pub fn new(testbed: &Testbed, federation: FederationId) -> Result<Self, TestbedError> {
        let tls = tls_of(testbed)?;
        let roots = testbed.trusted(Authority::Tls)?;
        let tls = client_config(Roots::Only(&roots), Some(&tls)).map_err(case)?;
        let http = HttpOptions { tls: Some(tls), reach: Reach::with_loopback(), exchange_timeout: Duration::from_mins(10), ..HttpOptions::default() };
        Ok(Self { testbed: testbed.clone(), cast: Cast::open(testbed)?, federation, client: As4Client::new(http) })
    }

    /// What the SMP says of a participant: where the requests of a case go.
    ///
    /// # Errors
    /// [`TestbedError::Case`] when it is not registered.
    pub fn recipient(&self, participant: &ParticipantId, function: FunctionId) -> Result<Recipient, TestbedError> {
        let registration = self.testbed.registration_of(participant)?;
        Recipient::of(&registration.ok_or_else(|| case(format!("{participant} is not registered")))?, function)
    }

    /// Sends a case; its requests go out at once where the case says so, otherwise one after another.
    ///
    /// # Errors
    /// [`TestbedError`] when it cannot be made, or the other access point gives no answer.
    pub async fn send(&self, which: Case, to: &Recipient) -> Result<Vec<Answered>, TestbedError> {
        let (actor, federation, recipient) = (self.cast.actor(which.role())?.clone(), self.federation.clone(), to.clone());
        let requests = tokio::task::spawn_blocking(move || which.requests(&actor, &recipient, &federation)).await.map_err(case)??;
        let mut answered = Vec::new();
        if which == Case::Many {
            let pushes = requests.into_iter().map(|request| {
                let (sender, to) = (self.clone(), to.clone());
                tokio::spawn(async move { sender.send_one(request, &to).await })
            });
            // All are under way before the first is waited for.
            let pushes: Vec<_> = pushes.collect();
            for push in pushes {
                answered.push(push.await.map_err(case)??);
            }
        } else {
            for request in requests {
                answered.push(self.send_one(request, to).await?);
            }
        }
        Ok(answered)
    }

    async fn send_one(&self, request: CaseRequest, to: &Recipient) -> Result<Answered, TestbedError> {
        let CaseRequest { message, envelope_id, envelope_octets, sent, body } = request;
        let (body, answer) = self.push(&to.endpoint, body, &sent, &to.access_point).await?;
        Ok(Answered { as4_id: message.message_id, envelope_id, envelope_octets, body, answer })
    }

    async fn push(&self, endpoint: &str, body: Vec<u8>, sent: &Sent, access_point: &Certificate) -> Result<(Vec<u8>, as4::Answer), TestbedError> {
        let request = Request {
            endpoint: endpoint.to_owned(),
            content_type: sent.content_type.clone(),
            length: body.len() as u64,
            body: Box::new(Cursor::new(body)),
        };
        let Answer { status, content_type, body, .. } = self.client.push(request).await.map_err(case)?;
        let answer = as4::answer::read(status, &content_type, &body, sent, access_point);
        Ok((body, answer))
    }
}

fn tls_of(testbed: &Testbed) -> Result<TlsIdentity, TestbedError> {
    let issued = testbed.issue_tls(&["localhost", "127.0.0.1"])?;
    TlsIdentity::from_pem(issued.identity.to_pem()?.as_bytes()).map_err(case)
}

/// A running test access point.
pub struct Point {
    /// Its URL.
    pub endpoint: String,
    /// Sends from it.
    pub sender: Sender,
    inner: Arc<Inner>,
    stopper: Stopper,
    server: JoinHandle<()>,
}

struct Inner {
    sender: Sender,
    heard: Arc<dyn Fn(&Heard) + Send + Sync>,
    taken: Mutex<Vec<Taken>>,
    /// The signal of each message that came, by its id: what comes again gets it again.
    signals: Mutex<HashMap<As4MessageId, Vec<u8>>>,
    /// The messages that have their message receipt, or soon will.
    receipted: Mutex<HashSet<As4MessageId>>,
    /// How many answers to a participant's messages are to get lost.
    lose: Mutex<HashMap<ParticipantId, usize>>,
}

impl Point {
    /// Registers the test participants and listens.
    ///
    /// # Errors
    /// [`TestbedError`].
    pub async fn start(testbed: Testbed, options: PointOptions) -> Result<Self, TestbedError> {
        let PointOptions { listen, federation, heard } = options;
        let opening = testbed.clone();
        let opened = tokio::task::spawn_blocking(move || Ok::<_, TestbedError>((tls_of(&opening)?, Sender::new(&opening, federation)?)));
        let (tls, sender) = opened.await.map_err(case)??;
        let tls = server_config(&tls, ClientAuth::None).map_err(case)?;
        let server = As4ServerOptions { max_body: REQUEST, ..As4ServerOptions::new(listen, As4Tls::Tls(tls)) };
        let server = As4Server::bind(server).await.map_err(case)?;
        let endpoint = format!("https://127.0.0.1:{}/as4", server.address().port());
        sender.cast.register(&testbed, &endpoint)?;
        let inner = Inner {
            sender: sender.clone(),
            heard,
            taken: Mutex::default(),
            signals: Mutex::default(),
            receipted: Mutex::default(),
            lose: Mutex::default(),
        };
        let inner = Arc::new(inner);
        let (stopper, stopped) = stop();
        let server = tokio::spawn(server.run(Arc::new(Reception(Arc::clone(&inner))), stopped));
        Ok(Self { endpoint, sender, inner, stopper, server })
    }

    /// Everything that it took.
    #[must_use]
    pub fn taken(&self) -> Vec<Taken> {
        self.inner.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Loses the next answers to what a participant sends: the messages are taken, and answered with status 502. Message
    /// receipts wait until an answer got through.
    pub fn lose(&self, sender: &ParticipantId, answers: usize) {
        self.inner.lose.lock().unwrap_or_else(PoisonError::into_inner).insert(sender.clone(), answers);
    }

    /// One of the test participants.
    ///
    /// # Errors
    /// [`TestbedError::Broken`], which does not happen.
    pub fn actor(&self, role: Role) -> Result<&Actor, TestbedError> {
        self.sender.cast.actor(role)
    }

    /// Stops.
    pub async fn stop(self) {
        self.stopper.stop();
        let _ = self.server.await;
    }
}

impl Inner {
    fn hear(&self, heard: &Heard) {
        (self.heard)(heard);
    }

    /// Takes one request; blocking. The answer, and the message that is to be answered with a message receipt.
    fn take(&self, content_type: &str, body: &mut dyn Read) -> Result<(Answer, Option<Taken>), String> {
        let mut octets = Vec::new();
        body.take(REQUEST).read_to_end(&mut octets).map_err(|error| error.to_string())?;
        let (keys, options, at) = (self.sender.cast.points(), Options::default(), Timestamp::now());
        let context = Context { keys: &keys, known: &|_| None, options: &options, at };
        let mut envelope = Vec::new();
        let received = as4::receive::open(content_type, &mut octets.as_slice(), &context, Cursor::new(Vec::new()), &mut envelope)
            .map_err(|refusal| refusal.cause)?;
        let id = received.header.message_id.clone();
        let answering = self.sender.cast.actor(Role::Answering).map_err(|error| error.to_string())?;
        let recorded = self.signals.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        let signal = if let Some(signal) = recorded {
            signal
        } else {
            let signal_id = As4MessageId::new(format!("{}@testap.example", Uuid::new_v4())).map_err(|error| error.to_string())?;
            as4::receipt::write(&received, &signal_id, at, &answering.point).map_err(|error| error.to_string())?
        };
        self.signals.lock().unwrap_or_else(PoisonError::into_inner).entry(id.clone()).or_insert_with(|| signal.clone());
        let verified = seal::verify(&envelope);
        let header = verified.as_ref().map(|verified| verified.header.clone()).map_err(ToString::to_string);
        let receipt = verified.ok().filter(|verified| verified.header.kind == DocumentKind::Receipt).and_then(|verified| {
            let payload = verified.payload(&[]).ok()?;
            receipt::read(&payload).ok()
        });
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = 1 + taken.iter().filter(|other| other.received.header.message_id == id).count();
        let verdicts = as4::pmode::verdicts(&received, &PMode::sdk(answering.name.clone()));
        let soap = soap_of(&octets).to_vec();
        let new =
            Taken { at, received, content_type: content_type.to_owned(), soap, verdicts, envelope, header, receipt, attempt, signal: signal.clone() };
        taken.push(new.clone());
        drop(taken);
        self.hear(&Heard::Took(Box::new(new.clone())));
        let lost = self.is_lost(&new);
        let answer = if lost {
            Answer { status: 502, content_type: "text/plain".into(), body: b"the answer is lost\n".to_vec(), retry_after: None }
        } else {
            Answer { status: 200, content_type: as4::error::CONTENT_TYPE.into(), body: signal, retry_after: None }
        };
        let message = !lost
            && new.header.as_ref().is_ok_and(|header| header.kind == DocumentKind::Message)
            && self.receipted.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        Ok((answer, message.then_some(new)))
    }

    fn is_lost(&self, taken: &Taken) -> bool {
        let Ok(header) = &taken.header else { return false };
        let mut lose = self.lose.lock().unwrap_or_else(PoisonError::into_inner);
        let left = lose.get_mut(&header.from).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    }

    /// Answers a message with a message receipt ACCEPTED.
    async fn answer(self: Arc<Self>, taken: Taken) {
        let Ok(header) = taken.header else { return };
        let message = header.id.clone();
        let answer = self.receipted(&header, &taken.envelope).await.map_err(|error| error.to_string());
        self.hear(&Heard::Receipted { message, answer });
    }

    async fn receipted(&self, header: &Header, envelope: &[u8]) -> Result<(), TestbedError> {
        let actor = self.sender.cast.actor(Role::Answering)?.clone();
        let registration = self.sender.testbed.registration_of(&header.from)?.ok_or_else(|| case(format!("{} is not registered", header.from)))?;
        let (header, envelope, to) = (header.clone(), envelope.to_vec(), registration.access_point.clone());
        let made = tokio::task::spawn_blocking(move || receipt_for(&header, &envelope, &actor, &to)).await.map_err(case)??;
        let (_, answer) = self.sender.push(&registration.endpoint, made.0, &made.1, &registration.access_point).await?;
        match answer {
            as4::Answer::Receipt(_) => Ok(()),
            other => Err(case(format!("the message receipt was answered with {other:?}"))),
        }
    }
}

/// Reads the message, for which it must be decrypted, and makes the request with its receipt.
fn receipt_for(header: &Header, envelope: &[u8], actor: &Actor, to: &Certificate) -> Result<(Vec<u8>, Sent), TestbedError> {
    let payload = seal::verify(envelope).and_then(|verified| verified.payload(std::slice::from_ref(&actor.own))).map_err(case)?;
    let content = message::read(&payload, &MessageLimits::RECEIVING)
        .map_err(|breaches| case(breaches.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
    if content.message_id != header.id {
        return Err(case("the messageId is not the envelope's id"));
    }
    let (now, id) = (Timestamp::now(), MessageId::new(Uuid::new_v4().to_string()).map_err(case)?);
    let receipt = Receipt {
        id: Uuid::new_v4().to_string(),
        issued: now,
        sender: header.to.clone(),
        receiver: header.from.clone(),
        refers_to: header.id.clone(),
        outcome: Outcome::Accepted,
    };
    let xml = receipt::write(&receipt).map_err(|_| case("the message receipt breaks its rules"))?;
    let answer = Header {
        id: id.clone(),
        created: now,
        kind: DocumentKind::Receipt,
        federation: header.federation.clone(),
        from: header.to.clone(),
        to: header.from.clone(),
        service: header.service.clone(),
        encrypted: false,
    };
    let envelope = seal::seal(&answer, &xml, None, &actor.own).map_err(case)?;
    let message = UserMessage {
        message_id: As4MessageId::new(format!("{}@testap.example", Uuid::new_v4())).map_err(case)?,
        timestamp: now,
        ref_to: None,
        from: actor.name.clone(),
        to: as4::pmode::access_point_of(to).ok_or_else(|| case("the access point has no name"))?,
        conversation_id: id.to_string(),
        kind: DocumentKind::Receipt,
        original_sender: header.to.clone(),
        final_recipient: header.from.clone(),
    };
    package(&message, &envelope, actor, to)
}

/// The root part: from its first markup to the end of its envelope, whatever stands around it.
fn soap_of(body: &[u8]) -> &[u8] {
    let start = memchr::memmem::find(body, b"\r\n\r\n").map_or(0, |at| at + 4);
    let rest = body.get(start..).unwrap_or_default();
    let end = memchr::memmem::find(rest, b"\r\n--").unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

struct Reception(Arc<Inner>);

impl As4Reception for Reception {
    fn receive(&self, content_type: String, _: Peer, mut body: Box<dyn Read + Send>) -> Pending<'_, Answer> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let taking = Arc::clone(&inner);
            let taken = tokio::task::spawn_blocking(move || taking.take(&content_type, &mut body)).await;
            match taken {
                Ok(Ok((answer, None))) => answer,
                Ok(Ok((answer, Some(message)))) => {
                    drop(tokio::spawn(inner.answer(message)));
                    answer
                }
                Ok(Err(why)) => {
                    let body = format!("{why}\n").into_bytes();
                    inner.hear(&Heard::Refused(why));
                    Answer { status: 500, content_type: "text/plain; charset=UTF-8".into(), body, retry_after: None }
                }
                Err(_) => Answer { status: 500, content_type: "text/plain".into(), body: Vec::new(), retry_after: None },
            }
        })
    }
}
