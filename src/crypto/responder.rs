//! Being an OCSP responder (RFC 6960): reading questions, signing answers. The testbed answers with it; the gateway itself
//! never does.

use jiff::Timestamp;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::sign::Signer;

use super::der::{sequence, tagged};
use super::ocsp::{Id, key_bits, nonce_extensions, nonce_of, wrapped_extensions};
use super::{Certificate, Digest, Identity, IssueError, OcspError, OcspStatus, der};

/// Certificates that one question may ask about.
const ASKED: usize = 100;

/// A question: which certificates, and with which nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcspQuestion {
    /// The certificates, at least one.
    pub ids: Vec<OcspId>,
    /// The nonce, if there is one.
    pub nonce: Option<Vec<u8>>,
}

/// Names a certificate by its issuer and serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcspId {
    contents: Vec<u8>,
}

impl OcspId {
    /// Whether it is about a certificate of this issuer.
    #[must_use]
    pub fn is_of(&self, issuer: &Certificate) -> bool {
        Id::read(&self.contents).is_some_and(|id| id.is_of(issuer))
    }

    /// The certificate's serial number in decimal.
    #[must_use]
    pub fn serial(&self) -> Option<String> {
        let id = Id::read(&self.contents)?;
        BigNum::from_slice(id.serial).and_then(|number| number.to_dec_str()).map(|text| text.to_string()).ok()
    }
}

impl OcspQuestion {
    /// Reads a question in DER; a signature on it is not looked at.
    ///
    /// # Errors
    /// [`OcspError::Unreadable`], also when it asks about too much, or names the issuer by an unknown digest.
    pub fn read(bytes: &[u8]) -> Result<Self, OcspError> {
        Self::parsed(bytes).ok_or(OcspError::Unreadable)
    }

    fn parsed(bytes: &[u8]) -> Option<Self> {
        let request = tagged(der::elements(sequence(bytes)?)?.into_iter().next(), 0x30)?;
        // A version and the asker's name may stand before the list.
        let mut fields = der::elements(request)?.into_iter().filter(|field| field.tag != 0xa0 && field.tag != 0xa1);
        let list = der::elements(tagged(fields.next(), 0x30)?)?;
        if list.is_empty() || list.len() > ASKED {
            return None;
        }
        let ids = list.into_iter().map(|one| {
            let contents = tagged(der::elements(tagged(Some(one), 0x30)?)?.into_iter().next(), 0x30)?;
            Id::read(contents).map(|_| OcspId { contents: contents.to_vec() })
        });
        let ids = ids.collect::<Option<_>>()?;
        let extensions = fields.next().map_or(Some(Vec::new()), |field| wrapped_extensions(field, 0xa2))?;
        Some(Self { ids, nonce: nonce_of(&extensions).map(<[u8]>::to_vec) })
    }
}

/// The answer of `responder`, the issuer itself or its delegate, in DER. Its certificate goes with it.
///
/// # Errors
/// [`IssueError::Provider`].
pub fn issue_ocsp(
    responder: &Identity,
    said: &[(OcspId, OcspStatus)],
    nonce: Option<&[u8]>,
    made: Timestamp,
    until: Option<Timestamp>,
) -> Result<Vec<u8>, IssueError> {
    const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
    const SHA256_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
    let single = |(id, status): &(OcspId, OcspStatus)| {
        let status = match status {
            OcspStatus::Good => der::write(0x80, &[]),
            OcspStatus::Revoked(at) => der::write(0xa1, &time(*at)),
            OcspStatus::Unknown => der::write(0x82, &[]),
        };
        let until = until.map(|until| der::write(0xa0, &time(until))).unwrap_or_default();
        der::write(0x30, &[der::write(0x30, &id.contents), status, time(made), until].concat())
    };
    let singles: Vec<u8> = said.iter().flat_map(single).collect();
    let key = Digest::Sha1.of(key_bits(&responder.certificate).unwrap_or_default()).unwrap_or_default();
    let extensions = nonce.map(|nonce| der::write(0xa1, &nonce_extensions(nonce))).unwrap_or_default();
    let data = der::write(0x30, &[der::write(0xa2, &der::write(0x04, &key)), time(made), der::write(0x30, &singles), extensions].concat());
    let signature = Signer::new(MessageDigest::sha256(), responder.key.pkey())?.sign_oneshot_to_vec(&data)?;
    let algorithm = der::write(0x30, &[der::write(0x06, SHA256_WITH_RSA), der::write(0x05, &[])].concat());
    let certificates = der::write(0xa0, &der::write(0x30, responder.certificate.der()));
    let basic = der::write(0x30, &[data, algorithm, der::write(0x03, &[&[0][..], &signature].concat()), certificates].concat());
    let answer = der::write(0xa0, &der::write(0x30, &[der::write(0x06, BASIC), der::write(0x04, &basic)].concat()));
    Ok(der::write(0x30, &[der::write(0x0a, &[0]), answer].concat()))
}

