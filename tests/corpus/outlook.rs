//! Outlook for Windows (2010 to 365, the new one), for Mac, and Word's HTML.

use crate::build::{DOCX, Enc, Loss, Mail, Name, Part, XLSX, encode, file, file_in, html, image, jpeg, mail, multi, office, pdf, plain, png, text};

const BOUNDARY: &str = "_000_9f3c1f0d1c2a4c5fb0e1habose_";

/// What Word puts around a text; its own comments, styles and lists of fonts among it.
pub fn word(body: &str) -> String {
    format!(
        "<html xmlns:v=\"urn:schemas-microsoft-com:vml\" xmlns:o=\"urn:schemas-microsoft-com:office:office\" xmlns:w=\"urn:schemas-microsoft-com:office:word\" \
xmlns:m=\"http://schemas.microsoft.com/office/2004/12/omml\" xmlns=\"http://www.w3.org/TR/REC-html40\">\n<head>\n\
<meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\">\n<meta name=\"Generator\" content=\"Microsoft Word 15 (filtered medium)\">\n\
<!--[if !mso]><style>v\\:* {{behavior:url(#default#VML);}}\no\\:* {{behavior:url(#default#VML);}}\n.shape {{behavior:url(#default#VML);}}\n</style><![endif]-->\
<style><!--\n/* Font Definitions */\n@font-face\n\t{{font-family:Calibri;\n\tpanose-1:2 15 5 2 2 2 4 3 2 4;}}\np.MsoNormal, li.MsoNormal, div.MsoNormal\n\t{{margin:0cm;\n\
\tfont-size:11.0pt;\n\tfont-family:\"Calibri\",sans-serif;\n\tmso-fareast-language:EN-US;}}\na:link, span.MsoHyperlink\n\t{{mso-style-priority:99;\n\tcolor:#0563C1;}}\n\
@page WordSection1\n\t{{size:612.0pt 792.0pt;\n\tmargin:70.85pt 70.85pt 70.85pt 70.85pt;}}\n--></style><!--[if gte mso 9]><xml>\n<o:shapedefaults v:ext=\"edit\" spidmax=\"1026\" />\n\
</xml><![endif]-->\n</head>\n<body lang=\"SV\" link=\"#0563C1\" vlink=\"#954F72\" style=\"word-wrap:break-word\">\n<div class=\"WordSection1\">\n{body}\n</div>\n</body>\n</html>\n"
    )
}

pub fn p(text: &str) -> String {
    format!("<p class=\"MsoNormal\">{text}<o:p></o:p></p>\n")
}

/// Both forms of a text in the way of Outlook with Exchange.
fn both(plain_text: &str, page: &str) -> Part {
    multi("alternative", BOUNDARY, vec![plain(plain_text), html(page)])
}

fn outlook(name: &'static str, subject: &str) -> Mail {
    mail(name).subject(subject).headers(&[
        "Thread-Topic: =?utf-8?B?w4RyZW5kZQ==?=",
        "Thread-Index: AdrXk2lFZ3b1p0kQQ7aU7v1kq2f9Ag==",
        "Accept-Language: sv-SE, en-US",
        "Content-Language: sv-SE",
        "X-MS-Has-Attach:",
        "X-MS-TNEF-Correlator:",
        "x-originating-ip: [10.1.2.3]",
    ])
}

fn item(level: u8, mark: &str, text: &str) -> String {
    format!(
        "<p class=\"MsoListParagraphCxSpMiddle\" style=\"margin-left:{}.0pt;mso-add-space:auto;text-indent:-18.0pt;mso-list:l0 level{level} lfo1\"><![if !supportLists]>\
<span style=\"font-family:Symbol\"><span style=\"mso-list:Ignore\">{mark}<span style=\"font:7.0pt &quot;Times New Roman&quot;\">&nbsp;&nbsp;&nbsp;&nbsp;&nbsp;&nbsp; </span></span></span>\
<![endif]>{text}<o:p></o:p></p>\n",
        u32::from(level) * 36
    )
}

