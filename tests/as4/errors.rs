//! Each refusal that `docs/as4.md` lists for this layer, with its code: a row of the table, and the messages that it is about.

use std::collections::BTreeSet;

use brevbro::as4::receive::{Options, ReceiveLimits};
use brevbro::as4::{Code, EbmsError, TEST_ACTION, TEST_SERVICE, error, pmode};
use brevbro::crypto::Certificate;
use brevbro::xml::{Document, Limits};
use jiff::Timestamp;
use openssl::pkey::PKey;

use crate::exchange::{own_pmode, receiver, signal_id};
use crate::foreign::{Foreign, Part, XHE, opened, token, token_reference};
use crate::keys;

/// A request as it is written, and how it is read.
struct Request {
    content_type: String,
    body: Vec<u8>,
    options: Options,
}

impl Request {
    fn of(foreign: &Foreign) -> Self {
        let (content_type, body) = foreign.written();
        Self { content_type, body, options: Options::default() }
    }

    /// With a change after it was signed.
    fn changed(foreign: &Foreign, from: &str, to: &str) -> Self {
        let mut request = Self::of(foreign);
        let at = request.body.windows(from.len()).position(|w| w == from.as_bytes()).unwrap_or_else(|| panic!("{from} is not in the request"));
        request.body.splice(at..at + from.len(), to.bytes());
        request
    }

    /// What the sender is answered with.
    fn error(&self) -> EbmsError {
        match opened(&self.content_type, &self.body, &self.options) {
            Err(refusal) => {
                // What cannot be read as a header has no id; everything else is about its message.
                assert!(refusal.ref_to.is_none_or(|id| id.as_str() == "foreign-1@phase4" || id == signal_id()));
                *refusal.error
            }
            Ok((received, _)) => pmode::check(&received, &own_pmode()).expect_err("it was taken"),
        }
    }
}

fn foreign() -> Foreign {
    Foreign::new()
}

fn with(part: Part) -> Foreign {
    Foreign { parts: vec![part], ..foreign() }
}

