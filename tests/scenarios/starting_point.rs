//! Where a watcher begins: `--from` counts once, `--reset` forgets.

use std::time::Duration;

use crate::util::*;

#[test]
fn from_end_skips_what_is_there() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    scene
        .watch("app.log")
        .args(["--once", "--from", "end"])
        .run()
        .assert_silent_success();
    assert_eq!(oracle.settle().len(), 0);
    scene.append("app.log", text(10..12));
    // It only counts where there is neither checkpoint nor record.
    scene
        .watch("app.log")
        .args(["--once", "--from", "end"])
        .run()
        .assert_silent_success();
    assert_exactly(&lines(10..12), &oracle.settle());
}

#[test]
fn from_end_does_not_begin_within_a_line() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let whole = line(1);
    let (half, rest) = whole.split_at(9);
    scene.append("app.log", text(0..1) + half);
    scene
        .watch("app.log")
        .args(["--once", "--from", "end"])
        .run()
        .assert_silent_success();
    scene.append("app.log", format!("{rest}\n{}", text(2..3)));
    scene.once("app.log");
    let arrived = oracle.settle();
    // The line that was half there may count as old or as new, but is never published as a half.
    assert!(
        arrived == [line(2).into_bytes()]
            || arrived == [line(1).into_bytes(), line(2).into_bytes()]
    );
}

#[test]
fn reset_begins_anew() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    scene.once("app.log");
    scene
        .watch("app.log")
        .args(["--once", "--reset"])
        .run()
        .assert_silent_success();
    assert_exactly(&[lines(0..10), lines(0..10)].concat(), &oracle.settle());
    scene.once("app.log");
    assert_eq!(oracle.settle().len(), 20, "and is over with that");
}

#[test]
fn reset_from_end_forgets_the_backlog() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    scene.once("app.log");
    scene.append("app.log", text(10..20));
    scene
        .watch("app.log")
        .args(["--once", "--reset", "--from", "end"])
        .run()
        .assert_silent_success();
    scene.append("app.log", text(20..21));
    scene.once("app.log");
    assert_exactly(&[lines(0..10), lines(20..21)].concat(), &oracle.settle());
}

#[test]
fn reset_of_one_file_leaves_the_others_alone() {
    let scene = Scene::new();
    scene.append("one.log", text(0..5));
    scene.append("two.log", text(5..10));
    scene.once("one.log");
    scene.once("two.log");
    let oracle = scene.subscriber();
    scene
        .watch("one.log")
        .args(["--once", "--reset"])
        .run()
        .assert_silent_success();
    scene.once("two.log");
    assert_exactly(&lines(0..5), &oracle.settle());
}

#[test]
fn holes_among_the_files_from_before_the_first_start_are_nobodys_business() {
    for older in ["app.log.2", "app.log.20260101"] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        scene.append(older, text(0..3));
        scene.age(older, Duration::from_secs(60));
        scene.append("app.log", text(3..6));
        scene.once("app.log");
        assert_exactly(&lines(3..6), &oracle.settle());
    }
}
