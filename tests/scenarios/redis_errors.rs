//! Redis answers with an error: some heal and are waited for, some need somebody's hand and end the program.

use std::time::Duration;

use crate::util::*;

#[test]
fn out_of_memory_is_waited_for_and_heals() {
    for mode in ["stream", "list"] {
        let scene = Scene::with(Redis::start_with(&[
            "--maxmemory",
            "4mb",
            "--maxmemory-policy",
            "noeviction",
        ]));
        let padding = "x".repeat(1000);
        let padded: Vec<String> = (0..6000).map(|n| format!("{n} {padding}")).collect();
        scene.append("app.log", padded.join("\n") + "\n");
        let watcher = scene
            .watch("app.log")
            .args(["--mode", mode, "--batch-lines", "100"])
            .spawn();
        watcher.wait_says("OOM");
        let length = || scene.redis.count(mode);
        assert!(length() < padded.len());
        let (_, record) = scene.redis.record();
        let recorded: usize = record
            .split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .expect("an offset");
        let kept: usize = padded[..length()].iter().map(|l| l.len() + 1).sum();
        assert_eq!(recorded, kept, "the record stands where the lines end");
        let _: String = scene.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
        wait_until("all lines are there", || length() >= padded.len());
        let said = watcher.sigterm().stderr;
        assert_eq!(said.matches("OOM").count(), 1, "said once: {said}");
        assert_exactly(&padded, &scene.redis.kept(mode));
    }
}

#[test]
fn once_gives_out_of_memory_its_timeout_and_exits_75() {
    let scene = Scene::with(Redis::start_with(&[
        "--maxmemory",
        "1",
        "--maxmemory-policy",
        "noeviction",
    ]));
    scene.append("app.log", text(0..10));
    let run = scene
        .watch("app.log")
        .args(["--once", "--mode", "list", "--timeout", "1s"])
        .run();
    run.assert_fails(75, &["OOM"]);
    let _: String = scene.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    scene
        .watch("app.log")
        .args(["--once", "--mode", "list"])
        .run()
        .assert_silent_success();
    assert_exactly(&lines(0..10), &scene.redis.list("logs"));
}

#[test]
fn a_read_only_replica_is_waited_for_until_it_is_promoted() {
    let master = Redis::start();
    for mode in ["list", "pubsub"] {
        let scene = Scene::new();
        let _: String = scene
            .redis
            .ask(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
        wait_until("the replica is in step", || {
            scene
                .redis
                .ask::<String>(&["INFO", "replication"])
                .contains("master_link_status:up")
        });
        let oracle = scene.subscriber();
        scene.append("app.log", text(0..10));
        let watcher = scene.watch("app.log").args(["--mode", mode]).spawn();
        watcher.wait_says("READONLY");
        let _: String = scene.redis.ask(&["REPLICAOF", "NO", "ONE"]);
        let arrived = || scene.arrived(mode, &oracle);
        wait_until("all lines are there", || arrived().len() >= 10);
        let said = watcher.sigterm().stderr;
        assert_eq!(said.matches("READONLY").count(), 1, "said once: {said}");
        assert_exactly(&lines(0..10), &arrived());
    }
}

#[test]
fn a_master_that_is_down_is_waited_for() {
    let scene = Scene::with(Redis::start_with(&["--replica-serve-stale-data", "no"]));
    let _: String = scene
        .redis
        .ask(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]);
    scene.append("app.log", text(0..10));
    let watcher = scene.watch("app.log").args(["--mode", "list"]).spawn();
    watcher.wait_complains();
    let _: String = scene.redis.ask(&["REPLICAOF", "NO", "ONE"]);
    wait_until("all lines are there", || scene.redis.count("list") >= 10);
    watcher.sigterm();
    assert_exactly(&lines(0..10), &scene.redis.list("logs"));
}

