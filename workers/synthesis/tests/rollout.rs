//! Episodes with scripted models at the table, on the courier domain.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agoge_checker::{Cause, Judge};
use agoge_dialogue::{Message, Role, ToolCall};
use agoge_llm::{Client, Endpoint, LlmError, Meter, Request};
use agoge_sandbox::Limits;
use agoge_synthesis::rollout::{Players, Rollout, Settings, User};
use agoge_world::{DONE, Domain, End, Mix, SandboxBackend, Split, Task, World, tasks};
use parking_lot::Mutex;
use serde_json::json;

fn world() -> World {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
    World::open(Arc::new(Domain::load(&dir).unwrap()), Limits::default()).unwrap()
}

/// A task whose user tells everything at once and whose gold acts.
fn task(world: &mut World) -> Task {
    let all = tasks(world, Split::TrainRl, Mix::EvenBranches, 3, 60).unwrap();
    all.into_iter()
        .find(|t| !t.refusal && t.gold.len() == 2 && t.user.facts.iter().all(|f| !f.held))
        .unwrap()
}

fn fenced(call: &ToolCall) -> String {
    let call = serde_json::json!({"name": call.name, "arguments": call.arguments});
    format!("I see.\n```json\n{call}\n```")
}

/// An agent that makes these calls one a turn, then says the answer.
fn agent(calls: Vec<ToolCall>, answer: String) -> Client {
    let script = move |_: &str, request: &Request| {
        let results = request
            .messages
            .iter()
            .filter(|m| m.content.starts_with("Result of"))
            .count();
        calls.get(results).map_or_else(|| answer.clone(), fenced)
    };
    Client::scripted(Arc::new(Meter::default()), script).unwrap()
}

fn user(script: fn(&Request) -> String) -> Client {
    Client::scripted(Arc::new(Meter::default()), move |_, request| {
        script(request)
    })
    .unwrap()
}

async fn played(
    world: World,
    task: &Task,
    agent: &Client,
    user: User<'_>,
) -> Result<Rollout, LlmError> {
    let players = Players {
        backend: &SandboxBackend::new(world),
        judge: &Mutex::new(Judge::new()),
        agent,
        user,
        settings: &Settings::default(),
    };
    players.play(task, "item").await
}

async fn episode(world: World, task: &Task, agent: &Client, user: User<'_>) -> Rollout {
    played(world, task, agent, user).await.unwrap()
}

#[tokio::test]
async fn gold_in_fenced_calls_passes_and_its_dialogue_has_calls_and_results() {
    let mut world = world();
    let task = task(&mut world);
    let agent = agent(task.gold.clone(), task.agent.answer.clone());
    let rollout = episode(world, &task, &agent, User::Scripted).await;
    assert!(rollout.passed(), "{:?} {:?}", rollout.end, rollout.verdict);
    assert_eq!(rollout.cause(&task, None), None);
    let kinds: Vec<(&str, bool)> = rollout
        .messages
        .iter()
        .map(|m| (m.role.name(), !m.tool_calls.is_empty()))
        .collect();
    let call = [("assistant", true), ("tool", false)];
    let expected = [
        &[("user", false)],
        &call[..],
        &call[..],
        &[("assistant", false), ("user", false)],
    ]
    .concat();
    assert_eq!(kinds, expected);
    assert!(rollout.agent.tokens() > 0 && rollout.user.calls == 0);
}

#[tokio::test]
async fn an_agent_that_only_says_so_failed_itself() {
    let mut world = world();
    let task = task(&mut world);
    let agent = agent(vec![], task.agent.answer.clone());
    let rollout = episode(world, &task, &agent, User::Scripted).await;
    assert_eq!(rollout.reward(), Some(0.0));
    assert_eq!(rollout.cause(&task, None).unwrap().0, Cause::Trajectory);
}

#[tokio::test]
async fn a_user_model_that_leaves_at_once_is_its_own_fault_and_it_sees_no_tools() {
    let mut world = world();
    let task = task(&mut world);
    let agent = agent(task.gold.clone(), task.agent.answer.clone());
    let leaves = user(|_| format!("Never mind. {DONE}"));
    let rollout = episode(world, &task, &agent, User::Model(&leaves)).await;
    assert_eq!(rollout.cause(&task, None).unwrap().0, Cause::User);

    let mut world = self::world();
    let task = self::task(&mut world);
    let talks = user(|request| {
        let system = &request.messages[0].content;
        assert!(
            request
                .messages
                .iter()
                .all(|m| m.tool_calls.is_empty() && !m.content.contains("Result of"))
        );
        match request.messages[1].content.matches("Customer:").count() {
            0 => system.lines().last().unwrap_or_default().to_owned(),
            _ => format!("Thank you. {DONE}"),
        }
    });
    let rollout = episode(world, &task, &agent, User::Model(&talks)).await;
    assert_eq!(rollout.end, End::Closed);
    assert!(rollout.verdict.as_ref().unwrap().pass && rollout.user.calls == 2);
}

/// An agent that announces itself, then makes the gold calls and says the answer.
fn announcing(task: &Task) -> Client {
    let (calls, answer) = (task.gold.clone(), task.agent.answer.clone());
    let script = move |_: &str, request: &Request| {
        let turns = request
            .messages
            .iter()
            .filter(|m| m.role.name() == "assistant");
        match turns.count().checked_sub(1) {
            None => "One moment, I am looking into it.".to_owned(),
            Some(number) => calls.get(number).map_or_else(|| answer.clone(), fenced),
        }
    };
    Client::scripted(Arc::default(), script).unwrap()
}

