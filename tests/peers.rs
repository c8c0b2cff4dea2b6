//! Messages to and from the `as4` package of PyPI, which shares no code with ours, over HTTP on loopback; a running
//! gateway and the package in one federation are in `peers/gateway.rs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation, reason = "a test fails by panicking")]

#[path = "common/mod.rs"]
mod common;

#[path = "as4/keys.rs"]
#[allow(dead_code, reason = "shared with the tests of the message layer")]
mod keys;

#[path = "smtp/office.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of SMTP")]
mod office;

#[path = "peers/gateway.rs"]
mod gateway;

use std::io::{BufRead, BufReader, Cursor, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use brevbro::as4::receive::{Context, Options, open};
use brevbro::as4::{Answer, Code, EbmsError, PMode, Received, Sent, UserMessage, answer, error, pmode, receipt, send};
use brevbro::crypto::Identity;
use brevbro::ident::{AccessPointId, As4MessageId, DocumentKind, ParticipantId};
use jiff::Timestamp;
use serde_json::Value;

const OURS: &str = "AP0001-SDK-TEST";
const THEIRS: &str = "AP0002-SDK-TEST";

/// A folder with keys of both ends.
struct Ends {
    dir: tempfile::TempDir,
    ours: Identity,
    theirs: Identity,
}

impl Ends {
    fn new() -> Self {
        Self::of(2048)
    }

    /// With keys of so many bits.
    fn of(bits: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let pem = keys::pem_of(name, bits);
            std::fs::write(dir.path().join(name), &pem).unwrap();
            Identity::from_pem(&pem, None).unwrap()
        };
        let (ours, theirs) = (write(OURS), write(THEIRS));
        Self { dir, ours, theirs }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A script of the peer with its own keys.
    fn script(&self, python: &Path, name: &str) -> Command {
        let mut command = Command::new(python);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name));
        command.arg("--key").arg(self.path(THEIRS)).arg("--cert").arg(self.path(THEIRS)).args(["--party", THEIRS]);
        command.arg("--peer-cert").arg(self.path(OURS)).stdout(Stdio::piped());
        command
    }
}

fn payload() -> Vec<u8> {
    "<XHE>Räksmörgås åt Håbo kommun</XHE>\n".repeat(5000).into_bytes()
}

fn message(id: &str) -> UserMessage {
    UserMessage {
        message_id: As4MessageId::new(id).unwrap(),
        timestamp: Timestamp::now(),
        ref_to: None,
        from: AccessPointId::new(OURS).unwrap(),
        to: AccessPointId::new(THEIRS).unwrap(),
        conversation_id: "70c5ea37-f4a9-4771-b0c7-09becd024bda".into(),
        kind: DocumentKind::Message,
        original_sender: ParticipantId::new("0203:habo.se").unwrap(),
        final_recipient: ParticipantId::new("0203:arbetsformedlingen.se").unwrap(),
    }
}

fn packaged(ends: &Ends, id: &str) -> (Vec<u8>, Sent) {
    let mut body = Vec::new();
    let scratch = Cursor::new(Vec::new());
    let boundary = "=_f3a1c2e4b5d6978812345678";
    let sent = send::package(&message(id), &mut &payload()[..], &ends.ours, &ends.theirs.certificate, scratch, &mut body, boundary).unwrap();
    (body, sent)
}

/// Posts a body; status, Content-Type and body of the answer.
fn post(url: &str, content_type: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let head = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nMIME-Version: 1.0\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let (first, headers, body) = read_http(&mut BufReader::new(stream));
    let status = first.split(' ').nth(1).unwrap().parse().unwrap();
    (status, header(&headers, "content-type"), body)
}

