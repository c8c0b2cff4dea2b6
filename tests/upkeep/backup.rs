//! A gateway is backed up while it works, dies with all that it had, and is restored.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use brevbro::event::EventName;
use brevbro::sdk::receipt::Outcome;
use brevbro::store::journal;
use serde_json::json;

use crate::common::{self, files};
use crate::evidence::{Inbox, Letter, accepted};
use crate::gateway::harness::client::submit;
use crate::gateway::harness::peer::Mood;
use crate::gateway::harness::sink::Manner;
use crate::gateway::harness::{Asleep, Gateway, Peer, mail, run, wait_for};
use crate::operator::kept;
use crate::stage::{MAILBOXES, Side, Stage, wait_for as wait};

const PATIENCE: Duration = Duration::from_mins(3);

/// Runs a command of brevbro; exit code and all that it said.
fn brevbro(args: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_brevbro")).args(args).output().unwrap();
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn backup(state: &Path, dir: &Path) -> String {
    let (code, told) = brevbro(&["backup", path(dir), "--state-dir", path(state)]);
    assert!(code == Some(0) && told.contains("är hel och kontrollerad") && told.contains("is whole and verified"), "{told}");
    told
}

fn restore(dir: &Path, state: &Path) -> (Option<i32>, String) {
    brevbro(&["restore", path(dir), "--state-dir", path(state)])
}

/// The backups in a folder, oldest first.
fn backups(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

fn order(number: usize) -> serde_json::Value {
    let (from, to) = (Side::A.mailbox(number % MAILBOXES), Side::A.towards((number / 2) % MAILBOXES));
    json!({ "token": format!("crash-{number:04}"), "from": from, "to": [to], "files": number % 3 })
}

fn letters(stage: &Stage) -> BTreeSet<Letter> {
    accepted(stage).into_iter().map(|(letter, ..)| letter).collect()
}

#[test]
fn nothing_that_was_acknowledged_before_the_backup_is_lost_with_the_machine() {
    if !common::has("python3") {
        return;
    }
    let mut stage = Stage::set("upkeep-backup");
    for side in Side::BOTH {
        stage.gateway(side).start(None);
    }
    assert!(stage.a.is_up() && stage.b.is_up());
    let (dir, state) = (stage.dir.join("backups"), stage.a.state.clone());
    let mut client = stage.client(Side::A, 4, 7);
    for number in 0..15 {
        client.send(&order(number));
    }
    wait("some to arrive", PATIENCE, || (Inbox::read(&stage).delivered.len() >= 10).then_some(()));
    backup(&state, &dir);
    backup(&state, &dir);
    assert_eq!(backups(&dir).len(), 2, "also when both are of one second");
    // From here on what comes waits here, and more comes while it is copied.
    stage.b.stop();
    for number in 15..60 {
        client.send(&order(number));
    }
    wait("mails to wait", PATIENCE, || (letters(&stage).len() >= 30).then_some(()));
    for number in 60..100 {
        client.send(&order(number));
    }
    let before = letters(&stage);
    let told = backup(&state, &dir);
    assert!(!told.contains(" 0 files are shared"), "{told}");
    stage.a.kill();
    client.close();
    fs::rename(&state, state.with_extension("lost")).unwrap();

    let (code, told) = restore(&dir, &state);
    assert!(code == Some(0) && told.contains("skickas nu, kanske en gång till") && told.contains("it knows nothing"), "{told}");
    let waiting: usize = told
        .lines()
        .find_map(|line| {
            line.strip_suffix(
                " were on their way out and are sent now, perhaps once more: with the same messageId, by which the receiver knows them.",
            )?
            .parse()
            .ok()
        })
        .unwrap();
    assert!(waiting >= 15, "{told}");
    let (code, told) = restore(&dir, &state);
    assert!(code == Some(1) && told.contains("is not empty") && told.contains("nothing is ever restored over something"), "{told}");
    stage.b.start(None);
    stage.a.start(None);
    assert!(stage.a.is_up() && stage.b.is_up());
    let (code, told) = restore(&dir, &state);
    assert!(code == Some(1) && told.contains("a gateway uses "), "{told}");
    wait("the client's end", PATIENCE, || client.ended().then_some(()));
    let all = |inbox: &Inbox| before.iter().all(|letter| inbox.delivered.contains_key(letter));
    wait("every acknowledged mail", PATIENCE, || all(&Inbox::read(&stage)).then_some(()));
    wait("the receiver's work to end", PATIENCE, || {
        let (code, told) = brevbro(&["status", "--state-dir", path(&stage.b.state)]);
        (code == Some(0)
            && told
                .lines()
                .filter(|line| ["open", "deliver", "answer", "send"].iter().any(|queue| line.trim().starts_with(queue)))
                .all(|line| line.contains("  0")))
        .then_some(())
    });
    stage.stop();
    let inbox = Inbox::read(&stage);
    assert!(before.len() >= 30 && all(&inbox));
    for (letter, copies) in &inbox.delivered {
        assert_eq!(copies.len(), 1, "{letter:?} arrived twice: {copies:?}");
    }
    // Its journal goes on where the backup's ended, and says so.
    journal::verify(&stage.a.journal()).unwrap();
    let mut restored = 0;
    journal::read(&stage.a.journal(), |event| {
        restored += usize::from(event.name == EventName::Restored);
        Ok::<(), journal::JournalError>(())
    })
    .unwrap();
    assert_eq!(restored, 1);
    let (code, told) = brevbro(&["store", "verify", "--state-dir", path(&state)]);
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn a_message_that_waited_for_the_mail_server_is_delivered_from_the_backup_and_damage_is_told() {
    run(async {
        let (sender, receiver) = (Gateway::start(kept("backup-a")).await, Gateway::start(kept("backup-b")).await);
        receiver.sink.will(&receiver.mailbox, &[Manner::Later; 100]);
        let to = sender.address_of("inkorg", "backup-b.se");
        submit(&sender, &[&to], "", &mail(&sender.mailbox, "a1", "Kanariefagel4711")).await;
        receiver.event(EventName::DeliveryDeferred).await;
        let (state, folder) = (receiver.dir().join("state"), tempfile::tempdir().unwrap());
        let dir = folder.path().join("backups");
        backup(&state, &dir);
        let asleep = receiver.sleep().await;
        fs::rename(&state, state.with_extension("lost")).unwrap();
        let (code, told) = restore(&dir, &state);
        assert!(code == Some(0) && told.contains("1 were on their way to the mail server"), "{told}");
        let receiver = asleep.wake(kept("backup-b")).await;
        receiver.sink.is_well();
        let letter = wait_for("the mail", || async { receiver.delivered().pop() }).await;
        assert!(letter.text.contains("Kanariefagel4711"));
        receiver.quiet().await;
        assert_eq!(receiver.delivered().len(), 1);

        // The same with keys, a damaged body, and then a damaged journal.
        let config = receiver.dir().join("gateway.toml");
        let (code, told) = brevbro(&["backup", path(&dir), "--state-dir", path(&state), "--keys", "--config", path(&config)]);
        assert!(code == Some(0) && told.contains("WARNING: keys/ holds private keys"), "{told}");
        let newest = backups(&dir).pop().unwrap();
        assert!(newest.join(format!("keys{}", config.canonicalize().unwrap().display())).is_file());
        assert!(!backups(&dir)[0].join("keys").exists(), "only on demand");
        let body = files(&newest.join("spool")).into_iter().find(|path| path.extension().is_some_and(|ending| ending == "blob")).unwrap();
        spoil(&body);
        let other = folder.path().join("other");
        let (code, told) = restore(&newest, &other);
        assert!(code == Some(3) && told.contains("damaged: ") && told.contains("it is not what was written into the backup"), "{told}");
        assert_eq!(brevbro(&["store", "verify", "--state-dir", path(&other)]).0, Some(3));
        let segment = files(&newest.join("store/journal")).into_iter().find(|path| path.extension().is_some_and(|ending| ending == "jsonl")).unwrap();
        spoil(&segment);
        let third = folder.path().join("third");
        let (code, told) = restore(&newest, &third);
        assert!(code == Some(3) && told.contains("is not what was written") && told.contains("hint: restore an older backup"), "{told}");
        // What was begun is refused by the gateway and by the next restore, until it is emptied.
        let text = fs::read_to_string(&config).unwrap().replace(path(&state), path(&third));
        fs::write(folder.path().join("third.toml"), text).unwrap();
        let third_config = brevbro::config::load(&folder.path().join("third.toml")).unwrap();
        let refused = brevbro::daemon::Daemon::start(third_config).await.err().unwrap();
        let refused = std::error::Error::source(&refused).unwrap().to_string();
        assert!(refused.contains("the restore of a backup into ") && refused.contains("empty it"), "{refused}");
        assert_eq!(restore(&backups(&dir)[0], &third).0, Some(1));
        fs::remove_dir_all(&third).unwrap();
        assert_eq!(restore(&backups(&dir)[0], &third).0, Some(0));
        sender.stop().await;
        receiver.stop().await;
    });
}

#[test]
fn what_is_no_backup_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, state) = (folder.path().join("backups"), folder.path().join("state"));
    fs::create_dir_all(dir.join("2026-11-22T101500.250Z.unfinished")).unwrap();
    fs::write(dir.join("2026-11-22T101500.250Z.unfinished/backup.json"), "{}").unwrap();
    for none in [dir.clone(), dir.join("2026-11-22T101500.250Z.unfinished"), folder.path().join("nowhere")] {
        let (code, told) = restore(&none, &state);
        assert!(code == Some(1) && told.contains("there is no whole backup in"), "{told}");
    }
    let newer =
        json!({ "brevbro-backup": 2, "program": "9", "at": "2026-11-22T10:15:00Z", "line": 1, "hash": "0".repeat(64), "bodies": 0, "octets": 0 });
    fs::create_dir(dir.join("newer")).unwrap();
    fs::write(dir.join("newer/backup.json"), newer.to_string()).unwrap();
    let (code, told) = restore(&dir.join("newer"), &state);
    assert!(code == Some(1) && told.contains("of form 2") && !state.exists(), "{told}");
    let (code, told) = brevbro(&["backup", path(&dir), "--state-dir", path(&state)]);
    assert!(code == Some(1) && told.contains("there is no journal in"), "{told}");
}

/// Runs a command, which ends at this point and pass as a crash would end it.
#[cfg(feature = "failpoints")]
fn ended_at(point: &str, args: &[&str]) {
    use std::os::unix::process::ExitStatusExt;
    let output = Command::new(env!("CARGO_BIN_EXE_brevbro")).args(args).env("BREVBRO_ABORT_AT", point).output().unwrap();
    assert_eq!(output.status.signal(), Some(6), "{point}: {output:?}");
}

/// What a folder holds, by the places in it.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    files(dir).into_iter().map(|file| (file.strip_prefix(dir).unwrap().to_owned(), fs::read(&file).ok())).collect()
}

