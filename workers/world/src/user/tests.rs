//! The scripted user: it closes when the task is finished or nothing more can come, and answers everything before.

use agoge_dialogue::{Message, ToolCall};
use serde_json::{Value, json};

use super::*;
use crate::folder::ERROR_TEXT;
use crate::task::UserScript;

/// A task whose gold looks a member up and renews it. The user keeps the member's number until asked.
fn task() -> Task {
    let call = |name: &str| json!({"name": name, "arguments": {"member": "40417"}});
    let text = json!({
        "id": "t",
        "user": {
            "opening": "please renew my membership.",
            "facts": [{"name": "member", "value": "40417", "held": true, "asked": ["number"], "answer": "it is 40417."}],
            "closing": "thanks. ###", "confirm": "yes.", "unknown": "i do not know."
        },
        "gold": [call("look"), call("renew")],
        "outputs": ["renewed"],
    });
    serde_json::from_value(text).unwrap()
}

fn called(name: &str, arguments: Value) -> Message {
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    Message::calls(vec![ToolCall::new(name, arguments)])
}

/// Plays the agent's messages, with calls among them, and returns the user's answers to its texts.
fn answers(task: &Task, agent: &[Message]) -> Vec<String> {
    let user = ScriptedUser::new(task, ERROR_TEXT);
    let mut messages = vec![Message::user(&user.open())];
    let mut answers = Vec::new();
    for message in agent {
        messages.push(message.clone());
        if message.tool_calls.is_empty() {
            let turn = user.reply(&messages);
            messages.push(Message::user(&turn.text));
            answers.push(turn.text);
        } else {
            messages.push(Message::tool_result("", "ok"));
        }
    }
    answers
}

fn says(text: &str) -> Message {
    Message::assistant(text)
}

fn renewal() -> [Message; 2] {
    let member = json!({"member": "40417"});
    [called("look", member.clone()), called("renew", member)]
}

#[test]
fn an_announcement_or_a_request_for_a_yes_in_any_words_is_answered_before_the_task_is_finished() {
    for before in [
        "One moment, I am looking into it.",
        "I am about to do so for 40417. Please confirm with yes to proceed.",
        "It will be renewed by a year once I have your go-ahead.",
        "Ich verlängere die Mitgliedschaft 40417, wenn Sie einverstanden sind.",
        "马上为您办理，请确认。",
    ] {
        let [look, renew] = renewal();
        let turns = [look, says(before), renew, says("it is renewed.")];
        let [first, last]: [String; 2] = answers(&task(), &turns).try_into().unwrap();
        assert!(
            !first.contains(DONE) && first.contains("yes"),
            "{before}: {first}"
        );
        assert_eq!(last, "thanks. ###", "{before}");
    }
}

#[test]
fn a_question_gets_its_fact_a_yes_or_an_i_do_not_know() {
    let one = |said: &str| answers(&task(), &[says(said)]).remove(0);
    assert_eq!(one("what is your number?"), "it is 40417.");
    assert_eq!(one("is 40417 your number?"), "yes.");
    assert_eq!(one("Shall I go on?"), "yes.");
    assert_eq!(one("要继续吗？"), "yes.");
    assert_eq!(one("when were you born?"), "i do not know.");
    assert_eq!(one("您什么时候入会的？"), "i do not know.");
    // A request in words that no rule knows still names the fact.
    assert_eq!(
        one("I cannot go on without a number from you."),
        "it is 40417."
    );
}

#[test]
fn the_second_idle_turn_in_a_row_closes_and_a_call_starts_the_count_again() {
    let idle = || says("all is well.");
    assert_eq!(
        answers(&task(), &[idle(), idle()]),
        ["yes, ok.", "thanks. ###"]
    );
    let [look, renew] = renewal();
    let active = [idle(), look, idle(), renew, says("renewed!")];
    assert_eq!(
        answers(&task(), &active),
        ["yes, ok.", "yes, ok.", "thanks. ###"]
    );
    // A wrong answer is not the end at once either: it is followed by another idle turn, or by the right one.
    let corrected = [says("it is unpaid."), says("sorry, it is renewed.")];
    assert_eq!(answers(&task(), &corrected)[1], "thanks. ###");
}

