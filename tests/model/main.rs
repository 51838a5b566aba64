//! Random sequences of what happens to logs and to their watcher, against a model that knows which lines must arrive.
//!
//! `TAILCAST_SEED=N` plays the one sequence of that seed over and over; `TAILCAST_MODEL_SECONDS` says for how long (40). With
//! `TAILCAST_SKIP=3,7,...` it leaves out these steps: so a failure is made small. `TAILCAST_MODEL_CALM=1` leaves out what
//! destroys lines; `TAILCAST_MODEL_WIDE=1` draws names as well that nobody lists, or that do not say the order.

#[path = "../util/mod.rs"]
mod util;

mod log;
mod naming;
mod play;
mod verdict;

use play::Play;
use util::play_sequences;

#[test]
fn every_line_that_remained_readable_arrives_once_and_in_order_and_every_other_is_said() {
    play_sequences(|seed| Play::new(seed).play());
}
