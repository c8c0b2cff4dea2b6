//! When to try again: for all, for the mail server, for one organisation, and by office hours.

use crate::config::declare::section;
use crate::config::values::{CalendarDate, Span, TimeOfDay, words};

section! {
    /// When to try again.
    Retry {
        /// The wait after the first failure.
        first: Span = Default "\"30s\"";
        /// How many times longer each wait is than the one before.
        factor: f64 = Default "2.0";
        /// The longest wait.
        longest: Span = Default "\"30m\"";
        /// How long after it came in a message is given up. The sender is told.
        give_up: Span = Default "\"2d\"";
        /// How many attempts are made before a message is given up, even if that takes longer: the clock may be wrong, or the gateway
        /// have stood still. No more than fit into `give-up`.
        least_attempts: u32 = Default "6";
        /// Messages of a conversation, from one function to another, leave in the order in which they came in. So long at most a
        /// message waits for an earlier one that does not get through; half of `give-up` where that is shorter.
        in_order_within: Span = Default "\"12h\"";
        /// How long after the other access point took a message its message receipt is awaited. Then the sender is told that the outcome is unknown.
        receipt_timeout: Span = Default "\"1d\"";
        /// After how long the sender is told that a message is delayed, and the operator that a server is down.
        delayed_notice_after: Span = Default "\"1h\"";
        /// When to try again what the mail server did not take: what stands here holds instead of the above.
        delivery: DeliveryRetry = Optional "{}";
    }
}

section! {
    /// When to try again what the mail server did not take.
    DeliveryRetry {
        /// The wait after the first failure.
        first: Span = Optional "\"30s\"";
        /// How many times longer each wait is than the one before.
        factor: f64 = Optional "2.0";
        /// The longest wait.
        longest: Span = Optional "\"10m\"";
        /// How long after it came in a message is tried. Then it is kept, and the operator is told. While the mail server is down
        /// nothing is given up.
        give_up: Span = Optional "\"5d\"";
    }
}

section! {
    /// When to try again, for one organisation.
    OrganisationRetry {
        /// The wait after the first failure.
        first: Span = Optional "\"30s\"";
        /// How many times longer each wait is than the one before.
        factor: f64 = Optional "2.0";
        /// The longest wait.
        longest: Span = Optional "\"30m\"";
        /// How long after it came in a message is given up.
        give_up: Span = Optional "\"3d\"";
        /// How long after the other access point took a message its message receipt is awaited.
        receipt_timeout: Span = Optional "\"2d\"";
        /// After how long the sender is told that a message is delayed.
        delayed_notice_after: Span = Optional "\"2h\"";
    }
}

section! {
    /// Office hours in Swedish time. Messages are sent day and night; but that one is delayed is told while somebody is there, and
    /// only office hours count until then. What fails is told at once.
    Hours {
        /// The days of the week: `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`.
        days: Vec<Day> = Default "[\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"]";
        /// From when.
        opens: TimeOfDay = Default "\"08:00\"";
        /// Until when.
        closes: TimeOfDay = Default "\"16:30\"";
        /// Whether people work on Swedish public holidays, and on Midsummer's, Christmas and New Year's Eve.
        work_on_holidays: bool = Default "false";
        /// Further days on which nobody is there.
        closed: Vec<CalendarDate> = Default "[]";
        /// What counts office hours: `delays`, or `all`, for which `give-up` and `receipt-timeout` stop with the office too.
        /// Two days are then 48 hours of work.
        count: HoursCount = Default "\"delays\"";
    }
}

words! {
    /// A day of the week.
    pub(in crate::config) Day {
        /// Monday.
        Monday = "mon",
        /// Tuesday.
        Tuesday = "tue",
        /// Wednesday.
        Wednesday = "wed",
        /// Thursday.
        Thursday = "thu",
        /// Friday.
        Friday = "fri",
        /// Saturday.
        Saturday = "sat",
        /// Sunday.
        Sunday = "sun",
    }
    /// What counts office hours.
    pub(in crate::config) HoursCount {
        /// Until a delay is told.
        Delays = "delays",
        /// And until the end.
        All = "all",
    }
}
