//! Exactly once: a batch and the position that it leads to are one Redis transaction, a compare-and-set of the
//! source's commit record.
//!
//! A session takes the record over (`take_over`) before it sends anything.
//!
//! `send` writes a batch without its `EXEC`, `check` sees that it may go, `execute` lets it, `finish` reads what came of
//! it; so the next batch can be sent while this one executes. After any error the session is dropped, and with it all
//! that was not executed.

use std::path::Path;
use std::time::Instant;

use redis::Value;

use super::audience::{self, LIST, Subscriber};
use super::connection::Connection;
use super::encode::{Batch, push_command};
use super::record::{self, RecordSlot};
use super::take_over::set_watched;
use super::{Address, Failure, Refusal, cluster};
use crate::cli::{self, Delivery, Mode};
use crate::error::{Error, Result};
use crate::fault;
use crate::position::{Dates, Progress};
use crate::route::Route;
use crate::talk;

/// What a batch makes of its source's commit record.
#[derive(Debug, Clone)]
pub struct Claim {
    pub key: String,
    /// What it must be: what this session wrote last.
    pub before: Vec<u8>,
    /// What it becomes.
    pub after: Vec<u8>,
}

/// A connection that publishes, from its first take-over to its first error.
pub struct Session {
    pub(super) address: Address,
    pub(super) connection: Connection,
    pub(super) mode: Mode,
    pub(super) delivery: Delivery,
    place: RecordSlot,
    /// Whether a line's own type names the key that it goes to.
    is_typed: bool,
    /// After how many bytes to look at who listens; None: it does not matter.
    look_after: Option<usize>,
    /// Bytes sent since the last look.
    unlooked: usize,
    /// Told apart from every other session's, so that a record tells who wrote it.
    token: String,
    /// The name of our state directory, by which a record tells what host wrote it.
    home: u64,
    out: Vec<u8>,
}

/// What Redis calls us.
const NAME: &str = "tailcast-watch";
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";

impl Session {
    /// Nothing that it does lasts beyond `deadline`, where there is one.
    pub fn open(
        address: &Address,
        options: &cli::Watch,
        home: u64,
        deadline: Option<Instant>,
    ) -> Result<Session, Failure> {
        let token = format!("{:016x}", fastrand::u64(..));
        let connection = Connection::open(address, NAME, deadline)?;
        Ok(Session {
            address: address.clone(),
            place: place(&connection, options)?,
            connection,
            mode: options.mode,
            delivery: options.delivery,
            is_typed: options.mode != Mode::Pubsub && Route::new(&options.target, "").is_typed(),
            look_after: look_after(options),
            // The first batch of a session asks.
            unlooked: usize::MAX,
            token,
            home,
            out: Vec::new(),
        })
    }

    pub fn set_deadline(&mut self, deadline: Option<Instant>) -> Result<(), Failure> {
        self.connection.set_deadline(deadline)
    }

    /// The key of a source's record.
    pub fn key_of(&self, source: &str) -> String {
        record::key_of(source, &self.place)
    }

    /// The record's value for a progress.
    pub fn record(&self, progress: &Progress, dates: Option<Dates>, path: &Path) -> Vec<u8> {
        record::write(progress, dates, path, &self.token, self.mode, self.home)
    }

    /// Sends a batch. With exactly-once delivery, or where it depends on who listens or on whether there is room, nothing of
    /// it takes effect before `execute`.
    pub fn send(&mut self, batch: &mut Batch, claim: &Claim) -> Result<(), Failure> {
        fault::point("before-send");
        batch.seal();
        batch.asks_who_listens = self.is_look_due(batch.len());
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        if batch.asks_who_listens {
            out.extend_from_slice(LIST);
        }
        let sent = match self.delivery {
            Delivery::AtLeastOnce if batch.is_held() => self.connection.write(&out),
            Delivery::AtLeastOnce => self.connection.write(&batch.commands),
            Delivery::ExactlyOnce => self.send_transaction(&mut out, batch, claim),
        };
        self.out = out;
        sent
    }

    fn is_look_due(&mut self, bytes: usize) -> bool {
        self.unlooked = self.unlooked.saturating_add(bytes);
        let is_due = self.look_after.is_some_and(|limit| self.unlooked > limit);
        if is_due {
            self.unlooked = 0;
        }
        is_due
    }

    fn send_transaction(
        &mut self,
        out: &mut Vec<u8>,
        batch: &mut Batch,
        claim: &Claim,
    ) -> Result<(), Failure> {
        push_command(&[b"WATCH", claim.key.as_bytes()], out);
        push_command(&[b"GET", claim.key.as_bytes()], out);
        for key in &batch.keys {
            push_command(&[b"TYPE", &key.name], out);
        }
        push_command(&[b"MULTI"], out);
        self.connection.write(out)?;
        let length = batch.commands.len();
        push_command(
            &[b"SET", claim.key.as_bytes(), &claim.after],
            &mut batch.commands,
        );
        let sent = self.connection.write(&batch.commands);
        batch.commands.truncate(length);
        sent
    }

