//! Ended at every named point between a mail in the outbox folder and its place in the folder of sent mails: each mail is sent
//! once, each refusal is told.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::common::dice::{Dice, seed, setting};
use crate::common::dovecot::Dovecot;
use crate::harness::{Peer, Setup, Sink, configuration, free_port, run, wait_for, world};
use crate::stage::{FAILED, OUTBOX, SENT, account, dovecot, kept, mail, mails};

/// A gateway as a process of its own.
struct Outside {
    name: String,
    mailbox: String,
    dir: TempDir,
    config: PathBuf,
    sink: Sink,
    child: Option<Child>,
}

impl Outside {
    async fn new(name: &str, dovecot: &Dovecot) -> Self {
        let (world, sink, dir, port) = (world().await, Sink::start().await, tempfile::tempdir().unwrap(), free_port());
        let mailbox = kept(format!("{}[organisation.mailbox.imap.outbox]\npoll = \"300ms\"\n", account(dovecot)));
        let text = configuration(world, &Setup { mailbox, ..Setup::new(name) }, dir.path(), sink.address, port);
        let config = dir.path().join("gateway.toml");
        std::fs::write(&config, text).unwrap();
        world.register(&format!("0203:{name}.se"), &format!("https://127.0.0.1:{port}/as4"), &world.own_point, &world.own);
        Self { name: name.to_owned(), mailbox: format!("inkorg@{name}.se"), dir, config, sink, child: None }
    }

