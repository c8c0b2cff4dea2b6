//! The functions that the targets call: what must hold of every parser, shared with the replay in `tests/mutations.rs`.

#[path = "../tests/mutations/bodies.rs"]
mod bodies;

pub use bodies::*;
