//! Rotated files that were compressed before they were read: what is in the archive is read from there.

use std::fs;

use crate::util::*;

fn watch(scene: &Scene) -> Tailcast {
    scene.watch("app.log")
}

fn ten(scene: &Scene) -> usize {
    scene.append("app.log", text(0..10));
    10
}

/// Rotates by rename so many times, five more lines each time, and compresses each at once.
fn rotate_and_compress(scene: &Scene, first: usize, times: usize, packer: Packer) -> usize {
    let mut written = first;
    for _ in 0..times {
        scene.append("app.log", text(written..written + 5));
        scene.rotate("app.log");
        scene.append("app.log", text(written + 5..written + 7));
        scene.compress("app.log.1", packer);
        written += 7;
    }
    written
}

#[test]
fn what_was_rotated_and_compressed_unseen_is_read_from_the_archive() {
    for (packer, absence) in paired(&packers(), &Absence::ALL) {
        println!("{packer:?}");
        unseen_while(absence, watch, ten, |scene| {
            rotate_and_compress(scene, 10, 1, packer)
        });
    }
}

#[test]
fn what_was_packed_in_its_own_place_is_read_on_there() {
    for (packer, absence) in paired(&packers(), &Absence::ALL) {
        println!("{packer:?}");
        unseen_while(absence, watch, ten, |scene| {
            scene.append("app.log", text(10..20));
            scene.compress("app.log", packer);
            scene.append("app.log", text(20..30));
            30
        });
    }
}

#[test]
fn a_match_that_was_packed_in_its_own_place_is_read_to_its_end() {
    let (scene, day) = (Scene::new(), "app-2026-01-30.log");
    let oracle = scene.subscriber();
    scene.append(day, text(0..10));
    scene.once("*.log");
    scene.append(day, text(10..20));
    scene.compress(day, GZIP);
    scene.once("*.log");
    scene.append("app-2026-01-31.log", text(20..30));
    scene.once("*.log");
    assert_exactly(&lines(0..30), &oracle.settle());
}

#[test]
fn an_archive_that_was_made_beside_a_file_says_only_how_that_began() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    ten(&scene);
    scene.once("app.log");
    scene.append("app.log", text(10..20));
    let archive = scene.pack("app.log", GZIP);
    let file = fs::File::open(scene.path(&archive)).expect("open");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1);
    file.set_modified(later).expect("set the time");
    scene.once("app.log");
    scene.append("app.log", text(20..30));
    scene.remove("app.log");
    scene.append("app.log", text(30..40));
    let run = watch(&scene).arg("--once").run();
    run.assert_fails(0, &["gap: generation 0", "only a backup of it is left"]);
    assert_exactly(&lines((0..20).chain(30..40)), &oracle.settle());
}

#[test]
fn several_archives_are_read_in_order() {
    for (packer, absence) in paired(&packers(), &Absence::ALL) {
        println!("{packer:?}");
        unseen_while(absence, watch, ten, |scene| {
            rotate_and_compress(scene, 10, 3, packer)
        });
    }
}

#[test]
fn a_file_of_which_nothing_was_read_is_read_from_its_archive() {
    for (packer, absence) in paired(&packers(), &Absence::ALL) {
        println!("{packer:?}");
        let empty = |scene: &Scene| {
            scene.append("app.log", "");
            0
        };
        unseen_while(absence, watch, empty, |scene| {
            rotate_and_compress(scene, 0, 2, packer)
        });
    }
}

#[test]
fn archives_with_nothing_in_them_hold_up_nothing() {
    for (packer, absence) in paired(&packers(), &Absence::ALL) {
        println!("{packer:?}");
        let watch = |scene: &Scene| watch(scene).args(["--rotate-wait", "0s"]);
        unseen_while(absence, watch, ten, |scene| {
            for _ in 0..2 {
                scene.rotate("app.log");
                scene.append("app.log", "");
            }
            scene.compress("app.log.1", packer);
            scene.compress("app.log.2", packer);
            scene.rotate("app.log");
            scene.append("app.log", text(10..20));
            20
        });
    }
}

