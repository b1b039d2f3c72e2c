//! The evaluation at a terminal: a bar over the loop of [`agoge_synthesis::evaluation`], and its end in words.

use agoge_llm::LlmError;
use agoge_synthesis::evaluation::{Exam, Halt, Played, trials};
use agoge_world::Task;
use indicatif::{ProgressBar, ProgressStyle};

use super::kept::Kept;
use crate::failure::Failure;

/// Returns the keys of all trials.
#[must_use]
pub fn keys(tasks: &[Task], each: u32) -> Vec<String> {
    trials(tasks.len(), each)
        .map(|(at, trial)| Kept::key(&tasks[at], trial))
        .collect()
}

/// Plays what is not kept yet, and keeps it.
///
/// # Errors
/// An endpoint whose outage lasts or that refuses what it is asked, an interruption, or a file that cannot be written.
pub async fn play(exam: &Exam<'_>, kept: &mut Kept) -> Result<Played, Failure> {
    let total = exam.tasks.len() as u64 * u64::from(exam.trials);
    let bar = bar(total, kept.count() as u64);
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let mut warned = false;
    let seen = |episode: Option<&agoge_artifacts::evaluation::Episode>| {
        let warning = episode.and_then(|episode| episode.unread.as_ref());
        if let Some(warning) = warning.filter(|_| !warned) {
            bar.suspend(|| eprintln!("! {warning}"));
            warned = true;
        }
        bar.inc(1);
    };
    let played = exam.play(kept.ledger(), interrupted, seen).await;
    bar.finish_and_clear();
    played.map_err(|halt| match halt {
        Halt::Stopped => Failure::Interrupted,
        Halt::Ledger(error) => Failure::input(error),
        Halt::Endpoint(error) => stopped(&error, kept, total),
    })
}

/// The failure of an evaluation whose endpoint gives out, with what is kept.
fn stopped(error: &LlmError, kept: &Kept, total: u64) -> Failure {
    let text = format!(
        "{error}\n{} of {total} episodes are kept in {}; the same command asks for the others once the cause is fixed",
        kept.count(),
        kept.file().display()
    );
    match error.is_passing() {
        true => Failure::Infra(text),
        false => Failure::Input(text),
    }
}

fn bar(total: u64, done: u64) -> ProgressBar {
    let bar = ProgressBar::new(total).with_position(done);
    let style =
        ProgressStyle::with_template("{bar:24} {pos}/{len} episodes, {per_sec}, {eta} to go");
    bar.set_style(
        style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> "),
    );
    bar
}
