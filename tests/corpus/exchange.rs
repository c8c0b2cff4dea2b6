//! Exchange on premises, Exchange Online with all it writes on the way, Outlook on the web.

use crate::build::{DOCX, Enc, Loss, Mail, Name, Part, encode, file, html, mail, multi, office, pdf, plain, png, text};
use crate::outlook::{p, word};

/// What a mail has collected when it comes from Exchange Online.
fn online(name: &'static str, subject: &str) -> Mail {
    let hop = |number: u8| {
        format!(
            "Received: from DB9PR0{number}MB7001.eurprd0{number}.prod.outlook.com (2603:10a6:10:2fa::1{number})\r\n by AS8PR0{number}MB6902.eurprd0{number}.prod.outlook.com (2603:10a6:20b:3e5::1) with\r\n \
Microsoft SMTP Server (version=TLS1_2,\r\n cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.20.7339.3{number}; Wed, 4 Mar\r\n 2026 08:30:0{number} +0000"
        )
    };
    let mut made = mail(name).subject(subject);
    for number in 1..6 {
        made.head.insert(0, hop(number).into_bytes());
    }
    let blob = "A9fK2mQ7x+".repeat(120);
    let folded = blob.as_bytes().chunks(70).map(|line| String::from_utf8_lossy(line).into_owned()).collect::<Vec<_>>().join("\r\n ");
    made.headers(&[
        "ARC-Seal: i=1; a=rsa-sha256; s=arcselector10001; d=microsoft.com; cv=none;\r\n b=Zm9vYmFyYmF6",
        "ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d=microsoft.com;\r\n s=arcselector10001; h=From:Date:Subject:Message-ID:Content-Type:MIME-Version;\r\n bh=abc=; b=def==",
        "ARC-Authentication-Results: i=1; mx.microsoft.com 1; spf=pass\r\n smtp.mailfrom=habo.se; dmarc=pass action=none header.from=habo.se; dkim=pass\r\n header.d=habo.se; arc=none",
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=habo.se; s=selector1;\r\n h=From:Date:Subject:Message-ID:Content-Type:MIME-Version:X-MS-Exchange-SenderADCheck;\r\n bh=abc=; b=def==",
        "Authentication-Results: dkim=none (message not signed)\r\n header.d=none;dmarc=none action=none header.from=habo.se;",
        "X-MS-Exchange-Organization-AuthAs: Internal",
        "X-MS-Exchange-Organization-MessageDirectionality: Originating",
        "X-MS-PublicTrafficType: Email",
        "X-MS-TrafficTypeDiagnostic: DB9PR01MB7001:EE_|AS8PR01MB6902:EE_",
        "X-MS-Office365-Filtering-Correlation-Id: 5f0d1c2a-4c5f-4b0e-9f3c-1f0d1c2a4c5f",
        "X-Microsoft-Antispam: BCL:0;ARA:13230040|376014|1800799024|38070700018;",
        &format!("X-Microsoft-Antispam-Message-Info:\r\n {folded}"),
        &format!("X-MS-Exchange-AntiSpam-MessageData-0:\r\n {folded}"),
        "X-Forefront-Antispam-Report: CIP:255.255.255.255;CTRY:;LANG:sv;SCL:1;SRV:;IPV:NLI;SFV:NSPM;",
        "X-MS-Exchange-CrossTenant-OriginalArrivalTime: 04 Mar 2026 08:30:01.1234 (UTC)",
        "X-MS-Exchange-Transport-CrossTenantHeadersStamped: AS8PR01MB6902",
        "X-OriginatorOrg: habo.se",
    ])
}

