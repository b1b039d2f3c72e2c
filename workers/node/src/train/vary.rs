//! Demonstrations with other values that are as good. Results in JSON show whole records; a policy that sees the same few
//! again and again learns by them which answer is right. Seen with another price, title and debt in every epoch, each on
//! the same side of what the templates ask, they teach it to read what the answer depends on; and a word that the user
//! chose is seldom the one it was before, so that it has to be copied.

use agoge_dialogue::{Message, Role};
use agoge_learner::shuffle::mix;
use agoge_world::{Alike, Task};
use serde_json::{Map, Value};

/// Returns the dialogue of a task with other values in the fields of its results, other words that its user chose, and both
/// in texts that say them: a function of it and the key alone. One without results in JSON stays as it is.
pub fn varied(task: &Task, messages: &[Message], alike: &Alike, key: u64) -> Vec<Message> {
    let mut changes = Changes {
        alike,
        key,
        fields: Vec::new(),
        chosen: Vec::new(),
    };
    let results = messages.iter().filter(|message| message.role == Role::Tool);
    let records = results.filter_map(|message| serde_json::from_str(&message.content).ok());
    let records: Vec<Value> = records
        .filter(|value: &Value| value.is_object() || value.is_array())
        .collect();
    let mut messages = messages.to_vec();
    if records.is_empty() {
        return messages;
    }
    records
        .iter()
        .for_each(|record| changes.collect("", record));
    for (at, fact) in (0u64..).zip(&task.user.facts) {
        let number = mix(key, at, 0xc401);
        changes
            .chosen
            .extend(alike.choice(&task.template, &fact.name, &fact.value, number));
    }
    for message in &mut messages {
        message.content = match message.role {
            Role::Tool => changes.result(&message.content),
            _ => changes.text(&message.content),
        };
        for call in &mut message.tool_calls {
            call.arguments = changes.object(std::mem::take(&mut call.arguments));
        }
    }
    messages
}

struct Changes<'a> {
    alike: &'a Alike,
    key: u64,
    fields: Vec<Change>,
    /// The words that the user chose, and those in their place.
    chosen: Vec<(String, String)>,
}

/// A field's value and its new one.
struct Change {
    field: String,
    old: Value,
    new: Value,
    /// The words for both, where texts may say them.
    words: Option<(String, String)>,
}

impl Changes<'_> {
    fn collect(&mut self, field: &str, value: &Value) {
        match value {
            Value::Object(map) => map
                .iter()
                .for_each(|(field, inner)| self.collect(field, inner)),
            Value::Array(items) => items.iter().for_each(|item| self.collect("", item)),
            value => {
                let known = |change: &Change| change.field == field && change.old == *value;
                if self.fields.iter().any(known) {
                    return;
                }
                let number = mix(self.key, self.fields.len() as u64, 0x1d1e);
                if let Some(other) = self.alike.other(field, value, number) {
                    self.fields.push(Change {
                        field: field.to_owned(),
                        old: value.clone(),
                        new: other.value,
                        words: other.words,
                    });
                }
            }
        }
    }

    fn object(&self, map: Map<String, Value>) -> Map<String, Value> {
        let varied = |(name, value)| (name, self.value(value));
        map.into_iter().map(varied).collect()
    }

    fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(map) => Value::Object(self.object(map)),
            other => other,
        }
    }

    /// Changes the fields of a result in JSON, and the texts that are what the user chose; all else in it stays as it is
    /// written.
    fn result(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('"') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let changed = self.fields.iter().find_map(|change| change.written(rest));
            match changed {
                Some((written, left)) => {
                    out.push_str(&written);
                    rest = left;
                }
                None => {
                    // The rest of the string is passed over: a sign in it begins nothing.
                    let (string, left) = rest.split_at(string_end(rest));
                    let inside = string.trim_matches('"');
                    let chosen = self.chosen.iter().find(|(old, _)| old == inside);
                    match chosen {
                        Some((_, new)) => out.extend(["\"", new, "\""]),
                        None => out.push_str(string),
                    }
                    rest = left;
                }
            }
        }
        out.push_str(rest);
        out
    }

    /// Changes the texts that are said, where they stand as whole words.
    fn text(&self, text: &str) -> String {
        let words = self
            .fields
            .iter()
            .filter_map(|change| change.words.as_ref());
        let mut said: Vec<&(String, String)> = words.chain(&self.chosen).collect();
        said.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
        let mut out = String::with_capacity(text.len());
        let (mut rest, mut before) = (text, ' ');
        while let Some(first) = rest.chars().next() {
            let whole = |old: &str| {
                let after = rest.strip_prefix(old)?;
                let word = after.starts_with(char::is_alphanumeric) || before.is_alphanumeric();
                (!word).then_some(after)
            };
            let found = said.iter().find_map(|(old, new)| Some((new, whole(old)?)));
            match found {
                Some((new, after)) => {
                    out.push_str(new);
                    rest = after;
                    before = 'a';
                }
                None => {
                    out.push(first);
                    rest = &rest[first.len_utf8()..];
                    before = first;
                }
            }
        }
        out
    }
}

