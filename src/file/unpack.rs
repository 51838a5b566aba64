//! Archives, read through the system's own programs: `gzip -dc` and its like, with the archive as standard input.
//!
//! No name is ever passed to one, and no shell is asked. A child that is not needed any more is killed and waited for.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout};
use std::time::SystemTime;

use super::names::Packing;
use crate::child;
use crate::position::{ANCHOR_LEN, Anchor};

/// The unpacked bytes of an archive, at any offset; going back begins anew.
#[derive(Debug)]
pub struct Unpacked {
    archive: File,
    packing: Packing,
    child: Option<(Child, ChildStdout)>,
    /// Unpacked bytes that are at hand, and where the first of them stands.
    window: Vec<u8>,
    start: u64,
    ended: bool,
    /// It ended too early.
    has_failed: bool,
}

/// The signal of a system that is short of memory.
const SIGKILL: i32 = 9;

/// Bytes that are asked of the child at once.
const STEP: usize = 256 * 1024;

impl Unpacked {
    /// The archive's descriptor must be used by nobody else, as the child moves its offset.
    pub fn new(archive: File, packing: Packing) -> Unpacked {
        Unpacked {
            archive,
            packing,
            child: None,
            window: Vec::new(),
            start: 0,
            ended: false,
            has_failed: false,
        }
    }

    /// Fills the buffer from an offset on; fewer bytes only where the content ends, or what can be unpacked of it.
    pub fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.child.is_none() || offset < self.start {
            self.begin()?;
        }
        while !self.ended && self.start + (self.window.len() as u64) < offset + buffer.len() as u64
        {
            self.fill()?;
            let passed = offset.saturating_sub(self.start);
            let passed = usize::try_from(passed)
                .map_or(self.window.len(), |passed| passed.min(self.window.len()));
            self.window.drain(..passed);
            self.start += passed as u64;
        }
        let skipped = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        let bytes = self.window.get(skipped..).unwrap_or_default();
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        Ok(length)
    }

    /// Whether what was read to its end is all. An error: it cannot be unpacked any further.
    pub fn check_end(&self) -> io::Result<()> {
        if self.has_failed {
            let text = format!("{} cannot unpack it to its end", self.packing.program);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(())
    }

    /// By this it is seen whether an archive that is not whole is still being made.
    pub fn size_and_time(&self) -> io::Result<(u64, SystemTime)> {
        let metadata = self.archive.metadata()?;
        Ok((metadata.len(), metadata.modified()?))
    }

    /// Unpacks anew at the next read.
    pub fn restart(&mut self) {
        self.end();
    }

    fn begin(&mut self) -> io::Result<()> {
        self.end();
        self.archive.rewind()?;
        let archive = self.archive.try_clone()?;
        self.child = Some(child::unpack(self.packing.program, archive)?);
        Ok(())
    }

    fn fill(&mut self) -> io::Result<()> {
        let Some((child, stdout)) = &mut self.child else {
            return Ok(());
        };
        let more = stdout.take(STEP as u64).read_to_end(&mut self.window)?;
        if more == 0 {
            let status = child.wait()?;
            if status.signal() == Some(SIGKILL) {
                let text = format!("{} was killed", self.packing.program);
                self.end();
                return Err(io::Error::new(io::ErrorKind::Interrupted, text));
            }
            self.ended = true;
            self.has_failed = !status.success() && status.code() != self.packing.warning;
        }
        Ok(())
    }

    fn end(&mut self) {
        if let Some((mut child, stdout)) = self.child.take() {
            drop(stdout);
            // Where it has ended already, there is nothing to kill; it is waited for all the same.
            let _ = child.kill();
            let _ = child.wait();
        }
        self.window = Vec::new();
        (self.start, self.ended, self.has_failed) = (0, false, false);
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        self.end();
    }
}

/// What is in an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Bytes, unpacked.
    pub length: u64,
    /// The first bytes.
    pub head: Vec<u8>,
    /// Those that were looked for and are there: before this offset stands this anchor.
    pub anchors: Vec<(u64, Anchor)>,
}

/// As much of the beginning as tells text from other things.
pub const HEAD: usize = 4096;

/// Reads an archive through once, piece by piece, so that nobody waits for a large one.
#[derive(Debug)]
pub struct Inspection {
    content: Unpacked,
    wanted: Vec<(u64, Anchor)>,
    findings: Findings,
    /// The last bytes before the present place.
    before: Vec<u8>,
}

impl Inspection {
    pub fn new(archive: File, packing: Packing, wanted: Vec<(u64, Anchor)>) -> Inspection {
        Inspection {
            content: Unpacked::new(archive, packing),
            wanted,
            findings: Findings::default(),
            before: Vec::new(),
        }
    }

