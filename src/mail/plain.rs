//! text/plain to blocks, also format=flowed (RFC 3676).

use super::markdown::{Block, Piece, Style};
use super::words;

/// How the lines of a text/plain part are to be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// Each line end is meant.
    Fixed,
    /// A space before a line end says that the line goes on.
    Flowed,
    /// The same, and that space is no part of the text (`DelSp=yes`).
    FlowedDelSp,
}

/// Paragraphs at blank lines, hard breaks at line ends, indentation kept with no-break spaces.
pub(super) fn blocks(text: &str, flow: Flow) -> Vec<Block> {
    let text = words::clean(text);
    let lines = match flow {
        Flow::Fixed => text.split('\n').map(str::to_owned).collect(),
        Flow::Flowed | Flow::FlowedDelSp => unflow(&text, flow == Flow::FlowedDelSp),
    };
    let mut blocks = Vec::new();
    let mut pieces = Vec::new();
    for line in lines {
        let body = line.trim_end();
        let words = body.trim_start_matches(' ');
        if words.is_empty() {
            end_paragraph(&mut blocks, &mut pieces);
            continue;
        }
        if !pieces.is_empty() {
            pieces.push(Piece::Break);
        }
        let indent = (body.len() - words.len()).min(40);
        pieces.push(Piece::Text("\u{a0}".repeat(indent) + words, Style::default()));
    }
    end_paragraph(&mut blocks, &mut pieces);
    blocks
}

fn end_paragraph(blocks: &mut Vec<Block>, pieces: &mut Vec<Piece>) {
    if !pieces.is_empty() {
        blocks.push(Block::Paragraph(std::mem::take(pieces)));
    }
}

/// RFC 3676 4: quote depth is counted, stuffed spaces go, flowed lines of one depth are joined; `-- ` stays a line.
fn unflow(text: &str, delete_space: bool) -> Vec<String> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for line in text.split('\n') {
        let body = line.trim_start_matches('>');
        let depth = line.len() - body.len();
        let body = body.strip_prefix(' ').unwrap_or(body);
        let signature = body == "-- ";
        let flows = body.ends_with(' ') && !signature;
        let shown = if flows && delete_space { body.strip_suffix(' ').unwrap_or(body) } else { body };
        match lines.last_mut() {
            Some((last_depth, last)) if open && *last_depth == depth && !signature => last.push_str(shown),
            _ => lines.push((depth, shown.to_owned())),
        }
        open = flows;
    }
    lines.into_iter().map(|(depth, line)| if depth == 0 { line } else { format!("{} {line}", ">".repeat(depth)) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::markdown;

    fn markdown_of(text: &str, flow: Flow) -> String {
        markdown::write(&blocks(text, flow))
    }

    #[test]
    fn lines_break_and_blank_lines_part() {
        assert_eq!(markdown_of("Hej\r\nAnna\r\n\r\n\r\n- ett\r\n  två\r\n", Flow::Fixed), "Hej  \nAnna\n\n\\- ett  \n\u{a0}\u{a0}två");
    }

    #[test]
    fn flowed_lines_are_joined_within_their_quote_depth() {
        let text = "En lång \r\nrad.\r\n>> Du \r\n>> skrev \r\n> och hon\r\n From här\r\n-- \r\nAnna\r\n";
        assert_eq!(markdown_of(text, Flow::Flowed), "En lång rad.  \n\\>> Du skrev  \n\\> och hon  \nFrom här  \n\\--  \nAnna");
        assert_eq!(markdown_of("Donau \r\nschiff\r\n", Flow::FlowedDelSp), "Donauschiff");
    }
}
