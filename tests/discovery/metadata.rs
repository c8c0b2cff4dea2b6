//! What stands in metadata whose signature holds: whose it is, which endpoint, when, and which certificates.

use brevbro::crypto::sign_enveloped;
use brevbro::ident::DocumentKind;
use brevbro::port::{Freshness, Metadata};
use brevbro::smp::{CertificateUse, Endpoint, Process, Published};
use jiff::{Timestamp, ToSpan};

use crate::stage::{Does, ENDPOINT, PROFILE, Stage};

fn now(stage: &Stage) -> Timestamp {
    brevbro::port::Clock::now(stage.clock.as_ref())
}

async fn found(stage: &Stage) -> Metadata {
    stage.ask(&stage.directory(), Freshness::Cached).await.unwrap()
}

/// Signed metadata with its text changed before signing.
fn rewritten(stage: &Stage, edit: impl FnOnce(String) -> String) -> Vec<u8> {
    let signed = String::from_utf8(stage.metadata().sign(stage.smp).unwrap()).unwrap();
    let unsigned = signed.split("<ds:Signature").next().unwrap().split("<Signature").next().unwrap().to_owned() + "</SignedServiceMetadata>";
    let edited = edit(unsigned.clone());
    assert_ne!(unsigned, edited, "the edit changed nothing");
    sign_enveloped(edited.as_bytes(), stage.smp).unwrap()
}

#[tokio::test]
async fn an_answer_about_somebody_or_something_else_is_refused() {
    let stage = Stage::set().await;
    let mut other = stage.metadata();
    other.participant = "0203:annan.se".parse().unwrap();
    stage.publish(&other);
    assert_eq!(stage.unusable().await, "the SMP's answer is about another participant");
    let mut other = stage.metadata();
    other.document_id = DocumentKind::Receipt.document_id().into();
    stage.publish(&other);
    assert_eq!(stage.unusable().await, "the SMP's answer is about another document");
    let mut spelt = stage.metadata();
    (spelt.participant, spelt.document_id) = ("0203:KOMMUN.se".parse().unwrap(), spelt.document_id.to_lowercase());
    stage.publish(&spelt);
    assert_eq!(found(&stage).await.endpoint, ENDPOINT, "case is nobody's business");
    for (from, to) in [
        ("scheme=\"iso6523-actorid-upis\"", "scheme=\"other\""),
        ("scheme=\"busdox-docid-qns\"", "scheme=\"other\""),
        ("0203:kommun.se</ParticipantIdentifier>", "kommun.se</ParticipantIdentifier>"),
        (
            "<ParticipantIdentifier",
            "<ParticipantIdentifier scheme=\"iso6523-actorid-upis\">0203:kommun.se</ParticipantIdentifier><ParticipantIdentifier",
        ),
    ] {
        stage.does(Does::Gives(rewritten(&stage, |text| text.replacen(from, to, 1))));
        assert!(stage.unusable().await.contains("no valid"), "{to}");
    }
}

