//! The XHE envelope: its header, and Digg's profile of it (SDK C3.2.2 2).
//!
//! The profile's rules R1-R14 are checked as the text has them (2.5); the published Schematron is weaker: its R11 looks
//! at FromParty, it counts no criteria and sees no empty attribute.

use std::io::{self, Read, Write};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::datetime;
use super::rules::Violation;
use super::structure::{self, Rules, Type, Violations, many, one, optional};
use crate::crypto::{DS, XENC};
use crate::ident::{
    DOCUMENT_SCHEME, DocumentKind, FederationId, FunctionId, MessageId, PARTICIPANT_SCHEME, PROCESS_ID, PROCESS_SCHEME, ParticipantId,
};
use crate::xml::{Document, Element, Limits, NodeRef, Outline, OutlineLimits, Outliner, Writer, XmlError, trim};

/// The namespace of the root element.
pub const XHE: &str = "http://docs.oasis-open.org/bdxr/ns/XHE/1/ExchangeHeaderEnvelope";
const XHA: &str = "http://docs.oasis-open.org/bdxr/ns/XHE/1/AggregateComponents";
const XHB: &str = "http://docs.oasis-open.org/bdxr/ns/XHE/1/BasicComponents";
const CUSTOMIZATION: &str = "urn:fdc:digg.se:edelivery:xhe:1";
const CONTENT_TYPE: &str = "application/xml";

/// An envelope holds at most so many octets: SDK asks for 100 MB both ways (SDK C3.2.1 2.8).
pub const MAX_ENVELOPE: usize = 150_000_000;

/// Bounds on an envelope that is read.
pub(super) const LIMITS: Limits = Limits::of(MAX_ENVELOPE);

/// Bounds on an envelope that passes by. More markup than the largest message receipt has is in no envelope of SDK.
const PASSING: OutlineLimits = OutlineLimits { octets: MAX_ENVELOPE as u64, text: 4096, kept: 2_500_000 };

/// What an envelope says about its payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The envelope's id; for a message also the message's.
    pub id: MessageId,
    /// When it was made.
    pub created: Timestamp,
    /// What it carries.
    pub kind: DocumentKind,
    /// The federation in which it travels.
    pub federation: FederationId,
    /// The participant that sent and signed it.
    pub from: ParticipantId,
    /// The participant that it is for.
    pub to: ParticipantId,
    /// `HandlingServiceID`: the recipient's function; on a receipt that of the message it answers.
    pub service: Option<FunctionId>,
    /// Whether the payload is encrypted.
    pub encrypted: bool,
}

/// Why an envelope is none. Nothing is answered to it: the operator tells Digg (SDK C1.6 4.1.1.a, SDK C3.2.4 2.1.2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It is not well-formed, or over a bound.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// It breaks the profile.
    #[error("the envelope breaks its profile: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Profile(Vec<Violation>),
}

/// Writes an unsigned envelope around one element.
pub(super) fn write(header: &Header, content: &str) -> String {
    let criteria = [
        ("DOCUMENTID", header.kind.document_id()),
        ("DOCUMENTID_SCHEME", DOCUMENT_SCHEME),
        ("PROCESSID", PROCESS_ID),
        ("PROCESSID_SCHEME", PROCESS_SCHEME),
        ("FEDERATIONID", header.federation.as_str()),
    ];
    let mut w = Writer::with_declaration();
    w.open("x:XHE").attribute("xmlns:x", XHE).attribute("xmlns:xha", XHA).attribute("xmlns:xhb", XHB);
    w.leaf("xhb:XHEVersionID", "1.0").leaf("xhb:CustomizationID", CUSTOMIZATION);
    w.open("xha:Header");
    w.leaf("xhb:ID", header.id.as_str()).leaf("xhb:CreationDateTime", &datetime::write(header.created));
    w.open("xha:BusinessScope");
    for (code, value) in criteria {
        w.open("xha:BusinessScopeCriterion");
        w.leaf("xhb:BusinessScopeCriterionTypeCode", code).leaf("xhb:BusinessScopeCriterionValue", value);
        w.close();
    }
    w.close();
    for (name, participant) in [("xha:FromParty", &header.from), ("xha:ToParty", &header.to)] {
        w.open(name).open("xha:PartyIdentification");
        w.open("xhb:ID").attribute("schemeID", PARTICIPANT_SCHEME).text(participant.as_str()).close();
        w.close().close();
    }
    w.close();
    w.open("xha:Payloads").open("xha:Payload");
    w.leaf("xhb:DocumentTypeCode", header.kind.type_code()).leaf("xhb:ContentTypeCode", CONTENT_TYPE);
    if let Some(service) = &header.service {
        w.leaf("xhb:HandlingServiceID", service.as_str());
    }
    w.leaf("xhb:InstanceEncryptionIndicator", if header.encrypted { "true" } else { "false" });
    w.open("xha:PayloadContent").raw(content);
    w.finish()
}

