//! What the tree of MIME parts comes to: texts, files, and mails within the mail.

use std::borrow::Cow;

use mail_parser::{Attribute, ContentType, Header, HeaderName, HeaderValue, MessagePart, MimeHeaders};

/// A part that is no multipart.
#[derive(Debug, Clone)]
pub(super) struct Leaf<'a> {
    /// Its header.
    pub(super) part: MessagePart<'a>,
    /// The name that its header gives it.
    pub(super) name: Option<String>,
    /// Its bytes, still encoded.
    pub(super) raw: Cow<'a, [u8]>,
}

impl Leaf<'_> {
    /// A part that stood in another form than MIME.
    pub(super) fn made(media_type: &str, name: Option<String>, content_id: Option<String>, bytes: Vec<u8>) -> Leaf<'static> {
        let (kind, subtype) = media_type.split_once('/').unwrap_or((media_type, ""));
        let charset = (kind == "text").then(|| Attribute { name: "charset".into(), value: "utf-8".into() });
        let kind = ContentType {
            c_type: kind.to_owned().into(),
            c_subtype: (!subtype.is_empty()).then(|| subtype.to_owned().into()),
            attributes: charset.map(|charset| vec![charset]),
        };
        let header = |name, value| Header { name, value, offset_field: 0, offset_start: 0, offset_end: 0 };
        let mut headers = vec![header(HeaderName::ContentType, HeaderValue::ContentType(kind))];
        headers.extend(content_id.map(|id| header(HeaderName::ContentId, HeaderValue::Text(id.into()))));
        Leaf { part: MessagePart { headers, ..MessagePart::default() }, name, raw: Cow::Owned(bytes) }
    }

    /// `type/subtype` in lower case; text/plain when nothing is said (RFC 2045 5.2).
    pub(super) fn media_type(&self) -> String {
        media_type(&self.part)
    }

    /// Content-ID without brackets.
    pub(super) fn content_id(&self) -> Option<&str> {
        self.part.content_id().map(|id| id.trim().trim_start_matches('<').trim_end_matches('>'))
    }

    fn into_owned(self) -> Leaf<'static> {
        Leaf { part: self.part.into_owned(), name: self.name, raw: Cow::Owned(self.raw.into_owned()) }
    }
}

/// The type that a header names.
pub(super) fn media_type(part: &MessagePart<'_>) -> String {
    match part.content_type() {
        Some(kind) => match kind.subtype() {
            Some(subtype) => format!("{}/{subtype}", kind.ctype()).to_ascii_lowercase(),
            None => "application/octet-stream".to_owned(),
        },
        None => "text/plain".to_owned(),
    }
}

/// A text of the body in the forms that the mail offers.
#[derive(Debug, Clone)]
pub(super) struct Body<'a> {
    /// text/html.
    pub(super) html: Option<Leaf<'a>>,
    /// text/plain.
    pub(super) plain: Option<Leaf<'a>>,
}

impl Body<'_> {
    /// One that stood in another form than MIME; `None` when there is no text.
    pub(super) fn made(html: Option<String>, plain: Option<String>) -> Option<Body<'static>> {
        let leaf = |kind: &str, text: String| Leaf::made(kind, None, None, text.into_bytes());
        let (html, plain) = (html.map(|text| leaf("text/html", text)), plain.map(|text| leaf("text/plain", text)));
        (html.is_some() || plain.is_some()).then_some(Body { html, plain })
    }

    fn into_owned(self) -> Body<'static> {
        Body { html: self.html.map(Leaf::into_owned), plain: self.plain.map(Leaf::into_owned) }
    }
}

/// What a mail consists of.
#[derive(Debug, Default)]
pub(super) struct Structure<'a> {
    /// What stands above the body: meetings and votes in words.
    pub(super) summaries: Vec<String>,
    /// The body's texts, in order.
    pub(super) bodies: Vec<Body<'a>>,
    /// Texts that should say what the body says, and count where it says less.
    pub(super) spare: Vec<Body<'a>>,
    /// Mails within the mail, whose texts follow the body.
    pub(super) forwarded: Vec<Forwarded<'a>>,
    /// The files, in order; images of the body among them.
    pub(super) files: Vec<Leaf<'a>>,
    /// Files within a mail that is a file itself: they are checked and not sent.
    pub(super) inside: Vec<Leaf<'a>>,
    /// Files that the mailbox's own rules attach, whatever types it may send.
    pub(super) kept: Vec<Leaf<'a>>,
    /// What shows that a program sent the mail, other than its header.
    pub(super) automatic: Option<&'static str>,
}

/// A mail within the mail, whose files stand among those of the whole.
#[derive(Debug)]
pub(super) struct Forwarded<'a> {
    /// Who wrote it to whom, when, of what; or what else is said above it.
    pub(super) heading: String,
    /// Its texts.
    pub(super) texts: Structure<'a>,
}

impl<'a> Structure<'a> {
    /// Adds what follows.
    pub(super) fn extend(&mut self, other: Structure<'a>) {
        let Structure { summaries, bodies, spare, forwarded, files, inside, kept, automatic } = other;
        self.summaries.extend(summaries);
        self.bodies.extend(bodies);
        self.spare.extend(spare);
        self.forwarded.extend(forwarded);
        self.files.extend(files);
        self.inside.extend(inside);
        self.kept.extend(kept);
        self.automatic = self.automatic.or(automatic);
    }

    /// Puts a mail below the body; its files become files of the whole.
    pub(super) fn forward(&mut self, heading: String, mut texts: Structure<'a>) {
        self.files.append(&mut texts.files);
        self.inside.append(&mut texts.inside);
        self.kept.append(&mut texts.kept);
        self.forwarded.push(Forwarded { heading, texts });
    }

    /// Itself, apart from the bytes that it was read from.
    pub(super) fn into_owned(self) -> Structure<'static> {
        let leaves = |leaves: Vec<Leaf<'a>>| leaves.into_iter().map(Leaf::into_owned).collect();
        let texts = |texts: Vec<Body<'a>>| texts.into_iter().map(Body::into_owned).collect();
        Structure {
            summaries: self.summaries,
            bodies: texts(self.bodies),
            spare: texts(self.spare),
            forwarded: self.forwarded.into_iter().map(|mail| Forwarded { heading: mail.heading, texts: mail.texts.into_owned() }).collect(),
            files: leaves(self.files),
            inside: leaves(self.inside),
            kept: leaves(self.kept),
            automatic: self.automatic,
        }
    }
}
