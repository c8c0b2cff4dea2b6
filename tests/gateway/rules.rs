//! SDK B1.3.3 5.3 row by row: which event gives which receipt, and which gives none, over the whole way in.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use brevbro::content::File;
use brevbro::crypto::{encrypt_element, sign_enveloped};
use brevbro::event::{EventName, Field};
use brevbro::ident::MessageId;
use brevbro::sdk::receipt::Outcome;
use brevbro::testbed::Subject;

use crate::harness::peer::{Draft, Package};
use crate::harness::{Gateway, Peer, Setup, run, world};

/// Stands in every message wherever a person writes.
const CANARY: &str = "Kanariefagel4711";

/// Code, detail and place of a line.
type Line = (&'static str, &'static str, &'static str);

const FUNCTION: &str = "/messagePayload/message/messageHeader/recipient/attention/subOrganization/organizationId";

/// A message that is what it should be, with everything that a person may write.
fn sound(gateway: &Gateway, peer: &Peer) -> Draft {
    let mut draft = peer.draft(gateway);
    let text = |text: String| -> brevbro::content::Redacted<String> { text.into() };
    draft.content.label = Some(text(CANARY.into()));
    draft.content.sender.label = Some(text(format!("Kommunen {CANARY}")));
    draft.content.documents[0].name = Some(text(format!("Brev {CANARY}")));
    draft.content.documents[0].texts = vec![text(format!("Hej {CANARY}"))];
    draft.rewrite();
    draft
}

fn with_file(draft: &mut Draft, media_type: &str) {
    let file = File { name: format!("{CANARY}.bin").into(), media_type: media_type.into(), body: CANARY.as_bytes().to_vec().into() };
    draft.content.documents[0].files.push(file);
    draft.rewrite();
}

/// The signature of a sealed envelope: where it begins and ends.
fn signature(envelope: &str) -> (usize, usize) {
    (envelope.find("<ds:Signature").unwrap(), envelope.find("</ds:Signature>").unwrap() + "</ds:Signature>".len())
}

fn packed(draft: &Draft, envelope: &str) -> Package {
    draft.package_of(&mut envelope.as_bytes())
}

/// The payload in clear, signed as it should be.
fn in_clear(draft: &Draft) -> String {
    let sealed = String::from_utf8(draft.envelope()).unwrap();
    let (from, to) = signature(&sealed);
    let (start, end) = (sealed.find("<xenc:EncryptedData").unwrap(), sealed.find("</xenc:EncryptedData>").unwrap() + "</xenc:EncryptedData>".len());
    let payload = String::from_utf8(draft.payload.clone()).unwrap();
    let element = &payload[payload.find("<messagePayload").unwrap()..];
    let unsigned = format!("{}{element}{}{}", &sealed[..start], &sealed[end..from], &sealed[to..]);
    let unsigned = unsigned.replace("InstanceEncryptionIndicator>true", "InstanceEncryptionIndicator>false");
    String::from_utf8(sign_enveloped(unsigned.as_bytes(), &draft.signer).unwrap()).unwrap()
}

struct Bench {
    gateway: Gateway,
    peer: Peer,
    receipts: usize,
    alarms: usize,
}

impl Bench {
    async fn new(name: &str) -> Self {
        let setup = Setup { mailbox: "file-types = [\"application/pdf\"]", ..Setup::new(name) };
        Self { gateway: Gateway::start(setup).await, peer: Peer::start(&format!("{name}-peer")).await, receipts: 0, alarms: 0 }
    }

    fn sound(&self) -> Draft {
        sound(&self.gateway, &self.peer)
    }

    /// The message gets a receipt with exactly these lines, in any order; none for ACCEPTED.
    async fn told(&mut self, what: &str, draft: &Draft, package: Package, expected: &[Line]) {
        self.peer.push(&self.gateway, &package).await.acknowledged();
        let receipt = self.peer.receipt(self.receipts).await;
        self.receipts += 1;
        assert_eq!(receipt.refers_to, draft.header.id, "{what}");
        let mut lines = match &receipt.outcome {
            Outcome::Accepted => Vec::new(),
            Outcome::Rejected(lines) => lines.iter().map(|l| (l.code.as_str(), l.detail.as_str().unwrap(), l.line.as_str())).collect(),
        };
        let mut expected = expected.to_vec();
        lines.sort_unstable();
        expected.sort_unstable();
        assert_eq!(lines, expected, "{what}");
        assert_eq!(receipt.outcome == Outcome::Accepted, expected.is_empty(), "{what}");
        assert!(!format!("{receipt:?}").contains(CANARY), "{what}: {receipt:?}");
    }

    async fn draft(&mut self, what: &str, draft: &Draft, expected: &[Line]) {
        self.told(what, draft, draft.package(), expected).await;
    }

    /// The message is taken by the access point, deleted, and told to the operator only.
    async fn discarded(&mut self, what: &str, package: Package, cause: &str) {
        let before = self.gateway.events(EventName::Discarded).await.len();
        self.peer.push(&self.gateway, &package).await.acknowledged();
        let event = self.gateway.nth_event(EventName::Discarded, before).await;
        assert!(event.fields[&Field::Cause].contains(cause), "{what}: {event:?}");
        self.no_receipt(what).await;
    }

    /// The access point refuses the message, and the operator is told.
    async fn refused(&mut self, what: &str, package: Package, code: &str) {
        let before = self.gateway.events(EventName::Refused).await.len();
        self.peer.push(&self.gateway, &package).await.refused(code);
        self.gateway.nth_event(EventName::Refused, before).await;
        self.no_receipt(what).await;
    }

    async fn no_receipt(&mut self, what: &str) {
        self.gateway.nth_event(EventName::Alarmed, self.alarms).await;
        self.alarms += 1;
        self.gateway.quiet().await;
        assert_eq!(self.peer.receipts(), self.receipts, "{what}: a receipt was sent");
    }

    /// Nothing that a person wrote is in the journal or an alarm.
    async fn end(self, delivered: usize) {
        self.gateway.quiet().await;
        assert_eq!(self.gateway.delivered().len(), delivered);
        for event in self.gateway.journal().await {
            assert!(!serde_json::to_string(&event).unwrap().contains(CANARY), "{event:?}");
        }
        for letter in self.gateway.sink.letters().iter().filter(|letter| letter.to == self.gateway.operator) {
            assert!(!letter.text.contains(CANARY), "{}", letter.text);
        }
        self.gateway.stop().await;
    }
}

#[test]
fn every_row_of_the_table_of_message_breaches_has_its_receipt() {
    run(async {
        let mut bench = Bench::new("rows-message").await;
        let taken = bench.sound();
        bench.draft("taken, valid", &taken, &[]).await;

        let mut draft = bench.sound();
        draft.edit("<confidentiality>true</confidentiality>", "<confidentiality>kanske</confidentiality>");
        bench.draft("schema", &draft, &[("SV", "structure", "/messagePayload/message/messageHeader/confidentiality")]).await;

        let mut draft = bench.sound();
        draft.edit(&format!("<label>{CANARY}</label>"), &format!("<label>{}</label>", CANARY.repeat(20)));
        bench.draft("label too long", &draft, &[("BV", "structure", "/messagePayload/message/messageHeader/label")]).await;

        let mut draft = bench.sound();
        draft.edit("<conversationId>", &format!("<conversationId>{CANARY}"));
        bench.draft("rule", &draft, &[("BV", "invariant", "/messagePayload/message/messageHeader/conversationId")]).await;

        let mut draft = bench.sound();
        with_file(&mut draft, "application/x-msdownload");
        let line = "/messagePayload/message/messageBody/documents[1]/ContentFiles[1]/contentType";
        bench.draft("file type", &draft, &[("BV", "not-supported", line)]).await;

        let mut draft = bench.sound();
        draft.content.recipient.function = Some("okand".parse().unwrap());
        draft.header.service = draft.content.recipient.function.clone();
        draft.rewrite();
        bench.draft("function address", &draft, &[("BV", "not-found", FUNCTION)]).await;
        let rejected = draft.content.message_id.clone();

        let mut draft = bench.sound();
        draft.content.in_reply_to = Some(rejected);
        draft.rewrite();
        let line = "/messagePayload/message/messageHeader/refToMessageId";
        bench.draft("answers a rejected one", &draft, &[("BV", "not-supported", line)]).await;

        let mut draft = bench.sound();
        draft.content.in_reply_to = Some("1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b".parse::<MessageId>().unwrap());
        draft.rewrite();
        bench.draft("refToMessageId unknown", &draft, &[]).await;

        let mut again = taken.clone();
        again.message.message_id = "igen@ap.peer.se".parse().unwrap();
        bench.draft("messageId seen before", &again, &[("BV", "duplicate", "/messagePayload/message/messageHeader/messageId")]).await;

        // Everything at once: what breaks the schema hides nothing of the rest.
        again.message.message_id = "allt@ap.peer.se".parse().unwrap();
        again.content.recipient.function = Some("okand".parse().unwrap());
        with_file(&mut again, "application/x-msdownload");
        again.edit("<confidentiality>true", "<confidentiality>kanske");
        let all = [
            ("SV", "structure", "/messagePayload/message/messageHeader/confidentiality"),
            ("BV", "duplicate", "/messagePayload/message/messageHeader/messageId"),
            ("BV", "not-found", FUNCTION),
            ("BV", "security", "/messagePayload/message/messageHeader/recipient/attention/subOrganization/organizationId/extension"),
        ];
        bench.draft("everything at once", &again, &all).await;
        bench.end(2).await;
    });
}

#[test]
fn every_row_of_the_table_of_disagreements_has_its_receipt() {
    run(async {
        let mut bench = Bench::new("rows-ids").await;
        let mut draft = bench.sound();
        draft.content.message_id = "1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b".parse().unwrap();
        draft.rewrite();
        bench.draft("messageId", &draft, &[("BV", "invariant", "/messagePayload/message/messageHeader/messageId")]).await;

        let mut draft = bench.sound();
        draft.content.sender.participant = "0203:nagon-annan.se".parse().unwrap();
        draft.rewrite();
        bench.draft("sender", &draft, &[("BV", "security", "/messagePayload/message/messageHeader/sender/senderID/extension")]).await;

        let mut draft = bench.sound();
        draft.content.recipient.participant = "0203:nagon-annan.se".parse().unwrap();
        draft.rewrite();
        bench.draft("recipient", &draft, &[("BV", "security", "/messagePayload/message/messageHeader/recipient/recipientID/extension")]).await;

        let mut draft = bench.sound();
        draft.header.service = Some("okand".parse().unwrap());
        let lines = [
            ("BV", "security", "/messagePayload/message/messageHeader/recipient/attention/subOrganization/organizationId/extension"),
            ("BV", "not-found", "/XHE/Payloads/Payload/HandlingServiceID"),
        ];
        bench.draft("function", &draft, &lines).await;

        let mut draft = bench.sound();
        let id = bench.peer.participant.to_string();
        draft.edit(&format!("<extension>{id}"), &format!("<extension>{CANARY}"));
        bench.draft("unknown sender", &draft, &[("BV", "invariant", "/messagePayload/message/messageHeader/sender/senderID/extension")]).await;

        // No HandlingServiceID says nothing (SDK C3.2.2 2.2).
        let mut draft = bench.sound();
        draft.header.service = None;
        bench.draft("no HandlingServiceID", &draft, &[]).await;
        bench.end(1).await;
    });
}

#[test]
fn every_row_of_the_table_of_signatures_has_its_receipt() {
    const SIG: &[Line] = &[("SIG", "security", "NA")];
    run(async {
        let mut bench = Bench::new("rows-sig").await;
        let draft = bench.sound();
        let envelope = String::from_utf8(draft.envelope()).unwrap();

        let wrong = envelope.replacen("CreationDateTime>2", "CreationDateTime>3", 1);
        bench.told("signature wrong", &draft, packed(&draft, &wrong), SIG).await;

        let draft = bench.sound();
        let envelope_of = |draft: &Draft| String::from_utf8(draft.envelope()).unwrap();
        let sealed = envelope_of(&draft);
        let at = signature(&sealed);
        bench.told("signature missing", &draft, packed(&draft, &format!("{}{}", &sealed[..at.0], &sealed[at.1..])), SIG).await;

        let draft = bench.sound();
        let sealed = envelope_of(&draft);
        let at = signature(&sealed);
        bench.told("two signatures", &draft, packed(&draft, &format!("{}{}", &sealed[..at.1], &sealed[at.0..])), SIG).await;

        let mut draft = bench.sound();
        draft.signer = world().await.testbed.issue_participant(&"0203:rows-somebody.se".parse().unwrap()).unwrap().identity;
        bench.draft("a certificate that is not published for the sender", &draft, SIG).await;

        let mut draft = bench.sound();
        let revoked: brevbro::ident::ParticipantId = "0203:rows-revoked.se".parse().unwrap();
        draft.signer = world().await.testbed.issue_participant(&revoked).unwrap().identity;
        world().await.testbed.revoke(&Subject::Participant(revoked)).unwrap();
        bench.draft("a certificate that is revoked", &draft, SIG).await;

        let mut draft = bench.sound();
        draft.signer = draft.point.clone();
        bench.draft("a certificate of another CA", &draft, SIG).await;

        let draft = bench.sound();
        bench.told("not encrypted", &draft, packed(&draft, &in_clear(&draft)), SIG).await;

        // What nobody signed is marked as nothing: an answer to its id is taken.
        let mut answer = bench.sound();
        answer.content.in_reply_to = Some(draft.header.id.clone());
        answer.rewrite();
        bench.draft("an answer to what nobody signed", &answer, &[]).await;
        bench.end(1).await;
    });
}

#[test]
fn what_gets_no_receipt_is_told_to_the_operator() {
    run(async {
        let mut bench = Bench::new("rows-none").await;
        let draft = bench.sound();
        let sealed = String::from_utf8(draft.envelope()).unwrap();
        bench.refused("an envelope that is not well-formed", packed(&draft, &sealed.replacen("</xha:Header>", "", 1)), "EBMS:0004").await;

        let draft = bench.sound();
        let sealed = String::from_utf8(draft.envelope()).unwrap().replacen("edelivery:xhe:1<", &format!("edelivery:xhe:{CANARY}<"), 1);
        bench.refused("an envelope that breaks its profile", packed(&draft, &sealed), "EBMS:0004").await;

        let mut draft = bench.sound();
        draft.header.to = "0203:nagon-annan.se".parse().unwrap();
        bench.refused("an envelope that disagrees with its AS4 header", draft.package(), "EBMS:0003").await;

        let mut draft = bench.sound();
        draft.sealed_for = draft.signer.certificate.clone();
        bench.discarded("a payload that cannot be decrypted", draft.package(), "cannot be decrypted").await;

        let draft = bench.sound();
        let sealed = String::from_utf8(draft.envelope()).unwrap();
        let (start, end) =
            (sealed.find("<xenc:EncryptedData").unwrap(), sealed.find("</xenc:EncryptedData>").unwrap() + "</xenc:EncryptedData>".len());
        let (from, to) = signature(&sealed);
        let broken = encrypt_element(format!("<messagePayload>{CANARY}</m>").as_bytes(), &draft.sealed_for).unwrap();
        let unsigned = format!("{}{broken}{}{}", &sealed[..start], &sealed[end..from], &sealed[to..]);
        let signed = sign_enveloped(unsigned.as_bytes(), &draft.signer).unwrap();
        bench.discarded("a payload that is not well-formed", packed(&draft, &String::from_utf8(signed).unwrap()), "cannot be decrypted").await;

        let mut draft = bench.sound();
        let stranger: brevbro::ident::ParticipantId = "0203:rows-stranger.se".parse().unwrap();
        draft.message.original_sender = stranger.clone();
        draft.header.from = stranger.clone();
        draft.content.sender.participant = stranger;
        draft.rewrite();
        bench.discarded("a sender that is not in SMP", draft.package(), "not registered").await;

        // A receipt is never itself receipted, whatever is wrong with it.
        let id: MessageId = "1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b".parse().unwrap();
        let mut receipt = bench.peer.receipt_draft(&bench.gateway, &id, Outcome::Accepted);
        receipt.edit("<cbc:ResponseCode>ACCEPTED", &format!("<cbc:ResponseCode>{CANARY}"));
        bench.discarded("a receipt that breaks its rules", receipt.package(), "breaks its rules").await;
        let receipt = bench.peer.receipt_draft(&bench.gateway, &id, Outcome::Accepted);
        let sealed = String::from_utf8(receipt.envelope()).unwrap().replacen("CreationDateTime>2", "CreationDateTime>3", 1);
        bench.discarded("a receipt with a wrong signature", packed(&receipt, &sealed), "signature").await;
        bench.end(0).await;
    });
}
