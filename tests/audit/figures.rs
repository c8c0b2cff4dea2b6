//! How long a question takes in a journal of years (docs/performance.md): `BREVBRO_EVENTS=5000000`, minutes, and some gigabytes.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::time::Instant;

use brevbro::crypto::sha256;
use brevbro::event::{Event, EventName, Field};
use brevbro::ident::{ParticipantId, RecordId, Sha256};
use brevbro::port::{Record, State};
use brevbro::store::journal::find::{Want, fold, ids};
use brevbro::store::journal::{Begun, Change, Entry};
use brevbro::store::{PostgresJournal, PostgresOptions, PostgresStore, SledOptions};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::common::postgres::shared;
use crate::printed;

/// Octets of a segment, as they are by default.
const SEGMENT: u64 = 64 * 1024 * 1024;
/// What happens to a message that is sent and accepted.
const LIFE: [EventName; 8] = [
    EventName::MailAccepted,
    EventName::Sealed,
    EventName::Submitted,
    EventName::Acknowledged,
    EventName::Received,
    EventName::Opened,
    EventName::Accepted,
    EventName::NoticeSent,
];

fn events() -> u64 {
    std::env::var("BREVBRO_EVENTS").map_or(100_000, |events| events.parse().unwrap())
}

fn uuid(what: &str, number: u64) -> Uuid {
    let Sha256(digest) = sha256(format!("{what} {number}").as_bytes());
    Uuid::from_bytes(*digest.first_chunk().unwrap())
}

/// Event number `n` of a gateway with forty messages on their way at any time, one event every fifteen seconds: two years of five million.
fn event(n: u64) -> Event {
    let (round, place) = (n / (40 * LIFE.len() as u64), n % (40 * LIFE.len() as u64));
    let (step, message) = (place / 40, round * 40 + place % 40);
    let at = "2024-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(i64::try_from(n).unwrap() * 15);
    let own: ParticipantId = "0203:kommun.se".parse().unwrap();
    let other = format!("0203:annan{}.se", message % 300);
    let certificate = |of: &str| sha256(of.as_bytes()).to_string();
    let event = Event::new(at, LIFE[step as usize])
        .of(RecordId(uuid("record", message)), &own)
        .with(Field::MessageId, uuid("message", message))
        .with(Field::ConversationId, uuid("conversation", message / 3))
        .with(Field::OriginalSender, &own)
        .with(Field::FinalRecipient, &other)
        .with(Field::Node, "sdk-gw-1");
    match step {
        0 => event
            .with(Field::Sender, format!("person{}@kommun.se", message % 4_000))
            .with(Field::Recipient, format!("registrator@annan{}.se.sdk.kommun.se", message % 300))
            .with(Field::MailMessageId, format!("<{}@kommun.se>", uuid("mail", message)))
            .with(Field::Transaction, uuid("transaction", message)),
        1 => event.with(Field::ParticipantCertificate, certificate(&other)).with(Field::OwnCertificate, certificate("own")).with(Field::Size, 48_211),
        4 | 5 => event.with(Field::ReceiptId, uuid("receipt", message)).with(Field::PeerCertificate, certificate("point")),
        _ => event.with(Field::As4MessageId, format!("{}@gw.kommun.se", uuid("as4", message))).with(Field::PeerAccessPoint, "AP0042-SDK-PROD"),
    }
}

/// A line as it is written, with its line feed; its hash comes after the others.
fn line(entry: &Entry) -> (Vec<u8>, Sha256) {
    let mut octets = serde_json::to_vec(entry).unwrap();
    octets.pop();
    let hash = sha256(&octets);
    writeln!(octets, ",\"hash\":\"{hash}\"}}").unwrap();
    (octets, hash)
}

/// The lines of so many events, one after another, each in the segment that `segment` says.
fn lines(events: u64, with_changes: bool, mut segment: impl FnMut(u64, u64) -> Option<Begun>, mut take: impl FnMut(&Entry, &[u8])) {
    let (mut seq, mut prev, mut offset, mut next) = (0, Sha256([0; 32]), 0, 0);
    while next < events {
        let segment = segment(seq, offset);
        let events = if segment.is_some() { Vec::new() } else { vec![event(next)] };
        let changes = events.iter().filter(|_| with_changes).map(|event| {
            let body = format!("{{\"v\":1,\"is\":\"{}\"}}", "x".repeat(700));
            Change::Record(Record { id: event.record.unwrap(), state: State::new("waiting-for-receipt"), body })
        });
        let changes = changes.collect();
        let entry = Entry { seq, prev, segment, group: None, opened: None, anew: false, pruned: None, event: next, events, changes };
        let (octets, hash) = line(&entry);
        take(&entry, &octets);
        (seq, prev, offset, next) = (seq + 1, hash, offset + octets.len() as u64, next + entry.events.len() as u64);
    }
}

fn timed(what: &str, work: impl FnOnce()) {
    let begun = Instant::now();
    work();
    println!("{what}: {:.2} s", begun.elapsed().as_secs_f64());
}

/// The questions of an operator, each with one message as its answer, out of the middle.
fn questions(events: u64) -> Vec<(&'static str, Vec<String>)> {
    let message = events / 2 / (40 * LIFE.len() as u64) * 40 + 7;
    let at = event(message / 40 * 40 * LIFE.len() as u64 + 7).at.strftime("%Y-%m-%dT%H:%M").to_string();
    vec![
        ("by who sent it when", vec!["--from".into(), format!("person{}@kommun.se", message % 4_000), "--at".into(), at]),
        ("by messageId", vec![uuid("message", message).to_string()]),
        ("by Message-ID", vec![format!("<{}@kommun.se>", uuid("mail", message))]),
        ("by the access point's id", vec![format!("{}@gw.kommun.se", uuid("as4", message))]),
    ]
}

