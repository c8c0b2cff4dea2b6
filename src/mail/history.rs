//! The earlier mails that an answer quotes: where they begin, and what of a mail is left without them.
//!
//! A mailbox may have them left out. Nothing that the writer wrote may go with them: a forwarded mail is content, answers
//! between the quoted lines stay with what they answer, and where it cannot be told, everything stays.

use super::markdown::{Block, Piece, plain_words};
use super::subject::Relation;

/// What became of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trimmed {
    /// There is none, or it is the content.
    Nothing,
    /// It was left out.
    Cut,
    /// It stays, since the text refers to it or answers within it.
    Needed,
}

/// How a quoted mail begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// Outlook's block of fields: all that follows is the quoted mail.
    Fields,
    /// `… skrev Bo Ek:`, before lines that bear a mark of their own.
    Attribution,
    /// A forwarded mail follows.
    Forward,
}

const FROM: &[&str] = &["från:", "from:", "von:", "fra:", "lähettäjä:"];
const SENT: &[&str] = &["skickat:", "sent:", "datum:", "date:", "gesendet:", "sendt:", "lähetetty:"];
const TO: &[&str] = &["till:", "to:", "an:", "til:", "ämne:", "subject:", "betreff:", "emne:", "kopia:", "cc:"];
const ORIGINAL: &[&str] = &["-----ursprungligt meddelande-----", "-----original message-----", "----- original message -----"];
const FORWARDED: &[&str] =
    &["forwarded message", "vidarebefordrat meddelande", "vidarebefordrat brev", "begin forwarded message", "vidarebefordrat mejl", "forwarded by"];
/// Words by which a text refers to what stands below it.
const REFERS: &[&str] = &["nedan", "nedanstående", "rött", "röd", "röda", "rödmarkerat", "gult", "grönt", "below", "inline"];

/// Leaves the history out, as far as that loses nothing that the writer wrote.
pub(super) fn trim(blocks: &mut Vec<Block>, relation: Option<Relation>) -> Trimmed {
    let lines = lines(blocks);
    let Some((at, mark, length)) = (0..lines.len()).find_map(|at| mark_at(&lines, at).map(|(mark, length)| (at, mark, length))) else {
        return Trimmed::Nothing;
    };
    let Some(start) = lines.get(at) else { return Trimmed::Nothing };
    // Outlook writes the same fields above an answered mail and above a forwarded one: the subject decides.
    let answers = relation == Some(Relation::Answer) || (relation.is_none() && mark == Mark::Attribution);
    if mark == Mark::Forward || !answers {
        return Trimmed::Nothing;
    }
    let own: Vec<&Line> = lines.iter().take(at).filter(|line| !is_rule(&line.text)).collect();
    let has_words = |line: &Line| line.text.chars().any(char::is_alphanumeric);
    if own.iter().any(|line| refers(&line.text)) {
        return Trimmed::Needed;
    }
    if mark == Mark::Fields {
        if !own.iter().any(|line| has_words(line)) {
            return Trimmed::Nothing;
        }
        cut_after(blocks, start.block, start.row);
        return Trimmed::Cut;
    }
    let rest = lines.get(at + length..).unwrap_or_default();
    let quote = rest.iter().take_while(|line| line.quoted || !has_words(line)).count();
    let after = rest.get(quote..).unwrap_or_default();
    if !rest.iter().take(quote).any(|line| line.quoted) {
        return Trimmed::Nothing;
    }
    if after.iter().any(|line| line.quoted) {
        return Trimmed::Needed;
    }
    if !own.iter().any(|line| has_words(line)) && !after.iter().any(has_words) {
        return Trimmed::Nothing;
    }
    let end = after.first().map(|line| (line.block, line.row));
    let tail = end.map(|(block, line)| part_from(blocks, block, line)).unwrap_or_default();
    cut_after(blocks, start.block, start.row);
    blocks.extend(tail);
    Trimmed::Cut
}

/// A line of the text.
struct Line {
    block: usize,
    row: usize,
    /// In lower case, without the mark of a quote.
    text: String,
    quoted: bool,
}

