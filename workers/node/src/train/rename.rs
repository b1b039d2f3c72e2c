//! Demonstrations under other ids. An id is a name: a dialogue in which every one is replaced, everywhere, by another says
//! the same. A policy that sees its few demonstrations under new ids in every epoch learns to copy ids, not to know them.
//!
//! Ids are what [`Names`] says they are: of the shapes that the domain's schema marks, or else that the ids of its state
//! have. They are replaced in texts, in arguments at every depth, in tool results. No held-out id ever comes up: a
//! replacement of digits alone keeps their number and their sum modulo 10, by which format 1 separates the splits'
//! records; any other is the id of no record of evaluation.

use std::collections::HashMap;

use agoge_dialogue::Message;
use agoge_learner::shuffle::mix;
use agoge_world::{Alphabet, Named, Names};
use serde_json::{Map, Value};

/// Draws of a part until it is left as it is: where nearly all short ids are taken, few are free.
const DRAWS: usize = 64;

/// Returns the dialogue under other ids, a function of it and the key alone.
pub fn renamed(messages: &[Message], names: &Names, key: u64) -> Vec<Message> {
    let mut renaming = Renaming {
        names,
        key,
        drawn: 0,
        digits: HashMap::new(),
        parts: HashMap::new(),
    };
    let mut messages = messages.to_vec();
    for message in &mut messages {
        message.content = renaming.text(&message.content);
        for call in &mut message.tool_calls {
            call.arguments = renaming.object(std::mem::take(&mut call.arguments));
        }
    }
    messages
}

struct Renaming<'a> {
    names: &'a Names,
    key: u64,
    drawn: u64,
    /// New ids of those that are digits alone.
    digits: HashMap<String, String>,
    /// New parts of the others.
    parts: HashMap<(Alphabet, String), String>,
}

