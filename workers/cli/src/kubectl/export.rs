//! `kubectl agoge export`: `agoge export` of a CheckerSuite in a cluster, from its store.

use std::path::PathBuf;

use agoge_controller::render::StoreFrom;
use agoge_crds::CheckerSuite;
use clap::Args;
use kube::ResourceExt;
use kube::api::ListParams;

use super::cluster::{Cluster, Where, refused};
use super::store::{self, DomainFiles};
use crate::command::export::{self, Options, Target};
use crate::failure::Failure;

/// Writes a suite's qualified instances in the form that a trainer takes, from the store.
#[derive(Debug, Args)]
pub struct Export {
    /// The CheckerSuite, where the namespace has several.
    #[arg(value_name = "SUITE")]
    pub suite: Option<String>,
    /// A form of `agoge export`, written to a folder of this name; or a folder, for a dataset in it.
    #[arg(long, value_name = "FORM|DIR")]
    pub to: PathBuf,
    /// The folder to write, where it is not named after the form. It must not exist yet, or be empty.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The store, where it is not what the cluster says: a folder, or such as s3://bucket/prefix.
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// The domain's folder, where it is not what the cluster says.
    #[arg(long, value_name = "DIR")]
    pub domain: Option<PathBuf>,
    /// License, held-out instances, signature.
    #[command(flatten)]
    pub options: Options,
}

/// The objects that the API server has.
pub struct Fetched {
    suite: CheckerSuite,
    store: StoreFrom,
    domain: DomainFiles,
}

/// Fetches it.
///
/// # Errors
/// No such suite, or names that stand for nothing.
pub async fn fetch(export: &Export, at: &Where) -> Result<Fetched, Failure> {
    let cluster = Cluster::connect(at).await?;
    let suites = cluster
        .api::<CheckerSuite>()
        .list(&ListParams::default())
        .await
        .map_err(|error| refused("list", "CheckerSuite", &error))?
        .items;
    let wanted = export
        .suite
        .as_deref()
        .map(|asked| asked.rsplit('/').next().unwrap_or(asked));
    let suite = export::pick(suites, wanted).map_err(|what| {
        Failure::Input(match what {
            export::NotOne::None => format!(
                "there is no such CheckerSuite in the namespace {}",
                cluster.namespace
            ),
            export::NotOne::Several => "the namespace has several suites; name one".to_owned(),
        })
    })?;
    let store = store::find(
        &cluster,
        export.store.as_deref(),
        suite.spec.store.as_deref(),
    )
    .await?;
    let domain = store::domain(&cluster, &suite.spec.domain, export.domain.as_deref()).await?;
    Ok(Fetched {
        suite,
        store,
        domain,
    })
}

/// Writes the dataset.
///
/// # Errors
/// A suite that is not ready, or a store or folder that does not work.
pub fn export(export: &Export, fetched: Fetched) -> Result<(), Failure> {
    if export::policy::is_meant(&export.to) {
        return Err(Failure::Input(
            "a suite has no policy; the one of a GRPORun lies in the store, and another run begins with it by policy.path: \
             store:DIGEST, the digest in its status (a dataset in a folder of this name: --to ./policy)"
                .into(),
        ));
    }
    let target = Target::of(&export.to, export.dir.as_deref())?;
    target.check_empty()?;
    let store = store::open(&fetched.store)?;
    let name = fetched.suite.name_any();
    let hint = format!("`kubectl agoge status checkersuite/{name}` says why");
    let scratch = Scratch::new()?;
    let folder = store::lay_out(fetched.domain, &store, &scratch.0)?;
    let found = export::read(&fetched.suite, &store, &folder, &hint)?;
    target.write(&found, &store, &export.options)
}

/// A folder that goes away.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("agoge-export-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(Failure::file("make", &folder))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is a few files in the folder for such files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
