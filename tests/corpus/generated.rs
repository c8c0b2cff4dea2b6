//! Any mail in, the same meaning out: mails that nobody wrote, of any structure, charset, encoding, name and content.
//!
//! `BREVBRO_GENERATED=20000` makes so many; one that fails is made smaller and printed.

use std::collections::BTreeMap;

use brevbro::crypto::sha256;
use brevbro::mail::convert::outgoing;
use brevbro::mail::policy::MailboxPolicy;
use mail_parser::{MessageParser, MimeHeaders as _};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::build::{Enc, Loss, Mail, Name, Part, file_in, image, mail, multi, png, text};
use crate::there_and_back::{faults, through};
use crate::{common, judge};

/// A piece of a page, in both its forms: what is written as text and as HTML. The words are the same.
#[derive(Debug, Clone)]
enum Piece {
    Line(Vec<String>),
    Styled(&'static str, Vec<String>),
    List(bool, Vec<Vec<String>>),
    Rows(Vec<Vec<String>>),
    Quote(Vec<String>),
    Heading(Vec<String>),
    Word(Vec<String>),
    Hidden(Vec<String>),
    Blank,
}

const STYLES: [&str; 6] = ["b", "i", "u", "span style=\"color:#1F497D\"", "font color=blue", "strong"];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[a-zåäöA-ZÅÄÖ]{1,12}", 1 => "[0-9]{1,6}", 1 => "[éüøæñß]{2,5}"]
}

fn words() -> impl Strategy<Value = Vec<String>> {
    // Signs between words mean something to one of the three languages on the way.
    let sign = prop_oneof![
        Just("*"),
        Just("**"),
        Just("_"),
        Just("#"),
        Just(">"),
        Just("-"),
        Just("1."),
        Just("&"),
        Just("<"),
        Just("`"),
        Just("\\"),
        Just("]("),
        Just("]:"),
        Just("~~"),
        Just("|"),
        Just("="),
        Just("--"),
        Just("."),
        Just("&amp;"),
        Just("<b>"),
        Just("[x]"),
        Just("+"),
        Just("2)"),
        Just("!["),
        Just("://")
    ];
    prop::collection::vec(prop_oneof![10 => word(), 1 => sign.prop_map(str::to_owned)], 1..8)
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        6 => words().prop_map(Piece::Line),
        2 => (prop::sample::select(&STYLES[..]), words()).prop_map(|(style, words)| Piece::Styled(style, words)),
        1 => (any::<bool>(), prop::collection::vec(words(), 1..5)).prop_map(|(numbered, items)| Piece::List(numbered, items)),
        1 => prop::collection::vec(prop::collection::vec(word(), 1..4), 1..4).prop_map(Piece::Rows),
        1 => words().prop_map(Piece::Quote),
        1 => words().prop_map(Piece::Heading),
        1 => words().prop_map(Piece::Word),
        1 => words().prop_map(Piece::Hidden),
        1 => Just(Piece::Blank),
    ]
}

