//! What is left when the time of everything is over.

use std::collections::{BTreeMap, BTreeSet};

use brevbro::event::{EventName, Field};
use brevbro::store::journal::{self, Change, Entry, JournalError};

use crate::evidence::files;
use crate::stage::{Side, Stage};

/// What a gateway has left, and how many records and bodies it has deleted, told by its journal
/// and its spool alone; `None` while the journal cannot be read.
pub struct Left {
    /// Records, jobs and files of the spool.
    pub things: Vec<String>,
    /// Records whose deletion the journal tells.
    pub records: usize,
    /// Bodies whose deletion the journal tells.
    pub bodies: usize,
    /// What the journal says wrongly.
    pub wrong: Vec<String>,
}

impl Left {
    pub fn of(side: Side, stage: &Stage) -> Option<Self> {
        let gateway = if side == Side::A { &stage.a } else { &stage.b };
        let (mut records, mut jobs) = (BTreeSet::new(), BTreeSet::new());
        let (mut ever, mut told, mut bodies, mut wrong) = (BTreeSet::new(), BTreeMap::<String, usize>::new(), 0, Vec::new());
        let read = journal::entries(&gateway.journal(), |Entry { events, changes, .. }| {
            for change in changes {
                match change {
                    Change::Record(record) => {
                        ever.insert(record.id.to_string());
                        records.insert(record.id.to_string());
                    }
                    Change::NoRecord(id) => drop(records.remove(&id.to_string())),
                    Change::Job(job) => drop(jobs.insert(format!("{:?} {}", job.queue, job.id.0))),
                    Change::NoJob(id) => jobs.retain(|job: &String| !job.ends_with(&id.0.to_string())),
                    _ => {}
                }
            }
            for event in events {
                match event.name {
                    EventName::RecordDeleted => *told.entry(event.record.map(|id| id.to_string()).unwrap_or_default()).or_default() += 1,
                    EventName::ContentDeleted => {
                        bodies += 1;
                        if event.fields.get(&Field::Digest).is_none_or(|digest| digest.len() != 64) {
                            wrong.push(format!("a body was deleted without its digest: {event:?}"));
                        }
                    }
                    _ => {}
                }
            }
            Ok::<(), JournalError>(())
        });
        read.ok()?;
        wrong.extend(told.iter().filter(|(_, times)| **times != 1).map(|(record, times)| format!("{record} is told {times} times as deleted")));
        wrong.extend(ever.difference(&records).filter(|record| !told.contains_key(*record)).map(|record| format!("{record} went without a word")));
        let mut left: Vec<String> = records.into_iter().map(|record| format!("record {record}")).chain(jobs).collect();
        left.extend(files(&gateway.state).into_iter().map(|path| path.display().to_string()));
        Some(Self { things: left, records: told.len(), bodies, wrong })
    }
}
