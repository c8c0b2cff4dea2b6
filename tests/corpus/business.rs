//! Programs that send mail: case systems, e-services, libraries, scripts, and what they write by themselves.

use crate::build::{Enc, Loss, Mail, Name, Part, XLSX, encode, file, file_in, html, mail, multi, office, pdf, plain, png, text};

fn system(name: &'static str, subject: &str, mailer: &str) -> Mail {
    let mail = mail(name).subject(subject).header("From: Verksamhetssystem <socialtjansten@habo.se>");
    if mailer.is_empty() { mail } else { mail.header(mailer) }
}

fn page(body: &str) -> String {
    format!("<!DOCTYPE html>\n<html>\n<body style=\"font-family:Arial\">\n{body}\n</body>\n</html>\n")
}

fn libraries() -> Vec<Mail> {
    vec![
        system("java-mail", "Ärende klart", "X-Mailer: Java").mixed(
            "----=_Part_0_1234567890.1709540000000",
            vec![text("plain", "UTF-8", Enc::Qp, "Ärendet är klart.\n"), file(Name::B, "Beslut på rätt.pdf", "application/pdf", &pdf(70))],
        ),
        system("java-mail-cp1252", "Utskick", "").mixed(
            "----=_Part_1_2.3",
            vec![
                text("html", "Cp1252", Enc::Qp, &page("<p>Beslutet är – som väntat – positivt.</p>")).kind("text/html; charset=Cp1252"),
                file(Name::Quoted, "=?UTF-8?Q?=C3=85rsbesked.pdf?=", "application/pdf", &pdf(71)).named("Årsbesked.pdf"),
            ],
        ),
        system("java-commons-email-utf8-unquoted", "Utskick", "")
            .body(Part::raw(&["Content-Type: text/plain;charset=utf-8", "Content-Transfer-Encoding: 8bit"], "Beslutet är fattat på nämnden.\r\n")),
        system("php-mailer", "Kvitto på ansökan", "X-Mailer: PHPMailer 6.9.1 (https://github.com/PHPMailer/PHPMailer)").mixed(
            "b1_a1b2c3d4e5f6",
            vec![
                multi(
                    "alternative",
                    "b2_a1b2c3d4e5f6",
                    vec![
                        text("plain", "utf-8", Enc::Eight, "Kvitto på ansökan\n"),
                        text("html", "utf-8", Enc::Eight, &page("<h1>Kvitto på ansökan</h1><p>Tack för <strong>ansökan</strong>.</p>")),
                    ],
                ),
                file(Name::Quoted, "kvitto.pdf", "application/pdf", &pdf(72)),
            ],
        ),
        system("php-mail-function", "x", "X-Mailer: PHP/8.1.2")
            .without("Subject")
            .octets("Subject: Ansökan på webben".as_bytes())
            .label("Ansökan på webben")
            .no_mime_version()
            .body(Part::raw(&[], "Namn: Åsa\r\nOrt: Örebro\r\n")),
        system("swift-mailer", "Meddelande på e-tjänst", "").mixed(
            "_=_swift_1709540000_abc_=_",
            vec![
                text("html", "utf-8", Enc::Qp, &page("<p>Ärendenummer: Å-123</p>")),
                file(Name::Extended, "sammanställning över svar.xlsx", XLSX, &office("xl/workbook.xml")),
            ],
        ),
        system("dotnet-smtpclient", "Åtgärd krävs", "").mixed(
            "--boundary_0_3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            vec![
                text("html", "utf-8", Enc::B64, &page("<p>Åtgärd krävs på ärendet.</p>")),
                file(Name::B, "Underlag åt nämnden.pdf", "application/octet-stream", &pdf(73)),
            ],
        ),
        system("dotnet-alternate-views", "Två vyer på samma", "").body(multi(
            "alternative",
            "--boundary_1_8d3f",
            vec![text("plain", "us-ascii", Enc::Qp, "Bara ascii\n"), text("html", "utf-8", Enc::B64, &page("<p>Två vyer på samma</p>"))],
        )),
        system("mailkit", "Från MailKit på servern", "").mixed(
            "=-Xy12==",
            vec![text("plain", "utf-8", Enc::Eight, "Hej på servern\n"), file(Name::Extended, "översikt.pdf", "application/pdf", &pdf(74))],
        ),
        system("cdo-sys", "Larm på pannan", "Content-Class: urn:content-classes:message").body(text(
            "plain",
            "iso-8859-1",
            Enc::Seven,
            "Larm utloest.\n",
        )),
        system("cdonts-vbscript-latin1-8bit", "x", "X-MimeOLE: Produced By Microsoft MimeOLE V6.1.7601.17514")
            .without("Subject")
            .octets(&encode("iso-8859-1", "Subject: Påminnelse på väg"))
            .label("Påminnelse på väg")
            .body(text("plain", "iso-8859-1", Enc::Eight, "Påminnelsen är på väg.\n")),
        system("sql-server-database-mail", "Nattjobb på servern", "").mixed(
            "--boundary_12_abc",
            vec![
                text("plain", "utf-8", Enc::Qp, "Frågan gav 3 rader på 2 ms.\n"),
                file(Name::Quoted, "QueryResults.csv", "application/octet-stream", &encode("utf-16", "Namn,Ort\r\nÅsa,Örebro\r\n")),
            ],
        ),
        system("oracle-utl-smtp", "Rapport på natten", "").no_mime_version().body(Part::raw(
            &["Content-Type: text/plain; charset=iso-8859-15", "Content-Transfer-Encoding: 8bit"],
            encode("iso-8859-15", "Kostnad 12 € på ön.\r\n"),
        )),
        system("sap-output", "Inköpsorder 4500012345", "X-Mailer: SAP NetWeaver 7.50").mixed(
            "=_SAP_1234567890",
            vec![
                text("plain", "utf-8", Enc::B64, "Inköpsorder på varor.\n"),
                file(Name::Quoted, "PO_4500012345.PDF", "application/pdf", &pdf(75)).header("Content-Description: Inkopsorder"),
            ],
        ),
        system("python-email", "Körning på schema", "").mixed(
            "===============1234567890123456789==",
            vec![text("plain", "utf-8", Enc::B64, "Körningen gick bra.\n"), file(Name::Extended, "körning.csv", "text/csv", "a;b\nå;ä\n".as_bytes())],
        ),
        system("python-legacy-8bit", "Skript på gång", "").body(text("plain", "utf-8", Enc::Eight, "Skriptet är på gång.\n")),
        system("nodemailer", "Formulär på webben", "").mixed(
            "--_NmP-abc123-Part_1",
            vec![
                multi(
                    "alternative",
                    "--_NmP-abc123-Part_2",
                    vec![text("plain", "utf-8", Enc::Qp, "Svar på formulär\n"), text("html", "utf-8", Enc::Qp, &page("<p>Svar på formulär</p>"))],
                ),
                file(Name::Both, "svar på formulär.pdf", "application/pdf", &pdf(76)),
            ],
        ),
        system("ruby-mail", "Rails på räls", "").body(multi(
            "alternative",
            "--==_mimepart_65e5a1b2c3d4e_12ab34cd",
            vec![text("plain", "UTF-8", Enc::Qp, "På räls\n"), text("html", "UTF-8", Enc::Qp, &page("<p>På räls</p>"))],
        )),
        system("perl-mime-lite", "Logg på dygnet", "X-Mailer: MIME::Lite 3.033 (F2.85; T2.18; A2.21; B3.16; Q3.16)").mixed(
            "_----------=_1709540000123450",
            vec![
                text("plain", "iso-8859-1", Enc::Binary, "Loggen är på plats.\n"),
                file_in(Name::Quoted, "logg.log", "text/plain", Enc::Qp, "attachment", b"a\r\nb\r\n"),
            ],
        ),
        system("powershell-send-mailmessage", "Rapport fran servern", "").body(text("plain", "us-ascii", Enc::Seven, "Allt ar gront.\n")),
        system("go-gomail", "Från Go på burk", "").body(text("plain", "UTF-8", Enc::Qp, "Går på burk.\n")),
        system("delphi-indy", "Från Delphi på golvet", "X-Library: Indy 9.00.10").mixed(
            "=_NextPart_2rfkindysadvnqw3nerasdf",
            vec![text("plain", "iso-8859-1", Enc::Qp, "Går på golvet.\n"), file(Name::Quoted, "golv.pdf", "application/pdf", &pdf(77))],
        ),
        system("lotusscript-agent", "Från agent på Domino", "").body(text("html", "UTF-8", Enc::B64Long, &page("<p>Går på Domino.</p>"))),
        system("libreoffice-mail-merge", "Kopplat utskick på sex", "User-Agent: LibreOffice via Caolan's mailmerge component").mixed(
            "===============987==",
            vec![
                plain("Kopplat utskick på åtta.\n"),
                file(Name::Extended, "brev på sex.odt", "application/vnd.oasis.opendocument.text", b"PK\x03\x04\x14\0\0\x08\0\0odt"),
            ],
        ),
    ]
}