fn escaped(words: &[String]) -> String {
    words.join(" ").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Piece {
    fn html(&self) -> String {
        match self {
            Self::Line(words) => format!("<p>{}</p>\n", escaped(words)),
            Self::Styled(style, words) => format!("<div>f <{style}>{}</{}> e</div>\n", escaped(words), style.split(' ').next().unwrap()),
            Self::List(numbered, items) => {
                let tag = if *numbered { "ol" } else { "ul" };
                format!("<{tag}>{}</{tag}>\n", items.iter().map(|words| format!("<li>{}</li>", escaped(words))).collect::<String>())
            }
            Self::Rows(rows) => {
                let rows = rows.iter().map(|row| format!("<tr>{}</tr>", row.iter().map(|word| format!("<td>{word}</td>")).collect::<String>()));
                format!("<table>{}</table>\n", rows.collect::<String>())
            }
            Self::Quote(words) => format!("<blockquote type=\"cite\">{}</blockquote>\n", escaped(words)),
            Self::Heading(words) => format!("<h2>{}</h2>\n", escaped(words)),
            Self::Word(words) => format!("<p class=MsoNormal>{}<o:p></o:p></p>\n", escaped(words)),
            Self::Hidden(words) => format!("<div style=\"display:none\">{}</div><!-- {} -->\n", escaped(words), escaped(words).replace("--", "")),
            Self::Blank => "<p>&nbsp;</p>\n".to_owned(),
        }
    }

    /// The words that a reader sees, whichever form it reads.
    fn words(&self) -> Vec<String> {
        match self {
            Self::Hidden(_) => Vec::new(),
            other => letters(&other.plain()),
        }
    }

    fn plain(&self) -> String {
        match self {
            Self::Line(words) | Self::Heading(words) | Self::Word(words) => words.join(" ") + "\n",
            Self::Styled(_, words) => format!("f {} e\n", words.join(" ")),
            Self::List(_, items) => items.iter().map(|words| format!("* {}\n", words.join(" "))).collect(),
            Self::Rows(rows) => rows.iter().map(|row| row.join("\t") + "\n").collect(),
            Self::Quote(words) => format!("> {}\n", words.join(" ")),
            Self::Hidden(_) | Self::Blank => "\n".to_owned(),
        }
    }
}

/// A file of a mail: how it is named and carried, and its bytes.
fn attachment() -> impl Strategy<Value = Part> {
    let style = prop::sample::select(
        &[Name::Quoted, Name::B, Name::Q, Name::BareB, Name::Extended, Name::Sections, Name::Both, Name::TypeOnly, Name::DispositionOnly][..],
    );
    let stem = "[a-zåäöÅÄÖ]([a-zåäö0-9 ._()-]{0,50}[a-zåäö0-9)])?";
    let octets =
        prop_oneof![prop::collection::vec(any::<u8>(), 0..1_500), prop::collection::vec(prop::sample::select(&b"\r\n.-=a \t\0\xff"[..]), 0..300)];
    let disposition = prop::sample::select(&["attachment", "inline"][..]);
    (style, stem, octets, any::<bool>(), disposition).prop_map(|(style, stem, octets, text, disposition)| {
        // `  ` in a name is one space to every reader of encoded words.
        let stem = stem.split_whitespace().collect::<Vec<_>>().join(" ");
        if text {
            // What a transfer encoding for text carries: lines.
            let lines: Vec<u8> = octets.iter().map(|octet| 32 + octet % 95).collect();
            let lines =
                [b"x", lines.chunks(60).map(|line| String::from_utf8_lossy(line).into_owned()).collect::<Vec<_>>().join("\r\n").as_bytes(), b"\r\n"]
                    .concat();
            let enc = [Enc::Qp, Enc::B64, Enc::Seven, Enc::B64Long][octets.len() % 4];
            file_in(style, &format!("{stem}.txt"), "text/plain; charset=us-ascii", enc, disposition, &lines)
        } else {
            let octets = [b"%PDF-1.4\n", &octets[..]].concat();
            file_in(
                style,
                &format!("{stem}.pdf"),
                "application/pdf",
                if octets.len().is_multiple_of(2) { Enc::B64 } else { Enc::B64Long },
                disposition,
                &octets,
            )
        }
    })
}

/// What the parts of a mail are put into.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Plain,
    Html,
    Both,
    BothInMixed,
    Related,
    TextsAround,
    Signed,
}

fn shape() -> impl Strategy<Value = Shape> {
    prop::sample::select(&[Shape::Plain, Shape::Html, Shape::Both, Shape::BothInMixed, Shape::Related, Shape::TextsAround, Shape::Signed][..])
}

fn boundary() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9'()+_,./:=?-]{1,20}[a-zA-Z0-9]".prop_map(|text| format!("=_{text}"))
}

/// Any mail, and the words that it shows.
fn any_mail() -> impl Strategy<Value = (Mail, Vec<String>)> {
    let charset = prop::sample::select(&["utf-8", "iso-8859-1", "windows-1252", "UTF-8", "utf-16"][..]);
    let enc = prop::sample::select(&[Enc::Qp, Enc::B64, Enc::Eight, Enc::B64Long][..]);
    let parts = (prop::collection::vec(piece(), 0..8), prop::collection::vec(attachment(), 0..4), shape(), any::<bool>());
    (parts, charset, enc, boundary(), prop::collection::vec(word(), 1..12), any::<[bool; 3]>()).prop_map(
        |((pieces, files, shape, logo), charset, enc, boundary, subject, [answer, noise, deep])| {
            let enc = if charset == "utf-16" { Enc::B64 } else { enc };
            let written: String = pieces.iter().map(Piece::plain).collect();
            let page = format!(
                "<html><head><style>p {{margin:0}}</style></head><body>\n{}{}</body></html>\n",
                pieces.iter().map(Piece::html).collect::<String>(),
                { if logo && matches!(shape, Shape::Related) { "<div id=Signature><img src=\"cid:logo@x\" height=40></div>" } else { "" } }
            );
            let (plain, html) = (text("plain", charset, enc, &written), text("html", charset, enc, &page));
            let inner = |number: u8| format!("{boundary}{number}");
            let both = || multi("alternative", &inner(1), vec![plain.clone(), html.clone()]);
            let subject = subject.join(" ");
            let mut made = mail("generated").subject(&subject);
            let mut twins = BTreeMap::new();
            let files: Vec<Part> = files
                .into_iter()
                .map(|mut part| {
                    // The second file of a name gets a number, which the generator knows too.
                    let name = part.files[0].0.clone();
                    let count = twins.entry(name.to_lowercase()).or_insert(0);
                    *count += 1;
                    if *count > 1 {
                        let (stem, extension) = name.rsplit_once('.').unwrap();
                        part = part.named(&format!("{stem} ({count}).{extension}"));
                    }
                    part
                })
                .collect();
            for file in &files {
                if file.files[0].0.contains(").") && twins.keys().all(|name| *name != file.files[0].0.to_lowercase()) {
                    made = made.loses(Loss::Twin(Box::leak(file.files[0].0.clone().into_boxed_str())));
                }
            }
            let small = png(40, 700);
            let mut parts = match shape {
                Shape::Plain => vec![plain],
                Shape::Html => vec![html],
                Shape::Both => vec![both()],
                Shape::BothInMixed => vec![multi("mixed", &inner(2), vec![both()])],
                Shape::Related if logo => {
                    made = made.loses(Loss::Decoration("logo.png", small.clone()));
                    vec![multi("related", &inner(3), vec![both(), image("logo@x", "logo.png", &small).lost()])]
                }
                Shape::Related => vec![multi("related", &inner(3), vec![both()])],
                Shape::TextsAround => vec![plain.clone(), plain],
                Shape::Signed => {
                    made = made.loses(Loss::Signature);
                    let signature = Part::raw(&["Content-Type: application/pgp-signature"], "-----BEGIN PGP SIGNATURE-----\r\n");
                    vec![multi("signed; protocol=\"application/pgp-signature\"; micalg=pgp-sha256", &inner(4), vec![both(), signature])]
                }
            };
            parts.extend(files.clone());
            let mut body = if parts.len() == 1 && !deep { parts.remove(0) } else { multi("mixed", &inner(5), parts) };
            if deep {
                body = multi("mixed", &inner(6), vec![multi("mixed", &inner(7), vec![body])]);
            }
            if noise && body.head[0].starts_with(b"Content-Type: multipart") {
                body.body = [b"This is a multi-part message in MIME format.\r\n\r\n", &body.body[..], b"\r\n--not a boundary\r\n"].concat();
            }
            let silent = !pieces.iter().any(|piece| !matches!(piece, Piece::Hidden(_) | Piece::Blank));
            if silent && files.is_empty() {
                made = made.loses(Loss::SubjectAsText);
            }
            made = made.body(body);
            let mut words: Vec<String> = pieces.iter().flat_map(Piece::words).collect();
            if matches!(shape, Shape::TextsAround) {
                words.extend(words.clone());
            }
            (if answer { made.answers() } else { made }, words)
        },
    )
}