    /// Sees that a sent batch may take effect: the record is still ours, and every key is of the right type. Returns who
    /// listens, where that was asked.
    pub fn check(
        &mut self,
        batch: &Batch,
        claim: &Claim,
    ) -> Result<Option<Vec<Subscriber>>, Failure> {
        let audience = if batch.asks_who_listens {
            self.read_audience()?
        } else {
            None
        };
        if self.delivery == Delivery::AtLeastOnce {
            return Ok(audience);
        }
        self.connection.expect_ok()?;
        let is_ours = match self.connection.reply()? {
            Value::BulkString(stored) => stored == claim.before,
            Value::Nil => return Err(self.record_is_gone(&claim.key)),
            other => return Err(self.address.unexpected(&other)),
        };
        for key in &batch.keys {
            self.expect_type(&key.name)?;
        }
        self.connection.expect_ok()?;
        if !is_ours {
            return Err(self.lost_turn(&claim.key));
        }
        Ok(audience)
    }

    /// None: the user may not ask.
    fn read_audience(&mut self) -> Result<Option<Vec<Subscriber>>, Failure> {
        let reply = self.connection.reply()?;
        let is_denied = matches!(&reply, Value::ServerError(error) if error.code() == "NOPERM");
        match audience::read(&reply) {
            None if is_denied && self.look_after > Some(0) => {
                let why = self.address.unexpected(&reply);
                talk::detail(&format!("{why}; slow subscribers are not waited for"));
                self.look_after = None;
                Ok(None)
            }
            None if is_denied => Err(Failure::Fatal(Error::Failed(format!(
                "redis {}: --hold absent takes a user who may run CLIENT LIST (ACL SETUSER ... +client|list)",
                self.address
            )))),
            None => Err(self.address.unexpected(&reply)),
            audience => Ok(audience),
        }
    }

    /// Lets a batch that was checked take effect.
    pub fn execute(&mut self, batch: &Batch) -> Result<(), Failure> {
        match self.delivery {
            Delivery::AtLeastOnce if batch.is_held() => self.connection.write(&batch.commands),
            Delivery::AtLeastOnce => Ok(()),
            Delivery::ExactlyOnce => {
                fault::point("before-exec");
                self.connection.write(EXEC)?;
                fault::point("between-send-and-reply");
                Ok(())
            }
        }
    }

    /// Whether Redis has closed the connection while a batch was sent. The replies to what it has read are still there.
    pub fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    /// Why it has closed the connection, where it said so behind those replies.
    pub fn last_word(&mut self) -> Option<Failure> {
        self.connection.last_word()
    }

    /// Reads what came of a batch.
    pub fn finish(&mut self, batch: &Batch, claim: &Claim) -> Result<Arrived, Failure> {
        let outcome = match self.delivery {
            Delivery::AtLeastOnce => self.count_replies(batch)?,
            Delivery::ExactlyOnce => self.finish_transaction(batch, claim)?,
        };
        fault::point("after-reply");
        match outcome.refused {
            Some(failure) => Err(failure),
            None => Ok(outcome.arrived),
        }
    }

    fn finish_transaction(&mut self, batch: &Batch, claim: &Claim) -> Result<Outcome, Failure> {
        // The lines, and the record.
        let commands = batch.replies(self.mode) + 1;
        let mut outcome = Outcome::default();
        for _ in 0..commands {
            match self.connection.reply()? {
                Value::SimpleString(word) if word == "QUEUED" => {}
                other => outcome.refuse(self.address.unexpected(&other)),
            }
            if outcome.is_too_long() {
                return Ok(outcome);
            }
        }
        match self.connection.reply()? {
            Value::Array(replies) if replies.len() == commands => {
                outcome = Outcome::default();
                for (index, reply) in replies.into_iter().enumerate() {
                    self.count(batch, index, &reply, &mut outcome);
                }
                outcome.refused = outcome.refused.map(|why| self.undone(why, claim));
            }
            Value::Nil => return Err(self.lost_turn(&claim.key)),
            other => outcome.refuse(self.address.unexpected(&other)),
        }
        Ok(outcome)
    }

