//! Incoming envelopes: what disagrees is refused, what is valid is kept before it is acknowledged.

use brevbro::as4::EbmsError;
use brevbro::crypto::{Profile, Template};
use brevbro::event::{Event, EventName, Field};
use brevbro::ident::{DocumentKind, FunctionId, ParticipantId, Sha256};
use brevbro::inbound::check::{self, Known};
use brevbro::inbound::read::{self, Reader};
use brevbro::inbound::receive::{self, Brought, Caller, Refused, Seen, Unreceived};
use brevbro::inbound::settle::{self, Names};
use brevbro::inbound::state::How;
use brevbro::inbound::{Arrival, Closed, Delivered, Incoming, Purged, Read, Returned, Undeliverable, Unread, Was, deliver, returned};
use brevbro::mail::returned::{Fate, Returned as Notice};
use brevbro::outbound::accept::Link;
use brevbro::port::{BlobKind, DirectoryError, Effects, Guard, JobId, Metadata, Op, Queue, Retained, SinkAnswer, SinkError, Tell};
use brevbro::sdk::message::{self, MessageLimits};
use brevbro::sdk::receipt::{self, Outcome};
use brevbro::sdk::rules::{Breach, Detail};

use crate::made::{AF, HABO, arrival, at, blob, content, enqueued, header, lease, message_id, names, participant, taken, tells, user_message};

pub(crate) fn signer() -> Sha256 {
    Sha256([9; 32])
}

fn cross_check(change: impl FnOnce(&mut brevbro::as4::UserMessage, &mut brevbro::sdk::envelope::Header)) -> Result<(), Refused> {
    let (mut message, mut header) = (user_message(), header());
    change(&mut message, &mut header);
    let serves = |id: &ParticipantId| *id == participant(AF);
    receive::cross_check(&message, &header, &"urn:fdc:digg.se:edelivery:federation:test".parse().unwrap(), &serves)
}

#[test]
fn a_message_that_agrees_with_its_envelope_is_taken() {
    assert_eq!(cross_check(|_, _| {}), Ok(()));
    // Participant ids are compared without regard to case.
    assert_eq!(cross_check(|_, header| header.from = participant("0203:HABO.SE")), Ok(()));
}

#[test]
fn a_participant_that_is_not_served_gets_not_serviced() {
    let refused = cross_check(|message, _| message.final_recipient = participant("0203:annan.se")).unwrap_err();
    assert!(refused.error.is_not_serviced());
}

#[test]
fn every_disagreement_of_header_and_envelope_is_refused() {
    type Change = fn(&mut brevbro::as4::UserMessage, &mut brevbro::sdk::envelope::Header);
    let changes: [(&str, Change); 4] = [
        ("ToParty", |_, header| header.to = participant("0203:annan.se")),
        ("FromParty", |_, header| header.from = participant("0203:annan.se")),
        ("document", |message, _| message.kind = DocumentKind::Receipt),
        ("federation", |_, header| header.federation = "urn:fdc:digg.se:edelivery:federation:sdk".parse().unwrap()),
    ];
    for (what, change) in changes {
        let refused = cross_check(change).unwrap_err();
        assert_eq!(&*refused.error.code, "EBMS:0003", "{what}");
        assert!(refused.cause.contains(what), "{}", refused.cause);
    }
}

pub(crate) fn caller() -> Caller {
    Caller { address: "::1".into(), certificate: Some(("CN=peer.se".into(), brevbro::crypto::sha256(b"certificate"))) }
}

