//! The last trace of a conversation: the line `Meddelande-id: …` of the block above a delivered mail's text, where an
//! answer quotes it.

use crate::ident::MessageId;

/// The name of that line.
pub const LABEL: &str = "Meddelande-id";

/// More of them than a quoted conversation has.
const MAX: usize = 50;
/// Octets of markup that may stand between name and id.
const GAP: usize = 2000;

/// The ids that stand behind the name in a decoded text, plain or HTML; the first one, which is the newest mail's, first.
#[must_use]
pub fn message_ids(text: &str) -> Vec<MessageId> {
    let mut found: Vec<MessageId> = Vec::new();
    let mut rest = text;
    while found.len() < MAX
        && let Some(at) = memchr::memmem::find(rest.as_bytes(), TAIL.as_bytes())
    {
        let (before, after) = (rest.get(..at).unwrap_or_default(), rest.get(at + TAIL.len()..).unwrap_or_default());
        // What was looked at is not looked at again: the time stays linear.
        let value = skip(after);
        rest = value;
        let id = value.get(..36).filter(|_| before.ends_with(['M', 'm'])).and_then(|id| MessageId::new(id).ok());
        let whole = || !value.get(36..).unwrap_or_default().starts_with(|c: char| c.is_alphanumeric() || c == '-');
        if let Some(id) = id.filter(|id| whole() && !found.contains(id)) {
            found.push(id);
        }
    }
    found
}

/// The name without its first letter, which may be of either case.
const TAIL: &str = "eddelande-id";

/// What mail programs put between name and id: colon, white space, tags, quote marks, cell borders, emphasis.
fn skip(text: &str) -> &str {
    let mut rest = text;
    let end = text.len().saturating_sub(GAP);
    while rest.len() > end {
        let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '>' | '*' | '|' | '_' | '\u{200b}' | '\u{feff}'));
        rest = if let Some(tag) = trimmed.strip_prefix('<') {
            match memchr::memchr(b'>', tag.as_bytes().get(..GAP).unwrap_or(tag.as_bytes())) {
                Some(close) => tag.get(close + 1..).unwrap_or_default(),
                None => return tag,
            }
        } else if let Some(after) = trimmed.strip_prefix("&nbsp;").or_else(|| trimmed.strip_prefix("&#160;")) {
            after
        } else {
            return trimmed;
        };
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "7bc5576a-3f87-4cf5-a0c5-277da06fcacb";

    fn ids(text: &str) -> Vec<String> {
        message_ids(text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_line_is_found_as_mail_programs_quote_it() {
        for text in [
            format!("Meddelande-id: {ID}"),
            format!("> > meddelande-id:\u{a0}{ID}\r\n"),
            format!("*Meddelande-id:* | {ID}|"),
            format!("<tr><td><b>Meddelande-id:</b></td><td>{ID}</td></tr>"),
            format!(
                "<p class=MsoNormal><b>Meddelande-id:<o:p></o:p></b></p></td>\r\n<td style='padding:.75pt'><p class=MsoNormal>&nbsp;{ID}<o:p></o:p></p>"
            ),
            format!("Meddelande-id:\r\n> {ID}\r\n"),
        ] {
            assert_eq!(ids(&text), [ID], "{text}");
        }
    }

    #[test]
    fn the_newest_is_first_and_each_stands_once() {
        let other = ID.replace('7', "1");
        assert_eq!(ids(&format!("Meddelande-id: {other}\n> Meddelande-id: {ID}\n>> Meddelande-id: {}", ID.to_uppercase())), [other.as_str(), ID]);
    }

    #[test]
    fn nothing_else_is_an_id() {
        for text in [
            String::new(),
            format!("id: {ID}"),
            format!("Xeddelande-id: {ID}"),
            format!("Meddelande-id: se {ID}"),
            format!("Meddelande-id: {ID}0"),
            format!("Meddelande-id: {}", &ID[..35]),
            format!("Meddelande-id: {}å", &ID[..35]),
            format!("Meddelande-id: <{}{ID}", "x".repeat(3000)),
            format!("Meddelande-id:{}{ID}", "<p>".repeat(1000)),
        ] {
            assert_eq!(ids(&text), [""; 0], "{text}");
        }
    }

    #[test]
    fn hostile_text_is_read_in_linear_time() {
        let began = std::time::Instant::now();
        for piece in ["Meddelande-id<", "Meddelande-id", "Meddelande-id: <p>", "eddelande-id\u{a0}å"] {
            assert!(message_ids(&piece.repeat(400_000)).is_empty());
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    }
}
