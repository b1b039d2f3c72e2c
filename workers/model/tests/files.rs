//! A policy's files: round trip, and clear errors for folders that hold no policy.

use agoge_model::{Decoder, ModelConfig};
use tch::Kind;

fn config() -> ModelConfig {
    ModelConfig {
        vocab_size: 300,
        hidden_size: 32,
        intermediate_size: 64,
        num_hidden_layers: 2,
        ..ModelConfig::default()
    }
}

#[test]
fn a_policy_comes_back_bit_for_bit_and_its_seed_decides_it() {
    for tie_word_embeddings in [true, false] {
        let config = ModelConfig {
            model_type: "qwen2".into(),
            tie_word_embeddings,
            ..config()
        };
        let decoder = Decoder::fresh(config.clone(), 11).unwrap();
        let dir = tempfile::tempdir().unwrap();
        decoder.save(dir.path()).unwrap();
        let loaded = Decoder::load(dir.path()).unwrap();
        assert_eq!(loaded.config(), &config);
        let (before, after) = (decoder.parameters(), loaded.parameters());
        assert_eq!(
            before.iter().map(|(n, _)| n).collect::<Vec<_>>(),
            after.iter().map(|(n, _)| n).collect::<Vec<_>>()
        );
        assert!(
            before
                .iter()
                .zip(&after)
                .all(|((_, a), (_, b))| a.equal(b) && b.requires_grad() && b.is_leaf())
        );
        assert_eq!(
            before.iter().map(|(_, t)| t.numel()).sum::<usize>(),
            decoder.parameter_count()
        );
        let same = Decoder::fresh(config.clone(), 11).unwrap().parameters();
        let other = Decoder::fresh(config, 12).unwrap().parameters();
        assert!(before.iter().zip(&same).all(|((_, a), (_, b))| a.equal(b)));
        assert!(!before[0].1.equal(&other[0].1));
    }
}

#[test]
fn every_parameter_gets_a_gradient_and_a_change_reaches_the_output() {
    let decoder = Decoder::fresh(
        ModelConfig {
            model_type: "qwen2".into(),
            ..config()
        },
        1,
    )
    .unwrap();
    let ids = tch::Tensor::from_slice(&[5i64, 6, 7, 8, 9, 1]).view([2, 3]);
    let output = || decoder.head(&decoder.hidden(&ids));
    let before = tch::no_grad(output);
    output()
        .log_softmax(-1, Kind::Float)
        .select(-1, 4)
        .sum(Kind::Float)
        .backward();
    for (name, mut tensor) in decoder.parameters() {
        let gradient = tensor.grad();
        assert!(
            gradient.defined() && gradient.isfinite().all().int64_value(&[]) == 1,
            "{name}"
        );
        // A bias of the keys moves all scores of a query alike, which the softmax does not see.
        if !name.ends_with("k_proj.bias") {
            assert!(
                gradient.abs().max().double_value(&[]) > 1e-7,
                "{name} has no gradient"
            );
        }
        tch::no_grad(|| {
            let _ = tensor.g_sub_(&(gradient * 0.1));
        });
    }
    let change = (tch::no_grad(output) - before)
        .abs()
        .max()
        .double_value(&[]);
    assert!(
        change > 1e-4,
        "the parameters do not share storage with the decoder"
    );
}

#[test]
fn folders_without_a_policy_are_refused_with_the_file_and_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |fragment: &str| {
        let error = Decoder::load(dir.path()).unwrap_err().to_string();
        assert!(error.contains(fragment), "{error}");
    };
    refused("config.json");
    Decoder::fresh(config(), 1)
        .unwrap()
        .save(dir.path())
        .unwrap();
    ModelConfig {
        hidden_size: 64,
        ..config()
    }
    .save(dir.path())
    .unwrap();
    refused("model.embed_tokens.weight has shape [300, 32], the config asks for [300, 64]");
    ModelConfig {
        num_hidden_layers: 3,
        ..config()
    }
    .save(dir.path())
    .unwrap();
    refused("model.layers.2.input_layernorm.weight is missing");
    ModelConfig {
        model_type: "mamba".into(),
        ..config()
    }
    .save(dir.path())
    .unwrap();
    refused("llama and qwen2 are known");
    ModelConfig {
        num_attention_heads: 3,
        ..config()
    }
    .save(dir.path())
    .unwrap();
    refused("num_attention_heads (3)");
    config().save(dir.path()).unwrap();
    let file = dir.path().join("model.safetensors");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    refused("not a whole safetensors file");
}