fn signature(picture: &str) -> String {
    format!(
        "{}{}{}<p class=\"MsoNormal\"><b><span style=\"font-size:10.0pt;color:#1F4E79\">Örjan Ängqvist</span></b><span style=\"color:#1F4E79\"><br>Socialsekreterare<br>\
Håbo kommun, 746 80 Bålsta<br>Växel 0171-525 00</span><o:p></o:p></p>\n<p class=\"MsoNormal\">{picture}<o:p></o:p></p>",
        p("<o:p>&nbsp;</o:p>"),
        p("Med vänlig hälsning"),
        p("<o:p>&nbsp;</o:p>")
    )
}

fn lists() -> Vec<Mail> {
    vec![
        outlook("outlook-2016-bullets", "Att ta med").body(both(
            "Ta med:\n·  Legitimation\n·  Kvitton\n",
            &word(&(p("Ta med:") + &item(1, "·", "Legitimation") + &item(2, "o", "pass eller körkort") + &item(1, "·", "Kvitton för åtta månader"))),
        )),
        outlook("outlook-2016-numbers", "Så går det till").body(html(&word(
            &(p("Så går det till:") + &item(1, "1.", "Ansökan lämnas") + &item(2, "a.", "på blankett") + &item(2, "b.", "eller i e-tjänsten") + &item(1, "2.", "Beslut fattas")),
        ))),
        outlook("outlook-365-lists-as-html", "Dagordning").body(html(
            "<html><body><ol style=\"margin-top:0cm\" start=1 type=1><li class=MsoListParagraph style='margin-left:0cm;mso-list:l0 level1 lfo1'>Öppnande<o:p></o:p></li>\
<li class=MsoListParagraph>Ärenden<ul type=disc><li>Åkerbo</li><li>Östervik</li></ul></li></ol><p class=MsoNormal>Välkomna!</p></body></html>\n",
        )),
        outlook("outlook-list-continued-after-text", "Fortsatt numrering").body(html(&word(
            &(item(1, "1.", "Första") + &p("Mellantext om ärendet") + &item(1, "2.", "Andra") + &item(1, "3.", "Tredje")),
        ))),
    ]
}

fn tables() -> Vec<Mail> {
    let cell = |text: &str| {
        format!(
            "<td width=120 valign=top style='width:90.0pt;border:solid windowtext 1.0pt;padding:0cm 5.4pt 0cm 5.4pt'><p class=MsoNormal>{text}<o:p></o:p></p></td>"
        )
    };
    let row = |cells: &[&str]| format!("<tr>{}</tr>\n", cells.iter().map(|text| cell(text)).collect::<String>());
    vec![
        outlook("outlook-table-from-excel", "Kostnader").body(html(&word(&format!(
            "{}<table class=MsoNormalTable border=0 cellspacing=0 cellpadding=0 width=320 style='width:240.0pt;border-collapse:collapse'>{}{}{}</table>{}",
            p("Här är kostnaderna:"),
            row(&["Månad", "Hyra", "El"]),
            row(&["April", "7&nbsp;850", "600"]),
            row(&["Maj", "7&nbsp;850", "612,50"]),
            p("Summan räknas om i juni.")
        )))),
        outlook("outlook-table-with-merged-and-empty-cells", "Schema").body(html(&word(&format!(
            "<table class=MsoTableGrid border=1><tr><td colspan=2><p class=MsoNormal><b>Vecka 12</b></p></td></tr>{}{}</table>",
            row(&["Måndag", "&nbsp;"]),
            row(&["Tisdag", "Möte med Åsa<br>kl. 13.00"])
        )))),
        outlook("outlook-table-in-table", "Layout").body(html(&word(
            "<table><tr><td><table><tr><td><p class=MsoNormal>Inre vänster</p></td><td><p class=MsoNormal>Inre höger</p></td></tr></table></td><td><p class=MsoNormal>Yttre</p><p class=MsoNormal>rad två</p></td></tr></table>",
        ))),
    ]
}

