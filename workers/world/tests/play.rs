//! The episode loop: its ends, its rules for unusable messages, and its independence of where tools live.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use agoge_dialogue::{Message, Role, ToolCall, ToolSpec};
use agoge_sandbox::Limits;
use agoge_world::{
    Capabilities, DONE, Domain, End, Fault, Mix, Party, Played, Rules, SandboxBackend, Script,
    ScriptedUser, Session, Speaker, Split, StateView, Task, ToolBackend, ToolResult, Turn, View,
    World, demonstrate, play, tasks,
};
use async_trait::async_trait;
use serde_json::{Map, json};

fn world() -> World {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
    World::open(Arc::new(Domain::load(&dir).unwrap()), Limits::default()).unwrap()
}

/// A task whose gold acts.
fn task(world: &mut World) -> Task {
    let all = tasks(world, Split::TrainRl, Mix::EvenBranches, 3, 60).unwrap();
    all.into_iter()
        .find(|t| t.gold.len() == 2 && t.user.facts.iter().all(|f| !f.held))
        .unwrap()
}

/// A speaker that takes these turns, then closes or says a word.
struct Turns(VecDeque<Result<Turn, Fault>>);

impl Turns {
    fn of(turns: impl IntoIterator<Item = Turn>) -> Self {
        Self(turns.into_iter().map(Ok).collect())
    }
}

#[async_trait(?Send)]
impl Speaker for Turns {
    async fn turn(&mut self, _: View<'_>) -> Result<Turn, Fault> {
        self.0.pop_front().unwrap_or_else(|| Ok(says("hm")))
    }
}

fn says(text: &str) -> Turn {
    Turn::Message(Message::assistant(text))
}

fn calls(names: &[&str]) -> Turn {
    let calls = names.iter().map(|name| ToolCall::new(name, Map::new()));
    Turn::Message(Message::calls(calls.collect()))
}

fn unreadable() -> Turn {
    Turn::Malformed {
        text: Some("{".into()),
        reason: "it ends too early".into(),
    }
}

/// Tools that live nowhere: `look` works, `gone` is unreachable, `slow` is stopped.
struct Elsewhere(Vec<ToolSpec>);

impl Elsewhere {
    fn new() -> Self {
        let spec = |name: &str| ToolSpec {
            name: name.into(),
            description: String::new(),
            parameters: json!({"type": "object"}),
        };
        Self(["look", "gone", "slow"].map(spec).into())
    }
}

#[async_trait(?Send)]
impl Session for Elsewhere {
    fn tools(&self, party: Party) -> &[ToolSpec] {
        match party {
            Party::Agent => &self.0,
            Party::User => &[],
        }
    }

    async fn call(&mut self, _: Party, call: &ToolCall) -> Result<ToolResult, Fault> {
        match call.name.as_str() {
            "look" => Ok(ToolResult {
                content: "seen".into(),
                ..ToolResult::default()
            }),
            "gone" => Err(Fault::Infra("connection refused".into())),
            "slow" => Ok(ToolResult {
                killed: true,
                ..ToolResult::error("time limit")
            }),
            name => Ok(ToolResult::error(format!("there is no tool `{name}`"))),
        }
    }

    async fn state(&mut self) -> Result<Option<StateView>, Fault> {
        Ok(None)
    }
}

/// A backend of such tools, whose state lies elsewhere, too.
struct Remote(Vec<ToolSpec>);

#[async_trait(?Send)]
impl ToolBackend for Remote {
    fn capabilities(&self) -> Capabilities {
        Capabilities::REPLAY
    }

    fn tools(&self, _: Party) -> &[ToolSpec] {
        &self.0
    }

    async fn open(&self, _: &Task) -> Result<Box<dyn Session + '_>, Fault> {
        Ok(Box::new(Elsewhere::new()))
    }
}

async fn against(user: Turns, agent: impl IntoIterator<Item = Turn>, rules: &Rules) -> Played {
    let mut user = user;
    play(
        &mut Elsewhere::new(),
        &mut Turns::of(agent),
        &mut user,
        rules,
    )
    .await
}

/// Plays the agent's turns against a user that only says "hm".
async fn ended(agent: impl IntoIterator<Item = Turn>, rules: &Rules) -> End {
    against(Turns::of([]), agent, rules).await.end
}

#[tokio::test]
async fn gold_by_the_loop_is_the_demonstration_with_its_state() {
    let mut world = world();
    let task = task(&mut world);
    let shown = demonstrate(&mut world, &task).unwrap();
    let backend = SandboxBackend::new(&mut world);
    let needed = Capabilities::REPLAY.and(Capabilities::DIFF);
    assert!(backend.capabilities().has(needed) && backend.tools(Party::User).is_empty());
    let mut session = backend.open(&task).await.unwrap();
    let mut gold = Script(|view: View<'_>| {
        let results = view
            .messages
            .iter()
            .filter(|m| m.role == Role::Tool)
            .count();
        match task.gold.get(results) {
            Some(call) => Message::calls(vec![call.clone()]),
            None => Message::assistant(&task.agent.answer),
        }
    });
    let mut user = ScriptedUser::new(&task, &backend.domain().error_text);
    let played = play(session.as_mut(), &mut gold, &mut user, &Rules::default()).await;
    assert_eq!(
        (&played.end, played.turns, played.calls),
        (&End::Closed, 3, 2)
    );
    assert_eq!(played.messages, shown.messages);
    let state = session.state().await.unwrap().unwrap();
    assert_eq!(state.diff, shown.episode.diff(backend.domain()));
    let episode = session.episode().unwrap();
    assert_eq!(episode.overlay, shown.episode.overlay);
}

