//! Input that nobody wants to see, and what it gets: the message names the file or flag and the way out.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::util::*;

/// Publishes these bytes with `--once`; what arrived, as (channel, payload).
fn publish(scene: &Scene, bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let oracle = scene.subscriber();
    scene.append("app.log", bytes);
    scene.once("app.log");
    oracle.settle();
    oracle
        .messages()
        .into_iter()
        .map(|m| (m.channel, m.payload))
        .collect()
}

#[test]
fn lines_that_are_not_json_are_published_as_their_own_bytes() {
    let odd: [&[u8]; 8] = [
        b"Nov 24 08:15:30 host sshd[1]: hello",
        b"\xff\xfe invalid UTF-8 \xc3\x28",
        b"a NUL \0 in \0\0 the line",
        b"{\"type\":\"INFO\"",
        b"  leading and trailing blanks  ",
        b"{\"type\":5}",
        b"[\"type\",\"INFO\"]",
        b"\x1b[31mred\x1b[0m\x07",
    ];
    let mut bytes = odd.join(&b'\n');
    bytes.push(b'\n');
    let arrived = publish(&Scene::new(), &bytes);
    let expected: Vec<_> = odd
        .iter()
        .map(|l| ("logs:UNKNOWN".to_string(), l.to_vec()))
        .collect();
    assert_eq!(arrived, expected);
}

#[test]
fn a_type_that_could_not_be_a_channel_goes_to_unknown() {
    let long = "x".repeat(65);
    for odd in ["", "a b", "a:b", "INFO\\n", "ä", "*", &long] {
        let line = format!("{{\"type\":\"{odd}\"}}\n");
        let arrived = publish(&Scene::new(), line.as_bytes());
        assert_eq!(arrived[0].0, "logs:UNKNOWN", "{odd:?}");
    }
    let longest = "x".repeat(64);
    for fine in ["INFO", "a.b-c_9", &longest] {
        let arrived = publish(
            &Scene::new(),
            format!("{{\"type\":\"{fine}\"}}\n").as_bytes(),
        );
        assert_eq!(arrived[0].0, format!("logs:{fine}"));
    }
}

#[test]
fn only_the_top_level_type_decides() {
    let arrived = publish(
        &Scene::new(),
        b"{\"a\":{\"type\":\"ERROR\"},\"b\":\"\\\"type\\\":\\\"DEBUG\\\"\",\"type\":\"INFO\"}\n",
    );
    assert_eq!(arrived[0].0, "logs:INFO");
}

#[test]
fn a_line_over_the_limit_is_skipped_whole_and_the_next_is_intact() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let (before, fits, over) = (text(0..1), "f".repeat(1000), "o".repeat(1001));
    scene.append("app.log", format!("{before}{fits}\n{over}\n{}", text(1..2)));
    let run = scene
        .watch("app.log")
        .args(["--once", "--max-line", "1000"])
        .run();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_exactly(&[line(0), fits, line(1)], &oracle.settle());
    let message: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(message.len(), 1, "one message: {message:?}");
    let offset = (before.len() + 1001).to_string();
    for part in [
        scene.path("app.log").to_str().expect("UTF-8"),
        &offset,
        "1001",
    ] {
        assert!(message[0].contains(part), "names {part}: {}", message[0]);
    }
    assert_eq!(scene.offset("app.log"), scene.read("app.log").len() as u64);
}

#[test]
fn memory_does_not_grow_with_a_line_over_the_limit() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..1));
    let watcher = scene.watch("app.log").args(["--max-line", "64KiB"]).spawn();
    oracle.wait_for(1);
    let block = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        scene.append("app.log", &block);
    }
    scene.append("app.log", format!("\n{}", text(1..2)));
    oracle.wait_for_line(line(1));
    assert!(
        watcher.memory("VmHWM") < 16 * 1024,
        "{} KiB",
        watcher.memory("VmHWM")
    );
    scene.assert_arrives(watcher, &oracle, &lines(0..2));
}

