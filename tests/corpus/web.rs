//! Mail on the web and on older groupware: Gmail, Yahoo, Proton, Roundcube, Zimbra, Notes, GroupWise, FirstClass.

use crate::build::{DOCX, Enc, Loss, Mail, Name, Part, encode, file, file_in, html, image, jpeg, mail, multi, office, pdf, plain, png, text};

pub fn mails() -> Vec<Mail> {
    let gmail =
        |name, subject: &str| mail(name).subject(subject).header("X-Gm-Message-State: AOJu0YxZ").header("Message-ID: <CAF+Zx1=abc@mail.gmail.com>");
    let both = |plain_text: &str, page: &str| {
        multi("alternative", "00000000000052c3a40612abcdef", vec![text("plain", "UTF-8", Enc::Qp, plain_text), text("html", "UTF-8", Enc::Qp, page)])
    };
    vec![
        gmail("gmail-web", "Hej från webben på ön").body(both("Hej *på* er\n", "<div dir=\"ltr\">Hej <b>på</b> er<div><br></div><div>Vi hörs.</div></div>\n")),
        gmail("gmail-reply", "Re: Tid").label("Tid").answers().body(both(
            "Det går bra.\n\nDen tis 3 mars 2026 kl 16:02 skrev Åke <ake@af.se>:\n\n> Går det bra?\n",
            "<div dir=\"ltr\">Det går bra.</div><br><div class=\"gmail_quote\"><div dir=\"ltr\" class=\"gmail_attr\">Den tis 3 mars 2026 kl 16:02 skrev Åke &lt;<a href=\"mailto:ake@af.se\">ake@af.se</a>&gt;:<br></div><blockquote class=\"gmail_quote\" style=\"margin:0px 0px 0px 0.8ex\"><div>Går det bra?</div></blockquote></div>\n",
        )),
        gmail("gmail-drive-chip", "Delat").body(both("Filen\n", "<div dir=\"ltr\">Filen <div class=\"gmail_chip gmail_drive_chip\" style=\"width:396px\"><a href=\"https://drive.google.com/file/d/1abc/view?usp=drive_web\"><span dir=\"ltr\">Underlag på rad.pdf</span></a></div> är delad.</div>\n")),
        gmail("gmail-attachment-with-x-attachment-id", "Fil").mixed("000000000000aa", vec![both("Fil på väg\n", "<div dir=\"ltr\">Fil på väg</div>\n"), file(Name::Quoted, "Rapport Q1.pdf", "application/pdf", &pdf(40)).header("X-Attachment-Id: f_ltabc0").header("Content-ID: <f_ltabc0>")]),
        gmail("gmail-swedish-name-in-utf8-words", "Fil").mixed("000000000000ab", vec![both("Fil\n", "<div dir=\"ltr\">Fil</div>\n"), file(Name::B, "Årsmöte för föräldrar.docx", DOCX, &office("word/document.xml"))]),
        gmail("gmail-inline-image", "Bild").body(multi("related", "000000000000ac", vec![both("[bild: karta.png]\n", "<div dir=\"ltr\">Karta: <img src=\"cid:ii_ltabc\" alt=\"karta.png\" width=\"542\" height=\"400\"> över ån</div>\n"), image("ii_ltabc", "karta.png", &png(400, 70_000))])),
        gmail("gmail-clipped-emoji-and-lists", "Lista").body(both("- ett\n", "<div dir=\"ltr\"><ul><li>ett ✅</li><li>två ❌<ol><li>tre på</li></ol></li></ul></div>\n")),
        mail("yahoo-web").subject("Från Yahoo på kvällen").header("X-Mailer: WebService/1.1.22129 YMailNorrin").body(multi("alternative", "----=_Part_1234567_890123456.1709540000000", vec![plain("Hej på er\n"), html("<html><head></head><body><div class=\"ydp1ayahoo-style-wrap\" style=\"font-family:Helvetica\"><div dir=\"ltr\" data-setdir=\"false\">Hej på er</div></div></body></html>")])),
        mail("outlook-com").subject("Från Outlook.com på mån").body(html("<html><head><style type=\"text/css\" style=\"display:none;\"> P {margin-top:0;margin-bottom:0;} </style></head><body dir=\"ltr\"><p>Första stycket på raden</p><p><br></p><p>Andra</p></body></html>\n")),
        mail("proton-web").subject("Från Proton på torget").body(multi("alternative", "b1_abcDEF", vec![text("plain", "utf-8", Enc::B64, "Hej på torget\n\nSent with Proton Mail secure email.\n"), text("html", "utf-8", Enc::B64, "<div style=\"font-family: Arial, sans-serif; font-size: 14px;\">Hej på torget</div><div class=\"protonmail_signature_block\"><div>Sent with <a target=\"_blank\" href=\"https://proton.me/mail/home\">Proton Mail</a> secure email.</div></div>")])),
        mail("icloud-web").subject("Från iCloud på ån").header("X-Mailer: iCloud MailClient21 MailServer").body(multi("alternative", "Apple-Webmail-42--7c1a", vec![plain("Hej på ån\n"), html("<html><body><div>Hej på ån<br></div></body></html>")])),
        mail("roundcube").subject("Från Roundcube på nätet").header("User-Agent: Roundcube Webmail/1.6.6").mixed("=_0f1e2d3c4b5a", vec![text("plain", "UTF-8", Enc::Qp, "Hej på nätet\n").kind("text/plain; charset=UTF-8;\r\n format=flowed"), file(Name::Sections, "Ritning över kök och badrum på övervåningen.pdf", "application/pdf", &pdf(41)).header("X-Size: 1523")]),
        mail("horde").subject("Från Horde på kvällen").header("User-Agent: Horde Application Framework 5").body(text("plain", "iso-8859-1", Enc::Qp, "Hej på kvällen\n").kind("text/plain; charset=iso-8859-1; format=flowed; DelSp=Yes")),
        mail("zimbra").subject("Från Zimbra på jobbet").header("X-Mailer: Zimbra 8.8.15").body(multi("alternative", "----=_Part_7_1.2", vec![plain("Hej på jobbet\n"), html("<html><body><div style=\"font-family: arial\"><div>Hej på jobbet</div></div></body></html>")])),
        mail("sogo").subject("Från SOGo på kontoret").header("User-Agent: SOGoMail 5.9.1").body(html("<html>Hej på kontoret<br /></html>")),
        mail("notes-domino").subject("Från Notes på kansliet").header("X-Mailer: HCL Notes Release 11.0.1").body(multi("alternative", "=_alternative 002F6A1EC1258ACB_=", vec![text("plain", "ISO-8859-1", Enc::Qp, "Hej på kansliet\n"), text("html", "ISO-8859-1", Enc::Qp, "<font size=2 face=\"sans-serif\">Hej p&aring; kansliet</font>\n<br>\n<br><tt><font size=2>Fast bredd p&aring; raden</font></tt>\n")])),
        mail("notes-related-with-gif").subject("Notes med bild").body(multi(
            "related",
            "=_related 0012_=",
            vec![html("<font size=2>Se bilden</font><img src=\"cid:_1_0B2C@habo\" alt=\"\"> på sidan"), file_in(Name::Quoted, "graycol.gif", "image/gif", Enc::B64, "inline", b"GIF89a\x10\0\x10\0\x80\0\0;").header("Content-ID: <_1_0B2C@habo>").lost()],
        ))
        .loses(Loss::Decoration("graycol.gif", b"GIF89a\x10\0\x10\0\x80\0\0;".to_vec())),
        mail("groupwise").subject("Från GroupWise på rådhuset").header("X-Mailer: Novell GroupWise Internet Agent 8.0.3").mixed("=__PartABCDEF__=", vec![text("plain", "UTF-8", Enc::Qp, "Hej på rådhuset\n"), file(Name::Quoted, "TEXT.htm.pdf", "application/pdf", &pdf(42))]),
        mail("firstclass").subject("Från FirstClass på skolan").header("X-Mailer: FirstClass 16.1").mixed("--=_--abc.def--=_--", vec![text("plain", "ISO-8859-1", Enc::Eight, "Hej på skolan\n"), file(Name::Latin1, "Läsåret på skolan.pdf", "application/pdf", &pdf(43))]),
        mail("android-gmail-photo").subject("Foto på olyckan").mixed("000000000000ad", vec![multi("alternative", "000000000000ae", vec![plain("Foto på bron\n"), html("<div dir=\"auto\">Foto på bron</div>")]), file(Name::Quoted, "20260304_093000.jpg", "image/jpeg", &jpeg(20_000)).header("X-Attachment-Id: 18e0abc")]),
        mail("hotmail-of-2008").subject("Gammal Hotmail på ren svenska").body(multi("alternative", "_7f1a_", vec![text("plain", "iso-8859-1", Enc::Qp, "Hej på ren svenska\n_________________\nReklam\n"), text("html", "iso-8859-1", Enc::Qp, "<html>\n<head>\n<style>\n.hmmessage P\n{\nmargin:0px\n}\n</style>\n</head>\n<body class='hmmessage'>\nHej p=E5 er<BR>\nåter<br /><hr />Reklam</body>\n</html>")])),
        mail("telia-webmail-unlabelled-latin1").octets(&encode("iso-8859-1", "Subject: Fråga på väg")).label("Fråga på väg").body(Part::raw(&["Content-Type: text/plain"], encode("iso-8859-1", "Frågan är på väg.\r\n"))),
    ]
}
