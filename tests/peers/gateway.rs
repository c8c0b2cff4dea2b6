//! A running gateway and the peer, at a foreign access point, in one federation: mail in at one end, AS4 over mutual TLS
//! between them, and both receipts back.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use brevbro::config;
use brevbro::content::{Content, Document, File, Party, Redacted};
use brevbro::daemon::Daemon;
use brevbro::event::{Event, EventName, Field};
use brevbro::ident::{AccessPointId, DocumentKind, FederationId, FunctionId, MessageId, ParticipantId};
use brevbro::sdk::envelope::{self, Header};
use brevbro::sdk::message::{self, MessageLimits};
use brevbro::sdk::receipt::{self, Outcome, Receipt};
use brevbro::sdk::seal;
use brevbro::testbed::{Authority, Issued, Options, Running, Testbed};
use brevbro::xml;
use jiff::Timestamp;
use mail_parser::{MessageParser, MimeHeaders};
use serde_json::Value;
use tokio::task::block_in_place;
use uuid::Uuid;

use super::common::{has, python, run};
use super::office::{Office, Taken};
use super::{Receiver, judged, keys};

const OURS: &str = "AP0001-TESTBED";
const THEIRS: &str = "AP0002-TESTBED";
const HABO: &str = "0203:habo.se";
const AF: &str = "0203:arbetsformedlingen.se";
const MAILBOX: &str = "socialkontoret@habo.se";
const FUNCTION: &str = "socialkontoret";
const THEIR_FUNCTION: &str = "etablering";
const FEDERATION: &str = "urn:fdc:digg.se:edelivery:federation:test";
/// Far more than a step takes; only a failed test waits so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// The federation, the gateway of Håbo kommun with its mail server, and the peer, access point of Arbetsförmedlingen.
struct World {
    dir: tempfile::TempDir,
    python: PathBuf,
    testbed: Testbed,
    _running: Running,
    daemon: Daemon,
    office: Office,
    peer: Receiver,
    ours: Issued,
    habo: Issued,
    theirs: Issued,
    af: Issued,
    their_tls: Issued,
}

impl World {
    async fn open(python: PathBuf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let testbed = block_in_place(|| Testbed::open(&dir.path().join("testbed"), &Options::small()).unwrap());
        let running = testbed.start().await.unwrap();
        let access_point = |name: &str| testbed.issue_access_point(&AccessPointId::new(name).unwrap()).unwrap();
        let (ours, theirs) = block_in_place(|| (access_point(OURS), access_point(THEIRS)));
        let (habo, af) =
            block_in_place(|| (testbed.issue_participant(&participant(HABO)).unwrap(), testbed.issue_participant(&participant(AF)).unwrap()));
        let tls = |name: &str| testbed.issue_tls(&["localhost", "127.0.0.1", name]).unwrap();
        let (our_tls, their_tls) = block_in_place(|| (tls("sdk.habo.se"), tls("ap.arbetsformedlingen.se")));

        let office = Office::open(|_| {}).await;
        let as4 = free_port();
        let path = dir.path().join("gateway.toml");
        let text = configuration(&testbed, dir.path(), [&ours, &habo, &our_tls], office.address.port(), as4);
        fs::write(&path, text).unwrap();
        let daemon = Daemon::start(config::load(&path).unwrap()).await.unwrap();
        testbed.register(&participant(HABO), &format!("https://127.0.0.1:{as4}/as4"), &ours.identity.certificate).unwrap();

        let tls_ca = testbed.trust_file(Authority::Tls);
        let mut script = script(&python, "as4_receive.py", &theirs.pem);
        // Trusts whom the access points' CA issued, as a real one does.
        script.arg("--peer-cert").arg(testbed.trust_file(Authority::AccessPoint)).arg("--out").arg(dir.path());
        script.arg("--tls-cert").arg(&their_tls.pem).arg("--tls-ca").arg(&tls_ca);
        let peer = block_in_place(|| Receiver::of(&mut script));
        testbed.register(&participant(AF), &peer.url, &theirs.identity.certificate).unwrap();
        Self { dir, python, testbed, _running: running, daemon, office, peer, ours, habo, theirs, af, their_tls }
    }

