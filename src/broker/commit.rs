//! Exactly once: a batch and the position that it leads to are one Redis transaction, a compare-and-set of the
//! source's commit record.
//!
//! A session takes the record over before it sends anything. A predecessor's last transaction may still lie unread in
//! a socket: it was built on the record as it was, so Redis either ran it before the take-over, which then sees it, or
//! refuses it afterwards because the watched key has changed. So what the take-over reads is the truth.
//!
//! `send` writes a batch without its `EXEC`, `execute` lets it go, `finish` reads what came of it; so the next batch
//! can be sent while this one executes. After any error the session is dropped, and with it all that was not executed.

use redis::{Connection, ServerError, Value};

use super::encode::{Batch, push_command};
use super::{Address, Failure};
use crate::cli::{Delivery, Mode};
use crate::error::{Error, Result};
use crate::fault;
use crate::position::Progress;

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
    address: Address,
    connection: Connection,
    mode: Mode,
    delivery: Delivery,
    /// Told apart from every other session's, so that a record tells who wrote it.
    token: String,
    out: Vec<u8>,
}

/// Give up on a take-over when others keep changing the record.
const TAKE_OVERS: usize = 100;

impl Session {
    pub fn open(address: &Address, mode: Mode, delivery: Delivery) -> Result<Session, Failure> {
        let connection = address.connect()?;
        let token = format!("{:016x}", fastrand::u64(..));
        Ok(Session {
            address: address.clone(),
            connection,
            mode,
            delivery,
            token,
            out: Vec::new(),
        })
    }

    /// The record's value for a progress.
    pub fn record(&self, progress: &Progress, path: &std::path::Path) -> Vec<u8> {
        let mut value = Vec::new();
        progress.write_text(path, &mut value);
        value.extend_from_slice(self.token.as_bytes());
        value.push(b'\n');
        value
    }

    /// Makes the record this session's own. `choose` gets what stands there, and says where to go on from;
    /// `path` is the source's. Returns that, and the record's new value.
    pub fn take_over(
        &mut self,
        key: &str,
        path: &std::path::Path,
        choose: &dyn Fn(Option<&Progress>) -> Progress,
    ) -> Result<(Progress, Vec<u8>), Failure> {
        for _ in 0..TAKE_OVERS {
            self.ask(&[b"WATCH", key.as_bytes()])?;
            let stored = self.ask_for_any(&[b"GET", key.as_bytes()])?;
            let stored = match stored {
                Value::ServerError(error) if error.code() != "WRONGTYPE" => {
                    return Err(self.address.server_failure(&error));
                }
                stored => parse_record(key, stored).map_err(Failure::Fatal)?,
            };
            let progress = choose(stored.as_ref());
            let value = self.record(&progress, path);
            if self.set_watched(key, &value)? {
                return Ok((progress, value));
            }
        }
        Err(Failure::Wait(format!(
            "redis {}: others keep changing {key}",
            self.address
        )))
    }

    /// Sets a watched key; false: it has changed in between.
    fn set_watched(&mut self, key: &str, value: &[u8]) -> Result<bool, Failure> {
        self.ask(&[b"MULTI"])?;
        self.ask(&[b"SET", key.as_bytes(), value])?;
        Ok(self.ask(&[b"EXEC"])? != Value::Nil)
    }

    /// Sends a batch. With exactly-once delivery nothing of it takes effect before `execute`.
    pub fn send(&mut self, batch: &mut Batch, claim: &Claim) -> Result<(), Failure> {
        fault::point("before-send");
        if self.delivery == Delivery::AtLeastOnce {
            return self.write(&batch.commands);
        }
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        push_command(&[b"WATCH", claim.key.as_bytes()], &mut out);
        push_command(&[b"GET", claim.key.as_bytes()], &mut out);
        for key in &batch.keys {
            push_command(&[b"TYPE", key], &mut out);
        }
        push_command(&[b"MULTI"], &mut out);
        let sent = self.write(&out);
        self.out = out;
        sent?;
        let length = batch.commands.len();
        push_command(
            &[b"SET", claim.key.as_bytes(), &claim.after],
            &mut batch.commands,
        );
        let sent = self.write(&batch.commands);
        batch.commands.truncate(length);
        sent
    }

    /// Lets a sent batch take effect, if the record is still ours and every key is of the right type.
    pub fn execute(&mut self, batch: &Batch, claim: &Claim) -> Result<(), Failure> {
        if self.delivery == Delivery::AtLeastOnce {
            return Ok(());
        }
        self.expect_ok()?;
        let stored = self.reply()?;
        for key in &batch.keys {
            let found = self.reply()?;
            self.check_type(key, &found)?;
        }
        self.expect_ok()?;
        if stored != Value::BulkString(claim.before.clone()) {
            return Err(self.lost_turn(&claim.key));
        }
        fault::point("before-exec");
        self.write(b"*1\r\n$4\r\nEXEC\r\n")?;
        fault::point("between-send-and-reply");
        Ok(())
    }

