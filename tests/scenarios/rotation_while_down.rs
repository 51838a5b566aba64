//! Rotation and truncation while nobody watches: the anchor tells which file was being read, and what came after it.

use std::fs;
use std::time::Duration;

use crate::util::*;

/// A scene in which the first ten lines of app.log were published, and nobody watches.
fn begin() -> (Scene, Subscriber) {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    scene.once("app.log");
    (scene, oracle)
}

/// Goes on, once with `--once` and once with a watcher that stays: every line once, in order.
#[track_caller]
fn go_on(scene: &Scene, oracle: &Subscriber, written: usize) {
    scene.once("app.log");
    assert_exactly(&lines(0..written), &oracle.settle());
    scene.append("app.log", text(written..written + 1));
    let watcher = scene.watch("app.log").spawn();
    scene.assert_arrives(watcher, oracle, &lines(0..written + 1));
}

#[test]
fn a_renamed_and_recreated_file_is_read_to_its_end_first() {
    let (scene, oracle) = begin();
    scene.append("app.log", text(10..20));
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", text(20..30));
    go_on(&scene, &oracle, 30);
    assert_eq!(scene.generation("app.log"), 1);
}

#[test]
fn a_truncated_copy_is_read_to_its_end_first() {
    let (scene, oracle) = begin();
    scene.append("app.log", text(10..20));
    scene.copytruncate("app.log", "app.log.1");
    scene.append("app.log", text(20..25));
    go_on(&scene, &oracle, 25);
    assert_eq!(scene.generation("app.log"), 1);
}

#[test]
fn a_truncated_copy_is_found_although_the_file_grew_past_the_offset() {
    let (scene, oracle) = begin();
    scene.append("app.log", text(10..12));
    scene.copytruncate("app.log", "app.log.1");
    scene.append("app.log", text(12..90));
    go_on(&scene, &oracle, 90);
}

#[test]
fn several_rotations_are_read_in_order_of_time() {
    for style in ["rename", "copytruncate", "mixed"] {
        let (scene, oracle) = begin();
        for round in 1..5 {
            scene.append("app.log", text(round * 10..round * 10 + 10));
            for n in (1..round).rev() {
                scene.rename(&format!("app.log.{n}"), &format!("app.log.{}", n + 1));
            }
            if style == "rename" || (style == "mixed" && round % 2 == 0) {
                scene.rename("app.log", "app.log.1");
            } else {
                scene.copytruncate("app.log", "app.log.1");
            }
        }
        scene.append("app.log", text(50..60));
        go_on(&scene, &oracle, 60);
    }
}

#[test]
fn more_than_nine_rotations_are_read_in_order() {
    let (scene, oracle) = begin();
    for round in 1..13 {
        scene.append("app.log", text(round * 10..round * 10 + 10));
        for n in (1..round).rev() {
            scene.rename(&format!("app.log.{n}"), &format!("app.log.{}", n + 1));
        }
        scene.rename("app.log", "app.log.1");
    }
    scene.append("app.log", text(130..140));
    go_on(&scene, &oracle, 140);
}

#[test]
fn files_rotated_by_date_are_read_in_order() {
    let (scene, oracle) = begin();
    for (round, date) in ["20240101", "20240102", "20240103"].into_iter().enumerate() {
        scene.append("app.log", text(round * 10 + 10..round * 10 + 20));
        scene.rename("app.log", &format!("app.log-{date}"));
    }
    scene.append("app.log", text(40..50));
    go_on(&scene, &oracle, 50);
}

#[test]
fn siblings_from_before_the_position_are_not_read() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log.2", "older\n");
    scene.append("app.log.1", "old\n");
    scene.append("app.log", text(0..10));
    scene.once("app.log");
    scene.append("app.log", text(10..20));
    for n in [2, 1] {
        scene.rename(&format!("app.log.{n}"), &format!("app.log.{}", n + 1));
    }
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", text(20..30));
    go_on(&scene, &oracle, 30);
}

#[test]
fn strangers_beside_the_log_are_not_read() {
    let (scene, oracle) = begin();
    for stranger in [
        "app.log.swp",
        "app.logger",
        "app.log.d.txt",
        "other.log.1",
        "app.log-notes",
    ] {
        scene.append(stranger, "not of this log\n");
    }
    fs::create_dir(scene.path("app.log.dir")).expect("create a folder");
    scene.append("app.log", text(10..20));
    scene.copytruncate("app.log", "app.log.1");
    scene.append("app.log", text(20..22));
    let run = scene.watch("app.log").arg("--once").run();
    assert_eq!(run.code, 0, "{}", run.stderr);
    let arrived: Vec<Vec<u8>> = oracle
        .settle()
        .into_iter()
        .filter(|l| l.starts_with(b"{"))
        .collect();
    assert_exactly(&lines(0..22), &arrived);
}

