//! Consumers of a group: what one leaves another takes, what is out is acknowledged, and nothing is before.

use super::consumer_stream::{PLACES, SIGABRT, count_lines, lines_in, send, subscribe, wait_lines};
use crate::util::*;

fn consumer(scene: &Scene, name: &str, args: &[&str]) -> Tailcast {
    let group = ["--mode", "stream", "--group", "g", "--consumer", name];
    subscribe(scene, &group).args(args)
}

/// How many entries the group has handed out and nobody has acknowledged.
fn pending(scene: &Scene) -> usize {
    scene
        .redis
        .ask::<(usize, Option<String>, Option<String>, redis::Value)>(&["XPENDING", "logs", "g"])
        .0
}

/// Milliseconds since a consumer's oldest pending entry was handed out, or said to be in hand still.
fn idle(scene: &Scene, name: &str) -> Option<u64> {
    let mut command = redis::cmd("XPENDING");
    command.arg(&["logs", "g", "-", "+", "1", name]);
    // Before the group is there it is an error.
    let rows: Vec<(String, String, u64, u64)> = command.query(&mut scene.redis.connect()).ok()?;
    rows.first().map(|row| row.2)
}

#[test]
fn what_is_printed_is_acknowledged_and_the_group_goes_on_from_there() {
    let scene = Scene::new();
    send(&scene, "stream", 0..3000);
    let ended = consumer(&scene, "a", &["--count", "1000"]).run();
    ended.assert_success();
    assert_eq!(ended.stdout, text(0..1000).into_bytes());
    assert_eq!(pending(&scene), 0);
    let reader = consumer(&scene, "b", &[]).spawn();
    wait_until("the rest is printed", || {
        reader.stdout() == text(1000..3000).as_bytes()
    });
    reader.sigterm();
    assert_eq!(pending(&scene), 0);
}

#[test]
fn the_host_is_the_consumer_where_none_is_named() {
    let scene = Scene::new();
    send(&scene, "stream", 0..1);
    let args = ["--mode", "stream", "--group", "g", "--count", "1"];
    assert_eq!(subscribe(&scene, &args).run().code, 0);
    let consumers: String = format!(
        "{:?}",
        scene
            .redis
            .ask::<redis::Value>(&["XINFO", "CONSUMERS", "logs", "g"])
    );
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a host");
    assert!(consumers.contains(host.trim()), "{consumers}");
}

#[test]
fn what_is_filtered_out_is_acknowledged_too() {
    let scene = Scene::new();
    send(&scene, "stream", 0..100);
    scene.append("app.log", "{\"type\":\"ERROR\"}\n");
    send(&scene, "stream", 0..0);
    let ended = consumer(&scene, "a", &["--type", "ERROR", "--count", "1"]).run();
    assert_eq!(ended.stdout, b"{\"type\":\"ERROR\"}\n");
    assert_eq!(pending(&scene), 0);
}

#[test]
fn three_consumers_share_the_lines() {
    let scene = Scene::new();
    let names = ["a", "b", "c"];
    let group = names.map(|name| consumer(&scene, name, &["--output", name]).spawn());
    send(&scene, "stream", 0..20_000);
    let all = || names.map(|name| lines_in(&scene, name)).concat();
    wait_until("all is out", || {
        let counts = names.map(|name| count_lines(&scene, name));
        counts.iter().sum::<usize>() >= 20_000
    });
    group.into_iter().for_each(|process| _ = process.sigterm());
    let mut all = all();
    all.sort();
    let mut written = lines(0..20_000);
    written.sort();
    assert_exactly(&written, &all);
    assert_eq!(pending(&scene), 0);
}

#[test]
fn a_crash_at_any_place_leaves_each_line_once_in_the_file() {
    if !cfg!(debug_assertions) {
        return skip("a release build has no crash points");
    }
    let scene = Scene::new();
    let mut sent = 0;
    let places = PLACES
        .into_iter()
        .chain(["before-acknowledge", "after-acknowledge"]);
    for place in places {
        send(&scene, "stream", sent..sent + 1000);
        sent += 1000;
        for _ in 0..2 {
            let crash = consumer(&scene, "a", &["--output", "out"])
                .env("TAILCAST_CRASH_AT", place)
                .run();
            assert_eq!(crash.code, SIGABRT, "it crashes at {place}: {crash:?}");
        }
    }
    let reader = consumer(&scene, "a", &["--output", "out"]).spawn();
    wait_lines(&scene, "out", sent);
    reader.sigterm();
    assert_exactly(&lines(0..sent), &lines_in(&scene, "out"));
    assert_eq!(pending(&scene), 0);
}

#[test]
fn without_a_file_only_what_was_not_acknowledged_is_repeated() {
    if !cfg!(debug_assertions) {
        return skip("a release build has no crash points");
    }
    let scene = Scene::new();
    send(&scene, "stream", 0..100);
    let crash = consumer(&scene, "a", &["--count", "50"])
        .env("TAILCAST_CRASH_AT", "block-written")
        .run();
    assert_eq!(crash.stdout, text(0..50).into_bytes());
    let ended = consumer(&scene, "a", &["--count", "60"]).run();
    assert_eq!(
        ended.stdout,
        text(0..60).into_bytes(),
        "its own pending first"
    );
    let ended = consumer(&scene, "a", &["--count", "40"]).run();
    assert_eq!(ended.stdout, text(60..100).into_bytes());
}

