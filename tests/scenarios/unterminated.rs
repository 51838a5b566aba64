//! Ends without a newline, and lines that come late: into a file that was renamed away, or into one that nobody writes again.

use std::io::Write;

use crate::util::*;

const END: &str = "the last words of a program that was killed";

fn watch(scene: &Scene) -> Tailcast {
    scene.watch("app.log").args(["--rotate-wait", "200ms"])
}

/// Ten lines are published, and a watcher runs.
fn begin(scene: &Scene, oracle: &Subscriber) -> Process {
    scene.append("app.log", text(0..10));
    let watcher = watch(scene).spawn();
    oracle.wait_for(10);
    watcher
}

fn expected(written: usize) -> Vec<String> {
    let mut all = lines(0..10);
    all.push(END.into());
    all.extend(lines(10..written));
    all
}

#[test]
fn the_last_line_of_a_renamed_file_is_published_without_its_newline() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let watcher = begin(&scene, &oracle);
    scene.append("app.log", END);
    scene.rotate("app.log");
    oracle.wait_for_line(END);
    scene.append("app.log", text(10..20));
    scene.assert_arrives(watcher, &oracle, &expected(20));
    scene.once("app.log");
    assert_exactly(&expected(20), &oracle.settle());
}

#[test]
fn the_last_line_of_a_file_that_was_renamed_unseen_is_published() {
    for absence in [Absence::Frozen, Absence::Killed] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        let watcher = begin(&scene, &oracle);
        let happen = || {
            scene.append("app.log", END);
            scene.rotate("app.log");
            scene.append("app.log", text(10..20));
        };
        let watcher = if absence == Absence::Frozen {
            watcher.signal("STOP");
            happen();
            watcher.signal("CONT");
            watcher
        } else {
            watcher.sigkill();
            happen();
            watch(&scene).spawn()
        };
        oracle.wait_for(21);
        watcher.sigterm();
        let mut arrived = oracle.settle();
        // It waits for its newline while the next file is read, or the next file for it.
        let at = arrived
            .iter()
            .position(|l| l == END.as_bytes())
            .expect("it arrived");
        assert!(at >= 10);
        arrived.remove(at);
        assert_exactly(&lines(0..20), &arrived);
        scene.once("app.log");
        assert_eq!(oracle.settle().len(), 21, "once");
    }
}

#[test]
fn the_last_line_of_an_archive_is_published_without_its_newline() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let watcher = begin(&scene, &oracle);
    watcher.sigkill();
    scene.append("app.log", END);
    scene.rotate("app.log");
    scene.compress("app.log.1", GZIP);
    scene.append("app.log", text(10..20));
    let watcher = watch(&scene).spawn();
    oracle.wait_for_line(END);
    oracle.wait_for(21);
    watcher.sigterm();
    scene.once("app.log");
    assert_eq!(oracle.settle().len(), 21, "once");
}

#[test]
fn the_unterminated_end_of_the_live_file_is_no_line_however_long_it_waits() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("a.log", text(0..10));
    scene.append("b.log", text(10..20));
    let watcher = scene
        .watch("*.log")
        .args(["--rotate-wait", "100ms"])
        .spawn();
    oracle.wait_for(20);
    let whole = line(20);
    let (half, rest) = whole.split_at(9);
    scene.append("a.log", half);
    scene.append("b.log", END);
    // The end of a renamed file is published, so the wait has passed for the live one as well.
    scene.rotate("b.log");
    oracle.wait_for_line(END);
    scene.append("a.log", format!("{rest}\n"));
    oracle.wait_for_line(&whole);
    watcher.sigterm();
    assert_eq!(oracle.settle().len(), 22);
}

#[test]
fn the_torn_end_of_a_copy_is_no_line() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("a.log", text(0..10));
    scene.append("b.log", text(10..20));
    let watcher = scene
        .watch("*.log")
        .args(["--rotate-wait", "100ms"])
        .spawn();
    oracle.wait_for(20);
    scene.append("a.log", "a torn ");
    scene.rotate_by_copy("a.log");
    scene.append("a.log", text(20..21));
    scene.append("b.log", END);
    scene.rotate("b.log");
    oracle.wait_for_line(END);
    scene.append("a.log", text(21..22));
    oracle.wait_for_line(line(21));
    watcher.sigterm();
    let arrived = oracle.settle();
    assert_eq!(arrived.len(), 23, "{:?}", arrived.last());
}

#[test]
fn a_writer_that_never_pauses_is_read_on_however_long_its_file_is_renamed() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let watcher = begin(&scene, &oracle);
    let mut writer = scene.open("app.log");
    scene.rotate("app.log");
    scene.append("app.log", text(1000..1001));
    // 25 lines over six times the rotate-wait, each well within it.
    let step = std::time::Duration::from_millis(50);
    for n in 10..35 {
        let since = std::time::Instant::now();
        writer.write_all(text(n..n + 1).as_bytes()).expect("write");
        wait_until("a part of the wait has passed", || since.elapsed() >= step);
    }
    oracle.wait_for(36);
    watcher.sigterm();
    let mut arrived = oracle.settle();
    arrived.retain(|l| l != line(1000).as_bytes());
    assert_exactly(&lines(0..35), &arrived);
}

#[test]
fn a_late_line_long_after_the_wait_is_published_until_the_next_rotation() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let watcher = begin(&scene, &oracle);
    let mut writer = scene.open("app.log");
    scene.append("app.log", END);
    scene.rotate("app.log");
    scene.append("app.log", text(10..11));
    // The end without a newline is published behind the wait: so it has passed.
    oracle.wait_for_line(END);
    writer
        .write_all(format!("\n{}", text(11..12)).as_bytes())
        .expect("write");
    oracle.wait_for_line(line(11));
    watcher.sigterm();
    assert_eq!(oracle.settle().len(), 13);
}

#[test]
fn late_lines_of_several_rotated_files_within_the_wait_are_published() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene
        .watch("app.log")
        .args(["--rotate-wait", "60s"])
        .spawn();
    oracle.wait_for(10);
    for round in 1..4 {
        scene.rotate("app.log");
        scene.append("app.log", text(round * 10..round * 10 + 10));
        oracle.wait_for(round * 10 + 10);
    }
    for n in 1..4 {
        scene.append(&format!("app.log.{n}"), text(40 + n..41 + n));
    }
    oracle.wait_for(43);
    watcher.sigterm();
    let mut arrived = oracle.settle();
    let late = arrived.split_off(40);
    assert_exactly(&lines(0..40), &arrived);
    let mut late: Vec<_> = late
        .into_iter()
        .map(|l| String::from_utf8(l).expect("UTF-8"))
        .collect();
    late.sort();
    assert_eq!(late, lines(41..44));
}
