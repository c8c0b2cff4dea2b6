//! Outgoing messages: one outcome, told once, and history is never rewritten.

use brevbro::as4::EbmsError;
use brevbro::event::{EventName, Field};
use brevbro::failure::{Failure, Permanence};
use brevbro::ident::{As4MessageId, DocumentKind};
use brevbro::mail::alarm::Cause;
use brevbro::outbound::retry::Schedule;
use brevbro::outbound::seal::{self, Seal};
use brevbro::outbound::settle::{Received, overdue, settle};
use brevbro::outbound::state::{End, Ended};
use brevbro::outbound::verdict::{self, Verdict};
use brevbro::outbound::{Cargo, Dispatch, Outgoing, Reached, Reply, Scheduled, Submitted, address, send};
use brevbro::port::Metadata;
use brevbro::port::{Fail, Guard, Op, Queue, Tell};
use brevbro::sdk::message::MessageLimits;
use brevbro::sdk::receipt::{Outcome, Receipt};
use brevbro::sdk::rules::{Breach, Detail, ReasonCode};

use crate::made::{AF, HABO, at, blob, lease, letter, message_id, names, not_found, participant, put, receipt, tells, waiting};

pub(crate) fn settled(state: Outgoing, receipt: &Receipt, from: &str) -> brevbro::port::Effects {
    let (id, from) = (message_id(), participant(from));
    settle(state, &Received { receipt, envelope_id: &id, from: &from, blob: blob(9) }, at(30)).unwrap()
}

#[test]
fn an_accepted_message_ends_there_and_is_told_once() {
    let effects = settled(Outgoing::Waiting(waiting()), &receipt(Outcome::Accepted), AF);
    assert!(matches!(put(&effects), Some(Outgoing::Ended(Ended { end: End::Accepted, .. }))));
    assert!(matches!(tells(&effects)[..], [Tell::Accepted { late: false, .. }]));
    assert_eq!(effects.step.ops.iter().filter(|op| matches!(op, Op::Cancel(_))).count(), 3, "neither sealed, sent nor awaited any longer");
    assert!(effects.step.guards.contains(&Guard::In(letter().record, Outgoing::WAITING)));
}

#[test]
fn what_an_ended_message_names_is_kept() {
    let Some(Outgoing::Ended(ended)) = put(&settled(Outgoing::Waiting(waiting()), &receipt(Outcome::Accepted), AF)) else { panic!("ended") };
    assert_eq!(ended.kept, [blob(4), blob(5), blob(6), blob(9)], "envelope, request, their receipt, their message receipt");
    assert!(Outgoing::Ended(ended).blobs().contains(&letter().mail));
}

#[test]
fn a_receipt_that_overtakes_the_access_points_own_settles_too() {
    let state = waiting();
    let submitted = Submitted { cargo: brevbro::outbound::Cargo::Letter(state.letter), dispatch: state.dispatch };
    let effects = settled(Outgoing::Submitted(submitted), &receipt(Outcome::Accepted), AF);
    assert!(matches!(put(&effects), Some(Outgoing::Ended(Ended { end: End::Accepted, .. }))));
}

#[test]
fn a_rejection_that_is_not_ours_to_mend_does_not_alarm() {
    let effects = settled(Outgoing::Waiting(waiting()), &receipt(not_found()), AF);
    assert!(matches!(put(&effects), Some(Outgoing::Ended(Ended { end: End::Rejected, .. }))));
    assert!(matches!(tells(&effects)[..], [Tell::Rejected { late: false, .. }]));
}

#[test]
fn a_rejection_of_a_faulty_message_alarms_the_operator() {
    let faulty = Outcome::Rejected(vec![Breach::structure("/messagePayload", "the schema")]);
    let effects = settled(Outgoing::Waiting(waiting()), &receipt(faulty), AF);
    assert!(matches!(tells(&effects)[..], [Tell::Rejected { .. }, Tell::Alarm { .. }]));
}

