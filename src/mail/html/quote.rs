//! Quoted text: the Markdown subset has no quotes, so each line bears the `>` that mail has always had.

use crate::mail::markdown::{Block, Piece, Style};

/// The blocks of a quote as paragraphs whose lines begin with `>`.
pub(super) fn quoted(blocks: Vec<Block>) -> Vec<Block> {
    let mut lines: Vec<Vec<Vec<Piece>>> = Vec::new();
    for block in blocks {
        lines.extend(flat(block, ""));
    }
    lines
        .into_iter()
        .map(|paragraph| {
            let mut pieces = Vec::new();
            for line in paragraph {
                if !pieces.is_empty() {
                    pieces.push(Piece::Break);
                }
                let deeper = matches!(line.first(), Some(Piece::Text(text, _)) if text.starts_with('>'));
                pieces.push(text(if deeper { ">" } else { "> " }));
                pieces.extend(line);
            }
            Block::Paragraph(pieces)
        })
        .collect()
}

/// A block's paragraphs, each as its lines.
fn flat(block: Block, indent: &str) -> Vec<Vec<Vec<Piece>>> {
    let indented = |line: &[Piece]| {
        let lead = (!indent.is_empty()).then(|| text(indent));
        lead.into_iter().chain(line.iter().cloned()).collect::<Vec<_>>()
    };
    match block {
        Block::Paragraph(pieces) => vec![pieces.split(|piece| *piece == Piece::Break).map(indented).collect()],
        Block::Heading(_, pieces) => {
            let bold = |piece| match piece {
                Piece::Text(text, style) => Piece::Text(text, Style { bold: true, ..style }),
                Piece::Break => text(" "),
            };
            vec![vec![indented(&pieces.into_iter().map(bold).collect::<Vec<_>>())]]
        }
        Block::List { first, items } => {
            let mut lines = Vec::new();
            for (number, item) in (first.unwrap_or(1)..).zip(items) {
                let mark = if first.is_some() { format!("{indent}{number}. ") } else { format!("{indent}- ") };
                let below = "\u{a0}".repeat(mark.chars().count());
                let mut item = item.into_iter().flat_map(|block| flat(block, "")).flatten();
                if let Some(line) = item.next() {
                    lines.push(std::iter::once(text(&mark)).chain(line).collect());
                }
                lines.extend(item.map(|line| std::iter::once(text(&below)).chain(line).collect()));
            }
            vec![lines]
        }
    }
}

fn text(text: &str) -> Piece {
    Piece::Text(text.to_owned(), Style::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::markdown::write;

    #[test]
    fn every_line_of_a_quote_bears_its_mark() {
        let words = |words: &str| Block::Paragraph(vec![text(words)]);
        let inner = quoted(vec![words("äldst")]);
        let list = Block::List { first: Some(3), items: vec![vec![words("tre")], vec![words("fyra"), words("mer")]] };
        let blocks = quoted([vec![Block::Paragraph(vec![text("ett"), Piece::Break, text("två")]), list], inner].concat());
        assert_eq!(write(&blocks), "\\> ett  \n\\> två\n\n\\> 3. tre  \n\\> 4. fyra  \n\\> \u{a0}\u{a0}\u{a0}mer\n\n\\>> äldst");
    }
}
