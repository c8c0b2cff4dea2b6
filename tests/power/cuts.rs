//! The power is cut at any moment, also while an earlier cut is recovered from: what was acknowledged is there, whole.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::common::dice::{Dice, setting};
use crate::disk::{Disk, build, real};
use crate::tape::{self, Act};
use crate::work::{Orders, STRANDS, check};

/// What came of some lives.
#[derive(Debug, Default)]
struct Verdict {
    cuts: u64,
    /// Cuts before the store was first asked for anything, in the life in which they fell.
    starting: u64,
    /// Of them, those of a start after a cut.
    recovering: u64,
    acknowledged: u64,
    /// Processes that were killed before.
    kills: u64,
    /// Bodies that processes sealed with another key.
    anew: u64,
    losses: Vec<String>,
}

/// A folder and what is known of it: the beginning of a life.
struct Folder {
    dir: PathBuf,
    done: Vec<u64>,
}

/// Lives one after another, each cut somewhere, the next one beginning with what was left.
struct Chain {
    seed: u64,
    dice: Dice,
    scratch: PathBuf,
    swallow: Option<&'static str>,
    verdict: Verdict,
}

impl Chain {
    fn new(scratch: &Path, seed: u64) -> Self {
        Self { seed, dice: Dice(seed), scratch: scratch.to_owned(), swallow: None, verdict: Verdict::default() }
    }

    /// Lets a process live in the folder, and cuts its power in this many places; what was left by one of the cuts.
    fn life(&mut self, life: u64, folder: &Folder, cuts: u64) -> Option<Folder> {
        let Folder { dir, done } = folder;
        let before = Disk::load(dir);
        let tape = self.scratch.join("tape");
        let _ = fs::remove_file(&tape);
        let mut from = done.clone();
        // Half of the processes are killed first and started again: what they had not synced is there, and not durable.
        let kill = (self.dice.roll(2) == 0 && self.swallow.is_none()).then(|| 1 + self.dice.roll(500));
        if let Some(kill) = kill {
            let killed = self.process(life, dir, &tape, &from, Some(kill));
            self.verdict.kills += u64::from(killed);
            for act in tape::read(&tape) {
                acknowledge(&mut from, &act);
            }
            let copy = self.scratch.join("killed");
            let _ = fs::remove_dir_all(&copy);
            build(&copy, &real(dir));
            from = check(&copy, self.seed, &from, false, false).unwrap_or_else(|why| panic!("life {life} of seed {}, killed: {why}", self.seed));
        }
        self.process(life, dir, &tape, &from, None);
        let acts = tape::read(&tape);
        let mut whole = before.clone();
        for act in &acts {
            whole.act(act);
        }
        compare(&whole.whole(), &real(dir));

        let first_ack = acts.iter().position(|act| matches!(act, Act::Ack(_))).unwrap_or(acts.len());
        let mut places: Vec<usize> = (0..cuts).map(|_| self.place(&acts, first_ack)).collect();
        places.sort_unstable();
        let heir = self.dice.roll(cuts) as usize;
        let mut left = None;
        let (mut disk, mut at, mut acknowledged) = (before, 0, done.clone());
        for (number, place) in places.into_iter().enumerate() {
            for act in &acts[at..place] {
                disk.act(act);
                self.verdict.acknowledged += u64::from(acknowledge(&mut acknowledged, act));
            }
            at = place;
            self.verdict.cuts += 1;
            self.verdict.starting += u64::from(place < first_ack);
            self.verdict.recovering += u64::from(place < first_ack && life > 0);
            let files = disk.cut(&mut self.dice);
            let looked_at = self.scratch.join("cut");
            let _ = fs::remove_dir_all(&looked_at);
            build(&looked_at, &files);
            let rebuild = self.dice.roll(3) == 0;
            match check(&looked_at, self.seed, &acknowledged, place > first_ack, rebuild) {
                Ok(done) if number == heir => {
                    let dir = self.scratch.join(format!("life-{}", life + 1));
                    build(&dir, &files);
                    left = Some(Folder { dir, done });
                }
                Ok(_) => {}
                Err(why) => {
                    let kept = self.scratch.join(format!("lost-{}-{life}-{number}", self.seed));
                    build(&kept, &files);
                    self.verdict.losses.push(format!(
                        "seed {}, life {life}, cut at {place} of {}{}: {why}",
                        self.seed,
                        acts.len(),
                        if rebuild { ", rebuilt" } else { "" }
                    ));
                }
            }
        }
        left
    }

