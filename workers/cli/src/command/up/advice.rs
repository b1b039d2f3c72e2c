//! Advice about failures. Nothing is advised that would end the same way again.

use agoge_contract::Reason;
use agoge_crds::conditions::reason;

/// Reasons of failures that come of what was asked for: another attempt at the same would end the same way.
const OF_INPUTS: [&str; 9] = [
    reason::NOTHING_ACCEPTED,
    reason::NOT_QUALIFIED,
    reason::SUITE_BELOW_THRESHOLD,
    reason::DIGEST_CHANGED,
    reason::USER_MODEL_NOT_CERTIFIED,
    reason::DEADLINE_EXCEEDED,
    reason::NOTHING_LEARNED,
    reason::TRAJECTORIES_CUT,
    Reason::NoLearningSignal.as_str(),
];
/// Reasons of objects that failed with another.
const OF_OTHERS: [&str; 2] = [reason::SYNTHESIS_JOB_FAILED, reason::SUITE_FAILED];

/// Returns what to do about failures with these reasons.
pub fn of(failed: &[&str]) -> Vec<&'static str> {
    let own = || failed.iter().filter(|reason| !OF_OTHERS.contains(reason));
    let mut advice = vec![];
    if own().any(|reason| OF_INPUTS.contains(reason)) {
        advice.push(
            "change the manifest or the domain as the message says: the same command then makes anew what depends on it",
        );
    }
    if own().any(|reason| !OF_INPUTS.contains(reason)) {
        advice.push(
            "once the cause is fixed, the same command with --retry tries again; what is finished is kept",
        );
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_is_advised_only_where_it_can_end_otherwise() {
        let said = |failed: &[&str]| of(failed).join("\n");
        let not = said(&["NothingLearned", "CheckerSuiteFailed"]);
        assert!(
            !not.contains("--retry") && not.contains("change the manifest"),
            "{not}"
        );
        let again = said(&["BackoffLimitExceeded", "SynthesisJobFailed"]);
        assert!(
            again.contains("--retry") && !again.contains("change the manifest"),
            "{again}"
        );
        assert_eq!(of(&["NotQualified", "EndpointDown"]).len(), 2);
        assert!(of(&[]).is_empty());
    }
}
