//! The largest cost of a manifest: model tokens, dollars and core-hours, each with its parts. Pure.
//!
//! Answers are bounded by the manifest. Prompts are not: they are assumed, and the estimate says with which figure.

use agoge_crds::grpo_run::{Arm, UserModel};
use agoge_crds::shared::{EndpointBinding, Part, Resources};
use agoge_crds::synthesis_job::StrategySpec;
use agoge_crds::{CheckerSuite, Cores, GRPORun, Manifest, Span, SynthesisJob};
use agoge_plan::Child;

use crate::table;

/// Generated tokens of an instance where the job sets no bound.
const TOKENS_PER_INSTANCE: u64 = 450;
/// Rollouts after a pilot where the job sets no number.
const ROLLOUTS: u64 = 3;
/// Calls for one instance: scenario, gold and checker, each asked twice at most.
const CALLS: u64 = 6;
/// Assumed: tokens of a prompt.
const PROMPT: u64 = 3_000;
/// Assumed: turns of a rollout, each of an agent and a user.
const TURNS: u64 = 12;
/// Assumed: tokens of a turn, and of a reflection.
const TURN: u64 = 200;
const REFLECTION: u64 = 1_500;

/// One figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The item.
    pub what: &'static str,
    /// The amount, with its unit.
    pub amount: String,
    /// The parts it is made of.
    pub made_of: String,
}

/// The figures of a manifest, and what a reader must know of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Figures.
    pub lines: Vec<Line>,
    /// Remarks.
    pub notes: Vec<String>,
}

/// Tokens of prompts and answers, with their price.
#[derive(Clone, Copy, Debug, Default)]
struct Tokens {
    input: u64,
    output: u64,
    dollars: f64,
    priced: bool,
}

impl Tokens {
    fn of(input: u64, output: u64, binding: Option<&EndpointBinding>) -> Self {
        let price = binding.and_then(|binding| binding.price);
        let dollars = price.map_or(0.0, |price| {
            (input as f64 * price.input + output as f64 * price.output) / 1e6
        });
        Self {
            input,
            output,
            dollars,
            priced: price.is_some(),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            dollars: self.dollars + other.dollars,
            priced: self.priced && other.priced,
        }
    }

