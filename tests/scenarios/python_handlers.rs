//! Python's own log handlers: the one that rotates by size at full speed, and the one that rotates every second.

use std::process::Command;

use crate::util::*;

/// Logs `count` lines from `first` on; `by_size`: as fast as it can, or else over so many seconds.
const SCRIPT: &str = r#"
import logging, logging.handlers, sys, time
path, first, count, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
if seconds:
    handler = logging.handlers.TimedRotatingFileHandler(path, when='S', backupCount=300)
else:
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=50 * 1024, backupCount=300)
logger = logging.getLogger()
logger.addHandler(handler)
logger.setLevel(logging.INFO)
for n in range(first, first + count):
    logger.info('{"type":"INFO","message":"line %d"}', n)
    if seconds:
        time.sleep(seconds / count)
"#;

struct Python<'a> {
    scene: &'a Scene,
    seconds: f64,
    count: usize,
    written: usize,
}

impl Python<'_> {
    /// One run of the application.
    fn log(&mut self) {
        let (path, first) = (self.scene.path("app.log"), self.written);
        let done = Command::new("python3")
            .args(["-c", SCRIPT])
            .arg(path)
            .args([first, self.count].map(|n| n.to_string()))
            .arg(self.seconds.to_string())
            .output()
            .expect("run python3");
        assert!(
            done.status.success() && done.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        self.written += self.count;
    }

    fn rotated(&self) -> usize {
        let entries = std::fs::read_dir(self.scene.path("")).expect("list");
        entries.count() - 1
    }
}

/// A run while it is watched, one meanwhile that nobody or a frozen watcher sees, and one behind: all is there once.
fn play(seconds: f64, count: usize, down: bool, rotations: usize) {
    if !installed("python3") {
        return skip("python3 is not installed");
    }
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let mut python = Python {
        scene: &scene,
        seconds,
        count,
        written: 1,
    };
    scene.append("app.log", text(0..1));
    let mut watcher = scene.watch("app.log").spawn();
    oracle.wait_for(1);
    python.log();
    if down {
        watcher.sigkill();
        python.log();
        watcher = scene.watch("app.log").spawn();
    } else {
        watcher.signal("STOP");
        python.log();
        watcher.signal("CONT");
    }
    python.log();
    assert!(python.rotated() >= 3 * rotations, "{}", python.rotated());
    oracle.wait_for_line(line(python.written - 1));
    oracle.wait_for(python.written);
    let ended = watcher.sigterm();
    assert_exactly(&lines(0..python.written), &oracle.settle());
    assert_no_gap(&ended);
}

#[test]
fn a_rotating_file_handler_at_full_speed_is_exact_also_while_the_watcher_stands_still() {
    play(0.0, 20_000, false, 10);
}

#[test]
fn a_rotating_file_handler_at_full_speed_is_exact_also_while_nobody_watches() {
    play(0.0, 20_000, true, 10);
}

#[test]
fn a_timed_rotating_file_handler_is_exact_also_while_the_watcher_stands_still() {
    play(2.6, 500, false, 2);
}

#[test]
fn a_timed_rotating_file_handler_is_exact_also_while_nobody_watches() {
    play(3.6, 500, true, 3);
}

#[test]
fn rotated_files_of_python_under_a_pattern_are_no_new_logs() {
    if !installed("python3") {
        return skip("python3 is not installed");
    }
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let mut python = Python {
        scene: &scene,
        seconds: 2.2,
        count: 300,
        written: 1,
    };
    scene.append("app.log", text(0..1));
    let watcher = scene.watch("app*").spawn();
    oracle.wait_for(1);
    python.log();
    scene.assert_arrives(watcher, &oracle, &lines(0..python.written));
    scene
        .watch("app*")
        .arg("--once")
        .run()
        .assert_silent_success();
    assert_exactly(&lines(0..python.written), &oracle.settle());
}
