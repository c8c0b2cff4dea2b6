//! [`Queue::Send`](crate::port::Queue::Send): wrap an envelope in AS4 once, push it, judge the answer.

use std::io::{ErrorKind, Read, Seek, Write};

use super::effects::{Outcome, blocking, from_store, new_blob, point, unread, unwritten};
use super::lanes::{Destination, Ended, Pass};
use super::lookup::{InLine, Unfound};
use super::{AccessPoint, AccessPointSide, Node};
use crate::as4::answer::{self, Answer};
use crate::as4::{As4Error, Code};
use crate::crypto::Certificate;
use crate::event::Field;
use crate::failure::{Blame, Failure, Stage};
use crate::ident::AccessPointId;
use crate::outbound::address::{self, Unaddressed};
use crate::outbound::send::{self, Attempted, Prepared, Proof};
use crate::outbound::state::place;
use crate::outbound::verdict::{self, Verdict};
use crate::outbound::{Dispatch, Outgoing, Reached, Submitted};
use crate::port::{self, BlobId, Fail, Freshness, Lease, Metadata, Realm, Request, TransportError};
use crate::store::Scratch;

/// What it means that a message could not be packaged: a disk that is full or a database that is away comes back, what is
/// damaged stays so.
fn unmade(error: &As4Error) -> Failure {
    match error {
        As4Error::Stream { source, .. } if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => unwritten(source),
        As4Error::Stream { source, .. } => unread(source),
        error => Failure::permanent(Stage::Send, Blame::Us, format!("the AS4 message cannot be made: {error}")),
    }
}

impl AccessPointSide {
    /// Runs a send job.
    pub(super) async fn send(&self, lease: Lease) -> Result<Outcome, Failure> {
        let Some(record) = self.store.record(lease.job.record).await.map_err(|error| from_store(&error))? else {
            return self.abandon(lease).await;
        };
        let Outgoing::Submitted(state) = Outgoing::from_record(&record)? else { return self.abandon(lease).await };
        if let Some(earlier) = self.earlier(&state).await? {
            return self.stand_behind(state, lease, &earlier).await;
        }
        let (to, metadata) = match self.destination_of(&state, &lease).await? {
            Ok(found) => found,
            Err(Unfound::InLine(InLine(to, waits))) => return self.wait_in_lane(Attempted::Submitted(state), lease, &to, waits).await,
            Err(Unfound::Unaddressed(Unaddressed { failure, fail })) => return self.fail(state, lease, &failure, fail).await,
        };
        let pass = match self.lanes.enter(&to, lease.job.id, lease.job.record, state.cargo.since()) {
            Ok(pass) => pass,
            Err(waits) => return self.wait_in_lane(Attempted::Submitted(state), lease, &to, waits).await,
        };
        self.attempt(state, lease, pass, metadata).await
    }

    /// Where a message goes, and the metadata that say so, where they had to be asked for.
    async fn destination_of(&self, state: &Submitted, lease: &Lease) -> Result<Result<(Destination, Option<Metadata>), Unfound>, Failure> {
        let place = match (&state.dispatch.place, state.dispatch.request) {
            (Some(place), _) => place.clone(),
            (None, Some(request)) => {
                let (blob, _, _) = self.blobs.open(request).await.map_err(|error| from_store(&error))?;
                place(&Prepared::from_blob(&blob)?.endpoint)
            }
            (None, None) => {
                let found = self.access_point_of(state, lease).await;
                return Ok(found.map(|metadata| (Destination::AccessPoint(place(&metadata.endpoint)), Some(metadata))));
            }
        };
        Ok(Ok((Destination::AccessPoint(place), None)))
    }