/// Why a responder gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OcspRefusal {
    /// The question cannot be read.
    Malformed = 1,
    /// Something is wrong with the responder.
    Internal = 2,
    /// It has no time.
    TryLater = 3,
}

/// An answer that says why there is none, in DER.
#[must_use]
pub fn refuse_ocsp(refusal: OcspRefusal) -> Vec<u8> {
    der::write(0x30, &der::write(0x0a, &[refusal as u8]))
}

/// A `GeneralizedTime`.
fn time(at: Timestamp) -> Vec<u8> {
    der::write(0x18, at.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{OcspAnswer, Profile, Template, ocsp_request, ocsp_urls};

    const NONCE: &[u8] = &[7; 32];

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn identity(name: &str, profile: Profile, issuer: Option<&Identity>) -> Identity {
        let template = Template {
            subject: vec![("CN", name.into())],
            from: at("2024-01-01T00:00:00Z"),
            until: at("2026-01-01T00:00:00Z"),
            profile,
            crl_url: Some("http://crl.example/ca.crl".into()),
            ocsp_url: Some("http://ocsp.example/ca".into()),
        };
        template.issue(2048, issuer).unwrap()
    }

    struct Scene {
        ca: Identity,
        leaf: Identity,
        question: OcspQuestion,
        now: Timestamp,
    }

    impl Scene {
        fn new() -> Self {
            let ca = identity("ca", Profile::Authority, None);
            let leaf = identity("leaf", Profile::Service, Some(&ca));
            let question = OcspQuestion::read(&ocsp_request(&leaf.certificate, &ca.certificate, NONCE).unwrap()).unwrap();
            Self { ca, leaf, question, now: at("2025-01-01T00:00:00Z") }
        }

        fn answer(&self, by: &Identity, status: OcspStatus) -> Vec<u8> {
            let said: Vec<_> = self.question.ids.iter().map(|id| (id.clone(), status)).collect();
            issue_ocsp(by, &said, Some(NONCE), self.now, Some(at("2025-01-01T01:00:00Z"))).unwrap()
        }

        fn read(&self, answer: &[u8]) -> Result<OcspAnswer, OcspError> {
            OcspAnswer::read(answer, &self.leaf.certificate, &self.ca.certificate, NONCE, self.now)
        }
    }

    #[test]
    fn a_question_names_the_certificate_and_its_issuer() {
        let scene = Scene::new();
        assert_eq!(ocsp_urls(&scene.leaf.certificate), ["http://ocsp.example/ca"]);
        let [id] = scene.question.ids.as_slice() else { panic!() };
        assert!(id.is_of(&scene.ca.certificate) && !id.is_of(&scene.leaf.certificate));
        assert_eq!(id.serial().as_deref(), Some(scene.leaf.certificate.serial().as_str()));
        assert_eq!(scene.question.nonce.as_deref(), Some(NONCE));
        let der = ocsp_request(&scene.leaf.certificate, &scene.ca.certificate, NONCE).unwrap();
        assert!(openssl::ocsp::OcspRequest::from_der(&der).is_ok_and(|read| read.to_der().unwrap() == der), "as the provider writes it");
        for cut in 0..der.len() {
            assert_eq!(OcspQuestion::read(&der[..cut]), Err(OcspError::Unreadable));
        }
    }

    #[test]
    fn the_issuer_and_its_delegate_are_believed_and_nobody_else() {
        let scene = Scene::new();
        for status in [OcspStatus::Good, OcspStatus::Revoked(at("2024-12-24T15:00:00Z")), OcspStatus::Unknown] {
            assert_eq!(scene.read(&scene.answer(&scene.ca, status)).map(|answer| answer.status()), Ok(status));
        }
        let delegate = identity("ocsp", Profile::Responder, Some(&scene.ca));
        let answer = scene.read(&scene.answer(&delegate, OcspStatus::Good)).unwrap();
        assert_eq!((answer.status(), answer.delegate_to_check()), (OcspStatus::Good, None));
        let namesake = identity("ca", Profile::Authority, None);
        let foreign = identity("ocsp", Profile::Responder, Some(&namesake));
        let without_usage = identity("ocsp", Profile::Service, Some(&scene.ca));
        let other_usage = identity("ocsp", Profile::Function, Some(&scene.ca));
        let below = identity("ocsp", Profile::Responder, Some(&identity("sub", Profile::Authority, Some(&scene.ca))));
        for (who, by) in [
            ("a CA of the same name", &namesake),
            ("another CA's delegate", &foreign),
            ("no extended usage", &without_usage),
            ("another extended usage", &other_usage),
            ("a CA further down", &below),
            ("the certificate itself", &scene.leaf),
        ] {
            assert_eq!(scene.read(&scene.answer(by, OcspStatus::Good)).err(), Some(OcspError::Signer), "{who}");
        }
    }

    #[test]
    fn an_answer_holds_in_its_time_give_or_take_five_minutes() {
        let scene = Scene::new();
        let said = [(scene.question.ids[0].clone(), OcspStatus::Good)];
        let issue = |until: Option<&str>| issue_ocsp(&scene.ca, &said, None, scene.now, until.map(at)).unwrap();
        let read = |answer: &[u8], now: &str| OcspAnswer::read(answer, &scene.leaf.certificate, &scene.ca.certificate, NONCE, at(now)).err();
        let bounded = issue(Some("2025-01-01T01:00:00Z"));
        assert_eq!(read(&bounded, "2024-12-31T23:55:00Z"), None);
        assert_eq!(read(&bounded, "2025-01-01T01:05:00Z"), None);
        assert_eq!(read(&bounded, "2024-12-31T23:54:59Z"), Some(OcspError::NotYet(scene.now)));
        assert_eq!(read(&bounded, "2025-01-01T01:05:01Z"), Some(OcspError::Outdated(at("2025-01-01T01:00:00Z"))));
        let momentary = issue(None);
        assert_eq!(read(&momentary, "2025-01-01T00:05:00Z"), None);
        assert_eq!(read(&momentary, "2025-01-01T00:05:01Z"), Some(OcspError::Outdated(scene.now)));
        let delegate = identity("ocsp", Profile::Responder, Some(&scene.ca));
        let late = issue_ocsp(&delegate, &said, None, at("2026-01-01T00:00:01Z"), None).unwrap();
        assert_eq!(read(&late, "2026-01-01T00:00:01Z"), Some(OcspError::Signer), "the delegate has expired");
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        let scene = Scene::new();
        let said = [(scene.question.ids[0].clone(), OcspStatus::Good)];
        let issue = |nonce: Option<&[u8]>| issue_ocsp(&scene.ca, &said, nonce, scene.now, None).unwrap();
        assert_eq!(scene.read(&issue(Some(&[8; 32]))).err(), Some(OcspError::Nonce));
        assert_eq!(scene.read(&issue(Some(&[]))).err(), Some(OcspError::Nonce));
        assert!(scene.read(&issue(None)).is_ok(), "responders that sign in advance know no nonce");
        let other = identity("other", Profile::Service, Some(&scene.ca));
        let question = OcspQuestion::read(&ocsp_request(&other.certificate, &scene.ca.certificate, NONCE).unwrap()).unwrap();
        let about_other = issue_ocsp(&scene.ca, &[(question.ids[0].clone(), OcspStatus::Good)], Some(NONCE), scene.now, None).unwrap();
        assert_eq!(scene.read(&about_other).err(), Some(OcspError::Silent));
        for (refusal, word) in [(OcspRefusal::Malformed, "malformed"), (OcspRefusal::Internal, "internal"), (OcspRefusal::TryLater, "busy")] {
            let error = scene.read(&refuse_ocsp(refusal)).unwrap_err();
            assert!(matches!(error, OcspError::Refused(_)) && error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn no_octet_of_an_answer_can_be_changed_or_left_out() {
        let scene = Scene::new();
        let good = scene.answer(&scene.ca, OcspStatus::Good);
        for cut in 0..good.len() {
            assert!(scene.read(&good[..cut]).is_err(), "{cut}");
        }
        let meaning = scene.read(&good).unwrap();
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            // What is not signed, the CA's own certificate for one, may change without effect; what is said may not.
            assert!(scene.read(&changed).is_err() || scene.read(&changed).as_ref() == Ok(&meaning), "{at}");
        }
        assert_eq!(scene.read(b"hello").err(), Some(OcspError::Unreadable));
        assert_eq!(scene.read(&[good, vec![0]].concat()).err(), Some(OcspError::Unreadable));
    }
}
