//! What `as4 inspect` says of a message, section by section.

use std::io::Cursor;

use jiff::Timestamp;

use super::super::CliError;
use super::Keys;
use super::capture::Captured;
use super::compare::compare;
use super::report::Report;
use crate::as4::inspect::{Contents, DigestFound, FoundPart, FoundSignal, FoundSignature, Inspection, inspect};
use crate::as4::receive::{Context, Options, open};
use crate::as4::{Code, EbmsError, Header, PMode, Party, Severity};
use crate::crypto::{Certificate, KeyReference};
use crate::ident::AccessPointId;
use crate::sdk::seal;

/// What is looked into.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'f> {
    /// A message as it was captured.
    pub file: &'f [u8],
    /// Its Content-Type, where the file has no HTTP headers.
    pub content_type: Option<&'f str>,
    /// The request that it answers, as it was captured.
    pub request: Option<&'f [u8]>,
}

/// What a message says, and the payload that was in it.
#[derive(Debug)]
pub struct Explained {
    /// For whoever asked.
    pub report: Report,
    /// The payloads that could be read, one after another: what is never printed.
    pub payload: Vec<u8>,
}

/// Looks into a captured message.
///
/// # Errors
/// [`CliError`] when it, or the request, holds no SOAP part that can be read.
pub fn explain(subject: Subject<'_>, keys: &Keys, at: Timestamp) -> Result<Explained, CliError> {
    let captured = Captured::of(subject.file, subject.content_type)?;
    let mut payload = Vec::new();
    let found = look(&captured, keys, &mut payload)?;
    let mut report = Report::default();
    let section = report.section("capture");
    section.line("first line", &captured.first_line).line("content type", &captured.content_type).line("octets", captured.body.len().to_string());
    match &found.contents {
        Contents::User(header) => user(&mut report, header),
        Contents::Signal(signal) => signal_of(&mut report, signal),
        Contents::Other(what) => drop(report.section("no ebMS message").line("reads as", what)),
    }
    if let Some(error) = &found.structure {
        report.section("envelope").wrong("refused", error.to_string());
    }
    if let Some(signature) = &found.signature {
        signature_of(&mut report, signature, at);
    } else if found.structure.is_none() {
        report.section("signature").wrong("verdict", "not signed");
    }
    encryptions(&mut report, &found, keys);
    for part in &found.parts {
        part_of(&mut report, part, keys);
    }
    if let Some(why) = &found.package {
        report.section("package").wrong("ends early", why);
    }
    if let Contents::User(header) = &found.contents {
        verdict(&mut report, &captured, header, &found, keys, at);
        if let [FoundPart { payload: Ok(octets), .. }] = found.parts.as_slice()
            && *octets == payload.len() as u64
        {
            envelope(&mut report, &payload, keys, at);
        }
    }
    if let Some(request) = subject.request {
        let request = Captured::of(request, None)?;
        compare(&mut report, &captured, &found, &look(&request, keys, &mut std::io::sink())?, keys);
    }
    Ok(Explained { report, payload })
}

fn look(captured: &Captured<'_>, keys: &Keys, payload: &mut dyn std::io::Write) -> Result<Inspection, CliError> {
    let known = |reference: &KeyReference| keys.find(reference);
    let found = inspect(&captured.content_type, &mut &captured.body[..], &keys.own, &known, tempfile::tempfile()?, payload);
    found.map_err(|refusal| {
        CliError::failure(refusal.cause)
            .hint("give an HTTP request or response with its headers, a MIME body with --content-type, or a SOAP envelope")
    })
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
        Some(references) if references.is_empty() => drop(section.wrong("receipt", "without non-repudiation information: it proves nothing")),
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
pub(super) fn short(uri: &str) -> &str {
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
    match &signature.refused {
        None => section.line("verdict", "verifies"),
        Some(error) => section.wrong("verdict", format!("DOES NOT VERIFY: {error}")),
    };
    section.line("algorithm", short(&signature.algorithm)).line("canonicalisation", &signature.canonicalization);
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
        let told = |digest: &str| format!("{} {}: {digest}", found.reference.uri, short(&found.reference.digest_method));
        match &found.digest {
            DigestFound::Matches => section.line("reference", told("matches")),
            DigestFound::Refused(why) => section.wrong("reference", told(&format!("DOES NOT HOLD: {why}"))),
            DigestFound::Unknown => section.line("reference", told("cannot be checked")),
        };
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
    if part.announced {
        section.line("announced", "by eb:PartInfo");
    } else {
        section.wrong("announced", "BY NO eb:PartInfo");
    }
    section.line("encrypted", if part.encrypted { "yes" } else { "no" }).line("compressed", if part.compressed { "yes" } else { "no" });
    match &part.payload {
        Ok(octets) => drop(section.line("payload", format!("{octets} octets"))),
        Err(error) if lacks_key(keys, error) => drop(section.line("payload", NO_KEY)),
        Err(error) => drop(section.wrong("payload", format!("CANNOT BE READ: {error}"))),
    }
}

/// What this program would answer, and what the P-Mode says rule by rule.
fn verdict(report: &mut Report, captured: &Captured<'_>, header: &Header, found: &Inspection, keys: &Keys, at: Timestamp) {
    let recipient = found.encryptions.iter().find_map(|encryption| encryption.ours.as_ref()).and_then(Certificate::common_name);
    let own = recipient.or_else(|| header.to.ids.first().map(|id| id.value.clone())).and_then(|name| AccessPointId::new(name).ok());
    let options = Options::default();
    let context = Context { keys: &keys.own, known: &|reference| keys.find(reference), options: &options, at };
    let opened = open(&captured.content_type, &mut &captured.body[..], &context, Cursor::new(Vec::new()), &mut std::io::sink());
    let section = report.section("SDK's rules");
    match opened {
        Ok(_) => drop(section.line("security", "holds")),
        Err(refusal) if lacks_key(keys, &refusal.error) => drop(section.line("security", NO_KEY)),
        Err(refusal) => drop(section.wrong("security", format!("BROKEN: {refusal}"))),
    }
    if let Some(own) = own {
        for verdict in found.rules(&PMode::sdk(own)) {
            match verdict.outcome {
                Ok(()) => section.line("P-Mode", format!("{}: holds", verdict.rule)),
                Err(error) => section.wrong("P-Mode", format!("{}: BROKEN: {error}", verdict.rule)),
            };
        }
    }
}

/// The envelope inside: whether it verifies, and whether a key that was given opens it.
fn envelope(report: &mut Report, payload: &[u8], keys: &Keys, at: Timestamp) {
    let section = report.section("envelope (XHE)");
    let verified = match seal::verify(payload) {
        Ok(verified) => verified,
        Err(error) => {
            section.wrong("verdict", format!("DOES NOT VERIFY: {error}"));
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
