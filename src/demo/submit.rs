//! Handing a mail to a gateway as an internal mail server does.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Why a mail was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The connection failed.
    #[error("the gateway's SMTP server cannot be reached")]
    Connection(#[from] std::io::Error),
    /// It was refused.
    #[error("{command} was answered {reply}")]
    Refused {
        /// What was said.
        command: String,
        /// What came back.
        reply: String,
    },
}

/// Submits a mail and asks for every notice (RFC 3461); returns the last reply to the data.
///
/// # Errors
/// [`SubmitError`].
pub(super) async fn submit(server: SocketAddr, from: &str, to: &str, mail: &[u8]) -> Result<String, SubmitError> {
    let mut stream = BufReader::new(TcpStream::connect(server).await?);
    expect(&mut stream, "the connection", "220").await?;
    let commands = [
        ("EHLO mail.example.se".to_owned(), "250"),
        (format!("MAIL FROM:<{from}> BODY=8BITMIME RET=HDRS ENVID=demo-1"), "250"),
        (format!("RCPT TO:<{to}> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;{}", xtext(to)), "250"),
        ("DATA".to_owned(), "354"),
    ];
    for (command, code) in commands {
        stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        expect(&mut stream, &command, code).await?;
    }
    let mut data = Vec::with_capacity(mail.len() + 5);
    for line in mail.split_inclusive(|octet| *octet == b'\n') {
        if line.first() == Some(&b'.') {
            data.push(b'.');
        }
        data.extend_from_slice(line);
    }
    data.extend_from_slice(b".\r\n");
    stream.write_all(&data).await?;
    let reply = expect(&mut stream, "the mail", "250").await?;
    stream.write_all(b"QUIT\r\n").await?;
    expect(&mut stream, "QUIT", "221").await?;
    Ok(reply)
}

async fn expect(stream: &mut BufReader<TcpStream>, command: &str, code: &str) -> Result<String, SubmitError> {
    let mut reply = String::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let last = line.as_bytes().get(3) != Some(&b'-');
        reply.push_str(&line);
        if last {
            break;
        }
    }
    if reply.starts_with(code) {
        Ok(reply.trim_end().to_owned())
    } else {
        Err(SubmitError::Refused { command: command.to_owned(), reply: reply.trim_end().to_owned() })
    }
}

/// RFC 3461 4.
fn xtext(text: &str) -> String {
    text.replace('+', "+2B").replace('=', "+3D")
}
