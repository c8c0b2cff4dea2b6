//! The lines and components of iCalendar (RFC 5545 3.1, 3.6).

use super::CalendarError;

/// Components within components.
const MAX_DEPTH: usize = 8;
/// More components than any calendar that is mailed.
const MAX_COMPONENTS: usize = 10_000;

/// A component: what stands between BEGIN and END.
#[derive(Debug, Default)]
pub(super) struct Component {
    /// Its name, in lower case.
    pub(super) name: String,
    properties: Vec<Property>,
    /// What stands within it.
    pub(super) parts: Vec<Component>,
}

/// A property.
#[derive(Debug)]
pub(super) struct Property {
    name: String,
    parameters: Vec<(String, String)>,
    /// Its value as it stands.
    pub(super) value: String,
}

impl Component {
    /// The first property of a name.
    pub(super) fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name == name)
    }

    /// All properties of a name.
    pub(super) fn properties<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Property> {
        self.properties.iter().filter(move |property| property.name == name)
    }

    /// A text, its escapes undone; `None` when there is none.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.property(name).map(|property| unescape(&property.value)).filter(|text| !text.is_empty())
    }

    /// A value as it stands.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.property(name).map(|property| property.value.trim())
    }
}

impl Property {
    /// A parameter, without its quotes.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// The calendars that a text holds, which may be several.
pub(super) fn components(text: &str) -> Result<Vec<Component>, CalendarError> {
    let mut found = Vec::new();
    let mut open: Vec<Component> = Vec::new();
    let mut count = 0;
    for line in unfold(text) {
        let Some(property) = property(&line) else { continue };
        match property.name.as_str() {
            "BEGIN" => {
                count += 1;
                if open.len() >= MAX_DEPTH || count > MAX_COMPONENTS {
                    return Err(CalendarError::TooMany);
                }
                open.push(Component { name: property.value.trim().to_ascii_lowercase(), ..Component::default() });
            }
            "END" => {
                let closed = open.pop().filter(|closed| closed.name.eq_ignore_ascii_case(property.value.trim())).ok_or(CalendarError::Short)?;
                match open.last_mut() {
                    Some(outer) => outer.parts.push(closed),
                    None => found.push(closed),
                }
            }
            _ => open.last_mut().ok_or(CalendarError::Beginning)?.properties.push(property),
        }
    }
    if open.is_empty() { Ok(found) } else { Err(CalendarError::Short) }
}

/// RFC 5545 3.1: a line that begins with white space goes on with the one before.
fn unfold(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)) {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some(last)) => last.push_str(rest),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// `NAME;PARAMETER="value":value`.
fn property(line: &str) -> Option<Property> {
    let line = line.trim_start_matches('\u{feff}');
    let mut quoted = false;
    let colon = line.find(|c| {
        quoted ^= c == '"';
        c == ':' && !quoted
    })?;
    let (head, value) = line.split_at_checked(colon)?;
    let mut quoted = false;
    let mut pieces = head.split(|c| {
        quoted ^= c == '"';
        c == ';' && !quoted
    });
    let name = pieces.next()?.trim().to_ascii_uppercase();
    let parameters = pieces
        .filter_map(|piece| piece.split_once('='))
        .map(|(name, value)| (name.trim().to_ascii_uppercase(), parameter(value.trim().trim_matches('"'))))
        .collect();
    Some(Property { name, parameters, value: value.get(1..)?.to_owned() })
}

/// RFC 6868 3: what may not stand in a parameter.
fn parameter(value: &str) -> String {
    value.replace("^n", " ").replace("^'", "\"").replace("^^", "^")
}

/// RFC 5545 3.3.11.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n' | 'N') => out.push('\n'),
            other => out.extend(other),
        }
    }
    out.trim().to_owned()
}
