//! A document of any size read in bounded memory: all of its markup, and of its texts the beginnings.
//!
//! There is no second parser that could disagree with [`Document::parse`]. What streams by is copied, long texts cut
//! short, and the copy is parsed as every other document. A cut is right where it lies inside what the parser calls
//! text, which is checked, and where what was left out holds nothing but text, which is checked as it passes: then the
//! whole document has this very tree, with longer texts.

use std::io::{self, Write};

use memchr::memchr3;

use super::chars::resolve_reference;
use super::tree::{Document, Element, Limits, XmlError};

/// Octets of one reference: room for leading zeros.
const REFERENCE: usize = 64;
/// Stands where something other than white space was left out.
const MARK: &str = "\u{2026}";

/// Bounds on a document of which an outline is made.
#[derive(Debug, Clone, Copy)]
pub struct OutlineLimits {
    /// Octets of the whole document.
    pub octets: u64,
    /// Octets of one text that are kept, at least 4.
    pub text: usize,
    /// Octets of all that is kept.
    pub kept: usize,
}

/// A document without the ends of its long texts.
#[derive(Debug)]
pub struct Outline {
    document: Document,
    cuts: Vec<Cut>,
}

/// A place where text was left out.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// Octets of the outline before it.
    at: usize,
    /// Octets that were left out.
    octets: u64,
    /// Characters among them that are no white space.
    significant: u64,
}

impl Outline {
    /// The document. A text that was cut has a mark for what is missing, unless that is white space after white space.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Whether nothing but white space is missing between an element's tags.
    #[must_use]
    pub fn is_whole(&self, element: Element<'_>) -> bool {
        self.within(element).all(|cut| cut.significant == 0)
    }

    /// How many characters of the text directly inside an element are no white space of XML.
    #[must_use]
    pub fn significant_text(&self, element: Element<'_>) -> u64 {
        let kept = element.text().chars().filter(|c| !is_blank(*c)).count() as u64;
        let inner: Vec<_> = element.elements().map(|child| child.source()).collect();
        let own = self.within(element).filter(|cut| cut.significant > 0 && !inner.iter().any(|child| child.start < cut.at && cut.at < child.end));
        // Each has a mark in the outline.
        kept + own.map(|cut| cut.significant - 1).sum::<u64>()
    }

    /// How many octets the element takes in the whole document, tags included; where texts were cut, a few more or less.
    #[must_use]
    pub fn octets(&self, element: Element<'_>) -> u64 {
        element.source().len() as u64 + self.within(element).map(|cut| cut.octets).sum::<u64>()
    }

    fn within(&self, element: Element<'_>) -> impl Iterator<Item = &Cut> {
        let source = element.source();
        self.cuts.iter().filter(move |cut| source.start < cut.at && cut.at < source.end)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Character data.
    Text,
    /// Behind `&`.
    Reference,
    /// Behind `<`, before it is known what begins.
    Opening,
    /// In a tag, or in something that the parser will refuse; in quotes or not.
    Tag(Option<char>),
    /// In a comment, behind so many hyphens.
    Comment(u8),
    /// In a processing instruction, behind a question mark or not.
    Instruction(bool),
    /// In a CDATA section, behind so many brackets, which are not copied yet.
    Section(u8),
}

/// Makes an [`Outline`] of what is written to it. Writing never fails: what is wrong is told at the end.
#[derive(Debug)]
pub struct Outliner {
    limits: OutlineLimits,
    state: State,
    /// The copy.
    kept: Vec<u8>,
    cuts: Vec<Cut>,
    octets: u64,
    /// The beginning of a character whose end has not come.
    carry: Vec<u8>,
    /// What stands behind `<` or `&` so far.
    word: String,
    /// Brackets that character data just ended with.
    brackets: u8,
    /// Octets of the text that is being read which were kept; markup begins a new text.
    run: usize,
    /// Whether that text is being left out from here on.
    cutting: bool,
    failed: Option<XmlError>,
}

impl Outliner {
    /// Begins.
    #[must_use]
    pub fn new(limits: OutlineLimits) -> Self {
        Self {
            limits,
            state: State::Text,
            kept: Vec::new(),
            cuts: Vec::new(),
            octets: 0,
            carry: Vec::new(),
            word: String::new(),
            brackets: 0,
            run: 0,
            cutting: false,
            failed: None,
        }
    }

