//! Bodies under keys in PostgreSQL: nothing lies in the clear, several nodes change keys beside one another, and none writes
//! under a key that the others have done with.

use std::io::{Read, Write};
use std::sync::Arc;

use brevbro::port::{Blob, BlobId, BlobKind, Blobs, StoreError};
use brevbro::store::cipher::{Keys, Rekey, Rekeyed, Rekeying, Rings};
use brevbro::store::{Bodies, PostgresBlobs, PostgresOptions, PostgresStore};
use uuid::Uuid;

use crate::blobs::{body, keep, read};
use crate::block;
use crate::encryption::{counted, key, rings};
use crate::subject::{answer, place, sql};

fn try_blobs(options: &PostgresOptions, keys: &[u8]) -> Result<(PostgresBlobs, Arc<Keys>), StoreError> {
    let keys = Arc::new(Keys::new(rings(keys)));
    let blobs = block(async { PostgresStore::open(options.clone()).await?.blobs_under(Arc::clone(&keys)).await })?;
    Ok((blobs, keys))
}

/// Bodies of one node under these keys, of which the first seals.
pub(crate) fn blobs(options: &PostgresOptions, keys: &[u8]) -> PostgresBlobs {
    try_blobs(options, keys).unwrap().0
}

/// A node of this name.
fn node(options: &PostgresOptions, name: &str, keys: &[u8]) -> (PostgresBlobs, Arc<Keys>) {
    try_blobs(&PostgresOptions { node: name.into(), ..options.clone() }, keys).unwrap()
}

fn id(n: u128) -> BlobId {
    BlobId(Uuid::from_u128(n))
}

/// Everything in the tables of bodies, octets as hexadecimal digits.
fn tables(options: &PostgresOptions) -> String {
    ["clear_blobs", "clear_parts", "sealed_blobs", "sealed_parts"].map(|table| answer(options, &format!("SELECT t::text FROM {table} t"))).concat()
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |digits, octet| digits + &format!("{octet:02x}"))
}

#[test]
fn neither_heads_nor_bodies_lie_in_the_clear() {
    for (keys, found) in [(&[][..], true), (&[1], false)] {
        let Some(options) = place() else { return };
        let blobs = blobs(&options, keys);
        for (n, kind) in [(1, BlobKind::Mail), (2, BlobKind::Envelope)] {
            let blob = Blob { id: id(n), kind, header: "anna.andersson@habo.se".into() };
            let mut writer = block(blobs.create(blob, None)).unwrap();
            writer.write_all(b"Hej! En orosanmalan.").unwrap();
            block(writer.commit()).unwrap();
        }
        let kept = tables(&options);
        assert_eq!((kept.contains("anna.andersson"), kept.contains(&hex("orosanmalan"))), (found, found), "{kept}");
        assert!(kept.contains("mail") && kept.contains("envelope"), "the look sees the rows: {kept}");
        let digests = answer(&options, "SELECT digest IS NULL FROM clear_blobs UNION ALL SELECT digest IS NULL FROM sealed_blobs");
        assert_eq!(digests, if found { "f\nf\n" } else { "t\nt\n" }, "a digest would tell who guesses what it is");
    }
}

#[test]
fn a_missing_or_wrong_key_is_told_at_start_and_nothing_is_lost() {
    let Some(options) = place() else { return };
    keep(&blobs(&options, &[1]), 1, b"hemligt");
    for keys in [&[][..], &[2], &[2, 3]] {
        let error = try_blobs(&options, keys).err().unwrap();
        assert!(matches!(&error, StoreError::Locked(id) if *id == key(1).id().to_string()), "{error}");
    }
    let (blobs, _) = try_blobs(&options, &[2, 1]).unwrap();
    assert_eq!(read(&blobs, 1), b"hemligt");
}

/// A node that has not heard of a key yet is told which, takes nothing for damage, and goes on when it has it.
#[test]
fn a_body_whose_key_is_missing_is_locked_and_no_damage() {
    let Some(options) = place() else { return };
    let ((one, _), (other, keys)) = (node(&options, "one", &[2, 1]), node(&options, "other", &[1]));
    keep(&one, 1, b"hemligt");
    assert!(matches!(block(other.open(id(1))), Err(StoreError::Locked(_))));
    assert!(matches!(block(other.rekey(id(1))), Err(StoreError::Locked(_))));
    assert!(matches!(block(other.heads()), Err(StoreError::Locked(_))));
    block(other.needs(rings(&[1, 2]))).unwrap();
    keys.replace(rings(&[1, 2]));
    assert_eq!(read(&other, 1), b"hemligt");
}

