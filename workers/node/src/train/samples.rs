//! Trajectories as the store keeps them: every token as text, with its mask and log-probability.

use agoge_artifacts::{Token, Trajectory};
use agoge_dialogue::{Renderer, Transcript, Vocab};
use agoge_world::Task;

/// Returns a played trajectory of one of these tasks as the store keeps it. `arm` names the player of the agent.
pub fn stored(
    played: &agoge_learner::rollout::Trajectory,
    arm: &str,
    tasks: &[Task],
    vocab: &dyn Vocab,
    renderer: &dyn Renderer,
) -> Trajectory {
    let branch = tasks
        .iter()
        .find(|task| task.id == played.task)
        .map(|task| task.branch.clone());
    Trajectory {
        task: played.task.clone(),
        branch: branch.unwrap_or_default(),
        arm: arm.to_owned(),
        reward: played.reward,
        end: played.end.clone(),
        verdict: played.verdict.clone(),
        messages: played.messages.clone(),
        tokens: tokens(&played.transcript, vocab, renderer),
        ids: played.transcript.ids.clone(),
        user_faults: played.user_faults.clone(),
    }
}

fn tokens(transcript: &Transcript, vocab: &dyn Vocab, renderer: &dyn Renderer) -> Vec<Token> {
    let specials: Vec<(u32, &str)> = renderer
        .specials()
        .iter()
        .filter_map(|name| Some((vocab.special(name)?, *name)))
        .collect();
    let text = |id: u32| match specials.iter().find(|(special, _)| *special == id) {
        Some((_, name)) => (*name).to_owned(),
        None => vocab.decode(&[id]),
    };
    let Transcript {
        ids,
        mask,
        logprobs,
        ..
    } = transcript;
    ids.iter()
        .zip(mask)
        .zip(logprobs)
        .map(|((id, trained), logprob)| (text(*id), u8::from(*trained), *logprob))
        .collect()
}
