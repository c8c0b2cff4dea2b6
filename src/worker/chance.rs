//! What nobody can foretell: new names, jitter.
//!
//! Tests that play a whole gateway through (`tests/schedules`) fix it for their thread, so that a seed is one history.

use uuid::Uuid;

/// A new name.
pub(super) fn fresh() -> Uuid {
    #[cfg(feature = "failpoints")]
    if let Some(fixed) = fixed::next() {
        return fixed;
    }
    Uuid::new_v4()
}

/// Any number.
pub(super) fn number() -> u64 {
    fresh().as_u64_pair().1
}

/// Whether work that computes is done where it is asked for, and not on a thread of its own.
pub(super) fn is_fixed() -> bool {
    #[cfg(feature = "failpoints")]
    return fixed::is();
    #[cfg(not(feature = "failpoints"))]
    false
}

#[cfg(feature = "failpoints")]
pub(super) mod fixed {
    use std::cell::Cell;

    use uuid::Uuid;

    thread_local! {
        static SEED: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// From here on every name and number of the gateways that this thread runs follows from the seed, and what
    /// computes is done by this thread; `None` ends it. The runtime must have no other thread.
    pub fn fix_chance(seed: Option<u64>) {
        SEED.set(seed);
    }

    pub(super) fn is() -> bool {
        SEED.get().is_some()
    }

    pub(super) fn next() -> Option<Uuid> {
        let (high, low) = (split_mix()?, split_mix()?);
        Some(uuid::Builder::from_random_bytes(((u128::from(high) << 64) | u128::from(low)).to_be_bytes()).into_uuid())
    }

    /// SplitMix64.
    fn split_mix() -> Option<u64> {
        let state = SEED.get()?.wrapping_add(0x9e37_79b9_7f4a_7c15);
        SEED.set(Some(state));
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(z ^ (z >> 31))
    }
}

#[cfg(all(test, feature = "failpoints"))]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_names_again_and_without_one_there_are_new_ones() {
        let three = |seed| {
            fixed::fix_chance(seed);
            let names = [fresh(), fresh(), fresh()];
            fixed::fix_chance(None);
            names
        };
        let (first, again, other, free) = (three(Some(1)), three(Some(1)), three(Some(2)), three(None));
        assert!(first == again && first != other && free != three(None));
        assert!(first[0] != first[1] && first.iter().all(|name| name.get_version_num() == 4));
    }
}
