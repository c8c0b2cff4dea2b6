//! The mail of the demo, as Outlook writes it: HTML with a signature logo, a PDF, a DOCX, a reference in the subject.

use std::fmt::Write as _;

use base64::prelude::*;
use flate2::Crc;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A file of the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name.
    pub name: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// The two files of the demo.
#[must_use]
pub fn attachments() -> Vec<Attachment> {
    let docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    vec![
        Attachment { name: "Beslut ekonomiskt bistånd.pdf", media_type: "application/pdf", body: pdf("Beslut om ekonomiskt bistand") },
        Attachment {
            name: "Planering våren 2027.docx", media_type: docx, body: docx_of("Planering för våren: möten, åtgärder, uppföljning.")
        },
    ]
}

/// Sentences that must be readable at the other end.
pub const SENTENCES: [&str; 4] =
    ["Hej!", "Här kommer beslutet om ekonomiskt bistånd och planeringen för våren.", "Återkom gärna före fredag.", "Åsa Öberg"];

/// The subject that must be readable at the other end.
pub const SUBJECT: &str = "Underlag för etableringsplan";

/// The reference that the sender gives and gets back.
pub const REFERENCE: &str = "SN 2026/1047";

/// The mail, from one function mailbox to one canonical address.
#[must_use]
pub fn outlook(from: &str, to: &str, message_id: &str, at: Timestamp) -> Vec<u8> {
    let date = rfc2822(at);
    let subject = encoded(&format!("[dnr {REFERENCE}] {SUBJECT}"));
    let mut mail = format!(
        "From: {} <{from}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nThread-Topic: {}\r\nThread-Index: AdxYk3kQm1vZ2l0ZXR1c2VyMDAwMQ==\r\n\
         Date: {date}\r\nMessage-ID: {message_id}\r\nAccept-Language: sv-SE, en-US\r\nContent-Language: sv-SE\r\nX-MS-Has-Attach: yes\r\n\
         Sensitivity: Company-Confidential\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n\tboundary=\"_005_AM0PR07MB1\"\r\n\r\n\
         --_005_AM0PR07MB1\r\nContent-Type: multipart/related;\r\n\tboundary=\"_004_AM0PR07MB1\";\r\n\ttype=\"multipart/alternative\"\r\n\r\n\
         --_004_AM0PR07MB1\r\nContent-Type: multipart/alternative;\r\n\tboundary=\"_000_AM0PR07MB1\"\r\n\r\n",
        encoded("Åsa Öberg"),
        encoded(SUBJECT),
    );
    part(&mut mail, "_000_AM0PR07MB1", "text/plain; charset=\"iso-8859-1\"", "", &latin1(PLAIN));
    part(&mut mail, "_000_AM0PR07MB1", "text/html; charset=\"utf-8\"", "", HTML.as_bytes());
    mail.push_str("--_000_AM0PR07MB1--\r\n\r\n");
    let logo = "Content-ID: <image001.png@01DD5893.79109B60>\r\nContent-Disposition: inline; filename=\"image001.png\"\r\n";
    part(&mut mail, "_004_AM0PR07MB1", "image/png; name=\"image001.png\"", logo, &BASE64_STANDARD.decode(LOGO).unwrap_or_default());
    mail.push_str("--_004_AM0PR07MB1--\r\n\r\n");
    for Attachment { name, media_type, body } in attachments() {
        let name = encoded(name);
        let disposition = format!("Content-Description: {name}\r\nContent-Disposition: attachment; filename=\"{name}\"; size={}\r\n", body.len());
        part(&mut mail, "_005_AM0PR07MB1", &format!("{media_type};\r\n\tname=\"{name}\""), &disposition, &body);
    }
    mail.push_str("--_005_AM0PR07MB1--\r\n");
    mail.into_bytes()
}

/// The answer from the other side, as a mail client writes it.
#[must_use]
pub fn reply(from: &str, to: &str, message_id: &str, answered: &str, references: &str, at: Timestamp) -> Vec<u8> {
    let text = "Tack, underlaget är mottaget. Vi ses på trepartsmötet på tisdag kl. 9.\r\n\r\nVänliga hälsningar\r\nJörgen Ek\r\n";
    format!(
        "From: {} <{from}>\r\nTo: <{to}>\r\nSubject: {}\r\nIn-Reply-To: {answered}\r\nReferences: {references}\r\nDate: {}\r\nMessage-ID: {message_id}\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}",
        encoded("Jörgen Ek"),
        encoded(&format!("SV: {SUBJECT}")),
        rfc2822(at),
    )
    .into_bytes()
}

/// A sentence of the answer.
pub const REPLY_SENTENCE: &str = "underlaget är mottaget";

const PLAIN: &str = "Hej!\r\n\r\nHär kommer beslutet om ekonomiskt bistånd och planeringen för våren.\r\n\r\n  *   Mötet är flyttat till tisdag\r\n\
    \x20 *   Ta med legitimation\r\n\r\nÅterkom gärna före fredag.\r\n\r\nÅsa Öberg\r\nSocialsekreterare, Håbo kommun\r\n";

