//! `agoge up`: carries out manifests on this machine, and says at the end what came of it.

mod advice;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agoge_contract::{Reason, RecordingMode, Recordings, Resolved};
use agoge_crds::Manifest;
use agoge_world::Domain;
use clap::Args;

use crate::driver::changed::{self, Remade, Taken};
use crate::driver::children::Children;
use crate::driver::objects::{self, Object};
use crate::driver::origin::Origin;
use crate::driver::session::{Session, now};
use crate::driver::show::{Show, clock};
use crate::driver::worker::Programs;
use crate::driver::{Driven, Driver, Interrupts, default_out};
use crate::failure::Failure;
use crate::manifest::{self, Source};
use crate::resolve::Names;
use crate::{preflight, probe, result, table};

/// Runs manifests on this machine until each is Complete or Failed.
///
/// The manifests are those a cluster would get. Everything that is made goes into one folder (--out): statuses under
/// objects/, what was made under store/, logs under logs/, and at the end report.html and result.json. Ctrl-C ends
/// cleanly; the same command goes on from there and does nothing twice.
///
/// When a manifest, the domain or the model of policy.path has changed since, the command says so and makes anew what
/// depends on it. What is unchanged is found in store/; statuses and figures from before the change are kept in earlier/.
///
/// Exit codes: 0 all Complete; 1 something Failed; 2 the input must be changed, or a disk is full; 130 interrupted.
#[derive(Debug, Args)]
pub struct Up {
    /// A manifest, or a folder of manifests. May be given several times.
    #[arg(short, long = "file", value_name = "PATH", required = true)]
    pub files: Vec<PathBuf>,
    /// A file of patches: documents with kind, metadata.name and the fields to change. May be given several times.
    #[arg(long = "patch", value_name = "FILE")]
    pub patches: Vec<PathBuf>,
    /// The run's folder. [default: out/<name of the manifests' folder>]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where an endpoint is that manifests name, such as qwen=http://127.0.0.1:8080. Its key is read from NAME_API_KEY
    /// or AGOGE_API_KEY. Endpoints that are not listed are at AGOGE_ENDPOINT, if it is set.
    #[arg(long = "endpoint", value_name = "NAME=URL", value_parser = pair)]
    pub endpoints: Vec<(String, String)>,
    /// Where a domain is that manifests name. Others are found beside the manifest, as domain/ or NAME/.
    #[arg(long = "domain", value_name = "NAME=DIR", value_parser = pair)]
    pub domains: Vec<(String, String)>,
    /// Keep every model answer in this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    pub record: Option<PathBuf>,
    /// Take model answers from this folder, and ask nobody.
    #[arg(long, value_name = "DIR")]
    pub replay: Option<PathBuf>,
    /// Cores that workers share. [default: all]
    #[arg(long, value_name = "N")]
    pub threads: Option<u32>,
    /// Show neither bars nor lines of progress; events are still told.
    #[arg(long)]
    pub no_progress: bool,
    /// Retry what has Failed, once its cause outside the manifests is fixed; what is finished is kept.
    #[arg(long)]
    pub retry: bool,
    /// Seconds without any sign of life after which a worker is killed and tried again.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub hang_after: u64,
    /// Seconds that an endpoint may take for its first word, before anything is started.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub endpoint_timeout: u64,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// Runs it.
///
/// # Errors
/// [`Failure`], after everything that could be stopped and written was.
pub fn up(up: &Up) -> Result<(), Failure> {
    let mut sources =
        manifest::read(&up.files, &up.patches).map_err(|problems| Failure::problems(&problems))?;
    // What others wait for comes first: in statuses, in what is told, and in what is blamed.
    sources.sort_by_key(|source| match &source.manifest {
        Manifest::SynthesisJob(_) => 0,
        Manifest::CheckerSuite(_) => 1,
        Manifest::GRPORun(_) => 2,
    });
    let programs = Programs::find()?;
    let names = names(up);
    let resolved = resolve(up, &sources, &names)?;
    let out = up.out.clone().unwrap_or_else(|| default_out(&up.files[0]));
    let out = std::path::absolute(&out).map_err(Failure::file("find", &out))?;

    let session = Session::begin(&out)?;
    let Begun {
        mut driven,
        others,
        remade,
    } = begin(&sources, resolved, &out)?;
    for Driven { object, .. } in &mut driven {
        if let Some(last_alive) = session.last_alive {
            object.wake(last_alive);
        }
        if up.retry {
            object.retry();
        }
    }
    check_ahead(up, &sources, &driven, &others)?;
    tell(&remade, &out)?;
    // What rests on a changed object is written before it: a kill in between leaves no old figure beside a new cause.
    let others_remade = others.iter().filter(|other| remade.has(&other.file));
    for object in others_remade.chain(driven.iter().rev().map(|d| &d.object)) {
        object.write()?;
    }

    let interrupts = Interrupts::listen()?;
    let cores = up.threads.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1))
    });
    let children = Children::new(
        &out,
        programs,
        cores,
        Duration::from_secs(up.hang_after.max(1)),
    );
    let mut driver = Driver {
        out,
        driven,
        others,
        children,
        show: Show::new(!up.no_progress),
        session,
    };
    let ended = driver.run(&interrupts);
    conclude(up, &driver, ended)
}