#[test]
fn an_arrival_is_marked_with_its_receipt_for_its_duplicate() {
    let effects = receive::receive(arrival(), b"receipt".to_vec(), &caller(), at(1)).unwrap();
    let Some(Op::Audit(event)) = effects.step.ops.iter().find(|op| matches!(op, Op::Audit(_))) else { panic!("no line") };
    assert_eq!((&event.fields[&Field::TlsClient], &event.fields[&Field::PeerAddress]), (&"CN=peer.se".to_owned(), &"::1".to_owned()));
    assert_eq!(event.fields[&Field::TlsClientCertificate], brevbro::crypto::sha256(b"certificate").to_string());
    let mark = Arrival::seen(&arrival().peer, &arrival().as4_id);
    assert!(effects.step.guards.contains(&Guard::Absent(mark.clone())));
    assert!(effects.step.ops.contains(&Op::Note(mark, arrival().signal.0.simple().to_string())));
    assert_eq!(effects.blobs.iter().map(|new| (new.blob.id, new.blob.kind)).collect::<Vec<_>>(), [(arrival().signal, BlobKind::Signal)]);
    assert_eq!(enqueued(&effects), [Queue::Open]);
}

#[test]
fn the_same_as4_id_of_another_access_point_is_another_message() {
    let other = "AP0009-TEST".parse().unwrap();
    assert_ne!(Arrival::seen(&arrival().peer, &arrival().as4_id), Arrival::seen(&other, &arrival().as4_id));
}

/// What the register says of a participant at an access point of this name.
fn metadata(participant: &str, access_point: &str) -> Metadata {
    let subject = vec![("CN", access_point.to_owned())];
    let template = Template { subject, from: at(-1_000), until: at(100_000_000), profile: Profile::Service, crl_url: None, ocsp_url: None };
    let certificate = template.issue(2048, None).unwrap().certificate;
    Metadata {
        participant: crate::made::participant(participant),
        kind: DocumentKind::Message,
        endpoint: "https://ap.example.se/as4".into(),
        access_point: certificate.clone(),
        transport_profile: "digg-transport-as4-v1_0".into(),
        activation: None,
        expiration: None,
        signing: Vec::new(),
        encryption: Vec::new(),
        signer: certificate,
        stale: None,
    }
}

fn unavailable() -> DirectoryError {
    DirectoryError::Unavailable { service: "SMP".into(), reason: "down".into() }
}

#[test]
fn a_recipient_that_the_register_does_not_have_for_the_document_is_not_serviced() {
    let unknown = DirectoryError::UnknownDocument { participant: participant(AF), kind: DocumentKind::Message };
    for error in [unknown, DirectoryError::UnknownParticipant(participant(AF))] {
        assert!(receive::registered(&Err(error)).unwrap_err().error.is_not_serviced());
    }
    assert_eq!(receive::registered(&Ok(metadata(AF, "AP0002-TEST"))), Ok(()));
    // SDK C3.4.6 3.1.2.b: that nobody can tell is no reason to refuse.
    assert_eq!(receive::registered(&Err(unavailable())), Ok(()));
}

#[test]
fn a_sender_that_is_registered_at_another_access_point_is_found() {
    let message = user_message();
    assert_eq!(receive::brought(&message, &Ok(metadata(HABO, message.from.as_str()))), Brought::Rightly);
    let Brought::Wrongly(refused) = receive::brought(&message, &Ok(metadata(HABO, "AP0099-TEST"))) else { panic!("refused") };
    assert_eq!(&*refused.error.code, "EBMS:0003");
    let unknown = Err(DirectoryError::UnknownParticipant(participant(HABO)));
    assert!(matches!(receive::brought(&message, &unknown), Brought::Wrongly(_)));
    assert!(matches!(receive::brought(&message, &Err(unavailable())), Brought::Unknown(failure) if failure.is_temporary()));
}

#[test]
fn a_refusal_and_a_duplicate_each_leave_a_line() {
    let (error, own) = (EbmsError::not_serviced(), participant(AF));
    let seen = Seen::unopened(Some(&"a@b".parse().unwrap()));
    let caller = caller();
    let refused = Unreceived { caller: &caller, seen: &seen, organisation: Some(&own), cause: Some("why"), error: Some(&error) };
    let duplicate = Unreceived { cause: None, error: None, ..refused };
    assert_eq!(names(&Effects::from(receive::unreceived(&refused, at(1)))), [EventName::Refused]);
    assert_eq!(names(&Effects::from(receive::unreceived(&duplicate, at(1)))), [EventName::DuplicateReceived]);
    // What breaks the federation's rules is told to the operator, with its ids.
    let reported = Effects::from(receive::reported(&refused, arrival().record, at(1)));
    assert_eq!(names(&reported), [EventName::Refused]);
    assert!(matches!(tells(&reported)[..], [Tell::Alarm { .. }]));
    assert!(
        reported.step.ops.iter().any(|op| matches!(op, Op::Note(key, facts) if *key == Tell::facts_key(arrival().record) && facts.contains("a@b")))
    );
}

