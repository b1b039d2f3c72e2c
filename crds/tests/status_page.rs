//! The status page names every condition and every reason that the code can write.

#[test]
fn the_page_names_every_condition_and_reason() {
    let page = include_str!("../../docs/status.md");
    let code = include_str!("../src/conditions.rs");
    let words = code
        .lines()
        .filter(|line| line.trim_start().starts_with("pub const") && line.contains("&str"))
        .filter_map(|line| line.split('"').nth(1));
    let mut count = 0;
    for word in words {
        assert!(
            page.contains(&format!("`{word}`")),
            "docs/status.md does not name {word}"
        );
        count += 1;
    }
    assert!(count > 35, "the constants were found");
}
