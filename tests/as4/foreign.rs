//! A writer of AS4 requests that is not ours: every form that peers write can be chosen. Canonical forms are libxml2's.

use std::io::{Cursor, Write};

use base64::prelude::*;
use brevbro::as4::receive::{Context, Options, open};
use brevbro::as4::{Received, Refusal};
use brevbro::crypto::{Certificate, DS, Digest, Identity, KeyReference, XENC, XENC11};
use jiff::Timestamp;
use libxml::parser::Parser;
use libxml::tree::Node;
use libxml::tree::c14n::{CanonicalizationMode, CanonicalizationOptions};
use openssl::hash::MessageDigest;
use openssl::md::{Md, MdRef};
use openssl::pkey::{PKey, Private};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::Padding;
use openssl::sign::Signer;
use openssl::symm::{Cipher, encrypt_aead};

use crate::exchange::{receiver, sender};

pub(crate) const EXC: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const WSSE: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const WSU: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const TOKENS: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0";
const BASE64: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary";
const SWA: &str = "http://docs.oasis-open.org/wss/oasis-wss-SwAProfile-1.1";
const ROLE: &str = "http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704";
pub(crate) const XHE: &[u8] = b"<?xml version=\"1.0\"?>\n<XHE  a='1'>\xc3\xa5</XHE>\n";

/// A canonicalisation: its `Algorithm` and its PrefixList, when it has one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct C14n(pub(crate) &'static str, pub(crate) Option<&'static str>);

impl C14n {
    fn element(self, name: &str) -> String {
        let list = self.1.map(|list| format!("<ec:InclusiveNamespaces xmlns:ec=\"{EXC}\" PrefixList=\"{list}\"/>"));
        format!("<ds:{name} Algorithm=\"{}\">{}</ds:{name}>", self.0, list.unwrap_or_default())
    }

    fn of(self, node: &mut Node) -> String {
        let (mode, with_comments) = match self.0 {
            EXC => (CanonicalizationMode::ExclusiveCanonical1_0, false),
            "http://www.w3.org/2001/10/xml-exc-c14n#WithComments" => (CanonicalizationMode::ExclusiveCanonical1_0, true),
            "http://www.w3.org/TR/2001/REC-xml-c14n-20010315" => (CanonicalizationMode::Canonical1_0, false),
            "http://www.w3.org/2006/12/xml-c14n11" => (CanonicalizationMode::Canonical1_1, false),
            other => panic!("{other}"),
        };
        // libxml2 calls the default namespace what everybody calls it.
        let inclusive_ns_prefixes = self.1.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        node.canonicalize(CanonicalizationOptions { mode, with_comments, inclusive_ns_prefixes }).unwrap()
    }
}

/// A payload.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Its Content-ID.
    pub(crate) cid: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) gzip: bool,
    /// `MimeType` of the part property.
    pub(crate) media: String,
    /// `EncryptedData/@MimeType`; none, no attribute.
    pub(crate) encrypted_media: Option<String>,
    /// What is digested, where that is not the octets that are encrypted.
    pub(crate) digested: Option<Vec<u8>>,
    /// Headers of the MIME part but Content-ID and Content-Transfer-Encoding.
    pub(crate) headers: String,
    pub(crate) encoding: &'static str,
}

impl Part {
    pub(crate) fn new(cid: &str, payload: &[u8]) -> Self {
        Self {
            cid: cid.into(),
            payload: payload.to_vec(),
            gzip: true,
            media: "text/xml".into(),
            encrypted_media: Some("application/gzip".into()),
            digested: None,
            headers: "Content-Type: application/octet-stream\r\n".into(),
            encoding: "binary",
        }
    }

    fn octets(&self) -> Vec<u8> {
        if !self.gzip {
            return self.payload.clone();
        }
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&self.payload).unwrap();
        encoder.finish().unwrap()
    }

    fn encoded(&self, octets: &[u8]) -> Vec<u8> {
        match self.encoding {
            "base64" => {
                let text = BASE64_STANDARD.encode(octets);
                text.as_bytes().chunks(76).collect::<Vec<_>>().join(&b"\r\n"[..])
            }
            "quoted-printable" => {
                let mut out = Vec::new();
                for (at, octet) in octets.iter().enumerate() {
                    if at % 20 == 19 {
                        out.extend_from_slice(b"=\r\n");
                    }
                    // Upper and lower case, and what need not be encoded.
                    match octet {
                        b'a'..=b'z' | b'A'..=b'Z' => out.push(*octet),
                        _ if at % 2 == 0 => write!(out, "={octet:02x}").unwrap(),
                        _ => write!(out, "={octet:02X}").unwrap(),
                    }
                }
                out
            }
            _ => octets.to_vec(),
        }
    }
}