/// The requests of a row.
fn requests(row: &str) -> Vec<Request> {
    let signed = |from: &str, to: &str| Request::of(&foreign().edit(from, to));
    let after = |from: &str, to: &str| Request::changed(&foreign(), from, to);
    let part = || Part::new("message", XHE);
    match row {
        "a bundle of messages, or more than eight payloads" => vec![
            signed("</eb3:UserMessage>", "</eb3:UserMessage><eb3:UserMessage/>"),
            Request::of(&Foreign { parts: (0..9).map(|number| Part::new(&format!("p{number}"), XHE)).collect(), ..foreign() }),
        ],
        "two PartInfo with one href" => vec![{
            let same = "<eb3:PartInfo href=\"cid:message\"/></eb3:PayloadInfo>";
            Request::of(&with(part()).edit("</eb3:PayloadInfo>", same))
        }],
        "a From PartyId that is not the signing certificate's common name" => vec![signed(">AP0001-SDK-TEST<", ">AP0009-SDK-TEST<")],
        "a property that is not a participant id" => vec![signed(">0203:habo.se<", ">habo<"), signed(">0203:arbetsformedlingen.se<", "><")],
        "a message over the limit of size" => vec![{
            let limits = ReceiveLimits { package: 4_000, ..ReceiveLimits::default() };
            Request { options: Options { limits, ..Options::default() }, ..Request::of(&foreign()) }
        }],
        "MIME that cannot be read, or is cut off" => {
            let mut cut = Request::of(&foreign());
            cut.body.truncate(cut.body.len() - 30);
            let without = Request { content_type: "multipart/related".into(), ..Request::of(&foreign()) };
            vec![
                cut,
                without,
                after("Content-ID: <", "Content-ID <"),
                after("Content-ID: <", "X: <"),
                after("Encoding: binary", "Encoding: uuencode"),
            ]
        }
        "a MIME part that no PartInfo names, or a PartInfo without its part" => {
            let mut more = Request::of(&foreign());
            let end = more.body.len() - "------=_Part--\r\n".len();
            more.body.splice(end..end, *b"------=_Part\r\nContent-ID: <more>\r\n\r\nx\r\n");
            let mut lone = Request::of(&foreign());
            let soap = lone.body.windows(15).position(|w| w == b"</env:Envelope>").unwrap() + 15;
            lone.body.truncate(soap);
            lone.body.extend_from_slice(b"\r\n------=_Part--\r\n");
            vec![more, lone, after("Content-ID: <phase4-att-7f0e@cid>", "Content-ID: <other@cid>")]
        }
        "SOAP 1.1, MTOM" => vec![
            after("Content-Type: application/soap+xml", "Content-Type: text/xml"),
            after("Content-Type: application/soap+xml", "Content-Type: application/xop+xml; type=\"application/soap+xml\""),
        ],
        "a payload in the SOAP part" => vec![
            Request::of(&Foreign { body: "<XHE xmlns=\"\"/>".into(), ..foreign() }),
            signed(" href=\"cid:phase4-att-7f0e@cid\"", " href=\"#phase4-body-1\""),
            signed(" href=\"cid:phase4-att-7f0e@cid\"", ""),
        ],
        "XML that is not well-formed, has a document type, or is too large" => {
            let small = ReceiveLimits { soap: 1_000, ..ReceiveLimits::default() };
            vec![
                after("</env:Header>", "</env:header>"),
                after("<env:Envelope", "<!DOCTYPE x [<!ENTITY a \"b\">]><env:Envelope"),
                after("encoding=\"UTF-8\"", "encoding=\"UTF-16\""),
                Request { options: Options { limits: small, ..Options::default() }, ..Request::of(&foreign()) },
                after("</env:Header>", &format!("{}</env:Header>", "<x/>".repeat(5_000))),
                after("http://www.w3.org/2003/05/soap-envelope", "http://schemas.xmlsoap.org/soap/envelope/"),
            ]
        }
        "an element of the header missing, repeated or unreadable" => vec![
            signed("<eb3:MessageId>foreign-1@phase4</eb3:MessageId>", ""),
            signed("2026-01-02T03:04:05.678+01:00", "yesterday"),
            signed("<eb3:Service type=\"urn:fdc:digg.se:edelivery:process\">bdx:noprocess</eb3:Service>", ""),
            signed("</eb3:To>", "</eb3:To><eb3:To/>"),
            signed("</eb3:CollaborationInfo>", "</eb3:CollaborationInfo><eb3:CollaborationInfo/>"),
            signed("<eb3:Property name=\"originalSender\"", "<eb3:Property"),
            after("<env:Body", "<env:Body/><env:Body"),
            after(
                "</env:Header>",
                "<wsse:Security xmlns:wsse=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd\"/></env:Header>",
            ),
        ],
        "a header that must be understood and is not" => vec![after("</env:Header>", "<x env:mustUnderstand=\"true\"/></env:Header>")],
        "a header that is not that of the P-Mode" => vec![
            signed("partytype:ap", "partytype:other"),
            signed(" type=\"urn:fdc:digg.se:edelivery:transportprofile:as4:partytype:ap\"", ""),
            signed("/initiator<", "/defaultRole<"),
            signed("/responder<", "/initiator<"),
            signed(">bdx:noprocess<", ">bdx:other<"),
            signed("urn:fdc:digg.se:edelivery:process", "urn:other"),
            signed(">AP0002-SDK-TEST<", ">AP0003-SDK-TEST<"),
            signed("name=\"originalSender\"", "name=\"other\""),
            signed("name=\"finalRecipient\"", "name=\"originalSender\""),
            signed("<eb3:UserMessage>", "<eb3:UserMessage mpc=\"urn:other\">"),
            signed("iso6523-actorid-upis", "urn:other"),
            signed(">text/xml<", ">application/pdf<"),
            signed("</eb3:PartyId><eb3:Role>", "</eb3:PartyId><eb3:PartyId>x</eb3:PartyId><eb3:Role>"),
        ],
        "a receipt or an error that was pushed" => vec![{
            let pushed = error::write(&[EbmsError::not_serviced()], None, &signal_id(), Timestamp::now(), receiver()).unwrap();
            Request { content_type: error::CONTENT_TYPE.into(), body: pushed, options: Options::default() }
        }],
        "another number of payloads than one" => vec![
            Request::of(&Foreign { parts: Vec::new(), ..foreign() }),
            Request::of(&Foreign { parts: vec![part(), Part::new("other", XHE)], ..foreign() }),
        ],
        "a payload outside of the message" => vec![signed("\"cid:phase4-att-7f0e@cid\"", "\"http://127.0.0.1:9/x\"")],
        "a signature or a digest that does not hold" => vec![
            after("0203:habo.se", "0203:evil.se"),
            after("<ds:SignatureValue>", "<ds:SignatureValue>AAAA"),
            after("<ds:DigestValue>", "<ds:DigestValue>AAAA"),
            Request::of(&with(Part { digested: Some(b"other".to_vec()), ..part() })),
            Request::of(&Foreign { signer: keys::identity("AP0001-SDK-TEST"), ..foreign() }),
        ],
        "a signer that is not named in a known way, or not known" => {
            let other = keys::identity("AP0001-SDK-TEST");
            let name = crate::foreign::issuer_serial("CN=AP0001-SDK-TEST,O=Prov\\, AB,C=SE", &other.certificate.serial());
            vec![
                Request::of(&Foreign { signer_info: token_reference("nobody"), ..foreign() }),
                Request::of(&Foreign { signer_info: "<ds:KeyName>x</ds:KeyName>".into(), ..foreign() }),
                Request::of(&Foreign { signer_info: name, signer_token: String::new(), ..foreign() }),
            ]
        }
        "a time stamp of another time" => ["<wsu:Created>2120-01-01T00:00:00Z</wsu:Created>", "<wsu:Expires>2020-01-01T00:00:00Z</wsu:Expires>"]
            .map(|moment| Request::of(&Foreign { more: format!("<wsu:Timestamp>{moment}</wsu:Timestamp>"), ..foreign() }))
            .into(),
        "whatever cannot be decrypted, for one reason or another" => {
            let mut tag = Request::of(&foreign());
            let last = tag.body.len() - 40;
            tag.body[last] ^= 1;
            vec![
                tag,
                Request::of(&Foreign { recipient: keys::identity("AP0002-SDK-TEST"), ..foreign() }),
                Request::of(&Foreign { recipient_info: token_reference("nobody"), ..foreign() }),
                after("<xenc:CipherValue>", "<xenc:CipherValue>AAAA"),
                after("mgf1sha256", "mgf1sha1"),
                after("<wsse:Reference URI=\"#EK-1\"/>", "<wsse:Reference URI=\"#EK-2\"/>").without("<xenc:ReferenceList>", "</xenc:ReferenceList>"),
            ]
        }
        "a message that is not signed, or not all of it" => {
            vec![Request::of(&Foreign { sign: false, ..foreign() }), after("<ds:Signature ", "<ds:Nothing ").with("</ds:Signature>", "</ds:Nothing>")]
        }
        "a payload that is not encrypted" => vec![Request::of(&Foreign { encrypt: false, ..foreign() })],
        "an algorithm that is not accepted, or a signer's key of under 2048 bits" => vec![
            after("xmldsig-more#rsa-sha256", "xmldsig-more#rsa-sha512"),
            after("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2000/09/xmldsig#rsa-sha1"),
            after("xmlenc11#aes128-gcm", "xmlenc11#aes128-ccm"),
            after("http://www.w3.org/2009/xmlenc11#aes128-gcm", "http://www.w3.org/2001/04/xmlenc#aes128-cbc"),
            after("http://www.w3.org/2009/xmlenc11#rsa-oaep", "http://www.w3.org/2001/04/xmlenc#rsa-1_5"),
            // It verifies, but who else has a key of 1024 bits cannot be known.
            {
                let small = keys::pem_of("AP0001-SDK-TEST", 1024);
                let certificate = Certificate::from_pem(&small).unwrap();
                let token = token("X509-sign", "X509v3", certificate.der());
                Request::of(&Foreign { key: Some(PKey::private_key_from_pem(&small).unwrap()), signer_token: token, ..foreign() })
            },
        ],
        "a payload that is no gzip, has no MimeType, or unpacks to too much" => {
            let bomb = Request::of(&with(Part::new("message", &vec![0; 3_000_000])));
            let limits = ReceiveLimits { payload: 10, ..ReceiveLimits::default() };
            vec![
                Request::of(&with(Part { gzip: false, ..part() }).edit(
                    ">text/xml</eb3:Property>",
                    ">text/xml</eb3:Property><eb3:Property name=\"CompressionType\">application/gzip</eb3:Property>",
                )),
                signed("<eb3:Property name=\"MimeType\">text/xml</eb3:Property>", ""),
                signed(">application/gzip<", ">application/zip<"),
                bomb,
                Request { options: Options { limits, ..Options::default() }, ..Request::of(&foreign()) },
            ]
        }
        other => panic!("docs/as4.md lists {other:?}, and there is no message for it"),
    }
}

