//! The built binary: a command being put together, a running process, a finished one.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{wait_until, wait_within};

/// What a stream of a process has said so far.
pub type Captured = Arc<Mutex<Vec<u8>>>;

/// A command line of tailcast.
pub struct Tailcast {
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    wrapper: Vec<OsString>,
    home: PathBuf,
    log: Arc<Mutex<Vec<Captured>>>,
}

impl Tailcast {
    /// A command with `home` as its folder and `HOME`; what it says on stderr is kept in `log` too.
    pub fn new(home: &Path, log: Arc<Mutex<Vec<Captured>>>) -> Tailcast {
        Tailcast {
            args: Vec::new(),
            envs: Vec::new(),
            wrapper: Vec::new(),
            home: home.into(),
            log,
        }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Tailcast {
        self.args.push(arg.as_ref().into());
        self
    }

    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Tailcast {
        self.args
            .extend(args.into_iter().map(|a| a.as_ref().into()));
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Tailcast {
        self.envs.push((name.into(), value.as_ref().into()));
        self
    }

    /// Runs it under another program, which gets its command line as arguments.
    pub fn under(mut self, wrapper: &[&str]) -> Tailcast {
        self.wrapper = wrapper.iter().map(|a| (*a).into()).collect();
        self
    }

    /// Starts it.
    pub fn spawn(self) -> Process {
        let binary = OsString::from(env!("CARGO_BIN_EXE_tailcast"));
        let mut line = self.wrapper.into_iter().chain([binary]).chain(self.args);
        let mut command = Command::new(line.next().expect("a program"));
        command
            .args(line)
            .current_dir(&self.home)
            .env("HOME", &self.home);
        for name in [
            "REDIS_URL",
            "STATE_DIRECTORY",
            "XDG_STATE_HOME",
            "NO_COLOR",
            "TAILCAST_CRASH_AT",
        ] {
            command.env_remove(name);
        }
        command
            .envs(self.envs)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let shown = format!("{command:?}").replace(env!("CARGO_BIN_EXE_tailcast"), "tailcast");
        let mut child = command
            .spawn()
            .unwrap_or_else(|e| panic!("start {shown}: {e}"));
        let head = format!("$ {shown}\n");
        let story = Captured::new(Mutex::new(head.into_bytes()));
        self.log.lock().unwrap().push(story.clone());
        let (out, err) = (Captured::default(), Captured::default());
        let readers = vec![
            capture(child.stdout.take().expect("piped"), vec![out.clone()]),
            capture(
                child.stderr.take().expect("piped"),
                vec![err.clone(), story],
            ),
        ];
        Process {
            child,
            out,
            err,
            readers,
            shown,
        }
    }

    /// Runs it to its end, which must come.
    pub fn run(self) -> Finished {
        self.spawn().finish()
    }
}

fn capture(mut from: impl Read + Send + 'static, to: Vec<Captured>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut chunk = [0; 16 * 1024];
        while let Ok(n @ 1..) = from.read(&mut chunk) {
            for sink in &to {
                sink.lock().unwrap().extend_from_slice(&chunk[..n]);
            }
        }
    })
}

/// A running tailcast. Dropped, it is killed.
pub struct Process {
    child: Child,
    out: Captured,
    err: Captured,
    readers: Vec<JoinHandle<()>>,
    shown: String,
}