/// The first line, the headers and the body of one HTTP message with a Content-Length.
fn read_http(stream: &mut impl BufRead) -> (String, Vec<(String, String)>, Vec<u8>) {
    let mut line = || {
        let mut text = String::new();
        stream.read_line(&mut text).unwrap();
        text.trim_end().to_owned()
    };
    let first = line();
    let mut headers = Vec::new();
    loop {
        let text = line();
        let Some((name, value)) = text.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut body = vec![0; header(&headers, "content-length").parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (first, headers, body)
}

fn header(headers: &[(String, String)], name: &str) -> String {
    headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone()).unwrap_or_default()
}

/// The peer's receiver, ended with the test.
struct Receiver {
    child: Child,
    lines: mpsc::Receiver<String>,
    url: String,
}

impl Receiver {
    fn start(ends: &Ends, python: &Path) -> Self {
        Self::of(ends.script(python, "as4_receive.py").arg("--out").arg(ends.dir.path()))
    }

    /// Starts the script, and waits until it listens.
    fn of(script: &mut Command) -> Self {
        let mut child = script.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut receiver = Self { child, lines, url: String::new() };
        let first = receiver.report();
        first["listening"].as_str().unwrap().clone_into(&mut receiver.url);
        receiver
    }

    /// What it says of the next message.
    fn report(&mut self) -> Value {
        let line = self.lines.recv_timeout(Duration::from_mins(1)).unwrap_or_else(|_| panic!("the peer got no message"));
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_peer_takes_our_message_and_we_its_receipt() {
    let Some(python) = common::python() else { return };
    let ends = Ends::new();
    let mut peer = Receiver::start(&ends, &python);
    let (body, sent) = packaged(&ends, "1@ap.habo.se");
    let (status, content_type, signal) = post(&peer.url, &sent.content_type, &body);
    let report = peer.report();
    assert_eq!(report["error"], Value::Null, "{report}");
    assert_eq!(std::fs::read(report["payload"].as_str().unwrap()).unwrap(), payload());
    let expected = serde_json::json!({
        "from": OURS,
        "fromType": "urn:fdc:digg.se:edelivery:transportprofile:as4:partytype:ap",
        "to": THEIRS,
        "roles": [
            "http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/initiator",
            "http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/responder",
        ],
        "service": ["bdx:noprocess", "urn:fdc:digg.se:edelivery:process"],
        "action": "busdox-docid-qns::urn:riv:infrastructure:messaging:MessageWithAttachments:3::messagePayload##3.0::tm-base-ext-sigenc",
        "conversationId": "70c5ea37-f4a9-4771-b0c7-09becd024bda",
        "properties": {
            "originalSender": ["iso6523-actorid-upis", "0203:habo.se"],
            "finalRecipient": ["iso6523-actorid-upis", "0203:arbetsformedlingen.se"],
        },
        "parts": [["cid:message", { "MimeType": "text/xml", "CompressionType": "application/gzip" }]],
    });
    assert_eq!(report["header"], expected);
    let read = answer::read(status, &content_type, &signal, &sent, &ends.theirs.certificate);
    assert!(matches!(read, Answer::Receipt(_)), "{read:?}");
    // The same receipt proves nothing for another message, or from another certificate.
    let other = packaged(&ends, "2@ap.habo.se").1;
    assert!(matches!(answer::read(status, &content_type, &signal, &other, &ends.theirs.certificate), Answer::Unusable(_)));
    assert!(matches!(answer::read(status, &content_type, &signal, &sent, &ends.ours.certificate), Answer::Unusable(_)));
}

/// Digg's CAs issue 3072 bits and more; all other tests have 2048.
#[test]
fn every_size_of_key_goes_both_ways() {
    let Some(python) = common::python() else { return };
    for bits in [3072, 4096] {
        let ends = Ends::of(bits);
        let mut peer = Receiver::start(&ends, &python);
        let (body, sent) = packaged(&ends, "1@ap.habo.se");
        let (status, content_type, signal) = post(&peer.url, &sent.content_type, &body);
        assert_eq!(peer.report()["error"], Value::Null, "{bits}");
        let read = answer::read(status, &content_type, &signal, &sent, &ends.theirs.certificate);
        assert!(matches!(read, Answer::Receipt(_)), "{bits}: {read:?}");
        let (report, taken) = exchange(&ends, &python, &|received, ours| receipt_of(received, ours));
        assert!(taken && report["state"] == "acknowledged", "{bits}: {report}");
    }
}

fn receipt_of(received: &Received, signer: &Identity) -> Vec<u8> {
    receipt::write(received, &As4MessageId::new("r@ap.habo.se").unwrap(), Timestamp::now(), signer).unwrap()
}

/// What is answered to a message that was opened, with our key at hand.
type Respond<'a> = dyn Fn(&Received, &Identity) -> Vec<u8> + Sync + 'a;

/// Lets the peer send a message, and answers with what `respond` makes of it; its report, and whether it counts the message as
/// taken.
fn exchange(ends: &Ends, python: &Path, respond: &Respond<'_>) -> (Value, bool) {
    std::thread::scope(|scope| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/as4", listener.local_addr().unwrap());
        let served = scope.spawn(move || {
            serve(&listener, |content_type, body| {
                let (keys, options) = ([ends.ours.clone()], Options::default());
                let context = Context { keys: &keys, known: &|_| None, options: &options, at: Timestamp::now() };
                let mut out = Vec::new();
                let received = open(content_type, &mut &body[..], &context, Cursor::new(Vec::new()), &mut out).unwrap();
                assert!(out == payload());
                (200, respond(&received, &ends.ours))
            });
        });
        let (code, report) = peer_sends(ends, python, &url);
        served.join().unwrap();
        (report, code == Some(0))
    })
}

#[test]
fn the_peer_believes_no_receipt_that_proves_nothing() {
    let Some(python) = common::python() else { return };
    let ends = Ends::new();
    let text = |signal: Vec<u8>| String::from_utf8(signal).unwrap();
    let cases: [(&str, &Respond<'_>); 5] = [
        ("another signer", &|received, _| receipt_of(received, &ends.theirs)),
        ("changed after it was signed", &|received, ours| {
            text(receipt_of(received, ours)).replacen("<eb:Timestamp>20", "<eb:Timestamp>21", 1).into_bytes()
        }),
        ("one digest that was not signed", &|received, ours| {
            let mut other = received.clone();
            let reference = &mut other.signature.as_mut().unwrap().references[0];
            reference.xml = reference.xml.replacen("DigestValue>", "DigestValue>AAAA", 1);
            receipt_of(&other, ours)
        }),
        ("one reference too few", &|received, ours| {
            let mut other = received.clone();
            other.signature.as_mut().unwrap().references.pop();
            receipt_of(&other, ours)
        }),
        ("not signed", &|received, ours| {
            let signal = text(receipt_of(received, ours));
            signal.replace(common::soap::cut(&signal, "ds:Signature"), "").into_bytes()
        }),
    ];
    for (what, respond) in cases {
        let (report, taken) = exchange(&ends, &python, respond);
        assert!(!taken && report["state"] != "acknowledged", "{what}: {report}");
    }
    // It is the receipt, not the way: the same exchange with a good one is believed.
    assert!(exchange(&ends, &python, &|received, ours| receipt_of(received, ours)).1);
}

#[test]
fn the_peer_refuses_what_somebody_made_of_our_message() {
    let Some(python) = common::python() else { return };
    let ends = Ends::new();
    let stranger = Ends::new();
    let mut peer = Receiver::start(&ends, &python);
    let cut = |soap: &str, name: &str| common::soap::cut(soap, name).to_owned();
    let (body, sent) = packaged(&ends, "1@ap.habo.se");
    let edited = |edit: &dyn Fn(&str) -> String| common::soap::edited(&body, edit);
    let cases = [
        ("a changed header", edited(&|s| s.replace("0203:habo.se", "0203:evil.se")), "EBMS:0101"),
        ("no signature", edited(&|s| s.replace(&cut(s, "ds:Signature"), "")), "EBMS:0103"),
        ("another session key", edited(&|s| s.replace("<xenc:CipherValue>", "<xenc:CipherValue>AAAA")), "EBMS:0102"),
        (
            "another signer",
            packaged(&Ends { dir: tempfile::tempdir().unwrap(), ours: stranger.ours.clone(), theirs: ends.theirs.clone() }, "2@x").0,
            "EBMS:0101",
        ),
        (
            "another recipient",
            packaged(&Ends { dir: tempfile::tempdir().unwrap(), ours: ends.ours.clone(), theirs: stranger.theirs.clone() }, "3@x").0,
            "EBMS:0102",
        ),
    ];
    for (what, body, code) in cases {
        let (status, content_type, signal) = post(&peer.url, &sent.content_type, &body);
        let report = peer.report();
        assert_eq!(report["error"]["code"], code, "{what}: {report}");
        // And we read its error.
        let answer = answer::read(status, &content_type, &signal, &sent, &ends.theirs.certificate);
        assert!(!matches!(answer, Answer::Receipt(_)), "{what}: {answer:?}");
    }
}

#[test]
fn the_peer_refuses_our_message_when_it_was_changed_on_the_way() {
    let Some(python) = common::python() else { return };
    let ends = Ends::new();
    let mut peer = Receiver::start(&ends, &python);
    let (mut body, sent) = packaged(&ends, "1@ap.habo.se");
    let at = body.len() - 200;
    body[at] ^= 1;
    let (status, content_type, signal) = post(&peer.url, &sent.content_type, &body);
    assert_eq!(peer.report()["error"]["code"], "EBMS:0102");
    let Answer::Errors(errors) = answer::read(status, &content_type, &signal, &sent, &ends.theirs.certificate) else { panic!("no errors") };
    assert!(errors[0].is(Code::FailedDecryption), "{errors:?}");
}

/// Our end of one exchange: takes one request, answers with what `respond` makes of it.
fn serve_once(respond: impl FnOnce(&str, &[u8]) -> (u16, Vec<u8>) + Send + 'static) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/as4", listener.local_addr().unwrap());
    (url, std::thread::spawn(move || serve(&listener, respond)))
}

fn serve(listener: &TcpListener, respond: impl FnOnce(&str, &[u8]) -> (u16, Vec<u8>)) {
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream);
    let (_, headers, body) = read_http(&mut reader);
    let (status, answer) = respond(&header(&headers, "content-type"), &body);
    let head =
        format!("HTTP/1.1 {status} X\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", error::CONTENT_TYPE, answer.len());
    let mut stream = reader.into_inner();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&answer).unwrap();
}

/// Lets the peer send a message to the URL; its exit code and report.
fn peer_sends(ends: &Ends, python: &Path, url: &str) -> (Option<i32>, Value) {
    std::fs::write(ends.path("payload.xml"), payload()).unwrap();
    let mut command = ends.script(python, "as4_send.py");
    command.args(["--endpoint", url, "--peer", OURS, "--sender", "0203:arbetsformedlingen.se", "--recipient", "0203:habo.se"]);
    command.args(["--message-id", "7@peer", "--conversation-id", "70c5ea37-f4a9-4771-b0c7-09becd024bda", "--payload"]).arg(ends.path("payload.xml"));
    judged(&mut command)
}

/// Runs the peer's sender; its exit code and report.
fn judged(command: &mut Command) -> (Option<i32>, Value) {
    let output = command.output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
}

#[test]
fn we_take_the_peers_message_and_it_our_receipt() {
    let Some(python) = common::python() else { return };
    let ends = Ends::new();
    let ours = ends.ours.clone();
    let (url, served) = serve_once(move |content_type, body| {
        let keys = [ours.clone()];
        let options = Options::default();
        let context = Context { keys: &keys, known: &|_| None, options: &options, at: Timestamp::now() };
        let mut out = Vec::new();
        let received = open(content_type, &mut &body[..], &context, Cursor::new(Vec::new()), &mut out).unwrap();
        assert!(out == payload());
        let message = pmode::check(&received, &PMode::sdk(AccessPointId::new(OURS).unwrap())).unwrap();
        assert_eq!((message.from.as_str(), message.message_id.as_str(), message.kind), (THEIRS, "7@peer", DocumentKind::Message));
        assert_eq!(message.final_recipient.as_str(), "0203:habo.se");
        (200, receipt::write(&received, &As4MessageId::new("r@ap.habo.se").unwrap(), Timestamp::now(), &ours).unwrap())
    });
    let (code, report) = peer_sends(&ends, &python, &url);
    served.join().unwrap();
    assert_eq!((code, &report["state"]), (Some(0), &Value::from("acknowledged")), "{report}");
}

#[test]
fn the_peer_reads_our_error() {
    let Some(python) = common::python() else { return };
    let ends = Ends::new();
    let ours = ends.ours.clone();
    let (url, served) = serve_once(move |_, _| {
        let (id, ref_to) = (As4MessageId::new("e@ap.habo.se").unwrap(), As4MessageId::new("7@peer").unwrap());
        (500, error::write(&[EbmsError::not_serviced()], Some(&ref_to), &id, Timestamp::now(), &ours).unwrap())
    });
    let (code, report) = peer_sends(&ends, &python, &url);
    served.join().unwrap();
    assert_eq!((code, &report["error"]["code"], &report["error"]["detail"]), (Some(3), &"EBMS:0004".into(), &"NOT_SERVICED".into()), "{report}");
}
