//! What is kept of messages lies under keys, which change while messages pass.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::prelude::*;
use brevbro::crypto::rest::RestKey;
use brevbro::event::EventName;

use crate::common::files;
use crate::common::postgres::shared;
use crate::harness::client::submit;
use crate::harness::{Gateway, Setup, mail_with, run, wait_for};

/// A key's file in a folder.
fn key(dir: &Path, name: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join(name);
    std::fs::write(&path, RestKey::random().unwrap().to_base64().as_bytes()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn section(keys: &[&PathBuf]) -> &'static str {
    Box::leak(format!("encryption = {{ keys = {keys:?} }}").into_boxed_str())
}

/// A text in every form that something of a message may have on a disk.
fn forms(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let mut forms = vec![("as it is", text.as_bytes().to_vec()), ("UTF-16LE", little), ("UTF-16BE", big)];
    forms.push(("hexadecimal", text.bytes().flat_map(|octet| format!("{octet:02x}").into_bytes()).collect()));
    // Base64 of it behind zero to two other octets, without the characters that its neighbours share.
    forms.extend((0..3).map(|before| {
        let whole = BASE64_STANDARD.encode([&vec![b' '; before], text.as_bytes()].concat());
        let whole = whole.trim_end_matches('=');
        ("base64", whole.as_bytes()[[0, 2, 3][before]..whole.len() - 1].to_vec())
    }));
    forms
}

/// Files below a folder that hold one of the texts, and in which form.
fn holding(dir: &Path, texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for path in files(dir) {
        let Ok(octets) = std::fs::read(&path) else { continue };
        // Base64 is broken into lines.
        let unbroken: Vec<u8> = octets.iter().copied().filter(|octet| !b"\r\n".contains(octet)).collect();
        for (form, wanted) in texts.iter().flat_map(|text| forms(text)) {
            if unbroken.windows(wanted.len()).any(|part| part == wanted) {
                found.push(format!("{}: {form} of {}", path.display(), String::from_utf8_lossy(&wanted)));
            }
        }
    }
    found
}

#[test]
fn a_marker_is_found_in_each_of_its_forms() {
    for (at, (_, form)) in forms("Hemlighet4711").into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), [b"x\r\n", &form[..5], b"\r\n", &form[5..], b"y"].concat()).unwrap();
        assert!(!holding(dir.path(), &["Hemlighet4711"]).is_empty(), "{at}");
    }
    let dir = tempfile::tempdir().unwrap();
    for before in 0..3 {
        std::fs::write(dir.path().join("file"), BASE64_STANDARD.encode(format!("{}Hemlighet4711, och mer", "x".repeat(before)))).unwrap();
        assert_eq!(holding(dir.path(), &["Hemlighet4711"]).len(), 1, "{before}");
    }
}

#[test]
fn nothing_that_people_write_lies_in_the_state_of_an_encrypted_gateway() {
    const TEXTS: [&str; 4] = ["Orosanmalan4711", "Personakt4711", "Lakarintyg4711", "Bilaga4711"];
    run(async {
        for encrypted in [true, false] {
            let keys = tempfile::tempdir().unwrap();
            let (own, peer) = (key(keys.path(), "own.key"), key(keys.path(), "peer.key"));
            let name = |side: &str| format!("rest-{side}{}", u8::from(encrypted));
            let top = |key| if encrypted { section(&[key]) } else { "" };
            let sender = Gateway::start(Setup { top: top(&own), ..Setup::new(&name("a")) }).await;
            let receiver = Gateway::start(Setup { top: top(&peer), ..Setup::new(&name("b")) }).await;
            let [subject, body, file, file_name] = TEXTS;
            for (from, to) in [(&sender, &receiver), (&receiver, &sender)] {
                let organisation = to.participant.to_string();
                let address = from.address_of("inkorg", organisation.split_once(':').unwrap().1);
                let mail = mail_with(&from.mailbox, "r1", &format!("{file_name}.pdf"), "application/pdf", format!("%PDF-1.4 {file}").as_bytes());
                let mail = mail.replace("Subject: Prov", &format!("Subject: {subject}")).replace("Se bilaga.", &format!("Se {body}."));
                let taken = submit(from, &[&address], " NOTIFY=SUCCESS", &mail).await;
                assert!(taken.starts_with("250"), "{taken}");
                let delivered = to.delivery().await;
                assert!(delivered.text.contains(body), "it arrives in the clear");
                from.notice("delivered", "2.0.0").await;
            }
            for gateway in [&sender, &receiver] {
                gateway.quiet().await;
                let found = holding(&gateway.dir().join("state"), &TEXTS);
                if encrypted {
                    assert_eq!(found, Vec::<String>::new());
                } else {
                    for text in [subject, body, file_name] {
                        assert!(found.iter().any(|found| found.contains(text)), "the test would not find {text}: {found:?}");
                    }
                }
            }
            // The envelope's head, with whom it is from, does not lie in the clear either.
            let spool = holding(&sender.dir().join("state/spool"), &[&sender.mailbox, "\"header\""]);
            assert_eq!(spool.is_empty(), encrypted, "{spool:?}");
            sender.stop().await;
            receiver.stop().await;
        }
    });
}

