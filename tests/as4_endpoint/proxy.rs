//! Behind a reverse proxy: its word counts when it comes from a named address and the certificate holds; nobody else's does.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::prelude::*;
use brevbro::crypto::{Certificate, Identity};
use brevbro::edge::as4_server::{As4Reception, As4Server, As4ServerOptions, As4Tls};
use brevbro::edge::forwarded::Proxies;
use brevbro::edge::serving::{Peer, Stopper, stop};
use brevbro::edge::tls::{ClientAuth, TlsIdentity, server_config};
use brevbro::port::{Answer, Pending};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::common::{self, pki::Ca, pki::pem};

/// Answers with who is there.
struct Doorman;

impl As4Reception for Doorman {
    fn receive(&self, content_type: String, peer: Peer, mut body: Box<dyn Read + Send>) -> Pending<'_, Answer> {
        Box::pin(async move {
            let octets = tokio::task::spawn_blocking(move || std::io::copy(&mut body, &mut std::io::sink())).await.unwrap().unwrap_or(0);
            let name = peer.certificate().and_then(Certificate::common_name).unwrap_or_else(|| "nobody".to_owned());
            Answer { status: 202, content_type, retry_after: None, body: format!("{name} from {} with {octets}", peer.address.ip()).into_bytes() }
        })
    }
}

async fn endpoint(tls: As4Tls) -> (SocketAddr, Stopper) {
    let server = As4Server::bind(As4ServerOptions::new("127.0.0.1:0".parse().unwrap(), tls)).await.unwrap();
    let (address, (stopper, stopped)) = (server.address(), stop());
    tokio::spawn(server.run(Arc::new(Doorman), stopped));
    (address, stopper)
}

fn proxied(from: &str, header: &'static str, clients: ClientAuth<'_>) -> As4Tls {
    let header = http::HeaderName::from_bytes(header.as_bytes()).unwrap();
    As4Tls::Proxied(Arc::new(Proxies::new(vec![from.parse().unwrap()], header, clients).unwrap()))
}

/// Status and body of an answer; nothing when the connection was closed without one.
async fn post(address: SocketAddr, from: &str, head: &str) -> Option<(String, String)> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    let mut tcp = socket.connect(address).await.unwrap();
    let request = format!("POST /as4 HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Length: 2\r\nConnection: close\r\n{head}\r\nhi");
    // Who is not let in may be hung up on before it has written.
    let _ = tcp.write_all(request.as_bytes()).await;
    let mut heard = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), tcp.read_to_end(&mut heard)).await.unwrap();
    let heard = String::from_utf8(heard).unwrap();
    let (head, body) = heard.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1).unwrap().to_owned(), body.trim().to_owned()))
}

fn escaped(identity: &Identity) -> String {
    identity.certificate.to_pem().replace('\n', "%0A").replace('+', "%2B").replace(' ', "%20")
}

#[tokio::test]
async fn a_proxys_word_counts_in_every_form_and_the_certificate_is_judged_again() {
    let (ca, foreign) = (Ca::new("TLS CA"), Ca::new("another CA"));
    let roots = [ca.certificate()];
    let (peer, stranger) = (ca.issue("peer.test"), foreign.issue("stranger.test"));
    let (address, _stopper) = endpoint(proxied("127.0.0.1", "X-SSL-Client-Cert", ClientAuth::Required(&roots))).await;
    let ask = async |head: String| post(address, "127.0.0.1", &head).await.unwrap();
    let header = |value: &str| format!("X-SSL-Client-Cert: {value}\r\n");
    let taken = |from: &str| ("202".to_owned(), format!("peer.test from {from} with 2"));
    for value in [
        escaped(&peer),
        peer.certificate.to_pem().trim().replace('\n', " "),
        peer.certificate.to_pem().trim().replace('\n', "\t"),
        peer.certificate.to_base64(),
        format!(":{}:", peer.certificate.to_base64()),
    ] {
        assert_eq!(ask(header(&value)).await, taken("127.0.0.1"), "{value}");
    }
    let with_address = header(&escaped(&peer)) + "X-Forwarded-For: 192.0.2.1, 198.51.100.7\r\n";
    assert_eq!(ask(with_address).await, taken("198.51.100.7"));
    for (head, status) in [
        (String::new(), "403"),
        (header(""), "403"),
        (header("(null)"), "403"),
        (header(&escaped(&stranger)), "403"),
        (header(&BASE64_STANDARD.encode(b"no certificate")), "403"),
        (header("hello, world"), "400"),
        (header(&escaped(&peer)) + &header(&escaped(&peer)), "400"),
        (header(&escaped(&peer)) + "Client-Cert-Chain: non-sense!\r\n", "400"),
        (format!("Client-Cert: :{}:\r\n", peer.certificate.to_base64()), "403"),
    ] {
        assert_eq!(ask(head.clone()).await.0, status, "{head}");
    }
}

