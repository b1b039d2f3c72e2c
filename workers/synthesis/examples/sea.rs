//! A `sea` job by itself, without a driver: for tuning plan pairs, for recordings, and for `make sea`.
//!
//! `sea MANIFEST DOMAIN OUT [--endpoint URL] [--record DIR | --replay DIR] [--minutes N] [--generations N] [--rollouts N]
//! [--pilot N] [--report FILE]`. OUT keeps what a resume needs, `result.json` and every attempt. The report is Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agoge_crds::SynthesisJob;
use agoge_llm::{Client, Endpoint, Meter, Recordings};
use agoge_sandbox::Limits;
use agoge_store::Store;
use agoge_synthesis::engine::{
    Job, Outcome, Progress, RoleClients, Settings, TOKENS_PER_INSTANCE, run,
};
use agoge_synthesis::strategies::sea::Sea;
use agoge_synthesis::{Attempt, funnel};
use agoge_world::Domain;
use serde_json::json;

type Anyhow<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Anyhow<()> {
    let mut free = Vec::new();
    let mut options = BTreeMap::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--") {
            Some(name) => {
                let value = arguments
                    .next()
                    .ok_or_else(|| format!("--{name} needs a value"))?;
                options.insert(name.to_owned(), value);
            }
            None => free.push(PathBuf::from(argument)),
        }
    }
    let [manifest, domain, out] = free.as_slice() else {
        return Err(
            "usage: sea MANIFEST DOMAIN OUT [--endpoint URL] …; see the top of the file".into(),
        );
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(job(manifest, domain, out, &options))
}

async fn job(
    manifest: &Path,
    domain: &Path,
    out: &Path,
    options: &BTreeMap<String, String>,
) -> Anyhow<()> {
    let job: SynthesisJob = serde_yaml::from_str(&std::fs::read_to_string(manifest)?)?;
    let spec = &job.spec;
    let strategy = spec
        .strategies
        .iter()
        .find(|s| s.name.as_str() == "sea")
        .ok_or("the manifest has no strategy sea")?;
    let minutes: Option<f64> = options.get("minutes").map(|m| m.parse()).transpose()?;
    let mut sea: Sea = strategy.parameters.read()?;
    let mut settings = Settings {
        seed: strategy.parameters.seed,
        target: usize::try_from(strategy.target.accepted)?,
        tokens_per_instance: spec
            .budget
            .tokens_per_instance
            .unwrap_or(TOKENS_PER_INSTANCE),
        evolution: spec.evolution.clone(),
        deadline: minutes.map(|m| Instant::now() + Duration::from_secs_f64(m * 60.0)),
        ..Settings::default()
    };
    let number = |name: &str| options.get(name).map(|n| n.parse::<u32>()).transpose();
    if let Some(most) = number("generations")? {
        settings.evolution.max_generations = most;
        settings.evolution.patience = most;
        settings.target = most as usize * 100;
    }
    sea.rollouts = number("rollouts")?.or(sea.rollouts);
    settings.evolution.pilot_size = number("pilot")?.unwrap_or(settings.evolution.pilot_size);

    let binding = spec
        .models
        .as_ref()
        .and_then(|m| m.default.clone())
        .ok_or("the manifest binds no default model")?;
    let url = options
        .get("endpoint")
        .map_or("http://127.0.0.1:8177", String::as_str);
    let endpoint = Endpoint {
        model: binding.model.clone(),
        concurrency: binding.concurrency.unwrap_or(1) as usize,
        ..Endpoint::new(url)
    };
    let mut client = Client::new(endpoint, Arc::new(Meter::default()))?;
    if let Some(folder) = options.get("record") {
        client = client.with_recordings(Arc::new(Recordings::record(Path::new(folder))?));
    } else if let Some(folder) = options.get("replay") {
        client = client.with_recordings(Arc::new(Recordings::replay(Path::new(folder))?));
    }
    let config = (settings.clone(), sea.clone());
    let job = Job {
        settings,
        domain: Arc::new(Domain::load(domain)?),
        limits: Limits::default(),
        threads: 2,
        clients: Some(RoleClients::all(&client)),
        known: Vec::new(),
        store: Store::open(out.join("store"))?,
        ledger: out.join("sea.jsonl"),
    };
    let start = Instant::now();
    let progress = |progress: &Progress| {
        let report = &progress.report;
        eprintln!(
            "{:6.0} s  {} {}/{}  attempted {} valid {} accepted {} tokens {} {:?}",
            start.elapsed().as_secs_f64(),
            progress.stage,
            progress.done,
            progress.total,
            report.attempted,
            report.valid,
            report.accepted,
            report.tokens,
            report.rejected
        );
    };
    let outcome = run(sea, job, &progress).await?;
    let seconds = start.elapsed().as_secs_f64();
    let text = page(&outcome, &config, client.model(), seconds, client.replays());
    println!("{text}");
    if let Some(file) = options.get("report") {
        std::fs::write(file, &text)?;
    }
    let lines: Vec<String> = outcome
        .attempts
        .iter()
        .map(serde_json::to_string)
        .collect::<Result<_, _>>()?;
    std::fs::write(out.join("attempts.jsonl"), lines.join("\n") + "\n")?;
    let result = json!({
        "model": client.model(),
        "source": if client.replays() { "replayed" } else { "live" },
        "seconds": seconds,
        "pilot": config.0.evolution.pilot_size,
        "rollouts": config.1.rollouts,
        "tokensPerInstance": config.0.tokens_per_instance,
        "report": outcome.report,
        "funnel": funnel(&outcome.attempts),
    });
    std::fs::write(out.join("result.json"), serde_json::to_vec_pretty(&result)?)?;
    Ok(())
}

