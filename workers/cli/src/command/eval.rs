//! `agoge eval`: scores any OpenAI-compatible model on a domain's held-out tasks: pass^1 to pass^k, by branch of the policy.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agoge_checker::passk::{Estimate, Trials, by_branch, copies, pass_hat_k};
use agoge_checker::{JUDGING, Judge};
use agoge_contract::Endpoint;
use agoge_llm::Client;
use agoge_sandbox::Limits;
use agoge_store::write_atomic;
use agoge_synthesis::rollout::{Calls, Players, Rollout, Settings, User};
use agoge_world::{Domain, Mix, SandboxBackend, Split, Task, ToolBackend as _, World, tasks};
use clap::Args;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::export;
use crate::failure::Failure;
use crate::resolve::Names;
use crate::{manifest, probe, table};

/// Scores a model behind an OpenAI-compatible endpoint on held-out tasks.
///
/// The tasks are those of a run's qualified suite (--out), or are drawn from the templates of the domain that the
/// manifests name (-f). The model reads the domain's policy and its tools; calls run on the executable domain, and the
/// checkers judge. An episode that the endpoint fails in is no trial of the model: it is counted apart.
#[derive(Debug, Args)]
pub struct Eval {
    /// The endpoint's base URL, without /v1. Its key is read from AGOGE_API_KEY.
    #[arg(long, value_name = "URL")]
    pub endpoint: String,
    /// The model, where the endpoint serves several.
    #[arg(long)]
    pub model: Option<String>,
    /// A manifest, or a folder of manifests, that names the domain.
    #[arg(
        short,
        long = "file",
        value_name = "PATH",
        required_unless_present = "out"
    )]
    pub files: Vec<PathBuf>,
    /// The folder of a run: its held-out tasks are played.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Tasks at most.
    #[arg(long, default_value_t = 40)]
    pub tasks: usize,
    /// Trials of each task: k of pass^k.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub samples: u32,
    /// Sampling temperature of the model. The default is 0 for one trial of a task, and 0.7 for several: at 0 every trial
    /// repeats the first.
    #[arg(long)]
    pub temperature: Option<f64>,
    /// Episodes at once.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub concurrency: u32,
    /// Let the model play the user too, instead of the task's script.
    #[arg(long)]
    pub model_user: bool,
    /// Offer tools by the API's own `tools`, instead of describing them in the prompt.
    #[arg(long)]
    pub native_calls: bool,
    /// Seed of the tasks that are drawn, and of sampling.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Seconds that one answer may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    pub timeout: u64,
    /// Write figures and every dialogue to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// An endpoint that does not answer, a domain that is broken, or an interruption.
