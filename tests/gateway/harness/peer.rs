//! The other side: a participant behind an access point that does what the test says, by hand.

use std::io::{Cursor, Read};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use brevbro::as4::receive::{Context, Options};
use brevbro::as4::{self, Answer as Read_, EbmsError, PMode, Sent, UserMessage};
use brevbro::content::{Content, Document, Party};
use brevbro::crypto::{Certificate, Identity, SignatureAlgorithm, sha256};
use brevbro::edge::as4_client::As4Client;
use brevbro::edge::as4_server::{As4Reception, As4Server, As4ServerOptions, As4Tls};
use brevbro::edge::http::HttpOptions;
use brevbro::edge::reach::Reach;
use brevbro::edge::serving::{Peer as From, Stopper, stop};
use brevbro::edge::tls::{ClientAuth, Roots, TlsIdentity, client_config, server_config};
use brevbro::ident::{As4MessageId, ConversationId, DocumentKind, MessageId, ParticipantId};
use brevbro::port::{Answer, Pending, Request, Transport};
use brevbro::sdk::envelope::Header;
use brevbro::sdk::receipt::{Outcome, Receipt};
use brevbro::sdk::{message, receipt, seal};
use brevbro::testbed::Authority;
use brevbro::xml::{Canonicalization, Document as Xml, Limits};
use jiff::Timestamp;
use uuid::Uuid;

use super::{Gateway, PATIENCE, Shared, World, wait_for, world};

/// How its access point answers.
#[derive(Debug, Clone, Default)]
pub(crate) enum Mood {
    /// With a receipt.
    #[default]
    Good,
    /// Status 503.
    Down,
    /// With an error.
    Refusing(EbmsError),
    /// With a receipt that somebody else signed.
    Forged,
    /// It takes the message, and its receipt gets lost.
    Mute,
}

/// An envelope that its access point took.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) message: UserMessage,
    pub(crate) envelope: Vec<u8>,
}

/// The participant.
pub(crate) struct Peer {
    /// Its organisation's domain.
    pub(crate) name: String,
    pub(crate) participant: ParticipantId,
    pub(crate) endpoint: String,
    world: &'static World,
    taken: Shared<Vec<Taken>>,
    mood: Shared<Mood>,
    points: Shared<Vec<Identity>>,
    client: As4Client,
    _stopper: Stopper,
}

impl Peer {
    /// Starts its access point and registers it, in the shared federation.
    pub(crate) async fn start(name: &str) -> Self {
        Self::start_in(world().await, name).await
    }

    /// Starts its access point and registers it, in a federation of the test's own.
    pub(crate) async fn start_in(world: &'static World, name: &str) -> Self {
        let tls = TlsIdentity::from_pem(&std::fs::read(&world.tls.pem).unwrap()).unwrap();
        let options = As4ServerOptions::new(SocketAddr::from(([127, 0, 0, 1], 0)), As4Tls::Tls(server_config(&tls, ClientAuth::None).unwrap()));
        let server = As4Server::bind(options).await.unwrap();
        let (stopper, stopped) = stop();
        let (taken, mood) = (Arc::new(Mutex::default()), Arc::new(Mutex::default()));
        let port = server.address().port();
        let (points, forger) = (Arc::new(Mutex::new(vec![world.peer_point.identity.clone()])), world.own_point.identity.clone());
        let reception = Endpoint { points: Arc::clone(&points), forger, taken: Arc::clone(&taken), mood: Arc::clone(&mood) };
        tokio::spawn(server.run(Arc::new(reception), stopped));
        let (peer, endpoint) = (format!("{name}.se"), format!("https://127.0.0.1:{port}/as4"));
        let participant = format!("0203:{peer}");
        world.register(&participant, &endpoint, &world.peer_point, &world.peer);
        let roots = world.testbed.trusted(Authority::Tls).unwrap();
        let tls = client_config(Roots::Only(&roots), Some(&tls)).unwrap();
        let client =
            As4Client::new(HttpOptions { tls: Some(tls), exchange_timeout: PATIENCE, reach: Reach::with_loopback(), ..HttpOptions::default() });
        Self { name: peer, endpoint, participant: participant.parse().unwrap(), world, taken, mood, points, client, _stopper: stopper }
    }