#[test]
fn any_changed_octet_and_any_exchanged_row_is_found() {
    let Some(options) = place() else { return };
    let blobs = blobs(&options, &[1]);
    let long = body(1_200_000);
    let spoiled = |n: u128, damage: &str| {
        keep(&blobs, n, &long);
        keep(&blobs, n + 100, &long);
        let of = |n: u128| format!("(SELECT body FROM clear_blobs WHERE id = '{}' AND replaced IS NULL)", Uuid::from_u128(n));
        sql(&options, &damage.replace("OWN", &of(n)).replace("OTHER", &of(n + 100)));
        let opened = block(blobs.open(id(n)));
        let whole = opened.map(|(_, _, mut body)| body.read_to_end(&mut Vec::new()).map_err(|error| error.kind()));
        assert!(matches!(whole, Err(StoreError::Damaged(_)) | Ok(Err(std::io::ErrorKind::InvalidData))), "{damage}: {whole:?}");
    };
    spoiled(1, "UPDATE clear_parts SET data = set_byte(data, 700, get_byte(data, 700) # 1) WHERE body = OWN AND part = 0");
    spoiled(2, "UPDATE clear_parts SET data = set_byte(data, 9, get_byte(data, 9) # 1) WHERE body = OWN AND part = 1");
    spoiled(3, "UPDATE clear_blobs SET head = set_byte(head, 60, get_byte(head, 60) # 1) WHERE body = OWN");
    spoiled(4, "UPDATE clear_parts SET data = (SELECT data FROM clear_parts WHERE body = OTHER AND part = 0) WHERE body = OWN AND part = 0");
    spoiled(5, "UPDATE clear_blobs SET head = (SELECT head FROM clear_blobs WHERE body = OTHER) WHERE body = OWN");
    spoiled(6, "DELETE FROM clear_parts WHERE body = OWN AND part = 1; UPDATE clear_blobs SET octets = 1048832 WHERE body = OWN");
    keep(&blobs, 7, &long);
    assert!(read(&blobs, 7) == long);
}

#[test]
fn keys_change_while_nodes_run_and_the_old_one_can_be_removed() {
    let Some(options) = place() else { return };
    keep(&blobs(&options, &[]), 1, b"in the clear");
    let (one, keys) = node(&options, "one", &[1]);
    let (other, others) = node(&options, "other", &[1]);
    keep(&one, 2, &body(3_000_000));
    assert_eq!((read(&other, 1), block(other.census()).unwrap()), (b"in the clear".to_vec(), counted(1, &[(1, 1)])));

    // Both get to know the new key before one of them uses it.
    for (node, keys) in [(&one, &keys), (&other, &others)] {
        block(node.needs(rings(&[1, 2]))).unwrap();
        keys.replace(rings(&[1, 2]));
    }
    block(one.needs(rings(&[2, 1]))).unwrap();
    keys.replace(rings(&[2, 1]));
    keep(&one, 3, b"new");
    assert_eq!(read(&other, 3), b"new");
    assert!(matches!(block(other.needs(rings(&[1]))), Err(StoreError::Locked(_))));

    let (_, _, mut reader) = block(other.open(id(2))).unwrap();
    let mut first = vec![0; 100_000];
    reader.read_exact(&mut first).unwrap();
    let one = Arc::new(one);
    let rekeying = Rekeying::new(Arc::clone(&one) as Arc<dyn Rekey>);
    assert!(rekeying.begin());
    assert_eq!(block(rekeying.run()).unwrap(), counted(0, &[(1, 0), (2, 3)]), "the other one still writes under the old key");
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert!([first, rest].concat() == body(3_000_000), "who read before reads on");
    keep(&other, 4, b"late");
    assert_eq!(block(one.census()).unwrap(), counted(0, &[(1, 1), (2, 3)]));

    block(other.needs(rings(&[2, 1]))).unwrap();
    others.replace(rings(&[2, 1]));
    assert!(rekeying.begin());
    assert_eq!(block(rekeying.run()).unwrap(), counted(0, &[(2, 4)]));
    for node in [&*one, &other] {
        block(node.needs(rings(&[2]))).unwrap();
    }
    keys.replace(rings(&[2]));
    assert_eq!((read(&*one, 1), read(&*one, 3), read(&*one, 4)), (b"in the clear".to_vec(), b"new".to_vec(), b"late".to_vec()));
    assert!(read(&*one, 2) == body(3_000_000));
}

