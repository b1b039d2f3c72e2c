//! Rows as attempts and seeds.

use std::collections::HashSet;

use agoge_artifacts::{Attempt, Gate};
use agoge_checker::with_derived_refusal;
use agoge_dialogue::{Message, Role, ToolCall};
use agoge_digest::Digest;
use agoge_world::{DONE, Domain, Lost, Seed, Split, Task, UserScript, World};

use super::load::Loaded;
use super::replay::{Failed, replay};
use super::report::{Report, Why};
use super::validate::{Sound, validate};
use super::{Given, Reader, reader_of};

/// The strategy that imported attempts name.
const STRATEGY: &str = "import";

/// The outcome of an import.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// Dialogues, as attempts that were accepted. All are in the split trainSft.
    pub attempts: Vec<Attempt>,
    /// Seeds.
    pub seeds: Vec<Seed>,
    /// The counts, and the refused rows with their reasons.
    pub report: Report,
}

/// An import into one domain.
pub struct Importer<'a> {
    domain: &'a Domain,
    world: Option<&'a mut World>,
    taken: Taken,
    /// The digests of what was taken.
    seen: HashSet<Digest>,
}

impl<'a> Importer<'a> {
    /// Begins an import. With a world, calls are made again and their results compared.
    #[must_use]
    pub fn new(domain: &'a Domain, world: Option<&'a mut World>) -> Self {
        let report = Report {
            domain: domain.name.clone(),
            domain_digest: domain.digest.clone(),
            replayed: world.is_some(),
            ..Report::default()
        };
        Self {
            domain,
            world,
            taken: Taken {
                report,
                ..Taken::default()
            },
            seen: HashSet::new(),
        }
    }

    /// Takes rows, by a reader or by the form that each row has.
    ///
    /// # Errors
    /// [`Lost`]: the sandbox gave no result, so that nothing is known about the dialogue.
    pub fn take(mut self, rows: &[Loaded], by: Option<&'static dyn Reader>) -> Result<Taken, Lost> {
        let mut read: Vec<(&str, Given, bool)> = Vec::new();
        for loaded in rows {
            let report = &mut self.taken.report;
            report.rows = report.rows.saturating_add(1);
            let row = match &loaded.row {
                Ok(row) => row,
                Err(reason) => {
                    report.refuse(&loaded.place, Why::Form, reason.clone());
                    continue;
                }
            };
            let Some(reader) = by.or_else(|| reader_of(row)) else {
                let names: Vec<&str> = super::READERS.iter().map(|reader| reader.name()).collect();
                let reason = format!("it has the form of none of {}", names.join(", "));
                report.refuse(&loaded.place, Why::Form, reason);
                continue;
            };
            let count = report.forms.entry(reader.name().to_owned()).or_default();
            *count = count.saturating_add(1);
            match reader.read(row, self.domain) {
                Ok(given) => read.push((loaded.place.as_str(), given, reader.by_turn())),
                Err(reason) => report.refuse(&loaded.place, Why::Form, reason),
            }
        }
        let beginnings = beginnings(&read);
        for (place, given, by_turn) in read {
            let part = by_turn
                && last_digest(&given.messages).is_some_and(|own| beginnings.contains(&own));
            if part {
                let parts = &mut self.taken.report.parts;
                *parts = parts.saturating_add(1);
                continue;
            }
            self.one(place, given)?;
        }
        self.taken.report.taken = self.taken.attempts.len();
        self.taken.report.seeds = self.taken.seeds.len();
        Ok(self.taken)
    }

    /// Takes one row.
    fn one(&mut self, place: &str, given: Given) -> Result<(), Lost> {
        let id = given.id.clone().unwrap_or_else(|| place.to_owned());
        let spoken = given
            .messages
            .iter()
            .any(|message| message.role == Role::Assistant);
        if !spoken {
            match seed(&id, &given) {
                Some(seed) => self.taken.seeds.push(seed),
                None => {
                    let reason = "neither side says anything".to_owned();
                    self.taken.report.refuse(place, Why::Form, reason);
                }
            }
            return Ok(());
        }
        match self.attempt(&id, &given) {
            Ok((attempt, sound)) => {
                let report = &mut self.taken.report;
                let count = |all: &mut usize, is: bool| *all = all.saturating_add(usize::from(is));
                count(&mut report.other_system, sound.other_system);
                count(&mut report.greetings, sound.greeting);
                self.taken.seeds.extend(seed(&id, &given));
                self.taken.attempts.push(attempt);
                Ok(())
            }
            Err(Failed::Wrong((why, reason))) => {
                self.taken.report.refuse(place, why, reason);
                Ok(())
            }
            Err(Failed::Lost(lost)) => Err(lost),
        }
    }