#[test]
fn a_busy_redis_is_waited_for() {
    let scene = Scene::with(Redis::start_with(&["--lua-time-limit", "10"]));
    scene.append("app.log", text(0..10));
    let watcher = scene.watch("app.log").args(["--mode", "list"]).spawn();
    wait_until("the first lines are there", || {
        scene.redis.count("list") >= 10
    });
    let busy = scene.redis.connect();
    let script = std::thread::spawn(move || {
        let mut busy = busy;
        redis::cmd("EVAL")
            .arg("while true do end")
            .arg(0)
            .exec(&mut busy)
    });
    wait_until("Redis is busy", || {
        let ping = redis::cmd("PING").query::<String>(&mut scene.redis.connect());
        ping.is_err_and(|e| e.to_string().contains("BUSY"))
    });
    scene.append("app.log", text(10..20));
    watcher.wait_says("BUSY");
    redis::cmd("SCRIPT")
        .arg("KILL")
        .exec(&mut scene.redis.connect())
        .expect("kill the script");
    let _ = script.join();
    wait_until("all lines are there", || scene.redis.count("list") >= 20);
    watcher.sigterm();
    assert_exactly(&lines(0..20), &scene.redis.list("logs"));
}

#[test]
fn a_password_changed_while_running_ends_the_watcher_with_the_reason() {
    let mut scene = Scene::with(Redis::start_with(&["--requirepass", "first-s3cret"]));
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(10);
    let _: String = scene
        .redis
        .ask(&["CONFIG", "SET", "requirepass", "second-s3cret"]);
    scene.redis.password = Some("second-s3cret".into());
    let _: usize = scene
        .redis
        .ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    scene.append("app.log", text(10..20));
    let ended = watcher.finish_within(Duration::from_secs(20));
    ended.assert_fails(1, &["password"]);
    assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
    assert_eq!(scene.offset("app.log"), text(0..10).len() as u64);
    let oracle_after = scene.subscriber();
    scene.once("app.log");
    assert_exactly(&lines(10..20), &oracle_after.settle());
    assert_exactly(&lines(0..10), &oracle.payloads()[..10]);
}

#[test]
fn a_missing_password_ends_the_watcher_with_the_reason() {
    let scene = Scene::with(Redis::start_with(&["--requirepass", "s3cret"]));
    scene.append("app.log", text(0..10));
    let bare = format!("redis://127.0.0.1:{}/", scene.redis.port);
    for once in [&["--once"][..], &[]] {
        scene
            .watch_through(&bare, "app.log")
            .args(once)
            .run()
            .assert_fails(1, &["password"]);
    }
}

#[test]
fn a_key_of_another_type_ends_the_watcher_before_anything_is_published() {
    for mode in ["list", "stream"] {
        let scene = Scene::new();
        let _: String = scene.redis.ask(&["SET", "logs", "a string"]);
        scene.append("app.log", text(0..10));
        for once in [&["--once"][..], &[]] {
            let run = scene
                .watch("app.log")
                .args(["--mode", mode])
                .args(once)
                .run();
            run.assert_fails(1, &["WRONGTYPE", "logs"]);
        }
        let records: Vec<String> = scene.redis.ask(&["KEYS", "tailcast:*"]);
        if !records.is_empty() {
            assert!(
                scene.redis.record().1.starts_with("0 "),
                "nothing was published: {}",
                scene.redis.record().1
            );
        }
        let _: usize = scene.redis.ask(&["DEL", "logs"]);
        scene
            .watch("app.log")
            .args(["--once", "--mode", mode])
            .run()
            .assert_silent_success();
        assert_exactly(&lines(0..10), &scene.redis.kept(mode));
    }
}

#[test]
fn a_key_that_changes_its_type_while_running_loses_no_line() {
    for mode in ["list", "stream"] {
        let scene = Scene::new();
        scene.append("app.log", text(0..10));
        let watcher = scene
            .watch("app.log")
            .args(["--mode", mode, "--batch-lines", "3"])
            .spawn();
        wait_until("the first lines are there", || {
            scene.redis.count(mode) == 10
        });
        let _: String = scene.redis.ask(&["SET", "logs", "a string"]);
        scene.append("app.log", text(10..20));
        watcher.finish().assert_fails(1, &["WRONGTYPE", "logs"]);
        let recorded = scene.redis.record().1;
        assert!(
            recorded.starts_with(&format!("{} ", text(0..10).len())),
            "the record stands at line 10: {recorded}"
        );
        assert_eq!(scene.offset("app.log"), text(0..10).len() as u64);
        let _: usize = scene.redis.ask(&["DEL", "logs"]);
        scene
            .watch("app.log")
            .args(["--once", "--mode", mode])
            .run()
            .assert_silent_success();
        assert_exactly(&lines(10..20), &scene.redis.kept(mode));
    }
}

