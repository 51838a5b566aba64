//! What a user of Redis must be allowed, for each mode: the one place that says it. `check` tries it, `docs/redis.md`
//! shows it, and a test holds that page to it.
//!
//! Pure.

use crate::cli::{self, Delivery, Hold, Mode, Retain};

/// What every record is called begins so.
const RECORDS: &str = "tailcast:commit:*";

/// A command that a watcher runs: in which modes, whether nothing is published without it, its name, and what it is tried
/// with: `KEY` is the record's, `TARGET` the key or channel of the lines.
pub type Need = (&'static [Mode], bool, &'static str, &'static str);

const EVERY: &[Mode] = &[Mode::Pubsub, Mode::List, Mode::Stream];
const PUBSUB: &[Mode] = &[Mode::Pubsub];
const LIST: &[Mode] = &[Mode::List];
const STREAM: &[Mode] = &[Mode::Stream];

/// The commands of a batch, of taking over and forgetting a record, and of looking at what piles up and trimming it.
const NEEDS: [Need; 18] = [
    (EVERY, true, "WATCH", "KEY"),
    (EVERY, true, "GET", "KEY"),
    (EVERY, true, "MULTI", ""),
    (EVERY, true, "SET", "KEY x"),
    (EVERY, true, "EXEC", ""),
    (EVERY, true, "DEL", "KEY"),
    (PUBSUB, true, "PUBLISH", "TARGET x"),
    (PUBSUB, false, "CLIENT LIST", "TYPE pubsub"),
    (LIST, true, "RPUSH", "TARGET x"),
    (LIST, false, "LLEN", "TARGET"),
    (LIST, false, "LTRIM", "TARGET 0 -1"),
    (STREAM, true, "XADD", "TARGET * line x"),
    (STREAM, false, "XLEN", "TARGET"),
    (STREAM, false, "XINFO GROUPS", "TARGET"),
    (STREAM, false, "XPENDING", "TARGET g"),
    (STREAM, false, "XTRIM", "TARGET MINID 0"),
    (STREAM, false, "TIME", ""),
    (&[Mode::List, Mode::Stream], true, "TYPE", "TARGET"),
];

/// What a watcher with these options runs.
pub fn needs(options: &cli::Watch) -> impl Iterator<Item = &'static Need> {
    let is_run = |(modes, _, name, _): &&Need| match *name {
        _ if !modes.contains(&options.mode) => false,
        "WATCH" | "MULTI" | "SET" | "EXEC" | "TYPE" => options.delivery == Delivery::ExactlyOnce,
        "CLIENT LIST" => options.hold != Hold::Off,
        "TIME" => matches!(options.backlog.retain, Retain::Age(_)),
        _ => true,
    };
    NEEDS.iter().filter(is_run)
}

/// The keys, channels and commands of a user who publishes, as words of `ACL SETUSER`.
pub fn words(mode: Mode, target: &str) -> Vec<String> {
    let target = target.replace("{type}", "*");
    let sign = if mode == Mode::Pubsub { '&' } else { '~' };
    let of_mode = NEEDS.iter().filter(|(modes, ..)| modes.contains(&mode));
    let names = of_mode.map(|(_, _, name, _)| *name);
    let names = names.chain(["CLIENT SETNAME"]);
    let commands = names.map(|name| format!("+{}", name.to_lowercase().replace(' ', "|")));
    [format!("~{RECORDS}"), format!("{sign}{target}")]
        .into_iter()
        .chain(commands)
        .collect()
}

/// The line that gives a user what is missing, and takes nothing away.
pub fn mend(user: &str, mode: Mode, target: &str) -> String {
    format!("ACL SETUSER {user} {}", words(mode, target).join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_about_redis_shows_what_is_tried() {
        let page = include_str!("../../docs/redis.md");
        for (mode, target) in [
            (Mode::Pubsub, "logs:{type}"),
            (Mode::List, "logs"),
            (Mode::Stream, "logs"),
        ] {
            let line = mend("shipper on >PASSWORD", mode, target);
            assert!(page.lines().any(|shown| shown.trim() == line), "{line}");
        }
    }

    #[test]
    fn the_line_that_mends_is_of_the_users_own_target() {
        let line = mend("ann", Mode::List, "app:{type}");
        assert!(
            line.starts_with("ACL SETUSER ann ~tailcast:commit:* ~app:* +watch "),
            "{line}"
        );
    }
}
