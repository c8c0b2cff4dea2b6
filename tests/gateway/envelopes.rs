//! The envelope says who gets a mail; neither its header nor its ids do.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness::client::submit;
use crate::harness::{Gateway, Peer, Setup, mail, run};

/// Some clients send a transaction of its own to each hidden recipient, of one mail with one Message-ID.
#[test]
fn each_transaction_of_one_mail_gets_through() {
    run(async {
        let gateway = Gateway::start(Setup::new("envelopes-each")).await;
        let peers = [Peer::start("envelopes-each-a").await, Peer::start("envelopes-each-b").await, Peer::start("envelopes-each-c").await];
        let text = mail(&gateway.mailbox, "one-id", "Till var och en");
        for peer in &peers {
            let reply = submit(&gateway, &[&gateway.address_of("inkorg", &peer.name)], "", &text).await;
            assert!(reply.starts_with("250 2.0.0 "), "{reply}");
        }
        let mut ids = Vec::new();
        for peer in &peers {
            ids.push(peer.message(0).await.message_id);
            assert_eq!(peer.taken().len(), 1);
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), peers.len());
        gateway.stop().await;
    });
}

#[test]
fn who_stands_in_the_header_alone_gets_nothing_and_who_is_hidden_does() {
    run(async {
        let gateway = Gateway::start(Setup::new("envelopes-header")).await;
        let (named, hidden) = (Peer::start("envelopes-header-a").await, Peer::start("envelopes-header-b").await);
        let (to, bcc) = (gateway.address_of("inkorg", &named.name), gateway.address_of("inkorg", &hidden.name));
        let text = mail(&gateway.mailbox, "a1", "Dold mottagare");
        let text = text.replace("undisclosed-recipients:;", &format!("<{to}>\r\nCc: <{to}>\r\nResent-To: {to}"));
        assert!(text.contains("Cc: <"));
        let reply = submit(&gateway, &[&bcc], "", &text).await;
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
        assert!(hidden.message(0).await.in_reply_to.is_none());
        // What is sent after it has come, so what was sent before would have.
        submit(&gateway, &[&to], "", &mail(&gateway.mailbox, "a2", "Efter")).await;
        assert_eq!(named.message(0).await.documents[0].texts[0].as_str(), "Efter");
        assert_eq!((named.taken().len(), hidden.taken().len()), (1, 1));
        gateway.stop().await;
    });
}
