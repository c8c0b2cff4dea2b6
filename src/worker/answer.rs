//! [`Queue::Answer`](crate::port::Queue::Answer): sign a message receipt of ours and hand it to the access point's side.

use super::MailSide;
use super::chance::fresh;
use super::effects::{Outcome, blocking, from_store, new_blob};
use crate::failure::{Blame, Failure, Stage};
use crate::ident::{MessageId, RecordId};
use crate::inbound::Incoming;
use crate::inbound::settle::{Answer, ReceiptHeader};
use crate::outbound::Reply;
use crate::outbound::seal::{self, Seal};
use crate::port::Lease;

impl MailSide {
    /// Runs an answer job.
    pub(super) async fn answer(&self, lease: Lease) -> Result<Outcome, Failure> {
        let ours = |what: String| Failure::permanent(Stage::Settle, Blame::Us, what);
        let Some(record) = self.store.record(lease.job.record).await.map_err(|error| from_store(&error))? else {
            return self.abandon(lease).await;
        };
        let incoming = Incoming::from_record(&record)?;
        let arrival = incoming.arrival();
        let answer: Answer = serde_json::from_str(&lease.job.note).map_err(|error| ours(format!("a receipt's job cannot be read: {error}")))?;
        let (blob, xml) = self.read_blob(answer.receipt).await?;
        let header: ReceiptHeader =
            serde_json::from_str(&blob.header).map_err(|error| ours(format!("a receipt's header cannot be read: {error}")))?;
        let now = self.now();
        let reply = Reply {
            record: RecordId(fresh()),
            organisation: arrival.organisation.clone(),
            participant: arrival.from.clone(),
            envelope_id: MessageId::new(fresh().to_string()).map_err(|error| ours(error.to_string()))?,
            refers_to: arrival.envelope_id.clone(),
            incoming: arrival.record,
            code: answer.code,
            made_at: now,
            resent: None,
        };
        let signer = self.organisation(&arrival.organisation)?.signing.clone();
        let (federation, as4_id, envelope) = (self.settings.federation.clone(), self.new_as4_id()?, new_blob());
        let limits = self.mail.sending;
        let mut effects = blocking(move || {
            let with = Seal { signer: &signer, federation: &federation, as4_id, envelope, limits, missing: &[], now };
            seal::receipt(reply, lease, &xml, header.service, &with)
        })
        .await??;
        effects.discard.push(answer.receipt);
        self.carry_out("answer", effects).await
    }
}
