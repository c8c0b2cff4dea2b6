//! What a crash left is put in order at the next start: bodies that a record names stay, mails that were durable are taken in,
//! everything else goes.
//!
//! `BREVBRO_UPKEEP_RECORDS` makes the records more that are there at the start (docs/reliability.md).

use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

use brevbro::event::EventName;
use brevbro::outbound::Outgoing;
use brevbro::port::{Blob, BlobId, BlobKind, Blobs, Op, Record, Step, Store, StoreError};
use brevbro::store::{SledOptions, SledStore, Spool, SpoolOptions};
use uuid::Uuid;

use crate::gateway::harness::client::submit;
use crate::gateway::harness::{Gateway, Peer, Setup, mail, run};

/// The state of a gateway that does not run.
struct State {
    store: SledStore,
    spool: Spool,
}

impl State {
    fn open(dir: &Path) -> Self {
        let dir = dir.join("state");
        Self {
            store: SledStore::open(SledOptions::new(dir.join("store"))).unwrap(),
            spool: Spool::open(SpoolOptions::new(dir.join("spool"))).unwrap(),
        }
    }

    async fn read(&self, id: BlobId) -> (Blob, Vec<u8>) {
        let (blob, _, mut reader) = self.spool.open(id).await.unwrap();
        let mut body = Vec::new();
        reader.read_to_end(&mut body).unwrap();
        (blob, body)
    }

    async fn write(&self, blob: Blob, body: &[u8]) -> BlobId {
        let id = blob.id;
        let mut writer = self.spool.create(blob, None).await.unwrap();
        writer.write_all(body).unwrap();
        writer.commit().await.unwrap();
        id
    }

    async fn is_there(&self, id: BlobId) -> bool {
        match self.spool.open(id).await {
            Ok(_) => true,
            Err(StoreError::Missing(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A record and its bodies, which can be had again under other names.
struct Sample {
    record: Record,
    blobs: Vec<(Blob, Vec<u8>)>,
}

impl Sample {
    fn blob(&self, kind: BlobKind) -> &(Blob, Vec<u8>) {
        self.blobs.iter().find(|(blob, _)| blob.kind == kind).unwrap()
    }

    /// Another of the same, with its bodies; their names.
    async fn again(&self, state: &State) -> Vec<BlobId> {
        let names: Vec<(String, String)> = std::iter::once(self.record.id.0)
            .chain(self.blobs.iter().map(|(blob, _)| blob.id.0))
            .map(|old| (old.to_string(), Uuid::new_v4().to_string()))
            .collect();
        let renamed = |text: &str| names.iter().fold(text.to_owned(), |text, (old, new)| text.replace(old, new));
        let fresh = |old: Uuid| Uuid::parse_str(&renamed(&old.to_string())).unwrap();
        let mut written = Vec::new();
        for (blob, body) in &self.blobs {
            let copy = Blob { id: BlobId(fresh(blob.id.0)), kind: blob.kind, header: renamed(&blob.header) };
            written.push(state.write(copy, body).await);
        }
        let record = Record { id: brevbro::ident::RecordId(fresh(self.record.id.0)), body: renamed(&self.record.body), ..self.record.clone() };
        assert_eq!(Outgoing::from_record(&record).unwrap().blobs().len(), written.len());
        state.store.apply(Step::new().op(Op::Put(record))).await.unwrap();
        written
    }
}

#[test]
fn a_start_keeps_what_records_name_takes_in_durable_mails_and_deletes_the_rest() {
    run(async {
        let records: usize = std::env::var("BREVBRO_UPKEEP_RECORDS").map_or(60, |number| number.parse().unwrap());
        let (gateway, peer) = (Gateway::start(Setup::new("start")).await, Peer::start("start-peer").await);
        let to = gateway.address_of("inkorg", &peer.name);
        submit(&gateway, &[&to], "", &mail(&gateway.mailbox, "a1", "Kanariefagel")).await;
        gateway.event(EventName::Acknowledged).await;
        let asleep = gateway.sleep().await;

        let state = State::open(asleep.dir());
        let record = state.store.list(Outgoing::WAITING, 9).await.unwrap().remove(0);
        let mut blobs = Vec::new();
        for id in Outgoing::from_record(&record).unwrap().blobs() {
            blobs.push(state.read(id).await);
        }
        let sample = Sample { record, blobs };
        let mut named: Vec<BlobId> = sample.blobs.iter().map(|(blob, _)| blob.id).collect();
        for _ in 0..records {
            named.extend(sample.again(&state).await);
        }
        // Durable before a crash, and not yet taken in.
        let (blob, body) = sample.blob(BlobKind::Mail);
        let (id, recipient) = (Uuid::new_v4(), Uuid::new_v4().to_string());
        let message = Outgoing::from_record(&sample.record).unwrap().cargo().message_id().to_string();
        let new = [(blob.id.0.to_string(), id.to_string()), (sample.record.id.0.to_string(), recipient), (message, Uuid::new_v4().to_string())];
        let header = new.iter().fold(blob.header.clone(), |header, (old, new)| header.replace(old, new));
        let other = String::from_utf8(body.clone()).unwrap().replace("Kanariefagel", "Gransangare").replace("a1", "a2");
        let durable = state.write(Blob { id: BlobId(id), header, ..blob.clone() }, other.as_bytes()).await;
        // Of records that are gone, and of one that is there and names others.
        let mut left = Vec::new();
        for kind in [BlobKind::Envelope, BlobKind::Request, BlobKind::Signal, BlobKind::Message, BlobKind::Receipt] {
            let header = serde_json::json!({ "record": Uuid::new_v4() }).to_string();
            left.push(state.write(Blob { id: BlobId(Uuid::new_v4()), kind, header }, b"left").await);
        }
        let header = sample.blob(BlobKind::Envelope).0.header.clone();
        left.push(state.write(Blob { id: BlobId(Uuid::new_v4()), kind: BlobKind::Envelope, header }, b"left").await);
        drop(state);

        let began = Instant::now();
        let gateway = asleep.wake(Setup::new("start")).await;
        let started = began.elapsed();
        assert!(String::from_utf8_lossy(&peer.payload(1).await).contains("Gransangare"));
        gateway.nth_event(EventName::Acknowledged, 1).await;
        let began = Instant::now();
        let again = gateway.daemon.gateway.mail().unwrap().take_in_orphans().await.unwrap();
        println!("{} files of {records} records: started in {started:.1?}, looked through in {:.0?}", named.len(), began.elapsed());
        assert_eq!(again, brevbro::worker::Found::default(), "nothing is left to be done");
        let asleep = gateway.sleep().await;
        let state = State::open(asleep.dir());
        for id in &named {
            assert!(state.is_there(*id).await, "what a record names stays");
        }
        assert!(state.is_there(durable).await, "its record names it now");
        for id in &left {
            assert!(!state.is_there(*id).await, "what nobody names goes");
        }
        assert_eq!(peer.taken().len(), 2, "and nothing was sent twice");
    });
}
