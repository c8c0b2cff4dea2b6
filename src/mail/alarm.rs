//! What needs a human, as a mail to the operator: what happened, what to do, the ids to search for. Never content.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::date::Date;
use mail_builder::headers::message_id::MessageId as IdList;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::notice::local_time;
use super::{mime, words};
use crate::ident::{Domain, MailAddress};

/// Why the operator is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Another organisation rejected a message of ours as faulty.
    RejectedAsFaulty,
    /// An envelope was deleted without a receipt; Digg must be told (SDK C1.6 4.1.1.a, SDK C3.4.6 3.1.6).
    EnvelopeDiscarded,
    /// A message receipt of ours did not reach its access point.
    ReceiptUndelivered,
    /// The mail server refused a mail that is stored here.
    MailRefused,
    /// The mail server gave a mail back that it had taken.
    Returned,
    /// A message of ours was never acknowledged.
    NoReceipt,
    /// A message of ours did not get to the other access point.
    Unsent,
    /// A receipt came that contradicts what is known, or belongs to nothing.
    StrayReceipt,
    /// A certificate of ours or of the other side cannot be used.
    Certificate,
    /// A certificate of ours or of a CA, or a revocation list, ends soon.
    Expiry,
    /// An outbox folder has not been read for a long time.
    OutboxUnread,
    /// Two functions exchange mails too fast: one of them answers by itself.
    Loop,
    /// Malware was found.
    Malware,
    /// Nothing can be looked into for malware.
    Scanner,
    /// An organisation, a mailbox or a node has reached a limit, and others are put off.
    LimitReached,
    /// It is below the limit again.
    LimitOver,
    /// Another access point, or the mail server, has been down for long.
    DestinationDown,
    /// It is back.
    DestinationBack,
    /// A step failed in a way that nobody foresaw.
    Fault,
    /// There is less free disk space than is to be kept.
    Space,
    /// The store could not be written for a time.
    Standstill,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 21] = [
        Self::RejectedAsFaulty,
        Self::EnvelopeDiscarded,
        Self::ReceiptUndelivered,
        Self::MailRefused,
        Self::Returned,
        Self::NoReceipt,
        Self::Unsent,
        Self::StrayReceipt,
        Self::Certificate,
        Self::Expiry,
        Self::OutboxUnread,
        Self::Loop,
        Self::Malware,
        Self::Scanner,
        Self::LimitReached,
        Self::LimitOver,
        Self::DestinationDown,
        Self::DestinationBack,
        Self::Fault,
        Self::Space,
        Self::Standstill,
    ];

    /// The subject, in Swedish and English.
    #[must_use]
    pub fn title(self) -> (&'static str, &'static str) {
        match self {
            Self::RejectedAsFaulty => ("Ett meddelande avvisades som felaktigt", "A message was rejected as faulty"),
            Self::EnvelopeDiscarded => ("Ett mottaget kuvert har raderats utan kvittens", "A received envelope was deleted without a receipt"),
            Self::ReceiptUndelivered => ("En meddelandekvittens kunde inte levereras", "A message receipt could not be delivered"),
            Self::MailRefused => ("Mejlservern tog inte emot ett meddelande", "The mail server refused a message"),
            Self::Returned => ("Mejlservern skickade tillbaka ett meddelande", "The mail server gave a message back"),
            Self::NoReceipt => ("Ett meddelande har inte kvitterats", "A message was never acknowledged"),
            Self::Unsent => ("Ett meddelande kunde inte skickas", "A message could not be sent"),
            Self::StrayReceipt => ("En kvittens stämmer inte", "A receipt does not match"),
            Self::Certificate => ("Ett certifikat kan inte användas", "A certificate cannot be used"),
            Self::Expiry => ("Ett certifikat går snart ut", "A certificate ends soon"),
            Self::OutboxUnread => ("En utkorg kan inte läsas", "An outbox folder cannot be read"),
            Self::Loop => ("Två funktioner svarar varandra automatiskt", "Two functions answer each other by themselves"),
            Self::Malware => ("Skadlig kod har stoppats", "Malware was stopped"),
            Self::Scanner => ("Skyddet mot skadlig kod svarar inte", "The malware scanner gives no answer"),
            Self::LimitReached => ("En gräns är nådd", "A limit is reached"),
            Self::LimitOver => ("En gräns är inte längre nådd", "A limit is no longer reached"),
            Self::DestinationDown => ("En server svarar inte", "A server does not answer"),
            Self::DestinationBack => ("En server svarar igen", "A server answers again"),
            Self::Fault => ("Ett oväntat fel", "An unforeseen failure"),
            Self::Space => ("Diskutrymmet håller på att ta slut", "Disk space is running out"),
            Self::Standstill => ("Mejl och meddelanden kunde inte sparas", "Mails and messages could not be stored"),
        }
    }

    /// What it means and what to do, in Swedish and English.
    #[must_use]
    pub fn advice(self) -> (&'static str, &'static str) {
        match self {
            Self::RejectedAsFaulty => (
                "Mottagaren avvisade ett meddelande från oss av tekniska skäl. Avsändaren har fått besked. Felet ligger hos oss: spara uppgifterna nedan och felanmäl.",
                "The receiver rejected a message of ours for technical reasons. The sender has been told. The fault is ours: keep the data below and report it.",
            ),
            Self::EnvelopeDiscarded => (
                "Ett kuvert följde inte reglerna och har raderats utan att kvitteras. Anmäl händelsen till Digg; uppgifterna nedan är det som behövs.",
                "An envelope broke the rules and was deleted without a receipt. Report it to Digg; the data below is what they need.",
            ),
            Self::ReceiptUndelivered => (
                "Meddelandet är mottaget och lämnas till mejlservern, men avsändaren har inte fått kvittensen. Avsändaren kan behöva få besked på annat sätt.",
                "The message was received and goes to the mail server, but its sender did not get the receipt. They may have to be told in another way.",
            ),
            Self::MailRefused => (
                "Meddelandet är kvitterat mot avsändaren och ligger kvar här. Rätta mejlservern eller brevlådan; leveransen kan sedan startas om.",
                "The message is acknowledged to its sender and kept here. Mend the mail server or the mailbox; the delivery can then be started again.",
            ),
            Self::Returned => (
                "Mejlservern tog emot meddelandet men kunde sedan inte leverera det till brevlådan, så ingen har läst det. Det är kvitterat mot avsändaren och ligger kvar här. Rätta brevlådan och se till att ärendet når rätt handläggare; be annars avsändaren att skicka på nytt.",
                "The mail server took the message but could not deliver it to the mailbox, so nobody has read it. It is acknowledged to its sender and kept here. Mend the mailbox and see that the matter reaches the right person; or ask the sender to send it again.",
            ),
            Self::NoReceipt => (
                "Mottagarens accesspunkt har tagit emot meddelandet men ingen meddelandekvittens har kommit. Avsändaren har fått besked. Kontakta mottagarens drift om det upprepas.",
                "The receiver's access point took the message, but no message receipt came. The sender has been told. Contact the receiver's operations if it recurs.",
            ),
            Self::Unsent => (
                "Mottagarens accesspunkt eller adressuppgifter gick inte att nå i tid, eller så tog accesspunkten inte emot meddelandet. Avsändaren har fått besked. Kontakta mottagarens accesspunktsoperatör om det upprepas.",
                "The receiver's access point or its address data were not reached in time, or the access point did not take the message. The sender has been told. Contact the operator of the receiver's access point if it recurs.",
            ),
            Self::StrayReceipt => (
                "En kvittens hör inte till något meddelande härifrån, eller säger emot en tidigare. Den har sparats men ändrar ingenting.",
                "A receipt belongs to no message from here, or contradicts an earlier one. It was kept and changes nothing.",
            ),
            Self::Certificate => (
                "Ett certifikat har gått ut, är spärrat eller okänt. Meddelanden som behöver det stoppas tills det är bytt.",
                "A certificate has expired, is revoked or unknown. Messages that need it stop until it is replaced.",
            ),
            Self::Expiry => (
                "Ett certifikat eller en spärrlista går ut inom kort. När det har hänt slutar meddelanden att gå fram. Beställ ett nytt certifikat i god tid och byt det stegvis; handboken docs/certificates.md säger hur.",
                "A certificate or a revocation list ends soon. After that, messages stop. Order a new certificate in good time and change it step by step; the manual docs/certificates.md says how.",
            ),
            Self::OutboxUnread => (
                "Mejl som läggs i utkorgen skickas inte till SDK förrän brevlådan går att nå igen. De ligger kvar i utkorgen. Kontrollera mejlservern, inloggningen och behörigheten till brevlådan.",
                "Mails that are put into the outbox folder are not sent to SDK until the mailbox can be reached again. They stay in the folder. Check the mail server, the login and the rights to the mailbox.",
            ),
            Self::Loop => (
                "Två funktioner, en här och en hos en annan organisation, svarar varandra tätare än människor gör. Våra meddelanden mellan dem hålls kvar och går sedan iväg av sig själva, ett i taget; det som kommer in tas emot som vanligt. Ta reda på vilken brevlåda som svarar automatiskt och stäng av det.",
                "Two functions, one here and one of another organisation, answer each other faster than people do. Our messages between them are held and then go out by themselves, one by one; what comes in is taken as ever. Find out which mailbox answers by itself, and turn that off.",
            ),
            Self::Malware => (
                "Skadlig kod hittades i ett mejl på väg ut eller i ett mottaget meddelande. Det har avvisats, avsändaren har fått besked och innehållet finns inte kvar här. Hantera det som en säkerhetsincident enligt organisationens rutiner.",
                "Malware was found in a mail on its way out or in a message that came in. It was rejected, its sender has been told, and its content is not kept here. Handle it as a security incident by the organisation's routines.",
            ),
            Self::Scanner => (
                "Mejl och meddelanden kan inte kontrolleras mot skadlig kod. Om inget annat är inställt stoppas utgående mejl tillfälligt och inkommande meddelanden väntar utan att kvitteras. Se till att clamd är igång; det som väntar går sedan vidare av sig självt.",
                "Mails and messages cannot be looked into for malware. Unless it is configured otherwise, outgoing mails are refused for the time being and incoming messages wait without a receipt. See to it that clamd runs; what waits then goes on by itself.",
            ),
            Self::LimitReached => (
                "Den som har nått gränsen får vänta: mejl skjuts upp av mejlservern eller ligger kvar i utkorgen, och andra accesspunkter försöker igen. Inget går förlorat och övriga påverkas inte. Ta reda på varför det har blivit så mycket; är det som det ska vara kan gränsen höjas. Ett nytt mejl kommer när det är över. Fler besked kommer inte under tiden.",
                "Whoever has reached the limit has to wait: mails are put off by the mail server or stay in the outbox folder, and other access points try again. Nothing is lost, and the others are not affected. Find out why it has become so much; if it is as it should be, the limit can be raised. Another mail comes when it is over, and none until then.",
            ),
            Self::LimitOver => ("Det som sköts upp kommer in igen av sig självt.", "What was put off comes in again by itself."),
            Self::DestinationDown => (
                "Servern nedan har inte svarat på länge. Allt som ska dit väntar och går iväg av sig självt när den svarar igen; servern provas med några minuters mellanrum. Är det er egen mejlserver: åtgärda den. Är det en annan organisations accesspunkt: kontakta dess operatör om det drar ut på tiden. Är det DNS eller en SMP: se till att gatewayen når ut.",
                "The server below has not answered for long. All that is for it waits and goes by itself when it answers again; it is tried every few minutes. If it is your own mail server, mend it. If it is another organisation's access point, contact its operator if it lasts. If it is DNS or an SMP, see to it that the gateway gets out.",
            ),
            Self::DestinationBack => (
                "Servern nedan svarar igen. Det som har väntat går iväg i tur och ordning, långsamt i början. Ingenting behöver göras.",
                "The server below answers again. What has waited goes in its order, slowly at first. Nothing needs to be done.",
            ),
            Self::Fault => (
                "Inget meddelande har gått förlorat; steget görs om. Felanmäl om det upprepas.",
                "No message was lost; the step is repeated. Report it if it recurs.",
            ),
            Self::Space => (
                "Det är mindre ledigt utrymme där state-dir ligger än vad som ska hållas fritt (store.reserve). Nya mejl och meddelanden tas inte emot; mejlservern och andra accesspunkter försöker igen senare, så inget går förlorat. Det som redan är mottaget hanteras som vanligt så länge det går. Frigör utrymme; därefter fortsätter allt av sig självt.",
                "Less space is free where state-dir is than is to be kept (store.reserve). New mails and messages are not taken in; the mail server and other access points try again later, so nothing is lost. What was taken in is handled as ever, as long as that is possible. Make room; then all goes on by itself.",
            ),
            Self::Standstill => (
                "Under en tid gick det inte att skriva till disken där state-dir ligger eller att nå databasen, så inga mejl eller meddelanden kunde tas emot eller skickas. Nu fungerar det igen. Inget som har kvitterats har gått förlorat. Ta reda på vad disken eller databasen råkade ut för, annars kan det hända igen.",
                "For a time the disk with state-dir could not be written or the database not be reached, so no mail or message could be taken in or sent. It works again. Nothing that was acknowledged is lost. Find out what happened to the disk or the database, or it may happen again.",
            ),
        }
    }
}

