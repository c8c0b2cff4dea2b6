//! The P-Mode: what SDK fixes in a message's header, and the comparison of a received one with it (SDK C3.2.1 2.3.1).

use super::error::{Code, EbmsError};
use super::names::{DEFAULT_MPC, GZIP, INITIATOR, PARTY_TYPE, RESPONDER};
use super::{Header, Party, Received, UserMessage};
use crate::crypto::Certificate;
use crate::ident::{AccessPointId, DOCUMENT_SCHEME, DocumentKind, PARTICIPANT_SCHEME, PROCESS_ID, PROCESS_SCHEME, ParticipantId};

/// The values that are accepted. Lists, since newer minor versions of the profile have other values beside these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PMode {
    /// This access point: the CN of its certificate.
    pub own: AccessPointId,
    /// Types of both PartyIds.
    pub party_types: Vec<String>,
    /// Roles of the sender.
    pub initiator_roles: Vec<String>,
    /// Roles of the receiver.
    pub responder_roles: Vec<String>,
    /// Processes, as eb:Service names them.
    pub services: Vec<String>,
    /// Types of eb:Service; compared without case.
    pub service_types: Vec<String>,
    /// Types of the two message properties; an absent type is accepted too.
    pub property_types: Vec<String>,
    /// Media types of the payload; compared without case.
    pub media_types: Vec<String>,
}

impl PMode {
    /// The values of SDK C3.2.1 1.0.
    #[must_use]
    pub fn sdk(own: AccessPointId) -> Self {
        let one = |text: &str| vec![text.to_owned()];
        Self {
            own,
            party_types: one(PARTY_TYPE),
            initiator_roles: one(INITIATOR),
            responder_roles: one(RESPONDER),
            services: one(PROCESS_ID),
            service_types: one(PROCESS_SCHEME),
            property_types: one(PARTICIPANT_SCHEME),
            media_types: vec!["text/xml".into(), "application/xml".into()],
        }
    }
}

fn mismatch(what: &str) -> EbmsError {
    EbmsError::new(Code::ProcessingModeMismatch, what.to_owned())
}

/// Compares an opened request with the P-Mode: the parties with the certificates, service and action, properties and
/// payload. Whether the participant is served here is for the caller ([`EbmsError::not_serviced`]).
///
/// # Errors
/// The error that the peer is answered with.
pub fn check(received: &Received, pmode: &PMode) -> Result<UserMessage, EbmsError> {
    let header = &received.header;
    let (from, to) = check_parties(received, pmode)?;
    check_service(received, pmode)?;
    let message = UserMessage {
        message_id: header.message_id.clone(),
        timestamp: header.timestamp,
        ref_to: header.ref_to.clone(),
        from,
        to,
        conversation_id: header.conversation_id.clone(),
        kind: document(received)?,
        original_sender: participant(received, pmode, "originalSender")?,
        final_recipient: participant(received, pmode, "finalRecipient")?,
    };
    check_payload(received, pmode)?;
    Ok(message)
}

/// One rule of the P-Mode and what it says of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The rule, in a few words.
    pub rule: &'static str,
    /// The error that the peer would be answered with.
    pub outcome: Result<(), EbmsError>,
}

/// What every rule of [`check`] says, in its order, where that stops at the first one broken.
#[must_use]
pub fn verdicts(received: &Received, pmode: &PMode) -> Vec<Verdict> {
    let header = &received.header;
    let from = party(&header.from, pmode, &pmode.initiator_roles, "From");
    let signer = from.clone().and_then(|from| check_signer(received, &from));
    let all = [
        ("message partition channel", check_channel(received)),
        ("From: PartyId, type and role", from.map(|_| ())),
        ("To: PartyId, type and role", party(&header.to, pmode, &pmode.responder_roles, "To").and_then(|to| check_own(&to, pmode))),
        ("From is the signing certificate's common name", signer),
        ("Service and its type", check_service(received, pmode)),
        ("Action", document(received).map(|_| ())),
        ("originalSender", participant(received, pmode, "originalSender").map(|_| ())),
        ("finalRecipient", participant(received, pmode, "finalRecipient").map(|_| ())),
        ("one payload, XML, gzip", check_payload(received, pmode)),
    ];
    all.into_iter().map(|(rule, outcome)| Verdict { rule, outcome }).collect()
}

fn check_service(received: &Received, pmode: &PMode) -> Result<(), EbmsError> {
    let service = &received.header.service;
    if !pmode.services.contains(&service.value) {
        return Err(mismatch("The Service is not the process of the P-Mode"));
    }
    let kind = service.kind.as_deref().unwrap_or_default();
    if !pmode.service_types.iter().any(|own| own.eq_ignore_ascii_case(kind)) {
        return Err(mismatch("The type of the Service is not that of the P-Mode"));
    }
    Ok(())
}

/// SDK C3.2.1 2.5.a-c: a document that is not known here is not served for anyone.
fn document(received: &Received) -> Result<DocumentKind, EbmsError> {
    let document = received.header.action.strip_prefix(DOCUMENT_SCHEME).and_then(|rest| rest.strip_prefix("::"));
    document.and_then(DocumentKind::from_document_id).ok_or_else(EbmsError::not_serviced)
}

