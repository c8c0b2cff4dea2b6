//! What another access point's answer proves, and what is done when it proves nothing: `docs/answers.md`, row by row.
//!
//! One gateway sends; the other access point is a script that listens, speaks TLS, and can write a receipt as it should be
//! as well as every other. Each row is a test; a row without one, or one without a row, fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../gateway"]
mod gateway {
    #![allow(dead_code, unused_imports)]
    pub(crate) mod harness;
}

mod answers;
mod peer;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use brevbro::as4::{self, Answer};
use brevbro::crypto::Certificate;
use brevbro::event::{Event, EventName, Field};
use brevbro::ident::RecordId;
use brevbro::outbound::send::Prepared;
use brevbro::outbound::state::Ended;
use brevbro::outbound::{Outgoing, Waiting};
use brevbro::port::BlobId;
use jiff::{SignedDuration, Timestamp};

use answers::{PACKAGE, SOAP};
use gateway::harness::client::submit;
use gateway::harness::{Gateway, Letter, PATIENCE, Setup, mail, run, wait_for, world};
use peer::{Play, Scripted};

/// A row of the table.
struct Row {
    outcome: String,
    there: String,
    cause: String,
}

/// The table's rows by their case.
fn table() -> BTreeMap<String, Row> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/answers.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [case, _, outcome, there, cause] = cells[..] else { return None };
        let case = case.strip_prefix('`')?.strip_suffix('`')?;
        Some((case.to_owned(), Row { outcome: outcome.to_owned(), there: there.to_owned(), cause: cause.to_owned() }))
    });
    rows.collect()
}

/// The gateway that all rows share.
async fn gateway() -> &'static Gateway {
    static GATEWAY: tokio::sync::OnceCell<Gateway> = tokio::sync::OnceCell::const_new();
    GATEWAY.get_or_init(|| Gateway::start(Setup { access_point: "answer-timeout = \"6s\"", ..Setup::new("evidence") })).await
}

/// Hands in a mail for the script's participant.
async fn send(gateway: &Gateway, peer: &Scripted, number: usize) {
    let to = gateway.address_of("inkorg", &peer.name);
    let text = mail(&gateway.mailbox, &format!("{}-{number}", peer.name), "Hej");
    let reply = submit(gateway, &[&to], " NOTIFY=SUCCESS,FAILURE,DELAY", &text).await;
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
}

