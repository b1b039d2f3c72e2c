//! The C functions of `shim/shim.cpp`, made safe: all unsafe code of this crate.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::time::Duration;

use tch::{Kind, Tensor};

unsafe extern "C" {
    fn agoge_c10d_last_error() -> *const c_char;
    fn agoge_c10d_join(
        host: *const c_char,
        port: u16,
        rank: c_int,
        world: c_int,
        timeout_ms: i64,
        address: *const c_char,
        interface: *const c_char,
    ) -> *mut c_void;
    fn agoge_c10d_all_reduce(
        group: *mut c_void,
        data: *mut c_void,
        length: i64,
        kind: c_int,
        operation: c_int,
        timeout_ms: i64,
    ) -> c_int;
    fn agoge_c10d_broadcast(
        group: *mut c_void,
        data: *mut c_void,
        length: i64,
        kind: c_int,
        root: c_int,
        timeout_ms: i64,
    ) -> c_int;
    fn agoge_c10d_leave(group: *mut c_void);
}

/// The operation on the values of all ranks.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// Their sum.
    Sum,
    /// Their maximum.
    Max,
}

/// Where a group meets.
pub struct Place<'a> {
    /// Rank 0's host, and the port it listens on.
    pub host: &'a str,
    /// See `host`.
    pub port: u16,
    /// This process, and how many there are.
    pub rank: i32,
    /// See `rank`.
    pub world: i32,
    /// The time to wait for the others.
    pub timeout: Duration,
    /// This machine's own address towards the others, where its name does not lead to it.
    pub address: Option<&'a str>,
    /// The network interface, where it is not the machine's first.
    pub interface: Option<&'a str>,
}

/// A process group. One that has failed is never torn down: its destructor would wait for what does not come any more.
#[derive(Debug)]
pub struct Group {
    raw: NonNull<c_void>,
    broken: bool,
}

impl Group {
    /// Meets the others.
    pub fn join(place: &Place<'_>) -> Result<Self, String> {
        let text = |s: &str| CString::new(s).map_err(|_| format!("{s:?} is no name"));
        let host = text(place.host)?;
        let address = place.address.map(text).transpose()?;
        let interface = place.interface.map(text).transpose()?;
        let pointer = |s: &Option<CString>| s.as_ref().map_or(std::ptr::null(), |s| s.as_ptr());
        // SAFETY: the strings live until the call is over, and null is allowed for the last two.
        let raw = unsafe {
            agoge_c10d_join(
                host.as_ptr(),
                place.port,
                place.rank,
                place.world,
                milliseconds(place.timeout),
                pointer(&address),
                pointer(&interface),
            )
        };
        NonNull::new(raw)
            .map(|raw| Self { raw, broken: false })
            .ok_or_else(last_error)
    }

    /// Combines a contiguous tensor over all ranks, in place.
    pub fn all_reduce(
        &mut self,
        tensor: &Tensor,
        operation: Operation,
        timeout: Duration,
    ) -> Result<(), String> {
        let (data, length, kind) = content(tensor)?;
        // SAFETY: `content` gives the address of `length` values of this kind, which `tensor` keeps alive.
        let failed = unsafe {
            agoge_c10d_all_reduce(
                self.raw.as_ptr(),
                data,
                length,
                kind,
                operation as c_int,
                milliseconds(timeout),
            )
        };
        self.outcome(failed)
    }

    /// Puts rank `root`'s values into a contiguous tensor on every rank, in place.
    pub fn broadcast(
        &mut self,
        tensor: &Tensor,
        root: i32,
        timeout: Duration,
    ) -> Result<(), String> {
        let (data, length, kind) = content(tensor)?;
        // SAFETY: as above.
        let failed = unsafe {
            agoge_c10d_broadcast(
                self.raw.as_ptr(),
                data,
                length,
                kind,
                root,
                milliseconds(timeout),
            )
        };
        self.outcome(failed)
    }

    fn outcome(&mut self, failed: c_int) -> Result<(), String> {
        if failed == 0 {
            return Ok(());
        }
        self.broken = true;
        Err(last_error())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.broken {
            // SAFETY: `raw` came from join and is given back once.
            unsafe { agoge_c10d_leave(self.raw.as_ptr()) };
        }
    }
}

fn content(tensor: &Tensor) -> Result<(*mut c_void, i64, c_int), String> {
    let kind = match tensor.kind() {
        Kind::Float => 0,
        Kind::Double => 1,
        Kind::Uint8 => 2,
        other => return Err(format!("tensors of {other:?} are not exchanged")),
    };
    if !tensor.is_contiguous() {
        return Err("a tensor with gaps is not exchanged".into());
    }
    let length = i64::try_from(tensor.numel()).map_err(|e| e.to_string())?;
    Ok((tensor.data_ptr(), length, kind))
}

fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX).max(1)
}

/// Returns the first line of the error of this thread's last failed call; the rest names places in torch.
fn last_error() -> String {
    // SAFETY: the shim keeps a terminated string for each thread, valid until the thread's next call.
    let text = unsafe { CStr::from_ptr(agoge_c10d_last_error()) }.to_string_lossy();
    text.lines().next().unwrap_or_default().trim().to_owned()
}
