//! An access point in the DMZ and a mail node inside, on one database with a role each: whoever has the DMZ's machine, its disk,
//! its memory, its rights in the database, has no message and no participant's key.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::prelude::*;
use brevbro::crypto::rest::RestKey;
use brevbro::event::{EventName, Field};
use openssl::pkcs12::Pkcs12;

use crate::common::files;
use crate::common::needles::{Needle, found, in_memory, may_look};
use crate::common::postgres::Plan;
use crate::evidence::{Inbox, accepted};
use crate::nodes::{Nodes, Role, order};
use crate::stage::{Side, wait_for};

fn on_disk(folder: &Path, needles: &[Needle]) -> Vec<&'static str> {
    let files = files(folder);
    assert!(!files.is_empty());
    let mut seen: Vec<_> = files.iter().filter_map(|file| fs::read(file).ok()).flat_map(|octets| found(needles, &octets)).collect();
    seen.sort_unstable();
    seen.dedup();
    seen
}

/// What a role of the database can select: the tables that it can, and what it finds in them.
fn in_database(all: &Nodes, role: &str, needles: &[Needle]) -> (Vec<String>, Vec<&'static str>) {
    let tables = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                  WHERE c.relkind IN ('r', 'p', 'v', 'm', 't') AND n.nspname <> 'information_schema' ORDER BY 1";
    let (mut readable, mut seen) = (Vec::new(), Vec::new());
    for table in all.sql(tables).lines() {
        let asked = format!("SET SESSION AUTHORIZATION {role}; SET bytea_output = 'hex'; SELECT t::text FROM {table} t");
        let Ok(rows) = all.cluster.try_sql(&all.database, &asked) else { continue };
        readable.push(table.to_owned());
        seen.extend(found(needles, rows.as_bytes()));
        seen.extend(found(needles, &unhexed(&rows)));
    }
    seen.sort_unstable();
    seen.dedup();
    (readable, seen)
}

/// The octets of all `\x…` in a text.
fn unhexed(text: &str) -> Vec<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16).map(|digit| digit as u8);
    let mut octets = Vec::new();
    for part in text.split("\\x").skip(1) {
        let digits: Vec<u8> = part.bytes().map_while(digit).collect();
        octets.extend(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]));
    }
    octets
}

/// The numbers of the participant's key that the mail node opens messages with.
fn key_of(all: &Nodes, needles: &mut Vec<Needle>) {
    let config: toml::Table = fs::read_to_string(all.running[0].folder.join("gateway.toml")).unwrap().parse().unwrap();
    let own = config["organisation"][0].as_table().unwrap();
    let read = |key: &str| fs::read(own[key].as_str().unwrap()).unwrap();
    let (file, password) = (read("key"), String::from_utf8(read("key-password-file")).unwrap());
    let key = Pkcs12::from_der(&file).unwrap().parse2(password.trim_end()).unwrap().pkey.unwrap().rsa().unwrap();
    needles.push(Needle::number("p", &key.p().unwrap().to_vec()));
    needles.push(Needle::number("q", &key.q().unwrap().to_vec()));
    needles.push(Needle::number("d", &key.d().to_vec()));
    needles.push(Needle { name: "key file", forms: vec![file[file.len() / 2..][..64].to_vec()] });
    needles.push(Needle { name: "key password", forms: vec![password.trim_end().as_bytes().to_vec()] });
}

