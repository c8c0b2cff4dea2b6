//! What real peers write, form by form, as a foreign writer writes it.
//!
//! | what a peer may do | test |
//! |---|---|
//! | name the signer by BinarySecurityToken (X509v3, X509PKIPathv1), key identifier, issuer and serial number, thumbprint, X509Certificate | `every_name_of_a_signer_is_read` |
//! | write an issuer in either order, with escapes, with OIDs and hexadecimal values | `issuers_are_read_however_they_are_written` |
//! | give a bare key, a key name, a reference elsewhere | `a_signer_without_a_certificate_is_refused` |
//! | name the recipient in each of these ways | `every_name_of_a_recipient_is_read` |
//! | declare OAEP's digest and mask as xmlenc11, as mgf1p, not at all, with a label | `oaep_is_read_as_it_is_declared` |
//! | declare OAEP in a way that is not known, or RSA 1.5 | `a_key_transport_that_is_not_oaep_is_refused` |
//! | encrypt with AES-128, AES-192, AES-256 in GCM | `every_size_of_aes_gcm_is_read` |
//! | canonicalise with PrefixLists, with comments, inclusively, by 1.1; digest with SHA-384 and SHA-512 | `every_canonicalisation_and_digest_is_read` |
//! | tie data to its key by KeyInfo or by ReferenceList alone; encrypt to several recipients | `an_encrypted_attachment_finds_its_key` |
//! | break lines of base64, with `&#xd;` | `base64_in_the_header_may_be_broken_into_lines` |
//! | write CRLF in the header | `line_ends_are_normalised_before_the_digest` |
//! | not compress; digest XML and text in canonical form, by the type of the part or of EncryptedData | `a_payload_that_is_not_compressed_is_read_in_all_three_ways` |
//! | encode parts | `every_transfer_encoding_is_read` |
//! | name a part `x@host`, percent-encode its URI | `content_ids_with_a_host_and_encoded_uris_are_read` |
//! | write preamble, epilogue, folded headers, boundary with and without quotes, `start`, `start-info` | `packages_are_read_however_they_are_wrapped` |
//! | use SOAP 1.1, MTOM, XOP | `soap_1_1_and_mtom_are_refused` |
//! | leave out property types, name an agreement, add properties, name the default channel, write the type of the service without case | `what_a_header_may_have_beside_the_p_mode_is_tolerated` |
//! | send none, two or nine payloads | `other_numbers_of_payloads_than_one_have_their_answer` |
//! | put Security before or behind Messaging | `the_order_of_header_blocks_is_free` |
//! | write a time stamp | `a_time_stamp_is_checked_when_there` |
//!
//! And what we write, for readers that read in one way only: `what_we_write_has_the_one_form_that_every_peer_reads`.

use brevbro::as4::receive::Options;
use brevbro::as4::{Code, PMode, pmode};
use brevbro::crypto::Digest;
use brevbro::xml::{Document, Limits};
use openssl::symm::Cipher;

use crate::exchange::{own_pmode, receiver, sender};
use crate::foreign::{C14n, EXC, Foreign, Part, XHE, issuer_serial, key_identifier, opened, token, token_reference, transport};
use crate::keys;

const SKI: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509SubjectKeyIdentifier";
const THUMBPRINT: &str = "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#ThumbprintSHA1";
const OAEP: &str = "http://www.w3.org/2009/xmlenc11#rsa-oaep";
const MGF1P: &str = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";
const DIGESTS: [Digest; 4] = [Digest::Sha1, Digest::Sha256, Digest::Sha384, Digest::Sha512];

/// A PKIPath of one certificate: a DER sequence around it, with a length of two octets.
fn path(der: &[u8]) -> Vec<u8> {
    [&[0x30, 0x82][..], &u16::try_from(der.len()).unwrap().to_be_bytes(), der].concat()
}

/// Every name of a certificate: what stands in KeyInfo, and the token beside it.
fn names(certificate: &brevbro::crypto::Certificate, name: &str, id: &str) -> Vec<(&'static str, String, String)> {
    let thumbprint = Digest::Sha1.of(certificate.der()).unwrap();
    let data = format!("<ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data>", certificate.to_base64());
    let ski =
        format!("<ds:X509Data><ds:X509SKI>{}</ds:X509SKI></ds:X509Data>", openssl::base64::encode_block(&certificate.subject_key_id().unwrap()));
    let none = String::new;
    vec![
        ("token", token_reference(id), token(id, "X509v3", certificate.der())),
        ("path", token_reference(id), token(id, "X509PKIPathv1", &path(certificate.der()))),
        ("key identifier", key_identifier(SKI, &certificate.subject_key_id().unwrap()), none()),
        ("thumbprint", key_identifier(THUMBPRINT, &thumbprint), none()),
        ("issuer and serial", issuer_serial(&format!("CN={name},O=Prov\\, AB,C=SE"), &certificate.serial()), none()),
        ("certificate", data.clone(), none()),
        ("certificate in a token reference", format!("<wsse:SecurityTokenReference>{data}</wsse:SecurityTokenReference>"), none()),
        ("X509SKI", ski, none()),
    ]
}

