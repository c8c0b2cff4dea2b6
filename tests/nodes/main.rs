//! Several nodes on one database: killed, cut off, upgraded, and kept apart.
//!
//! The nodes, a gateway at the other side, the testbed, the client and the mail servers are processes of their own, as in
//! `tests/crash`, whose logs and judgement are used here. In front of the nodes' endpoints stands what a load balancer is: a relay
//! that takes the next node that is there.
//!
//! `BREVBRO_NODES_KILLS` and `BREVBRO_NODES_MAILS` make a run longer, `BREVBRO_CRASH_SEED` rolls its dice again
//! (docs/reliability.md).

#![allow(unreachable_pub, dead_code, reason = "parts of other tests are used in part")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout, reason = "a test fails by panicking")]
#![allow(clippy::unnecessary_debug_formatting, reason = "a path in quotes is a string of TOML")]

mod apart;
mod balancer;
#[path = "../crash/evidence.rs"]
mod evidence;
mod kills;
mod nodes;
#[cfg(feature = "failpoints")]
mod orphans;
#[cfg(feature = "failpoints")]
mod points;
#[path = "../crash/stage.rs"]
mod stage;
#[cfg(feature = "failpoints")]
mod upgrade;

#[path = "../common/mod.rs"]
mod common;
