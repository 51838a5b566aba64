//! Named places at which a test can crash the program, or make it panic.
//!
//! Only in builds with debug assertions, which tests use; a release build has no trace of it.

/// Crashes here, as hard as `kill -9`, when `$TAILCAST_CRASH_AT` names this place.
#[inline]
pub fn point(name: &str) {
    #[cfg(debug_assertions)]
    if std::env::var_os("TAILCAST_CRASH_AT").is_some_and(|place| place == name) {
        std::process::abort();
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Panics here when `$TAILCAST_PANIC_AT` names this place.
#[inline]
pub fn panic_point(name: &str) {
    #[cfg(debug_assertions)]
    if std::env::var_os("TAILCAST_PANIC_AT").is_some_and(|place| place == name) {
        panic!("at {name}, as a test wants it");
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}
