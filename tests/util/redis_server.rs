//! A redis-server of the test's own: a port below the ephemeral range, a folder that goes with it, ended by its pid.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::{FromRedisValue, RedisResult};
use tempfile::TempDir;

use super::{signal, wait_until};

/// A redis-server. Dropped, it is gone.
pub struct Redis {
    child: Child,
    pub port: u16,
    pub dir: TempDir,
    args: Vec<String>,
    /// What the test itself logs in with.
    pub password: Option<String>,
}

impl Redis {
    /// Starts one that keeps nothing on disk.
    pub fn start() -> Redis {
        Redis::start_with(&[])
    }

    /// Starts one with further arguments, such as `--appendonly yes`.
    pub fn start_with(args: &[&str]) -> Redis {
        let dir = TempDir::new().expect("create a folder for Redis");
        let args: Vec<String> = args.iter().map(|a| (*a).to_string()).collect();
        let password = args
            .iter()
            .position(|a| a == "--requirepass")
            .map(|at| args[at + 1].clone());
        for _ in 0..20 {
            let port = free_port();
            let mut child = spawn(port, dir.path(), &args);
            if comes_up(&mut child, port) {
                return Redis {
                    child,
                    port,
                    dir,
                    args,
                    password,
                };
            }
        }
        panic!("redis-server does not start; is it installed?");
    }

    pub fn url(&self) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}/", self.port),
            None => format!("redis://127.0.0.1:{}/", self.port),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn has_ended(&mut self) -> bool {
        let ended = self.child.try_wait().expect("wait for redis-server");
        ended.is_some()
    }

    /// SIGKILL, and nothing left of it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// One of the files that Redis keeps with `--appendonly yes`: `aof`, the commands, or `manifest`, their list.
    pub fn append_only_file(&self, extension: &str) -> Option<PathBuf> {
        let entries = std::fs::read_dir(self.dir.path().join("appendonlydir")).ok()?;
        entries
            .map(|entry| entry.expect("list Redis's folder").path())
            .find(|path| path.extension() == Some(extension.as_ref()))
    }

    /// Starts it again, on the same port and folder, and waits until it serves.
    ///
    /// Its append-only file is repaired first. `SIGKILL` in the middle of a write leaves the beginning of a
    /// transaction there, and Redis's own repair (`aof-load-truncated`) only takes back the last command of it, not
    /// the `MULTI`: the next restart would run what is left, as a part of the transaction that comes behind it
    /// (Valkey has mended that: <https://github.com/valkey-io/valkey/pull/4342>).
    pub fn restart(&mut self) {
        let is_valkey = server_program().to_string_lossy().contains("valkey");
        if let Some(manifest) = self.append_only_file("manifest").filter(|_| !is_valkey) {
            repair(&manifest);
        }
        wait_until("redis-server has its old port again", || {
            self.child = spawn(self.port, self.dir.path(), &self.args);
            comes_up(&mut self.child, self.port)
        });
        wait_until("redis-server has loaded its data", || {
            self.try_ask::<String>(&["PING"]).is_ok()
        });
    }

    /// SIGSTOP: connections are accepted by the kernel and never answered.
    pub fn stop(&self) {
        signal(self.pid(), "STOP");
    }

    /// SIGCONT.
    pub fn cont(&self) {
        signal(self.pid(), "CONT");
    }

    /// A connection of the test's own.
    pub fn connect(&self) -> redis::Connection {
        self.try_connect().expect("connect to the test's Redis")
    }

    /// A freeze of the whole machine interrupts a read that has a timeout, as those of the handshake have: that says
    /// nothing about the server, and the connection is made again.
    fn try_connect(&self) -> RedisResult<redis::Connection> {
        let client = redis::Client::open(self.url())?;
        loop {
            match client.get_connection_with_timeout(Duration::from_secs(10)) {
                Err(e) if e.to_string().contains("Interrupted system call") => {}
                outcome => return outcome,
            }
        }
    }

    /// One command, its reply as `T`.
    #[track_caller]
    pub fn ask<T: FromRedisValue>(&self, args: &[&str]) -> T {
        self.try_ask(args)
            .unwrap_or_else(|e| panic!("{args:?}: {e}"))
    }

    /// The same, where the server may refuse it, or may not be there.
    pub fn try_ask<T: FromRedisValue>(&self, args: &[&str]) -> RedisResult<T> {
        let mut command = redis::cmd(args[0]);
        command.arg(&args[1..]);
        command.query(&mut self.try_connect()?)
    }

    /// The lines of a stream in which tailcast writes, in order.
    pub fn stream(&self, key: &str) -> Vec<Vec<u8>> {
        lines_of(self.ask(&["XRANGE", key, "-", "+"]))
    }

    /// The elements of a list, in order.
    pub fn list(&self, key: &str) -> Vec<Vec<u8>> {
        self.ask(&["LRANGE", key, "0", "-1"])
    }

    /// How many lines it keeps that were sent with this `--mode`, `list` or `stream`, and the default target.
    #[track_caller]
    pub fn count(&self, mode: &str) -> usize {
        match mode {
            "list" => self.ask(&["LLEN", "logs"]),
            "stream" => self.ask(&["XLEN", "logs"]),
            _ => panic!("Redis keeps nothing of --mode {mode}"),
        }
    }

    /// These lines, in order.
    #[track_caller]
    pub fn kept(&self, mode: &str) -> Vec<Vec<u8>> {
        match mode {
            "list" => self.list("logs"),
            "stream" => self.stream("logs"),
            _ => panic!("Redis keeps nothing of --mode {mode}"),
        }
    }

    /// These lines behind the first `n`, in order.
    pub fn kept_since(&self, mode: &str, n: usize) -> Vec<Vec<u8>> {
        if mode == "list" {
            return self.ask(&["LRANGE", "logs", &n.to_string(), "-1"]);
        }
        let behind = self.count(mode).saturating_sub(n).to_string();
        let newest_first: Entries = self.ask(&["XREVRANGE", "logs", "+", "-", "COUNT", &behind]);
        lines_of(newest_first.into_iter().rev().collect())
    }

    /// Whether there is a commit record.
    pub fn record_is_there(&self) -> bool {
        let keys: Vec<String> = self.ask(&["KEYS", "tailcast:commit:*"]);
        !keys.is_empty()
    }

    /// The one commit record that is there: its key and its value.
    #[track_caller]
    pub fn record(&self) -> (String, String) {
        let keys: Vec<String> = self.ask(&["KEYS", "tailcast:commit:*"]);
        assert_eq!(keys.len(), 1, "one commit record: {keys:?}");
        let value = self.ask(&["GET", &keys[0]]);
        (keys[0].clone(), value)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Entries of a stream: ids and fields.
type Entries = Vec<(String, Vec<(String, Vec<u8>)>)>;

fn lines_of(entries: Entries) -> Vec<Vec<u8>> {
    let line = |(id, fields): (String, Vec<(String, Vec<u8>)>)| {
        let field = fields.into_iter().find(|(name, _)| name == "line");
        field.unwrap_or_else(|| panic!("no line in {id}")).1
    };
    entries.into_iter().map(line).collect()
}

/// `redis-server`, or what `REDIS_SERVER` names: another version, or Valkey.
pub fn server_program() -> OsString {
    std::env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into())
}