#[test]
fn an_unterminated_last_line_waits_for_its_newline() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let whole = line(1);
    let (half, rest) = whole.split_at(9);
    scene.append("app.log", text(0..1) + half);
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(1);
    watcher.sigterm();
    // Across --once runs and across restarts it is not a line.
    scene.once("app.log");
    assert_exactly(&lines(0..1), &oracle.settle());
    assert_eq!(scene.offset("app.log"), text(0..1).len() as u64);
    let watcher = scene.watch("app.log").spawn();
    scene.append("app.log", format!("{rest}\n"));
    scene.assert_arrives(watcher, &oracle, &lines(0..2));
}

#[test]
fn a_line_written_byte_by_byte_arrives_whole() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", "");
    let watcher = scene.watch("app.log").args(["--poll", "1ms"]).spawn();
    for byte in text(0..3).bytes() {
        scene.append("app.log", [byte]);
        std::thread::yield_now();
    }
    scene.assert_arrives(watcher, &oracle, &lines(0..3));
}

#[test]
fn empty_lines_are_skipped_and_carriage_returns_before_the_newline_dropped() {
    let arrived = publish(
        &Scene::new(),
        b"\n\r\none\r\n\n\n\rtwo\rthree\r\r\nfour\n\r\n",
    );
    let payloads: Vec<_> = arrived
        .iter()
        .map(|(_, p)| String::from_utf8_lossy(p).into_owned())
        .collect();
    assert_eq!(payloads, ["one", "\rtwo\rthree\r", "four"]);
}

#[test]
fn a_missing_file_is_waited_for() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let watcher = scene.watch("app.log").spawn();
    wait_until("the watcher took the record or said that it waits", || {
        !watcher.complaints().is_empty() || scene.redis.ask::<usize>(&["DBSIZE"]) > 0
    });
    scene.append("app.log", text(0..3));
    scene.assert_arrives(watcher, &oracle, &lines(0..3));
}

#[test]
fn once_on_a_missing_file_fails_naming_it() {
    let scene = Scene::new();
    let run = scene.watch("app.log").arg("--once").run();
    run.assert_fails(1, &[scene.path("app.log").to_str().expect("UTF-8")]);
}

#[test]
fn a_folder_is_refused_with_the_reason() {
    let scene = Scene::new();
    fs::create_dir(scene.path("app.log")).expect("create a folder");
    for once in [&["--once"][..], &[]] {
        let run = scene.watch("app.log").args(once).run();
        run.assert_fails(
            1,
            &[scene.path("app.log").to_str().expect("UTF-8"), "directory"],
        );
    }
}

#[test]
fn an_unreadable_file_is_refused_with_the_reason() {
    let scene = Scene::new();
    scene.append("app.log", text(0..3));
    fs::set_permissions(scene.path("app.log"), fs::Permissions::from_mode(0o0)).expect("chmod");
    let Some(mortal) = without_privilege() else {
        return skip("root here reads everything");
    };
    for once in [&["--once"][..], &[]] {
        let run = scene.watch("app.log").args(once).under(mortal).run();
        run.assert_fails(
            1,
            &[
                scene.path("app.log").to_str().expect("UTF-8"),
                "permission denied",
            ],
        );
    }
}

#[test]
fn a_state_folder_that_cannot_be_written_is_refused_at_the_start() {
    let scene = Scene::new();
    scene.append("app.log", text(0..3));
    let oracle = scene.subscriber();
    fs::write(scene.home().join("file"), "").expect("write a file");
    let below_a_file = scene.home().join("file/state");
    let run = scene
        .tailcast(&[
            "watch",
            "--once",
            "--redis",
            &scene.redis.url(),
            "--state-dir",
        ])
        .arg(&below_a_file);
    run.arg(scene.path("app.log"))
        .run()
        .assert_fails(1, &[scene.home().join("file").to_str().expect("UTF-8")]);
    if let Some(mortal) = without_privilege() {
        fs::set_permissions(scene.state_dir(), fs::Permissions::from_mode(0o500)).expect("chmod");
        let run = scene.watch("app.log").arg("--once").under(mortal).run();
        run.assert_fails(
            1,
            &[
                scene.state_dir().to_str().expect("UTF-8"),
                "permission denied",
            ],
        );
    }
    assert_eq!(
        oracle.settle().len(),
        0,
        "nothing is published that could not be remembered"
    );
}

