//! Dynamic filtering: the choice of groups that carry a signal, and the refill that keeps a step's batch full without waste.
//!
//! Groups that pass are kept in the order they came; a surplus is carried to the next step, as long as it is not too old; when
//! the allowed number of generation batches is used up, the step trains on the groups there are.

use agoge_artifacts::FilterCounts;
use agoge_crds::grpo_run::{FilterRule, FilterSpec, OnInsufficient};

/// Returns true if a group with these rewards (errored members are `None`) is trained on.
#[must_use]
pub fn keeps(filter: &FilterSpec, rewards: &[Option<f64>]) -> bool {
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
    match filter.rule {
        FilterRule::None => true,
        FilterRule::NonZeroStd => differ(),
        FilterRule::Band => {
            let mean = valid.iter().sum::<f64>() / valid.len() as f64;
            differ() && mean > filter.min && mean < filter.max
        }
    }
}

/// A pool that fills one step's batch of groups at a time.
#[derive(Debug)]
pub struct Refill<T> {
    filter: FilterSpec,
    want: usize,
    kept: Vec<T>,
    flat: Vec<T>,
    counts: FilterCounts,
}

impl<T> Refill<T> {
    /// Returns an empty pool for steps of `want` groups.
    #[must_use]
    pub fn new(filter: FilterSpec, want: usize) -> Self {
        Self {
            filter,
            want: want.max(1),
            kept: Vec::new(),
            flat: Vec::new(),
            counts: FilterCounts::default(),
        }
    }

    /// Returns the number of groups this step still needs, or `None` when it can train: it is full, or its generation
    /// batches are used up.
    #[must_use]
    pub fn missing(&self) -> Option<usize> {
        let allowed = match self.filter.on_insufficient {
            OnInsufficient::Backfill => self.filter.max_gen_batches.max(1) as usize,
            OnInsufficient::KeepZeroStd => 1,
        };
        let full = self.kept.len() >= self.want || self.counts.batches >= allowed;
        (!full).then(|| self.want - self.kept.len())
    }

    /// Adds one generation batch: groups with their members' rewards.
    pub fn offer(&mut self, batch: impl IntoIterator<Item = (T, Vec<Option<f64>>)>) {
        self.counts.batches += 1;
        for (group, rewards) in batch {
            self.counts.generated += 1;
            if keeps(&self.filter, &rewards) {
                self.kept.push(group);
            } else if self.filter.on_insufficient == OnInsufficient::KeepZeroStd
                && rewards.iter().any(Option::is_some)
            {
                self.flat.push(group);
            } else {
                self.counts.discarded += 1;
            }
        }
    }

    /// Drops carried groups that may no longer be trained on.
    pub fn expire(&mut self, too_old: impl Fn(&T) -> bool) {
        let before = self.kept.len();
        self.kept.retain(|group| !too_old(group));
        self.counts.expired += before - self.kept.len();
    }

    /// Returns the groups that wait for the next step.
    #[must_use]
    pub fn waiting(&self) -> &[T] {
        &self.kept
    }

    /// Takes back the groups that an earlier session carried over.
    pub fn carry(&mut self, groups: impl IntoIterator<Item = T>) {
        self.kept.extend(groups);
        self.counts.carried_in = self.kept.len();
    }

    /// Returns the step's groups, oldest first, and its counts; a surplus stays for the next step.
    pub fn take(&mut self) -> (Vec<T>, FilterCounts) {
        let room = self.want.saturating_sub(self.kept.len());
        self.counts.discarded += self.flat.len().saturating_sub(room);
        self.kept.extend(self.flat.drain(..).take(room));
        let surplus = self.kept.split_off(self.want.min(self.kept.len()));
        let batch = std::mem::replace(&mut self.kept, surplus);
        let next = FilterCounts {
            carried_in: self.kept.len(),
            ..FilterCounts::default()
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
        let mut pool = Refill::new(FilterSpec::default(), 2);
        pool.offer([(1, mixed()), (2, flat())]);
        assert_eq!(pool.missing(), Some(1));
        pool.offer([(3, mixed()), (4, mixed())]);
        assert_eq!(pool.missing(), None);
        let (batch, counts) = pool.take();
        assert_eq!(batch, [1, 3]);
        assert_eq!(
            counts,
            FilterCounts {
                generated: 4,
                discarded: 1,
                carried_in: 0,
                expired: 0,
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
        let mut pool = Refill::new(
            FilterSpec {
                max_gen_batches: 2,
                ..FilterSpec::default()
            },
            4,
        );
        pool.offer([(1, mixed()), (2, flat())]);
        pool.offer([(3, flat())]);
        assert_eq!(pool.missing(), None);
        assert_eq!(pool.take().0, [1]);
    }

    #[test]
    fn groups_without_signal_fill_the_step_when_that_is_asked_for() {
        let mut pool = Refill::new(
            FilterSpec {
                on_insufficient: OnInsufficient::KeepZeroStd,
                ..FilterSpec::default()
            },
            3,
        );
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
    fn a_carried_group_that_is_too_old_is_dropped_and_counted() {
        let mut pool = Refill::new(FilterSpec::default(), 1);
        pool.offer([(1, mixed()), (2, mixed()), (3, mixed())]);
        pool.take();
        pool.expire(|group| *group == 2);
        let (batch, counts) = pool.take();
        assert_eq!((batch, counts.carried_in, counts.expired), (vec![3], 2, 1));
    }

    fn rule(rule: FilterRule) -> FilterSpec {
        FilterSpec {
            rule,
            ..FilterSpec::default()
        }
    }

    #[test]
    fn a_band_keeps_groups_by_their_mean() {
        let band = FilterSpec {
            max: 0.6,
            ..rule(FilterRule::Band)
        };
        assert!(keeps(&band, &mixed()) && !keeps(&band, &flat()));
        assert!(!keeps(&band, &[Some(1.0), Some(1.0), Some(0.0)]));
    }

    #[test]
    fn errored_members_neither_make_nor_break_a_signal() {
        let differ = rule(FilterRule::NonZeroStd);
        assert!(!keeps(&differ, &[Some(1.0), None, Some(1.0)]));
        assert!(keeps(&differ, &[Some(1.0), None, Some(0.0)]));
        assert!(!keeps(&rule(FilterRule::None), &[None, None]));
    }
}