    /// How its access point answers from now on.
    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// The keys that its access point has from now on: all decrypt, the first one signs.
    pub(crate) fn has_keys(&self, keys: &[&Identity]) {
        *self.points.lock().unwrap() = keys.iter().map(|key| (*key).clone()).collect();
    }

    /// Everything that its access point took.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    /// Waits for an envelope of a kind that has that many before it.
    async fn envelope(&self, kind: DocumentKind, number: usize) -> Taken {
        // Envelopes may be large: only the one is copied.
        let find = || self.taken.lock().unwrap().iter().filter(|taken| taken.message.kind == kind).nth(number).cloned();
        wait_for("an envelope at the other side", || async { find() }).await
    }

    /// Waits for the payload of a message of the gateway's, decrypted.
    pub(crate) async fn payload(&self, number: usize) -> Vec<u8> {
        self.opened(&self.envelope(DocumentKind::Message, number).await)
    }

    /// Waits for a message of the gateway's.
    pub(crate) async fn message(&self, number: usize) -> Content {
        message::read(&self.payload(number).await, &message::MessageLimits::RECEIVING).unwrap()
    }

    /// Waits for a receipt of the gateway's: whose message it is for, and its codes.
    pub(crate) async fn receipt(&self, number: usize) -> Receipt {
        receipt::read(&self.opened(&self.envelope(DocumentKind::Receipt, number).await)).unwrap()
    }

    /// How many receipts came.
    pub(crate) fn receipts(&self) -> usize {
        self.taken.lock().unwrap().iter().filter(|taken| taken.message.kind == DocumentKind::Receipt).count()
    }

    fn opened(&self, taken: &Taken) -> Vec<u8> {
        let keys = [self.world.peer.identity.clone()];
        seal::verify(&taken.envelope).unwrap().payload(&keys).unwrap().to_vec()
    }

    /// A sound message to a gateway, to be spoiled.
    pub(crate) fn draft(&self, gateway: &Gateway) -> Draft {
        self.draft_to(&gateway.participant)
    }

    /// A sound message to a participant whose access point is of our own.
    pub(crate) fn draft_to(&self, participant: &ParticipantId) -> Draft {
        let id = Uuid::new_v4().to_string();
        let (now, message_id) = (Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap(), MessageId::new(id.as_str()).unwrap());
        let party = |of: &ParticipantId, function: &str| Party {
            participant: of.clone(),
            label: Some("Organisation".to_owned().into()),
            function: Some(function.parse().unwrap()),
            function_label: Some("Funktion".to_owned().into()),
            persons: Vec::new(),
            references: Vec::new(),
        };
        let text = vec!["Hej".to_owned().into()];
        let content = Content {
            created: now,
            message_id: message_id.clone(),
            conversation_id: ConversationId::new(id.as_str()).unwrap(),
            in_reply_to: None,
            label: Some("Prov".to_owned().into()),
            confidential: true,
            generating_system: None,
            recipient: party(participant, "inkorg"),
            sender: party(&self.participant, "avdelningen"),
            documents: vec![Document { id: "1".into(), name: None, index: None, files: Vec::new(), texts: text }],
            foreign: Vec::new(),
        };
        let header = Header {
            id: message_id,
            created: now,
            kind: DocumentKind::Message,
            federation: "urn:fdc:digg.se:edelivery:federation:test".parse().unwrap(),
            from: self.participant.clone(),
            to: participant.clone(),
            service: Some("inkorg".parse().unwrap()),
            encrypted: true,
        };
        Draft {
            payload: message::write(&content).unwrap(),
            message: self.user_message(participant, DocumentKind::Message, &id),
            header,
            content,
            signer: self.world.peer.identity.clone(),
            sealed_for: self.world.own.identity.certificate.clone(),
            point: self.world.peer_point.identity.clone(),
            packed_for: self.world.own_point.identity.certificate.clone(),
        }
    }