#[test]
fn every_line_of_an_arrival_has_the_event_logs_fields() {
    // SDK C3.4.6 3.4.1, incoming: access point, certificate and signature, time, both participants, AS4 ids.
    let event = arrival().event(at(9), EventName::Discarded);
    assert_eq!(event.at, at(9));
    for (field, value) in [
        (Field::PeerAccessPoint, "AP0001-TEST".to_owned()),
        (Field::PeerCertificate, arrival().peer_certificate.to_string()),
        (Field::PeerSignature, arrival().peer_signature.to_string()),
        (Field::OriginalSender, HABO.to_owned()),
        (Field::FinalRecipient, AF.to_owned()),
        (Field::As4MessageId, "a@b".to_owned()),
        (Field::As4ConversationId, arrival().as4_conversation),
    ] {
        assert_eq!(event.fields.get(&field), Some(&value), "{field:?}");
    }
}

fn checked(change: impl FnOnce(&mut brevbro::content::Content), seen_before: bool) -> Result<(), Vec<Breach>> {
    let mut message = content();
    change(&mut message);
    let xml = message::write(&message).unwrap();
    let ours: FunctionId = "inkorg".parse().unwrap();
    let known = Known { has_function: &|function| *function == ours, takes: &|_, _| true, seen_before, limits: &MessageLimits::RECEIVING };
    check::message(&xml, &header(), &known).verdict(false).map(drop)
}

#[test]
fn all_breaches_are_reported_not_the_first() {
    assert_eq!(checked(|_| {}, false), Ok(()));
    let breaches = checked(|message| message.recipient.function = Some("okand".parse().unwrap()), true).unwrap_err();
    let details: Vec<Detail> = breaches.iter().map(|breach| breach.detail).collect();
    for detail in [Detail::Duplicate, Detail::NotFound, Detail::Security] {
        assert!(details.contains(&detail), "{details:?}");
    }
}

#[test]
fn a_message_over_the_limit_is_too_long() {
    let xml = message::write(&content()).unwrap();
    let known = Known { has_function: &|_| true, takes: &|_, _| true, seen_before: false, limits: &MessageLimits { payload: xml.len() - 1 } };
    let breaches = check::message(&xml, &header(), &known).verdict(false).unwrap_err();
    assert_eq!(breaches.iter().map(|breach| breach.detail).collect::<Vec<_>>(), [Detail::TooLong]);
}

pub(crate) fn names_for_settling() -> Names {
    Names { receipt_id: "r1".into(), receipt: blob(31), message: blob(32) }
}

#[test]
fn a_valid_message_its_receipt_and_the_mark_of_its_id_become_durable_together() {
    let message = content();
    let link = Link { conversation: message.conversation_id.clone(), message: message_id(), record: arrival().record };
    let key = Link::received(&message_id());
    let mailbox = "inkorg@arbetsformedlingen.se".parse().unwrap();
    let lease = lease(arrival().record, Queue::Open, 0);
    let effects =
        settle::taken(arrival(), lease, &message, b"<xml/>".to_vec(), &mailbox, signer(), (key.clone(), link.to_note()), names_for_settling(), at(2))
            .unwrap();
    assert!(effects.step.guards.contains(&Guard::Absent(key)), "a second one of the same id is not taken");
    assert_eq!(effects.blobs.iter().map(|new| new.blob.kind).collect::<Vec<_>>(), [BlobKind::Message, BlobKind::Receipt]);
    assert_eq!(enqueued(&effects), [Queue::Deliver, Queue::Answer]);
    assert_eq!(effects.discard, [arrival().envelope]);
    let receipt = receipt::read(&effects.blobs[1].body).unwrap();
    assert_eq!((receipt.outcome, receipt.refers_to), (Outcome::Accepted, message_id()));
    assert_eq!((receipt.sender, receipt.receiver), (participant(AF), participant(HABO)));
}

