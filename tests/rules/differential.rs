//! Mutated documents, judged by the published schemas and rules and by us: valid must be valid and invalid invalid, breach by
//! breach. Where we differ on purpose, the difference is of a named kind; `docs/rules.md` has them all, with the reason.
//!
//! `BREVBRO_MUTATIONS` is how many documents of each form are tried; 1,400 when it is not set.

use std::collections::BTreeMap;
use std::process::Command;

use brevbro::ident::DocumentKind;
use brevbro::sdk::envelope::{self, EnvelopeError};
use brevbro::sdk::message::{self, MessageLimits};
use brevbro::sdk::receipt::{self, Outcome, ReceiptError};
use brevbro::sdk::rules::{Breach, MAX_BREACHES, ReasonCode, Violation};
use brevbro::xml::{Document, Limits, XmlError};

use crate::common::{python, shared};
use crate::judge::{self, Form, Judge, Judgement, local, numbered};
use crate::made;
use crate::tree::{Numbers, Tree, mutate_octets};

/// The kinds of difference that are decided, besides those of single rules below.
const NO_DTD: &str = "a document type declaration is refused";
const UTF_8: &str = "another encoding than UTF-8 is refused";
const VERSION: &str = "another XML version than 1.0 is refused";
const NAMESPACE_URI: &str = "a namespace name need not be a URI";
const XML_ID: &str = "an xml:id may stand twice";
const SECOND: &str = "xmllint errs where another validator agrees with us";
const FOREIGN: &str = "what stands inside foreign elements is not looked at";
const CONTENT: &str = "what stands inside PayloadContent and ds:Signature is judged by itself";
const BLANKS: &str = "white space before base64 is passed over";
const NARROWER: &str = "a type narrower than the schema's is refused";
const CASE: &str = "codes are compared without case";