    /// Reads what came of a batch. Returns how many of its lines reached no subscriber (`pubsub`).
    pub fn finish(&mut self, batch: &Batch, claim: &Claim) -> Result<u64, Failure> {
        let mut refused = None;
        let mut unheard = 0;
        if self.delivery == Delivery::AtLeastOnce {
            for _ in 0..batch.lines {
                let reply = self.reply_or_error()?;
                self.take_line_reply(reply, &mut unheard, &mut refused);
            }
        } else {
            for _ in 0..=batch.lines {
                match self.reply_or_error()? {
                    Value::SimpleString(_) => {}
                    Value::ServerError(error) => _ = refused.get_or_insert(error),
                    other => return Err(self.unexpected(&other)),
                }
            }
            match self.reply_or_error()? {
                Value::Nil => return Err(self.lost_turn(&claim.key)),
                Value::ServerError(error) => _ = refused.get_or_insert(error),
                Value::Array(replies) => {
                    for reply in replies {
                        self.take_line_reply(reply, &mut unheard, &mut refused);
                    }
                    if refused.is_some() {
                        self.undo(claim)?;
                    }
                }
                other => return Err(self.unexpected(&other)),
            }
        }
        fault::point("after-reply");
        match refused {
            Some(error) => Err(self.address.server_failure(&error)),
            None => Ok(unheard),
        }
    }

    fn take_line_reply(&self, reply: Value, unheard: &mut u64, refused: &mut Option<ServerError>) {
        match reply {
            Value::Int(0) if self.mode == Mode::Pubsub => *unheard += 1,
            Value::ServerError(error) => _ = refused.get_or_insert(error),
            _ => {}
        }
    }

    /// A command failed inside `EXEC`, which does not undo its neighbours: the record must not stand past its line.
    fn undo(&mut self, claim: &Claim) -> Result<(), Failure> {
        self.ask(&[b"WATCH", claim.key.as_bytes()])?;
        if self.ask(&[b"GET", claim.key.as_bytes()])? == Value::BulkString(claim.after.clone()) {
            self.set_watched(&claim.key, &claim.before)?;
        }
        Ok(())
    }

    /// Removes a source's record.
    pub fn forget(&mut self, key: &str) -> Result<(), Failure> {
        self.ask(&[b"DEL", key.as_bytes()]).map(drop)
    }

    /// A wrong type is looked for beforehand, as Redis itself tells of it only after it has run the neighbours.
    fn check_type(&self, key: &[u8], found: &Value) -> Result<(), Failure> {
        let wanted = if self.mode == Mode::Stream {
            "stream"
        } else {
            "list"
        };
        match found {
            Value::SimpleString(kind) if kind == wanted || kind == "none" => Ok(()),
            Value::SimpleString(kind) => {
                let key = String::from_utf8_lossy(key);
                Err(self.address.refusal(
                    "WRONGTYPE",
                    &format!("the key {key} holds a {kind}, not a {wanted}"),
                ))
            }
            other => Err(self.unexpected(other)),
        }
    }

    fn lost_turn(&self, key: &str) -> Failure {
        Failure::Wait(format!(
            "redis {}: another watcher has taken over {key}",
            self.address
        ))
    }

    fn unexpected(&self, reply: &Value) -> Failure {
        Failure::Wait(format!(
            "redis {}: an unexpected reply: {reply:?}",
            self.address
        ))
    }

    /// One command and its reply; an error reply is a failure.
    fn ask(&mut self, arguments: &[&[u8]]) -> Result<Value, Failure> {
        match self.ask_for_any(arguments)? {
            Value::ServerError(error) => Err(self.address.server_failure(&error)),
            value => Ok(value),
        }
    }

    /// One command and its reply; an error reply is a value like another.
    fn ask_for_any(&mut self, arguments: &[&[u8]]) -> Result<Value, Failure> {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        push_command(arguments, &mut out);
        let sent = self.write(&out);
        self.out = out;
        sent?;
        self.reply_or_error()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.connection
            .send_packed_command(bytes)
            .map_err(|error| self.address.failure(&error))
    }

    fn expect_ok(&mut self) -> Result<(), Failure> {
        match self.reply()? {
            Value::Okay => Ok(()),
            other => Err(self.unexpected(&other)),
        }
    }

    fn reply(&mut self) -> Result<Value, Failure> {
        match self.reply_or_error()? {
            Value::ServerError(error) => Err(self.address.server_failure(&error)),
            value => Ok(value),
        }
    }

    /// The next reply; an error reply is a value like another.
    fn reply_or_error(&mut self) -> Result<Value, Failure> {
        self.connection
            .recv_response()
            .map_err(|error| self.address.failure(&error))
    }
}

/// Reads a source's record without touching it.
pub fn read_record(address: &Address, key: &str) -> Result<Option<Progress>, Failure> {
    let stored = redis::cmd("GET")
        .arg(key)
        .query(&mut address.connect()?)
        .map_err(|error| address.failure(&error))?;
    parse_record(key, stored).map_err(Failure::Fatal)
}

fn parse_record(key: &str, stored: Value) -> Result<Option<Progress>> {
    let fail = |cause: &str| {
        let way_out =
            "delete the key, or run watch with --reset, to go on from the checkpoint or --from";
        Error::Failed(format!(
            "read commit record {key}: malformed: {cause}; {way_out}"
        ))
    };
    let value = match stored {
        Value::Nil => return Ok(None),
        Value::BulkString(value) => value,
        _ => return Err(fail("not a string")),
    };
    // The last line is the session's token.
    let body = value.strip_suffix(b"\n").unwrap_or(&value);
    let text = body
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map(|newline| &body[..=newline]);
    let text = text.ok_or_else(|| fail("it has no session token"))?;
    Progress::parse(text)
        .map(|(progress, _)| Some(progress))
        .map_err(|cause| fail(&cause))
}
