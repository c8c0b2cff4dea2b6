//! Mails within mails, reports, and pieces of mails.

use brevbro::mail::convert::{ConvertError, outgoing};

use crate::writer::{Part, Properties, Winmail};
use crate::{PDF, converted, files, notes, refused, sending, text};

fn inner(subject: &str, body: &Part) -> Vec<u8> {
    let head = format!(
        "From: \"Öberg, Bo\" <bo@af.se>\r\nTo: Anna <anna@habo.se>, registrator@habo.se\r\nCc: c@habo.se\r\nDate: Tue, 3 Mar 2026 14:05:00 +0100\r\n\
         Subject: {subject}\r\nMIME-Version: 1.0\r\n{}\r\n\r\n",
        body.0
    );
    [head.into_bytes(), body.1.clone()].concat()
}

fn eml(mail: Vec<u8>) -> Part {
    Part("Content-Type: message/rfc822\r\nContent-Disposition: attachment; filename=\"Vidare.eml\"".to_owned(), mail)
}

fn forwarding(mail: Vec<u8>) -> Part {
    Part::multipart("mixed", &[Part::text("Se nedan\n"), eml(mail)])
}

const HEADING: &str = "——— Bifogat mejl ———  \nFrån: Öberg, Bo \\<bo@af.se>  \nSkickat: tisdag 3 mars 2026 kl. 14.05  \n\
                       Till: Anna \\<anna@habo.se>, registrator@habo.se  \nKopia: c@habo.se";

#[test]
fn a_forwarded_mail_stands_in_the_text_and_its_files_are_files() {
    let body = Part::multipart("mixed", &[Part::html("<p>Hej <b>du</b></p>"), Part::file("application/pdf", "beslut.pdf", PDF)]);
    let innermost = Part::multipart("mixed", &[Part::text("Yttre\n"), eml(inner("Inre", &body))]);
    for subject in ["Angående ärende", "=?utf-8?q?Ang=C3=A5ende_=C3=A4rende?="] {
        let mail = converted(&forwarding(inner(subject, &innermost)).mail());
        let expected = format!("Se nedan\n\n{HEADING}  \nÄmne: Angående ärende\n\nYttre\n\n{HEADING}  \nÄmne: Inre\n\nHej **du**");
        assert_eq!((text(&mail), files(&mail)), (expected.as_str(), vec![("beslut.pdf", "application/pdf", PDF)]));
        assert_eq!(notes(&mail).len(), 2);
    }
    // In base64, which RFC 2046 forbids and programs write; and under another type.
    for kind in ["message/rfc822", "application/octet-stream"] {
        let part = Part::multipart("mixed", &[Part::text("Se nedan\n"), Part::file(kind, "a.eml", &inner("x", &Part::text("Hej\n")))]);
        assert_eq!(text(&converted(&part.mail())), format!("Se nedan\n\n{HEADING}  \nÄmne: x\n\nHej"));
    }
}

#[test]
fn cutting_the_history_leaves_a_forwarded_mail_whole() {
    let answer = Part::text("Svar\n\nFrån: Bo\nSkickat: i går\nTill: Kim\nÄmne: x\n\nGammalt\n");
    let part = Part::multipart("mixed", &[answer, eml(inner("x", &Part::text("Från: Bo\nSkickat: i går\nTill: Kim\nÄmne: y\n\nViktigt\n")))]);
    let policy = brevbro::mail::policy::MailboxPolicy { history: brevbro::mail::policy::History::Cut, ..Default::default() };
    let answering = String::from_utf8(part.mail()).unwrap().replacen("Subject: Prov", "Subject: SV: Prov", 1);
    let mail = outgoing(answering.as_bytes(), &policy).unwrap();
    assert!(text(&mail).starts_with("Svar\n\n———") && text(&mail).ends_with("Viktigt") && !text(&mail).contains("Gammalt"), "{}", text(&mail));
}

#[test]
fn a_mailbox_that_sends_mails_as_files_sends_them_whole_and_checked() {
    let policy = sending(&["message/rfc822"]);
    let inside = inner("x", &Part::multipart("mixed", &[Part::text("Hej\n"), Part::file("application/pdf", "a.pdf", PDF)]));
    let mail = outgoing(&forwarding(inside.clone()).mail(), &policy).unwrap();
    assert_eq!((text(&mail), files(&mail)), ("Se nedan", vec![("Vidare.eml", "message/rfc822", &inside[..])]));
    assert!(notes(&mail).is_empty());
    let with = |name: &str, bytes: &[u8]| {
        let body = Part::multipart("mixed", &[Part::text("Hej\n"), Part::file("application/octet-stream", name, bytes)]);
        let winmail = Winmail::new("IPM.Note", Properties::default().text(0x1000, "x")).with(crate::writer::Attachment::file(name, bytes));
        let deeper = Part::multipart("mixed", &[Part::text("x\n"), eml(inner("inre", &body))]);
        [body, deeper, Part::winmail(&winmail.octets())].map(|body| outgoing(&forwarding(inner("x", &body)).mail(), &policy).map(|_| ()))
    };
    for found in with("virus.exe", PDF) {
        assert_eq!(found, Err(ConvertError::Program { name: "virus.exe".to_owned() }));
    }
    for found in with("a.zip", b"PK\x03\x04") {
        assert!(matches!(&found, Err(ConvertError::Type { name, .. }) if name == "a.zip"), "{found:?}");
    }
}

