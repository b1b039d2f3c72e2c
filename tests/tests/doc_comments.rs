//! Doc comments begin with a sentence or a noun phrase, never with a riddle.

use std::path::{Path, PathBuf};

/// Adds the Rust files under a folder, build output apart.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with(".git") {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_doc_comment_begins_with_what_who_whether_or_how() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the repository's root");
    let mut files = Vec::new();
    sources(root, &mut files);
    assert!(files.len() > 200, "only {} files are read", files.len());
    let mut riddles = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source file");
        let mut inside = false;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            let comment = line
                .strip_prefix("///")
                .or_else(|| line.strip_prefix("//!"));
            let first = comment.and_then(|text| text.split_whitespace().next());
            let begins = !inside && matches!(first, Some("What" | "Who" | "Whether" | "How"));
            if begins {
                riddles.push(format!("{}:{}: {line}", file.display(), number + 1));
            }
            inside = first.is_some();
        }
    }
    assert!(riddles.is_empty(), "{}", riddles.join("\n"));
}
