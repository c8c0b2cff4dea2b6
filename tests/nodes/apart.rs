//! An access point in the DMZ and a mail node inside, on one database with a role each: whoever has the DMZ's machine, its disk,
//! its memory, its rights in the database, has no message and no participant's key.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use base64::prelude::*;
use brevbro::event::EventName;
use brevbro::event::Field;
use openssl::pkcs12::Pkcs12;

use crate::common::postgres::Plan;
use crate::evidence::{Inbox, accepted};
use crate::nodes::{Nodes, Role, files, order};
use crate::stage::{Side, wait_for};

/// What nobody in the DMZ may find, in every form in which it may lie somewhere.
struct Needle {
    name: &'static str,
    forms: Vec<Vec<u8>>,
}

impl Needle {
    /// A text: as it is, in UTF-16, and in base64 whatever comes before it.
    fn text(name: &'static str, text: &str) -> Self {
        let mut forms = vec![text.as_bytes().to_vec(), text.encode_utf16().flat_map(u16::to_le_bytes).collect()];
        for before in 0..3 {
            let encoded = BASE64_STANDARD.encode([vec![b' '; before], text.as_bytes().to_vec()].concat());
            // Neither what the octets before nor those behind have a part in.
            forms.push(encoded.as_bytes()[4 * before.min(1)..encoded.len() - 4].to_vec());
        }
        Self { name, forms }
    }

    /// A number of a key: as it is written in files, and as OpenSSL keeps it in memory.
    fn number(name: &'static str, number: &[u8]) -> Self {
        Self { name, forms: vec![number.to_vec(), number.iter().rev().copied().collect()] }
    }

    fn is_in(&self, octets: &[u8]) -> bool {
        self.forms.iter().any(|form| memchr::memmem::find(octets, form).is_some())
    }
}

/// The names of the needles that are in there.
fn found(needles: &[Needle], octets: &[u8]) -> Vec<&'static str> {
    needles.iter().filter(|needle| needle.is_in(octets)).map(|needle| needle.name).collect()
}

/// What a process has in memory that is readable, all of it.
fn in_memory(process: u32, needles: &[Needle]) -> Vec<&'static str> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let (mut seen, mut regions) = (Vec::new(), 0);
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        let bound = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let (from, to) = range.split_once('-').map(|(from, to)| (bound(from), bound(to))).unwrap();
        // Not what only the kernel reads.
        if !rest.starts_with('r') || line.ends_with("[vvar]") || line.ends_with("[vsyscall]") || line.ends_with("[vvar_vclock]") {
            continue;
        }
        let mut octets = Vec::new();
        // What was given back since the list was made is gone.
        if memory.seek(SeekFrom::Start(from)).is_ok() && (&memory).take(to - from).read_to_end(&mut octets).is_ok() {
            regions += 1;
        }
        seen.extend(found(needles, &octets));
    }
    assert!(regions > 20, "{regions} regions of process {process} could be read:\n{maps}");
    seen.sort_unstable();
    seen.dedup();
    seen
}

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

/// What the secret of this number is called, in subject, text and files.
fn secret(number: usize) -> String {
    format!("Sekretess{number:02}OmEnskildaFraganFranDonatorBarnet")
}

#[test]
fn a_node_in_the_dmz_has_no_clear_message_and_no_participants_key() {
    let user = |role| if role == Role::AccessPoint { "brevbro_access_point" } else { "brevbro_mail" };
    let Some(mut all) = Nodes::set("nodes-apart", &[Role::Mail, Role::AccessPoint], &Plan::default(), user) else { return };
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
    for name in ["secret out", "secret in", "p", "q"] {
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
    let (_, inside) = in_database(&all, "brevbro_mail", &needles);
    assert_eq!(inside, ["secret in", "secret out"], "the same look as the mail node's role");

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
