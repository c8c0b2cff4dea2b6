//! Digg's acceptance cases for access points (SDK C2.1.4.4.2), one test each, against the testbed over real sockets: its
//! DNS, SMP, CAs and test access points with their participants TestAP-01 to TestAP-06. `docs/acceptance.md` is the
//! protocol.
//!
//! Each test begins with a gateway of its own: a daemon with a configuration file, state and mail server.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../gateway"]
#[allow(dead_code, unused_imports, reason = "shared with the gateway's own tests, which use all of it")]
mod shared {
    pub(crate) mod harness;
}

mod access_point;
mod base;
mod coming;
mod operator;
mod profile;

use std::sync::Arc;
use std::time::{Duration, Instant};

use brevbro::event::{Event, EventName, Field};
use brevbro::ident::MessageId;
use brevbro::sdk::receipt::{Outcome, Receipt};
use brevbro::testbed::{Answered, Case, Point, PointOptions, Recipient, Role, Taken};

use shared::harness::client::submit;
use shared::harness::{Gateway, Setup, mail, wait_for, world};

/// Given up after three seconds.
const FLEETING: &str = "first = \"200ms\"\nlongest = \"500ms\"\ngive-up = \"3s\"\nreceipt-timeout = \"1h\"\ndelayed-notice-after = \"1s\"";

/// The test access point, which all tests share.
async fn point() -> &'static Point {
    static POINT: tokio::sync::OnceCell<Point> = tokio::sync::OnceCell::const_new();
    let made = POINT.get_or_init(|| async {
        let options = PointOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            federation: "urn:fdc:digg.se:edelivery:federation:test".parse().unwrap(),
            heard: Arc::new(|_| {}),
        };
        Point::start(world().await.testbed.clone(), options).await.unwrap()
    });
    made.await
}

/// A gateway of this name, and the test access point.
async fn pair(name: &str) -> (Gateway, &'static Point) {
    (Gateway::start(Setup::new(name)).await, point().await)
}

/// The mail address of a test participant.
fn address_of(gateway: &Gateway, role: Role) -> String {
    let participant = role.participant().unwrap();
    gateway.address_of("testfunktion", participant.as_str().split_once(':').unwrap().1)
}

/// Hands in a mail for a test participant.
async fn send(gateway: &Gateway, role: Role, id: &str) {
    let reply = submit(gateway, &[&address_of(gateway, role)], " NOTIFY=SUCCESS,FAILURE,DELAY", &mail(&gateway.mailbox, id, "Hej")).await;
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
}

/// Has the testbed send a case to the gateway.
async fn receive(gateway: &Gateway, case: Case) -> Vec<Answered> {
    let point = point().await;
    point.sender.send(case, &recipient(gateway).await).await.unwrap()
}

/// The gateway, as the SMP has it.
async fn recipient(gateway: &Gateway) -> Recipient {
    point().await.sender.recipient(&gateway.participant, "inkorg".parse().unwrap()).unwrap()
}

/// Everything of the gateway's that reached the test access point.
fn sent_by(point: &Point, gateway: &Gateway) -> Vec<Taken> {
    let from = |taken: &Taken| taken.header.as_ref().is_ok_and(|header| header.from == gateway.participant);
    point.taken().into_iter().filter(from).collect()
}

/// The message receipts that the gateway sent.
fn receipts_of(point: &Point, gateway: &Gateway) -> Vec<Receipt> {
    sent_by(point, gateway).into_iter().filter_map(|taken| taken.receipt).collect()
}

/// Waits for the gateway's message receipt for a message.
async fn receipt_for(point: &Point, gateway: &Gateway, message: &MessageId) -> Receipt {
    wait_for("a message receipt", || async { receipts_of(point, gateway).into_iter().find(|receipt| receipt.refers_to == *message) }).await
}

/// A case that is to end well: acknowledged, ACCEPTED, and delivered as mail.
async fn accepted(gateway: &Gateway, case: Case) -> Answered {
    let point = point().await;
    let answered = receive(gateway, case).await.remove(0);
    assert!(matches!(answered.answer, brevbro::as4::Answer::Receipt(_)), "{:?}", answered.answer);
    assert_eq!(receipt_for(point, gateway, &answered.envelope_id).await.outcome, Outcome::Accepted);
    gateway.delivery().await;
    // "Kontrollera att meddelandet kommit fram till testdeltagaren samt att meddelandekvittens skickats."
    let sent = gateway.event(EventName::ReceiptSent).await;
    assert_eq!(sent.fields[&Field::MessageId], answered.envelope_id.as_str());
    answered
}

/// A case that is to be refused: an error of this code, a line in the journal with the same, nothing kept, delivered or
/// answered. The line.
async fn refused(gateway: &Gateway, case: Case, code: &str) -> Event {
    assert!(case.refusal().is_none_or(|said| said == code), "the testbed tells its user something else");
    let point = point().await;
    let answered = receive(gateway, case).await.remove(0);
    let brevbro::as4::Answer::Errors(errors) = &answered.answer else { panic!("{:?}", answered.answer) };
    let [error] = errors.as_slice() else { panic!("{errors:?}") };
    assert_eq!(error.code.as_ref(), code, "{error:?}");
    let line = gateway.event(EventName::Refused).await;
    assert_eq!((&line.fields[&Field::ErrorCode], &line.fields[&Field::As4MessageId]), (&code.to_owned(), &answered.as4_id.to_string()));
    gateway.quiet().await;
    assert_eq!(gateway.events(EventName::Received).await, []);
    assert_eq!(gateway.daemon.gateway.blobs.heads().await.unwrap(), [], "the message is deleted");
    assert_eq!((gateway.delivered().len(), sent_by(point, gateway).len()), (0, 0));
    line
}

/// A message of the gateway's that is not to be sent: this notice, and nothing at the test access point. The end's line.
async fn unsent(gateway: &Gateway, status: &str) -> Event {
    gateway.notice("failed", status).await;
    gateway.quiet().await;
    assert_eq!(sent_by(point().await, gateway), []);
    gateway.event(EventName::ExchangeFailed).await
}

/// Waits longer than a test usually may: for many messages, or large ones.
async fn eventually<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_mins(5);
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(Instant::now() < until, "{what} did not come in time");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
