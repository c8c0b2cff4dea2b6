//! Every rule with what keeps it and what breaks it. A row that breaks says all that is told of it: code, detail, place.

use brevbro::ident::DocumentKind;
use brevbro::sdk::envelope::{self, EnvelopeError};
use brevbro::sdk::message::{self, MessageLimits};
use brevbro::sdk::receipt::{self, Outcome, ReceiptError};
use brevbro::sdk::rules::{self, Breach, Detail, ReasonCode, Violation};

use crate::made;

/// One change of a sound document: what, into what.
type Change = (&'static str, &'static str);

fn changed(xml: &str, (from, to): Change) -> String {
    assert!(xml.contains(from), "{from} is not in the document");
    xml.replacen(from, to, 1)
}

// ---------------------------------------------------------------------------------------------------- the message

const HEADER: &str = "/messagePayload/message/messageHeader";
const BODY: &str = "/messagePayload/message/messageBody";
const SV: (ReasonCode, Detail) = (ReasonCode::Sv, Detail::Structure);
const BV: (ReasonCode, Detail) = (ReasonCode::Bv, Detail::Invariant);

struct MessageRule {
    rule: &'static str,
    keeps: &'static [Change],
    /// The change, and the breach at the place below the header or the body.
    breaks: &'static [(Change, (ReasonCode, Detail), &'static str)],
}

/// Stands for a label of 256 characters where a rule is kept, of 257 where it is broken.
const LONG: &str = "<label>LONG</label>";

