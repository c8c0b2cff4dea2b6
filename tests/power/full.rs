//! The disk is full or fails, at every single operation: what was acknowledged is there, nothing is half there, and when the
//! disk is well again the same process goes on.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use brevbro::port::{Job, JobId, Lease, Op, Queue, Step, Store, StoreError};
use brevbro::store::{SledStore, Spool, SpoolOptions};
use uuid::Uuid;

use crate::block;
use crate::common::dice::{Dice, setting};
use crate::disk::{Disk, build, real};
use crate::tape::{self, Act};
use crate::work::{Found, Strand, check, moment, options};

/// What fails, as `interpose.c` has it.
const ROOM: u32 = 1;
const SYNCS: u32 = 2;
const REST: u32 = 4;

/// A way in which a disk fails.
pub struct Fault {
    pub name: &'static str,
    /// The error's number, the same on all of Linux but Alpha, MIPS and SPARC.
    errno: i32,
    what: u32,
    /// The first write that fails writes half.
    half: bool,
}

pub const FAULTS: [Fault; 6] = [
    Fault { name: "full", errno: 28, what: ROOM, half: false },
    Fault { name: "full in the middle of a write", errno: 28, what: ROOM, half: true },
    Fault { name: "full when it syncs", errno: 28, what: ROOM | SYNCS, half: false },
    Fault { name: "quota", errno: 122, what: ROOM, half: true },
    Fault { name: "broken", errno: 5, what: ROOM | SYNCS | REST, half: true },
    Fault { name: "read-only", errno: 30, what: ROOM | REST, half: false },
];

/// The file by which the interposed library is told what fails.
pub struct Control {
    file: File,
    counts: PathBuf,
    epoch: u64,
}

impl Control {
    pub fn open(path: &Path) -> Self {
        let file = File::options().write(true).create(true).truncate(false).open(path).unwrap();
        Self { file, counts: path.with_added_extension("out"), epoch: 0 }
    }

    fn tell(&mut self, from: u64, upto: u64, fault: &Fault) {
        self.epoch += 1;
        let text = format!("{} {from} {upto} {} {} {}", self.epoch, fault.errno, fault.what, u8::from(fault.half));
        // Of one length, so that no reader finds half of it.
        self.file.write_all_at(format!("{text:<100}").as_bytes(), 0).unwrap();
    }

    /// From its n-th operation on the disk fails.
    pub fn fail(&mut self, fault: &Fault, n: u64) {
        self.tell(n, 1 << 60, fault);
    }

    /// It is well again.
    pub fn heal(&mut self, fault: &Fault) {
        self.tell(0, 0, fault);
    }

    /// How many operations failed.
    pub fn hits(&self) -> u64 {
        let counts = fs::read(&self.counts).unwrap();
        u64::from_ne_bytes(counts[8..16].try_into().unwrap())
    }
}

const ORDERS: &str = "BREVBRO_POWER_FAULTS";
const WORKERS: usize = 2;

/// One of the processes below, in a folder of its own, with its tape.
fn command(test: &str, root: &Path, fault: usize, seed: u64, stride: u64) -> Command {
    let dir = root.join("state");
    fs::create_dir_all(&dir).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]).stdin(Stdio::null());
    command.env(ORDERS, format!("{} {fault} {seed} {stride}", dir.display()));
    command.env("POWER_ACKS", root.join("acks")).env("POWER_CONTROL", root.join("control"));
    tape::interpose(&mut command, &dir, &root.join("tape"));
    command
}

fn orders() -> Option<(PathBuf, &'static Fault, u64, u64, Control)> {
    let orders = std::env::var(ORDERS).ok()?;
    let words: Vec<&str> = orders.split(' ').collect();
    let control = Control::open(Path::new(&std::env::var("POWER_CONTROL").unwrap()));
    Some((words[0].into(), &FAULTS[words[1].parse::<usize>().unwrap()], words[2].parse().unwrap(), words[3].parse().unwrap(), control))
}

/// Whatever of unfinished files lies in the spool.
fn unfinished(dir: &Path) -> Vec<PathBuf> {
    real(dir).into_keys().filter(|path| path.extension().is_some_and(|ending| ending == "tmp")).collect()
}

