//! The zombie: a watcher is killed while its last transaction, EXEC included, is still on its way to Redis. It arrives before
//! the successor takes over, or after: either way nothing is repeated and nothing lost.

use crate::util::*;

const EXEC: &[u8] = b"EXEC\r\n";

/// A scene in which a watcher in `mode` was killed while its EXEC of lines 10 to 19 is held by the proxy.
fn dead_with_its_exec_held(mode: &str) -> (Scene, Subscriber, Proxy) {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let proxy = Proxy::start(scene.redis.port);
    scene.append("app.log", text(0..10));
    let watcher = scene
        .watch_through(&proxy.url(), "app.log")
        .args(["--mode", mode])
        .spawn();
    let first = text(0..10).len().to_string() + " ";
    wait_until("the first lines are there", || {
        let key: Vec<String> = scene.redis.ask(&["KEYS", "tailcast:*"]);
        !key.is_empty() && scene.redis.record().1.starts_with(&first)
    });
    proxy.hold_from(EXEC);
    scene.append("app.log", text(10..20));
    wait_until("the EXEC is held", || proxy.held() > 0);
    watcher.sigkill();
    (scene, oracle, proxy)
}

#[test]
fn a_zombie_that_comes_after_the_take_over_is_refused() {
    for mode in ["pubsub", "list"] {
        let (scene, oracle, proxy) = dead_with_its_exec_held(mode);
        let successor = scene.watch("app.log").args(["--mode", mode]).spawn();
        wait_until("the successor has published", || {
            scene.arrived(mode, &oracle).len() >= 20
        });
        let held = proxy.held();
        proxy.release();
        wait_until("the zombie's EXEC went to Redis", || proxy.held() < held);
        scene.append("app.log", text(20..30));
        wait_until("the rest is there", || {
            scene.arrived(mode, &oracle).len() >= 30
        });
        // Redis closes the zombie's connection after it has answered: so its EXEC was executed, or refused.
        // Where Redis keeps the lines, the successor has one more, to look how many.
        let living = if mode == "list" { 3 } else { 2 };
        wait_until("the zombie is gone", || clients(&scene) == living);
        successor.sigterm();
        assert_exactly(&lines(0..30), &scene.arrived(mode, &oracle));
    }
}

/// Connections to Redis besides the oracle's: the one that asks, and whoever else is there.
fn clients(scene: &Scene) -> usize {
    let list: String = scene.redis.ask(&["CLIENT", "LIST", "TYPE", "normal"]);
    list.lines().count()
}

#[test]
fn a_zombie_that_comes_between_take_over_and_first_batch_is_refused() {
    let (scene, oracle, proxy) = dead_with_its_exec_held("pubsub");
    // The successor's own lines are held in a proxy of its own, its take-over is not.
    let own = Proxy::start(scene.redis.port);
    own.hold_from(b"PUBLISH");
    let before = scene.redis.record().1;
    let successor = scene.watch_through(&own.url(), "app.log").spawn();
    wait_until("the successor took over", || {
        scene.redis.record().1 != before
    });
    let held = proxy.held();
    proxy.release();
    wait_until("the zombie's EXEC went to Redis", || proxy.held() < held);
    wait_until("the zombie is gone", || clients(&scene) == 2);
    own.release();
    scene.assert_arrives(successor, &oracle, &lines(0..20));
}

#[test]
fn a_zombie_that_comes_before_the_take_over_is_seen() {
    for mode in ["pubsub", "list"] {
        let (scene, oracle, proxy) = dead_with_its_exec_held(mode);
        proxy.release();
        wait_until("the zombie's lines are there", || {
            scene.arrived(mode, &oracle).len() >= 20
        });
        scene.append("app.log", text(20..30));
        let successor = scene.watch("app.log").args(["--mode", mode]).spawn();
        wait_until("the rest is there", || {
            scene.arrived(mode, &oracle).len() >= 30
        });
        successor.sigterm();
        assert_exactly(&lines(0..30), &scene.arrived(mode, &oracle));
    }
}

#[test]
fn a_zombie_in_the_socket_of_a_stopped_redis_repeats_nothing() {
    for mode in ["pubsub", "list"] {
        let (scene, oracle, proxy) = dead_with_its_exec_held(mode);
        scene.redis.stop();
        proxy.release();
        wait_until("the EXEC is in Redis's socket", || proxy.held() == 0);
        let successor = scene.watch("app.log").args(["--mode", mode]).spawn();
        // Its take-over waits in another socket: which of the two Redis reads first is Redis's affair.
        successor.wait_says("watching");
        scene.append("app.log", text(20..30));
        scene.redis.cont();
        wait_until("the rest is there", || {
            scene.arrived(mode, &oracle).len() >= 30
        });
        successor.sigterm();
        assert_exactly(&lines(0..30), &scene.arrived(mode, &oracle));
    }
}

#[test]
fn a_watcher_that_lost_its_connection_is_its_own_zombie() {
    // The same watcher, connected anew while its old EXEC is still on its way.
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let proxy = Proxy::start(scene.redis.port);
    scene.append("app.log", text(0..10));
    let watcher = scene.watch_through(&proxy.url(), "app.log").spawn();
    oracle.wait_for(10);
    scene.redis.stop();
    scene.append("app.log", text(10..20));
    // The read timeout passes, it gives the connection up; then Redis wakes and finds both.
    watcher.wait_complains();
    scene.redis.cont();
    scene.assert_arrives(watcher, &oracle, &lines(0..20));
}