#[tokio::test]
async fn intermediates_come_along_by_rfc_9440_and_help_nobody_else() {
    let root = Ca::new("Root CA");
    let (issuing, other) = (root.below("Issuing CA"), Ca::new("another root").below("another CA"));
    let (peer, stranger) = (issuing.issue("peer.test"), other.issue("stranger.test"));
    let roots = [root.certificate()];
    let (address, _stopper) = endpoint(proxied("127.0.0.1", "Client-Cert", ClientAuth::Optional(&roots))).await;
    let item = |certificate: &Certificate| format!(":{}:", certificate.to_base64());
    let ask = async |own: &Certificate, above: &[Certificate]| {
        let chain: Vec<String> = above.iter().map(item).collect();
        let chain = if chain.is_empty() { String::new() } else { format!("Client-Cert-Chain: {}\r\n", chain.join(", ")) };
        post(address, "127.0.0.1", &format!("Client-Cert: {}\r\n{chain}", item(own))).await.unwrap().0
    };
    assert_eq!(ask(&peer.certificate, &[issuing.certificate()]).await, "202");
    assert_eq!(ask(&peer.certificate, &[]).await, "403", "the way to the root is not known");
    assert_eq!(ask(&stranger.certificate, &[other.certificate()]).await, "403");
    assert_eq!(post(address, "127.0.0.1", "").await.unwrap().1, "nobody from 127.0.0.1 with 2", "optional");
}

#[tokio::test]
async fn nobody_but_the_proxy_is_served_and_without_a_proxy_its_header_is_nothing() {
    let ca = Ca::new("TLS CA");
    let roots = [ca.certificate()];
    let peer = ca.issue("peer.test");
    let (address, _stopper) = endpoint(proxied("127.0.0.2", "X-SSL-Client-Cert", ClientAuth::Required(&roots))).await;
    let head = format!("X-SSL-Client-Cert: {}\r\n", escaped(&peer));
    assert_eq!(post(address, "127.0.0.1", &head).await, None, "past the proxy");
    assert_eq!(post(address, "127.0.0.3", &head).await, None);
    assert_eq!(post(address, "127.0.0.2", &head).await.unwrap().0, "202");
    // An endpoint that ends TLS itself.
    let config = server_config(&TlsIdentity::try_from(&ca.issue("as4.test")).unwrap(), ClientAuth::Optional(&roots)).unwrap();
    let (address, _stopper) = endpoint(As4Tls::Tls(config)).await;
    if common::has("curl") {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), ca.certificate().to_pem()).unwrap();
        let said =
            curl(dir.path(), &format!("https://127.0.0.1:{}/as4", address.port()), &["-H", head.trim(), "-H", "X-Forwarded-For: 192.0.2.1"]).await;
        assert!(said.starts_with("nobody from 127.0.0.1 "), "{said}");
    }
}

