//! AS4 in: one request becomes a durable envelope and a signed receipt, or a signed error.
//!
//! The receipt leaves only when the envelope, the record and the receipt itself are durable. A message that came before
//! gets the receipt that it got then.

use std::io::{Read, Write};
use std::pin::pin;
use std::time::Duration;

use super::AccessPointSide;
use super::chance::fresh;
use super::effects::{Outcome, blocking, from_store, new_blob, point};
use super::limits::Limit;
use crate::as4::receive::{Context, Fault, Options, Sought};
use crate::as4::{self, Code, EbmsError, Received, Refusal, Signature, UserMessage};
use crate::crypto::KeyReference;
use crate::edge::as4_server::As4Reception;
use crate::edge::serving::{Crowd, Crowding, Peer};
use crate::failure::{Blame, Failure, Shortage, Stage};
use crate::ident::{As4MessageId, DocumentKind, ParticipantId, RecordId};
use crate::inbound::Arrival;
use crate::inbound::receive::{self, Bringer, Brought, Caller, Refused, Seen, Unreceived};
use crate::port::{Answer, Blob, BlobId, BlobKind, BlobWriter, Freshness, Pending, Realm, TrustError};
use crate::sdk::envelope::{Header, Passing};
use crate::store::Scratch;
use tokio::sync::{mpsc, oneshot};

/// A message that was opened but not yet judged.
struct Opened {
    received: Received,
    writer: Box<dyn BlobWriter>,
    /// The envelope's header, or what is wrong with it.
    header: Result<Header, String>,
}

/// Why a request is not answered with a receipt.
enum Declined {
    /// It is refused with an error of its own making.
    Refused(Box<Refusing>),
    /// We cannot take it now: the other side is to try again.
    Later(Failure),
}

/// A refusal: what the other side gets, and what the journal gets.
struct Refusing {
    error: EbmsError,
    ref_to: Option<As4MessageId>,
    cause: String,
    seen: Seen,
    /// The participant of ours that it is for.
    organisation: Option<ParticipantId>,
    /// It breaks the federation's rules, which is told to the operator.
    reported: bool,
}

impl From<Refusal> for Declined {
    fn from(refusal: Refusal) -> Self {
        match refusal.fault {
            Fault::Peer => Self::Refused(Box::new(Refusing {
                error: *refusal.error,
                seen: Seen::unopened(refusal.ref_to.as_ref()),
                ref_to: refusal.ref_to,
                cause: refusal.cause,
                organisation: None,
                reported: false,
            })),
            Fault::Ours => Self::Later(Failure::temporary(Stage::Receive, Blame::Us, refusal.cause)),
            // There is nobody to answer; the answer below goes nowhere.
            Fault::Connection => Self::Later(Failure::temporary(Stage::Receive, Blame::Peer, refusal.cause)),
        }
    }
}

impl From<Failure> for Declined {
    fn from(failure: Failure) -> Self {
        Self::Later(failure)
    }
}

impl AccessPointSide {
    /// Takes one AS4 request in.
    async fn receive_as4(&self, content_type: String, peer: Peer, body: Box<dyn Read + Send>) -> Answer {
        let certificate = peer.certificate().map(|certificate| (certificate.subject(), certificate.fingerprint()));
        let caller = Caller { address: peer.address.to_string(), certificate };
        if let Some(answer) = self.judge_caller(&peer, &caller).await {
            return answer;
        }
        let declined = match self.take(content_type, body, &caller).await {
            Ok(signal) => return Answer { status: 200, content_type: as4::error::CONTENT_TYPE.into(), retry_after: None, body: signal },
            Err(declined) => declined,
        };
        match declined {
            Declined::Refused(refusing) => {
                let Refusing { error, ref_to, cause, seen, organisation, reported } = *refusing;
                tracing::warn!(peer = caller.address, %error, %cause, "an AS4 message is refused");
                let now = self.now();
                let what = Unreceived { caller: &caller, seen: &seen, organisation: organisation.as_ref(), cause: Some(&cause), error: Some(&error) };
                let step = if reported { receive::reported(&what, RecordId(fresh()), now) } else { receive::unreceived(&what, now) };
                if let Err(failure) = self.carry_out("receive.refused", step.into()).await {
                    return unavailable(&failure);
                }
                self.error(&error, ref_to.as_ref()).await
            }
            Declined::Later(failure) => unavailable(&failure),
        }
    }

