//! What is deleted of an outgoing message when its time is over, and by which marks it was known.
//!
//! Content are the mail, the envelope and the request as it was sent. What a receipt proves is no content: both receipts
//! and what stands before the request (its receipt's counterpart) stay as long as the record.

use jiff::Timestamp;

use super::accept::Link;
use super::state::{Cargo, Ended, Outgoing};
use super::turn;
use crate::ident::ConversationId;
use crate::port::{BlobKind, Doomed, JobId, Key, Retained};

impl Ended {
    /// Whether it has content: a message receipt of ours has none.
    #[must_use]
    pub fn has_content(&self) -> bool {
        matches!(self.cargo, Cargo::Letter(_)) && !matches!(self.retained, Retained::Gone { .. })
    }

    /// Whether a blob of this kind is content.
    #[must_use]
    pub fn is_content(kind: BlobKind) -> bool {
        matches!(kind, BlobKind::Mail | BlobKind::Envelope | BlobKind::Request | BlobKind::Message)
    }

    /// The next state: these blobs are being deleted.
    #[must_use]
    pub fn doomed(self, blobs: Vec<Doomed>) -> Outgoing {
        Outgoing::Ended(Self { retained: Retained::Going(blobs), ..self })
    }

    /// The next state: they are gone. Of a request what stands before it stays.
    #[must_use]
    pub fn gone(self, at: Timestamp) -> Outgoing {
        let gone: Vec<_> = match &self.retained {
            Retained::Going(blobs) => blobs.iter().filter(|blob| blob.kind != BlobKind::Request).map(|blob| blob.id).collect(),
            Retained::Whole | Retained::Gone { .. } => Vec::new(),
        };
        let kept = self.kept.iter().copied().filter(|id| !gone.contains(id)).collect();
        Outgoing::Ended(Self { kept, retained: Retained::Gone { at }, ..self })
    }

    /// Its conversation; that of a receipt is the other side's to hold.
    #[must_use]
    pub fn conversation(&self) -> Option<&ConversationId> {
        match &self.cargo {
            Cargo::Letter(letter) => Some(&letter.conversation_id),
            Cargo::Reply(_) => None,
        }
    }

    /// The marks by which it is found, and its place in its conversation.
    #[must_use]
    pub fn marks(&self) -> Vec<Key> {
        let Cargo::Letter(letter) = &self.cargo else { return Vec::new() };
        let mail = letter.mail_message_id.as_ref().map(|id| Link::mail(id, &letter.participant, &letter.to_function));
        [Link::sent(&letter.message_id), turn::last(letter), turn::next(letter.record)].into_iter().chain(mail).collect()
    }

    /// The jobs that need what is kept of it: while one is there nothing is deleted.
    #[must_use]
    pub fn needed_by(&self) -> Vec<JobId> {
        const TELLING: [&str; 9] = ["accepted", "rejected", "failed", "late", "delayed", "delayed-held", "delayed-receipt", "alarm", "contradiction"];
        let record = self.cargo.record();
        let name = |name: &&str| match &self.cargo {
            Cargo::Letter(letter) => letter.telling(name),
            Cargo::Reply(_) => (*name).to_owned(),
        };
        TELLING.iter().map(|told| JobId::of(record, &format!("tell-{}", name(told)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::outbound::state::End;
    use crate::outbound::state::tests::letter;

    #[test]
    fn a_message_is_forgotten_with_its_place_in_its_conversation() {
        let (letter, at) = (letter(), Timestamp::UNIX_EPOCH);
        let cargo = Cargo::Letter(letter.clone());
        let ended = Ended { cargo, end: End::Accepted, at, late_told: false, kept: Vec::new(), retained: Retained::Whole };
        let marks = ended.marks();
        assert!(marks.contains(&turn::last(&letter)) && marks.contains(&turn::next(letter.record)), "{marks:?}");
    }
}
