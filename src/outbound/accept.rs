//! Taking a mail in: one SMTP transaction becomes one record per recipient, durable before 250.
//!
//! The transaction itself is the header of the mail's blob. So a blob that a crash left without records can be taken
//! in at the next start by the same step, with the same ids.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::{Letter, Notify, Outgoing, Scheduled};
use super::thread::Threads;
use super::told;
use super::turn;
use crate::crypto::sha256;
use crate::event::{Event, EventName, Field};
use crate::failure::{Blame, Failure, Stage};
use crate::ident::{ConversationId, Domain, FunctionId, MailAddress, MessageId, ParticipantId, RecordId, Sha256};
use crate::port::{Blob, BlobId, BlobKind, Guard, Job, JobId, Key, Op, Queue, Step};

/// One accepted recipient of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Our name for the message to it.
    pub record: RecordId,
    /// The SDK message's id.
    pub message_id: MessageId,
    /// `RCPT TO`.
    pub address: MailAddress,
    /// The organisation in the address.
    pub participant: ParticipantId,
    /// The function in the address.
    pub function: FunctionId,
    /// When to tell the sender.
    pub notify: Notify,
    /// `ORCPT`.
    pub orcpt: Option<String>,
}

/// One SMTP transaction, all that is known before its DATA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Its name, in our 250 and in the journal.
    pub id: uuid::Uuid,
    /// When DATA began.
    pub at: Timestamp,
    /// Whose mailbox sends.
    pub organisation: ParticipantId,
    /// The mailbox's function.
    pub function: FunctionId,
    /// `MAIL FROM`.
    pub sender: MailAddress,
    /// `ENVID`.
    pub envid: Option<String>,
    /// At least one.
    pub recipients: Vec<Recipient>,
    /// The address of the mail server that sent it, or had it in a folder.
    pub peer: String,
    /// As whom it had logged in, or whose certificate it showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// What `X-OriginatorOrg` must say in the mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub originator: Option<Domain>,
    /// Where it lay, when it was found in a folder and not sent by SMTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// The place of a mail that was found in a folder: what it is known by, however often it is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Of mailbox, folder, UIDVALIDITY and UID.
    place: Sha256,
    /// UIDVALIDITY.
    validity: u32,
    /// Of mailbox, folder, mail and the time that it came there, with a number for equal ones.
    twin: Option<Sha256>,
}

impl Origin {
    /// The place with this UIDVALIDITY and UID in the folder of a mailbox, both named in any unmistakable way.
    #[must_use]
    pub fn new(account: &str, folder: &str, validity: u32, uid: u32) -> Self {
        Self { place: sha256(format!("{account}\n{folder}\n{validity}\n{uid}").as_bytes()), validity, twin: None }
    }

    /// The mark of a mail that was settled.
    #[must_use]
    pub fn mark(&self) -> Key {
        Key::new("imap", &short(&self.place))
    }

    /// The keys of a mail that is recognised although UIDVALIDITY has changed: by what it is and when it came. Equal mails that
    /// came in the same second have a key each.
    pub fn twins(account: &str, folder: &str, mail: Sha256, internal_date: &str) -> impl Iterator<Item = Twin> {
        let (account, folder, internal_date) = (account.to_owned(), folder.to_owned(), internal_date.to_owned());
        (0..TWINS).map(move |number| Twin(sha256(format!("{account}\n{folder}\n{mail}\n{internal_date}\n{number}").as_bytes())))
    }

    /// With the key that it is to be recognised by.
    #[must_use]
    pub fn known_by(self, twin: Twin) -> Self {
        Self { twin: Some(twin.0), ..self }
    }

    /// What is noted with the mail, beside its mark.
    fn note(&self, what: Told) -> Option<Op> {
        self.twin.as_ref().map(|twin| Op::Note(Twin(*twin).key(), format!("{} {}", self.validity, what.word())))
    }