    /// A sound receipt for a message of a gateway's.
    pub(crate) fn receipt_draft(&self, gateway: &Gateway, refers_to: &MessageId, outcome: Outcome) -> Draft {
        let draft = self.draft(gateway);
        let receipt = Receipt {
            id: Uuid::new_v4().to_string(),
            issued: draft.content.created,
            sender: self.participant.clone(),
            receiver: gateway.participant.clone(),
            refers_to: refers_to.clone(),
            outcome,
        };
        let header = Header { kind: DocumentKind::Receipt, encrypted: false, ..draft.header };
        let message = UserMessage { kind: DocumentKind::Receipt, ..draft.message };
        Draft { payload: receipt::write(&receipt).unwrap(), header, message, ..draft }
    }

    fn user_message(&self, to: &ParticipantId, kind: DocumentKind, conversation: &str) -> UserMessage {
        UserMessage {
            message_id: As4MessageId::new(format!("{}@ap.{}", Uuid::new_v4(), self.name)).unwrap(),
            timestamp: Timestamp::now(),
            ref_to: None,
            from: "AP0002-TESTBED".parse().unwrap(),
            to: "AP0001-TESTBED".parse().unwrap(),
            conversation_id: conversation.to_owned(),
            kind,
            original_sender: self.participant.clone(),
            final_recipient: to.clone(),
        }
    }

    /// Answers the gateway's message with a message receipt.
    pub(crate) async fn answer(&self, gateway: &Gateway, message: &Content, outcome: Outcome) {
        self.send(gateway, &self.receipt_draft(gateway, &message.message_id, outcome)).await.acknowledged();
    }

    /// Pushes a body as it is.
    pub(crate) async fn push(&self, gateway: &Gateway, package: &Package) -> Reply {
        self.push_to(&gateway.endpoint, package).await
    }

    /// Pushes a body as it is to an endpoint of our own access point.
    pub(crate) async fn push_to(&self, endpoint: &str, package: &Package) -> Reply {
        let request = Request {
            endpoint: endpoint.to_owned(),
            content_type: package.sent.content_type.clone(),
            length: package.body.len() as u64,
            body: Box::new(Cursor::new(package.body.clone())),
        };
        let Answer { status, content_type, retry_after, body } = self.client.push(request).await.unwrap();
        let answer = as4::answer::read(status, &content_type, &body, &package.sent, &self.world.own_point.identity.certificate);
        Reply { status, retry_after, body, answer }
    }

    /// Whether a draft gets there: no connection may come about, or it may break.
    #[allow(dead_code, reason = "of the sieges only")]
    pub(crate) async fn reaches(&self, gateway: &Gateway, draft: &Draft) -> bool {
        let Package { body, sent } = draft.package();
        let request = Request {
            endpoint: gateway.endpoint.clone(),
            content_type: sent.content_type.clone(),
            length: body.len() as u64,
            body: Box::new(Cursor::new(body)),
        };
        let Ok(answer) = self.client.push(request).await else { return false };
        let own = &self.world.own_point.identity.certificate;
        matches!(as4::answer::read(answer.status, &answer.content_type, &answer.body, &sent, own), Read_::Receipt(_))
    }

    /// Seals, packs and pushes a draft.
    pub(crate) async fn send(&self, gateway: &Gateway, draft: &Draft) -> Reply {
        self.push(gateway, &draft.package()).await
    }
}

/// What the gateway's endpoint answered.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<std::time::Duration>,
    pub(crate) body: Vec<u8>,
    answer: Read_,
}

