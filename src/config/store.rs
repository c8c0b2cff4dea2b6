//! Where messages are kept: on this machine, or in a database that several nodes share.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::check::Checker;
use super::declare::{Errors, section};
use super::errors::ConfigError;
use super::files::Secret;
use super::keys::KeyFiles;
use super::raw;
use super::values::{Host, Line, SecretFile, Size, Span, is_loopback_host, words};
use crate::edge::tls::{Roots, client_config};
use crate::store::Reserve;

words! {
    /// Where messages are kept.
    pub(super) StoreKind {
        /// In files on this machine.
        Local = "local",
        /// In PostgreSQL.
        Postgresql = "postgresql",
    }
    /// How connections to a database are kept secret.
    pub(super) StoreTls {
        /// TLS, and the certificate is judged and bears the host's name.
        VerifyFull = "verify-full",
        /// Not at all.
        None = "none",
    }
}

section! {
    /// Where messages, jobs and the journal are kept.
    Store {
        /// `local`, files in `state-dir`, for a gateway of one node; or `postgresql`, a database that several nodes share
        /// (`docs/postgresql.md`). `reserve` is for `local`, the options below it are for `postgresql`.
        kind: StoreKind = Default "\"local\"";
        /// Space that is kept free where `state-dir` is; left out, 256 MB. With less, nothing new is taken in: SMTP answers
        /// `452 4.3.1` and AS4 503, mails stay in their outbox folders, all are tried again, and the operator gets a mail. What was
        /// taken in before goes on until a quarter of it is left; then everything waits. When there is room again, all goes on
        /// by itself. Where inodes are limited, one for each 64 KiB of it is kept as well. At least 16 MiB.
        reserve: Size = Optional "\"1 GB\"";
        /// The database servers: names or addresses. Of several, the one that takes changes is used, also after a switch-over.
        host: Vec<Host> = Optional "[\"db1.habo.se\", \"db2.habo.se\"]";
        /// In the place of `host`: the folder of the server's socket on this machine.
        socket: PathBuf = Optional "\"/run/postgresql\"";
        /// The port, with a socket too.
        port: u16 = Default "5432";
        /// The database.
        database: Line = Default "\"brevbro\"";
        /// The role that connects.
        user: Line = Default "\"brevbro\"";
        /// The file that holds its password.
        password_file: SecretFile = Optional "\"/etc/brevbro/database.password\"";
        /// `verify-full`: TLS, and the server's certificate is of a trusted CA and bears the name that stands in `host`. `none`: in
        /// the clear, on this machine only.
        tls: StoreTls = Optional "\"verify-full\"";
        /// CAs that the server's certificate is judged by (PEM). Left out, those of the system.
        ca: Vec<PathBuf> = Optional "[\"/etc/brevbro/database-ca.pem\"]";
        /// A client certificate: its key, PKCS#12 or PEM.
        key: SecretFile = Optional "\"/etc/brevbro/database-client.p12\"";
        /// The file that holds the key's password.
        key_password_file: SecretFile = Optional "\"/etc/brevbro/database-client.password\"";
        /// The client certificate (PEM), when it is not in the key's file.
        certificate: PathBuf = Optional "\"/etc/brevbro/database-client.pem\"";
        /// The schema that holds the tables; made at the first start, if the role may.
        schema: SchemaName = Default "\"brevbro\"";
        /// Connections at once; one more listens. All nodes together must stay below the server's `max_connections`.
        max_connections: u32 = Default "10";
        /// How long a connection may take to be made, or to become free.
        connect_timeout: Span = Default "\"5s\"";
        /// How long one attempt at a statement or a transaction may take.
        statement_timeout: Span = Default "\"30s\"";
        /// How long a call goes on trying while the database is away. After that mail is answered with 451 and AS4 with 503.
        patience: Span = Default "\"20s\"";
    }
}

/// The name of a schema that needs no quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SchemaName(pub(super) String);

/// What keeps messages, jobs and the journal.
#[derive(Debug)]
pub enum StateStore {
    /// Files in the state folder, beside which so much stays free.
    Local(Reserve),
    /// A database that several nodes share.
    Postgresql(Database),
}

/// A database in PostgreSQL.
#[derive(Debug)]
pub struct Database {
    /// Names and addresses of its servers, or the folder of a socket.
    pub hosts: Vec<String>,
    /// The port of each.
    pub port: u16,
    /// Its name.
    pub database: String,
    /// Who connects.
    pub user: String,
    /// The password of whoever connects.
    pub password: Option<Secret>,
    /// How connections are secret; none on this machine.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The schema.
    pub schema: String,
    /// Connections at once.
    pub max_connections: u32,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long one attempt may take.
    pub statement_timeout: Duration,
    /// How long a call goes on trying.
    pub patience: Duration,
}

