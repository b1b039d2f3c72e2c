//! Numbers drawn from names: the same names give the same number, on every machine and in every order of work.

use sha2::{Digest, Sha256};

/// Draws a number of 52 bits.
#[must_use]
pub fn draw(names: &[&str]) -> u64 {
    let hash = Sha256::digest(names.join("\u{1f}").as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash[..8]);
    u64::from_le_bytes(bytes) >> 12
}

/// Draws the seed of one model request: 31 bits, which every endpoint takes.
#[must_use]
pub fn request_seed(names: &[&str]) -> u64 {
    draw(names) >> 21
}