fn ask(events: u64, place: &[&str]) {
    for (what, question) in questions(events) {
        let begun = Instant::now();
        // Times of questions are those of the events: UTC.
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_brevbro"));
        let output = command.env("TZ", "UTC").arg("trace").args(&question).args(place).args(["--language", "en"]).output().unwrap();
        let took = begun.elapsed();
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!(told.matches("Message ").count(), 1, "{what} {question:?}: {told} {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(told.lines().filter(|line| line.starts_with("  20")).count(), LIFE.len(), "{told}");
        println!("{what}: {:.2} s", took.as_secs_f64());
    }
}

#[test]
#[ignore = "minutes and gigabytes: docs/performance.md"]
fn a_question_to_files() {
    let (events, dir) = (events(), tempfile::tempdir().unwrap());
    let journal = SledOptions::new(dir.path().join("store")).journal();
    std::fs::create_dir_all(&journal).unwrap();
    let (mut file, mut begun, mut octets) = (None::<BufWriter<File>>, u64::MAX, 0);
    let begins = |seq: u64, offset: u64| {
        let full = begun == u64::MAX || offset - begun >= SEGMENT;
        full.then(|| {
            begun = offset;
            Begun { version: 1, offset, at: event(seq).at }
        })
    };
    timed("written", || {
        lines(events, true, begins, |entry, line| {
            if entry.segment.is_some() {
                file = Some(BufWriter::new(File::create(journal.join(format!("{:010}.jsonl", entry.seq))).unwrap()));
            }
            octets += line.len();
            file.as_mut().unwrap().write_all(line).unwrap();
        });
        file.take().unwrap().flush().unwrap();
    });
    let state = dir.path().to_str().unwrap();
    println!("{events} events, {} MB, {} segments", octets / 1_000_000, crate::segments(&journal).len());
    timed("the first question, which makes the indexes that a gateway makes with each segment", || ask(events, &["--state-dir", state]));
    ask(events, &["--state-dir", state]);
    timed("verify", || drop(printed(&["audit", "verify", "--state-dir", state], 0)));
}

/// What a line is found by, as the store computes it: `verify` compares.
fn names(event: &Event) -> String {
    let hash = |id: &str| {
        let long = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3));
        i32::from_be_bytes(((long ^ (long >> 32)) as u32).to_be_bytes())
    };
    let mut names: Vec<i32> = ids(event).map(|id| hash(&id)).collect();
    names.push(hash(&format!(" hour {}", event.at.as_second().div_euclid(3_600))));
    names.sort_unstable();
    names.dedup();
    names.iter().fold(String::new(), |mut text, name| {
        let _ = write!(text, "{}{name}", if text.is_empty() { "" } else { "," });
        text
    })
}

#[test]
#[ignore = "minutes and gigabytes: docs/performance.md"]
fn a_question_to_a_database() {
    let Some(cluster) = shared() else { return };
    let (events, dir, database) = (events(), tempfile::tempdir().unwrap(), cluster.database());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let options = PostgresOptions::new(&cluster.url(&database)).unwrap();
    drop(runtime.block_on(PostgresStore::open(options.clone())).unwrap());
    let rows = dir.path().join("rows");
    let mut file = BufWriter::new(File::create(&rows).unwrap());
    let mut end = (0, String::new());
    lines(
        events,
        false,
        |_, _| None,
        |entry, line| {
            let text = std::str::from_utf8(line).unwrap().trim_end();
            end = (entry.seq + 1, text[text.len() - 66..text.len() - 2].to_owned());
            writeln!(file, "{}\t{}\t{text}\t{{{}}}", entry.seq, entry.event, names(&entry.events[0])).unwrap();
        },
    );
    file.flush().unwrap();
    timed("loaded with its indexes", || {
        let script = dir.path().join("load.sql");
        let copy = format!(
            "\\copy brevbro.journal (seq, event, line, names) FROM '{}'\nUPDATE brevbro.journal_end SET seq = {2}, event = {2}, hash = '{1}';\n",
            rows.display(),
            end.1,
            end.0
        );
        std::fs::write(&script, copy).unwrap();
        cluster.file(&database, &script).unwrap();
    });
    let size = |of: &str| cluster.sql(&database, &format!("SELECT pg_{of}('brevbro.journal') / 1000000"));
    println!("{events} events, {} MB, and {} MB of indexes", size("table_size"), size("indexes_size"));
    let config = dir.path().join("gateway.toml");
    let text =
        format!("[store]\nkind = \"postgresql\"\nhost = [\"127.0.0.1\"]\nport = {}\ndatabase = \"{database}\"\nuser = \"postgres\"\n", cluster.port);
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    ask(events, &["--config", config]);
    ask(events, &["--config", config]);
    let journal = runtime.block_on(PostgresJournal::open(&options)).unwrap();
    let want = Want { ids: std::iter::once(fold(&uuid("message", 7).to_string())).collect(), window: None };
    timed("one search", || assert_eq!(runtime.block_on(journal.find(&want)).unwrap().0.len(), LIFE.len()));
    timed("verify", || drop(printed(&["audit", "verify", "--config", config], 0)));
    let half = end.0 / 2;
    cluster.sql(&database, &format!("UPDATE brevbro.journal SET chained = now() - interval '100 days' WHERE seq < {half}"));
    let keep = Some(SignedDuration::from_hours(90 * 24));
    let store = runtime.block_on(PostgresStore::open(PostgresOptions { keep, ..options })).unwrap();
    timed("half of it forgotten", || assert_eq!(runtime.block_on(store.prune()).unwrap(), half));
    cluster.sql("postgres", &format!("DROP DATABASE {database} WITH (FORCE)"));
}
