//! Where a watcher goes on from: checkpoint and commit record, one of them, none, or at odds.

use std::fs;

use crate::util::*;

const MODES: [&str; 3] = ["pubsub", "list", "stream"];

/// What went out in a mode: heard by an oracle, or kept in Redis.
struct Outlet {
    mode: &'static str,
    oracle: Subscriber,
}

impl Outlet {
    fn new(scene: &Scene, mode: &'static str) -> Outlet {
        Outlet {
            mode,
            oracle: scene.subscriber(),
        }
    }

    fn lines(&self, scene: &Scene) -> Vec<Vec<u8>> {
        scene.arrived(self.mode, &self.oracle)
    }

    /// `watch --once` in this mode, which must succeed; what it said.
    #[track_caller]
    fn once(&self, scene: &Scene, args: &[&str]) -> String {
        let run = scene
            .watch("app.log")
            .args(["--once", "--mode", self.mode])
            .args(args)
            .run();
        assert_eq!(run.code, 0, "{}: {}", self.mode, run.stderr);
        run.stderr
    }
}

fn remove_checkpoint(scene: &Scene) {
    fs::remove_file(scene.checkpoint_path("app.log")).expect("remove the checkpoint");
}

fn remove_record(scene: &Scene) {
    let (key, _) = scene.redis.record();
    assert_eq!(scene.redis.ask::<usize>(&["DEL", &key]), 1);
}

#[test]
fn the_record_is_the_checkpoints_text_and_a_session() {
    for mode in MODES {
        let scene = Scene::new();
        let outlet = Outlet::new(&scene, mode);
        scene.append("app.log", text(0..10));
        outlet.once(&scene, &[]);
        let (key, first) = scene.redis.record();
        let path = scene.path("app.log");
        let path = path.to_str().expect("UTF-8");
        assert!(
            key.starts_with("tailcast:commit:") && key.ends_with(&format!(":{path}")),
            "{key}"
        );
        assert!(
            key.len() > "tailcast:commit::".len() + path.len(),
            "a host: {key}"
        );
        assert!(
            first.contains(scene.checkpoint("app.log").trim_end()),
            "{first}\n{}",
            scene.checkpoint("app.log")
        );
        outlet.once(&scene, &[]);
        let (_, second) = scene.redis.record();
        assert_ne!(first, second, "each session has its own token");
    }
}

#[test]
fn a_source_may_be_named() {
    let scene = Scene::new();
    scene.append("app.log", text(0..10));
    scene
        .watch("app.log")
        .args(["--once", "--source", "web-1"])
        .run()
        .assert_silent_success();
    assert_eq!(scene.redis.record().0, "tailcast:commit:web-1");
}

#[test]
fn without_a_checkpoint_the_record_tells() {
    for mode in MODES {
        let scene = Scene::new();
        let outlet = Outlet::new(&scene, mode);
        scene.append("app.log", text(0..10));
        outlet.once(&scene, &[]);
        remove_checkpoint(&scene);
        scene.append("app.log", text(10..20));
        outlet.once(&scene, &[]);
        assert_exactly(&lines(0..20), &outlet.lines(&scene));
        assert_eq!(
            scene.offset("app.log"),
            text(0..20).len() as u64,
            "and the checkpoint is written anew"
        );
    }
}

#[test]
fn without_a_record_the_checkpoint_tells() {
    for mode in MODES {
        let scene = Scene::new();
        let outlet = Outlet::new(&scene, mode);
        scene.append("app.log", text(0..10));
        outlet.once(&scene, &[]);
        remove_record(&scene);
        scene.append("app.log", text(10..20));
        outlet.once(&scene, &[]);
        assert_exactly(&lines(0..20), &outlet.lines(&scene));
        scene.redis.record();
    }
}

#[test]
fn without_both_it_begins_anew() {
    for mode in MODES {
        let scene = Scene::new();
        let outlet = Outlet::new(&scene, mode);
        scene.append("app.log", text(0..10));
        outlet.once(&scene, &[]);
        remove_checkpoint(&scene);
        remove_record(&scene);
        outlet.once(&scene, &[]);
        assert_exactly(
            &[lines(0..10), lines(0..10)].concat(),
            &outlet.lines(&scene),
        );
    }
}

