//! What mutations begin with: for each parser what we write ourselves, and what others wrote, where it is at hand.

use std::path::{Path, PathBuf};

use brevbro::as4::EbmsError;
use brevbro::ident::{As4MessageId, DocumentKind, MessageId};
use brevbro::mail::thread;
use brevbro::sdk::receipt::{self, Outcome, Receipt};
use brevbro::sdk::rules::Breach;
use brevbro::sdk::{message, seal};
use brevbro::smp::{Endpoint, Process, Published, ServiceGroup, ServiceMetadata};
use brevbro::{as4, smp};

use crate::bodies::{self, HABO, ID, Samples, at, keys, pki, samples};
use crate::common::shared;

/// Larger ones would take the time of many smaller.
const LARGEST: usize = 48 * 1024;

/// The seeds of a parser.
pub(crate) fn of(name: &str) -> Vec<Vec<u8>> {
    let Samples { package, envelope, receipt, .. } = samples();
    let mut seeds = match name {
        "as4_package" => {
            let mut seeds = vec![package.clone(), soap_of(package)];
            seeds.extend(files("as4-vectors", &["as4", "txt", "as4in"]));
            seeds
        }
        "as4_ebms" => vec![bodies::messaging().into_bytes(), inside(receipt, "eb:Messaging").into_bytes()],
        "as4_security" => {
            let mut seeds: Vec<_> = [package, receipt].map(|octets| inside(octets, "wsse:Security").into_bytes()).into();
            seeds.extend(files("as4-vectors", &["as4", "txt", "as4in"]).iter().map(|octets| inside(octets, "wsse:Security").into_bytes()));
            let window = "<wsu:Created>2026-11-21T09:59:00Z</wsu:Created><wsu:Expires>2026-11-21T10:05:00.5Z</wsu:Expires>";
            seeds.push(format!("<wsu:Timestamp wsu:Id=\"t\">{window}</wsu:Timestamp>").into_bytes());
            seeds
        }
        "as4_answer" => {
            let (id, ref_to) = (As4MessageId::new("e@peer").unwrap(), As4MessageId::new("1@ap.habo.se").unwrap());
            let error = as4::error::write(&[EbmsError::not_serviced()], Some(&ref_to), &id, at("2026-11-21T10:00:00Z"), &keys().theirs).unwrap();
            vec![receipt.clone(), error]
        }
        "as4_written" => vec![format!("1@ap.habo.se\n{ID}\n{HABO}\n0007:2021006883\n<XHE>å</XHE>").into_bytes()],
        "xhe" => {
            let mut seeds = vec![envelope.clone(), unsigned(envelope), sealed_receipt(), unsigned(&sealed_receipt())];
            seeds.extend(files("sdk-docs/xhe/examples", &["xml"]).into_iter().flat_map(|octets| [unsigned(&octets), octets]));
            seeds
        }
        "sdk_message" => {
            let mut seeds = vec![message::write(&bodies::content()).unwrap()];
            seeds.extend(files("sdk-docs/message/testdata", &["xml"]));
            seeds.push(sdk_example());
            seeds
        }
        "sdk_receipt" => {
            let rejected = vec![Breach::unknown_function(), Breach::structure("/messagePayload/message", "åäö & <x>")];
            let mut seeds: Vec<_> = [Outcome::Accepted, Outcome::Rejected(rejected)].map(written).into();
            seeds.extend(files("sdk-docs/receipt/examples", &["xml"]));
            seeds
        }
        "smp" => smp_answers(),
        "c14n" => {
            let hard = "<?pi x?><!-- c --><a:x xmlns:a=\"urn:1\" xmlns=\"urn:2\" xml:lang=\"sv\" a:z=\"1\" b=\"a&#13;&#10;\tc\"><y xmlns=\"\" \
                xml:space=\"preserve\">å\r\n<![CDATA[<&>]]>&#13;</y><!----><b:y xmlns:b=\"urn:1\" b:q='\"' a:p='&lt;'/></a:x>\n<?pi?>";
            let mut seeds = vec![hard.into(), envelope.clone(), receipt.clone()];
            seeds.extend(files("sdk-docs/receipt/examples", &["xml"]));
            seeds
        }
        "smtp_session" => dialogues(),
        "mail_author" => authors(),
        "mail" => read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail"), &["eml"]),
        "tnef" => vec![winmail()],
        "rtf" => rtf(),
        "lzfu" => rtf().iter().map(|rtf| crate::writer::compressed(rtf)[16..].to_vec()).chain([REPEATING.to_vec()]).collect(),
        "calendar" => calendars(),
        "mail_thread" => threads(),
        "certificate" => certificates(),
        "crl" => {
            let [strict, any] = [&pki().strict.list, &pki().any.list].map(Clone::clone);
            vec![signed_part(&any).to_vec(), strict, any]
        }
        "returned" => returned(),
        "imap" => imap(),
        "ocsp" => {
            let bodies::Issuing { ca, leaf, answer, .. } = &pki().strict;
            let question = brevbro::crypto::ocsp_request(&leaf.certificate, &ca.certificate, bodies::NONCE).unwrap();
            vec![signed_part(basic(&pki().any.answer)).to_vec(), question, answer.clone()]
        }
        "sealed" => vec![
            bodies::at_rest().short.clone(),
            b"\x0f\0\0\0\x01\0\x0f\x01\0\0\x02\0".to_vec(),
            [[0, 1, 0x38, 0, 0, 1].as_slice(), &[15, 0, 0, 0, 4, 0]].concat(),
            vec![2, 0, 0, 0x54, 1, 0, 3, 0, 0, 0x54, 1, 0, 1, 0, 0, 1, 0, 1],
        ],
        other => panic!("{other} has no seeds"),
    };
    seeds.retain(|seed| !seed.is_empty() && seed.len() <= LARGEST);
    seeds
}

