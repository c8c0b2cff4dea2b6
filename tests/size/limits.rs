//! Both sides of every limit on size, to the octet, over real sockets.

use brevbro::crypto::sha256;
use brevbro::edge::tls::{Roots, TlsIdentity, client_config, server_name};
use brevbro::event::{EventName, Field};
use brevbro::sdk::message;
use brevbro::sdk::receipt::Outcome;
use brevbro::testbed::Authority;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::{Client, Gateway, Peer, Setup, mail_with, run, world};
use crate::{DECLARATION, delivered, grown, noise, sized, submit};

/// SDK messages that are sent.
const SENDING: usize = 30_000_000;
/// SDK messages that are received.
const RECEIVING: usize = 42_000_000;

/// The codes of a rejection.
fn codes(outcome: &Outcome) -> Vec<String> {
    match outcome {
        Outcome::Accepted => Vec::new(),
        Outcome::Rejected(breaches) => breaches.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_mail_that_becomes_the_largest_message_is_sent_and_one_octet_more_is_refused_in_words() {
    run(async {
        let (peer, gateway) = (Peer::start("grans-ut-peer").await, Gateway::start(Setup::new("grans-ut")).await);
        let to = gateway.address_of("avdelningen", &peer.name);
        let mail = |id: &str, name: &str, body: &[u8]| mail_with(&gateway.mailbox, id, name, "application/pdf", body);
        // A small one shows what there is beside the file.
        let reply = submit(gateway.daemon.smtp, &gateway.mailbox, &to, &mail("liten", "a.pdf", &noise(300))).await;
        assert!(reply.starts_with("250"), "{reply}");
        let small = peer.payload(0).await;
        let beside = small.len() + DECLARATION - 400;
        assert_eq!(message::octets(&peer.message(0).await), (beside + 400) as u64);
        let room = SENDING - beside;
        let (body, name) = (noise(room / 4 * 3), |more: usize| "a".repeat(room % 4 + more) + "a.pdf");
        let reply = submit(gateway.daemon.smtp, &gateway.mailbox, &to, &mail("storst", &name(0), &body)).await;
        assert!(reply.starts_with("250"), "{reply}");
        let reply = submit(gateway.daemon.smtp, &gateway.mailbox, &to, &mail("for-stor", &name(1), &body)).await;
        assert!(reply.starts_with("552 5.3.4 ") && reply.contains("30000001") && reply.contains("30.0 MB"), "{reply}");
        assert_eq!(peer.payload(1).await.len() + DECLARATION, SENDING);
        assert_eq!(sha256(&peer.message(1).await.documents[0].files[0].body), sha256(&body));
        assert_eq!(gateway.events(EventName::MailAccepted).await.len(), 2);
        gateway.stop().await;
    });
}

#[test]
fn what_is_announced_over_the_limit_of_mail_is_refused_before_it_is_sent() {
    run(async {
        let gateway = Gateway::start(Setup::new("grans-size")).await;
        let mut client = Client::connect(&gateway).await;
        let limit = SENDING + SENDING / 2;
        let reply = client.say(&format!("MAIL FROM:<{}> SIZE={}", gateway.mailbox, limit + 1)).await;
        assert!(reply.starts_with("552 5.3.4"), "{reply}");
        let reply = client.say(&format!("MAIL FROM:<{}> SIZE={limit}", gateway.mailbox)).await;
        assert!(reply.starts_with("250"), "{reply}");
        gateway.stop().await;
    });
}

#[test]
fn the_largest_message_is_taken_and_one_octet_more_is_rejected_as_too_long() {
    run(async {
        let (peer, gateway) = (Peer::start("grans-in-peer").await, Gateway::start(Setup::new("grans-in")).await);
        for (octets, expected) in [(RECEIVING, &[][..]), (RECEIVING + 1, &["BV too-long"])] {
            let number = peer.receipts();
            let mut draft = peer.draft(&gateway);
            sized(&mut draft, octets);
            peer.send(&gateway, &draft).await.acknowledged();
            let receipt = peer.receipt(number).await;
            assert_eq!((codes(&receipt.outcome), &receipt.refers_to), (expected.iter().map(ToString::to_string).collect(), &draft.header.id));
            if expected.is_empty() {
                let letter = delivered(&gateway.sink, &gateway.mailbox, 1).await;
                let parsed = mail_parser::MessageParser::default().parse(letter.text.as_bytes()).unwrap();
                let body = &draft.content.documents[0].files[0].body;
                assert!(parsed.attachments().any(|part| part.contents().len() == body.len() && sha256(part.contents()) == sha256(body)));
            }
        }
        assert_eq!(gateway.delivered().len(), 1);
        gateway.stop().await;
    });
}

#[test]
fn a_sound_envelope_of_70_mb_is_acknowledged_and_then_rejected_as_too_long() {
    run(async {
        let (peer, gateway) = (Peer::start("tf-08-peer").await, Gateway::start(Setup::new("tf-08")).await);
        let mut draft = peer.draft(&gateway);
        // Base64 adds a third.
        sized(&mut draft, 52_500_000);
        let envelope = draft.envelope();
        assert!(envelope.len() >= 70_000_000, "{}", envelope.len());
        peer.push(&gateway, &draft.package_of(&mut envelope.as_slice())).await.acknowledged();
        assert_eq!(codes(&peer.receipt(0).await.outcome), ["BV too-long"]);
        assert!(gateway.delivered().is_empty());
        gateway.stop().await;
    });
}

/// An access point that takes envelopes of 1 MB.
async fn narrow(name: &'static str, peer: &str) -> (Peer, Gateway) {
    let setup = Setup { top: "max-incoming-message = \"600 kB\"", access_point: "max-envelope = \"1 MB\"", ..Setup::new(name) };
    (Peer::start(peer).await, Gateway::start(setup).await)
}

#[test]
fn the_largest_envelope_is_taken_and_one_octet_more_is_an_ebms_error() {
    run(async {
        let (peer, gateway) = narrow("grans-xhe", "grans-xhe-peer").await;
        let draft = peer.draft(&gateway);
        let package = |octets| draft.package_of(&mut grown(&draft.envelope(), octets).as_slice());
        let error = peer.push(&gateway, &package(1_000_001)).await.refused("EBMS:0303");
        assert!(error.to_string().contains("too large"), "{error}");
        let refused = gateway.event(EventName::Refused).await;
        assert_eq!(refused.fields.get(&Field::ErrorCode).map(String::as_str), Some("EBMS:0303"));
        let mut sound = peer.draft(&gateway);
        sound.message.conversation_id = "1".into();
        peer.push(&gateway, &sound.package_of(&mut grown(&draft.envelope(), 1_000_000).as_slice())).await.acknowledged();
        assert_eq!(codes(&peer.receipt(0).await.outcome), ["BV too-long"]);
        gateway.stop().await;
    });
}

/// A connection to a gateway's AS4 endpoint, with a client certificate.
async fn endpoint(gateway: &Gateway) -> TlsStream<TcpStream> {
    let world = world().await;
    let own = TlsIdentity::from_pem(&std::fs::read(&world.tls.pem).unwrap()).unwrap();
    let config = client_config(Roots::Only(&world.testbed.trusted(Authority::Tls).unwrap()), Some(&own)).unwrap();
    let stream = TcpStream::connect(gateway.daemon.as4).await.unwrap();
    TlsConnector::from(config).connect(server_name("127.0.0.1").unwrap(), stream).await.unwrap()
}

const HEAD: &str = "POST /as4 HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/related; boundary=b; type=\"application/soap+xml\"\r\n";
/// The most that a request to a narrow access point may have: its envelope and 2 MiB.
const BODY: usize = 1_000_000 + (2 << 20);

async fn status(stream: &mut TlsStream<TcpStream>) -> String {
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    String::from_utf8_lossy(&status[9..]).into_owned()
}

#[test]
fn a_request_that_is_announced_too_large_is_refused_before_it_is_sent() {
    run(async {
        let (_peer, gateway) = narrow("grans-413", "grans-413-peer").await;
        let mut stream = endpoint(&gateway).await;
        stream.write_all(format!("{HEAD}Content-Length: {}\r\n\r\n", BODY + 1).as_bytes()).await.unwrap();
        assert_eq!(status(&mut stream).await, "413");
        // The largest one is read to its end. It is no message.
        let mut stream = endpoint(&gateway).await;
        stream.write_all(format!("{HEAD}Content-Length: {BODY}\r\n\r\n--b\r\nContent-Type: application/soap+xml\r\n\r\n").as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; 1000]).await.unwrap();
        let mut byte = [0; 1];
        let early = tokio::time::timeout(std::time::Duration::from_millis(300), stream.read(&mut byte)).await;
        assert!(early.is_err(), "it answers what has not come");
        gateway.stop().await;
    });
}

#[test]
fn a_request_that_grows_too_large_is_refused_while_it_streams() {
    run(async {
        let (peer, gateway) = narrow("grans-chunked", "grans-chunked-peer").await;
        let package = peer.draft(&gateway).package_of(&mut noise(4_000_000).as_slice());
        let (body, head) = (&package.body, format!("POST /as4 HTTP/1.1\r\nHost: x\r\nContent-Type: {}\r\n", package.sent.content_type));
        for (octets, expected) in [(BODY, None), (BODY + 1, Some("413"))] {
            let mut stream = endpoint(&gateway).await;
            stream.write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n{octets:x}\r\n").as_bytes()).await.unwrap();
            stream.write_all(&body[..octets]).await.unwrap();
            // There is no end yet, and so no answer but to what is too large already.
            let wait = std::time::Duration::from_secs(if expected.is_some() { 60 } else { 1 });
            let answer = tokio::time::timeout(wait, status(&mut stream)).await.ok();
            assert_eq!(answer.as_deref(), expected);
        }
        assert!(gateway.events(EventName::Received).await.is_empty());
        gateway.stop().await;
    });
}
