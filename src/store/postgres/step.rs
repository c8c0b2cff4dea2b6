//! One step as one transaction.
//!
//! Everything is sent at once: the step's own name, the locks of all that it looks at or changes, the guards' questions, the
//! changes and the events; then, if every guard held, the commit. So a step is two round trips.
//!
//! The locks make steps that touch the same key, record or job follow one another, also where there is no row to lock yet:
//! of two that demand that a note is absent one finds it. They are taken in one order, so that nobody waits in a circle.
//!
//! A step whose commit was not answered runs again under its name: the name's row waits for the first one's end, and tells
//! whether it had happened.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};
use uuid::Uuid;

use super::fault::Fault;
use super::link::Session;
use super::pipeline::{Answer, Pipeline};
use super::{instant, quoted, word};
use crate::event::Event;
use crate::ident::RecordId;
use crate::port::{Guard, Job, JobId, Key, Lease, Op, Record, Step};

/// Steps with more keys than this lock everything: the server has room for a few thousand locks in all.
const MANY: usize = 48;

const NAME: &str = "INSERT INTO steps (id) VALUES ($1) ON CONFLICT DO NOTHING";
const LOCK: &str = "SELECT CASE WHEN alone THEN pg_advisory_xact_lock(key)::text ELSE pg_advisory_xact_lock_shared(key)::text END \
                    FROM unnest($1::bigint[], $2::boolean[]) AS wanted(key, alone)";
const NOTES: &str = "SELECT key, value FROM notes WHERE key = ANY($1)";
const STATES: &str = "SELECT id, state FROM records WHERE id = ANY($1)";
// Locked against being claimed by another before this step is over.
const TOKENS: &str = "SELECT id, token FROM jobs WHERE id = ANY($1) ORDER BY id FOR UPDATE";
const PUT: &str =
    "INSERT INTO records (id, state, body) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET state = excluded.state, body = excluded.body";
const REMOVE: &str = "DELETE FROM records WHERE id = $1";
const WRITE: &str = "INSERT INTO notes (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
// Whole numbers within their bounds: what is counted never comes near them.
const ADD: &str = "INSERT INTO notes (key, value) VALUES ($1, $2::bigint || ' ' || $3::bigint) ON CONFLICT (key) DO UPDATE \
    SET value = (split_part(notes.value, ' ', 1)::bigint + $2::bigint) || ' ' || (split_part(notes.value, ' ', 2)::bigint + $3::bigint)";
const FORGET: &str = "DELETE FROM notes WHERE key = $1";
const ENQUEUE: &str = "INSERT INTO jobs (id, queue, record, due, attempt, note, free) VALUES ($1, $2, $3, $4, $5, $6, $4) ON CONFLICT DO NOTHING";
const COMPLETE: &str = "DELETE FROM jobs WHERE id = $1 AND token = $2 AND token <> 0";
const RESCHEDULE: &str = "UPDATE jobs SET due = $3, free = $3, note = $4, attempt = least(attempt + 1, 4294967295), token = 0, holder = NULL \
                          WHERE id = $1 AND token = $2 AND token <> 0";
const HASTEN: &str = "UPDATE jobs SET due = $2, free = $2 WHERE id = $1 AND due > $2 AND token = 0";
const CANCEL: &str = "DELETE FROM jobs WHERE id = $1";
const TELL: &str = "INSERT INTO told (events) VALUES ($1)";

type Parameters<'a> = Vec<Box<dyn ToSql + Sync + Send + 'a>>;

/// A step that is to be applied once, whatever becomes of its connections.
pub(super) struct Once {
    /// What it is known by.
    id: Uuid,
    step: Step,
    locks: Vec<(i64, bool)>,
    events: Option<String>,
}

