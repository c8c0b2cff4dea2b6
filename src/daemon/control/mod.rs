//! The control socket: how `brevbro status` and its like speak to the gateway that runs.
//!
//! `control.sock` in the state folder belongs to the gateway's user (mode 0600), and who connects must be that user or
//! root, as the kernel says. One line of JSON asks ([`Request`]), lines of JSON answer ([`Reply`]); the last one says that
//! the answer is whole, or why there is none. What was asked for by whom is in the journal where it changes anything.
//!
//! | limit | what happens |
//! |---|---|
//! | 8 connections | the next one is told so and closed |
//! | 64 KiB for the question, 5 s for it to come | closed with a refusal |
//! | 30 s for each line of the answer to be taken | closed |

mod answer;
mod protocol;

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use answer::Answering;
pub use protocol::{Command, Refused, Reply, Request, VERSION};

/// The socket's name in the state folder.
pub const NAME: &str = "control.sock";

/// Connections at once.
const CONNECTIONS: usize = 8;
/// Octets of a question.
const QUESTION: u64 = 64 * 1024;
/// How long a question may take to come.
const ASKING: Duration = Duration::from_secs(5);
/// How long a line of the answer may take to be taken.
const TAKING: Duration = Duration::from_secs(30);

/// Why the socket is not there.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Somebody answers on it.
    #[error("another gateway that runs uses {}", .0.display())]
    InUse(PathBuf),
    /// The system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// With which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The way to a socket in a folder: a socket's address has 108 octets at most, a folder's path may have more.
pub struct Way {
    /// What to bind or to connect to, while this is kept.
    pub path: PathBuf,
    _dir: Option<File>,
}

impl Way {
    /// To a file of a folder.
    ///
    /// # Errors
    /// Those of opening the folder.
    pub fn to(dir: &Path, name: &str) -> io::Result<Self> {
        let path = dir.join(name);
        if path.as_os_str().len() < 100 {
            return Ok(Self { path, _dir: None });
        }
        let dir = File::open(dir)?;
        let path = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name);
        Ok(Self { path, _dir: Some(dir) })
    }
}

/// The socket, bound and not yet answering. Dropped, it is gone.
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
}

impl ControlSocket {
    /// Makes the socket, in place of one that a process left which has died.
    ///
    /// # Errors
    /// [`ControlError::InUse`] when somebody answers on it.
    pub fn bind(state_dir: &Path) -> Result<Self, ControlError> {
        let path = state_dir.join(NAME);
        let failed = |source| ControlError::Io { path: path.clone(), source };
        let (way, new) = (Way::to(state_dir, NAME).map_err(failed)?, Way::to(state_dir, "control.new").map_err(failed)?);
        match std::os::unix::net::UnixStream::connect(&way.path) {
            Ok(_) => return Err(ControlError::InUse(path)),
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {}
            Err(error) => return Err(failed(error)),
        }
        let make = || {
            match fs::remove_file(&new.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(&new.path)?;
            // Nobody knows the name before it is the owner's alone.
            fs::set_permissions(&new.path, Permissions::from_mode(0o600))?;
            let owner = fs::metadata(&new.path)?.uid();
            fs::rename(&new.path, &way.path)?;
            Ok((listener, owner))
        };
        let (listener, owner) = make().map_err(failed)?;
        Ok(Self { listener, path, owner })
    }

    /// Answers until the future is dropped.
    pub async fn serve(self, answering: Arc<Answering>) {
        let seats = Arc::new(Semaphore::new(CONNECTIONS));
        let mut running = JoinSet::new();
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the control socket cannot be taken");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            while running.try_join_next().is_some() {}
            let seat = Arc::clone(&seats).try_acquire_owned().ok();
            running.spawn(converse(stream, self.owner, seat, Arc::clone(&answering)));
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

/// One question and its answer.
async fn converse(stream: UnixStream, owner: u32, seat: Option<tokio::sync::OwnedSemaphorePermit>, answering: Arc<Answering>) {
    let uid = stream.peer_cred().map(|peer| peer.uid());
    let (read, write) = stream.into_split();
    let mut out = Out { write };
    let answered = match (uid, seat) {
        (Ok(uid), _) if uid != owner && uid != 0 => {
            tracing::warn!(uid, "somebody else than the gateway's user connected to the control socket");
            Err(Refused::new("only the gateway's user and root may ask", "run the command with sudo -u, as the gateway's user"))
        }
        (Ok(_), None) => Err(Refused::new("too many commands are being answered", "try again")),
        (Ok(uid), Some(_seat)) => match question(read).await {
            Ok(request) => {
                tracing::info!(command = request.command.name(), uid, "asked on the control socket");
                answering.answer(request, uid, &mut out).await
            }
            Err(refused) => Err(refused),
        },
        (Err(_), _) => return,
    };
    // Who has gone needs no last word.
    drop(out.reply(&answered.map_or_else(Reply::Refused, |()| Reply::Done {})).await);
}

async fn question(read: tokio::net::unix::OwnedReadHalf) -> Result<Request, Refused> {
    let mut line = Vec::new();
    let mut from = BufReader::new(read.take(QUESTION));
    let come = tokio::time::timeout(ASKING, from.read_until(b'\n', &mut line)).await;
    if !matches!(come, Ok(Ok(_))) || line.last() != Some(&b'\n') {
        return Err(Refused::new("the question did not come whole", ""));
    }
    Request::read(&line)
}

/// Where an answer goes, line by line.
pub struct Out {
    write: OwnedWriteHalf,
}

impl Out {
    /// One line of the answer.
    ///
    /// # Errors
    /// [`Refused`], which nobody will hear, when the other end is gone or takes nothing.
    pub async fn line(&mut self, line: &impl serde::Serialize) -> Result<(), Refused> {
        let line = serde_json::to_value(line).map_err(|error| Refused::new(error.to_string(), ""))?;
        self.reply(&Reply::Line(line)).await
    }

    /// Many lines of the answer.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub async fn lines<T: serde::Serialize>(&mut self, lines: impl IntoIterator<Item = T>) -> Result<(), Refused> {
        for line in lines {
            self.line(&line).await?;
        }
        Ok(())
    }

    async fn reply(&mut self, reply: &Reply) -> Result<(), Refused> {
        let mut line = serde_json::to_vec(reply).map_err(|error| Refused::new(error.to_string(), ""))?;
        line.push(b'\n');
        match tokio::time::timeout(TAKING, self.write.write_all(&line)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Refused::new("the answer is not taken", "")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dead_process_leaves_its_socket_to_the_next_and_a_living_one_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        // As long as a path may be, and longer than a socket's address.
        let dir = dir.path().join("d".repeat(120));
        fs::create_dir(&dir).unwrap();
        let first = ControlSocket::bind(&dir).unwrap();
        assert_eq!(fs::metadata(dir.join(NAME)).unwrap().mode() & 0o777, 0o600);
        assert!(matches!(ControlSocket::bind(&dir), Err(ControlError::InUse(_))));
        // As after a kill: the name stays, nobody listens.
        let kept = dir.join("kept");
        fs::rename(dir.join(NAME), &kept).unwrap();
        drop(first);
        fs::rename(&kept, dir.join(NAME)).unwrap();
        let second = ControlSocket::bind(&dir).unwrap();
        drop(second);
        assert!(!dir.join(NAME).exists());
    }
}
