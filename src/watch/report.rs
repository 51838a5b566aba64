//! `--stats` and `--metrics-file`: when a watcher says how it fares, and to whom.
//!
//! The figures are the counters'; the file's text is `metrics`'.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use super::account::count;
use super::metrics;
use super::tally::{FIGURES, Lag, Tally};
use crate::cli;
use crate::error::{Error, Result};
use crate::talk::{self, Once};

/// Prometheus looks every 15 s or so; what is older than that is no news to it.
const METRICS_EVERY: Duration = Duration::from_secs(5);

/// Reports while the watcher runs, and once more at its end.
pub struct Reporter {
    options: cli::Report,
    /// What the last line of figures said, and when.
    said: (Tally, Instant),
    next_metrics: Instant,
    trouble: Once,
}

impl Reporter {
    /// An error: there is no way to write the metrics.
    pub fn new(options: &cli::Report) -> Result<Reporter> {
        let reporter = Reporter {
            options: options.clone(),
            said: (Tally::default(), Instant::now()),
            next_metrics: Instant::now(),
            trouble: Once::default(),
        };
        if let Some(path) = &options.metrics {
            write_metrics(path, &Tally::default(), &[], true)?;
        }
        Ok(reporter)
    }

    /// Reports what is due now. `lags` is asked only then.
    pub fn report(&mut self, now: Instant, tally: impl Fn() -> Tally, lags: impl Fn() -> Vec<Lag>) {
        let every = self.options.stats;
        if every.is_some_and(|every| now.duration_since(self.said.1) >= every) {
            self.say(now, tally(), &lags());
        }
        if self.options.metrics.is_some() && now >= self.next_metrics {
            self.next_metrics = now + METRICS_EVERY;
            self.keep(&tally(), &lags(), true);
        }
    }

    /// The last word: what was done in all is in it.
    pub fn finish(&mut self, tally: Tally, lags: &[Lag]) {
        self.keep(&tally, lags, false);
        if self.options.stats.is_some() {
            self.say(Instant::now(), tally, lags);
        }
    }

    fn say(&mut self, now: Instant, tally: Tally, lags: &[Lag]) {
        let passed = now.duration_since(self.said.1);
        let before = std::mem::replace(&mut self.said, (tally, now)).0;
        let tally = &self.said.0;
        if self.options.is_json {
            talk::data(&json_of(tally, &before, lags, passed).to_string());
        } else {
            talk::warn(&text_of(tally, &before, lags, passed));
        }
    }

    fn keep(&mut self, tally: &Tally, lags: &[Lag], is_watching: bool) {
        let Some(path) = &self.options.metrics else {
            return;
        };
        match write_metrics(path, tally, lags, is_watching) {
            Ok(()) => self.trouble = Once::default(),
            Err(error) => self.trouble.say(&format!("{error}; trying again")),
        }
    }
}

fn write_metrics(path: &Path, tally: &Tally, lags: &[Lag], is_watching: bool) -> Result<()> {
    let text = metrics::text(tally, lags, is_watching);
    metrics::replace(path, &text).map_err(|error| Error::io("write metrics", path, &error))
}

/// How much more a figure is a second, where it was so much before.
pub fn per_second(now: u64, before: u64, passed: Duration) -> f64 {
    now.saturating_sub(before) as f64 / passed.as_secs_f64().max(0.001)
}

/// Bytes that are not published in all files, and in how many of them there are some.
fn sum(lags: &[Lag]) -> (u64, u64) {
    let behind = lags.iter().filter(|lag| lag.bytes > 0);
    behind.fold((0, 0), |(bytes, files), lag| (bytes + lag.bytes, files + 1))
}

