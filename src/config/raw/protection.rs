//! What keeps malware out and ends loops.

use crate::config::checked::{OnScanFailure, ScanDirections};
use crate::config::declare::section;
use crate::config::values::{ScannerAddress, Size, Span};

section! {
    /// Functions that answer each other by themselves: no mail whose header says that a program sent it gets into SDK, but not
    /// every program says so. `docs/protection.md` has the rest.
    Loops {
        /// A function mailbox and one function elsewhere may exchange so many messages in each direction within `window`. After
        /// that our messages to that function are held; what comes in is taken as ever.
        messages: u32 = Default "50";
        /// The time that messages are counted in.
        window: Span = Default "\"1h\"";
        /// How long messages are held. Then they go out one by one. Each time that it happens again within a day it takes half as
        /// many messages, and they are held twice as long, up to a day.
        hold: Span = Default "\"1h\"";
    }
}

section! {
    /// Malware.
    Malware {
        /// Where ClamAV's daemon listens: its socket's path, or `host:port`.
        clamd: ScannerAddress = Required "\"/run/clamav/clamd.ctl\"";
        /// Allows a host that is another machine: messages then cross the network in the clear, for clamd knows no TLS.
        allow_plain: bool = Default "false";
        /// What is looked into: `both`, mails to SDK (`out`), or messages from SDK (`in`).
        directions: ScanDirections = Default "\"both\"";
        /// What happens while there is no verdict to be had: `closed`, mails are refused for the time being (451 4.7.1) and messages
        /// wait without a receipt, or `open`, everything passes and the journal names it.
        on_failure: OnScanFailure = Default "\"closed\"";
        /// How long one file or mail may take, the wait for a free connection included.
        timeout: Span = Default "\"2m\"";
        /// The largest file or mail that is given to clamd. Keep it at or below StreamMaxLength, MaxScanSize and MaxFileSize of
        /// clamd.conf, and those above the largest mail: what is over MaxFileSize clamd calls clean without having looked. A larger
        /// mail is refused (552 5.3.4), a larger message waits, and the operator is told.
        max_size: Size = Default "\"100 MB\"";
        /// Connections to clamd at once; below MaxThreads of clamd.conf.
        max_connections: u32 = Default "4";
        /// How long there may be no verdict before the operator is told.
        alarm_after: Span = Default "\"10m\"";
    }
}