/// Waits for the journal's line of a name about the script's participant, that has so many before it.
async fn event(gateway: &Gateway, peer: &Scripted, name: EventName, number: usize) -> Event {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let journal: Vec<Event> = gateway.journal().await.into_iter().filter(|event| about(event, peer)).collect();
        if let Some(event) = journal.iter().filter(|event| event.name == name).nth(number) {
            return event.clone();
        }
        let seen: Vec<_> = journal.iter().map(|event| (event.name, event.fields.get(&Field::Cause))).collect();
        assert!(std::time::Instant::now() < until, "no {name:?} number {number} in {seen:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn about(event: &Event, peer: &Scripted) -> bool {
    event.fields.get(&Field::FinalRecipient).is_some_and(|recipient| *recipient == peer.participant)
}

fn cause(event: &Event) -> &str {
    event.fields.get(&Field::Cause).map(String::as_str).unwrap_or_default()
}

async fn blob(gateway: &Gateway, id: BlobId) -> (serde_json::Value, Vec<u8>) {
    let (blob, _, mut body) = gateway.daemon.gateway.blobs.open(id).await.unwrap();
    let mut octets = Vec::new();
    body.read_to_end(&mut octets).unwrap();
    (serde_json::from_str(&blob.header).unwrap(), octets)
}

/// What a record keeps of its exchange: the request and the access point's receipt.
async fn kept(gateway: &Gateway, record: RecordId) -> (Option<BlobId>, Option<BlobId>) {
    let stored = gateway.daemon.gateway.store.record(record).await.unwrap().unwrap();
    match Outgoing::from_record(&stored).unwrap() {
        Outgoing::Waiting(Waiting { dispatch, signal, .. }) => (dispatch.request, signal),
        other => panic!("{:?}", other.state()),
    }
}

/// The receipt is kept as it came, and proves the message by what is kept alone.
async fn proven(gateway: &Gateway, acknowledged: &Event, came: &[u8]) {
    let (request, signal) = kept(gateway, acknowledged.record.unwrap()).await;
    proves(gateway, request.unwrap(), signal.expect("a receipt is kept"), acknowledged, came).await;
}

async fn proves(gateway: &Gateway, request: BlobId, signal: BlobId, acknowledged: &Event, came: &[u8]) {
    let (header, stored) = blob(gateway, signal).await;
    assert!(stored == came, "the receipt is not kept as it came");
    let prepared: Prepared = serde_json::from_value(blob(gateway, request).await.0).unwrap();
    let certificate = Certificate::from_any(prepared.certificate.as_bytes()).unwrap();
    let Answer::Receipt(receipt) = as4::answer::read(0, header["content_type"].as_str().unwrap(), &stored, &prepared.sent, &certificate) else {
        panic!("what is kept proves nothing");
    };
    let fields = &acknowledged.fields;
    assert_eq!(fields[&Field::As4MessageId], prepared.sent.message_id.as_str());
    assert_eq!(fields[&Field::As4SignalId], receipt.signal_id.as_str());
    assert_eq!(fields[&Field::PeerSignature], receipt.signature_digest.to_string());
    assert_eq!(fields[&Field::PeerCertificate], certificate.fingerprint().to_string());
    assert_eq!(fields[&Field::PeerAccessPoint], "AP0002-TESTBED");
}

/// Every request that came whole is the same.
fn same_octets(peer: &Scripted) {
    let heard = peer.heard();
    let first = heard.first().expect("no request came whole");
    assert!(first.body.len() > 1000);
    assert!(heard.iter().all(|request| request.head == first.head && request.body == first.body), "another request was sent");
}

/// Waits for the notice about the script's participant.
async fn notice(gateway: &Gateway, peer: &Scripted, action: &str) -> Letter {
    let to = gateway.address_of("inkorg", &peer.name);
    let is = |letter: &Letter| letter.is_notice() && letter.outcome().0 == action && letter.text.contains(&to);
    gateway.sink.letter(&format!("a notice {action} about {to}"), is).await
}

/// Lets the other access point do as `play` and sees to it that its row comes true.
async fn follow(case: &str, play: Play) {
    let row = &table()[case];
    let gateway = gateway().await;
    let peer = Scripted::closed(&case.replace('_', "-")).await;
    let refuses = matches!(play, Play::Refuse);
    if !refuses {
        peer.open();
    }
    let mut sent = 0;
    if matches!(play, Play::Replay) {
        // Something to replay: a message that is delivered as it should be.
        send(gateway, &peer, 0).await;
        event(gateway, &peer, EventName::Acknowledged, 0).await;
        sent = 1;
    }
    let before = peer.connections();
    peer.play((!refuses).then_some(play));
    send(gateway, &peer, sent).await;
    match row.outcome.as_str() {
        "acknowledged" => {
            let acknowledged = event(gateway, &peer, EventName::Acknowledged, sent).await;
            assert!(cause(&acknowledged).contains(&row.cause), "{acknowledged:?}");
            assert_eq!(row.cause.is_empty(), cause(&acknowledged).is_empty());
            proven(gateway, &acknowledged, &peer.answered()).await;
            assert_eq!(peer.connections(), before + 1);
        }
        "again" => {
            // An error that phase4 also calls a duplicate, after a failure that cannot have been one.
            let sound_after = if row.there == "no" { 2 } else { 1 };
            peer.play((1..sound_after).map(|_| Play::signal(answers::error_ebms_0004)));
            let deferred = event(gateway, &peer, EventName::SendDeferred, 0).await;
            assert!(cause(&deferred).contains(&row.cause), "{deferred:?}");
            assert_eq!(deferred.fields[&Field::Attempt], "1");
            let due: Timestamp = deferred.fields[&Field::NextAttempt].parse().unwrap();
            let (wait, asked) = (due.duration_since(deferred.at), SignedDuration::from_millis(995));
            assert_eq!(wait > asked, case.ends_with("with_retry_after"), "{wait}");
            if refuses {
                peer.open();
            }
            let acknowledged = event(gateway, &peer, EventName::Acknowledged, sent).await;
            let deferred = gateway.events(EventName::SendDeferred).await.into_iter().filter(|event| about(event, &peer));
            let duplicates = deferred.filter(|event| cause(event).contains("EBMS:0004")).count();
            assert_eq!(duplicates, usize::from(case == "error_ebms_0004") + sound_after - 1);
            proven(gateway, &acknowledged, &peer.answered()).await;
            if sent == 0 {
                same_octets(&peer);
            }
            // A connection that is refused is none.
            assert_eq!(peer.connections(), before + sound_after + usize::from(!refuses));
            assert_eq!(peer.strayed(), 0, "a redirect was followed");
        }
        "failed" => {
            let failed = event(gateway, &peer, EventName::ExchangeFailed, 0).await;
            assert!(cause(&failed).contains(&row.cause), "{failed:?}");
            let told = notice(gateway, &peer, "failed").await;
            assert_eq!(told.outcome().1, if case == "error_not_serviced" { "5.4.4" } else { "5.6.0" });
            event(gateway, &peer, EventName::Alarmed, 0).await;
            assert_eq!((peer.connections(), row.there.as_str()), (1, "no"));
        }
        other => panic!("{other} is no outcome of the table"),
    }
}

macro_rules! rows {
    ($($case:ident: $play:expr;)*) => {
        $(#[test] fn $case() { run(async { follow(stringify!($case), $play).await }); })*

        #[test]
        fn every_row_of_the_table_has_its_test() {
            let cases: std::collections::BTreeSet<String> = [$(stringify!($case)),*].map(str::to_owned).into();
            assert_eq!(cases, table().into_keys().collect());
        }
    };
}

rows! {
    sound_receipt: Play::signal(answers::sound_receipt);
    sound_receipt_with_status_500: Play::Answer { status: "500 Internal Server Error", content_type: SOAP, make: answers::sound_receipt };
    sound_receipt_in_a_package: Play::Answer { status: "200 OK", content_type: PACKAGE, make: answers::sound_receipt_in_a_package };
    sound_receipt_of_another_content_type: Play::Answer { status: "200 OK", content_type: "text/plain", make: answers::sound_receipt };
    receipt_and_warning: Play::signal(answers::receipt_and_warning);
    receipt_and_failure: Play::signal(answers::receipt_and_failure);
    receipt_of_another_access_point: Play::signal(answers::receipt_of_another_access_point);
    receipt_self_signed: Play::signal(answers::receipt_self_signed);
    receipt_of_an_expired_certificate: Play::signal(answers::receipt_of_an_expired_certificate);
    receipt_without_a_reference: Play::signal(answers::receipt_without_a_reference);
    receipt_with_a_reference_more: Play::signal(answers::receipt_with_a_reference_more);
    receipt_with_a_reference_twice: Play::signal(answers::receipt_with_a_reference_twice);
    receipt_with_an_altered_digest: Play::signal(answers::receipt_with_an_altered_digest);
    receipt_without_references: Play::signal(answers::receipt_without_references);
    receipt_twice_in_a_signal: Play::signal(answers::receipt_twice_in_a_signal);
    receipt_for_another_message_id: Play::signal(answers::receipt_for_another_message_id);
    receipt_without_a_message_id: Play::signal(answers::receipt_without_a_message_id);
    receipt_of_an_earlier_message: Play::Replay;
    receipt_unsigned: Play::signal(answers::receipt_unsigned);
    receipt_signed_beside_messaging: Play::signal(answers::receipt_signed_beside_messaging);
    receipt_changed_after_signing: Play::signal(answers::receipt_changed_after_signing);
    two_signals: Play::signal(answers::two_signals);
    user_message: Play::signal(answers::user_message);
    warning_alone: Play::signal(answers::warning_alone);
    error_ebms_0004: Play::signal(answers::error_ebms_0004);
    error_ebms_0005: Play::signal(answers::error_ebms_0005);
    error_ebms_0202: Play::signal(answers::error_ebms_0202);
    error_ebms_0301: Play::signal(answers::error_ebms_0301);
    error_not_serviced: Play::signal(answers::error_not_serviced);
    error_ebms_0003: Play::signal(answers::error_ebms_0003);
    error_ebms_0101: Play::signal(answers::error_ebms_0101);
    error_ebms_0102: Play::signal(answers::error_ebms_0102);
    error_ebms_0303: Play::signal(answers::error_ebms_0303);
    error_of_no_table: Play::signal(answers::error_of_no_table);
    error_about_another_message: Play::signal(answers::error_about_another_message);
    empty_200: Play::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    empty_202: Play::Raw(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    status_204: Play::Raw(b"HTTP/1.1 204 No Content\r\n\r\n");
    soap_fault: Play::Answer { status: "500 Internal Server Error", content_type: SOAP, make: answers::soap_fault };
    soap_1_1: Play::Answer { status: "200 OK", content_type: "text/xml", make: answers::soap_1_1 };
    html_200: Play::Answer { status: "200 OK", content_type: "text/html", make: answers::html };
    html_502: Play::Answer { status: "502 Bad Gateway", content_type: "text/html", make: answers::html };
    redirect_301: Play::Redirect("301 Moved Permanently");
    redirect_307: Play::Redirect("307 Temporary Redirect");
    status_401: Play::Raw(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n");
    status_403: Play::Answer { status: "403 Forbidden", content_type: "text/html", make: answers::html };
    status_404: Play::Answer { status: "404 Not Found", content_type: "text/html", make: answers::html };
    status_413: Play::Answer { status: "413 Content Too Large", content_type: "text/html", make: answers::html };
    status_413_with_retry_after: Play::Raw(b"HTTP/1.1 413 Content Too Large\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n");
    status_429_with_retry_after: Play::Raw(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n");
    status_500: Play::Raw(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
    // As long as a year: the longest wait of the configuration bounds it.
    status_503_with_retry_after: Play::Raw(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 31536000\r\nContent-Length: 0\r\n\r\n");
    slow_head: Play::Drip(b"HTTP/1.1 200 OK\r\nX: ");
    slow_body: Play::Drip(b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Length: 1000\r\n\r\n<");
    silence: Play::Drip(b"");
    oversize_announced: Play::Endless(b"HTTP/1.1 200 OK\r\nContent-Length: 4000001\r\n\r\n", " ");
    oversize_chunked: Play::Endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "8\r\n12345678\r\n");
    chunked_garbage: Play::Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n<x/>\r\n");
    head_flood: Play::Endless(b"HTTP/1.1 200 OK\r\n", "X-Flood: 0123456789\r\n");
    no_http: Play::Raw(b"220 mx.example.se ESMTP\r\n");
    refused_connection: Play::Refuse;
    tls_of_a_stranger: Play::Stranger;
    tls_that_is_none: Play::NoTls(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    cut_after_connect: Play::NoTls(b"");
    cut_after_tls: Play::Reset(1);
    cut_in_the_request: Play::Reset(700);
    cut_after_the_request: Play::Raw(b"");
    cut_in_the_head: Play::Raw(b"HTTP/1.1 200 OK\r\nContent-Ty");
    cut_in_the_body: Play::Raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Length: 5000\r\n\r\n<S12:Envelope>");
}

#[test]
fn after_an_answer_that_was_lost_a_duplicate_is_taken() {
    run(async {
        let (gateway, peer) = (gateway().await, Scripted::start("duplicate").await);
        // Whatever comes between, one attempt may have arrived.
        peer.play([
            Play::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n<S12:Envelope>"),
            Play::NoTls(b""),
            Play::Answer { status: "403 Forbidden", content_type: "text/html", make: answers::html },
            Play::signal(answers::error_ebms_0004),
        ]);
        send(gateway, &peer, 0).await;
        let acknowledged = event(gateway, &peer, EventName::Acknowledged, 0).await;
        assert!(cause(&acknowledged).contains("duplicate"), "{acknowledged:?}");
        assert!(!acknowledged.fields.contains_key(&Field::As4SignalId), "there is no receipt");
        assert_eq!(kept(gateway, acknowledged.record.unwrap()).await.1, None);
        same_octets(&peer);
        assert_eq!(peer.connections(), 4);
    });
}

#[test]
fn when_time_runs_out_the_sender_reads_whether_it_may_have_arrived() {
    run(async {
        let retry = "first = \"200ms\"\nlongest = \"500ms\"\ngive-up = \"2s\"\nreceipt-timeout = \"2h\"\ndelayed-notice-after = \"1s\"";
        let gateway = Gateway::start(Setup { retry, ..Setup::new("evidence-late") }).await;
        let (lost, refused) = (Scripted::start("lost").await, Scripted::start("refused").await);
        lost.play(std::iter::once(Play::Raw(b"")).chain((0..100).map(|_| Play::NoTls(b""))));
        refused.play((0..100).map(|_| Play::NoTls(b"")));
        send(&gateway, &lost, 0).await;
        send(&gateway, &refused, 0).await;
        for (peer, swedish, english) in [
            (&lost, "Det =C3=A4r oklart om meddelandet har kommit fram.", "It is not known whether the message has arrived."),
            (&refused, "Meddelandet har inte skickats.", "The message has not been sent."),
        ] {
            let told = notice(&gateway, peer, "failed").await;
            assert_eq!(told.outcome().1, "5.4.7");
            let text = told.text.replace("=\r\n", "").replace("=\n", "");
            let plain = text.replace("å", "=C3=A5");
            assert!(plain.contains(swedish) && plain.contains(english), "{text}");
        }
        gateway.stop().await;
    });
}

#[test]
fn an_endpoint_that_may_not_be_sent_to_gets_nothing() {
    run(async {
        let (gateway, peer) = (gateway().await, Scripted::start("plain").await);
        let world = world().await;
        world.register(&peer.participant, &peer.endpoint.replace("https:", "http:"), &world.peer_point, &world.peer);
        send(gateway, &peer, 0).await;
        event(gateway, &peer, EventName::ExchangeFailed, 0).await;
        notice(gateway, &peer, "failed").await;
        assert_eq!(peer.connections(), 0);
    });
}

#[test]
fn the_receipt_for_a_message_receipt_of_ours_is_evidence_too() {
    run(async {
        let gateway = gateway().await;
        let (sender, script) = (gateway::harness::Peer::start("evidence-reply").await, Scripted::start("evidence-reply-script").await);
        let world = world().await;
        world.register(&sender.participant.to_string(), &script.endpoint, &world.peer_point, &world.peer);
        sender.send(gateway, &sender.draft(gateway)).await.acknowledged();
        let is = |event: &Event| event.name == EventName::ReceiptSent && event.fields[&Field::FinalRecipient] == sender.participant.to_string();
        let receipt_sent = wait_for("the message receipt", || async { gateway.journal().await.into_iter().find(is) }).await;
        let stored = gateway.daemon.gateway.store.record(receipt_sent.record.unwrap()).await.unwrap().unwrap();
        let Outgoing::Ended(Ended { kept, .. }) = Outgoing::from_record(&stored).unwrap() else { panic!("{}", stored.state) };
        let [signal, request] = kept[..] else { panic!("{kept:?}") };
        proves(gateway, request, signal, &receipt_sent, &script.answered()).await;
    });
}
