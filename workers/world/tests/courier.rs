//! The courier domain's tasks and users: what is kept apart is apart, what is rare is rare, and the user does what it is told.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use agoge_dialogue::{Message, Role, ToolCall};
use agoge_sandbox::Limits;
use agoge_world::{
    Domain, Episode, FaultKind, Mix, Split, Task, TemplateError, World, demonstrate, judge_user,
    more, possible, tasks,
};
use serde_json::json;

/// The wording of failed calls in this domain.
const ERROR_TEXT: &str = "error: {}";

fn world() -> World {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
    World::open(Arc::new(Domain::load(&dir).unwrap()), Limits::default()).unwrap()
}

fn drawn(world: &mut World, split: Split, mix: Mix, n: usize) -> Vec<Task> {
    tasks(world, split, mix, 7, n).unwrap()
}

/// Every five-digit id that a task speaks of: records, addresses.
fn ids(tasks: &[Task]) -> BTreeSet<String> {
    let text = serde_json::to_string(tasks).unwrap();
    let runs = text.split(|c: char| !c.is_ascii_digit());
    runs.filter(|run| run.len() == 5)
        .map(str::to_owned)
        .collect()
}

fn combinations(tasks: &[Task]) -> BTreeSet<(String, String, String)> {
    tasks
        .iter()
        .map(|t| (t.intent.clone(), t.condition.clone(), t.wording.clone()))
        .collect()
}

#[test]
fn splits_share_no_record_no_combination_and_no_unseen_template() {
    let world = &mut world();
    let sft = drawn(world, Split::TrainSft, Mix::Natural, 500);
    let rl = drawn(world, Split::TrainRl, Mix::EvenBranches, 800);
    let heldout = drawn(world, Split::Heldout, Mix::EvenBranches, 500);
    let unseen = drawn(world, Split::Unseen, Mix::EvenBranches, 100);
    for (a, b) in [
        (&sft, &rl),
        (&sft, &heldout),
        (&rl, &heldout),
        (&sft, &unseen),
        (&rl, &unseen),
    ] {
        assert_eq!(
            ids(a).intersection(&ids(b)).collect::<Vec<_>>(),
            Vec::<&String>::new()
        );
    }
    let trained: BTreeSet<_> = combinations(&sft)
        .union(&combinations(&rl))
        .cloned()
        .collect();
    assert!(trained.is_disjoint(&combinations(&heldout)));
    // Nothing of a held-out combination is new but the combination: branch and wording are both trained.
    for (intent, condition, wording) in combinations(&heldout) {
        assert!(
            trained
                .iter()
                .any(|(i, c, _)| (i, c) == (&intent, &condition)),
            "{intent} {condition}"
        );
        assert!(
            trained
                .iter()
                .any(|(i, _, w)| (i, w) == (&intent, &wording)),
            "{intent} {wording}"
        );
    }
    let of = |tasks: &[Task]| {
        tasks
            .iter()
            .map(|t| t.template.clone())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        of(&unseen),
        BTreeSet::from(["return".to_owned(), "where".to_owned()])
    );
    assert!(
        [&sft, &rl, &heldout]
            .into_iter()
            .all(|tasks| of(tasks).is_disjoint(&of(&unseen)))
    );
}

#[test]
fn corners_are_rare_in_the_natural_mix_and_branches_even_in_the_other() {
    let world = &mut world();
    for n in [40, 300, 512] {
        let sft = drawn(world, Split::TrainSft, Mix::Natural, n);
        let corners = sft.iter().filter(|t| t.corner).count();
        assert!(
            corners > 0 && corners as f64 <= 0.15 * n as f64,
            "{corners} of {n}"
        );
    }
    for (split, n) in [(Split::Heldout, 200), (Split::TrainRl, 700)] {
        let even = drawn(world, split, Mix::EvenBranches, n);
        let refusals = even.iter().filter(|t| t.refusal).count();
        assert!(
            refusals > 0 && refusals as f64 <= 0.15 * n as f64,
            "{refusals} of {n}"
        );
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        even.iter()
            .filter(|t| !t.refusal)
            .for_each(|t| *counts.entry(&t.branch).or_default() += 1);
        let (least, most) = (
            counts.values().min().unwrap(),
            counts.values().max().unwrap(),
        );
        assert!(most - least <= 1, "{counts:?}");
        let branches: usize = world
            .domain()
            .templates
            .iter()
            .filter(|t| !t.unseen)
            .map(|t| t.branches.len())
            .sum();
        let refusing: BTreeSet<&str> = even
            .iter()
            .filter(|t| t.refusal)
            .map(|t| t.branch.as_str())
            .collect();
        assert_eq!(counts.len() + refusing.len(), branches);
    }
}

