//! `agoge eval`: scores any OpenAI-compatible model on tasks of a domain, with a scripted user or a model as the user: pass^k
//! and pass@k from raw counts, by branch of the policy, beside agents that need no model.

mod compare;
mod ends;
mod figures;
mod kept;
mod play;
mod record;
mod tasks;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agoge_checker::JUDGING;
use agoge_checker::passk::copies;
use agoge_sandbox::Limits;
use agoge_synthesis::evaluation::{Exam, Played, SEVERAL, baseline, has_script};
use agoge_synthesis::rollout::{Calls, GREETING, Settings};
use agoge_world::{Domain, DomainLimits, Rules, SandboxBackend, Task, ToolBackend as _, World};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use self::ends::Ends;
use self::kept::Kept;
use self::tasks::{Part, chosen};
use crate::driver::default_out;
use crate::failure::Failure;

/// Scores a model behind an OpenAI-compatible endpoint on tasks of a domain.
///
/// The tasks are those of a run's qualified suite (--out), or those of the domain that --domain or the manifests (-f) name: of
/// its tasks.jsonl where it has one, else drawn from its templates. The model reads the domain's policy and its tools; the user
/// is the task's script, or a model of its own (--user model); calls run on the executable domain, and the checkers judge. Every
/// finished episode is kept (--keep) before the next one counts. An outage of the endpoint is waited out, and one that lasts
/// ends the command; the same command goes on from there.
///
/// Exit codes: 0 every episode was played; 1 not one came to a verdict; 2 something must be changed; 3 the endpoint gave
/// out; 130 interrupted.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Eval {
    /// Something else to do with evaluations.
    #[command(subcommand)]
    pub command: Option<EvalCommand>,
    /// The endpoint's base URL. /v1 is added to a bare host, and a path is used as it is given. Its key is read from
    /// AGOGE_API_KEY.
    #[arg(long, value_name = "URL", required = true)]
    pub endpoint: Option<String>,
    /// The model, where the endpoint serves several.
    #[arg(long)]
    pub model: Option<String>,
    /// A manifest, or a folder of manifests, that names the domain.
    #[arg(
        short,
        long = "file",
        value_name = "PATH",
        required_unless_present_any = ["out", "domain"]
    )]
    pub files: Vec<PathBuf>,
    /// The folder of a run: tasks of its qualified suite are played.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The folder of a domain.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "files"])]
    pub domain: Option<PathBuf>,
    /// The split that the tasks are of.
    #[arg(long, value_enum, default_value = "heldout")]
    pub split: Part,
    /// Draw tasks from the domain's templates, although it has a tasks.jsonl.
    #[arg(long)]
    pub drawn: bool,
    /// Tasks at most.
    #[arg(long, default_value_t = 40)]
    pub tasks: usize,
    /// Trials of each task: k of pass^k.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub samples: u32,
    /// Sampling temperature of the model. The default is 0 for one trial of a task, and 0.7 for several: at 0 every trial
    /// repeats the first.
    #[arg(long)]
    pub temperature: Option<f64>,
    /// Episodes at once.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub concurrency: u32,
    /// Generated tokens of one answer of the model. Raise it for a model that reasons before it answers. [default: the domain's
    /// limit, or 160]
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_tokens: Option<u32>,
    /// Generated tokens of one turn of a user model. [default: the domain's limit, or 256]
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_user_tokens: Option<u32>,
    /// Turns of the model in one episode, calls included. [default: the domain's limit, or 12]
    #[arg(long, value_name = "TURNS", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub max_turns: Option<u32>,
    /// The user: the task's script, or a model that plays the task's scenario.
    #[arg(long, value_enum, value_name = "KIND")]
    pub user: Option<UserKind>,
    /// The base URL of the user model's endpoint; without it the agent's. Its key is read from AGOGE_USER_API_KEY.
    #[arg(long, value_name = "URL")]
    pub user_endpoint: Option<String>,
    /// The user model, where its endpoint serves several.
    #[arg(long, value_name = "MODEL")]
    pub user_model: Option<String>,
    /// Sampling temperature of the user model.
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    pub user_temperature: f64,
    /// The agent's first words, as the user model is told of them.
    #[arg(long, value_name = "TEXT", default_value = GREETING)]
    pub greeting: String,
    /// The same as --user model.
    #[arg(long, conflicts_with = "user")]
    pub model_user: bool,
    /// The base URL of an endpoint whose model judges the tasks' statements in words. Its opinion is reported apart, and is part
    /// of a reward only where the task's basis says so. Its key is read from AGOGE_JUDGE_API_KEY.
    #[arg(long, value_name = "URL")]
    pub judge_endpoint: Option<String>,
    /// The judge's model, where its endpoint serves several.
    #[arg(long, value_name = "MODEL", requires = "judge_endpoint")]
    pub judge_model: Option<String>,
    /// Offer tools by the API's own `tools`, instead of describing them in the prompt.
    #[arg(long)]
    pub native_calls: bool,
    /// Seed of the tasks that are drawn, and of sampling.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Seconds that one answer may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    pub timeout: u64,
    /// Seconds that an outage of the endpoint is waited out. [default: AGOGE_ENDPOINT_PATIENCE, or 300]
    #[arg(long, value_name = "SECONDS")]
    pub patience: Option<u64>,
    /// Fields that are added to every request to the agent's endpoint, as a JSON object, such as '{"top_p": 0.9}'. A null leaves
    /// a field out.
    #[arg(long, value_name = "JSON", value_parser = object)]
    pub extra_body: Option<Object>,
    /// The name of the benchmark in the record, with its version where it has one. [default: the domain's name]
    #[arg(long, value_name = "NAME[@VERSION]")]
    pub benchmark: Option<String>,
    /// The folder that keeps every finished episode and every answer, so that an evaluation that was stopped goes on.
    /// [default: eval/ in --out, else beside --json, else in the folder that `agoge up` would use]
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Write figures, the record of the evaluation and every dialogue to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the evaluation to this file as a log of Inspect.
    #[arg(long, value_name = "FILE")]
    pub inspect: Option<PathBuf>,
    /// Write the evaluation to this folder in the form of a submission to tau2-bench's leaderboard: submission.json, and
    /// trajectories/ with every dialogue. Evaluations of several domains go into one folder.
    #[arg(long, value_name = "DIR")]
    pub tau2: Option<PathBuf>,
}

