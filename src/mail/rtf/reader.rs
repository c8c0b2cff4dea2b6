//! RTF's groups and words.

use super::characters::Characters;
use super::tokens::Token;
use super::word::Writer;
use super::{MAX_DEPTH, Picture, Rtf, RtfError, Source, Text};

/// What the text of a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Text to read.
    Body,
    /// Nothing that is shown.
    Skipped,
    /// The font table.
    Fonts,
    /// A piece of the HTML that was wrapped.
    Tag,
    /// What a field does, such as where a link leads.
    Instruction,
    /// A picture, as hexadecimal digits or octets.
    Picture,
    /// The mark before an item of a list.
    Mark,
}

/// What is in force within a group, and ends with it.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each says something else of one group")]
struct Group {
    kind: Kind,
    font: i32,
    /// How many octets stand in for a `\u`.
    stand_ins: usize,
    /// What shows HTML to readers of RTF (`\htmlrtf`).
    suppressed: bool,
    bold: bool,
    italic: bool,
    /// `\v` and `\deleted`.
    hidden: bool,
    /// `\*` stands before the next word.
    optional: bool,
    /// A link ends with this group.
    link: bool,
    /// A picture ends with this group.
    picture: bool,
}

/// Destinations whose text is not the mail's.
const SKIPPED: &[&str] = &[
    "aftncn",
    "aftnsep",
    "aftnsepc",
    "annotation",
    "buptim",
    "colortbl",
    "comment",
    "creatim",
    "doccomm",
    "docvar",
    "filetbl",
    "footer",
    "footerf",
    "footerl",
    "footerr",
    "ftncn",
    "ftnsep",
    "ftnsepc",
    "header",
    "headerf",
    "headerl",
    "headerr",
    "info",
    "keycode",
    "keywords",
    "listtable",
    "nonesttables",
    "nonshppict",
    "operator",
    "pntxta",
    "pntxtb",
    "printim",
    "private",
    "revtbl",
    "revtim",
    "rxe",
    "stylesheet",
    "subject",
    "tc",
    "title",
    "txe",
    "xe",
];

/// Reads tokens into text.
#[derive(Debug)]
pub(super) struct Reader {
    source: Source,
    groups: Vec<Group>,
    characters: Characters,
    /// What was wrapped.
    out: String,
    /// What Word wrote.
    writer: Writer,
    instruction: String,
    mark: String,
    picture: Option<&'static str>,
    octets: Vec<u8>,
    half: Option<u8>,
    rtf: Rtf,
}

