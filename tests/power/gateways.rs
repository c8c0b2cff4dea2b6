//! Whole gateways whose state folders run full under load, of octets and of inodes, and are given room again: the mail server
//! is told 452, the other access point 503, and in the end everything has arrived, once, by the processes that ran all the time.
//!
//! The folders are small file systems in memory, which takes root.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common;
use crate::common::dice::setting;
use crate::evidence::{Inbox, Verdict, accepted, judge};
use crate::stage::{Client, Side, Stage, log, wait_for};

/// Above what is kept free, [`RESERVE`].
const SIZE: &str = "size=112m,nr_inodes=3000,mode=0700";
pub const RESERVE: &str = "\n[store]\nreserve = \"64 MiB\"\n";

/// A file system in memory, unmounted with its handle.
pub struct Memory(PathBuf);

impl Memory {
    /// None where nobody may mount.
    pub fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(at.to_owned()))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Takes all room but so many octets.
    pub fn fill(&self, rest: u64) {
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).unwrap();
        while let Some(more) = self.free().checked_sub(rest).filter(|more| *more > 0) {
            // Others take room meanwhile.
            if ballast.write_all(&vec![1; more.min(1 << 20) as usize]).is_err() {
                break;
            }
        }
    }

    /// Takes all inodes.
    fn crowd(&self) {
        fs::create_dir_all(self.0.join("crowd")).unwrap();
        let mut number = 0;
        while File::create(self.0.join("crowd").join(number.to_string())).is_ok() {
            number += 1;
        }
    }

    pub fn relieve(&self) {
        let _ = fs::remove_file(self.ballast());
        let _ = fs::remove_dir_all(self.0.join("crowd"));
    }

    fn free(&self) -> u64 {
        let numbers = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(&self.0).output().unwrap();
        let numbers = String::from_utf8(numbers.stdout).unwrap();
        numbers.split_whitespace().map(|number| number.parse::<u64>().unwrap()).product()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Mails in both directions.
pub struct Post {
    clients: [Client; 2],
    pub sent: u64,
}

impl Post {
    pub fn of(stage: &Stage) -> Self {
        Self { clients: Side::BOTH.map(|side| stage.client(side, 3, side as u64)), sent: 0 }
    }

    pub fn send(&mut self, mails: u64) {
        for _ in 0..mails {
            for side in Side::BOTH {
                let number = self.sent as usize;
                self.sent += 1;
                let token = format!("crash-{number:04}");
                let order = json!({ "token": token, "from": side.mailbox(number % 3), "to": [side.towards(number % 2)], "files": number % 2 });
                self.clients[side as usize].send(&order);
            }
        }
    }
}

/// Lines of the clients' log that say an answer.
pub fn deferred(stage: &Stage) -> Vec<Value> {
    log(&stage.dir.join("client.jsonl")).into_iter().filter(|line| line["event"] == "deferred").collect()
}

pub fn said(stage: &Stage, side: Side, words: &str) -> usize {
    let text = fs::read_to_string(stage.dir.join(side.name()).join("gateway.log")).unwrap_or_default();
    text.lines().filter(|line| line.contains(words)).count()
}

/// Mails to this operator with these words in their subject; one that comes again with the same Message-ID is the same.
pub fn alarms(stage: &Stage, side: Side, words: &str) -> usize {
    let told = log(&stage.dir.join("sink.jsonl"));
    let is = |line: &&Value| line["server"] == side.name() && line["subject"].as_str().is_some_and(|subject| subject.contains(words));
    told.iter().filter(is).map(|line| line["id"].as_str().unwrap()).collect::<BTreeSet<_>>().len()
}

pub fn arrived(stage: &Stage) -> usize {
    Inbox::read(stage).delivered.len()
}

/// More of a configuration.
pub fn append(config: &Path, text: &str) {
    File::options().append(true).open(config).unwrap().write_all(text.as_bytes()).unwrap();
}

/// How often clients were given each code.
fn codes(stage: &Stage) -> BTreeMap<u64, usize> {
    deferred(stage).iter().fold(BTreeMap::new(), |mut codes, line| {
        *codes.entry(line["code"].as_u64().unwrap()).or_default() += 1;
        codes
    })
}

/// Prints what came of it, and asserts that the other access point was put off and nothing is lost or doubled; how many mails were
/// put off, by the answers' codes.
pub fn assert_refused_and_kept(stage: &Stage, sent: u64, verdict: &Verdict, began: Instant) -> BTreeMap<u64, usize> {
    let codes = codes(stage);
    let unavailable: usize = Side::BOTH.iter().map(|side| said(stage, *side, "an AS4 message cannot be taken in now")).sum();
    println!("{sent} mails, answers {codes:?}, {unavailable} times 503; {verdict}; {:.0} s", began.elapsed().as_secs_f32());
    verdict.assert(usize::MAX);
    assert!(unavailable > 0, "the other access point is put off too");
    codes
}

/// Waits until all that was sent has come to its end, stops the gateways, which ran all the time, and judges.
pub fn ended(stage: &mut Stage, post: Post) -> Verdict {
    let sent = post.sent;
    for mut client in post.clients {
        client.close();
        wait_for("a client's end", Duration::from_mins(2), || client.ended().then_some(()));
    }
    let promised: Vec<_> = accepted(stage).into_iter().map(|(letter, ..)| letter).collect();
    assert_eq!(promised.len() as u64, sent);
    let until = Instant::now() + Duration::from_mins(4);
    while !Inbox::read(stage).is_complete(promised.iter().cloned()) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_secs(3));
    assert!(stage.a.ended().is_none() && stage.b.ended().is_none(), "no restart was needed");
    stage.stop();
    let mut verdict = judge(stage);
    // The operator is told of what lasted; what has ended is deleted some day.
    verdict.wrong.retain(|wrong| !wrong.starts_with("a mail of its own") && !wrong.contains("queue: Purge"));
    verdict
}

