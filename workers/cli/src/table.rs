//! Tables for a terminal: the pass^k of every arm, and plain columns.

use agoge_crds::{CheckerSuiteStatus, Manifest};

/// The pass^k table of every run that has one, best arm first.
#[must_use]
pub fn of(manifests: &[&Manifest]) -> Vec<String> {
    let runs = manifests.iter().filter_map(|manifest| match manifest {
        Manifest::GRPORun(run) => run.status.as_ref().map(|status| (manifest.name(), status)),
        _ => None,
    });
    runs.filter(|(_, status)| !status.arms.is_empty())
        .map(|(name, status)| {
            let first = |pass: &[f64]| pass.first().copied().unwrap_or_default();
            let mut arms: Vec<_> = status.arms.iter().collect();
            arms.sort_by(|a, b| first(&b.1.pass).total_cmp(&first(&a.1.pass)));
            let most = arms
                .iter()
                .map(|(_, arm)| arm.pass.len())
                .max()
                .unwrap_or(1);
            let mut head = vec![name, "pass^1".to_owned(), "95 %".to_owned()];
            head.extend((2..=most).map(|k| format!("pass^{k}")));
            head.push("tasks".to_owned());
            let rows = arms.into_iter().map(|(arm, figures)| {
                let mut row = vec![arm.clone(), format!("{:.3}", first(&figures.pass))];
                row.push(format!("{:.3} - {:.3}", figures.low, figures.high));
                row.extend((1..most).map(|k| match figures.pass.get(k) {
                    Some(pass) => format!("{pass:.3}"),
                    // Nothing about this arm was sampled, so more trials would repeat the first.
                    None if k == 1 => "one trial".to_owned(),
                    None => String::new(),
                }));
                row.push(figures.tasks.to_string());
                row
            });
            columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
        })
        .collect()
}

/// The findings of the qualification of every suite that has any.
#[must_use]
pub fn suites(manifests: &[&Manifest]) -> Vec<String> {
    let suites = manifests.iter().filter_map(|manifest| match manifest {
        Manifest::CheckerSuite(suite) => Some((manifest.name(), suite.status.as_ref()?)),
        _ => None,
    });
    suites
        .map(|(name, status)| (name, findings(status)))
        .filter(|(_, found)| !found.is_empty())
        .map(|(name, found)| format!("{name}:\n{found}"))
        .collect()
}

/// The findings of a qualification, one a line: its reasons of quarantine and its warnings, each with the task of one checker.
#[must_use]
pub fn findings(status: &CheckerSuiteStatus) -> String {
    let kinds = [
        ("quarantined", &status.quarantined),
        ("warning", &status.warnings),
    ];
    let mut text = String::new();
    for (kind, found) in kinds {
        for entry in found {
            let example = entry.example.as_ref();
            let example = example.map_or_else(String::new, |task| format!(" (such as {task})"));
            text.push_str(&format!(
                "{kind} {}{example}: {}\n",
                entry.count, entry.reason
            ));
        }
    }
    text
}

/// Rows as columns that line up.
#[must_use]
pub fn columns<R: AsRef<[String]>>(rows: &[R]) -> String {
    let wide = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.as_ref().get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..wide).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.as_ref().iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}   "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
