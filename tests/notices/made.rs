//! Every outcome there is, with the row that it is in the manual, and a notice of each.

use brevbro::content::Redacted;
use brevbro::ident::{Domain, MailAddress, MessageId};
use brevbro::mail::notice::{self, Evidence, Fault, Notice, Outcome, Service, Signature, Verdict};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

/// What stands in the original where nobody else may read it.
pub const SECRET: &str = "HEMLIGT-7f3a";

pub const ORIGINAL: &str = "Received: from mail.habo.se by gw.habo.se\r\nFrom: anna@habo.se\r\nTo: reg@af.se.sdk.habo.se\r\nMessage-ID: <abc@habo.se>\r\nContent-Type: multipart/mixed;\r\n boundary=x\r\n\r\n--x\r\n\r\nHEMLIGT-7f3a\r\n--x\r\nContent-Disposition: attachment; filename=HEMLIGT-7f3a.pdf\r\n\r\nHEMLIGT-7f3a\r\n--x--\r\n";

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// One row: what happened, and what the notice must be.
pub struct Row {
    pub event: &'static str,
    pub outcome: Outcome,
    pub action: &'static str,
    pub status: &'static str,
}

fn row(event: &'static str, outcome: Outcome, action: &'static str, status: &'static str) -> Row {
    Row { event, outcome, action, status }
}

/// All of them, in the order in which a message can meet them.
pub fn rows() -> Vec<Row> {
    let (early, late) = (at("2026-03-04T10:00:00Z"), at("2026-03-06T10:00:00Z"));
    let near = vec!["kundtjanst@af.se.sdk.habo.se".parse().unwrap(), "kundtjanst-vast@af.se.sdk.habo.se".parse().unwrap()];
    let unreachable = |service| Outcome::Unreachable { service, next: early, last: late };
    let rejected = |outcome: Outcome| Outcome::LateReceipt { at: late, verdict: Verdict::Rejected(Box::new(outcome)) };
    vec![
        row("message receipt ACCEPTED", Outcome::Accepted { at: early }, "delivered", "2.0.0"),
        row("access point does not answer", unreachable(Service::AccessPoint), "delayed", "4.4.1"),
        row("DNS or SMP does not answer", unreachable(Service::Directory), "delayed", "4.4.3"),
        row("held, since two functions answer each other too fast", Outcome::Held { until: early }, "delayed", "4.4.6"),
        row("access point has it, no message receipt yet", Outcome::AwaitingReceipt { acknowledged: early, until: late }, "delayed", "4.4.7"),
        row("access point not reached until the end", Outcome::GaveUp { service: Service::AccessPoint }, "failed", "5.4.7"),
        row("DNS or SMP not reached until the end", Outcome::GaveUp { service: Service::Directory }, "failed", "5.4.7"),
        row("sent, but no receipt of the access point until the end", Outcome::Unproven, "failed", "5.4.7"),
        row("no message receipt until the end", Outcome::NoReceipt { acknowledged: early }, "failed", "5.4.7"),
        row("organisation no longer in SMP when it is sent", Outcome::OrganisationUnknown, "failed", "5.1.2"),
        row("EBMS:0004 NOT_SERVICED", Outcome::NotServed, "failed", "5.4.4"),
        row("certificate expired, revoked or foreign, also after a fresh look-up", Outcome::CertificateBad, "failed", "5.7.5"),
        row("REJECTED BV not-found", Outcome::FunctionUnknown { near: Vec::new() }, "failed", "5.1.1"),
        row("REJECTED BV not-found, like addresses are known", Outcome::FunctionUnknown { near }, "failed", "5.1.1"),
        row("REJECTED BV not-supported, of a file", Outcome::TypeRefused { file: Some(Redacted("bild.heic".to_owned())) }, "failed", "5.6.1"),
        row("REJECTED BV not-supported, of some file", Outcome::TypeRefused { file: None }, "failed", "5.6.1"),
        row("REJECTED BV not-supported, of anything else", Outcome::AnswersRejected, "failed", "5.0.0"),
        row("REJECTED BV too-long", Outcome::TooLong, "failed", "5.3.4"),
        row("REJECTED BV forbidden", Outcome::Forbidden, "failed", "5.7.1"),
        row("REJECTED SV, BV invariant, structure or unknown", Outcome::Faulty { at: Fault::Receiver }, "failed", "5.6.0"),
        row("refused by the access point with another EBMS error", Outcome::Faulty { at: Fault::AccessPoint }, "failed", "5.6.0"),
        row("stopped by the operator before it was sent", Outcome::Cancelled, "failed", "5.3.0"),
        row("a fault of the gateway", Outcome::Faulty { at: Fault::Gateway }, "failed", "5.6.0"),
        row("REJECTED SIG, BV security", Outcome::Insecure, "failed", "5.7.7"),
        row("ACCEPTED after a notice of failure", Outcome::LateReceipt { at: late, verdict: Verdict::Accepted }, "delivered", "2.0.0"),
        row("REJECTED after a notice of failure", rejected(Outcome::TooLong), "failed", "5.3.4"),
    ]
}

