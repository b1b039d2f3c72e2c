//! Writes the input of `tests/parity/parity.py` for transformers: fresh policies of both shapes with their tokenizer
//! and chat files, logits, and dialogues as our renderers give them. `cargo run --release -p agoge-model --example parity DIR`.

use std::path::Path;

use agoge_dialogue::renderer::Qwen25;
use agoge_dialogue::{Message, Renderer, Role, ToolCall, ToolSpec, Vocab, export, renderer};
use agoge_model::{ChatFiles, Decoder, ModelConfig, ModelError, Tokenizer};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).ok_or("usage: parity DIR")?;
    let texts: Vec<String> = (0..400)
        .map(|n| sentences()[n % sentences().len()].replace("{n}", &n.to_string()))
        .collect();
    let dir = Path::new(&dir);
    let tokenizer = as_published(
        Tokenizer::train(&texts, 800, &PUBLISHED)?,
        &dir.join("source"),
    )?;
    let compact = renderer("compact").unwrap_or_else(|| unreachable!("the format is known"));
    let small = Tokenizer::train(&texts, 800, compact.specials())?;
    let base = ModelConfig {
        vocab_size: tokenizer.size(),
        hidden_size: 96,
        intermediate_size: 224,
        num_hidden_layers: 3,
        initializer_range: 0.15,
        ..ModelConfig::default()
    };
    let qwen2 = ModelConfig {
        architectures: vec!["Qwen2ForCausalLM".into()],
        model_type: "qwen2".into(),
        tie_word_embeddings: false,
        rope_theta: 1_000_000.0,
        ..base.clone()
    };
    let own = ModelConfig {
        vocab_size: small.size(),
        ..base.clone()
    };
    let source = ChatFiles::load(&dir.join("source"))?;
    for (name, config, vocab, format, chat) in [
        ("llama", base, &tokenizer, "chatml", ChatFiles::default()),
        ("qwen2", qwen2, &tokenizer, "qwen25", source),
        ("compact", own, &small, "compact", ChatFiles::default()),
    ] {
        let format = renderer(format).unwrap_or_else(|| unreachable!("the formats are known"));
        let config = config.with_stop_token(format.stop(vocab));
        let folder = dir.join(name);
        write_policy(&folder, config, vocab)?;
        chat.save(&folder, vocab, format.as_ref())?;
    }
    let dialogues = json!({
        "chatml": rendered("chatml", &tokenizer, &dialogue(false), &[]),
        "qwen25": rendered("qwen25", &tokenizer, &dialogue(true), &tools()),
        "compact": rendered("compact", &small, &dialogue(true), &[]),
    });
    std::fs::write(dir.join("dialogues.json"), dialogues.to_string())?;
    write_exports(dir)?;
    Ok(())
}

const PUBLISHED: [&str; 4] = ["<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"];

/// Gives a tokenizer the form in which Qwen2.5's is published: the call tags are added tokens and not special.
fn as_published(tokenizer: Tokenizer, dir: &Path) -> Result<Tokenizer, Box<dyn std::error::Error>> {
    tokenizer.save(dir)?;
    let path = dir.join("tokenizer.json");
    let mut tokens: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    let mut decoder = serde_json::Map::new();
    for token in tokens["added_tokens"].as_array_mut().into_iter().flatten() {
        let special = !token["content"]
            .as_str()
            .unwrap_or_default()
            .contains("tool_call");
        token["special"] = special.into();
        let mut entry = token.clone();
        let id = entry.as_object_mut().and_then(|entry| entry.remove("id"));
        decoder.insert(id.unwrap_or_default().to_string(), entry);
    }
    std::fs::write(&path, tokens.to_string())?;
    let stop = tokenizer.special("<|im_end|>");
    let config = json!({
        "tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": decoder, "eos_token": "<|im_end|>",
        "pad_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "add_prefix_space": false, "clean_up_tokenization_spaces": false, "unk_token": null, "bos_token": null,
        "chat_template": Qwen25.chat_template(),
    });
    std::fs::write(dir.join("tokenizer_config.json"), config.to_string())?;
    let generation = json!({"eos_token_id": [stop], "temperature": 0.7, "do_sample": true});
    std::fs::write(dir.join("generation_config.json"), generation.to_string())?;
    Ok(Tokenizer::load(dir)?)
}

/// Exports of dialogues with and without calls, by the functions that `agoge export` uses.
fn write_exports(dir: &Path) -> std::io::Result<()> {
    let (system, tools) = ("You are a helpful assistant", unlike_tools());
    let dialogues = [dialogue(false), dialogue(true), unlike_calls()];
    let lines = |row: &dyn Fn(&[Message]) -> Option<Value>| {
        let rows = dialogues.iter().filter_map(|messages| row(messages));
        rows.map(|row| format!("{row}\n")).collect::<String>()
    };
    let sft = lines(&|messages| export::sft_row("a", system, &tools, messages));
    let tuning = lines(&|messages| export::openai_row(system, &tools, messages));
    let task = json!({"calls": [], "note": null});
    let rl = export::rl_row("a", system, (&[], "where is parcel 48213?"), &tools, &task);
    let config = |name: &str| {
        format!(
            "- config_name: {name}\n  data_files:\n  - split: train\n    path: data/{name}.jsonl\n"
        )
    };
    let card = format!("---\nconfigs:\n{}{}---\n", config("sft"), config("rl"));
    let (rows, openai) = (dir.join("export"), dir.join("openai"));
    std::fs::create_dir_all(rows.join("data"))?;
    std::fs::create_dir_all(&openai)?;
    std::fs::write(rows.join("data/sft.jsonl"), sft)?;
    std::fs::write(rows.join("data/rl.jsonl"), format!("{rl}\n"))?;
    std::fs::write(rows.join("README.md"), card)?;
    std::fs::write(openai.join("train.jsonl"), tuning)
}

