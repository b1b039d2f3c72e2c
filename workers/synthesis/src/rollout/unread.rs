//! The warning about tool calls that a model wrote and nobody read.

use super::Calls;

/// Returns the warning about a turn that looks like a call and was read as words, with what to turn on.
#[must_use]
pub fn warning(calls: Calls, beginning: &str) -> String {
    let turn_on = match calls {
        Calls::Native => {
            "turn on the server's parser of tool calls for this model (vLLM: --enable-auto-tool-choice and --tool-call-parser; SGLang: \
             --tool-call-parser; llama.cpp: --jinja)"
        }
        Calls::Fenced => {
            "the model was asked to write calls as fenced JSON and has a form of its own: offer it the tools natively (`agoge eval \
             --native-calls`) with the server's parser of tool calls turned on, or take a model that follows the prompt"
        }
    };
    format!(
        "the agent's model wrote a tool call that was not read ({beginning:?}); it counted as words: {turn_on}"
    )
}
