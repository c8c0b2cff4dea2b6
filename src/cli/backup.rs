//! `brevbro backup`: a copy of what a gateway keeps in files, taken while it works.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;

use super::CliError;
use crate::store::backup::{BackupError, Names, Plan, Taken, take};
use crate::worker;

/// The arguments of `brevbro backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The folder of backups. Each backup is a folder in it, whole in itself; what did not change since the one before takes no
    /// more room.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The gateway's state folder. The gateway may be running.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/brevbro")]
    state_dir: PathBuf,
    /// Copies the configuration and every file that it names too: private keys, passwords, keys of what is encrypted.
    #[arg(long, requires = "config")]
    keys: bool,
    /// The configuration, for --keys.
    #[arg(long, value_name = "FILE", requires = "keys")]
    config: Option<PathBuf>,
}

/// Takes a backup, verifies it, and prints what is in it.
///
/// # Errors
/// [`CliError`] when there is none; unsound when it holds what was lost or damaged before.
pub async fn run(args: BackupArgs) -> Result<(), CliError> {
    let beside = args.config.as_deref().map_or_else(|| Ok(Vec::new()), named_files)?;
    let taken = tokio::task::spawn_blocking(move || {
        let names = Names { record: worker::bodies_of, job: worker::body_of };
        let plan = Plan { state_dir: &args.state_dir, dir: &args.dir, names, beside: &beside, at: Timestamp::now() };
        take(&plan).map(|taken| (taken, beside.len()))
    });
    let (taken, keys) = taken.await?.map_err(told)?;
    let mut out = io::stdout().lock();
    for line in words(&taken) {
        writeln!(out, "{line}")?;
    }
    if keys > 0 {
        writeln!(out, "VARNING: keys/ innehåller privata nycklar och lösenord i klartext. Förvara kopian som nycklarna själva.")?;
        writeln!(out, "WARNING: keys/ holds private keys and passwords in the clear. Keep the backup as you keep the keys.")?;
    }
    for damage in &taken.damaged {
        writeln!(out, "damaged: {}: {}", damage.path.display(), damage.why)?;
    }
    for body in &taken.lost {
        writeln!(out, "lost: body {}", body.0)?;
    }
    if taken.damaged.is_empty() && taken.lost.is_empty() {
        return Ok(());
    }
    Err(CliError::unsound("the backup is whole, and what it is of is not")
        .hint("restore these bodies from an older backup; brevbro store verify names their records"))
}

/// What there is now, in Swedish and in English.
fn words(taken: &Taken) -> [String; 2] {
    let Taken { path, manifest, shared, .. } = taken;
    let (path, line, at, bodies, megabytes) = (path.display(), manifest.line, manifest.at, manifest.bodies, manifest.octets.div_ceil(1_000_000));
    [
        format!(
            "Säkerhetskopian {path} är hel och kontrollerad: journalen till och med rad {line}, {at:.0}; {bodies} innehållsfiler, {megabytes} MB; {shared} filer delas med kopian före."
        ),
        format!(
            "The backup {path} is whole and verified: the journal up to line {line}, {at:.0}; {bodies} bodies, {megabytes} MB; {shared} files are shared with the backup before."
        ),
    ]
}

pub(super) fn told(error: BackupError) -> CliError {
    let hint = error.hint();
    match error {
        error @ (BackupError::Damaged(_) | BackupError::Journal(_)) => CliError::unsound(error).hint(hint),
        error => CliError::failure(error).hint(hint),
    }
}

/// The configuration and the files that it names, with their places in the backup. What is run is no part of it.
fn named_files(config: &Path) -> Result<Vec<(PathBuf, String)>, CliError> {
    let text = std::fs::read_to_string(config).map_err(CliError::usage)?;
    let table: toml::Table = text.parse().map_err(CliError::usage)?;
    let base = config.parent().unwrap_or(Path::new(""));
    let mut found = BTreeMap::new();
    let mut add = |path: &Path| {
        if let Ok(path) = path.canonicalize().and_then(|path| path.is_file().then_some(path).ok_or_else(|| io::ErrorKind::NotFound.into())) {
            let place = format!("keys{}", path.display());
            found.insert(path, place);
        }
    };
    add(config);
    let mut waiting: Vec<(&str, &toml::Value)> = table.iter().map(|(key, value)| (key.as_str(), value)).collect();
    while let Some((key, value)) = waiting.pop() {
        match value {
            toml::Value::String(text) if !key.ends_with("command") => add(&base.join(text)),
            toml::Value::Array(values) => waiting.extend(values.iter().map(|value| (key, value))),
            toml::Value::Table(table) => waiting.extend(table.iter().map(|(key, value)| (key.as_str(), value))),
            _ => {}
        }
    }
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_files_that_the_configuration_names_and_no_programs() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        for name in ["point.p12", "ca.pem", "notify", "unnamed.pem"] {
            std::fs::write(dir.join(name), "x").unwrap();
        }
        let text = format!(
            "name = \"gw\"\nmissing = \"nowhere.pem\"\n[access-point]\nkey = \"point.p12\"\nca = [\"{}\"]\n[audit]\nhead-command = [\"notify\"]\n",
            dir.join("ca.pem").display()
        );
        std::fs::write(dir.join("gateway.toml"), text).unwrap();
        let found: Vec<PathBuf> = named_files(&dir.join("gateway.toml")).unwrap().into_iter().map(|(path, _)| path).collect();
        assert_eq!(found, ["ca.pem", "gateway.toml", "point.p12"].map(|name| dir.join(name)));
    }
}
