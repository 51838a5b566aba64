//! Take-overs: a session makes sources' commit records its own before it sends anything of them.
//!
//! A predecessor's last transaction may still lie unread in a socket: it was built on the record as it was, so Redis
//! either ran it before the take-over, which then sees it, or refuses it afterwards because the watched key has changed.
//! So what the take-over reads is the truth.

use std::path::Path;

use redis::Value;

use super::commit::Session;
use super::connection::Connection;
use super::encode::push_command;
use super::record::{self, Record, RecordSlot};
use super::{Address, Failure, cluster};
use crate::cli::Delivery;
use crate::error::Result;
use crate::position::{Dates, Progress};

/// Gets what stands in a record, and says where to go on from; an error keeps the record as it is.
type Choice<'s> = dyn Fn(Option<&Record>) -> Result<Chosen> + 's;

/// A progress, and when it was true, as far as anybody knows.
pub type Chosen = (Progress, Option<Dates>);

/// A source whose record a session makes its own.
pub struct TakeOver<'s> {
    pub key: &'s str,
    /// The log's.
    pub path: &'s Path,
    pub choose: Box<Choice<'s>>,
}

/// Where a source goes on from, and its record's new value; an error is the source's alone.
pub type TakenOver = Result<(Chosen, Vec<u8>)>;

/// Give up on a take-over when others keep changing the record.
const TAKE_OVERS: usize = 100;

