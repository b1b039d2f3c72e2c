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
    folder.append(
        "tools.py",
        "\n\nimport uuid\n\n\nclass A(dict):\n    pass\n",
    );
    folder.tells("tools.py", Some(36), "no module `uuid`");
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
    folder.tells("domain.yaml", Some(9), "unknown field `colour`");
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
    folder.tells(
        "templates/renew.yaml",
        Some(10),
        "call 2 (renew): error: a fee is owed (ValueError at tools.py:15)",
    );
    folder.tells(
        "templates/renew.yaml",
        Some(18),
        "branches `paid` and `unpaid` both fit",
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

/// A template in Chinese, for the data and the tools of the skeleton.
const CHINESE: &str = r#"
name: renew
topic: [续费, 一年]
facts:
  member:
    record: members
    asked: [会员号, 号码]
    question: ["请问您的号码是多少？"]
    answers: ["{member}", "是{member}。"]
branches:
  - name: paid
    where: ["member.owes == false"]
    gold: [{ look: { member: "{member}" } }, { renew: { member: "{member}" } }]
    outputs: [已续费]
    say: ["好的，会员{member}已续费。"]
  - name: unpaid
    refusal: true
    where: ["member.owes == true"]
    gold: [{ look: { member: "{member}" } }]
    outputs: [欠费]
    say: ["抱歉，您欠费了。"]
wordings:
  - name: plain
    open: ["请为会员{member}续费。"]
  - name: bare
    hold: [member]
    open: ["我想再续一年。"]
closings: ["谢谢。###"]
confirm: "好的，是的。"
unknown: "我不知道。"
go_on: "好的。"
"#;

#[test]
fn a_domain_in_chinese_is_sound_and_what_it_lacks_is_found() {
    let folder = Folder::new();
    let file = folder.domain().join("templates/renew.yaml");
    std::fs::remove_file(folder.domain().join("templates/upgrade.yaml")).unwrap();
    std::fs::write(&file, CHINESE).unwrap();
    folder.append("policy.md", "\n已付费：**已续费**。未付费：**欠费**。\n");
    assert_eq!(folder.problems(), []);
    assert_eq!(Domain::load(&folder.domain()).unwrap().warnings(), []);
    for (from, to, word) in [
        (
            "outputs: [已续费]",
            "outputs: [已办理]",
            "without its output",
        ),
        ("我想再续一年。", "你好。", "none of the topic's words"),
        (
            "请问您的号码是多少？",
            "您是谁？",
            "does not ask for `member`",
        ),
        (
            "抱歉，您欠费了。",
            "您欠费，您的号码是多少？",
            "does not end the dialogue",
        ),
    ] {
        std::fs::write(&file, CHINESE.replace(from, to)).unwrap();
        let found = folder.problems();
        assert!(
            found.iter().any(|p| p.message.contains(word)),
            "{word}: {found:#?}"
        );
    }
}

#[test]
fn outputs_that_are_said_by_accident_are_warned_about_and_no_problem() {
    let warnings = |folder: &Folder| Domain::load(&folder.domain()).unwrap().warnings();
    let folder = Folder::new();
    assert_eq!(warnings(&folder), []);
    let courier = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
    assert_eq!(Domain::load(&courier).unwrap().warnings(), []);
    // A number below 100, and a word of every answer.
    folder.change(
        "templates/renew.yaml",
        "outputs: [renewed]",
        "outputs: [\"1\"]",
    );
    folder.change(
        "templates/renew.yaml",
        "it is renewed.",
        "it is 1 year more.",
    );
    folder.change(
        "templates/upgrade.yaml",
        "outputs: [already]",
        "outputs: [you]",
    );
    assert_eq!(folder.problems(), []);
    let found = warnings(&folder);
    let told: Vec<String> = found.iter().map(Problem::to_string).collect();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].contains("renew.yaml:10: branch `paid`: the output \"1\" is said by accident"));
    assert!(
        told[1].contains("upgrade.yaml:18: branch `plus`: the output \"you\" is said by accident")
    );
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

#[test]
fn a_record_that_stands_twice_is_told_with_the_line_of_the_second() {
    let folder = Folder::new();
    let path = folder.domain().join("state.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let ids: Vec<&str> = text
        .split('"')
        .filter(|part| part.len() == 5 && part.bytes().all(|b| b.is_ascii_digit()))
        .collect();
    let second = format!("\"{}\"", ids[1]);
    let line = text
        .lines()
        .position(|line| line.contains(&second))
        .unwrap()
        + 1;
    let twice = text.replacen(&second, &format!("\"{}\"", ids[0]), 1);
    std::fs::write(&path, twice).unwrap();
    folder.tells("state.json", u32::try_from(line).ok(), ids[0]);

    let folder = Folder::new();
    folder.change(
        "templates/renew.yaml",
        "name: renew\n",
        "name: renew\nname: again\n",
    );
    folder.tells("templates/renew.yaml", Some(2), "stands twice");
    let folder = Folder::new();
    folder.append("domain.yaml", "now: \"2025-01-01T00:00:00\"\n");
    folder.tells("domain.yaml", Some(9), "\"now\" stands twice");
}

#[test]
fn a_whole_number_that_would_be_rounded_is_told_with_its_line() {
    let folder = Folder::new();
    folder.change(
        "schema.json",
        "\"minimum\": 0",
        "\"maximum\": 92233720368547758079",
    );
    folder.tells("schema.json", Some(17), "92233720368547758079");
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_read_over() {
    let folder = Folder::new();
    let before = Domain::load(&folder.domain()).unwrap();
    for file in [
        "state.json",
        "schema.json",
        "domain.yaml",
        "policy.md",
        "tools.py",
        "templates/renew.yaml",
    ] {
        let path = folder.domain().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let ends = if file.ends_with(".json") {
            "\r\n"
        } else {
            "\n"
        };
        std::fs::write(&path, format!("\u{feff}{}", text.replace('\n', ends))).unwrap();
    }
    assert_eq!(folder.problems(), []);
    let after = Domain::load(&folder.domain()).unwrap();
    assert_eq!(after.state.to_json(), before.state.to_json());
    assert!(!after.policy.starts_with('\u{feff}') && !after.tools_source.starts_with('\u{feff}'));
}

#[test]
fn what_tools_leave_behind_is_no_part_of_a_domain() {
    let folder = Folder::new();
    let before = Domain::load(&folder.domain()).unwrap().digest;
    for left_behind in [
        "templates/._renew.yaml",
        "templates/.#hold.yaml",
        "__pycache__/tools.pyc",
        ".DS_Store",
    ] {
        let path = folder.domain().join(left_behind);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"\xff\x00").unwrap();
    }
    assert_eq!(folder.problems(), []);
    assert_eq!(Domain::load(&folder.domain()).unwrap().digest, before);
}
