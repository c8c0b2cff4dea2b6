//! With a real Dovecot: what is put into an outbox folder is sent, what comes in is put into a folder.

use std::time::{Duration, Instant};

use brevbro::event::{EventName, Field};
use brevbro::sdk::receipt::Outcome;

use crate::harness::{Gateway, Letter, Peer, Setup, run};
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
        assert!(sent[0].contains("\r\nSubject: ett\r\n"));
        mails(&dovecot, &gateway.mailbox, OUTBOX, 0).await;
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

#[test]
fn each_recipient_in_the_gateways_domain_gets_the_mail_and_of_the_others_the_writer_is_told() {
    run(async {
        let Some(dovecot) = dovecot("ut-many", "") else { return };
        let gateway = gateway("ut-many", &dovecot, "poll = \"1s\"").await;
        let (one, two) = (Peer::start("ut-many-one").await, Peer::start("ut-many-two").await);
        let address = |peer: &Peer| gateway.address_of("inkorg", &peer.name);
        let others = format!("\r\nCc: {}, Vanlig <vanlig@b.se>\r\nBcc: {}", address(&one), gateway.address_of("inkorg", "okand.se"));
        dovecot.put(&gateway.mailbox, OUTBOX, mail(&gateway.mailbox, &(address(&two) + &others), "flera"));
        mails(&dovecot, &gateway.mailbox, SENT, 1).await;
        let (first, second) = (one.message(0).await, two.message(0).await);
        assert_eq!(first.conversation_id, second.conversation_id);
        // To who is not in SDK, and to who is outside of it: each told once.
        let unknown = gateway.notice("failed", "5.1.2").await;
        assert!(unknown.text.contains("okand.se.sdk.ut-many.se"), "{}", unknown.text);
        let outside = gateway.notice("failed", "5.7.1").await;
        assert!(outside.text.contains("vanlig@b.se") && !outside.text.contains("Hej hopp"), "{}", outside.text);
        assert_eq!((gateway.notices().len(), gateway.events(EventName::MailAccepted).await.len()), (2, 2));
        gateway.stop().await;
    });
}

#[test]
fn what_smtp_would_refuse_is_refused_with_the_same_words_and_filed() {
    run(async {
        let Some(dovecot) = dovecot("ut-no", "") else { return };
        let gateway = gateway("ut-no", &dovecot, "poll = \"1s\"\nother-recipients = \"ignore\"").await;
        let peer = Peer::start("ut-no-peer").await;
        let (own, to) = (gateway.mailbox.clone(), gateway.address_of("inkorg", &peer.name));
        let refused = [
            ("annan", mail("annan@b.se", &to, "annan"), "5.7.1", "Från-adressen får inte skicka som funktionsbrevlådan"),
            ("ingen", mail(&own, "undisclosed-recipients:;", "ingen"), "5.1.3", "Mejlet har ingen mottagare"),
            ("utanfor", mail(&own, "vanlig@b.se", "utanfor"), "5.7.1", "Adressen ligger utanför SDK"),
            ("felskriven", mail(&own, &format!("nagon, {to}"), "felskriven"), "5.1.3", "En mottagaradress är felskriven"),
            (
                "program",
                crate::harness::mail_with(&own, "program", "x.exe", "application/pdf", b"MZ\x90\0")
                    .replace("Subject: Prov", &format!("To: {to}\r\nSubject: program")),
                "5.7.1",
                "är ett program",
            ),
            ("stor", mail(&own, &to, "stor") + &"x".repeat(46_000_000), "5.3.4", "högst 30.0 MB får skickas"),
        ];
        for (number, (subject, text, status, swedish)) in refused.iter().enumerate() {
            dovecot.put(&own, OUTBOX, text);
            mails(&dovecot, &own, FAILED, number + 1).await;
            let about = |letter: &Letter| letter.to == own && letter.line("Subject:").is_some_and(|line| line.ends_with(subject));
            let notice = gateway.sink.letter(subject, about).await;
            assert_eq!(notice.outcome(), ("failed".to_owned(), (*status).to_owned()), "{subject}");
            let words = mail_parser_text(&notice.text);
            assert!(words.contains(swedish), "{subject}: {words}");
        }
        // Beside one that is sent to, others are the mail server's affair here.
        dovecot.put(&own, OUTBOX, mail(&own, &format!("{to}, vanlig@b.se"), "bada"));
        // What a program sent by itself is taken and dropped, as by SMTP.
        dovecot.put(&own, OUTBOX, mail(&own, &to, "borta").replace("MIME-Version", "Auto-Submitted: auto-replied\r\nMIME-Version"));
        mails(&dovecot, &own, SENT, 2).await;
        gateway.event(EventName::MailDropped).await;
        assert_eq!(peer.message(0).await.label.unwrap().0, "bada");
        assert_eq!(gateway.events(EventName::MailRefused).await.len(), refused.len());
        assert_eq!((gateway.notices().len(), peer.taken().len()), (refused.len(), 1));
        gateway.stop().await;
    });
}

