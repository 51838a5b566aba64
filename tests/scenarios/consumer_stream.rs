//! Reading a stream as everybody: what is printed, and each line once in a file, through crashes of all who take part.

use crate::util::*;

pub fn subscribe(scene: &Scene, args: &[&str]) -> Tailcast {
    scene
        .tailcast(&["subscribe", "--redis", &scene.redis.url()])
        .args(args)
}

/// Lines sent by `watch --mode MODE`, in a log of their own or behind what it has.
pub fn send(scene: &Scene, mode: &str, range: std::ops::Range<usize>) {
    scene.append("app.log", text(range));
    let watch = scene
        .watch("app.log")
        .args(["--once", "--mode", mode])
        .run();
    watch.assert_silent_success();
}

/// The lines of a file, of which the last is whole.
pub fn lines_in(scene: &Scene, name: &str) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(scene.home().join(name)).unwrap_or_default();
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "half a line");
    published_lines(&bytes)
}

/// How many whole lines are in a file that is being written.
pub fn count_lines(scene: &Scene, name: &str) -> usize {
    let bytes = std::fs::read(scene.home().join(name)).unwrap_or_default();
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// Waits until so many lines are in a file.
#[track_caller]
pub fn wait_lines(scene: &Scene, name: &str, count: usize) {
    wait_until(&format!("{count} lines are in {name}"), || {
        count_lines(scene, name) >= count
    });
}

/// Where a crash hurts most on the way from Redis into a file and back.
pub const PLACES: [&str; 3] = ["output-written", "place-written", "block-written"];
pub const SIGABRT: i32 = -6;

#[test]
fn a_stream_is_read_from_its_start_and_on() {
    let scene = Scene::new();
    send(&scene, "stream", 0..500);
    let reader = subscribe(&scene, &["--mode", "stream"]).spawn();
    wait_until("what is there is printed", || {
        reader.stdout() == text(0..500).as_bytes()
    });
    send(&scene, "stream", 500..501);
    wait_until("what comes is printed", || {
        reader.stdout() == text(0..501).as_bytes()
    });
    let ended = reader.sigterm();
    ended.assert_success();
    let again = subscribe(&scene, &["--mode", "stream", "--count", "2"]).run();
    assert_eq!(again.stdout, text(0..2).into_bytes(), "everybody gets all");
}

#[test]
fn no_more_is_asked_for_than_is_wanted() {
    let scene = Scene::new();
    send(&scene, "stream", 0..1_000);
    let _: String = scene
        .redis
        .ask(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    for count in ["1", "200", "201"] {
        let args = ["--mode", "stream", "--from", "start", "--count", count];
        let ended = subscribe(&scene, &args).run();
        assert_eq!(published_lines(&ended.stdout).len().to_string(), count);
    }
    let commands: Vec<(u64, u64, u64, Vec<String>, String, String)> =
        scene.redis.ask(&["SLOWLOG", "GET", "-1"]);
    let words = commands.iter().map(|(_, _, _, words, ..)| words.join(" "));
    let reads: Vec<_> = words.filter(|words| words.starts_with("XREAD ")).collect();
    assert!(reads.len() >= 3, "{reads:?}");
    // To Redis that is: without end.
    let is_endless = |read: &&String| read.starts_with("XREAD COUNT 0 ");
    assert_eq!(reads.iter().find(is_endless), None, "{reads:?}");
}

#[test]
fn from_end_begins_behind_what_is_there() {
    let scene = Scene::new();
    send(&scene, "stream", 0..10);
    let reader = subscribe(&scene, &["--mode", "stream", "--from", "end"]).spawn();
    wait_until("it reads", || {
        let clients: String = scene.redis.ask(&["CLIENT", "LIST"]);
        clients.contains("cmd=xread")
    });
    send(&scene, "stream", 10..12);
    wait_until("what comes is printed", || {
        reader.stdout() == text(10..12).as_bytes()
    });
    reader.sigterm();
}

#[test]
fn type_and_count_hold_for_streams_too() {
    let scene = Scene::new();
    for (n, kind) in ["INFO", "ERROR", "INFO", "ERROR", "ERROR"]
        .into_iter()
        .enumerate()
    {
        scene.append("app.log", format!("{{\"type\":\"{kind}\",\"n\":{n}}}\n"));
    }
    send(&scene, "stream", 0..0);
    let args = ["--mode", "stream", "--type", "ERROR", "--count", "2"];
    let ended = subscribe(&scene, &args).run();
    assert_eq!(
        String::from_utf8_lossy(&ended.stdout),
        "{\"type\":\"ERROR\",\"n\":1}\n{\"type\":\"ERROR\",\"n\":3}\n"
    );
}

#[test]
fn older_entries_are_read_and_foreign_ones_are_passed_over() {
    let scene = Scene::new();
    let add = |fields: &[&str]| {
        let _: String = scene.redis.ask(&[&["XADD", "logs", "*"], fields].concat());
    };
    add(&[
        "line", "old", "type", "INFO", "source", "h:/a", "offset", "4",
    ]);
    add(&["message", "not ours"]);
    add(&["line", "bare"]);
    let args = ["--mode", "stream", "--output", "out", "--count", "2"];
    let ended = subscribe(&scene, &args).run();
    assert_eq!(ended.code, 0);
    assert!(
        ended.stderr.contains("has no field \"line\""),
        "{}",
        ended.stderr
    );
    assert_exactly(&["old", "bare"], &lines_in(&scene, "out"));
}

#[test]
fn what_is_no_stream_and_what_is_no_list_is_named() {
    let scene = Scene::new();
    send(&scene, "list", 0..1);
    for args in [
        &["--mode", "stream"][..],
        &["--mode", "stream", "--group", "g"],
    ] {
        let ended = subscribe(&scene, args).run();
        ended.assert_fails(1, &["logs is not a stream", "--mode list"]);
    }
    let _: String = scene.redis.ask(&["XADD", "other", "*", "line", "x"]);
    let ended = subscribe(&scene, &["--mode", "list", "other"]).run();
    ended.assert_fails(1, &["other is not a list", "--mode stream"]);
}

#[test]
fn a_crash_at_any_place_leaves_each_line_once_in_the_file() {
    if !cfg!(debug_assertions) {
        return skip("a release build has no crash points");
    }
    let scene = Scene::new();
    let args = ["--mode", "stream", "--output", "out"];
    let mut sent = 0;
    for place in PLACES.into_iter().chain(PLACES) {
        send(&scene, "stream", sent..sent + 1000);
        sent += 1000;
        for _ in 0..2 {
            let crash = subscribe(&scene, &args)
                .env("TAILCAST_CRASH_AT", place)
                .run();
            assert_eq!(crash.code, SIGABRT, "it crashes at {place}: {crash:?}");
        }
    }
    let reader = subscribe(&scene, &args).spawn();
    wait_lines(&scene, "out", sent);
    reader.sigterm();
    assert_exactly(&lines(0..sent), &lines_in(&scene, "out"));
}

#[test]
fn kills_of_reader_watcher_and_redis_leave_each_line_once_in_the_file() {
    let keeps_all = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut scene = Scene::with(Redis::start_with(&keeps_all));
    let (mut rng, total) = (fastrand::Rng::with_seed(11), 60_000);
    let args = ["--mode", "stream", "--output", "out"];
    let watch = |scene: &Scene| scene.watch("app.log").args(["--mode", "stream"]).spawn();
    let (mut watcher, mut reader) = (None, None);
    for (round, start) in (0..total).step_by(total / 30).enumerate() {
        scene.append("app.log", text(start..start + total / 30));
        let seen = std::fs::metadata(scene.home().join("out")).map_or(0, |file| file.len());
        watcher.get_or_insert_with(|| watch(&scene));
        reader.get_or_insert_with(|| subscribe(&scene, &args).spawn());
        wait_until("lines come", || {
            std::fs::metadata(scene.home().join("out")).map_or(0, |file| file.len()) > seen
        });
        if rng.bool() {
            watcher.take().map(Process::sigkill);
        }
        if round % 10 == 9 {
            scene.redis.kill();
            scene.redis.restart();
        }
        reader.take().map(Process::sigkill);
    }
    let (_watcher, reader) = (watch(&scene), subscribe(&scene, &args).spawn());
    wait_lines(&scene, "out", total);
    reader.sigterm();
    assert_exactly(&lines(0..total), &lines_in(&scene, "out"));
}

#[test]
fn lines_that_are_sent_again_after_a_loss_are_not_in_the_file_twice() {
    let scene = Scene::new();
    send(&scene, "stream", 0..100);
    let args = |count| ["--mode", "stream", "--output", "out", "--count", count];
    subscribe(&scene, &args("100")).run();
    // Redis has lost the end, the record with it, so the watcher sends it again.
    let log: Vec<(String, Vec<String>)> =
        scene
            .redis
            .ask(&["XREVRANGE", "logs", "+", "-", "COUNT", "30"]);
    for (id, fields) in log.into_iter().rev() {
        let _: usize = scene.redis.ask(&["XDEL", "logs", &id]);
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let _: String = scene
            .redis
            .ask(&[&["XADD", "logs", "*"], &fields[..]].concat());
    }
    send(&scene, "stream", 100..110);
    let ended = subscribe(&scene, &args("10")).run();
    assert!(
        ended.stderr.contains("was sent again from generation "),
        "{}",
        ended.stderr
    );
    assert_exactly(&lines(0..110), &lines_in(&scene, "out"));
}

#[test]
fn a_stream_that_is_removed_and_made_anew_is_read_from_its_start() {
    let scene = Scene::new();
    let add = |id: &str, line: &str| {
        let _: String = scene.redis.ask(&["XADD", "logs", id, "line", line]);
    };
    add("9999999999999-5", "of the old one");
    let args = ["--mode", "stream", "--output", "out", "--count", "1"];
    subscribe(&scene, &args).run();
    let _: usize = scene.redis.ask(&["DEL", "logs"]);
    add("7-1", "of the new one");
    let ended = subscribe(&scene, &args).run();
    assert!(
        ended.stderr.contains("reading it from its start"),
        "{}",
        ended.stderr
    );
    assert_exactly(
        &["of the old one", "of the new one"],
        &lines_in(&scene, "out"),
    );
}

#[test]
fn a_redis_that_goes_and_comes_back_is_waited_for() {
    let keeps_all = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut scene = Scene::with(Redis::start_with(&keeps_all));
    send(&scene, "stream", 0..10);
    let reader = subscribe(&scene, &["--mode", "stream"]).spawn();
    wait_until("it prints", || reader.stdout() == text(0..10).as_bytes());
    scene.redis.kill();
    reader.wait_says("trying again");
    scene.redis.restart();
    send(&scene, "stream", 10..20);
    wait_until("it goes on", || reader.stdout() == text(0..20).as_bytes());
    assert!(reader.sigterm().stderr.contains("reading again after"));
}
