//! The journal's line for metadata that was used beyond its age.

use super::Node;
use super::effects::Outcome;
use crate::event::{Event, EventName, Field};
use crate::failure::Failure;
use crate::ident::{ParticipantId, RecordId};
use crate::port::{Metadata, Op, Step};

impl Node {
    /// Notes it, when it is so; whoever reads a record's life must see what it rested on.
    pub(super) async fn note_stale(&self, record: RecordId, organisation: &ParticipantId, metadata: &Metadata) -> Result<(), Failure> {
        let Some(fetched) = metadata.stale else { return Ok(()) };
        let event = Event::new(self.now(), EventName::StaleMetadata)
            .of(record, organisation)
            .with(Field::MetadataOf, &metadata.participant)
            .with(Field::Document, metadata.kind.action())
            .with(Field::MetadataFetched, fetched)
            .with(Field::Cause, "DNS or the SMP is down");
        let noted: Result<Outcome, Failure> = self.carry_out("stale", Step::new().op(Op::Audit(event)).into()).await;
        noted.map(drop)
    }
}