#[test]
fn a_rejection_as_duplicate_leaves_the_first_receipt_to_decide() {
    let effects = settled(Outgoing::Waiting(waiting()), &receipt(Outcome::Rejected(vec![Breach::duplicate()])), AF);
    assert!(put(&effects).is_none() && tells(&effects).is_empty());
    assert_eq!(effects.discard, [blob(9)]);
}

#[test]
fn a_receipt_that_another_participant_signed_counts_for_nothing() {
    let effects = settled(Outgoing::Waiting(waiting()), &receipt(Outcome::Accepted), HABO);
    assert_eq!(names(&effects), [EventName::StrayReceipt]);
    assert!(put(&effects).is_none() && tells(&effects).is_empty());
}

#[test]
fn a_late_receipt_is_told_once_and_rewrites_nothing() {
    let ended = Outgoing::Waiting(waiting()).ended(End::ExchangeError, None, at(25));
    let effects = settled(Outgoing::Ended(ended), &receipt(Outcome::Accepted), AF);
    assert_eq!(names(&effects), [EventName::LateReceipt]);
    assert!(matches!(tells(&effects)[..], [Tell::Accepted { late: true, .. }]));
    let Some(Outgoing::Ended(after)) = put(&effects) else { panic!("ended") };
    assert_eq!((after.end, after.late_told), (End::ExchangeError, true));
    let again = settled(Outgoing::Ended(after), &receipt(Outcome::Accepted), AF);
    assert_eq!(names(&again), [EventName::StrayReceipt]);
    assert!(tells(&again).is_empty());
}

#[test]
fn a_contradiction_after_the_end_is_for_the_operator_and_changes_no_outcome() {
    let ended = Outgoing::Waiting(waiting()).ended(End::Accepted, None, at(25));
    let effects = settled(Outgoing::Ended(ended), &receipt(not_found()), AF);
    assert_eq!(names(&effects), [EventName::StrayReceipt]);
    assert!(matches!(tells(&effects)[..], [Tell::Alarm { cause: Cause::StrayReceipt, .. }]));
    let Some(Outgoing::Ended(after)) = put(&effects) else { panic!("ended") };
    assert_eq!((after.end, after.kept.last()), (End::Accepted, Some(&blob(9))));
    assert!(effects.discard.is_empty(), "it is kept");
    // However many come, it is told once and they fill no disk.
    let again = settled(Outgoing::Ended(after), &receipt(not_found()), AF);
    assert!(put(&again).is_none() && tells(&again).is_empty() && again.discard == [blob(9)]);
}

#[test]
fn a_receipt_for_what_was_not_sent_is_stray() {
    let effects = settled(Outgoing::Scheduled(Scheduled { letter: letter(), delay_told: None }), &receipt(Outcome::Accepted), AF);
    assert_eq!(names(&effects), [EventName::StrayReceipt]);
}

#[test]
fn who_asked_for_nothing_is_told_nothing() {
    let mut state = waiting();
    state.letter.notify = brevbro::outbound::state::Notify { success: false, failure: false, delay: false };
    for outcome in [Outcome::Accepted, not_found()] {
        assert!(tells(&settled(Outgoing::Waiting(state.clone()), &receipt(outcome), AF)).is_empty());
    }
    let schedule = Schedule::default();
    let effects = overdue(state, lease(letter().record, Queue::Await, 0), &schedule, at(3_700)).unwrap();
    assert!(tells(&effects).is_empty());
}

#[test]
fn a_missing_receipt_is_told_as_late_and_at_last_as_unknown() {
    let schedule = Schedule::default();
    let first = overdue(waiting(), lease(letter().record, Queue::Await, 0), &schedule, at(3_700)).unwrap();
    assert!(matches!(tells(&first)[..], [Tell::Delayed { .. }]));
    let Some(Outgoing::Waiting(state)) = put(&first) else { panic!("still waiting") };
    let again = overdue(state.clone(), lease(letter().record, Queue::Await, 1), &schedule, at(7_200)).unwrap();
    assert!(tells(&again).is_empty(), "a delay is told once");
    let last = overdue(state, lease(letter().record, Queue::Await, 2), &schedule, at(10 + 24 * 3_600)).unwrap();
    assert!(matches!(tells(&last)[..], [Tell::Failed { why: Fail::NoReceipt { .. } }, Tell::Alarm { .. }]));
    assert!(matches!(put(&last), Some(Outgoing::Ended(Ended { end: End::ExchangeError, .. }))));
}

