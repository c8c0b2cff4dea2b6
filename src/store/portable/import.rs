//! Reading an export, and bringing it into an empty store.

use std::fs::{self, File};
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use super::form::{Reader, Word, damaged};
use super::{BodyHead, Count, Head, Place, PortableError};
use crate::crypto::Hasher;
use crate::event::{Event, EventName, Field};
use crate::port::{Blobs, Op, Step, Store};
use crate::store::journal::Change;
use crate::store::journal::import::{Chain, Importing};
use crate::store::postgres::unfinished;
use crate::store::{PostgresStore, SledOptions, SledStore, Spool, SpoolOptions, Unfinished, create_directory};

/// Changes of one step.
const BATCH: usize = 100;
/// Lines that a database gets at once, and their octets.
const LINES: (usize, usize) = (500, 4 * 1024 * 1024);

/// An export that was read to its end and is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What is in it.
    pub head: Head,
    /// How much.
    pub count: Count,
    path: PathBuf,
}

/// Where an export goes.
pub enum Target {
    /// Into files: where, and how they are kept.
    Files {
        /// The state folder.
        dir: PathBuf,
        /// The store.
        store: SledOptions,
        /// The bodies.
        spool: SpoolOptions,
    },
    /// Into a database.
    Database {
        /// The store.
        store: PostgresStore,
        /// The bodies.
        blobs: Box<dyn Blobs>,
    },
}

/// What is read of an export, frame after frame in their order.
trait Sink {
    fn head(&mut self, head: &Head) -> Result<(), PortableError>;
    fn line(&mut self, line: Vec<u8>) -> Result<(), PortableError>;
    /// Before the first change, and where there is none.
    fn state(&mut self) -> Result<(), PortableError>;
    fn change(&mut self, change: Change) -> Result<(), PortableError>;
    fn body(&mut self, head: BodyHead, reader: &mut Reader<BufReader<File>>, octets: u64) -> Result<(), PortableError>;
}

/// Reads an export to its end: that it is whole, and its journal's chain.
///
/// # Errors
/// [`PortableError`].
pub fn check(path: &Path) -> Result<Checked, PortableError> {
    let mut looking = Looking::default();
    let (head, count) = read(path, &mut looking)?;
    Ok(Checked { head, count, path: path.to_owned() })
}

/// Reads all frames; what there was.
fn read(path: &Path, sink: &mut dyn Sink) -> Result<(Head, Count), PortableError> {
    let mut reader = Reader::begin(BufReader::with_capacity(256 * 1024, File::open(path)?))?;
    let (word, octets) = reader.next()?;
    if word != Word::Head {
        return Err(damaged("it does not begin with its head"));
    }
    let head: Head = parse(&reader.take(octets)?)?;
    sink.head(&head)?;
    let (mut count, mut before) = (Count::default(), Word::Head);
    loop {
        let (word, octets) = reader.next()?;
        if matches!(word, Word::Change | Word::Body | Word::End) && matches!(before, Word::Head | Word::Line) {
            sink.state()?;
        }
        match (word, before) {
            (Word::Line, Word::Head | Word::Line) => {
                count.lines += 1;
                sink.line(reader.take(octets)?)?;
            }
            (Word::Change, Word::Head | Word::Line | Word::Change) => {
                count.changes += 1;
                sink.change(parse(&reader.take(octets)?)?)?;
            }
            (Word::Body, Word::Head | Word::Line | Word::Change | Word::Body) => {
                count.bodies += 1;
                let head: BodyHead = parse(&reader.take(octets)?)?;
                let (Word::Data, octets) = reader.next()? else { return Err(damaged("a body has no octets")) };
                if octets != head.octets {
                    return Err(damaged("a body has another length than it says"));
                }
                sink.body(head, &mut reader, octets)?;
            }
            (Word::End, _) => {
                let said: Count = parse(&reader.take(octets)?)?;
                reader.finish()?;
                return if said == count { Ok((head, count)) } else { Err(damaged("it has not as much as it says")) };
            }
            _ => return Err(damaged("its parts are not in their order")),
        }
        before = word;
    }
}

