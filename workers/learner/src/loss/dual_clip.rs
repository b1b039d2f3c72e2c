//! The clipped loss of PPO, at most `-c A` where `A < 0`: a token that became far likelier than when it was sampled cannot
//! outweigh all others (dual-clip PPO, arXiv 1912.09729).

use super::ppo_clip::PpoClip;
use super::{Loss, Terms};
use crate::batch::Columns;

pub(super) struct DualClip {
    pub(super) clip: PpoClip,
    pub(super) bound: f64,
}

impl Loss for DualClip {
    fn terms(&self, columns: &Columns<'_>) -> Terms {
        let Terms { loss, clipped } = self.clip.terms(columns);
        let bound = columns.advantage * -self.bound;
        let bounded = tch::no_grad(|| {
            let negative = columns.advantage.lt(0.0);
            loss.gt_tensor(&bound).logical_and(&negative)
        });
        Terms {
            loss: bound.where_self(&bounded, &loss),
            clipped: clipped.logical_or(&bounded),
        }
    }
}
