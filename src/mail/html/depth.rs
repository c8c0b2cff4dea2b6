//! HTML without nesting that no mail program writes: the parser walks all open elements at many of its tags, so its time
//! would grow with their number.

use std::borrow::Cow;

/// Open elements that are kept. Further tags are left out; the words between them stay.
const MAX_OPEN: usize = 1_000;

/// Elements that have no end, or that end where the next of their kind begins (HTML 13.1.2).
const FLAT: &[&str] = &[
    "area", "base", "body", "br", "col", "dd", "dt", "embed", "head", "hr", "html", "img", "input", "li", "link", "meta", "option", "p", "param",
    "source", "tbody", "td", "tfoot", "th", "thead", "tr", "track", "wbr",
];

/// The same HTML, with at most [`MAX_OPEN`] elements in one another.
pub(super) fn bounded(html: &str) -> Cow<'_, str> {
    let (mut open, mut left_out) = (0_usize, 0_usize);
    let (mut kept, mut copied) = (String::new(), 0);
    let mut at = 0;
    while let Some(start) = html.get(at..).and_then(|rest| rest.find('<')).map(|found| at + found) {
        let tag = html.get(start..).unwrap_or_default();
        let comment = tag.starts_with("<!--");
        let Some(length) = tag.find(if comment { "-->" } else { ">" }).map(|end| end + if comment { 3 } else { 1 }) else { break };
        at = start + length;
        let inner = tag.get(1..length).unwrap_or_default();
        let (closes, inner) = inner.strip_prefix('/').map_or((false, inner), |inner| (true, inner));
        let name = inner.split(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>')).next().unwrap_or_default();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || FLAT.iter().any(|flat| name.eq_ignore_ascii_case(flat)) {
            continue;
        }
        let drop = match (closes, left_out, open) {
            (true, 0, _) => {
                open = open.saturating_sub(1);
                false
            }
            (true, ..) => {
                left_out -= 1;
                true
            }
            (false, _, MAX_OPEN..) => {
                left_out += 1;
                true
            }
            (false, ..) => {
                open += 1;
                false
            }
        };
        if drop {
            kept.push_str(html.get(copied..start).unwrap_or_default());
            copied = at;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(html);
    }
    kept.push_str(html.get(copied..).unwrap_or_default());
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_without_end_is_flat_and_keeps_its_words() {
        let deep = format!("{}hej{}då", "<div>x".repeat(MAX_OPEN + 7), "</div>".repeat(MAX_OPEN + 7));
        let flat = bounded(&deep);
        assert_eq!((flat.matches("<div>").count(), flat.matches("</div>").count(), flat.matches('x').count()), (MAX_OPEN, MAX_OPEN, MAX_OPEN + 7));
        assert!(flat.contains("hej<") && flat.ends_with("</div>då"));
    }

    #[test]
    fn what_people_write_is_not_touched() {
        let rows = format!("<table>{}</table>", "<tr><td><p>a<br>b<!-- <div> --><font>c</font>".repeat(MAX_OPEN + 1));
        for html in [rows.as_str(), "a < b > c", "<div", "</p></div>", "<!-- <b>", ""] {
            assert!(matches!(bounded(html), Cow::Borrowed(same) if same == html));
        }
    }
}
