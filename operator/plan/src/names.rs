//! The names of children. Every name that an object may have leaves room for every child, attempt and index of it.
//!
//! A child is called `STEM-KEY`, and `STEM-KEY-ATTEMPT` from the second attempt on. The stem is the owner's name, or, where that
//! is too long or has a dot, its beginning and ten letters of its digest: the same for every attempt, and of no other owner. The
//! host of a pod, `CHILD-INDEX`, is a DNS label, and the Job controller's five random letters fit behind it.

/// Bytes of a DNS label at most.
const LABEL: usize = 63;
/// Bytes of `-1023`: the topology and the parallelism of a manifest allow 1024 workers.
const INDEX: usize = 5;
/// Bytes of `-xxxxx`, which the Job controller puts behind the name of a pod.
const RANDOM: usize = 6;
/// Bytes of `-99999`. `backoffLimit` allows 100 attempts, and disruptions are not counted. Behind an attempt of more digits the
/// host still is a label.
const ATTEMPT: usize = 6;
/// Bytes of stem and key at most.
const ROOM: usize = LABEL - INDEX - RANDOM - ATTEMPT;
/// Bytes of a key at most that is not shortened: with it there is room for a shortened stem.
const KEY: usize = ROOM - TAIL - 3;
/// Letters of the digest in a shortened name: 40 bits.
const TAIL: usize = 10;
/// The letters that stand for the digits of a digest. There are no vowels among them, so that no word ends a name by chance.
const LETTERS: &[u8; 16] = b"bcdfghjklmnpqrst";

/// Returns the name of a child: of its Job, and of what else belongs to this attempt alone.
pub(crate) fn child(owner: &str, key: &str, attempt: u32) -> String {
    let key = short_key(key);
    numbered(&stem(owner, &key), &key, attempt)
}

/// Returns the name of the Service of a child. A Service's name begins with a letter, which an owner's need not.
pub(crate) fn service(owner: &str, key: &str, attempt: u32) -> String {
    let key = short_key(key);
    let mut stem = stem(owner, &key);
    if stem.starts_with(|first: char| first.is_ascii_digit()) {
        stem = format!("n{}", shortened(owner, room(&key) - 1));
    }
    numbered(&stem, &key, attempt)
}

fn numbered(stem: &str, key: &str, attempt: u32) -> String {
    match attempt {
        0 => format!("{stem}-{key}"),
        n => format!("{stem}-{key}-{n}"),
    }
}

/// Returns the bytes that a stem may have beside a key.
fn room(key: &str) -> usize {
    ROOM - 1 - key.len().min(KEY)
}

fn short_key(key: &str) -> String {
    if key.len() <= KEY {
        key.to_owned()
    } else {
        shortened(key, KEY)
    }
}

/// Returns the owner's name as it stands in the names of its children. A name that looks like a shortened one is shortened
/// itself: what one owner is called in short is never what another is called.
fn stem(owner: &str, key: &str) -> String {
    let room = room(key);
    if owner.len() <= room && !owner.contains('.') && !has_tail(owner) {
        owner.to_owned()
    } else {
        shortened(owner, room)
    }
}

/// Shortens a name to this many bytes: its beginning, and letters of the digest of the whole.
fn shortened(name: &str, bytes: usize) -> String {
    let beginning: String = name
        .chars()
        .map(|c| if c == '.' { '-' } else { c })
        .take(bytes.saturating_sub(TAIL + 1))
        .collect();
    format!("{}-{}", beginning.trim_end_matches('-'), tail(name))
}

fn tail(name: &str) -> String {
    let digest = agoge_crds::digest(name);
    let digits = digest.chars().rev().take(TAIL);
    digits
        .filter_map(|digit| digit.to_digit(16))
        .filter_map(|digit| LETTERS.get(usize::try_from(digit).ok()?))
        .map(|letter| char::from(*letter))
        .collect()
}

