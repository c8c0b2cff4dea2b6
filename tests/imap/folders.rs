//! With a real Dovecot: what is put into an outbox folder is sent, what comes in is put into a folder.

use std::time::{Duration, Instant};

use brevbro::event::{EventName, Field};
use brevbro::sdk::receipt::Outcome;

use crate::harness::{Gateway, Peer, Setup, run, wait_for};
use crate::stage::{FAILED, OUTBOX, SENT, account, dovecot, gateway, kept, mail, mails};

#[test]
fn a_mail_in_the_outbox_is_sent_at_once_and_moved() {
    run(async {
        let Some(dovecot) = dovecot("ut-idle", "") else { return };
        // So rarely that only IDLE can have told.
        let gateway = gateway("ut-idle", &dovecot, "poll = \"1h\"").await;
        let peer = Peer::start("ut-idle-peer").await;
        let to = gateway.address_of("inkorg", &peer.name);
        dovecot.put(&gateway.mailbox, OUTBOX, mail(&gateway.mailbox, &to, "ett"));
        let sent = mails(&dovecot, &gateway.mailbox, SENT, 1).await;
        assert!(sent[0].contains("\r\nSubject: ett\r\n") && dovecot.files(&gateway.mailbox, OUTBOX).is_empty());
        peer.answer(&gateway, &peer.message(0).await, Outcome::Accepted).await;
        gateway.event(EventName::Accepted).await;

        let began = Instant::now();
        let asks = mail(&gateway.mailbox, &to, "tva").replace("MIME-Version", &format!("Return-Receipt-To: {}\r\nMIME-Version", gateway.mailbox));
        dovecot.put(&gateway.mailbox, OUTBOX, asks);
        mails(&dovecot, &gateway.mailbox, SENT, 2).await;
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        println!("from the folder to the folder of sent mails in {:?}", began.elapsed());
        peer.answer(&gateway, &peer.message(1).await, Outcome::Accepted).await;
        gateway.notice("delivered", "2.0.0").await;
        let accepted = gateway.events(EventName::MailAccepted).await;
        assert_eq!(accepted.iter().map(|event| event.fields[&Field::PeerAddress].as_str()).collect::<Vec<_>>(), ["localhost"; 2]);
        gateway.quiet().await;
        assert_eq!(gateway.notices().len(), 1);
        gateway.stop().await;
    });
}
