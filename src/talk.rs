//! Standard error: what is said to the person who runs it, a line each.
//!
//! Standard output is data and is never written here. A progress line, where there is one, is wiped before a message.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::cli::Verbosity;
use crate::escape::escaped;
use crate::signal;

static VERBOSITY: AtomicU8 = AtomicU8::new(Verbosity::Normal as u8);
/// Whether a progress line stands on the terminal's last line.
static PROGRESS: Mutex<bool> = Mutex::new(false);

/// Sets how much is said from now on.
pub fn set_verbosity(verbosity: Verbosity) {
    VERBOSITY.store(verbosity as u8, Ordering::Relaxed);
}

/// A text of our own, of several lines, as it stands. A message is escaped because names and replies in it may hold
/// anything, newlines too; what is `'static` holds none of that.
pub fn text(text: &'static str) {
    let _ = write!(std::io::stderr(), "{text}");
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
    detail_of(|| text.to_string());
}

/// The same, for what takes some trouble to find out.
pub fn detail_of(text: impl FnOnce() -> String) {
    if VERBOSITY.load(Ordering::Relaxed) >= Verbosity::Verbose as u8 {
        say(&text());
    }
}

/// A trouble that goes on, or comes back: said once, again after a while, and when it is over.
#[derive(Debug, Default)]
pub struct Once {
    /// The last words of it, and when they were said.
    said: Option<(String, Instant)>,
    /// The trouble goes on, and was said.
    is_open: bool,
}

/// The same is not said again within this time.
const SAY_AGAIN: Duration = Duration::from_secs(60);

impl Once {
    /// A warning; where these words were said lately, only for who asked with `--verbose`.
    pub fn say(&mut self, text: &str) {
        if self.is_news(text) {
            warn(text);
        } else {
            detail(text);
        }
    }

    /// The same of a trouble that is one while it goes on, in whatever words.
    pub fn go_on(&mut self, text: &str) {
        if self.is_open && self.is_recent() {
            detail(text);
        } else {
            self.say(text);
        }
    }

    /// Whether to say this now; then it counts as said.
    pub fn is_news(&mut self, text: &str) -> bool {
        let is_same = self.said.as_ref().is_some_and(|(said, _)| said == text);
        if is_same && self.is_recent() {
            return false;
        }
        self.said = Some((text.into(), Instant::now()));
        self.is_open = true;
        true
    }

    fn is_recent(&self) -> bool {
        let said = self.said.as_ref();
        said.is_some_and(|(_, at)| at.elapsed() <= SAY_AGAIN)
    }

    /// The trouble is over: worth knowing for who was told of it.
    pub fn over(&mut self, text: &str) {
        if std::mem::take(&mut self.is_open) {
            note(text);
        }
    }
}

/// Whether the terminal obeys nothing but newlines.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Whether a terminal is to be written to in colour.
pub fn wants_colour() -> bool {
    !is_dumb() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether a progress line would be seen.
pub fn wants_progress() -> bool {
    VERBOSITY.load(Ordering::Relaxed) >= Verbosity::Normal as u8
        && std::io::stderr().is_terminal()
        && !is_dumb()
}

/// How many columns a progress line may have.
pub fn width() -> usize {
    signal::window(&std::io::stderr()).map_or(80, |(columns, _)| columns)
}

/// A line for programs, as it stands: it is JSON, and so holds nothing that a terminal obeys.
pub fn data(text: &str) {
    let mut is_shown = progress_line();
    // The test harness keeps this to itself, unless the test fails.
    if cfg!(test) {
        return eprintln!("{text}");
    }
    // What wipes the progress line, where there is one.
    let wipe = match std::mem::take(&mut *is_shown) {
        true => "\r\x1b[K",
        false => "",
    };
    let _ = writeln!(std::io::stderr(), "{wipe}{text}");
}

fn say(text: &str) {
    data(&format!("tailcast: {}", escaped(text)));
}

fn progress_line() -> MutexGuard<'static, bool> {
    PROGRESS
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Bytes for a person.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A number with a comma between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Replaces the progress line; an empty text wipes it. True: there was one.
pub fn progress(text: &str) -> bool {
    let mut shown = progress_line();
    if *shown || !text.is_empty() {
        // A lost message must not stop the shipping, so errors of stderr itself are let go, here and elsewhere.
        let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
    }
    std::mem::replace(&mut *shown, !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::Once;

    #[test]
    fn a_trouble_is_said_once_and_another_one_too() {
        let mut once = Once::default();
        let mut news = |text| once.is_news(text);
        assert_eq!([news("a"), news("a"), news("b")], [true, false, true]);
        assert!(once.is_open);
        once.over("over");
        assert!(!once.is_news("b") && !once.is_open, "it only comes back");
        once.go_on("c");
        once.go_on("d");
        assert_eq!(once.said.map(|(text, _)| text).as_deref(), Some("c"));
    }

    #[test]
    fn sizes_and_numbers_are_written_for_a_person() {
        let sizes = [0, 1023, 1024, 1536, 5 << 20, u64::MAX].map(super::size);
        let want = [
            "0 bytes",
            "1023 bytes",
            "1.0 KiB",
            "1.5 KiB",
            "5.0 MiB",
            "16777216.0 TiB",
        ];
        assert_eq!(sizes, want);
        let numbers = [0, 999, 1000, 1234567].map(super::grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "1,234,567"]);
    }
}
