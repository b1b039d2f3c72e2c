//! Demonstrations with other words in their openings, where a template has few wordings. One wording of each branch is kept for
//! evaluation; where there are few, that tells a policy which branch it is not, and it learns that instead of reading
//! results. An opening whose words are dropped, exchanged and added to, but for topic and facts, tells nothing of the kind.

use std::collections::BTreeSet;

use agoge_dialogue::{Message, Role};
use agoge_learner::shuffle::mix;
use agoge_world::{Domain, Task};

use super::suite::Instance;

/// Templates with fewer wordings are blurred.
const FEW: usize = 8;
/// Of so many openings one stays as it is.
const CLEAR: u64 = 4;

/// The words of openings that may stand for each other.
#[derive(Debug, Default)]
pub struct Words {
    words: Vec<String>,
    templates: BTreeSet<String>,
}

impl Words {
    /// Collects the words of these demonstrations' openings.
    pub fn of(domain: &Domain, demonstrations: &[&Instance]) -> Self {
        let few = domain.templates.iter().filter(|t| t.wordings.len() < FEW);
        let templates: BTreeSet<String> = few.map(|template| template.name.clone()).collect();
        let topics = domain.templates.iter().flat_map(|template| &template.topic);
        let topics: BTreeSet<String> = topics.map(|word| word.to_lowercase()).collect();
        let mut words = BTreeSet::new();
        for one in demonstrations {
            if templates.contains(&one.task.template) {
                let kept = kept(&one.task);
                let opening = one.messages.iter().find(|m| m.role == Role::User);
                let text = opening.map_or("", |message| message.content.as_str());
                let free = |word: &str| {
                    let word = word.to_lowercase();
                    !kept.contains(&word) && !topics.contains(&word)
                };
                let plain = pieces(text).filter(|(word, plain)| *plain && free(word));
                words.extend(plain.map(|(word, _)| word.to_owned()));
            }
        }
        Self {
            words: words.into_iter().collect(),
            templates,
        }
    }

    /// Blurs the words of a dialogue's opening, a function of it and the key alone. Words of the topic and of facts stay.
    pub fn blur(&self, task: &Task, messages: &mut [Message], key: u64) {
        let key = mix(key, 0xb1, 0);
        if !self.templates.contains(&task.template)
            || self.words.is_empty()
            || key.is_multiple_of(CLEAR)
        {
            return;
        }
        let Some(opening) = messages.iter_mut().find(|m| m.role == Role::User) else {
            return;
        };
        let kept = kept(task);
        let mut out = String::with_capacity(opening.content.len());
        for (at, (piece, plain)) in (0u64..).zip(pieces(&opening.content)) {
            let other = |which: u64| {
                let index = mix(key, at, which) % self.words.len() as u64;
                self.words.get(index as usize).map_or("", String::as_str)
            };
            let chance = mix(key, at, 1) % 8;
            match (plain && !kept.contains(&piece.to_lowercase()), chance) {
                (true, 0 | 1) => {}
                (true, 2 | 3) => out.push_str(other(2)),
                (true, 4) => out.extend([piece, " ", other(2)]),
                (true, 5) => out.extend([other(2), " ", other(3)]),
                (false, 0..4) if piece.contains(char::is_whitespace) => out.push(' '),
                _ => out.push_str(piece),
            }
        }
        opening.content = out;
    }
}

/// The words of a task that say what is wanted, in small letters: its topic, the values of its facts, and the values that they
/// could have.
fn kept(task: &Task) -> BTreeSet<String> {
    let facts = task.user.facts.iter();
    let values = facts.flat_map(|fact| {
        let told = std::iter::once(&fact.value).chain(&fact.parts);
        told.chain(&fact.choices)
    });
    let texts = values.chain(&task.user.topic);
    let words = texts.flat_map(|text| pieces(text));
    words.map(|(word, _)| word.to_lowercase()).collect()
}

/// The pieces of a text, and for each true when it is a word of letters that no sign but an apostrophe joins to others.
fn pieces(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let inside = |c: char| c.is_alphanumeric() || "-_'/@.:".contains(c);
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let word = inside(first);
        let end = rest.find(|c: char| inside(c) != word).unwrap_or(rest.len());
        let (mut piece, _) = rest.split_at(end);
        if word {
            // The sign that ends a sentence is a piece of its own.
            let trimmed = piece.trim_end_matches(['.', ':', '\'', '-']);
            piece = if trimmed.is_empty() { piece } else { trimmed };
        }
        rest = &rest[piece.len()..];
        let letters = |c: char| c.is_alphabetic() || c == '\'';
        Some((piece, word && piece.chars().all(letters)))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use agoge_world::Split;

    use super::*;

    #[test]
    fn words_are_exchanged_but_for_topic_and_facts_and_only_where_wordings_are_few() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/courier/domain");
        let mut domain = Domain::load(Path::new(dir)).unwrap();
        let task: Task = serde_json::from_value(serde_json::json!({
            "id": "t", "template": "hold", "branch": "hold/short", "gold": [], "user": {
                "topic": ["keep"], "facts": [{"name": "parcel", "value": "LN-7 blue", "held": false, "asked": [], "answer": ""}],
            },
        }))
        .unwrap();
        let opening = "Hello there, please keep LN-7 blue, \"thanks\" a lot.";
        let instance = Instance {
            task: task.clone(),
            split: Split::TrainSft,
            strategy: "template".into(),
            messages: vec![Message::user(opening), Message::assistant("Hello there.")],
        };
        let many = Words::of(&domain, &[&instance]);
        for template in &mut domain.templates {
            template.wordings.truncate(3);
        }
        let few = Words::of(&domain, &[&instance]);
        let mut changed = 0;
        for key in 0..200 {
            let mut messages = instance.messages.clone();
            many.blur(&task, &mut messages, key);
            assert_eq!(messages, instance.messages);
            few.blur(&task, &mut messages, key);
            let text = &messages[0].content;
            changed += usize::from(text != opening);
            let kept: Vec<&str> = text.split_whitespace().collect();
            let at = kept.iter().position(|word| *word == "keep").unwrap();
            assert!(
                kept[at + 1] == "LN-7" && kept[at + 2].starts_with("blue"),
                "{text}"
            );
            assert_eq!(messages[1], instance.messages[1]);
        }
        assert!((120..160).contains(&changed), "{changed}");
    }
}
