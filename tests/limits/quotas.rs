//! What an organisation and a mailbox may have here: counted over restarts, answered in the peer's protocol, told once.

use std::time::Duration;

use brevbro::event::{EventName, Field};
use brevbro::port::BlobKind;
use brevbro::sdk::receipt::Outcome;
use brevbro::worker::{Limit, Usage};

use crate::gateway::harness::peer::Mood;
use crate::gateway::harness::{Client, Gateway, Peer, mail, run, wait_for, world};
use crate::two::{Two, setup, whole};

/// What is used of a limit, by whom that has `whose` in its name.
async fn used(gateway: &Gateway, limit: Limit, whose: &str) -> Option<Usage> {
    let now = jiff::Timestamp::now();
    let overview = gateway.daemon.gateway.overview(now).await.unwrap();
    overview.limits.into_iter().find(|usage| usage.limit == limit && usage.whose.contains(whose))
}

#[test]
fn an_organisation_at_its_limit_is_put_off_and_the_others_mails_pass() {
    run(async {
        let of = || setup("limits-mail", "[organisation.limits]\nmax-waiting = 3\n");
        let mut two = Two::start(of().await).await;
        let (slow, good) = (Peer::start("limits-mail-slow").await, Peer::start("limits-mail-good").await);
        slow.set(Mood::Down);
        let (own, to) = (two.gateway.mailbox.clone(), two.gateway.address_of("inkorg", &slow.name));
        for number in 0..3 {
            let reply = two.submit(&own, &to, &format!("a{number}")).await;
            assert!(reply.starts_with("250"), "{reply}");
        }
        for _ in 0..5 {
            let reply = two.submit(&own, &to, "a3").await;
            assert!(reply.starts_with("452 4.2.2 "), "{reply}");
        }
        let other = two.mailbox.clone();
        let reply = two.submit(&other, &two.gateway.address_of("inkorg", &good.name), "b1").await;
        assert!(reply.starts_with("250"), "{reply}");
        good.message(0).await;

        // Told once, whoever asks however often; also by one who has started anew.
        let reached = two.gateway.event(EventName::LimitReached).await;
        assert!(
            reached.fields[&Field::Cause].contains("0203:limits-mail.se") && reached.fields[&Field::Cause].contains("limits.max-waiting = 3"),
            "{reached:?}"
        );
        let alarm = two.gateway.alarm().await;
        assert!(whole(&alarm.text).contains("docs/limits.md"), "{}", alarm.text);
        let Two { gateway, other, mailbox } = two;
        let gateway = gateway.restart_in(world().await, of().await).await;
        two = Two { gateway, other, mailbox };
        assert!(two.submit(&own, &to, "a3").await.starts_with("452 4.2.2 "), "what is used survives a restart");
        assert_eq!(used(&two.gateway, Limit::OrganisationWaiting, "limits-mail.se").await.map(|usage| (usage.used, usage.most)), Some((3, 3)));
        two.gateway.daemon.gateway.watch_limits().await.unwrap();
        assert_eq!((two.limits(EventName::LimitReached).await.len(), two.limits(EventName::LimitOver).await.len(), two.alarms()), (1, 0, 1));

        // The receipts that end what is under way get in although it is full.
        slow.set(Mood::Good);
        for number in 0..3 {
            let message = slow.message(number).await;
            slow.answer(&two.gateway, &message, Outcome::Accepted).await;
        }
        wait_for("room", || async { two.submit(&own, &to, "a3").await.starts_with("250").then_some(()) }).await;
        two.gateway.daemon.gateway.watch_limits().await.unwrap();
        two.gateway.event(EventName::LimitOver).await;
        two.gateway.daemon.gateway.watch_limits().await.unwrap();
        wait_for("the second alarm", || async { (two.alarms() == 2).then_some(()) }).await;
        assert_eq!((two.limits(EventName::LimitReached).await.len(), two.limits(EventName::LimitOver).await.len()), (1, 1));
        two.gateway.stop().await;
    });
}

#[test]
fn a_mailbox_at_its_limit_keeps_no_other_of_its_organisation_waiting() {
    run(async {
        let second =
            "limits = { max-waiting = 1 }\n[[organisation.mailbox]]\naddress = \"skolan@limits-box.se\"\nfunction = \"skolan\"\nlabel = \"Skolan\"\n";
        let two = Two::start(setup("limits-box", second).await).await;
        let peer = Peer::start("limits-box-peer").await;
        let (own, to) = (two.gateway.mailbox.clone(), two.gateway.address_of("inkorg", &peer.name));
        assert!(two.submit(&own, &to, "a1").await.starts_with("250"));
        assert!(two.submit(&own, &to, "a2").await.starts_with("452 4.2.2 "));
        assert!(two.submit("skolan@limits-box.se", &to, "s1").await.starts_with("250"));
        assert!(two.submit("skolan@limits-box.se", &to, "s2").await.starts_with("250"));
        // What comes to the mailbox is taken.
        peer.send(&two.gateway, &peer.draft(&two.gateway)).await.acknowledged();
        two.gateway.delivery().await;
        assert_eq!(used(&two.gateway, Limit::MailboxWaiting, "inkorg of 0203:limits-box.se").await.map(|usage| usage.most), Some(1));
        let reached = two.gateway.event(EventName::LimitReached).await;
        assert!(reached.fields[&Field::Cause].starts_with("inkorg of 0203:limits-box.se "), "{reached:?}");
        two.gateway.stop().await;
    });
}