#[test]
fn every_name_of_a_signer_is_read() {
    for (what, info, token) in names(&sender().certificate, "AP0001-SDK-TEST", "T-sign") {
        Foreign { signer_info: info, signer_token: token, ..Foreign::new() }.is_taken(what);
    }
}

#[test]
fn issuers_are_read_however_they_are_written() {
    let serial = sender().certificate.serial();
    for issuer in [
        "CN=AP0001-SDK-TEST,O=Prov\\, AB,C=SE",
        "C=SE,O=Prov\\, AB,CN=AP0001-SDK-TEST",
        "CN=AP0001-SDK-TEST, O=\"Prov, AB\", C=SE",
        "cn=ap0001-sdk-test;o=Prov\\2C  AB;c=se",
        "2.5.4.3=AP0001-SDK-TEST,OID.2.5.4.10=Prov\\, AB,2.5.4.6=SE",
        "2.5.4.3=#0c0f4150303030312d53444b2d54455354,2.5.4.10=#130850726f762c204142,C=SE",
    ] {
        for serial in [serial.clone(), format!(" {serial}\n"), format!("+{serial}"), format!("00{serial}")] {
            Foreign { signer_info: issuer_serial(issuer, &serial), signer_token: String::new(), ..Foreign::new() }.is_taken(issuer);
        }
    }
    let hexadecimal = openssl::bn::BigNum::from_dec_str(&serial).unwrap().to_hex_str().unwrap().to_string();
    for (issuer, serial) in [
        ("CN=AP0001-SDK-TEST,C=SE", serial.as_str()),
        ("CN=AP0002-SDK-TEST,O=Prov\\, AB,C=SE", &serial),
        ("O=Prov\\, AB,CN=AP0001-SDK-TEST,C=SE", &serial),
        ("CN=AP0001-SDK-TEST,O=Prov\\, AB,C=SE", "1"),
        ("CN=AP0001-SDK-TEST,O=Prov\\, AB,C=SE", &hexadecimal),
        ("CN=AP0001-SDK-TEST,O=Prov\\, AB,C=SE", &format!("-{serial}")),
        ("", &serial),
    ] {
        let foreign = Foreign { signer_info: issuer_serial(issuer, serial), signer_token: String::new(), ..Foreign::new() };
        assert!(foreign.opened().unwrap_err().error.is(Code::FailedAuthentication), "{issuer} {serial}");
    }
}

#[test]
fn a_signer_without_a_certificate_is_refused() {
    let reference = |inner: &str| format!("<wsse:SecurityTokenReference>{inner}</wsse:SecurityTokenReference>");
    let certificate = sender().certificate.to_base64();
    for info in [
        "<ds:KeyValue><ds:RSAKeyValue><ds:Modulus>AQAB</ds:Modulus><ds:Exponent>AQAB</ds:Exponent></ds:RSAKeyValue></ds:KeyValue>".to_owned(),
        "<ds:KeyName>AP0001-SDK-TEST</ds:KeyName>".into(),
        "<ds:RetrievalMethod URI=\"#T-sign\"/>".into(),
        "<ds:X509Data><ds:X509SubjectName>CN=AP0001-SDK-TEST,O=Prov\\, AB,C=SE</ds:X509SubjectName></ds:X509Data>".into(),
        reference("<wsse:Reference URI=\"#nobody\"/>"),
        reference("<wsse:Reference URI=\"http://127.0.0.1:9/token\"/>"),
        reference("<wsse:Reference/>"),
        reference(&format!("<wsse:KeyIdentifier>{certificate}</wsse:KeyIdentifier>")),
        reference(&format!("<wsse:KeyIdentifier ValueType=\"urn:x\">{certificate}</wsse:KeyIdentifier>")),
        reference(
            "<wsse:KeyIdentifier ValueType=\"http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#EncryptedKeySHA1\">AAAA</wsse:KeyIdentifier>",
        ),
        reference(""),
        String::new(),
    ] {
        let foreign = Foreign { signer_info: info.clone(), ..Foreign::new() };
        assert!(foreign.opened().unwrap_err().error.is(Code::FailedAuthentication), "{info}");
    }
    // A token elsewhere than in Security, or of another kind, is none.
    let token = token("X509-sign", "X509v3", sender().certificate.der());
    for token in [token.replace("#X509v3", "#X509v1"), format!("<w>{token}</w>"), token.replace(&certificate, "*")] {
        let foreign = Foreign { signer_token: token, ..Foreign::new() };
        assert!(foreign.opened().unwrap_err().error.is(Code::FailedAuthentication));
    }
}

