//! Why a mail cannot become an SDK message, with the SMTP reply that says so.

/// A mail that is refused at the end of DATA. Every refusal is permanent: the same mail would fail again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The MIME structure is damaged; a part may be missing.
    #[error("broken MIME: {0}")]
    Broken(&'static str),
    /// An attachment's encoding is damaged or unknown.
    #[error("the encoding of a part is damaged or unknown: {0}")]
    Encoding(String),
    /// The text is in a charset that nothing here reads.
    #[error("unknown charset {0}")]
    Charset(String),
    /// More parts or deeper nesting than a mail has.
    #[error("the mail has too many parts")]
    TooManyParts,
    /// Another number of From headers or addresses than one, or none that is an address.
    #[error("the mail has no single From address")]
    From,
    /// A file of a type that the mailbox may not send.
    #[error("a file's type is not allowed: {media_type}")]
    Type {
        /// The file's name.
        name: String,
        /// Its media type.
        media_type: String,
        /// The extensions that are allowed.
        allowed: String,
    },
    /// A program, by name or by its first bytes.
    #[error("a file is a program")]
    Program {
        /// The file's name.
        name: String,
    },
    /// A file of no bytes: SDK allows no empty element.
    #[error("a file is empty")]
    EmptyFile {
        /// The file's name.
        name: String,
    },
    /// S/MIME or PGP encrypted, or signed in a form that hides the content.
    #[error("the mail is encrypted or opaquely signed")]
    Encrypted,
    /// `winmail.dat`: attachments in Outlook's own wrapping.
    #[error("the mail holds winmail.dat")]
    Tnef,
    /// Neither text nor file.
    #[error("the mail has neither text nor file")]
    Nothing,
}

impl ConvertError {
    /// The SMTP code.
    #[must_use]
    pub fn code(&self) -> u16 {
        550
    }

    /// Subject and detail of the enhanced status code; its class is 5 (RFC 3463).
    #[must_use]
    pub fn status(&self) -> (u16, u16) {
        match self {
            Self::Broken(_) | Self::Encoding(_) | Self::Charset(_) | Self::TooManyParts | Self::From | Self::Nothing => (6, 0),
            Self::Type { .. } | Self::EmptyFile { .. } | Self::Tnef => (6, 1),
            Self::Program { .. } => (7, 1),
            Self::Encrypted => (7, 4),
        }
    }

    /// What the sender reads, in Swedish.
    #[must_use]
    pub fn swedish(&self) -> String {
        match self {
            Self::Broken(_) => "Mejlet är skadat och en del kan saknas. Skicka det på nytt.".to_owned(),
            Self::Encoding(_) => "En del av mejlet är skadad. Bifoga filerna på nytt och skicka igen.".to_owned(),
            Self::Charset(name) => format!("Mejlets text har en teckenkodning som inte kan läsas ({name}). Skicka det som UTF-8."),
            Self::TooManyParts => "Mejlet har för många delar. Samla filerna i en PDF.".to_owned(),
            Self::From => "Mejlet ska ha exakt en avsändare i From.".to_owned(),
            Self::Type { name, media_type, allowed } => {
                format!("Filen \"{name}\" ({media_type}) får inte skickas. Skicka den som PDF. Tillåtna filtyper: {allowed}.")
            }
            Self::Program { name } => format!("Filen \"{name}\" är ett program och får inte skickas."),
            Self::EmptyFile { name } => format!("Filen \"{name}\" är tom. Bifoga den på nytt eller ta bort den."),
            Self::Encrypted => {
                "Mejlet är krypterat eller signerat så att innehållet inte kan läsas. Skicka det utan S/MIME; SDK krypterar det.".to_owned()
            }
            Self::Tnef => "Mejlet innehåller winmail.dat. Välj formatet HTML i Outlook och skicka igen.".to_owned(),
            Self::Nothing => "Mejlet har varken text eller bilaga.".to_owned(),
        }
    }

    /// The same in English.
    #[must_use]
    pub fn english(&self) -> String {
        match self {
            Self::Broken(what) => format!("The mail is damaged ({what}) and a part may be missing. Send it again."),
            Self::Encoding(what) => format!("A part of the mail is damaged ({what}). Attach the files again and resend."),
            Self::Charset(name) => format!("The text is in a charset that cannot be read ({name}). Send it as UTF-8."),
            Self::TooManyParts => "The mail has too many parts. Collect the files in one PDF.".to_owned(),
            Self::From => "The mail must have exactly one sender in From.".to_owned(),
            Self::Type { name, media_type, allowed } => {
                format!("The file \"{name}\" ({media_type}) may not be sent. Send it as PDF. Allowed: {allowed}.")
            }
            Self::Program { name } => format!("The file \"{name}\" is a program and may not be sent."),
            Self::EmptyFile { name } => format!("The file \"{name}\" is empty. Attach it again or remove it."),
            Self::Encrypted => {
                "The mail is encrypted, or signed so that its content cannot be read. Send it without S/MIME; SDK encrypts it.".to_owned()
            }
            Self::Tnef => "The mail holds winmail.dat. Choose the format HTML in Outlook and send it again.".to_owned(),
            Self::Nothing => "The mail has neither text nor attachment.".to_owned(),
        }
    }
}
