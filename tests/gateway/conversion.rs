//! What a conversion costs, as the sender learns it: what is missing in the message, and what its receiver does not take.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use brevbro::event::EventName;
use brevbro::sdk::receipt::Outcome;
use brevbro::sdk::rules::{Breach, Detail, ReasonCode};

use crate::harness::client::submit;
use crate::harness::{Gateway, Peer, Setup, mail, mail_with, run};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n0000";

fn html(from: &str, id: &str, body: &str) -> String {
    mail(from, id, body).replace("text/plain", "text/html")
}

#[test]
fn who_lost_something_is_told_what_without_asking_and_others_hear_nothing() {
    run(async {
        let (gateway, peer) = (Gateway::start(Setup::new("conv-lost")).await, Peer::start("conv-lost-peer").await);
        let to = gateway.address_of("inkorg", &peer.name);
        let whole = html(&gateway.mailbox, "c1", "<p>Hej <b>du</b></p>");
        assert!(submit(&gateway, &[&to], "", &whole).await.starts_with("250 "));
        peer.answer(&gateway, &peer.message(0).await, Outcome::Accepted).await;
        gateway.event(EventName::Accepted).await;
        gateway.quiet().await;
        assert_eq!(gateway.notices(), [], "nothing was lost");

        let lost = html(&gateway.mailbox, "c2", "<p>Se <img src=\"https://x.example/karta.png\" height=\"400\"></p>");
        assert!(submit(&gateway, &[&to], "", &lost).await.starts_with("250 "));
        peer.answer(&gateway, &peer.message(1).await, Outcome::Accepted).await;
        let notice = gateway.notice("delivered", "2.0.0").await;
        assert!(notice.text.contains("En bild som bara"), "{}", notice.text);
        gateway.stop().await;
    });
}

#[test]
fn a_file_type_that_a_function_rejected_is_refused_at_once_and_others_still_get_it() {
    run(async {
        let (gateway, peer) = (Gateway::start(Setup::new("conv-types")).await, Peer::start("conv-types-peer").await);
        let (strict, other) = (gateway.address_of("inkorg", &peer.name), gateway.address_of("annan", &peer.name));
        let picture = |id: &str| mail_with(&gateway.mailbox, id, "karta.png", "image/png", PNG);
        assert!(submit(&gateway, &[&strict], "", &picture("t1")).await.starts_with("250 "));
        let line = "/messagePayload/message/messageBody/documents[1]/ContentFiles[1]/contentType";
        let rejected = Outcome::Rejected(vec![Breach::new(ReasonCode::Bv, Detail::NotSupported, line, "Provat.")]);
        peer.answer(&gateway, &peer.message(0).await, rejected).await;
        gateway.notice("failed", "5.6.1").await;

        let reply = submit(&gateway, &[&strict], "", &picture("t2")).await;
        assert!(reply.starts_with("550 5.6.1 ") && reply.contains("karta.png") && reply.contains("conv-types-peer.se"), "{reply}");
        let pdf = mail_with(&gateway.mailbox, "t3", "karta.pdf", "application/pdf", b"%PDF-1.4\nprov");
        assert!(submit(&gateway, &[&strict], "", &pdf).await.starts_with("250 "));
        peer.message(1).await;

        // Of two, the one that takes it gets it; about the other the sender is told.
        assert!(submit(&gateway, &[&strict, &other], "", &picture("t4")).await.starts_with("250 "));
        peer.message(2).await;
        gateway.sink.letter("a second refusal", |letter| letter.is_notice() && letter.text.contains("t4@example.se")).await;
        assert_eq!(gateway.notices(), [("failed".to_owned(), "5.6.1".to_owned()), ("failed".to_owned(), "5.6.1".to_owned())]);
        gateway.stop().await;
    });
}

#[test]
fn brevbro_convert_goes_by_the_mailbox_of_the_configuration() {
    run(async {
        let gateway = Gateway::start(Setup { mailbox: "file-types = [\"application/pdf\"]", ..Setup::new("conv-cli") }).await;
        let config = gateway.dir().join("gateway.toml").display().to_string();
        let write = |name: &str, mail: &str| crate::common::temporary(gateway.dir(), name, mail).display().to_string();
        let (own, foreign) = (write("own.eml", &mail(&gateway.mailbox, "a", "Hej")), write("foreign.eml", &mail("x@other.se", "a", "Hej")));
        let picture = write("picture.eml", &mail_with(&gateway.mailbox, "a", "karta.png", "image/png", PNG));
        let convert = |file: &str, to: &str| {
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_brevbro")).args(["convert", file, "--config", &config, "--to", to]).output();
            let output = output.unwrap();
            (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
        };
        let to = gateway.address_of("inkorg", "peer.se");
        let (code, told) = convert(&own, &to);
        assert!(code == Some(0) && told.contains("0203:conv-cli.se inkorg (Inkorgen, Kommunen conv-cli, Anna Ek)"), "{told}");
        assert!(told.contains("0203:peer.se inkorg"), "{told}");
        for (file, to, expected, why) in [
            (&foreign, to.as_str(), Some(3), "550 5.7.1"),
            (&picture, to.as_str(), Some(3), "550 5.6.1"),
            (&own, "inkorg@elsewhere.se", Some(2), "is not below"),
        ] {
            let (code, told) = convert(file, to);
            assert!(code == expected && told.contains(why), "{code:?} {told}");
        }
        gateway.stop().await;
    });
}