fn parse<T: DeserializeOwned>(octets: &[u8]) -> Result<T, PortableError> {
    serde_json::from_slice(octets).map_err(|error| PortableError::Damaged(error.to_string()))
}

/// Only looks.
#[derive(Default)]
struct Looking {
    chain: Chain,
}

impl Sink for Looking {
    fn head(&mut self, _: &Head) -> Result<(), PortableError> {
        Ok(())
    }

    fn line(&mut self, line: Vec<u8>) -> Result<(), PortableError> {
        self.chain.follow(&line).map(drop).map_err(damaged)
    }

    fn state(&mut self) -> Result<(), PortableError> {
        Ok(())
    }

    fn change(&mut self, _: Change) -> Result<(), PortableError> {
        Ok(())
    }

    fn body(&mut self, head: BodyHead, reader: &mut Reader<BufReader<File>>, octets: u64) -> Result<(), PortableError> {
        let mut hasher = Hasher::new();
        reader.pass(octets, |chunk| {
            hasher.update(chunk);
            Ok(())
        })?;
        if hasher.finish() == head.digest { Ok(()) } else { Err(damaged("a body is not what was written")) }
    }
}

/// Brings an export into an empty place, which is a gateway's state when this returns. For a thread that may block, of a runtime.
///
/// # Errors
/// [`PortableError`]. What was begun is refused by every gateway until it is emptied.
pub fn import(checked: &Checked, target: Target) -> Result<Place, PortableError> {
    let runtime = Handle::current();
    let event = Event::new(Timestamp::now(), EventName::Imported).with(Field::Cause, &checked.head.program);
    match target {
        Target::Files { dir, store, spool } => {
            empty(&dir)?;
            let mark = Unfinished::begin(&dir, "an import")?;
            let journal = Importing::begin(&store.journal())?;
            let mut filling = IntoFiles { dir, options: Some((store, spool)), journal: Some(journal), state: None, runtime };
            read(&checked.path, &mut filling)?;
            let (mut state, dir) = (filling.state.ok_or_else(|| damaged("it has no end"))?, filling.dir);
            state.end(Step::new().op(Op::Audit(event)))?;
            fail::fail_point!("import.end");
            mark.end()?;
            Ok(Place::Files { dir, store: state.store, blobs: state.blobs })
        }
        Target::Database { store, blobs } => {
            if !runtime.block_on(store.begin_import())? {
                return Err(PortableError::NotEmpty("the schema of the database".into()));
            }
            let state = State { store, blobs, ops: Vec::new(), runtime };
            let mut filling = IntoDatabase { state, chain: Chain::default(), lines: Vec::new(), octets: 0 };
            read(&checked.path, &mut filling)?;
            let mut state = filling.state;
            fail::fail_point!("import.end");
            state.end(Step::new().op(Op::Forget(unfinished())).op(Op::Audit(event)))?;
            Ok(Place::Database { store: state.store, blobs: state.blobs })
        }
    }
}

fn empty(dir: &Path) -> Result<(), PortableError> {
    create_directory(dir)?;
    match fs::read_dir(dir)?.next() {
        Some(_) => Err(PortableError::NotEmpty(dir.display().to_string())),
        None => Ok(()),
    }
}

/// Records, notes, jobs and bodies, whatever keeps them.
struct State<S> {
    store: S,
    blobs: Box<dyn Blobs>,
    ops: Vec<Op>,
    runtime: Handle,
}

impl<S: Store> State<S> {
    fn change(&mut self, change: Change) -> Result<(), PortableError> {
        self.ops.push(match change {
            Change::Record(record) => Op::Put(record),
            Change::Note(key, value) => Op::Note(key, value),
            Change::Job(job) => Op::Enqueue(job),
            Change::NoRecord(_) | Change::NoNote(_) | Change::NoJob(_) => return Err(damaged("something that is not there is no state")),
        });
        if self.ops.len() == BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), PortableError> {
        if self.ops.is_empty() {
            return Ok(());
        }
        let step = Step { guards: Vec::new(), ops: std::mem::take(&mut self.ops) };
        self.runtime.block_on(self.store.apply(step))?;
        fail::fail_point!("import.change");
        Ok(())
    }

