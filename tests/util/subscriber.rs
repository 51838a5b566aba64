//! The oracle: a subscriber that hears everything and forgets nothing. It speaks the protocol itself, so that no bug of a
//! client library hides one of ours.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Redis, patience, wait_until};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub channel: String,
    pub payload: Vec<u8>,
}

/// A PSUBSCRIBE connection and what came through it.
pub struct Subscriber {
    heard: Arc<Mutex<Vec<Message>>>,
    settled: Arc<AtomicUsize>,
    settles: AtomicUsize,
    stream: TcpStream,
    pattern: String,
    port: u16,
    password: Option<String>,
}

impl Subscriber {
    /// Subscribes to `logs:*`. Returns when Redis has confirmed it.
    pub fn new(redis: &Redis) -> Subscriber {
        Subscriber::on(redis, "logs:*")
    }

    /// Subscribes to a pattern that ends in `*`.
    pub fn on(redis: &Redis, pattern: &str) -> Subscriber {
        let mut stream = connect(redis.port, redis.password.as_deref());
        write!(
            stream,
            "*2\r\n$10\r\nPSUBSCRIBE\r\n${}\r\n{pattern}\r\n",
            pattern.len()
        )
        .expect("subscribe");
        let mut reader =
            BufReader::with_capacity(256 * 1024, stream.try_clone().expect("clone a socket"));
        let confirmed = read_push(&mut reader).expect("a confirmation");
        assert_eq!(confirmed[0], b"psubscribe");
        let (heard, settled) = (Arc::default(), Arc::default());
        let subscriber = Subscriber {
            heard: Arc::clone(&heard),
            settled: Arc::clone(&settled),
            settles: AtomicUsize::new(0),
            stream,
            pattern: pattern.into(),
            port: redis.port,
            password: redis.password.clone(),
        };
        let sentinel = subscriber.sentinel();
        std::thread::spawn(move || listen(reader, &sentinel, &heard, &settled));
        subscriber
    }

    pub fn len(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    pub fn messages(&self) -> Vec<Message> {
        self.heard.lock().unwrap().clone()
    }

    pub fn payloads(&self) -> Vec<Vec<u8>> {
        self.payloads_since(0)
    }

    /// Those behind the first `n`.
    pub fn payloads_since(&self, n: usize) -> Vec<Vec<u8>> {
        let heard = self.heard.lock().unwrap();
        heard.iter().skip(n).map(|m| m.payload.clone()).collect()
    }

    pub fn heard(&self, payload: impl AsRef<[u8]>) -> bool {
        self.heard
            .lock()
            .unwrap()
            .iter()
            .rev()
            .any(|m| m.payload == payload.as_ref())
    }

    /// Waits until at least `n` lines have arrived.
    #[track_caller]
    pub fn wait_for(&self, n: usize) {
        let begin = Instant::now();
        while self.len() < n {
            assert!(
                begin.elapsed() < patience(),
                "waited in vain for {n} lines: {} have arrived",
                self.len()
            );
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// Waits until this line has arrived.
    #[track_caller]
    pub fn wait_for_line(&self, payload: impl AsRef<[u8]>) {
        let what = format!(
            "the line {:?} has arrived",
            String::from_utf8_lossy(payload.as_ref())
        );
        wait_until(&what, || self.heard(&payload));
    }

    /// All payloads, once everything that Redis has published until now is certain to be here: a message of the test's own
    /// comes after it on the same connection.
    #[track_caller]
    pub fn settle(&self) -> Vec<Vec<u8>> {
        let number = self.settles.fetch_add(1, Ordering::SeqCst) + 1;
        let sentinel = self.sentinel();
        let mut publisher = connect(self.port, self.password.as_deref());
        write!(
            publisher,
            "*3\r\n$7\r\nPUBLISH\r\n${}\r\n{sentinel}\r\n$1\r\n.\r\n",
            sentinel.len()
        )
        .expect("publish");
        wait_until("the oracle is settled", || {
            self.settled.load(Ordering::SeqCst) >= number
        });
        self.payloads()
    }

    fn sentinel(&self) -> String {
        self.pattern.replace('*', "~settled~")
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

fn connect(port: u16, password: Option<&str>) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect the oracle");
    if let Some(password) = password {
        write!(
            stream,
            "*2\r\n$4\r\nAUTH\r\n${}\r\n{password}\r\n",
            password.len()
        )
        .expect("log in");
        let mut reply = [0; 5];
        stream.read_exact(&mut reply).expect("log in");
        assert_eq!(&reply, b"+OK\r\n");
    }
    stream
}

fn listen(
    mut from: impl BufRead,
    sentinel: &str,
    heard: &Mutex<Vec<Message>>,
    settled: &AtomicUsize,
) {
    while let Ok(mut parts) = read_push(&mut from) {
        let payload = parts.pop().expect("a payload");
        let channel = String::from_utf8_lossy(&parts[2]).into_owned();
        if channel == sentinel {
            settled.fetch_add(1, Ordering::SeqCst);
        } else {
            heard.lock().unwrap().push(Message { channel, payload });
        }
    }
}

/// An array of bulk strings (an integer stands as its text).
fn read_push(from: &mut impl BufRead) -> io::Result<Vec<Vec<u8>>> {
    let count = read_number(from)?;
    (0..count).map(|_| read_bulk(from)).collect()
}

fn read_bulk(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    if from.fill_buf()?.first() == Some(&b':') {
        return Ok(read_number(from)?.to_string().into_bytes());
    }
    let mut bytes = vec![0; read_number(from)? + 2];
    from.read_exact(&mut bytes)?;
    bytes.truncate(bytes.len() - 2);
    Ok(bytes)
}

/// The number behind `*`, `$` or `:`.
fn read_number(from: &mut impl BufRead) -> io::Result<usize> {
    let mut row = String::new();
    from.read_line(&mut row)?;
    let digits = row.get(1..).unwrap_or("").trim_end();
    digits
        .parse()
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, row.clone()))
}
