//! What must hold of every parser, whatever comes in: one function for each, which `mutations` replays with mutated
//! fixtures and the targets in `fuzz/` with whatever libFuzzer finds. A broken promise is a panic.

use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::sync::OnceLock;

use brevbro::as4::receive::{Context, Options, ReceiveLimits, Requirement, open};
use brevbro::as4::{Answer, PMode, Received, Refusal, Sent, UserMessage, answer, pmode, send};
use brevbro::content::{Content, Party, Redacted};
use brevbro::crypto::rest::{Head, Opened, RestKey, Sealer};
use brevbro::crypto::{
    Authorities, Certificate, Crl, Identity, OcspAnswer, OcspQuestion, OcspStatus, Profile, SignatureAlgorithm, Template, crl_urls, issue_crl,
    issue_ocsp, ocsp_request, ocsp_urls, sign_enveloped,
};
use brevbro::ident::{
    AccessPointId, As4MessageId, ConversationId, DocumentKind, Domain, FederationId, FunctionId, MailAddress, MessageId, ParticipantId,
};
use brevbro::mail::author::{AuthorError, author};
use brevbro::mail::compose::{ComposeContext, incoming};
use brevbro::mail::convert::{Ids, Outgoing, outgoing};
use brevbro::mail::imap::frame::{FrameLimits, Framer};
use brevbro::mail::imap::refusal::Refusal as ImapRefusal;
use brevbro::mail::imap::reply::Reply as ImapReply;
use brevbro::mail::policy::MailboxPolicy;
use brevbro::mail::session::{Action, Credentials, Mechanism, OnwardTls, Options as SmtpOptions, Question, Reply, Security, Session};
use brevbro::mail::thread::{self, Ends, Marked};
use brevbro::sdk::envelope::{self, EnvelopeError, Header, Passing};
use brevbro::sdk::message::{self, MessageLimits};
use brevbro::sdk::{receipt, rules, seal};
use brevbro::smp::{self, Asked, ServiceGroup, ServiceMetadata};
use brevbro::xml::{Canonicalization, Comments, Document, Element, Limits, NodeRef, OutlineLimits, Outliner, XmlError};
use jiff::Timestamp;
use libxml::parser::{Parser, ParserOptions};
use libxml::tree::c14n::{CanonicalizationMode, CanonicalizationOptions};

/// The function of one parser; whether it took the input for what it should be.
pub type Body = fn(&[u8]) -> bool;

/// All of them, by the names of the fuzz targets.
pub const ALL: [(&str, Body); 24] = [
    ("as4_package", as4_package),
    ("as4_ebms", as4_ebms),
    ("as4_security", as4_security),
    ("as4_answer", as4_answer),
    ("as4_written", as4_written),
    ("xhe", xhe),
    ("sdk_message", sdk_message),
    ("sdk_receipt", sdk_receipt),
    ("smp", smp),
    ("c14n", c14n),
    ("smtp_session", smtp_session),
    ("mail_author", mail_author),
    ("mail", mail),
    ("tnef", tnef),
    ("rtf", rtf),
    ("lzfu", lzfu),
    ("calendar", calendar),
    ("mail_thread", mail_thread),
    ("returned", returned),
    ("imap", imap),
    ("certificate", certificate),
    ("crl", crl),
    ("ocsp", ocsp),
    ("sealed", sealed),
];

pub const OURS: &str = "AP0001-SDK-TEST";
pub const THEIRS: &str = "AP0002-SDK-TEST";
pub const HABO: &str = "0203:habo.se";
pub const AF: &str = "0203:arbetsformedlingen.se";
pub const ID: &str = "70c5ea37-f4a9-4771-b0c7-09becd024bda";
pub const BOUNDARY: &str = "=_f3a1c2e4b5d6978812345678";

const SOAP_HEAD: &str = r#"<S:Envelope xmlns:S="http://www.w3.org/2003/05/soap-envelope" xmlns:eb="http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/" xmlns:wsse="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd" xmlns:wsu="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd" xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><S:Header>"#;
const SOAP_TAIL: &str = r#"</S:Header><S:Body wsu:Id="body"/></S:Envelope>"#;

/// A key of this process. Those of [`samples`] have signed nothing but the samples.
pub struct Keys {
    pub ours: Identity,
    pub theirs: Identity,
    /// Signs whatever comes, where what stands behind a signature is to be reached.
    pub any: Identity,
}

pub fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let key = |name: &str| {
            let (from, until) = (at("2020-01-01T00:00:00Z"), at("2120-01-01T00:00:00Z"));
            Template { subject: vec![("CN", name.to_owned())], from, until, profile: Profile::Service, crl_url: None, ocsp_url: None }
                .issue(2048, None)
                .unwrap()
        };
        Keys { ours: key(OURS), theirs: key(THEIRS), any: key("any") }
    })
}

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn participant(id: &str) -> ParticipantId {
    ParticipantId::new(id).unwrap()
}

/// The message that [`samples`] has signed.
pub fn user_message() -> UserMessage {
    UserMessage {
        message_id: As4MessageId::new("1@ap.habo.se").unwrap(),
        timestamp: at("2026-11-21T10:00:00Z"),
        ref_to: None,
        from: AccessPointId::new(OURS).unwrap(),
        to: AccessPointId::new(THEIRS).unwrap(),
        conversation_id: ID.into(),
        kind: DocumentKind::Message,
        original_sender: participant(HABO),
        final_recipient: participant(AF),
    }
}

pub const PAYLOAD: &[u8] = "<XHE>Räksmörgås åt Håbo kommun</XHE>\n".as_bytes();

/// What was signed with the keys that sign nothing else.
pub struct Samples {
    pub package: Vec<u8>,
    pub sent: Sent,
    pub receipt: Vec<u8>,
    pub envelope: Vec<u8>,
}

pub fn samples() -> &'static Samples {
    static SAMPLES: OnceLock<Samples> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let Keys { ours, theirs, .. } = keys();
        let (package, sent) = packaged(&user_message(), PAYLOAD, ours);
        let received = received(&sent.content_type, &package, &Options::default(), theirs).unwrap().0;
        let receipt = brevbro::as4::receipt::write(&received, &As4MessageId::new("r@peer").unwrap(), at("2026-11-21T10:00:01Z"), theirs).unwrap();
        let xml = message::write(&content()).unwrap();
        let envelope = seal::seal(&header(DocumentKind::Message), &xml, Some(&theirs.certificate), ours).unwrap();
        Samples { package, sent, receipt, envelope }
    })
}

