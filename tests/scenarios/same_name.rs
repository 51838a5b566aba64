//! Different files under one source's name: whoever is wrong there is told so, and nothing is repeated for ever.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::util::*;

#[test]
fn a_record_of_another_path_is_an_error_that_names_the_way_out() {
    for delivery in ["exactly-once", "at-least-once"] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        scene.append("one.log", text(0..10));
        scene.append("two.log", text(10..20));
        let named = ["--once", "--source", "web"];
        scene
            .watch("one.log")
            .args(named)
            .run()
            .assert_silent_success();
        let record = scene.redis.record();
        let two = || {
            let two = scene.watch("two.log").args(named);
            two.args(["--delivery", delivery])
        };
        let one = scene.path("one.log");
        let words = [
            "two.log",
            one.to_str().expect("UTF-8"),
            "--source",
            "--reset",
        ];
        two().run().assert_fails(1, &words);
        assert_eq!(scene.redis.record(), record, "it is left as it is");
        two().arg("--reset").run().assert_silent_success();
        assert_exactly(&lines(0..20), &oracle.settle());
    }
}

#[test]
fn a_record_of_another_path_stops_no_other_file() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("one.log", text(0..10));
    scene.once("one.log");
    oracle.wait_for(10);
    let (key, record) = scene.redis.record();
    let foreign = record.replace("one.log", "elsewhere.log");
    let _: String = scene.redis.ask(&["SET", &key, &foreign]);
    scene.append("one.log", text(10..20));
    scene.append("two.log", text(20..30));
    let watcher = scene.watch("one.log").arg(scene.path("two.log")).spawn();
    oracle.wait_for(20);
    let said = watcher.wait_says("elsewhere.log");
    assert!(said.contains("--source"), "{said}");
    scene.append("two.log", text(30..40));
    scene.assert_arrives(watcher, &oracle, &[lines(0..10), lines(20..40)].concat());
    let kept: String = scene.redis.ask(&["GET", &key]);
    assert_eq!(kept, foreign);
}

#[test]
fn two_names_that_look_alike_but_are_not_utf8_are_two_sources() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let names =
        [b"a\xfe.log", b"a\xff.log"].map(|name| scene.path("").join(OsStr::from_bytes(name)));
    for (n, name) in names.iter().enumerate() {
        fs::write(name, text(n..n + 1)).expect("write a log");
    }
    for _ in 0..2 {
        let run = scene.tailcast(&["watch", "--once", "--redis", &scene.redis.url()]);
        let run = run
            .args(["--state-dir"])
            .arg(scene.state_dir())
            .args(&names);
        run.run().assert_silent_success();
    }
    let records: Vec<String> = scene.redis.ask(&["KEYS", "tailcast:commit:*"]);
    assert_eq!(records.len(), 2, "{records:?}");
    let mut arrived = oracle.settle();
    arrived.sort();
    assert_exactly(&lines(0..2), &arrived);
}

/// A watcher of a path that is another file in each folder that it is started in, as on two hosts that were cloned.
fn cloned_host(scene: &Scene, name: &str, mode: &str) -> Process {
    let folder = scene.home().join(name);
    fs::create_dir_all(&folder).expect("create a folder");
    let run = scene
        .tailcast(&["watch", "/proc/self/cwd/app.log", "--mode", mode])
        .args(["--redis", &scene.redis.url(), "--state-dir"])
        .arg(folder.join("state"));
    let folder = folder.to_str().expect("UTF-8");
    run.under(&["env", "-C", folder]).spawn()
}

fn append(log: &Path, text: &str) {
    let file = fs::File::options().create(true).append(true).open(log);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.expect("append to a log");
}

#[test]
fn two_files_of_one_path_and_one_name_are_told_apart_before_long() {
    if !Path::new("/proc/self/cwd").exists() {
        return skip("there is no /proc here to give two files one path");
    }
    for mode in ["pubsub", "list"] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        let logs = ["one", "two"].map(|name| scene.home().join(name).join("app.log"));
        let mut hosts = ["one", "two"].map(|name| Some(cloned_host(&scene, name, mode)));
        let mut written = 0;
        let refused = |host: &Option<Process>| {
            let host = host.as_ref().expect("there");
            host.stderr().contains("another file of the same name")
        };
        wait_until("one of them is told", || {
            for (n, log) in logs.iter().enumerate() {
                append(log, &format!("{n} {written}\n"));
            }
            written += 1;
            hosts.iter().any(refused)
        });
        let loser = hosts.iter().position(refused).expect("one");
        let ended = hosts[loser].take().expect("there").finish();
        ended.assert_fails(1, &["--source", "/proc/self/cwd/app.log"]);
        // The other goes on, alone and in peace.
        let last = format!("{} the last", 1 - loser);
        append(&logs[1 - loser], &format!("{last}\n"));
        let arrived = || scene.arrived(mode, &oracle);
        wait_until("its line is there", || {
            arrived().iter().any(|line| *line == last.as_bytes())
        });
        let winner = hosts[1 - loser].take().expect("there");
        winner.sigterm();
        let repeated = arrived().len() as f64 / (2.0 * f64::from(written));
        assert!(repeated < 9.0, "{repeated} times each line");
    }
}
