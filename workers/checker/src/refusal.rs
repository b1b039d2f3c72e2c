//! Refusals among tasks as given: nobody marks them, so they are derived from gold.
use crate::basis::only_state;
use crate::final_state::Gold;
use crate::needs::sees_state;
use agoge_world::{GoldError, Task, World};

/// Returns a task with its refusal derived: where gold changes nothing, and nothing must be said, called or asserted, doing
/// nothing is right and acting must fail. A task that is marked as a refusal stays one, and
/// where a tool server does not show its state nothing is derived.
///
/// # Errors
/// The reason why gold does not execute.
pub fn with_derived_refusal(world: &mut World, task: &Task) -> Result<Task, GoldError> {
    let gold = Gold::of(world, task)?;
    let derived = only_state(task) && sees_state(world.domain()) && !gold.acts();
    Ok(Task {
        refusal: task.refusal || derived,
        ..task.clone()
    })
}
