//! Thread-Index: MAPI's conversation index (PidTagConversationIndex) as a header field, in base64.
//!
//! Outlook makes one of 22 octets for a new mail (a 1, five octets of time, a GUID) and appends five for each answer or
//! forward; Exchange carries it along where it rewrites Message-IDs. What we deliver has
//!
//! ```text
//! 01 + time      6 octets, always the same: all mails of a conversation share the first 22
//! GUID          16 octets, a digest of conversation and ends: Outlook groups by it
//! conversation  16 octets ┐
//! message       16 octets ├ the room of eight answers
//! check          4 octets │ over both ids: it is ours
//! seal           4 octets ┘ over both ids and the ends
//! ```
//!
//! so that an answer, which has five octets more, names the very mail that it answers. The ids themselves do not make the
//! GUID: a message that names a stranger's conversation would be shown among its mails.

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, Engine as _};
use uuid::Uuid;

use super::{Ends, digest};
use crate::ident::{ConversationId, Domain, MessageId};

/// The upper six octets of a FILETIME, which counts 100 ns since 1601: the beginning of 2024.
const BEGINNING: [u8; 6] = [0x01, 0xDA, 0x3C, 0x45, 0x00, 0x00];
/// Longest field that is read: ours with a few hundred answers.
const FIELD_MAX: usize = 4096;
/// Octets before our own ones: [`BEGINNING`] and GUID.
const HEADER: usize = 22;

const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// A Thread-Index of this gateway's make, out of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message that was delivered with it.
    pub message: MessageId,
    check: [u8; 4],
    seal: [u8; 4],
}

/// The Thread-Index of the mail that a message is delivered as.
#[must_use]
pub fn write(conversation: &ConversationId, message: &MessageId, ends: &Ends<'_>, gateway: &Domain) -> String {
    let both = both(conversation, message);
    let guid: [u8; 16] = ends.seal(&format!("guid {}", conversation.folded()), gateway);
    let (check, seal) = (check(&both, gateway), ends.seal::<4>(&both, gateway));
    let parts: [&[u8]; 6] = [&BEGINNING, &guid, &octets(conversation.as_str()), &octets(message.as_str()), &check, &seal];
    STANDARD.encode(parts.concat())
}

/// Reads the field; `None` when it is none or nobody's of us.
#[must_use]
pub fn read(field: &str, gateway: &Domain) -> Option<Index> {
    if field.len() > FIELD_MAX {
        return None;
    }
    let text: String = field.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let decoded = LENIENT.decode(text).ok()?;
    let (conversation, rest) = decoded.get(HEADER..)?.split_first_chunk::<16>()?;
    let (message, rest) = rest.split_first_chunk::<16>()?;
    let (own, rest) = rest.split_first_chunk::<4>()?;
    let (seal, _) = rest.split_first_chunk::<4>()?;
    let text = |id: &[u8; 16]| Uuid::from_bytes(*id).to_string();
    let (conversation, message) = (ConversationId::new(text(conversation)).ok()?, MessageId::new(text(message)).ok()?);
    let index = Index { check: *own, seal: *seal, conversation, message };
    (index.check == check(&both(&index.conversation, &index.message), gateway)).then_some(index)
}

impl Index {
    /// Whether it was made for these ends.
    #[must_use]
    pub fn is_between(&self, ends: &Ends<'_>, gateway: &Domain) -> bool {
        self.seal == ends.seal::<4>(&both(&self.conversation, &self.message), gateway)
    }
}

fn both(conversation: &ConversationId, message: &MessageId) -> String {
    format!("{} {}", conversation.folded(), message.folded())
}

fn check(both: &str, gateway: &Domain) -> [u8; 4] {
    digest(&format!("index {both}\n{}", gateway.folded()))
}

/// Checked when the id was made.
fn octets(id: &str) -> [u8; 16] {
    Uuid::try_parse(id).unwrap_or_default().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const C: &str = "7bc5576a-3f87-4cf5-a0c5-277da06fcacb";
    const M: &str = "11111111-2222-4333-8444-555555555555";

    fn with_ends(test: impl FnOnce(&Ends<'_>, &Domain)) {
        let (habo, af, soc) = ("0203:habo.se".parse().unwrap(), "0203:af.se".parse().unwrap(), "soc".parse().unwrap());
        test(&Ends { organisation: &habo, function: &soc, other: &af }, &Domain::new("sdk.habo.se").unwrap());
    }

    #[test]
    fn an_answer_of_outlook_names_the_mail_that_it_answers() {
        with_ends(|ends, gateway| {
            let (conversation, message) = (C.to_uppercase().parse().unwrap(), M.parse().unwrap());
            let field = write(&conversation, &message, ends, gateway);
            for children in [0, 1, 30] {
                let mut octets = STANDARD.decode(&field).unwrap();
                assert_eq!(octets.len(), 22 + 8 * 5);
                octets.extend(std::iter::repeat_n([0x80, 1, 2, 3, 0x10], children).flatten());
                let answer = STANDARD.encode(octets);
                let folded = format!(" {}\r\n\t{}", &answer[..40], answer[40..].trim_end_matches('='));
                let index = read(&folded, gateway).unwrap();
                assert_eq!((&index.conversation, &index.message), (&conversation, &message));
                assert!(index.is_between(ends, gateway));
                let fk = "0203:fk.se".parse().unwrap();
                assert!(!index.is_between(&Ends { other: &fk, ..*ends }, gateway));
            }
        });
    }

    #[test]
    fn mails_of_one_conversation_begin_alike_and_no_others_do() {
        with_ends(|ends, gateway| {
            let write = |conversation: &str, message: &str, ends: &Ends<'_>| {
                let field = write(&conversation.parse().unwrap(), &message.parse().unwrap(), ends, gateway);
                STANDARD.decode(field).unwrap()[..22].to_vec()
            };
            assert_eq!(write(C, C, ends), write(C, M, ends));
            assert_ne!(write(C, C, ends), write(M, C, ends));
            // A stranger who names the conversation is not shown in it.
            let fk = "0203:fk.se".parse().unwrap();
            assert_ne!(write(C, C, ends), write(C, C, &Ends { other: &fk, ..*ends }));
        });
    }

    #[test]
    fn what_others_write_is_no_index_of_ours() {
        with_ends(|ends, gateway| {
            let ours = write(&C.parse().unwrap(), &M.parse().unwrap(), ends, gateway);
            assert_eq!(read(&ours, &Domain::new("sdk.sigtuna.se").unwrap()), None);
            let mut damaged = STANDARD.decode(&ours).unwrap();
            damaged[30] ^= 1;
            let outlook = STANDARD.encode([1, 0xDA, 1, 2, 3, 4].iter().chain(&[7; 81]).copied().collect::<Vec<u8>>());
            for field in [STANDARD.encode(damaged), outlook, ours[..60].to_owned(), "å".repeat(9), "A".repeat(9000), String::new()] {
                assert_eq!(read(&field, gateway), None, "{field}");
            }
        });
    }
}
