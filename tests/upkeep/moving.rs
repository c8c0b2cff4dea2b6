//! What a gateway keeps moves from files into PostgreSQL and back: nothing lost, nothing twice, one journal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use brevbro::crypto::rest::RestKey;
use brevbro::event::{Event, EventName, Field};
use brevbro::sdk::receipt::Outcome;
use brevbro::store::journal::{self, Known};

use crate::common::postgres::shared;
use crate::gateway::harness::client::submit;
use crate::gateway::harness::peer::Mood;
use crate::gateway::harness::{Gateway, Peer, Setup, mail, mail_with, run, wait_for};
use crate::operator::{KEPT, kept};

fn store(command: &str, file: &Path, config: &Path, abort: Option<&str>) -> (Option<i32>, String) {
    let mut brevbro = Command::new(env!("CARGO_BIN_EXE_brevbro"));
    brevbro.args(["store", command]).arg(file).arg("--config").arg(config);
    if let Some(abort) = abort {
        brevbro.env("BREVBRO_ABORT_AT", abort);
    }
    let Output { status, stdout, stderr } = brevbro.output().unwrap();
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

/// The `[store]` of a schema in PostgreSQL, as a line of configuration.
fn database(port: u16, database: &str, schema: &str) -> &'static str {
    let text = format!(
        "store = {{ kind = \"postgresql\", host = [\"127.0.0.1\"], port = {port}, database = \"{database}\", user = \"postgres\", schema = \"{schema}\" }}\nnode = {{ name = \"nod-1\" }}"
    );
    Box::leak(text.into_boxed_str())
}

/// The same, with bodies under a key.
fn encrypted(port: u16, base: &str, schema: &str, key: &Path) -> &'static str {
    if !key.exists() {
        fs::write(key, RestKey::random().unwrap().to_base64().as_bytes()).unwrap();
        fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let text = format!("{}\nencryption = {{ keys = [\"{}\"] }}", database(port, base, schema), key.display());
    Box::leak(text.into_boxed_str())
}

/// The same configuration with another store, or another state folder, beside it.
fn beside(config: &Path, name: &str, top: &str, state: Option<&Path>) -> PathBuf {
    let text = fs::read_to_string(config).unwrap();
    let own = config.parent().unwrap().join("state");
    let mut lines: Vec<String> = text.lines().filter(|line| !line.starts_with("store = ")).map(str::to_owned).collect();
    if let Some(state) = state {
        for line in &mut lines {
            *line = line.replace(own.to_str().unwrap(), state.to_str().unwrap());
        }
    }
    let place = lines.iter().position(|line| line.starts_with("state-dir")).unwrap();
    lines.insert(place, top.to_owned());
    let path = config.parent().unwrap().join(name);
    fs::write(&path, lines.join("\n")).unwrap();
    path
}

fn count(events: &[Event], name: EventName) -> usize {
    events.iter().filter(|event| event.name == name).count()
}

