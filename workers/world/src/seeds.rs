//! Reads `seeds.jsonl`: requests that people made, one a line. Strategies that ask models begin from them: they show what is
//! wanted and in which words.

use serde::{Deserialize, Serialize};

use crate::tasks::{Flaw, rows};

/// Fits an opening of a dialogue with room to spare; more is a mistake, and every prompt would have it.
const LONGEST: usize = 4_000;

/// A request that somebody made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seed {
    /// The id of its row, or its place.
    #[serde(default)]
    pub id: String,
    /// The user's first words.
    pub opening: String,
    /// All that the user says, or the instruction of a user model where there is one.
    #[serde(default)]
    pub instruction: String,
    /// The names of the tools that were called, in their order.
    #[serde(default)]
    pub tools: Vec<String>,
}

/// Reads all rows. One without a problem gives a seed.
pub(crate) fn read(text: &str) -> (Vec<Seed>, Vec<Flaw>) {
    let (mut seeds, mut flaws) = (Vec::new(), Vec::new());
    for (line, row) in rows(text) {
        let read = serde_json::from_str::<Seed>(row).map_err(|error| error.to_string());
        match read.and_then(fit) {
            Ok(seed) => seeds.push(seed),
            Err(message) => flaws.push(Flaw {
                line,
                message,
                remedy: "write `{\"opening\": \"what the user says first\"}`, or leave the row out"
                    .into(),
            }),
        }
    }
    (seeds, flaws)
}

fn fit(seed: Seed) -> Result<Seed, String> {
    let length = seed.opening.chars().count();
    if seed.opening.trim().is_empty() {
        return Err("`opening`: it is empty".into());
    }
    if length > LONGEST {
        return Err(format!(
            "`opening`: it has {length} characters, more than {LONGEST}"
        ));
    }
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_needs_an_opening_and_a_bad_one_is_named_by_its_line() {
        let (seeds, flaws) =
            read("{\"opening\": \"Where is it?\"}\n\n{\"opening\": \" \"}\n{\"id\": \"7\"}\nx\n");
        assert_eq!(
            (seeds.len(), seeds[0].opening.as_str()),
            (1, "Where is it?")
        );
        let lines: Vec<u32> = flaws.iter().map(|flaw| flaw.line).collect();
        assert_eq!(lines, [3, 4, 5]);
        assert!(flaws[0].message.contains("empty") && flaws[1].message.contains("opening"));
    }
}
