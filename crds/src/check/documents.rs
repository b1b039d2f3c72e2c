//! The documents of a file: YAML or JSON, one or several, lists taken apart; and whose each is.

use agoge_notation::{Flaw, Words, json_documents, yaml_documents};
use serde_json::Value;

use super::fields::below;
use crate::GROUP;

/// The kinds of this API.
pub(super) const KINDS: [&str; 3] = ["SynthesisJob", "CheckerSuite", "GRPORun"];
/// Letters in which a name may differ from the one that was meant.
const TYPING: usize = 2;

/// A document of a file, or an object of a list in it, not judged yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its content.
    pub value: Value,
    /// Number of the document in its file, from 1.
    pub number: usize,
    /// The place in the document: `items[3]` for an object of a list, otherwise empty.
    pub place: String,
    /// A place where the text cannot be taken as it is written. What is not even YAML or JSON has the value null.
    pub(super) flaw: Option<Flaw>,
}

impl Document {
    /// Returns a place where its text cannot be taken as it is written.
    #[must_use]
    pub fn flaw(&self) -> Option<&Flaw> {
        self.flaw.as_ref()
    }
}

/// The API to which a document belongs.
pub(super) enum Api {
    /// This one.
    Agoge,
    /// Another one; this is its kind.
    Other(String),
    /// None: it is no object of Kubernetes.
    None,
}

/// Reads the documents of a text as kubectl reads them: JSON if the file's name or the text says so, otherwise YAML. Empty ones
/// are left out.
#[must_use]
pub fn documents(text: &str, file: &str) -> Vec<Document> {
    let mut documents = vec![];
    for (index, read) in notated(text, file).into_iter().enumerate() {
        let (value, flaw) = match read {
            Ok(document) => (document.value, document.flaw),
            Err(flaw) => (Value::Null, Some(flaw)),
        };
        if !value.is_null() || flaw.is_some() {
            let document = Document {
                value,
                number: index + 1,
                place: String::new(),
                flaw,
            };
            take_apart(document, &mut documents);
        }
    }
    documents
}

fn notated(text: &str, file: &str) -> Vec<Result<agoge_notation::Document, Flaw>> {
    let is_json = std::path::Path::new(file)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    if is_json {
        return json_documents(text);
    }
    // A map in braces may be YAML as well.
    if agoge_notation::without_mark(text)
        .trim_start()
        .starts_with('{')
    {
        let documents = json_documents(text);
        if documents.iter().all(Result::is_ok) {
            return documents;
        }
    }
    yaml_documents(text, Words::Kubectl)
}

/// Adds a document, or, where it is a list, its items.
fn take_apart(mut document: Document, documents: &mut Vec<Document>) {
    let kind = text(&document.value, "kind");
    let of = kind.strip_suffix("List").map(str::to_owned);
    let (Some(of), Some(Value::Array(items))) = (of, document.value.get_mut("items")) else {
        documents.push(document);
        return;
    };
    let items = std::mem::take(items);
    for (index, mut item) in items.into_iter().enumerate() {
        // The items of a list of one kind may leave out what they share.
        if let (Value::Object(item), false) = (&mut item, of.is_empty()) {
            for (field, value) in [
                ("kind", Value::from(of.as_str())),
                ("apiVersion", document.value["apiVersion"].clone()),
            ] {
                item.entry(field).or_insert(value);
            }
        }
        let item = Document {
            value: item,
            number: document.number,
            place: below(&document.place, &format!("items[{index}]")),
            flaw: document.flaw.clone(),
        };
        take_apart(item, documents);
    }
}

/// Returns a field that is a text; empty if there is none.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Tells to which API a document belongs. One that was surely meant to belong to this API does.
pub(super) fn api_of(value: &Value) -> Api {
    let (api, kind) = (text(value, "apiVersion"), text(value, "kind"));
    let group = api.split('/').next().unwrap_or_default();
    let distance =
        |a: &str, b: &str| strsim::damerau_levenshtein(&a.to_lowercase(), &b.to_lowercase());
    let group_is_near = api.is_empty() || distance(group, GROUP) <= TYPING;
    let kind_is_near = KINDS.iter().any(|known| distance(kind, known) <= TYPING);
    if group == GROUP || KINDS.contains(&kind) || (group_is_near && kind_is_near) {
        Api::Agoge
    } else if api.is_empty() || kind.is_empty() {
        Api::None
    } else {
        Api::Other(kind.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(text: &str, file: &str) -> Vec<(usize, String, String)> {
        let all = documents(text, file);
        let kind = |document: &Document| text_of(&document.value);
        all.iter()
            .map(|document| (document.number, document.place.clone(), kind(document)))
            .collect()
    }

    fn text_of(value: &Value) -> String {
        format!("{}/{}", text(value, "apiVersion"), text(value, "kind"))
    }

    #[test]
    fn lists_are_taken_apart_and_empty_documents_left_out() {
        let text = "---\n# Source: x\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret}\n- apiVersion: v1\n  kind: List\n  items: [{apiVersion: a, kind: B}]\n---\napiVersion: agoge.dev/v1alpha1\nkind: GRPORunList\nitems: [{metadata: {name: x}}]\n";
        assert_eq!(
            found(text, "f.yaml"),
            [
                (2, "items[0]".to_owned(), "v1/Secret".to_owned()),
                (2, "items[1].items[0]".to_owned(), "a/B".to_owned()),
                (
                    3,
                    "items[0]".to_owned(),
                    "agoge.dev/v1alpha1/GRPORun".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn json_is_read_by_name_and_by_looks() {
        let json = "\u{feff}{\"apiVersion\": \"v1\",\t\"kind\": \"Secret\"}\n{\"apiVersion\": \"v1\", \"kind\": \"Pod\"}";
        assert_eq!(found(json, "f.json").len(), 2);
        assert_eq!(found(json, "f.yaml").len(), 2);
        assert_eq!(
            found("{apiVersion: v1, kind: Pod}\n---\n{}", "f.yaml").len(),
            2
        );
        let broken = documents("apiVersion: v1", "f.json");
        assert!(broken[0].value.is_null() && broken[0].flaw.is_some());
    }

    #[test]
    fn a_document_belongs_to_this_api_where_it_was_meant_to() {
        let is = |api: &str, kind: &str| match api_of(&json!({"apiVersion": api, "kind": kind})) {
            Api::Agoge => "ours",
            Api::Other(_) => "other",
            Api::None => "none",
        };
        for (api, kind, whose) in [
            ("agoge.dev/v1alpha1", "SynthesisJob", "ours"),
            ("agoge.dev/v1", "Anything", "ours"),
            ("agoge.dve/v1alpha1", "synthesisjob", "ours"),
            ("batch/v1", "SynthesisJob", "ours"),
            ("", "SynthesisJobs", "ours"),
            ("x.io/v1", "CheckSuite", "other"),
            ("v1", "ConfigMap", "other"),
            ("batch/v1", "Job", "other"),
            ("v2", "", "none"),
            ("", "Job", "none"),
            ("", "", "none"),
        ] {
            assert_eq!(is(api, kind), whose, "{api} {kind}");
        }
        assert!(matches!(api_of(&json!("text")), Api::None));
    }
}
