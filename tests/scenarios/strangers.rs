//! What lies beside a log and is none: backups, checksums, signatures, archives of other kinds, what is binary.

use std::fs;
use std::process::Command;

use crate::util::*;

fn watch(scene: &Scene) -> Tailcast {
    scene.watch("app.log")
}

fn ten(scene: &Scene) -> usize {
    scene.append("app.log", text(0..10));
    10
}

/// `cp`, or `cp -p`, which keeps the times.
fn copy(scene: &Scene, to: &str, keep_times: bool) {
    let mut cp = Command::new("cp");
    if keep_times {
        cp.arg("-p");
    }
    let done = cp.arg(scene.path("app.log")).arg(scene.path(to)).status();
    assert!(done.is_ok_and(|s| s.success()), "cp app.log {to}");
}

#[test]
fn a_backup_beside_the_log_is_not_published_after_a_rotation() {
    let names = [
        "app.log.bak",
        "app.log~",
        "app.log.orig",
        "app.log.1~",
        "app.log.save",
        "app.log.2026",
    ];
    let ways = each_with_each(&[false, true], &[false, true]);
    let ways = each_with_each(&ways, &[Absence::Frozen, Absence::Stopped]);
    for (to, ((keep_times, by_copy), absence)) in paired(&names, &ways) {
        println!("{to}, times kept: {keep_times}, copytruncate: {by_copy}");
        unseen_while(absence, watch, ten, |scene| {
            scene.append("app.log", text(10..20));
            copy(scene, to, keep_times);
            scene.append("app.log", text(20..25));
            if by_copy {
                scene.rotate_by_copy("app.log");
            } else {
                scene.rotate("app.log");
            }
            scene.append("app.log", text(25..30));
            30
        });
    }
}

#[test]
fn a_backup_of_what_was_read_is_not_published_by_a_running_watcher() {
    for keep_times in [false, true] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        ten(&scene);
        let watcher = scene.watch("*.log").arg(scene.path("app.log")).spawn();
        oracle.wait_for(10);
        for round in 1..5 {
            copy(&scene, &format!("app.log.bak{round}"), keep_times);
            scene.rotate("app.log");
            scene.append("app.log", text(round * 10..round * 10 + 10));
            oracle.wait_for(round * 10 + 10);
        }
        scene.assert_arrives(watcher, &oracle, &lines(0..50));
        scene.once("app.log");
        assert_exactly(&lines(0..50), &oracle.settle());
    }
}

/// Files that tools put beside rotated ones.
fn put_strangers(scene: &Scene) {
    scene.append(
        "app.log.1.sha256",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08  app.log.1\n",
    );
    scene.append(
        "app.log.1.md5",
        "d41d8cd98f00b204e9800998ecf8427e  app.log.1\n",
    );
    scene.append("app.log.1.asc", "-----BEGIN PGP SIGNATURE-----\n\niQ==\n");
    scene.append("app.log.1.7z", b"7z\xbc\xaf\x27\x1c\0\x04\n\n\n");
    scene.append("app.log.1.gpg", b"\x85\x02\x0c\x03\n\xff\xfe\n");
    scene.append("app.log.2.tgz", b"\x1f\x8b\x08\0\0\0\0\0\n\n");
    scene.append("app.log.2.zip", b"PK\x03\x04\n\0\0\n");
    scene.append("app.log.1.swp", b"b0VIM 9.0\0\0\0\n");
    scene.append("app.log.3", b"\x7fELF\x02\x01\x01\0\0\0\0\0\n\n");
    scene.append("app.log.idx", b"\0\x01\x02\x03\n\0\0\n");
    fs::create_dir(scene.path("app.log.d")).expect("create a folder");
    fs::create_dir(scene.path("app.log.9")).expect("create a folder");
}

#[test]
fn checksums_signatures_and_archives_of_other_kinds_are_not_published() {
    unseen(watch, ten, |scene| {
        scene.append("app.log", text(10..20));
        scene.rotate("app.log");
        put_strangers(scene);
        scene.append("app.log", text(20..30));
        30
    });
    unseen(watch, ten, |scene| {
        put_strangers(scene);
        scene.append("app.log", text(10..20));
        scene.copytruncate("app.log", "app.log.1");
        scene.append("app.log", text(20..30));
        30
    });
}

#[test]
fn a_real_tar_of_the_rotated_files_is_not_published() {
    unseen(watch, ten, |scene| {
        scene.append("app.log", text(10..20));
        scene.rotate("app.log");
        let tar = Command::new("tar")
            .arg("-C")
            .arg(scene.path(""))
            .args(["-cf", "app.log.2.tar", "app.log.1"])
            .current_dir(scene.path(""))
            .status();
        assert!(tar.is_ok_and(|s| s.success()), "tar");
        scene.append("app.log", text(20..30));
        30
    });
}

#[test]
fn an_empty_stranger_is_no_gap() {
    unseen(watch, ten, |scene| {
        scene.append("app.log.lock", "");
        scene.append("app.log.bak", "");
        scene.rotate("app.log");
        scene.append("app.log", text(10..20));
        20
    });
}

#[test]
fn rotated_files_that_were_there_before_the_first_start_are_not_published() {
    unseen(
        watch,
        |scene| {
            for n in 1..4 {
                scene.append(&format!("app.log.{n}"), format!("of long ago {n}\n"));
            }
            scene.append("app.log.4", "of long ago 4\n");
            scene.compress("app.log.4", GZIP);
            ten(scene)
        },
        |scene| {
            scene.append("app.log", text(10..20));
            scene.rotate("app.log");
            scene.append("app.log", text(20..30));
            30
        },
    );
}

#[test]
fn a_log_with_control_characters_is_a_log() {
    // FIX: each field ends with one.
    let line =
        |n: usize| format!("8=FIX.4.4\u{1}9=65\u{1}35=A\u{1}49=T\u{1}34={n}\u{1}10=062\u{1}");
    let text =
        |range: std::ops::Range<usize>| -> String { range.map(|n| line(n) + "\n").collect() };
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    scene.once("app.log");
    for round in 1..4 {
        scene.append("app.log", text(round * 10..round * 10 + 10));
        scene.rotate("app.log");
    }
    scene.append("app.log", text(40..50));
    scene.once("app.log");
    let written: Vec<_> = (0..50).map(line).collect();
    assert_exactly(&written, &oracle.settle());
}
