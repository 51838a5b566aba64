//! A Redis Cluster: which nodes it has, which of them a key's slot is on, and what of a key decides its slot.
//!
//! A cluster is known by a server's own word at its greeting. One connection is enough for a watcher, as all its keys
//! share a slot; the node that has the slot is named by `MOVED`, and gone to at the next connect. The other nodes are
//! remembered for the day on which it is gone.

use std::sync::{Arc, Mutex, MutexGuard};

use redis::{ConnectionAddr, Value};

use super::connection::Connection;
use super::encode::push_command;
use super::{Address, Failure};
use crate::route::Route;

/// The nodes that are known of a cluster; of a lone Redis, itself. Shared by all who connect to it.
#[derive(Clone)]
pub struct Nodes(Arc<Mutex<Known>>);

struct Known {
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
        Nodes(Arc::new(Mutex::new(Known {
            given: node.clone(),
            named: None,
            nodes: vec![node.clone()],
            is_cluster: false,
        })))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
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

    /// The next connect goes to this node, which `MOVED` has named.
    pub fn follow(&self, node: &Address) {
        self.nodes.known().named = Some(node.info.addr().clone());
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
        self.at(match self.info.addr().clone() {
            ConnectionAddr::TcpTls {
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure,
                tls_params,
            },
            _ => ConnectionAddr::Tcp(host, port),
        })
    }

    /// The node that a `MOVED` names: its detail is `3999 127.0.0.1:6381`.
    pub fn named_by_moved(&self, detail: &str) -> Option<Address> {
        let (_, place) = detail.split_once(' ')?;
        let (host, port) = place.trim().rsplit_once(':')?;
        Some(self.node(host, port.parse().ok()?))
    }
}

/// Asks a node for the others. A user who may not ask knows those that `MOVED` names.
pub fn learn_nodes(connection: &mut Connection) -> Result<(), Failure> {
    let address = connection.address().clone();
    let mut command = Vec::new();
    push_command(&[b"CLUSTER", b"SLOTS"], &mut command);
    connection.write(&command)?;
    let nodes = read_slots(&connection.reply()?);
    let nodes = nodes.iter().map(|(host, port)| address.node(host, *port));
    let nodes = nodes.map(|node| node.info.addr().clone());
    address.nodes.learn(address.info.addr(), nodes);
    Ok(())
}

/// Host and port of each node in the reply to `CLUSTER SLOTS`: ranges of slots, each `[first, last, node, node, ...]`,
/// a node being `[host, port, id, ...]`.
fn read_slots(reply: &Value) -> Vec<(String, u16)> {
    let mut nodes = Vec::new();
    for range in items(reply) {
        for node in items(range).iter().skip(2) {
            let [host, Value::Int(port), ..] = items(node) else {
                continue;
            };
            let host = match host {
                Value::BulkString(host) => String::from_utf8_lossy(host).into_owned(),
                _ => String::new(),
            };
            nodes.extend(u16::try_from(*port).ok().map(|port| (host, port)));
        }
    }
    nodes
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        _ => &[],
    }
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
        let address = Address::parse("redis://u:p@h:1", &cli::Tls::default()).unwrap();
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
        address.follow(&named);
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
