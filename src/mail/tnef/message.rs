//! A message out of TNEF: what it says of itself, its body, its attachments (MS-OXTNEF 2.1.3, MS-OXCMSG).

use jiff::Timestamp;

use super::TnefError;
use super::item;
use super::properties::{Properties, Value};
use super::stream::{Attribute, Level, attributes};
use crate::mail::codepage;
use crate::mail::rtf;

/// Messages within messages that are read.
const MAX_DEPTH: usize = 10;
/// More attachments than any mail has.
const MAX_ATTACHMENTS: usize = 1_000;

/// Interfaces of what an attachment holds (MS-OXTNEF 2.1.3.4): a message, as it is stored.
const IID_MESSAGE: [u8; 16] = [7, 3, 2, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46];

/// Ids of attributes, without their types (MS-OXTNEF 2.1.1).
mod attribute {
    pub(super) const DATE_SENT: u16 = 0x8005;
    pub(super) const FROM: u16 = 0x8000;
    pub(super) const SUBJECT: u16 = 0x8004;
    pub(super) const MESSAGE_CLASS: u16 = 0x8008;
    pub(super) const BODY: u16 = 0x800c;
    pub(super) const ATTACH_DATA: u16 = 0x800f;
    pub(super) const ATTACH_TITLE: u16 = 0x8010;
    pub(super) const ATTACH_TRANSPORT_NAME: u16 = 0x9001;
    pub(super) const ATTACH_RENDERING: u16 = 0x9002;
    pub(super) const PROPERTIES: u16 = 0x9003;
    pub(super) const RECIPIENTS: u16 = 0x9004;
    pub(super) const ATTACHMENT: u16 = 0x9005;
    pub(super) const CODE_PAGE: u16 = 0x9007;
}

/// A message.
#[derive(Debug, Default)]
pub(in crate::mail) struct Message<'a> {
    /// `IPM.Note` and others.
    pub(in crate::mail) class: String,
    /// Its subject.
    pub(in crate::mail) subject: Option<String>,
    /// Who sent it: name, address, or both.
    pub(in crate::mail) from: Option<String>,
    /// To whom.
    pub(in crate::mail) to: Vec<String>,
    /// And in copy.
    pub(in crate::mail) cc: Vec<String>,
    /// When.
    pub(in crate::mail) sent: Option<Timestamp>,
    /// The body as HTML, its own or that of its RTF.
    pub(in crate::mail) html: Option<String>,
    /// The body as text.
    pub(in crate::mail) plain: Option<String>,
    /// What the body's RTF shows.
    pub(in crate::mail) pictures: Vec<rtf::Picture>,
    /// Pictures and objects of the RTF that nothing here can pass on.
    pub(in crate::mail) lost: usize,
    /// What a meeting, task or contact says in its own fields, in words.
    pub(in crate::mail) summary: Option<String>,
    /// The answers that its voting buttons offer.
    pub(in crate::mail) votes: Vec<String>,
    /// Its attachments.
    pub(in crate::mail) attachments: Vec<Attachment<'a>>,
}

/// An attachment.
#[derive(Debug)]
pub(in crate::mail) struct Attachment<'a> {
    /// Its name: the long one before the short one.
    pub(in crate::mail) name: Option<String>,
    /// The media type that it names.
    pub(in crate::mail) media_type: Option<String>,
    /// By what the HTML shows it.
    pub(in crate::mail) content_id: Option<String>,
    /// By what else the HTML may show it.
    pub(in crate::mail) content_location: Option<String>,
    /// What it is.
    pub(in crate::mail) contents: Contents<'a>,
}

/// What an attachment is.
#[derive(Debug)]
pub(in crate::mail) enum Contents<'a> {
    /// A file.
    File(&'a [u8]),
    /// A message.
    Message(Box<Message<'a>>),
    /// An object of another program, which only that shows.
    Object,
    /// A file that lies elsewhere: where, if it is said.
    Link(Option<String>),
}

/// Reads a stream.
pub(in crate::mail) fn read(octets: &[u8]) -> Result<Message<'_>, TnefError> {
    read_at(octets, 0)
}

