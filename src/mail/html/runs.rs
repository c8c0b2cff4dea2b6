//! Runs of text on their way to a paragraph.

use crate::mail::markdown::{Piece, Style, is_blank};

/// A run of text or a break, and whether it is struck out.
pub(super) type Run = (Piece, bool);

/// Without white space at the ends, and with words around what is struck out, for which the subset has no sign.
pub(super) fn settled(mut runs: Vec<Run>) -> Vec<Piece> {
    let blank = |piece: &Piece| match piece {
        Piece::Break => true,
        Piece::Text(text, _) => is_blank(text) && !text.starts_with('\u{a0}'),
    };
    while runs.last().is_some_and(|(piece, _)| matches!(piece, Piece::Break) || blank(piece) || is_blank_text(piece)) {
        runs.pop();
    }
    let lead = runs.iter().take_while(|(piece, _)| blank(piece) || is_blank_text(piece)).count();
    runs.drain(..lead);
    if let Some((Piece::Text(first, _), _)) = runs.first_mut() {
        *first = first.trim_start_matches(' ').to_owned();
    }
    if let Some((Piece::Text(last, _), _)) = runs.last_mut() {
        *last = last.trim_end().to_owned();
    }
    let mut pieces = Vec::with_capacity(runs.len());
    let mut open = false;
    for (piece, struck) in runs {
        if open && !struck && matches!(&piece, Piece::Text(text, _) if text.starts_with(char::is_alphanumeric)) {
            // What replaces a word stands apart from it.
            pieces.push(Piece::Text("] ".to_owned(), Style::default()));
            open = false;
        } else if struck != open && !(struck && is_blank_text(&piece)) {
            pieces.push(Piece::Text(if struck { "[överstruket: " } else { "]" }.to_owned(), Style::default()));
            open = struck;
        }
        pieces.push(piece);
    }
    if open {
        pieces.push(Piece::Text("]".to_owned(), Style::default()));
    }
    pieces
}

fn is_blank_text(piece: &Piece) -> bool {
    matches!(piece, Piece::Text(text, _) if is_blank(text))
}
