//! `agoge domain`: a new domain that runs as it is, the problems of one there is, and its way into a cluster.

use std::path::{Path, PathBuf};

use agoge_store::Store;
use agoge_world::Domain;
use base64::Engine as _;
use clap::Subcommand;

use super::push::push;
use crate::failure::Failure;

/// Makes a new domain, checks one, or packs one for a cluster.
#[derive(Debug, Subcommand)]
pub enum DomainCommand {
    /// Writes a small domain that runs as it is, with the three manifests beside it, to be changed into one's own.
    New {
        /// Its name: small letters, digits and `-`.
        name: String,
        /// The folder to write it into. [default: ./NAME]
        dir: Option<PathBuf>,
    },
    /// Reports every problem of a domain's folder, each with file, line and a way out.
    ///
    /// Loads the tools in the sandbox, holds the state against its schema, and plays the gold of every template's
    /// branches. Exit codes: 0 all good; 2 there are problems.
    Check {
        /// The domain's folder (the one with domain.yaml), or a folder that has it as domain/.
        dir: PathBuf,
    },
    /// Prints a ConfigMap that holds the domain, for `kubectl apply --server-side -f -`.
    ///
    /// The same folder gives the same bytes. A ConfigMap holds 1 MiB: a larger domain goes into the store or an image.
    Pack {
        /// The domain's folder, or a folder that has it as domain/.
        dir: PathBuf,
        /// The ConfigMap's name, by which manifests refer to it. [default: the domain's name]
        #[arg(long)]
        name: Option<String>,
    },
    /// Puts the domain into a store, and prints a ConfigMap that names it there.
    Push {
        /// The domain's folder, or a folder that has it as domain/.
        dir: PathBuf,
        /// The store: a folder, or a bucket as s3://BUCKET/PREFIX with AWS_* in the environment.
        #[arg(long, value_name = "URL")]
        store: PathBuf,
        /// The ConfigMap's name, by which manifests refer to it. [default: the domain's name]
        #[arg(long)]
        name: Option<String>,
    },
}

/// The largest content of a ConfigMap.
const MOST: usize = 1 << 20;

/// Runs it.
///
/// # Errors
/// When a file cannot be written, or the domain has problems; every problem is named.
pub fn domain(command: &DomainCommand) -> Result<(), Failure> {
    match command {
        DomainCommand::New { name, dir } => {
            let dir = dir.clone().unwrap_or_else(|| PathBuf::from(name));
            let files = Domain::new_skeleton(&dir, name).map_err(Failure::input)?;
            for file in &files {
                println!("wrote {}", file.display());
            }
            println!("\nnext: agoge up -f {}", dir.display());
            Ok(())
        }
        DomainCommand::Check { dir } => checked(&inside(dir)),
        DomainCommand::Pack { dir, name } => {
            let dir = inside(dir);
            let domain = Domain::load(&dir).map_err(Failure::input)?;
            let packed = packed(&dir).map_err(Failure::input)?;
            if packed.len() > MOST {
                return Err(Failure::Input(format!(
                    "{} is {} KiB when packed, and a ConfigMap holds 1024: put it into the store with `agoge domain push`, \
                     or into an image that a ConfigMap names under the key `image`",
                    dir.display(),
                    packed.len() >> 10
                )));
            }
            let packed = base64::engine::general_purpose::STANDARD.encode(packed);
            let name = name.as_deref().unwrap_or(&domain.name);
            print!("{}binaryData:\n  domain.tar.gz: {packed}\n", head(name));
            Ok(())
        }
        DomainCommand::Push { dir, store, name } => {
            let dir = inside(dir);
            let domain = Domain::load(&dir).map_err(Failure::input)?;
            let store = Store::open(store)?;
            let name = name.as_deref().unwrap_or(&domain.name);
            let digest = push(&store, &dir, ("domain", name), Some(&domain.digest))?;
            print!("{}data:\n  store: {digest}\n", head(name));
            Ok(())
        }
    }
}

/// The folder itself, or the domain in it.
fn inside(dir: &Path) -> PathBuf {
    let nested = dir.join("domain");
    let inside = !dir.join("domain.yaml").exists() && nested.join("domain.yaml").exists();
    if inside { nested } else { dir.to_owned() }
}

fn head(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  labels:\n    agoge.dev/resolves: domain\n"
    )
}

/// A tar.gz of the folder without hidden files: names sorted, no times, no owners.
fn packed(dir: &Path) -> std::io::Result<Vec<u8>> {
    let mut names = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(prefix) = folders.pop() {
        for entry in std::fs::read_dir(dir.join(&prefix))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let path = format!("{prefix}{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(format!("{path}/"));
            } else if kind.is_file() {
                names.push(path);
            }
        }
    }
    names.sort();
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut archive = tar::Builder::new(gzip);
    for name in names {
        let bytes = std::fs::read(dir.join(&name))?;
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, &name, &bytes[..])?;
    }
    archive.into_inner()?.finish()
}

fn checked(dir: &Path) -> Result<(), Failure> {
    let problems = Domain::check(dir);
    if !problems.is_empty() {
        return Err(Failure::problems(&problems));
    }
    let domain = Domain::load(dir).map_err(Failure::input)?;
    let (tools, templates) = (domain.tools.len(), domain.templates.len());
    println!(
        "{} is sound: {tools} tools, {templates} templates, {}",
        domain.name, domain.digest
    );
    Ok(())
}
