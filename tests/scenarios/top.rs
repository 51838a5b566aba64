//! `top`: what is published and how far each source is, on a terminal that is given back, and in a pipe.

use std::time::Duration;

use crate::util::*;

const OPEN: &str = "\u{1b}[?1049h";
const CLOSE: &str = "\u{1b}[?1049l";

/// A log that goes on growing, and a watcher of it, until both are dropped.
fn busy(scene: &Scene) -> (Process, Process) {
    let generate = scene
        .tailcast(&["generate", "--quiet", "--interval", "5ms"])
        .arg(scene.path("app.log"))
        .spawn();
    wait_until("it writes", || scene.path("app.log").exists());
    (generate, scene.watch("app.log").arg("-q").spawn())
}

fn top(scene: &Scene, args: &[&str]) -> Tailcast {
    scene
        .tailcast(&["top", "--redis", &scene.redis.url()])
        .args(args)
}

#[test]
fn a_pipe_gets_a_table_for_each_look() {
    let scene = Scene::new();
    let _busy = busy(&scene);
    let run = top(&scene, &["--interval", "300ms", "--count", "3"]).run();
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let text = String::from_utf8(run.stdout).expect("UTF-8");
    assert!(!text.contains('\u{1b}'), "{text}");
    assert_eq!(text.matches("TYPE ").count(), 3, "{text}");
    assert_eq!(text.matches("SOURCE ").count(), 3, "{text}");
    let last = text.rsplit("tailcast top ").next().expect("a table");
    for kind in ["INFO ", "WARNING ", "ERROR ", "DEBUG "] {
        assert!(
            last.lines().any(|line| line.starts_with(kind)),
            "{kind}: {last}"
        );
    }
    let path = scene.path("app.log");
    let source = last
        .lines()
        .find(|line| line.contains(path.to_str().expect("UTF-8")));
    assert!(
        source.is_some_and(|line| line.ends_with(" bytes")),
        "its lag: {last}"
    );
}

#[test]
fn the_lag_is_known_where_the_log_is_and_only_there() {
    let scene = Scene::new();
    scene.append("app.log", text(0..5));
    scene.once("app.log");
    scene.append("app.log", text(5..10));
    let (key, value) = scene.redis.record();
    // Another host's log of the same name: neither the host nor the file is this one.
    let (_, path) = key.rsplit_once(':').expect("a path");
    let mut fields: Vec<_> = value.splitn(4, ' ').collect();
    fields[2] = "1:1";
    let () = scene.redis.ask(&[
        "SET",
        &format!("tailcast:commit:other-host:{path}"),
        &fields.join(" "),
    ]);
    let () = scene.redis.ask(&["SET", "tailcast:commit:rubbish", "x"]);
    let run = top(&scene, &["--interval", "10ms", "--count", "1"]).run();
    let text = String::from_utf8(run.stdout).expect("UTF-8");
    let row = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("{name}: {text}"))
    };
    assert!(row("other-host:").ends_with(" -"), "{text}");
    let (_, own) = key.split_at("tailcast:commit:".len());
    assert!(
        row(own).ends_with(&format!(" {} bytes", text_len(5..10))),
        "{text}"
    );
    assert!(!text.contains("rubbish"), "{text}");
    assert!(text.contains("  2 sources  "), "{text}");
}

fn text_len(range: std::ops::Range<usize>) -> usize {
    text(range).len()
}

#[test]
fn top_changes_nothing_in_redis() {
    let scene = Scene::new();
    scene.append("app.log", text(0..5));
    scene.once("app.log");
    let changes = || -> String {
        let info: String = scene.redis.ask(&["INFO", "persistence"]);
        let line = info
            .lines()
            .find(|line| line.starts_with("rdb_changes_since_last_save"));
        line.expect("a count").to_string()
    };
    let before = (changes(), scene.redis.record());
    assert_eq!(
        top(&scene, &["--interval", "10ms", "--count", "3"])
            .run()
            .code,
        0
    );
    assert_eq!((changes(), scene.redis.record()), before);
}

#[test]
fn without_redis_it_says_so_and_goes_on_when_it_is_there() {
    let mut scene = Scene::new();
    scene.redis.kill();
    let process = top(&scene, &["--interval", "20ms"]).spawn();
    let shows = |text: &str| {
        wait_until(&format!("it shows {text}"), || {
            String::from_utf8_lossy(&process.stdout()).contains(text)
        });
    };
    shows("connection refused; trying again");
    scene.redis.restart();
    scene.append("app.log", text(0..5));
    wait_until("it has subscribed again", || {
        scene.redis.ask::<u64>(&["PUBSUB", "NUMPAT"]) == 1
    });
    scene.once("app.log");
    shows("\nINFO ");
    shows("app.log ");
    process.sigterm();
}

#[test]
fn a_wrong_password_ends_it_with_the_mend() {
    let scene = Scene::with(Redis::start_with(&["--requirepass", "secret"]));
    let url = format!("redis://127.0.0.1:{}/", scene.redis.port);
    let run = scene.tailcast(&["top", "--redis", &url]).run();
    run.assert_fails(1, &["NOAUTH", "password"]);
}

