//! Files that come and go: what is deleted is read to its end, closed, and forgotten after a while.

use std::fs;

use crate::util::*;

/// How many of its descriptors are open on deleted files.
fn deleted_files(watcher: &Process) -> usize {
    let open = watcher.open_files();
    let gone = open
        .iter()
        .filter(|f| f.to_string_lossy().ends_with(" (deleted)"));
    gone.count()
}

fn files_in(folder: &std::path::Path) -> usize {
    fs::read_dir(folder).expect("list").count()
}

#[test]
fn a_thousand_files_that_came_and_went_leave_nothing_behind() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("stays.log", text(0..1));
    let watcher = scene
        .watch("*.log")
        .args(["--forget-after", "1s", "--rotate-wait", "200ms"])
        .args(["--checkpoint-interval", "100ms"])
        .spawn();
    oracle.wait_for(1);
    let descriptors = watcher.open_files().len();
    for round in 0..10 {
        let numbers = 1 + round * 100..1 + (round + 1) * 100;
        for n in numbers.clone() {
            scene.append(&format!("job-{n}.log"), text(n..n + 1));
        }
        oracle.wait_for(numbers.end);
        for n in numbers {
            scene.remove(&format!("job-{n}.log"));
        }
    }
    wait_until("no deleted file is held", || deleted_files(&watcher) == 0);
    let most = descriptors + 20;
    wait_until("few descriptors are open", || {
        watcher.open_files().len() <= most
    });
    wait_until("the state of few files is kept", || {
        files_in(&scene.state_dir()) <= 10
    });
    wait_until("few keys are in Redis", || {
        scene.redis.ask::<usize>(&["DBSIZE"]) <= 5
    });
    assert!(
        watcher.memory("VmRSS") < 24 * 1024,
        "{} KiB",
        watcher.memory("VmRSS")
    );
    scene.append("stays.log", text(1001..1002));
    oracle.wait_for_line(line(1001));
    watcher.sigterm();
    let mut arrived = oracle.settle();
    let mut written: Vec<Vec<u8>> = lines(0..1002).into_iter().map(Vec::from).collect();
    written.sort();
    arrived.sort();
    assert_exactly(&written, &arrived);
}

#[test]
fn a_deleted_file_is_held_no_longer_than_the_rotate_wait() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene
        .watch("app.log")
        .args(["--rotate-wait", "300ms"])
        .spawn();
    oracle.wait_for(10);
    scene.append("app.log", text(10..20));
    scene.remove("app.log");
    oracle.wait_for(20);
    wait_until("it is closed", || deleted_files(&watcher) == 0);
    scene.append("app.log", text(20..30));
    scene.assert_arrives(watcher, &oracle, &lines(0..30));
}

#[test]
fn a_rotated_file_that_is_deleted_is_not_held() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene
        .watch("app.log")
        .args(["--rotate-wait", "300ms"])
        .spawn();
    oracle.wait_for(10);
    for round in 1..6 {
        scene.rotate("app.log");
        scene.append("app.log", text(round * 10..round * 10 + 10));
        oracle.wait_for(round * 10 + 10);
        scene.remove("app.log.1");
    }
    wait_until("none is held", || deleted_files(&watcher) == 0);
    let ended = watcher.sigterm();
    assert_exactly(&lines(0..60), &oracle.settle());
    assert_no_gap(&ended);
}

/// What a running watcher spends while a second passes.
fn cpu_in_a_second(watcher: &Process) -> f64 {
    let (begin, before) = (std::time::Instant::now(), watcher.cpu());
    wait_until("a second has passed", || {
        begin.elapsed().as_secs_f64() > 1.0
    });
    (watcher.cpu() - before) / begin.elapsed().as_secs_f64()
}

#[test]
fn truncated_and_then_removed_costs_no_processor() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    scene.append("other.log", text(100..101));
    let watcher = scene.watch("app.log").arg(scene.path("other.log")).spawn();
    oracle.wait_for(11);
    fs::write(scene.path("app.log"), "").expect("truncate");
    scene.remove("app.log");
    scene.append("other.log", text(101..102));
    oracle.wait_for(12);
    let share = cpu_in_a_second(&watcher);
    assert!(share < 0.3, "{share} of a core");
    scene.append("app.log", text(10..12));
    oracle.wait_for(14);
    watcher.sigterm();
}

#[test]
fn what_comes_back_after_it_was_forgotten_is_read_from_its_start() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("stays.log", text(0..1));
    scene.append("job.log", text(1..2));
    let watcher = scene
        .watch("*.log")
        .args(["--forget-after", "500ms", "--rotate-wait", "100ms"])
        .spawn();
    oracle.wait_for(2);
    scene.remove("job.log");
    wait_until("its record is gone", || {
        scene
            .redis
            .ask::<Vec<String>>(&["KEYS", "*job.log"])
            .is_empty()
    });
    // Another thread removes it.
    wait_until("its checkpoint is gone", || {
        !scene.checkpoint_path("job.log").exists()
    });
    scene.append("job.log", text(2..4));
    oracle.wait_for(4);
    // What is forgotten on the way is only what was forgotten: the other one goes on.
    scene.append("stays.log", text(4..5));
    oracle.wait_for(5);
    watcher.sigterm();
    scene.watch("*.log").arg("--once").run();
    let mut arrived = oracle.settle();
    arrived.sort();
    assert_exactly(&lines(0..5), &arrived);
}

#[test]
fn state_is_kept_until_the_time_to_forget() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("stays.log", text(0..1));
    scene.append("job.log", text(1..5));
    let watcher = scene
        .watch("*.log")
        .args(["--rotate-wait", "100ms", "--checkpoint-interval", "50ms"])
        .spawn();
    oracle.wait_for(5);
    scene.rename("job.log", "away");
    // Found anew, so the folder was looked at since.
    scene.append("new.log", text(5..6));
    oracle.wait_for(6);
    scene.append("new.log", text(6..7));
    oracle.wait_for(7);
    watcher.sigterm();
    scene.watch("*.log").arg("--once").run();
    scene.append("away", text(7..8));
    scene.rename("away", "job.log");
    scene.watch("*.log").arg("--once").run();
    let mut arrived = oracle.settle();
    arrived.sort();
    assert_exactly(&lines(0..8), &arrived);
}
