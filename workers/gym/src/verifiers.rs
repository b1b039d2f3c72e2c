//! A thin Python package for verifiers: a taskset and its dialogues, whose tools, user and reward come from the server.

use std::path::{Path, PathBuf};

use agoge_world::{Domain, Split};

/// The files of the package; `@MODULE@` in a name is the package's module.
const FILES: [(&str, &str); 7] = [
    (
        "pyproject.toml",
        include_str!("../python/agoge_env/pyproject.toml"),
    ),
    ("README.md", include_str!("../python/agoge_env/README.md")),
    (
        "@MODULE@/__init__.py",
        include_str!("../python/agoge_env/__init__.py"),
    ),
    (
        "@MODULE@/env.py",
        include_str!("../python/agoge_env/env.py"),
    ),
    (
        "@MODULE@/server.py",
        include_str!("../python/agoge_env/server.py"),
    ),
    (
        "@MODULE@/taskset.py",
        include_str!("../python/agoge_env/taskset.py"),
    ),
    (
        "@MODULE@/toolset.py",
        include_str!("../python/agoge_env/toolset.py"),
    ),
];

/// The contents of a package beside its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageOptions {
    /// The domain's name.
    pub domain: String,
    /// The domain's digest, which the package compares with the server's; empty for any.
    pub digest: String,
    /// The server's address.
    pub url: String,
    /// The split that is played unless another is named.
    pub split: Split,
}

impl PackageOptions {
    /// The options of a domain whose server runs on this machine.
    #[must_use]
    pub fn of(domain: &Domain) -> Self {
        Self {
            domain: domain.name.clone(),
            digest: domain.digest.clone(),
            url: "http://127.0.0.1:8700".into(),
            split: Split::TrainRl,
        }
    }
}

/// A package that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The domain's name has no letter or digit to name a module by.
    #[error(
        "the domain is named `{0}`, which gives no name for a Python module; name it with letters and digits"
    )]
    Name(String),
    /// The address would end the text that holds it.
    #[error("`{0}` is not an address such as http://127.0.0.1:8700")]
    Url(String),
    /// A file cannot be written.
    #[error("cannot write {}: {source}", .file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
}

/// Writes the package into a folder, and returns the id by which verifiers finds it once it is installed.
///
/// # Errors
/// [`PackageError`]
pub fn verifiers_package(dir: &Path, options: &PackageOptions) -> Result<String, PackageError> {
    let module = module(&options.domain)?;
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '@');
    if !options.url.starts_with("http") || !options.url.chars().all(plain) {
        return Err(PackageError::Url(options.url.clone()));
    }
    let dist = module.replace('_', "-");
    let fill = |text: &str| {
        text.replace("@DOMAIN@", &shown(&options.domain))
            .replace("@DIST@", &dist)
            .replace("@MODULE@", &module)
            .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
            .replace("@DIGEST@", &options.digest)
            .replace("@URL@", &options.url)
            .replace("@SPLIT@", options.split.as_str())
    };
    for (name, text) in FILES {
        let file = dir.join(fill(name));
        let write = || {
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(&file, fill(text))
        };
        write().map_err(|source| PackageError::Write {
            file: file.clone(),
            source,
        })?;
    }
    Ok(dist)
}

/// The module's name: `agoge_` and the domain's, in letters that a module may have.
fn module(domain: &str) -> Result<String, PackageError> {
    let letter = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '_'
        }
    };
    let name: String = domain.chars().map(letter).collect();
    let name = name.trim_matches('_');
    if name.is_empty() {
        return Err(PackageError::Name(domain.to_owned()));
    }
    Ok(format!("agoge_{name}"))
}

/// A name as it may stand within a text of any of the files.
fn shown(name: &str) -> String {
    let plain = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.');
    name.chars().filter(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(domain: &str) -> PackageOptions {
        PackageOptions {
            domain: domain.into(),
            digest: "sha256:12".into(),
            url: "http://127.0.0.1:8700".into(),
            split: Split::Heldout,
        }
    }

    #[test]
    fn every_placeholder_is_filled_in_and_the_module_has_the_domains_name() {
        let dir = tempfile::tempdir().unwrap();
        let id = verifiers_package(dir.path(), &options("Smart Home")).unwrap();
        assert_eq!(id, "agoge-smart-home");
        for (name, _) in FILES {
            let file = dir
                .path()
                .join(name.replace("@MODULE@", "agoge_smart_home"));
            let text = std::fs::read_to_string(&file).unwrap();
            for placeholder in [
                "@DOMAIN@",
                "@DIST@",
                "@MODULE@",
                "@VERSION@",
                "@DIGEST@",
                "@URL@",
                "@SPLIT@",
            ] {
                assert!(!text.contains(placeholder), "{name}: {placeholder}");
            }
        }
        let taskset = dir.path().join("agoge_smart_home/taskset.py");
        let taskset = std::fs::read_to_string(taskset).unwrap();
        assert!(taskset.contains("DIGEST = \"sha256:12\"") && taskset.contains("\"heldout\""));
    }

    #[test]
    fn names_and_addresses_that_would_leave_their_place_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            verifiers_package(dir.path(), &options("--")),
            Err(PackageError::Name(_))
        ));
        let url = "http://x\"; import os".into();
        let wrong = PackageOptions {
            url,
            ..options("a")
        };
        assert!(matches!(
            verifiers_package(dir.path(), &wrong),
            Err(PackageError::Url(_))
        ));
    }
}
