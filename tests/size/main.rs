//! Size: what large messages take of memory, and what happens on both sides of every limit.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "../gateway"]
mod gateway {
    #![allow(dead_code, unused_imports)]
    pub(crate) mod harness;
}

mod limits;
mod memory;
mod outside;

use std::net::SocketAddr;

use brevbro::content::File;
use brevbro::sdk::message::{self, MessageLimits};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use gateway::harness;
use gateway::harness::peer::Draft;
use gateway::harness::{Letter, Sink};

/// What our documents begin with, and an envelope does not hold.
pub(crate) const DECLARATION: usize = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".len();

/// Octets that no compression makes smaller, behind what a PDF begins with.
pub(crate) fn noise(octets: usize) -> Vec<u8> {
    let mut out = b"%PDF-1.7\n".to_vec();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while out.len() < octets {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(octets);
    out
}

/// A sealed envelope with so much more ciphertext that it has so many octets; its seal no longer holds.
pub(crate) fn grown(envelope: &[u8], octets: usize) -> Vec<u8> {
    use base64::prelude::*;
    let end = b"</xenc:CipherValue>";
    let at = envelope.windows(end.len()).rposition(|window| window == end).unwrap();
    let piece = BASE64_STANDARD.encode(noise(300_000));
    let more = piece.bytes().cycle();
    let mut grown = envelope[..at].to_vec();
    grown.reserve(octets);
    if let Some(missing) = octets.checked_sub(envelope.len()) {
        for _ in 0..missing / piece.len() {
            grown.extend_from_slice(piece.as_bytes());
        }
        grown.extend(more.take(missing % piece.len()));
    }
    grown.extend_from_slice(&envelope[at..]);
    assert_eq!(grown.len(), octets);
    grown
}

/// Gives a draft a file such that its payload has exactly so many octets in the envelope.
pub(crate) fn sized(draft: &mut Draft, octets: usize) {
    let file = |name: String, body: Vec<u8>| vec![File { name: name.into(), media_type: "application/pdf".into(), body: body.into() }];
    draft.content.documents[0].files = file("a.pdf".into(), b"%PDF".to_vec());
    let empty = usize::try_from(message::octets(&draft.content) - message::file_octets(4)).unwrap() - DECLARATION;
    let room = octets - empty;
    draft.content.documents[0].files = file("a".repeat(room % 4) + "a.pdf", noise(room / 4 * 3));
    draft.payload = message::write_within(&draft.content, &MessageLimits { payload: 200_000_000 }).unwrap();
    assert_eq!(draft.payload.len(), octets + DECLARATION);
}

/// One SMTP transaction; the reply to the mail.
pub(crate) async fn submit(server: SocketAddr, from: &str, to: &str, mail: &str) -> String {
    let mut stream = BufReader::new(TcpStream::connect(server).await.unwrap());
    let mut reply = hear(&mut stream).await;
    for command in ["EHLO mail.example.se".to_owned(), format!("MAIL FROM:<{from}>"), format!("RCPT TO:<{to}>"), "DATA".to_owned()] {
        assert!(reply.starts_with('2'), "{reply}");
        stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
        reply = hear(&mut stream).await;
    }
    assert!(reply.starts_with("354"), "{reply}");
    stream.write_all(mail.as_bytes()).await.unwrap();
    stream.write_all(b".\r\n").await.unwrap();
    let reply = hear(&mut stream).await;
    stream.write_all(b"QUIT\r\n").await.unwrap();
    hear(&mut stream).await;
    reply
}

async fn hear(stream: &mut BufReader<TcpStream>) -> String {
    let mut reply = String::new();
    loop {
        let start = reply.len();
        assert!(stream.read_line(&mut reply).await.unwrap() > 0, "it hung up after {reply:?}");
        if reply.as_bytes().get(start + 3) != Some(&b'-') {
            return reply;
        }
    }
}

/// Waits until a mailbox has so many mails that are no notices; the last of them.
pub(crate) async fn delivered(sink: &Sink, mailbox: &str, number: usize) -> Letter {
    sink.nth_letter("mails", number - 1, |letter| letter.to == mailbox && !letter.is_notice()).await
}