pub fn eval(eval: &Eval) -> Result<(), Failure> {
    let temperature = temperature(eval)?;
    let (domain, chosen) = chosen(eval)?;
    if chosen.is_empty() {
        return Err(Failure::Input(
            "there is no held-out task; a suite needs some in its split heldout".into(),
        ));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start: {error}")))?;
    let client = client(eval)?;
    runtime
        .block_on(probe::answers(&client))
        .map_err(Failure::input)?;
    let world = World::open(Arc::new(domain), Limits::default()).map_err(Failure::input)?;
    let backend = SandboxBackend::new(world);
    backend
        .require("evaluation", JUDGING)
        .map_err(Failure::input)?;
    let played = runtime.block_on(play_all(eval, temperature, &backend, &chosen, &client))?;
    let figures = figures(eval, &chosen, &played, client.meter().spent().tokens());
    show(&figures);
    if let Some(file) = &eval.json {
        let dialogues: Vec<Value> = played
            .iter()
            .map(|(at, rollout)| dialogue(&chosen[*at], rollout))
            .collect();
        let text = format!(
            "{:#}\n",
            json!({ "figures": figures.to_json(), "dialogues": dialogues })
        );
        write_atomic(file, text)?;
        println!("\nfigures and dialogues: {}", file.display());
    }
    if figures.pass.first().is_some_and(|first| first.n == 0) {
        return Err(Failure::Failed(
            "not one episode came to a verdict; the last reason is above".into(),
        ));
    }
    Ok(())
}

/// The model's temperature. Trials that repeat each other are refused.
fn temperature(eval: &Eval) -> Result<f64, Failure> {
    let default = if eval.samples > 1 { 0.7 } else { 0.0 };
    let temperature = eval.temperature.unwrap_or(default);
    if eval.samples > 1 && copies(&[temperature]) {
        return Err(Failure::Input(format!(
            "--samples {} at --temperature {temperature} repeats one trial, which is not pass^{0}; leave --temperature out, \
             or set it above 0",
            eval.samples
        )));
    }
    Ok(temperature)
}

fn client(eval: &Eval) -> Result<Client, Failure> {
    let key_variable = std::env::var_os("AGOGE_API_KEY").map(|_| "AGOGE_API_KEY".to_owned());
    let endpoint = Endpoint {
        url: eval.endpoint.clone(),
        key_variable,
    };
    let patience = Duration::from_secs(eval.timeout.max(1));
    probe::client(&endpoint, eval.model.clone(), patience, eval.concurrency).map_err(Failure::input)
}

/// The domain, and its held-out tasks.
fn chosen(eval: &Eval) -> Result<(Domain, Vec<Task>), Failure> {
    if let Some(out) = &eval.out {
        let found = export::find(out, None)?;
        let heldout = found
            .instances
            .into_iter()
            .filter(|instance| instance.split == Split::Heldout);
        return Ok((
            found.domain,
            heldout
                .map(|instance| instance.task)
                .take(eval.tasks)
                .collect(),
        ));
    }
    let sources =
        manifest::read(&eval.files, &[]).map_err(|problems| Failure::problems(&problems))?;
    let folder = Names::default()
        .domain(&sources[0])
        .map_err(Failure::input)?;
    let domain = Domain::load(&folder).map_err(Failure::input)?;
    let mut world =
        World::open(Arc::new(domain.clone()), Limits::default()).map_err(Failure::input)?;
    let most = agoge_world::possible(&mut world, Split::Heldout, Mix::EvenBranches);
    let n = eval.tasks.min(most);
    let drawn = tasks(&mut world, Split::Heldout, Mix::EvenBranches, eval.seed, n)
        .map_err(Failure::input)?;
    Ok((domain, drawn))
}

/// Every trial of every task, with the task's number.
async fn play_all(
    eval: &Eval,
    temperature: f64,
    backend: &SandboxBackend,
    chosen: &[Task],
    client: &Client,
) -> Result<Vec<(usize, Rollout)>, Failure> {
    let calls = if eval.native_calls {
        Calls::Native
    } else {
        Calls::Fenced
    };
    let bar = ProgressBar::new(chosen.len() as u64 * u64::from(eval.samples));
    let style =
        ProgressStyle::with_template("{bar:24} {pos}/{len} episodes, {per_sec}, {eta} to go");
    bar.set_style(
        style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> "),
    );
    let trials = (0..eval.samples).flat_map(|trial| (0..chosen.len()).map(move |at| (at, trial)));
    let bar_of = &bar;
    let judge = &Mutex::new(Judge::new());
    let episodes = futures::stream::iter(trials).map(|(at, trial)| async move {
        let settings = Settings {
            temperature,
            seed: eval.seed.wrapping_add(u64::from(trial)),
            calls,
            ..Settings::default()
        };
        let user = if eval.model_user {
            User::Model(client)
        } else {
            User::Scripted
        };
        let item = format!("{}#{trial}", chosen[at].id);
        let players = Players {
            backend,
            judge,
            agent: client,
            user,
            settings: &settings,
        };
        let rollout = players.play(&chosen[at], &item).await;
        bar_of.inc(1);
        rollout.map(|rollout| (at, rollout))
    });
    let mut episodes = episodes.buffer_unordered(eval.concurrency as usize);
    let mut played = vec![];
    loop {
        tokio::select! {
            next = episodes.next() => match next {
                Some(Ok(one)) => played.push(one),
                Some(Err(error)) => return Err(Failure::input(error)),
                None => break,
            },
            _ = tokio::signal::ctrl_c() => {
                bar.finish_and_clear();
                return Err(Failure::Failed("interrupted; an evaluation starts anew".into()));
            }
        }
    }
    bar.finish_and_clear();
    played.sort_by_key(|(at, _)| *at);
    Ok(played)
}

struct Figures {
    model: String,
    pass: Vec<Estimate>,
    branches: BTreeMap<String, Estimate>,
    /// Episodes that prove nothing about the model, by their end.
    void: BTreeMap<String, usize>,
    tokens: u64,
}

impl Figures {
    fn to_json(&self) -> Value {
        json!({ "model": self.model, "pass": self.pass, "branches": self.branches, "void": self.void, "tokens": self.tokens })
    }
}

fn figures(eval: &Eval, chosen: &[Task], played: &[(usize, Rollout)], tokens: u64) -> Figures {
    let branches: Vec<String> = chosen
        .iter()
        .map(|task| format!("{}/{}", task.intent, task.branch))
        .collect();
    let mut trials: Vec<Trials<'_>> = branches
        .iter()
        .map(|cluster| Trials::none(cluster))
        .collect();
    let mut void = BTreeMap::new();
    for (at, rollout) in played {
        match rollout.reward() {
            Some(reward) => {
                trials[*at].trials += 1;
                trials[*at].passed += u32::from(reward >= 1.0);
            }
            None => {
                *void
                    .entry(format!("{:?}", rollout.end).chars().take(120).collect())
                    .or_default() += 1
            }
        }
    }
    Figures {
        model: eval.model.clone().unwrap_or_else(|| eval.endpoint.clone()),
        pass: (1..=eval.samples).map(|k| pass_hat_k(&trials, k)).collect(),
        branches: by_branch(&trials),
        void,
        tokens,
    }
}

fn show(figures: &Figures) {
    let Some(first) = figures.pass.first() else {
        return;
    };
    let mut head = vec!["model".to_owned(), "pass^1".to_owned(), "95 %".to_owned()];
    let mut row = vec![figures.model.clone(), format!("{:.3}", first.value)];
    row.push(format!("{:.3} - {:.3}", first.low, first.high));
    for (estimate, k) in figures.pass.iter().zip(1..).skip(1) {
        head.push(format!("pass^{k}"));
        row.push(format!("{:.3}", estimate.value));
    }
    head.push("tasks".to_owned());
    row.push(first.n.to_string());
    if figures.pass.len() == 1 {
        head.push("trials".to_owned());
        row.push("one".to_owned());
    }
    print!("{}", table::columns(&[head, row]));
    println!("\nby branch of the policy:");
    let rows: Vec<Vec<String>> = figures
        .branches
        .iter()
        .map(|(branch, e)| {
            vec![
                format!("  {branch}"),
                format!("{:.2}", e.value),
                format!("{} tasks", e.n),
            ]
        })
        .collect();
    print!("{}", table::columns(&rows));
    for (end, n) in &figures.void {
        println!("{n} episodes proved nothing: {end}");
    }
}

fn dialogue(task: &Task, rollout: &Rollout) -> Value {
    json!({
        "task": task.id,
        "branch": task.branch,
        "reward": rollout.reward(),
        "end": rollout.end,
        "verdict": rollout.verdict,
        "messages": rollout.messages,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        eval: Eval,
    }

    fn temperature_of(arguments: &[&str]) -> Result<f64, Failure> {
        let line = ["eval", "--endpoint", "http://127.0.0.1:9", "--out", "run"];
        let line = Line::try_parse_from(line.iter().chain(arguments).copied()).unwrap();
        temperature(&line.eval)
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
