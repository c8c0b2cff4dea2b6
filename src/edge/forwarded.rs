//! Behind a reverse proxy: who may be one, and what it says of its client's certificate.
//!
//! The proxy ends TLS and hands the certificate on in a header. Only a connection from one of the named addresses is served
//! at all, so no one else can write that header, and the certificate is verified here again: a proxy that asks for
//! certificates without checking them lets nobody in.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use base64::prelude::*;
use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;

use super::reach::IpNetwork;
use super::serving::{Peer, PeerTls};
use super::tls::{ClientAuth, TlsError, client_verifier, shown};

/// Where RFC 9440 puts the certificates above the client's own.
const CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
const ADDRESSES: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Octets of one header that are looked at; a certificate with a 4096-bit key has about 3 kB, escaped 4.
const LONGEST: usize = 24 * 1024;
/// Certificates above the client's own.
const LINKS: usize = 8;

/// Reverse proxies that are believed.
#[derive(Debug, Clone)]
pub struct Proxies {
    from: Vec<IpNetwork>,
    header: HeaderName,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

/// Why a request that a proxy handed on is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardedError {
    /// The header stands several times, or holds no certificate: the proxy is not set up as it should be.
    #[error("the header {0} holds no certificate that can be read")]
    Unreadable(HeaderName),
    /// There is no certificate, and one is required.
    #[error("the client showed no certificate")]
    Missing,
    /// The certificate is none of the configured CAs', or not valid.
    #[error("the client's certificate is not accepted: {0}")]
    Refused(String),
}

impl Proxies {
    /// Proxies at these addresses that write the client's certificate into this header.
    ///
    /// # Errors
    /// [`TlsError`] when the CAs cannot be used.
    pub fn new(from: Vec<IpNetwork>, header: HeaderName, clients: ClientAuth<'_>) -> Result<Self, TlsError> {
        Ok(Self { from, header, verifier: client_verifier(clients)? })
    }

    /// Whether a connection from there is a proxy's.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.from.iter().any(|network| network.contains(address))
    }

    /// Who is behind the proxy, by the headers of a request.
    ///
    /// # Errors
    /// [`ForwardedError`].
    pub fn client(&self, proxy: &Peer, headers: &HeaderMap) -> Result<Peer, ForwardedError> {
        let address = client_address(headers).map_or(proxy.address, |address| SocketAddr::new(address, 0));
        let Some(verifier) = &self.verifier else { return Ok(Peer { address, tls: None }) };
        let Some(certificate) = self.certificate(headers)? else {
            return if verifier.client_auth_mandatory() { Err(ForwardedError::Missing) } else { Ok(Peer { address, tls: None }) };
        };
        let mut chain = vec![certificate];
        chain.extend(intermediates(headers).ok_or(ForwardedError::Unreadable(CHAIN))?);
        let (own, above) = chain.split_first().ok_or(ForwardedError::Missing)?;
        verifier.verify_client_cert(own, above, UnixTime::now()).map_err(|error| ForwardedError::Refused(error.to_string()))?;
        Ok(Peer { address, tls: Some(PeerTls { version: String::new(), cipher: String::new(), certificates: shown(Some(&chain)) }) })
    }

    fn certificate(&self, headers: &HeaderMap) -> Result<Option<CertificateDer<'static>>, ForwardedError> {
        let unreadable = || ForwardedError::Unreadable(self.header.clone());
        let mut values = headers.get_all(&self.header).iter();
        let (value, more) = (values.next(), values.next());
        if more.is_some() {
            return Err(unreadable());
        }
        let text = value.map(|value| value.to_str().map_err(|_| unreadable())).transpose()?.map(str::trim).unwrap_or_default();
        // Apache writes `(null)` where there is nothing.
        if text.is_empty() || text == "(null)" { Ok(None) } else { certificate(text).ok_or_else(unreadable).map(Some) }
    }
}

/// The last address that stands there: the one that the proxy itself has written.
fn client_address(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all(&ADDRESSES).iter().next_back()?.to_str().ok()?.rsplit(',').next()?.trim();
    last.parse::<IpAddr>().ok().or_else(|| last.parse::<SocketAddr>().ok().map(|address| address.ip())).map(|ip| ip.to_canonical())
}

