//! The messages: one for each thing that a peer may put into one.

use brevbro::content::{Content, Document, File, Identifier, Party, Person, Reference};
use brevbro::ident::{ConversationId, Domain, FunctionId, MailAddress, MessageId, ParticipantId};
use brevbro::inbound::render::{self, Render};
use brevbro::mail::address;
use brevbro::sdk::message::{self, MessageLimits};

/// A message as it comes in.
pub struct Message {
    pub name: &'static str,
    pub content: Content,
    /// XML put in before `</tns:messageHeader>`.
    pub extension: &'static str,
}

fn party(participant: &str, label: &str, function: &str, function_label: &str) -> Party {
    Party {
        participant: ParticipantId::new(participant).unwrap(),
        label: Some(label.to_owned().into()),
        function: Some(FunctionId::new(function).unwrap()),
        function_label: Some(function_label.to_owned().into()),
        persons: Vec::new(),
        references: Vec::new(),
    }
}

fn person(root: Option<&str>, id: &str, name: &str) -> Person {
    let id = root.map(|root| Identifier { root: root.to_owned(), extension: id.to_owned().into() });
    Person { id, label: Some(name.to_owned().into()) }
}

fn reference(root: &str, value: &str, label: Option<&str>) -> Reference {
    Reference { id: Identifier { root: root.to_owned(), extension: value.to_owned().into() }, label: label.map(|label| label.to_owned().into()) }
}

pub fn file(name: &str, media_type: &str, body: &[u8]) -> File {
    File { name: name.to_owned().into(), media_type: media_type.to_owned(), body: body.to_vec().into() }
}

fn document(index: &str, name: Option<&str>, texts: &[&str], files: Vec<File>) -> Document {
    Document {
        id: format!("dokument-{index}"),
        name: name.map(|name| name.to_owned().into()),
        index: Some(index.to_owned()),
        files,
        texts: texts.iter().map(|text| (*text).to_owned().into()).collect(),
    }
}

fn content(label: &str, documents: Vec<Document>) -> Content {
    Content {
        created: "2026-03-04T08:30:00Z".parse().unwrap(),
        message_id: MessageId::new("7bc5576a-3f87-4cf5-a0c5-277da06fcacb").unwrap(),
        conversation_id: ConversationId::new("7bc5576a-3f87-4cf5-a0c5-277da06fcacb").unwrap(),
        in_reply_to: None,
        label: Some(label.to_owned().into()),
        confidential: true,
        generating_system: None,
        recipient: party("0203:habo.se", "Håbo kommun", "soc", "Socialtjänsten"),
        sender: party("0203:af.se", "Arbetsförmedlingen", "sdk:etablering:1", "Etablering Uppsala"),
        documents,
        foreign: Vec::new(),
    }
}

const PDF: &[u8] = b"%PDF-1.7\n1 0 obj\r\nendobj\r%%EOF\n";

/// The text that the hostile message borrows its head from.
pub const PLAIN: &str = "Hej!\n\nVi har tagit emot er begäran om uppgifter och återkommer senast den 12 mars.\n\n\
    Behöver ni svar tidigare går det bra att ringa oss på 010-123 45 67, vardagar 9–15.\n\n\
    Med vänlig hälsning  \nÅsa Öberg  \nHandläggare, etablering";

pub const RICH: &str = "# Beslut om ekonomiskt stöd\n\nBeslutet gäller **1 april – 30 september 2026** och kan _omprövas_ om något ändras.\n\n\
    ## Vad som ingår\n\n* Hyra\n* El\n  * högst 600 kr i månaden\n* Resor till och från arbetet\n\n## Så går det till\n\n\
    1. Sökanden lämnar kvitton.\n2. Handläggaren prövar dem.\n3. Pengarna betalas ut den 27:e.\n\n**Månad** | **Belopp**  \napril | 8 450 kr  \nmaj | 8 450 kr\n\n\
    Mer finns på https://www.habo.se/stod och [i handboken](https://www.habo.se/handbok).";

