//! Sentences, and those that ask.

/// Returns the sentences of a text, each with the mark that ends it; a point between two digits ends none.
pub(crate) fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        let next = text.as_bytes().get(end);
        let ends = match c {
            '.' => next.is_none_or(u8::is_ascii_whitespace),
            ';' => is_greek(before),
            '!' | '\n' | '。' | '！' | '｡' | '।' | '۔' => true,
            c => is_question_mark(c),
        };
        if ends {
            found.push(text[start..end].trim());
            start = end;
        }
        before = c;
    }
    found.push(text[start..].trim());
    found.retain(|sentence| !sentence.is_empty());
    found
}

/// Returns true for a sentence that ends with a question mark of any script; Greek has the sign of our semicolon.
pub(crate) fn is_question(sentence: &str) -> bool {
    let mut last = sentence.chars().rev();
    match last.next() {
        Some(';') => last.next().is_some_and(is_greek),
        Some(c) => is_question_mark(c),
        None => false,
    }
}

fn is_question_mark(c: char) -> bool {
    matches!(
        c,
        '?' | '？' | '﹖' | '؟' | '⸮' | '՞' | '፧' | '⁇' | '⁈' | '⁉' | '‽' | '\u{37e}'
    )
}

fn is_greek(c: char) -> bool {
    matches!(c, '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}')
}
