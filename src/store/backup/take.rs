//! Taking a backup.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::files::{Copier, Print, forget_cached, read_sums, settle, sum, write_sums};
use super::{BackupError, MANIFEST, Manifest, Named, Names, SUMS, UNFINISHED, VERSION, failed, place, whole};
use crate::ident::RecordId;
use crate::port::{BlobId, JobId};
use crate::store::journal::copy::{End, Reading};
use crate::store::journal::{Change, verify};
use crate::store::{Damage, Spool, Unfinished, create_directory, sync_directory};

/// Bodies that are open at once when a line is tried as the last.
const OPEN: usize = 256;
/// Lines that are tried as the last.
const ROUNDS: usize = 1_000;

/// What is copied where.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// The state folder of a gateway, running or not.
    pub state_dir: &'a Path,
    /// The folder of backups.
    pub dir: &'a Path,
    /// Which bodies are named.
    pub names: Names,
    /// Further files, and their places in the backup.
    pub beside: &'a [(PathBuf, String)],
    /// When.
    pub at: Timestamp,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The backup.
    pub path: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Files that are those of the backup before.
    pub shared: u64,
    /// Bodies that are named and were lost before.
    pub lost: Vec<BlobId>,
    /// Bodies that were damaged before, and are so in the backup.
    pub damaged: Vec<Damage>,
}

/// Takes a backup, and looks whether it is whole.
///
/// # Errors
/// [`BackupError`]; what was copied is removed then.
pub fn take(plan: &Plan<'_>) -> Result<Taken, BackupError> {
    let Plan { state_dir, dir, at, .. } = plan;
    Unfinished::refuse(state_dir).map_err(|error| BackupError::Unfinished(error.to_string()))?;
    let journal = state_dir.join("store/journal");
    if !journal.is_dir() {
        return Err(BackupError::NoState(state_dir.to_path_buf()));
    }
    create_directory(dir).map_err(failed("creating", dir))?;
    let _lock = lock(dir)?;
    remove_unfinished(dir)?;
    let previous = match whole(dir)?.pop() {
        Some(previous) => read_sums(&previous.join(SUMS)).ok().map(|sums| (previous, sums)),
        None => None,
    };
    let path = dir.join(at.strftime("%Y-%m-%dT%H%M%S.%3fZ").to_string());
    if path.exists() {
        return Err(BackupError::Taking(path));
    }
    let unfinished = dir.join(format!("{}{UNFINISHED}", path.file_name().unwrap_or_default().to_string_lossy()));
    create_directory(&unfinished).map_err(failed("creating", &unfinished))?;
    fail::fail_point!("backup.begun");
    let mut copying =
        Copying { plan, to: Copier::new(unfinished.clone(), previous), wanted: Wanted::default(), copied: HashMap::new(), lost: BTreeSet::new() };
    let taken = copying.run(&journal).and_then(|(manifest, damaged)| {
        fs::rename(&unfinished, &path).map_err(failed("naming", &path))?;
        fail::fail_point!("backup.named");
        sync_directory(dir).map_err(failed("syncing", dir))?;
        fail::fail_point!("backup.directory");
        let (shared, lost) = (copying.to.shared.len() as u64, copying.lost.iter().copied().collect());
        Ok(Taken { path: path.clone(), manifest, shared, lost, damaged })
    });
    if taken.is_err() {
        // It may be the room that was missing.
        drop(fs::remove_dir_all(&unfinished));
    }
    taken
}

