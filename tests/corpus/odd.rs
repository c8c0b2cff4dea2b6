//! Made by hand, broken, old or odd: charsets, encodings, structures, names and headers that mails really have.

use crate::build::{Enc, Loss, Mail, Name, Part, encode, file, file_in, html, mail, multi, pdf, plain, png, quoted, text};

const LETTERS: &str = "Räksmörgås på Åland: åtta öar, ÅÄÖ.\n";

fn charsets() -> Vec<Mail> {
    let named = |name, charset: &str, enc, body: &str| mail(name).subject("Teckenkodning").body(text("plain", charset, enc, body));
    let lying = |name, kind: &str, octets: Vec<u8>, enc: &str| {
        mail(name).subject("Teckenkodning").body(Part::raw(&[kind, &format!("Content-Transfer-Encoding: {enc}")], octets))
    };
    vec![
        named("charset-utf-7", "utf-7", Enc::Seven, "Räksmörgås + åäö\n"),
        named("charset-utf-16", "utf-16", Enc::B64, LETTERS),
        named("charset-utf-16le", "utf-16le", Enc::B64, LETTERS),
        named("charset-macintosh", "macintosh", Enc::Qp, LETTERS),
        named("charset-dos-850", "ibm850", Enc::Qp, LETTERS),
        named("charset-iso-8859-10", "iso-8859-10", Enc::Qp, LETTERS),
        named("charset-name-in-odd-case", "Iso-8859-1", Enc::Qp, LETTERS),
        named("charset-cp1252-name", "cp1252", Enc::Qp, "Pris – 12 €\n"),
        named("charset-latin1-name", "latin1", Enc::Eight, LETTERS),
        named("charset-unknown", "x-klingon", Enc::Qp, "Hej, bara ascii\n"),
        lying("charset-ascii-that-is-latin1", "Content-Type: text/plain; charset=us-ascii", encode("latin1", "Råd på väg\r\n"), "8bit")
            .words("Råd på väg"),
        lying("charset-utf-8-that-is-latin1", "Content-Type: text/plain; charset=utf-8", encode("latin1", "Råd på väg\r\n"), "8bit")
            .words("Råd på väg"),
        lying("charset-none-and-utf-8", "Content-Type: text/plain", "Råd på väg\r\n".into(), "8bit").words("Råd på väg"),
        lying("charset-none-and-latin1", "Content-Type: text/plain", encode("latin1", "Råd på väg\r\n"), "8bit").words("Råd på väg"),
        lying(
            "charset-latin1-that-is-windows-1252",
            "Content-Type: text/plain; charset=iso-8859-1",
            encode("windows-1252", "Pris – 12 € på ön…\r\n"),
            "8bit",
        )
        .words("Pris 12 på ön"),
        lying(
            "charset-with-comment-and-spaces",
            "Content-Type: text/plain ; charset = \"iso-8859-1\" (svenska)",
            quoted(&encode("latin1", "Råd på väg\r\n")),
            "quoted-printable",
        )
        .words("Råd på väg"),
        lying(
            "charset-of-the-html-is-only-in-its-meta",
            "Content-Type: text/html",
            "<html><head><meta charset=\"utf-8\"></head><body>Råd på väg</body></html>\r\n".into(),
            "8bit",
        )
        .words("Råd på väg"),
        mail("charset-utf-8-with-byte-order-mark").subject("BOM").body(text("plain", "utf-8", Enc::B64, "\u{feff}Råd på väg\n")),
        mail("charset-mixed-in-one-mail").subject("Blandat").mixed(
            "blandat",
            vec![
                text("plain", "iso-8859-1", Enc::Qp, "Första på raden\n"),
                text("plain", "utf-8", Enc::B64, "Andra på raden\n"),
                text("plain", "windows-1252", Enc::Eight, "Tredje på raden – slut\n"),
            ],
        ),
        mail("charset-decomposed-letters").subject("NFD").body(plain("A\u{30a}sa O\u{308}berg pa\u{30a} a\u{30a}n\n")).words("Åsa Öberg på ån"),
    ]
}

