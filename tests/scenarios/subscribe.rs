//! The subscriber: what it prints, to whom, and when it stops.

use std::process::{Command, Stdio};

use crate::util::*;

fn subscribe(scene: &Scene, args: &[&str]) -> Tailcast {
    scene
        .tailcast(&["subscribe", "--redis", &scene.redis.url()])
        .args(args)
}

fn wait_subscribed(scene: &Scene) {
    wait_until("tailcast subscribes", || {
        scene.redis.ask::<usize>(&["PUBSUB", "NUMPAT"]) >= 1
    });
}

/// What it says as soon as it listens.
fn ready(scene: &Scene, patterns: &str) -> String {
    let port = scene.redis.port;
    format!("tailcast: subscribed to {patterns} at redis 127.0.0.1:{port}\n")
}

fn publish(scene: &Scene, channel: &str, payload: &[u8]) {
    let mut connection = scene.redis.connect();
    redis::cmd("PUBLISH")
        .arg(channel)
        .arg(payload)
        .exec(&mut connection)
        .expect("publish");
}

#[test]
fn piped_output_is_the_raw_bytes_a_line_each() {
    let scene = Scene::new();
    let subscriber = subscribe(&scene, &["--count", "3"]).spawn();
    wait_subscribed(&scene);
    for payload in [
        &b"plain \xff\0\x1b[31m"[..],
        b"{\"type\":\"INFO\"}",
        b"last",
    ] {
        publish(&scene, "logs:UNKNOWN", payload);
    }
    let ended = subscriber.finish();
    assert_eq!((ended.code, ended.stderr), (0, ready(&scene, "logs:*")));
    assert_eq!(
        ended.stdout,
        b"plain \xff\0\x1b[31m\n{\"type\":\"INFO\"}\nlast\n"
    );
}

#[test]
fn a_line_is_printed_as_it_comes() {
    let scene = Scene::new();
    let subscriber = subscribe(&scene, &[]).spawn();
    wait_subscribed(&scene);
    for n in 0..5 {
        publish(&scene, "logs:INFO", line(n).as_bytes());
        wait_until("the line is printed", || {
            subscriber.stdout() == text(0..n + 1).as_bytes()
        });
    }
    subscriber.sigterm();
}

#[test]
fn count_ends_it_after_so_many_lines() {
    let scene = Scene::new();
    let subscriber = subscribe(&scene, &["--count", "2"]).spawn();
    wait_subscribed(&scene);
    for n in 0..10 {
        publish(&scene, "logs:INFO", line(n).as_bytes());
    }
    let ended = subscriber.finish();
    assert_eq!((ended.code, ended.stdout), (0, text(0..2).into_bytes()));
}

#[test]
fn type_prints_only_these_types_and_count_counts_what_is_printed() {
    let scene = Scene::new();
    let subscriber = subscribe(&scene, &["--type", "ERROR,WARNING", "--count", "2"]).spawn();
    wait_subscribed(&scene);
    for (n, kind) in ["INFO", "ERROR", "DEBUG", "UNKNOWN", "WARNING", "ERROR"]
        .into_iter()
        .enumerate()
    {
        publish(
            &scene,
            &format!("logs:{kind}"),
            format!("{{\"type\":\"{kind}\",\"n\":{n}}}").as_bytes(),
        );
    }
    let ended = subscriber.finish();
    assert_eq!(
        String::from_utf8_lossy(&ended.stdout),
        "{\"type\":\"ERROR\",\"n\":1}\n{\"type\":\"WARNING\",\"n\":4}\n"
    );
}

#[test]
fn patterns_choose_the_channels() {
    let scene = Scene::new();
    let subscriber = subscribe(&scene, &["a:*", "b:x", "--count", "2"]).spawn();
    wait_until("tailcast subscribes", || {
        scene.redis.ask::<usize>(&["PUBSUB", "NUMPAT"]) >= 2
    });
    for channel in ["logs:INFO", "a:1", "b:y", "b:x"] {
        publish(&scene, channel, channel.as_bytes());
    }
    assert_eq!(subscriber.finish().stdout, b"a:1\nb:x\n");
}

#[test]
fn a_line_that_several_patterns_match_is_printed_once() {
    let scene = Scene::new();
    let patterns = ["logs:*", "*", "logs:I*", "other"];
    let subscriber = subscribe(&scene, &patterns).spawn();
    wait_until("it subscribes", || {
        scene.redis.ask::<usize>(&["PUBSUB", "NUMPAT"]) == patterns.len()
    });
    let sent = [
        ("logs:INFO", "twice"),
        ("logs:INFO", "twice"),
        ("x", "twice"),
        ("logs:INFO", "once"),
    ];
    for (channel, payload) in sent {
        publish(&scene, channel, payload.as_bytes());
    }
    wait_until("the last line is printed", || {
        subscriber.stdout().ends_with(b"once\n")
    });
    assert_eq!(subscriber.sigterm().stdout, b"twice\ntwice\ntwice\nonce\n");
}

