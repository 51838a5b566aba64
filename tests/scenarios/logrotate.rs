//! The real logrotate, not our idea of it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::util::*;

/// A configuration for one scene's app.log, and the way to run it.
struct Logrotate<'a> {
    scene: &'a Scene,
}

impl<'a> Logrotate<'a> {
    /// None, with a notice, where there is no logrotate.
    fn new(scene: &'a Scene, style: &str) -> Option<Logrotate<'a>> {
        if !installed("logrotate") {
            skip("logrotate is not installed (scripts/test.sh installs it)");
            return None;
        }
        let config = format!(
            "{:?} {{\n  rotate 50\n  nocompress\n  {style}\n}}\n",
            scene.path("app.log")
        );
        let path = scene.home().join("logrotate.conf");
        fs::write(&path, config).expect("write a configuration");
        // logrotate refuses what others could write to.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        fs::set_permissions(scene.path("."), fs::Permissions::from_mode(0o755)).expect("chmod");
        Some(Logrotate { scene })
    }

    fn rotate(&self) {
        let home = self.scene.home();
        let mut command = Command::new("logrotate");
        command
            .arg("--force")
            .arg("--state")
            .arg(home.join("logrotate.state"))
            .arg(home.join("logrotate.conf"));
        let output = command.output().expect("run logrotate");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// Writes line after line, opening the file anew for each, until it is told to stop.
struct Writer {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Writer {
    fn start(scene: &Scene, first: usize) -> Writer {
        let (stop, written) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(first)),
        );
        let (of_thread, counter, path) = (
            Arc::clone(&stop),
            Arc::clone(&written),
            scene.path("app.log"),
        );
        let thread = std::thread::spawn(move || {
            let mut options = fs::OpenOptions::new();
            options.append(true);
            while !of_thread.load(Ordering::SeqCst) {
                // Between logrotate's rename and create there is no file.
                let Ok(mut file) = options.open(&path) else {
                    continue;
                };
                let n = counter.load(Ordering::SeqCst);
                file.write_all(text(n..n + 1).as_bytes()).expect("append");
                counter.store(n + 1, Ordering::SeqCst);
                if n % 20 == 0 {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            }
        });
        Writer {
            stop,
            written,
            thread,
        }
    }

    fn wait_for_more(&self, lines: usize) {
        let goal = self.written.load(Ordering::SeqCst) + lines;
        wait_until("the writer has written more", || {
            self.written.load(Ordering::SeqCst) >= goal
        });
    }

    /// Stops it; how many lines there are.
    fn stop(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the writer");
        self.written.load(Ordering::SeqCst)
    }
}

/// The lines that the rotations left readable, file by file, oldest first.
fn readable(scene: &Scene) -> Vec<Vec<Vec<u8>>> {
    let names = (1..50)
        .rev()
        .map(|n| format!("app.log.{n}"))
        .chain(["app.log".to_string()]);
    names
        .map(|name| published_lines(&scene.read(&name)))
        .filter(|lines| !lines.is_empty())
        .collect()
}

/// Every readable line has arrived once, each file's in order; and what else arrived was written, and lost by copytruncate
/// itself after the watcher had read it.
#[track_caller]
fn check(scene: &Scene, written: usize, copytruncate: bool, arrived: &[Vec<u8>]) {
    let files = readable(scene);
    let readable: std::collections::HashSet<&[u8]> =
        files.iter().flatten().map(Vec::as_slice).collect();
    let (kept, others): (Vec<_>, Vec<_>) = arrived
        .iter()
        .map(Vec::as_slice)
        .partition(|l| readable.contains(l));
    assert_eq!(
        kept.len(),
        files.iter().map(Vec::len).sum::<usize>(),
        "{}",
        difference(&files.concat(), &kept)
    );
    for file in &files {
        let own: std::collections::HashSet<&[u8]> = file.iter().map(Vec::as_slice).collect();
        let of_file: Vec<_> = kept.iter().filter(|l| own.contains(**l)).collect();
        assert_exactly(file, &of_file);
    }
    let lost: Vec<String> = lines(0..written)
        .into_iter()
        .filter(|l| !readable.contains(l.as_bytes()))
        .collect();
    assert!(
        copytruncate || lost.is_empty(),
        "create loses nothing: {lost:?}"
    );
    let mut once = std::collections::HashSet::new();
    for other in others {
        assert!(
            lost.iter().any(|l| l.as_bytes() == other) && once.insert(other),
            "{}",
            String::from_utf8_lossy(other)
        );
    }
}

fn ten_rotations_under_a_steady_writer(style: &str, copytruncate: bool) {
    let scene = Scene::new();
    let Some(logrotate) = Logrotate::new(&scene, style) else {
        return;
    };
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..1));
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(1);
    let writer = Writer::start(&scene, 1);
    for _ in 0..10 {
        writer.wait_for_more(200);
        logrotate.rotate();
    }
    writer.wait_for_more(200);
    let written = writer.stop();
    finish(&scene, watcher, &oracle, written, copytruncate);
}

fn three_rotations_while_nobody_watches(style: &str, copytruncate: bool) {
    let scene = Scene::new();
    let Some(logrotate) = Logrotate::new(&scene, style) else {
        return;
    };
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..1));
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(1);
    let writer = Writer::start(&scene, 1);
    writer.wait_for_more(500);
    watcher.sigkill();
    for _ in 0..3 {
        writer.wait_for_more(500);
        logrotate.rotate();
    }
    writer.wait_for_more(500);
    let watcher = scene.watch("app.log").spawn();
    writer.wait_for_more(500);
    let written = writer.stop();
    finish(&scene, watcher, &oracle, written, copytruncate);
}

/// Waits for the last line and for every readable one, ends the watcher, and checks.
fn finish(
    scene: &Scene,
    watcher: Process,
    oracle: &Subscriber,
    written: usize,
    copytruncate: bool,
) {
    scene.append("app.log", text(written..written + 1));
    oracle.wait_for_line(line(written));
    oracle.wait_for(readable(scene).concat().len());
    watcher.sigterm();
    check(scene, written + 1, copytruncate, &oracle.settle());
}

#[test]
fn create_ten_times_under_a_steady_writer_loses_and_repeats_nothing() {
    ten_rotations_under_a_steady_writer("create", false);
}

#[test]
fn copytruncate_ten_times_under_a_steady_writer_loses_only_what_it_loses_itself() {
    ten_rotations_under_a_steady_writer("copytruncate", true);
}

#[test]
fn create_three_times_while_nobody_watches_loses_and_repeats_nothing() {
    three_rotations_while_nobody_watches("create", false);
}

#[test]
fn copytruncate_three_times_while_nobody_watches_loses_only_what_it_loses_itself() {
    three_rotations_while_nobody_watches("copytruncate", true);
}

#[test]
fn dateext_is_followed_as_well() {
    let scene = Scene::new();
    let Some(logrotate) = Logrotate::new(&scene, "create\n  dateext\n  dateformat -%Y%m%d-%s")
    else {
        return;
    };
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    scene.once("app.log");
    scene.append("app.log", text(10..20));
    logrotate.rotate();
    scene.append("app.log", text(20..30));
    scene.once("app.log");
    assert_exactly(&lines(0..30), &oracle.settle());
}
