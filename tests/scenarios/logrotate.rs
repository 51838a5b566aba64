//! The real logrotate, not our idea of it: all its styles, live, while the watcher stands still, and while nobody watches.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::util::*;

/// A configuration for one scene's app.log, and the way to run it.
struct Logrotate<'a> {
    scene: &'a Scene,
    style: String,
    /// How often it ran.
    ran: Cell<usize>,
}

/// Dates are of the hour. No two rotations of a scene wait for another one: these say which each is called by.
const DATES: [&str; 3] = ["dateyesterday", "datehourago", ""];

impl<'a> Logrotate<'a> {
    /// None, with a notice, where there is no logrotate.
    fn new(scene: &'a Scene, style: &str) -> Option<Logrotate<'a>> {
        if !installed("logrotate") {
            skip("logrotate is not installed (scripts/test.sh installs it)");
            return None;
        }
        fs::create_dir(scene.path("old")).expect("create a folder");
        // logrotate refuses what others could write to.
        for folder in [".", "old"] {
            fs::set_permissions(scene.path(folder), fs::Permissions::from_mode(0o755))
                .expect("chmod");
        }
        Some(Logrotate {
            scene,
            style: style.into(),
            ran: Cell::new(0),
        })
    }

    fn configuration(&self) -> PathBuf {
        let (log, style) = (self.scene.path("app.log"), &self.style);
        let date = match style.contains("dateext") {
            true => DATES[self.ran.get()],
            false => "",
        };
        let path = self.scene.home().join("logrotate.conf");
        let text = format!("{log:?} {{\n  rotate 50\n  {style}\n  {date}\n}}\n");
        fs::write(&path, text).expect("write a configuration");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        path
    }

    fn rotate(&self) {
        let mut command = Command::new("logrotate");
        command
            .arg("--force")
            .arg("--state")
            .arg(self.scene.home().join("logrotate.state"))
            .arg(self.configuration());
        let output = command.output().expect("run logrotate");
        self.ran.set(self.ran.get() + 1);
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
    /// Held for each line; whoever holds it otherwise makes the writer pause.
    gate: Arc<Mutex<()>>,
    thread: JoinHandle<()>,
}

impl Writer {
    fn start(scene: &Scene, first: usize) -> Writer {
        let (stop, written, gate) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(first)),
            Arc::new(Mutex::new(())),
        );
        let (of_thread, counter, of_gate, path) = (
            Arc::clone(&stop),
            Arc::clone(&written),
            Arc::clone(&gate),
            scene.path("app.log"),
        );
        let thread = std::thread::spawn(move || {
            let mut options = fs::OpenOptions::new();
            options.append(true);
            while !of_thread.load(Ordering::SeqCst) {
                let held = of_gate.lock().unwrap();
                // Between logrotate's rename and create there is no file.
                let Ok(mut file) = options.open(&path) else {
                    continue;
                };
                let n = counter.load(Ordering::SeqCst);
                file.write_all(text(n..n + 1).as_bytes()).expect("append");
                counter.store(n + 1, Ordering::SeqCst);
                drop(held);
                if n % 20 == 0 {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            }
        });
        Writer {
            stop,
            written,
            gate,
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
    let folders = [scene.path("."), scene.path("old")];
    let entries = folders.iter().flat_map(|f| fs::read_dir(f).expect("list"));
    let mut files: Vec<Vec<Vec<u8>>> = entries
        .map(|entry| entry.expect("list").path())
        .filter(|path| path.is_file())
        .map(|path| published_lines(&unpacked(&path)))
        .filter(|lines| !lines.is_empty())
        .collect();
    files.sort_by_key(|lines| number_of(&lines[0]));
    files
}

fn unpacked(path: &std::path::Path) -> Vec<u8> {
    if path.extension().is_none_or(|e| e != "gz") {
        return fs::read(path).expect("read");
    }
    let output = Command::new("gzip").arg("-dc").arg(path).output();
    output.expect("run gzip").stdout
}

/// The n of `line(n)`.
fn number_of(line: &[u8]) -> usize {
    let digits: String = String::from_utf8_lossy(line)
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    digits.parse().expect("a number")
}

/// Every readable line has arrived once, each file's in order; and what else arrived was written, and lost by copytruncate
/// itself after the watcher had read it.
#[track_caller]
fn check(scene: &Scene, written: usize, loses: bool, arrived: &[Vec<u8>]) {
    let files = readable(scene);
    let readable: HashSet<&[u8]> = files.iter().flatten().map(Vec::as_slice).collect();
    let (kept, others): (Vec<_>, Vec<_>) = arrived
        .iter()
        .map(Vec::as_slice)
        .partition(|l| readable.contains(l));
    assert_exactly(&files.concat(), &kept);
    let lost: HashSet<String> = lines(0..written)
        .into_iter()
        .filter(|l| !readable.contains(l.as_bytes()))
        .collect();
    assert!(loses || lost.is_empty(), "it loses nothing: {lost:?}");
    let mut once = HashSet::new();
    for other in others {
        let text = String::from_utf8_lossy(other).into_owned();
        assert!(lost.contains(&text) && once.insert(other), "{text}");
    }
}

/// What a watcher does meanwhile.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Watching {
    Live,
    Frozen,
    Down,
}

/// Rotates so many times under a steady writer.
fn rotate_under_a_writer(style: &str, watching: Watching, times: usize) {
    println!("{watching:?}: {style}");
    let scene = Scene::new();
    let Some(logrotate) = Logrotate::new(&scene, style) else {
        return;
    };
    let watch = || {
        let watch = scene.watch("app.log");
        match style.contains("olddir") {
            true => watch.arg("--rotated").arg(scene.path("old")),
            false => watch,
        }
    };
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..1));
    let mut watcher = Some(watch().spawn());
    oracle.wait_for(1);
    let writer = Writer::start(&scene, 1);
    writer.wait_for_more(200);
    match watching {
        Watching::Live => {}
        Watching::Frozen => watcher.as_ref().expect("it runs").signal("STOP"),
        Watching::Down => _ = watcher.take().expect("it runs").sigkill(),
    }
    for _ in 0..times {
        writer.wait_for_more(200);
        // A file that is compressed at once must not be written meanwhile: as a postrotate script sees to.
        let _paused = style.contains("\n  compress").then(|| writer.gate.lock());
        logrotate.rotate();
    }
    writer.wait_for_more(200);
    if watching == Watching::Frozen {
        watcher.as_ref().expect("it runs").signal("CONT");
    }
    let watcher = watcher.unwrap_or_else(|| watch().spawn());
    writer.wait_for_more(200);
    let written = writer.stop();
    // Between its copy and its truncation, copytruncate loses what is written.
    let loses = style.contains("copytruncate") && !style.contains("\n  compress");
    let arrived = finish(&scene, watcher, &oracle, written, loses);
    watch().arg("--once").run().assert_silent_success();
    assert_eq!(oracle.settle().len(), arrived, "nothing comes again");
}

