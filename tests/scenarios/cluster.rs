//! A Redis Cluster: through any node, while its slots move, and when a master dies, every line once.

use super::redis_errors::rules_for;
use crate::util::*;

const MODES: [&str; 3] = ["pubsub", "list", "stream"];

/// A watcher's flags for a mode and, where it keeps lines, a key.
fn flags<'a>(mode: &'a str, key: &'a str) -> Vec<&'a str> {
    match mode {
        "pubsub" => vec!["--mode", mode],
        _ => vec!["--mode", mode, "--target", key],
    }
}

#[test]
fn lines_flow_through_any_node_of_a_cluster() {
    let (scene, cluster) = (Scene::new(), Cluster::start());
    let oracle = Subscriber::new(&cluster.nodes[0]);
    for mode in MODES {
        for n in 0..3 {
            let (log, key) = (format!("{mode}-{n}.log"), format!("{mode}-{n}"));
            let once = || {
                let watch = scene.watch_through(&cluster.url(n), &log);
                let watch = watch.args(["--once", "--source", &format!("host-{n}")]);
                watch.args(flags(mode, &key)).run().assert_silent_success();
            };
            let before = oracle.len();
            scene.append(&log, text(0..10));
            once();
            // What the cluster itself remembers is enough to go on from.
            scene.append(&log, text(10..20));
            std::fs::remove_file(scene.checkpoint_path(&log)).expect("remove a checkpoint");
            once();
            let arrived = match mode {
                "pubsub" => {
                    oracle.wait_for(before + 20);
                    oracle.payloads_since(before)
                }
                _ => cluster.kept(mode, &key),
            };
            assert_exactly(&lines(0..20), &arrived);
        }
    }
}

#[test]
fn a_slot_moves_to_another_node_while_lines_flow() {
    let (scene, cluster) = (Scene::new(), Cluster::start());
    let oracle = Subscriber::new(&cluster.nodes[0]);
    for mode in MODES {
        let (log, key) = (format!("{mode}.log"), format!("key-{mode}"));
        scene.append(&log, text(0..100));
        let watch = scene.watch_through(&cluster.url(0), &log);
        let watch = watch.args(["--source", mode, "--batch-lines", "10"]);
        let watcher = watch.args(flags(mode, &key)).spawn();
        let count = || match mode {
            "pubsub" => oracle.len(),
            _ => cluster.count(mode, &key),
        };
        wait_until("the first lines are there", || count() == 100);
        let mut records = cluster.records().into_iter();
        let record = records.rfind(|record| record.contains(mode));
        let record = record.expect("a record");
        let (slot, from) = (cluster.slot(&record), cluster.owner(&record));
        let to = (from + 1) % 3;
        cluster.begin_move(&slot, from, to);
        scene.append(&log, text(100..200));
        wait_until("lines flow until their keys move", || count() == 200);
        cluster.migrate(&record, from, to);
        scene.append(&log, text(200..300));
        watcher.wait_says("moving to another node");
        if mode != "pubsub" {
            cluster.migrate(&key, from, to);
        }
        cluster.end_move(&slot, from, to);
        wait_until("it goes on", || count() >= 300);
        assert_eq!(cluster.owner(&record), to);
        scene.append(&log, text(300..310));
        wait_until("it goes on", || count() >= 310);
        let said = watcher.sigterm().stderr;
        assert_eq!(said.matches("moving to").count(), 1, "said once: {said}");
        let arrived = match mode {
            "pubsub" => oracle.payloads(),
            _ => cluster.kept(mode, &key),
        };
        assert_exactly(&lines(0..310), &arrived);
    }
}

