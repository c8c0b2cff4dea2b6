//! What a person wrote is told to nobody: not in a receipt's lines, not in the journal, not in an alarm.

use brevbro::event::Event;
use brevbro::ident::{DocumentKind, RecordId, Sha256};
use brevbro::inbound::check::{self, Known};
use brevbro::inbound::settle::{self, Names};
use brevbro::inbound::{Arrival, open};
use brevbro::port::{BlobId, Effects, Job, JobId, Lease, Op, Queue};
use brevbro::sdk::envelope;
use brevbro::sdk::message::MessageLimits;
use brevbro::sdk::receipt::{self, Outcome};
use jiff::Timestamp;
use uuid::Uuid;

use crate::made;
use crate::tree::{Numbers, Tree, mutate_octets};

/// Stands wherever a person may write, and in every value that a mutation brings in.
const CANARY: &str = "Kanariefagel";

fn at() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn arrival() -> Arrival {
    let header = made::header(DocumentKind::Message);
    Arrival {
        record: RecordId(Uuid::from_u128(1)),
        organisation: header.to,
        from: header.from,
        kind: DocumentKind::Message,
        envelope_id: header.id,
        as4_id: "a@b".parse().unwrap(),
        as4_conversation: made::ID.into(),
        peer: "AP0001-TEST".parse().unwrap(),
        peer_certificate: Sha256([1; 32]),
        peer_signature: Sha256([2; 32]),
        envelope: BlobId(Uuid::from_u128(2)),
        signal: BlobId(Uuid::from_u128(3)),
        received_at: at(),
        octets: Some(1_000),
    }
}

fn lease() -> Lease {
    let record = arrival().record;
    Lease { job: Job::new(JobId::of(record, "open"), Queue::Open, record, at()), token: 1, until: at() }
}

/// Everything that leaves a step towards people or the other side: journal lines, notes of jobs, receipts.
fn leaving(effects: &Effects) -> Vec<String> {
    let events = effects.step.ops.iter().filter_map(|op| match op {
        Op::Audit(event) => Some(serde_json::to_string::<Event>(event).unwrap()),
        Op::Enqueue(job) => Some(job.note.clone()),
        _ => None,
    });
    let blobs = effects.blobs.iter().map(|new| format!("{}{}", new.blob.header, String::from_utf8_lossy(&new.body)));
    events.chain(blobs).collect()
}

fn mutant(seed: &str, tree: &Tree, number: usize) -> Vec<u8> {
    let mut numbers = Numbers::new(1_000_000 + number as u64);
    if numbers.below(10) == 0 {
        let mut octets = seed.as_bytes().to_vec();
        mutate_octets(&mut octets, &mut numbers);
        return octets;
    }
    let mut tree = tree.clone();
    for _ in 0..=numbers.below(4) {
        tree.mutate(&mut numbers);
    }
    tree.write().into_bytes()
}

#[test]
fn no_breach_of_a_message_echoes_what_it_says() {
    let sound = made::message_xml();
    assert!(sound.matches(CANARY).count() > 10);
    let tree = Tree::of(sound.as_bytes());
    let header = made::header(DocumentKind::Message);
    let mut kinds = std::collections::BTreeSet::new();
    for number in 0..3_000 {
        let xml = mutant(&sound, &tree, number);
        let known = Known {
            has_function: &|_| number % 3 != 0,
            takes: &|_, _| number % 5 != 0,
            seen_before: number % 7 == 0,
            limits: &if number % 11 == 0 { MessageLimits { payload: 100 } } else { MessageLimits::RECEIVING },
        };
        let Err(breaches) = check::message(&xml, &header, &known).verdict(number % 13 == 0) else { continue };
        for breach in &breaches {
            kinds.insert((breach.code.as_str(), breach.detail.as_str()));
            assert!(!breach.line.contains(CANARY) && !breach.reason.contains(CANARY), "{breach:?}");
        }
        let names = Names { receipt_id: "r".into(), receipt: BlobId(Uuid::from_u128(4)), message: BlobId(Uuid::from_u128(5)) };
        let service = header.service.clone();
        let effects = settle::turned_away(arrival(), lease(), service, breaches.clone(), &names, at()).unwrap();
        for text in leaving(&effects) {
            assert!(!text.contains(CANARY), "{text}");
        }
        // And the other side can read it, line for line.
        let Outcome::Rejected(lines) = receipt::read(&effects.blobs[0].body).unwrap().outcome else { panic!("rejected") };
        assert_eq!(lines.len(), breaches.len().min(100));
    }
    let expected = ["duplicate", "invariant", "not-found", "not-supported", "security", "structure", "too-long"];
    let found: std::collections::BTreeSet<&str> = kinds.iter().filter_map(|(_, detail)| *detail).collect();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "every kind of breach was met");
}

#[test]
fn no_violation_of_an_envelope_echoes_what_it_says() {
    let sound = made::unsigned(&made::envelope(DocumentKind::Receipt)).replace(">inkorg<", &format!(">{CANARY}<"));
    let tree = Tree::of(sound.as_bytes());
    let mut refused = 0;
    for number in 0..2_000 {
        let xml = mutant(&sound, &tree, number);
        let Err(error) = envelope::read(&xml) else { continue };
        refused += 1;
        assert!(!error.to_string().contains(CANARY), "{error}");
        let why = format!("the envelope breaks its profile: {error}");
        for text in leaving(&open::discarded(arrival(), lease(), &why, at()).unwrap()) {
            assert!(!text.contains(CANARY), "{text}");
        }
    }
    assert!(refused > 500, "{refused}");
}