#[test]
fn the_outputs_may_be_said_beside_a_call_and_a_question_after_the_task_does_not_keep_the_user() {
    let [look, mut renew] = renewal();
    renew.content = "it is renewed.".into();
    let turns = [look, renew, says("have a good day.")];
    assert_eq!(answers(&task(), &turns), ["thanks. ###"]);
    let [look, renew] = renewal();
    let turns = [
        look,
        renew,
        says("it is renewed. would you like a receipt?"),
    ];
    assert_eq!(answers(&task(), &turns), ["thanks. ###"]);
}

#[test]
fn a_refusal_needs_no_call_and_a_task_without_outputs_needs_every_one() {
    let mut refusal = task();
    (refusal.refusal, refusal.outputs) = (true, vec!["unpaid".into()]);
    assert_eq!(
        answers(&refusal, &[says("sorry, a fee is unpaid.")]),
        ["thanks. ###"]
    );
    let mut silent = task();
    silent.outputs.clear();
    let [look, renew] = renewal();
    assert_eq!(answers(&silent, &[look.clone(), says("hm.")]), ["yes, ok."]);
    assert_eq!(
        answers(&silent, &[look, renew, says("hm.")]),
        ["thanks. ###"]
    );
}

#[test]
fn a_call_is_made_when_its_arguments_have_the_values_of_gold_and_it_did_not_fail() {
    let number = called("renew", json!({"member": 40417}));
    let turns = [number.clone(), says("it is renewed.")];
    assert_eq!(answers(&task(), &turns), ["thanks. ###"]);
    let user = ScriptedUser::new(&task(), ERROR_TEXT);
    let mut failed = number;
    failed.tool_calls[0].id = "1".into();
    let messages = [
        Message::user(&user.open()),
        failed,
        Message::tool_result("1", "error: a fee is owed"),
        says("it is renewed."),
    ];
    assert!(!user.reply(&messages).done);
}

#[test]
fn a_script_that_lacks_a_text_still_answers() {
    let bare = Task {
        user: UserScript::default(),
        ..task()
    };
    let said = ["shall I?", "who are you?", "well.", "well."].map(says);
    let found = answers(&bare, &said);
    assert_eq!(found, ["yes.", "i do not know.", "yes, ok.", DONE]);
}

#[test]
fn a_user_without_a_script_opens_with_its_instruction_and_closes_when_the_task_is_done() {
    let bare: Task = serde_json::from_value(json!({
        "id": "t", "user": {"instruction": "Renew 40417."}, "gold": [{"name": "renew", "arguments": {}}]
    }))
    .unwrap();
    assert_eq!(ScriptedUser::new(&bare, ERROR_TEXT).open(), "Renew 40417.");
    let told = answers(
        &bare,
        &[
            says("One moment."),
            called("renew", json!({})),
            says("It is renewed."),
        ],
    );
    assert!(!told[0].contains(DONE) && told[1] == DONE, "{told:?}");
}

#[test]
fn a_user_makes_its_own_gold_calls_when_the_agent_asks_for_them_and_reports_them() {
    let tools = [ToolSpec {
        name: "toggle_airplane_mode".into(),
        description: String::new(),
        parameters: json!({"type": "object"}),
    }];
    let task: Task = serde_json::from_value(json!({
        "id": "t", "user": {"opening": "No bars."},
        "gold": [{"name": "look", "arguments": {}}, {"name": "toggle_airplane_mode", "arguments": {"on": false}}]
    }))
    .unwrap();
    let user = ScriptedUser::new(&task, ERROR_TEXT);
    let mut messages = vec![Message::user("No bars."), says("Let me see.")];
    assert!(user.next(&messages, &tools).tool_calls.is_empty());
    messages.extend([
        Message::user("ok."),
        says("Please switch airplane mode off."),
    ]);
    // The user of a domain without tools for it has none to call.
    assert!(user.next(&messages, &[]).tool_calls.is_empty());
    let call = user.next(&messages, &tools);
    assert_eq!(
        (call.role, call.tool_calls[0].name.as_str()),
        (Role::User, "toggle_airplane_mode")
    );
    messages.extend([call, Message::tool_result("", "mode: off")]);
    let report = user.next(&messages, &tools);
    assert!(
        report.tool_calls.is_empty() && report.content.contains("mode: off"),
        "{report:?}"
    );
    // Asked again, it has done so, and says nothing of a call.
    messages.extend([report, says("Please switch airplane mode off.")]);
    assert!(user.next(&messages, &tools).tool_calls.is_empty());
}

