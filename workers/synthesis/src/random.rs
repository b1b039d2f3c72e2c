//! Numbers drawn from names: the same names give the same number, on every machine and in every order of work.

use agoge_dialogue::random::first_bytes;

/// Draws a number of 52 bits.
#[must_use]
pub fn draw(names: &[&str]) -> u64 {
    u64::from_le_bytes(first_bytes(&names.join("\u{1f}"))) >> 12
}

/// Draws the seed of one model request: 31 bits, which every endpoint takes.
#[must_use]
pub fn request_seed(names: &[&str]) -> u64 {
    draw(names) >> 21
}
