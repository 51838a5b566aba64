//! Redis' conditions: that it is there, new enough, writable, open to our user, and keeps what it has acknowledged.

use std::path::PathBuf;

use super::{About, Condition};
use crate::broker::{
    Address, Denied, Record, ServerFacts, Survey, denied, mend_rights, read_records,
};
use crate::cli::{self, Delivery, Hold, Mode};
use crate::error::Result;

/// The oldest Redis that is tested.
const OLDEST: (u32, u32) = (6, 2);

/// A source's commit record; an error is that source's alone. None: it could not be asked for.
pub type Stored = Option<Result<Option<Record>>>;

/// All conditions of a Redis, and the commit record of each source.
pub fn conditions(
    address: &Address,
    options: &cli::Watch,
    sources: &[(PathBuf, String)],
) -> (Vec<Condition>, Vec<Stored>) {
    let subject = format!("redis {address}");
    let nothing = || sources.iter().map(|_| None).collect();
    let survey = match Survey::open(address) {
        Ok(survey) => survey,
        Err(failure) => {
            let mend = "see that it runs, and that --redis or $REDIS_URL names it";
            let fails = About(&subject, "reachable")
                .fail(failure.to_string())
                .mend(mend);
            return (vec![fails], nothing());
        }
    };
    let mut all = vec![About(&subject, "reachable").ok("it answers")];
    if let Err(failure) = survey.expect_place(options) {
        all.push(About(&subject, "cluster").fail(failure.to_string()));
    } else if survey.is_cluster() {
        all.push(About(&subject, "cluster").ok("a Redis Cluster"));
    }
    let facts = &survey.facts;
    all.push(version(&subject, facts));
    all.push(role(&subject, facts));
    let name = sources.first().map_or("check", |(_, name)| name.as_str());
    all.push(match denied(address, options, name) {
        Ok(denied) => rights(&subject, address, options, &denied),
        Err(failure) => About(&subject, "rights").unknown(failure.to_string()),
    });
    all.push(eviction(&subject, facts));
    all.push(persistence(&subject, options, facts));
    let names: Vec<_> = sources.iter().map(|(_, name)| name.clone()).collect();
    let records = match read_records(address, &names, &options.target) {
        _ if options.delivery == Delivery::AtLeastOnce => nothing(),
        Ok(records) => records.into_iter().map(Some).collect(),
        Err(failure) => {
            all.push(About(&subject, "records").unknown(failure.to_string()));
            nothing()
        }
    };
    (all, records)
}

fn version(subject: &str, facts: &ServerFacts) -> Condition {
    let about = About(subject, "version");
    if let Some(valkey) = facts.first(&["info:valkey_version"]) {
        return about.ok(format!("Valkey {valkey}"));
    }
    let Some(version) = facts.first(&["version", "info:redis_version"]) else {
        return about.unknown("it does not say which it is");
    };
    let mut numbers = version.split('.').map(|number| number.parse::<u32>());
    let says = format!("Redis {version}");
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < OLDEST => {
            let mend = "upgrade it to 6.2 or later, or to Valkey";
            about.fail(format!("{says}, older than 6.2")).mend(mend)
        }
        (Some(Ok(_)), Some(Ok(_))) => about.ok(says),
        _ => about.unknown(says),
    }
}

fn role(subject: &str, facts: &ServerFacts) -> Condition {
    let about = About(subject, "role");
    match facts.first(&["role", "info:role"]) {
        Some("master") => about.ok("master"),
        Some(other) => {
            let says = format!("{other}: what is published there is refused, or lost");
            about.fail(says)
                .mend("name the master in --redis, or the sentinels, as in redis+sentinel://HOST:PORT/MASTER")
        }
        None => about.unknown("it does not say"),
    }
}

fn rights(subject: &str, address: &Address, options: &cli::Watch, denied: &Denied) -> Condition {
    let about = About(subject, "rights");
    let user = address.user();
    let mend = mend_rights(user, options.mode, &options.target);
    if !denied.commands.is_empty() {
        let names: Vec<_> = denied.commands.iter().map(|(name, _)| *name).collect();
        let why = &denied.commands[0].1;
        let rest = match denied.has_unasked {
            true => "; the others could not be asked for",
            false => "",
        };
        let says = format!(
            "the user {user} may not run {}: {why}{rest}",
            names.join(", ")
        );
        let is_absent = why.starts_with("unknown command") || why.ends_with("not found");
        return about.fail(says).mend(match is_absent {
            true => "take it out of rename-command in Redis' configuration".into(),
            false => mend,
        });
    }
    if denied.has_unasked {
        let says = format!(
            "what the user {user} may run is not told: no ACL DRYRUN, and nothing is queued behind MULTI"
        );
        return about.unknown(says);
    }
    if denied.optional.is_empty() {
        return about.ok(format!("the user {user} may do all that is needed"));
    }
    let says = format!("the user {user} may not run {}", denied.optional.join(", "));
    let (asked, without) = match options.mode {
        Mode::Pubsub => (
            (options.hold == Hold::Absent).then_some("--hold absent takes"),
            "slow subscribers are not waited for",
        ),
        Mode::Stream | Mode::List => (
            (options.backlog.is_asked_for)
                .then_some("--max-backlog, --when-full and --retain take"),
            "nothing bounds what piles up in Redis",
        ),
    };
    let condition = match asked {
        Some(what) => about.fail(format!("{says}, which {what}")),
        None => about.warn(format!("{says}: {without}")),
    };
    condition.mend(mend)
}