#[test]
fn a_terminal_is_given_back_by_each_signal() {
    if !has_terminals() {
        return skip("there is no script(1) here");
    }
    for name in ["INT", "TERM", "QUIT", "HUP"] {
        let scene = Scene::new();
        let terminal = Terminal::open(&scene, (80, 24), &[], &["top"]);
        terminal.wait_shows("SOURCE");
        terminal.signal(name);
        let (code, text) = terminal.finish();
        assert_eq!(code, 0, "{name}: {text:?}");
        assert_eq!(
            (text.matches(OPEN).count(), text.matches(CLOSE).count()),
            (1, 1),
            "{name}: {text:?}"
        );
        let cursor = text.rfind("\u{1b}[?25h").expect("the cursor is back");
        assert!(cursor > text.rfind("\u{1b}[?25l").expect("it was away"));
        assert!(text.ends_with(CLOSE), "{name}: {text:?}");
    }
}

#[test]
fn a_terminal_is_given_back_by_a_panic_before_it_is_told_of() {
    if !has_terminals() || !cfg!(debug_assertions) {
        return skip("there is no script(1) here, or no place to panic at");
    }
    let scene = Scene::new();
    let env = [("TAILCAST_PANIC_AT", "top-shows")];
    let (code, text) =
        Terminal::open(&scene, (80, 24), &env, &["top", "--interval", "10ms"]).finish();
    assert_ne!(code, 0);
    let told = text.find("panicked").expect("it is told of");
    assert!(text.find(CLOSE).is_some_and(|at| at < told), "{text:?}");
    assert_eq!(text.matches(CLOSE).count(), 1, "{text:?}");
}

#[test]
fn a_terminal_is_given_back_by_an_error_before_it_is_said() {
    if !has_terminals() {
        return skip("there is no script(1) here");
    }
    let scene = Scene::with(Redis::start_with(&["--requirepass", "secret"]));
    let url = format!("redis://127.0.0.1:{}/", scene.redis.port);
    let (code, text) = Terminal::open(&scene, (80, 24), &[], &["top", "--redis", &url]).finish();
    assert_eq!(code, 1);
    let said = text.find("NOAUTH").expect("it is said");
    assert!(text.find(CLOSE).is_some_and(|at| at < said), "{text:?}");
}

#[test]
fn a_window_of_another_size_is_filled_at_once() {
    if !has_terminals() {
        return skip("there is no script(1) here");
    }
    let scene = Scene::new();
    let _busy = busy(&scene);
    let terminal = Terminal::open(&scene, (80, 24), &[], &["top", "--interval", "200ms"]);
    // The sparkline grows with each look, so it is wide only when there is room.
    wait_until("there is something to see", || {
        terminal.text().contains("app.log")
    });
    terminal.resize(30, 8);
    let last = || {
        let text = terminal.text();
        let frames: Vec<_> = text.split("\u{1b}[H").collect();
        // The last one may be half there.
        frames[frames.len().saturating_sub(2)].to_string()
    };
    let widest = |frame: &str| frame.split("\u{1b}[K").map(visible).max();
    wait_until("it keeps to 30 columns and 8 rows", || {
        let frame = last();
        frame.contains("SOURCE") && widest(&frame) <= Some(30) && frame.matches("\r\n").count() < 8
    });
    terminal.resize(200, 50);
    wait_until("it takes the room", || widest(&last()) > Some(60));
    terminal.signal("TERM");
    assert_eq!(terminal.finish().0, 0);
}

/// Letters that a terminal shows of a line: without the sequences of colours.
fn visible(line: &str) -> usize {
    let mut count = 0;
    for (index, part) in line.trim().split('\u{1b}').enumerate() {
        let shown = if index == 0 {
            part
        } else {
            part.split_once('m').map_or("", |(_, rest)| rest)
        };
        count += shown.chars().count();
    }
    count
}

#[test]
fn no_color_and_a_dumb_terminal_are_respected() {
    if !has_terminals() {
        return skip("there is no script(1) here");
    }
    let scene = Scene::new();
    let terminal = Terminal::open(&scene, (80, 24), &[("NO_COLOR", "1")], &["top"]);
    terminal.wait_shows("SOURCE");
    terminal.signal("INT");
    assert!(!terminal.finish().1.contains("\u{1b}[1m"));
    let args = ["top", "--interval", "10ms", "--count", "2"];
    let (code, text) = Terminal::open(&scene, (80, 24), &[("TERM", "dumb")], &args).finish();
    assert_eq!(code, 0);
    assert!(
        !text.contains('\u{1b}') && text.matches("SOURCE").count() == 2,
        "{text:?}"
    );
}

#[test]
fn a_closed_pipe_is_a_quiet_end() {
    let scene = Scene::new();
    let tailcast = env!("CARGO_BIN_EXE_tailcast");
    let line = format!(
        "'{tailcast}' top --interval 10ms --redis {} | head -n 1",
        scene.redis.url()
    );
    let mut shell = std::process::Command::new("sh");
    let shell = shell
        .args(["-c", &line])
        .stderr(std::process::Stdio::piped());
    let mut child = shell
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("run sh");
    wait_within(Duration::from_secs(30), "both end", || {
        child.try_wait().expect("wait").is_some()
    });
    let output = child.wait_with_output().expect("read");
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
