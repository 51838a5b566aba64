//! Reads a stream as one who is in no group: everything, from an id on.

use std::time::Duration;

use redis::Value;

use super::connection::Connection;
use super::encode::push_command;
use super::entry::{Delivered, Id, StreamEntry, read_streams};
use super::extent::{Extent, push_look};
use super::{Address, Failure};
use crate::error::Error;

/// What Redis calls us.
pub const NAME: &str = "tailcast-subscribe";

/// A connection that reads one stream.
pub struct Reading {
    connection: Connection,
    key: Vec<u8>,
    /// The answers that are still to come: the id behind which each begins.
    asked: Vec<Id>,
}

/// Entries of one look are kept up to so many bytes of lines; the rest is asked for again.
const LOOK_BYTES: usize = 4 * 1024 * 1024;

impl Reading {
    pub fn open(address: &Address, key: &[u8]) -> Result<Reading, Failure> {
        Ok(Reading {
            connection: Connection::open(address, NAME, None)?,
            key: key.to_vec(),
            asked: Vec::new(),
        })
    }

    /// The stream as it is now. None: there is none.
    pub fn look(&mut self) -> Result<Option<Extent>, Failure> {
        look(&mut self.connection, &self.key, None)
    }

    /// Asks for at most `entries` behind an id, `count` in an answer; where there are none, for the next, as long as `wait`
    /// says. And what the stream is then: in one write, so that Redis does all of it at once.
    ///
    /// A second answer needs the last id of the first. The entries of a transaction are numbered one by one, so it is asked
    /// for behind the id that is likely: reading 4 entries a round trip takes three times as long.
    pub fn ask(
        &mut self,
        after: Id,
        entries: usize,
        count: usize,
        wait: Duration,
    ) -> Result<(), Failure> {
        let (mut start, mut wait, mut out) = (after, Some(wait), Vec::new());
        for asked in (0..entries).step_by(count) {
            let (count, after) = (count.min(entries - asked), start.to_string());
            push_read(&[b"XREAD"], count, wait.take(), &self.key, &after, &mut out);
            self.asked.push(start);
            start.seq = start.seq.saturating_add(count as u64);
        }
        push_look(&self.key, &mut out);
        self.connection.write(&out)
    }

    /// What was asked for. An answer counts where it begins at the end of those before it.
    pub fn delivered(&mut self) -> Result<(Vec<StreamEntry>, Option<Extent>), Failure> {
        let mut entries: Vec<StreamEntry> = Vec::new();
        let (mut bytes, mut end) = (0, self.asked.first().copied());
        for start in self.asked.drain(..) {
            let reply = self.connection.reply()?;
            let more = delivered(&self.connection, &self.key, reply)?.entries;
            if Some(start) == end && bytes < LOOK_BYTES {
                let lines = more.iter().flat_map(|entry| &entry.line);
                bytes += lines.map(Vec::len).sum::<usize>();
                end = more.last().map(|entry| entry.id);
                entries.extend(more);
            }
        }
        Ok((entries, read_look(&mut self.connection, &self.key, None)?))
    }
}

/// Appends an `XREAD` or `XREADGROUP` of one stream.
pub fn push_read(
    head: &[&[u8]],
    count: usize,
    wait: Option<Duration>,
    key: &[u8],
    after: &str,
    out: &mut Vec<u8>,
) {
    let count = count.to_string();
    // To Redis no time at all is for ever.
    let wait = wait.map(|wait| wait.as_millis().max(1).to_string());
    let mut words = head.to_vec();
    words.extend([b"COUNT", count.as_bytes()]);
    if let Some(wait) = &wait {
        words.extend([b"BLOCK", wait.as_bytes()]);
    }
    words.extend([b"STREAMS", key, after.as_bytes()]);
    push_command(&words, out);
}

/// What a reply hands out.
pub fn delivered(connection: &Connection, key: &[u8], reply: Value) -> Result<Delivered, Failure> {
    if let Value::ServerError(error) = &reply {
        return Err(match error.code() {
            "WRONGTYPE" => wrong_type(connection.address(), key, "stream", "list"),
            // It was removed while it was waited for.
            "UNBLOCKED" => Failure::Wait(format!(
                "redis {}: the stream {} is gone",
                connection.address(),
                key.escape_ascii()
            )),
            _ => connection.address().error_reply(error),
        });
    }
    read_streams(reply).ok_or_else(|| odd(connection, "entries of a stream"))
}

/// A reply that is not what was asked for.
pub fn odd(connection: &Connection, wanted: &str) -> Failure {
    let address = connection.address();
    Failure::Wait(format!("redis {address}: the reply does not hold {wanted}"))
}

pub fn wrong_type(address: &Address, key: &[u8], wanted: &str, other: &str) -> Failure {
    let key = key.escape_ascii();
    Failure::Fatal(Error::Failed(format!(
        "redis {address}: {key} is not a {wanted}: name another key, or read it with --mode {other} where that is how \
         watch sends"
    )))
}

/// A stream, and how far a group of it is. None: there is no such stream.
pub fn look(
    connection: &mut Connection,
    key: &[u8],
    group: Option<&str>,
) -> Result<Option<Extent>, Failure> {
    let mut out = Vec::new();
    push_look(key, &mut out);
    connection.write(&out)?;
    read_look(connection, key, group)
}

/// The reply to `push_look`.
pub fn read_look(
    connection: &mut Connection,
    key: &[u8],
    group: Option<&str>,
) -> Result<Option<Extent>, Failure> {
    match connection.reply()? {
        Value::ServerError(error) if error.details() == Some("no such key") => Ok(None),
        Value::ServerError(error) if error.code() == "WRONGTYPE" => {
            Err(wrong_type(connection.address(), key, "stream", "list"))
        }
        Value::ServerError(error) => Err(connection.address().error_reply(&error)),
        reply => Extent::read(reply, group)
            .map(Some)
            .ok_or_else(|| odd(connection, "what the stream is")),
    }
}
