//! What a watcher would do and whether its guarantee can hold: each condition, made so in a Redis and on a disk.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;

use crate::util::*;

/// `tailcast check --json` of a log of the scene, with no logrotate but this.
fn check(scene: &Scene, name: &str, logrotate: &str, args: &[&str]) -> Tailcast {
    let configuration = scene.home().join("logrotate.conf");
    fs::write(&configuration, logrotate).expect("write logrotate's configuration");
    scene
        .tailcast(&["check", "--json"])
        .arg(scene.path(name))
        .args(["--redis", &scene.redis.url(), "--state-dir"])
        .arg(scene.state_dir())
        .arg("--logrotate-conf")
        .arg(configuration)
        .args(args)
}

/// A condition as it is printed.
#[derive(Debug)]
struct Found {
    state: String,
    says: String,
    mend: String,
}

/// The conditions of this name, of whatever subject.
#[track_caller]
fn found(run: &Finished, name: &str) -> Vec<Found> {
    let printed: Value = serde_json::from_slice(&run.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&run.stdout)));
    let text = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_string();
    let all = printed["conditions"].as_array().expect("conditions");
    assert_eq!(
        printed["ok"].as_bool(),
        Some(run.code == 0),
        "{printed:#}; {}",
        run.stderr
    );
    let of_name = all.iter().filter(|one| one["condition"] == name);
    of_name
        .map(|one| Found {
            state: text(one, "state"),
            says: text(one, "says"),
            mend: text(one, "mend"),
        })
        .collect()
}

/// The one condition of this name: it has this state, and says and mends with these words.
#[track_caller]
fn assert_found(run: &Finished, name: &str, state: &str, words: &[&str]) -> Found {
    let mut all = found(run, name);
    assert_eq!(all.len(), 1, "{name}: {all:?}; {}", run.stderr);
    let one = all.remove(0);
    assert_eq!(one.state, state, "{one:?}");
    for word in words {
        let is_there = one.says.contains(word) || one.mend.contains(word);
        assert!(is_there, "{name} names {word:?}: {one:?}");
    }
    one
}

/// Every file below a folder, with its bytes and its time of last write.
fn everything(folder: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("list a folder").flatten() {
        let (path, meta) = (entry.path(), entry.metadata().expect("stat"));
        if meta.is_dir() {
            all.extend(everything(&path));
        }
        let bytes = fs::read(&path).unwrap_or_default();
        let time = meta.modified().expect("a time");
        all.insert(path.display().to_string(), (bytes, time));
    }
    all
}

#[test]
fn where_all_is_well_it_says_what_would_be_done_and_ends_well() {
    let scene = Scene::with(Redis::start_with(&[
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
    ]));
    scene.append("app.log", text(0..3));
    scene.once("app.log");
    scene.append("app.log", text(3..5));
    scene.append("app.log.1", text(10..20));
    let run = check(&scene, "app.log", "", &[]).run();
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    for (name, words) in [
        ("reachable", &["it answers"][..]),
        ("version", &[]),
        ("role", &["master"]),
        ("rights", &["default"]),
        ("maxmemory-policy", &["noeviction"]),
        ("appendfsync", &["always"]),
        ("usable", &["ours"]),
        ("rotated files", &["one, which can be read"]),
        ("logrotate", &["does not rotate this log"]),
    ] {
        assert_found(&run, name, "ok", words);
    }
    let unread = format!("{} B unread", text(3..5).len());
    let offset = format!("at offset {}", text(0..3).len());
    let begins = assert_found(&run, "begins", "ok", &[&offset, "PUBLISH to logs:{type}"]);
    let unread = [unread.clone(), unread.replace(" B ", " bytes ")];
    assert!(unread.iter().any(|u| begins.says.contains(u)), "{begins:?}");
}