fn files(folder: &str, extensions: &[&str]) -> Vec<Vec<u8>> {
    shared(folder).map(|folder| read(&folder, extensions)).unwrap_or_default()
}

/// The files of a folder in the order of their names.
fn read(folder: &Path, extensions: &[&str]) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| extensions.iter().any(|extension| path.extension().is_some_and(|own| own == *extension)));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn sdk_example() -> Vec<u8> {
    files("sdk-docs/message/examples", &["xml"]).into_iter().find(|octets| octets.len() < LARGEST).unwrap_or_default()
}

/// What stands in the first element of a name, whatever its prefix; nothing where there is none.
fn inside(octets: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(octets);
    let local = name.split_once(':').unwrap().1;
    let found = [name.to_owned(), local.to_owned()].into_iter().find_map(|name| {
        let open = text.find(&format!("<{name}"))?;
        let from = open + text[open..].find('>')? + 1;
        let to = from + text[from..].find(&format!("</{name}>"))?;
        Some(text[from..to].to_owned())
    });
    found.unwrap_or_default()
}

/// The SOAP part alone.
fn soap_of(package: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(package);
    let end = text.find("Envelope>").unwrap() + "Envelope>".len();
    text[text.find("\r\n\r\n").unwrap() + 4..end].as_bytes().to_vec()
}

/// An envelope without its signature.
fn unsigned(envelope: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(envelope);
    let cut = text.find("<ds:Signature").zip(text.find("</ds:Signature>"));
    cut.map_or(Vec::new(), |(from, to)| format!("{}{}", &text[..from], &text[to + "</ds:Signature>".len()..]).into_bytes())
}

fn written(outcome: Outcome) -> Vec<u8> {
    let header = bodies::header(DocumentKind::Receipt);
    let receipt = Receipt {
        id: "8b4de4d2-ae3c-4a6f-9e0f-0d6a3e5f9a11".into(),
        issued: at("2026-11-21T10:00:00Z"),
        sender: header.from,
        receiver: header.to,
        refers_to: MessageId::new(ID).unwrap(),
        outcome,
    };
    receipt::write(&receipt).unwrap()
}