/// Words that a mail program would run, load or be led astray by. `PORT` is where a request would be noticed.
pub const HOSTILE: &str = "</td></tr></table><table style='position:absolute;top:0;left:0;width:100%;background:#fff'><tr><td>Sekretess: Nej</td></tr></table>\n\n\
    Hej <script>document.title='ran'</script><img src='http://127.0.0.1:PORT/a.png' onerror=\"document.title='ran'\">\n\n\
    <iframe src=\"http://127.0.0.1:PORT/b\"></iframe><link rel=stylesheet href=http://127.0.0.1:PORT/c.css><style>@import 'http://127.0.0.1:PORT/d.css'; body{display:none}</style>\n\n\
    ![spårning](http://127.0.0.1:PORT/e.gif) [öppna beslutet](javascript:document.title='ran') [logga in](https://habo.se.example/)\n\n\
    <svg onload=\"document.title='ran'\"><style>body{display:none}</style></svg><object data='http://127.0.0.1:PORT/f'></object>\n\n\
    <form action='http://127.0.0.1:PORT/g'><input name=x autofocus onfocus=\"document.title='ran'\"></form>\n\n\
    <meta http-equiv=refresh content='0;url=http://127.0.0.1:PORT/h'><base href='http://127.0.0.1:PORT/'><a href='i'>relativ</a>\n\n\
    <p style=\"background:url(http://127.0.0.1:PORT/j)\" hidden>dold text</p>\n\n\u{202e}txet tidnäv\u{202c} slut";

