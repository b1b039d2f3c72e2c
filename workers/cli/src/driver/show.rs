//! The display of a run: a bar for each child with rate and remaining time, or plain lines where there is no terminal.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use agoge_contract::ProgressReport;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::stdout;

/// A plain line for a child at most this often.
const EVERY: Duration = Duration::from_secs(5);

/// The display.
pub struct Show {
    bars: Option<MultiProgress>,
    quiet: bool,
    lines: BTreeMap<String, Line>,
    begun: Instant,
}

struct Line {
    bar: Option<ProgressBar>,
    pace: Pace,
    report: ProgressReport,
    said: Option<Instant>,
}

/// The speed of a stage since it was first seen: work that a resumed stage had done before does not count.
#[derive(Clone, Debug)]
struct Pace {
    stage: String,
    from: u64,
    since: Instant,
}

impl Pace {
    fn rate(&self, done: u64, now: Instant) -> Option<f64> {
        let seconds = now.duration_since(self.since).as_secs_f64();
        let made = done.saturating_sub(self.from);
        (made > 0 && seconds > 0.2).then(|| made as f64 / seconds)
    }
}

impl Show {
    /// Bars on a terminal, lines elsewhere; neither with `--no-progress`.
    #[must_use]
    pub fn new(progress: bool) -> Self {
        let bars = progress && std::io::stderr().is_terminal();
        Self {
            bars: bars.then(MultiProgress::new),
            quiet: !progress,
            lines: BTreeMap::new(),
            begun: Instant::now(),
        }
    }

    /// Says something that stays.
    pub fn say(&self, text: &str) {
        let line = format!("{:>6}  {text}", clock(self.begun.elapsed()));
        match &self.bars {
            // The command must not be left while the bars are locked.
            Some(bars) => stdout::or_end(bars.suspend(|| stdout::try_line(format_args!("{line}")))),
            None => println!("{line}"),
        }
    }

    /// Shows the children that run with their reports, and takes away the others.
    pub fn update(&mut self, running: &[(String, ProgressReport)]) {
        if self.quiet {
            return;
        }
        let now = Instant::now();
        self.lines.retain(|name, line| {
            let stays = running.iter().any(|(other, _)| other == name);
            if let (false, Some(bar)) = (stays, &line.bar) {
                bar.finish_and_clear();
            }
            stays
        });
        for (name, report) in running {
            if !self.lines.contains_key(name) {
                let bar = self.bars.as_ref().map(|bars| bars.add(bar(name)));
                let pace = Pace {
                    stage: report.stage.clone(),
                    from: report.done,
                    since: now,
                };
                self.lines.insert(
                    name.clone(),
                    Line {
                        bar,
                        pace,
                        report: ProgressReport::default(),
                        said: None,
                    },
                );
            }
            if let Some(line) = self.lines.get_mut(name) {
                line.take(name, report, now);
            }
        }
    }

    /// Takes all bars away.
    pub fn clear(&mut self) {
        self.update(&[]);
    }
}

impl Line {
    fn take(&mut self, name: &str, report: &ProgressReport, now: Instant) {
        if report.stage != self.pace.stage || report.done < self.pace.from {
            self.pace = Pace {
                stage: report.stage.clone(),
                from: report.done,
                since: now,
            };
        }
        let text = words(report, self.pace.rate(report.done, now));
        match &self.bar {
            Some(bar) => {
                bar.set_length(report.total.max(report.done).max(1));
                bar.set_position(report.done);
                bar.set_message(text);
                bar.tick();
            }
            None if *report != self.report
                && (!report.stage.is_empty() || report.done > 0)
                && self
                    .said
                    .is_none_or(|said| now.duration_since(said) >= EVERY) =>
            {
                eprintln!("        {name}: {text}");
                self.said = Some(now);
            }
            None => {}
        }
        self.report.clone_from(report);
    }
}

/// `agent SFT 3/40 epochs, 1.2/s, 31s to go, loss 0.412`.
fn words(report: &ProgressReport, rate: Option<f64>) -> String {
    let count = match report.total {
        0 if report.done == 0 => String::new(),
        0 => format!(" {} {}", report.done, report.unit),
        total => format!(" {}/{total} {}", report.done, report.unit),
    };
    let mut parts = vec![format!("{}{count}", report.stage).trim().to_owned()];
    if let Some(rate) = rate {
        parts.push(if rate >= 1.0 {
            format!("{rate:.1}/s")
        } else {
            format!("{:.1}/min", rate * 60.0)
        });
        let left = report.total.saturating_sub(report.done);
        if left > 0 {
            let eta = Duration::try_from_secs_f64(left as f64 / rate).unwrap_or(Duration::MAX);
            parts.push(format!("{} to go", clock(eta)));
        }
    }
    for (name, value) in report.figures.iter().take(4) {
        match value {
            Value::Number(number) => match number.as_f64() {
                Some(float) if float.fract() != 0.0 => parts.push(format!("{name} {float:.3}")),
                _ => parts.push(format!("{name} {number}")),
            },
            Value::String(text) => parts.push(format!("{name} {text}")),
            _ => {}
        }
    }
    parts.join(", ")
}

fn bar(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {prefix} {bar:24} {msg}");
    let bar = ProgressBar::new(1);
    bar.set_style(
        style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> "),
    );
    bar.set_prefix(name.to_owned());
    bar
}

/// `7s`, `3m05s`, `1h02m`.
#[must_use]
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let report = ProgressReport {
            stage: "GRPO".into(),
            done: 30,
            total: 90,
            unit: "steps".into(),
            figures: serde_json::Map::from_iter([("reward".to_owned(), Value::from(0.5))]),
            warning: None,
        };
        assert_eq!(
            words(&report, Some(0.5)),
            "GRPO 30/90 steps, 30.0/min, 2m00s to go, reward 0.500"
        );
        assert_eq!(
            words(&ProgressReport { total: 0, ..report }, None),
            "GRPO 30 steps, reward 0.500"
        );
    }

    #[test]
    fn a_resumed_stage_is_not_credited_with_what_was_done_before() {
        let now = Instant::now();
        let pace = Pace {
            stage: "GRPO".into(),
            from: 80,
            since: now,
        };
        let rate = pace.rate(90, now + Duration::from_secs(10));
        assert_eq!(rate, Some(1.0));
        assert_eq!(
            pace.rate(80, now + Duration::from_secs(10)),
            None,
            "no pace yet"
        );
    }
}
