//! From a certificate up to a configured CA: what leads there, and what does not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use brevbro::crypto::{Authorities, Certificate, ChainError, KeyUse};
use brevbro::edge::trust::{CaTrust, Elsewhere, Revocation, TrustOptions};
use brevbro::port::{Clock, Realm, Trust, TrustError};
use jiff::{SignedDuration, Timestamp};

use super::forge::*;
use crate::common::has;

/// Both judges agree; ours says what is wrong.
fn judged(anchors: &[&Made], sent: &[&Made], leaf: &Made) -> Result<usize, ChainError> {
    let certificates = |made: &[&Made]| made.iter().map(|made| made.certificate.clone()).collect::<Vec<_>>();
    let (anchors, sent) = (certificates(anchors), certificates(sent));
    let ours = Authorities::new(anchors.clone(), Vec::new()).chain(&leaf.certificate, &sent, now()).map(|chain| chain.len());
    if has("openssl") && ours != Err(ChainError::Usage) {
        let theirs = openssl_verifies(&anchors.iter().collect::<Vec<_>>(), &sent.iter().collect::<Vec<_>>(), None, &leaf.certificate);
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{ours:?} {theirs:?}");
    }
    ours
}

fn broken(result: &Result<usize, ChainError>, words: &str) {
    assert!(matches!(result, Err(ChainError::Broken(why)) if why.contains(words)), "{words}: {result:?}");
}

#[test]
fn intermediates_come_in_any_order_and_one_that_is_missing_is_missed() {
    let root = Form::ca("root").issue(None);
    let [upper, lower] = {
        let upper = Form::ca("upper").issue(Some(&root));
        let lower = Form::ca("lower").issue(Some(&upper));
        [upper, lower]
    };
    let leaf = Form::leaf("leaf").issue(Some(&lower));
    let stranger = Form::ca("stranger").issue(None);
    assert_eq!(judged(&[&root], &[&lower, &upper], &leaf), Ok(4));
    assert_eq!(judged(&[&root], &[&stranger, &upper, &leaf, &lower, &root], &leaf), Ok(4));
    assert_eq!(judged(&[&upper], &[&lower], &leaf), Ok(3), "an issuing CA may be what is trusted");
    broken(&judged(&[&root], &[&lower], &leaf), "unable to get local issuer certificate (C=SE, CN=lower)");
    broken(&judged(&[&root], &[], &leaf), "unable to get local issuer certificate (C=SE, CN=leaf)");
    broken(&judged(&[&stranger], &[&lower, &upper, &root], &leaf), "self-signed certificate in certificate chain");
    let bundle = Authorities::from_bundle([&lower, &root, &upper].map(|made| made.certificate.clone()).to_vec());
    assert_eq!(bundle.anchors(), [root.certificate]);
    assert_eq!(bundle.chain(&leaf.certificate, &[], now()).map(|chain| chain.len()), Ok(4));
}

#[test]
fn cas_that_certify_one_another_lead_to_the_trusted_one_and_else_to_an_end() {
    let root = Form::ca("root").issue(None);
    let (a, b) = (Form::ca("a"), Form::ca("b"));
    let a_by_root = a.issue(Some(&root));
    let b_by_a = b.issue(Some(&a_by_root));
    let a_by_b = a.issue(Some(&b_by_a));
    let leaf = Form::leaf("leaf").issue(Some(&b_by_a));
    let all = [&a_by_b, &b_by_a, &a_by_root];
    // OpenSSL alone takes the first that fits and gets lost in the circle.
    let sent = all.map(|made| made.certificate.clone());
    let by_root = Authorities::new(vec![root.certificate.clone()], Vec::new());
    assert_eq!(by_root.chain(&leaf.certificate, &sent, now()).map(|chain| chain.len()), Ok(4));
    assert!(judged(&[&Form::ca("other").issue(None)], &all, &leaf).is_err());
    assert!(judged(&[&root], &[&a_by_b, &b_by_a], &leaf).is_err(), "round and round");
}

