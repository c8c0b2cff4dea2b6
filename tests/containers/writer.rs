//! Writes what Outlook and Exchange write: TNEF attribute by attribute (MS-OXTNEF 2.1), compressed RTF, and mails around them.

use std::fmt::Write as _;

use base64::Engine as _;
use jiff::Timestamp;

/// 100 ns from 1601 to 1970.
const EPOCH: i64 = 116_444_736_000_000_000;
/// The interface of an embedded message, and that of an object of another program.
pub const MESSAGE: [u8; 16] = [7, 3, 2, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46];
pub const STORAGE: [u8; 16] = [0x0b, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46];

/// Outlook's sets of named properties.
pub fn set(octet: u8) -> [u8; 16] {
    [octet, 0x20, 6, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46]
}

pub fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// cp1252, for letters that Latin-1 has.
pub fn ansi(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

/// A list of properties.
#[derive(Clone, Default)]
pub struct Properties {
    count: u32,
    octets: Vec<u8>,
}

impl Properties {
    fn add(mut self, kind: u16, key: &[u8], value: &[u8]) -> Self {
        self.count += 1;
        self.octets.extend(kind.to_le_bytes());
        self.octets.extend(key);
        self.octets.extend(value);
        self
    }

    fn variable(octets: &[u8]) -> Vec<u8> {
        let mut value = (octets.len() as u32).to_le_bytes().to_vec();
        value.extend(octets);
        value.resize(value.len().next_multiple_of(4), 0);
        value
    }

    fn one(octets: &[u8]) -> Vec<u8> {
        [&1_u32.to_le_bytes()[..], &Self::variable(octets)].concat()
    }

    pub fn text(self, tag: u16, text: &str) -> Self {
        self.add(0x1f, &tag.to_le_bytes(), &Self::one(&utf16(&format!("{text}\0"))))
    }

    pub fn ansi(self, tag: u16, text: &str) -> Self {
        self.add(0x1e, &tag.to_le_bytes(), &Self::one(&ansi(&format!("{text}\0"))))
    }

    pub fn binary(self, tag: u16, octets: &[u8]) -> Self {
        self.add(0x102, &tag.to_le_bytes(), &Self::one(octets))
    }

    pub fn int(self, tag: u16, number: i32) -> Self {
        self.add(3, &tag.to_le_bytes(), &number.to_le_bytes())
    }

    pub fn short(self, tag: u16, number: i16) -> Self {
        self.add(2, &tag.to_le_bytes(), &[&number.to_le_bytes()[..], &[0, 0]].concat())
    }

    pub fn truth(self, tag: u16, truth: bool) -> Self {
        self.add(0x0b, &tag.to_le_bytes(), &[u8::from(truth), 0, 0, 0])
    }

    pub fn time(self, tag: u16, at: &str) -> Self {
        self.add(0x40, &tag.to_le_bytes(), &ticks(at))
    }

    pub fn guid(self, tag: u16, guid: [u8; 16]) -> Self {
        self.add(0x48, &tag.to_le_bytes(), &guid)
    }

    pub fn object(self, tag: u16, interface: [u8; 16], contents: &[u8]) -> Self {
        self.add(0x0d, &tag.to_le_bytes(), &Self::one(&[&interface[..], contents].concat()))
    }

    pub fn texts(self, tag: u16, texts: &[&str]) -> Self {
        let mut value = (texts.len() as u32).to_le_bytes().to_vec();
        for text in texts {
            value.extend(Self::variable(&utf16(&format!("{text}\0"))));
        }
        self.add(0x101f, &tag.to_le_bytes(), &value)
    }

    pub fn longs(self, tag: u16, numbers: &[i64]) -> Self {
        let mut value = (numbers.len() as u32).to_le_bytes().to_vec();
        for number in numbers {
            value.extend(number.to_le_bytes());
        }
        self.add(0x1014, &tag.to_le_bytes(), &value)
    }

    fn numbered(set: [u8; 16], id: u32) -> Vec<u8> {
        [&0x8000_u16.to_le_bytes()[..], &set, &0_u32.to_le_bytes(), &id.to_le_bytes()].concat()
    }

    pub fn named_text(self, set: [u8; 16], id: u32, text: &str) -> Self {
        self.add(0x1f, &Self::numbered(set, id), &Self::one(&utf16(&format!("{text}\0"))))
    }

    pub fn named_time(self, set: [u8; 16], id: u32, at: &str) -> Self {
        self.add(0x40, &Self::numbered(set, id), &ticks(at))
    }

    pub fn named_int(self, set: [u8; 16], id: u32, number: i32) -> Self {
        self.add(3, &Self::numbered(set, id), &number.to_le_bytes())
    }

    pub fn named_truth(self, set: [u8; 16], id: u32, truth: bool) -> Self {
        self.add(0x0b, &Self::numbered(set, id), &[u8::from(truth), 0, 0, 0])
    }

    pub fn named_binary(self, set: [u8; 16], id: u32, octets: &[u8]) -> Self {
        self.add(0x102, &Self::numbered(set, id), &Self::one(octets))
    }

    /// A property that has a name instead of a number.
    pub fn string_named(self, set: [u8; 16], name: &str, text: &str) -> Self {
        let key = [&0x8001_u16.to_le_bytes()[..], &set, &1_u32.to_le_bytes(), &Self::variable(&utf16(&format!("{name}\0")))].concat();
        self.add(0x1f, &key, &Self::one(&utf16(&format!("{text}\0"))))
    }

    pub fn octets(&self) -> Vec<u8> {
        [&self.count.to_le_bytes()[..], &self.octets].concat()
    }
}

fn ticks(at: &str) -> [u8; 8] {
    (at.parse::<Timestamp>().unwrap().as_second() * 10_000_000 + EPOCH).to_le_bytes()
}

/// One attribute with its checksum.
pub fn attribute(level: u8, id: u32, data: &[u8]) -> Vec<u8> {
    let sum = data.iter().fold(0_u16, |sum, octet| sum.wrapping_add(u16::from(*octet)));
    [&[level][..], &id.to_le_bytes(), &(data.len() as u32).to_le_bytes(), data, &sum.to_le_bytes()].concat()
}

/// An attachment as Outlook writes it.
#[derive(Clone, Default)]
pub struct Attachment {
    /// `attAttachTitle`: the short name.
    pub title: Vec<u8>,
    /// `attAttachData`.
    pub data: Option<Vec<u8>>,
    /// `attAttachment`.
    pub properties: Properties,
}

impl Attachment {
    /// A file with a long name in UTF-16.
    pub fn file(name: &str, data: &[u8]) -> Self {
        let short: String = name.chars().filter(char::is_ascii_alphanumeric).take(6).collect();
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let extension: String = extension.chars().take(3).collect();
        Self {
            title: ansi(&format!("{}~1.{}\0", short.to_uppercase(), extension.to_uppercase())),
            data: Some(data.to_vec()),
            properties: Properties::default().text(0x3707, name).text(0x3001, name).int(0x3705, 1).int(0x370b, -1).truth(0x7ffe, false),
        }
    }

    /// A message within the message. Outlook fills the data with words for readers that do not know such.
    pub fn message(subject: &str, stream: &[u8]) -> Self {
        Self {
            title: ansi("Untitled Attachment\0"),
            data: Some(b"This attachment is a MAPI 1.0 embedded message and is not supported by this mail system.\0".to_vec()),
            properties: Properties::default().text(0x3001, subject).int(0x3705, 5).object(0x3701, MESSAGE, stream),
        }
    }

    fn octets(&self) -> Vec<u8> {
        // Type, position, width, height, flags.
        let rendering = [&1_u16.to_le_bytes()[..], &(-1_i32).to_le_bytes(), &[32, 0, 32, 0], &[0; 4]].concat();
        let mut octets = attribute(2, 0x0006_9002, &rendering);
        if let Some(data) = &self.data {
            octets.extend(attribute(2, 0x0006_800f, data));
        }
        octets.extend(attribute(2, 0x0001_8010, &self.title));
        octets.extend(attribute(2, 0x0006_9005, &self.properties.octets()));
        octets
    }
}

/// A message as Outlook writes it.
#[derive(Clone)]
pub struct Winmail {
    pub page: u32,
    pub class: String,
    pub properties: Properties,
    pub recipients: Vec<Properties>,
    pub attachments: Vec<Attachment>,
    /// Attributes from before MAPI, such as `attSubject`.
    pub old: Vec<(u32, Vec<u8>)>,
}

impl Winmail {
    pub fn new(class: &str, properties: Properties) -> Self {
        Self { page: 1252, class: class.to_owned(), properties, recipients: Vec::new(), attachments: Vec::new(), old: Vec::new() }
    }

    pub fn with(mut self, attachment: Attachment) -> Self {
        self.attachments.push(attachment);
        self
    }

    pub fn octets(&self) -> Vec<u8> {
        let mut octets = [&0x223e_9f78_u32.to_le_bytes()[..], &[0x2a, 0]].concat();
        octets.extend(attribute(1, 0x0008_9006, &0x0001_0000_u32.to_le_bytes()));
        octets.extend(attribute(1, 0x0006_9007, &[&self.page.to_le_bytes()[..], &[0; 4]].concat()));
        octets.extend(attribute(1, 0x0007_8008, &ansi(&format!("{}\0", self.class))));
        for (id, data) in &self.old {
            octets.extend(attribute(1, *id, data));
        }
        if !self.recipients.is_empty() {
            let rows: Vec<u8> = self.recipients.iter().flat_map(Properties::octets).collect();
            octets.extend(attribute(1, 0x0006_9004, &[&(self.recipients.len() as u32).to_le_bytes()[..], &rows].concat()));
        }
        octets.extend(attribute(1, 0x0006_9003, &self.properties.octets()));
        self.attachments.iter().for_each(|attachment| octets.extend(attachment.octets()));
        octets
    }
}

/// RTF in the compressed form, with nothing compressed: every token is an octet (MS-OXRTFCP 2.1).
pub fn compressed(rtf: &[u8]) -> Vec<u8> {
    let mut contents = Vec::new();
    let mut written = 207;
    for run in rtf.chunks(8) {
        contents.push(if run.len() < 8 { 1 << run.len() } else { 0 });
        contents.extend(run);
        written += run.len();
    }
    if rtf.len().is_multiple_of(8) {
        contents.push(1);
    }
    contents.extend(((written % 4096) as u16).wrapping_shl(4).to_be_bytes());
    let crc = contents
        .iter()
        .fold(0_u32, |crc, octet| (0..8).fold(crc ^ u32::from(*octet), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }));
    let sizes = [(contents.len() + 12) as u32, rtf.len() as u32];
    [&sizes[0].to_le_bytes()[..], &sizes[1].to_le_bytes(), b"LZFu", &crc.to_le_bytes(), &contents].concat()
}

