//! The ebMS header: `eb:Messaging` with one user message or one signal (ebMS 3.0 5.2).

use jiff::Timestamp;

use super::UserMessage;
use super::error::{Code, EbmsError};
use super::names::{EB, GZIP, INITIATOR, PARTY_TYPE, RESPONDER, SOAP, TEST_ACTION, TEST_SERVICE, WSU};
use super::security::Ids;
use crate::ident::{As4MessageId, PARTICIPANT_SCHEME, PROCESS_ID, PROCESS_SCHEME};
use crate::xml::{Element, Writer};

/// A user message's header as it was read: every value a text, nothing compared with a P-Mode yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// `eb:MessageId`.
    pub message_id: As4MessageId,
    /// `eb:Timestamp`.
    pub timestamp: Timestamp,
    /// `eb:RefToMessageId`.
    pub ref_to: Option<As4MessageId>,
    /// The `mpc` attribute.
    pub mpc: Option<String>,
    /// `eb:From`.
    pub from: Party,
    /// `eb:To`.
    pub to: Party,
    /// `eb:AgreementRef`.
    pub agreement: Option<String>,
    /// `eb:Service`.
    pub service: Service,
    /// `eb:Action`.
    pub action: String,
    /// `eb:ConversationId`.
    pub conversation_id: String,
    /// `eb:MessageProperties`.
    pub properties: Vec<Property>,
    /// `eb:PayloadInfo`.
    pub parts: Vec<PartInfo>,
}

/// `eb:From` or `eb:To`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// The party's names, at least one.
    pub ids: Vec<PartyId>,
    /// `eb:Role`.
    pub role: String,
}

/// `eb:PartyId`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartyId {
    /// The name.
    pub value: String,
    /// Its `type`.
    pub kind: Option<String>,
}

/// `eb:Service`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The name.
    pub value: String,
    /// Its `type`.
    pub kind: Option<String>,
}

/// `eb:Property`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Its `name`.
    pub name: String,
    /// Its `type`.
    pub kind: Option<String>,
    /// The value.
    pub value: String,
}

/// `eb:PartInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartInfo {
    /// `cid:` and the part's Content-ID.
    pub href: Option<String>,
    /// `eb:PartProperties`.
    pub properties: Vec<Property>,
}

impl PartInfo {
    /// The value of a part property, its name compared as it is written.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|property| property.name == name).map(|property| property.value.as_str())
    }
}

/// What stands in `eb:Messaging`.
#[derive(Debug)]
pub(super) enum Messaging<'d> {
    User(Box<Header>),
    Signal(Signal<'d>),
}

/// A signal message as it was read.
#[derive(Debug)]
pub(super) struct Signal<'d> {
    pub(super) message_id: As4MessageId,
    pub(super) ref_to: Option<As4MessageId>,
    pub(super) receipt: Option<Element<'d>>,
    pub(super) errors: Vec<EbmsError>,
}

fn invalid(what: &str) -> EbmsError {
    EbmsError::new(Code::InvalidHeader, format!("{what} is missing, repeated or not readable"))
}

impl<'d> Messaging<'d> {
    /// Reads the one message in `eb:Messaging`. Bundles are refused: AS4 has no use for them (AS4 2.1.3.2).
    pub(super) fn read(messaging: Element<'d>) -> Result<Self, EbmsError> {
        let mut children = messaging.elements().filter(|e| e.namespace() == EB);
        match (children.next(), children.next()) {
            (Some(user), None) if user.local() == "UserMessage" => Header::read(user).map(|header| Self::User(Box::new(header))),
            (Some(signal), None) if signal.local() == "SignalMessage" => Signal::read(signal).map(Self::Signal),
            (Some(_), Some(_)) => Err(EbmsError::new(Code::FeatureNotSupported, "Bundled messages are not supported")),
            _ => Err(invalid("eb:UserMessage or eb:SignalMessage")),
        }
    }
}

/// The id of whatever message there is, without judging the rest: an error answers it.
pub(super) fn message_id(messaging: Element<'_>) -> Option<As4MessageId> {
    messaging.elements().find_map(|message| As4MessageId::new(message.child(EB, "MessageInfo")?.child(EB, "MessageId")?.trimmed()).ok())
}

