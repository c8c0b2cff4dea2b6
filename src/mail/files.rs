//! Attached files: their names, their types, and which may pass.

use unicode_normalization::UnicodeNormalization;

use super::archive::{self, Archive};
use super::convert::Note;
use super::policy::AllowedTypes;
use super::refusal::ConvertError;
use super::words;
use crate::content::File;

/// Longest file name in code points; the label of a file may be at most 256 (SDK B1.3.3), and file systems take 255 octets.
const NAME_MAX: usize = 120;

/// Extensions that Windows or a browser runs.
const PROGRAMS: &[&str] = &[
    "ade", "adp", "apk", "app", "appx", "bat", "cab", "chm", "cmd", "com", "cpl", "dll", "dmg", "exe", "hta", "img", "iso", "jar", "js", "jse",
    "lnk", "mht", "msc", "msi", "msix", "msp", "pif", "ps1", "psm1", "py", "reg", "scf", "scr", "sct", "sh", "svg", "url", "vb", "vbe", "vbs", "vhd",
    "vhdx", "wsf", "wsh", "xll",
];

/// Names of types that mean another one.
const ALIASES: &[(&str, &str)] = &[
    ("application/x-pdf", "application/pdf"),
    ("application/acrobat", "application/pdf"),
    ("image/jpg", "image/jpeg"),
    ("image/pjpeg", "image/jpeg"),
    ("image/x-png", "image/png"),
    ("text/rtf", "application/rtf"),
    ("application/x-rtf", "application/rtf"),
    ("application/csv", "text/csv"),
];

/// A file as the mail holds it.
pub(super) struct Attached {
    /// The name that the mail gives, decoded.
    pub(super) name: Option<String>,
    /// The media type that the mail names.
    pub(super) declared: String,
    /// The bytes.
    pub(super) body: Vec<u8>,
}

/// Checks the `number`-th file and gives it its name and type.
pub(super) fn check(file: Attached, number: usize, allowed: &AllowedTypes, notes: &mut Vec<Note>) -> Result<File, ConvertError> {
    let given = file.name.as_deref().unwrap_or_default();
    let mut name = clean_name(given);
    let sniffed = infer::get(&file.body);
    let archive = Archive::read(&file.body);
    // A small document looks like any archive; its names tell more.
    let looks = sniffed.as_ref().map(infer::Type::mime_type).filter(|looks| *looks != archive::PLAIN);
    let found = archive.as_ref().and_then(Archive::media_type).or(looks);
    let media_type = media_type(&file.declared, extension(&name), found, allowed);
    if name.is_empty() {
        name = match allowed.extension(&media_type) {
            Some(extension) => format!("bilaga-{number}.{extension}"),
            None => format!("bilaga-{number}"),
        };
        notes.push(Note::new(format!("En bilaga utan namn heter nu {name}."), format!("An attachment without name is now {name}.")));
    } else if name != given.nfc().collect::<String>() {
        notes.push(Note::new(format!("En bilagas namn ändrades till {name}."), format!("An attachment's name was changed to {name}.")));
    }
    if file.body.is_empty() {
        return Err(ConvertError::EmptyFile { name });
    }
    if is_program(&name) || sniffed.is_some_and(runs) {
        return Err(ConvertError::Program { name });
    }
    if let Some(program) = archive.and_then(|archive| archive.program) {
        return Err(ConvertError::Program { name: format!("{name}: {program}") });
    }
    if !allowed.allows(&media_type) {
        return Err(ConvertError::Type { name, media_type, allowed: allowed.list() });
    }
    Ok(File { name: name.into(), media_type, body: file.body.into() })
}

/// A name to show and to save: NFC, the last part of a path, without characters that steer a terminal, a file system
/// or the reading direction, short, its extension kept. Empty when nothing is left.
pub(super) fn clean_name(raw: &str) -> String {
    let last = raw.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = words::one_line(last).chars().filter(|c| !words::turns_direction(*c) && *c != '\u{200b}').nfc().collect();
    let name: String = name.chars().map(|c| if matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*') { '_' } else { c }).collect();
    let name = name.trim_matches(|c: char| c == '.' || c.is_whitespace());
    match name.rsplit_once('.') {
        Some((stem, extension)) if name.chars().count() > NAME_MAX && extension.len() <= 10 => {
            format!("{}.{extension}", words::cut(stem, NAME_MAX - extension.len() - 1))
        }
        _ => words::cut(name, NAME_MAX).to_owned(),
    }
}

/// The same name with a number, for the second file that bears it.
pub(super) fn numbered(name: &str, number: usize) -> String {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => format!("{stem} ({number}).{extension}"),
        _ => format!("{name} ({number})"),
    }
}

/// A media type in lower case, aliases resolved; octet-stream for what is none.
pub(super) fn normal_type(text: &str) -> String {
    let text = text.trim().to_ascii_lowercase();
    let sound = text.len() <= 127
        && text.split_once('/').is_some_and(|(kind, subtype)| {
            let token = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
            token(kind) && token(subtype)
        });
    if !sound {
        return "application/octet-stream".to_owned();
    }
    ALIASES.iter().find(|(alias, _)| *alias == text).map_or(text, |(_, meant)| (*meant).to_owned())
}

