//! What sealed contents promise.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use super::*;
use crate::crypto::sha256;

const HEADER: &[u8] = br#"{"header":1}"#;

fn key() -> RestKey {
    RestKey::read(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap()
}

fn body(octets: usize) -> Vec<u8> {
    (0..octets).map(|at| (at % 251) as u8).collect()
}

fn sealed(body: &[u8]) -> Vec<u8> {
    let salt = std::array::from_fn(|at| 100 + at as u8);
    salted(&salt, body)
}

fn salted(salt: &[u8; 32], body: &[u8]) -> Vec<u8> {
    let (front, mut sealer) = Sealer::salted(&key(), salt, HEADER, Vec::new()).unwrap();
    body.chunks(777).for_each(|piece| sealer.write_all(piece).unwrap());
    [front, sealer.finish().unwrap()].concat()
}

type Both = (Vec<u8>, Opened<Cursor<Vec<u8>>>);

fn opened(key: &RestKey, content: &[u8]) -> io::Result<Both> {
    let mut stream = Cursor::new(content.to_vec());
    let (head, sealed) = Head::read_from(&mut stream, 100)?;
    let header = head.open_header(key, &sealed).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok((header.to_vec(), Opened::new(key, &head, &sealed, stream)?))
}

fn whole(content: &[u8]) -> io::Result<Vec<u8>> {
    let (header, mut opened) = opened(&key(), content)?;
    assert_eq!(header, HEADER);
    let mut body = Vec::new();
    opened.read_to_end(&mut body).map(|_| body)
}

/// Made with Python's `cryptography` (`HKDF`, `AESGCM`) from the description of the format.
#[test]
fn contents_are_what_another_program_makes_of_the_description() {
    let known = "425245565345414c011000000000001c56db6440387427e46465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283\
                 34fedf20eed9d7e9dfec193a8d54c0d19ba27aa5678b7f3c29ba6dae\
                 512a16a3c4fa2ec72dfb3bdbf3606c764b5b45632bc8f6";
    let hex = sealed(b"hemligt").iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().concat();
    assert_eq!(hex, known);
    assert_eq!(key().id().to_string(), "56db6440387427e4");
    for (octets, digest) in [
        (0, "91dce3671cd987e14a861eb1c8420f6de92e7a0ae13e38f444bef9f90875277e"),
        (65_536, "870222ac5c04e492ef1f4eae7d7877a53c3ccd81cae0159c44cb53f25cf29079"),
        (65_537, "6935823f410cc9cf467594f208cf49d8489dc90479ddd3e3093e8931f69c10cf"),
        (200_000, "32779f1ded4e58fdf81eacc365db8fdd99219d521ac51704ded239df4f4a7228"),
    ] {
        assert_eq!(sha256(&sealed(&body(octets))).to_string(), digest, "{octets}");
    }
}

#[test]
fn contents_of_every_length_come_back() {
    for octets in [0, 1, 777, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK - 16, 3 * CHUNK + 5] {
        let body = body(octets);
        assert!(whole(&sealed(&body)).unwrap() == body, "{octets}");
        assert_eq!(opened(&key(), &sealed(&body)).unwrap().1.octets(), octets as u64);
    }
}

#[test]
fn any_place_can_be_read() {
    let body = body(3 * CHUNK + 100);
    let (_, mut opened) = opened(&key(), &sealed(&body)).unwrap();
    for at in [0, 5, CHUNK - 1, CHUNK, 3 * CHUNK + 99, 2 * CHUNK - 3, 0] {
        opened.seek(SeekFrom::Start(at as u64)).unwrap();
        let mut some = [0; 10];
        let read = opened.read(&mut some).unwrap();
        assert!(read > 0 && some[..read] == body[at..at + read], "{at}");
    }
    assert_eq!(opened.seek(SeekFrom::End(-4)).unwrap(), body.len() as u64 - 4);
    assert_eq!(opened.seek(SeekFrom::Current(100)).unwrap(), body.len() as u64 + 96);
    assert_eq!(opened.read(&mut [0; 4]).unwrap(), 0, "behind the end");
    assert!(opened.seek(SeekFrom::Current(-1_000_000)).is_err());
}

#[test]
fn a_changed_octet_anywhere_is_found() {
    let good = sealed(&body(CHUNK + 50));
    let odd = [0, 7, 8, 9, 10, 12, 15, 16, 23, 24, 55, 56, 83, 84, 5_000, 84 + CHUNK + 15, 84 + CHUNK + 16, good.len() - 1];
    for at in odd {
        let mut spoiled = good.clone();
        spoiled[at] ^= 1;
        let found = whole(&spoiled);
        assert!(found.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidData), "{at}: {:?}", found.map(|body| body.len()));
    }
}

/// Who keeps head and body apart, and the last chunk beside the others, has the same octets.
#[test]
fn a_content_in_its_parts_is_the_content() {
    for octets in [0, 5, CHUNK, 2 * CHUNK + 1] {
        let (front, mut sealer) = Sealer::apart(&key(), HEADER, Vec::new()).unwrap();
        sealer.write_all(&body(octets)).unwrap();
        let (chunks, last) = sealer.end().unwrap();
        assert_eq!(chunks.len() % (CHUNK + TAG), 0, "only whole chunks went out before");
        assert!(last.len() <= CHUNK + TAG);
        assert!(whole(&[front, chunks, last].concat()).unwrap() == body(octets), "{octets}");
    }
}

