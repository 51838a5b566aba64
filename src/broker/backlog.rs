//! What of a stream or list nobody has taken yet, and taking away what every group is done with.
//!
//! Has a connection of its own: while a transaction is under way, the session's cannot ask. What a look finds may be
//! outdated when it is read, and that does no harm: groups only ever acknowledge more.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redis::{FromRedisValue, Value, from_redis_value_ref};

use super::connection::Connection;
use super::entry::{Id, PendingSummary};
use super::take_over::READER;
use super::{Address, Failure, cluster};
use crate::cli::Mode;

/// A consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: Vec<u8>,
    /// Every entry before this one was delivered to it and acknowledged.
    pub done_before: Id,
    /// How many were delivered to it and not acknowledged.
    pub pending: u64,
}

/// What a look at a stream or list has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    pub length: u64,
    /// The stream's; a list has none.
    pub groups: Vec<Group>,
}

impl Standing {
    /// The group that is furthest behind.
    pub fn slowest(&self) -> Option<&Group> {
        self.groups.iter().min_by_key(|group| group.done_before)
    }
}

/// Which of a stream's oldest entries go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trim {
    /// Those before an id, as far as Redis can drop whole nodes (of 100 entries by default), and not more than so many.
    Cheaply { before: Id, at_most: u64 },
    /// Those before an id.
    Exactly { before: Id },
    /// All but the newest so many, whoever has not read them.
    Newest { keep: u64 },
}

/// Looks at streams or lists, and takes from their old end.
pub struct Backlog {
    connection: Connection,
    mode: Mode,
}

impl Backlog {
    pub fn open(
        address: &Address,
        mode: Mode,
        deadline: Option<Instant>,
    ) -> Result<Backlog, Failure> {
        let connection = Connection::open(address, "tailcast-watch", deadline)?;
        Ok(Backlog { connection, mode })
    }

    pub fn set_deadline(&mut self, deadline: Option<Instant>) -> Result<(), Failure> {
        self.connection.set_deadline(deadline)
    }

    /// Redis's own clock, which is the one in entries' ids, as the time since 1970.
    pub fn time(&mut self) -> Result<Duration, Failure> {
        let (seconds, micros) = self.connection.ask_for(&[b"TIME"])?;
        Ok(Duration::from_secs(seconds) + Duration::from_micros(micros))
    }

    pub fn look(&mut self, key: &[u8]) -> Result<Standing, Failure> {
        let command: &[u8] = if self.mode == Mode::List {
            b"LLEN"
        } else {
            b"XLEN"
        };
        let length = self.length(command, key)?;
        // Where there is no stream there is nobody to ask for its groups.
        if self.mode == Mode::List || length == 0 {
            let groups = Vec::new();
            return Ok(Standing { length, groups });
        }
        let reply = self.connection.ask(&[b"XINFO", b"GROUPS", key])?;
        let groups = read_groups(&reply);
        let mut groups = groups.ok_or_else(|| self.connection.address().unexpected(&reply))?;
        self.find_pending(key, &mut groups)?;
        Ok(Standing { length, groups })
    }

    /// A key that holds something else is nobody's backlog: who writes to it is told what it is.
    fn length(&mut self, command: &[u8], key: &[u8]) -> Result<u64, Failure> {
        match self.connection.try_ask(&[command, key])? {
            Err(error) if error.code() == "WRONGTYPE" => Ok(0),
            Err(error) => Err(self.connection.address().error_reply(&error)),
            Ok(reply) => self.connection.address().read(&reply),
        }
    }

    /// Asked after the groups' last delivered entries, so that what is delivered in between lies behind these.
    fn find_pending(&mut self, key: &[u8], groups: &mut [Group]) -> Result<(), Failure> {
        for group in groups.iter_mut().filter(|group| group.pending > 0) {
            match self.connection.try_ask(&[b"XPENDING", key, &group.name])? {
                Err(error) if error.code() == "NOGROUP" => {}
                Err(error) => return Err(self.connection.address().error_reply(&error)),
                Ok(reply) => {
                    let (_, oldest, ..): PendingSummary = self.connection.address().read(&reply)?;
                    group.done_before = oldest.unwrap_or(group.done_before).min(group.done_before);
                }
            }
        }
        Ok(())
    }

    /// Drops the oldest entries of a stream; returns how many there were.
    pub fn trim(&mut self, key: &[u8], trim: Trim) -> Result<u64, Failure> {
        let number = |number: u64| number.to_string().into_bytes();
        match trim {
            // Without a limit Redis would stop at a hundred nodes, and with one of 0 at none.
            Trim::Cheaply { at_most: 0, .. } => Ok(0),
            Trim::Cheaply { before, at_most } => {
                let (before, at_most) = (before.to_string(), number(at_most));
                let before = before.as_bytes();
                self.connection
                    .ask_for(&[b"XTRIM", key, b"MINID", b"~", before, b"LIMIT", &at_most])
            }
            Trim::Exactly { before } => {
                self.connection
                    .ask_for(&[b"XTRIM", key, b"MINID", before.to_string().as_bytes()])
            }
            Trim::Newest { keep } => {
                self.connection
                    .ask_for(&[b"XTRIM", key, b"MAXLEN", &number(keep)])
            }
        }
    }