impl Reader {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            groups: Vec::new(),
            characters: Characters::default(),
            out: String::new(),
            writer: Writer::default(),
            instruction: String::new(),
            mark: String::new(),
            picture: None,
            octets: Vec::new(),
            half: None,
            rtf: Rtf::default(),
        }
    }

    /// Whether the outermost group is closed.
    pub(super) fn is_done(&self) -> bool {
        self.groups.is_empty()
    }

    pub(super) fn finish(mut self) -> Rtf {
        self.rtf.text = match self.source {
            Source::Html => Text::Html(self.out),
            Source::Plain => Text::Plain(self.out),
            Source::Word => Text::Html(self.writer.finish()),
        };
        self.rtf
    }

    pub(super) fn token(&mut self, token: Token<'_>) -> Result<(), RtfError> {
        let group = self.group();
        if !matches!(token, Token::Text(_) | Token::Hex(_)) {
            self.flush(group);
        }
        match token {
            Token::Open => {
                self.characters.stand_ins = 0;
                if self.groups.len() >= MAX_DEPTH {
                    return Err(RtfError::Depth);
                }
                self.groups.push(Group { optional: false, link: false, picture: false, ..group });
            }
            Token::Close => {
                self.characters.stand_ins = 0;
                self.close();
            }
            Token::Word(name, number) => self.word(name, number),
            Token::Symbol(b'*') => self.change(|group| group.optional = true),
            Token::Symbol(symbol) => self.symbol(symbol),
            Token::Hex(octet) => self.octets(&[octet], group),
            Token::Text(text) => self.octets(text, group),
            Token::Binary(octets) if group.kind == Kind::Picture => self.octets.extend_from_slice(octets),
            Token::Binary(_) => {}
        }
        Ok(())
    }

    /// The innermost group, or what holds before the first.
    fn group(&self) -> Group {
        self.groups.last().copied().unwrap_or(Group {
            kind: Kind::Body,
            font: 0,
            stand_ins: 1,
            suppressed: false,
            bold: false,
            italic: false,
            hidden: false,
            optional: false,
            link: false,
            picture: false,
        })
    }

    fn change(&mut self, change: impl FnOnce(&mut Group)) {
        if let Some(group) = self.groups.last_mut() {
            change(group);
        }
    }

    fn close(&mut self) {
        let Some(group) = self.groups.pop() else { return };
        if group.link {
            self.writer.end_link();
        }
        if group.picture {
            self.end_picture();
        }
    }

    fn octets(&mut self, octets: &[u8], group: Group) {
        match group.kind {
            Kind::Skipped | Kind::Fonts => {}
            Kind::Picture => self.hexadecimal(octets),
            _ if group.suppressed => {}
            _ => self.characters.octets(octets, group.font),
        }
    }

    fn flush(&mut self, group: Group) {
        if let Some(text) = self.characters.take() {
            self.put(&text, group);
        }
    }

    /// Text, as the group has it.
    fn put(&mut self, text: &str, group: Group) {
        if group.suppressed {
            return;
        }
        match (group.kind, self.source) {
            (Kind::Skipped | Kind::Fonts | Kind::Picture, _) => {}
            (Kind::Instruction, _) => self.instruction.push_str(text),
            // What was wrapped has its own marks; there, nobody asks for these.
            (Kind::Mark, _) => self.mark.push_str(text),
            (Kind::Body | Kind::Tag, Source::Word) if group.hidden => {}
            (Kind::Body | Kind::Tag, Source::Word) => self.writer.text(text, group.bold, group.italic),
            (Kind::Body | Kind::Tag, Source::Html | Source::Plain) => self.out.push_str(text),
        }
    }

    fn symbol(&mut self, symbol: u8) {
        let group = self.group();
        let text = match (symbol, self.source) {
            (b'{' | b'}' | b'\\', _) => char::from(symbol).to_string(),
            (b'~', Source::Html) => "&nbsp;".to_owned(),
            (b'~', _) => "\u{a0}".to_owned(),
            (b'_', Source::Html) => "&shy;".to_owned(),
            (b'_', _) => "\u{2011}".to_owned(),
            (b'\r' | b'\n', _) => return self.word(b"par", None),
            (b'\t', _) => return self.word(b"tab", None),
            _ => return,
        };
        if self.characters.stand_ins > 0 {
            self.characters.stand_ins -= 1;
        } else {
            self.put(&text, group);
        }
    }

    fn word(&mut self, name: &[u8], number: Option<i32>) {
        let group = self.group();
        let optional = group.optional;
        self.change(|group| group.optional = false);
        let on = number != Some(0);
        match name {
            b"ansicpg" | b"mac" | b"pc" | b"pca" if group.kind != Kind::Skipped => self.characters.header(name, number),
            b"fonttbl" => self.change(|group| group.kind = Kind::Fonts),
            b"f" | b"deff" => self.change(|group| group.font = number.unwrap_or_default()),
            b"fcharset" | b"cpg" if group.kind == Kind::Fonts => self.characters.define(group.font, name, number.unwrap_or_default()),
            b"uc" => self.change(|group| group.stand_ins = number.and_then(|number| usize::try_from(number).ok()).unwrap_or(1).min(100)),
            b"u" => {
                let character = self.characters.unicode(number.unwrap_or_default());
                if let Some(character) = character {
                    self.put(character.encode_utf8(&mut [0; 4]), group);
                }
                // What is suppressed is not counted, so nothing may wait for it.
                self.characters.stand_ins = if group.suppressed { 0 } else { group.stand_ins };
            }
            // MS-OXRTFEX 2.1.3.1.3
            b"htmlrtf" => self.change(|group| group.suppressed = on),
            b"htmltag" if self.source == Source::Html && optional => {
                if group.kind != Kind::Skipped {
                    self.change(|group| group.kind = Kind::Tag);
                }
            }
            _ if group.kind == Kind::Skipped => {}
            _ => self.shown(name, number, optional),
        }
    }

    /// Words that matter where text is shown.
    fn shown(&mut self, name: &[u8], number: Option<i32>, optional: bool) {
        let group = self.group();
        let on = number != Some(0);
        match name {
            b"pntext" | b"listtext" => {
                self.mark.clear();
                self.change(|group| group.kind = Kind::Mark);
            }
            b"fldinst" => self.change(|group| group.kind = Kind::Instruction),
            b"field" => self.instruction.clear(),
            b"fldrslt" => self.link(),
            b"shppict" => {}
            b"pict" => {
                (self.picture, self.half) = (None, None);
                self.octets.clear();
                self.change(|group| (group.kind, group.picture) = (Kind::Picture, true));
            }
            b"pngblip" => self.picture = Some("image/png"),
            b"jpegblip" => self.picture = Some("image/jpeg"),
            b"object" if self.source == Source::Word => self.rtf.objects += 1,
            _ if optional || std::str::from_utf8(name).is_ok_and(|name| SKIPPED.contains(&name)) => self.change(|group| group.kind = Kind::Skipped),
            b"b" => self.change(|group| group.bold = on),
            b"i" => self.change(|group| group.italic = on),
            b"v" | b"deleted" => self.change(|group| group.hidden = on),
            b"plain" => self.change(|group| (group.bold, group.italic, group.hidden) = (false, false, false)),
            _ => match character(name, self.source) {
                Some(text) => self.put(text, group),
                None if self.source == Source::Word && group.kind == Kind::Body => self.layout(name, number),
                None => {}
            },
        }
    }

    /// Words of paragraphs and tables.
    fn layout(&mut self, name: &[u8], number: Option<i32>) {
        match name {
            b"par" | b"sect" | b"page" => {
                let mark = std::mem::take(&mut self.mark);
                self.writer.end_paragraph(&mark);
            }
            b"line" | b"softline" | b"nestrow" => self.writer.line(),
            b"cell" => self.writer.end_cell(),
            b"row" => self.writer.end_row(),
            b"nestcell" => self.writer.text(" | ", false, false),
            b"intbl" => self.writer.in_table = true,
            b"pard" => self.writer.plain_paragraph(),
            b"ilvl" => self.writer.level = number.and_then(|number| usize::try_from(number).ok()).unwrap_or_default().min(8),
            _ => {}
        }
    }

    fn link(&mut self) {
        let target = target(&self.instruction).map(str::to_owned);
        self.instruction.clear();
        if let (Some(target), Source::Word) = (target, self.source) {
            let begun = self.writer.begin_link(&target);
            self.change(|group| group.link = begun);
        }
        self.change(|group| group.kind = Kind::Body);
    }

    fn hexadecimal(&mut self, octets: &[u8]) {
        for octet in octets {
            let Some(digit) = char::from(*octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok()) else { continue };
            match self.half.take() {
                Some(high) => self.octets.push(high << 4 | digit),
                None => self.half = Some(digit),
            }
        }
    }

    fn end_picture(&mut self) {
        let body = std::mem::take(&mut self.octets);
        if self.source != Source::Word || self.group().suppressed {
            return;
        }
        match self.picture.take() {
            Some(media_type) if !body.is_empty() => {
                self.writer.image(&super::picture_id(self.rtf.pictures.len()));
                self.rtf.pictures.push(Picture { media_type, body });
            }
            _ => self.rtf.metafiles += 1,
        }
    }
}

