//! What every group has acknowledged is taken out of the stream as we go, and no more than that; `--retain` keeps it.

use crate::util::*;

/// Redis drops whole nodes of so many entries.
const NODE: usize = 100;

fn create_group(scene: &Scene, name: &str) {
    let create = ["XGROUP", "CREATE", "logs", name, "0", "MKSTREAM"];
    let _: String = scene.redis.ask(&create);
}

/// Reads all that is new to a group, with or without a word that it is done with it.
fn take_all(scene: &Scene, group: &str, acknowledges: bool) {
    let read = ["XREADGROUP", "GROUP", group, "c", "COUNT", "100000"];
    let noack: &[&str] = if acknowledges { &["NOACK"] } else { &[] };
    let words = [&read[..], noack, &["STREAMS", "logs", ">"]].concat();
    let _: redis::Value = scene.redis.ask(&words);
}

/// Appends a thousand lines more and publishes them; returns how many entries are there.
fn publish(scene: &Scene, thousand: usize, args: &[&str]) -> usize {
    scene.append("app.log", text(thousand * 1000..(thousand + 1) * 1000));
    let watch = scene.watch("app.log").args(["--mode", "stream", "--once"]);
    watch.args(args).run().assert_silent_success();
    scene.redis.count("stream")
}

/// The newest so many are there, in order.
#[track_caller]
fn assert_newest(scene: &Scene, written: usize, kept: usize) {
    let entries = scene.redis.stream("logs");
    assert_exactly(&lines(written - kept..written), &entries);
}

#[test]
fn what_every_group_has_acknowledged_is_trimmed_as_we_go() {
    let scene = Scene::new();
    create_group(&scene, "g");
    create_group(&scene, "h");
    assert_eq!(publish(&scene, 0, &[]), 1000);
    take_all(&scene, "g", true);
    assert_eq!(publish(&scene, 1, &[]), 2000, "h has not even read it");
    take_all(&scene, "h", false);
    assert_eq!(publish(&scene, 2, &[]), 3000, "h has acknowledged nothing");
    let _: i64 = scene
        .redis
        .ask(&["XGROUP", "DELCONSUMER", "logs", "h", "c"]);
    // Now h has nothing pending of the first two thousand, and g has read the first one.
    let length = publish(&scene, 3, &[]);
    assert!((3000..3000 + NODE).contains(&length), "{length}");
    assert_newest(&scene, 4000, length);
    let _: i64 = scene.redis.ask(&["XGROUP", "DESTROY", "logs", "g"]);
    let length = publish(&scene, 4, &[]);
    assert!((3000..3000 + NODE).contains(&length), "{length}");
}

#[test]
fn a_daemon_trims_while_it_publishes() {
    let scene = Scene::new();
    create_group(&scene, "g");
    scene.append("app.log", "");
    let watch = scene.watch("app.log").args(["--mode", "stream"]);
    let watcher = watch.args(["--max-backlog", "1000"]).spawn();
    let mut longest = 0;
    for hundred in 0..100 {
        scene.append("app.log", text(hundred * 100..(hundred + 1) * 100));
        let last = line(hundred * 100 + 99).into_bytes();
        wait_until("they are there", || {
            scene
                .redis
                .kept_since("stream", scene.redis.count("stream").saturating_sub(1))
                .last()
                == Some(&last)
        });
        take_all(&scene, "g", true);
        longest = longest.max(scene.redis.count("stream"));
    }
    let said = watcher.sigterm().stderr;
    assert!(!said.contains("waiting"), "{said}");
    // Looked at after every 250 lines.
    assert!(longest <= 250 + 100 + NODE, "{longest}");
}

#[test]
fn without_a_group_nothing_is_trimmed() {
    let scene = Scene::new();
    for thousand in 0..3 {
        assert_eq!(publish(&scene, thousand, &[]), (thousand + 1) * 1000);
    }
}

#[test]
fn retain_keeps_so_many_that_are_acknowledged() {
    let scene = Scene::new();
    create_group(&scene, "g");
    let retain = ["--retain", "1500"];
    assert_eq!(publish(&scene, 0, &retain), 1000);
    take_all(&scene, "g", true);
    assert_eq!(publish(&scene, 1, &retain), 2000, "there were fewer");
    take_all(&scene, "g", true);
    let length = publish(&scene, 2, &retain);
    assert!((2500..2500 + NODE).contains(&length), "{length}");
    assert_newest(&scene, 3000, length);
    // A group that is made now finds them.
    create_group(&scene, "late");
    let groups: redis::Value = scene.redis.ask(&["XRANGE", "logs", "-", "+", "COUNT", "1"]);
    assert!(matches!(groups, redis::Value::Array(entries) if entries.len() == 1));
}

#[test]
fn retain_keeps_for_so_long_what_is_acknowledged() {
    let scene = Scene::new();
    create_group(&scene, "g");
    publish(&scene, 0, &["--retain", "1h"]);
    take_all(&scene, "g", true);
    assert_eq!(publish(&scene, 1, &["--retain", "1h"]), 2000);
    take_all(&scene, "g", true);
    let time = || -> u64 {
        let time: Vec<u64> = scene.redis.ask(&["TIME"]);
        time[0] * 1000 + time[1] / 1000
    };
    let published = time();
    wait_until("it is older than 50 ms", || time() > published + 50);
    let length = publish(&scene, 2, &["--retain", "50ms"]);
    assert!((1000..1000 + NODE).contains(&length), "{length}");
    assert_newest(&scene, 3000, length);
}

#[test]
fn what_is_retained_keeps_nobody_waiting() {
    for retain in ["1h", "1000000"] {
        let scene = Scene::new();
        create_group(&scene, "g");
        for thousand in 0..4 {
            let args = ["--retain", retain, "--max-backlog", "1500"];
            let args = [&args[..], &["--batch-lines", "100"]].concat();
            let length = publish(&scene, thousand, &args);
            assert!((1000..1600).contains(&length), "{length}");
            assert_newest(&scene, (thousand + 1) * 1000, length);
            take_all(&scene, "g", true);
        }
    }
}
