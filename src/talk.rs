//! Standard error: what is said to the person who runs it, a line each.
//!
//! Standard output is data and is never written here. A progress line, where there is one, is wiped before a message.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::cli::Verbosity;

static VERBOSITY: AtomicU8 = AtomicU8::new(Verbosity::Normal as u8);
/// Whether a progress line stands on the terminal's last line.
static PROGRESS: Mutex<bool> = Mutex::new(false);

/// Sets how much is said from now on.
pub fn set_verbosity(verbosity: Verbosity) {
    VERBOSITY.store(verbosity as u8, Ordering::Relaxed);
}

/// Something went wrong, or something may have been missed: said at every verbosity.
pub fn warn(text: &str) {
    say(text);
}

/// Worth knowing: not said with `--quiet`.
pub fn note(text: &str) {
    if VERBOSITY.load(Ordering::Relaxed) >= Verbosity::Normal as u8 {
        say(text);
    }
}

/// For who asked with `--verbose`.
pub fn detail(text: &str) {
    if VERBOSITY.load(Ordering::Relaxed) >= Verbosity::Verbose as u8 {
        say(text);
    }
}

/// Whether a progress line would be seen.
pub fn wants_progress() -> bool {
    VERBOSITY.load(Ordering::Relaxed) >= Verbosity::Normal as u8 && std::io::stderr().is_terminal()
}

/// Replaces the progress line; an empty text wipes it.
pub fn progress(text: &str) {
    let mut shown = PROGRESS
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    if *shown || !text.is_empty() {
        // A lost message must not stop the shipping, so errors of stderr itself are let go, here and below.
        let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
    }
    *shown = !text.is_empty();
}

fn say(text: &str) {
    let mut shown = PROGRESS
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let wipe = if std::mem::take(&mut *shown) {
        "\r\x1b[K"
    } else {
        ""
    };
    let text = printable(text);
    if cfg!(test) {
        // The test harness keeps this to itself, unless the test fails.
        eprintln!("tailcast: {text}");
    } else {
        let _ = writeln!(std::io::stderr(), "{wipe}tailcast: {text}");
    }
}

/// File names, and errors of a server, may hold anything; a message stays one line that the terminal does not obey.
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_message_is_one_line_that_no_terminal_obeys() {
        assert_eq!(
            super::printable("a\u{1b}[31mb\nc \u{9b} é"),
            "a\\u{1b}[31mb\\nc \\u{9b} é"
        );
    }
}