fn spawn(port: u16, dir: &Path, args: &[String]) -> Child {
    Command::new(server_program())
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        // An oracle that reads slowly is the test's problem, and must not be cut off for it.
        .args(["--client-output-buffer-limit", "pubsub", "0", "0", "0"])
        .arg("--dir")
        .arg(dir)
        .args(["--logfile", "redis.log"])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start redis-server (scripts/test.sh installs it)")
}

/// `redis-check-aof --fix`, with a yes to its question.
fn repair(manifest: &Path) {
    let mut check = Command::new("redis-check-aof")
        .arg("--fix")
        .arg(manifest)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("start redis-check-aof");
    // It asks only where there is something to repair, and may have ended by now.
    let _ = check.stdin.take().expect("its stdin").write_all(b"y\n");
    assert!(check.wait().expect("wait for redis-check-aof").success());
}

/// Whether this very process came to listen on the port: false when it ended, because somebody else has it.
fn comes_up(child: &mut Child, port: u16) -> bool {
    let mut up = false;
    wait_until("redis-server listens", || {
        up = listens(child.id(), port);
        up || child.try_wait().expect("wait for redis-server").is_some()
    });
    up
}

/// Looks for the port among the sockets of the process, so that another test's Redis is never taken for ours.
fn listens(pid: u32, port: u16) -> bool {
    let Ok(table) = File::open("/proc/net/tcp") else {
        return false;
    };
    // Listening sockets (0A) come first. The others are thousands, and the kernel takes long to list them.
    let rows = BufReader::with_capacity(4096, table).lines().skip(1);
    let mut listening = rows
        .map_while(Result::ok)
        .map(|row| row.split_whitespace().map(String::from).collect::<Vec<_>>())
        .take_while(|fields| fields[3] == "0A");
    let local = format!("0100007F:{port:04X}");
    let inode = listening
        .find_map(|fields| (fields[1] == local).then(|| format!("socket:[{}]", fields[9])));
    let Some(inode) = inode else { return false };
    let Ok(fds) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    fds.flatten()
        .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy() == inode))
}

/// A port that nobody listens on, below the range from which the kernel takes ports for outgoing connections: so it is
/// still free when a Redis comes back to it.
pub fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(12_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
