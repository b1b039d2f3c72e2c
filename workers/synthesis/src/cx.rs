//! The context of one attempt: everything that a strategy may ask for.
//!
//! A call that asks a model is a step. Its answer is kept in the job's work folder before it is used, keyed by the request's
//! digest, the item and the ordinal, so that an attempt that is run again after a crash asks nothing twice. A call that only
//! computes (`execute`, `qualify`, `demonstrate`) gives the same result every time and is computed again.

use std::sync::Arc;

use agoge_artifacts::{Draft, Gate};
use agoge_checker::{Cause, Judge, Thresholds, qualification_key, qualify_among};
use agoge_crds::shared::Part;
use agoge_dialogue::ToolCall;
use agoge_llm::{Answer, Request, Spent};
use agoge_world::{
    DemoError, Domain, Episode, GoldError, Lost, StartError, Task, World, demonstrate, replay,
};
use parking_lot::Mutex;

use crate::engine::Bench;
use crate::plan::PlanPair;
use crate::random;
use crate::strategy::{Demonstrated, Item, Qualified, Reject, Stop};

/// The context of one attempt.
pub struct Cx {
    bench: Arc<Bench>,
    item: Item,
    plan: Option<Arc<PlanPair>>,
    gate: Gate,
    /// Generated tokens that the instance may still use.
    left: u32,
    pub(crate) spent: Spent,
    pub(crate) drafts: Vec<Draft>,
    /// A model's provider ended the attempt: another try would end the same way.
    pub(crate) stopped: bool,
    /// The first run that the sandbox lost. Nothing that this attempt found after it counts.
    lost: Mutex<Option<Lost>>,
}

impl Cx {
    pub(crate) fn new(bench: &Arc<Bench>, item: Item, plan: Option<Arc<PlanPair>>) -> Self {
        Self {
            bench: bench.clone(),
            item,
            plan,
            gate: Gate::Scenario,
            left: bench.settings.tokens_per_instance,
            spent: Spent::default(),
            drafts: Vec::new(),
            stopped: false,
            lost: Mutex::new(None),
        }
    }

    /// Returns the item that is made.
    #[must_use]
    pub fn item(&self) -> &Item {
        &self.item
    }

    /// Returns the domain.
    #[must_use]
    pub fn domain(&self) -> &Arc<Domain> {
        self.bench.worlds.domain()
    }

