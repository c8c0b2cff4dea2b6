//! Who writes to whom in tests of the formats.

use brevbro::as4::UserMessage;
use brevbro::content::Party;
use brevbro::ident::{AccessPointId, As4MessageId, DocumentKind, Domain, FunctionId, ParticipantId};

/// The mail domain of the gateway.
pub fn gateway() -> Domain {
    Domain::new("sdk.habo.se").unwrap()
}

/// A sender or recipient with a function.
pub fn party(participant: &str, label: &str, function_label: &str) -> Party {
    Party {
        participant: ParticipantId::new(participant).unwrap(),
        label: Some(label.to_owned().into()),
        function: Some(FunctionId::new("sdk:reg:1").unwrap()),
        function_label: Some(function_label.to_owned().into()),
        persons: Vec::new(),
        references: Vec::new(),
    }
}

/// An AS4 message of one organisation to the other, between two access points.
pub fn user_message() -> UserMessage {
    UserMessage {
        message_id: As4MessageId::new("0b0b3a9e-6e0f-4a39-a1c1-8a1f0d7a2a10@ap.habo.se").unwrap(),
        timestamp: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        ref_to: None,
        from: AccessPointId::new("AP0001-SDK-TEST").unwrap(),
        to: AccessPointId::new("AP0002-SDK-TEST").unwrap(),
        conversation_id: "70c5ea37-f4a9-4771-b0c7-09becd024bda".into(),
        kind: DocumentKind::Message,
        original_sender: ParticipantId::new("0203:habo.se").unwrap(),
        final_recipient: ParticipantId::new("0203:arbetsformedlingen.se").unwrap(),
    }
}
