//! What all tests share: one federation with its keys, gateways, and patience.

#![allow(dead_code, reason = "several test binaries share it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub(crate) mod client;
pub(crate) mod peer;
pub(crate) mod sink;

use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use brevbro::daemon::Daemon;
use brevbro::event::{Event, EventName, Field};
use brevbro::ident::ParticipantId;
use brevbro::testbed::{Authority, Issued, Options, Registration, Running, Testbed};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) use client::Client;
pub(crate) use peer::Peer;
pub(crate) use sink::{Letter, Manner, Sink};

/// How long anything may take before a test gives up: other tests want the processor too.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// Waits until `found` gives something; `what` is named when it never does.
pub(crate) async fn wait_for<T, F: Future<Output = Option<T>>>(what: &str, mut found: impl FnMut() -> F) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(Instant::now() < until, "{what} did not come in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs a test on the runtime that all share, since the federation lives on it.
pub(crate) fn run(test: impl Future<Output = ()>) {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        log();
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap()
    });
    runtime.block_on(test);
}

/// Everything that is logged, at the most talkative level that the configuration allows besides `trace`.
pub(crate) fn log() -> &'static Mutex<Vec<u8>> {
    #[derive(Clone, Copy)]
    struct Kept;
    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            log().lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    static LOG: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();
    static STARTED: std::sync::Once = std::sync::Once::new();
    let log = LOG.get_or_init(Mutex::default);
    STARTED.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false).with_writer(|| Kept);
        subscriber.init();
    });
    log
}

/// A federation and the keys that its members have.
pub(crate) struct World {
    pub(crate) testbed: Testbed,
    /// The gateways' access point; they stand beside one another and never meet.
    pub(crate) own_point: Issued,
    /// The other side's access point.
    pub(crate) peer_point: Issued,
    /// The gateways' participants.
    pub(crate) own: Issued,
    /// The other side's participants.
    pub(crate) peer: Issued,
    pub(crate) tls: Issued,
}

impl World {
    /// Makes a federation in a folder.
    pub(crate) fn make(dir: &Path) -> Self {
        let testbed = Testbed::open(dir, &Options::small()).unwrap();
        Self {
            own_point: testbed.issue_access_point(&"AP0001-TESTBED".parse().unwrap()).unwrap(),
            peer_point: testbed.issue_access_point(&"AP0002-TESTBED".parse().unwrap()).unwrap(),
            own: testbed.issue_participant(&"0203:own.se".parse().unwrap()).unwrap(),
            peer: testbed.issue_participant(&"0203:peer.se".parse().unwrap()).unwrap(),
            tls: testbed.issue_tls(&["localhost", "127.0.0.1"]).unwrap(),
            testbed,
        }
    }

    /// Registers a participant.
    pub(crate) fn register(&self, participant: &str, endpoint: &str, point: &Issued, own: &Issued) {
        let (point, own) = (point.identity.certificate.clone(), own.identity.certificate.clone());
        self.testbed.publish(&Registration::new(participant.parse().unwrap(), endpoint, point, own)).unwrap();
    }
}

/// The federation that all tests share; those that stop it or part of it make their own.
pub(crate) async fn world() -> &'static World {
    static WORLD: tokio::sync::OnceCell<(World, Running)> = tokio::sync::OnceCell::const_new();
    let made = WORLD.get_or_init(|| async {
        let world = tokio::task::spawn_blocking(|| World::make(&shared_dir())).await.unwrap();
        let running = world.testbed.start().await.unwrap();
        (world, running)
    });
    &made.await.0
}

/// A folder of this process. Statics are never dropped, so the next run clears up after those that have ended.
fn shared_dir() -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(pid) = name.strip_prefix("gateway-")
            && !Path::new("/proc").join(pid).exists()
        {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
    root.join(format!("gateway-{}", std::process::id()))
}

