//! The house's plan, held: layers, purity, one file of `unsafe`, module docs, one form of citation.
//!
//! The layers are read from the table in `src/lib.rs`, so that what newcomers read is what is enforced.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the plan's numbers change what is allowed.
mod plan {
    /// Layers whose modules never import one another: formats, and the edges, which meet only in ports.
    pub(crate) const STRANGERS: [u8; 2] = [2, 4];
    /// The flows: strangers too, except that both know `port`.
    pub(crate) const FLOWS: u8 = 3;
    /// The last layer without socket, file, clock, random number or runtime.
    pub(crate) const PURE: u8 = 3;
    /// The only layer that may import `config`, which fills the others' own options.
    pub(crate) const TOP: u8 = 6;
    /// The one file with `unsafe`.
    pub(crate) const UNSAFE: &str = "src/crypto/xmlsec.rs";
    /// What a pure layer never names.
    pub(crate) const IMPURE: [&str; 13] = [
        "std::net",
        "std::fs",
        "std::env",
        "std::process",
        "std::thread",
        "tokio",
        "SystemTime",
        "Instant",
        "Timestamp::now",
        "Zoned::now",
        "Uuid::new_v4",
        "Uuid::now_v7",
        "rand",
    ];
    /// The cryptographic provider's own generator is the one exception, behind `crypto`.
    pub(crate) const RANDOM: (&str, &str) = ("crypto", "rand");
}

