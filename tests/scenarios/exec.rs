//! `--exec COMMAND`: fed with lines, acknowledged as it takes them, and named when it dies.

use super::consumer_stream::{send, subscribe};
use crate::util::*;

const GROUP: [&str; 4] = ["--mode", "stream", "--group", "g"];

fn pending(scene: &Scene) -> usize {
    scene
        .redis
        .ask::<(usize, Option<String>, Option<String>, redis::Value)>(&["XPENDING", "logs", "g"])
        .0
}

#[test]
fn a_command_gets_the_lines_and_its_output_is_its_own() {
    let scene = Scene::new();
    send(&scene, "stream", 0..2000);
    let ended = subscribe(&scene, &GROUP)
        .args(["--exec", "sed 's/^/got /'", "--count", "2000"])
        .run();
    ended.assert_success();
    let got: String = lines(0..2000)
        .iter()
        .map(|line| format!("got {line}\n"))
        .collect();
    assert_eq!(ended.stdout, got.into_bytes(), "it is waited for");
    assert_eq!(pending(&scene), 0);
}

#[test]
fn it_works_in_every_mode_and_ends_with_a_signal() {
    let scene = Scene::new();
    for mode in ["pubsub", "stream", "list"] {
        let _: usize = scene.redis.ask(&["DEL", "logs"]);
        let reader = subscribe(&scene, &["--mode", mode, "--exec", "cat"]).spawn();
        wait_until("it is connected", || {
            let clients: String = scene.redis.ask(&["CLIENT", "LIST"]);
            ["cmd=psubscribe", "cmd=xread", "cmd=blmove"]
                .iter()
                .any(|word| clients.contains(word))
        });
        send(&scene, mode, 0..3);
        wait_until("the command has them", || {
            published_lines(&reader.stdout()).len() == 3
        });
        reader.sigterm().assert_success();
    }
}

#[test]
fn its_death_is_an_error_with_its_status() {
    let scene = Scene::new();
    send(&scene, "stream", 0..10);
    for (command, status) in [
        ("head -n 1; exit 7", "exit status: 7"),
        ("read line", "exit status: 0"),
        ("kill -9 $$", "signal: 9"),
        ("no-such-program-at-all", "exit status: 127"),
        ("exec <&-; sleep 0.1; exit 4", "exit status: 4"),
    ] {
        let ended = subscribe(&scene, &["--mode", "stream", "--exec", command]).run();
        ended.assert_fails(1, &["--exec", status]);
    }
    // Also while nothing comes, and at the end.
    let ended = subscribe(&scene, &["--exec", "exit 5"]).run();
    ended.assert_fails(1, &["exit status: 5"]);
    let ended = subscribe(
        &scene,
        &["--mode", "stream", "--count", "1", "--exec", "cat; exit 6"],
    )
    .run();
    ended.assert_fails(1, &["exit status: 6"]);
}

#[test]
fn its_death_is_an_error_at_once_also_while_redis_is_away() {
    let mut scene = Scene::new();
    scene.redis.kill();
    let modes: [&[&str]; 4] = [
        &["--mode", "pubsub"],
        &["--mode", "stream"],
        &["--mode", "list"],
        &GROUP,
    ];
    for mode in modes {
        let ended = subscribe(&scene, mode).args(["--exec", "exit 3"]).run();
        ended.assert_fails(1, &["--exec", "exit status: 3"]);
    }
}

#[test]
fn what_a_dead_command_has_not_taken_is_not_acknowledged() {
    let scene = Scene::new();
    send(&scene, "stream", 0..5000);
    // More than a pipe holds, so that it dies in mid-block.
    let ended = subscribe(&scene, &GROUP)
        .args(["--exec", "head -c 100000 >/dev/null; exit 1"])
        .run();
    ended.assert_fails(1, &["what it had not taken is not acknowledged"]);
    assert!(pending(&scene) > 0);
    let reader = subscribe(&scene, &GROUP).spawn();
    wait_until("the rest comes to whoever is next", || {
        reader.stdout().ends_with(text(4999..5000).as_bytes())
    });
    let first = published_lines(&reader.sigterm().stdout)[0].clone();
    let n = (0..5000)
        .find(|n| line(*n).as_bytes() == first)
        .expect("a line");
    // But for what the pipe to it held.
    let taken = text(0..n).len();
    assert!(taken <= 100_000 + 65_536, "from line {n} on, byte {taken}");
}

#[test]
fn a_signal_waits_for_the_command_and_a_second_one_does_not() {
    let scene = Scene::new();
    send(&scene, "stream", 0..1);
    let start = |command: &str| {
        let reader = subscribe(&scene, &["--mode", "stream", "--exec", command]).spawn();
        wait_until("the command has the line", || !reader.stdout().is_empty());
        reader.signal("TERM");
        reader
    };
    // For longer than a subscriber that hangs may take.
    let ended = start("cat; sleep 2; echo done; exit 3").finish();
    ended.assert_fails(1, &["exit status: 3"]);
    assert!(ended.stdout.ends_with(b"done\n"));

    let reader = start("cat; echo closed; exec sleep 60 >&- 2>&-");
    wait_until("its input is closed", || {
        reader.stdout().ends_with(b"closed\n")
    });
    reader.signal("TERM");
    assert_eq!(reader.finish().code, 1);
}
