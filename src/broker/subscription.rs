//! Receives what is published, on a socket of its own.
//!
//! Pub/sub has no back-pressure: a subscriber that is slower than the publishers is disconnected (Redis's
//! `client-output-buffer-limit`). So messages are read in large blocks and handed out as slices, without the crate's
//! value tree, which costs more for each message than publishing it does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use redis::ConnectionAddr;

use super::encode::push_command;
use super::{Address, Failure, REPLY_TIMEOUT, lower};

/// A message on a channel.
#[derive(Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub channel: &'a [u8],
    pub payload: &'a [u8],
}

/// How soon a signal is noticed.
const TICK: Duration = Duration::from_millis(250);
/// A connection that says nothing for this long is asked whether it is alive.
const ASK_AFTER: Duration = Duration::from_secs(15);
/// Bytes read at once.
const BLOCK: usize = 256 * 1024;

trait Socket: Read + Write {}
impl<T: Read + Write> Socket for T {}

/// A connection that is subscribed to patterns.
pub struct Subscription {
    address: Address,
    socket: Box<dyn Socket>,
    buffer: Vec<u8>,
    /// The part of the buffer that is read and not yet taken.
    start: usize,
    end: usize,
    heard: Instant,
    asked: bool,
}

/// What lies at the start of the buffer.
enum Frame {
    /// A message, as ranges of the buffer: channel, payload, and where the next frame begins.
    Message(std::ops::Range<usize>, std::ops::Range<usize>, usize),
    /// Something else, up to here.
    Other(usize),
    Error(String),
    /// Not whole yet.
    Partial,
}

impl Subscription {
    /// Connects and subscribes; returns when Redis has confirmed every pattern.
    pub fn open(
        address: &Address,
        patterns: &[Vec<u8>],
        stop: &AtomicBool,
    ) -> Result<Subscription, Failure> {
        let socket = connect(address).map_err(|error| failure(address, &error))?;
        let mut subscription = Subscription {
            address: address.clone(),
            socket,
            buffer: vec![0; BLOCK],
            start: 0,
            end: 0,
            heard: Instant::now(),
            asked: false,
        };
        let mut hello = Vec::new();
        let mut replies = patterns.len();
        let settings = address.info.redis_settings();
        if let Some(password) = settings.password() {
            let user = settings.username().map(str::as_bytes);
            let words: Vec<_> = [b"AUTH".as_slice()]
                .into_iter()
                .chain(user)
                .chain([password.as_bytes()])
                .collect();
            push_command(&words, &mut hello);
            replies += 1;
        }
        let words: Vec<_> = [b"PSUBSCRIBE".as_slice()]
            .into_iter()
            .chain(patterns.iter().map(Vec::as_slice))
            .collect();
        push_command(&words, &mut hello);
        subscription
            .socket
            .write_all(&hello)
            .map_err(|error| failure(address, &error))?;
        let deadline = Instant::now() + REPLY_TIMEOUT;
        while replies > 0 && !stop.load(Relaxed) {
            match subscription.frame() {
                Frame::Error(text) => return Err(subscription.refusal(&text)),
                Frame::Other(end) => {
                    subscription.start = end;
                    replies -= 1;
                }
                // Published between two confirmations: it is handed out by the first `next`.
                Frame::Message(..) => break,
                Frame::Partial if Instant::now() > deadline => {
                    return Err(failure(address, &ErrorKind::TimedOut.into()));
                }
                Frame::Partial => subscription.fill()?,
            }
        }
        Ok(subscription)
    }

