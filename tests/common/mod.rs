//! What every test binary needs: the shared data, foreign programs, and what to do when they are absent.

#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

pub mod cable;
pub mod counted;
pub mod dice;
pub mod dovecot;
pub mod golden;
pub mod judged;
pub mod needles;
pub mod parties;
pub mod pki;
pub mod points;
pub mod postfix;
pub mod postgres;
pub mod smime;
pub mod soap;
#[cfg(feature = "daemon")]
pub mod trust;

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of published specifications and vectors: `BREVBRO_SHARED`, else `../shared` beside the checkout.
/// `None`, with a printed reason, where it is absent; with CI=true that is a failure.
pub fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("BREVBRO_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = root.join(path);
    if path.exists() {
        return Some(path);
    }
    skip(&format!("{} is absent; set BREVBRO_SHARED", path.display()));
    None
}

/// Whether a foreign program is installed; when it is not, as [`shared`].
pub fn has(program: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|paths| std::env::split_paths(&paths).any(|dir| dir.join(program).is_file()))
        || ["/usr/sbin", "/usr/lib/dovecot"].iter().any(|dir| Path::new(dir).join(program).is_file());
    if !found {
        skip(&format!("{program} is not installed; `make test` installs it"));
    }
    found
}

/// The Python that has the packages of `contrib/judges.txt`, made on first use; when it cannot be, as [`shared`].
pub fn python() -> Option<PathBuf> {
    static MADE: std::sync::OnceLock<Result<(), String>> = std::sync::OnceLock::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Err(reason) = MADE.get_or_init(|| run(&mut Command::new(root.join("contrib/judges.sh"))).map(|_| ())) {
        skip(reason);
        return None;
    }
    Some(root.join("target/venv/bin/python"))
}

/// Says why a test does nothing. With CI=true a skipped test is a failed one.
pub fn skip(reason: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "skipped with CI=true: {reason}");
    println!("skipped: {reason}");
}

/// Runs a command to its end; its output when it succeeded, otherwise its status and what it printed.
pub fn run(command: &mut Command) -> Result<Vec<u8>, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("{command:?}: {}\n{}{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    }
}

/// [`run`] for a program that speaks with what runs in this process: off the threads that serve it.
#[cfg(feature = "daemon")]
pub async fn judge(command: Command) -> Result<String, String> {
    tokio::task::spawn_blocking(move || {
        let mut command = command;
        run(&mut command).map(|bytes| String::from_utf8(bytes).unwrap())
    })
    .await
    .unwrap()
}

/// A file in a folder that vanishes.
pub fn temporary(dir: impl AsRef<Path>, name: &str, octets: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.as_ref().join(name);
    std::fs::write(&path, octets).unwrap();
    path
}

/// A folder that vanishes, in memory where there is such: for tests in which a sync is not what counts.
pub fn scratch(name: &str) -> tempfile::TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix(name);
    builder.tempdir_in("/dev/shm").or_else(|_| builder.tempdir()).unwrap()
}

/// A folder's files, all the way down, in the order of their places.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}
