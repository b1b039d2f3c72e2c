//! Plan pairs: the prompts by which instances are written (the synthesis plan) and judged (the evaluation plan).
//!
//! Prompts are data: a strategy's built-in pair is its prompt folder, a child is its parent with one more sentence. No plan
//! can change the qualification of `agoge-checker`, and so a pair never grades itself.

pub use agoge_artifacts::plan::{PlanPair, PlanPart, PlanRecord, Prompts};

/// The evolving prompts of a strategy.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The pair that a job begins with when it names none.
    pub built_in: PlanPair,
    /// The prompt that asks for a change. Filled in are the prompt of each part by its name, `{attempted}`, `{valid}` and
    /// `{failures}`; the answer is `{"part": .., "sentence": ..}`.
    pub reflection: &'static str,
    /// The parts of an instance that a sentence can be about, in the order of their gates.
    pub parts: &'static [PlanPart],
}

/// Fills in the `{name}`s of a prompt. Other braces stay as they are.
#[must_use]
pub fn fill(prompt: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(prompt.len());
    let mut rest = prompt;
    while let Some(at) = rest.find('{') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let named = values.iter().find(|(name, _)| {
            rest[1..].starts_with(name) && rest[1 + name.len()..].starts_with('}')
        });
        match named {
            Some((name, value)) => {
                text.push_str(value);
                rest = &rest[name.len() + 2..];
            }
            None => {
                text.push('{');
                rest = &rest[1..];
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use agoge_artifacts::Gate;

    #[test]
    fn a_child_differs_in_one_prompt_and_in_its_digest() {
        let parent = PlanPair::of(
            &[("gold", "Write calls.\n")],
            &[("checker", "Write a checker.")],
        );
        let part = PlanPart::evaluation("checker", "checker", Gate::Checker);
        let child = parent.with_sentence(&part, "Count the changes.");
        assert_ne!(parent.digest(), child.digest());
        assert_eq!(parent.synthesis, child.synthesis);
        assert_eq!(
            child.prompt(&part),
            "Write a checker.\n- Count the changes.\n"
        );
    }

    #[test]
    fn filling_leaves_braces_and_filled_in_braces_alone() {
        let filled = fill(r#"{"a": {rules}} {x}"#, &[("rules", "{x}"), ("x", "1")]);
        assert_eq!(filled, r#"{"a": {x}} 1"#);
    }
}