#[test]
fn two_equal_mails_are_two_messages() {
    run(async {
        let Some(dovecot) = dovecot("ut-lika", "") else { return };
        let gateway = gateway("ut-lika", &dovecot, "poll = \"1s\"").await;
        let peer = Peer::start("ut-lika-peer").await;
        let text = mail(&gateway.mailbox, &gateway.address_of("inkorg", &peer.name), "skanning");
        for _ in 0..3 {
            dovecot.put(&gateway.mailbox, OUTBOX, &text);
        }
        mails(&dovecot, &gateway.mailbox, SENT, 3).await;
        peer.message(2).await;
        gateway.stop().await;
    });
}

#[test]
fn a_mail_server_that_was_away_is_found_again() {
    run(async {
        let Some(mut dovecot) = dovecot("ut-borta", "") else { return };
        let gateway = gateway("ut-borta", &dovecot, "poll = \"1s\"").await;
        let peer = Peer::start("ut-borta-peer").await;
        let to = gateway.address_of("inkorg", &peer.name);
        dovecot.put(&gateway.mailbox, OUTBOX, mail(&gateway.mailbox, &to, "ett"));
        mails(&dovecot, &gateway.mailbox, SENT, 1).await;
        dovecot.halt();
        dovecot.put(&gateway.mailbox, OUTBOX, mail(&gateway.mailbox, &to, "tva"));
        tokio::task::block_in_place(|| dovecot.go_on());
        mails(&dovecot, &gateway.mailbox, SENT, 2).await;
        peer.message(1).await;
        assert_eq!(peer.taken().len(), 2);
        gateway.stop().await;
    });
}

#[test]
fn messages_and_notices_of_a_mailbox_are_put_into_its_folder() {
    run(async {
        let Some(dovecot) = dovecot("in-folder", "") else { return };
        let folders = "[organisation.mailbox.imap.inbox]\nfolder = \"SDK/Inkommet\"\nflags = [\"flagged\"]\n[organisation.mailbox.imap.outbox]\n";
        let gateway = Gateway::start(Setup { mailbox: kept(account(&dovecot) + folders), ..Setup::new("in-folder") }).await;
        let peer = Peer::start("in-folder-peer").await;
        peer.send(&gateway, &peer.draft(&gateway)).await.acknowledged();
        let [message] = &mails(&dovecot, &gateway.mailbox, "SDK/Inkommet", 1).await[..] else { panic!("one message") };
        assert!(message.contains("Subject: Prov"), "{message}");
        let event = gateway.event(EventName::Delivered).await;
        assert!(event.fields[&Field::MailServerAnswer].starts_with("APPENDUID "), "{event:?}");
        assert!(dovecot.doveadm(&["fetch", "-u", &gateway.mailbox, "flags", "mailbox", "SDK/Inkommet"]).contains("\\Flagged"));
        // What is refused in the outbox is told in the same folder.
        dovecot.put(&gateway.mailbox, OUTBOX, mail(&gateway.mailbox, &gateway.address_of("inkorg", "okand.se"), "okand"));
        let all = mails(&dovecot, &gateway.mailbox, "SDK/Inkommet", 2).await;
        assert!(all.iter().any(|mail| mail.contains("Status: 5.1.2")), "{all:?}");
        mails(&dovecot, &gateway.mailbox, FAILED, 1).await;
        assert_eq!(gateway.sink.letters().len(), 0, "the mail server gets nothing");
        gateway.stop().await;
    });
}

#[test]
fn a_mailbox_that_has_too_much_under_way_keeps_its_mails_in_the_folder_until_there_is_room() {
    run(async {
        let Some(dovecot) = dovecot("ut-grans", "") else { return };
        let mailbox = kept(format!("limits = {{ max-waiting = 1 }}\n{}[organisation.mailbox.imap.outbox]\npoll = \"1s\"\n", account(&dovecot)));
        let gateway = Gateway::start(Setup { mailbox, ..Setup::new("ut-grans") }).await;
        let peer = Peer::start("ut-grans-peer").await;
        let (own, to) = (gateway.mailbox.clone(), gateway.address_of("inkorg", &peer.name));
        dovecot.put(&own, OUTBOX, mail(&own, &to, "ett"));
        mails(&dovecot, &own, SENT, 1).await;
        dovecot.put(&own, OUTBOX, mail(&own, &to, "tva"));
        gateway.event(EventName::LimitReached).await;
        assert_eq!((dovecot.mails(&own, OUTBOX).len(), dovecot.mails(&own, SENT).len(), dovecot.mails(&own, FAILED).len()), (1, 1, 0));
        // The end of the first is room for the second, without anybody's doing.
        peer.answer(&gateway, &peer.message(0).await, Outcome::Accepted).await;
        mails(&dovecot, &own, SENT, 2).await;
        peer.answer(&gateway, &peer.message(1).await, Outcome::Accepted).await;
        assert_eq!((gateway.events(EventName::LimitReached).await.len(), gateway.notices().len()), (1, 0));
        gateway.stop().await;
    });
}

/// The text that a notice begins with.
fn mail_parser_text(mail: &str) -> String {
    let parsed = mail_parser::MessageParser::default().parse(mail.as_bytes()).unwrap();
    parsed.body_text(0).unwrap().into_owned()
}
