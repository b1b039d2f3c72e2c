//! The store of an object as it can be reached from here, and the domain's folder.
//!
//! Credentials come from the environment, as everywhere. What the cluster says of a store's endpoint and region is put
//! there too, unless the environment says something else.

use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use agoge_controller::names;
use agoge_controller::render::StoreFrom;
use agoge_controller::resolve::Resolver;
use agoge_store::{Digest, Folder, Store, write_atomic};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use serde_json::Value;

use super::cluster::{Cluster, refused};
use super::resolved;
use crate::failure::Failure;

/// A ConfigMap's files are at most this large when they are unpacked.
const MAX_DOMAIN: u64 = 256 << 20;

/// Where a store lies: what the command line says, else what the name stands for, else what a child was given.
///
/// # Errors
/// Nobody knows.
pub async fn find(
    cluster: &Cluster,
    asked: Option<&str>,
    name: Option<&str>,
) -> Result<StoreFrom, Failure> {
    if let Some(url) = asked {
        return Ok(StoreFrom {
            url: url.to_owned(),
            ..StoreFrom::default()
        });
    }
    let (defaults, _) = resolved::defaults(Some(cluster)).await;
    let resolver = Resolver::new(cluster.client.clone(), defaults);
    match resolver.store(&cluster.namespace, name).await {
        Ok(store) => Ok(store),
        Err(why) => match of_a_child(cluster).await {
            Some(store) if name.is_none() => Ok(store),
            _ => Err(Failure::Input(format!(
                "{}; or give --store URL",
                resolved::told(why)
            ))),
        },
    }
}

/// The Jobs that the operator made in this namespace.
///
/// # Errors
/// The API server refuses.
pub async fn children(cluster: &Cluster) -> Result<Vec<Job>, kube::Error> {
    let ours = ListParams::default().labels(names::SELECTOR);
    Ok(cluster.api::<Job>().list(&ours).await?.items)
}

/// Returns the assignment of a Job's pods.
#[must_use]
pub fn assignment(job: &Job) -> Option<Value> {
    let template = job.spec.as_ref()?.template.metadata.as_ref()?;
    let text = template.annotations.as_ref()?.get(names::ASSIGNMENT)?;
    serde_json::from_str(text).ok()
}

/// The store that a child in this namespace was given.
async fn of_a_child(cluster: &Cluster) -> Option<StoreFrom> {
    let jobs = children(cluster).await.ok()?;
    let (job, assignment) = jobs.iter().find_map(|job| Some((job, assignment(job)?)))?;
    let variable = |name: &str| {
        let template = &job.spec.as_ref()?.template;
        let container = template.spec.as_ref()?.containers.first()?;
        container
            .env
            .as_ref()?
            .iter()
            .find(|env| env.name == name)?
            .value
            .clone()
    };
    Some(StoreFrom {
        url: assignment["store"].as_str()?.to_owned(),
        endpoint: variable("AWS_ENDPOINT"),
        region: variable("AWS_REGION"),
        allow_http: variable("AWS_ALLOW_HTTP").is_some_and(|allow| allow == "true"),
        ..StoreFrom::default()
    })
}

/// The variables that a store's client reads and that are not set here.
#[must_use]
pub fn missing(store: &StoreFrom, set: impl Fn(&str) -> bool) -> Vec<(&'static str, String)> {
    let mut missing = vec![];
    if !store.url.starts_with("s3") {
        return missing;
    }
    if let Some(endpoint) = &store.endpoint
        && !set("AWS_ENDPOINT")
        && !set("AWS_ENDPOINT_URL")
    {
        missing.push(("AWS_ENDPOINT", endpoint.clone()));
        if store.allow_http && !set("AWS_ALLOW_HTTP") {
            missing.push(("AWS_ALLOW_HTTP", "true".to_owned()));
        }
    }
    if let Some(region) = &store.region
        && !set("AWS_REGION")
    {
        missing.push(("AWS_REGION", region.clone()));
    }
    missing
}

/// Opens a store.
///
/// # Errors
/// A volume that cannot be seen from here, no credentials, or a store that does not answer.
pub fn open(store: &StoreFrom) -> Result<Store, Failure> {
    let url = &store.url;
    if let Some(claim) = &store.claim {
        return Err(Failure::Input(format!(
            "the store lies on the volume {claim} at {url}, which cannot be seen from here; copy it and give --store FOLDER"
        )));
    }
    let set = |name: &str| std::env::var_os(name).is_some();
    if let Some(secret) = &store.secret
        && url.starts_with("s3")
        && !set("AWS_ACCESS_KEY_ID")
    {
        return Err(Failure::Input(format!(
            "{url} needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for pods they are in the Secret {secret}"
        )));
    }
    let missing = missing(store, set);
    if !missing.is_empty() {
        return Err(again(&missing));
    }
    Ok(Store::open(url)?)
}

