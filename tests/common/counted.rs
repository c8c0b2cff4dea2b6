//! What is counted of messages for limits, and what there really is.

use brevbro::inbound::Incoming;
use brevbro::outbound::Outgoing;
use brevbro::port::{Record, Tally, Underway};

/// Whether a note is a part of a sum.
pub fn is_sum(key: &str) -> bool {
    key.starts_with("use/")
}

/// All sums together, by their notes.
pub fn counted<'a>(notes: impl Iterator<Item = (&'a str, &'a str)>) -> Tally {
    notes.filter(|(key, _)| is_sum(key)).map(|(_, value)| Tally::noted(Some(value))).fold(Tally::NONE, Tally::plus)
}

/// What all sums together have to be.
pub fn there<'a>(records: impl Iterator<Item = &'a Record>) -> Tally {
    records.filter_map(load).fold(Tally::NONE, Tally::plus)
}

/// What a record adds to all sums that it is counted in.
fn load(record: &Record) -> Option<Tally> {
    let load = match Outgoing::from_record(record) {
        Ok(outgoing) => outgoing.load(&record.state),
        Err(_) => Incoming::from_record(record).ok()?.load(&record.state),
    }?;
    let sums = 1 + usize::from(load.underway == Underway::Unopened) + usize::from(load.function.is_some());
    Some((0..sums).fold(Tally::NONE, |sum, _| sum.plus(load.tally())))
}