#[tokio::test]
async fn of_several_endpoints_the_one_counts_that_is_ours_and_in_service() {
    let stage = Stage::set().await;
    let at = now(&stage);
    let endpoint = |url: &str| Endpoint { url: url.into(), ..stage.endpoint() };
    let old = Endpoint { expiration: Some(at - 1.hour()), ..endpoint("https://old.se/as4") };
    let next = Endpoint { activation: Some(at + 1.hour()), ..endpoint("https://next.se/as4") };
    let foreign = Endpoint { transport_profile: "bdxr-transport-ebms3-as4-v1p0".into(), ..endpoint("https://foreign.se/as4") };
    let good = Endpoint { activation: Some(at - 1.hour()), expiration: Some(at + 1.hour()), ..endpoint(ENDPOINT) };
    let other = Process { id: "urn:other".into(), ..Process::of_sdk(vec![endpoint("https://process.se/as4")]) };
    let mut metadata = stage.metadata();
    metadata.processes = vec![other.clone(), Process::of_sdk(vec![foreign.clone(), old.clone(), next.clone(), good])];
    stage.publish(&metadata);
    assert_eq!(found(&stage).await.endpoint, ENDPOINT);
    for (endpoints, lacking) in [
        (vec![old, next, foreign.clone()], "the SMP's metadata has no endpoint that is in service now"),
        (vec![foreign], "the SMP's metadata has no endpoint of a transport profile that is used here"),
        (vec![], "the SMP's metadata has no process bdx:noprocess"),
    ] {
        metadata.processes = vec![other.clone(), Process::of_sdk(endpoints)];
        stage.publish(&metadata);
        assert_eq!(stage.unusable().await, lacking);
    }
    let newer = stage.directory_with(|options| options.transport_profiles = vec!["digg-transport-as4-v1_1".into(), PROFILE.into()]);
    metadata.processes = vec![Process::of_sdk(vec![Endpoint { transport_profile: "digg-transport-as4-v1_1".into(), ..stage.endpoint() }])];
    stage.publish(&metadata);
    assert_eq!(stage.ask(&newer, Freshness::Cached).await.unwrap().transport_profile, "digg-transport-as4-v1_1");
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_read_hides_no_other_and_too_many_of_anything_are_refused() {
    let stage = Stage::set().await;
    let broken = "<Endpoint transportProfile=\"x\"><EndpointURI>ftp://x</EndpointURI><Certificate>none</Certificate></Endpoint><Endpoint ";
    stage.does(Does::Gives(rewritten(&stage, |text| text.replacen("<Endpoint ", broken, 1))));
    assert_eq!(found(&stage).await.endpoint, ENDPOINT);
    stage.does(Does::Gives(rewritten(&stage, |text| {
        let at = text.find("<Certificate>").unwrap() + 13;
        let end = text.find("</Certificate>").unwrap();
        format!("{}none{}", &text[..at], &text[end..])
    })));
    assert_eq!(stage.unusable().await, "the SMP's answer has no valid Certificate");
    let mut metadata = stage.metadata();
    metadata.processes = vec![Process::of_sdk(vec![stage.endpoint(); 33])];
    stage.publish(&metadata);
    assert_eq!(stage.unusable().await, "the SMP's answer has no valid number of endpoints");
    metadata.processes = vec![Process::of_sdk(vec![stage.endpoint()]); 33];
    stage.publish(&metadata);
    assert_eq!(stage.unusable().await, "the SMP's answer has no valid number of processes");
    let mut metadata = stage.metadata();
    metadata.published = vec![Published { usage: CertificateUse::Signing, certificate: stage.own.clone() }; 33];
    stage.publish(&metadata);
    assert_eq!(stage.unusable().await, "the SMP's answer has no valid number of certificates");
}

#[tokio::test]
async fn dates_are_read_with_and_without_zone_and_nonsense_is_refused() {
    let stage = Stage::set().await;
    let with_dates = |from: &str, until: &str| {
        let dates =
            format!("<ServiceActivationDate>{from}</ServiceActivationDate><ServiceExpirationDate>{until}</ServiceExpirationDate><Certificate>");
        Does::Gives(rewritten(&stage, |text| text.replacen("<Certificate>", &dates, 1)))
    };
    for (from, until) in [
        ("2020-01-01T00:00:00Z", "2090-01-01T00:00:00Z"),
        ("2020-01-01T00:00:00", "2090-01-01T00:00:00.000+01:00"),
        (" 2020-01-01T00:00:00.123Z ", "2090-12-31T23:59:59Z"),
    ] {
        stage.does(with_dates(from, until));
        assert_eq!(found(&stage).await.activation.unwrap().to_string()[..4], *"2020", "{from}");
    }
    stage.does(with_dates("2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"));
    assert!(stage.unusable().await.contains("in service"));
    for (from, until) in [("yesterday", "2090-01-01T00:00:00Z"), ("2020-01-01T00:00:00Z", ""), ("2020-13-01T00:00:00Z", "2090-01-01T00:00:00Z")] {
        stage.does(with_dates(from, until));
        assert!(stage.unusable().await.contains("Date"), "{from} {until}");
    }
}

#[tokio::test]
async fn certificates_are_read_however_they_are_wrapped_and_all_of_them() {
    use base64::prelude::*;
    let stage = Stage::set().await;
    let second = stage.ca.issue("kommun.se").certificate;
    let mut metadata = stage.metadata();
    metadata.published.push(Published { usage: CertificateUse::Encryption, certificate: second.clone() });
    metadata.published.push(Published { usage: CertificateUse::Signing, certificate: second.clone() });
    stage.publish(&metadata);
    let both = found(&stage).await;
    assert_eq!((&both.signing, &both.encryption), (&vec![stage.own.clone(), second.clone()], &vec![stage.own.clone(), second.clone()]), "in order");
    let wrap = |text: &str, end: &str| {
        let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        lines.join(end) + end
    };
    for certificate in [&stage.point, &stage.own] {
        let plain = certificate.to_base64();
        for written in [
            certificate.to_pem(),
            format!("\n      {}   ", certificate.to_pem().replace('\n', "\r\n")),
            certificate.to_pem().replace('\n', "&#xd;\n"),
            wrap(&plain, "\n        "),
            wrap(&plain, "\r\n"),
            wrap(&plain, "&#13;\n"),
            format!("  {plain}  "),
            BASE64_STANDARD.encode(certificate.to_pem()),
            wrap(&BASE64_STANDARD.encode(certificate.to_pem()), "\n"),
        ] {
            stage.does(Does::Gives(rewritten(&stage, |text| text.replace(&plain, &written))));
            let read = found(&stage).await;
            assert_eq!((&read.access_point, &read.signing), (&stage.point, &vec![stage.own.clone()]), "{written}");
        }
    }
    // Both in one extension, one for a use that we do not know, and an extension that is not ours.
    stage.does(Does::Gives(rewritten(&stage, |text| {
        let at = text.find("<Extension>").unwrap();
        let foreign = "<Extension><ExtensionID>urn:other</ExtensionID><x xmlns=\"urn:x\"/></Extension>";
        let first = text[at..].split("</smc:Certificate>").next().unwrap();
        let inner = format!("{}</smc:Certificate>", &first[first.find("<smc:Certificate").unwrap()..]);
        let unknown = inner.replace("signing-cert", "seal-cert");
        text[..at].to_owned() + foreign + &text[at..].replacen("</smc:Certificate>", &format!("</smc:Certificate>{unknown}{inner}"), 1)
    })));
    assert_eq!(found(&stage).await.signing.len(), 2);
    stage.does(Does::Gives(rewritten(&stage, |text| text.replacen("<smb:TypeCode>", "<smb:TypeCode>x</smb:TypeCode><smb:TypeCode>", 1))));
    assert!(stage.unusable().await.contains("smb:TypeCode"));
}