#[test]
fn a_rejected_message_is_answered_and_its_answers_will_be_turned_away() {
    let lease = lease(arrival().record, Queue::Open, 0);
    let effects = settle::turned_away(arrival(), lease, None, vec![Breach::unknown_function()], &names_for_settling(), at(2)).unwrap();
    assert_eq!(enqueued(&effects), [Queue::Purge, Queue::Answer]);
    assert!(effects.step.ops.iter().any(|op| matches!(op, Op::Note(key, _) if *key == settle::rejected(&arrival().from, &message_id()))));
    let receipt = receipt::read(&effects.blobs[0].body).unwrap();
    assert!(matches!(receipt.outcome, Outcome::Rejected(lines) if lines.len() == 1 && lines[0].detail == Detail::NotFound));
}

#[test]
fn a_message_that_breaks_the_schema_is_told_all_the_rest_too() {
    let xml = String::from_utf8(message::write(&content()).unwrap()).unwrap();
    let file = "<ContentFiles><fileName>a</fileName><contentType>application/x-prov</contentType><content>AAEC</content></ContentFiles><ContentText>";
    let xml = xml.replace("<confidentiality>true", "<confidentiality>ja").replace("<ContentText>", file);
    // A hundred breaches and more of the schema leave room for what this gateway alone knows.
    let flood = xml.replace("<messageBody>", &format!("<messageBody>{}", "<x>y</x>".repeat(200)));
    for xml in [xml, flood] {
        let ours: FunctionId = "inkorg".parse().unwrap();
        for (known_function, expected) in [(true, vec![Detail::Duplicate, Detail::NotSupported]), (false, vec![Detail::Duplicate, Detail::NotFound])]
        {
            let known = Known {
                has_function: &|function| known_function && *function == ours,
                takes: &|_, media_type| media_type != "application/x-prov",
                seen_before: true,
                limits: &MessageLimits::RECEIVING,
            };
            let breaches = check::message(xml.as_bytes(), &header(), &known).verdict(false).unwrap_err();
            let (first, rest) = breaches.split_at(2);
            assert_eq!(first.iter().map(|breach| breach.detail).collect::<Vec<_>>(), expected);
            assert!(!rest.is_empty() && rest.iter().all(|breach| breach.detail == Detail::Structure), "{rest:?}");
            let settled =
                settle::turned_away(arrival(), lease(arrival().record, Queue::Open, 0), None, breaches, &names_for_settling(), at(2)).unwrap();
            let Outcome::Rejected(lines) = receipt::read(&settled.blobs[0].body).unwrap().outcome else { panic!("rejected") };
            assert_eq!(lines[..2].iter().map(|line| line.detail).collect::<Vec<_>>(), expected);
        }
    }
}

#[test]
fn what_answers_a_rejected_message_is_told_so_beside_everything_else() {
    let mut message = content();
    message.in_reply_to = Some("1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b".parse().unwrap());
    let xml = String::from_utf8(message::write(&message).unwrap()).unwrap();
    let known = Known { has_function: &|_| true, takes: &|_, _| true, seen_before: false, limits: &MessageLimits::RECEIVING };
    let told = |xml: &str, rejected: bool| -> Vec<Detail> {
        let checked = check::message(xml.as_bytes(), &header(), &known);
        assert_eq!(checked.answers(), message.in_reply_to.as_ref());
        checked.verdict(rejected).err().unwrap_or_default().iter().map(|breach| breach.detail).collect()
    };
    assert_eq!(told(&xml, false), []);
    assert_eq!(told(&xml, true), [Detail::NotSupported]);
    assert_eq!(told(&xml.replace("<confidentiality>true", "<confidentiality>ja"), true), [Detail::NotSupported, Detail::Structure]);
}

