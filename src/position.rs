//! How far we got: a place in one generation of a log, the proof that a file is that generation, and the text of both.
//!
//! Pure. The same text stands in the checkpoint file and, with a session token behind it, in Redis's commit record.

use std::ffi::OsString;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest anchor, in bytes.
pub const ANCHOR_LEN: usize = 64;

/// `st_dev` and `st_ino`: a hint, as inodes are reused and copies get new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FileId {
    pub dev: u64,
    pub ino: u64,
}

impl FileId {
    pub fn of(metadata: &Metadata) -> FileId {
        FileId {
            dev: metadata.dev(),
            ino: metadata.ino(),
        }
    }
}

/// Length and hash of the bytes right before an offset: a file that has them there is the file that we were reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    pub len: u8,
    pub hash: u64,
}

impl Anchor {
    /// At offset 0, or where only a number is known: proves nothing.
    pub const NONE: Anchor = Anchor {
        len: 0,
        hash: FNV_OFFSET,
    };

    /// The anchor of an offset, from the bytes before it (the last 64 of them count).
    pub fn of(before: &[u8]) -> Anchor {
        let bytes = &before[before.len().saturating_sub(ANCHOR_LEN)..];
        Anchor {
            len: bytes.len() as u8,
            hash: fnv1a(bytes),
        }
    }
}

/// The 64-bit FNV-1a parameters, as in <http://www.isthe.com/chongo/tech/comp/fnv/>.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// The 64-bit FNV-1a hash.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(FNV_OFFSET, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
    })
}

/// A place in one generation of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The file's number among those that the path has been: one more at each rotation or truncation. No two files of a
    /// source ever have the same.
    pub generation: u64,
    /// Bytes from the start; always 0 or just behind a newline.
    pub offset: u64,
    pub file: FileId,
    pub anchor: Anchor,
}

impl Position {
    /// The beginning of a file.
    pub fn start(generation: u64, file: FileId) -> Position {
        Position {
            generation,
            offset: 0,
            file,
            anchor: Anchor::NONE,
        }
    }
}

/// Bytes that were there, or may have been, and can no longer be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    pub generation: u64,
    /// Where they begin.
    pub offset: u64,
    /// None: nobody can say how many.
    pub bytes: Option<u64>,
}

impl Gap {
    /// A generation of which nothing was read.
    pub fn of_all(generation: u64) -> Gap {
        Gap {
            generation,
            offset: 0,
            bytes: None,
        }
    }
}

/// The place in the newest generation, and in the older ones that may still get lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub current: Position,
    /// Newest generation first.
    pub older: Vec<Position>,
    /// The number of the log's first file. People are told how many files came since, and not the numbers.
    pub first: u64,
}

/// When a progress that was written down was true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dates {
    /// What was written to the log before this was taken.
    pub as_of: SystemTime,
    /// When it was written down: until then its files were open.
    pub made: SystemTime,
}

impl Dates {
    /// Of what is true now.
    pub fn now() -> Dates {
        let now = SystemTime::now();
        Dates {
            as_of: now,
            made: now,
        }
    }
}

/// In seconds since 1970.
impl fmt::Display for Dates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since_1970 = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let [as_of, made] = [self.as_of, self.made].map(since_1970);
        let (as_of_nanos, made_nanos) = (as_of.subsec_nanos(), made.subsec_nanos());
        write!(
            f,
            "{}.{as_of_nanos:09} {}.{made_nanos:09}",
            as_of.as_secs(),
            made.as_secs()
        )
    }
}

impl FromStr for Dates {
    type Err = ();

    fn from_str(text: &str) -> Result<Dates, ()> {
        let time = |text: &str| {
            let (seconds, nanos) = text.split_once('.')?;
            let is_whole = nanos.len() == 9;
            let since_1970 = Duration::new(
                seconds.parse().ok()?,
                nanos.parse().ok().filter(|_| is_whole)?,
            );
            UNIX_EPOCH.checked_add(since_1970)
        };
        let (as_of, made) = text.split_once(' ').ok_or(())?;
        Ok(Dates {
            as_of: time(as_of).ok_or(())?,
            made: time(made).ok_or(())?,
        })
    }
}

