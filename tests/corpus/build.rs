//! Mails as programs write them: parts, headers, encodings and names, and what has to come out at the other end.

use base64::prelude::*;

/// How a part's bytes are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enc {
    Seven,
    Eight,
    Binary,
    Qp,
    B64,
    /// base64 in one line, as some programs write it.
    B64Long,
}

/// How an attachment's name is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// `name="…"; filename="…"`, as it is, octets of UTF-8 and all.
    Quoted,
    /// The same without quotes.
    Bare,
    /// Octets of ISO-8859-1.
    Latin1,
    /// RFC 2047 in quotes, in both fields, UTF-8 and B: Outlook, Exchange.
    B,
    /// RFC 2047, ISO-8859-1 and Q: older Outlook.
    Q,
    /// RFC 2047 without quotes.
    BareB,
    /// RFC 2231 in one piece: `filename*=`.
    Extended,
    /// RFC 2231 in sections: Thunderbird, Apple Mail.
    Sections,
    /// RFC 2231 sections without charset: `filename*0="…"`.
    Pieces,
    /// RFC 2047 in `name`, RFC 2231 in `filename`: what careful programs write.
    Both,
    /// Only `name=` on Content-Type, no Content-Disposition.
    TypeOnly,
    /// Only `filename=` on Content-Disposition.
    DispositionOnly,
    /// No name anywhere.
    Nothing,
}

/// A part of a mail.
#[derive(Debug, Clone)]
pub struct Part {
    /// Header lines as octets.
    pub head: Vec<Vec<u8>>,
    pub body: Vec<u8>,
    /// The files that must come out of it: name and bytes.
    pub files: Vec<(String, Vec<u8>)>,
}

impl Part {
    pub fn raw(head: &[&str], body: impl Into<Vec<u8>>) -> Self {
        Self { head: head.iter().map(|line| line.as_bytes().to_vec()).collect(), body: body.into(), files: Vec::new() }
    }

    pub fn header(mut self, line: &str) -> Self {
        self.head.push(line.as_bytes().to_vec());
        self
    }

    /// With another Content-Type than the builder gave.
    pub fn kind(mut self, value: &str) -> Self {
        self.head[0] = format!("Content-Type: {value}").into_bytes();
        self
    }

    /// The file comes out under this name.
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.files[0].0);
        self
    }

    /// A file that is not expected to come out.
    pub fn lost(mut self) -> Self {
        self.files.clear();
        self
    }

    pub fn with_file(mut self, name: &str, body: &[u8]) -> Self {
        self.files.push((name.to_owned(), body.to_vec()));
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for line in &self.head {
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
        out
    }
}

/// Text in a charset.
pub fn encode(charset: &str, text: &str) -> Vec<u8> {
    let narrow = |special: &'static [(char, u8)]| {
        text.chars().map(|c| special.iter().find(|(from, _)| *from == c).map_or_else(|| u8::try_from(c).unwrap(), |(_, to)| *to)).collect()
    };
    match charset.to_ascii_lowercase().as_str() {
        "iso-8859-1" | "latin1" | "iso-8859-10" => narrow(&[]),
        "windows-1252" | "cp1252" => {
            narrow(&[('€', 0x80), ('…', 0x85), ('‘', 0x91), ('’', 0x92), ('“', 0x93), ('”', 0x94), ('•', 0x95), ('–', 0x96), ('—', 0x97)])
        }
        "iso-8859-15" => narrow(&[('€', 0xa4)]),
        "ibm850" => narrow(&[('å', 0x86), ('ä', 0x84), ('ö', 0x94), ('Å', 0x8f), ('Ä', 0x8e), ('Ö', 0x99), ('é', 0x82)]),
        "macintosh" => narrow(&[('å', 0x8c), ('ä', 0x8a), ('ö', 0x9a), ('Å', 0x81), ('Ä', 0x80), ('Ö', 0x85), ('é', 0x8e)]),
        "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        "utf-16be" => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        "utf-16" => [&[0xff, 0xfe][..], &encode("utf-16le", text)].concat(),
        "utf-7" => {
            let mut out = String::new();
            for c in text.chars() {
                match c {
                    '+' => out.push_str("+-"),
                    c if c.is_ascii() => out.push(c),
                    c => out.push_str(&format!("+{}-", BASE64_STANDARD_NO_PAD.encode(encode("utf-16be", &c.to_string())))),
                }
            }
            out.into_bytes()
        }
        _ => text.as_bytes().to_vec(),
    }
}

pub fn lines76(body: &[u8]) -> Vec<u8> {
    BASE64_STANDARD.encode(body).as_bytes().chunks(76).flat_map(|line| [line, b"\r\n"].concat()).collect()
}