#[test]
fn a_file_is_told_by_its_place_in_the_xml_whatever_its_index() {
    let mut message = content();
    let file = |media_type: &str| brevbro::content::File { name: "a".to_owned().into(), media_type: media_type.into(), body: vec![1].into() };
    message.documents[0].index = Some("2".into());
    let mut second = message.documents[0].clone();
    (second.id, second.index) = ("2".into(), Some("1".into()));
    second.files = vec![file("application/pdf"), file("application/x-prov")];
    message.documents.push(second);
    let known =
        Known { has_function: &|_| true, takes: &|_, kind| kind != "application/x-prov", seen_before: false, limits: &MessageLimits::RECEIVING };
    let breaches = check::message(&message::write(&message).unwrap(), &header(), &known).verdict(false).unwrap_err();
    assert_eq!(breaches, [Breach::file_type(2, 2)]);
}

#[test]
fn a_mark_of_rejection_is_its_senders_own_and_goes_when_the_message_is_put_right() {
    let other = participant("0203:annan.se");
    assert_ne!(settle::rejected(&arrival().from, &message_id()), settle::rejected(&other, &message_id()));
    let marks = |breaches: Vec<Breach>| {
        let effects = settle::turned_away(arrival(), lease(arrival().record, Queue::Open, 0), None, breaches, &names_for_settling(), at(2)).unwrap();
        effects.step.ops.iter().any(|op| matches!(op, Op::Note(..)))
    };
    assert!(marks(vec![Breach::unknown_function()]));
    // What nobody signed marks nothing, and neither does a second copy, whatever else is wrong with it.
    assert!(!marks(vec![Breach::signature("no")]));
    assert!(!marks(vec![Breach::duplicate(), Breach::unknown_function()]));
    let link = Link { conversation: content().conversation_id, message: message_id(), record: arrival().record };
    let link = (Link::received(&message_id()), link.to_note());
    let mailbox = "inkorg@arbetsformedlingen.se".parse().unwrap();
    let lease = lease(arrival().record, Queue::Open, 0);
    let effects = settle::taken(arrival(), lease, &content(), b"<m/>".to_vec(), &mailbox, signer(), link, names_for_settling(), at(2)).unwrap();
    assert!(effects.step.ops.contains(&Op::Forget(settle::rejected(&arrival().from, &message_id()))));
}

#[test]
fn a_second_copy_leaves_the_first_ones_fate_alone() {
    let lease = lease(arrival().record, Queue::Open, 0);
    let effects = settle::turned_away(arrival(), lease, None, vec![Breach::duplicate()], &names_for_settling(), at(2)).unwrap();
    assert!(!effects.step.ops.iter().any(|op| matches!(op, Op::Note(..))));
}

pub(crate) fn failed(attempt: u32, error: &SinkError, again: bool, seconds: i64) -> Effects {
    let lease = lease(arrival().record, Queue::Deliver, attempt);
    deliver::failed(taken(), lease, error, again.then(|| at(seconds + 60)), at(seconds)).unwrap()
}

#[test]
fn a_mail_server_that_says_later_is_asked_again_and_only_a_long_outage_alarms() {
    let early = failed(0, &SinkError::Temporary("busy".into()), true, 5);
    assert_eq!(names(&early), [EventName::DeliveryDeferred]);
    assert!(tells(&early).is_empty());
    assert!(matches!(tells(&failed(9, &SinkError::Temporary("busy".into()), true, 3_601))[..], [Tell::Alarm { .. }]));
}

/// The names of the jobs that tell the operator.
fn alarms(effects: &Effects) -> Vec<JobId> {
    let jobs = effects.step.ops.iter().filter_map(|op| match op {
        Op::Enqueue(job) if job.queue == Queue::Notify => Some(job.id),
        _ => None,
    });
    jobs.collect()
}

