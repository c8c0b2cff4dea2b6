//! Who may open a mailbox: passwords, and access tokens from a token endpoint of the test's own; and that neither is ever told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use brevbro::edge::http::{HttpOptions, PlainHttp};
use brevbro::edge::imap::{ImapError, ImapLogin, ImapOptions, ImapTls, TokenOptions, TokenSource};
use brevbro::edge::reach::Reach;
use brevbro::edge::tls::{Roots, client_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::common::dovecot::{Dovecot, DovecotSetup};
use crate::common::pki::Ca;
use crate::harness::run;
use crate::server::{Act, EXCHANGE, Server};

/// An HTTP server that answers each request with the next of these; the last again and again. Its URL, and what it was asked.
async fn http(answers: Vec<(u16, String)>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            loop {
                let text = String::from_utf8_lossy(&request).to_lowercase();
                let length = text.split_once("content-length:").and_then(|(_, rest)| rest.split("\r\n").next()?.trim().parse::<usize>().ok());
                let whole = text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length.unwrap_or_default());
                let read = if whole { 0 } else { stream.read(&mut piece).await.unwrap_or_default() };
                if read == 0 {
                    break;
                }
                request.extend_from_slice(&piece[..read]);
            }
            let number = {
                let mut log = log.lock().unwrap();
                log.push(String::from_utf8_lossy(&request).into_owned());
                log.len() - 1
            };
            let (status, body) = answers.get(number).or(answers.last()).unwrap();
            let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nRetry-After: 7\r\nContent-Length: {}\r\n\r\n", body.len());
            drop(stream.write_all((head + body).as_bytes()).await);
        }
    });
    (url, asked)
}

fn token(text: &str, seconds: u32) -> (u16, String) {
    (200, format!("{{\"token_type\":\"Bearer\",\"expires_in\":{seconds},\"access_token\":\"{text}\"}}"))
}

fn source(url: &str) -> Arc<TokenSource> {
    Arc::new(TokenSource::new(TokenOptions {
        url: url.into(),
        client_id: "brevbro".into(),
        secret: "hemligt & gott".to_owned().into(),
        scope: "https://outlook.office365.com/.default".into(),
        http: HttpOptions { plain: PlainHttp::Loopback, reach: Reach::Anywhere, ..HttpOptions::default() },
    }))
}

fn by_token(server: &Server, url: &str) -> ImapOptions {
    ImapOptions { login: ImapLogin::Token(source(url)), ..server.options() }
}

async fn refused(options: &ImapOptions) -> ImapError {
    match options.open().await {
        Ok(_) => panic!("it was let in"),
        Err(error) => error,
    }
}

#[test]
fn a_token_is_fetched_once_and_again_before_its_end_or_when_it_is_refused() {
    run(async {
        let server = Server::start("IMAP4rev1 LOGINDISABLED AUTH=XOAUTH2 SASL-IR").await;
        server.state().tokens = vec!["first".into(), "third".into()];
        let (url, asked) = http(vec![token("first", 3600), token("second", 3600), token("third", 2), token("third", 3600)]).await;
        let options = by_token(&server, &url);
        for _ in 0..3 {
            options.open().await.unwrap().close().await;
        }
        assert_eq!(asked.lock().unwrap().len(), 1);
        let request = asked.lock().unwrap()[0].clone();
        for field in [
            "grant_type=client_credentials",
            "client_id=brevbro",
            "client_secret=hemligt%20%26%20gott",
            "scope=https%3A%2F%2Foutlook.office365.com%2F.default",
        ] {
            assert!(request.contains(field), "{request}");
        }
        // Revoked before its end: the next one is fetched once, and when that is refused too it is told.
        server.state().tokens.retain(|token| token != "first");
        let error = refused(&options).await;
        assert!(matches!(&error, ImapError::Refused { command: "AUTHENTICATE", .. }), "{error}");
        assert_eq!(asked.lock().unwrap().len(), 2);
        // A new token that was refused is not kept.
        options.open().await.unwrap().close().await;
        assert_eq!(asked.lock().unwrap().len(), 3);
        // Half a short life before its end it is fetched anew.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        options.open().await.unwrap().close().await;
        assert_eq!(asked.lock().unwrap().len(), 4);
    });
}

#[test]
fn xoauth2_and_oauthbearer_are_spoken_with_and_without_an_initial_response() {
    run(async {
        let (url, _) = http(vec![token("good", 3600)]).await;
        for (capabilities, mechanism) in [
            (EXCHANGE, "AUTHENTICATE XOAUTH2 "),
            ("IMAP4rev1 AUTH=XOAUTH2", "AUTHENTICATE XOAUTH2"),
            ("IMAP4rev1 AUTH=OAUTHBEARER SASL-IR", "AUTHENTICATE OAUTHBEARER "),
            ("IMAP4rev1 AUTH=OAUTHBEARER", "AUTHENTICATE OAUTHBEARER"),
        ] {
            let server = Server::start(capabilities).await;
            server.state().tokens.push("good".into());
            let options = by_token(&server, &url);
            options.open().await.unwrap().close().await;
            assert_eq!(server.count(mechanism), 1, "{capabilities}");
            server.state().tokens.clear();
            let error = refused(&options).await;
            assert!(error.to_string().contains("AUTHENTICATE failed."), "{error}");
        }
    });
}