impl Request {
    fn with(mut self, from: &str, to: &str) -> Self {
        let at = self.body.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        self.body.splice(at..at + from.len(), to.bytes());
        self
    }

    /// Without everything from the first to the second text.
    fn without(mut self, from: &str, to: &str) -> Self {
        let find = |text: &str| self.body.windows(text.len()).position(|w| w == text.as_bytes()).unwrap();
        let (start, end) = (find(from), find(to) + to.len());
        self.body.drain(start..end);
        self
    }
}

#[test]
fn every_refusal_that_the_manual_lists_has_its_code() {
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/as4.md")).unwrap();
    let rows: Vec<(&str, &str)> = manual
        .lines()
        .filter(|line| line.ends_with("| `as4` |"))
        .map(|line| line.trim_matches(['|', ' ']).split(" | ").collect::<Vec<_>>())
        .map(|cells| (cells[0], cells[1]))
        .collect();
    assert!(rows.len() > 20, "{} rows", rows.len());
    for (row, code) in &rows {
        for (number, request) in requests(row).iter().enumerate() {
            let error = request.error();
            assert_eq!(*error.code, **code, "{row}, request {number}: {error}");
        }
    }
    // Each code is either in the table or among those that are never sent.
    let (table, never) = manual.split_once("Never sent:").unwrap();
    let of = |text: &str| {
        Code::ALL.into_iter().filter(|code| text.contains(code.text().trim_start_matches("EBMS:"))).map(Code::text).collect::<BTreeSet<_>>()
    };
    let (sent, never) = (of(table), of(never.split("Not answered").next().unwrap()));
    assert_eq!(sent.union(&never).count(), Code::ALL.len());
    assert_eq!(sent.intersection(&never).count(), 0);
}

