//! Revocation lists: which of them say something of a certificate, and what. OpenSSL judges the same lists.

use brevbro::crypto::{Certificate, Crl, CrlError, crl_obstacle, crl_urls};
use jiff::SignedDuration;

use super::forge::*;
use crate::common::has;

const PLACE: &str = "http://crl.example/ca.crl";

struct Scene {
    ca: Made,
    good: Made,
    bad: Made,
}

impl Scene {
    fn new(ca: &Form) -> Self {
        let ca = ca.issue(None);
        let leaf = |name: &str| Form::leaf(name).with(points(&[(&[PLACE], Vec::new())])).issue(Some(&ca));
        Self { good: leaf("good"), bad: leaf("bad"), ca }
    }

    /// Ours, and where OpenSSL is there, that it says the same: revoked, not revoked, or no word at all.
    fn judged(&self, list: &[u8], certificate: &Certificate) -> Result<bool, CrlError> {
        let ours = Crl::read(list).and_then(|list| list.revoked(certificate, &self.ca.certificate, now()));
        if has("openssl") && openssl::x509::X509Crl::from_der(list).is_ok() {
            let theirs = openssl_verifies(&[&self.ca.certificate], &[], Some(list), certificate);
            match &ours {
                Ok(false) => assert_eq!(theirs, Ok(())),
                Ok(true) => assert!(theirs.unwrap_err().contains("certificate revoked")),
                // Its program judges no digests of lists.
                Err(CrlError::Algorithm) => {}
                Err(_) => assert!(theirs.is_err(), "{ours:?}"),
            }
        }
        ours
    }

    fn both(&self, list: &List) -> (Result<bool, CrlError>, Result<bool, CrlError>) {
        let list = list.sign(&self.ca);
        (self.judged(&list, &self.good.certificate), self.judged(&list, &self.bad.certificate))
    }

    fn list(&self) -> List {
        List::new().revoking(&self.good_other()).revoking(&self.bad.certificate)
    }

    /// Some other certificate of the same CA.
    fn good_other(&self) -> Certificate {
        Form::leaf("other").issue(Some(&self.ca)).certificate
    }
}

#[test]
fn lists_signed_with_rsa_and_with_ecdsa_speak_and_those_with_sha_1_do_not() {
    for ca in [Form::ca("ca"), Form { key: rsa(), ..Form::ca("ca") }] {
        let scene = Scene::new(&ca);
        assert_eq!(scene.both(&scene.list()), (Ok(false), Ok(true)));
        assert_eq!(scene.both(&List { revoked: Vec::new(), ..scene.list() }), (Ok(false), Ok(false)));
        assert_eq!(scene.both(&List { digest: "sha1", ..scene.list() }), (Err(CrlError::Algorithm), Err(CrlError::Algorithm)));
    }
}

#[test]
fn a_list_in_pem_is_the_same_list() {
    let scene = Scene::new(&Form::ca("ca"));
    let list = scene.list().sign(&scene.ca);
    let pem = openssl::x509::X509Crl::from_der(&list).unwrap().to_pem().unwrap();
    for text in [pem.clone(), String::from_utf8(pem).unwrap().replace('\n', "\r\n").into_bytes()] {
        assert_eq!(Crl::read(&text).unwrap().revoked(&scene.bad.certificate, &scene.ca.certificate, now()), Ok(true));
    }
}

#[test]
fn a_list_is_its_issuers_alone() {
    let scene = Scene::new(&Form::ca("ca"));
    let namesake = Form::ca("ca").issue(None);
    let issuer = |list: &[u8]| scene.judged(list, &scene.good.certificate);
    assert_eq!(issuer(&scene.list().sign(&namesake)), Err(CrlError::Issuer));
    assert_eq!(issuer(&scene.list().sign(&Form::ca("other").issue(None))), Err(CrlError::Issuer));
    let silent = Form::ca("ca").with(usage(0b0000_0100)).issue(None);
    let leaf = Form::leaf("leaf").issue(Some(&silent)).certificate;
    let list = Crl::read(&List::new().sign(&silent)).unwrap();
    assert_eq!(list.revoked(&leaf, &silent.certificate, now()), Err(CrlError::Issuer), "its key may not sign lists");
    // A list that was believed for one issuer is not believed for another.
    let list = Crl::read(&scene.list().sign(&scene.ca)).unwrap();
    assert_eq!(list.revoked(&scene.bad.certificate, &scene.ca.certificate, now()), Ok(true));
    assert_eq!(list.revoked(&scene.bad.certificate, &namesake.certificate, now()), Err(CrlError::Issuer));
}