/// Quoted-printable as Outlook and Java write it: lines of 76, line ends kept.
pub fn quoted(body: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::new();
    for (number, line) in body.split(|octet| *octet == b'\n').enumerate() {
        if number > 0 {
            out.extend_from_slice(b"\r\n");
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut width = 0;
        for (at, octet) in line.iter().enumerate() {
            let plain = matches!(octet, 33..=60 | 62..=126) || (matches!(octet, b' ' | b'\t') && at + 1 < line.len());
            let piece = if plain { vec![*octet] } else { format!("={octet:02X}").into_bytes() };
            if width + piece.len() > 75 {
                out.extend_from_slice(b"=\r\n");
                width = 0;
            }
            width += piece.len();
            out.extend(piece);
        }
    }
    out
}

fn carried(enc: Enc, body: &[u8]) -> Vec<u8> {
    match enc {
        Enc::Qp => quoted(body),
        Enc::B64 => lines76(body),
        Enc::B64Long => BASE64_STANDARD.encode(body).into_bytes(),
        Enc::Seven | Enc::Eight | Enc::Binary => body.to_vec(),
    }
}

fn enc_line(enc: Enc) -> &'static str {
    match enc {
        Enc::Seven => "Content-Transfer-Encoding: 7bit",
        Enc::Eight => "Content-Transfer-Encoding: 8bit",
        Enc::Binary => "Content-Transfer-Encoding: binary",
        Enc::Qp => "Content-Transfer-Encoding: quoted-printable",
        Enc::B64 | Enc::B64Long => "Content-Transfer-Encoding: base64",
    }
}

/// A text part; lines of `text` end in `\n` and are sent with CRLF.
pub fn text(subtype: &str, charset: &str, enc: Enc, text: &str) -> Part {
    let octets = encode(charset, &text.replace('\n', "\r\n"));
    let mut part = Part::raw(&[&format!("Content-Type: text/{subtype}; charset=\"{charset}\"")], carried(enc, &octets));
    part.head.push(enc_line(enc).as_bytes().to_vec());
    part
}

pub fn plain(body: &str) -> Part {
    text("plain", "utf-8", Enc::Qp, body)
}

pub fn html(body: &str) -> Part {
    text("html", "utf-8", Enc::Qp, body)
}

pub fn word_b(text: &str) -> String {
    let mut words = Vec::new();
    let mut piece = String::new();
    for c in text.chars() {
        if piece.len() + c.len_utf8() > 42 {
            words.push(std::mem::take(&mut piece));
        }
        piece.push(c);
    }
    words.push(piece);
    words.iter().map(|word| format!("=?utf-8?B?{}?=", BASE64_STANDARD.encode(word))).collect::<Vec<_>>().join("\r\n ")
}

pub fn word_q(text: &str) -> String {
    let octets = encode("iso-8859-1", text);
    let body: String = octets
        .iter()
        .map(|octet| match octet {
            b' ' => "_".to_owned(),
            octet if octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-') => char::from(*octet).to_string(),
            octet => format!("={octet:02X}"),
        })
        .collect();
    format!("=?iso-8859-1?Q?{body}?=")
}

pub fn percent(text: &str) -> String {
    text.bytes()
        .map(|octet| if octet.is_ascii_alphanumeric() || octet == b'.' { char::from(octet).to_string() } else { format!("%{octet:02X}") })
        .collect()
}

/// An attachment in base64.
pub fn file(style: Name, name: &str, media_type: &str, body: &[u8]) -> Part {
    file_in(style, name, media_type, Enc::B64, "attachment", body)
}

