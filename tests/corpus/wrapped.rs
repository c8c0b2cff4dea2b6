//! Mails whose content is wrapped once more: winmail.dat, S/MIME, meetings, forwarded mails, reports, uuencode.

use openssl::cms::CMSOptions;

use crate::build::{DOCX, Enc, Loss, Mail, Name, Part, file, file_in, html, lines76, mail, multi, office, pdf, plain, text};
use crate::common::smime::signed_data;
use crate::outlook::{p, word};
use crate::writer::{Attachment, Properties, Winmail, compressed};

/// PR_HTML and PR_RTF_COMPRESSED.
const HTML: u16 = 0x1013;
const RTF: u16 = 0x1009;

fn rich(page: &str) -> Winmail {
    Winmail::new("IPM.Note", Properties::default().binary(HTML, page.as_bytes()).int(0x3fde, 65001))
}

fn winmail(winmail: &Winmail, files: &[(&str, &[u8])]) -> Part {
    let part = Part::raw(
        &[
            "Content-Type: application/ms-tnef; name=\"winmail.dat\"",
            "Content-Transfer-Encoding: base64",
            "Content-Disposition: attachment; filename=\"winmail.dat\"",
        ],
        lines76(&winmail.octets()),
    );
    files.iter().fold(part, |part, (name, body)| part.with_file(name, body))
}

