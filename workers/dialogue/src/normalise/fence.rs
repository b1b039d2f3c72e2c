//! Fences of Markdown: backticks or tildes around a block, with any label or none.

/// The longest label, in bytes.
const LABEL: usize = 48;
/// Labels that may stand on the line of the block itself: "```python def f(): ..```".
const INLINE: [&str; 6] = ["python3", "python", "py", "json", "tool_call", "tool_code"];

/// A fenced block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fence<'a> {
    /// The marks that open and close it.
    pub marks: &'a str,
    /// The place where its body begins.
    pub start: usize,
    /// The text between the marks, without the label.
    pub body: &'a str,
    /// The place after the closing marks.
    pub end: usize,
    /// False when the marks that close it are missing.
    pub closed: bool,
}

/// The fence that opens at a place of a text.
pub(super) fn fence_at(text: &str, at: usize) -> Option<Fence<'_>> {
    let rest = &text[at..];
    let mark = rest.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = rest.len() - rest.trim_start_matches(mark).len();
    let line = text[..at].rfind('\n').map_or(0, |n| n + 1);
    // Tildes within a line are prose.
    if length < 3 || (mark == '~' && !text[line..at].trim().is_empty()) {
        return None;
    }
    let start = at + length + label(&rest[length..]);
    let (body, end, closed) = match close(&text[start..], mark, length) {
        Some((from, to)) => (&text[start..start + from], start + to, true),
        None => (&text[start..], text.len(), false),
    };
    Some(Fence {
        marks: &rest[..length],
        start,
        body,
        end,
        closed,
    })
}

/// Every fence of a text that does not lie within another.
pub(super) fn fences(text: &str) -> Vec<Fence<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].find(['`', '~']) {
        at += next;
        match fence_at(text, at) {
            Some(fence) => {
                found.push(fence);
                at = fence.end;
            }
            None => {
                let rest = text[at..].trim_start_matches(['`', '~']);
                at = text.len() - rest.len();
            }
        }
    }
    found
}

/// The length of a label, its line's end included; on the line of the block only words that are labels for certain count.
fn label(rest: &str) -> usize {
    let line = rest.find('\n').unwrap_or(rest.len());
    let written = rest[..line].trim();
    let plain = |c: char| c.is_alphanumeric() || " _-.+#:=\"'/{}".contains(c);
    let named =
        written.starts_with(|c: char| c.is_alphabetic() || c == '.') || written.starts_with("{.");
    let is_value = written.contains("\":") || written.contains("':");
    let is_label = named && !is_value && written.len() <= LABEL && written.chars().all(plain);
    if line < rest.len() && (written.is_empty() || is_label) {
        return line + 1;
    }
    let word = INLINE.iter().find(|word| {
        let after = rest.strip_prefix(**word);
        after
            .is_some_and(|after| after.starts_with(|c: char| c.is_whitespace() || "{[".contains(c)))
    });
    let spaces = |from: usize| rest[from..].len() - rest[from..].trim_start_matches(' ').len();
    word.map_or(0, |word| word.len() + spaces(word.len()))
}

/// The beginning and the end of the marks that close a block: at least as many as open it, at the beginning of a line or at
/// its end; else the first marks of that kind.
fn close(body: &str, mark: char, length: usize) -> Option<(usize, usize)> {
    let mut first = None;
    let mut at = 0;
    while let Some(next) = body[at..].find(mark) {
        let from = at + next;
        let rest = body[from..].trim_start_matches(mark);
        let to = body.len() - rest.len();
        if to - from >= length {
            first = first.or(Some((from, to)));
            let line = body[..from].rfind('\n').map_or(0, |n| n + 1);
            let begins =
                body[line..from].trim().is_empty() && !rest.starts_with(char::is_alphanumeric);
            let ends = rest
                .split('\n')
                .next()
                .is_none_or(|rest| rest.trim().is_empty());
            if begins || ends {
                return Some((from, to));
            }
        }
        at = to;
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_found_whatever_its_marks_and_its_label() {
        for text in [
            "```\nx = {}\n```",
            "```py\nx = {}\n```",
            "Sure:\n~~~Python3\nx = {}\n~~~\nDone.",
            "1. like this\n   ```{.python title=\"a.py\"}\n   x = {}\n   ```",
            "````python\nx = {}\n````",
            "``` c++\nx = {}\n``` and more",
            "```python x = {}```",
            "```python\nx = {}```\nIt is used so:\n```python\nprint(x)\n```",
            "```python\nx = {}",
        ] {
            let found = fences(text);
            assert_eq!(found[0].body.trim(), "x = {}", "{text}");
        }
        assert_eq!(fences("``` a\n1\n```\n~~~\n2\n~~~").len(), 2);
        assert!(fences("it costs ~~~5, see `x` and ``y``").is_empty());
        assert!(!fences("```\nx")[0].closed);
    }

    #[test]
    fn what_follows_the_marks_is_the_body_where_it_is_no_label() {
        assert_eq!(fences("```{\"a\": 1}```")[0].body, "{\"a\": 1}");
        assert_eq!(fences("```json{\"a\": 1}\n```")[0].body, "{\"a\": 1}\n");
        assert_eq!(fences("```look(id=\"4\")\n```")[0].body, "look(id=\"4\")\n");
        assert_eq!(fences("```{\n\"a\": 1}\n```")[0].body, "{\n\"a\": 1}\n");
    }
}
