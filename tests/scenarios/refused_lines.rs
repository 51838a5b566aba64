//! Redis refuses one line: it is kept in the state directory, and stops nobody.

use std::fs;

use crate::util::*;

const MODES: [&str; 3] = ["pubsub", "list", "stream"];
const DELIVERIES: [&str; 2] = ["exactly-once", "at-least-once"];

/// A Redis that takes no argument of over 1 MiB, which is the least that it can be told.
fn narrow() -> Scene {
    Scene::with(Redis::start_with(&["--proto-max-bulk-len", "1mb"]))
}

/// A line that is too large for that.
fn giant() -> String {
    format!("{{\"type\":\"INFO\",\"m\":\"{}\"}}", "x".repeat(2 << 20))
}

/// What is kept of a log's refused lines: each entry's head, and the lines.
fn kept(scene: &Scene, name: &str) -> (Vec<String>, Vec<Vec<u8>>) {
    let log = scene.path(name);
    let file = log.to_str().expect("UTF-8").replace('/', "%") + ".refused";
    let text = fs::read(scene.state_dir().join("refused").join(file)).unwrap_or_default();
    let (mut heads, mut lines, mut rest) = (Vec::new(), Vec::new(), text.as_slice());
    while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
        let head = String::from_utf8(rest[..at].to_vec()).expect("UTF-8");
        let length: usize = head
            .split(' ')
            .nth(2)
            .and_then(|n| n.parse().ok())
            .expect("a length");
        lines.push(rest[at + 1..at + 1 + length].to_vec());
        rest = &rest[at + 2 + length..];
        heads.push(head);
    }
    (heads, lines)
}

#[test]
fn a_line_too_large_for_redis_is_kept_and_stops_nobody() {
    for mode in MODES {
        for delivery in DELIVERIES {
            let scene = narrow();
            let oracle = scene.subscriber();
            let before = text(0..10) + &giant() + "\n";
            scene.append("app.log", before.clone() + &text(10..20));
            scene.append("other.log", text(20..30));
            let watcher = scene
                .watch("app.log")
                .arg(scene.path("other.log"))
                .args(["--mode", mode, "--delivery", delivery])
                .spawn();
            let last = scene.path("app.log").metadata().expect("stat").len();
            wait_until("both files are through", || {
                let offset = |name| scene.checkpoint(name).split(' ').next().map(String::from);
                offset("app.log") == Some(last.to_string())
                    && offset("other.log") == Some(text(20..30).len().to_string())
            });
            scene.append("app.log", text(30..40));
            wait_until("what comes later arrives", || {
                scene
                    .arrived(mode, &oracle)
                    .iter()
                    .any(|l| *l == line(39).as_bytes())
            });
            let said = watcher.sigterm().stderr;
            let (heads, refused) = kept(&scene, "app.log");
            assert_exactly(&[giant()], &refused);
            assert!(
                heads[0].starts_with(&format!("{} ", before.len())),
                "{heads:?}"
            );
            assert!(heads[0].contains("invalid bulk length"), "{heads:?}");
            assert!(said.contains("app.log.refused"), "{said}");
            assert!(said.contains("Redis refused 1 more"), "{said}");
            let mut arrived = scene.arrived(mode, &oracle);
            arrived.sort_by_key(|line| (line.len(), line.clone()));
            if delivery == "at-least-once" {
                arrived.dedup();
            }
            assert_exactly(&lines(0..40), &arrived);
        }
    }
}

#[test]
fn once_keeps_a_line_too_large_for_redis_and_succeeds() {
    let scene = narrow();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10) + &giant() + "\n" + &text(10..20));
    let run = scene.watch("app.log").arg("--once").run();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("app.log.refused"), "{}", run.stderr);
    assert_exactly(&lines(0..20), &oracle.settle());
    scene.once("app.log");
    assert_eq!(kept(&scene, "app.log").1.len(), 1);
}

