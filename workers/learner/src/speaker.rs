//! Language models as speakers of an episode: the agent's policy, whose tokens are kept as sampled, and the user model.
//!
//! A speaker renders each message once, when it hears it, and never its own: those are the tokens that it sampled.

use agoge_dialogue::{
    Message, Renderer, Role, SampleKey, ToolSpec, Transcript, Vocab, answers, calls_of_user, heard,
};
use agoge_world::{Domain, Fault, Sampler, Speaker, Task, TokensIn, TokensOut, Turn, View};
use async_trait::async_trait;

/// Tokenizer and message format of a model.
#[derive(Clone, Copy)]
pub struct Format<'a> {
    /// Tokenizer.
    pub vocab: &'a dyn Vocab,
    /// Message format.
    pub renderer: &'a dyn Renderer,
}

/// The side of an episode that samples from a model.
struct Voice<'a> {
    format: Format<'a>,
    role: Role,
    sampler: &'a dyn Sampler,
    sequence: u64,
    /// The key of the episode's random numbers; a turn's number is set turn by turn.
    key: SampleKey,
    /// Ids that the model has not seen.
    unseen: Vec<u32>,
    /// Messages of the dialogue that were rendered or spoken.
    heard: usize,
    /// The user's calling messages since it last spoke: they share a turn of the agent, and each has random numbers of its
    /// own.
    again: u64,
}

impl<'a> Voice<'a> {
    /// A model at the beginning of an episode, which has not seen `unseen` yet.
    fn new(
        format: Format<'a>,
        role: Role,
        sampler: &'a dyn Sampler,
        sequence: u64,
        key: SampleKey,
        unseen: Vec<u32>,
    ) -> Self {
        Self {
            format,
            role,
            sampler,
            sequence,
            key,
            unseen,
            heard: 0,
            again: 0,
        }
    }

    /// The ids that a turn begins with: all that came since the last one, and the prefix that makes the model speak.
    fn append(&mut self, view: View<'_>, hears: impl Fn(&Message) -> Option<Message>) -> Vec<u32> {
        let Format { vocab, renderer } = self.format;
        let news: Vec<Message> = view.messages[self.heard.min(view.messages.len())..]
            .iter()
            .filter_map(hears)
            .collect();
        self.heard = view.messages.len();
        let mut append = std::mem::take(&mut self.unseen);
        append.extend(renderer.append_all(vocab, &news));
        append.extend(renderer.prefix(vocab, self.role));
        append
    }

    async fn sample(
        &mut self,
        view: View<'_>,
        append: Vec<u32>,
        max_new: usize,
    ) -> Result<TokensOut, Fault> {
        let party = u64::from(self.role == Role::User);
        let request = TokensIn {
            sequence: self.sequence,
            append,
            key: SampleKey {
                turn: u64::from(view.turns) * 2 + party + (self.again << 32),
                ..self.key
            },
            max_new,
        };
        self.sampler.sample(request).await
    }

    /// The turn that the sampled ids are, in which there may be calls.
    fn turn(&mut self, sampled: &TokensOut, calls: bool) -> Turn {
        let Format { vocab, renderer } = self.format;
        if sampled.truncated {
            return Turn::Truncated;
        }
        self.unseen = renderer.after_turn(vocab, self.role);
        // A format reads calls of an assistant only, and a user has some when it has tools.
        let role = if calls { Role::Assistant } else { self.role };
        match renderer.parse(vocab, role, &sampled.ids) {
            Ok(mut message) => {
                message.role = self.role;
                let more = self.role == Role::User && !message.tool_calls.is_empty();
                self.again = if more { self.again + 1 } else { 0 };
                // Its own message comes back in the dialogue and is not rendered again.
                self.heard += 1;
                Turn::Message(message)
            }
            Err(error) => Turn::Malformed {
                text: None,
                reason: error.to_string(),
            },
        }
    }
}

/// A policy that plays the agent.
pub struct Policy<'a> {
    voice: Voice<'a>,
    transcript: Transcript,
}

impl<'a> Policy<'a> {
    /// A policy at the beginning of an episode of `domain`, in a sequence of its own of `sampler`.
    #[must_use]
    pub fn new(
        format: Format<'a>,
        sampler: &'a dyn Sampler,
        sequence: u64,
        key: SampleKey,
        domain: &Domain,
    ) -> Self {
        let Format { vocab, renderer } = format;
        let unseen = renderer.open(vocab, system(domain, renderer), &domain.tools);
        Self {
            voice: Voice::new(format, Role::Assistant, sampler, sequence, key, unseen),
            transcript: Transcript::default(),
        }
    }

    /// The tokens as they were seen and sampled.
    #[must_use]
    pub fn into_transcript(self) -> Transcript {
        self.transcript
    }
}

#[async_trait(?Send)]
impl Speaker for Policy<'_> {
    async fn turn(&mut self, view: View<'_>) -> Result<Turn, Fault> {
        let append = self.voice.append(view, |message| Some(message.clone()));
        self.transcript.push_context(&append);
        let turn = view.rules.max_agent_tokens as usize;
        let room = view.rules.max_trajectory_tokens.map_or(turn, |most| {
            (most as usize).saturating_sub(self.transcript.ids.len())
        });
        if room == 0 {
            return Ok(Turn::Truncated);
        }
        let sampled = self.voice.sample(view, append, room.min(turn)).await?;
        self.transcript
            .push_sampled(&sampled.ids, &sampled.logprobs, sampled.version);
        Ok(self.voice.turn(&sampled, true))
    }
}

/// A model that plays the user. It reads its task's instruction, the texts of the dialogue and the results of its own
/// calls; no traffic of the agent with tools.
pub struct UserModel<'a>(Voice<'a>);

impl<'a> UserModel<'a> {
    /// A user with these tools at the beginning of an episode of `task`, in a sequence of its own of `sampler`.
    #[must_use]
    pub fn new(
        format: Format<'a>,
        sampler: &'a dyn Sampler,
        sequence: u64,
        key: SampleKey,
        task: &Task,
        tools: &[ToolSpec],
    ) -> Self {
        let Format { vocab, renderer } = format;
        Self(Voice::new(
            format,
            Role::User,
            sampler,
            sequence,
            key,
            renderer.open(vocab, &task.user.instruction, tools),
        ))
    }
}

#[async_trait(?Send)]
impl Speaker for UserModel<'_> {
    async fn turn(&mut self, view: View<'_>) -> Result<Turn, Fault> {
        let own = calls_of_user(view.messages);
        let spoken = |message: &Message| match message.role {
            Role::Assistant => heard(message),
            // Its own messages that it did not sample are those of the task's history.
            Role::User => Some(message.clone()),
            Role::Tool if answers(message, &own) => Some(message.clone()),
            _ => None,
        };
        let append = self.0.append(view, spoken);
        let most = view.rules.max_user_tokens as usize;
        let sampled = self.0.sample(view, append, most).await?;
        Ok(self.0.turn(&sampled, !view.tools.is_empty()))
    }
}

/// The system prompt of an agent: in the compact format, which only models use that learn a domain in their weights, the
/// domain's short prompt; in every other format the policy.
#[must_use]
pub fn system<'a>(domain: &'a Domain, renderer: &dyn Renderer) -> &'a str {
    match renderer.name() {
        "compact" => &domain.prompt,
        _ => &domain.policy,
    }
}
