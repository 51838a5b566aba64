//! Sequences of random steps that can be played again by their seed, and made small.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::number;

/// Plays sequences of different seeds, three at a time, for `TAILCAST_MODEL_SECONDS` (40), and says how many failed; or
/// the one of `TAILCAST_SEED`, over and over.
pub fn play_sequences(play: impl Fn(u64) + Sync + std::panic::RefUnwindSafe) {
    let seconds = number("TAILCAST_MODEL_SECONDS").unwrap_or(40);
    let only = number("TAILCAST_SEED");
    let next = AtomicU64::new(only.unwrap_or_else(|| fastrand::u64(0..1 << 40)));
    let end = Instant::now() + Duration::from_secs(seconds);
    let (plays, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let play_on = || {
        while Instant::now() < end {
            let seed = only.unwrap_or_else(|| next.fetch_add(1, Ordering::SeqCst));
            let ended = std::panic::catch_unwind(|| play(seed));
            plays.fetch_add(1, Ordering::SeqCst);
            failed.fetch_add(u64::from(ended.is_err()), Ordering::SeqCst);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(play_on);
        }
    });
    let (plays, failed) = (plays.into_inner(), failed.into_inner());
    println!("model: {plays} sequences, {failed} failed");
    assert_eq!(failed, 0, "sequences that failed; their seeds are above");
}

/// The steps of one sequence: what was done is printed when it did not end well.
pub struct Trace {
    pub seed: u64,
    pub steps: Vec<String>,
}

impl Trace {
    /// At most `most` steps, without those of `TAILCAST_SKIP`. Each gets a generator of its own, so that leaving one out
    /// does not change those after it.
    pub fn steps_to_come(&self, most: usize) -> Vec<(usize, Rng)> {
        let skip = std::env::var("TAILCAST_SKIP").unwrap_or_default();
        let skip: Vec<usize> = skip.split(',').filter_map(|n| n.parse().ok()).collect();
        let seed = self.seed.wrapping_mul(1000);
        let steps = (0..most).filter(|step| !skip.contains(step));
        steps
            .map(|step| (step, Rng::with_seed(seed.wrapping_add(step as u64))))
            .collect()
    }

    pub fn note(&mut self, step: impl Into<String>) {
        let step = step.into();
        match self.steps.last_mut() {
            Some(number) if number.ends_with(':') && !step.ends_with(':') => {
                *number += &format!(" {step}")
            }
            // A step that could not be taken here.
            Some(number) if number.ends_with(':') => *number = step,
            _ => self.steps.push(step),
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "TAILCAST_SEED={} plays this again:\n  {}",
                self.seed,
                self.steps.join("\n  ")
            );
        }
    }
}
