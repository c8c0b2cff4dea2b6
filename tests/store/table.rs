//! The journal in PostgreSQL: found by what it names, forgotten by how old it is, and read by who may do nothing but read.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use brevbro::event::{Event, EventName, Field};
use brevbro::ident::RecordId;
use brevbro::port::{Op, Step, Store, StoreError};
use brevbro::store::journal::Known;
use brevbro::store::journal::find::{Found, Want, fold};
use brevbro::store::{PostgresJournal, PostgresOptions, PostgresStore};
use jiff::SignedDuration;
use uuid::Uuid;

use crate::common::postgres::shared;
use crate::subject::{place, sql};
use crate::{at, block};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn open(options: &PostgresOptions) -> PostgresStore {
    block(PostgresStore::open(options.clone())).unwrap()
}

fn ask(options: &PostgresOptions) -> PostgresJournal {
    block(PostgresJournal::open(options)).unwrap()
}

/// What `psql` answers in the schema of these options.
fn psql(options: &PostgresOptions, asked: &str) -> String {
    shared().unwrap().sql(options.server.get_dbname().unwrap(), &format!("SET search_path = {}; {asked}", options.schema))
}

/// So many steps, each with one event or two, an hour apart.
fn fill(store: &PostgresStore, steps: u64) {
    for n in 0..steps {
        let event = |name, field, value: String| {
            let mut event = Event::new(at(i64::try_from(n).unwrap() * 3_600), name).with(field, value).with(Field::Cause, "no name");
            event.record = Some(RecordId(Uuid::from_u128(u128::from(n % 7))));
            event
        };
        let mut step = Step::new().op(Op::Audit(event(EventName::Sealed, Field::Sender, format!("Person{}@Kommun.se", n % 5))));
        if n % 3 == 0 {
            step = step.op(Op::Audit(event(EventName::Submitted, Field::As4MessageId, format!("as4-{n}@gw"))));
        }
        block(store.apply(step)).unwrap();
    }
}

fn numbers(found: &[Found]) -> Vec<(u64, u64)> {
    found.iter().map(|found| (found.line, found.number)).collect()
}

#[test]
fn a_search_finds_what_a_look_at_every_event_finds_also_in_lines_of_an_older_version() {
    let Some(place) = place() else { return };
    let store = open(&place);
    fill(&store, 60);
    let journal = ask(&place);
    let all = block(journal.find(&Want::default())).unwrap().0;
    assert_eq!(all.len(), 80);
    let ids = |ids: &[&str]| ids.iter().map(|id| fold(id)).collect::<BTreeSet<_>>();
    let record = Uuid::from_u128(3).simple().to_string();
    let windows = [None, Some((at(0), at(3_600 * 9))), Some((at(3_599), at(3_601))), Some((at(-9), at(-1))), Some((at(0), at(3_600 * 24 * 90)))];
    let wants: Vec<Want> = [&[][..], &["person3@kommun.se"], &["AS4-9@gw", "<as4-12@gw>"], &[&record], &["no name"], &["as4-10@gw"]]
        .iter()
        .flat_map(|named| windows.iter().map(|window| Want { ids: ids(named), window: *window }))
        .collect();
    let compare = |what: &str| {
        for want in &wants {
            let expected: Vec<Found> = all.iter().filter(|found| want.is(&found.event)).cloned().collect();
            assert_eq!(numbers(&block(journal.find(want)).unwrap().0), numbers(&expected), "{what}: {want:?}");
        }
    };
    compare("named as they were written");
    // As lines that a version before names wrote, and one that nobody can read.
    sql(&place, "UPDATE journal SET names = NULL WHERE seq % 2 = 0");
    compare("half of them unnamed");
    sql(&place, "UPDATE journal SET names = NULL, line = 'x' WHERE seq = 59");
    assert_eq!(block(journal.find(&wants[3])).unwrap().1, 1, "who searches is told of it");
    let begun = Instant::now();
    while psql(&place, "SELECT count(*) FROM journal WHERE names IS NULL") != "1" {
        assert!(begun.elapsed() < Duration::from_mins(1), "a node names what has no names");
        std::thread::sleep(Duration::from_millis(50));
    }
    let before = |found: &[(u64, u64)]| found.iter().filter(|(line, _)| *line < 59).copied().collect::<Vec<_>>();
    for want in &wants {
        let expected: Vec<Found> = all.iter().filter(|found| want.is(&found.event)).cloned().collect();
        assert_eq!(numbers(&block(journal.find(want)).unwrap().0), before(&numbers(&expected)), "named afterwards: {want:?}");
    }
}

#[test]
fn a_search_reads_few_rows_by_its_index_and_so_does_forgetting() {
    let Some(place) = place() else { return };
    let store = open(&place);
    fill(&store, 3);
    drop(store);
    // So many that reading them all is not cheaper.
    sql(
        &place,
        "INSERT INTO journal (seq, event, line, names, chained) SELECT n, n, repeat('x', 400), ARRAY[n, n % 7, -n], now() - n * interval '1 second' \
         FROM generate_series(1000, 40000) AS n; ANALYZE journal",
    );
    let plan = |asked: &str| psql(&place, &format!("EXPLAIN {asked}"));
    for (asked, index) in [
        ("SELECT seq, line FROM journal WHERE names && '{4711}'::text::integer[] AND names && '{5,-4711}'::text::integer[]", "journal_by_name"),
        ("SELECT seq, line FROM journal WHERE names IS NULL", "journal_unnamed"),
        ("SELECT seq, line FROM journal WHERE chained >= now() - interval '9000 seconds' ORDER BY chained, seq LIMIT 1", "journal_by_time"),
        ("SELECT seq FROM journal WHERE seq < 2000 ORDER BY seq LIMIT 5000 FOR UPDATE SKIP LOCKED", "journal_pkey"),
        ("SELECT seq, chained < now() FROM journal ORDER BY seq LIMIT 1", "journal_pkey"),
    ] {
        let plan = plan(asked);
        assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{asked}\n{plan}");
    }
}