/// The objects of the run's folder as a command begins with them.
struct Begun {
    driven: Vec<Driven>,
    others: Vec<Object>,
    remade: Remade,
}

/// Takes up the manifests. Objects that have changed since they were made, and all that rests on them, begin anew.
fn begin(sources: &[Source], resolved: Vec<Resolved>, out: &Path) -> Result<Begun, Failure> {
    let mut read: BTreeMap<&Path, Option<String>> = BTreeMap::new();
    let mut domains: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut taken = vec![];
    for (source, resolved) in sources.iter().zip(&resolved) {
        let folder = resolved.domain.as_path();
        // One that cannot be read counts as changed: the check ahead says what is wrong with it.
        let digest = read
            .entry(folder)
            .or_insert_with(|| Domain::load(folder).ok().map(|domain| domain.digest));
        domains.insert(source.manifest.domain().to_owned(), digest.clone());
        let origin = Origin::of(source, digest.clone());
        taken.push(Object::take(source, out, &origin, now())?);
    }
    drop(read);
    let mine: Vec<PathBuf> = taken.iter().map(|one| one.object.file.clone()).collect();
    for other in objects::stored(out)? {
        if !mine.contains(&other.file) {
            taken.push(Taken::other(other, &domains));
        }
    }
    changed::spread(&mut taken);
    let remade = Remade::of(&mut taken, mine.len());
    let mut objects = taken.into_iter().map(|one| one.object);
    let driven = sources
        .iter()
        .zip(resolved)
        .zip(objects.by_ref())
        .map(|((source, resolved), object)| Driven {
            object,
            resolved: Resolved {
                store: out.join("store").display().to_string(),
                ..resolved
            },
            folder: source
                .folder()
                .canonicalize()
                .unwrap_or_else(|_| source.folder().to_owned()),
        })
        .collect();
    Ok(Begun {
        driven,
        others: objects.collect(),
        remade,
    })
}

/// Says what is made anew and why, and keeps aside what the run's folder says of it.
fn tell(remade: &Remade, out: &Path) -> Result<(), Failure> {
    if remade.is_empty() {
        return Ok(());
    }
    let aside = remade.keep_aside(out)?;
    for line in &remade.lines {
        println!("{line}");
    }
    println!(
        "what the changes do not touch is found in the store; statuses and figures from before are kept in {}",
        aside.display()
    );
    Ok(())
}

fn names(up: &Up) -> Names {
    Names {
        domains: up
            .domains
            .iter()
            .map(|(name, folder)| (name.clone(), PathBuf::from(folder)))
            .collect(),
        endpoints: up.endpoints.iter().cloned().collect::<BTreeMap<_, _>>(),
        any_endpoint: std::env::var("AGOGE_ENDPOINT")
            .ok()
            .filter(|url| !url.is_empty()),
    }
}

fn resolve(up: &Up, sources: &[Source], names: &Names) -> Result<Vec<Resolved>, Failure> {
    let recordings = match (&up.record, &up.replay) {
        (_, Some(folder)) => Some((RecordingMode::Replay, folder)),
        (Some(folder), _) => Some((RecordingMode::Record, folder)),
        _ => None,
    };
    let recordings = match recordings {
        Some((RecordingMode::Replay, folder)) if !folder.is_dir() => {
            return Err(Failure::Input(format!(
                "--replay: there is no folder {}; --record makes one",
                folder.display()
            )));
        }
        Some((mode, folder)) => {
            let folder = std::path::absolute(folder).map_err(Failure::file("find", folder))?;
            Some(Recordings { mode, folder })
        }
        None => None,
    };
    let (mut all, mut problems) = (vec![], vec![]);
    for source in sources {
        let domain = names
            .domain(source)
            .map_err(|problem| problems.push(problem))
            .unwrap_or_default();
        let endpoints = names
            .endpoints(source, up.replay.is_some())
            .map_err(|found| problems.extend(found))
            .unwrap_or_default();
        all.push(Resolved {
            domain,
            store: String::new(),
            endpoints,
            recordings: recordings.clone(),
        });
    }
    problems.dedup();
    if problems.is_empty() {
        Ok(all)
    } else {
        Err(Failure::problems(&problems))
    }
}