#[test]
fn the_journals_summary_of_a_receipt_quotes_nothing() {
    let lines = vec![Breach::new(ReasonCode::Bv, Detail::Invariant, "/x", "hemlig text")];
    assert_eq!(Outcome::Rejected(lines).summary(), "REJECTED BV invariant");
}

pub(crate) fn submitted(cargo: Cargo) -> Submitted {
    Submitted {
        cargo,
        dispatch: Dispatch {
            as4_id: "a@b".parse().unwrap(),
            envelope: blob(4),
            request: None,
            reached: Reached::Never,
            delay_told: None,
            place: None,
            yields: false,
        },
    }
}

pub(crate) fn reply() -> Reply {
    Reply {
        record: letter().record,
        organisation: participant(AF),
        participant: participant(HABO),
        envelope_id: "0a6f2b4e-6c8d-4a57-9c55-7d0f2f3f9b10".parse().unwrap(),
        refers_to: message_id(),
        incoming: letter().record,
        code: "ACCEPTED".into(),
        made_at: at(0),
        resent: None,
    }
}

#[test]
fn a_message_travels_by_its_conversation_and_a_receipt_by_its_envelope() {
    let (from, to) = ("AP0001-TEST".parse().unwrap(), "AP0002-TEST".parse().unwrap());
    let message = send::user_message(&submitted(Cargo::Letter(letter())), &from, &to, at(1));
    assert_eq!((message.kind, message.conversation_id.as_str()), (DocumentKind::Message, letter().conversation_id.as_str()));
    assert_eq!((message.original_sender, message.final_recipient), (participant(HABO), participant(AF)));
    let receipt = send::user_message(&submitted(Cargo::Reply(reply())), &to, &from, at(1));
    assert_eq!((receipt.kind, receipt.conversation_id.as_str()), (DocumentKind::Receipt, reply().envelope_id.as_str()));
}

pub(crate) fn metadata(identity: &brevbro::crypto::Identity) -> Metadata {
    Metadata {
        participant: participant(AF),
        kind: DocumentKind::Message,
        endpoint: "https://as4.example.se/as4".into(),
        access_point: identity.certificate.clone(),
        transport_profile: address::TRANSPORT_PROFILE.into(),
        activation: None,
        expiration: None,
        signing: vec![identity.certificate.clone()],
        encryption: vec![identity.certificate.clone()],
        signer: identity.certificate.clone(),
        stale: None,
    }
}

#[test]
fn what_breaks_the_rules_of_a_message_is_not_sealed() {
    let identity = crate::common::pki::Ca::new("Test CA").issue("af.example.se");
    let federation = "urn:fdc:digg.se:edelivery:federation:test".parse().unwrap();
    let with = || Seal {
        signer: &identity,
        federation: &federation,
        as4_id: As4MessageId::new("a@b").unwrap(),
        envelope: blob(4),
        limits: MessageLimits::SENDING,
        missing: &[],
        now: at(1),
    };
    let scheduled = || Scheduled { letter: letter(), delay_told: None };
    let sealed = seal::message(scheduled(), lease(letter().record, Queue::Seal, 0), &crate::made::content(), &metadata(&identity), &with()).unwrap();
    assert!(matches!(put(&sealed), Some(Outgoing::Submitted(_))));
    assert_eq!(crate::made::enqueued(&sealed), [Queue::Send]);
    let mut faulty = crate::made::content();
    faulty.label = Some(" ".to_owned().into());
    let failure = seal::message(scheduled(), lease(letter().record, Queue::Seal, 0), &faulty, &metadata(&identity), &with()).unwrap_err();
    assert!(!failure.is_temporary() && failure.what.contains("invariant"), "{failure}");
}

