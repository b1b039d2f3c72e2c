//! The limits that the process sets on itself before it runs anything: address space, descriptors, core dumps, and
//! nearly every system call.

use std::collections::BTreeMap;

use agoge_sandbox::Limits;
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// Address space beyond a run's memory limit: the interpreter, the domain's data, allocator slack.
const ROOM: u64 = 2 << 30;

/// Confines this process for good.
///
/// # Errors
/// When a limit or the filter cannot be set; the message says which and suggests a fix.
pub fn confine(limits: &Limits) -> Result<(), String> {
    let bounds = [
        (Resource::As, limits.memory_bytes.saturating_add(ROOM)),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, 3),
        (Resource::Nproc, 0),
    ];
    for (resource, bound) in bounds {
        setrlimit(
            resource,
            Rlimit {
                current: Some(bound),
                maximum: Some(bound),
            },
        )
        .map_err(|e| format!("setting the limit of {resource:?}: {e}"))?;
    }
    let filter = filter().map_err(|e| format!("building the seccomp filter: {e}"))?;
    apply_filter(&filter).map_err(|e| {
        format!(
            "this kernel refuses a seccomp filter ({e}); the sandbox needs CONFIG_SECCOMP_FILTER"
        )
    })
}

/// Memory, input and output on descriptors already open, time, signals of its own, exit; everything else kills.
fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let allowed = [
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_readv,
        libc::SYS_writev,
        libc::SYS_close,
        libc::SYS_brk,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_mprotect,
        libc::SYS_futex,
        libc::SYS_getrandom,
        libc::SYS_clock_gettime,
        libc::SYS_sched_yield,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_tgkill,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
    let rules: BTreeMap<i64, Vec<seccompiler::SeccompRule>> =
        allowed.into_iter().map(|call| (call, vec![])).collect();
    SeccompFilter::new(
        rules,
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?
    .try_into()
}
