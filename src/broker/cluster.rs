//! A Redis Cluster: which nodes it has, which of them a key's slot is on, and what of a key decides its slot.
//!
//! A cluster is known by a server's own word at its greeting. One connection is enough for a watcher, as all its keys
//! share a slot; the node that has the slot is named by `MOVED`, and gone to at the next connect. The other nodes are
//! remembered for the day on which it is gone.
//!
//! The crate's feature `cluster` is not used: what it sends again after a reconnect has lost its `WATCH`, it cannot hold
//! an `EXEC` back behind the next batch, and it has no pub/sub.

use std::sync::{Arc, Mutex, MutexGuard};

use redis::{ConnectionAddr, Value, from_redis_value_ref};

use super::connection::Connection;
use super::take_over::READER;
use super::{Address, Failure};
use crate::route::Route;

/// The nodes that are known of a cluster; of a lone Redis, itself. Shared by all who connect to it.
#[derive(Clone)]
pub struct Nodes(Arc<Mutex<KnownNodes>>);

struct KnownNodes {
    /// The one that the URL names.
    given: ConnectionAddr,
    /// `MOVED` has named it, and nobody has been there yet.
    named: Option<ConnectionAddr>,
    /// The one that was last connected to stands first.
    nodes: Vec<ConnectionAddr>,
    /// One has said so at its greeting.
    is_cluster: bool,
}

impl Nodes {
    pub fn only(node: &ConnectionAddr) -> Nodes {
        Nodes(Arc::new(Mutex::new(KnownNodes {
            given: node.clone(),
            named: None,
            nodes: vec![node.clone()],
            is_cluster: false,
        })))
    }

    fn known(&self) -> MutexGuard<'_, KnownNodes> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// This one answers, and names the others: the next connect begins with it.
    pub fn learn(&self, node: &ConnectionAddr, others: impl Iterator<Item = ConnectionAddr>) {
        let mut known = self.known();
        let mut nodes = vec![node.clone()];
        for node in others.chain([known.given.clone()]) {
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
        known.nodes = nodes;
        known.is_cluster = true;
    }

    pub fn is_cluster(&self) -> bool {
        self.known().is_cluster
    }
}

impl Address {
    /// Where to connect to, the first that answers: the node that `MOVED` has named and no other, else any.
    pub fn to_try(&self) -> Vec<Address> {
        let mut known = self.nodes.known();
        let nodes = known.named.take().map(|named| vec![named]);
        let nodes = nodes.unwrap_or_else(|| known.nodes.clone());
        nodes.into_iter().map(|node| self.at(node)).collect()
    }

    fn at(&self, node: ConnectionAddr) -> Address {
        Address {
            info: self.info.clone().set_addr(node),
            ..self.clone()
        }
    }

    /// Another node of the cluster, reached in the way in which this one is. One that does not know its own host is
    /// where this one is.
    fn node(&self, host: &str, port: u16) -> Address {
        let same = match self.info.addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.as_str(),
            _ => "localhost",
        };
        let is_known = !matches!(host, "" | "?");
        let host = if is_known { host } else { same }.to_string();
        let mut node = self.info.addr().clone();
        if let ConnectionAddr::TcpTls {
            host: own,
            port: at,
            ..
        } = &mut node
        {
            (*own, *at) = (host, port);
        } else {
            node = ConnectionAddr::Tcp(host, port);
        }
        self.at(node)
    }

    /// The node that a `MOVED` names: its detail is `3999 127.0.0.1:6381`.
    pub fn named_by_moved(&self, detail: &str) -> Option<Address> {
        let (_, place) = detail.split_once(' ')?;
        let (host, port) = place.trim().rsplit_once(':')?;
        Some(self.node(host, port.parse().ok()?))
    }
}

/// How often in a row a node has named another one that has the keys.
#[derive(Debug, Default)]
pub struct Moves(u32);

/// In a sound cluster the first node that is named is right, or the next.
const MOST_MOVES: u32 = 5;

impl Moves {
    /// Whether a failure names another node, to which the next connect goes. Nodes that go on naming each other are to
    /// be waited for.
    pub fn follow(&mut self, failure: &Failure) -> bool {
        let Failure::Moved { to, .. } = failure else {
            self.0 = 0;
            return false;
        };
        to.nodes.known().named = Some(to.info.addr().clone());
        self.0 += 1;
        self.0 <= MOST_MOVES
    }
}