fn cases() -> u32 {
    std::env::var("BREVBRO_GENERATED").ok().map_or(250, |cases| cases.parse().unwrap())
}

fn letters(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_time: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Read by a parser of another make than what composed it; Python judges some hundreds of them in the next test.
    #[test]
    fn any_mail_in_is_the_same_meaning_out((mail, words) in any_mail()) {
        let bytes = mail.bytes();
        let converted = outgoing(&bytes, &MailboxPolicy::default()).map_err(|error| TestCaseError::fail(format!("{error}\n{}", String::from_utf8_lossy(&bytes))))?;
        let (_, delivered) = through(&converted);
        let parsed = MessageParser::default().parse(&delivered).unwrap();
        let digests: Vec<String> = mail.part.files.iter().map(|(_, body)| sha256(body).to_string()).collect();
        prop_assert_eq!(converted.files.iter().map(|file| sha256(&file.body).to_string()).collect::<Vec<_>>(), digests.clone(), "of the content");
        prop_assert_eq!(parsed.attachments().filter(|part| !part.is_text()).map(|part| sha256(part.contents()).to_string()).collect::<Vec<_>>(),
            mail.part.files.iter().filter(|(name, _)| !name.to_lowercase().ends_with(".txt")).map(|(_, body)| sha256(body).to_string()).collect::<Vec<_>>(), "of the mail");
        let names: Vec<&str> = parsed.attachments().map(|part| part.attachment_name().unwrap()).collect();
        prop_assert_eq!(names, mail.part.files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
        prop_assert_eq!(parsed.subject().unwrap(), &mail.label);
        let shown = letters(&parsed.body_text(0).unwrap());
        let missing = judge::missing(&words, &shown);
        prop_assert!(missing.is_empty(), "missing {missing:?} of\n{}\nin\n{}", String::from_utf8_lossy(&bytes), parsed.body_text(0).unwrap());
    }
}

#[test]
fn python_finds_the_same_in_generated_mails() {
    if !common::has("python3") {
        return;
    }
    let mut runner = TestRunner::deterministic();
    for batch in 0..cases().div_ceil(500) {
        let count = (cases() - batch * 500).min(500);
        let mails: Vec<Mail> = (0..count).map(|_| any_mail().new_tree(&mut runner).unwrap().current().0).collect();
        let converted: Vec<_> = mails.iter().map(|mail| outgoing(&mail.bytes(), &MailboxPolicy::default()).unwrap()).collect();
        let pairs: Vec<_> = mails.iter().zip(&converted).map(|(mail, converted)| (mail.bytes(), Some(through(converted).1))).collect();
        for ((mail, converted), verdict) in mails.iter().zip(&converted).zip(judge::judge(&pairs)) {
            let faults = faults(mail, converted, &verdict);
            assert!(faults.is_empty(), "{faults:#?}\n{}", String::from_utf8_lossy(&mail.bytes()));
        }
    }
}