fn history() -> Vec<Mail> {
    let quoted = "<div style=\"border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm\"><p class=\"MsoNormal\"><b>Från:</b> Kundtjänst, Arbetsförmedlingen (SDK) &lt;kundtjanst@af.se.sdk.habo.se&gt; <br>\
<b>Skickat:</b> den 3 mars 2026 16:02<br><b>Till:</b> Socialtjänsten &lt;socialtjansten@habo.se&gt;<br><b>Ämne:</b> Begäran om uppgifter<o:p></o:p></p></div>";
    vec![
        outlook("outlook-2016-reply-with-history", "SV: Begäran om uppgifter")
            .label("Begäran om uppgifter")
            .answers()
            .body(both("Ja, det går bra.\n\nFrån: Kundtjänst\n", &word(&(p("Ja, det går bra.") + &p("<o:p>&nbsp;</o:p>") + "<div>" + quoted + "</div>" + &p("Kan ni skicka uppgifterna för mars?"))))),
        outlook("outlook-2010-plain-reply", "SV: Begäran om uppgifter").label("Begäran om uppgifter").answers().body(text(
            "plain",
            "iso-8859-1",
            Enc::Qp,
            "Ja, det går bra.\n\n-----Ursprungligt meddelande-----\nFrån: Kundtjänst [mailto:kundtjanst@af.se.sdk.habo.se] \nSkickat: den 3 mars 2026 16:02\nTill: Socialtjänsten\nÄmne: Begäran om uppgifter\n\n> Kan ni skicka uppgifterna?\n>\n>> Första frågan\n",
        )),
        outlook("outlook-answers-between-the-lines", "SV: Frågor").label("Frågor").answers().body(html(&word(
            &(p("Hej, se svar <span style='color:blue'>i blått</span> nedan.") + quoted + &p("Hur många är ni?") + &p("<span style='color:blue'>Fyra, varav två under sju år.</span>") + &p("När flyttade ni in?")
                + &p("<span style='color:#0070C0'>I åttonde månaden.</span>")),
        ))),
        outlook("outlook-new-reply", "Re: Begäran om uppgifter").label("Begäran om uppgifter").answers().body(html(
            "<html><head><style type=\"text/css\" style=\"display:none;\"> P {margin-top:0;margin-bottom:0;} </style></head><body dir=\"ltr\">\
<div class=\"elementToProof\" style=\"font-family: Aptos, Aptos_EmbeddedFont, Calibri; font-size: 12pt;\">Hej,</div><div class=\"elementToProof\"><br></div><div class=\"elementToProof\">uppgifterna är riktiga.</div>\
<div id=\"appendonsend\"></div><hr style=\"display:inline-block;width:98%\" tabindex=\"-1\"><div id=\"divRplyFwdMsg\" dir=\"ltr\"><font face=\"Calibri, sans-serif\" style=\"font-size:11pt\" color=\"#000000\"><b>Från:</b> Kundtjänst &lt;k@af.se.sdk.habo.se&gt;<br>\
<b>Skickat:</b> den 3 mars 2026 16:02<br><b>Ämne:</b> Begäran</font><div>&nbsp;</div></div><div>Stämmer uppgifterna?</div></body></html>\n",
        )),
        outlook("outlook-forward", "VB: Inkommet brev").label("Inkommet brev").body(both(
            "För kännedom.\n",
            &word(&(p("För kännedom, hanteras av er.") + quoted + &p("Brevet kom in i går från Älvkarleby."))),
        )),
        outlook("outlook-three-generations-of-history", "SV: VB: SV: Samverkan").label("Samverkan").answers().body(html(&word(
            &(p("Tredje") + quoted + &p("Andra") + quoted + &p("Första <a href=\"mailto:kundtjanst@af.se.sdk.habo.se\">kundtjanst@af.se.sdk.habo.se</a>")),
        ))),
    ]
}

