//! Gold writes in the other order. Two neighbours that work either way and leave the same records are a right solution in
//! both orders; where only the order of a list differs, the schema has to say whether it matters.
use agoge_sandbox::Change;
use agoge_world::{Domain, Episode, GoldError, Lost, Task, World};

/// Two neighbouring gold writes that work in the other order, too.
pub(crate) struct Exchanged {
    /// The number of the first of them, from 0.
    pub first: usize,
    /// The whole solution with the two exchanged.
    pub episode: Episode,
    /// True when the records are the same; else the order of lists is all that differs.
    pub same: bool,
    /// Those lists, such as `orders.back`.
    pub lists: Vec<String>,
}

/// Exchanges each pair of neighbouring gold writes, and returns the solutions that end in gold's records but for the order of
/// lists. `prefixes` are gold's episodes after 0, 1, 2, … calls.
///
/// # Errors
/// When the sandbox gives no result.
pub(crate) fn exchanged(
    world: &mut World,
    task: &Task,
    prefixes: &[Episode],
) -> Result<Vec<Exchanged>, Lost> {
    let domain = world.domain().clone();
    let Some(gold) = prefixes.last() else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for (first, three) in prefixes.windows(3).enumerate() {
        let both_write =
            three[0].overlay != three[1].overlay && three[1].overlay != three[2].overlay;
        if !both_write {
            continue;
        }
        let Some(episode) = played(world, task, &three[0], first)? else {
            continue;
        };
        let same = episode.fingerprint(&domain) == gold.fingerprint(&domain);
        if !same && episode.orderless_fingerprint(&domain) != gold.orderless_fingerprint(&domain) {
            continue;
        }
        let lists = reordered(&domain, gold, &episode);
        found.push(Exchanged {
            first,
            episode,
            same,
            lists,
        });
    }
    Ok(found)
}

/// Plays gold from this prefix with its next two calls exchanged; `None` when a call does not work then.
fn played(
    world: &mut World,
    task: &Task,
    prefix: &Episode,
    first: usize,
) -> Result<Option<Episode>, Lost> {
    let mut calls = task.gold.clone();
    calls.swap(first, first + 1);
    let mut episode = prefix.clone();
    for (number, call) in (1..).zip(&calls).skip(first) {
        let result = world.call(&mut episode, call);
        match GoldError::check_in(task, number, call, &result) {
            Ok(()) => {}
            Err(GoldError::Lost(lost)) => return Err(lost),
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(episode))
}

/// Returns the fields in which two episodes differ, without repetitions.
fn reordered(domain: &Domain, one: &Episode, other: &Episode) -> Vec<String> {
    let (one, other) = (one.diff(domain), other.diff(domain));
    let mut fields = Vec::new();
    for (here, there) in [(&one, &other), (&other, &one)] {
        for change in here {
            let twin = there.iter().find(|twin| {
                (&twin.collection, &twin.id, &twin.field)
                    == (&change.collection, &change.id, &change.field)
            });
            let alike = |twin: &Change| domain.unordered.alike(change, &twin.after, &change.after);
            if !twin.is_some_and(alike) {
                fields.push(match change.field.as_str() {
                    "*" => change.collection.clone(),
                    field => format!("{}.{field}", change.collection),
                });
            }
        }
    }
    fields.sort();
    fields.dedup();
    fields
}
