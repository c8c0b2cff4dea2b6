//! Message-IDs and return paths of the mails that this gateway delivers: `<messageId@gateway domain>`, so that an
//! answer's In-Reply-To names the SDK message it answers, and a non-delivery report names the mail it is about.

use crate::ident::{Domain, MailAddress, MessageId};

/// What a return path's local part begins with.
const RETURN_PREFIX: &str = "retur-";

/// The Message-ID, without angle brackets, of the mail that a message is delivered as.
#[must_use]
pub fn mail_id(message: &MessageId, gateway: &Domain) -> String {
    format!("{}@{}", message.folded(), gateway.folded())
}

/// The message that a Message-ID of ours names; `None` for everybody else's. Takes it with or without brackets.
#[must_use]
pub fn message_id_of(text: &str, gateway: &Domain) -> Option<MessageId> {
    let inner = text.trim().trim_start_matches('<').trim_end_matches('>');
    let (local, domain) = inner.rsplit_once('@')?;
    (domain.to_lowercase() == gateway.folded()).then(|| MessageId::new(local).ok()).flatten()
}

/// The envelope sender of a delivered mail, unique to the message: what comes back to it tells of that delivery.
/// `None` when the gateway's domain leaves no room for an address.
#[must_use]
pub fn return_path(message: &MessageId, gateway: &Domain) -> Option<MailAddress> {
    MailAddress::new(format!("{RETURN_PREFIX}{}", mail_id(message, gateway))).ok()
}

/// The message whose delivery a mail to `address` is about.
#[must_use]
pub fn returned(address: &MailAddress, gateway: &Domain) -> Option<MessageId> {
    let folded = address.folded();
    message_id_of(folded.strip_prefix(RETURN_PREFIX)?, gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_message_ids_are_found_and_no_others() {
        let (gateway, message) = (Domain::new("sdk.habo.se").unwrap(), MessageId::new("7BC5576A-3f87-4cf5-a0c5-277da06fcacb").unwrap());
        let id = mail_id(&message, &gateway);
        assert_eq!(id, "7bc5576a-3f87-4cf5-a0c5-277da06fcacb@sdk.habo.se");
        assert_eq!(message_id_of(&format!(" <{}> ", id.to_uppercase()), &gateway), Some(message.clone()));
        assert_eq!(message_id_of("<7bc5576a-3f87-4cf5-a0c5-277da06fcacb@habo.se>", &gateway), None);
        assert_eq!(message_id_of("<CAF+1@sdk.habo.se>", &gateway), None);
        let path = return_path(&message, &gateway).unwrap();
        assert_eq!(returned(&path, &gateway), Some(message));
        assert_eq!(returned(&MailAddress::new("postmaster@sdk.habo.se").unwrap(), &gateway), None);
    }
}
