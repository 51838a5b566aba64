//! Reads a stream as one consumer of a group: what it was given and has not acknowledged, what is new, and what others
//! were given and have left.
//!
//! Redis keeps, for each consumer, what it was given until that is acknowledged; so nothing is acknowledged here that
//! the caller does not name.

use std::fmt;
use std::time::Duration;

use redis::{Value, from_redis_value};

use super::connection::Connection;
use super::encode::push_command;
use super::entry::{Delivered, Id, read_entries};
use super::extent::{Extent, Reach, push_look};
use super::reading::{NAME, delivered, look, odd, push_read, read_look, wrong_type};
use super::{Address, Failure};

/// Why a group did not do what it was asked to.
#[derive(Debug)]
pub enum GroupFailure {
    /// There is no such group, or not any more.
    NoGroup,
    Other(Failure),
}

impl From<Failure> for GroupFailure {
    fn from(failure: Failure) -> GroupFailure {
        GroupFailure::Other(failure)
    }
}

type GroupResult<T> = Result<T, GroupFailure>;

/// Who reads what.
#[derive(Debug, Clone)]
pub struct Consumer {
    pub key: Vec<u8>,
    pub group: String,
    pub name: String,
}

impl fmt::Display for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {} of {}", self.group, self.key.escape_ascii())
    }
}

/// A connection of one consumer.
pub struct Member {
    connection: Connection,
    consumer: Consumer,
}

/// Ids in one command.
const AT_ONCE: usize = 10_000;

impl Member {
    pub fn open(address: &Address, consumer: &Consumer) -> Result<Member, Failure> {
        Ok(Member {
            connection: Connection::open(address, NAME, None)?,
            consumer: consumer.clone(),
        })
    }

    /// The stream as it is now, and the group, where they are there.
    pub fn stream(&mut self) -> Result<Option<Extent>, Failure> {
        let Consumer { key, group, .. } = &self.consumer;
        look(&mut self.connection, key, Some(group))
    }

    /// Makes the group, and the stream where there is none. It begins behind `start`; None: behind what is there now.
    /// Another consumer may have been quicker.
    pub fn make_group(&mut self, start: Option<Id>) -> Result<(), Failure> {
        let Consumer { key, group, .. } = &self.consumer;
        let start = start.map_or("$".into(), |start| start.to_string());
        let words: [&[u8]; 6] = [
            b"XGROUP",
            b"CREATE",
            key,
            group.as_bytes(),
            start.as_bytes(),
            b"MKSTREAM",
        ];
        match self.connection.try_ask(&words)? {
            Err(error) if error.code() != "BUSYGROUP" => {
                Err(self.connection.address().error_reply(&error))
            }
            _ => Ok(()),
        }
    }

    /// What this consumer was given behind an id, and has not acknowledged.
    pub fn pending(&mut self, after: Id, count: usize) -> GroupResult<Delivered> {
        let mut out = Vec::new();
        self.push_read(count, None, &after.to_string(), &mut out);
        self.connection.write(&out)?;
        self.delivered()
    }

    /// Acknowledges, and says how far the stream and the group are then.
    pub fn look(&mut self, acks: &[Id]) -> GroupResult<(Extent, Reach)> {
        self.next(acks, 0, 1, None)
    }

    /// The same, and asks for so many `entries` that nobody was given yet, `count` in a reply: `delivered` reads one. Where
    /// there are none, the first is waited for as long as `wait` says. After a failure the connection is of no more use.
    pub fn next(
        &mut self,
        acks: &[Id],
        entries: usize,
        count: usize,
        mut wait: Option<Duration>,
    ) -> GroupResult<(Extent, Reach)> {
        let mut out = Vec::new();
        let Consumer { key, group, .. } = &self.consumer;
        push_with_ids(&[b"XACK", key, group.as_bytes()], acks, &[], &mut out);
        push_look(key, &mut out);
        for asked in (0..entries).step_by(count) {
            self.push_read(count.min(entries - asked), wait.take(), ">", &mut out);
        }
        self.connection.write(&out)?;
        for _ in acks.chunks(AT_ONCE) {
            match self.connection.reply()? {
                Value::Int(_) => {}
                other => return Err(self.connection.address().unexpected(&other).into()),
            }
        }
        let extent = read_look(&mut self.connection, key, Some(group))?;
        match extent.map(|extent| (extent.group, extent)) {
            Some((Some(reach), extent)) => Ok((extent, reach)),
            _ => Err(GroupFailure::NoGroup),
        }
    }

