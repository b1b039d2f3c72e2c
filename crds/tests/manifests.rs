//! The shipped examples are valid, and every planted error is told with its field and a way out.

use agoge_crds::{Manifest, Problem, check, crds};

const JOB: &str = include_str!("../../examples/courier/synthesisjob.yaml");
const SUITE: &str = include_str!("../../examples/courier/checkersuite.yaml");
const RUN: &str = include_str!("../../examples/courier/grporun.yaml");

fn problems(text: &str) -> Vec<Problem> {
    check(text, "f.yaml").expect_err("the error is found")
}

/// Plants one error: replaces `from`, which must be there, by `to`.
fn plant(text: &str, from: &str, to: &str) -> Vec<Problem> {
    assert!(text.contains(from), "{from:?} is not in the manifest");
    problems(&text.replacen(from, to, 1))
}

#[test]
fn the_examples_are_valid_alone_and_as_one_file() {
    for text in [JOB, SUITE, RUN] {
        let manifests = check(text, "f.yaml").unwrap_or_else(|p| panic!("{p:?}"));
        assert_eq!(manifests.len(), 1);
        assert_eq!(
            (manifests[0].name().as_str(), manifests[0].domain()),
            ("courier", "courier")
        );
    }
    let all = check(&format!("{JOB}---\n{SUITE}---\n{RUN}"), "all.yaml").unwrap();
    let kinds: Vec<&str> = all.iter().map(Manifest::kind).collect();
    assert_eq!(kinds, ["SynthesisJob", "CheckerSuite", "GRPORun"]);
}

#[test]
fn the_examples_say_what_the_demo_promises() {
    let Some(Manifest::SynthesisJob(job)) = check(JOB, "f").unwrap().pop() else {
        panic!("not a job")
    };
    let targets: Vec<u64> = job
        .spec
        .strategies
        .iter()
        .map(|s| s.target.accepted)
        .collect();
    assert!(targets[0] >= 300, "hundreds of instances by template");
    assert_eq!(targets[1], 4);
    assert_eq!(job.spec.budget.wall_clock.unwrap().to_string(), "15m");
    assert_eq!(job.spec.budget.tokens_per_instance, Some(450));
    assert_eq!(
        (
            job.spec.evolution.max_generations,
            job.spec.evolution.pilot_size
        ),
        (2, 6)
    );
}