#[test]
fn a_clock_set_back_between_two_rotations_does_not_change_their_order() {
    let (scene, oracle) = begin();
    for round in 1..4 {
        scene.append("app.log", text(round * 10..round * 10 + 10));
        for n in (1..round).rev() {
            scene.rename(&format!("app.log.{n}"), &format!("app.log.{}", n + 1));
        }
        scene.rename("app.log", "app.log.1");
        // Each file seems a day older than the one before it.
        let day = Duration::from_secs(86_400) * round as u32;
        scene.age("app.log.1", day);
    }
    scene.append("app.log", text(40..50));
    go_on(&scene, &oracle, 50);
}

#[test]
fn a_compressed_sibling_is_named_with_what_may_have_been_missed() {
    for suffix in ["gz", "zst"] {
        let (scene, oracle) = begin();
        scene.append("app.log", text(10..20));
        scene.rename("app.log", "app.log.1");
        // What is in it does not matter: nobody can search it for the anchor.
        scene.remove("app.log.1");
        let packed = format!("app.log.1.{suffix}");
        scene.append(&packed, b"\x1f\x8b\x08\x00packed");
        scene.append("app.log", text(20..30));
        let run = scene.watch("app.log").arg("--once").run();
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(run.stderr.contains(&packed), "names it: {}", run.stderr);
        assert!(
            run.stderr.contains(&text(0..10).len().to_string()),
            "names the offset: {}",
            run.stderr
        );
        assert_exactly(&lines((0..10).chain(20..30)), &oracle.settle());
    }
}

#[test]
fn a_lost_predecessor_is_said_and_the_file_read_from_its_start() {
    let (scene, oracle) = begin();
    scene.append("app.log", text(10..20));
    scene.remove("app.log");
    scene.append("app.log", text(20..30));
    let run = scene.watch("app.log").arg("--once").run();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stderr.contains("app.log"),
        "says that lines may be missing: {:?}",
        run.stderr
    );
    assert_exactly(&lines((0..10).chain(20..30)), &oracle.settle());
    assert_eq!(scene.generation("app.log"), 1);
}

#[test]
fn a_reused_inode_is_not_taken_for_the_old_file() {
    let (scene, oracle) = begin();
    // Rewritten in place: the same inode, longer than the offset, and no byte of the old file.
    fs::write(scene.path("app.log"), text(100..150)).expect("rewrite");
    let run = scene.watch("app.log").arg("--once").run();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_exactly(&lines((0..10).chain(100..150)), &oracle.settle());
}

#[test]
fn a_file_copied_to_a_new_inode_is_the_same_file() {
    let (scene, oracle) = begin();
    fs::copy(scene.path("app.log"), scene.path("copy")).expect("copy");
    scene.rename("copy", "app.log");
    scene.append("app.log", text(10..12));
    go_on(&scene, &oracle, 12);
    assert_eq!(scene.generation("app.log"), 0);
}

#[test]
fn a_file_renamed_before_anything_was_read_is_found_by_its_inode() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", "");
    scene.once("app.log");
    scene.append("app.log", text(0..10));
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", text(10..20));
    go_on(&scene, &oracle, 20);
}

#[test]
fn a_half_line_in_the_renamed_file_is_never_published_as_a_line() {
    let (scene, oracle) = begin();
    scene.append("app.log", text(10..11) + "half a line");
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", text(11..12));
    go_on(&scene, &oracle, 12);
}

#[test]
fn a_rotation_with_the_last_lines_unpublished_survives_kill_9() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(10);
    watcher.sigkill();
    scene.append("app.log", text(10..20));
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", text(20..30));
    go_on(&scene, &oracle, 30);
}

#[test]
fn a_checkpoint_far_behind_its_record_repeats_nothing_when_the_file_that_was_read_is_gone() {
    let (scene, oracle) = begin();
    let rarely = ["--checkpoint-lines", "1000000", "--checkpoint-interval"];
    let watcher = scene
        .watch("app.log")
        .args(rarely)
        .args(["1h", "--rotate-wait", "0s"])
        .spawn();
    for round in 1..4 {
        scene.append("app.log", text(round * 10..round * 10 + 10));
        oracle.wait_for(round * 10 + 10);
        if round == 2 {
            scene.rename("app.log.1", "app.log.2");
        }
        if round < 3 {
            scene.copytruncate("app.log", "app.log.1");
        }
    }
    watcher.sigkill();
    // The checkpoint of the start is dated after the first look that was through, which a
    // rotation may put off.
    assert!(scene.generation("app.log") < 2, "it is far behind");
    scene.remove("app.log");
    scene.remove("app.log.1");
    scene.append("app.log", text(40..50));
    let again = scene.watch("app.log").arg("--once").run();
    assert_exactly(&lines(0..50), &oracle.settle());
    again.assert_fails(
        0,
        &["gap: generation 2", "the file that was being read is gone"],
    );
}