/// The run as Markdown: figures, funnel, generations, and every attempt with its reason.
fn page(
    outcome: &Outcome,
    (settings, sea): &(Settings, Sea),
    model: &str,
    seconds: f64,
    replayed: bool,
) -> String {
    let mut text = String::from("# A run of the strategy `sea`\n\n");
    let report = &outcome.report;
    let source = if replayed { "replayed" } else { "live" };
    let _ = writeln!(
        text,
        "Model `{model}` ({source}), pilots of {}, up to {} rollouts after each, {} generated tokens an instance, {} generations, {seconds:.0} s of wall time in the last process.\n",
        settings.evolution.pilot_size,
        sea.rollouts.unwrap_or(3),
        settings.tokens_per_instance,
        outcome.plans.len()
    );
    let _ = writeln!(
        text,
        "| attempted | valid | accepted | tokens | ended |\n|---|---|---|---|---|\n| {} | {} | {} | {} | {} |\n",
        report.attempted,
        report.valid,
        report.accepted,
        report.tokens,
        report.ended.as_deref().unwrap_or("TargetsReached")
    );
    let of = &report.attribution;
    let _ = writeln!(
        text,
        "Failures: TASK {}, TRAJECTORY {}, USER {}, INFRA {}.\n\n## Funnel\n",
        of.task, of.trajectory, of.user, of.infra
    );
    let _ = writeln!(
        text,
        "| gate | ended there | why, with an example |\n|---|---|---|"
    );
    for stop in funnel(&outcome.attempts) {
        let why: Vec<String> = stop
            .reasons
            .iter()
            .map(|r| format!("{}x {}", r.count, cell(&r.example, 160)))
            .collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            stop.gate.name(),
            stop.count,
            why.join("<br>")
        );
    }
    let _ = writeln!(
        text,
        "\n## Generations\n\n| | plan | change | valid | for 1000 tokens | chance that it is better | outcome |\n|---|---|---|---|---|---|---|"
    );
    for (plan, generation) in outcome.plans.iter().zip(&report.lineage) {
        let better = plan
            .better
            .map_or_else(|| "-".to_owned(), |b| format!("{b:.2}"));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} of {} | {:.3} ({:.3}-{:.3}) | {better} | {:?} |",
            plan.generation,
            plan.digest.get(7..15).unwrap_or_default(),
            cell(&plan.change, 200),
            plan.pilot.valid,
            plan.pilot.attempted,
            generation.yield_.value,
            generation.yield_.low,
            generation.yield_.high,
            plan.outcome
        );
    }
    let _ = writeln!(
        text,
        "\n## Attempts\n\n| item | topic | gold | came to | cause | reason |\n|---|---|---|---|---|---|"
    );
    for attempt in &outcome.attempts {
        let _ = writeln!(text, "{}", row(attempt));
    }
    text
}

fn row(attempt: &Attempt) -> String {
    let task = attempt.task.as_ref();
    let cause = attempt.cause.map_or_else(String::new, |c| c.to_string());
    format!(
        "| {} | {} | {} | {} | {cause} | {} |",
        attempt.id,
        task.map_or("", |t| &t.intent),
        task.map_or("", |t| &t.branch),
        attempt.gate.name(),
        cell(attempt.reason.as_deref().unwrap_or_default(), 160)
    )
}

fn cell(text: &str, most: usize) -> String {
    let text: String = text.chars().take(most).collect();
    text.replace('|', "/").replace('\n', " ")
}
