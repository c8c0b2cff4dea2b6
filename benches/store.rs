//! How many mails a second are durable before they are acknowledged: the spool alone, and the spool with a step in sled.
//!
//! Rates say more of the disk than of the program, so each is printed as a share of what the disk does alone: one writer
//! that syncs one file again and again.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, reason = "a measurement ends when it cannot go on")]

use std::fs::File;
use std::future::Future;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use brevbro::event::{Event, EventName};
use brevbro::ident::RecordId;
use brevbro::port::{Blob, BlobId, BlobKind, Blobs, Guard, Job, JobId, Key, Op, Queue, Record, State, Step, Store};
use brevbro::store::{SledOptions, SledStore, Spool, SpoolOptions};
use jiff::Timestamp;
use uuid::Uuid;

const CONNECTIONS: usize = 32;
const OCTETS: usize = 20_000;
const SPAN: Duration = Duration::from_secs(3);

fn main() {
    // `cargo test --all-targets` runs benches too, and means nothing by it.
    let span = if std::env::args().any(|arg| arg == "--bench") { SPAN } else { Duration::from_millis(50) };
    let dir = tempfile::tempdir_in(std::env::var_os("BREVBRO_BENCH_DIR").unwrap_or_else(|| ".".into())).unwrap();
    let body = vec![b'x'; OCTETS];

    let disk = disk(dir.path(), span);
    println!("{:<34} {disk:>9.0}/s", "one file synced by one writer");
    let show = |what: &str, rate: f64| println!("{what:<34} {rate:>9.0}/s  {:>6.2} of the disk", rate / disk);

    let spool = Spool::open(SpoolOptions::new(dir.path().join("spool"))).unwrap();
    let alone = rate(span, |_| keep(&spool, &body));
    show("mails in the spool", alone);

    let store = SledStore::open(SledOptions::new(dir.path().join("state"))).unwrap();
    show("steps in sled", rate(span, |n| step(&store, n, BlobId(Uuid::nil()))));
    let both = rate(span, |n| step(&store, n, keep(&spool, &body)));
    show("mails in the spool and in sled", both);
    println!("{:<34} {:>9.2}", "both, of the spool alone", both / alone);
}

/// How often the disk makes 4 KiB durable, one after another.
fn disk(dir: &Path, span: Duration) -> f64 {
    let file = File::create(dir.join("disk")).unwrap();
    let (begun, mut times) = (Instant::now(), 0_u32);
    while begun.elapsed() < span {
        file.write_all_at(&[7; 4096], 0).unwrap();
        file.sync_data().unwrap();
        times += 1;
    }
    f64::from(times) / begun.elapsed().as_secs_f64()
}

/// How often in a second all connections together do something.
fn rate<T>(span: Duration, work: impl Fn(u64) -> T + Sync) -> f64 {
    let (begun, done) = (Instant::now(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                while begun.elapsed() < span {
                    work(done.fetch_add(1, Ordering::Relaxed));
                }
            });
        }
    });
    done.into_inner() as f64 / begun.elapsed().as_secs_f64()
}

fn keep(spool: &Spool, body: &[u8]) -> BlobId {
    let id = BlobId(Uuid::new_v4());
    let blob = Blob { id, kind: BlobKind::Mail, header: r#"{"from":"namn@kommun.se","to":["funktion@annan.se"]}"#.into() };
    let mut writer = block(spool.create(blob, Some(body.len() as u64))).unwrap();
    writer.write_all(body).unwrap();
    block(writer.commit()).unwrap();
    id
}

/// The step that takes a mail in.
fn step(store: &SledStore, n: u64, blob: BlobId) {
    let id = Uuid::new_v4();
    let key = Key::new("mail", &id.to_string());
    let body = format!(r#"{{"n":{n},"blob":"{}","state":"{}"}}"#, blob.0, "x".repeat(400));
    let step = Step::new()
        .guard(Guard::Absent(key.clone()))
        .op(Op::Note(key, id.to_string()))
        .op(Op::Put(Record { id: RecordId(id), state: State::new("accepted"), body }))
        .op(Op::Enqueue(Job { id: JobId(id), queue: Queue::Seal, record: RecordId(id), due: Timestamp::UNIX_EPOCH, attempt: 0, note: String::new() }))
        .op(Op::Audit(Event::new(Timestamp::UNIX_EPOCH, EventName::MailAccepted)));
    block(store.apply(step)).unwrap();
}

fn block<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}
