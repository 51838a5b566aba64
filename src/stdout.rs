//! Standard output: data, for whatever reads it. What is said to a person is `talk`'s.

use std::io::{self, Write};

use crate::error::{Error, Result, describe};

/// Writes all of it, through to the reader; a reader that has gone is told apart.
pub fn write(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|cause| match cause.kind() {
        io::ErrorKind::BrokenPipe => Error::ClosedPipe,
        _ => Error::Failed(format!("write to standard output: {}", describe(&cause))),
    })
}
