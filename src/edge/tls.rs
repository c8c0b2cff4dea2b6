//! TLS 1.2 and 1.3 for every edge: what rustls needs, made out of our own keys and certificates.
//!
//! The provider is named (aws-lc-rs), so that no process-wide default decides. Certificates of other machines are
//! judged by rustls alone: chain, name, validity. Whether a client certificate may do something is its receiver's affair.

use std::sync::Arc;

use rustls::client::{WantsClientCert, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, SupportedProtocolVersion};
use zeroize::Zeroizing;

use crate::crypto::{Certificate, Identity, IdentityError, KeyPair};

/// Newest first; rustls has nothing older (SDK C3.2.1 2.4).
const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The PEM text has no private key, or one that is encrypted.
    #[error("there is no readable private key in it")]
    NoKey,
    /// The PEM text has no certificate.
    #[error("there is no readable certificate in it")]
    NoCertificate,
    /// The private key cannot be taken out of its identity.
    #[error("the private key cannot be used")]
    Key(#[source] IdentityError),
    /// Certificates are to be judged but there is no CA to judge them by.
    #[error("there are no CA certificates to judge the other side by")]
    NoRoots,
    /// A configured CA certificate is none that rustls can anchor a chain in.
    #[error("the CA certificate {subject} cannot be an anchor")]
    Root {
        /// Its subject.
        subject: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// Key and certificate do not fit, or their kind is not supported.
    #[error("rustls refuses the settings")]
    Refused(#[source] rustls::Error),
    /// The name is neither a host name nor an address.
    #[error("{0:?} is neither a host name nor an IP address")]
    Name(String),
}

/// A key and its certificates for TLS; unlike [`Identity`] the key may be of any kind that web CAs certify.
pub struct TlsIdentity {
    key: Zeroizing<Vec<u8>>,
    /// The own certificate, then the intermediates.
    chain: Vec<CertificateDer<'static>>,
}

impl TlsIdentity {
    /// Reads a PEM text that holds an unencrypted private key and the certificates, the key's own first.
    ///
    /// # Errors
    /// [`TlsError::NoKey`], [`TlsError::NoCertificate`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, TlsError> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::NoKey)?;
        // Any of the three forms; rustls tells them apart again when it loads the key.
        let key = Zeroizing::new(key.secret_der().to_vec());
        let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| TlsError::NoCertificate)?;
        if chain.is_empty() { Err(TlsError::NoCertificate) } else { Ok(Self { key, chain }) }
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::try_from(self.key.to_vec()).map_err(|_| TlsError::NoKey)
    }
}

impl TryFrom<&Identity> for TlsIdentity {
    type Error = TlsError;
    fn try_from(identity: &Identity) -> Result<Self, TlsError> {
        let chain = std::iter::once(&identity.certificate).chain(&identity.chain).map(der).collect();
        Ok(Self { key: identity.key.to_pkcs8().map_err(TlsError::Key)?, chain })
    }
}

impl TryFrom<&KeyPair> for TlsIdentity {
    type Error = TlsError;
    fn try_from(pair: &KeyPair) -> Result<Self, TlsError> {
        let chain = std::iter::once(&pair.certificate).chain(&pair.chain).map(der).collect();
        Ok(Self { key: pair.to_pkcs8().map_err(TlsError::Key)?, chain })
    }
}

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TlsIdentity({} certificates)", self.chain.len())
    }
}

/// Whether a server asks its clients for certificates, and by which CAs it judges them.
#[derive(Debug, Clone, Copy)]
pub enum ClientAuth<'a> {
    /// It does not ask.
    None,
    /// It asks; a client may have none, but one that it shows must be good.
    Optional(&'a [Certificate]),
    /// It asks and refuses a client without a good one.
    Required(&'a [Certificate]),
}

/// By which CAs a client judges servers.
#[derive(Debug, Clone, Copy)]
pub enum Roots<'a> {
    /// The operating system's, which on Debian are Mozilla's.
    System,
    /// These and no others.
    Only(&'a [Certificate]),
}

/// A server's side of TLS.
///
/// # Errors
/// [`TlsError`] when the identity or the CAs cannot be used.
pub fn server_config(identity: &TlsIdentity, clients: ClientAuth<'_>) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS).map_err(TlsError::Refused)?;
    let builder = match client_verifier(clients)? {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    builder.with_single_cert(identity.chain.clone(), identity.key()?).map(Arc::new).map_err(TlsError::Refused)
}

/// The judge of clients' certificates; `None` when nobody asks for them.
///
/// # Errors
/// [`TlsError`] when the CAs cannot be used.
pub fn client_verifier(clients: ClientAuth<'_>) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let (ClientAuth::Optional(roots) | ClientAuth::Required(roots)) = clients else { return Ok(None) };
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store(roots)?), provider());
    let verifier = if matches!(clients, ClientAuth::Optional(_)) { verifier.allow_unauthenticated() } else { verifier };
    verifier.build().map(Some).map_err(|error| TlsError::Refused(rustls::Error::General(error.to_string())))
}

/// A client's side of TLS; with an identity it shows that to servers that ask.
///
/// # Errors
/// [`TlsError`] when the identity or the CAs cannot be used.
pub fn client_config(roots: Roots<'_>, identity: Option<&TlsIdentity>) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = match roots {
        Roots::Only(roots) => store(roots)?,
        Roots::System => system_store()?,
    };
    let builder: ConfigBuilder<ClientConfig, WantsClientCert> =
        ClientConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS).map_err(TlsError::Refused)?.with_root_certificates(roots);
    let config = match identity {
        Some(identity) => builder.with_client_auth_cert(identity.chain.clone(), identity.key()?).map_err(TlsError::Refused)?,
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// The name that a server's certificate must bear: a host name, or an address without brackets.
///
/// # Errors
/// [`TlsError::Name`] when it is neither.
pub fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))
}

/// Whether clients find this host, a name or an address without brackets, in a server's certificate.
#[must_use]
pub fn bears_name(certificate: &Certificate, host: &str) -> bool {
    let der = der(certificate);
    let (Ok(name), Ok(parsed)) = (server_name(host), ParsedCertificate::try_from(&der)) else { return false };
    verify_server_name(&parsed, &name).is_ok()
}

/// What the other side showed in the handshake: its certificate, verified, then whatever intermediates it sent along.
/// Empty when it showed none.
#[must_use]
pub fn shown(chain: Option<&[CertificateDer<'_>]>) -> Vec<Certificate> {
    // One that openssl cannot read although rustls verified it ends the list: what follows it belongs to it.
    chain.unwrap_or_default().iter().map_while(|der| Certificate::from_der(der).ok()).collect()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn der(certificate: &Certificate) -> CertificateDer<'static> {
    CertificateDer::from(certificate.der().to_vec())
}

fn store(roots: &[Certificate]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(der(root)).map_err(|source| TlsError::Root { subject: root.subject(), source })?;
    }
    if store.is_empty() { Err(TlsError::NoRoots) } else { Ok(store) }
}

fn system_store() -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    // Some file of a system's store is often odd; what counts is that there are usable ones.
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() { Err(TlsError::NoRoots) } else { Ok(store) }
}