#[test]
fn a_list_that_may_be_silent_about_the_certificate_says_nothing_of_it() {
    let scene = Scene::new(&Form::ca("ca"));
    let yes = |tag: u8| der(tag, &[0xff]);
    let with = |extension: Vec<u8>| scene.both(&scene.list().with(extension)).0;
    let place = |uris: &[&str], more: &[u8]| with(issuing_point(uris, more));
    assert_eq!(place(&[PLACE], &[]), Ok(false));
    assert_eq!(place(&[], &[]), Ok(false));
    assert_eq!(place(&["ldap://x/y", PLACE], &yes(0x81)), Ok(false), "users' certificates");
    assert_eq!(place(&["http://crl.example/other-part.crl"], &[]), Err(CrlError::Partial), "the certificate would stand in another part");
    assert_eq!(place(&[], &yes(0x82)), Err(CrlError::Partial), "CAs only");
    assert_eq!(place(&[], &der(0x83, &[6, 0x40])), Err(CrlError::Partial), "some reasons only");
    assert_eq!(place(&[], &yes(0x84)), Err(CrlError::Indirect));
    assert_eq!(place(&[], &yes(0x85)), Err(CrlError::Partial), "attribute certificates");
    // OpenSSL takes a delta for a whole list unless it is told to know deltas.
    let delta = Crl::read(&scene.list().with(extension("2.5.29.27", true, &der(2, &[3]))).sign(&scene.ca)).unwrap();
    assert_eq!(delta.revoked(&scene.good.certificate, &scene.ca.certificate, now()), Err(CrlError::Partial), "a delta");
    assert_eq!(with(extension("1.2.3.4", true, &der(5, &[]))), Err(CrlError::Critical));
    assert_eq!(with(extension("1.2.3.4", false, &der(5, &[]))), Ok(false));
}

#[test]
fn an_entry_that_says_something_critical_spoils_the_list() {
    let scene = Scene::new(&Form::ca("ca"));
    let with = |extension: Vec<u8>| {
        let mut list = scene.list();
        list.revoked[0].1 = extension;
        Crl::read(&list.sign(&scene.ca)).unwrap().revoked(&scene.good.certificate, &scene.ca.certificate, now())
    };
    assert_eq!(with(extension("2.5.29.21", false, &der(0x0a, &[1]))), Ok(false), "a reason");
    assert_eq!(with(extension("1.2.3.4", true, &der(5, &[]))), Err(CrlError::Critical));
    let name = sequence(&[der(0xa4, &sequence(&[]))]);
    assert_eq!(with(extension("2.5.29.29", true, &name)), Err(CrlError::Indirect));
}

#[test]
fn a_list_holds_from_its_date_to_its_end() {
    let scene = Scene::new(&Form::ca("ca"));
    let minute = SignedDuration::from_mins(1);
    let at = |issued: SignedDuration, until: Option<SignedDuration>| {
        let list = List { issued: now() + issued, until: until.map(|until| now() + until), ..scene.list() };
        Crl::read(&list.sign(&scene.ca)).unwrap().revoked(&scene.good.certificate, &scene.ca.certificate, now())
    };
    assert_eq!(at(-minute, Some(minute)), Ok(false));
    assert_eq!(at(-minute, None), Ok(false));
    assert_eq!(at(minute * 5, Some(minute * 9)), Ok(false), "clocks differ");
    assert_eq!(at(minute * 6, Some(minute * 9)), Err(CrlError::NotYet(now() + minute * 6)));
    assert_eq!(at(minute * -9, Some(-minute)), Err(CrlError::Outdated(now() - minute)));
    let old = List { until: Some(now() - minute), ..scene.list() };
    assert!(matches!(scene.both(&old).0, Err(CrlError::Outdated(_))));
}

#[test]
fn of_a_hundred_thousand_entries_each_is_found() {
    let scene = Scene::new(&Form::ca("ca"));
    let mut list = List::new();
    list.revoked = (1..=100_000u64).map(|number| (format!("{}", (u128::from(number) << 64) + 77), Vec::new())).collect();
    list = list.revoking(&scene.bad.certificate);
    let der = list.sign(&scene.ca);
    assert_eq!((scene.judged(&der, &scene.good.certificate), scene.judged(&der, &scene.bad.certificate)), (Ok(false), Ok(true)));
    // The list takes the octets that it has, and no more.
    assert_eq!(Crl::read(&der).unwrap().size(), der.len());
    for cut in (0..der.len()).step_by(99_991) {
        assert_eq!(Crl::read(&der[..cut]).err(), Some(CrlError::Unreadable));
    }
}

#[test]
fn where_lists_lie_is_read_out_of_the_certificate() {
    let ca = Form::ca("ca").issue(None);
    let certificate = |all: &[(&[&str], Vec<u8>)]| Form::leaf("leaf").with(points(all)).issue(Some(&ca)).certificate;
    let other = der(0xa2, &der(0xa4, &ca.certificate_name()));
    let many = certificate(&[
        (&["ldap://ldap.example/cn=ca"], vec![]),
        (&["http://a.example/1.crl", "https://b.example/2.crl"], vec![]),
        (&["http://c.example/other-issuer.crl"], other.clone()),
        (&["http://d.example/some-reasons.crl"], der(0x81, &[6, 0x40])),
        (&["http://e.example/3.crl"], vec![]),
    ]);
    assert_eq!(crl_urls(&many), ["http://a.example/1.crl", "https://b.example/2.crl", "http://e.example/3.crl"]);
    assert_eq!(crl_obstacle(&many), None);
    let obstacle = |all: &[(&[&str], Vec<u8>)]| crl_obstacle(&certificate(all)).unwrap_or("none");
    assert!(obstacle(&[(&["ldap://ldap.example/cn=ca"], vec![])]).contains("LDAP only"));
    assert!(obstacle(&[(&["http://c.example/1.crl"], other)]).contains("another issuer"));
    assert_eq!(obstacle(&[]), "none");
}
