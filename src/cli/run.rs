//! `brevbro run`: the daemon, until it is told to stop.

use std::path::PathBuf;

use clap::Args;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
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
    give_memory_back();
    no_core_file();
    let config = config::load(&args.config).map_err(CliError::usage)?;
    log(config.log);
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
                if let Some(at_rest) = &daemon.at_rest
                    && let Err(refused) = at_rest.reload("SIGHUP").await
                {
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

/// Has glibc give the memory of large messages back as soon as they are done with (mallopt(3), `M_MMAP_THRESHOLD`).
///
/// Left to itself it keeps blocks of up to 32 MiB for each thread that had one, which is three times the memory that
/// large messages need (`docs/performance.md`). It reads this variable at its start only, so the program starts itself
/// once more, in the same process. Who has set the variable knows better; where this fails, memory is merely kept.
fn give_memory_back() {
    use std::os::unix::process::CommandExt;
    const THRESHOLD: &str = "MALLOC_MMAP_THRESHOLD_";
    if std::env::var_os(THRESHOLD).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        drop(std::process::Command::new(program).args(std::env::args_os().skip(1)).env(THRESHOLD, "1048576").exec());
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
