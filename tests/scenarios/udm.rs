//! Lines as events of Google SecOps: what comes out of the built program is one valid event a line, whatever went in.

use serde_json::Value;

use crate::util::*;

/// Subscribes with these arguments; returns when Redis knows it.
fn subscribe(scene: &Scene, args: &[&str]) -> Process {
    let redis = scene.redis.url();
    let first = ["subscribe", "--redis", &redis, "--format", "udm"];
    let subscriber = scene.tailcast(&[&first[..], args].concat()).spawn();
    wait_until("it subscribes", || {
        let list: String = scene.redis.ask(&["CLIENT", "LIST", "TYPE", "pubsub"]);
        list.contains("name=tailcast-subscribe")
    });
    subscriber
}

fn events(ended: &Finished) -> Vec<Value> {
    let text = std::str::from_utf8(&ended.stdout).expect("UTF-8");
    let events = text.lines().map(serde_json::from_str);
    events.collect::<Result<_, _>>().expect("an event a line")
}

fn at<'e>(event: &'e Value, pointer: &str) -> &'e str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

#[test]
fn every_line_of_the_generator_is_an_event_of_its_time_and_machine() {
    let scene = Scene::new();
    let path = scene.path("app.log");
    let path = path.to_str().expect("UTF-8");
    let generate = [
        "generate",
        "--interval",
        "0",
        "--count",
        "200",
        "--seed",
        "1",
        "-q",
        path,
    ];
    assert_eq!(scene.tailcast(&generate).run().code, 0);
    let subscriber = subscribe(&scene, &["--udm-host", "web-1", "--count", "200"]);
    scene.once("app.log");
    let events = events(&subscriber.finish());
    let text = scene.read("app.log");
    let lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_slice(line).expect("JSON"))
        .collect();
    assert_eq!(events.len(), lines.len());
    for (line, event) in lines.iter().zip(&events) {
        for (field, pointer) in [
            ("timestamp", "/metadata/event_timestamp"),
            ("type", "/metadata/product_event_type"),
            ("message", "/metadata/description"),
        ] {
            assert_eq!(line[field], at(event, pointer), "{line} {event}");
        }
        assert_eq!(at(event, "/metadata/event_type"), "STATUS_UNCATEGORIZED");
        assert_eq!(at(event, "/principal/hostname"), "web-1");
    }
}

#[test]
fn what_is_no_json_or_no_text_is_an_event_of_the_time_at_which_it_came() {
    let scene = Scene::new();
    let now = || {
        let time: Vec<u64> = scene.redis.ask(&["TIME"]);
        time[0]
    };
    let subscriber = subscribe(&scene, &["--count", "3"]);
    let before = now();
    scene.append("app.log", b"plain text\ncaf\xe9\n[[[[\n");
    scene.once("app.log");
    let ended = subscriber.finish();
    let date = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{before}"), "+%Y-%m-%dT%H:%M:%S"])
        .output()
        .expect("run date");
    let before = String::from_utf8(date.stdout).expect("UTF-8");
    let events = events(&ended);
    let said: Vec<_> = events
        .iter()
        .map(|event| at(event, "/metadata/description"))
        .collect();
    assert_eq!(said, ["plain text", "caf\u{fffd}", "[[[["]);
    for event in &events {
        let time = at(event, "/metadata/event_timestamp");
        assert!(
            time >= before.trim() && time.ends_with('Z'),
            "{time} {before}"
        );
        assert_eq!(at(event, "/metadata/event_type"), "GENERIC_EVENT");
        assert_eq!(at(event, "/observer/application"), "tailcast");
    }
}

#[test]
fn types_pick_and_name_events_as_they_do_lines() {
    let scene = Scene::new();
    let args = [
        "--type-field",
        "type,level",
        "--type",
        "ERROR",
        "--count",
        "1",
    ];
    let subscriber = subscribe(&scene, &args);
    scene.append(
        "app.log",
        "{\"level\":30,\"msg\":\"a\"}\n{\"level\":50,\"msg\":\"b\"}\n",
    );
    scene.once("app.log");
    let events = events(&subscriber.finish());
    assert_eq!(events.len(), 1);
    assert_eq!(at(&events[0], "/metadata/product_event_type"), "ERROR");
    assert_eq!(at(&events[0], "/metadata/description"), "b");
    assert_eq!(at(&events[0], "/security_result/0/severity"), "ERROR");
}

#[test]
fn a_host_that_is_none_is_refused_with_the_way_out() {
    let scene = Scene::new();
    for host in ["two words", "a_b", "10.0.0.256"] {
        let args = ["subscribe", "--format", "udm", "--udm-host", host];
        let run = scene.tailcast(&args).run();
        run.assert_fails(2, &["--udm-host", host, "as in web-1.example.com"]);
    }
    let run = scene.tailcast(&["subscribe", "--udm-host", "web-1"]).run();
    run.assert_fails(2, &["--udm-host", "--format udm"]);
}
