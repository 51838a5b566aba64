//! A JSON log line for a person: time, coloured type, message, then what else is in it.
//!
//! Shows everything that the line says, and nothing that it does not: numbers keep their digits, members
//! their order.

use std::borrow::Cow;

use super::escape::push_escaped;
use super::timestamp::utc_clock;
use crate::route::json::{self, Text, Value};

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
pub fn push_pretty(line: &[u8], type_field: &str, colour: bool, out: &mut Vec<u8>) {
    match Record::read(line, type_field) {
        Some(record) => Painter { out, colour }.record(&record),
        None => push_escaped(line, out),
    }
}

/// A line's members, those with a place of their own taken out.
struct Record<'l> {
    time: Option<Value<'l>>,
    kind: Option<Value<'l>>,
    message: Option<Value<'l>>,
    others: Vec<(Text<'l>, Value<'l>)>,
}

impl<'l> Record<'l> {
    fn read(line: &'l [u8], type_field: &str) -> Option<Record<'l>> {
        let mut others = Vec::new();
        json::members(line, |key, value| others.push((key, value)))?;
        let kind = take_last(&mut others, type_field);
        let time = take_last(&mut others, "timestamp");
        let message = take_last(&mut others, "message");
        let known = time.is_some() || kind.is_some() || message.is_some();
        known.then_some(Record {
            time,
            kind,
            message,
            others,
        })
    }
}

/// Takes the member of this name out: the last, where there are several, as that is the one `route` goes by.
fn take_last<'l>(members: &mut Vec<(Text<'l>, Value<'l>)>, name: &str) -> Option<Value<'l>> {
    let index = members
        .iter()
        .rposition(|(key, _)| key.is(name.as_bytes()))?;
    Some(members.remove(index).1)
}

struct Painter<'o> {
    out: &'o mut Vec<u8>,
    colour: bool,
}

impl Painter<'_> {
    fn record(&mut self, record: &Record) {
        let start = self.out.len();
        if let Some(time) = record.time {
            self.painted(DIM, |painter| painter.time(time));
        }
        if let Some(kind) = record.kind {
            self.gap(start);
            self.kind(kind, record.message.is_some() || !record.others.is_empty());
        }
        if let Some(message) = record.message {
            self.gap(start);
            push_escaped(&meaning(message), self.out);
        }
        for (key, value) in &record.others {
            self.gap(start);
            self.painted(DIM, |painter| painter.member(*key, *value));
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

    fn time(&mut self, time: Value) {
        let text = meaning(time);
        match utc_clock(&text) {
            Some(clock) => self.out.extend_from_slice(clock.as_bytes()),
            None => push_escaped(&text, self.out),
        }
    }

    fn kind(&mut self, kind: Value, pad: bool) {
        let mut text = Vec::new();
        push_escaped(&meaning(kind), &mut text);
        self.painted(colour_of(&text), |painter| {
            painter.out.extend_from_slice(&text)
        });
        if pad {
            let width = String::from_utf8_lossy(&text).chars().count();
            self.out
                .extend(std::iter::repeat_n(b' ', TYPE_WIDTH.saturating_sub(width)));
        }
    }

    fn member(&mut self, key: Text, value: Value) {
        push_escaped(word(key), self.out);
        self.out.push(b'=');
        match value {
            Value::Text(text) => push_escaped(word(text), self.out),
            Value::Other(json) => push_escaped(json, self.out),
        }
    }
}

fn meaning(value: Value<'_>) -> Cow<'_, [u8]> {
    match value {
        Value::Text(text) => text.decoded(),
        Value::Other(json) => Cow::Borrowed(json),
    }
}

/// A string among `key=value`s: without its quotes where it is clear without them.
fn word(text: Text<'_>) -> &[u8] {
    let quoted = text.quoted();
    let inner = &quoted[1..quoted.len() - 1];
    let clear = |byte: &u8| !byte.is_ascii_whitespace() && *byte != b'=';
    let bare = !text.is_escaped() && !inner.is_empty() && inner.iter().all(clear);
    if bare { inner } else { quoted }
}

fn colour_of(kind: &[u8]) -> &'static [u8] {
    match kind.to_ascii_uppercase().as_slice() {
        b"ERROR" => RED,
        b"WARNING" | b"WARN" => YELLOW,
        b"INFO" => GREEN,
        b"DEBUG" => BLUE,
        _ => CYAN,
    }
}
