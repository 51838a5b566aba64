//! The flags of each command (one that is mistyped is answered with the nearest), and the words that some of them take.

use crate::cli::{Delivery, Format, From, Hold, Mode};

pub(super) const GENERATE_FLAGS: &[&str] = &["--interval", "--count", "--seed", "--quiet", "-q"];

pub(super) const WATCH_FLAGS: &[&str] = &[
    "--exclude",
    "--rotated",
    "--once",
    "--redis",
    "--tls-ca",
    "--tls-cert",
    "--tls-key",
    "--mode",
    "--target",
    "--type-field",
    "--source",
    "--state-dir",
    "--from",
    "--reset",
    "--poll",
    "--rotate-wait",
    "--forget-after",
    "--checkpoint-lines",
    "--checkpoint-interval",
    "--batch-lines",
    "--max-line",
    "--delivery",
    "--hold",
    "--hold-for",
    "--max-backlog",
    "--when-full",
    "--retain",
    "--timeout",
    "--stats",
    "--stats-format",
    "--metrics-file",
    "--verbose",
    "-v",
    "--quiet",
    "-q",
];

pub(super) const SUBSCRIBE_FLAGS: &[&str] = &[
    "--redis",
    "--tls-ca",
    "--tls-cert",
    "--tls-key",
    "--mode",
    "--group",
    "--consumer",
    "--claim-after",
    "--from",
    "--output",
    "--exec",
    "--format",
    "--type",
    "--type-field",
    "--udm-host",
    "--count",
];

pub(super) const STATUS_FLAGS: &[&str] = &[
    "--exclude",
    "--rotated",
    "--redis",
    "--tls-ca",
    "--tls-cert",
    "--tls-key",
    "--json",
    "--max-lag",
    "--state-dir",
    "--source",
    "--target",
];

pub(super) const MODES: &[(&str, Mode)] = &[
    ("pubsub", Mode::Pubsub),
    ("stream", Mode::Stream),
    ("list", Mode::List),
];

pub(super) const PLACES: &[(&str, From)] = &[("start", From::Start), ("end", From::End)];

pub(super) const DELIVERIES: &[(&str, Delivery)] = &[
    ("exactly-once", Delivery::ExactlyOnce),
    ("at-least-once", Delivery::AtLeastOnce),
];

pub(super) const HOLDS: &[(&str, Hold)] = &[
    ("slow", Hold::Slow),
    ("absent", Hold::Absent),
    ("off", Hold::Off),
];

pub(super) const FORMATS: &[(&str, Format)] = &[
    ("raw", Format::Raw),
    ("pretty", Format::Pretty),
    ("udm", Format::Udm),
];