/// A request and everything that may be written in another way.
#[derive(Clone)]
pub(crate) struct Foreign {
    pub(crate) signer: Identity,
    /// Another key that signs, of a size that no identity has.
    pub(crate) key: Option<PKey<Private>>,
    pub(crate) recipient: Identity,
    /// A change of `eb:Messaging` before it is signed.
    pub(crate) edits: Vec<(String, String)>,
    /// What stands in the Body.
    pub(crate) body: String,
    /// More that stands in `wsse:Security`, before everything else.
    pub(crate) more: String,
    pub(crate) signed_info: C14n,
    pub(crate) transform: C14n,
    pub(crate) digest: Digest,
    /// Inside the KeyInfo of the signature, and the token beside it.
    pub(crate) signer_info: String,
    pub(crate) signer_token: String,
    /// Inside the KeyInfo of the EncryptedKey, and the token beside it.
    pub(crate) recipient_info: String,
    pub(crate) recipient_token: String,
    /// EncryptionMethod of the EncryptedKey.
    pub(crate) transport: String,
    pub(crate) oaep: (Digest, Digest, Vec<u8>),
    pub(crate) cipher: (&'static str, Cipher),
    /// Whether an EncryptedData names its key, and whether the key lists the data.
    pub(crate) data_names_key: bool,
    pub(crate) key_lists_data: bool,
    pub(crate) encrypt: bool,
    pub(crate) sign: bool,
    pub(crate) parts: Vec<Part>,
    /// Line breaks in base64 of the header.
    pub(crate) line_break: &'static str,
    /// Messaging behind Security, as some write it.
    pub(crate) security_first: bool,
}

pub(crate) fn token_reference(id: &str) -> String {
    format!("<wsse:SecurityTokenReference><wsse:Reference URI=\"#{id}\" ValueType=\"{TOKENS}#X509v3\"/></wsse:SecurityTokenReference>")
}

pub(crate) fn token(id: &str, kind: &str, octets: &[u8]) -> String {
    let value = BASE64_STANDARD.encode(octets);
    format!("<wsse:BinarySecurityToken EncodingType=\"{BASE64}\" ValueType=\"{TOKENS}#{kind}\" wsu:Id=\"{id}\">{value}</wsse:BinarySecurityToken>")
}

pub(crate) fn key_identifier(kind: &str, octets: &[u8]) -> String {
    let value = BASE64_STANDARD.encode(octets);
    format!(
        "<wsse:SecurityTokenReference><wsse:KeyIdentifier EncodingType=\"{BASE64}\" ValueType=\"{kind}\">{value}</wsse:KeyIdentifier></wsse:SecurityTokenReference>"
    )
}

pub(crate) fn issuer_serial(issuer: &str, serial: &str) -> String {
    format!(
        "<wsse:SecurityTokenReference><ds:X509Data><ds:X509IssuerSerial><ds:X509IssuerName>{issuer}</ds:X509IssuerName>\
         <ds:X509SerialNumber>{serial}</ds:X509SerialNumber></ds:X509IssuerSerial></ds:X509Data></wsse:SecurityTokenReference>"
    )
}

pub(crate) fn transport(name: &str, digest: Option<Digest>, mask: Option<Digest>, label: &str) -> String {
    let digest = digest.map(|digest| format!("<ds:DigestMethod Algorithm=\"{}\"/>", digest.uri())).unwrap_or_default();
    let mask = mask.map(|mask| format!("<m:MGF xmlns:m=\"{XENC11}\" Algorithm=\"{}\"/>", mask.mgf1_uri())).unwrap_or_default();
    let label = if label.is_empty() { String::new() } else { format!("<xenc:OAEPparams>{label}</xenc:OAEPparams>") };
    format!("<xenc:EncryptionMethod Algorithm=\"{name}\">{label}{digest}{mask}</xenc:EncryptionMethod>")
}

impl Foreign {
    /// What phase4 writes, more or less.
    pub(crate) fn new() -> Self {
        Self {
            signer: sender().clone(),
            key: None,
            recipient: receiver().clone(),
            edits: Vec::new(),
            body: String::new(),
            more: String::new(),
            signed_info: C14n(EXC, Some("env")),
            transform: C14n(EXC, Some("env")),
            digest: Digest::Sha256,
            signer_info: token_reference("X509-sign"),
            signer_token: token("X509-sign", "X509v3", sender().certificate.der()),
            recipient_info: token_reference("X509-encrypt"),
            recipient_token: token("X509-encrypt", "X509v3", receiver().certificate.der()),
            transport: transport("http://www.w3.org/2009/xmlenc11#rsa-oaep", Some(Digest::Sha256), Some(Digest::Sha256), ""),
            oaep: (Digest::Sha256, Digest::Sha256, Vec::new()),
            cipher: ("http://www.w3.org/2009/xmlenc11#aes128-gcm", Cipher::aes_128_gcm()),
            data_names_key: true,
            key_lists_data: true,
            encrypt: true,
            sign: true,
            parts: vec![Part::new("phase4-att-7f0e@cid", XHE)],
            line_break: "",
            security_first: false,
        }
    }