/// A key as a file that only its owner may read.
fn key_file(folder: &Path, name: &str, key: &RestKey) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    fs::write(&path, key.to_base64().as_bytes()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// A key of what is kept: as its file has it, and as it stands in memory.
fn rest_key(name: &'static str, key: &RestKey) -> Needle {
    let text = key.to_base64().as_bytes().to_vec();
    Needle { name, forms: vec![BASE64_STANDARD.decode(&text).unwrap(), text] }
}

/// What the secret of this number is called, in subject, text and files.
fn secret(number: usize) -> String {
    format!("Sekretess{number:02}OmEnskildaFraganFranDonatorBarnet")
}

#[test]
fn a_node_in_the_dmz_has_no_clear_message_and_no_participants_key() {
    if !may_look() {
        return;
    }
    let user = |role| if role == Role::AccessPoint { "brevbro_access_point" } else { "brevbro_mail" };
    let Some(mut all) = Nodes::set("nodes-apart", &[Role::Mail, Role::AccessPoint], &Plan::default(), user) else { return };
    // What each of them keeps lies under keys; those of clear content are at the mail node alone.
    let (content, transport) = (RestKey::random().unwrap(), RestKey::random().unwrap());
    for node in &mut all.running {
        // They overwrite nothing that they free: what passed once is found.
        node.environment = vec![crate::common::needles::UNWIPED];
        let mut section = format!("\n[encryption]\nkeys = [{:?}]\n", key_file(&node.folder, "transport.key", &transport));
        if node.role == Role::Mail {
            writeln!(section, "content-keys = [{:?}]", key_file(&node.folder, "content.key", &content)).unwrap();
        }
        let path = node.folder.join("gateway.toml");
        fs::write(&path, fs::read_to_string(&path).unwrap() + &section).unwrap();
    }
    // As docs/nodes.md tells the administrator.
    all.sql(&format!("CREATE ROLE brevbro_mail LOGIN; ALTER DATABASE {} OWNER TO brevbro_mail", all.database));
    all.running[0].start(None);
    assert!(all.running[0].is_up(), "{}", all.running[0].log());
    let grants = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/postgresql/roles.sql");
    all.cluster.file(&all.database, &grants).unwrap();
    all.cluster.file(&all.database, &grants).expect("it may be run again");
    all.running[1].start(None);
    assert!(all.running[1].is_up(), "{}", all.running[1].log());
    all.stage.b.start(None);
    assert!(all.stage.b.is_up());

    let mut needles: Vec<Needle> = vec![Needle::text("secret out", &secret(1)), Needle::text("secret in", &secret(2))];
    key_of(&all, &mut needles);
    needles.push(rest_key("content key", &content));
    let (mail, point) = (all.running[0].id(), all.running[1].id());
    let (mut out, mut back) = (all.stage.client_of(&all.smtp(), 2, 1), all.stage.client(Side::B, 2, 1));
    let (mut inside, mut outside, mut looks) = (Vec::new(), Vec::new(), 0);
    for number in 0..6 {
        for (side, client, secret) in [(Side::A, &mut out, secret(1)), (Side::B, &mut back, secret(2))] {
            let mut order = order(&format!("crash-{}-{number:04}", side.name()), side, number, 1);
            order["secret"] = secret.into();
            client.send(&order);
        }
    }
    out.close();
    back.close();
    let until = Instant::now() + Duration::from_mins(3);
    // While messages pass, and once more when all have passed.
    loop {
        let promised: Vec<_> = accepted(&all.stage).into_iter().map(|(letter, ..)| letter).collect();
        let is_over = promised.len() == 12 && Inbox::read(&all.stage).is_complete(promised.iter().cloned());
        inside.extend(in_memory(mail, &needles));
        outside.extend(in_memory(point, &needles));
        looks += 1;
        if is_over {
            break;
        }
        assert!(
            Instant::now() < until,
            "{} of {} letters:\n{}\n{}",
            Inbox::read(&all.stage).len(),
            promised.len(),
            all.running[0].log(),
            all.running[1].log()
        );
    }
    wait_for("no job is left", Duration::from_mins(2), || (all.sql("SELECT count(*) FROM jobs WHERE queue <> 'purge'") == "0").then_some(()));
    assert_eq!(outside, Vec::<&str>::new(), "in the memory of the node in the DMZ, in {looks} looks");
    assert_eq!(in_memory(point, &[rest_key("transport key", &transport)]), ["transport key"], "the same look finds the key that it has");
    for name in ["secret out", "secret in", "p", "q", "content key"] {
        assert!(inside.contains(&name), "{name} is not found inside either, in {looks} looks: {inside:?}");
    }

    assert_eq!(on_disk(&all.running[1].folder, &needles), Vec::<&str>::new());
    // The same look finds what is there: the mails of the other side's gateway, which keeps them on its disk.
    assert!(on_disk(&all.stage.b.state, &needles).contains(&"secret in"));
    let config = fs::read_to_string(all.running[1].folder.join("gateway.toml")).unwrap();
    assert!(!config.contains("inkorg") && !config.contains("0203:a.example.p12"), "{config}");

    let (readable, seen) = in_database(&all, "brevbro_access_point", &needles);
    assert_eq!(seen, Vec::<&str>::new(), "of {readable:?}");
    for table in ["records", "notes", "jobs", "sealed_blobs", "sealed_parts"] {
        assert!(readable.contains(&format!("brevbro.{table}")), "{table} of {readable:?}");
    }
    for table in ["clear_blobs", "clear_parts", "journal", "journal_end", "told"] {
        let refused = all.cluster.try_sql(&all.database, &format!("SET SESSION AUTHORIZATION brevbro_access_point; SELECT * FROM brevbro.{table}"));
        assert!(refused.as_ref().is_err_and(|why| why.contains(&format!("permission denied for table {table}"))), "{table}: {refused:?}");
    }
    // Nor has whoever has the database: a superuser sees that messages are there, and none of them.
    let (readable, seen) = in_database(&all, "postgres", &needles);
    assert_eq!(seen, Vec::<&str>::new(), "of {readable:?}");
    assert!(readable.contains(&"brevbro.clear_parts".to_owned()), "{readable:?}");
    assert_eq!(all.sql("SELECT count(DISTINCT kind) FROM clear_blobs WHERE key IS NOT NULL"), "3");
    assert_eq!(all.sql("SELECT count(*) FROM clear_blobs WHERE key IS NULL AND replaced IS NULL"), "0");
    // The same look finds what is there.
    all.sql(&format!("CREATE TABLE told_openly AS SELECT convert_to('{}', 'UTF8') AS text", secret(2)));
    assert_eq!(in_database(&all, "postgres", &needles).1, ["secret in"]);

    // Each side did its own part, and the journal says where.
    let on = |name: EventName| {
        let mut nodes: Vec<String> =
            all.events().iter().filter(|event| event.name == name).filter_map(|event| event.fields.get(&Field::Node).cloned()).collect();
        nodes.dedup();
        nodes
    };
    let (inner, outer) = (&all.running[0].name, &all.running[1].name);
    for (name, node) in [
        (EventName::MailAccepted, inner),
        (EventName::Sealed, inner),
        (EventName::Submitted, outer),
        (EventName::Acknowledged, outer),
        (EventName::Received, outer),
        (EventName::Opened, inner),
        (EventName::Delivered, inner),
        (EventName::NoticeSent, inner),
    ] {
        assert_eq!(on(name), std::slice::from_ref(node), "{name:?}");
    }
    for node in &mut all.running {
        node.stop();
    }
}
