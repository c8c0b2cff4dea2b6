//! A mail client or server that hands mail in, command by command.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::Gateway;

/// One SMTP connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    pub(crate) greeting: String,
}

impl Client {
    /// Connects and says EHLO.
    pub(crate) async fn connect(gateway: &Gateway) -> Self {
        let mut client = Self { stream: BufReader::new(TcpStream::connect(gateway.daemon.smtp).await.unwrap()), greeting: String::new() };
        client.greeting = client.hear().await;
        if client.greeting.starts_with("220") {
            let reply = client.say("EHLO mail.example.se").await;
            assert!(reply.starts_with("250"), "{reply}");
        }
        client
    }

    /// Says a command and hears the whole reply.
    pub(crate) async fn say(&mut self, command: &str) -> String {
        self.stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
        self.hear().await
    }

    /// MAIL and RCPT, which must be taken.
    pub(crate) async fn envelope(&mut self, from: &str, to: &[&str], parameters: &str) {
        let reply = self.say(&format!("MAIL FROM:<{from}>")).await;
        assert!(reply.starts_with("250"), "{reply}");
        for to in to {
            let reply = self.say(&format!("RCPT TO:<{to}>{parameters}")).await;
            assert!(reply.starts_with("250"), "{to}: {reply}");
        }
    }

    /// DATA and the mail; the reply to the mail.
    pub(crate) async fn data(&mut self, mail: &str) -> String {
        let reply = self.say("DATA").await;
        assert!(reply.starts_with("354"), "{reply}");
        let stuffed = mail.replace("\r\n.", "\r\n..");
        self.stream.write_all(stuffed.as_bytes()).await.unwrap();
        self.say(".").await
    }

    /// Ends the connection without a word more, as a client that crashes does.
    pub(crate) fn cut(self) {
        drop(self.stream);
    }

    async fn hear(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await.unwrap();
            let more = line.as_bytes().get(3) == Some(&b'-');
            reply.push_str(&line);
            if !more {
                return reply.trim_end().to_owned();
            }
        }
    }
}

/// One whole transaction, with QUIT; the reply to the mail.
pub(crate) async fn submit(gateway: &Gateway, to: &[&str], parameters: &str, mail: &str) -> String {
    let mut client = Client::connect(gateway).await;
    client.envelope(&gateway.mailbox, to, parameters).await;
    let reply = client.data(mail).await;
    client.say("QUIT").await;
    reply
}
