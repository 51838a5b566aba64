//! The ways in which a watcher does not see what happens to its log, and what must come out of each: every line once, in
//! order, and not a word of a gap.

use super::{Finished, Process, Scene, Subscriber, Tailcast, assert_exactly, lines, wait_until};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// It stands still (SIGSTOP): it holds its file all the while.
    Frozen,
    /// Redis stands still: nothing can be read on.
    RedisAway,
    /// Ended by SIGTERM, and started again.
    Stopped,
    /// Ended by SIGKILL, and started again.
    Killed,
    /// A run of `--once` before, and another one behind.
    Cron,
}

impl Absence {
    pub const ALL: [Absence; 5] = [
        Absence::Frozen,
        Absence::RedisAway,
        Absence::Stopped,
        Absence::Killed,
        Absence::Cron,
    ];

    /// Those in which nobody holds a descriptor.
    pub const DOWN: [Absence; 3] = [Absence::Stopped, Absence::Killed, Absence::Cron];
}

/// In every way: `first` writes so many lines, which are published; `happen` goes unseen, and returns how many lines were
/// written in all; these, from `line(0)` on, must have arrived.
#[track_caller]
pub fn unseen(
    watch: impl Fn(&Scene) -> Tailcast,
    first: impl Fn(&Scene) -> usize,
    happen: impl Fn(&Scene) -> usize,
) {
    for absence in Absence::ALL {
        unseen_while(absence, &watch, &first, &happen);
    }
}

/// Like `unseen`, in one way.
#[track_caller]
pub fn unseen_while(
    absence: Absence,
    watch: impl Fn(&Scene) -> Tailcast,
    first: impl Fn(&Scene) -> usize,
    happen: impl Fn(&Scene) -> usize,
) {
    let ended = play_unseen(absence, watch, first, happen);
    assert_no_gap(&ended);
}

/// Like `unseen_while`, where a gap may be said nevertheless; returns what was said behind it.
#[track_caller]
pub fn play_unseen(
    absence: Absence,
    watch: impl Fn(&Scene) -> Tailcast,
    first: impl Fn(&Scene) -> usize,
    happen: impl Fn(&Scene) -> usize,
) -> Finished {
    println!("unseen: {absence:?}");
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let published = first(&scene);
    if absence == Absence::Cron {
        watch(&scene).arg("--once").run().assert_silent_success();
        assert_exactly(&lines(0..published), &oracle.settle());
        let written = happen(&scene);
        let ended = watch(&scene).arg("--once").run();
        assert_eq!((ended.code, &*ended.stderr), (0, ""));
        assert_exactly(&lines(0..written), &oracle.settle());
        ended
    } else {
        let watcher = watch(&scene).spawn();
        wait_for_start(&scene, &watcher, &oracle, published);
        let (watcher, written) = be_absent(absence, &scene, watcher, &watch, &happen);
        oracle.wait_for_line(super::line(written - 1));
        oracle.wait_for(written);
        let ended = watcher.sigterm();
        assert_exactly(&lines(0..written), &oracle.settle());
        ended
    }
}

/// Waits until so many lines are published, and where there is none, until its files are open.
#[track_caller]
pub fn wait_for_start(scene: &Scene, watcher: &Process, oracle: &Subscriber, published: usize) {
    oracle.wait_for(published);
    let logs = scene.path("").canonicalize().expect("a path");
    wait_until("it has opened its log", || {
        watcher
            .open_files()
            .iter()
            .any(|file| file.starts_with(&logs))
    });
    // Before that it has not begun: nothing tells the next one what was there.
    wait_until("its first checkpoint is written", || {
        let state = std::fs::read_dir(scene.state_dir()).expect("list the state");
        let mut names = state.map(|entry| entry.expect("an entry").file_name());
        names.any(|name| name.to_string_lossy().ends_with(".checkpoint"))
    });
}

fn be_absent(
    absence: Absence,
    scene: &Scene,
    watcher: Process,
    watch: impl Fn(&Scene) -> Tailcast,
    happen: impl Fn(&Scene) -> usize,
) -> (Process, usize) {
    match absence {
        Absence::Frozen => {
            watcher.signal("STOP");
            let written = happen(scene);
            watcher.signal("CONT");
            (watcher, written)
        }
        Absence::RedisAway => {
            scene.redis.stop();
            let written = happen(scene);
            scene.redis.cont();
            (watcher, written)
        }
        Absence::Stopped => {
            watcher.sigterm();
            let written = happen(scene);
            (watch(scene).spawn(), written)
        }
        Absence::Killed => {
            watcher.sigkill();
            let written = happen(scene);
            (watch(scene).spawn(), written)
        }
        Absence::Cron => unreachable!("nobody runs between two runs of --once"),
    }
}

/// The lines of stderr that say a gap.
pub fn gaps(stderr: &str) -> Vec<&str> {
    let is_gap = |line: &&str| {
        line.split(|c: char| !c.is_alphanumeric())
            .any(|word| word == "gap")
    };
    stderr.lines().filter(is_gap).collect()
}

#[track_caller]
pub fn assert_no_gap(ended: &Finished) {
    assert!(
        gaps(&ended.stderr).is_empty(),
        "says a gap: {}",
        ended.stderr
    );
}

/// One gap, that names `parts`.
#[track_caller]
pub fn assert_one_gap(stderr: &str, parts: &[&str]) {
    let said = gaps(stderr);
    assert_eq!(said.len(), 1, "one gap: {stderr}");
    for part in parts {
        assert!(said[0].contains(part), "names {part}: {}", said[0]);
    }
}
