//! The acceptance cases in which the testbed begins (SDK C2.1.4.4.2 4.3, 6.2 and 7): for each, the AS4 requests that a
//! test access point pushes, right or wrong as the case has it. docs/acceptance.md is their protocol.

use std::fmt;
use std::io::Cursor;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::cast::{Actor, Role};
use super::{Registration, TestbedError};
use crate::as4::{self, Sent, UserMessage};
use crate::content::{Content, Document, File, Identifier, Party, Person, Reference};
use crate::crypto::{Certificate, sign_enveloped};
use crate::ident::{As4MessageId, ConversationId, DocumentKind, FederationId, FunctionId, MessageId, ParticipantId};
use crate::sdk::envelope::Header;
use crate::sdk::message::{self, MessageLimits};
use crate::sdk::seal;

/// Octets of the file whose envelope has over 70 MB: twice base64, and encrypted between.
const LARGE: usize = 39_800_000;
/// How many messages "many at once" are.
const MANY: usize = 40;
/// How long a security time stamp holds.
const HOLDS: SignedDuration = SignedDuration::from_mins(5);

/// A case in which a test access point sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Case {
    /// TF-03: the access point's certificate is of another environment.
    Tf03,
    /// TF-04: an ordinary message.
    Tf04,
    /// TF-06: an envelope with everything that may stand in it.
    Tf06,
    /// TF-07: an envelope with nothing that may be left out.
    Tf07,
    /// TF-08: an envelope of over 70 MB.
    Tf08,
    /// TF-09: an envelope that breaks its profile.
    Tf09,
    /// TF-10: an envelope whose document is not the registered one.
    Tf10,
    /// Section 7: many messages at once.
    Many,
    /// Section 7: an envelope of another federation.
    OtherFederation,
    /// Section 7: the access point's certificate has expired.
    Expired,
    /// TF-02 the other way round: the access point's certificate is revoked.
    Revoked,
    /// Section 7.1: the same AS4 message a second time, because its receipt was lost.
    Again,
    /// Section 7.1: a security time stamp that holds.
    Stamped,
    /// Section 7.1: a security time stamp that held yesterday.
    Stale,
}

