//! Our client before the mail servers of real organisations: Postfix with TLS and logins, Dovecot by LMTP.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use brevbro::edge::smtp_client::{ClientTls, Login, Protocol, SmtpClient, SmtpClientOptions};
use brevbro::edge::tls::{Roots, client_config};
use brevbro::ident::{Domain, MailAddress};
use brevbro::port::{Delivery, MailSink, SinkAnswer, SinkError};

use crate::common::dovecot::{Dovecot, DovecotSetup};
use crate::common::pki::Ca;
use crate::common::postfix::{Plan, Postfix};

fn client(address: SocketAddr, change: impl FnOnce(&mut SmtpClientOptions)) -> SmtpClient {
    let mut options = SmtpClientOptions::new("127.0.0.1", address.port(), Domain::new("gw.habo.test").unwrap());
    change(&mut options);
    SmtpClient::new(options).unwrap()
}

async fn deliver(client: &SmtpClient, to: &str, text: &str) -> Result<SinkAnswer, SinkError> {
    let delivery = Delivery {
        from: Some(MailAddress::new("retur-7bc5576a-3f87-4cf5-a0c5-277da06fcacb@sdk.habo.test").unwrap()),
        to: MailAddress::new(to).unwrap(),
        message: format!("From: a@habo.test\r\nSubject: x\r\n\r\n{text}\r\n").into_bytes(),
        id: Some("7bc5576a-3f87-4cf5-a0c5-277da06fcacb".parse().unwrap()),
    };
    tokio::time::timeout(Duration::from_mins(1), MailSink::deliver(client, delivery)).await.unwrap()
}

fn pinned(ca: &Ca) -> ClientTls {
    ClientTls::StartTls(client_config(Roots::Only(&[ca.certificate()]), None).unwrap())
}

