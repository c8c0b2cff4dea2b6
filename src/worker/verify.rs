//! Whether records and bodies go together: of a gateway that does not run.

use std::collections::BTreeSet;

use super::purge::named;
use crate::failure::Failure;
use crate::ident::RecordId;
use crate::inbound::Incoming;
use crate::inbound::settle::Answer;
use crate::outbound::Outgoing;
use crate::port::{BlobId, Blobs, Queue, State, Store, StoreError};
use crate::worker::effects::from_store;
use crate::{inbound, outbound};

/// More records of one state, and more jobs of one queue, than one node keeps.
const ALL: usize = 10_000_000;
/// Blobs that are asked for at a time.
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

/// Compares all records with all bodies.
///
/// # Errors
/// A [`Failure`] when the store does not work.
pub async fn agreement(store: &dyn Store, blobs: &dyn Blobs) -> Result<Agreement, Failure> {
    let (mut found, mut names) = (Agreement::default(), BTreeSet::new());
    let tables = outbound::transitions::TRANSITIONS.iter().chain(&inbound::transitions::TRANSITIONS);
    let states: BTreeSet<&'static str> = tables.filter_map(|row| row.to).collect();
    for state in states {
        for record in store.list(State::new(state), ALL).await.map_err(|error| from_store(&error))? {
            found.records += 1;
            let Ok(own) = named(&record) else {
                found.unread.push(record.id);
                continue;
            };
            // What is being deleted may be gone already.
            let going = [Outgoing::PURGING, Incoming::PURGING].contains(&record.state);
            for blob in own {
                names.insert(blob);
                if !going && matches!(blobs.open(blob).await, Err(StoreError::Missing(_))) {
                    found.lost.push((record.id, blob));
                }
            }
        }
    }
    // A receipt of ours is named by the job that signs it.
    for job in store.jobs(Queue::Answer, jiff::Timestamp::MIN, ALL).await.map_err(|error| from_store(&error))? {
        if let Ok(answer) = serde_json::from_str::<Answer>(&job.note) {
            names.insert(answer.receipt);
            if matches!(blobs.open(answer.receipt).await, Err(StoreError::Missing(_))) {
                found.lost.push((job.record, answer.receipt));
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
