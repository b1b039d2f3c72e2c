//! Draws tasks from templates: records, branch and wording. The same seed gives the same tasks.
//!
//! The splits are disjoint in three ways:
//! - *records*: by the domain's rule, see [`SplitRule`](crate::split::SplitRule);
//! - *combinations* of intent, condition and wording: one wording of each branch occurs in evaluation only;
//! - *templates* marked `unseen` occur in no training split at all.

mod cell;
mod joint;
mod quota;
mod task;

use agoge_dialogue::random::Rng;

use crate::domain::Domain;
use crate::episode::World;
use crate::task::{Mix, Split, Task};
use quota::{largest, quotas, shares};

pub(crate) use cell::{Cell, cells};
pub(crate) use task::{calls, outputs};

/// The errors of drawing tasks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// More tasks are asked for than the templates have.
    #[error(
        "{asked} tasks were asked for, but the templates have {possible} in this split; ask for fewer or add records"
    )]
    TooMany {
        /// The number that was asked for.
        asked: usize,
        /// The number that exists.
        possible: usize,
    },
    /// No record fits a branch.
    #[error(
        "no record of the split fits branch `{branch}` of template `{template}`; add records or loosen its `where`"
    )]
    NoRecord {
        /// The template.
        template: String,
        /// The branch.
        branch: String,
    },
    /// The domain has no template for this split.
    #[error("the domain has no template for this split; add a file to its templates folder")]
    NoTemplate,
    /// A placeholder has no value.
    #[error("template `{template}`: {message}")]
    Unbound {
        /// The template.
        template: String,
        /// The placeholder and its problem.
        message: String,
    },
}

/// Draws `n` tasks.
///
/// # Errors
/// [`TemplateError`]
pub fn tasks(
    world: &mut World,
    split: Split,
    mix: Mix,
    seed: u64,
    n: usize,
) -> Result<Vec<Task>, TemplateError> {
    let domain = world.domain().clone();
    let cells = cells(&domain, split)?;
    let possible = largest(&cells, mix);
    if n > possible {
        return Err(TemplateError::TooMany { asked: n, possible });
    }
    let mut drawn = Vec::with_capacity(n);
    for (cell, count) in cells.iter().zip(quotas(&cells, mix, seed, n)) {
        cell.draw(&domain, split, seed, count, &mut drawn)?;
    }
    Rng::keyed_le(seed, "order").shuffle(&mut drawn);
    Ok(drawn)
}

/// Draws up to `n` tasks of one branch beyond the first `from` of those that [`tasks`] draws, to replace tasks that turned
/// out to be unusable. Returns fewer when the branch has no more.
///
/// # Errors
/// [`TemplateError`]
pub fn more(
    domain: &Domain,
    split: Split,
    seed: u64,
    branch: &str,
    from: usize,
    n: usize,
) -> Result<Vec<Task>, TemplateError> {
    let cells = cells(domain, split)?;
    let mut drawn = Vec::new();
    for cell in cells.iter().filter(|cell| cell.name() == branch) {
        cell.draw(
            domain,
            split,
            seed,
            cell.capacity().min(from.saturating_add(n)),
            &mut drawn,
        )?;
    }
    Ok(drawn.split_off(from.min(drawn.len())))
}

/// Returns the number of tasks that a split has in this mix; 0 when a branch has none.
pub fn possible(world: &mut World, split: Split, mix: Mix) -> usize {
    let domain = world.domain().clone();
    cells(&domain, split).map_or(0, |cells| largest(&cells, mix))
}

/// The branch that keeps a split from having more tasks.
pub(crate) struct Limiting {
    /// The number of tasks that the split has.
    pub possible: usize,
    /// The branch, as tasks name it.
    pub branch: String,
    /// The number of tasks that this branch has.
    pub capacity: usize,
}

/// Returns the branch of which a split with these cells would need more than there are for one more task in this mix.
pub(crate) fn limiting(cells: &[Cell<'_>], mix: Mix) -> Option<Limiting> {
    let possible = largest(cells, mix);
    let shares = shares(cells, mix, possible.checked_add(1)?);
    let lacks = |(cell, (_, share)): &(&Cell<'_>, &(bool, f64))| {
        (share - 1e-9).ceil() as usize > cell.capacity()
    };
    let (cell, _) = cells.iter().zip(&shares).find(lacks)?;
    Some(Limiting {
        possible,
        branch: cell.name(),
        capacity: cell.capacity(),
    })
}
