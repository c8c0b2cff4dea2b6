//! Namespaces, algorithms and fixed values of ebMS 3.0, AS4 and WS-Security.

/// SOAP 1.2.
pub(super) const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
/// ebMS 3.0 core.
pub(super) const EB: &str = "http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/";
/// ebBP signals: non-repudiation information.
pub(super) const EBBP: &str = "http://docs.oasis-open.org/ebxml-bp/ebbp-signals-2.0";
/// WS-Security 1.0 extensions.
pub(super) const WSSE: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
/// WS-Security 1.0 utilities.
pub(super) const WSU: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
/// WS-Security 1.1 extensions.
pub(super) const WSSE11: &str = "http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd";

/// Exclusive canonicalisation; also the namespace of InclusiveNamespaces.
pub(super) const EXC_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
/// The digest of an attachment's content (WSS SwA 1.1 5.2).
pub(super) const CONTENT_SIGNATURE: &str = "http://docs.oasis-open.org/wss/oasis-wss-SwAProfile-1.1#Attachment-Content-Signature-Transform";
/// The ciphertext of an attachment (WSS SwA 1.1 5.5).
pub(super) const CIPHERTEXT: &str = "http://docs.oasis-open.org/wss/oasis-wss-SwAProfile-1.1#Attachment-Ciphertext-Transform";
/// An attachment's content, not its headers, is encrypted.
pub(super) const CONTENT_ONLY: &str = "http://docs.oasis-open.org/wss/oasis-wss-SwAProfile-1.1#Attachment-Content-Only";
/// A security token reference points to an encrypted key.
pub(super) const ENCRYPTED_KEY_TOKEN: &str = "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#EncryptedKey";
/// Base64 of a token or key identifier.
pub(super) const BASE64: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary";
/// A token that is one certificate.
pub(super) const X509V3: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3";
/// A token that is a certificate with its chain.
pub(super) const X509_PATH: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509PKIPathv1";
/// A key identifier that is a subject key identifier.
pub(super) const SKI: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509SubjectKeyIdentifier";
/// A key identifier that is a thumbprint.
pub(super) const THUMBPRINT: &str = "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#ThumbprintSHA1";
/// RSA-OAEP whose digest and mask are declared.
pub(super) const RSA_OAEP: &str = "http://www.w3.org/2009/xmlenc11#rsa-oaep";

/// The sending access point's role (SDK C3.2.1 2.3.1.l).
pub const INITIATOR: &str = "http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/initiator";
/// The receiving access point's role (SDK C3.2.1 2.3.1.o).
pub const RESPONDER: &str = "http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/responder";
/// The type of both PartyIds (SDK C3.2.1 2.3.1.k, n).
pub const PARTY_TYPE: &str = "urn:fdc:digg.se:edelivery:transportprofile:as4:partytype:ap";
/// The message partition channel that is meant when none is named (ebMS 3.0 3.4.1).
pub const DEFAULT_MPC: &str = "http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/defaultMPC";
/// The service of the ebMS test (ebMS 3.0 5.2.2.8).
pub const TEST_SERVICE: &str = "http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/service";
/// The action of the ebMS test (ebMS 3.0 5.2.2.9).
pub const TEST_ACTION: &str = "http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/test";
/// The media type of gzip in part properties (AS4 3.1).
pub const GZIP: &str = "application/gzip";
/// The media type of SOAP 1.2.
pub const SOAP_TYPE: &str = "application/soap+xml";
