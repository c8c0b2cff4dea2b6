//! The program: arguments in, an exit code out. Everything else is in the library; see `brevbro::cli` for the codes.

use std::process::ExitCode;

use brevbro::cli::{Cli, CliError};
use clap::Parser;

fn main() -> ExitCode {
    // Tests name in FAILPOINTS the effects at which the program stops or dies.
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    #[cfg(feature = "failpoints")]
    abort_at();
    // clap prints its own errors and ends with 2, and with 0 for --help and --version.
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(cli.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "the one place where an error reaches the person who ran the command")]
fn fail(error: &CliError) -> ExitCode {
    eprintln!("{error}");
    error.exit().into()
}

/// `BREVBRO_ABORT_AT=receive.applied:2` ends the program the second time that it passes this point, as a crash does:
/// nothing is closed, flushed or said.
#[cfg(feature = "failpoints")]
fn abort_at() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let Ok(wanted) = std::env::var("BREVBRO_ABORT_AT") else { return };
    let (point, pass) = wanted.rsplit_once(':').unwrap_or((&wanted, "1"));
    let left = AtomicUsize::new(pass.parse().unwrap_or(1));
    let die = move || {
        if left.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
    };
    // A point's name is any text: there is nothing that it can refuse.
    drop(fail::cfg_callback(point, die));
}