impl Case {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Tf03,
        Self::Tf04,
        Self::Tf06,
        Self::Tf07,
        Self::Tf08,
        Self::Tf09,
        Self::Tf10,
        Self::Many,
        Self::OtherFederation,
        Self::Expired,
        Self::Revoked,
        Self::Again,
        Self::Stamped,
        Self::Stale,
    ];

    /// Its name, as it is given on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tf03 => "TF-03",
            Self::Tf04 => "TF-04",
            Self::Tf06 => "TF-06",
            Self::Tf07 => "TF-07",
            Self::Tf08 => "TF-08",
            Self::Tf09 => "TF-09",
            Self::Tf10 => "TF-10",
            Self::Many => "many",
            Self::OtherFederation => "other-federation",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Again => "again",
            Self::Stamped => "stamped",
            Self::Stale => "stale",
        }
    }

    /// What the access point under test is to do.
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Tf04 | Self::Tf06 | Self::Tf07 | Self::Stamped => "a receipt, and a message receipt ACCEPTED",
            Self::Tf08 => "a receipt, and a message receipt: ACCEPTED, or REJECTED BV too-long",
            Self::Many => "a receipt for each, and a message receipt ACCEPTED for each",
            Self::Again => "the same receipt twice, octet by octet, and one message receipt",
            Self::Tf03 | Self::Expired | Self::Revoked | Self::Stale => "the error EBMS:0101, and no message receipt",
            Self::Tf09 | Self::Tf10 => "the error EBMS:0004, no message receipt, and an alarm to its operator",
            Self::OtherFederation => "the error EBMS:0003, no message receipt, and an alarm to its operator",
        }
    }

    /// The code that the access point under test is to refuse it with; none when it is to take it.
    #[must_use]
    pub const fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Tf03 | Self::Expired | Self::Revoked | Self::Stale => Some("EBMS:0101"),
            Self::Tf09 | Self::Tf10 => Some("EBMS:0004"),
            Self::OtherFederation => Some("EBMS:0003"),
            Self::Tf04 | Self::Tf06 | Self::Tf07 | Self::Tf08 | Self::Many | Self::Again | Self::Stamped => None,
        }
    }

    /// Who sends.
    #[must_use]
    pub const fn role(self) -> Role {
        match self {
            Self::Tf03 => Role::OtherEnvironment,
            Self::Expired => Role::Expired,
            Self::Revoked => Role::Revoked,
            _ => Role::Answering,
        }
    }

    /// Makes its requests, in the order in which they are sent.
    ///
    /// # Errors
    /// [`TestbedError::Case`].
    pub fn requests(self, actor: &Actor, to: &Recipient, federation: &FederationId) -> Result<Vec<CaseRequest>, TestbedError> {
        match self {
            Self::Many => (0..MANY).map(|_| self.request(actor, to, federation)).collect(),
            Self::Again => {
                let request = self.request(actor, to, federation)?;
                Ok(vec![request.clone(), request])
            }
            _ => Ok(vec![self.request(actor, to, federation)?]),
        }
    }

    fn request(self, actor: &Actor, to: &Recipient, federation: &FederationId) -> Result<CaseRequest, TestbedError> {
        let mut draft = Draft::new(actor, to, federation)?;
        match self {
            Self::Tf06 => draft.fill(),
            Self::Tf07 => draft.empty(),
            Self::Tf08 => draft.enlarge(LARGE),
            Self::Tf09 => draft.edits.push(("<xhb:XHEVersionID>1.0</xhb:XHEVersionID>", "<xhb:XHEVersionID>2.0</xhb:XHEVersionID>")),
            Self::Tf10 => draft.edits.push(("messagePayload##3.0::", "messagePayload##2.0::")),
            Self::OtherFederation => draft.header.federation = "urn:fdc:digg.se:edelivery:federation:testbed-other".parse().map_err(case)?,
            Self::Stamped => draft.stamp = Some(Timestamp::now()),
            Self::Stale => draft.stamp = Some(Timestamp::now() - SignedDuration::from_hours(24)),
            Self::Tf03 | Self::Tf04 | Self::Many | Self::Expired | Self::Revoked | Self::Again => {}
        }
        draft.request(actor, to)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|case| case.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| format!("is none of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// The participant under test, as the SMP has it.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// Who.
    pub participant: ParticipantId,
    /// One of its functions.
    pub function: FunctionId,
    /// Its access point's URL.
    pub endpoint: String,
    /// Its access point's certificate.
    pub access_point: Certificate,
    /// The certificate that is encrypted to.
    pub encryption: Certificate,
}

impl Recipient {
    /// What a registration says.
    ///
    /// # Errors
    /// [`TestbedError::Case`] when it has no encryption certificate.
    pub fn of(registration: &Registration, function: FunctionId) -> Result<Self, TestbedError> {
        Ok(Self {
            participant: registration.participant.clone(),
            function,
            endpoint: registration.endpoint.clone(),
            access_point: registration.access_point.clone(),
            encryption: registration.encryption.first().cloned().ok_or_else(|| case("the recipient has no encryption certificate"))?,
        })
    }
}

/// An AS4 request of a case.
#[derive(Debug, Clone)]
pub struct CaseRequest {
    /// Its header.
    pub message: UserMessage,
    /// The envelope's id, which is the message's.
    pub envelope_id: MessageId,
    /// Octets of the envelope.
    pub envelope_octets: usize,
    /// What was signed: the receipt must repeat it.
    pub sent: Sent,
    /// The body.
    pub body: Vec<u8>,
}

pub(super) fn case(error: impl ToString) -> TestbedError {
    TestbedError::Case(error.to_string())
}

/// The request around an envelope.
pub(super) fn package(message: &UserMessage, envelope: &[u8], actor: &Actor, access_point: &Certificate) -> Result<(Vec<u8>, Sent), TestbedError> {
    let mut body = Vec::new();
    let boundary = format!("testap-{}", Uuid::new_v4().simple());
    let scratch = Cursor::new(Vec::new());
    let sent = as4::send::package(message, &mut &*envelope, &actor.point, access_point, scratch, &mut body, &boundary).map_err(case)?;
    Ok((body, sent))
}

/// A message on its way through seal and package.
struct Draft {
    content: Content,
    header: Header,
    message: UserMessage,
    /// Changes of the envelope, before it is signed.
    edits: Vec<(&'static str, &'static str)>,
    /// When the security time stamp was made.
    stamp: Option<Timestamp>,
}

impl Draft {
    fn new(actor: &Actor, to: &Recipient, federation: &FederationId) -> Result<Self, TestbedError> {
        let id = Uuid::new_v4().to_string();
        let created = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).map_err(case)?;
        let message_id = MessageId::new(id.as_str()).map_err(case)?;
        let party = |participant: &ParticipantId, function: FunctionId| Party {
            participant: participant.clone(),
            label: Some("Organisationen".to_owned().into()),
            function: Some(function),
            function_label: Some("Funktionen".to_owned().into()),
            persons: Vec::new(),
            references: Vec::new(),
        };
        let content = Content {
            created,
            message_id: message_id.clone(),
            conversation_id: ConversationId::new(id.as_str()).map_err(case)?,
            in_reply_to: None,
            label: Some("Acceptansprov".to_owned().into()),
            confidential: true,
            generating_system: None,
            recipient: party(&to.participant, to.function.clone()),
            sender: party(&actor.participant, "testfunktion".parse().map_err(case)?),
            documents: vec![document("1", "Hej från testbädden.")],
            foreign: Vec::new(),
        };
        let header = Header {
            id: message_id,
            created,
            kind: DocumentKind::Message,
            federation: federation.clone(),
            from: actor.participant.clone(),
            to: to.participant.clone(),
            service: Some(to.function.clone()),
            encrypted: true,
        };
        let message = UserMessage {
            message_id: As4MessageId::new(format!("{}@testap.example", Uuid::new_v4())).map_err(case)?,
            timestamp: Timestamp::now(),
            ref_to: None,
            from: actor.name.clone(),
            to: as4::pmode::access_point_of(&to.access_point).ok_or_else(|| case("the recipient's access point has no name"))?,
            conversation_id: id,
            kind: DocumentKind::Message,
            original_sender: actor.participant.clone(),
            final_recipient: to.participant.clone(),
        };
        Ok(Self { content, header, message, edits: Vec::new(), stamp: None })
    }

    /// Everything that may stand in the envelope, in another order and form than brevbro writes, around a message with
    /// persons, references, files and several documents.
    fn fill(&mut self) {
        let identifier = |root: &str, extension: &str| Identifier { root: root.to_owned(), extension: extension.to_owned().into() };
        let person = Person { id: Some(identifier("1.2.752.29.6.2.1", "SE0000000000-TEST")), label: Some("Anna Ek".to_owned().into()) };
        let reference = Reference { id: identifier("dnr", "2026-0001"), label: Some("Diarienummer".to_owned().into()) };
        for party in [&mut self.content.sender, &mut self.content.recipient] {
            party.persons = vec![person.clone(), person.clone()];
            party.references = vec![reference.clone()];
        }
        self.content.generating_system = Some(identifier("urn:testbed", "brevbro"));
        let mut second = document("2", "# Rubrik\n\n- en\n- två");
        second.files = vec![pdf(1_000), pdf(2_000)];
        self.content.documents.push(second);
        self.edits.push(("Z</xhb:CreationDateTime>", "+00:00</xhb:CreationDateTime>"));
        self.edits.push(("<xha:BusinessScope>", "\n  <!-- fem nycklar -->\n  <xha:BusinessScope>\n    "));
        self.edits.push(("</xha:BusinessScope>", "\n  </xha:BusinessScope>\n  "));
    }

    /// Nothing that may be left out.
    fn empty(&mut self) {
        self.header.service = None;
        for party in [&mut self.content.sender, &mut self.content.recipient] {
            (party.label, party.function_label) = (None, None);
        }
    }

    fn enlarge(&mut self, octets: usize) {
        if let Some(document) = self.content.documents.first_mut() {
            document.files = vec![pdf(octets)];
        }
    }

    fn request(self, actor: &Actor, to: &Recipient) -> Result<CaseRequest, TestbedError> {
        let payload = message::write_within(&self.content, &MessageLimits { payload: usize::MAX })
            .map_err(|breaches| case(breaches.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
        let mut envelope = seal::seal(&self.header, &payload, Some(&to.encryption), &actor.own).map_err(case)?;
        drop(payload);
        if !self.edits.is_empty() {
            envelope = resealed(&envelope, &self.edits, actor)?;
        }
        let (mut body, sent) = package(&self.message, &envelope, actor, &to.access_point)?;
        if let Some(created) = self.stamp {
            body = stamped(&body, created)?;
        }
        Ok(CaseRequest { message: self.message, envelope_id: self.header.id, envelope_octets: envelope.len(), sent, body })
    }
}

fn document(id: &str, text: &str) -> Document {
    Document { id: id.to_owned(), name: None, index: Some(id.to_owned()), files: Vec::new(), texts: vec![text.to_owned().into()] }
}

fn pdf(octets: usize) -> File {
    let mut body = b"%PDF-1.4\n".to_vec();
    body.resize(octets.max(body.len()), b'%');
    File { name: format!("bilaga-{octets}.pdf").into(), media_type: "application/pdf".into(), body: body.into() }
}

/// The envelope with changes, signed anew: a participant that gets its signature right and its envelope wrong.
fn resealed(envelope: &[u8], edits: &[(&str, &str)], actor: &Actor) -> Result<Vec<u8>, TestbedError> {
    let text = std::str::from_utf8(envelope).map_err(case)?;
    let (unsigned, signature) = text.rsplit_once("<ds:Signature ").ok_or_else(|| case("the envelope has no signature"))?;
    let (_, end) = signature.rsplit_once("</ds:Signature>").ok_or_else(|| case("the envelope's signature has no end"))?;
    let mut edited = format!("{unsigned}{end}");
    for (from, to) in edits {
        if !edited.contains(from) {
            return Err(case(format!("{from} does not stand in the envelope")));
        }
        edited = edited.replace(from, to);
    }
    sign_enveloped(edited.as_bytes(), &actor.own).map_err(case)
}

/// The request with a security time stamp; it is not part of what is signed.
fn stamped(body: &[u8], created: Timestamp) -> Result<Vec<u8>, TestbedError> {
    let start = find(body, b"<wsse:Security ").ok_or_else(|| case("the request has no security header"))?;
    let (before, rest) = body.split_at(start);
    let end = find(rest, b">").ok_or_else(|| case("the security header does not end"))? + 1;
    let (tag, after) = rest.split_at(end);
    let expires = created + HOLDS;
    let stamp = format!(
        "<wsu:Timestamp wsu:Id=\"TS-{}\"><wsu:Created>{created:.3}</wsu:Created><wsu:Expires>{expires:.3}</wsu:Expires></wsu:Timestamp>",
        Uuid::new_v4()
    );
    Ok([before, tag, stamp.as_bytes(), after].concat())
}

fn find(octets: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(octets, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_found_by_its_name() {
        for case in Case::ALL {
            assert_eq!(case.to_string().parse::<Case>(), Ok(case));
            assert_eq!(case.name().to_lowercase().parse::<Case>(), Ok(case));
        }
        assert!("TF-99".parse::<Case>().unwrap_err().contains("TF-10"));
    }
}
