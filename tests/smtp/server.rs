//! What clients get from our server.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use brevbro::edge::serving::ConnectionLimits;
use brevbro::edge::smtp_server::SmtpTls;
use brevbro::edge::tls::{ClientAuth, Roots, TlsIdentity, client_config, server_config, server_name};
use brevbro::mail::session::{Body, Charset, Notify, Occasion, Ret};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::common::{self, pki::Ca};
use crate::office::Office;

/// Writes, then reads until `count` last lines of replies have come; what came.
async fn say<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, text: &str, count: usize) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut heard = String::new();
    let mut octet = [0; 1];
    let lasts = |heard: &str| heard.split_inclusive("\r\n").filter(|line| line.ends_with("\r\n") && line.as_bytes()[3] == b' ').count();
    while lasts(&heard) < count {
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut octet)).await;
        match read.unwrap_or_else(|_| panic!("waited in vain after {heard:?}")).unwrap() {
            0 => panic!("closed after {heard:?}"),
            _ => heard.push(char::from(octet[0])),
        }
    }
    heard
}

/// Everything until the server closes.
async fn rest<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut heard = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut heard)).await.unwrap().unwrap();
    String::from_utf8(heard).unwrap()
}

async fn python(script: &str, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new("python3");
    command.args(["-c", script]).args(args).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || common::run(&mut command)).await.unwrap();
    output.map(|out| String::from_utf8(out).unwrap())
}

const START: &str = "EHLO pc.habo.test\r\nMAIL FROM:<a@habo.test>\r\nRCPT TO:<b@sdk.habo.test>\r\nDATA\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn python_sends_over_starttls_with_every_extension() {
    if !common::has("python3") {
        return;
    }
    let ca = Ca::new("CA");
    let identity = TlsIdentity::try_from(&ca.issue("gw.habo.test")).unwrap();
    let config = server_config(&identity, ClientAuth::None).unwrap();
    let office = Office::open(|options| options.tls = SmtpTls::Required(config)).await;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("ca.pem");
    std::fs::write(&root, ca.certificate().to_pem()).unwrap();
    let script = r"
import smtplib, ssl, sys
port, root = int(sys.argv[1]), sys.argv[2]
mail = b'Subject: r\xc3\xa4ksm\xc3\xb6rg\xc3\xa5s\r\n\r\n.dot\r\n..two\r\n' + b'0123456789' * 30000 + b'\r\n.\r\n\xff\r\n'
with smtplib.SMTP('127.0.0.1', port, local_hostname='pc.habo.test') as smtp:
    try:
        smtp.sendmail('a@habo.test', ['b@sdk.habo.test'], b'x')
        sys.exit('taken without TLS')
    except smtplib.SMTPSenderRefused as refused:
        assert refused.smtp_code == 530, refused
with smtplib.SMTP('127.0.0.1', port, local_hostname='pc.habo.test') as smtp:
    smtp.starttls(context=ssl.create_default_context(cafile=root))
    refused = smtp.sendmail('\u00e5sa@habo.test', ['soci\u00e1l@sdk.habo.test', 'okand@sdk.habo.test', 'langsam@sdk.habo.test'], mail,
        mail_options=['SMTPUTF8', 'BODY=8BITMIME', 'RET=HDRS', 'ENVID=qq+2Bz'], rcpt_options=['NOTIFY=SUCCESS,DELAY'])
    assert refused == {'okand@sdk.habo.test': (550, b'5.1.1 No such function')}, refused
    smtp.sendmail('', ['b@sdk.habo.test'], 'second\n')
