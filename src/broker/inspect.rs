//! What `check` asks a Redis: what it is, what it keeps, and what our user may do there.
//!
//! Nothing is changed. A command is tried inside a `MULTI` that never gets its `EXEC`: Redis judges who may run what when it
//! queues it. What a server does not tell is not known, and no failure.

use std::collections::BTreeMap;

use redis::Value;

use super::connection::Connection;
use super::record::{self, Place};
use super::{Address, Failure, commit};
use crate::cli::{self, Delivery, Hold, Mode, Retain};
use crate::error::Result;
use crate::route::Route;

const NAME: &str = "tailcast-check";
/// What a line without a type goes to.
const UNKNOWN: &[u8] = b"UNKNOWN";

/// A connection to ask on.
pub struct Inspector {
    connection: Connection,
    pub facts: Facts,
}

/// What a server says of itself: `server`, `version`, `role` of its greeting, else `info:NAME` or `config:NAME`.
#[derive(Debug, Default)]
pub struct Facts(BTreeMap<String, String>);

impl Facts {
    /// None: it does not say.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl FromIterator<(String, String)> for Facts {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Facts {
        Facts(pairs.into_iter().collect())
    }
}

/// The settings that matter, as `CONFIG` calls them.
const SETTINGS: [&str; 4] = ["maxmemory", "maxmemory-policy", "appendonly", "appendfsync"];

impl Inspector {
    pub fn open(address: &Address) -> Result<Inspector, Failure> {
        let mut inspector = Inspector {
            connection: Connection::open(address, NAME, None)?,
            facts: Facts::default(),
        };
        inspector.ask_all()?;
        Ok(inspector)
    }

    fn ask_all(&mut self) -> Result<(), Failure> {
        let greeting = self.answer(&[b"HELLO"])?;
        if let Some(Value::Array(words)) = greeting {
            self.learn_pairs("", &words);
        }
        if let Some(Value::BulkString(text)) = self.answer(&[b"INFO"])? {
            let text = String::from_utf8_lossy(&text);
            let pairs = text.lines().filter_map(|line| line.split_once(':'));
            let pairs = pairs.map(|(name, value)| (format!("info:{name}"), value.to_string()));
            self.facts.0.extend(pairs);
        }
        for setting in SETTINGS {
            let reply = self.answer(&[b"CONFIG", b"GET", setting.as_bytes()])?;
            if let Some(Value::Array(words)) = reply {
                self.learn_pairs("config:", &words);
            }
        }
        Ok(())
    }

    fn learn_pairs(&mut self, kind: &str, words: &[Value]) {
        for pair in words.chunks_exact(2) {
            if let [Value::BulkString(name), Value::BulkString(value)] = pair {
                let [name, value] = [name, value].map(|text| String::from_utf8_lossy(text));
                self.facts
                    .0
                    .insert(format!("{kind}{name}"), value.into_owned());
            }
        }
    }

    /// The reply to a command; None: it is refused, or is not there.
    fn answer(&mut self, words: &[&[u8]]) -> Result<Option<Value>, Failure> {
        let mut out = Vec::new();
        super::encode::push_command(words, &mut out);
        self.connection.write(&out)?;
        Ok(match self.connection.reply()? {
            Value::ServerError(_) => None,
            reply => Some(reply),
        })
    }

    pub fn is_cluster(&self) -> bool {
        self.connection.is_cluster()
    }

    /// Why a watcher with these options could keep no records there.
    pub fn expect_place(&self, options: &cli::Watch) -> Result<(), Failure> {
        commit::place(&self.connection, options).map(drop)
    }
}

/// What a user may not do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Denied {
    /// Commands, each with Redis' own words.
    pub commands: Vec<(String, String)>,
    /// Commands without which a watcher publishes all the same, but does less.
    pub spared: Vec<String>,
    /// Without this nothing else could be tried.
    pub multi: bool,
}

