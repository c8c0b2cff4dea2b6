//! Answers find their conversation, through whatever the mail servers leave of it, and no other.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use base64::prelude::{BASE64_STANDARD, Engine as _};
use brevbro::content::{Identifier, Reference};
use brevbro::event::{Event, EventName, Field};
use brevbro::ident::RecordId;
use brevbro::outbound::accept::Link;
use brevbro::port::{Op, Step};
use mail_parser::MessageParser;

use crate::harness::client::{Client, submit};
use crate::harness::{Gateway, Letter, Peer, Setup, run};

/// What is left of a delivered mail's traces when its answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Everything, as RFC 5322 3.6.4 wants it.
    All,
    /// The mail server gave it another Message-ID; References and Thread-Index go on.
    NewMessageId,
    /// The same, and References are lost: MAPI's properties alone.
    ThreadIndex,
    /// Nothing but the quoted mail, as Outlook writes it.
    QuotedHtml,
    /// Nothing but the quoted mail, as text.
    QuotedPlain,
}

const EVERY: [Left; 5] = [Left::All, Left::NewMessageId, Left::ThreadIndex, Left::QuotedHtml, Left::QuotedPlain];

/// A mail of a function mailbox.
struct Written<'a> {
    from: &'a str,
    id: &'a str,
    subject: &'a str,
    fields: String,
    body: String,
}

impl<'a> Written<'a> {
    fn new(from: &'a str, id: &'a str, subject: &'a str) -> Self {
        Self { from, id, subject, fields: String::new(), body: plain("Fråga.") }
    }

    fn text(&self) -> String {
        let Self { from, id, subject, fields, body } = self;
        format!(
            "From: Anna Ek <{from}>\r\nSubject: {subject}\r\nDate: Mon, 05 Jan 2026 10:00:00 +0100\r\nMessage-ID: <{id}@example.se>\r\n{fields}MIME-Version: 1.0\r\n{body}\r\n"
        )
    }
}

fn plain(text: &str) -> String {
    format!("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}\r\n")
}

/// A field of a delivered mail, unfolded.
fn field(letter: &Letter, name: &str) -> Option<String> {
    let unfolded = letter.text.replace("\r\n ", " ").replace("\r\n\t", " ");
    let (header, _) = unfolded.split_once("\r\n\r\n").unwrap();
    let line = header.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{}:", name.to_ascii_lowercase())))?;
    Some(line.split_once(':').unwrap().1.trim().to_owned())
}

/// Fields and body of the answer to a delivered mail, by way of such a mail server.
fn answer(letter: &Letter, left: Left) -> (String, String) {
    let own = field(letter, "Message-ID").unwrap();
    let index = {
        let mut index = BASE64_STANDARD.decode(field(letter, "Thread-Index").unwrap()).unwrap();
        index.extend([0x80, 0x11, 0x22, 0x33, 0x10]);
        format!("Thread-Index: {}\r\n", BASE64_STANDARD.encode(index))
    };
    let references = field(letter, "References").unwrap_or_default();
    let mail = MessageParser::default().parse(letter.text.as_bytes()).unwrap();
    match left {
        Left::All => (format!("In-Reply-To: {own}\r\nReferences: {references} {own}\r\n{index}"), plain("Svar.")),
        Left::NewMessageId => {
            let new = "<DB9PR01MB1234.0001@exchange.example.se>";
            (format!("In-Reply-To: {new}\r\nReferences: {references}\r\n {new}\r\n{index}"), plain("Svar."))
        }
        Left::ThreadIndex => (format!("In-Reply-To: <x1@exchange.example.se>\r\n{index}"), plain("Svar.")),
        Left::QuotedHtml => {
            let html = mail.body_html(0).unwrap();
            let html = html.replace("</b></td><td>", "<o:p></o:p></b></p></td>\r\n<td valign=top><p class=MsoNormal>&nbsp;");
            let body = format!("<html><body><p class=MsoNormal>Svar.</p><hr><p><b>Från:</b> Bo<br><b>Skickat:</b> i dag</p>{html}</body></html>");
            (String::new(), format!("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{body}\r\n"))
        }
        Left::QuotedPlain => {
            let quoted: Vec<String> = mail.body_text(0).unwrap().lines().map(|line| format!("> {line}")).collect();
            (String::new(), plain(&format!("Svar.\r\n\r\nDen 5 januari skrev Bo:\r\n{}", quoted.join("\r\n"))))
        }
    }
}

