//! SignedServiceMetadata: endpoint and certificates of a participant for one document id (OASIS SMP 1.0 2.3; SDK C3.4.5 2.1).

use base64::prelude::*;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{ANSWER_LIMIT, SMP_NS, SmpError, identifier, only, participant};
use crate::crypto::{Certificate, Identity, SignedBy, sign_enveloped, verify_enveloped};
use crate::ident::{DOCUMENT_SCHEME, PARTICIPANT_SCHEME, PROCESS_ID, PROCESS_SCHEME, ParticipantId};
use crate::xml::{Element, Limits, Writer};

const AGGREGATE_NS: &str = "http://docs.oasis-open.org/bdxr/ns/SMP/2/AggregateComponents";
const BASIC_NS: &str = "http://docs.oasis-open.org/bdxr/ns/SMP/2/BasicComponents";
const CERTPUB_ID: &str = "urn:fdc:digg.se:edelivery:xml-extension:smp-certpub:1.0";
/// As many certificates or endpoints as one document may publish; a flood of them is refused.
const MOST: usize = 32;

/// What a published certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateUse {
    /// The participant signs with its key.
    Signing,
    /// Others encrypt to it.
    Encryption,
}

impl CertificateUse {
    /// The code of SDK C3.4.5 2.2.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Signing => "urn:fdc:digg.se:edelivery:certpub:signing-cert",
            Self::Encryption => "urn:fdc:digg.se:edelivery:certpub:encryption-cert",
        }
    }
}

/// A certificate of the participant, out of the CertPub extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// What for.
    pub usage: CertificateUse,
    /// The certificate; not judged.
    pub certificate: Certificate,
}

/// Where a process of the participant is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The access point's URL.
    pub url: String,
    /// The transport profile, for example `digg-transport-as4-v1_0`.
    pub transport_profile: String,
    /// The access point's certificate; not judged.
    pub certificate: Certificate,
    /// It works from here on.
    pub activation: Option<Timestamp>,
    /// It works until here.
    pub expiration: Option<Timestamp>,
}

impl Endpoint {
    /// Whether it is in service at `at`.
    #[must_use]
    pub fn is_active(&self, at: Timestamp) -> bool {
        self.activation.is_none_or(|from| from <= at) && self.expiration.is_none_or(|until| at < until)
    }
}

/// A process and its endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The process id.
    pub id: String,
    /// Its scheme.
    pub scheme: String,
    /// Its endpoints, in order.
    pub endpoints: Vec<Endpoint>,
}

impl Process {
    /// The only process of SDK (`bdx:noprocess`) at these endpoints.
    #[must_use]
    pub fn of_sdk(endpoints: Vec<Endpoint>) -> Self {
        Self { id: PROCESS_ID.into(), scheme: PROCESS_SCHEME.into(), endpoints }
    }

    fn is_of_sdk(&self) -> bool {
        self.id.eq_ignore_ascii_case(PROCESS_ID) && self.scheme.eq_ignore_ascii_case(PROCESS_SCHEME)
    }
}

/// The metadata of one participant and one document id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceMetadata {
    /// Whose it is.
    pub participant: ParticipantId,
    /// For which documents.
    pub document_id: String,
    /// The processes.
    pub processes: Vec<Process>,
    /// The participant's certificates, in order.
    pub published: Vec<Published>,
}

impl ServiceMetadata {
    /// Verifies and reads a SignedServiceMetadata. Who signed is told, not judged.
    ///
    /// # Errors
    /// [`SmpError`]; [`SmpError::Redirect`] for a signed redirect too.
    pub fn open(xml: &[u8]) -> Result<(Self, SignedBy), SmpError> {
        let signed = verify_enveloped(xml, &Limits::of(ANSWER_LIMIT)).map_err(SmpError::Signature)?;
        let root = signed.document.root();
        if !root.is(SMP_NS, "SignedServiceMetadata") {
            return Err(SmpError::Invalid("SignedServiceMetadata"));
        }
        let metadata = only(root, "ServiceMetadata")?;
        if metadata.child(SMP_NS, "Redirect").is_some() {
            return Err(SmpError::Redirect);
        }
        Ok((Self::read(only(metadata, "ServiceInformation")?)?, signed))
    }

