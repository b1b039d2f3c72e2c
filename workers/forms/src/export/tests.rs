use std::collections::BTreeMap;

use agoge_artifacts::{End, Instance, Trajectory};
use agoge_dialogue::Message;
use agoge_world::{Domain, Split};
use serde_json::json;

use super::*;
use crate::example;
use crate::sign::{self, SecretKey};

/// A source with a demonstration, a task, a held-out task, and a rollout of the task that failed.
struct Made {
    domain: Domain,
    instances: Vec<Instance>,
    origins: BTreeMap<String, Origin>,
    rollouts: Vec<Trajectory>,
}

impl Made {
    fn new() -> Self {
        let dialogue = example::dialogue();
        let failed = [&dialogue[..5], &[Message::assistant("I cannot do that.")]].concat();
        let origin = Origin {
            job: "grow".into(),
            generation: 2,
            plan: "sha256:1".into(),
            models: vec!["writer: big".into()],
        };
        // The agent's two turns of the failed rollout: one token of context before each, and one sampled.
        let rollout = Trajectory {
            task: "practice".into(),
            branch: "switch".into(),
            arm: "grpo".into(),
            reward: Some(0.0),
            end: End::Closed,
            verdict: None,
            messages: failed,
            tokens: vec![
                ("a".into(), 0, 0.0),
                ("b".into(), 1, -0.5),
                ("c".into(), 0, 0.0),
                ("d".into(), 1, -0.25),
                ("e".into(), 1, -0.125),
            ],
            ids: vec![7, 8, 9, 10, 11],
            user_faults: Vec::new(),
        };
        Self {
            domain: example::domain(),
            instances: vec![
                example::instance("shown", Split::TrainSft, dialogue.clone()),
                example::instance("practice", Split::TrainRl, dialogue),
                example::instance("kept", Split::Heldout, Vec::new()),
            ],
            origins: BTreeMap::from([("shown".to_owned(), origin)]),
            rollouts: vec![rollout],
        }
    }

    fn source(&self) -> Source<'_> {
        Source {
            domain: &self.domain,
            suite: "suite",
            digest: "sha256:2",
            instances: &self.instances,
            origins: &self.origins,
            rollouts: &self.rollouts,
            license: "Apache-2.0",
            heldout: false,
        }
    }

    fn export(&self, name: &str) -> Export {
        form(name).unwrap().export(&self.source()).unwrap()
    }

    /// The rows of a form's only table, or of the one of this configuration.
    fn rows(&self, name: &str, config: &str) -> Vec<Value> {
        let tables = self.export(name).tables.into_iter();
        let mut tables = tables.filter(|table| table.config == config && table.split == "train");
        tables.next().unwrap().rows
    }
}