impl Renaming<'_> {
    fn object(&mut self, map: Map<String, Value>) -> Map<String, Value> {
        let renamed = |(name, value): (String, Value)| (self.text(&name), self.value(value));
        map.into_iter().map(renamed).collect()
    }

    fn value(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            // Names keep their first digit above 0, so that a number stays one of as many digits.
            Value::Number(number) if number.is_u64() => {
                let name = self.text(&number.to_string());
                name.parse::<u64>()
                    .map_or(Value::Number(number), Value::from)
            }
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(map) => Value::Object(self.object(map)),
            other => other,
        }
    }

    fn text(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for named in self.names.find(text) {
            out.push_str(&self.numbers(&text[at..named.range.start]));
            out.push_str(&self.id(text, &named));
            at = named.range.end;
        }
        out.push_str(&self.numbers(&text[at..]));
        out
    }

    /// Replaces the parts of an id that say which one it is.
    fn id(&mut self, text: &str, named: &Named) -> String {
        let known = named.parts.iter().all(|(range, of)| {
            let key = (of.clone(), text[range.clone()].to_owned());
            self.parts.contains_key(&key)
        });
        if !known {
            self.choose(text, named);
        }
        let part = |of: &Alphabet, old: &str| {
            let new = self.parts.get(&(of.clone(), old.to_owned()));
            new.map_or_else(|| old.to_owned(), Clone::clone)
        };
        with_parts(text, named, part)
    }

    /// Chooses new parts for an id, where it has none yet.
    fn choose(&mut self, text: &str, named: &Named) {
        for _ in 0..DRAWS {
            let mut chosen: HashMap<(Alphabet, String), String> = HashMap::new();
            for (range, of) in &named.parts {
                let old = &text[range.clone()];
                let key = (of.clone(), old.to_owned());
                if !self.parts.contains_key(&key) && !chosen.contains_key(&key) {
                    let new = self.part(old, of);
                    chosen.insert(key, new);
                }
            }
            let part = |of: &Alphabet, old: &str| {
                let key = (of.clone(), old.to_owned());
                let new = chosen.get(&key).or_else(|| self.parts.get(&key));
                new.map_or_else(|| old.to_owned(), Clone::clone)
            };
            let new = with_parts(text, named, part);
            let taken = |(key, new): (&(Alphabet, String), &String)| {
                let mut others = self.parts.iter();
                others.any(|(other, name)| other.0 == key.0 && name == new)
            };
            // An id may stand within another, so no part may be that of a held-out one.
            let mut parts = chosen.iter();
            let held = parts.any(|((of, _), part)| self.names.heldout_part(of, part));
            if !held && !self.names.heldout(&new) && !chosen.iter().any(taken) {
                self.parts.extend(chosen);
                return;
            }
        }
        for (range, of) in &named.parts {
            let old = text[range.clone()].to_owned();
            let key = (of.clone(), old.clone());
            self.parts.entry(key).or_insert(old);
        }
    }

    /// Draws a part. It begins with 0 only where the old one does.
    fn part(&mut self, old: &str, of: &Alphabet) -> String {
        self.drawn += 1;
        let chars: Vec<char> = of.chars().collect();
        let zero = old.starts_with('0');
        let draw = |at: usize| {
            let from = match chars.as_slice() {
                ['0', rest @ ..] if at == 0 && !zero && !rest.is_empty() => rest,
                all => all,
            };
            let index = mix(self.key, self.drawn, at as u64) % from.len().max(1) as u64;
            from.get(index as usize).copied()
        };
        (0..old.chars().count()).filter_map(draw).collect()
    }

    /// Replaces the ids that are digits alone.
    fn numbers(&mut self, text: &str) -> String {
        if self.names.lengths().is_empty() {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let (before, from) = rest.split_at(start);
            let end = from
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(from.len());
            out.push_str(before);
            match &from[..end] {
                run if self.names.lengths().contains(&run.len()) => out.push_str(&self.number(run)),
                run => out.push_str(run),
            }
            rest = &from[end..];
        }
        out.push_str(rest);
        out
    }

    fn number(&mut self, id: &str) -> String {
        if let Some(name) = self.digits.get(id) {
            return name.clone();
        }
        loop {
            let name = self.draw(id);
            if !self.digits.values().any(|taken| *taken == name) {
                self.digits.insert(id.to_owned(), name.clone());
                return name;
            }
        }
    }

    fn draw(&mut self, id: &str) -> String {
        self.drawn += 1;
        let mut digits: Vec<u64> = (0..id.len() as u64)
            .map(|at| mix(self.key, self.drawn, at) % 10)
            .collect();
        digits[0] = digits[0].max(1);
        let wanted: u64 = id.bytes().map(|b| u64::from(b - b'0')).sum();
        let last = digits.len() - 1;
        let others: u64 = digits[..last].iter().sum();
        digits[last] = (wanted + 10 * others - others) % 10;
        digits
            .into_iter()
            .map(|digit| char::from(b'0' + digit as u8))
            .collect()
    }
}