/// The rules of the schema and beyond it (SDK B1.3.3 4 and 5).
fn message_rules() -> Vec<MessageRule> {
    vec![
        MessageRule {
            rule: "the schema: names, order, number",
            keeps: &[
                ("</messageHeader>", "<f:x xmlns:f=\"urn:f\">y</f:x></messageHeader>"),
                ("<label>Kanariefagel</label>", ""),
                ("<confidentiality>true", "<confidentiality> 0 "),
                ("<message>", "<!-- c --><message><?p i?>"),
                ("<message>", "<message xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"urn:a b.xsd\">"),
                (
                    "<message>",
                    "<message xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:t=\"urn:riv:infrastructure:messaging:MessageWithAttachments:3\" xsi:type=\"t:MessageType\">",
                ),
            ],
            breaks: &[
                (("<messageBody>", "<messageBody><okand>x</okand>"), SV, "B/okand"),
                (("<confidentiality>true</confidentiality>", ""), SV, "H/confidentiality"),
                (("<confidentiality>true", "<confidentiality>ja"), SV, "H/confidentiality"),
                (("<message>", "<message><!-- --> text"), SV, "/messagePayload/message"),
                (("<message>", "<message a=\"b\">"), SV, "/messagePayload/message"),
                (("<message>", "<message xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:nil=\"false\">"), SV, "/messagePayload/message"),
                (
                    (
                        "<documentID>1</documentID><documentName>Brev Kanariefagel</documentName>",
                        "<documentName>Brev</documentName><documentID>1</documentID>",
                    ),
                    SV,
                    "B/documents[1]/documentID",
                ),
                (("<index>2</index>", "<index>2</index><index>3</index>"), SV, "B/documents[1]/index[2]"),
                (("<fileName>b.txt</fileName>", ""), SV, "B/documents[2]/ContentFiles[2]/fileName"),
                (("creationDateTime>2026-01-02", "creationDateTime>2026-02-30"), SV, "H/creationDateTime"),
            ],
        },
        MessageRule {
            rule: "no element is empty or white space only",
            keeps: &[
                ("<label>Kommunen Kanariefagel</label>", "<label>\u{a0}</label>"),
                ("<label>Kanariefagel Svensson</label>", "<label><!-- c -->x</label>"),
            ],
            breaks: &[
                (("<label>Kommunen Kanariefagel</label>", "<label/>"), BV, "H/recipient/label"),
                (("<label>Kommunen Kanariefagel</label>", "<label> \t\n&#13;</label>"), BV, "H/recipient/label"),
                (("<documentID>1<", "<documentID><!-- c --><"), BV, "B/documents[1]/documentID"),
                (("</messageHeader>", "<f:x xmlns:f=\"urn:f\"> </f:x></messageHeader>"), BV, "H/x"),
                (("<fileName>b.txt<", "<fileName> <"), BV, "B/documents[2]/ContentFiles[2]/fileName"),
            ],
        },
        MessageRule {
            rule: "creationDateTime is UTC with one to three decimals",
            keeps: &[("05.678Z", "05.6Z"), ("05.678Z", "05.67Z"), ("T03:04:05.678Z", "T24:00:00.000Z")],
            breaks: &[
                (("05.678Z", "05Z"), BV, "H/creationDateTime"),
                (("05.678Z", "05.6789Z"), BV, "H/creationDateTime"),
                (("05.678Z", "05.678"), BV, "H/creationDateTime"),
                (("05.678Z", "05.678+00:00"), BV, "H/creationDateTime"),
                (("<creationDateTime>", "<creationDateTime> "), BV, "H/creationDateTime"),
            ],
        },
        MessageRule {
            rule: "messageId is a UUID",
            keeps: &[("messageId>7bc5576a", "messageId>7BC5576A")],
            breaks: &[(("messageId>7bc5576a", "messageId>urn:uuid:7bc5576a"), BV, "H/messageId"), (("messageId>7", "messageId>"), BV, "H/messageId")],
        },
        MessageRule {
            rule: "conversationId is there and a UUID",
            keeps: &[("conversationId>7bc5576a", "conversationId>00000000")],
            breaks: &[
                (("conversationId>7bc5576a-", "conversationId>7bc5576a"), BV, "H/conversationId"),
                (("<conversationId>7bc5576a-3f87-4cf5-a0c5-277da06fcacb</conversationId>", ""), SV, "H/conversationId"),
            ],
        },
        MessageRule {
            rule: "refToMessageId is a UUID",
            keeps: &[("<refToMessageId>0f2b5b0a-67e7-4a43-9b0f-0d8b2a0c1d2e</refToMessageId>", "")],
            breaks: &[(("refToMessageId>0f2b5b0a", "refToMessageId>{0f2b5b0a"), BV, "H/refToMessageId")],
        },
        MessageRule {
            rule: "messageHeader/label has 256 characters at most, by a rule",
            keeps: &[("<label>Kanariefagel</label>", LONG)],
            breaks: &[(("<label>Kanariefagel</label>", LONG), (ReasonCode::Bv, Detail::Structure), "H/label")],
        },
        MessageRule {
            rule: "other labels have 256 characters at most, by the schema",
            keeps: &[("<label>Diarienummer</label>", LONG)],
            breaks: &[
                (("<label>Diarienummer</label>", LONG), SV, "H/recipient/attention/reference/label"),
                (("<label>Kommunen Kanariefagel</label>", LONG), SV, "H/recipient/label"),
                (("<label>Funktionen Kanariefagel</label>", LONG), SV, "H/recipient/attention/subOrganization/label"),
                (("<label>Kanariefagel Svensson</label>", LONG), SV, "H/recipient/attention/person[1]/label"),
            ],
        },
        MessageRule {
            rule: "recipientID and senderID are in the code system of participants",
            keeps: &[("<extension>0203:mottagare.se", "<extension>0007:2021006883")],
            breaks: &[
                (("<recipientID><root>iso", "<recipientID><root>annat"), BV, "H/recipient/recipientID/root"),
                (("<senderID><root>iso6523-actorid-upis", "<senderID><root>iso6523-actorid-upis "), BV, "H/sender/senderID/root"),
                (("<extension>0203:mottagare.se", "<extension>mottagare"), BV, "H/recipient/recipientID/extension"),
                (("<extension>0203:avsandare.se", "<extension>0203:"), BV, "H/sender/senderID/extension"),
            ],
        },
        MessageRule {
            rule: "organizationId is a function address",
            keeps: &[("<extension>inkorg</extension>", "<extension>en annan, å</extension>")],
            breaks: &[
                (
                    ("<root>urn:riv:infrastructure:messaging:functionalAddress", "<root>urn:riv:infrastructure:messaging"),
                    BV,
                    "H/recipient/attention/subOrganization/organizationId/root",
                ),
                (
                    ("<extension>inkorg</extension>", "<extension>in\u{85}korg</extension>"),
                    BV,
                    "H/recipient/attention/subOrganization/organizationId/extension",
                ),
            ],
        },
        MessageRule {
            rule: "each of documents has a ContentText or a ContentFiles",
            keeps: &[("<ContentText><characterSequence>igen</characterSequence></ContentText>", "")],
            breaks: &[(
                (
                    "<ContentText><characterSequence># Hej Kanariefagel</characterSequence></ContentText><ContentText><characterSequence>igen</characterSequence></ContentText>",
                    "",
                ),
                BV,
                "B/documents[1]",
            )],
        },
        MessageRule {
            rule: "content is base64",
            keeps: &[("<content>AAEC/w==", "<content>\n AAEC\n /w== "), ("<content>AAEC/w==", "<content>AAEC")],
            breaks: &[
                (("<content>AAEC/w==", "<content>AAEC/w*="), BV, "B/documents[2]/ContentFiles[1]/content"),
                (("<content>AAEC/w==", "<content>AAEC_w=="), BV, "B/documents[2]/ContentFiles[1]/content"),
                (("<content>AAEC/w==", "<content>AAEC/w"), BV, "B/documents[2]/ContentFiles[1]/content"),
                (("<content>AAEC/w==", "<content>====="), BV, "B/documents[2]/ContentFiles[1]/content"),
            ],
        },
    ]
}

