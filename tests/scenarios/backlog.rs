//! What nobody takes out of Redis does not pile up there without end: the watcher waits, or drops the oldest, and says so.

use std::time::Duration;

use crate::util::*;

/// A consumer group's own view of the stream: reads as a consumer would, and acknowledges what it has taken.
struct Consumer<'s> {
    redis: &'s Redis,
    group: &'static str,
    taken: Vec<Vec<u8>>,
}

type Entry = (String, Vec<(String, Vec<u8>)>);

impl Consumer<'_> {
    fn new<'s>(redis: &'s Redis, group: &'static str) -> Consumer<'s> {
        let create = ["XGROUP", "CREATE", "logs", group, "0", "MKSTREAM"];
        let _: String = redis.ask(&create);
        Consumer {
            redis,
            group,
            taken: Vec::new(),
        }
    }

    /// Reads up to so many new entries; returns their ids.
    fn read(&mut self, count: usize) -> Vec<String> {
        let read = ["XREADGROUP", "GROUP", self.group, "c", "COUNT"];
        let count = count.to_string();
        let words = [&read[..], &[&count, "STREAMS", "logs", ">"]].concat();
        let streams: Option<Vec<(String, Vec<Entry>)>> = self.redis.ask(&words);
        let entries = streams
            .into_iter()
            .flatten()
            .flat_map(|(_, entries)| entries);
        let (ids, fields): (Vec<_>, Vec<_>) = entries.unzip();
        for fields in fields {
            let line = fields.into_iter().find(|(name, _)| name == "line");
            self.taken.push(line.expect("a line").1);
        }
        ids
    }

    fn acknowledge(&self, ids: &[String]) {
        let ids = ids.iter().map(String::as_str);
        let words: Vec<_> = ["XACK", "logs", self.group]
            .into_iter()
            .chain(ids)
            .collect();
        let acknowledged: usize = self.redis.ask(&words);
        assert_eq!(acknowledged, words.len() - 3);
    }

    /// Takes up to so many, and is done with them.
    fn take(&mut self, count: usize) -> usize {
        let ids = self.read(count);
        if !ids.is_empty() {
            self.acknowledge(&ids);
        }
        ids.len()
    }

    /// Takes everything up to so many in all.
    fn take_all(&mut self, total: usize) {
        wait_until("the consumer has taken every line", || {
            while self.take(5000) > 0 {}
            self.taken.len() >= total
        });
    }
}

/// Takes lines out of the list as a consumer would.
fn take_from_list(redis: &Redis, taken: &mut Vec<Vec<u8>>, total: usize) {
    wait_until("the consumer has taken every line", || {
        loop {
            let some: Option<Vec<Vec<u8>>> = redis.ask(&["LPOP", "logs", "5000"]);
            let Some(some) = some else { break };
            taken.extend(some);
        }
        taken.len() >= total
    });
}

fn watch(scene: &Scene, mode: &str, max: &str) -> Tailcast {
    let args = ["--mode", mode, "--max-backlog", max];
    scene.watch("app.log").args(args)
}

/// Bytes that Redis has in use.
fn memory(redis: &Redis) -> u64 {
    let info: String = redis.ask(&["INFO", "memory"]);
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    line.expect("used_memory").trim().parse().expect("a number")
}