fn onpremises(name: &'static str, subject: &str) -> Mail {
    mail(name).subject(subject).headers(&[
        "Received: from EXCH01.habo.local (10.1.1.11) by EXCH02.habo.local (10.1.1.12) with\r\n Microsoft SMTP Server (version=TLS1_2, cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384)\r\n id 15.2.1544.9 via Mailbox Transport; Wed, 4 Mar 2026 09:30:01 +0100",
        "Received: from EXCH01.habo.local ([fe80::1]) by EXCH01.habo.local ([fe80::1%5])\r\n with mapi id 15.02.1544.009; Wed, 4 Mar 2026 09:30:00 +0100",
        "X-MS-Exchange-Organization-AuthSource: EXCH01.habo.local",
        "X-ClientProxiedBy: EXCH02.habo.local (10.1.1.12) To EXCH01.habo.local (10.1.1.11)",
    ])
}

fn online_mails() -> Vec<Mail> {
    let banner = "<table border=0 cellspacing=0 cellpadding=0 align=\"left\" width=\"100%\"><tr><td style=\"background:#ffb900;padding:5pt 2pt 5pt 2pt\"></td><td width=\"100%\" style=\"background:#fff8e5;padding:5pt 4pt 5pt 12pt;word-wrap:break-word\">\
<div style=\"color:#222222;\"><span style=\"color:#222; font-weight:bold;\">Varning:</span> Det här meddelandet kom utifrån.</div></td></tr></table><br>";
    vec![
        online("online-plain", "Översyn").body(text("plain", "utf-8", Enc::Qp, "Översynen är klar.\n")),
        online("online-html-and-plain", "Översyn").body(multi("alternative", "_000_AS8PR01MB6902_", vec![text("plain", "iso-8859-1", Enc::Qp, "Översynen är klar.\n"), text("html", "iso-8859-1", Enc::Qp, &word(&(p("Översynen är klar.") + &p("Åtgärder följer."))))])),
        online("online-external-banner", "Svar utifrån").body(html(&format!("<html><body>{banner}<div>Öppna gärna bilagan i morgon.</div></body></html>\n"))),
        online("online-disclaimer-appended", "Med ansvarsfriskrivning").body(html(&format!("{}<br>\r\n<p style=\"font-size:8pt\">Sekretess kan gälla för uppgifter i detta meddelande enligt offentlighets- och sekretesslagen.</p>", word(&p("Hej från Bålsta."))))),
        online("online-file-by-rfc2231-and-description", "Handling").mixed(
            "_004_AS8PR01MB6902_",
            vec![
                multi("alternative", "_000_AS8PR01MB6902_", vec![plain("Se bilaga.\n"), html(&word(&p("Se bilaga.")))]),
                file(Name::B, "Förfrågan från Åmål.docx", DOCX, &office("word/document.xml")).header("Content-Description: =?utf-8?B?RsO2cmZyw6VnYW4=?=").header("Content-ID: <9A1B2C@eurprd01.prod.outlook.com>"),
            ],
        ),
        online("online-outlook-com-flavour", "Från telefonen").body(html(
            "<html><head><meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\"></head><body><div dir=\"auto\" style=\"direction:ltr\">Jag återkommer i övermorgon.</div><div id=\"ms-outlook-mobile-signature\" dir=\"auto\">Hämta <a href=\"https://aka.ms/o0ukef\">Outlook för iOS</a></div></body></html>\n",
        )),
        online("online-teams-link", "Möte").body(html(&word(&(p("Vi ses på länk.") + "<div style='margin-bottom:6.0pt'><b>Microsoft Teams-möte</b></div><a href=\"https://teams.microsoft.com/l/meetup-join/19%3ameeting_Abc%40thread.v2/0?context=%7b%22Tid%22%7d\">Anslut till mötet nu</a><div>Mötes-ID: 365 123 456 78</div>")))),
        online("online-received-forty-times", "Lång väg").headers(&["Received: from a by b; Wed, 4 Mar 2026 08:00:00 +0000"; 40]).body(plain("Äntligen framme.\n")),
        online("online-fifty-recipients-in-to", "Utskick").header(&format!("To: {}", (0..50).map(|n| format!("=?utf-8?Q?=C3=85sa_{n}?= <asa{n}@af.se.sdk.habo.se>")).collect::<Vec<_>>().join(",\r\n "))).body(plain("Till er alla på östra sidan.\n")),
    ]
}