    /// With a change of `eb:Messaging` before it is signed.
    pub(crate) fn edit(mut self, from: &str, to: &str) -> Self {
        self.edits.push((from.into(), to.into()));
        self
    }

    fn messaging(&self) -> String {
        let infos: Vec<String> = self
            .parts
            .iter()
            .map(|part| {
                let compression = if part.gzip { "<eb3:Property name=\"CompressionType\">application/gzip</eb3:Property>" } else { "" };
                format!(
                    "<eb3:PartInfo href=\"cid:{}\"><eb3:PartProperties><eb3:Property name=\"MimeType\">{}</eb3:Property>{compression}</eb3:PartProperties></eb3:PartInfo>",
                    part.cid, part.media
                )
            })
            .collect();
        let infos = if infos.is_empty() { String::new() } else { format!("<eb3:PayloadInfo>{}</eb3:PayloadInfo>", infos.concat()) };
        let party = |name: &str, role: &str| {
            format!(
                "<eb3:PartyId type=\"urn:fdc:digg.se:edelivery:transportprofile:as4:partytype:ap\">{name}</eb3:PartyId><eb3:Role>{ROLE}/{role}</eb3:Role>"
            )
        };
        let mut text = format!(
            "<eb3:Messaging xmlns:eb3=\"{ROLE}/\" xmlns:wsu=\"{WSU}\" env:mustUnderstand=\"true\" wsu:Id=\"phase4-msg-1\"><eb3:UserMessage>\
             <eb3:MessageInfo><eb3:Timestamp>2026-01-02T03:04:05.678+01:00</eb3:Timestamp><eb3:MessageId>foreign-1@phase4</eb3:MessageId></eb3:MessageInfo>\
             <eb3:PartyInfo><eb3:From>{}</eb3:From><eb3:To>{}</eb3:To></eb3:PartyInfo>\
             <eb3:CollaborationInfo><eb3:Service type=\"urn:fdc:digg.se:edelivery:process\">bdx:noprocess</eb3:Service>\
             <eb3:Action>busdox-docid-qns::urn:riv:infrastructure:messaging:MessageWithAttachments:3::messagePayload##3.0::tm-base-ext-sigenc</eb3:Action>\
             <eb3:ConversationId>70c5ea37-f4a9-4771-b0c7-09becd024bda</eb3:ConversationId></eb3:CollaborationInfo>\
             <eb3:MessageProperties><eb3:Property name=\"originalSender\" type=\"iso6523-actorid-upis\">0203:habo.se</eb3:Property>\
             <eb3:Property name=\"finalRecipient\" type=\"iso6523-actorid-upis\">0203:arbetsformedlingen.se</eb3:Property></eb3:MessageProperties>\
             {infos}</eb3:UserMessage></eb3:Messaging>",
            party("AP0001-SDK-TEST", "initiator"),
            party("AP0002-SDK-TEST", "responder")
        );
        for (from, to) in &self.edits {
            assert!(text.contains(from.as_str()), "{from} is not in {text}");
            text = text.replace(from.as_str(), to);
        }
        text
    }

