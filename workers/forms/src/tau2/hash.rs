//! The hash by which tau2-bench compares states: SHA-256 of Python's `json.dumps(state, sort_keys=True)`.

use agoge_digest::hex;
use agoge_sandbox::{Overlay, Shape, View};
use agoge_world::{Domain, Episode, python_json};
use sha2::{Digest as _, Sha256};

/// Bytes of text that are hashed at a time.
const PART: usize = 1 << 16;
/// The mark in schema.json of a collection that is in the user's database: `"x-tau2-db": "user"`.
const MARK: &str = "x-tau2-db";

/// Returns the hashes of an episode's final state as tau2-bench computes them: of the agent's database, and of the user's
/// where the domain has one.
#[must_use]
pub fn tau2_hash(domain: &Domain, episode: &Episode) -> (String, Option<String>) {
    let (user, agent): (Vec<&str>, Vec<&str>) = domain
        .state
        .collections()
        .partition(|name| is_users(domain, name));
    let users = (!user.is_empty()).then(|| of(domain, &episode.overlay, &user));
    (of(domain, &episode.overlay, &agent), users)
}

/// Returns true when a collection is in the user's database of tau2-bench.
#[must_use]
pub fn is_users(domain: &Domain, collection: &str) -> bool {
    domain.schema["properties"][collection][MARK] == "user"
}

/// The hash of these collections, whose names are sorted.
fn of(domain: &Domain, overlay: &Overlay, collections: &[&str]) -> String {
    let view = View {
        base: &domain.state,
        overlay,
    };
    let mut hash = Sha256::new();
    let mut text = String::from("{");
    for (n, name) in collections.iter().enumerate() {
        if n > 0 {
            text.push_str(", ");
        }
        python_json::append_text(&mut text, name);
        text.push_str(": ");
        collection(&view, name, &mut text, &mut hash);
    }
    text.push('}');
    hash.update(text.as_bytes());
    hex(&hash.finalize())
}

/// Writes one collection in the form that it has in `state.json`.
fn collection(view: &View<'_>, name: &str, text: &mut String, hash: &mut Sha256) {
    let shape = view.base.shape(name);
    let (open, close) = match shape {
        Shape::Records => ("{", "}"),
        Shape::List(_) => ("[", "]"),
        Shape::Singleton => ("", ""),
    };
    text.push_str(open);
    for (n, id) in view.ids(name).iter().enumerate() {
        if n > 0 {
            text.push_str(", ");
        }
        if *shape == Shape::Records {
            python_json::append_text(text, id);
            text.push_str(": ");
        }
        if let Some(record) = view.get(name, id) {
            python_json::append_sorted(text, record);
        }
        if text.len() > PART {
            hash.update(text.as_bytes());
            text.clear();
        }
    }
    text.push_str(close);
}
