//! Whatever is wrong with a domain's folder is told with its file, its line and a way out; nothing wrong, nothing told.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use agoge_world::{Domain, Problem};

/// A new domain's folder, to be spoilt.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Domain::new_skeleton(dir.path(), "desk").unwrap();
        Self(dir)
    }

    fn domain(&self) -> PathBuf {
        self.0.path().join("domain")
    }

    fn change(&self, file: &str, from: &str, to: &str) -> &Self {
        let path = self.domain().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
        self
    }

    fn append(&self, file: &str, more: &str) -> &Self {
        let path = self.domain().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text + more).unwrap();
        self
    }

    fn problems(&self) -> Vec<Problem> {
        Domain::check(&self.domain())
    }

    /// The one problem: its file, its line and a word of its message.
    fn tells(&self, file: &str, line: Option<u32>, word: &str) {
        let found = self.problems();
        let fits = |p: &Problem| {
            p.file == self.domain().join(file) && p.line == line && p.message.contains(word)
        };
        assert!(
            found.iter().any(fits),
            "no {file}:{line:?} {word:?} in {found:#?}"
        );
        assert!(
            found.iter().all(|p| !p.remedy.is_empty()),
            "no way out: {found:#?}"
        );
    }
}

#[test]
fn the_skeleton_and_courier_have_no_problem() {
    assert_eq!(Folder::new().problems(), []);
    let courier = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
    assert_eq!(Domain::check(&courier), []);
}

#[test]
fn every_missing_file_is_named_at_once() {
    let folder = Folder::new();
    let files = [
        "domain.yaml",
        "policy.md",
        "schema.json",
        "state.json",
        "tools.py",
    ];
    for file in files {
        std::fs::remove_file(folder.domain().join(file)).unwrap();
    }
    let found = folder.problems();
    for file in files {
        let told = found
            .iter()
            .filter(|p| p.file == folder.domain().join(file));
        assert_eq!(told.count(), 1, "{file}: {found:?}");
    }
    let nowhere = Domain::check(&folder.domain().join("nowhere"));
    assert!(
        nowhere[0].to_string().contains("no such folder"),
        "{nowhere:?}"
    );
}

#[test]
fn a_tool_without_type_hints_is_told_with_its_line() {
    let folder = Folder::new();
    folder.append(
        "tools.py",
        "\n\ndef pause(member, days: set) -> str:\n    \"\"\"Pause.\"\"\"\n    return \"ok\"\n",
    );
    folder.tells("tools.py", Some(36), "`member` of `pause` has no type hint");
    folder.tells("tools.py", Some(36), "the type `set`");
}

#[test]
fn python_that_the_sandbox_cannot_run_is_told_with_its_line() {
    let folder = Folder::new();
    folder.append("tools.py", "\n\nimport os\n\n\nclass A(dict):\n    pass\n");
    folder.tells("tools.py", Some(36), "no module `os`");
    folder.tells("tools.py", Some(39), "no class inheritance");
    let folder = Folder::new();
    folder.append("tools.py", "\n\ndef broken(:\n");
    folder.tells("tools.py", Some(36), "not Python");
}

#[test]
fn tools_that_fail_at_import_are_told_with_the_line_that_raised() {
    let folder = Folder::new();
    folder.append(
        "tools.py",
        "\n\nFEES = {\"plus\": 3}\nFEE = FEES[\"gold\"]\n",
    );
    folder.tells("tools.py", Some(37), "fails at import: KeyError");
}

#[test]
fn a_state_that_does_not_match_its_schema_is_told_with_the_record() {
    let folder = Folder::new();
    folder.change("state.json", "\"plan\": \"basic\"", "\"plan\": \"gold\"");
    let found = folder.problems();
    assert!(
        found[0].message.contains("/plan") && found[0].message.contains("gold"),
        "{found:?}"
    );
    let text = std::fs::read_to_string(folder.domain().join("state.json")).unwrap();
    let line = text.lines().position(|line| line.contains("gold")).unwrap() + 1;
    assert_eq!(found[0].line, u32::try_from(line).ok());
}

