//! Which conversation a mail belongs to, decided from the traces that it carries (`mail/thread` says which).
//!
//! The traces are asked in their order, In-Reply-To and References, Thread-Index, quoted text, and the first that leads
//! somewhere decides. None of them joins what does not belong together: a message that the store knows must be between the
//! mail's own ends (our mailbox, the recipient's organisation), and what the store knows no longer must be sealed for them.
//! In doubt the mail begins a new conversation, and the journal says why.

use super::accept::Link;
use crate::ident::{ConversationId, MessageId};

/// What one trace led to, seen from the ends of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A message between these ends that the store knows, sent or received.
    Known(Link),
    /// A conversation sealed for these ends, and the message in it where the trace tells.
    Sealed(ConversationId, Option<MessageId>),
    /// A message id of our make that the store does not know, or no longer.
    Named(MessageId),
    /// It is between other ends.
    Other,
    /// Nothing of ours.
    Foreign,
}

/// What the traces of a mail led to, for one recipient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traces {
    /// In-Reply-To, then References from the newest; as far as the first [`Found::Known`].
    pub chain: Vec<Found>,
    /// Thread-Index.
    pub index: Option<Found>,
    /// The quoted text, the newest mail first.
    pub quoted: Vec<Found>,
}

/// What a mail to one recipient is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It answers or completes a message of this conversation; which one is not known in every case.
    Answer(ConversationId, Option<MessageId>),
    /// It begins a conversation.
    New,
    /// It begins one, though it names another: why it does not join that.
    Doubt(&'static str),
}

const OTHER: &str = "a new conversation: the mail answers a message of another organisation or mailbox";
const SEVERAL: &str = "a new conversation: the mail names messages of several";

/// Decides for one recipient.
#[must_use]
pub fn decide(traces: &Traces) -> Verdict {
    let index = traces.index.as_ref().and_then(joined);
    if let Some((conversation, message, exact)) = of_chain(&traces.chain) {
        // Where the mail server rewrote the Message-ID, References lead to an older mail and the index to the answered one.
        let newer = index.filter(|(of, named)| !exact && *of == conversation && named.is_some()).and_then(|(_, named)| named);
        return Verdict::Answer(conversation, newer.or(message));
    }
    if let Some((conversation, message)) = index {
        return Verdict::Answer(conversation, message);
    }
    let others = |found: &[Found]| found.contains(&Found::Other);
    if others(&traces.chain) || others(&traces.quoted) || traces.index == Some(Found::Other) {
        return Verdict::Doubt(OTHER);
    }
    let mut quoted = traces.quoted.iter().filter_map(joined);
    match quoted.next() {
        Some((conversation, message)) if quoted.all(|(other, _)| other == conversation) => Verdict::Answer(conversation, message),
        Some(_) => Verdict::Doubt(SEVERAL),
        None => Verdict::New,
    }
}

/// Conversation, message, and whether that is the very one that is answered.
fn of_chain(chain: &[Found]) -> Option<(ConversationId, Option<MessageId>, bool)> {
    let known = chain.iter().enumerate().find_map(|(at, found)| match found {
        Found::Known(link) => Some((link.conversation.clone(), Some(link.message.clone()), at == 0)),
        _ => None,
    });
    known.or_else(|| {
        let (conversation, _) = chain.iter().find_map(joined)?;
        let named = chain.iter().enumerate().find_map(|(at, found)| match found {
            Found::Named(message) => Some((at, message.clone())),
            _ => None,
        });
        let exact = named.as_ref().is_some_and(|(at, _)| *at == 0);
        Some((conversation, named.map(|(_, message)| message), exact))
    })
}

fn joined(found: &Found) -> Option<(ConversationId, Option<MessageId>)> {
    match found {
        Found::Known(link) => Some((link.conversation.clone(), Some(link.message.clone()))),
        Found::Sealed(conversation, message) => Some((conversation.clone(), message.clone())),
        Found::Named(_) | Found::Other | Found::Foreign => None,
    }
}

/// What the messages of one mail have of conversations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Threads {
    /// The conversation that all of them join; none when they begin one.
    pub conversation: Option<ConversationId>,
    /// For each recipient the message that it gets an answer to. Who did not get that message does not get its id either.
    pub answers: Vec<Option<MessageId>>,
    /// For each recipient why its message answers nothing though the mail says so.
    pub doubts: Vec<Option<&'static str>>,
}