impl Once {
    pub(super) fn new(step: Step, schema: &str) -> Result<Self, Fault> {
        let events: Vec<&Event> = step.ops.iter().filter_map(|op| if let Op::Audit(event) = op { Some(event) } else { None }).collect();
        let events = match events.as_slice() {
            [] => None,
            some => Some(serde_json::to_string(some).map_err(|error| Fault::wrong(format!("events cannot be written: {error}")))?),
        };
        Ok(Self { id: Uuid::new_v4(), locks: locks(&step, schema), step, events })
    }

    /// Whether it changes something; one that does not needs no name.
    fn changes(&self) -> bool {
        !self.step.ops.is_empty()
    }

    /// Applies it, or finds that it was applied.
    pub(super) async fn run(&self, session: &mut Session) -> Result<(), Fault> {
        let statements = Statements::prepare(session, self).await?;
        session.begin();
        let (answers, plan) = self.ask(session, &statements).await?;
        if plan.name.and_then(|place| answers.get(place)).is_some_and(|answer| answer.changed() == 0) {
            return session.roll_back().await;
        }
        if let Err(guard) = self.judge(&answers, &plan) {
            session.roll_back().await?;
            return Err(Fault::Refused(Box::new(guard)));
        }
        fail::fail_point!("store.postgres.commit");
        session.commit().await?;
        fail::fail_point!("store.postgres.committed");
        Ok(())
    }

    async fn ask(&self, session: &Session, statements: &Statements) -> Result<(Vec<Answer>, Plan), Fault> {
        let mut asked = Pipeline::new(session);
        asked.batch("BEGIN");
        let mut plan = Plan::default();
        if self.changes() {
            plan.name = Some(asked.execute(statements.of(NAME)?, vec![Box::new(self.id)]));
        }
        if !self.locks.is_empty() {
            let (keys, alone): (Vec<i64>, Vec<bool>) = self.locks.iter().copied().unzip();
            asked.query(statements.of(LOCK)?, vec![Box::new(keys), Box::new(alone)]);
        }
        let looked = Looked::at(&self.step.guards);
        if !looked.notes.is_empty() {
            plan.notes = Some(asked.query(statements.of(NOTES)?, vec![Box::new(looked.notes)]));
        }
        if !looked.records.is_empty() {
            plan.states = Some(asked.query(statements.of(STATES)?, vec![Box::new(looked.records)]));
        }
        if !looked.jobs.is_empty() {
            plan.tokens = Some(asked.query(statements.of(TOKENS)?, vec![Box::new(looked.jobs)]));
        }
        for op in &self.step.ops {
            let Some((sql, parameters)) = change(op) else { continue };
            let place = asked.execute(statements.of(sql)?, parameters);
            if let Op::Complete(lease) | Op::Reschedule { lease, .. } = op {
                plan.leases.push((place, lease.clone()));
            }
        }
        if let Some(events) = &self.events {
            asked.execute(statements.of(TELL)?, vec![Box::new(events.as_str())]);
        }
        Ok((asked.run().await?, plan))
    }

    /// The first guard, in the step's order, that does not hold; then the first lease that was not held.
    fn judge(&self, answers: &[Answer], plan: &Plan) -> Result<(), Guard> {
        let seen = Seen::of(answers, plan);
        if let Some(guard) = self.step.guards.iter().find(|guard| !seen.holds(guard)) {
            return Err(guard.clone());
        }
        let lost = plan.leases.iter().find(|(place, _)| answers.get(*place).is_none_or(|answer| answer.changed() != 1));
        lost.map_or(Ok(()), |(_, lease)| Err(Guard::Held(lease.clone())))
    }
}

/// Where the answers will be.
#[derive(Default)]
struct Plan {
    name: Option<usize>,
    notes: Option<usize>,
    states: Option<usize>,
    tokens: Option<usize>,
    leases: Vec<(usize, Lease)>,
}

/// What the guards look at.
#[derive(Default)]
struct Looked {
    notes: Vec<String>,
    records: Vec<Uuid>,
    jobs: Vec<Uuid>,
}