/// A tailcast that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; minus the signal's number when one ended it.
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Process {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.err.lock().unwrap()).into_owned()
    }

    pub fn stdout(&self) -> Vec<u8> {
        self.out.lock().unwrap().clone()
    }

    /// Waits until stderr holds `text`, and returns all of stderr.
    #[track_caller]
    pub fn wait_says(&self, text: &str) -> String {
        wait_until(&format!("stderr says {text:?}"), || {
            self.stderr().contains(text)
        });
        self.stderr()
    }

    /// What it said on stderr besides that it is ready: what went wrong.
    pub fn complaints(&self) -> Vec<String> {
        complaints(&self.stderr())
    }

    /// Waits until something went wrong and was said.
    #[track_caller]
    pub fn wait_complains(&self) {
        wait_until("something is said to be wrong", || {
            !self.complaints().is_empty()
        });
    }

    pub fn running(&mut self) -> bool {
        self.child.try_wait().expect("wait for tailcast").is_none()
    }

    /// Sends a signal. SIGTERM and SIGINT wait until it listens to them, which a process that has just begun does not.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        if name == "TERM" || name == "INT" {
            wait_until("it listens to SIGTERM", || self.handles(15).unwrap_or(true));
        }
        signal(self.pid(), name);
    }

    /// Whether it has a handler for a signal; None when it has ended.
    fn handles(&self, number: u32) -> Option<bool> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let caught = status.lines().find_map(|l| l.strip_prefix("SigCgt:"))?;
        let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
        Some(status.contains("zombie") || caught >> (number - 1) & 1 == 1)
    }

    /// `kill -9`; returns when it is gone.
    pub fn sigkill(mut self) -> Finished {
        let _ = self.child.kill();
        self.finish()
    }

    /// SIGTERM, which must end it with 0 and within ten seconds.
    #[track_caller]
    pub fn sigterm(self) -> Finished {
        self.signal("TERM");
        let finished = self.finish_within(Duration::from_secs(10));
        assert_eq!(
            finished.code, 0,
            "exit code after SIGTERM\n{}",
            finished.stderr
        );
        finished
    }

    /// Waits for its end.
    #[track_caller]
    pub fn finish(self) -> Finished {
        self.finish_within(Duration::from_secs(60))
    }

    /// Waits for its end, at most so long.
    #[track_caller]
    pub fn finish_within(mut self, limit: Duration) -> Finished {
        let mut status = None;
        wait_within(limit, &format!("{} ends", self.shown), || {
            status = self.child.try_wait().expect("wait for tailcast");
            status.is_some()
        });
        for reader in self.readers.drain(..) {
            reader.join().expect("read the output");
        }
        Finished {
            code: code(status.expect("ended")),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }

    /// What its descriptors are open on, as /proc has it: a deleted file's name ends in ` (deleted)`.
    pub fn open_files(&self) -> Vec<PathBuf> {
        let fds = std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("read /proc");
        fds.flatten()
            .filter_map(|fd| std::fs::read_link(fd.path()).ok())
            .collect()
    }

    /// Processor time that it and its dead children have taken, in seconds.
    pub fn cpu(&self) -> f64 {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("read /proc");
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .expect("fields")
            .split_whitespace()
            .collect();
        // Fields 14 to 17, counted from 1; the first behind the name is the third. A tick is 10 ms everywhere.
        let ticks = fields[11..15]
            .iter()
            .map(|n| n.parse::<f64>().expect("ticks"));
        ticks.sum::<f64>() / 100.0
    }

    /// A value of /proc/PID/status in KiB, such as `VmRSS`.
    pub fn memory(&self, name: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("read /proc");
        let row = status
            .lines()
            .find(|l| l.starts_with(name))
            .unwrap_or_else(|| panic!("no {name}"));
        row.split_whitespace()
            .nth(1)
            .and_then(|n| n.parse().ok())
            .expect("a number of KiB")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn complaints(said: &str) -> Vec<String> {
    said.lines()
        .filter(|l| !l.contains(": watching ") && !l.contains(": subscribed to "))
        .map(String::from)
        .collect()
}

impl Finished {
    /// Exit code 0, and nothing said but that it was ready.
    #[track_caller]
    pub fn assert_success(&self) {
        assert_eq!((self.code, complaints(&self.stderr)), (0, vec![]));
    }

    /// Exit code 0 and not a word.
    #[track_caller]
    pub fn assert_silent_success(&self) {
        assert_eq!(
            (self.code, self.stderr.as_str(), &*self.stdout),
            (0, "", &b""[..])
        );
    }

    /// This exit code, with every one of `words` on stderr.
    #[track_caller]
    pub fn assert_fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "exit code; stderr: {}", self.stderr);
        for word in words {
            assert!(
                self.stderr.contains(word),
                "stderr names {word:?}: {}",
                self.stderr
            );
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .unwrap_or_else(|| -status.signal().unwrap_or(0))
}

/// `kill -NAME PID`, by the shell's own, which every system has.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("sh")
        .arg("-c")
        .arg(format!("kill -{name} {pid}"))
        .status()
        .expect("run sh");
    assert!(sent.success(), "kill -{name} {pid}");
}