    fn wrapped(&self, key: &[u8]) -> String {
        let md = |digest: Digest| -> &'static MdRef {
            match digest {
                Digest::Sha1 => Md::sha1(),
                Digest::Sha256 => Md::sha256(),
                Digest::Sha384 => Md::sha384(),
                Digest::Sha512 => Md::sha512(),
            }
        };
        let public = self.recipient.certificate.public_key().unwrap();
        let mut context = PkeyCtx::new(&public).unwrap();
        context.encrypt_init().unwrap();
        context.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
        context.set_rsa_oaep_md(md(self.oaep.0)).unwrap();
        context.set_rsa_mgf1_md(md(self.oaep.1)).unwrap();
        if !self.oaep.2.is_empty() {
            context.set_rsa_oaep_label(&self.oaep.2).unwrap();
        }
        let mut out = Vec::new();
        context.encrypt_to_vec(key, &mut out).unwrap();
        self.broken(&BASE64_STANDARD.encode(out))
    }

    fn broken(&self, text: &str) -> String {
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>().join(self.line_break)
    }

    /// The Content-Type and the whole body.
    pub(crate) fn written(&self) -> (String, Vec<u8>) {
        let key = vec![7; self.cipher.1.key_len()];
        let (mut security, mut mime) = (self.more.clone(), Vec::new());
        if self.encrypt && !self.parts.is_empty() {
            let list: String = (0..self.parts.len()).map(|number| format!("<xenc:DataReference URI=\"#ED-{number}\"/>")).collect();
            let list = if self.key_lists_data { format!("<xenc:ReferenceList>{list}</xenc:ReferenceList>") } else { String::new() };
            security += &self.recipient_token;
            security += &format!(
                "<xenc:EncryptedKey xmlns:xenc=\"{XENC}\" xmlns:ds=\"{DS}\" Id=\"EK-1\">{}<ds:KeyInfo>{}</ds:KeyInfo><xenc:CipherData><xenc:CipherValue>{}\
                 </xenc:CipherValue></xenc:CipherData>{list}</xenc:EncryptedKey>",
                self.transport,
                self.recipient_info,
                self.wrapped(&key)
            );
        }
        let mut references = Vec::new();
        for (number, part) in self.parts.iter().enumerate() {
            let octets = part.octets();
            let digested = part.digested.clone().unwrap_or_else(|| octets.clone());
            references.push((
                format!("cid:{}", part.cid),
                format!("<ds:Transform Algorithm=\"{SWA}#Attachment-Content-Signature-Transform\"/>"),
                digested,
            ));
            let mut sent = octets;
            if self.encrypt {
                let iv: Vec<u8> = (0..12).map(|at| at * 7 + u8::try_from(number).unwrap()).collect();
                let mut tag = [0; 16];
                let data = encrypt_aead(self.cipher.1, &key, Some(&iv), &[], &sent, &mut tag).unwrap();
                sent = [iv, data, tag.to_vec()].concat();
                let media = part.encrypted_media.as_ref().map(|media| format!(" MimeType=\"{media}\"")).unwrap_or_default();
                let info = "<ds:KeyInfo><wsse:SecurityTokenReference><wsse:Reference URI=\"#EK-1\"/></wsse:SecurityTokenReference></ds:KeyInfo>";
                security += &format!(
                    "<xenc:EncryptedData xmlns:xenc=\"{XENC}\" xmlns:ds=\"{DS}\" Id=\"ED-{number}\"{media} Type=\"{SWA}#Attachment-Content-Only\">\
                     <xenc:EncryptionMethod Algorithm=\"{}\"/>{}<xenc:CipherData><xenc:CipherReference URI=\"cid:{}\"><xenc:Transforms>\
                     <ds:Transform Algorithm=\"{SWA}#Attachment-Ciphertext-Transform\"/></xenc:Transforms></xenc:CipherReference></xenc:CipherData></xenc:EncryptedData>",
                    self.cipher.0,
                    if self.data_names_key { info } else { "" },
                    part.cid
                );
            }
            mime.extend_from_slice(
                format!("\r\n------=_Part\r\n{}Content-ID: <{}>\r\nContent-Transfer-Encoding: {}\r\n\r\n", part.headers, part.cid, part.encoding)
                    .as_bytes(),
            );
            mime.extend_from_slice(&part.encoded(&sent));
        }
        let soap = if self.sign { self.signed(&security, &references) } else { self.envelope(&security) };
        let content_type = "multipart/related; boundary=\"----=_Part\"; type=\"application/soap+xml\"; charset=UTF-8".to_owned();
        let head = b"------=_Part\r\nContent-Type: application/soap+xml;charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n";
        (content_type, [&head[..], soap.as_bytes(), &mime, b"\r\n------=_Part--\r\n"].concat())
    }