#[test]
fn a_token_endpoint_that_refuses_is_told_with_its_number_and_without_the_secret() {
    run(async {
        let server = Server::start(EXCHANGE).await;
        let body = "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid client secret hemligt & gott provided.\"}";
        for (status, body, words) in [
            (401, body, "status 401, invalid_client (AADSTS7000215)"),
            (503, "<html>hemligt</html>", "status 503"),
            (200, "{}", "the answer has no access token"),
            (200, "{\"access_token\":\"a b\"}", "the answer has no access token"),
        ] {
            let (url, _) = http(vec![(status, body.into())]).await;
            let error = refused(&by_token(&server, &url)).await;
            let text = error.to_string();
            assert!(text.contains(words) && !text.contains("hemligt"), "{text}");
            assert_eq!(error.wait(), (status != 200).then_some(Duration::from_secs(7)));
        }
        assert_eq!(server.count("connect"), 0);
    });
}

#[test]
fn passwords_are_sent_as_the_server_wants_and_never_told() {
    run(async {
        for (capabilities, command) in [(EXCHANGE, "AUTHENTICATE PLAIN "), ("IMAP4rev1 AUTH=PLAIN", "AUTHENTICATE PLAIN"), ("IMAP4rev1", "LOGIN ")] {
            let server = Server::start(capabilities).await;
            server.options().open().await.unwrap().close().await;
            assert_eq!(server.count(command), 1, "{capabilities}");
            let wrong = ImapOptions { login: ImapLogin::Password("fel".to_owned().into()), ..server.options() };
            assert!(matches!(refused(&wrong).await, ImapError::Refused { .. }));
            server.will(command, Act::Say("{tag} NO wrong password fel, I say\r\n".into()));
            let text = refused(&wrong).await.to_string();
            assert!(!text.contains("fel"), "{text}");
        }
        let server = Server::start("IMAP4rev1 LOGINDISABLED STARTTLS").await;
        assert!(refused(&server.options()).await.to_string().contains("LOGINDISABLED"));
        assert_eq!(server.count("LOGIN"), 0);
    });
}

#[test]
fn dovecot_takes_tokens_and_passwords_over_tls_only_by_its_own_ca() {
    run(async {
        let (introspection, asked) = http(vec![(200, "{\"active\":true,\"email\":\"inkorg@a.se\"}".into()); 1]).await;
        let setup = DovecotSetup { introspection: Some(introspection), ..DovecotSetup::of(&["inkorg@a.se"]) };
        let Some(dovecot) = Dovecot::start(&setup) else { return };
        let (url, _) = http(vec![token("dovecot-token", 3600)]).await;
        let config = |ca: &Ca| client_config(Roots::Only(&[ca.certificate()]), None).unwrap();
        let (own, strange) = (config(&dovecot.ca), config(&Ca::new("Another CA")));
        for tls in [ImapTls::Implicit(Arc::clone(&own)), ImapTls::StartTls(own)] {
            let port = if matches!(tls, ImapTls::Implicit(_)) { dovecot.imaps.port() } else { dovecot.imap.port() };
            for login in [ImapLogin::Token(source(&url)), ImapLogin::Password("password".to_owned().into())] {
                let timeout = Duration::from_secs(20);
                let options = ImapOptions { host: "localhost".into(), port, tls: tls.clone(), user: "inkorg@a.se".into(), login, timeout };
                let mut session = options.open().await.unwrap_or_else(|error| panic!("{error}\n{}", dovecot.log()));
                session.select("INBOX").await.unwrap();
                assert!(session.can("MOVE"));
                session.close().await;
                let foreign = if matches!(tls, ImapTls::Implicit(_)) {
                    ImapTls::Implicit(Arc::clone(&strange))
                } else {
                    ImapTls::StartTls(Arc::clone(&strange))
                };
                let error = refused(&ImapOptions { tls: foreign, ..options.clone() }).await;
                assert!(matches!(&error, ImapError::Unreachable(why) if why.starts_with("TLS")), "{error}");
            }
        }
        assert!(asked.lock().unwrap().iter().any(|request| request.contains("dovecot-token")));
    });
}

#[test]
fn what_is_said_before_starttls_counts_for_nothing() {
    run(async {
        let tls = || ImapTls::StartTls(client_config(Roots::Only(&[Ca::new("A CA").certificate()]), None).unwrap());
        for (command, act) in [
            ("connect", Act::Say("* PREAUTH welcome\r\n".into())),
            ("STARTTLS", Act::Say("{tag} OK go\r\n* CAPABILITY IMAP4rev1\r\n".into())),
            ("STARTTLS", Act::Say("{tag} BAD no\r\n".into())),
        ] {
            let server = Server::start("IMAP4rev1 STARTTLS").await;
            server.will(command, act);
            refused(&ImapOptions { tls: tls(), ..server.options() }).await;
            assert_eq!(server.count("LOGIN") + server.count("AUTHENTICATE"), 0);
        }
    });
}