pub fn file_in(style: Name, name: &str, media_type: &str, enc: Enc, disposition: &str, body: &[u8]) -> Part {
    let sections = |key: &str, first: &str, sign: &str, text: &str| {
        // Whole escapes stay whole.
        let mut pieces: Vec<String> = vec![first.to_owned()];
        for c in text.split_inclusive(|_| true) {
            let full = pieces.last().unwrap().len() >= 40 && !c.bytes().all(|octet| octet.is_ascii_hexdigit());
            if full {
                pieces.push(String::new());
            }
            pieces.last_mut().unwrap().push_str(c);
        }
        let lines: Vec<String> = pieces
            .iter()
            .enumerate()
            .map(|(at, piece)| if sign.is_empty() { format!("{key}*{at}=\"{piece}\"") } else { format!("{key}*{at}*={piece}") })
            .collect();
        lines.join(";\r\n\t")
    };
    let (kind, place) = match style {
        Name::Quoted | Name::Latin1 => (format!("; name=\"{name}\""), format!("; filename=\"{name}\"")),
        Name::Bare => (format!("; name={name}"), format!("; filename={name}")),
        Name::B => (format!(";\r\n\tname=\"{}\"", word_b(name)), format!(";\r\n\tfilename=\"{}\"", word_b(name))),
        Name::Q => (format!(";\r\n\tname=\"{}\"", word_q(name)), format!(";\r\n\tfilename=\"{}\"", word_q(name))),
        Name::BareB => (format!(";\r\n\tname={}", word_b(name)), format!(";\r\n\tfilename={}", word_b(name))),
        Name::Extended => (String::new(), format!(";\r\n filename*=UTF-8''{}", percent(name))),
        Name::Sections => (format!(";\r\n name=\"{}\"", word_b(name)), format!(";\r\n {}", sections("filename", "utf-8''", "*", &percent(name)))),
        Name::Pieces => (String::new(), format!(";\r\n\t{}", sections("filename", "", "", name))),
        Name::Both => (format!("; name=\"{}\"", word_b(name)), format!("; filename*=utf-8''{}", percent(name))),
        Name::TypeOnly => (format!("; name=\"{name}\""), String::new()),
        Name::DispositionOnly => (String::new(), format!("; filename=\"{name}\"")),
        Name::Nothing => (String::new(), String::new()),
    };
    let octets = |line: String| if style == Name::Latin1 { encode("iso-8859-1", &line) } else { line.into_bytes() };
    let mut head = vec![octets(format!("Content-Type: {media_type}{kind}"))];
    head.push(enc_line(enc).as_bytes().to_vec());
    if style != Name::TypeOnly && !disposition.is_empty() {
        head.push(octets(format!("Content-Disposition: {disposition}{place}")));
    }
    Part { head, body: carried(enc, body), files: vec![(name.to_owned(), body.to_vec())] }
}

pub fn image(id: &str, name: &str, body: &[u8]) -> Part {
    file_in(Name::Quoted, name, "image/png", Enc::B64, "inline", body).header(&format!("Content-ID: <{id}>"))
}

/// A multipart with the boundary that the program makes.
pub fn multi(subtype: &str, boundary: &str, parts: Vec<Part>) -> Part {
    let mut body = Vec::new();
    for part in &parts {
        body.extend(format!("--{boundary}\r\n").into_bytes());
        body.extend(part.bytes());
        body.extend_from_slice(b"\r\n");
    }
    body.extend(format!("--{boundary}--\r\n").into_bytes());
    let mut part = Part::raw(&[&format!("Content-Type: multipart/{subtype};\r\n\tboundary=\"{boundary}\"")], body);
    part.files = parts.into_iter().flat_map(|part| part.files).collect();
    part
}