    /// Writes it and signs it with the SMP's key.
    ///
    /// # Errors
    /// [`SmpError::Signature`] when the key cannot sign.
    pub fn sign(&self, signer: &Identity) -> Result<Vec<u8>, SmpError> {
        sign_enveloped(self.write().as_bytes(), signer).map_err(SmpError::Signature)
    }

    /// The endpoint to use at `at`: of SDK's process, of one of the transport profiles, in service.
    ///
    /// # Errors
    /// [`SmpError::NoEndpoint`] that says what it lacks.
    pub fn endpoint(&self, profiles: &[String], at: Timestamp) -> Result<&Endpoint, SmpError> {
        let (mut met, mut asleep) = (false, false);
        for endpoint in self.processes.iter().filter(|process| process.is_of_sdk()).flat_map(|process| &process.endpoints) {
            met = true;
            if profiles.contains(&endpoint.transport_profile) {
                // During a move the old endpoint and the new one may stand side by side.
                if endpoint.is_active(at) {
                    return Ok(endpoint);
                }
                asleep = true;
            }
        }
        Err(SmpError::NoEndpoint(match (met, asleep) {
            (_, true) => "endpoint that is in service now",
            (true, false) => "endpoint of a transport profile that is used here",
            (false, false) => "process bdx:noprocess",
        }))
    }

    /// The certificates of one use, in order.
    pub fn certificates(&self, usage: CertificateUse) -> impl Iterator<Item = &Certificate> {
        self.published.iter().filter(move |published| published.usage == usage).map(|published| &published.certificate)
    }

    fn read(information: Element<'_>) -> Result<Self, SmpError> {
        let (scheme, document_id) = identifier(information, "DocumentIdentifier")?;
        if !scheme.eq_ignore_ascii_case(DOCUMENT_SCHEME) {
            return Err(SmpError::Invalid("DocumentIdentifier"));
        }
        let processes: Vec<_> =
            only(information, "ProcessList")?.named(SMP_NS, "Process").take(MOST + 1).map(read_process).collect::<Result<_, _>>()?;
        if processes.len() > MOST {
            return Err(SmpError::Invalid("number of processes"));
        }
        let mut published = Vec::new();
        for extension in information.named(SMP_NS, "Extension") {
            if extension.child(SMP_NS, "ExtensionID").is_some_and(|id| id.trimmed() == CERTPUB_ID) {
                read_published(extension, &mut published)?;
            }
        }
        Ok(Self { participant: participant(information)?, document_id, processes, published })
    }

    fn write(&self) -> String {
        let mut writer = Writer::with_declaration();
        writer.open("SignedServiceMetadata").attribute("xmlns", SMP_NS).open("ServiceMetadata").open("ServiceInformation");
        writer.open("ParticipantIdentifier").attribute("scheme", PARTICIPANT_SCHEME).text(&self.participant.folded()).close();
        writer.open("DocumentIdentifier").attribute("scheme", DOCUMENT_SCHEME).text(&self.document_id).close();
        writer.open("ProcessList");
        for process in &self.processes {
            write_process(&mut writer, process);
        }
        writer.close();
        for published in &self.published {
            writer.open("Extension").leaf("ExtensionID", CERTPUB_ID);
            writer.open("smc:Certificate").attribute("xmlns:smc", AGGREGATE_NS).attribute("xmlns:smb", BASIC_NS);
            writer.leaf("smb:TypeCode", published.usage.code());
            writer.open("smb:ContentBinaryObject").attribute("mimeCode", "application/base64").text(&published.certificate.to_base64());
            writer.close().close().close();
        }
        writer.finish()
    }
}

