//! Globs in every component, what they leave out, what comes to match them later, and matches that cannot be watched.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::util::*;

fn folders(scene: &Scene, names: &[&str]) {
    for name in names {
        fs::create_dir_all(scene.path(name)).expect("create a folder");
    }
}

/// All that arrived, sorted.
fn sorted(oracle: &Subscriber) -> Vec<Vec<u8>> {
    let mut all = oracle.settle();
    all.sort();
    all
}

fn sorted_lines(range: impl IntoIterator<Item = usize>) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = lines(range).into_iter().map(Vec::from).collect();
    all.sort();
    all
}

#[test]
fn a_glob_may_stand_in_every_component() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    folders(&scene, &["web-1/app", "web-2/app", "db-1/app"]);
    scene.append("web-1/app/out.log", text(0..1));
    scene.append("web-2/app/out.log", text(1..2));
    scene.append("db-1/app/out.log", text(10..11));
    scene.append("web-1/out.log", text(11..12));
    scene
        .watch("web-?/*/o[tu]t.log")
        .arg("--once")
        .run()
        .assert_silent_success();
    assert_exactly(&sorted_lines(0..2), &sorted(&oracle));
}

#[test]
fn two_stars_match_any_depth() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    folders(&scene, &["pods/a/b/c", "pods/d"]);
    scene.append("pods/0.log", text(0..1));
    scene.append("pods/d/0.log", text(1..2));
    scene.append("pods/a/b/c/0.log", text(2..3));
    scene.append("pods/a/b/c/0.txt", text(10..11));
    scene.append("0.log", text(11..12));
    let watcher = scene.watch("pods/**/*.log").spawn();
    oracle.wait_for(3);
    folders(&scene, &["pods/new/er"]);
    scene.append("pods/new/er/0.log", text(3..4));
    oracle.wait_for(4);
    watcher.sigterm();
    assert_exactly(&sorted_lines(0..4), &sorted(&oracle));
}

#[test]
fn a_loop_of_links_does_not_hold_two_stars() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    folders(&scene, &["a/b"]);
    scene.append("a/b/0.log", text(0..1));
    std::os::unix::fs::symlink(scene.path("a"), scene.path("a/b/loop")).expect("link");
    let once = scene.watch("**/*.log").arg("--once").spawn();
    let ended = once.finish_within(std::time::Duration::from_secs(20));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_exactly(&lines(0..1), &oracle.settle());
}

#[test]
fn what_exclude_names_is_not_watched() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    folders(&scene, &["kube-system", "web"]);
    scene.append("web/app.log", text(0..1));
    scene.append("web/debug.log", text(10..11));
    scene.append("kube-system/app.log", text(11..12));
    let exclude = |scene: &Scene| {
        scene
            .watch("**/*.log")
            .arg("--exclude")
            .arg(scene.path("kube-system/*"))
            .arg("--exclude")
            .arg(scene.path("**/debug.log"))
    };
    let watcher = exclude(&scene).spawn();
    oracle.wait_for(1);
    scene.append("kube-system/new.log", text(12..13));
    scene.append("web/new.log", text(1..2));
    oracle.wait_for(2);
    scene.append("web/new.log", text(2..3));
    oracle.wait_for(3);
    watcher.sigterm();
    exclude(&scene).arg("--once").run().assert_silent_success();
    assert_exactly(&lines(0..3), &oracle.settle());
}

#[test]
fn an_excluded_path_that_is_named_outright_is_left_out_too() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("a.log", text(0..1));
    scene.append("b.log", text(1..2));
    scene
        .watch("*.log")
        .arg("--exclude")
        .arg(scene.path("b.log"))
        .arg("--once")
        .run()
        .assert_silent_success();
    assert_exactly(&lines(0..1), &oracle.settle());
}