impl Change {
    /// Returns the field with its new value when a text begins with the field and its old one, and what follows it.
    fn written<'a>(&self, text: &'a str) -> Option<(String, &'a str)> {
        let name = text.strip_prefix('"')?.strip_prefix(self.field.as_str())?;
        let name = name.strip_prefix("\":")?;
        let value = name.trim_start_matches(' ');
        let rest = value.strip_prefix(self.old.to_string().as_str())?;
        let ends = rest.starts_with([',', '}', ']', ' ', '\n']) || rest.is_empty();
        let head = &text[..text.len() - value.len()];
        ends.then(|| (format!("{head}{}", self.new), rest))
    }
}

/// Returns the end of the string in JSON that a text begins with.
fn string_end(text: &str) -> usize {
    let mut escaped = true;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use agoge_dialogue::ToolCall;
    use agoge_sandbox::State;
    use agoge_world::{Domain, Names};
    use serde_json::json;

    use super::*;

    /// Books whose title and price decide nothing. Courier's templates ask for `status`.
    fn alike() -> Alike {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/courier/domain");
        let mut domain = Domain::load(Path::new(dir)).unwrap();
        let books: Map<String, Value> = (0..100)
            .map(|n| {
                let book =
                    json!({"title": format!("Book {n} of Ann"), "price": n, "status": "new"});
                (format!("bk_{n:03}"), book)
            })
            .collect();
        (domain.schema, domain.id_lengths) = (json!({}), Vec::new());
        domain.state = State::from_json(json!({ "books": books })).unwrap();
        Alike::of(&domain, &Names::of(&domain))
    }

    #[test]
    fn values_change_wherever_they_are_said_and_nothing_else_does() {
        let find = ToolCall::new(
            "find",
            json!({"title": "Book 4 of Ann", "n": 4})
                .as_object()
                .unwrap()
                .clone(),
        );
        let messages = [
            Message::user("I want \"Book 4 of Ann\", not XBook 4 of Ann, for 4."),
            Message::calls(vec![find]),
            Message::tool_result(
                "",
                r#"[{"title": "Book 4 of Ann", "price":4,"status":"new","n":4,"total": 4.0}]"#,
            ),
            Message::tool_result("", "price 4"),
        ];
        let (alike, task) = (alike(), Task::default());
        let mut seen = BTreeSet::new();
        for key in 0..60 {
            let new = varied(&task, &messages, &alike, key);
            let book: Value = serde_json::from_str(&new[2].content).unwrap();
            let (title, price) = (book[0]["title"].as_str().unwrap(), &book[0]["price"]);
            let expected = format!(
                r#"[{{"title": "{title}", "price":{price},"status":"new","n":4,"total": 4.0}}]"#
            );
            assert_eq!(new[2].content, expected);
            assert_eq!(
                new[0].content,
                format!("I want \"{title}\", not XBook 4 of Ann, for 4.")
            );
            assert_eq!(
                json!(new[1].tool_calls[0].arguments),
                json!({"title": title, "n": 4})
            );
            assert_eq!(new[3], messages[3]);
            seen.insert((title.to_owned(), price.to_string()));
        }
        assert!(seen.len() > 50, "{seen:?}");
        assert_eq!(
            varied(&task, &messages, &alike, 1),
            varied(&task, &messages, &alike, 1)
        );
    }

    #[test]
    fn what_the_user_chose_is_another_word_wherever_it_stands_whole_and_a_result_without_json_stays()
     {
        let folder = tempfile::tempdir().unwrap();
        Domain::new_skeleton(folder.path(), "desk").unwrap();
        let template = r#"
name: visit
topic: [visit]
facts:
  member: { record: members, asked: [member], question: ["who?"], answers: ["{member}"] }
  place: { one_of: [north, south], asked: [where], question: ["where?"], answers: ["{place}"] }
branches:
  - { name: ok, gold: [{ look: { member: "{member}" } }], outputs: ["{place}"], say: ["at {place}."] }
wordings:
  - { name: plain, open: ["visit {member} at {place}"] }
  - { name: short, hold: [place], open: ["visit {member}"] }
"#;
        let domain = folder.path().join("domain");
        std::fs::write(domain.join("templates/visit.yaml"), template).unwrap();
        let domain = Domain::load(&domain).unwrap();
        let alike = Alike::of(&domain, &Names::of(&domain));
        let facts =
            json!([{"name": "place", "value": "north", "held": false, "asked": [], "answer": ""}]);
        let task = json!({"id": "t", "template": "visit", "gold": [], "user": {"facts": facts}});
        let task: Task = serde_json::from_value(task).unwrap();
        let look = ToolCall::new("look", json!({"at": "north"}).as_object().unwrap().clone());
        let dialogue = |result: &str| {
            [
                Message::user("visit me at north, not northern."),
                Message::calls(vec![look.clone()]),
                Message::tool_result("", result),
            ]
        };
        let changed = dialogue(r#"{"at": "north", "note": "north of it", "x": ["north"]}"#);
        let other = (0..20)
            .map(|key| varied(&task, &changed, &alike, key))
            .find(|new| *new != changed)
            .unwrap();
        assert_eq!(other[0].content, "visit me at south, not northern.");
        assert_eq!(
            json!(other[1].tool_calls[0].arguments),
            json!({"at": "south"})
        );
        assert_eq!(
            other[2].content,
            r#"{"at": "south", "note": "north of it", "x": ["south"]}"#
        );
        let plain = dialogue("at north");
        assert!((0..20).all(|key| varied(&task, &plain, &alike, key) == plain));
    }
}
