//! Why a mail cannot become an SDK message, with the SMTP reply that says so.

use super::author::AuthorError;

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
    /// A From field that two readers could read as two authors.
    #[error("the mail's author is in doubt")]
    Author(#[source] AuthorError),
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
    /// S/MIME or PGP encrypted.
    #[error("the mail is encrypted")]
    Encrypted,
    /// `winmail.dat`, Outlook's own wrapping, is damaged.
    #[error("winmail.dat is damaged: {0}")]
    Tnef(String),
    /// A recall of an earlier mail.
    #[error("the mail recalls another")]
    Recall,
    /// A piece of a mail that was sent in several.
    #[error("the mail is a piece of one")]
    Partial,
    /// A file that is not in the mail.
    #[error("a file of the mail lies elsewhere")]
    Elsewhere,
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
            Self::Broken(_) | Self::Encoding(_) | Self::Charset(_) | Self::TooManyParts | Self::From | Self::Nothing | Self::Tnef(_) => (6, 0),
            Self::Type { .. } | Self::EmptyFile { .. } | Self::Partial | Self::Elsewhere => (6, 1),
            // RFC 3463 3.4: the system does not do this.
            Self::Recall => (3, 3),
            Self::Program { .. } | Self::Author(_) => (7, 1),
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
            Self::Author(AuthorError::Disguised) => "Namnet i From är en adress i en annan domän än avsändarens.".to_owned(),
            Self::Author(_) => "From ska vara en enda adress, med eller utan namn.".to_owned(),
            Self::Type { name, media_type, allowed } => {
                format!("Filen \"{name}\" ({media_type}) får inte skickas. Skicka den som PDF. Tillåtna filtyper: {allowed}.")
            }
            Self::Program { name } => format!("Filen \"{name}\" är ett program och får inte skickas."),
            Self::EmptyFile { name } => format!("Filen \"{name}\" är tom. Bifoga den på nytt eller ta bort den."),
            Self::Encrypted => {
                "Mejlet är krypterat så att innehållet inte kan läsas. Skicka det utan S/MIME eller PGP; SDK krypterar det.".to_owned()
            }
            Self::Tnef(_) => "Mejlets winmail.dat är skadad och en del kan saknas. Välj formatet HTML i Outlook och skicka igen.".to_owned(),
            Self::Recall => "Ett meddelande som har skickats i SDK kan inte återkallas. Kontakta mottagaren.".to_owned(),
            Self::Partial => "Mejlet är en del av ett större mejl. Skicka det helt, i ett stycke.".to_owned(),
            Self::Elsewhere => "En bilaga finns inte i mejlet utan på en annan plats. Bifoga själva filen.".to_owned(),
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
            Self::Author(AuthorError::Disguised) => "The name in From is an address of another domain than the sender's.".to_owned(),
            Self::Author(_) => "From must be one address, with or without a name.".to_owned(),
            Self::Type { name, media_type, allowed } => {
                format!("The file \"{name}\" ({media_type}) may not be sent. Send it as PDF. Allowed: {allowed}.")
            }
            Self::Program { name } => format!("The file \"{name}\" is a program and may not be sent."),
            Self::EmptyFile { name } => format!("The file \"{name}\" is empty. Attach it again or remove it."),
            Self::Encrypted => {
                "The mail is encrypted, so that its content cannot be read. Send it without S/MIME or PGP; SDK encrypts it.".to_owned()
            }
            Self::Tnef(what) => {
                format!("The mail's winmail.dat is damaged ({what}) and a part may be missing. Choose the format HTML in Outlook and resend.")
            }
            Self::Recall => "A message that was sent in SDK cannot be recalled. Contact the recipient.".to_owned(),
            Self::Partial => "The mail is a piece of a larger one. Send it whole.".to_owned(),
            Self::Elsewhere => "An attachment is not in the mail but lies elsewhere. Attach the file itself.".to_owned(),
            Self::Nothing => "The mail has neither text nor attachment.".to_owned(),
        }
    }
}
