//! Whatever is wrong with a cipher text or its key, the answer is one and the same (Jager and Somorovsky 2011; Bleichenbacher 1998).

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::prelude::*;
use brevbro::as4::{self, Code};
use brevbro::crypto::{decrypt_element, encrypt_element, sign_enveloped};
use brevbro::ident::As4MessageId;
use brevbro::sdk::seal::{self, OpenError};
use brevbro::xml::{Document, Limits};
use jiff::Timestamp;
use openssl::encrypt::Encrypter;
use openssl::hash::MessageDigest;
use openssl::rsa::Padding;
use openssl::x509::X509;

use crate::common::soap::{cut, edited};
use crate::envelope::{self, PAYLOAD};
use crate::request;

/// The envelope with this EncryptedData, signed by the sender, opened by the recipient. Only who may sign gets this far.
fn opened(data: &str) -> Result<Vec<u8>, OpenError> {
    let world = envelope::world();
    let unsigned = world.xml.replace(cut(&world.xml, "ds:Signature"), "");
    let changed = unsigned.replace(cut(&unsigned, "xenc:EncryptedData"), data);
    let signed = sign_enveloped(changed.as_bytes(), &world.sender).unwrap();
    seal::verify(&signed).unwrap().payload(std::slice::from_ref(&world.recipient)).map(|payload| payload.to_vec())
}

fn data() -> String {
    cut(&envelope::world().xml, "xenc:EncryptedData").to_owned()
}

/// The EncryptedData with its last (the payload's) or first (the key's) value changed.
fn changed(which: fn(&str) -> Option<usize>, change: &dyn Fn(&mut Vec<u8>)) -> String {
    let data = data();
    let start = which(&data).unwrap() + "<xenc:CipherValue>".len();
    let end = start + data[start..].find('<').unwrap();
    let mut octets = BASE64_STANDARD.decode(data[start..end].replace(['\n', '\r'], "")).unwrap();
    change(&mut octets);
    format!("{}{}{}", &data[..start], BASE64_STANDARD.encode(octets), &data[end..])
}

fn payload_value(data: &str) -> Option<usize> {
    data.rfind("<xenc:CipherValue>")
}

fn key_value(data: &str) -> Option<usize> {
    data.find("<xenc:CipherValue>")
}

fn silent(what: &str, data: &str) {
    let error = opened(data).unwrap_err();
    assert_eq!(error, OpenError::Undecryptable, "{what}");
    assert_eq!(error.to_string(), "the payload cannot be decrypted", "{what}");
}

#[test]
fn a_cipher_text_changed_in_any_block_gives_one_answer() {
    assert_eq!(opened(&data()).unwrap(), PAYLOAD);
    let length =
        BASE64_STANDARD.decode(data().rsplit_once("<xenc:CipherValue>").unwrap().1.split('<').next().unwrap().replace('\n', "")).unwrap().len();
    let blocks = length / 16;
    assert!(blocks >= 4, "{blocks}");
    for block in 0..blocks {
        for mask in [0x01, 0x10, 0x80, 0xff] {
            let data = changed(payload_value, &|octets| octets[block * 16 + 15] ^= mask);
            match opened(&data) {
                // A character of a text may turn into another: it says nothing about the padding.
                Ok(other) => assert!(other != PAYLOAD && block < blocks - 2, "block {block}"),
                Err(error) => {
                    assert_eq!((error.to_string().as_str(), &error), ("the payload cannot be decrypted", &OpenError::Undecryptable), "block {block}");
                }
            }
        }
    }
    for keep in [0, 1, 15, 16, 17, 31, 32, length - 16, length - 1] {
        silent("shortened", &changed(payload_value, &|octets| octets.truncate(keep)));
    }
    silent("an octet more", &changed(payload_value, &|octets| octets.push(0)));
    for last in 0..=255 {
        // Every guess of the last octet of padding, as the published attack makes them.
        if let Err(error) = opened(&changed(payload_value, &|octets| octets[length - 17] = last)) {
            assert_eq!(error, OpenError::Undecryptable, "{last}");
        }
        if last > 16 && cfg!(debug_assertions) {
            break;
        }
    }
}

