//! Outcome words that the policy does not have: an agent cannot know that it must say them.

use super::line_of_named;
use crate::domain::Domain;
use crate::problem::Problem;
use crate::said::{is_amount, mentions};

/// Returns a warning for each text of a branch's outputs that policy.md does not have. Numbers and placeholders are left out.
pub(super) fn unheard(domain: &Domain) -> Vec<Problem> {
    let mut found = Vec::new();
    for template in &domain.templates {
        let file = domain.template_file(template);
        for branch in &template.branches {
            let literal = |output: &&str| !output.contains('{') && !is_amount(output);
            let outputs = branch.outputs.iter().map(|output| output.text.as_str());
            for output in outputs.filter(literal) {
                if mentions(&domain.policy, output) {
                    continue;
                }
                let message = format!(
                    "branch `{}` requires {output:?}, which policy.md does not have",
                    branch.name
                );
                let remedy = "write it into the rule, or require a word that the rule names";
                let line = line_of_named(template, &branch.name);
                found.push(Problem::new(&file, message, remedy).at(line));
            }
        }
    }
    found
}
