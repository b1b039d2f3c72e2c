//! Random numbers that are the same on every machine and in every version, because datasets and rollouts are made with
//! them: SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014) as a generator, and its
//! mixing function on counters.
//!
//! A counter-based number is a pure function of its key and position, so it does not depend on what else was drawn, in
//! which order, or by how many threads.

use sha2::{Digest, Sha256};

/// The key of a sampled turn: the words that each token's random number is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SampleKey {
    /// Seed of the run.
    pub seed: u64,
    /// Training step.
    pub step: u64,
    /// Group within the step.
    pub group: u64,
    /// Member of the group.
    pub member: u64,
    /// Turn of the dialogue.
    pub turn: u64,
}

impl SampleKey {
    /// A number in [0, 1) for the token at `position` of the turn.
    #[must_use]
    pub fn uniform(&self, position: u64) -> f64 {
        unit(hash(&[
            self.seed,
            self.step,
            self.group,
            self.member,
            self.turn,
            position,
        ]))
    }
}

/// The increment of the generator: 2^64 divided by the golden ratio.
pub const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Returns a well-mixed value for each value; different values give different ones.
#[must_use]
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A generator of 64-bit numbers. Not for secrets.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Returns the generator that begins at this state.
    #[must_use]
    pub fn new(state: u64) -> Self {
        Self(state)
    }

    /// Returns the generator of a seed and a key, whose state is the [`first_bytes`] of both in big-endian order.
    #[must_use]
    pub fn keyed_be(seed: u64, key: &str) -> Self {
        Self(u64::from_be_bytes(first_bytes(&format!("{seed}/{key}"))))
    }

    /// Returns the generator of a seed and a key, whose state is the [`first_bytes`] of both in little-endian order.
    #[must_use]
    pub fn keyed_le(seed: u64, key: &str) -> Self {
        Self(u64::from_le_bytes(first_bytes(&format!("{seed}/{key}"))))
    }

    /// Draws a number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// Draws a number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 {
            0
        } else {
            (self.draw() % bound as u64) as usize
        }
    }

    /// Draws one of these items; `None` when there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    /// Puts the items into another order (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// Returns the first eight bytes of a text's SHA-256.
#[must_use]
pub fn first_bytes(text: &str) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&Sha256::digest(text.as_bytes())[..8]);
    bytes
}

/// A hash of words in their order.
#[must_use]
pub fn hash(words: &[u64]) -> u64 {
    words.iter().fold(0x243f_6a88_85a3_08d3, |state, word| {
        mix(mix(state ^ *word).wrapping_add(GOLDEN))
    })
}

/// The upper 53 bits as a number in [0, 1).
#[must_use]
pub fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        let mut rng = Rng::new(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| rng.draw()).collect();
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!(drawn, published);
    }

    #[test]
    fn a_seed_and_a_key_give_the_generators_that_datasets_were_made_with() {
        let mut big = Rng::keyed_be(7, "order");
        assert_eq!(big.draw(), 13_629_514_064_602_802_158);
        let mut little = Rng::keyed_le(7, "order");
        assert_eq!(little.draw(), 16_980_777_818_522_791_282);
    }

    #[test]
    fn an_order_is_a_permutation_and_nothing_is_picked_from_nothing() {
        let mut items: Vec<u32> = (0..50).collect();
        let mut rng = Rng::new(7);
        rng.shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
        assert_eq!(rng.pick::<u32>(&[]), None);
    }

    #[test]
    fn numbers_are_uniform_and_every_word_of_the_key_matters() {
        let key = SampleKey::default();
        let numbers: Vec<f64> = (0..10_000).map(|i| key.uniform(i)).collect();
        for decile in 0..10 {
            let low = f64::from(decile) / 10.0;
            let share = numbers
                .iter()
                .filter(|u| **u >= low && **u < low + 0.1)
                .count();
            assert!((850..1150).contains(&share), "decile {decile}: {share}");
        }
        let others = [
            SampleKey { seed: 1, ..key },
            SampleKey { step: 1, ..key },
            SampleKey { group: 1, ..key },
            SampleKey { member: 1, ..key },
            SampleKey { turn: 1, ..key },
        ];
        for (n, a) in others.iter().enumerate() {
            assert_ne!(a.uniform(0), key.uniform(0));
            for b in &others[..n] {
                assert_ne!(a.uniform(0), b.uniform(0));
            }
        }
    }
}
