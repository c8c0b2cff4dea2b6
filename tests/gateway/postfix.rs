//! Postfix as the organisation's mail server, which hands mail in.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use brevbro::event::EventName;
use brevbro::sdk::receipt::Outcome;

use super::admission::Keys;
use crate::common::postfix::{Plan, Postfix};
use crate::harness::peer::Mood;
use crate::harness::{Gateway, Peer, Setup, free_port, run};

/// A mail with lines that end in LF, as local programs write it.
fn text(from: &str, subject: &str, body: &str) -> Vec<u8> {
    format!("From: Anna Ek <{from}>\nSubject: {subject}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{body}\n")
        .into_bytes()
}

/// Starts a Postfix off the threads that serve it.
async fn start(plan: Plan) -> Option<Postfix> {
    tokio::task::spawn_blocking(move || plan.start()).await.unwrap()
}

/// Uses Postfix, which waits, off the threads that serve it.
async fn with<T: Send + 'static>(postfix: &std::sync::Arc<Postfix>, work: impl FnOnce(&Postfix) -> T + Send + 'static) -> T {
    let postfix = std::sync::Arc::clone(postfix);
    tokio::task::spawn_blocking(move || work(&postfix)).await.unwrap()
}

#[test]
fn postfix_logs_in_over_tls_and_each_recipient_has_an_outcome_of_its_own() {
    run(async {
        let keys = Keys::new();
        let smtp = keys.smtp("[[smtp.account]]\nname = \"postfix\"\npassword-hash-file = \"DIR/hash\"\n");
        let gateway = Gateway::start(Setup { clients: "10.0.0.0/8", smtp, ..Setup::new("pf-login") }).await;
        let peer = Peer::start("pf-login-peer").await;
        let at = gateway.daemon.smtp;
        let plan = Plan::new().route("*", at).tls(&keys.ca.certificate(), "gw.example.se").login(at, "postfix", "mycket hemligt");
        let Some(postfix) = start(plan.main("smtp_tls_loglevel = 1")).await else { return };
        let postfix = std::sync::Arc::new(postfix);
        let (good, unknown) = (gateway.address_of("inkorg", &peer.name), gateway.address_of("inkorg", "finns-inte.se"));
        let (from, to) = (gateway.mailbox.clone(), [good.clone(), unknown.clone(), "nagon@example.com".to_owned()]);
        with(&postfix, move |postfix| {
            let to: Vec<&str> = to.iter().map(String::as_str).collect();
            postfix.submit(&from, &to, &["-N", "success,failure", "-V", "QQ314159", "-R", "hdrs"], &text(&from, "Räksmörgås", "Åäö på åtta bitar."));
            postfix.wait_for_log(&["status=sent", "250 2.0.0 Ok"]);
            postfix.wait_for_log(&["finns-inte.se", "status=bounced", "550 5.1.2"]);
            postfix.wait_for_log(&["nagon@example.com", "status=bounced", "550 5.7.1"]);
            postfix.wait_for_log(&["Verified TLS connection established"]);
        })
        .await;
        let message = peer.message(0).await;
        assert_eq!(message.label.as_ref().unwrap().as_str(), "Räksmörgås");
        assert!(message.documents[0].texts[0].contains("Åäö på åtta bitar."));
        peer.answer(&gateway, &message, Outcome::Accepted).await;
        let notice = gateway.notice("delivered", "2.0.0").await;
        assert_eq!(notice.line("Original-Envelope-Id:").unwrap(), "QQ314159");
        assert_eq!(notice.line("Original-Recipient:").unwrap(), format!("rfc822; {good}"));
        assert_eq!(gateway.events(EventName::MailAccepted).await.len(), 1);
        gateway.stop().await;
    });
}