    fn attempt(&mut self, id: &str, given: &Given) -> Result<(Attempt, Sound), Failed> {
        if let Some(reward) = given.reward.filter(|reward| *reward < 1.0) {
            let reason =
                format!("its reward is {reward}; only dialogues that succeeded are learned from");
            return Err(Failed::Wrong((Why::Reward, reason)));
        }
        let sound = validate(self.domain, &given.messages).map_err(Failed::Wrong)?;
        let known = Digest::of_json(&sound.messages).ok();
        if known.is_some_and(|digest| !self.seen.insert(digest)) {
            let reason = "the same dialogue was taken before".to_owned();
            return Err(Failed::Wrong((Why::Duplicate, reason)));
        }
        let task = self.task(id, given, &sound.messages)?;
        let attempt = Attempt {
            id: id.to_owned(),
            strategy: STRATEGY.into(),
            generation: 0,
            plan: None,
            gate: Gate::Accepted,
            reason: None,
            cause: None,
            split: Split::TrainSft,
            task: Some(task),
            messages: sound.messages.clone(),
            verdict: None,
            tokens: 0,
            drafts: Vec::new(),
        };
        Ok((attempt, sound))
    }

    /// Returns the task that a dialogue shows the solution of: its calls that worked are the gold.
    fn task(&mut self, id: &str, given: &Given, messages: &[Message]) -> Result<Task, Failed> {
        let gold = match &mut self.world {
            Some(world) => replay(world, messages)?,
            None => calls(messages),
        };
        let names: Vec<&str> = gold.iter().map(|call| call.name.as_str()).collect();
        let own = given.task.clone().unwrap_or_default();
        let task = Task {
            id: id.to_owned(),
            intent: STRATEGY.into(),
            branch: names.join("+"),
            refusal: gold.is_empty(),
            user: UserScript::of_facts(&said(messages), opening(messages), Vec::new()),
            gold,
            ..own
        };
        let Some(world) = &mut self.world else {
            return Ok(task);
        };
        match with_derived_refusal(world, &task) {
            Ok(task) => Ok(task),
            Err(agoge_world::GoldError::Lost(lost)) => Err(Failed::Lost(lost)),
            Err(error) => Err(Failed::Wrong((Why::Replay, error.to_string()))),
        }
    }
}

/// Returns the digests of everything that a dialogue of one row a turn begins with, itself left out.
fn beginnings(read: &[(&str, Given, bool)]) -> HashSet<Digest> {
    let mut found = HashSet::new();
    for (_, given, _) in read.iter().filter(|(_, _, by_turn)| *by_turn) {
        let mut all = digests(&given.messages);
        all.pop();
        found.extend(all);
    }
    found
}

fn last_digest(messages: &[Message]) -> Option<Digest> {
    digests(messages).pop()
}

/// Returns a digest of each beginning of a dialogue.
fn digests(messages: &[Message]) -> Vec<Digest> {
    let mut before = String::new();
    let mut all = Vec::with_capacity(messages.len());
    for message in messages {
        let own = serde_json::to_string(message).unwrap_or_default();
        let digest = Digest::of(format!("{before}\n{own}").as_bytes());
        before = digest.to_string();
        all.push(digest);
    }
    all
}

/// Returns the calls of both sides, without their ids.
fn calls(messages: &[Message]) -> Vec<ToolCall> {
    let all = messages.iter().flat_map(|message| &message.tool_calls);
    all.map(|call| ToolCall::new(&call.name, call.arguments.clone()))
        .collect()
}

/// Returns the user's first words.
fn opening(messages: &[Message]) -> &str {
    let mut users = messages.iter().filter(|message| message.role == Role::User);
    users.next().map_or("", |message| message.content.as_str())
}

/// Returns all that the user says, one turn a line.
fn said(messages: &[Message]) -> String {
    let users = messages.iter().filter(|message| message.role == Role::User);
    let texts = users.map(|message| message.content.replace(DONE, ""));
    let texts: Vec<String> = texts
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .collect();
    texts.join("\n")
}

/// Returns the seed of a row; `None` where no user says anything.
fn seed(id: &str, given: &Given) -> Option<Seed> {
    let (opening, instruction) = match &given.task {
        Some(task) => (task.user.opening.clone(), task.user.instruction.clone()),
        None => (opening(&given.messages).to_owned(), said(&given.messages)),
    };
    let called = match &given.task {
        Some(task) => task.gold.clone(),
        None => calls(&given.messages),
    };
    let seed = Seed {
        id: id.to_owned(),
        opening,
        instruction,
        tools: called.into_iter().map(|call| call.name).collect(),
    };
    (!seed.instruction.is_empty()).then_some(seed)
}
