//! Whatever is wrong with a cipher text or its key, the answer is one and the same (Jager and Somorovsky 2011; Bleichenbacher 1998).

use base64::prelude::*;
use brevbro::as4::Code;
use brevbro::crypto::{encrypt_element, sign_enveloped};
use brevbro::sdk::seal::{self, OpenError};

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

#[test]
fn the_access_point_answers_every_bad_key_alike() {
    let world = request::world();
    let mut told = std::collections::BTreeSet::new();
    let value = |octets: &[u8]| format!("<xenc:CipherValue>{}</xenc:CipherValue>", BASE64_STANDARD.encode(octets));
    for octets in [&[][..], &[0; 1], &[0; 255], &[0; 256], &[0xff; 256], &[0x5a; 256], &[0; 257], &[0; 512]] {
        let body = edited(&world.body, &|soap| soap.replace(cut(soap, "xenc:CipherValue"), &value(octets)));
        let refusal = request::opened(&body).unwrap_err();
        assert!(refusal.error.is(Code::FailedDecryption), "{} octets: {refusal}", octets.len());
        told.insert(format!("{:?} {}", refusal.error, refusal.cause));
    }
    for change in [0_usize, 12, 20] {
        let mut body = world.body.clone();
        let attachment = body.windows(25).position(|w| w == b"Content-ID: <message>\r\n\r\n").unwrap() + 25;
        body[attachment + change] ^= 1;
        let refusal = request::opened(&body).unwrap_err();
        told.insert(format!("{:?} {}", refusal.error, refusal.cause));
    }
    assert_eq!(told.len(), 1, "{told:?}");
}