/// Whether Redis may throw a commit record away to make room.
fn eviction(subject: &str, facts: &ServerFacts) -> Condition {
    let about = About(subject, "maxmemory-policy");
    let policy = facts.first(&["info:maxmemory_policy", "config:maxmemory-policy"]);
    let Some(policy) = policy else {
        return about.unknown("it does not say (INFO and CONFIG GET are refused)");
    };
    let mend =
        "CONFIG SET maxmemory-policy noeviction, or volatile-lru: a record has no time to live";
    if !policy.starts_with("allkeys") {
        return about.ok(format!("{policy}: commit records stay"));
    }
    if facts.first(&["info:maxmemory", "config:maxmemory"]) == Some("0") {
        let says = format!("{policy}, but there is no maxmemory: nothing is evicted");
        return about.ok(says);
    }
    let says = format!("{policy} may evict commit records; then lines may be repeated");
    about.fail(says).mend(mend)
}

/// What a crash of Redis costs.
fn persistence(subject: &str, options: &cli::Watch, facts: &ServerFacts) -> Condition {
    let about = About(subject, "appendfsync");
    let is_on = facts.first(&["info:aof_enabled", "config:appendonly"]);
    let is_on = is_on.map(|value| ["1", "yes"].contains(&value));
    let cost = match options.mode {
        Mode::Pubsub => "a few lines may be published twice",
        Mode::Stream | Mode::List => "the last lines are gone there, and are sent again",
    };
    let mend = "CONFIG SET appendonly yes, and CONFIG SET appendfsync always";
    match (is_on, facts.first(&["config:appendfsync"])) {
        (Some(true), Some("always")) => about.ok("always: what is acknowledged is on disk"),
        (Some(true), Some(when)) => {
            let says = format!("{when}: after a crash of Redis {cost}");
            about.warn(says).mend("CONFIG SET appendfsync always")
        }
        (Some(true), None) => {
            about.unknown("there is an append-only file; how it is written is not said")
        }
        (Some(false), _) => {
            let says = format!("no append-only file: after a crash of Redis {cost}");
            about.warn(says).mend(mend)
        }
        (None, _) => about.unknown("it does not say (INFO and CONFIG GET are refused)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Grade;

    fn facts(pairs: &[(&str, &str)]) -> ServerFacts {
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn versions_and_roles_are_judged() {
        for (pairs, state) in [
            (&[("version", "6.0.16")][..], Grade::Fail),
            (&[("version", "6.2.0")], Grade::Ok),
            (&[("version", "10.0.1")], Grade::Ok),
            (
                &[("version", "4.2"), ("info:valkey_version", "8.1.0")],
                Grade::Ok,
            ),
            (&[("version", "managed")], Grade::Unknown),
            (&[], Grade::Unknown),
        ] {
            assert_eq!(version("r", &facts(pairs)).grade, state, "{pairs:?}");
        }
        assert_eq!(role("r", &facts(&[("role", "replica")])).grade, Grade::Fail);
        assert_eq!(
            role("r", &facts(&[("info:role", "slave")])).grade,
            Grade::Fail
        );
        assert_eq!(role("r", &facts(&[])).grade, Grade::Unknown);
    }

    #[test]
    fn only_a_policy_that_takes_any_key_can_take_a_record() {
        let policy = |policy, limit| {
            let pairs = [("info:maxmemory_policy", policy), ("info:maxmemory", limit)];
            eviction("r", &facts(&pairs)).grade
        };
        assert_eq!(policy("allkeys-lfu", "1000"), Grade::Fail);
        assert_eq!(policy("allkeys-lfu", "0"), Grade::Ok);
        assert_eq!(policy("volatile-lru", "1000"), Grade::Ok);
        assert_eq!(policy("noeviction", "1000"), Grade::Ok);
        assert_eq!(eviction("r", &facts(&[])).grade, Grade::Unknown);
        let unlimited = [("config:maxmemory-policy", "allkeys-lru")];
        assert_eq!(
            eviction("r", &facts(&unlimited)).grade,
            Grade::Fail,
            "as far as is known"
        );
    }
}