#[test]
fn lines_whose_time_is_over_are_forgotten_and_the_rest_proves_what_it_follows() {
    let Some(place) = place() else { return };
    let kept = PostgresOptions { keep: Some(DAY * 90), ..place.clone() };
    let (one, other) = (open(&kept), open(&kept));
    fill(&one, 30);
    let whole = block(one.verify()).unwrap();
    let age = |days: i64, before: u64| sql(&place, &format!("UPDATE journal SET chained = now() - interval '{days} days' WHERE seq < {before}"));
    age(90, 10);
    assert_eq!(block(one.prune()).unwrap(), 0, "not for less than a day of lines");
    age(95, 10);
    age(92, 5);

    // It dies when it has said what goes.
    fail::cfg("store.postgres.pruned", "return").unwrap();
    assert!(matches!(block(one.prune()), Err(StoreError::Broken(_))));
    fail::remove("store.postgres.pruned");
    let said = block(other.verify()).unwrap();
    assert_eq!((said.first, said.lines, said.events), (0, whole.lines + 1, whole.events));
    // The other one goes on.
    assert_eq!(block(other.prune()).unwrap(), 10);
    assert_eq!(psql(&place, "SELECT min(seq), count(*) FROM journal"), format!("10|{}", whole.lines + 1 - 10));
    let rest = block(one.verify()).unwrap();
    assert_eq!((rest.first, rest.lines), (10, said.lines - 10));
    assert_eq!(rest.hash, said.hash, "a head that was signed before still fits");
    assert_eq!(block(one.prune()).unwrap(), 0);
    assert_eq!(block(one.verify()).unwrap(), rest, "it is said once");

    // Who reads from the beginning begins with the first that is there, and who goes on finds what comes.
    let (first, _) = block(one.audit(0, 5)).unwrap()[0].clone();
    assert_eq!(first, block(one.audit(first, 1)).unwrap()[0].0);
    let end = rest.events + first;
    assert_eq!(block(one.audit(end, 5)).unwrap(), []);
    fill(&one, 1);
    assert_eq!(block(one.audit(end, 5)).unwrap()[0].0, end);
    let heads = Known { heads: [(9, hash_of_line(&place, 10))].into_iter().collect(), running: true };
    assert_eq!(block(ask(&place).verify(&heads)).unwrap().vouched, Some(9), "what was signed last of what is gone");

    // A deletion by hand is told from one by rule.
    sql(&place, "DELETE FROM journal WHERE seq < 12");
    let found = block(other.verify()).unwrap_err();
    assert!(matches!(&found, StoreError::Damaged(why) if why.starts_with("line 12 of the journal is the first there is")), "{found}");
    sql(&place, "UPDATE journal_end SET pruned = 12");
    assert!(block(other.verify()).is_err(), "what the database says beside the chain is no proof");

    // All of it is old.
    sql(&place, "UPDATE journal SET chained = now() - interval '200 days'");
    assert!(block(other.prune()).unwrap() > 10);
    let last = block(other.verify()).unwrap();
    assert_eq!((last.lines, last.events), (1, 0), "what says so stays");
    fill(&one, 2);
    assert_eq!(block(one.verify()).unwrap().lines, 3);
}

/// The hash that the line before this one has.
fn hash_of_line(place: &PostgresOptions, next: u64) -> brevbro::ident::Sha256 {
    let line: serde_json::Value = serde_json::from_str(&psql(place, &format!("SELECT line FROM journal WHERE seq = {next}"))).unwrap();
    brevbro::ident::Sha256::try_from(line["prev"].as_str().unwrap().to_owned()).unwrap()
}

#[test]
fn an_auditor_with_rights_to_read_alone_finds_and_verifies() {
    let Some(place) = place() else { return };
    let store = open(&place);
    fill(&store, 5);
    let whole = block(store.verify()).unwrap();
    let (role, schema) = (format!("auditor_{}", place.schema), &place.schema);
    // As docs/postgresql.md says.
    sql(
        &place,
        &format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON journal, journal_end, schema_version TO {role}"
        ),
    );
    let mut auditor = place.clone();
    auditor.server.user(&role);
    let journal = ask(&auditor);
    assert_eq!(block(journal.verify(&Known::default())).unwrap(), whole);
    assert_eq!(block(journal.find(&Want::default())).unwrap().0.len(), 7);
    // Nobody who may not even read gets an answer, nor is there one where there are no tables.
    sql(&place, &format!("REVOKE SELECT ON journal FROM {role}"));
    let refused = block(ask(&auditor).verify(&Known::default())).unwrap_err();
    assert!(refused.to_string().contains("permission denied for table journal"), "{refused}");
    let nowhere = PostgresOptions { schema: "nowhere".into(), ..place };
    assert!(block(PostgresJournal::open(&nowhere)).err().unwrap().to_string().contains("version 0"));
}

#[test]
fn the_head_is_the_last_line_of_everything_that_was_told() {
    let Some(place) = place() else { return };
    let store = open(&place);
    assert_eq!(block(store.head()).unwrap(), None);
    for n in 1..4 {
        fill(&store, 1);
        let head = block(store.head()).unwrap().unwrap();
        assert_eq!((head.line, head.segment), (n - 1, 0));
        assert_eq!(head.hash, block(store.verify()).unwrap().hash);
    }
    assert!(block(store.head()).unwrap().is_some_and(|head| head.line == 2));
}