#[test]
fn every_row_says_what_made_it_and_the_users_calls_are_the_users() {
    let made = Made::new();
    let row = &made.rows("messages", "agent")[0];
    assert_eq!(row["agoge"]["license"], "Apache-2.0");
    assert_eq!(
        (
            &row["agoge"]["job"],
            &row["agoge"]["generation"],
            &row["agoge"]["models"][0]
        ),
        (&json!("grow"), &json!(2), &json!("writer: big"))
    );
    assert!(
        row["agoge"]["task_digest"]
            .as_str()
            .unwrap()
            .starts_with("sha256:")
    );
    assert!(!row.to_string().contains("peek"));
    let calls = &row["messages"][4]["tool_calls"];
    assert_eq!(calls[0]["function"]["arguments"], r#"{"lamp":"hall"}"#);
    let user = &made.rows("messages", "user")[0];
    assert!(user["tools"].as_str().unwrap().contains("peek"));
    assert_eq!(
        user["messages"][0]["content"],
        "You want light in the hall."
    );
    assert_eq!(
        user["messages"][3]["tool_calls"][0]["function"]["name"],
        "peek"
    );
    // A row whose origin nobody knows has the same keys.
    let other = &made.rows("trl", "grpo")[0];
    let keys = |row: &Value| {
        row["agoge"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(row), keys(other));
}

#[test]
fn a_turn_is_a_row_of_its_own_where_only_it_is_trained() {
    let made = Made::new();
    let sft = made.rows("trl", "sft");
    assert_eq!(sft.len(), 4);
    assert_eq!(sft[0]["prompt"].as_array().unwrap().len(), 2);
    assert!(sft[1]["completion"][0]["tool_calls"][1]["function"]["arguments"].is_object());
    let turns = made.rows("turns", "default");
    let kinds: Vec<&str> = turns
        .iter()
        .filter_map(|row| row["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["answer", "call", "call", "answer"]);
    assert_eq!(turns[3]["id"], "shown#4");
    let last = turns[3]["messages"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(last["content"], "It is on.");
}

#[test]
fn sharegpt_alternates_and_says_which_words_it_left_out() {
    let made = Made::new();
    let export = made.export("sharegpt");
    let turns = export.tables[0].rows[0]["conversations"]
        .as_array()
        .unwrap();
    let odd = |turn: &Value| matches!(turn["from"].as_str().unwrap(), "human" | "observation");
    assert!(
        turns
            .iter()
            .enumerate()
            .all(|(n, turn)| odd(turn) == (n % 2 == 0)),
        "{turns:?}"
    );
    let called: Value = serde_json::from_str(turns[3]["value"].as_str().unwrap()).unwrap();
    assert_eq!(called.as_array().unwrap().len(), 2);
    assert_eq!(turns[4]["value"], r#"["off","on"]"#);
    assert!(export.notes[0].starts_with("1 turns"), "{:?}", export.notes);
}

#[test]
fn a_preference_is_the_first_turn_that_differs_after_all_that_is_shared() {
    let made = Made::new();
    let rows = made.rows("dpo", "default");
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!(row["prompt"].as_array().unwrap().len(), 4);
    assert_eq!(
        row["chosen"][0]["tool_calls"][0]["function"]["name"],
        "look"
    );
    assert_eq!(row["rejected"][0]["content"], "I cannot do that.");
    assert_eq!(row["agoge"]["task"], "practice");
}

#[test]
fn tasks_are_rows_of_verl_and_nemo_gym_with_what_their_readers_look_for() {
    let made = Made::new();
    let verl = &made.rows("verl", "default")[0];
    assert_eq!(
        verl["prompt"][1],
        json!({"role": "user", "content": "The hall is dark."})
    );
    let truth = verl["reward_model"]["ground_truth"].as_str().unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(truth).unwrap()["id"],
        "practice"
    );
    let nemo = &made.rows("nemo-gym", "default")[0];
    assert_eq!(nemo["task_id"], "practice");
    let parameters = &nemo["responses_create_params"];
    assert_eq!(parameters["input"][0]["role"], "system");
    assert_eq!(
        (
            &parameters["tools"][0]["name"],
            &parameters["tools"][0]["strict"]
        ),
        (&json!("switch"), &json!(false))
    );
}

#[test]
fn a_trajectory_has_the_tokens_of_each_turn_as_they_were_sampled() {
    let made = Made::new();
    let export = made.export("atif");
    let trajectory: Value = serde_json::from_str(&export.files[0].1).unwrap();
    assert_eq!(trajectory["schema_version"], "ATIF-v1.4");
    let steps = trajectory["steps"].as_array().unwrap();
    let agents: Vec<&Value> = steps
        .iter()
        .filter(|step| step["source"] == "agent")
        .collect();
    assert_eq!(agents.len(), 2);
    assert_eq!(agents[0]["metrics"]["prompt_token_ids"], json!([7]));
    assert_eq!(agents[1]["metrics"]["prompt_token_ids"], json!([7, 8, 9]));
    assert_eq!(
        agents[1]["metrics"]["completion_token_ids"],
        json!([10, 11])
    );
    assert_eq!(agents[1]["metrics"]["logprobs"], json!([-0.25, -0.125]));
    assert_eq!(trajectory["extra"]["reward"], 0.0);
}

#[test]
fn a_folder_of_tau2_has_tasks_splits_and_the_state_as_it_came() {
    let made = Made::new();
    let files: BTreeMap<String, String> = made.export("tau2").files.into_iter().collect();
    let read = |name: &str| serde_json::from_str::<Value>(&files[name]).unwrap();
    assert_eq!(
        read("split_tasks.json"),
        json!({"train": ["shown", "practice"], "test": [], "base": ["shown", "practice"]})
    );
    assert_eq!(read("db.json"), made.domain.state.to_json());
    let task = &read("tasks.json")[0];
    assert_eq!(
        task["evaluation_criteria"]["reward_basis"],
        json!(["DB", "COMMUNICATE"])
    );
    assert_eq!(
        task["evaluation_criteria"]["actions"][2]["arguments"],
        json!({"lamp": "hall", "on": true})
    );
}

#[test]
fn every_form_is_written_with_a_signed_manifest_and_held_out_rows_only_when_asked_for() {
    let made = Made::new();
    let dir = tempfile::tempdir().unwrap();
    let key = SecretKey::of_seed([3; 32]);
    for form in FORMS {
        for heldout in [false, true] {
            let source = Source {
                heldout,
                ..made.source()
            };
            let folder = dir.path().join(format!("{}-{heldout}", form.name()));
            match write(*form, &source, &folder, Some(&key)) {
                Err(ExportError::Parquet {
                    source: ParquetError::Missing,
                    ..
                }) => continue,
                written => drop(written.unwrap()),
            }
            let checked = sign::check(&folder, Some(&key.public())).unwrap();
            assert!(
                checked.differences.is_empty(),
                "{}: {:?}",
                form.name(),
                checked.differences
            );
            let mut texts = checked
                .manifest
                .files
                .keys()
                .map(|name| std::fs::read(folder.join(name)).unwrap());
            let held = texts.any(|text| String::from_utf8_lossy(&text).contains("kept"));
            let has = matches!(form.name(), "verl" | "nemo-gym" | "tau2");
            assert_eq!(held, heldout && has, "{} {heldout}", form.name());
        }
    }
}

#[test]
fn a_card_names_the_files_that_are_there_and_a_license_that_yaml_would_misread_is_refused() {
    let made = Made::new();
    let dir = tempfile::tempdir().unwrap();
    let messages = form("messages").unwrap();
    let written = write(messages, &made.source(), dir.path(), None).unwrap();
    let card = std::fs::read_to_string(dir.path().join("README.md")).unwrap();
    assert!(
        card.starts_with("---\nconfigs:\n- config_name: agent\n"),
        "{card}"
    );
    assert!(
        card.contains("license: apache-2.0\n---\n") && !card.contains("heldout"),
        "{card}"
    );
    for (file, _) in &written.files {
        assert!(dir.path().join(file).is_file(), "{file}");
    }
    let source = Source {
        license: "a: b",
        ..made.source()
    };
    let refused = write(messages, &source, &dir.path().join("other"), None);
    assert!(matches!(refused, Err(ExportError::License(_))));
}