#[test]
fn every_name_of_a_recipient_is_read() {
    for (what, info, token) in names(&receiver().certificate, "AP0002-SDK-TEST", "T-encrypt") {
        Foreign { recipient_info: info, recipient_token: token, ..Foreign::new() }.is_taken(what);
    }
    for (what, info, token) in names(&sender().certificate, "AP0001-SDK-TEST", "T-encrypt") {
        let foreign = Foreign { recipient_info: info, recipient_token: token, ..Foreign::new() };
        assert!(foreign.opened().unwrap_err().error.is(Code::FailedDecryption), "{what}");
    }
}

#[test]
fn oaep_is_read_as_it_is_declared() {
    let with = |method: String, digest, mask, label: &[u8]| Foreign { transport: method, oaep: (digest, mask, label.to_vec()), ..Foreign::new() };
    with(transport(OAEP, None, None, ""), Digest::Sha1, Digest::Sha1, b"").is_taken("nothing declared");
    with(transport(MGF1P, None, None, ""), Digest::Sha1, Digest::Sha1, b"").is_taken("mgf1p alone");
    with(transport(OAEP, Some(Digest::Sha256), Some(Digest::Sha256), "bGFi\n&#xd; ZWw="), Digest::Sha256, Digest::Sha256, b"label")
        .is_taken("a label");
    for digest in DIGESTS {
        with(transport(OAEP, Some(digest), None, ""), digest, Digest::Sha1, b"").is_taken("no mask: MGF1 with SHA-1");
        with(transport(MGF1P, Some(digest), None, ""), digest, Digest::Sha1, b"").is_taken("mgf1p");
        // mgf1p has its mask in its name; an MGF beside it says nothing.
        with(transport(MGF1P, Some(digest), Some(Digest::Sha512), ""), digest, Digest::Sha1, b"").is_taken("mgf1p with an MGF");
        for mask in DIGESTS {
            with(transport(OAEP, Some(digest), Some(mask), ""), digest, mask, b"").is_taken(&format!("{digest:?} {mask:?}"));
        }
    }
    // What is declared counts, not what was done.
    for (method, digest, mask) in [
        (transport(OAEP, Some(Digest::Sha256), None, ""), Digest::Sha256, Digest::Sha256),
        (transport(OAEP, Some(Digest::Sha256), Some(Digest::Sha256), ""), Digest::Sha1, Digest::Sha256),
        (transport(OAEP, Some(Digest::Sha256), Some(Digest::Sha256), "bGFiZWw="), Digest::Sha256, Digest::Sha256),
    ] {
        assert!(with(method, digest, mask, b"").opened().unwrap_err().error.is(Code::FailedDecryption));
    }
}

#[test]
fn a_key_transport_that_is_not_oaep_is_refused() {
    let unknown = |method: &str| method.replace("xmlenc#sha256", "xmldsig-more#md5");
    for method in [
        transport("http://www.w3.org/2001/04/xmlenc#rsa-1_5", None, None, ""),
        transport("urn:x", None, None, ""),
        unknown(&transport(OAEP, Some(Digest::Sha256), None, "")),
        transport(OAEP, None, Some(Digest::Sha256), "").replace("mgf1sha256", "mgf1md5"),
        transport(OAEP, None, None, "*"),
        String::new(),
    ] {
        let foreign = Foreign { transport: method.clone(), ..Foreign::new() };
        assert!(foreign.opened().unwrap_err().error.is(Code::PolicyNoncompliance), "{method}");
    }
}

#[test]
fn every_size_of_aes_gcm_is_read() {
    for (name, cipher) in [("aes128-gcm", Cipher::aes_128_gcm()), ("aes192-gcm", Cipher::aes_192_gcm()), ("aes256-gcm", Cipher::aes_256_gcm())] {
        let uri: &'static str = format!("http://www.w3.org/2009/xmlenc11#{name}").leak();
        Foreign { cipher: (uri, cipher), ..Foreign::new() }.is_taken(name);
    }
    // A key of another size than the name says.
    let foreign = Foreign { cipher: ("http://www.w3.org/2009/xmlenc11#aes256-gcm", Cipher::aes_128_gcm()), ..Foreign::new() };
    assert!(foreign.opened().unwrap_err().error.is(Code::FailedDecryption));
}

