use super::*;
use agoge_world::Basis;
use serde_json::json;

fn read(row: &Value) -> Result<GivenTask, Tau2Error> {
    let schema = json!({"properties": {
        "notes": {}, "lines": {"x-agoge-list": "line_id"}, "phone": {"x-agoge-singleton": true},
    }});
    TaskReader::new("desk", &schema).read(3, row)
}

#[test]
fn a_task_keeps_its_start_its_history_and_what_it_is_judged_by() {
    let criteria = json!({
        "actions": [
            {"action_id": "1", "name": "hold", "arguments": {"id": "7", "note": "x"}, "compare_args": ["id"]},
            {"action_id": "2", "name": "transfer", "arguments": {"summary": "s"}, "compare_args": []},
        ],
        "env_assertions": [{"env_type": "user", "func_name": "assert_on", "arguments": {}, "assert_value": false}],
        "nl_assertions": ["It is polite."],
        "reward_basis": ["ENV_ASSERTION", "ACTION", "NL_ASSERTION"],
    });
    let row = json!({
        "id": "[calls]a|b[PERSONA:Easy]",
        "user_scenario": {"persona": "Calm", "instructions": {"domain": "desk", "reason_for_call": "Hold it.\n\nNow.",
            "known_info": "You are J.", "unknown_info": null, "task_instructions": "Be brief."}},
        "initial_state": {
            "initialization_data": {"agent_data": {"notes": {"n1": {"read": true}}, "lines": [{"line_id": "L1", "on": true}]},
                "user_data": {"phone": {"on": false}}},
            "initialization_actions": [{"env_type": "user", "func_name": "turn_off", "arguments": {"hard": true}}],
            "message_history": [
                {"role": "assistant", "tool_calls": [{"id": "c1", "name": "look", "arguments": {}}]},
                {"role": "tool", "id": "c1", "content": "ok"},
            ],
        },
        // Some files keep the criteria as a text.
        "evaluation_criteria": criteria.to_string(),
    });
    let given = read(&row).unwrap();
    let task = &given.task;
    assert!(given.judged);
    assert_eq!(
        (task.intent.as_str(), task.branch.as_str()),
        ("calls", "[calls]a|b")
    );
    assert_eq!(
        task.user.instruction,
        "Domain: desk\nReason for call:\n\tHold it.\n\n\tNow.\nKnown info:\n\tYou are J.\nTask instructions:\n\tBe brief."
    );
    assert_eq!(task.user.persona, "Calm");
    assert_eq!(
        json!(task.records),
        json!({"notes": {"n1": {"read": true}}, "lines": {"L1": {"line_id": "L1", "on": true}}, "phone": {"": {"on": false}}})
    );
    assert_eq!(
        json!(task.start),
        json!([{"name": "turn_off", "arguments": {"hard": true}}])
    );
    assert_eq!(task.history[1].tool_call_id.as_deref(), Some("c1"));
    assert_eq!(task.gold.len(), 2);
    assert_eq!(
        json!(task.calls),
        json!([{"name": "hold", "arguments": {"id": "7"}}, {"name": "transfer", "arguments": {}}])
    );
    assert!(!task.asserts[0].is);
    assert_eq!(task.basis, [Basis::Asserts, Basis::Calls]);
    assert_eq!(task.judge, ["It is polite."]);
}

#[test]
fn the_basis_left_out_is_state_and_outputs_and_a_split_is_written_by_its_name() {
    let row =
        json!({"id": 4, "user_scenario": {"instructions": "Do it."}, "evaluation_criteria": null});
    let mut given = read(&row).unwrap();
    assert_eq!(given.task.basis, [Basis::State, Basis::Outputs]);
    assert_eq!(given.task.id, "4");
    assert_eq!(given.task.agent.answer, "I am sorry, I cannot do that.");
    for (train, name) in [(true, "train"), (false, "heldout")] {
        split(&mut given, train);
        let line: Value = serde_json::from_str(&given.line()).unwrap();
        assert_eq!(line["split"], name);
        assert_eq!(line["match"], "substring");
    }
}

#[test]
fn an_error_names_the_task_and_the_field() {
    let row = json!({"id": "7", "user_scenario": {"instructions": "x"}, "evaluation_criteria": {"reward_basis": ["LUCK"]}});
    let error = read(&row).unwrap_err().to_string();
    assert!(
        error.contains("task 3 (`7`)") && error.contains("evaluation_criteria"),
        "{error}"
    );
    let error = read(&json!({"user_scenario": {}})).unwrap_err().to_string();
    assert!(error.contains("`id` is missing"), "{error}");
}

#[test]
fn the_words_of_both_sides_are_there_so_that_gold_makes_a_demonstration() {
    let row = json!({"id": "5", "user_scenario": {"instructions": "Count them."}, "evaluation_criteria": {
        "actions": [{"action_id": "1", "name": "count", "arguments": {}}], "communicate_info": ["4", "7.50"]}});
    let task = read(&row).unwrap().task;
    assert_eq!(task.user.opening, "Count them.");
    assert_eq!(task.agent.answer, "That is done. The answer: 4, 7.50.");
}