#[test]
fn slots_that_move_back_and_forth_under_load_repeat_and_lose_nothing() {
    let (scene, cluster) = (Scene::new(), Cluster::start());
    let watch = scene.watch_through(&cluster.url(2), "app.log");
    let args = ["--mode", "list", "--source", "app", "--batch-lines", "7"];
    let watcher = watch.args(args).spawn();
    let record = "tailcast:commit:{logs}:app";
    scene.append("app.log", text(0..1));
    wait_until("the first line is there", || {
        cluster.count("list", "logs") == 1
    });
    let (slot, home) = (cluster.slot("logs"), cluster.owner("logs"));
    for round in 0..10 {
        let (from, to) = match round % 2 {
            0 => (home, (home + 1) % 3),
            _ => ((home + 1) % 3, home),
        };
        let n = 1 + round * 1000;
        scene.append("app.log", text(n..n + 500));
        cluster.begin_move(&slot, from, to);
        let (first, then) = if round % 3 == 0 {
            ("logs", record)
        } else {
            (record, "logs")
        };
        cluster.migrate(first, from, to);
        scene.append("app.log", text(n + 500..n + 1000));
        cluster.migrate(then, from, to);
        cluster.end_move(&slot, from, to);
    }
    wait_until("all are there", || cluster.count("list", "logs") >= 10_001);
    watcher.sigterm();
    assert_exactly(&lines(0..10_001), &cluster.kept("list", "logs"));
}

#[test]
fn a_master_that_dies_with_what_its_replica_lacks_ends_with_every_line_once() {
    for mode in ["list", "stream"] {
        let (scene, mut cluster) = (Scene::new(), Cluster::start());
        let master = cluster.owner("logs");
        let replica = cluster.add_replica(master);
        scene.append("app.log", text(0..100));
        // The very node that the URL names is the one that dies.
        let watch = scene.watch_through(&cluster.url(master), "app.log");
        let watcher = watch.args(["--mode", mode, "--batch-lines", "20"]).spawn();
        let count = |cluster: &Cluster| cluster.count(mode, "logs");
        wait_until("the first lines are there", || count(&cluster) == 100);
        wait_until("the replica has them", || {
            let lag: Vec<redis::Value> = cluster.nodes[replica].ask(&["ROLE"]);
            let role: Vec<redis::Value> = cluster.nodes[master].ask(&["ROLE"]);
            lag.last() == role.get(1)
        });
        cluster.nodes[replica].stop();
        scene.append("app.log", text(100..200));
        wait_until("the master has the next", || count(&cluster) == 200);
        cluster.nodes[master].kill();
        cluster.nodes[replica].cont();
        scene.append("app.log", text(200..300));
        wait_until("the new master has all", || count(&cluster) >= 300);
        scene.append("app.log", text(300..310));
        wait_until("it goes on", || count(&cluster) >= 310);
        watcher.sigterm();
        assert_eq!(cluster.owner("logs"), replica);
        assert_exactly(&lines(0..310), &cluster.kept(mode, "logs"));
    }
}

#[test]
fn a_master_that_dies_stops_neither_watcher_nor_subscriber_of_pubsub() {
    let (scene, mut cluster) = (Scene::new(), Cluster::start());
    let record = "tailcast:commit:{app}";
    let master = cluster.owner(record);
    cluster.add_replica(master);
    let (other, third) = ((master + 1) % 3, (master + 2) % 3);
    let oracle = Subscriber::new(&cluster.nodes[other]);
    let subscribe = |node: usize| {
        let line = scene.tailcast(&["subscribe", "--redis", &cluster.url(node)]);
        let subscriber = line.spawn();
        wait_until("it subscribes", || {
            let list: String = cluster.nodes[node].ask(&["CLIENT", "LIST", "TYPE", "pubsub"]);
            list.contains("name=tailcast-subscribe")
        });
        subscriber
    };
    let (stays, moves) = (subscribe(third), subscribe(master));
    let watch = scene.watch_through(&cluster.url(master), "app.log");
    let watcher = watch.args(["--source", "app"]).spawn();
    scene.append("app.log", text(0..100));
    let all_have = |n: usize| {
        oracle.wait_for(n);
        for subscriber in [&stays, &moves] {
            wait_until("the subscriber has all", || {
                subscriber.stdout() == text(0..n).as_bytes()
            });
        }
    };
    all_have(100);
    cluster.nodes[master].kill();
    moves.wait_says("subscribed again");
    scene.append("app.log", text(100..200));
    all_have(200);
    assert_exactly(&lines(0..200), &oracle.settle());
    watcher.sigterm();
}

