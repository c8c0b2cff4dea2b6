//! The commands that look after the state of a gateway that does not run.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use brevbro::event::EventName;

use crate::common::files;
use crate::gateway::harness::client::submit;
use crate::gateway::harness::{Gateway, mail, run};
use crate::operator::kept;

fn store(command: &str, state: &Path) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_brevbro")).args(["store", command, "--state-dir"]).arg(state).output().unwrap();
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[test]
fn what_is_damaged_or_lost_is_found_and_the_index_is_built_anew() {
    run(async {
        let (sender, receiver) = (Gateway::start(kept("store-a")).await, Gateway::start(kept("store-b")).await);
        let to = sender.address_of("inkorg", "store-b.se");
        submit(&sender, &[&to], "", &mail(&sender.mailbox, "a1", "Hej")).await;
        sender.event(EventName::Accepted).await;
        let state = sender.dir().join("state");
        let (code, told) = store("verify", &state);
        assert!(code == Some(1) && told.contains("hint: stop the gateway first"), "{told}");
        let asleep = sender.sleep().await;
        let (code, told) = store("verify", &state);
        assert!(code == Some(0) && told.contains("chain is whole"), "{told}");
        let (code, told) = store("rebuild", &state);
        assert!(code == Some(0) && told.contains("built anew") && state.join("store/index.damaged").exists(), "{told}");
        assert_eq!(store("verify", &state).0, Some(0));
        // An index that lost a record, and holds a note that is none.
        let index = sled::Config::new().path(state.join("store/index")).flush_every_ms(None).use_compression(false).open().unwrap();
        let (record, _) = index.scan_prefix(b"r").next().unwrap().unwrap();
        index.remove(&record).unwrap();
        index.insert(b"nsmuggled/in", "x".as_bytes()).unwrap();
        drop(index);
        let (code, told) = store("verify", &state);
        let record = uuid::Uuid::from_slice(&record[1..]).unwrap();
        assert!(code == Some(3) && told.contains(&format!("differs: record {record}")) && told.contains("differs: note smuggled/in"), "{told}");
        assert!(told.contains(": 2 of ") && told.contains("hint: brevbro store rebuild"), "{told}");
        assert_eq!(store("rebuild", &state).0, Some(0));
        let (code, told) = store("verify", &state);
        assert!(code == Some(0) && told.contains("the index is what the journal makes"), "{told}");
        let nowhere = store("verify", &state.join("nowhere"));
        assert!(nowhere.0 == Some(1) && nowhere.1.contains("there is no store"), "{}", nowhere.1);

        // A body that is gone, and one whose octets are others.
        let sender = asleep.wake(kept("store-a")).await;
        assert_eq!(sender.events(EventName::Accepted).await.len(), 1, "the rebuilt index goes on");
        let asleep = sender.sleep().await;
        let mut bodies = files(&state.join("spool"));
        bodies.retain(|path| fs::metadata(path).unwrap().len() > 100);
        fs::remove_file(&bodies[0]).unwrap();
        let mut octets = fs::read(&bodies[1]).unwrap();
        let middle = octets.len() - 40;
        octets[middle] ^= 1;
        fs::write(&bodies[1], octets).unwrap();
        let (code, told) = store("verify", &state);
        assert!(code == Some(3) && told.contains("lost: body ") && told.contains("damaged: "), "{told}");
        drop(asleep);
        receiver.stop().await;
    });
}
