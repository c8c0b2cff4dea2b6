//! Tables: the Markdown subset has none. What lists data becomes lines, what lays a page out falls apart into its cells.

use crate::mail::markdown::{Block, Piece, Style, plain_words};

/// Longest row that becomes one line.
const ROW_MAX: usize = 240;
/// Most lines in a cell of data.
const CELL_LINES: usize = 4;
/// More columns than a row is padded with.
const MAX_COLUMNS: usize = 100;

/// A cell.
#[derive(Debug, Default)]
pub(super) struct Cell {
    /// What stands in it.
    pub(super) blocks: Vec<Block>,
    /// It names its column or row.
    pub(super) head: bool,
    /// Over how many columns it goes.
    pub(super) columns: usize,
    /// Over how many rows it goes; 0 is the place of one that began above.
    pub(super) rows: usize,
}

impl Cell {
    /// A cell of data: nothing, or one paragraph of few lines.
    fn is_simple(&self) -> bool {
        match self.blocks.as_slice() {
            [] => true,
            [Block::Paragraph(pieces)] => lines(pieces) <= CELL_LINES,
            _ => false,
        }
    }

    fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    fn length(&self) -> usize {
        self.pieces().map_or(0, |pieces| plain_words(pieces).len())
    }

    fn pieces(&self) -> Option<&[Piece]> {
        match self.blocks.as_slice() {
            [Block::Paragraph(pieces)] => Some(pieces),
            _ => None,
        }
    }
}

fn lines(pieces: &[Piece]) -> usize {
    pieces.iter().filter(|piece| **piece == Piece::Break).count() + 1
}

/// The rows as blocks.
pub(super) fn blocks(rows: Vec<Vec<Cell>>) -> Vec<Block> {
    let rows: Vec<Vec<Cell>> = padded(rows).into_iter().filter(|row| row.iter().any(|cell| !cell.is_empty())).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let alone = rows.len() == 1;
    let is_data = |row: &[Cell]| {
        let filled = row.iter().filter(|cell| !cell.is_empty()).count();
        let broken = row.iter().filter_map(Cell::pieces).any(|pieces| lines(pieces) > 1);
        // The rest of a row whose first cell goes over several.
        let goes_on = filled == 1 && row.first().is_some_and(|cell| cell.rows == 0);
        row.len() > 1 && row.iter().all(Cell::is_simple) && (filled > 1 || goes_on) && !(alone && broken)
    };
    let heads: Option<Vec<String>> = rows
        .first()
        .filter(|row| rows.len() > 1 && row.iter().all(|cell| cell.head) && is_data(row))
        .map(|row| row.iter().map(|cell| cell.pieces().map(plain_words).unwrap_or_default().trim().to_owned()).collect());
    let too_long = |row: &[Cell]| row.iter().map(Cell::length).sum::<usize>() > ROW_MAX;
    // One form for all rows of a table.
    let as_records = columns > 1 && heads.is_some() && rows.iter().any(|row| is_data(row) && too_long(row));
    let mut out = Vec::new();
    let mut open: Vec<Piece> = Vec::new();
    for (at, row) in rows.into_iter().enumerate() {
        if !is_data(&row) || (too_long(&row) && !as_records) {
            settle(&mut out, &mut open);
            out.extend(row.into_iter().flat_map(|cell| cell.blocks));
        } else if let (true, Some(heads)) = (as_records, &heads) {
            if at > 0 {
                out.push(Block::Paragraph(record(row, heads)));
            }
        } else {
            if !open.is_empty() {
                open.push(Piece::Break);
            }
            open.extend(line(row));
        }
    }
    settle(&mut out, &mut open);
    out
}

fn settle(out: &mut Vec<Block>, open: &mut Vec<Piece>) {
    if !open.is_empty() {
        out.push(Block::Paragraph(std::mem::take(open)));
    }
}

/// `a | b | c`.
fn line(row: Vec<Cell>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let last = row.iter().rposition(|cell| !cell.is_empty()).unwrap_or_default();
    for (at, cell) in row.into_iter().enumerate().take(last + 1) {
        if at > 0 {
            pieces.push(Piece::Text(" | ".to_owned(), Style::default()));
        }
        if let Some(Block::Paragraph(cell)) = cell.blocks.into_iter().next() {
            pieces.extend(on_one_line(cell));
        }
    }
    pieces
}