fn sealed_receipt() -> Vec<u8> {
    seal::seal(&bodies::header(DocumentKind::Receipt), &written(Outcome::Accepted), None, &keys().any).unwrap()
}

fn smp_answers() -> Vec<Vec<u8>> {
    let participant = bodies::header(DocumentKind::Message).to;
    let own = keys().any.certificate.clone();
    let endpoint = Endpoint {
        url: "https://ap.example.se/as4".into(),
        transport_profile: "digg-transport-as4-v1_0".into(),
        certificate: keys().theirs.certificate.clone(),
        activation: Some(at("2026-01-01T00:00:00Z")),
        expiration: None,
    };
    let metadata = ServiceMetadata {
        participant: participant.clone(),
        document_id: DocumentKind::Message.document_id().to_owned(),
        processes: vec![Process::of_sdk(vec![endpoint])],
        published: vec![Published { usage: smp::CertificateUse::Signing, certificate: own }],
    };
    let document_ids = DocumentKind::ALL.iter().map(|kind| kind.document_id().to_owned()).collect();
    let group = ServiceGroup { participant: participant.clone(), document_ids };
    vec![
        unsigned(&metadata.sign(&keys().any).unwrap()),
        group.write("http://smp.example.se").into_bytes(),
        smp::service_metadata_url("", &participant, DocumentKind::Receipt.document_id()).into_bytes(),
        smp::service_group_url("/smp", &participant).into_bytes(),
        b"!^.*$!https://smp.example.se/a!i".to_vec(),
    ]
}

fn dialogues() -> Vec<Vec<u8>> {
    let hello = "EHLO mail.habo.se\r\n";
    let start = "MAIL FROM:<anna@habo.se> SIZE=200 BODY=8BITMIME RET=HDRS ENVID=a+2Bb\r\nRCPT TO:<f@af.se.sdk.habo.se> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;f@x.se\r\n";
    let mail = "DATA\r\nSubject: x\r\n\r\n..\r\n.a\r\ntext\r\n.\r\n";
    [
        format!("{hello}{start}{mail}QUIT\r\n"),
        format!("{hello}{start}RCPT TO:<okand@af.se>\r\n{mail}MAIL FROM:<> SMTPUTF8\r\nRCPT TO:<\"å \\\" b\"@af.se>\r\n{mail}"),
        format!("HELO x\r\nNOOP\r\nVRFY a\r\nRSET\r\nMAIL FROM:<@a.se,@b.se:c@d.se>\r\nRCPT TO:<x@[127.0.0.1]>\r\nRSET\r\n{start}"),
        format!("{hello}STARTTLS\r\n{hello}"),
        format!("{hello}{start}{start}DATA\r\n{}\r\n.\r\nQUIT\r\n", "x".repeat(2500)),
        format!("{hello}AUTH PLAIN AGV4Y2hhbmdlAGhlbWxpZw==\r\n{start}BDAT 14\r\nSubject: x\r\n\r\nBDAT 6\r\n.\r\nx\r\nBDAT 0 LAST\r\nQUIT\r\n"),
        format!("{hello}AUTH LOGIN\r\nZXhjaGFuZ2U=\r\nZmVs\r\nAUTH EXTERNAL =\r\n{start}BDAT 3\r\na\nbBDAT 4 LAST\r\nRSETDATA\r\n"),
        format!("{hello}{start}BDAT 2001\r\nBDAT 1500\r\n{}BDAT 501 LAST\r\n{}NOOP\r\n", "x".repeat(1500), "y".repeat(501)),
        "Subject: x\r\n\r\n.\r\n..two\r\nMAIL FROM:<boss@habo.se>\r\n.\r\n".to_owned(),
    ]
    .map(String::into_bytes)
    .into()
}

