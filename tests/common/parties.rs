//! Who writes to whom in tests of the formats.

use brevbro::content::Party;
use brevbro::ident::{Domain, FunctionId, ParticipantId};

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