#[test]
fn a_mail_waits_in_postfix_while_the_gateway_is_down_and_arrives_once() {
    run(async {
        let setup = || Setup::new("pf-down");
        let port = free_port();
        let gateway = Gateway::start(Setup { smtp_port: port, ..setup() }).await;
        let peer = Peer::start("pf-down-peer").await;
        let Some(postfix) = start(Plan::new().route("*", gateway.daemon.smtp)).await else { return };
        let postfix = std::sync::Arc::new(postfix);
        let (from, to) = (gateway.mailbox.clone(), gateway.address_of("inkorg", &peer.name));
        let asleep = gateway.sleep().await;
        let (sender, recipient) = (from.clone(), to.clone());
        with(&postfix, move |postfix| {
            postfix.submit(&sender, &[&recipient], &[], &text(&sender, "Medan den var nere", "Hej"));
            postfix.wait_for_log(&["status=deferred", "Connection refused"]);
            assert_eq!(postfix.queue().len(), 1);
        })
        .await;
        let gateway = asleep.wake(Setup { smtp_port: port, ..setup() }).await;
        with(&postfix, |postfix| {
            postfix.flush();
            postfix.wait_for_empty_queue();
        })
        .await;
        assert_eq!(peer.message(0).await.label.as_ref().unwrap().as_str(), "Medan den var nere");
        assert_eq!(gateway.events(EventName::MailAccepted).await.len(), 1);
        gateway.stop().await;
    });
}

#[test]
fn postfix_tries_again_after_a_4xx_and_bounces_after_a_5xx() {
    run(async {
        let smtp = "[smtp.pace]\nmails-per-minute = 1";
        let gateway = Gateway::start(Setup { smtp, ..Setup::new("pf-later") }).await;
        let peer = Peer::start("pf-later-peer").await;
        peer.set(Mood::Down);
        let Some(postfix) = start(Plan::new().route("*", gateway.daemon.smtp)).await else { return };
        let postfix = std::sync::Arc::new(postfix);
        let (from, to) = (gateway.mailbox.clone(), gateway.address_of("inkorg", &peer.name));
        with(&postfix, move |postfix| {
            postfix.submit(&from, &[&to], &[], &text(&from, "Ett", "Hej"));
            postfix.wait_for_log(&["status=sent"]);
            postfix.submit(&from, &[&to], &[], &text(&from, "Två", "Hej"));
            postfix.wait_for_log(&["status=deferred", "450 4.7.1"]);
            let queue = postfix.queue();
            assert!(queue[0]["recipients"][0]["delay_reason"].as_str().unwrap().contains("450 4.7.1"), "{queue:?}");
            postfix.submit("chefen@pf-later.se", &[&to], &[], &text("chefen@pf-later.se", "Tre", "Hej"));
            postfix.wait_for_log(&["status=bounced", "550 5.7.1"]);
        })
        .await;
        assert_eq!(gateway.events(EventName::MailAccepted).await.len(), 1);
        gateway.daemon.stop().await;
    });
}

#[test]
fn addresses_in_utf8_and_large_mails_come_through_postfix() {
    run(async {
        let gateway = Gateway::start(Setup { mailbox: "senders = [\"ärenden@pf-utf8.se\"]", ..Setup::new("pf-utf8") }).await;
        let peer = Peer::start("pf-utf8-peer").await;
        let Some(postfix) = start(Plan::new().route("*", gateway.daemon.smtp)).await else { return };
        let postfix = std::sync::Arc::new(postfix);
        let to = gateway.address_of("inkorg", &peer.name);
        let body = "Rad med åäö och lite till.\n".repeat(100_000);
        with(&postfix, move |postfix| {
            postfix.submit("ärenden@pf-utf8.se", &[&to], &[], &text("ärenden@pf-utf8.se", "Stort ärende", &body));
            postfix.wait_for_log(&["from=<ärenden@pf-utf8.se>"]);
            postfix.wait_for_log(&["status=sent"]);
        })
        .await;
        let message = peer.message(0).await;
        assert_eq!(message.documents[0].texts[0].matches("åäö och lite till").count(), 100_000);
        gateway.stop().await;
    });
}
