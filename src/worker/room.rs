//! Room in memory: messages that a step must hold whole are admitted by their octets.
//!
//! An envelope is verified and decrypted on trees of the whole document, and a mail is taken apart and put together in
//! memory, at several times its size. So many messages at once would need more memory than there is; here they wait for
//! one another instead. Of those who wait the organisation that holds least comes first, and of one organisation who came
//! first: one that floods the gateway waits for itself. Nobody slips past whose turn it is, so that a large one is not kept
//! waiting by small ones for ever; one that is larger than all the room runs alone.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::failure::{Blame, Failure, Stage};
use crate::ident::ParticipantId;

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
#[derive(Debug, Clone)]
pub struct Room {
    inside: Arc<Mutex<Inside>>,
    all: u64,
}

/// Who has what, and who waits.
#[derive(Debug)]
struct Inside {
    free: u64,
    held: HashMap<String, u64>,
    /// In the order of asking.
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    whose: String,
    pieces: u64,
    call: oneshot::Sender<Held>,
}

/// A part of the room, given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    room: Room,
    whose: String,
    pieces: u64,
}

impl Room {
    /// So many octets.
    #[must_use]
    pub fn of(octets: u64) -> Self {
        let all = (octets / PIECE).max(1);
        Self { inside: Arc::new(Mutex::new(Inside { free: all, held: HashMap::new(), waiting: VecDeque::new() })), all }
    }

    /// Waits until there is room for so many octets of an organisation's, or for as many as there can be.
    pub(super) async fn take(&self, whose: &ParticipantId, octets: u64) -> Result<Held, Failure> {
        let (call, called) = oneshot::channel();
        let pieces = octets.div_ceil(PIECE).clamp(1, self.all);
        self.lock().waiting.push_back(Waiting { whose: whose.folded(), pieces, call });
        self.admit();
        called.await.map_err(|_| Failure::temporary(Stage::Store, Blame::Us, "there is no room in memory"))
    }

    /// Octets that are taken, and all that there are.
    pub(super) fn taken(&self) -> (u64, u64) {
        ((self.all - self.lock().free) * PIECE, self.all * PIECE)
    }

    /// Lets in who is next as long as there is room.
    fn admit(&self) {
        loop {
            let Some(next) = self.lock().next() else { return };
            let Waiting { whose, pieces, call } = next;
            // Who has given up waiting gives it back at once: the lock must be free for that.
            drop(call.send(Held { room: self.clone(), whose, pieces }));
        }
    }