/// Reads an envelope's header, believing nothing: the signature is [`super::seal::verify`]'s.
///
/// # Errors
/// [`EnvelopeError`], with every rule that is broken.
pub fn read(xml: &[u8]) -> Result<Header, EnvelopeError> {
    header_of(&Document::parse(xml, &LIMITS)?)
}

/// Reads the header of an envelope that is written to it, and keeps nothing of its content: memory is bounded whatever
/// the envelope's size. Tree and rules are those of [`read()`]; only the bounds are narrower.
pub struct Passing(Outliner);

/// What can be said of an envelope that passed by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Its header.
    pub header: Header,
    /// The payload's document cannot have fewer octets than this, whatever it holds. For one in clear it may miss or
    /// add a few.
    pub payload_at_least: u64,
}

impl Default for Passing {
    fn default() -> Self {
        Self(Outliner::new(PASSING))
    }
}

impl Passing {
    /// Reads an envelope to its end.
    ///
    /// # Errors
    /// Of the stream. What is wrong with the envelope is inside.
    pub fn of(envelope: &mut dyn Read) -> io::Result<Result<Passed, EnvelopeError>> {
        let mut passing = Self::default();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match envelope.read(&mut buffer) {
                Ok(0) => return Ok(passing.finish()),
                Ok(octets) => passing.write_all(buffer.get(..octets).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What was written was the whole envelope.
    ///
    /// # Errors
    /// [`EnvelopeError`], with every rule that is broken.
    pub fn finish(self) -> Result<Passed, EnvelopeError> {
        let outline = self.0.finish()?;
        let root = outline.document().root();
        let content = payload_of(outline.document());
        // A header that is read is whole; content and signatures may be cut.
        let payload = content.and_then(|element| element.parent());
        let signatures: Vec<_> = root.named(DS, "Signature").collect();
        let passed_over = |element: &Element<'_>| payload.is_some_and(|payload| payload == *element) || signatures.contains(element);
        if !whole_outside(&outline, root, &passed_over) {
            return Err(XmlError::TooLarge { what: "octets of one text beside the content", limit: PASSING.text }.into());
        }
        let header = header_of(outline.document())?;
        let payload_at_least = content.map_or(0, |element| payload_at_least(&outline, element));
        Ok(Passed { header, payload_at_least })
    }
}

impl Write for Passing {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether no text was cut but in elements that are passed over.
fn whole_outside(outline: &Outline, element: Element<'_>, passed_over: &dyn Fn(&Element<'_>) -> bool) -> bool {
    if outline.is_whole(element) || passed_over(&element) {
        return true;
    }
    // Not whole: by its children, or by its own text.
    element.elements().any(|child| !outline.is_whole(child)) && element.elements().all(|child| whole_outside(outline, child, passed_over))
}

fn payload_at_least(outline: &Outline, element: Element<'_>) -> u64 {
    /// Nonce and tag, or initial vector and padding: at most 32 octets; less than 3 of base64's padding; a byte order mark.
    const FRAME: u64 = 38;
    if !element.is(XENC, "EncryptedData") {
        return outline.octets(element);
    }
    let value = element.child(XENC, "CipherData").and_then(|data| data.child(XENC, "CipherValue"));
    value.map_or(0, |value| (outline.significant_text(value) / 4 * 3).saturating_sub(FRAME))
}

pub(super) fn header_of(document: &Document) -> Result<Header, EnvelopeError> {
    let mut reader = HeaderReader { violations: Violations::new(RULES) };
    let read = reader.envelope(document.root());
    reader.violations.verdict(read).map_err(EnvelopeError::Profile)
}

/// The one element inside `PayloadContent` of an envelope whose header was read.
pub(super) fn payload_of(document: &Document) -> Option<Element<'_>> {
    document.root().only(XHA, "Payloads")?.only(XHA, "Payload")?.only(XHA, "PayloadContent")?.elements().next()
}

const RULES: Rules = Rules { cardinality: "R14-XHE", foreign: "R1-XHE", empty: "R2-XHE" };

struct HeaderReader {
    violations: Violations,
}

impl HeaderReader {
    /// The trimmed text of a child; `None` when it is missing or empty, which is noted.
    fn text<'a>(&mut self, parent: Element<'a>, name: &str, attributes: &[&str]) -> Option<(String, Element<'a>)> {
        let child = parent.child(XHB, name)?;
        Some((self.violations.text(child, attributes)?, child))
    }

    fn fixed(&mut self, parent: Element<'_>, name: &str, value: &str, rule: &str) {
        if let Some((text, child)) = self.text(parent, name, &[])
            && text != value
        {
            self.violations.note(rule, child, &format!("it is not {value}"));
        }
    }

    fn checked<T, E>(&mut self, parent: Element<'_>, name: &str, rule: &str, what: &str, parse: impl Fn(String) -> Result<T, E>) -> Option<T> {
        let (text, child) = self.text(parent, name, &[])?;
        parse(text).map_err(|_| self.violations.note(rule, child, &format!("it is not {what}"))).ok()
    }

    fn envelope(&mut self, root: Element<'_>) -> Option<Header> {
        if !root.is(XHE, "XHE") {
            self.violations.note("XSD", root, "the root element is not XHE");
            return None;
        }
        let model = [one(XHB, "XHEVersionID"), one(XHB, "CustomizationID"), one(XHA, "Header"), one(XHA, "Payloads"), many(DS, "Signature", 0)];
        self.violations.sequence(root, &model);
        self.fixed(root, "XHEVersionID", "1.0", "R9-XHE");
        self.fixed(root, "CustomizationID", CUSTOMIZATION, "R3-XHE");
        let payload = root.child(XHA, "Payloads").and_then(|payloads| {
            self.violations.sequence(payloads, &[one(XHA, "Payload")]);
            payloads.child(XHA, "Payload")
        });
        let payload = payload.and_then(|payload| self.payload(payload));
        let header = root.child(XHA, "Header")?;
        let model = [one(XHB, "ID"), one(XHB, "CreationDateTime"), one(XHA, "BusinessScope"), one(XHA, "FromParty"), one(XHA, "ToParty")];
        self.violations.sequence(header, &model);
        let id = self.checked(header, "ID", "2.2", "a UUID", MessageId::new);
        let zoned = |text: String| datetime::read(&text).filter(|read| read.zoned).map(|read| read.at).ok_or(());
        let created = self.checked(header, "CreationDateTime", "2.2", "a date and time with zone", zoned);
        let scope = header.child(XHA, "BusinessScope").and_then(|scope| self.scope(scope));
        let from = header.child(XHA, "FromParty").and_then(|party| self.party(party, "R10-XHE"));
        let to = header.child(XHA, "ToParty").and_then(|party| self.party(party, "R11-XHE"));
        let (kind, federation) = scope?;
        let (service, encrypted) = payload?;
        Some(Header { id: id?, created: created?, kind, federation, from: from?, to: to?, service, encrypted })
    }

    fn scope(&mut self, scope: Element<'_>) -> Option<(DocumentKind, FederationId)> {
        const CODES: [(&str, &str); 5] = [
            ("DOCUMENTID", "R4-XHE"),
            ("DOCUMENTID_SCHEME", "R5-XHE"),
            ("PROCESSID", "R6-XHE"),
            ("PROCESSID_SCHEME", "R7-XHE"),
            ("FEDERATIONID", "R8-XHE"),
        ];
        self.violations.sequence(scope, &[many(XHA, "BusinessScopeCriterion", 1)]);
        let mut found: Vec<(String, Option<String>, Element<'_>)> = Vec::new();
        // Five are right; a few more are enough to say what is wrong.
        for criterion in scope.named(XHA, "BusinessScopeCriterion").take(20) {
            self.violations.sequence(criterion, &[one(XHB, "BusinessScopeCriterionTypeCode"), one(XHB, "BusinessScopeCriterionValue")]);
            let code = self.text(criterion, "BusinessScopeCriterionTypeCode", &[]);
            let value = self.text(criterion, "BusinessScopeCriterionValue", &[]).map(|(text, _)| text);
            let Some((code, at)) = code else { continue };
            if found.iter().any(|(known, ..)| *known == code) {
                self.violations.note("R14-XHE", at, "the criterion is repeated");
            } else if !CODES.iter().any(|(known, _)| *known == code) {
                self.violations.note("R14-XHE", at, "the criterion is not in the profile");
            }
            found.push((code, value, criterion));
        }
        for (code, rule) in CODES {
            if !found.iter().any(|(known, ..)| known == code) {
                self.violations.note(rule, scope, &format!("the criterion {code} is missing"));
            }
        }
        let value = |code: &str| {
            let (_, value, at) = found.iter().find(|(known, ..)| known == code)?;
            Some((value.as_deref()?, *at))
        };
        // SDK C3.2.6: the one process and the two schemes of SDK; a document type that is none of SDK's cannot be for us.
        for (code, expected) in [("DOCUMENTID_SCHEME", DOCUMENT_SCHEME), ("PROCESSID", PROCESS_ID), ("PROCESSID_SCHEME", PROCESS_SCHEME)] {
            if let Some((text, at)) = value(code)
                && !text.eq_ignore_ascii_case(expected)
            {
                self.violations.note("C3.2.6", at, &format!("{code} is not {expected}"));
            }
        }
        let kind = value("DOCUMENTID").and_then(|(text, at)| {
            let kind = DocumentKind::from_document_id(text);
            if kind.is_none() {
                self.violations.note("C3.2.6", at, "DOCUMENTID is none of SDK's document types");
            }
            kind
        });
        let federation = value("FEDERATIONID").and_then(|(text, at)| {
            let federation = FederationId::new(text);
            federation.map_err(|_| self.violations.note("C3.2.6", at, "FEDERATIONID is no federation id")).ok()
        });
        Some((kind?, federation?))
    }

    fn party(&mut self, party: Element<'_>, rule: &str) -> Option<ParticipantId> {
        self.violations.sequence(party, &[one(XHA, "PartyIdentification")]);
        let identification = party.child(XHA, "PartyIdentification")?;
        self.violations.sequence(identification, &[one(XHB, "ID")]);
        let (text, id) = self.text(identification, "ID", &["schemeID"])?;
        if id.attribute("schemeID").map(trim) != Some(PARTICIPANT_SCHEME) {
            self.violations.note(rule, id, &format!("its schemeID is not {PARTICIPANT_SCHEME}"));
        }
        ParticipantId::new(text).map_err(|_| self.violations.note("C3.2.7", id, "it is no participant id")).ok()
    }

    /// `HandlingServiceID` and whether the content is encrypted.
    fn payload(&mut self, payload: Element<'_>) -> Option<(Option<FunctionId>, bool)> {
        let model = [
            one(XHB, "DocumentTypeCode"),
            one(XHB, "ContentTypeCode"),
            optional(XHB, "HandlingServiceID"),
            one(XHB, "InstanceEncryptionIndicator"),
            one(XHA, "PayloadContent"),
        ];
        self.violations.sequence(payload, &model);
        // Not compared: published envelopes carry the type code of an older message, and the content itself is checked.
        self.text(payload, "DocumentTypeCode", &[]);
        if let Some((text, child)) = self.text(payload, "ContentTypeCode", &[])
            && !text.eq_ignore_ascii_case(CONTENT_TYPE)
        {
            self.violations.note("2.2", child, &format!("it is not {CONTENT_TYPE}"));
        }
        let service = self.checked(payload, "HandlingServiceID", "2.2", "a function address", FunctionId::new);
        let boolean = |text: String| match text.as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(()),
        };
        let encrypted = self.checked(payload, "InstanceEncryptionIndicator", "XSD", "true or false", boolean);
        let content = payload.child(XHA, "PayloadContent")?;
        let faults = structure::attributes(content, Type::NAMELESS, &[]);
        self.violations.faults(content, faults);
        let mut elements = content.elements();
        let text = content.children().any(|child| matches!(child, NodeRef::Text(text) if !structure::is_blank(text)));
        let element = elements.next();
        if text || elements.next().is_some() || element.is_some_and(|e| e.namespace() == XHA || e.namespace().is_empty()) {
            self.violations.note("XSD", content, "it holds something else than one element of another namespace");
        } else if element.is_none() {
            self.violations.note("R2-XHE", content, "it is empty");
        }
        let is_encrypted = element?.is(XENC, "EncryptedData");
        match encrypted {
            Some(true) if !is_encrypted => self.violations.note("R12-XHE", content, "the indicator is true, but there is no EncryptedData"),
            Some(false) if is_encrypted => self.violations.note("R13-XHE", content, "the indicator is false, but there is EncryptedData"),
            _ => {}
        }
        Some((service, encrypted?))
    }
}
