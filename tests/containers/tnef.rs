//! winmail.dat.

use brevbro::mail::convert::{ConvertError, outgoing};
use brevbro::mail::policy::MailboxPolicy;

use crate::writer::{Attachment, Part, Properties, STORAGE, Winmail, ansi, compressed, set};
use crate::{PDF, converted, files, notes, refused, text};

const COMMON: u8 = 8;
const APPOINTMENT: u8 = 2;
const TASK: u8 = 3;

/// What Word writes as Outlook's editor.
const WORD_RTF: &str = r"{\rtf1\adeflang1025\ansi\ansicpg1252\uc1\adeff0\deff0{\fonttbl{\f0\froman\fcharset0\fprq2{\*\panose 02020603050405020304}Times New Roman;}{\f37\fswiss\fcharset0 Calibri;}}
{\colortbl;\red0\green0\blue0;}{\stylesheet{\ql \f0\fs22 \snext0 Normal;}}{\*\generator Microsoft Word 15.0.5}{\info{\author Anna}}
\pard\plain \ltrpar\ql\f37\fs22 {\rtlch\fcs1 \af0 \ltrch\fcs0 Hej p\'e5 {\b dig}, v\u228\'e4lkommen till \u8220?H\'e5bo\u8221?\par }
\pard\plain {\listtext\pard\plain\f3 \'b7\tab}\ilvl0 \'c4rende ett\par
\pard\plain {\field{\*\fldinst HYPERLINK {\*\datafield 0011}https://www.habo.se}{\fldrslt {\ul www.habo.se}}}\par
}";

fn note(html: &str) -> Properties {
    Properties::default().text(0x001a, "IPM.Note").text(0x0037, "Prov").binary(0x1013, html.as_bytes()).int(0x3fde, 65001)
}

fn mixed(plain: &str, winmail: &Winmail) -> Vec<u8> {
    Part::multipart("mixed", &[Part::text(plain), Part::winmail(&winmail.octets())]).mail()
}

#[test]
fn attachments_come_out_with_their_long_names_and_types() {
    let named = |tag: u16, name: &str| Attachment { title: Vec::new(), data: Some(PDF.to_vec()), properties: Properties::default().ansi(tag, name) };
    let winmail = Winmail::new("IPM.Microsoft Mail.Note", note("<p>Hej</p>"))
        .with(Attachment::file("Beslut om försörjningsstöd – Åsa.pdf", PDF))
        .with(named(0x3707, "Ansökan åäö.pdf"))
        .with(named(0x3704, "KORT~1.PDF"))
        .with(Attachment { title: ansi("ÅLDRE.PDF\0"), data: Some(PDF.to_vec()), properties: Properties::default() })
        .with(Attachment {
            properties: Properties::default().text(0x3001, "Visat namn").text(0x3703, ".pdf").text(0x370e, "application/pdf").binary(0x3701, PDF),
            ..Attachment::default()
        })
        .with(Attachment {
            data: Some(b"a;b\r\n".to_vec()),
            properties: Properties::default().text(0x3707, "tal.csv").text(0x370e, "text/csv"),
            ..Attachment::default()
        });
    let mail = converted(&mixed("Hej\n", &winmail));
    let pdf = "application/pdf";
    let expected = [
        ("Beslut om försörjningsstöd – Åsa.pdf", pdf, PDF),
        ("Ansökan åäö.pdf", pdf, PDF),
        ("KORT~1.PDF", pdf, PDF),
        ("ÅLDRE.PDF", pdf, PDF),
        ("Visat namn.pdf", pdf, PDF),
        ("tal.csv", "text/csv", b"a;b\r\n"),
    ];
    assert_eq!(files(&mail), expected);
    assert_eq!((text(&mail), notes(&mail).len()), ("Hej", 0));
}

#[test]
fn names_and_texts_in_another_code_page_come_right() {
    let mut winmail = Winmail::new("IPM.Note", Properties::default().int(0x0e1f, 0));
    winmail.page = 850;
    winmail.old = vec![(0x0002_800c, b"R\x84ksm\x94rg\x86s\0".to_vec())];
    let attachment = Attachment { title: b"\x8fRSBOK.PDF\0".to_vec(), data: Some(PDF.to_vec()), properties: Properties::default() };
    let mail = converted(&mixed("", &winmail.with(attachment)));
    assert_eq!((text(&mail), files(&mail)[0].0), ("Räksmörgås", "ÅRSBOK.PDF"));
}

#[test]
fn a_hidden_program_does_not_pass() {
    let mut program = b"MZ\x90\0\x03\0\0\0".to_vec();
    program.resize(200, 0);
    for (name, data) in [("faktura.exe", PDF.to_vec()), ("faktura.pdf", program.clone())] {
        let inner = Winmail::new("IPM.Note", note("x")).with(Attachment::file(name, &data));
        for winmail in [inner.clone(), Winmail::new("IPM.Note", note("y")).with(Attachment::message("inre", &inner.octets()))] {
            let error = refused(&mixed("Hej\n", &winmail));
            assert_eq!(error, ConvertError::Program { name: name.to_owned() });
            assert_eq!((error.code(), error.status()), (550, (7, 1)));
        }
    }
    let zip = Winmail::new("IPM.Note", note("x")).with(Attachment::file("a.zip", b"PK\x03\x04"));
    assert!(matches!(refused(&mixed("Hej\n", &zip)), ConvertError::Type { .. }));
    let empty = Winmail::new("IPM.Note", note("x")).with(Attachment::file("a.pdf", b""));
    assert!(matches!(refused(&mixed("Hej\n", &empty)), ConvertError::EmptyFile { .. }));
}

#[test]
fn the_body_is_taken_from_html_rtf_or_text() {
    let body = |properties: Properties| {
        let mail = Part::winmail(&Winmail::new("IPM.Note", properties).octets()).mail();
        text(&converted(&mail)).to_owned()
    };
    let plain = || Properties::default().text(0x1000, "Bara text");
    assert_eq!(body(plain()), "Bara text");
    let html = "<p>Hej <b>Åsa</b></p>";
    assert_eq!(body(plain().binary(0x1013, html.as_bytes()).int(0x3fde, 65001)), "Hej **Åsa**");
    assert_eq!(body(plain().binary(0x1013, &ansi(html)).int(0x3fde, 1252)), "Hej **Åsa**");
    assert_eq!(body(plain().text(0x1013, html)), "Hej **Åsa**");
    let wrapped = r"{\rtf1\ansi\ansicpg1252\fromhtml1 \deff0{\fonttbl{\f0\fswiss\fcharset0 Arial;}}{\*\htmltag64 <p>}\htmlrtf \par\htmlrtf0 Hej {\*\htmltag84 <b>}\htmlrtf {\b\htmlrtf0 \'c5sa\htmlrtf }\htmlrtf0 {\*\htmltag92 </b>}{\*\htmltag72 </p>}}";
    assert_eq!(body(plain().binary(0x1009, &compressed(wrapped.as_bytes()))), "Hej **Åsa**");
    let uncompressed =
        [&(wrapped.len() as u32 + 12).to_le_bytes()[..], &(wrapped.len() as u32).to_le_bytes(), b"MELA\0\0\0\0", wrapped.as_bytes()].concat();
    assert_eq!(body(plain().binary(0x1009, &uncompressed)), "Hej **Åsa**");
    assert_eq!(body(plain().binary(0x1009, &compressed(br"{\rtf1\ansi\fromtext Hej \'c5sa\par d\'e5}"))), "Hej Åsa  \ndå");
    let word = body(plain().binary(0x1009, &compressed(WORD_RTF.as_bytes())));
    assert_eq!(word, "Hej på **dig**, välkommen till “Håbo”\n\n* Ärende ett\n\nwww.habo.se");
}

#[test]
fn the_mail_s_own_body_counts_and_nothing_of_the_other_is_lost() {
    let rtf = |text: &str| Properties::default().binary(0x1009, &compressed(format!(r"{{\rtf1\ansi {{\b {text}}}\par}}").as_bytes()));
    let with = |parts: &[Part], properties: Properties| {
        let mut all: Vec<Part> = parts.iter().map(|part| Part(part.0.clone(), part.1.clone())).collect();
        all.push(Part::winmail(&Winmail::new("IPM.Note", properties).octets()));
        converted(&Part::multipart("mixed", &all).mail())
    };
    // The same words: the form that keeps bold.
    assert_eq!(text(&with(&[Part::text("Hej du\n")], rtf("Hej du"))), "**Hej du**");
    assert_eq!(text(&with(&[Part::html("<p><i>Hej du</i></p>")], rtf("Hej du"))), "_Hej du_");
    // One says more.
    assert_eq!(text(&with(&[Part::text("Hej du där\n")], rtf("Hej du"))), "Hej du där");
    assert_eq!(text(&with(&[Part::text("Hej\n")], rtf("Hej du"))), "**Hej du**");
    assert_eq!(text(&with(&[Part::text(" \n")], rtf("Hej du"))), "**Hej du**");
    // Each says something that the other does not.
    let both = with(&[Part::text("Hej Anna\n")], rtf("Hej Bo"));
    assert_eq!(text(&both), "Hej Anna\n\n**Hej Bo**");
    assert_eq!(notes(&both), ["Mejlet hade två olika texter; båda skickas, efter varandra."]);
}

#[test]
fn images_of_the_text_are_found_by_content_id_and_by_place() {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x04\0\0\0\x04\0\x08\x02\0\0\0".to_vec();
    png.resize(80_000, 7);
    let image = |name: &str, properties: Properties| Attachment {
        data: Some(png.clone()),
        properties: properties.text(0x3707, name).text(0x370e, "image/png"),
        ..Attachment::default()
    };
    let html = r#"<p>Se <img src="cid:image001.png@01DB"> och <img src="bild två.png"></p>"#;
    let winmail = Winmail::new("IPM.Note", note(html))
        .with(image("image001.png", Properties::default().text(0x3712, "image001.png@01DB")))
        .with(image("plats.png", Properties::default().text(0x3713, "bild två.png")));
    let mail = converted(&mixed("", &winmail));
    assert_eq!(text(&mail), "Se [Bild 1: image001.png] och [Bild 2: plats.png]");
    assert_eq!(files(&mail).iter().map(|file| file.0).collect::<Vec<_>>(), ["image001.png", "plats.png"]);
    let hex = png.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().concat();
    let rtf = format!(r"{{\rtf1\ansi F\'f6re {{\pict\pngblip {hex}}} efter\par}}");
    let mail = converted(&mixed("", &Winmail::new("IPM.Note", Properties::default().binary(0x1009, &compressed(rtf.as_bytes())))));
    assert_eq!((text(&mail), files(&mail)[0].2 == png), ("Före [Bild 1: bild-1.png] efter", true));
}

#[test]
fn messages_in_messages_stand_in_the_text_three_levels_deep() {
    let inner = |subject: &str, words: &str| {
        let properties = note(&format!("<p>{words}</p>"))
            .text(0x0c1a, "Bo Öberg")
            .text(0x0042, "Bo Öberg")
            .text(0x5d02, "bo@af.se")
            .time(0x0039, "2026-03-04T08:30:00Z");
        let mut winmail = Winmail::new("IPM.Note", Properties::default().text(0x0037, subject));
        winmail.properties = properties;
        winmail.properties = Properties::default().text(0x0037, subject);
        winmail.properties = winmail.properties.text(0x0042, "Bo Öberg").text(0x5d02, "bo@af.se").time(0x0039, "2026-03-04T08:30:00Z");
        winmail.properties = winmail.properties.binary(0x1013, format!("<p>{words}</p>").as_bytes()).int(0x3fde, 65001);
        winmail.recipients = vec![
            Properties::default().int(0x0c15, 1).text(0x3001, "Åsa").text(0x39fe, "asa@habo.se"),
            Properties::default().int(0x0c15, 2).text(0x3001, "registrator@habo.se").text(0x39fe, "registrator@habo.se"),
        ];
        winmail
    };
    let third = inner("Tredje", "Längst in").with(Attachment::file("inre.pdf", PDF));
    let second = inner("Andra", "Mitten").with(Attachment::message("Tredje", &third.octets()));
    let first = Winmail::new("IPM.Note", note("<p>Ytterst</p>"))
        .with(Attachment::message("Andra", &second.octets()))
        .with(Attachment::file("yttre.pdf", PDF));
    let mail = converted(&mixed("Ytterst\n", &first));
    let heading = |subject: &str| {
        format!(
            "——— Bifogat mejl ———  \nFrån: Bo Öberg \\<bo@af.se>  \nSkickat: onsdag 4 mars 2026 kl. 09.30  \nTill: Åsa \\<asa@habo.se>  \n\
             Kopia: registrator@habo.se  \nÄmne: {subject}"
        )
    };
    assert_eq!(text(&mail), format!("Ytterst\n\n{}\n\nMitten\n\n{}\n\nLängst in", heading("Andra"), heading("Tredje")));
    assert_eq!(files(&mail).iter().map(|file| file.0).collect::<Vec<_>>(), ["inre.pdf", "yttre.pdf"]);
    assert_eq!(notes(&mail).len(), 2);
    let mut deep = inner("Botten", "x").octets();
    for _ in 0..11 {
        deep = Winmail::new("IPM.Note", note("x")).with(Attachment::message("m", &deep)).octets();
    }
    assert_eq!(refused(&Part::winmail(&deep).mail()), ConvertError::Tnef("TNEF is nested too deep".to_owned()));
}

#[test]
fn objects_and_links_are_named() {
    let properties = |method: i32| Properties::default().text(0x3001, "Diagram 1").int(0x3705, method);
    let object = Attachment { properties: properties(6).object(0x3701, STORAGE, b"\xd0\xcf\x11\xe0"), ..Attachment::default() };
    let link = Attachment { properties: properties(7).text(0x370d, "https://habo.sharepoint.com/d"), ..Attachment::default() };
    let mail = converted(&mixed("Hej\n", &Winmail::new("IPM.Note", note("Hej")).with(object).with(link)));
    assert_eq!(text(&mail), "Hej\n\nLänkad fil: Diagram 1 https://habo.sharepoint.com/d");
    let expected = [
        "Objektet \"Diagram 1\" har en form som bara Outlook visar och följde inte med. Bifoga det som fil.",
        "Filen \"Diagram 1\" var en länk och följde inte med; länken står i texten.",
    ];
    assert_eq!(notes(&mail), expected);
    assert!(mail.has_lost());
}

/// `PidLidVerbStream` as Outlook writes it: the usual verbs, then the votes (MS-OXOMSG 2.2.1.74).
fn verbs(votes: &[&str]) -> Vec<u8> {
    let all: Vec<(u32, &str)> = [(102, "Reply"), (104, "Forward")].into_iter().chain(votes.iter().map(|vote| (4, *vote))).collect();
    let mut stream = [&0x0102_u16.to_le_bytes()[..], &(all.len() as u32).to_le_bytes()].concat();
    for (at, (kind, name)) in all.iter().enumerate() {
        let narrow = ansi(&name.replace('–', "-"));
        stream.extend(kind.to_le_bytes());
        for text in [&narrow[..], b"IPM.Note", b"", &narrow] {
            stream.push(text.len() as u8);
            stream.extend(text);
        }
        stream.extend([0_u8; 4 + 1 + 4 + 4]);
        stream.extend(2_u32.to_le_bytes());
        stream.extend(2_u32.to_le_bytes());
        stream.extend((at as u32 + 1).to_le_bytes());
        stream.extend(u32::MAX.to_le_bytes());
    }
    stream.extend(0x0104_u16.to_le_bytes());
    for (_, name) in &all {
        for _ in 0..2 {
            stream.push(name.encode_utf16().count() as u8);
            stream.extend(crate::writer::utf16(name));
        }
    }
    stream
}

#[test]
fn voting_buttons_are_told_in_the_text_and_in_a_note() {
    let properties = note("<p>Rösta</p>").named_binary(set(COMMON), 0x8520, &verbs(&["Godkänn", "Avslå – nej"]));
    let mail = converted(&mixed("Rösta\n", &Winmail::new("IPM.Note", properties)));
    assert_eq!(text(&mail), "Röstning: Godkänn; Avslå – nej\n\nRösta");
    assert_eq!(notes(&mail), ["Mejlets röstningsknappar följer inte med; svaren står i texten: Godkänn; Avslå – nej."]);
    let answer = note("<p>Svar</p>").named_text(set(COMMON), 0x8524, "Godkänn");
    assert_eq!(text(&converted(&mixed("Svar\n", &Winmail::new("IPM.Note", answer)))), "Röstning: Godkänn\n\nSvar");
}

#[test]
fn meetings_tasks_and_contacts_are_told_in_words() {
    let told = |class: &str, properties: Properties| {
        let mail = converted(&mixed("", &Winmail::new(class, properties.text(0x0037, "Samråd").text(0x1000, "Text"))));
        text(&mail).to_owned()
    };
    let meeting = || {
        Properties::default()
            .named_time(set(APPOINTMENT), 0x820d, "2026-03-05T09:00:00Z")
            .named_time(set(APPOINTMENT), 0x820e, "2026-03-05T10:00:00Z")
            .named_text(set(APPOINTMENT), 0x8208, "Kommunhuset")
            .text(0x0042, "Anna Åberg")
            .text(0x0e04, "Bo; Åsa")
    };
    let when = "När: torsdag 5 mars 2026 kl. 10.00–11.00 (svensk tid)  \nVar: Kommunhuset";
    let invited = "Organisatör: Anna Åberg  \nDeltagare: Bo; Åsa\n\nText";
    assert_eq!(told("IPM.Microsoft Schedule.MtgReq", meeting()), format!("Möteskallelse: Samråd  \n{when}  \n{invited}"));
    assert_eq!(told("IPM.Schedule.Meeting.Canceled", meeting()), format!("Avbokat möte: Samråd  \n{when}  \n{invited}"));
    let answer = told("IPM.Schedule.Meeting.Resp.Neg", meeting());
    assert_eq!(answer, format!("Svar på möteskallelse, tackar nej: Samråd  \n{when}  \nSvar från: Anna Åberg\n\nText"));
    let whole = Properties::default()
        .named_time(set(APPOINTMENT), 0x820d, "2026-03-04T23:00:00Z")
        .named_time(set(APPOINTMENT), 0x820e, "2026-03-06T23:00:00Z")
        .named_truth(set(APPOINTMENT), 0x8215, true);
    assert_eq!(told("IPM.Appointment", whole), "Kalenderhändelse: Samråd  \nNär: torsdag 5 mars 2026–fredag 6 mars 2026, hela dagar\n\nText");
    let task = Properties::default().named_time(set(TASK), 0x8105, "2026-03-05T00:00:00Z").named_int(set(TASK), 0x8101, 1);
    assert_eq!(told("IPM.Task", task), "Uppgift: Samråd  \nKlart senast: torsdag 5 mars 2026 kl. 01.00  \nLäge: pågår\n\nText");
    let contact = Properties::default().text(0x3001, "Åsa Ö").text(0x3a16, "Håbo").named_text(set(4), 0x8083, "asa@habo.se");
    assert_eq!(told("IPM.Contact", contact), "Kontakt: Åsa Ö  \nOrganisation: Håbo  \nE-post: asa@habo.se\n\nText");
}

#[test]
fn a_recall_is_refused_and_a_report_is_automatic() {
    let error = refused(&mixed("Anna vill återkalla\n", &Winmail::new("IPM.Outlook.Recall", Properties::default().text(0x1000, "x"))));
    assert_eq!((error.code(), error.status()), (550, (3, 3)));
    assert_eq!(error.swedish(), "Ett meddelande som har skickats i SDK kan inte återkallas. Kontakta mottagaren.");
    for class in ["REPORT.IPM.Note.IPNRN", "IPM.Microsoft Mail.Read Receipt", "IPM.Recall.Report.Success"] {
        let winmail = Winmail::new(class, Properties::default().text(0x0037, "Läst"));
        let mail = converted(&mixed("Läst\n", &winmail));
        assert_eq!((mail.automatic, mail.texts.len()), (Some("winmail.dat"), 0), "{class}");
    }
}

#[test]
fn a_recall_or_a_report_that_somebody_forwards_is_readable() {
    for class in ["IPM.Outlook.Recall", "REPORT.IPM.Note.NDR"] {
        let winmail = Winmail::new(class, Properties::default().text(0x1001, "Kunde inte levereras"));
        let eml = Part("Content-Type: message/rfc822".to_owned(), Part::winmail(&winmail.octets()).mail());
        let mail = converted(&Part::multipart("mixed", &[Part::text("Se nedan\n"), eml]).mail());
        assert!(mail.automatic.is_none() && text(&mail).ends_with("Kunde inte levereras"), "{}", text(&mail));
    }
}

#[test]
fn streams_in_streams_end_somewhere() {
    let mut deep = Winmail::new("IPM.Note", note("x")).octets();
    for _ in 0..400 {
        deep = Winmail::new("IPM.Note", Properties::default()).with(Attachment::file("winmail.dat", &deep)).octets();
    }
    assert_eq!(refused(&Part::winmail(&deep).mail()), ConvertError::TooManyParts);
}

#[test]
fn every_kind_of_property_is_stepped_over() {
    let before = Properties::default()
        .short(0x0001, -1)
        .truth(0x0002, true)
        .int(0x0003, 1)
        .longs(0x0004, &[1, 2, 3])
        .texts(0x0005, &["a", "bc", ""])
        .guid(0x0006, set(1))
        .string_named(set(0x29), "x-sdk-åäö", "värde")
        .time(0x0007, "2026-03-04T08:30:00Z")
        .binary(0x0008, b"abc")
        .named_int(set(COMMON), 0x8510, 7);
    let mail = converted(&mixed("", &Winmail::new("IPM.Note", before.text(0x1000, "Sist"))));
    assert_eq!(text(&mail), "Sist");
}

/// One message with everything in it.
pub fn everything() -> Winmail {
    let inner =
        Winmail::new("IPM.Note", Properties::default().text(0x0037, "Inre").text(0x1000, "Inre text")).with(Attachment::file("inre.pdf", PDF));
    let properties = Properties::default()
        .text(0x001a, "IPM.Note")
        .ansi(0x0037, "Åäö")
        .text(0x1000, "Hej på dig")
        .binary(0x1009, &compressed(WORD_RTF.as_bytes()))
        .named_binary(set(COMMON), 0x8520, &verbs(&["Ja", "Nej"]))
        .string_named(set(0x29), "Namn", "v")
        .texts(0x0005, &["a", "bc"]);
    let mut winmail =
        Winmail::new("IPM.Note", properties).with(Attachment::file("Rapport åäö.pdf", PDF)).with(Attachment::message("Inre", &inner.octets()));
    winmail.recipients = vec![Properties::default().int(0x0c15, 1).text(0x3001, "Åsa")];
    winmail
}

#[test]
fn a_stream_that_is_cut_or_changed_anywhere_is_refused_or_loses_nothing() {
    let whole = everything().octets();
    let expected = converted(&Part::winmail(&whole).mail());
    let judge = |octets: &[u8], what: &str| match outgoing(&Part::winmail(octets).mail(), &MailboxPolicy::default()) {
        Ok(mail) => {
            assert_eq!(mail.files, expected.files, "{what}");
            assert_eq!(mail.texts, expected.texts, "{what}");
        }
        Err(error @ ConvertError::Tnef(_)) => {
            assert_eq!((error.code(), error.status()), (550, (6, 0)));
            assert!(error.swedish().contains("skadad") && error.english().contains("damaged"));
        }
        Err(error) => panic!("{what}: {error}"),
    };
    // Between two attributes nothing tells that more was to come; the MIME around it does.
    let boundaries: Vec<usize> = std::iter::successors(Some(6), |&at| {
        let length = whole.get(at + 5..at + 9)?.try_into().map(u32::from_le_bytes).unwrap();
        Some(at + 11 + length as usize)
    })
    .collect();
    assert!(boundaries.len() > 12 && boundaries.last() == Some(&whole.len()));
    for end in 0..whole.len() {
        let cut = outgoing(&Part::winmail(&whole[..end]).mail(), &MailboxPolicy::default());
        assert!(boundaries.contains(&end) || matches!(cut, Err(ConvertError::Tnef(_))), "{end}: {cut:?}");
    }
    let mixed = Part::multipart("mixed", &[Part::winmail(&whole)]).mail();
    let body = mixed.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    for end in (body..mixed.len() - 4).step_by(7) {
        assert!(outgoing(&mixed[..end], &MailboxPolicy::default()).is_err(), "{end}");
    }
    // A checksum sees every single octet of a value; what none covers are the names of attributes.
    let names: std::collections::HashSet<usize> = boundaries.iter().flat_map(|at| at + 1..at + 5).collect();
    for at in (0..whole.len()).filter(|at| !names.contains(at)) {
        let mut damaged = whole.clone();
        damaged[at] = damaged[at].wrapping_add(1);
        judge(&damaged, &format!("octet {at}"));
    }
}

#[test]
fn lengths_that_lie_behind_a_good_checksum_are_refused_or_read_as_they_stand() {
    let list = everything().properties.octets();
    for at in 0..list.len() {
        for lie in [0_u8, 1, 0x7f, 0xff] {
            let mut lying = list.clone();
            lying[at] = lie;
            let mut octets = Winmail::new("IPM.Note", Properties::default()).octets();
            octets.extend(crate::writer::attribute(1, 0x0006_9003, &lying));
            // No panic, no endless loop, and never a word that nobody wrote.
            if let Err(error) = outgoing(&Part::winmail(&octets).mail(), &MailboxPolicy::default()) {
                assert!(matches!(error, ConvertError::Tnef(_) | ConvertError::Nothing | ConvertError::Recall), "{at}: {error}");
            }
        }
    }
}