/// The other things that can be done with evaluations.
#[derive(Debug, Subcommand)]
pub enum EvalCommand {
    /// Compare two evaluations of the same tasks, task by task. Refused when they differ in anything but the agent.
    Compare(compare::Compare),
    /// Check that figures of pass^k can come from counts at all.
    CheckTable(compare::CheckTable),
}

/// The users that an evaluation can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UserKind {
    /// The task's own script.
    Scripted,
    /// A model that plays the task's scenario.
    Model,
}

/// The fields of a JSON object.
type Object = BTreeMap<String, Value>;

fn object(text: &str) -> Result<Object, String> {
    serde_json::from_str(text).map_err(|error| format!("write a JSON object ({error})"))
}

impl Eval {
    /// Returns the URL of the agent's endpoint, which the command line requires.
    fn agent_url(&self) -> &str {
        self.endpoint.as_deref().unwrap_or_default()
    }

    /// Returns the user. Whoever names an endpoint or a model of the user means a model.
    fn user(&self) -> UserKind {
        let named = self.model_user || self.user_endpoint.is_some() || self.user_model.is_some();
        self.user.unwrap_or(match named {
            true => UserKind::Model,
            false => UserKind::Scripted,
        })
    }
}

/// Runs it.
///
/// # Errors
/// An endpoint that does not answer, a domain that is broken, or an interruption.
pub fn eval(eval: &Eval) -> Result<(), Failure> {
    match &eval.command {
        Some(EvalCommand::Compare(command)) => compare::compare(command),
        Some(EvalCommand::CheckTable(command)) => compare::check_table(command),
        None => run(eval),
    }
}

