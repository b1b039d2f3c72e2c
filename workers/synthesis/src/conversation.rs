//! A conversation with a writer: one growing prompt by which an instance is written part by part.
//!
//! Nothing the model left out is filled in. A part that cannot be read, does not execute or does not qualify is asked for once
//! more with the reason, while the instance has tokens left; then the attempt ends.

use agoge_crds::shared::Part as Role;
use agoge_dialogue::Message;
use agoge_llm::{Answer, Format, Request};

use crate::cx::Cx;
use crate::plan::fill;
use crate::strategy::Stop;

/// Fewer tokens than this are not worth a request.
const LEAST: u32 = 24;
/// The lowest sampling temperature of a second answer: at a lower one it is the first answer again.
const SECOND: f64 = 0.8;

/// A conversation of one item with the writer.
#[derive(Clone, Debug)]
pub struct Conversation {
    messages: Vec<Message>,
    repair: String,
    parts: u32,
}

/// A part of an instance that is asked for.
#[derive(Clone, Debug)]
pub struct PartRequest {
    /// Its name in recordings and reports.
    pub name: &'static str,
    /// Generated tokens at most.
    pub max_tokens: u32,
    /// The prompt.
    pub prompt: String,
    /// The form of the answer.
    pub format: Format,
}

impl Conversation {
    /// Begins a conversation. `repair` is added to a prompt that is asked again; `{reason}` and `{part}` are filled in.
    #[must_use]
    pub fn new(system: &str, repair: &str) -> Self {
        Self {
            messages: vec![Message::system(system)],
            repair: repair.into(),
            parts: 0,
        }
    }

    /// Asks for the next part and reads the answer, twice at most. A wrong answer is not shown again, because a small model
    /// copies what it has said before.
    ///
    /// # Errors
    /// A rejection with what was wrong at last, or what [`Cx::ask`] fails with.
    pub async fn part<T>(
        &mut self,
        cx: &mut Cx,
        request: PartRequest,
        read: impl Fn(&Cx, &Answer) -> Result<T, String> + Send,
    ) -> Result<T, Stop> {
        self.parts += 1;
        let mut wrong: Option<String> = None;
        for attempt in 0..2u64 {
            let (left, all) = cx.tokens_left();
            if left < LEAST {
                let limit = format!("the {all} tokens of an instance are used up");
                let reason = wrong.map_or_else(|| limit.clone(), |why| format!("{why} - {limit}"));
                return Err(cx.reject(reason));
            }
            let again = wrong.as_ref().map_or_else(String::new, |why| {
                let part = self.parts.to_string();
                let values = [("reason", why.as_str()), ("part", part.as_str())];
                format!("\n\n{}", fill(&self.repair, &values))
            });
            self.messages
                .push(Message::user(&format!("{}{again}", request.prompt)));
            let question = Request {
                temperature: match attempt {
                    0 => cx.temperature(),
                    _ => cx.temperature().max(SECOND),
                },
                format: request.format.clone(),
                seed: Some((cx.draw(&[request.name]) >> 21) + attempt),
                ..Request::new(self.messages.clone(), request.max_tokens.min(left))
            };
            let answer = cx.ask(Role::Writer, request.name, &question).await?;
            match read(cx, &answer) {
                Ok(value) => {
                    self.messages.push(Message::assistant(&answer.written()));
                    return Ok(value);
                }
                Err(why) => {
                    cx.check_sandbox()?;
                    self.messages.pop();
                    wrong = Some(why);
                }
            }
        }
        Err(cx.reject(wrong.unwrap_or_default()))
    }
}