    /// Drops the oldest elements of a list; returns how many there were.
    pub fn shorten(&mut self, key: &[u8], keep: u64) -> Result<u64, Failure> {
        // In one transaction, so that what a consumer takes meanwhile is not counted as dropped. -0 would be the first one.
        let (first, last) = match keep {
            0 => ("1".to_string(), "0"),
            keep => (format!("-{keep}"), "-1"),
        };
        let length: &[&[u8]] = &[b"LLEN", key];
        let trim: &[&[u8]] = &[b"LTRIM", key, first.as_bytes(), last.as_bytes()];
        let replies = self.connection.transact(&[length, trim, length])?;
        let replies = Value::Array(replies.unwrap_or_default());
        let (before, _, after): (u64, Value, u64) = self.connection.address().read(&replies)?;
        Ok(before.saturating_sub(after))
    }
}

/// How many entries the stream or list of this name holds, for who only looks on. None: there is neither, or the user may
/// not ask.
pub fn count_kept(address: &Address, key: &[u8]) -> Result<Option<u64>, Failure> {
    let mut connection = Connection::open(address, READER, None)?;
    cluster::ask_where_they_are(&mut connection, |connection| ask_kept(connection, key))
}

fn ask_kept(connection: &mut Connection, key: &[u8]) -> Result<Option<u64>, Failure> {
    let kind: Option<String> = ask_if_allowed(connection, &[b"TYPE", key])?;
    match kind.as_deref() {
        Some("list") => ask_if_allowed(connection, &[b"LLEN", key]),
        Some("stream") => ask_if_allowed(connection, &[b"XLEN", key]),
        _ => Ok(None),
    }
}

/// None: the user may not, or the key has become another meanwhile.
fn ask_if_allowed<T: FromRedisValue>(
    connection: &mut Connection,
    words: &[&[u8]],
) -> Result<Option<T>, Failure> {
    match connection.try_ask(words)? {
        Err(error) if ["NOPERM", "WRONGTYPE"].contains(&error.code()) => Ok(None),
        Err(error) => Err(connection.address().error_reply(&error)),
        Ok(reply) => connection.address().read(&reply).map(Some),
    }
}

/// The groups as `XINFO GROUPS` gives them: names and values, of which later versions have more. A group's name is bytes,
/// and may be no text.
fn read_groups(reply: &Value) -> Option<Vec<Group>> {
    let groups: Vec<HashMap<String, Value>> = from_redis_value_ref(reply).ok()?;
    let read = |fields: HashMap<String, Value>| {
        let last: Id = from_redis_value_ref(fields.get("last-delivered-id")?).ok()?;
        Some(Group {
            name: from_redis_value_ref(fields.get("name")?).ok()?,
            done_before: last.next(),
            pending: from_redis_value_ref(fields.get("pending")?).ok()?,
        })
    };
    groups.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn id(text: &str) -> Id {
        Id::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn ids_are_ordered_as_redis_orders_them() {
        for (before, after) in [("9-9", "10-0"), ("10-9", "10-10"), ("0-0", "0-1")] {
            assert!(id(before) < id(after), "{before} {after}");
        }
        for (before, after) in [
            ("5-7", "5-8"),
            ("5-18446744073709551615", "6-0"),
            (
                "18446744073709551615-18446744073709551615",
                "18446744073709551615-0",
            ),
        ] {
            assert_eq!(id(before).next().to_string(), after);
        }
        for text in ["", "5", "-", "5-", "a-b", "5-1-1"] {
            assert_eq!(Id::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_group_is_read_whether_redis_tells_its_lag_or_not() {
        let mut fields = vec![
            bulk("name"),
            bulk("g"),
            bulk("consumers"),
            Value::Int(2),
            bulk("pending"),
            Value::Int(3),
            bulk("last-delivered-id"),
            bulk("5-1"),
        ];
        let group = Group {
            name: "g".into(),
            done_before: id("5-2"),
            pending: 3,
        };
        let read = |fields: &[Value]| read_groups(&Value::Array(vec![Value::Array(fields.into())]));
        assert_eq!(read(&fields), Some(vec![group.clone()]));
        let later = [bulk("entries-read"), Value::Nil, bulk("lag"), Value::Nil];
        fields.extend(later);
        fields[1] = Value::BulkString(b"\xff".into());
        let group = Group {
            name: b"\xff".into(),
            ..group
        };
        assert_eq!(read(&fields), Some(vec![group]));
        assert_eq!(read(&fields[..6]), None);
        assert_eq!(read_groups(&Value::Int(1)), None);
    }

    #[test]
    fn the_oldest_pending_entry_is_read_where_there_is_one() {
        let oldest = |summary: &[Value]| {
            let summary = Value::Array(summary.to_vec());
            from_redis_value_ref::<PendingSummary>(&summary).unwrap().1
        };
        let some = [Value::Int(2), bulk("3-1"), bulk("4-1"), Value::Nil];
        assert_eq!(oldest(&some), Some(id("3-1")));
        let none = [Value::Int(0), Value::Nil, Value::Nil, Value::Nil];
        assert_eq!(oldest(&none), None);
    }
}