#[test]
fn every_canonicalisation_and_digest_is_read() {
    let exclusive =
        [None, Some(""), Some("env"), Some("env eb3 wsse wsu"), Some("#default env"), Some("unused"), Some("nowhere #default"), Some(" env\n\tds ")];
    let forms: Vec<C14n> = exclusive
        .into_iter()
        .map(|list| C14n(EXC, list))
        .chain([
            C14n("http://www.w3.org/2001/10/xml-exc-c14n#WithComments", Some("wsu")),
            C14n("http://www.w3.org/TR/2001/REC-xml-c14n-20010315", None),
            C14n("http://www.w3.org/2006/12/xml-c14n11", None),
        ])
        .collect();
    for form in &forms {
        Foreign { signed_info: *form, ..Foreign::new() }.is_taken(&format!("the signature by {form:?}"));
        Foreign { transform: *form, ..Foreign::new() }
            .edit("<eb3:UserMessage>", "<eb3:UserMessage><!-- c -->")
            .is_taken(&format!("a reference by {form:?}"));
    }
    for digest in [Digest::Sha256, Digest::Sha384, Digest::Sha512] {
        Foreign { digest, ..Foreign::new() }.is_taken(&format!("{digest:?}"));
    }
}

#[test]
fn an_encrypted_attachment_finds_its_key() {
    Foreign { data_names_key: false, ..Foreign::new() }.is_taken("by the list");
    Foreign { key_lists_data: false, ..Foreign::new() }.is_taken("by its KeyInfo");
    let neither = Foreign { data_names_key: false, key_lists_data: false, ..Foreign::new() };
    assert!(neither.opened().unwrap_err().error.is(Code::FailedDecryption));
    let two = vec![Part::new("a@b", XHE), Part::new("c@d", b"<second/>")];
    Foreign { data_names_key: false, parts: two, ..Foreign::new() }.is_taken("two parts under one key");

    // A copy for somebody else, before ours: its key is not tried.
    let other = keys::identity("AP0003-SDK-TEST");
    let copy = |id: &str, list: &str| {
        format!(
            "{}<xenc:EncryptedKey xmlns:xenc=\"{}\" xmlns:ds=\"{}\" Id=\"{id}\">{}<ds:KeyInfo>{}</ds:KeyInfo><xenc:CipherData><xenc:CipherValue>AAAA\
             </xenc:CipherValue></xenc:CipherData>{list}</xenc:EncryptedKey>",
            token("T-other", "X509v3", other.certificate.der()),
            brevbro::crypto::XENC,
            brevbro::crypto::DS,
            transport(OAEP, None, None, ""),
            token_reference("T-other"),
        )
    };
    let list = "<xenc:ReferenceList><xenc:DataReference URI=\"#ED-0\"/></xenc:ReferenceList>";
    for data_names_key in [true, false] {
        Foreign { more: copy("EK-0", list), data_names_key, ..Foreign::new() }.is_taken("a copy for somebody else");
    }
    // Named by the data, but for somebody else, while ours lists the data.
    let mut crossed = Foreign { more: copy("EK-9", ""), ..Foreign::new() };
    crossed.parts[0].cid = "x".into();
    let (content_type, body) = crossed.written();
    let body = edited(&body, |soap| soap.replace("<wsse:Reference URI=\"#EK-1\"/>", "<wsse:Reference URI=\"#EK-9\"/>"));
    assert_eq!(opened(&content_type, &body, &Options::default()).unwrap().1, XHE);
}

/// The SOAP part changed after it was signed: what is outside of the signature.
fn edited(body: &[u8], edit: impl Fn(&str) -> String) -> Vec<u8> {
    let end = body.windows(15).position(|w| w == b"</env:Envelope>").unwrap() + 15;
    let start = body.windows(5).position(|w| w == b"<?xml").unwrap();
    let soap = std::str::from_utf8(&body[start..end]).unwrap();
    let changed = edit(soap);
    assert_ne!(soap, changed);
    [&body[..start], changed.as_bytes(), &body[end..]].concat()
}

#[test]
fn base64_in_the_header_may_be_broken_into_lines() {
    for line_break in ["\n", "\r\n", "&#xd;\n", "&#13;&#10;", " "] {
        Foreign { line_break, ..Foreign::new() }.is_taken(&format!("{line_break:?}"));
    }
    let info =
        |text: &str| key_identifier(SKI, &sender().certificate.subject_key_id().unwrap()).replace("</wsse:KeyId", &format!("{text}</wsse:KeyId"));
    Foreign { signer_info: info("&#xd;\n"), signer_token: String::new(), ..Foreign::new() }.is_taken("a key identifier");
    let token = token("X509-sign", "X509v3", sender().certificate.der()).replace('A', "A&#xd;\n");
    Foreign { signer_token: token, ..Foreign::new() }.is_taken("a token");
}