#[tokio::test]
async fn the_scripted_user_stays_at_an_announcement_and_a_model_that_leaves_there_is_to_blame() {
    let mut world = world();
    let task = task(&mut world);
    let agent = announcing(&task);
    let rollout = episode(world, &task, &agent, User::Scripted).await;
    assert!(rollout.passed(), "{:?} {:?}", rollout.end, rollout.messages);
    assert_eq!(rollout.user_faults, []);

    let leaves = user(
        |request| match request.messages[1].content.matches("Customer:").count() {
            0 => request.messages[0]
                .content
                .lines()
                .last()
                .unwrap_or_default()
                .to_owned(),
            _ => DONE.to_owned(),
        },
    );
    let rollout = episode(self::world(), &task, &agent, User::Model(&leaves)).await;
    let early = matches!(&rollout.end, End::User(why) if why.contains("had not finished"));
    assert!(early, "{:?}", rollout.end);
    assert_eq!((rollout.reward(), rollout.passed()), (None, false));
    assert_eq!(rollout.cause(&task, None).unwrap().0, Cause::User);
}

#[tokio::test]
async fn unreadable_calls_are_told_once_and_then_end_it() {
    let mut world = world();
    let task = task(&mut world);
    let agent = Client::scripted(Arc::default(), |_, _| {
        "```json\n{\"name\": \"find\", \"arguments\": [1]}\n```".into()
    });
    let rollout = episode(world, &task, &agent.unwrap(), User::Scripted).await;
    assert!(matches!(rollout.end, End::Nonsense(_)), "{:?}", rollout.end);
    assert!(rollout.messages.contains(&Message::tool_result(
        "",
        "error: the arguments of `find` are not an object of names and values"
    )));
}

#[tokio::test]
async fn words_beside_calls_count_and_neither_reasoning_nor_an_empty_turn_goes_back() {
    let mut world = world();
    let task = task(&mut world);
    let (calls, answer) = (task.gold.clone(), task.agent.answer.clone());
    let agent = Client::scripted(Arc::default(), move |_, request| {
        let own = request
            .messages
            .iter()
            .filter(|m| m.role == Role::Assistant);
        for message in own {
            assert!(!message.content.trim().is_empty(), "an empty turn");
            assert!(!message.content.contains("think"), "{}", message.content);
        }
        let heard = |beginning: &str| {
            let begins = |m: &&Message| m.content.starts_with(beginning);
            request.messages.iter().filter(begins).count()
        };
        let turn = match calls.get(heard("Result of")) {
            _ if heard("error: the agent said nothing") == 0 => String::new(),
            Some(call) if heard("Result of") + 1 == calls.len() => {
                format!("{answer}\n{}", fenced(call))
            }
            Some(call) => fenced(call),
            None => "Have a good day.".to_owned(),
        };
        format!("<think>I may {{look}} first.</think>\n{turn}")
    });
    let rollout = episode(world, &task, &agent.unwrap(), User::Scripted).await;
    assert!(rollout.passed(), "{:?} {:?}", rollout.end, rollout.verdict);
    let said: Vec<&Message> = rollout
        .messages
        .iter()
        .filter(|m| m.role == Role::Assistant)
        .collect();
    let beside = format!("{}\nI see.", task.agent.answer);
    assert_eq!(
        (said[0].content.as_str(), &said[1].content),
        ("I see.", &beside)
    );
    for message in said {
        assert_eq!(message.reasoning.as_deref(), Some("I may {look} first."));
    }
}

#[tokio::test]
async fn calls_of_another_form_are_read_and_unread_ones_are_warned_about() {
    let mut world = world();
    let task = task(&mut world);
    let (calls, answer) = (task.gold.clone(), task.agent.answer.clone());
    let agent = Client::scripted(Arc::default(), move |_, request| {
        let results = request
            .messages
            .iter()
            .filter(|m| m.content.starts_with("Result of"));
        match calls.get(results.count()) {
            Some(call) => format!("[TOOL_CALLS]{}[ARGS]{}", call.name, json!(call.arguments)),
            None => answer.clone(),
        }
    });
    let rollout = episode(world, &task, &agent.unwrap(), User::Scripted).await;
    assert!(
        rollout.passed() && rollout.unread.is_none(),
        "{:?}",
        rollout.end
    );

    let agent = Client::scripted(Arc::default(), |_, _| "to=functions.find {}".to_owned());
    let rollout = episode(self::world(), &task, &agent.unwrap(), User::Scripted).await;
    let warning = rollout.unread.unwrap();
    assert!(
        warning.contains("to=functions.find") && warning.contains("--native-calls"),
        "{warning}"
    );
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_an_error_and_no_verdict() {
    let mut world = world();
    let task = task(&mut world);
    let gone = Endpoint {
        patience: Duration::ZERO,
        ..Endpoint::new("http://127.0.0.1:9")
    };
    let gone = Client::new(gone, Arc::default()).unwrap();
    let error = played(world, &task, &gone, User::Scripted)
        .await
        .unwrap_err();
    assert!(error.is_final() && error.is_passing(), "{error}");
}