#[test]
fn a_group_that_sleeps_makes_the_watcher_wait_and_then_all_arrives() {
    for delivery in ["exactly-once", "at-least-once"] {
        let scene = Scene::new();
        let mut consumer = Consumer::new(&scene.redis, "sleeper");
        scene.append("app.log", text(0..20_000));
        let watcher = watch(&scene, "stream", "1000")
            .args(["--delivery", delivery])
            .spawn();
        let said = watcher.wait_says("waiting, the log file is the buffer");
        for part in ["stream logs", "group sleeper", "--max-backlog 1000"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(scene.redis.count("stream") < 2000);
        consumer.take_all(20_000);
        let said = watcher.sigterm().stderr;
        assert_eq!(said.matches("waiting,").count(), 1, "said once: {said}");
        assert_eq!(said.matches("has room again").count(), 1, "{said}");
        assert_exactly(&lines(0..20_000), &consumer.taken);
    }
}

#[test]
fn a_list_that_nobody_empties_makes_the_watcher_wait_and_then_all_arrives() {
    for delivery in ["exactly-once", "at-least-once"] {
        let scene = Scene::new();
        scene.append("app.log", text(0..20_000));
        let watcher = watch(&scene, "list", "1000")
            .args(["--delivery", delivery])
            .spawn();
        watcher.wait_says("list logs holds 1000 lines that nobody has taken");
        assert_eq!(scene.redis.count("list"), 1000);
        let mut taken = Vec::new();
        take_from_list(&scene.redis, &mut taken, 20_000);
        watcher.sigterm();
        assert_exactly(&lines(0..20_000), &taken);
    }
}

#[test]
fn a_stream_without_a_group_is_kept_whole_up_to_the_bound() {
    let scene = Scene::new();
    scene.append("app.log", text(0..3000));
    let watcher = watch(&scene, "stream", "1000").spawn();
    let said = watcher.wait_says("entries and no group that could acknowledge them");
    assert!(said.contains("--when-full drop-oldest"), "{said}");
    let first = scene.redis.stream("logs");
    assert_exactly(&lines(0..first.len()), &first);
    let mut consumer = Consumer::new(&scene.redis, "late");
    consumer.take_all(3000);
    watcher.sigterm();
    assert_exactly(&lines(0..3000), &consumer.taken);
}

#[test]
fn of_two_groups_the_one_that_sleeps_loses_nothing() {
    let scene = Scene::new();
    let mut awake = Consumer::new(&scene.redis, "awake");
    let mut asleep = Consumer::new(&scene.redis, "asleep");
    // It has read something, and acknowledged all but the first of it.
    scene.append("app.log", text(0..500));
    let watcher = watch(&scene, "stream", "5000").spawn();
    wait_until("the first lines are there", || {
        scene.redis.count("stream") == 500
    });
    let ids = asleep.read(300);
    asleep.acknowledge(&ids[1..]);
    scene.append("app.log", text(500..20_000));
    wait_until("the stream is full", || {
        awake.take(1000);
        scene.redis.count("stream") >= 5000
    });
    let said = watcher.wait_says("group asleep");
    assert!(said.contains("1 of them delivered"), "{said}");
    while awake.take(1000) > 0 {}
    assert_eq!(
        scene.redis.stream("logs").first(),
        Some(&line(0).into_bytes()),
        "the oldest that it has not acknowledged is there"
    );
    asleep.acknowledge(&ids[..1]);
    wait_until("both have all", || {
        awake.take(1000);
        asleep.take(1000);
        awake.taken.len() == 20_000 && asleep.taken.len() == 20_000
    });
    watcher.sigterm();
    assert_exactly(&lines(0..20_000), &awake.taken);
    assert_exactly(&lines(0..20_000), &asleep.taken);
}

#[test]
fn once_gives_a_full_backlog_its_timeout_and_exits_75() {
    for (mode, why) in [
        ("stream", "group sleeper has not read"),
        ("list", "nobody has taken"),
    ] {
        let scene = Scene::new();
        if mode == "stream" {
            Consumer::new(&scene.redis, "sleeper");
        }
        scene.append("app.log", text(0..5000));
        let once = ["--once", "--timeout", "1s"];
        let run = watch(&scene, mode, "100").args(once).run();
        run.assert_fails(75, &[why, "--max-backlog 100", "--timeout"]);
        let kept = scene.redis.kept(mode);
        assert_exactly(&lines(0..kept.len()), &kept);
        watch(&scene, mode, "10000")
            .args(once)
            .run()
            .assert_silent_success();
        assert_exactly(&lines(0..5000), &scene.redis.kept(mode));
    }
}

#[test]
fn drop_oldest_keeps_the_newest_and_says_how_many_it_dropped() {
    for (mode, group) in [("stream", true), ("stream", false), ("list", false)] {
        let scene = Scene::new();
        if group {
            Consumer::new(&scene.redis, "sleeper");
        }
        scene.append("app.log", text(0..10_500));
        let run = watch(&scene, mode, "1000")
            .args([
                "--when-full",
                "drop-oldest",
                "--batch-lines",
                "300",
                "-v",
                "--once",
            ])
            .run();
        assert_eq!(run.code, 0, "{}", run.stderr);
        let kept = scene.redis.kept(mode);
        assert!((700..=1000).contains(&kept.len()), "{}", kept.len());
        assert_exactly(&lines(10_500 - kept.len()..10_500), &kept);
        let dropped = match 10_500 - kept.len() {
            dropped if dropped < 1000 => format!("{dropped} older ones were dropped"),
            dropped => format!(
                "{},{:03} older ones were dropped",
                dropped / 1000,
                dropped % 1000
            ),
        };
        assert!(run.stderr.contains(&dropped), "{}", run.stderr);
        assert!(run.stderr.contains("was full (--max-backlog 1000)"));
    }
}

#[test]
fn the_bound_holds_through_restarts_of_the_watcher_and_of_redis() {
    let mut scene = Scene::with(Redis::start_with(&[
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
    ]));
    Consumer::new(&scene.redis, "sleeper");
    scene.append("app.log", text(0..20_000));
    for _ in 0..3 {
        let watcher = watch(&scene, "stream", "1000").spawn();
        watcher.wait_says("waiting,");
        watcher.sigkill();
        assert!(scene.redis.count("stream") < 2000);
    }
    let watcher = watch(&scene, "stream", "1000").spawn();
    watcher.wait_says("waiting,");
    let length = scene.redis.count("stream");
    scene.redis.kill();
    scene.redis.restart();
    wait_until("it looks at the new one", || {
        let stats: String = scene.redis.ask(&["INFO", "commandstats"]);
        stats.contains("cmdstat_xinfo")
    });
    assert_eq!(scene.redis.count("stream"), length);
    let mut consumer = Consumer {
        redis: &scene.redis,
        group: "sleeper",
        taken: Vec::new(),
    };
    consumer.take_all(20_000);
    watcher.sigterm();
    assert_exactly(&lines(0..20_000), &consumer.taken);
}

#[test]
fn several_watchers_share_one_bound() {
    let scene = Scene::new();
    Consumer::new(&scene.redis, "sleeper");
    let names = ["a.log", "b.log", "c.log"];
    let watchers = names.map(|name| {
        scene.append(name, text(0..20_000));
        let args = ["--mode", "stream", "--max-backlog", "2000"];
        let watch = scene.watch(name).args(args);
        watch.args(["--batch-lines", "100"]).spawn()
    });
    for watcher in &watchers {
        watcher.wait_says("waiting,");
    }
    // Each may send what it found room for, a quarter of the bound at most, and a batch.
    let most = 2000 + 3 * (500 + 100);
    let length = scene.redis.count("stream");
    assert!((2000..=most).contains(&length), "{length}");
    for watcher in watchers {
        watcher.sigterm();
    }
}

#[test]
fn where_types_name_the_keys_each_has_its_own_bound() {
    let scene = Scene::new();
    let line = |n: usize| format!("{{\"type\":\"{}\",\"n\":{n}}}", ["A", "B"][n % 2]);
    let all: Vec<_> = (0..2000).map(line).collect();
    scene.append("app.log", all.join("\n") + "\n");
    let watcher = watch(&scene, "list", "100")
        .args(["--target", "logs:{type}"])
        .spawn();
    watcher.wait_says("lines that nobody has taken");
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let take = |key: &str, taken: &mut Vec<Vec<u8>>| {
        let some: Option<Vec<Vec<u8>>> = scene.redis.ask(&["LPOP", key, "50"]);
        taken.extend(some.unwrap_or_default());
    };
    wait_until("all are taken", || {
        for key in ["logs:A", "logs:B"] {
            let length: usize = scene.redis.ask(&["LLEN", key]);
            assert!(length <= 200, "{key}: {length}");
        }
        take("logs:A", &mut a);
        take("logs:B", &mut b);
        a.len() + b.len() >= all.len()
    });
    watcher.sigterm();
    let of = |parity| -> Vec<_> { all.iter().skip(parity).step_by(2).collect() };
    assert_exactly(&of(0), &a);
    assert_exactly(&of(1), &b);
}

#[test]
fn in_a_cluster_the_bound_is_looked_after_where_the_key_is() {
    let (scene, cluster) = (Scene::new(), Cluster::start());
    scene.append("app.log", text(0..1000));
    for node in 0..3 {
        let watch = scene.watch_through(&cluster.url(node), "app.log");
        let args = [
            "--mode",
            "list",
            "--max-backlog",
            "100",
            "--once",
            "--timeout",
            "1s",
        ];
        let run = watch.args(args).run();
        run.assert_fails(75, &["nobody has taken", "--max-backlog 100"]);
        let length = cluster.count("list", "logs");
        assert_eq!(length, 100, "through node {node}");
    }
}

#[test]
fn a_group_that_is_removed_while_one_waits_for_it_is_not_blamed_any_more() {
    let scene = Scene::new();
    Consumer::new(&scene.redis, "gone");
    scene.append("app.log", text(0..3000));
    let watcher = watch(&scene, "stream", "1000").spawn();
    watcher.wait_says("group gone");
    let _: usize = scene.redis.ask(&["XGROUP", "DESTROY", "logs", "gone"]);
    watcher.wait_says("no group that could acknowledge them");
    let mut consumer = Consumer::new(&scene.redis, "late");
    consumer.take_all(3000);
    watcher.sigterm();
    assert_exactly(&lines(0..3000), &consumer.taken);
}

#[test]
fn a_redis_that_comes_back_empty_while_one_waits_is_filled_up_to_the_bound() {
    let mut scene = Scene::new();
    Consumer::new(&scene.redis, "sleeper");
    scene.append("app.log", text(0..3000));
    let watcher = watch(&scene, "stream", "1000").spawn();
    watcher.wait_says("group sleeper");
    scene.redis.kill();
    watcher.wait_says("trying again");
    scene.redis.restart();
    watcher.wait_says("no group that could acknowledge them");
    assert_eq!(scene.redis.count("stream"), 1000);
    let said = watcher.sigterm().stderr;
    assert!(!said.contains("has room again"), "{said}");
}

#[test]
fn a_watcher_killed_while_it_waits_goes_on_where_the_bound_stopped_it() {
    let scene = Scene::new();
    let mut consumer = Consumer::new(&scene.redis, "sleeper");
    scene.append("app.log", text(0..3000));
    for _ in 0..3 {
        let watcher = watch(&scene, "stream", "1000").spawn();
        watcher.wait_says("waiting,");
        watcher.sigkill();
        assert_eq!(scene.redis.count("stream"), 1000);
    }
    let watcher = watch(&scene, "stream", "1000").spawn();
    consumer.take_all(3000);
    watcher.sigterm();
    assert_exactly(&lines(0..3000), &consumer.taken);
}

#[test]
fn what_another_trims_while_one_waits_makes_room() {
    let scene = Scene::new();
    Consumer::new(&scene.redis, "sleeper");
    scene.append("app.log", text(0..3000));
    let watcher = watch(&scene, "stream", "1000").spawn();
    watcher.wait_says("waiting,");
    wait_until("all of it was published", || {
        let _: usize = scene.redis.ask(&["XTRIM", "logs", "MAXLEN", "10"]);
        let newest = scene.redis.kept("stream");
        newest.last() == Some(&line(2999).into_bytes())
    });
    watcher.sigterm();
}

#[test]
fn a_signal_ends_a_watcher_that_waits_for_room() {
    let scene = Scene::new();
    let mut consumer = Consumer::new(&scene.redis, "sleeper");
    scene.append("app.log", text(0..5000));
    let watcher = watch(&scene, "stream", "100").spawn();
    watcher.wait_says("waiting,");
    watcher.sigterm();
    watch(&scene, "stream", "10000")
        .arg("--once")
        .run()
        .assert_silent_success();
    consumer.take_all(5000);
    assert_exactly(&lines(0..5000), &consumer.taken);
}

#[test]
fn a_connection_that_redis_closes_while_one_waits_for_room_is_no_trouble() {
    let scene = Scene::with(Redis::start_with(&["--timeout", "1"]));
    let mut consumer = Consumer::new(&scene.redis, "sleeper");
    scene.append("app.log", text(0..5000));
    let watcher = watch(&scene, "stream", "1000").spawn();
    watcher.wait_says("waiting,");
    wait_until("Redis has closed the session's connection", || {
        let list: String = scene.redis.ask(&["CLIENT", "LIST"]);
        list.matches("name=tailcast-watch ").count() == 1
    });
    consumer.take_all(5000);
    let said = watcher.sigterm().stderr;
    assert!(!said.contains("trying again"), "{said}");
    assert_exactly(&lines(0..5000), &consumer.taken);
}

#[test]
fn redis_out_of_memory_goes_on_when_its_consumer_has_caught_up() {
    let scene = Scene::with(Redis::start_with(&["--maxmemory-policy", "noeviction"]));
    let mut consumer = Consumer::new(&scene.redis, "slow");
    let padding = "x".repeat(1000);
    let all: Vec<_> = (0..20_000).map(|n| format!("{n} {padding}")).collect();
    let limit = (memory(&scene.redis) + (8 << 20)).to_string();
    let _: String = scene.redis.ask(&["CONFIG", "SET", "maxmemory", &limit]);
    scene.append("app.log", all.join("\n") + "\n");
    let watcher = scene.watch("app.log").args(["--mode", "stream"]).spawn();
    watcher.wait_says("OOM");
    // Nobody lifts the limit: what the group has acknowledged makes the room.
    wait_until("every line is taken", || {
        while consumer.read_and_acknowledge_when_full() > 0 {}
        consumer.taken.len() >= all.len()
    });
    watcher.sigterm();
    assert_exactly(&all, &consumer.taken);
}

impl Consumer<'_> {
    /// A Redis that is out of memory refuses to note what was delivered; to a group's position it has no objection.
    fn read_and_acknowledge_when_full(&mut self) -> usize {
        let set = |redis: &Redis, id: &str| {
            let set = ["XGROUP", "SETID", "logs", "slow", id];
            redis::cmd(set[0])
                .arg(&set[1..])
                .query::<String>(&mut redis.connect())
        };
        let behind: Vec<Entry> =
            self.redis
                .ask(&["XRANGE", "logs", &self.behind(), "+", "COUNT", "1000"]);
        let Some((last, _)) = behind.last() else {
            return 0;
        };
        if set(self.redis, last).is_err() {
            return 0;
        }
        let count = behind.len();
        for (_, fields) in behind {
            let line = fields.into_iter().find(|(name, _)| name == "line");
            self.taken.push(line.expect("a line").1);
        }
        count
    }

    /// From behind its last delivered entry on.
    fn behind(&self) -> String {
        let groups: Vec<std::collections::HashMap<String, redis::Value>> =
            self.redis.ask(&["XINFO", "GROUPS", "logs"]);
        match &groups[0]["last-delivered-id"] {
            redis::Value::BulkString(id) => format!("({}", String::from_utf8_lossy(id)),
            other => panic!("an id: {other:?}"),
        }
    }
}

