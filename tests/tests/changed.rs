//! `agoge up` after a change of the domain or of a manifest, with the real workers.
#![allow(clippy::unwrap_used)]

use std::process::Output;

use agoge_tests::{Desk, said};

/// A desk with short stages, whose rollouts may have so many tokens.
fn patched(desk: &mut Desk, tokens: u32) {
    let file = desk.dir.path().join("patch.yaml");
    let patch = format!(
        "kind: GRPORun\nmetadata: {{name: desk}}\nspec:\n  stages:\n    agentSFT: {{maxEpochs: 2}}\n    \
         grpo: {{steps: 2, wallClock: null, groupSize: 2, groupsPerStep: 2, maxTokensPerTurn: 40,\n      \
               maxTrajectoryTokens: {tokens}}}\n    \
         evaluation: {{tasks: 8, samples: 1, arms: [empty, sft]}}\n"
    );
    std::fs::write(&file, patch).unwrap();
    if !desk.flags.iter().any(|flag| flag == "--patch") {
        desk.flags
            .extend(["--patch".to_owned(), file.display().to_string()]);
    }
}

fn well(output: &Output) -> String {
    let said = said(output);
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn a_change_is_told_and_what_rests_on_it_is_made_anew_and_a_change_back_finds_what_there_was() {
    let mut desk = Desk::new();
    patched(&mut desk, 160);
    well(&desk.up());
    let digests = |desk: &Desk| {
        let suite = desk.status("checkersuite-desk")["digest"].clone();
        let run = desk.status("grporun-desk");
        assert_eq!(run["suiteDigest"], suite, "the run rests on the suite");
        (suite, run["stages"].clone())
    };
    let first = digests(&desk);

    let policy = desk.manifests().join("domain/policy.md");
    let prose = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(&policy, format!("{prose}\nAnswer in one sentence.\n")).unwrap();
    let said = well(&desk.up());
    for id in ["synthesisjob/desk", "checkersuite/desk", "grporun/desk"] {
        let line = format!("{id} is made anew: the domain desk changed");
        assert!(said.contains(&line), "{line}: {said}");
    }
    let second = digests(&desk);
    assert_ne!(first.0, second.0, "the suite is of another domain");
    assert!(!well(&desk.up()).contains("made anew"));

    std::fs::write(&policy, prose).unwrap();
    assert!(well(&desk.up()).contains("the domain desk changed"));
    assert_eq!(digests(&desk), first, "it is found in the store");

    // No rollout has room for what the demonstrations show: the run ends, and says which limit to raise.
    patched(&mut desk, 40);
    let output = desk.up();
    let said = agoge_tests::said(&output);
    assert!(!output.status.success(), "{said}");
    for words in [
        "spec.stages.grpo.maxTrajectoryTokens changed",
        "maxTrajectoryTokens",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(desk.status("grporun-desk")["phase"], "Failed");
    assert_eq!(desk.status("checkersuite-desk")["phase"], "Complete");
    // Corrected, it goes on without any flag.
    patched(&mut desk, 160);
    well(&desk.up());
    assert_eq!(digests(&desk), first);
}