#[test]
fn a_closed_pipe_is_a_quiet_exit() {
    let scene = Scene::new();
    let script = "\"$0\" subscribe --redis \"$1\" | head -n 1; echo \"${PIPESTATUS[0]}\"";
    let mut shell = Command::new("bash");
    shell.args([
        "-c",
        script,
        env!("CARGO_BIN_EXE_tailcast"),
        &scene.redis.url(),
    ]);
    let mut shell = shell
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run bash");
    wait_subscribed(&scene);
    let mut n = 0;
    // It can only notice when it writes again.
    wait_until("both have ended", || {
        publish(&scene, "logs:INFO", line(n).as_bytes());
        n += 1;
        shell.try_wait().expect("wait").is_some()
    });
    let output = shell.wait_with_output().expect("read");
    assert_eq!(String::from_utf8_lossy(&output.stdout), text(0..1) + "0\n");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        ready(&scene, "logs:*")
    );
}

#[test]
fn it_says_that_it_listens_also_when_redis_came_later() {
    let mut scene = Scene::new();
    scene.redis.kill();
    let subscriber = subscribe(&scene, &[]).spawn();
    subscriber.wait_says("trying again");
    scene.redis.restart();
    let said = subscriber.wait_says(&ready(&scene, "logs:*"));
    assert!(
        !said.contains("meanwhile"),
        "nothing was heard before: {said}"
    );
    subscriber.sigterm();
}

#[test]
fn it_says_what_it_reads() {
    let scene = Scene::new();
    for (args, what) in [
        (&["jobs", "--mode", "list"][..], "the list jobs"),
        (&["--mode", "stream"], "the stream logs"),
        (
            &["--mode", "stream", "--group", "g", "--consumer", "a"],
            "group g of logs as a",
        ),
    ] {
        let subscriber = subscribe(&scene, args).spawn();
        subscriber.wait_says(&ready(&scene, what));
        subscriber.sigterm().assert_success();
    }
}

#[test]
fn it_says_that_it_listens_when_nothing_is_missed_any_more() {
    let scene = Scene::new();
    let subscriber = subscribe(&scene, &["a:*", "b:x", "--count", "1"]).spawn();
    subscriber.wait_says(&ready(&scene, "a:*, b:x"));
    publish(&scene, "b:x", b"heard");
    assert_eq!(subscriber.finish().stdout, b"heard\n");
}

#[test]
fn a_lost_connection_is_taken_up_again_and_the_gap_said() {
    let mut scene = Scene::new();
    let subscriber = subscribe(&scene, &[]).spawn();
    wait_subscribed(&scene);
    publish(&scene, "logs:INFO", line(0).as_bytes());
    wait_until("the first line is printed", || {
        subscriber.stdout() == text(0..1).as_bytes()
    });
    assert_eq!(
        scene
            .redis
            .ask::<usize>(&["CLIENT", "KILL", "TYPE", "pubsub"]),
        1
    );
    subscriber.wait_says("trying again");
    wait_subscribed(&scene);
    publish(&scene, "logs:INFO", line(1).as_bytes());
    wait_until("the second line is printed", || {
        subscriber.stdout() == text(0..2).as_bytes()
    });
    scene.redis.kill();
    scene.redis.restart();
    wait_subscribed(&scene);
    publish(&scene, "logs:INFO", line(2).as_bytes());
    wait_until("the third line is printed", || {
        subscriber.stdout() == text(0..3).as_bytes()
    });
    let said = subscriber.sigterm().stderr;
    assert!(
        said.contains("meanwhile, or that Redis still held for this subscriber, are missing"),
        "it does not claim to know how much is missing: {said}"
    );
}

#[test]
fn a_redis_that_comes_later_is_waited_for() {
    let mut scene = Scene::new();
    scene.redis.kill();
    let subscriber = subscribe(&scene, &["--count", "1"]).spawn();
    subscriber.wait_says("127.0.0.1");
    scene.redis.restart();
    wait_subscribed(&scene);
    publish(&scene, "logs:INFO", line(0).as_bytes());
    assert_eq!(subscriber.finish().stdout, text(0..1).as_bytes());
}

