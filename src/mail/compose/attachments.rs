//! The files of a message as attachments: bytes untouched, names that every mail program shows and saves, types that no mail
//! program takes for a part of the mail itself.

use unicode_normalization::UnicodeNormalization;

use super::facts::Note;
use crate::content::Content;
use crate::mail::files;
use crate::mail::policy::AllowedTypes;
use crate::mail::words;

/// A file of the message.
pub(super) struct Attachment<'a> {
    /// Its name, unique in the mail.
    pub(super) name: String,
    /// Its media type.
    pub(super) media_type: String,
    /// Its bytes.
    pub(super) body: &'a [u8],
    /// Which document it is of, from 0.
    pub(super) document: usize,
}

/// The attachments, and what the reader should know of them.
pub(super) fn of(content: &Content) -> (Vec<Attachment<'_>>, Vec<Note>) {
    let mut attached: Vec<Attachment<'_>> = Vec::new();
    let mut notes = Vec::new();
    // Names that are taken, folded, with the number to try next: so many files of one name cost no more than others.
    let mut taken = std::collections::HashMap::<String, usize>::new();
    let files = content.documents.iter().enumerate().flat_map(|(document, parts)| parts.files.iter().map(move |file| (document, file)));
    for (at, (document, file)) in files.enumerate() {
        let declared = files::normal_type(&file.media_type);
        let given: String = words::one_line(&file.name);
        let mut name = files::clean_name(&file.name);
        if name.is_empty() {
            let extension = AllowedTypes::default().extension(&declared).map(|extension| format!(".{extension}")).unwrap_or_default();
            name = format!("bilaga-{}{extension}", at + 1);
        }
        while let Some(number) = taken.get_mut(&name.to_lowercase()) {
            *number += 1;
            name = files::numbered(&name, *number);
        }
        taken.insert(name.to_lowercase(), 1);
        if given.nfc().collect::<String>() != name {
            let given = words::cut(&given, 60);
            notes.push(Note::new(format!("Bilagan ”{given}” heter här ”{name}”."), format!("The attachment “{given}” is called “{name}” here.")));
        }
        let program = files::is_program(&name) || infer::get(&file.body).is_some_and(files::runs);
        if program {
            notes.push(Note::new(
                format!("Varning: bilagan ”{name}” är ett program. Öppna den inte utan att först fråga avsändaren."),
                format!("Warning: the attachment “{name}” is a program. Ask the sender before you open it."),
            ));
        }
        let media_type = if program || is_mail(&declared) { "application/octet-stream".to_owned() } else { declared };
        attached.push(Attachment { name, media_type, body: &file.body, document });
    }
    (attached, notes)
}

/// Types that a mail server or program would open as a part of the mail, or of which base64 is not allowed (RFC 2046 5):
/// the file would not be one any more, or not with these bytes.
fn is_mail(media_type: &str) -> bool {
    media_type.starts_with("multipart/")
        || media_type.starts_with("message/")
        || matches!(
            media_type,
            "application/ms-tnef"
                | "application/vnd.ms-tnef"
                | "application/pkcs7-mime"
                | "application/x-pkcs7-mime"
                | "application/pkcs7-signature"
                | "application/x-pkcs7-signature"
                | "application/pgp-encrypted"
                | "application/pgp-signature"
                | "application/applefile"
        )
}
