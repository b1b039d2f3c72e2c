//! The decoder: RMSNorm, rotary positions, grouped-query attention, SwiGLU (Llama, arXiv 2302.13971; Qwen2, arXiv
//! 2407.10671), with the forward pass that training differentiates. Decoding has its own pass in `engine`.
//!
//! Matrices that read the same input lie in one storage, so that each layer multiplies twice instead of five times;
//! the parameters with Hugging Face's names are views into it.

use std::collections::HashMap;
use std::path::Path;

use agoge_dialogue::random::hash;
use tch::{Kind, Tensor};

use crate::random::normals;
use crate::{ModelConfig, ModelError, weights};

/// A policy's weights.
#[derive(Debug)]
pub struct Decoder {
    config: ModelConfig,
    pub(crate) embedding: Tensor,
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm: Tensor,
    /// `None` when the head is the embedding.
    head: Option<Tensor>,
    /// `[positions, head_width / 2]` complex: the rotation of each pair at each position.
    rotations: Tensor,
}

/// One layer.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) input_norm: Tensor,
    pub(crate) qkv: Stacked,
    pub(crate) qkv_bias: Option<Stacked>,
    pub(crate) output: Tensor,
    pub(crate) output_bias: Option<Tensor>,
    pub(crate) post_norm: Tensor,
    pub(crate) gate_up: Stacked,
    pub(crate) down: Tensor,
}

/// Parameters stacked along their first dimension in one storage.
#[derive(Debug)]
pub(crate) struct Stacked {
    /// All of them, without gradient.
    pub(crate) whole: Tensor,
    /// Leaves with gradient, views of `whole`.
    parts: Vec<Tensor>,
}

impl Stacked {
    fn new(parts: &[Tensor]) -> Self {
        let whole = Tensor::cat(parts, 0);
        let mut start = 0;
        let parts = parts
            .iter()
            .map(|part| {
                let rows = part.size()[0];
                start += rows;
                whole
                    .narrow(0, start - rows, rows)
                    .detach()
                    .set_requires_grad(true)
            })
            .collect();
        Self { whole, parts }
    }

    fn share(&self) -> Self {
        let parts = self.parts.iter().map(Tensor::shallow_clone).collect();
        Self {
            whole: self.whole.shallow_clone(),
            parts,
        }
    }

    /// The stack as part of the graph.
    fn graph(&self) -> Tensor {
        Tensor::cat(&self.parts, 0)
    }
}

impl Layer {
    fn share(&self) -> Self {
        Self {
            input_norm: self.input_norm.shallow_clone(),
            qkv: self.qkv.share(),
            qkv_bias: self.qkv_bias.as_ref().map(Stacked::share),
            output: self.output.shallow_clone(),
            output_bias: self.output_bias.as_ref().map(Tensor::shallow_clone),
            post_norm: self.post_norm.shallow_clone(),
            gate_up: self.gate_up.share(),
            down: self.down.shallow_clone(),
        }
    }
}

/// Names and shapes of all parameters, in the order of [`Decoder::parameters`].
fn shapes(config: &ModelConfig) -> Vec<(String, Vec<i64>)> {
    let (hidden, inner) = (config.hidden_size as i64, config.intermediate_size as i64);
    let width = config.head_width() as i64;
    let (queries, keys) = (
        config.num_attention_heads as i64 * width,
        config.kv_heads() as i64 * width,
    );
    let vocab = config.vocab_size as i64;
    let mut all = vec![("model.embed_tokens.weight".to_owned(), vec![vocab, hidden])];
    for layer in 0..config.num_hidden_layers {
        let mut add =
            |name: &str, shape: Vec<i64>| all.push((format!("model.layers.{layer}.{name}"), shape));
        add("input_layernorm.weight", vec![hidden]);
        for (name, rows) in [("q_proj", queries), ("k_proj", keys), ("v_proj", keys)] {
            add(&format!("self_attn.{name}.weight"), vec![rows, hidden]);
        }
        if config.qkv_bias() {
            for (name, rows) in [("q_proj", queries), ("k_proj", keys), ("v_proj", keys)] {
                add(&format!("self_attn.{name}.bias"), vec![rows]);
            }
        }
        add("self_attn.o_proj.weight", vec![hidden, queries]);
        if config.output_bias() {
            add("self_attn.o_proj.bias", vec![hidden]);
        }
        add("post_attention_layernorm.weight", vec![hidden]);
        add("mlp.gate_proj.weight", vec![inner, hidden]);
        add("mlp.up_proj.weight", vec![inner, hidden]);
        add("mlp.down_proj.weight", vec![hidden, inner]);
    }
    all.push(("model.norm.weight".to_owned(), vec![hidden]));
    if !config.tie_word_embeddings {
        all.push(("lm_head.weight".to_owned(), vec![vocab, hidden]));
    }
    all
}

