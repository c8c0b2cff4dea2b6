//! What a notice says to people: what happened, what to do, when it was. Swedish as case workers read it, then English.
//!
//! Each text names the recipient, and tells first whether the message arrived. `docs/notices.md` shows them all.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::outcome::{Fault, Outcome, Service, Verdict};
use crate::ident::MailAddress;

impl Outcome {
    /// The subject's first word, Swedish.
    pub(super) fn headline(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "Kvitterat",
            Self::LateReceipt { verdict: Verdict::Accepted, .. } => "Kvitterat i efterhand",
            Self::LateReceipt { verdict: Verdict::Rejected(_), .. } => "Avvisat i efterhand",
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
            Self::LateReceipt { at, verdict: Verdict::Accepted } => format!(
                "Meddelandet är mottaget. Kvittensen från {name} kom sent, {}. Det tidigare beskedet om att meddelandet inte hade levererats gäller inte längre. Skicka det inte igen.",
                time(at)
            ),
            Self::LateReceipt { at, verdict: Verdict::Rejected(outcome) } => {
                format!("Ett sent besked från {name}, {}, avgör vad som hände med meddelandet. {}", time(at), outcome.swedish(name, zone))
            }
            Self::AwaitingReceipt { acknowledged, until } => format!(
                "Meddelandet kom fram till mottagarens system (accesspunkten hos {name}) {}, men mottagaren har ännu inte kvitterat det. Du behöver inte göra något. Vi väntar på kvittensen till {}. Uteblir den får du ett nytt besked.",
                time(acknowledged),
                time(until)
            ),
            Self::Unreachable { service, next, last } => format!(
                "Meddelandet är försenat. {} Det ligger kvar hos oss och skickas på nytt, nästa gång {} och som längst till {}. Du behöver inte göra något. Går det inte att skicka får du ett nytt besked.",
                match service {
                    Service::AccessPoint => format!("Mottagarens system (accesspunkten hos {name}) svarar inte just nu."),
                    Service::Directory => format!("Adressuppgifterna för {name} går inte att hämta just nu."),
                },
                time(next),
                time(last)
            ),
            Self::Held { until } => format!(
                "Meddelandet ligger kvar hos oss tills vidare. Det har gått ovanligt många meddelanden fram och tillbaka mellan er och {name} på kort tid, som när två autosvar svarar varandra. Det skickas av sig självt, tidigast {}. Om funktionsbrevlådan svarar automatiskt: stäng av det. Annars behöver du inte göra något.",
                time(until)
            ),
            Self::GaveUp { service } => format!(
                "Meddelandet har inte skickats. {} Vi har slutat försöka. Skicka det på nytt senare, eller kontakta mottagaren på annat sätt.",
                match service {
                    Service::AccessPoint => format!("Mottagarens system (accesspunkten hos {name}) gick inte att nå i tid."),
                    Service::Directory => format!("Adressuppgifterna för {name} gick inte att hämta i tid."),
                }
            ),
            Self::Unproven => format!(
                "Det är oklart om meddelandet har kommit fram. Det har skickats till mottagarens system (accesspunkten hos {name}), men mottagandet har inte bekräftats i tid. Fråga mottagaren innan du skickar det igen."
            ),
            Self::NoReceipt { acknowledged } => format!(
                "Det är oklart om meddelandet har kommit fram. Det nådde mottagarens system (accesspunkten hos {name}) {}, men mottagaren har inte kvitterat det i tid. Fråga mottagaren innan du skickar det igen.",
                time(acknowledged)
            ),
            Self::OrganisationUnknown => format!(
                "Meddelandet har inte skickats. {name} är inte ansluten till SDK eller tar inte emot SDK-meddelanden. Kontrollera adressen, eller kontakta mottagaren på annat sätt."
            ),
            Self::NotServed => format!(
                "Meddelandet har inte tagits emot. Accesspunkten som är registrerad för {name} i SDK betjänar inte den mottagaren, eller tar inte emot sådana meddelanden åt den. Felet ligger hos mottagarens organisation eller dess operatör, och driftansvarig här har fått besked. Kontakta mottagaren på annat sätt."
            ),
            Self::FunctionUnknown { near } => format!(
                "Meddelandet har inte tagits emot. Funktionsadressen finns inte hos mottagaren ({name}). Kontrollera adressen i adressboken och skicka meddelandet på nytt.{}",
                listed("Liknande adresser som har tagit emot meddelanden tidigare", near)
            ),
            Self::TypeRefused { file } => format!(
                "Meddelandet har inte tagits emot. {name} tar inte emot filtypen{}. Spara filen som PDF och skicka meddelandet på nytt.",
                file.as_ref().map(|file| format!(" för bilagan \"{}\"", **file)).unwrap_or_default()
            ),
            Self::AnswersRejected => format!(
                "Svaret har inte tagits emot. {name} avvisade det, eftersom det svarar på ett meddelande som de själva har avvisat. Skicka det som ett nytt meddelande."
            ),
            Self::TooLong => format!(
                "Meddelandet har inte tagits emot. Det är större än vad {name} tar emot. Dela upp det på flera meddelanden eller minska bilagorna."
            ),
            Self::Forbidden => format!(
                "Meddelandet har inte tagits emot. Det stoppades av skyddet mot skadlig kod hos {name}. Be er support kontrollera bilagorna innan du skickar det igen."
            ),
            Self::Faulty { at: Fault::Receiver } => format!(
                "Meddelandet har inte tagits emot. {name} avvisade det på grund av ett tekniskt fel hos oss. Driftansvarig har fått larm. Kontakta mottagaren på annat sätt om det brådskar."
            ),
            Self::Faulty { at: Fault::AccessPoint } => format!(
                "Meddelandet har inte tagits emot. Mottagarens system (accesspunkten hos {name}) avvisade det på grund av ett tekniskt fel. Driftansvarig har fått larm. Kontakta mottagaren på annat sätt om det brådskar."
            ),
            Self::Faulty { at: Fault::Gateway } => format!(
                "Meddelandet till {name} har inte skickats, på grund av ett tekniskt fel hos oss. Driftansvarig har fått larm. Kontakta mottagaren på annat sätt om det brådskar."
            ),
            Self::Insecure => format!(
                "Meddelandet har inte tagits emot. {name} avvisade det vid säkerhetskontrollen, på grund av ett tekniskt fel hos oss. Driftansvarig har fått larm. Kontakta mottagaren på annat sätt om det brådskar."
            ),
            Self::NotTaken { swedish, .. } => format!("Mejlet har inte skickats. {}", closed(swedish)),
            Self::Cancelled => format!(
                "Meddelandet har inte skickats. Driftansvarig stoppade det innan det hade lämnat oss, så {name} har inte fått något. Fråga driftansvarig om du inte vet varför."
            ),
            Self::CertificateBad => format!(
                "Meddelandet har inte skickats. Certifikatet hos {name} har gått ut, är spärrat eller går inte att lita på. Felet ligger hos mottagarens organisation, och driftansvarig här har fått besked. Kontakta mottagaren på annat sätt."
            ),
        }
    }

    /// The same in English.
    pub(super) fn english(&self, name: &str, zone: &TimeZone) -> String {
        let time = |at: &Timestamp| local_time(*at, zone);
        match self {
            Self::Accepted { at } => format!("The message has been received. {name} acknowledged it {}.", time(at)),
            Self::LateReceipt { at, verdict: Verdict::Accepted } => format!(
                "The message has been received. The receipt from {name} came late, {}. The earlier notice that it had not been delivered no longer holds. Do not send it again.",
                time(at)
            ),
            Self::LateReceipt { at, verdict: Verdict::Rejected(outcome) } => {
                format!("A late answer from {name}, {}, tells what became of the message. {}", time(at), outcome.english(name, zone))
            }
            Self::AwaitingReceipt { acknowledged, until } => format!(
                "The message reached the recipient's system (the access point of {name}) {}, but the recipient has not acknowledged it yet. There is nothing to do. The receipt is awaited until {}. If it does not come you will be told.",
                time(acknowledged),
                time(until)
            ),
            Self::Unreachable { service, next, last } => format!(
                "The message is delayed. {} It is kept here and sent again, next {} and at the latest {}. There is nothing to do. If it cannot be sent you will be told.",
                match service {
                    Service::AccessPoint => format!("The recipient's system (the access point of {name}) does not answer for now."),
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
                "The message has not been sent. {} We have stopped trying. Send it again later, or contact the recipient in another way.",
                match service {
                    Service::AccessPoint => format!("The recipient's system (the access point of {name}) could not be reached in time."),
                    Service::Directory => format!("The address data of {name} could not be fetched in time."),
                }
            ),
            Self::Unproven => format!(
                "It is not known whether the message has arrived. It was sent to the recipient's system (the access point of {name}), which has not confirmed it in time. Ask the recipient before you send it again."
            ),
            Self::NoReceipt { acknowledged } => format!(
                "It is not known whether the message has arrived. It reached the recipient's system (the access point of {name}) {}, but the recipient has not acknowledged it in time. Ask the recipient before you send it again.",
                time(acknowledged)
            ),
            Self::OrganisationUnknown => format!(
                "The message has not been sent. {name} is not in SDK or takes no SDK messages. Check the address, or contact the recipient in another way."
            ),
            Self::NotServed => format!(
                "The message has not been received. The access point that is registered for {name} in SDK does not serve that recipient, or takes no such messages for it. The fault lies with the recipient's organisation or its operator, and the operator here has been told. Contact the recipient in another way."
            ),
            Self::FunctionUnknown { near } => format!(
                "The message has not been received. The recipient ({name}) has no such function address. Check it in the address book and send the message again.{}",
                listed("Similar addresses that have taken messages before", near)
            ),
            Self::TypeRefused { file } => format!(
                "The message has not been received. {name} does not take the file type{}. Save the file as PDF and send the message again.",
                file.as_ref().map(|file| format!(" of the attachment \"{}\"", **file)).unwrap_or_default()
            ),
            Self::AnswersRejected => format!(
                "The answer has not been received. {name} rejected it, because it answers a message that they themselves have rejected. Send it as a new message."
            ),
            Self::TooLong => format!(
                "The message has not been received. It is larger than {name} takes. Split it into several messages or make the attachments smaller."
            ),
            Self::Forbidden => format!(
                "The message has not been received. It was stopped by the malware protection of {name}. Have your support check the attachments before you send it again."
            ),
            Self::Faulty { at: Fault::Receiver } => format!(
                "The message has not been received. {name} rejected it because of a technical fault on our side. The operator has been alarmed. Contact the recipient in another way if it is urgent."
            ),
            Self::Faulty { at: Fault::AccessPoint } => format!(
                "The message has not been received. The recipient's system (the access point of {name}) refused it because of a technical fault. The operator has been alarmed. Contact the recipient in another way if it is urgent."
            ),
            Self::Faulty { at: Fault::Gateway } => format!(
                "The message to {name} has not been sent, because of a technical fault on our side. The operator has been alarmed. Contact the recipient in another way if it is urgent."
            ),
            Self::Insecure => format!(
                "The message has not been received. {name} rejected it at its security check, because of a technical fault on our side. The operator has been alarmed. Contact the recipient in another way if it is urgent."
            ),
            Self::NotTaken { english, .. } => format!("The mail has not been sent. {}", closed(english)),
            Self::Cancelled => format!(
                "The message has not been sent. The operator stopped it before it had left, so {name} has got nothing. Ask the operator if you do not know why."
            ),
            Self::CertificateBad => format!(
                "The message has not been sent. The certificate of {name} has expired, is revoked or cannot be trusted. The fault lies with the recipient's organisation, and the operator here has been told. Contact the recipient in another way."
            ),
        }
    }
}

/// A sentence that names addresses; nothing when there are none.
fn listed(what: &str, addresses: &[MailAddress]) -> String {
    if addresses.is_empty() {
        return String::new();
    }
    let list: Vec<&str> = addresses.iter().map(MailAddress::as_str).collect();
    format!(" {what}: {}.", list.join(", "))
}

/// A sentence: it begins with a capital letter and ends with a full stop.
fn closed(text: &str) -> String {
    let mut characters = text.trim().trim_end_matches('.').chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}

/// The time where the reader is.
pub(crate) fn local_time(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}