#[test]
fn a_flood_is_printed_whole() {
    let scene = Scene::new();
    let subscriber = subscribe(&scene, &["--count", "100000"]).spawn();
    wait_subscribed(&scene);
    scene.append("app.log", text(0..100_000));
    scene.once("app.log");
    let ended = subscriber.finish();
    assert!(
        ended.stdout == text(0..100_000).into_bytes(),
        "output differs"
    );
}

/// What `tailcast subscribe` shows on a terminal for these payloads; None where there is no `script`.
fn shown_on_a_terminal(payloads: &[&[u8]], envs: &[(&str, &str)]) -> Option<Vec<u8>> {
    if !installed("script") {
        skip("script (util-linux) is not installed");
        return None;
    }
    let scene = Scene::new();
    let line = format!(
        "{} subscribe --redis {} --count {}",
        env!("CARGO_BIN_EXE_tailcast"),
        scene.redis.url(),
        payloads.len()
    );
    let mut command = Command::new("script");
    command
        .args(["-qec", &line, "/dev/null"])
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .envs(envs.iter().copied());
    let script = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("run script");
    wait_subscribed(&scene);
    for payload in payloads {
        publish(&scene, "logs:INFO", payload);
    }
    let output = script.wait_with_output().expect("read");
    assert!(output.status.success(), "{output:?}");
    Some(output.stdout)
}

const HOSTILE: [&[u8]; 6] = [
    b"{\"timestamp\":\"2026-01-31T08:15:30Z\",\"type\":\"INFO\",\"message\":\"clear \\u001b[2J bell \\u0007\"}",
    b"raw clear \x1b[2J bell \x07 back \x08\x08 return \r overwritten",
    b"{\"type\":\"\\u001b]0;title\\u0007\",\"message\":\"title\"}",
    b"C1 \xc2\x9b2J and alone \x9b2J",
    b"{\"timestamp\":\"\\u001b[31m\",\"type\":\"INFO\",\"message\":\"time\"}",
    b"two\nlines \x7f",
];

#[test]
fn control_characters_never_reach_a_terminal() {
    for plain in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        assert_no_control_character(plain);
    }
}

fn assert_no_control_character(plain: (&str, &str)) {
    let Some(shown) = shown_on_a_terminal(&HOSTILE, &[plain]) else {
        return;
    };
    let shown_text = String::from_utf8_lossy(&shown).into_owned();
    let bad = shown_text
        .chars()
        .find(|c| c.is_control() && !"\r\n".contains(*c));
    assert_eq!(bad, None, "{shown_text:?}");
    assert!(
        !shown.windows(2).any(|w| w[0] == b'\r' && w[1] != b'\n'),
        "a bare return: {shown_text:?}"
    );
    assert_eq!(
        shown_text.lines().count(),
        1 + HOSTILE.len(),
        "a line each, behind the one that it is ready: {shown_text:?}"
    );
    assert!(
        shown_text.contains("clear") && shown_text.contains("overwritten"),
        "{shown_text:?}"
    );
}

#[test]
fn colours_are_the_only_escapes_on_a_terminal() {
    let Some(shown) = shown_on_a_terminal(&HOSTILE, &[]) else {
        return;
    };
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(shown.contains("\x1b["), "coloured: {shown:?}");
    for after in shown.split('\x1b').skip(1) {
        let body = after
            .strip_prefix('[')
            .unwrap_or_else(|| panic!("not a colour: {after:?}"));
        let end = body
            .find(|c: char| !c.is_ascii_digit() && c != ';')
            .expect("an end");
        assert_eq!(&body[end..=end], "m", "not a colour: {after:?}");
    }
    assert!(!shown.contains("\x1b[2J"), "{shown:?}");
}

#[test]
fn a_terminal_gets_time_type_and_message() {
    let Some(shown) = shown_on_a_terminal(&[HOSTILE[0]], &[("NO_COLOR", "1")]) else {
        return;
    };
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(
        shown.contains("08:15:30") && shown.contains("INFO") && shown.contains("clear"),
        "{shown:?}"
    );
    assert!(!shown.contains('{'), "pretty, not raw: {shown:?}");
}

#[test]
fn a_format_may_be_asked_for() {
    let scene = Scene::new();
    let subscriber = subscribe(&scene, &["--format", "pretty", "--count", "1"]).spawn();
    wait_subscribed(&scene);
    publish(
        &scene,
        "logs:INFO",
        b"{\"type\":\"INFO\",\"message\":\"hello\"}",
    );
    let shown = String::from_utf8(subscriber.finish().stdout).expect("UTF-8");
    assert!(
        shown.contains("INFO") && shown.contains("hello") && !shown.contains('{'),
        "{shown:?}"
    );
}