impl Progress {
    pub fn at(current: Position) -> Progress {
        Progress {
            current,
            older: Vec::new(),
            first: current.generation,
        }
    }

    /// By this the progress of one source only ever rises.
    pub fn order(&self) -> (u64, u64) {
        (self.current.generation, self.current.offset)
    }

    /// How many files the path has been before the present one.
    pub fn rotations(&self) -> u64 {
        self.current.generation.saturating_sub(self.first)
    }

    /// The same place in a log of another beginning, which nothing was published of yet.
    pub fn renumbered(self, generation: u64) -> Progress {
        Progress::at(Position {
            generation,
            ..self.current
        })
    }

    /// Every position, newest generation first.
    pub fn positions(&self) -> impl Iterator<Item = &Position> {
        std::iter::once(&self.current).chain(&self.older)
    }

    /// Whether it is an offset that a person wrote down, without a file or a generation.
    pub fn is_bare_offset(&self) -> bool {
        self.current.generation == 0 && self.current.file == FileId::default()
    }

    fn find(&self, generation: u64) -> Option<&Position> {
        self.positions()
            .find(|position| position.generation == generation)
    }

    /// The later of two, generation by generation.
    ///
    /// A generation that one side has reached and no longer lists is finished, so it is left out.
    pub fn later(&self, other: &Progress) -> Progress {
        let (new, old) = if other.current.generation > self.current.generation {
            (other, self)
        } else {
            (self, other)
        };
        let furthest = |position: &Position| match old.find(position.generation) {
            Some(twin) if twin.offset > position.offset => Some(*twin),
            None if old.current.generation > position.generation => None,
            _ => Some(*position),
        };
        let current = furthest(&new.current).unwrap_or(new.current);
        Progress {
            current,
            older: new.older.iter().filter_map(furthest).collect(),
            first: new.first,
        }
    }

    /// Appends the text: a line for each position, newest generation first.
    pub fn write_text(&self, path: &Path, out: &mut Vec<u8>) {
        for position in self.positions() {
            let Position {
                generation,
                offset,
                file,
                anchor,
            } = position;
            let first = self.first.min(*generation);
            let head = format!(
                "{offset} {first}+{} {}:{} {}:{:016x} ",
                generation - first,
                file.dev,
                file.ino,
                anchor.len,
                anchor.hash
            );
            out.extend_from_slice(head.as_bytes());
            escape_path(path, out);
            out.push(b'\n');
        }
    }

    /// Reads what `write_text` wrote, or a lone number, which is taken as an offset; the path comes back
    /// where the text holds one. A generation without a `+` is of a log whose first file had the number 0. The error says
    /// what is wrong with the text.
    pub fn parse(text: &[u8]) -> Result<(Progress, Option<PathBuf>), String> {
        let body = text.strip_suffix(b"\n").unwrap_or(text);
        if body.trim_ascii().is_empty() {
            return Err("it is empty".into());
        }
        if !body.trim_ascii().contains(&b' ') {
            let offset = number(body.trim_ascii(), "an offset")?;
            return Ok((
                Progress::at(Position {
                    offset,
                    ..Position::start(0, FileId::default())
                }),
                None,
            ));
        }
        let mut positions = Vec::new();
        let (mut path, mut first) = (None, None);
        for line in body.split(|byte| *byte == b'\n') {
            let (position, begun, name) = parse_line(line)?;
            first.get_or_insert(begun);
            if path.get_or_insert_with(|| name.clone()) != &name {
                return Err("its lines name different paths".into());
            }
            positions.push(position);
        }
        if !positions.is_sorted_by(|a, b| a.generation > b.generation) {
            return Err("its generations are not in falling order".into());
        }
        let older = positions.split_off(1);
        Ok((
            Progress {
                current: positions[0],
                older,
                first: first.unwrap_or_default(),
            },
            path,
        ))
    }
}

