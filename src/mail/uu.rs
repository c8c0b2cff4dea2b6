//! uuencode: files that stand in the text itself, as scanners and old business systems send them.

/// A file found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The name in its `begin` line.
    pub(super) name: String,
    /// Its bytes.
    pub(super) body: Vec<u8>,
}

/// More files than a text holds.
const MAX_FILES: usize = 50;

/// The text without the files that are whole in it, and these. What only looks like a file stays text.
pub(super) fn extract(text: &str) -> (String, Vec<Found>) {
    if !text.contains("begin ") {
        return (text.to_owned(), Vec::new());
    }
    let mut out = String::with_capacity(text.len());
    let mut found = Vec::new();
    let mut rest = text;
    // Where no `end` follows, no file does: each look for one would go through all that is left.
    let mut ends = true;
    while let Some(line) = rest.split_inclusive('\n').next() {
        let after = rest.get(line.len()..).unwrap_or_default();
        if ends
            && found.len() < MAX_FILES
            && let Some(name) = begin(line)
        {
            match body(after) {
                Body::Whole(body, length) => {
                    found.push(Found { name: name.to_owned(), body });
                    rest = after.get(length..).unwrap_or_default();
                    continue;
                }
                Body::Endless => ends = false,
                Body::Not => {}
            }
        }
        out.push_str(line);
        rest = after;
    }
    (out, found)
}

/// The bytes of a part that is uuencoded as a whole; `None` when it is not, or not whole.
pub(super) fn decode(part: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(part);
    let mut found = extract(&text).1;
    (found.len() == 1).then(|| found.pop()).flatten().map(|file| file.body)
}

/// `begin 644 name`.
fn begin(line: &str) -> Option<&str> {
    let (mode, name) = line.trim_end().strip_prefix("begin ")?.split_once(' ')?;
    let sound = (3..=4).contains(&mode.len()) && mode.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let name = name.trim();
    (sound && !name.is_empty()).then_some(name)
}

enum Body {
    /// Bytes, and how much of the text they took with the `end` line.
    Whole(Vec<u8>, usize),
    /// A line is none of a file.
    Not,
    /// The text ends first.
    Endless,
}

fn body(text: &str) -> Body {
    let mut out = Vec::new();
    let mut length = 0;
    for line in text.split_inclusive('\n') {
        length += line.len();
        let line = line.trim_end_matches(['\r', '\n']);
        if line == "end" {
            return Body::Whole(out, length);
        }
        if !append(line, &mut out) {
            return Body::Not;
        }
    }
    Body::Endless
}

/// A line: how many octets, then four characters for three of them. Spaces at its end may be gone.
fn append(line: &str, out: &mut Vec<u8>) -> bool {
    let Some((&count, digits)) = line.as_bytes().split_first() else { return true };
    if !(b' '..=b'`').contains(&count) || !digits.iter().all(|digit| (b' '..=b'`').contains(digit)) {
        return false;
    }
    let count = usize::from((count - b' ') & 63);
    // Some programs add one character as a check.
    if digits.len() > count.div_ceil(3) * 4 + 1 {
        return false;
    }
    let value = |at: usize| digits.get(at).map_or(0, |digit| u32::from((digit - b' ') & 63));
    let start = out.len();
    for group in 0..count.div_ceil(3) {
        let bits = (0..4).fold(0, |bits, at| bits << 6 | value(group * 4 + at));
        out.extend(bits.to_be_bytes().iter().skip(1));
    }
    out.truncate(start + count);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_in_the_text_are_taken_out_whole() {
        let text = "Hej\r\n\r\nbegin 644 skann 1.txt\r\n#:&5J\r\n\"(2$\r\n`\r\nend\r\nMvh\r\n";
        let (rest, found) = extract(text);
        assert_eq!(rest, "Hej\r\n\r\nMvh\r\n");
        assert_eq!(found, [Found { name: "skann 1.txt".into(), body: b"hej!!".to_vec() }]);
    }

    #[test]
    fn what_only_looks_like_a_file_stays_text() {
        for text in ["begin 644 utan slut\n#:&5J\n", "begin 12 ny text\n", "begin 644 x\nvanlig text här\nend\n", "att begin 644 x\n`\nend\n"] {
            assert_eq!(extract(text), (text.to_owned(), Vec::new()), "{text}");
        }
    }

    #[test]
    fn a_text_of_beginnings_costs_no_more_than_its_length() {
        let text = "begin 644 x\n".repeat(100_000);
        let started = std::time::Instant::now();
        assert_eq!(extract(&text).0.len(), text.len());
        assert!(started.elapsed() < std::time::Duration::from_secs(5));
    }
}