    fn give_back(&self, whose: &str, pieces: u64) {
        let mut inside = self.lock();
        inside.free += pieces;
        if let Some(held) = inside.held.get_mut(whose) {
            *held -= pieces.min(*held);
            if *held == 0 {
                inside.held.remove(whose);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// Takes the room for who is next, if there is enough.
    fn next(&mut self) -> Option<Waiting> {
        self.waiting.retain(|waiting| !waiting.call.is_closed());
        let held = |whose: &str| self.held.get(whose).copied().unwrap_or_default();
        // Of equals the first is found.
        let (place, next) = self.waiting.iter().enumerate().min_by_key(|(_, waiting)| held(&waiting.whose))?;
        if next.pieces > self.free {
            return None;
        }
        let next = self.waiting.remove(place)?;
        self.free -= next.pieces;
        *self.held.entry(next.whose.clone()).or_default() += next.pieces;
        Some(next)
    }
}

impl Held {
    /// Gives back all but so many octets.
    pub(super) fn keep(&mut self, octets: u64) {
        let given = self.pieces.saturating_sub(octets.div_ceil(PIECE).max(1));
        self.pieces -= given;
        self.room.give_back(&self.whose, given);
        self.room.admit();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.give_back(&self.whose, self.pieces);
        self.room.admit();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn own() -> &'static ParticipantId {
        static OWN: std::sync::LazyLock<ParticipantId> = std::sync::LazyLock::new(|| "0203:own.se".parse().unwrap());
        &OWN
    }

    async fn waits<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
        tokio::time::timeout(Duration::from_millis(50), future).await.is_err()
    }

    #[tokio::test]
    async fn what_does_not_fit_waits_and_what_is_given_back_counts() {
        let room = Room::of(100 * PIECE);
        let mut first = room.take(own(), 60 * PIECE).await.unwrap();
        let mut second = std::pin::pin!(room.take(own(), 60 * PIECE));
        assert!(waits(second.as_mut()).await);
        first.keep(40 * PIECE);
        let second = second.await.unwrap();
        let mut third = std::pin::pin!(room.take(own(), 1));
        assert!(waits(third.as_mut()).await);
        drop(second);
        third.await.unwrap();
    }

    #[tokio::test]
    async fn one_larger_than_all_the_room_runs_alone() {
        let room = Room::of(10 * PIECE);
        let small = room.take(own(), PIECE).await.unwrap();
        let mut large = std::pin::pin!(room.take(own(), u64::MAX));
        assert!(waits(large.as_mut()).await);
        drop(small);
        let large = large.await.unwrap();
        let mut next = std::pin::pin!(room.take(own(), 1));
        assert!(waits(next.as_mut()).await);
        drop(large);
        next.await.unwrap();
        Room::of(1).take(own(), 1).await.unwrap();
    }

    #[tokio::test]
    async fn small_ones_do_not_starve_a_large_one() {
        let room = Arc::new(Room::of(10 * PIECE));
        let first = room.take(own(), PIECE).await.unwrap();
        let mut large = std::pin::pin!(room.take(own(), 10 * PIECE));
        assert!(waits(large.as_mut()).await);
        // There is room for it, but the large one was here before.
        let mut small = std::pin::pin!(room.take(own(), PIECE));
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
        let first = room.take(own(), 10 * PIECE).await.unwrap();
        {
            let mut given_up = std::pin::pin!(room.take(own(), 10 * PIECE));
            assert!(waits(given_up.as_mut()).await);
        }
        drop(first);
        room.take(own(), 10 * PIECE).await.unwrap();
    }

    #[tokio::test]
    async fn who_floods_waits_for_itself_and_not_the_others_for_it() {
        let room = Room::of(10 * PIECE);
        let (flood, other): (ParticipantId, ParticipantId) = ("0203:flood.se".parse().unwrap(), "0203:other.se".parse().unwrap());
        let first = room.take(&flood, 6 * PIECE).await.unwrap();
        let mut more: Vec<_> = (0..8).map(|_| Box::pin(room.take(&flood, 6 * PIECE))).collect();
        for one in &mut more {
            assert!(waits(one.as_mut()).await);
        }
        // It came last, and what is free is enough for it.
        let others = room.take(&other, 4 * PIECE).await.unwrap();
        let mut again = std::pin::pin!(room.take(&other, 4 * PIECE));
        assert!(waits(again.as_mut()).await, "there is no room");
        drop(first);
        // Now the flood holds nothing, so it is its turn, once.
        let second = more.remove(0).await.unwrap();
        assert!(waits(again.as_mut()).await && waits(more[0].as_mut()).await);
        drop(others);
        let again = again.await.unwrap();
        drop((second, again, more));
        assert_eq!(room.taken(), (0, 10 * PIECE));
    }

    #[tokio::test]
    async fn everything_is_given_back_whoever_gave_up() {
        let room = Room::of(4 * PIECE);
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..200_u64 {
            let room = room.clone();
            tasks.spawn(async move {
                let whose = format!("0203:a{}.se", number % 3).parse().unwrap();
                let held = tokio::time::timeout(Duration::from_millis(number % 7), room.take(&whose, (number % 6) * PIECE)).await;
                tokio::task::yield_now().await;
                drop(held);
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        assert_eq!(room.taken(), (0, 4 * PIECE));
        assert!(room.lock().held.is_empty() && room.lock().waiting.is_empty());
    }
}