fn lock(dir: &Path) -> Result<File, BackupError> {
    let path = dir.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(failed("locking", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BackupError::Taking(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed("locking", &path)(error)),
    }
}

/// What a backup left that was cut off.
fn remove_unfinished(dir: &Path) -> Result<(), BackupError> {
    for entry in fs::read_dir(dir).map_err(failed("listing", dir))? {
        let path = entry.map_err(failed("listing", dir))?.path();
        if path.is_dir() && path.to_str().is_some_and(|name| name.ends_with(UNFINISHED)) {
            fs::remove_dir_all(&path).map_err(failed("deleting", &path))?;
            fail::fail_point!("backup.removed");
        }
    }
    Ok(())
}

/// Which bodies are named at the line that was read last.
#[derive(Default)]
struct Wanted {
    records: HashMap<RecordId, Named>,
    jobs: HashMap<JobId, BlobId>,
    /// Bodies of records that changed since they were looked at: retention may have put another one in the place of one.
    touched: BTreeSet<BlobId>,
}

impl Wanted {
    fn note(&mut self, names: Names, change: Change) -> Result<(), BackupError> {
        match change {
            Change::Record(record) => {
                let named = (names.record)(&record).map_err(|failure| BackupError::Record(failure.what))?;
                self.touched.extend(&named.bodies);
                self.records.insert(record.id, named);
            }
            Change::NoRecord(id) => drop(self.records.remove(&id)),
            Change::Job(job) => match (names.job)(&job) {
                Some(body) => drop(self.jobs.insert(job.id, body)),
                None => drop(self.jobs.remove(&job.id)),
            },
            Change::NoJob(id) => drop(self.jobs.remove(&id)),
            Change::Note(..) | Change::NoNote(_) => {}
        }
        Ok(())
    }

    /// All of them, and whether each must be there.
    fn bodies(&self) -> BTreeMap<BlobId, bool> {
        let mut bodies: BTreeMap<BlobId, bool> = self.jobs.values().map(|body| (*body, true)).collect();
        for named in self.records.values() {
            for body in &named.bodies {
                *bodies.entry(*body).or_default() |= named.firm;
            }
        }
        bodies
    }
}

struct Copying<'a> {
    plan: &'a Plan<'a>,
    to: Copier,
    wanted: Wanted,
    copied: HashMap<BlobId, Print>,
    lost: BTreeSet<BlobId>,
}

