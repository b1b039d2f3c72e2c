//! Trajectories as a reader sees them: messages, verdict, and every token with its mask and log-probability.

use agoge_checker::Verdict;
use agoge_dialogue::{Message, Renderer, Vocab};
use agoge_learner::rollout::{End, Trajectory};
use agoge_world::{Task, UserFault};
use serde::{Deserialize, Serialize};

/// One trajectory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// The task's id.
    pub task: String,
    /// Its branch of the policy.
    pub branch: String,
    /// Who played the agent: the arm, or the step of training.
    pub arm: String,
    /// 1, 0, or nothing when an error ended it.
    pub reward: Option<f64>,
    /// How it ended.
    pub end: End,
    /// What the checkers say.
    pub verdict: Option<Verdict>,
    /// The dialogue.
    pub messages: Vec<Message>,
    /// Text, whether it is trained (1 or 0), log-probability as sampled.
    pub tokens: Vec<(String, u8, f32)>,
    /// What the user did wrong.
    pub user_faults: Vec<UserFault>,
}

impl Sample {
    /// A trajectory of one of these tasks.
    pub fn of(
        trajectory: &Trajectory,
        arm: &str,
        tasks: &[Task],
        vocab: &dyn Vocab,
        renderer: &dyn Renderer,
    ) -> Self {
        let branch = tasks
            .iter()
            .find(|task| task.id == trajectory.task)
            .map(|task| task.branch.clone());
        let specials: Vec<(u32, &str)> = renderer
            .specials()
            .iter()
            .filter_map(|name| Some((vocab.special(name)?, *name)))
            .collect();
        let text = |id: u32| match specials.iter().find(|(special, _)| *special == id) {
            Some((_, name)) => (*name).to_owned(),
            None => vocab.decode(&[id]),
        };
        let transcript = &trajectory.transcript;
        let tokens = (0..transcript.ids.len())
            .map(|i| {
                (
                    text(transcript.ids[i]),
                    u8::from(transcript.mask[i]),
                    transcript.logprobs[i],
                )
            })
            .collect();
        Self {
            task: trajectory.task.clone(),
            branch: branch.unwrap_or_default(),
            arm: arm.to_owned(),
            reward: trajectory.reward,
            end: trajectory.end.clone(),
            verdict: trajectory.verdict.clone(),
            messages: trajectory.messages.clone(),
            tokens,
            user_faults: trajectory.user_faults.clone(),
        }
    }
}