    /// One answer to `next`.
    pub fn delivered(&mut self) -> GroupResult<Delivered> {
        let reply = self.connection.reply()?;
        let reply = self.expect_group(reply)?;
        Ok(delivered(&self.connection, &self.consumer.key, reply)?)
    }

    /// Takes what was given to anybody so long ago, and was not acknowledged since; begins at an id. Returns where to go
    /// on, which is the start when it is through.
    pub fn claim(
        &mut self,
        idle: Duration,
        from: Id,
        count: usize,
    ) -> GroupResult<(Id, Delivered)> {
        let Consumer { key, group, name } = &self.consumer;
        let (idle, from, count) = (idle.as_millis(), from, count);
        let [idle, from, count] = [idle.to_string(), from.to_string(), count.to_string()];
        let words: [&[u8]; 8] = [
            b"XAUTOCLAIM",
            key,
            group.as_bytes(),
            name.as_bytes(),
            idle.as_bytes(),
            from.as_bytes(),
            b"COUNT",
            count.as_bytes(),
        ];
        let mut out = Vec::new();
        push_command(&words, &mut out);
        self.connection.write(&out)?;
        let reply = self.connection.reply()?;
        read_claim(self.expect_group(reply)?)
            .ok_or_else(|| odd(&self.connection, "claimed entries").into())
    }

    /// Lets the group know that this consumer still has these in hand, so that nobody else takes them.
    pub fn keep(&mut self, ids: &[Id]) -> GroupResult<()> {
        let mut out = Vec::new();
        let Consumer { key, group, name } = &self.consumer;
        let head: [&[u8]; 5] = [b"XCLAIM", key, group.as_bytes(), name.as_bytes(), b"0"];
        push_with_ids(&head, ids, &[b"JUSTID"], &mut out);
        self.connection.write(&out)?;
        for _ in ids.chunks(AT_ONCE) {
            let reply = self.connection.reply()?;
            self.expect_group(reply)?;
        }
        Ok(())
    }

    fn push_read(&self, count: usize, wait: Option<Duration>, after: &str, out: &mut Vec<u8>) {
        let Consumer { key, group, name } = &self.consumer;
        let head: [&[u8]; 4] = [b"XREADGROUP", b"GROUP", group.as_bytes(), name.as_bytes()];
        push_read(&head, count, wait, key, after, out);
    }

    fn expect_group(&self, reply: Value) -> GroupResult<Value> {
        let address = self.connection.address();
        match reply {
            // The second, and `ERR`, where the whole stream was removed while it was waited for.
            Value::ServerError(error)
                if matches!(error.code(), "NOGROUP" | "UNBLOCKED")
                    || error.details() == Some("no such key") =>
            {
                Err(GroupFailure::NoGroup)
            }
            Value::ServerError(error) if error.code() == "WRONGTYPE" => {
                Err(wrong_type(address, &self.consumer.key, "stream", "list").into())
            }
            Value::ServerError(error) => Err(address.error_reply(&error).into()),
            reply => Ok(reply),
        }
    }
}

/// Appends a command for every so many ids.
fn push_with_ids(head: &[&[u8]], ids: &[Id], tail: &[&[u8]], out: &mut Vec<u8>) {
    for ids in ids.chunks(AT_ONCE) {
        let ids: Vec<_> = ids.iter().map(Id::to_string).collect();
        let ids = ids.iter().map(String::as_bytes);
        let words: Vec<_> = head.iter().copied().chain(ids).collect();
        push_command(&[&words, tail].concat(), out);
    }
}

/// Reads the reply to `XAUTOCLAIM`: `[next, entries, ids that are gone]`, the last since Redis 7.
fn read_claim(reply: Value) -> Option<(Id, Delivered)> {
    let mut items = reply.into_sequence().ok()?.into_iter();
    let next = from_redis_value(items.next()?).ok()?;
    let mut delivered = read_entries(items.next()?)?;
    let gone = items.next().map(from_redis_value::<Vec<Id>>);
    delivered
        .gone
        .extend(gone.transpose().ok()?.unwrap_or_default());
    Some((next, delivered))
}
