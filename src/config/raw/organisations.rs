//! An organisation, its further keys and its mailboxes.

use std::path::PathBuf;

use super::{Hours, Imap, OrganisationRetry};
use crate::config::checked::{DeliveryMode, History, InlineImages, PersonPolicy, SignedMail, SuccessNotice};
use crate::config::declare::section;
use crate::config::limits::{MailboxLimits, OrganisationLimits};
use crate::config::retention::OrganisationRetention;
use crate::config::values::{Line, MediaType, SecretFile, Span};
use crate::ident::{FunctionId, MailAddress, MailServerName, ParticipantId};

section! {
    /// An organisation.
    Organisation {
        /// Its participant id.
        participant: ParticipantId = Required "\"0203:habo.se\"";
        /// Its name, as receivers read it.
        name: Line = Required "\"Håbo kommun\"";
        /// The private key of its certificate, which signs, and decrypts unless its key usage forbids that: PKCS#12, or PEM together with the certificate.
        key: SecretFile = Required "\"/etc/brevbro/habo.p12\"";
        /// The file that holds the key's password.
        key_password_file: SecretFile = Optional "\"/etc/brevbro/habo.password\"";
        /// The certificate and the intermediates (PEM), when they are not in the key's file.
        certificate: PathBuf = Optional "\"/etc/brevbro/habo.pem\"";
        /// A further key that decrypts: that of a certificate for encryption alone, the next key before it signs, or the one
        /// before, which is needed until every sender knows the new certificate. Its certificate may have ended.
        /// `docs/certificates.md` has the steps.
        encryption_key: Vec<EncryptionKey> = Optional "[]";
        /// When to try again what this organisation sends: what stands here holds instead of `[retry]`.
        retry: OrganisationRetry = Optional "{}";
        /// How long its messages are kept that have ended: what stands here holds instead of `[retention]`.
        retention: OrganisationRetention = Optional "{}";
        /// How much it may have here at once: what stands here holds instead of `[limits]`.
        limits: OrganisationLimits = Optional "{}";
        /// When its people work. Without this section somebody is always there.
        hours: Hours = Optional "{}";
        /// A function mailbox: who in the organisation sends and gets SDK messages.
        mailbox: Vec<Mailbox> = Required "[]";
    }
}

section! {
    /// A key that decrypts.
    EncryptionKey {
        /// The private key: PKCS#12, or PEM together with the certificate.
        key: SecretFile = Required "\"/etc/brevbro/habo-encryption.p12\"";
        /// The file that holds the key's password.
        key_password_file: SecretFile = Optional "\"/etc/brevbro/habo-encryption.password\"";
        /// The certificate (PEM), when it is not in the key's file.
        certificate: PathBuf = Optional "\"/etc/brevbro/habo-encryption.pem\"";
    }
}

section! {
    /// A function mailbox.
    Mailbox {
        /// Its mail address on the organisation's mail server: From of what it sends, To of what it gets. Not in `mail-domain`.
        address: MailAddress = Required "\"socialkontoret@habo.se\"";
        /// Its function address in the federation's address book. Two that differ only in case are refused.
        function: FunctionId = Required "\"socialkontoret\"";
        /// Its name, as receivers read it.
        label: Line = Required "\"Socialkontoret\"";
        /// Other addresses that may send as it, such as a case system's.
        senders: Vec<MailAddress> = Default "[]";
        /// Where its messages are delivered, when that is not `address`.
        deliver_to: MailAddress = Optional "\"sdk-inkorg@habo.se\"";
        /// The name of the mail server that gets its messages and notices, when that is not the first.
        mail_server: MailServerName = Optional "\"skolan\"";
        /// What receivers learn of the person who wrote: `none`, `name`, or `name-and-address`.
        person: PersonPolicy = Default "\"name\"";
        /// Whether a message is marked confidential when its mail does not say.
        confidential: bool = Default "true";
        /// What becomes of the earlier mails that an answer quotes below its text: `keep`, or `trim`, which leaves them out and tells
        /// the sender so in the notice of delivery. A forwarded mail is never left out.
        history: History = Default "\"keep\"";
        /// What becomes of images that stand in the text: `drop-decorative` leaves signature logos, icons and tracking dots out and
        /// attaches the others, `keep` attaches all, `drop` none. The text says where each stood.
        inline_images: InlineImages = Default "\"drop-decorative\"";
        /// What becomes of a signature (S/MIME or PGP): `unwrap` sends what was signed without it, `keep` attaches the signed mail
        /// besides, as `.eml` or `.p7m`, whatever `file_types` says. No signature is verified. An encrypted mail is refused.
        signed_mail: SignedMail = Default "\"unwrap\"";
        /// When the sender is told that a message was accepted: `asked`, when the mail asks for it, or `always`. A sender whose mail
        /// lost something on the way, such as an image, is told unless the mail asks for no notice at all.
        success_notice: SuccessNotice = Default "\"asked\"";
        /// What it gets of a message: `full`, the message as a mail, or `notice`, a mail that says from whom one has come, and nothing of
        /// its content. The message then waits in the gateway to be read there. The gateway has no page of its own to read it on yet:
        /// use `notice` only where something else reads what waits. When it is set back to `full`, what nobody has read is delivered
        /// at the next start.
        delivery: DeliveryMode = Default "\"full\"";
        /// With `notice`: after how long the mailbox is reminded, once, of a message that nobody has read. Left out, it is not.
        remind_after: Span = Optional "\"3d\"";
        /// What `loops.messages` is for this mailbox. Left out, that.
        loop_messages: u32 = Optional "500";
        /// The file types that it takes, as media types. PDF is always taken. Left out, the common office, picture and text types.
        file_types: Vec<MediaType> = Optional "[\"application/pdf\", \"image/png\"]";
        /// How much it may have here at once: what stands here holds instead of `[limits]`.
        limits: MailboxLimits = Optional "{}";
        /// Its mailbox by IMAP: a folder whose mails are sent, a folder that gets messages, or both.
        imap: Imap = Optional "{}";
    }
}
