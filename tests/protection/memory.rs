//! A message that has passed is not in the memory of the gateways that it passed.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use crate::common::needles::{Needle, UNWIPED, in_memory, may_look};
use crate::evidence::{Inbox, accepted};
use crate::process::Guarded;
use crate::stage::{Side, Stage, wait_for};

/// What the secret is called, in subject, text and files.
const SECRET: &str = "Sekretess4711OmEnskildaFraganFranDonatorBarnet";
/// How long it may be there after the last step of all. Threads that block end when they have had nothing to do for ten seconds,
/// connections to mail servers when they have been kept for a while.
const SOON: Duration = Duration::from_mins(1);
/// Messages in each direction.
const EACH: usize = 4;

#[test]
fn a_message_that_was_delivered_is_soon_in_no_memory() {
    if !crate::common::has("python3") || !may_look() {
        return;
    }
    let stage = Stage::set("protection-memory");
    // All pass both; one of them is as it is, the other overwrites nothing.
    let (gateway, unwiped) = (Guarded::start(&stage.a, &stage.dir, &[]), Guarded::start(&stage.b, &stage.dir, &[UNWIPED]));
    let needles = [Needle::text("secret", SECRET)];
    let mut clients = [stage.client(Side::A, 2, 1), stage.client(Side::B, 2, 1)];
    for number in 0..EACH {
        for (side, client) in Side::BOTH.into_iter().zip(&mut clients) {
            let (from, to) = (side.mailbox(number % 2), side.towards(number % 2));
            let token = format!("crash-{}-{number:04}", side.name());
            client.send(&serde_json::json!({ "token": token, "from": from, "to": [to], "files": 2, "secret": SECRET }));
        }
    }
    clients.iter_mut().for_each(crate::stage::Client::close);
    wait_for("all messages", Duration::from_mins(3), || {
        let promised: Vec<_> = accepted(&stage).into_iter().map(|(letter, ..)| letter).collect();
        (promised.len() == 2 * EACH && Inbox::read(&stage).is_complete(promised)).then_some(())
    });
    let done = Instant::now();
    assert_eq!(in_memory(unwiped.id(), &needles), ["secret"], "the look finds what is there");
    while !in_memory(gateway.id(), &needles).is_empty() {
        assert!(done.elapsed() < SOON, "{:#?}", where_in(gateway.id()));
        std::thread::sleep(Duration::from_millis(500));
    }
    println!("nothing was left after {:?}", done.elapsed());
}

/// In which regions it is, and what stands around it.
fn where_in(process: u32) -> String {
    use std::os::unix::fs::FileExt;
    let (maps, memory) = (fs::read_to_string(format!("/proc/{process}/maps")).unwrap(), fs::File::open(format!("/proc/{process}/mem")).unwrap());
    let mut told = String::new();
    for line in maps.lines().filter(|line| !line.contains("[v")) {
        let bound = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').map(|(from, to)| (bound(from), bound(to))).unwrap();
        let mut octets = vec![0; usize::try_from(to - from).unwrap()];
        let read = memory.read_at(&mut octets, from).unwrap_or(0);
        for form in Needle::text("secret", SECRET).forms {
            for at in memchr::memmem::find_iter(&octets[..read], &form) {
                let around = &octets[at.saturating_sub(100)..read.min(at + form.len() + 60)];
                writeln!(told, "{line} at {at:#x}: {:?}", String::from_utf8_lossy(around)).unwrap();
            }
        }
    }
    told
}