/// The refusals that need a whole gateway have their tests there.
#[test]
fn the_other_refusals_of_the_manual_have_their_tests_in_the_gateway() {
    let read = |path: &str| std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (manual, tests) = (read("docs/as4.md"), read("tests/gateway/as4.rs"));
    let rows = manual.lines().filter(|line| line.ends_with("| `gateway` |"));
    let known = [
        (
            "an envelope that disagrees with the header, or is of another federation | EBMS:0003",
            "an_envelope_that_disagrees_with_its_as4_header_is_deleted",
        ),
        (
            "a participant or a document that is not served here, with the detail NOT_SERVICED | EBMS:0004",
            "a_recipient_that_is_not_ours_is_not_serviced",
        ),
        ("a payload that is not an SDK envelope | EBMS:0004", "a_dtd_in_the_envelope_is_deleted"),
        ("a signer of another environment, expired or revoked | EBMS:0101", "an_access_point_of_another_environment_is_refused"),
    ];
    assert_eq!(rows.clone().count(), known.len());
    for (row, (text, test)) in rows.zip(known) {
        assert_eq!(row, format!("| {text} | `gateway` |"));
        assert!(tests.contains(&format!("fn {test}")), "{test}");
    }
}

/// Of each kind of refusal, what is written back.
#[test]
fn every_error_says_what_ebms_asks_for_and_is_signed() {
    let id = "foreign-1@phase4".parse().unwrap();
    for code in Code::ALL {
        let written = error::write(&[EbmsError::new(code, "Something is <wrong>")], Some(&id), &signal_id(), Timestamp::now(), receiver()).unwrap();
        let document = Document::parse(&written, &Limits::of(1 << 20)).unwrap();
        let error = document.elements().find(|e| e.local() == "Error").unwrap();
        let attribute = |name: &str| error.attribute(name).unwrap_or_else(|| panic!("{code:?} has no {name}"));
        assert_eq!(
            [attribute("errorCode"), attribute("category"), attribute("shortDescription"), attribute("severity"), attribute("refToMessageInError")],
            [code.text(), code.category(), code.short_description(), "failure", id.as_str()]
        );
        let origin = match &code.text()[5..7] {
            "01" => "security",
            "02" => "reliability",
            _ => "ebMS",
        };
        assert_eq!(attribute("origin"), origin);
        let description = error.elements().find(|e| e.local() == "Description").unwrap();
        assert_eq!(description.attribute_ns("http://www.w3.org/XML/1998/namespace", "lang"), Some("en"));
        assert_eq!(description.text(), "Something is <wrong>");
        let mut out = Vec::new();
        let found =
            brevbro::as4::inspect::inspect(error::CONTENT_TYPE, &mut &written[..], &[], &|_| None, std::io::Cursor::new(Vec::new()), &mut out)
                .unwrap();
        let signature = found.signature.unwrap();
        assert_eq!((signature.refused, signature.signer), (None, Some(receiver().certificate.clone())));
        assert_eq!(signature.references.len(), 2, "eb:Messaging and the Body");
    }
}

