//! A message as it was captured: an HTTP request or response with its headers, a MIME body, or a SOAP envelope.

use super::super::CliError;
use crate::as4::SOAP_TYPE;

/// A message as it was captured.
pub(super) struct Captured<'f> {
    /// The request or status line; empty without one.
    pub(super) first_line: String,
    pub(super) content_type: String,
    pub(super) body: std::borrow::Cow<'f, [u8]>,
}

impl<'f> Captured<'f> {
    pub(super) fn of(file: &'f [u8], given: Option<&str>) -> Result<Self, CliError> {
        let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        let blank = file.iter().take_while(|octet| octet.is_ascii_whitespace()).count();
        let start = file.get(blank..).unwrap_or_default();
        let plain = |content_type: String| Self { first_line: String::new(), content_type, body: file.into() };
        if start.starts_with(b"<") || start.starts_with(b"\xef\xbb\xbf<") {
            return Ok(plain(given.unwrap_or(SOAP_TYPE).to_owned()));
        }
        if start.starts_with(b"--") {
            let end = start.iter().position(|octet| matches!(octet, b'\r' | b'\n')).unwrap_or(start.len());
            let boundary = String::from_utf8_lossy(start.get(2..end).unwrap_or_default()).trim_end().to_owned();
            return Ok(plain(given.map_or_else(|| format!("multipart/related; boundary=\"{boundary}\""), str::to_owned)));
        }
        let find = |needle: &[u8]| file.windows(needle.len()).position(|window| window == needle).map(|at| (at, at + needle.len()));
        let (Some((end, body)), None | Some(_)) = (find(b"\r\n\r\n").or_else(|| find(b"\n\n")), given) else {
            return Err(CliError::failure("the file holds neither HTTP headers, nor MIME, nor SOAP"));
        };
        let headers = String::from_utf8_lossy(file.get(..end).unwrap_or_default()).replace("\r\n ", " ").replace("\r\n\t", " ");
        let header = |name: &str| {
            headers
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(own, _)| own.trim().eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim())
        };
        let body = file.get(body..).unwrap_or_default();
        let chunked = header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        let body = if chunked { unchunked(body).map_or(body.into(), Into::into) } else { body.into() };
        Ok(Self {
            first_line: headers.lines().next().filter(|line| line.contains("HTTP/")).unwrap_or_default().to_owned(),
            content_type: given.or(header("content-type")).unwrap_or_default().to_owned(),
            body,
        })
    }
}

/// A body without its chunks (RFC 9112 7.1); `None` when it has none, as some programs write it down.
fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..end)?).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = rest.get(end + 2..)?;
        if size == 0 {
            return Some(out);
        }
        out.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}