    /// Whether the certificate that the connection was made with is revoked; chain and name were the edge's affair. The answer
    /// when the message is not even looked at.
    async fn judge_caller(&self, peer: &Peer, caller: &Caller) -> Option<Answer> {
        let (certificate, intermediates) = peer.tls.as_ref()?.certificates.split_first()?;
        let error = match self.trust.judge(Realm::TlsClient, certificate, intermediates).await {
            Ok(()) => return None,
            Err(TrustError::Unchecked(reason)) => {
                let what = format!("the TLS client certificate of {}: {reason}", caller.address);
                return Some(unavailable(&Failure::temporary(Stage::Receive, Blame::Federation, what)));
            }
            Err(error) => error,
        };
        let cause = format!("the TLS client certificate is not accepted: {error}");
        tracing::warn!(peer = caller.address, %cause, "an AS4 connection is refused");
        let what = Unreceived { caller, seen: &Seen::default(), organisation: None, cause: Some(&cause), error: None };
        if let Err(failure) = self.carry_out("receive.refused", receive::unreceived(&what, self.now()).into()).await {
            return Some(unavailable(&failure));
        }
        Some(Answer {
            status: 403,
            content_type: "text/plain; charset=UTF-8".into(),
            retry_after: None,
            body: b"the client certificate is not accepted\n".to_vec(),
        })
    }

    /// The signal that acknowledges the message: new, or the one that it got before.
    async fn take(&self, content_type: String, body: Box<dyn Read + Send>, caller: &Caller) -> Result<Vec<u8>, Declined> {
        let record = RecordId(fresh());
        let envelope = new_blob();
        let Opened { received, writer, header } = self.unwrap(content_type, body, record, envelope).await?;
        let signature = received.signature.clone().ok_or_else(|| Failure::permanent(Stage::Receive, Blame::Us, "an unsigned message was opened"))?;
        self.judge_access_point(&received, &signature).await?;
        let mut seen = Seen::of(&received);
        if let Ok(header) = &header {
            seen = seen.with_envelope(header);
        }
        let refuse = |error: EbmsError, cause: &str, message: Option<&UserMessage>| {
            Declined::Refused(Box::new(Refusing {
                error,
                ref_to: Some(received.header.message_id.clone()),
                cause: cause.to_owned(),
                seen: seen.clone(),
                organisation: message.map(|message| message.final_recipient.clone()).filter(|own| self.serves(own)),
                reported: message.is_some(),
            }))
        };
        if received.is_ping() {
            as4::pmode::check_ping(&received, &self.access_point.pmode).map_err(|error| refuse(error.clone(), &error.to_string(), None))?;
            return self.acknowledge(&received).await.map_err(Declined::from);
        }
        let message = as4::pmode::check(&received, &self.access_point.pmode).map_err(|error| refuse(error.clone(), &error.to_string(), None))?;
        self.acquaintances.remember(&message.from, &signature.signer);
        if let Some(signal) = self.recorded(&message).await? {
            let what = Unreceived { caller, seen: &seen, organisation: Some(&message.final_recipient), cause: None, error: None };
            self.carry_out("receive.duplicate", receive::unreceived(&what, self.now()).into()).await?;
            return Ok(signal);
        }
        let header = header.map_err(|cause| refuse(EbmsError::new(Code::Other, "The payload is no valid XHE"), &cause, Some(&message)))?;
        let serves = |participant: &_| self.serves(participant);
        let refused = |refused: Refused| refuse(*refused.error, &refused.cause, Some(&message));
        receive::cross_check(&message, &header, &self.settings.federation, &serves).map_err(refused)?;
        if message.kind == DocumentKind::Message
            && let Some(reached) = self.room_to_receive(&message.final_recipient).await?
        {
            self.tell_reached(&reached).await;
            return Err(reached.failure(Stage::Receive).into());
        }
        self.check_registered(&message).await.map_err(|error| error.map_or_else(Declined::from, refused))?;
        point("receive", "checked");
        let stored = writer.commit().await.map_err(|error| from_store(&error))?;
        point("receive", "spooled");
        let arrival = Arrival {
            record,
            organisation: message.final_recipient.clone(),
            from: message.original_sender.clone(),
            kind: message.kind,
            envelope_id: header.id,
            as4_id: message.message_id.clone(),
            as4_conversation: message.conversation_id.chars().take(100).collect(),
            peer: message.from.clone(),
            peer_certificate: signature.signer.fingerprint(),
            peer_signature: signature.digest,
            envelope,
            signal: new_blob(),
            received_at: self.now(),
            octets: Some(stored.octets),
        };
        let settled = self.settle(&received, &message, arrival, caller).await;
        if settled.is_err() {
            // It is sent again. Unless the step happened after all, this envelope would lie here until the next start.
            let header = serde_json::json!({ "record": record }).to_string();
            self.look_up("receive", &Blob { id: envelope, kind: BlobKind::Envelope, header }).await;
        }
        settled.map_err(Declined::from)
    }

