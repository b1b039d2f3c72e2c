//! Files as people and their tools write them - lists, JSON, objects of other APIs, quantities, nulls, words without quotes - are
//! judged as a cluster judges them.
#![allow(clippy::unwrap_used)]

use agoge_crds::{Manifest, Problem, Verdict, check, documents, judge};

/// A job with further lines of its spec.
fn job(spec: &str) -> String {
    named("shop", spec)
}

fn named(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: agoge.dev/v1alpha1\nkind: SynthesisJob\nmetadata:\n  name: {name}\nspec:\n  domain: shop\n  strategies:\n  - name: template\n    target: {{accepted: 5}}\n{spec}"
    )
}

fn verdict(text: &str) -> Verdict {
    judge(documents(text, "f.yaml"), "f.yaml")
}

fn taken(text: &str) -> Manifest {
    let mut all = check(text, "f.yaml").unwrap_or_else(|problems| panic!("{text}: {problems:#?}"));
    all.remove(0)
}

fn spec(manifest: &Manifest) -> serde_json::Value {
    let Manifest::SynthesisJob(job) = manifest else {
        panic!("not a job")
    };
    serde_json::to_value(&job.spec).unwrap()
}

fn refused(text: &str) -> Problem {
    let problems = check(text, "f.yaml").expect_err(text);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems[0].clone()
}

#[test]
fn objects_of_other_apis_are_counted_and_not_judged() {
    let text = format!(
        "---\n# Source: chart/templates/x.yaml\napiVersion: v1\nkind: ConfigMap\ndata: {{a: b, a: c}}\n---\n---\n{}---\napiVersion: v1\nkind: List\nitems:\n- {{apiVersion: batch/v1, kind: Job}}\n- {}\n",
        job(""),
        named("other", "").trim_end().replace('\n', "\n  "),
    );
    let found = verdict(&text);
    assert_eq!(found.others, ["ConfigMap", "Job"]);
    let names: Vec<String> = found.manifests.iter().map(Manifest::name).collect();
    assert_eq!(names, ["shop", "other"]);
    assert!(
        found.problems.is_empty() && found.strays.is_empty(),
        "{found:#?}"
    );
    assert_eq!(check(&text, "f").unwrap().len(), 2);
    assert!(
        check("apiVersion: v1\nkind: Secret\n", "f")
            .unwrap()
            .is_empty()
    );
}

#[test]
fn what_is_no_object_is_a_stray_and_what_was_meant_as_one_a_problem() {
    let values = verdict("replicas: 2\nimage: {tag: x}\n");
    assert_eq!((values.strays.len(), values.problems.len()), (1, 0));
    let meant = verdict("kind: SynthesisJob\nmetadata: {name: a}\n");
    assert_eq!((meant.strays.len(), meant.problems.len()), (0, 1));
    assert!(meant.problems[0].to_string().contains("agoge.dev/v1alpha1"));
}

#[test]
fn the_problem_of_an_item_says_where_in_its_list_it_is() {
    let bad = job("")
        .replace("domain: shop", "domian: shop")
        .trim_end()
        .replace('\n', "\n  ");
    let problems = check(
        &format!("apiVersion: v1\nkind: List\nitems:\n- {bad}\n"),
        "f",
    )
    .unwrap_err();
    let fields: Vec<&str> = problems
        .iter()
        .map(|problem| problem.field.as_str())
        .collect();
    assert_eq!(fields, ["items[0].spec.domian", "items[0].spec.domain"]);
}

#[test]
fn json_and_a_byte_order_mark_are_read() {
    let yaml = format!("\u{feff}{}", job(""));
    let json = serde_json::json!({"apiVersion": "agoge.dev/v1alpha1", "kind": "SynthesisJob", "metadata": {"name": "shop"},
        "spec": {"domain": "shop", "strategies": [{"name": "template", "target": {"accepted": 5}}]}});
    assert_eq!(
        spec(&taken(&yaml)),
        spec(&taken(&format!("\u{feff}{json:#}")))
    );
}

