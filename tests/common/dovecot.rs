//! A Dovecot of its own for a test: IMAP, IMAPS and LMTP on free ports of this machine, mail as Maildir, everything in a
//! temporary folder. It ends, with all its processes, when it is dropped.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::pki::{self, Ca};

/// How long it may take to start, and to stop.
const PATIENCE: Duration = Duration::from_mins(1);

/// What differs between instances.
#[derive(Default)]
pub struct DovecotSetup {
    /// User names, which are mail addresses, and their passwords.
    pub users: Vec<(String, String)>,
    /// Where access tokens are asked about (RFC 7662), for XOAUTH2 and OAUTHBEARER: a `http:` URL that gets them by POST and answers
    /// with JSON, `{"active": true, "email": "user"}`.
    pub introspection: Option<String>,
    /// More configuration, in Dovecot's own words.
    pub more: String,
}

impl DovecotSetup {
    /// These users, each with the password `password`.
    pub fn of(users: &[&str]) -> Self {
        Self { users: users.iter().map(|user| ((*user).to_owned(), "password".to_owned())).collect(), ..Self::default() }
    }
}

/// A Dovecot that runs.
pub struct Dovecot {
    /// IMAP; STARTTLS is offered, and passwords are taken without it.
    pub imap: SocketAddr,
    /// IMAP with TLS from the first octet.
    pub imaps: SocketAddr,
    /// LMTP in plaintext.
    pub lmtp: SocketAddr,
    /// The CA of its certificate, which names `localhost` and 127.0.0.1.
    pub ca: Ca,
    child: Option<Child>,
    owner: (u32, u32),
    dir: TempDir,
}