/// `check` in each mode and delivery, which must change neither a file nor a key; returns what is said of the rights.
#[track_caller]
fn check_of_everything(scene: &Scene, url: &str) -> Vec<(String, Found)> {
    for name in ["app.log", "other.log"] {
        scene.append(name, text(0..3));
    }
    // A record, a list and a stream to be spared.
    let source = ["--source", "src"];
    let watch = |args: &[&str]| scene.watch("app.log").arg("--once").args(args).run().code;
    watch(&[&source[..], &["--mode", "list", "--target", "list"]].concat());
    let _: String = scene.redis.ask(&["SET", "tailcast:commit:src", "precious"]);
    let _: i64 = scene.redis.ask(&["RPUSH", "list", "a"]);
    let _: String = scene.redis.ask(&["XADD", "stream", "*", "line", "a"]);
    scene.append("app.log", text(3..5));
    let keys = || {
        let mut keys = scene.redis.ask::<Vec<String>>(&["KEYS", "*"]);
        keys.sort();
        keys
    };
    let values = || -> Vec<(String, Vec<u8>)> {
        let dump = |key: String| (key.clone(), scene.redis.ask(&["DUMP", &key]));
        keys().into_iter().map(dump).collect()
    };
    let channel = scene.subscriber();
    fs::write(scene.home().join("logrotate.conf"), "").expect("write");
    let (files, before) = (everything(scene.home()), values());
    let mut rights = Vec::new();
    for mode in ["pubsub", "list", "stream"] {
        for delivery in ["exactly-once", "at-least-once"] {
            let run = scene
                .tailcast(&["check", "--json", "--redis", url])
                .args(source);
            let run = run.args(["--mode", mode, "--target", mode, "--delivery", delivery]);
            let run = run
                .arg("--logrotate-conf")
                .arg(scene.home().join("logrotate.conf"));
            let run = run.arg("--state-dir").arg(scene.state_dir());
            let run = run.arg(scene.path("app.log")).run();
            let all = found(&run, "rights").into_iter();
            rights.extend(all.map(|one| (delivery.to_string(), one)));
        }
    }
    assert_eq!(before, values());
    assert_exactly::<&str, _>(&[], &channel.settle());
    assert_eq!(files, everything(scene.home()));
    assert_eq!(rights.len(), 6, "{rights:?}");
    rights
}

#[test]
fn it_changes_nothing() {
    let scene = Scene::new();
    for (_, rights) in check_of_everything(&scene, &scene.redis.url()) {
        assert_eq!(rights.state, "ok", "{rights:?}");
    }
}

#[test]
fn it_changes_nothing_where_multi_has_another_name() {
    let scene = Scene::with(Redis::start_with(&["--rename-command", "MULTI", ""]));
    for (delivery, rights) in check_of_everything(&scene, &scene.redis.url()) {
        if delivery == "at-least-once" {
            assert_eq!(rights.state, "ok", "it is asked for: {rights:?}");
        } else {
            assert_eq!(rights.state, "fail", "{rights:?}");
            assert!(
                rights.says.contains("MULTI") && rights.mend.contains("rename-command"),
                "{rights:?}"
            );
        }
    }
    let hidden = [
        "--rename-command",
        "MULTI",
        "",
        "--rename-command",
        "ACL",
        "",
    ];
    let scene = Scene::with(Redis::start_with(&hidden));
    for (delivery, rights) in check_of_everything(&scene, &scene.redis.url()) {
        let state = if delivery == "at-least-once" {
            "unknown"
        } else {
            "fail"
        };
        assert_eq!(rights.state, state, "{rights:?}");
    }
}

/// A proxy that says `OK` to `MULTI` by itself, knows no `ACL`, and has Redis run what follows.
fn proxy_without_transactions(redis: u16) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("listen");
    let port = listener.local_addr().expect("an address").port();
    let serve = move |mut client: TcpStream| -> std::io::Result<()> {
        let mut redis = TcpStream::connect(("127.0.0.1", redis))?;
        let (mut replies, mut back) = (redis.try_clone()?, client.try_clone()?);
        std::thread::spawn(move || std::io::copy(&mut replies, &mut back));
        let mut commands = BufReader::new(client.try_clone()?);
        loop {
            let mut command = String::new();
            commands.read_line(&mut command)?;
            let words: usize = command.trim()[1..].parse().expect("how many words");
            // A word has two lines: how long it is, and itself.
            for _ in 0..2 * words {
                commands.read_line(&mut command)?;
            }
            match command.lines().nth(2) {
                Some("MULTI") => client.write_all(b"+OK\r\n")?,
                Some("ACL") => client.write_all(b"-ERR unknown command 'ACL'\r\n")?,
                _ => redis.write_all(command.as_bytes())?,
            }
        }
    };
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || serve(client));
        }
    });
    port
}