impl Decoder {
    /// A policy with random weights, a function of config and seed alone: normal with the config's
    /// `initializer_range`, smaller by `sqrt(2 layers)` where a layer writes to the residual stream (GPT-2's scheme);
    /// norms 1, biases 0.
    ///
    /// # Errors
    /// When the config is at fault.
    pub fn fresh(config: ModelConfig, seed: u64) -> Result<Self, ModelError> {
        config.check()?;
        let writing = config.initializer_range / (2.0 * config.num_hidden_layers as f64).sqrt();
        let mut tensors = HashMap::new();
        for (number, (name, shape)) in (0u64..).zip(shapes(&config)) {
            let count = shape.iter().product::<i64>() as usize;
            let values = if name.ends_with("norm.weight") {
                vec![1.0; count]
            } else if name.ends_with("bias") {
                vec![0.0; count]
            } else {
                let writes = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
                let scale = if writes {
                    writing
                } else {
                    config.initializer_range
                };
                normals(hash(&[seed, number]), count, scale)
            };
            tensors.insert(name, Tensor::from_slice(&values).view(shape.as_slice()));
        }
        Self::from_tensors(config, tensors)
    }

    /// Reads a folder with `config.json` and safetensors.
    ///
    /// # Errors
    /// When a file cannot be read, or weights and config do not fit each other.
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        let config = ModelConfig::load(dir)?;
        Self::from_tensors(config, weights::load(dir)?)
    }

    /// Writes `config.json` and `model.safetensors`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), ModelError> {
        weights::save(dir, &self.parameters())?;
        self.config.clone().with_dtype(weights::DTYPE).save(dir)
    }

    /// The weights as the content of a `model.safetensors`: the same weights give the same bytes.
    ///
    /// # Errors
    /// When a tensor cannot be read.
    pub fn weights(&self) -> Result<Vec<u8>, ModelError> {
        weights::to_bytes(&self.parameters()).map_err(ModelError::Weights)
    }

    /// Takes over what [`Decoder::weights`] of a policy of the same shape gave. Every handle on these weights sees it.
    ///
    /// # Errors
    /// When they do not fit; then nothing has changed.
    pub fn take_over(&self, content: &[u8]) -> Result<(), ModelError> {
        let tensors = weights::of_bytes(content).map_err(ModelError::Weights)?;
        let found = |name: &String, parameter: &Tensor| {
            let tensor = tensors.get(name);
            tensor
                .filter(|tensor| tensor.size() == parameter.size())
                .ok_or_else(|| {
                    let size = parameter.size();
                    ModelError::Weights(format!("{name} is missing or not of shape {size:?}"))
                })
        };
        let parameters = self.parameters();
        let pairs: Vec<(&Tensor, &Tensor)> = parameters
            .iter()
            .map(|(name, parameter)| Ok((parameter, found(name, parameter)?)))
            .collect::<Result<_, ModelError>>()?;
        tch::no_grad(|| {
            for (parameter, tensor) in pairs {
                parameter.shallow_clone().copy_(tensor);
            }
        });
        Ok(())
    }

    fn from_tensors(
        config: ModelConfig,
        mut tensors: HashMap<String, Tensor>,
    ) -> Result<Self, ModelError> {
        for (name, shape) in shapes(&config) {
            let found = tensors.get(&name).map(Tensor::size);
            match found {
                Some(size) if size == shape => {}
                Some(size) => {
                    return Err(ModelError::Weights(format!(
                        "{name} has shape {size:?}, the config asks for {shape:?}"
                    )));
                }
                None => return Err(ModelError::Weights(format!("{name} is missing"))),
            }
        }
        let mut take = |name: String| {
            tensors
                .remove(&name)
                .ok_or_else(|| ModelError::Weights(format!("{name} is missing")))
        };
        let leaf = |tensor: Tensor| tensor.contiguous().detach().set_requires_grad(true);
        let mut layers = Vec::with_capacity(config.num_hidden_layers);
        for layer in 0..config.num_hidden_layers {
            let mut get = |name: &str| take(format!("model.layers.{layer}.{name}"));
            let qkv_bias = match config.qkv_bias() {
                true => Some(Stacked::new(&[
                    get("self_attn.q_proj.bias")?,
                    get("self_attn.k_proj.bias")?,
                    get("self_attn.v_proj.bias")?,
                ])),
                false => None,
            };
            layers.push(Layer {
                input_norm: leaf(get("input_layernorm.weight")?),
                qkv: Stacked::new(&[
                    get("self_attn.q_proj.weight")?,
                    get("self_attn.k_proj.weight")?,
                    get("self_attn.v_proj.weight")?,
                ]),
                qkv_bias,
                output: leaf(get("self_attn.o_proj.weight")?),
                output_bias: if config.output_bias() {
                    Some(leaf(get("self_attn.o_proj.bias")?))
                } else {
                    None
                },
                post_norm: leaf(get("post_attention_layernorm.weight")?),
                gate_up: Stacked::new(&[get("mlp.gate_proj.weight")?, get("mlp.up_proj.weight")?]),
                down: leaf(get("mlp.down_proj.weight")?),
            });
        }
        let embedding = leaf(take("model.embed_tokens.weight".into())?);
        let norm = leaf(take("model.norm.weight".into())?);
        let head = if config.tie_word_embeddings {
            None
        } else {
            Some(leaf(take("lm_head.weight".into())?))
        };
        let rotations = rotations(&config, config.max_position_embeddings);
        Ok(Self {
            config,
            embedding,
            layers,
            norm,
            head,
            rotations,
        })
    }

    /// Another handle on the same weights, for another thread: what one changes, all see.
    #[must_use]
    pub fn share(&self) -> Self {
        Self {
            config: self.config.clone(),
            embedding: self.embedding.shallow_clone(),
            layers: self.layers.iter().map(Layer::share).collect(),
            norm: self.norm.shallow_clone(),
            head: self.head.as_ref().map(Tensor::shallow_clone),
            rotations: self.rotations.shallow_clone(),
        }
    }

    /// The config it was built from.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Every parameter by Hugging Face's name. The tensors share storage with the decoder and carry the gradients.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, Tensor)> {
        let mut tensors = vec![&self.embedding];
        for layer in &self.layers {
            tensors.push(&layer.input_norm);
            tensors.extend(&layer.qkv.parts);
            tensors.extend(layer.qkv_bias.iter().flat_map(|bias| &bias.parts));
            tensors.push(&layer.output);
            tensors.extend(&layer.output_bias);
            tensors.push(&layer.post_norm);
            tensors.extend(&layer.gate_up.parts);
            tensors.push(&layer.down);
        }
        tensors.push(&self.norm);
        tensors.extend(&self.head);
        let names = shapes(&self.config).into_iter().map(|(name, _)| name);
        names
            .zip(tensors)
            .map(|(name, tensor)| (name, tensor.shallow_clone()))
            .collect()
    }

    /// Number of parameters.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        shapes(&self.config)
            .iter()
            .map(|(_, shape)| shape.iter().product::<i64>() as usize)
            .sum()
    }

    /// The matrix of the head, `[vocab, hidden]`.
    pub(crate) fn head_matrix(&self) -> &Tensor {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// Hidden states after the last norm, `[B, T, D]`, of ids `[B, T]` (int64, padded on the right: attention is causal,
    /// so padding reaches no token before it).
    pub fn hidden(&self, ids: &Tensor) -> Tensor {
        let [rows, length] = [ids.size()[0], ids.size()[1]];
        let states = self.states(&ids.reshape([-1]), &vec![length; rows as usize], None);
        states.view([rows, length, self.config.hidden_size as i64])
    }

    /// Hidden states after the last norm of some tokens, `[M, D]`: of `ids`, sequences of these `lengths` end to end
    /// (`[N]` int64, nothing is padding), those at the flat positions `wanted` (`[M]` int64). The last layer's
    /// feed-forward runs on the wanted tokens alone, which changes no value and no gradient.
    pub fn hidden_at(&self, ids: &Tensor, lengths: &[i64], wanted: &Tensor) -> Tensor {
        self.states(ids, lengths, Some(wanted))
    }

    fn states(&self, ids: &Tensor, lengths: &[i64], wanted: Option<&Tensor>) -> Tensor {
        let rotations = self.rotations_of(lengths);
        let mut stream = Tensor::embedding(&self.embedding, ids, -1, false, false);
        for (number, layer) in self.layers.iter().enumerate() {
            let mut mixed = self.attention(layer, &stream, lengths, &rotations);
            if let Some(wanted) = wanted.filter(|_| number + 1 == self.layers.len()) {
                mixed = mixed.index_select(0, wanted);
                stream = stream.index_select(0, wanted);
            }
            // Not `+=`, which works in place: the norm before it has saved the old stream for its gradient.
            let written = &stream + mixed.linear(&layer.output, layer.output_bias.as_ref());
            stream = self.feed_forward(layer, &written);
        }
        self.normed(&stream) * &self.norm
    }

    /// The rotation of each token, `[N, 1, head_width / 2]` complex.
    fn rotations_of(&self, lengths: &[i64]) -> Tensor {
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let positions: Vec<i64> = lengths.iter().flat_map(|length| 0..*length).collect();
        let positions = Tensor::from_slice(&positions);
        let table = if longest <= self.rotations.size()[0] {
            self.rotations.index_select(0, &positions)
        } else {
            rotations(&self.config, longest as usize).index_select(0, &positions)
        };
        table.unsqueeze(1)
    }

    /// Logits `[.., vocab]` of hidden states `[.., D]`.
    pub fn head(&self, hidden: &Tensor) -> Tensor {
        hidden.linear(self.head_matrix(), None::<&Tensor>)
    }

    /// Returns the output of each token's heads, `[N, heads * width]`, before the output projection.
    fn attention(
        &self,
        layer: &Layer,
        stream: &Tensor,
        lengths: &[i64],
        rotations: &Tensor,
    ) -> Tensor {
        let (heads, kv) = (
            self.config.num_attention_heads as i64,
            self.config.kv_heads() as i64,
        );
        let width = self.config.head_width() as i64;
        let bias = layer
            .qkv_bias
            .as_ref()
            .map(|bias| self.paired(&bias.graph()));
        // The norm's weight scales the columns of the small matrix instead of the activations.
        let matrix = self.paired(&(layer.qkv.graph() * &layer.input_norm));
        let qkv = self.normed(stream).linear(&matrix, bias.as_ref());
        let parts = qkv.split_with_sizes([(heads + kv) * width, kv * width], -1);
        let turned = parts[0]
            .view([-1, heads + kv, width / 2, 2])
            .view_as_complex()
            * rotations;
        let turned = turned.view_as_real().view([-1, heads + kv, width]);
        let value = parts[1].view([-1, kv, width]);
        let attend = |turned: &Tensor, value: &Tensor, rows: i64, length: i64| {
            let turned = turned
                .view([rows, length, heads + kv, width])
                .transpose(1, 2);
            let mut turned = turned.split_with_sizes([heads, kv], 1);
            let (key, query) = (turned.remove(1), turned.remove(0));
            let value = value.view([rows, length, kv, width]).transpose(1, 2);
            let none = None::<&Tensor>;
            Tensor::scaled_dot_product_attention(
                &query,
                &key,
                &value,
                none,
                0.0,
                true,
                None,
                heads != kv,
            )
            .transpose(1, 2)
            .reshape([-1, heads * width])
        };
        // Neighbours of one length are attended together.
        let runs: Vec<&[i64]> = lengths.chunk_by(|a, b| a == b).collect();
        if let [run] = runs.as_slice() {
            return attend(&turned, &value, run.len() as i64, run[0]);
        }
        let sizes: Vec<i64> = runs.iter().map(|run| run.iter().sum()).collect();
        let split = turned
            .split_with_sizes(sizes.as_slice(), 0)
            .into_iter()
            .zip(value.split_with_sizes(sizes, 0));
        let mixed: Vec<Tensor> = split
            .zip(runs)
            .map(|((turned, value), run)| attend(&turned, &value, run.len() as i64, run[0]))
            .collect();
        Tensor::cat(&mixed, 0)
    }

    fn feed_forward(&self, layer: &Layer, stream: &Tensor) -> Tensor {
        let matrix = layer.gate_up.graph() * &layer.post_norm;
        let both = self
            .normed(stream)
            .linear(&matrix, None::<&Tensor>)
            .chunk(2, -1);
        stream + (both[0].silu() * &both[1]).linear(&layer.down, None::<&Tensor>)
    }

    /// RMSNorm without its weight.
    fn normed(&self, stream: &Tensor) -> Tensor {
        stream.rms_norm(
            [self.config.hidden_size as i64],
            None::<&Tensor>,
            self.config.rms_norm_eps,
        )
    }

    /// Rows of query and key heads reordered so that the two coordinates which rotate together, `i` and `i + width / 2`
    /// in the files, are neighbours, that is one complex number. Attention's dot products do not depend on the order.
    fn paired(&self, qkv: &Tensor) -> Tensor {
        let (heads, kv) = (
            self.config.num_attention_heads as i64,
            self.config.kv_heads() as i64,
        );
        let width = self.config.head_width() as i64;
        let parts = qkv.split_with_sizes([(heads + kv) * width, kv * width], 0);
        let turned = parts[0]
            .view([heads + kv, 2, width / 2, -1])
            .transpose(1, 2);
        Tensor::cat(
            &[turned.reshape(parts[0].size()), parts[1].shallow_clone()],
            0,
        )
    }
}

/// cos and sin of each position's rotations: `[positions][head_width / 2]` pairs.
pub(crate) fn rotation_table(
    config: &ModelConfig,
    positions: std::ops::Range<usize>,
) -> Vec<[f32; 2]> {
    let half = config.head_width() / 2;
    let frequencies: Vec<f32> = (0..half)
        .map(|i| config.rope_theta.powf(-(i as f64) / half as f64) as f32)
        .collect();
    positions
        .flat_map(|position| {
            frequencies.iter().map(move |frequency| {
                // The angle is rounded to float32 as transformers rounds it.
                let angle = f64::from(position as f32 * frequency);
                [angle.cos() as f32, angle.sin() as f32]
            })
        })
        .collect()
}

fn rotations(config: &ModelConfig, positions: usize) -> Tensor {
    let table = rotation_table(config, 0..positions);
    let half = config.head_width() as i64 / 2;
    Tensor::from_slice(table.as_flattened())
        .view([positions as i64, half, 2])
        .to_kind(Kind::Float)
        .view_as_complex()
}
