//! The catch-up's one line on a terminal: how much is done, how fast, and how long it will take.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::Counters;
use crate::talk;

/// The catch-up's one line on a terminal.
pub struct ProgressLine {
    wanted: bool,
    started: Instant,
    drawn: Instant,
}

/// A backlog shorter than this is gone before one has read of it.
const WORTH_A_LINE: u64 = 16 * 1024 * 1024;
const REDRAW: Duration = Duration::from_millis(500);

impl ProgressLine {
    pub fn new() -> ProgressLine {
        ProgressLine {
            wanted: talk::wants_progress(),
            started: Instant::now(),
            drawn: Instant::now(),
        }
    }

    /// Draws it anew if it is time to. `unread` says how many bytes are there and not read yet.
    pub fn draw(&mut self, counters: &Counters, unread: impl FnOnce() -> u64) {
        if !self.wanted || self.drawn.elapsed() < REDRAW {
            return;
        }
        self.drawn = Instant::now();
        let (done, rest) = (counters.bytes.load(Relaxed), unread());
        if rest < WORTH_A_LINE {
            talk::progress("");
            return;
        }
        let lines = counters.lines.load(Relaxed);
        talk::progress(&progress_text(done, rest, lines, self.started.elapsed()));
    }
}

/// Percent, lines a second, and time left, from bytes done and to do.
fn progress_text(done: u64, rest: u64, lines: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let percent = 100.0 * done as f64 / (done + rest).max(1) as f64;
    let left = if done == 0 {
        "?".into()
    } else {
        let left = (rest as f64 / (done as f64 / seconds)) as u64;
        if left >= 3600 {
            format!("{}h{:02}m", left / 3600, left / 60 % 60)
        } else {
            format!("{}m{:02}s", left / 60, left % 60)
        }
    };
    format!(
        "catching up: {percent:.1} %, {:.0} lines/s, {left} left",
        lines as f64 / seconds
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_line_says_how_much_how_fast_and_how_long() {
        let second = Duration::from_secs(1);
        assert_eq!(
            progress_text(25, 75, 1000, second),
            "catching up: 25.0 %, 1000 lines/s, 0m03s left"
        );
        assert_eq!(
            progress_text(1, 7200, 10, second),
            "catching up: 0.0 %, 10 lines/s, 2h00m left"
        );
        assert_eq!(
            progress_text(0, 10, 0, second),
            "catching up: 0.0 %, 0 lines/s, ? left"
        );
    }
}