/// A part of a mail.
pub struct Part(pub String, pub Vec<u8>);

impl Part {
    pub fn text(text: &str) -> Self {
        Self("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit".to_owned(), text.replace('\n', "\r\n").into_bytes())
    }

    pub fn html(text: &str) -> Self {
        Self("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit".to_owned(), text.replace('\n', "\r\n").into_bytes())
    }

    /// A file in base64.
    pub fn file(kind: &str, name: &str, bytes: &[u8]) -> Self {
        let header = format!(
            "Content-Type: {kind}; name=\"{name}\"\r\nContent-Disposition: attachment; filename=\"{name}\"\r\nContent-Transfer-Encoding: base64"
        );
        Self(header, base64_lines(bytes))
    }

    pub fn winmail(bytes: &[u8]) -> Self {
        Self::file("application/ms-tnef", "winmail.dat", bytes)
    }

    pub fn multipart(subtype: &str, parts: &[Part]) -> Self {
        let depth = parts.iter().filter(|part| part.0.contains("boundary=")).count();
        let boundary = format!("=_b{}_{depth}_{}", subtype.len(), parts.iter().map(|part| part.1.len()).sum::<usize>());
        let mut body = Vec::new();
        for part in parts {
            let end = if part.0.is_empty() { "" } else { "\r\n" };
            body.extend(format!("--{boundary}\r\n{}{end}\r\n", part.0).into_bytes());
            body.extend(&part.1);
            body.extend(b"\r\n");
        }
        body.extend(format!("--{boundary}--\r\n").into_bytes());
        Self(format!("Content-Type: multipart/{subtype}; boundary=\"{boundary}\""), body)
    }

    /// A mail whose whole is this part.
    pub fn mail(&self) -> Vec<u8> {
        let mut mail = String::new();
        write!(mail, "From: \"Anna =?utf-8?q?=C3=85berg?=\" <soc@habo.se>\r\nTo: f@af.se.sdk.habo.se\r\nSubject: Prov\r\n").unwrap();
        write!(mail, "Date: Wed, 4 Mar 2026 09:30:00 +0100\r\nMessage-ID: <prov@habo.se>\r\nMIME-Version: 1.0\r\n{}\r\n\r\n", self.0).unwrap();
        [mail.into_bytes(), self.1.clone()].concat()
    }
}

pub fn base64_lines(bytes: &[u8]) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.encode(bytes).as_bytes().chunks(76).flat_map(|line| [line, b"\r\n"].concat()).collect()
}
