//! A CA that issues whatever it is told to, sound or not.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use brevbro::crypto::Certificate;
use jiff::Timestamp;
use openssl::asn1::{Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use openssl::x509::{X509, X509Builder, X509Extension, X509NameBuilder};

use crate::common::run;

/// A key with its certificate.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) key: PKey<Private>,
    pub(crate) certificate: Certificate,
}

impl Made {
    pub(crate) fn key_pem(&self) -> Vec<u8> {
        self.key.private_key_to_pem_pkcs8().unwrap()
    }

    fn x509(&self) -> X509 {
        X509::from_der(self.certificate.der()).unwrap()
    }
}

/// What a certificate shall say.
#[derive(Clone)]
pub(crate) struct Form {
    pub(crate) name: String,
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) key: PKey<Private>,
    pub(crate) digest: MessageDigest,
    /// Identifier, critical, DER.
    pub(crate) extensions: Vec<(&'static str, bool, Vec<u8>)>,
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// When everything is judged.
pub(crate) fn now() -> Timestamp {
    at("2026-06-01T12:00:00Z")
}

/// One RSA key for all end entities: what is looked at here is never the key itself.
pub(crate) fn rsa() -> PKey<Private> {
    static KEY: OnceLock<PKey<Private>> = OnceLock::new();
    KEY.get_or_init(|| PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()).clone()
}

/// A new key on P-256: made at once, so every CA has its own.
pub(crate) fn ec() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

pub(crate) fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let head = match length {
        0..=0x7f => vec![tag, length as u8],
        0x80..=0xff => vec![tag, 0x81, length as u8],
        0x100..=0xffff => vec![tag, 0x82, (length >> 8) as u8, length as u8],
        _ => vec![tag, 0x84, (length >> 24) as u8, (length >> 16) as u8, (length >> 8) as u8, length as u8],
    };
    [head, contents.to_vec()].concat()
}

pub(crate) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    der(0x30, &parts.concat())
}

/// An object identifier.
pub(crate) fn oid(text: &str) -> Vec<u8> {
    der(6, Asn1Object::from_str(text).unwrap().as_slice())
}

pub(crate) const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub(crate) const KEY_USAGE: &str = "2.5.29.15";
pub(crate) const EXTENDED_USAGE: &str = "2.5.29.37";
pub(crate) const NAME_CONSTRAINTS: &str = "2.5.29.30";
pub(crate) const ALTERNATIVE_NAME: &str = "2.5.29.17";
pub(crate) const POINTS: &str = "2.5.29.31";

/// Key usage by its bits, digitalSignature first.
pub(crate) fn usage(bits: u8) -> (&'static str, bool, Vec<u8>) {
    (KEY_USAGE, true, der(3, &[bits.trailing_zeros().min(7) as u8, bits]))
}

pub(crate) fn extended(usages: &[&str]) -> (&'static str, bool, Vec<u8>) {
    (EXTENDED_USAGE, false, sequence(&usages.iter().map(|usage| oid(usage)).collect::<Vec<_>>()))
}

pub(crate) fn authority(path: Option<u8>) -> (&'static str, bool, Vec<u8>) {
    let path = path.map(|path| der(2, &[path])).unwrap_or_default();
    (BASIC_CONSTRAINTS, true, sequence(&[der(1, &[0xff]), path]))
}

impl Form {
    pub(crate) fn new(name: &str, key: PKey<Private>) -> Self {
        let (from, until) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        Self { name: name.to_owned(), from, until, key, digest: MessageDigest::sha256(), extensions: Vec::new() }
    }

    /// A CA as it should be.
    pub(crate) fn ca(name: &str) -> Self {
        Self::new(name, ec()).with(authority(None)).with(usage(0b0000_0110))
    }

    /// An end entity as it should be.
    pub(crate) fn leaf(name: &str) -> Self {
        Self::new(name, rsa()).with(usage(0b1010_0000))
    }

    pub(crate) fn with(mut self, extension: (&'static str, bool, Vec<u8>)) -> Self {
        self.extensions.retain(|(other, ..)| *other != extension.0);
        self.extensions.push(extension);
        self
    }

    pub(crate) fn without(mut self, oid: &str) -> Self {
        self.extensions.retain(|(other, ..)| *other != oid);
        self
    }

    pub(crate) fn issue(&self, issuer: Option<&Made>) -> Made {
        let mut builder = X509Builder::new().unwrap();
        builder.set_version(2).unwrap();
        let mut serial = BigNum::new().unwrap();
        serial.rand(100, MsbOption::ONE, false).unwrap();
        builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
        let mut subject = X509NameBuilder::new().unwrap();
        subject.append_entry_by_text("C", "SE").unwrap();
        subject.append_entry_by_text("CN", &self.name).unwrap();
        let subject = subject.build();
        builder.set_subject_name(&subject).unwrap();
        let above = issuer.map(Made::x509);
        builder.set_issuer_name(above.as_ref().map_or(&*subject, |above| above.subject_name())).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(self.from.as_second()).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(self.until.as_second()).unwrap()).unwrap();
        builder.set_pubkey(&self.key).unwrap();
        for (oid, critical, value) in &self.extensions {
            let value = Asn1OctetString::new_from_bytes(value).unwrap();
            builder.append_extension(X509Extension::new_from_der(&Asn1Object::from_str(oid).unwrap(), *critical, &value).unwrap()).unwrap();
        }
        builder.sign(issuer.map_or(&self.key, |issuer| &issuer.key), self.digest).unwrap();
        Made { key: self.key.clone(), certificate: Certificate::try_from(builder.build()).unwrap() }
    }
}