#[test]
fn it_changes_nothing_behind_a_proxy_that_executes_what_follows_multi() {
    let scene = Scene::new();
    let port = proxy_without_transactions(scene.redis.port);
    for (_, rights) in check_of_everything(&scene, &format!("redis://127.0.0.1:{port}/")) {
        assert_eq!(rights.state, "unknown", "{rights:?}");
    }
}

#[test]
fn a_redis_that_is_away_is_said_and_the_files_are_looked_at_all_the_same() {
    let mut scene = Scene::new();
    scene.append("app.log", text(0..3));
    scene.redis.kill();
    let run = check(&scene, "app.log", "", &[]).run();
    run.assert_fails(1, &["one condition does not hold"]);
    assert_found(&run, "reachable", "fail", &["refused", "--redis"]);
    assert_found(&run, "begins", "ok", &["was not asked for"]);
}

#[test]
fn a_replica_is_named_as_one() {
    let scene = Scene::new();
    scene.append("app.log", text(0..3));
    let master = Redis::start();
    let port = master.port.to_string();
    let _: String = scene.redis.ask(&["REPLICAOF", "127.0.0.1", &port]);
    let run = check(&scene, "app.log", "", &[]).run();
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert_found(&run, "role", "fail", &["redis+sentinel://"]);
}

#[test]
fn a_policy_that_may_evict_a_record_fails_and_its_mend_mends_it() {
    let scene = Scene::new();
    scene.append("app.log", text(0..3));
    let set = |name: &str, value: &str| {
        let _: String = scene.redis.ask(&["CONFIG", "SET", name, value]);
    };
    set("maxmemory", "100mb");
    set("maxmemory-policy", "allkeys-lru");
    let run = check(&scene, "app.log", "", &[]).run();
    let name = "maxmemory-policy";
    assert_found(
        &run,
        name,
        "fail",
        &["allkeys-lru", "CONFIG SET maxmemory-policy noeviction"],
    );
    assert_eq!(run.code, 1);
    set("maxmemory-policy", "noeviction");
    let run = check(&scene, "app.log", "", &[]).run();
    assert_found(&run, name, "ok", &[]);
}

#[test]
fn what_a_crash_of_redis_costs_is_said_for_the_mode() {
    let scene = Scene::new();
    scene.append("app.log", text(0..3));
    for (mode, cost) in [
        ("pubsub", "a few lines may be published twice"),
        ("stream", "are sent again"),
        ("list", "are sent again"),
    ] {
        let run = check(&scene, "app.log", "", &["--mode", mode]).run();
        assert_eq!(run.code, 0, "a limit is no failure: {}", run.stderr);
        assert_found(&run, "appendfsync", "warn", &[cost, "appendonly yes"]);
    }
    let _: String = scene.redis.ask(&["CONFIG", "SET", "appendonly", "yes"]);
    let run = check(&scene, "app.log", "", &[]).run();
    assert_found(
        &run,
        "appendfsync",
        "warn",
        &["everysec", "CONFIG SET appendfsync always"],
    );
}

#[test]
fn a_right_that_is_missing_is_named_with_the_line_that_gives_it() {
    for mode in ["pubsub", "list", "stream"] {
        let scene = Scene::new();
        scene.append("app.log", text(0..3));
        let user = [
            "ACL",
            "SETUSER",
            "shipper",
            "on",
            ">pw",
            "resetkeys",
            "-@all",
            "+ping",
        ];
        let _: String = scene.redis.ask(&user);
        let url = format!("redis://shipper:pw@127.0.0.1:{}/", scene.redis.port);
        let look = || check(&scene, "app.log", "", &["--mode", mode, "--redis", &url]).run();
        let run = look();
        assert_eq!(run.code, 1, "{}", run.stderr);
        let rights = assert_found(&run, "rights", "fail", &["shipper", "ACL SETUSER shipper"]);
        let words = rights.mend.split_whitespace().collect::<Vec<_>>();
        let start = words.windows(2).position(|w| w == ["ACL", "SETUSER"]);
        let line = &words[start.expect("the line")..];
        let _: String = scene.redis.ask(line);
        let run = look();
        assert_eq!(run.code, 0, "{mode}: {line:?}: {:?}", found(&run, "rights"));
        assert_found(&run, "rights", "ok", &[]);
        let watch = scene
            .watch_through(&url, "app.log")
            .args(["--once", "--mode", mode]);
        watch.run().assert_silent_success();
    }
}

