//! A cursor over the arguments of one command, and the reading of single values: durations, sizes, numbers,
//! words.
//!
//! Knows how flags look, not which there are. Every complaint names the flag, shows what was given and says
//! what it takes; nothing shown can carry a URL's password, whichever flag the URL was meant for.

use std::ffi::{OsStr, OsString};
use std::iter::Peekable;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use super::values::Retain;
use crate::error::{Error, Result};

const DURATION: &str = "give a number and a unit, as in 250ms, 3s, 5m";
const SIZE: &str = "give bytes, or a number and a unit, as in 512B, 64KiB, 10MiB";

/// The longest duration, about a century: far from where adding it to a clock overflows.
const LONGEST: Duration = Duration::from_secs(876_000 * 3600);

/// What the cursor met.
#[derive(Debug, PartialEq, Eq)]
pub enum Arg {
    /// With its dashes. A value is still to be asked for.
    Flag(String),
    Operand(OsString),
}

/// The arguments behind a command's name.
pub struct Args {
    rest: Peekable<std::vec::IntoIter<OsString>>,
    /// The flag handed out last, for messages.
    flag: String,
    /// What stood behind its `=`, until somebody takes it.
    attached: Option<OsString>,
    flags_ended: bool,
}

impl Args {
    pub fn new(rest: Vec<OsString>) -> Args {
        Args {
            rest: rest.into_iter().peekable(),
            flag: String::new(),
            attached: None,
            flags_ended: false,
        }
    }

    /// The next flag or operand; None at the end. An error if the last flag left behind a value that it does
    /// not take.
    pub fn next(&mut self) -> Result<Option<Arg>> {
        if let Some(value) = &self.attached {
            return Err(usage(format!(
                "{}: takes no value: {}",
                self.flag,
                shown(value)
            )));
        }
        let Some(arg) = self.rest.next() else {
            return Ok(None);
        };
        if arg == "--" && !self.flags_ended {
            self.flags_ended = true;
            return self.next();
        }
        if arg.is_empty() {
            return Err(usage(
                "an argument is empty; is a shell variable unset?".to_owned(),
            ));
        }
        if self.flags_ended || !looks_like_flag(&arg) {
            return Ok(Some(Arg::Operand(arg)));
        }
        self.split_flag(&arg);
        Ok(Some(Arg::Flag(self.flag.clone())))
    }

    /// The flag that was met last, as it was given.
    pub fn flag(&self) -> &str {
        &self.flag
    }

    fn split_flag(&mut self, arg: &OsStr) {
        let mut halves = arg.as_bytes().splitn(2, |byte| *byte == b'=');
        self.flag = String::from_utf8_lossy(halves.next().unwrap_or_default()).into_owned();
        self.attached = halves
            .next()
            .map(|value| OsString::from_vec(value.to_vec()));
    }

    /// The flag's value, from behind the `=` or from the next argument. What begins with two
    /// dashes is rather the next flag than this one's value.
    pub fn value(&mut self, takes: &str) -> Result<OsString> {
        let is_value = |next: &OsString| !next.as_bytes().starts_with(b"--");
        let attached = self.attached.take();
        match attached.or_else(|| self.rest.next_if(is_value)) {
            Some(value) if !value.is_empty() => Ok(value),
            Some(_) => Err(usage(format!("{}: the value is empty; {takes}", self.flag))),
            None => Err(usage(format!("{}: needs a value; {takes}", self.flag))),
        }
    }