#[test]
fn a_key_that_is_garbage_gives_the_same_answer() {
    let size = 256;
    for length in [0, 1, 16, size - 1, size, size + 1, 2 * size] {
        for fill in [0x00, 0x5a, 0xff] {
            silent("garbage", &changed(key_value, &|octets| *octets = vec![fill; length]));
        }
    }
    silent("one bit", &changed(key_value, &|octets| octets[100] ^= 1));
    let other = encrypt_element(PAYLOAD, &envelope::world().stranger.certificate).unwrap();
    silent("for somebody else", &other);
    silent(
        "named as ours",
        &other.replace(&envelope::world().stranger.certificate.to_base64(), &envelope::world().recipient.certificate.to_base64()),
    );
    silent("an unknown transport", &data().replace("xmlenc#rsa-oaep-mgf1p", "xmlenc#rsa-1_5"));
    silent("an unknown cipher", &data().replace("xmlenc#aes256-cbc", "xmlenc#tripledes-cbc"));
    silent("a cipher of another key length", &data().replace("xmlenc#aes256-cbc", "xmlenc#aes128-cbc"));
    silent("another digest", &data().replace("http://www.w3.org/2000/09/xmldsig#sha1", "http://www.w3.org/2001/04/xmlenc#sha256"));
    silent("no key", &data().replace(cut(&data(), "xenc:EncryptedKey"), ""));
    silent("two keys", &data().replace(cut(&data(), "xenc:EncryptedKey"), &cut(&data(), "xenc:EncryptedKey").repeat(2)));
    silent("not base64", &data().replace("<xenc:CipherValue>", "<xenc:CipherValue>*"));
    silent("no XML", &encrypt_element(b"x", &envelope::world().recipient.certificate).unwrap());
}

/// What the other access point gets for a request, with the ids and the time of all the same, and what the log gets.
fn answer(body: &[u8]) -> (Vec<u8>, String) {
    let refusal = request::opened(body).unwrap_err();
    assert!(refusal.error.is(Code::FailedDecryption), "{refusal}");
    let (id, at) = (As4MessageId::new("answer@ap.mottagare.se").unwrap(), Timestamp::UNIX_EPOCH);
    let signal = as4::error::write(&[*refusal.error], refusal.ref_to.as_ref(), &id, at, &request::world().receiver).unwrap();
    (signal, refusal.cause)
}

/// A request whose encrypted key is this.
fn with_key(body: &[u8], octets: &[u8]) -> Vec<u8> {
    let value = format!("<xenc:CipherValue>{}</xenc:CipherValue>", BASE64_STANDARD.encode(octets));
    edited(body, &|soap| soap.replace(cut(soap, "xenc:CipherValue"), &value))
}

/// Octets under the receiver's key, as a session key is.
fn wrapped(octets: &[u8], digest: MessageDigest) -> Vec<u8> {
    let key = X509::from_der(request::world().receiver.certificate.der()).unwrap().public_key().unwrap();
    let mut encrypter = Encrypter::new(&key).unwrap();
    encrypter.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
    encrypter.set_rsa_oaep_md(digest).unwrap();
    encrypter.set_rsa_mgf1_md(digest).unwrap();
    let mut out = vec![0; encrypter.encrypt_len(octets).unwrap()];
    let length = encrypter.encrypt(octets, &mut out).unwrap();
    out.truncate(length);
    out
}

/// Where the attachment begins.
fn attachment(body: &[u8]) -> usize {
    body.windows(25).position(|w| w == b"Content-ID: <message>\r\n\r\n").unwrap() + 25
}

/// A request with one octet of the attachment changed, counted from its end when negative.
fn with_octet_changed(body: &[u8], at: isize) -> Vec<u8> {
    let mut body = body.to_vec();
    let end = body.windows(4).rposition(|w| w == b"\r\n--").unwrap();
    let at = if at < 0 { end.checked_add_signed(at).unwrap() } else { attachment(&body) + at.unsigned_abs() };
    body[at] ^= 1;
    body
}

#[test]
fn the_access_point_answers_every_failed_decryption_alike_octet_by_octet() {
    let body = &request::world().body;
    let sha256 = MessageDigest::sha256();
    let mut bodies = Vec::new();
    // Blocks that are no OAEP, of every length.
    for octets in [&[][..], &[0; 1], &[0; 255], &[0; 256], &[0xff; 256], &[0x5a; 256], &[0; 257], &[0; 512]] {
        bodies.push(with_key(body, octets));
    }
    // Sound OAEP around what is no key of this length, around a wrong key, and of another digest than declared.
    for length in [0, 1, 15, 16, 17, 24, 32] {
        bodies.push(with_key(body, &wrapped(&vec![7; length], sha256)));
    }
    bodies.push(with_key(body, &wrapped(&[7; 16], MessageDigest::sha1())));
    // The nonce, the cipher text, the tag; nothing but a nonce; less.
    bodies.extend([0, 11, 12, 20, -17, -16, -1].map(|at| with_octet_changed(body, at)));
    for keep in [0, 1, 12, 27, 28, 29] {
        let (start, end) = (attachment(body), body.windows(4).rposition(|w| w == b"\r\n--").unwrap());
        bodies.push([&body[..start + keep], &body[end..]].concat());
    }
    let answers: BTreeSet<(Vec<u8>, String)> = bodies.iter().map(|body| answer(body)).collect();
    assert_eq!(answers.len(), 1, "{:?}", answers.iter().map(|(signal, cause)| (signal.len(), cause)).collect::<Vec<_>>());
}