/// What must become of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Passes,
    /// Refused with this enhanced status.
    Refused(&'static str),
    /// Taken and dropped, because of this field.
    Automatic(&'static str),
}

/// Something that does not come out as it went in, and that a note has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// A logo that the mailbox's policy drops: the file's name, its bytes.
    Decoration(&'static str, Vec<u8>),
    /// A picture that was never in the mail.
    WebImage,
    /// A signature.
    Signature,
    /// A file's name, as it is now.
    Renamed(&'static str),
    /// A file without name, as it is called now.
    Unnamed(&'static str),
    /// Two files of one name; the second is called so.
    Twin(&'static str),
    /// A subject of more than 256 characters.
    LongSubject,
    /// A subject that became the text.
    SubjectAsText,
    /// Anything else: what the note says, what of the mail shows that it is so.
    Other(&'static str, &'static str),
}

/// A mail and what must become of it.
#[derive(Clone)]
pub struct Mail {
    pub name: &'static str,
    pub head: Vec<Vec<u8>>,
    pub part: Part,
    pub mime_version: bool,
    pub end: End,
    pub losses: Vec<Loss>,
    pub label: String,
    /// What is seen, where Python's reading of the mail is not to be had.
    pub words: Option<&'static str>,
    /// The Message-ID that it answers, without brackets.
    pub answers: Option<String>,
    pub confidential: bool,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes()))
    }
}

pub const HABO: &str = "=?utf-8?Q?Anna_=C3=85berg?= <socialtjansten@habo.se>";
pub const AF: &str = "<kundtjanst@af.se.sdk.habo.se>";

/// A mail of one text, From our function mailbox.
pub fn mail(name: &'static str) -> Mail {
    let head = [
        format!("From: {HABO}"),
        format!("To: {AF}"),
        "Date: Wed, 4 Mar 2026 09:30:00 +0100".to_owned(),
        format!("Message-ID: <{name}@mail.habo.se>"),
    ];
    Mail {
        name,
        head: head.map(String::into_bytes).into(),
        part: plain("Hej!\nÅterkom gärna i ärendet.\n"),
        mime_version: true,
        end: End::Passes,
        losses: Vec::new(),
        label: "(utan rubrik)".to_owned(),
        words: None,
        answers: None,
        confidential: true,
    }
}

impl Mail {
    pub fn subject(self, subject: &str) -> Self {
        let written = if subject.is_ascii() { subject.to_owned() } else { word_b(subject) };
        self.raw_subject(&written, subject)
    }

    /// A Subject field as it stands, and the label it must become.
    pub fn raw_subject(mut self, written: &str, label: &str) -> Self {
        label.clone_into(&mut self.label);
        self.header(&format!("Subject: {written}"))
    }

    pub fn label(mut self, label: &str) -> Self {
        label.clone_into(&mut self.label);
        self
    }

    /// Adds a field, or takes the place of the one of that name.
    pub fn header(mut self, line: &str) -> Self {
        let name = line.split(':').next().unwrap().to_ascii_lowercase() + ":";
        let same = |other: &Vec<u8>| other.to_ascii_lowercase().starts_with(name.as_bytes());
        match self.head.iter_mut().find(|other| same(other)) {
            Some(other) if matches!(name.as_str(), "from:" | "to:" | "date:" | "message-id:") => *other = line.as_bytes().to_vec(),
            _ => self.head.push(line.as_bytes().to_vec()),
        }
        self
    }

    pub fn headers(self, lines: &[&str]) -> Self {
        lines.iter().fold(self, |mail, line| mail.header(line))
    }

    pub fn octets(mut self, line: &[u8]) -> Self {
        self.head.push(line.to_vec());
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        let name = format!("{}:", name.to_ascii_lowercase());
        self.head.retain(|line| !line.to_ascii_lowercase().starts_with(name.as_bytes()));
        self
    }

    pub fn body(mut self, part: Part) -> Self {
        self.part = part;
        self
    }

    pub fn mixed(self, boundary: &str, parts: Vec<Part>) -> Self {
        self.body(multi("mixed", boundary, parts))
    }

    pub fn no_mime_version(mut self) -> Self {
        self.mime_version = false;
        self
    }

    pub fn loses(mut self, loss: Loss) -> Self {
        self.losses.push(loss);
        self
    }

    pub fn refused(mut self, status: &'static str) -> Self {
        self.end = End::Refused(status);
        self
    }

    pub fn automatic(mut self, field: &'static str) -> Self {
        self.end = End::Automatic(field);
        self
    }

    pub fn words(mut self, words: &'static str) -> Self {
        self.words = Some(words);
        self
    }

    pub fn open(mut self) -> Self {
        self.confidential = false;
        self
    }

    /// An answer to a mail that this gateway delivered.
    pub fn answers(mut self) -> Self {
        let id = "11111111-1111-4111-8111-111111111111@sdk.habo.se";
        self.answers = Some(id.to_owned());
        self.header(&format!("In-Reply-To: <{id}>")).header(&format!("References: <aldre@af.se>\r\n <{id}>"))
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for line in &self.head {
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
        }
        if self.mime_version {
            out.extend_from_slice(b"MIME-Version: 1.0\r\n");
        }
        out.extend(self.part.bytes());
        out
    }
}

/// Files whose first bytes are what their type says.
pub fn pdf(number: u8) -> Vec<u8> {
    let mut body = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\r\n".to_vec();
    body.extend((0..1_500_u16).map(|at| (at.wrapping_mul(31) >> 3) as u8 ^ number));
    body.extend_from_slice(b"\r\n%%EOF\r");
    body
}

/// A zip whose first member is that of an Office document.
pub fn office(first: &str) -> Vec<u8> {
    let mut body = b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0".to_vec();
    body.extend([0; 12]);
    body.extend((first.len() as u16).to_le_bytes());
    body.extend([0, 0]);
    body.extend(first.as_bytes());
    body.extend((0..700_u16).map(|at| (at * 7) as u8));
    body
}

pub fn png(height: u32, octets: usize) -> Vec<u8> {
    let mut body = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80".to_vec();
    body.extend(height.to_be_bytes());
    body.extend(b"\x08\x02\0\0\0");
    let filler = octets.saturating_sub(body.len());
    body.extend((0..filler).map(|at| (at * 13 % 251) as u8));
    body
}

pub fn jpeg(octets: usize) -> Vec<u8> {
    let mut body = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xc0\0\x11\x08\x04\0\x03\0\x03\x01\"\0".to_vec();
    body.extend((0..octets).map(|at| (at * 17 % 249) as u8));
    body.extend_from_slice(b"\xff\xd9");
    body
}

pub const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
pub const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
