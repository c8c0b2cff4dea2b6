//! A small internal mail server, for the demo and for trying by hand: takes what a gateway delivers and keeps it, in
//! memory and in Maildirs.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::edge::serving::{Stopper, stop};
use crate::edge::smtp_server::{Accepted, Client, DataSink, Reception, SmtpServer, SmtpServerError, SmtpServerOptions};
use crate::ident::Domain;
use crate::mail::session::{Envelope, Recipient, Reply};
use crate::port::Pending;

/// One mail that was taken.
#[derive(Debug, Clone)]
pub struct Letter {
    /// `RCPT TO`, the first.
    pub to: String,
    /// The mail.
    pub bytes: Vec<u8>,
}

/// Where an address's mail goes.
#[derive(Debug, Clone)]
pub enum Maildirs {
    /// By address in lower case; other mail stays in memory.
    Of(HashMap<String, PathBuf>),
    /// A folder for each address below this one.
    Below(PathBuf),
}

impl Maildirs {
    fn of(&self, address: &str) -> Option<PathBuf> {
        let address = address.to_lowercase();
        match self {
            Self::Of(known) => known.get(&address).cloned(),
            // An address comes from the network: no character of it means anything to the file system.
            Self::Below(dir) => Some(dir.join(address.replace(|c: char| !c.is_alphanumeric() && !"@.-_=+".contains(c), "_").trim_start_matches('.'))),
        }
    }
}

/// A free port of this machine.
pub const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

type Letters = Arc<Mutex<Vec<Letter>>>;

/// A mail server for one organisation.
pub struct MailServer {
    /// Where it listens.
    pub address: SocketAddr,
    letters: Letters,
    _stopper: Stopper,
    _running: JoinHandle<()>,
}

impl MailServer {
    /// Starts; it runs until it is dropped.
    ///
    /// # Errors
    /// [`SmtpServerError`].
    pub async fn start(listen: SocketAddr, hostname: Domain, maildirs: Maildirs) -> Result<Self, SmtpServerError> {
        let server = SmtpServer::bind(SmtpServerOptions::new(listen, hostname)).await?;
        let (stopper, stopped) = stop();
        let letters = Letters::default();
        let desk = Desk { letters: Arc::clone(&letters), maildirs: Arc::new(maildirs) };
        let address = server.address();
        let running = tokio::spawn(server.run(Arc::new(desk), stopped));
        Ok(Self { address, letters, _stopper: stopper, _running: running })
    }

    /// The first mail that `is` says yes to, when it comes within the time.
    pub async fn wait_for(&self, within: Duration, is: impl Fn(&Letter) -> bool) -> Option<Letter> {
        let until = tokio::time::Instant::now() + within;
        loop {
            let found = self.letters.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|letter| is(letter)).cloned();
            if found.is_some() || tokio::time::Instant::now() >= until {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

struct Desk {
    letters: Letters,
    maildirs: Arc<Maildirs>,
}

impl Reception for Desk {
    fn client(&self, _: &Client) -> Result<(), Reply> {
        Ok(())
    }

    fn sender<'a>(&'a self, _: &'a Client, _: &'a Envelope) -> Pending<'a, Result<(), Reply>> {
        Box::pin(async { Ok(()) })
    }

    fn recipient<'a>(&'a self, _: &'a Client, _: &'a Envelope, _: &'a Recipient) -> Pending<'a, Result<(), Reply>> {
        Box::pin(async { Ok(()) })
    }

    fn data<'a>(&'a self, _: &'a Client, envelope: &'a Envelope) -> Pending<'a, Result<Box<dyn DataSink>, Reply>> {
        Box::pin(async move {
            let to = envelope.recipients.first().map(|recipient| recipient.address.to_string()).unwrap_or_default();
            let (letters, maildir) = (Arc::clone(&self.letters), self.maildirs.of(&to));
            Ok(Box::new(Tray { to, bytes: Vec::new(), letters, maildir }) as Box<dyn DataSink>)
        })
    }

    fn confirmed<'a>(&'a self, _: &'a str) -> Pending<'a, ()> {
        Box::pin(async {})
    }
}

struct Tray {
    to: String,
    bytes: Vec<u8>,
    letters: Letters,
    maildir: Option<PathBuf>,
}

impl DataSink for Tray {
    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(octets);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Pending<'static, Result<Accepted, Reply>> {
        Box::pin(async move {
            let transaction = Uuid::new_v4().simple().to_string();
            if let Some(maildir) = &self.maildir {
                put(maildir, &transaction, &self.bytes).map_err(|_| Reply::local_error())?;
            }
            self.letters.lock().unwrap_or_else(PoisonError::into_inner).push(Letter { to: self.to, bytes: self.bytes });
            Ok(Accepted { transaction })
        })
    }
}

/// Puts a mail into a Maildir, written whole before it is seen.
fn put(maildir: &std::path::Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    for folder in ["tmp", "new", "cur"] {
        std::fs::create_dir_all(maildir.join(folder))?;
    }
    let (begun, done) = (maildir.join("tmp").join(name), maildir.join("new").join(name));
    std::fs::write(&begun, bytes)?;
    // The Maildir may have been given to whom an IMAP server runs as; without root it is ours and stays so.
    let owner = std::fs::metadata(maildir)?;
    chown(&begun, Some(owner.uid()), Some(owner.gid()))?;
    std::fs::rename(begun, done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_cannot_leave_the_folder() {
        let maildirs = Maildirs::Below("/mail".into());
        let cases = [("A@habo.se", "a@habo.se"), ("../../etc/x@habo.se", "_.._etc_x@habo.se"), ("\"a b/c\"@d.se", "_a_b_c_@d.se")];
        for (address, folder) in cases {
            assert_eq!(maildirs.of(address), Some(PathBuf::from("/mail").join(folder)));
        }
    }
}