#[test]
fn quantities_are_taken_as_kubernetes_writes_them() {
    for (cpu, printed) in [
        ("2", "2"),
        ("\"2\"", "2"),
        ("0.5", "500m"),
        ("100m", "100m"),
        ("1e3", "1000"),
        ("1.5", "1500m"),
    ] {
        let manifest = taken(&job(&format!("  worker: {{resources: {{cpu: {cpu}}}}}\n")));
        assert_eq!(
            spec(&manifest)["worker"]["resources"]["cpu"],
            printed,
            "{cpu}"
        );
    }
    for (memory, printed) in [
        ("2Gi", "2Gi"),
        ("1073741824", "1Gi"),
        ("500M", "500000000"),
        ("1.5Gi", "1536Mi"),
        ("1e9", "1000000000"),
        ("\"4096Ki\"", "4Mi"),
    ] {
        let manifest = taken(&job(&format!(
            "  worker: {{resources: {{memory: {memory}}}}}\n"
        )));
        assert_eq!(
            spec(&manifest)["worker"]["resources"]["memory"],
            printed,
            "{memory}"
        );
    }
    for wrong in ["two", "-1", "\"-1\"", "true", "{}", "[2]", "2 GB"] {
        let problems = check(
            &job(&format!("  worker: {{resources: {{cpu: {wrong}}}}}\n")),
            "f",
        );
        assert!(problems.is_err(), "{wrong}");
    }
}

#[test]
fn a_field_that_is_null_is_absent_and_a_null_in_a_list_is_not() {
    let absent = spec(&taken(&job("")));
    for nulls in [
        "  parallelism:\n",
        "  worker: ~\n  budget: {tokens: null}\n",
        "  worker: {nodeSelector: {pool: }, tolerations: , resources: null}\n  models:\n",
        "  runPolicy: {suspend: , backoffLimit: null}\n",
    ] {
        assert_eq!(spec(&taken(&job(nulls))), absent, "{nulls}");
    }
    let labels = job("").replace(
        "  name: shop\n",
        "  name: shop\n  labels:\n  annotations: ~\n  creationTimestamp: null\n",
    );
    assert_eq!(spec(&taken(&labels)), absent);
    assert_eq!(
        refused(&job("  evolution: {plans: [~]}\n")).field,
        "spec.evolution.plans[0]"
    );
    let without = job("").replace("domain: shop", "domain:");
    assert_eq!(
        refused(&without).to_string(),
        "f.yaml: spec.domain: is missing; add it"
    );
}

#[test]
fn whole_numbers_may_have_a_point_as_in_json() {
    let manifest = taken(&job("  parallelism: 4.0\n"));
    assert_eq!(spec(&manifest)["parallelism"], 4);
    assert!(
        refused(&job("  parallelism: 4.5\n"))
            .message
            .contains("whole number")
    );
}

