//! Whole gateways whose state folders run full under load, of octets and of inodes, and are given room again: the mail server
//! is told 452, the other access point 503, and in the end everything has arrived, once, by the processes that ran all the time.
//!
//! The folders are small file systems in memory, which takes root.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::evidence::{Inbox, accepted, judge};
use crate::stage::{Client, Side, Stage, log, wait_for};
use crate::{common, setting};

/// Above what store and spool keep free.
const SIZE: &str = "size=112m,nr_inodes=3000,mode=0700";

/// A file system in memory, unmounted with its handle.
struct Memory(PathBuf);

impl Memory {
    /// None where nobody may mount.
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(at.to_owned()))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Takes all room but so many octets.
    fn fill(&self, rest: u64) {
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

    fn relieve(&self) {
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
struct Post {
    clients: [Client; 2],
    sent: u64,
}

impl Post {
    fn send(&mut self, mails: u64) {
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
fn deferred(stage: &Stage) -> Vec<Value> {
    log(&stage.dir.join("client.jsonl")).into_iter().filter(|line| line["event"] == "deferred").collect()
}

fn said(stage: &Stage, side: Side, words: &str) -> usize {
    let text = fs::read_to_string(stage.dir.join(side.name()).join("gateway.log")).unwrap_or_default();
    text.lines().filter(|line| line.contains(words)).count()
}

fn arrived(stage: &Stage) -> usize {
    Inbox::read(stage).delivered.len()
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
    let began = Instant::now();
    for side in Side::BOTH {
        stage.gateway(side).start(None);
    }
    assert!(stage.a.is_up() && stage.b.is_up());
    let clients = Side::BOTH.map(|side| stage.client(side, 3, side as u64));
    let mut post = Post { clients, sent: 0 };
    let rounds = setting("BREVBRO_POWER_FULL_ROUNDS", 1);
    for round in 0..rounds {
        // Below what is kept free; then nothing left at all; then no inode; each at either gateway and at both.
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
            // What is on its way meets the full disk too.
            std::thread::sleep(Duration::from_secs(1));
            for disk in full {
                disk.relieve();
            }
            wait_for("mails after there is room again", Duration::from_mins(2), || (arrived(&stage) > before).then_some(()));
            println!("round {round}, {what}: {} answers of no room, {:.0} s", deferred(&stage).len() - deferrals, began.elapsed().as_secs_f32());
        }
    }
    for mut client in post.clients {
        client.close();
        wait_for("a client's end", Duration::from_mins(2), || client.ended().then_some(()));
    }
    let promised: Vec<_> = accepted(&stage).into_iter().map(|(letter, ..)| letter).collect();
    assert_eq!(promised.len() as u64, post.sent);
    let until = Instant::now() + Duration::from_mins(4);
    while !Inbox::read(&stage).is_complete(promised.iter().cloned()) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_secs(3));
    assert!(stage.a.ended().is_none() && stage.b.ended().is_none(), "no restart was needed");
    stage.stop();
    let mut verdict = judge(&stage);
    // The operator is told of what lasted; what has ended is deleted some day.
    verdict.wrong.retain(|wrong| !wrong.starts_with("a mail of its own") && !wrong.contains("queue: Purge"));
    let answers = deferred(&stage);
    let codes: std::collections::BTreeMap<u64, usize> = answers.iter().fold(std::collections::BTreeMap::default(), |mut codes, line| {
        *codes.entry(line["code"].as_u64().unwrap()).or_default() += 1;
        codes
    });
    let unavailable: usize = Side::BOTH.iter().map(|side| said(&stage, *side, "an AS4 message cannot be taken in now")).sum();
    println!(
        "{} mails, answers {codes:?}, {unavailable} times 503; {} lost, {} doubled, {} repeated; {:.0} s",
        post.sent,
        verdict.lost.len(),
        verdict.doubled.len(),
        verdict.repeated,
        began.elapsed().as_secs_f32()
    );
    verdict.assert(usize::MAX);
    assert!(answers.iter().all(|line| line["code"] != 452 || line["said"].as_str().unwrap().contains("4.3.1")), "{answers:?}");
    assert!(codes[&452] > 10 && unavailable > 0);
    assert!(Side::BOTH.iter().all(|side| said(&stage, *side, "make room in state-dir") > 0), "the log says what to do");
    drop(disks);
}
