//! The typed stages of one instance: scenario, gold, checker. The model writes each; the executable domain validates it.
//!
//! Nothing the model left out is filled in: what does not read, does not execute or does not qualify is told back once,
//! while the instance has tokens left, and else ends the attempt at that gate with its reason.

use std::borrow::BorrowMut;

use agoge_checker::{Plausible, Thresholds, qualify_among};
use agoge_dialogue::{CallError, Message, ToolCall};
use agoge_llm::{Answer, Client, Finish, Format, LlmError, Request, Spent, json_in_text};
use agoge_sandbox::{Change, Source, lint};
use agoge_world::{Domain, Fact, SandboxBackend, Task, UserScript, World, mentions, replay};
use serde_json::{Map, Value, json};

use super::look::Look;
use crate::instance::{Draft, Gate};
use crate::plan::{PlanPair, fill};
use crate::rollout::tool_list;

/// Fewer tokens than this are not worth a question.
const LEAST: u32 = 24;
/// The most that one answer of a stage may have.
const MOST: [(&str, u32); 3] = [("request", 140), ("calls", 160), ("checker", 200)];
/// Sampling temperature of a second answer at least: at a low one it is the first one again.
const AGAIN: f64 = 0.8;
/// The longest text that an agent can be required to say, in characters and words.
const LONGEST_OUTPUT: (usize, usize) = (24, 3);

/// Who writes one instance, for whom, with what.
pub(super) struct Writer<'a, W> {
    pub world: &'a SandboxBackend<W>,
    pub client: &'a Client,
    pub plan: &'a PlanPair,
    pub plausible: &'a Plausible,
    pub thresholds: &'a Thresholds,
    pub seed: u64,
    pub temperature: f64,
    /// Generated tokens of the instance, over all stages.
    pub tokens: u32,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Written {
    /// The gate it came to: `Novelty` when all three stages are done.
    pub gate: Gate,
    /// Why it came no further.
    pub reason: Option<String>,
    /// Whether an endpoint was why.
    pub infra: bool,
    /// The task, once it is whole.
    pub task: Option<Task>,
    /// What the model wrote.
    pub drafts: Vec<Draft>,
    /// What it cost.
    pub spent: Spent,
}

/// Why a stage gave nothing.
enum Stop {
    /// What the model wrote is not right.
    Wrong(String),
    /// The endpoint failed.
    Infra(String),
    /// Nothing more can be asked.
    Final(LlmError),
}

/// A scenario as the model wrote it.
struct Scenario {
    wants: String,
    opening: String,
    facts: Vec<(String, String)>,
}

struct Gold {
    calls: Vec<ToolCall>,
    say: Vec<String>,
    changes: Vec<Change>,
}

impl<W: BorrowMut<World>> Writer<'_, W> {
    /// Writes the instance `id`.
    ///
    /// # Errors
    /// When nothing more can be asked at all.
    pub async fn write(&self, id: &str, look: &Look) -> Result<Written, LlmError> {
        let domain = { self.world.domain().clone() };
        let tools = tool_list(&domain.tools);
        let system = fill(&self.plan.synthesis.system, &[("tools", &tools)]);
        let mut talk = Talk {
            id,
            writer: self,
            messages: vec![Message::system(&system)],
            left: self.tokens,
            written: Written {
                gate: Gate::Scenario,
                reason: None,
                infra: false,
                task: None,
                drafts: Vec::new(),
                spent: Spent::default(),
            },
        };
        match talk.stages(&domain, look).await {
            Ok(()) => talk.written.gate = Gate::Novelty,
            Err(Stop::Wrong(reason)) => talk.written.reason = Some(reason),
            Err(Stop::Infra(reason)) => {
                talk.written.reason = Some(reason);
                talk.written.infra = true;
            }
            Err(Stop::Final(error)) => return Err(error),
        }
        Ok(talk.written)
    }
}

/// The conversation of one instance: one growing prompt, so that each stage reads only what is new.
struct Talk<'a, W> {
    id: &'a str,
    writer: &'a Writer<'a, W>,
    messages: Vec<Message>,
    left: u32,
    written: Written,
}

