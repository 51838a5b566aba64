//! A TCP proxy in front of a Redis that breaks connections on order: cuts them after so many bytes, holds what the client
//! sends, delays it, closes one half.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread;
use std::time::Duration;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    ToRedis,
    ToClient,
}

/// Passes connections on to a Redis until told otherwise. Dropped, it cuts them all.
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: u16,
    orders: Mutex<Orders>,
    changed: Condvar,
    connections: AtomicUsize,
    cuts: AtomicU64,
    passed: [AtomicU64; 2],
    received: AtomicU64,
    /// Connections on which something is held back.
    holding: AtomicUsize,
}

#[derive(Default)]
struct Orders {
    /// The next connection is cut after so many bytes that way.
    cut_next: Option<(Way, u64)>,
    /// Every connection is cut after a random number of bytes below this.
    cut_random: Option<(fastrand::Rng, u64)>,
    /// From these bytes on, nothing goes to Redis.
    hold_from: Option<Vec<u8>>,
    delay: Duration,
    closed: bool,
    open: Vec<Weak<Pair>>,
}

/// The two ends of a connection, kept by the threads that work on it.
struct Pair {
    client: TcpStream,
    redis: TcpStream,
}

impl Pair {
    /// Where bytes that go this way come from, and where they go.
    fn ends(&self, way: Way) -> (&TcpStream, &TcpStream) {
        match way {
            Way::ToRedis => (&self.client, &self.redis),
            Way::ToClient => (&self.redis, &self.client),
        }
    }
}

impl Proxy {
    /// Listens on a port of its own, in front of the Redis on `upstream`.
    pub fn start(upstream: u16) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("listen");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            upstream,
            orders: Mutex::default(),
            changed: Condvar::new(),
            connections: AtomicUsize::new(0),
            cuts: AtomicU64::new(0),
            passed: Default::default(),
            received: AtomicU64::new(0),
            holding: AtomicUsize::new(0),
        });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &of_thread));
        Proxy { port, shared }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Cuts the next connection once exactly `bytes` went that way; those after it stay whole.
    pub fn cut_next_after(&self, way: Way, bytes: u64) {
        self.orders().cut_next = Some((way, bytes));
    }

    /// Cuts every new connection after a random number of bytes to Redis, below `most`, or of a twentieth of that from Redis.
    pub fn cut_at_random(&self, seed: u64, most: u64) {
        self.orders().cut_random = Some((fastrand::Rng::with_seed(seed), most));
    }

    /// New connections stay whole.
    pub fn cut_no_more(&self) {
        let mut orders = self.orders();
        (orders.cut_next, orders.cut_random) = (None, None);
    }

    /// Cuts all that are open; says how many were.
    pub fn cut_all(&self) -> usize {
        let open = std::mem::take(&mut self.orders().open);
        open.iter()
            .filter_map(Weak::upgrade)
            .filter(|pair| self.shared.cut(pair))
            .count()
    }

    /// Closes the half of every open connection that leads there; the other half goes on.
    pub fn half_close(&self, way: Way) {
        for pair in self.orders().open.iter().filter_map(Weak::upgrade) {
            let (from, to) = pair.ends(way);
            let _ = (from.shutdown(Shutdown::Read), to.shutdown(Shutdown::Write));
        }
    }

    /// From the next occurrence of `bytes` on, holds back what clients send, even after their death.
    pub fn hold_from(&self, bytes: &[u8]) {
        self.orders().hold_from = Some(bytes.to_vec());
    }

    /// Lets go what was held back.
    pub fn release(&self) {
        self.orders().hold_from = None;
        self.shared.changed.notify_all();
    }

    /// Lets each chunk of bytes wait, both ways.
    pub fn delay(&self, by: Duration) {
        self.orders().delay = by;
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many it has cut.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::SeqCst)
    }

    /// How many bytes it has passed on, that way.
    pub fn passed(&self, way: Way) -> u64 {
        self.shared.passed[way as usize].load(Ordering::SeqCst)
    }

    /// How many bytes from clients it holds back; none that are just on their way.
    pub fn held(&self) -> u64 {
        if self.shared.holding.load(Ordering::SeqCst) == 0 {
            return 0;
        }
        self.shared
            .received
            .load(Ordering::SeqCst)
            .saturating_sub(self.passed(Way::ToRedis))
    }

    fn orders(&self) -> std::sync::MutexGuard<'_, Orders> {
        self.shared.orders.lock().unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.orders().closed = true;
        self.release();
        self.cut_all();
        let _ = TcpStream::connect(("127.0.0.1", self.port)); // wakes the accepting thread, which then ends
    }
}