impl FromStr for SchemaName {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let begins = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        // NOTIFY's channel has eight characters more, and PostgreSQL takes 63.
        if begins && text.len() <= 50 && text.bytes().all(sound) && !text.starts_with("pg_") { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

/// Refuses what goes with the other kind of store only. This is decided on the table as it was written: an option with a default
/// is there only if somebody wrote it.
pub(super) fn divide(table: &toml::Table, errors: &mut Errors) {
    let at = |section: &str, key: &str| table.get(section).and_then(|section| section.get(key));
    if at("store", "kind").and_then(toml::Value::as_str) != Some("postgresql") {
        return;
    }
    if at("node", "name").is_none() {
        let hint = "each node has a name of its own, such as its host's: leases, turns and the journal tell nodes apart by it";
        errors.push(ConfigError::new("node.name", "is missing, with store.kind = \"postgresql\"").hint(hint));
    }
    for key in ["segment-size", "segment-age"] {
        if at("audit", key).is_some() {
            let hint = "remove it: the journal in a database is a table and has no segments";
            errors.push(ConfigError::new(format!("audit.{key}"), "is of a journal in files, and this one is in PostgreSQL").hint(hint));
        }
    }
}

impl Checker<'_> {
    pub(super) fn store(&mut self, raw: raw::Store) -> Option<StateStore> {
        if raw.kind? == StoreKind::Local {
            for (key, there) in [("host", raw.host.is_some()), ("socket", raw.socket.is_some()), ("password-file", raw.password_file.is_some())] {
                if there {
                    let hint = "say kind = \"postgresql\", or leave it out";
                    self.error(ConfigError::new(format!("store.{key}"), "is of a database, and messages are kept on this machine").hint(hint));
                }
            }
            return Some(StateStore::Local(self.reserve(raw.reserve.map(|size| size.0))?));
        }
        if let Some(Size(octets)) = raw.reserve {
            let hint = "leave it out: how much room the database has is seen to there";
            self.error(
                ConfigError::new("store.reserve", "is of files on this machine, and messages are kept in a database").value(octets).hint(hint),
            );
        }
        let hosts = self.hosts(raw.host, raw.socket)?;
        let here = hosts.iter().all(|host| host.starts_with('/') || is_loopback_host(host));
        let secret = match raw.tls {
            Some(StoreTls::None) if !here => {
                let hint = "use verify-full: bodies and passwords would cross the network";
                self.error(ConfigError::new("store.tls", "would send messages in the clear to another machine").text("none").hint(hint));
                return None;
            }
            Some(StoreTls::VerifyFull) if hosts.iter().any(|host| host.starts_with('/')) => {
                self.error(ConfigError::new("store.tls", "does not go with a socket").hint("leave it out: a socket does not leave the machine"));
                return None;
            }
            Some(tls) => tls == StoreTls::VerifyFull,
            None => !here,
        };
        let password = match raw.password_file {
            Some(file) => Some(self.password("store.password-file", &file)?),
            None => None,
        };
        let ca = match raw.ca {
            Some(paths) => Some(self.certificates("store.ca", paths)?),
            None => None,
        };
        let identity = match raw.key {
            Some(key) => {
                let files = KeyFiles { key: Some(key), password: raw.key_password_file, certificate: raw.certificate };
                Some(self.tls_identity("store", files)?.0)
            }
            None => None,
        };
        let roots = ca.as_deref().map_or(Roots::System, Roots::Only);
        let tls = if secret { Some(self.tls_built("store.tls", client_config(roots, identity.as_ref()))?) } else { None };
        Some(StateStore::Postgresql(Database {
            hosts,
            port: raw.port?,
            database: raw.database?.0,
            user: raw.user?.0,
            password,
            tls,
            schema: raw.schema?.0,
            max_connections: raw.max_connections?,
            connect_timeout: raw.connect_timeout?.0,
            statement_timeout: raw.statement_timeout?.0,
            patience: raw.patience?.0,
        }))
    }

    /// What stays free beside files.
    fn reserve(&mut self, octets: Option<u64>) -> Option<Reserve> {
        let reserve = octets.map_or_else(Reserve::default, Reserve::of);
        if reserve.octets() < Reserve::LEAST.octets() {
            let hint = "leave it out for 256 MB";
            self.error(ConfigError::new("store.reserve", "is less than 16 MiB").value(reserve.octets()).hint(hint));
            return None;
        }
        Some(reserve)
    }

    /// Names and addresses, or the folder of a socket.
    fn hosts(&mut self, hosts: Option<Vec<Host>>, socket: Option<PathBuf>) -> Option<Vec<String>> {
        let hosts: Vec<String> = hosts.unwrap_or_default().into_iter().map(|host| host.0).collect();
        match (socket, hosts.is_empty()) {
            (None, false) => Some(hosts),
            (Some(socket), true) if socket.is_absolute() => Some(vec![socket.to_str()?.to_owned()]),
            (Some(_), true) => {
                self.error(ConfigError::new("store.socket", "is not a whole path").hint("the folder, such as /run/postgresql"));
                None
            }
            (Some(_), false) => {
                self.error(ConfigError::new("store.socket", "stands beside store.host: one of them"));
                None
            }
            (None, true) => {
                self.error(
                    ConfigError::new("store.host", "is missing").hint("name the database servers, or the folder of the socket in store.socket"),
                );
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_a_plain_name() {
        for good in ["brevbro", "b", "brev_bro2"] {
            assert_eq!(good.parse(), Ok(SchemaName(good.into())));
        }
        for bad in ["", "Brevbro", "2b", "a-b", "a b", "a\"b", "pg_x", "å", &"a".repeat(51)] {
            assert_eq!(bad.parse::<SchemaName>(), Err(()), "{bad}");
        }
    }
}