/// A position, the number of its log's first file, and the log.
fn parse_line(line: &[u8]) -> Result<(Position, u64, PathBuf), String> {
    let mut fields = line.splitn(5, |byte| *byte == b' ');
    let mut next = |name: &str| {
        fields
            .next()
            .ok_or_else(|| format!("{name} is missing in {}", quote(line)))
    };
    let offset = number(next("the offset")?, "an offset")?;
    let (first, generation) = parse_generation(next("the generation")?)?;
    let (dev, ino) = pair(next("dev:inode")?, "dev:inode")?;
    let (len, hash) = pair(next("the anchor")?, "an anchor")?;
    let path = unescape_path(next("the path")?)?;
    let file = FileId {
        dev: number(dev, "a device")?,
        ino: number(ino, "an inode")?,
    };
    let len = number(len, "an anchor length")?;
    if len > ANCHOR_LEN as u64 || len > offset {
        return Err(format!(
            "an anchor of {len} bytes cannot stand before offset {offset}"
        ));
    }
    let hash = std::str::from_utf8(hash).ok().filter(|hex| hex.len() == 16);
    let hash = hash.and_then(|hex| u64::from_str_radix(hex, 16).ok());
    let hash = hash.ok_or_else(|| {
        format!(
            "the anchor's hash is not 16 hexadecimal digits in {}",
            quote(line)
        )
    })?;
    Ok((
        Position {
            generation,
            offset,
            file,
            anchor: Anchor {
                len: len as u8,
                hash,
            },
        },
        first,
        path,
    ))
}

/// The number of a log's first file, and of this one.
fn parse_generation(field: &[u8]) -> Result<(u64, u64), String> {
    let plus = field.iter().position(|byte| *byte == b'+');
    let (first, since) = match plus {
        Some(plus) => (number(&field[..plus], "a generation")?, &field[plus + 1..]),
        None => (0, field),
    };
    let generation = first.checked_add(number(since, "a generation")?);
    let generation = generation.ok_or_else(|| format!("not a generation: {}", quote(field)))?;
    Ok((first, generation))
}

fn pair<'a>(field: &'a [u8], what: &str) -> Result<(&'a [u8], &'a [u8]), String> {
    let colon = field.iter().position(|byte| *byte == b':');
    let colon = colon.ok_or_else(|| format!("not {what}: {}", quote(field)))?;
    Ok((&field[..colon], &field[colon + 1..]))
}

fn number(field: &[u8], what: &str) -> Result<u64, String> {
    let digits = std::str::from_utf8(field)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("not {what}: {}", quote(field)))
}

/// Some bytes of a file in a message: short, in quotes, without control characters.
fn quote(bytes: &[u8]) -> String {
    let short = &bytes[..bytes.len().min(60)];
    format!("{:?}", String::from_utf8_lossy(short))
}

/// A path may hold newlines; the text is made of lines.
fn escape_path(path: &Path, out: &mut Vec<u8>) {
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            _ => out.push(*byte),
        }
    }
}

fn unescape_path(text: &[u8]) -> Result<PathBuf, String> {
    let mut path = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        path.push(match (byte, byte == &b'\\') {
            (byte, false) => *byte,
            (_, true) => match bytes.next() {
                Some(b'n') => b'\n',
                Some(b'\\') => b'\\',
                _ => return Err(format!("a lone backslash in the path {}", quote(text))),
            },
        });
    }
    if !path.starts_with(b"/") {
        return Err(format!("not an absolute path: {}", quote(text)));
    }
    Ok(PathBuf::from(OsString::from_vec(path)))
}

#[cfg(test)]
#[allow(clippy::type_complexity)] // tables of cases
mod tests;
