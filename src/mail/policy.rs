//! What one of our function mailboxes wants of the mails that go out of it.

/// The rules of one mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxPolicy {
    /// Which files may be attached.
    pub types: AllowedTypes,
    /// What the receiver learns of who wrote the mail.
    pub person: PersonPolicy,
    /// Whether a message is confidential when the mail does not say.
    pub secrecy: Secrecy,
    /// What becomes of the quoted mails below an answer.
    pub history: History,
    /// What becomes of images in the text.
    pub images: InlineImages,
    /// What becomes of signatures.
    pub signed: SignedMail,
}

impl Default for MailboxPolicy {
    fn default() -> Self {
        Self {
            types: AllowedTypes::default(),
            person: PersonPolicy::Name,
            secrecy: Secrecy::Confidential,
            history: History::Keep,
            images: InlineImages::DropDecorative,
            signed: SignedMail::Unwrap,
        }
    }
}

/// What the receiver learns of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonPolicy {
    /// Nothing.
    None,
    /// The display name.
    Name,
    /// The display name and the mail address.
    NameAndAddress,
}

/// Secrecy of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// Confidential.
    Confidential,
    /// Open.
    Open,
}

/// Quoted history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// It is part of the message.
    Keep,
    /// It is cut off, with a note.
    Cut,
}

/// Images that stand in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InlineImages {
    /// Signature logos and icons are dropped, the rest become attachments.
    DropDecorative,
    /// All become attachments.
    Keep,
    /// None does.
    DropAll,
}

/// Signed mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedMail {
    /// Their content is sent without the signature.
    Unwrap,
    /// The signed whole is attached besides.
    Keep,
}

/// The media types that a mailbox may send, with the extensions that mean them. PDF is always among them
/// (SDK B1.3.3: each receiver takes PDF).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedTypes(Vec<AllowedType>);

/// One media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedType {
    /// In lower case.
    media_type: String,
    /// In lower case, without dot; the first is the usual one.
    extensions: Vec<String>,
}

const PDF: (&str, &[&str]) = ("application/pdf", &["pdf"]);
const USUAL: &[(&str, &[&str])] = &[
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", &["docx"]),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", &["xlsx"]),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", &["pptx"]),
    ("application/msword", &["doc"]),
    ("application/vnd.ms-excel", &["xls"]),
    ("application/vnd.ms-powerpoint", &["ppt"]),
    ("application/vnd.oasis.opendocument.text", &["odt"]),
    ("application/vnd.oasis.opendocument.spreadsheet", &["ods"]),
    ("application/vnd.oasis.opendocument.presentation", &["odp"]),
    ("application/rtf", &["rtf"]),
    ("text/plain", &["txt", "log"]),
    ("text/csv", &["csv"]),
    ("image/jpeg", &["jpg", "jpeg"]),
    ("image/png", &["png"]),
    ("image/gif", &["gif"]),
    ("image/tiff", &["tif", "tiff"]),
    ("image/bmp", &["bmp"]),
    ("image/heic", &["heic"]),
    ("image/webp", &["webp"]),
];

impl Default for AllowedTypes {
    fn default() -> Self {
        Self::new(USUAL.iter().map(|(media_type, extensions)| ((*media_type).to_owned(), extensions.iter().map(|e| (*e).to_owned()).collect())))
    }
}

impl AllowedTypes {
    /// These types, each with its extensions, and PDF.
    pub fn new(types: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        let pdf = (PDF.0.to_owned(), PDF.1.iter().map(|e| (*e).to_owned()).collect());
        Self(
            std::iter::once(pdf)
                .chain(types)
                .map(|(media_type, extensions)| AllowedType {
                    media_type: media_type.to_ascii_lowercase(),
                    extensions: extensions.into_iter().map(|extension| extension.to_ascii_lowercase()).collect(),
                })
                .collect(),
        )
    }

    /// These media types and PDF; the usual ones with their usual extensions.
    #[must_use]
    pub fn named(media_types: &[String]) -> Self {
        let usual = |name: &str| USUAL.iter().find(|(usual, _)| usual.eq_ignore_ascii_case(name)).map_or(&[][..], |(_, extensions)| extensions);
        Self::new(media_types.iter().map(|name| (name.clone(), usual(name).iter().map(|e| (*e).to_owned()).collect())))
    }

    /// These types but for some.
    #[must_use]
    pub fn without<'a>(&self, media_types: impl Iterator<Item = &'a str> + Clone) -> Self {
        let stays = |allowed: &&AllowedType| !media_types.clone().any(|media_type| allowed.media_type.eq_ignore_ascii_case(media_type));
        Self(self.0.iter().filter(stays).cloned().collect())
    }

    /// Whether files of this media type may be sent.
    #[must_use]
    pub fn allows(&self, media_type: &str) -> bool {
        self.0.iter().any(|allowed| allowed.media_type.eq_ignore_ascii_case(media_type))
    }

    /// The media type that an extension means.
    #[must_use]
    pub fn by_extension(&self, extension: &str) -> Option<&str> {
        self.0.iter().find(|allowed| allowed.extensions.iter().any(|e| e.eq_ignore_ascii_case(extension))).map(|allowed| allowed.media_type.as_str())
    }

    /// The usual extension of a media type.
    #[must_use]
    pub fn extension(&self, media_type: &str) -> Option<&str> {
        self.0.iter().find(|allowed| allowed.media_type.eq_ignore_ascii_case(media_type))?.extensions.first().map(String::as_str)
    }

    /// The extensions, for a reader: `pdf, docx, …`.
    #[must_use]
    pub fn list(&self) -> String {
        self.0.iter().filter_map(|allowed| allowed.extensions.first()).map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}
