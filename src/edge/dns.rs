//! NAPTR look-ups at configured resolvers or the system's.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as NetDnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};

use crate::smp::Naptr;

/// The resolver's options.
#[derive(Debug, Clone)]
pub struct DnsOptions {
    /// The resolvers to ask; none means those of the system.
    pub resolvers: Vec<SocketAddr>,
    /// For one question to one resolver. Default 3 s.
    pub timeout: Duration,
    /// How often a question is asked again. Default 2.
    pub attempts: usize,
}

impl Default for DnsOptions {
    fn default() -> Self {
        Self { resolvers: Vec::new(), timeout: Duration::from_secs(3), attempts: 2 }
    }
}

/// Why there are no records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The zone says that there is no such name, or no such record.
    #[error("there is no such record")]
    Absent,
    /// Nobody said anything that can be relied on.
    #[error("{0}")]
    Unavailable(String),
    /// The resolver cannot be set up.
    #[error("the resolver cannot be set up: {0}")]
    Setup(String),
}

/// Asks for NAPTR records and keeps nothing: the directory has the one cache, or its answers would be old twice over.
#[derive(Clone)]
pub struct Dns {
    resolver: TokioResolver,
}

impl Dns {
    /// A resolver with these options.
    ///
    /// # Errors
    /// [`DnsError::Setup`].
    pub fn new(options: &DnsOptions) -> Result<Self, DnsError> {
        let setup = |error: NetError| DnsError::Setup(error.to_string());
        let mut builder = if options.resolvers.is_empty() {
            TokioResolver::builder_tokio().map_err(setup)?
        } else {
            let servers = options.resolvers.iter().map(|address| {
                let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
                (udp.port, tcp.port) = (address.port(), address.port());
                NameServerConfig::new(address.ip(), true, vec![udp, tcp])
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let settings: &mut ResolverOpts = builder.options_mut();
        settings.timeout = options.timeout;
        settings.attempts = options.attempts;
        settings.cache_size = 0;
        settings.use_hosts_file = ResolveHosts::Never;
        settings.try_tcp_on_error = true;
        Ok(Self { resolver: builder.build().map_err(setup)? })
    }

    /// The NAPTR records of an absolute name.
    ///
    /// # Errors
    /// [`DnsError::Absent`] when the zone says so; [`DnsError::Unavailable`] when nobody does.
    pub async fn naptr(&self, name: &str) -> Result<Vec<Naptr>, DnsError> {
        // With the final dot no search list is tried.
        let found = self.resolver.lookup(format!("{name}."), RecordType::NAPTR).await.map_err(|error| meaning(&error))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let records = found.answers().iter().filter_map(|record| match &record.data {
            RData::NAPTR(naptr) => Some(Naptr {
                order: naptr.order,
                preference: naptr.preference,
                flags: text(&naptr.flags),
                service: text(&naptr.services),
                regexp: text(&naptr.regexp),
            }),
            _ => None,
        });
        Ok(records.collect())
    }
}

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dns").finish_non_exhaustive()
    }
}

/// NXDOMAIN, and an empty answer that a zone vouches for with its SOA (RFC 2308 2.2), say that there is nothing. An empty
/// answer without SOA may come from a server that does not know.
fn meaning(error: &NetError) -> DnsError {
    match error {
        NetError::Dns(NetDnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => DnsError::Absent,
            ResponseCode::NoError if none.soa.is_some() => DnsError::Absent,
            code => DnsError::Unavailable(format!("an empty answer ({code})")),
        },
        other => DnsError::Unavailable(other.to_string()),
    }
}