fn read_process(element: Element<'_>) -> Result<Process, SmpError> {
    let (scheme, id) = identifier(element, "ProcessIdentifier")?;
    let mut endpoints = Vec::new();
    let mut broken = None;
    for endpoint in only(element, "ServiceEndpointList")?.named(SMP_NS, "Endpoint") {
        match read_endpoint(endpoint) {
            Ok(endpoint) => endpoints.push(endpoint),
            // One that is for others, and that we cannot read, must not hide ours.
            Err(error) => broken = Some(error),
        }
        if endpoints.len() > MOST {
            return Err(SmpError::Invalid("number of endpoints"));
        }
    }
    match broken {
        Some(error) if endpoints.is_empty() => Err(error),
        _ => Ok(Process { id, scheme, endpoints }),
    }
}

fn read_endpoint(element: Element<'_>) -> Result<Endpoint, SmpError> {
    let url = only(element, "EndpointURI")?.trimmed();
    let certificate = only(element, "Certificate")?.trimmed();
    let date = |local: &'static str| element.child(SMP_NS, local).map(|date| date_time(&date.trimmed()).ok_or(SmpError::Invalid(local))).transpose();
    Ok(Endpoint {
        url,
        transport_profile: element.attribute("transportProfile").ok_or(SmpError::Invalid("transportProfile"))?.to_owned(),
        certificate: certificate_of(&certificate).ok_or(SmpError::Invalid("Certificate"))?,
        activation: date("ServiceActivationDate")?,
        expiration: date("ServiceExpirationDate")?,
    })
}

fn write_process(writer: &mut Writer, process: &Process) {
    writer.open("Process").open("ProcessIdentifier").attribute("scheme", &process.scheme).text(&process.id).close();
    writer.open("ServiceEndpointList");
    for endpoint in &process.endpoints {
        writer.open("Endpoint").attribute("transportProfile", &endpoint.transport_profile).leaf("EndpointURI", &endpoint.url);
        for (name, date) in [("ServiceActivationDate", endpoint.activation), ("ServiceExpirationDate", endpoint.expiration)] {
            if let Some(date) = date {
                writer.leaf(name, &date.to_string());
            }
        }
        writer.leaf("Certificate", &endpoint.certificate.to_base64());
        // Both are mandatory in the schema and mean nothing to a machine.
        writer.leaf("ServiceDescription", "AS4").leaf("TechnicalContactUrl", &endpoint.url).close();
    }
    writer.close().close();
}

/// The certificates of one CertPub extension; those for a use that is not ours are left out.
fn read_published(extension: Element<'_>, published: &mut Vec<Published>) -> Result<(), SmpError> {
    extension.child(AGGREGATE_NS, "Certificate").ok_or(SmpError::Invalid("smc:Certificate"))?;
    for certificate in extension.named(AGGREGATE_NS, "Certificate") {
        let code = certificate.only(BASIC_NS, "TypeCode").ok_or(SmpError::Invalid("smb:TypeCode"))?.trimmed();
        let Some(usage) = [CertificateUse::Signing, CertificateUse::Encryption].into_iter().find(|usage| usage.code() == code) else { continue };
        let object = certificate.only(BASIC_NS, "ContentBinaryObject").ok_or(SmpError::Invalid("smb:ContentBinaryObject"))?;
        let certificate = certificate_of(&object.trimmed()).ok_or(SmpError::Invalid("smb:ContentBinaryObject"))?;
        published.push(Published { usage, certificate });
        if published.len() > MOST {
            return Err(SmpError::Invalid("number of certificates"));
        }
    }
    Ok(())
}

/// PEM, base64 of DER, or base64 of PEM: SDK C3.4.5 2.1 says "PEM-format (BASE64-kodat)", which can be read as any of them.
fn certificate_of(text: &str) -> Option<Certificate> {
    Certificate::from_any(text.as_bytes()).ok().or_else(|| {
        let compact: String = text.split_whitespace().collect();
        Certificate::from_pem(&BASE64_STANDARD.decode(compact).ok()?).ok()
    })
}

