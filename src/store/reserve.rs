//! Free space that is kept beside what the gateway keeps.

use std::path::Path;

use super::store_error;
use crate::port::StoreError;

/// Free space that is kept on a file system: so many octets, and an inode for each 64 KiB of them where their number is fixed.
///
/// With less of it nothing new is begun. What was begun goes on, and so ends and is deleted, until a quarter is left: that is for
/// the journal and the index, to be put right in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserve(u64);

/// What a file system has free for us.
#[derive(Debug, Clone, Copy)]
struct Free {
    octets: u64,
    /// None where they are made as they are needed.
    inodes: Option<u64>,
}

impl Reserve {
    /// The least that the journal and the index can be put right in.
    pub const LEAST: Self = Self(16 * 1024 * 1024);

    /// Octets of a file that is neither large nor small.
    const FILE: u64 = 64 * 1024;

    /// So many octets.
    #[must_use]
    pub const fn of(octets: u64) -> Self {
        Self(octets)
    }

    /// In octets.
    #[must_use]
    pub const fn octets(self) -> u64 {
        self.0
    }

    /// What is kept when what has been begun goes on.
    const fn last(self) -> Self {
        Self(self.0 / 4)
    }

    /// [`StoreError::Full`] where so many octets of something new would touch it.
    pub fn admits_new(self, dir: &Path, octets: u64) -> Result<(), StoreError> {
        self.within(dir, octets)
    }

    /// [`StoreError::Full`] where so many octets of what was begun would touch its last quarter.
    pub(super) fn admits_work(self, dir: &Path, octets: u64) -> Result<(), StoreError> {
        self.last().within(dir, octets)
    }

    fn within(self, dir: &Path, octets: u64) -> Result<(), StoreError> {
        let free = Free::of(dir).map_err(|error| store_error("asking for free space of", dir, &error))?;
        if self.fits(free, octets) { Ok(()) } else { Err(StoreError::Full) }
    }

    fn fits(self, free: Free, octets: u64) -> bool {
        free.octets >= self.0.saturating_add(octets) && free.inodes.is_none_or(|inodes| inodes >= self.0 / Self::FILE)
    }
}

impl Default for Reserve {
    /// As much as a message of 30 MB needs on its way, some times over.
    fn default() -> Self {
        Self(256 * 1000 * 1000)
    }
}

impl Free {
    fn of(dir: &Path) -> std::io::Result<Self> {
        let numbers = rustix::fs::statvfs(dir)?;
        let inodes = (numbers.f_files > 0).then_some(numbers.f_favail);
        Ok(Self { octets: numbers.f_bavail.saturating_mul(numbers.f_frsize), inodes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn what_is_begun_may_use_three_quarters_of_what_nothing_new_may_touch() {
        let (reserve, free) = (Reserve::of(64 * MIB), |mib| Free { octets: mib * MIB, inodes: None });
        assert!(reserve.fits(free(64), 0) && !reserve.fits(free(64), 1) && !reserve.fits(free(63), 0));
        assert!(reserve.last().fits(free(64), 48 * MIB) && !reserve.last().fits(free(64), 48 * MIB + 1));
        assert!(reserve.last().fits(free(16), 0) && !reserve.last().fits(free(15), 0));
        assert!(!reserve.fits(free(64), u64::MAX));
    }

    #[test]
    fn inodes_are_kept_too_where_their_number_is_fixed() {
        let (reserve, free) = (Reserve::of(64 * MIB), |inodes| Free { octets: u64::MAX, inodes: Some(inodes) });
        assert!(reserve.fits(free(1_024), MIB) && !reserve.fits(free(1_023), MIB));
        assert!(reserve.last().fits(free(256), MIB) && !reserve.last().fits(free(255), MIB));
    }

    #[test]
    fn a_file_system_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Reserve::of(0).admits_new(dir.path(), 0).is_ok());
        assert!(matches!(Reserve::of(u64::MAX).admits_new(dir.path(), 0), Err(StoreError::Full)));
        assert!(matches!(Reserve::of(u64::MAX).admits_work(dir.path(), 0), Err(StoreError::Full)));
        assert!(matches!(Reserve::of(0).admits_new(&dir.path().join("none"), 0), Err(StoreError::Broken(_))));
    }
}
