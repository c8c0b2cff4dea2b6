//! A life in words, one line for each event, and as JSON.

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::search::{End, Life, Seen};
use crate::event::{Field, Language};

/// How lives are shown.
pub(super) struct Printing {
    pub(super) language: Language,
    pub(super) zone: TimeZone,
}

impl Printing {
    /// For people.
    pub(super) fn words(&self, out: &mut impl Write, life: &Life) -> io::Result<()> {
        let language = self.language;
        let message = life.message.as_deref().unwrap_or_else(|| language.of("utan messageId", "without messageId"));
        writeln!(out, "{} {message}", language.of("Meddelande", "Message"))?;
        let ids = [
            (Field::Sender, "från", "from"),
            (Field::Recipient, "till", "to"),
            (Field::OriginalSender, "avsändande organisation", "sending organisation"),
            (Field::FinalRecipient, "mottagande organisation", "receiving organisation"),
            (Field::Function, "funktion", "function"),
            (Field::ConversationId, "konversation", "conversation"),
            (Field::MailMessageId, "Message-ID", "Message-ID"),
            (Field::As4MessageId, "AS4 MessageId", "AS4 MessageId"),
        ];
        for (field, swedish, english) in ids {
            if let Some(value) = life.field(field) {
                writeln!(out, "  {}: {value}", language.of(swedish, english))?;
            }
        }
        for seen in &life.events {
            writeln!(out, "  {}", self.line(seen))?;
        }
        for end in life.ends() {
            writeln!(out, "  {}", self.end(&end))?;
        }
        writeln!(out)
    }

    fn line(&self, Seen { side, found }: &Seen) -> String {
        let event = &found.event;
        let whose = event.organisation.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        // Two journals have two line 7.
        let journal = if *side == 0 { "" } else { self.language.of("andra sidans ", "other side's ") };
        let next = event.fields.get(&Field::NextAttempt).and_then(|next| next.parse::<Timestamp>().ok());
        let next = next.map_or_else(String::new, |next| format!(", {} {}", self.language.of("nästa försök", "next attempt"), self.time(next)));
        let place = self.language.of("rad", "line");
        format!("{}  {whose}  {}{next}  [{journal}{place} {}]", self.time(event.at), event.told(self.language), found.line)
    }

    fn end(&self, end: &End) -> String {
        let language = self.language;
        let whose = end.organisation.as_ref().map_or_else(|| language.of("okänd", "unknown").to_owned(), ToString::to_string);
        let next = end.next.as_ref().and_then(|next| next.parse::<Timestamp>().ok());
        let next = next.map_or_else(String::new, |next| format!("; {} {}", language.of("nästa försök", "next attempt"), self.time(next)));
        format!(
            "=> {} {whose}: {}, {} {}{next}. {}: {}.",
            language.of("Läget hos", "State at"),
            end.standing.in_words(language),
            language.of("sedan", "since"),
            self.time(end.since),
            language.of("Den som ska göra något", "Who has to act"),
            end.standing.who.in_words(language),
        )
    }

    fn time(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}

/// One JSON object, in a line.
pub(super) fn json(out: &mut impl Write, life: &Life) -> io::Result<()> {
    let events: Vec<_> = life
        .events
        .iter()
        .map(|Seen { side, found }| json!({ "side": side, "line": found.line, "number": found.number, "event": found.event }))
        .collect();
    let ends: Vec<_> = life
        .ends()
        .iter()
        .map(|end| {
            json!({
                "organisation": end.organisation,
                "state": end.standing.by,
                "swedish": end.standing.swedish,
                "english": end.standing.english,
                "who": end.standing.who,
                "since": end.since,
                "next_attempt": end.next,
            })
        })
        .collect();
    serde_json::to_writer(&mut *out, &json!({ "message_id": life.message, "events": events, "ends": ends }))?;
    writeln!(out)
}