/// A job's name makes the Message-ID, and a mail server may drop a mail whose Message-ID it has seen.
#[test]
fn what_comes_back_or_is_refused_twice_is_told_by_two_mails() {
    let notice = Notice { fate: Fate::Failed, status: Some("5.1.1".into()), diagnostic: None, recipient: None, envelope_id: None };
    let unread = |reminded_at| Incoming::Unread(Unread { taken: taken(), told_at: at(3), reminded_at });
    let of_notice = alarms(&returned::returned(unread(None), &notice, "t1", at(9)).unwrap());
    let of_reminder = alarms(&returned::returned(unread(Some(at(10))), &notice, "t2", at(19)).unwrap());
    assert_eq!((of_notice.len(), of_reminder.len()), (1, 1));
    assert_ne!(of_notice, of_reminder);
    let refused = SinkError::Permanent("550".into());
    let (first, redelivered) = (alarms(&failed(0, &refused, false, 5)), alarms(&failed(0, &refused, false, 905)));
    assert_eq!((first.len(), redelivered.len()), (1, 1));
    assert_ne!(first, redelivered);
}

#[test]
fn a_mail_server_that_says_never_alarms_at_once() {
    assert!(matches!(tells(&failed(0, &SinkError::Permanent("550".into()), true, 5))[..], [Tell::Alarm { .. }]));
}

#[test]
fn a_missed_answer_is_journaled_as_a_possible_duplicate() {
    assert_eq!(names(&failed(0, &SinkError::Unknown("cut".into()), true, 5)), [EventName::PossibleDuplicate]);
    let lease = lease(arrival().record, Queue::Deliver, 0);
    let event = Event::new(at(5), EventName::Delivered);
    let first = Effects::from(deliver::hand_over(event.clone(), &lease, false));
    assert!(names(&first).is_empty() && first.step.ops.iter().any(|op| matches!(op, Op::Note(..))));
    assert_eq!(names(&Effects::from(deliver::hand_over(event, &lease, true))), [EventName::PossibleDuplicate]);
}

#[test]
fn an_undeliverable_message_is_kept() {
    let effects = failed(99, &SinkError::Permanent("550".into()), false, 200_000);
    let closed = effects.step.ops.iter().find_map(|op| match op {
        Op::Put(record) => Incoming::from_record(record).ok(),
        _ => None,
    });
    let Some(Incoming::Undeliverable(kept)) = closed else { panic!("{closed:?}") };
    assert_eq!(kept.taken.message, taken().message);
    assert!(effects.discard.is_empty());
}

#[test]
fn every_incoming_state_survives_its_record() {
    let delivered = Delivered { taken: taken(), at: at(3) };
    let closed = Closed { arrival: arrival(), how: How::Discarded, at: at(3), kept: None };
    let returned = Returned { taken: taken(), delivered_at: at(3), at: at(4), status: Some("5.1.1".into()) };
    let all = [
        Incoming::Retrieved(arrival()),
        Incoming::New(taken()),
        Incoming::Delivered(delivered),
        Incoming::Returned(returned),
        Incoming::Unread(Unread { taken: taken(), told_at: at(3), reminded_at: Some(at(4)) }),
        Incoming::Read(Read { taken: taken(), at: at(3), by: Reader::new("anna.ek").unwrap() }),
        Incoming::Undeliverable(Undeliverable { taken: taken(), at: at(3) }),
        Incoming::Handled(Undeliverable { taken: taken(), at: at(3) }),
        Incoming::Closed(closed),
        Incoming::Purged(Purged { was: Was::Taken(taken()), at: at(3), retained: Retained::Going(Vec::new()) }),
        Incoming::Purged(Purged { was: Was::Other(arrival()), at: at(3), retained: Retained::Gone { at: at(4) } }),
    ];
    for state in all {
        assert_eq!(Incoming::from_record(&state.to_record().unwrap()).unwrap(), state);
    }
}

