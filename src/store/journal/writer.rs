//! The journal of a process: replayed once, then appended to, in a new segment from time to time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::folder::{self, NEW, Segment, segments};
use super::line::{Draft, Entry, Mark, Position, Pruned, print};
use super::lines::Lines;
use super::{JournalError, JournalOptions};
use crate::ident::Sha256;

/// What the system writes as one.
const PAGE: u64 = 4_096;

/// From where the journal is replayed, and so what may be wrong with it.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum From {
    /// From the first line there is. Only the last group may be damaged.
    Start,
    /// From the line that a snapshot begins with. Only the last group may be damaged, and it stands behind `upto`.
    Snapshot {
        /// The line before the first that is replayed.
        mark: Mark,
        /// The last line of which the snapshot holds something.
        upto: u64,
    },
    /// From the last line that the index holds. Only the last group may be damaged.
    Index(Mark),
}

/// What must be done before lines are taken again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing.
    Nothing,
    /// What stands behind the last durable line must be taken back, and then as below.
    TakingBack,
    /// A new segment: what became of the pages of this one is not known.
    Segment,
}

/// The journal of a process, which nobody else appends to.
pub(in crate::store) struct Journal {
    dir: PathBuf,
    options: JournalOptions,
    segments: Vec<Segment>,
    /// The last segment.
    file: File,
    path: PathBuf,
    base: u64,
    begun: Option<Timestamp>,
    next: Position,
    /// It was not replayed.
    stopped: bool,
    /// Where what was replayed last begins.
    replayed: u64,
    need: Need,
    /// Held as long as the journal is used.
    _lock: File,
}

