//! One spelling of texts that a reader takes for the same.
//!
//! Compatibility forms (NFKC), case, dashes, quotes and the digits of other scripts are written in one way; characters
//! that nobody sees are left out.

use unicode_normalization::UnicodeNormalization;

/// Stands for a no-break or thin space between two digits, which groups them. It is a private character.
pub(super) const GROUP: char = '\u{e000}';

/// The zeros of scripts whose digits are decimal, each followed by its other nine.
const ZEROS: [u32; 21] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6,
    0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946,
];

/// Returns the characters of a text in one spelling.
pub(super) fn folded(text: &str) -> Vec<char> {
    if text.is_ascii() {
        return text.chars().map(|c| c.to_ascii_lowercase()).collect();
    }
    let mut out = Vec::with_capacity(text.len());
    for c in visible(text).nfkc() {
        match sign(c) {
            Some(sign) => out.push(sign),
            None => push_folded(&mut out, c),
        }
    }
    replace_long_dashes(&mut out);
    out
}

/// Leaves out invisible characters, and rewrites those whose compatibility form would change a number: `10²` is not 102,
/// `2½` is not 21/2.
fn visible(text: &str) -> String {
    let chars: Vec<char> = text.chars().filter(|c| !is_invisible(*c)).collect();
    let is_digit = |at: usize| chars.get(at).is_some_and(|c| c.is_numeric());
    let mut out = String::with_capacity(text.len());
    for (at, c) in chars.iter().enumerate() {
        let after_digit = at > 0 && is_digit(at - 1);
        match c {
            '\u{a0}' | '\u{2007}' | '\u{2008}' | '\u{2009}' | '\u{200a}' | '\u{202f}'
                if after_digit && is_digit(at + 1) =>
            {
                out.push(GROUP);
            }
            '¼' | '½' | '¾' => {
                out.push_str(if after_digit { "." } else { "0." });
                out.push_str(match c {
                    '¼' => "25",
                    '½' => "5",
                    _ => "75",
                });
            }
            '⁰' | '¹' | '²' | '³' | '⁴'..='⁹' => {
                out.push('^');
                out.push(*c);
            }
            // Its compatibility form is a space with an accent.
            '´' => out.push('\''),
            _ => out.push(*c),
        }
    }
    out
}

/// Soft hyphens, joiners, marks of direction, selectors of glyphs.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{e0100}'..='\u{e01ef}')
}

/// The one spelling of a dash, a quote, a digit or a separator.
fn sign(c: char) -> Option<char> {
    Some(match c {
        '\u{2010}'..='\u{2013}' | '\u{2043}' | '\u{2212}' => '-',
        '\u{2018}'..='\u{201b}' | '\u{2032}' | '\u{2bc}' => '\'',
        '\u{201c}'..='\u{201f}' | '\u{2033}' | '«' | '»' => '"',
        '\u{301c}' | '\u{223c}' => '~',
        '\u{66b}' => '.',
        '\u{66c}' => ',',
        _ => return digit(c),
    })
}

fn digit(c: char) -> Option<char> {
    let code = u32::from(c);
    let zero = ZEROS
        .iter()
        .find(|zero| (**zero..**zero + 10).contains(&code))?;
    char::from_digit(code - zero, 10)
}

/// Appends a character without its case: `ß` is `ss`, the two small sigmas are one.
fn push_folded(out: &mut Vec<char>, c: char) {
    for lower in c.to_uppercase().flat_map(char::to_lowercase) {
        // The small form of the Turkish capital with a dot has the dot twice.
        if lower != '\u{307}' || out.last() != Some(&'i') {
            out.push(lower);
        }
    }
}

/// A long dash is a range between digits, and punctuation elsewhere.
fn replace_long_dashes(chars: &mut [char]) {
    let is_digit = |c: Option<&char>| c.is_some_and(char::is_ascii_digit);
    for at in 0..chars.len() {
        if matches!(chars[at], '\u{2014}' | '\u{2015}' | '\u{2e3a}' | '\u{2e3b}') {
            let range = at > 0 && is_digit(chars.get(at - 1)) && is_digit(chars.get(at + 1));
            chars[at] = if range { '-' } else { ' ' };
        }
    }
}