/// Joins the verdicts on all recipients of a mail: a mail is one conversation.
#[must_use]
pub fn join(verdicts: Vec<Verdict>) -> Threads {
    let mut joined = verdicts.iter().filter_map(|verdict| match verdict {
        Verdict::Answer(conversation, _) => Some(conversation.clone()),
        Verdict::New | Verdict::Doubt(_) => None,
    });
    let conversation = joined.next();
    if joined.any(|other| Some(&other) != conversation.as_ref()) {
        let doubts = verdicts.iter().map(|_| Some(SEVERAL)).collect();
        return Threads { conversation: None, answers: vec![None; verdicts.len()], doubts };
    }
    let (answers, doubts) = verdicts
        .into_iter()
        .map(|verdict| match verdict {
            Verdict::Answer(_, message) => (message, None),
            Verdict::New => (None, None),
            Verdict::Doubt(why) => (None, Some(why)),
        })
        .unzip();
    Threads { conversation, answers, doubts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::RecordId;

    fn id(n: u128) -> String {
        uuid::Uuid::from_u128(n).to_string()
    }

    fn conversation(n: u128) -> ConversationId {
        id(n).parse().unwrap()
    }

    fn message(n: u128) -> MessageId {
        id(n).parse().unwrap()
    }

    fn known(of: u128, n: u128) -> Found {
        Found::Known(Link { conversation: conversation(of), message: message(n), record: RecordId(uuid::Uuid::nil()) })
    }

    fn answer(of: u128, n: u128) -> Verdict {
        Verdict::Answer(conversation(of), Some(message(n)))
    }

    fn chain(chain: &[Found]) -> Traces {
        Traces { chain: chain.to_vec(), ..Traces::default() }
    }

    #[test]
    fn the_answered_mail_decides_whatever_else_is_named() {
        let mut traces = chain(&[known(1, 5)]);
        traces.index = Some(Found::Sealed(conversation(1), Some(message(4))));
        traces.quoted = vec![known(2, 9), Found::Other];
        assert_eq!(decide(&traces), answer(1, 5));
    }

    #[test]
    fn where_the_message_id_was_rewritten_the_index_names_the_answered_mail() {
        let mut traces = chain(&[Found::Foreign, known(1, 3)]);
        assert_eq!(decide(&traces), answer(1, 3));
        traces.index = Some(Found::Sealed(conversation(1), Some(message(4))));
        assert_eq!(decide(&traces), answer(1, 4));
        traces.index = Some(Found::Sealed(conversation(2), Some(message(4))));
        assert_eq!(decide(&traces), answer(1, 3), "the index of another conversation says nothing");
        assert_eq!(decide(&Traces { chain: vec![Found::Foreign], ..traces }), answer(2, 4));
    }

    #[test]
    fn what_the_store_forgot_is_joined_by_its_seal_only() {
        let mark = Found::Sealed(conversation(1), None);
        assert_eq!(decide(&chain(&[Found::Named(message(5)), mark.clone()])), answer(1, 5));
        assert_eq!(decide(&chain(&[Found::Foreign, mark])), Verdict::Answer(conversation(1), None));
        assert_eq!(decide(&chain(&[Found::Named(message(5)), Found::Named(message(1))])), Verdict::New);
        assert_eq!(decide(&chain(&[Found::Named(message(5)), Found::Other])), Verdict::Doubt(OTHER));
    }

    #[test]
    fn quoted_text_joins_only_what_agrees() {
        let quoted = |quoted: &[Found]| decide(&Traces { quoted: quoted.to_vec(), ..Traces::default() });
        assert_eq!(quoted(&[known(1, 5), Found::Named(message(8)), known(1, 3)]), answer(1, 5));
        assert_eq!(quoted(&[known(1, 5), known(2, 3)]), Verdict::Doubt(SEVERAL));
        assert_eq!(quoted(&[known(1, 5), Found::Other]), Verdict::Doubt(OTHER));
        assert_eq!(quoted(&[Found::Named(message(5))]), Verdict::New);
        let forwarded = Traces { chain: vec![Found::Other], quoted: vec![known(1, 5)], ..Traces::default() };
        assert_eq!(decide(&forwarded), Verdict::Doubt(OTHER));
    }

    #[test]
    fn a_mail_to_several_is_one_conversation_and_names_to_each_only_what_it_knows() {
        let threads = join(vec![answer(1, 5), Verdict::Doubt(OTHER), answer(1, 6), Verdict::New]);
        assert_eq!(threads.conversation, Some(conversation(1)));
        assert_eq!(threads.answers, [Some(message(5)), None, Some(message(6)), None]);
        assert_eq!(threads.doubts, [None, Some(OTHER), None, None]);
        let torn = join(vec![answer(1, 5), answer(2, 6)]);
        assert_eq!((torn.conversation, torn.answers, torn.doubts), (None, vec![None, None], vec![Some(SEVERAL), Some(SEVERAL)]));
    }
}
