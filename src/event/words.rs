//! What an event says to people: one sentence in Swedish and one in English, and what of its fields goes with it.

use super::{Event, EventName, Field};

/// The language that people are told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// Swedish.
    #[default]
    Swedish,
    /// English.
    English,
}

impl Language {
    /// The text in this language.
    #[must_use]
    pub const fn of<'a>(self, swedish: &'a str, english: &'a str) -> &'a str {
        match self {
            Self::Swedish => swedish,
            Self::English => english,
        }
    }
}

impl EventName {
    /// What happened.
    #[must_use]
    pub const fn sentence(self, language: Language) -> &'static str {
        let (swedish, english) = match self {
            Self::Started => ("Gatewayen startade", "The gateway started"),
            Self::MailAccepted => ("Mejlet togs emot av gatewayen", "The gateway took the mail"),
            Self::MailDropped => ("Ett automatiskt mejl togs emot och slängdes", "An automatic mail was taken and dropped"),
            Self::LoopStopped => ("Ett mejl som går i en slinga avvisades", "A mail that goes in circles was refused"),
            Self::PairHeld => {
                ("Två funktioner svarar varandra för tätt; våra meddelanden hålls kvar", "Two functions answer each other too fast; ours are held")
            }
            Self::Held => ("Meddelandet hålls kvar", "The message is held back"),
            Self::Released => ("Meddelandet går vidare", "The message goes on"),
            Self::MalwareFound => ("Skadlig kod hittades", "Malware was found"),
            Self::Unscanned => ("Passerade utan kontroll mot skadlig kod", "Passed without a look for malware"),
            Self::MailRepeated => ("Samma mejl kom igen och räknas en gång", "The same mail came again and counts once"),
            Self::MailRefused => ("Mejlet i utkorgen avvisades och skribenten fick besked", "The mail in the outbox was refused and its writer told"),
            Self::Addressed => {
                ("Mottagarens adress och certifikat hämtades och godkändes", "The recipient's address and certificates were found and are good")
            }
            Self::StaleMetadata => {
                ("Äldre adressuppgifter användes, för DNS eller SMP svarade inte", "Older metadata was used, since DNS or the SMP is down")
            }
            Self::Sealed => ("Meddelandet krypterades och signerades", "The message was encrypted and signed"),
            Self::Submitted => ("Försändelsen gjordes klar för mottagarens accesspunkt", "The AS4 message was made for the other access point"),
            Self::SendDeferred => {
                ("Mottagarens accesspunkt nåddes inte; nytt försök görs", "The other access point was not reached; it is tried again")
            }
            Self::SendQueued => ("Meddelandet väntar på sin tur att skickas", "The message waits for its turn to be sent"),
            Self::DestinationDown => ("En mottagande server har länge inte svarat", "A destination has not answered for long"),
            Self::DestinationBack => ("En mottagande server svarar igen", "A destination answers again"),
            Self::Acknowledged => ("Mottagarens accesspunkt kvitterade", "The other access point acknowledged it"),
            Self::Accepted => ("Mottagarens organisation accepterade meddelandet", "The other organisation accepted the message"),
            Self::Rejected => ("Mottagarens organisation avvisade meddelandet", "The other organisation rejected the message"),
            Self::ExchangeFailed => {
                ("Meddelandet kom inte fram, eller inget besked kom i tid", "The message did not arrive, or nothing was heard in time")
            }
            Self::LateReceipt => ("En kvittens kom efter slutet", "A receipt came after the end"),
            Self::StrayReceipt => ("En kvittens kom som inte ändrar något", "A receipt came that changes nothing"),
            Self::NoticeSent => ("Avsändaren fick besked per mejl", "The sender was told by mail"),
            Self::Received => {
                ("Försändelsen togs emot och kvitterades till avsändarens accesspunkt", "The AS4 message was taken in and acknowledged")
            }
            Self::DuplicateReceived => {
                ("Samma försändelse kom igen och fick samma kvittens", "The same AS4 message came again and got the same receipt")
            }
            Self::Refused => ("En försändelse avvisades", "An AS4 message was refused"),
            Self::Opened => ("En meddelandekvittens öppnades och kontrollerades", "A message receipt was opened and verified"),
            Self::Postponed => ("Väntar på något annat; nytt försök görs", "Waits for something else; it is tried again"),
            Self::Taken => ("Meddelandet öppnades, godkändes och sparades", "The message was opened, found valid and kept"),
            Self::TurnedAway => ("Meddelandet avvisades; kvittensen säger varför", "The message was rejected; our receipt says why"),
            Self::Discarded => ("Försändelsen raderades utan kvittens", "The envelope was deleted without a receipt"),
            Self::ReceiptSent => {
                ("Vår meddelandekvittens kom fram till avsändarens accesspunkt", "Our message receipt reached the other access point")
            }
            Self::Delivered => ("Mejlet lämnades till mejlservern", "The mail was handed to the mail server"),
            Self::Noticed => ("Brevlådan fick besked om att ett meddelande väntar", "The mailbox was told that a message waits"),
            Self::MessageRead => ("Meddelandet lästes", "The message was read"),
            Self::DeliveryDeferred => ("Mejlservern tog inte emot; nytt försök görs", "The mail server did not take it; it is tried again"),
            Self::PossibleDuplicate => ("Mejlservern kan ha fått mejlet två gånger", "The mail server may have got the mail twice"),
            Self::Returned => ("Mejlservern gav tillbaka mejlet", "The mail server gave the mail back"),
            Self::ReturnNoted => {
                ("Ett besked om ett levererat mejl kom som inte ändrar något", "A notice about a delivered mail came that changes nothing")
            }
            Self::Resent => ("Meddelandet skickas om på begäran av driften", "The message is sent again at an operator's word"),
            Self::TriedNow => ("Ett nytt försök görs nu på begäran av driften", "It is tried now at an operator's word"),
            Self::Cancelled => ("Driften stoppade meddelandet innan det skickades", "An operator stopped the message before it was sent"),
            Self::Redelivered => {
                ("Meddelandet levereras en gång till på begäran av driften", "The message is delivered once more at an operator's word")
            }
            Self::Handled => ("Driften har tagit hand om meddelandet", "An operator has seen to the message"),
            Self::HoldSet => ("Gallring stoppades tills vidare", "Deletion was stopped until further notice"),
            Self::HoldEnded => ("Stoppet för gallring hävdes", "The stop of deletion was ended"),
            Self::PurgeHeld => ("Gallring väntar, den är stoppad", "A deletion waits, since it is stopped"),
            Self::ContentDeleted => ("Innehåll gallrades", "Content was deleted by rule"),
            Self::RecordDeleted => ("Uppgifterna om meddelandet gallrades", "What was known of the message was deleted by rule"),
            Self::KeysChanged => ("Nycklarna till det som sparas byttes", "The keys of what is kept were changed"),
            Self::Rekeyed => ("Det som sparas krypterades om", "What is kept was encrypted anew"),
            Self::Alarmed => ("Driften fick mejl", "The operator was told by mail"),
            Self::Faulted => ("Ett fel som ingen räknat med", "An unforeseen fault"),
            Self::Restored => (
                "Gatewayens data återställdes från en säkerhetskopia; vad som hände efter den är inte känt",
                "The state was restored from a backup; what happened after it is not known",
            ),
            Self::Exported => ("Gatewayens data skrevs till en fil för att flyttas", "The state was written to a file, to be brought elsewhere"),
            Self::Imported => ("Gatewayens data flyttades hit", "The state was brought here from elsewhere"),
            Self::LimitReached => ("En gräns är nådd", "A limit is reached"),
            Self::LimitOver => ("En gräns är inte längre nådd", "A limit is no longer reached"),
            Self::Expiring => ("Ett certifikat eller en spärrlista går snart ut", "A certificate or a revocation list ends soon"),
        };
        language.of(swedish, english)
    }
}

