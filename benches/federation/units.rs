//! What the steps of a message cost on this machine, measured.

use std::io::Cursor;
use std::sync::Arc;
use std::time::{Duration, Instant};

use brevbro::as4::receive::{self, Context, Options};
use brevbro::as4::{receipt, send};
use brevbro::crypto::{Certificate, KeyReference};
use brevbro::event::{Event, EventName};
use brevbro::ident::RecordId;
use brevbro::port::{Op, Record, State, Step, Store};
use brevbro::sdk::message::{self, MessageLimits};
use brevbro::sdk::seal;
use brevbro::store::{PostgresOptions, PostgresStore, SledOptions, SledStore};
use jiff::Timestamp;

use super::common::postgres::{Cluster, Plan, Stop};
use super::model::{Cost, Units};
use super::sample::{content, header, identity, user_message};

/// Attachments that the steps are measured with: what does not depend on the size, and what does.
const SMALL: usize = 4_000;
const LARGE: usize = 4_000_000;

/// Measures each step for about `span`; keys as in the federation: access points 3072, participants 4096 bits.
pub fn measure(span: Duration, in_earnest: bool) -> Units {
    let (point, participant) = if in_earnest { (3_072, 4_096) } else { (2_048, 2_048) };
    let [ours, theirs, sender, recipient] =
        [("AP0001", point), ("AP0002", point), ("s", participant), ("r", participant)].map(|(name, bits)| identity(name, bits));
    let [small, large] = [SMALL, LARGE].map(|size| {
        let content = content(size);
        let (convert, payload) = timed(span, || message::write(&content).unwrap());
        let (sealed, envelope) = timed(span, || seal::seal(&header(), &payload, Some(&recipient.certificate), &sender).unwrap());
        let (package, (body, sent)) = timed(span, || {
            let (mut body, gzip) = (Vec::new(), Cursor::new(Vec::new()));
            let sent = send::package(&user_message(), &mut &envelope[..], &ours, &theirs.certificate, gzip, &mut body, "=_b").unwrap();
            (body, sent)
        });
        let (keys, options) = ([theirs.clone()], Options::default());
        let known = |_: &KeyReference| -> Option<Certificate> { None };
        let (receive, taken) = timed(span, || {
            let with = Context { keys: &keys, known: &known, options: &options, at: Timestamp::now() };
            let mut taken = Vec::new();
            let received = receive::open(&sent.content_type, &mut &body[..], &with, Cursor::new(Vec::new()), &mut taken).unwrap();
            receipt::write(&received, &received.header.message_id, Timestamp::now(), &theirs).unwrap();
            taken
        });
        let own = [recipient.clone()];
        let (open, ()) = timed(span, || {
            let opened = seal::verify(&taken).unwrap().payload(&own).unwrap();
            message::read(&opened, &MessageLimits::default()).unwrap();
        });
        [convert, sealed, package, receive, open]
    });
    #[allow(clippy::cast_precision_loss, reason = "sizes of files are exact")]
    let cost = |step: usize| {
        let octet = ((large[step] - small[step]) / (LARGE - SMALL) as f64).max(0.0);
        Cost { fixed: (small[step] - octet * SMALL as f64).max(0.0), octet }
    };
    Units { convert: cost(0), seal: cost(1), package: cost(2), receive: cost(3), open: cost(4), step: local_step(span) }
}

/// Seconds that a durable step of the local store takes of it, with 32 that want one at once.
fn local_step(span: Duration) -> f64 {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store: Arc<dyn Store> = Arc::new(SledStore::open(SledOptions::new(dir.path())).unwrap());
    runtime().block_on(steps(store, span))
}

/// The same of a PostgreSQL of our own on this machine, durable as in life; `None` where there is none.
pub fn postgres_step(span: Duration) -> Option<f64> {
    let cluster = Cluster::start(&Plan { durable: true, ..Plan::default() })?;
    let options = PostgresOptions::new(&cluster.url(&cluster.database())).unwrap();
    let runtime = runtime();
    let step = runtime.block_on(async {
        let store = PostgresStore::open(options).await.unwrap();
        steps(Arc::new(store), span).await
    });
    drop(runtime);
    cluster.stop(Stop::Fast);
    Some(step)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn steps(store: Arc<dyn Store>, span: Duration) -> f64 {
    let span = span.max(Duration::from_millis(50));
    let began = Instant::now();
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut done = 0_u32;
                while began.elapsed() < span {
                    let id = RecordId(uuid::Uuid::new_v4());
                    let record = Record { id, state: State::new("submitted"), body: "b".repeat(1_200) };
                    let event = Event::new(Timestamp::now(), EventName::Sealed).of(id, &"0203:habo.se".parse().unwrap());
                    store.apply(Step::new().op(Op::Put(record)).op(Op::Audit(event))).await.unwrap();
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    began.elapsed().as_secs_f64() / f64::from(done.max(1))
}

/// Repeats for about `span`: the mean in seconds, and the last result.
fn timed<T>(span: Duration, mut step: impl FnMut() -> T) -> (f64, T) {
    let (began, mut rounds) = (Instant::now(), 1.0);
    let mut result = step();
    while began.elapsed() < span {
        result = step();
        rounds += 1.0;
    }
    (began.elapsed().as_secs_f64() / rounds, result)
}
