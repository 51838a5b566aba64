//! `--output FILE`: rotated, truncated, held by another, of another stream.

use std::fs;

use super::consumer_stream::{SIGABRT, lines_in, send, subscribe, wait_lines};
use crate::util::*;

const ARGS: [&str; 4] = ["--mode", "stream", "--output", "out"];

#[test]
fn a_rotated_file_is_left_and_a_new_one_gets_what_comes() {
    let scene = Scene::new();
    let reader = subscribe(&scene, &ARGS).spawn();
    let path = |name: &str| scene.home().join(name);
    for (n, creates) in [(0, false), (1, true), (2, false)] {
        send(&scene, "stream", n * 100..n * 100 + 100);
        wait_lines(&scene, "out", 100);
        fs::rename(path("out"), path(&format!("out.{n}"))).expect("rotate");
        if creates {
            fs::write(path("out"), "").expect("create");
        }
        wait_until("the new file is there, and the old one is closed", || {
            let open = reader.open_files();
            path("out").exists() && open.iter().all(|file| !file.ends_with(format!("out.{n}")))
        });
    }
    reader.sigterm();
    let names = ["out.0", "out.1", "out.2", "out"];
    assert_exactly(
        &lines(0..300),
        &names.map(|name| lines_in(&scene, name)).concat(),
    );
}

#[test]
fn a_file_that_is_rotated_after_a_crash_is_cut_back_where_it_is_now() {
    if !cfg!(debug_assertions) {
        return skip("a release build has no crash points");
    }
    let scene = Scene::new();
    for n in 0..4 {
        send(&scene, "stream", n * 100..n * 100 + 100);
        let crash = subscribe(&scene, &ARGS)
            .env("TAILCAST_CRASH_AT", "output-written")
            .run();
        assert_eq!(crash.code, SIGABRT);
        wait_lines(&scene, "out", 1);
        let path = |name: &str| scene.home().join(name);
        fs::rename(path("out"), path(&format!("out.{n}"))).expect("rotate");
    }
    let reader = subscribe(&scene, &ARGS).spawn();
    wait_lines(&scene, "out", 400);
    reader.sigterm();
    assert_exactly(&lines(0..400), &lines_in(&scene, "out"));
    for n in 0..4 {
        assert_eq!(lines_in(&scene, &format!("out.{n}")).len(), 0, "out.{n}");
    }
}

#[test]
fn a_truncated_file_goes_on_and_that_is_said() {
    let scene = Scene::new();
    let reader = subscribe(&scene, &ARGS).spawn();
    send(&scene, "stream", 0..100);
    wait_lines(&scene, "out", 100);
    fs::write(scene.home().join("out"), "").expect("truncate");
    send(&scene, "stream", 100..200);
    reader.wait_says("somebody has truncated it");
    wait_lines(&scene, "out", 100);
    reader.sigterm();
    assert_exactly(&lines(100..200), &lines_in(&scene, "out"));
}

#[test]
fn what_a_file_held_before_stays_and_is_not_glued_to_a_line() {
    let scene = Scene::new();
    for mode in ["stream", "list"] {
        let _: usize = scene.redis.ask(&["DEL", "logs"]);
        fs::write(scene.home().join("out"), "before").expect("write");
        let _ = fs::remove_file(scene.home().join("out.place"));
        send(&scene, mode, 2..4);
        let args = ["--mode", mode, "--output", "out", "--count", "2"];
        assert_eq!(subscribe(&scene, &args).run().code, 0);
        assert_eq!(lines_in(&scene, "out").len(), 3);
        assert_eq!(lines_in(&scene, "out")[0], b"before");
    }
}

#[test]
fn a_file_that_another_holds_is_refused() {
    let scene = Scene::new();
    let holder = subscribe(&scene, &ARGS).spawn();
    send(&scene, "stream", 0..1);
    wait_lines(&scene, "out", 1);
    for mode in ["stream", "list", "pubsub"] {
        let second = subscribe(&scene, &["--mode", mode, "--output", "out"]).run();
        second.assert_fails(75, &["out: another subscribe appends to it", "out.lock"]);
    }
    holder.sigkill();
    let mut next = subscribe(&scene, &ARGS).spawn();
    send(&scene, "stream", 1..2);
    wait_lines(&scene, "out", 2);
    assert!(next.running(), "what a killed one held is free");
    next.sigterm();
}