    /// Lets a process work in the folder, to its end or until it is killed; whether it was.
    fn process(&mut self, life: u64, dir: &Path, tape: &Path, from: &[u64], kill: Option<u64>) -> bool {
        let orders = Orders { dir, seed: self.seed, from, steps: 3 + self.dice.roll(12), rebuild: life > 0 && self.dice.roll(4) == 0 };
        let mut command = orders.command(&self.scratch.join("acks"));
        tape::interpose(&mut command, dir, tape);
        if let Some(word) = self.swallow {
            command.env("POWER_SWALLOW", word);
        }
        if let Some(kill) = kill {
            command.env("POWER_KILL", kill.to_string());
        }
        let output = command.stdin(Stdio::null()).output().unwrap();
        let killed = kill.is_some() && output.status.signal() == Some(9);
        assert!(killed || output.status.success(), "life {life} of seed {}: {}", self.seed, String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout);
        self.verdict.anew += said.lines().find_map(|line| line.split_once("sealed anew: ")).map_or(0, |(_, number)| number.trim().parse().unwrap());
        killed
    }

    /// Where the power is cut: anywhere, half of the time while it starts or just before or after a sync.
    fn place(&mut self, acts: &[Act], first_ack: usize) -> usize {
        let any = self.dice.roll(acts.len() as u64 + 1) as usize;
        match self.dice.roll(4) {
            0 => self.dice.roll(first_ack as u64 + 1) as usize,
            1 => acts.iter().skip(any).position(|act| matches!(act, Act::SyncEnd { .. })).map_or(any, |more| any + more + self.dice.roll(2) as usize),
            _ => any,
        }
    }

    fn run(mut self, lives: u64, cuts: u64) -> Verdict {
        let dir = self.scratch.join("life-0");
        fs::create_dir_all(&dir).unwrap();
        let mut folder = Some(Folder { dir, done: vec![0; STRANDS] });
        for life in 0..lives {
            let Some(here) = folder.take() else { break };
            folder = self.life(life, &here, cuts);
            fs::remove_dir_all(&here.dir).unwrap();
        }
        if let Some(last) = folder {
            fs::remove_dir_all(&last.dir).unwrap();
        }
        self.verdict
    }
}

/// Notes what an operation acknowledges; whether it does.
fn acknowledge(done: &mut [u64], act: &Act) -> bool {
    let Act::Ack(line) = act else { return false };
    let (strand, step) = line.split_once(' ').unwrap();
    done[strand.parse::<usize>().unwrap()] = step.parse().unwrap();
    true
}

fn compare(replayed: &BTreeMap<PathBuf, Option<Vec<u8>>>, real: &BTreeMap<PathBuf, Option<Vec<u8>>>) {
    let paths: std::collections::BTreeSet<_> = replayed.keys().chain(real.keys()).collect();
    for path in paths {
        assert!(replayed.get(path) == real.get(path), "{} was changed past the record", path.display());
    }
}

/// Chains with the seeds from `seed` on until there were so many cuts.
fn chains(name: &str, seed: u64, cuts: u64, swallow: Option<&'static str>) -> Verdict {
    const LIVES: u64 = 5;
    const CUTS: u64 = 10;
    let scratch = crate::common::scratch(name);
    let root = scratch.path().canonicalize().unwrap();
    let mut all = Verdict::default();
    for seed in seed.. {
        if all.cuts >= cuts {
            break;
        }
        let chain = Chain { swallow, ..Chain::new(&root, seed) };
        let verdict = chain.run(LIVES, CUTS.min((cuts - all.cuts).div_ceil(LIVES)));
        all.cuts += verdict.cuts;
        all.starting += verdict.starting;
        all.recovering += verdict.recovering;
        all.acknowledged += verdict.acknowledged;
        all.kills += verdict.kills;
        all.anew += verdict.anew;
        all.losses.extend(verdict.losses);
    }
    if !all.losses.is_empty() && swallow.is_none() {
        println!("what was left is in {}", scratch.keep().display());
    }
    all
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged() {
    if tape::library().is_none() {
        return;
    }
    let (cuts, seed) = (setting("BREVBRO_POWER_CUTS").unwrap_or(200), setting("BREVBRO_POWER_SEED").unwrap_or(1));
    let began = std::time::Instant::now();
    let verdict = chains("power-cuts", seed, cuts, None);
    println!(
        "{} cuts, {} of them while starting ({} after a cut), {} processes killed before, {} acknowledged steps, {} bodies sealed anew, {} losses; {:.0} s",
        verdict.cuts,
        verdict.starting,
        verdict.recovering,
        verdict.kills,
        verdict.acknowledged,
        verdict.anew,
        verdict.losses.len(),
        began.elapsed().as_secs_f32()
    );
    assert!(verdict.losses.is_empty(), "{}", verdict.losses.join("\n"));
    assert!(verdict.starting > cuts / 10 && verdict.recovering > cuts / 20 && verdict.acknowledged > cuts && verdict.anew > cuts / 10, "{verdict:?}");
}

/// The test's test: a program whose syncs do nothing is found out.
#[test]
fn a_sync_that_does_nothing_is_found_by_the_cuts() {
    if tape::library().is_none() {
        return;
    }
    for word in ["fdatasync", "directory"] {
        let verdict = chains("power-swallow", 1, 20, Some(word));
        println!("without {word}: {} losses in {} cuts", verdict.losses.len(), verdict.cuts);
        assert!(!verdict.losses.is_empty(), "cuts of a program without {word} found nothing");
    }
}
