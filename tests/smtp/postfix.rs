//! Postfix as the mail server on both sides: it sends to our server and takes from our client.

use brevbro::edge::smtp_client::{SmtpClient, SmtpClientOptions};
use brevbro::edge::smtp_server::SmtpTls;
use brevbro::edge::tls::{ClientAuth, TlsIdentity, server_config};
use brevbro::ident::{Domain, MailAddress};
use brevbro::mail::session::{Charset, Notify, Occasion, Ret};
use brevbro::port::{Delivery, MailSink, SinkError};

use crate::common::pki::Ca;
use crate::common::postfix::Plan;
use crate::office::Office;

#[tokio::test(flavor = "multi_thread")]
async fn postfix_sends_over_verified_tls_and_names_what_notices_it_wants() {
    let ca = Ca::new("CA");
    let roots = [ca.certificate()];
    let tls = server_config(&TlsIdentity::try_from(&ca.issue("gw.habo.test")).unwrap(), ClientAuth::Optional(&roots)).unwrap();
    let office = Office::open(|options| options.tls = SmtpTls::Required(tls)).await;
    let plan = Plan::new().route(".sdk.habo.test", office.address).tls(&roots[0], "gw.habo.test").client_identity(&ca.issue("mail.habo.test"));
    let Some(postfix) = plan.start() else { return };
    let mail = "From: Åsa <a@habo.test>\nSubject: räksmörgås\n\nHej\n.\n..två\n";
    let arguments = ["-N", "success,delay", "-V", "kuvert+1", "-R", "hdrs"];
    postfix.submit("a@habo.test", &["b@peer.se.sdk.habo.test", "okand@peer.se.sdk.habo.test"], &arguments, mail.as_bytes());
    postfix.wait_for_log(&["okand@peer.se.sdk.habo.test", "status=bounced", "550 5.1.1 No such function"]);
    let sent = postfix.wait_for_log(&["to=<b@peer.se.sdk.habo.test>", "status=sent", "250 2.0.0 Ok: m1"]);
    assert!(sent.contains("relay=127.0.0.1"), "{sent}");
    postfix.wait_for_log(&["Verified TLS connection established"]);
    let taken = office.taken();
    assert_eq!(taken[0].peer.certificate().unwrap().common_name().unwrap(), "mail.habo.test");
    let envelope = &taken[0].envelope;
    assert_eq!((envelope.sender.envid.as_deref(), envelope.sender.ret), (Some("kuvert+1"), Some(Ret::Hdrs)));
    let [recipient] = &envelope.recipients[..] else { panic!("one recipient") };
    assert_eq!(recipient.notify, Some(Notify::On([Occasion::Success, Occasion::Delay].into())));
    assert_eq!(recipient.original.as_ref().unwrap().address, "b@peer.se.sdk.habo.test");
    let text = String::from_utf8(taken[0].octets.clone()).unwrap();
    assert!(text.ends_with("\r\n\r\nHej\r\n.\r\n..två\r\n"), "{text}");
    assert_eq!(envelope.sender.charset, Charset::Utf8, "Postfix found UTF-8 in the header");
    postfix.wait_for_empty_queue();
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_keeps_what_our_client_delivers() {
    let Some(postfix) = Plan::new().mailbox("anna@habo.test").mailbox("bo@habo.test").start() else { return };
    let client = SmtpClient::new(SmtpClientOptions::new("127.0.0.1", postfix.address.port(), Domain::new("gw.habo.test").unwrap())).unwrap();
    let delivery = |to: &str| Delivery {
        from: Some(MailAddress::new("studs@sdk.habo.test").unwrap()),
        to: MailAddress::new(to).unwrap(),
        message: b"Subject: x\r\n\r\n.dot\r\n".to_vec(),
        id: None,
    };
    let answer = MailSink::deliver(&client, delivery("anna@habo.test")).await.unwrap();
    assert!(answer.text.contains("queued as"), "{}", answer.text);
    client.close().await;
    let mails = postfix.wait_for_mails("anna@habo.test", 1);
    let text = String::from_utf8(mails[0].clone()).unwrap();
    assert!(text.starts_with("Return-Path: <studs@sdk.habo.test>\n") && text.ends_with("\n\n.dot\n"), "{text}");
    assert!(matches!(MailSink::deliver(&client, delivery("okand@habo.test")).await, Err(SinkError::Permanent(text)) if text.contains("5.1.1")));
    postfix.stop();
    assert!(MailSink::deliver(&client, delivery("anna@habo.test")).await.is_err());
    postfix.run();
    MailSink::deliver(&client, delivery("bo@habo.test")).await.unwrap();
    postfix.wait_for_mails("bo@habo.test", 1);
}
