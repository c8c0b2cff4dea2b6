//! Whole gateways whose disks fail under load, with I/O errors and as if they had become read-only, and are well again: the mail
//! server is told 451, the other access point 503, a mail in an outbox folder stays there, and in the end everything has arrived,
//! once, by the processes that ran all the time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::common;
use crate::common::dovecot::{Dovecot, DovecotSetup};
use crate::evidence::{Inbox, left};
use crate::full::{Control, FAULTS};
use crate::gateways::{Memory, Post, RESERVE, alarms, append, arrived, assert_refused_and_kept, deferred, ended, said};
use crate::stage::{Side, Stage, log, wait_for};
use crate::tape;

/// Lets the disk of a gateway fail on demand.
fn interpose(stage: &mut Stage, side: Side) -> Control {
    let control = stage.dir.join(format!("control-{}", side.name()));
    let gateway = stage.gateway(side);
    fs::create_dir_all(&gateway.state).unwrap();
    fs::set_permissions(&gateway.state, fs::Permissions::from_mode(0o700)).unwrap();
    let state = gateway.state.canonicalize().unwrap();
    let library = tape::library().unwrap().to_owned();
    gateway.environment = vec![("LD_PRELOAD", library), ("POWER_ROOT", state), ("POWER_CONTROL", control.clone())];
    Control::open(&control)
}

#[test]
fn gateways_on_disks_that_fail_lose_nothing_and_go_on_by_themselves() {
    if !common::has("python3") || tape::library().is_none() {
        return;
    }
    let mut stage = Stage::set("power-failing");
    let mut controls = Side::BOTH.map(|side| interpose(&mut stage, side));
    let began = Instant::now();
    for side in Side::BOTH {
        stage.gateway(side).start(None);
    }
    assert!(stage.a.is_up() && stage.b.is_up());
    let mut post = Post::of(&stage);
    let fault = |name| FAULTS.iter().find(|fault| fault.name == name).unwrap();
    for (round, (name, sides)) in
        [("broken", &[Side::A][..]), ("read-only", &[Side::B]), ("read-only", &Side::BOTH), ("broken", &Side::BOTH)].into_iter().enumerate()
    {
        let (deferrals, before) = (deferred(&stage).len(), arrived(&stage));
        for side in sides {
            controls[*side as usize].fail(fault(name), 0);
        }
        post.send(4);
        wait_for("an answer that the store does not work", Duration::from_mins(1), || (deferred(&stage).len() > deferrals + 2).then_some(()));
        // What is on its way meets it too; and the first time of each lasts until it is looked whether all is well.
        std::thread::sleep(Duration::from_secs(if round < 2 { 7 } else { 1 }));
        for side in sides {
            assert!(controls[*side as usize].hits() > 0);
            controls[*side as usize].heal(fault(name));
        }
        wait_for("mails after the disk is well again", Duration::from_mins(2), || (arrived(&stage) > before).then_some(()));
        if round < 2 {
            wait_for("the mail to the operator", Duration::from_mins(1), || (alarms(&stage, sides[0], "kunde inte sparas") == 1).then_some(()));
        }
        println!("{name}: {} answers of no store, {:.0} s", deferred(&stage).len() - deferrals, began.elapsed().as_secs_f32());
    }
    let sent = post.sent;
    let mut verdict = ended(&mut stage, post);
    // What could not be written could not be removed either.
    verdict.wrong.retain(|wrong| !(wrong.contains("has a file left") && wrong.contains(".tmp")));
    let codes = assert_refused_and_kept(&stage, sent, &verdict, began);
    assert!(codes.keys().all(|code| *code == 451) && codes[&451] > 10);
    assert_eq!(Side::BOTH.map(|side| alarms(&stage, side, "kunde inte sparas")), [1, 1], "it was one trouble all the time");
    assert!(Side::BOTH.iter().all(|side| said(&stage, *side, "the store works again") > 0));
    for side in Side::BOTH {
        let gateway = stage.gateway(side);
        gateway.start(None);
        assert!(gateway.is_up());
        gateway.stop();
        assert_eq!(left(&gateway.state), [""; 0], "the next start removes it");
    }
}

