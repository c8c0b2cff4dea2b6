//! `brevbro store export` and `import`: all that a gateway keeps in one file, and that file into a store of another kind.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use super::in_use;
use crate::cli::CliError;
use crate::config::{self, Role, StateStore, checked};
use crate::daemon;
use crate::port::{Key, Store};
use crate::store::backup::Names;
use crate::store::cipher::Keys;
use crate::store::portable::{self, Checked, Count, Exported, Head, Kind, Place, PortableError, Target};
use crate::store::{PostgresOptions, PostgresStore, SledOptions, SledStore, Spool, SpoolOptions, Unfinished, journal};
use crate::worker;

/// What both need.
#[derive(Debug, Args)]
pub(super) struct PortableArgs {
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The configuration of the gateway, which must not run: it says where state is kept.
    #[arg(long, value_name = "FILE", default_value = "/etc/brevbro/gateway.toml")]
    config: PathBuf,
}

const NAMES: Names = Names { record: worker::bodies_of, job: worker::body_of };

pub(super) async fn export(args: PortableArgs) -> Result<(), CliError> {
    let config = load(&args.config)?;
    let place = open(&config).await?;
    let federation = match &place {
        Place::Files { dir, .. } => fs::read_to_string(dir.join("federation")).unwrap_or_default(),
        Place::Database { store, .. } => store.note(Key::new("gateway", "federation")).await?.unwrap_or_default(),
    };
    let head = Head { program: env!("CARGO_PKG_VERSION").to_owned(), at: Timestamp::now(), from: Kind::Files, federation };
    let file = args.file.clone();
    let Exported { count, lost } = tokio::task::spawn_blocking(move || write(&file, &place, head)).await?.map_err(told)?;
    let mut out = io::stdout().lock();
    let (file, Count { lines, changes, bodies }) = (args.file.display(), count);
    writeln!(
        out,
        "{file} är skriven: {lines} rader i journalen, {changes} poster, {bodies} innehållsfiler i klartext. Förvara den därefter, och radera den efter importen."
    )?;
    writeln!(
        out,
        "{file} is written: {lines} lines of the journal, {changes} records, notes and jobs, {bodies} bodies in the clear. Keep it accordingly, and delete it after the import."
    )?;
    for body in &lost {
        writeln!(out, "lost: body {}", body.0)?;
    }
    if lost.is_empty() {
        return Ok(());
    }
    Err(CliError::unsound("the export is whole, and bodies were lost or damaged before")
        .hint("brevbro store verify names their records; a backup may have them"))
}

/// Writes the file, which is not there before; what is no export does not stay.
fn write(file: &Path, place: &Place, head: Head) -> Result<Exported, PortableError> {
    let out = OpenOptions::new().create_new(true).write(true).mode(0o600).open(file)?;
    let written = portable::export(place, NAMES, head, BufWriter::with_capacity(256 * 1024, &out)).and_then(|exported| {
        out.sync_all()?;
        Ok(exported)
    });
    if written.is_err() {
        drop(fs::remove_file(file));
    }
    written
}