impl Looked {
    fn at(guards: &[Guard]) -> Self {
        let mut looked = Self::default();
        for guard in guards {
            match guard {
                Guard::Absent(key) | Guard::Noted(key, _) => looked.notes.push(key.as_str().to_owned()),
                Guard::In(RecordId(id), _) | Guard::New(RecordId(id)) => looked.records.push(*id),
                Guard::Held(lease) => looked.jobs.push(lease.job.id.0),
            }
        }
        looked
    }
}

/// What the guards' questions found.
struct Seen {
    notes: HashMap<String, String>,
    states: HashMap<Uuid, String>,
    tokens: HashMap<Uuid, i64>,
}

impl Seen {
    fn of(answers: &[Answer], plan: &Plan) -> Self {
        let rows = |place: Option<usize>| place.and_then(|place| answers.get(place)).map(Answer::rows).unwrap_or_default();
        Self { notes: pairs(rows(plan.notes)), states: pairs(rows(plan.states)), tokens: pairs(rows(plan.tokens)) }
    }

    fn holds(&self, guard: &Guard) -> bool {
        match guard {
            Guard::Absent(key) => !self.notes.contains_key(key.as_str()),
            Guard::Noted(key, value) => self.notes.get(key.as_str()) == Some(value),
            Guard::In(id, state) => self.states.get(&id.0).is_some_and(|found| *found == state.0),
            Guard::New(id) => !self.states.contains_key(&id.0),
            Guard::Held(Lease { job, token, .. }) => self.tokens.get(&job.id.0).is_some_and(|held| *held != 0 && u64::try_from(*held) == Ok(*token)),
        }
    }
}

fn pairs<'a, K, V>(rows: &'a [Row]) -> HashMap<K, V>
where
    K: tokio_postgres::types::FromSql<'a> + std::hash::Hash + Eq,
    V: tokio_postgres::types::FromSql<'a>,
{
    // The columns are of the types that the statements above name.
    rows.iter().filter_map(|row| Some((row.try_get(0).ok()?, row.try_get(1).ok()?))).collect()
}

/// The statement of a change; events go together.
fn change(op: &Op) -> Option<(&'static str, Parameters<'_>)> {
    // A token that no database gave fits no row.
    let token = |lease: &Lease| i64::try_from(lease.token).unwrap_or(-1);
    Some(match op {
        Op::Put(Record { id, state, body }) => (PUT, vec![Box::new(id.0), Box::new(&*state.0), Box::new(body.as_str())]),
        Op::Remove(id) => (REMOVE, vec![Box::new(id.0)]),
        Op::Note(key, value) => (WRITE, vec![Box::new(key.as_str()), Box::new(value.as_str())]),
        Op::Forget(key) => (FORGET, vec![Box::new(key.as_str())]),
        Op::Add(key, tally) => (ADD, vec![Box::new(key.as_str()), Box::new(tally.messages), Box::new(tally.octets)]),
        Op::Enqueue(Job { id, queue, record, due, attempt, note }) => (
            ENQUEUE,
            vec![
                Box::new(id.0),
                Box::new(word(*queue)),
                Box::new(record.0),
                Box::new(instant(*due)),
                Box::new(i64::from(*attempt)),
                Box::new(note.as_str()),
            ],
        ),
        Op::Complete(lease) => (COMPLETE, vec![Box::new(lease.job.id.0), Box::new(token(lease))]),
        Op::Reschedule { lease, due, note } => {
            (RESCHEDULE, vec![Box::new(lease.job.id.0), Box::new(token(lease)), Box::new(instant(*due)), Box::new(note.as_str())])
        }
        Op::Hasten(id, due) => (HASTEN, vec![Box::new(id.0), Box::new(instant(*due))]),
        Op::Cancel(id) => (CANCEL, vec![Box::new(id.0)]),
        Op::Audit(_) => return None,
    })
}