#[test]
fn who_may_not_look_publishes_without_a_bound_or_is_told() {
    let scene = Scene::new();
    let rules = "reset on >pw ~tailcast:commit:* ~logs +@transaction +get +set +xadd +type";
    let user = ["ACL", "SETUSER", "shipper"].into_iter();
    let user: Vec<_> = user.chain(rules.split(' ')).collect();
    let _: String = scene.redis.ask(&user);
    scene.append("app.log", text(0..10));
    let url = format!("redis://shipper:pw@127.0.0.1:{}/", scene.redis.port);
    let watch = || {
        let watch = scene.watch_through(&url, "app.log");
        watch.args(["--once", "--mode", "stream"])
    };
    watch()
        .args(["--max-backlog", "100"])
        .run()
        .assert_fails(1, &["NOPERM", "xlen", "tailcast check"]);
    watch().run().assert_silent_success();
    assert_exactly(&lines(0..10), &scene.redis.stream("logs"));
}

/// The memory of Redis, and not only the number of entries.
#[test]
fn lines_without_end_past_a_group_that_sleeps_take_no_more_memory_than_the_bound() {
    let scene = Scene::new();
    let mut consumer = Consumer::new(&scene.redis, "sleeper");
    let total = if is_long() { 1_000_000 } else { 100_000 };
    scene.append("app.log", text(0..total));
    let before = memory(&scene.redis);
    let watcher = watch(&scene, "stream", "5000").spawn();
    watcher.wait_says("waiting,");
    let full = memory(&scene.redis) - before;
    let mut most = full;
    wait_within(Duration::from_secs(120), "every line is taken", || {
        most = most.max(memory(&scene.redis) - before);
        consumer.take(2500);
        consumer.taken.len() >= total
    });
    watcher.sigterm();
    println!("5000 entries take {full} bytes, and the most was {most}");
    assert!(most < full * 3, "full {full}, most {most}");
    assert_exactly(&lines(0..total), &consumer.taken);
}

#[test]
fn a_thousand_keys_cost_a_session_no_thousand_looks() {
    let scene = Scene::new();
    let typed = |n: usize| format!("{{\"type\":\"T{n}\"}}\n");
    let watcher = scene
        .watch("app.log")
        .args(["--mode", "list", "--target", "logs:{type}"])
        .spawn();
    scene.append("app.log", (0..1000).map(typed).collect::<String>());
    let has_key = |n: usize| scene.redis.ask::<usize>(&["EXISTS", &format!("logs:T{n}")]) == 1;
    wait_until("all keys are there", || has_key(999));
    let looks = || {
        let stats: String = scene.redis.ask(&["INFO", "commandstats"]);
        let (_, calls) = stats.split_once("cmdstat_llen:calls=").expect("LLEN");
        calls.split(',').next().and_then(|calls| calls.parse().ok())
    };
    let before: usize = looks().expect("a number");
    let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
    let _: usize = scene.redis.ask(&kill);
    scene.append("app.log", typed(1000));
    wait_until("the next session publishes", || has_key(1000));
    watcher.sigterm();
    let after = looks().expect("a number");
    assert!(after - before < 100, "{before} and {after}");
}