    /// The peer's sender, with a client certificate.
    fn sender(&self, key: &Path, kind: DocumentKind, payload: &[u8], conversation: &str) -> Command {
        let mut command = self.nameless_sender(key, kind, payload, conversation);
        command.arg("--tls-cert").arg(&self.their_tls.pem);
        command
    }

    /// The peer's sender, without a client certificate.
    fn nameless_sender(&self, key: &Path, kind: DocumentKind, payload: &[u8], conversation: &str) -> Command {
        let file = self.dir.path().join(format!("{}.xml", Uuid::new_v4()));
        fs::write(&file, payload).unwrap();
        let mut command = script(&self.python, "as4_send.py", key);
        command.arg("--peer-cert").arg(&self.ours.certificate).args(["--peer", OURS, "--sender", AF, "--recipient", HABO]);
        command.args(["--endpoint", &format!("https://{}/as4", self.daemon.as4), "--action", &kind.action()]);
        command.args(["--conversation-id", conversation, "--payload"]).arg(&file);
        command.arg("--tls-ca").arg(self.testbed.trust_file(Authority::Tls));
        command
    }

    /// Hands a mail to the gateway.
    fn submit(&self, to: &str, envelope_id: &str, mail: &str) {
        let (host, port) = (self.daemon.smtp.ip().to_string(), self.daemon.smtp.port().to_string());
        let mut command = Command::new(&self.python);
        command.arg(peers().join("smtp_submit.py")).args([&host, &port, MAILBOX, to, envelope_id]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(mail.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The journal so far.
    async fn journal(&self) -> Vec<Event> {
        self.daemon.gateway.store.audit(0, 1000).await.unwrap().into_iter().map(|(_, event)| event).collect()
    }

    /// The first event of a name, when it comes.
    async fn event(&self, name: EventName) -> Event {
        let until = Instant::now() + PATIENCE;
        loop {
            let journal = self.journal().await;
            if let Some(event) = journal.iter().find(|event| event.name == name) {
                return event.clone();
            }
            assert!(Instant::now() < until, "no {name:?} in {journal:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The mail with this number that the mail server got, when it comes.
    async fn letter(&self, number: usize) -> Taken {
        let until = Instant::now() + PATIENCE;
        while self.office.taken().len() < number {
            assert!(Instant::now() < until, "no mail {number}; {:#?}", self.journal().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.office.taken()[number - 1].clone()
    }

    /// The file of the envelope that the peer got next, and what the peer says of the AS4 message.
    fn next_envelope(&mut self) -> (PathBuf, Value) {
        let report = block_in_place(|| self.peer.report());
        assert_eq!(report["error"], Value::Null, "{report}");
        (report["payload"].as_str().unwrap().into(), report)
    }
}

/// A script of the peer with an access point's key.
fn script(python: &Path, name: &str, key: &Path) -> Command {
    let mut command = Command::new(python);
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(peers().join(name));
    command.arg("--key").arg(key).arg("--cert").arg(key).args(["--party", THEIRS]);
    command
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}

fn participant(id: &str) -> ParticipantId {
    ParticipantId::new(id).unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn configuration(testbed: &Testbed, dir: &Path, [access_point, participant, tls]: [&Issued; 3], mail_port: u16, as4: u16) -> String {
    let trust = |authority| testbed.trust_file(authority).display().to_string();
    format!(
        r#"name = "gw.sdk.habo.se"
mail-domain = "sdk.habo.se"
operator = "drift@habo.se"
federation = "{FEDERATION}"
state-dir = "{state}"

[access-point]
key = "{access_point}"
key-password-file = "{access_point_password}"
listen = "127.0.0.1:{as4}"
public-url = "https://127.0.0.1:{as4}/as4"

[access-point.tls]
key = "{tls}"
client-ca = ["{tls_ca}"]
clients = "required"

[access-point.client-tls]
ca = ["{tls_ca}"]
key = "{tls}"

[trust]
access-point-ca = ["{access_point_ca}"]
participant-ca = ["{participant_ca}"]
smp-ca = ["{smp_ca}"]

[discovery]
sml-zone = "{zone}"
resolvers = ["{dns}"]
allow-plain-loopback = true

[smtp]
listen = "127.0.0.1:0"
clients = ["127.0.0.0/8"]
require-tls = false

[mail-server]
host = "127.0.0.1"
port = {mail_port}
security = "none"

[[organisation]]
participant = "{HABO}"
name = "Håbo kommun"
key = "{participant}"
key-password-file = "{participant_password}"

[[organisation.mailbox]]
address = "{MAILBOX}"
function = "{FUNCTION}"
label = "Socialkontoret"
"#,
        state = dir.join("state").display(),
        access_point = access_point.pkcs12.display(),
        access_point_password = access_point.password_file.display(),
        participant = participant.pkcs12.display(),
        participant_password = participant.password_file.display(),
        tls = tls.pem.display(),
        tls_ca = trust(Authority::Tls),
        access_point_ca = trust(Authority::AccessPoint),
        participant_ca = trust(Authority::Participant),
        smp_ca = trust(Authority::Smp),
        zone = testbed.sml_zone(),
        dns = testbed.dns_address(),
    )
}

fn header(kind: DocumentKind, id: &MessageId, service: &str) -> Header {
    Header {
        id: id.clone(),
        created: Timestamp::now(),
        kind,
        federation: FederationId::new(FEDERATION).unwrap(),
        from: participant(AF),
        to: participant(HABO),
        service: Some(FunctionId::new(service).unwrap()),
        encrypted: kind == DocumentKind::Message,
    }
}

fn fresh_id() -> MessageId {
    MessageId::new(Uuid::new_v4().to_string()).unwrap()
}

/// What Arbetsförmedlingen writes to Håbo kommun, sealed.
fn message_of_the_peer(world: &World, id: &MessageId) -> Vec<u8> {
    let party = |id: &str, name: &str, function: &str, label: &str| Party {
        participant: participant(id),
        label: Some(Redacted(name.into())),
        function: Some(FunctionId::new(function).unwrap()),
        function_label: Some(Redacted(label.into())),
        persons: vec![],
        references: vec![],
    };
    let file = File { name: Redacted("Överenskommelse.pdf".into()), media_type: "application/pdf".into(), body: Redacted(pdf()) };
    let content = Content {
        created: Timestamp::now(),
        message_id: id.clone(),
        conversation_id: id.as_str().parse().unwrap(),
        in_reply_to: None,
        label: Some(Redacted("Beslut om åtgärd".into())),
        confidential: false,
        generating_system: None,
        recipient: party(HABO, "Håbo kommun", FUNCTION, "Socialkontoret"),
        sender: party(AF, "Arbetsförmedlingen", THEIR_FUNCTION, "Etablering"),
        documents: vec![Document {
            id: Uuid::new_v4().to_string(),
            name: None,
            index: Some("1".into()),
            files: vec![file],
            texts: vec![Redacted("Åtgärden **börjar** på måndag.".into())],
        }],
        foreign: vec![],
    };
    let xml = message::write(&content).unwrap();
    seal::seal(&header(DocumentKind::Message, id, FUNCTION), &xml, Some(&world.habo.identity.certificate), &world.af.identity).unwrap()
}

fn pdf() -> Vec<u8> {
    [b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".as_slice(), &(0..20_000u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>(), b"\n%%EOF\n"].concat()
}

/// The foreign judge of a seal.
fn xmlsec1_verifies(certificate: &Path, envelope: &Path) {
    run(Command::new("xmlsec1").args(["--verify", "--enabled-reference-uris", "empty", "--pubkey-cert-pem"]).args([certificate, envelope])).unwrap();
}

fn text_of(letter: &Taken) -> String {
    MessageParser::default().parse(&letter.octets).unwrap().body_text(0).unwrap().into_owned()
}

fn is_report(letter: &Taken) -> bool {
    let mail = MessageParser::default().parse(&letter.octets).unwrap();
    mail.content_type().is_some_and(|kind| kind.ctype() == "multipart" && kind.subtype() == Some("report"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_reaches_the_peer_and_its_message_receipt_becomes_a_notice() {
    let Some(python) = python() else { return };
    if !has("xmlsec1") {
        return;
    }
    let mut world = World::open(python).await;
    let mail = "From: Anna Ek <socialkontoret@habo.se>\r\nTo: etablering@arbetsformedlingen.se.sdk.habo.se\r\n\
        Subject: =?utf-8?q?Underlag_f=C3=B6r_etableringsplan?=\r\nMessage-ID: <peer.1@habo.se>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0100\r\n\
        MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nÅterkom gärna före fredag.\r\n";
    block_in_place(|| world.submit("etablering@arbetsformedlingen.se.sdk.habo.se", "peer-1", mail));

    // The peer took the AS4 message, and its receipt was accepted.
    let (file, report) = world.next_envelope();
    let acknowledged = world.event(EventName::Acknowledged).await;
    assert_eq!(acknowledged.fields[&Field::As4MessageId], report["messageId"]);
    assert_eq!(report["header"]["from"], OURS);
    assert_eq!(report["header"]["action"], DocumentKind::Message.action());
    assert_eq!(report["header"]["properties"]["finalRecipient"][1], AF);

    // What it got is sealed by Håbo kommun for Arbetsförmedlingen, says another program.
    xmlsec1_verifies(&world.habo.certificate, &file);
    let clear = run(Command::new("xmlsec1").args(["--decrypt", "--privkey-pem"]).args([&world.af.pem, &file])).unwrap();
    let document = xml::Document::parse(&clear, &xml::Limits::of(1_000_000)).unwrap();
    let payload = document.elements().find(|e| e.is(message::NAMESPACE, "messagePayload")).unwrap();
    let content = message::read(&clear[payload.source()], &MessageLimits::default()).unwrap();
    assert_eq!(content.label.as_ref().unwrap().0, "Underlag för etableringsplan");
    assert!(content.documents[0].texts[0].0.contains("Återkom gärna före fredag."));
    assert_eq!((content.sender.function, content.recipient.function), (FunctionId::new(FUNCTION).ok(), FunctionId::new(THEIR_FUNCTION).ok()));
    let sealed = envelope::read(&fs::read(&file).unwrap()).unwrap();
    assert_eq!((&sealed.id, report["header"]["conversationId"].as_str()), (&content.message_id, Some(content.conversation_id.as_str())));

    // Nothing is told before the participant has answered; the AS4 receipt is no delivery.
    assert!(world.office.taken().is_empty());
    let receipt = Receipt {
        id: Uuid::new_v4().to_string(),
        issued: Timestamp::now(),
        sender: participant(AF),
        receiver: participant(HABO),
        refers_to: sealed.id,
        outcome: Outcome::Accepted,
    };
    let id = fresh_id();
    let envelope = seal::seal(&header(DocumentKind::Receipt, &id, THEIR_FUNCTION), &receipt::write(&receipt).unwrap(), None, &world.af.identity);
    let mut sender = world.sender(&world.theirs.pem, DocumentKind::Receipt, &envelope.unwrap(), id.as_str());
    let (code, report) = block_in_place(|| judged(&mut sender));
    assert_eq!((code, &report["state"]), (Some(0), &Value::from("acknowledged")), "{report}");

    let notice = world.letter(1).await;
    assert!(is_report(&notice));
    let text = String::from_utf8_lossy(&notice.octets);
    for words in ["Action: delivered", "Status: 2.0.0", "Original-Envelope-Id: peer-1", "<peer.1@habo.se>"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert_eq!(notice.envelope.recipients[0].address.to_string(), MAILBOX);
    world.event(EventName::Accepted).await;
    world.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_peers_message_becomes_a_mail_and_the_peer_gets_our_message_receipt() {
    let Some(python) = python() else { return };
    if !has("xmlsec1") {
        return;
    }
    let mut world = World::open(python).await;
    let id = fresh_id();
    let mut sender = world.sender(&world.theirs.pem, DocumentKind::Message, &message_of_the_peer(&world, &id), id.as_str());
    let (code, report) = block_in_place(|| judged(&mut sender));
    assert_eq!((code, &report["state"]), (Some(0), &Value::from("acknowledged")), "{report}");

    let letter = world.letter(1).await;
    let mail = MessageParser::default().parse(&letter.octets).unwrap();
    assert_eq!(mail.subject(), Some("Beslut om åtgärd"));
    assert!(text_of(&letter).contains("måndag"), "{}", text_of(&letter));
    let file = mail.attachments().find(|part| part.attachment_name() == Some("Överenskommelse.pdf")).unwrap();
    assert!(file.contents() == pdf());
    assert_eq!(letter.envelope.recipients[0].address.to_string(), MAILBOX);

    let (file, report) = world.next_envelope();
    assert_eq!(report["header"]["action"], DocumentKind::Receipt.action());
    assert_eq!(report["header"]["properties"]["originalSender"][1], HABO);
    xmlsec1_verifies(&world.habo.certificate, &file);
    let opened = seal::verify(&fs::read(&file).unwrap()).unwrap();
    // SDK C3.2.1 2.7
    assert_eq!(report["header"]["conversationId"], opened.header.id.as_str());
    assert_eq!(opened.header.service, FunctionId::new(FUNCTION).ok());
    let receipt = receipt::read(&opened.payload(&[]).unwrap()).unwrap();
    assert_eq!((receipt.refers_to, receipt.outcome), (id, Outcome::Accepted));
    world.event(EventName::ReceiptSent).await;
    world.event(EventName::Delivered).await;
    world.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_peer_did_not_sign_as_it_should_is_refused_with_a_signed_error_and_not_delivered() {
    let Some(python) = python() else { return };
    let world = World::open(python).await;
    let id = fresh_id();
    let envelope = message_of_the_peer(&world, &id);
    // The right name, but of no CA of this environment.
    let stranger = world.dir.path().join("stranger.pem");
    fs::write(&stranger, keys::pem(THEIRS)).unwrap();
    let cases = [(&world.theirs.pem, Some("absent"), "EBMS:0103"), (&world.theirs.pem, Some("wrong"), "EBMS:0101"), (&stranger, None, "EBMS:0101")];
    for (number, (key, spoil, code)) in cases.into_iter().enumerate() {
        let mut sender = world.sender(key, DocumentKind::Message, &envelope, id.as_str());
        sender.args(spoil.map(|how| ["--spoil", how]).into_iter().flatten());
        // That it was read at all says that its signature is ours and covers it.
        let (exit, report) = block_in_place(|| judged(&mut sender));
        assert_eq!((exit, &report["error"]["code"], &report["state"]), (Some(3), &code.into(), &"rejected".into()), "{report}");
        let refused: Vec<_> = world.journal().await.into_iter().filter(|event| event.name == EventName::Refused).collect();
        assert_eq!((refused.len(), refused[number].fields[&Field::ErrorCode].as_str()), (number + 1, code), "{refused:?}");
    }

    // Without a client certificate there is no answer at all. How the end comes to be seen differs: an alert, a reset, an end.
    let mut sender = world.nameless_sender(&world.theirs.pem, DocumentKind::Message, &envelope, id.as_str());
    let output = block_in_place(|| sender.output().unwrap());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{complaint}");
    let last = complaint.trim_end().lines().last().unwrap_or_default();
    assert!(["ssl", "Connection", "RemoteDisconnected", "BrokenPipe"].iter().any(|words| last.contains(words)), "{complaint}");

    assert!(world.journal().await.iter().all(|event| event.name != EventName::Received));
    assert!(world.office.taken().is_empty());
    world.daemon.stop().await;
}