const OUTBOX: &str = "SDK att skicka";
const SENT: &str = "SDK skickat";

/// Gives the last mailbox of side A an outbox folder in this Dovecot; its address.
fn with_outbox(stage: &mut Stage, dovecot: &Dovecot) -> String {
    let dir = stage.dir.clone();
    let (password, ca) = (dir.join("imap.password"), dir.join("imap-ca.pem"));
    fs::write(&password, "password\n").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&ca, dovecot.ca.certificate().to_pem()).unwrap();
    append(
        &stage.a.config,
        &format!(
            "[organisation.mailbox.imap]\nhost = \"localhost\"\nport = {}\nca = [\"{}\"]\npassword-file = \"{}\"\ntimeout = \"20s\"\n\
             [organisation.mailbox.imap.outbox]\npoll = \"300ms\"\n",
            dovecot.imaps.port(),
            ca.display(),
            password.display()
        ),
    );
    Side::A.mailbox(crate::stage::LONG)
}

#[test]
fn a_mail_in_an_outbox_folder_stays_there_while_the_disk_is_full_or_fails() {
    if !common::has("python3") || tape::library().is_none() {
        return;
    }
    let mailbox = Side::A.mailbox(crate::stage::LONG);
    let Some(dovecot) = Dovecot::start(&DovecotSetup::of(&[&mailbox])) else { return };
    let mut stage = Stage::set("power-outbox");
    let disk = Memory::mount(&stage.a.state);
    assert_eq!(with_outbox(&mut stage, &dovecot), mailbox);
    append(&stage.a.config, RESERVE);
    dovecot.make_folder(&mailbox, OUTBOX);
    let mut control = interpose(&mut stage, Side::A);
    for side in Side::BOTH {
        stage.gateway(side).start(None);
    }
    assert!(stage.a.is_up() && stage.b.is_up());
    let to = Side::A.towards(0);
    let fault = |name| FAULTS.iter().find(|fault| fault.name == name).unwrap();
    for (number, what) in ["too little room", "no room", "broken", "read-only"].into_iter().enumerate() {
        match (what, &disk) {
            ("too little room", Some(disk)) => disk.fill(40 << 20),
            ("no room", Some(disk)) => disk.fill(0),
            // Nobody may mount a file system here.
            ("too little room", None) => continue,
            ("no room", None) => control.fail(fault("full"), 0),
            _ => control.fail(fault(what), 0),
        }
        let before = dovecot.mails(&mailbox, SENT).len();
        let waiting = said(&stage, Side::A, "outbox folder must wait");
        let token = format!("crash-{number:04}");
        dovecot.put(&mailbox, OUTBOX, mail(&mailbox, &to, &token));
        wait_for("that the mail must wait", Duration::from_mins(1), || (said(&stage, Side::A, "outbox folder must wait") > waiting).then_some(()));
        assert_eq!((dovecot.mails(&mailbox, OUTBOX).len(), dovecot.mails(&mailbox, SENT).len()), (1, before), "{what}");
        if let Some(disk) = &disk {
            disk.relieve();
        }
        control.heal(fault("full"));
        wait_for("its delivery", Duration::from_mins(2), || {
            Inbox::read(&stage).delivered.contains_key(&(token.clone(), "inkorg0".into())).then_some(())
        });
        wait_for("its move", Duration::from_mins(1), || dovecot.mails(&mailbox, OUTBOX).is_empty().then_some(()));
    }
    assert!(stage.a.ended().is_none(), "no restart was needed");
    stage.stop();
    let inbox = Inbox::read(&stage);
    assert!(inbox.delivered.values().all(|copies| copies.len() == 1), "{:?}", inbox.delivered);
    assert_eq!(dovecot.mails(&mailbox, SENT).len(), inbox.delivered.len());
    assert!(log(&stage.dir.join("sink.jsonl")).iter().all(|line| line["action"] != "failed"), "nobody is told of a failure");
}

fn mail(from: &str, to: &str, subject: &str) -> String {
    format!(
        "From: <{from}>\r\nTo: {to}\r\nSubject: {subject}\r\nDate: Mon, 05 Jan 2026 10:00:00 +0100\r\nMessage-ID: <{subject}@example.se>\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHej\r\n"
    )
}
