//! Provenance: everything that determines an artifact, as the inputs by which a stage finds its own work done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dataset;

/// The version of the code that made an artifact: part of every provenance.
pub const CODE: &str = env!("CARGO_PKG_VERSION");

/// One of the shards that make a dataset together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    /// From 0.
    pub index: u32,
    /// The number of shards.
    pub count: u32,
}

impl Default for Shard {
    fn default() -> Self {
        Self { index: 0, count: 1 }
    }
}

/// Everything that determines a dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DatasetOrigin {
    /// Digest of the domain.
    pub domain: String,
    /// The strategy's name.
    pub strategy: String,
    /// The strategy's settings as JSON, the shard excepted.
    pub settings: String,
    /// The shard.
    pub shard: Shard,
    /// Version of the format, such as `agoge-instances/2`.
    pub format: String,
    /// Version of the code.
    pub code: String,
}

/// The settings of a sharded dataset as 0.2.0 wrote them, with the shard among them.
#[derive(Deserialize, Serialize)]
struct ShardedSettings {
    shard: u32,
    shards: u32,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

impl DatasetOrigin {
    /// Returns the origin of a dataset that this code makes.
    #[must_use]
    pub fn new(domain: &str, strategy: &str, settings: String, shard: Shard) -> Self {
        Self {
            domain: domain.to_owned(),
            strategy: strategy.to_owned(),
            settings,
            shard,
            format: dataset::FORMAT.to_string(),
            code: CODE.to_owned(),
        }
    }

    /// Returns the inputs of the artifact.
    #[must_use]
    pub fn inputs(&self) -> BTreeMap<String, String> {
        let Shard { index, count } = self.shard;
        let mut inputs = BTreeMap::from([
            ("domain".to_owned(), self.domain.clone()),
            ("strategy".to_owned(), self.strategy.clone()),
            ("settings".to_owned(), self.settings.clone()),
            ("format".to_owned(), self.format.clone()),
            ("code".to_owned(), self.code.clone()),
        ]);
        if count > 1 {
            inputs.insert("shard".to_owned(), format!("{index}/{count}"));
        }
        inputs
    }

    /// Reads the inputs of an artifact; `None` when they are not those of a dataset.
    #[must_use]
    pub fn of(inputs: &BTreeMap<String, String>) -> Option<Self> {
        let input = |name: &str| inputs.get(name).cloned();
        let mut origin = Self {
            domain: input("domain")?,
            strategy: input("strategy")?,
            settings: input("settings")?,
            shard: Shard::default(),
            format: input("format")?,
            code: input("code")?,
        };
        if let Some(shard) = input("shard") {
            let (index, count) = shard.split_once('/')?;
            origin.shard = Shard {
                index: index.parse().ok()?,
                count: count.parse().ok()?,
            };
        } else if let Ok(old) = serde_json::from_str::<ShardedSettings>(&origin.settings) {
            let ShardedSettings {
                shard,
                shards,
                rest,
            } = old;
            origin.shard = Shard {
                index: shard,
                count: shards,
            };
            origin.settings = serde_json::to_string(&rest).ok()?;
        }
        Some(origin)
    }
}

/// Everything that determines a qualification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QualificationOrigin {
    /// Digest of the domain.
    pub domain: String,
    /// Digests of the datasets, or the tasks themselves.
    pub source: String,
    /// Thresholds and limits, as JSON.
    pub settings: String,
}

impl QualificationOrigin {
    /// The kind of the artifact by which a finished qualification is found: its report.
    pub const KIND: &str = "qualification";

    /// Returns the inputs of the artifact.
    #[must_use]
    pub fn inputs(&self) -> BTreeMap<String, String> {
        [
            ("domain", self.domain.as_str()),
            ("source", &self.source),
            ("settings", &self.settings),
            (
                "format",
                &<crate::QualifiedSuite as crate::Stored>::FORMAT.to_string(),
            ),
            ("code", CODE),
            ("rules", agoge_checker::RULES),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}
