//! A stalled Redis stops the reading: the log file is the buffer, memory is not.

use crate::util::*;

#[test]
fn memory_stays_flat_while_redis_stands_still_before_a_large_backlog() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..1));
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(1);
    scene.redis.stop();
    let block = text(1..10_000);
    for _ in 0..300 * 1_000_000 / block.len() {
        scene.append("app.log", &block);
    }
    // It gives up waiting for a reply after some seconds, and has by then read all that it will.
    watcher.wait_complains();
    let peak = watcher.memory("VmHWM");
    assert!(peak < 16 * 1024, "{peak} KiB");
    scene.redis.cont();
    oracle.wait_for(100_000);
    let peak = watcher.memory("VmHWM");
    assert!(peak < 16 * 1024, "{peak} KiB while it catches up");
}

#[test]
fn an_idle_watcher_is_small() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(10);
    // The debug build is what is tested here mostly; the release build's figure is half of it.
    assert!(
        watcher.memory("VmRSS") < 12 * 1024,
        "{} KiB",
        watcher.memory("VmRSS")
    );
    scene.assert_arrives(watcher, &oracle, &lines(0..10));
}

#[test]
fn unterminated_lines_of_many_files_stay_in_the_files() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let half = vec![b'x'; 15 << 20];
    for n in 0..30 {
        scene.append(&format!("{n}.log"), text(n..n + 1));
        scene.append(&format!("{n}.log"), &half);
    }
    let watcher = scene.watch("*.log").spawn();
    oracle.wait_for(30);
    // A file that is found later says that the others were looked at.
    scene.append("late.log", text(30..31));
    oracle.wait_for(31);
    scene.append("late.log", text(31..32));
    oracle.wait_for(32);
    assert_small(&watcher);
    // One of them is completed: it arrives whole, and that is no reason to grow for good.
    scene.append("7.log", format!("\n{}", text(32..33)));
    oracle.wait_for_line(line(32));
    assert_small(&watcher);
    watcher.sigterm();
    let long = oracle.settle().into_iter().filter(|l| *l == half).count();
    assert_eq!(long, 1);
}

#[test]
fn unterminated_lines_that_grow_at_once_stay_in_the_files() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let names: Vec<String> = (0..30).map(|n| format!("{n}.log")).collect();
    for name in &names {
        scene.append(name, "");
    }
    scene.append("beat.log", text(0..1));
    let watcher = scene.watch("*.log").spawn();
    oracle.wait_for(1);
    let block = vec![b'x'; 1 << 20];
    for round in 1..16 {
        for name in &names {
            scene.append(name, &block);
        }
        scene.append("beat.log", text(round..round + 1));
        oracle.wait_for(round + 1);
    }
    assert_small(&watcher);
    scene.assert_arrives(watcher, &oracle, &lines(0..16));
}

/// Large lines behind small ones, so that nothing warns of them.
#[test]
fn a_consumer_is_small_whatever_the_lines_are() {
    let scene = Scene::new();
    let large = vec![b'x'; 4 << 20];
    let (small, many) = (3000, 20);
    let mut redis = scene.redis.connect();
    for command in ["XADD", "RPUSH"] {
        for n in 0..small + many {
            let payload = if n < small { b"small" } else { &large[..] };
            let mut add = redis::cmd(command);
            match command {
                "XADD" => add.arg(&["logs", "*", "line"]).arg(payload),
                _ => add.arg("list").arg(payload),
            };
            add.exec(&mut redis).expect("add a line");
        }
    }
    // One that is dead has all of it.
    let _: () = scene.redis.ask(&["XGROUP", "CREATE", "logs", "left", "0"]);
    let read = [
        "XREADGROUP",
        "GROUP",
        "left",
        "dead",
        "STREAMS",
        "logs",
        ">",
    ];
    let _: redis::Value = scene.redis.ask(&read);
    let size = (small * 6 + many * (large.len() + 1)) as u64;
    let readers: [&[&str]; 5] = [
        &["--mode", "stream", "logs"],
        &["--mode", "stream", "--no-group", "logs"],
        &["--mode", "stream", "--group", "g", "logs"],
        &[
            "--mode",
            "stream",
            "--group",
            "left",
            "--claim-after",
            "100ms",
            "logs",
        ],
        &["--mode", "list", "list"],
    ];
    let peak_of = |args: &[&str], fill: &mut dyn FnMut(&Process)| {
        let _ = std::fs::remove_file(scene.home().join("out.place"));
        std::fs::write(scene.home().join("out"), "").expect("write");
        let reader = scene
            .tailcast(&[
                "subscribe",
                "--redis",
                &scene.redis.url(),
                "--output",
                "out",
            ])
            .args(args)
            .spawn();
        fill(&reader);
        let peak = reader.memory("VmHWM");
        assert!(peak < 68 * 1024, "{peak} KiB at its peak: {args:?}");
        reader.sigterm();
    };
    let written = || std::fs::metadata(scene.home().join("out")).map_or(0, |file| file.len());
    for args in readers {
        peak_of(args, &mut |_| {
            wait_until("all is written", || written() >= size)
        });
    }
    peak_of(&["--mode", "pubsub"], &mut |reader| {
        reader.wait_says("subscribed");
        for n in 0..many as u64 {
            let mut publish = redis::cmd("PUBLISH");
            publish.arg("logs:X").arg(&large[..]);
            publish.exec(&mut scene.redis.connect()).expect("publish");
            // Redis cuts off who is far behind.
            wait_until("it is written", || written() > n * large.len() as u64);
        }
    });
}

#[track_caller]
fn assert_small(watcher: &Process) {
    let peak = watcher.memory("VmHWM");
    assert!(peak < 64 * 1024, "{peak} KiB at its peak");
}