/// Begins this command again with these variables set: a process cannot safely set its own.
fn again(variables: &[(&'static str, String)]) -> Failure {
    use std::os::unix::process::CommandExt as _;
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return Failure::Failed(format!("cannot find this program: {error}")),
    };
    let mut arguments = std::env::args_os();
    let mut command = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let error = command
        .args(arguments)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .exec();
    Failure::Failed(format!("cannot start this program again: {error}"))
}

/// Where a domain comes from, fetched.
#[derive(Clone, Debug)]
pub enum DomainFiles {
    /// A folder here.
    Here(PathBuf),
    /// The files of a ConfigMap, by path.
    Files(Vec<(String, Vec<u8>)>),
    /// A folder in the store.
    Stored(String),
}

/// Fetches what a domain's name stands for.
///
/// # Errors
/// No such ConfigMap, or an image, which cannot be read from here.
pub async fn domain(
    cluster: &Cluster,
    name: &str,
    here: Option<&Path>,
) -> Result<DomainFiles, Failure> {
    if let Some(folder) = here {
        return Ok(DomainFiles::Here(folder.to_owned()));
    }
    let map = cluster
        .api::<ConfigMap>()
        .get_opt(name)
        .await
        .map_err(|error| refused("read", "ConfigMap", &error))?
        .ok_or_else(|| {
            Failure::Input(format!(
                "there is no ConfigMap {name} in {}; give the domain's folder with --domain",
                cluster.namespace
            ))
        })?;
    let data = map.data.unwrap_or_default();
    if let Some(image) = data.get("image") {
        return Err(Failure::Input(format!(
            "the domain {name} is in the image {image}; give its folder with --domain"
        )));
    }
    if let Some(digest) = data.get("store") {
        return Ok(DomainFiles::Stored(digest.clone()));
    }
    let mut files = vec![];
    for (name, bytes) in map.binary_data.unwrap_or_default() {
        if name == "domain.tar.gz" {
            files.extend(
                unpacked(&bytes.0).map_err(|error| {
                    Failure::Input(format!("{name} cannot be unpacked: {error}"))
                })?,
            );
        } else {
            files.push((name.replace("__", "/"), bytes.0));
        }
    }
    files.extend(
        data.into_iter()
            .map(|(name, text)| (name.replace("__", "/"), text.into_bytes())),
    );
    Ok(DomainFiles::Files(files))
}

fn unpacked(bytes: &[u8]) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut files = vec![];
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes).take(MAX_DOMAIN));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path()?.to_string_lossy().into_owned();
        let mut content = vec![];
        entry.read_to_end(&mut content)?;
        files.push((name, content));
    }
    Ok(files)
}

/// Puts a domain's files into a folder; returns the folder that has them.
///
/// # Errors
/// A name that leads outside, or what the store says.
pub fn lay_out(domain: DomainFiles, store: &Store, folder: &Path) -> Result<PathBuf, Failure> {
    match domain {
        DomainFiles::Here(folder) => return Ok(folder),
        DomainFiles::Files(files) => {
            for (name, content) in files {
                let inside = Path::new(&name)
                    .components()
                    .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
                if !inside || name.is_empty() {
                    return Err(Failure::Input(format!(
                        "the domain has a file {name:?}, which would lie outside of it"
                    )));
                }
                write_atomic(folder.join(&name), content)?;
            }
        }
        DomainFiles::Stored(digest) => {
            let digest =
                Digest::parse(digest.trim_start_matches("store:")).map_err(Failure::input)?;
            let files: Folder = store.get_json(&digest)?;
            store.get_folder(&files, folder)?;
        }
    }
    Ok(folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_has_the_last_word_on_where_a_store_is() {
        let store = StoreFrom {
            url: "s3://runs".into(),
            endpoint: Some("http://s3.svc:7070".into()),
            region: Some("eu".into()),
            allow_http: true,
            ..StoreFrom::default()
        };
        let names = |set: &[&str]| -> Vec<&str> {
            missing(&store, |name| set.contains(&name))
                .into_iter()
                .map(|(name, _)| name)
                .collect()
        };
        assert_eq!(names(&[]), ["AWS_ENDPOINT", "AWS_ALLOW_HTTP", "AWS_REGION"]);
        assert_eq!(
            names(&["AWS_ENDPOINT_URL", "AWS_REGION"]),
            Vec::<&str>::new()
        );
    }

    #[test]
    fn a_domain_is_laid_out_and_never_outside_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store")).unwrap();
        let files = vec![
            ("domain.yaml".to_owned(), b"a".to_vec()),
            ("data/x.json".to_owned(), b"{}".to_vec()),
        ];
        let folder = lay_out(
            DomainFiles::Files(files),
            &store,
            &dir.path().join("domain"),
        )
        .unwrap();
        assert_eq!(std::fs::read(folder.join("data/x.json")).unwrap(), b"{}");
        let outside = DomainFiles::Files(vec![("../x".to_owned(), vec![])]);
        assert!(lay_out(outside, &store, &dir.path().join("other")).is_err());
        assert!(!dir.path().join("x").exists());
    }
}
