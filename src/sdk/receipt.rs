//! The message receipt, "meddelandekvittens": UBL ApplicationResponse in Digg's profile (SDK C3.2.4).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::datetime;
use super::rules::{Breach, Detail, MAX_BREACHES, NO_LINE, ReasonCode, Violation};
use super::structure::{Child, Rules, Violations, many, one, optional};
use crate::ident::{MessageId, PARTICIPANT_SCHEME, PROCESS_ID, ParticipantId};
use crate::xml::{Document, Element, Limits, Writer, XmlError, trim};

/// The namespace of the root element.
pub const NAMESPACE: &str = "urn:oasis:names:specification:ubl:schema:xsd:ApplicationResponse-2";
const CAC: &str = "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2";
const CBC: &str = "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2";
const CUSTOMIZATION: &str = "urn:fdc:digg.se:edelivery:messagetype:response:1";
/// Octets of a receipt. One with a hundred lines of reasons is far below this.
pub const MAX_RECEIPT: usize = 2_000_000;
const LIMITS: Limits = Limits::of(MAX_RECEIPT);
/// A peer's reason is kept and shown up to this many characters.
const MAX_REASON: usize = 1000;

/// Whether a message was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is valid and stored.
    Accepted,
    /// It is not taken, for these reasons; at least one.
    Rejected(Vec<Breach>),
}

impl Outcome {
    /// The code with every line's codes, for the journal: `REJECTED BV not-found, SIG security`; at most 200 characters.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Accepted => "ACCEPTED".into(),
            Self::Rejected(lines) => {
                let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
                format!("REJECTED {}", lines.join(", ")).chars().take(200).collect()
            }
        }
    }
}

/// One receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The receipt's own id.
    pub id: String,
    /// When it was made; written with milliseconds.
    pub issued: Timestamp,
    /// Who acknowledges.
    pub sender: ParticipantId,
    /// Who sent the message.
    pub receiver: ParticipantId,
    /// The envelope id of the message.
    pub refers_to: MessageId,
    /// The answer.
    pub outcome: Outcome,
}

/// Why a receipt is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// It is not well-formed, or over a bound.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// It breaks the profile.
    #[error("the receipt breaks its profile: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Profile(Vec<Violation>),
}

/// Writes a receipt. Of more than a hundred breaches the first hundred are told.
///
/// # Errors
/// [`ReceiptError`] when the receipt would break its own profile, such as a rejection without a reason.
pub fn write(receipt: &Receipt) -> Result<Vec<u8>, ReceiptError> {
    let (date, time) = datetime::write_split(receipt.issued);
    let mut w = Writer::with_declaration();
    w.open("ApplicationResponse").attribute("xmlns", NAMESPACE).attribute("xmlns:cac", CAC).attribute("xmlns:cbc", CBC);
    w.leaf("cbc:CustomizationID", CUSTOMIZATION).leaf("cbc:ProfileID", PROCESS_ID).leaf("cbc:ID", &receipt.id);
    w.leaf("cbc:IssueDate", &date).leaf("cbc:IssueTime", &time);
    for (name, participant) in [("cac:SenderParty", &receipt.sender), ("cac:ReceiverParty", &receipt.receiver)] {
        w.open(name).open("cbc:EndpointID").attribute("schemeID", PARTICIPANT_SCHEME).text(participant.as_str()).close().close();
    }
    w.open("cac:DocumentResponse");
    let (code, breaches) = match &receipt.outcome {
        Outcome::Accepted => ("ACCEPTED", &[][..]),
        Outcome::Rejected(breaches) => ("REJECTED", breaches.get(..MAX_BREACHES).unwrap_or(breaches)),
    };
    w.open("cac:Response").leaf("cbc:ResponseCode", code).close();
    w.open("cac:DocumentReference").leaf("cbc:ID", receipt.refers_to.as_str()).close();
    for breach in breaches {
        w.open("cac:LineResponse");
        w.open("cac:LineReference").leaf("cbc:LineID", &breach.line).close();
        w.open("cac:Response").leaf("cbc:ResponseCode", breach.code.as_str());
        w.open("cac:Status");
        if let Some(detail) = breach.detail.as_str() {
            w.leaf("cbc:StatusReasonCode", detail);
        }
        w.leaf("cbc:StatusReason", &breach.reason);
        w.close().close().close();
    }
    let xml = w.finish().into_bytes();
    read(&xml)?;
    Ok(xml)
}

/// Reads a receipt.
///
/// # Errors
/// [`ReceiptError`], with every rule that is broken.
pub fn read(xml: &[u8]) -> Result<Receipt, ReceiptError> {
    let document = Document::parse(xml, &LIMITS)?;
    let mut reader = Reader { violations: Violations::new(RULES) };
    let read = reader.receipt(document.root());
    reader.violations.verdict(read).map_err(ReceiptError::Profile)
}

const fn b(name: &'static str) -> Child {
    one(CBC, name)
}

const fn a(name: &'static str) -> Child {
    one(CAC, name)
}

const RULES: Rules = Rules { cardinality: "R9-APP", foreign: "R1-APP", empty: "R2-APP" };

struct Reader {
    violations: Violations,
}

