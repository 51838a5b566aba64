//! A JSON log line for a person: time, coloured type, message, then what else is in it.
//!
//! Shows everything that the line says, and nothing that it does not: numbers keep their digits (but for a level's, which is
//! shown by its name), members their order. Of a member that is there twice the last one is shown, as that is the one `route` goes by.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::time::Time;
use crate::escape::push_escaped;
use crate::route::{json, type_in};

/// Types are padded to the longest of the usual ones, so that messages stand in one column.
const TYPE_WIDTH: usize = "WARNING".len();

const RED: &[u8] = b"\x1b[31m";
const GREEN: &[u8] = b"\x1b[32m";
const YELLOW: &[u8] = b"\x1b[33m";
const BLUE: &[u8] = b"\x1b[34m";
const CYAN: &[u8] = b"\x1b[36m";
const DIM: &[u8] = b"\x1b[2m";
const RESET: &[u8] = b"\x1b[0m";

/// Appends the line, without a newline. What is not a JSON object with a time, a type or a message is shown whole.
pub fn push_pretty(line: &[u8], type_fields: &str, colour: bool, out: &mut Vec<u8>) {
    match Members::read(line, type_fields) {
        Some(record) => Painter { out, colour }.record(&record),
        None => push_escaped(line, out),
    }
}

/// A line's members, those with a place of their own taken out.
struct Members<'l> {
    time: Option<&'l RawValue>,
    kind: Option<Cow<'l, str>>,
    message: Option<&'l RawValue>,
    others: Vec<(String, &'l RawValue)>,
}

impl<'l> Members<'l> {
    fn read(line: &'l [u8], type_fields: &str) -> Option<Members<'l>> {
        let mut others = json::members(line)?;
        let kind = take_type(&mut others, type_fields);
        let time = take(&mut others, "timestamp");
        let message = take(&mut others, "message");
        let known = time.is_some() || kind.is_some() || message.is_some();
        known.then_some(Members {
            time,
            kind,
            message,
            others,
        })
    }
}

/// Takes the first of these fields out that has a type; where there is none, the first that is there.
fn take_type<'l>(members: &mut Vec<(String, &'l RawValue)>, fields: &str) -> Option<Cow<'l, str>> {
    let find = |field: &str| members.iter().find(|(key, _)| key == field);
    let there = || fields.split(',').filter_map(find);
    let typed = there().find_map(|(key, value)| Some((key.clone(), type_in(key, value)?)));
    let (key, kind) = typed.or_else(|| {
        let (key, value) = there().next()?;
        Some((key.clone(), meaning(value)))
    })?;
    take(members, &key);
    Some(kind)
}

/// Takes the member of this name out.
fn take<'l>(members: &mut Vec<(String, &'l RawValue)>, name: &str) -> Option<&'l RawValue> {
    let index = members.iter().position(|(key, _)| key == name)?;
    Some(members.remove(index).1)
}

struct Painter<'o> {
    out: &'o mut Vec<u8>,
    colour: bool,
}

impl Painter<'_> {
    fn record(&mut self, record: &Members) {
        let start = self.out.len();
        if let Some(time) = record.time {
            self.painted(DIM, |painter| painter.time(time));
        }
        if let Some(kind) = &record.kind {
            self.gap(start);
            self.kind(kind, record.message.is_some() || !record.others.is_empty());
        }
        if let Some(message) = record.message {
            self.gap(start);
            push_escaped(meaning(message).as_bytes(), self.out);
        }
        for (key, value) in &record.others {
            self.gap(start);
            self.painted(DIM, |painter| painter.member(key, value));
        }
    }

    /// Parts are a space apart; before the first one there is none.
    fn gap(&mut self, start: usize) {
        if self.out.len() > start {
            self.out.push(b' ');
        }
    }

    fn painted(&mut self, colour: &[u8], paint: impl FnOnce(&mut Self)) {
        if !self.colour {
            return paint(self);
        }
        self.out.extend_from_slice(colour);
        paint(self);
        self.out.extend_from_slice(RESET);
    }

    fn time(&mut self, time: &RawValue) {
        let text = meaning(time);
        match Time::parse(&text) {
            Some(time) => self.out.extend_from_slice(time.clock().as_bytes()),
            None => push_escaped(text.as_bytes(), self.out),
        }
    }

    fn kind(&mut self, kind: &str, pad: bool) {
        let mut text = Vec::new();
        push_escaped(kind.as_bytes(), &mut text);
        self.painted(colour_of(&text), |painter| {
            painter.out.extend_from_slice(&text)
        });
        if pad {
            let width = String::from_utf8_lossy(&text).chars().count();
            self.out
                .extend(std::iter::repeat_n(b' ', TYPE_WIDTH.saturating_sub(width)));
        }
    }

    fn member(&mut self, key: &str, value: &RawValue) {
        let key = serde_json::Value::from(key).to_string();
        push_escaped(word(&key).as_bytes(), self.out);
        self.out.push(b'=');
        push_escaped(word(value.get()).as_bytes(), self.out);
    }
}

fn meaning(value: &RawValue) -> Cow<'_, str> {
    json::text(value).unwrap_or(Cow::Borrowed(value.get()))
}

/// What stands in a line of `key=value`s: a string without its quotes, where it is clear without them.
fn word(json: &str) -> &str {
    let inner = json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let clear = |byte: u8| !byte.is_ascii_whitespace() && byte != b'=' && byte != b'\\';
    inner
        .filter(|inner| !inner.is_empty() && inner.bytes().all(clear))
        .unwrap_or(json)
}

fn colour_of(kind: &[u8]) -> &'static [u8] {
    match kind.to_ascii_uppercase().as_slice() {
        b"ERROR" | b"FATAL" | b"CRIT" | b"CRITICAL" | b"ALERT" | b"EMERG" => RED,
        b"WARNING" | b"WARN" => YELLOW,
        b"INFO" | b"NOTICE" => GREEN,
        b"DEBUG" | b"TRACE" => BLUE,
        _ => CYAN,
    }
}
