//! What can no longer be read is said, with path, generation, offset and bytes, and is counted in `status`; what can be
//! read is never said to be missing.

use std::fs;

use serde_json::Value;

use crate::util::*;

/// Ten lines published, and nobody watches.
fn begin() -> (Scene, Subscriber) {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    scene.once("app.log");
    (scene, oracle)
}

fn end_of(n: usize) -> String {
    text(0..n).len().to_string()
}

/// Runs `--once`, which must say one gap from behind the first ten lines, and then publish `rest`.
#[track_caller]
fn says_a_gap(scene: &Scene, oracle: &Subscriber, rest: std::ops::Range<usize>) -> String {
    let run = scene.watch("app.log").arg("--once").run();
    assert_eq!(run.code, 0, "{}", run.stderr);
    let path = scene.path("app.log");
    assert_one_gap(
        &run.stderr,
        &[
            path.to_str().expect("UTF-8"),
            "generation 0",
            &format!("offset {}", end_of(10)),
        ],
    );
    assert_exactly(&lines((0..10).chain(rest)), &oracle.settle());
    // It is said once.
    scene.once("app.log");
    run.stderr
}

fn status(scene: &Scene) -> Value {
    let run = scene
        .tailcast(&[
            "status",
            "--json",
            "--redis",
            &scene.redis.url(),
            "--state-dir",
        ])
        .arg(scene.state_dir())
        .arg(scene.path("app.log"))
        .run();
    let value: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    value.get(0).cloned().unwrap_or(value)
}

#[test]
fn a_log_that_was_removed_with_lines_unread_is_a_gap() {
    let (scene, oracle) = begin();
    scene.append("app.log", text(10..20));
    scene.remove("app.log");
    scene.append("app.log", text(20..30));
    says_a_gap(&scene, &oracle, 20..30);
    assert_eq!(status(&scene)["gaps"].as_u64(), Some(1));
}

#[test]
fn a_rotated_file_that_was_removed_unread_is_a_gap() {
    let (scene, oracle) = begin();
    scene.append("app.log", text(10..20));
    scene.rotate("app.log");
    scene.append("app.log", text(20..30));
    scene.remove("app.log.1");
    says_a_gap(&scene, &oracle, 20..30);
}

#[test]
fn a_file_between_two_rotated_ones_that_was_removed_is_a_gap() {
    for absence in [Absence::Frozen, Absence::Killed] {
        println!("{absence:?}");
        let scene = Scene::new();
        let oracle = scene.subscriber();
        scene.append("app.log", text(0..10));
        let watcher = scene.watch("app.log").spawn();
        oracle.wait_for(10);
        let happen = || {
            for round in 1..4 {
                scene.append("app.log", text(round * 10..round * 10 + 10));
                scene.rotate("app.log");
            }
            // app.log.3 is the one that was being read, app.log.2 is of nobody's knowledge.
            scene.remove("app.log.2");
            scene.append("app.log", text(40..50));
        };
        let watcher = if absence == Absence::Frozen {
            watcher.signal("STOP");
            happen();
            watcher.signal("CONT");
            watcher
        } else {
            watcher.sigkill();
            happen();
            scene.watch("app.log").spawn()
        };
        oracle.wait_for_line(line(49));
        let ended = watcher.sigterm();
        let kept = lines((0..20).chain(30..50));
        assert_exactly(&kept, &oracle.settle());
        let path = scene.path("app.log");
        assert_one_gap(&ended.stderr, &[path.to_str().expect("UTF-8")]);
    }
}

#[test]
fn a_log_that_was_truncated_for_good_with_lines_unread_is_a_gap() {
    let (scene, oracle) = begin();
    scene.append("app.log", text(10..20));
    fs::write(scene.path("app.log"), text(20..25)).expect("write");
    says_a_gap(&scene, &oracle, 20..25);
}

#[test]
fn a_log_that_is_emptied_once_all_of_it_was_read_is_no_gap() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene.watch("app.log").spawn();
    for round in 1..4 {
        oracle.wait_for(round * 10);
        fs::write(scene.path("app.log"), "").expect("truncate");
        scene.append("app.log", text(round * 10..round * 10 + 10));
    }
    oracle.wait_for(40);
    let ended = watcher.sigterm();
    assert_eq!(gaps(&ended.stderr), Vec::<&str>::new());
    assert_exactly(&lines(0..40), &oracle.settle());
}