";
    python(script, &[&office.address.port().to_string(), root.to_str().unwrap()]).await.unwrap();
    let taken = office.taken();
    assert_eq!(taken.len(), 2);
    let (first, envelope) = (&taken[0], &taken[0].envelope);
    let mut mail = "Subject: räksmörgås\r\n\r\n.dot\r\n..two\r\n".as_bytes().to_vec();
    mail.extend("0123456789".repeat(30_000).bytes());
    mail.extend(b"\r\n.\r\n\xff\r\n");
    assert!(first.octets == mail, "every octet as sent");
    assert_eq!(first.peer.tls.as_ref().unwrap().version, "TLSv1.3");
    assert_eq!(envelope.helo, "pc.habo.test");
    assert_eq!(envelope.sender.address.as_ref().unwrap().as_str(), "åsa@habo.test");
    assert_eq!((envelope.sender.charset, envelope.sender.body, envelope.sender.ret), (Charset::Utf8, Body::EightBit, Some(Ret::Hdrs)));
    assert_eq!((envelope.sender.envid.as_deref(), envelope.sender.size), (Some("qq+z"), Some(mail.len() as u64)));
    let recipients: Vec<&str> = envelope.recipients.iter().map(|recipient| recipient.address.as_str()).collect();
    assert_eq!(recipients, ["sociál@sdk.habo.test", "langsam@sdk.habo.test"]);
    assert_eq!(envelope.recipients[0].notify, Some(Notify::On([Occasion::Success, Occasion::Delay].into())));
    assert_eq!((taken[1].envelope.sender.address.clone(), taken[1].octets.as_slice()), (None, b"second\r\n".as_slice()));
    assert_eq!(office.confirmed(), ["m1", "m2"], "smtplib waits for each reply");
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_agrees_with_starttls() {
    if !common::has("openssl") {
        return;
    }
    let ca = Ca::new("CA");
    let config = server_config(&TlsIdentity::try_from(&ca.issue("gw.habo.test")).unwrap(), ClientAuth::None).unwrap();
    let office = Office::open(|options| options.tls = SmtpTls::Offered(config)).await;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("ca.pem");
    std::fs::write(&root, ca.certificate().to_pem()).unwrap();
    let address = office.address.to_string();
    let output = tokio::task::spawn_blocking(move || {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-starttls", "smtp", "-verify_return_error", "-verify_hostname", "gw.habo.test", "-CAfile"]);
        common::run(command.arg(&root).args(["-connect", &address]).stdin(Stdio::null()))
    });
    let said = String::from_utf8(output.await.unwrap().unwrap()).unwrap();
    assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
}

#[tokio::test]
async fn a_certificate_shown_after_starttls_is_the_peers_and_injected_plaintext_is_nobodys() {
    let ca = Ca::new("CA");
    let roots = [ca.certificate()];
    let server = server_config(&TlsIdentity::try_from(&ca.issue("gw.habo.test")).unwrap(), ClientAuth::Optional(&roots)).unwrap();
    let client = client_config(Roots::Only(&roots), Some(&TlsIdentity::try_from(&ca.issue("mail.habo.test")).unwrap())).unwrap();
    let office = Office::open(|options| options.tls = SmtpTls::Offered(server)).await;
    let mut tcp = TcpStream::connect(office.address).await.unwrap();
    let plain = say(&mut tcp, "EHLO x\r\nSTARTTLS\r\nEHLO injected\r\nMAIL FROM:<evil@habo.test>\r\n", 3).await;
    assert!(plain.ends_with("220 2.0.0 Ready to start TLS\r\n"), "{plain}");
    let mut tls = TlsConnector::from(client).connect(server_name("gw.habo.test").unwrap(), tcp).await.unwrap();
    assert!(say(&mut tls, "NOOP\r\n", 1).await.starts_with("250 2.0.0"), "no reply of before is left over");
    assert!(say(&mut tls, "MAIL FROM:<a@habo.test>\r\n", 1).await.starts_with("503"), "nor the greeting");
    assert!(!say(&mut tls, "EHLO x\r\n", 1).await.contains("STARTTLS"));
    say(&mut tls, "MAIL FROM:<a@habo.test>\r\nRCPT TO:<b@sdk.habo.test>\r\nDATA\r\n", 3).await;
    say(&mut tls, "x\r\n.\r\n", 1).await;
    assert_eq!(office.taken()[0].peer.certificate().unwrap().common_name().unwrap(), "mail.habo.test");
}

#[tokio::test]
async fn tls_from_the_first_octet() {
    let ca = Ca::new("CA");
    let server = server_config(&TlsIdentity::try_from(&ca.issue("gw.habo.test")).unwrap(), ClientAuth::None).unwrap();
    let client = client_config(Roots::Only(&[ca.certificate()]), None).unwrap();
    let office = Office::open(|options| options.tls = SmtpTls::Implicit(server)).await;
    let tcp = TcpStream::connect(office.address).await.unwrap();
    let mut tls = TlsConnector::from(client).connect(server_name("gw.habo.test").unwrap(), tcp).await.unwrap();
    assert!(say(&mut tls, START, 5).await.ends_with("line of its own\r\n"));
    assert_eq!(say(&mut tls, "x\r\n.\r\nQUIT\r\n", 2).await, "250 2.0.0 Ok: m1\r\n221 2.0.0 Bye\r\n");
}