#[test]
fn an_end_while_the_operator_is_told_of_the_disk_costs_no_mail() {
    if !common::has("python3") {
        return;
    }
    let mut stage = Stage::set("power-told");
    let Some(disk) = Memory::mount(&stage.a.state) else {
        common::skip("nobody may mount a file system here; run it as root");
        return;
    };
    append(&stage.a.config, RESERVE);
    disk.fill(40 << 20);
    for point in ["store.watch.begin", "store.watch.applied", "store.watch.done"] {
        stage.a.start(Some(&format!("{point}:1")));
        let status = wait_for("its end", Duration::from_mins(1), || stage.a.ended());
        assert_eq!(status.signal(), Some(6), "{point}: it ended with {status}");
    }
    stage.a.start(None);
    assert!(stage.a.is_up());
    wait_for("the mail to the operator", Duration::from_mins(1), || (alarms(&stage, Side::A, "Diskutrymmet") > 0).then_some(()));
    stage.a.stop();
}

#[test]
fn gateways_on_disks_that_run_full_lose_nothing_and_go_on_by_themselves() {
    if !common::has("python3") {
        return;
    }
    let mut stage = Stage::set("power-gateways");
    let disks: Vec<Memory> = Side::BOTH.iter().filter_map(|side| Memory::mount(&stage.gateway(*side).state)).collect();
    let [a, b] = disks.as_slice() else {
        common::skip("nobody may mount a file system here; run it as root");
        return;
    };
    for side in Side::BOTH {
        append(&stage.gateway(side).config, RESERVE);
    }
    let began = Instant::now();
    for side in Side::BOTH {
        stage.gateway(side).start(None);
    }
    assert!(stage.a.is_up() && stage.b.is_up());
    let mut post = Post::of(&stage);
    let rounds = setting("BREVBRO_POWER_FULL_ROUNDS").unwrap_or(1);
    for round in 0..rounds {
        // Below what is kept free, so that only what was begun goes on; then nothing left at all; then no inode; each at either gateway and at both.
        for (what, full) in [("low", &[a][..]), ("full", &[b]), ("no inodes", &[a]), ("low", &[b]), ("full", &[a, b]), ("no inodes", &[b])] {
            let (deferrals, before) = (deferred(&stage).len(), arrived(&stage));
            for disk in full {
                match what {
                    "low" => disk.fill(40 << 20),
                    "full" => disk.fill(0),
                    _ => disk.crowd(),
                }
            }
            post.send(4);
            wait_for("an answer that there is no room", Duration::from_mins(1), || (deferred(&stage).len() > deferrals + 4).then_some(()));
            if what == "low" && round == 0 {
                // It goes out although there is too little room for anything new.
                let told = if std::ptr::eq(full[0], a) { Side::A } else { Side::B };
                wait_for("the mail to the operator", Duration::from_mins(1), || (alarms(&stage, told, "Diskutrymmet") == 1).then_some(()));
            }
            // What is on its way meets the full disk too.
            std::thread::sleep(Duration::from_secs(1));
            for disk in full {
                disk.relieve();
            }
            wait_for("mails after there is room again", Duration::from_mins(2), || (arrived(&stage) > before).then_some(()));
            println!("round {round}, {what}: {} answers of no room, {:.0} s", deferred(&stage).len() - deferrals, began.elapsed().as_secs_f32());
        }
    }
    let sent = post.sent;
    let verdict = ended(&mut stage, post);
    let answers = deferred(&stage);
    let codes = assert_refused_and_kept(&stage, sent, &verdict, began);
    assert_eq!(Side::BOTH.map(|side| alarms(&stage, side, "Diskutrymmet")), [1, 1], "it was one trouble all the time");
    assert!(answers.iter().all(|line| line["code"] != 452 || line["said"].as_str().unwrap().contains("4.3.1")), "{answers:?}");
    assert!(codes[&452] > 10);
    assert!(Side::BOTH.iter().all(|side| said(&stage, *side, "make room in state-dir") > 0), "the log says what to do");
    drop(disks);
}
