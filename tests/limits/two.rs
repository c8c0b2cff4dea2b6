//! One gateway with two organisations: the one that is limited, and another beside it.

use brevbro::event::{Event, EventName};
use brevbro::ident::ParticipantId;

use crate::gateway::harness::{Client, Gateway, Setup, mail, world};

/// The gateway and its second organisation.
pub struct Two {
    pub gateway: Gateway,
    pub other: ParticipantId,
    /// The other's function mailbox.
    pub mailbox: String,
}

/// A mail's text with its long lines whole again (RFC 2045 6.7).
pub fn whole(text: &str) -> String {
    text.replace("=\r\n", "").replace("=\n", "")
}

/// A gateway of this name; `limits` are lines of the first organisation, after its mailbox.
pub async fn setup(name: &str, limits: &str) -> Setup {
    let own = &world().await.own;
    let (key, password) = (own.pkcs12.display(), own.password_file.display());
    let lines = format!(
        r#"{limits}
[[organisation]]
participant = "0203:{name}-b.se"
name = "Kommunen bredvid"
key = "{key}"
key-password-file = "{password}"

[[organisation.mailbox]]
address = "inkorg@{name}-b.se"
function = "inkorg"
label = "Inkorgen"
"#
    );
    Setup { mailbox: Box::leak(lines.into_boxed_str()), ..Setup::new(name) }
}

impl Two {
    pub async fn start(setup: Setup) -> Self {
        let name = setup.name.clone();
        let gateway = Gateway::start(setup).await;
        let world = world().await;
        let participant = format!("0203:{name}-b.se");
        world.register(&participant, &gateway.endpoint, &world.own_point, &world.own);
        Self { gateway, other: participant.parse().unwrap(), mailbox: format!("inkorg@{name}-b.se") }
    }

    /// Submits a mail of one of the mailboxes; the reply to it, or to what was refused before.
    pub async fn submit(&self, from: &str, to: &str, id: &str) -> String {
        let mut client = Client::connect(&self.gateway).await;
        let reply = client.say(&format!("MAIL FROM:<{from}>")).await;
        if !reply.starts_with("250") {
            client.say("QUIT").await;
            return reply;
        }
        let rcpt = client.say(&format!("RCPT TO:<{to}>")).await;
        assert!(rcpt.starts_with("250"), "{rcpt}");
        let reply = client.data(&mail(from, id, "Hej")).await;
        client.say("QUIT").await;
        reply
    }

    /// What the journal says of limits.
    pub async fn limits(&self, name: EventName) -> Vec<Event> {
        self.gateway.events(name).await
    }

    /// How many mails about limits the operator got.
    pub fn alarms(&self) -> usize {
        let about = |text: &str| text.contains("docs/limits.md") || text.contains("below a limit again") || text.contains("turned away");
        self.gateway.sink.letters().iter().filter(|letter| letter.to == self.gateway.operator && about(&whole(&letter.text))).count()
    }
}