#[test]
fn messages_to_an_organisation_at_its_limit_are_put_off_and_the_others_come() {
    run(async {
        let two = Two::start(setup("limits-as4", "[organisation.limits]\nmax-stored = 1\n").await).await;
        let peer = Peer::start("limits-as4-peer").await;
        let (own, to) = (two.gateway.mailbox.clone(), two.gateway.address_of("inkorg", &peer.name));
        let first = peer.draft(&two.gateway).package();
        peer.push(&two.gateway, &first).await.acknowledged();
        two.gateway.delivery().await;
        // It has ended, and its content is kept: that counts.
        wait_for("the second to be put off", || async {
            let reply = peer.send(&two.gateway, &peer.draft(&two.gateway)).await;
            (!reply.is_acknowledged()).then(|| assert_eq!((reply.status, reply.retry_after), (507, Some(Duration::from_mins(1)))))
        })
        .await;
        let taken = two.gateway.events(EventName::Received).await.len();
        for _ in 0..3 {
            let reply = peer.send(&two.gateway, &peer.draft(&two.gateway)).await;
            assert_eq!(reply.status, 507);
        }
        assert_eq!(two.gateway.events(EventName::Received).await.len(), taken, "nothing is taken in");
        assert!(two.submit(&own, &to, "a1").await.starts_with("452 4.2.2 "));
        // What came before is answered as it was.
        peer.push(&two.gateway, &first).await.acknowledged();
        // The other organisation behind the same access point has its own.
        peer.push_to(&two.gateway.endpoint, &peer.draft_to(&two.other).package()).await.acknowledged();
        two.gateway.sink.letter("the other's message", |letter| letter.to == two.mailbox).await;
        assert!(two.submit(&two.mailbox, &to, "b1").await.starts_with("250"));
        let message = peer.message(0).await;
        assert_eq!(message.sender.participant, two.other);
        assert_eq!(two.limits(EventName::LimitReached).await.len(), 1);
        // What is put off leaves nothing behind: every envelope that is there becomes some record's.
        let gateway = &two.gateway.daemon.gateway;
        wait_for("a record for each envelope", || async {
            for blob in gateway.blobs.heads().await.unwrap().into_iter().filter(|blob| blob.kind == BlobKind::Envelope) {
                let header: serde_json::Value = serde_json::from_str(&blob.header).unwrap();
                let record = serde_json::from_value(header["record"].clone()).unwrap();
                gateway.store.record(record).await.unwrap()?;
            }
            Some(())
        })
        .await;
        two.gateway.stop().await;
    });
}

#[test]
fn a_mailbox_that_hands_in_too_many_mails_at_once_is_put_off() {
    run(async {
        let two = Two::start(setup("limits-at-once", "limits = { max-at-once = 1 }\n").await).await;
        let peer = Peer::start("limits-at-once-peer").await;
        let (own, to) = (two.gateway.mailbox.clone(), two.gateway.address_of("inkorg", &peer.name));
        let mut first = Client::connect(&two.gateway).await;
        first.envelope(&own, &[&to], "").await;
        assert!(first.say("DATA").await.starts_with("354"));
        let mut second = Client::connect(&two.gateway).await;
        for _ in 0..3 {
            second.envelope(&own, &[&to], "").await;
            let reply = second.say("DATA").await;
            assert!(reply.starts_with("451 4.4.5 "), "{reply}");
        }
        assert!(two.submit(&two.mailbox, &to, "b1").await.starts_with("250"), "another mailbox has its own places");
        let text = mail(&own, "a1", "Hej").trim_end().to_owned();
        let reply = first.say(&format!("{text}\r\n.")).await;
        assert!(reply.starts_with("250"), "{reply}");
        second.envelope(&own, &[&to], "").await;
        assert!(second.data(&mail(&own, "a2", "Hej")).await.starts_with("250"), "it has its place again");
        two.gateway.event(EventName::LimitReached).await;
        assert_eq!(two.limits(EventName::LimitReached).await.len(), 1);
        two.gateway.stop().await;
    });
}

#[test]
fn messages_that_cannot_be_opened_fill_their_own_organisations_room_and_no_others() {
    run(async {
        // Nothing can be opened: there is nobody at this address who looks for malware.
        let nobody = crate::gateway::harness::free_port();
        let limits = format!("[organisation.limits]\nmax-unopened = 2\n[malware]\nclamd = \"127.0.0.1:{nobody}\"\n");
        let two = Two::start(setup("limits-unopened", &limits).await).await;
        let peer = Peer::start("limits-unopened-peer").await;
        for _ in 0..2 {
            peer.send(&two.gateway, &peer.draft(&two.gateway)).await.acknowledged();
        }
        for _ in 0..3 {
            assert_eq!(peer.send(&two.gateway, &peer.draft(&two.gateway)).await.status, 507);
        }
        for _ in 0..3 {
            peer.push_to(&two.gateway.endpoint, &peer.draft_to(&two.other).package()).await.acknowledged();
        }
        let usage = used(&two.gateway, Limit::OrganisationUnopened, "0203:limits-unopened.se").await;
        assert_eq!(usage.map(|usage| (usage.used, usage.most)), Some((2, 2)));
        let reached = two.gateway.event(EventName::LimitReached).await;
        assert!(reached.fields[&Field::Cause].contains("limits.max-unopened = 2"), "{reached:?}");
        assert_eq!(two.limits(EventName::LimitReached).await.len(), 1);
        two.gateway.daemon.stop().await;
    });
}
