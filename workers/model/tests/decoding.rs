//! Decoding beside the training pass: the same numbers, whoever else plays, with and without shared beginnings.

use agoge_model::{Decoder, Engine, Generation, ModelConfig, Request, SampleKey, Sampling};
use tch::{Kind, Tensor};

fn llama() -> ModelConfig {
    ModelConfig {
        vocab_size: 211,
        hidden_size: 48,
        intermediate_size: 96,
        num_hidden_layers: 3,
        ..ModelConfig::default()
    }
}

fn qwen2() -> ModelConfig {
    ModelConfig {
        architectures: vec!["Qwen2ForCausalLM".into()],
        model_type: "qwen2".into(),
        num_attention_heads: 4,
        num_key_value_heads: Some(4),
        head_dim: Some(18),
        tie_word_embeddings: false,
        ..llama()
    }
}

/// Weights large enough that distributions are far from uniform, and biases and norms that matter.
fn policy(config: ModelConfig) -> Decoder {
    let decoder = Decoder::fresh(
        ModelConfig {
            initializer_range: 0.2,
            ..config
        },
        5,
    )
    .expect("the config is sound");
    tch::no_grad(|| {
        for (number, (name, mut tensor)) in (0i64..).zip(decoder.parameters()) {
            if name.ends_with("bias") || name.ends_with("norm.weight") {
                let shift =
                    (Tensor::arange(tensor.numel() as i64, (Kind::Float, tch::Device::Cpu))
                        + number)
                        .sin()
                        * 0.2;
                let _ = tensor.g_add_(&shift.view_as(&tensor));
            }
        }
    });
    decoder
}

fn ids(seed: u32, count: usize) -> Vec<u32> {
    (0..count as u32)
        .map(|i| (i * 37 + seed * 101 + i * i * seed) % 211)
        .collect()
}

fn request(slot: usize, append: Vec<u32>, turn: u64, max_new: usize) -> Request {
    Request {
        slot,
        append,
        key: SampleKey {
            seed: 3,
            member: slot as u64,
            turn,
            ..SampleKey::default()
        },
        max_new,
    }
}

fn sampling() -> Sampling {
    Sampling {
        temperature: 0.8,
        stop: vec![7, 8, 9],
    }
}

/// Log-probabilities of the last `count` ids of a sequence under the training pass.
fn scored(decoder: &Decoder, sequence: &[u32], count: usize, temperature: f64) -> Vec<f32> {
    tch::no_grad(|| {
        let ids: Vec<i64> = sequence.iter().map(|id| i64::from(*id)).collect();
        let logits =
            decoder.head(&decoder.hidden(&Tensor::from_slice(&ids).unsqueeze(0))) / temperature;
        let all = logits.squeeze_dim(0).log_softmax(-1, Kind::Float);
        (ids.len() - count..ids.len())
            .map(|at| all.double_value(&[at as i64 - 1, ids[at]]) as f32)
            .collect()
    })
}

fn assert_close(a: &[f32], b: &[f32], within: f32) {
    assert_eq!(a.len(), b.len());
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() < within, "{x} {y}");
    }
}

#[test]
fn over_several_turns_the_logprobs_are_those_of_the_training_pass() {
    for config in [llama(), qwen2()] {
        let decoder = policy(config);
        let mut engine = Engine::new(5, 300);
        let mut sequences = vec![Vec::new(); 5];
        for turn in 0..4u32 {
            let requests: Vec<Request> = (0..5)
                .map(|slot| {
                    request(
                        slot,
                        ids(turn * 5 + slot as u32, 3 + slot * 9),
                        u64::from(turn),
                        12,
                    )
                })
                .collect();
            let said = engine.generate(&decoder, &requests, &sampling()).unwrap();
            for (request, generation) in requests.iter().zip(said) {
                let sequence: &mut Vec<u32> = &mut sequences[request.slot];
                sequence.extend(&request.append);
                sequence.extend(&generation.ids);
                assert_eq!(engine.len(request.slot), sequence.len());
                let expected = scored(&decoder, sequence, generation.ids.len(), 0.8);
                assert_close(&generation.logprobs, &expected, 2e-4);
                let stopped = generation
                    .ids
                    .last()
                    .is_some_and(|id| sampling().stop.contains(id));
                assert_eq!(generation.truncated, !stopped);
                assert!(generation.ids.len() == 12 || stopped);
            }
        }
        assert!(
            sequences.iter().any(|s| s.len() > 64),
            "no sequence went past two blocks"
        );
    }
}

#[test]
fn a_slot_says_the_same_alone_and_among_others_on_one_thread_and_on_two() {
    let decoder = policy(llama());
    let play = |members: &[usize], threads: i32| -> Vec<(usize, Vec<Generation>)> {
        tch::set_num_threads(threads);
        let mut engine = Engine::new(12, 200);
        let mut said: Vec<(usize, Vec<Generation>)> =
            members.iter().map(|m| (*m, Vec::new())).collect();
        for turn in 0..3 {
            let requests: Vec<Request> = members
                .iter()
                .map(|m| request(*m, ids(*m as u32 + 20 * turn, 5 + m), u64::from(turn), 20))
                .collect();
            for ((_, all), one) in said
                .iter_mut()
                .zip(engine.generate(&decoder, &requests, &sampling()).unwrap())
            {
                all.push(one);
            }
        }
        said
    };
    let all = play(&(0..12).collect::<Vec<_>>(), 2);
    for (members, threads) in [(vec![3], 1), (vec![3, 7, 11], 2), (vec![11, 2], 1)] {
        for (member, generations) in play(&members, threads) {
            for (alone, among) in generations.iter().zip(&all[member].1) {
                assert_eq!(alone.ids, among.ids);
                assert_close(&alone.logprobs, &among.logprobs, 1e-5);
            }
        }
    }
    // Keys matter: equal beginnings with other keys say other things.
    assert!(all.iter().any(|(_, g)| g[0].ids != all[0].1[0].ids));
}

