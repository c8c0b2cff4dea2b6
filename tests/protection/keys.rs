//! Keys of what is kept, as a service gets them: made by a command, laid ready by systemd, changed by a signal, missing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use base64::prelude::*;

use crate::process::Guarded;
use crate::stage::{Gateway, Stage, wait_for};

fn brevbro(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_brevbro")).args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Makes a key as the manual says; its id.
fn make(path: &Path) -> String {
    said(&brevbro(&["store", "key", "--output", path.to_str().unwrap()])).trim_end().to_owned()
}

#[test]
fn a_key_is_made_into_a_file_that_only_its_owner_reads_and_none_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.key");
    let id = make(&path);
    let text = fs::read(&path).unwrap();
    let key = brevbro::crypto::rest::RestKey::read(&text).unwrap();
    assert_eq!(key.id().to_string(), id);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = brevbro(&["store", "key", "--output", path.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.code() == Some(2) && told.contains("is there already") && again.stdout.is_empty(), "{told}");
    assert_eq!(fs::read(&path).unwrap(), text);
    // Without a file it is printed, for a store of secrets that takes it from there; never twice the same.
    let printed = [0; 2].map(|_| said(&brevbro(&["store", "key"])));
    assert_eq!(printed[0].lines().count(), 1);
    assert_eq!(BASE64_STANDARD.decode(printed[0].trim_end()).unwrap().len(), 32);
    assert_ne!(printed[0], printed[1]);
    let nowhere = brevbro(&["store", "key", "--output", dir.path().join("no/such/state.key").to_str().unwrap()]);
    assert!(!nowhere.status.success() && nowhere.stdout.is_empty());
}

/// Writes the section into the configuration, in the place of the one before.
fn configure(gateway: &Gateway, keys: &[&str]) {
    let text = fs::read_to_string(&gateway.config).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("encryption = ")).collect();
    fs::write(&gateway.config, format!("encryption = {{ keys = {keys:?} }}\n{}\n", lines.join("\n"))).unwrap();
}

/// How often the log has said this, once it has so often.
fn told(gateway: &Guarded, what: &str, times: usize) {
    wait_for(what, Duration::from_mins(1), || (gateway.said().matches(what).count() >= times).then_some(()));
}

#[test]
fn a_service_has_its_keys_from_systemd_reads_them_again_at_a_signal_and_does_not_start_without() {
    if !crate::common::has("python3") {
        return;
    }
    let stage = Stage::set("protection-keys");
    let credentials = stage.dir.join("credentials");
    fs::create_dir_all(&credentials).unwrap();
    let (old, new) = (make(&credentials.join("state-2026.key")), make(&credentials.join("state-2027.key")));
    let laid = [("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap())];
    configure(&stage.a, &["credential:state-2026.key"]);
    let mut gateway = Guarded::start(&stage.a, &stage.dir, &laid);
    let check = || {
        let state = stage.a.state.to_str().unwrap();
        said(&brevbro(&["store", "rekey", "--check", "--state-dir", state]))
    };
    assert!(check().contains(&format!("key {old}  0 bodies, and all new ones")), "{}", check());

    // A mail for somebody who is not there is kept, under the old key.
    let mut client = stage.client(crate::stage::Side::A, 1, 1);
    let side = crate::stage::Side::A;
    client.send(&serde_json::json!({ "token": "crash-a-0000", "from": side.mailbox(0), "to": [side.towards(0)], "files": 1 }));
    client.close();
    wait_for("the mail", Duration::from_mins(1), || client.ended().then_some(()));
    let needed = wait_for("its bodies", Duration::from_mins(1), || Some(check()).filter(|told| !told.contains(&format!("key {old}  0 bodies"))));
    assert!(needed.contains(&format!("key {old}  ")), "{needed}");

    // What is wrong at the signal changes nothing.
    configure(&stage.a, &["credential:state-2027.key"]);
    gateway.signal("HUP");
    told(&gateway, "the keys were not read again", 1);
    configure(&stage.a, &["credential:no-such.key"]);
    gateway.signal("HUP");
    told(&gateway, "the keys were not read again", 2);
    assert!(check().contains("and all new ones") && check().contains(&old) && !check().contains(&new), "{}", check());

    configure(&stage.a, &["credential:state-2027.key", "credential:state-2026.key"]);
    gateway.signal("HUP");
    told(&gateway, "the keys of [encryption] were read again", 1);
    assert!(check().contains(&format!("key {new}  0 bodies, and all new ones")), "{}", check());
    gateway.stop();

    // Neither without the folder of credentials, nor without the key, nor with another one, nor with none.
    for (keys, environment, why) in [
        (&["credential:state-2027.key", "credential:state-2026.key"][..], &[][..], "LoadCredential="),
        (&["credential:state-2027.key"], &laid, &*old),
        (&["credential:state-2027.key", "credential:gone.key"], &laid, "LoadCredential="),
    ] {
        configure(&stage.a, keys);
        let mut refused = Guarded::begin(&stage.a, &stage.dir, environment, None);
        let (status, said) = (refused.end(), refused.said());
        let last: Vec<&str> = said.lines().rev().take(8).collect();
        assert!(!status.success() && last.iter().any(|line| line.contains(why)), "{why} of {last:#?}");
    }
    configure(&stage.a, &["credential:state-2027.key", "credential:state-2026.key"]);
    let mut gateway = Guarded::start(&stage.a, &stage.dir, &laid);
    let moved = said(&brevbro(&["store", "rekey", "--state-dir", stage.a.state.to_str().unwrap()]));
    assert!(moved.contains(&format!("key {old}  no body")), "{moved}");
    gateway.stop();

    // What looks into the state of a gateway that does not run needs the keys as well.
    let verify = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brevbro"));
        let output = command.args(["store", "verify", "--state-dir"]).arg(&stage.a.state).args(arguments).envs(laid).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (sound, told) = verify(&[]);
    assert!(!sound && told.contains("which is not among the keys") && told.contains("--config"), "{told}");
    let (sound, told) = verify(&["--config", stage.a.config.to_str().unwrap()]);
    assert!(sound && told.contains("chain is whole"), "{told}");
}