fn told(breaches: &[Breach]) -> Vec<(ReasonCode, Detail, &str)> {
    breaches.iter().map(|breach| (breach.code, breach.detail, breach.line.as_str())).collect()
}

fn read_message(xml: &str) -> Result<(), Vec<Breach>> {
    message::read(xml.as_bytes(), &MessageLimits::default()).map(drop)
}

fn place(short: &str) -> String {
    short
        .strip_prefix('H')
        .map(|rest| format!("{HEADER}{rest}"))
        .or_else(|| short.strip_prefix('B').map(|rest| format!("{BODY}{rest}")))
        .unwrap_or(short.into())
}

#[test]
fn every_rule_of_the_message_is_kept_and_broken() {
    let sound = made::message_xml();
    read_message(&sound).unwrap();
    for MessageRule { rule, keeps, breaks } in message_rules() {
        assert!(!keeps.is_empty() && !breaks.is_empty(), "{rule} needs both");
        for change in keeps {
            read_message(&changed(&sound, *change).replace("LONG", &"🙂".repeat(256)))
                .unwrap_or_else(|found| panic!("{rule}: {}: {found:?}", change.1));
        }
        for (change, (code, detail), at) in breaks {
            let found = read_message(&changed(&sound, *change).replace("LONG", &"å".repeat(257))).expect_err(rule);
            assert_eq!(told(&found), [(*code, *detail, place(at).as_str())], "{rule}: {}", change.1);
        }
    }
}

#[test]
fn a_sender_may_lack_its_attention_and_a_recipient_may_not() {
    let sound = made::message_xml();
    let cut = |party: &str| {
        let start = sound.find(&format!("<{party}>")).unwrap();
        let from = start + sound[start..].find("<attention>").unwrap();
        let to = from + sound[from..].find("</attention>").unwrap() + "</attention>".len();
        format!("{}{}", &sound[..from], &sound[to..])
    };
    read_message(&cut("sender")).unwrap();
    assert_eq!(told(&read_message(&cut("recipient")).unwrap_err()), [(SV.0, SV.1, place("H/recipient/attention").as_str())]);
}

#[test]
fn the_extension_of_a_reference_has_256_characters() {
    let sound = made::message_xml();
    let with = |count: usize| sound.replacen("Kanariefagel 2026/123", &"🙂".repeat(count), 1);
    read_message(&with(256)).unwrap();
    let at = place("H/recipient/attention/reference");
    assert_eq!(told(&read_message(&with(257)).unwrap_err()), [(BV.0, BV.1, at.as_str())]);
}

#[test]
fn all_breaches_of_a_message_are_told_at_once() {
    // Each row's first breach that leaves the others' text alone.
    let mut xml = made::message_xml();
    let mut expected: Vec<(ReasonCode, Detail, String)> = Vec::new();
    for MessageRule { breaks, .. } in message_rules() {
        for (change, (code, detail), at) in breaks.iter().filter(|(change, ..)| change.1 != LONG) {
            let (from, _) = *change;
            if xml.matches(from).count() == made::message_xml().matches(from).count() && !expected.iter().any(|(.., line)| *line == place(at)) {
                xml = changed(&xml, *change);
                expected.push((*code, *detail, place(at)));
            }
        }
    }
    assert!(expected.len() >= 12, "{expected:?}");
    let found = read_message(&xml).unwrap_err();
    let found = told(&found);
    for (code, detail, line) in &expected {
        // Places move when siblings are added before them.
        let same = |other: &str| other == line || other.replace(['[', ']'], "") == line.replace(['[', ']'], "");
        assert!(found.iter().any(|(c, d, l)| (c, d) == (code, detail) && same(l)), "{code:?} {detail:?} {line} is not in {found:#?}");
    }
}

