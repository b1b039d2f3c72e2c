//! Random numbers that depend on a seed and a name: the same on every machine and in any order of tasks.

pub(crate) use agoge_dialogue::random::Rng;
use sha2::{Digest, Sha256};

/// Returns the generator of a seed and a name.
pub(crate) fn keyed(seed: u64, name: &str) -> Rng {
    let digest = Sha256::digest(format!("{seed}/{name}").as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    Rng::new(u64::from_be_bytes(bytes))
}