#[test]
fn what_a_dead_consumer_left_is_taken_over_after_claim_after() {
    if !cfg!(debug_assertions) {
        return skip("a release build has no crash points");
    }
    let scene = Scene::new();
    send(&scene, "stream", 0..100);
    let crash = consumer(&scene, "dead", &["--output", "dead", "--count", "100"])
        .env("TAILCAST_CRASH_AT", "output-written")
        .run();
    assert_eq!(crash.code, SIGABRT);
    let reader = consumer(
        &scene,
        "heir",
        &["--claim-after", "300ms", "--output", "heir"],
    )
    .spawn();
    wait_lines(&scene, "heir", 100);
    let ended = reader.sigterm();
    assert!(
        ended.stderr.contains("took over 100 entries"),
        "{}",
        ended.stderr
    );
    assert_exactly(&lines(0..100), &lines_in(&scene, "heir"));
    // Its place does not prove them, so they are cut off when the dead one comes back.
    consumer(&scene, "dead", &["--output", "dead"])
        .spawn()
        .sigterm();
    let back = consumer(&scene, "dead", &["--output", "dead"]).spawn();
    send(&scene, "stream", 100..110);
    wait_until("the new lines are in its file", || {
        lines_in(&scene, "dead")
            == lines(100..110)
                .iter()
                .map(|l| l.as_bytes().to_vec())
                .collect::<Vec<_>>()
    });
    back.sigterm();
}

#[test]
fn a_slow_consumer_is_not_taken_for_a_dead_one() {
    let scene = Scene::new();
    // More than a pipe holds, for a command that reads nothing until it is told to.
    send(&scene, "stream", 0..5000);
    let command = "while [ ! -e go ]; do sleep 0.05; done; cat";
    let slow = consumer(&scene, "slow", &["--claim-after", "1s", "--exec", command]).spawn();
    wait_until("it has entries", || idle(&scene, "slow").is_some());
    let other = consumer(&scene, "other", &["--claim-after", "1s"]).spawn();
    wait_until("the other one looks for what is left", || {
        let clients: String = scene.redis.ask(&["CLIENT", "LIST"]);
        clients.matches("name=tailcast-subscribe").count() == 2
    });
    let (mut before, mut told) = (0, 0);
    wait_until("it has said ten times that it has them in hand", || {
        let now = idle(&scene, "slow").expect("they are still its own");
        told += usize::from(now < before);
        before = now;
        told >= 10
    });
    std::fs::write(scene.home().join("go"), "").expect("let it go on");
    wait_until("all is out", || {
        let count = |process: &Process| published_lines(&process.stdout()).len();
        count(&slow) + count(&other) >= 5000
    });
    let other = other.sigterm();
    assert!(!other.stderr.contains("took over"), "{}", other.stderr);
    let slow = slow.sigterm();
    assert!(!slow.stdout.is_empty());
    slow.assert_success();
    assert_eq!(pending(&scene), 0);
}

#[test]
fn slow_consumers_that_live_take_nothing_from_each_other() {
    let scene = Scene::new();
    let total = 1200;
    send(&scene, "stream", 0..total);
    // Each block is soon out, and all that is in hand takes far longer than `--claim-after`.
    let command = "while IFS= read -r line; do echo \"$line\"; sleep 0.002; done";
    let names = ["a", "b"];
    let args = ["--claim-after", "300ms", "--exec", command];
    let group = names.map(|name| consumer(&scene, name, &args).spawn());
    let printed = |process: &Process| published_lines(&process.stdout()).len();
    wait_until("all is out", || {
        group.iter().map(printed).sum::<usize>() >= total && pending(&scene) == 0
    });
    let mut all = Vec::new();
    for process in group {
        let ended = process.sigterm();
        assert!(!ended.stderr.contains("took over"), "{}", ended.stderr);
        all.extend(published_lines(&ended.stdout));
    }
    assert_eq!(all.len(), total, "none twice");
}

#[test]
fn a_group_that_is_removed_is_made_again_from_where_the_file_knows() {
    let scene = Scene::new();
    let (a, b) = (["--output", "a"], ["--output", "b"]);
    send(&scene, "stream", 0..1000);
    let group = [
        consumer(&scene, "a", &a).spawn(),
        consumer(&scene, "b", &b).spawn(),
    ];
    wait_until("all is in the files", || {
        count_lines(&scene, "a") + count_lines(&scene, "b") == 1000 && pending(&scene) == 0
    });
    group.into_iter().for_each(|process| _ = process.sigterm());
    let newest: Vec<(String, Vec<String>)> =
        scene
            .redis
            .ask(&["XREVRANGE", "logs", "+", "-", "COUNT", "1"]);
    let _: usize = scene.redis.ask(&["XGROUP", "DESTROY", "logs", "g"]);
    let reader = consumer(&scene, "a", &a).spawn();
    reader.wait_says(&format!("made again, from {} on", newest[0].0));
    send(&scene, "stream", 1000..1010);
    wait_until("the new lines are there", || {
        count_lines(&scene, "a") + count_lines(&scene, "b") == 1010
    });
    assert!(!reader.sigterm().stderr.contains("are gone"));
}