#[test]
fn line_ends_are_normalised_before_the_digest() {
    let lines = "<eb3:UserMessage>\r\n \t<!-- x -->\r";
    let foreign = Foreign::new().edit("<eb3:UserMessage>", lines).edit("0203:habo.se<", "\r\n0203:habo.se\r\n<");
    let received = foreign.is_taken("CRLF in the header");
    assert_eq!(pmode::check(&received, &own_pmode()).unwrap().original_sender.as_str(), "0203:habo.se");
    // What libxml2 digested came out of its parser: a line end of another kind is the same, a character reference is not.
    let (content_type, body) = foreign.written();
    let changed = edited(&body, |soap| soap.replace("\r\n \t", "\n \t"));
    assert_eq!(opened(&content_type, &changed, &Options::default()).unwrap().1, XHE);
    let changed = edited(&body, |soap| soap.replace("\r\n \t", "&#xd;\n \t"));
    assert!(opened(&content_type, &changed, &Options::default()).unwrap_err().error.is(Code::FailedAuthentication));
}

#[test]
fn a_payload_that_is_not_compressed_is_read_in_all_three_ways() {
    let canonical = "<XHE a=\"1\">å</XHE>".as_bytes().to_vec();
    let part = |payload: &[u8], media: Option<&str>, headers: &str, digested: Option<&[u8]>| Foreign {
        parts: vec![Part {
            gzip: false,
            encrypted_media: media.map(str::to_owned),
            headers: headers.into(),
            digested: digested.map(<[u8]>::to_vec),
            ..Part::new("p@q", payload)
        }],
        ..Foreign::new()
    };
    let octet_stream = "Content-Type: application/octet-stream\r\n";
    for media in ["text/xml", "application/xml", "Text/XML; charset=UTF-8", "application/xhe+xml"] {
        part(XHE, Some(media), octet_stream, Some(&canonical)).is_taken(media);
        part(XHE, Some(media), octet_stream, None).is_taken(media);
        part(XHE, None, &format!("Content-Type: {media}\r\n"), Some(&canonical)).is_taken(media);
    }
    let lines: &[u8] = b"a\nb\r\nc\rd\n";
    part(lines, Some("text/plain"), octet_stream, Some(b"a\r\nb\r\nc\rd\r\n")).is_taken("text");
    part(lines, Some("text/plain"), octet_stream, Some(b"a\r\nb\r\nc\r\nd\r\n")).is_taken("text with a lone CR");
    part(lines, None, "Content-Type: text/csv;\r\n charset=us-ascii\r\n", Some(b"a\r\nb\r\nc\rd\r\n")).is_taken("text by its Content-Type");
    part(lines, Some("application/octet-stream"), octet_stream, None).is_taken("octets");
    // EncryptedData says what was encrypted; the part's Content-Type is that of the ciphertext.
    let refused = |foreign: Foreign| foreign.opened().unwrap_err().error;
    assert!(refused(part(XHE, Some("application/octet-stream"), "Content-Type: text/xml\r\n", Some(&canonical))).is(Code::FailedAuthentication));
    assert!(refused(part(XHE, Some("text/xml"), octet_stream, Some(b"<XHE a=\"2\"></XHE>"))).is(Code::FailedAuthentication));
    let mut gzip = Foreign::new();
    gzip.parts[0].digested = Some(canonical);
    gzip.parts[0].encrypted_media = Some("text/xml".into());
    assert!(refused(gzip).is(Code::FailedAuthentication), "what is compressed is digested as it is");
}

#[test]
fn every_transfer_encoding_is_read() {
    for encoding in ["binary", "base64", "quoted-printable", "8bit", "7bit"] {
        for gzip in [true, false] {
            let part = Part { encoding, gzip, ..Part::new("p@q", XHE) };
            Foreign { parts: vec![part], ..Foreign::new() }.is_taken(encoding);
        }
    }
    for (from, to) in [("Content-Transfer-Encoding: binary", "CONTENT-TRANSFER-ENCODING:   BINARY"), ("Content-Transfer-Encoding: binary\r\n", "")] {
        let (content_type, body) = Foreign::new().written();
        let changed = replaced(&body, from.as_bytes(), to.as_bytes());
        assert_eq!(opened(&content_type, &changed, &Options::default()).unwrap().1, XHE, "{to}");
    }
    let (content_type, body) = Foreign::new().written();
    let changed = replaced(&body, b"Encoding: binary", b"Encoding: x-gzip");
    assert!(opened(&content_type, &changed, &Options::default()).unwrap_err().error.is(Code::MimeInconsistency));
}

fn replaced(body: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = body.windows(from.len()).position(|w| w == from).unwrap();
    [&body[..at], to, &body[at + from.len()..]].concat()
}

