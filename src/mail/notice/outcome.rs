//! What became of an SDK message, as its sender must learn it: one action, one status code, two texts for each.

use jiff::Timestamp;

use crate::content::Redacted;
use crate::ident::MailAddress;

/// What became of one message to one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// ACCEPTED: the receiver has it.
    Accepted {
        /// When its receipt was issued.
        at: Timestamp,
    },
    /// A receipt came after the sender was told that none came.
    LateReceipt {
        /// When it came.
        at: Timestamp,
        /// What it says.
        verdict: Verdict,
    },
    /// The AS4 receipt is there, the message receipt not yet.
    AwaitingReceipt {
        /// When the access point took it.
        acknowledged: Timestamp,
        /// How long the message receipt is waited for.
        until: Timestamp,
    },
    /// It cannot be sent for now.
    Unreachable {
        /// What does not answer.
        service: Service,
        /// When it is tried next.
        next: Timestamp,
        /// When it is tried for the last time.
        last: Timestamp,
    },
    /// It is kept back: the two functions exchange messages faster than people do.
    Held {
        /// When it goes out.
        until: Timestamp,
    },
    /// It could not be sent in time.
    GaveUp {
        /// What did not answer.
        service: Service,
    },
    /// It was sent, and no valid receipt of the access point came in time. It may have arrived.
    Unproven,
    /// The time for a message receipt is over. It may have arrived.
    NoReceipt {
        /// When the access point took it.
        acknowledged: Timestamp,
    },
    /// The organisation is not, or no longer, in the federation.
    OrganisationUnknown,
    /// The access point that is registered for the organisation does not serve it (SDK C3.2.1 2.5.c).
    NotServed,
    /// REJECTED BV not-found.
    FunctionUnknown {
        /// Addresses at the same organisation that are like it and have accepted messages before.
        near: Vec<MailAddress>,
    },
    /// REJECTED BV not-supported, about a file.
    TypeRefused {
        /// The file's name, where the receipt tells.
        file: Option<Redacted<String>>,
    },
    /// REJECTED BV not-supported, about anything else: it answered a message that they had rejected (SDK B1.3.3 5.3).
    AnswersRejected,
    /// REJECTED BV too-long.
    TooLong,
    /// REJECTED BV forbidden: malware, as the receiver sees it.
    Forbidden,
    /// REJECTED for a reason that is our fault, or another technical fault that no retry mends.
    Faulty {
        /// Where it was found.
        at: Fault,
    },
    /// REJECTED SIG or BV security: signature, encryption or ids, our fault too.
    Insecure,
    /// The recipient's certificate is expired or revoked, also after a fresh look.
    CertificateBad,
    /// The operator stopped it before it was sent.
    Cancelled,
    /// It was not taken: a mail in an outbox folder is refused by a notice for what SMTP would refuse it for at once.
    NotTaken {
        /// The enhanced status code.
        status: String,
        /// Why, in Swedish.
        swedish: Redacted<String>,
        /// Why, in English.
        english: Redacted<String>,
    },
}

/// What a late receipt says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// ACCEPTED.
    Accepted,
    /// REJECTED, and what that means.
    Rejected(Box<Outcome>),
}

/// Where a technical fault was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The receiver rejected the message.
    Receiver,
    /// Its access point refused it, with an error that no retry mends.
    AccessPoint,
    /// Here, before it was sent.
    Gateway,
}

/// What a message needs on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The recipient's access point.
    AccessPoint,
    /// DNS, SMP and CertPub.
    Directory,
}

/// The action of a delivery status (RFC 3464 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is there.
    Delivered,
    /// It is on its way.
    Delayed,
    /// It ended.
    Failed,
}

impl Kind {
    /// The word of RFC 3464.
    #[must_use]
    pub fn action(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Delayed => "delayed",
            Self::Failed => "failed",
        }
    }
}

/// One line of a REJECTED receipt (SDK C3.2.4), as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RejectedLine<'a> {
    /// `SV`, `BV` or `SIG`; compared without case.
    pub code: &'a str,
    /// `not-found` and so on; empty when there is none.
    pub detail: &'a str,
    /// The XPath of the culprit, or `NA`.
    pub line_id: &'a str,
}

