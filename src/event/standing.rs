//! How a message stands after its last decisive event, and who has to do something.

use super::words::Language;
use super::{Event, EventName};

/// Who has to do something now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// Nobody: it is over.
    Nobody,
    /// The gateway, by itself.
    Gateway,
    /// The operator of the gateway.
    Operator,
    /// The other organisation or its access point.
    OtherSide,
    /// Whoever runs the mail server.
    MailServer,
    /// Whoever reads the mailbox.
    Recipient,
    /// Whoever wrote it.
    Sender,
}

impl Who {
    /// In words.
    #[must_use]
    pub const fn in_words(self, language: Language) -> &'static str {
        let (swedish, english) = match self {
            Self::Nobody => ("ingen", "nobody"),
            Self::Gateway => ("gatewayen, av sig själv", "the gateway, by itself"),
            Self::Operator => ("den som driver gatewayen", "the operator of the gateway"),
            Self::OtherSide => ("den andra organisationen eller dess accesspunkt", "the other organisation or its access point"),
            Self::MailServer => ("den som driver mejlservern", "whoever runs the mail server"),
            Self::Recipient => ("den som läser brevlådan", "whoever reads the mailbox"),
            Self::Sender => ("avsändaren", "the sender"),
        };
        language.of(swedish, english)
    }
}

/// How a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The event that says so.
    pub by: EventName,
    /// In Swedish.
    pub swedish: &'static str,
    /// In English.
    pub english: &'static str,
    /// Who has to do something.
    pub who: Who,
}

impl Standing {
    /// After these events, oldest first; none when no event decides anything.
    #[must_use]
    pub fn after<'a>(events: impl DoubleEndedIterator<Item = &'a Event>) -> Option<Self> {
        events.rev().find_map(|event| Self::of(event.name))
    }

    /// What an event decides.
    fn of(name: EventName) -> Option<Self> {
        use EventName as E;
        let (swedish, english, who) = match name {
            E::MailAccepted | E::Released => ("väntar på att krypteras", "waits to be sealed", Who::Gateway),
            E::Held => (
                "hålls kvar en tid, eftersom två funktioner svarar varandra för tätt",
                "held for a while: two functions answer each other too fast",
                Who::Gateway,
            ),
            E::Addressed | E::Sealed | E::Submitted => ("på väg till mottagarens accesspunkt", "on its way to the other access point", Who::Gateway),
            E::SendDeferred => (
                "mottagarens accesspunkt går inte att nå; gatewayen försöker igen",
                "the other access point cannot be reached; the gateway tries again",
                Who::OtherSide,
            ),
            E::Acknowledged => (
                "framme hos mottagarens accesspunkt; väntar på organisationens kvittens",
                "with the other access point; waits for the organisation's receipt",
                Who::OtherSide,
            ),
            E::Accepted => ("framme: mottagarens organisation har accepterat det", "arrived: the other organisation accepted it", Who::Nobody),
            E::Rejected => (
                "avvisat av mottagarens organisation; avsändaren har fått veta varför",
                "rejected by the other organisation; the sender was told why",
                Who::Sender,
            ),
            E::ExchangeFailed => (
                "slut utan besked; avsändaren och driften har fått veta det",
                "ended without an answer; the sender and the operator were told",
                Who::Operator,
            ),
            E::LateReceipt => {
                ("slut utan besked i tid, men en kvittens kom sedan", "ended without an answer in time, but a receipt came later", Who::Nobody)
            }
            E::Received => ("mottaget av accesspunkten; väntar på att öppnas", "taken by the access point; waits to be opened", Who::Gateway),
            E::Opened => ("kvittensen är läst", "the receipt is read", Who::Nobody),
            E::Postponed => ("väntar på något utanför gatewayen; nytt försök görs", "waits for something outside; it is tried again", Who::Gateway),
            E::Taken => ("öppnat och sparat; ska lämnas till mejlservern", "opened and kept; to be handed to the mail server", Who::Gateway),
            E::TurnedAway => (
                "avvisat av oss; avsändarens organisation har fått kvittensen",
                "rejected by us; the sender's organisation has our receipt",
                Who::OtherSide,
            ),
            E::Discarded | E::Refused => ("raderat utan att öppnas; se orsaken", "deleted unopened; see the cause", Who::Operator),
            E::ReceiptSent => ("vår kvittens är framme", "our receipt has arrived", Who::Nobody),
            E::Delivered => ("levererat till mejlservern", "delivered to the mail server", Who::Nobody),
            E::Noticed => ("väntar i gatewayen på att läsas", "waits in the gateway to be read", Who::Recipient),
            E::MessageRead => ("läst", "read", Who::Nobody),
            E::DeliveryDeferred => {
                ("mejlservern tar inte emot; gatewayen försöker igen", "the mail server does not take it; the gateway tries again", Who::MailServer)
            }
            E::Returned => (
                "tillbaka från mejlservern; meddelandet finns kvar i gatewayen",
                "given back by the mail server; the message is kept in the gateway",
                Who::Operator,
            ),
            E::Faulted => ("stoppat av ett fel; se orsaken", "stopped by a fault; see the cause", Who::Operator),
            E::MailDropped => ("slängt: automatiska mejl skickas inte vidare", "dropped: automatic mails go no further", Who::Nobody),
            E::LoopStopped | E::MailRefused => ("avvisat; den som skickade det har fått veta det", "refused; who sent it was told", Who::Sender),
            E::Resent | E::TriedNow => ("försöks igen på begäran av driften", "tried again at an operator's word", Who::Gateway),
            E::Cancelled => ("stoppat av driften innan det skickades", "stopped by an operator before it was sent", Who::Nobody),
            E::Redelivered => ("levereras en gång till", "to be delivered once more", Who::Gateway),
            E::Handled => ("omhändertaget av driften", "seen to by an operator", Who::Nobody),
            _ => return None,
        };
        Some(Self { by: name, swedish, english, who })
    }

    /// In words.
    #[must_use]
    pub const fn in_words(self, language: Language) -> &'static str {
        language.of(self.swedish, self.english)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn the_last_decisive_event_says_how_it_stands() {
        let events = [EventName::MailAccepted, EventName::Acknowledged, EventName::Rejected, EventName::NoticeSent];
        let events = events.map(|name| Event::new(Timestamp::UNIX_EPOCH, name));
        let standing = Standing::after(events.iter()).unwrap();
        assert_eq!((standing.by, standing.who), (EventName::Rejected, Who::Sender));
        assert_eq!(Standing::after([Event::new(Timestamp::UNIX_EPOCH, EventName::Started)].iter()), None);
    }
}
