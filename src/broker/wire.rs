//! A connection to Redis: a socket, and replies as slices of one buffer.
//!
//! Ours, because the crate's connection makes a tree of values of every reply, and that costs more for a line than
//! all else that publishing or receiving it does. The wire format is RESP2:
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use redis::ConnectionAddr;

use super::encode::push_command;
use super::{Address, Failure, REPLY_TIMEOUT, lower};

/// How long a read waits at most, so that whoever reads can look at a flag.
pub const TICK: Duration = Duration::from_millis(250);
/// Bytes read at once.
const BLOCK: usize = 256 * 1024;

trait Socket: Read + Write + Send {}
impl<T: Read + Write + Send> Socket for T {}

/// A connection to Redis.
pub struct Wire {
    address: Address,
    socket: Box<dyn Socket>,
    /// No reply is waited for beyond this.
    deadline: Option<Instant>,
    buffer: Vec<u8>,
    /// The part of the buffer that is read and not yet taken.
    start: usize,
    end: usize,
}

/// A reply; its bytes are places in a buffer, or slices of it. An array's elements are the replies that follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<B> {
    Simple(B),
    Error(B),
    Integer(usize),
    Bulk(B),
    Array(usize),
    /// What was asked for is not there.
    Null,
}

impl Wire {
    /// Connects. Returns how many replies are yet to come for the greeting: `OK` each, or an error.
    pub fn connect(address: &Address, deadline: Option<Instant>) -> Result<(Wire, usize), Failure> {
        let socket = open_socket(address, left(deadline, REPLY_TIMEOUT))
            .map_err(|error| failure(address, &error))?;
        let mut wire = Wire {
            address: address.clone(),
            socket,
            deadline,
            buffer: vec![0; BLOCK],
            start: 0,
            end: 0,
        };
        let settings = address.info.redis_settings();
        let mut replies = 0;
        if let Some(password) = settings.password() {
            let user = settings.username().map(str::as_bytes);
            let words: Vec<_> = [b"AUTH".as_slice()]
                .into_iter()
                .chain(user)
                .chain([password.as_bytes()])
                .collect();
            wire.send(&words)?;
            replies += 1;
        }
        if settings.db() != 0 {
            wire.send(&[b"SELECT", settings.db().to_string().as_bytes()])?;
            replies += 1;
        }
        Ok((wire, replies))
    }

    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.socket.write_all(bytes);
        written.map_err(|error| failure(&self.address, &error))
    }

    /// One command, and its reply; an error reply is a failure.
    pub fn ask(&mut self, command: &[&[u8]]) -> Result<Reply<&[u8]>, Failure> {
        self.send(command)?;
        match self.next_reply()? {
            Reply::Error(text) => Err(self.address.error_reply(&self.buffer[text])),
            reply => Ok(reply.slices(&self.buffer)),
        }
    }

    pub fn send(&mut self, command: &[&[u8]]) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        push_command(command, &mut bytes);
        self.write(&bytes)
    }

    /// The next reply, waited for; an error reply is one like another.
    pub fn reply(&mut self) -> Result<Reply<&[u8]>, Failure> {
        let reply = self.next_reply()?;
        Ok(reply.slices(&self.buffer))
    }

    /// Sees that the next reply is `OK`.
    pub fn expect_ok(&mut self) -> Result<(), Failure> {
        match self.next_reply()?.slices(&self.buffer) {
            Reply::Simple(b"OK") => Ok(()),
            other => Err(self.address.unexpected(&other)),
        }
    }

    fn next_reply(&mut self) -> Result<Reply<Range<usize>>, Failure> {
        let mut silent_since = None;
        loop {
            let found = find_reply(&self.buffer[..self.end], self.start);
            if let Some((reply, next)) = found.map_err(|other| other.failure(&self.address))? {
                self.start = next;
                return Ok(reply);
            }
            if self.fill()? {
                silent_since = None;
            } else {
                let give_up = *silent_since.get_or_insert_with(Instant::now) + REPLY_TIMEOUT;
                let give_up = self.deadline.map_or(give_up, |end| end.min(give_up));
                if Instant::now() + TICK > give_up {
                    return Err(self.silence());
                }
            }
        }
    }

    /// What is read and not yet taken.
    pub fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Takes the first `length` bytes of it.
    pub fn take(&mut self, length: usize) -> &[u8] {
        let start = self.start;
        self.start += length;
        &self.buffer[start..self.start]
    }

    /// Reads what is there. False: nothing came for a `TICK`.
    pub fn fill(&mut self) -> Result<bool, Failure> {
        self.make_room();
        match self.socket.read(&mut self.buffer[self.end..]) {
            Ok(0) => {
                let ended = io::Error::new(ErrorKind::UnexpectedEof, "it closed the connection");
                Err(failure(&self.address, &ended))
            }
            Ok(length) => {
                self.end += length;
                Ok(true)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(failure(&self.address, &error)),
        }
    }

    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > BLOCK {
                // A giant message has blown it up.
                self.buffer = vec![0; BLOCK];
            }
        }
        if self.start > 0 && self.buffer.len() - self.end < BLOCK / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
    }

    /// Redis has not answered in time.
    pub fn silence(&self) -> Failure {
        failure(&self.address, &ErrorKind::TimedOut.into())
    }
}