/// Hands in a mail.
async fn sent(gateway: &Gateway, to: &[&str], mail: &Written<'_>) {
    let reply = submit(gateway, to, "", &mail.text()).await;
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
}

/// Hands in the answer to a delivered mail, to where it says.
async fn answered(gateway: &Gateway, letter: &Letter, left: Left, id: &str) {
    let (fields, body) = answer(letter, left);
    let to = field(letter, "Reply-To").unwrap();
    let to = to.rsplit_once('<').unwrap().1.trim_end_matches('>').to_owned();
    sent(gateway, &[&to], &Written { fields, body, ..Written::new(&gateway.mailbox, id, "SV: Prov") }).await;
}

/// The journal's line of a mail that was taken in.
async fn taken_in(gateway: &Gateway, number: usize) -> Event {
    gateway.nth_event(EventName::MailAccepted, number).await
}

fn of(event: &Event, name: Field) -> &str {
    event.fields.get(&name).map(String::as_str).unwrap_or_default()
}

async fn delivered(gateway: &Gateway, number: usize) -> Letter {
    let mailbox = gateway.mailbox.clone();
    gateway.sink.nth_letter("a delivered mail", number, |letter| letter.to == mailbox && !letter.is_notice()).await
}

/// Message and conversation of a delivered mail.
fn ids(letter: &Letter) -> (String, String) {
    (field(letter, "X-SDK-Message-Id").unwrap(), field(letter, "X-SDK-Conversation-Id").unwrap())
}

fn reference(number: &str) -> Reference {
    Reference { id: Identifier { root: "dnr".into(), extension: number.to_owned().into() }, label: None }
}

#[test]
fn six_turns_stay_one_conversation_whatever_the_mail_servers_leave_of_it() {
    run(async {
        let (a, b) = (Gateway::start(Setup::new("turns")).await, Gateway::start(Setup::new("turns-other")).await);
        let to = a.address_of("inkorg", "turns-other.se");
        sent(&a, &[&to], &Written::new(&a.mailbox, "turn-1", "[dnr KS 2026/1] Prov")).await;
        let mut letter = delivered(&b, 0).await;
        let (mut message, conversation) = ids(&letter);
        assert_eq!(message, conversation);
        assert_eq!(of(&taken_in(&a, 0).await, Field::RefToMessageId), "");
        for (at, left) in EVERY.into_iter().enumerate() {
            let (writer, reader) = if at % 2 == 0 { (&b, &a) } else { (&a, &b) };
            answered(writer, &letter, left, &format!("turn-{}", at + 2)).await;
            let next = delivered(reader, at.div_ceil(2)).await;
            let event = taken_in(writer, at.div_ceil(2)).await;
            assert_eq!((of(&event, Field::RefToMessageId), of(&event, Field::Cause)), (message.as_str(), ""), "{left:?}");
            // Its mail answers the very mail that the reader had written.
            assert_eq!(field(&next, "In-Reply-To").unwrap(), format!("<turn-{}@example.se>", at + 1), "{left:?}");
            let (its, in_conversation) = ids(&next);
            assert_eq!(in_conversation, conversation, "{left:?}");
            (message, letter) = (its, next);
        }
        // Who writes once more completes its own.
        let fields = "In-Reply-To: <turn-5@example.se>\r\nReferences: <turn-5@example.se>\r\n".to_owned();
        sent(&a, &[&to], &Written { fields, ..Written::new(&a.mailbox, "turn-7", "SV: Prov") }).await;
        let (earlier, completed) = (delivered(&b, 2).await, delivered(&b, 3).await);
        assert_eq!(ids(&completed).1, conversation);
        assert_eq!(field(&completed, "In-Reply-To").unwrap(), field(&earlier, "Message-ID").unwrap());
        a.stop().await;
        b.stop().await;
    });
}