/// One that hung for hours and goes on would write what nobody can read any more once the old key's file is gone.
#[test]
fn a_node_that_slept_through_a_change_of_keys_is_refused_until_it_has_read_them() {
    let Some(options) = place() else { return };
    let ((one, _), (asleep, keys)) = (node(&options, "one", &[2, 1]), node(&options, "asleep", &[1]));
    keep(&asleep, 1, b"early");
    block(one.rekey(id(1))).unwrap();
    sql(&options, "UPDATE key_users SET at = now() - interval '2 hours' WHERE node = 'asleep'");
    assert_eq!(block(one.census()).unwrap(), counted(0, &[(2, 1)]), "nobody was heard of who needs the old key");
    let blob = Blob { id: id(2), kind: BlobKind::Mail, header: String::new() };
    for octets in [10, 3_000_000] {
        let mut writer = block(asleep.create(blob.clone(), None)).unwrap();
        let refused = match writer.write_all(&body(octets)) {
            Ok(()) => block(writer.commit()).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(refused.contains("reload-keys"), "{refused}");
    }
    assert!(matches!(block(one.open(id(2))), Err(StoreError::Missing(_))));
    assert!(matches!(block(asleep.needs(rings(&[1]))), Err(StoreError::Locked(_))), "the old keys alone will not do");
    block(asleep.needs(rings(&[2, 1]))).unwrap();
    keys.replace(rings(&[2, 1]));
    keep(&asleep, 2, b"late");
    assert_eq!((read(&one, 1), read(&one, 2)), (b"early".to_vec(), b"late".to_vec()));
}

#[test]
fn a_body_that_is_sealed_anew_keeps_its_age() {
    let Some(options) = place() else { return };
    keep(&blobs(&options, &[1]), 1, b"x");
    sql(&options, "UPDATE clear_blobs SET written = now() - interval '1000 hours'; UPDATE sealed_blobs SET written = now() - interval '1000 hours'");
    let blobs = blobs(&options, &[2, 1]);
    assert_eq!(block(blobs.rekey(id(1))).unwrap(), Rekeyed::Anew);
    assert_eq!(block(blobs.rekey(id(1))).unwrap(), Rekeyed::Kept);
    assert!(block(blobs.all(None, 9)).unwrap()[0].age >= std::time::Duration::from_hours(999));
}

/// Two nodes seal everything anew again and again, with different keys, while a third deletes and replaces: nothing comes back,
/// nothing gets an older body.
#[test]
fn what_is_deleted_or_replaced_meanwhile_stays_so() {
    let Some(options) = place() else { return };
    let (writing, _) = node(&options, "writing", &[1, 2]);
    let turning = [node(&options, "one", &[2, 1]), node(&options, "other", &[1, 2])];
    (0..45).for_each(|n| keep(&writing, n, &[0; 3_000]));
    std::thread::scope(|scope| {
        let writing = &writing;
        let turning: Vec<_> = turning
            .iter()
            .map(|(node, _)| scope.spawn(move || (0..3).for_each(|_| (0..45).for_each(|n| assert!(block(node.rekey(id(n))).is_ok())))))
            .collect();
        for n in 0..45 {
            match n % 3 {
                0 => block(writing.delete(id(n))).unwrap(),
                1 => keep(writing, n, &[1; 3_000]),
                _ => assert_eq!(read(writing, n), [0; 3_000]),
            }
        }
        for thread in turning {
            thread.join().unwrap();
        }
    });
    for n in 0..45 {
        match n % 3 {
            0 => assert!(matches!(block(writing.open(id(n))), Err(StoreError::Missing(_))), "{n} came back"),
            1 => assert_eq!(read(&writing, n), [1; 3_000]),
            _ => assert_eq!(read(&writing, n), [0; 3_000]),
        }
    }
}

/// Whoever has the machine in the DMZ must not have the key of what is in the clear, even when its configuration names it.
#[test]
fn a_node_of_the_access_point_alone_is_refused_with_a_key_of_clear_content() {
    let Some(options) = place() else { return };
    let apart = Rings { content: rings(&[1]).content, transport: rings(&[3]).transport };
    let mail = block(async { PostgresStore::open(options.clone()).await?.blobs_under(Arc::new(Keys::new(apart))).await }).unwrap();
    keep(&mail, 1, b"hemligt");
    let point = PostgresOptions { bodies: Bodies::Sealed, node: "point".into(), ..options };
    let refused = try_blobs(&point, &[1]).err().unwrap().to_string();
    assert!(refused.contains(&key(1).id().to_string()) && refused.contains("content-keys"), "{refused}");
    let (point, _) = try_blobs(&point, &[3]).unwrap();
    assert_eq!(block(point.census()).unwrap(), counted(0, &[(3, 0)]), "it sees no clear body");
    assert!(matches!(block(point.needs(rings(&[3, 1]))), Err(StoreError::Broken(_))), "nor may it get one later");
}