#[test]
fn a_key_that_changes_its_type_behind_the_check_loses_no_line() {
    // The types are looked at before EXEC; here a key changes between the two, with the next batch sent already.
    let scene = Scene::new();
    let proxy = Proxy::start(scene.redis.port);
    let all: Vec<String> = (0..42)
        .map(|n| format!("{{\"type\":\"T{}\",\"n\":{n}}}", n % 2))
        .collect();
    let (first, rest) = (all[..2].join("\n") + "\n", all[2..].join("\n") + "\n");
    let target = ["--mode", "list", "--target", "logs:{type}"];
    scene.append("app.log", &first);
    let watcher = scene
        .watch_through(&proxy.url(), "app.log")
        .args(target)
        .args(["--batch-lines", "10", "--checkpoint-lines", "1"])
        .spawn();
    wait_until("the first lines are committed", || {
        scene
            .checkpoint("app.log")
            .starts_with(&format!("{} ", first.len()))
    });
    // Redis is far away, so the reader is ahead, and the next batch is sent behind an EXEC.
    proxy.delay(Duration::from_millis(20));
    proxy.hold_from(b"EXEC\r\n");
    scene.append("app.log", rest);
    wait_until("an EXEC and the next batch are held", || proxy.held() > 400);
    let _: usize = scene.redis.ask(&["DEL", "logs:T1"]);
    let _: String = scene.redis.ask(&["SET", "logs:T1", "a string"]);
    proxy.release();
    let end = (all.join("\n") + "\n").len();
    wait_until("all lines are through", || {
        scene.checkpoint("app.log").starts_with(&format!("{end} "))
    });
    let said = watcher.sigterm().stderr;
    assert!(
        said.contains("WRONGTYPE") && !said.contains("unexpected"),
        "{said}"
    );
    let of = |kind| -> Vec<&String> { all.iter().filter(|line| line.contains(kind)).collect() };
    let folder = scene
        .state_dir()
        .join("refused")
        .read_dir()
        .expect("a folder");
    let file = folder.map(|file| file.expect("an entry").path()).next();
    let refused = std::fs::read_to_string(file.expect("a file")).expect("read");
    let refused: Vec<&str> = refused.lines().skip(1).step_by(2).collect();
    assert_exactly(&of("T1")[1..], &refused);
    // EXEC does not undo the neighbours of a command that fails: those of one batch come twice.
    let mut published = scene.redis.list("logs:T0");
    assert_eq!(published.len(), 21 + 5, "and no more than that");
    published.drain(6..11);
    assert_exactly(&of("T0"), &published);
}

#[test]
fn a_missing_permission_ends_the_watcher_with_the_reason() {
    // Who, in which mode, and what it may not.
    let cases = [
        ("pubsub", "~* &* +@all -publish"),
        ("pubsub", "~* &other:* +@all"),
        ("list", "~tailcast:* +@all"),
    ];
    for (mode, rules) in cases {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        let user = ["ACL", "SETUSER", "shipper", "reset", "on", ">pw"];
        let _: String = scene
            .redis
            .ask(&[&user[..], &rules.split(' ').collect::<Vec<_>>()].concat());
        scene.append("app.log", text(0..10));
        let url = format!("redis://shipper:pw@127.0.0.1:{}/", scene.redis.port);
        for once in [&["--once"][..], &[]] {
            let run = scene
                .watch_through(&url, "app.log")
                .args(["--mode", mode])
                .args(once)
                .run();
            run.assert_fails(1, &["NOPERM"]);
        }
        let _: String = scene
            .redis
            .ask(&["ACL", "SETUSER", "shipper", "~*", "&*", "+@all"]);
        let run = scene
            .watch_through(&url, "app.log")
            .args(["--once", "--mode", mode])
            .run();
        run.assert_silent_success();
        assert_exactly(&lines(0..10), &scene.arrived(mode, &oracle));
    }
}

