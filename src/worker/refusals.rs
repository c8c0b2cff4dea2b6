//! File types that a receiving function has refused: looked up before a mail is taken, and once more before it is sealed.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::MailSide;
use super::effects::{blocking, from_store};
use super::reception::Refusal;
use crate::failure::Failure;
use crate::ident::{FunctionId, ParticipantId};
use crate::mail::convert::{self, Outgoing as Mail};
use crate::mail::policy::MailboxPolicy;
use crate::outbound::accept::Transaction;
use crate::outbound::refused;
use crate::outbound::{Letter, Outgoing};
use crate::port::Op;
use crate::sdk::receipt::Receipt;

/// A file that its receiver has refused before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unwelcome {
    /// Which of the mail's files.
    pub(super) file: usize,
    /// Its media type.
    pub(super) media_type: String,
    /// When the receiver refused one of that type.
    pub(super) at: Timestamp,
}

impl MailSide {
    /// The files of a mail whose types the function has refused within the time that is remembered.
    async fn unwelcome(&self, participant: &ParticipantId, function: &FunctionId, mail: &Mail) -> Result<Vec<Unwelcome>, Failure> {
        let mut found = Vec::new();
        let mut asked: BTreeSet<&str> = BTreeSet::new();
        for (file, media_type) in mail.files.iter().map(|file| file.media_type.as_str()).enumerate() {
            if !asked.insert(media_type) {
                continue;
            }
            let note = self.store.note(refused::key(participant, function, media_type)).await.map_err(|error| from_store(&error))?;
            if let Some(at) = note.and_then(|note| refused::when(&note, self.now(), self.mail.refused_types)) {
                found.push(Unwelcome { file, media_type: media_type.to_owned(), at });
            }
        }
        Ok(found)
    }

    /// The mail as one function takes it: images of the text that it refuses are left out, with a note.
    ///
    /// # Errors
    /// A [`Failure`] when the store does not work; inside, the file that it refuses.
    pub(super) async fn welcome(
        &self,
        mail: Mail,
        bytes: impl AsRef<[u8]> + Send + 'static,
        policy: &MailboxPolicy,
        to: (&ParticipantId, &FunctionId),
    ) -> Result<Result<Mail, Unwelcome>, Failure> {
        let unwelcome = self.unwelcome(to.0, to.1, &mail).await?;
        let Some(first) = unwelcome.first().cloned() else { return Ok(Ok(mail)) };
        let types = policy.types.without(unwelcome.iter().map(|file| file.media_type.as_str()));
        let policy = MailboxPolicy { types, ..policy.clone() };
        let again = blocking(move || convert::outgoing(bytes.as_ref(), &policy)).await?;
        Ok(again.map_err(|_| first))
    }

    /// Why nobody whom the mail is for takes it; `None` when somebody does.
    pub(super) async fn refused_by_all(
        &self,
        transaction: &Transaction,
        mail: &Mail,
        bytes: &std::sync::Arc<Vec<u8>>,
        policy: &MailboxPolicy,
    ) -> Result<Option<Refusal>, Failure> {
        let mut refusal = None;
        for recipient in &transaction.recipients {
            if self.unwelcome(&recipient.participant, &recipient.function, mail).await?.is_empty() {
                return Ok(None);
            }
            let whole = Whole(std::sync::Arc::clone(bytes));
            match self.welcome(mail.clone(), whole, policy, (&recipient.participant, &recipient.function)).await? {
                Ok(_) => return Ok(None),
                Err(unwelcome) => {
                    let name = mail.files.get(unwelcome.file).map(|file| file.name.0.clone()).unwrap_or_default();
                    refusal.get_or_insert_with(|| refusal_of(&unwelcome, &name, &recipient.participant, &recipient.function));
                }
            }
        }
        Ok(refusal)
    }

    /// What is to be remembered of a receipt about one of our messages.
    pub(super) async fn remember_types(&self, sent: &Outgoing, receipt: &Receipt, from: &ParticipantId) -> Result<Vec<Op>, Failure> {
        let crate::outbound::Cargo::Letter(letter) = sent.cargo() else { return Ok(Vec::new()) };
        if !refused::names_a_type(receipt) || letter.participant != *from {
            return Ok(Vec::new());
        }
        let types = self.types_of(&letter).await?;
        Ok(refused::remembered(receipt, &letter.participant, &letter.to_function, &types, self.now()))
    }

    /// The media types of the files that a message had, in their order.
    async fn types_of(&self, letter: &Letter) -> Result<Vec<String>, Failure> {
        let policy = self.household.mailbox(&letter.organisation, &letter.function).map(|mailbox| mailbox.policy.clone()).unwrap_or_default();
        // Rare, and outside of the account of memory: the envelope of the receipt is held already.
        let (_, bytes) = self.read_blob(letter.mail).await?;
        let own = policy.clone();
        let (bytes, mail) = blocking(move || {
            let mail = convert::outgoing(&bytes, &own);
            (bytes, mail)
        })
        .await?;
        let Ok(mail) = mail else { return Ok(Vec::new()) };
        let before = mail.files.iter().map(|file| file.media_type.clone()).collect();
        Ok(match self.welcome(mail, bytes, &policy, (&letter.participant, &letter.to_function)).await? {
            Ok(mail) => mail.files.iter().map(|file| file.media_type.clone()).collect(),
            Err(_) => before,
        })
    }
}

/// A mail that several look at.
struct Whole(std::sync::Arc<Vec<u8>>);

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn refusal_of(unwelcome: &Unwelcome, name: &str, participant: &ParticipantId, function: &FunctionId) -> Refusal {
    let (kind, day) = (&unwelcome.media_type, unwelcome.at.strftime("%Y-%m-%d"));
    let who = format!("{function}, {}", participant.as_str().trim_start_matches("0203:"));
    let swedish = format!("Filen \"{name}\" ({kind}) tas inte emot av {who}, som avvisade filtypen {day}. Skicka den som PDF");
    let english = format!("the file \"{name}\" ({kind}) is not taken by {who}, who rejected its type on {day}: send it as PDF");
    Refusal::new(550, (6, 1), &swedish, &english)
}
