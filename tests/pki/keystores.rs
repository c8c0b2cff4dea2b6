//! Key files as CAs and `openssl` make them: what opens, and why something else does not.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use brevbro::crypto::{Certificate, Identity, IdentityError, KeyPair};
use openssl::pkey::PKey;
use openssl::rsa::Rsa;

use super::forge::*;
use crate::common::{has, run};

/// A key below an intermediate below a root, as files.
struct Files {
    dir: tempfile::TempDir,
    leaf: Made,
    chain: [Certificate; 2],
    /// Another certificate of the same CA, with a key of its own.
    other: Made,
}

fn files() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let root = Form::ca("root").issue(None);
        let ca = Form::ca("ca").issue(Some(&root));
        let leaf = Form::leaf("leaf").issue(Some(&ca));
        let other = Form { key: PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(), ..Form::leaf("other") }.issue(Some(&ca));
        let dir = tempfile::tempdir().unwrap();
        file(dir.path(), "key.pem", &leaf.key_pem());
        file(dir.path(), "leaf.pem", leaf.certificate.to_pem().as_bytes());
        file(dir.path(), "above.pem", &pem_of(&[&root.certificate, &ca.certificate]));
        file(dir.path(), "other-key.pem", &other.key_pem());
        file(dir.path(), "other.pem", other.certificate.to_pem().as_bytes());
        Files { dir, leaf, chain: [ca.certificate, root.certificate], other }
    })
}

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn is_whole(&self, identity: &Identity) {
        assert_eq!((&identity.certificate, identity.chain.as_slice()), (&self.leaf.certificate, self.chain.as_slice()));
    }
}

/// Runs `openssl` with words, where `KEY`, `LEAF`, `ABOVE` stand for the files; its output.
fn openssl(words: &str, more: &[&str]) -> Vec<u8> {
    let files = files();
    let mut command = Command::new("openssl");
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        match word {
            "KEY" => command.arg(files.path("key.pem")),
            "LEAF" => command.arg(files.path("leaf.pem")),
            "ABOVE" => command.arg(files.path("above.pem")),
            word => command.arg(word),
        };
    }
    run(command.args(more)).unwrap()
}

fn container(words: &str, password: &str) -> Vec<u8> {
    openssl(&format!("pkcs12 -export -inkey KEY -in LEAF {words}"), &["-passout", &format!("pass:{password}")])
}

fn read(octets: &[u8], password: &str) -> Result<Identity, IdentityError> {
    KeyPair::read(octets, None, Some(password)).and_then(KeyPair::identity)
}

#[test]
fn containers_of_every_age_open() {
    if !has("openssl") {
        return;
    }
    for words in [
        "",
        "-keypbe AES-256-CBC -certpbe AES-256-CBC -macalg sha256 -iter 100000",
        "-keypbe AES-128-CBC -certpbe AES-128-CBC -macalg sha512",
        "-legacy",
        "-legacy -iter 1 -nomaciter",
        "-legacy -keypbe PBE-SHA1-RC2-40 -certpbe PBE-SHA1-RC2-40 -macalg sha1",
        "-legacy -keypbe PBE-SHA1-RC2-128 -certpbe PBE-SHA1-RC4-128 -macalg sha1 -iter 50000",
        "-keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1",
        "-keypbe AES-256-CBC -certpbe NONE",
        "-name brevbro -CSP Microsoft",
    ] {
        for password in ["hemligt", "", "lösenord ÅÄÖ €"] {
            let bare = read(&container(words, password), password).unwrap_or_else(|error| panic!("{words} {password}: {error}"));
            assert_eq!((bare.certificate, bare.chain), (files().leaf.certificate.clone(), vec![]), "{words} {password}");
            let whole = read(&container(&format!("{words} -certfile ABOVE"), password), password).unwrap();
            files().is_whole(&whole);
        }
    }
}

#[test]
fn what_a_container_lacks_is_said() {
    if !has("openssl") {
        return;
    }
    for words in ["", "-legacy"] {
        let locked = container(words, "lösenord");
        assert_eq!(read(&locked, "losenord").unwrap_err(), IdentityError::Password, "{words}");
        assert_eq!(read(&locked, "lösenord\n").unwrap_err(), IdentityError::Password, "{words}");
        assert_eq!(read(&locked, "l\0").unwrap_err(), IdentityError::Password, "{words}");
        assert_eq!(read(&locked, "").unwrap_err(), IdentityError::Locked, "{words}");
        assert_eq!(KeyPair::read(&locked, None, None).unwrap_err(), IdentityError::Locked, "{words}");
    }
    let without_mac = container("-nomac", "hemligt");
    assert_eq!(read(&without_mac, "hemligt").unwrap_err(), IdentityError::NoMac);
    assert!(IdentityError::NoMac.hint().contains("openssl pkcs12 -export"));
    let no_key = openssl("pkcs12 -export -nokeys -in LEAF", &["-passout", "pass:hemligt"]);
    assert_eq!(read(&no_key, "hemligt").unwrap_err(), IdentityError::NoKey);
    let no_certificate = openssl("pkcs12 -export -nocerts -inkey KEY", &["-passout", "pass:hemligt"]);
    assert_eq!(read(&no_certificate, "hemligt").unwrap_err(), IdentityError::NoCertificate);
}