/// Reads a certificate however proxies write it: `:base64:` (RFC 9440 2.1), base64 of DER (HAProxy), PEM with its line ends
/// escaped (nginx), or turned into blanks or tabs (Apache).
fn certificate(text: &str) -> Option<CertificateDer<'static>> {
    if text.len() > LONGEST {
        return None;
    }
    // Base64's plus signs stay what they are.
    let plain = percent_decode_str(text).decode_utf8().ok()?;
    let plain = plain.trim();
    let base64 = if let Some(inner) = plain.strip_prefix("-----BEGIN CERTIFICATE-----") {
        inner.split_once("-----END CERTIFICATE-----").filter(|(_, rest)| rest.trim().is_empty())?.0
    } else if let Some(inner) = plain.strip_prefix(':') {
        inner.strip_suffix(':')?
    } else {
        plain
    };
    let compact: String = base64.split_ascii_whitespace().collect();
    let der = BASE64_STANDARD.decode(compact).ok().filter(|der| !der.is_empty())?;
    Some(CertificateDer::from(der))
}

/// The certificates above, as RFC 9440 2.2 lists them; they help to find the way to a CA and are not trusted themselves.
fn intermediates(headers: &HeaderMap) -> Option<Vec<CertificateDer<'static>>> {
    let mut chain = Vec::new();
    for value in headers.get_all(&CHAIN) {
        for item in value.to_str().ok()?.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            chain.push(certificate(item)?);
        }
        if chain.len() > LINKS {
            return None;
        }
    }
    Some(chain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const DER: &[u8] = b"0\x82\x01>>>???certificate that is longer than one line of PEM, which has sixty-four characters";

    #[test]
    fn a_certificate_is_read_however_proxies_write_it() {
        let base64 = BASE64_STANDARD.encode(DER);
        assert!(base64.contains('+') && base64.contains('/'), "{base64}");
        let lines = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>();
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
        let escaped = |digits: fn(u32) -> String| -> String {
            pem.chars().map(|c| if matches!(c, '\n' | '+' | '/' | '=' | ' ') { digits(c as u32) } else { c.to_string() }).collect()
        };
        let (upper, lower) = (escaped(|c| format!("%{c:02X}")), escaped(|c| format!("%{c:02x}")));
        for text in [base64.clone(), format!(":{base64}:"), upper, lower, pem.replace('\n', " "), pem.replace('\n', "\t")] {
            assert_eq!(certificate(&text).as_deref(), Some(DER), "{text}");
        }
        for text in [
            "",
            ":",
            "::",
            "a",
            ":AAAA",
            "%",
            "%4",
            "%zz",
            "%FF",
            "-----BEGIN CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----AAAA",
            "AAAA BBB!",
        ] {
            assert_eq!(certificate(text), None, "{text}");
        }
        assert_eq!(certificate(&"A".repeat(LONGEST + 4)), None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_stands_in_the_header_is_read_or_refused(text in "[%:A-Za-z0-9+/= \t\n-]{0,200}", der in proptest::collection::vec(0u8.., 1..400)) {
            if let Some(read) = certificate(&text) {
                assert!(!read.is_empty());
            }
            let base64 = BASE64_STANDARD.encode(&der);
            assert_eq!(certificate(&format!(":{base64}:")).as_deref(), Some(&der[..]));
        }
    }

    #[test]
    fn the_last_address_is_the_proxys_own_word() {
        let headers = |values: &[&'static str]| values.iter().map(|value| (ADDRESSES, HeaderValue::from_static(value))).collect::<HeaderMap>();
        let address = |values: &[&'static str]| client_address(&headers(values)).map(|ip| ip.to_string());
        assert_eq!(address(&["192.0.2.1, 198.51.100.7"]).as_deref(), Some("198.51.100.7"));
        assert_eq!(address(&["10.0.0.1", "2001:db8::1"]).as_deref(), Some("2001:db8::1"));
        assert_eq!(address(&["[2001:db8::1]:443"]).as_deref(), Some("2001:db8::1"));
        assert_eq!(address(&["::ffff:192.0.2.9"]).as_deref(), Some("192.0.2.9"));
        assert_eq!((address(&[]), address(&["unknown"]), address(&["1.2.3.4, "])), (None, None, None));
    }
}
