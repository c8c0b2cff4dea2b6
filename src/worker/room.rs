//! Room in memory: messages that a step must hold whole are admitted by their octets.
//!
//! An envelope is verified and decrypted on trees of the whole document, and a mail is taken apart and put together in
//! memory, at several times its size. So many messages at once would need more memory than there is; here they wait for
//! one another instead. Who waits is served in the order of asking: small ones do not slip past a large one for ever,
//! and one that is larger than all the room runs alone.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::{Blame, Failure, Stage};

/// Octets that are counted as one.
const PIECE: u64 = 64 * 1024;

/// What holds a message whole, and how many times its size the step needs at its height: measured (docs/performance.md)
/// and rounded up. The size is that of the blob that the step begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holding {
    /// A mail that is judged in the SMTP dialogue.
    Mail,
    /// A mail that becomes an envelope.
    Sealing,
    /// An envelope that is opened.
    Opening,
    /// An SDK message that becomes a mail.
    Rendering,
    /// A blob and nothing more.
    Blob,
}

impl Holding {
    const fn factor(self) -> u64 {
        match self {
            Self::Mail => 4,
            Self::Sealing => 10,
            Self::Opening => 7,
            Self::Rendering => 6,
            Self::Blob => 1,
        }
    }

    /// The octets that the step needs for a blob of so many.
    pub(super) const fn need(self, octets: u64) -> u64 {
        octets.saturating_mul(self.factor())
    }
}

/// The memory that all messages together may take.
#[derive(Debug)]
pub struct Room {
    pieces: Arc<Semaphore>,
    all: u32,
}

/// A part of the room, given back when dropped.
#[derive(Debug)]
pub(super) struct Held(OwnedSemaphorePermit);

impl Room {
    /// So many octets.
    #[must_use]
    pub fn of(octets: u64) -> Self {
        let all = u32::try_from(octets / PIECE).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 4);
        Self { pieces: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// Waits until there is room for so many octets, or for as many as there can be.
    pub(super) async fn take(&self, octets: u64) -> Result<Held, Failure> {
        let pieces = u32::try_from(octets.div_ceil(PIECE)).unwrap_or(u32::MAX).clamp(1, self.all);
        let held = Arc::clone(&self.pieces).acquire_many_owned(pieces).await;
        held.map(Held).map_err(|_| Failure::temporary(Stage::Store, Blame::Us, "there is no room in memory"))
    }
}

impl Held {
    /// Gives back all but so many octets.
    pub(super) fn keep(&mut self, octets: u64) {
        let keep = usize::try_from(octets.div_ceil(PIECE)).unwrap_or(usize::MAX);
        drop(self.0.split(self.0.num_permits().saturating_sub(keep.max(1))));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn waits<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
        tokio::time::timeout(Duration::from_millis(50), future).await.is_err()
    }

    #[tokio::test]
    async fn what_does_not_fit_waits_and_what_is_given_back_counts() {
        let room = Room::of(100 * PIECE);
        let mut first = room.take(60 * PIECE).await.unwrap();
        let mut second = std::pin::pin!(room.take(60 * PIECE));
        assert!(waits(second.as_mut()).await);
        first.keep(40 * PIECE);
        let second = second.await.unwrap();
        let mut third = std::pin::pin!(room.take(1));
        assert!(waits(third.as_mut()).await);
        drop(second);
        third.await.unwrap();
    }

    #[tokio::test]
    async fn one_larger_than_all_the_room_runs_alone() {
        let room = Room::of(10 * PIECE);
        let small = room.take(PIECE).await.unwrap();
        let mut large = std::pin::pin!(room.take(u64::MAX));
        assert!(waits(large.as_mut()).await);
        drop(small);
        let large = large.await.unwrap();
        let mut next = std::pin::pin!(room.take(1));
        assert!(waits(next.as_mut()).await);
        drop(large);
        next.await.unwrap();
        Room::of(1).take(1).await.unwrap();
    }

    #[tokio::test]
    async fn small_ones_do_not_starve_a_large_one() {
        let room = Arc::new(Room::of(10 * PIECE));
        let first = room.take(PIECE).await.unwrap();
        let mut large = std::pin::pin!(room.take(10 * PIECE));
        assert!(waits(large.as_mut()).await);
        // There is room for it, but the large one was here before.
        let mut small = std::pin::pin!(room.take(PIECE));
        assert!(waits(small.as_mut()).await);
        drop(first);
        let large = large.await.unwrap();
        assert!(waits(small.as_mut()).await);
        drop(large);
        small.await.unwrap();
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_no_hole() {
        let room = Room::of(10 * PIECE);
        let first = room.take(10 * PIECE).await.unwrap();
        {
            let mut given_up = std::pin::pin!(room.take(10 * PIECE));
            assert!(waits(given_up.as_mut()).await);
        }
        drop(first);
        room.take(10 * PIECE).await.unwrap();
    }
}
