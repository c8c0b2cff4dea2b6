//! A request between two access points, to be changed as text or signed by hand.

use std::io::{Cursor, Read};
use std::sync::OnceLock;

use brevbro::as4::receive::{Context, Options, open};
use brevbro::as4::{Code, Received, Refusal, Sent, send};
use brevbro::crypto::Identity;
use jiff::Timestamp;

use crate::common::parties::user_message;
use crate::common::pki::Ca;
use crate::common::soap::edited;

pub(crate) const BOUNDARY: &str = "=_f3a1c2e4b5d6978812345678";
pub(crate) const PAYLOAD: &[u8] = b"<XHE>Prov</XHE>";

pub(crate) struct World {
    pub(crate) sender: Identity,
    pub(crate) receiver: Identity,
    pub(crate) stranger: Identity,
    pub(crate) body: Vec<u8>,
    pub(crate) sent: Sent,
    pub(crate) original: Received,
}

/// Both access points, a stranger, and one good request, which is accepted.
pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let ca = Ca::new("AP CA");
        let (sender, receiver, stranger) = (ca.issue("AP0001-SDK-TEST"), ca.issue("AP0002-SDK-TEST"), ca.issue("AP0666-SDK-TEST"));
        let (body, sent) = packaged(&mut &PAYLOAD[..], &sender, &receiver);
        let (original, payload) = opened_by(&body, &sent.content_type, &receiver, &Options::default()).unwrap();
        assert_eq!(payload, PAYLOAD);
        World { sender, receiver, stranger, body, sent, original }
    })
}

pub(crate) fn packaged(payload: &mut dyn Read, sender: &Identity, receiver: &Identity) -> (Vec<u8>, Sent) {
    let mut body = Vec::new();
    let sent = send::package(&user_message(), payload, sender, &receiver.certificate, Cursor::new(Vec::new()), &mut body, BOUNDARY).unwrap();
    (body, sent)
}

fn opened_by(body: &[u8], content_type: &str, receiver: &Identity, options: &Options) -> Result<(Received, Vec<u8>), Refusal> {
    let context = Context { keys: std::slice::from_ref(receiver), known: &|_| None, options, at: Timestamp::now() };
    let mut payload = Vec::new();
    let received = open(content_type, &mut &body[..], &context, Cursor::new(Vec::new()), &mut payload)?;
    Ok((received, payload))
}

/// Opens a body as the receiver does.
pub(crate) fn opened(body: &[u8]) -> Result<(Received, Vec<u8>), Refusal> {
    opened_by(body, &world().sent.content_type, &world().receiver, &Options::default())
}

/// The good request with its SOAP part changed, opened.
pub(crate) fn opened_with(edit: &dyn Fn(&str) -> String) -> Result<(Received, Vec<u8>), Refusal> {
    opened(&edited(&world().body, edit))
}

/// That the change makes the request be refused with this error and nothing of the payload comes out.
pub(crate) fn refused(code: Code, edit: &dyn Fn(&str) -> String) {
    match opened_with(edit) {
        Err(refusal) => assert!(refusal.error.is(code), "{refusal}"),
        Ok((received, _)) => panic!("it was taken: {:?}", received.header),
    }
}

/// That the change changes nothing of what is read.
pub(crate) fn read_the_same(edit: &dyn Fn(&str) -> String) {
    let (received, payload) = opened_with(edit).unwrap();
    assert_eq!((&received.header, payload.as_slice()), (&world().original.header, PAYLOAD));
}
