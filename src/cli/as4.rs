//! `brevbro as4 inspect`: what a captured AS4 message holds, and whether it holds true, for an operator and the peer's
//! support. A payload is decrypted to see whether it can be; what it says is never printed.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::CliError;
use crate::as4::inspect::{Contents, DigestFound, FoundPart, FoundSignal, FoundSignature, Inspection, inspect};
use crate::as4::receive::{Context, Options, open};
use crate::as4::{Code, EbmsError, Header, PMode, Party, SOAP_TYPE, Severity};
use crate::crypto::{Certificate, Identity, KeyReference};
use crate::ident::AccessPointId;
use crate::sdk::seal;

/// Octets of a file that is looked into.
const LARGEST: u64 = 300 << 20;

/// The arguments of `brevbro as4`.
#[derive(Debug, Args)]
pub struct As4Args {
    /// What to do.
    #[command(subcommand)]
    command: As4Command,
}

#[derive(Debug, Subcommand)]
enum As4Command {
    /// Says what a captured message holds and whether it verifies and decrypts; never what the payload says.
    Inspect(InspectArgs),
}

/// The arguments of `brevbro as4 inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// An HTTP request or response with its headers, a MIME body, or a SOAP envelope.
    file: PathBuf,
    /// A private key with its certificate, PKCS#12 or PEM: the receiving access point's, and the participant's to open the
    /// envelope (XHE) inside. May be given several times.
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// A file with a password: one for all keys, or one for each. May be given several times.
    #[arg(long, value_name = "FILE")]
    password_file: Vec<PathBuf>,
    /// A certificate that the message may name without bringing it along. May be given several times.
    #[arg(long, value_name = "FILE")]
    cert: Vec<PathBuf>,
    /// The Content-Type, where the file has no HTTP headers.
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Prints JSON: one object with a list of sections.
    #[arg(long)]
    json: bool,
}

