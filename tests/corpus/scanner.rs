//! Machines: copiers that scan to mail, fax servers, telephones.

use crate::build::{Enc, Loss, Mail, Name, Part, encode, file, file_in, jpeg, mail, multi, pdf, plain, text};

fn machine(name: &'static str, subject: &str) -> Mail {
    mail(name).subject(subject).header("From: <socialtjansten@habo.se>")
}

fn ascii(body: &str) -> Part {
    Part::raw(&["Content-Type: text/plain; charset=us-ascii", "Content-Transfer-Encoding: 7bit"], body.replace('\n', "\r\n"))
}

pub fn mails() -> Vec<Mail> {
    let tiff = [b"II*\0\x08\0\0\0".as_slice(), &[3; 4_000]].concat();
    vec![
        machine("ricoh-scan", "Message from \"RNP002673A1B2C3\"").mixed("DC_BOUND_PRE_<1709540000.0026>", vec![ascii("This E-mail was sent from \"RNP002673A1B2C3\" (IM C3000).\n\nScan Date: 03.04.2026 09:30:00 (+0100)\nQueries to: socialtjansten@habo.se\n"), file(Name::Quoted, "20260304093000123.pdf", "application/pdf", &pdf(50))]),
        machine("canon-scan", "Attached Image").mixed("----=_NextPart_CANON_0001", vec![ascii("\n"), file(Name::Quoted, "0001_001.pdf", "application/pdf", &pdf(51))]),
        machine("canon-scan-without-text-part", "Attached Image").mixed("CANON_IMAGERUNNER", vec![file(Name::Quoted, "1234_001.pdf", "application/pdf", &pdf(52))]),
        machine("konica-bizhub", "Message from KMBT_C224e").mixed("KONICA_MINOLTA_Internet_Fax_Boundary", vec![text("plain", "iso-8859-1", Enc::Seven, "\n"), file(Name::Bare, "SKM_C224e26030409300.pdf", "application/pdf", &pdf(53))]),
        machine("xerox-workcentre", "Scanned from a Xerox Multifunction Printer").mixed("_xerox_1234_", vec![ascii("Please open the attached document. It was sent to you using a Xerox multifunction printer.\n\nAttachment File Type: pdf, Multi-Page\n\nMultifunction Printer Location: Plan 2\nDevice Name: XRX9C934E\n"), file(Name::Quoted, "Scanned from a Xerox Multifunction Printer.pdf", "application/pdf", &pdf(54))]),
        machine("hp-digital-sending", "[Untitled]").label("[Untitled]").mixed("HP_Digital_Sending", vec![text("plain", "utf-8", Enc::B64, "Dokumentet skannades på våning två.\n"), file(Name::Quoted, "[Untitled].pdf", "application/pdf", &pdf(55))]),
        machine("kyocera-taskalfa", "Skanna till e-post åt Åsa").mixed("KM_1709540000", vec![text("plain", "UTF-8", Enc::Eight, "-------------------\nTASKalfa 3253ci\n[00:c0:ee:1a:2b:3c]\n-------------------\n"), file(Name::Quoted, "doc00123420260304093000.pdf", "application/pdf", &pdf(56))]),
        machine("brother-mfc", "Sent from a Brother device").mixed("=_Brother_Boundary_=", vec![ascii("Model: MFC-L5750DW\nNode Name: BRN3C2AF4\n"), file(Name::Quoted, "SCAN_0001.TIF", "image/tiff", &tiff)]),
        machine("epson-jpegs", "Skannade bilder").mixed("epson_scan_boundary", vec![ascii("\n"), file(Name::Quoted, "IMG001.JPG", "image/jpeg", &jpeg(9_000)), file(Name::Quoted, "IMG002.JPG", "image/jpeg", &jpeg(9_100)), file(Name::Quoted, "IMG003.JPG", "image/jpeg", &jpeg(9_200))]),
        machine("sharp-mx", "Skannat av Sharp på plan ett").mixed("SHARP-MX-BOUNDARY--", vec![text("plain", "iso-8859-1", Enc::Eight, "Svara inte på detta meddelande, åtgärden är klar.\nEnhetsnamn: Ej angivet\n"), file(Name::Quoted, "socialtjansten@habo.se_20260304_093000.pdf", "application/pdf", &pdf(57))]),
        machine("lexmark", "Scan").without("Message-ID").mixed("LEXMARK", vec![file(Name::TypeOnly, "image.pdf", "application/pdf", &pdf(58))]),
        machine("toshiba-no-mime-name", "Scanned document").without("Date").mixed("TOSHIBA_e-STUDIO", vec![ascii("e-STUDIO\n"), file(Name::DispositionOnly, "DOC030426.pdf", "application/octet-stream", &pdf(59))]),
        machine("oki-name-nowhere", "Scan to mail").mixed("OKI", vec![ascii("MC873\n"), file_in(Name::Nothing, "bilaga-1.pdf", "application/pdf", Enc::B64, "attachment", &pdf(60))]).loses(Loss::Unnamed("bilaga-1.pdf")),
        machine("samsung-single-part-pdf", "Skannad sida").body(file(Name::Quoted, "sida.pdf", "application/pdf", &pdf(61))),
        machine("fujitsu-fi-tiff-in-one-line", "Journal på papper").mixed("fi-7160", vec![plain("Inskannat på arkivet.\n"), file_in(Name::Quoted, "Journal.tif", "image/tiff", Enc::B64Long, "attachment", &tiff)]),
        machine("scanner-swedish-latin1-name", "Skanning").mixed("scan_latin1", vec![ascii("\n"), file(Name::Latin1, "Läkarintyg för Åke.pdf", "application/pdf", &pdf(62))]),
        machine("scanner-without-subject", "").without("Subject").label("(utan rubrik)").mixed("no_subject", vec![file(Name::Quoted, "scan.pdf", "application/pdf", &pdf(63))]),
        machine("scanner-base64-with-bare-line-noise", "Skanning").mixed("noise", vec![ascii("x\n"), Part::raw(&["Content-Type: application/pdf; name=\"a.pdf\"", "Content-Transfer-Encoding: Base64", "Content-Disposition: ATTACHMENT; FILENAME=\"a.pdf\""], [b" \r\n\t".as_slice(), &crate::build::lines76(&pdf(64)), b"\r\n \r\n"].concat()).with_file("a.pdf", &pdf(64))]),
        machine("fax-server-tiff", "Fax från 0171-525 01").mixed("RightFax_boundary", vec![text("plain", "windows-1252", Enc::Qp, "Fax mottaget – 3 sidor på åtta minuter.\n"), file(Name::Quoted, "FAX_20260304_1234567890_1.TIF", "image/tiff", &tiff)]),
        machine("fax-gateway-t37", "FAX från +4617152501").header("X-FAX-Pages: 3").mixed("t37", vec![file_in(Name::Nothing, "bild-1.tiff", "image/tiff; application=faxbw", Enc::B64, "", &tiff)]),
        machine("voice-mail", "Röstmeddelande från 070-123 45 67").mixed("cisco_unity", vec![ascii("Rostmeddelande\n"), file(Name::Quoted, "VoiceMessage.wav", "audio/wav", b"RIFF\x24\0\0\0WAVEfmt ")]).refused("5.6.1"),
        machine("scanner-with-two-text-parts", "Skanning").mixed("two_texts", vec![ascii("Del ett\n"), ascii("Del tva\n"), file(Name::Quoted, "s.pdf", "application/pdf", &pdf(65))]),
        machine("scanner-equal-first", "Skanning").mixed("equal", vec![ascii("\n"), file(Name::Quoted, "scan.pdf", "application/pdf", &pdf(66))]),
        machine("scanner-equal-second", "Skanning").header("Message-ID: <scanner-equal-first@mail.habo.se>").mixed("equal", vec![ascii("\n"), file(Name::Quoted, "scan.pdf", "application/pdf", &pdf(67))]),
        machine("scanner-preamble-and-epilogue", "Skanning").body({
            let mut part = multi("mixed", "pre", vec![ascii("Text\n"), file(Name::Quoted, "s.pdf", "application/pdf", &pdf(68))]);
            part.body = [b"This is a multi-part message in MIME format.\r\n\r\n".as_slice(), &part.body, b"\r\nepilogue\r\n--pre\r\nnot a part\r\n"].concat();
            part
        }),
        machine("scanner-cut-short", "Skanning").body({
            let mut part = multi("mixed", "cut", vec![ascii("Text\n"), file(Name::Quoted, "s.pdf", "application/pdf", &pdf(69))]);
            part.body.truncate(part.body.len() - 400);
            part
        })
        .refused("5.6.0"),
        machine("scanner-file-cut-within-base64", "Skanning").mixed("cut64", vec![ascii("Text\n"), Part::raw(&["Content-Type: application/pdf; name=\"a.pdf\"", "Content-Transfer-Encoding: base64", "Content-Disposition: attachment"], encode("latin1", "JVBERi0xLjcKJ"))]).refused("5.6.0"),
    ]
}
