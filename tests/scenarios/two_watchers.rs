//! Two watchers of one source, from two state folders, where no lock keeps them apart: they take turns.

use crate::util::*;

/// A watcher of app.log with its own state and a common source.
fn watcher(scene: &Scene, name: &str, mode: &str) -> Process {
    let state = scene.home().join(name);
    let args = [
        "--redis",
        &scene.redis.url(),
        "--mode",
        mode,
        "--source",
        "shared",
        "--batch-lines",
        "20",
        "--state-dir",
    ];
    scene
        .tailcast(&["watch"])
        .arg(scene.path("app.log"))
        .args(args)
        .arg(state)
        .spawn()
}

#[test]
fn two_watchers_of_one_source_publish_every_line_once() {
    for mode in ["pubsub", "list"] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        let arrived = || scene.arrived(mode, &oracle);
        scene.append("app.log", text(0..1));
        let (one, two) = (watcher(&scene, "one", mode), watcher(&scene, "two", mode));
        wait_until("the first line is there", || arrived().len() == 1);
        for part in 0..20 {
            let start = part * 100 + 1;
            scene.append("app.log", text(start..start + 100));
            wait_until("the lines are there", || arrived().len() >= start + 100);
        }
        let said = [one.sigterm().stderr, two.sigterm().stderr].concat();
        assert_exactly(&lines(0..2_001), &arrived());
        assert!(
            said.contains("shared"),
            "the loser names the source: {said}"
        );
    }
}

#[test]
fn the_other_takes_over_when_one_is_killed() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..100));
    let (one, two) = (
        watcher(&scene, "one", "pubsub"),
        watcher(&scene, "two", "pubsub"),
    );
    oracle.wait_for(100);
    one.sigkill();
    scene.append("app.log", text(100..200));
    scene.assert_arrives(two, &oracle, &lines(0..200));
}

#[test]
fn two_sources_over_one_file_both_publish_it() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    for source in ["one", "two"] {
        let args = [
            "--once",
            "--source",
            source,
            "--redis",
            &scene.redis.url(),
            "--state-dir",
        ];
        let run = scene
            .tailcast(&["watch"])
            .arg(scene.path("app.log"))
            .args(args)
            .arg(scene.home().join(source));
        run.run().assert_silent_success();
    }
    assert_exactly(&[lines(0..10), lines(0..10)].concat(), &oracle.settle());
}