#[test]
fn a_target_of_many_slots_is_refused_with_the_way_out() {
    let (scene, cluster) = (Scene::new(), Cluster::start());
    scene.append("app.log", text(0..10));
    let once = |mode, target| {
        let watch = scene.watch_through(&cluster.url(0), "app.log");
        let args = ["--once", "--mode", mode, "--target", target];
        watch.args(args).run()
    };
    for mode in ["list", "stream"] {
        once(mode, "logs:{type}").assert_fails(1, &["one slot", "logs:{type}", "{logs}:{type}"]);
    }
    assert_eq!(cluster.records(), Vec::<String>::new());
    once("list", "{logs}:{type}").assert_silent_success();
    assert_exactly(&lines(0..10), &cluster.kept("list", "{logs}:INFO"));
    let url = format!("{}3", cluster.url(0));
    let watch = scene.watch_through(&url, "app.log").arg("--once").run();
    // Valkey 9 has databases in a cluster, one by default.
    let is_valkey = watch.stderr.contains("DB index is out of range");
    let words = if is_valkey {
        "choose another database number"
    } else {
        "no databases"
    };
    watch.assert_fails(1, &[words]);
}

#[test]
fn status_finds_the_records_of_a_cluster() {
    let (scene, cluster) = (Scene::new(), Cluster::start());
    for (mode, target) in [
        ("pubsub", "logs:{type}"),
        ("list", "logs"),
        ("list", "{x}:{type}"),
    ] {
        let log = format!("{}.log", target.len());
        scene.append(&log, text(0..10));
        let watch = scene.watch_through(&cluster.url(0), &log);
        let args = ["--once", "--mode", mode, "--target", target];
        watch.args(args).run().assert_silent_success();
        for node in 0..3 {
            let status = [
                "status",
                "--json",
                "--redis",
                &cluster.url(node),
                "--target",
                target,
            ];
            let status = scene
                .tailcast(&status)
                .arg("--state-dir")
                .arg(scene.state_dir());
            let run = status.arg(scene.path(&log)).run();
            let offset = format!("\"offset\": {}", text(0..10).len());
            let said = String::from_utf8_lossy(&run.stdout);
            assert_eq!(said.matches(&offset).count(), 2, "{said}{}", run.stderr);
        }
    }
}

#[test]
fn a_least_privileged_user_will_do_in_a_cluster() {
    let (scene, cluster) = (Scene::new(), Cluster::start());
    let oracle = Subscriber::new(&cluster.nodes[0]);
    for mode in MODES {
        let log = format!("{mode}.log");
        scene.append(&log, text(0..10));
        // Who may not ask for the nodes is led on by `MOVED`; who may is denied nothing.
        for (n, more) in [(0, None), (1, Some("+cluster|slots")), (2, None)] {
            let rules = rules_for(&format!("watch --mode {mode}"));
            // Each mode has a key of its own.
            let rules = rules.replace("~logs", &format!("~{mode}"));
            for node in &cluster.nodes {
                let user = ["ACL", "SETUSER", "shipper", "reset", "on", ">pw"].into_iter();
                let user: Vec<_> = user.chain(rules.split(' ')).chain(more).collect();
                let _: String = node.ask(&user);
                let _: String = node.ask(&["ACL", "LOG", "RESET"]);
            }
            let url = cluster.url(n).replace("://", "://shipper:pw@");
            let watch = scene.watch_through(&url, &log).arg("--once");
            watch.args(flags(mode, mode)).run().assert_silent_success();
            let denied = |node: &Redis| !node.ask::<Vec<redis::Value>>(&["ACL", "LOG"]).is_empty();
            assert_eq!(cluster.nodes.iter().any(denied), more.is_none());
        }
        if mode == "pubsub" {
            assert_exactly(&lines(0..10), &oracle.settle());
        } else {
            assert_exactly(&lines(0..10), &cluster.kept(mode, mode));
        }
    }
}

#[test]
fn a_cluster_that_does_not_say_what_it_is_is_refused() {
    let (scene, cluster) = (
        Scene::new(),
        Cluster::start_with(&["--rename-command", "HELLO", "NO-HELLO"]),
    );
    scene.append("app.log", text(0..10));
    for n in 0..3 {
        let watch = scene.watch_through(&cluster.url(n), "app.log");
        let args = ["--once", "--mode", "list", "--source", "app"];
        watch.args(args).run().assert_fails(1, &["HELLO"]);
    }
    assert_eq!(cluster.count("list", "logs"), 0);
}
