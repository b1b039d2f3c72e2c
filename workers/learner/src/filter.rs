//! Dynamic filtering: which groups carry a signal, and the refill that keeps a step's batch full without waste.
//!
//! Groups that pass are kept in the order they came; a surplus is carried to the next step, never thrown away; when
//! the allowed number of generation batches is used up, the step trains on what there is.

use serde::{Deserialize, Serialize};

/// Which groups are worth training on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Rule {
    /// At least two rewards of the group differ by more than 1e-6. The default.
    #[default]
    NonZeroStd,
    /// The group's mean reward lies strictly between the two, and its rewards differ.
    Band {
        /// Above.
        min: f64,
        /// Below.
        max: f64,
    },
    /// Every group is kept, also those whose members all got the same reward.
    None,
}

impl Rule {
    /// Whether a group with these rewards (errored members are `None`) is trained on.
    #[must_use]
    pub fn keeps(self, rewards: &[Option<f64>]) -> bool {
        let valid: Vec<f64> = rewards.iter().flatten().copied().collect();
        let Some(first) = valid.first() else {
            return false;
        };
        let differ = || {
            let (low, high) = valid
                .iter()
                .fold((*first, *first), |(l, h), r| (l.min(*r), h.max(*r)));
            high - low > 1e-6
        };
        match self {
            Self::None => true,
            Self::NonZeroStd => differ(),
            Self::Band { min, max } => {
                let mean = valid.iter().sum::<f64>() / valid.len() as f64;
                differ() && mean > min && mean < max
            }
        }
    }
}

/// What happens when a generation batch keeps too few groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Insufficient {
    /// More are generated, up to the allowed number of batches; then the step trains on what there is. The default.
    #[default]
    Backfill,
    /// Nothing more is generated: groups without a signal fill the step, and count in the denominator of its loss.
    KeepZeroStd,
}

/// What the filter saw in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Groups generated for this step.
    pub generated: usize,
    /// Groups whose rewards were all equal, or that had no reward at all.
    pub discarded: usize,
    /// Groups taken over from the step before.
    pub carried_in: usize,
    /// Generation batches used.
    pub batches: usize,
}

/// A pool that fills one step's batch of groups at a time.
#[derive(Debug)]
pub struct Refill<T> {
    rule: Rule,
    insufficient: Insufficient,
    want: usize,
    max_batches: usize,
    kept: Vec<T>,
    flat: Vec<T>,
    counts: Counts,
}

impl<T> Refill<T> {
    /// A pool for steps of `want` groups, from at most `max_batches` generation batches each.
    #[must_use]
    pub fn new(rule: Rule, insufficient: Insufficient, want: usize, max_batches: usize) -> Self {
        let max_batches = match insufficient {
            Insufficient::Backfill => max_batches.max(1),
            Insufficient::KeepZeroStd => 1,
        };
        Self {
            rule,
            insufficient,
            want: want.max(1),
            max_batches,
            kept: Vec::new(),
            flat: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// How many more groups this step needs, or `None` when it can train (full, or out of generation batches).
    #[must_use]
    pub fn missing(&self) -> Option<usize> {
        let full = self.kept.len() >= self.want || self.counts.batches >= self.max_batches;
        (!full).then(|| self.want - self.kept.len())
    }

    /// Takes one generation batch: groups with their members' rewards.
    pub fn offer(&mut self, batch: impl IntoIterator<Item = (T, Vec<Option<f64>>)>) {
        self.counts.batches += 1;
        for (group, rewards) in batch {
            self.counts.generated += 1;
            if self.rule.keeps(&rewards) {
                self.kept.push(group);
            } else if self.insufficient == Insufficient::KeepZeroStd
                && rewards.iter().any(Option::is_some)
            {
                self.flat.push(group);
            } else {
                self.counts.discarded += 1;
            }
        }
    }

    /// Groups that wait for the next step.
    #[must_use]
    pub fn waiting(&self) -> &[T] {
        &self.kept
    }

    /// Puts back groups that an earlier session carried over.
    pub fn carry(&mut self, groups: impl IntoIterator<Item = T>) {
        self.kept.extend(groups);
        self.counts.carried_in = self.kept.len();
    }

    /// The step's groups, oldest first, and what was seen; a surplus stays for the next step.
    pub fn take(&mut self) -> (Vec<T>, Counts) {
        let room = self.want.saturating_sub(self.kept.len());
        self.counts.discarded += self.flat.len().saturating_sub(room);
        self.kept.extend(self.flat.drain(..).take(room));
        let surplus = self.kept.split_off(self.want.min(self.kept.len()));
        let batch = std::mem::replace(&mut self.kept, surplus);
        let next = Counts {
            carried_in: self.kept.len(),
            ..Counts::default()
        };
        (batch, std::mem::replace(&mut self.counts, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed() -> Vec<Option<f64>> {
        vec![Some(1.0), Some(0.0)]
    }

    fn flat() -> Vec<Option<f64>> {
        vec![Some(1.0), Some(1.0)]
    }

    #[test]
    fn groups_without_signal_are_refilled_and_a_surplus_is_carried_not_lost() {
        let mut pool = Refill::new(Rule::NonZeroStd, Insufficient::Backfill, 2, 10);
        pool.offer([(1, mixed()), (2, flat())]);
        assert_eq!(pool.missing(), Some(1));
        pool.offer([(3, mixed()), (4, mixed())]);
        assert_eq!(pool.missing(), None);
        let (batch, counts) = pool.take();
        assert_eq!(batch, [1, 3]);
        assert_eq!(
            counts,
            Counts {
                generated: 4,
                discarded: 1,
                carried_in: 0,
                batches: 2
            }
        );
        pool.offer([(5, mixed())]);
        let (batch, counts) = pool.take();
        assert_eq!(batch, [4, 5]);
        assert_eq!(counts.carried_in, 1);
    }

    #[test]
    fn an_exhausted_refill_trains_on_what_there_is() {
        let mut pool = Refill::new(Rule::NonZeroStd, Insufficient::Backfill, 4, 2);
        pool.offer([(1, mixed()), (2, flat())]);
        pool.offer([(3, flat())]);
        assert_eq!(pool.missing(), None);
        assert_eq!(pool.take().0, [1]);
    }

    #[test]
    fn groups_without_signal_fill_the_step_when_that_is_asked_for() {
        let mut pool = Refill::new(Rule::NonZeroStd, Insufficient::KeepZeroStd, 3, 10);
        pool.offer([
            (1, flat()),
            (2, mixed()),
            (3, flat()),
            (4, flat()),
            (5, vec![None, None]),
        ]);
        assert_eq!(pool.missing(), None);
        let (batch, counts) = pool.take();
        assert_eq!((batch, counts.discarded), (vec![2, 1, 3], 2));
    }

    #[test]
    fn a_band_keeps_groups_by_their_mean() {
        let band = Rule::Band { min: 0.0, max: 0.6 };
        assert!(band.keeps(&mixed()) && !band.keeps(&flat()));
        assert!(!band.keeps(&[Some(1.0), Some(1.0), Some(0.0)]));
    }

    #[test]
    fn errored_members_neither_make_nor_break_a_signal() {
        assert!(!Rule::NonZeroStd.keeps(&[Some(1.0), None, Some(1.0)]));
        assert!(Rule::NonZeroStd.keeps(&[Some(1.0), None, Some(0.0)]));
        assert!(!Rule::None.keeps(&[None, None]));
    }
}
