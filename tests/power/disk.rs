//! A disk as the operations of a tape leave it, and as a power cut may leave it.
//!
//! Durable is what was synced: of a file its octets and its length, of a directory its names, as they stood when the sync
//! began, once it has ended. All else is left to chance, as harshly as POSIX allows:
//!
//! - of each page (or sector) of a file any state that it had since the last sync, and apart from those any length: a page
//!   that was not written out within a length that was reads as zeros;
//! - of the names in directories that were made, changed or removed any subset. A rename within one directory is whole or
//!   not at all, as ext4, XFS and btrfs have it; of one between directories each half stands alone. Names do not bring
//!   their octets along, nor octets their names;
//! - `sync_file_range` counts for nothing;
//! - a sync that failed leaves the pages clean (as Linux has it): they may be on the disk or not, whatever later syncs say,
//!   until they are written and synced again.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::common::dice::Dice;
use crate::tape::Act;

type Object = usize;

/// What is written out as one.
const PAGE: usize = 4_096;

#[derive(Debug, Clone)]
enum Change {
    Write { at: u64, data: Vec<u8> },
    Length(u64),
}

impl Change {
    fn apply(&self, octets: &mut Vec<u8>) {
        match self {
            Self::Write { at, data } => {
                let (at, end) = (*at as usize, *at as usize + data.len());
                if octets.len() < end {
                    octets.resize(end, 0);
                }
                octets[at..end].copy_from_slice(data);
            }
            Self::Length(length) => octets.resize(*length as usize, 0),
        }
    }

    /// The pages that are dirty after it.
    fn pages(&self, before: usize) -> std::ops::Range<usize> {
        match self {
            Self::Write { data, .. } if data.is_empty() => 0..0,
            Self::Write { at, data } => *at as usize / PAGE..(*at as usize + data.len()).div_ceil(PAGE),
            Self::Length(length) => {
                let (low, high) = (before.min(*length as usize), before.max(*length as usize));
                low / PAGE..high.div_ceil(PAGE)
            }
        }
    }
}

#[derive(Debug, Clone, Default)]
struct File {
    /// As the last sync left it.
    durable: Vec<u8>,
    /// Since then, with their places on the tape.
    pending: Vec<(usize, Change)>,
    /// Pages of which a failed sync left unknown whether the disk has them: what it had before.
    doubted: BTreeMap<usize, Vec<u8>>,
    /// The same of the length.
    doubted_length: Option<usize>,
}

impl File {
    fn whole(&self) -> Vec<u8> {
        let mut octets = self.durable.clone();
        self.pending.iter().for_each(|(_, change)| change.apply(&mut octets));
        octets
    }

    fn sync(&mut self, begun: usize, failed: bool) {
        let pending = std::mem::take(&mut self.pending);
        let (synced, left): (Vec<_>, Vec<_>) = pending.into_iter().partition(|(place, _)| *place < begun);
        self.pending = left;
        let length = self.durable.len();
        for (_, change) in synced {
            for page in change.pages(self.durable.len()) {
                if failed {
                    let old = slice(&self.durable, page * PAGE, PAGE).to_vec();
                    self.doubted.entry(page).or_insert(old);
                } else {
                    self.doubted.remove(&page);
                }
            }
            change.apply(&mut self.durable);
        }
        if failed {
            self.doubted_length = self.doubted_length.or(Some(length).filter(|length| *length != self.durable.len()));
        } else if self.durable.len() != length {
            self.doubted_length = None;
        }
    }

    /// What a cut may leave.
    fn cut(&self, whim: Whim, dice: &mut Dice) -> Vec<u8> {
        let mut base = self.durable.clone();
        if let Some(length) = self.doubted_length.filter(|_| dice.roll(2) == 0) {
            base.resize(length, 0);
        }
        for (page, old) in &self.doubted {
            if dice.roll(2) == 0 {
                let end = base.len();
                let place = (page * PAGE).min(end);
                let room = &mut base[place..(page * PAGE + PAGE).min(end).max(place)];
                room.fill(0);
                let part = old.len().min(room.len());
                room[..part].copy_from_slice(&old[..part]);
            }
        }
        let count = self.pending.len() as u64;
        let upto = |kept: u64| {
            let mut octets = base.clone();
            self.pending.iter().take(kept as usize).for_each(|(_, change)| change.apply(&mut octets));
            octets
        };
        let unit = match whim {
            _ if count == 0 => return base,
            Whim::Nothing => return base,
            Whim::All => return upto(count),
            Whim::Prefix => return upto(dice.roll(count + 1)),
            Whim::Pages => PAGE,
            Whim::Sectors => 512,
        };
        // Each unit as it was at some moment; the length as it was at some other.
        let moments: Vec<Vec<u8>> = (0..=count).map(upto).collect();
        let length = moments[dice.roll(count + 1) as usize].len();
        let mut octets = vec![0; length];
        for at in (0..length).step_by(unit) {
            let moment = slice(&moments[dice.roll(count + 1) as usize], at, unit.min(length - at));
            octets[at..at + moment.len()].copy_from_slice(moment);
        }
        octets
    }
}

