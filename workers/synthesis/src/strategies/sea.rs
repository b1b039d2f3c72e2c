//! The strategy `sea`: a model writes scenario, gold actions and checker; each is validated against the executable domain.
//! Failures are attributed, reflection proposes a child of the plan pair, and figures decide whether it replaces its parent.
//!
//! The answers of a plan are never completed by code.

use agoge_artifacts::Gate;
use agoge_crds::shared::Part as Role;
use agoge_dialogue::ToolCall;
use agoge_llm::{Answer, Format};
use agoge_sandbox::{Change, Source, lint};
use agoge_world::{AgentScript, Domain, Fact, Task, UserScript, mentions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::answers::{self, object_schema};
use crate::context::PromptContext;
use crate::conversation::{Conversation, PartRequest};
use crate::cx::Cx;
use crate::plan::{Plan, PlanPair, PlanPart, fill};
use crate::rollout::tool_list;
use crate::strategy::{Product, Qualified, Stop, Strategy};

/// The parameters of `sea`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Sea {
    /// Rollouts after each pilot, at most; each plays one valid instance. Unset: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub rollouts: Option<u32>,
}

/// A scenario as the model wrote it.
struct Scenario {
    wants: String,
    opening: String,
    facts: Vec<(String, String)>,
}

/// Gold calls, what must be said, and what the calls change.
struct Gold {
    calls: Vec<ToolCall>,
    say: Vec<String>,
    changes: Vec<Change>,
}

/// The parts of an instance that reflection can change a prompt for.
const PARTS: [PlanPart; 3] = [
    PlanPart::synthesis("request", "scenario", Gate::Scenario),
    PlanPart::synthesis("calls", "gold", Gate::Gold),
    PlanPart::evaluation("checker", "checker", Gate::Checker),
];

impl Strategy for Sea {
    const NAME: &'static str = "sea";
    const SUMMARY: &'static str =
        "A model writes scenario, gold actions and checker; plan pairs evolve.";
    type Shared = ();

    fn roles() -> &'static [Role] {
        &[Role::Writer, Role::Agent, Role::User, Role::Reflector]
    }

    fn plan() -> Option<Plan> {
        Some(Plan {
            built_in: PlanPair::of(
                &[
                    ("system", include_str!("sea/system.md")),
                    ("scenario", include_str!("sea/scenario.md")),
                    ("gold", include_str!("sea/gold.md")),
                    ("again", include_str!("sea/again.md")),
                ],
                &[("checker", include_str!("sea/checker.md"))],
            ),
            reflection: include_str!("sea/reflect.md"),
            parts: &PARTS,
        })
    }

    fn rollouts(&self) -> usize {
        self.rollouts.unwrap_or(3) as usize
    }

    async fn prepare(&self, _cx: &mut Cx) -> Result<(), Stop> {
        Ok(())
    }

    async fn attempt(&self, cx: &mut Cx, (): &()) -> Result<Product, Stop> {
        let domain = cx.domain().clone();
        let context = PromptContext::choose(&domain, cx.seed(), cx.item().number);
        // Every item begins with the same text, so that an endpoint's prompt cache reads it once.
        let tools = tool_list(&domain.tools);
        let system = fill(cx.synthesis("system"), &[("tools", &tools)]);
        let mut writer = Conversation::new(&system, cx.synthesis("again"));

        let values = [
            ("rules", context.rules.as_str()),
            ("records", &context.records),
        ];
        let seed = context.seed.as_ref().map_or_else(String::new, |opening| {
            fill(include_str!("sea/seed.md"), &[("opening", opening)])
        });
        let request = PartRequest {
            name: "request",
            max_tokens: 140,
            prompt: fill(cx.synthesis("scenario"), &values) + seed.trim_end(),
            format: Format::Schema(scenario_schema()),
        };
        let read = |_: &Cx, answer: &Answer| scenario(&domain, answer);
        let scenario = writer.part(cx, request, read).await?;

        cx.at(Gate::Gold);
        let words = context.bold_words();
        let request = PartRequest {
            name: "calls",
            max_tokens: 160,
            prompt: fill(cx.synthesis("gold"), &[("words", &words)]),
            format: Format::Schema(gold_schema(&domain)),
        };
        let read = |cx: &Cx, answer: &Answer| gold(cx, &domain, &scenario, answer);
        let gold = writer.part(cx, request, read).await?;

        cx.at(Gate::Checker);
        let task = task(&cx.item().id, &context, &scenario, &gold);
        let (changes, count) = (
            answers::changes_in_words(&gold.changes),
            gold.changes.len().to_string(),
        );
        let values = [("changes", changes.as_str()), ("count", &count)];
        let request = PartRequest {
            name: "checker",
            max_tokens: 200,
            prompt: fill(cx.evaluation("checker"), &values),
            format: Format::Text,
        };
        let read = |cx: &Cx, answer: &Answer| checker(cx, &task, answer);
        let task = writer.part(cx, request, read).await?;
        Ok(Product::Task(task))
    }
}