/// From fields, honest and not.
fn authors() -> Vec<Vec<u8>> {
    [
        "From: studs@habo.se\r\n",
        "From: \"Ek, Anna (Socialtj\u{e4}nsten)\"\r\n <studs@habo.se> (arbete (kontoret))\r\nTo: x\r\n",
        "From: =?utf-8?Q?=C3=85sa_Ek?= <\"a b\"@habo.se>\r\n",
        "Subject: x\nFrom : Anna.Ek <studs@habo.se>\nFrom: chef@habo.se\n",
        "From: <@a.se,@b.se:studs@habo.se>, Grupp: a@b.se;\r\n",
        "From: \"chef\u{ff20}annan.se \\\" x\" <studs@[192.0.2.1]>\r\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// Every certificate at hand, as PEM and DER.
fn certificates() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/federation");
    let mut all: Vec<_> = ["open-test", "qa", "production"].iter().flat_map(|environment| read(&root.join(environment), &["pem"])).collect();
    let leaf = &pki().strict.leaf.certificate;
    all.extend([leaf.der().to_vec(), leaf.to_pem().into_bytes(), leaf.to_base64().into_bytes(), pki().any.ca.certificate.der().to_vec()]);
    all.extend(all.clone().iter().filter_map(|pem| Some(brevbro::crypto::Certificate::from_pem(pem).ok()?.der().to_vec())));
    all
}

/// What a DER element with a long length holds.
fn inner(der: &[u8]) -> &[u8] {
    if der[1] & 0x80 == 0 { &der[2..] } else { &der[2 + usize::from(der[1] & 0x7f)..] }
}

/// The first element in a SEQUENCE, whole: what is signed.
fn signed_part(der: &[u8]) -> &[u8] {
    let inside = inner(der);
    let head = inside.len() - inner(inside).len();
    let length =
        if inside[1] & 0x80 == 0 { usize::from(inside[1]) } else { inside[2..head].iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)) };
    &inside[..head + length]
}