fn store(gateway: &Gateway, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brevbro"));
    command.arg("store").args(args).arg("--state-dir").arg(gateway.dir().join("state")).output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn tell(gateway: &Gateway, args: &'static [&'static str]) -> Output {
    tokio::task::block_in_place(|| store(gateway, args))
}

/// The steps of docs/protection.md: encryption switched on with messages there, a new key, everything under it, the old key
/// removed, and messages passing all the while.
#[test]
fn keys_change_on_a_running_gateway_with_messages_passing() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (key(dir.path(), "old.key"), key(dir.path(), "new.key"));
        let id = |path: &Path| RestKey::read(&std::fs::read(path).unwrap()).unwrap().id().to_string();
        let setup = |keys: &[&PathBuf]| Setup { top: if keys.is_empty() { "" } else { section(keys) }, ..Setup::new("rekey") };
        let receiver = Gateway::start(Setup::new("rekey-peer")).await;
        let to = "inkorg@rekey-peer.se.sdk.rekey.se";
        let send = async |gateway: &Gateway, id: &str| {
            let mail = mail_with(&gateway.mailbox, id, "a.pdf", "application/pdf", &[b"%PDF-1.4 ", &b"x".repeat(200_000)[..]].concat());
            let taken = submit(gateway, &[to], "", &mail).await;
            assert!(taken.starts_with("250"), "{taken}");
        };
        let gateway = Gateway::start(setup(&[])).await;
        send(&gateway, "k0").await;
        wait_for("the first", || async { (receiver.delivered().len() == 1).then_some(()) }).await;
        gateway.quiet().await;
        let gateway = gateway.sleep().await.wake(setup(&[&old])).await;
        send(&gateway, "k1").await;
        wait_for("the second", || async { (receiver.delivered().len() == 2).then_some(()) }).await;

        let sending = async {
            for n in 2..10 {
                send(&gateway, &format!("k{n}")).await;
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        let changing = async {
            // A configuration without the old key is refused, and nothing changes.
            let path = gateway.dir().join("gateway.toml");
            let text = std::fs::read_to_string(&path).unwrap();
            let configure = |keys: &[&PathBuf]| std::fs::write(&path, text.replace(section(&[&old]), section(keys))).unwrap();
            configure(&[&new]);
            let refused = tell(&gateway, &["reload-keys"]);
            let told = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(!refused.status.success() && told.contains(&id(&old)), "{told}");
            configure(&[&new, &old]);
            let told = said(&tell(&gateway, &["reload-keys"]));
            assert_eq!(told, format!("keys: {}, {}\n", id(&new), id(&old)));
            let told = said(&tell(&gateway, &["rekey", "--check"]));
            assert!(told.contains(&format!("key {}  ", id(&old))) && told.contains("they need it"), "{told}");
            assert!(!told.contains("in the clear  0 bodies"), "what was kept before encryption: {told}");
            let told = said(&tell(&gateway, &["rekey"]));
            assert!(told.contains("in the clear  0 bodies") && !told.contains("failed"), "{told}");
            wait_for("the end of the old key", || async {
                let told = said(&tell(&gateway, &["rekey"]));
                told.contains(&format!("key {}  no body: it may be removed", id(&old))).then_some(())
            })
            .await;
            configure(&[&new]);
            assert_eq!(said(&tell(&gateway, &["reload-keys"])), format!("keys: {}\n", id(&new)));
        };
        tokio::join!(sending, changing);
        wait_for("all of them", || async { (receiver.delivered().len() == 10).then_some(()) }).await;
        gateway.quiet().await;
        assert_eq!(gateway.events(EventName::KeysChanged).await.len(), 2);
        assert!(!gateway.events(EventName::Rekeyed).await.is_empty());
        // It starts without the old key, and reads everything.
        let gateway = gateway.sleep().await.wake(setup(&[&new])).await;
        assert!(said(&tell(&gateway, &["rekey", "--check"])).contains("in the clear  0 bodies"));
        gateway.stop().await;
        receiver.stop().await;
    });
}