impl Reader {
    /// A child whose own children are checked.
    fn child<'a>(&mut self, parent: Element<'a>, name: &str, model: &[Child]) -> Option<Element<'a>> {
        let child = parent.child(CAC, name)?;
        self.violations.sequence(child, model);
        Some(child)
    }

    /// The trimmed text of a child; `None` when it is missing or empty, which is noted.
    fn text<'a>(&mut self, parent: Element<'a>, name: &str, attributes: &[&str]) -> Option<(String, Element<'a>)> {
        let child = parent.child(CBC, name)?;
        Some((self.violations.text(child, attributes)?, child))
    }

    fn fixed(&mut self, parent: Element<'_>, name: &str, value: &str, rule: &str) {
        if let Some((text, child)) = self.text(parent, name, &[])
            && text != value
        {
            self.violations.note(rule, child, &format!("it is not {value}"));
        }
    }

    fn receipt(&mut self, root: Element<'_>) -> Option<Receipt> {
        if !root.is(NAMESPACE, "ApplicationResponse") {
            self.violations.note("XSD", root, "the root element is not ApplicationResponse");
            return None;
        }
        let model = [
            b("CustomizationID"),
            b("ProfileID"),
            b("ID"),
            b("IssueDate"),
            b("IssueTime"),
            a("SenderParty"),
            a("ReceiverParty"),
            a("DocumentResponse"),
        ];
        self.violations.sequence(root, &model);
        self.fixed(root, "CustomizationID", CUSTOMIZATION, "R3-APP");
        self.fixed(root, "ProfileID", PROCESS_ID, "R4-APP");
        let id = self.text(root, "ID", &[]);
        let date = self.text(root, "IssueDate", &[]);
        let time = self.text(root, "IssueTime", &[]);
        let issued = date.zip(time).and_then(|((date, _), (time, at))| {
            let issued = datetime::read_split(&date, &time).filter(|read| read.zoned).map(|read| read.at);
            if issued.is_none() {
                self.violations.note("3.1.c", at, "IssueDate and IssueTime are not a date and a time with zone");
            }
            issued
        });
        let sender = self.party(root, "SenderParty");
        let receiver = self.party(root, "ReceiverParty");
        let (refers_to, outcome) = root.child(CAC, "DocumentResponse").and_then(|response| self.response(response))?;
        Some(Receipt { id: id?.0, issued: issued?, sender: sender?, receiver: receiver?, refers_to, outcome })
    }

    fn party(&mut self, root: Element<'_>, name: &str) -> Option<ParticipantId> {
        let party = self.child(root, name, &[b("EndpointID")])?;
        let (text, id) = self.text(party, "EndpointID", &["schemeID"])?;
        match id.attribute("schemeID").map(trim) {
            Some(PARTICIPANT_SCHEME) => {}
            Some(_) => {
                let rule = if name == "SenderParty" { "3.1.d" } else { "3.1.e" };
                self.violations.note(rule, id, &format!("its schemeID is not {PARTICIPANT_SCHEME}"));
            }
            None => self.violations.note("R9-APP", id, "it has no schemeID"),
        }
        ParticipantId::new(text).map_err(|_| self.violations.note("C3.2.7", id, "it is no participant id")).ok()
    }

    fn response(&mut self, response: Element<'_>) -> Option<(MessageId, Outcome)> {
        self.violations.sequence(response, &[a("Response"), a("DocumentReference"), many(CAC, "LineResponse", 0)]);
        let code = self.child(response, "Response", &[b("ResponseCode")]).and_then(|r| self.text(r, "ResponseCode", &[]));
        let reference = self.child(response, "DocumentReference", &[b("ID")]).and_then(|r| self.text(r, "ID", &[]));
        let refers_to =
            reference.and_then(|(text, at)| MessageId::new(text).map_err(|_| self.violations.note("3.1", at, "it is no envelope's ID")).ok());
        // Of a flood of lines the first hundred are read; each is checked all the same up to there.
        let lines: Vec<_> = response.named(CAC, "LineResponse").take(MAX_BREACHES).collect();
        let breaches: Vec<_> = lines.iter().filter_map(|line| self.line(*line)).collect();
        let (code, at) = code?;
        // Codes are compared without case.
        let outcome = if code.eq_ignore_ascii_case("ACCEPTED") {
            if !lines.is_empty() {
                self.violations.note("R7-APP", response, "it is ACCEPTED and gives reasons");
            }
            Outcome::Accepted
        } else if code.eq_ignore_ascii_case("REJECTED") {
            if lines.is_empty() {
                self.violations.note("R8-APP", response, "it is REJECTED and gives no reason");
            }
            Outcome::Rejected(breaches)
        } else {
            self.violations.note("R5-APP", at, "it is neither ACCEPTED nor REJECTED");
            return None;
        };
        Some((refers_to?, outcome))
    }

    fn line(&mut self, line: Element<'_>) -> Option<Breach> {
        self.violations.sequence(line, &[a("LineReference"), a("Response")]);
        let place = self.child(line, "LineReference", &[b("LineID")]).and_then(|reference| self.text(reference, "LineID", &[]));
        let response = self.child(line, "Response", &[b("ResponseCode"), a("Status")])?;
        let code = self.text(response, "ResponseCode", &[]).and_then(|(text, at)| {
            let code = ReasonCode::from_text(&text);
            if code.is_none() {
                self.violations.note("R6-APP", at, "it is none of SV, BV and SIG");
            }
            code
        });
        let status = self.child(response, "Status", &[optional(CBC, "StatusReasonCode"), b("StatusReason")])?;
        let detail = self.text(status, "StatusReasonCode", &[]).map(|(text, _)| text);
        let reason = self.text(status, "StatusReason", &[])?.0;
        let known = detail.as_deref().and_then(Detail::from_text);
        // A code that is none of SDK's is a rule's name in the peer's own words: kept for whoever reads the reason.
        let reason = match (known, detail) {
            (None, Some(other)) => format!("[{other}] {reason}"),
            _ => reason,
        };
        let cut = |text: String| if text.chars().count() > MAX_REASON { text.chars().take(MAX_REASON).collect() } else { text };
        let place = place.map_or_else(|| NO_LINE.to_owned(), |(text, _)| text);
        Some(Breach { code: code?, detail: known.unwrap_or(Detail::Other), line: cut(place), reason: cut(reason) })
    }
}
