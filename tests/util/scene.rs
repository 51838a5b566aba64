//! Where a scenario plays: a folder for logs, a folder for state, a Redis.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::process::Captured;
use super::{Process, Redis, Subscriber, Tailcast, assert_exactly};

/// A folder and a Redis of the test's own. When the test fails, it tells what every tailcast in it said.
pub struct Scene {
    dir: TempDir,
    pub redis: Redis,
    log: Arc<Mutex<Vec<Captured>>>,
}

impl Scene {
    pub fn new() -> Scene {
        Scene::with(Redis::start())
    }

    pub fn with(redis: Redis) -> Scene {
        let dir = TempDir::new().expect("create a folder");
        for name in ["logs", "state"] {
            fs::create_dir(dir.path().join(name)).expect("create a folder");
        }
        Scene {
            dir,
            redis,
            log: Arc::default(),
        }
    }

    /// The path of a log file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("logs").join(name)
    }

    /// The folder around logs and state.
    pub fn home(&self) -> &Path {
        self.dir.path()
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Appends to a log file, in one write; creates it first if need be.
    pub fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        self.open(name)
            .write_all(bytes.as_ref())
            .expect("append to a log");
    }

    /// A log file opened as a program that logs has it: for append.
    pub fn open(&self, name: &str) -> File {
        let path = self.path(name);
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .unwrap_or_else(|e| panic!("open {name}: {e}"))
    }

    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap_or_else(|e| panic!("rename {from}: {e}"));
    }

    /// Makes a file seem to have been written so long ago.
    pub fn age(&self, name: &str, by: Duration) {
        File::open(self.path(name))
            .and_then(|file| file.set_modified(SystemTime::now() - by))
            .unwrap_or_else(|e| panic!("set the time of {name}: {e}"));
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap_or_else(|e| panic!("remove {name}: {e}"));
    }

    /// Copies a log and empties it, as logrotate's copytruncate does. Whoever writes must pause meanwhile.
    pub fn copytruncate(&self, name: &str, copy: &str) {
        fs::copy(self.path(name), self.path(copy)).expect("copy a log");
        OpenOptions::new()
            .write(true)
            .open(self.path(name))
            .and_then(|f| f.set_len(0))
            .expect("truncate a log");
    }

    /// What stands in a log file; nothing when there is none.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_default()
    }

    /// A tailcast command line, without Redis and state.
    pub fn tailcast(&self, args: &[&str]) -> Tailcast {
        Tailcast::new(self.dir.path(), Arc::clone(&self.log)).args(args)
    }

    /// `tailcast watch` of a log file, with this scene's Redis and state.
    pub fn watch(&self, name: &str) -> Tailcast {
        self.watch_through(&self.redis.url(), name)
    }

    /// Like `watch`, with another way to Redis.
    pub fn watch_through(&self, url: &str, name: &str) -> Tailcast {
        self.tailcast(&["watch"])
            .arg(self.path(name))
            .args(["--redis", url, "--state-dir"])
            .arg(self.state_dir())
    }

    /// `tailcast watch --once` of a log file, which must succeed and say nothing.
    #[track_caller]
    pub fn once(&self, name: &str) {
        self.watch(name).arg("--once").run().assert_silent_success();
    }

    pub fn checkpoint_path(&self, name: &str) -> PathBuf {
        let path = self.path(name).to_str().expect("UTF-8").replace('/', "%");
        self.state_dir().join(path + ".checkpoint")
    }

    /// The text of a file's checkpoint; empty when there is none.
    pub fn checkpoint(&self, name: &str) -> String {
        fs::read_to_string(self.checkpoint_path(name)).unwrap_or_default()
    }

    /// The checkpoint's first field: how far.
    #[track_caller]
    pub fn offset(&self, name: &str) -> u64 {
        let text = self.checkpoint(name);
        text.split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or_else(|| panic!("no offset in {text:?}"))
    }

    /// The same, or 0 where there is no checkpoint yet.
    pub fn offset_or_0(&self, name: &str) -> u64 {
        let text = self.checkpoint(name);
        text.split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0)
    }

    /// The checkpoint's second field: the number of the log's first file, and how many came since.
    #[track_caller]
    pub fn numbers(&self, name: &str) -> (u64, u64) {
        let text = self.checkpoint(name);
        text.split(' ')
            .nth(1)
            .and_then(|field| field.split_once('+'))
            .and_then(|(first, since)| Some((first.parse().ok()?, since.parse().ok()?)))
            .unwrap_or_else(|| panic!("no generation in {text:?}"))
    }

    /// How many files a path has been before this one, as its checkpoint says.
    #[track_caller]
    pub fn generation(&self, name: &str) -> u64 {
        self.numbers(name).1
    }

    /// What went out in a mode: kept by Redis, or else heard by the oracle.
    #[track_caller]
    pub fn arrived(&self, mode: &str, oracle: &Subscriber) -> Vec<Vec<u8>> {
        match mode {
            "pubsub" => oracle.settle(),
            _ => self.redis.kept(mode),
        }
    }

    /// What went out in a mode behind the first `n` lines.
    pub fn arrived_since(&self, mode: &str, oracle: &Subscriber, n: usize) -> Vec<Vec<u8>> {
        match mode {
            "pubsub" => oracle.payloads_since(n),
            _ => self.redis.kept_since(mode, n),
        }
    }

    pub fn subscriber(&self) -> Subscriber {
        Subscriber::new(&self.redis)
    }

    /// Waits for all of `written`, ends the watcher, and looks again: every line once, in order, nothing else.
    #[track_caller]
    pub fn assert_arrives<L: AsRef<[u8]>>(
        &self,
        watcher: Process,
        oracle: &Subscriber,
        written: &[L],
    ) {
        if let Some(last) = written.last() {
            oracle.wait_for_line(last);
        }
        oracle.wait_for(written.len());
        watcher.sigterm();
        assert_exactly(written, &oracle.settle());
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for story in self.log.lock().unwrap().iter() {
            let story = story.lock().unwrap();
            eprintln!(
                "{}",
                String::from_utf8_lossy(&story[story.len().saturating_sub(4000)..])
            );
        }
        for entry in fs::read_dir(self.state_dir())
            .into_iter()
            .flatten()
            .flatten()
        {
            eprintln!(
                "{:?}: {:?}",
                entry.file_name(),
                fs::read_to_string(entry.path()).unwrap_or_default()
            );
        }
    }
}
