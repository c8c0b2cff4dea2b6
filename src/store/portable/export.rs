//! Writing an export.

use std::collections::BTreeMap;
use std::io::{self, Seek as _, SeekFrom, Write};

use tokio::runtime::Handle;

use super::form::{Word, Writer};
use super::{BodyHead, Count, Head, Place, PortableError};
use crate::crypto::Hasher;
use crate::event::{Event, EventName, Field};
use crate::ident::Sha256;
use crate::port::{BlobId, BlobReader, Op, Step, StoreError};
use crate::store::backup::Names;
use crate::store::journal::{self, Change};
use crate::store::postgres::Cursor;

/// Changes that are asked for at once.
const PAGE: usize = 500;

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// How much.
    pub count: Count,
    /// Bodies that are named and were lost or damaged before.
    pub lost: Vec<BlobId>,
}

/// Writes everything that is named. For a thread that may block, of a runtime.
///
/// # Errors
/// [`PortableError`]; what was written is no export then.
pub fn export(place: &Place, names: Names, mut head: Head, out: impl Write) -> Result<Exported, PortableError> {
    let runtime = Handle::current();
    // The last line here and, with it, of what is moved: whoever reads this journal later knows where it goes on.
    let event = Event::new(head.at, EventName::Exported).with(Field::Cause, &head.program);
    runtime.block_on(place.store().apply(Step::new().op(Op::Audit(event))))?;
    head.from = place.kind();
    let mut exporting =
        Exporting { place, names, runtime, to: Writer::begin(out)?, count: Count::default(), bodies: BTreeMap::new(), lost: Vec::new() };
    exporting.to.frame(Word::Head, &json(&head)?)?;
    exporting.lines()?;
    exporting.changes()?;
    for (id, firm) in std::mem::take(&mut exporting.bodies) {
        exporting.body(id, firm)?;
    }
    let Exporting { mut to, count, lost, .. } = exporting;
    to.frame(Word::End, &json(&count)?)?;
    to.finish()?;
    Ok(Exported { count, lost })
}

struct Exporting<'a, W: Write> {
    place: &'a Place,
    names: Names,
    runtime: Handle,
    to: Writer<W>,
    count: Count,
    /// Which bodies are named, and whether they must be there.
    bodies: BTreeMap<BlobId, bool>,
    lost: Vec<BlobId>,
}

impl<W: Write> Exporting<'_, W> {
    fn lines(&mut self) -> Result<(), PortableError> {
        let place = self.place;
        match place {
            Place::Files { dir, .. } => journal::copy::lines(&dir.join("store/journal"), |line| self.line(line)),
            Place::Database { store, .. } => {
                let mut from = 0;
                loop {
                    let page = self.runtime.block_on(store.written(from))?;
                    let Some((last, _)) = page.last() else { return Ok(()) };
                    from = last + 1;
                    for (_, line) in page {
                        self.line(line.as_bytes())?;
                    }
                }
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), PortableError> {
        self.count.lines += 1;
        Ok(self.to.frame(Word::Line, line)?)
    }

    fn changes(&mut self) -> Result<(), PortableError> {
        let place = self.place;
        match place {
            Place::Files { store, .. } => store.each(|change| self.change(change)),
            Place::Database { store, .. } => {
                let mut from = Some(Cursor::Records(None));
                while let Some(cursor) = from.take() {
                    let (changes, next) = self.runtime.block_on(store.changes(cursor, PAGE))?;
                    for change in &changes {
                        self.change(change)?;
                    }
                    from = next;
                }
                Ok(())
            }
        }
    }

    fn change(&mut self, change: &Change) -> Result<(), PortableError> {
        match change {
            Change::Record(record) => {
                let named = (self.names.record)(record).map_err(PortableError::record(record.id))?;
                for body in named.bodies {
                    *self.bodies.entry(body).or_default() |= named.firm;
                }
            }
            Change::Job(job) => self.bodies.extend((self.names.job)(job).map(|body| (body, true))),
            _ => {}
        }
        self.count.changes += 1;
        Ok(self.to.frame(Word::Change, &json(change)?)?)
    }

    fn body(&mut self, id: BlobId, firm: bool) -> Result<(), PortableError> {
        let (blob, octets, mut reader) = match self.runtime.block_on(self.place.blobs().open(id)) {
            Ok(opened) => opened,
            Err(StoreError::Missing(_)) if !firm => return Ok(()),
            Err(StoreError::Missing(_) | StoreError::Damaged(_)) => {
                self.lost.push(id);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        // It is read twice, so that one that is damaged is left out and not half in.
        let digest = match digest(reader.as_mut()) {
            Ok(digest) => digest,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.lost.push(id);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        reader.seek(SeekFrom::Start(0))?;
        self.to.frame(Word::Body, &json(&BodyHead { blob, octets, digest })?)?;
        self.to.stream(Word::Data, octets, &mut reader)?;
        self.count.bodies += 1;
        Ok(())
    }
}

fn digest(reader: &mut dyn BlobReader) -> io::Result<Sha256> {
    let (mut hasher, mut chunk) = (Hasher::new(), vec![0; 256 * 1024]);
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => hasher.update(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, PortableError> {
    Ok(serde_json::to_vec(value).map_err(io::Error::from)?)
}
