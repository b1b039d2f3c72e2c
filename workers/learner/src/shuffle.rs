//! Counter-based random numbers: a value depends on its key alone, never on what was drawn before.

/// Returns a well-mixed 64-bit value of three keys (the finaliser of SplitMix64 applied along the keys).
#[must_use]
pub fn mix(a: u64, b: u64, c: u64) -> u64 {
    let mut z = 0x9e37_79b9_7f4a_7c15u64;
    for key in [a, b, c] {
        z = z.wrapping_add(key).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ key.rotate_left(32);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
    }
    z
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
    fn an_order_is_a_permutation_that_its_key_alone_decides() {
        let order = shuffled(100, 7, 1);
        assert_eq!(order, shuffled(100, 7, 1));
        assert_ne!(order, shuffled(100, 7, 2));
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }
}