#[test]
fn a_line_whose_type_names_a_key_of_another_kind_stops_nobody() {
    for (mode, command) in [("list", "LRANGE"), ("stream", "XRANGE")] {
        for delivery in DELIVERIES {
            let scene = Scene::new();
            let kinds = ["INFO", "ERROR", "DEBUG"];
            let all: Vec<String> = (0..3000)
                .map(|n| format!("{{\"type\":\"{}\",\"n\":{n}}}", kinds[n % 3]))
                .collect();
            let _: String = scene.redis.ask(&["SET", "logs:ERROR", "a string"]);
            scene.append("app.log", all.join("\n") + "\n");
            let run = scene
                .watch("app.log")
                .args(["--once", "--mode", mode, "--target", "logs:{type}"])
                .args(["--delivery", delivery, "--batch-lines", "100"])
                .run();
            assert_eq!(run.code, 0, "{}", run.stderr);
            assert_eq!(run.stderr.matches("WRONGTYPE").count(), 1, "said once");
            let of = |kind: &str| -> Vec<&String> {
                all.iter().filter(|line| line.contains(kind)).collect()
            };
            let (heads, refused) = kept(&scene, "app.log");
            assert_exactly(&of("ERROR"), &refused);
            let first_end = all[..2].join("\n").len() + 1;
            assert!(
                heads[0].starts_with(&format!("{first_end} ")),
                "{}",
                heads[0]
            );
            assert!(heads[0].contains("logs:ERROR"), "{}", heads[0]);
            for kind in ["INFO", "DEBUG"] {
                let key = format!("logs:{kind}");
                let mut arrived = match command {
                    "LRANGE" => scene.redis.list(&key),
                    _ => scene.redis.stream(&key),
                };
                if delivery == "at-least-once" {
                    arrived.dedup();
                    let mut seen = std::collections::HashSet::new();
                    arrived.retain(|line| seen.insert(line.clone()));
                }
                assert_exactly(&of(kind), &arrived);
            }
        }
    }
}

#[test]
fn a_crash_before_the_position_moves_past_a_refused_line_keeps_it_once() {
    if !cfg!(debug_assertions) {
        return skip("a release build has no crash points");
    }
    let scene = narrow();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10) + &giant() + "\n" + &text(10..20));
    let crash = scene
        .watch("app.log")
        .arg("--once")
        .env("TAILCAST_CRASH_AT", "refused-lines-kept")
        .run();
    assert_ne!(crash.code, 0);
    assert_eq!(kept(&scene, "app.log").1.len(), 1);
    let run = scene.watch("app.log").arg("--once").run();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_exactly(&lines(0..20), &oracle.settle());
    assert_exactly(&[giant()], &kept(&scene, "app.log").1);
}

#[test]
fn a_refused_line_that_cannot_be_kept_is_waited_for() {
    let scene = narrow();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10) + &giant() + "\n" + &text(10..20));
    // A file where the folder should be.
    fs::write(scene.state_dir().join("refused"), "").expect("write");
    let watcher = scene.watch("app.log").spawn();
    watcher.wait_says("keep refused lines in");
    assert_exactly(&lines(0..10), &oracle.settle());
    fs::remove_file(scene.state_dir().join("refused")).expect("remove");
    scene.assert_arrives(watcher, &oracle, &lines(0..20));
    assert_exactly(&[giant()], &kept(&scene, "app.log").1);
}

#[test]
fn a_large_line_that_was_published_is_not_kept_as_refused_with_a_larger_one_behind_it() {
    for delivery in DELIVERIES {
        let scene = Scene::with(Redis::start_with(&["--proto-max-bulk-len", "3mb"]));
        let oracle = scene.subscriber();
        scene.append("app.log", "first\n");
        let watcher = scene
            .watch("app.log")
            .args(["--mode", "list", "--delivery", delivery])
            .spawn();
        wait_until("the log is followed", || {
            !scene.arrived("list", &oracle).is_empty()
        });
        // Several batches wait for their turn.
        let _: () = scene.redis.ask(&["CLIENT", "PAUSE", "500"]);
        let large = |fill: &str, mebibytes: usize| fill.repeat(mebibytes << 20);
        let all = [large("a", 2), large("b", 2), large("x", 6), large("c", 2)];
        scene.append("app.log", all.join("\n") + "\nlast\n");
        wait_until("the last line arrives", || {
            scene.redis.list("logs").iter().any(|line| line == b"last")
        });
        watcher.sigterm();
        assert_exactly(&all[2..3], &kept(&scene, "app.log").1);
    }
}

#[test]
fn a_refused_line_at_the_place_of_an_earlier_one_is_kept_too() {
    let scene = narrow();
    let other = giant().replace('x', "y");
    for line in [giant(), other.clone()] {
        fs::write(scene.path("app.log"), text(0..10) + &line + "\n").expect("write");
        let run = scene.watch("app.log").args(["--once", "--reset"]).run();
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
    assert_exactly(&[giant(), other], &kept(&scene, "app.log").1);
}
