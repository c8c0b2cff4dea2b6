//! The SOAP envelope and the place of everything in it that is signed.

use std::collections::HashSet;

use super::error::{Code, EbmsError};
use super::names::{EB, SOAP, WSSE, WSU};
use crate::xml::{Document, Element, Limits, XML_NS, XmlError};

/// Bounds on a SOAP part of so many octets. A header of AS4 has some hundred nodes; tight bounds keep what a stranger can
/// have canonicalised small, since anyone can sign with a certificate of their own making.
pub(super) fn limits(octets: usize) -> Limits {
    Limits { depth: 32, nodes: 4_000, attributes: 32, all_attributes: 4_000, ..Limits::of(octets) }
}

/// Why a SOAP part is not taken, as the peer is told.
pub(super) fn unreadable(error: &XmlError) -> EbmsError {
    let description = match error {
        XmlError::Dtd => "The SOAP part has a document type declaration",
        XmlError::Encoding => "The SOAP part is not in UTF-8",
        XmlError::TooLarge { .. } => "The SOAP part is too large",
        XmlError::Malformed { .. } => "The SOAP part is not well-formed",
    };
    EbmsError::new(Code::InvalidHeader, description)
}

/// An envelope whose parts stand where they must: one Header, one Body, one `eb:Messaging` in the Header, at most one
/// `wsse:Security` beside it. An id that two elements share is refused: it is how a signature is made to cover one
/// element while another is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Envelope<'d> {
    pub(super) body: Element<'d>,
    pub(super) messaging: Element<'d>,
    pub(super) security: Option<Element<'d>>,
}

impl<'d> Envelope<'d> {
    pub(super) fn of(document: &'d Document) -> Result<Self, EbmsError> {
        let invalid = |what: &str| EbmsError::new(Code::InvalidHeader, what.to_owned());
        let root = document.root();
        if !root.is(SOAP, "Envelope") {
            return Err(invalid("The root is not a SOAP 1.2 Envelope"));
        }
        let (Some(header), Some(body)) = (root.only(SOAP, "Header"), root.only(SOAP, "Body")) else {
            return Err(invalid("The SOAP Envelope does not have one Header and one Body"));
        };
        let messaging = header.only(EB, "Messaging").ok_or_else(|| invalid("The SOAP Header does not have one eb:Messaging"))?;
        let securities: Vec<Element<'d>> = header.named(WSSE, "Security").collect();
        if securities.len() > 1 {
            return Err(invalid("The SOAP Header has more than one wsse:Security"));
        }
        for block in header.elements().filter(|block| *block != messaging && !securities.contains(block)) {
            // SOAP 1.2 part 1, 5.2.3: a block that must be understood and is not ends the processing.
            if matches!(block.attribute_ns(SOAP, "mustUnderstand"), Some("true" | "1")) {
                return Err(invalid("The SOAP Header has a block that must be understood and is not"));
            }
        }
        if has_shared_id(document) {
            return Err(EbmsError::new(Code::FailedAuthentication, "Two elements of the SOAP part share an id"));
        }
        Ok(Self { body, messaging, security: securities.first().copied() })
    }

    /// The element that `#id` names, looked for only where something signed may stand: `eb:Messaging` in the Header,
    /// Body in the Envelope, tokens and the Timestamp in `wsse:Security`.
    pub(super) fn resolve(&self, id: &str) -> Option<Element<'d>> {
        let in_security = self
            .security
            .into_iter()
            .flat_map(|security| security.elements().filter(|e| e.is(WSU, "Timestamp") || e.is(WSSE, "BinarySecurityToken")));
        [self.messaging, self.body].into_iter().chain(in_security).find(|element| has_id(*element, id))
    }
}

/// Whether the element has this id, as `wsu:Id`, `xml:id` or the `Id` of XML signature and encryption.
pub(super) fn has_id(element: Element<'_>, id: &str) -> bool {
    [element.attribute_ns(WSU, "Id"), element.attribute_ns(XML_NS, "id"), element.attribute("Id")].contains(&Some(id))
}

fn has_shared_id(document: &Document) -> bool {
    let mut seen = HashSet::new();
    document.elements().any(|element| {
        let own: HashSet<&str> = element
            .attributes()
            .iter()
            .filter(|a| a.local.eq_ignore_ascii_case("id") && ["", WSU, XML_NS].contains(&a.namespace.as_str()))
            .map(|a| a.value.trim())
            .collect();
        own.into_iter().any(|id| !seen.insert(id.to_owned()))
    })
}
