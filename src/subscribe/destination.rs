//! Where lines go: standard output, a file, or a command.

use super::output::Output;
use crate::child::Fed;
use crate::error::Result;
use crate::{fault, stdout};

/// What takes lines.
pub enum Destination {
    Stdout,
    File(Box<Output>),
    Command(Fed),
}

impl Destination {
    /// Returns when the lines are there for good. `place` says how far they take us; a file keeps it.
    pub fn write(&mut self, lines: &[u8], place: &[u8]) -> Result<()> {
        match self {
            Destination::Stdout => stdout::write(lines)?,
            Destination::File(output) => output.write(lines, place)?,
            Destination::Command(command) => command.write(lines)?,
        }
        fault::point("block-written");
        Ok(())
    }

    /// Whether a write takes long however little it is.
    pub fn waits_for_disk(&self) -> bool {
        matches!(self, Destination::File(_))
    }

    /// While nothing comes: is it still as it was?
    pub fn look_after(&mut self) -> Result<()> {
        match self {
            Destination::Stdout => Ok(()),
            Destination::File(output) => output.follow_rotation(),
            Destination::Command(command) => command.expect_alive(),
        }
    }

    /// Nothing more comes.
    pub fn finish(self) -> Result<()> {
        match self {
            Destination::Stdout | Destination::File(_) => Ok(()),
            Destination::Command(command) => command.finish(),
        }
    }
}
