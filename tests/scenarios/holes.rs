//! Bytes that are no text: holes of NULs at a file's start or in its middle, a byte order mark, UTF-16.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::time::Instant;

use crate::util::*;

/// A writer without O_APPEND, which goes on at its own offset.
fn plain_writer(scene: &Scene) -> fs::File {
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(scene.path("app.log"))
        .expect("open");
    file.seek(SeekFrom::End(0)).expect("seek");
    file
}

#[test]
fn the_hole_of_a_writer_without_append_is_skipped_and_its_first_line_is_clean() {
    for absence in Absence::ALL {
        println!("{absence:?}");
        // A hole is said, so that success is not silent: `unseen` asks for more here.
        let scene = Scene::new();
        let oracle = scene.subscriber();
        let mut writer = plain_writer(&scene);
        writer.write_all(text(0..10).as_bytes()).expect("write");
        let watcher = scene.watch("app.log").spawn();
        oracle.wait_for(10);
        let happen = |writer: &mut fs::File| {
            writer.write_all(text(10..20).as_bytes()).expect("write");
            scene.rotate_by_copy("app.log");
            writer.write_all(text(20..30).as_bytes()).expect("write");
            assert_eq!(scene.read("app.log")[0], 0, "a hole");
        };
        let watcher = match absence {
            Absence::Frozen => {
                watcher.signal("STOP");
                happen(&mut writer);
                watcher.signal("CONT");
                watcher
            }
            Absence::RedisAway => {
                scene.redis.stop();
                happen(&mut writer);
                scene.redis.cont();
                watcher
            }
            _ => {
                watcher.sigkill();
                happen(&mut writer);
                scene.watch("app.log").spawn()
            }
        };
        oracle.wait_for_line(line(29));
        scene.assert_arrives(watcher, &oracle, &lines(0..30));
    }
}

#[test]
fn the_holes_of_many_live_copytruncates_are_skipped() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let mut writer = plain_writer(&scene);
    writer.write_all(text(0..10).as_bytes()).expect("write");
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(10);
    for round in 1..15 {
        if round % 2 == 0 {
            oracle.wait_for(round * 10);
        }
        scene.rotate_by_copy("app.log");
        writer
            .write_all(text(round * 10..round * 10 + 10).as_bytes())
            .expect("write");
    }
    oracle.wait_for(150);
    scene.assert_arrives(watcher, &oracle, &lines(0..150));
}

#[test]
fn a_hole_over_the_longest_line_takes_no_line_with_it() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let mut writer = plain_writer(&scene);
    writer.seek(SeekFrom::Start(200_000)).expect("seek");
    writer.write_all(text(0..10).as_bytes()).expect("write");
    let run = scene
        .watch("app.log")
        .args(["--once", "--max-line", "64KiB"])
        .run();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_exactly(&lines(0..10), &oracle.settle());
    assert_eq!(scene.offset("app.log"), scene.read("app.log").len() as u64);
}

#[test]
fn a_hole_of_three_gigabytes_costs_next_to_nothing() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let mut writer = plain_writer(&scene);
    writer.seek(SeekFrom::Start(3 << 30)).expect("seek");
    writer.write_all(text(0..10).as_bytes()).expect("write");
    let begin = Instant::now();
    let run = scene.watch("app.log").arg("--once").run();
    let took = begin.elapsed().as_secs_f64();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_exactly(&lines(0..10), &oracle.settle());
    assert!(took < 1.0, "{took} s");
}

#[test]
fn a_run_of_nuls_that_a_power_cut_left_before_a_line_is_no_part_of_the_line() {
    for nuls in [1, 100, 4096, 100_000] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        scene.append("app.log", text(0..3));
        scene.append("app.log", vec![0; nuls]);
        scene.append("app.log", text(3..6));
        let run = scene
            .watch("app.log")
            .args(["--once", "--max-line", "64KiB"])
            .run();
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_exactly(&lines(0..6), &oracle.settle());
    }
}

#[test]
fn a_hole_at_the_end_waits_and_is_no_line() {
    // Preallocated: the bytes come later, where the NULs were.
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let mut writer = plain_writer(&scene);
    writer.write_all(text(0..3).as_bytes()).expect("write");
    writer.set_len(100_000).expect("preallocate");
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(3);
    for n in 3..20 {
        writer.write_all(text(n..n + 1).as_bytes()).expect("write");
    }
    oracle.wait_for(20);
    watcher.sigkill();
    writer.write_all(text(20..30).as_bytes()).expect("write");
    scene.assert_arrives(scene.watch("app.log").spawn(), &oracle, &lines(0..30));
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", "\u{feff}".to_owned() + &text(0..3));
    scene.once("app.log");
    let heard = oracle.settle();
    assert_exactly(&lines(0..3), &heard);
    let channels: Vec<_> = oracle.messages().into_iter().map(|m| m.channel).collect();
    assert_eq!(channels, ["logs:INFO"; 3]);
    assert_eq!(scene.offset("app.log"), scene.read("app.log").len() as u64);
    scene.append("app.log", text(3..6));
    scene.once("app.log");
    assert_exactly(&lines(0..6), &oracle.settle());
}

#[test]
fn utf_16_is_said_once_naming_the_file() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let utf_16: Vec<u8> = "\u{feff}one\ntwo\nthree\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    scene.append("app.log", utf_16);
    scene.append("other.log", text(0..3));
    let watcher = scene.watch("app.log").arg(scene.path("other.log")).spawn();
    watcher.wait_says("UTF-16");
    scene.append("other.log", text(3..6));
    oracle.wait_for_line(line(5));
    let ended = watcher.sigterm();
    let said: Vec<_> = ended
        .stderr
        .lines()
        .filter(|l| l.contains("UTF-16"))
        .collect();
    assert_eq!(said.len(), 1, "{}", ended.stderr);
    let path = scene.path("app.log");
    assert!(
        said[0].contains(path.to_str().expect("UTF-8")),
        "{}",
        said[0]
    );
}
