//! Dovecot over the demo's Maildirs, where it is installed, so that a mail client can read them.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::folder::DOVECOT;
use crate::testbed::free_port;

/// A Dovecot that runs. [`Self::stop`] ends it with all its processes.
pub(super) struct Dovecot {
    /// Where IMAP is.
    pub address: SocketAddr,
    program: PathBuf,
    config: PathBuf,
    child: Child,
}

/// The password of every mailbox of the demo.
pub(super) const PASSWORD: &str = "demo";

/// How long it may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts Dovecot over `mail/<user>`; `None` when it is not installed, takes another
/// configuration in its version, or could not get at the folder.
///
/// # Errors
/// When its files cannot be written.
pub(super) async fn start(dir: &Path) -> std::io::Result<Option<Dovecot>> {
    let Some(program) = ["/usr/sbin/dovecot", "/usr/local/sbin/dovecot"].iter().map(PathBuf::from).find(|path| path.is_file()) else {
        return Ok(None);
    };
    let Ok(port) = free_port() else { return Ok(None) };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let owner = Owner::of(&dir.join("mail"))?;
    if !owner.reaches(dir)? {
        return Ok(None);
    }
    let run = dir.join(DOVECOT);
    std::fs::create_dir_all(&run)?;
    let config = run.join("dovecot.conf");
    let Some(text) = configuration(dir, &run, address, &owner) else { return Ok(None) };
    std::fs::write(&config, text)?;
    let mut command = Command::new(&program);
    command.arg("-F").arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut dovecot = Dovecot { address, program, config, child: command.spawn()? };
    if dovecot.answers().await {
        return Ok(Some(dovecot));
    }
    dovecot.stop().await;
    Ok(None)
}

impl Dovecot {
    /// Waits for its greeting.
    async fn answers(&mut self) -> bool {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            if let Ok(stream) = TcpStream::connect(self.address).await {
                let mut line = String::new();
                let read = timeout(PATIENCE, BufReader::new(stream).read_line(&mut line)).await;
                return matches!(read, Ok(Ok(_))) && line.starts_with("* OK");
            }
            sleep(Duration::from_millis(50)).await;
        }
        false
    }

    /// Ends it. Its processes end themselves when the first is told to; killed, it would leave them behind.
    pub(super) async fn stop(mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let mut stop = Command::new(&self.program);
            stop.arg("-c").arg(&self.config).arg("stop").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            drop(timeout(PATIENCE, stop.status()).await);
            if timeout(PATIENCE, self.child.wait()).await.is_err() {
                drop(self.child.kill().await);
            }
        }
    }
}

/// Who owns the mail and thereby runs Dovecot's processes.
struct Owner {
    uid: u32,
    gid: u32,
    is_root: bool,
}

impl Owner {
    /// Dovecot opens no mail as root, so root gives it away to the user `mail` (8).
    fn of(mail: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(mail)?;
        if metadata.uid() != 0 {
            return Ok(Self { uid: metadata.uid(), gid: metadata.gid(), is_root: false });
        }
        let mut open = vec![mail.to_path_buf()];
        while let Some(path) = open.pop() {
            chown(&path, Some(8), Some(8))?;
            if path.is_dir() {
                for entry in std::fs::read_dir(&path)? {
                    open.push(entry?.path());
                }
            }
        }
        Ok(Self { uid: 8, gid: 8, is_root: true })
    }

    /// Whether every folder on the way down lets the owner through: below a home folder it may not.
    fn reaches(&self, dir: &Path) -> std::io::Result<bool> {
        for folder in dir.ancestors() {
            let metadata = std::fs::metadata(folder)?;
            if metadata.uid() != self.uid && metadata.mode() & 0o001 == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// `None` when whoever runs the demo has no name on this machine, which Dovecot asks for.
fn configuration(dir: &Path, run: &Path, address: SocketAddr, owner: &Owner) -> Option<String> {
    let (mail, run, port) = (dir.join("mail"), run.display(), address.port());
    let (mail, Owner { uid, gid, is_root }) = (mail.display(), owner);
    // Without root there is nobody else to become, and no chroot.
    let alone = if *is_root {
        String::new()
    } else {
        let (user, group) = (name_of(*uid, "/etc/passwd")?, name_of(*gid, "/etc/group")?);
        format!(
            "default_internal_user = {user}\ndefault_internal_group = {group}\ndefault_login_user = {user}\n\
             service anvil {{\n  chroot =\n}}\nservice imap-login {{\n  chroot =\n}}\nservice stats {{\n  chroot =\n}}\n"
        )
    };
    Some(format!(
        "protocols = imap\nlisten = 127.0.0.1\nbase_dir = {run}/run\nstate_dir = {run}/state\nlog_path = {run}/log\nssl = no\n\
         disable_plaintext_auth = no\nmail_location = maildir:{mail}/%u\nfirst_valid_uid = 1\n\
         passdb {{\n  driver = static\n  args = password={PASSWORD}\n}}\n\
         userdb {{\n  driver = static\n  args = uid={uid} gid={gid} home={mail}/%u\n}}\n\
         service imap-login {{\n  inet_listener imap {{\n    port = {port}\n  }}\n  inet_listener imaps {{\n    port = 0\n  }}\n}}\n{alone}"
    ))
}

/// The name of a user or group id, in a file of lines `name:password:id:...`.
fn name_of(id: u32, file: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| fields.get(2).is_some_and(|of| of.parse() == Ok(id)))?.first().map(|&name| name.to_owned())
}
