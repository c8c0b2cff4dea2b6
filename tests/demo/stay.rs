//! The demo while it stays: a mail client reads the mail, foreign programs ask the federation, and nothing is left behind.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use brevbro::ident::{Domain, ParticipantId};

use crate::common::{has, python, run};
use crate::{BREVBRO, temporary};

/// A demo that stays until it is told to stop.
struct Stay {
    child: Child,
    dir: tempfile::TempDir,
    printed: String,
}

impl Stay {
    fn start() -> Self {
        Self::start_as(|_| Command::new(BREVBRO))
    }

    fn start_as(brevbro: impl FnOnce(&Path) -> Command) -> Self {
        // Dovecot runs as another user than root and must get at its files.
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = brevbro(dir.path());
        command.args(["demo", "--small-keys", "--stay", "--out"]).arg(dir.path().join("out")).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut printed = String::new();
        while !printed.contains("Stop with Ctrl-C") {
            assert!(out.read_line(&mut printed).unwrap() > 0, "it ended: {printed}");
        }
        // What it still prints must have somewhere to go.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        Self { child, dir, printed }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("out").join(name)
    }

    /// The words after each occurrence of a word in what was printed.
    fn after(&self, word: &str) -> Vec<&str> {
        self.printed.split(word).skip(1).filter_map(|rest| rest.split_whitespace().next()).collect()
    }

    /// Stops it as a service manager does.
    fn stop(mut self) {
        let left: BTreeSet<u32> = descendants(self.child.id());
        run(Command::new("kill").args(["-TERM", &self.child.id().to_string()])).unwrap();
        wait_for("the demo to end", || self.child.try_wait().unwrap().is_some());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        wait_for("its processes to end", || left.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
    }
}

/// A test that fails leaves nothing behind either.
impl Drop for Stay {
    fn drop(&mut self) {
        for pid in descendants(self.child.id()) {
            drop(Command::new("kill").arg(pid.to_string()).status());
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn wait_for(what: &str, is: impl FnMut() -> bool) {
    let mut is = is;
    let until = Instant::now() + Duration::from_mins(2);
    while !is() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        sleep(Duration::from_millis(50));
    }
}

/// All processes below one.
pub(crate) fn descendants(pid: u32) -> BTreeSet<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?))
        })
        .collect();
    let mut found = BTreeSet::from([pid]);
    loop {
        let more: Vec<u32> = parents.iter().filter(|(pid, parent)| found.contains(parent) && !found.contains(pid)).map(|(pid, _)| *pid).collect();
        if more.is_empty() {
            found.remove(&pid);
            return found;
        }
        found.extend(more);
    }
}

fn judge_py() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/demo/judge.py")
}

#[test]
fn a_mail_client_reads_both_mailboxes_and_nothing_is_left_when_it_stops() {
    let Some(python) = python() else { return };
    if !has("dovecot") {
        return;
    }
    let stay = Stay::start();
    assert!(!descendants(stay.child.id()).is_empty(), "Dovecot runs below the demo");
    let servers = stay.after("IMAP ");
    let (users, passwords) = (stay.after("användare "), stay.after("lösenord "));
    assert_eq!(users, ["socialkontoret@habo.se", "etablering@arbetsformedlingen.se"], "{}", stay.printed);
    let inbox = |user: &str| -> Vec<[String; 3]> {
        let mails = run(Command::new(&python).arg(judge_py()).args(["imap", servers[0], user, passwords[0]])).unwrap();
        serde_json::from_slice(&mails).unwrap()
    };
    for user in &users {
        let mails = inbox(user);
        assert_eq!(mails.len(), 2, "{mails:?}");
        for (kind, subject) in [("multipart/mixed", "Underlag för etableringsplan"), ("multipart/report", "Kvitterat: ")] {
            assert!(mails.iter().any(|[found, of, _]| of == kind && found.starts_with(subject)), "{mails:?}");
        }
    }
    run(Command::new(&python).arg(judge_py()).args(["imap", servers[0], users[0], "wrong"])).unwrap_err();

    // A mail that is sent now, with the printed settings, is there too.
    let (smtp, to) = (stay.after("ut          SMTP ")[0].to_owned(), stay.after("skriv till  ")[0].to_owned());
    let send = "import smtplib, sys\nsmtplib.SMTP(sys.argv[1]).sendmail(sys.argv[2], sys.argv[3], f'From: {sys.argv[2]}\\r\\nSubject: En till\\r\\n\\r\\nHej\\r\\n')";
    run(Command::new(&python).args(["-c", send, &smtp, users[0], &to])).unwrap();
    wait_for("the mail", || inbox(users[1]).iter().any(|[subject, ..]| subject == "En till"));
    stay.stop();
}

