//! `brevbro store verify`: whether what a gateway keeps is whole and goes together.

use std::io::{self, Write};

use super::{VerifyArgs, in_use};
use crate::cli::CliError;
use crate::store::{Comparison, SledStore, Spool, SpoolOptions, journal};
use crate::worker;

pub(super) async fn run(args: &VerifyArgs) -> Result<(), CliError> {
    let (options, content) = (args.state.options()?, args.keys()?);
    let summary = journal::verify(&options.journal())?;
    let compared = SledStore::compare(&options).map_err(in_use)?;
    let mut out = io::stdout().lock();
    writeln!(out, "the journal's chain is whole: {} lines, last {}", summary.lines, summary.hash)?;
    let Comparison { keys, different, first } = &compared;
    match different {
        0 => writeln!(out, "the index is what the journal makes: {keys} keys")?,
        _ => writeln!(out, "the index is not what the journal makes: {different} of {keys} keys differ")?,
    }
    for difference in first {
        writeln!(out, "differs: {difference}")?;
    }
    if compared.is_damaged() {
        let hint = "brevbro store rebuild makes the index anew from the journal; then verify again, for bodies were not looked at";
        return Err(CliError::unsound("the index is damaged").hint(hint));
    }
    let store = SledStore::open(options).map_err(in_use)?;
    let spool = Spool::open(SpoolOptions { keys: content, ..SpoolOptions::new(args.state.state_dir.join("spool")) }).map_err(in_use)?;
    let damaged = spool.check()?;
    let found = worker::agreement(&store, &spool).await.map_err(|failure| CliError::failure(failure.what).hint(failure.hint))?;
    writeln!(out, "{} records, {} bodies, {} of them named by none", found.records, found.bodies, found.unnamed)?;
    for damage in &damaged {
        writeln!(out, "damaged: {}: {}", damage.path.display(), damage.why)?;
    }
    for (record, blob) in &found.lost {
        writeln!(out, "lost: body {} of record {record}", blob.0)?;
    }
    for record in &found.unread {
        writeln!(out, "unreadable: record {record}")?;
    }
    if damaged.is_empty() && found.lost.is_empty() && found.unread.is_empty() {
        return Ok(());
    }
    Err(CliError::unsound("something is damaged or lost").hint("restore it from a backup; keep this folder, for what is not damaged is still good"))
}