/// Asks where the keys are: of the node that is connected to, or of the one that it names.
pub fn ask_where_they_are<T>(
    connection: &mut Connection,
    ask: impl Fn(&mut Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut moves = Moves::default();
    loop {
        match ask(connection) {
            Err(failure) if moves.follow(&failure) => {
                *connection = Connection::open(&connection.address().clone(), READER, None)?;
            }
            answer => return answer,
        }
    }
}

/// Asks a node for the others. A user who may not ask knows those that `MOVED` names.
pub fn learn_nodes(connection: &mut Connection) -> Result<(), Failure> {
    let reply = connection.try_ask(&[b"CLUSTER", b"SLOTS"])?;
    let nodes = reply.map_or(Vec::new(), |slots| read_slots(&slots));
    let address = connection.address();
    let nodes = nodes.iter().map(|(host, port)| address.node(host, *port));
    let nodes = nodes.map(|node| node.info.addr().clone());
    address.nodes.learn(address.info.addr(), nodes);
    Ok(())
}

/// Host and port of each node in the reply to `CLUSTER SLOTS`: ranges of slots, each `[first, last, node, node, ...]`,
/// a node being `[host, port, id, ...]`.
fn read_slots(reply: &Value) -> Vec<(String, u16)> {
    let ranges: Vec<Vec<Value>> = from_redis_value_ref(reply).unwrap_or_default();
    let nodes = ranges.iter().flat_map(|range| range.iter().skip(2));
    let read_node = |node: &Value| {
        let [host, port, ..] = node.as_sequence()? else {
            return None;
        };
        let host: Option<String> = from_redis_value_ref(host).ok()?;
        Some((host.unwrap_or_default(), from_redis_value_ref(port).ok()?))
    };
    nodes.filter_map(read_node).collect()
}

/// What of a key decides its slot: what stands in its first braces, else all of it
/// (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags>).
fn hashed(key: &[u8]) -> &[u8] {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    tag.unwrap_or(key)
}

/// The hash tag with which another key shares the slot of all keys that a target stands for. None: they are of several
/// slots, or no tag can name theirs.
pub fn tag_of(target: &str) -> Option<String> {
    let route = Route::new(target, "");
    let [one, other] = [b"A", b"B"].map(|kind| route.target(kind).into_owned());
    let tag = hashed(&one);
    let fits = tag == hashed(&other) && !tag.is_empty() && !tag.contains(&b'}');
    fits.then(|| String::from_utf8_lossy(tag).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    #[test]
    fn a_targets_tag_is_what_decides_the_slot_of_all_its_keys() {
        let cases = [
            ("logs", Some("logs")),
            ("{logs}:a", Some("logs")),
            ("{logs}:{type}", Some("logs")),
            ("{type}:{logs}", Some("logs")),
            ("a{b", Some("a{b")),
            ("{{b}c", Some("{b")),
            ("logs:{type}", None),
            ("{type}", None),
            ("{{type}}", None),
            ("{}:{type}", None),
            ("{}logs", None),
            ("a}b", None),
        ];
        for (target, tag) in cases {
            assert_eq!(tag_of(target).as_deref(), tag, "{target}");
            if let Some(tag) = tag {
                assert_eq!(
                    hashed(format!("x:{{{tag}}}:y}}").as_bytes()),
                    tag.as_bytes()
                );
            }
        }
    }

    #[test]
    fn moved_names_the_node_to_go_to() {
        let address = Address::parse(&cli::Server {
            url: "redis://u:p@h:1".to_owned(),
            ..cli::Server::default()
        })
        .unwrap();
        for (detail, node) in [
            ("3999 127.0.0.1:6381", Some("127.0.0.1:6381")),
            ("3999 :6381", Some("h:6381")),
            ("3999 ?:6381", Some("h:6381")),
            ("3999 fe80::1:6381", Some("fe80::1:6381")),
            ("3999 h", None),
            ("3999", None),
        ] {
            let named = address.named_by_moved(detail);
            assert_eq!(named.map(|node| node.to_string()).as_deref(), node);
        }
        let named = address.named_by_moved("1 b:2").unwrap();
        assert_eq!(named.info.redis_settings().password(), Some("p"));
        let (to, why) = (Box::new(named.clone()), String::new());
        Moves::default().follow(&Failure::Moved { to, why });
        let tries = || -> Vec<_> { address.to_try().iter().map(Address::to_string).collect() };
        assert_eq!(tries(), ["b:2"], "and no other, once");
        assert_eq!(tries(), ["h:1"]);
        let other = address.named_by_moved("1 c:3").unwrap();
        let others = [named.info.addr(), other.info.addr()].map(Clone::clone);
        address.nodes.learn(named.info.addr(), others.into_iter());
        assert_eq!(tries(), ["b:2", "c:3", "h:1"]);
    }

    #[test]
    fn the_nodes_of_a_cluster_are_read() {
        let text = |text: &str| Value::BulkString(text.into());
        let node = |host, port| Value::Array(vec![host, Value::Int(port), text("id")]);
        let range =
            |nodes: Vec<Value>| Value::Array([vec![Value::Int(0), Value::Int(1)], nodes].concat());
        let reply = Value::Array(vec![
            range(vec![node(text("a"), 1), node(text("b"), 2)]),
            range(vec![node(Value::Nil, 3)]),
        ]);
        let nodes = [("a", 1), ("b", 2), ("", 3)].map(|(host, port)| (host.to_string(), port));
        assert_eq!(read_slots(&reply), nodes);
        assert_eq!(read_slots(&Value::Nil), []);
    }
}