struct Info {
    message_id: As4MessageId,
    timestamp: Timestamp,
    ref_to: Option<As4MessageId>,
}

impl Info {
    fn read(message: Element<'_>) -> Result<Self, EbmsError> {
        let info = message.only(EB, "MessageInfo").ok_or_else(|| invalid("eb:MessageInfo"))?;
        let id = |element: Element<'_>, what| As4MessageId::new(element.trimmed()).map_err(|_| invalid(what));
        Ok(Self {
            message_id: id(info.only(EB, "MessageId").ok_or_else(|| invalid("eb:MessageId"))?, "eb:MessageId")?,
            timestamp: required(info, "Timestamp").ok().and_then(|text| moment(&text)).ok_or_else(|| invalid("eb:Timestamp"))?,
            ref_to: info.child(EB, "RefToMessageId").map(|e| id(e, "eb:RefToMessageId")).transpose()?,
        })
    }
}

/// An `xsd:dateTime`; without a zone it is UTC (ebMS 3.0 5.2.2.1).
fn moment(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp()))
}

/// The text of the only child of that name; it may not be empty.
fn required(parent: Element<'_>, local: &str) -> Result<String, EbmsError> {
    parent.only(EB, local).map(|e| e.trimmed()).filter(|text| !text.is_empty()).ok_or_else(|| invalid(&format!("eb:{local}")))
}

impl Header {
    fn read(user: Element<'_>) -> Result<Self, EbmsError> {
        let info = Info::read(user)?;
        let parties = user.only(EB, "PartyInfo").ok_or_else(|| invalid("eb:PartyInfo"))?;
        let collaboration = user.only(EB, "CollaborationInfo").ok_or_else(|| invalid("eb:CollaborationInfo"))?;
        let service = collaboration.only(EB, "Service").ok_or_else(|| invalid("eb:Service"))?;
        let payloads = user.child(EB, "PayloadInfo").map(|e| e.named(EB, "PartInfo").map(PartInfo::read).collect::<Result<_, _>>());
        Ok(Self {
            message_id: info.message_id,
            timestamp: info.timestamp,
            ref_to: info.ref_to,
            mpc: user.attribute("mpc").map(str::to_owned),
            from: Party::read(parties, "From")?,
            to: Party::read(parties, "To")?,
            agreement: collaboration.child(EB, "AgreementRef").map(|e| e.trimmed()),
            service: Service { value: service.trimmed(), kind: service.attribute("type").map(|kind| kind.trim().to_owned()) },
            action: required(collaboration, "Action")?,
            // Its text may be empty (ebMS 3.0 5.2.2.10 asks for the element only).
            conversation_id: collaboration.only(EB, "ConversationId").ok_or_else(|| invalid("eb:ConversationId"))?.trimmed(),
            properties: user.child(EB, "MessageProperties").map(properties).transpose()?.unwrap_or_default(),
            parts: payloads.transpose()?.unwrap_or_default(),
        })
    }

    /// The value and type of the only property of that name.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&Property> {
        let mut all = self.properties.iter().filter(|property| property.name == name);
        all.next().filter(|_| all.next().is_none())
    }
}

impl Party {
    fn read(parties: Element<'_>, local: &str) -> Result<Self, EbmsError> {
        let party = parties.only(EB, local).ok_or_else(|| invalid(&format!("eb:{local}")))?;
        let ids: Vec<PartyId> = party
            .named(EB, "PartyId")
            .map(|id| PartyId { value: id.trimmed(), kind: id.attribute("type").map(|kind| kind.trim().to_owned()) })
            .collect();
        if ids.is_empty() {
            return Err(invalid("eb:PartyId"));
        }
        Ok(Self { ids, role: required(party, "Role")? })
    }
}

impl PartInfo {
    fn read(part: Element<'_>) -> Result<Self, EbmsError> {
        let list = part.child(EB, "PartProperties").map(properties).transpose()?;
        Ok(Self { href: part.attribute("href").map(|href| href.trim().to_owned()), properties: list.unwrap_or_default() })
    }
}