#[test]
fn a_module_imports_only_from_layers_below() {
    let layers = layers();
    let mut breaches = Vec::new();
    for file in sources() {
        let Some(module) = file.module() else { continue };
        let Some(&own) = layers.get(module) else {
            breaches.push(format!("{}: `{module}` has no row in the table of src/lib.rs", file.name));
            continue;
        };
        for path in file.paths() {
            let Some(other) = file.target(&path) else { continue };
            let Some(&theirs) = layers.get(other) else { continue };
            let sibling = own == theirs && !plan::STRANGERS.contains(&own) && (own != plan::FLOWS || other == "port");
            if !(other == module || theirs < own || sibling) {
                breaches.push(format!("{}: `{module}` (layer {own}) uses `{other}` (layer {theirs}) by {}", file.name, path.join("::")));
            }
            if other == "config" && module != "config" && own != plan::TOP {
                breaches.push(format!("{}: `{module}` uses `config`; let config fill an options type of `{module}`", file.name));
            }
        }
    }
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn words_tools_formats_and_flows_are_pure() {
    let (layers, heavy) = (layers(), daemon_crates());
    let mut breaches = Vec::new();
    for file in sources() {
        let Some((module, &layer)) = file.module().and_then(|module| layers.get_key_value(module)) else { continue };
        if layer > plan::PURE {
            continue;
        }
        for path in file.paths() {
            let names = |word: &&&str| {
                let word: Vec<&str> = word.split("::").collect();
                path.windows(word.len()).any(|part| part == word)
            };
            for word in plan::IMPURE.iter().filter(names) {
                if (module.as_str(), *word) != plan::RANDOM {
                    breaches.push(format!("{}: layer {layer} names {}", file.name, path.join("::")));
                }
            }
            if path.len() > 1 && heavy.contains(&path[0]) {
                breaches.push(format!("{}: layer {layer} names {}, a crate of the feature `daemon`", file.name, path.join("::")));
            }
        }
    }
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn unsafe_stands_in_one_file() {
    let with: Vec<String> = sources().into_iter().filter(|file| file.code.iter().any(|token| token == "unsafe")).map(|file| file.name).collect();
    assert!(with.iter().all(|name| name == plan::UNSAFE), "only {} may hold `unsafe`: {with:?}", plan::UNSAFE);
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<String> = sources().into_iter().filter(|file| !file.text.starts_with("//! ")).map(|file| file.name).collect();
    assert!(silent.is_empty(), "files without a module doc (`//!` on the first line): {silent:?}");
}

#[test]
fn nothing_is_left_for_later() {
    let marks = ["TODO", "FIXME", "unimplemented!"];
    let left: Vec<String> = sources().into_iter().filter(|file| marks.iter().any(|mark| file.text.contains(mark))).map(|file| file.name).collect();
    assert!(left.is_empty(), "an issue is the place for what is left: {left:?}");
}

#[test]
fn specifications_are_cited_in_one_form() {
    let mut breaches = Vec::new();
    for file in sources() {
        for comment in &file.comments {
            breaches.extend(wrong_citations(comment).into_iter().map(|wrong| format!("{}: {wrong:?} in {comment:?}", file.name)));
        }
    }
    assert!(breaches.is_empty(), "cite as `SDK C3.2.1 2.5.c`, `AS4 5.1.8`, `RFC 5321 4.5.3.2`:\n{}", breaches.join("\n"));
}

#[test]
fn the_reader_of_sources_sees_what_the_compiler_sees() {
    let file = Source::read(
        PathBuf::from("src/mail/parse.rs"),
        r#"//! A doc about tokio::net.
        use crate::{ident::{MessageId, Domain as D}, xml};
        use super::super::sdk;
        fn f<'a>(c: char) -> &'a str { let _ = c == '"'; b"std::fs \" "; crate::crypto::sha256(b"tokio::spawn") }
        #[cfg(test)]
        mod tests { use std::fs; fn g() { tokio::spawn(); } }
        use std::{io, env};
        "#
        .to_owned(),
    );
    let paths: Vec<String> = file.paths().iter().map(|path| path.join("::")).collect();
    for seen in ["crate::ident::MessageId", "crate::ident::Domain", "crate::xml", "super::super::sdk", "crate::crypto::sha256", "std::io", "std::env"]
    {
        assert!(paths.iter().any(|path| path == seen), "{seen} is missing in {paths:?}");
    }
    assert!(!paths.iter().any(|path| path.contains("tokio") || path.contains("fs")), "{paths:?}");
    let targets: Vec<_> = file.paths().iter().filter_map(|path| file.target(path).map(str::to_owned)).collect();
    assert_eq!(targets, ["ident", "ident", "xml", "sdk", "crypto"]);
}

#[test]
fn wrong_forms_of_citation_are_seen() {
    for wrong in
        ["see C3.2.1 2.5", "SDK C3.2.1 2.5.c, C3.4.6 3.1", "RFC5321 4.5", "RFC 5321 section 4.5", "RFC 5321 §4.5", "rfc 5321", "[B1.3.3 5.3]"]
    {
        assert!(!wrong_citations(wrong).is_empty(), "{wrong}");
    }
    for right in [
        "SDK C3.2.1 2.5.c; SDK B1.3.3 5.3 row 13",
        "(RFC 5321 4.5.3.2)",
        "AS4 5.1.8, RFC 3461",
        "not in the RFC; `rfc822;xtext`",
        "MD5 and A4 paper 1.2.3",
    ] {
        assert_eq!(wrong_citations(right), Vec::<String>::new(), "{right}");
    }
}

#[test]
fn the_list_of_specifications_names_what_there_is() {
    let text = std::fs::read_to_string(root().join("docs/specs.md")).unwrap();
    let there = |folder: &str, name: &str| {
        let path = root().join(folder).join(name);
        path.is_dir() || path.with_extension("rs").is_file()
    };
    let mut rows = 0;
    for row in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| section")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 8, "{row}");
        let names = |cell: usize| cells[cell].split('`').skip(1).step_by(2);
        assert!(matches!(cells[3], "yes" | "partial" | "no"), "{row}");
        assert_eq!(cells[3] == "no", names(4).next().is_none(), "what is done has a place, what is not has none: {row}");
        for name in names(4).filter(|_| cells[3] == "yes") {
            assert!(there("src", name), "src/{name} is not there: {row}");
        }
        for name in names(5).filter(|name| *name != "unit" && cells[3] == "yes") {
            assert!(there("tests", name), "tests/{name} is not there: {row}");
        }
        rows += 1;
    }
    assert!(rows > 40);
}

/// Module names with their layer, from the table in `src/lib.rs`.
fn layers() -> BTreeMap<String, u8> {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mut layers = BTreeMap::new();
    for line in text.lines() {
        let Some(row) = line.strip_prefix("//! | ") else { continue };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let Some(layer) = cells[0].split(' ').next().and_then(|number| number.parse().ok()) else { continue };
        for name in cells[1].split('`').skip(1).step_by(2) {
            layers.insert(name.to_owned(), layer);
        }
    }
    assert!(layers.len() >= 15 && layers["ident"] == 0 && layers["cli"] == 6, "the table of src/lib.rs is not as expected: {layers:?}");
    layers
}

/// The crates that only the feature `daemon` brings, as they are written in code.
fn daemon_crates() -> Vec<String> {
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let crates = manifest["features"]["daemon"].as_array().unwrap().iter().filter_map(|entry| entry.as_str()?.strip_prefix("dep:"));
    crates.map(|name| name.replace('-', "_")).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under `src` but the binary's.
fn sources() -> Vec<Source> {
    fn walk(folder: &Path, into: &mut Vec<Source>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                into.push(Source::read(path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    let mut sources = Vec::new();
    walk(&root().join("src"), &mut sources);
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(sources.iter().any(|file| file.name == "src/lib.rs"), "no sources were found");
    sources
}

/// One source file, cut into code and comments.
struct Source {
    name: String,
    text: String,
    /// Identifiers and single punctuation marks; literals and test items are left out, `::` is one token.
    code: Vec<String>,
    comments: Vec<String>,
}

impl Source {
    fn read(path: PathBuf, text: String) -> Self {
        let (code, comments) = lex(&text);
        let name = path.to_string_lossy().replace('\\', "/");
        let code = if name.ends_with("/tests.rs") || name.contains("/tests/") { Vec::new() } else { without_tests(&code) };
        Self { name, text, code, comments }
    }

    /// The module directly under the crate that the file belongs to; none for `lib.rs` and `main.rs`.
    fn module(&self) -> Option<&str> {
        let inner = self.name.strip_prefix("src/")?;
        let module = inner.split('/').next()?.trim_end_matches(".rs");
        (!matches!(module, "lib" | "main")).then_some(module)
    }

    /// How many modules lie between the crate and the file's own items: 1 for `src/ident.rs` and `src/mail/mod.rs`.
    fn depth(&self) -> usize {
        self.name.split('/').count() - 1 - usize::from(self.name.ends_with("/mod.rs"))
    }

    /// The crate's module that a path leads to.
    fn target<'a>(&self, path: &'a [String]) -> Option<&'a str> {
        let supers = path.iter().take_while(|part| *part == "super").count();
        let at = if path.first().is_some_and(|part| part == "crate") {
            1
        } else if supers > 0 && supers >= self.depth() {
            supers
        } else {
            return None;
        };
        path.get(at).map(String::as_str)
    }

    /// Every path that the code names, the trees of `use` spread out.
    fn paths(&self) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        let mut at = 0;
        while at < self.code.len() {
            if is_word(&self.code[at]) {
                at = spread(&self.code, at, &[], &mut paths);
            } else {
                at += 1;
            }
        }
        paths
    }
}

/// Reads a path, or the tree `a::{b, c::d}`, from `at` on; where it ends.
fn spread(code: &[String], mut at: usize, before: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    loop {
        match code.get(at).map(String::as_str) {
            Some("{") if !path.is_empty() => {
                at += 1;
                while code.get(at).is_some_and(|token| token != "}") {
                    if is_word(&code[at]) {
                        at = spread(code, at, &path, paths);
                        if code.get(at).is_some_and(|token| token == "as") {
                            at += 2;
                        }
                    } else {
                        at += 1;
                    }
                }
                return at + 1;
            }
            Some(word) if is_word(word) => {
                path.push(word.to_owned());
                at += 1;
            }
            _ => break,
        }
        if code.get(at).is_none_or(|token| token != "::") {
            break;
        }
        at += 1;
    }
    paths.push(path);
    at
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Code tokens and comments. Knows line and block comments, strings, raw strings, characters and lifetimes.
fn lex(text: &str) -> (Vec<String>, Vec<String>) {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut comments, mut at) = (Vec::new(), Vec::new(), 0);
    let until = |from: usize, end: &str| {
        let end: Vec<char> = end.chars().collect();
        (from..chars.len()).find(|&i| chars[i..].starts_with(&end)).unwrap_or(chars.len())
    };
    while at < chars.len() {
        let (this, next) = (chars[at], chars.get(at + 1).copied().unwrap_or(' '));
        match (this, next) {
            ('/', '/') => {
                let end = until(at, "\n");
                comments.push(chars[at..end].iter().collect::<String>().trim_start_matches(['/', '!', ' ']).to_owned());
                at = end;
            }
            ('/', '*') => at = until(at, "*/") + 2,
            ('"', _) => at = after_string(&chars, at + 1),
            ('\'', '\\') => at = until(at + 3, "'") + 1,
            ('\'', _) => at += if chars.get(at + 2) == Some(&'\'') { 3 } else { 2 },
            (':', ':') => {
                code.push("::".to_owned());
                at += 2;
            }
            (c, _) if c.is_alphanumeric() || c == '_' => {
                let end = (at..chars.len()).find(|&i| !(chars[i].is_alphanumeric() || chars[i] == '_')).unwrap_or(chars.len());
                let word: String = chars[at..end].iter().collect();
                let hashes = chars[end..].iter().take_while(|c| **c == '#').count();
                if matches!(word.as_str(), "r" | "br" | "cr") && chars.get(end + hashes) == Some(&'"') {
                    at = until(end + hashes + 1, &format!("\"{}", "#".repeat(hashes))) + hashes + 1;
                } else {
                    code.push(word);
                    at = end;
                }
            }
            (c, _) => {
                if !c.is_whitespace() {
                    code.push(c.to_string());
                }
                at += 1;
            }
        }
    }
    (code, comments)
}

fn after_string(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The tokens without items under `#[cfg(test)]` or `#[cfg(all(test, ..))]`.
fn without_tests(code: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut at = 0;
    let starts = |at: usize, with: &[&str]| code[at..].iter().map(String::as_str).take(with.len()).eq(with.iter().copied());
    while at < code.len() {
        if starts(at, &["#", "[", "cfg", "(", "test", ")"]) || starts(at, &["#", "[", "cfg", "(", "all", "(", "test"]) {
            let mut depth = 0_i32;
            let mut braces = false;
            at = (at..code.len()).find(|&i| code[i] == "]").map_or(code.len(), |i| i + 1);
            while at < code.len() {
                match code[at].as_str() {
                    "{" | "(" | "[" => depth += 1,
                    "}" | ")" | "]" => depth -= 1,
                    _ => {}
                }
                braces |= code[at] == "{";
                at += 1;
                let last = code[at - 1].as_str();
                if depth == 0 && (last == ";" || (braces && last == "}")) {
                    break;
                }
            }
        } else {
            kept.push(code[at].clone());
            at += 1;
        }
    }
    kept
}

/// Citations in a comment that have another form than the one that can be searched for.
fn wrong_citations(comment: &str) -> Vec<String> {
    let words: Vec<&str> = comment.split([' ', '(', ')', '[', ']', '`', '|', '/']).filter(|word| !word.is_empty()).collect();
    let mut wrong = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let bare = word.trim_matches([',', ';', ':', '.', '"']);
        let before = i.checked_sub(1).map_or("", |i| words[i]);
        let after = words.get(i + 1).copied().unwrap_or("");
        if is_document(bare) && before != "SDK" {
            wrong.push(format!("{before} {bare}"));
        }
        // `rfc822` is a word of RFC 3461; a sentence may speak of "the RFC".
        let rfc = bare.get(..3).filter(|head| head.eq_ignore_ascii_case("rfc") && !bare.starts_with("rfc822"));
        let Some((head, number)) = rfc.and_then(|head| Some((head, bare.get(3..)?.trim_start_matches('-')))) else { continue };
        let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let place = words.get(i + 2).copied().unwrap_or("");
        if is_number(number)
            || (number.is_empty() && is_number(after) && (head != "RFC" || place.eq_ignore_ascii_case("section") || place.starts_with('§')))
        {
            wrong.push(format!("{bare} {after} {place}"));
        }
    }
    wrong
}

/// Whether a word is the number of a document of SDK, such as `C3.2.1` or `B1.4.2`.
fn is_document(word: &str) -> bool {
    let mut parts = word.split('.');
    let head = parts.next().unwrap_or("");
    let digits = |part: &str| !part.is_empty() && part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit());
    head.len() == 2
        && matches!(head.as_bytes()[0], b'B' | b'C')
        && digits(&head[1..])
        && (1..=2).contains(&word.matches('.').count())
        && parts.all(digits)
}
