//! `-min(r A, clip(r, 1 - low, 1 + high) A)` with `r = exp(new - old)` and `new - old` cut at ±20 (PPO, arXiv 1707.06347;
//! asymmetric clip, arXiv 2503.14476).

use super::{Loss, Terms};
use crate::batch::Columns;

pub(super) struct PpoClip {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Loss for PpoClip {
    fn terms(&self, columns: &Columns<'_>) -> Terms {
        let ratio = columns.log_ratio().exp();
        let free = &ratio * columns.advantage;
        let cut = ratio.clamp(1.0 - self.low, 1.0 + self.high) * columns.advantage;
        Terms {
            loss: -free.minimum(&cut),
            clipped: tch::no_grad(|| cut.lt_tensor(&free)),
        }
    }
}