#[test]
fn only_the_first_failure_of_a_delivered_mail_ends_it() {
    let notice = |fate| Notice { fate, status: Some("5.2.2".into()), diagnostic: None, recipient: None, envelope_id: None };
    let delivered = || Incoming::Delivered(Delivered { taken: taken(), at: at(3) });
    let failed = returned::returned(delivered(), &notice(Fate::Failed), "t1", at(9)).unwrap();
    assert_eq!(names(&failed), [EventName::Returned]);
    assert!(matches!(&tells(&failed)[..], [Tell::Alarm { hint, .. }] if hint.contains("full")));
    let put = failed.step.ops.iter().find_map(|op| match op {
        Op::Put(record) => Incoming::from_record(record).ok(),
        _ => None,
    });
    let Some(Incoming::Returned(state)) = put else { panic!("{put:?}") };
    assert_eq!((state.delivered_at, state.at, state.taken), (at(3), at(9), taken()));
    assert!(failed.discard.is_empty(), "the message is kept");
    // Of one that waits here only the mail about it came back.
    let unread = Incoming::Unread(Unread { taken: taken(), told_at: at(3), reminded_at: None });
    let failed = returned::returned(unread, &notice(Fate::Failed), "t1", at(9)).unwrap();
    assert_eq!((names(&failed), tells(&failed).len()), (vec![EventName::Returned], 1));
    assert!(!failed.step.ops.iter().any(|op| matches!(op, Op::Put(_))));
    let known = Incoming::Returned(Returned { taken: taken(), delivered_at: at(3), at: at(9), status: None });
    let closed = Incoming::Closed(Closed { arrival: arrival(), how: How::Undeliverable, at: at(3), kept: None });
    for (state, fate) in
        [(delivered(), Fate::Answered), (delivered(), Fate::Delivered), (delivered(), Fate::Delayed), (known, Fate::Failed), (closed, Fate::Failed)]
    {
        let noted = returned::returned(state, &notice(fate), "t1", at(9)).unwrap();
        assert_eq!((names(&noted), noted.step.ops.len()), (vec![EventName::ReturnNoted], 1));
    }
}

#[test]
fn a_message_that_is_only_told_of_waits_until_somebody_who_is_named_reads_it() {
    let job = |effects: &Effects| enqueued(effects);
    let answer = SinkAnswer { text: "250 ok".into() };
    let told = read::told(taken(), lease(arrival().record, Queue::Deliver, 0), &answer, Some(at(100)), at(5)).unwrap();
    assert_eq!(job(&told), [Queue::Deliver]);
    assert!(told.step.ops.iter().any(|op| matches!(op, Op::Enqueue(job) if job.id == read::reminder(&taken()) && job.due == at(100))));
    let Incoming::Unread(unread) = put(&told) else { panic!("it waits") };
    assert_eq!(Incoming::Unread(unread.clone()).blobs(), [arrival().signal, taken().message], "and is kept");

    let reader = Reader::new("anna.ek@habo.se").unwrap();
    let opened = read::opened(Incoming::Unread(unread), &reader, at(6)).unwrap().unwrap();
    assert!(opened.step.ops.contains(&Op::Cancel(read::reminder(&taken()))));
    let named = |effects: &Effects| {
        effects
            .step
            .ops
            .iter()
            .any(|op| matches!(op, Op::Audit(event) if event.name == EventName::MessageRead && event.fields[&Field::Reader] == "anna.ek@habo.se"))
    };
    let Incoming::Read(first) = put(&opened) else { panic!("it is read") };
    assert!(named(&opened) && opened.discard.is_empty());
    assert_eq!((&first.by, first.at), (&reader, at(6)));
    // Again: one more line, and the first reader stays the first.
    let again = read::opened(Incoming::Read(first), &reader, at(7)).unwrap().unwrap();
    assert!(named(&again) && !again.step.ops.iter().any(|op| matches!(op, Op::Put(_))));
    for other in [Incoming::New(taken()), Incoming::Retrieved(arrival())] {
        assert_eq!(read::opened(other, &reader, at(8)).unwrap(), None);
    }
    for nobody in ["", "  ", "a\nb", &"x".repeat(129)] {
        assert!(Reader::new(nobody).is_err(), "{nobody:?}");
    }
}

/// The record that effects write.
fn put(effects: &Effects) -> Incoming {
    let record = effects.step.ops.iter().find_map(|op| if let Op::Put(record) = op { Some(record) } else { None });
    Incoming::from_record(record.unwrap()).unwrap()
}
