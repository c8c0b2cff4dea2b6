//! The same question and the same proof where nodes share a database: any of them can be asked, and whoever touches a row is told of.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use brevbro::event::EventName;
use brevbro::port::{Op, Step};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::common::postgres::{Cluster, shared};
use crate::gateway::harness::client::Client;
use crate::gateway::harness::{Gateway, Setup, mail, run};
use crate::printed;
use crate::question::{configured, is_all_of_karins_life};

fn setup(node: &str, cluster: &Cluster, database: &str, key: &Path) -> Setup {
    let port = cluster.port;
    let top = format!(
        "store = {{ kind = \"postgresql\", host = [\"127.0.0.1\"], port = {port}, database = \"{database}\", user = \"postgres\" }}\nnode = {{ name = \"{node}\" }}"
    );
    Setup { top: Box::leak(top.into_boxed_str()), mailbox: configured("rader-a", key, ""), ..Setup::new("rader-a") }
}

#[test]
fn where_is_karins_mail_is_asked_of_any_node_and_whoever_touches_a_row_is_found() {
    let Some(cluster) = shared() else { return };
    let (database, keys) = (cluster.database(), tempfile::tempdir().unwrap());
    let (key, public) = (keys.path().join("audit.pem"), keys.path().join("audit.pub.pem").display().to_string());
    printed(&["audit", "key", "--out", key.to_str().unwrap(), "--public", &public], 0);
    run(async {
        let nodes = [Gateway::start(setup("nod-1", cluster, &database, &key)).await, Gateway::start(setup("nod-2", cluster, &database, &key)).await];
        let there = Gateway::start(Setup::new("rader-b")).await;
        let (karin, to) = ("karin@rader-a.se", nodes[0].address_of("inkorg", "rader-b.se"));
        let mut client = Client::connect(&nodes[0]).await;
        client.envelope(karin, &[&to], " NOTIFY=SUCCESS,FAILURE").await;
        let at = Timestamp::now().to_zoned(TimeZone::get("Europe/Stockholm").unwrap()).strftime("%Y-%m-%dT%H:%M").to_string();
        assert!(client.data(&mail(karin, "karins-brev", "Hej")).await.starts_with("250"));
        there.delivery().await;
        nodes[1].event(EventName::Accepted).await;
        nodes[1].event(EventName::NoticeSent).await;
        nodes[0].quiet().await;
        there.stop().await;

        let configs = nodes.each_ref().map(|node| node.dir().join("gateway.toml").display().to_string());
        let mut lives = Vec::new();
        for config in &configs {
            let life = printed(&["trace", "--from", "Karin@Rader-A.se", "--at", &at, "--config", config], 0);
            is_all_of_karins_life(&life, "rader-a");
            assert_eq!(printed(&["trace", "KARINS-BREV@example.se", "--config", config], 0), life, "by any id the same");
            for nothing in [&["--from", "sven@rader-a.se", "--at", &at][..], &["no-such-id"], &["--at", "2020-01-01"]] {
                let told = printed(&[&["trace", "--config", config], nothing].concat(), 1);
                assert!(told.contains("nothing in the journal answers"), "{told}");
            }
            lives.push(life);
            assert!(printed(&["audit", "verify", "--config", config], 0).contains("i databasen"));
        }
        assert_eq!(lives[0], lives[1], "any node can be asked");
        exported(&nodes[0], &configs[1], &lives[0]).await;

        let [one, other] = nodes;
        for node in [&one, &other] {
            assert_eq!(node.events(EventName::Faulted).await, []);
        }
        let asleep = [one.sleep().await, other.sleep().await];
        for (config, node) in configs.iter().zip(&asleep) {
            let whole = printed(&["audit", "verify", "--config", config, "--public-key", &public], 0);
            let signed = std::fs::read_to_string(node.dir().join("state/store/journal/heads.jsonl")).unwrap();
            let signed: Value = serde_json::from_str(signed.lines().last().unwrap()).unwrap();
            assert!(whole.contains(&format!("bevisar den till och med rad {}", signed["line"])), "signed at the stop: {whole}");
        }
        // The one that stopped last has signed everything; its heads were sent elsewhere.
        let heads = keys.path().join("heads.jsonl").display().to_string();
        std::fs::copy(asleep[1].dir().join("state/store/journal/heads.jsonl"), &heads).unwrap();
        touched(cluster, &database, &|code, sign: bool| {
            let proof = ["--public-key", &public, "--heads", &heads];
            printed(&[&["audit", "verify", "--config", &configs[0]], &proof[..if sign { 4 } else { 0 }]].concat(), code)
        });
        // Nodes are gone, and the question is still answered.
        assert_eq!(printed(&["trace", "karins-brev@example.se", "--config", &configs[0]], 0), lives[0]);
    });
}

