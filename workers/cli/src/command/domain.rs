//! `agoge domain`: a new domain that runs as it is, the findings about one there is, its tasks, and its way into a cluster.

mod check;
mod diff;
mod show;

use std::path::{Path, PathBuf};

use agoge_store::{Store, travels};
use agoge_world::Domain;
use base64::Engine as _;
use clap::Subcommand;

use super::import::{ImportCommand, import};
use super::push::push;
use crate::failure::Failure;

/// Makes a new domain, checks one, shows its tasks, or packs one for a cluster.
#[derive(Debug, Subcommand)]
pub enum DomainCommand {
    /// Writes a small domain that runs as it is, with the three manifests beside it, to be changed into one's own.
    New {
        /// Its name: small letters, digits and `-`. Or the folder to write, such as work/desk, whose last part is the name.
        #[arg(value_name = "NAME|PATH")]
        name: PathBuf,
        /// The folder to write it into. [default: NAME or PATH itself]
        dir: Option<PathBuf>,
    },
    /// Reports every problem of a domain's folder, each with file, line and suggested fix.
    ///
    /// Loads the tools in the sandbox, holds the state and every write against the schema, plays the gold of every template's
    /// branches, and tries each tool with unusual arguments. Warns about what works and is probably not meant so: outputs
    /// that an agent says by accident or that the policy does not have, combinations that no branch covers, held-out ids in
    /// records for training. Exit codes: 0 all good, warnings or not; 2 there are problems.
    Check(check::Check),
    /// Shows a task: what the user wants and knows, its gold with the differences that it makes, the tools, the prompt.
    ///
    /// Without `--task`, `--template` or `--branch` it shows the first task. With `--call` it makes one call and shows its
    /// result and the differences.
    Show(show::Show),
    /// Writes a domain of another project as a folder of ours.
    #[command(subcommand)]
    Import(ImportCommand),
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
            let dir = dir.clone().unwrap_or_else(|| name.clone());
            let files = Domain::new_skeleton(&dir, &last_part(name)?).map_err(Failure::input)?;
            for file in &files {
                println!("wrote {}", file.display());
            }
            println!("\nnext: agoge up -f {}", dir.display());
            Ok(())
        }
        DomainCommand::Check(args) => check::check(args),
        DomainCommand::Show(args) => show::show(args),
        DomainCommand::Import(command) => import(command),
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

/// Returns the last part of a path, which is the name of a new domain.
fn last_part(path: &Path) -> Result<String, Failure> {
    let named = match path.file_name() {
        Some(name) => Some(name.to_owned()),
        // Such as `.`: the folder has a name of its own.
        None => path
            .canonicalize()
            .ok()
            .and_then(|whole| Some(whole.file_name()?.to_owned())),
    };
    match named.as_ref().and_then(|name| name.to_str()) {
        Some(name) => Ok(name.to_owned()),
        None => Err(Failure::Input(format!(
            "{} has no name that a domain could have; give a name or a path that ends with one, such as work/desk",
            path.display()
        ))),
    }
}

/// The folder itself, or the domain in it.
pub(super) fn inside(dir: &Path) -> PathBuf {
    let nested = dir.join("domain");
    let inside = !dir.join("domain.yaml").exists() && nested.join("domain.yaml").exists();
    if inside { nested } else { dir.to_owned() }
}

fn head(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  labels:\n    agoge.dev/resolves: domain\n"
    )
}

/// A tar.gz of the files of a folder that travel: names sorted, no times, no owners, no permissions.
fn packed(dir: &Path) -> std::io::Result<Vec<u8>> {
    let mut names = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(prefix) = folders.pop() {
        for entry in std::fs::read_dir(dir.join(&prefix))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !travels(&name) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_domain_is_named_by_the_last_part_of_its_path() {
        let name = |path: &str| last_part(Path::new(path)).ok();
        for path in ["desk", "./desk/", "work/lab/desk", "/tmp/desk"] {
            assert_eq!(name(path).as_deref(), Some("desk"), "{path}");
        }
        let here = std::env::current_dir().unwrap();
        let here = here.file_name().and_then(|name| name.to_str());
        assert_eq!(name(".").as_deref(), here);
        assert_eq!(name("/"), None);
    }
}