#[test]
fn reset_forgets_both() {
    for mode in MODES {
        let scene = Scene::new();
        let outlet = Outlet::new(&scene, mode);
        scene.append("app.log", text(0..10));
        outlet.once(&scene, &[]);
        outlet.once(&scene, &["--reset"]);
        assert_exactly(
            &[lines(0..10), lines(0..10)].concat(),
            &outlet.lines(&scene),
        );
        outlet.once(&scene, &[]);
        assert_eq!(outlet.lines(&scene).len(), 20);
    }
}

#[test]
fn a_record_behind_the_checkpoint_means_sent_again_where_redis_keeps_the_lines() {
    // A Redis that came back with older data has lost the lines and the record together.
    for mode in MODES {
        let scene = Scene::new();
        let outlet = Outlet::new(&scene, mode);
        scene.append("app.log", text(0..10));
        outlet.once(&scene, &[]);
        let (key, older) = scene.redis.record();
        scene.append("app.log", text(10..20));
        outlet.once(&scene, &[]);
        let _: String = scene.redis.ask(&["SET", &key, &older]);
        match mode {
            "list" => scene.redis.ask::<()>(&["LTRIM", "logs", "0", "9"]),
            "stream" => scene.redis.ask::<()>(&["XTRIM", "logs", "MAXLEN", "10"]),
            _ => {}
        }
        let kept = outlet.lines(&scene).len();
        outlet.once(&scene, &[]);
        let arrived = outlet.lines(&scene);
        // In pub/sub, what was published was heard: never again.
        let expected = if mode == "pubsub" {
            lines([])
        } else {
            lines(10..20)
        };
        assert_exactly(&expected, &arrived[kept..]);
        assert_eq!(scene.offset("app.log"), text(0..20).len() as u64);
    }
}

#[test]
fn a_checkpoint_behind_the_record_repeats_nothing() {
    for mode in MODES {
        let scene = Scene::new();
        let outlet = Outlet::new(&scene, mode);
        scene.append("app.log", text(0..10));
        outlet.once(&scene, &[]);
        let older = scene.checkpoint("app.log");
        scene.append("app.log", text(10..20));
        outlet.once(&scene, &[]);
        fs::write(scene.checkpoint_path("app.log"), older).expect("write");
        outlet.once(&scene, &[]);
        assert_exactly(&lines(0..20), &outlet.lines(&scene));
    }
}

/// Ten lines, a rotation, five lines: and what checkpoint and record said before the rotation.
fn rotated(scene: &Scene, outlet: &Outlet) -> (String, String, String) {
    scene.append("app.log", text(0..10));
    outlet.once(scene, &[]);
    let (key, record) = scene.redis.record();
    let checkpoint = scene.checkpoint("app.log");
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", text(10..15));
    outlet.once(scene, &[]);
    (key, record, checkpoint)
}

#[test]
fn a_checkpoint_from_before_a_rotation_repeats_nothing() {
    // Its offset is the larger one; its generation is the smaller one, and counts first.
    for mode in MODES {
        let scene = Scene::new();
        let outlet = Outlet::new(&scene, mode);
        let (_, _, checkpoint) = rotated(&scene, &outlet);
        fs::write(scene.checkpoint_path("app.log"), checkpoint).expect("write");
        scene.append("app.log", text(15..16));
        outlet.once(&scene, &[]);
        assert_exactly(&lines(0..16), &outlet.lines(&scene));
    }
}

#[test]
fn a_record_from_before_a_rotation_counts_where_redis_keeps_the_lines() {
    for mode in MODES {
        let scene = Scene::new();
        let outlet = Outlet::new(&scene, mode);
        let (key, record, _) = rotated(&scene, &outlet);
        let _: String = scene.redis.ask(&["SET", &key, &record]);
        scene.append("app.log", text(15..16));
        let before = outlet.lines(&scene).len();
        outlet.once(&scene, &[]);
        let expected = if mode == "pubsub" {
            lines(15..16)
        } else {
            lines(10..16)
        };
        assert_exactly(&expected, &outlet.lines(&scene)[before..]);
    }
}

