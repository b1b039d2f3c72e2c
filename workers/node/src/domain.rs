//! The domain's folder, however it was delivered: as it is, packed, flattened into a ConfigMap, or from the store.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use agoge_contract::Assignment;
use agoge_store::{Digest, Folder, Store};

use crate::failure::Failure;

/// A packed domain's name in its folder.
const PACKED: &str = "domain.tar.gz";
/// Between folder and file in a ConfigMap, whose keys have no `/`.
const FLAT: &str = "__";
/// A domain is small: what unpacks to more is a mistake, or worse.
const MOST: u64 = 256 << 20;

/// The folder to read the domain from. What has to be unpacked lies in `domain` of the work folder, made anew.
///
/// # Errors
/// An input failure where what was delivered is none; the store's failures.
pub fn delivered(assignment: &Assignment, store: &Store) -> Result<PathBuf, Failure> {
    let given = &assignment.domain;
    let to = assignment.work.join("domain");
    if let Some(digest) = given.to_str().and_then(|text| text.strip_prefix("store:")) {
        let digest = Digest::parse(digest).map_err(Failure::input)?;
        let folder: Folder = store.get_json(&digest)?;
        clear(&to)?;
        store.get_folder(&folder, &to)?;
        return Ok(to);
    }
    let packed = given.join(PACKED);
    if packed.exists() {
        clear(&to)?;
        unpack(&packed, &to)?;
        return Ok(to);
    }
    let flat = flattened(given);
    if flat.is_empty() {
        return Ok(given.clone());
    }
    clear(&to)?;
    for name in flat {
        let bytes = std::fs::read(given.join(&name)).map_err(|e| unreadable(given, e))?;
        agoge_store::write_atomic(to.join(name.replace(FLAT, "/")), bytes)
            .map_err(Failure::infra)?;
    }
    Ok(to)
}

/// Files of the folder, if any of them stands for one in a subfolder. Kubernetes' own links begin with `..`.
fn flattened(given: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(given).into_iter().flatten().flatten();
    let names: Vec<String> = entries
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    let nested = |name: &String| {
        let mut parts = name.split(FLAT);
        parts.clone().count() > 1 && parts.all(|part| !part.is_empty())
    };
    if names.iter().any(nested) {
        names
    } else {
        Vec::new()
    }
}

fn unpack(packed: &Path, to: &Path) -> Result<(), Failure> {
    let wrong = |e: std::io::Error| {
        Failure::Input(format!(
            "{} is no tar.gz of a domain: {e}; make it with `agoge domain pack`",
            packed.display()
        ))
    };
    let file = std::fs::File::open(packed).map_err(|e| unreadable(packed, e))?;
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file).take(MOST));
    for entry in archive.entries().map_err(wrong)? {
        let mut entry = entry.map_err(wrong)?;
        let path = entry.path().map_err(wrong)?.into_owned();
        let inside = path
            .components()
            .all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        if !inside {
            let message = format!("{}: {} leaves its folder", packed.display(), path.display());
            return Err(Failure::Input(message));
        }
        if entry.header().entry_type().is_file() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(wrong)?;
            agoge_store::write_atomic(to.join(path), bytes).map_err(Failure::infra)?;
        }
    }
    Ok(())
}

fn clear(to: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(to) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::infra(format!("emptying {}: {e}", to.display())))
        }
        _ => Ok(()),
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> Failure {
    Failure::Input(format!("reading {}: {error}", path.display()))
}