impl Shared {
    fn cut(&self, pair: &Pair) -> bool {
        let open = pair.client.shutdown(Shutdown::Both).is_ok();
        let _ = pair.redis.shutdown(Shutdown::Both);
        self.cuts.fetch_add(u64::from(open), Ordering::SeqCst);
        open
    }

    /// The limits of a new connection, by way.
    fn limits(&self) -> [Option<u64>; 2] {
        let mut orders = self.orders.lock().unwrap();
        let mut limits = [None, None];
        if let Some((way, bytes)) = orders.cut_next.take() {
            limits[way as usize] = Some(bytes);
        } else if let Some((rng, most)) = &mut orders.cut_random {
            // What comes from Redis is short: a word per line.
            let most = [*most, (*most / 20).max(1)];
            let way = rng.usize(0..2);
            limits[way] = Some(rng.u64(0..most[way]));
        }
        limits
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((client, _)) = listener.accept() {
        if shared.orders.lock().unwrap().closed {
            return;
        }
        // No Redis there: the client sees its connection closed.
        let Ok(redis) = TcpStream::connect(("127.0.0.1", shared.upstream)) else {
            continue;
        };
        let _ = (client.set_nodelay(true), redis.set_nodelay(true));
        let pair = Arc::new(Pair { client, redis });
        let mut orders = shared.orders.lock().unwrap();
        orders.open.retain(|old| old.strong_count() > 0);
        orders.open.push(Arc::downgrade(&pair));
        drop(orders);
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let limits = shared.limits();
        for way in [Way::ToRedis, Way::ToClient] {
            pass(way, &pair, limits[way as usize], shared);
        }
    }
}

/// Two threads for one way: one takes all that comes at once, so that held bytes outlive their sender; one passes it on.
fn pass(way: Way, pair: &Arc<Pair>, limit: Option<u64>, shared: &Arc<Shared>) {
    let (sender, receiver) = channel();
    let (of_taker, counts) = (Arc::clone(pair), Arc::clone(shared));
    thread::spawn(move || take(way, &of_taker, &sender, &counts));
    let (pair, shared) = (Arc::clone(pair), Arc::clone(shared));
    thread::spawn(move || give(way, &pair, limit, &receiver, &shared));
}

fn take(way: Way, pair: &Pair, to: &Sender<Vec<u8>>, shared: &Shared) {
    let mut from = pair.ends(way).0;
    let mut chunk = [0; 64 * 1024];
    while let Ok(n @ 1..) = from.read(&mut chunk) {
        if way == Way::ToRedis {
            shared.received.fetch_add(n as u64, Ordering::SeqCst);
        }
        if to.send(chunk[..n].to_vec()).is_err() {
            return;
        }
    }
}

fn give(way: Way, pair: &Pair, mut left: Option<u64>, chunks: &Receiver<Vec<u8>>, shared: &Shared) {
    let to = pair.ends(way).1;
    loop {
        if left == Some(0) {
            shared.cut(pair);
            return;
        }
        let Ok(mut chunk) = chunks.recv() else { break };
        thread::sleep(shared.orders.lock().unwrap().delay);
        let mut held = false;
        if way == Way::ToRedis {
            (chunk, held) = hold(chunk, to, shared);
        }
        let allowed = left.map_or(chunk.len(), |n| chunk.len().min(n as usize));
        left = left.map(|n| n - allowed as u64);
        let written = write(way, to, &chunk[..allowed], shared);
        shared.holding.fetch_sub(held.into(), Ordering::SeqCst);
        if !written {
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Passes on what comes before the bytes to hold from, and returns the rest once it is released, and whether there was any.
/// (Bytes that a chunk's border tears apart are not found; tailcast writes its EXEC in one piece.)
fn hold(mut chunk: Vec<u8>, to: &TcpStream, shared: &Shared) -> (Vec<u8>, bool) {
    let found = shared
        .orders
        .lock()
        .unwrap()
        .hold_from
        .as_ref()
        .and_then(|bytes| find(&chunk, bytes));
    let Some(at) = found else {
        return (chunk, false);
    };
    let rest = chunk.split_off(at);
    write(Way::ToRedis, to, &chunk, shared);
    shared.holding.fetch_add(1, Ordering::SeqCst);
    let orders = shared.orders.lock().unwrap();
    drop(
        shared
            .changed
            .wait_while(orders, |o| o.hold_from.is_some())
            .unwrap(),
    );
    (rest, true)
}

fn write(way: Way, mut to: &TcpStream, bytes: &[u8], shared: &Shared) -> bool {
    let written = to.write_all(bytes).is_ok();
    if written {
        shared.passed[way as usize].fetch_add(bytes.len() as u64, Ordering::SeqCst);
    }
    written
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}