fn read_at(octets: &[u8], depth: usize) -> Result<Message<'_>, TnefError> {
    if depth > MAX_DEPTH {
        return Err(TnefError::Depth);
    }
    let all = attributes(octets)?;
    let page = all
        .iter()
        .find(|attribute| attribute.id == attribute::CODE_PAGE)
        .and_then(|page| page.data.first_chunk())
        .map_or(0, |page| u32::from_le_bytes(*page));
    let (own, parts) = all.split_at(all.iter().position(|attribute| attribute.level == Level::Attachment).unwrap_or(all.len()));
    if !all.iter().any(|attribute| matches!(attribute.id, attribute::PROPERTIES | attribute::BODY | attribute::ATTACH_RENDERING)) {
        return Err(TnefError::Short);
    }
    let mut fields = Fields::default();
    for attribute in own {
        fields.take(*attribute, page)?;
    }
    let mut message = fields.message(page)?;
    let mut part: Option<Part<'_>> = None;
    for next in parts {
        // MS-OXTNEF 2.1.3.3: what the message has stands before, and each attachment begins with its rendering.
        let misplaced = matches!(next.id, attribute::PROPERTIES | attribute::RECIPIENTS | attribute::BODY | attribute::SUBJECT);
        if next.level == Level::Message || misplaced || (part.is_none() && next.id != attribute::ATTACH_RENDERING) {
            return Err(TnefError::Level);
        }
        if next.id == attribute::ATTACH_RENDERING {
            finish(part.take(), &mut message, page, depth)?;
        }
        part.get_or_insert_default().take(*next, page)?;
    }
    finish(part, &mut message, page, depth)?;
    Ok(message)
}

fn finish<'a>(part: Option<Part<'a>>, message: &mut Message<'a>, page: u32, depth: usize) -> Result<(), TnefError> {
    if let Some(part) = part {
        message.attachments.push(part.attachment(page, depth)?);
    }
    if message.attachments.len() > MAX_ATTACHMENTS { Err(TnefError::TooMany) } else { Ok(()) }
}

/// The attributes of the message itself.
#[derive(Default)]
struct Fields<'a> {
    properties: Properties<'a>,
    recipients: Vec<Properties<'a>>,
    class: &'a [u8],
    subject: &'a [u8],
    body: &'a [u8],
    from: &'a [u8],
    sent: Option<Timestamp>,
}

impl<'a> Fields<'a> {
    fn take(&mut self, attribute: Attribute<'a>, page: u32) -> Result<(), TnefError> {
        match attribute.id {
            attribute::PROPERTIES => {
                self.properties.page = page;
                self.properties.extend(Properties::read(attribute.data, page)?);
            }
            attribute::RECIPIENTS => self.recipients.extend(Properties::read_rows(attribute.data, page)?),
            attribute::MESSAGE_CLASS => self.class = attribute.data,
            attribute::SUBJECT => self.subject = attribute.data,
            attribute::BODY => self.body = attribute.data,
            attribute::FROM => self.from = attribute.data,
            attribute::DATE_SENT => self.sent = date(attribute.data),
            _ => {}
        }
        Ok(())
    }

    fn message(self, page: u32) -> Result<Message<'a>, TnefError> {
        let ansi = |octets: &[u8]| text(octets, page);
        let properties = &self.properties;
        let class = properties.text(0x001a).or_else(|| ansi(self.class)).map(|class| usual_class(&class)).unwrap_or_default();
        let (to, cc) = recipients(&self.recipients, properties);
        let mut message = Message {
            subject: properties.text(0x0037).or_else(|| ansi(self.subject)),
            from: sender(properties).or_else(|| triple(self.from, page)),
            to,
            cc,
            sent: properties.time(0x0039).or(self.sent),
            plain: [0x1000, 0x1001].into_iter().find_map(|tag| properties.text(tag)).or_else(|| ansi(self.body)),
            summary: item::summary(&class, properties),
            votes: item::votes(properties),
            class,
            ..Message::default()
        };
        body(&mut message, properties)?;
        Ok(message)
    }
}

