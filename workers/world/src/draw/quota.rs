//! The number of tasks of each cell: shares by weight, limited by what there is.

use agoge_dialogue::random::Rng;

use super::cell::Cell;
use crate::task::Mix;

/// The largest share of corners in [`Mix::Natural`], and of refusals in [`Mix::EvenBranches`].
const RARE: f64 = 0.15;

/// Returns for each cell true if it is a rare one, and its exact share of `n`. The shares of rare cells sum to a whole number.
pub(super) fn shares(cells: &[Cell<'_>], mix: Mix, n: usize) -> Vec<(bool, f64)> {
    let rare = |cell: &Cell<'_>| match mix {
        Mix::Natural => cell.branch.corner,
        Mix::EvenBranches => cell.branch.refusal,
    };
    let weight = |cell: &Cell<'_>| match mix {
        Mix::Natural => cell.branch.weight.max(1e-6),
        Mix::EvenBranches => 1.0,
    };
    let mass = |class: bool| -> f64 { cells.iter().filter(|c| rare(c) == class).map(weight).sum() };
    let (rares, others) = (mass(true), mass(false));
    let rare_n = if others > 0.0 {
        let wanted = (rares / (rares + others) * n as f64).round();
        wanted.min((RARE * n as f64).floor())
    } else {
        n as f64
    };
    let share = |cell: &Cell<'_>| match rare(cell) {
        true => (true, weight(cell) / rares * rare_n),
        false => (false, weight(cell) / others * (n as f64 - rare_n)),
    };
    cells.iter().map(share).collect()
}

/// Returns the number of tasks of each cell, `n` in all: shares by largest remainders, ties by the seed.
pub(super) fn quotas(cells: &[Cell<'_>], mix: Mix, seed: u64, n: usize) -> Vec<usize> {
    let shares = shares(cells, mix, n);
    let mut counts: Vec<usize> = shares
        .iter()
        .map(|(_, share)| share.floor() as usize)
        .collect();
    for class in [true, false] {
        let mut members: Vec<usize> = (0..cells.len()).filter(|i| shares[*i].0 == class).collect();
        let whole: f64 = members.iter().map(|i| shares[*i].1).sum();
        let given: usize = members.iter().map(|i| counts[*i]).sum();
        Rng::keyed_le(seed, "remainders").shuffle(&mut members);
        members.sort_by(|a, b| shares[*b].1.fract().total_cmp(&shares[*a].1.fract()));
        for i in members
            .iter()
            .cycle()
            .take((whole.round() as usize).saturating_sub(given))
        {
            counts[*i] += 1;
        }
    }
    counts
}

/// The largest `n` that every cell can fill, whatever the seed.
pub(super) fn largest(cells: &[Cell<'_>], mix: Mix) -> usize {
    let room: Vec<usize> = cells.iter().map(Cell::capacity).collect();
    let fits = |n: usize| {
        let mut shares = shares(cells, mix, n).into_iter().zip(&room);
        shares.all(|((_, share), room)| (share - 1e-9).ceil() as usize <= *room)
    };
    let (mut low, mut high) = (0, room.iter().sum::<usize>() + 1);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}