fn text_of(tally: &Tally, before: &Tally, lags: &[Lag], passed: Duration) -> String {
    let (behind, files) = sum(lags);
    let mut text = format!(
        "stats: {:.0} lines/s, {}/s; {}, {} in {}; {} behind in {files} of {}",
        per_second(tally.lines, before.lines, passed),
        talk::size(per_second(tally.bytes, before.bytes, passed) as u64),
        count(tally.lines, "line"),
        talk::size(tally.bytes),
        count(tally.batches, "batch"),
        talk::size(behind),
        count(lags.len() as u64, "file"),
    );
    for figure in FIGURES.iter().filter(|figure| !figure.one.is_empty()) {
        let number = (figure.of)(tally);
        let (thing, so) = figure
            .one
            .split_at(figure.one.find(' ').unwrap_or(figure.one.len()));
        if number > 0 {
            text += &format!("; {}{so}", count(number, thing));
        }
    }
    if let Some(backlog) = tally.backlog {
        text += &format!("; {backlog} entries in Redis");
    }
    text
}

fn json_of(tally: &Tally, before: &Tally, lags: &[Lag], passed: Duration) -> serde_json::Value {
    let (behind, files) = sum(lags);
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let mut json = json!({
        "time": since_1970.map_or(0.0, |since| since.as_secs_f64()),
        "interval_seconds": passed.as_secs_f64(),
        "lines_per_second": per_second(tally.lines, before.lines, passed),
        "bytes_per_second": per_second(tally.bytes, before.bytes, passed),
        "lag_bytes": behind,
        "files": lags.len(),
        "files_behind": files,
        "backlog": tally.backlog,
    });
    for figure in FIGURES {
        json[figure.name] = (figure.of)(tally).into();
    }
    json
}

/// What was done in all, and what is left to do.
pub fn last_word(tally: &Tally, lags: &[Lag], took: Duration) -> String {
    let seconds = took.as_secs_f64();
    let ending = if tally.lines == 1 { "" } else { "s" };
    let mut text = format!(
        "published {} line{ending} in {seconds:.1} s",
        talk::grouped(tally.lines)
    );
    if tally.lines > 0 {
        let rate = per_second(tally.lines, 0, took) as u64;
        let (bytes, rate) = (talk::size(tally.bytes), talk::grouped(rate));
        text += &format!(" ({bytes}, {rate} lines/s)");
    }
    if tally.unheard > 0 {
        let unheard = talk::grouped(tally.unheard);
        text += &format!(", of which {unheard} reached no subscriber");
    }
    for figure in FIGURES.iter().filter(|figure| (figure.of)(tally) > 0) {
        if let Some(last) = figure.last {
            text += &format!("; {}", last((figure.of)(tally)));
        }
    }
    match sum(lags) {
        (0, _) => text,
        (left, _) => text + &format!("; {} are there for the next run", talk::size(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lags(bytes: &[u64]) -> Vec<Lag> {
        let lag = |bytes: &u64| Lag {
            path: "/a".into(),
            bytes: *bytes,
        };
        bytes.iter().map(lag).collect()
    }

    #[test]
    fn a_line_of_figures_has_rates_of_its_interval_and_sums_of_all() {
        let before = Tally {
            lines: 100,
            bytes: 1 << 20,
            batches: 1,
            ..Tally::default()
        };
        let now = Tally {
            lines: 300,
            bytes: 3 << 20,
            batches: 2,
            reconnects: 1,
            unheard: 2,
            ..Tally::default()
        };
        let two = Duration::from_secs(2);
        assert_eq!(
            text_of(&now, &before, &lags(&[2048, 0, 1024]), two),
            "stats: 100 lines/s, 1.0 MiB/s; 300 lines, 3.0 MiB in 2 batches; 3.0 KiB behind in 2 of 3 files; \
             1 reconnect; 2 lines to no subscriber"
        );
        let json = json_of(&now, &before, &lags(&[5, 0]), two);
        assert_eq!(
            (&json["lines_per_second"], &json["lines"]),
            (&json!(100.0), &json!(300))
        );
        assert_eq!(
            (&json["lag_bytes"], &json["files_behind"]),
            (&json!(5), &json!(1))
        );
        assert_eq!(json["backlog"], json!(null));
    }
}