fn lines(blocks: &[Block]) -> Vec<Line> {
    let mut all = Vec::new();
    for (block, found) in blocks.iter().enumerate() {
        let texts = match found {
            Block::Paragraph(pieces) => pieces.split(|piece| *piece == Piece::Break).map(plain_words).collect(),
            Block::Heading(_, pieces) => vec![plain_words(pieces)],
            Block::List { items, .. } => vec![items.iter().flatten().map(words).collect::<Vec<_>>().join(" ")],
        };
        for (row, text) in texts.into_iter().enumerate() {
            let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{200b}');
            let bare = text.trim_start_matches(['>', ' ', '\u{a0}']);
            all.push(Line { block, row, quoted: text.starts_with('>'), text: bare.to_lowercase() });
        }
    }
    all
}

fn words(block: &Block) -> String {
    match block {
        Block::Paragraph(pieces) | Block::Heading(_, pieces) => plain_words(pieces),
        Block::List { items, .. } => items.iter().flatten().map(words).collect::<Vec<_>>().join(" "),
    }
}

/// The mark that begins at a line, and over how many lines it goes.
fn mark_at(lines: &[Line], at: usize) -> Option<(Mark, usize)> {
    let line = lines.get(at)?;
    let text = line.text.as_str();
    if text.chars().count() <= 120 && FORWARDED.iter().any(|forwarded| text.trim_matches(['-', ' ', ':', '*']).ends_with(forwarded)) {
        return Some((Mark::Forward, 1));
    }
    if ORIGINAL.iter().any(|original| text.starts_with(original)) {
        return Some((Mark::Fields, 1));
    }
    let begins = |text: &str, names: &[&str]| names.iter().any(|name| text.starts_with(name));
    if begins(text, FROM) && !line.quoted {
        let next: Vec<&str> = lines.iter().skip(at + 1).filter(|line| !line.text.is_empty()).take(6).map(|line| line.text.as_str()).collect();
        let fields = next.iter().any(|line| begins(line, SENT)) && next.iter().any(|line| begins(line, TO));
        return fields.then_some((Mark::Fields, 1));
    }
    (1..=3).find_map(|length| {
        let several = lines.get(at..at + length)?;
        let together = several.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join(" ");
        let same = several.iter().all(|other| other.block == line.block);
        (same && is_attribution(&together)).then_some((Mark::Attribution, length))
    })
}

/// `Den tis 3 mars 2026 kl 10:00 skrev Bo Ek <bo@habo.se>:` and its kin.
fn is_attribution(text: &str) -> bool {
    let wrote = [" skrev", "skrev den", " wrote", " schrieb", " kirjoitti"].iter().any(|word| text.contains(word));
    let dated = text.chars().filter(char::is_ascii_digit).count() >= 3;
    text.ends_with(':') && wrote && dated && text.chars().count() <= 300
}

fn refers(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|word| REFERS.contains(&word))
}

/// A line that only rules off.
fn is_rule(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| matches!(c, '_' | '-' | '—' | '=' | '*' | ' '))
}

/// Ends the blocks before a line, and takes away the rules before that.
fn cut_after(blocks: &mut Vec<Block>, block: usize, line: usize) {
    let head = match blocks.get(block) {
        Some(Block::Paragraph(pieces)) => {
            let lines: Vec<&[Piece]> = pieces.split(|piece| *piece == Piece::Break).take(line).collect();
            (!lines.is_empty()).then(|| Block::Paragraph(lines.join(&Piece::Break)))
        }
        _ => None,
    };
    blocks.truncate(block);
    blocks.extend(head);
    while let Some(Block::Paragraph(pieces)) = blocks.last_mut() {
        let last = pieces.rsplit(|piece| *piece == Piece::Break).next().unwrap_or_default();
        let text = plain_words(last);
        if !(is_rule(text.trim()) || text.trim().is_empty()) || text.trim() == "--" {
            break;
        }
        let length = pieces.len().saturating_sub(last.len() + 1);
        pieces.truncate(length);
        if pieces.is_empty() {
            blocks.pop();
        }
    }
}

