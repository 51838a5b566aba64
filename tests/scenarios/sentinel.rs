//! Three sentinels, a master and a replica: the master is found, and what a failover loses is sent again.

use std::process::{Child, Command, Stdio};

use crate::util::*;

/// Three sentinels of one master. Dropped, they are gone.
struct Sentinels {
    folder: tempfile::TempDir,
    processes: Vec<Child>,
    ports: Vec<u16>,
}

impl Sentinels {
    fn of(master: u16) -> Sentinels {
        let folder = tempfile::TempDir::new().expect("create a folder");
        let (mut processes, mut ports) = (Vec::new(), Vec::new());
        for n in 0..3 {
            let (port, file) = (free_port(), folder.path().join(format!("{n}.conf")));
            let text = format!(
                "port {port}\nbind 127.0.0.1\ndir {}\nlogfile {n}.log\nsentinel monitor main 127.0.0.1 {master} 2\n\
                 sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n",
                folder.path().display()
            );
            std::fs::write(&file, text).expect("write");
            let started = Command::new(server_program())
                .arg(&file)
                .arg("--sentinel")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            processes.push(started.expect("start a sentinel"));
            ports.push(port);
        }
        Sentinels {
            folder,
            processes,
            ports,
        }
    }

    fn url(&self) -> String {
        let hosts: Vec<_> = self
            .ports
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        format!("redis+sentinel://{}/main", hosts.join(","))
    }

    /// What a sentinel says of the master: `slaves`, `sentinels`.
    fn count(&self, port: u16, what: &str) -> Option<usize> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).ok()?;
        let mut command = redis::cmd("SENTINEL");
        let list: Vec<redis::Value> = command
            .arg(what)
            .arg("main")
            .query(&mut client.get_connection().ok()?)
            .ok()?;
        Some(list.len())
    }

    /// Waits until each knows the other two and the replica.
    fn wait_ready(&self) {
        wait_until("the sentinels know each other and the replica", || {
            self.ports.iter().all(|port| {
                self.count(*port, "SENTINELS") == Some(2)
                    && self.count(*port, "REPLICAS") == Some(1)
            })
        });
    }
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = (process.kill(), process.wait());
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("0.log"));
            eprintln!("{}", log.unwrap_or_default());
        }
    }
}

/// A replica in step with the scene's Redis.
fn replica_of(master: &Redis) -> Redis {
    let port = master.port.to_string();
    let replica = Redis::start_with(&["--replicaof", &format!("127.0.0.1 {port}")]);
    wait_until("the replica is in step", || {
        let info: String = replica.ask(&["INFO", "replication"]);
        info.contains("master_link_status:up")
    });
    replica
}

/// How many lines a Redis keeps. A failover cuts every connection to the new master, this one too.
fn count(redis: &Redis, mode: &str) -> usize {
    let length = if mode == "list" { "LLEN" } else { "XLEN" };
    let ask = || {
        let client = redis::Client::open(redis.url())?;
        let mut command = redis::cmd(length);
        command.arg("logs").query(&mut client.get_connection()?)
    };
    ask().unwrap_or(0)
}

#[test]
fn a_failover_that_loses_lines_ends_with_every_line_once() {
    for mode in ["list", "stream"] {
        let delay = ["--repl-diskless-sync-delay", "0"];
        let mut scene = Scene::with(Redis::start_with(&delay));
        let replica = replica_of(&scene.redis);
        let sentinels = Sentinels::of(scene.redis.port);
        sentinels.wait_ready();
        let args = ["--mode", mode, "--batch-lines", "20"];
        scene.append("app.log", text(0..100));
        let watcher = scene
            .watch_through(&sentinels.url(), "app.log")
            .args(args)
            .spawn();
        wait_until("the replica has the first lines", || {
            count(&replica, mode) == 100
        });
        // From here on the replica lags, and the master goes down with what only it has.
        replica.stop();
        scene.append("app.log", text(100..200));
        wait_until("the master has the next lines", || {
            scene.redis.count(mode) == 200
        });
        scene.redis.kill();
        replica.cont();
        scene.append("app.log", text(200..300));
        wait_until("the new master has all", || count(&replica, mode) >= 300);
        assert_exactly(&lines(0..300), &replica.kept(mode));
        scene.append("app.log", text(300..310));
        wait_until("it goes on", || count(&replica, mode) >= 310);
        watcher.sigterm();
        assert_exactly(&lines(0..310), &replica.kept(mode));
    }
}

#[test]
fn a_master_that_no_sentinel_knows_ends_the_watcher_with_the_reason() {
    let scene = Scene::new();
    let sentinels = Sentinels::of(scene.redis.port);
    scene.append("app.log", text(0..10));
    let url = |name| sentinels.url().replace("/main", name);
    let once = |url: &str| scene.watch_through(url, "app.log").arg("--once").run();
    wait_until("a sentinel is there", || {
        sentinels.count(sentinels.ports[2], "SENTINELS").is_some()
    });
    once(&url("/other")).assert_fails(1, &["no master other"]);
    // With a sentinel that is away before it in the list, and a database.
    let url = format!(
        "redis+sentinel://127.0.0.1:{},127.0.0.1:{}/main/3",
        free_port(),
        sentinels.ports[2]
    );
    once(&url).assert_silent_success();
    let keys: String = scene.redis.ask(&["INFO", "keyspace"]);
    assert!(keys.contains("db3:keys=1"), "{keys}");
}

#[test]
fn one_that_the_sentinels_take_for_the_master_and_is_none_is_waited_for() {
    let master = Redis::start();
    let scene = Scene::with(replica_of(&master));
    let sentinels = Sentinels::of(master.port);
    wait_until("a sentinel is there", || {
        sentinels.count(sentinels.ports[0], "SENTINELS").is_some()
    });
    // The sentinels' master becomes a replica of its replica behind their back.
    let _: String = scene.redis.ask(&["REPLICAOF", "NO", "ONE"]);
    let port = scene.redis.port.to_string();
    let _: String = master.ask(&["REPLICAOF", "127.0.0.1", &port]);
    scene.append("app.log", text(0..10));
    let watcher = scene
        .watch_through(&sentinels.url(), "app.log")
        .args(["--mode", "list"])
        .spawn();
    watcher.wait_says("it is a slave");
    let _: String = master.ask(&["REPLICAOF", "NO", "ONE"]);
    wait_until("the master has all", || count(&master, "list") >= 10);
    watcher.sigterm();
    assert_exactly(&lines(0..10), &master.list("logs"));
}