/// How long each of these takes when nothing else runs: of so many rounds in turn, each in another order, the shortest.
/// A quartile does not do: a processor that others use is at times twice as slow for many rounds.
fn shortest(rounds: usize, cases: &[&dyn Fn()]) -> Vec<Duration> {
    let mut times = vec![Vec::new(); cases.len()];
    for round in 0..rounds * cases.len() {
        // Neighbours change too: 1, 2, 3 … places on from round to round.
        let which = (round + round / cases.len()) % cases.len();
        let begin = Instant::now();
        cases[which]();
        times[which].push(begin.elapsed());
    }
    times.iter().map(|times| *times.iter().min().unwrap()).collect()
}

/// That no case can be told from the others by a glance at the clock. Machines are noisy: one of three tries will do.
fn take_the_same_time(what: &str, rounds: usize, cases: &[&dyn Fn()]) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for case in cases {
        case();
    }
    let mut seen = Vec::new();
    for attempt in 1..=3 {
        let shortest = shortest(rounds * attempt, cases);
        println!("{what}: {shortest:?}");
        if *shortest.iter().max().unwrap() < *shortest.iter().min().unwrap() * 2 {
            return;
        }
        seen.push(shortest);
    }
    panic!("{what} takes longer or shorter: {seen:?}");
}

/// A request of about a megabyte that gzip does not shrink.
fn large() -> Vec<u8> {
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..1 << 20)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    let world = request::world();
    request::packaged(&mut &noise[..], &world.sender, &world.receiver).0
}

#[test]
fn a_key_that_does_not_unwrap_takes_as_long_as_a_tag_that_does_not_hold() {
    for (what, body, rounds) in [("a large attachment", large(), 25), ("a small attachment", request::world().body.clone(), 41)] {
        let cases = [
            with_key(&body, &[0x5a; 256]),
            with_key(&body, &wrapped(&[7; 15], MessageDigest::sha256())),
            with_key(&body, &wrapped(&[7; 16], MessageDigest::sha256())),
            with_octet_changed(&body, 12),
            with_octet_changed(&body, -1),
        ];
        let cases = cases.map(|body| move || assert!(request::opened(&body).unwrap_err().error.is(Code::FailedDecryption)));
        let cases: Vec<&dyn Fn()> = cases.iter().map(|case| case as &dyn Fn()).collect();
        take_the_same_time(what, rounds, &cases);
    }
}

#[test]
fn an_envelope_s_key_that_does_not_unwrap_takes_as_long_as_padding_that_is_wrong() {
    let world = envelope::world();
    let large = [b"<a>", &b"x".repeat(8 << 20)[..], b"</a>"].concat();
    let data = encrypt_element(&large, &world.recipient.certificate).unwrap();
    let garbage = BASE64_STANDARD.encode([0x5a; 256]);
    let start = data.find("<xenc:CipherValue>").unwrap() + "<xenc:CipherValue>".len();
    let end = start + data[start..].find('<').unwrap();
    let bad_key = format!("{}{garbage}{}", &data[..start], &data[end..]);
    // The last octet of the cipher text but one block: it is the last of the padding that changes.
    let start = data.rfind("<xenc:CipherValue>").unwrap() + "<xenc:CipherValue>".len();
    let end = start + data[start..].find('<').unwrap();
    let mut octets = BASE64_STANDARD.decode(data[start..end].replace(['\n', '\r'], "")).unwrap();
    let last = octets.len() - 17;
    octets[last] ^= 0x80;
    let bad_padding = format!("{}{}{}", &data[..start], BASE64_STANDARD.encode(octets), &data[end..]);
    let documents = [bad_key, bad_padding].map(|data| Document::parse(data.as_bytes(), &Limits::of(64 << 20)).unwrap());
    let cases =
        documents.each_ref().map(|document| move || assert!(decrypt_element(document.root(), std::slice::from_ref(&world.recipient)).is_err()));
    take_the_same_time("an envelope", 9, &[&cases[0], &cases[1]]);
}