/// The blocks from a line on.
fn part_from(blocks: &[Block], block: usize, line: usize) -> Vec<Block> {
    let mut rest = blocks.get(block..).unwrap_or_default().to_vec();
    if let Some(Block::Paragraph(pieces)) = rest.first_mut() {
        let lines: Vec<&[Piece]> = pieces.split(|piece| *piece == Piece::Break).skip(line).collect();
        *pieces = lines.join(&Piece::Break);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::markdown;
    use crate::mail::plain::{self, Flow};

    fn trimmed(text: &str, relation: Option<Relation>) -> (Trimmed, String) {
        let mut blocks = plain::blocks(text, Flow::Fixed);
        let trimmed = trim(&mut blocks, relation);
        (trimmed, markdown::write(&blocks).replace("  \n", "\n"))
    }

    const ANSWER: Option<Relation> = Some(Relation::Answer);

    #[test]
    fn history_of_every_kind_is_cut_from_an_answer() {
        let fields = "Från: Bo Ek <bo@x.se>\nSkickat: den 3 mars 2026 10:00\nTill: Anna\nÄmne: Fråga\n\nHej, kan ni svara?\n";
        for history in [
            fields.to_owned(),
            format!("________________________________\n{fields}"),
            "-----Ursprungligt meddelande-----\nFrån: Bo\n\nHej\n".to_owned(),
            "From: Bo\nDate: Tuesday, 3 March 2026\nTo: Anna\nSubject: x\n\nHi\n".to_owned(),
            "Den tis 3 mars 2026 kl 10:00 skrev Bo Ek <bo@x.se>:\n> Hej\n>\n> kan ni svara?\n".to_owned(),
            "Den tis 3 mars 2026 kl 10:00 skrev Bo Ek\n<bo@x.se>:\n\n> Hej\n".to_owned(),
            "On Tue, Mar 3, 2026 at 10:00 AM Bo Ek <bo@x.se> wrote:\n\n> Hej\n".to_owned(),
            "Bo Ek skrev den 2026-03-03 10:00:\n> Hej\n".to_owned(),
            "> 3 mars 2026 kl. 10:00 skrev Bo Ek <bo@x.se>:\n>\n> Hej\n".to_owned(),
        ] {
            let got = trimmed(&format!("Ja tack.\n\nMvh Anna\n\n{history}"), ANSWER);
            assert_eq!(got, (Trimmed::Cut, "Ja tack.\n\nMvh Anna".to_owned()), "{history}");
        }
    }

    #[test]
    fn an_answer_below_the_quote_stays() {
        let text = "Den 3 mars 2026 kl. 10:00 skrev Bo:\n> Hej\n> svara\n\nJa, det går bra.\n\n-- \nAnna\n";
        assert_eq!(trimmed(text, ANSWER), (Trimmed::Cut, "Ja, det går bra.\n\n\\--\nAnna".to_owned()));
    }

    #[test]
    fn what_the_writer_wrote_or_forwards_is_never_cut() {
        let fields = "Från: Bo Ek\nSkickat: den 3 mars 2026\nTill: Anna\nÄmne: Fråga\n\nInnehållet\n";
        let forward = Some(Relation::Forward);
        for (text, relation, why) in [
            (format!("Se detta.\n\n{fields}"), forward, Trimmed::Nothing),
            (format!("Se detta.\n\n{fields}"), None, Trimmed::Nothing),
            (fields.to_owned(), ANSWER, Trimmed::Nothing),
            (format!("Mina svar i rött.\n\n{fields}"), ANSWER, Trimmed::Needed),
            (format!("Se svar nedan.\n\n{fields}"), ANSWER, Trimmed::Needed),
            ("---------- Forwarded message ---------\nFrån: Bo\nDate: 3 mars 2026\nTo: x\n\nHej\n".to_owned(), ANSWER, Trimmed::Nothing),
            ("-------- Vidarebefordrat meddelande --------\nFrån: Bo\n".to_owned(), ANSWER, Trimmed::Nothing),
            ("Hej\n\nDen 3 mars 2026 skrev Bo:\n> ett\nsvar ett\n> två\nsvar två\n".to_owned(), ANSWER, Trimmed::Needed),
            ("Hej\n\nDen 3 mars 2026 skrev jag detta:\n\nutan citat\n".to_owned(), ANSWER, Trimmed::Nothing),
            ("Hej\n\nFrån: måndag gäller nya tider\n".to_owned(), ANSWER, Trimmed::Nothing),
        ] {
            let whole = markdown::write(&plain::blocks(&text, Flow::Fixed)).replace("  \n", "\n");
            assert_eq!(trimmed(&text, relation), (why, whole), "{text}");
        }
    }
}
