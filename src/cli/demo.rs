//! `brevbro demo`: the main job by itself, on this machine.

use std::path::PathBuf;

use clap::Args;

use super::CliError;
use crate::demo::{self, DemoError, KeySizes};

/// The arguments of `brevbro demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The folder for everything that the demo makes.
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    out: PathBuf,
    /// Goes on afterwards, so that a mail client can take part.
    #[arg(long)]
    stay: bool,
    /// Makes RSA keys of 2048 bits: quicker, and smaller than in the federation.
    #[arg(long)]
    small_keys: bool,
}

/// Runs the demo; succeeds only when every check does.
///
/// # Errors
/// [`CliError`].
pub async fn run(args: DemoArgs) -> Result<(), CliError> {
    let keys = if args.small_keys { KeySizes::Small } else { KeySizes::Full };
    demo::run(&args.out, args.stay, keys, &mut std::io::stdout()).await.map_err(|error| {
        let hint = match &error {
            DemoError::Foreign(_) => "name a folder with --out that is not there yet, or empty it yourself".to_owned(),
            DemoError::InUse(_) => "stop the other one, or name another folder with --out".to_owned(),
            _ => format!("what was made so far is in {}", args.out.display()),
        };
        CliError::from(error).hint(hint)
    })
}
