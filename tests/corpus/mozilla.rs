//! Thunderbird and its kin: Evolution, KMail, Claws, K-9, mutt, and PGP as they do it.

use crate::build::{Enc, Loss, Mail, Name, Part, XLSX, encode, file, file_in, image, jpeg, mail, multi, office, pdf, plain, png, text};

fn bird(name: &'static str, subject: &str) -> Mail {
    mail(name).subject(subject).headers(&["User-Agent: Mozilla Thunderbird", "Content-Language: sv-SE"])
}

fn flowed(body: &str) -> Part {
    text("plain", "UTF-8", Enc::Eight, body).kind("text/plain; charset=UTF-8; format=flowed")
}

pub fn mails() -> Vec<Mail> {
    let cite = "<html>\n  <head>\n    <meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\">\n  </head>\n  <body>\n    <p>Svaret är nej.</p>\n    <div class=\"moz-cite-prefix\">Den 2026-03-03 kl. 16:02, skrev Kundtjänst:<br>\n    </div>\n    <blockquote type=\"cite\" cite=\"mid:abc@af.se\">\n      <p>Är svaret ja på torsdag?</p>\n      <blockquote type=\"cite\"><p>Äldre fråga</p></blockquote>\n    </blockquote>\n    <pre class=\"moz-signature\" cols=\"72\">-- \nÅsa Öberg\nHåbo kommun</pre>\n  </body>\n</html>\n";
    vec![
        bird("thunderbird-flowed", "Flytande").body(flowed("En rad som är så lång att programmet bryter den men den hör \nihop med den här.\n\n- ett\n- två på rad\n-- \nÅsa Öberg\n")),
        bird("thunderbird-flowed-quotes", "Re: Flytande").label("Flytande").answers().body(flowed("Jo.\n\nDen 2026-03-03 skrev Åke:\n> En citerad rad som är lång och \n> bruten på mitten.\n>> Äldre rad\n")),
        bird("thunderbird-flowed-stuffed", "Inskjutet").body(flowed("Hej\n From rad som börjar på From\n > inte ett citat\n  indrag på två\n")),
        bird("thunderbird-html-reply", "Re: Fråga").label("Fråga").answers().body(text("html", "UTF-8", Enc::Eight, cite)),
        bird("thunderbird-both", "Båda").body(multi("alternative", "------------7uYd2aO0cG0l0gkYw0Zr0aHb", vec![flowed("*Fet* och /kursiv/ på rad.\n"), text("html", "UTF-8", Enc::Eight, "<!DOCTYPE html>\n<html><body><p><b>Fet</b> och <i>kursiv</i> på rad.</p></body></html>\n")])),
        bird("thunderbird-latin9", "Euro").body(text("plain", "iso-8859-15", Enc::Eight, "Kostar 12 € på ön.\n")),
        bird("thunderbird-latin1-qp", "Gammal").body(text("plain", "ISO-8859-1", Enc::Qp, "Åkern är öde.\n")),
        bird("thunderbird-name-in-sections", "Fil").mixed("------------A1", vec![flowed("Se filen.\n"), file(Name::Sections, "Överenskommelse om samverkan mellan Håbo kommun och Arbetsförmedlingen.pdf", "application/pdf", &pdf(30))]),
        bird("thunderbird-inline-image", "Bild").body(multi("related", "------------B1", vec![text("html", "UTF-8", Enc::Eight, "<html><body><p>Se <img src=\"cid:part1.abc@habo.se\" alt=\"skärmbild\"> här på raden</p></body></html>\n"), image("part1.abc@habo.se", "skärm.png", &png(500, 80_000))])),
        bird("thunderbird-text-file-quoted-printable", "Text").mixed("------------C1", vec![flowed("Fil:\n"), file_in(Name::Quoted, "data.csv", "text/csv; charset=UTF-8", Enc::Qp, "attachment", "namn;ort\r\nÅsa;Örebro\r\n".as_bytes())]),
        bird("thunderbird-unix-text-file", "Text").mixed("------------D1", vec![flowed("Fil med radslut från Unix:\n"), file(Name::Quoted, "unix.txt", "text/plain; charset=UTF-8", b"a\nb\n\n")]),
        bird("thunderbird-forward-inline", "Fwd: Brev").label("Brev").body(flowed("Se nedan.\n\n-------- Vidarebefordrat meddelande --------\nÄmne: \tBrev\nDatum: \t3 mars 2026\nFrån: \tÅke <ake@habo.se>\n\nTexten i brevet.\n")),
        bird("thunderbird-pgp-signed", "Signerat").body(multi("signed; micalg=pgp-sha256;\r\n protocol=\"application/pgp-signature\"", "------------E1", vec![multi("mixed", "------------E2", vec![flowed("Undertecknat på heder.\n"), file(Name::Quoted, "bilaga.pdf", "application/pdf", &pdf(31))]), Part::raw(&["Content-Type: application/pgp-signature; name=\"OpenPGP_signature.asc\""], "-----BEGIN PGP SIGNATURE-----\r\n\r\nabc=\r\n-----END PGP SIGNATURE-----\r\n")]))
            .loses(Loss::Signature),
        bird("thunderbird-pgp-encrypted", "...").body(multi("encrypted; protocol=\"application/pgp-encrypted\"", "------------F1", vec![Part::raw(&["Content-Type: application/pgp-encrypted"], "Version: 1\r\n"), Part::raw(&["Content-Type: application/octet-stream; name=\"encrypted.asc\""], "-----BEGIN PGP MESSAGE-----\r\n")])).refused("5.7.4"),
        bird("thunderbird-smime-encrypted", "Krypterat").body(Part::raw(&["Content-Type: application/pkcs7-mime; name=\"smime.p7m\"; smime-type=enveloped-data", "Content-Transfer-Encoding: base64", "Content-Disposition: attachment; filename=\"smime.p7m\""], "MIAGCSqGSIb3DQEHA6CAMIACAQAxgg==\r\n")).refused("5.7.4"),
        bird("thunderbird-vcard", "Kort").mixed("------------G1", vec![flowed("Mitt kort.\n"), file(Name::Quoted, "asa.vcf", "text/vcard; charset=UTF-8", b"BEGIN:VCARD\r\nEND:VCARD\r\n")]).refused("5.6.1"),
        bird("thunderbird-emoticons-and-preformatted", "Former").body(text("html", "UTF-8", Enc::Eight, "<html><body><p>Kul <span class=\"moz-smiley-s1\"><span>:-)</span></span></p><pre wrap=\"\">fast   bredd\n  åäö\n</pre><ul><li>ett<ul><li>inre på</li></ul></li></ul></body></html>\n")),
        mail("evolution-alternative").subject("Från Evolution på jobbet").header("X-Mailer: Evolution 3.50.2").body(multi("alternative", "=-abcDEF123", vec![text("plain", "UTF-8", Enc::Qp, "Hej på er\n"), text("html", "UTF-8", Enc::Qp, "<html><head><style>pre,code,address {\n  margin: 0px;\n}</style></head><body><div>Hej på er</div></body></html>")])),
        mail("kmail-signed-looking-boundary").subject("KMail").header("User-Agent: KMail/5.24").mixed("nextPart2345678.iZASKD2KPV", vec![text("plain", "UTF-8", Enc::B64, "Hej från KMail på Åland\n"), file(Name::Both, "Blad ett – översikt.xlsx", XLSX, &office("xl/workbook.xml"))]),
        mail("claws-mail").subject("Från Claws").header("X-Mailer: Claws Mail 4.2.0 (GTK 3.24.41)").body(text("plain", "US-ASCII", Enc::Seven, "Bara ascii, inga prickar.\n")),
        mail("mutt-latin1").raw_subject("=?iso-8859-1?B?w6U=?=", "å").header("User-Agent: Mutt/2.2.12").body(text("plain", "iso-8859-1", Enc::Eight, "Ärendet är lagt på is.\n")),
        mail("k9-mail-android").subject("Från K-9 på resa").header("User-Agent: K-9 Mail for Android").mixed("----ABCDEFGHIJ", vec![multi("alternative", "----KLMNOP", vec![text("plain", "utf-8", Enc::Qp, "På väg\n"), text("html", "utf-8", Enc::Qp, "<!DOCTYPE html><html><body>På väg</body></html>")]), file(Name::Quoted, "foto.jpg", "image/jpeg", &jpeg(12_000))]),
        mail("samsung-mail").subject("Från min Galaxy på ön").body(multi("alternative", "--_com.samsung.android.email_1234567890", vec![text("plain", "utf-8", Enc::B64, "Är framme.\nSkickat från min Galaxy\n"), text("html", "utf-8", Enc::B64, "<html><body dir=\"auto\"><div dir=\"auto\">Är framme.</div><div id=\"composer_signature\" dir=\"auto\"><div style=\"font-size:12px\">Skickat från min Galaxy</div></div></body></html>")])),
        mail("nine-android").subject("Nine på språng").header("X-Mailer: Nine").body(text("html", "utf-8", Enc::B64, "<div id=\"nine_body\"><div>Åker nu.</div></div><div id=\"nine_sign\"><br>Skickat från <a href=\"http://www.9folders.com/\">Nine</a></div>")),
        mail("pine-alone-with-dots").subject("Punkter").header("X-X-Sender: asa@habo.se").body(Part::raw(&["Content-Type: TEXT/PLAIN; charset=ISO-8859-1; format=flowed", "Content-Transfer-Encoding: 8BIT"], encode("iso-8859-1", ".rad med punkt\r\n..två punkter på raden\r\n"))),
        mail("html-only-without-plain-from-eudora").subject("Eudora").header("X-Mailer: QUALCOMM Windows Eudora Version 7.1.0.9").body(text("html", "iso-8859-1", Enc::Qp, "<html>\n<body>\nHej p&aring; dig!<br>\n<x-sigsep><p></x-sigsep>\n&Ouml;rjan</body>\n</html>\n")),
        bird("thunderbird-long-plain-lines", "Långa rader").body(text("plain", "UTF-8", Enc::Qp, &"Åtta ord står på raden om och om igen. ".repeat(120))),
        bird("thunderbird-quoted-html-with-many-levels", "Djupt").body(text("html", "UTF-8", Enc::Eight, &format!("<html><body>Överst{}Underst{}</body></html>", "<blockquote type=\"cite\"><div>nivå</div>".repeat(40), "</blockquote>".repeat(40)))),
        bird("thunderbird-plain-alone-in-mixed", "Ensam").mixed("------------H1", vec![plain("Ensam del på listan.\n")]),
    ]
}
