//! ServiceGroup: which documents a participant takes (OASIS SMP 1.0 2.2). It is not signed, so it may only lead to
//! metadata that is.

use super::{ANSWER_LIMIT, Asked, SMP_NS, SmpError, asked, participant, service_metadata_url};
use crate::ident::{DocumentKind, PARTICIPANT_SCHEME, ParticipantId};
use crate::xml::{Document, Limits, Writer};

/// A participant and the addresses of its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceGroup {
    /// Whose it is.
    pub participant: ParticipantId,
    /// The document ids, as their addresses have them.
    pub document_ids: Vec<String>,
}

impl ServiceGroup {
    /// Reads an answer. References that are no SMP addresses are left out; so are those of another participant.
    ///
    /// # Errors
    /// [`SmpError::Xml`], [`SmpError::Invalid`].
    pub fn read(xml: &[u8]) -> Result<Self, SmpError> {
        let document = Document::parse(xml, &Limits::of(ANSWER_LIMIT))?;
        let root = document.root();
        if !root.is(SMP_NS, "ServiceGroup") {
            return Err(SmpError::Invalid("ServiceGroup"));
        }
        let participant = participant(root)?;
        let references = super::only(root, "ServiceMetadataReferenceCollection")?;
        let ids = references.named(SMP_NS, "ServiceMetadataReference").filter_map(|reference| match asked(reference.attribute("href")?)? {
            Asked::Metadata(whose, id) if whose == participant => Some(id),
            _ => None,
        });
        Ok(Self { document_ids: ids.collect(), participant })
    }

    /// Writes it, with the references of an SMP at `base`.
    #[must_use]
    pub fn write(&self, base: &str) -> String {
        let mut writer = Writer::with_declaration();
        writer.open("ServiceGroup").attribute("xmlns", SMP_NS);
        writer.open("ParticipantIdentifier").attribute("scheme", PARTICIPANT_SCHEME).text(&self.participant.folded()).close();
        writer.open("ServiceMetadataReferenceCollection");
        for id in &self.document_ids {
            writer.open("ServiceMetadataReference").attribute("href", &service_metadata_url(base, &self.participant, id)).close();
        }
        writer.finish()
    }

    /// The kinds of documents of SDK among them.
    #[must_use]
    pub fn kinds(&self) -> Vec<DocumentKind> {
        DocumentKind::ALL.into_iter().filter(|kind| self.document_ids.iter().any(|id| DocumentKind::from_document_id(id) == Some(*kind))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_reads_back_and_knows_its_kinds() {
        let participant = ParticipantId::new("0203:kommun.se").unwrap();
        let ids = vec![DocumentKind::Receipt.document_id().to_lowercase(), "urn:other::x##1".into()];
        let group = ServiceGroup { participant, document_ids: ids };
        let read = ServiceGroup::read(group.write("https://smp.example/a").as_bytes()).unwrap();
        assert_eq!(read, group);
        assert_eq!(read.kinds(), [DocumentKind::Receipt]);
    }

    #[test]
    fn another_participants_references_and_other_documents_are_left_out() {
        let text = |id: &str, scheme: &str, href: &str| {
            format!(
                "<ServiceGroup xmlns='{SMP_NS}'><ParticipantIdentifier scheme='{scheme}'>{id}</ParticipantIdentifier>\
                 <ServiceMetadataReferenceCollection><ServiceMetadataReference href='{href}'/></ServiceMetadataReferenceCollection></ServiceGroup>"
            )
        };
        let foreign = service_metadata_url("http://smp", &ParticipantId::new("0203:b.se").unwrap(), DocumentKind::Message.document_id());
        assert!(ServiceGroup::read(text("0203:a.se", PARTICIPANT_SCHEME, &foreign).as_bytes()).unwrap().kinds().is_empty());
        assert!(matches!(ServiceGroup::read(text("0203:a.se", "other", &foreign).as_bytes()), Err(SmpError::Invalid("ParticipantIdentifier"))));
        assert!(matches!(ServiceGroup::read(b"<ServiceGroup/>"), Err(SmpError::Invalid("ServiceGroup"))));
    }
}