#[test]
fn rights_without_which_nothing_bounds_the_backlog_fail_only_where_a_bound_is_asked_for() {
    let scene = Scene::new();
    scene.append("app.log", text(0..3));
    let rules =
        "reset on >pw ~tailcast:commit:* ~logs +@transaction +get +set +del +xadd +rpush +type";
    let user = ["ACL", "SETUSER", "shipper"].into_iter();
    let user: Vec<_> = user.chain(rules.split(' ')).collect();
    let _: String = scene.redis.ask(&user);
    let url = format!("redis://shipper:pw@127.0.0.1:{}/", scene.redis.port);
    for (mode, missing) in [
        ("list", "LLEN, LTRIM"),
        ("stream", "XLEN, XINFO GROUPS, XPENDING, XTRIM"),
    ] {
        let args = ["--mode", mode, "--redis", &url];
        let run = check(&scene, "app.log", "", &args).run();
        let words = [
            missing,
            "nothing bounds what piles up",
            "ACL SETUSER shipper",
        ];
        assert_found(&run, "rights", "warn", &words);
        let args = [&args[..], &["--max-backlog", "100"]].concat();
        let run = check(&scene, "app.log", "", &args).run();
        assert_found(&run, "rights", "fail", &[missing, "--max-backlog"]);
        assert_eq!(run.code, 1, "{}", run.stderr);
    }
}

#[test]
fn what_logrotate_does_to_a_log_is_judged() {
    let scene = Scene::new();
    scene.append("app.log", text(0..3));
    let log = scene.path("app.log");
    let rules = |rules: &str| format!("{} {{\n  rotate 3\n{rules}\n}}\n", log.display());
    for (text, state, words) in [
        ("daily", "ok", &["logrotate.conf:1"][..]),
        ("compress", "warn", &["delaycompress"]),
        ("compress\ndelaycompress", "ok", &[]),
        ("copytruncate", "warn", &["copytruncate", "create"]),
        ("olddir old", "fail", &["--rotated old"]),
        ("rotate 0", "warn", &["rotate 0", "rotate 2"]),
        ("compress\ncompressext .7z", "fail", &[".7z", "compressext"]),
    ] {
        let run = check(&scene, "app.log", &rules(text), &[]).run();
        assert_found(&run, "logrotate", state, words);
        assert_eq!(
            run.code,
            i32::from(state == "fail"),
            "{text}: {}",
            run.stderr
        );
    }
    let elsewhere = check(
        &scene,
        "app.log",
        &rules("olddir old"),
        &["--rotated", "old"],
    )
    .run();
    assert_found(&elsewhere, "logrotate", "ok", &[]);
    let two = check(&scene, "app.log", &rules("copytruncate\nolddir old"), &[]).run();
    assert_eq!(found(&two, "logrotate").len(), 2);
}

