//! The page of a report, for people.

use std::fmt::Write as _;

use crate::finding::{Finding, Severity, short};
use crate::kind::Kind;
use crate::report::AuditReport;

/// Findings of a kind that the page shows; the JSON has all.
const SHOWN: usize = 12;
/// Steps of a replay that the page shows.
const STEPS: usize = 12;

/// Writes the page of a report, with the replays that show its findings.
#[must_use]
pub fn markdown(report: &AuditReport) -> String {
    written(report, true)
}

/// Writes the page of a report without replays, which repeat texts of the benchmark.
#[must_use]
pub fn summary(report: &AuditReport) -> String {
    written(report, false)
}

fn written(report: &AuditReport, replays: bool) -> String {
    let mut page = String::new();
    let source = &report.source;
    line(&mut page, &format!("# Audit of {}\n", source.name));
    line(&mut page, &format!("```sh\n{}\n```\n", source.command));
    let package = source
        .package
        .as_ref()
        .map(|name| format!(" ({name})"))
        .unwrap_or_default();
    line(
        &mut page,
        &format!(
            "{} rows, read as {}{package}; Agoge {}. {} rows have no finding but notes. The repaired copy has {} rows, {} of them \
             changed; {} are dropped and {} quarantined.\n",
            report.tasks,
            source.form,
            report.agoge,
            report.sound,
            report.repaired.kept,
            report.repaired.changed,
            report.repaired.dropped,
            report.repaired.quarantined
        ),
    );
    if let Some(domain) = &source.domain {
        line(
            &mut page,
            &format!("Gold was played in the domain of digest `{domain}`.\n"),
        );
    }
    counts(&mut page, report);
    for kind in Kind::ALL {
        let of: Vec<&Finding> = report
            .findings
            .iter()
            .filter(|one| one.kind == kind)
            .collect();
        if !of.is_empty() {
            section(&mut page, kind, &of, replays);
        }
    }
    methods(&mut page, report);
    files(&mut page, report);
    page
}

fn line(page: &mut String, text: &str) {
    // Writing to a text cannot fail.
    let _ = writeln!(page, "{text}");
}

fn counts(page: &mut String, report: &AuditReport) {
    if report.counts.is_empty() {
        line(page, "Nothing was found.\n");
        return;
    }
    line(
        page,
        "| kind | rows | errors | warnings | notes | meaning |\n|---|---|---|---|---|---|",
    );
    for (kind, count) in &report.counts {
        let notes = count
            .findings
            .saturating_sub(count.errors)
            .saturating_sub(count.warnings);
        line(
            page,
            &format!(
                "| `{}` | {} | {} | {} | {notes} | {} |",
                kind.name(),
                count.tasks,
                count.errors,
                count.warnings,
                kind.meaning()
            ),
        );
    }
    line(page, "");
}

fn section(page: &mut String, kind: Kind, findings: &[&Finding], replays: bool) {
    line(page, &format!("## {}\n", kind.name()));
    line(
        page,
        &format!("{} findings: {}.\n", findings.len(), kind.meaning()),
    );
    let mut worst: Vec<&Finding> = findings.to_vec();
    worst.sort_by_key(|one| std::cmp::Reverse(one.severity));
    for one in worst.iter().take(SHOWN) {
        finding(page, one);
        if replays {
            replay(page, one);
        }
    }
    let more = findings.len().saturating_sub(SHOWN);
    if more > 0 {
        line(
            page,
            &format!("and {more} more, in the JSON beside this page.\n"),
        );
    }
}

fn finding(page: &mut String, one: &Finding) {
    let place = match one.place.as_str() {
        "" => String::new(),
        place => format!(", `{place}`"),
    };
    let weight = match one.severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let evidence = escaped(&short(&one.evidence, 500));
    line(
        page,
        &format!("- **{}**{place} ({weight}): {evidence}", escaped(&one.task)),
    );
}

fn replay(page: &mut String, one: &Finding) {
    if one.replay.is_empty() && one.diff.is_empty() {
        return;
    }
    line(page, "  <details><summary>replay</summary>\n\n  ```");
    for step in one.replay.iter().take(STEPS) {
        let arguments = serde_json::Value::Object(step.arguments.clone());
        let failed = if step.error { " (failed)" } else { "" };
        let call = format!(
            "{}{arguments} -> {}{failed}",
            step.name,
            short(&step.result, 120)
        );
        line(
            page,
            &format!("  {}", call.replace('\n', " ").replace("```", "'''")),
        );
    }
    for difference in one.diff.iter().take(STEPS) {
        line(
            page,
            &format!("  {}", difference.replace('\n', " ").replace("```", "'''")),
        );
    }
    line(page, "  ```\n  </details>");
}

fn methods(page: &mut String, report: &AuditReport) {
    line(page, "\n## How it was checked\n");
    line(page, "| kind | check | not checked |\n|---|---|---|");
    for one in &report.checked {
        let unchecked = one.unchecked.as_deref().unwrap_or_default();
        line(
            page,
            &format!("| `{}` | {} | {unchecked} |", one.kind.name(), one.how),
        );
    }
}

fn files(page: &mut String, report: &AuditReport) {
    if report.source.files.is_empty() {
        return;
    }
    line(page, "\n## Files\n");
    line(page, "| file | digest |\n|---|---|");
    for file in &report.source.files {
        line(page, &format!("| `{}` | `{}` |", file.name, file.digest));
    }
}

/// Returns a text that no Markdown reader takes for markup, in one line.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => safe.push(' '),
            '<' => safe.push_str("&lt;"),
            '*' | '_' | '`' | '|' | '[' | ']' | '#' | '\\' => {
                safe.push('\\');
                safe.push(c);
            }
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Repair;
    use crate::repair::Outcome;
    use crate::report::SourceOf;

    #[test]
    fn a_page_counts_each_kind_and_shows_evidence_as_text() {
        let found = Finding::new(
            "t_1",
            Kind::GoldFails,
            Severity::Error,
            "a | <b>",
            Repair::Keep,
        );
        let report = AuditReport::new(
            SourceOf::default(),
            3,
            vec![found],
            Vec::new(),
            Outcome::default(),
        );
        let page = markdown(&report);
        assert!(page.contains("| `goldFails` | 1 | 1 | 0 | 0 |"), "{page}");
        assert!(page.contains("**t\\_1** (error): a \\| &lt;b>"), "{page}");
        assert_eq!(report.sound, 2);
    }
}
