//! "Where is the mail that Karin sent at 14:10?", asked of a gateway that runs; and then somebody touches the journal.

use std::fmt::Write as _;
use std::path::Path;

use brevbro::event::EventName;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::gateway::harness::client::Client;
use crate::gateway::harness::{Gateway, Setup, mail, run};
use crate::{copy, printed, segments};

/// Karin's mailbox, and a journal whose heads are signed, with more lines about it. It stands at the configuration's end.
pub(crate) fn configured(name: &str, key: &Path, more: &str) -> &'static str {
    let text = format!(
        "[[organisation.mailbox]]\naddress = \"karin@{name}.se\"\nfunction = \"karin\"\nlabel = \"Karin\"\n\n[audit]\n{more}\nsigning-key = \"{}\"\nhead-lines = 3\n",
        key.display()
    );
    Box::leak(text.into_boxed_str())
}

/// What is told of a mail of Karin's that has come where it should.
pub(crate) fn is_all_of_karins_life(life: &str, name: &str) {
    let told =
        ["Mejlet togs emot", "Meddelandet krypterades", "Mottagarens accesspunkt kvitterade", "accepterade meddelandet", "Avsändaren fick besked"];
    let places: Vec<usize> = told.iter().map(|word| life.find(word).unwrap_or_else(|| panic!("{word} in {life}"))).collect();
    assert!(places.is_sorted(), "in the order in which it happened: {life}");
    assert!(life.contains(&format!("Läget hos 0203:{name}.se: framme: mottagarens organisation har accepterat det")), "{life}");
    assert!(life.contains("Den som ska göra något: ingen."), "{life}");
    assert!(life.contains("Message-ID: karins-brev@example.se") && !life.contains("Hej") && !life.contains("Prov"), "ids and no content: {life}");
}

/// Changes a journal as one would who can write every file and knows how lines are made: the line, and every hash after it.
fn forge(journal: &Path, from: &str, to: &str) {
    let (mut found, mut prev) = (false, None::<String>);
    for path in segments(journal) {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut forged = String::new();
        for line in text.lines() {
            let (body, said) = line.rsplit_once(",\"hash\":\"").unwrap();
            let mut body = body.to_owned();
            if !found && body.contains(from) {
                body = body.replace(from, to);
                found = true;
            }
            if let Some(prev) = &prev {
                let (before, rest) = body.split_once("\"prev\":\"").unwrap();
                body = format!("{before}\"prev\":\"{prev}\"{}", &rest[65..]);
            }
            let hash = if found { brevbro::crypto::sha256(body.as_bytes()).to_string() } else { said.trim_end_matches("\"}").to_owned() };
            prev = found.then(|| hash.clone());
            writeln!(forged, "{body},\"hash\":\"{hash}\"}}").unwrap();
        }
        std::fs::write(path, forged).unwrap();
    }
    assert!(found, "nothing to forge");
}

