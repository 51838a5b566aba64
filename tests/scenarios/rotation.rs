//! Rotation and truncation under a running watcher: what stays readable is published, once, in order.

use std::fs;
use std::io::Write;

use crate::util::*;

/// A watcher that has published the first ten lines of app.log.
fn begin(scene: &Scene, oracle: &Subscriber, args: &[&str]) -> Process {
    scene.append("app.log", text(0..10));
    let watcher = scene.watch("app.log").args(args).spawn();
    oracle.wait_for(10);
    watcher
}

#[test]
fn a_renamed_and_recreated_file_is_followed() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let watcher = begin(&scene, &oracle, &[]);
    scene.append("app.log", text(10..20));
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", text(20..30));
    scene.assert_arrives(watcher, &oracle, &lines(0..30));
    assert_eq!(
        (scene.offset("app.log"), scene.generation("app.log")),
        (text(20..30).len() as u64, 1)
    );
}

#[test]
fn a_truncated_copy_is_read_to_its_end_first() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let watcher = begin(&scene, &oracle, &[]);
    scene.append("app.log", text(10..20));
    scene.copytruncate("app.log", "app.log.1");
    scene.append("app.log", text(20..25));
    scene.assert_arrives(watcher, &oracle, &lines(0..25));
    assert_eq!(
        (scene.offset("app.log"), scene.generation("app.log")),
        (text(20..25).len() as u64, 1)
    );
}

#[test]
fn a_file_truncated_and_grown_past_the_offset_between_two_polls_is_noticed() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let watcher = begin(&scene, &oracle, &[]);
    // A stopped watcher sees nothing of what happens in between.
    watcher.signal("STOP");
    scene.append("app.log", text(10..12));
    scene.copytruncate("app.log", "app.log.1");
    scene.append("app.log", text(12..60));
    watcher.signal("CONT");
    scene.assert_arrives(watcher, &oracle, &lines(0..60));
}

#[test]
fn a_file_truncated_for_good_is_read_from_its_start() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let watcher = begin(&scene, &oracle, &[]);
    fs::write(scene.path("app.log"), "").expect("truncate");
    scene.append("app.log", text(10..13));
    scene.assert_arrives(watcher, &oracle, &lines(0..13));
}

fn several_rotations_between_two_polls(by_rename: fn(usize) -> bool) {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let watcher = begin(&scene, &oracle, &[]);
    watcher.signal("STOP");
    for round in 1..4 {
        scene.append("app.log", text(round * 10..round * 10 + 10));
        for n in (1..round).rev() {
            scene.rename(&format!("app.log.{n}"), &format!("app.log.{}", n + 1));
        }
        if by_rename(round) {
            scene.rename("app.log", "app.log.1");
        } else {
            scene.copytruncate("app.log", "app.log.1");
        }
    }
    scene.append("app.log", text(40..50));
    watcher.signal("CONT");
    scene.assert_arrives(watcher, &oracle, &lines(0..50));
}

#[test]
fn several_renames_between_two_polls_lose_nothing() {
    several_rotations_between_two_polls(|_| true);
}

#[test]
fn several_copytruncates_between_two_polls_lose_nothing() {
    several_rotations_between_two_polls(|_| false);
}

#[test]
fn rotations_of_both_styles_between_two_polls_lose_nothing() {
    several_rotations_between_two_polls(|round| round % 2 == 0);
    several_rotations_between_two_polls(|round| round % 2 == 1);
}

#[test]
fn a_copy_shorter_than_what_was_read_is_never_read_again() {
    // A writer that does not pause: what it writes between copy and truncate is read, and is in no copy.
    for restart in [false, true] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        let mut watcher = begin(&scene, &oracle, &[]);
        let mut written = 10;
        for _ in 0..4 {
            for n in (1..5)
                .rev()
                .filter(|n| scene.path(&format!("app.log.{n}")).exists())
            {
                scene.rename(&format!("app.log.{n}"), &format!("app.log.{}", n + 1));
            }
            fs::copy(scene.path("app.log"), scene.path("app.log.1")).expect("copy");
            scene.append("app.log", text(written..written + 3));
            oracle.wait_for_line(line(written + 2));
            fs::OpenOptions::new()
                .write(true)
                .open(scene.path("app.log"))
                .expect("open")
                .set_len(0)
                .expect("truncate");
            written += 3;
            if restart {
                watcher.sigterm();
                watcher = scene.watch("app.log").spawn();
            }
            scene.append("app.log", text(written..written + 5));
            oracle.wait_for_line(line(written + 4));
            written += 5;
        }
        scene.assert_arrives(watcher, &oracle, &lines(0..written));
    }
}

#[test]
fn a_removed_file_is_drained_and_its_successor_awaited() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let watcher = begin(&scene, &oracle, &[]);
    // The writer still has it open, as programs do.
    let mut writer = scene.open("app.log");
    scene.remove("app.log");
    writer.write_all(text(10..12).as_bytes()).expect("write");
    oracle.wait_for(12);
    drop(writer);
    scene.append("app.log", text(12..15));
    scene.assert_arrives(watcher, &oracle, &lines(0..15));
}

