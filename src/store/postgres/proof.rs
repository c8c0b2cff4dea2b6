//! Whether the journal is as it was written: every row, the chain over all lines, its end, and what is known of it from elsewhere.
//!
//! What the index says of a line is checked as well: whoever empties it would hide a line from those who search.

use super::chain::{self, End};
use super::fault::Fault;
use super::link::Session;
use super::names;
use super::read::{Line, lines};
use crate::ident::Sha256;
use crate::port::StoreError;
use crate::store::journal::{Entry, Known, Pruned, Summary, parse, stands};

/// Lines that are asked for at once.
const PAGE: usize = 1_000;

/// A walk along the chain, from the first line there is.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    /// The first line and what it follows.
    begin: Option<End>,
    at: End,
    pruned: Vec<Pruned>,
    vouched: Option<u64>,
}

impl Walk {
    /// The next line, if it follows.
    fn then(&mut self, line: &Line) -> Result<Entry, String> {
        let (entry, hash) = parse(line.text.as_bytes()).map_err(|why| format!("line {} of the journal {why}", line.seq))?;
        let begin = *self.begin.get_or_insert(End { seq: line.seq, event: entry.event, hash: entry.prev });
        if self.at == End::default() {
            self.at = begin;
        }
        let at = self.at;
        if line.seq != at.seq {
            return Err(format!("line {} of the journal is not there, and line {} is", at.seq, line.seq));
        }
        if (entry.seq, entry.prev, entry.event) != (at.seq, at.hash, at.event) {
            return Err(format!("line {} of the journal does not follow the line before it", at.seq));
        }
        if line.event != entry.event || line.names.as_ref().is_some_and(|said| *said != names::of(&entry.events)) {
            return Err(format!("line {} of the journal is not found by what it says: its other columns were changed", at.seq));
        }
        self.at = End { seq: at.seq + 1, event: at.event + entry.events.len() as u64, hash };
        self.pruned.extend(entry.pruned);
        Ok(entry)
    }

    /// The lines that come next, in their order, each of which follows the one before; none at the end.
    pub(super) async fn next(&mut self, session: &Session) -> Result<Vec<Entry>, Fault> {
        let page = lines(session, self.at.seq, PAGE).await?;
        page.iter().map(|line| self.then(line).map_err(damaged)).collect()
    }

    fn vouch(&mut self, known: &Known, entry: &Entry, hash: Sha256) -> Result<(), Fault> {
        match known.heads.get(&entry.seq) {
            None => {}
            Some(head) if *head == hash => self.vouched = Some(entry.seq),
            Some(_) => {
                return Err(damaged(format!(
                    "line {} of the journal is not the line that was signed: it and lines before it were written anew",
                    entry.seq
                )));
            }
        }
        Ok(())
    }
}

fn damaged(why: impl Into<String>) -> Fault {
    Fault::Wrong(StoreError::Damaged(why.into()))
}

/// Checks everything, as it is at one moment.
pub(super) async fn verify(session: &mut Session, known: &Known) -> Result<Summary, Fault> {
    session.begin();
    session.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let end = chain::end(session, "").await?.ok_or_else(|| damaged("the end of the journal is not there"))?;
    let mut walk = Walk::default();
    loop {
        let page = lines(session, walk.at.seq, PAGE).await?;
        if page.is_empty() {
            break;
        }
        for line in &page {
            let is_first = walk.begin.is_none();
            let entry = walk.then(line).map_err(damaged)?;
            let before = entry.seq.checked_sub(1).filter(|before| is_first && known.heads.get(before) == Some(&entry.prev));
            walk.vouched = walk.vouched.or(before);
            let hash = walk.at.hash;
            walk.vouch(known, &entry, hash)?;
        }
    }
    session.roll_back().await?;
    ended(&walk, end)?;
    if let Some((signed, _)) = known.heads.range(walk.at.seq..).next_back() {
        return Err(damaged(format!("line {} is not there, and a signed head names line {signed}: the end of the journal was cut off", walk.at.seq)));
    }
    let begin = walk.begin.unwrap_or_default();
    stands(begin.seq, begin.hash, &walk.pruned).map_err(|why| damaged(format!("line {} of the journal {why}", begin.seq)))?;
    Ok(Summary {
        first: begin.seq,
        lines: walk.at.seq - begin.seq,
        events: walk.at.event.saturating_sub(begin.event),
        segments: 0,
        hash: walk.at.hash,
        vouched: walk.vouched,
        unfinished: false,
    })
}

/// Whether the last line there is is the one that the journal says it ends with.
fn ended(walk: &Walk, end: End) -> Result<(), Fault> {
    if walk.at.seq < end.seq {
        return Err(damaged(format!("line {} of the journal is not there, and there were {}", walk.at.seq, end.seq)));
    }
    if walk.at != end {
        return Err(damaged(format!("the journal ends with line {}, and says that it ends otherwise", walk.at.seq.saturating_sub(1))));
    }
    Ok(())
}
