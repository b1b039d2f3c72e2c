//! A saved model can be used as its source was: its template, stop tokens, special tokens and the type of its weights.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::Path;

use agoge_dialogue::{Vocab, renderer};
use agoge_model::{ChatFiles, Decoder, ModelConfig, Tokenizer};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

const ADDED: [&str; 5] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<tool_call>",
    "</tool_call>",
];

fn read(dir: &Path, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join(name)).unwrap()).unwrap()
}

fn write(dir: &Path, name: &str, value: &Value) {
    std::fs::write(dir.join(name), value.to_string()).unwrap();
}

/// Writes a folder of the form in which Qwen2.5 is published: weights in bfloat16, tags that are added and not special.
fn published(dir: &Path) {
    let texts = [
        "where is parcel 48213",
        "it is in depot 7",
        "system user assistant",
    ]
    .repeat(9);
    let tokenizer = Tokenizer::train(texts, 320, &ADDED).unwrap();
    tokenizer.save(dir).unwrap();
    let config = ModelConfig {
        architectures: vec!["Qwen2ForCausalLM".into()],
        model_type: "qwen2".into(),
        vocab_size: tokenizer.size(),
        hidden_size: 32,
        intermediate_size: 64,
        num_hidden_layers: 1,
        ..ModelConfig::default()
    };
    Decoder::fresh(config, 3).unwrap().save(dir).unwrap();

    let mut tokens = read(dir, "tokenizer.json");
    for token in tokens["added_tokens"].as_array_mut().unwrap() {
        token["special"] = json!(!token["content"].as_str().unwrap().contains("tool_call"));
    }
    write(dir, "tokenizer.json", &tokens);
    write(
        dir,
        "tokenizer_config.json",
        &json!({
        "tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "bos_token": null,
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"], "chat_template": "the source's template",
        "model_max_length": 131_072}),
    );
    write(
        dir,
        "generation_config.json",
        &json!({
        "eos_token_id": [tokenizer.special("<|im_end|>"), tokenizer.special("<|endoftext|>")],
        "pad_token_id": tokenizer.special("<|endoftext|>"), "temperature": 0.7}),
    );
    write(
        dir,
        "special_tokens_map.json",
        &json!({"eos_token": "<|im_end|>"}),
    );
    let mut config = read(dir, "config.json");
    config["torch_dtype"] = json!("bfloat16");
    write(dir, "config.json", &config);

    let path = dir.join("model.safetensors");
    let content = std::fs::read(&path).unwrap();
    let halves: Vec<(String, Vec<usize>, Vec<u8>)> = SafeTensors::deserialize(&content)
        .unwrap()
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let upper = view.data().chunks(4).flat_map(|b| [b[2], b[3]]).collect();
            (name, view.shape().to_vec(), upper)
        })
        .collect();
    let views = halves.iter().map(|(name, shape, data)| {
        (
            name,
            TensorView::new(Dtype::BF16, shape.clone(), data).unwrap(),
        )
    });
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    std::fs::write(path, safetensors::serialize(views, Some(metadata)).unwrap()).unwrap();
}

/// Reads a model and writes it again, as a run does that trains for no step.
fn resaved(from: &Path, to: &Path, format: &str) {
    let (decoder, tokenizer) = (Decoder::load(from).unwrap(), Tokenizer::load(from).unwrap());
    decoder.save(to).unwrap();
    tokenizer.save(to).unwrap();
    let format = renderer(format).unwrap();
    ChatFiles::load(from)
        .unwrap()
        .save(to, &tokenizer, format.as_ref())
        .unwrap();
}

#[test]
fn a_model_that_was_read_keeps_its_chat_files_and_names_the_type_its_weights_have() {
    let (source, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    published(source.path());
    resaved(source.path(), copy.path(), "qwen25");
    for name in [
        "tokenizer_config.json",
        "generation_config.json",
        "special_tokens_map.json",
    ] {
        assert_eq!(read(copy.path(), name), read(source.path(), name), "{name}");
    }
    let flags = |dir: &Path| -> Vec<(Value, Value)> {
        let tokens = read(dir, "tokenizer.json");
        let added = tokens["added_tokens"].as_array().unwrap();
        added
            .iter()
            .map(|t| (t["content"].clone(), t["special"].clone()))
            .collect()
    };
    assert_eq!(flags(copy.path()), flags(source.path()));
    assert!(flags(copy.path()).contains(&(json!("<tool_call>"), json!(false))));
    assert_eq!(read(copy.path(), "config.json")["torch_dtype"], "float32");
    let content = std::fs::read(copy.path().join("model.safetensors")).unwrap();
    let weights = SafeTensors::deserialize(&content).unwrap();
    assert!(
        weights
            .tensors()
            .iter()
            .all(|(_, view)| view.dtype() == Dtype::F32)
    );
}

#[test]
fn tags_that_are_not_special_are_text_and_special_tokens_are_not() {
    let dir = tempfile::tempdir().unwrap();
    published(dir.path());
    let tokenizer = Tokenizer::load(dir.path()).unwrap();
    let id = |token: &str| tokenizer.special(token).unwrap();
    let mut ids = vec![id("<|im_start|>"), id("<tool_call>")];
    ids.extend(tokenizer.encode("48213"));
    ids.extend([id("</tool_call>"), id("<|im_end|>")]);
    assert_eq!(tokenizer.decode(&ids), "<tool_call>48213</tool_call>");
}

#[test]
fn a_stop_token_and_a_template_that_the_source_does_not_have_are_the_formats() {
    let (source, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    published(source.path());
    // A base model: it ends texts, not turns, and has no template.
    write(
        source.path(),
        "tokenizer_config.json",
        &json!({"eos_token": "<|endoftext|>"}),
    );
    write(
        source.path(),
        "generation_config.json",
        &json!({"eos_token_id": 0}),
    );
    resaved(source.path(), copy.path(), "chatml");
    let format = renderer("chatml").unwrap();
    let stop = Tokenizer::load(copy.path())
        .unwrap()
        .special("<|im_end|>")
        .unwrap();
    assert_eq!(
        read(copy.path(), "generation_config.json")["eos_token_id"],
        json!([stop, 0])
    );
    let config = read(copy.path(), "tokenizer_config.json");
    assert_eq!(config["eos_token"], "<|endoftext|>");
    assert_eq!(config["chat_template"], format.chat_template());
}

#[test]
fn a_fresh_model_says_its_template_and_its_stop_token() {
    let dir = tempfile::tempdir().unwrap();
    let format = renderer("compact").unwrap();
    let tokenizer = Tokenizer::train(["where is 48213"], 300, format.specials()).unwrap();
    let stop = format.stop(&tokenizer);
    let config = ModelConfig {
        vocab_size: tokenizer.size(),
        ..ModelConfig::default()
    }
    .with_stop_token(stop);
    Decoder::fresh(config, 1).unwrap().save(dir.path()).unwrap();
    tokenizer.save(dir.path()).unwrap();
    ChatFiles::default()
        .save(dir.path(), &tokenizer, format.as_ref())
        .unwrap();
    let config = read(dir.path(), "tokenizer_config.json");
    assert_eq!(config["chat_template"], format.chat_template());
    assert_eq!(
        (&config["eos_token"], &config["pad_token"]),
        (&json!("<|end|>"), &json!("<|end|>"))
    );
    assert_eq!(
        config["additional_special_tokens"],
        json!(format.specials())
    );
    assert_eq!(
        read(dir.path(), "generation_config.json")["eos_token_id"],
        json!(stop)
    );
    assert_eq!(read(dir.path(), "config.json")["eos_token_id"], json!(stop));
}