#[test]
fn with_delaycompress_the_plain_file_and_the_archives_behind_it_are_read_in_order() {
    for (packer, absence) in paired(&packers(), &Absence::ALL) {
        println!("{packer:?}");
        unseen_while(absence, watch, ten, |scene| {
            for round in 1..4 {
                scene.append("app.log", text(round * 10..round * 10 + 10));
                if round > 1 {
                    scene.compress("app.log.1", packer);
                }
                scene.rotate("app.log");
            }
            scene.append("app.log", text(40..50));
            50
        });
    }
}

#[test]
fn several_files_that_are_compressed_at_once_are_read_in_order() {
    for (packer, absence) in paired(&packers(), &Absence::ALL) {
        println!("{packer:?}");
        unseen_while(absence, watch, ten, |scene| {
            for round in 1..4 {
                scene.append("app.log", text(round * 10..round * 10 + 10));
                scene.rotate("app.log");
            }
            for n in 1..4 {
                scene.compress(&format!("app.log.{n}"), packer);
            }
            scene.append("app.log", text(40..50));
            50
        });
    }
}

#[test]
fn a_large_archive_is_read_on_from_the_place_in_it() {
    for (packer, absence) in paired(&packers(), &Absence::ALL) {
        println!("{packer:?}");
        unseen_while(absence, watch, ten, |scene| {
            scene.append("app.log", text(10..40_000));
            scene.rotate("app.log");
            scene.append("app.log", text(40_000..40_010));
            scene.compress("app.log.1", packer);
            40_010
        });
    }
}

#[test]
fn a_file_that_is_compressed_while_it_is_read_arrives_once() {
    for packer in packers() {
        println!("{packer:?}");
        let scene = Scene::new();
        let oracle = scene.subscriber();
        scene.append("app.log", text(0..30_000));
        let watcher = watch(&scene).args(["--batch-lines", "20"]).spawn();
        oracle.wait_for(100);
        scene.rotate("app.log");
        scene.append("app.log", text(30_000..30_010));
        scene.compress("app.log.1", packer);
        scene.assert_arrives(watcher, &oracle, &lines(0..30_010));
    }
}

#[test]
fn a_kill_while_an_archive_is_read_loses_and_repeats_nothing() {
    for packer in packers() {
        println!("{packer:?}");
        let scene = Scene::new();
        let oracle = scene.subscriber();
        scene.append("app.log", text(0..10));
        scene.once("app.log");
        scene.append("app.log", text(10..20_000));
        scene.rotate("app.log");
        scene.compress("app.log.1", packer);
        scene.append("app.log", text(20_000..20_010));
        for goal in [500, 3_000, 9_000] {
            let watcher = watch(&scene).args(["--batch-lines", "20"]).spawn();
            oracle.wait_for(goal);
            watcher.sigkill();
        }
        scene.assert_arrives(watch(&scene).spawn(), &oracle, &lines(0..20_010));
    }
}

#[test]
fn an_archive_beside_its_file_repeats_nothing() {
    // While gzip works, and for a moment behind it, both are there.
    for (packer, absence) in paired(&packers(), &Absence::ALL) {
        println!("{packer:?}");
        unseen_while(absence, watch, ten, |scene| {
            scene.append("app.log", text(10..20));
            scene.rotate("app.log");
            scene.append("app.log", text(20..30));
            scene.pack("app.log.1", packer);
            30
        });
    }
}

#[test]
fn an_archive_in_the_making_is_not_read() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    ten(&scene);
    scene.once("app.log");
    scene.append("app.log", text(10..2_000));
    scene.rotate("app.log");
    scene.append("app.log", text(2_000..2_010));
    let archive = scene.pack("app.log.1", GZIP);
    let whole = scene.read(&archive);
    fs::write(scene.path(&archive), &whole[..whole.len() / 2]).expect("write");
    scene.once("app.log");
    assert_exactly(&lines(0..2_010), &oracle.settle());
    fs::write(scene.path(&archive), &whole).expect("write");
    scene.remove("app.log.1");
    scene.append("app.log", text(2_010..2_020));
    scene.once("app.log");
    assert_exactly(&lines(0..2_020), &oracle.settle());
}