    /// The replies of commands that are executed one by one.
    fn count_replies(&mut self, batch: &Batch) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::default();
        for index in 0..batch.replies(self.mode) {
            let reply = self.connection.reply()?;
            self.count(batch, index, &reply, &mut outcome);
            if outcome.is_too_long() {
                break;
            }
        }
        Ok(outcome)
    }

    /// The reply to a batch's command of this index.
    fn count(&self, batch: &Batch, index: usize, reply: &Value, outcome: &mut Outcome) {
        match reply {
            // A node of a cluster counts its own subscribers only.
            Value::Int(0) if self.mode == Mode::Pubsub && self.place == RecordSlot::Alone => {
                outcome.arrived.unheard += 1;
            }
            // Of several lists no batch tells of all.
            Value::Int(length) if self.mode == Mode::List && !self.is_typed => {
                outcome.arrived.backlog = u64::try_from(*length).ok();
            }
            Value::ServerError(error) if error.code() == "WRONGTYPE" => {
                let why = error.details().unwrap_or_default();
                outcome.refuse(self.wrong_type(&batch.target(index), why));
            }
            Value::ServerError(error) => outcome.refuse(self.address.error_reply(error)),
            _ => {}
        }
    }

    /// Why a line was refused; if the record cannot be set back before it, that ends the watcher, and is said.
    fn undone(&self, refused: Failure, claim: &Claim) -> Failure {
        let Err(because) = self.undo(claim) else {
            return refused;
        };
        Failure::Fatal(Error::Failed(format!(
            "{refused}; and commit record {} stands behind lines that were not published, as it could not be set back: \
             {because}",
            claim.key
        )))
    }

    /// A command failed inside `EXEC`, which does not undo its neighbours: the record must not stand past its line.
    ///
    /// On a connection of its own, as on this one the next batch is under way.
    fn undo(&self, claim: &Claim) -> Result<(), Failure> {
        let mut connection = Connection::open(&self.address, NAME, None)?;
        let key = claim.key.as_bytes();
        connection.ask(&[b"WATCH", key])?;
        if connection.ask(&[b"GET", key])? == Value::BulkString(claim.after.clone()) {
            set_watched(&mut connection, &[(&claim.key, &claim.before)])?;
        }
        Ok(())
    }

    /// A wrong type is looked for beforehand, as Redis itself tells of it only after it has run the neighbours.
    fn expect_type(&mut self, key: &[u8]) -> Result<(), Failure> {
        let wanted = self.mode.word();
        match self.connection.reply()? {
            Value::SimpleString(kind) if kind == wanted || kind == "none" => Ok(()),
            Value::SimpleString(kind) => {
                Err(self.wrong_type(key, &format!("it holds a {kind}, not a {wanted}")))
            }
            other => Err(self.address.unexpected(&other)),
        }
    }

    fn wrong_type(&self, key: &[u8], why: &str) -> Failure {
        let detail = format!("for the key {}: {why}", String::from_utf8_lossy(key));
        match self.address.refusal("WRONGTYPE", &detail) {
            // Whoever logs a line chooses its type: no reason to stop the others.
            _ if self.is_typed => Failure::Refused {
                what: Refusal::Key(key.to_vec()),
                why: format!("redis {}: WRONGTYPE {detail}", self.address),
            },
            failure => failure,
        }
    }

    fn lost_turn(&self, key: &str) -> Failure {
        Failure::LostTurn(format!(
            "redis {}: another watcher has taken over {key}; nothing is lost, taking turns with it",
            self.address
        ))
    }

    fn record_is_gone(&self, key: &str) -> Failure {
        Failure::LostTurn(format!(
            "redis {}: commit record {key} is gone (deleted, flushed or evicted); \
             going on from the position that is known here",
            self.address
        ))
    }
}

/// Where the records are, so that one transaction can hold lines and record.
pub fn place(connection: &Connection, options: &cli::Watch) -> Result<RecordSlot, Failure> {
    if !connection.is_cluster() {
        return Ok(RecordSlot::Alone);
    }
    if options.mode == Mode::Pubsub {
        return Ok(RecordSlot::WithHost);
    }
    let target = &options.target;
    let tag = cluster::tag_of(target).ok_or_else(|| {
        Failure::Fatal(Error::Failed(format!(
            "redis {}: in a Redis Cluster all keys of a transaction are of one slot, and those of --target {target} are \
             not: put a hash tag into it, as in --target '{{logs}}:{{type}}', or leave {{type}} out",
            connection.address()
        )))
    })?;
    Ok(RecordSlot::WithTarget(tag))
}

/// How much is published between two looks at who listens.
const LOOK_AFTER: usize = 1024 * 1024;

fn look_after(options: &cli::Watch) -> Option<usize> {
    match options.hold {
        _ if options.mode != Mode::Pubsub => None,
        cli::Hold::Off => None,
        cli::Hold::Slow => Some(LOOK_AFTER),
        cli::Hold::Absent => Some(0),
    }
}

/// A batch that Redis has.
#[derive(Debug, Default)]
pub struct Arrived {
    /// Lines that reached no subscriber (`pubsub`).
    pub unheard: u64,
    /// How many entries wait in Redis behind it, where its replies tell (`list`, with one target).
    pub backlog: Option<u64>,
}

/// What came of a batch's commands.
#[derive(Default)]
struct Outcome {
    arrived: Arrived,
    /// Why the first one that Redis refused was refused.
    refused: Option<Failure>,
}

impl Outcome {
    fn refuse(&mut self, failure: Failure) {
        self.refused.get_or_insert(failure);
    }

    /// Behind this error Redis closes the connection.
    fn is_too_long(&self) -> bool {
        let what = Refusal::TooLong;
        matches!(&self.refused, Some(Failure::Refused { what: refused, .. }) if *refused == what)
    }
}
