//! The letters that may touch a number: currencies before or after it, units after it.

/// Codes of currencies with the sign that they share with others: two amounts disagree only when their signs do.
const CODES: [(&str, char); 31] = [
    ("usd", '$'),
    ("cad", '$'),
    ("aud", '$'),
    ("nzd", '$'),
    ("sgd", '$'),
    ("hkd", '$'),
    ("twd", '$'),
    ("mxn", '$'),
    ("eur", '€'),
    ("gbp", '£'),
    ("jpy", '¥'),
    ("cny", '¥'),
    ("rmb", '¥'),
    ("inr", '₹'),
    ("rub", '₽'),
    ("krw", '₩'),
    ("uah", '₴'),
    ("ils", '₪'),
    ("vnd", '₫'),
    ("php", '₱'),
    ("thb", '฿'),
    ("chf", 'f'),
    ("pln", 'z'),
    ("czk", 'c'),
    ("huf", 'h'),
    ("sek", 'k'),
    ("nok", 'k'),
    ("dkk", 'k'),
    ("isk", 'k'),
    ("brl", 'r'),
    ("zar", 'a'),
];

/// Codes that are words as well, and so are currencies only where they touch a number.
const TOUCHING: [(&str, char); 6] = [
    ("rs", '₹'),
    ("kr", 'k'),
    ("zł", 'z'),
    ("zl", 'z'),
    ("kč", 'c'),
    ("tl", '₺'),
];

/// Letters before a number that are no part of a name: `x3`, `No5`.
const COUNTERS: [&str; 3] = ["x", "no", "nr"];

/// Single letters that are units: `3h`, `5l`. After others a number is a name, such as `12b`.
const LETTERS: &str = "dghlswxy";

/// Letters that make a number another one: `3k`, `2bn`, `3rd`.
const CHANGING: [&str; 14] = [
    "bn", "mn", "mio", "mrd", "mia", "tsd", "mln", "mld", "million", "billion", "st", "nd", "rd",
    "th",
];

/// Returns the sign that stands for a currency.
pub(super) fn sign(c: char) -> Option<char> {
    (matches!(c, '$' | '£' | '¥' | '฿' | '¢') || ('\u{20a0}'..='\u{20cf}').contains(&c))
        .then_some(c)
}

/// Returns the sign of a currency's code.
pub(super) fn code(word: &str) -> Option<char> {
    CODES
        .iter()
        .find(|(code, _)| *code == word)
        .map(|(_, sign)| *sign)
}

/// Returns the sign of a currency's code or short name that touches a number.
pub(super) fn touching(word: &str) -> Option<char> {
    let short = TOUCHING.iter().find(|(code, _)| *code == word);
    code(word).or_else(|| short.map(|(_, sign)| *sign))
}

/// Returns true for letters that may stand right before an amount: `EUR12.50` is one, `P12` is a name.
pub(super) fn may_precede(letters: &str) -> bool {
    letters.is_empty() || COUNTERS.contains(&letters) || touching(letters).is_some()
}

/// Returns true for letters that may stand right after an amount: `3kg` is one, `12b` is a name, `3k` is another number.
pub(super) fn may_follow(letters: &str) -> bool {
    let mut all = letters.chars();
    match (all.next(), all.next()) {
        (None, _) => true,
        (Some(only), None) => !only.is_ascii() || LETTERS.contains(only),
        _ => !CHANGING.contains(&letters),
    }
}