impl Journal {
    /// Opens or makes a journal for this process alone. It must be [replayed](Journal::replay) before it takes lines.
    pub(in crate::store) fn open(dir: PathBuf, options: JournalOptions, now: Timestamp) -> Result<Self, JournalError> {
        let failed = |doing| {
            let path = dir.clone();
            move |source| JournalError::Io { doing, path, source }
        };
        crate::store::create_directory(&dir).map_err(failed("creating"))?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(dir.join("lock")).map_err(failed("locking"))?;
        match crate::store::lock(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::InUse(dir)),
            Err(TryLockError::Error(source)) => return Err(failed("locking")(source)),
        }
        folder::tidy(&dir)?;
        let mut found = segments(&dir)?;
        if found.is_empty() {
            found.push(begin(&dir, Position::START, now)?.0);
        }
        for damaged in found.iter().filter(|segment| segment.start.is_none()) {
            tracing::error!(path = %damaged.path.display(), "the journal's segment has no first line that can be read; verify the journal");
        }
        let last = found.last().ok_or(JournalError::Empty)?;
        let file = OpenOptions::new().read(true).write(true).open(&last.path).map_err(failed("opening"))?;
        let start = last.start.ok_or_else(|| no_beginning(last))?;
        let (path, begun) = (last.path.clone(), last.at);
        Ok(Self {
            dir,
            options,
            file,
            path,
            base: start.offset,
            begun,
            segments: found,
            next: Position::START,
            stopped: true,
            replayed: 0,
            need: Need::Nothing,
            _lock: lock,
        })
    }

    /// Hands out lines from a place on, cuts off what a crash left behind the last, and takes lines from then on.
    pub(in crate::store) fn replay<E: std::convert::From<JournalError>>(
        &mut self,
        from: From,
        mut take: impl FnMut(Entry, Mark) -> Result<(), E>,
    ) -> Result<(), E> {
        let begin = match from {
            From::Start => folder::beginning(&self.segments)?,
            From::Snapshot { mark, .. } | From::Index(mark) => self.after(mark)?,
        };
        let mut lines = Lines::new(&self.segments, begin)?;
        let torn = loop {
            match lines.next() {
                Ok(None) => break None,
                Ok(Some((entry, mark))) => take(entry, mark)?,
                Err(error @ JournalError::Damaged { .. }) if lines.is_torn()? => break Some(error),
                Err(error) => return Err(error.into()),
            }
        };
        (self.next, self.replayed) = (lines.at, begin.offset);
        if let From::Snapshot { upto, .. } = from
            && self.next.seq <= upto
        {
            return Err(lines.damaged("is not there, and the snapshot of the index holds something of it").into());
        }
        if let Some(error) = torn {
            tracing::warn!(%error, "a crash left the journal's end unfinished; it is cut off, nothing of it was acknowledged");
            self.cut()?;
        }
        self.stopped = false;
        Ok(())
    }

    /// The position after a line that must be there.
    fn after(&self, mark: Mark) -> Result<Position, JournalError> {
        let mut lines = Lines::new(&self.segments, Position { seq: mark.seq, offset: mark.offset, ..Position::START })?;
        match lines.any() {
            Ok(Some((_, found))) if found == mark => Ok(lines.at),
            Err(error @ JournalError::Io { .. }) => Err(error),
            _ => {
                let holder = self.segments.iter().rfind(|segment| segment.first <= mark.seq);
                let path = holder.map_or_else(|| self.path.clone(), |segment| segment.path.clone());
                let base = holder.and_then(|segment| segment.start).map_or(0, |start| start.offset);
                let offset = mark.offset.saturating_sub(base);
                Err(JournalError::Damaged { path, line: mark.seq, offset, why: "is not the line that the index knows" })
            }
        }
    }

    /// Makes durable what was replayed, before anybody builds on it. A process that was killed may not have synced it; and
    /// after a sync that failed the system takes pages for written that are not, so they are written once more.
    pub(in crate::store) fn settle(&mut self) -> Result<(), JournalError> {
        let settled = self.write_again(self.replayed.saturating_sub(self.base)).and_then(|()| self.file.sync_all());
        settled.and_then(|()| crate::store::sync_directory(&self.dir)).map_err(|source| self.io("syncing", source))
    }

    /// Makes it take lines again after a failure, if it can: what is not known to be durable is gone then.
    pub(in crate::store) fn mend(&mut self, now: Timestamp) -> Result<(), JournalError> {
        if self.need == Need::TakingBack {
            self.cut()?;
            self.need = Need::Segment;
        }
        if self.need == Need::Segment {
            self.rotate(now)?;
        }
        Ok(())
    }

    /// Whatever stands behind the last line that was acknowledged is not to be believed.
    pub(in crate::store) fn distrust(&mut self) {
        self.need = Need::TakingBack;
    }

    /// Appends lines and syncs them; where each stands. On an error none of them is there, but for
    /// [`JournalError::InDoubt`].
    pub(in crate::store) fn append(&mut self, drafts: Vec<Draft>, now: Timestamp) -> Result<Vec<(Entry, Mark)>, JournalError> {
        if self.stopped {
            return Err(JournalError::Stopped);
        }
        self.mend(now)?;
        if self.is_full(now) {
            self.rotate(now)?;
        }
        let (mut at, first) = (self.next, self.next.seq);
        let (mut octets, mut written) = (Vec::new(), Vec::with_capacity(drafts.len()));
        for Draft { opened, pruned, events, changes } in drafts {
            let group = Some(first).filter(|first| *first != at.seq);
            let entry = Entry { seq: at.seq, prev: at.prev, segment: None, anew: false, group, opened, pruned, event: at.event, events, changes };
            let line = print(&entry).map_err(|source| self.io("writing", source.into()))?;
            octets.extend_from_slice(&line.octets);
            let mark = at.mark(&entry, line.hash);
            at = at.after(&entry, line.hash, line.octets.len());
            written.push((entry, mark));
        }
        if let Err(source) = self.write(&octets) {
            let failed = self.io("writing", source);
            self.take_back(if failed.is_full() { Need::Nothing } else { Need::Segment })?;
            return Err(failed);
        }
        if let Err(source) = self.sync() {
            // What is on disk after a failed sync is not known, and a second one may succeed without having written.
            self.take_back(Need::Segment)?;
            return Err(self.io("syncing", source));
        }
        self.next = at;
        Ok(written)
    }

    /// The journal's octets: where the next line will begin.
    pub(in crate::store) fn end(&self) -> u64 {
        self.next.offset
    }

    /// The files there are now.
    pub(in crate::store) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether the next line begins a new segment.
    fn is_full(&self, now: Timestamp) -> bool {
        let old = self.begun.is_some_and(|begun| now.duration_since(begun) >= self.options.age);
        // Not while it holds nothing but its first line, however narrow the limits are.
        let some = self.segments.last().is_some_and(|last| self.next.seq > last.first + 1);
        some && (old || self.next.offset.saturating_sub(self.base) >= self.options.octets)
    }

    /// Begins a new segment. Its name is there, durably, when its first line is; until then the last one goes on.
    fn rotate(&mut self, now: Timestamp) -> Result<(), JournalError> {
        let (segment, file, next) = begin(&self.dir, self.next, now).inspect_err(|error| {
            // A name that is there without our knowing would hold a line that is written again elsewhere: it is made anew.
            if !matches!(error, JournalError::Io { doing: "beginning a segment of", .. }) {
                self.need = Need::Segment;
            }
        })?;
        self.need = Need::Nothing;
        tracing::info!(segment = %segment.path.display(), "the journal goes on in a new segment");
        (self.file, self.path, self.base, self.begun) = (file, segment.path.clone(), self.next.offset, Some(now));
        self.segments.push(segment);
        self.next = next;
        Ok(())
    }

    /// Which segments end before line `upto` and were left behind `keep` or longer ago: how to say that they are gone.
    pub(in crate::store) fn prunable(&self, upto: u64, keep: SignedDuration, now: Timestamp) -> Option<Pruned> {
        let left = |next: &Segment| next.first <= upto && next.at.is_some_and(|at| now.duration_since(at) >= keep);
        let stays = self.segments.iter().skip(1).take_while(|next| left(next)).last()?;
        stays.start.map(|start| Pruned { before: stays.first, prev: start.prev })
    }

    /// Deletes the segments before a line, oldest first, each durably: what remains has no gap at any moment. The line that
    /// says so must be in the journal.
    pub(in crate::store) fn prune(&mut self, before: u64) -> Result<(), JournalError> {
        while let Some(first) = self.segments.first()
            && self.segments.get(1).is_some_and(|next| next.first <= before)
        {
            let path = first.path.clone();
            let failed = |source| JournalError::Io { doing: "deleting a segment of", path: path.clone(), source };
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(failed(source)),
                _ => {}
            }
            let _ = fs::remove_file(super::find::path(first));
            // It is gone for readers, whether or not the directory's sync succeeds.
            self.segments.remove(0);
            fail::fail_point!("store.prune.removed");
            crate::store::sync_directory(&self.dir).map_err(failed)?;
            fail::fail_point!("store.prune.directory");
            tracing::info!(segment = %path.display(), "a segment of the journal is deleted: its time of keeping is over");
        }
        Ok(())
    }

    fn write(&self, octets: &[u8]) -> io::Result<()> {
        let place = self.next.offset.saturating_sub(self.base);
        fail::fail_point!("store.journal.append", |_| {
            // As a full disk does it: a part is written.
            let part = octets.get(..octets.len() / 2).unwrap_or_default();
            self.file.write_all_at(part, place)?;
            Err(io::ErrorKind::StorageFull.into())
        });
        self.file.write_all_at(octets, place)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()?;
        fail::fail_point!("store.journal.sync", |_| Err(io::Error::other("fail point")));
        Ok(())
    }

    /// Takes back lines that could not be written or synced; what is needed after that. They are in doubt if it fails.
    fn take_back(&mut self, need: Need) -> Result<(), JournalError> {
        self.need = Need::TakingBack;
        match self.cut() {
            Ok(()) => {
                self.need = need;
                Ok(())
            }
            Err(JournalError::Io { source, path, .. }) => Err(JournalError::InDoubt { path, source }),
            Err(error) => Err(error),
        }
    }

    /// Takes back what stands after the last whole line, durably: a line of it must not come to life after a crash.
    fn cut(&mut self) -> Result<(), JournalError> {
        let end = self.next.offset.saturating_sub(self.base);
        // The page that the end stands in holds durable lines too, and a failed sync may have been about it.
        let cut = self.write_again(end - end % PAGE).and_then(|()| self.file.set_len(end)).and_then(|()| self.file.sync_all());
        cut.map_err(|source| self.io("cutting", source))
    }

    /// Writes what stands from this octet of the last segment up to the last line once more, so that a sync writes it.
    fn write_again(&self, from: u64) -> io::Result<()> {
        let (mut at, end) = (from, self.next.offset.saturating_sub(self.base));
        let mut octets = vec![0; 256 * 1024];
        while at < end {
            let part = usize::try_from(end - at).unwrap_or(usize::MAX).min(octets.len());
            let part = octets.get_mut(..part).unwrap_or_default();
            self.file.read_exact_at(part, at)?;
            self.file.write_all_at(part, at)?;
            at += part.len() as u64;
        }
        Ok(())
    }

    fn io(&self, doing: &'static str, source: io::Error) -> JournalError {
        JournalError::Io { doing, path: self.path.clone(), source }
    }
}

