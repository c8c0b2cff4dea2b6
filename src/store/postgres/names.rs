//! What a line of the journal is found by: hashes of the ids that its events name, and of the hours in which they happened.
//!
//! They stand in a column of their own with an index over each. Two ids may have one hash, so a line that is found is looked at.
//! `verify` computes them again: who changes what is a name (`Field::is_name`, `find::fold`, this file) empties the column with a
//! migration, and nodes name the lines anew.

use jiff::{SignedDuration, Timestamp};

use crate::event::Event;
use crate::store::journal::find::{Want, hash, ids};

/// A longer while than this is no help in finding lines.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 62);
const HOUR: i64 = 3_600;

/// The names of a line with these events, sorted.
pub(super) fn of(events: &[Event]) -> Vec<i32> {
    let mut names: Vec<i32> = events.iter().flat_map(ids).map(|id| signed(hash(&id))).collect();
    names.extend(events.iter().map(|event| hour(event.at.as_second().div_euclid(HOUR))));
    names.sort_unstable();
    names.dedup();
    names
}

/// As an array is written in SQL.
pub(super) fn text(names: &[i32]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    format!("{{{}}}", names.join(","))
}

/// The names of which a line has one, if it tells of what is looked for by its ids; none when no id is.
pub(super) fn wanted(want: &Want) -> Option<Vec<i32>> {
    (!want.ids.is_empty()).then(|| want.ids.iter().map(|id| signed(hash(id))).collect())
}

/// The names of which a line has one, if something happened then; none when any time is meant, or a very long one.
pub(super) fn hours(want: &Want) -> Option<Vec<i32>> {
    let (first, last) = want.window.filter(|(first, last)| first.duration_until(*last) <= LONGEST)?;
    let of = |at: Timestamp| at.as_second().div_euclid(HOUR);
    Some((of(first)..=of(last)).map(hour).collect())
}

fn hour(number: i64) -> i32 {
    // No id has white space in front: those of events are folded.
    signed(hash(&format!(" hour {number}")))
}

const fn signed(hash: u32) -> i32 {
    i32::from_be_bytes(hash.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventName, Field};

    #[test]
    fn a_line_has_the_names_by_which_it_is_sought() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let event = Event::new(at(HOUR * 5 - 1), EventName::Sealed).with(Field::MessageId, "Ab").with(Field::Cause, "no name");
        let names = of(std::slice::from_ref(&event));
        assert_eq!(names.len(), 2);
        assert_eq!(text(&[-1, 2]), "{-1,2}");
        let want = |id: &str, window| Want { ids: std::iter::once(id.to_owned()).collect(), window };
        let meets = |wanted: Option<Vec<i32>>| wanted.unwrap().iter().any(|name| names.binary_search(name).is_ok());
        assert!(meets(wanted(&want("ab", None))) && !meets(wanted(&want("no name", None))));
        assert!(meets(hours(&want("", Some((at(HOUR * 4 + 7), at(HOUR * 4 + 8)))))));
        assert!(!meets(hours(&want("", Some((at(HOUR * 5), at(HOUR * 9)))))));
        assert_eq!(wanted(&Want::default()), None);
        assert_eq!(hours(&want("", Some((at(0), at(HOUR * 24 * 63))))), None);
        assert!(meets(hours(&want("", Some((at(-5), at(HOUR * 24 * 60)))))));
    }
}
