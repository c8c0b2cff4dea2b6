//! The flows, step by step: states in, effects out, without a socket, a file or a clock.

mod inbound;
mod made;
mod outbound;
