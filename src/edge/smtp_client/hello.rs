//! The beginning of a connection: greeting, EHLO or LHLO, STARTTLS.
//!
//! lettre knows no LMTP and keeps of the offers only what it needs itself, so this is ours; lettre is shown it afterwards.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Protocol;
use crate::ident::Domain;

/// Octets of a reply.
const REPLY: usize = 8 * 1024;

/// What a server said to our hello.
#[derive(Debug, Clone, Default)]
pub(super) struct Offers {
    /// Its words, line for line.
    text: String,
}

impl Offers {
    /// The parameters of an extension; `None` when it is not offered.
    pub(super) fn parameters(&self, extension: &str) -> Option<&str> {
        // The first line is the server's name.
        let mut lines = self.text.lines().skip(1).filter_map(|line| line.get(4..)).map(str::trim);
        lines.find_map(|line| {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            word.eq_ignore_ascii_case(extension).then_some(rest)
        })
    }

    /// Whether an extension is offered.
    pub(super) fn has(&self, extension: &str) -> bool {
        self.parameters(extension).is_some()
    }

    /// The largest mail that it takes; `None` when it does not say (RFC 1870 4: 0 is no limit).
    pub(super) fn largest(&self) -> Option<u64> {
        self.parameters("SIZE")?.parse().ok().filter(|largest| *largest > 0)
    }

    /// A greeting and the hello's reply, for who reads them next.
    pub(super) fn replayed(&self) -> Vec<u8> {
        format!("220 greeted\r\n{}", self.text).into_bytes()
    }
}

/// Reads the greeting and says hello.
pub(super) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, protocol: Protocol, hostname: &Domain) -> io::Result<Offers> {
    let mut received = Vec::new();
    reply(stream, &mut received, "220").await?;
    hello(stream, &mut received, protocol, hostname).await
}

/// Greeting, hello and STARTTLS in plaintext (RFC 3207). What comes beyond the last reply was put there by somebody else.
pub(super) async fn start_tls(mut tcp: TcpStream, protocol: Protocol, hostname: &Domain) -> io::Result<TcpStream> {
    if !greet(&mut tcp, protocol, hostname).await?.has("STARTTLS") {
        return Err(io::Error::other("the mail server does not offer it"));
    }
    tcp.write_all(b"STARTTLS\r\n").await?;
    let mut received = Vec::new();
    reply(&mut tcp, &mut received, "220").await?;
    if received.is_empty() { Ok(tcp) } else { Err(io::Error::other("plaintext came after the reply")) }
}

/// Says hello and hears what is offered. Nothing that came unasked is read as an answer to what is asked later.
pub(super) async fn hello<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    received: &mut Vec<u8>,
    protocol: Protocol,
    hostname: &Domain,
) -> io::Result<Offers> {
    let word = match protocol {
        Protocol::Smtp => "EHLO",
        // RFC 2033 4.1
        Protocol::Lmtp => "LHLO",
    };
    stream.write_all(format!("{word} {hostname}\r\n").as_bytes()).await?;
    stream.flush().await?;
    let text = reply(stream, received, "250").await?;
    if received.is_empty() { Ok(Offers { text }) } else { Err(io::Error::other("more came than the reply")) }
}

/// Reads one reply and leaves in `received` what came after it.
async fn reply<S: AsyncRead + Unpin>(stream: &mut S, received: &mut Vec<u8>, code: &str) -> io::Result<String> {
    let mut start = 0;
    loop {
        while let Some(length) = received.get(start..).and_then(|rest| rest.iter().position(|b| *b == b'\n')) {
            let last = received.get(start + 3) != Some(&b'-');
            start += length + 1;
            if last {
                let text = String::from_utf8_lossy(received.get(..start).unwrap_or_default()).into_owned();
                received.drain(..start);
                let reason = || text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect::<String>();
                return if text.starts_with(code) { Ok(text) } else { Err(io::Error::other(reason())) };
            }
        }
        if received.len() > REPLY {
            return Err(io::Error::other("the reply is too long"));
        }
        let mut piece = [0; 1024];
        let count = stream.read(&mut piece).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        received.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_found_by_their_whole_word_in_any_case() {
        let offers = Offers { text: "250-DSN.habo.se SIZE\r\n250-size 35882577\r\n250-8bitmime\r\n250 AUTH PLAIN LOGIN\r\n".into() };
        assert_eq!((offers.largest(), offers.has("8BITMIME"), offers.parameters("AUTH")), (Some(35_882_577), true, Some("PLAIN LOGIN")));
        assert!(!offers.has("DSN") && !offers.has("8BIT") && !offers.has("DSN.habo.se"));
        assert_eq!(Offers { text: "250-x\r\n250 SIZE 0\r\n".into() }.largest(), None);
        assert_eq!(Offers { text: "250-x\r\n250 SIZE\r\n".into() }.largest(), None);
    }
}
