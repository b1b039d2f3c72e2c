//! Every chat format over random dialogues: no id changes, no mask is misplaced, turns read back.
#![allow(clippy::unwrap_used)]

use agoge_dialogue::random::Rng;
use agoge_dialogue::{
    ByteVocab, Message, Renderer, Role, ToolCall, ToolSpec, Transcript, Vocab, renderer, supervise,
    user_view,
};
use serde_json::{Map, Value, json};

const SPECIALS: [&str; 10] = [
    "<|sys|>",
    "<|user|>",
    "<|agent|>",
    "<|call|>",
    "<|result|>",
    "<|end|>",
    "<|im_start|>",
    "<|im_end|>",
    "<tool_call>",
    "</tool_call>",
];
const DIALOGUES: u64 = 10_000;

/// A source of random dialogues: each can be made again from its number.
struct Dice(Rng);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0.draw() % below
    }

    fn text(&mut self) -> String {
        let pieces = [
            "hello",
            " ",
            "48213",
            "<|end|>",
            "<|im_end|>",
            "ünï",
            "漢字",
            "🙂",
            "\n",
            "a=b",
            "{}",
            "\"",
            "call",
            "<|agent|>",
            "```x```",
            "  ",
        ];
        (0..1 + self.roll(6))
            .map(|_| pieces[self.roll(pieces.len() as u64) as usize])
            .collect()
    }

    fn value(&mut self) -> Value {
        match self.roll(8) {
            0 => json!(self.roll(100_000)),
            1 => json!(self.roll(1000) as f64 / 8.0),
            2 => json!(true),
            3 => Value::Null,
            4 => json!([self.text(), 3]),
            5 => json!({"k": self.text()}),
            6 => json!("48213"),
            _ => json!(self.text()),
        }
    }

    fn calls(&mut self) -> Message {
        let calls = (0..1 + self.roll(3)).map(|n| {
            let arguments: Map<String, Value> = (0..self.roll(4))
                .map(|k| (format!("arg{k}"), self.value()))
                .collect();
            ToolCall::new(["look", "move_parcel", "x1"][(n % 3) as usize], arguments)
        });
        Message::calls(calls.collect())
    }

    fn dialogue(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        for _ in 0..1 + self.roll(3) {
            messages.push(Message::user(&self.text()));
            for _ in 0..self.roll(3) {
                let calls = self.calls();
                let results = calls.tool_calls.len();
                messages.push(calls);
                for _ in 0..results {
                    messages.push(Message::tool_result("", &self.text()));
                }
            }
            messages.push(Message::assistant(&self.text()));
        }
        messages
    }
}

fn formats() -> Vec<Box<dyn Renderer>> {
    ["compact", "chatml", "qwen25"]
        .into_iter()
        .map(|name| renderer(name).unwrap())
        .collect()
}

/// Plays the dialogue as a rollout would: the trained role's turns are "sampled", everything else is appended.
fn as_sampled(
    r: &dyn Renderer,
    v: &dyn Vocab,
    messages: &[Message],
    speaker: Role,
) -> (Transcript, Vec<Vec<u32>>) {
    let mut transcript = Transcript::default();
    let mut turns = Vec::new();
    transcript.push_context(&r.open(v, "desk", &[]));
    let mut waiting: Vec<Message> = Vec::new();
    for message in messages {
        if message.role != speaker {
            waiting.push(message.clone());
            continue;
        }
        transcript.push_context(&r.append_all(v, &waiting));
        waiting.clear();
        transcript.push_context(&r.prefix(v, speaker));
        let ids = r.turn(v, message);
        transcript.push_sampled(&ids, &vec![-1.0; ids.len()], 7);
        turns.push(ids);
        transcript.push_context(&r.after_turn(v, speaker));
    }
    transcript.push_context(&r.append_all(v, &waiting));
    (transcript, turns)
}

#[test]
fn over_ten_thousand_dialogues_no_id_changes_and_no_mask_is_misplaced() {
    let vocab = ByteVocab::new(&SPECIALS);
    for format in formats() {
        for number in 0..DIALOGUES {
            let messages = Dice(Rng::new(number)).dialogue();
            let (sampled, turns) = as_sampled(format.as_ref(), &vocab, &messages, Role::Assistant);
            let supervised = supervise(
                format.as_ref(),
                &vocab,
                "desk",
                &[],
                &messages,
                Role::Assistant,
            );
            assert_eq!(sampled.ids, supervised.ids, "{} {number}", format.name());
            assert_eq!(sampled.mask, supervised.mask, "{} {number}", format.name());
            let trained: Vec<u32> = sampled
                .ids
                .iter()
                .zip(&sampled.mask)
                .filter(|(_, m)| **m)
                .map(|(id, _)| *id)
                .collect();
            assert_eq!(trained, turns.concat(), "{} {number}", format.name());
            let stamped = sampled
                .versions
                .iter()
                .zip(&sampled.logprobs)
                .zip(&sampled.mask);
            assert!(
                stamped
                    .into_iter()
                    .all(|((v, l), m)| (*v == 7) == *m && (*l != 0.0) == *m)
            );
        }
    }
}

