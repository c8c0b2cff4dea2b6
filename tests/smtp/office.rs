//! A server with a reception that takes mail into memory.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brevbro::edge::serving::{Peer, Stopper, stop};
use brevbro::edge::smtp_server::{Accepted, Client, DataSink, Reception, SmtpServer, SmtpServerOptions};
use brevbro::ident::Domain;
use brevbro::mail::session::{Credentials, Envelope, Mechanism, Recipient, Reply};
use brevbro::port::Pending;
use tokio::task::JoinHandle;

/// A mail that was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    pub peer: Peer,
    pub login: Option<String>,
    pub envelope: Envelope,
    pub octets: Vec<u8>,
}

/// What the reception has seen.
#[derive(Debug, Default)]
pub struct Book {
    pub taken: Mutex<Vec<Taken>>,
    pub confirmed: Mutex<Vec<String>>,
}

/// Knows the user `exchange`, whose password is `hemlig`, and every certificate. Refuses the recipient `okand` and the sender `obehorig`, thinks long about the recipient `langsam`, and its disk is
/// full when the mail says so.
struct Clerk(Arc<Book>);

impl Reception for Clerk {
    fn client(&self, _: &Client) -> Result<(), Reply> {
        Ok(())
    }

    fn mechanisms(&self, client: &Client) -> Vec<Mechanism> {
        let external = client.peer.certificate().map(|_| Mechanism::External);
        [Mechanism::Plain, Mechanism::Login].into_iter().chain(external).collect()
    }

    fn login<'a>(&'a self, client: &'a Client, credentials: &'a Credentials) -> Pending<'a, Result<String, Reply>> {
        Box::pin(async move {
            match credentials {
                Credentials::Password { user, password } if (user.as_str(), password.as_str()) == ("exchange", "hemlig") => Ok(user.0.clone()),
                Credentials::Certificate { name: None } => Ok(client.peer.certificate().unwrap().common_name().unwrap()),
                _ => Err(Reply::login_failed()),
            }
        })
    }

    fn sender<'a>(&'a self, _: &'a Client, envelope: &'a Envelope) -> Pending<'a, Result<(), Reply>> {
        let refused = envelope.sender.address.as_ref().is_some_and(|address| address.local() == "obehorig");
        Box::pin(async move { if refused { Err(Reply::new(550, (7, 1), "Not allowed to send")) } else { Ok(()) } })
    }

    fn recipient<'a>(&'a self, _: &'a Client, _: &'a Envelope, recipient: &'a Recipient) -> Pending<'a, Result<(), Reply>> {
        Box::pin(async move {
            match recipient.address.local() {
                "okand" => Err(Reply::new(550, (1, 1), "No such function")),
                "langsam" => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    Ok(())
                }
                _ => Ok(()),
            }
        })
    }

    fn data<'a>(&'a self, client: &'a Client, envelope: &'a Envelope) -> Pending<'a, Result<Box<dyn DataSink>, Reply>> {
        let taken = Taken { peer: client.peer.clone(), login: client.login.clone(), envelope: envelope.clone(), octets: Vec::new() };
        let sink: Box<dyn DataSink> = Box::new(Sink { taken, book: Arc::clone(&self.0) });
        Box::pin(async move { Ok(sink) })
    }

    fn confirmed<'a>(&'a self, transaction: &'a str) -> Pending<'a, ()> {
        self.0.confirmed.lock().unwrap().push(transaction.to_owned());
        Box::pin(async {})
    }
}

struct Sink {
    taken: Taken,
    book: Arc<Book>,
}

impl DataSink for Sink {
    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.taken.octets.extend_from_slice(octets);
        if self.taken.octets.windows(9).any(|w| w == b"disk full") { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn finish(self: Box<Self>) -> Pending<'static, Result<Accepted, Reply>> {
        Box::pin(async move {
            let mut taken = self.book.taken.lock().unwrap();
            taken.push(self.taken);
            Ok(Accepted { transaction: format!("m{}", taken.len()) })
        })
    }
}

/// A running server.
pub struct Office {
    pub address: SocketAddr,
    pub book: Arc<Book>,
    pub stopper: Stopper,
    pub running: JoinHandle<()>,
}

impl Office {
    /// Starts a server with changed options.
    pub async fn open(change: impl FnOnce(&mut SmtpServerOptions)) -> Self {
        let mut options = SmtpServerOptions::new("127.0.0.1:0".parse().unwrap(), Domain::new("gw.habo.test").unwrap());
        change(&mut options);
        let server = SmtpServer::bind(options).await.unwrap();
        let (address, book, (stopper, stop)) = (server.address(), Arc::new(Book::default()), stop());
        let running = tokio::spawn(server.run(Arc::new(Clerk(Arc::clone(&book))), stop));
        Self { address, book, stopper, running }
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.book.taken.lock().unwrap().clone()
    }

    pub fn confirmed(&self) -> Vec<String> {
        self.book.confirmed.lock().unwrap().clone()
    }

    /// Waits until so many mails were taken.
    pub async fn wait_for(&self, count: usize) {
        for _ in 0..500 {
            if self.taken().len() >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} mails instead of {count}", self.taken().len());
    }
}
