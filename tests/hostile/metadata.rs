//! Attacks on an SMP's signed metadata.

use std::sync::OnceLock;

use brevbro::crypto::{Identity, XmlSecError, sign_enveloped};
use brevbro::ident::{DocumentKind, ParticipantId};
use brevbro::smp::{CertificateUse, Endpoint, Process, Published, SMP_NS, ServiceMetadata, SmpError};

use crate::common::pki::Ca;
use crate::common::soap::cut;

struct World {
    smp: Identity,
    stranger: Identity,
    metadata: ServiceMetadata,
    xml: String,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let ca = Ca::new("SMP CA");
        let (smp, stranger) = (ca.issue("SMP"), ca.issue("stranger"));
        let endpoint = Endpoint {
            url: "https://ap.kommun.se/as4".into(),
            transport_profile: "digg-transport-as4-v1_0".into(),
            certificate: ca.issue("AP").certificate,
            activation: None,
            expiration: None,
        };
        let own = ca.issue("kommun.se").certificate;
        let metadata = ServiceMetadata {
            participant: ParticipantId::new("0203:kommun.se").unwrap(),
            document_id: DocumentKind::Message.document_id().into(),
            processes: vec![Process::of_sdk(vec![endpoint])],
            published: [CertificateUse::Signing, CertificateUse::Encryption].map(|usage| Published { usage, certificate: own.clone() }).to_vec(),
        };
        let xml = String::from_utf8(metadata.sign(&smp).unwrap()).unwrap();
        assert_eq!(ServiceMetadata::open(xml.as_bytes()).unwrap().0, metadata);
        World { smp, stranger, metadata, xml }
    })
}

/// How the signature of the changed metadata is refused.
fn refused(edit: &dyn Fn(&str) -> String) -> XmlSecError {
    let changed = edit(&world().xml);
    assert_ne!(changed, world().xml, "the edit changed nothing");
    match ServiceMetadata::open(changed.as_bytes()) {
        Err(SmpError::Signature(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// The unsigned part as the attacker would have it.
fn evil(xml: &str) -> String {
    cut(xml, "ServiceMetadata").replace("ap.kommun.se", "ap.evil.se")
}

#[test]
fn a_signature_over_another_element_is_refused() {
    let fragment = |s: &str| s.replace("Reference URI=\"\"", "Reference URI=\"#m\"").replace("<ServiceMetadata>", "<ServiceMetadata Id=\"m\">");
    assert_eq!(refused(&fragment), XmlSecError::Refused("reference to something else than the whole document"));
}

#[test]
fn exchanged_metadata_is_refused() {
    assert_eq!(refused(&|s| s.replace(cut(s, "ServiceMetadata"), &evil(s))), XmlSecError::Mismatch);
}

#[test]
fn metadata_beside_the_signed_one_is_refused() {
    assert_eq!(refused(&|s| s.replace("<ServiceMetadata>", &format!("{}<ServiceMetadata>", evil(s)))), XmlSecError::Mismatch);
    // Signed so by the SMP itself, nobody could say which of the two counts.
    let unsigned = world().xml.replace(cut(&world().xml, "ds:Signature"), "");
    let two = unsigned.replace("<ServiceMetadata>", &format!("{}<ServiceMetadata>", evil(&unsigned)));
    let signed = sign_enveloped(two.as_bytes(), &world().smp).unwrap();
    assert!(matches!(ServiceMetadata::open(&signed), Err(SmpError::Invalid("ServiceMetadata"))));
}

#[test]
fn signed_metadata_inside_the_attackers_is_refused() {
    let wrapped = |s: &str| {
        let signed = &s[s.find("<SignedServiceMetadata").unwrap()..];
        format!("<SignedServiceMetadata xmlns=\"{SMP_NS}\">{}<Extension>{signed}</Extension></SignedServiceMetadata>", evil(s))
    };
    assert_eq!(refused(&wrapped), XmlSecError::Misplaced);
}

#[test]
fn signed_metadata_in_an_object_of_the_signature_is_refused() {
    let wrapped = |s: &str| {
        let original = cut(s, "ServiceMetadata");
        s.replace(original, &evil(s)).replace("</ds:Signature>", &format!("<ds:Object>{original}</ds:Object></ds:Signature>"))
    };
    assert_eq!(refused(&wrapped), XmlSecError::Refused("structure"));
}

#[test]
fn the_signature_of_another_participant_s_metadata_is_refused() {
    let mut other = world().metadata.clone();
    other.participant = ParticipantId::new("0203:evil.se").unwrap();
    let other = String::from_utf8(other.sign(&world().smp).unwrap()).unwrap();
    ServiceMetadata::open(other.as_bytes()).unwrap();
    assert_eq!(refused(&|s| s.replace(cut(s, "ds:Signature"), cut(&other, "ds:Signature"))), XmlSecError::Mismatch);
}

/// Another participant's good metadata is good; that it answers another question is for the caller to see by its names.
#[test]
fn who_the_metadata_is_about_and_who_signed_it_is_told() {
    let signed = world().metadata.sign(&world().stranger).unwrap();
    let (read, by) = ServiceMetadata::open(&signed).unwrap();
    assert_eq!((read.participant.as_str(), by.certificate), ("0203:kommun.se", world().stranger.certificate.clone()));
}

#[test]
fn a_redirect_beside_the_information_is_refused() {
    let unsigned = world().xml.replace(cut(&world().xml, "ds:Signature"), "");
    let both = unsigned.replace("<ServiceInformation>", "<Redirect href=\"http://127.0.0.1/\"/><ServiceInformation>");
    let signed = sign_enveloped(both.as_bytes(), &world().smp).unwrap();
    assert!(matches!(ServiceMetadata::open(&signed), Err(SmpError::Redirect)));
}

#[test]
fn a_comment_in_a_name_takes_nothing_off_it() {
    let split = world().xml.replace("https://ap.kommun.se/as4<", "https://ap.ko<!-- -->mmun.se/as4<");
    assert_ne!(split, world().xml);
    assert_eq!(ServiceMetadata::open(split.as_bytes()).unwrap().0, world().metadata);
}