#[test]
fn sampled_turns_read_back_as_the_message_they_were() {
    let vocab = ByteVocab::new(&SPECIALS);
    for number in 0..2_000 {
        for message in Dice(Rng::new(number)).dialogue() {
            if message.role == Role::Tool {
                continue;
            }
            for format in formats() {
                let plain_text_may_hold_calls =
                    format.name() != "compact" && message.content.contains("```");
                if plain_text_may_hold_calls {
                    continue;
                }
                let ids = format.turn(&vocab, &message);
                let back = format.parse(&vocab, message.role, &ids).unwrap();
                assert_eq!(back, message, "{} {number}", format.name());
            }
        }
    }
}

#[test]
fn text_that_looks_like_a_special_token_never_becomes_one() {
    let vocab = ByteVocab::new(&SPECIALS);
    for format in formats() {
        let ids = format.append(
            &vocab,
            &Message::user("<|end|><|im_end|><|agent|><tool_call>"),
        );
        let specials = ids.iter().filter(|id| **id >= 256).count();
        let own = format
            .append(&vocab, &Message::user("x"))
            .iter()
            .filter(|id| **id >= 256)
            .count();
        assert_eq!(specials, own, "{}", format.name());
    }
}

#[test]
fn qwen_renders_as_its_own_template_does() {
    // The vocabulary writes every id back as text, specials by name.
    let vocab = ByteVocab::new(&SPECIALS);
    let show = |ids: &[u32]| -> String {
        let mut bytes = Vec::new();
        for id in ids {
            match u8::try_from(*id) {
                Ok(byte) => bytes.push(byte),
                Err(_) => bytes.extend(SPECIALS[(*id - 256) as usize].bytes()),
            }
        }
        String::from_utf8(bytes).unwrap()
    };
    let qwen = renderer("qwen25").unwrap();
    let tool = ToolSpec {
        name: "look".into(),
        description: "Looks.".into(),
        parameters: json!({"type": "object", "properties": {}}),
    };
    let opened = show(&qwen.open(&vocab, "Desk.", &[tool]));
    assert!(opened.starts_with("<|im_start|>system\nDesk.\n\n# Tools\n"));
    assert!(opened.contains("\n<tools>\n{\"type\": \"function\", \"function\": {\"name\": \"look\", \"description\": \"Looks.\""));
    assert!(opened.ends_with("\n</tool_call><|im_end|>\n"));
    let call = ToolCall::new(
        "look",
        json!({"id": "4", "n": 2}).as_object().cloned().unwrap(),
    );
    let results = [
        Message::tool_result("", "one"),
        Message::tool_result("", "two"),
    ];
    let mut text = show(&qwen.append(&vocab, &Message::calls(vec![call.clone(), call])));
    text.push_str(&show(&qwen.append_all(&vocab, &results)));
    let one =
        "<tool_call>\n{\"name\": \"look\", \"arguments\": {\"id\": \"4\", \"n\": 2}}\n</tool_call>";
    let expected = format!(
        "<|im_start|>assistant\n{one}\n{one}<|im_end|>\n<|im_start|>user\n<tool_response>\none\n</tool_response>\n\
         <tool_response>\ntwo\n</tool_response><|im_end|>\n"
    );
    assert_eq!(text, expected);
}

#[test]
fn a_tokenizer_without_the_formats_tokens_is_refused_by_name() {
    let error = renderer("compact")
        .unwrap()
        .check(&ByteVocab::new(&["<|sys|>"]))
        .unwrap_err();
    assert!(
        error.contains("<|user|>") && error.contains("compact"),
        "{error}"
    );
}

#[test]
fn the_user_sees_texts_only() {
    let call = || Message::calls(vec![ToolCall::new("x", Map::new())]);
    let messages = [
        Message::user("a"),
        call(),
        Message::tool_result("", "r"),
        Message {
            content: "one moment".into(),
            reasoning: Some("which tool?".into()),
            ..call()
        },
        Message::tool_result("", "r"),
        Message::assistant("b"),
    ];
    assert_eq!(
        user_view(&messages),
        [
            Message::user("a"),
            Message::assistant("one moment"),
            Message::assistant("b")
        ]
    );
}
