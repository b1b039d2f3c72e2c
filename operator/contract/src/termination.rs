//! The termination message of a worker: one JSON of at most 4096 bytes, which is what Kubernetes keeps of it.
//!
//! Success: `{"artifact", "result"}`, or `{"artifact", "gzip"}` where that is too long. The artifact is the digest of the
//! whole report in the store; the result is a summary that holds as much of it as fits, and at least all that a status
//! needs unless names are absurdly long. Failure: `{"reason", "message", "retryable"}`.

use std::io::{Read as _, Write as _};

use agoge_crds::checker_suite::Finding;
use agoge_crds::conditions::shorten;
use agoge_crds::lineage::MAX_LINEAGE;
use agoge_crds::report::{QualifyReport, SynthesisReport, TrainReport, frequent};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Bytes of a termination message that Kubernetes keeps.
pub const MAX_BYTES: usize = 4096;
/// Bytes of a result at most when it is unpacked.
const MAX_UNPACKED: u64 = 256 << 10;
/// Bytes of a digest.
const DIGEST: usize = 80;

/// The termination message of a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Termination {
    /// The work is done.
    Done {
        /// Digest of the whole report in the store; 0.2.0 wrote none.
        artifact: Option<String>,
        /// A summary of the report, with the same fields.
        result: Value,
    },
    /// The work failed.
    Failed {
        /// One CamelCase word.
        reason: String,
        /// The cause, and what to do.
        message: String,
        /// True when another attempt may help; absent where the exit code decides.
        retryable: Option<bool>,
    },
}

/// The message as it is written.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Wire {
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gzip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retryable: Option<bool>,
}

impl Termination {
    /// Reads a termination message, also one of version 0.2.0. Returns none where the text is something else, such as the
    /// end of a log.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let wire: Wire = serde_json::from_str(text.trim()).ok()?;
        if let Some(reason) = wire.reason {
            return Some(Self::Failed {
                reason,
                message: wire.message,
                retryable: wire.retryable,
            });
        }
        let result = match (wire.result, wire.gzip) {
            (Some(result), _) => result,
            (None, packed) => unpack(&packed?)?,
        };
        Some(Self::Done {
            artifact: wire.artifact,
            result,
        })
    }

    /// Writes the message of a failure, cut so that it fits.
    #[must_use]
    pub fn failure(reason: &str, message: &str, retryable: bool) -> String {
        // Escapes make a text longer: it is halved until it fits.
        let mut length = message.chars().count();
        loop {
            let wire = Wire {
                reason: Some(reason.to_owned()),
                message: message.chars().take(length).collect(),
                retryable: Some(retryable),
                ..Wire::default()
            };
            let text = serde_json::to_string(&wire).unwrap_or_default();
            if text.len() <= MAX_BYTES || length == 0 {
                return text;
            }
            length /= 2;
        }
    }

    /// Writes the message of a success: the report's digest in the store, and the fullest summary that fits.
    #[must_use]
    pub fn success<R: Summary>(report: &R, artifact: Option<&str>) -> String {
        let mut text = String::new();
        for level in 0..=LEVELS {
            let summary = serde_json::to_value(report.summary(level)).unwrap_or(Value::Null);
            text = written(&summary, artifact);
            if text.len() <= MAX_BYTES {
                break;
            }
        }
        text
    }
}

fn written(result: &Value, artifact: Option<&str>) -> String {
    let wire = |result, gzip| {
        let artifact = artifact.map(|digest| shorten(digest, DIGEST));
        let wire = Wire {
            artifact,
            result,
            gzip,
            ..Wire::default()
        };
        serde_json::to_string(&wire).unwrap_or_default()
    };
    let plain = wire(Some(result.clone()), None);
    if plain.len() <= MAX_BYTES {
        return plain;
    }
    wire(None, Some(pack(result)))
}

fn pack(result: &Value) -> String {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let bytes = packed
        .write_all(result.to_string().as_bytes())
        .and_then(|()| packed.finish());
    STANDARD.encode(bytes.unwrap_or_default())
}

fn unpack(packed: &str) -> Option<Value> {
    let bytes = STANDARD.decode(packed).ok()?;
    let mut text = vec![];
    flate2::read::GzDecoder::new(bytes.as_slice())
        .take(MAX_UNPACKED)
        .read_to_end(&mut text)
        .ok()?;
    serde_json::from_slice(&text).ok()
}

/// The last level of a summary.
const LEVELS: u32 = 4;

/// A report that can be shortened in levels: at level 0 it has all that a status shows, at the last level it is of bounded
/// size whatever the report holds.
pub trait Summary: Serialize + Sized {
    /// Returns the report at a level. Counts and digests stay at every level.
    #[must_use]
    fn summary(&self, level: u32) -> Self;
}

/// Returns a bound that halves with each level and is 0 at the last.
fn bound(first: usize, level: u32) -> usize {
    if level >= LEVELS { 0 } else { first >> level }
}

fn digest(text: &Option<String>) -> Option<String> {
    text.as_deref().map(|text| shorten(text, DIGEST))
}

impl Summary for SynthesisReport {
    fn summary(&self, level: u32) -> Self {
        let mut short = self.clone();
        let kept = bound(MAX_LINEAGE, level);
        short
            .lineage
            .drain(..self.lineage.len().saturating_sub(kept));
        for generation in &mut short.lineage {
            generation.change = shorten(&generation.change, bound(160, level));
            generation.digest = shorten(&generation.digest, DIGEST);
            generation.parent = digest(&generation.parent);
        }
        short.rejected = frequent(&self.rejected, bound(16, level), 64);
        short.faults = frequent(&self.faults, bound(4, level), 160);
        short.plan = digest(&self.plan);
        short.ended = self.ended.as_deref().map(|ended| shorten(ended, 64));
        short.awaiting_promotion = digest(&self.awaiting_promotion);
        short.digest = digest(&self.digest);
        short
    }
}

impl Summary for QualifyReport {
    fn summary(&self, level: u32) -> Self {
        let mut short = self.clone();
        for findings in [
            &mut short.quarantined,
            &mut short.warnings,
            &mut short.audited,
        ] {
            Finding::keep_frequent(
                findings,
                bound(8, level),
                bound(160, level),
                bound(80, level),
            );
        }
        short.endpoints.truncate(bound(8, level));
        for entry in &mut short.endpoints {
            entry.endpoint = shorten(&entry.endpoint, 63);
        }
        short.digest = digest(&self.digest);
        short
    }
}

impl Summary for TrainReport {
    fn summary(&self, level: u32) -> Self {
        let mut short = self.clone();
        short.arms = std::mem::take(&mut short.arms)
            .into_iter()
            .take(bound(16, level))
            .map(|(name, mut arm)| {
                arm.pass.truncate(8);
                (shorten(&name, 63), arm)
            })
            .collect();
        short.digest = digest(&self.digest);
        short
    }
}

#[cfg(test)]
#[path = "termination_tests.rs"]
mod tests;