#[test]
fn a_damaged_container_is_damaged_or_locked_and_never_another_one() {
    if !has("openssl") {
        return;
    }
    let sound = container("-legacy -iter 1 -certfile ABOVE", "hemligt");
    for cut in (0..sound.len()).step_by(41) {
        assert!(read(&sound[..cut], "hemligt").is_err(), "{cut}");
    }
    assert_eq!(read(&sound[..sound.len() - 30], "hemligt").unwrap_err(), IdentityError::Damaged);
    for at in (0..sound.len()).step_by(17) {
        let mut changed = sound.clone();
        changed[at] ^= 0x10;
        // The wrapping is not under the integrity check; what it holds is.
        if let Ok(identity) = read(&changed, "hemligt") {
            files().is_whole(&identity);
        }
    }
    // Read as text and written again.
    let mangled = String::from_utf8_lossy(&sound).into_owned().into_bytes();
    assert!(read(&mangled, "hemligt").is_err());
    for garbage in [&b""[..], b"hello", b"0", b"0\x82", b"-----BEGIN", b"\x30\x80\x02\x01\x03"] {
        assert!(read(garbage, "hemligt").is_err());
    }
}

/// The elements in the outermost one.
fn parts(der: &[u8]) -> Vec<Vec<u8>> {
    let head = |bytes: &[u8]| if bytes[1] & 0x80 == 0 { 2 } else { 2 + usize::from(bytes[1] & 0x7f) };
    let length = |bytes: &[u8]| {
        if bytes[1] & 0x80 == 0 { usize::from(bytes[1]) } else { bytes[2..head(bytes)].iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)) }
    };
    let mut rest = &der[head(der)..];
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (part, after) = rest.split_at(head(rest) + length(rest));
        parts.push(part.to_vec());
        rest = after;
    }
    parts
}

#[test]
fn a_container_with_two_keys_is_refused_with_their_number() {
    if !has("openssl") {
        return;
    }
    let first = container("", "hemligt");
    let files = files();
    let words =
        ["-passout", "pass:hemligt", "-inkey", files.path("other-key.pem").to_str().unwrap(), "-in", files.path("other.pem").to_str().unwrap()]
            .map(str::to_owned);
    let second = openssl("pkcs12 -export", &words.each_ref().map(String::as_str));
    // PFX { version, ContentInfo { data, [0] OCTET STRING { SEQUENCE OF ContentInfo } }, MAC }
    let inner = |container: &[u8]| parts(&parts(&parts(&parts(container)[1])[1])[0]);
    let contents: Vec<u8> = [&first, &second].iter().flat_map(|container| parts(&inner(container)[0]).concat()).collect();
    let outer = parts(&first);
    let data = parts(&outer[1])[0].clone();
    let joined = sequence(&[outer[0].clone(), sequence(&[data, der(0xa0, &der(4, &der(0x30, &contents)))]), outer[2].clone()]);
    assert_eq!(read(&joined, "hemligt").unwrap_err(), IdentityError::ManyKeys(2));
    let pem = [files.text("key.pem"), files.text("other-key.pem"), files.text("leaf.pem")].concat();
    assert_eq!(read(pem.as_bytes(), "").unwrap_err(), IdentityError::ManyKeys(2));
}

