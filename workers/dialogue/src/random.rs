//! Counter-based random numbers: a number is a pure function of its key and position, so it does not depend on what
//! else was drawn, in which order, or by how many threads.

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

/// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A hash of words in their order.
#[must_use]
pub fn hash(words: &[u64]) -> u64 {
    words.iter().fold(0x243f_6a88_85a3_08d3, |state, word| {
        mix(mix(state ^ *word).wrapping_add(0x9e37_79b9_7f4a_7c15))
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