fn case_systems() -> Vec<Mail> {
    let row = |name: &str, value: &str| format!("<tr><th align=\"left\" style=\"padding-right:8px\">{name}</th><td>{value}</td></tr>");
    vec![
        system("case-system-table-of-facts", "Ärende 2026-00123", "").body(html(&page(&format!("<h2>Nytt ärende</h2><table>{}{}{}</table><p>Öppna ärendet i systemet.</p>", row("Ärende", "2026-00123"), row("Handläggare", "Åsa Öberg"), row("Sökande", "Örjan Ängqvist"))))),
        system("case-system-upper-case-html", "BESLUT", "").body(html("<HTML><BODY BGCOLOR=\"#FFFFFF\"><CENTER><B>BESLUT</B></CENTER><P ALIGN=LEFT>Nämnden <U>avslår</U> ansökan.<BR><FONT COLOR=RED SIZE=2>Överklaga</FONT> inom tre veckor.</BODY></HTML>")),
        system("case-system-html-without-tags-closed", "Journal", "").body(html("<p>Första stycket<p>Andra på rad<ul><li>en<li>två<li>tre</ul>Slut på listan<table><tr><td>A<td>B<tr><td>C<td>Å</table>")),
        system("case-system-fragment-without-html", "Notis på väg", "").body(html("Hej,<br><br>ett <b>ärende</b> väntar på dig.<br>\n")),
        system("case-system-css-classes-and-head", "Formaterat", "").body(html("<html><head><style>.hidden{display:none}.fel{color:#c00}</style><title>Titel som inte syns</title></head><body><div class=\"fel\">Uppgift saknas på sidan två</div></body></html>")),
        system("case-system-attachment-in-alternative", "Kallelse på fredag", "").body(multi("alternative", "alt_fel", vec![plain("Kallelse på fredag\n"), html(&page("<p>Kallelse på fredag</p>")), file(Name::Quoted, "Kallelse.pdf", "application/pdf", &pdf(78))])),
        system("case-system-related-as-mixed", "Underlag på kö", "").body(multi("related", "rel_som_mixed", vec![html(&page("<p>Underlag på kö</p>")), file(Name::Quoted, "Underlag.pdf", "application/pdf", &pdf(79))])),
        system("case-system-logo-by-content-location", "Brevhuvud", "")
            .body(multi("related", "rel_loc", vec![html(&page("<p>Brev på papper</p><div class=\"signature\"><img src=\"cid:logga\" height=\"50\"></div>")), file_in(Name::Quoted, "logga.png", "image/png", Enc::B64, "inline", &png(50, 1_500)).header("Content-ID: <logga>").header("Content-Location: logga.png").lost()]))
            .loses(Loss::Decoration("logga.png", png(50, 1_500))),
        system("diary-system-reference-in-header", "Handling i diariet", "").header("X-SDK-Reference: KS 2026/77").body(plain("Handlingen är diarieförd på ärendet.\n")),
        system("case-system-xml-file", "Export", "").mixed("xml", vec![plain("Se XML.\n"), file(Name::Quoted, "export.xml", "text/xml", b"<?xml version=\"1.0\"?><a/>")]).refused("5.6.1"),
        system("case-system-pdf-called-document", "Dokument på väg", "").mixed("oct", vec![plain("Se filen.\n"), file(Name::Quoted, "dokument", "application/octet-stream", &pdf(80))]),
        system("case-system-wrong-type-jpg", "Bild på skada", "").mixed("jpg", vec![plain("Bild på skadan.\n"), file(Name::Quoted, "skada.jpg", "image/jpg", &crate::build::jpeg(5_000))]),
        system("case-system-pdf-as-x-pdf", "Äldre typ", "").mixed("xpdf", vec![plain("Äldre typ på fil.\n"), file(Name::Quoted, "a.pdf", "application/x-pdf", &pdf(81))]),
        system("e-service-json-like-text", "Svar från e-tjänst", "").body(plain("{\n  \"namn\": \"Åsa Öberg\",\n  \"svar\": [\"ja\", \"nej\", \"kanske på måndag\"]\n}\n")),
        system("survey-with-many-questions", "Enkät på hundra frågor", "").body(html(&page(&(1..=100).map(|n| format!("<p><b>Fråga {n}:</b> Är du nöjd på en skala?<br>Svar: {}</p>", n % 5)).collect::<String>()))),
        system("monitoring-alarm", "CRITICAL: disk på 95 %", "X-Priority: 1").body(plain("Notification Type: PROBLEM\nHost: srv-å1\nState: CRITICAL\n\nDisk /var på 95 %\n")),
    ]
}

