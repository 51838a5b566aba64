//! Figures while it runs: a line now and then, the progress of a catch-up, and the last word.

use serde_json::Value;

use crate::util::*;

/// The lines of stderr that are JSON.
fn figures(stderr: &str) -> Vec<Value> {
    let json = stderr.lines().filter(|line| line.starts_with('{'));
    json.map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

#[test]
fn stats_are_said_again_and_again_and_at_the_end() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene
        .watch("app.log")
        .args(["-q", "--stats", "50ms"])
        .spawn();
    oracle.wait_for(10);
    wait_until("several lines of figures say ten lines", || {
        watcher
            .stderr()
            .matches("; 10 lines, 350 bytes in ")
            .count()
            >= 3
    });
    scene.append("app.log", text(10..12));
    oracle.wait_for(12);
    let said = watcher.sigterm().stderr;
    let last = said.lines().last().expect("a line");
    assert!(last.starts_with("tailcast: stats: "), "{last}");
    assert!(
        last.contains("; 12 lines, ") && last.ends_with("; 0 bytes behind in 0 of 1 file"),
        "{last}"
    );
}

#[test]
fn stats_in_json_are_a_line_each_and_add_up() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene
        .watch("app.log")
        .args(["--stats", "50ms", "--stats-format", "json"])
        .spawn();
    oracle.wait_for(10);
    wait_until("figures say so", || {
        figures(&watcher.stderr())
            .iter()
            .any(|one| one["lines"] == 10)
    });
    let all = figures(&watcher.sigterm().stderr);
    let number = |one: &Value, name: &str| {
        one[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: {one}"))
    };
    let rates = all
        .iter()
        .map(|one| number(one, "lines_per_second") * number(one, "interval_seconds"));
    assert!((rates.sum::<f64>() - 10.0).abs() < 0.01, "{all:?}");
    let last = all.last().expect("one");
    assert_eq!(number(last, "bytes"), text(0..10).len() as f64);
    for (name, value) in [
        ("files", 1.0),
        ("lag_bytes", 0.0),
        ("reconnects", 0.0),
        ("gaps", 0.0),
        ("refused_lines", 0.0),
    ] {
        assert_eq!(number(last, name), value, "{name}");
    }
    assert!(number(last, "batches") >= 1.0);
    assert!(last["backlog"].is_null());
}

#[test]
fn stats_tell_what_is_behind_while_redis_is_away_and_count_the_reconnect() {
    let mut scene = Scene::new();
    scene.append("app.log", text(0..10));
    let watcher = scene
        .watch("app.log")
        .args([
            "--mode",
            "list",
            "--stats",
            "50ms",
            "--stats-format",
            "json",
        ])
        .spawn();
    let says = |what: &str, holds: &dyn Fn(&Value) -> bool| {
        wait_until(what, || {
            figures(&watcher.stderr()).last().is_some_and(holds)
        });
    };
    says("ten lines are in the list", &|one| one["backlog"] == 10);
    scene.redis.kill();
    scene.append("app.log", text(10..40));
    // What was read and sent is behind as well, as nobody has acknowledged it.
    let behind = text(10..40).len();
    says("all of it is behind", &|one| {
        one["lag_bytes"] == behind && one["files_behind"] == 1
    });
    scene.redis.restart();
    says("nothing is behind", &|one| {
        one["lag_bytes"] == 0 && one["lines"] == 40 && one["reconnects"].as_u64() >= Some(1)
    });
    watcher.sigterm();
}

#[test]
fn stats_count_gaps_and_refused_lines() {
    let scene = Scene::with(Redis::start_with(&["--proto-max-bulk-len", "1mb"]));
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..1));
    scene.once("app.log");
    scene.rename("app.log", "app.log.1");
    scene.append("app.log.1", text(1..2));
    scene.remove("app.log.1");
    scene.append("app.log", format!("{}\n", "x".repeat(2 << 20)));
    scene.append("app.log", text(2..3));
    let run = scene
        .watch("app.log")
        .args(["--once", "--stats", "1h", "--stats-format", "json"])
        .run();
    let all = figures(&run.stderr);
    assert_eq!(all.len(), 1, "{}", run.stderr);
    assert_eq!(
        (&all[0]["gaps"], &all[0]["refused_lines"]),
        (&Value::from(1), &Value::from(1)),
        "{}",
        run.stderr
    );
    assert_eq!(oracle.settle().len(), 2);
    let status = scene
        .tailcast(&[
            "status",
            "--json",
            "--redis",
            &scene.redis.url(),
            "--state-dir",
        ])
        .arg(scene.state_dir())
        .arg(scene.path("app.log"))
        .run();
    let rows: Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(
        (&rows[0]["gaps"], &rows[0]["refused_lines"]),
        (&Value::from(1), &Value::from(1)),
        "{rows}"
    );
}

