//! States and messages that the steps are tried on.

use brevbro::as4::UserMessage;
use brevbro::content::{Content, Document, Party};
use brevbro::ident::{DocumentKind, MessageId, ParticipantId, RecordId, Sha256};
use brevbro::inbound::{Arrival, Taken};
use brevbro::outbound::state::Notify;
use brevbro::outbound::{Dispatch, Letter, Outgoing, Reached, Waiting};
use brevbro::port::{BlobId, Effects, Job, JobId, Lease, Op, Queue, Tell, Told};
use brevbro::sdk::envelope::Header;
use brevbro::sdk::receipt::{Outcome, Receipt};
use brevbro::sdk::rules::Breach;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

pub const HABO: &str = "0203:habo.se";
pub const AF: &str = "0203:arbetsformedlingen.se";
pub const MESSAGE: &str = "7bc5576a-3f87-4cf5-a0c5-277da06fcacb";

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap() + SignedDuration::from_secs(seconds)
}

pub fn participant(id: &str) -> ParticipantId {
    id.parse().unwrap()
}

pub fn message_id() -> MessageId {
    MESSAGE.parse().unwrap()
}

pub fn blob(n: u128) -> BlobId {
    BlobId(Uuid::from_u128(n))
}

pub fn lease(record: RecordId, queue: Queue, attempt: u32) -> Lease {
    let mut job = Job::new(JobId::of(record, "test"), queue, record, at(0));
    job.attempt = attempt;
    Lease { job, token: 1, until: at(1_000_000) }
}

pub fn letter() -> Letter {
    Letter {
        record: RecordId(Uuid::from_u128(1)),
        mail: blob(2),
        transaction: Uuid::from_u128(3),
        accepted_at: at(0),
        organisation: participant(HABO),
        function: "socialkontoret".parse().unwrap(),
        sender: "socialkontoret@habo.se".parse().unwrap(),
        address: "inkorg@arbetsformedlingen.se.sdk.habo.se".parse().unwrap(),
        participant: participant(AF),
        to_function: "inkorg".parse().unwrap(),
        message_id: message_id(),
        conversation_id: MESSAGE.parse().unwrap(),
        in_reply_to: None,
        mail_message_id: Some("<1@habo.se>".into()),
        envid: None,
        orcpt: None,
        notify: Notify { success: true, failure: true, delay: true },
        resent: None,
        octets: Some(1_000),
        after: None,
    }
}

pub fn waiting() -> Waiting {
    let dispatch = Dispatch {
        as4_id: "a@b".parse().unwrap(),
        envelope: blob(4),
        request: Some(blob(5)),
        reached: Reached::Never,
        delay_told: None,
        place: None,
        yields: false,
    };
    Waiting { letter: letter(), dispatch, acknowledged_at: at(10), signal: Some(blob(6)), delay_told: None }
}

pub fn receipt(outcome: Outcome) -> Receipt {
    Receipt { id: "r".into(), issued: at(20), sender: participant(AF), receiver: participant(HABO), refers_to: message_id(), outcome }
}

pub fn arrival() -> Arrival {
    Arrival {
        record: RecordId(Uuid::from_u128(21)),
        organisation: participant(AF),
        from: participant(HABO),
        kind: DocumentKind::Message,
        envelope_id: message_id(),
        as4_id: "a@b".parse().unwrap(),
        as4_conversation: MESSAGE.into(),
        peer: "AP0001-TEST".parse().unwrap(),
        peer_certificate: Sha256([1; 32]),
        peer_signature: Sha256([2; 32]),
        envelope: blob(22),
        signal: blob(23),
        received_at: at(0),
        octets: Some(1_000),
    }
}

pub fn taken() -> Taken {
    Taken {
        arrival: arrival(),
        message: blob(24),
        conversation_id: MESSAGE.parse().unwrap(),
        in_reply_to: None,
        function: "inkorg".parse().unwrap(),
        mailbox: "inkorg@arbetsformedlingen.se".parse().unwrap(),
        alarmed: false,
    }
}

pub fn header() -> Header {
    Header {
        id: message_id(),
        created: at(0),
        kind: DocumentKind::Message,
        federation: "urn:fdc:digg.se:edelivery:federation:test".parse().unwrap(),
        from: participant(HABO),
        to: participant(AF),
        service: Some("inkorg".parse().unwrap()),
        encrypted: true,
    }
}

pub fn user_message() -> UserMessage {
    UserMessage {
        message_id: "a@b".parse().unwrap(),
        timestamp: at(0),
        ref_to: None,
        from: "AP0001-TEST".parse().unwrap(),
        to: "AP0002-TEST".parse().unwrap(),
        conversation_id: MESSAGE.into(),
        kind: DocumentKind::Message,
        original_sender: participant(HABO),
        final_recipient: participant(AF),
    }
}

pub fn content() -> Content {
    let party = |id: &str, function: &str| Party {
        participant: participant(id),
        label: None,
        function: Some(function.parse().unwrap()),
        function_label: None,
        persons: Vec::new(),
        references: Vec::new(),
    };
    Content {
        created: Timestamp::from_millisecond(at(0).as_millisecond()).unwrap(),
        message_id: message_id(),
        conversation_id: MESSAGE.parse().unwrap(),
        in_reply_to: None,
        label: Some("Rubrik".to_owned().into()),
        confidential: true,
        generating_system: None,
        recipient: party(AF, "inkorg"),
        sender: party(HABO, "socialkontoret"),
        documents: vec![Document { id: "1".into(), name: None, index: Some("1".into()), files: Vec::new(), texts: vec!["Hej".to_owned().into()] }],
        foreign: Vec::new(),
    }
}

/// What the effects tell people.
pub fn tells(effects: &Effects) -> Vec<Tell> {
    let jobs = effects.step.ops.iter().filter_map(|op| match op {
        Op::Enqueue(job) if job.queue == Queue::Notify => Some(serde_json::from_str::<Told>(&job.note).unwrap().tell),
        _ => None,
    });
    jobs.collect()
}

/// The outgoing state that the effects put.
pub fn put(effects: &Effects) -> Option<Outgoing> {
    effects.step.ops.iter().find_map(|op| match op {
        Op::Put(record) => Outgoing::from_record(record).ok(),
        _ => None,
    })
}

/// The jobs that the effects add, by queue.
pub fn enqueued(effects: &Effects) -> Vec<Queue> {
    let jobs = effects.step.ops.iter().filter_map(|op| match op {
        Op::Enqueue(job) => Some(job.queue),
        _ => None,
    });
    jobs.collect()
}

pub fn names(effects: &Effects) -> Vec<brevbro::event::EventName> {
    let events = effects.step.ops.iter().filter_map(|op| match op {
        Op::Audit(event) => Some(event.name),
        _ => None,
    });
    events.collect()
}

pub fn not_found() -> Outcome {
    Outcome::Rejected(vec![Breach::unknown_function()])
}
