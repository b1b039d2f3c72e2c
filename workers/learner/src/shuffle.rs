//! Counter-based random numbers: a value depends on its key alone, never on what was drawn before.

use agoge_dialogue::random::{self, GOLDEN};

/// The odd factor that spreads a key over all bits before it is mixed.
const FACTOR: u64 = 0xbf58_476d_1ce4_e5b9;

/// Returns a well-mixed 64-bit value of three keys (the mixing function of SplitMix64 applied along the keys).
#[must_use]
pub fn mix(a: u64, b: u64, c: u64) -> u64 {
    [a, b, c].into_iter().fold(GOLDEN, |z, key| {
        random::mix(z.wrapping_add(key).wrapping_mul(FACTOR) ^ key.rotate_left(32))
    })
}

/// Returns the numbers `0..n` in the order that (seed, round) decides.
#[must_use]
pub fn shuffled(n: usize, seed: u64, round: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|i| (mix(seed, round, *i as u64), *i));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_give_the_numbers_that_runs_were_made_with() {
        assert_eq!(mix(7, 1, 3), 15_893_992_471_828_062_266);
        assert_eq!(shuffled(8, 7, 1), [6, 7, 5, 0, 4, 3, 2, 1]);
    }

    #[test]
    fn an_order_is_a_permutation_that_its_key_alone_decides() {
        let order = shuffled(100, 7, 1);
        assert_eq!(order, shuffled(100, 7, 1));
        assert_ne!(order, shuffled(100, 7, 2));
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }
}
