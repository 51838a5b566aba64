//! From the generator to the subscriber: what was written is what arrives.

use std::fs;
use std::time::{Duration, Instant};

use crate::util::*;

fn generate(scene: &Scene, count: &str) {
    let file = scene.path("app.log");
    let run = scene
        .tailcast(&[
            "generate",
            "--interval",
            "0",
            "--quiet",
            "--seed",
            "7",
            "--count",
            count,
        ])
        .arg(file)
        .run();
    run.assert_silent_success();
}

#[test]
fn ten_thousand_generated_lines_arrive_as_they_were_written() {
    let scene = Scene::new();
    generate(&scene, "10000");
    let oracle = scene.subscriber();
    scene.once("app.log");
    let file = scene.read("app.log");
    let written = published_lines(&file);
    assert_eq!(written.len(), 10_000);
    assert_exactly(&written, &oracle.settle());
    assert_eq!(scene.offset("app.log"), file.len() as u64);
}

#[test]
fn each_line_goes_to_the_channel_of_its_type() {
    let scene = Scene::new();
    generate(&scene, "200");
    let oracle = scene.subscriber();
    scene.once("app.log");
    oracle.wait_for(200);
    for message in oracle.messages() {
        let line: serde_json::Value = serde_json::from_slice(&message.payload).expect("JSON");
        assert_eq!(
            message.channel,
            format!("logs:{}", line["type"].as_str().expect("a type"))
        );
    }
}

#[test]
fn a_second_once_publishes_nothing_and_says_nothing() {
    let scene = Scene::new();
    generate(&scene, "1000");
    scene.once("app.log");
    let oracle = scene.subscriber();
    let before = scene.checkpoint("app.log");
    scene.once("app.log");
    assert_eq!(oracle.settle().len(), 0);
    assert_eq!(scene.checkpoint("app.log"), before);
}

#[test]
fn once_publishes_only_what_came_since_the_last_once() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    for part in [0..10, 10..11, 11..300] {
        scene.append("app.log", text(part));
        scene.once("app.log");
    }
    assert_exactly(&lines(0..300), &oracle.settle());
}

#[test]
fn once_on_an_empty_file_succeeds_and_publishes_nothing() {
    let scene = Scene::new();
    scene.append("app.log", "");
    let oracle = scene.subscriber();
    scene.once("app.log");
    assert_eq!(oracle.settle().len(), 0);
}

#[test]
fn what_a_subscriber_writes_is_the_file() {
    let scene = Scene::new();
    generate(&scene, "10000");
    let subscriber = scene
        .tailcast(&[
            "subscribe",
            "--redis",
            &scene.redis.url(),
            "--count",
            "10000",
        ])
        .spawn();
    wait_until("tailcast subscribes", || {
        scene.redis.ask::<usize>(&["PUBSUB", "NUMPAT"]) == 1
    });
    scene.once("app.log");
    let ended = subscriber.finish();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stdout == scene.read("app.log"),
        "the subscriber's output differs from the log"
    );
}

#[test]
fn a_line_is_at_the_subscriber_within_a_tenth_of_a_second() {
    let scene = Scene::new();
    scene.append("app.log", text(0..1));
    let oracle = scene.subscriber();
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(1);
    // The median: a loaded machine may be late now and then.
    let mut delays: Vec<Duration> = (1..22)
        .map(|n| {
            let start = Instant::now();
            scene.append("app.log", text(n..n + 1));
            oracle.wait_for(n + 1);
            start.elapsed()
        })
        .collect();
    delays.sort();
    assert!(
        delays[delays.len() / 2] < Duration::from_millis(100),
        "{delays:?}"
    );
    scene.assert_arrives(watcher, &oracle, &lines(0..22));
}

#[test]
fn the_redis_url_may_come_from_the_environment() {
    let scene = Scene::new();
    scene.append("app.log", text(0..3));
    let oracle = scene.subscriber();
    let run = scene
        .tailcast(&["watch", "--once", "--state-dir"])
        .arg(scene.state_dir())
        .arg(scene.path("app.log"));
    run.env("REDIS_URL", scene.redis.url())
        .run()
        .assert_silent_success();
    assert_exactly(&lines(0..3), &oracle.settle());
}