impl<W: BorrowMut<World>> Talk<'_, W> {
    async fn stages(&mut self, domain: &Domain, look: &Look) -> Result<(), Stop> {
        let plan = self.writer.plan;
        let asked = fill(
            &plan.synthesis.scenario,
            &[("rules", &look.rules), ("records", &look.records)],
        );
        let scenario = self
            .stage(domain, 0, asked, |_, answer| scenario(domain, answer))
            .await?;

        self.written.gate = Gate::Gold;
        let words = outcome_words(&look.rules);
        let asked = fill(&plan.synthesis.gold, &[("words", &words)]);
        let gold = self
            .stage(domain, 1, asked, |talk, answer| {
                talk.gold(domain, &scenario, answer)
            })
            .await?;

        self.written.gate = Gate::Checker;
        let mut task = task(self.id, look, &scenario, &gold);
        let asked = fill(
            &plan.evaluation.checker,
            &[
                ("changes", &told(&gold.changes)),
                ("count", &gold.changes.len().to_string()),
            ],
        );
        let source = self
            .stage(domain, 2, asked, |talk, answer| talk.checker(&task, answer))
            .await?;
        task.checker = Some(source);
        self.written.task = Some(task);
        Ok(())
    }

    /// Asks for a part, and once more with what was wrong while there are tokens. The wrong answer is not shown again: a
    /// small model copies what it has said before.
    async fn stage<T>(
        &mut self,
        domain: &Domain,
        stage: usize,
        asked: String,
        read: impl Fn(&Self, &Answer) -> Result<T, String>,
    ) -> Result<T, Stop> {
        let (name, most) = MOST[stage];
        let mut wrong: Option<String> = None;
        let format = forms(domain, stage);
        for attempt in 0..2u64 {
            if self.left < LEAST {
                let limit = format!(
                    "the {} tokens of an instance are used up",
                    self.writer.tokens
                );
                let reason = wrong.map_or_else(|| limit.clone(), |why| format!("{why} - {limit}"));
                return Err(Stop::Wrong(reason));
            }
            let again = wrong.as_ref().map_or_else(String::new, |why| {
                let part = (stage + 1).to_string();
                let again = &self.writer.plan.synthesis.again;
                format!("\n\n{}", fill(again, &[("reason", why), ("part", &part)]))
            });
            self.messages
                .push(Message::user(&format!("{asked}{again}")));
            let answer = self.ask(name, most, format.clone(), attempt).await?;
            match read(self, &answer) {
                Ok(value) => {
                    self.messages.push(Message::assistant(&answer.text));
                    return Ok(value);
                }
                Err(why) => {
                    self.messages.pop();
                    wrong = Some(why);
                }
            }
        }
        Err(Stop::Wrong(wrong.unwrap_or_default()))
    }

    async fn ask(
        &mut self,
        name: &str,
        most: u32,
        format: Format,
        attempt: u64,
    ) -> Result<Answer, Stop> {
        let writer = self.writer;
        let seed = super::look::draw(&[&writer.seed.to_string(), self.id, name]) >> 21;
        let request = Request {
            temperature: match attempt {
                0 => writer.temperature,
                _ => writer.temperature.max(AGAIN),
            },
            format,
            seed: Some(seed + attempt),
            ..Request::new(self.messages.clone(), most.min(self.left))
        };
        let item = format!("{}/{name}", self.id);
        let answer = match writer.client.ask(&item, &request).await {
            Ok(answer) => answer,
            Err(error) if error.is_final() => return Err(Stop::Final(error)),
            Err(error) => return Err(Stop::Infra(error.to_string())),
        };
        let generated = u32::try_from(answer.usage.completion).unwrap_or(u32::MAX);
        self.left = self.left.saturating_sub(generated);
        let usd = writer.client.cost(&answer.usage);
        self.written.spent.add(&answer.usage, usd);
        self.written.drafts.push(Draft {
            stage: name.into(),
            text: answer.text.clone(),
        });
        Ok(answer)
    }

    /// Gold: calls that execute, of ids that the agent can know, with what must be said.
    fn gold(&self, domain: &Domain, scenario: &Scenario, answer: &Answer) -> Result<Gold, String> {
        let map = object(answer)?;
        let calls = calls(domain, map.get("calls"))?;
        let say = outputs(map.get("say"))?;
        let mut world = self.writer.world.lock();
        let world: &mut World = (*world).borrow_mut();
        let episode = replay(world, &calls).map_err(|e| e.to_string())?;
        grounded(domain, scenario, &episode.calls)?;
        let changes = episode.diff(domain);
        if changes.is_empty() && say.is_empty() {
            return Err(
                "the calls change nothing and nothing must be said, so nothing can be checked"
                    .into(),
            );
        }
        Ok(Gold {
            calls,
            say,
            changes,
        })
    }

    /// The checker: Python that the sandbox can run and that qualifies.
    fn checker(&self, task: &Task, answer: &Answer) -> Result<String, String> {
        let source = python(answer)?;
        if let Some(problem) = lint(&source, Source::Checker).first() {
            return Err(problem.to_string());
        }
        let task = Task {
            checker: Some(source.clone()),
            ..task.clone()
        };
        let writer = self.writer;
        let mut world = writer.world.lock();
        let found = qualify_among(
            (*world).borrow_mut(),
            &task,
            writer.plausible,
            writer.seed,
            writer.thresholds,
        );
        if found.qualified {
            Ok(source)
        } else {
            Err(found.why())
        }
    }
}