#[test]
fn without_root_dovecot_runs_as_whoever_runs_the_demo() {
    const NOBODY: u32 = 65_534;
    let Some(python) = python() else { return };
    // Whoever is not root already has seen it in the test above.
    if !has("dovecot") || !has("setpriv") || fs::metadata("/proc/self").unwrap().uid() != 0 {
        return;
    }
    let stay = Stay::start_as(|dir| {
        // The build's folder may be closed to others.
        let program = dir.join("brevbro");
        fs::copy(BREVBRO, &program).unwrap();
        chown(dir, Some(NOBODY), Some(NOBODY)).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        command
    });
    let (servers, users) = (stay.after("IMAP "), stay.after("användare "));
    let mails = run(Command::new(&python).arg(judge_py()).args(["imap", servers[0], users[0], "demo"])).unwrap();
    assert_eq!(serde_json::from_slice::<Vec<[String; 3]>>(&mails).unwrap().len(), 2);
    stay.stop();
}

#[test]
fn foreign_programs_find_names_chains_lists_and_mutual_tls_while_it_stays() {
    if !["dig", "openssl", "curl"].into_iter().all(has) {
        return;
    }
    let stay = Stay::start();
    let settings: serde_json::Value = serde_json::from_slice(&fs::read(stay.path("keys/testbed.json")).unwrap()).unwrap();
    let port = |name: &str| settings[name].as_u64().unwrap().to_string();

    for participant in ["0203:habo.se", "0203:arbetsformedlingen.se"] {
        let zone = Domain::new(settings["sml_zone"].as_str().unwrap()).unwrap();
        let name = brevbro::smp::naptr_name(&participant.parse::<ParticipantId>().unwrap(), &zone);
        let found = run(Command::new("dig").args(["@127.0.0.1", "-p", &port("dns_port"), "NAPTR", &name, "+short", "+time=5"])).unwrap();
        let expected = format!("100 10 \"U\" \"Meta:SMP\" \"!^.*$!http://127.0.0.1:{}/smp!\" .\n", port("smp_port"));
        assert_eq!(String::from_utf8(found).unwrap(), expected);
    }

    let dir = tempfile::tempdir().unwrap();
    let mut lists = Vec::new();
    for authority in ["access-point-root", "access-point", "participant-root", "participant", "smp", "tls"] {
        let url = format!("http://127.0.0.1:{}/crl/{authority}.crl", port("crl_port"));
        let list = temporary(&dir, "list.crl", run(Command::new("curl").args(["-sSf", &url])).unwrap());
        lists.extend(run(Command::new("openssl").args(["crl", "-inform", "DER", "-in"]).arg(list)).unwrap());
    }
    let lists = temporary(&dir, "lists.pem", lists);
    for authority in ["access-point", "participant", "smp", "tls"] {
        let trust = stay.path("keys/trust").join(format!("{authority}.pem"));
        for issued in fs::read_dir(stay.path("keys/issued").join(authority)).unwrap() {
            let leaf = issued.unwrap().path().join("certificate.pem");
            let mut verify = Command::new("openssl");
            verify.args(["verify", "-x509_strict", "-crl_check_all", "-CAfile"]).arg(&trust).arg("-CRLfile").arg(&lists).arg(leaf);
            let verdict = String::from_utf8(run(&mut verify).unwrap()).unwrap();
            assert!(verdict.ends_with(": OK\n"), "{verdict}");
        }
    }

    let (ca, own) = (stay.path("keys/trust/tls.pem"), stay.path("keys/issued/tls/sdk.habo.se/identity.pem"));
    let endpoint = stay.after("AS4 https://")[1].trim_end_matches("/as4").to_owned();
    let tls = |more: &[&str], with_key: bool| {
        let mut client = Command::new("openssl");
        client.args(["s_client", "-connect", &endpoint, "-verify_return_error", "-verify_ip", "127.0.0.1", "-CAfile"]).arg(&ca).args(more);
        if with_key {
            client.arg("-cert").arg(&own).arg("-key").arg(&own);
        }
        // A line of HTTP makes the server answer, also to a client that TLS 1.3 refuses only after the handshake.
        let mut child = client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        // The client ends at the end of its input, which therefore stays open: the server is to end it.
        std::thread::spawn(move || {
            drop(std::io::Write::write_all(&mut input, b"GET /as4 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
            sleep(Duration::from_secs(30));
        });
        let output = child.wait_with_output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let said = tls(&[version], true);
        assert!(said.contains("Verify return code: 0 (ok)") && said.contains("HTTP/1.1 405"), "{version}: {said}");
        let said = tls(&[version], false);
        assert!(!said.contains("HTTP/1.1"), "{version} without a certificate: {said}");
    }
    let said = tls(&["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], true);
    assert!(said.contains("SSL alert number") && said.contains("Cipher is (NONE)"), "{said}");
    stay.stop();
}