fn by_themselves() -> Vec<Mail> {
    vec![
        system("cron", "Cron <root@srv1> backup.sh", "Auto-Submitted: auto-generated")
            .headers(&["X-Cron-Env: <SHELL=/bin/sh>", "Precedence: bulk"])
            .body(plain("klar\n"))
            .automatic("Auto-Submitted"),
        system("logwatch", "Logwatch for srv1", "Precedence: bulk").body(plain("### Logwatch ###\n")).automatic("Precedence"),
        system("newsletter", "Nyhetsbrev", "List-Id: <nyheter.habo.se>")
            .header("List-Unsubscribe: <https://www.habo.se/av>")
            .body(html(&page("<p>Nyheter</p>")))
            .automatic("List-Id"),
        system("mailing-list-manager", "[lista] Hej", "Precedence: list").body(plain("Hej\n")).automatic("Precedence"),
        system("auto-submitted-no-is-a-person", "Person på riktigt", "Auto-Submitted: no").body(plain("Skrivet av en människa på riktigt.\n")),
        system("ticket-system-autoreply", "Vi har tagit emot ditt ärende", "Auto-Submitted: auto-replied")
            .body(plain("Tack.\n"))
            .automatic("Auto-Submitted"),
        system("postfix-bounce", "Undelivered Mail Returned to Sender", "Auto-Submitted: auto-replied")
            .body(multi(
                "report; report-type=delivery-status",
                "AAAA.1/mail",
                vec![plain("I'm sorry\n"), Part::raw(&["Content-Type: message/delivery-status"], "Reporting-MTA: dns; mail\r\n")],
            ))
            .automatic("Auto-Submitted"),
    ]
}

pub fn mails() -> Vec<Mail> {
    [libraries(), case_systems(), by_themselves()].concat()
}