fn properties(list: Element<'_>) -> Result<Vec<Property>, EbmsError> {
    let read = |property: Element<'_>| {
        let name = property.attribute("name").ok_or_else(|| invalid("the name of an eb:Property"))?;
        Ok(Property { name: name.trim().to_owned(), kind: property.attribute("type").map(|kind| kind.trim().to_owned()), value: property.trimmed() })
    };
    list.named(EB, "Property").map(read).collect()
}

impl<'d> Signal<'d> {
    fn read(signal: Element<'d>) -> Result<Self, EbmsError> {
        let info = Info::read(signal)?;
        let receipt = signal.child(EB, "Receipt");
        if receipt.is_some() && signal.only(EB, "Receipt").is_none() {
            return Err(invalid("eb:Receipt"));
        }
        Ok(Self { message_id: info.message_id, ref_to: info.ref_to, receipt, errors: signal.named(EB, "Error").map(EbmsError::read).collect() })
    }
}

/// What a user message is for, which gives Service and Action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To carry its document.
    Document,
    /// To see whether the other access point answers (ebMS 3.0 5.2.2).
    Test,
}

/// Writes `eb:Messaging` with a user message for one gzip payload at `href`.
pub(super) fn write_user(message: &UserMessage, purpose: Purpose, ids: &Ids, href: &str) -> String {
    let mut writer = Writer::new();
    open_messaging(&mut writer, ids);
    writer.open("eb:UserMessage");
    write_info(&mut writer, &message.message_id, message.timestamp, message.ref_to.as_ref());
    writer.open("eb:PartyInfo");
    for (name, party, role) in [("eb:From", &message.from, INITIATOR), ("eb:To", &message.to, RESPONDER)] {
        writer.open(name).open("eb:PartyId").attribute("type", PARTY_TYPE).text(party.as_str()).close();
        writer.leaf("eb:Role", role).close();
    }
    writer.close().open("eb:CollaborationInfo");
    match purpose {
        Purpose::Document => {
            writer.open("eb:Service").attribute("type", PROCESS_SCHEME).text(PROCESS_ID).close().leaf("eb:Action", &message.kind.action());
        }
        Purpose::Test => drop(writer.leaf("eb:Service", TEST_SERVICE).leaf("eb:Action", TEST_ACTION)),
    }
    writer.leaf("eb:ConversationId", &message.conversation_id).close();
    writer.open("eb:MessageProperties");
    for (name, participant) in [("originalSender", &message.original_sender), ("finalRecipient", &message.final_recipient)] {
        writer.open("eb:Property").attribute("name", name).attribute("type", PARTICIPANT_SCHEME).text(participant.as_str()).close();
    }
    writer.close().open("eb:PayloadInfo").open("eb:PartInfo").attribute("href", href).open("eb:PartProperties");
    for (name, value) in [("MimeType", "text/xml"), ("CompressionType", GZIP)] {
        writer.open("eb:Property").attribute("name", name).text(value).close();
    }
    writer.finish()
}

/// Begins `eb:Messaging` with a signal message; receipt or errors follow, `finish` of the writer ends it.
pub(super) fn open_signal(writer: &mut Writer, ids: &Ids, id: &As4MessageId, at: Timestamp, ref_to: Option<&As4MessageId>) {
    open_messaging(writer, ids);
    writer.open("eb:SignalMessage");
    write_info(writer, id, at, ref_to);
}

fn open_messaging(writer: &mut Writer, ids: &Ids) {
    writer.open("eb:Messaging").attribute("xmlns:eb", EB).attribute("xmlns:S12", SOAP).attribute("xmlns:wsu", WSU);
    writer.attribute("S12:mustUnderstand", "true").attribute("wsu:Id", &ids.messaging());
}

fn write_info(writer: &mut Writer, id: &As4MessageId, at: Timestamp, ref_to: Option<&As4MessageId>) {
    writer.open("eb:MessageInfo").leaf("eb:Timestamp", &format!("{at:.3}")).leaf("eb:MessageId", id.as_str());
    if let Some(ref_to) = ref_to {
        writer.leaf("eb:RefToMessageId", ref_to.as_str());
    }
    writer.close();
}
