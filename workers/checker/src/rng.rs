//! Numbers drawn from a seed and a name: the same on every machine and in any order of tasks.
use sha2::{Digest, Sha256};

/// SplitMix64 (Steele, Lea, Flood 2014), keyed by a seed and a name.
pub(crate) struct Rng(u64);

impl Rng {
    pub fn keyed(seed: u64, name: &str) -> Rng {
        let hash = Sha256::digest(format!("{seed}/{name}").as_bytes());
        Rng(hash.iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`, which must not be 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Fisher-Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}