#[test]
fn content_ids_with_a_host_and_encoded_uris_are_read() {
    for cid in ["message", "x@host", "b6a4e7c0-1d2f-4e5a@ap.habo.se", "a+b=c$d@e", "a%25b@c"] {
        let foreign = Foreign { parts: vec![Part::new(cid, XHE)], ..Foreign::new() };
        let received = if cid.contains('%') {
            // In the URI as well as in the header: RFC 2392 decodes the URI, and some do not.
            let (content_type, body) = foreign.written();
            let decoded = replaced(&body, b"Content-ID: <a%25b@c>", b"Content-ID: <a%b@c>");
            assert_eq!(opened(&content_type, &decoded, &Options::default()).unwrap().1, XHE);
            foreign.is_taken(cid)
        } else {
            foreign.is_taken(cid)
        };
        assert_eq!(received.parts[0].href, format!("cid:{cid}"));
    }
    // Encoded in the header and not in the signature, or the other way round.
    let encoded = Foreign { parts: vec![Part::new("x@host", XHE)], ..Foreign::new() }.edit("href=\"cid:x@host\"", "href=\"cid:x%40host\"");
    assert_eq!(encoded.is_taken("an encoded href").parts[0].href, "cid:x%40host");
    let mut decoded = Foreign { parts: vec![Part::new("x%40host", XHE)], ..Foreign::new() }.edit("href=\"cid:x%40host\"", "href=\"cid:x@host\"");
    decoded.parts[0].headers = "Content-ID: <x@host>\r\nX-".into();
    decoded.is_taken("an encoded signature");
    for header in ["content-id: <x@host>", "Content-Id:\r\n <x@host>", "CONTENT-ID:x@host"] {
        let (content_type, body) = Foreign { parts: vec![Part::new("x@host", XHE)], ..Foreign::new() }.written();
        let changed = replaced(&body, b"Content-ID: <x@host>", header.as_bytes());
        assert_eq!(opened(&content_type, &changed, &Options::default()).unwrap().1, XHE, "{header}");
    }
}

#[test]
fn packages_are_read_however_they_are_wrapped() {
    let (content_type, body) = Foreign::new().written();
    let taken = |what: &str, content_type: &str, body: &[u8]| {
        let read = opened(content_type, body, &Options::default()).unwrap_or_else(|refusal| panic!("{what}: {refusal}"));
        assert_eq!(read.1, XHE, "{what}");
    };
    taken("a preamble", &content_type, &[b"This is a multi-part message in MIME format.\r\n\r\n", &body[..]].concat());
    taken("a line before", &content_type, &[b"\r\n", &body[..]].concat());
    taken("an epilogue", &content_type, &[&body[..], b"bye\r\n------=_Part\r\n"].concat());
    taken(
        "a root with a Content-ID",
        &content_type,
        &replaced(&body, b"Content-Type: application/soap+xml", b"Content-ID: <root@x>\r\nContent-Type: application/soap+xml"),
    );
    taken(
        "a root of another form",
        &content_type,
        &replaced(&body, b"application/soap+xml;charset=UTF-8", b"application/soap+xml;\r\n\tcharset=\"utf-8\"; action=\"\""),
    );
    for (from, to) in [
        ("boundary=\"----=_Part\"", "boundary=----=_Part"),
        ("multipart/related; boundary=\"----=_Part\"", "Multipart/Related;\r\n\tcharset=utf-8;\r\n BOUNDARY=\"----=_Part\" "),
        ("type=\"application/soap+xml\"", "type=application/soap+xml; start-info=\"application/soap+xml\"; action=\"a;b\""),
        ("type=\"application/soap+xml\"", "type=\"application/soap+xml\"; start=\"<root@x>\""),
        ("; type=\"application/soap+xml\"; charset=UTF-8", ""),
    ] {
        assert!(content_type.contains(from), "{from}");
        taken(to, &content_type.replace(from, to), &body);
    }
    let started = replaced(&body, b"Content-Type: application/soap+xml", b"Content-ID: <root@x>\r\nContent-Type: application/soap+xml");
    taken("start", &format!("{content_type}; start=\"<root@x>\""), &started);
    taken("start without brackets", &format!("{content_type}; start=root@x"), &started);
    let other = opened(&format!("{content_type}; start=\"<phase4-att-7f0e@cid>\""), &started, &Options::default());
    assert!(other.unwrap_err().error.is(Code::MimeInconsistency), "the SOAP part comes first");
}

