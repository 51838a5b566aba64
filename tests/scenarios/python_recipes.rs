//! The Python programs of the documentation, run as they stand there.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use super::consumer_stream::send;
use crate::util::*;

/// The Python programs of a page, in order.
fn programs(page: &str) -> Vec<&str> {
    let blocks = page.split("```python\n").skip(1);
    blocks
        .map(|block| block.split("```").next().expect("a first part"))
        .collect()
}

fn of_readme(which: usize) -> &'static str {
    programs(include_str!("../../README.md"))[which]
}

/// A Python that has redis-py; without one, it says so.
fn redis_py() -> Option<String> {
    let python = python_with("redis", "redis");
    if python.is_none() {
        skip("redis-py cannot be installed here (Debian's package python3-redis)");
    }
    python
}

fn start(python: &str, scene: &Scene, program: &str) -> Child {
    Command::new(python)
        .args(["-c", program])
        .env("REDIS_URL", scene.redis.url())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python starts")
}

/// What a program prints that ends by itself.
fn printed(python: &str, scene: &Scene, program: &str) -> String {
    let ended = start(python, scene, program)
        .wait_with_output()
        .expect("the program ends");
    assert!(ended.status.success(), "{ended:?}");
    String::from_utf8(ended.stdout).expect("UTF-8")
}

#[test]
fn a_consumer_of_a_group_begins_with_what_was_left_in_its_hand() {
    let Some(python) = redis_py() else {
        return;
    };
    let scene = Scene::new();
    send(&scene, "stream", 0..500);
    let ask = |words: &[&str]| scene.redis.ask::<redis::Value>(words);
    ask(&["XGROUP", "CREATE", "logs", "py", "0"]);
    let left = ["XREADGROUP", "GROUP", "py", "me", "COUNT", "250"];
    ask(&[&left[..], &["STREAMS", "logs", ">"]].concat());
    assert_eq!(printed(&python, &scene, of_readme(0)), text(0..500));
    send(&scene, "stream", 500..510);
    assert_eq!(printed(&python, &scene, of_readme(0)), text(500..510));
}

#[test]
fn a_consumer_of_a_list_begins_with_what_was_left_in_its_hand() {
    let Some(python) = redis_py() else {
        return;
    };
    let scene = Scene::new();
    send(&scene, "list", 0..500);
    for _ in 0..20 {
        let to = ["in-hand:me", "LEFT", "RIGHT"];
        let moved: String = scene.redis.ask(&[&["LMOVE", "logs"], &to[..]].concat());
        assert!(moved.contains("INFO"), "{moved}");
    }
    assert_eq!(printed(&python, &scene, of_readme(1)), text(0..500));
    assert_eq!(
        scene.redis.ask::<usize>(&["EXISTS", "logs", "in-hand:me"]),
        0
    );
}

#[test]
fn a_subscriber_prints_channel_and_line() {
    let Some(python) = redis_py() else {
        return;
    };
    let scene = Scene::new();
    let mut child = start(&python, &scene, of_readme(2));
    wait_until("the program has subscribed", || {
        scene.redis.ask::<usize>(&["PUBSUB", "NUMPAT"]) == 1
    });
    send(&scene, "pubsub", 0..10);
    let lines = lines(0..10);
    let wanted: String = lines
        .iter()
        .map(|line| format!("logs:INFO {line}\n"))
        .collect();
    let mut got = vec![0; wanted.len()];
    let output = child.stdout.as_mut().expect("a pipe");
    output.read_exact(&mut got).expect("it prints them all");
    child.kill().expect("it is there");
    child.wait().expect("it ends");
    assert_eq!(String::from_utf8(got).expect("UTF-8"), wanted);
}

#[test]
fn every_program_of_the_documentation_is_run_here() {
    let pages = [
        (include_str!("../../README.md"), 3),
        (include_str!("../../docs/recipes.md"), 0),
        (include_str!("../../docs/consuming.md"), 0),
    ];
    for (page, count) in pages {
        assert_eq!(programs(page).len(), count, "{}", &page[..40]);
    }
}
