//! A message there and its receipt back, both ends ours.

use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::sync::OnceLock;

use brevbro::as4::receive::{Context, Options, open};
use brevbro::as4::{Answer, Code, EbmsError, PMode, Received, Refusal, Sent, answer, error, pmode, receipt, send};
use brevbro::crypto::{Certificate, Identity, KeyReference};
use brevbro::ident::{AccessPointId, As4MessageId};
use jiff::Timestamp;

use crate::common::parties::user_message;
use crate::keys;

pub(crate) const BOUNDARY: &str = "=_f3a1c2e4b5d6978812345678";

/// The sending access point.
pub(crate) fn sender() -> &'static Identity {
    static KEY: OnceLock<Identity> = OnceLock::new();
    KEY.get_or_init(|| keys::identity("AP0001-SDK-TEST"))
}

/// The receiving access point.
pub(crate) fn receiver() -> &'static Identity {
    static KEY: OnceLock<Identity> = OnceLock::new();
    KEY.get_or_init(|| keys::identity("AP0002-SDK-TEST"))
}

pub(crate) fn packaged(payload: &[u8]) -> (Vec<u8>, Sent) {
    let mut body = Vec::new();
    let scratch = Cursor::new(Vec::new());
    let sent = send::package(&user_message(), &mut &payload[..], sender(), &receiver().certificate, scratch, &mut body, BOUNDARY).unwrap();
    (body, sent)
}

pub(crate) fn opened_with(body: &[u8], content_type: &str, options: &Options) -> Result<(Received, Vec<u8>), Refusal> {
    let keys = [receiver().clone()];
    let known = |_: &KeyReference| -> Option<Certificate> { None };
    let context = Context { keys: &keys, known: &known, options, at: Timestamp::now() };
    let mut payload = Vec::new();
    let received = open(content_type, &mut &body[..], &context, Cursor::new(Vec::new()), &mut payload)?;
    Ok((received, payload))
}

pub(crate) fn opened(body: &[u8], sent: &Sent) -> Result<(Received, Vec<u8>), Refusal> {
    opened_with(body, &sent.content_type, &Options::default())
}

pub(crate) fn own_pmode() -> PMode {
    PMode::sdk(AccessPointId::new("AP0002-SDK-TEST").unwrap())
}

pub(crate) fn signal_id() -> As4MessageId {
    As4MessageId::new("4f5f3f7e-21d2-4c1c-9b37-0f6b1c8d9e00@ap.arbetsformedlingen.se").unwrap()
}

pub(crate) fn receipt_for(received: &Received) -> Vec<u8> {
    receipt::write(received, &signal_id(), Timestamp::now(), receiver()).unwrap()
}

pub(crate) fn read(status: u16, body: &[u8], sent: &Sent) -> Answer {
    answer::read(status, error::CONTENT_TYPE, body, sent, &receiver().certificate)
}

#[test]
fn a_message_arrives_whole_and_its_receipt_proves_it() {
    let payload = "<XHE>Håbo kommun</XHE>".repeat(1000);
    let (body, sent) = packaged(payload.as_bytes());
    assert_eq!(sent.octets, body.len() as u64);
    assert!(!body.windows(6).any(|w| w == b"kommun"), "nothing travels in the clear");
    let (received, out) = opened(&body, &sent).unwrap();
    assert_eq!(out, payload.as_bytes());
    assert_eq!(received.signer(), Some(&sender().certificate));
    assert_eq!(received.signature.as_ref().unwrap().digest, sent.signature_digest);
    assert_eq!(pmode::check(&received, &own_pmode()).unwrap(), user_message());

    // What is kept between sending and the receipt survives a restart in little room.
    let kept = serde_json::to_string(&sent).unwrap();
    assert!(kept.len() < 2000, "{}", kept.len());
    let sent: Sent = serde_json::from_str(&kept).unwrap();
    let Answer::Receipt(receipt) = read(200, &receipt_for(&received), &sent) else { panic!("{:?}", read(200, &receipt_for(&received), &sent)) };
    assert_eq!((receipt.signal_id, receipt.signer), (signal_id(), receiver().certificate.clone()));
}

#[test]
fn an_empty_payload_arrives_too() {
    let (body, sent) = packaged(b"");
    assert_eq!(opened(&body, &sent).unwrap().1, b"");
}