#[test]
fn a_ping_needs_no_payload_and_no_more_than_its_parties() {
    let service = "<eb3:Service type=\"urn:fdc:digg.se:edelivery:process\">bdx:noprocess</eb3:Service>";
    let action = "busdox-docid-qns::urn:riv:infrastructure:messaging:MessageWithAttachments:3::messagePayload##3.0::tm-base-ext-sigenc";
    let ping =
        || Foreign { parts: Vec::new(), ..foreign() }.edit(service, &format!("<eb3:Service>{TEST_SERVICE}</eb3:Service>")).edit(action, TEST_ACTION);
    let received = ping().is_taken("a ping without payload");
    assert!(received.is_ping());
    pmode::check_ping(&received, &own_pmode()).unwrap();
    let without = ping().edit("name=\"originalSender\"", "name=\"other\"").is_taken("without the properties");
    pmode::check_ping(&without, &own_pmode()).unwrap();
    for (from, to, code) in [
        (">AP0002-SDK-TEST<", ">AP0003-SDK-TEST<", Code::ProcessingModeMismatch),
        (">AP0001-SDK-TEST<", ">AP0003-SDK-TEST<", Code::ValueInconsistent),
    ] {
        let received = ping().edit(from, to).is_taken("a ping");
        assert!(pmode::check_ping(&received, &own_pmode()).unwrap_err().is(code), "{to}");
    }
    assert!(Foreign { sign: false, ..ping() }.opened().unwrap_err().error.is(Code::PolicyNoncompliance), "nobody pings unsigned");
}
