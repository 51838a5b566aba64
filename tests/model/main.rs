//! Random sequences of what happens to logs and to their watcher, against a model that knows which lines must arrive.
//!
//! `TAILCAST_SEED=N` plays the one sequence of that seed over and over; `TAILCAST_MODEL_SECONDS` says for how long. With
//! `TAILCAST_SKIP=3,7,...` it leaves out these steps: so a failure is made small. `TAILCAST_MODEL_CALM=1` leaves out what
//! destroys lines.

#[path = "../util/mod.rs"]
mod util;

mod log;
mod naming;
mod play;
mod verdict;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use play::Play;
use util::number;

#[test]
#[ignore = "takes as long as one likes: run it with --ignored, and TAILCAST_MODEL_SECONDS"]
fn every_line_that_remained_readable_arrives_once_and_in_order_and_every_other_is_said() {
    let seconds = number("TAILCAST_MODEL_SECONDS").unwrap_or(40);
    let only = number("TAILCAST_SEED");
    let next = AtomicU64::new(only.unwrap_or_else(|| fastrand::u64(0..1 << 40)));
    let end = Instant::now() + Duration::from_secs(seconds);
    let (plays, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let play = || {
            while Instant::now() < end {
                let seed = only.unwrap_or_else(|| next.fetch_add(1, Ordering::SeqCst));
                let ended = std::panic::catch_unwind(|| Play::new(seed).play());
                plays.fetch_add(1, Ordering::SeqCst);
                failed.fetch_add(u64::from(ended.is_err()), Ordering::SeqCst);
            }
        };
        for _ in 0..3 {
            scope.spawn(play);
        }
    });
    let (plays, failed) = (plays.into_inner(), failed.into_inner());
    println!("model: {plays} sequences, {failed} failed");
    assert_eq!(failed, 0, "sequences that failed; their seeds are above");
}