#[test]
fn logrotates_rules_are_found_through_includes_and_globs() {
    let scene = Scene::new();
    scene.append("app.log", text(0..3));
    let folder = scene.home().join("logrotate.d");
    fs::create_dir(&folder).expect("create a folder");
    let section = format!(
        "{}/*.log {{\n  copytruncate\n}}\n",
        scene.home().join("logs").display()
    );
    fs::write(folder.join("app"), section).expect("write");
    fs::write(folder.join("app.rpmsave"), "/ { olddir /none\n}").expect("write");
    let all = format!(
        "rotate 4\ncompress\ndelaycompress\ninclude {}\n",
        folder.display()
    );
    let run = check(&scene, "app.log", &all, &[]).run();
    assert_found(
        &run,
        "logrotate",
        "warn",
        &["logrotate.d/app:1", "copytruncate"],
    );
    let gone = format!("include {}\n", scene.home().join("none").display());
    let run = check(&scene, "app.log", &gone, &[]).run();
    assert_found(&run, "logrotate", "unknown", &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
}

#[test]
fn what_may_not_be_read_fails_with_the_way_out() {
    if !installed("setpriv") {
        return skip("setpriv (util-linux) is not installed");
    }
    let scene = Scene::new();
    scene.append("app.log", text(0..3));
    scene.append("app.log.1", text(10..12));
    let close = |name: &str| {
        fs::set_permissions(scene.path(name), Permissions::from_mode(0o0)).expect("chmod");
    };
    close("app.log.1");
    let run = check(&scene, "app.log", "", &[]).under(&MORTAL).run();
    assert_eq!(run.code, 1);
    assert_found(
        &run,
        "rotated files",
        "fail",
        &["app.log.1", "would be a gap", "create"],
    );
    close("app.log");
    let run = check(&scene, "app.log", "", &[]).under(&MORTAL).run();
    assert_eq!(run.code, 1);
    assert_found(&run, "file", "fail", &["permission denied", "setfacl"]);
    fs::set_permissions(scene.state_dir(), Permissions::from_mode(0o777)).expect("chmod");
    let run = check(&scene, "app.log", "", &[]).run();
    assert_found(&run, "usable", "fail", &["--state-dir"]);
}

#[test]
fn an_archive_without_its_program_is_said() {
    let scene = Scene::new();
    scene.append("app.log", text(0..3));
    fs::write(scene.path("app.log.1.zst"), "").expect("write");
    let run = check(&scene, "app.log", "", &[])
        .env("PATH", "/nonexistent")
        .run();
    assert_eq!(run.code, 1);
    assert_found(
        &run,
        "rotated files",
        "fail",
        &["app.log.1.zst", "install zstd"],
    );
}

#[test]
fn what_is_kept_of_logs_that_are_gone_is_listed() {
    let scene = Scene::new();
    for name in ["app.log", "gone.log"] {
        scene.append(name, text(0..3));
        scene.once(name);
    }
    scene.remove("gone.log");
    let run = check(&scene, "app.log", "", &[]).run();
    assert_found(&run, "vanished", "ok", &["no FILE names it"]);
    let run = check(&scene, "*.log", "", &["--forget-after", "2d"]).run();
    assert_found(&run, "vanished", "ok", &["2.0 days more"]);
}

#[test]
fn a_log_that_is_watched_already_or_not_there_yet_is_said() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..3));
    let _watcher = scene.watch("app.log").spawn();
    oracle.wait_for(3);
    let run = check(&scene, "app.log", "", &[]).run();
    assert_found(&run, "watcher", "warn", &["exit 75"]);
    let run = check(&scene, "none.log", "", &[]).run();
    assert_eq!(run.code, 0);
    assert_found(&run, "file", "warn", &["not there yet"]);
    let run = check(&scene, "none*.log", "", &[]).run();
    assert_eq!(run.code, 0);
    assert_found(&run, "file", "warn", &["no file matches"]);
}

#[test]
fn the_record_of_another_log_under_the_same_name_fails() {
    let scene = Scene::new();
    scene.append("app.log", text(0..3));
    scene.append("other.log", text(5..7));
    let name = ["--source", "one-name"];
    let mode = ["--mode", "list", "--once"];
    let first = scene.watch("app.log").args(name).args(mode).run();
    assert_eq!(first.code, 0, "{}", first.stderr);
    let args = [&name[..], &mode[..2]].concat();
    let run = check(&scene, "other.log", "", &args).run();
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert_found(&run, "begins", "fail", &["app.log"]);
}

#[test]
fn bad_flags_are_refused_as_watch_refuses_them() {
    let scene = Scene::new();
    scene.append("app.log", text(0..3));
    check(&scene, "app.log", "", &["--mode", "tape"])
        .run()
        .assert_fails(2, &["--mode", "pubsub"]);
    let table = scene.tailcast(&["check", "--redis", &scene.redis.url(), "--state-dir"]);
    let run = table
        .arg(scene.state_dir())
        .arg(scene.path("app.log"))
        .run();
    let table = String::from_utf8(run.stdout).expect("UTF-8");
    assert!(
        table.contains("  ok    role  ") && table.contains("-> CONFIG SET"),
        "{table}"
    );
}
