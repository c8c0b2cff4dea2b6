//! How the index is laid out: keys and values.
//!
//! | key | value |
//! |---|---|
//! | `r` record | version, length of the state u8, state, body |
//! | `s` state `\0` record | nothing |
//! | `n` key of the note | the note |
//! | `j` job | version, queue, due, record, attempt u32, note |
//! | `q` queue, due, job | nothing |
//! | `e` number of a line's first event u64, for lines with a 64th event | where the line begins u64 |
//! | `m` | version, [`Mark`] of the last line that is in the index |
//!
//! Numbers are big-endian, instants are nanoseconds with the sign turned, so that keys stand in the order of time.
//! The bounds of `store` keep keys within 64 octets and values within 4 KiB: larger ones would leave sled's log for files
//! that it never syncs.

use jiff::Timestamp;

use super::index::IndexError;
use crate::ident::{RecordId, Sha256};
use crate::port::{Job, JobId, Key, Queue, Record, State};
use crate::store::journal::Mark;

const VERSION: u8 = 1;

type Result<T, E = IndexError> = std::result::Result<T, E>;

/// A queue on disk: the letters stay whatever becomes of the names.
fn code(queue: Queue) -> u8 {
    match queue {
        Queue::Seal => b'a',
        Queue::Send => b'b',
        Queue::Await => b'c',
        Queue::Open => b'd',
        Queue::Deliver => b'e',
        Queue::Answer => b'f',
        Queue::Notify => b'g',
        Queue::Purge => b'h',
    }
}

fn join(letter: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![letter];
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

pub(super) fn record_key(id: RecordId) -> Vec<u8> {
    join(b'r', &[id.0.as_bytes()])
}

pub(super) fn state_prefix(state: &State) -> Vec<u8> {
    join(b's', &[state.0.as_bytes(), &[0]])
}

pub(super) fn state_key(state: &State, id: RecordId) -> Vec<u8> {
    join(b's', &[state.0.as_bytes(), &[0], id.0.as_bytes()])
}

pub(super) fn note_key(key: &Key) -> Vec<u8> {
    join(b'n', &[key.as_str().as_bytes()])
}

pub(super) fn job_key(id: JobId) -> Vec<u8> {
    join(b'j', &[id.0.as_bytes()])
}

pub(super) fn queue_prefix(queue: Queue) -> [u8; 2] {
    [b'q', code(queue)]
}

pub(super) fn queue_key(job: &Job) -> Vec<u8> {
    join(b'q', &[&[code(job.queue)], &encode_instant(job.due), job.id.0.as_bytes()])
}

pub(super) fn event_key(number: u64) -> Vec<u8> {
    join(b'e', &[&number.to_be_bytes()])
}

pub(super) fn encode_instant(instant: Timestamp) -> [u8; 16] {
    (instant.as_nanosecond() ^ i128::MIN).to_be_bytes()
}

pub(super) fn decode_instant(octets: &[u8]) -> Result<Timestamp> {
    let nanoseconds = i128::from_be_bytes(octets.try_into().map_err(|_| malformed())?) ^ i128::MIN;
    Timestamp::from_nanosecond(nanoseconds).map_err(|_| malformed())
}

pub(super) fn decode_uuid(octets: &[u8]) -> Result<uuid::Uuid> {
    uuid::Uuid::from_slice(octets).map_err(|_| malformed())
}

pub(super) fn encode_mark(mark: Mark) -> Vec<u8> {
    join(VERSION, &[&mark.seq.to_be_bytes(), &mark.offset.to_be_bytes(), &mark.hash.0])
}

pub(super) fn decode_mark(value: &[u8]) -> Result<Mark> {
    let mut from = Fields(versioned(value)?);
    Ok(Mark { seq: u64::from_be_bytes(from.take()?), offset: u64::from_be_bytes(from.take()?), hash: Sha256(from.take()?) })
}

pub(super) fn encode_record(Record { state, body, .. }: &Record) -> Result<Vec<u8>> {
    let length = u8::try_from(state.0.len()).map_err(|_| malformed())?;
    Ok(join(VERSION, &[&[length], state.0.as_bytes(), body.as_bytes()]))
}

pub(super) fn decode_record(id: RecordId, value: &[u8]) -> Result<Record> {
    let mut from = Fields(versioned(value)?);
    let [length] = from.take()?;
    let (state, body) = from.0.split_at_checked(length.into()).ok_or_else(malformed)?;
    Ok(Record { id, state: State(text(state)?.into()), body: text(body)? })
}

pub(super) fn encode_job(job: &Job) -> Vec<u8> {
    let parts: [&[u8]; 5] = [&[code(job.queue)], &encode_instant(job.due), job.record.0.as_bytes(), &job.attempt.to_be_bytes(), job.note.as_bytes()];
    join(VERSION, &parts)
}

pub(super) fn decode_job(id: JobId, value: &[u8]) -> Result<Job> {
    let mut from = Fields(versioned(value)?);
    let [letter] = from.take()?;
    let queue = Queue::ALL.into_iter().find(|queue| code(*queue) == letter).ok_or_else(malformed)?;
    let due = decode_instant(&from.take::<16>()?)?;
    let record = RecordId(uuid::Uuid::from_bytes(from.take()?));
    let attempt = u32::from_be_bytes(from.take()?);
    Ok(Job { id, queue, record, due, attempt, note: text(from.0)? })
}

/// What of a value is not read yet.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk().ok_or_else(malformed)?;
        self.0 = rest;
        Ok(*field)
    }
}

