//! Files that are copied, with their sums.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::crypto::Hasher;
use crate::ident::Sha256;
use crate::store::create_directory;

/// Octets that are copied at once.
const CHUNK: usize = 256 * 1024;

/// Sums by places below a folder.
pub(super) type Sums = BTreeMap<String, Sha256>;

/// Reads sums as sha256sum(1) writes them. A line that is none is [`io::ErrorKind::InvalidData`].
pub(super) fn read_sums(path: &Path) -> io::Result<Sums> {
    let mut sums = Sums::new();
    for line in BufReader::new(File::open(path)?).lines() {
        let line = line?;
        let (sum, place) = line.split_once("  ").ok_or(io::ErrorKind::InvalidData)?;
        // A place leads below the folder, whoever wrote it.
        if Path::new(place).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let sum = Sha256::try_from(sum.to_owned()).map_err(|_| io::ErrorKind::InvalidData)?;
        sums.insert(place.to_owned(), sum);
    }
    Ok(sums)
}

/// Writes sums.
pub(super) fn write_sums(path: &Path, sums: &Sums) -> io::Result<()> {
    let mut file = BufWriter::new(new_file(path)?);
    for (place, sum) in sums {
        writeln!(file, "{sum}  {place}")?;
    }
    file.flush()
}

/// A file of this name that is not there yet, which only we may read.
pub(super) fn new_file(path: &Path) -> io::Result<File> {
    if let Some(above) = path.parent() {
        create_directory(above)?;
    }
    OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)
}

/// Copies so many octets of a file; their sum. [`io::ErrorKind::UnexpectedEof`] when it has fewer.
pub(super) fn copy(from: &mut impl Read, to: &Path, octets: u64) -> io::Result<Sha256> {
    let mut file = new_file(to)?;
    pass(from, octets, |part| file.write_all(part))
}

/// The sum of a file.
pub(super) fn sum(path: &Path) -> io::Result<Sha256> {
    let mut file = File::open(path)?;
    let octets = file.metadata()?.len();
    pass(&mut file, octets, |_| Ok(()))
}

fn pass(from: &mut impl Read, octets: u64, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<Sha256> {
    let (mut hasher, mut rest, mut chunk) = (Hasher::new(), octets, vec![0; CHUNK]);
    while rest > 0 {
        let room = usize::try_from(rest).unwrap_or(CHUNK).min(CHUNK);
        let read = match from.read(chunk.get_mut(..room).unwrap_or_default()) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let part = chunk.get(..read).unwrap_or_default();
        hasher.update(part);
        take(part)?;
        rest -= read as u64;
    }
    Ok(hasher.finish())
}

/// Waits until all of a folder's file system is on its disk.
pub(super) fn settle(dir: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(dir)?)?)
}

/// Has what is read of a file next come from the disk, as far as the system allows.
pub(super) fn forget_cached(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::fadvise(File::open(path)?, 0, None, rustix::fs::Advice::DontNeed)?)
}

/// A file as it was when it was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Print {
    inode: u64,
    pub(super) octets: u64,
    modified: (i64, i64),
}

impl Print {
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        Self { inode: metadata.ino(), octets: metadata.len(), modified: (metadata.mtime(), metadata.mtime_nsec()) }
    }

    fn has_same_content(&self, other: &Self) -> bool {
        (self.octets, self.modified) == (other.octets, other.modified)
    }
}

/// Copies into a new backup, beside the one before.
pub(super) struct Copier {
    pub(super) dir: PathBuf,
    previous: Option<(PathBuf, Sums)>,
    pub(super) sums: Sums,
    /// Places of files that are those of the backup before.
    pub(super) shared: std::collections::BTreeSet<String>,
}

impl Copier {
    pub(super) fn new(dir: PathBuf, previous: Option<(PathBuf, Sums)>) -> Self {
        Self { dir, previous, sums: Sums::new(), shared: std::collections::BTreeSet::new() }
    }

    /// Puts a whole file to its place: a second name of the one in the backup before when that is the same, or a copy.
    pub(super) fn put(&mut self, place: &str, mut from: File) -> io::Result<()> {
        from.rewind()?;
        let metadata = from.metadata()?;
        let to = self.dir.join(place);
        if let Some(sum) = self.unchanged(place, &Print::of(&metadata))
            && let Some((previous, _)) = &self.previous
        {
            to.parent().map_or(Ok(()), create_directory)?;
            // A file system without second names takes copies.
            if fs::hard_link(previous.join(place), &to).is_ok() {
                fail::fail_point!("backup.linked");
                self.sums.insert(place.to_owned(), sum);
                self.shared.insert(place.to_owned());
                return Ok(());
            }
        }
        let sum = copy(&mut from, &to, metadata.len())?;
        fail::fail_point!("backup.copied", |_| Err(io::ErrorKind::StorageFull.into()));
        // By it the next backup knows the file again.
        File::options().write(true).open(&to)?.set_modified(metadata.modified()?)?;
        self.sums.insert(place.to_owned(), sum);
        Ok(())
    }

    /// Puts the first octets of a file to its place.
    pub(super) fn put_part(&mut self, place: &str, mut from: File, octets: u64) -> io::Result<()> {
        if from.metadata()?.len() == octets {
            return self.put(place, from);
        }
        from.rewind()?;
        let sum = copy(&mut from, &self.dir.join(place), octets)?;
        self.sums.insert(place.to_owned(), sum);
        Ok(())
    }

    /// Puts some octets to their place.
    pub(super) fn write(&mut self, place: &str, mut octets: &[u8]) -> io::Result<()> {
        let length = octets.len() as u64;
        let sum = copy(&mut octets, &self.dir.join(place), length)?;
        self.sums.insert(place.to_owned(), sum);
        Ok(())
    }

    /// Takes a file away again.
    pub(super) fn remove(&mut self, place: &str) -> io::Result<()> {
        self.sums.remove(place);
        self.shared.remove(place);
        fs::remove_file(self.dir.join(place))
    }

    /// The sum of the file in the backup before, when it is the same and still what was written.
    fn unchanged(&self, place: &str, print: &Print) -> Option<Sha256> {
        let (previous, sums) = self.previous.as_ref()?;
        let (known, metadata) = (sums.get(place)?, fs::metadata(previous.join(place)).ok()?);
        if !Print::of(&metadata).has_same_content(print) {
            return None;
        }
        sum(&previous.join(place)).ok().filter(|sum| sum == known)
    }
}
