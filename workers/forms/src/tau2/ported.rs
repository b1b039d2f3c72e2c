//! The domains of tau2-bench that have tools here, built into the program.

use super::error::Tau2Error;

/// A domain with tools of our own.
#[derive(Clone, Copy, Debug)]
pub struct Ported {
    /// Its name in tau2-bench.
    pub name: &'static str,
    /// The files of its folder that are ours, by name.
    pub files: &'static [(&'static str, &'static str)],
    /// The files that make up the policy, each with the tag that tau2-bench puts around it; an empty tag is none.
    pub(super) policy: &'static [(&'static str, &'static str)],
}

macro_rules! files {
    ($domain:literal: $($file:literal),+) => {
        &[$(($file, include_str!(concat!("../../../../examples/tau2/", $domain, "/domain/", $file)))),+]
    };
}

/// All of them, by name.
pub const PORTED: [Ported; 4] = [
    Ported {
        name: "airline",
        files: files!("airline": "domain.yaml", "schema.json", "tools.py"),
        policy: &[("policy.md", "")],
    },
    Ported {
        name: "mock",
        files: files!("mock": "domain.yaml", "schema.json", "tools.py", "user_tools.py"),
        policy: &[("policy.md", "")],
    },
    Ported {
        name: "retail",
        files: files!("retail": "domain.yaml", "schema.json", "tools.py"),
        policy: &[("policy.md", "")],
    },
    Ported {
        name: "telecom",
        files: files!("telecom": "domain.yaml", "schema.json", "tools.py", "user_tools.py"),
        policy: &[
            ("main_policy.md", "main_policy"),
            ("tech_support_manual.md", "tech_support_policy"),
        ],
    },
];

/// Returns the domain of this name.
///
/// # Errors
/// [`Tau2Error::Unknown`].
pub fn ported(name: &str) -> Result<Ported, Tau2Error> {
    let found = PORTED.into_iter().find(|domain| domain.name == name);
    found.ok_or_else(|| Tau2Error::Unknown(name.into()))
}

impl Ported {
    /// Returns a file of ours; empty when the domain has none of this name.
    #[must_use]
    pub fn file(&self, name: &str) -> &'static str {
        let found = self.files.iter().find(|(file, _)| *file == name);
        found.map_or("", |(_, text)| text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agoge_sandbox::{Source, lint, signatures};
    use serde_json::Value;

    #[test]
    fn the_ported_files_are_sound() {
        for domain in PORTED {
            let schema: Value = serde_json::from_str(domain.file("schema.json")).unwrap();
            assert!(schema["properties"].is_object(), "{}", domain.name);
            let head: Value = serde_yaml::from_str(domain.file("domain.yaml")).unwrap();
            assert_eq!(head["name"], domain.name);
            let tools = [domain.file("tools.py"), domain.file("user_tools.py")];
            let mut names = Vec::new();
            for source in tools.into_iter().filter(|source| !source.is_empty()) {
                assert_eq!(lint(source, Source::Tools), [], "{}", domain.name);
                names.extend(
                    signatures(source)
                        .unwrap()
                        .into_iter()
                        .map(|tool| tool.name),
                );
            }
            for lookup in head["lookups"].as_array().unwrap() {
                assert!(names.iter().any(|name| lookup == name), "{lookup}");
            }
        }
        assert!(ported("banking").is_err());
    }
}