fn slice(octets: &[u8], at: usize, length: usize) -> &[u8] {
    &octets[at.min(octets.len())..(at + length).min(octets.len())]
}

/// How a cut treats what was not synced.
#[derive(Debug, Clone, Copy)]
enum Whim {
    Nothing,
    All,
    /// As a file system that writes in order.
    Prefix,
    Pages,
    Sectors,
}

impl Whim {
    fn roll(dice: &mut Dice) -> Self {
        [Self::Nothing, Self::All, Self::Prefix, Self::Pages, Self::Sectors][dice.roll(5) as usize]
    }
}

#[derive(Debug, Clone)]
enum Node {
    File(File),
    /// Its names as the last sync left them.
    Directory(BTreeMap<String, Object>),
}

/// Names that one operation set, all or none; by directory.
#[derive(Debug, Clone)]
struct Naming {
    place: usize,
    names: Vec<(Object, String, Option<Object>)>,
}

/// A folder on a disk.
#[derive(Debug, Clone)]
pub struct Disk {
    nodes: Vec<Node>,
    /// As a running system sees it.
    names: HashMap<(Object, String), Object>,
    inodes: HashMap<u64, Object>,
    pending: Vec<Naming>,
    /// Where syncs began.
    begun: HashMap<u64, usize>,
    place: usize,
}

const ROOT: Object = 0;

impl Disk {
    /// A folder as it is, all of it durable.
    pub fn load(root: &Path) -> Self {
        let mut disk =
            Self { nodes: Vec::new(), names: HashMap::new(), inodes: HashMap::new(), pending: Vec::new(), begun: HashMap::new(), place: 0 };
        disk.load_directory(root);
        disk
    }

    fn load_directory(&mut self, path: &Path) -> Object {
        let object = self.add(fs::metadata(path).unwrap().ino(), Node::Directory(BTreeMap::new()));
        for entry in fs::read_dir(path).unwrap().map(|entry| entry.unwrap()) {
            let name = entry.file_name().into_string().unwrap();
            let child = if entry.file_type().unwrap().is_dir() {
                self.load_directory(&entry.path())
            } else {
                let file = File { durable: fs::read(entry.path()).unwrap(), ..File::default() };
                self.add(entry.metadata().unwrap().ino(), Node::File(file))
            };
            self.names.insert((object, name.clone()), child);
            self.directory(object).insert(name, child);
        }
        object
    }