#[test]
fn where_is_the_mail_that_karin_sent_and_was_the_journal_touched() {
    run(async {
        let keys = tempfile::tempdir().unwrap();
        let (key, public) = (keys.path().join("audit.pem"), keys.path().join("audit.pub.pem"));
        let (key_text, public_text) = (key.display().to_string(), public.display().to_string());
        printed(&["audit", "key", "--out", &key_text, "--public", &public_text], 0);
        assert!(printed(&["audit", "key", "--out", &key_text, "--public", &public_text], 1).contains("never overwritten"));

        let here = Gateway::start(Setup { mailbox: configured("fraga-a", &key, "segment-size = 16384"), ..Setup::new("fraga-a") }).await;
        let there = Gateway::start(Setup::new("fraga-b")).await;
        let (karin, to) = ("karin@fraga-a.se", here.address_of("inkorg", "fraga-b.se"));
        let mut client = Client::connect(&here).await;
        client.envelope(karin, &[&to], " NOTIFY=SUCCESS,FAILURE").await;
        let at = Timestamp::now().to_zoned(TimeZone::get("Europe/Stockholm").unwrap()).strftime("%Y-%m-%dT%H:%M").to_string();
        let reply = client.data(&mail(karin, "karins-brev", "Hej")).await;
        assert!(reply.starts_with("250"), "{reply}");
        there.delivery().await;
        here.event(EventName::Accepted).await;
        here.event(EventName::NoticeSent).await;
        here.quiet().await;
        there.quiet().await;

        let state = here.dir().join("state").display().to_string();
        let life = printed(&["trace", "--from", "Karin@Fraga-A.se", "--at", &at, "--state-dir", &state], 0);
        is_all_of_karins_life(&life, "fraga-a");
        for line in life.lines().filter(|line| line.starts_with("  20")) {
            assert!(line.starts_with(&format!("  {}", &at[..10])), "local time: {line}");
        }
        let english = printed(&["trace", "KARINS-BREV@example.se", "--language", "en", "--state-dir", &state], 0);
        assert!(english.contains("State at 0203:fraga-a.se: arrived") && english.contains("Who has to act: nobody."), "{english}");
        assert!(printed(&["trace", "--from", "sven@fraga-a.se", "--at", &at, "--state-dir", &state], 1).contains("nothing in the journal answers"));

        // The other side's half, as it was exported there.
        let (their_state, half) = (there.dir().join("state").display().to_string(), keys.path().join("half.jsonl"));
        std::fs::write(&half, printed(&["audit", "export", "--organisation", "0203:fraga-b.se", "--state-dir", &their_state], 0)).unwrap();
        let whole = printed(&["trace", "--from", karin, "--at", &at, "--with", half.to_str().unwrap(), "--state-dir", &state], 0);
        assert!(whole.contains("Läget hos 0203:fraga-b.se: levererat till mejlservern") && whole.contains("andra sidans rad"), "{whole}");
        let json = printed(&["trace", "--mailbox", karin, "--json", "--with", half.to_str().unwrap(), "--state-dir", &state], 0);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&json["ends"][0]["who"], &json["ends"][1]["state"]), (&"nobody".into(), &"delivered".into()), "{json}");

        // While it runs, and when it has stopped: whole.
        printed(&["audit", "verify", "--state-dir", &state, "--public-key", &public_text], 0);
        let journal = here.dir().join("state/store/journal");
        there.stop().await;
        let faults = here.events(EventName::Faulted).await;
        assert_eq!(faults, []);
        let asleep = here.sleep().await;
        let (copied, heads) = (keys.path().join("copy"), keys.path().join("heads.jsonl"));
        std::fs::copy(journal.join("heads.jsonl"), &heads).unwrap();
        let verify = |code| {
            let arguments =
                ["audit", "verify", "--journal", copied.to_str().unwrap(), "--public-key", &public_text, "--heads", heads.to_str().unwrap()];
            printed(&arguments, code)
        };
        copy(&journal, &copied);
        assert!(segments(&copied).len() > 1, "it went on in another segment");
        let whole = verify(0);
        let last = std::fs::read_to_string(segments(&copied).last().unwrap()).unwrap();
        let last: serde_json::Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
        assert!(whole.contains(&format!("bevisar den till och med rad {}", last["seq"])), "signed at the stop: {whole}");

        tampered(&copied, &journal, verify);
        drop(asleep);
    });
}

/// One who touches the copy is told of, whatever he does.
fn tampered(copied: &Path, journal: &Path, verify: impl Fn(i32) -> String) {
    let fresh = || {
        std::fs::remove_dir_all(copied).unwrap();
        copy(journal, copied);
    };
    // One word.
    let first = segments(copied).remove(0);
    let text = std::fs::read_to_string(&first).unwrap();
    let line = text.lines().position(|line| line.contains("karin@fraga-a.se")).unwrap();
    std::fs::write(&first, text.replacen("karin@fraga-a.se", "sven@fraga-a.se", 1)).unwrap();
    let told = verify(3);
    assert!(told.contains(&format!("line {line} of the journal")) && told.contains("does not have the hash that it says"), "{told}");
    // The same by one who makes every hash anew: only a signature tells.
    fresh();
    forge(copied, "karin@fraga-a.se", "maria@fraga-a.se");
    printed(&["audit", "verify", "--journal", copied.to_str().unwrap()], 0);
    assert!(verify(3).contains("is not the line that was signed"));
    // The end is cut off.
    fresh();
    let last = segments(copied).pop().unwrap();
    let text = std::fs::read_to_string(&last).unwrap();
    let cut = text.trim_end().rfind('\n').map_or(0, |end| end + 1);
    std::fs::write(&last, &text[..cut]).unwrap();
    assert!(verify(3).contains("was cut off"));
    // A whole segment goes: the first, one between, the last.
    for number in [0, segments(journal).len() / 2, segments(journal).len() - 1] {
        fresh();
        std::fs::remove_file(&segments(copied)[number]).unwrap();
        verify(3);
    }
    fresh();
    verify(0);
}