impl Reply<Range<usize>> {
    fn slices(self, buffer: &[u8]) -> Reply<&[u8]> {
        match self {
            Reply::Simple(text) => Reply::Simple(&buffer[text]),
            Reply::Error(text) => Reply::Error(&buffer[text]),
            Reply::Bulk(bytes) => Reply::Bulk(&buffer[bytes]),
            Reply::Integer(number) => Reply::Integer(number),
            Reply::Array(length) => Reply::Array(length),
            Reply::Null => Reply::Null,
        }
    }
}

impl fmt::Display for Reply<&[u8]> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Simple(text) | Reply::Error(text) | Reply::Bulk(text) => {
                write!(f, "{}", text.escape_ascii())
            }
            Reply::Integer(number) => write!(f, "{number}"),
            Reply::Array(length) => write!(f, "an array of {length}"),
            Reply::Null => write!(f, "nothing"),
        }
    }
}

/// What answers is no Redis.
#[derive(Debug, PartialEq, Eq)]
pub struct NotRedis;

impl NotRedis {
    pub fn failure(self, address: &Address) -> Failure {
        Failure::Wait(format!(
            "redis {address}: what answers there does not speak the Redis protocol"
        ))
    }
}

/// A reply, its bytes as places in the buffer, and where the next one begins.
pub type Found = (Reply<Range<usize>>, usize);

/// The reply at `start`. None: it is not all there yet.
pub fn find_reply(buffer: &[u8], start: usize) -> Result<Option<Found>, NotRedis> {
    let rest = &buffer[start..];
    let Some(sign) = rest.first() else {
        return Ok(None);
    };
    if !b"+-:$*".contains(sign) {
        return Err(NotRedis);
    }
    let Some(length) = rest.iter().position(|byte| *byte == b'\r') else {
        return Ok(None);
    };
    let (line, next) = (start + 1..start + length, start + length + 2);
    let digits = &rest[1..length];
    let (reply, next) = match sign {
        b'+' => (Reply::Simple(line), next),
        b'-' => (Reply::Error(line), next),
        b':' => (Reply::Integer(number(digits)?), next),
        _ if digits == b"-1" => (Reply::Null, next),
        b'*' => (Reply::Array(number(digits)?), next),
        _ => {
            let end = next.saturating_add(number(digits)?);
            (Reply::Bulk(next..end), end.saturating_add(2))
        }
    };
    Ok((buffer.len() >= next).then_some((reply, next)))
}

/// A count or a length: nothing that is asked here is answered by a negative number.
fn number(digits: &[u8]) -> Result<usize, NotRedis> {
    let mut number: usize = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(NotRedis);
        }
        number = number.saturating_mul(10).saturating_add(digit.into());
    }
    Ok(number)
}

/// A timeout, but not beyond a deadline.
fn left(deadline: Option<Instant>, timeout: Duration) -> Duration {
    deadline.map_or(timeout, |deadline| {
        timeout.min(deadline.saturating_duration_since(Instant::now()).max(TICK))
    })
}

fn open_socket(address: &Address, timeout: Duration) -> io::Result<Box<dyn Socket>> {
    let timeouts = (Some(TICK), Some(timeout));
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
                match TcpStream::connect_timeout(&address, timeout) {
                    Ok(socket) => {
                        socket.set_nodelay(true)?;
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
    let text = error.to_string();
    let cause = match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "no answer in time".into(),
        _ => lower(text.split(" (os error").next().unwrap_or_default()),
    };
    Failure::Wait(format!("redis {address}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_found_only_when_it_is_whole() {
        let table: [(&[u8], Reply<&[u8]>); 8] = [
            (b"+QUEUED\r\n", Reply::Simple(b"QUEUED")),
            (b"-OOM no memory\r\n", Reply::Error(b"OOM no memory")),
            (b":12\r\n", Reply::Integer(12)),
            (b"$4\r\na\r\nb\r\n", Reply::Bulk(b"a\r\nb")),
            (b"$0\r\n\r\n", Reply::Bulk(b"")),
            (b"$-1\r\n", Reply::Null),
            (b"*-1\r\n", Reply::Null),
            (b"*3001\r\n", Reply::Array(3001)),
        ];
        for (bytes, want) in table {
            for length in 0..bytes.len() {
                let found = find_reply(&bytes[..length], 0);
                assert_eq!(found, Ok(None), "{want} at {length}");
            }
            let (reply, next) = find_reply(bytes, 0).unwrap().unwrap();
            assert_eq!((reply.slices(bytes), next), (want, bytes.len()));
        }
    }

    #[test]
    fn what_is_no_reply_is_told_from_one_that_is_not_all_there() {
        for bytes in [
            &b"\r\n"[..],
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"220 mail.example.com ESMTP\r\n",
            b"$x\r\n",
            b"*-2\r\n",
            b":1.5\r\n",
        ] {
            assert_eq!(find_reply(bytes, 0), Err(NotRedis));
        }
        assert_eq!(
            find_reply(b"$99999999999999999999999\r\n", 0),
            Ok(None),
            "a length beyond all numbers does not overflow"
        );
    }
}