#[test]
fn a_record_deleted_under_a_running_watcher_stops_nothing() {
    for mode in MODES {
        let scene = Scene::new();
        let outlet = Outlet::new(&scene, mode);
        scene.append("app.log", text(0..10));
        let watcher = scene.watch("app.log").args(["--mode", mode]).spawn();
        wait_until("the first lines are there", || {
            outlet.lines(&scene).len() == 10
        });
        remove_record(&scene);
        scene.append("app.log", text(10..20));
        wait_until("the rest is there", || outlet.lines(&scene).len() >= 20);
        watcher.sigterm();
        assert_exactly(&lines(0..20), &outlet.lines(&scene));
    }
}

#[test]
fn a_record_that_is_not_one_is_an_error_and_stays_as_it_is() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    scene.once("app.log");
    let (key, _) = scene.redis.record();
    for odd in ["", "abc", "-1 x"] {
        let _: String = scene.redis.ask(&["SET", &key, odd]);
        let run = scene.watch("app.log").arg("--once").run();
        run.assert_fails(1, &[&key]);
        assert_eq!(scene.redis.record().1, odd);
    }
    let _: usize = scene.redis.ask(&["DEL", &key]);
    let _: usize = scene.redis.ask(&["RPUSH", &key, "a list"]);
    scene
        .watch("app.log")
        .arg("--once")
        .run()
        .assert_fails(1, &[&key]);
    assert_exactly(&lines(0..10), &oracle.settle());
}

#[test]
fn at_least_once_has_no_record_and_no_transaction() {
    for mode in MODES {
        let scene = Scene::new();
        let outlet = Outlet::new(&scene, mode);
        let _: String = scene.redis.ask(&["CONFIG", "RESETSTAT"]);
        scene.append("app.log", text(0..10));
        outlet.once(&scene, &["--delivery", "at-least-once"]);
        assert_exactly(&lines(0..10), &outlet.lines(&scene));
        assert_eq!(
            scene.redis.ask::<Vec<String>>(&["KEYS", "tailcast:*"]),
            Vec::<String>::new()
        );
        let commands: String = scene.redis.ask(&["INFO", "commandstats"]);
        for absent in ["cmdstat_multi", "cmdstat_exec", "cmdstat_watch"] {
            assert!(!commands.contains(absent), "{commands}");
        }
        outlet.once(&scene, &["--delivery", "at-least-once"]);
        assert_eq!(outlet.lines(&scene).len(), 10);
    }
}

#[test]
fn at_least_once_then_exactly_once_goes_on_from_where_it_was() {
    for mode in MODES {
        let scene = Scene::new();
        let outlet = Outlet::new(&scene, mode);
        let deliveries = ["exactly-once", "at-least-once", "exactly-once"];
        for (n, delivery) in deliveries.into_iter().enumerate() {
            scene.append("app.log", text(n * 10..n * 10 + 10));
            outlet.once(&scene, &["--delivery", delivery]);
        }
        assert_exactly(&lines(0..30), &outlet.lines(&scene));
    }
}

#[test]
fn at_least_once_goes_on_from_the_record_where_the_checkpoint_lags_behind() {
    for mode in MODES {
        let scene = Scene::new();
        let outlet = Outlet::new(&scene, mode);
        scene.append("app.log", text(0..10));
        outlet.once(&scene, &[]);
        remove_checkpoint(&scene);
        scene.append("app.log", text(10..20));
        outlet.once(&scene, &["--delivery", "at-least-once"]);
        assert_exactly(&lines(0..20), &outlet.lines(&scene));
    }
}

#[test]
fn a_change_of_mode_or_target_goes_on_from_where_it_was() {
    for before in MODES {
        for after in MODES {
            let scene = Scene::new();
            let all = scene.subscriber();
            let outlets = [before, after].map(|mode| Outlet::new(&scene, mode));
            scene.append("app.log", text(0..10));
            outlets[0].once(&scene, &["--target", "logs:a"]);
            scene.append("app.log", text(10..20));
            outlets[1].once(&scene, &["--target", "logs:b"]);
            let mut arrived = all.settle();
            for key in ["logs:a", "logs:b"] {
                match scene.redis.ask::<String>(&["TYPE", key]).as_str() {
                    "list" => arrived.extend(scene.redis.list(key)),
                    "stream" => arrived.extend(scene.redis.stream(key)),
                    _ => {}
                }
            }
            arrived.sort_by_key(|line| (line.len(), line.clone()));
            assert_exactly(&lines(0..20), &arrived);
        }
    }
}