    /// The flag's value as `read` understands it. `read` answers with the complaint, as in "not a duration".
    pub fn read<T>(
        &mut self,
        takes: &str,
        read: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Result<T> {
        let value = self.value(takes)?;
        let understood = value.to_str().ok_or("not UTF-8").and_then(read);
        understood.map_err(|complaint| {
            usage(format!(
                "{}: {complaint}: {}; {takes}",
                self.flag,
                shown(&value)
            ))
        })
    }

    pub fn text(&mut self, takes: &str) -> Result<String> {
        self.read(takes, |text| Ok(text.to_owned()))
    }

    pub fn duration(&mut self) -> Result<Duration> {
        self.read(DURATION, parse_duration)
    }

    pub fn duration_above_zero(&mut self) -> Result<Duration> {
        self.read(DURATION, |text| parse_duration(text).and_then(above_zero))
    }

    /// A size in bytes.
    pub fn size(&mut self) -> Result<u64> {
        self.read(SIZE, parse_size)
    }

    pub fn size_above_zero(&mut self) -> Result<u64> {
        self.read(SIZE, |text| parse_size(text).and_then(above_zero))
    }

    pub fn number(&mut self) -> Result<u64> {
        self.read("give a whole number", parse_number)
    }

    /// A number for which 0 makes no sense.
    pub fn number_above_zero(&mut self) -> Result<u64> {
        let takes = "give a whole number from 1 up";
        self.read(takes, |text| parse_number(text).and_then(above_zero))
    }

    /// A number of lines, or with a unit a duration.
    pub fn lines_or_duration(&mut self) -> Result<Retain> {
        let takes = "give a number of lines, or a duration, as in 10000, 36h, 7d";
        self.read(takes, |text| match parse_number(text) {
            Ok(lines) => Ok(Retain::Lines(lines)),
            Err(_) => match parse_duration(text) {
                Ok(age) => Ok(Retain::Age(age)),
                Err("not a duration") => Err("neither a number nor a duration"),
                Err(other) => Err(other),
            },
        })
    }

    /// One of a few words. `not_one` is the complaint, as in "not a mode".
    pub fn choice<T: Copy>(&mut self, not_one: &'static str, words: &[(&str, T)]) -> Result<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        self.read(&format!("give one of {}", names.join(", ")), |text| {
            let chosen = words.iter().find(|(name, _)| *name == text);
            chosen.map(|(_, meaning)| *meaning).ok_or(not_one)
        })
    }
}

pub fn usage(text: String) -> Error {
    Error::Usage(text)
}

/// An argument as it may be put into a message: quoted, its control characters escaped. Of anything like a
/// URL only the scheme is shown, as a password may stand in the address or in the query.
pub fn shown(arg: &OsStr) -> String {
    let text = arg.to_string_lossy();
    match text.split_once(":/") {
        Some((scheme, _)) => format!("{:?}", format!("{scheme}://...")),
        None => format!("{text:?}"),
    }
}

/// The known word that was probably meant: one that begins like this, or is a typing error away.
pub fn closest<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    let begins = |word: &&&str| given.len() >= 3 && word.starts_with(given);
    if let Some(word) = known.iter().find(begins) {
        return Some(word);
    }
    let nearest = known.iter().map(|word| (edits(given, word), *word)).min()?;
    let (edits, word) = nearest;
    (edits <= 2 && edits * 3 <= given.len()).then_some(word)
}

/// How many bytes must be put in, taken out or replaced to make one of the other (the Levenshtein distance).
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, old) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, new) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(old != new);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

/// `-` alone is an operand: standard input or output.
fn looks_like_flag(arg: &OsStr) -> bool {
    arg.len() > 1 && arg.as_bytes().starts_with(b"-")
}

fn above_zero<T: Default + PartialEq>(value: T) -> Result<T, &'static str> {
    let is_zero = value == T::default();
    (!is_zero).then_some(value).ok_or("must be more than 0")
}

fn parse_number(text: &str) -> Result<u64, &'static str> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("not a number");
    }
    // Digits only, and never none: so it can only be too many of them.
    text.parse().map_err(|_| "too large")
}

/// A number and a unit, with a fraction if need be; only 0 needs no unit.
fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    const NOT_ONE: &str = "not a duration";
    let (number, unit) = split_unit(text);
    let unit: u128 = match unit {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        "" if number == "0" => return Ok(Duration::ZERO),
        _ => return Err(NOT_ONE),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole = parse_digits(whole).ok_or(NOT_ONE)?;
    let parts = parse_digits(fraction)
        .filter(|_| fraction.len() <= 9)
        .ok_or(NOT_ONE)?;
    let parts = parts * unit / 10_u128.pow(fraction.len() as u32);
    let nanos = whole.saturating_mul(unit).saturating_add(parts);
    if nanos > LONGEST.as_nanos() {
        return Err("too long");
    }
    // Ours fit: a century is below 2^62 nanoseconds.
    Ok(Duration::from_nanos(nanos as u64))
}

/// Bytes, or a number and a binary unit. K, KB and the like are refused: to some they are 1000, to others 1024.
fn parse_size(text: &str) -> Result<u64, &'static str> {
    let (number, unit) = split_unit(text);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "kib" => 10,
        "mib" => 20,
        "gib" => 30,
        _ => return Err("not a size"),
    };
    let number = parse_digits(number).ok_or("not a size")?;
    u64::try_from(number.saturating_mul(1 << shift)).map_err(|_| "too large")
}

fn split_unit(text: &str) -> (&str, &str) {
    let unit = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    text.split_at(unit.unwrap_or(text.len()))
}

/// One or more digits, no sign. More than fit count as the largest number that does.
fn parse_digits(digits: &str) -> Option<u128> {
    let only_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    only_digits.then(|| digits.parse().unwrap_or(u128::MAX))
}

#[cfg(test)]
mod tests;