fn no_beginning(segment: &Segment) -> JournalError {
    JournalError::Damaged { path: segment.path.clone(), line: segment.first, offset: 0, why: "is not one that a segment begins with" }
}

/// Makes the segment that goes on at a position: under another name until its first line is durable.
fn begin(dir: &Path, at: Position, now: Timestamp) -> Result<(Segment, File, Position), JournalError> {
    let path = dir.join(folder::name(at.seq));
    let new = path.with_extension(format!("jsonl{NEW}"));
    let failed = |doing| {
        let path = path.clone();
        move |source| JournalError::Io { doing, path, source }
    };
    let entry = at.begin(false, now);
    let line = print(&entry).map_err(|source| failed("writing")(source.into()))?;
    let write = || {
        fail::fail_point!("store.segment.begin", |_| Err(io::ErrorKind::StorageFull.into()));
        let mut file = OpenOptions::new().create(true).truncate(true).read(true).write(true).mode(0o600).open(&new)?;
        file.write_all(&line.octets)?;
        fail::fail_point!("store.segment.written");
        file.sync_all()?;
        fail::fail_point!("store.segment.synced");
        Ok(file)
    };
    let file = write().map_err(|source| {
        let _ = fs::remove_file(&new);
        failed("beginning a segment of")(source)
    })?;
    let place = || {
        fs::rename(&new, &path)?;
        fail::fail_point!("store.segment.renamed", |_| Err(io::Error::other("fail point")));
        crate::store::sync_directory(dir)?;
        fail::fail_point!("store.segment.directory");
        Ok(())
    };
    place().map_err(failed("naming a segment of"))?;
    let next = at.after(&entry, line.hash, line.octets.len());
    Ok((Segment { first: at.seq, path, at: Some(now), start: Some(at), anew: false }, file, next))
}

/// The hash that the line before the first one has.
pub(super) const NOTHING: Sha256 = Position::START.prev;
