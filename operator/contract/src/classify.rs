//! The one judgement of a worker's end, for a laptop and a cluster.

use agoge_crds::conditions::shorten;
use agoge_crds::report::Report;
use agoge_crds::shared::{FailureAction, FailureRule};

use crate::exit::{Exit, Reason, final_code, last_line, stopped};
use crate::state::ChildState;
use crate::termination::Termination;
use crate::work::Role;

/// Bytes of a worker's message in the message of a failure.
const MESSAGE: usize = 380;
/// Words of an observer that say more than an exit code.
const DECISIVE: [&str; 3] = ["OOMKilled", "StartError", "Hung"];
/// Reason of a program that the dynamic loader could not start.
const LIBRARY_MISSING: &str = "LibraryMissing";
/// The suggested fix for it.
const INSTALL: &str = "install libtorch where the worker was linked against it (`make setup`, then `make build`), or name the folder that has it in LD_LIBRARY_PATH";

/// Reads the result that a worker left in its termination message. Returns none where the message holds none, and the reason
/// where the result cannot be read.
#[must_use]
pub fn result_of(role: Option<Role>, message: &str) -> Option<Result<Report, String>> {
    let Termination::Done { result, .. } = Termination::parse(message)? else {
        return None;
    };
    let report = match role {
        Some(role) => role.report(&result).map_err(|error| error.to_string()),
        None => Err("the role of its worker is not known".to_owned()),
    };
    Some(report)
}

/// Returns the state of a child whose worker ended: `role` is the worker's, `message` is its termination message, or the end
/// of its log where it left none.
///
/// The reason is the worker's own where it gave one, else the observer's word where that says more than the exit code,
/// else what the exit code means. The first of `rules` that fits changes what becomes of the failure.
#[must_use]
pub fn classify(
    role: Option<Role>,
    exit: &Exit,
    message: &str,
    rules: &[FailureRule],
) -> ChildState {
    let ended_well = exit.code == Some(0);
    if ended_well && let Some(result) = result_of(role, message) {
        return ChildState::Succeeded { result };
    }
    let (reason, told, retryable) = match Termination::parse(message) {
        _ if ended_well => (
            "NoResult".to_owned(),
            "it ended well and left no result; another attempt finds what is in the store"
                .to_owned(),
            true,
        ),
        Some(Termination::Failed {
            reason,
            message,
            retryable,
        }) => {
            let retryable = retryable.unwrap_or_else(|| !exit.code.is_some_and(final_code));
            (reason, message, retryable)
        }
        _ => {
            let told = last_line(message);
            if lacks_library(exit.code, &told) {
                let told = format!("{told}; {INSTALL}");
                (LIBRARY_MISSING.to_owned(), told, false)
            } else {
                let (reason, retryable) = by_exit(exit, &told);
                (reason, told, retryable)
            }
        }
    };
    let message = match exit.place.as_str() {
        "" => shorten(&told, MESSAGE),
        place => format!("{place}: {}", shorten(&told, MESSAGE)),
    };
    apply_rules(
        exit.code,
        &reason,
        message,
        retryable,
        exit.disrupted,
        rules,
    )
}

/// Returns true if the dynamic loader could not start the program: the next attempt would find the same libraries.
fn lacks_library(code: Option<i32>, told: &str) -> bool {
    let version = told.contains(": version `") && told.contains("not found (required by");
    match code {
        Some(127) => {
            version
                || told.contains("error while loading shared libraries")
                || told.contains("symbol lookup error")
        }
        Some(1) => version,
        _ => false,
    }
}

/// Returns reason and retry of a worker that gave no reason.
fn by_exit(exit: &Exit, told: &str) -> (String, bool) {
    let word = exit.word.as_deref().filter(|word| !word.is_empty());
    let reason = match (word, exit.code) {
        (Some(word), _) if DECISIVE.contains(&word) => word,
        (_, Some(2 | 3)) if told.contains("disk full while") => Reason::DiskFull.as_str(),
        (_, Some(2)) => Reason::BadInput.as_str(),
        (_, Some(3)) => Reason::Infrastructure.as_str(),
        (_, Some(4)) => Reason::UserModelNotCertified.as_str(),
        (_, Some(code)) if stopped(code) => Reason::Stopped.as_str(),
        (_, Some(137)) => "Killed",
        (Some(word), None) => word,
        _ => "Crashed",
    };
    let disk_full = reason == Reason::DiskFull.as_str();
    let again = disk_full || !exit.code.is_some_and(final_code);
    (reason.to_owned(), again)
}

/// Returns a failure as the first of the manifest's rules that fits makes of it.
#[must_use]
pub fn apply_rules(
    exit_code: Option<i32>,
    reason: &str,
    message: String,
    retryable: bool,
    disrupted: bool,
    rules: &[FailureRule],
) -> ChildState {
    let rule = rules.iter().find(|rule| rule.matches(exit_code, reason));
    let (retryable, disrupted) = match rule.map(|rule| rule.action) {
        None => (retryable, disrupted),
        Some(FailureAction::Retry) => (true, false),
        Some(FailureAction::Fail) => (false, false),
        Some(FailureAction::Ignore) => (true, true),
    };
    ChildState::Failed {
        exit_code,
        reason: reason.to_owned(),
        message,
        retryable,
        disrupted,
    }
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