fn versioned(value: &[u8]) -> Result<&[u8]> {
    value.strip_prefix(&[VERSION]).ok_or_else(malformed)
}

pub(super) fn text(octets: &[u8]) -> Result<String> {
    String::from_utf8(octets.to_vec()).map_err(|_| malformed())
}

pub(super) fn malformed() -> IndexError {
    IndexError::Damaged("a value in it is not understood".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_in_the_order_of_their_octets_and_read_back() {
        let seconds = [Timestamp::MIN.as_second(), -1, 0, 1, 1_800_000_000, Timestamp::MAX.as_second()];
        let instants = seconds.map(|second| Timestamp::from_second(second).unwrap());
        assert!(instants.map(encode_instant).is_sorted());
        for instant in instants {
            assert_eq!(decode_instant(&encode_instant(instant)).unwrap(), instant);
        }
    }

    #[test]
    fn the_widest_keys_and_values_stay_in_the_cage() {
        use crate::store::{MAX_KEY, MAX_NOTE, MAX_STATE};
        let id = uuid::Uuid::max();
        let state = State("s".repeat(MAX_STATE).into());
        let record = Record { id: RecordId(id), state: state.clone(), body: "b".repeat(Record::MAX_BODY) };
        let job = Job { id: JobId(id), queue: Queue::Seal, record: RecordId(id), due: Timestamp::MAX, attempt: 1, note: "n".repeat(MAX_NOTE) };
        assert!(state_key(&state, RecordId(id)).len() <= 64 && queue_key(&job).len() <= 64 && MAX_KEY < 64);
        assert!(encode_record(&record).unwrap().len() <= 4096 && encode_job(&job).len() <= 4096);
        assert_eq!(decode_record(record.id, &encode_record(&record).unwrap()).unwrap(), record);
        assert_eq!(decode_job(job.id, &encode_job(&job)).unwrap(), job);
    }

    #[test]
    fn values_that_are_cut_off_are_damage() {
        let mark = encode_mark(Mark { seq: 1, offset: 2, hash: Sha256([3; 32]) });
        for cut in 0..mark.len() {
            assert!(matches!(decode_mark(&mark[..cut]), Err(IndexError::Damaged(_))));
        }
    }
}