/// Tools whose arguments share no name, so that a table of them would have gaps.
fn unlike_tools() -> Vec<ToolSpec> {
    let hold = json!({"type": "object", "properties": {
        "slot": {"type": "string", "enum": ["am", "pm"]}, "days": {"type": "integer", "default": 3},
    }, "required": ["slot"]});
    let mut all = tools();
    all.push(ToolSpec {
        name: "hold".into(),
        description: "Keeps it".into(),
        parameters: hold,
    });
    all
}

/// A dialogue with calls of both, one of them without any argument, and the user's last word.
fn unlike_calls() -> Vec<Message> {
    let call = |id: &str, name: &str, arguments: Value| {
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        Message::calls(vec![ToolCall {
            id: id.into(),
            ..ToolCall::new(name, arguments)
        }])
    };
    vec![
        Message::user("keep it until the afternoon"),
        call("1", "hold", json!({"slot": "pm", "days": 1})),
        Message::tool_result("1", "error: which parcel?"),
        call("2", "track", json!({})),
        Message::tool_result("2", "depot 7"),
        Message::assistant("It is kept."),
        Message::user("thanks. ###"),
    ]
}

fn sentences() -> [&'static str; 6] {
    [
        "where is parcel {n}48213? it left depot {n} on monday",
        "You are Qwen, a helpful assistant. # Tools You may call one or more functions",
        "user assistant system tool {\"name\": \"track\", \"arguments\": {\"parcel\": \"{n}\"}}",
        "I'd like a refund of 12.{n} EUR, please; naïve café ☂ 漢字",
        "  two  spaces,\ttabs\nand lines\n\n{n}",
        "<|im_end|> is no token here, nor is <|im_start|> {n}",
    ]
}

fn write_policy(dir: &Path, config: ModelConfig, tokenizer: &Tokenizer) -> Result<(), ModelError> {
    let decoder = Decoder::fresh(config, 17)?;
    // Biases and norms as training leaves them, not as they begin.
    tch::no_grad(|| {
        for (name, mut tensor) in decoder.parameters() {
            if name.ends_with("bias") || name.ends_with("norm.weight") {
                let steps = Tensor::arange(tensor.numel() as i64, (Kind::Float, tch::Device::Cpu));
                let _ = tensor.g_add_(&(steps.sin() * 0.3));
            }
        }
    });
    tokenizer.check(decoder.config())?;
    decoder.save(dir)?;
    tokenizer.save(dir)?;
    let vocab = decoder.config().vocab_size as i64;
    let ids = (Tensor::arange(2 * 120, (Kind::Int64, tch::Device::Cpu)) * 7919 + 13)
        .remainder(vocab)
        .view([2, 120]);
    let logits = tch::no_grad(|| decoder.head(&decoder.hidden(&ids))).view(-1);
    let texts: Vec<String> = sentences()
        .iter()
        .map(|s| s.replace("{n}", "907"))
        .collect();
    let encoded: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.encode(text)).collect();
    let expected = json!({
        "ids": Vec::<i64>::try_from(ids.view(-1))?, "logits": Vec::<f32>::try_from(logits)?,
        "texts": texts, "encoded": encoded,
    });
    let path = dir.join("expected.json");
    std::fs::write(&path, expected.to_string()).map_err(|e| ModelError::Write {
        path,
        reason: e.to_string(),
    })
}

fn tools() -> Vec<ToolSpec> {
    vec![ToolSpec {
        name: "track".into(),
        description: "Where a parcel is".into(),
        parameters: json!({"type": "object", "properties": {"parcel": {"type": "string"}}, "required": ["parcel"]}),
    }]
}

/// A dialogue without calls or with calls of every form: one, several, with text before them.
fn dialogue(with_calls: bool) -> Vec<Message> {
    let call = |parcel: &str| {
        let arguments = json!({"parcel": parcel})
            .as_object()
            .cloned()
            .unwrap_or_default();
        ToolCall {
            id: "call_0".into(),
            ..ToolCall::new("track", arguments)
        }
    };
    let mut messages = vec![Message::user("where is parcel 48213?")];
    if with_calls {
        messages.push(Message::calls(vec![call("48213")]));
        messages.push(Message::tool_result("call_0", "depot 7"));
        messages.push(Message::assistant("It is in depot 7."));
        messages.push(Message::user("and 48213 and 907?"));
        messages.push(Message {
            content: "One moment.".into(),
            ..Message::calls(vec![call("48213"), call("907")])
        });
        messages.push(Message::tool_result("call_0", "depot 7"));
        messages.push(Message::tool_result("call_0", "left on monday"));
    }
    messages.push(Message::assistant("It left depot 907 on monday."));
    messages.push(Message::user("thank you"));
    messages
}

/// The dialogue as the API has it, and its ids turn by turn as a rollout renders them.
fn rendered(name: &str, vocab: &Tokenizer, messages: &[Message], tools: &[ToolSpec]) -> Value {
    let format: Box<dyn Renderer> =
        renderer(name).unwrap_or_else(|| unreachable!("the formats are known"));
    let system = "You are a helpful assistant";
    let mut ids = format.open(vocab, system, tools);
    ids.extend(format.append_all(vocab, messages));
    ids.extend(format.prefix(vocab, Role::Assistant));
    let mut all = vec![Message::system(system).to_openai()];
    all.extend(messages.iter().map(Message::to_openai));
    json!({
        "messages": all, "tools": tools.iter().map(ToolSpec::to_openai).collect::<Vec<_>>(), "ids": ids,
        "decoded": vocab.decode(&ids), "stop": format.stop(vocab),
    })
}
