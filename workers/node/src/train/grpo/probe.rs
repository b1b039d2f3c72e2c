//! The curve of pass^1 over training, on held-out tasks that the evaluation does not use.

use agoge_c10d::Ranks;
use agoge_learner::arena::Arena;
use agoge_learner::evaluate::evaluate;
use agoge_learner::rollout::{Agent, User};
use agoge_world::Task;

use crate::failure::Failure;
use crate::job::Job;
use crate::train::Stage;
use crate::train::policy::Policy;

/// Tasks of the probe at most.
const TASKS: usize = 96;

/// The tasks of the probe.
pub struct Probe {
    /// This rank's share.
    own: Vec<Task>,
    /// Tasks of all ranks.
    all: usize,
}

impl Probe {
    /// Chooses the tasks: none of the `evaluated` ones that the evaluation keeps for itself.
    pub fn of(stage: &Stage, evaluated: usize) -> Self {
        let mut tasks = stage.suite.heldout(evaluated).1;
        tasks.truncate(TASKS);
        let all = tasks.len();
        let own = tasks.into_iter().enumerate();
        let own = own.filter_map(|(at, task)| stage.ranks.mine(at).then_some(task));
        Self {
            own: own.collect(),
            all,
        }
    }

    /// Returns pass^1 of the policy over all ranks; `None` where the suite has no task to spare.
    pub fn measure(
        &self,
        job: &Job,
        ranks: &Ranks,
        arena: &mut Arena,
        policy: &Policy,
        user: User<'_>,
    ) -> Result<Option<f64>, Failure> {
        if self.all == 0 {
            return Ok(None);
        }
        // One of several ranks cannot leave the others in the middle of this.
        let alone = ranks.world() == 1;
        let stop = job.stop.clone();
        let agent = Agent::Policy(policy.player(0.0));
        let evaluated = evaluate(arena, &self.own, 1, agent, user, |_| match alone {
            true => stop.check(),
            false => Ok(()),
        })?;
        ranks.barrier("evaluating")?;
        let pass = evaluated
            .card
            .pass
            .first()
            .map_or(0.0, |estimate| estimate.value);
        if alone {
            return Ok(Some(pass));
        }
        let mut passed = [match self.own.is_empty() {
            true => 0.0,
            false => pass * self.own.len() as f64,
        }];
        ranks.sum_figures("counting passes", &mut passed)?;
        Ok(Some(passed[0] / self.all as f64))
    }
}
