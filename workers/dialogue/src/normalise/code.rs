//! Code in an answer: the block that defines what was asked for.

use super::fence::fences;

/// Returns the Python source in a text that defines a function: the body of the first fence that defines it, whatever the
/// fence's label, else the whole text. `None` where neither defines it.
#[must_use]
pub fn python_defining(text: &str, function: &str) -> Option<String> {
    let found = fences(text);
    let blocks: Vec<String> = found.iter().map(|fence| dedent(fence.body)).collect();
    let block = blocks
        .iter()
        .find(|block| defines(block, function))
        .map(String::as_str);
    let source =
        block.or_else(|| Some(text).filter(|text| found.is_empty() && defines(text, function)));
    source.map(|source| source.trim().to_owned())
}

/// Returns true when a line of the source, without indentation, begins the function.
fn defines(source: &str, function: &str) -> bool {
    source.lines().any(|line| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        let name = line.strip_prefix("def ").map(str::trim_start);
        let rest = name.and_then(|name| name.strip_prefix(function));
        rest.is_some_and(|rest| rest.trim_start().starts_with('('))
    })
}

/// The lines without the indentation that all of them share.
fn dedent(source: &str) -> String {
    let full = source.lines().filter(|line| !line.trim().is_empty());
    let indentation = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let shared = full.map(indentation).min().unwrap_or(0);
    if shared == 0 {
        return source.to_owned();
    }
    let lines: Vec<&str> = source
        .lines()
        .map(|line| line.get(shared..).unwrap_or_default())
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "def check(calls, messages):\n    return True";

    #[test]
    fn the_block_that_defines_the_function_is_the_code_whatever_its_fence() {
        let indented = SOURCE.replace('\n', "\n   ");
        for text in [
            SOURCE.to_owned(),
            format!("```python\n{SOURCE}\n```"),
            format!("```py\n{SOURCE}\n```"),
            format!("```Python3\n{SOURCE}\n```"),
            format!("```\n{SOURCE}\n```"),
            format!("~~~python\n{SOURCE}\n~~~"),
            format!("Sure.\n\n```python\n{SOURCE}"),
            format!("1. The checker:\n   ```python\n   {indented}\n   ```"),
            format!("First a draft:\n```python\n# draft\n```\nNow:\n```python\n{SOURCE}\n```"),
            format!("```python\n{SOURCE}\n```\n\nUse it so:\n```python\nprint(check([], []))\n```"),
            format!("```json\n{{\"a\": 1}}\n```\n```python {SOURCE}\n```"),
        ] {
            assert_eq!(
                python_defining(&text, "check").as_deref(),
                Some(SOURCE),
                "{text}"
            );
        }
        let annotated = "async def check (calls: list) -> bool:\n    return True";
        assert_eq!(
            python_defining(annotated, "check").as_deref(),
            Some(annotated)
        );
    }

    #[test]
    fn text_without_the_function_is_no_code() {
        for text in [
            "def checker(calls):\n    return True",
            "```python\nx = check(1)\n```",
            "I would define check(calls).",
            "",
        ] {
            assert_eq!(python_defining(text, "check"), None, "{text}");
        }
    }
}
