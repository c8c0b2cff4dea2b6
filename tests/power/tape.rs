//! What a process did to its folder, as `interpose.c` wrote it down; and how such a process is started.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::common;

/// One operation, in the order in which they happened. Paths are below the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    Create {
        path: PathBuf,
        inode: u64,
    },
    Mkdir {
        path: PathBuf,
        inode: u64,
    },
    Write {
        inode: u64,
        at: u64,
        data: Vec<u8>,
    },
    Truncate {
        inode: u64,
        length: u64,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Link {
        path: PathBuf,
        inode: u64,
    },
    Unlink {
        path: PathBuf,
    },
    Rmdir {
        path: PathBuf,
    },
    SyncBegin {
        inode: u64,
        number: u64,
    },
    SyncEnd {
        inode: u64,
        number: u64,
        failed: bool,
    },
    /// What the process acknowledged, when all operations before stood on the tape.
    Ack(String),
    /// An operation that was made to fail.
    Fault,
}

const HEAD: usize = 40;

/// Reads a tape; one whose process was killed may end within an operation, which did not happen then.
pub fn read(path: &Path) -> Vec<Act> {
    let octets = std::fs::read(path).unwrap();
    let mut rest = octets.as_slice();
    let mut acts = Vec::new();
    while let Some((head, after)) = rest.split_at_checked(HEAD) {
        let word = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().unwrap());
        let long = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().unwrap());
        let (first, second) = (word(4) as usize, word(8) as usize);
        let Some((first, after)) = after.split_at_checked(first) else { break };
        let Some((second, after)) = after.split_at_checked(second) else { break };
        let path = |octets: &[u8]| PathBuf::from(str::from_utf8(octets).unwrap());
        let (inode, number) = (long(16), long(24));
        acts.push(match word(0) {
            1 => Act::Create { path: path(first), inode },
            2 => Act::Mkdir { path: path(first), inode },
            3 => Act::Write { inode, at: number, data: first.to_vec() },
            4 => Act::Truncate { inode, length: number },
            5 => Act::Rename { from: path(first), to: path(second) },
            6 => Act::Link { path: path(first), inode },
            7 => Act::Unlink { path: path(first) },
            8 => Act::Rmdir { path: path(first) },
            9 => Act::SyncBegin { inode, number },
            10 => Act::SyncEnd { inode, number, failed: word(12) != 0 },
            11 => Act::Ack(str::from_utf8(first).unwrap().trim().to_owned()),
            12 => Act::Fault,
            other => panic!("an operation of kind {other}"),
        });
        rest = after;
    }
    acts
}

/// The interposed library, built on first use; `None` where there is no C compiler.
pub fn library() -> Option<&'static Path> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if !common::has("cc") {
        return None;
    }
    let built = BUILT.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power/interpose.c");
        // Tests of several binaries may build it at once, so each builds its own.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("interpose-{}.so", std::process::id()));
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread", "-o"]).arg(&target).arg(source);
        common::run(&mut compiler).unwrap();
        target
    });
    Some(built)
}

/// Puts the library between a command and the folder.
pub fn interpose(command: &mut Command, root: &Path, tape: &Path) {
    command.env("LD_PRELOAD", library().unwrap()).env("POWER_ROOT", root).env("POWER_TAPE", tape);
}
