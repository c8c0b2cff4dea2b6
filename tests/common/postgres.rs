//! A PostgreSQL of a test's own: its files in a temporary folder, on a free port of this machine, gone when dropped or when
//! the test's process is.
//!
//! [`shared`] is one for all tests of a process, each with [`Cluster::database`]s of its own; a test that stops it, or wants
//! settings, [`Cluster::start`]s its own.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::{run, skip};

/// How long a start may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// How a cluster is to be.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Whether what is committed survives a power cut, as in life; without it everything is quicker.
    pub durable: bool,
    /// Further settings, such as `synchronous_commit=off`.
    pub settings: Vec<String>,
    /// Lines of `pg_hba.conf` before those that let everybody in from this machine.
    pub access: Vec<String>,
    /// Files beside its data: what settings name by [`Cluster::path`] in the place of `{dir}`.
    pub files: Vec<(String, Vec<u8>)>,
}

/// How it is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// In order: connections are ended, what is in memory is written.
    Fast,
    /// As a crash does it: what was not committed is lost, and the next start recovers.
    Crash,
}

/// A PostgreSQL that runs, or is stopped.
pub struct Cluster {
    dir: PathBuf,
    bin: PathBuf,
    /// Where it takes connections, on 127.0.0.1 and in the folder [`Cluster::path`].
    pub port: u16,
    settings: Vec<String>,
    process: Mutex<Option<(Child, ChildStdin)>>,
}

/// The cluster of this test process, without durability; `None`, with a printed reason, where there is no PostgreSQL.
pub fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start(&Plan::default())).as_ref()
}

impl Cluster {
    /// Makes and starts one; `None`, with a printed reason, where there is no PostgreSQL.
    pub fn start(plan: &Plan) -> Option<Self> {
        let Some(bin) = bin() else {
            skip("PostgreSQL is not installed; `make test` installs it");
            return None;
        };
        if is_root() && run(Command::new("runuser").args(["-u", "postgres", "--", "true"])).is_err() {
            skip("root cannot run PostgreSQL as user postgres");
            return None;
        }
        // It removes the folder itself, when nobody who could is there any more.
        let dir = tempfile::Builder::new().prefix("postgres-").tempdir().unwrap().keep();
        std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        for (name, octets) in &plan.files {
            std::fs::write(dir.join(name), octets).unwrap();
            std::fs::set_permissions(dir.join(name), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        if is_root() {
            run(Command::new("chown").args(["-R", "postgres"]).arg(&dir)).unwrap();
        }
        let mut init = as_postgres(&bin.join("initdb"));
        init.current_dir(&dir).arg("-D").arg(dir.join("data")).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]);
        run(&mut init).unwrap();
        let access = format!("{}\nlocal all all trust\nhost all all 127.0.0.1/32 trust\n", plan.access.join("\n"));
        std::fs::write(dir.join("data/pg_hba.conf"), access).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut settings = vec![
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", dir.display()),
            "max_connections=200".to_owned(),
            "shared_buffers=64MB".to_owned(),
        ];
        if !plan.durable {
            settings.extend(["fsync=off", "full_page_writes=off"].map(str::to_owned));
        }
        settings.extend(plan.settings.iter().map(|setting| setting.replace("{dir}", &dir.display().to_string())));
        let cluster = Self { dir, bin, port, settings, process: Mutex::new(None) };
        cluster.go();
        Some(cluster)
    }

    /// Starts it again after [`Self::stop`], and waits until it takes connections.
    pub fn go(&self) {
        // It ends with whoever holds the other end of its input: a killed test leaves nothing behind.
        let script = r#"log="$1"; dir="$2"; shift 2
            "$@" >>"$log" 2>&1 </dev/null & pid=$!
            how=""; read -r how
            case "$how" in crash) kill -QUIT $pid ;; *) kill -INT $pid ;; esac
            wait $pid
            [ -n "$how" ] || rm -rf "$dir""#;
        let mut command = as_postgres(Path::new("/bin/sh"));
        command.args(["-c", script, "postgres"]).arg(self.log_file()).arg(&self.dir).arg(self.bin.join("postgres")).arg("-D");
        command.arg(self.dir.join("data")).current_dir(&self.dir);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        *self.lock() = Some((child, input));
        let begun = Instant::now();
        while self.try_sql("postgres", "SELECT 1").is_err() {
            assert!(begun.elapsed() < PATIENCE, "PostgreSQL does not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops it, and waits until it has ended.
    pub fn stop(&self, how: Stop) {
        let Some((mut child, mut input)) = self.lock().take() else { return };
        input.write_all(if how == Stop::Crash { b"crash\n" } else { b"fast\n" }).unwrap();
        child.wait().unwrap();
    }

    /// A new database; its name.
    pub fn database(&self) -> String {
        let name = format!("t{}", uuid::Uuid::new_v4().simple());
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// What a program connects to a database by, as the superuser.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The folder of its socket and its files.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// What `psql` answers to some SQL: one line a row, `|` between columns.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql).unwrap()
    }

    /// As [`Self::sql`]; an error is what `psql` says.
    pub fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-h"]).arg(&self.dir).args(["-p", &self.port.to_string(), "-U", "postgres", "-d", database]);
        psql.args(["-c", sql]);
        run(&mut psql).map(|out| String::from_utf8_lossy(&out).trim_end().to_owned())
    }

    /// Runs a file of SQL, as an administrator does.
    pub fn file(&self, database: &str, file: &Path) -> Result<String, String> {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["-Xq", "-v", "ON_ERROR_STOP=1", "-h"]).arg(&self.dir).args(["-p", &self.port.to_string(), "-U", "postgres", "-d", database, "-f"]);
        psql.arg(file);
        run(&mut psql).map(|out| String::from_utf8_lossy(&out).trim_end().to_owned())
    }

    /// What it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.dir.join("log")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Child, ChildStdin)>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some((mut child, input)) = self.lock().take() {
            drop(input);
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The newest of Debian's, or what stands in the path.
fn bin() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let newest = versions.map(|entry| entry.path()).filter(|path| path.join("bin/initdb").is_file()).max_by_key(version);
    let paths = std::env::var_os("PATH").unwrap_or_default();
    newest.map(|path| path.join("bin")).or_else(|| std::env::split_paths(&paths).find(|dir| dir.join("initdb").is_file()))
}

/// Whether programs that refuse to run as root need another user.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// It refuses to run as root.
fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}
