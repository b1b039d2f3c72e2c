//! The warnings about a domain: branches whose outputs an agent says by accident, and amounts that are kept as texts.

use super::shared::Shared;
use super::{PLAYED, line_of_branch};
use crate::draw::Cell;
use crate::money;
use crate::problem::Problem;
use crate::said::Accidents;
use crate::task::{Split, Task};

/// Returns a warning for each field that keeps amounts as texts, and for each branch whose outputs are all said by accident:
/// its tasks work, and prove little.
pub(super) fn warnings(shared: &Shared<'_>) -> Vec<Problem> {
    let domain = shared.domain;
    let mut drawn: Vec<(&Cell<'_>, Vec<Task>)> = Vec::new();
    for split in [Split::Heldout, Split::Unseen] {
        // A split without tasks is a problem, which the check reports.
        for cell in shared.cells(split).unwrap_or_default() {
            let mut tasks = Vec::new();
            if cell.draw(domain, split, 0, PLAYED, &mut tasks).is_ok() {
                drawn.push((cell, tasks));
            }
        }
    }
    let all: Vec<&Task> = drawn.iter().flat_map(|(_, tasks)| tasks).collect();
    let accidents = Accidents::of(&all);
    let warning = |(cell, tasks): &(&Cell<'_>, Vec<Task>)| {
        let accident = tasks.iter().find_map(|task| accidents.in_task(task))?;
        let message = format!("branch `{}`: {accident}", cell.branch.name);
        let remedy = "require a word of the policy besides, or another value";
        let file = domain.template_file(cell.template);
        Some(Problem::new(&file, message, remedy).at(line_of_branch(cell)))
    };
    let amounts = money::warnings(domain).into_iter();
    amounts.chain(drawn.iter().filter_map(warning)).collect()
}