    /// The step that notes of a mail what became of it, where nothing else is noted of it.
    #[must_use]
    pub fn settled(&self, what: Told, now: Timestamp) -> Step {
        let twin = self.twin.map(|twin| short(&twin)).unwrap_or_default();
        let mut step = Step::new().op(Op::Note(self.mark(), format!("{} {now} {twin}", what.word())));
        step.ops.extend(self.note(what));
        step
    }

    /// What the note of a mark says.
    #[must_use]
    pub fn told(note: &str) -> Told {
        if note.starts_with(Told::Refused.word()) { Told::Refused } else { Told::Taken }
    }

    /// The step that forgets it; `note` is what stands at its mark.
    #[must_use]
    pub fn forgotten(&self, note: &str) -> Step {
        let step = Step::new().op(Op::Forget(self.mark()));
        match note.split(' ').nth(2).filter(|twin| twin.len() == SHORT) {
            Some(twin) => step.op(Op::Forget(Key::new("twin", twin))),
            None => step,
        }
    }
}

/// What became of a mail in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It is ours.
    Taken,
    /// It was refused.
    Refused,
}

impl Told {
    const fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Refused => "refused",
        }
    }
}

/// Equal mails of one second that can be told apart.
const TWINS: u32 = 16;
/// Characters of a digest that make a key.
const SHORT: usize = 40;

fn short(digest: &Sha256) -> String {
    digest.to_string().chars().take(SHORT).collect()
}

/// A key that a mail is recognised by when UIDVALIDITY has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Twin(Sha256);

impl Twin {
    /// Where its note stands.
    #[must_use]
    pub fn key(self) -> Key {
        Key::new("twin", &short(&self.0))
    }

    /// What became of the mail, when its note was made under another UIDVALIDITY than this: then it is the same mail. Under
    /// the same UIDVALIDITY it is another one that is equal.
    #[must_use]
    pub fn told(note: &str, validity: u32) -> Option<Told> {
        let (under, word) = note.split_once(' ')?;
        (under.parse() != Ok(validity)).then_some(if word == Told::Refused.word() { Told::Refused } else { Told::Taken })
    }
}

/// The conversation that a mail belongs to, found by the ids of the mails that it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message that is answered or completed.
    pub message: MessageId,
    /// Its record.
    pub record: RecordId,
}

impl Link {
    /// Where the link of a received message stands.
    #[must_use]
    pub fn received(message: &MessageId) -> Key {
        Key::new("got", &message.folded())
    }

    /// Where the link of a sent message stands.
    #[must_use]
    pub fn sent(message: &MessageId) -> Key {
        Key::new("sent", &message.folded())
    }

    /// Where the link of a mail of our own stands, by its Message-ID and the recipient that it went to.
    #[must_use]
    pub fn mail(message_id: &str, to: &ParticipantId, function: &FunctionId) -> Key {
        Key::new("mail", &format!("{message_id} {} {}", to.folded(), function.folded()))
    }

    /// The note's value.
    #[must_use]
    pub fn to_note(&self) -> String {
        // Three ids have no way to fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a note's value.
    #[must_use]
    pub fn from_note(note: &str) -> Option<Self> {
        serde_json::from_str(note).ok()
    }
}

/// What a mail says that a record must keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mail {
    /// Its Message-ID, with brackets.
    pub message_id: Option<String>,
    /// Octets.
    pub octets: u64,
    /// SHA-256 of every attachment.
    pub attachments: Vec<Sha256>,
}

impl Transaction {
    /// The blob of the mail, which carries the transaction.
    ///
    /// # Errors
    /// A [`Failure`] when it cannot be written, which only a fault of the program brings about.
    pub fn blob(&self) -> Result<Blob, Failure> {
        let header = serde_json::to_string(self).map_err(|error| Failure::permanent(Stage::Accept, Blame::Us, error.to_string()))?;
        Ok(Blob { id: BlobId(self.id), kind: BlobKind::Mail, header })
    }

