//! Demonstrations with other ids. An id is a name: a dialogue in which every one is replaced, everywhere, by another says
//! the same. A policy that sees its few demonstrations under new ids in every epoch learns to copy ids, not to know them.
//!
//! A replacement keeps the number of digits and the digit sum modulo 10, by which `agoge_world` tells the splits' records
//! apart: no held-out id ever comes up.

use std::collections::HashMap;

use agoge_dialogue::Message;
use agoge_learner::shuffle::mix;
use serde_json::Value;

/// Runs of so many digits are ids; shorter ones are amounts, days, weeks.
const ID: usize = 5;

/// The dialogue with other ids, a function of it and the key alone.
pub fn renamed(messages: &[Message], key: u64) -> Vec<Message> {
    let mut names = Names {
        key,
        drawn: 0,
        names: HashMap::new(),
    };
    let mut messages = messages.to_vec();
    for message in &mut messages {
        message.content = names.text(&message.content);
        for call in &mut message.tool_calls {
            for (_, value) in &mut call.arguments {
                if let Value::String(text) = value {
                    *text = names.text(text);
                }
            }
        }
    }
    messages
}

struct Names {
    key: u64,
    drawn: u64,
    names: HashMap<String, String>,
}

impl Names {
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
                run if run.len() == ID => out.push_str(&self.name(run)),
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
            let new = renamed(&messages, key);
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
        assert_ne!(renamed(&messages, 1), renamed(&messages, 2));
        assert_eq!(renamed(&messages, 1), renamed(&messages, 1));
    }
}
