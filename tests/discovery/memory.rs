//! What the directory remembers, for how long, and how often it asks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use brevbro::ident::DocumentKind;
use brevbro::port::{Directory, DirectoryError, Freshness, TrustError};
use hickory_resolver::proto::op::ResponseCode;
use jiff::{SignedDuration, ToSpan};

use crate::stage::{Does, ENDPOINT, Says, Stage, path, response};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_messages_to_one_participant_make_one_lookup() {
    let stage = Arc::new(Stage::set().await);
    stage.does(Does::Waits(Duration::from_millis(300), stage.metadata().sign(stage.smp).unwrap()));
    for freshness in [Freshness::Cached, Freshness::Fresh] {
        let directory = stage.directory();
        let (before, questions) = (stage.requests(), stage.questions.load(Ordering::Relaxed));
        let all: Vec<_> = (0..100)
            .map(|_| {
                let (stage, directory) = (Arc::clone(&stage), Arc::clone(&directory));
                tokio::spawn(async move { stage.ask(&directory, freshness).await.unwrap().endpoint })
            })
            .collect();
        for one in all {
            assert_eq!(one.await.unwrap(), ENDPOINT);
        }
        assert_eq!(stage.requests() - before, 1, "{freshness:?}");
        assert_eq!(stage.questions.load(Ordering::Relaxed) - questions, 1, "{freshness:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_messages_share_a_failure_too_and_one_that_is_cut_off_takes_nobody_along() {
    let stage = Arc::new(Stage::set().await);
    stage.does(Does::Waits(Duration::from_millis(400), b"no XML".to_vec()));
    let directory = stage.directory();
    let ask = || {
        let (stage, directory) = (Arc::clone(&stage), Arc::clone(&directory));
        tokio::spawn(async move { stage.ask(&directory, Freshness::Cached).await.unwrap_err() })
    };
    let all: Vec<_> = (0..100).map(|_| ask()).collect();
    for one in all {
        assert!(matches!(one.await.unwrap(), DirectoryError::Unusable { .. }));
    }
    assert_eq!(stage.requests(), 1);
    // The first is cut off while it asks; the second asks itself.
    let first = ask();
    while stage.requests() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = ask();
    first.abort();
    assert!(matches!(second.await.unwrap(), DirectoryError::Unusable { .. }));
}

#[tokio::test]
async fn an_answer_is_kept_for_its_age_and_absence_for_a_shorter_one() {
    let stage = Stage::set().await;
    let directory = stage.directory_with(|options| (options.max_age, options.negative_max_age) = (Duration::from_hours(1), Duration::from_mins(5)));
    stage.ask(&directory, Freshness::Cached).await.unwrap();
    stage.later(MINUTE * 59);
    stage.ask(&directory, Freshness::Cached).await.unwrap();
    assert_eq!(stage.requests(), 1);
    stage.later(MINUTE * 2);
    stage.ask(&directory, Freshness::Cached).await.unwrap();
    assert_eq!(stage.requests(), 2);
    assert!(stage.requests.lock().unwrap().iter().all(|line| *line == format!("GET {} HTTP/1.1", path(&stage))));

    stage.says(Says::NxDomain);
    let unknown = Err(DirectoryError::UnknownParticipant(stage.participant.clone()));
    assert_eq!(stage.ask(&directory, Freshness::Fresh).await, unknown, "past the cache it is gone, and so it is in the cache");
    let asked = stage.questions.load(Ordering::Relaxed);
    stage.later(MINUTE * 4);
    assert_eq!(stage.ask(&directory, Freshness::Cached).await, unknown);
    assert_eq!(stage.questions.load(Ordering::Relaxed), asked, "remembered");
    stage.points_to(&format!("http://{}/smp", stage.smp_address));
    stage.later(MINUTE * 2);
    stage.ask(&directory, Freshness::Cached).await.unwrap();
}

#[tokio::test]
async fn each_document_is_remembered_by_itself() {
    let stage = Stage::set().await;
    let directory = stage.directory();
    stage.ask(&directory, Freshness::Cached).await.unwrap();
    stage.does(response("404 Not Found", "", b""));
    let receipt = directory.metadata(&stage.participant, DocumentKind::Receipt, Freshness::Cached).await;
    assert_eq!(receipt, Err(DirectoryError::UnknownParticipant(stage.participant.clone())), "the group is not there either");
    stage.ask(&directory, Freshness::Cached).await.unwrap();
}

#[tokio::test]
async fn an_old_answer_serves_while_dns_or_the_smp_is_down_and_says_so_up_to_its_end() {
    let stage = Stage::set().await;
    let directory = stage.directory_with(|options| {
        (options.max_age, options.max_stale, options.retry_after) = (Duration::from_hours(1), Duration::from_hours(24), Duration::from_secs(30));
    });
    let fetched = stage.ask(&directory, Freshness::Cached).await.unwrap();
    assert_eq!(fetched.stale, None);
    let at = brevbro::port::Clock::now(stage.clock.as_ref());
    for (what, does) in [("down", Does::HangsUp), ("ill", response("503 Service Unavailable", "", b""))] {
        stage.later(MINUTE * 61);
        stage.does(does);
        let before = stage.requests();
        let old = stage.ask(&directory, Freshness::Cached).await.unwrap();
        assert_eq!((old.stale, &old.endpoint), (Some(at), &fetched.endpoint), "{what}");
        // Nobody is asked again for a while ...
        stage.later(SignedDuration::from_secs(20));
        assert_eq!(stage.ask(&directory, Freshness::Cached).await.unwrap().stale, Some(at));
        assert_eq!(stage.requests(), before + 1, "{what}");
        // ... and then again.
        stage.later(SignedDuration::from_secs(20));
        assert_eq!(stage.ask(&directory, Freshness::Cached).await.unwrap().stale, Some(at));
        assert_eq!(stage.requests(), before + 2, "{what}");
    }
    stage.says(Says::Code(ResponseCode::ServFail));
    stage.later(MINUTE);
    assert_eq!(stage.ask(&directory, Freshness::Cached).await.unwrap().stale, Some(at), "DNS");
    // Who doubts what is kept gets nothing old.
    assert!(matches!(stage.ask(&directory, Freshness::Fresh).await, Err(DirectoryError::Unavailable { .. })));
    stage.later(SignedDuration::from_hours(24));
    assert!(matches!(stage.ask(&directory, Freshness::Cached).await, Err(DirectoryError::Unavailable { .. })), "too old");
    stage.points_to(&format!("http://{}/smp", stage.smp_address));
    stage.publish(&stage.metadata());
    assert_eq!(stage.ask(&directory, Freshness::Cached).await.unwrap().stale, None, "back again");
}

#[tokio::test]
async fn nothing_old_is_used_against_what_is_known_now() {
    let stage = Stage::set().await;
    let patient = |expires: bool| {
        let mut metadata = stage.metadata();
        if expires {
            metadata.processes[0].endpoints[0].expiration = Some(brevbro::port::Clock::now(stage.clock.as_ref()) + 2.hours());
        }
        stage.publish(&metadata);
        stage.directory_with(|options| (options.max_age, options.max_stale) = (Duration::from_hours(1), Duration::from_hours(24)))
    };
    // An answer that is wrong is no outage: what it says instead is not known.
    let directory = patient(false);
    stage.ask(&directory, Freshness::Cached).await.unwrap();
    stage.later(MINUTE * 61);
    stage.does(Does::Gives(b"forged".to_vec()));
    assert!(matches!(stage.ask(&directory, Freshness::Cached).await, Err(DirectoryError::Unusable { .. })));
    // The signer was revoked, or has ended, since.
    for verdict in [TrustError::Revoked, TrustError::Expired(jiff::Timestamp::UNIX_EPOCH)] {
        let directory = patient(false);
        stage.ask(&directory, Freshness::Cached).await.unwrap();
        stage.later(MINUTE * 61);
        stage.does(Does::HangsUp);
        *stage.judge.verdict.lock().unwrap() = Some(verdict.clone());
        let refused = stage.ask(&directory, Freshness::Cached).await;
        assert!(matches!(&refused, Err(DirectoryError::Unusable { reason, .. }) if reason.contains("signer")), "{refused:?}");
        *stage.judge.verdict.lock().unwrap() = None;
        let gone = stage.ask(&directory, Freshness::Cached).await;
        assert!(matches!(gone, Err(DirectoryError::Unavailable { .. })), "it was thrown away: {gone:?}");
    }
    // Whether it was cannot be told.
    let directory = patient(false);
    stage.ask(&directory, Freshness::Cached).await.unwrap();
    stage.later(MINUTE * 61);
    stage.does(Does::HangsUp);
    *stage.judge.verdict.lock().unwrap() = Some(TrustError::Unchecked("no list".into()));
    assert!(matches!(stage.ask(&directory, Freshness::Cached).await, Err(DirectoryError::Unavailable { .. })));
    *stage.judge.verdict.lock().unwrap() = None;
    // The endpoint's own end.
    let directory = patient(true);
    stage.ask(&directory, Freshness::Cached).await.unwrap();
    stage.later(MINUTE * 90);
    stage.does(Does::HangsUp);
    assert!(stage.ask(&directory, Freshness::Cached).await.unwrap().stale.is_some());
    stage.later(MINUTE * 31);
    assert!(matches!(stage.ask(&directory, Freshness::Cached).await, Err(DirectoryError::Unavailable { .. })));
}