#[test]
fn what_disagrees_with_the_envelope_is_told_of_a_message_that_breaks_the_schema_too() {
    let header = made::header(DocumentKind::Message);
    let xml = changed(&made::message_xml(), ("<confidentiality>true", "<confidentiality>ja"));
    let (read, glimpse) = message::examine(xml.as_bytes(), &MessageLimits::default());
    assert_eq!(told(&read.unwrap_err()).len(), 1);
    assert_eq!(rules::check_against_envelope(&glimpse, &header), []);
    let cases: [(Change, (ReasonCode, Detail), &str); 4] = [
        (("messageId>7bc5576a", "messageId>8bc5576a"), BV, "H/messageId"),
        (("0203:mottagare.se", "0203:annan.se"), (ReasonCode::Bv, Detail::Security), "H/recipient/recipientID/extension"),
        (("0203:avsandare.se", "0203:annan.se"), (ReasonCode::Bv, Detail::Security), "H/sender/senderID/extension"),
        ((">inkorg<", ">annan<"), (ReasonCode::Bv, Detail::Security), "H/recipient/attention/subOrganization/organizationId/extension"),
    ];
    for (change, (code, detail), at) in cases {
        let (_, glimpse) = message::examine(changed(&xml, change).as_bytes(), &MessageLimits::default());
        assert_eq!(told(&rules::check_against_envelope(&glimpse, &header)), [(code, detail, place(at).as_str())]);
    }
    // An envelope may say nothing of the function, and participants are compared without case.
    let (_, glimpse) = message::examine(changed(&xml, (">inkorg<", ">annan<")).as_bytes(), &MessageLimits::default());
    let silent = envelope::Header { service: None, from: "0203:AVSANDARE.se".parse().unwrap(), ..header };
    assert_eq!(rules::check_against_envelope(&glimpse, &silent), []);
}

// --------------------------------------------------------------------------------------------------- the envelope

/// A rule of a profile: changes that keep it, and changes that break it with the place that is told.
struct ProfileRule {
    rule: &'static str,
    keeps: &'static [Change],
    breaks: &'static [(Change, &'static str)],
}

const SCOPE: &str = "/XHE/Header/BusinessScope";

