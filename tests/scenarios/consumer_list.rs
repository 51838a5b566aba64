//! Consumers of a list: what is taken is in a list of the consumer's own until it is out.

use super::consumer_stream::{PLACES, SIGABRT, lines_in, send, subscribe, wait_lines};
use crate::util::*;

fn consumer(scene: &Scene, name: &str, args: &[&str]) -> Tailcast {
    subscribe(scene, &["--mode", "list", "--consumer", name]).args(args)
}

const TURN: &str = "tailcast:turn:{logs}:a";

fn in_hand(scene: &Scene, name: &str) -> usize {
    let key = format!("tailcast:taken:{{logs}}:{name}");
    scene.redis.ask(&["LLEN", &key])
}

#[test]
fn a_list_is_emptied_in_order() {
    let scene = Scene::new();
    send(&scene, "list", 0..3000);
    let reader = consumer(&scene, "a", &[]).spawn();
    wait_until("all is printed", || {
        reader.stdout() == text(0..3000).as_bytes()
    });
    send(&scene, "list", 3000..3001);
    wait_until("what comes is printed", || {
        reader.stdout() == text(0..3001).as_bytes()
    });
    let ended = reader.sigterm();
    ended.assert_success();
    assert_eq!((scene.redis.count("list"), in_hand(&scene, "a")), (0, 0));
}

#[test]
fn count_takes_no_more_than_it_prints() {
    let scene = Scene::new();
    send(&scene, "list", 0..1000);
    let ended = consumer(&scene, "a", &["--count", "700"]).run();
    assert_eq!(ended.stdout, text(0..700).into_bytes());
    assert_eq!((scene.redis.count("list"), in_hand(&scene, "a")), (300, 0));
}

#[test]
fn a_crash_at_any_place_leaves_each_line_once_in_the_file() {
    if !cfg!(debug_assertions) {
        return skip("a release build has no crash points");
    }
    let scene = Scene::new();
    let mut sent = 0;
    let places =
        PLACES
            .into_iter()
            .chain(["before-hold", "before-acknowledge", "after-acknowledge"]);
    for place in places {
        // The same line over and over, too: no block is told by what is in it.
        scene.append("app.log", "{\"type\":\"INFO\"}\n".repeat(500));
        send(&scene, "list", sent..sent + 500);
        sent += 500;
        for _ in 0..2 {
            let crash = consumer(&scene, "a", &["--output", "out"])
                .env("TAILCAST_CRASH_AT", place)
                .run();
            assert_eq!(crash.code, SIGABRT, "it crashes at {place}: {crash:?}");
        }
    }
    let reader = consumer(&scene, "a", &["--output", "out"]).spawn();
    wait_lines(&scene, "out", 2 * sent);
    reader.sigterm();
    let log = published_lines(&scene.read("app.log"));
    assert_exactly(&log, &lines_in(&scene, "out"));
    assert_eq!((scene.redis.count("list"), in_hand(&scene, "a")), (0, 0));
}

#[test]
fn three_consumers_that_are_killed_have_each_line_once_in_their_files() {
    let scene = Scene::new();
    let (names, total) = (["a", "b", "c"], 30_000);
    send(&scene, "list", 0..total);
    let mut group = names.map(|name| consumer(&scene, name, &["--output", name]).spawn());
    let size = || {
        let bytes = names
            .map(|name| std::fs::metadata(scene.home().join(name)).map_or(0, |file| file.len()));
        bytes.iter().sum::<u64>()
    };
    for round in 0..12 {
        let seen = size();
        wait_until("lines come", || {
            size() > seen || scene.redis.count("list") == 0
        });
        let victim = round % names.len();
        signal(group[victim].pid(), "KILL");
        // Only when the old one is gone its file is free.
        wait_until("it is gone", || !group[victim].running());
        let args = ["--output", names[victim]];
        group[victim] = consumer(&scene, names[victim], &args).spawn();
    }
    wait_until("all is out", || size() >= text(0..total).len() as u64);
    group.into_iter().for_each(|process| _ = process.sigterm());
    let mut all = names.map(|name| lines_in(&scene, name)).concat();
    all.sort();
    let mut written = lines(0..total);
    written.sort();
    assert_exactly(&written, &all);
}

