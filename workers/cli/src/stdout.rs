//! Standard output of every command. A reader that has gone (`agoge status --json | head`) ends the command quietly, with
//! the exit code that a shell gives a process after SIGPIPE.
//!
//! The macros `print!` and `println!` of this crate stand in for those of the standard library, which panic there.

use std::any::Any;
use std::fmt::Arguments;
use std::io::{Error, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;

/// Exit code of a process whose reader has gone: 128 and SIGPIPE.
const READER_GONE: u8 = 141;

/// Writes text to standard output.
macro_rules! print {
    ($($text:tt)*) => {
        $crate::stdout::write(::std::format_args!($($text)*))
    };
}

/// Writes a line to standard output.
macro_rules! println {
    () => {
        $crate::stdout::write(::std::format_args!("\n"))
    };
    ($($text:tt)*) => {
        $crate::stdout::write_line(::std::format_args!($($text)*))
    };
}

/// The reason to stop: an error of standard output.
struct Unwritten(Error);

/// Writes text; on an error the command ends: see [`run`].
pub fn write(text: Arguments<'_>) {
    or_end(std::io::stdout().lock().write_fmt(text));
}

/// Writes a line; on an error the command ends: see [`run`].
pub fn write_line(text: Arguments<'_>) {
    or_end(try_line(text));
}

/// Writes a line, for a caller that must not be left where it stands. Hand the result to [`or_end`].
///
/// # Errors
/// The error of standard output.
pub fn try_line(text: Arguments<'_>) -> std::io::Result<()> {
    std::io::stdout().lock().write_fmt(format_args!("{text}\n"))
}

/// Ends the command if its output could not be written. Everything on the way is dropped, so that no process that the
/// command started is left behind.
pub fn or_end(written: std::io::Result<()>) {
    if let Err(error) = written {
        // No hook is called: nothing is printed about it.
        resume_unwind(Box::new(Unwritten(error)));
    }
}

/// Runs a command, and returns its exit code: 141 where the reader of its output has gone, 2 where its output could not be
/// written for another reason.
pub fn run(command: impl FnOnce() -> ExitCode) -> ExitCode {
    match catch_unwind(AssertUnwindSafe(command)) {
        Ok(code) => code,
        Err(payload) => ExitCode::from(ended(payload)),
    }
}

/// Returns the exit code of a command that was left; a real panic goes on.
fn ended(payload: Box<dyn Any + Send>) -> u8 {
    match payload.downcast::<Unwritten>() {
        Ok(unwritten) if unwritten.0.kind() == ErrorKind::BrokenPipe => READER_GONE,
        Ok(unwritten) => {
            eprintln!("error: cannot write to standard output: {}", unwritten.0);
            2
        }
        Err(panic) => resume_unwind(panic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_and_a_full_disk_end_a_command_each_with_its_code() {
        let after = |kind: ErrorKind| {
            let left = catch_unwind(|| or_end(Err(Error::from(kind))));
            ended(left.unwrap_err())
        };
        assert_eq!(after(ErrorKind::BrokenPipe), 141);
        assert_eq!(after(ErrorKind::StorageFull), 2);
        assert!(catch_unwind(|| or_end(Ok(()))).is_ok());
    }
}
