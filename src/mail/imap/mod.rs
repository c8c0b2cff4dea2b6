//! IMAP as a client reads and writes it, without I/O: the stream cut into responses, responses as types, refusals and what
//! they ask for, and the few texts that commands are made of (RFC 3501, RFC 9051).
//!
//! | module | does |
//! |---|---|
//! | [`frame`] | octets → whole responses, within limits |
//! | [`reply`] | a response → [`reply::Reply`] |
//! | [`refusal`] | NO, BAD and BYE → whose it is and how long to wait |
//! | [`mod@write`] | folder names, strings, logins |

pub mod frame;
pub mod refusal;
pub mod reply;
pub mod write;