/// The basic answer in an OCSP answer, as its last octets are those of the whole.
fn basic(answer: &[u8]) -> &[u8] {
    const BASIC: &[u8] = &[6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
    let at = answer.windows(BASIC.len()).position(|window| window == BASIC).unwrap() + BASIC.len();
    inner(&answer[at..])
}

/// A message with everything that Outlook puts into one.
fn winmail() -> Vec<u8> {
    use crate::writer::{Attachment, Properties, STORAGE, Winmail, compressed, set};
    let pdf = b"%PDF-1.7\n";
    let inner = Winmail::new("IPM.Note", Properties::default().text(0x0037, "Inre").text(0x1000, "Hej")).with(Attachment::file("a.pdf", pdf));
    let properties = Properties::default()
        .ansi(0x0037, "Åäö")
        .binary(0x1009, &compressed(&rtf()[0]))
        .binary(0x1013, b"<p>Hej <img src=\"cid:a@b\"></p>")
        .int(0x3fde, 65001)
        .named_time(set(2), 0x820d, "2026-03-05T09:00:00Z")
        .named_binary(set(8), 0x8520, b"\x02\x01\x01\0\0\0\x04\0\0\0\x02Ja")
        .string_named(set(0x29), "Namn", "v")
        .texts(0x0005, &["a", "bc"])
        .longs(0x0006, &[1]);
    let object = Attachment { properties: Properties::default().object(0x3701, STORAGE, b"x"), ..Attachment::default() };
    let mut winmail = Winmail::new("IPM.Microsoft Schedule.MtgReq", properties)
        .with(Attachment::message("Inre", &inner.octets()))
        .with(Attachment::file("b.pdf", pdf))
        .with(object);
    winmail.recipients = vec![Properties::default().int(0x0c15, 1).text(0x3001, "Åsa")];
    winmail.old = vec![(0x0003_8005, vec![0xea, 7, 3, 0, 4, 0, 9, 0, 30, 0, 0, 0, 3, 0])];
    winmail.octets()
}

/// RTF of each kind.
fn rtf() -> Vec<Vec<u8>> {
    [
        r"{\rtf1\ansi\ansicpg1252\fromhtml1 \deff0{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset204 B;}}\uc1{\*\htmltag64 <p>}\htmlrtf {\htmlrtf0 H\'e5j \u8211 ?\f1 \'cf{\*\htmltag84 <b>}\htmlrtf}\htmlrtf0 {\*\mhtmltag84 x}}",
        r"{\rtf1\ansi\fromtext {\fonttbl{\f0 A;}}Hej\par \tab\u-10179?\u-8704? d\'e5}",
        r#"{\rtf1\ansi{\listtext\f3 \'b7\tab}\ilvl1 ett\par\trowd\intbl A\cell B\cell\row\pard{\field{\*\fldinst HYPERLINK "http://x.se"}{\fldrslt x}}\b f\i k\plain{\pict\pngblip 89504e470d0a1a0a}{\pict\wmetafile8\bin4 abcd}{\object{\result y}}\v dold\par}"#,
    ]
    .map(|rtf| rtf.as_bytes().to_vec())
    .into()
}

/// What MS-OXRTFCP 3.1.2 compresses with references into what is being written.
const REPEATING: &[u8] = b"A\0\x04 WXYZ\x0dn}\x01\x0e\xb0";

fn calendars() -> Vec<Vec<u8>> {
    let event = "BEGIN:VEVENT\r\nSUMMARY;LANGUAGE=sv:Sam\r\n råd\\, ett\r\nORGANIZER;CN=\"Å; B\":mailto:a@habo.se\r\nATTENDEE;PARTSTAT=ACCEPTED:mailto:b@af.se\r\n\
        DTSTART;TZID=Z:20260701T100000\r\nDURATION:P1DT2H\r\nRRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,-1TU;UNTIL=20261231T000000Z\r\nDESCRIPTION:Hej\\nhej\r\nEND:VEVENT\r\n";
    let zone = "BEGIN:VTIMEZONE\r\nTZID:Z\r\nBEGIN:STANDARD\r\nDTSTART:16010101T030000\r\nTZOFFSETTO:+0100\r\nRRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\r\n\
        END:STANDARD\r\nBEGIN:DAYLIGHT\r\nDTSTART:20200329T020000\r\nRDATE:20210328T020000,20220327T020000\r\nTZOFFSETTO:+0200\r\nEND:DAYLIGHT\r\nEND:VTIMEZONE\r\n";
    let day = "BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20260105\r\nDTEND;VALUE=DATE:20260107\r\nATTACH;VALUE=BINARY;FILENAME=a:QQ==\r\nEND:VEVENT\r\n";
    ["REQUEST", "REPLY", "CANCEL"]
        .map(|method| format!("BEGIN:VCALENDAR\r\nMETHOD:{method}\r\n{zone}{event}{day}END:VCALENDAR\r\n").into_bytes())
        .into()
}

/// What a delivered mail of ours says, and what answers make of it.
fn threads() -> Vec<Vec<u8>> {
    let gateway = brevbro::ident::Domain::new("sdk.habo.se").unwrap();
    let (habo, af, function) = (HABO.parse().unwrap(), bodies::AF.parse().unwrap(), "socialkontoret".parse().unwrap());
    let ends = thread::Ends { organisation: &habo, function: &function, other: &af };
    let (conversation, message) = (ID.parse().unwrap(), ID.parse().unwrap());
    let (index, mark) = (thread::index::write(&conversation, &message, &ends, &gateway), thread::mark(&conversation, &ends, &gateway));
    let html = format!("<p><b>Meddelande-id:<o:p></o:p></b></p></td>\n<td><p>&nbsp;{ID}</p></td>");
    vec![
        index.into_bytes(),
        format!("<{mark}>").into_bytes(),
        html.into_bytes(),
        format!("> Meddelande-id: {ID}\n>> Meddelande-id: 1{ID}").into_bytes(),
    ]
}

/// Notices of Postfix, Exchange and qmail about a mail that they had taken.
fn returned() -> Vec<Vec<u8>> {
    let report = |groups: &str| {
        format!(
            "From: MAILER-DAEMON@mail.habo.se\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n--b\r\n\r\nHej\r\n\
             --b\r\nContent-Type: message/delivery-status\r\n\r\n{groups}\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: x\r\n--b--\r\n"
        )
        .into_bytes()
    };
    let prose = "From: MAILER-DAEMON@habo.se\r\nX-Failed-Recipients: anna@habo.se\r\nSubject: failure notice\r\n\r\n\
                 <anna@habo.se>:\r\n550 no mailbox (#5.1.1)\r\n\r\n--- Below this line is a copy of the message.\r\n\r\nSubject: x\r\n";
    vec![
        report(&format!(
            "Reporting-MTA: dns; mail.habo.se\r\nOriginal-Envelope-Id: {ID}\r\n\r\nFinal-Recipient: rfc822; anna@habo.se\r\nAction: failed\r\n\
             Status: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1\r\n unknown\r\n"
        )),
        report(
            "Reporting-MTA: dns;EX\r\n\r\nFinal-recipient: RFC822;a@b.se\r\nAction: delayed\r\nStatus: 4.4.7\r\n\r\nFinal-recipient: RFC822;b@b.se\r\nAction: relayed\r\n",
        ),
        prose.as_bytes().to_vec(),
        b"From: anna@habo.se\r\nAuto-Submitted: auto-replied\r\nSubject: Borta\r\n\r\nHej\r\n".to_vec(),
    ]
}

/// What IMAP servers say.
fn imap() -> Vec<Vec<u8>> {
    let session = "* OK [CAPABILITY IMAP4rev1 LITERAL+ AUTH=PLAIN] Dovecot ready.\r\nb1 OK [CAPABILITY IMAP4rev1 IDLE MOVE] Logged in\r\n\
        * FLAGS (\\Answered \\Seen)\r\n* 2 EXISTS\r\n* OK [UIDVALIDITY 1767600000] UIDs valid\r\nb2 OK [READ-WRITE] Select completed.\r\n\
        * SEARCH 1 2 77\r\nb3 OK Search completed.\r\n";
    let fetched = "* 2 FETCH (UID 77 RFC822.SIZE 4321 INTERNALDATE \" 5-Jan-2026 10:00:00 +0100\" FLAGS (\\Seen $x))\r\n\
        * 2 FETCH (UID 77 BODY[HEADER.FIELDS (From To)] {18}\r\nFrom: a@b.se\r\n\r\n\r\n X (a (b \"c)\" NIL {2}\r\n))) BODY[]<0> \"x\\\"y\")\r\nb4 OK done\r\n";
    let refused = "+ idling\r\n* BYE [UNAVAILABLE] Temporary. Backoff Time: 30 seconds\r\n\
        b5 NO [THROTTLED] Request is throttled. Suggested Backoff Time: 299961 milliseconds\r\nb6 BAD User is authenticated but not connected.\r\n";
    let told = "* STATUS \"SDK/&AMU-tg\" (MESSAGES 1 APPENDLIMIT 35651584)\r\n* QUOTA \"\" (STORAGE 10 512 MESSAGE 3 99)\r\n* 1 EXPUNGE\r\n\
        * LIST (\\Noselect) NIL ~{3+}\r\na\"b\r\nb7 OK [APPENDUID 38505 3955] APPEND completed\r\n";
    [session, fetched, refused, told].map(|text| text.as_bytes().to_vec()).into()
}
