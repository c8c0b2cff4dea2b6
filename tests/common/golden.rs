//! Golden files: what the program makes, held against what it is known to make. `BREVBRO_BLESS=1` writes them anew.

use std::fmt::Write as _;
use std::path::Path;

/// Whether golden files are written instead of compared.
pub fn blessed() -> bool {
    std::env::var_os("BREVBRO_BLESS").is_some()
}

/// A set of golden files.
#[derive(Default)]
pub struct Golden(String);

impl Golden {
    /// Holds `got` against the file.
    pub fn hold(&mut self, path: &Path, got: &str) {
        if blessed() {
            std::fs::write(path, got).unwrap();
        }
        let expected = std::fs::read_to_string(path).unwrap_or_default();
        if expected != got {
            write!(self.0, "=== {}\n--- expected\n{expected}\n--- got\n{got}\n", path.display()).unwrap();
        }
    }

    /// Fails when any differed, with all of them.
    pub fn settle(self) {
        assert!(self.0.is_empty(), "{}", self.0);
    }
}