#[test]
fn every_planted_error_names_its_field_and_a_way_out() {
    let cases = [
        // (manifest, what is there, what is planted, the field, a word of the whole message)
        (
            JOB,
            "wallClock: 15m",
            "wallclock: 15m",
            "spec.budget.wallclock",
            "wallClock",
        ),
        (
            JOB,
            "accepted: ",
            "acepted: ",
            "spec.strategies[0].target.acepted",
            "accepted",
        ),
        (
            JOB,
            "accepted: ",
            "accepted: many",
            "spec.strategies[0].target.accepted",
            "whole number",
        ),
        (
            JOB,
            "accepted: ",
            "accepted: 0 #",
            "spec.strategies[0].target.accepted",
            "at least 1",
        ),
        (
            JOB,
            "name: template",
            "name: templates",
            "spec.strategies[0].name",
            "template",
        ),
        (
            JOB,
            "wallClock: 15m",
            "wallClock: 15",
            "spec.budget.wallClock",
            "a text",
        ),
        (
            JOB,
            "wallClock: 15m",
            "wallClock: a while",
            "spec.budget.wallClock",
            "1h30m",
        ),
        (
            JOB,
            "model: qwen2.5-coder-1.5b-instruct",
            "model: 2.5",
            "spec.models.default.model",
            "quote it: \"2.5\"",
        ),
        (JOB, "domain: courier", "", "spec.domain", "add it"),
        (
            JOB,
            "domain: courier",
            "domain: Courier",
            "spec.domain",
            "lower-case letters",
        ),
        (
            JOB,
            "confidence: 0.8",
            "confidence: 80",
            "spec.evolution.confidence",
            "at most 0.9999",
        ),
        (
            JOB,
            "endpoint: qwen",
            "url: http://x",
            "spec.models.default.url",
            "unknown",
        ),
        (
            JOB,
            "- name: sea",
            "- name: template",
            "spec.strategies",
            "list each once",
        ),
        (
            JOB,
            "        rollouts: 3",
            "        splits: [{split: heldout, share: 1}]",
            "spec.strategies[1].parameters.splits",
            "template",
        ),
        (JOB, "wallClock: 15m", "usd: 3", "spec.budget.usd", "price"),
        (
            JOB,
            "kind: SynthesisJob",
            "kind: SynthesisJobs",
            "kind",
            "SynthesisJob",
        ),
        (
            JOB,
            "agoge.dev/v1alpha1",
            "agoge.dev/v1",
            "apiVersion",
            "v1alpha1",
        ),
        (
            JOB,
            "  name: courier",
            "  name: Courier_1",
            "metadata.name",
            "lower-case letters",
        ),
        (
            JOB,
            "  name: courier",
            "  names: courier",
            "metadata.names",
            "name",
        ),
        (
            JOB,
            "  name: courier",
            "  name: a-name-of-sixty-five-characters-is-two-more-than-a-label-may-have",
            "metadata.name",
            "63",
        ),
        (
            JOB,
            "domain: courier",
            "domain: courier\n  domian: courier",
            "spec.domian",
            "domain",
        ),
        (
            SUITE,
            "synthesisJob: courier",
            "synthesisJob: courier\n    path: x",
            "spec.source",
            "exactly one",
        ),
        (
            SUITE,
            "memory: 256Mi",
            "memory: 256MB",
            "spec.sandbox.memory",
            "256Mi",
        ),
        (
            SUITE,
            "minMutationScore: 0.9",
            "minMutationScore: 1.5",
            "spec.qualification.minMutationScore",
            "at most 1",
        ),
        (
            SUITE,
            "  # digest: sha256:...",
            "  digest: abc",
            "spec.digest",
            "sha256:",
        ),
        (
            RUN,
            "hiddenSize: 160",
            "hiddenSize: 162",
            "spec.policy.fresh.hiddenSize",
            "multiple",
        ),
        (
            RUN,
            "kvHeads: 2",
            "kvHeads: 3",
            "spec.policy.fresh.kvHeads",
            "multiple",
        ),
        (
            RUN,
            "algorithm: groupMean",
            "algorithm: ppo",
            "spec.stages.grpo.algorithm",
            "grpo",
        ),
        (
            RUN,
            "groupSize: 8",
            "groupSize: 1",
            "spec.stages.grpo.groupSize",
            "at least 2",
        ),
        (
            RUN,
            "wallClock: 4m",
            "",
            "spec.stages.grpo.steps",
            "wallClock",
        ),
        (
            RUN,
            "maxTokensPerTurn: 64",
            "maxTokensPerTurn: 640",
            "spec.stages.grpo.maxTokensPerTurn",
            "lower maxTokensPerTurn",
        ),
        (
            RUN,
            "arms: [empty, ",
            "arms: [sft, ",
            "spec.stages.evaluation.arms",
            "once",
        ),
        (
            RUN,
            "seed: 1",
            "topology: {mode: disaggregated}",
            "spec.topology.rollouts",
            "1 or more",
        ),
        (
            RUN,
            "seed: 1",
            "topology: {rollouts: 2}",
            "spec.topology.rollouts",
            "mode: disaggregated",
        ),
        (
            RUN,
            "seed: 1",
            "topology: {mode: disaggregated, rollouts: 2, trainers: 2}",
            "spec.topology.trainers",
            "trainers: 1",
        ),
        (RUN, "seed: 1", "lanes: 0", "spec.lanes", "at least 1"),
        (RUN, "seed: 1", "lanes: 65", "spec.lanes", "at most 64"),
        (
            RUN,
            "seed: 1",
            "worker: {resources: {gpus: 1}}",
            "spec.worker.resources.gpus",
            "no worker uses a GPU yet",
        ),
        (RUN, "model: sft", "model: scripted", "", ""),
        (RUN, "seed: 1", "seed: -1", "spec.seed", "at least 0"),
        (
            RUN,
            "seed: 1",
            "deterministic: yes please",
            "spec.deterministic",
            "true or false",
        ),
    ];
    for (manifest, from, to, field, word) in cases {
        if field.is_empty() && word.is_empty() {
            // A scripted user is allowed; only training it, as the example does its own, is not.
            let found = plant(manifest, from, to);
            assert_eq!(found[0].field, "spec.stages.userSFT", "{found:?}");
            continue;
        }
        let found = plant(manifest, from, to);
        let told = found
            .iter()
            .find(|p| p.field == field)
            .unwrap_or_else(|| panic!("{to:?}: no {field:?} in {found:#?}"));
        assert!(told.to_string().contains(word), "{to:?}: {told}");
        assert!(!told.remedy.is_empty(), "{to:?}: no remedy in {told}");
    }
}