    /// Reads one piece more. None: it is not through yet.
    pub fn advance(&mut self, buffer: &mut [u8]) -> io::Result<Option<Findings>> {
        let start = self.findings.length;
        let length = self.content.read_at(buffer, start)?;
        if length == 0 {
            self.content.check_end()?;
            return Ok(Some(std::mem::take(&mut self.findings)));
        }
        let bytes = &buffer[..length];
        let head = HEAD.saturating_sub(self.findings.head.len()).min(length);
        self.findings.head.extend_from_slice(&bytes[..head]);
        self.before.extend_from_slice(bytes);
        let end = start + length as u64;
        let base = end - self.before.len() as u64;
        for (offset, anchor) in &self.wanted {
            let is_here = *offset > start && *offset <= end;
            let behind = || (*offset - base) as usize;
            let found = || &self.before[behind().saturating_sub(usize::from(anchor.len))..behind()];
            if is_here && Anchor::of(found()) == *anchor {
                self.findings.anchors.push((*offset, *anchor));
            }
        }
        self.findings.length = end;
        self.before
            .drain(..self.before.len().saturating_sub(ANCHOR_LEN));
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    /// A file with 300,000 bytes, packed; None where there is no such program.
    fn packed(packing: Packing) -> Option<(tempfile::TempDir, File, Vec<u8>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        let content: Vec<u8> = (0..30_000)
            .flat_map(|n| format!("{n:09}\n").into_bytes())
            .collect();
        let mut child = Command::new(packing.program)
            .arg("-c")
            .stdin(Stdio::piped())
            .stdout(File::create(&path).unwrap())
            .spawn()
            .ok()?;
        child.stdin.take().unwrap().write_all(&content).unwrap();
        assert!(child.wait().unwrap().success());
        Some((folder, File::open(path).unwrap(), content))
    }

    const GZIP: Packing = Packing {
        ending: ".gz",
        program: "gzip",
        warning: Some(2),
    };

    #[test]
    fn an_archive_is_read_at_any_offset() {
        let (_folder, archive, content) = packed(GZIP).unwrap();
        let mut unpacked = Unpacked::new(archive, GZIP);
        for offset in [0_usize, 10, 200_000, 100, 299_990, 300_000, 400_000] {
            let mut buffer = [0; 50];
            let length = unpacked.read_at(&mut buffer, offset as u64).unwrap();
            let wanted = content.get(offset..).unwrap_or_default();
            assert_eq!(
                &buffer[..length],
                &wanted[..wanted.len().min(50)],
                "{offset}"
            );
        }
    }

    #[test]
    fn an_inspection_finds_the_anchors_that_are_there() {
        let (_folder, archive, content) = packed(GZIP).unwrap();
        let there = |offset: usize| (offset as u64, Anchor::of(&content[..offset]));
        let wrong = (500, Anchor::of(b"not there"));
        let late = (900_000, Anchor::of(b"later than its end"));
        let wanted = vec![
            there(10),
            there(4096),
            there(4100),
            wrong,
            there(300_000),
            late,
        ];
        let mut inspection = Inspection::new(archive, GZIP, wanted);
        let mut buffer = [0; 4096];
        let findings = loop {
            if let Some(findings) = inspection.advance(&mut buffer).unwrap() {
                break findings;
            }
        };
        assert_eq!(findings.length, 300_000);
        assert_eq!(
            findings.anchors,
            [there(10), there(4096), there(4100), there(300_000)]
        );
        assert_eq!(findings.head, content[..HEAD]);
    }

    #[test]
    fn bytes_behind_an_archive_are_only_a_warning() {
        let (folder, archive, content) = packed(GZIP).unwrap();
        let path = folder.path().join("archive");
        let mut behind = File::options().append(true).open(path).unwrap();
        behind.write_all(b"no archive").unwrap();
        let mut unpacked = Unpacked::new(archive, GZIP);
        let mut buffer = vec![0; content.len() + 1];
        assert_eq!(unpacked.read_at(&mut buffer, 0).unwrap(), content.len());
        unpacked.check_end().unwrap();
    }

    #[test]
    fn an_archive_that_is_not_whole_is_an_error_and_so_is_a_program_that_is_not_there() {
        let (_folder, archive, content) = packed(GZIP).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("half");
        let mut bytes = Vec::new();
        (&archive).rewind().unwrap();
        (&archive).read_to_end(&mut bytes).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let through = |packing| {
            let mut inspection = Inspection::new(File::open(&path).unwrap(), packing, Vec::new());
            loop {
                if let Some(findings) = inspection.advance(&mut [0; 4096])? {
                    return io::Result::Ok(findings);
                }
            }
        };
        assert_eq!(
            through(GZIP).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        let mut broken = Unpacked::new(File::open(&path).unwrap(), GZIP);
        let mut buffer = vec![0; content.len()];
        let length = broken.read_at(&mut buffer, 0).unwrap();
        assert!(length > 0 && content.starts_with(&buffer[..length]));
        assert!(broken.check_end().is_err());
        let nobody = Packing {
            ending: ".no",
            program: "no-such-program",
            warning: None,
        };
        assert_eq!(
            through(nobody).unwrap_err().kind(),
            io::ErrorKind::Unsupported
        );
    }
}