/// The body in its richest form: HTML, then RTF, which may be HTML or text that was wrapped.
fn body(message: &mut Message<'_>, properties: &Properties<'_>) -> Result<(), TnefError> {
    message.html = match properties.value(0x1013) {
        // The page of the HTML's own charset.
        Some(Value::Binary(html)) => {
            let page = properties.integer(0x3fde).and_then(|page| u32::try_from(page).ok()).unwrap_or(properties.page);
            if page == 1200 { Some(codepage::utf16(html)) } else { text(html, page) }
        }
        _ => properties.text(0x1013),
    };
    if message.html.is_some() {
        return Ok(());
    }
    let Some(Value::Binary(compressed)) = properties.value(0x1009).filter(|value| !matches!(value, Value::Binary([]))) else { return Ok(()) };
    let rtf = rtf::read(&rtf::decompress(compressed)?)?;
    message.lost = rtf.metafiles + rtf.objects;
    message.pictures = rtf.pictures;
    match rtf.text {
        rtf::Text::Html(html) => message.html = Some(html),
        rtf::Text::Plain(plain) => message.plain = Some(plain),
    }
    Ok(())
}

fn sender(properties: &Properties<'_>) -> Option<String> {
    // Whom it was sent for, before who pressed the button.
    [(0x0042, [0x5d02, 0x0065]), (0x0c1a, [0x5d01, 0x0c1f])]
        .into_iter()
        .find_map(|(name, addresses)| person(properties.text(name), addresses.into_iter().filter_map(|tag| properties.text(tag))))
}

/// A name with the first of the addresses that is one of the Internet's.
fn person(name: Option<String>, addresses: impl IntoIterator<Item = String>) -> Option<String> {
    let address = addresses.into_iter().find(|address| address.contains('@') && !address.starts_with('/'));
    match (name, address) {
        (Some(name), Some(address)) if name != address => Some(format!("{name} <{address}>")),
        (name, address) => address.or(name),
    }
}

fn recipients(rows: &[Properties<'_>], properties: &Properties<'_>) -> (Vec<String>, Vec<String>) {
    let of = |kind: i64, list: u16| -> Vec<String> {
        let rows = rows.iter().filter(|row| row.integer(0x0c15).map(|own| own & 0xf) == Some(kind));
        let named: Vec<_> = rows.filter_map(|row| person(row.text(0x3001), [0x39fe, 0x3003].into_iter().filter_map(|tag| row.text(tag)))).collect();
        if named.is_empty() { properties.text(list).into_iter().collect() } else { named }
    };
    (of(1, 0x0e04), of(2, 0x0e03))
}

/// The attributes of one attachment.
#[derive(Default)]
struct Part<'a> {
    properties: Properties<'a>,
    data: Option<&'a [u8]>,
    title: &'a [u8],
    transport_name: &'a [u8],
    macintosh: bool,
}

impl<'a> Part<'a> {
    fn take(&mut self, attribute: Attribute<'a>, page: u32) -> Result<(), TnefError> {
        match attribute.id {
            attribute::ATTACHMENT => {
                self.properties.page = page;
                self.properties.extend(Properties::read(attribute.data, page)?);
            }
            attribute::ATTACH_DATA => self.data = Some(attribute.data),
            attribute::ATTACH_TITLE => self.title = attribute.data,
            attribute::ATTACH_TRANSPORT_NAME => self.transport_name = attribute.data,
            // MS-OXTNEF 2.1.3.3.15: type, position, width, height, and how the data is wrapped.
            attribute::ATTACH_RENDERING => self.macintosh = attribute.data.get(10).is_some_and(|flags| flags & 1 == 1),
            _ => {}
        }
        Ok(())
    }