/// The same with bodies in a database: they lie under keys there, and change them while the gateway runs.
#[test]
fn bodies_in_postgresql_lie_under_keys_which_change_on_a_running_gateway() {
    let Some(cluster) = shared() else { return };
    let database = cluster.database();
    let ask = |sql: &str| tokio::task::block_in_place(|| cluster.sql(&database, &format!("SET search_path = brevbro; {sql}")));
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (key(dir.path(), "old.key"), key(dir.path(), "new.key"));
        let id = |path: &Path| RestKey::read(&std::fs::read(path).unwrap()).unwrap().id().to_string();
        let port = cluster.port;
        let place = format!(
            "store = {{ kind = \"postgresql\", host = [\"127.0.0.1\"], port = {port}, database = \"{database}\", user = \"postgres\" }}\nnode = {{ name = \"nod-1\" }}\n"
        );
        let top = Box::leak((place + section(&[&old])).into_boxed_str());
        let gateway = Gateway::start(Setup { top, ..Setup::new("rest-rows") }).await;
        let receiver = Gateway::start(Setup::new("rest-rows-peer")).await;
        let text = "Orosanmalan4711";
        let mail = mail_with(&gateway.mailbox, "r1", "a.pdf", "application/pdf", format!("%PDF-1.4 {text}").as_bytes());
        let mail = mail.replace("Subject: Prov", &format!("Subject: {text}"));
        let taken = submit(&gateway, &[&gateway.address_of("inkorg", "rest-rows-peer.se")], "", &mail).await;
        assert!(taken.starts_with("250"), "{taken}");
        receiver.delivery().await;
        gateway.quiet().await;
        let bodies = "SELECT header || encode(head, 'hex') FROM clear_blobs UNION ALL SELECT encode(data, 'escape') FROM clear_parts";
        let kept = ask(bodies);
        assert!(kept.len() > 1_000 && !kept.contains(text) && !kept.contains(&gateway.mailbox), "{kept}");
        let under = "SELECT DISTINCT key FROM (SELECT key, replaced FROM clear_blobs UNION ALL SELECT key, replaced FROM sealed_blobs) t WHERE replaced IS NULL";
        assert_eq!(ask(under), id(&old));

        let path = gateway.dir().join("gateway.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let configure = |keys: &[&PathBuf]| std::fs::write(&path, text.replace(section(&[&old]), section(keys))).unwrap();
        configure(&[&new]);
        let refused = tell(&gateway, &["reload-keys"]);
        assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains(&id(&old)));
        configure(&[&new, &old]);
        said(&tell(&gateway, &["reload-keys"]));
        let told = said(&tell(&gateway, &["rekey"]));
        assert!(told.contains(&format!("key {}  no body: it may be removed", id(&old))), "{told}");
        assert_eq!(ask(under), id(&new));
        configure(&[&new]);
        assert_eq!(said(&tell(&gateway, &["reload-keys"])), format!("keys: {}\n", id(&new)));
        gateway.stop().await;
        receiver.stop().await;
    });
}

#[test]
fn a_gateway_does_not_start_without_the_key_of_what_it_keeps_and_loses_nothing_by_it() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (right, wrong) = (key(dir.path(), "right.key"), key(dir.path(), "wrong.key"));
        let setup = |key| Setup { top: section(&[key]), ..Setup::new("key-lost") };
        let gateway = Gateway::start(setup(&right)).await;
        let receiver = Gateway::start(Setup::new("key-lost-peer")).await;
        let address = gateway.address_of("inkorg", "key-lost-peer.se");
        // Nobody is there who takes it, so it waits.
        let receiver = receiver.sleep().await;
        let taken = submit(&gateway, &[&address], "", &mail_with(&gateway.mailbox, "l2", "a.pdf", "application/pdf", b"%PDF-1.4")).await;
        assert!(taken.starts_with("250"), "{taken}");
        let path = gateway.dir().join("gateway.toml");
        let asleep = gateway.sleep().await;
        let text = std::fs::read_to_string(&path).unwrap();
        for keys in [section(&[&wrong]), ""] {
            std::fs::write(&path, text.replace(section(&[&right]), keys)).unwrap();
            let started = brevbro::daemon::Daemon::start(brevbro::config::load(&path).unwrap()).await;
            let Err(error) = started else { panic!("it started without its key") };
            let told = format!("{error}: {}", std::error::Error::source(&error).unwrap());
            let id = RestKey::read(&std::fs::read(&right).unwrap()).unwrap().id().to_string();
            assert!(told.contains(&id) && told.contains("[encryption]"), "{told}");
        }
        let gateway = asleep.wake(setup(&right)).await;
        let receiver = receiver.wake(Setup::new("key-lost-peer")).await;
        receiver.delivery().await;
        gateway.quiet().await;
        gateway.stop().await;
        receiver.stop().await;
    });
}