pub(super) async fn import(args: PortableArgs) -> Result<(), CliError> {
    let config = load(&args.config)?;
    let file = args.file.clone();
    let checked = tokio::task::spawn_blocking(move || portable::check(&file)).await?.map_err(told)?;
    let theirs = checked.head.federation.lines().next().unwrap_or_default().to_owned();
    let ours = config.federation.to_string();
    if !theirs.is_empty() && !theirs.eq_ignore_ascii_case(&ours) {
        return Err(told(PortableError::Federation { theirs, ours }));
    }
    let target = target(&config).await?;
    let Checked { count, .. } = checked.clone();
    let place = tokio::task::spawn_blocking(move || portable::import(&checked, target)).await?.map_err(told)?;
    let (lines, found) = match &place {
        Place::Files { dir, store, blobs } => {
            let summary = journal::verify(&dir.join("store/journal"))?;
            (summary.first + summary.lines, worker::agreement(store, blobs.as_ref()).await)
        }
        Place::Database { store, blobs } => (store.follow().await?, worker::agreement(store, blobs.as_ref()).await),
    };
    let found = found.map_err(|failure| CliError::failure(failure.what).hint(failure.hint))?;
    let mut out = io::stdout().lock();
    let Count { changes, bodies, .. } = count;
    writeln!(
        out,
        "Importen är klar och kontrollerad: journalens kedja är hel till och med rad {}, {changes} poster, {bodies} innehållsfiler.",
        lines.saturating_sub(1)
    )?;
    writeln!(
        out,
        "The import is done and verified: the journal's chain is whole up to line {}, {changes} records, notes and jobs, {bodies} bodies.",
        lines.saturating_sub(1)
    )?;
    writeln!(out, "Starta inte den gamla gatewayen igen.\nDo not start the old gateway again.")?;
    for (record, blob) in &found.lost {
        writeln!(out, "lost: body {} of record {record}", blob.0)?;
    }
    if found.lost.is_empty() {
        return Ok(());
    }
    Err(CliError::unsound("it is imported, and bodies were lost or damaged before").hint("a backup may have them"))
}

fn load(path: &Path) -> Result<checked::Gateway, CliError> {
    let config = config::load(path).map_err(CliError::usage)?;
    if matches!(config.store, StateStore::Postgresql(_)) && config.role() == Role::AccessPoint {
        return Err(CliError::usage("a node of the role access-point does not see all that is kept")
            .hint("use the configuration of a node of the role mail or both"));
    }
    Ok(config)
}

/// What is there, for this process alone.
async fn open(config: &checked::Gateway) -> Result<Place, CliError> {
    match &config.store {
        StateStore::Local(_) => {
            let dir = config.state_dir.clone();
            Unfinished::refuse(&dir)?;
            let options = files(config);
            if !options.dir.is_dir() {
                return Err(CliError::failure(format!("there is no store in {}", dir.display())).hint("see state-dir in the configuration"));
            }
            let store = SledStore::open(options).map_err(in_use)?;
            let blobs = Spool::open(SpoolOptions { keys: keys(config), ..SpoolOptions::new(dir.join("spool")) }).map_err(in_use)?;
            Ok(Place::Files { dir, store, blobs: Box::new(blobs) })
        }
        StateStore::Postgresql(database) => {
            let store = PostgresStore::open(alone(config, database)).await?;
            let blobs = Box::new(store.blobs_under(keys(config)).await?);
            Ok(Place::Database { store, blobs })
        }
    }
}

/// Where it is to go.
async fn target(config: &checked::Gateway) -> Result<Target, CliError> {
    match &config.store {
        StateStore::Local(reserve) => {
            let dir = config.state_dir.clone();
            let spool = SpoolOptions { reserve: *reserve, keys: keys(config), ..SpoolOptions::new(dir.join("spool")) };
            let store = SledOptions { reserve: *reserve, ..files(config) };
            Ok(Target::Files { spool, store, dir })
        }
        StateStore::Postgresql(database) => {
            let store = PostgresStore::open(alone(config, database)).await?;
            let blobs = Box::new(store.blobs_under(keys(config)).await?);
            Ok(Target::Database { store, blobs })
        }
    }
}

/// The keys that bodies are under; an export holds them in the clear.
fn keys(config: &checked::Gateway) -> Arc<Keys> {
    Arc::new(Keys::new(config.encryption.clone()))
}

fn files(config: &checked::Gateway) -> SledOptions {
    SledOptions { segments: config.audit.segments, ..SledOptions::new(config.state_dir.join("store")) }
}

fn alone(config: &checked::Gateway, database: &config::Database) -> PostgresOptions {
    PostgresOptions { alone: true, ..daemon::database(config, database) }
}

fn told(error: PortableError) -> CliError {
    let hint = error.hint();
    match error {
        error @ (PortableError::Damaged(_) | PortableError::Journal(_)) => CliError::unsound(error).hint(hint),
        error => CliError::failure(error).hint(hint),
    }
}