/// SDK C3.2.2 2.2-2.5, of an envelope in clear.
const ENVELOPE_RULES: [ProfileRule; 22] = [
    ProfileRule {
        rule: "R1-XHE",
        keeps: &[
            ("<x:XHE ", "<x:XHE xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"a b\" "),
            ("<xha:Header>", "<!-- c --><xha:Header>"),
        ],
        breaks: &[
            (("<xhb:CustomizationID>", "<xhb:ProfileID>x</xhb:ProfileID><xhb:CustomizationID>"), "/XHE/ProfileID"),
            (("<xhb:CreationDateTime>", "<xhb:UUID>x</xhb:UUID><xhb:CreationDateTime>"), "/XHE/Header/UUID"),
            (("<xhb:DocumentTypeCode>", "<xhb:Description>x</xhb:Description><xhb:DocumentTypeCode>"), "/XHE/Payloads/Payload/Description"),
            (("<xhb:XHEVersionID>", "<xhb:XHEVersionID schemeName=\"x\">"), "/XHE/XHEVersionID"),
            (("<xha:Header>", "<xha:Header Id=\"x\">"), "/XHE/Header"),
            (("<xha:Payloads>", "<f:x xmlns:f=\"urn:f\">y</f:x><xha:Payloads>"), "/XHE/x"),
        ],
    },
    ProfileRule {
        rule: "R2-XHE",
        keeps: &[
            ("<xhb:HandlingServiceID>inkorg</xhb:HandlingServiceID>", ""),
            ("<xhb:HandlingServiceID>inkorg", "<xhb:HandlingServiceID>\n inkorg "),
        ],
        breaks: &[
            (("<xhb:HandlingServiceID>inkorg<", "<xhb:HandlingServiceID> <"), "/XHE/Payloads/Payload/HandlingServiceID"),
            (("<xhb:HandlingServiceID>inkorg<", "<xhb:HandlingServiceID><!-- c --><"), "/XHE/Payloads/Payload/HandlingServiceID"),
            (("<xhb:HandlingServiceID>", "<xhb:HandlingServiceID schemeID=\" \">"), "/XHE/Payloads/Payload/HandlingServiceID"),
            (
                ("BusinessScopeCriterionValue>bdx:noprocess<", "BusinessScopeCriterionValue>\t<"),
                "/XHE/Header/BusinessScope/BusinessScopeCriterion[3]/BusinessScopeCriterionValue",
            ),
        ],
    },
    ProfileRule {
        rule: "R3-XHE",
        keeps: &[("edelivery:xhe:1<", "edelivery:xhe:1 <")],
        breaks: &[(("edelivery:xhe:1<", "edelivery:xhe:2<"), "/XHE/CustomizationID")],
    },
    ProfileRule { rule: "R4-XHE", keeps: &[(">DOCUMENTID<", "> DOCUMENTID <")], breaks: &[((">DOCUMENTID<", ">documentid<"), SCOPE)] },
    ProfileRule {
        rule: "R5-XHE",
        keeps: &[(">DOCUMENTID_SCHEME<", ">\nDOCUMENTID_SCHEME<")],
        breaks: &[((">DOCUMENTID_SCHEME<", ">DOCUMENT_SCHEME<"), SCOPE)],
    },
    ProfileRule { rule: "R6-XHE", keeps: &[(">PROCESSID<", ">PROCESSID\t<")], breaks: &[((">PROCESSID<", ">X<"), SCOPE)] },
    ProfileRule { rule: "R7-XHE", keeps: &[(">PROCESSID_SCHEME<", "> PROCESSID_SCHEME<")], breaks: &[((">PROCESSID_SCHEME<", ">X<"), SCOPE)] },
    ProfileRule { rule: "R8-XHE", keeps: &[(">FEDERATIONID<", "> FEDERATIONID<")], breaks: &[((">FEDERATIONID<", ">\u{a0}FEDERATIONID<"), SCOPE)] },
    ProfileRule { rule: "R9-XHE", keeps: &[(">1.0<", "> 1.0 <")], breaks: &[((">1.0<", ">1.1<"), "/XHE/XHEVersionID")] },
    ProfileRule {
        rule: "R10-XHE",
        keeps: &[("schemeID=\"iso6523-actorid-upis\">0203:avs", "schemeID=\" iso6523-actorid-upis \">0203:avs")],
        breaks: &[
            (("schemeID=\"iso6523-actorid-upis\">0203:avs", "schemeID=\"GLN\">0203:avs"), "/XHE/Header/FromParty/PartyIdentification/ID"),
            ((" schemeID=\"iso6523-actorid-upis\">0203:avs", ">0203:avs"), "/XHE/Header/FromParty/PartyIdentification/ID"),
        ],
    },
    ProfileRule {
        rule: "R11-XHE",
        keeps: &[("schemeID=\"iso6523-actorid-upis\">0203:mot", "schemeID='iso6523-actorid-upis'>0203:mot")],
        breaks: &[
            (("schemeID=\"iso6523-actorid-upis\">0203:mot", "schemeID=\"GLN\">0203:mot"), "/XHE/Header/ToParty/PartyIdentification/ID"),
            ((" schemeID=\"iso6523-actorid-upis\">0203:mot", ">0203:mot"), "/XHE/Header/ToParty/PartyIdentification/ID"),
        ],
    },
    ProfileRule {
        rule: "R12-XHE",
        keeps: &[(">false<", ">0<")],
        breaks: &[((">false<", ">true<"), "/XHE/Payloads/Payload/PayloadContent"), ((">false<", "> 1 <"), "/XHE/Payloads/Payload/PayloadContent")],
    },
    ProfileRule {
        rule: "R14-XHE",
        keeps: &[("<xhb:HandlingServiceID>inkorg</xhb:HandlingServiceID>", "")],
        breaks: &[
            (("<xhb:CustomizationID>urn:fdc:digg.se:edelivery:xhe:1</xhb:CustomizationID>", ""), "/XHE"),
            (("<xhb:ContentTypeCode>application/xml</xhb:ContentTypeCode>", ""), "/XHE/Payloads/Payload"),
            (
                ("<xhb:ContentTypeCode>", "<xhb:ContentTypeCode>application/xml</xhb:ContentTypeCode><xhb:ContentTypeCode>"),
                "/XHE/Payloads/Payload/ContentTypeCode[2]",
            ),
            (
                (
                    "<xha:ToParty>",
                    "<xha:ToParty><xha:PartyIdentification><xhb:ID schemeID=\"iso6523-actorid-upis\">0203:a.se</xhb:ID></xha:PartyIdentification>",
                ),
                "/XHE/Header/ToParty/PartyIdentification[2]",
            ),
            (
                (
                    "</xha:BusinessScope>",
                    "<xha:BusinessScopeCriterion><xhb:BusinessScopeCriterionTypeCode>X</xhb:BusinessScopeCriterionTypeCode><xhb:BusinessScopeCriterionValue>x</xhb:BusinessScopeCriterionValue></xha:BusinessScopeCriterion></xha:BusinessScope>",
                ),
                "/XHE/Header/BusinessScope/BusinessScopeCriterion[6]/BusinessScopeCriterionTypeCode",
            ),
        ],
    },
    ProfileRule {
        rule: "XSD",
        keeps: &[(">false<", "> 0 <")],
        breaks: &[
            ((">false<", ">FALSE<"), "/XHE/Payloads/Payload/InstanceEncryptionIndicator"),
            (("<xha:Header>", "<xha:Header>text"), "/XHE/Header"),
            (
                (
                    "<xhb:XHEVersionID>1.0</xhb:XHEVersionID><xhb:CustomizationID>urn:fdc:digg.se:edelivery:xhe:1</xhb:CustomizationID>",
                    "<xhb:CustomizationID>urn:fdc:digg.se:edelivery:xhe:1</xhb:CustomizationID><xhb:XHEVersionID>1.0</xhb:XHEVersionID>",
                ),
                "/XHE/XHEVersionID",
            ),
            (("<xha:PayloadContent>", "<xha:PayloadContent>VU5CK1VOT0E="), "/XHE/Payloads/Payload/PayloadContent"),
        ],
    },
    // C3.2.2 2.2: what the table of elements asks for, beyond the numbered rules.
    ProfileRule { rule: "2.2", keeps: &[("ID>7bc5576a", "ID>7BC5576A")], breaks: &[(("ID>7bc5576a-", "ID>7bc5576a"), "/XHE/Header/ID")] },
    ProfileRule {
        rule: "2.2",
        keeps: &[("06.000Z", "06+01:00"), ("06.000Z", "06-14:00")],
        breaks: &[(("06.000Z", "06.000"), "/XHE/Header/CreationDateTime"), (("06.000Z", "06.000+15:00"), "/XHE/Header/CreationDateTime")],
    },
    ProfileRule {
        rule: "2.2",
        keeps: &[("application/xml", "application/XML")],
        breaks: &[(("application/xml", "text/xml"), "/XHE/Payloads/Payload/ContentTypeCode")],
    },
    // C3.2.6, C3.2.7: the code lists.
    ProfileRule {
        rule: "C3.2.6",
        keeps: &[("Value>busdox-docid-qns", "Value>BUSDOX-docid-qns")],
        breaks: &[(("Value>busdox-docid-qns", "Value>peppol-doctype"), "/XHE/Header/BusinessScope/BusinessScopeCriterion[2]")],
    },
    ProfileRule {
        rule: "C3.2.6",
        keeps: &[("edelivery:process<", "Edelivery:process<")],
        breaks: &[
            ((">bdx:noprocess<", ">bdx:process<"), "/XHE/Header/BusinessScope/BusinessScopeCriterion[3]"),
            (("edelivery:process<", "edelivery:other<"), "/XHE/Header/BusinessScope/BusinessScopeCriterion[4]"),
        ],
    },
    ProfileRule {
        rule: "C3.2.6",
        keeps: &[("ApplicationResponse-2::ApplicationResponse", "APPLICATIONRESPONSE-2::ApplicationResponse")],
        breaks: &[(("ApplicationResponse-2::ApplicationResponse", "Invoice-2::Invoice"), "/XHE/Header/BusinessScope/BusinessScopeCriterion[1]")],
    },
    ProfileRule {
        rule: "C3.2.6",
        keeps: &[("federation:test", "federation:sdk")],
        breaks: &[(("edelivery:federation:test", "edelivery: federation"), "/XHE/Header/BusinessScope/BusinessScopeCriterion[5]")],
    },
    ProfileRule {
        rule: "C3.2.7",
        keeps: &[(">0203:avsandare.se", ">0007:2021006883")],
        breaks: &[
            ((">0203:avsandare.se", ">9999:avsandare.se"), "/XHE/Header/FromParty/PartyIdentification/ID"),
            ((">0203:mottagare.se", ">0203:"), "/XHE/Header/ToParty/PartyIdentification/ID"),
        ],
    },
];