/// A revocation list to be signed.
#[derive(Clone)]
pub(crate) struct List {
    pub(crate) issued: Timestamp,
    pub(crate) until: Option<Timestamp>,
    /// Serial number in decimal, and the entry's extensions.
    pub(crate) revoked: Vec<(String, Vec<u8>)>,
    /// Extensions, one after another.
    pub(crate) extensions: Vec<Vec<u8>>,
    pub(crate) digest: &'static str,
}

/// One extension in DER.
pub(crate) fn extension(id: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    sequence(&[oid(id), if critical { der(1, &[0xff]) } else { Vec::new() }, der(4, value)])
}

fn time(at: Timestamp) -> Vec<u8> {
    der(0x17, at.strftime("%y%m%d%H%M%SZ").to_string().as_bytes())
}

impl List {
    pub(crate) fn new() -> Self {
        let (issued, until) = (at("2026-06-01T00:00:00Z"), Some(at("2026-06-08T00:00:00Z")));
        let number = extension("2.5.29.20", false, &der(2, &[7]));
        Self { issued, until, revoked: Vec::new(), extensions: vec![number], digest: "sha256" }
    }

    pub(crate) fn revoking(mut self, certificate: &Certificate) -> Self {
        self.revoked.push((certificate.serial(), Vec::new()));
        self
    }

    pub(crate) fn with(mut self, extension: Vec<u8>) -> Self {
        self.extensions.push(extension);
        self
    }

    pub(crate) fn sign(&self, issuer: &Made) -> Vec<u8> {
        let (digest, name) = match self.digest {
            "sha1" => (MessageDigest::sha1(), if is_ec(&issuer.key) { "1.2.840.10045.4.1" } else { "1.2.840.113549.1.1.5" }),
            _ => (MessageDigest::sha256(), if is_ec(&issuer.key) { "1.2.840.10045.4.3.2" } else { "1.2.840.113549.1.1.11" }),
        };
        let null = if is_ec(&issuer.key) { Vec::new() } else { der(5, &[]) };
        let algorithm = sequence(&[oid(name), null]);
        let entry = |(serial, extensions): &(String, Vec<u8>)| {
            let number = BigNum::from_dec_str(serial).unwrap().to_vec();
            let number = if number[0] & 0x80 == 0 { number } else { [vec![0], number].concat() };
            let extensions = if extensions.is_empty() { Vec::new() } else { der(0x30, extensions) };
            sequence(&[der(2, &number), time(at("2026-05-01T00:00:00Z")), extensions])
        };
        let revoked: Vec<u8> = self.revoked.iter().flat_map(entry).collect();
        let signed = sequence(&[
            der(2, &[1]),
            algorithm.clone(),
            issuer.x509().subject_name().to_der().unwrap(),
            time(self.issued),
            self.until.map(time).unwrap_or_default(),
            if revoked.is_empty() { Vec::new() } else { der(0x30, &revoked) },
            der(0xa0, &der(0x30, &self.extensions.concat())),
        ]);
        let signature = Signer::new(digest, &issuer.key).unwrap().sign_oneshot_to_vec(&signed).unwrap();
        sequence(&[signed, algorithm, der(3, &[&[0][..], &signature].concat())])
    }
}

fn is_ec(key: &PKey<Private>) -> bool {
    key.id() == openssl::pkey::Id::EC
}

/// Distribution points, each a list of names: `(URIs, more fields of the point)`.
pub(crate) fn points(all: &[(&[&str], Vec<u8>)]) -> (&'static str, bool, Vec<u8>) {
    let point = |(uris, more): &(&[&str], Vec<u8>)| {
        let names: Vec<u8> = uris.iter().flat_map(|uri| der(0x86, uri.as_bytes())).collect();
        sequence(&[der(0xa0, &der(0xa0, &names)), more.clone()])
    };
    (POINTS, false, sequence(&all.iter().map(point).collect::<Vec<_>>()))
}

/// The issuing distribution point of a list: URIs of the place, then further fields.
pub(crate) fn issuing_point(uris: &[&str], more: &[u8]) -> Vec<u8> {
    let names: Vec<u8> = uris.iter().flat_map(|uri| der(0x86, uri.as_bytes())).collect();
    let place = if uris.is_empty() { Vec::new() } else { der(0xa0, &der(0xa0, &names)) };
    extension("2.5.29.28", true, &sequence(&[place, more.to_vec()]))
}

pub(crate) fn pem_of(certificates: &[&Certificate]) -> Vec<u8> {
    certificates.iter().map(|certificate| certificate.to_pem()).collect::<String>().into_bytes()
}

pub(crate) fn file(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// What `openssl verify` thinks, at the time of this module. `None` when it is not installed.
pub(crate) fn openssl_verifies(anchors: &[&Certificate], sent: &[&Certificate], list: Option<&[u8]>, leaf: &Certificate) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("openssl");
    command.args(["verify", "-partial_chain", "-no-CApath", "-no-CAstore", "-auth_level", "2", "-attime"]).arg(now().as_second().to_string());
    command.arg("-trusted").arg(file(dir.path(), "anchors.pem", &pem_of(anchors)));
    if !sent.is_empty() {
        command.arg("-untrusted").arg(file(dir.path(), "sent.pem", &pem_of(sent)));
    }
    if let Some(list) = list {
        let list = openssl::x509::X509Crl::from_der(list).unwrap().to_pem().unwrap();
        command.arg("-crl_check").arg("-CRLfile").arg(file(dir.path(), "list.pem", &list));
    }
    command.arg(file(dir.path(), "leaf.pem", leaf.to_pem().as_bytes()));
    run(&mut command).map(|_| ())
}

impl Made {
    /// The subject's name in DER.
    pub(crate) fn certificate_name(&self) -> Vec<u8> {
        self.x509().subject_name().to_der().unwrap()
    }
}