/// Every message.
pub fn all() -> Vec<Message> {
    let plain = content("Begäran om uppgifter", vec![document("1", None, &[PLAIN], Vec::new())]);

    let mut open = content("Beslut om ekonomiskt stöd", vec![document("1", None, &[RICH], vec![file("Beslut.pdf", "application/pdf", PDF)])]);
    open.confidential = false;

    let mut full = content(
        "Orosanmälan",
        vec![document(
            "1",
            None,
            &["Hej **Bo**,\n\nbifogat finns den **orosanmälan** som vi talade om i telefon."],
            vec![file("Orosanmälan.pdf", "application/pdf", PDF)],
        )],
    );
    full.in_reply_to = Some(MessageId::new("11111111-1111-4111-8111-111111111111").unwrap());
    full.conversation_id = ConversationId::new("11111111-1111-4111-8111-111111111111").unwrap();
    full.sender.persons = vec![person(Some("1.2.752.29.6.2.1"), "SE2321000016-3F7K", "Åsa Öberg"), person(None, "", "Örjan Ängqvist")];
    full.recipient.persons = vec![person(None, "", "Bo Ek")];
    full.sender.references =
        vec![reference("dnr", "AF 2026/4711", None), reference("1.2.752.129.2.1.3.1", "19121212-1212", Some("Den som ärendet gäller"))];
    full.recipient.references = vec![reference("dnr", "SN 2026/123", None)];

    let names = [
        ("Protokoll § 12 – Å, Ä och Ö.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("Protokoll § 12 – Å, Ä och Ö.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("../../../etc/passwd", "text/plain"),
        ("C:\\Temp\\kalkyl.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("faktura\u{202e}fdp.exe", "application/pdf"),
        ("brev.eml", "message/rfc822"),
        ("smime.p7m", "application/pkcs7-mime"),
        ("winmail.dat", "application/ms-tnef"),
        ("rapport", "multipart/mixed"),
        ("a\r\nBcc: x@example.org\r\n\r\n", "text/html\r\nX-Evil: 1"),
        ("=?utf-8?B?w6U=?=.pdf", "application/pdf"),
        ("\"citat\" ; x=y.pdf", "application/pdf"),
        ("...", "application/pdf"),
        ("/", "image/jpeg"),
    ];
    let mut files: Vec<File> =
        names.iter().enumerate().map(|(at, (name, media_type))| file(name, media_type, format!("rad {at}\nrad\r\nslut\r").as_bytes())).collect();
    files[4].body.0.splice(..0, *b"MZ\x90\0");
    files.push(file(&format!("{}.pdf", "Mycket långt namn på en bilaga ".repeat(5)), "application/pdf", &(0..=255).collect::<Vec<u8>>()));
    let mut many = content("Bilagor av alla slag", vec![document("1", None, &["Här är underlaget."], files)]);
    many.created = "2025-11-01T12:00:00Z".parse().unwrap();

    let parts = content(
        "Kallelse till SIP-möte",
        vec![
            document(
                "2",
                Some("Dagordning"),
                &["1. Inledning\n2. Planering", "Ta med **legitimation**."],
                vec![file("Dagordning.pdf", "application/pdf", PDF)],
            ),
            document(
                "10",
                None,
                &[],
                vec![file("Karta.png", "image/png", b"\x89PNG\r\n\x1a\n"), file("Karta.png", "image/png", b"\x89PNG\r\n\x1a\n\0")],
            ),
            document("1", Some("Kallelse"), &["Välkommen till möte den 3 april."], Vec::new()),
        ],
    );

    let silent = content("Skannat dokument", vec![document("1", None, &[], vec![file("Skanning_0001.pdf", "application/pdf", PDF)])]);

    let mut odd = content(
        "a\r\nBcc: x@example.org",
        vec![document(
            "1",
            Some("Namn: <b>fet</b>"),
            &[&format!(
                "{}\n.\nFrom rad\n--\n.. \u{7f}punkt\n\n{}\n\nעברית مرحبا 👩\u{200d}👧 \u{1F1F8}\u{1F1EA}\ttab",
                "ord ".repeat(400),
                "x".repeat(3000)
            )],
            Vec::new(),
        )],
    );
    odd.sender.label = Some("\"\r\nX-Evil: 1\r\n\r\n".to_owned().into());
    odd.sender.function_label = Some("<soc@habo.se>, x".to_owned().into());

    let hostile = content("Begäran om uppgifter", vec![document("1", None, &[HOSTILE], Vec::new())]);
    let extension = "<x:prioritet xmlns:x=\"urn:example:system\"><x:niva>hög</x:niva></x:prioritet><x:handlingsplan xmlns:x=\"urn:example:system\">ja</x:handlingsplan>";
    [
        ("plain", plain, ""),
        ("formatted-open", open, ""),
        ("every-row", full, ""),
        ("attachments-and-extensions", many, extension),
        ("several-documents", parts, ""),
        ("no-text", silent, ""),
        ("odd-characters", odd, ""),
        ("hostile", hostile, ""),
    ]
    .map(|(name, content, extension)| Message { name, content, extension })
    .into()
}

/// As a peer wrote it.
pub fn xml(message: &Message) -> Vec<u8> {
    let xml = String::from_utf8(message::write(&message.content).unwrap()).unwrap();
    let end = xml.find("</tns:messageHeader>").or_else(|| xml.find("</messageHeader>")).unwrap();
    format!("{}{}{}", &xml[..end], message.extension, &xml[end..]).into_bytes()
}

/// As it is delivered.
pub fn mail(xml: &[u8]) -> Vec<u8> {
    let limits = MessageLimits::default();
    let content = message::read(xml, &limits).unwrap();
    let domain = Domain::new("sdk.habo.se").unwrap();
    let from = address::canonical(&content.sender.participant, content.sender.function.as_ref().unwrap(), &domain).unwrap();
    let with = Render {
        gateway: &domain,
        mailbox: &MailAddress::new("socialtjansten@habo.se").unwrap(),
        from: from.address(),
        answered: content.in_reply_to.as_ref().map(|_| "svar.1@mail.habo.se"),
        strange: false,
        received_at: "2026-03-04T08:31:00Z".parse().unwrap(),
        organisation: None,
        function: None,
    };
    render::mail(xml, &limits, &with).unwrap()
}