/// A wrapper under which even root is bound by file modes; None where there is no way.
fn without_privilege() -> Option<&'static [&'static str]> {
    let probe = |wrapper: &[&str]| {
        let (program, args) = wrapper.split_first().expect("a program");
        let dir = tempfile::TempDir::new().expect("create a folder");
        let file = dir.path().join("unreadable");
        fs::write(&file, "").expect("write a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o0)).expect("chmod");
        let script = "test ! -r \"$0\"";
        let mut command = std::process::Command::new(program);
        command
            .args(args)
            .args(["sh", "-c", script])
            .arg(file)
            .stderr(std::process::Stdio::null());
        command.status().is_ok_and(|s| s.success())
    };
    let ways: [&'static [&'static str]; 2] = [
        &["env"],
        &[
            "setpriv",
            "--bounding-set",
            "-dac_override,-dac_read_search",
        ],
    ];
    ways.into_iter().find(|way| probe(way))
}

#[test]
fn a_checkpoint_that_is_not_one_is_an_error_and_stays_as_it_is() {
    let good = "10 0 2049:131 10:9f86d081884c7d65";
    let foreign = format!("{good} /somebody/elses.log\n");
    let cases = [
        "",
        "\n",
        "abc\n",
        "-5\n",
        "12 twelve\n",
        "99999999999999999999999 0 1:2 0:0 /x\n",
        "\u{0}\u{0}\u{0}\u{0}",
        "10 0 2049:131\n",
        &foreign,
    ];
    for case in cases {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        scene.append("app.log", text(0..9));
        let checkpoint = scene.checkpoint_path("app.log");
        fs::write(&checkpoint, case).expect("write a checkpoint");
        for once in [&["--once"][..], &[]] {
            let run = scene.watch("app.log").args(once).run();
            run.assert_fails(1, &[checkpoint.to_str().expect("UTF-8")]);
            let way_out = ["--reset", "remove", "delete"]
                .iter()
                .any(|w| run.stderr.contains(w));
            assert!(way_out, "{case:?}: names the way out: {}", run.stderr);
            assert_eq!(
                fs::read_to_string(&checkpoint).expect("still there"),
                case,
                "left as it is"
            );
        }
        assert_eq!(oracle.settle().len(), 0, "{case:?}");
    }
}

#[test]
fn reset_is_a_way_out_of_a_malformed_checkpoint() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..9));
    fs::write(scene.checkpoint_path("app.log"), "abc\n").expect("write a checkpoint");
    scene
        .watch("app.log")
        .args(["--once", "--reset"])
        .run()
        .assert_silent_success();
    assert_exactly(&lines(0..9), &oracle.settle());
    assert_eq!(scene.offset("app.log"), text(0..9).len() as u64);
}

#[test]
fn wrong_usage_exits_2_naming_what_is_wrong() {
    let scene = Scene::new();
    let cases: &[(&[&str], &str)] = &[
        (&["watch", "--nonsense", "app.log"], "--nonsense"),
        (&["watch", "-x", "app.log"], "-x"),
        (&["watch", "app.log", "--target"], "--target"),
        (&["watch", "app.log", "--poll", "banana"], "--poll"),
        (&["watch", "app.log", "--poll", "-1s"], "--poll"),
        (&["watch", "app.log", "--poll", "5 parsecs"], "--poll"),
        (&["watch", "app.log", "--rotate-wait=soon"], "--rotate-wait"),
        (&["watch", "app.log", "--timeout", ""], "--timeout"),
        (
            &["watch", "app.log", "--checkpoint-lines", "many"],
            "--checkpoint-lines",
        ),
        (
            &["watch", "app.log", "--checkpoint-interval", "1x"],
            "--checkpoint-interval",
        ),
        (&["watch", "app.log", "--batch-lines", "0"], "--batch-lines"),
        (&["watch", "app.log", "--max-line", "12XB"], "--max-line"),
        (&["watch", "app.log", "--mode", "carrier-pigeon"], "--mode"),
        (&["watch", "app.log", "--from", "middle"], "--from"),
        (
            &["watch", "app.log", "--delivery", "sometimes"],
            "--delivery",
        ),
        (&["generate", "--count", "-1"], "--count"),
        (&["generate", "--interval", "now"], "--interval"),
        (&["subscribe", "--format", "xml"], "--format"),
        (&["subscribe", "--count", "x"], "--count"),
        (&["status", "--max-lag", "lots"], "--max-lag"),
        (&["fly"], "fly"),
        (&[], "watch"),
    ];
    for (args, named) in cases {
        let run = scene.tailcast(args).run();
        run.assert_fails(2, &[named]);
        assert_eq!(run.stdout, b"", "{args:?}: stdout is data");
    }
}