#[test]
fn an_error_is_read_as_it_was_written() {
    let (_, sent) = packaged(b"<XHE/>");
    for error in [EbmsError::not_serviced(), EbmsError::new(Code::FailedDecryption, "å<&>")] {
        let bytes = error::write(std::slice::from_ref(&error), Some(&sent.message_id), &signal_id(), Timestamp::now(), receiver()).unwrap();
        let expected = EbmsError { ref_to: Some(sent.message_id.to_string()), ..error };
        assert_eq!(read(500, &bytes, &sent), Answer::Errors(vec![expected.clone()]));
        assert_eq!(expected.is_not_serviced(), expected.is(Code::Other));
    }
}

#[test]
fn a_ping_is_known_as_one() {
    let (body, sent) = packaged(b"<XHE/>");
    let (mut received, _) = opened(&body, &sent).unwrap();
    assert!(!received.is_ping());
    received.header.service.value = brevbro::as4::TEST_SERVICE.into();
    received.header.action = brevbro::as4::TEST_ACTION.into();
    assert!(received.is_ping());
    pmode::check_ping(&received, &own_pmode()).unwrap();
}

#[test]
fn what_is_not_in_the_p_mode_is_refused() {
    let (body, sent) = packaged(b"<XHE/>");
    let (received, _) = opened(&body, &sent).unwrap();
    let refused = |change: &dyn Fn(&mut Received)| {
        let mut changed = received.clone();
        change(&mut changed);
        pmode::check(&changed, &own_pmode()).unwrap_err()
    };
    assert!(refused(&|r| r.header.action.push('x')).is_not_serviced());
    assert!(refused(&|r| r.header.from.ids[0].value = "AP0009-SDK-TEST".into()).is(Code::ValueInconsistent));
    for (what, change) in [
        ("to", &(|r: &mut Received| r.header.to.ids[0].value = "AP0009-SDK-TEST".into()) as &dyn Fn(&mut Received)),
        ("party type", &|r| r.header.from.ids[0].kind = None),
        ("role", &|r| r.header.from.role = brevbro::as4::RESPONDER.into()),
        ("service", &|r| r.header.service.value = "x".into()),
        ("service type", &|r| r.header.service.kind = None),
        ("property", &|r| r.header.properties.clear()),
        ("property type", &|r| r.header.properties[0].kind = Some("x".into())),
        ("mpc", &|r| r.header.mpc = Some("x".into())),
        ("two parties", &|r| r.header.to.ids = vec![r.header.to.ids[0].clone(); 2]),
        ("payload", &|r| r.parts.clear()),
        ("media type", &|r| r.parts[0].media_type = Some("image/png".into())),
    ] {
        assert!(refused(change).is(Code::ProcessingModeMismatch), "{what}");
    }
    let mut kept = received.clone();
    kept.header.service.kind = Some("urn:fdc:Digg.se:edelivery:process".into());
    kept.header.mpc = Some(brevbro::as4::DEFAULT_MPC.into());
    kept.header.properties.iter_mut().for_each(|property| property.kind = None);
    assert_eq!(pmode::check(&kept, &own_pmode()).unwrap(), user_message());
}

/// Digits without end, the same each time.
struct Digits {
    left: u64,
    state: u64,
}

impl Read for Digits {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let length = (out.len() as u64).min(self.left) as usize;
        for octet in &mut out[..length] {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *octet = b'0' + (self.state >> 60) as u8;
        }
        self.left -= length as u64;
        Ok(length)
    }
}

#[test]
fn thirty_megabytes_stream_through_files() {
    const OCTETS: u64 = 30_000_000;
    let mut body = tempfile::tempfile().unwrap();
    let scratch = tempfile::tempfile().unwrap();
    let mut payload = Digits { left: OCTETS, state: 1 };
    let sent = send::package(&user_message(), &mut payload, sender(), &receiver().certificate, scratch, &mut body, BOUNDARY).unwrap();
    body.seek(SeekFrom::Start(0)).unwrap();
    let keys = [receiver().clone()];
    let options = Options::default();
    let context = Context { keys: &keys, known: &|_| None, options: &options, at: Timestamp::now() };
    let mut out = Compared { expected: Digits { left: OCTETS, state: 1 } };
    let received = open(&sent.content_type, &mut body, &context, tempfile::tempfile().unwrap(), &mut out).unwrap();
    assert_eq!((received.parts[0].octets, out.expected.left), (OCTETS, 0));
}

struct Compared {
    expected: Digits,
}

impl Write for Compared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut expected = vec![0; bytes.len()];
        self.expected.read_exact(&mut expected)?;
        assert!(expected == bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
