//! Exactly once: a batch and the position that it leads to are one Redis transaction, a compare-and-set of the
//! source's commit record.
//!
//! A session takes the record over before it sends anything. A predecessor's last transaction may still lie unread in
//! a socket: it was built on the record as it was, so Redis either ran it before the take-over, which then sees it, or
//! refuses it afterwards because the watched key has changed. So what the take-over reads is the truth.
//!
//! `send` writes a batch without its `EXEC`, `execute` lets it go, `finish` reads what came of it; so the next batch
//! can be sent while this one executes. After any error the session is dropped, and with it all that was not executed.

use super::encode::{Batch, push_command};
use super::wire::{Reply, Wire};
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
    wire: Wire,
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
        let token = format!("{:016x}", fastrand::u64(..));
        Ok(Session {
            address: address.clone(),
            wire: greet(address)?,
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
            self.wire.ask(&[b"WATCH", key.as_bytes()])?;
            let stored = get_record(&mut self.wire, &self.address, key)?;
            let progress = choose(stored.as_ref());
            let value = self.record(&progress, path);
            if set_watched(&mut self.wire, &self.address, key, &value)? {
                return Ok((progress, value));
            }
        }
        Err(Failure::Wait(format!(
            "redis {}: others keep changing {key}",
            self.address
        )))
    }

    /// Sends a batch. With exactly-once delivery nothing of it takes effect before `execute`.
    pub fn send(&mut self, batch: &mut Batch, claim: &Claim) -> Result<(), Failure> {
        fault::point("before-send");
        if self.delivery == Delivery::AtLeastOnce {
            return self.wire.write(&batch.commands);
        }
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        push_command(&[b"WATCH", claim.key.as_bytes()], &mut out);
        push_command(&[b"GET", claim.key.as_bytes()], &mut out);
        for key in &batch.keys {
            push_command(&[b"TYPE", key], &mut out);
        }
        push_command(&[b"MULTI"], &mut out);
        let sent = self.wire.write(&out);
        self.out = out;
        sent?;
        let length = batch.commands.len();
        push_command(
            &[b"SET", claim.key.as_bytes(), &claim.after],
            &mut batch.commands,
        );
        let sent = self.wire.write(&batch.commands);
        batch.commands.truncate(length);
        sent
    }

    /// Lets a sent batch take effect, if the record is still ours and every key is of the right type.
    pub fn execute(&mut self, batch: &Batch, claim: &Claim) -> Result<(), Failure> {
        if self.delivery == Delivery::AtLeastOnce {
            return Ok(());
        }
        self.wire.expect_ok()?;
        let is_ours = match self.wire.reply()? {
            Reply::Bulk(stored) => stored == claim.before,
            Reply::Null => false,
            other => return Err(self.address.unexpected(&other)),
        };
        for key in &batch.keys {
            self.expect_type(key)?;
        }
        self.wire.expect_ok()?;
        if !is_ours {
            return Err(self.lost_turn(&claim.key));
        }
        fault::point("before-exec");
        self.wire.send(&[b"EXEC"])?;
        fault::point("between-send-and-reply");
        Ok(())
    }

    /// Reads what came of a batch. Returns how many of its lines reached no subscriber (`pubsub`).
    pub fn finish(&mut self, batch: &Batch, claim: &Claim) -> Result<u64, Failure> {
        let outcome = match self.delivery {
            Delivery::AtLeastOnce => self.count_replies(batch.lines)?,
            Delivery::ExactlyOnce => self.finish_transaction(batch, claim)?,
        };
        fault::point("after-reply");
        match outcome.refused {
            Some(failure) => Err(failure),
            None => Ok(outcome.unheard),
        }
    }

    fn finish_transaction(&mut self, batch: &Batch, claim: &Claim) -> Result<Outcome, Failure> {
        // The lines, and the record.
        let commands = batch.lines + 1;
        let mut outcome = Outcome::default();
        for _ in 0..commands {
            match self.wire.reply()? {
                Reply::Simple(b"QUEUED") => {}
                other => outcome.refuse(self.address.unexpected(&other)),
            }
        }
        match self.wire.reply()? {
            Reply::Array(length) if length == commands => {
                outcome = self.count_replies(length)?;
                outcome.refused = outcome.refused.map(|why| self.undone(why, claim));
            }
            Reply::Null => return Err(self.lost_turn(&claim.key)),
            other => outcome.refuse(self.address.unexpected(&other)),
        }
        Ok(outcome)
    }

    /// Reads the replies of executed commands, and only counts them.
    fn count_replies(&mut self, count: usize) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::default();
        for _ in 0..count {
            match self.wire.reply()? {
                Reply::Integer(0) if self.mode == Mode::Pubsub => outcome.unheard += 1,
                Reply::Error(text) => outcome.refuse(self.address.error_reply(text)),
                _ => {}
            }
        }
        Ok(outcome)
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
        let mut wire = greet(&self.address)?;
        let key = claim.key.as_bytes();
        wire.ask(&[b"WATCH", key])?;
        if wire.ask(&[b"GET", key])? == Reply::Bulk(&claim.after) {
            set_watched(&mut wire, &self.address, &claim.key, &claim.before)?;
        }
        Ok(())
    }

    /// Removes a source's record.
    pub fn forget(&mut self, key: &str) -> Result<(), Failure> {
        self.wire.ask(&[b"DEL", key.as_bytes()]).map(drop)
    }

    /// A wrong type is looked for beforehand, as Redis itself tells of it only after it has run the neighbours.
    fn expect_type(&mut self, key: &[u8]) -> Result<(), Failure> {
        let wanted = if self.mode == Mode::Stream {
            "stream"
        } else {
            "list"
        };
        match self.wire.reply()? {
            Reply::Simple(kind) if kind == wanted.as_bytes() || kind == b"none" => Ok(()),
            Reply::Simple(kind) => {
                let (key, kind) = (String::from_utf8_lossy(key), kind.escape_ascii());
                Err(self.address.refusal(
                    "WRONGTYPE",
                    &format!("the key {key} holds a {kind}, not a {wanted}"),
                ))
            }
            other => Err(self.address.unexpected(&other)),
        }
    }

    fn lost_turn(&self, key: &str) -> Failure {
        Failure::Wait(format!(
            "redis {}: another watcher has taken over {key}",
            self.address
        ))
    }
}