/// Reports foreseeable failures before anything is started. Objects that are over need nothing any more.
fn check_ahead(
    up: &Up,
    sources: &[Source],
    driven: &[Driven],
    others: &[Object],
) -> Result<(), Failure> {
    let open: Vec<(&Source, &Driven)> = sources
        .iter()
        .zip(driven)
        .filter(|(_, driven)| !driven.object.phase().is_terminal())
        .collect();
    let asked: Vec<&Source> = open.iter().map(|(source, _)| *source).collect();
    let there: Vec<&Manifest> = others
        .iter()
        .map(|other| &other.manifest)
        .chain(driven.iter().map(|driven| &driven.object.manifest))
        .collect();
    let mut problems = preflight::references(&asked, &there);
    problems.extend(asked.iter().flat_map(|source| preflight::policy(source)));
    let mut lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let folders: Vec<(&Source, PathBuf)> = open
        .iter()
        .map(|(source, driven)| (*source, driven.resolved.domain.clone()))
        .collect();
    if let Err(found) = preflight::domains(&folders) {
        lines.extend(found);
    }
    if lines.is_empty() && up.replay.is_none() {
        let endpoints: Vec<_> = open
            .iter()
            .map(|(source, driven)| (*source, &driven.resolved.endpoints))
            .collect();
        let patience = Duration::from_secs(up.endpoint_timeout.max(1));
        lines.extend(
            probe::endpoints(&endpoints, patience)
                .iter()
                .map(ToString::to_string),
        );
    }
    if lines.is_empty() {
        Ok(())
    } else {
        Err(Failure::problems(&lines))
    }
}

/// Figures, table and report, whatever the end was; then the end.
fn conclude(up: &Up, driver: &Driver, ended: Result<(), Failure>) -> Result<(), Failure> {
    let out = &driver.out;
    if let Err(failure @ (Failure::Input(_) | Failure::Failed(_))) = ended {
        return Err(match failure {
            Failure::Input(text) => Failure::Input(format!(
                "{text}\nwhat is finished is kept in {}",
                out.display()
            )),
            other => other,
        });
    }
    let objects: Vec<&Object> = driver
        .driven
        .iter()
        .map(|driven| &driven.object)
        .chain(&driver.others)
        .collect();
    let manifests: Vec<&Manifest> = objects.iter().map(|object| &object.manifest).collect();
    let figures = result::figures(
        &manifests,
        out,
        driver.session.seconds(),
        up.replay.is_some(),
    );
    result::write(out, &figures)?;
    let report = crate::report::write(out);
    ended?;
    for table in table::suites(&manifests)
        .into_iter()
        .chain(table::of(&manifests))
    {
        println!("\n{table}");
    }
    match report {
        Ok(page) => println!("\nreport: {}", page.display()),
        Err(error) => println!("\nno report was written: {error}"),
    }
    println!("figures: {}", out.join("result.json").display());
    println!(
        "driven for {} in all",
        clock(Duration::from_secs_f64(driver.session.seconds()))
    );
    unfinished(driver)
}

fn unfinished(driver: &Driver) -> Result<(), Failure> {
    let unfinished = driver.unfinished();
    if unfinished.is_empty() {
        return Ok(());
    }
    let mut lines = vec![];
    let mut failed = vec![];
    for (object, reason, message) in &unfinished {
        if object.phase() == agoge_crds::Phase::Failed {
            failed.push(reason.as_str());
        }
        let phase = format!("{:?}", object.phase());
        let reason = match *reason == phase {
            true => String::new(),
            false => format!("{reason}: "),
        };
        lines.push(format!("{} is {phase}: {reason}{message}", object.id()));
    }
    lines.extend(advice::of(&failed).into_iter().map(str::to_owned));
    let text = lines.join("\n");
    let input = failed.contains(&Reason::BadInput.as_str());
    Err(if input {
        Failure::Input(text)
    } else {
        Failure::Failed(text)
    })
}
