//! The messages between trainer and rollout server, and the checks of an answer.

use agoge_learner::players::version;
use agoge_learner::rollout::{Seat, Trajectory};
use serde::{Deserialize, Serialize};

/// One piece of a step.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Play {
    /// See [`super::setup_digest`].
    pub setup: String,
    /// The digest of the weights to play with.
    pub weights: String,
    /// The step.
    pub step: u64,
    /// Temperature of the policy.
    pub temperature: f64,
    /// Live episodes at a time. The bits of a trajectory depend on it.
    pub slots: usize,
    /// The seats to play.
    pub seats: Vec<SeatId>,
}

/// A seat without its task's text, which the server has.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeatId {
    /// The task's id.
    pub task: String,
    /// Group of the run.
    pub group: u64,
    /// Member of the group.
    pub member: u64,
}

impl SeatId {
    /// Returns the id of a seat.
    pub fn of(seat: &Seat<'_>) -> Self {
        Self {
            task: seat.task.id.clone(),
            group: seat.group,
            member: seat.member,
        }
    }
}

/// The health of a server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Health {
    /// Digest of the weights that it holds.
    pub weights: Option<String>,
    /// Episodes that it has played.
    pub episodes: u64,
    /// Pieces that it plays at a time.
    pub tables: usize,
}

/// Reads a server's answer to a piece.
///
/// # Errors
/// The reason that it cannot be used.
pub fn accept(play: &Play, vocab: usize, answer: &[u8]) -> Result<Vec<Trajectory>, String> {
    let played: Vec<Trajectory> =
        serde_json::from_slice(answer).map_err(|e| format!("its answer cannot be read: {e}"))?;
    if played.len() != play.seats.len() {
        let (few, all) = (played.len(), play.seats.len());
        return Err(format!("it answers {few} trajectories for {all} seats"));
    }
    for (one, asked) in played.iter().zip(&play.seats) {
        if (&one.task, one.group, one.member) != (&asked.task, asked.group, asked.member) {
            return Err("it answers a trajectory of another seat".into());
        }
        check(one, play.step, vocab).map_err(|why| {
            let SeatId { group, member, .. } = asked;
            format!("its trajectory {group}/{member} {why}")
        })?;
    }
    Ok(played)
}

/// Checks that a trajectory can be trained on.
fn check(one: &Trajectory, step: u64, vocab: usize) -> Result<(), &'static str> {
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
        return Err("has a log-probability that is not finite");
    }
    if !one
        .reward
        .is_none_or(|reward| (0.0..=1.0).contains(&reward))
    {
        return Err("has a reward outside 0 to 1");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn only_a_sound_answer_to_the_same_seats_is_accepted() {
        let play = Play {
            setup: String::new(),
            weights: String::new(),
            step: 3,
            temperature: 1.0,
            slots: 1,
            seats: vec![SeatId {
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
        let read = |answer: &Value| accept(&play, 10, answer.to_string().as_bytes());
        assert_eq!(read(&good).unwrap().len(), 1);
        assert!(
            read(&json!([]))
                .unwrap_err()
                .contains("0 trajectories for 1")
        );
        assert!(read(&json!("no")).is_err());
        for (field, value, why) in [
            ("/0/group", json!(6), "another seat"),
            ("/0/task", json!("u"), "another seat"),
            ("/0/transcript/ids/1", json!(10), "without embedding"),
            ("/0/transcript/mask", json!([true]), "different lengths"),
            ("/0/transcript/versions/1", json!(2), "another version"),
            ("/0/transcript/logprobs/1", Value::Null, "cannot be read"),
            ("/0/transcript/logprobs/1", json!(1e39), "cannot be read"),
            ("/0/reward", json!(7.0), "a reward outside"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(field).unwrap() = value;
            let reason = read(&bad).unwrap_err();
            assert!(reason.contains(why), "{field}: {reason}");
        }
    }
}