fn read_envelope(xml: &str) -> Vec<Violation> {
    match envelope::read(xml.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(EnvelopeError::Profile(violations)) => violations,
        Err(EnvelopeError::Xml(error)) => panic!("{error}"),
    }
}

/// Each row, and that a change which breaks one rule is told as that rule (R1 and R14 may come with a code that is missed).
fn check_profile(sound: &str, rules: &[ProfileRule], read: fn(&str) -> Vec<Violation>) {
    assert_eq!(read(sound), []);
    for ProfileRule { rule, keeps, breaks } in rules {
        assert!(!keeps.is_empty() && !breaks.is_empty(), "{rule} needs both");
        for change in *keeps {
            assert_eq!(read(&changed(sound, *change)), [], "{rule}: {}", change.1);
        }
        for (change, line) in *breaks {
            let found = read(&changed(sound, *change));
            assert!(found.iter().any(|violation| violation.rule == *rule && violation.line == *line), "{rule} {line}: {}: {found:?}", change.1);
            let others = found.iter().filter(|violation| violation.rule != *rule);
            assert!(others.clone().count() <= 1, "{rule}: {}: {found:?}", change.1);
        }
    }
}

#[test]
fn every_rule_of_the_envelope_is_kept_and_broken() {
    check_profile(&made::unsigned(&made::envelope(DocumentKind::Receipt)), &ENVELOPE_RULES, read_envelope);
    // R13: a payload that is encrypted, and an indicator that denies it.
    let sealed = made::unsigned(&made::envelope(DocumentKind::Message));
    let r13 = ProfileRule {
        rule: "R13-XHE",
        keeps: &[(">true<", ">1<")],
        breaks: &[((">true<", ">false<"), "/XHE/Payloads/Payload/PayloadContent"), ((">true<", ">0<"), "/XHE/Payloads/Payload/PayloadContent")],
    };
    check_profile(&sealed, &[r13], read_envelope);
}

