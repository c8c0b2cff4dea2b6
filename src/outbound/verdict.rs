//! What the answer to a request means, or that there is none: taken, again, or the end.
//!
#![doc = include_str!("../../docs/answers.md")]

use std::time::Duration;

use super::state::Reached;
use crate::as4::{Code, EbmsError, Severity};
use crate::event::Field;
use crate::failure::{Blame, Failure, Stage};
use crate::port::{Fail, TransportError};

/// What an attempt that brought no proof means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It counts as taken: a retry was named a duplicate.
    Taken,
    /// It failed; whether to try again is the failure's.
    Failed {
        /// What failed.
        failure: Failure,
        /// What the sender reads at the end.
        fail: Fail,
        /// Whether the message may be there all the same.
        reached: Reached,
    },
}

fn again(what: String, reached: Reached) -> Verdict {
    Verdict::Failed { failure: Failure::temporary(Stage::Send, Blame::Peer, what), fail: Fail::AccessPoint, reached }
}

fn ended(what: String, fail: Fail, hint: &str) -> Verdict {
    let failure = Failure::permanent(Stage::Send, Blame::Peer, what).hint(hint);
    Verdict::Failed { failure, fail, reached: Reached::Never }
}

/// What EBMS errors without a receipt mean (ebMS 3.0 6.7, AS4 5.1.8). `earlier` is what the attempts before this one say.
#[must_use]
pub fn of_errors(errors: &[EbmsError], earlier: Reached) -> Verdict {
    let codes = errors.iter().map(|error| error.code.as_ref()).collect::<Vec<_>>().join(" ");
    match judged(errors, earlier) {
        Verdict::Failed { failure, fail, reached } => Verdict::Failed { failure: failure.about(Field::ErrorCode, codes), fail, reached },
        Verdict::Taken => Verdict::Taken,
    }
}

fn judged(errors: &[EbmsError], earlier: Reached) -> Verdict {
    let listed: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let what = format!("the other access point answered {}", listed.join(", "));
    let grave: Vec<&EbmsError> = errors.iter().filter(|error| error.severity == Severity::Failure).collect();
    if grave.iter().any(|error| error.is_not_serviced()) {
        // SDK C3.2.1 2.5.c
        return ended(
            what,
            Fail::NotServed,
            "the recipient's organisation has changed its access point or does not take messages: ask it to correct its registration in SMP",
        );
    }
    let all = |codes: &[Code]| grave.iter().all(|error| codes.iter().any(|code| error.is(*code)));
    if earlier == Reached::Perhaps && !grave.is_empty() && all(&[Code::Other]) {
        return Verdict::Taken;
    }
    // Warnings alone, or a receipt that they miss: it is there, but unproven.
    if all(&[Code::MissingReceipt]) {
        return again(what, Reached::Perhaps);
    }
    // These may pass, and so may an Other of unknown cause.
    if all(&[Code::Other, Code::ConnectionFailure, Code::DeliveryFailure, Code::MissingReceipt]) {
        again(what, Reached::Never)
    } else {
        ended(what, Fail::RefusedByPeer, "compare P-Mode and certificates with the other access point's operator")
    }
}

/// What an answer means that is neither receipt nor error: `why` it is neither, under which HTTP status.
#[must_use]
pub fn of_unusable(endpoint: &str, status: u16, why: &str, retry_after: Option<Duration>) -> Verdict {
    let what = format!("{endpoint} gave no usable receipt: {why}");
    // RFC 9110 15.5.14: without Retry-After it is not temporary.
    if status == 413 && retry_after.is_none() {
        return ended(what, Fail::RefusedByPeer, "an access point takes 100 MB (SDK C3.2.1 2.8): ask its operator to raise the web server's limit");
    }
    // A redirect, and what a web server refuses before its application sees it (RFC 9110 15.4 and 15.5).
    let reached =
        if matches!(status, 300..=399 | 401 | 403..=405 | 411 | 413 | 414 | 421 | 426 | 429 | 431) { Reached::Never } else { Reached::Perhaps };
    let Verdict::Failed { failure, fail, reached } = again(what, reached) else { return Verdict::Taken };
    let hint = match status {
        300..=399 => "a redirect is not followed: the recipient's organisation should register the new endpoint in SMP",
        401 | 403 => "the other access point may not accept our TLS client certificate",
        _ => "",
    };
    named(Verdict::Failed { failure: failure.hint(hint).not_within(retry_after), fail, reached }, Code::MissingReceipt)
}

/// The same with the sender's own name for it in the journal (AS4 3.2, ebMS 3.0 6.7).
fn named(verdict: Verdict, code: Code) -> Verdict {
    match verdict {
        Verdict::Failed { failure, fail, reached } => Verdict::Failed { failure: failure.about(Field::ErrorCode, code.text()), fail, reached },
        Verdict::Taken => Verdict::Taken,
    }
}

/// What a failed transport means.
#[must_use]
pub fn of_transport(error: &TransportError) -> Verdict {
    let what = error.to_string();
    match error {
        TransportError::Refused { .. } => {
            let failure = Failure::permanent(Stage::Send, Blame::Federation, what)
                .hint("the endpoint in SMP is not one that may be sent to: https and a public address, or allow it in [access-point]");
            Verdict::Failed { failure, fail: Fail::AccessPoint, reached: Reached::Never }
        }
        TransportError::Unreachable { .. } => named(again(what, Reached::Never), Code::ConnectionFailure),
        TransportError::NoAnswer { .. } => named(again(what, Reached::Perhaps), Code::MissingReceipt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: Code, earlier: Reached) -> Verdict {
        of_errors(&[EbmsError::new(code, "")], earlier)
    }

    #[test]
    fn only_after_an_attempt_that_may_have_arrived_is_an_other_a_duplicate() {
        assert_eq!(of(Code::Other, Reached::Perhaps), Verdict::Taken);
        let first = of(Code::Other, Reached::Never);
        assert!(matches!(first, Verdict::Failed { failure, reached: Reached::Never, .. } if failure.is_temporary()));
        let not_serviced = of_errors(&[EbmsError::not_serviced()], Reached::Perhaps);
        assert!(matches!(not_serviced, Verdict::Failed { failure, fail: Fail::NotServed, .. } if !failure.is_temporary()));
        let mixed = of_errors(&[EbmsError::new(Code::Other, ""), EbmsError::new(Code::InvalidHeader, "")], Reached::Perhaps);
        assert!(matches!(mixed, Verdict::Failed { failure, .. } if !failure.is_temporary()));
        let warning = EbmsError { severity: Severity::Warning, ..EbmsError::new(Code::Other, "") };
        assert!(matches!(of_errors(&[warning], Reached::Perhaps), Verdict::Failed { failure, .. } if failure.is_temporary()));
    }

    #[test]
    fn every_other_code_of_the_tables_is_the_end() {
        for code in Code::ALL {
            let passes = matches!(code, Code::Other | Code::ConnectionFailure | Code::DeliveryFailure | Code::MissingReceipt);
            let Verdict::Failed { failure, .. } = of(code, Reached::Never) else { panic!("{code:?} is taken") };
            assert_eq!(failure.is_temporary(), passes, "{code:?}");
        }
    }
}