/// The words in bold of a policy's section, each once.
fn outcome_words(rules: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in rules.split("**").skip(1).step_by(2) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    if words.is_empty() {
        "a value of the record".into()
    } else {
        words.join(", ")
    }
}

/// The form of a stage's JSON, for endpoints that hold a model to a schema: names and types, and no value.
fn forms(domain: &Domain, stage: usize) -> Format {
    let text = || json!({"type": "string"});
    let object = |properties: Value, required: &[&str]| json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    match stage {
        0 => Format::Schema(object(
            json!({"wants": text(), "knows": {"type": "object", "additionalProperties": text()}, "opening": text()}),
            &["wants", "knows", "opening"],
        )),
        1 => {
            let call = |tool: &agoge_dialogue::ToolSpec| {
                object(
                    json!({"name": {"const": tool.name}, "arguments": tool.parameters}),
                    &["name", "arguments"],
                )
            };
            let calls: Vec<Value> = domain.tools.iter().map(call).collect();
            let calls =
                json!({"type": "array", "items": {"anyOf": calls}, "minItems": 1, "maxItems": 4});
            let say = json!({"type": "array", "items": text(), "maxItems": 3});
            Format::Schema(object(
                json!({"calls": calls, "say": say}),
                &["calls", "say"],
            ))
        }
        _ => Format::Text,
    }
}

fn object(answer: &Answer) -> Result<Map<String, Value>, String> {
    let cut = answer.finish == Finish::Length;
    match json_in_text(&answer.text, cut)
        .map_err(|e| e.to_string())?
        .value
    {
        Value::Object(map) => Ok(map),
        _ => Err("the JSON must be one object".into()),
    }
}

fn text(map: &Map<String, Value>, name: &str) -> Result<String, String> {
    match map.get(name) {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => Err(format!("{name} is missing or no text")),
    }
}

/// A scenario that names a record there is, in the user's own words.
fn scenario(domain: &Domain, answer: &Answer) -> Result<Scenario, String> {
    let map = object(answer)?;
    let (wants, opening) = (text(&map, "wants")?, text(&map, "opening")?);
    if opening.chars().count() > 240 {
        return Err("the opening is longer than 240 characters".into());
    }
    let Some(Value::Object(knows)) = map.get("knows") else {
        return Err("knows is missing or no object".into());
    };
    let mut facts = Vec::new();
    for (name, value) in knows {
        let value = match value {
            Value::String(value) => value.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return Err(format!("knows.{name} must be a text or a number")),
        };
        // Nothing known says nothing.
        if !value.is_empty() {
            facts.push((name.clone(), value));
        }
    }
    if !facts.iter().any(|(_, value)| is_id(domain, value)) {
        return Err("knows names no id of a record".into());
    }
    Ok(Scenario {
        wants,
        opening,
        facts,
    })
}

fn is_id(domain: &Domain, text: &str) -> bool {
    domain
        .state
        .collections()
        .any(|collection| domain.state.get(collection, text).is_some())
}

