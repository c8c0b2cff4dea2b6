//! Everything that a store keeps, for who takes it elsewhere.

use super::SledStore;
use super::index::IndexError;
use crate::port::StoreError;
use crate::store::journal::Change;

/// Why it ended before its end.
enum Ended<E> {
    Index(IndexError),
    Taker(E),
}

impl<E> From<IndexError> for Ended<E> {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl SledStore {
    /// Hands out every record, note and job. What changes meanwhile is handed out as it was or as it is.
    pub(in crate::store) fn each<E: From<StoreError>>(&self, mut take: impl FnMut(&Change) -> Result<(), E>) -> Result<(), E> {
        let broken = |error: IndexError| E::from(StoreError::Broken(error.to_string()));
        let index = self.shared.index().map_err(broken)?;
        index.each(|change| take(change).map_err(Ended::Taker)).map_err(|ended| match ended {
            Ended::Index(error) => broken(error),
            Ended::Taker(error) => error,
        })
    }
}