    /// The envelope is durable: the message becomes ours, and is acknowledged.
    async fn settle(&self, received: &Received, message: &UserMessage, arrival: Arrival, caller: &Caller) -> Result<Vec<u8>, Failure> {
        let (receipt, envelope) = (self.acknowledge(received).await?, arrival.envelope);
        let mut effects = receive::receive(arrival, receipt.clone(), caller, self.now())?;
        effects.step = self.fenced(effects.step, &[envelope]);
        match self.carry_out("receive", effects).await? {
            Outcome::Applied => {
                point("receive", "before-answer");
                Ok(receipt)
            }
            // The same message came twice at once; the other one won.
            Outcome::Overtaken => {
                self.discard("receive", &[envelope]).await;
                let signal = self.recorded(message).await?;
                signal.ok_or_else(|| Failure::temporary(Stage::Receive, Blame::Us, "a message was overtaken by another"))
            }
        }
    }

    /// The parties as the federation's register has them: the recipient by SDK C3.2.1 2.5.a, the sender as configured. What
    /// is remembered and speaks against a message is asked for once more.
    async fn check_registered(&self, message: &UserMessage) -> Result<(), Result<Refused, Failure>> {
        let mut own = self.directory.metadata(&message.final_recipient, message.kind, Freshness::Cached).await;
        if receive::registered(&own).is_err() {
            own = self.directory.metadata(&message.final_recipient, message.kind, Freshness::Fresh).await;
        }
        receive::registered(&own).map_err(Ok)?;
        if self.access_point.bringer == Bringer::Approved {
            return Ok(());
        }
        let mut brought = receive::brought(message, &self.published(&message.original_sender, Freshness::Cached).await);
        if matches!(brought, Brought::Wrongly(_)) {
            brought = receive::brought(message, &self.published(&message.original_sender, Freshness::Fresh).await);
        }
        match brought {
            Brought::Rightly => Ok(()),
            Brought::Wrongly(refused) => Err(Ok(refused)),
            Brought::Unknown(failure) => Err(Err(failure)),
        }
    }

    /// Decrypts, verifies and decompresses into a blob that is not committed yet.
    async fn unwrap(&self, content_type: String, mut body: Box<dyn Read + Send>, record: RecordId, envelope: BlobId) -> Result<Opened, Declined> {
        self.admits(None).await?;
        let header = serde_json::json!({ "record": record }).to_string();
        let writer = self.blobs.create(Blob { id: envelope, kind: BlobKind::Envelope, header }, None).await.map_err(|error| from_store(&error))?;
        let (keys, limits, scratch) = (self.access_point.keys(), self.access_point.limits, self.settings.scratch.clone());
        let at = self.now();
        // What the thread that verifies wants to know of the federation is asked here.
        let (ask, mut asked) = mpsc::channel::<Question>(1);
        let seeking = move |reference: &KeyReference, header: &as4::Header| {
            let (tell, told) = oneshot::channel();
            let sent = ask.blocking_send(Question { reference: reference.clone(), header: header.clone(), tell });
            let answer = sent.ok().and_then(|()| told.blocking_recv().ok());
            answer.unwrap_or_else(|| Sought::Later("the search for a signer's certificate was broken off".into()))
        };
        let opened = blocking(move || -> Result<Opened, Declined> {
            let scratch = Scratch::new(&scratch)
                .map_err(|error| Failure::temporary(Stage::Receive, Blame::Us, format!("a scratch file cannot be made: {error}")))?;
            let mut payload = Spooled { writer, passing: Passing::default() };
            let received = {
                let options = Options { limits, ..Options::default() };
                let context = Context { keys: &keys, known: &|_| None, options: &options, at };
                as4::receive::open_seeking(&content_type, &mut body, &context, &seeking, scratch, &mut payload)?
            };
            let header = payload.passing.finish().map(|passed| passed.header).map_err(|error| error.to_string());
            Ok(Opened { received, writer: payload.writer, header })
        });
        let mut opened = pin!(opened);
        loop {
            tokio::select! {
                opened = &mut opened => return opened?,
                Some(Question { reference, header, tell }) = asked.recv() => {
                    // Nobody listens when the request was given up meanwhile.
                    drop(tell.send(self.seek_signer(&reference, &header).await));
                }
            }
        }
    }