/// The rules that docs/redis.md gives to who runs this command, behind the password.
pub fn rules_for(command: &str) -> &'static str {
    let document = include_str!("../../docs/redis.md");
    let mut lines = document.lines().map(str::trim);
    let title = format!("# {command}");
    assert!(lines.any(|line| line == title), "docs/redis.md has {title}");
    let line = lines.next().expect("a line behind it");
    assert!(line.starts_with("ACL SETUSER "), "{line}");
    line.split_once(" >PASSWORD ").expect("a password").1
}

fn set_user(scene: &Scene, name: &str, rules: &str) -> String {
    let user = ["ACL", "SETUSER", name, "reset", "on", ">pw"];
    let rules = rules.split(' ').collect::<Vec<_>>();
    let _: String = scene.redis.ask(&[&user[..], &rules].concat());
    format!("redis://{name}:pw@127.0.0.1:{}/", scene.redis.port)
}

#[test]
fn a_least_privileged_user_will_do() {
    for mode in ["pubsub", "list", "stream"] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        let url = set_user(
            &scene,
            "shipper",
            rules_for(&format!("watch --mode {mode}")),
        );
        let reader = set_user(&scene, "reader", rules_for("subscribe"));
        let reader = scene.tailcast(&["subscribe", "--redis", &reader]).spawn();
        wait_until("it subscribes", || {
            let list: String = scene.redis.ask(&["CLIENT", "LIST", "TYPE", "pubsub"]);
            list.contains("name=tailcast-subscribe")
        });
        scene.append("app.log", text(0..10));
        for delivery in ["exactly-once", "at-least-once", "exactly-once"] {
            let watch = scene.watch_through(&url, "app.log");
            let args = ["--once", "--mode", mode, "--delivery", delivery];
            watch.args(args).run().assert_silent_success();
        }
        assert_exactly(&lines(0..10), &scene.arrived(mode, &oracle));
        if mode == "pubsub" {
            wait_until("the reader has all", || {
                reader.stdout().starts_with(text(0..10).as_bytes())
            });
        }
        reader.sigterm();
        assert_nothing_denied(&scene);
    }
}

#[track_caller]
fn assert_nothing_denied(scene: &Scene) {
    let denied: Vec<redis::Value> = scene.redis.ask(&["ACL", "LOG"]);
    assert_eq!(denied, [], "nothing was denied");
}

#[test]
fn a_least_privileged_consumer_will_do() {
    for command in [
        "subscribe --mode stream",
        "subscribe --mode stream --group GROUP",
        "subscribe --mode list",
    ] {
        let scene = Scene::new();
        let reader = set_user(&scene, "reader", rules_for(command));
        let args: Vec<_> = command.split(' ').collect();
        let consume = |count: &str| {
            let limits = ["--redis", &reader, "--claim-after", "10ms"];
            let limits = if command.contains("--group") {
                &limits[..]
            } else {
                &limits[..2]
            };
            scene.tailcast(&args).args(limits).args(["--count", count])
        };
        scene.append("app.log", text(0..10));
        let mode = args[2];
        let watch = scene.watch("app.log").args(["--once", "--mode", mode]);
        watch.run().assert_silent_success();
        // What one that died leaves is redelivered or claimed too. Where it dies is only in debug builds.
        if cfg!(debug_assertions) {
            let dead = consume("10")
                .env("TAILCAST_CRASH_AT", "block-written")
                .run();
            assert_eq!(dead.code, -6, "{}", dead.stderr);
        }
        let ended = consume("10").run();
        ended.assert_success();
        assert_eq!(ended.stdout, text(0..10).into_bytes());
        assert_nothing_denied(&scene);
    }
}
