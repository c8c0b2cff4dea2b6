//! What people write stands in mails and envelopes, and nowhere else.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use brevbro::event::EventName;

use crate::common::files;
use crate::harness::client::submit;
use crate::harness::{Gateway, Manner, Peer, Setup, log, mail_with, run};

/// Files below a folder that hold a text.
fn holding(dir: &Path, text: &str) -> Vec<String> {
    let holds = |path: &PathBuf| std::fs::read(path).unwrap().windows(text.len()).any(|window| window == text.as_bytes());
    files(dir).into_iter().filter(holds).map(|path| path.display().to_string()).collect()
}

#[test]
fn neither_journal_nor_index_nor_log_holds_what_people_write() {
    const MARKER: &str = "Hemlighet4711";
    run(async {
        let sender = Gateway::start(Setup::new("secret")).await;
        let receiver = Gateway::start(Setup { mailbox: "file-types = [\"image/png\"]", ..Setup::new("secret-peer") }).await;
        let peer = Peer::start("secret-by-hand").await;
        let to = sender.address_of("inkorg", "secret-peer.se");
        let write = |id: &str, extension: &str, media_type: &str| {
            let name = format!("{MARKER}.{extension}");
            let file = if extension == "pdf" { format!("%PDF-1.4 {MARKER}") } else { format!("1;{MARKER}") };
            let mail = mail_with(&sender.mailbox, id, &name, media_type, file.as_bytes());
            mail.replace("Subject: Prov", &format!("Subject: {MARKER}")).replace("Se bilaga.", &format!("Se {MARKER}."))
        };
        // Delivered at the second attempt, with a notice; of a type that is not taken there; to a function that is none;
        // refused here for its file.
        receiver.sink.will(&receiver.mailbox, &[Manner::Later]);
        let taken = submit(&sender, &[&to], " NOTIFY=SUCCESS", &write("a1", "pdf", "application/pdf")).await;
        assert!(taken.starts_with("250"), "{taken}");
        assert!(receiver.delivery().await.text.contains(MARKER), "the mail itself has it");
        sender.notice("delivered", "2.0.0").await;
        submit(&sender, &[&to], "", &write("a2", "csv", "text/csv")).await;
        sender.notice("failed", "5.6.1").await;
        submit(&sender, &[&sender.address_of("okand", "secret-peer.se")], "", &write("a3", "pdf", "application/pdf")).await;
        sender.notice("failed", "5.1.1").await;
        let refused = submit(&sender, &[&to], "", &write("a4", "exe", "application/octet-stream")).await;
        assert!(refused.starts_with("550") && refused.contains(MARKER), "{refused}");
        // By hand: a label that breaks a rule, and ids that do.
        let mut draft = peer.draft(&receiver);
        draft.edit(">Prov<", &format!(">{}<", MARKER.repeat(30)));
        draft.edit("confidentiality>true", &format!("confidentiality>{MARKER}"));
        peer.send(&receiver, &draft).await.acknowledged();
        peer.receipt(0).await;
        receiver.nth_event(EventName::TurnedAway, 2).await;

        for gateway in [&sender, &receiver] {
            gateway.quiet().await;
            for event in gateway.journal().await {
                assert!(!serde_json::to_string(&event).unwrap().contains(MARKER), "{event:?}");
            }
            assert_eq!(holding(&gateway.dir().join("state/store"), MARKER), Vec::<String>::new());
            for letter in gateway.sink.letters().iter().filter(|letter| letter.to == gateway.operator) {
                assert!(!letter.text.contains(MARKER), "{}", letter.text);
            }
        }
        let log = String::from_utf8_lossy(&log().lock().unwrap()).into_owned();
        assert!(log.contains("brevbro"), "the log was caught");
        assert_eq!(log.lines().filter(|line| line.contains(MARKER)).collect::<Vec<_>>(), Vec::<&str>::new());
        sender.stop().await;
        receiver.stop().await;
    });
}
