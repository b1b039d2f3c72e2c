//! Starting a worker so that it neither outlives its driver nor runs beside another one on the same work folder.
//!
//! Two ties, since either alone leaks: the kernel kills the worker when its driver dies (`PR_SET_PDEATHSIG`), and the
//! worker's standard input is the open, locked file `.lock` of its work folder, which stays locked for exactly as long as
//! the process is there. Its own children get pipes and do not inherit the lock.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Starts it, in a process group of its own: a Ctrl-C at the terminal reaches the driver, which asks each worker once.
///
/// # Errors
/// The error of the system.
pub fn spawn(command: &mut Command, lock: File) -> io::Result<Child> {
    command.stdin(Stdio::from(lock)).process_group(0);
    #[cfg(target_os = "linux")]
    {
        let driver = std::process::id();
        // SAFETY: between fork and exec only these two system calls are made, both safe in that state.
        unsafe {
            command.pre_exec(move || {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(io::Error::last_os_error());
                }
                // The driver may have died before the call above: then nobody would ever send the signal.
                if libc::getppid().cast_unsigned() != driver {
                    return Err(io::Error::from_raw_os_error(libc::ESRCH));
                }
                Ok(())
            });
        }
    }
    command.spawn()
}

/// Lets a write beyond a limit on the size of files fail, as on a full disk, instead of ending the process; workers inherit it.
pub fn survive_limits() {
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Asks a process to end.
pub fn ask_to_stop(child: &Child) {
    send(child.id().cast_signed(), libc::SIGTERM);
}

/// Ends a process and all that it started.
pub fn kill(child: &Child) {
    send(-child.id().cast_signed(), libc::SIGKILL);
}

fn send(pid: i32, signal: i32) {
    // SAFETY: no memory is involved. The process was not waited for yet, so that its id is still its own.
    unsafe { libc::kill(pid, signal) };
}