#[test]
fn a_record_behind_the_checkpoint_does_not_count_where_another_mode_wrote_it() {
    // Redis came back with an older record; but what was published was heard, and a stream never had it.
    for after in ["stream", "list"] {
        let scene = Scene::new();
        let (heard, kept) = (Outlet::new(&scene, "pubsub"), Outlet::new(&scene, after));
        scene.append("app.log", text(0..10));
        heard.once(&scene, &[]);
        let (key, older) = scene.redis.record();
        scene.append("app.log", text(10..20));
        heard.once(&scene, &[]);
        let _: String = scene.redis.ask(&["SET", &key, &older]);
        scene.append("app.log", text(20..30));
        kept.once(&scene, &[]);
        assert_exactly(&lines(0..20), &heard.lines(&scene));
        assert_exactly(&lines(20..30), &kept.lines(&scene));
    }
}

#[test]
fn a_flushed_record_is_said_to_be_gone() {
    for mode in MODES {
        let scene = Scene::new();
        let outlet = Outlet::new(&scene, mode);
        scene.append("app.log", text(0..10));
        let watcher = scene.watch("app.log").args(["--mode", mode]).spawn();
        wait_until("the first lines are there", || {
            outlet.lines(&scene).len() == 10
        });
        let before = if mode == "pubsub" { 10 } else { 0 };
        let _: String = scene.redis.ask(&["FLUSHALL"]);
        scene.append("app.log", text(10..20));
        wait_until("the rest is there", || {
            outlet.lines(&scene).len() >= before + 10
        });
        let said = watcher.sigterm().stderr;
        assert!(said.contains("is gone"), "{said}");
        assert!(!said.contains("another watcher"), "{said}");
        assert_exactly(&lines(10..20), &outlet.lines(&scene)[before..]);
    }
}

#[test]
fn a_redis_that_goes_back_under_a_running_watcher_gets_what_it_lost_again() {
    for mode in ["list", "stream"] {
        let scene = Scene::new();
        let outlet = Outlet::new(&scene, mode);
        scene.append("app.log", text(0..10));
        let watcher = scene.watch("app.log").args(["--mode", mode]).spawn();
        wait_until("the first lines are there", || {
            outlet.lines(&scene).len() == 10
        });
        let (key, older) = scene.redis.record();
        scene.append("app.log", text(10..20));
        wait_until("the next lines are there", || {
            outlet.lines(&scene).len() == 20
        });
        let mut restore = redis::pipe();
        restore.atomic().cmd("SET").arg(&key).arg(&older);
        match mode {
            "list" => restore.cmd("LTRIM").arg("logs").arg(0).arg(9),
            _ => restore.cmd("XTRIM").arg("logs").arg("MAXLEN").arg(10),
        };
        // XTRIM takes the oldest, so of a stream the last ten stay; what counts is what comes after.
        let _: redis::Value = restore.query(&mut scene.redis.connect()).expect("restore");
        scene.append("app.log", text(20..30));
        wait_until("the rest is there", || outlet.lines(&scene).len() >= 30);
        watcher.sigterm();
        assert_exactly(&lines(10..30), &outlet.lines(&scene)[10..]);
    }
}

/// A stream's entry: its id and fields.
type Entry = (String, Vec<(String, String)>);

fn entries(scene: &Scene) -> Vec<Entry> {
    scene.redis.ask(&["XRANGE", "logs", "-", "+"])
}

#[test]
fn stream_entries_have_line_type_source_generation_and_end_offset() {
    let scene = Scene::new();
    scene.append("app.log", text(0..2) + "not json\n");
    scene
        .watch("app.log")
        .args(["--once", "--mode", "stream", "--source", "web-1"])
        .run()
        .assert_silent_success();
    let entries = entries(&scene);
    let ends = [text(0..1).len(), text(0..2).len(), text(0..2).len() + 9].map(|n| n.to_string());
    let generation = scene.numbers("app.log").0.to_string();
    let rows = [
        (line(0), "INFO"),
        (line(1), "INFO"),
        ("not json".into(), "UNKNOWN"),
    ];
    assert_eq!(entries.len(), 3);
    for (((_, fields), end), (line, kind)) in entries.into_iter().zip(ends).zip(rows) {
        let expected = [
            ("line", line.as_str()),
            ("type", kind),
            ("source", "web-1"),
            ("gen", &generation),
            ("offset", &end),
        ];
        assert_eq!(
            fields,
            expected.map(|(name, value)| (name.to_string(), value.to_string()))
        );
    }
}