/// Each cell on a line of its own, behind the name of its column.
fn record(row: Vec<Cell>, heads: &[String]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (at, cell) in row.into_iter().enumerate() {
        let Some(Block::Paragraph(cell)) = cell.blocks.into_iter().next() else { continue };
        if !pieces.is_empty() {
            pieces.push(Piece::Break);
        }
        if let Some(head) = heads.get(at).filter(|head| !head.is_empty()) {
            pieces.push(Piece::Text(format!("{}:", head.trim_end_matches(':')), Style { bold: true, italic: false }));
            pieces.push(Piece::Text(" ".to_owned(), Style::default()));
        }
        pieces.extend(on_one_line(cell));
    }
    pieces
}

fn on_one_line(pieces: Vec<Piece>) -> impl Iterator<Item = Piece> {
    pieces.into_iter().map(|piece| if piece == Piece::Break { Piece::Text(" / ".to_owned(), Style::default()) } else { piece })
}

/// The rows with an empty cell wherever one goes over several columns or rows, so that columns stay columns.
fn padded(rows: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
    let mut open: Vec<usize> = Vec::new();
    rows.into_iter()
        .map(|row| {
            let mut out: Vec<Cell> = Vec::new();
            let mut cells = row.into_iter();
            let mut next = cells.next();
            while next.is_some() || open.iter().skip(out.len()).any(|rows| *rows > 0) {
                let at = out.len();
                if at >= open.len() {
                    open.push(0);
                }
                let taken = open.get_mut(at);
                if let Some(rows) = taken.filter(|rows| **rows > 0) {
                    *rows -= 1;
                    out.push(Cell::default());
                    continue;
                }
                let Some(cell) = next.take() else {
                    out.push(Cell::default());
                    continue;
                };
                next = cells.next();
                let (columns, rows) = (cell.columns.clamp(1, MAX_COLUMNS), cell.rows.saturating_sub(1).min(1_000));
                let head = cell.head;
                out.push(cell);
                for column in 0..columns {
                    let place = at + column;
                    if open.len() <= place {
                        open.resize(place + 1, 0);
                    }
                    if let Some(open) = open.get_mut(place) {
                        *open = rows;
                    }
                    if column > 0 {
                        out.push(Cell { head, ..Cell::default() });
                    }
                }
                if out.len() > MAX_COLUMNS * 10 {
                    out.extend(next.take());
                    out.extend(cells.by_ref());
                    break;
                }
            }
            out
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::markdown::write;

    fn cell(text: &str) -> Cell {
        let pieces = text
            .split('\n')
            .enumerate()
            .flat_map(|(at, line)| (at > 0).then_some(Piece::Break).into_iter().chain([Piece::Text(line.to_owned(), Style::default())]));
        let blocks = if text.is_empty() { Vec::new() } else { vec![Block::Paragraph(pieces.collect())] };
        Cell { blocks, head: false, columns: 1, rows: 1 }
    }

    fn head(text: &str) -> Cell {
        Cell { head: true, ..cell(text) }
    }

    #[test]
    fn columns_stay_columns_over_joined_cells() {
        let rows = vec![
            vec![head("Namn"), Cell { columns: 2, ..head("Tid") }, head("Rum")],
            vec![Cell { rows: 2, ..cell("Anna") }, cell("8"), cell("9"), cell("A")],
            vec![cell("10"), cell(""), cell("B")],
        ];
        assert_eq!(write(&blocks(rows)), "Namn | Tid | | Rum  \nAnna | 8 | 9 | A  \n| 10 | | B");
    }

    #[test]
    fn long_rows_become_records_under_the_names_of_their_columns() {
        let long = "ord ".repeat(80);
        let rows = vec![vec![head("Fråga"), head("Svar:")], vec![cell("Kort"), cell(long.trim())], vec![cell("Två\nrader"), cell("Ja")]];
        let text = write(&blocks(rows));
        assert!(text.starts_with("**Fråga:** Kort  \n**Svar:** ord ord"), "{text}");
        assert!(text.ends_with("\n\n**Fråga:** Två / rader  \n**Svar:** Ja"), "{text}");
    }

    #[test]
    fn a_layout_falls_apart_into_its_cells() {
        let rows = vec![vec![cell("[logotyp]"), cell("Anna Ek\nHandläggare")]];
        assert_eq!(write(&blocks(rows)), "[logotyp]\n\nAnna Ek  \nHandläggare");
        assert_eq!(write(&blocks(vec![vec![cell("ensam")], vec![cell("under")]])), "ensam\n\nunder");
    }
}