/// A terminal that shows the progress of a catch-up. None: there are no terminals here.
fn catching_up(more: &[&str]) -> Option<(Scene, Terminal)> {
    if !has_terminals() {
        skip("there is no script(1) here");
        return None;
    }
    let scene = Scene::with(Redis::start_with(&["--save", ""]));
    // So much that even a release build shows it, and Redis stops in the middle so that it is shown long enough.
    scene.append("big.log", text(0..1_500_000));
    let redis = scene.redis.url();
    let args = [
        "watch",
        "logs/big.log",
        "--redis",
        &redis,
        "--state-dir",
        "state",
    ];
    let terminal = Terminal::open(&scene, (90, 24), &[], &[&args[..], more].concat());
    wait_until("some is published", || scene.redis.record_is_there());
    scene.redis.stop();
    terminal.wait_shows("catching up [");
    scene.redis.cont();
    Some((scene, terminal))
}

#[test]
fn a_terminal_shows_the_progress_of_a_catch_up_and_what_it_was() {
    let Some((scene, terminal)) = catching_up(&[]) else {
        return;
    };
    terminal.wait_shows("caught up: 1,");
    let size = scene.read("big.log").len() as u64;
    wait_until("the rest is published too", || {
        scene.offset_or_0("big.log") == size
    });
    terminal.signal("TERM");
    let (code, text) = terminal.finish();
    assert_eq!(code, 0);
    assert!(text.contains("published 1,500,000 lines in "), "{text}");
    let bars: Vec<_> = text
        .split("\r\u{1b}[K")
        .filter(|part| part.starts_with("catching up"))
        .collect();
    for bar in &bars {
        assert!(bar.chars().count() < 90, "{bar}");
        assert!(
            bar.contains(" %  ") && bar.contains(" lines/s  ") && bar.contains(" left "),
            "{bar}"
        );
    }
}

#[test]
fn once_says_what_it_was_where_its_progress_was_shown() {
    let Some((_scene, terminal)) = catching_up(&["--once"]) else {
        return;
    };
    let (code, text) = terminal.finish();
    assert_eq!(code, 0);
    let (_, end) = text.rsplit_once("catching up [").expect("it was shown");
    assert!(
        end.contains("caught up: 1,") || end.contains("published 1,500,000 lines in "),
        "{text}"
    );
}

#[test]
fn a_dumb_terminal_gets_no_progress_line() {
    if !has_terminals() {
        return skip("there is no script(1) here");
    }
    let scene = Scene::new();
    scene.append("app.log", text(0..600_000));
    let redis = scene.redis.url();
    let args = [
        "watch",
        "logs/app.log",
        "--redis",
        &redis,
        "--state-dir",
        "state",
    ];
    let terminal = Terminal::open(&scene, (90, 24), &[("TERM", "dumb")], &args);
    wait_until("all is published", || {
        scene.offset_or_0("app.log") == text(0..600_000).len() as u64
    });
    terminal.signal("TERM");
    let (code, text) = terminal.finish();
    assert_eq!(code, 0);
    assert!(
        !text.contains('\u{1b}') && text.contains("published 600,000 lines"),
        "{text}"
    );
}

#[test]
fn stats_tell_what_piles_up_and_what_was_dropped() {
    let scene = Scene::new();
    let stats = |mode: &str, more: &[&str]| {
        let args = [
            "--once",
            "--mode",
            mode,
            "--stats",
            "1h",
            "--stats-format",
            "json",
        ];
        let run = scene.watch("app.log").args(args).args(more).run();
        assert_eq!(run.code, 0, "{}", run.stderr);
        figures(&run.stderr).last().expect("figures").clone()
    };
    scene.append("app.log", text(0..300));
    assert_eq!(stats("stream", &[])["backlog"], 300);
    scene.append("app.log", text(300..400));
    let one = stats(
        "stream",
        &["--max-backlog", "200", "--when-full", "drop-oldest"],
    );
    let kept = scene.redis.count("stream");
    assert_eq!(one["backlog"], kept);
    assert_eq!(one["dropped_lines"], 400 - kept);
}