/// `xs:dateTime`; without a zone it is taken as UTC.
fn date_time(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| Some(text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::identity;
    use crate::ident::DocumentKind;

    fn metadata(endpoint: Certificate, own: Certificate) -> ServiceMetadata {
        let endpoint = Endpoint {
            url: "https://ap.kommun.se/as4?a&b".into(),
            transport_profile: "digg-transport-as4-v1_0".into(),
            certificate: endpoint,
            activation: Some("2022-01-01T00:00:00Z".parse().unwrap()),
            expiration: Some("2030-01-01T00:00:00Z".parse().unwrap()),
        };
        ServiceMetadata {
            participant: ParticipantId::new("0203:kommun.se").unwrap(),
            document_id: DocumentKind::Message.document_id().into(),
            processes: vec![Process::of_sdk(vec![endpoint])],
            published: [CertificateUse::Signing, CertificateUse::Encryption].map(|usage| Published { usage, certificate: own.clone() }).to_vec(),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_signed_reads_back_and_what_is_tampered_with_does_not() {
        let (smp, ap, own) = (identity("SMP"), identity("AP"), identity("kommun.se"));
        let metadata = metadata(ap.certificate, own.certificate.clone());
        let signed = metadata.sign(&smp).unwrap();
        let (read, by) = ServiceMetadata::open(&signed).unwrap();
        assert_eq!(read, metadata);
        assert_eq!(by.certificate, smp.certificate);
        assert_eq!(read.certificates(CertificateUse::Encryption).collect::<Vec<_>>(), [&own.certificate]);
        let tampered = String::from_utf8(signed).unwrap().replace("ap.kommun.se", "ap.other.se");
        assert!(matches!(ServiceMetadata::open(tampered.as_bytes()), Err(SmpError::Signature(_))));
        assert!(matches!(ServiceMetadata::open(metadata.write().as_bytes()), Err(SmpError::Signature(_))));
    }

    #[test]
    fn a_redirect_is_refused_even_when_it_is_signed() {
        let text = format!(
            "<SignedServiceMetadata xmlns='{SMP_NS}'><ServiceMetadata><Redirect href='http://a'><CertificateUID>x</CertificateUID></Redirect>\
             </ServiceMetadata></SignedServiceMetadata>"
        );
        let signed = sign_enveloped(text.as_bytes(), &identity("SMP")).unwrap();
        assert!(matches!(ServiceMetadata::open(&signed), Err(SmpError::Redirect)));
    }

    #[test]
    fn an_endpoint_is_chosen_by_process_profile_and_date() {
        let certificate = identity("AP").certificate;
        let metadata = metadata(certificate.clone(), certificate);
        let profiles = ["digg-transport-as4-v1_0".to_owned()];
        let lacks = |metadata: &ServiceMetadata, profiles: &[String], when| match metadata.endpoint(profiles, at(when)) {
            Err(SmpError::NoEndpoint(what)) => what,
            other => panic!("{other:?}"),
        };
        assert!(metadata.endpoint(&profiles, at("2022-01-01T00:00:00Z")).is_ok());
        assert_eq!(lacks(&metadata, &profiles, "2021-12-31T23:59:59Z"), "endpoint that is in service now");
        assert_eq!(lacks(&metadata, &profiles, "2030-01-01T00:00:00Z"), "endpoint that is in service now");
        assert_eq!(
            lacks(&metadata, &["bdxr-transport-ebms3-as4-v1p0".into()], "2025-01-01T00:00:00Z"),
            "endpoint of a transport profile that is used here"
        );
        let mut other = metadata;
        other.processes[0].id = "urn:other".into();
        assert_eq!(lacks(&other, &profiles, "2025-01-01T00:00:00Z"), "process bdx:noprocess");
    }

    #[test]
    fn published_certificates_are_read_in_every_spelling() {
        let certificate = identity("x").certificate;
        for text in [certificate.to_base64(), certificate.to_pem(), BASE64_STANDARD.encode(certificate.to_pem())] {
            assert_eq!(certificate_of(&text), Some(certificate.clone()));
        }
        assert_eq!(certificate_of("AAAA"), None);
    }

    #[test]
    fn dates_have_a_zone_or_are_utc() {
        for text in ["2025-01-02T03:04:05Z", "2025-01-02T04:04:05+01:00", "2025-01-02T03:04:05", "2025-01-02T03:04:05.000Z"] {
            assert_eq!(date_time(text), Some(at("2025-01-02T03:04:05Z")), "{text}");
        }
        assert_eq!(date_time("soon"), None);
    }
}