/// The number behind a word.
#[track_caller]
fn number_behind(said: &str, word: &str) -> u64 {
    let (_, rest) = said.split_once(word).unwrap_or_else(|| panic!("{said}"));
    let digits: String = rest
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap_or_else(|_| panic!("{said}"))
}

#[test]
fn what_was_seen_and_then_truncated_is_a_gap_of_so_many_bytes() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(10);
    scene.redis.stop();
    scene.append("app.log", text(10..30_000));
    // It has the file open, goes on looking at it, and does not read it to its end while no batch is taken.
    watcher.wait_complains();
    let size = scene.read("app.log").len() as u64;
    fs::write(scene.path("app.log"), "").expect("truncate");
    scene.redis.cont();
    scene.append("app.log", text(30_000..30_010));
    oracle.wait_for_line(line(30_009));
    let ended = watcher.sigterm();
    let path = scene.path("app.log");
    assert_one_gap(&ended.stderr, &[path.to_str().expect("UTF-8"), " bytes"]);
    let gap = gaps(&ended.stderr)[0];
    let from = number_behind(gap, "offset");
    let bytes = number_behind(gap, &format!("offset {from}"));
    assert_eq!(from + bytes, size, "{gap}");
    let said = status(&scene);
    assert_eq!(
        (said["gaps"].as_u64(), said["gap_bytes"].as_u64()),
        (Some(1), Some(bytes))
    );
}

#[test]
fn what_rotates_while_redis_is_away_is_held_before_it_is_removed() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(10);
    scene.redis.stop();
    scene.append("app.log", text(10..20));
    watcher.wait_complains();
    for round in 2..5 {
        scene.rotate("app.log");
        scene.append("app.log", text(round * 10..round * 10 + 10));
        let live = scene.path("app.log").canonicalize().expect("a path");
        wait_until("the new file is open", || {
            watcher.open_files().contains(&live)
        });
    }
    for n in 1..4 {
        scene.remove(&format!("app.log.{n}"));
    }
    scene.redis.cont();
    oracle.wait_for_line(line(49));
    let ended = watcher.sigterm();
    assert_exactly(&lines(0..50), &oracle.settle());
    assert_no_gap(&ended);
}

#[test]
fn a_removed_file_that_is_held_is_read() {
    // Whether there was another one between it and its successor is not known, and may be said.
    for absence in [Absence::Frozen, Absence::RedisAway] {
        play_unseen(
            absence,
            |scene| scene.watch("app.log"),
            |scene| {
                scene.append("app.log", text(0..10));
                10
            },
            |scene| {
                scene.append("app.log", text(10..20));
                scene.rotate("app.log");
                scene.append("app.log", text(20..30));
                scene.remove("app.log.1");
                30
            },
        );
    }
}

#[test]
fn files_that_were_read_and_then_removed_are_no_gap() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(10);
    for round in 1..8 {
        scene.rotate("app.log");
        scene.append("app.log", text(round * 10..round * 10 + 10));
        oracle.wait_for(round * 10 + 10);
        // As `rotate 2` does.
        let _ = fs::remove_file(scene.path("app.log.3"));
    }
    watcher.sigterm();
    scene.remove("app.log.2");
    scene.append("app.log", text(80..90));
    scene.once("app.log");
    assert_exactly(&lines(0..90), &oracle.settle());
    let none = status(&scene);
    assert_eq!(
        (none["gaps"].as_u64(), none["gap_bytes"].as_u64()),
        (Some(0), Some(0)),
        "{none}"
    );
}

#[test]
fn a_gap_of_one_file_stops_no_other() {
    let (scene, oracle) = begin();
    scene.append("other.log", text(100..110));
    scene.remove("app.log");
    scene.append("app.log", text(20..30));
    let run = scene
        .watch("app.log")
        .arg(scene.path("other.log"))
        .arg("--once")
        .run();
    assert_eq!(run.code, 0, "{}", run.stderr);
    let arrived = oracle.settle();
    assert_eq!(arrived.len(), 30);
    assert!(gaps(&run.stderr).iter().all(|l| !l.contains("other.log")));
}