#[test]
fn chunks_that_are_cut_off_exchanged_repeated_or_added_are_found() {
    let clear = body(3 * CHUNK + 9);
    let good = sealed(&clear);
    let (head, chunks) = good.split_at(Head::OCTETS + HEADER.len() + TAG);
    let pieces: Vec<&[u8]> = chunks.chunks(CHUNK + TAG).collect();
    let other = salted(&[9; 32], &clear);
    let others: Vec<&[u8]> = other[head.len()..].chunks(CHUNK + TAG).collect();
    let make = |pieces: &[&[u8]]| [head, &pieces.concat()].concat();
    assert!(whole(&make(&pieces)).unwrap() == clear);
    for (what, spoiled) in [
        ("cut at a border", make(&pieces[..3])),
        ("cut to nothing", make(&[])),
        ("cut in the last", good[..good.len() - 1].to_vec()),
        ("exchanged", make(&[pieces[1], pieces[0], pieces[2], pieces[3]])),
        ("repeated", make(&[pieces[0], pieces[0], pieces[2], pieces[3]])),
        ("one is missing", make(&[pieces[0], pieces[2], pieces[3]])),
        ("one of another content", make(&[pieces[0], others[1], pieces[2], pieces[3]])),
        ("all of another content", make(&others)),
        ("the last twice", make(&[pieces[0], pieces[1], pieces[2], pieces[3], pieces[3]])),
        ("something behind", [good.as_slice(), b"x"].concat()),
    ] {
        let kind = whole(&spoiled).map(|body| body.len()).map_err(|error| error.kind());
        assert_eq!(kind, Err(io::ErrorKind::InvalidData), "{what}");
    }
}

/// Whoever reads what stands before the damage gets it; nothing wrong is handed out.
#[test]
fn no_octet_of_a_damaged_chunk_is_handed_out() {
    let clear = body(3 * CHUNK);
    let mut spoiled = sealed(&clear);
    let header = Head::OCTETS + HEADER.len() + TAG;
    spoiled[header + (CHUNK + TAG) + 60_000] ^= 1;
    let (_, mut opened) = opened(&key(), &spoiled).unwrap();
    let mut first = vec![0; CHUNK];
    opened.read_exact(&mut first).unwrap();
    assert!(first == clear[..CHUNK]);
    let mut room = [7; 16];
    assert_eq!(opened.read(&mut room).unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(room, [7; 16]);
    opened.seek(SeekFrom::Start(2 * CHUNK as u64)).unwrap();
    assert!(opened.read(&mut room).is_ok(), "the third is whole");
}

#[test]
fn a_wrong_key_has_another_id_and_opens_nothing() {
    let content = sealed(b"hemligt");
    let wrong = RestKey::random().unwrap();
    let head = Head::read(*content.first_chunk().unwrap()).unwrap();
    assert_eq!(head.key(), key().id());
    assert_ne!(head.key(), wrong.id());
    assert!(opened(&wrong, &content).is_err());
}

#[test]
fn the_same_content_is_never_sealed_alike() {
    let seal = || Sealer::new(&key(), HEADER, Vec::new()).unwrap().finish().unwrap();
    let (one, other) = (seal(), seal());
    assert_ne!(one[24..], other[24..]);
    assert_eq!(one.len(), Head::OCTETS + HEADER.len() + 2 * TAG);
}

/// Takes so many octets and fails then.
struct Full(Vec<u8>, usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.1.saturating_sub(self.0.len()).min(bytes.len());
        self.0.extend_from_slice(&bytes[..room]);
        if room == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(room) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn nothing_is_written_after_a_write_that_failed() {
    let mut sealer = Sealer::new(&key(), HEADER, Full(Vec::new(), CHUNK)).unwrap();
    let error = sealer.write_all(&body(2 * CHUNK)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(sealer.write(b"x").is_err());
    assert!(sealer.finish().is_err());
}

#[test]
fn keys_are_read_in_both_forms_and_nothing_else_is_one() {
    let key = RestKey::random().unwrap();
    let text = key.to_base64();
    for file in [format!("{}\n", *text), format!("  {} \r\n", *text)] {
        assert_eq!(RestKey::read(file.as_bytes()).unwrap().id(), key.id());
    }
    for wrong in [&b""[..], &[7; 31], &[7; 33], b"aGVtbGlndA==", &text.as_bytes()[..40], &[text.as_bytes(), text.as_bytes()].concat()] {
        assert_eq!(RestKey::read(wrong).unwrap_err(), RestKeyError::Form);
    }
    for none in [&[0; 32][..], b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] {
        assert_eq!(RestKey::read(none).unwrap_err(), RestKeyError::NotRandom);
    }
    assert_eq!(format!("{key:?}"), format!("RestKey({})", key.id()), "nothing of it is shown");
    assert_eq!(key.id().to_string().parse::<KeyId>().unwrap(), key.id());
    for wrong in ["", "0123", "+123456789abcdef", "zz23456789abcdef"] {
        assert!(wrong.parse::<KeyId>().is_err(), "{wrong}");
    }
}