    /// The outline of all that was written.
    ///
    /// # Errors
    /// [`XmlError`]: the whole document cannot be read either, or it is over one of the limits.
    pub fn finish(mut self) -> Result<Outline, XmlError> {
        if self.failed.is_none() {
            self.failed = self.end().err();
        }
        if let Some(error) = self.failed {
            return Err(error);
        }
        // A byte order mark is in no source range.
        let mark = if self.kept.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let document = Document::parse(&self.kept, &Limits::of(self.limits.kept))?;
        for cut in &mut self.cuts {
            cut.at = cut.at.saturating_sub(mark);
            if !document.is_text_at(cut.at) {
                return Err(XmlError::Malformed { at: cut.at as u64, reason: "text where none can be".into() });
            }
        }
        Ok(Outline { document, cuts: self.cuts })
    }

    /// What ends inside a word or a character is handed to the parser as it is, which refuses it.
    fn end(&mut self) -> Result<(), XmlError> {
        if !self.carry.is_empty() {
            return Err(XmlError::Encoding);
        }
        match self.state {
            State::Reference => self.keep(format!("&{}", self.word).as_bytes()),
            State::Section(brackets) => self.keep("]".repeat(brackets.into()).as_bytes()),
            _ => Ok(()),
        }
    }

    fn take(&mut self, octets: &[u8]) -> Result<(), XmlError> {
        self.octets += octets.len() as u64;
        if self.octets > self.limits.octets {
            return Err(XmlError::TooLarge { what: "octets", limit: usize::try_from(self.limits.octets).unwrap_or(usize::MAX) });
        }
        let mut rest = octets;
        // A character that two pieces share.
        while !self.carry.is_empty() {
            let Some((first, after)) = rest.split_first() else { return Ok(()) };
            self.carry.push(*first);
            rest = after;
            let carried = std::mem::take(&mut self.carry);
            match std::str::from_utf8(&carried) {
                Ok(text) => self.characters(text)?,
                Err(error) if error.error_len().is_none() => self.carry = carried,
                Err(_) => return Err(XmlError::Encoding),
            }
        }
        let text = match std::str::from_utf8(rest) {
            Ok(text) => text,
            Err(error) if error.error_len().is_none() => {
                let (whole, part) = rest.split_at_checked(error.valid_up_to()).unwrap_or_default();
                self.carry.extend_from_slice(part);
                std::str::from_utf8(whole).unwrap_or_default()
            }
            Err(_) => return Err(XmlError::Encoding),
        };
        self.characters(text)
    }

    fn characters(&mut self, text: &str) -> Result<(), XmlError> {
        let control = |octet: &u8| *octet < b' ' && !matches!(octet, b'\t' | b'\n' | b'\r');
        if text.as_bytes().iter().any(control) || !text.is_ascii() && text.contains(['\u{fffe}', '\u{ffff}']) {
            return Err(self.malformed("a character that XML forbids"));
        }
        let mut rest = text;
        while !rest.is_empty() {
            rest = match self.state {
                State::Text => self.text(rest)?,
                State::Section(brackets) => self.section(rest, brackets)?,
                _ => {
                    let mut chars = rest.chars();
                    if let Some(c) = chars.next() {
                        self.markup(c)?;
                    }
                    chars.as_str()
                }
            };
        }
        Ok(())
    }

