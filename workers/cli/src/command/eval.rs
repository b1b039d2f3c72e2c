//! `agoge eval`: scores any OpenAI-compatible model on a domain's held-out tasks: pass^1 to pass^k, by branch of the policy,
//! beside agents that need no model.

mod baseline;
mod figures;
mod kept;
mod play;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agoge_checker::JUDGING;
use agoge_checker::passk::copies;
use agoge_contract::Endpoint;
use agoge_crds::shared::EndpointBinding;
use agoge_llm::Client;
use agoge_sandbox::Limits;
use agoge_store::write_atomic;
use agoge_synthesis::rollout::{Calls, Settings};
use agoge_world::{
    Domain, Mix, Rules, SandboxBackend, Split, Task, ToolBackend as _, World, tasks,
};
use clap::Args;
use serde_json::{Value, json};

use self::figures::{cluster, figures, show};
use self::kept::{Episode, Kept};
use self::play::Match;
use super::export;
use crate::driver::default_out;
use crate::failure::Failure;
use crate::resolve::Names;
use crate::{manifest, probe};

/// Scores a model behind an OpenAI-compatible endpoint on held-out tasks.
///
/// The tasks are those of a run's qualified suite (--out), or are drawn from the templates of the domain that the
/// manifests name (-f). The model reads the domain's policy and its tools; calls run on the executable domain, and the
/// checkers judge. Every finished episode is kept (--keep) before the next one counts. An outage of the endpoint is waited
/// out, and one that lasts ends the command; the same command goes on from there.
///
/// Exit codes: 0 every episode was played; 1 not one came to a verdict; 2 something must be changed; 3 the endpoint gave
/// out; 130 interrupted.
#[derive(Debug, Args)]
pub struct Eval {
    /// The endpoint's base URL. /v1 is added to a bare host, and a path is used as it is given. Its key is read from
    /// AGOGE_API_KEY.
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
    /// Generated tokens of one answer of the model. Raise it for a model that reasons before it answers.
    #[arg(long, value_name = "TOKENS", default_value_t = Rules::default().max_agent_tokens,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_tokens: u32,
    /// Turns of the model in one episode, calls included.
    #[arg(long, value_name = "TURNS", default_value_t = Rules::default().max_turns,
        value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub max_turns: u32,
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
    /// Seconds that an outage of the endpoint is waited out. [default: AGOGE_ENDPOINT_PATIENCE, or 300]
    #[arg(long, value_name = "SECONDS")]
    pub patience: Option<u64>,
    /// Fields that are added to every request, as a JSON object, such as '{"top_p": 0.9}'. A null leaves a field out.
    #[arg(long, value_name = "JSON", value_parser = object)]
    pub extra_body: Option<Object>,
    /// The folder that keeps every finished episode and every answer, so that an evaluation that was stopped goes on.
    /// [default: eval/ in --out, else beside --json, else in the folder that `agoge up` would use]
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Write figures and every dialogue to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// The fields of a JSON object.
type Object = BTreeMap<String, Value>;

fn object(text: &str) -> Result<Object, String> {
    serde_json::from_str(text).map_err(|error| format!("write a JSON object ({error})"))
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
    let domain = Arc::new(domain);
    let (client, patience) = client(eval)?;
    let tools = if eval.native_calls {
        domain.tools.as_slice()
    } else {
        &[]
    };
    runtime
        .block_on(probe::answers(&client, temperature, tools))
        .map_err(|error| match error.is_passing() {
            true => Failure::Infra(error.to_string()),
            false => Failure::input(error),
        })?;
    let world = World::open(domain.clone(), Limits::default()).map_err(Failure::input)?;
    let backend = SandboxBackend::new(world);
    backend
        .require("evaluation", JUDGING)
        .map_err(Failure::input)?;
    let settings = settings(eval, temperature);
    let identity = identity(eval, &domain.digest, &settings);
    let keys = play::keys(&chosen, eval.samples);
    let mut kept = Kept::open(&keep_in(eval), &identity, &keys)?;
    if kept.count() > 0 {
        println!(
            "{} finished episodes are in {}",
            kept.count(),
            kept.file().display()
        );
    }
    let recordings = Arc::new(kept.answers()?);
    let client = client.with_patience(patience).with_recordings(recordings);
    let all = Match {
        backend: &backend,
        tasks: &chosen,
        trials: eval.samples,
        concurrency: eval.concurrency as usize,
        client: &client,
        model_user: eval.model_user,
        settings,
    };
    let played = runtime.block_on(all.play(&mut kept))?;
    let clusters: Vec<String> = chosen.iter().map(cluster).collect();
    let rules = rules(eval);
    let baselines = runtime.block_on(baseline::all(&backend, &chosen, &clusters, &rules));
    let figures = figures(eval, &clusters, &played.episodes, baselines);
    show(&figures);
    if let Some(file) = &eval.json {
        let dialogues = played.episodes.iter().map(|(_, episode)| episode);
        let dialogues: Vec<&Episode> = dialogues.collect();
        let text = format!(
            "{:#}\n",
            json!({ "figures": figures.to_json(), "dialogues": dialogues })
        );
        write_atomic(file, text)?;
        println!("\nfigures and dialogues: {}", file.display());
    }
    if let Some(why) = played.open.last() {
        return Err(Failure::Infra(format!(
            "{} episodes are not played: {why}\nthe others are kept in {}; the same command plays these",
            played.open.len(),
            kept.file().display()
        )));
    }
    kept.finish()?;
    if figures.pass.first().is_some_and(|first| first.n == 0) {
        return Err(Failure::Failed(
            "not one episode came to a verdict; the reasons are above".into(),
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

/// Returns the rules of every episode.
fn rules(eval: &Eval) -> Rules {
    Rules {
        max_turns: eval.max_turns,
        max_agent_tokens: eval.max_tokens,
        ..Rules::default()
    }
}

/// Returns the settings of the first trial of every task.
fn settings(eval: &Eval, temperature: f64) -> Settings {
    Settings {
        rules: rules(eval),
        temperature,
        seed: eval.seed,
        calls: match eval.native_calls {
            true => Calls::Native,
            false => Calls::Fenced,
        },
        ..Settings::default()
    }
}

/// Returns the client of the endpoint, and the longest outage that it waits out once the evaluation has begun.
fn client(eval: &Eval) -> Result<(Client, Duration), Failure> {
    let key_variable = std::env::var_os("AGOGE_API_KEY").map(|_| "AGOGE_API_KEY".to_owned());
    let endpoint = Endpoint {
        url: eval.endpoint.clone(),
        key_variable,
    };
    let binding = EndpointBinding {
        model: eval.model.clone(),
        concurrency: Some(eval.concurrency),
        extra_body: eval.extra_body.clone().unwrap_or_default(),
        ..EndpointBinding::default()
    };
    let patience = match eval.patience {
        Some(seconds) => Duration::from_secs(seconds),
        None => agoge_llm::Endpoint::patience_here().map_err(Failure::Input)?,
    };
    let timeout = Duration::from_secs(eval.timeout.max(1));
    let client = probe::client(&endpoint, &binding, timeout).map_err(Failure::input)?;
    Ok((client, patience))
}

/// Returns everything but the tasks that an episode depends on.
fn identity(eval: &Eval, domain: &str, settings: &Settings) -> String {
    json!({
        "domain": domain, "endpoint": eval.endpoint, "model": eval.model, "extraBody": eval.extra_body,
        "modelUser": eval.model_user, "settings": settings,
    })
    .to_string()
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
    if domain.templates.is_empty() {
        return Err(Failure::Input(format!(
            "the domain {} has no templates to draw tasks from; name the folder of a run with --out, whose suite has held-out tasks",
            domain.name
        )));
    }
    let mut world =
        World::open(Arc::new(domain.clone()), Limits::default()).map_err(Failure::input)?;
    let most = agoge_world::possible(&mut world, Split::Heldout, Mix::EvenBranches);
    let n = eval.tasks.min(most);
    let drawn = tasks(&mut world, Split::Heldout, Mix::EvenBranches, eval.seed, n)
        .map_err(Failure::input)?;
    Ok((domain, drawn))
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
        assert_eq!(rules(&parsed(&[])), Rules::default());
        let long = rules(&parsed(&["--max-tokens", "4000", "--max-turns", "30"]));
        assert_eq!((long.max_agent_tokens, long.max_turns), (4000, 30));
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