fn encodings() -> Vec<Mail> {
    let raw = |name, head: &[&str], body: &[u8]| mail(name).subject("Kodning").body(Part::raw(head, body));
    let utf8 = "Content-Type: text/plain; charset=utf-8";
    vec![
        raw("qp-lower-case-digits", &[utf8, "Content-Transfer-Encoding: quoted-printable"], b"R=c3=a5d p=c3=a5 v=c3=a4g\r\n"),
        raw("qp-soft-break-at-the-end", &[utf8, "Content-Transfer-Encoding: quoted-printable"], b"R=C3=A5d p=C3=A5=\r\n v=C3=A4g=\r\n"),
        raw("qp-with-space-before-line-end", &[utf8, "Content-Transfer-Encoding: quoted-printable"], b"rad ett   \r\nrad tv=C3=A5=20\r\n"),
        raw("qp-with-stray-equals-signs", &[utf8, "Content-Transfer-Encoding: quoted-printable"], b"1 + 1 = 2 och a=b\r\n").words("1 1 2 och a b"),
        raw("qp-in-lines-of-2000", &[utf8, "Content-Transfer-Encoding: quoted-printable"], &b"p=C3=A5 ".repeat(250)),
        raw("base64-text-in-one-line", &[utf8, "Content-Transfer-Encoding: base64"], b"UsOlZCBww6UgdsOkZw=="),
        raw("base64-text-without-padding-is-damaged", &[utf8, "Content-Transfer-Encoding: base64"], b"UsOlZCBww6UgdsOkZ").refused("5.6.0"),
        raw("encoding-in-upper-case-with-space", &[utf8, "Content-Transfer-Encoding:  BASE64 "], b"UsOlZCBww6UgdsOkZw==\r\n").words("Råd på väg"),
        raw("encoding-unknown", &[utf8, "Content-Transfer-Encoding: x-rot13"], b"Uew\r\n").refused("5.6.0"),
        raw("line-of-5000-octets", &["Content-Type: text/plain; charset=us-ascii"], &b"ord ".repeat(1_250)),
        raw("no-mime-header-at-all", &[], "Rent och enkelt på hedern\r\n".as_bytes()).no_mime_version().words("Rent och enkelt på hedern"),
        raw("body-with-dots-and-from", &[utf8], b".\r\n..\r\nFrom rad\r\n>From rad\r\n.slut\r\n"),
        raw("body-with-control-characters", &[utf8], b"f\x0cfore\x07 och\x00 efter\x1b[1m\r\n").words("fore och efter 1m"),
        raw("body-of-bare-line-feeds", &[utf8], b"rad ett\nrad tv\xc3\xa5\n\nny\n"),
        raw("body-with-tabs-and-columns", &[utf8], b"Namn\tOrt\r\n\xc3\x85sa\t\xc3\x96rebro\r\n"),
    ]
}

