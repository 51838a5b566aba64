//! A terminal of the test's own (by `script`), of a known size, with tailcast in it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::{Scene, installed, signal, wait_until};

/// A tailcast on a terminal. Dropped, it is killed.
pub struct Terminal {
    child: Child,
    written: Arc<Mutex<Vec<u8>>>,
    pid_file: PathBuf,
}

/// Whether there is what makes a terminal.
pub fn has_terminals() -> bool {
    installed("script") && installed("stty")
}

impl Terminal {
    /// Runs it in a window of so many columns and rows, with this at the front of its environment.
    pub fn open(scene: &Scene, size: (u32, u32), env: &[(&str, &str)], args: &[&str]) -> Terminal {
        let pid_file = scene.home().join(format!("pid-{}", fastrand::u32(..)));
        let words = [env!("CARGO_BIN_EXE_tailcast")]
            .into_iter()
            .chain(args.iter().copied());
        let words: Vec<_> = words.map(|word| format!("'{word}'")).collect();
        let line = format!(
            "stty cols {} rows {}; echo $$ >'{}'; exec {}",
            size.0,
            size.1,
            pid_file.display(),
            words.join(" ")
        );
        let mut command = Command::new("script");
        command
            .args(["-qefc", &line, "/dev/null"])
            .current_dir(scene.home())
            .env("HOME", scene.home())
            .env("REDIS_URL", scene.redis.url())
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8")
            .env_remove("NO_COLOR")
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("start script");
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let (mut from, to) = (child.stdout.take().expect("piped"), Arc::clone(&written));
        std::thread::spawn(move || {
            let mut chunk = [0; 16 * 1024];
            while let Ok(n @ 1..) = std::io::Read::read(&mut from, &mut chunk) {
                to.lock().unwrap().extend_from_slice(&chunk[..n]);
            }
        });
        Terminal {
            child,
            written,
            pid_file,
        }
    }

    /// All that was written to it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Waits until this was written to it.
    #[track_caller]
    pub fn wait_shows(&self, text: &str) {
        wait_until(&format!("the terminal shows {text:?}"), || {
            self.text().contains(text)
        });
    }

    /// The process in it.
    pub fn pid(&self) -> u32 {
        let text = || std::fs::read_to_string(&self.pid_file).unwrap_or_default();
        wait_until("it has begun", || text().ends_with('\n'));
        text().trim().parse().expect("a process id")
    }

    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Makes the window another size.
    pub fn resize(&self, columns: u32, rows: u32) {
        let terminal = format!("/proc/{}/fd/1", self.pid());
        let terminal = std::fs::read_link(terminal).expect("its terminal");
        let size = ["cols", &columns.to_string(), "rows", &rows.to_string()].map(String::from);
        let done = Command::new("stty")
            .arg("-F")
            .arg(terminal)
            .args(size)
            .status();
        assert!(done.expect("run stty").success());
    }

    /// Waits for its end, and returns the exit code and all that was written.
    #[track_caller]
    pub fn finish(mut self) -> (i32, String) {
        let mut status = None;
        wait_until("it ends", || {
            status = self.child.try_wait().expect("wait for script");
            status.is_some()
        });
        let code = status.and_then(|status| status.code()).unwrap_or(-1);
        (code, self.text())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
