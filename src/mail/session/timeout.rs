//! How long a server waits for its client (RFC 5321 4.5.3.2), for whoever drives a session.

use std::time::Duration;

/// For the next whole command (RFC 5321 4.5.3.2.7).
pub const COMMAND: Duration = Duration::from_mins(5);
/// For the next piece of a mail (RFC 5321 4.5.3.2.5).
pub const DATA_BLOCK: Duration = Duration::from_mins(3);
/// For a whole mail; not in the RFC: whoever dribbles octets for longer wants no mail delivered.
pub const DATA: Duration = Duration::from_hours(1);
/// For the TLS handshake; not in the RFC.
pub const HANDSHAKE: Duration = Duration::from_mins(1);