#[test]
fn a_problem_says_which_document_of_which_file() {
    let text = format!("{JOB}---\n{}", SUITE.replace("mutants: 20", "mutants: 0"));
    let found = problems(&text);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].file.as_str(), found[0].document), ("f.yaml", 2));
    assert_eq!(
        found[0].to_string(),
        "f.yaml (document 2): spec.qualification.mutants: 0 is too small; use at least 1"
    );
}

#[test]
fn what_is_no_manifest_is_told_not_panicked_at() {
    for text in [
        "",
        "# nothing\n",
        "- a\n- b\n",
        "a: [",
        "just text",
        "a: 1\na: 2\n",
        "---\n---\n",
        "\t",
    ] {
        assert!(!problems(text).is_empty(), "{text:?}");
    }
    let twice = problems(&format!("{JOB}---\n{JOB}"));
    assert_eq!(twice[0].field, "metadata.name");
}

#[test]
fn what_may_not_change_is_refused_and_what_may_is_not() {
    let Ok(mut all) = check(JOB, "f") else {
        panic!()
    };
    let Some(Manifest::SynthesisJob(old)) = all.pop() else {
        panic!()
    };
    let mut new = old.clone();
    new.spec.budget.tokens = Some(1000);
    new.spec.run_policy.suspend = true;
    new.spec.parallelism = Some(4);
    assert!(new.validate_cel_update(&old).is_ok());
    new.spec.domain = "other".into();
    let refused = new.validate_cel_update(&old).unwrap_err();
    assert!(
        refused.to_string().contains("domain cannot be changed"),
        "{refused}"
    );
    let mut new = old.clone();
    new.spec.models = None;
    assert!(new.validate_cel_update(&old).is_err());
}

#[test]
fn the_definitions_have_columns_a_category_bounds_and_a_list_map_of_conditions() {
    for crd in crds() {
        let names = &crd.spec.names;
        assert_eq!(names.categories, Some(vec!["agoge".to_owned()]));
        let version = &crd.spec.versions[0];
        assert!(
            version
                .additional_printer_columns
                .as_ref()
                .is_some_and(|c| c.len() >= 8),
            "{}",
            names.kind
        );
        let schema = serde_json::to_value(version.schema.as_ref().unwrap()).unwrap();
        let conditions =
            &schema["openAPIV3Schema"]["properties"]["status"]["properties"]["conditions"];
        assert_eq!(
            conditions["x-kubernetes-list-type"], "map",
            "{}",
            names.kind
        );
        assert_eq!(conditions["x-kubernetes-list-map-keys"][0], "type");
        assert!(
            !schema.to_string().contains("nullable"),
            "nothing of ours is null"
        );
        unbounded(&schema["openAPIV3Schema"]["properties"]["spec"], "spec");
        assert!(
            !schema.to_string().contains("\"uint"),
            "formats that Kubernetes does not know"
        );
    }
}

/// Every list and every text of our own in a spec has a bound, so that rules have a known cost.
fn unbounded(schema: &serde_json::Value, path: &str) {
    if schema.get("items").is_some() && !path.contains("tolerations") {
        assert!(schema.get("maxItems").is_some(), "{path} has no bound");
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        unbounded(inner, &format!("{path}.{name}"));
    }
    if let Some(items) = schema.get("items") {
        unbounded(items, &format!("{path}[]"));
    }
}