/// Where a link leads: `HYPERLINK "https://…" \o "…"`.
fn target(instruction: &str) -> Option<&str> {
    let rest = instruction.trim_start();
    let (word, rest) = rest.split_at_checked(9)?;
    if !word.eq_ignore_ascii_case("HYPERLINK") {
        return None;
    }
    let (local, rest) = match rest.trim_start().strip_prefix("\\l") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.trim_start();
    let target = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split_whitespace().next(),
    };
    target.filter(|target| !local && !target.is_empty())
}

/// Words that stand for characters (MS-OXRTFEX 3.1.3).
fn character(name: &[u8], source: Source) -> Option<&'static str> {
    let html = source == Source::Html;
    Some(match name {
        b"par" | b"line" if html => "\r\n",
        b"par" | b"line" if source == Source::Plain => "\n",
        b"tab" if html || source == Source::Plain => "\t",
        b"tab" => "\u{a0}\u{a0} ",
        b"lquote" => {
            if html {
                "&lsquo;"
            } else {
                "‘"
            }
        }
        b"rquote" => {
            if html {
                "&rsquo;"
            } else {
                "’"
            }
        }
        b"ldblquote" => {
            if html {
                "&ldquo;"
            } else {
                "“"
            }
        }
        b"rdblquote" => {
            if html {
                "&rdquo;"
            } else {
                "”"
            }
        }
        b"bullet" => {
            if html {
                "&bull;"
            } else {
                "•"
            }
        }
        b"endash" => {
            if html {
                "&ndash;"
            } else {
                "–"
            }
        }
        b"emdash" => {
            if html {
                "&mdash;"
            } else {
                "—"
            }
        }
        b"enspace" | b"emspace" | b"qmspace" => {
            if html {
                "&ensp;"
            } else {
                "\u{2002}"
            }
        }
        _ => return None,
    })
}
