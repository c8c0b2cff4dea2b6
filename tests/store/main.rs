//! The stores keep what their contract (`port::Store`, `port::Blobs`) promises, each of them, whatever happens to the process.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation, reason = "a test fails by panicking")]

use std::future::Future;
use std::path::Path;
use std::sync::LazyLock;

use brevbro::ident::RecordId;
use brevbro::port::{Job, JobId, Queue, Record, State};
use brevbro::store::{SledOptions, SledStore};
use jiff::Timestamp;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

#[path = "../common/mod.rs"]
mod common;

mod backup;
mod blobs;
mod both;
mod clock;
mod cluster;
mod crash;
mod damage;
mod encryption;
mod histories;
mod pooler;
mod portable;
mod postgres;
mod pressure;
mod promises;
mod sealed_rows;
mod segments;
mod subject;
mod table;

/// Runs a future of a store to its end.
fn block<T>(future: impl Future<Output = T>) -> T {
    // One for all threads: a connection to a database is driven where it was made.
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());
    RUNTIME.block_on(future)
}

fn open(dir: &Path) -> SledStore {
    SledStore::open(SledOptions::new(dir)).unwrap()
}

/// An instant, in seconds from some beginning.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn record(n: u128, state: &'static str) -> Record {
    Record { id: RecordId(Uuid::from_u128(n)), state: State::new(state), body: format!("{{\"n\":{n}}}") }
}

fn job(n: u128, queue: Queue, due: Timestamp) -> Job {
    Job { id: JobId(Uuid::from_u128(n)), queue, record: RecordId(Uuid::from_u128(n)), due, attempt: 0, note: format!("note {n}") }
}
