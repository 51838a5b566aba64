//! Reads a stream as one consumer of a group: what it was given and has not acknowledged, what is new, and what others
//! were given and have left.
//!
//! Redis keeps, for each consumer, what it was given until that is acknowledged; so nothing is acknowledged here that
//! the caller does not name.

use std::fmt;
use std::time::Duration;

use redis::Value;

use super::connection::Connection;
use super::encode::push_command;
use super::entry::{Delivery, Id, read_entries, read_ids};
use super::reading::{NAME, delivered, last_id, odd, push_read};
use super::{Address, Failure};

/// Why a group did not do what it was asked to.
#[derive(Debug)]
pub enum Trouble {
    /// There is no such group, or not any more.
    NoGroup,
    Failure(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Failure(failure)
    }
}

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

    /// The id that the stream has given out last. None: there is no such stream.
    pub fn last_id(&mut self) -> Result<Option<Id>, Failure> {
        last_id(&mut self.connection, &self.consumer.key)
    }

    /// Makes the group, and the stream where there is none. It begins behind `start`; None: behind what is there now.
    /// Another consumer may have been quicker.
    pub fn make_group(&mut self, start: Option<Id>) -> Result<(), Failure> {
        let Consumer { key, group, .. } = &self.consumer;
        let start = start.map_or("$".into(), |start| start.to_string());
        let mut out = Vec::new();
        let words: [&[u8]; 6] = [
            b"XGROUP",
            b"CREATE",
            key,
            group.as_bytes(),
            start.as_bytes(),
            b"MKSTREAM",
        ];
        push_command(&words, &mut out);
        self.connection.write(&out)?;
        match self.connection.reply()? {
            Value::Okay => Ok(()),
            Value::ServerError(error) if error.code() == "BUSYGROUP" => Ok(()),
            other => Err(self.connection.address().unexpected(&other)),
        }
    }

    /// What this consumer was given behind an id, and has not acknowledged.
    pub fn pending(&mut self, after: Id, count: usize) -> Result<Delivery, Trouble> {
        let mut out = Vec::new();
        self.push_read(count, None, &after.to_string(), &mut out);
        self.connection.write(&out)?;
        self.read_delivery()
    }

    /// What nobody was given yet; where there is nothing, waits for it as long as `wait` says. Before, acknowledges, and
    /// looks from which id on the group still has something to acknowledge (None: nothing at all).
    pub fn next(
        &mut self,
        acks: &[Id],
        count: usize,
        wait: Option<Duration>,
    ) -> Result<(Option<Id>, Delivery), Trouble> {
        let mut out = Vec::new();
        self.push_acks(acks, &mut out);
        let Consumer { key, group, .. } = &self.consumer;
        push_command(&[b"XPENDING", key, group.as_bytes()], &mut out);
        self.push_read(count, wait, ">", &mut out);
        self.connection.write(&out)?;
        self.read_acks(acks)?;
        let reply = self.connection.reply()?;
        let delivery = self.read_delivery();
        let oldest = oldest_pending(&self.connection, self.expect_group(reply)?)?;
        Ok((oldest, delivery?))
    }

    /// Takes what was given to anybody so long ago, and was not acknowledged since; begins at an id. Returns where to go
    /// on, which is the start when it is through.
    pub fn claim(
        &mut self,
        idle: Duration,
        from: Id,
        count: usize,
    ) -> Result<(Id, Delivery), Trouble> {
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

    pub fn acknowledge(&mut self, ids: &[Id]) -> Result<(), Trouble> {
        let mut out = Vec::new();
        self.push_acks(ids, &mut out);
        self.connection.write(&out)?;
        self.read_acks(ids)
    }

    /// Lets the group know that this consumer still has these in hand, so that nobody else takes them.
    pub fn keep(&mut self, ids: &[Id]) -> Result<(), Trouble> {
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

    fn push_acks(&self, ids: &[Id], out: &mut Vec<u8>) {
        let Consumer { key, group, .. } = &self.consumer;
        push_with_ids(&[b"XACK", key, group.as_bytes()], ids, &[], out);
    }

    fn read_acks(&mut self, ids: &[Id]) -> Result<(), Trouble> {
        for _ in ids.chunks(AT_ONCE) {
            match self.connection.reply()? {
                Value::Int(_) => {}
                other => return Err(self.connection.address().unexpected(&other).into()),
            }
        }
        Ok(())
    }

    fn read_delivery(&mut self) -> Result<Delivery, Trouble> {
        let reply = self.connection.reply()?;
        let reply = self.expect_group(reply)?;
        Ok(delivered(&self.connection, &self.consumer.key, reply)?)
    }

    fn expect_group(&self, reply: Value) -> Result<Value, Trouble> {
        match reply {
            // The second, and `ERR`, where the whole stream was removed while it was waited for.
            Value::ServerError(error)
                if matches!(error.code(), "NOGROUP" | "UNBLOCKED")
                    || error.details() == Some("no such key") =>
            {
                Err(Trouble::NoGroup)
            }
            Value::ServerError(error) if error.code() != "WRONGTYPE" => {
                Err(self.connection.address().error_reply(&error).into())
            }
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

/// Reads the reply to `XPENDING`: `[count, first, last, consumers]`.
fn oldest_pending(connection: &Connection, reply: Value) -> Result<Option<Id>, Failure> {
    match reply {
        Value::Array(items) => match items.as_slice() {
            [Value::Int(0), ..] => Ok(None),
            [Value::Int(_), Value::BulkString(first), ..] => Ok(Id::parse(first)),
            _ => Err(odd(connection, "what is pending")),
        },
        _ => Err(odd(connection, "what is pending")),
    }
}

/// Reads the reply to `XAUTOCLAIM`: `[next, entries, ids that are gone]`, the last since Redis 7.
fn read_claim(reply: Value) -> Option<(Id, Delivery)> {
    let Value::Array(items) = reply else {
        return None;
    };
    let mut items = items.into_iter();
    let Value::BulkString(next) = items.next()? else {
        return None;
    };
    let mut delivery = read_entries(items.next()?)?;
    if let Some(gone) = items.next() {
        delivery.gone.extend(read_ids(&gone));
    }
    Some((Id::parse(&next)?, delivery))
}