const HTML: &str = r##"<html xmlns:o="urn:schemas-microsoft-com:office:office" xmlns="http://www.w3.org/TR/REC-html40">
<head><meta http-equiv="Content-Type" content="text/html; charset=utf-8"><style><!--
p.MsoNormal {margin:0cm; font-size:11.0pt; font-family:"Calibri",sans-serif;} --></style></head>
<body lang="SV" link="#0563C1" style="word-wrap:break-word"><div class="WordSection1">
<p class="MsoNormal">Hej!<o:p></o:p></p>
<p class="MsoNormal"><o:p>&nbsp;</o:p></p>
<p class="MsoNormal">Här kommer <b>beslutet om ekonomiskt bistånd</b> och <i>planeringen för våren</i>.<o:p></o:p></p>
<ul type="disc"><li class="MsoListParagraph">Mötet är flyttat till tisdag<o:p></o:p></li>
<li class="MsoListParagraph">Ta med legitimation<o:p></o:p></li></ul>
<p class="MsoNormal">Återkom gärna före fredag.<o:p></o:p></p>
<p class="MsoNormal"><o:p>&nbsp;</o:p></p>
<p class="MsoNormal"><span style="color:#1F3864">Åsa Öberg<br>Socialsekreterare, Håbo kommun</span><o:p></o:p></p>
<p class="MsoNormal"><img width="16" height="16" src="cid:image001.png@01DD5893.79109B60" alt="Håbo kommun"><o:p></o:p></p>
</div></body></html>
"##;

/// A PNG of one pixel.
const LOGO: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// One part, always in base64.
fn part(mail: &mut String, boundary: &str, content_type: &str, more: &str, body: &[u8]) {
    let _ = write!(mail, "--{boundary}\r\nContent-Type: {content_type}\r\n{more}Content-Transfer-Encoding: base64\r\n\r\n");
    let text = BASE64_STANDARD.encode(body);
    for line in text.as_bytes().chunks(76) {
        mail.push_str(&String::from_utf8_lossy(line));
        mail.push_str("\r\n");
    }
    mail.push_str("\r\n");
}

/// An RFC 2047 word where one is needed.
fn encoded(text: &str) -> String {
    if text.is_ascii() { text.to_owned() } else { format!("=?utf-8?B?{}?=", BASE64_STANDARD.encode(text)) }
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

fn rfc2822(at: Timestamp) -> String {
    let local = at.to_zoned(TimeZone::get("Europe/Stockholm").unwrap_or(TimeZone::UTC));
    local.strftime("%a, %d %b %Y %H:%M:%S %z").to_string()
}

/// A PDF of one page with one line.
fn pdf(line: &str) -> Vec<u8> {
    let stream = format!("BT /F1 18 Tf 72 760 Td ({line}) Tj ET");
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned(),
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>".to_owned(),
        format!("<</Length {}>>\nstream\n{stream}\nendstream", stream.len()),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_owned(),
    ];
    let mut file = String::from("%PDF-1.4\n");
    let mut table = String::from("xref\n0 6\n0000000000 65535 f \n");
    for (n, object) in objects.iter().enumerate() {
        let _ = writeln!(table, "{:010} 00000 n ", file.len());
        let _ = write!(file, "{} 0 obj\n{object}\nendobj\n", n + 1);
    }
    let at = file.len();
    let _ = write!(file, "{table}trailer\n<</Size 6/Root 1 0 R>>\nstartxref\n{at}\n%%EOF\n");
    file.into_bytes()
}

/// A DOCX with one paragraph: a ZIP of three files, stored.
fn docx_of(paragraph: &str) -> Vec<u8> {
    let types = r#"<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>"#;
    let relations = r#"<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>"#;
    let document = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>{paragraph}</w:t></w:r></w:p></w:body></w:document>"#
    );
    zip(&[("[Content_Types].xml", types.as_bytes()), ("_rels/.rels", relations.as_bytes()), ("word/document.xml", document.as_bytes())])
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    let octets = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    for (name, body) in files {
        let mut crc = Crc::new();
        crc.update(body);
        let name_length = u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes();
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x5d];
        common.extend(crc.sum().to_le_bytes());
        common.extend(octets(body.len()));
        common.extend(octets(body.len()));
        common.extend(name_length);
        common.extend([0, 0]);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(octets(out.len()));
        directory.extend(name.as_bytes());
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(*body);
    }
    let count = u16::try_from(files.len()).unwrap_or(u16::MAX).to_le_bytes();
    let at = out.len();
    let size = directory.len();
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count);
    out.extend(count);
    out.extend(octets(size));
    out.extend(octets(at));
    out.extend([0, 0]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mail_reads_as_it_was_meant() {
        let bytes = outlook("socialkontoret@habo.se", "inkorg@x.se.sdk.habo.se", "<1@habo.se>", Timestamp::UNIX_EPOCH);
        let mail = mail_parser::MessageParser::default().parse(&bytes).unwrap();
        assert_eq!(mail.subject().unwrap(), format!("[dnr SN 2026/1047] {SUBJECT}"));
        let html = mail.body_html(0).unwrap();
        assert!(html.contains("Återkom gärna före fredag."));
        let found: Vec<_> = mail.attachments().filter(|part| part.contents().len() > 200).map(|part| part.contents().to_vec()).collect();
        assert_eq!(found, attachments().into_iter().map(|file| file.body).collect::<Vec<_>>());
    }
}
