//! The SMP's addresses: `{base}/{scheme}::{id}` and `/services/{scheme}::{document id}`, wholly percent-encoded (SDK C3.4.5 3).

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, utf8_percent_encode};

use crate::ident::{DOCUMENT_SCHEME, PARTICIPANT_SCHEME, ParticipantId};

/// The address of a participant's ServiceGroup. The id is written in lower case, which is how SMPs keep it.
#[must_use]
pub fn service_group_url(base: &str, participant: &ParticipantId) -> String {
    format!("{}/{}", base.trim_end_matches('/'), encode(&format!("{PARTICIPANT_SCHEME}::{}", participant.folded())))
}

/// The address of a participant's SignedServiceMetadata for a document id, which is written exactly.
#[must_use]
pub fn service_metadata_url(base: &str, participant: &ParticipantId, document_id: &str) -> String {
    format!("{}/services/{}", service_group_url(base, participant), encode(&format!("{DOCUMENT_SCHEME}::{document_id}")))
}

/// What an address asks an SMP for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A ServiceGroup.
    Group(ParticipantId),
    /// The metadata of a document id.
    Metadata(ParticipantId, String),
}

/// Reads the path of an address, with or without a prefix before the participant. `None` when it asks for nothing an SMP has.
#[must_use]
pub fn asked(path: &str) -> Option<Asked> {
    let path = path.split(['?', '#']).next()?;
    let segments: Vec<String> = path.split('/').filter(|segment| !segment.is_empty()).map(decode).collect::<Option<_>>()?;
    let participant = |segment: &str| {
        let (scheme, id) = segment.split_once("::")?;
        scheme.eq_ignore_ascii_case(PARTICIPANT_SCHEME).then(|| ParticipantId::new(id).ok()).flatten()
    };
    match segments.as_slice() {
        [.., group, services, document] if services == "services" => {
            let (scheme, id) = document.split_once("::")?;
            (scheme.eq_ignore_ascii_case(DOCUMENT_SCHEME)).then(|| Some(Asked::Metadata(participant(group)?, id.to_owned()))).flatten()
        }
        [.., group] => Some(Asked::Group(participant(group)?)),
        [] => None,
    }
}

/// Percent-encodes all but RFC 3986's unreserved characters: `:` and `#` too.
fn encode(text: &str) -> PercentEncode<'_> {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, RESERVED)
}

fn decode(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::DocumentKind;

    #[test]
    fn colons_and_hashes_are_encoded() {
        let participant = ParticipantId::new("0203:Kommun.se").unwrap();
        let url = service_metadata_url("https://smp.example/", &participant, DocumentKind::Message.document_id());
        assert_eq!(
            url,
            "https://smp.example/iso6523-actorid-upis%3A%3A0203%3Akommun.se/services/busdox-docid-qns%3A%3Aurn%3Ariv%3Ainfrastructure%3Amessaging%3A\
             MessageWithAttachments%3A3%3A%3AmessagePayload%23%233.0%3A%3Atm-base-ext-sigenc"
        );
    }

    #[test]
    fn what_is_asked_reads_back() {
        let participant = ParticipantId::new("0203:å-kommun.se").unwrap();
        let document = DocumentKind::Receipt.document_id();
        let path = service_metadata_url("/smp", &participant, document);
        assert_eq!(asked(&path), Some(Asked::Metadata(participant.clone(), document.to_owned())));
        assert_eq!(asked(&service_group_url("", &participant)), Some(Asked::Group(participant)));
    }

    #[test]
    fn what_no_smp_has_is_asked_for_in_vain() {
        for path in
            ["", "/", "/x", "/other%3A%3A0203%3Aa.se", "/iso6523-actorid-upis::9999:a", "/iso6523-actorid-upis%3A%3A0203%3Aa.s%", "/%FF", "/%+1"]
        {
            assert_eq!(asked(path), None, "{path}");
        }
    }
}
