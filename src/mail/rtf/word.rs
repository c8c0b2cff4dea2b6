//! HTML of RTF that was written as such: paragraphs, bold and italic, links, tables, list marks, pictures.

/// Links within links that are kept: each is written again in every paragraph that it spans.
const MAX_LINKS: usize = 2;

/// Writes HTML as paragraphs end.
#[derive(Debug, Default)]
pub(super) struct Writer {
    out: String,
    /// The paragraph so far.
    paragraph: String,
    /// Which marks are open in it.
    bold: bool,
    italic: bool,
    /// The links that are open, and where they lead.
    links: Vec<String>,
    /// The cells of the row so far, and the rows before it.
    cells: Vec<String>,
    rows: Vec<Vec<String>>,
    /// What stands in the cell so far, by ended paragraphs.
    cell: String,
    /// The paragraph is part of a table.
    pub(super) in_table: bool,
    /// How deep the paragraph stands in a list.
    pub(super) level: usize,
}

impl Writer {
    /// Text in a style.
    pub(super) fn text(&mut self, text: &str, bold: bool, italic: bool) {
        if (bold, italic) != (self.bold, self.italic) {
            self.end_style();
            self.paragraph.push_str(match (bold, italic) {
                (true, true) => "<b><i>",
                (true, false) => "<b>",
                (false, true) => "<i>",
                (false, false) => "",
            });
            (self.bold, self.italic) = (bold, italic);
        }
        escape(text, &mut self.paragraph);
    }

    /// A link begins, unless it stands in too many others; whether it does.
    pub(super) fn begin_link(&mut self, target: &str) -> bool {
        let begins = self.links.len() < MAX_LINKS;
        if begins {
            self.end_style();
            self.links.push(target.to_owned());
            self.open_link(target);
        }
        begins
    }

    /// The last link ends.
    pub(super) fn end_link(&mut self) {
        self.end_style();
        if self.links.pop().is_some() {
            self.paragraph.push_str("</a>");
        }
    }

    /// A picture, by its Content-ID.
    pub(super) fn image(&mut self, id: &str) {
        self.paragraph.push_str("<img src=\"cid:");
        self.paragraph.push_str(id);
        self.paragraph.push_str("\">");
    }

    /// A line ends within the paragraph.
    pub(super) fn line(&mut self) {
        self.paragraph.push_str("<br>");
    }

    /// `\pard`: what the last paragraph was is forgotten.
    pub(super) fn plain_paragraph(&mut self) {
        (self.in_table, self.level) = (false, 0);
    }

    /// A paragraph ends; `mark` stood before it, if it is an item of a list.
    pub(super) fn end_paragraph(&mut self, mark: &str) {
        let text = self.take();
        if self.in_table {
            self.cell.push_str(mark.trim());
            self.cell.push_str(&text);
            self.cell.push_str("<br>");
            return;
        }
        self.end_table();
        if mark.trim().is_empty() {
            // What Word calls a paragraph is a line; an empty one parts.
            self.out.push_str("<p class=MsoNormal>");
            self.out.push_str(if text.is_empty() { "&nbsp;" } else { &text });
        } else {
            self.out.push_str("<p class=MsoListParagraph style='mso-list:l0 level");
            self.out.push_str(&(self.level + 1).to_string());
            self.out.push_str(" lfo1'><span style='mso-list:Ignore'>");
            escape(mark.trim(), &mut self.out);
            self.out.push_str("</span>");
            self.out.push_str(&text);
        }
        self.out.push_str("</p>\n");
    }

    /// A cell ends.
    pub(super) fn end_cell(&mut self) {
        let text = self.take();
        let mut cell = std::mem::take(&mut self.cell);
        cell.push_str(&text);
        self.cells.push(cell);
    }

    /// A row ends.
    pub(super) fn end_row(&mut self) {
        let cells = std::mem::take(&mut self.cells);
        if !cells.is_empty() {
            self.rows.push(cells);
        }
    }

    /// All of it.
    pub(super) fn finish(mut self) -> String {
        // A last paragraph without its end.
        self.in_table = false;
        if !self.paragraph.is_empty() || !self.cell.is_empty() {
            let cell = std::mem::take(&mut self.cell);
            self.paragraph.insert_str(0, &cell);
            self.end_row_of_the_rest();
            self.end_paragraph("");
        }
        self.end_row_of_the_rest();
        self.end_table();
        self.out
    }

    fn end_row_of_the_rest(&mut self) {
        if !self.cells.is_empty() {
            self.end_row();
        }
    }

    fn end_table(&mut self) {
        if self.rows.is_empty() {
            return;
        }
        self.out.push_str("<table>");
        for row in std::mem::take(&mut self.rows) {
            self.out.push_str("<tr>");
            for cell in row {
                self.out.push_str("<td>");
                self.out.push_str(cell.strip_suffix("<br>").unwrap_or(&cell));
                self.out.push_str("</td>");
            }
            self.out.push_str("</tr>");
        }
        self.out.push_str("</table>\n");
    }

    /// The paragraph, its marks and links closed; the links go on in the next.
    fn take(&mut self) -> String {
        self.end_style();
        for _ in &self.links {
            self.paragraph.push_str("</a>");
        }
        let text = std::mem::take(&mut self.paragraph);
        for target in self.links.clone() {
            self.open_link(&target);
        }
        text
    }

    fn open_link(&mut self, target: &str) {
        self.paragraph.push_str("<a href=\"");
        escape(target, &mut self.paragraph);
        self.paragraph.push_str("\">");
    }

    fn end_style(&mut self) {
        self.paragraph.push_str(match (self.bold, self.italic) {
            (true, true) => "</i></b>",
            (true, false) => "</b>",
            (false, true) => "</i>",
            (false, false) => "",
        });
        (self.bold, self.italic) = (false, false);
    }
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
}
