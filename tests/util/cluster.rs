//! A Redis Cluster of the test's own: three masters on loopback, and replicas where they are asked for.

use std::collections::HashSet;

use redis::FromRedisValue;

use super::{Redis, wait_until};

/// Dropped, all of it is gone.
pub struct Cluster {
    /// The masters first.
    pub nodes: Vec<Redis>,
}

const MASTERS: usize = 3;
const SLOTS: usize = 16384;

impl Cluster {
    /// Three masters that share the slots.
    pub fn start() -> Cluster {
        Cluster::start_with(&[])
    }

    pub fn start_with(args: &[&str]) -> Cluster {
        let nodes: Vec<_> = (0..MASTERS).map(|_| start_node(args)).collect();
        for (n, node) in nodes.iter().enumerate() {
            let _: String = node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]);
            let slots = n * SLOTS / MASTERS..(n + 1) * SLOTS / MASTERS;
            let slots: Vec<_> = slots.map(|slot| slot.to_string()).collect();
            let words = ["CLUSTER", "ADDSLOTS"].into_iter();
            let words: Vec<_> = words.chain(slots.iter().map(String::as_str)).collect();
            let _: String = node.ask(&words);
        }
        let cluster = Cluster { nodes };
        for n in 1..MASTERS {
            cluster.meet(n);
        }
        cluster.wait_ready();
        cluster
    }

    /// Adds a replica of a node, in step with it. Returns its index.
    pub fn add_replica(&mut self, of: usize) -> usize {
        self.nodes.push(start_node(&[]));
        let n = self.nodes.len() - 1;
        self.meet(n);
        self.wait_ready();
        let _: String = self.nodes[n].ask(&["CLUSTER", "REPLICATE", &self.id(of)]);
        wait_until("the replica is in step, and all know it", || {
            let info: String = self.nodes[n].ask(&["INFO", "replication"]);
            let knows = |node: &Redis| {
                let nodes: String = node.ask(&["CLUSTER", "NODES"]);
                nodes.contains(&format!("slave {}", self.id(of)))
            };
            info.contains("master_link_status:up") && self.nodes.iter().all(knows)
        });
        n
    }

    fn meet(&self, n: usize) {
        let port = self.nodes[n].port.to_string();
        let _: String = self.nodes[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &port]);
    }

    fn wait_ready(&self) {
        let known = format!("cluster_known_nodes:{}\r", self.nodes.len());
        wait_until("the nodes know each other", || {
            self.nodes.iter().all(|node| {
                let info: String = node.ask(&["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains(&known)
            })
        });
        self.wait_agree();
    }

    /// A slot that moves again before all know of its last move may end up with nobody, and its keys be gone.
    fn wait_agree(&self) {
        wait_until("the nodes agree who has which slots", || {
            let mut views = self.nodes.iter().map(view);
            let first = views.next().expect("a node");
            let epochs: HashSet<_> = first.iter().map(|(_, epoch, _)| epoch).collect();
            epochs.len() >= MASTERS && views.all(|view| view == first)
        });
    }

    pub fn id(&self, node: usize) -> String {
        self.nodes[node].ask(&["CLUSTER", "MYID"])
    }

    pub fn url(&self, node: usize) -> String {
        self.nodes[node].url()
    }

    /// The index of the node that serves a key.
    pub fn owner(&self, key: &str) -> usize {
        let mut owner = None;
        wait_until("a node serves the key", || {
            let serves = |node: &Redis| node.try_ask::<i64>(&["EXISTS", key]).is_ok();
            owner = self.nodes.iter().position(serves);
            owner.is_some()
        });
        owner.expect("a node")
    }

    /// A command about a key, answered by whichever node serves it; None: none does now.
    pub fn ask<T: FromRedisValue>(&self, words: &[&str]) -> Option<T> {
        let mut nodes = self.nodes.iter();
        nodes.find_map(|node| node.try_ask(words).ok())
    }

    /// How many lines a key keeps.
    pub fn count(&self, mode: &str, key: &str) -> usize {
        let length = if mode == "list" { "LLEN" } else { "XLEN" };
        self.ask(&[length, key]).unwrap_or(0)
    }

    /// These lines, in order.
    pub fn kept(&self, mode: &str, key: &str) -> Vec<Vec<u8>> {
        let owner = &self.nodes[self.owner(key)];
        match mode {
            "list" => owner.list(key),
            _ => owner.stream(key),
        }
    }

    /// The keys of all commit records.
    pub fn records(&self) -> Vec<String> {
        let of = |node: &Redis| node.try_ask::<Vec<String>>(&["KEYS", "tailcast:commit:*"]);
        let all = self
            .nodes
            .iter()
            .flat_map(|node| of(node).unwrap_or_default());
        all.collect()
    }

    pub fn slot(&self, key: &str) -> String {
        let slot: usize = self.nodes[0].ask(&["CLUSTER", "KEYSLOT", key]);
        slot.to_string()
    }

    /// Begins to move a slot; from here on its keys can be migrated.
    pub fn begin_move(&self, slot: &str, from: usize, to: usize) {
        let set = |at: usize, how, other: usize| {
            let other = self.id(other);
            let _: String = self.nodes[at].ask(&["CLUSTER", "SETSLOT", slot, how, &other]);
        };
        set(to, "IMPORTING", from);
        set(from, "MIGRATING", to);
    }

    pub fn migrate(&self, key: &str, from: usize, to: usize) {
        let port = self.nodes[to].port.to_string();
        let words = ["MIGRATE", "127.0.0.1", &port, key, "0", "5000"];
        let _: String = self.nodes[from].ask(&words);
    }

    /// Ends a move: the new node is told first, so that the slot is never nobody's. Returns when all know.
    pub fn end_move(&self, slot: &str, from: usize, to: usize) {
        let id = self.id(to);
        let others = (0..MASTERS).filter(|n| ![from, to].contains(n));
        for at in [to, from].into_iter().chain(others) {
            let _: String = self.nodes[at].ask(&["CLUSTER", "SETSLOT", slot, "NODE", &id]);
        }
        self.wait_agree();
    }
}

/// Which nodes there are as one of them sees it, in order: id, epoch of its configuration, and slots.
fn view(node: &Redis) -> Vec<(String, String, String)> {
    let nodes: String = node.ask(&["CLUSTER", "NODES"]);
    let fields = nodes
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let mut view: Vec<_> = fields
        .map(|words| (words[0].into(), words[6].into(), words[8..].join(" ")))
        .collect();
    view.sort();
    view
}

fn start_node(more: &[&str]) -> Redis {
    let args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1500"];
    let delay = ["--repl-diskless-sync-delay", "0"];
    for _ in 0..20 {
        let mut node = Redis::start_with(&[&args[..], &delay, more].concat());
        // It listens before it finds that its bus has no port, and then ends.
        let mut serves = false;
        wait_until("the node serves, or ends", || {
            serves = node.try_ask::<String>(&["CLUSTER", "INFO"]).is_ok();
            serves || node.has_ended()
        });
        if serves {
            return node;
        }
    }
    panic!("no two ports are free for a node of a cluster");
}