#[test]
fn a_message_about_a_value_says_what_the_flag_takes() {
    let scene = Scene::new();
    let cases = [
        ("--mode", "pubsub"),
        ("--from", "end"),
        ("--delivery", "at-least-once"),
        ("--poll", "ms"),
    ];
    for (flag, taken) in cases {
        scene
            .tailcast(&["watch", "app.log", flag, "!"])
            .run()
            .assert_fails(2, &[flag, taken]);
    }
}

#[test]
fn help_and_version_are_data_and_succeed() {
    let scene = Scene::new();
    for args in [
        &["help"][..],
        &["--help"],
        &["help", "watch"],
        &["watch", "--help"],
        &["--version"],
    ] {
        let run = scene.tailcast(args).run();
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{args:?}");
        assert!(
            String::from_utf8_lossy(&run.stdout).contains("tailcast"),
            "{args:?}"
        );
    }
}

#[test]
fn a_bad_redis_url_is_bad_usage_and_never_shows_its_password() {
    let scene = Scene::new();
    scene.append("app.log", text(0..1));
    let urls = [
        "http://user:s3cret@127.0.0.1/",
        "redis://:s3cret@127.0.0.1:notaport/",
        "redis://:s3cret@127.0.0.1:6379/notanumber",
        ":s3cret@127.0.0.1",
    ];
    for url in urls {
        for args in [
            &["watch", "--once", "app.log"][..],
            &["subscribe"],
            &["watch", "app.log"],
        ] {
            let flag = scene.tailcast(args).args(["--redis", url]).run();
            let variable = scene.tailcast(args).env("REDIS_URL", url).run();
            for run in [flag, variable] {
                run.assert_fails(2, &[]);
                assert!(
                    run.stderr.to_lowercase().contains("redis"),
                    "{url}: {}",
                    run.stderr
                );
                assert!(!run.stderr.contains("s3cret"), "{url}: {}", run.stderr);
            }
        }
    }
}

#[test]
fn a_user_without_a_password_does_not_connect_as_the_default_user() {
    let scene = Scene::new();
    scene.append("app.log", text(0..1));
    let oracle = scene.subscriber();
    let url = format!("redis://bob@127.0.0.1:{}/", scene.redis.port);
    let run = scene.watch_through(&url, "app.log").arg("--once").run();
    run.assert_fails(2, &["its user has no password"]);
    assert_exactly::<&str, _>(&[], &oracle.settle());
}

#[test]
fn a_password_is_never_shown_when_redis_is_absent_or_refuses_it() {
    let scene = Scene::with(Redis::start_with(&["--requirepass", "the-right-one"]));
    scene.append("app.log", text(0..1));
    let wrong = format!("redis://:s3cret@127.0.0.1:{}/", scene.redis.port);
    let run = scene
        .watch_through(&wrong, "app.log")
        .arg("-v")
        .arg("--once")
        .run();
    run.assert_fails(1, &["password"]);
    assert!(!run.stderr.contains("s3cret"), "{}", run.stderr);
    let absent = format!("redis://:s3cret@127.0.0.1:{}/", free_port());
    let run = scene
        .watch_through(&absent, "app.log")
        .args(["-v", "--once", "--timeout", "300ms"])
        .run();
    run.assert_fails(75, &["127.0.0.1"]);
    assert!(!run.stderr.contains("s3cret"), "{}", run.stderr);
}