fn has_tail(name: &str) -> bool {
    let last = name.rsplit_once('-').map(|(_, last)| last.as_bytes());
    last.is_some_and(|last| last.len() == TAIL && last.iter().all(|b| LETTERS.contains(b)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use agoge_contract::TrainStage;
    use proptest::prelude::*;

    use super::*;

    /// Bytes that the API's rule allows to the name of an object.
    const ADMITTED: usize = 63;
    /// Workers that a manifest may ask for.
    const WORKERS: u32 = 1024;
    /// The largest `backoffLimit`.
    const ATTEMPTS: u32 = 100;

    /// The keys of all children.
    fn keys() -> Vec<String> {
        let stages = TrainStage::ALL.iter().map(|stage| stage.key().to_owned());
        let strategies = agoge_crds::strategies::catalog().iter();
        let synthesis = strategies.map(|strategy| format!("synthesize-{}", strategy.name));
        let others = ["qualify", "score", "rollout"].map(str::to_owned);
        stages.chain(synthesis).chain(others).collect()
    }

    fn is_label(name: &str) -> bool {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        (1..=LABEL).contains(&name.len())
            && name.bytes().all(inner)
            && !name.starts_with('-')
            && !name.ends_with('-')
    }

    /// The names that the API server takes for an object: labels with dots between them.
    fn admitted() -> impl Strategy<Value = String> {
        let part = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?";
        let names = proptest::collection::vec(part, 1..4).prop_map(|parts| parts.join("."));
        names.prop_filter("too long", |name| name.len() <= ADMITTED)
    }

    fn key() -> impl Strategy<Value = String> {
        proptest::sample::select(keys())
    }

    #[test]
    fn the_names_of_short_owners_are_what_they_always_were() {
        assert_eq!(
            child("courier", "synthesize-template", 0),
            "courier-synthesize-template"
        );
        assert_eq!(child("courier", "grpo", 12), "courier-grpo-12");
        assert_eq!(service("courier", "rollout", 0), "courier-rollout");
        assert_eq!(child("3-shop", "grpo", 1), "3-shop-grpo-1");
        let longest = "a".repeat(room("synthesize-template"));
        assert!(child(&longest, "synthesize-template", 0).starts_with(&longest));
    }

    #[test]
    fn a_name_of_forty_characters_leaves_room_for_retries() {
        let owner = "exactly-forty-characters-long-name-00000";
        for key in keys() {
            let name = child(owner, &key, ATTEMPTS);
            assert!(
                name.starts_with("exactly-fo") && name.contains(&key),
                "{name}"
            );
            assert!(is_label(&format!("{name}-1023")), "{name}");
        }
    }

    /// Two keys of which one ends in the other would give two owners the same child.
    #[test]
    fn no_key_is_the_end_of_another_and_none_ends_like_an_attempt() {
        for key in keys() {
            let inside = |other: &&String| other.ends_with(&format!("-{key}"));
            assert_eq!(keys().iter().find(inside), None, "{key}");
            let last = key.rsplit('-').next().unwrap_or_default().to_owned();
            assert!(last.parse::<u32>().is_err() && !has_tail(&key), "{key}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_pod_of_every_attempt_has_a_name(owner in admitted(), key in key(), attempt in 0..=ATTEMPTS, index in 0..WORKERS) {
            let name = child(&owner, &key, attempt);
            prop_assert!(is_label(&name), "{name}");
            prop_assert!(is_label(&format!("{name}-{index}-abcde")), "{name}");
            let last = child(&owner, &key, u32::MAX);
            prop_assert!(is_label(&format!("{last}-{index}")), "{last}");
            let found = service(&owner, &key, attempt);
            prop_assert!(is_label(&found) && found.starts_with(|c: char| c.is_ascii_lowercase()), "{found}");
        }

    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn no_two_children_have_the_same_name(owners in proptest::collection::btree_set(admitted(), 1..8), attempt in 0..4u32) {
            // Also beside owners that are called what the children of others are called.
            let mut all: Vec<String> = owners.iter().cloned().collect();
            all.extend(owners.iter().flat_map(|owner| keys().into_iter().map(|key| stem(owner, &key))));
            all.extend(owners.iter().map(|owner| owner.replace('.', "-")));
            all.sort();
            all.dedup();
            let (mut children, mut services) = (BTreeMap::new(), BTreeMap::new());
            for owner in &all {
                for key in keys() {
                    for attempt in [0, attempt + 1] {
                        let this = (owner.clone(), key.clone(), attempt);
                        prop_assert_eq!(children.insert(child(owner, &key, attempt), this.clone()), None);
                        prop_assert_eq!(services.insert(service(owner, &key, attempt), this), None);
                    }
                }
            }
        }

        #[test]
        fn a_strategy_of_any_name_has_children(owner in admitted(), strategy in "[a-z][a-z0-9-]{0,50}[a-z]", attempt in 0..=ATTEMPTS) {
            let name = child(&owner, &format!("synthesize-{strategy}"), attempt);
            prop_assert!(is_label(&format!("{name}-1023-abcde")), "{name}");
        }
    }
}
