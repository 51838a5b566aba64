//! The catch-up's one line on a terminal: how much is done, how fast, how much is left, and how long that will take; and
//! when it is through, what it was.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::report::per_second;
use super::tally::Tally;
use crate::talk;

/// The catch-up's one line on a terminal.
pub struct ProgressLine {
    wanted: bool,
    drawn: Instant,
    /// What was done at the last few times, oldest first. Never empty.
    samples: VecDeque<Sample>,
    /// Where the catch-up began, while the line is shown.
    began: Option<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    lines: u64,
    bytes: u64,
}

impl Sample {
    fn nothing() -> Sample {
        Sample {
            at: Instant::now(),
            lines: 0,
            bytes: 0,
        }
    }
}

/// A backlog shorter than this is gone before one has read of it.
const WORTH_A_LINE: u64 = 16 * 1024 * 1024;
/// With less than this left it is done: who writes all the time always has written something.
const DONE: u64 = 256 * 1024;
const REDRAW: Duration = Duration::from_millis(500);
/// The rate is that of so many redraws: what Redis took at first, or while it was away, tells nothing of now.
const SAMPLES: usize = 10;
/// The bar has at most this width, and none where there is no room for this one.
const LONGEST_BAR: usize = 40;
const SHORTEST_BAR: usize = 6;

impl ProgressLine {
    pub fn new() -> ProgressLine {
        ProgressLine {
            wanted: talk::wants_progress(),
            drawn: Instant::now(),
            samples: VecDeque::from([Sample::nothing()]),
            began: None,
        }
    }

    /// Draws it anew if it is time to. `unread` says how many bytes are there and not read yet.
    pub fn draw(&mut self, tally: impl FnOnce() -> Tally, unread: impl FnOnce() -> u64) {
        if !self.wanted || self.drawn.elapsed() < REDRAW {
            return;
        }
        self.drawn = Instant::now();
        let (tally, rest) = (tally(), unread());
        let now = Sample {
            at: self.drawn,
            lines: tally.lines,
            bytes: tally.bytes,
        };
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        let before = self.samples.back().copied().unwrap_or(now);
        self.samples.push_back(now);
        let enough = match self.began {
            Some(_) => DONE,
            None => WORTH_A_LINE,
        };
        if rest >= enough {
            let began = *self.began.get_or_insert(before);
            let since = self.samples.front().copied().unwrap_or(now);
            talk::progress(&line(began, since, now, rest, talk::width()));
        } else if let Some(began) = self.began.take() {
            talk::progress("");
            talk::note(&caught_up(began, now));
        }
    }
}

/// Bar, percent, lines a second, bytes and time left. The rate is the one between `since` and `now`.
fn line(began: Sample, since: Sample, now: Sample, rest: u64, width: usize) -> String {
    let passed = now.at.duration_since(since.at);
    let speed = per_second(now.bytes, since.bytes, passed);
    let left = if speed < 1.0 {
        "?".into()
    } else {
        clock((rest as f64 / speed) as u64)
    };
    let done = now.bytes - began.bytes;
    let part = done as f64 / (done + rest).max(1) as f64;
    let text = format!(
        "{:.1} %  {} lines/s  {} left {left:>6}",
        100.0 * part,
        talk::grouped(per_second(now.lines, since.lines, passed) as u64),
        talk::size(rest),
    );
    const HEAD: &str = "catching up ";
    let room = width.saturating_sub(HEAD.len() + text.len() + 4);
    if room < SHORTEST_BAR {
        return text.chars().take(width.saturating_sub(1)).collect();
    }
    let room = room.min(LONGEST_BAR);
    let full = (part * room as f64) as usize;
    format!(
        "{HEAD}[{}{}] {text}",
        "#".repeat(full),
        "-".repeat(room - full)
    )
}

fn caught_up(began: Sample, now: Sample) -> String {
    let took = now.at.duration_since(began.at);
    format!(
        "caught up: {} lines, {} in {:.1} s ({} lines/s)",
        talk::grouped(now.lines - began.lines),
        talk::size(now.bytes - began.bytes),
        took.as_secs_f64(),
        talk::grouped(per_second(now.lines, began.lines, took) as u64),
    )
}

fn clock(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(start: Instant, seconds: u64, lines: u64, bytes: u64) -> Sample {
        Sample {
            at: start + Duration::from_secs(seconds),
            lines,
            bytes,
        }
    }

    #[test]
    fn the_progress_line_says_how_much_how_fast_and_how_long() {
        let start = Instant::now();
        let at = |seconds, lines, bytes| sample(start, seconds, lines, bytes);
        let began = at(0, 0, 0);
        assert_eq!(
            line(
                began,
                at(8, 500, 10 << 20),
                at(10, 4500, 30 << 20),
                90 << 20,
                80
            ),
            "catching up [#####----------------] 25.0 %  2,000 lines/s  90.0 MiB left     9s"
        );
        assert_eq!(
            line(
                began,
                at(8, 500, 10 << 20),
                at(10, 4500, 30 << 20),
                90 << 20,
                40
            ),
            "25.0 %  2,000 lines/s  90.0 MiB left   ",
            "a narrow terminal has no room for a bar"
        );
        let stalled = line(began, at(1, 9, 9), at(3, 9, 9), 1 << 30, 200);
        assert!(
            stalled.ends_with(" 0.0 %  0 lines/s  1.0 GiB left      ?"),
            "{stalled}"
        );
        let long = line(began, began, at(1, 10, 1 << 20), 7200 << 20, 200);
        assert!(long.ends_with("2h00m"), "{long}");
        assert!(
            long.contains(&format!("[{}]", "-".repeat(LONGEST_BAR))),
            "{long}"
        );
    }

    #[test]
    fn what_was_caught_up_with_is_summed_up() {
        let start = Instant::now();
        let said = caught_up(sample(start, 0, 5, 0), sample(start, 2, 2_000_005, 3 << 30));
        assert_eq!(
            said,
            "caught up: 2,000,000 lines, 3.0 GiB in 2.0 s (1,000,000 lines/s)"
        );
    }
}