#[test]
fn as_many_different_tasks_are_drawn_as_there_are_said_to_be_and_no_more() {
    let world = &mut world();
    for (split, mix) in [
        (Split::TrainRl, Mix::EvenBranches),
        (Split::TrainSft, Mix::Natural),
    ] {
        let n = possible(world, split, mix);
        println!("{split:?} {mix:?}: {n}");
        let all = drawn(world, split, mix, n);
        let mut seen = BTreeSet::new();
        for task in &all {
            let request = task
                .refusal
                .then(|| (&task.intent, task.user.facts().collect::<Vec<_>>()));
            let what = serde_json::to_string(&(&task.gold, &task.outputs, request)).unwrap();
            assert!(seen.insert(what), "{} is drawn twice", task.id);
        }
        assert_eq!(all.iter().map(|t| &t.id).collect::<BTreeSet<_>>().len(), n);
        let error = tasks(world, split, mix, 7, n + 1).unwrap_err();
        assert!(
            matches!(error, TemplateError::TooMany { possible, .. } if possible == n),
            "{error}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_tasks_and_more_of_a_branch_goes_on_where_they_end() {
    let world = &mut world();
    let once = drawn(world, Split::TrainRl, Mix::EvenBranches, 120);
    assert_eq!(once, drawn(world, Split::TrainRl, Mix::EvenBranches, 120));
    assert_ne!(
        once,
        tasks(world, Split::TrainRl, Mix::EvenBranches, 8, 120).unwrap()
    );
    let had: Vec<&Task> = once.iter().filter(|t| t.branch == "cancel/cash").collect();
    let domain = world.domain().clone();
    let next = more(&domain, Split::TrainRl, 7, "cancel/cash", had.len(), 5).unwrap();
    assert_eq!(next.len(), 5);
    assert!(
        next.iter()
            .all(|t| t.branch == "cancel/cash" && !had.contains(&t))
    );
}

#[test]
fn the_scripted_user_makes_no_fault_in_five_hundred_held_out_dialogues() {
    let world = &mut world();
    let mut turns = 0;
    for task in drawn(world, Split::Heldout, Mix::EvenBranches, 500) {
        assert!(
            task.user.instruction.len() < 80,
            "too long for a small user model: {}",
            task.user.instruction
        );
        let messages = demonstrate(world, &task).unwrap().messages;
        for (n, message) in messages
            .iter()
            .enumerate()
            .filter(|(_, m)| m.role == Role::User)
        {
            turns += 1;
            let faults = judge_user(&task, ERROR_TEXT, &messages[..n], &message.content);
            assert_eq!(faults, [], "{}: {:?}", task.id, message.content);
        }
    }
    assert!(turns > 1000);
}

#[test]
fn the_judge_tells_every_kind_of_fault() {
    let world = &mut world();
    let all = drawn(world, Split::Heldout, Mix::EvenBranches, 300);
    let task = all
        .iter()
        .find(|t| t.template == "retry" && t.wording.starts_with("bareSlot"))
        .unwrap();
    let (parcel, slot) = (&task.user.facts[0].value, &task.user.facts[1].value);
    let other = ["am", "pm", "eve"].into_iter().find(|s| s != slot).unwrap();
    let kinds = |before: &[Message], turn: &str| {
        judge_user(task, ERROR_TEXT, before, turn)
            .into_iter()
            .map(|fault| fault.kind)
            .collect::<Vec<_>>()
    };
    let opening = format!("please deliver parcel {parcel} again.");
    assert_eq!(kinds(&[], &opening), []);
    assert_eq!(
        kinds(
            &[],
            &format!("please deliver parcel {parcel} again, slot {slot}.")
        ),
        [FaultKind::Leaked]
    );
    assert_eq!(
        kinds(&[], "please deliver parcel 11111 again.")[0],
        FaultKind::InventedFact
    );
    assert!(
        kinds(&[], &format!("please cancel parcel {parcel}."))
            .contains(&FaultKind::BrokeInstruction)
    );
    assert!(kinds(&[], "###").contains(&FaultKind::StoppedEarly));
    assert_eq!(kinds(&[], " "), [FaultKind::BrokeInstruction]);
    let asked = [
        Message::user(&opening),
        Message::assistant("which slot do you want?"),
    ];
    assert_eq!(kinds(&asked, &format!("{slot} please.")), []);
    assert!(kinds(&asked, &format!("{other} please.")).contains(&FaultKind::InventedFact));
    assert_eq!(kinds(&asked, "yes."), [FaultKind::BrokeInstruction]);
    assert!(kinds(&asked, "thanks. ###").contains(&FaultKind::StoppedEarly));
    let mut told = vec![Message::user(&opening)];
    told.extend(
        task.gold
            .iter()
            .map(|call| Message::calls(vec![call.clone()])),
    );
    told.push(Message::assistant(&task.agent.answer));
    assert_eq!(kinds(&told, "thanks. ###"), []);
    assert_eq!(kinds(&told, "and then?"), [FaultKind::BrokeInstruction]);
    // Before the task is finished it may go on.
    let begun = [Message::user(&opening), Message::assistant("one moment.")];
    assert_eq!(kinds(&begun, "yes, ok."), []);
}

#[test]
fn episodes_share_the_data_and_see_only_their_own_changes() {
    let world = &mut world();
    let domain = world.domain().clone();
    let fresh = Episode::default();
    let all = drawn(world, Split::TrainRl, Mix::EvenBranches, 60);
    let task = all.iter().find(|t| t.branch == "cancel/card").unwrap();
    let one = demonstrate(world, task).unwrap().episode;
    let parcel = &task.user.facts[0].value;
    let changes = one.diff(&domain);
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(
        (changes[0].id.as_str(), changes[0].field.as_str()),
        (parcel.as_str(), "status")
    );
    assert_eq!(
        (&changes[0].before, &changes[0].after),
        (&json!("new"), &json!("cancelled"))
    );
    assert_ne!(one.fingerprint(&domain), fresh.fingerprint(&domain));
    // Another episode of the same world sees the data as they were; so does the one that failed to change them.
    let mut other = Episode::default();
    let arguments = json!({"parcel": parcel}).as_object().unwrap().clone();
    let found = world.call(&mut other, &ToolCall::new("find", arguments.clone()));
    assert!(found.content.starts_with("status=new"), "{}", found.content);
    let failed = world.call(&mut other, &ToolCall::new("back", arguments));
    assert!(failed.error && !failed.killed, "{failed:?}");
    assert_eq!(other.fingerprint(&domain), fresh.fingerprint(&domain));
    // The same end by another way is the same state.
    let mut again = other.clone();
    for call in &task.gold {
        world.call(&mut again, call);
    }
    assert_eq!(again.fingerprint(&domain), one.fingerprint(&domain));
}
