//! A Postfix of a test's own: everything in a temporary folder, on a free port of this machine, gone when dropped.
//!
//! It sends (mail that is handed to it by [`Postfix::submit`] or at [`Postfix::address`] goes on by [`Plan::route`]) and it
//! receives (into Maildirs by [`Plan::mailbox`], or by LMTP with a route). Its log is [`Postfix::log`].

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use brevbro::crypto::{Certificate, Identity};
use tempfile::TempDir;

use super::{has, pki, run, skip};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a Postfix shall do.
#[derive(Default)]
pub struct Plan {
    main: Vec<String>,
    routes: Vec<(String, String)>,
    mailboxes: Vec<String>,
    logins: Vec<(String, String, String)>,
    ca: Option<(String, String)>,
    server: Option<String>,
    client: Option<String>,
}

impl Plan {
    pub fn new() -> Self {
        Self::default()
    }

    /// A line of `main.cf`; it wins over what the plan writes there.
    pub fn main(mut self, line: &str) -> Self {
        self.main.push(line.to_owned());
        self
    }

    /// Mail for a domain (`*` for all others) goes by SMTP to this server. A domain that begins with a dot means those below it.
    pub fn route(self, domain: &str, to: SocketAddr) -> Self {
        self.transport(domain, &format!("smtp:[{}]:{}", to.ip(), to.port()))
    }

    /// Mail for a domain goes where Postfix's `transport(5)` says, such as `lmtp:unix:/path` or `lmtp:inet:127.0.0.1:24`.
    pub fn transport(mut self, domain: &str, to: &str) -> Self {
        self.routes.push((domain.to_owned(), to.to_owned()));
        self
    }

    /// Mail for this address is kept; [`Postfix::mailbox`] reads it. Other addresses of its domain are unknown: 550 5.1.1.
    pub fn mailbox(mut self, address: &str) -> Self {
        self.mailboxes.push(address.to_owned());
        self
    }

    /// As a client: no mail without STARTTLS, and the server's certificate must be of this CA and bear this name.
    /// As a server: clients' certificates are judged by the CA.
    pub fn tls(mut self, ca: &Certificate, server: &str) -> Self {
        self.ca = Some((ca.to_pem(), server.to_owned()));
        self
    }

    /// As a client: shows this certificate to servers that ask.
    pub fn client_identity(mut self, identity: &Identity) -> Self {
        self.client = Some(pki::pem(identity));
        self
    }

    /// As a client: logs in to this server.
    pub fn login(mut self, to: SocketAddr, user: &str, password: &str) -> Self {
        self.logins.push((format!("[{}]:{}", to.ip(), to.port()), user.to_owned(), password.to_owned()));
        self
    }

    /// As a server: offers STARTTLS with this certificate.
    pub fn server_identity(mut self, identity: &Identity) -> Self {
        self.server = Some(pki::pem(identity));
        self
    }

    /// Starts it; `None`, with a printed reason, where there is no Postfix or no root to run it.
    pub fn start(self) -> Option<Postfix> {
        if !has("postfix") || !has("postconf") {
            return None;
        }
        if !is_root() {
            skip("only root can run Postfix");
            return None;
        }
        Some(Postfix::start(&self))
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// A Postfix that runs.
pub struct Postfix {
    dir: TempDir,
    /// Where it takes mail.
    pub address: SocketAddr,
}

impl Postfix {
    fn start(plan: &Plan) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        // Its processes run as users of their own.
        std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o755)).unwrap();
        for folder in ["conf", "queue", "data", "mail"] {
            std::fs::create_dir(at.join(folder)).unwrap();
        }
        chown(at.join("data"), Some(id_of("postfix", "/etc/passwd")), None).unwrap();
        let (user, group) = (id_of("mail", "/etc/passwd"), id_of("mail", "/etc/group"));
        chown(at.join("mail"), Some(user), Some(group)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::write(at.join("conf/master.cf"), format!("127.0.0.1:{port} inet n - n - - smtpd\n{MASTER}")).unwrap();
        std::fs::write(at.join("conf/main.cf"), main_cf(plan, at, user, group)).unwrap();
        let postfix = Self { dir, address: SocketAddr::from(([127, 0, 0, 1], port)) };
        postfix.run();
        postfix
    }

    /// Starts it again after [`Self::stop`], with the same queue and port.
    pub fn run(&self) {
        run(Command::new("postfix").arg("-c").arg(self.conf()).arg("start").stdin(Stdio::null())).unwrap();
        self.wait("its port", || TcpStream::connect(self.address).ok());
    }

