//! Mail in: refused in the dialogue with the right code, or ours.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use brevbro::event::{EventName, Field};

use crate::harness::client::submit;
use crate::harness::{Client, Gateway, Peer, Setup, World, mail, mail_with, run};

/// Nothing was taken in: no journal line, no file.
async fn took_nothing(gateway: &Gateway) {
    assert_eq!(gateway.events(EventName::MailAccepted).await, []);
    assert_eq!(gateway.daemon.gateway.blobs.heads().await.unwrap(), []);
}

/// The reply to RCPT of an address in the gateway's mail domain.
async fn rcpt(gateway: &Gateway, to: &str) -> String {
    let mut client = Client::connect(gateway).await;
    client.say(&format!("MAIL FROM:<{}>", gateway.mailbox)).await;
    client.say(&format!("RCPT TO:<{to}>")).await
}

#[test]
fn an_unknown_organisation_is_refused_at_rcpt() {
    run(async {
        let gateway = Gateway::start(Setup::new("smtp-unknown")).await;
        let reply = rcpt(&gateway, &gateway.address_of("inkorg", "finns-inte.se")).await;
        assert!(reply.starts_with("550 5.1.2 "), "{reply}");
        took_nothing(&gateway).await;
        gateway.stop().await;
    });
}

#[test]
fn a_foreign_domain_is_refused_at_rcpt() {
    run(async {
        let gateway = Gateway::start(Setup::new("smtp-foreign")).await;
        for to in ["nagon@example.com", "inkorg@peer.se.sdk.annan.se"] {
            let reply = rcpt(&gateway, to).await;
            assert!(reply.starts_with("550 5.7.1 "), "{to}: {reply}");
        }
        gateway.stop().await;
    });
}

#[test]
fn a_malformed_address_is_refused_at_rcpt() {
    run(async {
        let gateway = Gateway::start(Setup::new("smtp-malformed")).await;
        for to in [gateway.address_of("inkorg=ZZ", "peer.se"), gateway.address_of("inkorg=3", "peer.se")] {
            let reply = rcpt(&gateway, &to).await;
            assert!(reply.starts_with("550 5.1.3 "), "{to}: {reply}");
        }
        gateway.stop().await;
    });
}

#[test]
fn who_is_no_function_mailbox_may_not_send() {
    run(async {
        let gateway = Gateway::start(Setup::new("smtp-sender")).await;
        let peer = Peer::start("smtp-sender-peer").await;
        let mut client = Client::connect(&gateway).await;
        let reply = client.say("MAIL FROM:<anna@smtp-sender.se>").await;
        client.cut();
        assert!(reply.starts_with("550 5.7.1 "), "{reply}");

        // The envelope is the mailbox's, the From that people see is not.
        let to = gateway.address_of("inkorg", &peer.name);
        let reply = submit(&gateway, &[&to], "", &mail("chefen@smtp-sender.se", "a1", "Hej")).await;
        assert!(reply.starts_with("550 5.7.1 "), "{reply}");
        took_nothing(&gateway).await;
        gateway.stop().await;
    });
}

#[test]
fn another_address_that_is_configured_may_send_as_the_mailbox() {
    run(async {
        let gateway = Gateway::start(Setup { mailbox: "senders = [\"arende@smtp-allowed.se\"]", ..Setup::new("smtp-allowed") }).await;
        let peer = Peer::start("smtp-allowed-peer").await;
        let mut client = Client::connect(&gateway).await;
        client.envelope("arende@smtp-allowed.se", &[&gateway.address_of("inkorg", &peer.name)], "").await;
        let reply = client.data(&mail("arende@smtp-allowed.se", "a1", "Hej")).await;
        client.cut();
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
        assert_eq!(peer.message(0).await.sender.function.unwrap().as_str(), "inkorg");
        gateway.stop().await;
    });
}

#[test]
fn a_client_of_another_network_is_turned_away_at_once() {
    run(async {
        let gateway = Gateway::start(Setup { clients: "10.0.0.0/8", ..Setup::new("smtp-network") }).await;
        let client = Client::connect(&gateway).await;
        assert!(client.greeting.starts_with("554 5.7.1 "), "{}", client.greeting);
        client.cut();
        gateway.stop().await;
    });
}

