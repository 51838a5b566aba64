//! The one error type: what failed, on what, why, and the exit code that says so to the shell.
//!
//! Errors are returned up and printed once, in `main`. A message is lower case, `verb noun path: cause`,
//! followed by the way out where there is one.

use std::fmt;
use std::io;
use std::path::Path;

/// Why a command ended without doing its work.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The command line is wrong; the text names the flag and what it takes. Exit code 2.
    Usage(String),
    /// Nothing was asked for: the text, of ours and of several lines, says what can be. Exit code 2.
    NothingAsked(&'static str),
    /// It failed, and will again until somebody mends what the text names. Exit code 1.
    Failed(String),
    /// Somebody else holds what is needed, or Redis is not there: try later. Exit code 75 (`EX_TEMPFAIL`).
    TryLater(String),
    /// The reader of standard output is gone (`tailcast subscribe | head`): not a failure. Exit code 0.
    ClosedPipe,
}

/// What every fallible function outside the pure parts returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An input or output error on a path, as `verb path: cause`.
    pub fn io(verb: &str, path: &Path, cause: &io::Error) -> Error {
        Error::Failed(format!("{verb} {}: {}", path.display(), describe(cause)))
    }

    /// The exit code, after sysexits.h where it has a word for it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::ClosedPipe => 0,
            Error::Failed(_) => 1,
            Error::Usage(_) | Error::NothingAsked(_) => 2,
            Error::TryLater(_) => 75,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(text) | Error::Failed(text) | Error::TryLater(text) => f.write_str(text),
            Error::NothingAsked(text) => f.write_str(text),
            Error::ClosedPipe => f.write_str("standard output is closed"),
        }
    }
}

impl std::error::Error for Error {}

/// An input or output error without std's ` (os error N)`, in lower case like every other message.
pub fn describe(cause: &io::Error) -> String {
    let text = cause.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => cause.kind().to_string(),
    }
}
