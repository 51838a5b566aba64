//! Words of strangers: what a file is called and what a server answers reach a terminal only as letters that one sees, and
//! no answer brings a password to light.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::util::*;

/// Reorders, hides, ends a line, commands: none of it is for a terminal.
const HAZARDS: [char; 8] = [
    '\u{202e}',
    '\u{2066}',
    '\u{200b}',
    '\u{2028}',
    '\u{feff}',
    '\u{9b}',
    '\u{7f}',
    '\u{e0041}',
];

#[test]
fn a_name_that_hides_or_reorders_letters_is_shown_as_it_is_by_every_command() {
    let scene = Scene::new();
    let name = format!("gol{}.log", HAZARDS.iter().collect::<String>());
    scene.append(&name, text(0..3));
    scene.once(&name);
    scene.append(&name, text(3..5));
    let url = scene.redis.url();
    let common = ["--redis", &url];
    let with_file = |args: &[&str]| {
        let run = scene.tailcast(args).args(common).arg("--state-dir");
        run.arg(scene.state_dir()).arg(scene.path(&name)).run()
    };
    let top = ["top", "--interval", "10ms", "--count", "1"];
    for (what, run) in [
        ("status", with_file(&["status"])),
        ("status --json", with_file(&["status", "--json"])),
        ("check", with_file(&["check"])),
        ("check --json", with_file(&["check", "--json"])),
        ("watch", with_file(&["watch", "--once", "-v"])),
        ("top", scene.tailcast(&top).args(common).run()),
    ] {
        let said = String::from_utf8(run.stdout).expect("UTF-8") + &run.stderr;
        assert!(!said.contains(HAZARDS), "{what}: {said:?}");
        // Of an old name `top` shows the end.
        assert!(
            said.contains(r"\u{e0041}.log") || said.contains(r"\udb40\udc41.log"),
            "{what}: {said}"
        );
        assert!(
            !what.ends_with("json") || serde_json::from_str::<serde_json::Value>(&said).is_ok(),
            "{said}"
        );
    }
}

/// What a server makes of what it gets on a connection.
type Answer = fn(&[u8]) -> Vec<u8>;

/// A server that answers in its own way, on a port of its own.
fn server(answer: Answer) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("listen");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = client.read(&mut bytes) {
                    if client.write_all(&answer(&bytes[..n])).is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

/// What each command says where the password is not taken.
fn says_of_login(scene: &Scene, port: u16) -> Vec<(&'static str, String)> {
    let url = format!("redis://bob:hunter2@127.0.0.1:{port}/");
    let command = |name: &'static str, args: &[&str], files: bool| {
        let mut run = scene.tailcast(&[name, "--redis", &url]).args(args);
        if files {
            run = run.arg("--state-dir").arg(scene.state_dir());
            run = run.arg(scene.path("app.log"));
        }
        let process = run.spawn();
        wait_until("it says why it has no Redis", || {
            let (out, err) = (process.stdout(), process.stderr());
            let out = String::from_utf8_lossy(&out);
            (err + &out).contains("the login is answered with")
        });
        signal(process.pid(), "KILL");
        let run = process.finish();
        (name, run.stderr + &String::from_utf8_lossy(&run.stdout))
    };
    vec![
        command("watch", &["--once", "--timeout", "2s", "-v"], true),
        command("status", &[], true),
        command("check", &[], true),
        command("subscribe", &[], false),
        command("top", &["--interval", "10ms"], false),
    ]
}

#[test]
fn no_command_shows_more_of_an_answer_to_the_password_than_its_code() {
    let redis = Redis::start_with(&["--rename-command", "AUTH", ""]);
    let scene = Scene::with(redis);
    scene.append("app.log", text(0..1));
    let echo: Answer = |bytes| bytes.to_vec();
    let blame: Answer = |bytes| {
        let words = String::from_utf8_lossy(bytes).replace("\r\n", " ");
        format!("-hunter2? bad command: {words}\r\n").into_bytes()
    };
    for port in [scene.redis.port, server(echo), server(blame)] {
        for (command, said) in says_of_login(&scene, port) {
            let is_shown = said.contains("hunter2") || said.contains("bob");
            assert!(!is_shown, "{command}: {said}");
        }
    }
}

#[test]
fn a_redis_url_that_is_none_is_bad_usage_in_every_command_and_is_not_shown() {
    let scene = Scene::new();
    for url in [
        "http://:hunter2@h",
        "redis://hunter2@h",
        "redis://u:12#hunter2@h",
        "hunter2",
    ] {
        for command in ["watch", "status", "check", "subscribe", "top"] {
            let run = scene.tailcast(&[command, "--redis", url]).run();
            run.assert_fails(2, &["--redis: "]);
            assert!(
                !run.stderr.contains("hunter2"),
                "{command} {url}: {}",
                run.stderr
            );
        }
    }
}