#[test]
fn all_violations_of_an_envelope_are_told_at_once() {
    let changes: [(Change, &str); 9] = [
        (("edelivery:xhe:1<", "edelivery:xhe:2<"), "R3-XHE"),
        ((">DOCUMENTID<", ">X<"), "R4-XHE"),
        ((">PROCESSID<", ">Y<"), "R6-XHE"),
        ((">1.0<", ">1.1<"), "R9-XHE"),
        (("schemeID=\"iso6523-actorid-upis\">0203:avs", "schemeID=\"GLN\">0203:avs"), "R10-XHE"),
        ((" schemeID=\"iso6523-actorid-upis\">0203:mot", ">0203:mot"), "R11-XHE"),
        ((">false<", ">true<"), "R12-XHE"),
        (("<xha:Header>", "<xha:Header Id=\"x\">"), "R1-XHE"),
        (("06.000Z", "06.000"), "2.2"),
    ];
    let sound = made::unsigned(&made::envelope(DocumentKind::Receipt));
    let xml = changes.iter().fold(sound, |xml, (change, _)| changed(&xml, *change));
    let found = read_envelope(&xml);
    for (_, rule) in changes {
        assert!(found.iter().any(|violation| violation.rule == rule), "{rule} is not in {found:?}");
    }
}

// ---------------------------------------------------------------------------------------------------- the receipt

const LINE: &str = "/ApplicationResponse/DocumentResponse/LineResponse[1]";

/// SDK C3.2.4 3, of a rejection.
const RECEIPT_RULES: [ProfileRule; 11] = [
    ProfileRule {
        rule: "R1-APP",
        keeps: &[("<cbc:CustomizationID>", "<!-- c --><cbc:CustomizationID>"), ("<cbc:StatusReasonCode>not-found</cbc:StatusReasonCode>", "")],
        breaks: &[
            (("<cbc:CustomizationID>", "<cbc:UBLVersionID>2.1</cbc:UBLVersionID><cbc:CustomizationID>"), "/ApplicationResponse/UBLVersionID"),
            (("<cbc:IssueDate>", "<cbc:UUID>x</cbc:UUID><cbc:IssueDate>"), "/ApplicationResponse/UUID"),
            (("<cac:SenderParty>", "<cbc:Note>x</cbc:Note><cac:SenderParty>"), "/ApplicationResponse/Note"),
            (
                ("<cbc:ResponseCode>REJECTED", "<cbc:ResponseCode listID=\"x\">REJECTED"),
                "/ApplicationResponse/DocumentResponse/Response/ResponseCode",
            ),
            (
                ("<cbc:StatusReason>", "<cbc:StatusReason languageID=\"sv\">"),
                "/ApplicationResponse/DocumentResponse/LineResponse[1]/Response/Status/StatusReason",
            ),
        ],
    },
    ProfileRule {
        rule: "R2-APP",
        keeps: &[("<cbc:ID>0f2b5b0a", "<cbc:ID> 0f2b5b0a")],
        breaks: &[
            (("<cbc:ID>0f2b5b0a-67e7-4a43-9b0f-0d8b2a0c1d2e<", "<cbc:ID> <"), "/ApplicationResponse/ID"),
            (
                ("<cbc:StatusReasonCode>not-found<", "<cbc:StatusReasonCode><"),
                "/ApplicationResponse/DocumentResponse/LineResponse[1]/Response/Status/StatusReasonCode",
            ),
            (("schemeID=\"iso6523-actorid-upis\">0203:mot", "schemeID=\"\">0203:mot"), "/ApplicationResponse/SenderParty/EndpointID"),
        ],
    },
    ProfileRule {
        rule: "R3-APP",
        keeps: &[("response:1<", "response:1 <")],
        breaks: &[(("response:1<", "response:2<"), "/ApplicationResponse/CustomizationID")],
    },
    ProfileRule {
        rule: "R4-APP",
        keeps: &[(">bdx:noprocess<", "> bdx:noprocess<")],
        breaks: &[((">bdx:noprocess<", ">bdx:process<"), "/ApplicationResponse/ProfileID")],
    },
    ProfileRule {
        rule: "R5-APP",
        keeps: &[(">REJECTED<", ">Rejected<")],
        breaks: &[((">REJECTED<", ">MAYBE<"), "/ApplicationResponse/DocumentResponse/Response/ResponseCode")],
    },
    ProfileRule {
        rule: "R6-APP",
        keeps: &[(">BV<", ">sig<"), (">BV<", "> SV <")],
        breaks: &[((">BV<", ">RE<"), "/ApplicationResponse/DocumentResponse/LineResponse[1]/Response/ResponseCode")],
    },
    ProfileRule {
        rule: "R7-APP",
        keeps: &[(">REJECTED<", "> rejected <")],
        breaks: &[
            ((">REJECTED<", ">ACCEPTED<"), "/ApplicationResponse/DocumentResponse"),
            ((">REJECTED<", ">accepted<"), "/ApplicationResponse/DocumentResponse"),
        ],
    },
    ProfileRule {
        rule: "R9-APP",
        keeps: &[("<cbc:StatusReasonCode>not-found</cbc:StatusReasonCode>", "")],
        breaks: &[
            (("<cbc:IssueTime>03:04:07.089Z</cbc:IssueTime>", ""), "/ApplicationResponse"),
            (("<cbc:ProfileID>bdx:noprocess</cbc:ProfileID>", ""), "/ApplicationResponse"),
            (
                ("<cac:DocumentReference>", "<cac:DocumentReference><cbc:ID>7bc5576a-3f87-4cf5-a0c5-277da06fcacb</cbc:ID>"),
                "/ApplicationResponse/DocumentResponse/DocumentReference/ID[2]",
            ),
            ((" schemeID=\"iso6523-actorid-upis\">0203:mot", ">0203:mot"), "/ApplicationResponse/SenderParty/EndpointID"),
            (
                ("<cbc:StatusReason>Wrong or unknown subOrganization/organizationId.</cbc:StatusReason>", ""),
                "/ApplicationResponse/DocumentResponse/LineResponse[1]/Response/Status",
            ),
        ],
    },
    // C3.2.4 3.1: what the table of elements asks for, beyond the numbered rules.
    ProfileRule {
        rule: "3.1.c",
        keeps: &[("07.089Z", "07+01:00")],
        breaks: &[(("07.089Z", "07.089"), "/ApplicationResponse/IssueTime"), (("2026-01-02", "2026-02-30"), "/ApplicationResponse/IssueTime")],
    },
    ProfileRule {
        rule: "3.1.d",
        keeps: &[("schemeID=\"iso6523-actorid-upis\">0203:mot", "schemeID=\"iso6523-actorid-upis \">0203:mot")],
        breaks: &[(("schemeID=\"iso6523-actorid-upis\">0203:mot", "schemeID=\"GLN\">0203:mot"), "/ApplicationResponse/SenderParty/EndpointID")],
    },
    ProfileRule {
        rule: "3.1.e",
        keeps: &[(">0203:avsandare.se", ">0088:7300000000000")],
        breaks: &[(("schemeID=\"iso6523-actorid-upis\">0203:avs", "schemeID=\"GLN\">0203:avs"), "/ApplicationResponse/ReceiverParty/EndpointID")],
    },
];