#[test]
fn members_with_one_beginning_say_what_they_would_say_without_sharing_it() {
    let decoder = policy(llama());
    let beginning = ids(1, 70);
    let requests: Vec<Request> = (0..9)
        .map(|slot| request(slot, beginning.clone(), 0, 30))
        .collect();
    let mut engine = Engine::new(9, 200);
    let shared = engine.generate(&decoder, &requests, &sampling()).unwrap();
    let second: Vec<Request> = (0..9).map(|slot| request(slot, ids(4, 6), 1, 10)).collect();
    let shared_next = engine.generate(&decoder, &second, &sampling()).unwrap();
    for slot in 0..9 {
        let mut alone = Engine::new(9, 200);
        let first = alone
            .generate(&decoder, &requests[slot..=slot], &sampling())
            .unwrap();
        let next = alone
            .generate(&decoder, &second[slot..=slot], &sampling())
            .unwrap();
        assert_eq!(first[0].ids, shared[slot].ids);
        assert_eq!(next[0].ids, shared_next[slot].ids);
        assert_close(&next[0].logprobs, &shared_next[slot].logprobs, 1e-5);
    }
    assert!(
        shared.iter().any(|g| g.ids != shared[0].ids),
        "members all said the same"
    );
}

#[test]
fn a_slot_without_room_is_truncated_and_a_reset_one_begins_anew() {
    let decoder = policy(llama());
    let mut engine = Engine::new(1, 40);
    let free = Sampling {
        temperature: 1.0,
        stop: Vec::new(),
    };
    let first = engine
        .generate(&decoder, &[request(0, ids(1, 30), 0, 50)], &free)
        .unwrap();
    assert!(first[0].truncated);
    assert_eq!(first[0].ids.len(), 10);
    let none = engine
        .generate(&decoder, &[request(0, ids(2, 5), 1, 50)], &free)
        .unwrap();
    assert_eq!(
        none,
        [Generation {
            truncated: true,
            ..Generation::default()
        }]
    );
    engine.reset(0);
    let again = engine
        .generate(&decoder, &[request(0, ids(1, 30), 0, 50)], &free)
        .unwrap();
    assert_eq!(again[0].ids, first[0].ids);
}

#[test]
fn requests_that_cannot_be_decoded_name_their_slot() {
    let decoder = policy(llama());
    let mut engine = Engine::new(2, 40);
    for (requests, reason) in [
        (vec![request(2, vec![1], 0, 4)], "there are 2 slots"),
        (
            vec![request(1, vec![1], 0, 4), request(1, vec![1], 0, 4)],
            "twice",
        ),
        (vec![request(0, vec![], 0, 4)], "append at least one id"),
        (vec![request(0, vec![211], 0, 4)], "vocab_size is 211"),
    ] {
        let error = engine
            .generate(&decoder, &requests, &sampling())
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn tokens_end_to_end_have_the_values_and_gradients_of_padded_rows() {
    for config in [llama(), qwen2()] {
        let decoder = policy(config);
        let lengths = [5usize, 9, 9, 3];
        let rows: Vec<Vec<i64>> = (0u32..)
            .zip(lengths)
            .map(|(n, length)| ids(n, length).iter().map(|id| i64::from(*id)).collect())
            .collect();
        let padded: Vec<i64> = rows
            .iter()
            .flat_map(|row| (0..9).map(|at| row.get(at).copied().unwrap_or(0)))
            .collect();
        let picked_padded = Tensor::from_slice(&[2i64, 4, 9, 17, 20, 27, 29]);
        let picked_flat = Tensor::from_slice(&[2i64, 4, 5, 13, 16, 23, 25]);
        let gradients = |hidden: Tensor| {
            let loss = decoder
                .head(&hidden)
                .log_softmax(-1, Kind::Float)
                .select(1, 3)
                .sum(Kind::Float);
            let parameters = decoder.parameters();
            for (_, parameter) in &parameters {
                let mut gradient = parameter.grad();
                if gradient.defined() {
                    let _ = gradient.zero_();
                }
            }
            loss.backward();
            parameters
                .into_iter()
                .map(|(name, p)| (name, p.grad().copy()))
                .collect::<Vec<_>>()
        };
        let hidden = decoder.hidden(&Tensor::from_slice(&padded).view([4, 9]));
        let expected = hidden.reshape([36, -1]).index_select(0, &picked_padded);
        let flat = decoder.hidden_at(
            &Tensor::from_slice(&rows.concat()),
            &lengths.map(|length| length as i64),
            &picked_flat,
        );
        assert!((&flat - &expected).abs().max().double_value(&[]) < 1e-4);
        for ((name, a), (_, b)) in gradients(flat).iter().zip(gradients(expected)) {
            let scale = b.abs().max().double_value(&[]).max(1e-3);
            assert!(
                (a - &b).abs().max().double_value(&[]) < 1e-4 * scale.max(1.0),
                "{name}"
            );
        }
    }
}