    fn all(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// The estimate of a manifest whose plan begins with these children.
#[must_use]
pub fn estimate(manifest: &Manifest, children: &[Child]) -> Estimate {
    let mut estimate = Estimate::default();
    match manifest {
        Manifest::SynthesisJob(job) => synthesis(job, children, &mut estimate),
        Manifest::CheckerSuite(suite) => qualification(suite, &mut estimate),
        Manifest::GRPORun(run) => training(run, &mut estimate),
    }
    estimate
}

fn synthesis(job: &SynthesisJob, children: &[Child], estimate: &mut Estimate) {
    let spec = &job.spec;
    let asking = spec.strategies.iter().find(|s| s.name.asks_models());
    match asking {
        Some(strategy) => models(job, strategy, estimate),
        None => estimate.lines.push(Line {
            what: "model tokens",
            amount: "0".into(),
            made_of: "no strategy asks a model".into(),
        }),
    }
    let active = job.spec.budget.wall_clock.map(|span| span.duration());
    let deadline = spec.run_policy.active_deadline_seconds.map(seconds);
    let workers = children.iter().map(|child| u64::from(child.shards)).sum();
    compute(
        spec.worker.resources.as_ref(),
        workers,
        shorter(active, deadline),
        "budget.wallClock or runPolicy.activeDeadlineSeconds",
        estimate,
    );
}

/// Estimates the requests of a strategy that asks models.
fn models(job: &SynthesisJob, strategy: &StrategySpec, estimate: &mut Estimate) {
    let (budget, evolution) = (&job.spec.budget, &job.spec.evolution);
    let generations = u64::from(evolution.max_generations);
    let attempts = generations.saturating_mul(u64::from(evolution.pilot_size));
    let each = budget
        .tokens_per_instance
        .map_or(TOKENS_PER_INSTANCE, u64::from);
    let rollouts = rollouts(strategy) * generations;
    let part = |part: Part| job.spec.models.as_ref().and_then(|models| models.of(part));
    let turns = rollouts * TURNS;
    let tokens = Tokens::of(
        attempts.saturating_mul(CALLS * PROMPT),
        attempts.saturating_mul(each),
        part(Part::Writer),
    )
    .and(Tokens::of(turns * PROMPT, turns * TURN, part(Part::Agent)))
    .and(Tokens::of(turns * PROMPT, turns * TURN, part(Part::User)))
    .and(Tokens::of(
        generations * 2 * PROMPT,
        generations * REFLECTION,
        part(Part::Reflector),
    ));
    let least = strategy.target.accepted.saturating_mul(each);
    estimate.lines.push(Line {
        what: "answers for the target",
        amount: format!("{} tokens", figure(least)),
        made_of: format!(
            "{} accepted x {each} tokensPerInstance, if nothing is rejected",
            strategy.target.accepted
        ),
    });
    let made_of = format!(
        "{attempts} attempts ({generations} generations x {} pilot) x ({each} answered + {CALLS} prompts of {PROMPT}), \
         {rollouts} rollouts of {TURNS} turns, {generations} reflections",
        evolution.pilot_size
    );
    let bounded = budget.tokens.filter(|bound| *bound < tokens.all());
    estimate.lines.push(Line {
        what: "model tokens",
        amount: format!(
            "{} at most",
            figure(bounded.unwrap_or_else(|| tokens.all()))
        ),
        made_of: bounded.map_or(made_of, |_| "budget.tokens, which ends the job".into()),
    });
    dollars(tokens, budget.usd, estimate);
    if attempts < strategy.target.accepted {
        estimate.notes.push(format!(
            "{} attempts {attempts} instances at most and {} are asked for: raise evolution.maxGenerations or pilotSize, or it ends with GenerationsExhausted",
            strategy.name.as_str(),
            strategy.target.accepted
        ));
    }
    estimate.notes.push(format!(
        "prompts are no part of the manifest: {PROMPT} tokens each are assumed, and {TURN} a turn of a rollout"
    ));
}

/// Returns the rollouts after a pilot.
fn rollouts(strategy: &StrategySpec) -> u64 {
    let own = strategy.parameters.own.get("rollouts");
    own.and_then(serde_json::Value::as_u64).unwrap_or(ROLLOUTS)
}

fn dollars(tokens: Tokens, usd: Option<f64>, estimate: &mut Estimate) {
    let bound = usd.filter(|usd| *usd < tokens.dollars || !tokens.priced);
    let (amount, made_of) = match (bound, tokens.priced) {
        (Some(usd), _) => (
            format!("${usd:.2} at most"),
            "budget.usd, which ends the work".to_owned(),
        ),
        (None, true) => (
            format!("${:.2} at most", tokens.dollars),
            format!(
                "{} prompt and {} answer tokens by the prices of the bindings",
                figure(tokens.input),
                figure(tokens.output)
            ),
        ),
        (None, false) if tokens.dollars > 0.0 => (
            format!("${:.2} and more", tokens.dollars),
            "a binding names no price".to_owned(),
        ),
        (None, false) => (
            "unknown".to_owned(),
            "no binding names a price; add `price: {input, output}` in dollars for a million tokens".to_owned(),
        ),
    };
    estimate.lines.push(Line {
        what: "dollars for models",
        amount,
        made_of,
    });
}

fn qualification(suite: &CheckerSuite, estimate: &mut Estimate) {
    let spec = &suite.spec;
    if spec.agents().is_empty() {
        estimate.lines.push(Line {
            what: "model tokens",
            amount: "0".into(),
            made_of: "qualification asks no model".into(),
        });
    } else {
        estimate.notes.push(format!(
            "{} endpoint(s) are scored on every qualified task: how many qualify is not known before",
            spec.agents().len()
        ));
    }
    let bound = spec.run_policy.active_deadline_seconds.map(seconds);
    compute(
        spec.worker.resources.as_ref(),
        1,
        bound,
        "runPolicy.activeDeadlineSeconds",
        estimate,
    );
}

fn training(run: &GRPORun, estimate: &mut Estimate) {
    let spec = &run.spec;
    let (stages, evaluation) = (&spec.stages, &spec.stages.evaluation);
    if evaluation.endpoints.is_empty() {
        estimate.lines.push(Line {
            what: "model tokens",
            amount: "0".into(),
            made_of: "the policy plays its own rollouts, and no endpoint is evaluated".into(),
        });
    } else {
        let turns = u64::from(evaluation.tasks)
            * u64::from(evaluation.samples)
            * u64::from(stages.grpo.max_turns);
        let output = turns.saturating_mul(u64::from(stages.grpo.max_tokens_per_turn));
        let tokens = evaluation
            .endpoints
            .iter()
            .map(|endpoint| Tokens::of(turns.saturating_mul(PROMPT), output, Some(endpoint)))
            .reduce(Tokens::and)
            .unwrap_or_default();
        estimate.lines.push(Line {
            what: "model tokens",
            amount: format!("{} at most", figure(tokens.all())),
            made_of: format!(
                "{} endpoint(s) x {} tasks x {} samples x {} turns x ({} answered + a prompt of {PROMPT})",
                evaluation.endpoints.len(),
                evaluation.tasks,
                evaluation.samples,
                stages.grpo.max_turns,
                stages.grpo.max_tokens_per_turn
            ),
        });
        dollars(tokens, None, estimate);
    }
    let deadline = spec.run_policy.active_deadline_seconds.map(seconds);
    let mut open = vec![];
    let mut sum = 0.0;
    let arms = &evaluation.arms;
    let mut stage = |name: &'static str, bound: Option<Span>| match bound {
        Some(span) => sum += span.as_secs_f64(),
        None => open.push(name),
    };
    if spec.user.model == UserModel::Sft {
        stage("userSFT", stages.user_sft.and_then(|sft| sft.wall_clock));
        stage("certifyUser", None);
    }
    stage("agentSFT", stages.agent_sft.sft.wall_clock);
    stage("grpo", stages.grpo.wall_clock);
    if arms.contains(&Arm::GrpoUnfiltered) {
        stage("grpoUnfiltered", stages.grpo.wall_clock);
    }
    if arms.contains(&Arm::SftContinued) {
        // It gets the time that GRPO took.
        stage("sftContinued", stages.grpo.wall_clock);
    }
    stage("evaluate", None);
    compute(
        spec.worker.resources.as_ref(),
        u64::from(spec.topology.trainers) + u64::from(spec.topology.rollouts),
        deadline,
        "runPolicy.activeDeadlineSeconds",
        estimate,
    );
    if deadline.is_none() {
        estimate.notes.push(format!(
            "of its stages those with a wallClock take {} together; without a bound of time: {}",
            hours(sum),
            open.join(", ")
        ));
    }
}

/// Core-hours of so many workers in so much time.
fn compute(
    resources: Option<&Resources>,
    workers: u64,
    time: Option<std::time::Duration>,
    field: &str,
    estimate: &mut Estimate,
) {
    let resources = resources.cloned().unwrap_or_default();
    let cores = resources.cpu.map(Cores::as_f64);
    let plural = if workers == 1 { "" } else { "s" };
    let (amount, made_of) = match (cores, time) {
        (Some(cores), Some(time)) => (
            format!(
                "{:.1} at most",
                cores * workers as f64 * time.as_secs_f64() / 3600.0
            ),
            format!(
                "{workers} worker{plural} x {cores} cores x {} of active time",
                hours(time.as_secs_f64())
            ),
        ),
        (Some(cores), None) => (
            format!("{:.1} an hour", cores * workers as f64),
            format!("{workers} worker{plural} x {cores} cores; set {field} to bound the time"),
        ),
        (None, _) => (
            "unknown".to_owned(),
            "worker.resources.cpu is not set: each worker takes what its node has".to_owned(),
        ),
    };
    estimate.lines.push(Line {
        what: "core-hours",
        amount,
        made_of,
    });
}

fn shorter(
    a: Option<std::time::Duration>,
    b: Option<std::time::Duration>,
) -> Option<std::time::Duration> {
    a.into_iter().chain(b).min()
}

fn seconds(seconds: u32) -> std::time::Duration {
    std::time::Duration::from_secs(u64::from(seconds))
}

fn hours(seconds: f64) -> String {
    if seconds < 5_400.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

/// A number with its thousands apart.
fn figure(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl std::fmt::Display for Estimate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows: Vec<[String; 3]> = self
            .lines
            .iter()
            .map(|line| {
                [
                    line.what.to_owned(),
                    line.amount.clone(),
                    line.made_of.clone(),
                ]
            })
            .collect();
        f.write_str(&table::columns(&rows))?;
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(extra: &str) -> Manifest {
        let text = format!(
            "apiVersion: agoge.dev/v1alpha1\nkind: SynthesisJob\nmetadata: {{ name: a }}\nspec:\n  domain: courier\n  strategies:\n  - {{ name: sea, target: {{ accepted: 4 }} }}\n  models:\n    default: {{ endpoint: qwen, price: {{ input: 1, output: 2 }} }}\n{extra}"
        );
        agoge_crds::check(&text, "test").unwrap().remove(0)
    }

    fn amount<'a>(estimate: &'a Estimate, what: &str) -> &'a str {
        let line = estimate.lines.iter().find(|line| line.what == what);
        &line.unwrap().amount
    }