#[test]
fn who_has_just_begun_leaves_a_removed_group_to_who_knows_where_it_was() {
    let scene = Scene::new();
    send(&scene, "stream", 0..1000);
    let old = consumer(&scene, "old", &[]).spawn();
    wait_until("all is printed", || {
        old.stdout() == text(0..1000).as_bytes() && pending(&scene) == 0
    });
    old.signal("STOP");
    let _: usize = scene.redis.ask(&["XGROUP", "DESTROY", "logs", "g"]);
    let new = consumer(&scene, "new", &[]).spawn();
    wait_until("the new one looks for the group", || {
        let clients: String = scene.redis.ask(&["CLIENT", "LIST"]);
        clients.contains("cmd=xinfo")
    });
    old.signal("CONT");
    send(&scene, "stream", 1000..1010);
    let printed = |process: &Process| published_lines(&process.stdout()).len();
    wait_until("the new lines are printed", || {
        printed(&old) + printed(&new) >= 1010
    });
    new.wait_says("subscribed");
    assert_eq!(printed(&old) + printed(&new), 1010);
}

#[test]
fn a_group_that_is_removed_is_made_again_and_said() {
    let scene = Scene::new();
    let reader = consumer(&scene, "a", &["--output", "out"]).spawn();
    send(&scene, "stream", 0..1000);
    wait_lines(&scene, "out", 1000);
    let _: usize = scene.redis.ask(&["XGROUP", "DESTROY", "logs", "g"]);
    reader.wait_says("made again");
    send(&scene, "stream", 1000..2000);
    wait_lines(&scene, "out", 2000);
    let _: usize = scene.redis.ask(&["DEL", "logs"]);
    wait_until("it is said again", || {
        reader.stderr().matches("made again").count() == 2
    });
    send(&scene, "stream", 2000..3000);
    wait_lines(&scene, "out", 3000);
    reader.sigterm();
    assert_exactly(&lines(0..3000), &lines_in(&scene, "out"));
}

#[test]
fn a_removed_group_does_not_repeat_what_was_acknowledged() {
    let scene = Scene::new();
    let reader = consumer(&scene, "a", &[]).spawn();
    send(&scene, "stream", 0..1000);
    wait_until("all is printed", || {
        reader.stdout() == text(0..1000).as_bytes()
    });
    // A further line makes it look again at what is acknowledged.
    send(&scene, "stream", 1000..1001);
    wait_until("it is printed", || {
        reader.stdout() == text(0..1001).as_bytes()
    });
    wait_until("all is acknowledged", || pending(&scene) == 0);
    let _: usize = scene.redis.ask(&["XGROUP", "DESTROY", "logs", "g"]);
    reader.wait_says("made again");
    send(&scene, "stream", 1001..1010);
    wait_until("it goes on", || {
        reader.stdout().ends_with(text(1009..1010).as_bytes())
    });
    let printed = published_lines(&reader.sigterm().stdout);
    assert!(printed.len() <= 1011, "{} lines", printed.len());
}

#[test]
fn entries_that_were_trimmed_while_pending_are_said() {
    if !cfg!(debug_assertions) {
        return skip("a release build has no crash points");
    }
    let scene = Scene::new();
    send(&scene, "stream", 0..50);
    let crash = consumer(&scene, "a", &[])
        .env("TAILCAST_CRASH_AT", "block-written")
        .run();
    assert_eq!((crash.code, pending(&scene)), (SIGABRT, 50));
    let _: usize = scene.redis.ask(&["XTRIM", "logs", "MAXLEN", "20"]);
    let reader = consumer(&scene, "a", &[]).spawn();
    reader.wait_says("30 entries, from ");
    wait_until("nothing is pending", || pending(&scene) == 0);
    let ended = reader.sigterm();
    assert_eq!(ended.stdout, text(30..50).into_bytes());
    assert!(
        ended
            .stderr
            .contains("were trimmed before they were acknowledged")
    );
}

#[test]
fn entries_that_were_trimmed_are_said_by_who_takes_them_over_too() {
    if !cfg!(debug_assertions) {
        return skip("a release build has no crash points");
    }
    let scene = Scene::new();
    send(&scene, "stream", 0..50);
    consumer(&scene, "dead", &[])
        .env("TAILCAST_CRASH_AT", "block-written")
        .run();
    let _: usize = scene.redis.ask(&["XTRIM", "logs", "MAXLEN", "20"]);
    let heir = consumer(&scene, "heir", &["--claim-after", "200ms"]).spawn();
    heir.wait_says("30 entries, from ");
    wait_until("the rest is printed", || {
        heir.stdout() == text(30..50).as_bytes()
    });
    heir.sigterm();
    assert_eq!(pending(&scene), 0);
}