#[tokio::test]
async fn a_pipelined_dialogue_is_answered_in_order() {
    let office = Office::open(|_| {}).await;
    let mut tcp = TcpStream::connect(office.address).await.unwrap();
    let group = "EHLO x\r\nMAIL FROM:<a@habo.test>\r\nRCPT TO:<okand@sdk.habo.test>\r\nRCPT TO:<langsam@sdk.habo.test>\r\nRCPT TO:<b@sdk.habo.test>\r\nDATA\r\n";
    let heard = say(&mut tcp, group, 7).await;
    let codes: Vec<&str> = heard.lines().filter(|line| line.as_bytes()[3] == b' ').map(|line| &line[..3]).collect();
    assert_eq!(codes, ["220", "250", "250", "550", "250", "250", "354"]);
    assert_eq!(say(&mut tcp, "x\r\n.\r\n", 1).await, "250 2.0.0 Ok: m1\r\n");
}

#[tokio::test]
async fn what_confirms_a_mail_is_a_command_after_our_250() {
    let office = Office::open(|_| {}).await;
    let mut along = TcpStream::connect(office.address).await.unwrap();
    say(&mut along, START, 5).await;
    say(&mut along, "x\r\n.\r\nQUIT\r\n", 2).await;
    assert_eq!(rest(&mut along).await, "");
    assert_eq!((office.taken().len(), office.confirmed().len()), (1, 0), "QUIT was sent along with the dot");
    let mut gone = TcpStream::connect(office.address).await.unwrap();
    say(&mut gone, START, 5).await;
    say(&mut gone, "x\r\n.\r\n", 1).await;
    drop(gone);
    let mut after = TcpStream::connect(office.address).await.unwrap();
    say(&mut after, START, 5).await;
    say(&mut after, "x\r\n.\r\n", 1).await;
    assert_eq!(office.confirmed().len(), 0);
    say(&mut after, "QUIT\r\n", 1).await;
    assert_eq!(office.confirmed(), ["m3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn python_is_told_that_a_mail_is_too_large() {
    if !common::has("python3") {
        return;
    }
    let office = Office::open(|options| options.max_message = 100_000).await;
    let script = r"
import smtplib, sys
with smtplib.SMTP('127.0.0.1', int(sys.argv[1])) as smtp:
    try:
        smtp.sendmail('a@habo.test', ['b@sdk.habo.test'], b'x' * 150000)
        sys.exit('taken')
    except smtplib.SMTPSenderRefused as refused:
        assert refused.smtp_code == 552 and refused.smtp_error.startswith(b'5.3.4'), refused
    smtp.esmtp_features.pop('size')
    smtp.mail('a@habo.test')
    smtp.rcpt('b@sdk.habo.test')
    code, text = smtp.data(b'x' * 150000)
    assert code == 552 and text.startswith(b'5.3.4 The mail of 150002 octets'), text
    assert smtp.noop()[0] == 250
";
    python(script, &[&office.address.port().to_string()]).await.unwrap();
    assert!(office.taken().is_empty());
}

#[tokio::test]
async fn a_bare_line_end_is_refused_and_the_sender_learns_why() {
    let office = Office::open(|_| {}).await;
    for end in ["\n.\n", "\r\n.\n", "\n.\r\n", "\r.\r\n"] {
        let mut tcp = TcpStream::connect(office.address).await.unwrap();
        say(&mut tcp, START, 5).await;
        // Much more than any buffer holds comes after the fault, and still the reply is read.
        let mail = format!("text{end}MAIL FROM:<evil@habo.test>\r\n{}\r\n.\r\n", "0123456789\r\n".repeat(200_000));
        tcp.write_all(mail.as_bytes()).await.unwrap();
        assert!(rest(&mut tcp).await.starts_with("550 5.6.0 Bare CR or LF"));
    }
    assert!(office.taken().is_empty());
}

#[tokio::test]
async fn a_full_disk_defers_the_mail_and_keeps_the_connection() {
    let office = Office::open(|_| {}).await;
    let mut tcp = TcpStream::connect(office.address).await.unwrap();
    say(&mut tcp, START, 5).await;
    let large = format!("disk full\r\n{}.\r\n", "0123456789\r\n".repeat(20_000));
    assert!(say(&mut tcp, &large, 1).await.starts_with("452 4.3.1 "));
    say(&mut tcp, "MAIL FROM:<a@habo.test>\r\nRCPT TO:<b@sdk.habo.test>\r\nDATA\r\n", 3).await;
    assert!(say(&mut tcp, "disk full\r\n.\r\n", 1).await.starts_with("452 4.3.1 "), "also when the mail is one piece");
    assert!(say(&mut tcp, "NOOP\r\n", 1).await.starts_with("250"));
    assert!(office.taken().is_empty());
}

#[tokio::test]
async fn clients_that_dribble_are_sent_away() {
    let short = Duration::from_millis(300);
    let office = Office::open(|options| {
        (options.command_timeout, options.data_block_timeout, options.data_timeout) = (short, short, short * 4);
    })
    .await;
    for (start, lasts) in [("EHLO x\r\n", false), (START, true)] {
        let mut tcp = TcpStream::connect(office.address).await.unwrap();
        say(&mut tcp, start, if lasts { 5 } else { 2 }).await;
        let began = Instant::now();
        let (mut reader, mut writer) = tcp.into_split();
        let dribble = tokio::spawn(async move {
            while writer.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        assert!(rest(&mut reader).await.starts_with("421 4.4.2 "));
        let least = if lasts { short * 3 } else { short * 2 / 3 };
        assert!(began.elapsed() >= least, "{:?}", began.elapsed());
        dribble.abort();
    }
    let mut silent = TcpStream::connect(office.address).await.unwrap();
    assert!(rest(&mut silent).await.contains("\r\n421 4.4.2 "));
    assert!(office.taken().is_empty());
}

#[tokio::test]
async fn who_is_one_too_many_hears_421() {
    let office = Office::open(|options| options.connections = ConnectionLimits { total: 10, per_peer: 2 }).await;
    let mut first = TcpStream::connect(office.address).await.unwrap();
    let mut second = TcpStream::connect(office.address).await.unwrap();
    say(&mut first, "", 1).await;
    say(&mut second, "", 1).await;
    let mut third = TcpStream::connect(office.address).await.unwrap();
    assert!(rest(&mut third).await.starts_with("421 4.7.0 "));
    say(&mut first, "QUIT\r\n", 1).await;
    drop(first);
    for attempt in 0.. {
        let mut fourth = TcpStream::connect(office.address).await.unwrap();
        if say(&mut fourth, "", 1).await.starts_with("220 ") {
            break;
        }
        assert!(attempt < 100, "the seat is not given back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_stop_ends_idle_clients_and_lets_a_mail_finish() {
    let office = Office::open(|_| {}).await;
    let mut idle = TcpStream::connect(office.address).await.unwrap();
    say(&mut idle, "EHLO x\r\n", 2).await;
    let mut busy = TcpStream::connect(office.address).await.unwrap();
    say(&mut busy, START, 5).await;
    office.stopper.stop();
    assert!(rest(&mut idle).await.starts_with("421 4.3.2 "));
    drop(idle);
    assert!(!office.running.is_finished());
    busy.write_all(b"late\r\n.\r\n").await.unwrap();
    let last = rest(&mut busy).await;
    assert!(last.starts_with("250 2.0.0 Ok: m1\r\n421 4.3.2 "), "{last}");
    assert!(TcpStream::connect(office.address).await.is_err());
    drop(busy);
    tokio::time::timeout(Duration::from_secs(5), office.running).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_waits_no_longer_than_the_drain_time() {
    let office = Office::open(|options| options.drain = Duration::from_millis(200)).await;
    let mut busy = TcpStream::connect(office.address).await.unwrap();
    say(&mut busy, START, 5).await;
    office.stopper.stop();
    tokio::time::timeout(Duration::from_secs(5), office.running).await.unwrap().unwrap();
    assert!(office.book.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_mail_that_breaks_off_is_no_mail() {
    let office = Office::open(|_| {}).await;
    let mut tcp = TcpStream::connect(office.address).await.unwrap();
    say(&mut tcp, START, 5).await;
    tcp.write_all(b"half a mail\r\n").await.unwrap();
    tcp.shutdown().await.unwrap();
    assert_eq!(rest(&mut tcp).await, "");
    let mut whole = TcpStream::connect(office.address).await.unwrap();
    say(&mut whole, START, 5).await;
    say(&mut whole, "x\r\n.\r\n", 1).await;
    office.wait_for(1).await;
    assert_eq!(office.taken()[0].octets, b"x\r\n");
}
