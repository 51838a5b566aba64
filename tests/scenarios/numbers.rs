//! A line's identity is source, generation and offset: no generation is given twice, whatever is forgotten or lost.

use std::collections::BTreeSet;
use std::fs;

use crate::util::*;

/// The places of all lines in the stream: generation and end.
fn places(scene: &Scene) -> Vec<(u64, u64)> {
    let entries: Vec<(String, Vec<(String, String)>)> =
        scene.redis.ask(&["XRANGE", "logs", "-", "+"]);
    let number = |fields: &[(String, String)], name: &str| {
        let field = fields.iter().find(|(named, _)| named == name);
        field.expect("a field").1.parse().expect("a number")
    };
    let place = |(_, fields): (String, Vec<_>)| (number(&fields, "gen"), number(&fields, "offset"));
    entries.into_iter().map(place).collect()
}

#[track_caller]
fn assert_each_has_its_own(scene: &Scene, lines: usize) {
    let places = places(scene);
    let different: BTreeSet<_> = places.iter().copied().collect();
    assert_eq!(
        (different.len(), places.len()),
        (lines, lines),
        "{places:?}"
    );
}

fn once(scene: &Scene, args: &[&str]) {
    let run = scene.watch("app.log").args(["--once", "--mode", "stream"]);
    run.args(args).run().assert_silent_success();
}

#[test]
fn what_is_sent_anew_after_a_reset_or_a_loss_of_all_state_has_numbers_of_its_own() {
    let scene = Scene::new();
    scene.append("app.log", text(0..10));
    once(&scene, &[]);
    // Other lines of the same length, in a file that may have the inode of the first.
    scene.remove("app.log");
    scene.append("app.log", text(10..20));
    once(&scene, &["--reset"]);
    fs::remove_dir_all(scene.state_dir()).expect("remove");
    let _: usize = scene.redis.ask(&["DEL", &scene.redis.record().0]);
    once(&scene, &[]);
    fs::remove_dir_all(scene.state_dir()).expect("remove");
    once(&scene, &["--reset"]);
    assert_each_has_its_own(&scene, 40);
    assert_eq!(scene.generation("app.log"), 0, "people count from 0");
}

#[test]
fn a_number_ahead_of_the_clock_does_not_come_again_after_a_reset() {
    for lost in ["nothing", "the record", "the state"] {
        let scene = Scene::new();
        scene.append("app.log", text(0..10));
        once(&scene, &[]);
        let (first, _) = scene.numbers("app.log");
        let ahead = |text: &str| text.replace(&first.to_string(), "9999999999999");
        let (key, record) = scene.redis.record();
        let checkpoint = ahead(&scene.checkpoint("app.log"));
        fs::write(scene.checkpoint_path("app.log"), checkpoint).expect("write");
        let _: String = scene.redis.ask(&["SET", &key, &ahead(&record)]);
        if lost == "the record" {
            let _: usize = scene.redis.ask(&["DEL", &key]);
        } else if lost == "the state" {
            fs::remove_dir_all(scene.state_dir()).expect("remove");
        }
        once(&scene, &["--reset"]);
        let numbers = scene.numbers("app.log");
        assert_eq!(numbers, (10_000_000_000_000, 0), "{lost} is lost");
    }
}

#[test]
fn a_match_that_was_forgotten_and_comes_again_has_numbers_of_its_own() {
    let scene = Scene::new();
    scene.append("job.log", text(0..10));
    let watcher = scene
        .watch("*.log")
        .args([
            "--mode",
            "stream",
            "--rotate-wait",
            "100ms",
            "--forget-after",
            "500ms",
        ])
        .spawn();
    wait_until("its lines are there", || places(&scene).len() == 10);
    scene.remove("job.log");
    wait_until("it is forgotten", || {
        let records: Vec<String> = scene.redis.ask(&["KEYS", "tailcast:commit:*"]);
        records.is_empty() && !scene.checkpoint_path("job.log").exists()
    });
    scene.append("job.log", text(10..20));
    wait_until("the new ones too", || places(&scene).len() == 20);
    watcher.sigterm();
    assert_each_has_its_own(&scene, 20);
}