#[test]
fn a_digest_is_its_mails() {
    let part = |mail: Vec<u8>| Part(String::new(), mail);
    let digest = Part::multipart("digest", &[part(inner("Ett", &Part::text("Första\n"))), part(inner("Två", &Part::text("Andra\n")))]);
    let mail = converted(&digest.mail());
    assert_eq!(text(&mail), format!("{HEADING}  \nÄmne: Ett\n\nFörsta\n\n{HEADING}  \nÄmne: Två\n\nAndra"));
}

#[test]
fn a_report_that_somebody_forwards_is_readable() {
    let status = "Reporting-MTA: dns; mail.habo.se\r\n\r\nFinal-Recipient: rfc822; okand@af.se\r\nAction: failed\r\nStatus: 5.1.1\r\n\
                  Diagnostic-Code: smtp; 550 5.1.1 User unknown\r\n";
    let plain = |kind: &str, text: &str| Part(format!("Content-Type: {kind}"), text.as_bytes().to_vec());
    let report = Part::multipart(
        "report",
        &[
            Part::text("Mejlet kom inte fram.\n"),
            plain("message/delivery-status", status),
            plain("text/rfc822-headers", "From: Anna <anna@habo.se>\r\nSubject: =?utf-8?q?R=C3=A4v?=\r\nTo: okand@af.se\r\n"),
        ],
    );
    let mail = converted(&forwarding(inner("Undeliverable", &report)).mail());
    let expected = format!(
        "Se nedan\n\n{HEADING}  \nÄmne: Undeliverable\n\nMejlet kom inte fram.\n\n——— Leveransrapport ———  \nRapporten kommer från: mail.habo.se\n\n\
         Mottagare: okand@af.se  \nUtfall: kunde inte levereras (failed)  \nStatuskod: 5.1.1  \nSvar från mejlservern: 550 5.1.1 User unknown\n\n\
         ——— Ur det ursprungliga mejlet ———  \nFrån: Anna \\<anna@habo.se>  \nTill: okand@af.se  \nÄmne: Räv"
    );
    assert_eq!(text(&mail), expected);
    let disposition = "Reporting-UA: Outlook\r\nFinal-Recipient: rfc822;bo@af.se\r\nDisposition: manual-action/MDN-sent-manually; displayed\r\n";
    let receipt = Part::multipart("report", &[Part::text("Läst.\n"), plain("message/disposition-notification", disposition)]);
    let mail = converted(&forwarding(inner("Läst", &receipt)).mail());
    assert!(text(&mail).ends_with("Utfall: visat för mottagaren (manual-action/MDN-sent-manually; displayed)"), "{}", text(&mail));
    // What a program sends by itself goes nowhere.
    assert_eq!(converted(&report.mail()).automatic, Some("multipart/report"));
}

#[test]
fn pieces_and_files_elsewhere_are_refused_with_their_reasons() {
    for (kind, error, words) in [
        ("message/partial; number=1; total=2; id=x", ConvertError::Partial, "Mejlet är en del av ett större mejl."),
        ("message/external-body; access-type=URL; URL=\"https://x.se\"", ConvertError::Elsewhere, "En bilaga finns inte i mejlet"),
    ] {
        let part = Part::multipart("mixed", &[Part::text("Hej\n"), Part(format!("Content-Type: {kind}"), b"x".to_vec())]);
        let refused = refused(&part.mail());
        assert_eq!((&refused, refused.status()), (&error, (6, 1)));
        assert!(refused.swedish().starts_with(words) && !refused.english().is_empty());
    }
}

#[test]
fn neither_depth_nor_number_nor_growth_exhausts_the_program() {
    let mut deep = inner("x", &Part::text("Hej\n"));
    for _ in 0..40 {
        deep = inner("x", &eml(deep));
    }
    assert_eq!(refused(&forwarding(deep).mail()), ConvertError::TooManyParts);
    let many: Vec<Part> = (0..501).map(|_| Part::text("x\n")).collect();
    assert_eq!(refused(&Part::multipart("mixed", &many).mail()), ConvertError::TooManyParts);
    // Quoted-printable keeps its size at every level: unpacking it is not free.
    let mut wide = inner("x", &Part::text(&"x\n".repeat(1_500_000)));
    for _ in 0..25 {
        let kind = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable";
        wide = inner("x", &Part(kind.to_owned(), wide));
    }
    assert_eq!(refused(&wide), ConvertError::TooManyParts);
}
