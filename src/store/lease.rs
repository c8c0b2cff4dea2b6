//! When a lease ends.

use std::time::Duration;

use jiff::Timestamp;

use crate::outbound::retry::later;
use crate::port::Clock;

/// The end of a lease, by the time of day and by time that passes: whoever sets the clock ends no lease and prolongs none.
///
/// The second is missing where the store's clock has none; then the time of day decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Until {
    /// By the time of day.
    pub(super) wall: Timestamp,
    /// By the time that has passed.
    steady: Option<Duration>,
}

impl Until {
    /// So long from now.
    pub(super) fn after(span: Duration, clock: &dyn Clock) -> Self {
        Self { wall: later(clock.now(), span), steady: clock.elapsed().map(|elapsed| elapsed.saturating_add(span)) }
    }

    /// When it ends, by what the clock shows now.
    pub(super) fn by_now(&self, clock: &dyn Clock) -> Timestamp {
        match (self.steady, clock.elapsed()) {
            (Some(steady), Some(elapsed)) => later(clock.now(), steady.saturating_sub(elapsed)),
            _ => self.wall,
        }
    }

    /// Whether it is over.
    pub(super) fn has_come(&self, clock: &dyn Clock) -> bool {
        match (self.steady, clock.elapsed()) {
            (Some(steady), Some(elapsed)) => steady <= elapsed,
            _ => self.wall <= clock.now(),
        }
    }
}
