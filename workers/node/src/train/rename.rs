//! Demonstrations under other ids. An id is a name: a dialogue in which every one is replaced, everywhere, by another says
//! the same. A policy that sees its few demonstrations under new ids in every epoch learns to copy ids, not to know them.
//!
//! Only ids of the lengths that the domain's schema marks are replaced: in texts, in arguments at every depth, in tool
//! results. A replacement keeps the number of digits and the digit sum modulo 10, by which `agoge_world` separates the
//! splits' records: no held-out id ever comes up.

use std::collections::HashMap;

use agoge_dialogue::Message;
use agoge_learner::shuffle::mix;
use serde_json::{Map, Value};

/// Returns the dialogue under other ids, a function of it and the key alone. `lengths` are the digits that ids have.
pub fn renamed(messages: &[Message], lengths: &[usize], key: u64) -> Vec<Message> {
    let mut names = Names {
        lengths,
        key,
        drawn: 0,
        names: HashMap::new(),
    };
    let mut messages = messages.to_vec();
    for message in &mut messages {
        message.content = names.text(&message.content);
        for call in &mut message.tool_calls {
            call.arguments = names.object(std::mem::take(&mut call.arguments));
        }
    }
    messages
}

struct Names<'a> {
    lengths: &'a [usize],
    key: u64,
    drawn: u64,
    names: HashMap<String, String>,
}

impl Names<'_> {
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
        let mut rest = text;
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let (before, from) = rest.split_at(start);
            let end = from
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(from.len());
            out.push_str(before);
            match &from[..end] {
                run if self.lengths.contains(&run.len()) => out.push_str(&self.name(run)),
                run => out.push_str(run),
            }
            rest = &from[end..];
        }
        out.push_str(rest);
        out
    }

    fn name(&mut self, id: &str) -> String {
        if let Some(name) = self.names.get(id) {
            return name.clone();
        }
        loop {
            let name = self.draw(id);
            if !self.names.values().any(|taken| *taken == name) {
                self.names.insert(id.to_owned(), name.clone());
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

#[cfg(test)]
mod tests {
    use agoge_dialogue::ToolCall;

    use super::*;

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
        for key in 0..200 {
            let new = renamed(&messages, &[5], key);
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
        assert_ne!(renamed(&messages, &[5], 1), renamed(&messages, &[5], 2));
        assert_eq!(renamed(&messages, &[5], 1), renamed(&messages, &[5], 1));
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
        for key in 0..50 {
            let new = renamed(&messages, &[5], key);
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
        assert_eq!(renamed(&messages, &[], 1), messages);
    }
}