impl Copying<'_> {
    fn run(&mut self, journal: &Path) -> Result<(Manifest, Vec<Damage>), BackupError> {
        let names = self.plan.names;
        let mut reading = Reading::begin(journal, |change| self.wanted.note(names, change))?;
        let end = self.bodies(&mut reading)?;
        for part in reading.segments(end)?.into_iter().chain(reading.snapshots(end)?) {
            let place = format!("store/journal/{}", part.name);
            self.to.put_part(&place, part.file, part.octets).map_err(failed("copying", Path::new(&part.name)))?;
        }
        let heads = reading.heads(end)?;
        if !heads.is_empty() {
            self.to.write("store/journal/heads.jsonl", &heads).map_err(failed("copying", Path::new("heads.jsonl")))?;
        }
        self.put(&self.plan.state_dir.join("federation"), "federation")?;
        for (path, place) in self.plan.beside {
            self.put(path, place)?;
        }
        self.drop_unnamed()?;
        self.finish(end)
    }

    /// Copies what is named; the line at which all of it is there.
    fn bodies(&mut self, reading: &mut Reading) -> Result<End, BackupError> {
        let names = self.plan.names;
        let mut missing = BTreeSet::new();
        for _ in 0..ROUNDS {
            let end = reading.go_on(|change| self.wanted.note(names, change))?;
            let end = end.ok_or_else(|| BackupError::NoState(self.plan.state_dir.to_owned()))?;
            let touched = std::mem::take(&mut self.wanted.touched);
            let bodies = self.wanted.bodies();
            let needed: Vec<(BlobId, bool)> =
                bodies.into_iter().filter(|(id, _)| !self.lost.contains(id) && (!self.copied.contains_key(id) || touched.contains(id))).collect();
            let (last, mut gone) = (needed.len() <= OPEN, BTreeSet::new());
            let mut opened = Vec::new();
            for (id, firm) in needed {
                match File::open(self.plan.state_dir.join(place(id))) {
                    Ok(file) if last => opened.push((id, file)),
                    Ok(file) => self.copy(id, file)?,
                    // It is being deleted, as the journal says.
                    Err(error) if error.kind() == io::ErrorKind::NotFound && !firm => {}
                    // It was gone at an earlier line too, and is named still.
                    Err(error) if error.kind() == io::ErrorKind::NotFound && missing.contains(&id) => drop(self.lost.insert(id)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => drop(gone.insert(id)),
                    Err(error) => return Err(failed("opening", Path::new(&place(id)))(error)),
                }
            }
            for (id, file) in opened {
                self.copy(id, file)?;
            }
            if last && gone.is_empty() {
                return Ok(end);
            }
            missing = gone;
        }
        Err(BackupError::Restless)
    }

    fn copy(&mut self, id: BlobId, file: File) -> Result<(), BackupError> {
        let place = place(id);
        let copy = || {
            let print = Print::of(&file.metadata()?);
            match self.copied.insert(id, print) {
                Some(before) if before == print => return Ok(()),
                Some(_) => self.to.remove(&place)?,
                None => {}
            }
            self.to.put(&place, file)
        };
        copy().map_err(failed("copying", Path::new(&place)))
    }

    fn put(&mut self, path: &Path, place: &str) -> Result<(), BackupError> {
        let put = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened.and_then(|file| self.to.put(place, file)),
        };
        put.map_err(failed("copying", path))
    }

    /// What was named when it was copied and is not at the last line would be taken for a mail that came in.
    fn drop_unnamed(&mut self) -> Result<(), BackupError> {
        let bodies = self.wanted.bodies();
        let unnamed: Vec<BlobId> = self.copied.keys().filter(|id| !bodies.contains_key(id)).copied().collect();
        for id in unnamed {
            self.copied.remove(&id);
            self.to.remove(&place(id)).map_err(failed("deleting", Path::new(&place(id))))?;
        }
        Ok(())
    }

    /// Writes what the backup is, has it all on the disk, and reads it once more.
    fn finish(&mut self, end: End) -> Result<(Manifest, Vec<Damage>), BackupError> {
        let dir = self.to.dir.clone();
        let manifest = Manifest {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            at: self.plan.at,
            line: end.line,
            hash: end.hash,
            bodies: self.copied.len() as u64,
            octets: self.copied.values().map(|print| print.octets).sum(),
        };
        let text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::from).map_err(failed("writing", Path::new(MANIFEST)))?;
        self.to.write(MANIFEST, &text).map_err(failed("writing", Path::new(MANIFEST)))?;
        fail::fail_point!("backup.manifest");
        write_sums(&dir.join(SUMS), &self.to.sums).map_err(failed("writing", Path::new(SUMS)))?;
        fail::fail_point!("backup.sums", |_| Err(failed("writing", Path::new(SUMS))(io::ErrorKind::StorageFull.into())));
        settle(&dir).map_err(failed("syncing", &dir))?;
        fail::fail_point!("backup.synced");
        let mut damaged = Vec::new();
        for (place, known) in &self.to.sums {
            let path = dir.join(place);
            if !self.to.shared.contains(place) {
                // What was just written is read from the disk where the system can do so.
                drop(forget_cached(&path));
                if sum(&path).map_err(failed("reading", &path))? != *known {
                    return Err(BackupError::Damaged(path));
                }
            }
            if place.starts_with("spool/")
                && let Some(why) = Spool::check_file(&path)?
            {
                damaged.push(Damage { path, why });
            }
        }
        let summary = verify(&dir.join("store/journal"))?;
        if (summary.first + summary.lines, summary.hash) != (end.line + 1, end.hash) {
            return Err(BackupError::Damaged(dir.join("store/journal")));
        }
        fail::fail_point!("backup.verified");
        Ok((manifest, damaged))
    }
}