/// Returns an id of a text with other parts.
fn with_parts(text: &str, named: &Named, part: impl Fn(&Alphabet, &str) -> String) -> String {
    let mut out = String::new();
    let mut at = named.range.start;
    for (range, of) in &named.parts {
        out.push_str(&text[at..range.start]);
        out.push_str(&part(of, &text[range.clone()]));
        at = range.end;
    }
    out.push_str(&text[at..named.range.end]);
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use agoge_dialogue::ToolCall;
    use agoge_world::Domain;

    use super::*;

    /// Courier: its schema marks ids of five digits.
    fn courier() -> Domain {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/courier/domain");
        Domain::load(Path::new(dir)).unwrap()
    }

    #[test]
    fn every_id_is_replaced_everywhere_by_one_of_its_own_split_and_nothing_else_changes() {
        let call = ToolCall::new(
            "move",
            serde_json::from_str(r#"{"parcel": "73211", "days": 5}"#).unwrap(),
        );
        let messages = [
            Message::user("parcel 73211 to 48590, in 8 days"),
            Message::calls(vec![call]),
            Message::tool_result("", "value=553 depot=72401 of 73211"),
        ];
        let names = Names::of(&courier());
        for key in 0..200 {
            let new = renamed(&messages, &names, key);
            let word = |text: &str, at: usize| {
                text.split([' ', ',', '='])
                    .nth(at)
                    .unwrap_or_default()
                    .to_owned()
            };
            let (parcel, to) = (word(&new[0].content, 1), word(&new[0].content, 3));
            assert_eq!(
                new[0].content,
                format!("parcel {parcel} to {to}, in 8 days")
            );
            assert_eq!(new[1].tool_calls[0].arguments["parcel"], parcel.as_str());
            assert_eq!(new[1].tool_calls[0].arguments["days"], 5);
            assert!(
                new[2].content.starts_with("value=553 depot=") && new[2].content.ends_with(&parcel)
            );
            let residue = |id: &str| id.bytes().map(|b| u32::from(b - b'0')).sum::<u32>() % 10;
            assert_eq!(
                (residue(&parcel), residue(&to)),
                (residue("73211"), residue("48590"))
            );
            assert!(parcel.len() == 5 && !parcel.starts_with('0') && parcel != to);
        }
        assert_ne!(renamed(&messages, &names, 1), renamed(&messages, &names, 2));
        assert_eq!(renamed(&messages, &names, 1), renamed(&messages, &names, 1));
    }

    #[test]
    fn ids_are_replaced_at_every_depth_and_nothing_where_the_schema_marks_none() {
        let arguments = serde_json::json!({
            "parcel": 73211, "days": 5, "sum": 123456, "share": 73211.5, "many": ["73211", 73211, null],
            "by": {"73211": {"to": "at 73211, 48590"}},
        });
        let call = ToolCall::new("move", arguments.as_object().unwrap().clone());
        let messages = [
            Message::user("parcel 73211"),
            Message::calls(vec![call]),
            Message::tool_result("", "{\"id\": 73211}"),
        ];
        let names = Names::of(&courier());
        for key in 0..50 {
            let new = renamed(&messages, &names, key);
            let id = &new[0].content["parcel ".len()..];
            assert!(id.len() == 5 && id != "73211", "{id}");
            let given = &new[1].tool_calls[0].arguments;
            let number: u64 = id.parse().unwrap();
            assert_eq!(
                (&given["parcel"], &given["days"]),
                (&number.into(), &5.into())
            );
            assert_eq!(
                (&given["sum"], &given["share"]),
                (&123_456.into(), &73211.5.into())
            );
            assert_eq!(given["many"], serde_json::json!([id, number, null]));
            let to = given["by"][id]["to"].as_str().unwrap();
            assert!(
                to.starts_with(&format!("at {id}, ")) && !to.contains("48590"),
                "{to}"
            );
            assert_eq!(new[2].content, format!("{{\"id\": {id}}}"));
        }
        assert_eq!(renamed(&messages, &Names::default(), 1), messages);
    }

    #[test]
    fn without_a_mark_ids_are_known_by_the_state_and_one_within_another_stays_the_same() {
        let mut domain = courier();
        domain.id_lengths.clear();
        domain.schema = serde_json::json!({});
        let books: Map<String, Value> = (100..400)
            .map(|n| (format!("bk_{n}"), Value::Null))
            .collect();
        let copies: Map<String, Value> = (100..400)
            .map(|n| (format!("bk_{n}-c{}", n % 3), Value::Null))
            .collect();
        let state = serde_json::json!({"books": books, "copies": copies});
        domain.state = agoge_sandbox::State::from_json(state).unwrap();
        let names = Names::of(&domain);
        let call = ToolCall::new(
            "lend",
            serde_json::from_str(r#"{"copy": "bk_217-c1", "weeks": 217}"#).unwrap(),
        );
        let messages = [
            Message::user("I want bk_217-c1."),
            Message::calls(vec![call]),
            Message::tool_result(
                "",
                r#"{"book_id":"bk_217","next":"bk_901","due":"2025-03-10"}"#,
            ),
        ];
        let mut seen = std::collections::BTreeSet::new();
        for key in 0..50 {
            let new = renamed(&messages, &names, key);
            let copy = &new[1].tool_calls[0].arguments["copy"];
            let copy = copy.as_str().unwrap();
            let book = copy.strip_suffix("-c1").unwrap();
            assert_eq!(new[0].content, format!("I want {copy}."));
            assert_eq!(new[1].tool_calls[0].arguments["weeks"], 217);
            let found: Value = serde_json::from_str(&new[2].content).unwrap();
            assert_eq!(
                (&found["book_id"], &found["due"]),
                (&book.into(), &"2025-03-10".into())
            );
            assert_ne!(found["next"], book);
            assert!(!names.heldout(copy) && !names.heldout(book), "{copy}");
            seen.insert(book.to_owned());
        }
        assert!(seen.len() > 40, "{seen:?}");
    }
}