/// An organisation's half, and what comes while somebody listens.
async fn exported(node: &Gateway, config: &str, life: &str) {
    let export = |more: &[&str]| printed(&[&["audit", "export", "--config", config], more].concat(), 0);
    let all: Vec<Value> = export(&[]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let journal = node.journal().await;
    assert!(all.len() > 10 && all.len() <= journal.len());
    for (number, (line, event)) in all.iter().zip(&journal).enumerate() {
        assert_eq!((&line["number"], &line["name"]), (&number.into(), &serde_json::to_value(event.name).unwrap()));
    }
    let own = export(&["--organisation", "0203:rader-a.se"]);
    assert!(own.lines().count() > 5 && own.lines().all(|line| line.contains("0203:rader-a.se")), "{own}");
    assert_eq!(export(&["--organisation", "0203:rader-b.se"]), "");
    assert!(life.contains(&format!("[rad {}]", serde_json::from_str::<Value>(own.lines().next().unwrap()).unwrap()["line"])), "{life}");

    let mut listening = Command::new(env!("CARGO_BIN_EXE_brevbro"));
    listening.args(["audit", "export", "--follow", "--config", config]).stdout(Stdio::piped());
    let mut listening = listening.spawn().unwrap();
    let mut lines = BufReader::new(listening.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.by_ref().take(all.len()).count(), all.len());
    let event = brevbro::event::Event::new(Timestamp::now(), EventName::Expiring);
    node.daemon.gateway.store.apply(Step::new().op(Op::Audit(event))).await.unwrap();
    assert!(lines.take(20).any(|line| line.contains("\"expiring\"")));
    listening.kill().unwrap();
    listening.wait().unwrap();
}

/// Whatever is done to the rows, by one who may do everything in the database, is told.
fn touched(cluster: &Cluster, database: &str, verify: &dyn Fn(i32, bool) -> String) {
    let sql = |sql: &str| cluster.sql(database, &format!("SET search_path = brevbro; {sql}"));
    sql("CREATE TABLE kept AS SELECT * FROM journal; CREATE TABLE kept_end AS SELECT * FROM journal_end");
    let restore = || sql("TRUNCATE journal, journal_end; INSERT INTO journal SELECT * FROM kept; INSERT INTO journal_end SELECT * FROM kept_end");
    let last: u64 = sql("SELECT max(seq) FROM journal").parse().unwrap();
    let about: u64 = sql("SELECT min(seq) FROM journal WHERE line LIKE '%karin@rader-a.se%'").parse().unwrap();
    assert!(about > 0 && about < last);
    let cut_end = "UPDATE journal_end SET seq = seq - 1, event = (SELECT event FROM kept ORDER BY seq DESC LIMIT 1), \
                   hash = substring((SELECT line FROM kept ORDER BY seq DESC LIMIT 1) from '\"prev\":\"([0-9a-f]{64})')";
    let found = |done: String, says: &str| {
        sql(&done);
        let told = verify(3, true);
        assert!(told.contains(says), "{done}: {told}");
        restore();
    };
    let line = |number: u64| format!("line {number} of the journal");
    found(format!("UPDATE journal SET line = replace(line, 'karin@', 'sven@') WHERE seq = {about}"), &line(about));
    found(format!("DELETE FROM journal WHERE seq = {about}"), &line(about));
    found("DELETE FROM journal WHERE seq = 0".into(), "does not say that those before it were to be deleted");
    found(
        format!(
            "UPDATE journal SET seq = -1 WHERE seq = {about}; UPDATE journal SET seq = -seq WHERE seq > {about}; \
             UPDATE journal SET seq = -seq - 1 WHERE seq < -1"
        ),
        &line(about),
    );
    // Two change places, with or without what is said about them.
    found(
        format!("UPDATE journal AS j SET line = k.line FROM kept AS k WHERE (j.seq, k.seq) IN (({about}, {about} + 1), ({about} + 1, {about}))"),
        &line(about),
    );
    found(
        format!("UPDATE journal SET seq = -seq WHERE seq IN ({about}, {about} + 1); UPDATE journal SET seq = 2 * {about} + 1 + seq WHERE seq < 0"),
        &line(about),
    );
    found(format!("INSERT INTO journal SELECT {last} + 1, event, line, names, chained FROM journal WHERE seq = {last}"), &line(last + 1));
    // The end is cut off, and then so that nothing in the database tells.
    found(format!("DELETE FROM journal WHERE seq = {last}"), &format!("{} is not there, and there were", line(last)));
    sql(&format!("DELETE FROM journal WHERE seq = {last}; {cut_end}"));
    verify(0, false);
    assert!(verify(3, true).contains("was cut off"));
    restore();
    found("TRUNCATE journal; UPDATE journal_end SET seq = 0, event = 0, hash = repeat('0', 64)".into(), "was cut off");
    // A line that nobody who searches would find.
    found(format!("UPDATE journal SET names = '{{}}' WHERE seq = {about}"), "its other columns were changed");
    found("UPDATE journal_end SET hash = repeat('0', 64)".into(), "says that it ends otherwise");
    // By one who makes every hash anew: only a signature tells.
    forge(cluster, database, "karin@rader-a.se", "maria@rader-a.se");
    assert!(verify(0, false).contains("--public-key"));
    assert!(verify(3, true).contains("is not the line that was signed"));
    restore();
    verify(0, true);
}

/// Changes the journal as one would who knows how lines are made: the line, every hash after it, the end, and what lines are found by.
fn forge(cluster: &Cluster, database: &str, from: &str, to: &str) {
    let lines = cluster.sql(database, "SELECT line FROM brevbro.journal ORDER BY seq");
    let (mut prev, mut changes, mut found) = (None::<String>, String::from("SET search_path = brevbro;"), false);
    for (seq, line) in lines.lines().enumerate() {
        let (body, said) = line.rsplit_once(",\"hash\":\"").unwrap();
        let mut body = body.to_owned();
        if !found && body.contains(from) {
            (body, found) = (body.replace(from, to), true);
        }
        if let Some(prev) = &prev {
            let (before, rest) = body.split_once("\"prev\":\"").unwrap();
            body = format!("{before}\"prev\":\"{prev}\"{}", &rest[65..]);
        }
        let hash = if found { brevbro::crypto::sha256(body.as_bytes()).to_string() } else { said.trim_end_matches("\"}").to_owned() };
        prev = found.then(|| hash.clone());
        // Lines without names are named by the nodes.
        write!(changes, "UPDATE journal SET line = $forged${body},\"hash\":\"{hash}\"}}$forged$, names = NULL WHERE seq = {seq};").unwrap();
    }
    assert!(found, "nothing to forge");
    write!(changes, "UPDATE journal_end SET hash = '{}'", prev.unwrap()).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(changes.as_bytes()).unwrap();
    cluster.file(database, file.path()).unwrap();
}