fn read_receipt(xml: &str) -> Vec<Violation> {
    match receipt::read(xml.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(ReceiptError::Profile(violations)) => violations,
        Err(ReceiptError::Xml(error)) => panic!("{error}"),
    }
}

#[test]
fn every_rule_of_the_receipt_is_kept_and_broken() {
    let sound = made::receipt_xml(made::rejected());
    check_profile(&sound, &RECEIPT_RULES, read_receipt);
    // R8: a rejection without a reason; and that an acceptance has none (R7) is sound.
    let (from, to) = (sound.find("<cac:LineResponse>").unwrap(), sound.rfind("</cac:LineResponse>").unwrap() + "</cac:LineResponse>".len());
    let bare = format!("{}{}", &sound[..from], &sound[to..]);
    let found = read_receipt(&bare);
    assert_eq!(found.iter().map(|v| (v.rule.as_str(), v.line.as_str())).collect::<Vec<_>>(), [("R8-APP", "/ApplicationResponse/DocumentResponse")]);
    assert_eq!(read_receipt(&bare.replace(">REJECTED<", ">ACCEPTED<")), []);
}

#[test]
fn all_violations_of_a_receipt_are_told_at_once() {
    let changes: [(Change, &str); 7] = [
        (("response:1<", "response:2<"), "R3-APP"),
        ((">bdx:noprocess<", ">x<"), "R4-APP"),
        ((">BV<", ">RE<"), "R6-APP"),
        ((">REJECTED<", ">ACCEPTED<"), "R7-APP"),
        (("07.089Z", "07.089"), "3.1.c"),
        ((">not-found<", "> <"), "R2-APP"),
        (("<cac:SenderParty>", "<cbc:Note>x</cbc:Note><cac:SenderParty>"), "R1-APP"),
    ];
    let xml = changes.iter().fold(made::receipt_xml(made::rejected()), |xml, (change, _)| changed(&xml, *change));
    let found = read_receipt(&xml);
    for (_, rule) in changes {
        assert!(found.iter().any(|violation| violation.rule == rule), "{rule} is not in {found:?}");
    }
    assert!(found.iter().any(|violation| violation.line.starts_with(LINE)));
    assert_eq!(receipt::read(made::receipt_xml(Outcome::Accepted).as_bytes()).unwrap(), made::receipt(Outcome::Accepted));
}
