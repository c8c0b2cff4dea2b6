//! What a ZIP archive is, by the names in it: an office document, one with macros, or files packed together.
//! Nothing is unpacked.

use rawzip::ZipArchive;

use super::files::{clean_name, is_program};

/// Files packed together.
pub(super) const PLAIN: &str = "application/zip";

/// More files than anybody packs by hand; what stands behind them is not looked at, and the archive is then a plain one.
const MAX_NAMES: usize = 20_000;

/// The folder of an office document's content, and the type of the document when it has macros.
const OFFICE: &[(&str, &str)] = &[
    ("word/", "application/vnd.ms-word.document.macroenabled.12"),
    ("xl/", "application/vnd.ms-excel.sheet.macroenabled.12"),
    ("ppt/", "application/vnd.ms-powerpoint.presentation.macroenabled.12"),
];

/// A ZIP archive whose list of names can be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Archive {
    kind: Kind,
    /// The first program in it. Documents have none: what they hold is theirs.
    pub(super) program: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// An office document without macros, or a document of another kind.
    Document,
    /// An office document with macros.
    Macros(&'static str),
    /// Files packed together.
    Plain,
}

impl Archive {
    /// Reads the names; `None` for what is no archive, or a damaged one.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        // What is packed into a picture or a program behind its end is that picture or program.
        if !bytes.starts_with(b"PK") {
            return None;
        }
        let archive = ZipArchive::from_slice(bytes).ok()?;
        let mut entries = archive.entries();
        let (mut names, mut document, mut macros, mut program) = (0, false, None, None);
        while let Some(entry) = entries.next_entry().ok()? {
            names += 1;
            if names > MAX_NAMES {
                return Some(Self { kind: Kind::Plain, program });
            }
            let path = entry.file_path();
            let name = String::from_utf8_lossy(path.as_ref());
            // ECMA-376 part 2 10.1.2; OASIS ODF 1.3 part 2 3.3.
            document |= name == "[Content_Types].xml" || (names == 1 && name == "mimetype");
            if name.to_ascii_lowercase().ends_with("vbaproject.bin") {
                macros = OFFICE.iter().find(|(folder, _)| name.starts_with(folder)).map(|(_, kind)| *kind).or(macros);
            }
            if program.is_none() && is_program(&name) {
                program = Some(clean_name(&name));
            }
        }
        Some(match (document, macros) {
            (true, Some(kind)) => Self { kind: Kind::Macros(kind), program: None },
            (true, None) => Self { kind: Kind::Document, program: None },
            (false, _) => Self { kind: Kind::Plain, program },
        })
    }

    /// The media type, where the names tell it.
    pub(super) fn media_type(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Document => None,
            Kind::Macros(kind) => Some(kind),
            Kind::Plain => Some(PLAIN),
        }
    }
}

/// Whether a media type is that of an office document with macros.
pub(super) fn has_macros(media_type: &str) -> bool {
    OFFICE.iter().any(|(_, kind)| *kind == media_type)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An archive with files of these names.
    pub(in crate::mail) fn zip(names: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
        for name in names {
            let (mut entry, config) = archive.new_file(name).start().unwrap();
            let mut writer = config.wrap(&mut entry);
            std::io::Write::write_all(&mut writer, b"x").unwrap();
            let (_, descriptor) = writer.finish().unwrap();
            entry.finish(descriptor).unwrap();
        }
        archive.finish().unwrap();
        bytes
    }

    #[test]
    fn documents_are_told_from_packed_files() {
        let read = |names: &[&str]| Archive::read(&zip(names)).unwrap();
        assert_eq!(read(&["[Content_Types].xml", "xl/media/image1.svg"]), Archive { kind: Kind::Document, program: None });
        assert_eq!(read(&["mimetype", "Pictures/1.svg"]).media_type(), None);
        assert_eq!(read(&["[Content_Types].xml", "xl/vbaProject.bin"]).media_type(), Some("application/vnd.ms-excel.sheet.macroenabled.12"));
        assert_eq!(read(&["a.txt", "b/../kör.bat"]).program.as_deref(), Some("kör.bat"));
        assert_eq!(read(&["a.txt", "mimetype"]).media_type(), Some(PLAIN));
        assert_eq!(Archive::read(b"PK\x03\x04"), None);
    }

    #[test]
    fn an_archive_cut_anywhere_is_none_or_what_it_is() {
        let whole = zip(&["[Content_Types].xml", "word/document.xml"]);
        for end in 0..whole.len() {
            if let Some(cut) = Archive::read(&whole[..end]) {
                assert_eq!(cut.program, None);
            }
        }
    }
}
