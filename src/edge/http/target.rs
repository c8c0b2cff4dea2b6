//! Which addresses a request may name.

use http::Uri;

use super::{HttpError, HttpOptions, PlainHttp};

/// An address that may be connected to.
pub(super) struct Target {
    pub(super) secure: bool,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) authority: String,
    pub(super) path: String,
}

impl Target {
    pub(super) fn read(url: &str, options: &HttpOptions) -> Result<Self, HttpError> {
        let refused = |why: &str| HttpError::Refused(why.into());
        let uri: Uri = url.parse().map_err(|_| refused("it is no URL"))?;
        let secure = match uri.scheme_str() {
            Some("https") if options.tls.is_some() => true,
            Some("https") => return Err(refused("TLS is not set up here")),
            Some("http") if options.plain != PlainHttp::Never => false,
            Some("http") => return Err(refused("http is not allowed, only https")),
            _ => return Err(refused("it is neither https nor http")),
        };
        let authority = uri.authority().ok_or_else(|| refused("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("it carries a user name"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(refused("it names no host"));
        }
        if is_odd(&host) {
            return Err(refused("its host is a number, neither a name nor an address in its usual form"));
        }
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { secure, host, port, authority: authority.as_str().to_owned(), path })
    }
}

/// Whether a host is one of the spellings of an address that only some programs understand: `2130706433`, `0x7f.1`,
/// `0177.0.0.1`, `127.1`, or IPv6 with a zone. What different readers understand differently is refused.
fn is_odd(host: &str) -> bool {
    if host.parse::<std::net::IpAddr>().is_ok() {
        return false;
    }
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    is_number || hexadecimal.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit())) || host.contains(['%', ':'])
}