fn tnef() -> Vec<Mail> {
    let page = word(&(p("Rik text från Åsa på kontoret.") + &p("Se <b>bilagan</b>.")));
    let (contract, plan) = (pdf(110), office("word/document.xml"));
    let with = |name, plain_text: &str, part: Part| {
        mail(name).subject("Rik text").header("X-MS-TNEF-Correlator: <rik@habo.se>").mixed("_000_rik_", vec![plain(plain_text), part])
    };
    let two = rich(&page)
        .with(Attachment::file("Överenskommelse om långa namn på bilagor.pdf", &contract))
        .with(Attachment::file("Plan för våren.docx", &plan));
    let inner = Winmail::new(
        "IPM.Note",
        Properties::default().text(0x0037, "Inre mejl").binary(HTML, word(&p("Inre text på rad")).as_bytes()).int(0x3fde, 65001),
    )
    .with(Attachment::file("inre.pdf", &contract));
    let rtf = br"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0 Calibri;}}\pard Bara RTF p\'e5 raden, \b fet\b0  text.\par Andra stycket\par}";
    vec![
        with(
            "exchange-rich-text-with-files",
            "",
            winmail(&two, &[("Överenskommelse om långa namn på bilagor.pdf", &contract), ("Plan för våren.docx", &plan)]),
        )
        .words("Rik text från Åsa på kontoret Se bilagan"),
        with(
            "exchange-rich-text-and-plain-text",
            "Rik text från Åsa på kontoret.\n\nSe bilagan.\n",
            winmail(&two, &[("Överenskommelse om långa namn på bilagor.pdf", &contract), ("Plan för våren.docx", &plan)]),
        ),
        with("exchange-winmail-of-rtf-alone", "", winmail(&Winmail::new("IPM.Note", Properties::default().binary(RTF, &compressed(rtf))), &[]))
            .words("Bara RTF på raden fet text Andra stycket"),
        with(
            "exchange-winmail-with-a-mail-in-it",
            "",
            winmail(&rich(&page).with(Attachment::message("Inre mejl", &inner.octets())), &[("inre.pdf", &contract)]),
        )
        .words("Rik text från Åsa på kontoret Se bilagan Inre mejl Inre text på rad")
        .loses(Loss::Other("Det bifogade mejlet \"Inre mejl\" står i texten", "winmail.dat")),
        with(
            "exchange-winmail-hides-a-program",
            "Se filen.\n",
            winmail(&rich(&page).with(Attachment::file("Beslut.exe", b"MZ\x90\0\x03\0\0\0")), &[]),
        )
        .refused("5.7.1"),
        with(
            "exchange-winmail-hides-a-program-in-a-pdf",
            "Se filen.\n",
            winmail(&rich(&page).with(Attachment::file("Beslut.pdf", b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff")), &[]),
        )
        .refused("5.7.1"),
        with(
            "exchange-winmail-hides-a-type-that-may-not-pass",
            "Se filen.\n",
            winmail(&rich(&page).with(Attachment::file("arkiv.zip", b"PK\x03\x04\x14\0\0\0zip")), &[]),
        )
        .refused("5.6.1"),
        with(
            "exchange-winmail-cut-short",
            "Se filen.\n",
            Part::raw(
                &["Content-Type: application/ms-tnef; name=\"winmail.dat\"", "Content-Transfer-Encoding: base64"],
                lines76(&two.octets()[..900]),
            ),
        )
        .refused("5.6.0"),
        with("outlook-recall", "Åsa vill återkalla meddelandet\n", winmail(&Winmail::new("IPM.Outlook.Recall", Properties::default()), &[]))
            .refused("5.3.3"),
        with("exchange-winmail-read-receipt", "", winmail(&Winmail::new("REPORT.IPM.Note.IPNRN", Properties::default()), &[]))
            .automatic("winmail.dat"),
        with(
            "octet-stream-called-winmail",
            "Rik text från Åsa på kontoret.\n\nSe bilagan.\n",
            file(Name::Quoted, "winmail.dat", "application/octet-stream", &two.octets())
                .lost()
                .with_file("Överenskommelse om långa namn på bilagor.pdf", &contract)
                .with_file("Plan för våren.docx", &plan),
        ),
    ]
}

fn signed() -> Vec<Mail> {
    let smime = |content: &Part| {
        Part::raw(
            &[
                "Content-Type: application/pkcs7-mime; smime-type=signed-data; name=\"smime.p7m\"",
                "Content-Transfer-Encoding: base64",
                "Content-Disposition: attachment; filename=\"smime.p7m\"",
            ],
            lines76(&signed_data(&content.bytes(), CMSOptions::NOSMIMECAP)),
        )
    };
    let whole = multi(
        "mixed",
        "_inre_",
        vec![plain("Ogenomskinligt signerat på svenska.\n"), file(Name::B, "Avtal på väg.pdf", "application/pdf", &pdf(111))],
    );
    let program = multi("mixed", "_inre_", vec![plain("x\n"), file(Name::Quoted, "a.exe", "application/octet-stream", b"MZ\x90\0")]);
    vec![
        mail("outlook-smime-opaque-signed")
            .subject("Signerat")
            .body(smime(&whole).with_file("Avtal på väg.pdf", &pdf(111)))
            .words("Ogenomskinligt signerat på svenska")
            .loses(Loss::Other("signatur följer inte med", "smime.p7m")),
        mail("outlook-smime-opaque-hides-a-program").subject("Signerat").body(smime(&program)).refused("5.7.1"),
        mail("outlook-smime-damaged")
            .subject("Signerat")
            .body(Part::raw(
                &["Content-Type: application/pkcs7-mime; smime-type=signed-data; name=\"smime.p7m\"", "Content-Transfer-Encoding: base64"],
                lines76(b"inte DER"),
            ))
            .refused("5.6.0"),
    ]
}

const MEETING: &str = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nPRODID:Microsoft Exchange Server 2010\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\n\
ORGANIZER;CN=\"Åsa Öberg\":mailto:asa@habo.se\r\nATTENDEE;ROLE=REQ-PARTICIPANT;CN=Kundtjänst:mailto:kundtjanst@af.se.sdk.habo.se\r\nSUMMARY;LANGUAGE=sv-SE:SIP-möte för Örjan\r\n\
DTSTART:20260403T110000Z\r\nDTEND:20260403T120000Z\r\nUID:0400000082\r\nLOCATION:Rådhuset\\, plan två\r\nSEQUENCE:0\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

fn meetings() -> Vec<Mail> {
    let calendar = || {
        Part::raw(
            &["Content-Type: text/calendar; charset=\"utf-8\"; method=REQUEST", "Content-Transfer-Encoding: base64"],
            lines76(MEETING.as_bytes()),
        )
    };
    let gone = || Loss::Other("Kalenderfilen följde inte med", "text/calendar");
    let seen = "Välkommen på möte i rådhuset SIP möte för Örjan Rådhuset plan två";
    let without = "Välkommen på möte i rådhuset";
    vec![
        mail("outlook-meeting-request")
            .subject("SIP-möte")
            .header("Content-class: urn:content-classes:calendarmessage")
            .body(multi(
                "alternative",
                "_000_mote_",
                vec![plain("Välkommen på möte i rådhuset.\n"), html(&word(&p("Välkommen på möte i rådhuset."))), calendar()],
            ))
            .words(without)
            .loses(gone()),
        mail("google-meeting-with-file")
            .subject("SIP-möte")
            .mixed(
                "000000000000b1",
                vec![
                    multi(
                        "alternative",
                        "000000000000b2",
                        vec![plain("Välkommen på möte i rådhuset.\n"), html("<p>Välkommen på möte i rådhuset.</p>"), calendar()],
                    ),
                    file(Name::Quoted, "invite.ics", "application/ics", MEETING.as_bytes()).lost(),
                ],
            )
            .words(without)
            .loses(gone()),
        mail("calendar-file-alone")
            .subject("SIP-möte")
            .mixed(
                "ics",
                vec![
                    plain("Välkommen på möte i rådhuset.\n"),
                    file(Name::Quoted, "mote.ics", "text/calendar; charset=utf-8", MEETING.as_bytes()).lost(),
                ],
            )
            .words(without)
            .loses(gone()),
        mail("meeting-without-any-text").subject("SIP-möte").body(calendar()).words(&seen[seen.find("SIP").unwrap()..]).loses(gone()),
    ]
}

fn forwarded() -> Vec<Mail> {
    let contract = pdf(112);
    let inner = |attachment: Part| {
        let head = "From: =?utf-8?Q?=C3=85ke_Ek?= <ake@af.se>\r\nTo: socialtjansten@habo.se\r\nSubject: =?utf-8?Q?Begäran?=\r\nDate: Tue, 3 Mar 2026 16:02:00 +0100\r\nMIME-Version: 1.0\r\n".replace("Begäran", "Beg=C3=A4ran");
        [head.into_bytes(), multi("mixed", "_vidare_", vec![plain("Kan ni skicka uppgifterna på fredag?\n"), attachment]).bytes()].concat()
    };
    let as_part = |bytes: Vec<u8>| Part::raw(&["Content-Type: message/rfc822", "Content-Disposition: attachment"], bytes);
    let note = || Loss::Other("Det bifogade mejlet \"Begäran\" står i texten", "Beg=C3=A4ran");
    let words = "Se mejlet nedan Åke Ek Begäran Kan ni skicka uppgifterna på fredag";
    let good = || inner(file(Name::Quoted, "underlag.pdf", "application/pdf", &contract));
    let with = |name, part: Part| mail(name).subject("VB: Begäran").label("Begäran").mixed("_vb_", vec![plain("Se mejlet nedan.\n"), part]);
    vec![
        with("outlook-forward-as-attachment", as_part(good()).with_file("underlag.pdf", &contract)).words(words).loses(note()),
        with("eml-file-as-octet-stream", file(Name::Quoted, "Begaran.eml", "application/octet-stream", &good()).lost().with_file("underlag.pdf", &contract))
            .words(words)
            .loses(Loss::Other("Det bifogade mejlet \"Begäran\" står i texten", "Begaran.eml")),
        with("forwarded-mail-with-a-program", as_part(inner(file(Name::Quoted, "a.exe", "application/octet-stream", b"MZ\x90\0")))).refused("5.7.1"),
        with(
            "digest-of-two-mails",
            Part::raw(
                &["Content-Type: multipart/digest; boundary=\"_dig_\""],
                "--_dig_\r\n\r\nFrom: a@af.se\r\nSubject: Ett\r\n\r\nText ett\r\n--_dig_\r\n\r\nFrom: b@af.se\r\nSubject: Tva\r\n\r\nText tva\r\n--_dig_--\r\n",
            ),
        )
        .words("Se mejlet nedan Ett Text ett Tva Text tva")
        .loses(Loss::Other("\"Ett\" står i texten", "Subject: Ett"))
        .loses(Loss::Other("\"Tva\" står i texten", "Subject: Tva")),
        with(
            "person-forwards-a-bounce",
            multi(
                "report; report-type=delivery-status",
                "_studs_",
                vec![
                    plain("Brevet gick inte fram på grund av fel.\n"),
                    Part::raw(&["Content-Type: message/delivery-status"], "Reporting-MTA: dns; mx.habo.se\r\n\r\nFinal-Recipient: rfc822; okand@habo.se\r\nAction: failed\r\nStatus: 5.1.1\r\n"),
                ],
            ),
        )
        .words("Se mejlet nedan Brevet gick inte fram på grund av fel okand habo se 5 1 1"),
    ]
}

fn in_the_text() -> Vec<Mail> {
    // "begin 644 a.txt" of the octets of "Hej\r\n" (uuencode, POSIX).
    let body = "Filen står i texten på äldre vis.\n\nbegin 644 gammal.txt\n%2&5J#0H\n`\nend\n\nSlut på texten.\n";
    vec![
        mail("old-unix-uuencode")
            .subject("Uu")
            .body(text("plain", "iso-8859-1", Enc::Eight, body).with_file("gammal.txt", b"Hej\r\n"))
            .words("Filen står i texten på äldre vis Slut på texten")
            .loses(Loss::Other("uuencode", "begin 644")),
        mail("file-between-two-pages").subject("Mitt i").mixed(
            "_mitt_",
            vec![
                html("<p>Före på sidan</p>"),
                file_in(Name::Quoted, "mitt.docx", DOCX, Enc::B64, "inline", &office("word/document.xml")),
                html("<p>Efter på sidan</p>"),
                plain("Sist på sidan\n"),
            ],
        ),
    ]
}

pub fn mails() -> Vec<Mail> {
    [tnef(), signed(), meetings(), forwarded(), in_the_text()].concat()
}
