//! A receipt against the request that it is for: what it repeats of what was signed, and whether that proves delivery.

use super::Keys;
use super::capture::Captured;
use super::explain::short;
use super::report::{Report, Section};
use crate::as4::inspect::{Contents, FoundSignal, Inspection};
use crate::as4::{Answer, Sent, answer};
use crate::crypto::KeyReference;

/// Adds what an answer is worth for a request.
pub(super) fn compare(report: &mut Report, captured: &Captured<'_>, found: &Inspection, request: &Inspection, keys: &Keys) {
    let section = report.section("receipt against request");
    let Some(sent) = request.sent("") else {
        section.wrong("request", "is no signed message of a user");
        return;
    };
    section.line("request", sent.message_id.as_str());
    if let Some(signature) = &request.signature {
        match &signature.refused {
            Some(error) if signature.signer.is_some() => drop(section.wrong("its signature", format!("DOES NOT VERIFY: {error}"))),
            Some(_) => drop(section.line("its signature", "cannot be checked; --cert gives the signer's certificate")),
            None => drop(section.line("its signature", "verifies")),
        }
    }
    let Contents::Signal(signal) = &found.contents else {
        section.wrong("verdict", "PROVES NOTHING: the message is neither receipt nor error");
        return;
    };
    match &signal.ref_to {
        Some(id) if *id == sent.message_id => drop(section.line("about it", "yes")),
        _ => drop(section.wrong("about it", "NO")),
    }
    repeated(section, signal, &sent);
    let Some(expected) = request.recipient(&|reference: &KeyReference| keys.find(reference)) else {
        section.wrong("verdict", "CANNOT BE TOLD: the request names the recipient's certificate only; --cert gives it");
        return;
    };
    match found.signature.as_ref().and_then(|signature| signature.signer.as_ref()) {
        Some(signer) if *signer == expected => drop(section.line("signer", "is the access point that the request is encrypted for")),
        Some(signer) => drop(section.wrong("signer", format!("IS ANOTHER than {}: {}", expected.subject(), signer.subject()))),
        None => drop(section.wrong("signer", "nobody that is known")),
    }
    let status = captured.first_line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    match answer::read(status, &captured.content_type, &captured.body, &sent, &expected) {
        Answer::Receipt(_) => drop(section.line("verdict", "proves that the message was taken")),
        Answer::Errors(errors) => {
            for error in errors {
                section.wrong("verdict", format!("the message was refused: {error}"));
            }
        }
        Answer::Unusable(why) => drop(section.wrong("verdict", format!("PROVES NOTHING: {why}"))),
    }
}

/// Reference by reference, what was signed and what the receipt says of it.
fn repeated(section: &mut Section, signal: &FoundSignal, sent: &Sent) {
    let Some(received) = &signal.receipt else { return };
    for own in &sent.references {
        let told = |what: &str| format!("{} {}: {what}", own.uri, short(&own.digest_method));
        match received.iter().find(|other| other.uri == own.uri) {
            Some(other) if other.digest_value == own.digest_value && other.digest_method == own.digest_method => {
                section.line("signed", told("repeated"));
            }
            Some(_) => drop(section.wrong("signed", told("ANOTHER DIGEST was received"))),
            None => drop(section.wrong("signed", told("NOT REPEATED"))),
        }
    }
    for other in received.iter().filter(|other| sent.references.iter().all(|own| own.uri != other.uri)) {
        section.wrong("received", format!("{}: WAS NOT SIGNED in the request", other.uri));
    }
}