#[test]
fn what_a_ca_may_not_it_cannot() {
    let root = Form::ca("root").issue(None);
    let below = |form: Form| {
        let ca = form.issue(Some(&root));
        let leaf = Form::leaf("leaf").issue(Some(&ca));
        judged(&[&root], &[&ca], &leaf)
    };
    assert_eq!(below(Form::ca("ca")), Ok(3));
    broken(&below(Form::ca("ca").without(BASIC_CONSTRAINTS)), "invalid CA certificate");
    broken(&below(Form::ca("ca").with((BASIC_CONSTRAINTS, true, sequence(&[])))), "invalid CA certificate");
    broken(&below(Form::ca("ca").with(usage(0b1000_0000))), "invalid CA certificate");
    broken(&below(Form::ca("ca").with(("1.2.3.4", true, der(5, &[])))), "unhandled critical extension");
    broken(&below(Form { digest: openssl::hash::MessageDigest::sha1(), ..Form::ca("ca") }), "too weak");
    let narrow = Form::ca("narrow").with(authority(Some(0))).issue(Some(&root));
    let under = Form::ca("under").issue(Some(&narrow));
    assert_eq!(judged(&[&root], &[&narrow], &Form::leaf("leaf").issue(Some(&narrow))), Ok(3));
    broken(&judged(&[&root], &[&narrow, &under], &Form::leaf("leaf").issue(Some(&under))), "path length constraint exceeded");
    // A certificate that somebody has bought issues nothing.
    let bought = Form::leaf("bought").issue(Some(&root));
    broken(&judged(&[&root], &[&bought], &Form::leaf("leaf").issue(Some(&bought))), "invalid CA certificate");
}

#[test]
fn names_are_constrained() {
    let dns = |name: &str| der(0x82, name.as_bytes());
    let permitted = sequence(&[der(0xa0, &sequence(&[dns("kommun.se")]))]);
    let root = Form::ca("root").issue(None);
    let ca = Form::ca("ca").with((NAME_CONSTRAINTS, true, permitted)).issue(Some(&root));
    let named = |name: &str| Form::leaf("leaf").with((ALTERNATIVE_NAME, false, sequence(&[dns(name)]))).issue(Some(&ca));
    assert_eq!(judged(&[&root], &[&ca], &named("ap.kommun.se")), Ok(3));
    broken(&judged(&[&root], &[&ca], &named("ap.region.se")), "permitted subtree violation");
}

#[test]
fn a_chain_has_an_end_at_some_depth() {
    let root = Form::ca("root").issue(None);
    let mut all = vec![root.clone()];
    for level in 0..12 {
        let next = Form::ca(&format!("level {level}")).issue(all.last());
        all.push(next);
    }
    let chain = |depth: usize| {
        let leaf = Form::leaf("leaf").issue(Some(&all[depth]));
        let sent: Vec<Certificate> = all[1..=depth].iter().map(|made| made.certificate.clone()).collect();
        Authorities::new(vec![root.certificate.clone()], Vec::new()).chain(&leaf.certificate, &sent, now())
    };
    assert_eq!(chain(8).map(|chain| chain.len()), Ok(10));
    assert!(matches!(chain(9), Err(ChainError::Broken(why)) if why.contains("too long")));
    // A flood of certificates that lead nowhere is not searched.
    let leaf = Form::leaf("leaf").issue(Some(&all[1]));
    let mut flood = vec![all[5].certificate.clone(); 1_000];
    flood.push(all[1].certificate.clone());
    assert!(Authorities::new(vec![root.certificate.clone()], Vec::new()).chain(&leaf.certificate, &flood, now()).is_err());
}

#[test]
fn a_certificate_for_something_else_is_nobodys_here() {
    let root = Form::ca("root").issue(None);
    let with = |extensions: Vec<(&'static str, bool, Vec<u8>)>| {
        let leaf = extensions.into_iter().fold(Form::new("leaf", rsa()), Form::with).issue(Some(&root));
        judged(&[&root], &[], &leaf).map(|_| (leaf.certificate.may(KeyUse::Sign), leaf.certificate.may(KeyUse::Encrypt)))
    };
    assert_eq!(with(vec![]), Ok((true, true)));
    assert_eq!(with(vec![usage(0b1000_0000)]), Ok((true, false)));
    assert_eq!(with(vec![usage(0b0100_0000)]), Ok((true, false)), "contentCommitment signs too");
    assert_eq!(with(vec![usage(0b0010_0000)]), Ok((false, true)));
    for (what, extensions) in [
        ("a CA's", vec![usage(0b0000_0110)]),
        ("an OCSP responder's", vec![usage(0b1000_0000), extended(&["1.3.6.1.5.5.7.3.9"])]),
        ("a time stamper's", vec![usage(0b1000_0000), extended(&["1.3.6.1.5.5.7.3.8"])]),
        ("a program maker's", vec![extended(&["1.3.6.1.5.5.7.3.3"])]),
    ] {
        assert_eq!(with(extensions), Err(ChainError::Usage), "{what}");
    }
    // As SITHS, Expisoft and Försäkringskassan have them.
    for usages in
        [&["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"][..], &["1.3.6.1.5.5.7.3.2"], &["1.3.6.1.5.5.7.3.3", "1.3.6.1.5.5.7.3.4"], &["2.5.29.37.0"]]
    {
        assert_eq!(with(vec![usage(0b1010_0000), extended(usages)]), Ok((true, true)), "{usages:?}");
    }
}

