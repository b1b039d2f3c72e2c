//! A language model of the run - policy or user - with its tokenizer and format: made fresh, read from a folder, put into
//! the store and fetched again.

use std::path::Path;

use agoge_crds::grpo_run::FreshModel;
use agoge_dialogue::{
    Message, Renderer, Role, ToolSpec, Transcript, Vocab, agent_view, renderer, supervise,
    user_view,
};
use agoge_learner::parallel::Parallelism;
use agoge_learner::rollout::{Player, system};
use agoge_model::{ChatFiles, Decoder, ModelConfig, Tokenizer};
use agoge_store::{Folder, Store};
use agoge_world::Domain;
use parking_lot::Mutex;

use super::suite::Instance;
use crate::failure::Failure;

/// From this size on a gradient is held once, so torch's own threads work on it; below it, threads of ours do.
const LARGE: usize = 20_000_000;

/// Weights, tokenizer, format.
pub struct Policy {
    /// Weights.
    pub decoder: Decoder,
    /// Tokenizer.
    pub tokenizer: Tokenizer,
    /// Format of messages.
    pub renderer: Box<dyn Renderer>,
    /// Chat template, special tokens and stop tokens of the folder it was read from.
    chat: ChatFiles,
}

impl Policy {
    /// A new model in our compact format. Its tokenizer is trained on the dialogues given: those of the training splits,
    /// as policy and user see them.
    pub fn fresh(
        shape: &FreshModel,
        domain: &Domain,
        training: &[&Instance],
        seed: u64,
    ) -> Result<Self, Failure> {
        let renderer = format("compact")?;
        let corpus = Corpus::default();
        for instance in training {
            let _ = agent_side(renderer.as_ref(), &corpus, domain, &instance.messages);
            let tools = &domain.user_tools;
            let _ = user_side(renderer.as_ref(), &corpus, tools, &as_user(instance));
        }
        let texts = corpus.0.into_inner();
        let size = shape.vocab_size as usize;
        let tokenizer =
            Tokenizer::train(&texts, size, renderer.specials()).map_err(Failure::input)?;
        let config = ModelConfig {
            vocab_size: tokenizer.size(),
            hidden_size: shape.hidden_size as usize,
            intermediate_size: shape.intermediate_size as usize,
            num_hidden_layers: shape.layers as usize,
            num_attention_heads: shape.heads as usize,
            num_key_value_heads: Some(shape.kv_heads as usize),
            max_position_embeddings: shape.max_length as usize,
            // Wide models begin at 0.02; at a width of 160 copying is learnt in far fewer steps from larger weights.
            initializer_range: (0.75 / f64::from(shape.hidden_size).sqrt()).clamp(0.02, 0.06),
            ..ModelConfig::default()
        }
        .with_stop_token(renderer.stop(&tokenizer));
        let decoder = Decoder::fresh(config, seed).map_err(Failure::input)?;
        Ok(Self {
            decoder,
            tokenizer,
            renderer,
            chat: ChatFiles::default(),
        })
    }

    /// One from a folder of `config.json`, safetensors and `tokenizer.json`.
    pub fn load(dir: &Path) -> Result<Self, Failure> {
        let decoder = Decoder::load(dir).map_err(Failure::input)?;
        let tokenizer = Tokenizer::load(dir).map_err(Failure::input)?;
        tokenizer.check(decoder.config()).map_err(Failure::input)?;
        let chat = ChatFiles::load(dir).map_err(Failure::input)?;
        let known = match decoder.config().model_type.as_str() {
            "qwen2" => ["compact", "qwen25", "chatml"],
            _ => ["compact", "chatml", "qwen25"],
        };
        for name in known {
            let renderer = format(name)?;
            if renderer.check(&tokenizer).is_ok() {
                return Ok(Self {
                    decoder,
                    tokenizer,
                    renderer,
                    chat,
                });
            }
        }
        Err(Failure::Input(format!(
            "the tokenizer in {} has the special tokens of no chat format known here ({}); use a model of one of them",
            dir.display(),
            known.join(", ")
        )))
    }

