//! What rotated files are called. A log keeps to one way of naming, as real ones do.

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

    /// Whether the newest one is always number 1, and the older ones are renamed first.
    pub fn shifts(self) -> bool {
        matches!(self, Naming::Numbered | Naming::NumberedExtension)
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