/// What a comparison comes to.
enum Compared {
    Valid,
    Invalid,
    Malformed,
    /// Decided otherwise, for these reasons.
    Decided(Vec<&'static str>),
    /// A difference that nobody decided.
    Unknown(String),
}

type Compare = fn(&[u8], &Judgement) -> Compared;

fn count() -> usize {
    std::env::var("BREVBRO_MUTATIONS").map_or(1_400, |text| text.parse().unwrap())
}

/// Each number is a document of its own: mostly one change, sometimes up to three, and one in eight with changed octets.
fn mutant(number: usize, seeds: &[String], trees: &[Tree]) -> Vec<u8> {
    let mut numbers = Numbers::new(number as u64);
    if numbers.below(8) == 0 {
        let mut octets = seeds[numbers.below(seeds.len())].clone().into_bytes();
        mutate_octets(&mut octets, &mut numbers);
        return octets;
    }
    let mut tree = trees[numbers.below(trees.len())].clone();
    for _ in 0..[1, 1, 1, 2, 3][numbers.below(5)] {
        tree.mutate(&mut numbers);
    }
    tree.write().into_bytes()
}

/// Tries that many documents, in portions; fails at the end when there was a difference that nobody decided.
fn run(name: &str, form: &Form, seeds: &[String], compare: Compare) {
    let Some(mut judge) = Judge::of(form) else { return };
    let trees: Vec<Tree> = seeds.iter().map(|seed| Tree::of(seed.as_bytes())).collect();
    let (mut valid, mut invalid, mut malformed, mut decided, mut unknown) = (0, 0, 0, BTreeMap::<_, usize>::new(), Vec::new());
    let numbers: Vec<usize> = (0..count()).collect();
    for portion in numbers.chunks(500) {
        let documents: Vec<Vec<u8>> = portion.iter().map(|number| mutant(*number, seeds, &trees)).collect();
        let judgements = judge.judge(&documents);
        for (document, judgement) in documents.iter().zip(judgements) {
            let mut compared = compared(document, &judgement, compare);
            if matches!(compared, Compared::Unknown(_)) && judgement.formed.is_none() {
                let second = judge.second_opinion(document);
                let opinion = |judgement: &Judgement| (judgement.schema.is_empty(), judgement.core, judgement.core_schema);
                if opinion(&second) != opinion(&judgement) && !matches!(self::compared(document, &second, compare), Compared::Unknown(_)) {
                    compared = Compared::Decided(vec![SECOND]);
                }
            }
            match compared {
                Compared::Valid => valid += 1,
                Compared::Invalid => invalid += 1,
                Compared::Malformed => malformed += 1,
                Compared::Decided(kinds) => kinds.into_iter().for_each(|kind| *decided.entry(kind).or_default() += 1),
                Compared::Unknown(what) => unknown.push(format!("{what}\ntheirs: {judgement:?}\n{}", String::from_utf8_lossy(document))),
            }
        }
    }
    println!("{name}: {} documents; both valid {valid}, both invalid {invalid}, both malformed {malformed}", numbers.len());
    for (kind, count) in &decided {
        println!("    decided otherwise: {kind}: {count}");
    }
    if let Ok(path) = std::env::var("BREVBRO_DIFFERENCES") {
        std::fs::write(format!("{path}/{name}.txt"), unknown.join("\n----\n")).unwrap();
    }
    assert_eq!(unknown.len(), 0, "{}", unknown[..unknown.len().min(3)].join("\n----\n"));
    // A run in which one side says the same to everything shows nothing.
    assert!(valid * 20 > numbers.len() && invalid * 5 > numbers.len(), "{valid} valid, {invalid} invalid of {}", numbers.len());
}

fn compared(document: &[u8], judgement: &Judgement, compare: Compare) -> Compared {
    let ours = Document::parse(document, &Limits::of(1 << 22));
    match (ours, &judgement.formed) {
        (Ok(_), None) => compare(document, judgement),
        (Err(XmlError::Dtd), _) => Compared::Decided(vec![NO_DTD]),
        (Err(XmlError::Encoding), None) => Compared::Decided(vec![UTF_8]),
        (Err(XmlError::Malformed { reason, .. }), None) if reason.contains("XML version") => Compared::Decided(vec![VERSION]),
        (Ok(_), Some(reason)) if reason.contains("is not a valid URI") => Compared::Decided(vec![NAMESPACE_URI]),
        (Ok(_), Some(reason)) if reason.contains("already defined") => Compared::Decided(vec![XML_ID]),
        (Err(_), Some(_)) => Compared::Malformed,
        (ours, _) => Compared::Unknown(format!("well-formed for one side only: {:?}", ours.map(|_| ()))),
    }
}

// ---------------------------------------------------------------------------------------------------- the message

/// Rules that only the text of SDK B1.3.3 has, by what we say of them.
const MESSAGE_RULES: [(&str, &str); 6] = [
    ("must be a valid base64 encoded string", "base64 is decoded, not just its first character looked at"),
    ("Wrong or unknown recipient-id", "a participant id has its form"),
    ("Wrong or unknown sender-id", "a participant id has its form"),
    ("no function address", "a function address has its form"),
    ("referenceId is longer", "an extension of a reference has 256 characters"),
    ("neither ContentText nor ContentFiles", "a document has a text or a file"),
];

fn same_message(document: &[u8], judgement: &Judgement) -> Compared {
    let (read, _) = message::examine(document, &MessageLimits::default());
    let breaches = read.err().unwrap_or_default();
    let echo = breaches.iter().find(|breach| breach.reason.contains("Kanariefagel") || breach.line.contains("Kanariefagel"));
    assert!(echo.is_none(), "echoed: {echo:?}");
    let kind = |breach: &Breach| MESSAGE_RULES.iter().find(|(reason, _)| breach.reason.contains(reason)).map(|(_, kind)| *kind);
    let (own, published): (Vec<_>, Vec<_>) = breaches.iter().partition(|breach| kind(breach).is_some());
    let base64_only = judgement.schema.is_empty() && judgement.rules.iter().all(|(rule, _)| rule == "contentFiles");
    match (published.is_empty(), judgement.valid()) {
        (true, true) if own.is_empty() => Compared::Valid,
        (true, true) => Compared::Decided(own.into_iter().filter_map(kind).collect()),
        (true, false) if judgement.core => Compared::Decided(vec![FOREIGN]),
        (true, false) if base64_only => Compared::Decided(if own.is_empty() { vec![BLANKS] } else { own.into_iter().filter_map(kind).collect() }),
        (false, true) if published.iter().all(|breach| breach.reason.contains("attribute")) && narrower(document) => {
            Compared::Decided(vec![NARROWER])
        }
        (false, false) => match disagreement(document, judgement, &breaches, &published) {
            Some(what) => Compared::Unknown(format!("{what}\nours: {breaches:?}")),
            None => Compared::Invalid,
        },
        _ => Compared::Unknown(format!("valid for one side only\nours: {breaches:?}")),
    }
}

/// Both say invalid: it has to be for the same reasons at the same places.
fn disagreement(document: &[u8], judgement: &Judgement, breaches: &[Breach], published: &[&Breach]) -> Option<String> {
    let structural: Vec<String> = breaches.iter().filter(|breach| breach.code == ReasonCode::Sv).map(|breach| numbered(&breach.line)).collect();
    if structural.is_empty() != judgement.schema.is_empty() && !judgement.core_schema && !narrower(document) {
        return Some("the schema is broken for one side only".into());
    }
    if breaches.len() == MAX_BREACHES {
        return None;
    }
    let lines: Vec<String> = breaches.iter().map(|breach| numbered(&breach.line)).collect();
    for (rule, full) in
        judgement.rules.iter().filter(|(rule, full)| !(rule == "contentFiles" || inside_foreign(full) && rule != "verifyNonEmptyElements"))
    {
        let path = local(full);
        // Below what the schema does not have at its place we do not look, and a text with elements in it is none.
        let unsound = structural.iter().any(|line| path.starts_with(line) || line.starts_with(&format!("{path}/")));
        if !lines.contains(&path) && !unsound {
            return Some(format!("{rule} at {path} was not told"));
        }
    }
    let unfounded = published.iter().filter(|breach| breach.code == ReasonCode::Bv).map(|breach| numbered(&breach.line));
    let unfounded = unfounded.into_iter().find(|line| !judgement.rules.iter().any(|(_, path)| local(path) == *line));
    unfounded.map(|line| format!("{line} is fine for them"))
}

/// Whether a place lies inside an element of another namespace than the message's.
fn inside_foreign(path: &str) -> bool {
    let steps: Vec<&str> = path.split("/Q{").filter(|step| !step.is_empty()).collect();
    steps[..steps.len() - 1].iter().any(|step| !step.starts_with(message::NAMESPACE))
}

/// Whether the document names a type of XML Schema itself.
fn narrower(document: &[u8]) -> bool {
    String::from_utf8_lossy(document).contains("xsi:type=\"xs:")
}

#[test]
fn mutated_messages_are_judged_as_the_published_judges_do() {
    let mut seeds = vec![made::message_xml()];
    for path in ["message/testdata/min.xml", "message/examples/messageWithAttachments3.xml"] {
        let Some(path) = shared(&format!("sdk-docs/{path}")) else { return };
        seeds.push(std::fs::read_to_string(path).unwrap());
    }
    run("message", &judge::MESSAGE, &seeds, same_message);
}

// ---------------------------------------------------------------------------------------- the envelope and the receipt

/// A rule of ours that the published judges do not have or have otherwise: its number, words of what we say, the kind.
type Own = (&'static str, &'static str, &'static str);

/// Compares rule by rule.
fn same_rules(judgement: &Judgement, violations: &[Violation], own: &[Own], missed: Option<&'static str>) -> Compared {
    let kind = |violation: &Violation| {
        let found = own.iter().find(|(rule, words, _)| violation.rule == *rule && violation.reason.contains(words));
        found.map(|(.., kind)| *kind)
    };
    let (own, published): (Vec<_>, Vec<_>) = violations.iter().partition(|violation| kind(violation).is_some());
    let unknown = |what: String| Compared::Unknown(format!("{what}\nours: {violations:?}"));
    match (violations.is_empty(), judgement.valid(), missed) {
        (true, true, _) => Compared::Valid,
        (false, true, _) if published.is_empty() => Compared::Decided(own.into_iter().filter_map(kind).collect()),
        (true, false, Some(kind)) => Compared::Decided(vec![kind]),
        (false, false, _) => {
            for (rule, path) in &judgement.rules {
                let at = anchor(rule, &local(path));
                let related = |line: String| line.starts_with(&at) || at.starts_with(&line);
                let cased = matches!(rule.as_str(), "R5-APP" | "R6-APP");
                if !cased && !violations.iter().any(|v| v.rule == *rule || related(numbered(&v.line))) {
                    return unknown(format!("{rule} at {} was not told", local(path)));
                }
            }
            let founded = |violation: &Violation| !judgement.schema.is_empty() || judgement.rules.iter().any(|(rule, _)| *rule == violation.rule);
            match published.into_iter().find(|violation| !founded(violation)) {
                Some(violation) => unknown(format!("{} is fine for them", violation.rule)),
                None => Compared::Invalid,
            }
        }
        _ => unknown("valid for one side only".into()),
    }
}

/// The element that a rule is about: the published rules put some on the root.
fn anchor(rule: &str, path: &str) -> String {
    match rule {
        "R4-XHE" | "R5-XHE" | "R6-XHE" | "R7-XHE" | "R8-XHE" => "/XHE[1]/Header[1]/BusinessScope[1]".into(),
        "R3-APP" => "/ApplicationResponse[1]/CustomizationID[".into(),
        "R4-APP" => "/ApplicationResponse[1]/ProfileID[".into(),
        _ => path.to_owned(),
    }
}

const XHE_RULES: [Own; 15] = [
    ("2.2", "a UUID", "an envelope's ID is a UUID"),
    ("2.2", "a date and time with zone", "a moment has a zone"),
    ("2.2", "application/xml", "the content's type is application/xml"),
    ("2.2", "a function address", "a function address has its form"),
    ("C3.2.6", "", "document, process, schemes and federation are SDK's"),
    ("C3.2.7", "", "a participant id has its form"),
    ("R1-XHE", "an attribute", "R1: no attribute that the text does not name"),
    ("R1-XHE", "not in the profile", "R1: no element that the text does not name"),
    ("R2-XHE", "its attribute", "R2: no empty attribute"),
    ("R11-XHE", "", "R11 is about ToParty; published, it looks at FromParty"),
    ("R14-XHE", "the criterion", "R14: five criteria, each once"),
    ("R14-XHE", "is repeated", "R14: what the text has once stands once"),
    ("R14-XHE", "is missing", "R14: what the text has once is there"),
    ("XSD", "one element", "PayloadContent holds one element"),
    ("XSD", "holds text", "PayloadContent holds one element"),
];

fn same_envelope(document: &[u8], judgement: &Judgement) -> Compared {
    let read = envelope::read(document);
    // What passes by is judged as what is held.
    match envelope::Passing::of(&mut &document[..]).unwrap() {
        Err(EnvelopeError::Xml(XmlError::TooLarge { .. })) => {}
        passed => assert_eq!(passed.map(|passed| passed.header), read, "{}", String::from_utf8_lossy(document)),
    }
    let violations = match read {
        Ok(_) => Vec::new(),
        Err(EnvelopeError::Profile(violations)) => violations,
        Err(EnvelopeError::Xml(error)) => return Compared::Unknown(format!("read once only: {error}")),
    };
    same_rules(judgement, &violations, &XHE_RULES, judgement.core.then_some(CONTENT))
}

#[test]
fn mutated_envelopes_are_judged_as_the_published_judges_do() {
    let seeds = [made::unsigned(&made::envelope(DocumentKind::Message)), made::unsigned(&made::envelope(DocumentKind::Receipt))];
    run("envelope", &judge::XHE, &seeds, same_envelope);
}

const RECEIPT_RULES: [Own; 8] = [
    ("R7-APP", "", "R7 and R8 see a code in any case and with white space"),
    ("R8-APP", "", "R7 and R8 see a code in any case and with white space"),
    ("3.1", "envelope's ID", "a receipt refers to a UUID"),
    ("3.1.c", "", "a moment has a zone"),
    ("3.1.d", "", "the scheme of a participant id is fixed"),
    ("3.1.e", "", "the scheme of a participant id is fixed"),
    ("C3.2.7", "", "a participant id has its form"),
    ("R2-APP", "its attribute", "R2: no empty attribute"),
];

fn same_receipt(document: &[u8], judgement: &Judgement) -> Compared {
    let violations = match receipt::read(document) {
        Ok(_) => Vec::new(),
        Err(ReceiptError::Profile(violations)) => violations,
        Err(ReceiptError::Xml(error)) => return Compared::Unknown(format!("read once only: {error}")),
    };
    let codes = judgement.schema.is_empty() && judgement.rules.iter().all(|(rule, _)| matches!(rule.as_str(), "R5-APP" | "R6-APP"));
    same_rules(judgement, &violations, &RECEIPT_RULES, codes.then_some(CASE))
}

#[test]
fn mutated_receipts_are_judged_as_the_published_judges_do() {
    let seeds = [made::receipt_xml(Outcome::Accepted), made::receipt_xml(made::rejected())];
    run("receipt", &judge::RECEIPT, &seeds, same_receipt);
}

// ------------------------------------------------------------------------------------------------- the judge itself

#[test]
fn the_judge_of_many_says_what_the_judge_of_one_says() {
    let forms = [
        (&judge::MESSAGE, vec![made::message_xml()]),
        (&judge::XHE, vec![made::unsigned(&made::envelope(DocumentKind::Receipt))]),
        (&judge::RECEIPT, vec![made::receipt_xml(made::rejected())]),
    ];
    for (form, seeds) in forms {
        let (Some(mut judge), Some(rules), Some(script), Some(python)) =
            (Judge::of(form), shared(form.rules), shared("tools/schematron.py"), python())
        else {
            return;
        };
        let trees: Vec<Tree> = seeds.iter().map(|seed| Tree::of(seed.as_bytes())).collect();
        let documents: Vec<Vec<u8>> = (0..120).map(|number| mutant(number, &seeds, &trees)).collect();
        let judgements = judge.judge(&documents);
        // What breaks the schema may leave a rule that cannot be worked out, which the two take differently.
        let sound = |judgement: &Judgement| judgement.formed.is_none() && judgement.schema.is_empty();
        let (documents, judgements): (Vec<_>, Vec<_>) = documents.into_iter().zip(judgements).filter(|(_, judgement)| sound(judgement)).unzip();
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..documents.len()).map(|number| dir.path().join(format!("{number}.xml"))).collect();
        paths.iter().zip(&documents).for_each(|(path, document)| std::fs::write(path, document).unwrap());
        let output = Command::new(python).arg(script).arg(rules).args(&paths).output().unwrap();
        let output = String::from_utf8_lossy(&output.stdout);
        let mut verdicts = [0, 0];
        for (path, judgement) in paths.iter().zip(&judgements) {
            let valid = judgement.rules.is_empty();
            verdicts[usize::from(valid)] += 1;
            let line = format!("{} {}\n", path.display(), if valid { "valid" } else { "invalid" });
            assert!(output.contains(&line), "{judgement:?}\n{}", std::fs::read_to_string(path).unwrap());
        }
        assert!(verdicts[0] > 2 && verdicts[1] > 5, "{verdicts:?}");
    }
}