#[test]
fn a_question_for_a_fact_that_has_a_word_of_the_next_call_is_answered_and_no_request_for_the_call()
{
    let tools = [ToolSpec {
        name: "move_device_closer".into(),
        description: String::new(),
        parameters: json!({"type": "object"}),
    }];
    let task: Task = serde_json::from_value(json!({
        "id": "t", "gold": [{"name": "move_device_closer", "arguments": {"device": "dev_7f3a"}}], "outputs": ["stronger"],
        "user": {"opening": "It is slow.", "facts": [
            {"name": "device", "value": "dev_7f3a", "held": true, "asked": ["device"], "answer": "it is dev_7f3a."}]}
    }))
    .unwrap();
    let user = ScriptedUser::new(&task, ERROR_TEXT);
    let mut messages = vec![Message::user("It is slow."), says("Which device is it?")];
    let told = user.next(&messages, &tools);
    assert!(
        told.tool_calls.is_empty() && told.content == "it is dev_7f3a.",
        "{told:?}"
    );
    // Once it is told, the same word asks for the call.
    messages.extend([told, says("Can you move the device closer to the router?")]);
    assert_eq!(user.next(&messages, &tools).tool_calls.len(), 1);
}

#[test]
fn a_report_of_its_own_call_is_due_after_the_call_also_when_the_agent_was_idle_before() {
    let task: Task = serde_json::from_value(json!({
        "id": "t", "user": {"opening": "No bars."}, "outputs": ["fixed"],
        "gold": [{"name": "read_led", "arguments": {}}, {"name": "toggle_power", "arguments": {}}]
    }))
    .unwrap();
    let own = |name: &str| Message {
        role: Role::User,
        ..called(name, json!({}))
    };
    let messages = [
        Message::user("No bars."),
        says("Please read led."),
        own("read_led"),
        Message::tool_result("", "off"),
        Message::user("I did that. It says: off"),
        says("Please toggle power."),
        own("toggle_power"),
        Message::tool_result("", "green"),
    ];
    assert_eq!(due(&task, ERROR_TEXT, &messages), Due::GoOn(Vec::new()));
    assert_eq!(
        due(&task, ERROR_TEXT, &messages[..4]),
        Due::GoOn(Vec::new())
    );
    assert!(
        crate::judge_user(&task, ERROR_TEXT, &messages, "I did that. It says: green").is_empty()
    );
}

#[test]
fn a_call_has_failed_when_its_result_is_worded_as_the_domain_words_a_failure() {
    let renewed = |wording: &str, result: &str| {
        let mut messages = vec![Message::user("please renew my membership.")];
        let [mut look, mut renew] = renewal();
        look.tool_calls[0].id = "1".into();
        renew.tool_calls[0].id = "2".into();
        let looked = Message::tool_result("1", "ok");
        messages.extend([look, looked, renew, Message::tool_result("2", result)]);
        messages.push(says("it is renewed."));
        ScriptedUser::new(&task(), wording).reply(&messages).done
    };
    assert!(renewed("Failed: {} (sorry)", "ok"));
    assert!(!renewed(
        "Failed: {} (sorry)",
        "Failed: a fee is unpaid (sorry)"
    ));
    // The words of other domains are a result like any other.
    assert!(renewed(
        "Failed: {} (sorry)",
        "Error: 0 of 12 months are left to pay"
    ));
    for usual in [ERROR_TEXT, "{}"] {
        assert!(!renewed(usual, "error: a fee is unpaid"));
        assert!(!renewed(usual, "Error: a fee is unpaid"));
    }
}