    /// Stops it; the queue stays.
    pub fn stop(&self) {
        let Ok(pid) = std::fs::read_to_string(self.path("queue/pid/master.pid")) else { return };
        let pid = pid.trim().to_owned();
        let running = || std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "master");
        let mut signal = "TERM";
        let until = Instant::now() + PATIENCE;
        while running() && Instant::now() < until {
            // Its processes are one group, which ends with it.
            // By the shell's own `kill`: that of procps 4.0.2 reads a group that begins with 1 as -1, which is everybody.
            drop(Command::new("sh").arg("-c").arg(format!("kill -s {signal} -- -{pid} {pid}")).stderr(Stdio::null()).status());
            std::thread::sleep(Duration::from_millis(50));
            if until.saturating_duration_since(Instant::now()) < PATIENCE / 2 {
                signal = "KILL";
            }
        }
    }

    /// Hands a mail in as a local user does (`sendmail`), with more arguments such as `-N success,delay`, `-V envid`, `-R hdrs`.
    /// Lines end in LF; the addresses are the envelope's.
    pub fn submit(&self, from: &str, to: &[&str], arguments: &[&str], mail: &[u8]) {
        let mut command = Command::new("/usr/sbin/sendmail");
        command.arg("-C").arg(self.conf()).args(["-i", "-f", from]).args(arguments).arg("--").args(to);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(mail).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "sendmail: {} {}", output.status, String::from_utf8_lossy(&output.stderr));
    }

    /// What waits in its queue: one JSON object for each mail (`postqueue -j`), with `delay_reason` for each recipient.
    pub fn queue(&self) -> Vec<serde_json::Value> {
        let listed = run(Command::new("postqueue").arg("-c").arg(self.conf()).arg("-j")).unwrap();
        String::from_utf8(listed).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Tries everything in the queue at once.
    pub fn flush(&self) {
        run(Command::new("postqueue").arg("-c").arg(self.conf()).arg("-f")).unwrap();
    }

    /// Waits until nothing is queued.
    pub fn wait_for_empty_queue(&self) {
        self.wait("an empty queue", || self.queue().is_empty().then_some(()));
    }

    /// Its log up to now.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path("log")).unwrap_or_default()).into_owned()
    }

    /// Waits for a line of the log that has all these words.
    pub fn wait_for_log(&self, words: &[&str]) -> String {
        self.wait(&format!("{words:?} in the log"), || {
            self.log().lines().find(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned)
        })
    }

    /// The mails of a mailbox of [`Plan::mailbox`], oldest first.
    pub fn mailbox(&self, address: &str) -> Vec<Vec<u8>> {
        let folder = self.path("mail").join(address).join("new");
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        files.sort_by_key(|file| std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok());
        files.iter().map(|file| std::fs::read(file).unwrap()).collect()
    }

    /// Waits until a mailbox has so many mails.
    pub fn wait_for_mails(&self, address: &str, count: usize) -> Vec<Vec<u8>> {
        self.wait(&format!("{count} mails for {address}"), || Some(self.mailbox(address)).filter(|mails| mails.len() >= count))
    }

    fn wait<T>(&self, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = found() {
                return found;
            }
            assert!(Instant::now() < until, "{what} did not come in time; Postfix says:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn conf(&self) -> PathBuf {
        self.path("conf")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Everything but the listener, nothing in a chroot.
const MASTER: &str = "\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";

/// Waits are short, and nothing is looked up in DNS.
const MAIN: &str = "\
compatibility_level = 3.6
myhostname = mail.habo.test
alias_maps =
alias_database =
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtp_host_lookup = native
smtpd_peername_lookup = no
smtputf8_enable = yes
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
message_size_limit = 100000000
mailbox_size_limit = 0
virtual_mailbox_limit = 0
virtual_minimum_uid = 1
smtp_tls_loglevel = 1
debug_peer_level = 2
";

fn main_cf(plan: &Plan, at: &Path, user: u32, group: u32) -> String {
    let dir = at.display();
    let mut text = format!(
        "{MAIN}config_directory = {dir}/conf\nqueue_directory = {dir}/queue\ndata_directory = {dir}/data\n\
         maillog_file_prefixes = {dir}\nmaillog_file = {dir}/log\n\
         virtual_mailbox_base = {dir}/mail\nvirtual_uid_maps = static:{user}\nvirtual_gid_maps = static:{group}\n"
    );
    let table = |name: &str, lines: String| {
        std::fs::write(at.join("conf").join(name), lines).unwrap();
        format!("texthash:{dir}/conf/{name}")
    };
    let routes = plan.routes.iter().fold(String::new(), |text, (domain, to)| text + domain + " " + to + "\n");
    writeln!(text, "transport_maps = {}", table("transport", routes)).unwrap();
    let domains: BTreeSet<&str> = plan.mailboxes.iter().filter_map(|address| address.rsplit_once('@')).map(|(_, domain)| domain).collect();
    writeln!(text, "virtual_mailbox_domains = {}", domains.into_iter().collect::<Vec<_>>().join(" ")).unwrap();
    let folders = plan.mailboxes.iter().fold(String::new(), |text, address| text + address + " " + address + "/\n");
    writeln!(text, "virtual_mailbox_maps = {}", table("mailboxes", folders)).unwrap();
    let secret = |name: &str, pem: &str| {
        let path = at.join("conf").join(name);
        std::fs::write(&path, pem).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    if let Some((ca, server)) = &plan.ca {
        let ca = secret("ca.pem", ca);
        writeln!(text, "smtp_tls_CAfile = {ca}\nsmtpd_tls_CAfile = {ca}").unwrap();
        // The next hop is an address, which Postfix does not look for in certificates.
        writeln!(text, "smtp_tls_security_level = verify\nsmtp_tls_verify_cert_match = {server}").unwrap();
    }
    if let Some(pem) = &plan.client {
        let pem = secret("client.pem", pem);
        writeln!(text, "smtp_tls_cert_file = {pem}\nsmtp_tls_key_file = {pem}").unwrap();
    }
    if let Some(pem) = &plan.server {
        let pem = secret("server.pem", pem);
        writeln!(text, "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {pem}\nsmtpd_tls_key_file = {pem}\nsmtpd_tls_received_header = yes")
            .unwrap();
    }
    if !plan.logins.is_empty() {
        let lines = plan.logins.iter().fold(String::new(), |text, (to, user, password)| text + to + " " + user + ":" + password + "\n");
        let passwords = table("logins", lines);
        writeln!(text, "smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = {passwords}\nsmtp_sasl_security_options = noanonymous").unwrap();
    }
    for line in &plan.main {
        text += line;
        text.push('\n');
    }
    text
}

/// The id of a user or group in a file of lines `name:password:id:...`.
fn id_of(name: &str, file: &str) -> u32 {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.split(':').next() == Some(name)).unwrap_or_else(|| panic!("no {name} in {file}"));
    line.split(':').nth(2).unwrap().parse().unwrap()
}
