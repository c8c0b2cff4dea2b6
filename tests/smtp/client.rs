//! What our client makes of servers: our own, a foreign one, and ones that refuse or break at every step.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brevbro::crypto::sha256;
use brevbro::edge::smtp_client::{ClientTimeouts, ClientTls, Login, Protocol, SmtpClient, SmtpClientOptions};
use brevbro::edge::smtp_server::SmtpTls;
use brevbro::edge::tls::{ClientAuth, Roots, TlsIdentity, client_config, server_config};
use brevbro::ident::{Domain, MailAddress};
use brevbro::mail::session::{Body, Charset};
use brevbro::port::{Delivery, MailSink, SinkAnswer, SinkError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::common::{self, pki};
use crate::office::Office;

fn client(address: SocketAddr, change: impl FnOnce(&mut SmtpClientOptions)) -> SmtpClient {
    let mut options = SmtpClientOptions::new("127.0.0.1", address.port(), Domain::new("gw.habo.test").unwrap());
    let patience = Duration::from_secs(10);
    options.timeouts = ClientTimeouts { connect: patience, command: patience, message: patience };
    change(&mut options);
    SmtpClient::new(options).unwrap()
}

fn mail(from: Option<&str>, to: &str, message: &[u8]) -> Delivery {
    Delivery { from: from.map(|from| MailAddress::new(from).unwrap()), to: MailAddress::new(to).unwrap(), message: message.to_vec(), id: None }
}

fn usual() -> Delivery {
    mail(Some("studs@sdk.habo.test"), "anna@habo.test", b"Subject: x\r\n\r\ntext\r\n")
}

async fn deliver(client: &SmtpClient, delivery: Delivery) -> Result<SinkAnswer, SinkError> {
    tokio::time::timeout(Duration::from_secs(20), MailSink::deliver(client, delivery)).await.unwrap()
}

#[tokio::test]
async fn a_mail_arrives_octet_by_octet_in_plaintext_and_in_both_kinds_of_tls() {
    let ca = pki::Ca::new("CA");
    let server = server_config(&TlsIdentity::try_from(&ca.issue("gw.habo.test")).unwrap(), ClientAuth::None).unwrap();
    let config = client_config(Roots::Only(&[ca.certificate()]), None).unwrap();
    let message = b"Subject: x\r\n\r\n.dot\r\n..\r\n.\r\n\r\ntext without end\r\n\r\n".as_slice();
    for (theirs, ours) in [
        (SmtpTls::Plain, ClientTls::Plain),
        (SmtpTls::Required(server.clone()), ClientTls::StartTls(config.clone())),
        (SmtpTls::Implicit(server.clone()), ClientTls::Implicit(config.clone())),
    ] {
        let office = Office::open(|options| options.tls = theirs).await;
        let client = client(office.address, |options| options.tls = ours);
        let answer = deliver(&client, mail(None, "anna@habo.test", message)).await.unwrap();
        assert_eq!(answer.text, "250 2.0.0 Ok: m1");
        let utf8 = deliver(&client, mail(Some("a@habo.test"), "åsa@habo.test", "Subject: å\r\n\r\nö\r\n".as_bytes())).await.unwrap();
        assert_eq!(utf8.text, "250 2.0.0 Ok: m2");
        client.close().await;
        let taken = office.taken();
        assert_eq!(taken[0].octets, message);
        assert_eq!(taken[0].envelope.sender.address, None);
        assert_eq!(taken[0].peer.tls.is_some(), office.taken()[1].peer.tls.is_some());
        assert_eq!((taken[0].envelope.sender.charset, taken[0].envelope.sender.body), (Charset::Ascii, Body::SevenBit));
        assert_eq!((taken[1].envelope.sender.charset, taken[1].envelope.sender.body), (Charset::Utf8, Body::EightBit));
        assert_eq!(taken[0].peer.address, taken[1].peer.address, "one connection for both");
        assert_eq!(office.confirmed(), ["m1", "m2"]);
    }
}

#[tokio::test]
async fn a_server_of_an_unknown_ca_gets_no_mail() {
    let (ours, foreign) = (pki::Ca::new("CA"), pki::Ca::new("another"));
    let server = server_config(&TlsIdentity::try_from(&foreign.issue("gw.habo.test")).unwrap(), ClientAuth::None).unwrap();
    let office = Office::open(|options| options.tls = SmtpTls::Offered(server)).await;
    let config = client_config(Roots::Only(&[ours.certificate()]), None).unwrap();
    let client = client(office.address, |options| options.tls = ClientTls::StartTls(config));
    assert!(matches!(deliver(&client, usual()).await, Err(SinkError::Temporary(reason)) if reason.contains("TLS")));
    assert!(office.taken().is_empty());
}

/// aiosmtpd behind STARTTLS with a login; prints its port and one line for each mail.
const AIOSMTPD: &str = r"
import asyncio, hashlib, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult
class Handler:
    async def handle_DATA(self, server, session, envelope):
        print(envelope.mail_from, ','.join(envelope.rcpt_tos), hashlib.sha256(envelope.original_content).hexdigest(), flush=True)
        return '250 2.0.0 queued as Q1'
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith('okand'):
            return '550 5.1.1 no such mailbox'
        if address.startswith('full'):
            return '452 4.2.2 mailbox full'
        envelope.rcpt_tos.append(address)
        return '250 ok'
def login(server, session, envelope, mechanism, data):
    return AuthResult(success=data.login == b'gw' and data.password == b'hemlig')
async def main():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(sys.argv[1])
    factory = lambda: SMTP(Handler(), hostname='mail.habo.test', tls_context=context, require_starttls=True,
        authenticator=login, auth_required=True, enable_SMTPUTF8=True, data_size_limit=None)
    server = await asyncio.get_running_loop().create_server(factory, '127.0.0.1', 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
";

#[tokio::test]
async fn aiosmtpd_takes_our_mail_after_starttls_and_login() {
    let Some(python) = common::python() else { return };
    let ca = pki::Ca::new("CA");
    let dir = tempfile::tempdir().unwrap();
    let pem = dir.path().join("mail.pem");
    std::fs::write(&pem, pki::pem(&ca.issue("mail.habo.test"))).unwrap();
    let mut server = Command::new(python).args(["-W", "ignore", "-c", AIOSMTPD]).arg(&pem).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let port: u16 = lines.next_line().await.unwrap().unwrap().parse().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let config = client_config(Roots::Only(&[ca.certificate()]), None).unwrap();
    let login = |password: &str| Some(Login { user: "gw".into(), password: password.to_owned().into() });

    let right = client(address, |options| (options.tls, options.login) = (ClientTls::StartTls(config.clone()), login("hemlig")));
    let mut message = b"Subject: x\r\n\r\n.dot\r\n".to_vec();
    message.extend(b"0123456789\r\n".repeat(20_000));
    let answer = deliver(&right, mail(None, "anna@habo.test", &message)).await.unwrap();
    assert_eq!(answer.text, "250 2.0.0 queued as Q1");
    assert_eq!(lines.next_line().await.unwrap().unwrap(), format!("<> anna@habo.test {}", sha256(&message)));
    assert!(matches!(deliver(&right, mail(None, "okand@habo.test", &message)).await, Err(SinkError::Permanent(text)) if text.contains("5.1.1")));
    assert!(matches!(deliver(&right, mail(None, "full@habo.test", &message)).await, Err(SinkError::Temporary(text)) if text.contains("4.2.2")));
    let utf8 = mail(Some("studs@sdk.habo.test"), "åsa@habo.test", "Subject: å\r\n\r\nö\r\n".as_bytes());
    deliver(&right, utf8).await.unwrap();
    assert!(lines.next_line().await.unwrap().unwrap().starts_with("studs@sdk.habo.test åsa@habo.test "));

    let wrong = client(address, |options| (options.tls, options.login) = (ClientTls::StartTls(config), login("fel")));
    assert!(matches!(deliver(&wrong, usual()).await, Err(SinkError::Temporary(text)) if text.contains("login")), "the mail waits for the operator");
    let without = client(address, |_| {});
    assert!(matches!(deliver(&without, usual()).await, Err(SinkError::Temporary(_))), "530 is settings, not the mail");
    server.kill().await.unwrap();
}

/// A server that says these lines, one connection after another: each line after one line of the client, the first at
/// once. `>mail` reads a mail up to its final dot, `>some` a little of it; `|` closes; `...` says nothing more.
struct Script {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Script {
    async fn run(lines: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let script = Self { address: listener.local_addr().unwrap(), heard: Arc::default(), connections: Arc::default() };
        let (heard, connections) = (Arc::clone(&script.heard), Arc::clone(&script.connections));
        tokio::spawn(async move {
            let mut lines = lines.iter();
            while let Ok((tcp, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let mut tcp = BufReader::new(tcp);
                let mut first = true;
                for line in lines.by_ref() {
                    let mut said = String::new();
                    match *line {
                        "|" => break,
                        "..." => std::future::pending().await,
                        ">some" => {
                            drop(tcp.read_exact(&mut [0; 100]).await);
                            continue;
                        }
                        ">mail" => {
                            while !said.ends_with("\r\n.\r\n") && tcp.read_line(&mut said).await.is_ok_and(|count| count > 0) {}
                            first = true;
                            continue;
                        }
                        _ if first => {}
                        _ => drop(tcp.read_line(&mut said).await),
                    }
                    first = false;
                    heard.lock().unwrap().push(said);
                    drop(tcp.write_all(format!("{line}\r\n").as_bytes()).await);
                }
            }
        });
        script
    }
}

#[tokio::test]
async fn each_way_to_fail_is_told_apart() {
    #[derive(Debug, PartialEq)]
    enum Kind {
        Temporary,
        Permanent,
        Unknown,
    }
    use Kind::{Permanent, Temporary, Unknown};
    const OK: &str = "250 ok";
    for (lines, expected) in [
        (&["554 no service"] as &[&str], Temporary),
        (&["|"], Temporary),
        (&["..."], Temporary),
        (&["220 x", "500 what"], Temporary),
        (&["220 x", OK, "451 later"], Temporary),
        (&["220 x", OK, "530 5.7.0 login first"], Temporary),
        (&["220 x", OK, "550 5.7.1 not you"], Permanent),
        (&["220 x", OK, "nonsense"], Temporary),
        (&["220 x", OK, OK, "550 5.1.1 unknown"], Permanent),
        (&["220 x", OK, OK, "450 4.2.0 greylisted"], Temporary),
        (&["220 x", OK, OK, "..."], Temporary),
        (&["220 x", OK, OK, OK, "452 4.3.1 full"], Temporary),
        (&["220 x", OK, OK, OK, "554 5.5.1 no"], Permanent),
        (&["220 x", OK, OK, OK, "250 no 354"], Temporary),
        (&["220 x", OK, OK, OK, "|"], Temporary),
        (&["220 x", OK, OK, OK, "354 go", ">some", "|"], Temporary),
        (&["220 x", OK, OK, OK, "354 go", ">some", "..."], Temporary),
        (&["220 x", OK, OK, OK, "354 go", ">mail", "552 5.3.4 too large"], Permanent),
        (&["220 x", OK, OK, OK, "354 go", ">mail", "451 4.3.0 later"], Temporary),
        (&["220 x", OK, OK, OK, "354 go", ">mail", "421 4.3.2 going down"], Temporary),
        (&["220 x", OK, OK, OK, "354 go", ">mail", "|"], Unknown),
        (&["220 x", OK, OK, OK, "354 go", ">mail", "..."], Unknown),
        (&["220 x", OK, OK, OK, "354 go", ">mail", "nonsense"], Unknown),
        (&["220 x", OK, OK, OK, "354 go", ">mail", "354 again"], Unknown),
    ] {
        let lines: &'static [&'static str] = lines.to_vec().leak();
        let script = Script::run(lines).await;
        // Only a silent server is given up on.
        let patience = Duration::from_secs(if lines.contains(&"...") { 1 } else { 15 });
        let client = client(script.address, |options| {
            options.timeouts = ClientTimeouts { connect: patience, command: patience, message: patience };
        });
        // Where it breaks within the mail, the mail is so large that no buffer between the two holds it.
        let size = if lines.contains(&">some") { 1_000_000 } else { 10 };
        let message = [b"Subject: x\r\n\r\n".to_vec(), b"0123456789\r\n".repeat(size)].concat();
        let kind = match deliver(&client, mail(None, "anna@habo.test", &message)).await {
            Ok(answer) => panic!("{lines:?}: {answer:?}"),
            Err(SinkError::Temporary(_)) => Temporary,
            Err(SinkError::Permanent(_)) => Permanent,
            Err(SinkError::Unknown(_)) => Unknown,
        };
        assert_eq!(kind, expected, "{lines:?}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert!(matches!(deliver(&client(nobody, |_| {}), usual()).await, Err(SinkError::Temporary(_))));
}

#[tokio::test]
async fn starttls_is_never_given_up_and_nothing_injected_is_read() {
    let config = client_config(Roots::Only(&[pki::Ca::new("CA").certificate()]), None).unwrap();
    for lines in [
        &["220 x", "250-mail\r\n250 PIPELINING"] as &'static [&'static str],
        &["220 x", "250-mail\r\n250 STARTTLS", "454 not now"],
        &["220 x", "250-mail\r\n250 STARTTLS", "220 go\r\n250 injected"],
        &["220 x", "250-mail\r\n250 STARTTLS", "220 go", "not TLS"],
    ] {
        let script = Script::run(lines).await;
        let client = client(script.address, |options| options.tls = ClientTls::StartTls(config.clone()));
        assert!(matches!(deliver(&client, usual()).await, Err(SinkError::Temporary(_))), "{lines:?}");
        assert!(!script.heard.lock().unwrap().concat().contains("MAIL"), "{lines:?}");
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_rested_costs_nothing() {
    let script = Script::run(&[
        "220 x",
        "250 ok",
        "250 ok",
        "250 ok",
        "354 go",
        ">mail",
        "250 one",
        "|",
        "220 x",
        "250 ok",
        "250 ok",
        "250 ok",
        "354 go",
        ">mail",
        "250 two",
        "421 4.4.2 idle for too long",
        "|",
        "220 x",
        "250 ok",
        "250 ok",
        "250 ok",
        "354 go",
        ">mail",
        "250 three",
    ])
    .await;
    let client = client(script.address, |_| {});
    for text in ["250 one", "250 two", "250 three"] {
        assert_eq!(deliver(&client, usual()).await.unwrap().text, text);
    }
    assert_eq!(script.connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_mail_that_the_server_cannot_take_as_it_is_is_refused() {
    for offers in ["250 ok", "250-mail\r\n250 8BITMIME"] {
        let lines = vec!["220 x", offers].leak();
        let script = Script::run(lines).await;
        let client = client(script.address, |_| {});
        let result = deliver(&client, mail(None, "åsa@habo.test", "Subject: å\r\n\r\nö\r\n".as_bytes())).await;
        assert!(matches!(result, Err(SinkError::Permanent(text)) if text.contains("SMTPUTF8")));
    }
}

#[tokio::test]
async fn what_is_offered_is_used_and_nothing_else_is() {
    let script = Script::run(&["220 x", "250-mail\r\n250-SIZE 1000\r\n250 DSN", "250 ok", "250 ok", "354 go", ">mail", "250 one", "|"]).await;
    let options = |options: &mut SmtpClientOptions| options.connections = 1;
    let own = Delivery { id: Some("7BC5576A-3f87-4cf5-a0c5-277da06fcacb".parse().unwrap()), ..usual() };
    deliver(&client(script.address, options), Delivery { to: MailAddress::new("anna+sdk@habo.test").unwrap(), ..own }).await.unwrap();
    let heard = script.heard.lock().unwrap().clone();
    assert_eq!(heard[2], "MAIL FROM:<studs@sdk.habo.test> SIZE=20 RET=HDRS ENVID=7bc5576a-3f87-4cf5-a0c5-277da06fcacb\r\n");
    assert_eq!(heard[3], "RCPT TO:<anna+sdk@habo.test> NOTIFY=FAILURE ORCPT=rfc822;anna+2Bsdk@habo.test\r\n");

    let script = Script::run(&["220 x", "250-mail\r\n250 DSN", "250 ok", "250 ok", "354 go", ">mail", "250 one", "|"]).await;
    deliver(&client(script.address, options), mail(None, "anna@habo.test", b"Subject: x\r\n\r\ntext\r\n")).await.unwrap();
    assert!(script.heard.lock().unwrap()[3].contains("NOTIFY=NEVER"), "nobody waits for a notice about a notice");

    let script = Script::run(&["220 x", "250 mail", "250 ok", "250 ok", "354 go", ">mail", "250 one", "|"]).await;
    deliver(&client(script.address, options), usual()).await.unwrap();
    let heard = script.heard.lock().unwrap().clone();
    assert_eq!((heard[2].as_str(), heard[3].as_str()), ("MAIL FROM:<studs@sdk.habo.test>\r\n", "RCPT TO:<anna@habo.test>\r\n"));

    let script = Script::run(&["220 x", "250-mail\r\n250 SIZE 19"]).await;
    let large = deliver(&client(script.address, options), usual()).await.unwrap_err();
    assert!(matches!(&large, SinkError::Permanent(why) if why.contains("20 octets") && why.contains("at most 19")), "{large}");
    assert_eq!(script.heard.lock().unwrap().len(), 2, "nothing was sent");
}

#[tokio::test]
async fn lmtp_says_lhlo_and_reads_one_answer_for_its_one_recipient() {
    let script = Script::run(&[
        "220 x",
        "250 mail",
        "250 ok",
        "250 ok",
        "354 go",
        ">mail",
        "452 4.2.2 full",
        "250 flushed",
        "250 ok",
        "250 ok",
        "354 go",
        ">mail",
        "250 2.0.0 <anna@habo.test> saved",
    ])
    .await;
    let client = client(script.address, |options| options.protocol = Protocol::Lmtp);
    let full = deliver(&client, usual()).await;
    assert!(matches!(&full, Err(SinkError::Temporary(why)) if why.starts_with("the mail: ")), "{full:?}");
    assert_eq!(deliver(&client, usual()).await.unwrap().text, "250 2.0.0 <anna@habo.test> saved");
    let heard = script.heard.lock().unwrap().clone();
    assert_eq!((heard[1].as_str(), heard[6].as_str()), ("LHLO gw.habo.test\r\n", "RSET\r\n"));
    assert_eq!(script.connections.load(Ordering::SeqCst), 1, "a refusal costs no connection");
}