    /// Reads the transaction out of a mail's blob.
    ///
    /// # Errors
    /// A [`Failure`] when the header is none.
    pub fn from_blob(blob: &Blob) -> Result<Self, Failure> {
        serde_json::from_str(&blob.header)
            .map_err(|error| Failure::permanent(Stage::Accept, Blame::Us, format!("a mail's header cannot be read: {error}")))
    }

    /// The mark by which this transaction is known when it comes again.
    #[must_use]
    pub fn mark(&self, mail: Sha256) -> Key {
        self.origin.as_ref().map_or_else(|| self.unconfirmed(mail), Origin::mark)
    }

    /// What stands at the mark.
    fn marked(&self, now: Timestamp) -> String {
        let twin = self.origin.as_ref().and_then(|origin| origin.twin).map(|twin| format!(" {}", short(&twin))).unwrap_or_default();
        format!("{} {now}{twin}", self.id.simple())
    }

    /// The mark of this transaction while its client may not have seen our 250: the envelope and the mail's digest.
    ///
    /// RFC 1047: a client that missed our answer sends the same transaction again. It finds this mark, as long as no
    /// command of the client has shown that it did see the answer.
    #[must_use]
    pub fn unconfirmed(&self, mail: Sha256) -> Key {
        let mut recipients: Vec<String> = self.recipients.iter().map(|recipient| recipient.address.folded()).collect();
        recipients.sort();
        let text = format!("{}\n{}\n{}\n{mail}", self.sender.folded(), self.envid.as_deref().unwrap_or_default(), recipients.join("\n"));
        Key::new("250", &sha256(text.as_bytes()).to_string())
    }
}

/// One letter for each recipient of a transaction.
///
/// `threads` is what the mail answers. A transaction to several recipients is one conversation.
///
/// # Errors
/// A [`Failure`] of ours.
pub fn letters(transaction: &Transaction, mail: &Mail, threads: &Threads, now: Timestamp) -> Result<Vec<Letter>, Failure> {
    let first = transaction.recipients.first().map(|recipient| recipient.message_id.as_str()).unwrap_or_default();
    let conversation_id = match &threads.conversation {
        Some(conversation) => conversation.clone(),
        None => ConversationId::new(first).map_err(|error| Failure::permanent(Stage::Accept, Blame::Us, error.to_string()))?,
    };
    let letter = |(at, recipient): (usize, &Recipient)| Letter {
        record: recipient.record,
        mail: BlobId(transaction.id),
        transaction: transaction.id,
        accepted_at: now,
        organisation: transaction.organisation.clone(),
        function: transaction.function.clone(),
        sender: transaction.sender.clone(),
        address: recipient.address.clone(),
        participant: recipient.participant.clone(),
        to_function: recipient.function.clone(),
        message_id: recipient.message_id.clone(),
        conversation_id: conversation_id.clone(),
        in_reply_to: threads.answers.get(at).cloned().flatten(),
        mail_message_id: mail.message_id.clone().filter(|id| id.chars().count() <= 300),
        envid: transaction.envid.clone(),
        orcpt: recipient.orcpt.clone(),
        after: None,
        notify: recipient.notify,
        resent: None,
        octets: Some(mail.octets),
    };
    Ok(transaction.recipients.iter().enumerate().map(letter).collect())
}