#[test]
fn a_backend_that_shows_no_state_is_refused_by_name_where_an_episode_is_judged() {
    let judging = Capabilities::DIFF.and(Capabilities::REPLAY);
    let refused = Remote(Vec::new()).require("scoring", judging).unwrap_err();
    assert_eq!(refused.missing, ["diff"]);
    assert_eq!(
        refused.to_string(),
        "scoring needs abilities that this tool backend lacks: diff; use a domain whose tools run in the sandbox"
    );
    let backend = SandboxBackend::new(world());
    assert_eq!(backend.require("scoring", judging), Ok(()));
}

#[test]
fn a_demonstration_names_the_first_thing_that_goes_wrong() {
    let mut world = world();
    let good = task(&mut world);
    let mut error = |change: fn(&mut Task)| {
        let mut task = good.clone();
        change(&mut task);
        demonstrate(&mut world, &task).unwrap_err().to_string()
    };
    let failed = error(|task| task.gold[1].name = "fly".into());
    assert!(failed.starts_with("call 2 (fly): "), "{failed}");
    let open = error(|task| task.agent.answer = "what is your name?".into());
    assert!(open.contains("does not end the dialogue"), "{open}");
    let early = error(|task| task.user.opening.push_str(DONE));
    assert_eq!(early, "the opening closes the dialogue");
}

#[tokio::test]
async fn a_fork_keeps_its_own_state() {
    let mut world = world();
    let task = task(&mut world);
    let backend = SandboxBackend::new(&mut world);
    let mut first = backend.session(&task).unwrap();
    for call in &task.gold {
        first.call(Party::Agent, call).await.unwrap();
    }
    let fork = first.clone();
    first.call(Party::Agent, &task.gold[0]).await.unwrap();
    let (first, fork) = (first.into_episode(), fork.into_episode());
    assert_eq!((first.calls.len(), fork.calls.len()), (3, 2));
}

#[tokio::test]
async fn unusable_messages_end_an_episode_as_the_rules_say() {
    let (second, first) = (Rules::default(), Rules::training(12, 64, 300));
    let nonsense = |end: End| matches!(end, End::Nonsense(_));
    // Under the rules of training the first unreadable message ends it; an unknown tool is an error like any other.
    assert!(nonsense(ended([unreadable()], &first).await));
    assert_eq!(
        ended((0..12).map(|_| calls(&["fly"])), &first).await,
        End::TurnLimit
    );
    // Under the default the second in a row does, whichever way it is unusable.
    for pair in [
        [unreadable(), unreadable()],
        [unreadable(), calls(&["fly"])],
        [calls(&["fly"]), calls(&["fly", "sail"])],
    ] {
        assert!(nonsense(ended(pair, &second).await));
    }
    // A usable message between them is a fresh start: text, or calls of which one exists.
    for between in [says("hm"), calls(&["fly", "look"])] {
        let turns = [unreadable(), between, unreadable(), says("hm")];
        assert_eq!(ended(turns, &second).await, End::TurnLimit);
    }
    let played = against(Turns::of([]), [unreadable(), says("hm")], &second).await;
    assert_eq!(played.messages[2].content, "error: it ends too early");
}

#[tokio::test]
async fn a_fault_names_its_party_and_has_no_reward() {
    let rules = Rules::default();
    for (turn, reason) in [
        (calls(&["gone"]), "connection refused"),
        (calls(&["slow"]), "slow was stopped: error: time limit"),
    ] {
        assert_eq!(ended([turn], &rules).await, End::Infra(reason.into()));
    }
    for turn in [says(" "), unreadable(), Turn::Truncated, calls(&["look"])] {
        let played = against(Turns::of([turn]), [], &rules).await;
        assert!(matches!(played.end, End::User(_)), "{:?}", played.end);
        assert_eq!((played.end.reward(true), played.messages.len()), (None, 0));
    }
    let down = Turns([Err(Fault::Infra("endpoint down".into()))].into());
    let played = against(down, [], &rules).await;
    assert_eq!(played.end, End::Infra("endpoint down".into()));
}

#[tokio::test]
async fn only_a_closed_episode_that_passes_has_reward_1() {
    let rules = Rules::default();
    let closes = || Turns::of([says("hello"), says(DONE)]);
    let played = against(closes(), [calls(&["look", "fly"]), says("done")], &rules).await;
    assert_eq!((played.turns, played.calls, played.failed_calls), (2, 2, 1));
    let ids: Vec<_> = played
        .messages
        .iter()
        .filter_map(|m| m.tool_call_id.clone())
        .collect();
    assert_eq!(ids, ["1", "2"]);
    assert_eq!(
        (played.end.reward(true), played.end.reward(false)),
        (Some(1.0), Some(0.0))
    );
    for end in [
        ended([Turn::Truncated], &rules).await,
        ended([], &rules).await,
    ] {
        assert_eq!(end.reward(true), Some(0.0), "{end:?}");
    }
}