/// The statements that a step needs, prepared on its connection.
struct Statements(HashMap<&'static str, Statement>);

impl Statements {
    async fn prepare(session: &Session, once: &Once) -> Result<Self, Fault> {
        let mut needed = vec![NAME, LOCK, NOTES, STATES, TOKENS, TELL];
        needed.extend(once.step.ops.iter().filter_map(|op| change(op).map(|(sql, _)| sql)));
        let mut statements = HashMap::new();
        for sql in needed {
            if !statements.contains_key(sql) {
                statements.insert(sql, session.statement(sql).await?);
            }
        }
        Ok(Self(statements))
    }

    fn of(&self, sql: &str) -> Result<Statement, Fault> {
        self.0.get(sql).cloned().ok_or_else(|| Fault::wrong("a statement was not prepared"))
    }
}

/// The locks of a step, in the order in which everybody takes them; alone where something changes, shared where it is looked at.
fn locks(step: &Step, schema: &str) -> Vec<(i64, bool)> {
    let mut wanted: BTreeMap<i64, bool> = BTreeMap::new();
    let mut want = |kind: char, name: &str, alone: bool| *wanted.entry(lock(schema, kind, name)).or_default() |= alone;
    let note = |key: &Key| key.as_str().to_owned();
    let (record, job) = (|id: &RecordId| id.0.to_string(), |id: &JobId| id.0.to_string());
    for guard in &step.guards {
        match guard {
            Guard::Absent(key) | Guard::Noted(key, _) => want('n', &note(key), false),
            Guard::In(id, _) | Guard::New(id) => want('r', &record(id), false),
            Guard::Held(lease) => want('j', &job(&lease.job.id), false),
        }
    }
    for op in &step.ops {
        match op {
            Op::Put(Record { id, .. }) | Op::Remove(id) => want('r', &record(id), true),
            Op::Note(key, _) | Op::Forget(key) | Op::Add(key, _) => want('n', &note(key), true),
            Op::Enqueue(Job { id, .. }) | Op::Hasten(id, _) | Op::Cancel(id) => want('j', &job(id), true),
            Op::Complete(lease) | Op::Reschedule { lease, .. } => want('j', &job(&lease.job.id), true),
            Op::Audit(_) => {}
        }
    }
    if wanted.is_empty() {
        return Vec::new();
    }
    let all = lock(schema, 'a', "");
    if wanted.len() > MANY {
        return vec![(all, true)];
    }
    std::iter::once((all, false)).chain(wanted.into_iter().filter(|(key, _)| *key != all)).collect()
}

/// A lock's number. Two that meet by chance wait for one another without need.
pub(super) fn lock(schema: &str, kind: char, name: &str) -> i64 {
    let crate::ident::Sha256(digest) = crate::crypto::sha256(format!("{}/{kind}/{name}", quoted(schema)).as_bytes());
    i64::from_be_bytes(*digest.first_chunk().unwrap_or(&[0; 8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_and_a_look_at_one_thing_are_one_lock_and_many_are_the_lock_of_all() {
        let key = Key::new("k", "1");
        let both = Step::new().guard(Guard::Absent(key.clone())).op(Op::Note(key.clone(), String::new()));
        let all = lock("s", 'a', "");
        assert_eq!(locks(&both, "s"), [(all, false), (lock("s", 'n', key.as_str()), true)]);
        assert_eq!(locks(&Step::new().guard(Guard::Absent(key.clone())), "s"), [(all, false), (lock("s", 'n', key.as_str()), false)]);
        let many = (0..=MANY).fold(Step::new(), |step, n| step.op(Op::Forget(Key::new("k", &n.to_string()))));
        assert_eq!(locks(&many, "s"), [(all, true)]);
        assert_ne!(lock("s", 'a', ""), lock("t", 'a', ""), "two gateways in one database do not wait for one another");
    }
}
