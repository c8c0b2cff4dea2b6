//! The configuration: one TOML file, read whole, checked whole, and handed out as ready values.
//!
//! ```text
//! file ─▶ raw        every option with its type, default and manual; unknown keys refused
//!      ─▶ check      files read, keys opened, options compared with one another
//!      ─▶ checked    what the daemon is wired from
//! ```
//!
//! A subject (`access_point`, `mail_in`, `trust`, ..) has its options in `raw`, its checks and what they make in a file of its own.
//!
//! Every error is found in one run and told with path, value, reason and hint ([`ConfigErrors`]). `brevbro check-config`
//! is [`load`], and so is the start. Only layer 6 knows this module: it fills the others' own options.

mod access_point;
mod at_rest;
mod audit;
mod check;
pub mod checked;
mod declare;
mod discovery;
mod environment;
mod errors;
mod files;
mod imap;
mod keys;
mod limits;
mod mail_in;
mod mail_servers;
mod organisations;
mod patience;
mod protection;
mod raw;
mod reference;
mod retention;
mod roles;
mod state;
mod store;
mod trust;
mod values;

use std::path::Path;

use jiff::Timestamp;

pub use crate::edge::reach::IpNetwork;
pub use checked::{
    AccessPoint, ClientTls, Database, DeliverySecurity, Discovery, Flag, Gateway, History, Imap, ImapAccess, Inbox, InlineImages, Log, LogFormat,
    LogLevel, Mail, MailServer, Mailbox, Oauth2, Organisation, OtherRecipients, Outbox, Participant, PersonPolicy, Retry, Revocation,
    RevocationOrder, Role, SenderAccessPoint, ServerTls, SignedMail, Smtp, StateStore, StaticParticipant, SuccessNotice, TrustAnchors, Warning,
};
pub use environment::Environment;
pub use errors::{ConfigError, ConfigErrors};
pub use files::Secret;
pub use reference::{default_of, reference};
pub use state::{State, state};
pub use values::HttpUrl;

/// Reads the file and all files that it names, and checks everything as of now.
///
/// # Errors
/// [`ConfigErrors`]: all there are.
pub fn load(path: &Path) -> Result<Gateway, ConfigErrors> {
    load_at(path, Timestamp::now())
}

/// As [`load`], with the moment at which certificates must be valid.
///
/// # Errors
/// [`ConfigErrors`]: all there are.
pub fn load_at(path: &Path, now: Timestamp) -> Result<Gateway, ConfigErrors> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return Err(ConfigErrors::one(path, ConfigError::new("", format!("cannot be read: {error}")))),
    };
    let base = path.parent().unwrap_or(Path::new(""));
    match parse(&text, base, now) {
        Ok(gateway) => Ok(Gateway { file: path.to_owned(), ..gateway }),
        Err(errors) => Err(ConfigErrors { file: path.to_owned(), errors }),
    }
}

/// The configuration out of a text; files that it names are sought from `base`.
fn parse(text: &str, base: &Path, now: Timestamp) -> Result<Gateway, Vec<ConfigError>> {
    let mut table: toml::Table = text.parse().map_err(|error| vec![errors::syntax(text, &error)])?;
    let mut errors = declare::Errors::default();
    let role = roles::divide(&mut table, &mut errors);
    store::divide(&table, &mut errors);
    let raw = declare::read_root::<raw::Root>(table, &mut errors);
    errors.forgive(|path| !roles::is_needed(role, path));
    let gateway = raw.and_then(|raw| check::Checker::new(base, now, &mut errors).gateway(raw));
    match gateway {
        Some(gateway) if errors.is_empty() => Ok(gateway),
        _ => Err(errors.into_sorted()),
    }
}
