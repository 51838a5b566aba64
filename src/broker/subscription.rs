//! Receives what is published.
//!
//! Pub/sub has no back-pressure: a subscriber that is slower than the publishers is disconnected (Redis's
//! `client-output-buffer-limit`). So whoever hears a message must be quick about it.

use std::ffi::OsString;
use std::mem::ManuallyDrop;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use redis::{Msg, Value};

use super::connection::{Connection, failure, is_interrupted};
use super::encode::push_command;
use super::{Address, Failure, REPLY_TIMEOUT};

/// A connection that says nothing for this long is asked whether it is alive.
const ASK_AFTER: Duration = Duration::from_secs(15);

/// A connection that is subscribed to patterns.
pub struct Subscription {
    connection: Connection,
    /// Whether one message may match several patterns.
    overlaps: bool,
    /// Published while Redis was still confirming.
    early: Vec<Msg>,
}

impl Subscription {
    /// Connects and subscribes; returns when Redis has confirmed every pattern.
    pub fn open(address: &Address, patterns: &[OsString]) -> Result<Subscription, Failure> {
        let mut connection = Connection::open(address, "tailcast-subscribe", None)?;
        let patterns = patterns.iter().map(|pattern| pattern.as_bytes());
        let words: Vec<_> = [b"PSUBSCRIBE".as_slice()]
            .into_iter()
            .chain(patterns)
            .collect();
        let mut out = Vec::new();
        push_command(&words, &mut out);
        connection.write(&out)?;
        let (mut confirmed, mut early) = (0, Vec::new());
        while confirmed < words.len() - 1 {
            match connection.reply()? {
                Value::ServerError(error) => return Err(address.error_reply(&error)),
                reply => match Msg::from_owned_value(reply) {
                    Some(message) => early.push(message),
                    None => confirmed += 1,
                },
            }
        }
        Ok(Subscription {
            connection,
            overlaps: words.len() > 2,
            early,
        })
    }

    /// Calls `hear` for the payload of each message, once however many patterns match it, until it says false.
    pub fn receive(mut self, hear: &mut dyn FnMut(&[u8]) -> bool) -> Result<(), Failure> {
        let address = self.connection.address().clone();
        let failure = |error| failure(&address, &error);
        let (mut copies, overlaps) = (Copies::default(), self.overlaps);
        let mut pass_on = |message: &Msg| {
            overlaps && copies.is_another(message) || hear(message.get_payload_bytes())
        };
        if !self.early.iter().all(&mut pass_on) {
            return Ok(());
        }
        // The crate's way out of a subscription reads all that is under way; closing the connection does as well.
        let mut pubsub = ManuallyDrop::new(self.connection.inner().as_pubsub());
        loop {
            pubsub.set_read_timeout(Some(ASK_AFTER)).map_err(failure)?;
            loop {
                match pubsub.get_message() {
                    Ok(message) if pass_on(&message) => {}
                    Ok(_) => return Ok(()),
                    Err(error) if error.is_timeout() => break,
                    Err(error) if is_interrupted(&error) => {}
                    Err(error) => return Err(failure(error)),
                }
            }
            pubsub
                .set_read_timeout(Some(REPLY_TIMEOUT))
                .map_err(failure)?;
            let _: Value = pubsub.ping().map_err(failure)?;
        }
    }
}

/// A message that several patterns match comes once for each of them, one right after the other.
#[derive(Default)]
struct Copies {
    first: Option<Msg>,
    /// The patterns for which it has come.
    patterns: Vec<Vec<u8>>,
}

impl Copies {
    /// Whether this is the message before, for another pattern.
    fn is_another(&mut self, message: &Msg) -> bool {
        let pattern: Vec<u8> = message.get_pattern().unwrap_or_default();
        let is_same = self.first.as_ref().is_some_and(|first| {
            first.get_channel_name() == message.get_channel_name()
                && first.get_payload_bytes() == message.get_payload_bytes()
        });
        if is_same && !self.patterns.contains(&pattern) {
            self.patterns.push(pattern);
            return true;
        }
        self.first = Some(message.clone());
        self.patterns = vec![pattern];
        false
    }
}