#[test]
fn the_state_of_the_version_before_is_taken_over_with_its_numbers() {
    let scene = Scene::new();
    scene.append("app.log", text(0..10));
    once(&scene, &[]);
    let (first, _) = scene.numbers("app.log");
    let old = |text: &str| text.replace(&format!(" {first}+0 "), " 3 ");
    let checkpoint = old(&scene.checkpoint("app.log"));
    let (key, record) = scene.redis.record();
    let mut words: Vec<_> = record.trim_end().split(' ').collect();
    words.remove(words.len() - 3);
    let record = old(&words.join(" ")) + "\n";
    for lost in ["nothing", "the record", "the state"] {
        fs::create_dir_all(scene.state_dir()).expect("create a folder");
        fs::write(scene.checkpoint_path("app.log"), &checkpoint).expect("write");
        let _: String = scene.redis.ask(&["SET", &key, &record]);
        if lost == "the record" {
            let _: usize = scene.redis.ask(&["DEL", &key]);
        } else if lost == "the state" {
            fs::remove_dir_all(scene.state_dir()).expect("remove");
        }
        once(&scene, &[]);
        assert_eq!(
            scene.redis.kept("stream").len(),
            10,
            "{lost}: nothing is sent again"
        );
    }
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", text(10..20));
    once(&scene, &[]);
    assert_eq!(scene.numbers("app.log"), (0, 4));
    assert_each_has_its_own(&scene, 20);
}

#[test]
fn a_lone_number_gets_a_generation_that_its_source_never_had() {
    let scene = Scene::new();
    scene.append("app.log", text(0..10));
    once(&scene, &[]);
    let before = scene.numbers("app.log").0;
    let _: usize = scene.redis.ask(&["DEL", &scene.redis.record().0]);
    fs::write(scene.checkpoint_path("app.log"), "0").expect("write");
    once(&scene, &[]);
    assert!(scene.numbers("app.log").0 > before);
    assert_each_has_its_own(&scene, 20);
}

/// Redis goes back by two rotations, and one of their files is removed or none. How many entries there are then, and how
/// many identities.
fn goes_back(removed: Option<&str>, restarts: bool) -> (usize, usize) {
    let scene = Scene::new();
    let watch = || {
        let watch = scene.watch("app.log").args(["--mode", "stream"]);
        watch
            .args(["--rotate-wait", "100ms", "--checkpoint-lines", "1"])
            .spawn()
    };
    let mut watcher = Some(watch());
    scene.append("app.log", text(0..10));
    wait_until("its lines are there", || places(&scene).len() == 10);
    let (key, older) = scene.redis.record();
    for n in 1..3 {
        scene.rename("app.log", &format!("app.log-2026120{n}"));
        scene.append("app.log", text(n * 10..n * 10 + 10));
        wait_until("the next ones too", || places(&scene).len() == n * 10 + 10);
    }
    if restarts {
        watcher.take().map(Process::sigterm);
        scene.rename("app.log", "app.log-20261203");
    }
    if let Some(name) = removed {
        scene.remove(name);
    }
    let _: String = scene.redis.ask(&["SET", &key, &older]);
    let watcher = watcher.unwrap_or_else(watch);
    scene.append("app.log", text(30..31));
    let last = lines(30..31).remove(0).into_bytes();
    wait_until("all is there", || {
        scene.redis.kept("stream").last() == Some(&last)
    });
    watcher.sigterm();
    let places = places(&scene);
    let different: BTreeSet<_> = places.iter().copied().collect();
    (places.len(), different.len())
}

#[test]
fn where_redis_goes_back_and_a_rotated_file_is_removed_no_other_gets_its_number() {
    for restarts in [false, true] {
        assert_eq!(goes_back(None, restarts), (51, 31), "the same lines again");
        let removed = Some("app.log-20261202");
        assert_eq!(goes_back(removed, restarts), (41, 41), "{restarts}");
    }
}