/// What differs between gateways.
#[derive(Clone)]
pub(crate) struct Setup {
    /// Makes participant, domains and addresses; unique among the tests that share a federation.
    pub(crate) name: String,
    /// More lines before all sections.
    pub(crate) top: &'static str,
    /// The port of `[smtp] listen`; 0 for any.
    pub(crate) smtp_port: u16,
    /// `[smtp] clients`.
    pub(crate) clients: &'static str,
    /// The lines of `[discovery]` that tell how long answers are kept.
    pub(crate) memory: &'static str,
    /// More lines of `[access-point]`, `[smtp]`, `[retry]` and `[[organisation.mailbox]]`.
    pub(crate) access_point: &'static str,
    pub(crate) smtp: &'static str,
    pub(crate) retry: &'static str,
    pub(crate) mailbox: &'static str,
    /// More lines of `[trust]` and `[discovery]`.
    pub(crate) trust: &'static str,
    pub(crate) discovery: &'static str,
    /// Lines before all sections.
    pub(crate) root: &'static str,
}

impl Setup {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            top: "",
            smtp_port: 0,
            clients: "127.0.0.0/8",
            access_point: "",
            memory: "cache-absent = \"1s\"",
            smtp: "",
            retry: "first = \"200ms\"\nlongest = \"1s\"\ngive-up = \"2h\"\nreceipt-timeout = \"1h\"\ndelayed-notice-after = \"1h\"",
            mailbox: "",
            trust: "",
            discovery: "",
            root: "",
        }
    }
}

/// A gateway that runs, with its mail server.
pub(crate) struct Gateway {
    pub(crate) daemon: Daemon,
    pub(crate) sink: Sink,
    pub(crate) participant: ParticipantId,
    /// Its function mailbox.
    pub(crate) mailbox: String,
    /// Its mail domain.
    pub(crate) domain: String,
    pub(crate) endpoint: String,
    pub(crate) operator: String,
    port: u16,
    state: TempDir,
}

impl Gateway {
    /// Starts a gateway in the shared federation.
    pub(crate) async fn start(setup: Setup) -> Self {
        Self::start_in(world().await, setup).await
    }

    /// Starts a gateway and registers its participant.
    pub(crate) async fn start_in(world: &World, setup: Setup) -> Self {
        Self::launch(world, setup, Sink::start().await, tempfile::tempdir().unwrap(), free_port()).await
    }

    /// Stops it and starts it again on its state, with its mail server and address, perhaps with other keys.
    pub(crate) async fn restart_in(self, world: &World, setup: Setup) -> Self {
        let Self { daemon, sink, state, port, .. } = self;
        daemon.stop().await;
        Self::launch(world, setup, sink, state, port).await
    }

    /// Stops it; it can be started again on its state.
    pub(crate) async fn sleep(self) -> Asleep {
        let Self { daemon, sink, state, port, .. } = self;
        daemon.stop().await;
        Asleep { sink, state, port }
    }

    async fn launch(world: &World, setup: Setup, sink: Sink, state: TempDir, port: u16) -> Self {
        let text = configuration(world, &setup, state.path(), sink.address, port);
        let path = state.path().join("gateway.toml");
        std::fs::write(&path, text).unwrap();
        let config = brevbro::config::load(&path).unwrap();
        let name = &setup.name;
        let endpoint = format!("https://127.0.0.1:{port}/as4");
        let participant = format!("0203:{name}.se");
        // A gateway looks for its own registration as it starts, and remembers for a while that there is none.
        world.register(&participant, &endpoint, &world.own_point, &world.own);
        let daemon = Daemon::start(config).await.unwrap();
        Self {
            daemon,
            sink,
            participant: participant.parse().unwrap(),
            mailbox: format!("inkorg@{name}.se"),
            domain: format!("sdk.{name}.se"),
            endpoint,
            operator: format!("drift@{name}.se"),
            port,
            state,
        }
    }

    /// The folder of its state.
    pub(crate) fn dir(&self) -> &Path {
        self.state.path()
    }

