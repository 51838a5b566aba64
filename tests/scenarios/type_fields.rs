//! The types that real loggers write: in fields of several names, as words of any case, and as numbers.

use crate::util::*;

const FIELDS: &str = "type,level,severity,lvl";

/// A line, and the type that it has.
const LINES: [(&str, &str); 9] = [
    (r#"{"type":"INFO","message":"ours"}"#, "INFO"),
    (
        r#"{"level":30,"time":1769847330000,"pid":7,"hostname":"h","msg":"pino"}"#,
        "INFO",
    ),
    (r#"{"name":"a","level":60,"msg":"bunyan","v":0}"#, "FATAL"),
    (r#"{"severity":4,"message":"syslog"}"#, "WARNING"),
    (r#"{"level":"warn","ts":1,"msg":"zap"}"#, "warn"),
    (
        r#"{"level":"ERROR","logger":"x","message":"logback"}"#,
        "ERROR",
    ),
    (r#"{"lvl":"dbug","msg":"log15"}"#, "dbug"),
    (
        r#"{"type":7,"severity":"NOTICE","message":"a kind, and a level"}"#,
        "NOTICE",
    ),
    (r#"{"level":true,"msg":"none"}"#, "UNKNOWN"),
];

#[test]
fn each_line_goes_to_the_channel_of_its_type_whatever_its_logger() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let text: String = LINES.iter().map(|(line, _)| format!("{line}\n")).collect();
    scene.append("app.log", text);
    let args = ["--once", "--type-field", FIELDS];
    let watch = scene.watch("app.log").args(args);
    watch.run().assert_silent_success();
    oracle.settle();
    let heard: Vec<_> = oracle.messages().into_iter().take(LINES.len()).collect();
    for ((line, kind), message) in LINES.iter().zip(heard) {
        assert_eq!(message.payload, line.as_bytes());
        assert_eq!(message.channel, format!("logs:{kind}"), "{line}");
    }
}

#[test]
fn a_streams_entries_have_their_types_by_name() {
    let scene = Scene::new();
    let text: String = LINES.iter().map(|(line, _)| format!("{line}\n")).collect();
    scene.append("app.log", text);
    let args = ["--once", "--mode", "stream", "--type-field", FIELDS];
    scene
        .watch("app.log")
        .args(args)
        .run()
        .assert_silent_success();
    type Entry = (String, Vec<(String, String)>);
    let entries: Vec<Entry> = scene.redis.ask(&["XRANGE", "logs", "-", "+"]);
    let kind = |(_, fields): Entry| fields.into_iter().find(|(name, _)| name == "type");
    let kinds: Vec<_> = entries.into_iter().filter_map(kind).collect();
    let want = LINES.map(|(_, kind)| ("type".to_string(), kind.to_string()));
    assert_eq!(kinds, want);
}

#[test]
fn a_subscriber_picks_and_shows_numbers_by_their_names() {
    let scene = Scene::new();
    let text: String = LINES.iter().map(|(line, _)| format!("{line}\n")).collect();
    let args = [
        "subscribe",
        "--redis",
        &scene.redis.url(),
        "--type-field",
        FIELDS,
    ];
    let args = [
        &args[..],
        &["--type", "INFO,FATAL", "--format", "pretty", "--count", "3"],
    ]
    .concat();
    let subscriber = scene.tailcast(&args).spawn();
    wait_until("it subscribes", || {
        let list: String = scene.redis.ask(&["CLIENT", "LIST", "TYPE", "pubsub"]);
        list.contains("name=tailcast-subscribe")
    });
    scene.append("app.log", text);
    scene.once("app.log");
    let ended = subscriber.finish();
    let shown = String::from_utf8(ended.stdout).expect("UTF-8");
    let shown: Vec<_> = shown.lines().collect();
    let want = [
        "INFO    ours",
        "INFO    time=1769847330000 pid=7 hostname=h msg=pino",
        "FATAL   name=a msg=bunyan v=0",
    ];
    assert_eq!(shown, want);
}
