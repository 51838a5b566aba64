//! Child processes: every one that the program starts is started here.
//!
//! Knows how they are started, fed and buried; what goes through them is for the callers. Only `--exec`, which is the
//! user's own command line, is given to a shell.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use crate::error::{Error, Result, describe};

/// Starts a program that unpacks an open archive to its standard output.
pub fn unpack(program: &str, archive: File) -> io::Result<(Child, ChildStdout)> {
    let mut child = Command::new(program)
        .arg("-dc")
        .stdin(archive)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::new(
                io::ErrorKind::Unsupported,
                format!("there is no program {program}"),
            ),
            _ => error,
        })?;
    let Some(stdout) = child.stdout.take() else {
        return Err(io::Error::other(format!("{program} has no output")));
    };
    Ok((child, stdout))
}

/// The name of this host, as `hostname` prints it. `way_out` is what to do where it has none.
pub fn host_name(way_out: &str) -> Result<String> {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| {
        let output = Command::new("uname").arg("-n").output()?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&output.stdout).into_owned())
    });
    match read.map(|name| name.trim().to_string()) {
        Ok(name) if !name.is_empty() => Ok(name),
        _ => Err(Error::Failed(format!(
            "find this host's name: there is none; {way_out}"
        ))),
    }
}

/// A command of the user's that is fed through its standard input; where its output goes is its own affair.
#[derive(Debug)]
pub struct Fed {
    command: OsString,
    child: Child,
    /// None: it has been closed.
    stdin: Option<ChildStdin>,
}

impl Fed {
    pub fn start(command: &OsStr) -> Result<Fed> {
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(command)
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| Error::Failed(format!("--exec: start sh: {}", describe(&error))))?;
        Ok(Fed {
            command: command.into(),
            stdin: child.stdin.take(),
            child,
        })
    }

    /// Feeds it; returns when it, or the pipe to it, has taken all, and it lives.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match &mut self.stdin {
            Some(stdin) => stdin.write_all(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        match written {
            Ok(()) => self.expect_alive(),
            // It may have closed its input and live on: then it is of no use, and ends as nothing more can come.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(self.bury()?),
            Err(error) => Err(Error::Failed(format!(
                "write to --exec {:?}: {}",
                self.command,
                describe(&error)
            ))),
        }
    }

    pub fn expect_alive(&mut self) -> Result<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.died(status)),
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// Says to it that nothing more comes, and waits until it is done.
    pub fn finish(mut self) -> Result<()> {
        drop(self.stdin.take());
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(self.died(status)),
            Err(error) => Err(self.lost(&error)),
        }
    }

    fn bury(&mut self) -> Result<Error> {
        drop(self.stdin.take());
        let status = self.child.wait().map_err(|error| self.lost(&error))?;
        Ok(self.died(status))
    }

    fn died(&self, status: ExitStatus) -> Error {
        Error::Failed(format!(
            "--exec {:?}: it ended ({status}); what it had not taken is not acknowledged, so start it again when it is \
             mended",
            self.command
        ))
    }

    fn lost(&self, error: &io::Error) -> Error {
        Error::Failed(format!(
            "wait for --exec {:?}: {}",
            self.command,
            describe(error)
        ))
    }
}