struct Fixed(Timestamp);

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        self.0
    }
}

#[tokio::test]
async fn a_certificate_that_begins_in_a_moment_is_taken_and_one_that_ended_is_not() {
    let root = Form::ca("root").issue(None);
    let second = SignedDuration::from_secs(1);
    let judge = async |from: SignedDuration, until: SignedDuration, skew: u64| {
        let leaf = Form { from: now() + from, until: now() + until, ..Form::leaf("leaf") }.issue(Some(&root));
        let authorities = BTreeMap::from([(Realm::AccessPoint, Authorities::new(vec![root.certificate.clone()], Vec::new()))]);
        let options = TrustOptions { authorities, revocation: Revocation::Off, skew: Duration::from_secs(skew), ..TrustOptions::default() };
        CaTrust::new(options, Arc::new(Fixed(now()))).judge(Realm::AccessPoint, &leaf.certificate, &[]).await
    };
    assert_eq!(judge(second * 30, second * 3_600, 300).await, Ok(()));
    assert_eq!(judge(second * 300, second * 3_600, 300).await, Ok(()));
    assert_eq!(judge(second * 301, second * 3_600, 300).await, Err(TrustError::NotYet(now() + second * 301)));
    assert_eq!(judge(second * 30, second * 3_600, 0).await, Err(TrustError::NotYet(now() + second * 30)));
    assert_eq!(judge(second * -3_600, second * -1, 300).await, Err(TrustError::Expired(now() - second)));
    // Its end within what is forgiven at the beginning cuts nothing off.
    assert_eq!(judge(second * -3_600, second * 10, 300).await, Ok(()));
}

#[tokio::test]
async fn a_certificate_of_another_environment_is_refused_and_the_environment_named() {
    let [here, qa] = ["here", "qa"].map(|name| Form::ca(name).issue(None));
    let issuing = Form::ca("issuing").issue(Some(&qa));
    let [direct, below] = [&qa, &issuing].map(|ca| Form::leaf("AP0001").issue(Some(ca)));
    let stranger = Form::leaf("AP0001").issue(Some(&Form::ca("qa").issue(None)));
    let anchors = |made: &Made| Authorities::new(vec![made.certificate.clone()], Vec::new());
    let options = TrustOptions {
        authorities: BTreeMap::from([(Realm::AccessPoint, anchors(&here)), (Realm::Participant, anchors(&here))]),
        elsewhere: vec![Elsewhere { realm: Realm::AccessPoint, environment: "QA".into(), authorities: anchors(&qa) }],
        revocation: Revocation::Off,
        ..TrustOptions::default()
    };
    let trust = CaTrust::new(options, Arc::new(Fixed(now())));
    let told = async |realm: Realm, leaf: &Made, sent: &[&Made]| {
        let sent: Vec<_> = sent.iter().map(|made| made.certificate.clone()).collect();
        trust.judge(realm, &leaf.certificate, &sent).await.unwrap_err().to_string()
    };
    let named = "it is of another environment: QA";
    assert!(told(Realm::AccessPoint, &direct, &[]).await.contains(named));
    assert!(told(Realm::AccessPoint, &below, &[&issuing, &qa]).await.contains(named));
    assert!(!told(Realm::AccessPoint, &below, &[]).await.contains("QA"), "nothing leads there");
    assert!(!told(Realm::AccessPoint, &stranger, &[]).await.contains("QA"), "a name is no signature");
    assert!(!told(Realm::Participant, &direct, &[]).await.contains("QA"), "it was never one for participants");
}
