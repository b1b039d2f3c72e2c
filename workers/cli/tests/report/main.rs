//! The report page, made from run folders in the store's own format.

// Clippy lets test functions unwrap, not what helps them.
#![allow(clippy::unwrap_used)]

mod folder;

use std::fs;
use std::path::Path;

use agoge_cli::report::{ReportError, write};
use serde_json::Value;

/// The page's own text, and the document embedded in it.
fn read(out: &Path) -> (String, Value) {
    let page = fs::read_to_string(write(out).unwrap()).unwrap();
    let open = "<script type=\"application/json\" id=\"data\">";
    let start = page.find(open).unwrap() + open.len();
    let end = start + page[start..].find("</script>").unwrap();
    let data = serde_json::from_str(&page[start..end]).unwrap();
    (format!("{}{}", &page[..start], &page[end..]), data)
}

#[test]
fn a_finished_run_becomes_one_page_with_every_part() {
    let out = tempfile::tempdir().unwrap();
    folder::finished(out.path());
    let (_, data) = read(out.path());
    assert_eq!(data["notes"], serde_json::json!([]));
    assert_eq!(
        data["training"]["arms"].as_array().unwrap().len(),
        8,
        "seven arms and an endpoint"
    );
    assert!(data["training"]["comparisons"][0]["low"].as_f64().unwrap() > 0.0);
    let strategies = data["synthesis"]["strategies"].as_array().unwrap();
    let sea = strategies.iter().find(|s| s["name"] == "sea").unwrap();
    let funnel = sea["funnel"].as_array().unwrap();
    let ended: u64 = funnel
        .iter()
        .filter_map(|gate| gate["count"].as_u64())
        .sum();
    assert_eq!(ended, 15, "each of sea's attempts ends at one gate");
    assert_eq!(data["synthesis"]["plans"].as_array().unwrap().len(), 2);
    assert_eq!(data["suite"][0]["quarantined"][0]["count"], 8);
    assert_eq!(data["training"]["certification"]["after"]["faulty"], 28);
    assert_eq!(data["provenance"]["answers"], "replayed");
    assert!(data["samples"]["entries"].as_array().unwrap().len() > 100);
    // For `make check-report` while there is no real run: the same page, kept.
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    folder::finished(&kept.join("finished"));
    folder::failed(&kept.join("failed"));
    write(&kept.join("finished")).unwrap();
    write(&kept.join("failed")).unwrap();
}

#[test]
fn the_page_asks_nothing_of_any_other_place() {
    let out = tempfile::tempdir().unwrap();
    folder::finished(out.path());
    let (own, _) = read(out.path());
    for reference in [
        "http://",
        "https://",
        "src=",
        "@import",
        "url(",
        "fetch(",
        "XMLHttpRequest",
    ] {
        assert!(!own.contains(reference), "{reference}");
    }
    assert!(
        own.contains("default-src 'none'"),
        "and a browser would refuse it"
    );
    assert_eq!(
        own.matches("href=\"").count(),
        2,
        "the skip link and an empty icon"
    );
}

#[test]
fn what_a_dialogue_says_is_data_and_never_markup() {
    let out = tempfile::tempdir().unwrap();
    folder::finished(out.path());
    let (own, data) = read(out.path());
    assert!(!own.contains("hacked"), "nothing of it outside the data");
    let text = fs::read_to_string(out.path().join("report.html")).unwrap();
    assert!(!text.contains("<img") && !text.contains("<!--") && !text.contains('\u{2028}'));
    let entries = data["samples"]["entries"].as_array().unwrap();
    assert!(
        entries.iter().any(|e| e["reason"] == folder::HOSTILE),
        "and none of it is lost"
    );
    // The script must not turn text into markup either.
    for way in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
    ] {
        assert!(!own.contains(way), "{way}");
    }
}

#[test]
fn a_failed_run_gets_a_page_that_says_why() {
    let out = tempfile::tempdir().unwrap();
    folder::failed(out.path());
    let (_, data) = read(out.path());
    let failed = &data["overview"]["objects"][1];
    assert_eq!(failed["reason"], "UserModelNotCertified");
    assert!(
        failed["message"]
            .as_str()
            .unwrap()
            .contains("more demonstrations")
    );
    let notes = data["notes"].to_string();
    assert!(
        notes.contains("certifyUser") && notes.contains("has to run again"),
        "{notes}"
    );
    let funnel = &data["synthesis"]["strategies"][0]["funnel"];
    assert_eq!(
        (&funnel[3]["count"], &funnel[5]["count"]),
        (&10.into(), &30.into())
    );
}

#[test]
fn every_missing_or_broken_part_is_survived() {
    let out = tempfile::tempdir().unwrap();
    assert!(matches!(write(out.path()), Err(ReportError::NoRun(_))));
    fs::create_dir_all(out.path().join("objects")).unwrap();
    let (_, data) = read(out.path());
    assert_eq!(data["overview"]["objects"], serde_json::json!([]));
    fs::write(out.path().join("objects/GRPORun-x.json"), "{ half").unwrap();
    let (_, data) = read(out.path());
    assert!(data["notes"].to_string().contains("GRPORun-x.json"));
    // Every object of the store damaged: the statuses still make a page.
    folder::finished(out.path());
    for first in fs::read_dir(out.path().join("store/objects"))
        .unwrap()
        .flatten()
    {
        for object in fs::read_dir(first.path()).unwrap().flatten() {
            fs::write(object.path(), "no such thing").unwrap();
        }
    }
    let (_, data) = read(out.path());
    assert!(data["notes"].to_string().contains("corrupt"));
    assert_eq!(data["suite"][0]["qualified"], 298);
}

#[test]
fn a_huge_run_makes_a_bounded_page() {
    let out = tempfile::tempdir().unwrap();
    folder::finished(out.path());
    let store = agoge_store::Store::open(out.path().join("store")).unwrap();
    let long = "ä".repeat(20_000);
    let attempt = |n: usize| {
        let messages: Vec<Value> = (0..40)
            .map(|_| serde_json::json!({ "role": "user", "content": long }))
            .collect();
        serde_json::json!({ "id": format!("sea-{n}"), "strategy": "sea", "generation": 0, "split": "trainRl", "gate": "rollout", "reason": format!("case {}", "x".repeat(n)), "messages": messages })
    };
    let lines: Vec<String> = (0..100).map(|n| attempt(n).to_string()).collect();
    let digest = store.put(lines.join("\n").as_bytes()).unwrap();
    let path = out.path().join("objects/SynthesisJob-courier.json");
    let mut job: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    job["status"]["strategies"]["sea"]["digest"] = digest.to_string().into();
    fs::write(&path, job.to_string()).unwrap();
    let (_, data) = read(out.path());
    assert!(fs::metadata(out.path().join("report.html")).unwrap().len() < 7 << 20);
    let groups = data["samples"]["groups"].as_array().unwrap();
    let rejected = groups
        .iter()
        .find(|g| g["group"] == serde_json::json!(["sea", "rejected"]))
        .unwrap();
    assert_eq!(rejected["of"], 100);
    assert!(rejected["shown"].as_u64().unwrap() < 100, "and it says so");
}