impl Outcome {
    /// What a REJECTED receipt means for the sender; of several lines the gravest decides. `files` are the message's, in order.
    ///
    /// `None` when it only says that the message had come before: it is there from an attempt of ours whose receipt decides.
    /// Where that one never comes, the end is [`Outcome::NoReceipt`]: it may have arrived, which is all that is known.
    #[must_use]
    pub fn rejected(lines: &[RejectedLine<'_>], files: &[Redacted<String>]) -> Option<Self> {
        let outcomes: Vec<Option<Self>> = lines.iter().map(|line| of_line(line, files)).collect();
        if outcomes.is_empty() {
            return Some(Self::Faulty { at: Fault::Receiver });
        }
        outcomes.into_iter().flatten().max_by_key(Self::gravity)
    }

    /// Whether the operator must be alarmed too: the fault is ours.
    #[must_use]
    pub fn is_our_fault(&self) -> bool {
        matches!(self, Self::Faulty { .. } | Self::Insecure)
    }

    /// Delivered, delayed or failed.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Accepted { .. } | Self::LateReceipt { verdict: Verdict::Accepted, .. } => Kind::Delivered,
            Self::AwaitingReceipt { .. } | Self::Unreachable { .. } | Self::Held { .. } => Kind::Delayed,
            _ => Kind::Failed,
        }
    }

    /// The enhanced status code (RFC 3463). Few and distinct: Exchange shows its own text for each.
    #[must_use]
    pub fn status(&self) -> &str {
        match self {
            Self::NotTaken { status, .. } => status,
            Self::Accepted { .. } | Self::LateReceipt { verdict: Verdict::Accepted, .. } => "2.0.0",
            Self::LateReceipt { verdict: Verdict::Rejected(outcome), .. } => outcome.status(),
            Self::AnswersRejected => "5.0.0",
            Self::AwaitingReceipt { .. } => "4.4.7",
            Self::Unreachable { service: Service::AccessPoint, .. } => "4.4.1",
            Self::Unreachable { service: Service::Directory, .. } => "4.4.3",
            // RFC 3463 3.5 X.4.6: a loop.
            Self::Held { .. } => "4.4.6",
            Self::GaveUp { .. } | Self::Unproven | Self::NoReceipt { .. } => "5.4.7",
            Self::OrganisationUnknown => "5.1.2",
            // RFC 3463 3.5 X.4.4: what the directory says does not lead to the recipient.
            Self::NotServed => "5.4.4",
            Self::FunctionUnknown { .. } => "5.1.1",
            Self::TypeRefused { .. } => "5.6.1",
            Self::TooLong => "5.3.4",
            Self::Forbidden => "5.7.1",
            Self::Faulty { .. } => "5.6.0",
            Self::Insecure => "5.7.7",
            Self::CertificateBad => "5.7.5",
            // RFC 3463 3.4 X.3.0
            Self::Cancelled => "5.3.0",
        }
    }

    /// What stood in the receipt or what failed, for `Diagnostic-Code: x-sdk;` where the receipt's own codes are not at hand.
    #[must_use]
    pub fn diagnostic(&self) -> &'static str {
        match self {
            Self::Accepted { .. } | Self::LateReceipt { verdict: Verdict::Accepted, .. } => "ACCEPTED",
            Self::LateReceipt { verdict: Verdict::Rejected(outcome), .. } => outcome.diagnostic(),
            Self::AwaitingReceipt { .. } => "no message receipt yet",
            Self::Unreachable { service: Service::AccessPoint, .. } => "access point unreachable",
            Self::Unreachable { service: Service::Directory, .. } => "SMP unreachable",
            Self::Held { .. } => "held, the functions exchange messages too fast",
            Self::GaveUp { service: Service::AccessPoint } => "access point unreachable until the deadline",
            Self::GaveUp { service: Service::Directory } => "SMP unreachable until the deadline",
            Self::Unproven => "no receipt of the access point until the deadline",
            Self::NoReceipt { .. } => "no message receipt until the deadline",
            Self::OrganisationUnknown => "participant not registered",
            Self::NotServed => "EBMS:0004 NOT_SERVICED",
            Self::FunctionUnknown { .. } => "REJECTED BV not-found",
            Self::TypeRefused { .. } => "REJECTED BV not-supported contentType",
            Self::AnswersRejected => "REJECTED BV not-supported",
            Self::TooLong => "REJECTED BV too-long",
            Self::Forbidden => "REJECTED BV forbidden",
            Self::Faulty { at: Fault::Receiver } => "REJECTED SV or BV",
            Self::Faulty { at: Fault::AccessPoint } => "refused by the access point",
            Self::Faulty { at: Fault::Gateway } => "fault of the gateway",
            Self::Insecure => "REJECTED SIG or BV security",
            Self::CertificateBad => "certificate expired or revoked",
            Self::Cancelled => "stopped by the operator before it was sent",
            Self::NotTaken { .. } => "refused before it was sent",
        }
    }

    /// Until when it is tried, when it is still under way.
    pub(super) fn retry_until(&self) -> Option<Timestamp> {
        match self {
            Self::AwaitingReceipt { until, .. } | Self::Held { until } => Some(*until),
            Self::Unreachable { last, .. } => Some(*last),
            _ => None,
        }
    }

    fn gravity(&self) -> u8 {
        match self {
            Self::Insecure => 6,
            Self::Faulty { .. } => 5,
            Self::Forbidden => 4,
            Self::TooLong => 3,
            Self::FunctionUnknown { .. } => 2,
            Self::TypeRefused { .. } => 1,
            _ => 0,
        }
    }
}