/// Runs a subcommand of `as4`.
///
/// # Errors
/// [`CliError`] when a file cannot be read or holds no message; a message that does not verify is a report, no error.
pub fn run(args: As4Args) -> Result<(), CliError> {
    let As4Command::Inspect(args) = args.command;
    let keys = Keys::read(&args)?;
    if fs::metadata(&args.file).map_err(|error| cannot_read(&args.file, &error))?.len() > LARGEST {
        return Err(CliError::usage(format!("{} is larger than any AS4 message", args.file.display())));
    }
    let file = fs::read(&args.file).map_err(|error| cannot_read(&args.file, &error))?;
    let report = report(&file, args.content_type.as_deref(), &keys, Timestamp::now())?;
    let text = if args.json { report.json() } else { report.text() };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn cannot_read(path: &Path, error: &std::io::Error) -> CliError {
    CliError::usage(format!("cannot read {}: {error}", path.display()))
}

/// What messages are verified and decrypted with.
#[derive(Debug, Default)]
pub struct Keys {
    /// Access points' and participants' keys.
    pub own: Vec<Identity>,
    /// Certificates that a message may name.
    pub known: Vec<Certificate>,
}

impl Keys {
    fn read(args: &InspectArgs) -> Result<Self, CliError> {
        let read = |path: &PathBuf| fs::read(path).map_err(|error| cannot_read(path, &error));
        let mut passwords = Vec::new();
        for path in &args.password_file {
            let bytes = zeroize::Zeroizing::new(read(path)?);
            passwords.push(zeroize::Zeroizing::new(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned()));
        }
        let mut keys = Self::default();
        for path in &args.key {
            let bytes = zeroize::Zeroizing::new(read(path)?);
            let pem = bytes.windows(10).any(|window| window == b"-----BEGIN");
            let open = |password: Option<&str>| {
                if pem { Identity::from_pem(&bytes, password) } else { Identity::from_pkcs12(&bytes, password.unwrap_or_default()) }
            };
            let opened = passwords.iter().fold(open(None), |opened, password| opened.or_else(|_| open(Some(password.as_str()))));
            let hint = "give PKCS#12, or PEM with the key and its certificate in one file; --password-file names the file with its password";
            keys.own.push(opened.map_err(|error| CliError::usage(format!("{}: {error}", path.display())).hint(hint))?);
        }
        for path in &args.cert {
            keys.known.extend(Certificate::all_from(&read(path)?).map_err(|error| CliError::usage(format!("{}: {error}", path.display())))?);
        }
        Ok(keys)
    }

    fn find(&self, reference: &KeyReference) -> Option<Certificate> {
        self.known.iter().chain(self.own.iter().map(|own| &own.certificate)).find(|certificate| reference.names(certificate)).cloned()
    }
}

/// What is printed: sections of named values.
#[derive(Debug, Default)]
pub struct Report(Vec<Section>);

#[derive(Debug)]
struct Section {
    title: String,
    lines: Vec<(&'static str, String)>,
}

impl Report {
    fn section(&mut self, title: impl Into<String>) -> &mut Section {
        self.0.push(Section { title: title.into(), lines: Vec::new() });
        #[expect(clippy::expect_used, reason = "one was pushed just before")]
        self.0.last_mut().expect("a section")
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for section in &self.0 {
            if !text.is_empty() {
                text.push('\n');
            }
            let _ = writeln!(text, "{}", section.title);
            for (name, value) in &section.lines {
                let _ = writeln!(text, "  {name:<18}{value}");
            }
        }
        text
    }

    /// For programs: `{"sections":[{"title":…,"name":value,…}]}`; a name that stands several times has a list of values.
    #[must_use]
    pub fn json(&self) -> String {
        let section = |section: &Section| {
            let mut object = Map::from_iter([("title".to_owned(), Value::from(section.title.clone()))]);
            for (name, value) in &section.lines {
                match object.get_mut(*name) {
                    None => drop(object.insert((*name).to_owned(), Value::from(value.clone()))),
                    Some(Value::Array(all)) => all.push(Value::from(value.clone())),
                    Some(one) => *one = Value::Array(vec![one.take(), Value::from(value.clone())]),
                }
            }
            Value::Object(object)
        };
        let sections: Vec<Value> = self.0.iter().map(section).collect();
        format!("{:#}\n", serde_json::json!({ "sections": sections }))
    }
}

impl Section {
    /// Adds a value; control characters of a stranger never reach a terminal.
    fn line(&mut self, name: &'static str, value: impl AsRef<str>) -> &mut Self {
        let value: String = value.as_ref().chars().take(1000).map(|c| if c.is_control() { ' ' } else { c }).collect();
        if !value.is_empty() {
            self.lines.push((name, value));
        }
        self
    }

    fn certificate(&mut self, certificate: &Certificate, at: Timestamp) -> &mut Self {
        let validity = if certificate.is_valid_at(at) { "" } else { " (NOT VALID NOW)" };
        self.line("subject", certificate.subject());
        self.line("issuer", certificate.issuer());
        self.line("valid", format!("{} to {}{validity}", certificate.not_before(), certificate.not_after()));
        self.line("sha-256", certificate.fingerprint().to_string())
    }
}

/// Looks into a captured message.
///
/// # Errors
/// [`CliError`] when it holds no SOAP part that can be read.
pub fn report(file: &[u8], content_type: Option<&str>, keys: &Keys, at: Timestamp) -> Result<Report, CliError> {
    let captured = Captured::of(file, content_type)?;
    let known = |reference: &KeyReference| keys.find(reference);
    let scratch = tempfile::tempfile()?;
    let mut payload = Vec::new();
    let found = inspect(&captured.content_type, &mut &captured.body[..], &keys.own, &known, scratch, &mut payload).map_err(|refusal| {
        CliError::failure(refusal.cause)
            .hint("give an HTTP request or response with its headers, a MIME body with --content-type, or a SOAP envelope")
    })?;
    let mut report = Report::default();
    let section = report.section("capture");
    section.line("first line", &captured.first_line).line("content type", &captured.content_type).line("octets", captured.body.len().to_string());
    match &found.contents {
        Contents::User(header) => user(&mut report, header),
        Contents::Signal(signal) => signal_of(&mut report, signal),
        Contents::Other(what) => drop(report.section("no ebMS message").line("reads as", what)),
    }
    if let Some(error) = &found.structure {
        report.section("envelope").line("refused", error.to_string());
    }
    if let Some(signature) = &found.signature {
        signature_of(&mut report, signature, at);
    } else if found.structure.is_none() {
        report.section("signature").line("verdict", "not signed");
    }
    encryptions(&mut report, &found, keys);
    for part in &found.parts {
        part_of(&mut report, part, keys);
    }
    if let Some(why) = &found.package {
        report.section("package").line("ends early", why);
    }
    if let Contents::User(header) = &found.contents {
        verdict(&mut report, &captured, header, &found, keys, at);
        if let [FoundPart { payload: Ok(octets), .. }] = found.parts.as_slice()
            && *octets == payload.len() as u64
        {
            envelope(&mut report, &payload, keys, at);
        }
    }
    Ok(report)
}

fn user(report: &mut Report, header: &Header) {
    let section = report.section("user message");
    section.line("message id", header.message_id.as_str()).line("timestamp", header.timestamp.to_string());
    section.line("refers to", header.ref_to.as_ref().map_or("", |id| id.as_str()));
    let party = |party: &Party| {
        let ids: Vec<String> = party.ids.iter().map(|id| typed(&id.value, id.kind.as_deref())).collect();
        (ids.join(", "), party.role.clone())
    };
    let ((from, from_role), (to, to_role)) = (party(&header.from), party(&header.to));
    section.line("from", from).line("from role", from_role).line("to", to).line("to role", to_role);
    section.line("agreement", header.agreement.as_deref().unwrap_or_default());
    section.line("service", typed(&header.service.value, header.service.kind.as_deref())).line("action", &header.action);
    section.line("conversation", &header.conversation_id).line("mpc", header.mpc.as_deref().unwrap_or_default());
    for property in &header.properties {
        section.line("property", format!("{} = {}", property.name, typed(&property.value, property.kind.as_deref())));
    }
    for part in &header.parts {
        let properties: Vec<String> = part.properties.iter().map(|property| format!("{}={}", property.name, property.value)).collect();
        section.line("payload", format!("{} {}", part.href.as_deref().unwrap_or("(no href)"), properties.join(" ")));
    }
}

fn typed(value: &str, kind: Option<&str>) -> String {
    kind.map_or_else(|| value.to_owned(), |kind| format!("{value} ({kind})"))
}

fn signal_of(report: &mut Report, signal: &FoundSignal) {
    let section = report.section("signal message");
    section.line("message id", signal.message_id.as_str());
    section.line("refers to", signal.ref_to.as_ref().map_or("(nothing)", |id| id.as_str()));
    match &signal.receipt {
        Some(references) if references.is_empty() => drop(section.line("receipt", "without non-repudiation information: it proves nothing")),
        Some(references) => {
            section.line("receipt", format!("for {} references", references.len()));
            for reference in references {
                section.line("received", format!("{} {} {}", reference.uri, short(&reference.digest_method), reference.digest_value));
            }
        }
        None => {}
    }
    for error in &signal.errors {
        let severity = if error.severity == Severity::Failure { "failure" } else { "warning" };
        section.line("error", format!("{severity}: {error}"));
    }
}

/// What stands behind the `#` of an algorithm, or its whole URI.
fn short(uri: &str) -> &str {
    uri.rsplit_once('#').map_or(uri, |(_, name)| if name.is_empty() { uri } else { name })
}

fn named(reference: Option<&KeyReference>) -> String {
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().concat();
    match reference {
        None => "in no way that is known".into(),
        Some(KeyReference::Certificate(certificate)) => format!("certificate {}", certificate.subject()),
        Some(KeyReference::SubjectKeyIdentifier(id)) => format!("subject key identifier {}", hex(id)),
        Some(KeyReference::Thumbprint(digest)) => format!("SHA-1 thumbprint {}", hex(digest)),
        Some(KeyReference::IssuerSerial { issuer, serial }) => format!("issuer {issuer}, serial number {serial}"),
    }
}

fn signature_of(report: &mut Report, signature: &FoundSignature, at: Timestamp) {
    let section = report.section("signature");
    let verdict = match (&signature.refused, signature.value) {
        (None, _) => "verifies".to_owned(),
        (Some(error), _) => format!("DOES NOT VERIFY: {error}"),
    };
    section.line("verdict", verdict).line("algorithm", short(&signature.algorithm));
    section.line("canonicalisation", &signature.canonicalization);
    let value = match signature.value {
        Some(true) => "is the signer's",
        Some(false) => "IS NOT the signer's",
        None => "cannot be checked",
    };
    section.line("value", value).line("signer by", named(signature.named.as_ref()));
    match &signature.signer {
        Some(signer) => drop(section.certificate(signer, at)),
        None => drop(section.line("signer", "not known; --cert gives its certificate")),
    }
    for found in &signature.references {
        let digest = match &found.digest {
            DigestFound::Matches => "matches".to_owned(),
            DigestFound::Refused(why) => format!("DOES NOT HOLD: {why}"),
            DigestFound::Unknown => "cannot be checked".to_owned(),
        };
        section.line("reference", format!("{} {}: {digest}", found.reference.uri, short(&found.reference.digest_method)));
    }
}

fn encryptions(report: &mut Report, found: &Inspection, keys: &Keys) {
    for encryption in &found.encryptions {
        let section = report.section("encryption");
        section.line("of", &encryption.uri).line("algorithm", short(&encryption.algorithm)).line("key transport", short(&encryption.transport));
        match encryption.oaep {
            Some((digest, mask)) => drop(section.line("oaep", format!("digest {}, mask {}", short(digest), short(mask)))),
            None => drop(section.line("oaep", "parameters that are not accepted")),
        }
        section.line("for", named(encryption.recipient.as_ref()));
        let ours = match (&encryption.ours, &encryption.recipient) {
            (Some(certificate), _) => format!("given: {}", certificate.subject()),
            (None, reference) => match reference.as_ref().and_then(|reference| keys.find(reference)) {
                Some(certificate) => format!("NOT GIVEN; the certificate is that of {}", certificate.subject()),
                None => "NOT GIVEN".into(),
            },
        };
        section.line("private key", ours);
    }
}

/// What is said where nothing is known to be wrong, since no key was given at all.
const NO_KEY: &str = "not looked into: the private key that it is encrypted to was not given";

/// Whether a failed decryption only means that.
fn lacks_key(keys: &Keys, error: &EbmsError) -> bool {
    error.is(Code::FailedDecryption) && keys.own.is_empty()
}

fn part_of(report: &mut Report, part: &FoundPart, keys: &Keys) {
    let section = report.section("attachment");
    section.line("content id", if part.content_id.is_empty() { "(none)" } else { &part.content_id });
    section.line("media type", part.media.as_deref().unwrap_or("(none)"));
    section.line("announced", if part.announced { "by eb:PartInfo" } else { "BY NO eb:PartInfo" });
    section.line("encrypted", if part.encrypted { "yes" } else { "no" }).line("compressed", if part.compressed { "yes" } else { "no" });
    match &part.payload {
        Ok(octets) => drop(section.line("payload", format!("{octets} octets"))),
        Err(error) if lacks_key(keys, error) => drop(section.line("payload", NO_KEY)),
        Err(error) => drop(section.line("payload", format!("CANNOT BE READ: {error}"))),
    }
}

/// What this program would answer, and what the P-Mode says rule by rule.
fn verdict(report: &mut Report, captured: &Captured<'_>, header: &Header, found: &Inspection, keys: &Keys, at: Timestamp) {
    let told = |result: Result<(), EbmsError>| result.map_or_else(|error| format!("BROKEN: {error}"), |()| "holds".into());
    let recipient = found.encryptions.iter().find_map(|encryption| encryption.ours.as_ref()).and_then(Certificate::common_name);
    let own = recipient.or_else(|| header.to.ids.first().map(|id| id.value.clone())).and_then(|name| AccessPointId::new(name).ok());
    let options = Options::default();
    let context = Context { keys: &keys.own, known: &|reference| keys.find(reference), options: &options, at };
    let opened = open(&captured.content_type, &mut &captured.body[..], &context, Cursor::new(Vec::new()), &mut std::io::sink());
    let section = report.section("SDK's rules");
    match opened {
        Ok(_) => drop(section.line("security", "holds")),
        Err(refusal) if lacks_key(keys, &refusal.error) => drop(section.line("security", NO_KEY)),
        Err(refusal) => drop(section.line("security", format!("BROKEN: {refusal}"))),
    }
    if let Some(own) = own {
        for verdict in found.rules(&PMode::sdk(own)) {
            section.line("P-Mode", format!("{}: {}", verdict.rule, told(verdict.outcome)));
        }
    }
}

/// The envelope inside: whether it verifies, and whether a key that was given opens it.
fn envelope(report: &mut Report, payload: &[u8], keys: &Keys, at: Timestamp) {
    let section = report.section("envelope (XHE)");
    let verified = match seal::verify(payload) {
        Ok(verified) => verified,
        Err(error) => {
            section.line("verdict", format!("DOES NOT VERIFY: {error}"));
            return;
        }
    };
    section.line("verdict", "verifies").line("id", verified.header.id.to_string()).line("created", verified.header.created.to_string());
    section.line("document", verified.header.kind.document_id()).line("federation", verified.header.federation.to_string());
    section.line("from", verified.header.from.to_string()).line("to", verified.header.to.to_string());
    section.line("function", verified.header.service.as_ref().map(ToString::to_string).unwrap_or_default());
    section.certificate(&verified.signer, at);
    let inside = match verified.payload(&keys.own) {
        Ok(octets) if verified.header.encrypted => format!("encrypted; decrypts to {} octets of XML", octets.len()),
        Ok(octets) => format!("in clear, {} octets of XML", octets.len()),
        Err(error) => error.to_string(),
    };
    section.line("payload", inside);
}

/// A message as it was captured.
struct Captured<'f> {
    first_line: String,
    content_type: String,
    body: std::borrow::Cow<'f, [u8]>,
}

impl<'f> Captured<'f> {
    fn of(file: &'f [u8], given: Option<&str>) -> Result<Self, CliError> {
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