#[test]
fn from_end_counts_for_what_is_there_at_the_start_and_new_matches_are_read_whole() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("old.log", text(100..110));
    let watcher = scene.watch("*.log").args(["--from", "end"]).spawn();
    wait_until("it took the record of the old one over", || {
        scene.redis.ask::<usize>(&["DBSIZE"]) > 0
    });
    scene.append("old.log", text(0..1));
    oracle.wait_for(1);
    // All of its lines are there when it is found.
    scene.append("new.tmp", text(1..50));
    scene.rename("new.tmp", "new.log");
    oracle.wait_for_line(line(49));
    scene.assert_arrives(watcher, &oracle, &lines(0..50));
}

#[test]
fn from_end_does_not_skip_a_file_that_was_waited_for() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("old.log", text(100..110));
    let watcher = scene
        .watch("old.log")
        .arg(scene.path("new.log"))
        .args(["--from", "end"])
        .spawn();
    wait_until("it took a record over", || {
        scene.redis.ask::<usize>(&["DBSIZE"]) > 0
    });
    scene.append("old.log", text(0..1));
    oracle.wait_for(1);
    scene.append("new.tmp", text(1..50));
    scene.rename("new.tmp", "new.log");
    scene.assert_arrives(watcher, &oracle, &lines(0..50));
}

#[test]
fn an_unreadable_match_is_said_and_stops_no_other() {
    if !installed("setpriv") {
        return skip("setpriv (util-linux) is not installed");
    }
    let scene = Scene::new();
    let oracle = scene.subscriber();
    for n in 0..3 {
        scene.append(&format!("{n}.log"), text(n..n + 1));
    }
    let closed = scene.path("1.log");
    fs::set_permissions(&closed, Permissions::from_mode(0o000)).expect("chmod");
    let mut watcher = scene.watch("*.log").under(&MORTAL).spawn();
    oracle.wait_for(2);
    watcher.wait_says(closed.to_str().expect("UTF-8"));
    scene.append("0.log", text(10..11));
    oracle.wait_for(3);
    assert!(watcher.running());
    let said = |watcher: &Process| watcher.stderr().matches("permission denied").count();
    assert_eq!(said(&watcher), 1, "once: {}", watcher.stderr());
    // And tried again.
    fs::set_permissions(&closed, Permissions::from_mode(0o644)).expect("chmod");
    oracle.wait_for_line(line(1));
    watcher.sigterm();
    assert_exactly(&sorted_lines([0, 1, 2, 10]), &sorted(&oracle));
}

#[test]
fn an_unreadable_match_makes_once_fail_behind_the_others() {
    if !installed("setpriv") {
        return skip("setpriv (util-linux) is not installed");
    }
    let scene = Scene::new();
    let oracle = scene.subscriber();
    for n in 0..3 {
        scene.append(&format!("{n}.log"), text(n..n + 1));
    }
    let closed = scene.path("1.log");
    fs::set_permissions(&closed, Permissions::from_mode(0o000)).expect("chmod");
    let run = scene.watch("*.log").arg("--once").under(&MORTAL).run();
    run.assert_fails(1, &[closed.to_str().expect("UTF-8")]);
    assert_exactly(&sorted_lines([0, 2]), &sorted(&oracle));
}

#[test]
fn matches_that_are_no_files_stop_no_other() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    folders(&scene, &["folder.log"]);
    std::os::unix::fs::symlink("nowhere", scene.path("dangling.log")).expect("link");
    std::os::unix::fs::symlink("loop.log", scene.path("loop.log")).expect("link");
    scene.append("app.log", text(0..5));
    let mut watcher = scene.watch("*.log").spawn();
    oracle.wait_for(5);
    scene.append("app.log", text(5..6));
    oracle.wait_for(6);
    assert!(watcher.running());
    scene.assert_arrives(watcher, &oracle, &lines(0..6));
}

#[test]
fn a_match_whose_name_is_not_utf_8_is_a_log_like_any_other() {
    use std::os::unix::ffi::OsStrExt;
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let names: [&[u8]; 2] = [b"\xff.log", b"\xfe.log"];
    for (n, name) in names.into_iter().enumerate() {
        let path = scene.path("").join(std::ffi::OsStr::from_bytes(name));
        fs::write(path, text(n..n + 1)).expect("write");
    }
    scene.append("app.log", text(2..3));
    let mut watcher = scene.watch("*.log").spawn();
    oracle.wait_for(3);
    assert!(watcher.running());
    watcher.sigterm();
    scene.watch("*.log").arg("--once").run();
    assert_exactly(&sorted_lines(0..3), &sorted(&oracle));
}

