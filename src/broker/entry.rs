//! Entries of a stream, out of the replies that hold them.
//!
//! Pure. Only what the watcher writes is understood: `line`, and `source gen offset` where they are there (see
//! `encode`).

use std::fmt;

use redis::{FromRedisValue, ParsingError, Value};

/// An entry's id: the milliseconds of its time, and a sequence number that tells those of one millisecond apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Id {
    pub ms: u64,
    pub seq: u64,
}

impl Id {
    /// Before the first entry.
    pub const START: Id = Id { ms: 0, seq: 0 };

    /// Reads `<ms>-<seq>`.
    pub fn parse(text: &[u8]) -> Option<Id> {
        let (ms, seq) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(Id {
            ms: ms.parse().ok()?,
            seq: seq.parse().ok()?,
        })
    }

    /// The least one behind it.
    pub fn next(self) -> Id {
        match self.seq.checked_add(1) {
            Some(seq) => Id { seq, ..self },
            None => Id {
                ms: self.ms.saturating_add(1),
                seq: 0,
            },
        }
    }

    /// The greatest one before it.
    pub fn before(self) -> Id {
        match (self.ms, self.seq) {
            (0, 0) => self,
            (ms, 0) => Id {
                ms: ms - 1,
                seq: u64::MAX,
            },
            (ms, seq) => Id { ms, seq: seq - 1 },
        }
    }
}

impl FromRedisValue for Id {
    fn from_redis_value(value: Value) -> Result<Id, ParsingError> {
        let text = Vec::<u8>::from_redis_value(value)?;
        Id::parse(&text).ok_or_else(|| ParsingError::from(format!("no id: {text:?}")))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// What an entry holds.
#[derive(Debug, PartialEq, Eq)]
pub struct StreamEntry {
    pub id: Id,
    /// None: somebody else has put it there, without a line.
    pub line: Option<Vec<u8>>,
    /// None: somebody else has written it.
    pub of: Option<LineId>,
}

/// A line's identity: where it stands in its log.
#[derive(Debug, PartialEq, Eq)]
pub struct LineId {
    pub source: Vec<u8>,
    pub generation: u64,
    /// The line ends here.
    pub offset: u64,
}

/// What a stream has handed out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    pub entries: Vec<StreamEntry>,
    /// Those that were handed out once, and are not in the stream any more.
    pub gone: Vec<Id>,
}

/// Reads the reply to `XREAD` and `XREADGROUP` of one stream. None: it is no such reply.
pub fn read_streams(reply: Value) -> Option<Delivered> {
    match reply {
        Value::Nil => Some(Delivered::default()),
        Value::Array(mut streams) => match streams.pop()? {
            Value::Array(mut stream) => read_entries(stream.pop()?),
            _ => None,
        },
        _ => None,
    }
}

/// Reads a list of entries: `[id, [name, value, ...]]` each, with nothing in the second place of those that are gone, or
/// nothing at all (before Redis 7).
pub fn read_entries(list: Value) -> Option<Delivered> {
    let Value::Array(items) = list else {
        return None;
    };
    let mut delivered = Delivered {
        entries: Vec::with_capacity(items.len()),
        gone: Vec::new(),
    };
    for item in items {
        match item {
            Value::Nil => {}
            Value::Array(pair) => {
                let mut pair = pair.into_iter();
                let (Some(Value::BulkString(id)), Some(fields)) = (pair.next(), pair.next()) else {
                    return None;
                };
                let id = Id::parse(&id)?;
                match fields {
                    Value::Array(fields) => delivered.entries.push(read_entry(id, fields)),
                    _ => delivered.gone.push(id),
                }
            }
            _ => return None,
        }
    }
    Some(delivered)
}

fn read_entry(id: Id, fields: Vec<Value>) -> StreamEntry {
    let (mut line, mut source, mut generation, mut offset) = (None, None, None, None);
    let mut fields = fields.into_iter();
    while let (Some(Value::BulkString(name)), Some(Value::BulkString(value))) =
        (fields.next(), fields.next())
    {
        match name.as_slice() {
            b"line" => line = Some(value),
            b"source" => source = Some(value),
            b"gen" => generation = number(&value),
            b"offset" => offset = number(&value),
            _ => {}
        }
    }
    let of = match (source, generation, offset) {
        (Some(source), Some(generation), Some(offset)) => Some(LineId {
            source,
            generation,
            offset,
        }),
        _ => None,
    };
    StreamEntry { id, line, of }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// What `XPENDING` tells of a group: how many entries are pending, the oldest, the newest, and by consumer.
pub type PendingSummary = (u64, Option<Id>, Value, Value);

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn entry(id: &str, fields: &[&str]) -> Value {
        let fields = fields.iter().map(|field| text(field)).collect();
        Value::Array(vec![text(id), Value::Array(fields)])
    }

    #[test]
    fn an_entry_is_read_whoever_wrote_it() {
        let of = LineId {
            source: b"h:/a".to_vec(),
            generation: 3,
            offset: 42,
        };
        let ours = [
            "line", "x", "type", "T", "source", "h:/a", "gen", "3", "offset", "42",
        ];
        let older = ["line", "x", "type", "T", "source", "h:/a", "offset", "42"];
        let odd = ["offset", "-1", "line", "x", "gen", "3", "source", "h:/a"];
        for (fields, line, of) in [
            (&ours[..], Some("x"), Some(of)),
            (&older, Some("x"), None),
            (&odd, Some("x"), None),
            (&["message", "x"], None, None),
        ] {
            let reply = Value::Array(vec![Value::Array(vec![
                text("logs"),
                Value::Array(vec![entry("5-1", fields)]),
            ])]);
            let entry = StreamEntry {
                id: Id { ms: 5, seq: 1 },
                line: line.map(Into::into),
                of,
            };
            let delivered = read_streams(reply).unwrap();
            assert_eq!(delivered.entries, [entry], "{fields:?}");
        }
    }

    #[test]
    fn what_is_gone_is_told() {
        let gone = Value::Array(vec![text("7-0"), Value::Nil]);
        let list = Value::Array(vec![entry("6-0", &["line", "x"]), gone, Value::Nil]);
        let delivered = read_entries(list).unwrap();
        assert_eq!(delivered.entries.len(), 1);
        assert_eq!(delivered.gone, [Id { ms: 7, seq: 0 }]);
        assert_eq!(read_streams(Value::Nil), Some(Delivered::default()));
        assert_eq!(read_streams(Value::Int(1)), None);
    }

    #[test]
    fn ids_are_ordered_and_have_neighbours() {
        let id = |text: &str| Id::parse(text.as_bytes()).unwrap();
        assert!(id("5-9") < id("5-10") && id("5-10") < id("6-0"));
        assert_eq!(id("5-1").before(), id("5-0"));
        assert_eq!(id("5-0").before().to_string(), format!("4-{}", u64::MAX));
        assert_eq!(Id::START.before(), Id::START);
        for wrong in ["", "5", "5-", "-1", "a-b"] {
            assert_eq!(Id::parse(wrong.as_bytes()), None);
        }
    }
}
