//! What became of an SDK message, as its sender must learn it: one action, one status code, two texts for each.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::content::Redacted;

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
    FunctionUnknown,
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
    /// REJECTED for a reason that is our fault, or a fault of ours that no retry mends.
    Faulty,
    /// REJECTED SIG or BV security: signature, encryption or ids, our fault too.
    Insecure,
    /// The recipient's certificate is expired or revoked, also after a fresh look.
    CertificateBad,
}

/// What a late receipt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// ACCEPTED.
    Accepted,
    /// REJECTED.
    Rejected,
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

/// Whether a message was sent before this attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempts {
    /// This was the first.
    First,
    /// An earlier one may have arrived.
    Repeated,
}

impl Outcome {
    /// What a REJECTED receipt means for the sender; of several lines the gravest decides. `None` when it only says that
    /// an earlier attempt of ours had arrived: then the outcome is that attempt's. `files` are the message's, in order.
    #[must_use]
    pub fn rejected(lines: &[RejectedLine<'_>], attempts: Attempts, files: &[Redacted<String>]) -> Option<Self> {
        let outcomes: Vec<Option<Self>> = lines.iter().map(|line| of_line(line, attempts, files)).collect();
        if outcomes.is_empty() {
            return Some(Self::Faulty);
        }
        outcomes.into_iter().flatten().max_by_key(Self::gravity)
    }

    /// Whether the operator must be alarmed too: the fault is ours.
    #[must_use]
    pub fn is_our_fault(&self) -> bool {
        matches!(self, Self::Faulty | Self::Insecure)
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
    pub fn status(&self) -> &'static str {
        match self {
            Self::Accepted { .. } | Self::LateReceipt { verdict: Verdict::Accepted, .. } => "2.0.0",
            Self::LateReceipt { .. } | Self::AnswersRejected => "5.0.0",
            Self::AwaitingReceipt { .. } => "4.4.7",
            Self::Unreachable { service: Service::AccessPoint, .. } => "4.4.1",
            Self::Unreachable { service: Service::Directory, .. } => "4.4.3",
            // RFC 3463 3.5 X.4.6: a loop.
            Self::Held { .. } => "4.4.6",
            Self::GaveUp { .. } | Self::Unproven | Self::NoReceipt { .. } => "5.4.7",
            Self::OrganisationUnknown => "5.1.2",
            // RFC 3463 3.5 X.4.4: what the directory says does not lead to the recipient.
            Self::NotServed => "5.4.4",
            Self::FunctionUnknown => "5.1.1",
            Self::TypeRefused { .. } => "5.6.1",
            Self::TooLong => "5.3.4",
            Self::Forbidden => "5.7.1",
            Self::Faulty => "5.6.0",
            Self::Insecure => "5.7.7",
            Self::CertificateBad => "5.7.5",
        }
    }

    /// What stood in the receipt or what failed, for `Diagnostic-Code: x-sdk;`.
    #[must_use]
    pub fn diagnostic(&self) -> &'static str {
        match self {
            Self::Accepted { .. } | Self::LateReceipt { verdict: Verdict::Accepted, .. } => "ACCEPTED",
            Self::LateReceipt { .. } => "REJECTED after the deadline",
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
            Self::FunctionUnknown => "REJECTED BV not-found",
            Self::TypeRefused { .. } => "REJECTED BV not-supported contentType",
            Self::AnswersRejected => "REJECTED BV not-supported",
            Self::TooLong => "REJECTED BV too-long",
            Self::Forbidden => "REJECTED BV forbidden",
            Self::Faulty => "REJECTED SV or BV",
            Self::Insecure => "REJECTED SIG or BV security",
            Self::CertificateBad => "certificate expired or revoked",
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

    /// The subject's first word, Swedish.
    pub(super) fn headline(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "Kvitterat",
            Self::LateReceipt { verdict: Verdict::Accepted, .. } => "Kvitterat i efterhand",
            Self::LateReceipt { .. } => "Avvisat i efterhand",
            Self::AwaitingReceipt { .. } => "Väntar på kvittens",
            Self::Unreachable { .. } | Self::Held { .. } => "Försenat",
            Self::Unproven | Self::NoReceipt { .. } => "Kvittens saknas",
            _ => "Inte levererat",
        }
    }

    /// What happened and what to do, in Swedish. `name` is the recipient's.
    pub(super) fn swedish(&self, name: &str, zone: &TimeZone) -> String {
        let time = |at: &Timestamp| local_time(*at, zone);
        match self {
            Self::Accepted { at } => format!("Meddelandet är mottaget. {name} kvitterade det {}.", time(at)),
            Self::LateReceipt { at, verdict: Verdict::Accepted } => {
                format!(
                    "Meddelandet är mottaget. Kvittensen från {name} kom sent, {}. Det tidigare beskedet om utebliven kvittens gäller inte längre.",
                    time(at)
                )
            }
            Self::LateReceipt { at, verdict: Verdict::Rejected } => {
                format!("Meddelandet avvisades. Beskedet från {name} kom sent, {}. Meddelandet har inte tagits emot.", time(at))
            }
            Self::AwaitingReceipt { acknowledged, until } => format!(
                "Meddelandet har nått accesspunkten hos {name} ({}) men är ännu inte kvitterat. Du behöver inte göra något. Du får besked senast {}.",
                time(acknowledged),
                time(until)
            ),
            Self::Unreachable { service, next, last } => format!(
                "{} Meddelandet ligger kvar här och skickas igen {}. Sista försöket görs {}. Du behöver inte göra något.",
                match service {
                    Service::AccessPoint => format!("Accesspunkten hos {name} går inte att nå just nu."),
                    Service::Directory => format!("Adressuppgifterna för {name} går inte att hämta just nu."),
                },
                time(next),
                time(last)
            ),
            Self::Held { until } => format!(
                "Meddelandet ligger kvar här tills vidare. Det har gått ovanligt många meddelanden fram och tillbaka mellan er och {name} på kort tid, som när två autosvar svarar varandra. Det skickas av sig självt tidigast {}. Om brevlådan svarar automatiskt: stäng av det. Annars behöver du inte göra något.",
                time(until)
            ),
            Self::GaveUp { service } => format!(
                "Meddelandet kunde inte skickas. {} Så vitt vi vet har det inte kommit fram. Skicka det på nytt senare, eller kontakta mottagaren på annat sätt.",
                match service {
                    Service::AccessPoint => format!("Accesspunkten hos {name} gick inte att nå i tid."),
                    Service::Directory => format!("Adressuppgifterna för {name} gick inte att hämta i tid."),
                }
            ),
            Self::Unproven => format!(
                "Meddelandet har skickats till accesspunkten hos {name}, men den har inte bekräftat det. Det kan ha kommit fram. Fråga mottagaren innan du skickar det igen."
            ),
            Self::NoReceipt { acknowledged } => format!(
                "Meddelandet har nått accesspunkten hos {name} ({}) men har inte kvitterats. Det kan ha kommit fram. Fråga mottagaren innan du skickar det igen.",
                time(acknowledged)
            ),
            Self::OrganisationUnknown => format!("{name} finns inte i SDK. Kontrollera adressen, eller kontakta mottagaren på annat sätt."),
            Self::NotServed => format!(
                "Meddelandet har inte tagits emot. Accesspunkten som är registrerad för {name} i SDK betjänar inte den mottagaren, eller tar inte emot sådana meddelanden åt den. Felet ligger hos mottagarens organisation eller dess operatör, och driftansvarig här har fått besked. Kontakta mottagaren på annat sätt."
            ),
            Self::FunctionUnknown => format!("Funktionsadressen finns inte hos mottagaren ({name}). Kontrollera adressen i adressboken."),
            Self::TypeRefused { file } => format!(
                "{name} tar inte emot filtypen{}. Skicka filen som PDF.",
                file.as_ref().map(|file| format!(" för \"{}\"", **file)).unwrap_or_default()
            ),
            Self::AnswersRejected => format!(
                "Ditt svar avvisades av {name}, eftersom det svarar på ett meddelande som de själva har avvisat. Skicka det som ett nytt meddelande."
            ),
            Self::TooLong => format!("Meddelandet är större än vad {name} tar emot. Dela upp det eller minska bilagorna."),
            Self::Forbidden => format!("Meddelandet stoppades av skyddet mot skadlig kod hos {name}. Kontrollera bilagorna innan du skickar igen."),
            Self::Faulty => format!(
                "Meddelandet kunde inte tas emot av {name} på grund av ett tekniskt fel hos oss. Driftansvarig har fått larm. Ange ärendenumret nedan om du kontaktar support."
            ),
            Self::Insecure => format!(
                "Meddelandet avvisades av {name} vid säkerhetskontrollen, på grund av ett tekniskt fel hos oss. Driftansvarig har fått larm. Ange ärendenumret nedan om du kontaktar support."
            ),
            Self::CertificateBad => {
                format!("Meddelandet har inte skickats: certifikatet hos {name} har gått ut eller är spärrat. Kontakta mottagaren på annat sätt.")
            }
        }
    }

    /// The same in English.
    pub(super) fn english(&self, name: &str, zone: &TimeZone) -> String {
        let time = |at: &Timestamp| local_time(*at, zone);
        match self {
            Self::Accepted { at } => format!("The message has been received. {name} acknowledged it {}.", time(at)),
            Self::LateReceipt { at, verdict: Verdict::Accepted } => {
                format!(
                    "The message has been received. The receipt from {name} came late, {}. The earlier notice that none had come no longer holds.",
                    time(at)
                )
            }
            Self::LateReceipt { at, verdict: Verdict::Rejected } => {
                format!("The message was rejected. The answer from {name} came late, {}. The message has not been received.", time(at))
            }
            Self::AwaitingReceipt { acknowledged, until } => format!(
                "The message has reached the access point of {name} ({}) but is not acknowledged yet. There is nothing to do. You will be told by {}.",
                time(acknowledged),
                time(until)
            ),
            Self::Unreachable { service, next, last } => format!(
                "{} The message is kept here and sent again {}. The last attempt is made {}. There is nothing to do.",
                match service {
                    Service::AccessPoint => format!("The access point of {name} cannot be reached for now."),
                    Service::Directory => format!("The address data of {name} cannot be fetched for now."),
                },
                time(next),
                time(last)
            ),
            Self::Held { until } => format!(
                "The message is kept here for the time being. Unusually many messages have gone back and forth between you and {name} in a short time, as when two automatic answers answer each other. It is sent by itself, {} at the earliest. If the mailbox answers automatically, turn that off. Otherwise there is nothing to do.",
                time(until)
            ),
            Self::GaveUp { service } => format!(
                "The message could not be sent. {} As far as we know it has not arrived. Send it again later, or contact the recipient in another way.",
                match service {
                    Service::AccessPoint => format!("The access point of {name} could not be reached in time."),
                    Service::Directory => format!("The address data of {name} could not be fetched in time."),
                }
            ),
            Self::Unproven => format!(
                "The message has been sent to the access point of {name}, which has not confirmed it. It may have arrived. Ask the recipient before you send it again."
            ),
            Self::NoReceipt { acknowledged } => format!(
                "The message has reached the access point of {name} ({}) but was never acknowledged. It may have arrived. Ask the recipient before you send it again.",
                time(acknowledged)
            ),
            Self::OrganisationUnknown => format!("{name} is not in SDK. Check the address, or contact the recipient in another way."),
            Self::NotServed => format!(
                "The message has not been received. The access point that is registered for {name} in SDK does not serve that recipient, or takes no such messages for it. The fault lies with the recipient's organisation or its operator, and the operator here has been told. Contact the recipient in another way."
            ),
            Self::FunctionUnknown => format!("The recipient ({name}) has no such function address. Check it in the address book."),
            Self::TypeRefused { file } => format!(
                "{name} does not take the file type{}. Send the file as PDF.",
                file.as_ref().map(|file| format!(" of \"{}\"", **file)).unwrap_or_default()
            ),
            Self::AnswersRejected => {
                format!("{name} rejected your answer, because it answers a message that they themselves have rejected. Send it as a new message.")
            }
            Self::TooLong => format!("The message is larger than {name} takes. Split it or make the attachments smaller."),
            Self::Forbidden => {
                format!("The message was stopped by the malware protection of {name}. Check the attachments before you send it again.")
            }
            Self::Faulty => format!(
                "The message could not be received by {name} because of a technical fault on our side. The operator has been alarmed. Quote the case number below to support."
            ),
            Self::Insecure => format!(
                "{name} rejected the message at its security check, because of a technical fault on our side. The operator has been alarmed. Quote the case number below to support."
            ),
            Self::CertificateBad => {
                format!("The message has not been sent: the certificate of {name} has expired or is revoked. Contact the recipient in another way.")
            }
        }
    }

    fn gravity(&self) -> u8 {
        match self {
            Self::Insecure => 6,
            Self::Faulty => 5,
            Self::Forbidden => 4,
            Self::TooLong => 3,
            Self::FunctionUnknown => 2,
            Self::TypeRefused { .. } => 1,
            _ => 0,
        }
    }
}

/// SDK B1.3.3 5.3, read from the sender's side.
fn of_line(line: &RejectedLine<'_>, attempts: Attempts, files: &[Redacted<String>]) -> Option<Outcome> {
    let code = line.code.trim().to_ascii_uppercase();
    let detail = line.detail.trim().to_ascii_lowercase();
    match (code.as_str(), detail.as_str()) {
        ("BV", "duplicate" | "multiple-matches") if attempts == Attempts::Repeated => None,
        ("BV", "not-found") => Some(Outcome::FunctionUnknown),
        ("BV", "not-supported") if line.line_id.to_ascii_lowercase().contains("contenttype") => {
            Some(Outcome::TypeRefused { file: file_of(line.line_id, files) })
        }
        ("BV", "not-supported") => Some(Outcome::AnswersRejected),
        ("BV", "too-long") => Some(Outcome::TooLong),
        ("BV", "forbidden") => Some(Outcome::Forbidden),
        ("SIG", _) | ("BV", "security") => Some(Outcome::Insecure),
        _ => Some(Outcome::Faulty),
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

/// The time where the reader is.
pub(crate) fn local_time(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
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
            ("BV", "duplicate", "NA", "5.6.0"),
        ] {
            let outcome = Outcome::rejected(&[line(code, detail, line_id)], Attempts::First, &[]).unwrap();
            assert_eq!(outcome.status(), status, "{code} {detail}");
            assert_eq!(outcome.is_our_fault(), matches!(status, "5.6.0" | "5.7.7"));
        }
        assert_eq!(Outcome::rejected(&[], Attempts::First, &[]), Some(Outcome::Faulty));
    }

    #[test]
    fn of_several_lines_the_gravest_decides_and_a_repeat_is_reconciled() {
        let lines = [line("BV", "not-found", "NA"), line("SV", "structure", "NA"), line("BV", "too-long", "NA")];
        assert_eq!(Outcome::rejected(&lines, Attempts::First, &[]), Some(Outcome::Faulty));
        let duplicate = [line("BV", "multiple-matches", "NA")];
        assert_eq!(Outcome::rejected(&duplicate, Attempts::Repeated, &[]), None);
        let both = [duplicate[0], line("BV", "not-found", "NA")];
        assert_eq!(Outcome::rejected(&both, Attempts::Repeated, &[]), Some(Outcome::FunctionUnknown));
    }

    #[test]
    fn the_refused_file_is_named() {
        let files = ["a.pdf", "b.heic"].map(|name| Redacted(name.to_owned()));
        let refused = |line_id| Outcome::rejected(&[line("BV", "not-supported", line_id)], Attempts::First, &files);
        assert_eq!(refused("/m/documents[1]/ContentFiles[2]/contentType"), Some(Outcome::TypeRefused { file: Some(files[1].clone()) }));
        assert_eq!(refused("/m/*[local-name()='ContentFiles'][1]/contentType"), Some(Outcome::TypeRefused { file: Some(files[0].clone()) }));
        assert_eq!(refused("contentType"), Some(Outcome::TypeRefused { file: None }));
        assert_eq!(refused("/ContentFiles[9]/contentType"), Some(Outcome::TypeRefused { file: None }));
    }
}
