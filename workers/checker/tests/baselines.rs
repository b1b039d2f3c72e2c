//! Agents that know nothing score next to nothing on courier's held-out tasks: what is above that was learnt.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use agoge_checker::Judge;
use agoge_dialogue::Message;
use agoge_sandbox::Limits;
use agoge_world::{Domain, Episode, Mix, ScriptedUser, Split, Task, World, baseline, tasks};

/// Turns of one dialogue.
const TURNS: usize = 12;

/// Plays an agent without a model against the scripted user; passed when the user closed and every checker agrees.
fn passes(
    world: &mut World,
    judge: &mut Judge,
    task: &Task,
    agent: &dyn Fn(&[Message]) -> Message,
) -> bool {
    let user = ScriptedUser::new(task, &world.domain().error_text);
    let mut messages = vec![Message::user(&user.open())];
    let mut episode = Episode::default();
    for _ in 0..TURNS {
        let said = agent(&messages);
        messages.push(said.clone());
        for call in &said.tool_calls {
            let result = world.call(&mut episode, call);
            messages.push(Message::tool_result(&call.id, &result.content));
        }
        if !said.tool_calls.is_empty() {
            continue;
        }
        let turn = user.reply(&messages);
        messages.push(Message::user(&turn.text));
        if turn.done {
            return judge.check(world, task, &episode, &messages).pass;
        }
    }
    false
}

#[test]
fn empty_random_and_always_refuse_each_pass_at_most_fifteen_in_a_hundred_held_out_tasks() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
    let domain = Arc::new(Domain::load(&dir).unwrap());
    let mut world = World::open(domain.clone(), Limits::default()).unwrap();
    let all = tasks(&mut world, Split::Heldout, Mix::EvenBranches, 7, 200).unwrap();
    let mut judge = Judge::new();
    let mut share = |name: &str, agent: &dyn Fn(&Task, &[Message]) -> Message| {
        let passed = all
            .iter()
            .filter(|t| passes(&mut world, &mut judge, t, &|m| agent(t, m)));
        let share = passed.count() as f64 / all.len() as f64;
        println!("{name}: {share}");
        share
    };
    assert_eq!(share("empty", &|_, _| baseline::empty()), 0.0);
    assert!(share("random", &|t, m| baseline::random(&domain, t, m, 1)) <= 0.15);
    let refusing = share("alwaysRefuse", &|_, _| baseline::always_refuse(&domain));
    // It passes what is a refusal, and nothing else.
    assert!(refusing > 0.0 && refusing <= 0.15, "{refusing}");
}