fn run(eval: &Eval) -> Result<(), Failure> {
    let temperature = temperature(eval)?;
    let chosen = chosen(eval)?;
    check_user(eval, &chosen.tasks)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start: {error}")))?;
    let domain = chosen.domain.clone();
    let ends = Ends::of(eval)?;
    runtime.block_on(ends.probe(eval, &domain, temperature))?;
    let world = World::open(domain.clone(), Limits::default())?;
    let backend = SandboxBackend::new(world);
    backend
        .require("evaluation", JUDGING)
        .map_err(Failure::input)?;
    let settings = settings(eval, &domain, temperature);
    let identity = identity(eval, &domain.digest, &settings);
    let keys = play::keys(&chosen.tasks, eval.samples);
    let mut kept = Kept::open(&keep_in(eval), &identity, &keys)?;
    if kept.count() > 0 {
        println!(
            "{} finished episodes are in {}",
            kept.count(),
            kept.file().display()
        );
    }
    let ends = ends.keeping(patience(eval)?, &Arc::new(kept.answers()?));
    let exam = Exam {
        backend: &backend,
        tasks: &chosen.tasks,
        trials: eval.samples,
        concurrency: eval.concurrency as usize,
        agent: &ends.agent.client,
        user: ends.user(&eval.greeting),
        judge: ends.judge.as_ref().map(|judge| &judge.client),
        settings,
        key: &|task, trial| Kept::key(task, trial),
        item: &|task, trial| format!("{}#{trial}", task.id),
    };
    let played = runtime.block_on(play::play(&exam, &mut kept))?;
    let baselines = runtime.block_on(baseline::all(&backend, &chosen.tasks, &exam.settings.rules));
    let record = record::of(eval, &chosen, &ends, &exam, &played, &baselines);
    figures::show(&record, &baselines);
    record::write(eval, &chosen, &record, &baselines, &played)?;
    ended(
        &played,
        kept,
        record.pass.first().is_some_and(|first| first.n == 0),
    )
}

/// Ends the command: with the reasons of what is not played, or with the end of the evaluation.
fn ended(played: &Played, mut kept: Kept, nothing: bool) -> Result<(), Failure> {
    if let Some(why) = played.open.last() {
        return Err(Failure::Infra(format!(
            "{} episodes are not played: {why}\nthe others are kept in {}; the same command plays these",
            played.open.len(),
            kept.file().display()
        )));
    }
    kept.finish()?;
    if nothing {
        return Err(Failure::Failed(
            "not one episode came to a verdict; the reasons are above".into(),
        ));
    }
    Ok(())
}

/// Refuses a scripted user for tasks that have no script.
fn check_user(eval: &Eval, tasks: &[Task]) -> Result<(), Failure> {
    let without = tasks.iter().find(|task| !has_script(task));
    match (eval.user(), without) {
        (UserKind::Scripted, Some(task)) => Err(Failure::Input(format!(
            "the task {} has no script of a user (user.opening is empty); let a model play the user with --user model",
            task.id
        ))),
        _ => Ok(()),
    }
}

/// The model's temperature. Trials that repeat each other are refused.
fn temperature(eval: &Eval) -> Result<f64, Failure> {
    let default = if eval.samples > 1 { SEVERAL } else { 0.0 };
    let temperature = eval.temperature.unwrap_or(default);
    let mut temperatures = vec![temperature];
    if eval.user() == UserKind::Model {
        temperatures.push(eval.user_temperature);
    }
    if eval.samples > 1 && copies(&temperatures) {
        return Err(Failure::Input(format!(
            "--samples {} at --temperature {temperature} repeats one trial, which is not pass^{0}; leave --temperature out, \
             or set it above 0",
            eval.samples
        )));
    }
    Ok(temperature)
}

/// Returns the rules of every episode.
fn rules(eval: &Eval, domain: &Domain) -> Rules {
    let wanted = DomainLimits {
        turns: eval.max_turns,
        agent_tokens: eval.max_tokens,
        user_tokens: eval.max_user_tokens,
    };
    agoge_synthesis::evaluation::rules(domain, wanted, eval.user() == UserKind::Model)
}

/// Returns the settings of the first trial of every task.
fn settings(eval: &Eval, domain: &Domain, temperature: f64) -> Settings {
    Settings {
        rules: rules(eval, domain),
        temperature,
        user_temperature: eval.user_temperature,
        seed: eval.seed,
        calls: match eval.native_calls {
            true => Calls::Native,
            false => Calls::Fenced,
        },
    }
}

/// Returns the longest outage that is waited out once the evaluation has begun.
fn patience(eval: &Eval) -> Result<Duration, Failure> {
    match eval.patience {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => agoge_llm::Endpoint::patience_here().map_err(Failure::Input),
    }
}

