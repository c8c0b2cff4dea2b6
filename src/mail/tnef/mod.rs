//! TNEF, `winmail.dat`: a message of Outlook's in Outlook's own form (MS-OXTNEF), unpacked.
//!
//! Nothing is passed over in silence: a stream with a wrong checksum, a length that lies or an end that is missing is an
//! error as a whole. Values are slices of the stream; embedded messages are read where they stand.
//!
//! | file | reads |
//! |---|---|
//! | `stream` | attributes and their checksums |
//! | `properties` | lists of MAPI properties |
//! | `message` | a message with its body and attachments |
//! | `item` | meetings, tasks, contacts and votes in words |

mod item;
mod message;
mod properties;
mod stream;

pub(super) use message::{Attachment, Contents, Message, read};
pub(super) use stream::is_tnef;

use super::rtf::{LzfuError, RtfError};

/// TNEF that is damaged or beyond every limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TnefError {
    /// It does not begin as TNEF does.
    #[error("no TNEF signature")]
    Signature,
    /// Shorter than it says.
    #[error("TNEF is cut short")]
    Short,
    /// An attribute of neither message nor attachment.
    #[error("a TNEF attribute has an unknown level")]
    Level,
    /// An attribute's checksum is another.
    #[error("a TNEF attribute has a wrong checksum")]
    Checksum,
    /// A list of properties is damaged.
    #[error("a list of MAPI properties is damaged")]
    Property,
    /// More attributes, properties or attachments than a message has.
    #[error("TNEF has too many parts")]
    TooMany,
    /// Messages stand too deep in one another.
    #[error("TNEF is nested too deep")]
    Depth,
    /// The body is damaged.
    #[error(transparent)]
    Compression(#[from] LzfuError),
    /// The body is damaged.
    #[error(transparent)]
    Rtf(#[from] RtfError),
}
