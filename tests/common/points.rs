//! The named points of the program, read from its source, and where they are tried.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Steps that write bodies before they are applied.
const WITH_BODIES: [&str; 6] = ["seal", "send", "receive", "open", "open.receipt", "answer"];

/// Every point that the program can be ended at, by name.
pub fn all() -> Vec<String> {
    let mut names = BTreeSet::new();
    for source in sources("src") {
        of_source(&text(&source), &mut names);
    }
    names.into_iter().collect()
}

/// Whether a point lies in the store or the spool, where a step or a body becomes durable, or in a tool that fills or copies them.
pub fn is_of_disk(name: &str) -> bool {
    ["store.", "spool.", "import.", "backup.", "restore."].iter().any(|place| name.starts_with(place))
}

/// The sources below a folder of the project, but for this one.
fn sources(folder: &str) -> impl Iterator<Item = PathBuf> {
    let all = super::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).into_iter();
    all.filter(|path| path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("common/points.rs"))
}

fn text(source: &Path) -> String {
    std::fs::read_to_string(source).unwrap()
}

/// The points of a source: `carry_out("seal", …)`, `point("send", "before-push")`, `fail_point!("spool.sync")`.
fn of_source(text: &str, names: &mut BTreeSet<String>) {
    for step in after(text, "carry_out(\"").chain(after(text, "with_incoming(id, \"")) {
        let effects = ["begin", "applied", "done"].into_iter().chain(WITH_BODIES.contains(&step).then_some("blob"));
        names.extend(effects.map(|effect| format!("{step}.{effect}")));
    }
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("point(\"") {
        let mut parts = after.splitn(5, '"');
        if let (Some(step), Some(", "), Some(effect)) = (parts.next(), parts.next(), parts.next()) {
            names.insert(format!("{step}.{effect}"));
        }
        rest = after;
    }
    names.extend(after(text, "fail_point!(\"").map(ToOwned::to_owned));
}

/// Where a name is made by the program: of the points themselves, and of what is no point but a lever of tests.
const MADE: [&str; 8] = [
    "with_incoming(&self",
    "carry_out(&self, name: &str",
    "carry_out(name, step(",
    "point(name: &str, effect",
    "point(name, \"",
    "eval(&format!(\"{name}.{effect}\")",
    "eval(\"purge.day\"",
    "eval(\"store.postgres.migration\"",
];

/// Points in the source whose names cannot be read there.
pub fn unread() -> Vec<String> {
    let mut found = Vec::new();
    for path in sources("src") {
        let text = text(&path);
        for call in ["carry_out(", "with_incoming(", "fail_point!(", " point(", "fail::eval("] {
            for (at, _) in text.match_indices(call) {
                let rest = text[at..].trim_start().trim_start_matches("fail::");
                let is_named = rest.split_once('(').is_some_and(|(_, rest)| rest.trim_start_matches("id, ").starts_with('"'));
                let is_made = MADE.iter().any(|own| rest.starts_with(own));
                if !is_made && (!is_named || call == "fail::eval(") {
                    found.push(format!("{}: {}", path.display(), rest.lines().next().unwrap_or_default()));
                }
            }
        }
    }
    found
}

/// The texts between this and the next quote.
fn after<'a>(text: &'a str, begin: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(begin).skip(1).filter_map(|rest| rest.split('"').next())
}

/// Whether a test elsewhere than here names a point.
pub fn is_in_a_test(name: &str) -> bool {
    let quoted = format!("\"{name}");
    sources("tests").any(|path| text(&path).contains(&quoted))
}