fn until_it_works(store: &SledStore) {
    let until = Instant::now() + Duration::from_secs(30);
    while !block(store.health()).working {
        assert!(Instant::now() < until, "the disk is well again, and the store is not");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
#[ignore = "a process of the test of failing disks: it does as it was told"]
fn process_whose_disk_fails() {
    let Some((dir, fault, seed, stride, mut control)) = orders() else { return };
    let mut acks = File::options().append(true).create(true).open(std::env::var("POWER_ACKS").unwrap()).unwrap();
    let spool = Spool::open(SpoolOptions { threads: 2, ..SpoolOptions::new(dir.join("spool")) }).unwrap();
    let store = SledStore::open(options(&dir, seed)).unwrap();
    let held = Job::new(JobId(Uuid::from_u128(7)), Queue::Deliver, brevbro::ident::RecordId(Uuid::from_u128(7)), moment());
    block(store.apply(Step::new().op(Op::Enqueue(held)))).unwrap();
    let mut lease: Lease = block(store.claim(Queue::Deliver, Duration::from_mins(10), 1)).unwrap().remove(0);
    let mut strands: Vec<Strand> = (0..WORKERS).map(|strand| Strand::after(seed, strand, 0)).collect();
    let mut answers: BTreeMap<&str, u64> = BTreeMap::new();
    let mut n = 0;
    loop {
        control.fail(fault, n);
        let mut failed = false;
        'bout: for _ in 0..3 {
            for (number, strand) in strands.iter_mut().enumerate() {
                if let Err(error) = strand.work(&store, &spool) {
                    *answers.entry(if matches!(error, StoreError::Full) { "full" } else { "broken" }).or_default() += 1;
                    failed = true;
                    break 'bout;
                }
                acks.write_all(format!("{number} {}\n", strand.done).as_bytes()).unwrap();
            }
        }
        let hits = control.hits();
        control.heal(fault);
        assert!(hits > 0 || !failed, "something failed, and the disk did not");
        until_it_works(&store);
        let acknowledged: Vec<u64> = strands.iter().map(|strand| strand.done).collect();
        let found = Found::read(&store, &spool, seed, &acknowledged).judge(seed, &acknowledged, false);
        let found = found.unwrap_or_else(|why| panic!("{}, from operation {n} on: {why}", fault.name));
        for (strand, done) in strands.iter_mut().zip(found) {
            *strand = Strand::after(seed, strand.number(), done);
            strand.tidy(&spool).unwrap();
            acks.write_all(format!("{} {done}\n", strand.number()).as_bytes()).unwrap();
            strand.work(&store, &spool).unwrap();
            acks.write_all(format!("{} {}\n", strand.number(), strand.done).as_bytes()).unwrap();
        }
        // What cannot be removed either is removed at the next start.
        if fault.what & REST == 0 {
            assert_eq!(unfinished(&dir.join("spool")), Vec::<PathBuf>::new(), "{}, from operation {n} on", fault.name);
        }
        lease = block(store.renew(lease, Duration::from_mins(10))).unwrap();
        if hits == 0 {
            break;
        }
        n += stride;
    }
    assert!(!answers.is_empty());
    println!("{}: {n} operations, answers: {answers:?}", fault.name);
}

#[test]
fn a_disk_that_fails_at_any_operation_loses_nothing_and_the_process_goes_on() {
    if tape::library().is_none() {
        return;
    }
    let stride = setting("BREVBRO_POWER_STRIDE").unwrap_or(3);
    let cuts = setting("BREVBRO_POWER_FAULT_CUTS").unwrap_or(10);
    for (number, fault) in FAULTS.iter().enumerate() {
        let scratch = crate::common::scratch("power-full");
        let root = scratch.path().canonicalize().unwrap();
        let seed = number as u64 + setting("BREVBRO_POWER_SEED").unwrap_or(1);
        let before = {
            fs::create_dir_all(root.join("state")).unwrap();
            Disk::load(&root.join("state"))
        };
        let ended = to_its_end(command("full::process_whose_disk_fails", &root, number, seed, stride), &root);
        let said = fs::read_to_string(root.join("said")).unwrap();
        assert!(ended.is_some_and(|status| status.success()), "{}: {said}", fault.name);
        said.lines().filter(|line| line.contains("answers")).for_each(|line| println!("{line}"));
        after_a_cut(&root, before, seed, cuts, fault.name);
    }
}

/// Runs the process to its end. `None` when it acknowledged nothing for a minute: then it was killed.
fn to_its_end(mut command: Command, root: &Path) -> Option<ExitStatus> {
    let said = File::create(root.join("said")).unwrap();
    let mut process = command.stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap();
    let octets = || fs::metadata(root.join("acks")).map_or(0, |acks| acks.len());
    let (mut seen, mut since) = (octets(), Instant::now());
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return Some(status);
        }
        if octets() != seen {
            (seen, since) = (octets(), Instant::now());
        }
        if since.elapsed() > Duration::from_mins(1) {
            process.kill().unwrap();
            process.wait().unwrap();
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The power is cut while the disk fails, or after it: a sync that failed once is never believed.
fn after_a_cut(root: &Path, mut disk: Disk, seed: u64, cuts: u64, name: &str) {
    let acts = tape::read(&root.join("tape"));
    let mut dice = Dice(seed);
    let mut places: Vec<usize> = (0..cuts).map(|_| dice.roll(acts.len() as u64 + 1) as usize).collect();
    places.sort_unstable();
    let (mut at, mut acknowledged) = (0, vec![0; WORKERS]);
    for place in places {
        for act in &acts[at..place] {
            disk.act(act);
            if let Act::Ack(line) = act {
                let (strand, step) = line.split_once(' ').unwrap();
                acknowledged[strand.parse::<usize>().unwrap()] = step.parse().unwrap();
            }
        }
        at = place;
        let dir = root.join("cut");
        let _ = fs::remove_dir_all(&dir);
        build(&dir, &disk.cut(&mut dice));
        let rebuild = dice.roll(2) == 0;
        check(&dir, seed, &acknowledged, false, rebuild).unwrap_or_else(|why| panic!("{name}, cut at {place} of {}: {why}", acts.len()));
    }
}

#[test]
#[ignore = "a process of the test of failing disks: it does as it was told"]
fn process_that_starts_on_a_disk_that_fails() {
    let Some((root, fault, seed, stride, mut control)) = orders() else { return };
    let mut n = 0;
    loop {
        let dir = root.join(n.to_string());
        fs::create_dir(&dir).unwrap();
        let open = |dir: &Path| -> Result<(Spool, SledStore), StoreError> {
            let store = SledStore::open(options(dir, seed))?;
            Ok((Spool::open(SpoolOptions { threads: 1, ..SpoolOptions::new(dir.join("spool")) })?, store))
        };
        control.fail(fault, n);
        let opened = open(&dir);
        let hits = control.hits();
        control.heal(fault);
        match opened {
            // What failed was not needed.
            Ok((_spool, store)) => until_it_works(&store),
            Err(StoreError::Full) => assert!([28, 122].contains(&fault.errno)),
            Err(error) => assert!(hits > 0 && error.to_string().contains(dir.to_str().unwrap()), "{error}"),
        }
        let (spool, store) = open(&dir).unwrap_or_else(|error| panic!("{}, from operation {n} on: {error}", fault.name));
        let mut strand = Strand::after(seed, 0, 0);
        for _ in 0..3 {
            strand.work(&store, &spool).unwrap();
        }
        Found::read(&store, &spool, seed, &[3]).judge(seed, &[3], true).unwrap();
        drop((spool, store));
        fs::remove_dir_all(&dir).unwrap();
        if hits == 0 {
            break;
        }
        n += stride;
    }
    println!("{}: started on a disk that failed from each of {n} operations on", fault.name);
}

#[test]
fn a_start_on_a_disk_that_fails_is_an_error_and_the_next_one_succeeds() {
    if tape::library().is_none() {
        return;
    }
    for (number, fault) in FAULTS.iter().enumerate() {
        let scratch = crate::common::scratch("power-start");
        let root = scratch.path().canonicalize().unwrap();
        let stride = setting("BREVBRO_POWER_STRIDE").unwrap_or(3) * 2 - 1;
        let output = command("full::process_that_starts_on_a_disk_that_fails", &root, number, 1, stride).output().unwrap();
        let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}: {said}{log}", fault.name);
        said.lines().filter(|line| line.contains("started")).for_each(|line| println!("{line}"));
    }
}
