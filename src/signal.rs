//! What is asked of the operating system by hand: SIGINT and SIGTERM set a flag, the limit of open files is raised, who
//! we are, how large a terminal is, where a hole in a file ends, and the flags of `open` that std does not name.
//!
//! The one place with `unsafe`: std has none of it, and a crate for a few calls is a crate too many.
#![allow(unsafe_code)]

use std::ffi::c_ulong;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How soon a signal is noticed, and how long the program may take to end by itself.
const TICK: Duration = Duration::from_millis(250);
const GRACE: Duration = Duration::from_secs(1);
/// A pause notices so soon that it is to end.
const SLICE: Duration = Duration::from_millis(20);

static STOP: AtomicBool = AtomicBool::new(false);
/// A second signal came: whoever sent it does not want to wait.
static GIVE_UP: AtomicBool = AtomicBool::new(false);

// Linux' own numbers, from its headers, as in the crate `libc`; the program needs `/proc` too. Where processors differ,
// these are of those that it is built for: the tests tell.
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
const SIGHUP: i32 = 1;
const SIGQUIT: i32 = 3;
const RLIMIT_NOFILE: i32 = 7;
/// For `open`: fail where the name is a symlink.
pub const O_NOFOLLOW: i32 = match cfg!(any(target_arch = "aarch64", target_arch = "arm")) {
    true => 0o100_000,
    false => 0o400_000,
};
/// For `open`: never wait, as for the other end of a FIFO.
pub const O_NONBLOCK: i32 = 0o4_000;
/// lseek(2): to the next byte that is not in a hole.
const SEEK_DATA: i32 = 3;
/// errno: there is no more data.
const ENXIO: i32 = 6;
/// For `ioctl`: how large is the terminal's window.
const TIOCGWINSZ: c_ulong = 0x5413;

/// `struct winsize`.
#[repr(C)]
#[derive(Default)]
struct Window {
    rows: u16,
    columns: u16,
    pixels: [u16; 2],
}

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
    safe fn geteuid() -> u32;
    safe fn getegid() -> u32;
    fn lseek(fd: i32, offset: i64, whence: i32) -> i64;
    fn ioctl(fd: i32, request: c_ulong, ...) -> i32;
    fn _exit(status: i32) -> !;
}

extern "C" fn set_stop(_number: i32) {
    if STOP.swap(true, Ordering::Relaxed) {
        GIVE_UP.store(true, Ordering::Relaxed);
    }
}

/// Installs the handlers; the flag turns true at the first signal.
pub fn stop_flag() -> &'static AtomicBool {
    handle([SIGINT, SIGTERM], set_stop);
    &STOP
}

/// The flag turns true, too, where the terminal is gone, or its user quits: for who has something to put back.
pub fn stop_when_hung_up() {
    handle([SIGHUP, SIGQUIT], set_stop);
}

/// Sleeps until then. False as soon as `stop` says so.
pub fn sleep_until(due: Instant, stop: impl Fn() -> bool) -> bool {
    while !stop() {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(SLICE));
    }
    false
}

/// A signal ends the program there and then, with a shell's exit code for that: for who changes nothing.
pub fn end_at_once() {
    extern "C" fn end(number: i32) {
        // SAFETY: _exit(2) is async-signal-safe, and touches no memory.
        unsafe { _exit(128 + number) }
    }
    handle([SIGINT, SIGTERM], end);
}

fn handle(numbers: [i32; 2], handler: extern "C" fn(i32)) {
    for number in numbers {
        // SAFETY: the handlers, all of them here, do nothing but store to a lock-free atomic, or end the process; both are
        // async-signal-safe.
        unsafe { signal(number, handler) };
    }
}

/// Ends the program, successfully, when a signal did not: it may hang in a write to a pipe that nobody reads.
pub fn end_though_blocked(stop: &'static AtomicBool) {
    thread::spawn(move || {
        wait_for(stop);
        thread::sleep(GRACE);
        std::process::exit(0);
    });
}

/// Ends the program, as one that has failed, at a second signal: for who waits for another program after the first.
pub fn end_at_the_second() {
    thread::spawn(|| {
        wait_for(&GIVE_UP);
        std::process::exit(1);
    });
}

fn wait_for(flag: &AtomicBool) {
    while !flag.load(Ordering::Relaxed) {
        thread::sleep(TICK);
    }
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

/// The user and the group in whose name files are made.
pub fn user_and_group() -> (u32, u32) {
    (geteuid(), getegid())
}

/// Columns and rows of a terminal. None: it is no terminal, or has no size.
pub fn window(terminal: &impl AsFd) -> Option<(usize, usize)> {
    let mut window = Window::default();
    let fd = terminal.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed for the call, which gets a valid pointer to a `struct winsize`.
    let failed = unsafe { ioctl(fd, TIOCGWINSZ, &raw mut window) };
    let size = (usize::from(window.columns), usize::from(window.rows));
    (failed == 0 && size.0 > 0 && size.1 > 0).then_some(size)
}

/// The first offset from here on that is not in a hole of the file; its size where nothing but a hole follows. None: the
/// file system cannot tell. Moves the descriptor's own offset, which nobody uses.
pub fn next_data(file: &File, offset: u64) -> Option<u64> {
    let from = i64::try_from(offset).ok()?;
    // SAFETY: no memory is passed, and the descriptor is open as long as `file` is borrowed. `off_t` has 64 bits on the
    // platforms that we build for.
    let found = unsafe { lseek(file.as_raw_fd(), from, SEEK_DATA) };
    match u64::try_from(found) {
        Ok(found) => Some(found),
        Err(_) if std::io::Error::last_os_error().raw_os_error() == Some(ENXIO) => {
            file.metadata().ok().map(|metadata| metadata.len())
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::OpenOptionsExt;
    use std::process::Command;

    #[test]
    fn the_flags_of_open_are_this_systems() {
        let folder = tempfile::tempdir().unwrap();
        let (fifo, link) = (folder.path().join("fifo"), folder.path().join("link"));
        assert!(
            Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        std::os::unix::fs::symlink(&fifo, &link).unwrap();
        let open = |path, flags| File::options().read(true).custom_flags(flags).open(path);
        assert!(open(&link, super::O_NONBLOCK).is_ok());
        assert!(open(&fifo, super::O_NONBLOCK | super::O_NOFOLLOW).is_ok());
        assert!(open(&link, super::O_NONBLOCK | super::O_NOFOLLOW).is_err());
    }
}