    #[test]
    fn a_bound_is_attempts_times_what_each_may_take() {
        let free = estimate(&job(""), &[]);
        // 2 generations x 6: 12 x (450 + 6 x 3000); 6 rollouts x 12 turns x 2 parts x 3200; 2 x (6000 + 1500).
        assert_eq!(amount(&free, "model tokens"), "697,200 at most");
        // 216,000 + 432,000 + 12,000 of prompts at $1; 5,400 + 28,800 + 3,000 of answers at $2.
        assert_eq!(amount(&free, "dollars for models"), "$0.73 at most");
        assert_eq!(amount(&free, "answers for the target"), "1,800 tokens");
    }

    #[test]
    fn a_budget_bounds_what_its_parts_would_allow() {
        let tight = estimate(
            &job(
                "  budget: { tokens: 1000, usd: 0.1, wallClock: 30m }\n  worker: { resources: { cpu: 500m } }\n",
            ),
            &[],
        );
        assert_eq!(amount(&tight, "model tokens"), "1,000 at most");
        assert_eq!(amount(&tight, "dollars for models"), "$0.10 at most");
    }

    #[test]
    fn cores_are_multiplied_by_workers_and_hours() {
        let mut estimate = Estimate::default();
        let resources = Resources {
            cpu: Some(Cores::thousandths(1500)),
            ..Resources::default()
        };
        compute(Some(&resources), 4, Some(seconds(1800)), "f", &mut estimate);
        assert_eq!(amount(&estimate, "core-hours"), "3.0 at most");
    }
}