fn connections(postfix: &Postfix) -> usize {
    postfix.log().lines().filter(|line| line.contains("]: connect from localhost[127.0.0.1]") || line.contains("]: connect from unknown[")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_takes_mail_by_tls_of_a_pinned_ca_with_a_login_over_few_connections_that_are_used_again() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let more = format!("service auth {{\n  inet_listener {{\n    address = 127.0.0.1\n    port = {port}\n  }}\n}}\n");
    let Some(_dovecot) = Dovecot::start(&DovecotSetup { more, ..DovecotSetup::of(&["gateway@habo.test"]) }) else { return };
    let (ca, other) = (Ca::new("CA"), Ca::new("another CA"));
    let plan = Plan::new().mailbox("anna@habo.test").server_identity(&ca.issue("mail.habo.test"));
    let sasl = format!("smtpd_sasl_path = inet:127.0.0.1:{port}");
    let settings = [
        "smtpd_sasl_auth_enable = yes",
        "smtpd_sasl_type = dovecot",
        // As Exchange, which offers nothing else that we know.
        "smtpd_sasl_mechanism_filter = login",
        "smtpd_tls_auth_only = yes",
        "smtpd_recipient_restrictions = permit_sasl_authenticated, reject",
        "message_size_limit = 200000",
        &sasl,
    ];
    let Some(postfix) = settings.iter().fold(plan, |plan, line| plan.main(line)).start() else { return };
    let login = |password: &str| Some(Login { user: "gateway@habo.test".into(), password: password.to_owned().into() });

    let stranger = client(postfix.address, |options| (options.tls, options.login) = (pinned(&other), login("password")));
    assert!(matches!(deliver(&stranger, "anna@habo.test", "x").await, Err(SinkError::Temporary(why)) if why.contains("TLS")));
    let wrong = client(postfix.address, |options| (options.tls, options.login) = (pinned(&ca), login("fel")));
    assert!(matches!(deliver(&wrong, "anna@habo.test", "x").await, Err(SinkError::Temporary(why)) if why.contains("login")));
    let nobody = client(postfix.address, |options| options.tls = pinned(&ca));
    assert!(matches!(deliver(&nobody, "anna@habo.test", "x").await, Err(error) if error.hint().contains("rules")), "554 5.7.1 without a login");
    nobody.close().await;

    let before = connections(&postfix);
    let right = Arc::new(client(postfix.address, |options| {
        (options.tls, options.login, options.connections) = (pinned(&ca), login("password"), 3);
    }));
    assert!(matches!(deliver(&right, "okand@habo.test", "x").await, Err(error) if error.hint().contains("does not know")));
    let large = deliver(&right, "anna@habo.test", &"0123456789\r\n".repeat(20_000)).await.unwrap_err();
    assert!(matches!(&large, SinkError::Permanent(why) if why.contains("at most 200000")) && large.hint().contains("45 MB"), "{large}");
    for n in 0..4 {
        deliver(&right, "anna@habo.test", &format!("one after another {n}")).await.unwrap();
    }
    assert_eq!(connections(&postfix) - before, 1, "{}", postfix.log());
    let together: Vec<_> = (0..12)
        .map(|n| {
            let right = Arc::clone(&right);
            tokio::spawn(async move { deliver(&right, "anna@habo.test", &format!("together {n}")).await.unwrap() })
        })
        .collect();
    for delivery in together {
        delivery.await.unwrap();
    }
    let used = connections(&postfix) - before;
    assert!((1..=3).contains(&used), "{used} connections");
    postfix.wait_for_mails("anna@habo.test", 16);
    // What rested is gone after a restart, and nothing is lost or doubled by that.
    postfix.stop();
    assert!(matches!(deliver(&right, "anna@habo.test", "nobody there").await, Err(SinkError::Temporary(_))));
    postfix.run();
    deliver(&right, "anna@habo.test", "there again").await.unwrap();
    let mails = postfix.wait_for_mails("anna@habo.test", 17);
    let texts: Vec<_> = mails.iter().map(|mail| String::from_utf8_lossy(mail).trim().lines().last().unwrap().to_owned()).collect();
    assert_eq!(texts.iter().filter(|text| *text == "there again").count(), 1);
    assert_eq!(texts.len(), 17);
    right.close().await;
    postfix.wait_for_log(&["client=", "sasl_method=LOGIN, sasl_username=gateway@habo.test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dovecot_answers_by_lmtp_for_the_mailbox_itself_in_plaintext_and_by_tls() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let more = format!(
        "mail_plugins = quota\nplugin {{\n  quota = maildir:User quota\n  quota_rule = *:storage=64k\n  quota_grace = 0\n}}\n\
         service lmtp {{\n  inet_listener lmtps {{\n    address = 127.0.0.1\n    port = {port}\n    ssl = yes\n  }}\n}}\n"
    );
    let setup = DovecotSetup { more, ..DovecotSetup::of(&["anna@habo.test", "bo@habo.test"]) };
    let Some(mut dovecot) = Dovecot::start(&setup) else { return };
    let lmtp = client(dovecot.lmtp, |options| options.protocol = Protocol::Lmtp);
    let answer = deliver(&lmtp, "anna@habo.test", "Hej\r\n.\r\n..två").await.unwrap();
    assert!(answer.text.starts_with("250 2.0.0 <anna@habo.test>"), "{}", answer.text);
    let mails = dovecot.mails("anna@habo.test", "INBOX");
    assert!(mails.last().unwrap().ends_with("\r\n\r\nHej\r\n.\r\n..två\r\n"), "{mails:?}");
    assert!(mails[0].contains("Return-Path: <retur-7bc5576a-3f87-4cf5-a0c5-277da06fcacb@sdk.habo.test>"), "{}", mails[0]);
    let unknown = deliver(&lmtp, "okand@habo.test", "x").await.unwrap_err();
    assert!(matches!(&unknown, SinkError::Permanent(why) if why.contains("5.1.1")), "{unknown}");
    // The answer comes after the final dot, and is known all the same.
    let full = deliver(&lmtp, "bo@habo.test", &"0123456789\r\n".repeat(10_000)).await.unwrap_err();
    assert!(matches!(&full, SinkError::Permanent(why) if why.starts_with("the mail: ")) && full.hint().contains("full"), "{full}");
    assert!(dovecot.mails("bo@habo.test", "INBOX").is_empty());

    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let roots = |ca: &Ca| ClientTls::Implicit(client_config(Roots::Only(&[ca.certificate()]), None).unwrap());
    let tls = client(address, |options| (options.protocol, options.tls) = (Protocol::Lmtp, roots(&dovecot.ca)));
    deliver(&tls, "bo@habo.test", "by TLS").await.unwrap();
    let stranger = client(address, |options| (options.protocol, options.tls) = (Protocol::Lmtp, roots(&Ca::new("another CA"))));
    assert!(matches!(deliver(&stranger, "bo@habo.test", "x").await, Err(SinkError::Temporary(why)) if why.contains("TLS")));

    let count = dovecot.mails("anna@habo.test", "INBOX").len();
    dovecot.halt();
    assert!(matches!(deliver(&lmtp, "anna@habo.test", "x").await, Err(SinkError::Temporary(_))));
    dovecot.go_on();
    deliver(&lmtp, "anna@habo.test", "again").await.unwrap();
    assert_eq!(dovecot.mails("anna@habo.test", "INBOX").len(), count + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_is_full_for_now_is_tried_again() {
    let more = "mail_plugins = quota\nplugin {\n  quota = maildir:User quota\n  quota_rule = *:storage=64k\n  quota_grace = 0\n}\nquota_full_tempfail = yes\n";
    let Some(dovecot) = Dovecot::start(&DovecotSetup { more: more.into(), ..DovecotSetup::of(&["bo@habo.test"]) }) else { return };
    let lmtp = client(dovecot.lmtp, |options| options.protocol = Protocol::Lmtp);
    let full = deliver(&lmtp, "bo@habo.test", &"0123456789\r\n".repeat(10_000)).await.unwrap_err();
    assert!(matches!(&full, SinkError::Temporary(why) if why.contains("4.2.2")) && full.hint().contains("full"), "{full}");
    deliver(&lmtp, "bo@habo.test", "small").await.unwrap();
}