    fn attachment(self, page: u32, depth: usize) -> Result<Attachment<'a>, TnefError> {
        let properties = &self.properties;
        let contents = match properties.value(0x3701) {
            Some(Value::Object(interface, contents)) if interface == IID_MESSAGE => Contents::Message(Box::new(read_at(contents, depth + 1)?)),
            Some(Value::Object(..)) => Contents::Object,
            Some(Value::Binary(data)) => Contents::File(data),
            _ => match (self.data, properties.integer(0x3705)) {
                // A path or an address stands for the file (MS-OXCMSG 2.2.2.9).
                (None | Some([]), Some(2..=4 | 7)) => Contents::Link(properties.text(0x370d).or_else(|| properties.text(0x3708))),
                (Some(data), _) if self.macintosh => Contents::File(data_fork(data)),
                (data, _) => Contents::File(data.unwrap_or_default()),
            },
        };
        Ok(Attachment {
            name: self.name(page),
            media_type: properties.text(0x370e),
            content_id: properties.text(0x3712).map(|id| id.trim().trim_start_matches('<').trim_end_matches('>').to_owned()),
            content_location: properties.text(0x3713),
            contents,
        })
    }

    fn name(&self, page: u32) -> Option<String> {
        let properties = &self.properties;
        let file = properties.text(0x3707).or_else(|| properties.text(0x3704)).or_else(|| text(self.title, page));
        file.or_else(|| {
            let shown = properties.text(0x3001).or_else(|| text(self.transport_name, page))?;
            let extension =
                properties.text(0x3703).filter(|extension| extension.starts_with('.') && !shown.to_lowercase().ends_with(&extension.to_lowercase()));
            Some(shown + &extension.unwrap_or_default())
        })
    }
}

/// What a file of the old Macintosh holds, out of its wrapping (MacBinary): 128 octets say how long the data fork is.
fn data_fork(octets: &[u8]) -> &[u8] {
    let fork = || {
        let (header, rest) = octets.split_at_checked(128)?;
        let [0, 1..=63, ..] = header else { return None };
        let length = u32::from_be_bytes(header.get(83..87)?.try_into().ok()?);
        rest.get(..length as usize).filter(|fork| !fork.is_empty())
    };
    fork().unwrap_or(octets)
}

/// Text of an attribute, up to its NUL.
fn text(octets: &[u8], page: u32) -> Option<String> {
    let octets = octets.split(|octet| *octet == 0).next().unwrap_or_default();
    let text = codepage::decode(octets, page).or_else(|| codepage::decode(octets, 1252))?;
    (!text.is_empty()).then_some(text)
}

/// A date as six numbers and the weekday, in UTC (MS-OXTNEF 2.1.3.3.2).
fn date(octets: &[u8]) -> Option<Timestamp> {
    let mut numbers = octets.chunks_exact(2).map(|pair| pair.try_into().map(u16::from_le_bytes).unwrap_or_default());
    let year = i16::try_from(numbers.next()?).ok()?;
    let mut next = || i8::try_from(numbers.next()?).ok();
    let (month, day, hour, minute, second) = (next()?, next()?, next()?, next()?, next()?);
    let date = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|date| date.timestamp())
}

/// A name and an address in a TRP structure (MS-OXTNEF 2.1.3.3.1): four numbers, the name, `SMTP:` and the address.
fn triple(octets: &[u8], page: u32) -> Option<String> {
    let short = |at: usize| Some(usize::from(u16::from_le_bytes(octets.get(at..at + 2)?.try_into().ok()?)));
    let (name, address) = (short(4)?, short(6)?);
    let name_text = text(octets.get(8..8 + name)?, page);
    let address = text(octets.get(8 + name..8 + name + address)?, page);
    person(name_text, address.map(|address| address.split_once(':').map_or(address.clone(), |(_, address)| address.to_owned())))
}

/// The classes that TNEF calls otherwise (MS-OXTNEF 2.1.3.3.9).
fn usual_class(class: &str) -> String {
    let usual = match class {
        "IPM.Microsoft Mail.Note" => "IPM.Note",
        "IPM.Microsoft Mail.Read Receipt" => "REPORT.IPM.Note.IPNRN",
        "IPM.Microsoft Mail.Non-Delivery" => "REPORT.IPM.Note.NDR",
        "IPM.Microsoft Schedule.MtgRespP" => "IPM.Schedule.Meeting.Resp.Pos",
        "IPM.Microsoft Schedule.MtgRespN" => "IPM.Schedule.Meeting.Resp.Neg",
        "IPM.Microsoft Schedule.MtgRespA" => "IPM.Schedule.Meeting.Resp.Tent",
        "IPM.Microsoft Schedule.MtgReq" => "IPM.Schedule.Meeting.Request",
        "IPM.Microsoft Schedule.MtgCncl" => "IPM.Schedule.Meeting.Canceled",
        other => other,
    };
    usual.to_owned()
}
