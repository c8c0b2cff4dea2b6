//! The machine's clock.

use jiff::Timestamp;

use crate::port::Clock;

/// UTC as the operating system has it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