/// SDK B1.3.3 5.3, read from the sender's side.
fn of_line(line: &RejectedLine<'_>, files: &[Redacted<String>]) -> Option<Outcome> {
    let code = line.code.trim().to_ascii_uppercase();
    let detail = line.detail.trim().to_ascii_lowercase();
    match (code.as_str(), detail.as_str()) {
        ("BV", "duplicate" | "multiple-matches") => None,
        ("BV", "not-found") => Some(Outcome::FunctionUnknown { near: Vec::new() }),
        ("BV", "not-supported") if line.line_id.to_ascii_lowercase().contains("contenttype") => {
            Some(Outcome::TypeRefused { file: file_of(line.line_id, files) })
        }
        ("BV", "not-supported") => Some(Outcome::AnswersRejected),
        ("BV", "too-long") => Some(Outcome::TooLong),
        ("BV", "forbidden") => Some(Outcome::Forbidden),
        ("SIG", _) | ("BV", "security") => Some(Outcome::Insecure),
        _ => Some(Outcome::Faulty { at: Fault::Receiver }),
    }
}

/// The file that an XPath such as `…/ContentFiles[2]/contentType` names; the only one, when it names none.
fn file_of(line_id: &str, files: &[Redacted<String>]) -> Option<Redacted<String>> {
    let lower = line_id.to_ascii_lowercase();
    let index = lower.rsplit_once("contentfiles").and_then(|(_, rest)| {
        let (number, _) = rest.strip_prefix('[').or_else(|| rest.split_once("'][").map(|(_, tail)| tail))?.split_once(']')?;
        number.trim().parse::<usize>().ok()
    });
    match (index, files) {
        (Some(index), _) => files.get(index.checked_sub(1)?).cloned(),
        (None, [only]) => Some(only.clone()),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line<'a>(code: &'a str, detail: &'a str, line_id: &'a str) -> RejectedLine<'a> {
        RejectedLine { code, detail, line_id }
    }

    #[test]
    fn each_rejection_has_its_outcome() {
        for (code, detail, line_id, status) in [
            ("BV", "not-found", "NA", "5.1.1"),
            ("bv", "Not-Supported", "/x/ContentFiles[1]/contentType", "5.6.1"),
            ("BV", "not-supported", "/x/refToMessageId", "5.0.0"),
            ("BV", "too-long", "NA", "5.3.4"),
            ("BV", "forbidden", "NA", "5.7.1"),
            ("SV", "structure", "NA", "5.6.0"),
            ("BV", "invariant", "NA", "5.6.0"),
            ("BV", "security", "NA", "5.7.7"),
            ("SIG", "security", "NA", "5.7.7"),
            ("SIG", "", "NA", "5.7.7"),
            ("BV", "", "NA", "5.6.0"),
            ("XX", "not-found", "NA", "5.6.0"),
        ] {
            let outcome = Outcome::rejected(&[line(code, detail, line_id)], &[]).unwrap();
            assert_eq!(outcome.status(), status, "{code} {detail}");
            assert_eq!(outcome.is_our_fault(), matches!(status, "5.6.0" | "5.7.7"));
        }
        assert_eq!(Outcome::rejected(&[], &[]), Some(Outcome::Faulty { at: Fault::Receiver }));
    }

    #[test]
    fn of_several_lines_the_gravest_decides_and_a_repeat_is_reconciled() {
        let lines = [line("BV", "not-found", "NA"), line("SV", "structure", "NA"), line("BV", "too-long", "NA")];
        assert_eq!(Outcome::rejected(&lines, &[]), Some(Outcome::Faulty { at: Fault::Receiver }));
        let duplicate = [line("BV", "multiple-matches", "NA")];
        assert_eq!(Outcome::rejected(&duplicate, &[]), None);
        let both = [duplicate[0], line("BV", "not-found", "NA")];
        assert_eq!(Outcome::rejected(&both, &[]), Some(Outcome::FunctionUnknown { near: Vec::new() }));
    }

    #[test]
    fn the_refused_file_is_named() {
        let files = ["a.pdf", "b.heic"].map(|name| Redacted(name.to_owned()));
        let refused = |line_id| Outcome::rejected(&[line("BV", "not-supported", line_id)], &files);
        assert_eq!(refused("/m/documents[1]/ContentFiles[2]/contentType"), Some(Outcome::TypeRefused { file: Some(files[1].clone()) }));
        assert_eq!(refused("/m/*[local-name()='ContentFiles'][1]/contentType"), Some(Outcome::TypeRefused { file: Some(files[0].clone()) }));
        assert_eq!(refused("contentType"), Some(Outcome::TypeRefused { file: None }));
        assert_eq!(refused("/ContentFiles[9]/contentType"), Some(Outcome::TypeRefused { file: None }));
    }
}
