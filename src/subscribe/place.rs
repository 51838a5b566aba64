//! How far a file takes us, as the text that is kept beside it: what was read, up to where, and which lines of each log
//! the file holds.
//!
//! Pure. A line says what is read, one how far (and as which group, where FILE has one of its own), and one for each run of
//! lines: `generation start end source`.

use super::runs::{Run, Runs};
use crate::broker::Id;

/// How far we are in what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Behind the entry of this id: the last one that FILE has, or where several share a group, the last one of which all
    /// before are acknowledged.
    Stream(Id),
    /// The block of this number is the last one, and had so many elements.
    List { block: u64, elements: usize },
}

/// What a file holds.
#[derive(Debug)]
pub struct OutputPlace {
    /// What is read, in words.
    pub what: String,
    pub at: At,
    /// How many entries were ever added to the stream up to there, where that is known.
    pub read: Option<u64>,
    /// The group that is read for this file alone.
    pub group: Option<String>,
    pub runs: Runs,
}

impl OutputPlace {
    /// Of a file that holds nothing yet.
    pub fn start(what: String, at: At) -> OutputPlace {
        OutputPlace {
            what,
            at,
            read: None,
            group: None,
            runs: Runs::default(),
        }
    }

    /// Appends the text.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.what.as_bytes());
        let mut at = match self.at {
            At::Stream(id) => format!("\n{id}"),
            At::List { block, elements } => format!("\n{block} {elements}"),
        };
        if self.read.is_some() || self.group.is_some() {
            let read = self.read.map_or("-".into(), |read| read.to_string());
            at = [&at, " ", &read].concat();
        }
        if let Some(group) = &self.group {
            at = [&at, " ", group].concat();
        }
        out.extend_from_slice(at.as_bytes());
        out.push(b'\n');
        for (source, run) in self.runs.iter() {
            let Run {
                generation,
                start,
                end,
            } = run;
            let source = source.escape_ascii();
            out.extend_from_slice(format!("{generation} {start} {end} {source}\n").as_bytes());
        }
    }

    /// Reads what `write` wrote, where it is of the same thing. The error says what is wrong.
    pub fn parse(self, text: &[u8]) -> Result<OutputPlace, String> {
        let text = std::str::from_utf8(text).map_err(|_| "it is not text")?;
        let mut rows = text.lines();
        let what = rows.next().unwrap_or_default();
        if what != self.what {
            return Err(format!("it is of {what}, not of {}", self.what));
        }
        let row = rows.next().unwrap_or_default();
        let mut place = self.at(row).ok_or(format!("not a place: {row:?}"))?;
        for row in rows {
            let (source, run) = parse_run(row).ok_or(format!("not a run of lines: {row:?}"))?;
            place.runs.restore(source, run);
        }
        Ok(place)
    }

    /// At the place that a row names.
    fn at(mut self, row: &str) -> Option<OutputPlace> {
        let mut fields = row.splitn(3, ' ');
        let first = fields.next()?;
        match &mut self.at {
            At::Stream(id) => {
                *id = Id::parse(first.as_bytes())?;
                let read = fields.next().filter(|read| *read != "-");
                self.read = read.map(str::parse).transpose().ok()?;
                self.group = fields.next().map(str::to_owned);
            }
            At::List { block, elements } => {
                *block = first.parse().ok()?;
                *elements = fields.next()?.parse().ok()?;
            }
        }
        Some(self)
    }
}

fn parse_run(row: &str) -> Option<(Vec<u8>, Run)> {
    let mut fields = row.splitn(4, ' ');
    let mut number = || fields.next()?.parse().ok();
    let run = Run {
        generation: number()?,
        start: number()?,
        end: number()?,
    };
    Some((unescape(fields.next()?)?, run))
}

/// Undoes `escape_ascii`.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        bytes.push(match letter {
            '\\' => match letters.next()? {
                'n' => b'\n',
                'r' => b'\r',
                't' => b'\t',
                'x' => {
                    let digits = letters.as_str().get(..2)?;
                    letters = letters.as_str()[2..].chars();
                    u8::from_str_radix(digits, 16).ok()?
                }
                quoted => u8::try_from(quoted).ok()?,
            },
            plain => u8::try_from(plain).ok()?,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(at: &str) -> OutputPlace {
        let id = Id::parse(at.as_bytes()).unwrap();
        OutputPlace::start("stream logs".into(), At::Stream(id))
    }

    fn text(place: &OutputPlace) -> String {
        let mut out = Vec::new();
        place.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let odd: Vec<u8> = (0..=255).collect();
        let mut place = stream("17-4");
        for (source, generation) in [(&odd[..], 1), (b"web-1:/var/log/a b.log", 2)] {
            place.runs.add(source, generation, 100, 9, 1);
        }
        let written = text(&place);
        assert!(
            written.ends_with("2 90 100 web-1:/var/log/a b.log\n"),
            "{written}"
        );
        let read = stream("0-0").parse(written.as_bytes()).unwrap();
        assert_eq!((read.at, text(&read)), (place.at, written));
        for (read, group) in [
            (Some(7), None),
            (None, Some("b.log:17")),
            (Some(7), Some("a b:1")),
        ] {
            (place.read, place.group) = (read, group.map(str::to_owned));
            let again = stream("0-0").parse(text(&place).as_bytes()).unwrap();
            assert_eq!(
                (again.at, again.read, again.group),
                (place.at, read, place.group.clone())
            );
        }
        let list =
            |block, elements| OutputPlace::start("list logs".into(), At::List { block, elements });
        let read = list(0, 0).parse(text(&list(7, 1000)).as_bytes()).unwrap();
        assert_eq!(text(&read), "list logs\n7 1000\n");
    }

    #[test]
    fn what_is_no_place_or_one_of_another_thing_is_refused() {
        for (text, why) in [
            (&b""[..], "it is of , not of stream logs"),
            (
                b"stream other\n1-1\n",
                "it is of stream other, not of stream logs",
            ),
            (b"stream logs\nx\n", "not a place: \"x\""),
            (
                b"stream logs\n1-1\n1 2 s\n",
                "not a run of lines: \"1 2 s\"",
            ),
            (
                b"stream logs\n1-1\n1 2 3 \\x\n",
                "not a run of lines: \"1 2 3 \\\\x\"",
            ),
            (b"\xff", "it is not text"),
        ] {
            assert_eq!(stream("0-0").parse(text).unwrap_err(), why);
        }
    }
}