#[test]
fn soap_1_1_and_mtom_are_refused() {
    let (content_type, body) = Foreign::new().written();
    let refused = |content_type: &str, body: &[u8]| opened(content_type, body, &Options::default()).unwrap_err().error;
    let part = b"Content-Type: application/soap+xml;charset=UTF-8";
    assert!(refused(&content_type, &replaced(&body, part, b"Content-Type: text/xml")).is(Code::MimeInconsistency));
    let xop = b"Content-Type: application/xop+xml; type=\"application/soap+xml\"";
    assert!(refused(&content_type.replace("application/soap+xml", "application/xop+xml"), &replaced(&body, part, xop)).is(Code::MimeInconsistency));
    let old = replaced(&body, b"http://www.w3.org/2003/05/soap-envelope", b"http://schemas.xmlsoap.org/soap/envelope/");
    assert!(refused(&content_type, &old).is(Code::InvalidHeader));
    assert!(refused("text/xml", b"<x/>").is(Code::MimeInconsistency));
    // A value that is said to stand in a part of its own.
    let include = "<xop:Include xmlns:xop=\"http://www.w3.org/2004/08/xop/include\" href=\"cid:x\"/>";
    let value = |soap: &str, name: &str| {
        let start = soap.find(&format!("<{name}>")).unwrap() + name.len() + 2;
        soap[start..start + soap[start..].find('<').unwrap()].to_owned()
    };
    let in_place_of = |name: &'static str| edited(&body, |soap| soap.replace(&value(soap, name), include));
    assert!(refused(&content_type, &in_place_of("ds:SignatureValue")).is(Code::FailedAuthentication));
    assert!(refused(&content_type, &in_place_of("xenc:CipherValue")).is(Code::FailedDecryption));
}

#[test]
fn what_a_header_may_have_beside_the_p_mode_is_tolerated() {
    let extra = "<eb3:Property name=\"trackingIdentifier\">1</eb3:Property></eb3:MessageProperties>";
    let agreement = "<eb3:AgreementRef type=\"urn:x\" pmode=\"p\">urn:agreement</eb3:AgreementRef><eb3:Service ";
    let mpc = format!("<eb3:UserMessage mpc=\"{}\">", brevbro::as4::DEFAULT_MPC);
    for (from, to) in [
        (" type=\"iso6523-actorid-upis\"", ""),
        ("</eb3:MessageProperties>", extra),
        ("<eb3:Service ", agreement),
        ("<eb3:UserMessage>", mpc.as_str()),
        ("urn:fdc:digg.se:edelivery:process\"", "urn:fdc:Digg.se:edelivery:process\""),
        ("2026-01-02T03:04:05.678+01:00", "2026-01-02T03:04:05"),
        ("2026-01-02T03:04:05.678+01:00", "2026-01-02T03:04:05.123456789Z"),
        (">0203:habo.se<", ">0203:HABO.se<"),
        ("<eb3:MessageId>foreign-1@phase4", "<eb3:MessageId>\n  foreign-1@phase4 \n"),
        ("text/xml", "application/xml"),
        ("<eb3:ConversationId>70c5ea37-f4a9-4771-b0c7-09becd024bda", "<eb3:ConversationId>"),
    ] {
        let received = Foreign::new().edit(from, to).is_taken(to);
        let message = pmode::check(&received, &own_pmode()).unwrap_or_else(|error| panic!("{to}: {error}"));
        assert_eq!((message.message_id.as_str(), message.from.as_str()), ("foreign-1@phase4", "AP0001-SDK-TEST"), "{to}");
    }
}

#[test]
fn other_numbers_of_payloads_than_one_have_their_answer() {
    let pmode = |parts: Vec<Part>| {
        let received = Foreign { parts, ..Foreign::new() }.is_taken("parts");
        pmode::check(&received, &PMode::sdk("AP0002-SDK-TEST".parse().unwrap())).map(|_| ()).map_err(|error| error.code)
    };
    assert_eq!(pmode(vec![Part::new("a", XHE)]), Ok(()));
    // They open, as AS4 allows; SDK C3.2.1 2.6 has one.
    assert_eq!(pmode(Vec::new()), Err("EBMS:0010".into()));
    assert_eq!(pmode(vec![Part::new("a", XHE), Part::new("b", XHE)]), Err("EBMS:0010".into()));
    let nine = (0..9).map(|number| Part::new(&format!("p{number}"), XHE)).collect();
    assert!(Foreign { parts: nine, ..Foreign::new() }.opened().unwrap_err().error.is(Code::FeatureNotSupported));
}

#[test]
fn the_order_of_header_blocks_is_free() {
    Foreign { security_first: true, ..Foreign::new() }.is_taken("Security before Messaging");
    let foreign = Foreign { more: "<x xmlns=\"urn:x\" env:mustUnderstand=\"false\"/>".into(), ..Foreign::new() };
    foreign.is_taken("an unknown element in Security");
}