    fn body(&mut self, head: BodyHead, reader: &mut Reader<BufReader<File>>, octets: u64) -> Result<(), PortableError> {
        self.flush()?;
        let mut writer = self.runtime.block_on(self.blobs.create(head.blob, Some(octets)))?;
        reader.pass(octets, |chunk| writer.write_all(chunk))?;
        let stored = self.runtime.block_on(writer.commit())?;
        fail::fail_point!("import.body");
        if (stored.octets, stored.digest) == (octets, head.digest) { Ok(()) } else { Err(damaged("a body is not what was written")) }
    }

    fn end(&mut self, last: Step) -> Result<(), PortableError> {
        self.flush()?;
        Ok(self.runtime.block_on(self.store.apply(last))?)
    }
}

struct IntoFiles {
    dir: PathBuf,
    options: Option<(SledOptions, SpoolOptions)>,
    journal: Option<Importing>,
    state: Option<State<SledStore>>,
    runtime: Handle,
}

impl IntoFiles {
    fn filled(&mut self) -> Result<&mut State<SledStore>, PortableError> {
        self.state.as_mut().ok_or_else(|| damaged("its parts are not in their order"))
    }
}

impl Sink for IntoFiles {
    fn head(&mut self, head: &Head) -> Result<(), PortableError> {
        if head.federation.is_empty() {
            return Ok(());
        }
        Ok(fs::write(self.dir.join("federation"), &head.federation)?)
    }

    fn line(&mut self, line: Vec<u8>) -> Result<(), PortableError> {
        let journal = self.journal.as_mut().ok_or_else(|| damaged("its parts are not in their order"))?;
        journal.line(&line)
    }

    fn state(&mut self) -> Result<(), PortableError> {
        let (Some(journal), Some((store, spool))) = (self.journal.take(), self.options.take()) else { return Ok(()) };
        journal.end(store.clock.now())?;
        fail::fail_point!("import.journal");
        let blobs = Box::new(Spool::open(spool)?);
        self.state = Some(State { store: SledStore::open(store)?, blobs, ops: Vec::new(), runtime: self.runtime.clone() });
        Ok(())
    }

    fn change(&mut self, change: Change) -> Result<(), PortableError> {
        self.filled()?.change(change)
    }

    fn body(&mut self, head: BodyHead, reader: &mut Reader<BufReader<File>>, octets: u64) -> Result<(), PortableError> {
        self.filled()?.body(head, reader, octets)
    }
}

struct IntoDatabase {
    state: State<PostgresStore>,
    chain: Chain,
    lines: Vec<(u64, u64, String)>,
    octets: usize,
}

impl IntoDatabase {
    fn flush(&mut self) -> Result<(), PortableError> {
        self.octets = 0;
        let lines = std::mem::take(&mut self.lines);
        let Some(end) = self.chain.end().filter(|_| !lines.is_empty()) else { return Ok(()) };
        self.state.runtime.block_on(self.state.store.import_lines(&lines, end))?;
        fail::fail_point!("import.journal");
        Ok(())
    }
}

impl Sink for IntoDatabase {
    fn head(&mut self, _: &Head) -> Result<(), PortableError> {
        Ok(())
    }

    fn line(&mut self, line: Vec<u8>) -> Result<(), PortableError> {
        let entry = self.chain.follow(&line).map_err(damaged)?;
        self.octets += line.len();
        let text = String::from_utf8(line).map_err(|_| damaged("a line of the journal is no text"))?;
        self.lines.push((entry.seq, entry.event, text));
        if self.lines.len() >= LINES.0 || self.octets >= LINES.1 { self.flush() } else { Ok(()) }
    }

    fn state(&mut self) -> Result<(), PortableError> {
        self.flush()
    }

    fn change(&mut self, change: Change) -> Result<(), PortableError> {
        self.state.change(change)
    }

    fn body(&mut self, head: BodyHead, reader: &mut Reader<BufReader<File>>, octets: u64) -> Result<(), PortableError> {
        self.state.body(head, reader, octets)
    }
}

impl From<io::ErrorKind> for PortableError {
    fn from(kind: io::ErrorKind) -> Self {
        Self::File(kind.into())
    }
}
