//! The timeline in the terminal: one line for each step, in columns.

use unicode_segmentation::UnicodeSegmentation as _;

use crate::event::{Event, EventName, Field};

/// The columns' titles.
pub(super) fn titles() -> String {
    row(["tid", "+ms", "gateway", "steg", "step", "id"])
}

/// One step: seconds since the mail was handed over, milliseconds since the step before it.
pub(super) fn step(since_start: i128, since_last: i128, gateway: &str, event: &Event) -> String {
    let seconds = if since_start < 0 { format!("-{}", decimal(since_start.unsigned_abs(), 3)) } else { decimal(since_start.unsigned_abs(), 3) };
    row([&seconds, &format!("+{since_last}"), gateway, swedish(event.name), &english(event.name), &details(event)])
}

fn row([time, since_last, gateway, swedish, english, details]: [&str; 6]) -> String {
    let line = format!("  {time:>7}  {since_last:>6}  {}  {}  {}  {details}", pad(gateway, 18), pad(swedish, 38), pad(english, 18));
    line.trim_end().to_owned()
}

/// The text with spaces up to a width in columns. A letter with its combining marks takes one column.
pub(super) fn pad(text: &str, width: usize) -> String {
    let columns = text.graphemes(true).count();
    format!("{text}{}", " ".repeat(width.saturating_sub(columns)))
}

/// Milliseconds as seconds with a decimal comma.
pub(super) fn decimal(ms: u128, decimals: usize) -> String {
    let fraction: String = format!("{:03}", ms % 1000).chars().take(decimals).collect();
    format!("{},{fraction}", ms / 1000)
}

/// What tells this step from others: the AS4 id's beginning, the peer, the receipt, octets, the cause.
fn details(event: &Event) -> String {
    let field = |field| event.fields.get(&field);
    let cut = |text: &String, most| text.chars().take(most).collect::<String>();
    let parts = [
        field(Field::As4MessageId).map(|id| format!("AS4 {}", cut(id, 8))),
        field(Field::ReceiptCode).cloned(),
        field(Field::PeerAccessPoint).map(|peer| format!("motpart {}", cut(peer, 30))),
        field(Field::Size).map(|size| format!("{size} byte")),
        field(Field::Attempt).map(|attempt| format!("försök {attempt}")),
        field(Field::ErrorCode).cloned(),
        field(Field::Cause).map(|cause| format!("orsak: {}", cut(cause, 80))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The name that the journal has for it.
fn english(name: EventName) -> String {
    serde_json::to_value(name).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

fn swedish(name: EventName) -> &'static str {
    match name {
        EventName::Started => "startad",
        EventName::Resent => "sänds om på begäran",
        EventName::TriedNow => "försöks nu på begäran",
        EventName::Cancelled => "stoppat på begäran",
        EventName::Redelivered => "levereras igen på begäran",
        EventName::Handled => "omhändertaget av driften",
        EventName::HoldSet => "gallringsstopp satt",
        EventName::HoldEnded => "gallringsstopp hävt",
        EventName::PurgeHeld => "gallringen väntar på ett gallringsstopp",
        EventName::ContentDeleted => "innehåll gallrat",
        EventName::RecordDeleted => "metadata gallrade",
        EventName::MailAccepted => "mejlet mottaget",
        EventName::MailDropped => "automatiskt mejl, kastat",
        EventName::LoopStopped => "mejlet gick i en slinga, avvisat",
        EventName::PairHeld => "två funktioner svarar varandra för tätt",
        EventName::Held => "hålls kvar",
        EventName::Released => "släppt, går vidare",
        EventName::MalwareFound => "skadlig kod hittad",
        EventName::Unscanned => "inte kontrollerat mot skadlig kod",
        EventName::MailRepeated => "samma mejl igen",
        EventName::MailRefused => "mejlet i utkorgen avvisat, skribenten har fått besked",
        EventName::StaleMetadata => "äldre uppgifter om deltagaren användes, DNS eller SMP svarade inte",
        EventName::Addressed => "mottagaren funnen i DNS och SMP",
        EventName::Sealed => "kuvertet förseglat",
        EventName::Submitted => "AS4-meddelandet signerat och krypterat",
        EventName::SendDeferred => "sändningen försöks igen",
        EventName::SendQueued => "väntar på sin tur att skickas",
        EventName::DestinationDown => "en mottagande server svarar inte",
        EventName::DestinationBack => "en mottagande server svarar igen",
        EventName::Acknowledged => "mottagarens accesspunkt har kvitterat",
        EventName::Accepted => "mottagaren har accepterat",
        EventName::Rejected => "mottagaren har avvisat",
        EventName::ExchangeFailed => "utan utfall",
        EventName::LateReceipt => "sen meddelandekvittens",
        EventName::StrayReceipt => "meddelandekvittens utan meddelande",
        EventName::NoticeSent => "besked skickat till avsändaren",
        EventName::Received => "AS4-meddelandet mottaget och kvitterat",
        EventName::DuplicateReceived => "samma AS4-meddelande igen",
        EventName::Refused => "AS4-meddelandet avvisat",
        EventName::Opened => "meddelandekvittensen öppnad",
        EventName::Postponed => "väntar på någon annan, försöks igen",
        EventName::Taken => "meddelandet öppnat, giltigt och lagrat",
        EventName::TurnedAway => "meddelandet avvisat",
        EventName::Discarded => "kuvertet raderat",
        EventName::ReceiptSent => "meddelandekvittensen framme",
        EventName::Delivered => "levererat som mejl",
        EventName::Noticed => "brevlådan har fått veta att ett meddelande väntar",
        EventName::MessageRead => "meddelandet läst i gatewayen",
        EventName::DeliveryDeferred => "leveransen försöks igen",
        EventName::PossibleDuplicate => "kanske levererat två gånger",
        EventName::Returned => "mejlservern skickade tillbaka mejlet",
        EventName::ReturnNoted => "besked om ett levererat mejl",
        EventName::LimitReached => "en gräns är nådd",
        EventName::LimitOver => "en gräns är inte längre nådd",
        EventName::Expiring => "ett certifikat går snart ut",
        EventName::Alarmed => "driften larmad",
        EventName::Faulted => "fel",
        EventName::Restored => "återställt från säkerhetskopia",
        EventName::Exported => "skrivet till fil för flytt",
        EventName::Imported => "flyttat hit",
        EventName::KeysChanged => "nycklarna för lagring lästa på nytt",
        EventName::Rekeyed => "det lagrade krypterat på nytt",
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn columns_stand_below_one_another_whatever_letters_are_in_them() {
        // `Håbo` composed and decomposed.
        let lines: Vec<String> = ["H\u{e5}bo kommun", "Ha\u{30a}bo kommun", "AF"]
            .map(|gateway| step(59, 59, gateway, &Event::new(Timestamp::UNIX_EPOCH, EventName::Sealed).with(Field::Size, 6360)))
            .into();
        let column = |line: &str, word: &str| line.split(word).next().unwrap().graphemes(true).count();
        for line in &lines {
            assert_eq!(column(line, "kuvertet"), column(&titles(), "steg"), "{line}");
            assert_eq!(column(line, "6360"), column(&titles().replace("tid", "t.."), "id"), "{line}");
        }
        assert_eq!(lines[2], "    0,059     +59  AF                  kuvertet förseglat                      sealed              6360 byte");
    }

    #[test]
    fn durations_have_a_decimal_comma() {
        assert_eq!((decimal(59, 3), decimal(12_345, 1)), ("0,059".to_owned(), "12,3".to_owned()));
    }
}