/// Names and types for endpoints that hold a model to a schema, and no value.
fn scenario_schema() -> serde_json::Value {
    let text = json!({"type": "string"});
    let knows = json!({"type": "object", "additionalProperties": text});
    let properties = json!({"wants": text, "knows": knows, "opening": text});
    object_schema(&properties, &["wants", "knows", "opening"])
}

fn gold_schema(domain: &Domain) -> serde_json::Value {
    let say = json!({"type": "array", "items": {"type": "string"}, "maxItems": 3});
    let calls = answers::calls_schema(&domain.tools);
    object_schema(&json!({"calls": calls, "say": say}), &["calls", "say"])
}

/// Reads a scenario that names an existing record, in the user's own words.
fn scenario(domain: &Domain, answer: &Answer) -> Result<Scenario, String> {
    answers::object(answer, |map| {
        let wants = answers::text(map, "wants")?;
        let opening = answers::text(map, "opening")?;
        if opening.chars().count() > 240 {
            return Err("the opening is longer than 240 characters".into());
        }
        let facts = answers::facts(map, "knows")?;
        if !facts.iter().any(|(_, value)| answers::is_id(domain, value)) {
            return Err("knows names no id of a record".into());
        }
        Ok(Scenario {
            wants,
            opening,
            facts,
        })
    })
}

/// Reads gold calls that execute, with ids that the agent can know and with what must be said.
fn gold(cx: &Cx, domain: &Domain, scenario: &Scenario, answer: &Answer) -> Result<Gold, String> {
    let (calls, say) = answers::object(answer, |map| {
        let calls = answers::calls(domain, map.get("calls"))?;
        Ok((calls, answers::outputs(map.get("say"))?))
    })?;
    let episode = cx.execute(&calls).map_err(|e| e.to_string())?;
    let facts = scenario.facts.iter().map(|(_, value)| value.as_str());
    let known: Vec<&str> = facts.chain([scenario.opening.as_str()]).collect();
    answers::grounded(domain, &known, &episode.calls)?;
    let changes = episode.diff(domain);
    if changes.is_empty() && say.is_empty() {
        return Err(
            "the calls change nothing and nothing must be said, so nothing can be checked".into(),
        );
    }
    Ok(Gold {
        calls,
        say,
        changes,
    })
}

/// Reads a checker that the sandbox can run and that qualifies.
fn checker(cx: &Cx, task: &Task, answer: &Answer) -> Result<Qualified, String> {
    let source = answers::python(answer)?;
    if let Some(problem) = lint(&source, Source::Checker).first() {
        return Err(problem.to_string());
    }
    let mut task = task.clone();
    task.checker = Some(source);
    cx.qualify(task)
}

fn task(id: &str, context: &PromptContext, scenario: &Scenario, gold: &Gold) -> Task {
    let facts = scenario.facts.iter();
    let known: Vec<String> = facts
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let instruction = format!(
        "The customer wants: {}.\nThe customer knows: {}.\nThe first line: {}",
        scenario.wants,
        known.join(", "),
        scenario.opening
    );
    let fact = |(name, value): &(String, String)| Fact {
        name: name.clone(),
        value: value.clone(),
        held: !mentions(&scenario.opening, value),
        ..Fact::default()
    };
    let facts = scenario.facts.iter().map(fact).collect();
    let path: Vec<&str> = gold.calls.iter().map(|call| call.name.as_str()).collect();
    Task {
        id: id.into(),
        template: String::new(),
        intent: context.topic.clone(),
        condition: String::new(),
        wording: String::new(),
        branch: path.join("+"),
        corner: false,
        // A refusal of the policy is, for its checker, a task without changes in which something must be said.
        refusal: false,
        user: UserScript::of_facts(&instruction, &scenario.opening, facts),
        agent: AgentScript::default(),
        gold: gold.calls.clone(),
        outputs: gold.say.clone(),
        ..Task::default()
    }
}
