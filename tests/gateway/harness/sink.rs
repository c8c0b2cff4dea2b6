//! The organisation's mail server: takes mail, or does what it was told to do instead.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{Shared, wait_for};

#[path = "../../common/dsn.rs"]
pub(crate) mod dsn;

/// What happens to the next mail for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// `451` after RCPT.
    Later,
    /// `550` after RCPT.
    Never,
    /// It is taken, and the connection ends before the answer.
    Break,
}

/// A mail that was taken.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) text: String,
}

impl Letter {
    /// The first line that begins so, without its beginning.
    pub(crate) fn line(&self, start: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(start)).map(str::trim)
    }

    pub(crate) fn is_notice(&self) -> bool {
        self.text.contains("report-type=\"delivery-status\"") || self.text.contains("report-type=delivery-status")
    }

    /// Action and status code of a notice.
    pub(crate) fn outcome(&self) -> (String, String) {
        (self.line("Action:").unwrap_or_default().to_owned(), self.line("Status:").unwrap_or_default().to_owned())
    }
}

/// A mail server on a free port.
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    letters: Shared<Vec<Letter>>,
    manners: Shared<VecDeque<(String, Manner)>>,
    faults: Shared<Vec<String>>,
}

impl Sink {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (letters, manners, faults) = (Arc::new(Mutex::default()), Arc::new(Mutex::default()), Arc::new(Mutex::default()));
        let (taken, asked, found) = (Arc::clone(&letters), Arc::clone(&manners), Arc::clone(&faults));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (letters, manners, faults) = (Arc::clone(&taken), Arc::clone(&asked), Arc::clone(&found));
                tokio::spawn(async move { drop(serve(stream, letters, manners, faults).await) });
            }
        });
        Self { address, letters, manners, faults }
    }

    /// What is wrong with the notices that were taken.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap().clone()
    }

    /// The next mails to this address are treated so, one after another; then all are taken again.
    pub(crate) fn will(&self, to: &str, manners: &[Manner]) {
        self.manners.lock().unwrap().extend(manners.iter().map(|manner| (to.to_owned(), *manner)));
    }

    /// From here on everything is taken.
    pub(crate) fn is_well(&self) {
        self.manners.lock().unwrap().clear();
    }

    /// Everything that was taken.
    pub(crate) fn letters(&self) -> Vec<Letter> {
        self.letters.lock().unwrap().clone()
    }

    /// Waits for a mail.
    pub(crate) async fn letter(&self, what: &str, is: impl Fn(&Letter) -> bool) -> Letter {
        self.nth_letter(what, 0, is).await
    }

    /// Waits for a mail that has that many before it.
    pub(crate) async fn nth_letter(&self, what: &str, number: usize, is: impl Fn(&Letter) -> bool) -> Letter {
        wait_for(what, || async { self.letters.lock().unwrap().iter().filter(|letter| is(letter)).nth(number).cloned() }).await
    }
}

async fn serve(
    stream: TcpStream,
    letters: Shared<Vec<Letter>>,
    manners: Shared<VecDeque<(String, Manner)>>,
    faults: Shared<Vec<String>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mail.example.se ESMTP\r\n").await?;
    let (mut from, mut to, mut manner) = (String::new(), String::new(), None);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let command = line.trim_end();
        let address =
            || command.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(address, _)| address.to_owned()).unwrap_or_default();
        let reply: &[u8] = match command.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
            "EHLO" => b"250-mail.example.se\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
            "MAIL" => {
                from = address();
                b"250 ok\r\n"
            }
            "RCPT" => {
                to = address();
                manner = {
                    let mut manners = manners.lock().unwrap();
                    let next = manners.iter().position(|(address, _)| *address == to);
                    next.and_then(|next| manners.remove(next)).map(|(_, manner)| manner)
                };
                match manner {
                    Some(Manner::Later) => b"451 4.2.1 mailbox busy\r\n",
                    Some(Manner::Never) => b"550 5.2.1 mailbox closed\r\n",
                    Some(Manner::Break) | None => b"250 ok\r\n",
                }
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                let text = data(&mut stream).await?;
                let letter = Letter { from: from.clone(), to: to.clone(), text };
                if letter.is_notice() {
                    let mut wrong = dsn::faults(letter.text.as_bytes(), &[]);
                    if !letter.from.is_empty() {
                        wrong.push(format!("its sender is {:?} (RFC 3461 6.2)", letter.from));
                    }
                    faults.lock().unwrap().extend(wrong.into_iter().map(|fault| format!("{fault} in {}", letter.text)));
                }
                letters.lock().unwrap().push(letter);
                if manner == Some(Manner::Break) {
                    return Ok(());
                }
                b"250 2.0.0 queued\r\n"
            }
            "RSET" | "NOOP" => b"250 ok\r\n",
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => b"502 no\r\n",
        };
        stream.write_all(reply).await?;
    }
}

async fn data(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut data = Vec::new();
    while !data.ends_with(b"\r\n.\r\n") {
        if stream.read_until(b'\n', &mut data).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    data.truncate(data.len() - 3);
    Ok(String::from_utf8_lossy(&data).replace("\r\n..", "\r\n."))
}