#[test]
fn a_number_or_a_word_where_a_text_is_meant_is_refused_with_its_quotes() {
    let worker = |fields: &str| job(&format!("  worker: {fields}\n"));
    let overlay = |value: &str| {
        worker(&format!(
            "{{overlay: {{spec: {{containers: [{{name: worker, env: [{{name: A, value: {value}}}]}}]}}}}}}"
        ))
    };
    let env = "spec.worker.overlay.spec.containers[0].env[0].value";
    for (text, field, remedy) in [
        (overlay("1"), env, "quote it: \"1\""),
        (overlay("true"), env, "quote it: \"true\""),
        (overlay("on"), env, "quote it: \"true\""),
        (overlay("0.5"), env, "quote it: \"0.5\""),
        (
            worker("{nodeSelector: {gpu: yes}}"),
            "spec.worker.nodeSelector.gpu",
            "quote it: \"true\"",
        ),
        (
            worker("{image: 0700}"),
            "spec.worker.image",
            "quote it: \"448\"",
        ),
        (
            job("").replace("domain: shop", "domain: 20251107"),
            "spec.domain",
            "quote it: \"20251107\"",
        ),
        (named("123", ""), "metadata.name", "quote it: \"123\""),
        (
            job("").replace("  name: shop\n", "  name: shop\n  labels: {tier: 2}\n"),
            "metadata.labels.tier",
            "quote it: \"2\"",
        ),
        (
            job("  parallelism: \"4\"\n"),
            "spec.parallelism",
            "take the quotes away",
        ),
    ] {
        let problem = refused(&text);
        assert_eq!(
            (problem.field.as_str(), problem.remedy.as_str()),
            (field, remedy),
            "{text}"
        );
    }
    taken(&overlay("\"1\""));
    taken(&worker("{nodeSelector: {gpu: \"yes\", zone: 'on'}}"));
    assert_eq!(
        spec(&taken(&job("  deterministic: yes\n")))["deterministic"],
        true
    );
}

#[test]
fn what_the_operator_would_refuse_in_an_overlay_is_refused() {
    let overlay = |pod: &str| job(&format!("  worker: {{overlay: {{spec: {pod}}}}}\n"));
    for (pod, field) in [
        (
            "{hostNetwork: true}",
            "spec.worker.overlay.spec.hostNetwork",
        ),
        (
            "{nodeselector: {a: b}}",
            "spec.worker.overlay.spec.nodeselector",
        ),
    ] {
        assert_eq!(refused(&overlay(pod)).field, field);
    }
    taken(&overlay(
        "{runtimeClassName: kata, containers: [{name: worker, resources: {limits: {cpu: 2}}}]}",
    ));
}

#[test]
fn the_same_key_twice_and_numbers_of_twenty_digits_are_refused_with_their_line() {
    let twice = refused(&job(
        "  runPolicy: {backoffLimit: 1}\n  runPolicy: {suspend: true}\n",
    ));
    assert!(
        twice.message.starts_with("line 11: ") && twice.message.contains("runPolicy"),
        "{twice}"
    );
    let wide = refused(&job("  budget: {tokens: 92233720368547758079}\n"));
    assert!(
        wide.message.starts_with("line 10: ") && wide.message.contains("92233720368547758079"),
        "{wide}"
    );
}

#[test]
fn items_of_a_list_map_are_listed_once() {
    let twice = job("").replace(
        "  - name: template\n",
        "  - name: template\n    target: {accepted: 1}\n  - name: template\n",
    );
    assert_eq!(refused(&twice).field, "spec.strategies");
    let splits = job(
        "    parameters: {splits: [{split: heldout, share: 1}, {split: heldout, mix: natural, share: 2}]}\n",
    );
    assert_eq!(
        refused(&splits).field,
        "spec.strategies[0].parameters.splits"
    );
}

#[test]
fn a_name_may_have_sixty_three_characters_and_dots() {
    let long = "a-really-long-job-name-that-a-ci-system-made-20251107074133.v20";
    assert_eq!(taken(&named(long, "")).name(), long);
    for wrong in ["a..b", "-a", "a.-b", "a_b", "A"] {
        assert_eq!(refused(&named(wrong, "")).field, "metadata.name", "{wrong}");
    }
    assert_eq!(refused(&named(&"a".repeat(64), "")).field, "metadata.name");
}

#[test]
fn the_same_name_in_two_namespaces_is_two_objects() {
    let in_namespace = |name: &str| {
        job("").replace(
            "  name: shop\n",
            &format!("  name: shop\n  namespace: {name}\n"),
        )
    };
    let both = format!("{}---\n{}", in_namespace("dev"), in_namespace("prod"));
    assert_eq!(check(&both, "f").unwrap().len(), 2);
    assert!(
        check(
            &format!("{}---\n{}", in_namespace("dev"), in_namespace("dev")),
            "f"
        )
        .is_err()
    );
}
