//! SIGINT and SIGTERM: finish the batch in flight, write the checkpoint, exit 0.

use std::time::Duration;

use crate::util::*;

#[test]
fn a_signal_ends_the_watcher_with_0_and_a_right_checkpoint() {
    for name in ["TERM", "INT"] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        scene.append("app.log", text(0..10));
        let seldom = [
            "--checkpoint-lines",
            "1000000",
            "--checkpoint-interval",
            "1h",
        ];
        let watcher = scene.watch("app.log").args(seldom).spawn();
        oracle.wait_for(10);
        watcher.signal(name);
        let ended = watcher.finish_within(Duration::from_secs(5));
        assert_eq!(ended.code, 0, "SIG{name}: {}", ended.stderr);
        assert_eq!(scene.offset("app.log"), text(0..10).len() as u64);
    }
}

#[test]
fn a_signal_in_mid_backlog_stops_between_two_lines() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..200_000));
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(1);
    watcher.sigterm();
    let arrived = oracle.settle();
    assert_exactly(&lines(0..arrived.len()), &arrived);
    assert_eq!(
        scene.offset("app.log"),
        text(0..arrived.len()).len() as u64,
        "the checkpoint says what arrived"
    );
    let watcher = scene.watch("app.log").spawn();
    scene.assert_arrives(watcher, &oracle, &lines(0..200_000));
}

#[test]
fn kill_9_in_mid_backlog_loses_and_repeats_nothing() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..200_000));
    for part in 1..6 {
        let watcher = scene.watch("app.log").spawn();
        oracle.wait_for(part * 10_000);
        watcher.sigkill();
    }
    let watcher = scene.watch("app.log").spawn();
    scene.assert_arrives(watcher, &oracle, &lines(0..200_000));
}

#[test]
fn a_signal_ends_the_generator_with_0_and_a_whole_line() {
    let scene = Scene::new();
    let generator = scene
        .tailcast(&["generate", "--interval", "5ms", "--quiet"])
        .arg(scene.path("app.log"))
        .spawn();
    wait_until("it writes", || !scene.read("app.log").is_empty());
    generator.sigterm();
    assert!(scene.read("app.log").ends_with(b"}\n"));
}

#[test]
fn a_signal_ends_the_subscriber_with_0() {
    let scene = Scene::new();
    let subscriber = scene
        .tailcast(&["subscribe", "--redis", &scene.redis.url()])
        .spawn();
    wait_until("it subscribes", || {
        scene.redis.ask::<usize>(&["PUBSUB", "NUMPAT"]) == 1
    });
    subscriber.sigterm();
}

#[test]
fn a_signal_ends_a_watcher_that_looks_only_once_an_hour() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene.watch("app.log").args(["--poll", "1h"]).spawn();
    scene.assert_arrives(watcher, &oracle, &lines(0..10));
}

/// A `gzip` that unpacks without end, first in `PATH`. It says that it runs by a file.
fn endless_gzip(scene: &Scene) -> (String, std::path::PathBuf) {
    let (folder, began) = (scene.home().join("bin"), scene.home().join("began"));
    let script = format!("#!/bin/sh\n: >'{}'\nexec yes\n", began.display());
    std::fs::create_dir(&folder).expect("create a folder");
    std::fs::write(folder.join("gzip"), script).expect("write");
    let runs = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.join("gzip"), runs).expect("chmod");
    let path = std::env::var("PATH").expect("PATH");
    (format!("{}:{path}", folder.display()), began)
}

#[test]
fn a_signal_ends_status_and_check_at_once_also_beside_an_archive_without_end() {
    for (command, name, code) in [("status", "TERM", 143), ("check", "INT", 130)] {
        let scene = Scene::new();
        scene.append("app.log", text(0..10));
        scene.once("app.log");
        let packed = std::process::Command::new("gzip")
            .arg(scene.path("app.log"))
            .status();
        assert!(packed.expect("run gzip").success());
        scene.rename("app.log.gz", "app.log.1.gz");
        scene.append("app.log", text(10..20));
        let (path, began) = endless_gzip(&scene);
        let run = scene.tailcast(&[command, "--redis", &scene.redis.url(), "--state-dir"]);
        let run = run.arg(scene.state_dir()).arg(scene.path("app.log"));
        let looks = run.env("PATH", &path).spawn();
        wait_until("it unpacks", || began.exists());
        looks.signal(name);
        assert_eq!(looks.finish().code, code, "{command}");
    }
}

#[test]
fn a_look_that_a_signal_has_ended_is_to_be_repeated() {
    for name in ["TERM", "INT"] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        scene.append("app.log", text(0..10));
        scene.redis.stop();
        let watcher = scene.watch("app.log").arg("--once").spawn();
        watcher.signal(name);
        watcher
            .finish()
            .assert_fails(75, &["a signal has ended it", "the next run"]);
        scene.redis.cont();
        scene.once("app.log");
        assert_exactly(&lines(0..10), &oracle.settle());
    }
}

/// A pipe that is open at its other end, where nobody reads.
fn clogged_pipe(scene: &Scene) -> (std::path::PathBuf, std::fs::File) {
    let pipe = scene.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("run mkfifo").success());
    // For reading and writing: that does not wait for anybody.
    let both = std::fs::File::options().read(true).write(true).open(&pipe);
    (pipe, both.expect("open the pipe"))
}

#[test]
fn a_signal_ends_whoever_hangs_in_a_pipe_that_nobody_reads() {
    let scene = Scene::new();
    let (pipe, _both) = clogged_pipe(&scene);
    let into_pipe = [
        "sh",
        "-c",
        "exec \"$@\" >\"$0\"",
        pipe.to_str().expect("UTF-8"),
    ];
    let generator = scene
        .tailcast(&["generate", "--interval", "0", "--quiet", "-"])
        .under(&into_pipe)
        .spawn();
    let full = || {
        let args = [
            "-c",
            "timeout 0.2 dd if=/dev/zero bs=1 count=1 2>/dev/null >\"$0\"",
        ];
        let written = std::process::Command::new("sh")
            .args(args)
            .arg(&pipe)
            .status();
        !written.expect("run sh").success()
    };
    wait_until("the pipe is full", full);
    generator.sigterm();
    let subscriber = scene
        .tailcast(&["subscribe", "--redis", &scene.redis.url()])
        .under(&into_pipe)
        .spawn();
    wait_until("it subscribes", || {
        scene.redis.ask::<usize>(&["PUBSUB", "NUMPAT"]) == 1
    });
    let _: usize = scene.redis.ask(&["PUBLISH", "logs:INFO", &line(0)]);
    subscriber.sigterm();
}