#[test]
fn pem_opens_in_every_form_and_order() {
    if !has("openssl") {
        return;
    }
    let files = files();
    let (leaf, above) = (files.text("leaf.pem"), files.text("above.pem"));
    let forms = [
        openssl("rsa -in KEY -traditional", &[]),
        openssl("pkey -in KEY", &[]),
        openssl("rsa -in KEY -traditional -aes256 -passout pass:hemligt", &[]),
        openssl("rsa -in KEY -traditional -des3 -passout pass:hemligt", &[]),
        openssl("pkcs8 -topk8 -in KEY -v2 aes-256-cbc -passout pass:hemligt", &[]),
        openssl("pkcs8 -topk8 -in KEY -v2 aes-256-cbc -v2prf hmacWithSHA256 -iter 100000 -passout pass:hemligt", &[]),
        openssl("pkcs8 -topk8 -in KEY -v1 PBE-SHA1-3DES -passout pass:hemligt", &[]),
        openssl("pkcs8 -topk8 -in KEY -v1 PBE-SHA1-RC2-40 -provider legacy -provider default -passout pass:hemligt", &[]),
        openssl("pkcs8 -topk8 -in KEY -scrypt -passout pass:hemligt", &[]),
    ];
    for key in forms {
        let key = String::from_utf8(key).unwrap();
        let text = "Bag Attributes\n    friendlyName: habo\nsubject=C = SE, CN = leaf\n";
        for whole in [
            [key.as_str(), &leaf, &above].concat(),
            [above.as_str(), &leaf, &key].concat(),
            [leaf.as_str(), &key, &above].concat(),
            [text, key.as_str(), text, &above, text, &leaf, "the end"].concat(),
            [key.as_str(), &leaf, &above].concat().replace('\n', "\r\n"),
            ["\u{feff}", key.as_str(), &above, &leaf, &leaf].concat(),
        ] {
            files.is_whole(&read(whole.as_bytes(), "hemligt").unwrap_or_else(|error| panic!("{error}: {whole}")));
        }
        // The certificates in another file, as PEM or DER.
        let pair = |certificates: &[u8]| KeyPair::read(key.as_bytes(), Some(certificates), Some("hemligt")).and_then(KeyPair::identity);
        files.is_whole(&pair([above.as_str(), &leaf].concat().as_bytes()).unwrap());
        assert_eq!(pair(files.leaf.certificate.der()).unwrap().certificate, files.leaf.certificate);
        if key.contains("ENCRYPTED") {
            let whole = [key.as_str(), &leaf].concat();
            assert_eq!(read(whole.as_bytes(), "fel").unwrap_err(), IdentityError::Password, "{key}");
            assert_eq!(read(whole.as_bytes(), "").unwrap_err(), IdentityError::Locked, "{key}");
        }
    }
}

#[test]
fn der_opens_too() {
    if !has("openssl") {
        return;
    }
    let files = files();
    for (words, password) in [
        ("rsa -in KEY -traditional -outform DER", None),
        ("pkcs8 -topk8 -nocrypt -in KEY -outform DER", None),
        ("pkcs8 -topk8 -in KEY -v2 aes-256-cbc -outform DER -passout pass:hemligt", Some("hemligt")),
    ] {
        let key = openssl(words, &[]);
        let read = |password| KeyPair::read(&key, Some(files.text("leaf.pem").as_bytes()), password).and_then(KeyPair::identity);
        assert_eq!(read(password).unwrap().certificate, files.leaf.certificate, "{words}");
        assert_eq!(KeyPair::read(&key, None, password).unwrap_err(), IdentityError::NoCertificate);
        if password.is_some() {
            assert_eq!((read(None).unwrap_err(), read(Some("fel")).unwrap_err()), (IdentityError::Locked, IdentityError::Password));
        }
    }
}

#[test]
fn keys_that_do_not_fit_are_refused_with_what_they_are() {
    let files = files();
    let with = |key: &PKey<openssl::pkey::Private>, certificate: &Certificate| {
        let text = [key.private_key_to_pem_pkcs8().unwrap(), certificate.to_pem().into_bytes()].concat();
        read(&text, "").unwrap_err()
    };
    assert_eq!(with(&files.leaf.key, &files.other.certificate), IdentityError::Mismatch);
    let made = |key: PKey<openssl::pkey::Private>| Form { key: key.clone(), ..Form::leaf("leaf") }.issue(Some(&Form::ca("ca").issue(None)));
    let elliptic = made(ec());
    let told = with(&elliptic.key, &elliptic.certificate);
    assert!(told.to_string().contains("elliptic curve") && told.to_string().contains("must be RSA"), "{told}");
    assert!(told.hint().contains("3072"));
    let short = made(PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap());
    assert_eq!(with(&short.key, &short.certificate), IdentityError::Weak(1024));
    // For TLS any kind will do.
    let text = [elliptic.key_pem(), elliptic.certificate.to_pem().into_bytes()].concat();
    assert!(brevbro::edge::tls::TlsIdentity::try_from(&KeyPair::read(&text, None, None).unwrap()).is_ok());
    // Two certificates for one key, as after a renewal: the newer one is meant.
    let newer = Form { from: at("2026-05-01T00:00:00Z"), ..Form::leaf("leaf") }.issue(Some(&Form::ca("ca").issue(None)));
    for order in [[&files.leaf, &newer], [&newer, &files.leaf]] {
        let text = [files.leaf.key_pem(), pem_of(&order.map(|made| &made.certificate))].concat();
        assert_eq!(read(&text, "").unwrap().certificate, newer.certificate);
    }
}

/// Nothing of a key or a password stands in what is printed.
#[test]
fn a_key_pair_shows_nothing() {
    let files = files();
    let text = [files.leaf.key_pem(), files.leaf.certificate.to_pem().into_bytes()].concat();
    let shown = format!("{:?}", KeyPair::read(&text, None, Some("hemligt")).unwrap());
    assert!(shown.contains("CN=leaf") && shown.contains("..") && !shown.contains("hemligt"), "{shown}");
}
