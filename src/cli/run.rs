//! `brevbro run`: the daemon, until it is told to stop.

use std::path::PathBuf;

use clap::Args;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::CliError;
use crate::config::{self, checked};
use crate::daemon::Daemon;

/// The arguments of `brevbro run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/brevbro/gateway.toml")]
    config: PathBuf,
}

/// Runs the daemon until SIGTERM or SIGINT, then lets what runs end. At SIGHUP it reads the keys of `[encryption]` again.
///
/// # Errors
/// [`CliError`]: every error of the configuration at once, or why the daemon does not start.
pub async fn run(args: RunArgs) -> Result<(), CliError> {
    manage_memory();
    no_core_file();
    let config = config::load(&args.config).map_err(CliError::usage)?;
    log(config.log);
    lock_memory();
    for warning in &config.warnings {
        tracing::warn!(path = %warning.path, "{}", warning.what);
    }
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let daemon = Daemon::start(config).await?;
    not_dumpable();
    tracing::info!(smtp = %daemon.smtp, as4 = %daemon.as4, "brevbro is running");
    loop {
        tokio::select! {
            _ = term.recv() => break,
            _ = int.recv() => break,
            _ = hangup.recv() => {
                if let Err(refused) = daemon.at_rest.reload("SIGHUP").await {
                    tracing::error!(what = refused.what, hint = refused.hint, "the keys were not read again");
                }
            }
        }
    }
    tracing::info!("stopping: what runs is ended first");
    daemon.stop().await;
    Ok(())
}

/// A crash leaves no file with keys and messages (setrlimit(2), `RLIMIT_CORE`). Before a key is read.
fn no_core_file() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "a crash may leave a core file");
    }
}

/// No program of the same user reads the memory, and what collects crashes gets none of it: a pipe is not bound by the
/// limit (core(5), prctl(2) `PR_SET_DUMPABLE`). After the start, since `/proc/self` is root's alone from here on.
fn not_dumpable() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "the memory of this process may be read by programs of the same user");
    }
}

/// Keeps all memory out of swap where the system allows it without a limit (`LimitMEMLOCK=infinity` in the unit): under a limit
/// the process would fail at it one day (mlockall(2)).
fn lock_memory() {
    if getrlimit(Resource::Memlock).current.is_none()
        && let Err(error) = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
    {
        tracing::warn!(%error, "what is in memory may be swapped out");
    }
}

/// Has glibc give the memory of large messages back as soon as they are done with, and overwrite what is freed (mallopt(3),
/// `M_MMAP_THRESHOLD` and `M_PERTURB`).
///
/// Left to itself it keeps blocks of up to 32 MiB for each thread that had one, which is three times the memory that
/// large messages need (`docs/performance.md`), and what stood in freed memory stays there until it is used again. It reads
/// these variables at its start only, so the program starts itself once more, in the same process. Who has set one of them
/// knows better; where this fails, memory is merely kept.
fn manage_memory() {
    use std::os::unix::process::CommandExt;
    const THRESHOLD: &str = "MALLOC_MMAP_THRESHOLD_";
    const TUNABLES: &str = "GLIBC_TUNABLES";
    // The cache of each thread is not overwritten, so there is none.
    const WIPED: &str = "glibc.malloc.perturb=255:glibc.malloc.tcache_count=0";
    let set = [(THRESHOLD, "1048576"), (TUNABLES, WIPED)].map(|(name, value)| (std::env::var_os(name).is_none(), name, value));
    if set.iter().all(|(is_missing, ..)| !is_missing) {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        let missing = set.iter().filter(|(is_missing, ..)| *is_missing).map(|(_, name, value)| (*name, *value));
        drop(std::process::Command::new(program).args(std::env::args_os().skip(1)).envs(missing).exec());
    }
}

/// Sets the log up, once for the process.
fn log(options: checked::Log) {
    use checked::{LogFormat, LogLevel};
    let level = match options.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // Libraries below us print protocol data at their debug levels: they are held at warnings.
    let filter = tracing_subscriber::EnvFilter::new(format!("warn,brevbro={level}"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match options.format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    // Set before in tests that start several daemons in one process.
    drop(set);
}