    /// Character data up to the next `<`, `&` or bracket; what is left.
    fn text<'t>(&mut self, text: &'t str) -> Result<&'t str, XmlError> {
        let end = memchr3(b'<', b'&', b']', text.as_bytes()).unwrap_or(text.len());
        let (plain, rest) = text.split_at_checked(end).unwrap_or((text, ""));
        if !plain.is_empty() {
            if self.brackets >= 2 && plain.starts_with('>') {
                return Err(self.malformed("]]> in character data"));
            }
            self.brackets = 0;
            self.data(plain)?;
        }
        let mut chars = rest.chars();
        match chars.next() {
            Some('<') => {
                self.brackets = 0;
                self.word.clear();
                self.state = State::Opening;
                self.keep(b"<")?;
            }
            Some('&') => {
                self.brackets = 0;
                self.word.clear();
                self.state = State::Reference;
            }
            Some(_) => {
                self.brackets = (self.brackets + 1).min(2);
                self.data("]")?;
            }
            None => {}
        }
        Ok(chars.as_str())
    }

    /// A CDATA section up to the next bracket; what is left.
    fn section<'t>(&mut self, text: &'t str, brackets: u8) -> Result<&'t str, XmlError> {
        let mut chars = text.chars();
        match chars.next() {
            Some(']') if brackets < 2 => self.state = State::Section(brackets + 1),
            Some(']') => self.data("]")?,
            Some('>') if brackets == 2 => {
                self.state = State::Text;
                self.keep(b"]]>")?;
            }
            _ => {
                for _ in 0..brackets {
                    self.data("]")?;
                }
                self.state = State::Section(0);
                let (plain, rest) = text.split_at_checked(text.find(']').unwrap_or(text.len())).unwrap_or((text, ""));
                self.data(plain)?;
                return Ok(rest);
            }
        }
        Ok(chars.as_str())
    }

    fn markup(&mut self, c: char) -> Result<(), XmlError> {
        if self.state == State::Reference {
            return self.reference(c);
        }
        self.keep(c.encode_utf8(&mut [0; 4]).as_bytes())?;
        self.state = match self.state {
            State::Opening => self.opening(c),
            State::Tag(None) | State::Comment(2) | State::Instruction(true) if c == '>' => self.begin_text(),
            State::Tag(None) if matches!(c, '"' | '\'') => State::Tag(Some(c)),
            State::Tag(Some(quote)) if c == quote => State::Tag(None),
            State::Comment(hyphens) => State::Comment(if c == '-' { (hyphens + 1).min(2) } else { 0 }),
            State::Instruction(_) => State::Instruction(c == '?'),
            other => other,
        };
        Ok(())
    }

    /// What begins with `<`.
    fn opening(&mut self, c: char) -> State {
        const SECTION: &str = "![CDATA[";
        self.word.push(c);
        match self.word.as_str() {
            "?" => State::Instruction(false),
            "!--" => State::Comment(0),
            SECTION => State::Section(0),
            word if SECTION.starts_with(word) || word == "!-" => State::Opening,
            _ if c == '>' => self.begin_text(),
            _ if matches!(c, '"' | '\'') => State::Tag(Some(c)),
            _ => State::Tag(None),
        }
    }

    fn begin_text(&mut self) -> State {
        self.run = 0;
        self.cutting = false;
        State::Text
    }

    fn reference(&mut self, c: char) -> Result<(), XmlError> {
        if c != ';' {
            self.word.push(c);
            return if self.word.len() > REFERENCE { Err(self.malformed("a reference without end")) } else { Ok(()) };
        }
        self.state = State::Text;
        let stands_for = resolve_reference(&self.word).ok_or_else(|| self.malformed("an unknown entity or character reference"))?;
        let written = format!("&{};", self.word);
        if !self.cutting && self.run + stands_for.len_utf8() <= self.limits.text {
            self.run += stands_for.len_utf8();
            return self.keep(written.as_bytes());
        }
        // Outside the root element no reference may stand at all. Where nothing but white space has come, the parser must
        // see it; where a mark was set, it has something to refuse already.
        let marked = self.cutting && self.cuts.last().is_some_and(|cut| cut.significant > 0);
        if is_blank(stands_for) && !marked {
            return self.keep(written.as_bytes());
        }
        self.leave_out(written.len(), u64::from(!is_blank(stands_for)))
    }

    /// Text, of which the beginning is kept.
    fn data(&mut self, text: &str) -> Result<(), XmlError> {
        let mut room = if self.cutting { 0 } else { self.limits.text.saturating_sub(self.run).min(text.len()) };
        while !text.is_char_boundary(room) {
            room -= 1;
        }
        let (kept, rest) = text.split_at_checked(room).unwrap_or((text, ""));
        self.run += kept.len();
        self.keep(kept.as_bytes())?;
        if rest.is_empty() {
            return Ok(());
        }
        let blank = rest.bytes().filter(|octet| matches!(octet, b' ' | b'\t' | b'\n' | b'\r')).count();
        let significant = if rest.is_ascii() { rest.len() - blank } else { rest.chars().count() - blank };
        self.leave_out(rest.len(), significant as u64)
    }

    fn leave_out(&mut self, octets: usize, significant: u64) -> Result<(), XmlError> {
        if !self.cutting {
            self.cutting = true;
            self.cuts.push(Cut { at: self.kept.len(), octets: 0, significant: 0 });
        }
        let Some(cut) = self.cuts.last_mut() else { return Ok(()) };
        let first = cut.significant == 0 && significant > 0;
        cut.octets += octets as u64;
        cut.significant += significant;
        if first { self.keep(MARK.as_bytes()) } else { Ok(()) }
    }

    fn keep(&mut self, octets: &[u8]) -> Result<(), XmlError> {
        if self.kept.len() + octets.len() > self.limits.kept {
            return Err(XmlError::TooLarge { what: "octets of markup", limit: self.limits.kept });
        }
        self.kept.extend_from_slice(octets);
        Ok(())
    }

    fn malformed(&self, reason: &str) -> XmlError {
        XmlError::Malformed { at: self.octets, reason: reason.into() }
    }
}

impl Write for Outliner {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.failed.is_none() {
            self.failed = self.take(octets).err();
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::NodeRef;

    fn outline(octets: &[u8], text: usize, piece: usize) -> Result<Outline, XmlError> {
        let mut outliner = Outliner::new(OutlineLimits { octets: 1_000_000, text, kept: 100_000 });
        octets.chunks(piece).for_each(|piece| outliner.write_all(piece).unwrap());
        outliner.finish()
    }