#[test]
fn an_int_where_a_float_belongs_is_normalised_and_no_problem() {
    let folder = Folder::new();
    folder.change(
        "schema.json",
        "\"years\": { \"type\": \"integer\"",
        "\"years\": { \"type\": \"number\"",
    );
    assert_eq!(folder.problems(), []);
    let domain = Domain::load(&folder.domain()).unwrap();
    let id = domain.state.ids("members").next().unwrap();
    assert!(domain.state.get("members", id).unwrap()["years"].is_f64());
}

#[test]
fn a_hundred_megabytes_of_state_are_refused_unread() {
    let folder = Folder::new();
    let file = std::fs::File::create(folder.domain().join("state.json")).unwrap();
    file.set_len(100 << 20).unwrap();
    let begun = std::time::Instant::now();
    folder.tells("state.json", None, "larger than 64 MiB");
    assert!(begun.elapsed() < std::time::Duration::from_secs(2));
}

#[test]
fn files_that_are_no_json_no_yaml_or_no_text_are_told_with_their_line() {
    let folder = Folder::new();
    folder.change(
        "schema.json",
        "\"required\": [\"members\"],",
        "\"required\": [\"members\"]",
    );
    folder.tells("schema.json", Some(6), "not JSON");
    let folder = Folder::new();
    folder.append("domain.yaml", "colour: red\n");
    folder.tells("domain.yaml", Some(8), "unknown field `colour`");
    let folder = Folder::new();
    std::fs::write(folder.domain().join("policy.md"), b"one\n\xff\n").unwrap();
    folder.tells("policy.md", Some(2), "not UTF-8");
}

#[test]
fn gold_that_fails_is_told_with_its_branch() {
    let folder = Folder::new();
    folder.change(
        "templates/renew.yaml",
        "member.owes == false",
        "member.owes == true",
    );
    let found = folder.problems();
    assert_eq!(found.len(), 1, "{found:#?}");
    folder.tells(
        "templates/renew.yaml",
        Some(10),
        "call 2 (renew): error: a fee is owed",
    );
}

#[test]
fn what_a_template_says_wrongly_is_told_with_its_line() {
    for (from, to, line, word) in [
        (
            "- look: {",
            "- lock: {",
            14,
            "calls `lock`, which is no tool",
        ),
        (
            "outputs: [renewed]",
            "outputs: [done]",
            17,
            "without its output \"done\"",
        ),
        (
            "outputs: [renewed]",
            "outputs: [\"{member.plan}\", \"{card}\"]",
            16,
            "`{card}` names neither a fact nor a linked record",
        ),
        (
            "member.owes == false",
            "card.owes == false",
            12,
            "`card.owes`, which is no fact",
        ),
        (
            "record: members",
            "record: people",
            4,
            "which has no records",
        ),
        (
            "hold: [member]",
            "hold: [card]",
            32,
            "holds back `card`, which is no fact",
        ),
        (
            "please renew my membership.",
            "please renew {member}.",
            33,
            "tells `member`, which its wording holds back",
        ),
        (
            "one more year, please.",
            "hello there.",
            33,
            "none of the topic's words",
        ),
        (
            "what is your member number?",
            "who are you?",
            10,
            "does not ask for `member`",
        ),
    ] {
        let folder = Folder::new();
        folder.change("templates/renew.yaml", from, to);
        folder.tells("templates/renew.yaml", Some(line), word);
    }
}

#[test]
fn a_skeleton_overwrites_nothing_and_takes_only_names_that_manifests_may_have() {
    let folder = Folder::new();
    folder.append("policy.md", "mine\n");
    assert!(
        Domain::new_skeleton(folder.0.path(), "desk")
            .unwrap_err()
            .to_string()
            .contains("is there already")
    );
    assert!(
        std::fs::read_to_string(folder.domain().join("policy.md"))
            .unwrap()
            .ends_with("mine\n")
    );
    let other = tempfile::tempdir().unwrap();
    for name in ["Desk", "1desk", "desk-", "", "de sk"] {
        assert!(Domain::new_skeleton(other.path(), name).is_err(), "{name}");
    }
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 0);
}
