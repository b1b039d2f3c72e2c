//! What trainer and server say to each other, and what a trainer believes.

use agoge_learner::players::version;
use agoge_learner::rollout::{Seat, Trajectory};
use serde::{Deserialize, Serialize};

/// One piece of a step.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Play {
    /// See [`super::game`].
    pub game: String,
    /// The weights to play with.
    pub weights: String,
    /// The step.
    pub step: u64,
    /// Of the policy.
    pub temperature: f64,
    /// Who plays.
    pub seats: Vec<Place>,
}

/// A seat without its task's text, which the server has.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Place {
    /// The task's id.
    pub task: String,
    /// Group of the step.
    pub group: u64,
    /// Member of the group.
    pub member: u64,
}

impl Place {
    /// Of a seat.
    pub fn of(seat: &Seat<'_>) -> Self {
        Self {
            task: seat.task.id.clone(),
            group: seat.group,
            member: seat.member,
        }
    }
}

/// How a server is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Health {
    /// The weights it holds.
    pub weights: Option<String>,
    /// Episodes it has played.
    pub episodes: u64,
}

/// A server's answer, if it is one to this piece.
///
/// # Errors
/// What is wrong with it.
pub fn accept(play: &Play, vocab: usize, answer: &[u8]) -> Result<Vec<Trajectory>, String> {
    let played: Vec<Trajectory> =
        serde_json::from_slice(answer).map_err(|e| format!("its answer does not read: {e}"))?;
    if played.len() != play.seats.len() {
        let (few, all) = (played.len(), play.seats.len());
        return Err(format!("it answers {few} trajectories for {all} seats"));
    }
    for (one, asked) in played.iter().zip(&play.seats) {
        if (&one.task, one.group, one.member) != (&asked.task, asked.group, asked.member) {
            return Err("it answers a trajectory of another seat".into());
        }
        sound(one, play.step, vocab).map_err(|why| {
            let Place { group, member, .. } = asked;
            format!("its trajectory {group}/{member} {why}")
        })?;
    }
    Ok(played)
}

/// Whether a trajectory can be trained on.
fn sound(one: &Trajectory, step: u64, vocab: usize) -> Result<(), &'static str> {
    let transcript = &one.transcript;
    let tokens = transcript.ids.len();
    let columns = [
        transcript.logprobs.len(),
        transcript.mask.len(),
        transcript.versions.len(),
    ];
    if columns.iter().any(|length| *length != tokens) {
        return Err("has columns of different lengths");
    }
    if transcript.ids.iter().any(|id| *id as usize >= vocab) {
        return Err("has an id without embedding");
    }
    let sampled = transcript.mask.iter().zip(&transcript.versions);
    if sampled.clone().any(|(s, v)| *s && *v != version(step)) {
        return Err("was sampled by another version of the policy");
    }
    if transcript
        .logprobs
        .iter()
        .any(|logprob| !logprob.is_finite())
    {
        return Err("has a log-probability that is no number");
    }
    if !one
        .reward
        .is_none_or(|reward| (0.0..=1.0).contains(&reward))
    {
        return Err("has a reward that is none");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn only_an_answer_to_what_was_asked_is_believed() {
        let play = Play {
            game: String::new(),
            weights: String::new(),
            step: 3,
            temperature: 1.0,
            seats: vec![Place {
                task: "t".into(),
                group: 5,
                member: 1,
            }],
        };
        let good = json!([{
            "task": "t", "group": 5, "member": 1, "messages": [], "end": {"kind": "closed"}, "verdict": null,
            "transcript": {"ids": [1, 9], "logprobs": [0.0, -0.5], "mask": [false, true], "versions": [0, 3]},
            "reward": 1.0, "userFaults": [], "turns": 1, "calls": 0, "failedCalls": 0,
        }]);
        let heard = |answer: &Value| accept(&play, 10, answer.to_string().as_bytes());
        assert_eq!(heard(&good).unwrap().len(), 1);
        assert!(
            heard(&json!([]))
                .unwrap_err()
                .contains("0 trajectories for 1")
        );
        assert!(heard(&json!("no")).is_err());
        for (field, value, why) in [
            ("/0/group", json!(6), "another seat"),
            ("/0/task", json!("u"), "another seat"),
            ("/0/transcript/ids/1", json!(10), "without embedding"),
            ("/0/transcript/mask", json!([true]), "different lengths"),
            ("/0/transcript/versions/1", json!(2), "another version"),
            ("/0/transcript/logprobs/1", Value::Null, "does not read"),
            ("/0/transcript/logprobs/1", json!(1e39), "does not read"),
            ("/0/reward", json!(7.0), "a reward that is none"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(field).unwrap() = value;
            let told = heard(&bad).unwrap_err();
            assert!(told.contains(why), "{field}: {told}");
        }
    }
}