    /// Elements, attributes and what is whole of the texts.
    fn shape(document: &Document, text: usize) -> Vec<String> {
        let of = |element: Element<'_>| {
            let texts = element.children().map(|child| match child {
                NodeRef::Text(own) => own.chars().take(text / 4).collect(),
                NodeRef::Element(_) => "<>".to_owned(),
                other => format!("{other:?}"),
            });
            format!("{{{}}}{} {:?} {:?}", element.namespace(), element.local(), element.attributes(), texts.collect::<Vec<_>>())
        };
        document.elements().map(of).collect()
    }

    #[test]
    fn long_texts_are_cut_and_everything_else_is_there() {
        let long = "QUJD\r\n".repeat(1000);
        let text = format!(
            "\u{feff}<?xml version='1.0'?><r a='{long}'><!-- {long} --><b>&#65;{long}&#13;{long}</b> <c>{}</c><d>å</d></r>",
            " ".repeat(5000)
        );
        for (kept, piece) in [(4, 1), (7, 3), (64, 4096), (5000, 64)] {
            let outline = outline(text.as_bytes(), kept, piece).unwrap();
            let whole = Document::parse(text.as_bytes(), &Limits::of(100_000)).unwrap();
            assert_eq!(shape(outline.document(), kept), shape(&whole, kept), "{kept} {piece}");
            let child = |document: &'static str| outline.document().root().child("", document).unwrap();
            assert!(!outline.is_whole(child("b")) && outline.is_whole(child("c")) && outline.is_whole(child("d")));
            assert_eq!(outline.significant_text(child("b")), 8001);
            let octets = whole.root().child("", "b").unwrap().source().len() as u64;
            assert!(outline.octets(child("b")).abs_diff(octets) <= 8, "{} {octets}", outline.octets(child("b")));
        }
    }

    #[test]
    fn cdata_is_text() {
        let text = "<r><![CDATA[0123]]]<>&]]]]>456<![CDATA[]]>789]]&gt;</r>";
        let whole = Document::parse(text.as_bytes(), &Limits::of(1000)).unwrap().root().text();
        assert_eq!(whole, "0123]]]<>&]]456789]]>");
        for kept in 4..24 {
            let outline = outline(text.as_bytes(), kept, 1).unwrap();
            assert!(outline.document().root().text().starts_with("0123"));
            assert_eq!(outline.significant_text(outline.document().root()), whole.len() as u64, "{kept}");
        }
    }

    #[test]
    fn what_is_wrong_behind_a_cut_is_found() {
        let fill = "x".repeat(50);
        for bad in
            ["&nbsp;", "&#0;", "&", "&amp", "]]>", "\u{1}", "\u{ffff}", "<b>", "</b>", "<![CDATA[", "<!--", "<?x", "<", "<!DOCTYPE a>", "&a<b>;"]
        {
            let text = format!("<r>{fill}{bad}{fill}</r>");
            assert!(Document::parse(text.as_bytes(), &Limits::of(1000)).is_err(), "{bad}");
            assert!(outline(text.as_bytes(), 8, 5).is_err(), "{bad}");
        }
        for bad in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80"] {
            let text = [b"<r>", fill.as_bytes(), bad, fill.as_bytes(), b"</r>"].concat();
            assert_eq!(outline(&text, 8, 1).unwrap_err(), XmlError::Encoding);
        }
        let blank = " ".repeat(50);
        for (before, after) in [("x", ""), ("", "x"), ("&#32;", ""), ("", "&#32;"), ("<![CDATA[ ]]>", "")] {
            let text = format!("{blank}{before}{blank}<r/>{blank}{after}{blank}");
            assert!(outline(text.as_bytes(), 8, 7).is_err(), "{before} {after}");
        }
        outline(format!("{blank}<r/>{blank}<!-- -->{blank}").as_bytes(), 8, 7).unwrap();
    }

    #[test]
    fn memory_is_bounded_by_what_is_kept() {
        let error = |text: String| outline(text.as_bytes(), 8, 1000).unwrap_err();
        assert!(matches!(error(format!("<r>{}</r>", "<!---->x".repeat(50_000))), XmlError::TooLarge { what: "octets of markup", .. }));
        assert!(matches!(error(format!("<r>{}</r>", "<![CDATA[x]]>".repeat(50_000))), XmlError::TooLarge { what: "octets of markup", .. }));
        assert!(matches!(error(format!("<r>{}</r>", "x".repeat(1_000_000))), XmlError::TooLarge { what: "octets", .. }));
        let lines = format!("<r>{}</r>", "QUJD&#13;\n".repeat(90_000));
        assert!(outline(lines.as_bytes(), 64, 1000).is_ok());
    }
}