/// A gateway that has stopped while a message waited for an access point that was down.
#[cfg(feature = "failpoints")]
async fn stopped_with_a_message(name: &str) -> (Asleep, Peer) {
    let (gateway, peer) = (Gateway::start(kept(name)).await, Peer::start(&format!("{name}-peer")).await);
    peer.set(Mood::Down);
    let to = gateway.address_of("inkorg", &peer.name);
    submit(&gateway, &[&to], "", &mail(&gateway.mailbox, "m1", "Hej")).await;
    gateway.event(EventName::SendDeferred).await;
    (gateway.sleep().await, peer)
}

#[cfg(feature = "failpoints")]
#[test]
fn a_backup_that_ends_at_any_named_point_is_never_taken_for_a_whole_one() {
    run(async {
        let (asleep, _peer) = stopped_with_a_message("backup-cut").await;
        let (state, folder) = (asleep.dir().join("state"), common::scratch("backup-cut"));
        let before = contents(&state);
        // Whether there is one before it, and whether there is one more by then: all is done that has to be.
        let points = [
            ("backup.begun", false, false),
            ("backup.copied", false, false),
            ("backup.copied:3", false, false),
            ("backup.linked", true, false),
            ("backup.manifest", true, false),
            ("backup.removed", true, false),
            ("backup.sums", true, false),
            ("backup.synced", false, false),
            ("backup.verified", true, false),
            ("backup.named", true, true),
            ("backup.directory", false, true),
        ];
        for (point, earlier, done) in points {
            let (dir, target) = (folder.path().join(point), folder.path().join("restored"));
            let arguments = ["backup", path(&dir), "--state-dir", path(&state)];
            if earlier {
                backup(&state, &dir);
            }
            if point == "backup.removed" {
                ended_at("backup.begun", &arguments);
            }
            ended_at(point, &arguments);
            assert!(contents(&state) == before, "{point}: the gateway's state is what it was");
            let (unfinished, whole): (Vec<_>, Vec<_>) = backups(&dir).into_iter().partition(|path| path.to_str().unwrap().ends_with(".unfinished"));
            assert_eq!(unfinished.len(), usize::from(!done && point != "backup.removed"), "{point}");
            assert_eq!(whole.len(), usize::from(earlier) + usize::from(done), "{point}");
            for none in unfinished.iter().chain(whole.is_empty().then_some(&dir)) {
                let (code, told) = restore(none, &target);
                assert!(code == Some(1) && told.contains("there is no whole backup in") && !target.exists(), "{point}: {told}");
            }
            if let Some(newest) = whole.last() {
                assert_restores(&dir, newest, &target, &state);
            }
            backup(&state, &dir);
            let after = backups(&dir);
            assert_eq!((after.len(), &after[..whole.len()]), (whole.len() + 1, &whole[..]), "{point}: what was cut off is gone");
            assert_restores(&dir, &after[whole.len()], &target, &state);
        }
        // One that fails takes away what it has copied.
        let dir = folder.path().join("full");
        for point in ["backup.copied=1*off->return", "backup.sums=return"] {
            let mut full = Command::new(env!("CARGO_BIN_EXE_brevbro"));
            let told = full.args(["backup", path(&dir), "--state-dir", path(&state)]).env("FAILPOINTS", point).output().unwrap();
            assert!(told.status.code() == Some(1) && String::from_utf8_lossy(&told.stderr).contains("no storage space"), "{told:?}");
            assert_eq!(backups(&dir), [""; 0].map(PathBuf::from), "{point}");
            assert!(contents(&state) == before, "{point}");
        }
    });
}

