//! Whether records and bodies go together: of a gateway that does not run.

use std::collections::BTreeSet;

use super::purge::named;
use crate::failure::Failure;
use crate::ident::RecordId;
use crate::inbound::Incoming;
use crate::inbound::settle::Answer;
use crate::outbound::Outgoing;
use crate::port::{BlobId, Blobs, Job, Queue, Record, State, Store, StoreError};
use crate::store::backup::Named;
use crate::worker::effects::from_store;
use crate::{inbound, outbound};

/// More receipts that wait to be signed than one node keeps.
const ALL: usize = 10_000_000;
/// Records, and bodies, that are asked for at a time.
const PAGE: usize = 1_000;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Records of messages.
    pub records: usize,
    /// Bodies.
    pub bodies: usize,
    /// Bodies that a record names and that are not there.
    pub lost: Vec<(RecordId, BlobId)>,
    /// Records that cannot be read.
    pub unread: Vec<RecordId>,
    /// Bodies that no record names: the next start takes them in or deletes them.
    pub unnamed: usize,
}

/// The bodies that a record names; none, when it is of no message.
///
/// # Errors
/// A [`Failure`] when it is a message's and cannot be read.
pub fn bodies_of(record: &Record) -> Result<Named, Failure> {
    // What is being deleted may be gone already.
    let firm = ![Outgoing::PURGING, Incoming::PURGING, Outgoing::PURGED, Incoming::PURGED].contains(&record.state);
    if !is_of_message(record) {
        return Ok(Named::default());
    }
    Ok(Named { bodies: named(record)?, firm })
}

/// The body that a job names: of a receipt of ours, until it is signed.
pub fn body_of(job: &Job) -> Option<BlobId> {
    let answer = (job.queue == Queue::Answer).then(|| serde_json::from_str::<Answer>(&job.note).ok());
    answer.flatten().map(|answer| answer.receipt)
}

fn is_of_message(record: &Record) -> bool {
    let mut states = outbound::transitions::TRANSITIONS.iter().chain(&inbound::transitions::TRANSITIONS).filter_map(|row| row.to);
    states.any(|state| record.state == State::new(state))
}

/// Compares all records with all bodies.
///
/// # Errors
/// A [`Failure`] when the store does not work.
pub async fn agreement(store: &dyn Store, blobs: &dyn Blobs) -> Result<Agreement, Failure> {
    let (mut found, mut names, mut after) = (Agreement::default(), BTreeSet::new(), None);
    loop {
        let page = store.records(after, PAGE).await.map_err(|error| from_store(&error))?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for record in page.into_iter().filter(is_of_message) {
            found.records += 1;
            let Ok(Named { bodies, firm }) = bodies_of(&record) else {
                found.unread.push(record.id);
                continue;
            };
            for blob in bodies {
                names.insert(blob);
                if firm && matches!(blobs.open(blob).await, Err(StoreError::Missing(_))) {
                    found.lost.push((record.id, blob));
                }
            }
        }
    }
    for job in store.jobs(Queue::Answer, jiff::Timestamp::MIN, ALL).await.map_err(|error| from_store(&error))? {
        if let Some(receipt) = body_of(&job) {
            names.insert(receipt);
            if matches!(blobs.open(receipt).await, Err(StoreError::Missing(_))) {
                found.lost.push((job.record, receipt));
            }
        }
    }
    let mut after = None;
    loop {
        let page = blobs.all(after, PAGE).await.map_err(|error| from_store(&error))?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(last.id);
        found.bodies += page.len();
        found.unnamed += page.iter().filter(|listed| !names.contains(&listed.id)).count();
    }
}