fn structures() -> Vec<Mail> {
    let deep = (0..10).fold(plain("Innerst på botten\n"), |part, level| multi("mixed", &format!("djup{level}"), vec![part]));
    let too_deep = (0..40).fold(plain("Innerst\n"), |part, level| multi("mixed", &format!("djup{level}x"), vec![part]));
    let one = |name| mail(name).subject("Struktur");
    vec![
        one("nested-ten-deep").body(deep),
        one("nested-forty-deep").body(too_deep).refused("5.6.0"),
        one("boundary-that-begins-another").body(multi(
            "mixed",
            "gräns".replace('ä', "a").as_str(),
            vec![
                multi("alternative", "grans2", vec![plain("Inre på raden\n"), html("<p>Inre på raden</p>")]),
                file(Name::Quoted, "a.pdf", "application/pdf", &pdf(90)),
            ],
        )),
        one("boundary-with-odd-characters").body(multi(
            "mixed",
            "=_'()+_,-./:=? x",
            vec![plain("Udda gräns på delen\n"), file(Name::Quoted, "a.pdf", "application/pdf", &pdf(91))],
        )),
        one("boundary-in-the-text").body(multi(
            "mixed",
            "b",
            vec![plain("--b i texten på raden\n--bx\n"), file(Name::Quoted, "a.pdf", "application/pdf", &pdf(92))],
        )),
        one("boundary-missing").body(Part::raw(&["Content-Type: multipart/mixed"], "--x\r\n\r\nhej\r\n--x--\r\n")).refused("5.6.0"),
        one("boundary-with-spaces-after").body({
            let mut part = multi("mixed", "luft", vec![plain("Luft på slutet\n")]);
            part.body = String::from_utf8(part.body).unwrap().replace("--luft\r\n", "--luft  \t\r\n").into_bytes();
            part
        }),
        one("multipart-of-unknown-kind").body(multi(
            "x-mystisk",
            "mystisk",
            vec![plain("Del på del\n"), file(Name::Quoted, "a.pdf", "application/pdf", &pdf(93))],
        )),
        one("multipart-parallel").body(multi(
            "parallel",
            "par",
            vec![plain("Parallellt på banan\n"), file(Name::Quoted, "a.pdf", "application/pdf", &pdf(94))],
        )),
        one("multipart-with-headless-part").body(multi(
            "mixed",
            "utan",
            vec![Part::raw(&[], "Del utan huvud\r\n"), file(Name::Quoted, "a.pdf", "application/pdf", &pdf(95))],
        )),
        one("multipart-with-an-empty-part").body(multi(
            "mixed",
            "tomdel",
            vec![plain("Text på del ett\n"), Part::raw(&["Content-Type: text/plain"], ""), file(Name::Quoted, "a.pdf", "application/pdf", &pdf(96))],
        )),
        one("alternative-with-empty-html")
            .body(multi("alternative", "tomhtml", vec![plain("Den rena texten på plats\n"), html("<html><body></body></html>")]))
            .words("Den rena texten på plats"),
        one("alternative-in-the-wrong-order").body(multi(
            "alternative",
            "omvand",
            vec![html("<p>Med <b>fet</b> på raden</p>"), plain("Med fet på raden\n")],
        )),
        one("alternative-of-one").body(multi("alternative", "enda", vec![html("<p>Ensam på täppan</p>")])),
        one("alternative-with-watch-html")
            .body(multi(
                "alternative",
                "klocka",
                vec![
                    plain("Ren på\n"),
                    text("watch-html", "utf-8", Enc::Qp, "<p>klocka</p>").kind("text/x-amp-html; charset=utf-8"),
                    html("<p>Riktig på</p>"),
                ],
            ))
            .refused("5.6.1"),
        one("content-type-of-one-word").body(Part::raw(&["Content-Type: text"], "Ett ord som typ\r\n")).words("Ett ord som typ").refused("5.6.1"),
        one("content-type-in-capitals")
            .body(Part::raw(&["CONTENT-TYPE: TEXT/PLAIN; CHARSET=UTF-8", "CONTENT-TRANSFER-ENCODING: 8BIT"], "Stora bokstäver på allt\r\n")),
        one("four-hundred-small-parts").body(multi("mixed", "manga", (0..150).map(|n| plain(&format!("Del {n} på rad\n"))).collect())),
        one("six-hundred-parts").body(multi("mixed", "formanga", (0..600).map(|n| plain(&format!("Del {n}\n"))).collect())).refused("5.6.0"),
        one("message-partial")
            .body(Part::raw(&["Content-Type: message/partial; id=\"x\"; number=1; total=2"], "From: a\r\n\r\nhalv\r\n"))
            .refused("5.6.1"),
        one("message-external-body")
            .body(Part::raw(&["Content-Type: message/external-body; access-type=URL; URL=\"http://x\""], "Content-Type: application/pdf\r\n\r\n"))
            .refused("5.6.1"),
        one("text-enriched").body(text("enriched", "utf-8", Enc::Qp, "<bold>Fet</bold> text\n")).refused("5.6.1"),
    ]
}

