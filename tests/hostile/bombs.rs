//! Floods and bombs: each ends in a bound, and what is bounded by size takes time in proportion to it.
//!
//! Times are compared within one run, since other programs share the machine: the best of five tries counts.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use brevbro::as4::{Code, ContentType};
use brevbro::smp::ServiceMetadata;
use brevbro::xml::{Canonicalization, Comments, Document, Limits, XmlError};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::common::soap::edited;
use crate::request::{BOUNDARY, opened, packaged, world};

fn parsed(text: &str) -> Result<Document, XmlError> {
    Document::parse(text.as_bytes(), &Limits::of(64 << 20))
}

fn over(text: &str) -> &'static str {
    match parsed(text) {
        Err(XmlError::TooLarge { what, .. }) => what,
        other => panic!("{:?}", other.map(|_| ())),
    }
}

/// That four times the size takes at most ten times as long: linear work takes four, quadratic sixteen.
fn grows_gently(what: &str, work: &dyn Fn(usize)) {
    let time = |size: usize| {
        let start = Instant::now();
        work(size);
        start.elapsed().max(Duration::from_micros(200))
    };
    let mut best = f64::MAX;
    for _ in 0..5 {
        let small = time(1);
        best = best.min(time(4).as_secs_f64() / small.as_secs_f64());
        if best < 10.0 {
            return;
        }
    }
    panic!("{what}: four times the input takes {best:.1} times as long");
}

#[test]
fn floods_of_xml_end_in_a_bound() {
    assert_eq!(over(&"<a>".repeat(65)), "levels of nesting");
    assert!(parsed(&format!("{}{}", "<a>".repeat(64), "</a>".repeat(64))).is_ok());
    let attributes = |count: usize| (0..count).map(|n| format!(" a{n}='x'")).collect::<String>();
    assert_eq!(over(&format!("<a{}/>", attributes(65))), "attributes of one element");
    assert!(parsed(&format!("<a{}/>", attributes(64))).is_ok());
    let namespaces = |count: usize| (0..count).map(|n| format!(" xmlns:n{n}='urn:{n}'")).collect::<String>();
    assert_eq!(over(&format!("<a{}/>", namespaces(65))), "attributes of one element");
    assert_eq!(over(&format!("<a>{}</a>", format!("<b{}/>", attributes(60)).repeat(1000))), "attributes");
    assert_eq!(over(&format!("<a>{}</a>", "<b/>".repeat(100_000))), "nodes");
    assert_eq!(over(&format!("<a>{}</a>", "<!----><?x?>".repeat(60_000))), "nodes");
    assert_eq!(over(&format!("<{}/>", "a".repeat(70_000))), "octets of one name");
    assert_eq!(over(&format!("<a {}='x'/>", "a".repeat(70_000))), "octets of one attribute");
    assert_eq!(over(&format!("<a b='{}'/>", "x".repeat(70_000))), "octets of one attribute");
    assert_eq!(over(&format!("<a xmlns='{}'/>", "u".repeat(1025))), "octets of one namespace name");
    assert!(parsed(&format!("<a xmlns='{}'/>", "u".repeat(1024))).is_ok());
}

#[test]
fn entities_never_multiply() {
    let laughs = "<!DOCTYPE a [<!ENTITY a0 'ha'><!ENTITY a1 '&a0;&a0;'><!ENTITY a2 '&a1;&a1;'>]><a>&a2;</a>";
    assert_eq!(parsed(laughs).unwrap_err(), XmlError::Dtd);
    assert!(ServiceMetadata::open(laughs.as_bytes()).is_err());
}

/// A name declared once is written again at every sibling that uses it: the canonical form may be larger than the source.
#[test]
fn a_canonical_form_stays_in_proportion() {
    let name = "u".repeat(1024);
    let text = format!("<a xmlns:n='{name}'>{}</a>", "<n:b/>".repeat(3_900));
    let document = parsed(&text).unwrap();
    let form = Canonicalization::exclusive().element(document.root(), Comments::Without, None).unwrap();
    assert!(form.len() < 5_000_000, "{}", form.len());
    // A longer one, which made a canonical form of hundreds of megabytes, is refused at the door.
    let edit = |soap: &str| soap.replace("<S12:Header>", &format!("<S12:Header><w xmlns:n=\"{}\"/>", "u".repeat(60_000)));
    assert!(opened(&edited(&world().body, &edit)).unwrap_err().error.is(Code::InvalidHeader));
}