#[test]
fn a_time_stamp_is_checked_when_there() {
    let now = jiff::Timestamp::now();
    let stamp = |created: i64, expires: i64| {
        let at = |seconds: i64| now + jiff::SignedDuration::from_secs(seconds);
        let more = format!(
            "<wsu:Timestamp wsu:Id=\"TS-1\"><wsu:Created>{}</wsu:Created><wsu:Expires>{}</wsu:Expires></wsu:Timestamp>",
            at(created),
            at(expires)
        );
        Foreign { more, ..Foreign::new() }
    };
    stamp(-10, 300).is_taken("a time stamp");
    stamp(120, 300).is_taken("a clock that is two minutes ahead");
    stamp(-600, -120).is_taken("and one that is behind");
    for (created, expires) in [(600, 900), (-900, -600)] {
        assert!(stamp(created, expires).opened().unwrap_err().error.is(Code::FailedAuthentication), "{created} {expires}");
    }
    let unreadable = Foreign { more: "<wsu:Timestamp><wsu:Created>today</wsu:Created></wsu:Timestamp>".into(), ..Foreign::new() };
    assert!(unreadable.opened().unwrap_err().error.is(Code::FailedAuthentication));
}

/// WSS4J reads the children of Security in their order, Domibus refuses what its P-Mode does not name.
#[test]
fn what_we_write_has_the_one_form_that_every_peer_reads() {
    let (body, sent) = crate::exchange::packaged(XHE);
    let text = String::from_utf8_lossy(&body);
    let soap = &text[text.find("<?xml").unwrap()..text.find("</S12:Envelope>").unwrap() + 15];
    let document = Document::parse(soap.as_bytes(), &Limits::of(1 << 20)).unwrap();
    let all = |local: &'static str| document.elements().filter(move |e| e.local() == local).collect::<Vec<_>>();
    let one = |local: &'static str| {
        let [element] = all(local)[..] else { panic!("not one {local}") };
        element
    };
    let algorithm = |local: &'static str| one(local).attribute("Algorithm").unwrap().to_owned();
    let children = one("Security").elements().map(|e| e.local()).collect::<Vec<_>>();
    assert_eq!(children, ["BinarySecurityToken", "EncryptedKey", "EncryptedData", "BinarySecurityToken", "Signature"]);
    for token in all("BinarySecurityToken") {
        assert!(token.attribute("EncodingType").unwrap().ends_with("#Base64Binary") && token.attribute("ValueType").unwrap().ends_with("#X509v3"));
    }
    let to_tokens = all("Reference").into_iter().filter(|e| e.namespace().contains("secext")).collect::<Vec<_>>();
    assert_eq!(to_tokens.len(), 3);
    assert_eq!(to_tokens.iter().filter(|e| e.attribute("ValueType").is_some_and(|kind| kind.ends_with("#X509v3"))).count(), 2);
    let data = one("EncryptedData");
    assert_eq!(data.attribute("MimeType"), Some("application/gzip"));
    assert!(data.attribute("Type").unwrap().ends_with("SwAProfile-1.1#Attachment-Content-Only"));
    assert!(data.elements().any(|e| e.local() == "KeyInfo"));
    assert_eq!(one("DataReference").attribute("URI"), Some(format!("#{}", data.attribute("Id").unwrap()).as_str()));
    assert!(algorithm("MGF").ends_with("#mgf1sha256") && algorithm("SignatureMethod").ends_with("#rsa-sha256"));
    let methods = all("EncryptionMethod").into_iter().map(|e| e.attribute("Algorithm").unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(methods, [OAEP, "http://www.w3.org/2009/xmlenc11#aes128-gcm"]);
    assert_eq!(algorithm("CanonicalizationMethod"), EXC);
    assert!(all("DigestMethod").iter().all(|e| e.attribute("Algorithm") == Some("http://www.w3.org/2001/04/xmlenc#sha256")));
    let uris = sent.references.iter().map(|reference| reference.uri.split('-').next().unwrap()).collect::<Vec<_>>();
    assert_eq!(uris, ["#messaging", "#body", "cid:message"]);
    assert!(all("Timestamp").iter().all(|e| e.namespace().contains("ebms")), "no wsu:Timestamp");
    assert!(all("AgreementRef").is_empty() && one("Body").children().next().is_none());
    let properties =
        |list: &'static str| one(list).elements().map(|e| format!("{}={}", e.attribute("name").unwrap(), e.trimmed())).collect::<Vec<_>>();
    assert_eq!(properties("MessageProperties"), ["originalSender=0203:habo.se", "finalRecipient=0203:arbetsformedlingen.se"]);
    assert!(one("MessageProperties").elements().all(|e| e.attribute("type") == Some("iso6523-actorid-upis")));
    assert_eq!(properties("PartProperties"), ["MimeType=text/xml", "CompressionType=application/gzip"]);
    assert_eq!(one("PartInfo").attribute("href"), Some("cid:message"));
    assert!(text.contains("Content-ID: <message>\r\n") && text.contains("Content-Type: application/octet-stream\r\n"));
}