fn names() -> Vec<Mail> {
    let with = |name, part: Part| mail(name).subject("Namn").mixed("namn", vec![plain("Se filen på listan.\n"), part]);
    let body = pdf(97);
    let raw = |head: &[&str], expected: &str| {
        let mut part = Part::raw(head, crate::build::lines76(&pdf(97))).with_file(expected, &pdf(97));
        part.head.push(b"Content-Transfer-Encoding: base64".to_vec());
        part
    };
    vec![
        with("name-in-raw-utf-8", file(Name::Quoted, "Överklagan på väg.pdf", "application/pdf", &body)),
        with("name-in-raw-latin1", file(Name::Latin1, "Överklagan på väg.pdf", "application/pdf", &body)),
        with("name-in-unquoted-words", file(Name::BareB, "Överklagan.pdf", "application/pdf", &body)),
        with(
            "name-in-pieces-without-charset",
            file(Name::Pieces, "ett-mycket-langt-namn-som-delas-i-flera-stycken-av-programmet-som-skrev-det.pdf", "application/pdf", &body),
        ),
        with("name-with-windows-path", file(Name::DispositionOnly, "C:\\\\Users\\\\asa\\\\Beslut.pdf", "application/pdf", &body).named("Beslut.pdf"))
            .loses(Loss::Renamed("Beslut.pdf")),
        with("name-with-unix-path", file(Name::Quoted, "../../tmp/Beslut.pdf", "application/pdf", &body).named("Beslut.pdf"))
            .loses(Loss::Renamed("Beslut.pdf")),
        with("name-that-reads-backwards", file(Name::B, "faktura\u{202e}fdp.pdf", "application/pdf", &body).named("fakturafdp.pdf"))
            .loses(Loss::Renamed("fakturafdp.pdf")),
        with("name-with-forbidden-signs", file(Name::B, "Fråga: vad? <nu>.pdf", "application/pdf", &body).named("Fråga_ vad_ _nu_.pdf"))
            .loses(Loss::Renamed("Fråga_ vad_ _nu_.pdf")),
        with("name-with-emoji", file(Name::Extended, "Tack 👍 på er.pdf", "application/pdf", &body)),
        with(
            "name-with-semicolon-and-quotes",
            raw(&["Content-Type: application/pdf", "Content-Disposition: attachment; filename=\"a; b \\\"c\\\".pdf\""], "a; b _c_.pdf"),
        )
        .loses(Loss::Renamed("a; b _c_.pdf")),
        with(
            "name-of-rfc2231-in-latin1",
            raw(
                &["Content-Type: application/pdf", "Content-Disposition: attachment; filename*=iso-8859-1'sv'%D6verklagan%20p%E5%20v%E4g.pdf"],
                "Överklagan på väg.pdf",
            ),
        ),
        with(
            "name-of-rfc2231-and-plain-beside",
            raw(
                &[
                    "Content-Type: application/pdf; name=\"Overklagan.pdf\"",
                    "Content-Disposition: attachment; filename=\"Overklagan.pdf\"; filename*=UTF-8''%C3%96verklagan.pdf",
                ],
                "Överklagan.pdf",
            ),
        ),
        with(
            "name-percent-encoded-without-star",
            raw(&["Content-Type: application/pdf", "Content-Disposition: attachment; filename=\"%C3%96verklagan.pdf\""], "Överklagan.pdf"),
        ),
        with(
            "name-in-sections-out-of-order",
            raw(
                &["Content-Type: application/pdf", "Content-Disposition: attachment; filename*1*=p%C3%A5.pdf; filename*0*=utf-8''%C3%96ver%20"],
                "Över på.pdf",
            ),
        ),
        with(
            "name-of-two-hundred-letters",
            file(Name::Sections, &format!("{}.pdf", "lång ".repeat(40).trim()), "application/pdf", &body)
                .named(&format!("{}.pdf", "lång ".repeat(40).chars().take(116).collect::<String>().trim())),
        )
        .loses(Loss::Renamed("lång")),
        with(
            "name-with-line-break-folded",
            raw(&["Content-Type: application/pdf;\r\n name=\"ett namn\r\n som bryts.pdf\""], "ett namn som bryts.pdf"),
        ),
        with(
            "name-only-in-content-description",
            raw(&["Content-Type: application/pdf", "Content-Description: Beslut.pdf", "Content-Disposition: attachment"], "bilaga-1.pdf"),
        )
        .loses(Loss::Unnamed("bilaga-1.pdf")),
        with(
            "three-files-of-one-name-in-odd-case",
            multi(
                "mixed",
                "trillingar",
                vec![
                    file(Name::Quoted, "A.pdf", "application/pdf", &pdf(1)),
                    file(Name::Quoted, "a.PDF", "application/pdf", &pdf(2)).named("a (2).PDF"),
                    file(Name::Quoted, "a.pdf", "application/pdf", &pdf(3)).named("a (3).pdf"),
                ],
            ),
        )
        .loses(Loss::Twin("a (2).PDF"))
        .loses(Loss::Twin("a (3).pdf")),
        with("file-with-no-extension", file(Name::Quoted, "LASMIG", "text/plain", b"Hej\r\n")),
        with("hidden-program-in-a-pdf-name", file(Name::Quoted, "Beslut.pdf", "application/pdf", b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff"))
            .refused("5.7.1"),
        with("shell-script", file(Name::Quoted, "kör.sh", "text/x-sh", b"#!/bin/sh\n")).refused("5.7.1"),
        with("svg-picture", file(Name::Quoted, "logga.svg", "image/svg+xml", b"<svg onload='x()'/>")).refused("5.7.1"),
    ]
}

fn headers() -> Vec<Mail> {
    let one = |name| mail(name).body(plain("Huvudet är det som är udda på mejlet.\n"));
    let big = format!(
        "X-Stort: {}",
        "abcdefghij "
            .repeat(5_000)
            .as_bytes()
            .chunks(77)
            .map(|line| String::from_utf8_lossy(line).trim().to_owned())
            .collect::<Vec<_>>()
            .join("\r\n ")
    );
    vec![
        one("header-of-60-kb").subject("Stort").header(&big),
        one("header-folded-in-odd-places").raw_subject("\r\n Vikt\r\n\t vid\r\n   mitten", "Vikt vid mitten"),
        one("header-names-in-odd-case").without("From").header("fRoM: <socialtjansten@habo.se>").header("SUBJECT: Udda").label("Udda"),
        one("header-without-space-after-colon").without("Subject").header("Subject:Ihop").label("Ihop"),
        one("subject-twice").header("Subject: Andra").label("Andra"),
        one("subject-in-raw-utf-8").octets("Subject: Rått på raden".as_bytes()).label("Rått på raden"),
        one("subject-of-adjacent-words").raw_subject("=?utf-8?B?UsOlZA==?= =?utf-8?B?IHDDpQ==?=\r\n =?utf-8?Q?_v=C3=A4g?=", "Råd på väg"),
        one("subject-with-a-letter-cut-in-two").raw_subject("=?utf-8?B?UsM=?= =?utf-8?B?pWQ=?=", "Råd"),
        one("subject-with-tabs-and-control-characters").raw_subject("=?utf-8?Q?R=C3=A5d=09p=C3=A5=0D=0AX:_v=C3=A4g=07?=", "Råd på X: väg"),
        one("from-with-comment").subject("Kommentar").header("From: socialtjansten@habo.se (Socialtjansten)"),
        one("from-with-quoted-comma").subject("Komma").header("From: \"Oberg, Asa\" <socialtjansten@habo.se>"),
        one("from-twice").subject("Två").octets(b"From: <annan@habo.se>").refused("5.7.1"),
        one("from-two-addresses").subject("Två").header("From: <socialtjansten@habo.se>, <annan@habo.se>").refused("5.7.1"),
        one("from-missing").subject("Ingen").without("From").refused("5.6.0"),
        one("date-of-another-century").subject("Datum").header("Date: Fri, 1 Jan 1904 00:00:00 +0000"),
        one("date-that-is-none").subject("Datum").header("Date: i morgon"),
        one("message-id-without-brackets").subject("Id").header("Message-ID: abc@habo.se").answers(),
        one("references-of-eighty").subject("Kedja").answers().header(&format!("X-Old-References: {}", "<a@b>\r\n ".repeat(80).trim())),
        one("received-without-end").subject("Resa").headers(&["Received: by x with SMTP"; 45]),
        one("unknown-fields-by-hand").subject("Fält").headers(&[
            "X-Spam-Status: No, score=-1.0",
            "Organization: =?utf-8?Q?H=C3=A5bo?=",
            "Keywords: a, b",
            "Comments: hej",
        ]),
    ]
}

fn files_exactly() -> Vec<Mail> {
    let with = |name, part: Part| mail(name).subject("Exakt").mixed("exakt", vec![plain("Fil för fil på rad.\n"), part]);
    vec![
        with("text-file-crlf", file(Name::Quoted, "a.txt", "text/plain", b"a\r\nb\r\n")),
        with("text-file-cr", file(Name::Quoted, "a.txt", "text/plain", b"a\rb\r")),
        with("text-file-without-end-of-line", file(Name::Quoted, "a.txt", "text/plain", b"utan slut")),
        with(
            "text-file-7bit",
            file_in(Name::Quoted, "a.txt", "text/plain; charset=us-ascii", Enc::Seven, "attachment", b"rad\r\n\r\n\r\nslut   \r\n"),
        ),
        with("text-file-qp-with-trailing-spaces", file_in(Name::Quoted, "a.csv", "text/csv", Enc::Qp, "attachment", "a ;å \r\n\t\r\n".as_bytes())),
        with("text-file-utf-16", file(Name::Quoted, "a.txt", "text/plain; charset=utf-16", &encode("utf-16", "åäö\r\n"))),
        with("file-of-every-octet", file(Name::Quoted, "allt.pdf", "application/pdf", &(0..=255).cycle().take(5_000).collect::<Vec<u8>>())),
        with(
            "file-that-holds-a-boundary",
            file_in(Name::Quoted, "a.txt", "text/plain", Enc::Eight, "attachment", b"--exakt2\r\n --exakt\r\n--exaktx\r\n"),
        ),
        with("file-of-one-octet", file(Name::Quoted, "a.txt", "text/plain", b"\0")),
        with("file-of-half-a-megabyte", file(Name::Quoted, "stor.pdf", "application/pdf", &pdf(98).repeat(330))),
        with(
            "file-whose-lines-begin-with-dots",
            file_in(Name::Quoted, "a.txt", "text/plain", Enc::Seven, "attachment", b".\r\n..\r\n.a\r\nFrom x\r\n"),
        ),
        mail("forty-files")
            .subject("Fyrtio")
            .mixed("fyrtio", (0..40).map(|n| file(Name::Quoted, &format!("fil{n}.pdf"), "application/pdf", &pdf(n))).collect()),
        mail("image-no-text-shows").subject("Bild").body(multi(
            "related",
            "osedd",
            vec![html("<p>Ingen bild på sidan</p>"), crate::build::image("osedd@x", "osedd.png", &png(300, 9_000))],
        )),
    ]
}

pub fn mails() -> Vec<Mail> {
    [charsets(), encodings(), structures(), names(), headers(), files_exactly()].concat()
}
