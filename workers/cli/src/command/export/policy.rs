//! `agoge export --to policy`: a run's trained policy as a folder that transformers and vLLM load.

use std::fmt::Write as _;
use std::path::Path;

use agoge_artifacts::StageRecord;
use agoge_crds::{GRPORun, Manifest};
use agoge_forms::sign::{self, SecretKey};
use agoge_store::{Digest, Folder, Store, write_atomic};

use crate::driver::objects;
use crate::failure::Failure;

/// The name by which `--to` asks for the policy.
const NAME: &str = "policy";
/// The stages that leave a policy, as `--stage` names them.
pub const STAGES: [&str; 4] = ["grpo", "agentSFT", "sftContinued", "grpoUnfiltered"];

/// A policy that a stage of a run has left.
pub struct Trained {
    /// The run.
    pub run: GRPORun,
    /// The stage.
    pub stage: String,
    /// Digest of the stage's record.
    pub digest: Digest,
    /// The model's files.
    pub files: Folder,
    /// The store that has them.
    pub store: Store,
}

/// Returns true if `--to` asks for the policy and not for a dataset.
#[must_use]
pub fn is_meant(to: &Path) -> bool {
    to == Path::new(NAME)
}

/// Finds the policy of a stage: of the run of this name, or of the only one.
///
/// # Errors
/// No such run, several runs without a name, or a stage that is not done.
pub fn find(out: &Path, wanted: Option<&str>, stage: &str) -> Result<Trained, Failure> {
    let run = pick(out, wanted)?;
    let name = run.metadata.name.clone().unwrap_or_default();
    let status = run.status.clone().unwrap_or_default();
    let Some(digest) = status.stages.get(stage).and_then(|s| s.digest.clone()) else {
        let others: Vec<&str> = STAGES
            .into_iter()
            .filter(|other| status.stages.contains_key(*other))
            .collect();
        let others = match others.as_slice() {
            [] => String::new(),
            others => format!("; --stage takes {}", others.join(" or ")),
        };
        return Err(Failure::Input(format!(
            "grporun/{name} has no trained policy yet: its stage {stage} is not done (it is {:?}); `agoge up` with the same \
             manifests goes on{others}",
            status.run.phase
        )));
    };
    let store = Store::open(out.join("store"))?;
    let digest = Digest::parse(&digest).map_err(Failure::input)?;
    let record = StageRecord::read(&store, &digest).map_err(Failure::input)?;
    let files = record.model.ok_or_else(|| {
        Failure::Input(format!("the record {digest} of stage {stage} has no model"))
    })?;
    Ok(Trained {
        run,
        stage: stage.to_owned(),
        digest,
        files,
        store,
    })
}

fn pick(out: &Path, wanted: Option<&str>) -> Result<GRPORun, Failure> {
    let all = objects::stored(out)?.into_iter();
    let mut runs: Vec<GRPORun> = all
        .filter_map(|object| match object.manifest {
            Manifest::GRPORun(run) => Some(*run),
            _ => None,
        })
        .collect();
    let names: Vec<String> = runs
        .iter()
        .filter_map(|run| run.metadata.name.clone())
        .collect();
    runs.retain(|run| wanted.is_none_or(|name| run.metadata.name.as_deref() == Some(name)));
    match (runs.len(), wanted) {
        (1, _) => Ok(runs.remove(0)),
        (0, None) => Err(Failure::Input(format!(
            "{} has no GRPORun, so no policy was trained; `agoge status --out {}` lists what it has",
            out.display(),
            out.display()
        ))),
        (0, Some(name)) => Err(Failure::Input(format!(
            "{} has no GRPORun {name}; it has {}",
            out.display(),
            match names.is_empty() {
                true => "none".to_owned(),
                false => names.join(", "),
            }
        ))),
        (_, _) => Err(Failure::Input(format!(
            "{} has the GRPORuns {}; choose one with --run NAME",
            out.display(),
            names.join(", ")
        ))),
    }
}