/// The step that makes a transaction ours, with the letters that [`letters`] made of it.
///
/// # Errors
/// A [`Failure`] when a record would be too large to keep.
pub fn accept(
    transaction: &Transaction,
    letters: Vec<Letter>,
    threads: &Threads,
    digest: Sha256,
    mail: &Mail,
    now: Timestamp,
) -> Result<Step, Failure> {
    let mark = transaction.mark(digest);
    let mut step = Step::new().guard(Guard::Absent(mark.clone())).op(Op::Note(mark, transaction.marked(now)));
    step.ops.extend(transaction.origin.as_ref().and_then(|origin| origin.note(Told::Taken)));
    let mut conversations = HashSet::new();
    let digests: Vec<String> = mail.attachments.iter().map(|digest| digest.to_string().chars().take(16).collect()).collect();
    let digests = digests.join(" ");
    for (at, letter) in letters.into_iter().enumerate() {
        let last = turn::last(&letter);
        // Who else adds to the conversation meanwhile has to come before or after it.
        if conversations.insert(last.clone()) {
            step = step.guard(letter.after.map_or_else(|| Guard::Absent(last.clone()), |after| Guard::Noted(last.clone(), turn::noted(after))));
        }
        step = step.op(Op::Note(last, turn::noted(letter.record)));
        let own = Link { conversation: letter.conversation_id.clone(), message: letter.message_id.clone(), record: letter.record };
        step = step.op(Op::Note(Link::sent(&letter.message_id), own.to_note()));
        if let Some(id) = &letter.mail_message_id {
            step = step.op(Op::Note(Link::mail(id, &letter.participant, &letter.to_function), own.to_note()));
        }
        let told = told::Accepted {
            octets: mail.octets,
            digests: &digests,
            peer: &transaction.peer,
            account: transaction.account.as_deref(),
            doubt: threads.doubts.get(at).copied().flatten(),
        };
        let event = told::mail_accepted(&letter, &told, now);
        let id = letter.record;
        let record = Outgoing::Scheduled(Scheduled { letter, delay_told: None }).to_record()?;
        step = step
            .guard(Guard::New(id))
            .op(Op::Put(record))
            .op(Op::Enqueue(Job::new(JobId::of(id, "seal"), Queue::Seal, id, now)))
            .op(Op::Audit(event));
    }
    Ok(step)
}

/// The step that drops a mail which a program sent by itself: it is logged, and answered with nothing (RFC 3834 2).
#[must_use]
pub fn drop_automatic(transaction: &Transaction, why: &str, mail: &Mail, now: Timestamp) -> Step {
    let mut event = Event::new(now, EventName::MailDropped)
        .with(Field::Transaction, transaction.id.simple())
        .with(Field::Cause, format!("automatic mail: {why}"))
        .with(Field::PeerAddress, &transaction.peer);
    event.organisation = Some(transaction.organisation.clone());
    if let Some(id) = &mail.message_id {
        event = event.with(Field::MailMessageId, id);
    }
    let step = match &transaction.origin {
        Some(origin) => origin.settled(Told::Taken, now),
        None => Step::new(),
    };
    step.op(Op::Audit(event))
}