impl Reply {
    /// It is a receipt that proves delivery.
    pub(crate) fn acknowledged(&self) {
        assert!(matches!(self.answer, Read_::Receipt(_)), "{:?}", self.answer);
    }

    /// Whether it is one.
    pub(crate) fn is_acknowledged(&self) -> bool {
        matches!(self.answer, Read_::Receipt(_))
    }

    /// It is an error, or the request to try again later.
    pub(crate) fn not_taken(&self) {
        assert!(matches!(&self.answer, Read_::Errors(_)) || self.body == b"try again later\n", "{:?}", self.answer);
    }

    /// It is one error of this code.
    pub(crate) fn refused(&self, code: &str) -> EbmsError {
        let Read_::Errors(errors) = &self.answer else { panic!("{:?}", self.answer) };
        let [error] = errors.as_slice() else { panic!("{errors:?}") };
        assert_eq!(error.code.as_ref(), code, "{error:?}");
        error.clone()
    }
}

/// A message on its way through seal and package, every part of it open to change.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) content: Content,
    /// The XML in the envelope; [`Self::rewrite`] makes it from `content`.
    pub(crate) payload: Vec<u8>,
    pub(crate) header: Header,
    pub(crate) message: UserMessage,
    pub(crate) signer: Identity,
    pub(crate) sealed_for: Certificate,
    pub(crate) point: Identity,
    pub(crate) packed_for: Certificate,
}

impl Draft {
    pub(crate) fn rewrite(&mut self) {
        self.payload = message::write(&self.content).unwrap();
    }

    /// Changes the payload's text; the change must change something.
    pub(crate) fn edit(&mut self, from: &str, to: &str) {
        let text = String::from_utf8(std::mem::take(&mut self.payload)).unwrap();
        assert!(text.contains(from), "{from} is not in the payload");
        self.payload = text.replace(from, to).into_bytes();
    }

    pub(crate) fn envelope(&self) -> Vec<u8> {
        let recipient = (self.header.kind == DocumentKind::Message).then_some(&self.sealed_for);
        seal::seal(&self.header, &self.payload, recipient, &self.signer).unwrap()
    }

    pub(crate) fn package(&self) -> Package {
        self.package_of(&mut self.envelope().as_slice())
    }

    /// Another envelope in the same package.
    pub(crate) fn package_of(&self, envelope: &mut dyn Read) -> Package {
        let mut body = Vec::new();
        let boundary = format!("peer-{}", Uuid::new_v4().simple());
        let scratch = Cursor::new(Vec::new());
        let sent = as4::send::package(&self.message, envelope, &self.point, &self.packed_for, scratch, &mut body, &boundary).unwrap();
        Package { body, sent }
    }
}

/// An AS4 request.
#[derive(Clone)]
pub(crate) struct Package {
    pub(crate) body: Vec<u8>,
    pub(crate) sent: Sent,
}

impl Package {
    /// Changes its SOAP part.
    pub(crate) fn edit(&mut self, from: &str, to: &str) {
        let at = self.body.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        self.body.splice(at..at + from.len(), to.bytes());
    }