fn extension(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// What only bytes of that type begin with, and what an archive's list of names tells: no other word counts against it.
const SURE: &[&str] = &["application/pdf", "image/png", "image/jpeg", "image/gif", "image/tiff", archive::PLAIN];

/// What the bytes are sure to be, or what the mail says, unless it says nothing that may pass; then what the bytes look
/// like, then what the name says.
fn media_type(declared: &str, extension: &str, sniffed: Option<&str>, allowed: &AllowedTypes) -> String {
    let declared = normal_type(declared);
    if let Some(sure) = sniffed.filter(|sniffed| SURE.contains(sniffed) || archive::has_macros(sniffed)) {
        return sure.to_owned();
    }
    // Mail programs write text/plain for whatever they do not know.
    if allowed.allows(&declared) && declared != "text/plain" {
        return declared;
    }
    // What is no archive that can be read may still begin as a document; what its name and its type say counts then.
    let unsaid = matches!(declared.as_str(), "application/octet-stream" | "text/plain");
    if let Some(sniffed) = sniffed.map(normal_type)
        && allowed.allows(&sniffed)
        && (unsaid || allowed.by_extension(extension) == Some(sniffed.as_str()))
    {
        return sniffed;
    }
    match allowed.by_extension(extension) {
        Some(meant) if unsaid => meant.to_owned(),
        _ => declared,
    }
}

/// Whether the bytes are those of a program.
pub(super) fn runs(kind: infer::Type) -> bool {
    // `infer` counts certificates among the programs.
    (kind.matcher_type() == infer::MatcherType::App && kind.mime_type() != "application/x-x509-ca-cert") || kind.mime_type() == "text/x-shellscript"
}

/// Whether the name is that of a program.
pub(super) fn is_program(name: &str) -> bool {
    PROGRAMS.iter().any(|program| extension(name).eq_ignore_ascii_case(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(name: &str, declared: &str, body: &[u8]) -> Result<(String, String), ConvertError> {
        let file = Attached { name: (!name.is_empty()).then(|| name.to_owned()), declared: declared.to_owned(), body: body.to_vec() };
        check(file, 2, &AllowedTypes::default(), &mut Vec::new()).map(|file| (file.name.0, file.media_type))
    }

    fn pair(name: &str, media_type: &str) -> (String, String) {
        (name.to_owned(), media_type.to_owned())
    }

    #[test]
    fn names_lose_paths_control_characters_and_reversed_direction() {
        assert_eq!(clean_name("C:\\hem\\..\\o\u{308}vrigt\r\n.pdf"), "övrigt .pdf");
        assert_eq!(clean_name("../../etc/passwd"), "passwd");
        assert_eq!(clean_name("faktura\u{202e}fdp.exe"), "fakturafdp.exe");
        assert_eq!(clean_name(".. "), "");
        let long = clean_name(&format!("{}.docx", "å".repeat(300)));
        assert_eq!((long.chars().count(), long.rsplit_once('.').unwrap().1), (NAME_MAX, "docx"));
        assert_eq!(numbered("a.pdf", 2), "a (2).pdf");
    }

    #[test]
    fn octet_stream_is_named_by_its_bytes_or_its_extension() {
        assert_eq!(checked("a.bin", "application/octet-stream", b"%PDF-1.7\n").unwrap(), pair("a.bin", "application/pdf"));
        assert_eq!(checked("lista.CSV", "application/octet-stream", b"a;b\r\n").unwrap(), pair("lista.CSV", "text/csv"));
        assert_eq!(checked("", "application/octet-stream", b"%PDF-1.7\n").unwrap(), pair("bilaga-2.pdf", "application/pdf"));
        assert_eq!(checked("a.jpg", "image/jpg", b"x").unwrap(), pair("a.jpg", "image/jpeg"));
    }

    #[test]
    fn bytes_that_are_sure_overrule_what_the_mail_and_the_name_say() {
        let jpeg = b"\xff\xd8\xff\xe0\x00\x10JFIF";
        assert_eq!(checked("image001.png", "image/png", jpeg).unwrap(), pair("image001.png", "image/jpeg"));
        assert_eq!(checked("a.docx", "application/msword", b"%PDF-1.7\n").unwrap(), pair("a.docx", "application/pdf"));
        assert_eq!(checked("lista.csv", "text/csv", b"BM;100\r\n").unwrap(), pair("lista.csv", "text/csv"));
    }

    #[test]
    fn an_archive_is_what_its_names_say() {
        let word = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
        let made = |names: &[&str]| crate::mail::archive::tests::zip(names);
        assert_eq!(checked("a.docx", word, &made(&["[Content_Types].xml", "word/document.xml"])).unwrap(), pair("a.docx", word));
        let macros = checked("a.docx", word, &made(&["[Content_Types].xml", "word/document.xml", "word/vbaProject.bin"]));
        assert!(matches!(macros, Err(ConvertError::Type { media_type, .. }) if media_type == "application/vnd.ms-word.document.macroenabled.12"));
        let disguised = checked("a.docx", word, &made(&["skript.txt"]));
        assert!(matches!(disguised, Err(ConvertError::Type { media_type, .. }) if media_type == "application/zip"));
        let program = checked("a.docx", word, &made(&["läs mig.txt", "bilder/visa.EXE"]));
        assert_eq!(program, Err(ConvertError::Program { name: "a.docx: visa.EXE".into() }));
    }

    #[test]
    fn programs_and_other_types_are_refused_with_their_name() {
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(64, 0);
        assert_eq!(checked("rapport.pdf", "application/pdf", &elf), Err(ConvertError::Program { name: "rapport.pdf".into() }));
        assert_eq!(checked("a.pdf.exe", "application/pdf", b"x"), Err(ConvertError::Program { name: "a.pdf.exe".into() }));
        assert!(matches!(checked("a.zip", "application/zip", b"PK\x03\x04"), Err(ConvertError::Type { name, .. }) if name == "a.zip"));
        assert_eq!(checked("a.pdf", "application/pdf", b""), Err(ConvertError::EmptyFile { name: "a.pdf".into() }));
    }
}