    /// The next message that is already here; None: `wait` for more.
    pub fn next(&mut self) -> Result<Option<Message<'_>>, Failure> {
        loop {
            match self.frame() {
                Frame::Message(channel, payload, end) => {
                    self.start = end;
                    let message = Message {
                        channel: &self.buffer[channel],
                        payload: &self.buffer[payload],
                    };
                    return Ok(Some(message));
                }
                Frame::Other(end) => self.start = end,
                Frame::Error(text) => return Err(self.refusal(&text)),
                Frame::Partial => return Ok(None),
            }
        }
    }

    /// Reads what is there; returns without anything after a short while, so that the caller can look at its flag.
    pub fn wait(&mut self) -> Result<(), Failure> {
        self.fill()?;
        let silence = self.heard.elapsed();
        if silence > ASK_AFTER + REPLY_TIMEOUT {
            return Err(failure(&self.address, &ErrorKind::TimedOut.into()));
        }
        if silence > ASK_AFTER && !self.asked {
            self.asked = true;
            let sent = self.socket.write_all(b"*1\r\n$4\r\nPING\r\n");
            sent.map_err(|error| failure(&self.address, &error))?;
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<(), Failure> {
        if self.start > 0 && self.buffer.len() - self.end < BLOCK / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.start == self.end && self.buffer.len() > BLOCK {
            // A giant message has blown it up.
            self.buffer = vec![0; BLOCK];
            (self.start, self.end) = (0, 0);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        match self.socket.read(&mut self.buffer[self.end..]) {
            Ok(0) => Err(failure(
                &self.address,
                &io::Error::new(ErrorKind::UnexpectedEof, "it closed the connection"),
            )),
            Ok(length) => {
                self.end += length;
                self.heard = Instant::now();
                self.asked = false;
                Ok(())
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(failure(&self.address, &error)),
        }
    }

    fn frame(&self) -> Frame {
        parse_frame(&self.buffer[..self.end], self.start)
    }

    fn refusal(&self, text: &str) -> Failure {
        let (code, detail) = text.split_once(' ').unwrap_or((text, ""));
        self.address.refusal(code, detail)
    }
}

/// Reads the frame at `start`: in a subscription it is an array of bulk strings and integers, or an error.
fn parse_frame(buffer: &[u8], start: usize) -> Frame {
    let Some((line, mut at)) = take_line(buffer, start) else {
        return Frame::Partial;
    };
    match line.split_first() {
        Some((b'*', count)) => {
            let count = number(count);
            let mut fields = [0..0, 0..0, 0..0, 0..0];
            for index in 0..count {
                let Some((field, end)) = take_field(buffer, at) else {
                    return Frame::Partial;
                };
                if let Some(place) = fields.get_mut(index) {
                    *place = field;
                }
                at = end;
            }
            let [kind, _, channel, payload] = fields;
            if &buffer[kind] == b"pmessage" {
                Frame::Message(channel, payload, at)
            } else {
                Frame::Other(at)
            }
        }
        Some((b'-', text)) => Frame::Error(String::from_utf8_lossy(text).into_owned()),
        _ => Frame::Other(at),
    }
}

/// The bytes of a bulk string, or an integer's digits, at `at`; and where the next field begins.
fn take_field(buffer: &[u8], at: usize) -> Option<(std::ops::Range<usize>, usize)> {
    let (line, body) = take_line(buffer, at)?;
    if line.first() != Some(&b'$') {
        return Some((at + 1..at + line.len(), body));
    }
    // A null has length -1, which `number` reads as 0; it has no bytes and no line end behind it.
    if line.get(1) == Some(&b'-') {
        return Some((body..body, body));
    }
    let end = body + number(&line[1..]);
    (buffer.len() >= end + 2).then_some((body..end, end + 2))
}

fn take_line(buffer: &[u8], start: usize) -> Option<(&[u8], usize)> {
    let rest = &buffer[start..];
    let end = rest.iter().position(|byte| *byte == b'\r')?;
    (rest.len() > end + 1).then_some((&rest[..end], start + end + 2))
}

fn number(digits: &[u8]) -> usize {
    digits
        .iter()
        .filter(|byte| byte.is_ascii_digit())
        .fold(0, |number, byte| {
            number
                .saturating_mul(10)
                .saturating_add(usize::from(byte - b'0'))
        })
}

fn connect(address: &Address) -> io::Result<Box<dyn Socket>> {
    let timeouts = (Some(TICK), Some(REPLY_TIMEOUT));
    match address.info.addr() {
        ConnectionAddr::Unix(path) => {
            let socket = UnixStream::connect(path)?;
            socket.set_read_timeout(timeouts.0)?;
            socket.set_write_timeout(timeouts.1)?;
            Ok(Box::new(socket))
        }
        ConnectionAddr::Tcp(host, port) => {
            let mut last = io::Error::other("the name has no address");
            for address in (host.as_str(), *port).to_socket_addrs()? {
                match TcpStream::connect_timeout(&address, REPLY_TIMEOUT) {
                    Ok(socket) => {
                        socket.set_read_timeout(timeouts.0)?;
                        socket.set_write_timeout(timeouts.1)?;
                        return Ok(Box::new(socket));
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
        _ => Err(io::Error::other("TLS is not built in")),
    }
}

fn failure(address: &Address, error: &io::Error) -> Failure {
    let cause = match error.kind() {
        ErrorKind::TimedOut => format!("no answer within {} s", REPLY_TIMEOUT.as_secs()),
        _ => lower(
            error
                .to_string()
                .split(" (os error")
                .next()
                .unwrap_or_default(),
        ),
    };
    Failure::Wait(format!("redis {address}: {cause}"))
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
                matches!(parse_frame(&MESSAGE[..length], 0), Frame::Partial),
                "{length}"
            );
        }
        let Frame::Message(channel, payload, end) = parse_frame(MESSAGE, 0) else {
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
        assert!(
            matches!(parse_frame(confirmation, 0), Frame::Other(end) if end == confirmation.len())
        );
        assert!(matches!(
            parse_frame(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n", 0),
            Frame::Other(22)
        ));
        assert!(matches!(parse_frame(b"+OK\r\n", 0), Frame::Other(5)));
        assert!(
            matches!(parse_frame(b"-NOAUTH x\r\n", 0), Frame::Error(text) if text == "NOAUTH x")
        );
    }
}