    /// Changes the signed header and signs it anew, as an access point would that writes other headers than ours.
    pub(crate) fn resign(&mut self, edits: &[(&str, &str)], signer: &Identity) {
        use base64::prelude::*;
        let end = self.body.windows(15).position(|window| window == b"</S12:Envelope>").unwrap() + 15;
        let start = self.body.windows(5).position(|window| window == b"<?xml").unwrap();
        let mut soap = String::from_utf8(self.body[start..end].to_vec()).unwrap();
        for (from, to) in edits {
            assert!(soap.contains(from), "{from}");
            soap = soap.replace(from, to);
        }
        let canonical = |soap: &str, name: &str| {
            let document = Xml::parse(soap.as_bytes(), &Limits::of(1 << 20)).unwrap();
            let element = document.elements().find(|element| element.local() == name).unwrap();
            let (form, comments) = Canonicalization::from_uri("http://www.w3.org/2001/10/xml-exc-c14n#").unwrap();
            let id = element.attributes().iter().find(|a| a.local == "Id").map(|a| a.value.clone()).unwrap_or_default();
            (form.element(element, comments, None).unwrap(), id)
        };
        let (messaging, id) = canonical(&soap, "Messaging");
        let digest = BASE64_STANDARD.encode(sha256(messaging.as_bytes()).0);
        let reference = self.sent.references.iter_mut().find(|reference| reference.uri == format!("#{id}")).unwrap();
        soap = soap.replace(&reference.digest_value, &digest);
        reference.digest_value = digest;
        let (signed, _) = canonical(&soap, "SignedInfo");
        let value = BASE64_STANDARD.encode(signer.key.sign(SignatureAlgorithm::RsaSha256, signed.as_bytes()).unwrap());
        let (head, rest) = soap.split_once("<ds:SignatureValue>").unwrap();
        let (_, tail) = rest.split_once("</ds:SignatureValue>").unwrap();
        let soap = format!("{head}<ds:SignatureValue>{value}</ds:SignatureValue>{tail}");
        self.body.splice(start..end, soap.into_bytes());
    }
}

/// Its access point.
struct Endpoint {
    points: Shared<Vec<Identity>>,
    /// Another access point of the federation.
    forger: Identity,
    taken: Shared<Vec<Taken>>,
    mood: Shared<Mood>,
}

impl As4Reception for Endpoint {
    fn receive(&self, content_type: String, _: From, mut body: Box<dyn Read + Send>) -> Pending<'_, Answer> {
        let (points, forger) = (self.points.lock().unwrap().clone(), self.forger.clone());
        let (taken, mood) = (Arc::clone(&self.taken), self.mood.lock().unwrap().clone());
        Box::pin(async move {
            let answered = tokio::task::spawn_blocking(move || {
                let options = Options::default();
                let context = Context { keys: &points, known: &|_| None, options: &options, at: Timestamp::now() };
                let mut envelope = Vec::new();
                let received = as4::receive::open(&content_type, &mut body, &context, Cursor::new(Vec::new()), &mut envelope);
                let point = points.first().unwrap().clone();
                let id = As4MessageId::new(format!("{}@ap.peer.se", Uuid::new_v4())).unwrap();
                let received = match received {
                    Ok(received) => received,
                    Err(refusal) => {
                        let body = as4::error::write(&[*refusal.error], refusal.ref_to.as_ref(), &id, Timestamp::now(), &point).unwrap();
                        return Answer { status: 200, content_type: as4::error::CONTENT_TYPE.into(), body, retry_after: None };
                    }
                };
                let signal = match mood {
                    Mood::Down => return Answer { status: 503, content_type: "text/plain".into(), retry_after: None, body: b"later".to_vec() },
                    Mood::Refusing(error) => as4::error::write(&[error], Some(&received.header.message_id), &id, Timestamp::now(), &point).unwrap(),
                    Mood::Forged => as4::receipt::write(&received, &id, Timestamp::now(), &forger).unwrap(),
                    Mood::Good | Mood::Mute => {
                        let message = as4::pmode::check(&received, &PMode::sdk("AP0002-TESTBED".parse().unwrap())).unwrap();
                        taken.lock().unwrap().push(Taken { message, envelope });
                        if matches!(mood, Mood::Mute) {
                            return Answer { status: 502, content_type: "text/plain".into(), retry_after: None, body: b"lost".to_vec() };
                        }
                        as4::receipt::write(&received, &id, Timestamp::now(), &point).unwrap()
                    }
                };
                Answer { status: 200, content_type: as4::error::CONTENT_TYPE.into(), retry_after: None, body: signal }
            });
            answered.await.unwrap()
        })
    }
}
