//! YAML: the documents of a text.

use serde::de::DeserializeSeed as _;
use serde_json::Value;

use crate::value::{Any, Reading};
use crate::words::Words;
use crate::{Document, Flaw, without_mark};

/// Reads a text that is one document, in the words of YAML 1.2.
///
/// # Errors
/// The first [`Flaw`].
pub fn yaml(text: &str) -> Result<Value, Flaw> {
    let mut documents = yaml_documents(text, Words::Yaml).into_iter();
    let Some(first) = documents.next() else {
        return Ok(Value::Null);
    };
    let first = first?;
    if let Some(flaw) = first.flaw {
        return Err(flaw);
    }
    match documents.next() {
        None => Ok(first.value),
        Some(Err(flaw)) => Err(flaw),
        Some(Ok(_)) => Err(Flaw {
            line: None,
            message: "it has a second document".to_owned(),
            remedy: "keep one; `---` begins another",
        }),
    }
}

/// Reads every document of a text; an empty one is null. An error ends it: the rest is not YAML.
#[must_use]
pub fn yaml_documents(text: &str, words: Words) -> Vec<Result<Document, Flaw>> {
    let text = without_mark(text);
    let mut documents = vec![];
    for (index, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        let reading = Reading::new(text, Some(words), true);
        let error = match Any(&reading).deserialize(document) {
            Ok(value) => {
                documents.push(Ok(Document { value, flaw: None }));
                continue;
            }
            Err(error) => error,
        };
        let line = error.location().map(|at| at.line());
        let Some((message, remedy)) = reading.refused() else {
            documents.push(Err(Flaw {
                line,
                message: format!("it is not YAML: {error}"),
                remedy: "check that line and its indentation",
            }));
            break;
        };
        let flaw = Flaw {
            line,
            message,
            remedy,
        };
        documents.push(Ok(Document {
            value: lenient(text, words, index),
            flaw: Some(flaw),
        }));
    }
    documents
}

/// Reads the document at this position again, taking it as it is.
fn lenient(text: &str, words: Words, index: usize) -> Value {
    let reading = Reading::new(text, Some(words), false);
    let document = serde_yaml::Deserializer::from_str(text).nth(index);
    let value = document.and_then(|document| Any(&reading).deserialize(document).ok());
    value.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn all(text: &str) -> Vec<Document> {
        let found = yaml_documents(text, Words::Kubectl);
        found.into_iter().map(Result::unwrap).collect()
    }

    fn one(text: &str) -> Value {
        let mut found = all(text);
        assert_eq!((found.len(), &found[0].flaw), (1, &None));
        found.remove(0).value
    }

    #[test]
    fn a_document_is_read_as_kubectl_reads_it() {
        let text = "\u{feff}a: yes\nb: \"yes\"\nc: 'on'\nd: 0777\ne: |\n  yes\nf: [no, ~, 1.5, 2]\ng: ä\nh: off\n1: x\n";
        assert_eq!(
            one(text),
            json!({"a": true, "b": "yes", "c": "on", "d": 511, "e": "yes\n", "f": [false, null, 1.5, 2],
                "g": "ä", "h": false, "1": "x"})
        );
        assert_eq!(
            yaml("a: yes\nb: 0777").unwrap(),
            json!({"a": "yes", "b": "0777"})
        );
    }

    #[test]
    fn maps_are_merged_by_alias_and_own_keys_win() {
        let text = "base: &base {a: 1, b: 2}\nall:\n  <<: *base\n  b: 3\n";
        assert_eq!(one(text)["all"], json!({"b": 3, "a": 1}));
    }

    #[test]
    fn the_same_key_twice_is_refused_with_the_line_of_the_second() {
        let found = all("a: 1\n---\nspec:\n  b: {x: 1}\n  c: 2\n  b: {x: 2}\n---\nd: 4\n");
        assert_eq!(found.len(), 3, "the others are read");
        let flaw = found[1].flaw.as_ref().unwrap();
        assert_eq!(flaw.line, Some(6));
        assert!(flaw.message.contains("\"b\""), "{flaw}");
        assert_eq!(
            found[1].value["spec"]["c"], 2,
            "whose document it is, is known"
        );
        assert_eq!((&found[0].flaw, &found[2].flaw), (&None, &None));
        assert!(yaml("- {a: 1, a: 2}").is_err());
    }

    #[test]
    fn whole_numbers_beyond_64_bits_are_refused_with_their_line() {
        for wide in [
            "9223372036854775808",
            "92233720368547758079",
            "-1_0000000000000000000000",
        ] {
            let found = all(&format!("a: 1\nb: {wide}\n"));
            let flaw = found[0].flaw.as_ref().unwrap_or_else(|| panic!("{wide}"));
            assert_eq!(flaw.line, Some(2), "{wide}");
        }
        assert_eq!(one("a: 9223372036854775807"), json!({"a": i64::MAX}));
        assert!(yaml("a: 123456789012345678901234567890123456789012345").is_err());
        assert!(yaml("a: .inf").is_err() && yaml("a: .nan").is_err());
    }

    #[test]
    fn what_is_not_yaml_ends_the_documents_with_its_line() {
        let found = yaml_documents("a: 1\n---\nb: [\n", Words::Kubectl);
        assert!(found[0].is_ok());
        let flaw = found.last().unwrap().as_ref().unwrap_err();
        assert!(flaw.line.is_some_and(|line| line >= 3), "{flaw:?}");
        assert_eq!(all("# nothing\n")[0].value, Value::Null);
    }
}
