//! A reader of delivery status notifications that shares nothing with the program that writes them: it takes a mail's
//! octets apart by itself and names every MUST that is broken (RFC 5322, RFC 2045, RFC 2046, RFC 3464, RFC 3834, RFC 6522,
//! RFC 6533), and what is more than that in mails that carry secrets.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses some of it")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

/// What was read of a sound report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The text for people.
    pub text: String,
    /// The fields of the transaction, in their order.
    pub message: Vec<(String, String)>,
    /// The fields of each recipient, in their order.
    pub recipients: Vec<Vec<(String, String)>>,
    /// The original's header.
    pub header: String,
    /// The file beside the text.
    pub evidence: Option<Vec<u8>>,
}

impl Report {
    /// A field of the only recipient.
    pub fn field(&self, name: &str) -> Option<&str> {
        let [recipient] = self.recipients.as_slice() else { panic!("{} recipients", self.recipients.len()) };
        recipient.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// Everything that is wrong with a notice. `secret` must stand nowhere in it, in whatever encoding.
pub fn faults(mail: &[u8], secret: &[&str]) -> Vec<String> {
    read(mail, secret).err().unwrap_or_default()
}

/// Reads a notice, or says everything that is wrong with it.
pub fn read(mail: &[u8], secret: &[&str]) -> Result<Report, Vec<String>> {
    let mut lint = Lint::default();
    let report = lint.report(mail);
    for word in secret {
        let part = |octets: &[u8]| octets.windows(word.len()).any(|piece| piece == word.as_bytes());
        if part(mail) || lint.decoded.iter().any(|octets| part(octets)) {
            lint.faults.push(format!("{word:?} stands in it"));
        }
    }
    if lint.faults.is_empty() { Ok(report) } else { Err(lint.faults) }
}

#[derive(Default)]
struct Lint {
    faults: Vec<String>,
    decoded: Vec<Vec<u8>>,
}

/// A MIME entity: fields with their values unfolded, and the octets behind the empty line.
struct Entity<'a> {
    fields: Vec<(String, String)>,
    body: &'a [u8],
}

impl Entity<'_> {
    fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// The one value of a field, or nothing.
    fn one(&self, name: &str) -> &str {
        match self.all(name)[..] {
            [value] => value,
            _ => "",
        }
    }

    /// Type and subtype, and the parameters.
    fn media(&self) -> (String, Vec<(String, String)>) {
        let mut pieces = self.one("Content-Type").split(';').map(str::trim);
        let kind = pieces.next().unwrap().to_ascii_lowercase();
        let parameter = |piece: &str| piece.split_once('=').map(|(name, value)| (name.to_ascii_lowercase(), value.trim_matches('"').to_owned()));
        (kind, pieces.filter_map(parameter).collect())
    }
}

/// How often a field of a notice stands there: at least and at most.
const FIELDS: [(&str, usize, usize); 17] = [
    ("Date", 1, 1),
    ("From", 1, 1),
    ("To", 1, 1),
    ("Subject", 1, 1),
    ("Message-ID", 1, 1),
    ("MIME-Version", 1, 1),
    ("Content-Type", 1, 1),
    ("Auto-Submitted", 1, 1),
    ("In-Reply-To", 0, 1),
    ("References", 0, 1),
    ("X-Auto-Response-Suppress", 1, 1),
    // A notice asks for no notice, goes to nobody else and is answered by nobody (RFC 3461 6.1, RFC 3834 4).
    ("Return-Receipt-To", 0, 0),
    ("Disposition-Notification-To", 0, 0),
    ("Cc", 0, 0),
    ("Bcc", 0, 0),
    ("Reply-To", 0, 0),
    ("Return-Path", 0, 0),
];

/// The fields of RFC 3464 2.2, in its order: at least and at most.
const OF_MESSAGE: [(&str, usize, usize); 5] =
    [("Original-Envelope-Id", 0, 1), ("Reporting-MTA", 1, 1), ("DSN-Gateway", 0, 1), ("Received-From-MTA", 0, 1), ("Arrival-Date", 0, 1)];

/// The fields of RFC 3464 2.3, in its order.
const OF_RECIPIENT: [(&str, usize, usize); 9] = [
    ("Original-Recipient", 0, 1),
    ("Final-Recipient", 1, 1),
    ("Action", 1, 1),
    ("Status", 1, 1),
    ("Remote-MTA", 0, 1),
    ("Diagnostic-Code", 0, 1),
    ("Last-Attempt-Date", 0, 1),
    ("Final-Log-ID", 0, 1),
    ("Will-Retry-Until", 0, 1),
];

