//! Changing the SOAP part of a request as text.

/// The package with its SOAP part changed; the change must change something.
pub fn edited(body: &[u8], edit: &dyn Fn(&str) -> String) -> Vec<u8> {
    let end = body.windows(15).position(|w| w == b"</S12:Envelope>").unwrap() + 15;
    let start = body.windows(5).position(|w| w == b"<?xml").unwrap();
    let soap = std::str::from_utf8(&body[start..end]).unwrap();
    let edited = edit(soap);
    assert_ne!(soap, edited, "the edit changed nothing");
    [&body[..start], edited.as_bytes(), &body[end..]].concat()
}

/// The text of the first element of that qualified name, tags included.
pub fn cut<'a>(soap: &'a str, name: &str) -> &'a str {
    let starts = |end: char| soap.find(&format!("<{name}{end}"));
    let start = [' ', '>', '/'].into_iter().filter_map(starts).min().unwrap();
    let close = format!("</{name}>");
    let end = match soap[start..].find(&close) {
        Some(end) => end + close.len(),
        None => soap[start..].find("/>").unwrap() + 2,
    };
    &soap[start..start + end]
}