/// Who writes to whom.
pub struct Setting {
    pub zone: TimeZone,
    pub gateway: Domain,
    pub host: Domain,
    pub contact: MailAddress,
    pub to: MailAddress,
    pub recipient: MailAddress,
    pub message_id: MessageId,
}

impl Setting {
    pub fn new(to: &str, recipient: &str) -> Self {
        Self {
            zone: TimeZone::fixed(jiff::tz::offset(1)),
            gateway: "sdk.habo.se".parse().unwrap(),
            host: "gw.habo.se".parse().unwrap(),
            contact: "it-drift@habo.se".parse().unwrap(),
            to: to.parse().unwrap(),
            recipient: recipient.parse().unwrap(),
            message_id: "7bc5576a-3f87-4cf5-a0c5-277da06fcacb".parse().unwrap(),
        }
    }

    pub fn habo() -> Self {
        Self::new("socialtjansten@habo.se", "kundtjnst@af.se.sdk.habo.se")
    }

    pub fn notice<'a>(&'a self, outcome: &'a Outcome) -> Notice<'a> {
        Notice {
            outcome,
            id: Uuid::from_u128(7),
            at: at("2026-03-04T10:00:07Z"),
            zone: &self.zone,
            gateway: &self.gateway,
            host: &self.host,
            contact: &self.contact,
            to: &self.to,
            recipient: &self.recipient,
            recipient_name: "Kundtjänst, Arbetsförmedlingen",
            original_recipient: None,
            envelope_id: None,
            accepted_at: at("2026-03-04T08:30:00Z"),
            original: ORIGINAL.as_bytes(),
            message_id: &self.message_id,
            remote: Some("AP0040-SDK-PROD"),
            codes: None,
            evidence: None,
            notes: &[],
        }
    }
}

/// A message receipt whose signature held.
pub fn evidence() -> Evidence<'static> {
    Evidence {
        xml: b"<ApplicationResponse/>",
        id: "9f0c6d2e-1b7a-4b0e-8a53-0d0b5f2f7c11",
        issued: at("2026-03-04T10:00:00Z"),
        issuer: "0203:af.se",
        signature: Some(Signature {
            subject: "CN=Arbetsförmedlingen, O=Arbetsförmedlingen, C=SE",
            fingerprint: "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447",
            checked: at("2026-03-04T10:00:05Z"),
        }),
    }
}

/// A notice of an outcome, with its receipt where there is one.
pub fn composed(setting: &Setting, outcome: &Outcome) -> Vec<u8> {
    let answered = matches!(outcome, Outcome::Accepted { .. } | Outcome::LateReceipt { .. });
    notice::compose(&Notice { evidence: answered.then(evidence), ..setting.notice(outcome) })
}
