//! The settings of a GRPO stage, and its end.

use agoge_contract::TrainStage;
use agoge_crds::grpo_run::{FilterRule, GrpoSpec};
use agoge_learner::grpo::{Decay, GrpoState, Setup};
use agoge_learner::parallel::Parallelism;

use crate::failure::Failure;
use crate::job::Job;
use crate::train::Stage;

/// A GRPO stage as it is to be run.
pub struct Plan {
    /// Title for people.
    pub title: &'static str,
    /// The spec; the comparison without dynamic filtering has no filter.
    pub spec: GrpoSpec,
    seed: u64,
    /// Steps at most; 0: no bound.
    steps: u64,
    /// Seconds at most.
    seconds: f64,
    /// False for the arm of the comparison.
    is_main: bool,
}

impl Plan {
    /// Returns the plan of a stage.
    pub fn of(stage: &Stage, job: &Job, spec: &GrpoSpec) -> Result<Self, Failure> {
        let mut plan = Self {
            title: "GRPO",
            spec: spec.clone(),
            seed: stage.arguments.seed,
            steps: spec.steps,
            seconds: spec.wall_clock.map_or(f64::INFINITY, |s| s.as_secs_f64()),
            is_main: true,
        };
        let deterministic = stage.arguments.deterministic;
        if stage.arguments.stage() == TrainStage::GrpoUnfiltered {
            plan.title = "GRPO without filter";
            plan.is_main = false;
            plan.spec.filter.rule = FilterRule::None;
            // It gets as long as GRPO had: its time, or in a deterministic run its steps.
            plan.seconds = stage.arguments.settings.seconds().unwrap_or(plan.seconds);
            plan.steps = match deterministic {
                true => stage.earlier(job, TrainStage::Grpo)?.steps,
                false => 0,
            };
        }
        if deterministic {
            plan.seconds = f64::INFINITY;
            if plan.steps == 0 {
                let message = "stages.grpo.steps: a deterministic run is not ended by the clock; set the number of steps";
                return Err(Failure::Input(message.into()));
            }
        }
        Ok(plan)
    }

    /// Returns the learner's setup.
    pub fn setup(&self, parallelism: Parallelism) -> Setup {
        Setup {
            seed: self.seed,
            parallelism,
            decay: match self.steps > 0 {
                true => Decay::Steps(self.steps),
                false => Decay::Seconds(self.seconds),
            },
            ..Setup::of(self.spec.clone())
        }
    }

    /// Returns true if steps or time are used up.
    pub fn spent(&self, state: &GrpoState) -> bool {
        let done = state.steps.len() as u64;
        let seconds = state.steps.last().map_or(0.0, |step| step.seconds);
        (self.steps > 0 && done >= self.steps) || seconds >= self.seconds
    }

    /// Returns true if it was the clock that ended the stage, and GRPO itself was the stage: an arm of the comparison may
    /// learn nothing.
    pub fn is_out_of_time(&self, state: &GrpoState) -> bool {
        let done = state.steps.len() as u64;
        self.is_main && self.spent(state) && (self.steps == 0 || done < self.steps)
    }

    /// Returns the unit of the progress bar: steps where their number is known, else seconds.
    pub fn unit(&self) -> &'static str {
        if self.steps > 0 { "steps" } else { "seconds" }
    }

    /// Returns the number of units in all.
    pub fn total(&self) -> u64 {
        match self.steps > 0 {
            true => self.steps,
            false => self.seconds as u64,
        }
    }

    /// Returns the number of units that are done.
    pub fn done(&self, state: &GrpoState) -> u64 {
        let Some(last) = state.steps.last() else {
            return 0;
        };
        match self.steps > 0 {
            true => last.step,
            false => (last.seconds as u64).min(self.total()),
        }
    }
}
