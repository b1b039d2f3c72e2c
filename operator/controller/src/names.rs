//! The labels, annotations and other names that the operator writes on the objects it creates, and finds them by.

use std::collections::BTreeMap;
use std::fmt;

use agoge_plan::Child;

/// Field manager, and `app.kubernetes.io/managed-by`.
pub const MANAGER: &str = "agoge-operator";
/// Selector of all children and their pods.
pub const SELECTOR: &str = "app.kubernetes.io/managed-by=agoge-operator";
/// Label: the owner's kind.
pub const KIND: &str = "agoge.dev/kind";
/// Label: the owner's name.
pub const OWNER: &str = "agoge.dev/owner";
/// Label: the child's key.
pub const KEY: &str = "agoge.dev/key";
/// Label: the number of the attempt.
pub const ATTEMPT: &str = "agoge.dev/attempt";
/// Label: the child's component, which is the worker's subcommand.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Label of the operator's pod that leads.
pub const LEADER: &str = "agoge.dev/leader";
/// Annotation: a digest of the child's work. A child that exists is never changed, even if the digest differs.
pub const SPEC_HASH: &str = "agoge.dev/spec-hash";
/// Annotation of pods: the assignment, which they read as a file.
pub const ASSIGNMENT: &str = "agoge.dev/assignment";
/// Annotation of pods: the certificate authority of the progress server, which they read as a file.
pub const CA: &str = "agoge.dev/ca";
/// Label that Kueue reads.
pub const QUEUE: &str = "kueue.x-k8s.io/queue-name";
/// The worker's container.
pub const CONTAINER: &str = agoge_crds::overlay::CONTAINER;
/// Port at which trainer ranks meet.
pub const RANKS_PORT: u16 = 29_400;
/// Audience of the token with which a pod reports progress.
pub const AUDIENCE: &str = "agoge-progress";

/// One of the three kinds of Agoge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// SynthesisJob.
    SynthesisJob,
    /// CheckerSuite.
    CheckerSuite,
    /// GRPORun.
    GRPORun,
}

impl Kind {
    /// All three.
    pub const ALL: [Self; 3] = [Self::SynthesisJob, Self::CheckerSuite, Self::GRPORun];

    /// Returns the kind as manifests write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SynthesisJob => "SynthesisJob",
            Self::CheckerSuite => "CheckerSuite",
            Self::GRPORun => "GRPORun",
        }
    }

    /// Returns the kind of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The kind, namespace and name of one Agoge object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Returns the labels of a child and of its pods.
#[must_use]
pub fn labels(child: &Child) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", "agoge".to_owned()),
        ("app.kubernetes.io/managed-by", MANAGER.to_owned()),
        (COMPONENT, child.role().as_str().to_owned()),
        (KIND, child.owner.kind.clone()),
        (OWNER, child.owner.name.clone()),
        (KEY, child.key.clone()),
        (ATTEMPT, child.attempt.to_string()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}