/// Body, then the status on a line of its own.
async fn curl(dir: &Path, url: &str, more: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--max-time",
        "20",
        "--write-out",
        "\n%{http_code}",
        "--data-binary",
        "hello",
        "-H",
        "Content-Type: a/b",
    ]);
    command.arg("--cacert").arg(dir.join("ca.pem")).args(more).arg(url).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || {
        command.output().map(|out| String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
    })
    .await
    .unwrap()
    .unwrap()
}

/// A foreign program that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        // nginx lets its workers go only when it is asked politely.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_with_the_published_snippet_hands_the_certificate_on_and_strips_a_forged_one() {
    if !common::has("nginx") || !common::has("curl") {
        return;
    }
    let (ca, foreign) = (Ca::new("TLS CA"), Ca::new("another CA"));
    let roots = [ca.certificate()];
    let (backend, _stopper) = endpoint(proxied("127.0.0.1", "X-SSL-Client-Cert", ClientAuth::Required(&roots))).await;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    file("ca.pem", &ca.certificate().to_pem());
    let (peer, stranger) = (file("peer.pem", &pem(&ca.issue("peer.test"))), file("stranger.pem", &pem(&foreign.issue("stranger.test"))));
    let own = file("own.pem", &pem(&ca.issue("as4.habo.se")));
    // As in the snippet, and one that asks for certificates without judging them.
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (strict, careless) = (free(), free());
    let snippet = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/proxy/nginx.conf")).unwrap();
    let server = |port: u16| {
        let text = snippet.replace("listen [::]:443 ssl;", "").replace("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl"));
        let text = text.replace("/etc/nginx/as4.habo.se.pem", &own).replace("/etc/nginx/as4.habo.se.key", &own);
        text.replace("/etc/nginx/as4-clients.pem", &dir.path().join("ca.pem").display().to_string())
            .replace("http://127.0.0.1:8443", &format!("http://{backend}"))
    };
    let lax = server(careless).replace("ssl_verify_client on", "ssl_verify_client optional_no_ca");
    assert!(lax.contains("optional_no_ca") && lax.contains(&backend.to_string()));
    let folder = |kind: &str| format!("{kind}_temp_path {}/{kind};", dir.path().display());
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(folder).join("\n");
    let conf = file(
        "nginx.conf",
        &format!(
            "daemon off;\nuser root;\npid {0}/pid;\nerror_log {0}/error.log;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{1}{lax}}}\n",
            dir.path().display(),
            server(strict)
        ),
    );
    let program = ["/usr/sbin/nginx", "nginx"].into_iter().find(|path| Path::new(path).exists()).unwrap_or("nginx");
    let mut command = Command::new(program);
    command.args(["-c", &conf, "-p"]).arg(dir.path()).stdin(Stdio::null()).stderr(Stdio::null());
    let _nginx = Ends(command.spawn().unwrap());
    let url = |port: u16| format!("https://127.0.0.1:{port}/as4");
    let until = Instant::now() + Duration::from_mins(1);
    let said = loop {
        let said = curl(dir.path(), &url(strict), &["--cert", &peer, "-H", "X-SSL-Client-Cert: forged", "-H", "X-Forwarded-For: 192.0.2.1"]).await;
        if said.contains("peer.test") || Instant::now() > until {
            break said;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let log = || std::fs::read_to_string(dir.path().join("error.log")).unwrap_or_default();
    assert_eq!(said, "peer.test from 127.0.0.1 with 5\n202", "{}", log());
    for certificate in [None, Some(&stranger)] {
        let more: Vec<&str> = certificate.iter().flat_map(|path| ["--cert", path.as_str()]).collect();
        let said = curl(dir.path(), &url(strict), &more).await;
        assert!(said.ends_with("\n400") && !said.contains(" from "), "nginx refuses: {said}");
        let forged = ["-H", "X-SSL-Client-Cert: forged"];
        let said = curl(dir.path(), &url(careless), &[&more[..], &forged[..]].concat()).await;
        assert!(said.ends_with("\n403") && !said.contains(" from "), "nginx lets it through, and it is judged here: {said}");
    }
}