fn check_payload(received: &Received, pmode: &PMode) -> Result<(), EbmsError> {
    let ([part], [info]) = (received.parts.as_slice(), received.header.parts.as_slice()) else {
        return Err(mismatch("The message does not have exactly one payload"));
    };
    let media = part.media_type.as_deref().unwrap_or_default();
    if !pmode.media_types.iter().any(|own| own.eq_ignore_ascii_case(media)) {
        return Err(mismatch("The payload's MimeType is not XML"));
    }
    if info.property("CompressionType").is_some_and(|kind| kind != GZIP) {
        return Err(mismatch("The payload's CompressionType is not gzip"));
    }
    Ok(())
}

/// Who exchanges what between which access points, when a header that nobody vouches for yet says it as the P-Mode wants.
#[must_use]
pub fn claimed(header: &Header, pmode: &PMode) -> Option<Claim> {
    let received = Received { header: header.clone(), signature: None, parts: Vec::new(), recipient: None };
    check_service(&received, pmode).ok()?;
    check_channel(&received).ok()?;
    let to = party(&header.to, pmode, &pmode.responder_roles, "To").ok()?;
    check_own(&to, pmode).ok()?;
    Some(Claim {
        from: party(&header.from, pmode, &pmode.initiator_roles, "From").ok()?,
        kind: document(&received).ok()?,
        original_sender: participant(&received, pmode, "originalSender").ok()?,
        final_recipient: participant(&received, pmode, "finalRecipient").ok()?,
    })
}

/// What a header claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The sending access point.
    pub from: AccessPointId,
    /// What the payload is.
    pub kind: DocumentKind,
    /// `originalSender`.
    pub original_sender: ParticipantId,
    /// `finalRecipient`.
    pub final_recipient: ParticipantId,
}

/// Compares the parties of an ebMS test with the P-Mode; the rest of a ping is free.
///
/// # Errors
/// The error that the peer is answered with.
pub fn check_ping(received: &Received, pmode: &PMode) -> Result<(), EbmsError> {
    check_parties(received, pmode).map(|_| ())
}

fn check_parties(received: &Received, pmode: &PMode) -> Result<(AccessPointId, AccessPointId), EbmsError> {
    let header = &received.header;
    check_channel(received)?;
    let from = party(&header.from, pmode, &pmode.initiator_roles, "From")?;
    let to = party(&header.to, pmode, &pmode.responder_roles, "To")?;
    check_own(&to, pmode)?;
    check_signer(received, &from)?;
    Ok((from, to))
}

fn check_channel(received: &Received) -> Result<(), EbmsError> {
    if received.header.mpc.as_deref().is_some_and(|mpc| !mpc.eq_ignore_ascii_case(DEFAULT_MPC)) {
        return Err(mismatch("The message partition channel is not the default one"));
    }
    Ok(())
}

fn check_own(to: &AccessPointId, pmode: &PMode) -> Result<(), EbmsError> {
    if *to == pmode.own { Ok(()) } else { Err(mismatch("The To PartyId is not this access point")) }
}

/// SDK C3.2.1 2.3.1.j: the party's name is the CN of the certificate that it signs with.
fn check_signer(received: &Received, from: &AccessPointId) -> Result<(), EbmsError> {
    let signer = received.signer().ok_or_else(|| EbmsError::new(Code::PolicyNoncompliance, "The message is not signed"))?;
    if signer.common_name().as_deref() != Some(from.as_str()) {
        return Err(EbmsError::new(Code::ValueInconsistent, "The From PartyId is not the common name of the signing certificate"));
    }
    Ok(())
}

fn party(party: &Party, pmode: &PMode, roles: &[String], which: &str) -> Result<AccessPointId, EbmsError> {
    let [id] = party.ids.as_slice() else { return Err(mismatch(&format!("{which} does not have exactly one PartyId"))) };
    if !id.kind.as_ref().is_some_and(|kind| pmode.party_types.contains(kind)) {
        return Err(mismatch(&format!("The type of the {which} PartyId is not that of the P-Mode")));
    }
    if !roles.contains(&party.role) {
        return Err(mismatch(&format!("The Role of {which} is not that of the P-Mode")));
    }
    AccessPointId::new(id.value.as_str()).map_err(|_| mismatch(&format!("The {which} PartyId is not a common name")))
}

fn participant(received: &Received, pmode: &PMode, name: &str) -> Result<ParticipantId, EbmsError> {
    let property = received.header.property(name).ok_or_else(|| mismatch(&format!("The property {name} is missing or repeated")))?;
    if property.kind.as_ref().is_some_and(|kind| !pmode.property_types.contains(kind)) {
        return Err(mismatch(&format!("The type of the property {name} is not that of the P-Mode")));
    }
    ParticipantId::new(property.value.as_str())
        .map_err(|_| EbmsError::new(Code::ValueInconsistent, format!("The property {name} is not a participant id")))
}

/// The access point's name that a certificate gives: its common name (SDK C3.2.1 2.3.1.j, m).
#[must_use]
pub fn access_point_of(certificate: &Certificate) -> Option<AccessPointId> {
    AccessPointId::new(certificate.common_name()?).ok()
}