/// The newest backup of a folder is this one, and all of the state is in it.
#[cfg(feature = "failpoints")]
fn assert_restores(dir: &Path, newest: &Path, target: &Path, state: &Path) {
    let (code, told) = restore(dir, target);
    assert!(code == Some(0) && told.contains(&format!("Restored from {}: ", path(newest))), "{told}");
    assert_whole(target, state);
    fs::remove_dir_all(target).unwrap();
}

#[cfg(feature = "failpoints")]
fn assert_whole(restored: &Path, state: &Path) {
    let bodies = contents(&restored.join("spool"));
    assert!(bodies.keys().filter(|file| file.extension().is_some_and(|ending| ending == "blob")).count() > 1, "{:?}", bodies.keys());
    assert!(bodies == contents(&state.join("spool")));
    let (code, told) = brevbro(&["store", "verify", "--state-dir", path(restored)]);
    assert_eq!(code, Some(0), "{told}");
}

#[cfg(feature = "failpoints")]
#[test]
fn a_restore_that_ends_at_any_named_point_is_refused_until_it_is_emptied_or_is_whole() {
    run(async {
        let (asleep, peer) = stopped_with_a_message("restore-cut").await;
        let (state, folder) = (asleep.dir().join("state"), common::scratch("restore-cut"));
        let dir = folder.path().join("backups");
        backup(&state, &dir);
        let copy = contents(&dir);
        let config = fs::read_to_string(asleep.dir().join("gateway.toml")).unwrap();
        let target = folder.path().join("restored");
        fs::write(folder.path().join("restored.toml"), config.replace(path(&state), path(&target))).unwrap();
        let restoring = ["restore", path(&dir), "--state-dir", path(&target)];
        for point in ["restore.begun", "restore.copied", "restore.copied:3", "restore.synced", "restore.verified", "restore.noted"] {
            ended_at(point, &restoring);
            let begun = brevbro::config::load(&folder.path().join("restored.toml")).unwrap();
            let refused = brevbro::daemon::Daemon::start(begun).await.err().unwrap();
            let refused = std::error::Error::source(&refused).unwrap().to_string();
            assert!(refused.contains("the restore of a backup into ") && refused.contains("empty it"), "{point}: {refused}");
            let other = folder.path().join("other");
            for command in [&["store", "verify"][..], &["audit", "verify"], &["trace", "m1@example.se"], &["backup", path(&other)]] {
                let (code, told) = brevbro(&[command, &["--state-dir", path(&target)]].concat());
                assert!(
                    code == Some(1) && told.contains("the restore of a backup into ") && told.contains("empty it"),
                    "{point}: {command:?}: {told}"
                );
            }
            assert!(!other.exists(), "a backup of half a state is none");
            let (code, told) = restore(&dir, &target);
            assert!(code == Some(1) && told.contains("is not empty"), "{point}: {told}");
            fs::remove_dir_all(&target).unwrap();
            let (code, told) = restore(&dir, &target);
            assert_eq!(code, Some(0), "{point}: {told}");
            assert_whole(&target, &state);
            fs::remove_dir_all(&target).unwrap();
        }
        // After the last there is nothing to do but to say it.
        ended_at("restore.ended", &restoring);
        let (code, told) = restore(&dir, &target);
        assert!(code == Some(1) && told.contains("is not empty"), "{told}");
        assert_whole(&target, &state);
        assert!(contents(&dir) == copy, "the backup is what it was");
        fs::remove_dir_all(&state).unwrap();
        assert!(Command::new("cp").arg("-a").args([&target, &state]).status().unwrap().success());
        peer.set(Mood::Good);
        let gateway = asleep.wake(kept("restore-cut")).await;
        peer.answer(&gateway, &peer.message(0).await, Outcome::Accepted).await;
        gateway.event(EventName::Accepted).await;
        gateway.quiet().await;
        assert_eq!(peer.taken().len(), 1);
        gateway.stop().await;
    });
}

/// Changes an octet in the middle.
fn spoil(path: &Path) {
    let mut octets = fs::read(path).unwrap();
    let middle = octets.len() / 2;
    octets[middle] ^= 1;
    fs::write(path, octets).unwrap();
}