/// Returns everything but the tasks that an episode depends on.
fn identity(eval: &Eval, domain: &str, settings: &Settings) -> String {
    let mut identity = json!({
        "domain": domain, "endpoint": eval.endpoint, "model": eval.model, "extraBody": eval.extra_body,
        "modelUser": eval.user() == UserKind::Model, "settings": settings,
    });
    if eval.user() == UserKind::Model {
        let user = [eval.user_endpoint.as_deref(), eval.user_model.as_deref()];
        identity["user"] = json!({"model": user, "greeting": eval.greeting});
    }
    if eval.judge_endpoint.is_some() {
        identity["judge"] = json!([eval.judge_endpoint, eval.judge_model]);
    }
    identity.to_string()
}

/// Returns the folder that keeps evaluations.
fn keep_in(eval: &Eval) -> PathBuf {
    if let Some(folder) = &eval.keep {
        return folder.clone();
    }
    let beside = eval.json.as_ref().and_then(|file| file.parent());
    let up = eval.files.first().map(|file| default_out(file));
    let folder = match (&eval.out, beside, up) {
        (Some(out), ..) => out.clone(),
        (None, Some(beside), _) => beside.to_owned(),
        (None, None, up) => up.unwrap_or_default(),
    };
    folder.join("eval")
}

#[cfg(test)]
mod tests {
    use super::*;
    use agoge_synthesis::evaluation::USER_TOKENS;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        eval: Eval,
    }

    fn parsed(arguments: &[&str]) -> Eval {
        let line = ["eval", "--endpoint", "http://127.0.0.1:9", "--out", "run"];
        let line = Line::try_parse_from(line.iter().chain(arguments).copied());
        line.unwrap().eval
    }

    fn temperature_of(arguments: &[&str]) -> Result<f64, Failure> {
        temperature(&parsed(arguments))
    }

    #[test]
    fn answers_and_episodes_are_as_long_as_asked_for() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/courier/domain");
        let mut domain = Domain::load(std::path::Path::new(dir)).unwrap();
        assert_eq!(rules(&parsed(&[]), &domain), Rules::default());
        let long = rules(
            &parsed(&["--max-tokens", "4000", "--max-turns", "30"]),
            &domain,
        );
        assert_eq!((long.max_agent_tokens, long.max_turns), (4000, 30));
        domain.limits.turns = Some(50);
        let modelled = rules(&parsed(&["--user", "model"]), &domain);
        assert_eq!(
            (modelled.max_turns, modelled.max_user_tokens),
            (50, USER_TOKENS)
        );
    }

    #[test]
    fn a_user_model_is_asked_for_by_its_name_and_by_the_old_option() {
        assert_eq!(parsed(&[]).user(), UserKind::Scripted);
        let endpoint = ["--user-endpoint", "http://127.0.0.1:8"];
        for line in [&["--user", "model"][..], &["--model-user"], &endpoint] {
            assert_eq!(parsed(line).user(), UserKind::Model, "{line:?}");
        }
        let task = Task {
            id: "7".into(),
            ..Task::default()
        };
        let refused = check_user(&parsed(&[]), std::slice::from_ref(&task)).unwrap_err();
        assert!(refused.to_string().contains("--user model"), "{refused}");
        assert!(check_user(&parsed(&["--user", "model"]), &[task]).is_ok());
    }

    #[test]
    fn a_comparison_needs_no_endpoint_and_an_evaluation_does() {
        let line = |words: &[&str]| Line::try_parse_from(["eval"].iter().chain(words).copied());
        let compared = line(&["compare", "a.json", "b.json"]).unwrap().eval;
        assert!(matches!(compared.command, Some(EvalCommand::Compare(_))));
        assert!(line(&["check-table", "67.5", "63.5"]).is_ok());
        assert!(line(&["--out", "run"]).is_err());
        assert!(line(&["--endpoint", "http://127.0.0.1:9"]).is_err());
    }

    #[test]
    fn several_trials_sample_and_copies_of_one_trial_are_refused() {
        assert_eq!(temperature_of(&[]).unwrap(), 0.0);
        assert!(temperature_of(&["--samples", "4"]).unwrap() > 0.0);
        let refused = temperature_of(&["--samples", "4", "--temperature", "0"]).unwrap_err();
        assert!(
            refused.to_string().contains("repeats one trial"),
            "{refused}"
        );
    }
}