    /// The sender's certificate is of this environment and not revoked (SDK C3.2.1 2.10.c-d, TF-03).
    async fn judge_access_point(&self, received: &Received, signature: &Signature) -> Result<(), Declined> {
        let judged = self.trust.judge(Realm::AccessPoint, &signature.signer, &signature.chain).await;
        judged.map_err(|error| match error {
            TrustError::Unchecked(reason) => Declined::Later(Failure::temporary(Stage::Receive, Blame::Federation, reason)),
            error => Declined::Refused(Box::new(Refusing {
                error: EbmsError::new(Code::FailedAuthentication, "The signer's certificate is not accepted in this environment"),
                ref_to: Some(received.header.message_id.clone()),
                cause: format!("the signer {} is not accepted: {error}", signature.signer.subject()),
                seen: Seen::of(received),
                organisation: None,
                reported: false,
            })),
        })
    }

    async fn acknowledge(&self, received: &Received) -> Result<Vec<u8>, Failure> {
        let (received, id, now) = (received.clone(), self.new_as4_id()?, self.now());
        let identity = self.access_point.answering(received.recipient, now).clone();
        let signed = blocking(move || as4::receipt::write(&received, &id, now, &identity)).await?;
        signed.map_err(|error| Failure::permanent(Stage::Receive, Blame::Us, format!("a receipt cannot be signed: {error}")))
    }

    /// The receipt that a message got before.
    async fn recorded(&self, message: &UserMessage) -> Result<Option<Vec<u8>>, Failure> {
        let note = self.store.note(Arrival::seen(&message.from, &message.message_id)).await.map_err(|error| from_store(&error))?;
        let Some(signal) = note.and_then(|note| note.parse().ok()).map(BlobId) else { return Ok(None) };
        self.read_blob(signal).await.map(|(_, body)| Some(body))
    }

    async fn error(&self, error: &EbmsError, ref_to: Option<&As4MessageId>) -> Answer {
        let signed = async {
            let (errors, ref_to, id, now) = (vec![error.clone()], ref_to.cloned(), self.new_as4_id()?, self.now());
            let identity = self.access_point.identity.clone();
            let signed = blocking(move || as4::error::write(&errors, ref_to.as_ref(), &id, now, &identity)).await?;
            signed.map_err(|error| Failure::permanent(Stage::Receive, Blame::Us, format!("an error cannot be signed: {error}")))
        };
        match signed.await {
            Ok(body) => Answer { status: 200, content_type: as4::error::CONTENT_TYPE.into(), retry_after: None, body },
            Err(failure) => unavailable(&failure),
        }
    }
}

/// We cannot now; nothing was taken in.
fn unavailable(failure: &Failure) -> Answer {
    let (content_type, body) = ("text/plain; charset=UTF-8".into(), b"try again later\n".to_vec());
    // RFC 4918 11.5. 503 says that the access point is not there, and the other side would leave all its organisations alone.
    let (status, wait) = if failure.shortage == Some(Shortage::Quota) { (507, 60) } else { (503, 30) };
    if status == 507 {
        // The operator was told when it began.
        tracing::debug!(what = %failure.what, "an AS4 message is put off");
    } else {
        tracing::error!(what = %failure.what, hint = %failure.hint, "an AS4 message cannot be taken in now");
    }
    Answer { status, content_type, retry_after: Some(Duration::from_secs(wait)), body }
}

impl As4Reception for AccessPointSide {
    fn crowded(&self, crowd: Crowd) {
        let limit = match crowd.of {
            Crowding::Connections => Limit::As4Connections,
            Crowding::OfAddress => Limit::As4Address,
            Crowding::Requests => Limit::As4Requests,
        };
        self.node.tell_soon(limit, crowd.who, crowd.most as u64, crowd.most as u64);
    }

    fn receive(&self, content_type: String, peer: Peer, body: Box<dyn Read + Send>) -> Pending<'_, Answer> {
        Box::pin(async move { self.receive_as4(content_type, peer, body).await })
    }
}

/// Whose key a signature may be of.
struct Question {
    reference: KeyReference,
    header: as4::Header,
    tell: oneshot::Sender<Sought>,
}

/// Writes to the spool and reads the envelope's header on the way.
struct Spooled {
    writer: Box<dyn BlobWriter>,
    passing: Passing,
}

impl Write for Spooled {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.passing.write_all(bytes.get(..written).unwrap_or_default())?;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}
