//! iPhone, iPad and Apple Mail on a Mac.

use crate::build::{DOCX, Enc, Loss, Mail, Name, Part, file, file_in, html, jpeg, mail, multi, office, pdf, plain, png, text};

fn phone(name: &'static str, subject: &str) -> Mail {
    mail(name).subject(subject).headers(&["X-Mailer: iPhone Mail (21E236)", "Mime-Version: 1.0 (1.0)"]).no_mime_version()
}

fn mac(name: &'static str, subject: &str) -> Mail {
    mail(name)
        .subject(subject)
        .headers(&["X-Mailer: Apple Mail (2.3774.500.171.1.1)", "Mime-Version: 1.0 (Mac OS X Mail 16.0 \\(3774.500.171.1.1\\))"])
        .no_mime_version()
}

fn page(body: &str) -> String {
    format!("<html><head><meta http-equiv=\"content-type\" content=\"text/html; charset=utf-8\"></head><body dir=\"auto\">{body}</body></html>")
}

pub fn mails() -> Vec<Mail> {
    let photo = |name: &str| file_in(Name::Quoted, name, "image/jpeg", Enc::B64, "inline", &jpeg(30_000)).header("X-Apple-Content-Length: 30041");
    let heic = [b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".as_slice(), &[9; 500]].concat();
    let decomposed = "O\u{308}verklagande A\u{30a}sa.pdf";
    vec![
        phone("ios-plain-signature", "Försenad").body(text("plain", "utf-8", Enc::Qp, "Jag är försenad, återkommer.\n\nSkickat från min iPhone\n")),
        phone("ios-plain-base64", "Försenad").body(text("plain", "utf-8", Enc::B64, "Jag är försenad 🚌\n")),
        phone("ios-html", "Från telefonen").body(multi("alternative", "Apple-Mail-0A1B2C3D", vec![plain("Hej på dig\n"), html(&page("Hej på dig<div><br></div><div>ärendet är <b>klart</b></div><div dir=\"ltr\"><br>Skickat från min iPhone</div>"))])),
        phone("ios-photo-between-texts", "Bild").mixed("Apple-Mail-1A2B", vec![plain("Före bilden\n\n"), photo("IMG_1234.jpeg"), plain("\n\nEfter bilden på ängen\nSkickat från min iPhone\n")]),
        phone("ios-three-photos-and-no-text", "Bilder").mixed("Apple-Mail-2A2B", vec![photo("IMG_0001.jpeg"), plain("\n"), photo("IMG_0002.jpeg"), plain("\n"), photo("IMG_0003.jpeg"), plain("\n\nSkickat från min iPhone\n")]),
        phone("ios-heic-photo", "Bild").mixed("Apple-Mail-3A2B", vec![plain("Här är bilden på skylten.\n"), file_in(Name::Quoted, "IMG_4321.HEIC", "image/heic", Enc::B64, "inline", &heic)]),
        phone("ios-scanned-pdf", "Skannat i Anteckningar").mixed("Apple-Mail-4A2B", vec![html(&page("<div>Inskannat på språng</div>")), file_in(Name::B, "Skannat dokument – åäö.pdf", "application/pdf", Enc::B64, "inline", &pdf(20)), html(&page("<div>Skickat från min iPad</div>"))]),
        phone("ios-reply", "Re: Tid").label("Tid").answers().body(text("plain", "utf-8", Enc::Qp, "Tiden passar.\n\n> 3 mars 2026 kl. 16:02 skrev Kundtjänst <k@af.se.sdk.habo.se>:\n> \n> ﻿Passar tiden på torsdag?\n> Hälsningar Åke\n")),
        phone("ios-html-reply", "Re: Tid").label("Tid").answers().body(html(&page("Tiden passar.<br><div dir=\"ltr\"><br><blockquote type=\"cite\">3 mars 2026 kl. 16:02 skrev Kundtjänst &lt;k@af.se.sdk.habo.se&gt;:<br><br></blockquote></div><blockquote type=\"cite\"><div dir=\"ltr\">Passar tiden på torsdag för Åke?</div></blockquote>"))),
        phone("ios-forward", "Fwd: Brev").label("Brev").body(html(&page("För kännedom.<br><br><div dir=\"ltr\">Vidarebefordrat brev:<br><br><blockquote type=\"cite\"><b>Från:</b> A &lt;a@habo.se&gt;<br><b>Ämne:</b> <b>Brev</b><br><br></blockquote></div><blockquote type=\"cite\"><div>Texten i brevet från Älmhult</div></blockquote>"))),
        phone("ios-voice-memo", "Röst").mixed("Apple-Mail-5A", vec![plain("Lyssna.\n"), file(Name::Quoted, "Röstmemo.m4a", "audio/x-m4a", b"\0\0\0\x1cftypM4A ")]).refused("5.6.1"),
        phone("ios-film", "Film").mixed("Apple-Mail-6A", vec![plain("Se filmen.\n"), file(Name::Quoted, "IMG_1.MOV", "video/quicktime", b"\0\0\0\x14ftypqt  ")]).refused("5.6.1"),
        mac("apple-mail-flowed", "Flytande").body(text("plain", "utf-8", Enc::Qp, "Den här raden är lång och bryts av programmet men hör ihop med nästa \nrad som börjar här.\n\nNytt stycke på åkern.\n").kind("text/plain;\r\n\tcharset=utf-8;\r\n\tformat=flowed;\r\n\tdelsp=yes")).words("Den här raden är lång och bryts av programmet men hör ihop med nästarad som börjar här Nytt stycke på åkern"),
        mac("apple-mail-nested-pdf-in-html", "Avtal").body(multi(
            "alternative",
            "Apple-Mail=_AAAA",
            vec![
                plain("Före avtalet\n\n\nEfter avtalet på hösten\n"),
                multi("mixed", "Apple-Mail=_BBBB", vec![html(&page("Före avtalet<br>")), file_in(Name::Sections, "Avtal hösten.pdf", "application/pdf", Enc::B64, "inline", &pdf(21)), html(&page("<br>Efter avtalet på hösten"))]),
            ],
        )),
        mac("apple-mail-decomposed-name", "Namn").mixed("Apple-Mail=_CCCC", vec![plain("Se filen.\n"), file(Name::Extended, decomposed, "application/pdf", &pdf(22)).named("Överklagande Åsa.pdf")]),
        mac("apple-mail-related-photo", "Foto").body(multi(
            "alternative",
            "Apple-Mail=_DDDD",
            vec![
                plain("Ett foto:\n\n"),
                multi("related; type=\"text/html\"", "Apple-Mail=_EEEE", vec![html(&page("Ett foto: <img apple-inline=\"yes\" id=\"A1\" src=\"cid:A1B2@habo.se\" height=\"800\"> från bron")), file_in(Name::Quoted, "bro.jpg", "image/jpeg", Enc::B64, "inline", &jpeg(80_000)).header("Content-Id: <A1B2@habo.se>")]),
            ],
        )),
        mac("apple-mail-docx-octet-stream", "Dokument").mixed("Apple-Mail=_FFFF", vec![plain("Dokumentet bifogas.\n"), file(Name::Sections, "Årsrapport för förskolan och grundskolan läsåret 2025–2026.docx", DOCX, &office("word/document.xml")).header("x-unix-mode: 0644")]),
        mac("apple-mail-text-file-inline", "Textfil").mixed("Apple-Mail=_GGGG", vec![plain("Loggen följer.\n"), file_in(Name::Quoted, "logg.txt", "text/plain; charset=utf-8; x-unix-mode=0644", Enc::Qp, "attachment", b"rad ett\r\nrad tv\xc3\xa5\r\n")]),
        mac("apple-mail-pages-document", "Pages").mixed("Apple-Mail=_HHHH", vec![plain("Se bifogat.\n"), file(Name::Quoted, "brev.pages", "application/x-iwork-pages-sffpages", b"PK\x03\x04")]).refused("5.6.1"),
        mac("apple-mail-appledouble", "Dubbel").mixed(
            "Apple-Mail=_IIII",
            vec![
                plain("Äldre dator.\n"),
                multi("appledouble", "Apple-Mail=_JJJJ", vec![file_in(Name::TypeOnly, "a.pdf", "application/applefile", Enc::B64, "attachment", b"\0\x05\x16\x07").lost(), file(Name::Quoted, "a.pdf", "application/pdf", &pdf(23))]),
            ],
        )
        .refused("5.6.1"),
        mac("apple-mail-signature-logo", "Logga").body(multi(
            "alternative",
            "Apple-Mail=_KKKK",
            vec![
                plain("Hej!\n\nÅsa\n"),
                multi("related; type=\"text/html\"", "Apple-Mail=_LLLL", vec![html(&page("Hej!<br id=\"lineBreakAtBeginningOfSignature\"><br>Åsa<br><img src=\"cid:logo@mac\" height=\"40\">")), file_in(Name::Quoted, "logo.png", "image/png", Enc::B64, "inline", &png(40, 2_000)).header("Content-Id: <logo@mac>").lost()]),
            ],
        ))
        .loses(Loss::Decoration("logo.png", png(40, 2_000))),
        mac("apple-mail-smart-quotes", "Citattecken").body(text("plain", "windows-1252", Enc::Qp, "Hon sa ”ja” – och ’nej’… Priset är 12 €.\n")),
        mac("apple-mail-us-ascii", "Ascii").body(Part::raw(&["Content-Type: text/plain;\r\n\tcharset=us-ascii", "Content-Transfer-Encoding: 7bit"], "Bara ascii har.\r\n")),
    ]
}