fn calls(domain: &Domain, value: Option<&Value>) -> Result<Vec<ToolCall>, String> {
    let Some(Value::Array(items)) = value else {
        return Err("calls is missing or no list".into());
    };
    if items.is_empty() {
        return Err("calls is empty".into());
    }
    let read = |item: &Value| {
        let name = item
            .get("name")
            .and_then(Value::as_str)
            .ok_or(CallError::NoName)?;
        match item.get("arguments") {
            Some(Value::Object(arguments)) => Ok(ToolCall::new(name, arguments.clone())),
            _ => Err(CallError::Arguments(name.into())),
        }
    };
    let calls: Result<Vec<ToolCall>, CallError> = items.iter().map(read).collect();
    let calls = calls.map_err(|e| e.to_string())?;
    match calls.iter().find(|call| domain.tool(&call.name).is_none()) {
        Some(call) => Err(format!("there is no tool {}", call.name)),
        None => Ok(calls),
    }
}

fn outputs(value: Option<&Value>) -> Result<Vec<String>, String> {
    let items = match value {
        None => return Err("say is missing".into()),
        Some(Value::Array(items)) => items.as_slice(),
        Some(_) => return Err("say is no list".into()),
    };
    let mut say = Vec::new();
    for item in items {
        let output = match item {
            Value::String(text) => text.trim().trim_matches('*').to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return Err("say must hold words and numbers".into()),
        };
        let (chars, words) = LONGEST_OUTPUT;
        if output.is_empty() {
            return Err("say holds an empty text".into());
        }
        if output.chars().count() > chars || output.split_whitespace().count() > words {
            return Err(format!(
                "say holds a sentence, {output:?}, not a word or number"
            ));
        }
        say.push(output);
    }
    Ok(say)
}

/// Every text argument with digits is something that the agent was told or shown before it called.
fn grounded(
    domain: &Domain,
    scenario: &Scenario,
    calls: &[(ToolCall, agoge_world::ToolResult)],
) -> Result<(), String> {
    let mut known: Vec<&str> = scenario
        .facts
        .iter()
        .map(|(_, value)| value.as_str())
        .collect();
    known.push(&scenario.opening);
    for (n, (call, result)) in calls.iter().enumerate() {
        for (name, value) in &call.arguments {
            let Some(text) = value.as_str() else { continue };
            let given = text.chars().any(|c| c.is_ascii_digit()) || is_id(domain, text);
            if given && !known.iter().any(|known| known.contains(text)) {
                return Err(format!(
                    "call {} ({}): the agent cannot know {name} {text}; no look-up before shows it, and the customer does not say it",
                    n + 1,
                    call.name
                ));
            }
        }
        known.push(&result.content);
    }
    Ok(())
}

/// Changes in words, as checkers see them.
fn told(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "nothing".into();
    }
    let each: Vec<String> = changes
        .iter()
        .map(|c| {
            format!(
                "{}/{} {}: {} -> {}",
                c.collection, c.id, c.field, c.before, c.after
            )
        })
        .collect();
    each.join("; ")
}

/// The program in an answer: its first fence, or what begins with `def` or an import.
fn python(answer: &Answer) -> Result<String, String> {
    if answer.finish == Finish::Length {
        return Err("the checker was cut off by its token limit".into());
    }
    let text = answer.text.trim();
    let source = match text.split("```").nth(1) {
        Some(fence) => fence.trim_start_matches("python").trim(),
        None => text,
    };
    if source.contains("def check(") {
        Ok(format!("{source}\n"))
    } else {
        Err("there is no function check in the answer".into())
    }
}

fn task(id: &str, look: &Look, scenario: &Scenario, gold: &Gold) -> Task {
    let known: Vec<String> = scenario
        .facts
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let instruction = format!(
        "The customer wants: {}.\nThe customer knows: {}.\nThe first line: {}",
        scenario.wants,
        known.join(", "),
        scenario.opening
    );
    let facts = scenario
        .facts
        .iter()
        .map(|(name, value)| Fact {
            name: name.clone(),
            value: value.clone(),
            held: !mentions(&scenario.opening, value),
            ..Fact::default()
        })
        .collect();
    let path: Vec<&str> = gold.calls.iter().map(|call| call.name.as_str()).collect();
    Task {
        id: id.into(),
        template: String::new(),
        intent: look.topic.clone(),
        condition: String::new(),
        wording: String::new(),
        branch: path.join("+"),
        corner: false,
        // A refusal of the policy is, for its checker, a task without changes in which something must be said.
        refusal: false,
        user: UserScript::of_facts(&instruction, &scenario.opening, facts),
        agent: agoge_world::AgentScript::default(),
        gold: gold.calls.clone(),
        outputs: gold.say.clone(),
        checker: None,
    }
}