    /// The address of a function of another organisation, in this gateway's domain.
    pub(crate) fn address_of(&self, function: &str, organisation: &str) -> String {
        format!("{function}@{organisation}.{}", self.domain)
    }

    /// The whole journal.
    pub(crate) async fn journal(&self) -> Vec<Event> {
        self.daemon.gateway.store.audit(0, 100_000).await.unwrap().into_iter().map(|(_, event)| event).collect()
    }

    /// All journal lines of a name.
    pub(crate) async fn events(&self, name: EventName) -> Vec<Event> {
        self.journal().await.into_iter().filter(|event| event.name == name).collect()
    }

    /// Waits for the first journal line of a name.
    pub(crate) async fn event(&self, name: EventName) -> Event {
        self.nth_event(name, 0).await
    }

    /// Waits for a journal line of a name that has that many before it.
    pub(crate) async fn nth_event(&self, name: EventName, number: usize) -> Event {
        let until = Instant::now() + PATIENCE;
        loop {
            let journal = self.journal().await;
            if let Some(event) = journal.iter().filter(|event| event.name == name).nth(number) {
                return event.clone();
            }
            let names: Vec<_> = journal.iter().map(|event| (event.name, event.fields.get(&Field::Cause))).collect();
            assert!(Instant::now() < until, "no {name:?} number {number} in {names:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for the operator's mail. That a destination is down for long, or back, is no matter of one message.
    pub(crate) async fn alarm(&self) -> Letter {
        let of_destinations = |letter: &Letter| ["A server does not answer", "A server answers again"].iter().any(|told| letter.text.contains(told));
        self.sink.letter("an alarm", |letter| letter.to == self.operator && !of_destinations(letter)).await
    }

    /// Mails that the function mailbox got which are not notices.
    pub(crate) fn delivered(&self) -> Vec<Letter> {
        self.sink.letters().into_iter().filter(|letter| letter.to == self.mailbox && !letter.is_notice()).collect()
    }

    /// Waits for a mail in the function mailbox.
    pub(crate) async fn delivery(&self) -> Letter {
        self.sink.letter("a delivered mail", |letter| letter.to == self.mailbox && !letter.is_notice()).await
    }

    /// Notices that the function mailbox got: action and status code of each.
    pub(crate) fn notices(&self) -> Vec<(String, String)> {
        self.sink.letters().iter().filter(|letter| letter.to == self.mailbox && letter.is_notice()).map(Letter::outcome).collect()
    }

    /// Waits for a notice of that action and status code.
    pub(crate) async fn notice(&self, action: &str, status: &str) -> Letter {
        let is = |letter: &Letter| letter.to == self.mailbox && letter.is_notice() && letter.outcome() == (action.to_owned(), status.to_owned());
        self.sink.letter(&format!("a notice {action} {status}"), is).await
    }

    /// Waits until nothing is left to do: no job waits, due or not, but for those that delete what is over.
    pub(crate) async fn quiet(&self) {
        wait_for("quiet", || async {
            let health = self.daemon.gateway.store.health().await;
            health.jobs.iter().all(|(queue, waiting)| *waiting == 0 || *queue == brevbro::port::Queue::Purge).then_some(())
        })
        .await;
    }

    /// Stops it. No step may have failed in a way that nobody foresaw.
    pub(crate) async fn stop(self) {
        let faults: Vec<_> = self.events(EventName::Faulted).await;
        assert_eq!(faults, []);
        assert_eq!(self.sink.faults(), [""; 0], "every notice is a sound report");
        self.daemon.stop().await;
    }
}

/// A gateway that was stopped, with its mail server and state.
pub(crate) struct Asleep {
    sink: Sink,
    state: TempDir,
    port: u16,
}

impl Asleep {
    /// The folder of its state.
    pub(crate) fn dir(&self) -> &Path {
        self.state.path()
    }

    pub(crate) async fn wake(self, setup: Setup) -> Gateway {
        Gateway::launch(world().await, setup, self.sink, self.state, self.port).await
    }
}

pub(crate) fn configuration(world: &World, setup: &Setup, dir: &Path, mail: SocketAddr, as4: u16) -> String {
    let testbed = &world.testbed;
    let trust_file = |authority| testbed.trust_file(authority).display().to_string();
    let Setup { name, smtp_port, clients, memory, access_point, smtp, retry, mailbox, trust, discovery, top, root } = setup;
    format!(
        r#"
name = "gw.{name}.se"
mail-domain = "sdk.{name}.se"
operator = "drift@{name}.se"
federation = "urn:fdc:digg.se:edelivery:federation:test"
state-dir = "{state}"
{top}
{root}

[access-point]
key = "{point}"
key-password-file = "{point_password}"
listen = "127.0.0.1:{as4}"
public-url = "https://127.0.0.1:{as4}/as4"
{access_point}

[access-point.tls]
key = "{tls}"
client-ca = ["{tls_ca}"]
clients = "required"

[access-point.client-tls]
ca = ["{tls_ca}"]
key = "{tls}"

[trust]
access-point-ca = ["{access_point_ca}"]
participant-ca = ["{participant_ca}"]
smp-ca = ["{smp_ca}"]
{trust}

[discovery]
sml-zone = "{zone}"
resolvers = ["{dns}"]
timeout = "2s"
{memory}
allow-plain-loopback = true
{discovery}

[smtp]
listen = "127.0.0.1:{smtp_port}"
clients = ["{clients}"]
require-tls = false
{smtp}

[mail-server]
host = "127.0.0.1"
port = {mail_port}
security = "none"

[retry]
{retry}

[[organisation]]
participant = "0203:{name}.se"
name = "Kommunen {name}"
key = "{participant}"
key-password-file = "{participant_password}"

[[organisation.mailbox]]
address = "inkorg@{name}.se"
function = "inkorg"
label = "Inkorgen"
{mailbox}
"#,
        state = dir.join("state").display(),
        point = world.own_point.pkcs12.display(),
        point_password = world.own_point.password_file.display(),
        participant = world.own.pkcs12.display(),
        participant_password = world.own.password_file.display(),
        tls = world.tls.pem.display(),
        tls_ca = trust_file(Authority::Tls),
        access_point_ca = trust_file(Authority::AccessPoint),
        participant_ca = trust_file(Authority::Participant),
        smp_ca = trust_file(Authority::Smp),
        zone = testbed.sml_zone(),
        dns = testbed.dns_address(),
        mail_port = mail.port(),
    )
}

pub(crate) fn free_port() -> u16 {
    // Kept until the process ends, so that two gateways never get the same one.
    static TAKEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    loop {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut taken = TAKEN.lock().unwrap();
        if !taken.contains(&port) {
            taken.push(port);
            return port;
        }
    }
}

/// A mail of a function mailbox.
pub(crate) fn mail(from: &str, message_id: &str, text: &str) -> String {
    format!(
        "From: Anna Ek <{from}>\r\nTo: undisclosed-recipients:;\r\nSubject: Prov\r\nDate: Mon, 05 Jan 2026 10:00:00 +0100\r\nMessage-ID: <{message_id}@example.se>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n{text}\r\n"
    )
}

/// A mail with a file.
pub(crate) fn mail_with(from: &str, message_id: &str, name: &str, media_type: &str, body: &[u8]) -> String {
    use base64::prelude::*;
    let lines: Vec<String> = BASE64_STANDARD.encode(body).as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!(
        "From: <{from}>\r\nSubject: Prov\r\nDate: Mon, 05 Jan 2026 10:00:00 +0100\r\nMessage-ID: <{message_id}@example.se>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b1\"\r\n\r\n--b1\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nSe bilaga.\r\n--b1\r\nContent-Type: {media_type}; name=\"{name}\"\r\nContent-Disposition: attachment; filename=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--b1--\r\n",
        lines.join("\r\n")
    )
}

/// Shared by the servers of the harness.
pub(crate) type Shared<T> = Arc<Mutex<T>>;