#[test]
fn an_archive_that_was_read_as_a_plain_file_is_not_read_again() {
    for packer in packers() {
        println!("{packer:?}");
        let scene = Scene::new();
        let oracle = scene.subscriber();
        ten(&scene);
        let watcher = watch(&scene).spawn();
        oracle.wait_for(10);
        for round in 1..4 {
            scene.rotate("app.log");
            scene.append("app.log", text(round * 10..round * 10 + 10));
            oracle.wait_for(round * 10 + 10);
            scene.compress("app.log.1", packer);
        }
        watcher.sigterm();
        scene.once("app.log");
        scene.append("app.log", text(40..41));
        scene.once("app.log");
        assert_exactly(&lines(0..41), &oracle.settle());
    }
}

#[test]
fn a_name_that_a_shell_would_run_is_just_a_name() {
    let name = "$(touch owned);`touch owned` & app's.log";
    unseen(
        |scene| scene.watch(name),
        |scene| {
            scene.append(name, text(0..10));
            10
        },
        |scene| {
            scene.append(name, text(10..20));
            scene.rotate(name);
            scene.compress(&format!("{name}.1"), GZIP);
            scene.append(name, text(20..30));
            assert!(!scene.home().join("owned").exists());
            30
        },
    );
}

/// Ten lines published, ten more rotated and packed while nobody watches, ten behind them.
fn packed_while_down(spoil: impl Fn(&Scene, &str)) -> (Scene, Subscriber) {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    ten(&scene);
    scene.once("app.log");
    scene.append("app.log", text(10..20));
    scene.rotate("app.log");
    let archive = scene.compress("app.log.1", GZIP);
    spoil(&scene, &archive);
    scene.append("app.log", text(20..30));
    (scene, oracle)
}

/// Gaps are said, each once, and one of them names `part`. Whether the archive is what was being read is not known, so
/// that both the file and the archive may be named.
#[track_caller]
fn assert_gaps_name(stderr: &str, part: &str) {
    let mut said = gaps(stderr);
    assert!(said.iter().any(|l| l.contains(part)), "{stderr}");
    said.sort_unstable();
    said.dedup();
    assert_eq!(said.len(), gaps(stderr).len(), "each once: {stderr}");
}

#[test]
fn a_broken_archive_is_a_gap_that_is_said() {
    let (scene, oracle) = packed_while_down(|scene, archive| {
        let mut bytes = scene.read(archive);
        let middle = bytes.len() / 2;
        bytes[middle..].fill(0xaa);
        fs::write(scene.path(archive), bytes).expect("write");
    });
    let run = watch(&scene).arg("--once").run();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_gaps_name(&run.stderr, "app.log.1.gz");
    let arrived = oracle.settle();
    // What was unpacked before it broke may have come; nothing else, and the rest is there.
    let tail = &arrived[arrived.len() - 10..];
    assert_exactly(&lines(20..30), tail);
    let mut known = lines(0..30).into_iter();
    for line in &arrived {
        assert!(known.any(|l| l.as_bytes() == line.as_slice()), "in order");
    }
    scene.once("app.log");
    assert_eq!(oracle.settle().len(), arrived.len(), "said and done once");
}

#[test]
fn of_a_broken_archive_of_an_older_generation_nobody_knows_what_late_lines_are_in_it() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    ten(&scene);
    let watcher = watch(&scene).spawn();
    oracle.wait_for(10);
    scene.rotate("app.log");
    scene.append("app.log", text(10..20));
    oracle.wait_for(20);
    watcher.sigterm();
    scene.append("app.log.1", text(20..30));
    let archive = scene.compress("app.log.1", GZIP);
    let bytes = scene.read(&archive);
    fs::write(scene.path(&archive), &bytes[..bytes.len() / 2]).expect("write");
    let run = watch(&scene).arg("--once").run();
    run.assert_fails(0, &["gap: generation 0", "app.log.1.gz"]);
    let again = watch(&scene).arg("--once").run();
    assert!(gaps(&again.stderr).is_empty(), "once: {}", again.stderr);
    assert_exactly(&lines(0..20), &oracle.settle());
}

#[test]
fn without_its_program_an_archive_is_a_gap_that_is_said() {
    let (scene, oracle) = packed_while_down(|_, _| {});
    let nothing = scene.home().join("empty");
    fs::create_dir(&nothing).expect("create a folder");
    let run = watch(&scene).arg("--once").env("PATH", &nothing).run();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_gaps_name(&run.stderr, "gzip");
    assert_exactly(&lines((0..10).chain(20..30)), &oracle.settle());
}