    fn start(&mut self, abort: Option<&str>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brevbro"));
        command.args(["run", "--config"]).arg(&self.config).stdin(Stdio::null()).stdout(Stdio::null());
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        command.stderr(log);
        if let Some(point) = abort {
            command.env("BREVBRO_ABORT_AT", format!("{point}:1"));
        }
        self.child = Some(command.spawn().unwrap());
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// Waits until it has died at its point.
    async fn died(&mut self, point: &str) {
        let log = self.log();
        let child = self.child.as_mut().unwrap();
        let child = std::sync::Mutex::new(child);
        let status = wait_for(&format!("the end at {point}, see {}", log.display()), || async { child.lock().unwrap().try_wait().unwrap() }).await;
        assert_eq!(status.signal(), Some(6), "{point}: it ended with {status}: {}", std::fs::read_to_string(&log).unwrap_or_default());
        self.child = None;
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sent mails with a case each; then those that are refused, and those that a program sent.
#[test]
fn a_gateway_that_ends_at_any_named_point_sends_each_mail_once() {
    run(async {
        let points = [
            "outbox.fetched",
            "spool.sync",
            "spool.rename",
            "spool.directory",
            "accept.spooled",
            "accept.begin",
            "accept.applied",
            "accept.done",
            "outbox.taken",
            "outbox.moved",
            "outbox.gone.begin",
            "outbox.gone.applied",
        ];
        let Some(dovecot) = dovecot("ut-kill", "") else { return };
        let (mut gateway, peer) = (Outside::new("ut-kill", &dovecot).await, Peer::start("ut-kill-peer").await);
        let to = format!("inkorg@{}.sdk.{}.se", peer.name, gateway.name);
        for (number, point) in points.iter().enumerate() {
            gateway.start(Some(point));
            dovecot.put(&gateway.mailbox, OUTBOX, mail(&gateway.mailbox, &to, point));
            gateway.died(point).await;
            gateway.start(None);
            mails(&dovecot, &gateway.mailbox, SENT, number + 1).await;
            mails(&dovecot, &gateway.mailbox, OUTBOX, 0).await;
            arrived(&peer, point).await;
            gateway.kill();
        }
        // One more, so that whatever was left over has come as well.
        gateway.start(None);
        dovecot.put(&gateway.mailbox, OUTBOX, mail(&gateway.mailbox, &to, "sist"));
        mails(&dovecot, &gateway.mailbox, SENT, points.len() + 1).await;
        arrived(&peer, "sist").await;
        // An access point that is killed sends its message once more, with the same id, which is none of the mail's affair.
        let mut expected: Vec<_> = points.iter().chain(&["sist"]).map(ToString::to_string).collect();
        expected.sort();
        assert_eq!(messages(&peer).await.into_values().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>(), expected);
        assert_eq!(messages(&peer).await.len(), expected.len(), "{:?}", messages(&peer).await);
        assert_eq!(gateway.sink.letters().len(), 0, "nobody is told of anything");
    });
}

#[test]
fn a_refusal_is_told_and_filed_wherever_the_gateway_ends() {
    run(async {
        let Some(dovecot) = dovecot("ut-kill-no", "") else { return };
        let mut gateway = Outside::new("ut-kill-no", &dovecot).await;
        let points = ["outbox.told", "outbox.refused.begin", "outbox.refused.applied", "outbox.moved"];
        for (number, point) in points.iter().enumerate() {
            gateway.start(Some(point));
            dovecot.put(&gateway.mailbox, OUTBOX, mail(&gateway.mailbox, "inkorg@okand.se.sdk.ut-kill-no.se", point));
            gateway.died(point).await;
            gateway.start(None);
            mails(&dovecot, &gateway.mailbox, FAILED, number + 1).await;
            gateway.kill();
            let about = format!("Subject: Inte levererat: {point}");
            let notices: Vec<_> = gateway.sink.letters().into_iter().filter(|letter| letter.line(&about).is_some()).collect();
            assert!((1..=2).contains(&notices.len()), "{point}: {} notices", notices.len());
            assert!(notices.iter().all(|notice| notice.line("Message-ID:") == notices[0].line("Message-ID:")), "{point}");
        }
    });
}

#[test]
fn a_mail_that_was_taken_is_recognised_when_the_folder_was_made_anew() {
    run(async {
        let Some(dovecot) = dovecot("ut-anew", "") else { return };
        let (mut gateway, peer) = (Outside::new("ut-anew", &dovecot).await, Peer::start("ut-anew-peer").await);
        let (user, to) = (gateway.mailbox.clone(), format!("inkorg@{}.sdk.{}.se", peer.name, gateway.name));
        gateway.start(Some("outbox.taken"));
        dovecot.put(&user, OUTBOX, mail(&user, &to, "ett"));
        gateway.died("outbox.taken").await;
        // The same mail, with the time that it came: once as it was, and once more beside it.
        let file = dovecot.files(&user, OUTBOX).remove(0);
        let aside = gateway.dir.path().join("aside");
        copy(&file, &aside);
        dovecot.doveadm(&["mailbox", "delete", "-u", &user, OUTBOX]);
        // UIDVALIDITY is the second at which a folder is made.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        dovecot.make_folder(&user, OUTBOX);
        for name in ["1.a.test", "2.b.test"] {
            copy(&aside, &dovecot.maildir(&user, OUTBOX).join("new").join(name));
        }
        gateway.start(Some("outbox.recognised.applied"));
        gateway.died("outbox.recognised.applied").await;
        gateway.start(None);
        mails(&dovecot, &user, SENT, 2).await;
        mails(&dovecot, &user, OUTBOX, 0).await;
        // The one that was taken is sent once, the other one is another mail.
        dovecot.put(&user, OUTBOX, mail(&user, &to, "sist"));
        mails(&dovecot, &user, SENT, 3).await;
        arrived(&peer, "sist").await;
        wait_for("three messages", || async { (messages(&peer).await.len() == 3).then_some(()) }).await;
    });
}

/// `BREVBRO_CRASH_KILLS` makes it longer, `BREVBRO_CRASH_SEED` rolls the dice of another run again.
#[test]
fn a_gateway_killed_at_any_moment_takes_each_mail_of_its_outbox_once() {
    run(async {
        let Some(dovecot) = dovecot("ut-dice", "") else { return };
        let (kills, seed) = (setting("BREVBRO_CRASH_KILLS").unwrap_or(12), seed());
        println!("{kills} kills, BREVBRO_CRASH_SEED={seed}");
        let (mut dice, began) = (Dice(seed), std::time::Instant::now());
        let (mut gateway, peer) = (Outside::new("ut-dice", &dovecot).await, Peer::start("ut-dice-peer").await);
        let (user, to) = (gateway.mailbox.clone(), format!("inkorg@{}.sdk.{}.se", peer.name, gateway.name));
        let (mut sent, mut refused) = (BTreeSet::new(), BTreeSet::new());
        gateway.start(None);
        for kill in 0..kills {
            for turn in 0..=dice.roll(3) {
                let label = format!("brev-{kill}-{turn}");
                if dice.roll(5) == 0 {
                    dovecot.put(&user, OUTBOX, mail(&user, "inkorg@okand.se.sdk.ut-dice.se", &label));
                    refused.insert(label);
                } else {
                    dovecot.put(&user, OUTBOX, mail(&user, &to, &label));
                    sent.insert(label);
                }
            }
            // Some kills fall into the start, some into the work of later rounds.
            tokio::time::sleep(Duration::from_millis(dice.roll(2_500))).await;
            assert!(gateway.child.as_mut().unwrap().try_wait().unwrap().is_none(), "it ended by itself, see {}", gateway.log().display());
            gateway.kill();
            gateway.start(None);
        }
        mails(&dovecot, &user, OUTBOX, 0).await;
        mails(&dovecot, &user, SENT, sent.len()).await;
        mails(&dovecot, &user, FAILED, refused.len()).await;
        let labels = async || messages(&peer).await.into_values().collect::<Vec<_>>();
        wait_for("all messages", || async { (labels().await.len() >= sent.len()).then_some(()) }).await;
        let mut arrived = labels().await;
        arrived.sort();
        assert!(arrived.iter().eq(&sent), "each once, in no order: {arrived:?} {sent:?}");
        let mut again = 0;
        for label in &refused {
            let about = format!("Subject: Inte levererat: {label}");
            let told = || gateway.sink.letters().into_iter().filter(|letter| letter.line(&about).is_some()).collect::<Vec<_>>();
            wait_for(&about, || async { (!told().is_empty()).then_some(()) }).await;
            let ids: BTreeSet<_> = told().iter().map(|notice| notice.line("Message-ID:").map(str::to_owned)).collect();
            assert_eq!(ids.len(), 1, "{label} is told by one notice");
            again += told().len() - 1;
        }
        assert!(again as u64 <= kills, "{again} notices came again");
        println!("{} mails sent, {} refused, {again} notices again; {:.0} s", sent.len(), refused.len(), began.elapsed().as_secs_f32());
    });
}

/// What has arrived at the other side: messages by their ids, with their labels.
async fn messages(peer: &Peer) -> BTreeMap<String, String> {
    let mut messages = BTreeMap::new();
    for number in 0..peer.taken().len() {
        let message = peer.message(number).await;
        messages.insert(message.message_id.to_string(), message.label.unwrap().0);
    }
    messages
}

async fn arrived(peer: &Peer, label: &str) {
    wait_for(label, || async { messages(peer).await.values().any(|own| own == label).then_some(()) }).await;
}

/// A copy with owner and times.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("--preserve=all").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}