#[test]
fn what_is_too_large_is_refused_by_its_size_and_by_what_it_becomes() {
    run(async {
        let gateway = Gateway::start(Setup { smtp: "max-message = \"100 kB\"", ..Setup::new("smtp-size") }).await;
        let peer = Peer::start("smtp-size-peer").await;
        let mut client = Client::connect(&gateway).await;
        let reply = client.say(&format!("MAIL FROM:<{}> SIZE=1000000", gateway.mailbox)).await;
        client.cut();
        assert!(reply.starts_with("552 5.3.4 "), "{reply}");

        // Its octets are not too many, those of the SDK message would be.
        let to = gateway.address_of("inkorg", &peer.name);
        let file: Vec<u8> = b"%PDF-1.4\n".iter().copied().chain((0..90_000_u32).map(|n| (n * 7 % 251) as u8)).collect();
        let reply = submit(&gateway, &[&to], "", &mail_with(&gateway.mailbox, "a1", "stor.pdf", "application/pdf", &file)).await;
        assert!(reply.starts_with("552 5.3.4 "), "{reply}");

        // Without SIZE it is cut off on the way.
        let reply = submit(&gateway, &[&to], "", &mail(&gateway.mailbox, "a2", &"rad\r\n".repeat(100_000))).await;
        assert!(reply.starts_with("552 5.3.4 "), "{reply}");
        took_nothing(&gateway).await;
        gateway.stop().await;
    });
}

#[test]
fn broken_mime_is_refused() {
    run(async {
        let gateway = Gateway::start(Setup::new("smtp-mime")).await;
        let peer = Peer::start("smtp-mime-peer").await;
        let to = gateway.address_of("inkorg", &peer.name);
        let whole = mail_with(&gateway.mailbox, "a1", "fil.pdf", "application/pdf", b"%PDF-1.4\nprov");
        let broken = [
            whole.replace("--b1--\r\n", ""),
            whole.replace("JVBERi0xLjQKcHJvdg==", "JVBERi0xLjQKcHJvd!!!"),
            mail(&gateway.mailbox, "a2", "Hej").replace("From: Anna Ek", "X-From: Anna Ek"),
        ];
        for mail in broken {
            let reply = submit(&gateway, &[&to], "", &mail).await;
            assert!(reply.starts_with("550 5.6.0 "), "{reply}");
        }
        took_nothing(&gateway).await;
        gateway.stop().await;
    });
}

#[test]
fn a_file_that_may_not_be_sent_is_refused_with_its_name() {
    run(async {
        let gateway = Gateway::start(Setup { mailbox: "file-types = [\"application/pdf\"]", ..Setup::new("smtp-files") }).await;
        let peer = Peer::start("smtp-files-peer").await;
        let to = gateway.address_of("inkorg", &peer.name);
        let files: [(&str, &str, &[u8], &str); 4] = [
            ("rapport.exe", "application/octet-stream", b"prov", "550 5.7.1 "),
            // A program by its content, whatever its name.
            ("rapport.pdf", "application/pdf", b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00", "550 5.7.1 "),
            ("rapport.pdf", "application/pdf", b"", "550 5.6.1 "),
            ("bild.png", "image/png", b"\x89PNG\r\n\x1a\n0000", "550 5.6.1 "),
        ];
        for (name, media_type, body, code) in files {
            let reply = submit(&gateway, &[&to], "", &mail_with(&gateway.mailbox, "a1", name, media_type, body)).await;
            assert!(reply.starts_with(code) && reply.contains(name), "{name}: {reply}");
        }
        took_nothing(&gateway).await;
        gateway.stop().await;
    });
}

#[test]
fn without_dns_or_smp_a_mail_is_taken_and_sent_when_they_are_back() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_path_buf();
        let world = tokio::task::spawn_blocking(move || World::make(&at)).await.unwrap();
        // Nothing runs yet: no DNS.
        let sender = Gateway::start_in(&world, Setup::new("smtp-down")).await;
        let receiver = Gateway::start_in(&world, Setup::new("smtp-down-peer")).await;
        let to = sender.address_of("inkorg", "smtp-down-peer.se");
        let reply = submit(&sender, &[&to], "", &mail(&sender.mailbox, "a1", "Utan DNS")).await;
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
        sender.event(EventName::SendDeferred).await;
        // DNS answers, the SMP does not.
        let mut running = world.testbed.start().await.unwrap();
        running.stop_smp().await;
        let reply = submit(&sender, &[&to], "", &mail(&sender.mailbox, "a2", "Utan SMP")).await;
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
        running.stop().await;

        let running = world.testbed.start().await.unwrap();
        for text in ["Utan DNS", "Utan SMP"] {
            receiver.sink.letter(text, |letter| letter.text.contains(text)).await;
        }
        assert_eq!(receiver.delivered().len(), 2);
        sender.stop().await;
        receiver.stop().await;
        running.stop().await;
    });
}