/// The event of a transaction that came again before it was confirmed.
#[must_use]
pub fn repeated(transaction: &Transaction, first: &str, now: Timestamp) -> Step {
    let mut event = Event::new(now, EventName::MailRepeated).with(Field::Transaction, first).with(Field::PeerAddress, &transaction.peer);
    event.organisation = Some(transaction.organisation.clone());
    Step::new().op(Op::Audit(event))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction() -> Transaction {
        let recipient = |n: u128, address: &str| Recipient {
            record: RecordId(uuid::Uuid::from_u128(n)),
            message_id: MessageId::new(uuid::Uuid::from_u128(n).to_string()).unwrap(),
            address: address.parse().unwrap(),
            participant: "0203:b.se".parse().unwrap(),
            function: "f".parse().unwrap(),
            notify: Notify { success: false, failure: true, delay: true },
            orcpt: None,
        };
        Transaction {
            id: uuid::Uuid::from_u128(9),
            at: Timestamp::UNIX_EPOCH,
            organisation: "0203:a.se".parse().unwrap(),
            function: "f".parse().unwrap(),
            sender: "f@a.se".parse().unwrap(),
            envid: None,
            recipients: vec![recipient(1, "x@b.se.sdk.a.se"), recipient(2, "y@b.se.sdk.a.se")],
            peer: "127.0.0.1".into(),
            account: None,
            originator: None,
            origin: None,
        }
    }

    #[test]
    fn every_recipient_gets_its_own_message_in_one_conversation() {
        let letters = letters(&transaction(), &Mail::default(), &Threads::default(), Timestamp::UNIX_EPOCH).unwrap();
        let step = accept(&transaction(), letters, &Threads::default(), Sha256([0; 32]), &Mail::default(), Timestamp::UNIX_EPOCH).unwrap();
        let letters: Vec<_> = step
            .ops
            .iter()
            .filter_map(|op| match op {
                Op::Put(record) => Some(Outgoing::from_record(record).unwrap()),
                _ => None,
            })
            .collect();
        let [Outgoing::Scheduled(a), Outgoing::Scheduled(b)] = &letters[..] else { panic!("two letters") };
        assert_eq!(a.letter.conversation_id, b.letter.conversation_id);
        assert_eq!(a.letter.conversation_id.as_str(), a.letter.message_id.as_str());
        assert_ne!(a.letter.message_id, b.letter.message_id);
    }

    #[test]
    fn an_equal_transaction_is_known_by_envelope_and_digest() {
        let (a, mut b) = (transaction(), transaction());
        b.id = uuid::Uuid::from_u128(10);
        b.recipients.reverse();
        assert_eq!(a.unconfirmed(Sha256([1; 32])), b.unconfirmed(Sha256([1; 32])));
        assert_ne!(a.unconfirmed(Sha256([1; 32])), a.unconfirmed(Sha256([2; 32])));
        b.recipients.pop();
        assert_ne!(a.unconfirmed(Sha256([1; 32])), b.unconfirmed(Sha256([1; 32])));
    }

    #[test]
    fn a_transaction_survives_its_blob() {
        assert_eq!(Transaction::from_blob(&transaction().blob().unwrap()).unwrap(), transaction());
        let origin = Origin::new("a", "b", 1, 2).known_by(Origin::twins("a", "b", Sha256([1; 32]), "date").next().unwrap());
        let found = Transaction { origin: Some(origin), ..transaction() };
        assert_eq!(Transaction::from_blob(&found.blob().unwrap()).unwrap(), found);
    }

    #[test]
    fn a_mail_of_a_folder_is_known_by_its_place_alone() {
        let at = |uid| Transaction { origin: Some(Origin::new("a", "b", 1, uid)), ..transaction() };
        let (one, digest) = (at(1), Sha256([1; 32]));
        assert_eq!(one.mark(digest), one.mark(Sha256([2; 32])));
        assert_ne!(one.mark(digest), at(2).mark(digest));
        assert_ne!(Origin::new("a", "b", 1, 1).mark(), Origin::new("a", "b", 2, 1).mark());
        assert_ne!(one.mark(digest), one.unconfirmed(digest));
    }

    #[test]
    fn what_is_noted_of_a_place_is_forgotten_whole() {
        let twin = Origin::twins("a", "b", Sha256([1; 32]), "date").next().unwrap();
        let origin = Origin::new("a", "b", 1, 1).known_by(twin);
        let keys = |step: &Step| {
            let key = |op: &Op| match op {
                Op::Note(key, _) | Op::Forget(key) => Some(key.as_str().to_owned()),
                _ => None,
            };
            step.ops.iter().filter_map(key).filter(|key| key.starts_with("imap/") || key.starts_with("twin/")).collect::<Vec<_>>()
        };
        let settled = origin.settled(Told::Refused, Timestamp::UNIX_EPOCH);
        let Some(Op::Note(_, note)) = settled.ops.first() else { panic!("a note") };
        assert_eq!(keys(&settled), keys(&origin.forgotten(note)));
        let found = Transaction { origin: Some(origin.clone()), ..transaction() };
        let accepted = accept(&found, vec![], &Threads::default(), Sha256([1; 32]), &Mail::default(), Timestamp::UNIX_EPOCH).unwrap();
        let Some(Op::Note(_, note)) = accepted.ops.first() else { panic!("a note") };
        assert_eq!(keys(&accepted), keys(&origin.forgotten(note)));
        assert_eq!(keys(&accepted).len(), 2);
        let dropped = drop_automatic(&found, "List-Id", &Mail::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(keys(&dropped), keys(&accepted));
    }
}