fn onpremises_mails() -> Vec<Mail> {
    vec![
        onpremises("exchange-2016-html", "Underlag").body(multi("alternative", "_000_0a1b2c3d4e5fhabolocal_", vec![text("plain", "utf-8", Enc::B64, "Hälsningar från växeln\n"), text("html", "utf-8", Enc::B64, &word(&p("Hälsningar från växeln")))])),
        onpremises("exchange-2010-8bitmime", "Underlag").body(text("plain", "iso-8859-1", Enc::Eight, "Hälsningar från växeln på Åsö\n")),
        onpremises("exchange-bdat-binarymime", "Binärt").mixed("_bin_", vec![text("plain", "utf-8", Enc::Eight, "Hälsningar\n"), crate::build::file_in(Name::Quoted, "rå.pdf", "application/pdf", Enc::Binary, "attachment", &pdf(11))]),
        onpremises("exchange-plain-and-file-without-alternative", "Underlag").mixed("_002_abc_", vec![text("plain", "Windows-1252", Enc::Qp, "Hälsningar – från växeln\n"), file(Name::Q, "Ärende åtta.pdf", "application/pdf", &pdf(12))]),
        onpremises("exchange-html-in-two-parts", "Två delar").mixed("_two_", vec![html(&word(&p("Första delen"))), file(Name::Quoted, "mitt.pdf", "application/pdf", &pdf(13)), html(&word(&p("Andra delen efter filen")))]),
        onpremises("exchange-related-without-alternative", "Bild").body(multi(
            "related",
            "_rel_",
            vec![html(&word(&p("Före <img src=\"cid:stor@habo\" height=600> efter"))), crate::build::image("stor@habo", "planritning.png", &png(600, 70_000))],
        )),
        onpremises("exchange-message-id-of-exchange-2003", "Gammalt").header("Message-ID: <5B1C0A6C7C0B4E4F9F3C@EXCH01.habo.local>").header("X-MimeOLE: Produced By Microsoft Exchange V6.5").header("Content-class: urn:content-classes:message").body(text("html", "iso-8859-1", Enc::Qp, "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 3.2//EN\">\n<HTML>\n<HEAD><TITLE>RE: x</TITLE></HEAD>\n<BODY>\n<!-- Converted from text/rtf format -->\n\n<P><SPAN LANG=\"sv\"><FONT FACE=\"Calibri\">Hej på er,</FONT></SPAN></P>\n<P><FONT FACE=\"Calibri\">ärendet är öppnat.</FONT></P>\n</BODY>\n</HTML>\n")),
        onpremises("exchange-journal-like-x-fields", "Fält").headers(&["X-Auto-Response-Suppress: DR, OOF, AutoReply", "X-MS-Exchange-Organization-SCL: -1", "X-SDK-Reference: SN 2026/9", "X-SDK-Attention: =?utf-8?Q?=C3=85sa?="]).body(plain("Fälten styr.\n")),
    ]
}

fn web_mails() -> Vec<Mail> {
    let tiny = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    vec![
        online("owa-reply", "Sv: Fråga").label("Fråga").answers().body(html(
            "<html><head><style type=\"text/css\" style=\"display:none;\"> P {margin-top:0;margin-bottom:0;} </style></head><body dir=\"ltr\"><div style=\"font-family:Calibri\">Ja, så är det.</div><div id=\"appendonsend\"></div><hr tabindex=\"-1\" style=\"display:inline-block; width:98%\">\
<div id=\"divRplyFwdMsg\"><b>Från:</b> Kundtjänst<br><b>Skickat:</b> tisdag 3 mars 2026<br><b>Ämne:</b> Fråga</div><div>Är det så?</div></body></html>\n",
        )),
        online("owa-embedded-dot", "Pixel")
            .body(html(&format!("<html><body><p>Hej på dig</p><img src=\"data:image/png;base64,{tiny}\" height=\"1\"></body></html>\n")))
            .loses(Loss::Other("Bilden i texten följde inte med", "data:image/png")),
        online("owa-onedrive-card", "Delad fil").body(html("<html><body><div>Filen ligger här:</div><div contenteditable=\"false\"><table><tr><td><a href=\"https://habo-my.sharepoint.com/:w:/g/personal/asa/Eabc\"><span>Underlag för ärende.docx</span></a></td></tr></table></div></body></html>\n")),
        online("owa-light-plain", "Enkel").body(text("plain", "iso-8859-1", Enc::Qp, "Skrivet i den enkla vyn på bryggan.\n")),
        online("owa-signature-table", "Signatur").body(html("<html><body><div>Hej!</div><div id=\"Signature\"><table style=\"border:none\"><tbody><tr><td style=\"width:120px\"><b>Åsa Öberg</b><br>Handläggare</td><td>Håbo kommun<br>0171-525 00</td></tr></tbody></table></div></body></html>\n")),
        online("owa-code-and-monospace", "Logg").body(html("<html><body><div>Loggen säger:</div><pre style=\"font-family:Consolas\">rad 1   fel\n  rad 2   år</pre><div>Vad är fel?</div></body></html>\n")),
    ]
}

