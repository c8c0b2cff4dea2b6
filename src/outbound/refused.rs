//! File types that a receiving function has refused: remembered from its message receipts, so that the next mail with
//! such a file is refused while its sender still has it.
//!
//! Each function decides itself which types it takes beside PDF (SDK B1.3.3 4.3.3.3), and tells it in no other way.

use jiff::{SignedDuration, Timestamp};

use crate::ident::{FunctionId, ParticipantId};
use crate::port::{Key, Op};
use crate::sdk::receipt::{Outcome, Receipt};
use crate::sdk::rules::{Breach, Detail};

/// SDK B1.3.3 4.3.3.3: every receiver takes PDF. Where one refuses it, something else is wrong.
const ALWAYS_TAKEN: &str = "application/pdf";

/// Where it is remembered.
#[must_use]
pub fn key(participant: &ParticipantId, function: &FunctionId, media_type: &str) -> Key {
    Key::new("refused", &format!("{} {} {}", participant.folded(), function.folded(), media_type.to_ascii_lowercase()))
}

/// Whether a receipt names the type of a file as what was wrong: then the types of the message's files are worth knowing.
#[must_use]
pub fn names_a_type(receipt: &Receipt) -> bool {
    matches!(&receipt.outcome, Outcome::Rejected(lines) if lines.iter().any(is_of_type))
}

/// What a receipt makes remembered. `types` are the media types of the message's files, in their order.
pub fn remembered(receipt: &Receipt, participant: &ParticipantId, function: &FunctionId, types: &[String], at: Timestamp) -> Vec<Op> {
    let Outcome::Rejected(lines) = &receipt.outcome else { return Vec::new() };
    let mut named: Vec<&String> = lines.iter().filter(|line| is_of_type(line)).filter_map(|line| named(&line.line, types)).collect();
    named.sort_unstable();
    named.dedup();
    named
        .into_iter()
        .filter(|media_type| !media_type.eq_ignore_ascii_case(ALWAYS_TAKEN))
        .map(|media_type| Op::Note(key(participant, function, media_type), at.to_string()))
        .collect()
}

/// When a type was refused, by its note; `None` when that is too long ago to count.
#[must_use]
pub fn when(note: &str, now: Timestamp, memory: SignedDuration) -> Option<Timestamp> {
    note.parse::<Timestamp>().ok().filter(|at| now.duration_since(*at) < memory)
}

fn is_of_type(line: &Breach) -> bool {
    line.detail == Detail::NotSupported && line.line.to_ascii_lowercase().contains("contenttype")
}

/// The type of the file that an XPath such as `…/ContentFiles[2]/contentType` names; the only one, where it names none.
fn named<'a>(line: &str, types: &'a [String]) -> Option<&'a String> {
    let lower = line.to_ascii_lowercase();
    let number = lower.rsplit_once("contentfiles").and_then(|(_, rest)| {
        let (number, _) = rest.strip_prefix('[').or_else(|| rest.split_once("'][").map(|(_, tail)| tail))?.split_once(']')?;
        number.trim().parse::<usize>().ok()
    });
    match (number, types) {
        (Some(number), _) => types.get(number.checked_sub(1)?),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdk::rules::ReasonCode;

    fn ops(lines: &[(Detail, &str)], types: &[&str]) -> Vec<Op> {
        let receipt = Receipt {
            id: "r".into(),
            issued: Timestamp::UNIX_EPOCH,
            sender: "0203:b.se".parse().unwrap(),
            receiver: "0203:a.se".parse().unwrap(),
            refers_to: "7bc5576a-3f87-4cf5-a0c5-277da06fcacb".parse().unwrap(),
            outcome: Outcome::Rejected(lines.iter().map(|(detail, line)| Breach::new(ReasonCode::Bv, *detail, *line, "Provat.")).collect()),
        };
        let types: Vec<String> = types.iter().map(|kind| (*kind).to_owned()).collect();
        remembered(&receipt, &"0203:b.se".parse().unwrap(), &"f".parse().unwrap(), &types, Timestamp::UNIX_EPOCH)
    }

    fn noted(media_type: &str) -> Op {
        Op::Note(key(&"0203:B.se".parse().unwrap(), &"F".parse().unwrap(), media_type), Timestamp::UNIX_EPOCH.to_string())
    }

    #[test]
    fn the_type_that_a_receipt_names_is_remembered_and_pdf_never() {
        let at = "/messagePayload/message/messageBody/documents[1]/ContentFiles[2]/contentType";
        let types = ["application/pdf", "image/png"];
        assert_eq!(ops(&[(Detail::NotSupported, at)], &types), [noted("image/png")]);
        assert_eq!(ops(&[(Detail::NotSupported, at), (Detail::NotSupported, at)], &types), [noted("image/png")], "once");
        assert_eq!(ops(&[(Detail::NotSupported, &at.replace('2', "1"))], &types), []);
        assert_eq!(ops(&[(Detail::NotSupported, "//ContentFiles/contentType")], &["image/gif"]), [noted("image/gif")]);
        assert_eq!(ops(&[(Detail::NotSupported, "//ContentFiles/contentType")], &types), [], "which of the two?");
        assert_eq!(ops(&[(Detail::NotSupported, "/messageHeader/refToMessageId")], &types), []);
        assert_eq!(ops(&[(Detail::TooLong, at)], &types), []);
    }

    #[test]
    fn a_refusal_is_forgotten_in_time() {
        let (memory, note) = (SignedDuration::from_hours(24), Timestamp::UNIX_EPOCH.to_string());
        let later = |hours| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        assert_eq!(when(&note, later(23), memory), Some(Timestamp::UNIX_EPOCH));
        assert_eq!(when(&note, later(24), memory), None);
        assert_eq!(when("x", later(1), memory), None);
    }
}