/// What our user may not do of what a watcher with these options does for a source.
pub fn denied(address: &Address, options: &cli::Watch, source: &str) -> Result<Denied, Failure> {
    let mut connection = Connection::open(address, NAME, None)?;
    let place = commit::place(&connection, options).unwrap_or(Place::Alone);
    let key = record::key_of(source, &place);
    let mut denied = Denied::default();
    if options.mode == Mode::Pubsub && options.hold != Hold::Off {
        denied.spare(
            &mut connection,
            &[b"CLIENT", b"LIST", b"TYPE", b"pubsub"],
            2,
        )?;
    }
    let is_exact = options.delivery == Delivery::ExactlyOnce;
    if is_exact {
        denied.note(&mut connection, &[b"WATCH", key.as_bytes()])?;
    }
    if let Some(why) = try_one(&mut connection, &[b"MULTI"])? {
        denied.commands.push(("MULTI".into(), why));
        denied.multi = true;
        return Ok(denied);
    }
    for words in tried(options, key.as_bytes()) {
        let words: Vec<_> = words.iter().map(Vec::as_slice).collect();
        denied.note(&mut connection, &words)?;
    }
    for (words, name) in bounding(options) {
        let words: Vec<_> = words.iter().map(Vec::as_slice).collect();
        denied.spare(&mut connection, &words, name)?;
    }
    // What was queued goes with the connection.
    drop(connection);
    if is_exact {
        denied.note_exec(address)?;
    }
    Ok(denied)
}

/// The commands of a batch, and of taking over and forgetting a record.
fn tried(options: &cli::Watch, key: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let target = Route::new(&options.target, "").target(UNKNOWN).into_owned();
    let command = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect();
    let mut all = vec![
        command(&[b"GET", key]),
        command(&[b"DEL", key]),
        match options.mode {
            Mode::Pubsub => command(&[b"PUBLISH", &target, b"x"]),
            Mode::List => command(&[b"RPUSH", &target, b"x"]),
            Mode::Stream => command(&[b"XADD", &target, b"*", b"line", b"x"]),
        },
    ];
    if options.delivery == Delivery::ExactlyOnce {
        all.push(command(&[b"SET", key, b"x"]));
        if options.mode != Mode::Pubsub {
            all.push(command(&[b"TYPE", &target]));
        }
    }
    all
}

/// The commands that look at what piles up, and trim it; of each so many words are its name.
fn bounding(options: &cli::Watch) -> Vec<(Vec<Vec<u8>>, usize)> {
    let target = Route::new(&options.target, "").target(UNKNOWN).into_owned();
    let target = target.as_slice();
    let command = |words: &[&[u8]], name| (words.iter().map(|word| word.to_vec()).collect(), name);
    match options.mode {
        Mode::Pubsub => Vec::new(),
        Mode::List => vec![
            command(&[b"LLEN", target], 1),
            command(&[b"LTRIM", target, b"0", b"-1"], 1),
        ],
        Mode::Stream => {
            let clock = matches!(options.backlog.retain, Retain::Age(_));
            let clock = clock.then(|| command(&[b"TIME"], 1));
            let own = [
                command(&[b"XLEN", target], 1),
                command(&[b"XINFO", b"GROUPS", target], 2),
                command(&[b"XPENDING", target, b"g"], 1),
                command(&[b"XTRIM", target, b"MINID", b"0"], 1),
            ];
            own.into_iter().chain(clock).collect()
        }
    }
}

impl Denied {
    /// The first `name` words are what the command is called.
    fn spare(
        &mut self,
        connection: &mut Connection,
        words: &[&[u8]],
        name: usize,
    ) -> Result<(), Failure> {
        if try_one(connection, words)?.is_some() {
            let name = words[..name].join(&b' ');
            self.spared
                .push(String::from_utf8_lossy(&name).into_owned());
        }
        Ok(())
    }

    fn note(&mut self, connection: &mut Connection, words: &[&[u8]]) -> Result<(), Failure> {
        if let Some(why) = try_one(connection, words)? {
            let name = String::from_utf8_lossy(words[0]).into_owned();
            self.commands.push((name, why));
        }
        Ok(())
    }

    /// A transaction into which a command did not get is one that `EXEC` refuses to run: nothing can come of it.
    fn note_exec(&mut self, address: &Address) -> Result<(), Failure> {
        let mut connection = Connection::open(address, NAME, None)?;
        try_one(&mut connection, &[b"MULTI"])?;
        try_one(&mut connection, &[b"GET"])?;
        self.note(&mut connection, &[b"EXEC"])
    }
}

/// Sends a command; returns Redis' words where the user may not run it. Other errors are not about that.
fn try_one(connection: &mut Connection, words: &[&[u8]]) -> Result<Option<String>, Failure> {
    let mut out = Vec::new();
    super::encode::push_command(words, &mut out);
    connection.write(&out)?;
    Ok(match connection.reply()? {
        Value::ServerError(error) if error.code() == "NOPERM" => {
            Some(error.details().unwrap_or_default().to_string())
        }
        _ => None,
    })
}