    /// Writes it into the store.
    pub fn put(&self, store: &Store, work: &Path) -> Result<Folder, Failure> {
        let dir = work.join("model");
        self.decoder.save(&dir).map_err(Failure::infra)?;
        self.tokenizer.save(&dir).map_err(Failure::infra)?;
        self.chat
            .save(&dir, &self.tokenizer, self.renderer.as_ref())
            .map_err(Failure::infra)?;
        Ok(store.put_folder(&dir)?)
    }

    /// Fetches one from the store into `dir`.
    pub fn get(store: &Store, folder: &Folder, dir: &Path) -> Result<Self, Failure> {
        store.get_folder(folder, dir)?;
        Self::load(dir)
    }

    /// Prepares this thread's libtorch for training the model, and returns the pieces that its work is cut into.
    pub fn prepare(&self, parallelism: Parallelism) -> Parallelism {
        let large = self.decoder.parameter_count() > LARGE;
        let torch = if large { parallelism.threads() } else { 1 };
        tch::set_num_threads(i32::try_from(torch).unwrap_or(1));
        if large {
            parallelism.in_one_piece()
        } else {
            parallelism
        }
    }

    /// Returns the model as a player.
    pub fn player(&self, temperature: f64) -> Player<'_> {
        Player {
            decoder: &self.decoder,
            vocab: &self.tokenizer,
            renderer: self.renderer.as_ref(),
            temperature,
            version: 0,
        }
    }

    /// A demonstration with the agent's turns trained.
    pub fn demonstration(&self, domain: &Domain, messages: &[Message]) -> Transcript {
        agent_side(self.renderer.as_ref(), &self.tokenizer, domain, messages)
    }

    /// A dialogue with the user's turns trained, its calls included, as [`as_user`] gives it.
    pub fn user_dialogue(&self, domain: &Domain, messages: &[Message]) -> Transcript {
        let tools = &domain.user_tools;
        user_side(self.renderer.as_ref(), &self.tokenizer, tools, messages)
    }
}

fn format(name: &str) -> Result<Box<dyn Renderer>, Failure> {
    renderer(name).ok_or_else(|| Failure::Input(format!("there is no chat format `{name}`")))
}

fn agent_side(
    renderer: &dyn Renderer,
    vocab: &dyn Vocab,
    domain: &Domain,
    messages: &[Message],
) -> Transcript {
    supervise(
        renderer,
        vocab,
        system(domain, renderer),
        &domain.tools,
        &agent_view(messages),
        Role::Assistant,
    )
}

fn user_side(
    renderer: &dyn Renderer,
    vocab: &dyn Vocab,
    tools: &[ToolSpec],
    messages: &[Message],
) -> Transcript {
    let (instruction, dialogue) = match messages.split_first() {
        Some((first, rest)) if first.role == Role::System => (first.content.as_str(), rest),
        _ => ("", messages),
    };
    supervise(renderer, vocab, instruction, tools, dialogue, Role::User)
}

/// A dialogue as its user knows it: the instruction as a system message, then the texts, and its own calls with results.
pub fn as_user(instance: &Instance) -> Vec<Message> {
    let mut messages = vec![Message::system(&instance.task.user.instruction)];
    messages.extend(user_view(&instance.messages));
    messages
}

/// A vocabulary that encodes nothing and remembers what it was asked to: the texts that a tokenizer will see.
#[derive(Default)]
struct Corpus(Mutex<Vec<String>>);

impl Vocab for Corpus {
    fn encode(&self, text: &str) -> Vec<u32> {
        self.0.lock().push(text.to_owned());
        Vec::new()
    }

    fn decode(&self, _ids: &[u32]) -> String {
        String::new()
    }

    fn special(&self, _token: &str) -> Option<u32> {
        Some(0)
    }
}