/// What goes with the sentence: its words, and the field. Ids are not repeated in each line, times are told apart.
const DETAILS: [(Field, &str, &str); 13] = [
    (Field::Sender, "från", "from"),
    (Field::Recipient, "till", "to"),
    (Field::Mailbox, "brevlåda", "mailbox"),
    (Field::PeerAccessPoint, "accesspunkt", "access point"),
    (Field::Destination, "server", "server"),
    (Field::Attempt, "försök", "attempt"),
    (Field::ReceiptCode, "kvittens", "receipt"),
    (Field::ErrorCode, "felkod", "error"),
    (Field::Cause, "orsak", "cause"),
    (Field::MailServerAnswer, "mejlserverns svar", "the mail server's answer"),
    (Field::Reader, "läst av", "read by"),
    (Field::Account, "inloggad som", "known as"),
    (Field::PeerAddress, "från adress", "from address"),
];

impl Event {
    /// What happened and what is known of it, without times.
    #[must_use]
    pub fn told(&self, language: Language) -> String {
        let details = DETAILS.iter().filter_map(|(field, swedish, english)| {
            let value = self.fields.get(field)?;
            Some(format!("{} {value}", language.of(swedish, english)))
        });
        let details: Vec<String> = details.collect();
        let sentence = self.name.sentence(language);
        if details.is_empty() { sentence.to_owned() } else { format!("{sentence} ({})", details.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn an_event_is_told_in_both_languages_with_what_is_known() {
        let event = Event::new(Timestamp::UNIX_EPOCH, EventName::SendDeferred).with(Field::Cause, "timeout").with(Field::Attempt, 3);
        assert_eq!(event.told(Language::Swedish), "Mottagarens accesspunkt nåddes inte; nytt försök görs (försök 3, orsak timeout)");
        assert_eq!(event.told(Language::English), "The other access point was not reached; it is tried again (attempt 3, cause timeout)");
        assert_eq!(Event::new(Timestamp::UNIX_EPOCH, EventName::Released).told(Language::Swedish), "Meddelandet går vidare");
    }
}