/// Everything that an alarm says.
#[derive(Debug, Clone)]
pub struct Alarm<'a> {
    /// Why.
    pub cause: Cause,
    /// The mail's own id.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Where the operator is.
    pub zone: &'a TimeZone,
    /// The gateway's mail domain.
    pub gateway: &'a Domain,
    /// The operator.
    pub to: &'a MailAddress,
    /// What failed, in English, as the log has it; names things, quotes nothing.
    pub what: &'a str,
    /// Ids, with their names: message, conversation, participants, access points.
    pub facts: &'a [(&'a str, String)],
}

/// Composes the mail, the same bytes each time. An operator's address that is not ASCII is written as it is and needs SMTPUTF8.
#[must_use]
pub fn compose(alarm: &Alarm<'_>) -> Vec<u8> {
    let (title, english_title) = alarm.cause.title();
    let (advice, english_advice) = alarm.cause.advice();
    let mut facts = format!("Tid / time: {}\n", local_time(alarm.at, alarm.zone));
    for (name, value) in alarm.facts {
        facts.extend([&words::one_line(name), ": ", words::cut(&words::one_line(value), 512), "\n"]);
    }
    let text = format!(
        "{title}\n\n{advice}\n\n----------------------------------------\n{english_title}\n\n{english_advice}\n\n----------------------------------------\n{}\n\n{}",
        words::cut(&words::one_line(alarm.what), 2000),
        facts.trim_end(),
    );
    let mut out = Vec::new();
    MessageBuilder::new()
        .header("Date", Date::new(alarm.at.as_second()))
        .header("From", Address::new_address(Some("brevbro"), format!("postmaster@{}", alarm.gateway)))
        .header("To", Address::new_address(None::<&str>, alarm.to.as_str()))
        .header("Subject", Text::new(format!("[brevbro] {title} / {english_title}")))
        .header("Message-ID", IdList::new(format!("larm-{}@{}", alarm.id, alarm.gateway.folded())))
        .header("Auto-Submitted", Raw::new("auto-generated"))
        .header("X-Auto-Response-Suppress", Raw::new("All"))
        .header("MIME-Version", Raw::new("1.0"))
        .body(mime::text("text/plain", &text))
        .serialize(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_every_alarm() {
        let texts: Vec<String> = Cause::ALL
            .iter()
            .map(|cause| {
                let ((title, english_title), (advice, english_advice)) = (cause.title(), cause.advice());
                format!("{title} / {english_title}\n{advice}\n{english_advice}\n")
            })
            .collect();
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn an_alarm_is_a_mail_to_the_operator() {
        let mail = compose(&Alarm {
            cause: Cause::MailRefused,
            id: Uuid::from_u128(9),
            at: "2026-03-04T09:00:00Z".parse().unwrap(),
            zone: &TimeZone::UTC,
            gateway: &Domain::new("sdk.habo.se").unwrap(),
            to: &MailAddress::new("drift@habo.se").unwrap(),
            what: "the mail server refused the mail: 550 5.1.1\r\nX: y",
            facts: &[("message-id", "7bc5576a-3f87-4cf5-a0c5-277da06fcacb".to_owned())],
        });
        insta::assert_snapshot!(String::from_utf8(mail).unwrap().replace("\r\n", "\n"));
    }
}