    fn add(&mut self, inode: u64, node: Node) -> Object {
        self.nodes.push(node);
        // A number may come again when its first bearer is gone.
        self.inodes.insert(inode, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    fn directory(&mut self, object: Object) -> &mut BTreeMap<String, Object> {
        match &mut self.nodes[object] {
            Node::Directory(names) => names,
            Node::File(_) => panic!("a file is used as a directory"),
        }
    }

    fn file(&mut self, inode: u64) -> &mut File {
        match &mut self.nodes[self.inodes[&inode]] {
            Node::File(file) => file,
            Node::Directory(_) => panic!("a directory is written to"),
        }
    }

    /// The directory of a path and its last name.
    fn find(&self, path: &Path) -> (Object, String) {
        let mut object = ROOT;
        if let Some(above) = path.parent() {
            for name in above {
                object = self.names[&(object, name.to_str().unwrap().to_owned())];
            }
        }
        (object, path.file_name().unwrap().to_str().unwrap().to_owned())
    }

    fn name(&mut self, names: Vec<(Object, String, Option<Object>)>) {
        for (directory, name, object) in &names {
            let key = (*directory, name.clone());
            match object {
                Some(object) => self.names.insert(key, *object),
                None => self.names.remove(&key),
            };
        }
        self.pending.push(Naming { place: self.place, names });
    }

    /// Applies the next operation of the tape.
    pub fn act(&mut self, act: &Act) {
        self.place += 1;
        match act {
            Act::Create { path, inode } | Act::Mkdir { path, inode } => {
                let node = if matches!(act, Act::Mkdir { .. }) { Node::Directory(BTreeMap::new()) } else { Node::File(File::default()) };
                let (object, (directory, name)) = (self.add(*inode, node), self.find(path));
                self.name(vec![(directory, name, Some(object))]);
            }
            Act::Link { path, inode } => {
                let (object, (directory, name)) = (self.inodes[inode], self.find(path));
                self.name(vec![(directory, name, Some(object))]);
            }
            Act::Rename { from, to } => {
                let ((old, from), (new, to)) = (self.find(from), self.find(to));
                let object = self.names[&(old, from.clone())];
                self.name(vec![(old, from, None), (new, to, Some(object))]);
            }
            Act::Unlink { path } | Act::Rmdir { path } => {
                let (directory, name) = self.find(path);
                self.name(vec![(directory, name, None)]);
            }
            Act::Write { inode, at, data } => {
                let change = (self.place, Change::Write { at: *at, data: data.clone() });
                self.file(*inode).pending.push(change);
            }
            Act::Truncate { inode, length } => {
                let change = (self.place, Change::Length(*length));
                self.file(*inode).pending.push(change);
            }
            Act::SyncBegin { number, .. } => {
                self.begun.insert(*number, self.place);
            }
            Act::SyncEnd { inode, number, failed } => self.sync(*inode, self.begun[number], *failed),
            Act::Ack(_) | Act::Fault => {}
        }
    }

    fn sync(&mut self, inode: u64, begun: usize, failed: bool) {
        let object = self.inodes[&inode];
        if let Node::File(file) = &mut self.nodes[object] {
            file.sync(begun, failed);
        } else if !failed {
            for naming in &mut self.pending {
                if naming.place >= begun {
                    continue;
                }
                let Node::Directory(durable) = &mut self.nodes[object] else { continue };
                for (_, name, named) in naming.names.extract_if(.., |(directory, ..)| *directory == object) {
                    match named {
                        Some(named) => durable.insert(name, named),
                        None => durable.remove(&name),
                    };
                }
            }
            self.pending.retain(|naming| !naming.names.is_empty());
        }
    }

    /// The folder as a running system sees it: what the real one must be equal to.
    pub fn whole(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut directories: HashMap<Object, BTreeMap<String, Object>> = HashMap::new();
        for ((directory, name), object) in &self.names {
            directories.entry(*directory).or_default().insert(name.clone(), *object);
        }
        self.list(&directories, &mut File::whole)
    }

    /// The folder as a power cut at this moment may leave it.
    pub fn cut(&self, dice: &mut Dice) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut directories: HashMap<Object, BTreeMap<String, Object>> = HashMap::new();
        for (object, node) in self.nodes.iter().enumerate() {
            if let Node::Directory(durable) = node {
                directories.insert(object, durable.clone());
            }
        }
        let chance = [0, 1, 5, 9, 10][dice.roll(5) as usize];
        for Naming { names, .. } in &self.pending {
            let apart = names.iter().any(|(directory, ..)| *directory != names[0].0);
            let mut kept = dice.roll(10) < chance;
            for (directory, name, object) in names {
                if apart {
                    kept = dice.roll(10) < chance;
                }
                let directory = directories.entry(*directory).or_default();
                match object {
                    Some(object) if kept => directory.insert(name.clone(), *object),
                    None if kept => directory.remove(name),
                    _ => None,
                };
            }
        }
        let whim = Whim::roll(dice);
        self.list(&directories, &mut |file| {
            let whim = if dice.roll(3) == 0 { Whim::roll(dice) } else { whim };
            file.cut(whim, dice)
        })
    }

    fn list(
        &self,
        directories: &HashMap<Object, BTreeMap<String, Object>>,
        read: &mut dyn FnMut(&File) -> Vec<u8>,
    ) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut open = vec![(PathBuf::new(), ROOT)];
        // Of a file with two names both have the same octets.
        let mut files: HashMap<Object, Vec<u8>> = HashMap::new();
        while let Some((path, directory)) = open.pop() {
            for (name, object) in directories.get(&directory).into_iter().flatten() {
                let path = path.join(name);
                match &self.nodes[*object] {
                    Node::File(file) => {
                        let octets = files.entry(*object).or_insert_with(|| read(file)).clone();
                        found.insert(path, Some(octets));
                    }
                    Node::Directory(_) => {
                        found.insert(path.clone(), None);
                        open.push((path, *object));
                    }
                }
            }
        }
        found
    }
}

/// A real folder in the same form.
pub fn real(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    Disk::load(root).whole()
}

/// Makes a folder of what a cut left.
pub fn build(root: &Path, files: &BTreeMap<PathBuf, Option<Vec<u8>>>) {
    fs::create_dir_all(root).unwrap();
    for (path, octets) in files {
        match octets {
            None => fs::create_dir(root.join(path)).unwrap(),
            Some(octets) => fs::write(root.join(path), octets).unwrap(),
        }
    }
}