fn packaged(message: &UserMessage, mut payload: &[u8], signer: &Identity) -> (Vec<u8>, Sent) {
    let mut body = Vec::new();
    let recipient = &keys().theirs.certificate;
    let sent = send::package(message, &mut payload, signer, recipient, Cursor::new(Vec::new()), &mut body, BOUNDARY).unwrap();
    (body, sent)
}

/// What is opened of a body, and its payloads.
fn received(content_type: &str, mut body: &[u8], options: &Options, key: &Identity) -> Result<(Received, Vec<u8>), Refusal> {
    let context = Context { keys: std::slice::from_ref(key), known: &|_| None, options, at: at("2026-11-21T10:00:00Z") };
    let mut payload = Vec::new();
    let received = open(content_type, &mut body, &context, Cursor::new(Vec::new()), &mut payload)?;
    Ok((received, payload))
}

/// Bounds that are reached soon, so that what happens at them is seen.
fn bounds() -> ReceiveLimits {
    ReceiveLimits { package: 1 << 20, payload: 4 << 20, ..ReceiveLimits::default() }
}

fn strict() -> Options {
    Options { limits: bounds(), ..Options::default() }
}

/// Neither signature nor encryption is asked for, so that what comes after them is reached.
fn lenient() -> Options {
    Options { signature: Requirement::Optional, encryption: Requirement::Optional, ..strict() }
}

