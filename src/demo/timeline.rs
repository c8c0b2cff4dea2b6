//! The timeline: the journals of both gateways, as they grow, in the terminal and as JSON.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::event::{Event, EventName, Field};
use crate::port::{Store, StoreError};

/// One gateway whose journal is followed.
struct Followed {
    name: &'static str,
    store: Arc<dyn Store>,
    next: u64,
}

/// Follows journals and prints what they say.
pub(super) struct Timeline {
    began: Timestamp,
    followed: Vec<Followed>,
    lines: Vec<(Timestamp, &'static str, Event)>,
    shown: usize,
}

impl Timeline {
    /// A timeline that begins at zero.
    #[must_use]
    pub(super) fn new(began: Timestamp) -> Self {
        Self { began, followed: Vec::new(), lines: Vec::new(), shown: 0 }
    }

    /// Follows a gateway's journal from its first line.
    pub(super) fn follow(&mut self, name: &'static str, store: Arc<dyn Store>) {
        self.followed.push(Followed { name, store, next: 0 });
    }

    /// Reads what is new and prints it to `out`.
    ///
    /// # Errors
    /// [`StoreError`] when a journal cannot be read.
    pub(super) async fn catch_up(&mut self, out: &mut (dyn Write + Send)) -> Result<(), StoreError> {
        let mut fresh = Vec::new();
        for followed in &mut self.followed {
            for (line, event) in followed.store.audit(followed.next, 1_000).await? {
                followed.next = line + 1;
                fresh.push((event.at, followed.name, event));
            }
        }
        fresh.sort_by_key(|(at, ..)| *at);
        self.lines.extend(fresh);
        for (at, name, event) in self.lines.iter().skip(self.shown) {
            // A closed pipe is no reason to fail.
            drop(writeln!(out, "{}", line(self.began, *at, name, event)));
        }
        self.shown = self.lines.len();
        Ok(())
    }

    /// The events of one name at one gateway.
    pub(super) fn events<'a>(&'a self, gateway: &'a str, name: EventName) -> impl Iterator<Item = &'a Event> {
        self.lines.iter().filter(move |(_, at, event)| *at == gateway && event.name == name).map(|(.., event)| event)
    }

    /// Everything, as JSON: milliseconds from the start and since the event before.
    #[must_use]
    pub(super) fn to_json(&self) -> Value {
        let mut before = self.began;
        let lines = self.lines.iter().map(|(at, gateway, event)| {
            let line = json!({
                "gateway": gateway,
                "ms": at.duration_since(self.began).as_millis(),
                "since-last-ms": at.duration_since(before).as_millis(),
                "event": event,
            });
            before = *at;
            line
        });
        Value::Array(lines.collect())
    }
}

fn line(began: Timestamp, at: Timestamp, gateway: &str, event: &Event) -> String {
    let ms = at.duration_since(began).as_millis();
    let mut text = format!("{:>7.3} s  {gateway:<22} {:<44}", ms_as_seconds(ms), words(event.name));
    let fields = [
        (Field::MessageId, "meddelande"),
        (Field::As4MessageId, "AS4"),
        (Field::ReceiptCode, "kvittens"),
        (Field::PeerAccessPoint, "motpart"),
        (Field::Function, "funktion"),
        (Field::Size, "byte"),
        (Field::Cause, "orsak"),
    ];
    for (field, label) in fields {
        if let Some(value) = event.fields.get(&field) {
            let short: String = match field {
                Field::MessageId | Field::As4MessageId => value.chars().take(8).collect(),
                _ => value.chars().take(60).collect(),
            };
            let _ = write!(text, "  {label} {short}");
        }
    }
    text
}

fn ms_as_seconds(ms: i128) -> f64 {
    f64::from(i32::try_from(ms).unwrap_or(i32::MAX)) / 1000.0
}

/// What an event is called, in Swedish.
fn words(name: EventName) -> &'static str {
    match name {
        EventName::Started => "startad",
        EventName::MailAccepted => "mejlet mottaget",
        EventName::MailDropped => "automatiskt mejl, kastat",
        EventName::MailRepeated => "samma mejl igen",
        EventName::Addressed => "mottagaren funnen i DNS och SMP",
        EventName::Sealed => "kuvertet förseglat",
        EventName::Submitted => "AS4-meddelandet signerat och krypterat",
        EventName::SendDeferred => "sändningen försöks igen",
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
        EventName::Taken => "meddelandet öppnat, giltigt och lagrat",
        EventName::TurnedAway => "meddelandet avvisat",
        EventName::Discarded => "kuvertet raderat",
        EventName::ReceiptSent => "meddelandekvittensen framme",
        EventName::Delivered => "levererat som mejl",
        EventName::DeliveryDeferred => "leveransen försöks igen",
        EventName::PossibleDuplicate => "kanske levererat två gånger",
        EventName::Alarmed => "driften larmad",
        EventName::Faulted => "fel",
    }
}