#[test]
fn what_a_program_sent_by_itself_is_taken_and_dropped() {
    run(async {
        let gateway = Gateway::start(Setup::new("smtp-automatic")).await;
        let peer = Peer::start("smtp-automatic-peer").await;
        let to = gateway.address_of("inkorg", &peer.name);
        let answer = |header: &str| mail(&gateway.mailbox, "a1", "Jag har semester.").replace("MIME-Version", &format!("{header}\r\nMIME-Version"));
        for (number, header) in ["Auto-Submitted: auto-replied", "Precedence: bulk", "List-Id: <nyheter.example.se>"].into_iter().enumerate() {
            let reply = submit(&gateway, &[&to], "", &answer(header)).await;
            assert!(reply.starts_with("250 2.0.0 "), "{header}: {reply}");
            gateway.nth_event(EventName::MailDropped, number).await;
        }
        // A notice of the mail server has no sender.
        let mut client = Client::connect(&gateway).await;
        client.envelope("", &[&to], "").await;
        let reply = client.data(&mail("postmaster@smtp-automatic.se", "a2", "Kunde inte levereras")).await;
        client.cut();
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
        gateway.nth_event(EventName::MailDropped, 3).await;
        took_nothing(&gateway).await;
        assert_eq!(peer.taken().len(), 0);
        gateway.stop().await;
    });
}

#[test]
fn a_mail_that_goes_in_circles_is_refused() {
    run(async {
        let gateway = Gateway::start(Setup::new("smtp-circle")).await;
        let peer = Peer::start("smtp-circle-peer").await;
        let to = gateway.address_of("inkorg", &peer.name);
        let hop = "Received: from a.example.se by b.example.se; Mon, 05 Jan 2026 10:00:00 +0100\r\n";
        let reply = submit(&gateway, &[&to], "", &(hop.repeat(51) + &mail(&gateway.mailbox, "a1", "Hej"))).await;
        assert!(reply.starts_with("554 5.4.6 "), "{reply}");
        took_nothing(&gateway).await;
        gateway.stop().await;
    });
}

#[test]
fn two_equal_mails_are_two_messages() {
    run(async {
        let gateway = Gateway::start(Setup::new("smtp-equal")).await;
        let peer = Peer::start("smtp-equal-peer").await;
        let to = gateway.address_of("inkorg", &peer.name);
        // A scanner's mails: equal but for the Message-ID, and at last even in that.
        for id in ["a1", "a2", "a2"] {
            submit(&gateway, &[&to], "", &mail(&gateway.mailbox, id, "Inskannat dokument")).await;
        }
        let mut ids = Vec::new();
        for number in 0..3 {
            ids.push(peer.message(number).await.message_id);
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 3);
        gateway.stop().await;
    });
}

#[test]
fn a_mail_to_two_recipients_is_two_messages_of_one_conversation() {
    run(async {
        let gateway = Gateway::start(Setup::new("smtp-two")).await;
        let (one, other) = (Peer::start("smtp-two-one").await, Peer::start("smtp-two-other").await);
        let to = [gateway.address_of("inkorg", &one.name), gateway.address_of("inkorg", &other.name)];
        let reply = submit(&gateway, &[&to[0], &to[1]], "", &mail(&gateway.mailbox, "a1", "Till er båda".replace('å', "a").as_str())).await;
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
        let (first, second) = (one.message(0).await, other.message(0).await);
        assert_eq!(first.conversation_id, second.conversation_id);
        assert_ne!(first.message_id, second.message_id);
        assert_eq!((one.taken().len(), other.taken().len()), (1, 1));
        gateway.stop().await;
    });
}

#[test]
fn a_transaction_that_comes_again_unconfirmed_is_one_and_confirmed_it_is_another() {
    run(async {
        let gateway = Gateway::start(Setup::new("smtp-again")).await;
        let peer = Peer::start("smtp-again-peer").await;
        let to = gateway.address_of("inkorg", &peer.name);
        let text = mail(&gateway.mailbox, "a1", "En gang");
        // The connection ends before any command shows that our 250 was seen.
        let mut client = Client::connect(&gateway).await;
        client.envelope(&gateway.mailbox, &[&to], "").await;
        let first = client.data(&text).await;
        client.cut();
        let again = submit(&gateway, &[&to], "", &text).await;
        assert_eq!(again, first, "the same transaction is named");
        gateway.event(EventName::MailRepeated).await;
        let taken = gateway.events(EventName::MailAccepted).await;
        assert_eq!(taken.len(), 1);
        assert!(again.contains(&taken[0].fields[&Field::Transaction]), "{again}");

        // QUIT confirmed it: the same mail is another one.
        let third = submit(&gateway, &[&to], "", &text).await;
        assert_ne!(third, first);
        assert_eq!(gateway.events(EventName::MailAccepted).await.len(), 2);
        assert_ne!(peer.message(0).await.message_id, peer.message(1).await.message_id);
        gateway.stop().await;
    });
}