fn automatic() -> Vec<Mail> {
    let human = plain("Jag är på semester till åttonde mars.\n");
    vec![
        onpremises("exchange-out-of-office", "Automatiskt svar: Fråga")
            .headers(&["Auto-Submitted: auto-generated", "X-Auto-Response-Suppress: All"])
            .body(human.clone())
            .automatic("Auto-Submitted"),
        online("online-out-of-office", "Automatiskt svar: Fråga")
            .headers(&["auto-submitted: auto-replied", "X-MS-Exchange-Inbox-Rules-Loop: asa@habo.se"])
            .body(human.clone())
            .automatic("Auto-Submitted"),
        online("online-rule-marked-bulk", "Kopia").header("Precedence: bulk").body(human.clone()).automatic("Precedence"),
        online("online-group-mail", "Grupp").header("List-Id: <grupp.habo.se>").body(human).automatic("List-Id"),
        onpremises("exchange-undeliverable", "Kunde inte levereras")
            .body(multi(
                "report; report-type=delivery-status",
                "_ndr_",
                vec![
                    html("<html><body>Leveransen misslyckades.</body></html>\n"),
                    Part::raw(
                        &["Content-Type: message/delivery-status"],
                        "Reporting-MTA: dns;EXCH01.habo.local\r\n\r\nFinal-recipient: RFC822;x@habo.se\r\nAction: failed\r\nStatus: 5.1.1\r\n",
                    ),
                    Part::raw(&["Content-Type: message/rfc822"], "From: a@habo.se\r\nSubject: x\r\n\r\nx\r\n"),
                ],
            ))
            .automatic("multipart/report"),
        onpremises("exchange-read-notification", "Läst: Fråga")
            .body(multi(
                "report; report-type=disposition-notification",
                "_mdn_",
                vec![
                    plain("Meddelandet lästes.\n"),
                    Part::raw(
                        &["Content-Type: message/disposition-notification"],
                        "Final-Recipient: RFC822;a@habo.se\r\nDisposition: manual-action/MDN-sent-automatically; displayed\r\n",
                    ),
                ],
            ))
            .automatic("multipart/report"),
    ]
}

fn signed() -> Vec<Mail> {
    let inner = multi("alternative", "_inre_smime_", vec![plain("Undertecknat av Åsa.\n"), html(&word(&p("Undertecknat av Åsa.")))]);
    let signature = file(Name::Quoted, "smime.p7s", "application/pkcs7-signature", &encode("latin1", "inte en riktig signatur")).lost();
    vec![
        onpremises("exchange-smime-clear-signed", "Signerat")
            .body(multi("signed; protocol=\"application/x-pkcs7-signature\"; micalg=SHA1", "----=_NextPart_000_0001_smime", vec![inner, signature]))
            .loses(Loss::Signature),
    ]
}

pub fn mails() -> Vec<Mail> {
    [online_mails(), onpremises_mails(), web_mails(), automatic(), signed()].concat()
}