#[test]
fn what_was_left_in_hand_comes_first() {
    let scene = Scene::new();
    let own = "tailcast:taken:{logs}:a";
    for (key, line) in [(own, "left"), (own, "too"), ("logs", "next")] {
        let _: usize = scene.redis.ask(&["RPUSH", key, line]);
    }
    let reader = consumer(&scene, "a", &[]).spawn();
    wait_until("all is printed", || reader.stdout() == b"left\ntoo\nnext\n");
    wait_until("all is removed", || in_hand(&scene, "a") == 0);
    // As by the last command of a predecessor, from a socket that Redis reads late.
    let _: usize = scene.redis.ask(&["RPUSH", own, "late"]);
    let _: usize = scene.redis.ask(&["RPUSH", "logs", "last"]);
    wait_until("it is not forgotten", || reader.stdout().len() >= 24);
    assert_eq!(reader.sigterm().stdout, b"left\ntoo\nnext\nlate\nlast\n");
    assert_eq!(in_hand(&scene, "a"), 0);
}

#[test]
fn of_two_with_the_same_name_the_first_gives_way() {
    let scene = Scene::new();
    let first = consumer(&scene, "a", &[]).spawn();
    send(&scene, "list", 0..1);
    wait_until("the first one takes", || !first.stdout().is_empty());
    let before: String = scene.redis.ask(&["GET", TURN]);
    let second = consumer(&scene, "a", &[]).spawn();
    wait_until("the second one has taken over", || {
        scene.redis.ask::<String>(&["GET", TURN]) != before
    });
    let ended = {
        let mut n = 1;
        let mut first = first;
        wait_until("the first one has noticed", || {
            send(&scene, "list", n..n + 1);
            n += 1;
            !first.running()
        });
        first.finish()
    };
    ended.assert_fails(75, &["another subscriber took over", "--consumer"]);
    second.sigterm();
}

#[test]
fn a_turn_expires_where_nothing_is_in_hand_and_stays_where_something_is() {
    if !cfg!(debug_assertions) {
        return skip("a release build has no crash points");
    }
    let scene = Scene::new();
    let ttl = || scene.redis.ask::<i64>(&["TTL", TURN]);
    for place in ["output-written", "before-acknowledge"] {
        for waits in [true, false] {
            let reader = consumer(&scene, "a", &["--output", "out"]);
            let reader = reader.env("TAILCAST_CRASH_AT", place);
            let crash = if waits {
                let reader = reader.spawn();
                wait_until("it waits", || ttl() > 0);
                send(&scene, "list", 0..1);
                reader.finish()
            } else {
                send(&scene, "list", 0..1);
                reader.run()
            };
            assert_eq!(crash.code, SIGABRT, "{crash:?}");
            assert_eq!((in_hand(&scene, "a"), ttl()), (1, -1), "{place}");
            let reader = consumer(&scene, "a", &["--output", "out"]).spawn();
            wait_until("its hand is empty", || in_hand(&scene, "a") == 0);
            wait_until("its turn expires", || (1..=30 * 86_400).contains(&ttl()));
            reader.sigterm().assert_success();
        }
    }
    assert_eq!(lines_in(&scene, "out").len(), 4);
}

#[test]
fn a_consumer_whose_turn_has_expired_goes_on_and_says_nothing_of_it() {
    let scene = Scene::new();
    let expire = || {
        let has_turn = || scene.redis.ask::<i64>(&["TTL", TURN]) > 0;
        wait_until("its hand is empty", has_turn);
        let _: usize = scene.redis.ask(&["DEL", TURN]);
    };
    send(&scene, "list", 0..500);
    let args = ["--output", "out"];
    for sent in [1000, 1500] {
        let reader = consumer(&scene, "a", &args).spawn();
        wait_lines(&scene, "out", sent - 500);
        // While it waits, and while it is away.
        expire();
        send(&scene, "list", sent - 500..sent);
        wait_lines(&scene, "out", sent);
        reader.sigterm().assert_success();
        expire();
    }
    let reader = consumer(&scene, "a", &args).spawn();
    send(&scene, "list", 1500..1501);
    wait_lines(&scene, "out", 1501);
    reader.sigterm().assert_success();
    assert_exactly(&lines(0..1501), &lines_in(&scene, "out"));
}

#[test]
fn what_is_in_hand_under_a_turn_that_is_gone_is_not_taken_for_what_the_file_has() {
    let scene = Scene::new();
    send(&scene, "list", 0..1);
    let args = ["--output", "out", "--count", "1"];
    consumer(&scene, "a", &args).run().assert_success();
    let _: usize = scene.redis.ask(&["DEL", TURN]);
    let own = "tailcast:taken:{logs}:a";
    let _: usize = scene.redis.ask(&["RPUSH", own, "left"]);
    let ended = consumer(&scene, "a", &args).run();
    assert!(ended.stderr.contains("may be repeated"), "{ended:?}");
    assert_eq!(lines_in(&scene, "out")[1], b"left");
}