    /// Returns the job's seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.bench.settings.seed
    }

    /// Returns the accepted instances that the job asks of this strategy.
    #[must_use]
    pub fn target(&self) -> usize {
        self.bench.settings.target
    }

    /// Draws a number for this item: the same names give the same number.
    #[must_use]
    pub fn draw(&self, names: &[&str]) -> u64 {
        let seed = self.seed().to_string();
        random::draw(&[&[seed.as_str(), self.item.id.as_str()][..], names].concat())
    }

    /// Returns a prompt of the synthesis plan at work.
    #[must_use]
    pub fn synthesis(&self, prompt: &str) -> &str {
        let pair = self.plan.as_deref();
        pair.and_then(|pair| pair.synthesis.get(prompt))
            .map_or("", String::as_str)
    }

    /// Returns a prompt of the evaluation plan at work.
    #[must_use]
    pub fn evaluation(&self, prompt: &str) -> &str {
        let pair = self.plan.as_deref();
        pair.and_then(|pair| pair.evaluation.get(prompt))
            .map_or("", String::as_str)
    }

    /// Notes the gate that the attempt has come to; what fails from here on ends there.
    pub fn at(&mut self, gate: Gate) {
        self.gate = gate;
    }

    /// Rejects the task at the current gate.
    #[must_use]
    pub fn reject(&self, reason: impl Into<String>) -> Stop {
        Reject::task(self.gate, reason).into()
    }

    /// Returns the generated tokens that the instance may still use, and how many it had.
    #[must_use]
    pub fn tokens_left(&self) -> (u32, u32) {
        (self.left, self.bench.settings.tokens_per_instance)
    }

    /// Asks the model of a role; `name` tells the request apart from others of the item. Temperature and seed are the
    /// request's own.
    ///
    /// # Errors
    /// A rejection by INFRA when the model's provider stopped this one request or the prompt does not fit, else the error that
    /// ends the job or interrupts it. An endpoint that fails is waited for, and never a rejection.
    pub async fn ask(&mut self, role: Part, name: &str, request: &Request) -> Result<Answer, Stop> {
        let bench = self.bench.clone();
        let Some(clients) = &bench.clients else {
            return Err(crate::strategy::Refused(format!(
                "models: the strategy asks the role {role:?} and no model is bound; bind models.default"
            ))
            .into());
        };
        let client = clients.of(role);
        let item = format!("{}/{name}", self.item.id);
        let answer = match client.ask(&item, request).await {
            Ok(answer) => answer,
            Err(error) if error.is_final() => return Err(error.into()),
            Err(error) => return Err(self.stop(error.to_string())),
        };
        let generated = u32::try_from(answer.usage.completion).unwrap_or(u32::MAX);
        self.left = self.left.saturating_sub(generated);
        self.spent.add(&answer.usage, client.cost(&answer.usage));
        self.drafts.push(Draft {
            stage: name.into(),
            text: answer.text.clone(),
        });
        match answer.stopped() {
            Some(stopped) => Err(self.stop(stopped.to_string())),
            None => Ok(answer),
        }
    }

    /// Ends the attempt for a reason that lies with a model's provider.
    fn stop(&mut self, reason: String) -> Stop {
        self.stopped = true;
        Reject::new(self.gate, Cause::Infra, reason).into()
    }

    /// Returns the sampling temperature of the writer.
    #[must_use]
    pub fn temperature(&self) -> f64 {
        self.bench.settings.temperature
    }

    /// Calls `work` with a world of the domain.
    pub fn world<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        self.bench.worlds.with(work)
    }

    /// Executes calls on a fresh state.
    ///
    /// # Errors
    /// The first call that fails.
    pub fn execute(&self, calls: &[ToolCall]) -> Result<Episode, GoldError> {
        let task = Task {
            gold: calls.to_vec(),
            ..Task::default()
        };
        let played = self.world(|world| replay(world, &task));
        if let Err(GoldError::Lost(lost)) = &played {
            self.note(lost);
        }
        played
    }

    /// Notes that the sandbox lost a run, which is no fault of the attempt.
    fn note(&self, lost: &Lost) {
        self.lost.lock().get_or_insert_with(|| lost.clone());
    }

    /// Checks that the sandbox lost no run of this attempt.
    ///
    /// # Errors
    /// [`Stop::Lost`], which ends the job for now.
    pub fn check_sandbox(&self) -> Result<(), Stop> {
        let lost = self.lost.lock().clone();
        lost.map_or(Ok(()), |lost| Err(lost.into()))
    }

    /// Puts the task's checker to the fixed qualification, which no plan can change.
    ///
    /// # Errors
    /// The reason why it does not qualify.
    pub fn qualify(&self, task: Task) -> Result<Qualified, String> {
        let spec = &self.bench.settings.qualification;
        let (seed, thresholds) = (spec.seed, Thresholds::from(spec));
        let found = self.world(|world| {
            let plausible = &self.bench.plausible;
            qualify_among(world, &task, plausible, seed, &thresholds)
        });
        let found = found.map_err(|lost| {
            self.note(&lost);
            lost.to_string()
        })?;
        if !found.qualified {
            return Err(found.why());
        }
        let (domain, limits) = (&self.domain().digest, &self.bench.limits);
        let key = qualification_key(domain, &task, seed, &thresholds, limits)
            .map_err(|error| format!("the task cannot be written as JSON: {error}"))?;
        Ok(Qualified::new(task, (key, found)))
    }

    /// Plays the task by its gold actions and has its checkers judge the result and an empty trajectory. A failure is tried
    /// once more, because a process that died may have died by chance.
    ///
    /// # Errors
    /// The rejection, with the dialogue where there is one; [`Stop::Lost`] when the sandbox gives no result.
    pub fn demonstrate(&self, task: &Task) -> Result<Demonstrated, Stop> {
        let play = || self.world(|world| demonstrated(world, task));
        play().or_else(|_| play())
    }
}

fn demonstrated(world: &mut World, task: &Task) -> Result<Demonstrated, Stop> {
    let played = demonstrate(world, task).map_err(|error| {
        let (gate, cause) = match &error {
            DemoError::Gold(GoldError::Lost(lost)) => return lost.clone().into(),
            DemoError::Gold(_) => (Gate::Gold, Cause::Task),
            DemoError::User(_) => (Gate::Rollout, Cause::User),
        };
        Stop::Reject(Reject::new(gate, cause, error.to_string()))
    })?;
    let mut judge = Judge::new();
    let verdict = judge.check(world, task, &played.episode, &played.messages);
    let begun = world.begin(task).map_err(|error| match error {
        StartError::Lost(lost) => lost.into(),
        other => Stop::Reject(Reject::new(Gate::Gold, Cause::Task, other.to_string())),
    })?;
    let nothing = judge.check(world, task, &begun, &task.history);
    if let Some(lost) = verdict.lost.as_ref().or(nothing.lost.as_ref()) {
        return Err(Lost(lost.clone()).into());
    }
    let wrong = if !verdict.pass {
        let cause = if verdict.killed.is_some() {
            Cause::Infra
        } else {
            Cause::Task
        };
        Some((cause, format!("its demonstration fails: {}", verdict.why())))
    } else if nothing.pass && !task.refusal {
        Some((Cause::Task, "doing nothing passes".to_owned()))
    } else {
        None
    };
    let shown = Demonstrated {
        task: task.clone(),
        messages: played.messages,
        verdict,
    };
    match wrong {
        None => Ok(shown),
        Some((cause, reason)) => Err(Stop::Reject(Reject {
            shown: Some(Box::new(shown)),
            ..Reject::new(Gate::Checker, cause, reason)
        })),
    }
}