impl Trained {
    /// Writes the model's files, a card that says where they come from, and with a key a signed manifest.
    ///
    /// # Errors
    /// A file that is missing in the store, or a folder that cannot be written.
    pub fn write(&self, to: &Path, key: Option<&SecretKey>) -> Result<(), Failure> {
        self.store.get_folder(&self.files, to)?;
        write_atomic(to.join("README.md"), self.card())?;
        if key.is_some() {
            let run = self.run.metadata.name.as_deref().unwrap_or_default();
            let made = [
                ("form", NAME),
                ("run", run),
                ("stage", self.stage.as_str()),
                ("record", self.digest.as_str()),
            ];
            let made = made.map(|(name, value)| (name.to_owned(), value.into()));
            sign::seal(to, made.into_iter().collect(), key).map_err(Failure::input)?;
        }
        println!(
            "wrote the policy of grporun/{} after {} to {}: {}",
            self.run.metadata.name.as_deref().unwrap_or_default(),
            self.stage,
            to.display(),
            self.files.keys().cloned().collect::<Vec<_>>().join(", ")
        );
        Ok(())
    }

    fn card(&self) -> String {
        let status = self.run.status.clone().unwrap_or_default();
        let name = self.run.metadata.name.as_deref().unwrap_or_default();
        let mut text = format!(
            "---\nlibrary_name: transformers\npipeline_tag: text-generation\n---\n\n# {name}\n\n\
             A policy for the domain `{}`, trained by Agoge. It is in the format of transformers, with its tokenizer, chat \
             template and stop tokens: `AutoModelForCausalLM.from_pretrained(folder)`, `vllm serve folder`.\n\n",
            self.run.spec.domain
        );
        let _ = writeln!(text, "- stage: {}, record {}", self.stage, self.digest);
        if let Some(suite) = &status.suite_digest {
            let _ = writeln!(text, "- suite: {} {suite}", self.run.spec.suite.name);
        }
        let arm = match self.stage.as_str() {
            "agentSFT" => "sft",
            other => other,
        };
        if let Some(arm) = status.arms.get(arm)
            && let Some(pass) = arm.pass.first()
        {
            let _ = writeln!(
                text,
                "- pass^1 on {} held-out tasks: {pass:.3} (95 %: {:.3} - {:.3})",
                arm.tasks, arm.low, arm.high
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use agoge_artifacts::Stored as _;
    use serde_json::json;

    use super::*;

    /// A run's folder with a GRPORun of this name whose stages have these digests.
    fn keep(out: &Path, name: &str, stages: serde_json::Value) {
        let text = include_str!("../../../../../examples/courier/grporun.yaml");
        let mut all = agoge_crds::check(text, "f").unwrap();
        let Manifest::GRPORun(mut run) = all.remove(0) else {
            panic!("the example is a GRPORun")
        };
        run.metadata.name = Some(name.to_owned());
        run.status =
            serde_json::from_value(json!({ "phase": "Running", "stages": stages })).unwrap();
        let file = objects::file(out, "GRPORun", name);
        write_atomic(file, serde_json::to_vec(&run).unwrap()).unwrap();
    }

    #[test]
    fn a_policy_comes_out_of_the_store_file_by_file_and_a_stage_that_is_not_done_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path();
        assert!(find(out, None, "grpo").is_err());
        let model = out.join("model");
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            write_atomic(model.join(file), file).unwrap();
        }
        let store = Store::open(out.join("store")).unwrap();
        let record = StageRecord {
            model: Some(store.put_folder(&model).unwrap()),
            ..StageRecord::default()
        };
        let digest = record.put(&store).unwrap();
        keep(out, "desk", json!({ "agentSFT": { "digest": digest } }));

        let told = |run: Option<&str>, stage: &str| match find(out, run, stage) {
            Err(error) => error.to_string(),
            Ok(_) => String::new(),
        };
        let early = told(None, "grpo");
        assert!(
            early.contains("no trained policy yet") && early.contains("--stage takes agentSFT"),
            "{early}"
        );
        assert!(told(Some("other"), "grpo").contains("it has desk"));
        let to = out.join("policy");
        let key = SecretKey::of_seed([1; 32]);
        find(out, None, "agentSFT")
            .unwrap()
            .write(&to, Some(&key))
            .unwrap();
        let checked = sign::check(&to, Some(&key.public())).unwrap();
        assert!(
            checked.differences.is_empty() && checked.signed_by.is_some(),
            "{checked:?}"
        );
        assert_eq!(
            std::fs::read(to.join("tokenizer.json")).unwrap(),
            b"tokenizer.json"
        );
        let card = std::fs::read_to_string(to.join("README.md")).unwrap();
        assert!(
            card.contains("agentSFT") && card.contains("courier"),
            "{card}"
        );

        keep(out, "second", json!({}));
        assert!(told(None, "grpo").contains("--run NAME"));
        assert!(find(out, Some("desk"), "agentSFT").is_ok());
    }
}