    /// One attempt, in a place of its lane.
    async fn attempt(&self, state: Submitted, lease: Lease, pass: Pass, metadata: Option<Metadata>) -> Result<Outcome, Failure> {
        // What the attempts before this one say; a crash in one leaves it at the safe side.
        let (mut state, request, earlier) = match state.dispatch.request {
            Some(request) => {
                if let Some(step) = send::attempted(&state, &lease)?
                    && self.carry_out("send.attempted", step.into()).await? == Outcome::Overtaken
                {
                    return Ok(Outcome::Overtaken);
                }
                let earlier = state.dispatch.reached;
                (state, request, earlier)
            }
            None => match self.prepare(state.clone(), &lease, metadata).await {
                Ok((prepared, request)) => (prepared, request, Reached::Never),
                Err(Unaddressed { failure, fail }) => return self.fail(state, lease, &failure, fail).await,
            },
        };
        // The recipient may have moved since it was sealed; then this attempt says nothing of the old place.
        let mut pass = Some(pass).filter(|pass| state.dispatch.place.as_deref() == Some(pass.to().name()));
        let (mut request, mut renewed) = (request, false);
        let (verdict, prepared, certificate, ended) = loop {
            let (prepared, certificate, pushed) = self.push(request).await?;
            let pushed = match pushed {
                Err(error) => {
                    if matches!(error, TransportError::Refused { .. }) {
                        pass = None;
                    }
                    break (verdict::of_transport(&error), prepared, certificate, Ended::Unreached(None));
                }
                Ok(pushed) => pushed,
            };
            let ended = Ended::of(pushed.status, pushed.retry_after);
            let (mut read, pushed) = judged(pushed, &prepared, &certificate).await?;
            let mut signer = certificate.clone();
            // The other side may have changed its key since the request was made.
            let undecryptable = matches!(&read, Answer::Errors(errors) if errors.iter().any(|error| error.is(Code::FailedDecryption)));
            if (undecryptable || matches!(read, Answer::Unusable(_)))
                && !renewed
                && let Some(successor) = self.successor(&state, &certificate).await
            {
                if undecryptable {
                    renewed = true;
                    let made = Submitted { dispatch: Dispatch { request: None, ..state.dispatch.clone() }, ..state.clone() };
                    let old = request;
                    (state, request) = match self.prepare(made, &lease, None).await {
                        Ok(prepared) => prepared,
                        Err(Unaddressed { failure, fail }) => return self.fail(state, lease, &failure, fail).await,
                    };
                    self.discard("send", &[old]).await;
                    continue;
                }
                read = judged(pushed.clone(), &prepared, &successor).await?.0;
                signer = successor;
            }
            match read {
                Answer::Receipt(receipt) => {
                    let proof = Proof {
                        signal_id: receipt.signal_id,
                        signature: receipt.signature_digest,
                        certificate: signer.fingerprint(),
                        peer: prepared.peer,
                        warnings: receipt.warnings,
                        content_type: pushed.content_type,
                        signal: pushed.body,
                        blob: new_blob(),
                    };
                    self.leave(pass, Ended::Taken, "").await;
                    let schedule = self.schedule(state.cargo.organisation()).clone();
                    let effects = send::acknowledged(state, lease, Some(proof), &schedule, self.now())?;
                    return self.carry_out("send", effects).await;
                }
                Answer::Errors(errors) => break (verdict::of_errors(&errors, earlier), prepared, certificate, ended),
                Answer::Unusable(why) => {
                    let verdict = verdict::of_unusable(&prepared.endpoint, pushed.status, &why, pushed.retry_after);
                    break (verdict, prepared, certificate, ended);
                }
            }
        };
        match verdict {
            Verdict::Taken => {
                self.leave(pass, Ended::Taken, "").await;
                let schedule = self.schedule(state.cargo.organisation()).clone();
                let effects = send::acknowledged(state, lease, None, &schedule, self.now())?;
                self.carry_out("send", effects).await
            }
            Verdict::Failed { failure, fail, reached } => {
                state.dispatch.reached = earlier.or(reached);
                let yields = self.leave(pass, ended, &failure.what).await;
                state.dispatch.yields |= yields;
                let failure = failure.about(Field::PeerAccessPoint, &prepared.peer).about(Field::PeerCertificate, certificate.fingerprint());
                let record = lease.job.record;
                let outcome = self.fail(state, lease, &failure, fail).await?;
                if yields {
                    self.hasten_next(record).await;
                }
                Ok(outcome)
            }
        }
    }