#[test]
fn reading_xml_takes_time_in_proportion() {
    let cases: [(&str, &dyn Fn(usize) -> String); 8] = [
        ("elements", &|n| format!("<a>{}</a>", "<b/>".repeat(n * 20_000))),
        ("references", &|n| format!("<a>{}</a>", "&amp;".repeat(n * 50_000))),
        ("sections", &|n| format!("<a>{}</a>", "<![CDATA[x]]>".repeat(n * 50_000))),
        ("text", &|n| format!("<a>{}</a>", "x]]".repeat(n * 200_000))),
        ("comments", &|n| format!("<a>{}</a>", "<!--x-->".repeat(n * 20_000))),
        ("one comment", &|n| format!("<a><!--{}--></a>", "- ".repeat(n * 200_000))),
        ("an open tag", &|n| format!("<a {}", "x ".repeat(n * 100_000))),
        ("open brackets", &|n| format!("<a>{}", "<![CDATA[".repeat(n * 50_000))),
    ];
    for (what, text) in cases {
        let texts = [text(1), text(4)];
        grows_gently(what, &|size| {
            if let Ok(document) = parsed(&texts[usize::from(size > 1)]) {
                Canonicalization::exclusive().document(&document, Comments::With, None).unwrap();
            }
        });
    }
}

#[test]
fn floods_of_mime_end_in_a_bound() {
    let body = |headers: &str| format!("--{BOUNDARY}\r\n{headers}\r\n\r\n<x/>\r\n--{BOUNDARY}--\r\n").into_bytes();
    for headers in [
        "X: y\r\n".repeat(10_000),
        format!("X: {}\r\n", "y".repeat(100_000)),
        format!("Content-Type: application/soap+xml;{}", " a=b;".repeat(10_000)),
        format!("Content-Type: application/soap+xml{}", "\r\n ".repeat(10_000)),
        "y".repeat(1_000_000),
    ] {
        let refusal = opened(&body(&headers)).unwrap_err();
        assert!(refusal.error.is(Code::MimeInconsistency), "{}…: {refusal}", &headers[..10]);
    }
    let preamble = [&b"x\r\n".repeat(100_000)[..], &world().body].concat();
    assert!(opened(&preamble).unwrap_err().error.is(Code::MimeInconsistency));
    // Parts that the header does not name end it at the first of them.
    let end = world().body.len() - format!("\r\n--{BOUNDARY}--\r\n").len();
    let parts = format!("\r\n--{BOUNDARY}\r\nContent-ID: <x>\r\n\r\ny").repeat(1000);
    assert!(opened(&[&world().body[..end], parts.as_bytes(), &world().body[end..]].concat()).unwrap_err().error.is(Code::MimeInconsistency));
}

#[test]
fn reading_mime_takes_time_in_proportion() {
    let near = format!("\r\n--{}", &BOUNDARY[..BOUNDARY.len() - 1]);
    let end = world().body.len() - format!("\r\n--{BOUNDARY}--\r\n").len();
    let with = |fill: &[u8], n: usize| [&world().body[..end], &fill.repeat(n), &world().body[end..]].concat();
    for (what, fill, count) in [("almost boundaries", near.as_bytes(), 20_000), ("line ends", b"\r\n", 300_000), ("hyphens", b"\r\n-----", 80_000)] {
        let bodies = [with(fill, count), with(fill, 4 * count)];
        grows_gently(what, &|size| {
            // The octets are decrypted and do not pass: the whole attachment was read for it.
            assert!(opened(&bodies[usize::from(size > 1)]).unwrap_err().error.is(Code::FailedDecryption));
        });
    }
    let types = [1, 4].map(|n| format!("multipart/related{}", "; a=\"b\\\"c\"".repeat(n * 20_000)));
    grows_gently("parameters", &|size| assert!(ContentType::parse(&types[usize::from(size > 1)]).is_some()));
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn gzip_inside_gzip_is_unpacked_once() {
    let mut bomb = Vec::new();
    std::io::repeat(0).take(8_000_000).read_to_end(&mut bomb).unwrap();
    let inner = gzip(&gzip(&bomb));
    let (body, _) = packaged(&mut &inner[..], &world().sender, &world().receiver);
    assert_eq!(opened(&body).unwrap().1, inner);
}

#[test]
fn a_bomb_of_zeros_is_stopped_and_text_is_not() {
    let (body, _) = packaged(&mut std::io::repeat(0).take(30_000_000), &world().sender, &world().receiver);
    assert!(opened(&body).unwrap_err().error.is(Code::DecompressionFailure));
    let text = "Håbo kommun, socialtjänsten. ".repeat(30_000);
    let (body, _) = packaged(&mut text.as_bytes(), &world().sender, &world().receiver);
    assert_eq!(opened(&body).unwrap().1, text.as_bytes());
}
