//! How long to wait before the next try: pauses that double.
//!
//! Pure but for chance. Who waits, for what, and what is said meanwhile, is for the caller.

use std::time::Duration;

/// The first pause after a failure, and the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// The pauses of one trouble. A new one begins with a new value.
#[derive(Default)]
pub struct Backoff {
    pauses: u32,
}

impl Backoff {
    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        self.pauses += 1;
        pause_after(self.pauses - 1, fastrand::f64())
    }
}

/// Doubles with each pause, and varies by a quarter so that many of us do not come back at once.
fn pause_after(pauses: u32, chance: f64) -> Duration {
    let pause = FIRST.saturating_mul(1 << pauses.min(10)).min(LONGEST);
    pause.mul_f64(0.75 + 0.25 * chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_from_100_ms_to_5_s() {
        let pauses: Vec<_> = (0..8)
            .map(|pauses| pause_after(pauses, 1.0).as_millis())
            .collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(pause_after(40, 0.0).as_millis(), 3750);
    }

    #[test]
    fn each_pause_of_a_trouble_is_longer_than_the_last_but_one() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..6).map(|_| backoff.pause()).collect();
        assert!(
            pauses
                .iter()
                .zip(&pauses[2..])
                .all(|(early, late)| early < late),
            "{pauses:?}"
        );
        assert!(Backoff::default().pause() <= FIRST);
    }
}