fn images() -> Vec<Mail> {
    let logo = png(60, 3_000);
    let cid = |id: &str, width: u16, height: u16| {
        format!(
            "<img border=0 width={width} height={height} style='width:1.5in;height:.5in' id=\"Bildobjekt_x0020_1\" src=\"cid:{id}\" alt=\"Logotyp\">"
        )
    };
    let related = |page: &str, images: Vec<Part>| {
        let alternative = multi("alternative", "_000_inre_", vec![plain("Se bifogat.\n"), html(page)]);
        multi("related; type=\"multipart/alternative\"", "_004_yttre_", std::iter::once(alternative).chain(images).collect())
    };
    let page = word(&(p("Se bifogat.") + &signature(&cid("image001.png@01DAB123.4567ABCD", 160, 60))));
    let icons = ["image002.png@01DA", "image003.png@01DA", "image004.png@01DA"];
    let social =
        word(&(p("Hej!") + &signature(&icons.map(|id| format!("<a href=\"https://www.habo.se/{}\">{}</a>", &id[..8], cid(id, 24, 24))).concat())));
    let shot = png(700, 90_000);
    vec![
        outlook("outlook-signature-logo", "Underlag").body(related(&page, vec![image("image001.png@01DAB123.4567ABCD", "image001.png", &logo).lost()])).loses(Loss::Decoration("image001.png", logo.clone())),
        outlook("outlook-signature-logo-and-files", "Underlag med bilagor")
            .mixed(
                "_006_hela_",
                vec![
                    related(&page, vec![image("image001.png@01DAB123.4567ABCD", "image001.png", &logo).lost()]),
                    file(Name::B, "Utredning Åström.docx", DOCX, &office("word/document.xml")),
                    file(Name::B, "Bilaga 1 – kalkyl.xlsx", XLSX, &office("xl/workbook.xml")),
                ],
            )
            .loses(Loss::Decoration("image001.png", logo.clone())),
        outlook("outlook-signature-with-three-icons", "Möte")
            .body(related(&social, icons.iter().zip(2_u8..).map(|(id, number)| image(id, &format!("image00{number}.png"), &png(24, 900 + usize::from(number))).lost()).collect()))
            .loses(Loss::Decoration("image002.png", png(24, 902)))
            .loses(Loss::Decoration("image003.png", png(24, 903)))
            .loses(Loss::Decoration("image004.png", png(24, 904))),
        outlook("outlook-pasted-screenshot", "Felet ser ut så här")
            .body(related(&word(&(p("Så här ser det ut:") + &p(&cid("image005.png@01DA", 640, 700)) + &p("Vad ska jag göra?"))), vec![image("image005.png@01DA", "image005.png", &shot)])),
        outlook("outlook-screenshot-shown-twice", "Dubbelt")
            .body(related(&word(&(p(&cid("image006.png@01DA", 640, 700)) + &p("och igen:") + &p(&cid("image006.png@01DA", 640, 700)))), vec![image("image006.png@01DA", "image006.png", &shot)])),
        outlook("outlook-vml-beside-the-image", "Karta").body(related(
            &word(&p(&format!(
                "Se kartan <!--[if gte vml 1]><v:shape id=\"_x0000_i1025\" type=\"#_x0000_t75\" style='width:480pt'><v:imagedata src=\"cid:image007.png@01DA\" o:title=\"karta\"/></v:shape><![endif]--><![if !vml]>{}<![endif]> nedan.",
                cid("image007.png@01DA", 640, 700)
            ))),
            vec![image("image007.png@01DA", "image007.png", &shot)],
        )),
        outlook("outlook-image-on-the-web", "Nyhetsbrev från oss")
            .body(html(&word(&(p("Välkommen till öppet hus.") + &p("<img src=\"https://www.habo.se/bild.jpg\" width=600 height=400 alt=\"Öppet hus\">")))))
            .loses(Loss::WebImage),
        outlook("outlook-photo-as-attachment", "Bilder från besöket").mixed("_003_bild_", vec![html(&word(&p("Tre bilder."))), file(Name::Quoted, "IMG_0001.JPG", "image/jpeg", &jpeg(40_000)), file(Name::Quoted, "IMG_0002.JPG", "image/jpeg", &jpeg(41_000))]),
    ]
}