#[test]
fn a_place_of_something_else_is_refused_with_the_way_out() {
    let scene = Scene::new();
    send(&scene, "stream", 0..1);
    subscribe(&scene, &ARGS).arg("--count").arg("1").run();
    for args in [
        &["--mode", "stream", "other"][..],
        &["--mode", "stream", "--group", "g"],
        &["--mode", "list"],
    ] {
        let ended = subscribe(&scene, args).args(["--output", "out"]).run();
        ended.assert_fails(
            1,
            &[
                "out.place: it is of stream logs, not of ",
                "delete the place",
            ],
        );
    }
    fs::write(scene.home().join("out.place"), "rubbish\n").expect("write");
    let ended = subscribe(&scene, &ARGS).run();
    ended.assert_fails(1, &["out.place: its first line", "delete the place"]);
    for (path, why) in [(".", "not a regular file"), ("no/such/out", "open lock")] {
        let ended = subscribe(&scene, &["--mode", "stream", "--output", path]).run();
        ended.assert_fails(1, &[why]);
    }
}

#[test]
fn what_is_published_is_appended_and_the_file_may_be_rotated() {
    let scene = Scene::new();
    let reader = subscribe(&scene, &["--output", "out"]).spawn();
    wait_until("it subscribes", || {
        scene.redis.ask::<usize>(&["PUBSUB", "NUMPAT"]) == 1
    });
    send(&scene, "pubsub", 0..100);
    wait_lines(&scene, "out", 100);
    fs::rename(scene.home().join("out"), scene.home().join("out.1")).expect("rotate");
    send(&scene, "pubsub", 100..200);
    wait_lines(&scene, "out", 100);
    let ended = reader.sigterm();
    assert_eq!(ended.stdout, b"");
    assert_exactly(
        &lines(0..200),
        &["out.1", "out"].map(|name| lines_in(&scene, name)).concat(),
    );
    assert!(
        !scene.home().join("out.place").exists(),
        "nothing is proven there"
    );
}

/// How many groups the stream has.
fn groups(scene: &Scene) -> usize {
    let groups: Vec<redis::Value> = scene.redis.ask(&["XINFO", "GROUPS", "logs"]);
    groups.len()
}

#[test]
fn what_a_group_beside_it_is_done_with_stays_until_the_file_has_it() {
    let scene = Scene::new();
    send(&scene, "stream", 0..1000);
    subscribe(&scene, &ARGS).args(["--count", "500"]).run();
    let beside = ["--mode", "stream", "--group", "mail", "--count", "1000"];
    subscribe(&scene, &beside).run();
    // The watcher takes away what all are done with.
    send(&scene, "stream", 1000..1001);
    assert!((501..=700).contains(&scene.redis.count("stream")));
    let reader = subscribe(&scene, &ARGS).spawn();
    wait_lines(&scene, "out", 1001);
    let ended = reader.sigterm();
    assert!(!ended.stderr.contains("missing"), "{}", ended.stderr);
    assert_exactly(&lines(0..1001), &lines_in(&scene, "out"));
    assert_eq!(groups(&scene), 2, "the file keeps its group");
}

#[test]
fn what_was_trimmed_before_it_was_read_is_said_and_nothing_else_is() {
    for kind in ["--no-group", "--format=raw"] {
        let scene = Scene::new();
        let trim = |keep: &str| {
            let _: usize = scene.redis.ask(&["XTRIM", "logs", "MAXLEN", keep]);
        };
        let reader = || subscribe(&scene, &ARGS).arg(kind);
        send(&scene, "stream", 0..100);
        assert_eq!(reader().args(["--count", "50"]).run().code, 0);
        trim("50");
        let ended = reader().args(["--count", "10"]).run();
        assert!(!ended.stderr.contains("missing"), "{}", ended.stderr);
        trim("30");
        let running = reader().spawn();
        running.wait_says("were trimmed or deleted before they were read");
        wait_lines(&scene, "out", 90);
        // Also while it reads: it is stopped, and what comes meanwhile goes again.
        running.signal("STOP");
        send(&scene, "stream", 100..200);
        trim("10");
        running.signal("CONT");
        wait_until("it is said again", || {
            running.stderr().matches("missing here").count() == 2
        });
        send(&scene, "stream", 200..201);
        wait_until("it goes on", || {
            lines_in(&scene, "out")
                .last()
                .is_some_and(|last| *last == line(200).as_bytes())
        });
        let ended = running.sigterm();
        assert_eq!(ended.stderr.matches("missing here").count(), 2);
        let own = usize::from(kind != "--no-group");
        assert_eq!(groups(&scene), own, "a group only where it is wanted");
    }
}