#[test]
fn an_endpoint_of_another_profile_or_time_is_not_sent_to() {
    let identity = crate::common::pki::Ca::new("Test CA").issue("af.example.se");
    let sound = metadata(&identity);
    assert_eq!(address::endpoint(&sound, &[address::TRANSPORT_PROFILE.to_owned()], at(1)), Ok(()));
    for metadata in [
        Metadata { transport_profile: "busdox-transport-as4-v2".into(), ..sound.clone() },
        Metadata { activation: Some(at(2)), ..sound.clone() },
        Metadata { expiration: Some(at(0)), ..sound },
    ] {
        let unaddressed = address::endpoint(&metadata, &[address::TRANSPORT_PROFILE.to_owned()], at(1)).unwrap_err();
        assert_eq!((unaddressed.fail, unaddressed.failure.is_temporary()), (Fail::NotRegistered, false));
    }
}

#[test]
fn every_line_of_a_failed_attempt_has_the_event_logs_fields() {
    // SDK C3.4.6 3.4.1, outgoing: access point and its certificate, time, both participants, AS4 ids, cause; and the code it answered with.
    let state = waiting();
    let submitted = || Submitted { cargo: Cargo::Letter(letter()), dispatch: state.dispatch.clone() };
    let schedule = Schedule::default();
    let refused = EbmsError::not_serviced();
    let Verdict::Failed { failure, fail, .. } = verdict::of_errors(std::slice::from_ref(&refused), Reached::Never) else { panic!("refused") };
    assert_eq!(fail, Fail::NotServed);
    let final_one = failure.about(Field::PeerAccessPoint, "AP0009-TEST").about(Field::PeerCertificate, "ab");
    let passing = Failure { permanence: Permanence::Temporary, ..final_one.clone() };
    for (failure, name) in [(passing, EventName::SendDeferred), (final_one, EventName::ExchangeFailed)] {
        let lease = lease(letter().record, Queue::Send, 0);
        let effects = send::failed(send::Attempted::Submitted(submitted()), lease, &failure, fail, &schedule, at(5), 0).unwrap();
        let event = effects.step.ops.iter().find_map(|op| match op {
            Op::Audit(event) if event.name == name => Some(event),
            _ => None,
        });
        let event = event.unwrap();
        assert_eq!(event.at, at(5));
        for (field, value) in [
            (Field::PeerAccessPoint, "AP0009-TEST"),
            (Field::PeerCertificate, "ab"),
            (Field::OriginalSender, HABO),
            (Field::FinalRecipient, AF),
            (Field::As4MessageId, "a@b"),
            (Field::As4ConversationId, letter().conversation_id.as_str()),
            (Field::MessageId, letter().message_id.as_str()),
            (Field::ErrorCode, "EBMS:0004"),
            (Field::Cause, failure.what.as_str()),
        ] {
            assert_eq!(event.fields.get(&field).map(String::as_str), Some(value), "{field:?}");
        }
    }
}

#[test]
fn an_access_point_that_does_not_serve_the_recipient_ends_it_and_both_are_told() {
    let state = waiting();
    let submitted = Submitted { cargo: Cargo::Letter(letter()), dispatch: state.dispatch };
    let Verdict::Failed { failure, fail, .. } = verdict::of_errors(&[EbmsError::not_serviced()], Reached::Perhaps) else { panic!("refused") };
    let lease = lease(letter().record, Queue::Send, 0);
    let effects = send::failed(send::Attempted::Submitted(submitted), lease, &failure, fail, &Schedule::default(), at(5), 0).unwrap();
    assert!(matches!(tells(&effects)[..], [Tell::Failed { why: Fail::NotServed }, Tell::Alarm { cause: Cause::Unsent, .. }]));
}