impl Lint {
    fn fault(&mut self, what: impl Into<String>) {
        self.faults.push(what.into());
    }

    fn report(&mut self, mail: &[u8]) -> Report {
        let mut report = Report::default();
        self.lines(mail);
        let top = self.entity(mail, "the notice");
        self.header(&top);
        let (kind, parameters) = top.media();
        if kind != "multipart/report" || !parameters.contains(&("report-type".to_owned(), "delivery-status".to_owned())) {
            self.fault(format!("it is {kind} {parameters:?}, not multipart/report of delivery-status (RFC 6522 3)"));
        }
        let parts = self.parts(&top);
        let [text, status, header] = &parts[..] else {
            self.fault(format!("a report has three parts here, not {} (RFC 6522 3)", parts.len()));
            return report;
        };
        (report.text, report.evidence) = self.human(text);
        (report.message, report.recipients) = self.status(status);
        report.header = self.original(header);
        let own = |field: &str| top.one(field).to_owned();
        let original =
            report.header.lines().find_map(|line| line.get(..11).filter(|name| name.eq_ignore_ascii_case("Message-ID:")).and(line.get(11..)));
        if let Some(id) = original.map(str::trim).filter(|id| is_message_id(id)) {
            for field in ["In-Reply-To", "References"] {
                if own(field) != id {
                    self.fault(format!("{field} is {:?}, and the original is {id}", own(field)));
                }
            }
        }
        report
    }

    /// RFC 5322 2.1.1, RFC 2045 2.7.
    fn lines(&mut self, mail: &[u8]) {
        if !mail.ends_with(b"\r\n") {
            self.fault("the last line has no end");
        }
        for line in mail.split_inclusive(|octet| *octet == b'\n') {
            let Some(text) = line.strip_suffix(b"\r\n") else {
                self.fault("a line does not end in CRLF");
                continue;
            };
            if text.len() > 998 {
                self.fault(format!("a line has {} octets", text.len()));
            }
            if text.contains(&b'\r') || text.contains(&0) {
                self.fault("a line holds CR or NUL");
            }
        }
        if std::str::from_utf8(mail).is_err() {
            self.fault("it is no UTF-8");
        }
    }

