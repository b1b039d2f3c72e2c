//! The rules and the number of episodes that a GRPO stage asks for; probes, evaluation and rollout servers play by them, too.

use agoge_crds::grpo_run::GrpoSpec;
use agoge_world::Rules;

/// Returns the rules of an episode.
pub fn rules(spec: &GrpoSpec) -> Rules {
    Rules::training(
        spec.max_turns,
        spec.max_tokens_per_turn,
        spec.max_trajectory_tokens,
    )
}

/// Returns the number of live episodes at a time at most: those of a step without refills.
pub fn slots(spec: &GrpoSpec) -> usize {
    spec.group_size as usize * spec.groups_per_step as usize
}