/// Opens a body in both ways. What is opened strictly is the one message that was signed for us, unchanged.
fn opens(content_type: &str, body: &[u8]) -> bool {
    let theirs = &keys().theirs;
    let pmode = PMode::sdk(AccessPointId::new(THEIRS).unwrap());
    let taken = received(content_type, body, &lenient(), theirs);
    match &taken {
        Ok((received, payload)) => {
            assert_eq!(received.parts.iter().map(|part| part.octets).sum::<u64>(), payload.len() as u64);
            assert!(payload.len() as u64 <= bounds().payload);
            if received.signature.is_none() {
                pmode::check(received, &pmode).unwrap_err();
                pmode::check_ping(received, &pmode).unwrap_err();
            }
        }
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
    if let Ok((received, payload)) = received(content_type, body, &strict(), theirs) {
        let checked = pmode::check(&received, &pmode);
        if received.signer() == Some(&keys().ours.certificate) {
            assert_eq!((checked.unwrap(), payload.as_slice()), (user_message(), PAYLOAD), "a forged message");
        }
    }
    taken.is_ok()
}

/// The Content-Type of a body without HTTP header: its boundary is read off the first delimiter.
fn content_type(body: &[u8]) -> String {
    let first = body.split(|octet| *octet == b'\n').map(|line| String::from_utf8_lossy(line).trim().to_owned()).find(|line| !line.is_empty());
    match first.as_deref().and_then(|line| line.trim_start_matches('\u{feff}').strip_prefix("--")) {
        Some(boundary) => format!("multipart/related; boundary=\"{boundary}\"; type=\"application/soap+xml\""),
        None => "application/soap+xml; charset=utf-8".into(),
    }
}

/// A whole HTTP body.
pub fn as4_package(input: &[u8]) -> bool {
    opens(&content_type(input), input)
}

fn wrapped(before: &str, input: &[u8], after: &str) -> Vec<u8> {
    let soap = [SOAP_HEAD.as_bytes(), before.as_bytes(), input, after.as_bytes(), SOAP_TAIL.as_bytes()].concat();
    let root = format!("--{BOUNDARY}\r\nContent-Type: application/soap+xml; charset=UTF-8\r\n\r\n");
    let part = format!("\r\n--{BOUNDARY}\r\nContent-Type: text/xml\r\nContent-ID: <message>\r\n\r\n<XHE/>\r\n--{BOUNDARY}--\r\n");
    [root.as_bytes(), &soap, part.as_bytes()].concat()
}

/// What stands in `eb:Messaging`, with one payload beside it.
pub fn as4_ebms(input: &[u8]) -> bool {
    let body = wrapped(r#"<eb:Messaging wsu:Id="messaging">"#, input, "</eb:Messaging>");
    opens(&content_type(&body), &body)
}

/// A user message for [`as4_ebms`] and [`as4_security`], taken out of what we write; its payload is not compressed.
pub fn messaging() -> String {
    let package = String::from_utf8_lossy(&samples().package);
    let (from, to) = (package.find("<eb:UserMessage").unwrap(), package.find("</eb:UserMessage>").unwrap());
    let compression = "<eb:Property name=\"CompressionType\">application/gzip</eb:Property>";
    format!("{}</eb:UserMessage>", &package[from..to]).replace(compression, "")
}

/// What stands in `wsse:Security`, beside a user message as it should be.
pub fn as4_security(input: &[u8]) -> bool {
    static BEFORE: OnceLock<String> = OnceLock::new();
    let before = BEFORE.get_or_init(|| format!(r#"<eb:Messaging wsu:Id="messaging">{}</eb:Messaging><wsse:Security>"#, messaging()));
    let body = wrapped(before, input, "</wsse:Security>");
    opens(&content_type(&body), &body)
}

/// What a peer answers. A receipt that holds is the one that was signed.
pub fn as4_answer(input: &[u8]) -> bool {
    let expected = &keys().theirs.certificate;
    match answer::read(200, &content_type(input), input, &samples().sent, expected) {
        Answer::Receipt(receipt) => {
            assert_eq!((receipt.signal_id.as_str(), &receipt.signer), ("r@peer", expected), "a forged receipt");
            true
        }
        Answer::Errors(errors) => {
            assert!(!errors.is_empty());
            true
        }
        Answer::Unusable(why) => {
            assert!(!why.is_empty());
            false
        }
    }
}

/// Lines: message id, conversation id, sender, recipient; then the payload. What we write, we read.
pub fn as4_written(input: &[u8]) -> bool {
    let mut lines = input.splitn(5, |octet| *octet == b'\n');
    let mut text = || lines.next().and_then(|line| std::str::from_utf8(line).ok());
    let (Some(id), Some(conversation), Some(sender), Some(recipient)) = (text(), text(), text(), text()) else { return false };
    let (Ok(message_id), Ok(original_sender), Ok(final_recipient)) =
        (As4MessageId::new(id), ParticipantId::new(sender), ParticipantId::new(recipient))
    else {
        return false;
    };
    // Ours are UUIDs.
    let Ok(conversation) = ConversationId::new(conversation) else { return false };
    let payload = lines.next().unwrap_or_default();
    let from = AccessPointId::new("any").unwrap();
    let conversation_id = conversation.as_str().to_owned();
    let message = UserMessage { message_id, conversation_id, original_sender, final_recipient, from, ..user_message() };
    let (body, sent) = packaged(&message, payload, &keys().any);
    let (received, read) = received(&sent.content_type, &body, &Options::default(), &keys().theirs).unwrap();
    assert_eq!(pmode::check(&received, &PMode::sdk(AccessPointId::new(THEIRS).unwrap())).unwrap(), message);
    assert!(read == payload);
    true
}

/// The header that [`samples`] has signed, or that of a receipt.
pub fn header(kind: DocumentKind) -> Header {
    Header {
        id: MessageId::new(ID).unwrap(),
        created: at("2026-11-21T10:00:00Z"),
        kind,
        federation: FederationId::new("urn:fdc:digg.se:edelivery:federation:test").unwrap(),
        from: participant(HABO),
        to: participant(AF),
        service: FunctionId::new("etablering").ok(),
        encrypted: kind == DocumentKind::Message,
    }
}

/// An envelope, signed or not: as it is, and signed by someone.
pub fn xhe(input: &[u8]) -> bool {
    let keys = keys();
    let read = envelope::read(input);
    passes(input, &read);
    outlines(input);
    if let Ok(verified) = seal::verify(input) {
        assert_eq!(verified.header, read.clone().unwrap());
        if verified.signer == keys.ours.certificate {
            assert_eq!(verified.header, header(DocumentKind::Message), "a forged envelope");
        }
    }
    // It has a signature already, is no document, or has a namespace that C14N 1.0 has no form for.
    if let Ok(signed) = sign_enveloped(input, &keys.any) {
        match (seal::verify(&signed), &read) {
            (Ok(verified), Ok(header)) => {
                assert_eq!(&verified.header, header);
                if let Ok(payload) = verified.payload(std::slice::from_ref(&keys.theirs)) {
                    Document::parse(&payload, &Limits::of(1 << 24)).unwrap();
                }
            }
            (verified, Err(_)) => assert!(verified.is_err(), "the seal takes what the profile refuses"),
            (Err(error), Ok(_)) => panic!("what was signed here does not verify: {error}"),
        }
    }
    if let Ok(header) = &read
        && header.encrypted == (header.kind == DocumentKind::Message)
    {
        let recipient = header.encrypted.then_some(&keys.theirs.certificate);
        let sealed = seal::seal(header, b"<payload xmlns='urn:x'>\xc3\xa5</payload>", recipient, &keys.any).unwrap();
        assert_eq!(&envelope::read(&sealed).unwrap(), header);
    }
    read.is_ok()
}

/// An SDK message. What is read and may be sent reads back from what we write; a mail of it is a sound mail.
pub fn sdk_message(input: &[u8]) -> bool {
    let limits = MessageLimits { payload: 1 << 20 };
    let (read, glimpse) = message::examine(input, &limits);
    let _ = rules::check_against_envelope(&glimpse, &header(DocumentKind::Message));
    let content = match read {
        Ok(content) => content,
        Err(breaches) => {
            assert!(!breaches.is_empty());
            return false;
        }
    };
    let content = Content { foreign: Vec::new(), ..content };
    // What may be missing on reading is never missing in what is written.
    if content.label.is_some() && content.sender.function.is_some() {
        let xml = message::write_within(&content, &MessageLimits::SENDING).unwrap_or_else(|breaches| panic!("{breaches:?}"));
        assert_eq!(message::read(&xml, &MessageLimits::SENDING).unwrap(), content);
    }
    composes(&content);
    true
}

/// Thread-Index, a References entry, and a quoted text. What is taken for ours is what we write; nothing forged is.
pub fn mail_thread(input: &[u8]) -> bool {
    let (gateway, habo, af) = (Domain::new("sdk.habo.se").unwrap(), HABO.parse().unwrap(), AF.parse().unwrap());
    let function = FunctionId::new("socialkontoret").unwrap();
    let ends = Ends { organisation: &habo, function: &function, other: &af };
    let text = String::from_utf8_lossy(input);
    let quoted = thread::quoted::message_ids(&text);
    assert!(quoted.len() <= 50 && quoted.iter().all(|id| text.to_lowercase().contains(&id.folded())));
    let mut taken = !quoted.is_empty();
    for line in text.lines() {
        if let Some(index) = thread::index::read(line, &gateway)
            && index.is_between(&ends, &gateway)
        {
            // What a mail program appends is five octets for each answer.
            let ours = thread::index::write(&index.conversation, &index.message, &ends, &gateway);
            let begins = |field: &str| field.chars().filter(|c| !c.is_whitespace()).take(80).collect::<String>();
            assert_eq!(begins(line)[30..80], begins(&ours)[30..80]);
            taken = true;
        }
        if let Marked::Conversation(conversation) = thread::marked(line, &ends, &gateway) {
            let bare = line.trim().trim_start_matches('<').trim_end_matches('>');
            assert_eq!(thread::mark(&conversation, &ends, &gateway), bare.to_lowercase());
            taken = true;
        }
    }
    taken
}

/// The fields of a mail of ours. Content in one of them never makes another.
const FIELDS: [&str; 15] = [
    "date",
    "from",
    "reply-to",
    "to",
    "subject",
    "message-id",
    "in-reply-to",
    "references",
    "thread-topic",
    "thread-index",
    "sensitivity",
    "x-auto-response-suppress",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
];

/// The mail of a message has lines as RFC 5322 2.1.1 wants them, and is read by us.
fn composes(content: &Content) {
    let (domain, mailbox) = (Domain::new("sdk.habo.se").unwrap(), MailAddress::new("socialkontoret@habo.se").unwrap());
    let from = MailAddress::new("etablering@arbetsformedlingen.se.sdk.habo.se").unwrap();
    let setting = ComposeContext {
        gateway_domain: &domain,
        mailbox: &mailbox,
        from_address: &from,
        answered_mail: None,
        received_at: at("2026-11-21T10:00:00Z"),
    };
    let mail = incoming(content, &setting).unwrap();
    assert!(mail.is_ascii() && mail.ends_with(b"\r\n"));
    for line in mail.split_inclusive(|octet| *octet == b'\n') {
        let text = line.strip_suffix(b"\r\n").unwrap_or_else(|| panic!("a bare LF after {:?}", String::from_utf8_lossy(line)));
        assert!(text.len() <= 998 && !text.contains(&b'\r') && !text.contains(&0), "{:?}", String::from_utf8_lossy(text));
    }
    let header = mail.windows(4).position(|octets| octets == b"\r\n\r\n").unwrap();
    let names: Vec<String> = String::from_utf8_lossy(&mail[..header])
        .lines()
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split_once(':').unwrap_or_else(|| panic!("{line:?} is no field")).0.to_ascii_lowercase())
        .collect();
    let unknown: Vec<_> = names.iter().filter(|name| !name.starts_with("x-sdk-") && !FIELDS.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let mut single = names.clone();
    single.sort();
    single.dedup();
    assert_eq!(single.len(), names.len(), "a field stands twice: {names:?}");
}

/// A message receipt. What is read may be written, and reads back.
pub fn sdk_receipt(input: &[u8]) -> bool {
    let Ok(read) = receipt::read(input) else { return false };
    let xml = receipt::write(&read).unwrap();
    assert_eq!(receipt::read(&xml).unwrap(), read);
    true
}

/// What an SMP answers, signed by someone, and the addresses that it is asked at.
pub fn smp(input: &[u8]) -> bool {
    let (keys, mut taken) = (keys(), false);
    if let Ok(group) = ServiceGroup::read(input) {
        let again = ServiceGroup::read(group.write("http://127.0.0.1/smp").as_bytes()).unwrap();
        assert_eq!(again, group);
        taken = true;
    }
    if let Ok(signed) = sign_enveloped(input, &keys.any)
        && let Ok((metadata, by)) = ServiceMetadata::open(&signed)
    {
        assert_eq!(by.certificate, keys.any.certificate);
        let again = metadata.sign(&keys.any).unwrap();
        assert_eq!(ServiceMetadata::open(&again).unwrap().0, metadata);
        taken = true;
    }
    let Ok(text) = std::str::from_utf8(input) else { return taken };
    if let Some(asked) = smp::asked(text) {
        let url = match &asked {
            Asked::Group(participant) => smp::service_group_url("/smp", participant),
            Asked::Metadata(participant, document) => smp::service_metadata_url("/smp", participant, document),
        };
        assert_eq!(smp::asked(&url), Some(asked));
        taken = true;
    }
    let record = smp::Naptr { order: 1, preference: 1, flags: "U".into(), service: "Meta:SMP".into(), regexp: text.to_owned() };
    if let Some(url) = smp::base_url(&[record]) {
        assert!(url.is_ascii() && !url.contains('\\'), "{url}");
        taken = true;
    }
    taken
}

/// Canonical XML is its own canonical form, in each way, and the one that libxml2 has.
pub fn c14n(input: &[u8]) -> bool {
    let limits = Limits::of(1 << 20);
    let Ok(document) = Document::parse(input, &limits) else { return false };
    // What an element's source is cut out of is what was read: a signature may be over it.
    let octets = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    assert!(document.elements().all(|element| octets.get(element.source()).is_some_and(|source| source.starts_with(b"<") && source.ends_with(b">"))));
    let theirs = libxml2(input);
    let prefixes = ["#default", "a", "ds"].map(str::to_owned).to_vec();
    for (form, mode) in [
        (Canonicalization::Inclusive, CanonicalizationMode::Canonical1_0),
        (Canonicalization::Inclusive11, CanonicalizationMode::Canonical1_1),
        (Canonicalization::exclusive(), CanonicalizationMode::ExclusiveCanonical1_0),
        (Canonicalization::Exclusive { prefixes }, CanonicalizationMode::ExclusiveCanonical1_0),
    ] {
        for comments in [Comments::Without, Comments::With] {
            let Ok(first) = form.document(&document, comments, None) else { continue };
            let again = Document::parse(first.as_bytes(), &Limits::of(1 << 24)).unwrap_or_else(|error| panic!("{form:?}: {error}: {first}"));
            assert_eq!(form.document(&again, comments, None).unwrap(), first, "{form:?}");
            let inclusive_ns_prefixes = match &form {
                Canonicalization::Exclusive { prefixes } => prefixes.clone(),
                _ => Vec::new(),
            };
            let options = CanonicalizationOptions { mode, with_comments: comments == Comments::With, inclusive_ns_prefixes };
            // libxml2 has no canonical form for relative namespace names; see C14N 1.0 1.3.
            if let Some(Ok(expected)) = theirs.as_ref().map(|theirs| theirs.canonicalize(options, None)) {
                assert_eq!(first, expected, "libxml2 has another form of {form:?}, {comments:?}");
            }
        }
    }
    true
}

/// The document as libxml2 reads it, where it does.
fn libxml2(input: &[u8]) -> Option<libxml::tree::Document> {
    let options = ParserOptions { no_net: true, no_def_dtd: true, no_error: true, no_warning: true, recover: false, ..ParserOptions::default() };
    Parser::default().parse_string_with_options(input, options).ok()
}

/// A dialogue with a server that takes every mail but those for `okand`. Chunks make no difference.
pub fn smtp_session(input: &[u8]) -> bool {
    let whole = dialogue(std::iter::once(input));
    assert_eq!(dialogue(input.chunks(1)), whole);
    assert_eq!(dialogue(input.chunks(7)), whole);
    let (replies, taken) = whole;
    assert!(replies.iter().all(|reply| (200..600).contains(&reply.code())));
    assert!(taken.iter().all(|mail| mail.len() <= 2000));
    arrives_as_it_was_sent(input);
    !taken.is_empty()
}

/// The input as a mail's octets: what is lines that end in CRLF arrives as it is, by DATA and in chunks; nothing else does.
fn arrives_as_it_was_sent(content: &[u8]) {
    let content = content.get(..2000).unwrap_or(content);
    let start = b"EHLO x\r\nMAIL FROM:<a@habo.se>\r\nRCPT TO:<b@sdk.habo.se>\r\n";
    let ends = |octet: u8| content.iter().map(|&other| usize::from(other == octet)).sum::<usize>();
    let whole_ends = content.windows(2).filter(|pair| pair == b"\r\n").count();
    let sound = ends(b'\r') == whole_ends && ends(b'\n') == whole_ends;
    // RFC 3030: cut where the content itself says.
    let mut chunks = start.to_vec();
    let mut rest = content;
    while let Some((&first, _)) = rest.split_first().filter(|_| rest.len() > 1) {
        let (chunk, after) = rest.split_at(usize::from(first).clamp(1, rest.len() - 1));
        chunks.extend(format!("BDAT {}\r\n", chunk.len()).bytes());
        chunks.extend(chunk);
        rest = after;
    }
    chunks.extend(format!("BDAT {} LAST\r\n", rest.len()).bytes());
    chunks.extend(rest);
    let (_, taken) = dialogue(chunks.chunks(11));
    assert_eq!(taken, if sound { vec![content.to_vec()] } else { Vec::new() });
    // RFC 5321 4.5.2: a dot more where a line begins with one, and a dot alone after the last line.
    if sound && (content.is_empty() || content.ends_with(b"\r\n")) {
        let mut data = [start.as_slice(), b"DATA\r\n"].concat();
        let mut line_begins = true;
        for &octet in content {
            if line_begins && octet == b'.' {
                data.push(b'.');
            }
            data.push(octet);
            line_begins = octet == b'\n';
        }
        data.extend(b".\r\n");
        let (_, taken) = dialogue(data.chunks(13));
        assert_eq!(taken, [content.to_vec()]);
    }
}

/// Replies and mails of one connection. An encrypted one, so that logins are there too, after the first STARTTLS.
fn dialogue<'i>(pieces: impl Iterator<Item = &'i [u8]>) -> (Vec<Reply>, Vec<Vec<u8>>) {
    let hostname = Domain::new("gw.habo.se").unwrap();
    let security = Security::Secured;
    let onward = OnwardTls::Always;
    let options = SmtpOptions { hostname, security, max_message: 2000, max_recipients: 3, max_mails: 150, max_errors: 5, onward };
    let mut session = Session::new(options);
    session.secured(vec![Mechanism::Plain, Mechanism::Login, Mechanism::External]);
    let (mut replies, mut taken, mut mail) = (Vec::new(), Vec::new(), Vec::new());
    // The greeting comes before anything is said.
    for piece in std::iter::once(&[][..]).chain(pieces) {
        session.input(piece);
        while let Some(action) = session.next() {
            match action {
                Action::Reply(reply) => replies.push(reply),
                Action::Data(piece) => {
                    mail.extend(piece);
                    assert!(mail.len() <= 2000, "a mail over the limit is not kept");
                }
                Action::Discard => mail.clear(),
                // When octets came is what a confirmation is about, and between STARTTLS and the handshake nothing counts.
                Action::Confirmed => {}
                Action::StartTls | Action::Close => return (replies, taken),
                Action::Ask(question) => {
                    let answer = match question {
                        Question::Recipient(recipient) if recipient.address.local() == "okand" => Err(Reply::new(550, (1, 1), "Unknown")),
                        Question::Data => {
                            assert!(mail.is_empty(), "nothing is left of an earlier mail");
                            Ok(String::new())
                        }
                        Question::Login(Credentials::Password { user, password }) => {
                            if password.as_str() == "hemlig" {
                                Ok(user.0)
                            } else {
                                Err(Reply::login_failed())
                            }
                        }
                        Question::Message => {
                            assert!(session.envelope().is_some_and(|envelope| !envelope.recipients.is_empty()));
                            taken.push(std::mem::take(&mut mail));
                            Ok("m1".to_owned())
                        }
                        _ => Ok(String::new()),
                    };
                    session.answer(answer);
                }
            }
        }
    }
    (replies, taken)
}

/// Who wrote a mail: one who is there is there in so many letters, and a second From takes the first one's word.
pub fn mail_author(input: &[u8]) -> bool {
    let Ok(address) = author(input) else { return false };
    let text = address.to_string();
    assert_eq!(author(format!("From: <{text}>\r\n").as_bytes()).as_ref(), Ok(&address));
    let domain = address.domain().as_bytes();
    assert!(input.windows(domain.len()).any(|octets| octets == domain));
    assert_eq!(author(&[b"From: chef@habo.se\r\n", input].concat()), Err(AuthorError::Several));
    true
}

fn party(id: &str, name: &str, function: &str) -> Party {
    Party {
        participant: participant(id),
        label: Some(Redacted(name.into())),
        function: FunctionId::new(function).ok(),
        function_label: Some(Redacted(format!("{name}, {function}"))),
        persons: Vec::new(),
        references: Vec::new(),
    }
}

fn ids() -> Ids {
    Ids {
        message_id: MessageId::new(ID).unwrap(),
        conversation_id: ConversationId::new(ID).unwrap(),
        in_reply_to: None,
        created: at("2026-11-21T10:00:00Z"),
    }
}

/// The message in [`samples`]' envelope.
pub fn content() -> Content {
    let mail = "From: Anna Ek <anna@habo.se>\r\nSubject: =?utf-8?q?Underlag_f=C3=B6r_plan_[dnr_2026/1]?=\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n# Åtgärd\r\n\r\n* ett\r\n* två\r\n\
        --x\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\n%PDF-1.7\r\n--x--\r\n";
    let mail = outgoing(mail.as_bytes(), &MailboxPolicy::default()).unwrap();
    mail.content(ids(), party(HABO, "Håbo kommun", "socialkontoret"), party(AF, "Arbetsförmedlingen", "etablering"))
}

/// What reads an envelope that passes by says what the reader of the whole one says; it may refuse for size alone.
fn passes(input: &[u8], read: &Result<Header, EnvelopeError>) {
    for piece in [1, 4096] {
        let mut passing = Passing::default();
        input.chunks(piece).for_each(|piece| passing.write_all(piece).unwrap());
        match (passing.finish(), read) {
            (Ok(passed), Ok(header)) => {
                assert_eq!(&passed.header, header);
                assert!(passed.payload_at_least <= input.len() as u64 + 100);
            }
            (Err(EnvelopeError::Profile(passed)), Err(EnvelopeError::Profile(read))) => assert_eq!(&passed, read),
            (Err(EnvelopeError::Xml(_)), Err(EnvelopeError::Xml(_))) | (Err(EnvelopeError::Xml(XmlError::TooLarge { .. })), _) => {}
            (passed, read) => panic!("{passed:?} and {read:?}"),
        }
    }
}

/// An outline has the tree of the whole document, however short its texts are cut, and there is one where there is a tree.
fn outlines(input: &[u8]) {
    let whole = Document::parse(input, &Limits::of(1 << 24));
    for (text, piece) in [(4, 1), (5, 7), (64, 1 << 16)] {
        let mut outliner = Outliner::new(OutlineLimits { octets: 1 << 24, text, kept: 1 << 24 });
        input.chunks(piece).for_each(|piece| outliner.write_all(piece).unwrap());
        match (outliner.finish(), &whole) {
            (Ok(outline), Ok(whole)) => {
                assert_eq!(skeleton(outline.document()), skeleton(whole));
                let texts = outline.document().elements().zip(whole.elements());
                for (own, whole) in texts.filter(|(own, _)| outline.is_whole(*own)) {
                    assert_eq!(own.trimmed(), whole.trimmed());
                }
                let significant = |text: &str| text.chars().filter(|c| !matches!(c, ' ' | '\t' | '\n' | '\r')).count() as u64;
                for (whole, own) in whole.elements().zip(outline.document().elements()) {
                    assert_eq!(outline.significant_text(own), significant(&whole.text()));
                }
            }
            (Err(_), Err(_)) | (Err(XmlError::TooLarge { .. }), _) => {}
            (Err(XmlError::Malformed { reason, .. }), Ok(_)) if reason == "a reference without end" => {}
            (outline, whole) => panic!("{:?} and {:?}", outline.map(|_| ()), whole.as_ref().map(|_| ())),
        }
    }
}

/// Everything of a tree but its texts.
fn skeleton(document: &Document) -> Vec<String> {
    let of = |element: Element<'_>| {
        let others = element.children().filter(|child| !matches!(child, NodeRef::Text(_) | NodeRef::Element(_)));
        let others: Vec<_> = others.map(|other| format!("{other:?}")).collect();
        let blank = element.text().trim_matches([' ', '\t', '\n', '\r']).is_empty();
        format!(
            "{} {{{}}}{} {:?} {:?} {others:?} {blank}",
            element.prefix(),
            element.namespace(),
            element.local(),
            element.attributes(),
            element.declarations()
        )
    };
    document.elements().map(of).collect()
}

/// A mail. What is taken becomes a valid message of no more than the counted size, and a mail again.
pub fn mail(input: &[u8]) -> bool {
    let Some(mail) = converted(input) else { return false };
    if mail.automatic.is_none() {
        composes(&content_of(&mail));
    }
    true
}

/// A mail, converted to a message that is valid and of the size that was counted; `None` when it is refused.
fn converted(input: &[u8]) -> Option<Outgoing> {
    let mail = match outgoing(input, &MailboxPolicy::default()) {
        Ok(mail) => mail,
        Err(refusal) => {
            assert!((400..600).contains(&refusal.code()));
            return None;
        }
    };
    if mail.automatic.is_none() {
        let content = content_of(&mail);
        let xml = message::write(&content).unwrap_or_else(|breaches| panic!("{breaches:?}"));
        assert_eq!(xml.len() as u64, message::octets(&content));
        assert!(xml.len() as u64 <= mail.wire_octets(), "{} octets, counted {}", xml.len(), mail.wire_octets());
        assert_eq!(message::read(&xml, &MessageLimits::SENDING).unwrap(), content);
    }
    Some(mail)
}

fn content_of(mail: &Outgoing) -> Content {
    mail.content(ids(), party(HABO, "Håbo kommun", "socialkontoret"), party(AF, "Arbetsförmedlingen", "etablering"))
}

/// What came back about a mail: what is said of it is bounded and one line, whatever stands there.
pub fn returned(input: &[u8]) -> bool {
    let notice = brevbro::mail::returned::read(input);
    for text in [&notice.status, &notice.diagnostic, &notice.recipient, &notice.envelope_id].into_iter().flatten() {
        assert!(!text.is_empty() && text.chars().count() <= 300 && !text.chars().any(char::is_control), "{text:?}");
    }
    assert!(notice.in_words().len() < 4_000);
    if let Some(status) = &notice.status {
        assert!(status.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.') && status.len() <= 9, "{status}");
    }
    notice.fate != brevbro::mail::returned::Fate::Failed || notice.status.is_some()
}

/// winmail.dat. Its checksums are made right first, so that what stands behind them is reached.
pub fn tnef(input: &[u8]) -> bool {
    let mut octets = input.to_vec();
    let signature = 0x223e_9f78_u32.to_le_bytes();
    let streams: Vec<usize> = octets.windows(4).enumerate().filter(|(_, four)| *four == signature).map(|(at, _)| at).take(20).collect();
    for stream in streams.into_iter().rev() {
        let mut at = stream + 6;
        while let Some(length) = octets.get(at + 5..at + 9).map(|length| u32::from_le_bytes(length.try_into().unwrap()) as usize) {
            let (from, to) = (at + 9, (at + 9).saturating_add(length));
            let Some(sum) = octets.get(from..to).map(|data| data.iter().fold(0_u16, |sum, octet| sum.wrapping_add(u16::from(*octet)))) else { break };
            let Some(place) = octets.get_mut(to..to + 2) else { break };
            place.copy_from_slice(&sum.to_le_bytes());
            at = to + 2;
        }
    }
    converted(&mailed("application/ms-tnef", &octets)).is_some()
}

/// RTF as the body of winmail.dat.
pub fn rtf(input: &[u8]) -> bool {
    let sizes = [input.len() as u32 + 12, input.len() as u32].map(u32::to_le_bytes);
    compressed_body(&[&sizes[0][..], &sizes[1], b"MELA\0\0\0\0", input].concat())
}

/// Compressed RTF as the body of winmail.dat, with its checksum.
pub fn lzfu(input: &[u8]) -> bool {
    let crc = input
        .iter()
        .fold(0_u32, |crc, octet| (0..8).fold(crc ^ u32::from(*octet), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }));
    compressed_body(&[&(input.len() as u32 + 12).to_le_bytes()[..], &[0; 4], b"LZFu", &crc.to_le_bytes(), input].concat())
}

/// text/calendar.
pub fn calendar(input: &[u8]) -> bool {
    converted(&mailed("text/calendar", input)).is_some()
}

fn compressed_body(octets: &[u8]) -> bool {
    // One property: PidTagRtfCompressed, one value.
    let mut list = [&1_u32.to_le_bytes()[..], &[0x02, 0x01, 0x09, 0x10], &1_u32.to_le_bytes(), &(octets.len() as u32).to_le_bytes(), octets].concat();
    list.resize(list.len().next_multiple_of(4), 0);
    let stream = [&0x223e_9f78_u32.to_le_bytes()[..], &[1, 0, 1, 3, 0x90, 6, 0], &(list.len() as u32).to_le_bytes(), &list, &[0; 2]].concat();
    tnef(&stream)
}

fn mailed(kind: &str, octets: &[u8]) -> Vec<u8> {
    let head = format!("From: soc@habo.se\r\nSubject: x\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\n\r\n");
    [head.as_bytes(), octets].concat()
}

/// What an IMAP server sends: the same responses however they are cut, nothing longer than was allowed.
pub fn imap(input: &[u8]) -> bool {
    let whole = responses(input, usize::MAX);
    assert_eq!(responses(input, 1), whole);
    assert_eq!(responses(input, 7), whole);
    let short = |text: &str| assert!(text.chars().count() <= 300 && !text.chars().any(char::is_control), "{text:?}");
    let mut known = 0;
    for frame in whole.0 {
        let octets = frame.len();
        assert!(octets <= IMAP_LIMITS.response);
        let reply = ImapReply::read(frame);
        known += usize::from(reply != ImapReply::Other);
        match reply {
            ImapReply::Continue(text) => short(&text),
            ImapReply::Said(said) | ImapReply::Done(_, said) => {
                short(&said.text);
                let refusal = ImapRefusal::of(&said);
                assert!(refusal.wait.is_none_or(|wait| wait.as_secs() <= 3600));
            }
            ImapReply::Fetch(fetched) => assert!(fetched.body.is_none_or(|body| body.len() < octets)),
            _ => {}
        }
    }
    known > 0
}

const IMAP_LIMITS: FrameLimits = FrameLimits { line: 300, literal: 200, response: 500 };

/// The responses up to the first that is too long, and whether there was one.
fn responses(input: &[u8], piece: usize) -> (Vec<Vec<u8>>, bool) {
    let mut framer = Framer::new(IMAP_LIMITS);
    let mut frames = Vec::new();
    for piece in input.chunks(piece) {
        framer.push(piece);
        loop {
            match framer.cut_next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}

pub const NONCE: &[u8] = &[7; 32];
/// When lists and answers are judged: between their dates.
pub const JUDGED: &str = "2026-11-21T10:00:00Z";

/// A CA that has signed nothing but its samples, one that signs whatever comes, and a certificate of each.
pub struct Pki {
    pub strict: Issuing,
    pub any: Issuing,
}

/// A CA with its one certificate, and what it says of it: revoked.
pub struct Issuing {
    pub ca: Identity,
    pub leaf: Identity,
    pub list: Vec<u8>,
    pub answer: Vec<u8>,
}

pub fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| {
        let make = |name: &str| {
            let template = |name: &str, profile| Template {
                subject: vec![("C", "SE".to_owned()), ("CN", name.to_owned())],
                from: at("2020-01-01T00:00:00Z"),
                until: at("2120-01-01T00:00:00Z"),
                profile,
                crl_url: Some("http://crl.example.se/ca.crl".into()),
                ocsp_url: Some("http://ocsp.example.se/ca".into()),
            };
            let ca = template(name, Profile::Authority).issue(2048, None).unwrap();
            let leaf = template("leaf", Profile::Service).issue(2048, Some(&ca)).unwrap();
            let (made, until) = (at("2026-11-21T09:00:00Z"), at("2026-11-22T09:00:00Z"));
            let revoked = [("77".to_owned(), at("2026-01-01T00:00:00Z")), (leaf.certificate.serial(), at("2026-11-01T00:00:00Z"))];
            let list = issue_crl(&ca, &revoked, made, until).unwrap();
            let question = OcspQuestion::read(&ocsp_request(&leaf.certificate, &ca.certificate, NONCE).unwrap()).unwrap();
            let said: Vec<_> = question.ids.into_iter().map(|id| (id, OcspStatus::Revoked(at("2026-11-01T00:00:00Z")))).collect();
            let answer = issue_ocsp(&ca, &said, Some(NONCE), made, Some(until)).unwrap();
            Issuing { ca, leaf, list, answer }
        };
        Pki { strict: make("strict"), any: make("any") }
    })
}

fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = u32::try_from(contents.len()).unwrap().to_be_bytes();
    [&[tag, 0x84][..], &length, contents].concat()
}

/// What is to be signed, signed by the CA that signs everything: `SEQUENCE { signed, algorithm, signature }`.
fn signed_by_any(signed: &[u8]) -> Vec<u8> {
    const RSA_SHA256: &[u8] = &[0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0b, 5, 0];
    let signature = pki().any.ca.key.sign(SignatureAlgorithm::RsaSha256, signed).unwrap();
    der(0x30, &[signed, RSA_SHA256, &der(3, &[&[0][..], &signature].concat())].concat())
}

/// A certificate in whatever form is read whole, says of itself what it says, and comes back as it was.
pub fn certificate(input: &[u8]) -> bool {
    for certificate in Certificate::all_from(input).unwrap_or_default() {
        assert_eq!(Certificate::from_pem(certificate.to_pem().as_bytes()).as_ref(), Ok(&certificate));
    }
    let Ok(certificate) = Certificate::from_any(input) else { return false };
    assert_eq!(Certificate::from_der(certificate.der()).as_ref(), Ok(&certificate));
    assert_eq!(Certificate::from_any(certificate.to_base64().as_bytes()).as_ref(), Ok(&certificate));
    let _ = (certificate.common_name(), certificate.subject(), certificate.issuer(), certificate.serial(), certificate.subject_key_id());
    assert_eq!(certificate.is_valid_at(at(JUDGED)), (certificate.not_before()..=certificate.not_after()).contains(&at(JUDGED)));
    for url in crl_urls(&certificate).into_iter().chain(ocsp_urls(&certificate)) {
        assert!(url.starts_with("http://") || url.starts_with("https://"), "{url}");
    }
    let Issuing { ca, leaf, .. } = &pki().strict;
    let by_ca = Authorities::new(vec![ca.certificate.clone()], Vec::new());
    // Nobody but the CA's own certificate leads to it, whatever else is sent along.
    if by_ca.chain(&certificate, &leaf.chain, at(JUDGED)).is_ok() {
        assert_eq!(certificate, leaf.certificate);
    }
    drop(Authorities::from_bundle(vec![certificate.clone(), ca.certificate.clone()]).chain(&leaf.certificate, &[certificate], at(JUDGED)));
    true
}

/// A list that is believed is one that the CA signed, and it is understood as OpenSSL understands it.
pub fn crl(input: &[u8]) -> bool {
    let Issuing { ca, leaf, .. } = &pki().strict;
    let mut good = false;
    if let Ok(list) = Crl::read(input) {
        good = true;
        if let Ok(revoked) = list.revoked(&leaf.certificate, &ca.certificate, at(JUDGED)) {
            assert!(revoked && list.issued() == at("2026-11-21T09:00:00Z") && list.until() == Some(at("2026-11-22T09:00:00Z")));
        }
    }
    let Issuing { ca, leaf, .. } = &pki().any;
    let signed = signed_by_any(input);
    if let Ok(list) = Crl::read(&signed) {
        good = true;
        let theirs = openssl::x509::X509Crl::from_der(&signed);
        if let (Ok(revoked), Ok(theirs)) = (list.revoked(&leaf.certificate, &ca.certificate, at(JUDGED)), theirs) {
            let leaf = openssl::x509::X509::from_der(leaf.certificate.der()).unwrap();
            let status = theirs.get_by_serial(leaf.serial_number());
            assert_eq!(revoked, !matches!(status, openssl::x509::CrlStatus::NotRevoked));
        }
    }
    good
}

/// An answer that is believed is one that the CA signed, and nobody reads a question that could not be answered.
pub fn ocsp(input: &[u8]) -> bool {
    const BASIC: &[u8] = &[6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
    let mut good = OcspQuestion::read(input).is_ok_and(|question| question.ids.iter().all(|id| id.serial().is_some()));
    let Issuing { ca, leaf, .. } = &pki().strict;
    if let Ok(answer) = OcspAnswer::read(input, &leaf.certificate, &ca.certificate, NONCE, at(JUDGED)) {
        assert_eq!((answer.status(), answer.until()), (OcspStatus::Revoked(at("2026-11-01T00:00:00Z")), Some(at("2026-11-22T09:00:00Z"))));
        good = true;
    }
    let Issuing { ca, leaf, .. } = &pki().any;
    let basic = der(0xa0, &der(0x30, &[BASIC, &der(4, &signed_by_any(input))].concat()));
    let answer = der(0x30, &[&[0x0a, 1, 0][..], &basic].concat());
    if let Ok(answer) = OcspAnswer::read(&answer, &leaf.certificate, &ca.certificate, NONCE, at(JUDGED)) {
        assert_eq!(answer.holds_at(at(JUDGED)), Ok(()));
        good = true;
    }
    good
}

/// A key for content at rest, and what was sealed with it: a short one, and one of more than a chunk.
pub struct AtRest {
    /// The key.
    pub key: RestKey,
    /// Sealed.
    pub short: Vec<u8>,
    clear: Vec<u8>,
    long: Vec<u8>,
}

/// Made once.
pub fn at_rest() -> &'static AtRest {
    static MADE: OnceLock<AtRest> = OnceLock::new();
    MADE.get_or_init(|| {
        let key = RestKey::read(b"an own key that has 32 octets ok").unwrap();
        let seal = |clear: &[u8]| {
            let mut sealer = Sealer::new(&key, b"{}", Vec::new()).unwrap();
            sealer.write_all(clear).unwrap();
            sealer.finish().unwrap()
        };
        let clear: Vec<u8> = (0..140_000_u32).map(|at| (at % 253) as u8).collect();
        let (short, long) = (seal(b"hemligt"), seal(&clear));
        AtRest { key, short, clear, long }
    })
}

/// What is read of content at rest is what was sealed, however it was changed and in whatever order it is read. What has
/// the form of a content is opened; everything else says, in records of six octets, what to change and what to read.
pub fn sealed(input: &[u8]) -> bool {
    let AtRest { key, short, clear, long } = at_rest();
    let open = |content: Vec<u8>| {
        let mut stream = Cursor::new(content);
        let (head, sealed) = Head::read_from(&mut stream, 1_000).ok()?;
        let header = head.open_header(key, &sealed).ok()?;
        assert_eq!(*header, b"{}");
        Opened::new(key, &head, &sealed, stream).ok()
    };
    if Head::begins(input) {
        let Some(mut opened) = open(input.to_vec()) else { return false };
        let mut body = Vec::new();
        let whole = opened.read_to_end(&mut body).is_ok();
        assert!(!whole || input == short, "nobody sealed it");
        return whole;
    }
    let records = input.chunks_exact(6).map(|record| {
        let at = u32::from_be_bytes([0, record[1], record[2], record[3]]) as usize % long.len();
        (record[0] % 16, at, u16::from_be_bytes([record[4], record[5]]) as usize)
    });
    let mut content = long.clone();
    for (change, at, by) in records.clone().take(20) {
        let end = (at + by).min(content.len());
        match change {
            0 => content.get_mut(at).into_iter().for_each(|octet| *octet ^= by as u8),
            1 => content.truncate(at.max(content.len().saturating_sub(by))),
            2 if at < end => drop(content.drain(at..end)),
            3 if at < end => content.extend_from_within(at..end),
            _ => {}
        }
    }
    let Some(mut opened) = open(content) else { return false };
    let mut whole = true;
    for (_, at, length) in records {
        let mut room = vec![0; length];
        opened.seek(SeekFrom::Start(at as u64)).unwrap();
        match opened.read(&mut room) {
            Ok(read) => {
                // Nothing is missing or added: the end is what was sealed.
                assert_eq!(opened.octets(), clear.len() as u64);
                assert!(room[..read] == clear[at.min(clear.len())..][..read]);
            }
            Err(_) => whole = false,
        }
    }
    opened.seek(SeekFrom::Start(0)).unwrap();
    let mut body = Vec::new();
    whole &= opened.read_to_end(&mut body).is_ok();
    assert!(clear.starts_with(&body) && (!whole || body == *clear));
    whole
}