/// What came of a batch's commands.
#[derive(Default)]
struct Outcome {
    /// Lines that reached no subscriber (`pubsub`).
    unheard: u64,
    /// Why the first one that Redis refused was refused.
    refused: Option<Failure>,
}

impl Outcome {
    fn refuse(&mut self, failure: Failure) {
        self.refused.get_or_insert(failure);
    }
}

/// Connects, authenticates and selects the database.
fn greet(address: &Address) -> Result<Wire, Failure> {
    let (mut wire, replies) = Wire::connect(address)?;
    for _ in 0..replies {
        wire.expect_ok()?;
    }
    Ok(wire)
}

/// Sets a watched key; false: it has changed in between.
fn set_watched(
    wire: &mut Wire,
    address: &Address,
    key: &str,
    value: &[u8],
) -> Result<bool, Failure> {
    wire.ask(&[b"MULTI"])?;
    wire.ask(&[b"SET", key.as_bytes(), value])?;
    Ok(match wire.ask(&[b"EXEC"])? {
        Reply::Null => false,
        Reply::Array(length) => {
            for _ in 0..length {
                wire.expect_ok()?;
            }
            true
        }
        other => return Err(address.unexpected(&other)),
    })
}

/// Reads a source's record without touching it.
pub fn read_record(address: &Address, key: &str) -> Result<Option<Progress>, Failure> {
    get_record(&mut greet(address)?, address, key)
}

fn get_record(wire: &mut Wire, address: &Address, key: &str) -> Result<Option<Progress>, Failure> {
    wire.send(&[b"GET", key.as_bytes()])?;
    let stored = match wire.reply()? {
        Reply::Null => return Ok(None),
        Reply::Bulk(stored) => Some(stored),
        Reply::Error(text) if text.starts_with(b"WRONGTYPE") => None,
        other => return Err(address.unexpected(&other)),
    };
    parse_record(key, stored).map(Some).map_err(Failure::Fatal)
}

/// None: what stands there is not a string.
fn parse_record(key: &str, stored: Option<&[u8]>) -> Result<Progress> {
    let fail = |cause: &str| {
        let way_out =
            "delete the key, or run watch with --reset, to go on from the checkpoint or --from";
        Error::Failed(format!(
            "read commit record {key}: malformed: {cause}; {way_out}"
        ))
    };
    let value = stored.ok_or_else(|| fail("not a string"))?;
    // The last line is the session's token.
    let body = value.strip_suffix(b"\n").unwrap_or(value);
    let text = body
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map(|newline| &body[..=newline]);
    let text = text.ok_or_else(|| fail("it has no session token"))?;
    Progress::parse(text)
        .map(|(progress, _)| progress)
        .map_err(|cause| fail(&cause))
}
