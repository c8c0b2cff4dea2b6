//! Dovecot over the demo's Maildirs, where it is installed, so that a mail client can read them.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use tokio::process::{Child, Command};

/// A Dovecot that runs; it ends when this is dropped.
pub(super) struct Dovecot {
    /// Where IMAP is.
    pub address: SocketAddr,
    _child: Child,
}

/// The password of every mailbox of the demo.
pub(super) const PASSWORD: &str = "demo";

/// Starts Dovecot over `mail/<user>`; `None` when it is not installed.
///
/// # Errors
/// When it is installed and does not start.
pub(super) fn start(dir: &Path) -> std::io::Result<Option<Dovecot>> {
    let Some(program) = ["/usr/sbin/dovecot", "/usr/local/sbin/dovecot"].iter().map(PathBuf::from).find(|path| path.is_file()) else {
        return Ok(None);
    };
    let dir = dir.canonicalize()?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let owner = owner(&dir.join("mail"))?;
    let run = dir.join("dovecot");
    std::fs::create_dir_all(&run)?;
    let (run, mail) = (run.display(), dir.join("mail").display().to_string());
    let config = format!(
        "protocols = imap\nlisten = 127.0.0.1\nbase_dir = {run}/run\nlog_path = {run}/log\nssl = no\ndisable_plaintext_auth = no\n\
         mail_location = maildir:{mail}/%u\nfirst_valid_uid = 1\n\
         passdb {{\n  driver = static\n  args = password={PASSWORD}\n}}\n\
         userdb {{\n  driver = static\n  args = {owner} home={mail}/%u\n}}\n\
         service imap-login {{\n  inet_listener imap {{\n    port = {}\n  }}\n  inet_listener imaps {{\n    port = 0\n  }}\n}}\n",
        address.port()
    );
    let file = dir.join("dovecot").join("dovecot.conf");
    std::fs::write(&file, config)?;
    let child = Command::new(program).arg("-F").arg("-c").arg(&file).kill_on_drop(true).spawn()?;
    Ok(Some(Dovecot { address, _child: child }))
}

/// Who owns the mail: Dovecot opens none as root, so root gives it away to the user `mail` (8).
fn owner(mail: &Path) -> std::io::Result<String> {
    use std::os::unix::fs::{MetadataExt, chown};
    let metadata = std::fs::metadata(mail)?;
    if metadata.uid() != 0 {
        return Ok(format!("uid={} gid={}", metadata.uid(), metadata.gid()));
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
    Ok("uid=8 gid=8".into())
}