    /// One attempt with a request as it lies in the spool: what it is, whom it is encrypted for, and what came of it.
    async fn push(&self, request: BlobId) -> Result<(Prepared, Certificate, Result<port::Answer, TransportError>), Failure> {
        let (blob, octets, body) = self.blobs.open(request).await.map_err(|error| from_store(&error))?;
        let prepared = Prepared::from_blob(&blob)?;
        let certificate = Certificate::from_any(prepared.certificate.as_bytes())
            .map_err(|error| Failure::permanent(Stage::Send, Blame::Us, format!("a request's header cannot be read: {error}")))?;
        point("send", "before-push");
        let pushed = self
            .transport
            .push(Request {
                endpoint: prepared.endpoint.clone(),
                content_type: prepared.sent.content_type.clone(),
                length: octets,
                body: Box::new(body),
            })
            .await;
        point("send", "after-push");
        Ok((prepared, certificate, pushed))
    }

    /// The certificate that the recipient's access point has now, when that is another one than this and good.
    async fn successor(&self, state: &Submitted, certificate: &Certificate) -> Option<Certificate> {
        let metadata = self.directory.metadata(state.cargo.participant(), state.cargo.kind(), Freshness::Fresh).await.ok()?;
        let now = metadata.access_point;
        let is_new = now != *certificate && now.common_name() == certificate.common_name();
        (is_new && self.trust.judge(Realm::AccessPoint, &now, &[]).await.is_ok()).then_some(now)
    }

    async fn fail(&self, state: Submitted, lease: Lease, failure: &Failure, fail: Fail) -> Result<Outcome, Failure> {
        tracing::warn!(record = %lease.job.record, what = %failure.what, hint = %failure.hint, "an attempt to send failed");
        let schedule = self.schedule(state.cargo.organisation()).clone();
        let effects = send::failed(Attempted::Submitted(state), lease, failure, fail, &schedule, self.moment(), Node::random())?;
        self.carry_out("send", effects).await
    }

    /// Makes the AS4 request and keeps it: from here on every attempt sends its bytes.
    async fn prepare(&self, state: Submitted, lease: &Lease, metadata: Option<Metadata>) -> Result<(Submitted, BlobId), Unaddressed> {
        let metadata = match metadata {
            Some(metadata) => metadata,
            None => self.access_point_of(&state, lease).await.map_err(Unfound::into_unaddressed)?,
        };
        let internal = |failure| Unaddressed { failure, fail: Fail::Internal };
        let peer = metadata.access_point.common_name().and_then(|name| AccessPointId::new(name).ok()).ok_or_else(|| Unaddressed {
            failure: Failure::permanent(Stage::Address, Blame::Peer, "the access point's certificate has no common name"),
            fail: Fail::Certificate,
        })?;
        self.package(state, lease, metadata, peer).await.map_err(internal)
    }

