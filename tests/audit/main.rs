//! The audit journal: an operator's questions are answered by one command, every event has what SDK C3.4.6 3.4.1 demands, and
//! whoever touches the journal is found out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../gateway"]
mod gateway {
    #![allow(dead_code, unused_imports)]
    pub(crate) mod harness;
}

mod edits;
mod events;
mod export;
#[expect(clippy::print_stdout, reason = "figures are printed")]
mod figures;
mod question;
mod rows;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs brevbro as an operator does, in Sweden.
fn brevbro(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_brevbro")).args(arguments).env("TZ", "Europe/Stockholm").output().unwrap()
}

/// What it printed, when it ended with this code.
#[track_caller]
fn printed(arguments: &[&str], code: i32) -> String {
    let output = brevbro(arguments);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}\n{err}");
    if code == 0 { out } else { err }
}

/// The segments of a journal's folder, in their order.
fn segments(journal: &Path) -> Vec<PathBuf> {
    brevbro::store::journal::segments(journal).unwrap().into_iter().map(|segment| segment.path).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        std::fs::copy(&entry, to.join(entry.file_name().unwrap())).unwrap();
    }
}
