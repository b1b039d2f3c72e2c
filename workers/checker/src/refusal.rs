//! Refusals among tasks as given: nobody marks them, so they are derived from gold.
use crate::basis::only_state;
use crate::needs::sees_state;
use agoge_world::{GoldError, Task, World, replay};

/// Returns a task with its refusal derived: where gold changes nothing, and nothing must be said, called or asserted, doing
/// nothing is right and acting must fail. A task that is marked as a refusal stays one, and
/// where a tool server does not show its state nothing is derived.
///
/// # Errors
/// The reason why gold does not execute.
pub fn with_derived_refusal(world: &mut World, task: &Task) -> Result<Task, GoldError> {
    let gold = replay(world, task)?;
    let domain = world.domain();
    let derived = only_state(task) && sees_state(domain) && gold.diff(domain).is_empty();
    Ok(Task {
        refusal: task.refusal || derived,
        ..task.clone()
    })
}
