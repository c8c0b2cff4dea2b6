//! The two bodies of a delivered mail: the block, what the reader should know, the texts.
//!
//! The HTML is tables and inline styles, which Outlook's Word engine and every other mail program draw alike. Text has no
//! colour of its own, and what has one has its own background, so that it can be read on white and on black.

use super::attachments::Attachment;
use super::facts::{self, Note};
use crate::content::Content;
use crate::mail::render::{self, escape};
use crate::mail::words;

/// `Calibri` is Outlook's; the others are what phones and browsers have.
const FONT: &str = "font-family:Calibri,'Segoe UI',Helvetica,Arial,sans-serif;font-size:11pt;line-height:1.45";
/// A table without lines; its cells name their font, since Word's do not take it from the body.
const TABLE: &str = "<table cellpadding=\"0\" cellspacing=\"0\" border=\"0\" style=\"border-collapse:collapse;margin:0 0 14px 0\">\n";
/// What secrecy is marked with.
const SECRET: &str = "#9b1c1c";
/// What an open message is marked with.
const OPEN: &str = "#1f4e79";
/// Readable on white and on black.
const GREY: &str = "#767676";

/// A mail's bodies.
pub(super) struct Page {
    /// text/plain.
    pub(super) plain: String,
    /// text/html.
    pub(super) html: String,
}

/// Draws both.
pub(super) fn of(content: &Content, attached: &[Attachment<'_>], notes: &[Note]) -> Page {
    let mut page = Page { plain: String::new(), html: String::new() };
    let head = "<!DOCTYPE html>\n<html lang=\"sv\"><head><meta charset=\"utf-8\"><meta name=\"color-scheme\" content=\"light dark\">\
                <meta name=\"supported-color-schemes\" content=\"light dark\"></head>\n";
    page.html.extend([head, "<body style=\"margin:0;padding:10px;", FONT, ";word-wrap:break-word\">\n"]);
    block(&mut page, content);
    page.notes(notes);
    page.plain.push('\n');
    for at in 0..content.documents.len() {
        document(&mut page, content, at, attached);
    }
    page.html.push_str("</body></html>\n");
    page
}

/// Everything above the text in one table: a coloured bar, names, values.
fn block(page: &mut Page, content: &Content) {
    let colour = if content.confidential { SECRET } else { OPEN };
    let facts = facts::block(content);
    page.html.push_str(TABLE);
    for (at, (name, value)) in facts.iter().enumerate() {
        page.plain.extend([name, ": ", value, "\n"]);
        page.html.push_str("<tr>");
        if at == 0 {
            let bar = format!("<td width=\"5\" rowspan=\"{}\" bgcolor=\"{colour}\" style=\"width:5px;background:{colour}\"></td>", facts.len());
            page.html.push_str(&bar);
        }
        page.html.extend(["<td valign=\"top\" style=\"", FONT, ";padding:1px 14px 1px 12px;white-space:nowrap;color:", GREY, "\">", name, ":</td>"]);
        page.html.extend(["<td valign=\"top\" style=\"", FONT, ";padding:1px 8px 1px 0\">"]);
        if at == 0 {
            page.html.extend(["<b style=\"background:", colour, ";color:#ffffff\">&nbsp;", &escape(value), "&nbsp;</b>"]);
        } else {
            page.html.push_str(&escape(value));
        }
        page.html.push_str("</td></tr>\n");
    }
    page.html.push_str("</table>\n");
    page.plain.push_str("----------------------------------------\n");
}

impl Page {
    fn notes(&mut self, notes: &[Note]) {
        if notes.is_empty() {
            return;
        }
        let cell = "<tr><td bgcolor=\"#fff4ce\" style=\"background:#fff4ce;color:#333333;padding:8px 12px;";
        self.html.extend([TABLE, cell, FONT, "\">\n<b>Obs!</b><br>\n"]);
        self.plain.push_str("Obs!\n");
        for note in notes {
            self.plain.extend(["- ", &note.swedish, "\n"]);
            self.html.extend(["&bull; ", &escape(&note.swedish), "<br>\n"]);
        }
        self.html.push_str("<span style=\"font-size:9pt;color:#5c5c5c\">");
        self.plain.push_str("In English:\n");
        for note in notes {
            self.plain.extend(["- ", &note.english, "\n"]);
            self.html.extend(["&bull; ", &escape(&note.english), "<br>\n"]);
        }
        self.html.push_str("</span>\n");
        self.html.push_str("</td></tr></table>\n");
        self.plain.push_str("----------------------------------------\n");
    }

    fn line(&mut self, style: &str, text: &str) {
        self.plain.extend([text, "\n\n"]);
        self.html.extend(["<p style=\"margin:0 0 10px 0;", style, "\">", &escape(text), "</p>\n"]);
    }
}

/// One document: its name, its texts, and which files are its own when there are several documents.
fn document(page: &mut Page, content: &Content, at: usize, attached: &[Attachment<'_>]) {
    let Some(document) = content.documents.get(at) else { return };
    let several = content.documents.len() > 1;
    if at > 0 {
        page.html.extend(["<hr style=\"margin:16px 0;border:0;border-top:1px solid ", GREY, "\">\n"]);
    }
    let label = content.label.as_ref().map(|label| words::one_line(label));
    let name = document.name.as_ref().map(|name| words::one_line(name)).filter(|name| !name.is_empty() && Some(name) != label.as_ref());
    if let Some(name) = name.or_else(|| several.then(|| format!("Del {}", at + 1))) {
        page.line("font-size:13pt;font-weight:bold", &name);
    }
    if document.texts.is_empty() && !several {
        page.line("font-style:italic", "Meddelandet har ingen text, bara bilagor.");
    }
    for text in &document.texts {
        let rendered = render::text(text);
        page.plain.push_str(&rendered.plain);
        page.plain.push('\n');
        page.html.push_str(&rendered.html);
    }
    let own: Vec<&str> = attached.iter().filter(|file| file.document == at).map(|file| file.name.as_str()).collect();
    if several && !own.is_empty() {
        page.line(&format!("color:{GREY}"), &format!("Bilagor till denna del: {}", own.join(", ")));
    }
}
