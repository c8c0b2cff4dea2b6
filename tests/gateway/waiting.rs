//! Mailboxes that are only told of a message: what the notice says, who reads, and what becomes of what nobody reads.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use brevbro::content::File;
use brevbro::event::{EventName, Field};
use brevbro::ident::RecordId;
use brevbro::inbound::read::Reader;
use brevbro::sdk::receipt::Outcome;

use crate::harness::client::submit;
use crate::harness::peer::Draft;
use crate::harness::{Gateway, Letter, Peer, Setup, mail, run, wait_for, world};

const SECRET: [&str; 4] = ["Kanariefagel4711", "Hemligt-arende", "hemlig-bilaga", "Anna Hemlig"];

fn setup(name: &str, mailbox: &'static str) -> Setup {
    Setup { mailbox, root: "reading-url = \"https://gw.example.se/las\"", ..Setup::new(name) }
}

fn secret(gateway: &Gateway, peer: &Peer) -> Draft {
    let mut draft = peer.draft(gateway);
    draft.content.label = Some(SECRET[1].to_owned().into());
    draft.content.documents[0].texts = vec![SECRET[0].to_owned().into()];
    draft.content.documents[0].files.push(File {
        name: format!("{}.txt", SECRET[2]).into(),
        media_type: "text/plain".into(),
        body: SECRET[0].as_bytes().to_vec().into(),
    });
    draft.content.sender.persons.push(brevbro::content::Person { id: None, label: Some(SECRET[3].to_owned().into()) });
    draft.rewrite();
    draft
}

fn tells_nothing(letter: &Letter) {
    for word in SECRET {
        assert!(!letter.text.contains(word), "{word} in {}", letter.text);
    }
    assert!(letter.text.contains("https://gw.example.se/las") && letter.text.contains("Sekretess: Ja"), "{}", letter.text);
    assert_eq!(letter.line("Sensitivity:"), Some("Company-Confidential"));
    assert_eq!(letter.line("Auto-Submitted:"), Some("auto-generated"));
}

/// The record of the only message that nobody has read.
async fn unread(gateway: &Gateway) -> RecordId {
    let inner = gateway.daemon.gateway.mail().unwrap();
    let (organisation, function) = (gateway.participant.clone(), "inkorg".parse().unwrap());
    wait_for("an unread message", || async {
        let unread = inner.unread(&organisation, &function).await.unwrap();
        (unread.len() == 1).then(|| unread[0].taken.arrival.record)
    })
    .await
}

#[test]
fn a_mailbox_is_told_and_the_message_is_read_in_the_gateway_by_somebody_who_is_noted() {
    run(async {
        let gateway = Gateway::start(setup("waiting-read", "delivery = \"notice\"")).await;
        let peer = Peer::start("waiting-read-peer").await;
        let draft = secret(&gateway, &peer);
        peer.send(&gateway, &draft).await.acknowledged();
        assert_eq!(peer.receipt(0).await.outcome, Outcome::Accepted);
        let notice = gateway.delivery().await;
        tells_nothing(&notice);
        let record = unread(&gateway).await;
        gateway.quiet().await;
        assert_eq!(gateway.events(EventName::Delivered).await, []);

        // An answer to the notice is one to the message.
        let id = notice.text.split_once("Message-ID: <").unwrap().1.split_once('>').unwrap().0.to_owned();
        let references = format!("<{}@{}>", draft.header.id, gateway.domain);
        assert!(notice.text.contains(&references) && !references.contains(&id), "{}", notice.text);
        let answer = mail(&gateway.mailbox, "answer", "Tack.");
        let answer = answer.replace("Subject: Prov", &format!("Subject: SV: Prov\r\nIn-Reply-To: <{id}>\r\nReferences: {references} <{id}>"));
        let to = gateway.address_of("avdelningen", &peer.name);
        assert!(submit(&gateway, &[&to], "", &answer).await.starts_with("250"));
        assert_eq!(peer.message(0).await.in_reply_to.as_ref(), Some(&draft.header.id));

        let inner = gateway.daemon.gateway.mail().unwrap();
        for (number, name) in ["anna.ek@habo.se", "bo.al@habo.se"].into_iter().enumerate() {
            let content = inner.read_message(record, &Reader::new(name).unwrap()).await.unwrap().unwrap();
            assert_eq!(content.documents, draft.content.documents);
            let event = gateway.nth_event(EventName::MessageRead, number).await;
            assert_eq!((event.fields[&Field::Reader].as_str(), event.record), (name, Some(record)));
            assert_eq!(event.fields[&Field::MessageId], draft.header.id.to_string());
        }
        assert_eq!(inner.unread(&gateway.participant, &"inkorg".parse().unwrap()).await.unwrap(), []);
        let nobody = inner.read_message(RecordId(uuid::Uuid::nil()), &Reader::new("x").unwrap()).await.unwrap();
        assert_eq!(nobody, None);
        gateway.stop().await;
    });
}

#[test]
fn who_has_not_read_is_reminded_once_and_gets_the_message_when_the_mailbox_takes_mail_again() {
    run(async {
        let mut gateway = Gateway::start(setup("waiting-remind", "delivery = \"notice\"\nremind-after = \"1s\"")).await;
        let peer = Peer::start("waiting-remind-peer").await;
        let draft = secret(&gateway, &peer);
        peer.send(&gateway, &draft).await.acknowledged();
        let told = |letter: &Letter| letter.text.contains("avisering-");
        let notice = gateway.sink.letter("a notice", told).await;
        let reminder = gateway.sink.letter("a reminder", |letter| letter.text.contains("Message-ID: <paminnelse-")).await;
        for letter in [&notice, &reminder] {
            tells_nothing(letter);
        }
        gateway.nth_event(EventName::Noticed, 1).await;
        gateway.quiet().await;
        assert_eq!(gateway.delivered().len(), 2);
        let record = unread(&gateway).await;

        // Read in time, nobody is reminded.
        let second = secret(&gateway, &peer);
        peer.send(&gateway, &second).await.acknowledged();
        let own = format!("Message-ID: <avisering-{}@", second.header.id);
        gateway.sink.letter("the second notice", |letter| letter.text.contains(&own)).await;
        let inner = gateway.daemon.gateway.mail().unwrap();
        wait_for("a message to read", || async {
            let unread = inner.unread(&gateway.participant, &"inkorg".parse().unwrap()).await.unwrap();
            let of = unread.iter().find(|unread| unread.taken.arrival.envelope_id == second.header.id)?;
            let read = inner.read_message(of.taken.arrival.record, &Reader::new("anna.ek").unwrap()).await.unwrap();
            assert!(read.is_some());
            Some(())
        })
        .await;
        gateway.quiet().await;
        assert_eq!(unread(&gateway).await, record);

        gateway = gateway.restart_in(world().await, setup("waiting-remind", "delivery = \"full\"")).await;
        let whole = gateway.sink.letter("the message", |letter| letter.text.contains(&format!("Message-ID: <{}@", draft.header.id))).await;
        assert!(whole.text.contains(SECRET[0]) && whole.line("Auto-Submitted:").is_none(), "{}", whole.text);
        gateway.event(EventName::Delivered).await;
        gateway.quiet().await;
        let whole = gateway.delivered().iter().filter(|letter| letter.text.contains(SECRET[0])).count();
        assert_eq!(whole, 1, "what was read here is not delivered");
        gateway.stop().await;
    });
}
