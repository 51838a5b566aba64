//! What rotated files are called. A log keeps to one way of naming, as real ones do.

use fastrand::Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// `app.log.1`
    Numbered,
    /// `app.1.log`: logrotate's `extension`
    NumberedExtension,
    /// `app.log-20260131`
    Dated,
    /// `app-20260131.log`
    DatedExtension,
    /// `app.log.31-01-2026`: later dates do not sort behind earlier ones
    Unsorted,
    /// `app.log.2026-01-31_12-00-01`: Python's `TimedRotatingFileHandler`
    Python,
    /// `app-2026-01-31.log`
    Log4j,
    /// `app.2026-01-31.0.log`: several in a day
    Logback,
    /// `app.log.1` is the oldest: log4j2's and NLog's default
    Upward,
    /// `app-1.log`, the newest: log4j2's `fileIndex=min`
    Dashed,
    /// `app-1.log`, the oldest: log4j2's `%i`
    DashedUpward,
    /// `app1.log`: winston's `tailable`, `java.util.logging`
    InStem,
    /// `app_r00001.log`, the oldest: flexi_logger
    Underscored,
    /// `20260131-1200-01-app.log`: rotating-file-stream
    InFront,
    /// `app.log.2026-01-31.1`, the newest: log4j with a size
    DatedNumbered,
    /// `app.log.1.txt`: logrotate's `addextension`
    Extended,
}

impl Naming {
    pub const ALL: [Naming; 8] = [
        Naming::Numbered,
        Naming::NumberedExtension,
        Naming::Dated,
        Naming::DatedExtension,
        Naming::Unsorted,
        Naming::Python,
        Naming::Log4j,
        Naming::Logback,
    ];

    /// What the watcher does not tell yet by what it has seen. `TAILCAST_MODEL_WIDE=1` draws these as well.
    pub const WIDE: [Naming; 8] = [
        Naming::Upward,
        Naming::Dashed,
        Naming::DashedUpward,
        Naming::InStem,
        Naming::Underscored,
        Naming::InFront,
        Naming::DatedNumbered,
        Naming::Extended,
    ];

    pub fn drawn(rng: &mut Rng) -> Naming {
        let is_wide = std::env::var_os("TAILCAST_MODEL_WIDE").is_some();
        match is_wide && rng.bool() {
            true => Naming::WIDE[rng.usize(0..Naming::WIDE.len())],
            false => Naming::ALL[rng.usize(0..Naming::ALL.len())],
        }
    }

    /// Whether the newest one is always number 1, and the older ones are renamed first.
    pub fn shifts(self) -> bool {
        use Naming::{Dashed, DatedNumbered, Extended, InStem, Numbered, NumberedExtension};
        matches!(
            self,
            Numbered | NumberedExtension | Dashed | InStem | DatedNumbered | Extended
        )
    }

    /// A rotated file of `log`: the n-th newest, from 1, where names shift; else that of the n-th rotation.
    pub fn name(self, log: &str, n: usize) -> String {
        let (stem, extension) = log.rsplit_once('.').expect("an extension");
        let (month, day) = date(n);
        match self {
            Naming::Numbered => format!("{log}.{n}"),
            Naming::NumberedExtension => format!("{stem}.{n}.{extension}"),
            Naming::Dated => format!("{log}-2026{month:02}{day:02}"),
            Naming::DatedExtension => format!("{stem}-2026{month:02}{day:02}.{extension}"),
            Naming::Unsorted => format!("{log}.{day:02}-{month:02}-2026"),
            Naming::Python => format!("{log}.2026-01-31_12-{:02}-{:02}", n / 60, n % 60),
            Naming::Log4j => format!("{stem}-2026-{month:02}-{day:02}.{extension}"),
            Naming::Logback => {
                let (month, day) = date(n / 12);
                format!("{stem}.2026-{month:02}-{day:02}.{}.{extension}", n % 12)
            }
            Naming::Upward => format!("{log}.{n}"),
            Naming::Dashed | Naming::DashedUpward => format!("{stem}-{n}.{extension}"),
            Naming::InStem => format!("{stem}{n}.{extension}"),
            Naming::Underscored => format!("{stem}_r{n:05}.{extension}"),
            Naming::InFront => format!("20260131-12{:02}-{:02}-{log}", n / 60, n % 60),
            Naming::DatedNumbered => format!("{log}.2026-01-31.{n}"),
            Naming::Extended => format!("{log}.{n}.txt"),
        }
    }
}

/// The n-th day from 25 January 2026 on.
fn date(n: usize) -> (usize, usize) {
    match n + 25 {
        day @ ..=31 => (1, day),
        day @ 32..=59 => (2, day - 31),
        day => (3, day - 59),
    }
}
