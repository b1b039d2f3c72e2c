//! Keys and values of one sequence, in blocks of 32 positions laid out for the attention kernel.

/// Positions of a block.
pub(super) const BLOCK: usize = 32;

/// One slot: the cache of each layer and key head, and the sampled id that no forward pass has seen yet.
///
/// The lanes hold the keys and values of all of `seen`, also after `clear`, so that another sequence with the same
/// beginning can take them over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot {
    /// One buffer a (layer, key head). A block is its keys `[width][BLOCK]`, then its values `[BLOCK][width]`.
    pub(super) lanes: Vec<Vec<f32>>,
    /// Positions of the sequence that are cached.
    pub(super) cached: usize,
    /// Ids whose keys and values lie in the lanes; at least `cached` many.
    pub(super) seen: Vec<u32>,
    /// The last sampled id.
    pub(super) pending: Option<u32>,
}

impl Slot {
    /// Ids of the sequence.
    pub(super) fn len(&self) -> usize {
        self.cached + usize::from(self.pending.is_some())
    }

    /// Empties it and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.cached = 0;
        self.pending = None;
    }

    /// Makes room for `positions` in every lane.
    pub(super) fn reserve(&mut self, lanes: usize, width: usize, positions: usize) {
        self.lanes.resize_with(lanes, Vec::new);
        let floats = positions.div_ceil(BLOCK) * 2 * BLOCK * width;
        for lane in &mut self.lanes {
            if lane.len() < floats {
                lane.resize(floats, 0.0);
            }
        }
    }

    /// Writes one position's key and value.
    pub(super) fn put(lane: &mut [f32], width: usize, position: usize, key: &[f32], value: &[f32]) {
        let (block, at) = (position / BLOCK, position % BLOCK);
        let start = block * 2 * BLOCK * width;
        for (i, k) in key.iter().enumerate() {
            lane[start + i * BLOCK + at] = *k;
        }
        let start = start + BLOCK * width + at * width;
        lane[start..start + width].copy_from_slice(value);
    }

    /// Begins a sequence with the first `positions` ids that the lanes hold.
    pub(super) fn begin(&mut self, positions: usize) {
        self.seen.truncate(positions);
        self.cached = positions;
        self.pending = None;
    }

    /// Begins a sequence with the first `positions` ids of another slot.
    pub(super) fn begin_as(&mut self, other: &Self, width: usize, positions: usize) {
        let floats = positions.div_ceil(BLOCK) * 2 * BLOCK * width;
        self.lanes.resize_with(other.lanes.len(), Vec::new);
        for (to, from) in self.lanes.iter_mut().zip(&other.lanes) {
            let part = &from[..floats.min(from.len())];
            to.clear();
            to.extend_from_slice(part);
        }
        self.seen.clear();
        self.seen.extend_from_slice(&other.seen[..positions]);
        self.cached = positions;
        self.pending = None;
    }
}