#[test]
fn a_renamed_file_without_successor_is_read_on() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let watcher = begin(&scene, &oracle, &[]);
    scene.rename("app.log", "app.log.1");
    scene.append("app.log.1", text(10..20));
    oracle.wait_for(20);
    scene.append("app.log", text(20..30));
    scene.assert_arrives(watcher, &oracle, &lines(0..30));
}

#[test]
fn late_lines_in_the_renamed_file_are_published() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let watcher = begin(&scene, &oracle, &["--rotate-wait", "60s"]);
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", text(10..11));
    oracle.wait_for_line(line(10));
    scene.append("app.log.1", text(11..12));
    oracle.wait_for_line(line(11));
    scene.append("app.log", text(12..13));
    scene.assert_arrives(watcher, &oracle, &lines(0..13));
}

#[test]
fn a_rotated_file_is_let_go_at_the_next_rotation_behind_the_rotate_wait() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let watcher = begin(&scene, &oracle, &["--rotate-wait", "200ms"]);
    let old = fs::canonicalize(scene.home())
        .expect("a path")
        .join("logs/app.log.2");
    scene.rotate("app.log");
    scene.append("app.log", text(10..11));
    oracle.wait_for(11);
    scene.rotate("app.log");
    scene.append("app.log", text(11..12));
    oracle.wait_for(12);
    wait_until("the oldest file is closed", || {
        !watcher.open_files().contains(&old)
    });
    scene.assert_arrives(watcher, &oracle, &lines(0..12));
    assert!(
        scene.checkpoint("app.log").lines().count() <= 2,
        "{}",
        scene.checkpoint("app.log")
    );
}

#[test]
fn a_half_line_may_be_completed_in_the_renamed_file() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let watcher = begin(&scene, &oracle, &["--rotate-wait", "60s"]);
    let mut writer = scene.open("app.log");
    let whole = text(10..11);
    let (half, rest) = whole.split_at(12);
    writer.write_all(half.as_bytes()).expect("write");
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", text(11..12));
    oracle.wait_for_line(line(11));
    writer.write_all(rest.as_bytes()).expect("write");
    oracle.wait_for_line(line(10));
    watcher.sigterm();
    assert_exactly(&lines((0..10).chain([11, 10])), &oracle.settle());
}

#[test]
fn a_rotated_file_is_still_drained_after_a_restart() {
    for gently in [true, false] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        let wait = ["--rotate-wait", "60s"];
        let watcher = begin(&scene, &oracle, &wait);
        scene.rename("app.log", "app.log.1");
        scene.append("app.log", text(10..11));
        oracle.wait_for(11);
        if gently {
            watcher.sigterm();
            assert_eq!(
                scene.checkpoint("app.log").lines().count(),
                2,
                "{}",
                scene.checkpoint("app.log")
            );
        } else {
            watcher.sigkill();
        }
        scene.append("app.log.1", text(11..12));
        let watcher = scene.watch("app.log").args(wait).spawn();
        oracle.wait_for_line(line(11));
        scene.append("app.log", text(12..13));
        scene.append("app.log.1", text(13..14));
        oracle.wait_for(14);
        watcher.sigterm();
        let arrived = oracle.settle();
        let (old, new): (Vec<_>, Vec<_>) = arrived.into_iter().partition(|l| {
            lines((0..10).chain([11, 13]))
                .iter()
                .any(|o| o.as_bytes() == l.as_slice())
        });
        assert_exactly(&lines((0..10).chain([11, 13])), &old);
        assert_exactly(&lines([10, 12]), &new);
    }
}

#[test]
fn a_file_replaced_by_its_own_copy_is_the_same_file() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let watcher = begin(&scene, &oracle, &[]);
    fs::copy(scene.path("app.log"), scene.path("copy")).expect("copy");
    scene.rename("copy", "app.log");
    scene.append("app.log", text(10..12));
    scene.assert_arrives(watcher, &oracle, &lines(0..12));
}

#[test]
fn a_rotation_of_an_empty_file_moves_on() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let watcher = begin(&scene, &oracle, &[]);
    for n in 1..4 {
        scene.rename("app.log", &format!("app.log-{n}"));
        scene.append("app.log", "");
    }
    scene.append("app.log", text(10..12));
    scene.assert_arrives(watcher, &oracle, &lines(0..12));
}

#[test]
fn a_file_that_becomes_a_symbolic_link_is_followed() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("2024-01-01.log", text(0..10));
    std::os::unix::fs::symlink(scene.path("2024-01-01.log"), scene.path("app.log")).expect("link");
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(10);
    scene.append("2024-01-02.log", text(10..20));
    std::os::unix::fs::symlink(scene.path("2024-01-02.log"), scene.path("next")).expect("link");
    scene.rename("next", "app.log");
    scene.assert_arrives(watcher, &oracle, &lines(0..20));
}
