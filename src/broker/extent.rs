//! What a stream holds, what of it is gone, and how far a group is: the reply to `XINFO STREAM ... FULL`.
//!
//! One command, so that its figures are of one moment. Redis 7 tells how many entries were ever added; so whoever counts those
//! that he has read knows whether some behind them are gone.

use std::collections::HashMap;

use redis::{Value, from_redis_value};

use super::encode::push_command;
use super::entry::Id;

/// A stream, as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extent {
    /// The oldest entry. None: the stream is empty.
    pub oldest: Option<Id>,
    pub length: u64,
    /// The id that was given out last.
    pub newest: Id,
    /// How many entries were trimmed or deleted. None: a Redis before 7, which does not tell.
    pub gone: Option<u64>,
    /// The group that was asked for, where there is one.
    pub group: Option<Reach>,
}

/// How far a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Every entry up to here was handed out.
    pub delivered: Id,
    /// The oldest entry that was handed out and is not acknowledged.
    pub pending: Option<Id>,
}

impl Reach {
    /// Every entry up to here was handed out and acknowledged.
    pub fn floor(self) -> Id {
        self.pending.map_or(self.delivered, Id::before)
    }
}

impl Extent {
    /// The id behind which lies all that the stream still holds.
    pub fn start(&self) -> Id {
        self.oldest.map_or(self.newest, Id::before)
    }

    /// How many entries were ever added.
    pub fn added(&self) -> Option<u64> {
        self.gone.map(|gone| gone + self.length)
    }

    /// Reads the reply. None: it is no such reply.
    pub fn read(reply: Value, group: Option<&str>) -> Option<Extent> {
        let mut fields = fields(reply)?;
        let entries = list(fields.remove("entries")?)?;
        let groups = list(fields.remove("groups")?)?;
        let is_asked_for = |fields: &HashMap<String, Value>| matches!(fields.get("name"), Some(Value::BulkString(name)) if Some(&name[..]) == group.map(str::as_bytes));
        let group = groups.into_iter().filter_map(self::fields);
        let group = match group.into_iter().find(is_asked_for) {
            Some(fields) => Some(read_group(fields)?),
            None => None,
        };
        let length: u64 = from_redis_value(fields.remove("length")?).ok()?;
        let added = fields.remove("entries-added");
        let added: Option<u64> = added.and_then(|added| from_redis_value(added).ok());
        Some(Extent {
            oldest: entries.into_iter().next().and_then(first_id),
            newest: from_redis_value(fields.remove("last-generated-id")?).ok()?,
            length,
            gone: added.map(|added| added.saturating_sub(length)),
            group,
        })
    }
}

/// Appends the command; of entries and of what is pending it asks for the first one only.
pub fn push_look(key: &[u8], out: &mut Vec<u8>) {
    push_command(&[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"1"], out);
}

fn read_group(mut fields: HashMap<String, Value>) -> Option<Reach> {
    // `pel` says the documentation, `pending` what Redis sends.
    let pending = fields.remove("pending").or_else(|| fields.remove("pel"))?;
    Some(Reach {
        delivered: from_redis_value(fields.remove("last-delivered-id")?).ok()?,
        pending: list(pending)?.into_iter().next().and_then(first_id),
    })
}

fn fields(reply: Value) -> Option<HashMap<String, Value>> {
    from_redis_value(reply).ok()
}

fn list(reply: Value) -> Option<Vec<Value>> {
    from_redis_value(reply).ok()
}

/// The id that a list begins with.
fn first_id(item: Value) -> Option<Id> {
    from_redis_value(list(item)?.into_iter().next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn pairs(pairs: &[(&str, Value)]) -> Value {
        let words = pairs
            .iter()
            .flat_map(|(name, value)| [text(name), value.clone()]);
        Value::Array(words.collect())
    }

    fn group(name: &str, delivered: &str, pending: &[&str]) -> Value {
        let row = |id: &&str| Value::Array(vec![text(id), text("c"), Value::Int(1), Value::Int(1)]);
        pairs(&[
            ("name", text(name)),
            ("last-delivered-id", text(delivered)),
            ("pel-count", Value::Int(pending.len() as i64)),
            ("pending", Value::Array(pending.iter().map(row).collect())),
        ])
    }

    #[test]
    fn a_stream_is_read_whether_redis_tells_what_is_gone_or_not() {
        let id = |text: &str| Id::parse(text.as_bytes()).unwrap();
        let entry = Value::Array(vec![text("7-1"), Value::Array(vec![])]);
        let mut words = vec![
            ("length", Value::Int(1)),
            ("last-generated-id", text("9-0")),
            ("entries", Value::Array(vec![entry])),
            (
                "groups",
                Value::Array(vec![group("f", "8-0", &[]), group("g", "8-0", &["7-1"])]),
            ),
        ];
        let read = |words: &[(&str, Value)], name| Extent::read(pairs(words), name).unwrap();
        let extent = read(&words, Some("g"));
        assert_eq!((extent.start(), extent.newest), (id("7-0"), id("9-0")));
        assert_eq!(extent.gone, None);
        assert_eq!(extent.group.unwrap().floor(), id("7-0"));
        words.push(("entries-added", Value::Int(5)));
        words[2].1 = Value::Array(vec![]);
        let extent = read(&words, Some("f"));
        assert_eq!((extent.start(), extent.gone), (id("9-0"), Some(4)));
        assert_eq!(extent.group.unwrap().floor(), id("8-0"));
        for absent in [None, Some("h")] {
            assert_eq!(read(&words, absent).group, None);
        }
        assert_eq!(Extent::read(Value::Nil, None), None);
    }
}
