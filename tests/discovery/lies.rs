//! SMPs that redirect, dawdle, flood, break off, or answer in an unusual way.

use std::time::{Duration, Instant};

use brevbro::crypto::sign_enveloped;
use brevbro::port::{DirectoryError, Freshness};
use brevbro::smp::{SMP_NS, ServiceGroup, ServiceMetadata};

use crate::stage::{Does, ENDPOINT, Stage, response};

#[tokio::test]
async fn no_redirect_is_followed_whatever_its_status() {
    let stage = Stage::set().await;
    let good = stage.metadata().sign(stage.smp).unwrap();
    for status in ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("Location: http://{}/smp/elsewhere\r\n", stage.smp_address);
        stage.does(response(status, &location, &good));
        let before = stage.requests();
        assert_eq!(stage.unusable().await, "its SMP redirects, which this federation does not allow", "{status}");
        assert_eq!(stage.requests(), before + 1, "{status}: it was followed");
    }
    let redirect = format!(
        "<SignedServiceMetadata xmlns='{SMP_NS}'><ServiceMetadata><Redirect href='http://{}/smp/x'><CertificateUID>x</CertificateUID></Redirect>\
         </ServiceMetadata></SignedServiceMetadata>",
        stage.smp_address
    );
    stage.does(Does::Gives(sign_enveloped(redirect.as_bytes(), stage.smp).unwrap()));
    let before = stage.requests();
    assert_eq!(stage.unusable().await, "the SMP redirects, which this federation does not allow");
    assert_eq!(stage.requests(), before + 1);
}

