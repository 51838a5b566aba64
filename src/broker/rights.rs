//! What a user of Redis must be allowed, for each mode: the one place that says it. `check` tries it, `docs/redis.md`
//! shows it, and a test holds that page to it.
//!
//! Pure.

use crate::cli::Mode;

/// What every record is called begins so.
const RECORDS: &str = "tailcast:commit:*";

/// The keys, channels and commands of a user who publishes, as words of `ACL SETUSER`.
pub fn words(mode: Mode, target: &str) -> Vec<String> {
    let target = target.replace("{type}", "*");
    let (place, own): (_, &[&str]) = match mode {
        Mode::Pubsub => (format!("&{target}"), &["publish", "client|list"]),
        Mode::List => (format!("~{target}"), &["rpush", "llen", "ltrim", "type"]),
        Mode::Stream => (
            format!("~{target}"),
            &[
                "xadd",
                "xlen",
                "xinfo|groups",
                "xpending",
                "xtrim",
                "time",
                "type",
            ],
        ),
    };
    let commands = ["watch", "get", "multi", "set", "exec", "del"].iter();
    let commands = commands.chain(own).chain(&["client|setname"]);
    let commands = commands.map(|command| format!("+{command}"));
    [format!("~{RECORDS}"), place]
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