fn names() -> Vec<Mail> {
    let with = |name, part: Part| outlook(name, "Handling").mixed("_002_namn_", vec![plain("Se bifogad handling.\n"), part]);
    vec![
        with(
            "outlook-name-b-in-both-fields",
            file(Name::B, "Överklagande Åsa Öberg.pdf", "application/pdf", &pdf(1)).header("Content-Description: =?utf-8?B?w5Z2ZXI=?="),
        ),
        with("outlook-2010-name-q-latin1", file(Name::Q, "Räkning för hösten.pdf", "application/pdf", &pdf(2))),
        with(
            "outlook-long-name-in-many-words",
            file(
                Name::B,
                "Protokoll från socialnämndens arbetsutskotts sammanträde den 4 mars 2026 – ärende 12 Återkoppling om åtgärder.pdf",
                "application/pdf",
                &pdf(3),
            ),
        ),
        with(
            "outlook-365-name-by-rfc2231",
            file(Name::Both, "Beslut om bistånd (äldreomsorg).pdf", "application/pdf", &pdf(4))
                .header("Content-Description: Beslut.pdf")
                .header("Content-ID: <f_abc>"),
        ),
        with("outlook-name-with-dots-and-spaces", file(Name::Quoted, "Avtal v. 2.1 rev. B.docx", DOCX, &office("word/document.xml"))),
        with("outlook-xlsx-as-octet-stream", file(Name::Quoted, "budget.xlsx", "application/octet-stream", &office("xl/workbook.xml"))),
        with(
            "outlook-old-word-file",
            file(Name::Quoted, "blankett.doc", "application/msword", &[b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".as_slice(), &[7; 900]].concat()),
        ),
        with(
            "outlook-csv-as-excel",
            file(Name::Quoted, "lista.csv", "application/vnd.ms-excel", &encode("windows-1252", "namn;belopp\r\nÅsa;1 200 €\r\n")),
        ),
        with(
            "outlook-text-file-with-its-own-charset",
            file(Name::Quoted, "anteckning.txt", "text/plain; charset=\"iso-8859-1\"", &encode("iso-8859-1", "Rad ett åäö\r\nRad två\r\n")),
        ),
        with(
            "outlook-two-files-of-one-name",
            multi(
                "mixed",
                "_inre_namn_",
                vec![
                    file(Name::Quoted, "bilaga.pdf", "application/pdf", &pdf(5)),
                    file(Name::Quoted, "bilaga.pdf", "application/pdf", &pdf(6)).named("bilaga (2).pdf"),
                ],
            ),
        )
        .loses(Loss::Twin("bilaga (2).pdf")),
        with("outlook-rtf-file", file(Name::Quoted, "brev.rtf", "text/rtf", b"{\\rtf1\\ansi Hej \\'e5}\r\n")),
        with(
            "outlook-pptx",
            file(
                Name::Quoted,
                "utbildning.pptx",
                "application/vnd.openxmlformats-officedocument.presentationml.presentation",
                &office("ppt/presentation.xml"),
            ),
        ),
    ]
}

fn texts() -> Vec<Mail> {
    let swedish = "Hej!\n\nÅterkom gärna om ärendet före den 12 mars – då stänger vi för påsk.\nVi nås på 0171-525 00 åren igenom.\n\nHälsningar\nÖrjan Ängqvist\n";
    vec![
        outlook("outlook-2010-plain-latin1", "Påminnelse").header("X-Mailer: Microsoft Outlook 14.0").body(text("plain", "iso-8859-1", Enc::Qp, &swedish.replace('–', "-"))),
        outlook("outlook-2013-plain-windows-1252", "Påminnelse").header("X-Mailer: Microsoft Outlook 15.0").body(text("plain", "windows-1252", Enc::Qp, swedish)),
        outlook("outlook-2016-html-windows-1252", "Påminnelse").header("X-Mailer: Microsoft Outlook 16.0").body(text("html", "windows-1252", Enc::Qp, &word(&(p("Återkom gärna – ”före” den 12:e…") + &p("Kostnad: 1 200 €"))))),
        outlook("outlook-365-html-base64", "Påminnelse").body(text("html", "utf-8", Enc::B64, &word(&(p("Återkom gärna.") + &p("Hälsningar från Håbo"))))),
        outlook("outlook-365-alternative-8bit", "Påminnelse").body(multi(
            "alternative",
            "----=_NextPart_000_0001_01DA6E2B.1F2E3D40",
            vec![text("plain", "utf-8", Enc::Eight, "Återkom gärna.\n"), text("html", "utf-8", Enc::Eight, &word(&p("Återkom <b>gärna</b> <i>före</i> <u>påsk</u>.")))],
        )),
        outlook("outlook-via-pop-with-long-boundary", "Påminnelse").header("X-Mailer: Microsoft Outlook 16.0").header("Content-Language: sv").header("Thread-Index: AQHZ").mixed(
            "----=_NextPart_000_0012_01DA6E2B.AAAA0000",
            vec![multi("alternative", "----=_NextPart_001_0013_01DA6E2B.AAAA0000", vec![text("plain", "iso-8859-1", Enc::Seven, "Hej\n"), text("html", "iso-8859-1", Enc::Qp, &word(&p("Hej på er")))]), file(Name::Quoted, "a.pdf", "application/pdf", &pdf(7))],
        ),
        outlook("outlook-new-html", "Fråga").body(html(
            "<html><head>\n<meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\">\n<style type=\"text/css\" style=\"display:none;\"> P {margin-top:0;margin-bottom:0;} </style>\n</head>\n<body dir=\"ltr\">\n\
<div class=\"elementToProof\" style=\"font-family: Aptos; font-size: 12pt; color: rgb(0, 0, 0);\">\nHej,</div>\n<div class=\"elementToProof\"><br>\n</div>\n<div class=\"elementToProof\">får vi ställa en <b>fråga</b> om ärendet?</div>\n\
<div class=\"elementToProof\" id=\"Signature\"><p style=\"margin:0\">Örjan Ängqvist</p></div>\n</body>\n</html>\n",
        )),
        outlook("outlook-for-mac", "Från Mac").header("User-Agent: Microsoft-MacOutlook/16.83.24031120").body(multi(
            "alternative",
            "B_3792828123_1234567890",
            vec![text("plain", "UTF-8", Enc::B64, "Hej från Mac\n"), text("html", "UTF-8", Enc::Qp, &word(&(p("Hej från Mac,") + &p("<span style='font-size:12.0pt'>ärendet är avslutat.</span>"))))],
        )),
        outlook("outlook-headings-from-word", "Utredning").body(html(&word(
            &("<h1>Utredning<o:p></o:p></h1>\n".to_owned() + &p("Inledning med <b>fet</b>, <i>kursiv</i> och <b><i>båda</i></b>.") + "<h2><span style='mso-bookmark:_Toc1'>Bakgrund</span></h2>\n<h3>Ärendets gång</h3>\n" + &p("Slut.")),
        ))),
        outlook("outlook-tracked-changes", "Förslag till text").body(html(&word(&p("Beslutet gäller <del cite=\"mailto:x\">tre</del> <ins cite=\"mailto:x\">fyra</ins> månader från <s>mars</s> april.")))),
        outlook("outlook-links", "Länkar").body(html(&word(
            &(p("Se <a href=\"https://www.habo.se/\">www.habo.se</a>, <a href=\"https://www.habo.se/blanketter?id=12&amp;sida=3\">blanketten</a> eller <a href=\"mailto:socialtjansten@habo.se\">skriv till oss</a>.")
                + &p("Ring <a href=\"tel:+4617152500\">0171-525 00</a>.")),
        ))),
        outlook("outlook-safelinks", "Länk").body(html(&word(&p(
            "Se <a href=\"https://eur03.safelinks.protection.outlook.com/?url=https%3A%2F%2Fwww.habo.se%2F&amp;data=05%7C02%7C&amp;sdata=abc%3D&amp;reserved=0\" originalsrc=\"https://www.habo.se/\">www.habo.se</a> för öppettider.",
        )))),
        outlook("outlook-hidden-preheader", "Inbjudan").body(html(&word(&("<div style=\"display:none;max-height:0;overflow:hidden\">dold ingress</div>".to_owned() + &p("Välkommen på öppet hus!"))))),
        outlook("outlook-indented-and-quoted", "Citat").body(html(&word(
            &(p("Lagen säger:") + "<blockquote style='margin-top:5.0pt;margin-bottom:5.0pt'><p class=MsoNormal>Den som är i behov av stöd har rätt till bistånd.</p></blockquote>" + "<p class=MsoNormal style='margin-left:36.0pt'>Indraget stycke.</p>"),
        ))),
        outlook("outlook-entities-and-odd-spaces", "Tecken").body(html(&word(&p("Pris:&nbsp;1&thinsp;200&nbsp;kr &ndash; &quot;inkl.&quot; moms &lt;25&nbsp;%&gt; &aring;&auml;&ouml; &#197;&#x00C4;&Ouml; &copy; 2026 &euro;5")))),
        outlook("outlook-markdown-lookalikes", "Tecken som betyder något").body(html(&word(
            &(p("* inte en punkt") + &p("# inte en rubrik") + &p("1. inte en lista") + &p("[KS 2026/1]: beslut") + &p("_under_ och **stjärnor** och `kod` &lt;script&gt;") + &p("--") + &p("&gt; citat") + &p("C:\\hem\\ny")),
        ))),
        outlook("outlook-emoji", "Tack 👍").body(both("Tack 👍\n", &word(&p("Tack för hjälpen 👍🏽 👨‍👩‍👧 🇸🇪 ☺️")))),
        outlook("outlook-wide-letters-in-many-scripts", "Tolk").body(html(&word(&(p("Tolk behövs: العربية, Српски, ትግርኛ, 中文, ไทย, ελληνικά, Łódź, Dvořák") + &p("<span dir=RTL>مرحبا</span>"))))),
        outlook("outlook-empty-paragraphs", "Luft").body(html(&word(&(p("<o:p>&nbsp;</o:p>").repeat(30) + &p("Text efter luft") + &p("<o:p>&nbsp;</o:p>").repeat(30))))),
        outlook("outlook-ten-thousand-words", "Långt brev").body(html(&word(&(0..400).map(|number| p(&format!("Stycke {number} om ärendet: åtgärder är vidtagna och ännu fler planeras inför våren."))).collect::<String>()))),
        outlook("outlook-one-paragraph-of-50-kb", "Ett enda stycke").body(html(&word(&p(&"Meningen upprepas åter och åter i detta långa stycke. ".repeat(900))))),
    ]
}

fn fields() -> Vec<Mail> {
    let simple = |name, subject: &str| outlook(name, subject).body(plain("Ärendet gäller Åkerbo.\n"));
    let long = "Angående ansökan om ekonomiskt bistånd för april, maj och juni samt frågan om återkrav av tidigare utbetalat belopp ".repeat(3);
    let long: &'static str = Box::leak(long.trim().to_owned().into_boxed_str());
    let cut = "Angående ansökan om ekonomiskt bistånd för april, maj och juni samt frågan om återkrav av tidigare utbetalat belopp "
        .repeat(3)
        .chars()
        .take(256)
        .collect::<String>();
    vec![
        simple("outlook-sensitivity-private", "Privat").header("Sensitivity: Private"),
        simple("outlook-sensitivity-company", "Internt").header("Sensitivity: Company-Confidential"),
        simple("outlook-importance-high", "Brådskande").headers(&["X-Priority: 1 (Highest)", "X-MSMail-Priority: High", "Importance: High"]),
        simple("outlook-tag-open", "[öppen] Öppettider").label("Öppettider").open(),
        simple("outlook-tag-dnr-and-attention", "[dnr SN 2026/123] [att: Bo Ek] Underlag").label("Underlag"),
        simple("outlook-tag-secret-wins", "[öppen] [sekretess] Underlag").label("Underlag"),
        simple("outlook-read-receipt-asked", "Kvittens").header("Disposition-Notification-To: <socialtjansten@habo.se>"),
        simple("outlook-delivery-receipt-asked", "Kvittens").header("Return-Receipt-To: <socialtjansten@habo.se>"),
        simple("outlook-sent-on-behalf", "Å funktionens vägnar").header("Sender: =?utf-8?Q?=C3=96rjan_=C3=84ngqvist?= <orjan.angqvist@habo.se>"),
        simple("outlook-prefixes-in-a-row", "SV: VB: Re: FW: SV: Ansökan").label("Ansökan"),
        simple("outlook-subject-of-300-letters", "x").without("Subject").raw_subject(&crate::build::word_b(long), &cut).loses(Loss::LongSubject),
        simple("outlook-subject-in-q-latin1", "x").without("Subject").raw_subject("=?iso-8859-1?Q?=C5tg=E4rd_f=F6r_=D6rebro?=", "Åtgärd för Örebro"),
        simple("outlook-subject-half-encoded", "x")
            .without("Subject")
            .raw_subject("Ang. =?iso-8859-1?Q?=E5tg=E4rd?= i =?utf-8?Q?mars_=E2=80=93_?=\r\n =?utf-8?Q?april?=", "Ang. åtgärd i mars – april"),
        outlook("outlook-no-subject", "").without("Subject").label("(utan rubrik)").body(plain("Jag glömde ämnet.\n")),
        outlook("outlook-subject-alone", "Ring mig på 070-123 45 67").body(plain("\n")).loses(Loss::SubjectAsText),
        outlook("outlook-files-alone", "Bifogat")
            .mixed("_tom_", vec![html(&word(&p("<o:p>&nbsp;</o:p>"))), file(Name::Quoted, "a.pdf", "application/pdf", &pdf(8))]),
        outlook("outlook-inline-pdf", "Inline").mixed(
            "_inl_",
            vec![plain("Före\n"), file_in(Name::Quoted, "visad.pdf", "application/pdf", Enc::B64, "inline", &pdf(9)), plain("Efter filen\n")],
        ),
    ]
}

fn turned_away() -> Vec<Mail> {
    let with = |name, part: Part| outlook(name, "Bilaga").mixed("_002_typ_", vec![plain("Se bilagan.\n"), part]);
    vec![
        with("outlook-item-as-msg", file(Name::Quoted, "mejl.msg", "application/vnd.ms-outlook", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1msg"))
            .refused("5.6.1"),
        with("outlook-business-card", file(Name::Quoted, "Anna.vcf", "text/x-vcard", b"BEGIN:VCARD\r\nFN:Anna\r\nEND:VCARD\r\n")).refused("5.6.1"),
        with("outlook-zip", file(Name::Quoted, "handlingar.zip", "application/x-zip-compressed", b"PK\x03\x04\x14\0\0\0zip")).refused("5.6.1"),
        with("outlook-web-page", file(Name::Quoted, "sida.htm", "text/html", b"<html><script>x()</script></html>")).refused("5.6.1"),
        with("outlook-program", file(Name::Quoted, "setup.exe", "application/x-msdownload", b"MZ\x90\0\x03")).refused("5.7.1"),
        with("outlook-program-with-two-extensions", file(Name::Quoted, "faktura.pdf.exe", "application/pdf", &pdf(10))).refused("5.7.1"),
        with("outlook-link-file", file(Name::Quoted, "mapp.lnk", "application/octet-stream", b"L\0\0\0")).refused("5.7.1"),
        with(
            "outlook-macro-workbook",
            file(Name::Quoted, "makro.xlsm", "application/vnd.ms-excel.sheet.macroEnabled.12", &office("xl/workbook.xml")),
        )
        .refused("5.6.1"),
        with("outlook-onenote", file(Name::Quoted, "block.one", "application/onenote", b"\xe4\x52\x5c\x7b")).refused("5.6.1"),
        with("outlook-empty-file", file(Name::Quoted, "tom.pdf", "application/pdf", b"")).refused("5.6.1"),
        outlook("outlook-nothing-at-all", "").without("Subject").body(plain("")).refused("5.6.0"),
    ]
}

pub fn mails() -> Vec<Mail> {
    [texts(), lists(), tables(), history(), images(), names(), fields(), turned_away()].concat()
}