#[test]
fn references_of_both_sides_come_back_in_answers_and_completions() {
    run(async {
        let gateway = Gateway::start(Setup { mailbox: "senders = [\"anna@threads-refs.se\"]", ..Setup::new("threads-refs") }).await;
        let peer = Peer::start("threads-refs-peer").await;
        let to = gateway.address_of("avdelningen", &peer.name);
        sent(&gateway, &[&to], &Written::new(&gateway.mailbox, "r1", "[dnr KS 2026/7] Prov")).await;
        let question = peer.message(0).await;
        assert_eq!(question.sender.references, [reference("KS 2026/7")]);
        // Their answer names a number of theirs and, as some do, not ours.
        let mut draft = peer.draft(&gateway);
        draft.content.in_reply_to = Some(question.message_id.clone());
        draft.content.conversation_id = question.conversation_id.clone();
        draft.content.sender.references = vec![reference("AF 99")];
        draft.rewrite();
        peer.send(&gateway, &draft).await.acknowledged();
        let letter = delivered(&gateway, 0).await;
        // Another person who may send as the mailbox answers.
        let (fields, body) = answer(&letter, Left::All);
        let mail = Written { fields, body, ..Written::new("anna@threads-refs.se", "r2", "SV: Prov") };
        let mut client = Client::connect(&gateway).await;
        client.envelope("anna@threads-refs.se", &[&to], "").await;
        let reply = client.data(&mail.text()).await;
        assert!(reply.starts_with("250"), "{reply}");
        let answer = peer.message(1).await;
        let expected = (vec![reference("KS 2026/7")], vec![reference("AF 99")]);
        assert_eq!((answer.in_reply_to.as_ref(), &answer.conversation_id), (Some(&draft.content.message_id), &question.conversation_id));
        assert_eq!((answer.sender.references, answer.recipient.references), expected);
        // And completes it.
        let fields = "In-Reply-To: <r2@example.se>\r\n".to_owned();
        sent(&gateway, &[&to], &Written { fields, ..Written::new(&gateway.mailbox, "r3", "Prov") }).await;
        let completion = peer.message(2).await;
        assert_eq!((completion.in_reply_to.as_ref(), &completion.conversation_id), (Some(&answer.message_id), &question.conversation_id));
        assert_eq!((completion.sender.references, completion.recipient.references), expected);
        gateway.stop().await;
    });
}

#[test]
fn an_answer_that_goes_to_somebody_else_takes_no_conversation_along() {
    run(async {
        let gateway = Gateway::start(Setup::new("threads-else")).await;
        let (peer, stranger) = (Peer::start("threads-else-peer").await, Peer::start("threads-else-stranger").await);
        let mut draft = peer.draft(&gateway);
        draft.content.sender.references = vec![reference("AF 1")];
        draft.rewrite();
        peer.send(&gateway, &draft).await.acknowledged();
        let letter = delivered(&gateway, 0).await;
        let to = gateway.address_of("inkorg", &stranger.name);
        for (at, left) in EVERY.into_iter().enumerate() {
            let (fields, body) = answer(&letter, left);
            sent(&gateway, &[&to], &Written { fields, body, ..Written::new(&gateway.mailbox, &format!("e{at}"), "VB: Prov") }).await;
            let message = stranger.message(at).await;
            assert_eq!(message.in_reply_to, None, "{left:?}");
            assert_eq!(message.conversation_id.as_str(), message.message_id.as_str(), "{left:?}");
            assert!(message.recipient.references.is_empty());
            let event = taken_in(&gateway, at).await;
            assert!(of(&event, Field::Cause).contains("another organisation or mailbox"), "{left:?}: {event:?}");
        }
        // To both: the one whose message it is gets an answer, the other one a message of the same conversation.
        let (fields, body) = answer(&letter, Left::All);
        let mail = Written { fields, body, ..Written::new(&gateway.mailbox, "both", "SV: Prov") };
        sent(&gateway, &[&gateway.address_of("avdelningen", &peer.name), &to], &mail).await;
        let (answer, copy) = (peer.message(0).await, stranger.message(5).await);
        let (message, conversation) = (&draft.content.message_id, &draft.content.conversation_id);
        assert_eq!((&answer.conversation_id, answer.in_reply_to.as_ref()), (conversation, Some(message)));
        assert_eq!((&copy.conversation_id, copy.in_reply_to.as_ref()), (conversation, None));
        gateway.stop().await;
    });
}