#[tokio::test]
async fn slow_endless_and_broken_answers_end_in_time_and_nobody_becomes_unknown() {
    let stage = Stage::set().await;
    let metadata = stage.metadata().sign(stage.smp).unwrap();
    let cut = [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", &metadata[..500]].concat();
    let cases = [
        ("a slow drip", Does::Drips(Duration::from_millis(20))),
        ("silence", Does::Waits(Duration::from_mins(10), metadata)),
        ("a cut answer", Does::Answers(cut)),
        ("no HTTP", Does::Answers(b"220 smtp.example.se ESMTP\r\n".to_vec())),
        ("a head without end", Does::Answers([b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 1_000_000]].concat())),
        ("too many fields", Does::Answers(format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: x\r\n".repeat(1000)).into_bytes())),
        ("nothing", Does::HangsUp),
    ];
    for (what, does) in cases {
        stage.does(does);
        let directory = stage.directory_with(|options| options.timeout = Duration::from_secs(2));
        let begun = Instant::now();
        let reason = stage.unavailable(&directory).await;
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}: {reason} after {:?}", begun.elapsed());
    }
    stage.does(Does::Floods);
    assert!(stage.unusable().await.contains("longer than 1000000 octets"));
}

#[tokio::test]
async fn a_status_is_absence_outage_or_redirect_and_absence_is_confirmed_by_the_group() {
    let stage = Stage::set().await;
    for status in ["500 Oops", "502 Bad Gateway", "503 Service Unavailable", "429 Too Many Requests", "403 Forbidden", "401 Unauthorized"] {
        stage.does(response(status, "", b"<html>"));
        let reason = stage.unavailable(&stage.directory()).await;
        assert!(reason.contains(&status[..3]), "{reason}");
    }
    for status in ["404 Not Found", "410 Gone"] {
        stage.does(response(status, "", b"<html>"));
        let unknown = Err(DirectoryError::UnknownParticipant(stage.participant.clone()));
        assert_eq!(stage.ask(&stage.directory(), Freshness::Cached).await, unknown);
    }
}

#[tokio::test]
async fn the_content_type_is_nobodys_business_and_a_byte_order_mark_may_stand_first() {
    let stage = Stage::set().await;
    let good = stage.metadata().sign(stage.smp).unwrap();
    for head in ["Content-Type: text/xml\r\n", "Content-Type: application/xml;charset=UTF-8\r\n", "Content-Type: application/octet-stream\r\n", ""] {
        stage.does(response("200 OK", head, &good));
        assert_eq!(stage.ask(&stage.directory(), Freshness::Cached).await.unwrap().endpoint, ENDPOINT, "{head}");
    }
    let chunked = [format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", good.len()).as_bytes(), &good, b"\r\n0\r\n\r\n"].concat();
    stage.does(Does::Answers(chunked));
    assert!(stage.ask(&stage.directory(), Freshness::Cached).await.is_ok());
    stage.does(Does::Gives([b"\xef\xbb\xbf".as_slice(), &good].concat()));
    assert!(stage.ask(&stage.directory(), Freshness::Cached).await.is_ok());
}

#[tokio::test]
async fn what_is_no_metadata_or_breaks_the_signature_is_refused() {
    let stage = Stage::set().await;
    let good = String::from_utf8(stage.metadata().sign(stage.smp).unwrap()).unwrap();
    let group = ServiceGroup { participant: stage.participant.clone(), document_ids: Vec::new() }.write("http://smp");
    let bomb =
        "<!DOCTYPE a [<!ENTITY b 'c'>]><SignedServiceMetadata xmlns='http://docs.oasis-open.org/bdxr/ns/SMP/2016/05'>&b;</SignedServiceMetadata>";
    let deep = format!("{}{}", "<a>".repeat(5000), "</a>".repeat(5000));
    let (head, tail) = good.split_at(good.find("<ServiceMetadata>").unwrap());
    let unsigned = good.split("<ds:Signature").next().unwrap().split("<Signature").next().unwrap().to_owned() + "</SignedServiceMetadata>";
    let cases = [
        ("HTML", "<html><body>Logga in</body></html>".to_owned()),
        ("the group", group),
        ("an entity", bomb.to_owned()),
        ("depth", deep),
        ("no signature", unsigned),
        ("another endpoint", good.replace("as4.kommun.se", "as4.evil.se")),
        ("a second ServiceMetadata before", format!("{head}<ServiceMetadata/>{tail}")),
        ("something after", format!("{good}<a/>")),
        ("half of it", good[..good.len() / 2].to_owned()),
        ("nothing", String::new()),
    ];
    for (what, text) in cases {
        stage.does(Does::Gives(text.into_bytes()));
        let reason = stage.unusable().await;
        assert!(!reason.contains("evil") && !reason.contains("Logga"), "{what}: {reason} quotes the answer");
    }
}

#[tokio::test]
async fn only_the_configured_cas_and_where_it_is_said_the_named_signer_count() {
    let stage = Stage::set().await;
    let foreign = crate::common::pki::Ca::new("Test CA").issue("SMP0001-TEST");
    stage.does(Does::Gives(stage.metadata().sign(&foreign).unwrap()));
    assert!(stage.unusable().await.contains("the signer of its metadata is not trusted"), "same names, another key");
    stage.publish(&stage.metadata());
    let named = |name: &str| stage.directory_with(|options| options.smp_signer_name = Some(name.into()));
    assert!(stage.ask(&named("SMP0001-TEST"), Freshness::Cached).await.is_ok());
    let other = stage.ask(&named("SMP0002-TEST"), Freshness::Cached).await;
    assert!(matches!(&other, Err(DirectoryError::Unusable { reason, .. }) if reason.contains("another name")), "{other:?}");
    let only = |signer| stage.directory_with(|options| options.smp_signer = Some(signer));
    assert!(stage.ask(&only(stage.smp.certificate.clone()), Freshness::Cached).await.is_ok());
    let renewed = stage.ca.issue("SMP0001-TEST");
    stage.does(Does::Gives(stage.metadata().sign(&renewed).unwrap()));
    assert!(stage.ask(&named("SMP0001-TEST"), Freshness::Cached).await.is_ok(), "its name stays");
    assert!(stage.ask(&only(stage.smp.certificate.clone()), Freshness::Cached).await.is_err());
    let (read, by) = ServiceMetadata::open(&stage.metadata().sign(stage.smp).unwrap()).unwrap();
    assert_eq!((read.participant, by.certificate), (stage.participant.clone(), stage.smp.certificate.clone()));
}
