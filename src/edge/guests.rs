//! So many of each at once: of a client's requests, of a mailbox's mails.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who is here, and how many times.
#[derive(Debug)]
pub struct Guests<K> {
    present: Arc<Mutex<HashMap<K, usize>>>,
}

/// One place; given back when dropped.
#[derive(Debug)]
pub struct Guest<K: Eq + Hash> {
    present: Arc<Mutex<HashMap<K, usize>>>,
    who: K,
}

impl<K> Default for Guests<K> {
    fn default() -> Self {
        Self { present: Arc::default() }
    }
}

impl<K: Eq + Hash + Clone> Guests<K> {
    /// Lets one more in, if there are not that many of them.
    #[must_use]
    pub fn enter(&self, who: K, most: usize) -> Option<Guest<K>> {
        let mut present = lock(&self.present);
        let number = present.entry(who.clone()).or_default();
        if *number >= most {
            return None;
        }
        *number += 1;
        drop(present);
        Some(Guest { present: Arc::clone(&self.present), who })
    }
}

impl<K: Eq + Hash> Drop for Guest<K> {
    fn drop(&mut self) {
        let mut present = lock(&self.present);
        if let Some(number) = present.get_mut(&self.who) {
            *number -= 1;
            if *number == 0 {
                present.remove(&self.who);
            }
        }
    }
}

fn lock<K>(present: &Mutex<HashMap<K, usize>>) -> MutexGuard<'_, HashMap<K, usize>> {
    present.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_places_and_nobody_is_remembered() {
        let guests = Guests::default();
        let places: Vec<_> = (0..3).map(|_| guests.enter("a", 2)).collect();
        assert_eq!(places.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
        assert!(guests.enter("b", 2).is_some());
        drop(places);
        assert!(guests.enter("a", 1).is_some());
        assert!(guests.enter("a", 0).is_none(), "no place at all");
        assert!(lock(&guests.present).get("b").is_none());
    }
}