#[test]
fn a_match_with_a_line_break_in_its_name_stops_no_other() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("a\nb.log", text(100..101));
    scene.append("app.log", text(0..3));
    let mut watcher = scene.watch("*.log").spawn();
    oracle.wait_for_line(line(2));
    scene.append("app.log", text(3..4));
    oracle.wait_for_line(line(3));
    assert!(watcher.running());
    watcher.sigterm();
}

#[test]
fn an_unreadable_rotated_file_is_said_once_and_does_not_block_its_successor() {
    if !installed("setpriv") {
        return skip("setpriv (util-linux) is not installed");
    }
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    scene.append("other.log", text(100..101));
    scene.once("app.log");
    scene.append("app.log", text(10..20));
    scene.rotate("app.log");
    // So that its time tells at no look that it is an old one.
    let rotated = fs::File::open(scene.path("app.log.1")).expect("open");
    rotated
        .set_modified(SystemTime::now() + Duration::from_secs(3600))
        .expect("touch");
    fs::set_permissions(scene.path("app.log.1"), Permissions::from_mode(0o000)).expect("chmod");
    scene.append("app.log", text(20..30));
    let watcher = scene
        .watch("app.log")
        .arg(scene.path("other.log"))
        .under(&MORTAL)
        .spawn();
    oracle.wait_for_line(line(29));
    scene.append("other.log", text(101..102));
    oracle.wait_for_line(line(101));
    let ended = watcher.sigterm();
    let named = ended
        .stderr
        .lines()
        .filter(|l| l.contains("app.log.1"))
        .count();
    assert!((1..4).contains(&named), "said, no flood: {}", ended.stderr);
    assert_eq!(gaps(&ended.stderr).len(), 1, "{}", ended.stderr);
}

#[test]
fn status_takes_the_same_patterns() {
    let scene = Scene::new();
    folders(&scene, &["a/b", "c"]);
    scene.append("a/b/app.log", text(0..3));
    scene.append("c/app.log", text(3..6));
    scene.append("c/debug.log", text(6..9));
    scene
        .watch("**/*.log")
        .arg("--exclude")
        .arg(scene.path("**/debug.log"))
        .arg("--once")
        .run()
        .assert_silent_success();
    let run = scene
        .tailcast(&["status", "--json", "--redis", &scene.redis.url()])
        .arg("--state-dir")
        .arg(scene.state_dir())
        .arg("--exclude")
        .arg(scene.path("**/debug.log"))
        .arg("--rotated")
        .arg(scene.path("c"))
        .arg(scene.path("**/*.log"))
        .run();
    assert_eq!(run.code, 0, "{}", run.stderr);
    let values = serde_json::Deserializer::from_slice(&run.stdout).into_iter::<Value>();
    let rows: Vec<Value> = values
        .flat_map(|v| {
            let v = v.expect("JSON");
            v.as_array().cloned().unwrap_or_else(|| vec![v])
        })
        .collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(
        rows.iter().all(|r| r["lag"].as_u64() == Some(0)),
        "{rows:?}"
    );
}

#[test]
fn what_was_rotated_away_while_nobody_watched_is_read_before_its_log_is_back() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let once = || {
        let watch = scene.watch("*.log").args(["--rotated", "old", "--once"]);
        watch.run().assert_silent_success();
    };
    folders(&scene, &["old"]);
    scene.append("a.log", text(0..2));
    scene.append("b.log", text(10..12));
    once();
    scene.append("a.log", text(2..4));
    scene.rename("a.log", "a.log.1");
    scene.append("b.log", text(12..14));
    scene.rename("b.log", "old/b.log.1");
    once();
    assert_exactly(&sorted_lines((0..4).chain(10..14)), &sorted(&oracle));
    once();
    scene.append("a.log", text(4..6));
    once();
    assert_exactly(&sorted_lines((0..6).chain(10..14)), &sorted(&oracle));
}
