//! Random numbers that depend on nothing but a key: the same on every machine, whatever was drawn before elsewhere.

pub(crate) use agoge_dialogue::random::Rng;
use sha2::{Digest, Sha256};

/// Returns the generator of a key.
pub(crate) fn keyed(seed: u64, key: &str) -> Rng {
    let digest = Sha256::digest(format!("{seed}/{key}").as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    Rng::new(u64::from_le_bytes(bytes))
}
