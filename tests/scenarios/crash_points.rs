//! The program crashes at each of the places where it hurts most, which debug builds offer by name.

use crate::util::*;

const PLACES: [&str; 5] = [
    "before-send",
    "before-exec",
    "between-send-and-reply",
    "after-reply",
    "checkpoint-temp-written",
];
const SIGABRT: i32 = -6;

/// Crashes at a place in mid-work, goes on without, and everything is there once.
fn crash_at(place: &str, mode: &str, args: &[&str]) {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let arrived = || scene.arrived(mode, &oracle);
    // Once from nothing, and again from a position.
    for part in [0..25, 25..50] {
        scene.append("app.log", text(part));
        let crashing = scene
            .watch("app.log")
            .args(["--mode", mode])
            .args(args)
            .env("TAILCAST_CRASH_AT", place)
            .run();
        assert_eq!(
            crashing.code, SIGABRT,
            "it crashes at {place}: {crashing:?}"
        );
    }
    let run = scene
        .watch("app.log")
        .args(["--once", "--mode", mode])
        .args(args)
        .run();
    assert_eq!(run.code, 0, "{place}: {}", run.stderr);
    assert_exactly(&lines(0..50), &arrived());
    assert_eq!(scene.offset("app.log"), text(0..50).len() as u64);
    for entry in std::fs::read_dir(scene.state_dir())
        .expect("list")
        .flatten()
    {
        let name = entry.file_name().into_string().expect("UTF-8");
        assert!(
            name.ends_with(".checkpoint") || name.ends_with(".lock") || name == "identity",
            "{place} leaves {name} behind"
        );
    }
}

#[test]
fn a_crash_at_any_place_is_exactly_once() {
    if !cfg!(debug_assertions) {
        return skip("a release build has no crash points");
    }
    for place in PLACES {
        for mode in ["pubsub", "list", "stream"] {
            crash_at(place, mode, &[]);
        }
    }
}

#[test]
fn a_crash_at_any_place_between_small_batches_is_exactly_once() {
    if !cfg!(debug_assertions) {
        return skip("a release build has no crash points");
    }
    for place in PLACES {
        crash_at(
            place,
            "pubsub",
            &["--batch-lines", "3", "--checkpoint-lines", "1"],
        );
    }
}

#[test]
fn a_release_build_has_no_crash_points() {
    if cfg!(debug_assertions) {
        return;
    }
    let scene = Scene::new();
    scene.append("app.log", text(0..10));
    for place in PLACES {
        scene
            .watch("app.log")
            .arg("--once")
            .env("TAILCAST_CRASH_AT", place)
            .run()
            .assert_silent_success();
    }
}