    fn entity<'a>(&mut self, octets: &'a [u8], what: &str) -> Entity<'a> {
        let end = octets.windows(4).position(|piece| piece == b"\r\n\r\n");
        let (header, body) = match end {
            Some(_) if octets.starts_with(b"\r\n") => (&octets[..0], &octets[2..]),
            Some(end) => (&octets[..end], &octets[end + 4..]),
            None => (octets, &octets[octets.len()..]),
        };
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in String::from_utf8_lossy(header).split("\r\n").filter(|line| !line.is_empty()) {
            if let (true, Some((_, value))) = (line.starts_with([' ', '\t']), fields.last_mut()) {
                if line.trim().is_empty() {
                    self.faults.push(format!("{what}: a folded line is empty (RFC 5322 3.2.2)"));
                }
                value.push(' ');
                value.push_str(line.trim());
                continue;
            }
            match line.split_once(':') {
                Some((name, value)) if !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic()) => {
                    fields.push((name.to_owned(), value.trim().to_owned()));
                }
                _ => self.fault(format!("{what}: {line:?} is no field")),
            }
        }
        Entity { fields, body }
    }

    fn header(&mut self, top: &Entity<'_>) {
        for (name, least, most) in FIELDS {
            let times = top.all(name).len();
            if times < least || times > most {
                self.fault(format!("{name} stands {times} times"));
            }
        }
        self.date("Date", top.one("Date"));
        if !top.one("From").ends_with('>') || !top.one("From").contains("<postmaster@") {
            self.fault(format!("From is {:?}", top.one("From")));
        }
        let to = top.one("To");
        if to.matches('@').count() != 1 || to.contains(',') {
            self.fault(format!("To is {to:?}, not one address"));
        }
        for name in ["Message-ID", "In-Reply-To", "References"] {
            for value in top.all(name) {
                if !is_message_id(value) {
                    self.fault(format!("{name} is {value:?}"));
                }
            }
        }
        // RFC 3834 5
        if !top.one("Auto-Submitted").starts_with("auto-replied") {
            self.fault(format!("Auto-Submitted is {:?}", top.one("Auto-Submitted")));
        }
        if top.one("MIME-Version") != "1.0" {
            self.fault("MIME-Version is not 1.0");
        }
        if top.one("Subject").is_empty() {
            self.fault("Subject is empty");
        }
    }

    /// RFC 2046 5.1.
    fn parts<'a>(&mut self, entity: &Entity<'a>) -> Vec<Entity<'a>> {
        let (kind, parameters) = entity.media();
        let boundary = parameters.iter().find(|(name, _)| name == "boundary").map(|(_, value)| value.clone()).unwrap_or_default();
        let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&octet);
        if !(1..=70).contains(&boundary.len()) || boundary.ends_with(' ') || !boundary.bytes().all(allowed) {
            self.fault(format!("{kind}: the boundary {boundary:?} is none"));
            return Vec::new();
        }
        let (mut parts, mut start, mut ended, mut at) = (Vec::new(), None, false, 0);
        for line in entity.body.split_inclusive(|octet| *octet == b'\n') {
            let (from, text) = (at, line.strip_suffix(b"\r\n").unwrap_or(line));
            at += line.len();
            let Some(rest) = text.strip_prefix(b"--").and_then(|text| text.strip_prefix(boundary.as_bytes())) else {
                if start.is_none() && !text.is_empty() {
                    self.fault(format!("{kind}: there is text outside its parts"));
                }
                continue;
            };
            if let Some(start) = start.take() {
                parts.push(&entity.body[start..from]);
            }
            match rest {
                b"" => start = Some(at),
                b"--" => ended = true,
                _ => self.fault(format!("{kind}: a line begins like its boundary")),
            }
        }
        if !ended || start.is_some() {
            self.fault(format!("{kind} has no end"));
        }
        // The line end before a delimiter is the delimiter's.
        parts.into_iter().map(|part| self.entity(part.strip_suffix(b"\r\n").unwrap_or(part), &kind)).collect()
    }

    /// The octets of a part, decoded; nothing in it may be of another form than it says.
    fn decode(&mut self, part: &Entity<'_>, allowed: &[&str]) -> Vec<u8> {
        let encoding = part.one("Content-Transfer-Encoding").to_ascii_lowercase();
        if !allowed.contains(&encoding.as_str()) {
            self.fault(format!("{}: the encoding is {encoding:?}", part.media().0));
        }
        let decoded = match encoding.as_str() {
            "quoted-printable" => self.quoted_printable(part.body),
            "base64" => self.base64(part.body),
            "8bit" => part.body.to_vec(),
            _ => {
                if !part.body.is_ascii() {
                    self.fault(format!("{}: it is not 7bit", part.media().0));
                }
                part.body.to_vec()
            }
        };
        self.decoded.push(decoded.clone());
        decoded
    }

    fn human(&mut self, part: &Entity<'_>) -> (String, Option<Vec<u8>>) {
        let (kind, _) = part.media();
        if kind != "multipart/mixed" {
            return (self.text(part), None);
        }
        let parts = self.parts(part);
        let [text, file] = &parts[..] else {
            self.fault(format!("{} parts stand beside the text", parts.len()));
            return (String::new(), None);
        };
        if file.media().0 != "application/xml" || !file.one("Content-Disposition").starts_with("attachment") {
            self.fault("the evidence is no attached XML");
        }
        (self.text(text), Some(self.decode(file, &["base64"])))
    }

    fn text(&mut self, part: &Entity<'_>) -> String {
        let (kind, parameters) = part.media();
        if kind != "text/plain" || !parameters.contains(&("charset".to_owned(), "utf-8".to_owned())) {
            self.fault(format!("the text is {kind} {parameters:?}"));
        }
        let octets = self.decode(part, &["quoted-printable"]);
        let Ok(text) = String::from_utf8(octets) else {
            self.fault("the text is no UTF-8");
            return String::new();
        };
        let (swedish, english) = text.split_once("In English").unwrap_or((&text, ""));
        if !swedish.contains("Meddelande") || !english.contains("essage") {
            self.fault("the text is not Swedish, then English");
        }
        for wrong in ["  ", "{", "}", "..", " ,", " .", "None", "Some("] {
            if text.lines().any(|line| line.contains(wrong)) {
                self.fault(format!("the text holds {wrong:?}: {text}"));
            }
        }
        text.replace("\r\n", "\n")
    }

    #[expect(clippy::type_complexity, reason = "fields of the message, fields of each recipient")]
    fn status(&mut self, part: &Entity<'_>) -> (Vec<(String, String)>, Vec<Vec<(String, String)>>) {
        let (kind, _) = part.media();
        let wide = match kind.as_str() {
            "message/delivery-status" => false,
            "message/global-delivery-status" => true,
            _ => {
                self.fault(format!("the second part is {kind}"));
                return Default::default();
            }
        };
        let octets = self.decode(part, if wide { &["8bit"] } else { &["7bit", ""] });
        let text = String::from_utf8(octets).unwrap_or_default();
        if text.contains("\r\n\r\n\r\n") {
            self.fault("an empty group of fields");
        }
        let mut groups = Vec::new();
        for group in text.trim_end_matches("\r\n").split("\r\n\r\n") {
            let entity = self.entity(group.as_bytes(), "a group of fields");
            groups.push(entity.fields);
        }
        let recipients = groups.split_off(1.min(groups.len()));
        let message = groups.pop().unwrap_or_default();
        if recipients.is_empty() {
            self.fault("there is no recipient (RFC 3464 2.1)");
        }
        self.group(&message, &OF_MESSAGE);
        for recipient in &recipients {
            self.group(recipient, &OF_RECIPIENT);
            self.recipient(recipient, wide);
        }
        for (name, value) in message.iter().chain(recipients.iter().flatten()) {
            match name.as_str() {
                name if name.ends_with("-MTA") => self.typed(name, value),
                name if name.ends_with("Date") || name == "Will-Retry-Until" => self.date(name, value),
                _ => {}
            }
        }
        (message, recipients)
    }

    /// Every field is known, in its order, and stands as often as it may.
    fn group(&mut self, fields: &[(String, String)], known: &[(&str, usize, usize)]) {
        let mut last = 0;
        for (name, value) in fields {
            match known.iter().position(|(field, ..)| field == name) {
                Some(at) if at < last => self.fault(format!("{name} stands too late")),
                Some(at) => last = at,
                None => self.fault(format!("{name} does not belong there")),
            }
            if value.is_empty() || value.contains(['\r', '\n']) {
                self.fault(format!("{name} is {value:?}"));
            }
        }
        for (name, least, most) in known {
            let times = fields.iter().filter(|(field, _)| field == name).count();
            if times < *least || times > *most {
                self.fault(format!("{name} stands {times} times"));
            }
        }
    }

    fn recipient(&mut self, fields: &[(String, String)], wide: bool) {
        let value = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
        let (action, status) = (value("Action").unwrap_or_default(), value("Status").unwrap_or_default());
        // RFC 3464 2.3.3 and 2.3.4, RFC 3463 2
        let class = match action {
            "delivered" | "relayed" | "expanded" => "2",
            "delayed" => "4",
            "failed" => "5",
            _ => "",
        };
        let numbers: Vec<&str> = status.split('.').collect();
        let sound = numbers.len() == 3 && numbers.iter().all(|number| (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()));
        if class.is_empty() || !sound || numbers[0] != class {
            self.fault(format!("Action {action:?} with Status {status:?}"));
        }
        if value("Will-Retry-Until").is_some() != (action == "delayed") {
            self.fault(format!("Will-Retry-Until and {action}"));
        }
        if let Some(code) = value("Diagnostic-Code") {
            self.typed("Diagnostic-Code", code);
            // RFC 3464 2.3.6: `smtp` is for what an SMTP server said.
            if code.to_ascii_lowercase().starts_with("smtp") {
                self.fault("no SMTP server said anything");
            }
        }
        for name in ["Original-Recipient", "Final-Recipient"] {
            if let Some(address) = value(name) {
                self.address(name, address, wide);
            }
        }
    }

    /// `type; value`.
    fn typed(&mut self, name: &str, value: &str) {
        let atom = |kind: &str| !kind.is_empty() && kind.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        if !value.split_once(';').is_some_and(|(kind, rest)| atom(kind) && !rest.trim().is_empty()) {
            self.fault(format!("{name} is {value:?}"));
        }
    }

    /// RFC 3464 2.3.1 and 2.3.2, RFC 6533 3.
    fn address(&mut self, name: &str, value: &str, wide: bool) {
        self.typed(name, value);
        let (kind, address) = value.split_once(';').unwrap_or_default();
        let address = address.trim();
        let sound = match kind {
            "rfc822" => address.is_ascii() && address.contains('@'),
            "utf-8" if wide => address.contains('@') && !address.contains("\\x{"),
            "utf-8" => is_xtext(address),
            _ => address.is_ascii(),
        };
        if !sound {
            self.fault(format!("{name} is {value:?}"));
        }
    }

    /// RFC 6522 4, RFC 6533 5: header fields and nothing after them.
    fn original(&mut self, part: &Entity<'_>) -> String {
        let (kind, _) = part.media();
        let (allowed, ascii): (&[&str], _) = match kind.as_str() {
            "text/rfc822-headers" => (&["7bit", "quoted-printable"], true),
            "message/global-headers" => (&["8bit", "quoted-printable"], false),
            _ => {
                self.fault(format!("the third part is {kind}: never more than the header"));
                return String::new();
            }
        };
        let octets = self.decode(part, allowed);
        let Ok(header) = String::from_utf8(octets) else {
            self.fault("the original's header is no UTF-8");
            return String::new();
        };
        if ascii != header.is_ascii() {
            self.fault(format!("{kind} is for another header"));
        }
        if header.trim_end_matches("\r\n").contains("\r\n\r\n") {
            self.fault("something follows the original's header");
        }
        header
    }

    fn date(&mut self, name: &str, value: &str) {
        let numeric = value.get(value.len().saturating_sub(5)..).is_some_and(|zone| zone.starts_with(['+', '-']));
        if jiff::fmt::rfc2822::parse(value).is_err() || !numeric {
            self.fault(format!("{name} is {value:?} (RFC 5322 3.3)"));
        }
    }

    /// RFC 2045 6.7.
    fn quoted_printable(&mut self, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in body.split(|octet| *octet == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.len() > 76 || line.ends_with(b" ") || line.ends_with(b"\t") {
                self.fault("a line of quoted-printable is too long, or ends in white space");
            }
            let mut at = 0;
            let mut soft = false;
            while at < line.len() {
                match (line[at], line.get(at + 1..at + 3)) {
                    (b'=', None) if at + 1 == line.len() => {
                        soft = true;
                        at += 1;
                    }
                    (b'=', Some(hex)) if hex.iter().all(|octet| octet.is_ascii_digit() || (b'A'..=b'F').contains(octet)) => {
                        out.push(u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap());
                        at += 3;
                    }
                    (octet @ (b' '..=b'<' | b'>'..=b'~' | b'\t'), _) => {
                        out.push(octet);
                        at += 1;
                    }
                    (octet, _) => {
                        self.fault(format!("{octet:#04x} in quoted-printable"));
                        at += 1;
                    }
                }
            }
            if !soft {
                out.extend_from_slice(b"\r\n");
            }
        }
        out
    }

    /// RFC 2045 6.8.
    fn base64(&mut self, body: &[u8]) -> Vec<u8> {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let text: Vec<u8> = body.iter().copied().filter(|octet| !b"\r\n".contains(octet)).collect();
        let mut out = Vec::new();
        for four in text.chunks(4) {
            let letters: Vec<u8> = four.iter().copied().filter(|octet| *octet != b'=').collect();
            let bare: Vec<usize> = letters.iter().filter_map(|octet| ALPHABET.iter().position(|letter| letter == octet)).collect();
            let padding = four.len() - letters.len();
            if four.len() != 4 || bare.len() + padding != 4 || padding > 2 {
                self.fault("the base64 is damaged");
                return out;
            }
            let bits = bare.iter().fold(0_usize, |bits, value| bits << 6 | value) << (6 * padding);
            out.extend(bits.to_be_bytes()[5..].iter().take(3 - padding));
        }
        out
    }
}

/// RFC 5322 3.6.4.
fn is_message_id(text: &str) -> bool {
    let inner = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or_default();
    inner.split_once('@').is_some_and(|(left, right)| !left.is_empty() && !right.is_empty()) && inner.bytes().all(|octet| octet.is_ascii_graphic())
}

/// `utf-8-addr-xtext` of RFC 6533 3.
fn is_xtext(text: &str) -> bool {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(escape) = rest.strip_prefix("\\x{") {
            let Some((digits, after)) = escape.split_once('}') else { return false };
            let hex = (2..=6).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_digit() || (b'A'..=b'F').contains(&octet));
            if !hex {
                return false;
            }
            rest = after;
        } else if matches!(c, '!'..='~') && !matches!(c, '\\' | '+' | '=') {
            rest = &rest[1..];
        } else {
            return false;
        }
    }
    !text.is_empty()
}