/// Waits for the last line and for every readable one, ends the watcher, and checks; returns how many lines arrived.
#[track_caller]
fn finish(
    scene: &Scene,
    watcher: Process,
    oracle: &Subscriber,
    written: usize,
    loses: bool,
) -> usize {
    scene.append("app.log", text(written..written + 1));
    oracle.wait_for_line(line(written));
    oracle.wait_for(readable(scene).concat().len());
    let ended = watcher.sigterm();
    let arrived = oracle.settle();
    check(scene, written + 1, loses, &arrived);
    if !loses {
        assert_no_gap(&ended);
    }
    arrived.len()
}

const NAMINGS: [&str; 5] = [
    "",
    "extension .log",
    "dateext\n  dateformat -%Y%m%d%H",
    "dateext\n  dateformat -%Y%m%d%H\n  extension .log",
    "olddir old",
];
const COMPRESSIONS: [&str; 3] = ["nocompress", "compress", "compress\n  delaycompress"];

/// Every way of naming and every way of compressing; with one another where it runs.
fn all_styles(base: &str, watching: Watching, times: usize) {
    let styles = match watching {
        Watching::Live => each_with_each(&NAMINGS, &COMPRESSIONS),
        _ => paired(&NAMINGS, &COMPRESSIONS),
    };
    for (naming, compression) in styles {
        let style = format!("{base}\n  {naming}\n  {compression}");
        rotate_under_a_writer(&style, watching, times);
    }
}

#[test]
fn create_ten_times_under_a_steady_writer_loses_and_repeats_nothing() {
    rotate_under_a_writer("create", Watching::Live, 10);
}

#[test]
fn copytruncate_ten_times_under_a_steady_writer_loses_only_what_it_loses_itself() {
    rotate_under_a_writer("copytruncate", Watching::Live, 10);
}

#[test]
fn every_style_of_create_is_exact_while_it_runs() {
    all_styles("create", Watching::Live, 3);
}

#[test]
fn every_style_of_create_is_exact_over_two_rotations_while_it_stands_still() {
    all_styles("create", Watching::Frozen, 2);
}

#[test]
fn every_style_of_create_is_exact_over_three_rotations_while_nobody_watches() {
    all_styles("create", Watching::Down, 3);
}

#[test]
fn every_style_of_copytruncate_loses_only_what_it_loses_itself_while_it_runs() {
    all_styles("copytruncate", Watching::Live, 3);
}

#[test]
fn every_style_of_copytruncate_loses_only_what_it_loses_itself_while_it_stands_still() {
    all_styles("copytruncate", Watching::Frozen, 2);
}

#[test]
fn every_style_of_copytruncate_loses_only_what_it_loses_itself_while_nobody_watches() {
    all_styles("copytruncate", Watching::Down, 3);
}

#[test]
fn copytruncate_of_an_empty_file_right_behind_a_burst_loses_nothing() {
    for compression in COMPRESSIONS {
        let scene = Scene::new();
        let style = format!("copytruncate\n  {compression}");
        let Some(logrotate) = Logrotate::new(&scene, &style) else {
            return;
        };
        let oracle = scene.subscriber();
        scene.append("app.log", "");
        let watcher = scene.watch("app.log").spawn();
        wait_for_start(&scene, &watcher, &oracle, 0);
        for round in 0..10 {
            scene.append("app.log", text(round * 50..round * 50 + 50));
            logrotate.rotate();
        }
        oracle.wait_for(500);
        let ended = watcher.sigterm();
        assert_exactly(&lines(0..500), &oracle.settle());
        assert_no_gap(&ended);
    }
}
