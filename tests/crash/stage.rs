//! The processes: a federation, two gateways, the mail servers of both organisations. Each can be killed alone.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use brevbro::testbed::{Authority, Issued, Options, Testbed};

/// The function mailboxes of each organisation.
pub const MAILBOXES: usize = 3;
/// The number of one more, which only sends: its function id is too long for an address and gets a short one.
pub const LONG: usize = MAILBOXES;

/// Days for which what is not content is kept.
pub const KEPT: u32 = 8_000;

/// A function that nobody has.
pub const NOBODY: &str = "finnsinte";

/// One organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    A,
    B,
}

impl Side {
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    pub fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    fn organisation(self) -> String {
        format!("{}.example", self.name())
    }

    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// One of its mailboxes.
    pub fn mailbox(self, number: usize) -> String {
        format!("inkorg{number}@{}", self.organisation())
    }

    /// The address of one of the other side's mailboxes, as this side writes it.
    pub fn towards(self, number: usize) -> String {
        self.towards_function(&format!("inkorg{number}"))
    }

    /// The address of a function of the other side's.
    pub fn towards_function(self, function: &str) -> String {
        format!("{function}@{}.sdk.{}", self.other().organisation(), self.organisation())
    }
}

/// A process that is killed with its handle.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a program; what it prints goes to `log`, but for standard output when that is `piped`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let log = OpenOptions::new().create(true).append(true).open(log).unwrap();
        let child = command.stderr(Stdio::from(log)).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child }
    }

    /// Reads standard output up to a line `ready`.
    fn ready(&mut self) {
        let mut lines = BufReader::new(self.child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "ready"), "a process ended before it was ready");
        // Whoever writes more must not be stopped by a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
    }

    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, and its end.
    pub fn stop(&mut self) {
        let sent = Command::new("kill").args(["-TERM", &self.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let status = wait_for("a gateway's end", Duration::from_mins(1), || self.ended());
        assert!(status.success(), "it ended with {status}");
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One gateway, running or not.
pub struct Gateway {
    pub side: Side,
    pub smtp: u16,
    pub as4: u16,
    /// Key and certificate of its TLS.
    pub tls: PathBuf,
    pub state: PathBuf,
    pub config: PathBuf,
    /// More of its environment.
    pub environment: Vec<(&'static str, PathBuf)>,
    /// How long a day of retention is in the lives that begin from here on; content is kept for one, the rest for [`KEPT`].
    pub day: Option<Duration>,
    log: PathBuf,
    process: Option<Process>,
}

impl Gateway {
    /// Starts it; it dies at this point and pass, `receive.applied:2`, when one is given.
    pub fn start(&mut self, abort: Option<&str>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brevbro"));
        command.args(["run", "--config"]).arg(&self.config).stdin(Stdio::null()).stdout(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(day) = self.day {
            command.env("FAILPOINTS", format!("purge.day=return({})", day.as_millis()));
        }
        if let Some(abort) = abort {
            command.env("BREVBRO_ABORT_AT", abort);
        }
        self.process = Some(Process::start(&mut command, &self.log));
    }

    /// Waits until it greets, which is after everything that an earlier run left was put in order; `false` when it
    /// ends before.
    pub fn is_up(&mut self) -> bool {
        // A start looks at every file of the spool, which takes its time on a machine that does much else.
        wait_for(
            "a gateway's greeting",
            Duration::from_mins(4),
            || {
                if self.ended().is_some() { Some(false) } else { greets(self.smtp).then_some(true) }
            },
        )
    }

    pub fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        assert!(process.ended().is_none(), "gateway {} ended by itself; see {}", self.side.name(), self.log.display());
        process.kill();
    }

    pub fn stop(&mut self) {
        self.process.take().unwrap().stop();
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.as_mut().unwrap().ended()
    }

    pub fn journal(&self) -> PathBuf {
        self.state.join("store/journal")
    }
}

/// Whether a mail server greets at a port of this machine.
pub fn greets(port: u16) -> bool {
    let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).is_ok() && line.starts_with("220")
}

/// Everything that runs.
pub struct Stage {
    pub dir: PathBuf,
    pub a: Gateway,
    pub b: Gateway,
    _testbed: Process,
    _sink: Process,
}

impl Stage {
    /// Makes keys, registers both organisations, starts all but the gateways.
    pub fn set(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let testbed = Testbed::open(&dir.join("testbed"), &Options::small()).unwrap();
        let mails = Side::BOTH.map(|_| free_port());
        let gateways = Side::BOTH.map(|side| gateway(side, &dir, &testbed, mails[side as usize]));
        let mut process = Command::new(env!("CARGO_BIN_EXE_brevbro"));
        process.args(["testbed", "run", "--dir"]).arg(testbed.dir()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut testbed = Process::start(&mut process, &dir.join("testbed.log"));
        testbed.ready();
        let mut process = script("sink.py");
        process.arg(dir.join("sink.jsonl")).stdin(Stdio::null()).stdout(Stdio::piped());
        process.args(Side::BOTH.map(|side| format!("{}={}", side.name(), mails[side as usize])));
        let mut sink = Process::start(&mut process, &dir.join("sink.log"));
        sink.ready();
        let [a, b] = gateways;
        Self { dir, a, b, _testbed: testbed, _sink: sink }
    }

    pub fn gateway(&mut self, side: Side) -> &mut Gateway {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }

    /// Starts a client of one gateway, with its own log, that sends what is written to it.
    pub fn client(&self, side: Side, senders: usize, seed: u64) -> Client {
        let gateway = if side == Side::A { &self.a } else { &self.b };
        self.client_of(&[gateway.smtp], senders, seed)
    }

    /// The same of any of these ports.
    pub fn client_of(&self, ports: &[u16], senders: usize, seed: u64) -> Client {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let mut command = script("client.py");
        command.arg(self.dir.join("client.jsonl")).args([ports.join(","), senders.to_string(), seed.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut process = Process::start(&mut command, &self.dir.join("client.log"));
        Client { orders: Some(process.stdin()), process }
    }

    /// Stops both gateways in order: what runs is ended, nothing more is begun.
    pub fn stop(&mut self) {
        self.a.stop();
        self.b.stop();
    }
}

/// A mail server that hands mails in.
pub struct Client {
    process: Process,
    orders: Option<ChildStdin>,
}

impl Client {
    pub fn send(&mut self, order: &serde_json::Value) {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
    }

    /// There is nothing more to send.
    pub fn close(&mut self) {
        self.orders = None;
    }

    pub fn ended(&mut self) -> bool {
        self.process.ended().is_some_and(|status| {
            assert!(status.success(), "the client ended with {status}");
            true
        })
    }
}

/// Lines of a log as far as they are whole.
pub fn log(path: &Path) -> Vec<serde_json::Value> {
    log_of(path, "")
}

/// Those that have this word anywhere.
pub fn log_of(path: &Path, word: &str) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().filter(|line| line.contains(word)).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Asks again and again, for a limited time.
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < until, "{what} did not come within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn script(name: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash").join(name));
    command
}

/// A port below those that the system gives to clients: a gateway that is down for a moment finds its own still free.
/// Below those of testbeds too (20000 to 32000), which are chosen before all of ours are bound.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let port = 10_000 + (std::process::id() as u16 % 300) * 30 + NEXT.fetch_add(1, Ordering::SeqCst);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

fn gateway(side: Side, dir: &Path, testbed: &Testbed, mail_port: u16) -> Gateway {
    let folder = dir.join(side.name());
    fs::create_dir_all(&folder).unwrap();
    let (smtp, as4) = (free_port(), free_port());
    let (organisation, state) = (side.organisation(), folder.join("state"));
    let participant = format!("0203:{organisation}").parse().unwrap();
    let access_point = testbed.issue_access_point(&format!("AP000{}-TESTBED", side as usize + 1).parse().unwrap()).unwrap();
    let own = testbed.issue_participant(&participant).unwrap();
    let tls = testbed.issue_tls(&["localhost", "127.0.0.1", &organisation]).unwrap().pem;
    testbed.register(&participant, &format!("https://127.0.0.1:{as4}/as4"), &access_point.identity.certificate).unwrap();
    let key = |issued: &Issued| format!("key = {:?}\nkey-password-file = {:?}", issued.pkcs12, issued.password_file);
    let trust = |authority| testbed.trust_file(authority);
    let mut text = format!(
        r#"
name = "gw.{organisation}"
mail-domain = "sdk.{organisation}"
operator = "drift@{organisation}"
federation = "urn:fdc:digg.se:edelivery:federation:test"
state-dir = {state:?}

[access-point]
{access_point_key}
listen = "127.0.0.1:{as4}"
public-url = "https://127.0.0.1:{as4}/as4"
tls = {{ key = {tls:?}, client-ca = [{tls_ca:?}], clients = "required" }}
client-tls = {{ ca = [{tls_ca:?}], key = {tls:?} }}

[trust]
access-point-ca = [{:?}]
participant-ca = [{:?}]
smp-ca = [{:?}]

[discovery]
sml-zone = "{zone}"
resolvers = ["{dns}"]
allow-plain-loopback = true

[smtp]
listen = "127.0.0.1:{smtp}"
clients = ["127.0.0.0/8"]
require-tls = false

[mail-server]
host = "127.0.0.1"
port = {mail_port}
security = "none"

# What takes hours takes seconds; no client asks to be told of a delay.
[retry]
first = "200ms"
factor = 1.5
longest = "2s"
give-up = "1h"
delayed-notice-after = "1s"

[retention]
content-days = 1
metadata-days = {KEPT}

# Nobody answers there: each mail and message is noted as one that was not looked into.
[malware]
clamd = "/nonexistent/clamd.ctl"
on-failure = "open"
alarm-after = "1d"

[loops]
messages = 1
hold = "5s"

[[organisation]]
participant = "0203:{organisation}"
name = "Organisation {organisation}"
{own_key}
"#,
        trust(Authority::AccessPoint),
        trust(Authority::Participant),
        trust(Authority::Smp),
        access_point_key = key(&access_point),
        own_key = key(&own),
        tls_ca = trust(Authority::Tls),
        zone = testbed.sml_zone(),
        dns = testbed.dns_address(),
    );
    for number in 0..=LONG {
        let (mailbox, more) = (side.mailbox(number), if number == LONG { "-registrator".repeat(6) } else { String::new() });
        let lines = format!("address = \"{mailbox}\"\nfunction = \"inkorg{number}{more}\"\nlabel = \"Inkorg {number}\"");
        // Only the last one of side A is made to answer too fast.
        let pace = if number < 2 || side == Side::B { "loop-messages = 1000\n" } else { "" };
        text.extend(["\n[[organisation.mailbox]]\n", &lines, "\n", pace]);
    }
    let config = folder.join("gateway.toml");
    File::create(&config).unwrap().write_all(text.as_bytes()).unwrap();
    Gateway { side, smtp, as4, tls, state, config, environment: Vec::new(), day: None, log: folder.join("gateway.log"), process: None }
}