#[test]
fn a_message_that_names_a_strangers_conversation_is_joined_to_nothing() {
    run(async {
        let gateway = Gateway::start(Setup::new("threads-lie")).await;
        let (peer, liar) = (Peer::start("threads-lie-peer").await, Peer::start("threads-lie-liar").await);
        sent(&gateway, &[&gateway.address_of("inkorg", &peer.name)], &Written::new(&gateway.mailbox, "l1", "Prov")).await;
        let question = peer.message(0).await;
        let mut mails = Vec::new();
        for (number, from) in [&peer, &liar].into_iter().enumerate() {
            let mut draft = from.draft(&gateway);
            draft.content.in_reply_to = Some(question.message_id.clone());
            draft.content.conversation_id = question.conversation_id.clone();
            draft.content.documents[0].texts = vec![format!("Hej\n\nMeddelande-id: {}", question.message_id).into()];
            draft.rewrite();
            from.send(&gateway, &draft).await.acknowledged();
            mails.push(delivered(&gateway, number).await);
        }
        assert_eq!(field(&mails[0], "In-Reply-To").unwrap(), "<l1@example.se>");
        let theirs = field(&mails[0], "References").unwrap();
        let (lie, references) = (&mails[1], field(&mails[1], "References").unwrap());
        assert_eq!(field(lie, "In-Reply-To"), None);
        assert!(references.split_whitespace().all(|id| !theirs.contains(id)), "{references} and {theirs}");
        let guid = |letter| BASE64_STANDARD.decode(field(letter, "Thread-Index").unwrap()).unwrap()[6..22].to_vec();
        assert_ne!(guid(&mails[0]), guid(lie));
        // The answer to the liar names what the liar sent; what its text says of others is not believed.
        answered(&gateway, lie, Left::QuotedPlain, "l2").await;
        let answer = liar.message(0).await;
        assert_eq!((answer.in_reply_to, answer.conversation_id.as_str()), (None, answer.message_id.as_str()));
        gateway.stop().await;
    });
}

#[test]
fn an_old_message_is_answered_when_nothing_is_kept_of_it() {
    run(async {
        let gateway = Gateway::start(Setup::new("threads-old")).await;
        let (peer, stranger) = (Peer::start("threads-old-peer").await, Peer::start("threads-old-stranger").await);
        let mut draft = peer.draft(&gateway);
        draft.content.conversation_id = "7bc5576a-3f87-4cf5-a0c5-277da06fcacb".parse().unwrap();
        draft.rewrite();
        peer.send(&gateway, &draft).await.acknowledged();
        let letter = delivered(&gateway, 0).await;
        gateway.quiet().await;
        // Retention: the record goes, and the link with it.
        let store = &gateway.daemon.gateway.store;
        let key = Link::received(&draft.content.message_id);
        let record: RecordId = Link::from_note(&store.note(key.clone()).await.unwrap().unwrap()).unwrap().record;
        store.apply(Step::new().op(Op::Remove(record)).op(Op::Forget(key))).await.unwrap();
        let (message, conversation) = (Some(&draft.content.message_id), &draft.content.conversation_id);
        for (at, left) in [Left::All, Left::ThreadIndex, Left::NewMessageId].into_iter().enumerate() {
            answered(&gateway, &letter, left, &format!("o{at}")).await;
            let answer = peer.message(at).await;
            assert_eq!((answer.in_reply_to.as_ref(), &answer.conversation_id), (message, conversation), "{left:?}");
        }
        // A quoted id that nobody knows any more names no conversation, and a stranger gets none at all.
        answered(&gateway, &letter, Left::QuotedHtml, "o3").await;
        let answer = peer.message(3).await;
        assert_eq!((answer.in_reply_to, answer.conversation_id.as_str()), (None, answer.message_id.as_str()));
        let (fields, body) = self::answer(&letter, Left::All);
        let mail = Written { fields, body, ..Written::new(&gateway.mailbox, "o4", "VB: Prov") };
        sent(&gateway, &[&gateway.address_of("inkorg", &stranger.name)], &mail).await;
        let forwarded = stranger.message(0).await;
        assert_eq!((forwarded.in_reply_to, forwarded.conversation_id.as_str()), (None, forwarded.message_id.as_str()));
        gateway.stop().await;
    });
}