    fn envelope(&self, security: &str) -> String {
        let messaging = self.messaging();
        let security = format!("<wsse:Security xmlns:wsse=\"{WSSE}\" xmlns:wsu=\"{WSU}\" env:mustUnderstand=\"true\">{security}</wsse:Security>");
        let (first, second) = if self.security_first { (security, messaging) } else { (messaging, security) };
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<env:Envelope xmlns:env=\"http://www.w3.org/2003/05/soap-envelope\" xmlns=\"urn:nobody\" \
             xmlns:unused=\"urn:unused\"><env:Header>{first}{second}</env:Header><env:Body xmlns:wsu=\"{WSU}\" wsu:Id=\"phase4-body-1\">{}</env:Body></env:Envelope>",
            self.body
        )
    }

    fn signed(&self, security: &str, attachments: &[(String, String, Vec<u8>)]) -> String {
        let canonical = |soap: &str, name: &str, form: C14n| {
            let document = Parser::default().parse_string(soap).unwrap();
            let mut node = found(&document.get_root_element().unwrap(), name).unwrap();
            form.of(&mut node)
        };
        let unsigned = self.envelope(security);
        let mut info = format!(
            "{}<ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"/>",
            self.signed_info.element("CanonicalizationMethod")
        );
        let own = [("#phase4-msg-1", "Messaging"), ("#phase4-body-1", "Body")]
            .map(|(uri, name)| (uri.to_owned(), self.transform.element("Transform"), canonical(&unsigned, name, self.transform).into_bytes()));
        for (uri, transform, octets) in own.iter().chain(attachments) {
            info += &format!(
                "<ds:Reference URI=\"{uri}\"><ds:Transforms>{transform}</ds:Transforms><ds:DigestMethod Algorithm=\"{}\"/><ds:DigestValue>{}</ds:DigestValue></ds:Reference>",
                self.digest.uri(),
                BASE64_STANDARD.encode(self.digest.of(octets).unwrap())
            );
        }
        let signature = |value: &str| {
            format!(
                "{}<ds:Signature xmlns:ds=\"{DS}\" Id=\"SIG-1\"><ds:SignedInfo>{info}</ds:SignedInfo><ds:SignatureValue>{value}</ds:SignatureValue>\
                 <ds:KeyInfo>{}</ds:KeyInfo></ds:Signature>",
                self.signer_token, self.signer_info
            )
        };
        let octets = canonical(&self.envelope(&format!("{security}{}", signature(""))), "SignedInfo", self.signed_info);
        let key = self.key.clone().unwrap_or_else(|| PKey::private_key_from_pkcs8(&self.signer.key.to_pkcs8().unwrap()).unwrap());
        let value = Signer::new(MessageDigest::sha256(), &key).unwrap().sign_oneshot_to_vec(octets.as_bytes()).unwrap();
        self.envelope(&format!("{security}{}", signature(&self.broken(&BASE64_STANDARD.encode(value)))))
    }

    /// Opens it as the receiver does; certificates that are only named are known.
    pub(crate) fn opened(&self) -> Result<(Received, Vec<u8>), Refusal> {
        let (content_type, body) = self.written();
        opened(&content_type, &body, &Options::default())
    }

    /// That it is taken, with its payloads.
    pub(crate) fn is_taken(&self, what: &str) -> Received {
        let (received, payload) = self.opened().unwrap_or_else(|refusal| panic!("{what}: {refusal}"));
        let all: Vec<u8> = self.parts.iter().flat_map(|part| part.payload.clone()).collect();
        assert!(payload == all, "{what}: another payload");
        assert_eq!(received.signer(), Some(&self.signer.certificate), "{what}");
        received
    }
}

fn found(node: &Node, name: &str) -> Option<Node> {
    if node.get_name() == name {
        return Some(node.clone());
    }
    node.get_child_elements().iter().find_map(|child| found(child, name))
}

pub(crate) fn opened(content_type: &str, body: &[u8], options: &Options) -> Result<(Received, Vec<u8>), Refusal> {
    let keys = [receiver().clone()];
    let known = |reference: &KeyReference| -> Option<Certificate> { reference.names(&sender().certificate).then(|| sender().certificate.clone()) };
    let context = Context { keys: &keys, known: &known, options, at: Timestamp::now() };
    let mut payload = Vec::new();
    let received = open(content_type, &mut &body[..], &context, Cursor::new(Vec::new()), &mut payload)?;
    Ok((received, payload))
}