impl Dovecot {
    /// Starts one; `None`, with a printed reason, where Dovecot is absent (see [`super::has`]).
    pub fn start(setup: &DovecotSetup) -> Option<Self> {
        if !["dovecot", "imap", "lmtp"].iter().all(|program| super::has(program)) {
            return None;
        }
        let dir = tempfile::Builder::new().prefix("dovecot-").permissions(std::fs::Permissions::from_mode(0o755)).tempdir().unwrap();
        // Dovecot opens no mail as root: it is `mail`'s then.
        let metadata = std::fs::metadata(dir.path()).unwrap();
        let owner = if metadata.uid() == 0 { (8, 8) } else { (metadata.uid(), metadata.gid()) };
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut made = Self { imap: nowhere, imaps: nowhere, lmtp: nowhere, ca: Ca::new("Dovecot's CA"), child: None, owner, dir };
        std::fs::create_dir(made.path("mail")).unwrap();
        made.give(&made.path("mail"));
        std::fs::write(made.path("tls.pem"), pki::pem(&made.ca.issue("localhost"))).unwrap();
        made.users(&setup.users);
        // Another may have taken a port between the look for it and its use.
        for _ in 0..5 {
            let ports: Vec<_> = (0..3).map(|_| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
            let addresses: Vec<_> = ports.iter().map(|port| port.local_addr().unwrap()).collect();
            (made.imap, made.imaps, made.lmtp) = (addresses[0], addresses[1], addresses[2]);
            drop(ports);
            std::fs::write(made.path("dovecot.conf"), made.configuration(setup)).unwrap();
            if made.run() {
                return Some(made);
            }
        }
        panic!("Dovecot does not start: {}", made.log());
    }

    /// Writes the users anew, for changed passwords; Dovecot reads them at each login.
    pub fn users(&self, users: &[(String, String)]) {
        let (uid, gid) = self.owner;
        let lines = users.iter().fold(String::new(), |mut lines, (user, password)| {
            writeln!(lines, "{user}:{{PLAIN}}{password}:{uid}:{gid}::{}::", self.home(user).display()).unwrap();
            lines
        });
        let (file, new) = (self.path("users"), self.path("users.new"));
        std::fs::write(&new, lines).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    /// Ends it; [`Self::go_on`] starts it again with its mail and its ports.
    pub fn halt(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // Its processes end themselves when the first is told to; killed, it would leave them behind.
        drop(Command::new("kill").arg(child.id().to_string()).status());
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if matches!(child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(child.kill());
        drop(child.wait());
    }

    /// Starts it again after [`Self::halt`].
    pub fn go_on(&mut self) {
        assert!(self.run(), "Dovecot does not start again: {}", self.log());
    }

    /// What it has logged, and why it did not start.
    pub fn log(&self) -> String {
        let read = |name| std::fs::read_to_string(self.path(name)).unwrap_or_default();
        read("start.log") + &read("log")
    }

    /// The files of the mails in a folder, oldest name first; `INBOX` is the user's own.
    pub fn files(&self, user: &str, folder: &str) -> Vec<PathBuf> {
        let maildir = self.maildir(user, folder);
        let of = |part: &str| std::fs::read_dir(maildir.join(part)).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut files: Vec<_> = of("new").chain(of("cur")).collect();
        files.sort_by_key(|file| file.file_name().map(std::ffi::OsStr::to_owned));
        files
    }

    /// The mails in a folder, with CRLF as line ends, as IMAP shows them.
    pub fn mails(&self, user: &str, folder: &str) -> Vec<String> {
        let read =
            |file: PathBuf| std::fs::read(file).ok().map(|octets| String::from_utf8_lossy(&octets).replace("\r\n", "\n").replace('\n', "\r\n"));
        self.files(user, folder).into_iter().filter_map(read).collect()
    }

    /// Puts a mail into a folder that is there, as a delivery agent would: sessions that idle are told.
    pub fn put(&self, user: &str, folder: &str, mail: impl AsRef<[u8]>) {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let name = format!("{}.M{}P{}Q{number}.test", since.as_secs(), since.subsec_micros(), std::process::id());
        let maildir = self.maildir(user, folder);
        let (tmp, new) = (maildir.join("tmp").join(&name), maildir.join("new").join(&name));
        std::fs::write(&tmp, mail).unwrap();
        self.give(&tmp);
        std::fs::rename(tmp, new).unwrap();
    }

    /// Makes a folder, and the user's mail storage with it.
    pub fn make_folder(&self, user: &str, folder: &str) {
        self.doveadm(&["mailbox", "create", "-u", user, folder]);
    }

    /// What `doveadm` says to this.
    pub fn doveadm(&self, arguments: &[&str]) -> String {
        let output = super::run(Command::new(program("doveadm")).arg("-c").arg(self.path("dovecot.conf")).args(arguments)).unwrap();
        String::from_utf8(output).unwrap()
    }

    /// The Maildir of a folder.
    pub fn maildir(&self, user: &str, folder: &str) -> PathBuf {
        let root = self.home(user).join("Maildir");
        if folder == "INBOX" { root } else { root.join(format!(".{}", folder.replace('/', "."))) }
    }

    fn home(&self, user: &str) -> PathBuf {
        self.path("mail").join(user)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn give(&self, path: &Path) {
        chown(path, Some(self.owner.0), Some(self.owner.1)).unwrap();
    }

    /// Starts its first process and waits for the greeting; `false` when it ended.
    fn run(&mut self) -> bool {
        let mut command = Command::new(program("dovecot"));
        command.arg("-F").arg("-c").arg(self.path("dovecot.conf")).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(std::fs::File::create(self.path("start.log")).unwrap());
        self.child = Some(command.spawn().unwrap());
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if self.child.as_mut().is_none_or(|child| matches!(child.try_wait(), Ok(Some(_)))) {
                self.child = None;
                return false;
            }
            if greets(self.imap, "* OK") && greets(self.lmtp, "220 ") {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.halt();
        false
    }

    fn configuration(&self, setup: &DovecotSetup) -> String {
        let (uid, gid) = self.owner;
        // Without root there is nobody else to become, and no chroot.
        let alone = if uid == 8 {
            String::new()
        } else {
            let (user, group) = (name_of(uid, "/etc/passwd"), name_of(gid, "/etc/group"));
            format!(
                "default_internal_user = {user}\ndefault_internal_group = {group}\ndefault_login_user = {user}\n\
                 service anvil {{\n  chroot =\n}}\nservice imap-login {{\n  chroot =\n}}\nservice stats {{\n  chroot =\n}}\n"
            )
        };
        let mut mechanisms = "plain login".to_owned();
        let mut tokens = String::new();
        if let Some(url) = &setup.introspection {
            mechanisms += " xoauth2 oauthbearer";
            let file = self.path("oauth2.conf");
            let text = format!(
                "introspection_url = {url}\nintrospection_mode = post\nusername_attribute = email\nactive_attribute = active\nactive_value = true\n"
            );
            std::fs::write(&file, text).unwrap();
            tokens = format!("passdb {{\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = {}\n}}\n", file.display());
        }
        format!(
            "protocols = imap lmtp\nlisten = 127.0.0.1\nbase_dir = {dir}/run\nstate_dir = {dir}/state\nlog_path = {dir}/log\n\
             ssl = yes\nssl_cert = <{dir}/tls.pem\nssl_key = <{dir}/tls.pem\ndisable_plaintext_auth = no\nauth_mechanisms = {mechanisms}\n\
             mail_location = maildir:~/Maildir\nfirst_valid_uid = 1\nmail_uid = {uid}\nmail_gid = {gid}\nauth_failure_delay = 0\n\
             {tokens}passdb {{\n  driver = passwd-file\n  mechanisms = plain login\n  args = {dir}/users\n}}\n\
             userdb {{\n  driver = passwd-file\n  args = {dir}/users\n}}\n\
             namespace inbox {{\n  inbox = yes\n  separator = /\n}}\n\
             service imap-login {{\n  inet_listener imap {{\n    port = {imap}\n  }}\n  inet_listener imaps {{\n    port = {imaps}\n    ssl = yes\n  }}\n}}\n\
             service lmtp {{\n  inet_listener lmtp {{\n    address = 127.0.0.1\n    port = {lmtp}\n  }}\n}}\n\
             protocol lmtp {{\n  postmaster_address = postmaster@localhost\n}}\n{alone}{more}\n",
            dir = self.dir.path().display(),
            imap = self.imap.port(),
            imaps = self.imaps.port(),
            lmtp = self.lmtp.port(),
            more = setup.more,
        )
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.halt();
    }
}

fn greets(address: SocketAddr, with: &str) -> bool {
    let Ok(stream) = TcpStream::connect(address) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).is_ok() && line.starts_with(with)
}

/// Where a program of Dovecot's is.
fn program(name: &str) -> PathBuf {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    places.iter().map(|place| Path::new(place).join(name)).find(|path| path.is_file()).unwrap_or_else(|| name.into())
}

/// The name of a user or group id, in a file of lines `name:password:id:...`.
fn name_of(id: u32, file: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = lines.find(|fields| fields.get(2).is_some_and(|of| of.parse() == Ok(id)));
    found.and_then(|fields| fields.first().map(|&name| name.to_owned())).unwrap_or_else(|| panic!("{file} has no name for {id}"))
}