#[test]
fn a_unix_socket_will_do() {
    let socket_dir = tempfile::TempDir::new().expect("create a folder");
    let socket = socket_dir.path().join("redis.sock");
    let socket = socket.to_str().expect("UTF-8");
    let scene = Scene::with(Redis::start_with(&["--unixsocket", socket]));
    scene.append("app.log", text(0..3));
    let oracle = scene.subscriber();
    let url = format!("redis+unix://{socket}");
    scene
        .watch_through(&url, "app.log")
        .arg("--once")
        .run()
        .assert_silent_success();
    assert_exactly(&lines(0..3), &oracle.settle());
}

#[test]
fn the_state_folder_follows_systemd_then_xdg_then_home() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let checkpoint = scene.checkpoint_path("app.log");
    let checkpoint = checkpoint.file_name().expect("a name");
    let (systemd, xdg) = (scene.home().join("systemd"), scene.home().join("xdg"));
    fs::create_dir(&systemd).expect("create a folder");
    let bare = || {
        scene
            .tailcast(&["watch", "--once", "--redis", &scene.redis.url()])
            .arg(scene.path("app.log"))
    };
    scene.append("app.log", text(0..1));
    bare()
        .env("STATE_DIRECTORY", &systemd)
        .env("XDG_STATE_HOME", &xdg)
        .run()
        .assert_silent_success();
    assert!(systemd.join(checkpoint).exists());
    bare()
        .env("XDG_STATE_HOME", &xdg)
        .run()
        .assert_silent_success();
    assert!(xdg.join("tailcast").join(checkpoint).exists());
    bare().run().assert_silent_success();
    assert!(
        scene
            .home()
            .join(".local/state/tailcast")
            .join(checkpoint)
            .exists()
    );
    // The commit record in Redis is one for all three: so the line is not repeated.
    assert_exactly(&lines(0..1), &oracle.settle());
}

#[test]
fn logs_that_nobody_here_wrote_go_through_byte_for_byte() {
    let logs = [
        "/var/log/dpkg.log",
        "/var/log/apt/term.log",
        "/var/log/apt/history.log",
        "/var/log/bootstrap.log",
    ];
    let found: Vec<Vec<u8>> = logs
        .iter()
        .filter_map(|path| fs::read(path).ok())
        .filter(|b| !b.is_empty())
        .collect();
    if found.is_empty() {
        return skip("this machine has none of Debian's logs");
    }
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let mut written = Vec::new();
    for (n, bytes) in found.iter().enumerate() {
        let name = format!("real-{n}.log");
        scene.append(&name, bytes);
        scene.once(&name);
        written.extend(published_lines(bytes));
    }
    assert_exactly(&written, &oracle.settle());
    assert!(
        oracle
            .messages()
            .iter()
            .all(|m| m.channel == "logs:UNKNOWN")
    );
}

#[test]
fn the_generator_repeats_itself_with_a_seed_and_only_then() {
    let scene = Scene::new();
    let run = |seed: &[&str]| {
        let ended = scene
            .tailcast(&[
                "generate",
                "-",
                "--interval",
                "0",
                "--count",
                "50",
                "--quiet",
            ])
            .args(seed)
            .run();
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        // Timestamps are the clock's: what remains is type and message.
        let text = String::from_utf8(ended.stdout).expect("UTF-8");
        text.lines()
            .map(|l| l.split_once(r#","type":"#).expect("a type").1.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(run(&["--seed", "5"]), run(&["--seed", "5"]));
    assert_ne!(run(&["--seed", "5"]), run(&["--seed", "6"]));
    assert_ne!(run(&[]), run(&[]));
}

#[test]
fn the_generator_writes_lines_of_the_documented_form() {
    let scene = Scene::new();
    generate(&scene, "500");
    let messages = [
        "User logged in",
        "Failed login attempt",
        "Database connection error",
        "API request received",
        "Data processing completed",
    ];
    for line in published_lines(&scene.read("app.log")) {
        let line = String::from_utf8(line).expect("UTF-8");
        let json: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let field = |name: &str| {
            json[name]
                .as_str()
                .unwrap_or_else(|| panic!("{name} in {line}"))
        };
        assert!(
            ["INFO", "WARNING", "ERROR", "DEBUG"].contains(&field("type")),
            "{line}"
        );
        assert!(messages.contains(&field("message")), "{line}");
        assert_eq!(
            (field("timestamp").len(), &field("timestamp")[26..]),
            (27, "Z"),
            "{line}"
        );
        assert!(line.starts_with(r#"{"timestamp":"20"#), "{line}");
    }
}
