//! What is asked of the operating system by hand: SIGINT and SIGTERM set a flag, and the limit of open files is raised.
//!
//! The one place with `unsafe`: std has neither, and a crate for two calls is a crate too many.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How soon a signal is noticed, and how long the program may take to end by itself.
const TICK: Duration = Duration::from_millis(250);
const GRACE: Duration = Duration::from_secs(1);

static STOP: AtomicBool = AtomicBool::new(false);

/// The same on every Unix.
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
#[cfg(target_os = "linux")]
const RLIMIT_NOFILE: i32 = 7;
#[cfg(not(target_os = "linux"))]
const RLIMIT_NOFILE: i32 = 8;

/// `struct rlimit` where `rlim_t` has 64 bits, as it has on the 64-bit platforms that we build for.
#[repr(C)]
struct Limit {
    soft: u64,
    hard: u64,
}

unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn getrlimit(resource: i32, limit: *mut Limit) -> i32;
    fn setrlimit(resource: i32, limit: *const Limit) -> i32;
}

extern "C" fn set_stop(_number: i32) {
    STOP.store(true, Ordering::Relaxed);
}

/// Installs the handlers; the flag turns true at the first signal.
pub fn stop_flag() -> &'static AtomicBool {
    // SAFETY: the handler does nothing but store to a lock-free atomic, which is async-signal-safe.
    unsafe {
        signal(SIGINT, set_stop);
        signal(SIGTERM, set_stop);
    }
    &STOP
}

/// Ends the program, successfully, when a signal did not: it may hang in a write to a pipe that nobody reads.
pub fn end_though_blocked(stop: &'static AtomicBool) {
    thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(TICK);
        }
        thread::sleep(GRACE);
        std::process::exit(0);
    });
}

/// Allows as many open files as the hard limit does: a watched file takes two, and the soft limit is often 1,024.
pub fn raise_open_files_limit() {
    let mut limit = Limit { soft: 0, hard: 0 };
    // SAFETY: both calls get a valid pointer to a `struct rlimit`; when they fail, the limit stays as it was.
    unsafe {
        if getrlimit(RLIMIT_NOFILE, &mut limit) == 0 && limit.soft < limit.hard {
            limit.soft = limit.hard;
            setrlimit(RLIMIT_NOFILE, &limit);
        }
    }
}