    async fn package(&self, state: Submitted, lease: &Lease, metadata: Metadata, peer: AccessPointId) -> Result<(Submitted, BlobId), Failure> {
        let (_, _, mut envelope) = self.blobs.open(state.dispatch.envelope).await.map_err(|error| from_store(&error))?;
        let message = send::user_message(&state, &self.access_point.name, &peer, self.now());
        let AccessPoint { identity, .. } = self.access_point.clone();
        let (scratch, certificate) = (self.settings.scratch.clone(), metadata.access_point.clone());
        let request = new_blob();
        let boundary = format!("brevbro-{}", super::chance::fresh().simple());
        let packaged = blocking(move || -> Result<_, Failure> {
            let disk = |error: std::io::Error| Failure::temporary(Stage::Send, Blame::Us, format!("a scratch file cannot be written: {error}"));
            let gzip = Scratch::new(&scratch).map_err(disk)?;
            let mut body = Scratch::new(&scratch).map_err(disk)?;
            let sent = crate::as4::send::package(&message, &mut envelope, &identity, &certificate, gzip, &mut body, &boundary)
                .map_err(|error| unmade(&error))?;
            body.rewind().map_err(disk)?;
            Ok((sent, body))
        });
        let (sent, mut body) = packaged.await??;
        let record = state.cargo.record();
        let peer_certificate = metadata.access_point.fingerprint();
        let prepared = Prepared { record, endpoint: metadata.endpoint, peer, certificate: metadata.access_point.to_base64(), sent };
        let mut writer = self.blobs.create(prepared.blob(request)?, None).await.map_err(|error| from_store(&error))?;
        let writer = blocking(move || -> std::io::Result<_> {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let octets = body.read(&mut buffer)?;
                if octets == 0 {
                    return Ok(writer);
                }
                writer.write_all(buffer.get(..octets).unwrap_or_default())?;
            }
        });
        let writer = writer.await?.map_err(|error| unwritten(&error))?;
        writer.commit().await.map_err(|error| from_store(&error))?;
        let (state, step) = send::prepared(state, lease, request, &prepared, peer_certificate, self.now())?;
        match self.carry_out("send.prepared", self.fenced(step, &[request]).into()).await? {
            Outcome::Applied => Ok((state, request)),
            Outcome::Overtaken => Err(Failure::temporary(Stage::Send, Blame::Us, "the job was taken over while the request was made")),
        }
    }

    /// The recipient's access point, judged; on a bad certificate it is looked up once more past the cache.
    async fn access_point_of(&self, state: &Submitted, lease: &Lease) -> Result<Metadata, Unfound> {
        let (whose, since) = ((state.cargo.participant(), state.cargo.kind()), state.cargo.since());
        let mut freshness = Freshness::Cached;
        loop {
            let metadata = match self.registered(whose, freshness, lease, since).await? {
                Err(error) if error.is_absence() && freshness == Freshness::Cached => {
                    freshness = Freshness::Fresh;
                    continue;
                }
                found => found.map_err(|error| address::from_directory(&error))?,
            };
            let judged = match address::endpoint(&metadata, &self.settings.transport_profiles, self.now()) {
                // SDK C3.2.1 2.10.a-b
                Ok(()) => self.trust.judge(Realm::AccessPoint, &metadata.access_point, &[]).await,
                Err(unaddressed) => return Err(unaddressed.into()),
            };
            let about = |failure: Failure| {
                failure
                    .about(Field::PeerAccessPoint, metadata.access_point.common_name().unwrap_or_default())
                    .about(Field::PeerCertificate, metadata.access_point.fingerprint())
            };
            let judged = judged.map_err(|error| {
                let Unaddressed { failure, fail } = address::from_trust(&error, "the recipient's access point certificate");
                Unaddressed { failure: about(failure), fail }
            });
            match judged {
                Ok(()) => {
                    let noted = self.note_stale(state.cargo.record(), state.cargo.organisation(), &metadata).await;
                    return noted.map(|()| metadata).map_err(|failure| Unaddressed { failure, fail: Fail::Internal }.into());
                }
                Err(unaddressed) if unaddressed.failure.is_temporary() || freshness == Freshness::Fresh => return Err(unaddressed.into()),
                Err(_) => freshness = Freshness::Fresh,
            }
        }
    }
}

/// What an answer says to the one who expects this signer.
async fn judged(pushed: port::Answer, prepared: &Prepared, expected: &Certificate) -> Result<(Answer, port::Answer), Failure> {
    let (sent, expected) = (prepared.sent.clone(), expected.clone());
    blocking(move || (answer::read(pushed.status, &pushed.content_type, &pushed.body, &sent, &expected), pushed)).await
}