#[test]
fn a_gateway_moves_from_files_to_postgresql_and_back_with_all_that_it_had() {
    let Some(cluster) = shared() else { return };
    let (port, base) = (cluster.port, cluster.database());
    run(async {
        let gateway = Gateway::start(kept("move")).await;
        let peer = Peer::start("move-peer").await;
        let to = gateway.address_of("inkorg", &peer.name);
        // One that is over, and one that waits, with a file of several parts.
        submit(&gateway, &[&to], "", &mail(&gateway.mailbox, "m1", "Klart")).await;
        peer.answer(&gateway, &peer.message(0).await, Outcome::Accepted).await;
        gateway.event(EventName::Accepted).await;
        peer.set(Mood::Down);
        let file = [b"%PDF-1.4 ".as_slice(), &vec![7; 2_500_000]].concat();
        submit(&gateway, &[&to], "", &mail_with(&gateway.mailbox, "m2", "bild.pdf", "application/pdf", &file)).await;
        let sent = gateway.event(EventName::SendDeferred).await.fields[&Field::As4MessageId].clone();
        let (dir, config) = (gateway.dir().to_owned(), gateway.dir().join("gateway.toml"));
        let (first, second) = (dir.join("first.export"), dir.join("second.export"));
        // There, bodies lie under a key; here they do not.
        let top = encrypted(port, &base, "moved", &dir.join("rest.key"));
        let into = beside(&config, "postgresql.toml", top, None);
        // The harness writes its own file anew at each start.
        let config = beside(&config, "files.toml", "", None);

        let (code, told) = store("export", &first, &config, None);
        assert!(code == Some(1) && told.contains("stop the gateway first") && !first.exists(), "{told}");
        let asleep = gateway.sleep().await;
        let (code, told) = store("export", &first, &config, None);
        assert!(code == Some(0) && told.contains("innehållsfiler i klartext") && told.contains("bodies in the clear"), "{told}");
        let head = journal::verify(&dir.join("state/store/journal")).unwrap();
        let (code, told) = store("export", &first, &config, None);
        assert!(code == Some(1) && told.contains("File exists"), "never over another: {told}");
        // Damage is found before anything is written.
        let sound = fs::read(&first).unwrap();
        let mut spoiled = sound.clone();
        spoiled[sound.len() / 2] ^= 1;
        fs::write(dir.join("spoiled.export"), spoiled).unwrap();
        let (code, told) = store("import", &dir.join("spoiled.export"), &into, None);
        assert!(code == Some(3) && told.contains("nothing was imported"), "{told}");
        let (code, told) = store("import", &first, &into, None);
        assert!(code == Some(0) && told.contains("är hel till och med rad") && told.contains("Do not start the old gateway again"), "{told}");
        let (code, told) = store("import", &first, &into, None);
        assert!(code == Some(1) && told.contains("the schema of the database is not empty"), "{told}");

        assert_eq!(cluster.sql(&base, "SELECT count(*) > 0, count(*) = count(key) FROM moved.clear_blobs"), "t|t", "all of them are under the key");
        let setup = Setup { top, mailbox: KEPT, ..Setup::new("move") };
        let gateway = asleep.wake(setup).await;
        let (code, told) = store("export", &second, &into, None);
        assert!(code == Some(1) && told.contains("a gateway uses the database"), "{told}");
        peer.set(Mood::Good);
        let message = peer.message(1).await;
        assert_eq!(peer.taken()[1].message.message_id.to_string(), sent, "the same AS4 message as before");
        peer.answer(&gateway, &message, Outcome::Accepted).await;
        gateway.nth_event(EventName::Accepted, 1).await;
        gateway.quiet().await;
        let events = gateway.journal().await;
        assert_eq!((count(&events, EventName::MailAccepted), count(&events, EventName::Started), peer.taken().len()), (2, 2, 2));
        assert_eq!((count(&events, EventName::Exported), count(&events, EventName::Imported)), (1, 1));
        // A new one, of which files know nothing.
        submit(&gateway, &[&to], "", &mail(&gateway.mailbox, "m3", "Nytt")).await;
        peer.answer(&gateway, &peer.message(2).await, Outcome::Accepted).await;
        gateway.nth_event(EventName::Accepted, 2).await;
        gateway.quiet().await;

        // And back, into a folder where nothing is.
        let asleep = gateway.sleep().await;
        let (code, told) = store("export", &second, &into, None);
        assert_eq!(code, Some(0), "{told}");
        let (code, told) = store("import", &second, &config, None);
        assert!(code == Some(1) && told.contains("is not empty"), "{told}");
        fs::rename(dir.join("state"), dir.join("state.old")).unwrap();
        let (code, told) = store("import", &second, &config, None);
        assert_eq!(code, Some(0), "{told}");
        let gateway = asleep.wake(kept("move")).await;
        submit(&gateway, &[&to], "", &mail(&gateway.mailbox, "m4", "Hemma")).await;
        peer.answer(&gateway, &peer.message(3).await, Outcome::Accepted).await;
        gateway.nth_event(EventName::Accepted, 3).await;
        gateway.quiet().await;
        let store_of = &gateway.daemon.gateway.store;
        let (state, wanted) = (brevbro::outbound::Outgoing::ACCEPTED, 4);
        wait_for("all four as they ended", || async { (store_of.list(state.clone(), 100).await.unwrap().len() == wanted).then_some(()) }).await;
        let asleep = gateway.sleep().await;
        // One chain from the first line in files over the database to the last line in files.
        let known = Known { heads: [(head.first + head.lines - 1, head.hash)].into(), running: false };
        let whole = journal::verify_with(&dir.join("state/store/journal"), &known, |_, _| {}).unwrap();
        assert_eq!((whole.first, whole.vouched), (0, Some(head.lines - 1)));
        assert!(whole.lines > head.lines + 10);
        for command in [["store", "verify"], ["store", "rebuild"], ["store", "verify"]] {
            let told = Command::new(env!("CARGO_BIN_EXE_brevbro")).args(command).arg("--state-dir").arg(dir.join("state")).output().unwrap();
            assert!(told.status.success(), "{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
        }
        let gateway = asleep.wake(kept("move")).await;
        assert_eq!((count(&gateway.journal().await, EventName::Accepted), peer.taken().len()), (4, 4), "the index that was built anew goes on");
        gateway.stop().await;
    });
}

#[cfg(feature = "failpoints")]
#[test]
fn an_import_that_is_cut_off_leaves_what_nobody_starts_on() {
    use std::error::Error as _;

    use brevbro::daemon::Daemon;

    let Some(cluster) = shared() else { return };
    let (port, base) = (cluster.port, cluster.database());
    run(async {
        let gateway = Gateway::start(kept("move-cut")).await;
        let peer = Peer::start("move-cut-peer").await;
        peer.set(Mood::Down);
        let to = gateway.address_of("inkorg", &peer.name);
        submit(&gateway, &[&to], "", &mail(&gateway.mailbox, "m1", "Hej")).await;
        gateway.event(EventName::SendDeferred).await;
        let (dir, config) = (gateway.dir().to_owned(), gateway.dir().join("gateway.toml"));
        let file = dir.join("whole.export");
        let asleep = gateway.sleep().await;
        assert_eq!(store("export", &file, &config, None).0, Some(0));
        let targets = [
            (beside(&config, "postgresql.toml", database(port, &base, "cut"), None), None),
            (beside(&config, "files.toml", "", Some(&dir.join("other"))), Some(dir.join("other"))),
        ];
        for (into, folder) in &targets {
            for point in ["import.journal", "import.change", "import.body", "import.end"] {
                let (code, told) = store("import", &file, into, Some(point));
                assert_eq!(code, None, "{point}: it was to be killed: {told}");
                let (code, told) = store("import", &file, into, None);
                assert!(code == Some(1) && (told.contains("is not empty") || told.contains("was cut off")), "{point}: {told}");
                let refused = Daemon::start(brevbro::config::load(into).unwrap()).await.err().unwrap();
                let why = refused.source().unwrap().to_string();
                assert!(why.contains("an import into ") && why.contains("empty it, and do it again"), "{point}: {why}");
                match folder {
                    Some(folder) => fs::remove_dir_all(folder).unwrap(),
                    None => drop(cluster.sql(&base, "DROP SCHEMA cut CASCADE")),
                }
            }
            let (code, told) = store("import", &file, into, None);
            assert_eq!(code, Some(0), "{told}");
        }
        asleep.wake(kept("move-cut")).await.stop().await;
    });
}
