//! Receives what is published.
//!
//! Pub/sub has no back-pressure: a subscriber that is slower than the publishers is disconnected (Redis's
//! `client-output-buffer-limit`). So messages are read in large blocks and handed out as slices.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::wire::{NotRedis, Reply, Wire, find_reply};
use super::{Address, Failure, REPLY_TIMEOUT};

/// A message on a channel.
#[derive(Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub channel: &'a [u8],
    pub payload: &'a [u8],
}

/// A connection that says nothing for this long is asked whether it is alive.
const ASK_AFTER: Duration = Duration::from_secs(15);

/// A connection that is subscribed to patterns.
pub struct Subscription {
    address: Address,
    wire: Wire,
    heard: Instant,
    asked: bool,
}

/// What comes next.
enum Frame {
    /// A message: where its channel and payload are, and how long it is.
    Message(Range<usize>, Range<usize>, usize),
    /// Something else, and how long it is.
    Other(usize),
    Error(Vec<u8>),
}

impl Subscription {
    /// Connects and subscribes; returns when Redis has confirmed every pattern.
    pub fn open(
        address: &Address,
        patterns: &[Vec<u8>],
        stop: &AtomicBool,
    ) -> Result<Subscription, Failure> {
        let (mut wire, greeting) = Wire::connect(address, None)?;
        let mut replies = greeting + patterns.len();
        let words: Vec<_> = [b"PSUBSCRIBE".as_slice()]
            .into_iter()
            .chain(patterns.iter().map(Vec::as_slice))
            .collect();
        wire.send(&words)?;
        let deadline = Instant::now() + REPLY_TIMEOUT;
        let mut subscription = Subscription {
            address: address.clone(),
            wire,
            heard: Instant::now(),
            asked: false,
        };
        while replies > 0 && !stop.load(Relaxed) {
            match subscription.find_frame()? {
                Some(Frame::Error(text)) => return Err(address.error_reply(&text)),
                Some(Frame::Other(length)) => {
                    subscription.wire.take(length);
                    replies -= 1;
                }
                // Published between two confirmations: it is handed out by the first `next`.
                Some(Frame::Message(..)) => break,
                None if Instant::now() > deadline => {
                    return Err(subscription.wire.silence());
                }
                None => subscription.hear()?,
            }
        }
        Ok(subscription)
    }

    /// The next message that is already here; None: `wait` for more.
    pub fn next(&mut self) -> Result<Option<Message<'_>>, Failure> {
        loop {
            match self.find_frame()? {
                Some(Frame::Message(channel, payload, length)) => {
                    let bytes = self.wire.take(length);
                    let (channel, payload) = (&bytes[channel], &bytes[payload]);
                    return Ok(Some(Message { channel, payload }));
                }
                Some(Frame::Other(length)) => _ = self.wire.take(length),
                Some(Frame::Error(text)) => return Err(self.address.error_reply(&text)),
                None => return Ok(None),
            }
        }
    }

    /// Reads what is there; returns without anything after a short while, so that the caller can look at its flag.
    pub fn wait(&mut self) -> Result<(), Failure> {
        self.hear()?;
        let silence = self.heard.elapsed();
        if silence > ASK_AFTER + REPLY_TIMEOUT {
            return Err(self.wire.silence());
        }
        if silence > ASK_AFTER && !self.asked {
            self.asked = true;
            self.wire.send(&[b"PING"])?;
        }
        Ok(())
    }

    fn find_frame(&self) -> Result<Option<Frame>, Failure> {
        find_frame(self.wire.unread()).map_err(|other| other.failure(&self.address))
    }

    fn hear(&mut self) -> Result<(), Failure> {
        if self.wire.fill()? {
            self.heard = Instant::now();
            self.asked = false;
        }
        Ok(())
    }
}

/// What comes first: in a subscription it is an array of bulk strings and integers, or an error. None: it is not all
/// there yet.
fn find_frame(buffer: &[u8]) -> Result<Option<Frame>, NotRedis> {
    let Some((reply, mut at)) = find_reply(buffer, 0)? else {
        return Ok(None);
    };
    let count = match reply {
        Reply::Array(count) => count,
        Reply::Error(text) => return Ok(Some(Frame::Error(buffer[text].to_vec()))),
        _ => return Ok(Some(Frame::Other(at))),
    };
    let mut fields = [0..0, 0..0, 0..0, 0..0];
    for index in 0..count {
        let Some((field, next)) = find_reply(buffer, at)? else {
            return Ok(None);
        };
        at = next;
        if let (Reply::Bulk(bytes), Some(place)) = (field, fields.get_mut(index)) {
            *place = bytes;
        }
    }
    let [kind, _, channel, payload] = fields;
    Ok(Some(if &buffer[kind] == b"pmessage" {
        Frame::Message(channel, payload, at)
    } else {
        Frame::Other(at)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] =
        b"*4\r\n$8\r\npmessage\r\n$6\r\nlogs:*\r\n$9\r\nlogs:INFO\r\n$4\r\na\r\nb\r\n";

    #[test]
    fn a_message_is_found_only_when_it_is_whole() {
        for length in 0..MESSAGE.len() {
            assert!(
                matches!(find_frame(&MESSAGE[..length]), Ok(None)),
                "{length}"
            );
        }
        let Ok(Some(Frame::Message(channel, payload, end))) = find_frame(MESSAGE) else {
            panic!("no message")
        };
        assert_eq!(
            (&MESSAGE[channel], &MESSAGE[payload], end),
            (&b"logs:INFO"[..], &b"a\r\nb"[..], MESSAGE.len())
        );
    }

    #[test]
    fn confirmations_pongs_and_errors_are_not_messages() {
        let confirmation = b"*3\r\n$10\r\npsubscribe\r\n$6\r\nlogs:*\r\n:1\r\n";
        let frame = |bytes| find_frame(bytes).unwrap().unwrap();
        assert!(matches!(frame(confirmation), Frame::Other(end) if end == confirmation.len()));
        let pong = b"*2\r\n$4\r\npong\r\n$0\r\n\r\n";
        assert!(matches!(frame(pong), Frame::Other(end) if end == pong.len()));
        assert!(matches!(frame(b"+OK\r\n"), Frame::Other(5)));
        assert!(matches!(frame(b"-NOAUTH x\r\n"), Frame::Error(text) if text == b"NOAUTH x"));
    }
}