impl Session {
    /// Makes the records of these sources this session's own, in two round trips for all of them. Nothing may be in
    /// flight. Without exactly-once delivery there is no record: what an earlier watcher left is removed, so that it
    /// does not count again when it is outdated.
    pub fn take_over(&mut self, sources: &[TakeOver<'_>]) -> Result<Vec<TakenOver>, Failure> {
        if self.delivery == Delivery::AtLeastOnce {
            return self.take_over_without_records(sources);
        }
        if let Some(taken) = self.try_take_over(sources)? {
            return Ok(taken);
        }
        // Somebody has changed one of the records in between. Which one is seen when each is taken over by itself.
        let mut all = Vec::with_capacity(sources.len());
        for source in sources {
            all.extend(self.take_over_one(source)?);
        }
        Ok(all)
    }

    fn take_over_one(&mut self, source: &TakeOver<'_>) -> Result<Vec<TakenOver>, Failure> {
        for _ in 0..TAKE_OVERS {
            if let Some(taken) = self.try_take_over(std::slice::from_ref(source))? {
                return Ok(taken);
            }
        }
        Err(Failure::Wait(format!(
            "redis {}: others keep changing {}",
            self.address, source.key
        )))
    }

    /// None: one of the records has changed in between, and all are as they were.
    fn try_take_over(
        &mut self,
        sources: &[TakeOver<'_>],
    ) -> Result<Option<Vec<TakenOver>>, Failure> {
        let mut out = Vec::new();
        let keys = sources.iter().map(|source| source.key.as_bytes());
        let watch: Vec<_> = std::iter::once(b"WATCH".as_slice()).chain(keys).collect();
        push_command(&watch, &mut out);
        push_gets(sources.iter().map(|source| source.key), &mut out);
        self.connection.write(&out)?;
        self.connection.expect_ok()?;
        let chosen = self.choose(sources)?;
        let taken: Vec<TakenOver> = chosen
            .into_iter()
            .zip(sources)
            .map(|(chosen, source)| {
                chosen.map(|(_, (progress, dates))| {
                    let value = self.record(&progress, dates, source.path);
                    ((progress, dates), value)
                })
            })
            .collect();
        let values = taken.iter().zip(sources).filter_map(|(taken, source)| {
            let (_, value) = taken.as_ref().ok()?;
            Some((source.key, value.as_slice()))
        });
        let is_set = set_watched(&mut self.connection, &values.collect::<Vec<_>>())?;
        Ok(is_set.then_some(taken))
    }

    fn take_over_without_records(
        &mut self,
        sources: &[TakeOver<'_>],
    ) -> Result<Vec<TakenOver>, Failure> {
        let mut out = Vec::new();
        push_gets(sources.iter().map(|source| source.key), &mut out);
        self.connection.write(&out)?;
        let chosen = self.choose(sources)?;
        let outdated = chosen.iter().zip(sources).filter_map(|(chosen, source)| {
            let is_there = chosen.as_ref().is_ok_and(|(is_there, _)| *is_there);
            is_there.then_some(source.key)
        });
        self.forget(&outdated.collect::<Vec<_>>())?;
        let taken = chosen.into_iter().map(|chosen| {
            let (_, chosen) = chosen?;
            Ok((chosen, Vec::new()))
        });
        Ok(taken.collect())
    }

    /// Reads the replies to a `GET` of each record: whether it is there, and where to go on from.
    fn choose(&mut self, sources: &[TakeOver<'_>]) -> Result<Vec<Result<(bool, Chosen)>>, Failure> {
        let mut chosen = Vec::with_capacity(sources.len());
        for source in sources {
            let stored = read_reply(&mut self.connection, source.key)?;
            let choice =
                stored.and_then(|record| Ok((record.is_some(), (source.choose)(record.as_ref())?)));
            chosen.push(choice);
        }
        Ok(chosen)
    }

    /// The highest generation that records know. Nothing may be in flight.
    pub fn highest_generation(&mut self, keys: &[String]) -> Result<u64, Failure> {
        let records = read_all(&mut self.connection, keys)?;
        // What is no record knows none.
        let known = records.into_iter().filter_map(|record| record.ok()?);
        let highest = known.map(|record| record.progress.current.generation).max();
        Ok(highest.unwrap_or_default())
    }

    /// Removes records. Nothing may be in flight.
    pub fn forget(&mut self, keys: &[&str]) -> Result<(), Failure> {
        let mut out = Vec::new();
        for key in keys {
            push_command(&[b"DEL", key.as_bytes()], &mut out);
        }
        self.connection.write(&out)?;
        let mut failed = None;
        for _ in keys {
            if let Value::ServerError(error) = self.connection.reply()? {
                failed.get_or_insert(self.connection.address().error_reply(&error));
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Sets watched keys; false: one has changed in between, and none is set.
pub fn set_watched(connection: &mut Connection, values: &[(&str, &[u8])]) -> Result<bool, Failure> {
    let sets = values.iter();
    let sets: Vec<_> = sets
        .map(|(key, value)| [b"SET", key.as_bytes(), value])
        .collect();
    Ok(connection.transact(&sets)?.is_some())
}

/// What Redis calls who only looks.
pub(super) const READER: &str = "tailcast-status";
/// How many records are asked for at once: a command that is neither short nor held up.
const AT_ONCE: usize = 500;

/// Reads sources' records without touching them; in a cluster where the watchers of pub/sub keep them, and those of this
/// target. An error inside is that source's alone.
pub fn read_records(
    address: &Address,
    sources: &[String],
    target: &str,
) -> Result<Vec<Result<Option<Record>>>, Failure> {
    let mut connection = Connection::open(address, READER, None)?;
    let mut furthest: Vec<_> = sources.iter().map(|_| Ok(None)).collect();
    for place in slots(&connection, target) {
        let keys = sources.iter().map(|source| record::key_of(source, &place));
        let keys: Vec<_> = keys.collect();
        let read = |connection: &mut Connection| read_all(connection, &keys);
        let records = cluster::ask_where_they_are(&mut connection, read)?;
        let both = furthest.into_iter().zip(records);
        furthest = both.map(|(one, other)| Ok(later(one?, other?))).collect();
    }
    Ok(furthest)
}

/// Removes a source's records, from where they are read.
pub fn forget_records(address: &Address, source: &str, target: &str) -> Result<(), Failure> {
    let mut connection = Connection::open(address, READER, None)?;
    for place in slots(&connection, target) {
        let key = record::key_of(source, &place);
        cluster::ask_where_they_are(&mut connection, |connection| {
            connection.ask(&[b"DEL", key.as_bytes()])
        })?;
    }
    Ok(())
}

fn slots(connection: &Connection, target: &str) -> Vec<RecordSlot> {
    if !connection.is_cluster() {
        return vec![RecordSlot::Alone];
    }
    let of_target = cluster::tag_of(target).map(RecordSlot::WithTarget);
    std::iter::once(RecordSlot::WithHost)
        .chain(of_target)
        .collect()
}

fn later(one: Option<Record>, other: Option<Record>) -> Option<Record> {
    match (one, other) {
        (Some(one), Some(other)) => {
            let is_later = one.progress.later(&other.progress) == one.progress;
            Some(if is_later { one } else { other })
        }
        (one, other) => one.or(other),
    }
}

pub fn read_all(
    connection: &mut Connection,
    keys: &[String],
) -> Result<Vec<Result<Option<Record>>>, Failure> {
    let mut records = Vec::with_capacity(keys.len());
    for keys in keys.chunks(AT_ONCE) {
        let mut out = Vec::new();
        push_gets(keys.iter().map(String::as_str), &mut out);
        connection.write(&out)?;
        for key in keys {
            records.push(read_reply(connection, key)?);
        }
    }
    Ok(records)
}

fn push_gets<'k>(keys: impl Iterator<Item = &'k str>, out: &mut Vec<u8>) {
    for key in keys {
        push_command(&[b"GET", key.as_bytes()], out);
    }
}

/// Reads the reply to a record's `GET`. The inner error: what stands there is no record.
fn read_reply(connection: &mut Connection, key: &str) -> Result<Result<Option<Record>>, Failure> {
    let stored = match connection.reply()? {
        Value::Nil => return Ok(Ok(None)),
        Value::BulkString(stored) => Some(stored),
        Value::ServerError(error) if error.code() == "WRONGTYPE" => None,
        other => return Err(connection.address().unexpected(&other)),
    };
    Ok(Record::parse(key, stored.as_deref()).map(Some))
}