#[test]
fn stream_entries_have_the_generation_of_their_file() {
    let scene = Scene::new();
    scene.append("app.log", text(0..2));
    let once = || {
        let watch = scene.watch("app.log");
        let args = ["--once", "--mode", "stream", "--batch-lines", "2"];
        watch.args(args).run().assert_silent_success();
    };
    once();
    // The rest of the old file and the beginning of the new one are read in one run.
    scene.append("app.log", text(2..5));
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", text(5..7));
    once();
    scene.copytruncate("app.log", "app.log.2");
    scene.append("app.log", text(7..8));
    once();
    let entries = entries(&scene);
    let place = |(_, fields): Entry| {
        let names = fields.iter().map(|(name, _)| name.as_str());
        let names: Vec<_> = names.collect();
        assert_eq!(names, ["line", "type", "source", "gen", "offset"]);
        let number = |index: usize| fields[index].1.parse().expect("a number");
        (number(3), number(4))
    };
    let places: Vec<(usize, usize)> = entries.into_iter().map(place).collect();
    let first = scene.numbers("app.log").0 as usize;
    let ends = |since, from: usize, to: usize| {
        (from + 1..=to).map(move |end| (first + since, text(from..end).len()))
    };
    let expected = ends(0, 0, 5).chain(ends(1, 5, 7)).chain(ends(2, 7, 8));
    assert_eq!(places, expected.collect::<Vec<_>>());
}

#[test]
fn a_target_may_hold_the_type_or_not() {
    let scene = Scene::new();
    scene.append("app.log", text(0..1) + "{\"type\":\"ERROR\"}\nnot json\n");
    let all = Subscriber::on(&scene.redis, "*");
    for (source, target) in [("a", "x:{type}:y"), ("b", "plain")] {
        let args = [
            "--once",
            "--source",
            source,
            "--target",
            target,
            "--state-dir",
        ];
        let run = scene
            .tailcast(&["watch", "--redis", &scene.redis.url()])
            .arg(scene.path("app.log"))
            .args(args);
        run.arg(scene.home().join(source))
            .run()
            .assert_silent_success();
    }
    all.settle();
    let channels: Vec<String> = all.messages().into_iter().map(|m| m.channel).collect();
    assert_eq!(
        channels,
        [
            "x:INFO:y",
            "x:ERROR:y",
            "x:UNKNOWN:y",
            "plain",
            "plain",
            "plain"
        ]
    );
}

#[test]
fn the_type_field_may_have_another_name() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append(
        "app.log",
        "{\"type\":\"INFO\",\"level\":\"warn\"}\n{\"type\":\"INFO\"}\n",
    );
    scene
        .watch("app.log")
        .args(["--once", "--type-field", "level"])
        .run()
        .assert_silent_success();
    oracle.settle();
    let channels: Vec<String> = oracle.messages().into_iter().map(|m| m.channel).collect();
    assert_eq!(channels, ["logs:warn", "logs:UNKNOWN"]);
}

#[test]
fn status_shows_the_record_beside_the_checkpoint() {
    let scene = Scene::new();
    scene.append("app.log", text(0..10));
    scene.once("app.log");
    let older = scene.checkpoint("app.log");
    scene.append("app.log", text(10..20));
    scene.once("app.log");
    fs::write(scene.checkpoint_path("app.log"), older).expect("write");
    let run = scene.tailcast(&[
        "status",
        "--json",
        "--redis",
        &scene.redis.url(),
        "--state-dir",
    ]);
    let run = run.arg(scene.state_dir()).arg(scene.path("app.log")).run();
    let shown = String::from_utf8(run.stdout).expect("UTF-8");
    for end in [text(0..10).len(), text(0..20).len()] {
        assert!(shown.contains(&end.to_string()), "{shown}");
    }
}
