//! One organisation floods the gateway with more than there is memory for; another's mail passes between.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::gateway::harness::{Client, Peer, Setup, mail_with, run, wait_for};
use crate::two::{Two, setup};

/// Mails of the flood, and how many connections bring them.
const MAILS: usize = 24;
const CONNECTIONS: usize = 8;

#[test]
fn a_flood_of_large_mails_waits_for_itself_and_anothers_mail_passes() {
    run(async {
        // Room for four of its mails at once, if nothing else were there.
        let two = setup("limits-flood", "").await;
        let two = Arc::new(Two::start(Setup { root: "memory = \"12 MB\"", ..two }).await);
        let (peer, beside) = (Peer::start("limits-flood-peer").await, Peer::start("limits-flood-beside").await);
        let (own, to) = (two.gateway.mailbox.clone(), two.gateway.address_of("inkorg", &peer.name));
        let body = [b"%PDF-1.4 ".as_slice(), &vec![7; 500_000]].concat();
        let (next, taken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut flood = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (two, own, to, body, next, taken) = (Arc::clone(&two), own.clone(), to.clone(), body.clone(), Arc::clone(&next), Arc::clone(&taken));
            flood.spawn(async move {
                let mut client = Client::connect(&two.gateway).await;
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= MAILS {
                        return;
                    }
                    client.envelope(&own, &[&to], "").await;
                    let reply = client.data(&mail_with(&own, &format!("f{number}"), "bild.pdf", "application/pdf", &body)).await;
                    assert!(reply.starts_with("250"), "{reply}");
                    taken.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        wait_for("the flood", || async { (taken.load(Ordering::SeqCst) >= 2).then_some(()) }).await;
        let began = Instant::now();
        let reply = two.submit(&two.mailbox, &two.gateway.address_of("inkorg", &beside.name), "b1").await;
        assert!(reply.starts_with("250"), "{reply}");
        let accepted = began.elapsed();
        let before = taken.load(Ordering::SeqCst);
        assert!(before < MAILS, "the other's mail had to wait until the flood was over");
        beside.message(0).await;
        let (sent, flooded) = (began.elapsed(), peer.taken().len());
        while let Some(ended) = flood.join_next().await {
            ended.unwrap();
        }
        wait_for("the flood's messages", || async { (peer.taken().len() == MAILS).then_some(()) }).await;
        let all = began.elapsed();
        println!(
            "the other's mail: accepted after {accepted:?} beside {before} of {MAILS}, sent after {sent:?} beside {flooded}; the flood: {all:?}"
        );
        assert!(sent + Duration::from_millis(1) < all, "{sent:?} of {all:?}");
        Arc::into_inner(two).unwrap().gateway.stop().await;
    });
}
