//! What `check` asks a Redis: what it is, what it keeps, and what our user may do there.
//!
//! Nothing is changed. Who may run what is asked (`ACL DRYRUN`, Redis 7); a user who may not ask has each command tried
//! inside a `MULTI` that never gets its `EXEC`, as Redis judges when it queues. A proxy, or a Redis in which `MULTI` has
//! another name, would run it: so a command is sent only right behind one that was seen to be queued, and to be harmless.
//! What a server does not tell is not known, and no failure.

use std::collections::BTreeMap;

use redis::{ServerError, Value};

use super::connection::Connection;
use super::record::{self, RecordSlot};
use super::{Address, Failure, commit};
use crate::cli::{self, Delivery, Hold, Mode, Retain};
use crate::error::Result;
use crate::route::Route;

const NAME: &str = "tailcast-check";
/// What a line without a type goes to.
const UNKNOWN: &[u8] = b"UNKNOWN";

/// A connection to ask on.
pub struct Survey {
    connection: Connection,
    pub facts: ServerFacts,
}

/// What a server says of itself: `server`, `version`, `role` of its greeting, else `info:NAME` or `config:NAME`.
#[derive(Debug, Default)]
pub struct ServerFacts(BTreeMap<String, String>);

impl ServerFacts {
    /// The first of these that it says. None: it says none.
    pub fn first(&self, names: &[&str]) -> Option<&str> {
        names
            .iter()
            .find_map(|name| Some(self.0.get(*name)?.as_str()))
    }
}

impl FromIterator<(String, String)> for ServerFacts {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> ServerFacts {
        ServerFacts(pairs.into_iter().collect())
    }
}

/// The settings that matter, as `CONFIG` calls them.
const SETTINGS: [&str; 4] = ["maxmemory", "maxmemory-policy", "appendonly", "appendfsync"];

impl Survey {
    pub fn open(address: &Address) -> Result<Survey, Failure> {
        let mut survey = Survey {
            connection: Connection::open(address, NAME, None)?,
            facts: ServerFacts::default(),
        };
        survey.ask_all()?;
        Ok(survey)
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
        Ok(self.connection.try_ask(words)?.ok())
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
    pub commands: Vec<(&'static str, String)>,
    /// Commands without which a watcher publishes all the same, but does less.
    pub optional: Vec<&'static str>,
    /// Some could not even be asked for.
    pub has_unasked: bool,
}

/// A command that a watcher runs.
struct Need<'w> {
    name: &'static str,
    args: Vec<&'w [u8]>,
    /// Nothing is published without it.
    is_required: bool,
}

/// What our user may not do of what a watcher with these options does for a source.
pub fn denied(address: &Address, options: &cli::Watch, source: &str) -> Result<Denied, Failure> {
    let mut connection = Connection::open(address, NAME, None)?;
    let place = commit::place(&connection, options).unwrap_or(RecordSlot::Alone);
    let key = record::key_of(source, &place);
    let target = Route::new(&options.target, "").target(UNKNOWN).into_owned();
    let dry_run = [b"ACL", b"DRYRUN".as_slice(), address.user().as_bytes()];
    let is_told = connection.try_ask(&[&dry_run[..], &[b"GET", key.as_bytes()]].concat())?;
    let is_told = is_told.is_ok();
    let multi = match is_told {
        true => None,
        false => refusal(connection.try_ask(&[b"MULTI"])?),
    };
    let mut denied = Denied::default();
    for need in needs(options, key.as_bytes(), &target) {
        let name = need.name.split(' ').map(str::as_bytes);
        let words: Vec<&[u8]> = name.chain(need.args).collect();
        let refused = match need.name {
            _ if is_told => told(connection.try_ask(&[&dry_run[..], &words].concat())?),
            "MULTI" => multi.clone(),
            "EXEC" => try_exec(address)?,
            _ if is_queueing(&mut connection)? => refusal(connection.try_ask(&words)?),
            _ => {
                denied.has_unasked = true;
                None
            }
        };
        match refused {
            Some(why) if need.is_required => denied.commands.push((need.name, why)),
            Some(_) => denied.optional.push(need.name),
            None => {}
        }
    }
    // What was queued goes with the connection.
    Ok(denied)
}

/// The commands of a batch, of taking over and forgetting a record, and of looking at what piles up and trimming it.
fn needs<'w>(options: &cli::Watch, key: &'w [u8], target: &'w [u8]) -> Vec<Need<'w>> {
    let command = |is_required, name, args: &[&'w [u8]]| Need {
        name,
        args: args.to_vec(),
        is_required,
    };
    let is_exact = options.delivery == Delivery::ExactlyOnce;
    let mut all = vec![command(true, "GET", &[key]), command(true, "DEL", &[key])];
    if is_exact {
        all.extend([
            command(true, "MULTI", &[]),
            command(true, "EXEC", &[]),
            command(true, "WATCH", &[key]),
            command(true, "SET", &[key, b"x"]),
        ]);
    }
    if is_exact && options.mode != Mode::Pubsub {
        all.push(command(true, "TYPE", &[target]));
    }
    match options.mode {
        Mode::Pubsub => {
            all.push(command(true, "PUBLISH", &[target, b"x"]));
            if options.hold != Hold::Off {
                all.push(command(false, "CLIENT LIST", &[b"TYPE", b"pubsub"]));
            }
        }
        Mode::List => all.extend([
            command(true, "RPUSH", &[target, b"x"]),
            command(false, "LLEN", &[target]),
            command(false, "LTRIM", &[target, b"0", b"-1"]),
        ]),
        Mode::Stream => {
            all.extend([
                command(true, "XADD", &[target, b"*", b"line", b"x"]),
                command(false, "XLEN", &[target]),
                command(false, "XINFO GROUPS", &[target]),
                command(false, "XPENDING", &[target, b"g"]),
                command(false, "XTRIM", &[target, b"MINID", b"0"]),
            ]);
            if matches!(options.backlog.retain, Retain::Age(_)) {
                all.push(command(false, "TIME", &[]));
            }
        }
    }
    all
}

/// Whether what is sent is queued: tried with a command that any user may run, and that changes nothing.
fn is_queueing(connection: &mut Connection) -> Result<bool, Failure> {
    let queued = Value::SimpleString("QUEUED".into());
    let answer = connection.try_ask(&[b"HELLO"])?;
    Ok(answer.is_ok_and(|answer| answer == queued))
}

/// Runs a transaction in which nothing is done.
fn try_exec(address: &Address) -> Result<Option<String>, Failure> {
    let mut connection = Connection::open(address, NAME, None)?;
    let begun = connection.try_ask(&[b"MULTI"])?;
    if begun != Ok(Value::Okay) || !is_queueing(&mut connection)? {
        return Ok(None);
    }
    Ok(refusal(connection.try_ask(&[b"EXEC"])?))
}

/// The reply to `ACL DRYRUN`: `OK`, or why not.
fn told(answer: Result<Value, ServerError>) -> Option<String> {
    match answer {
        Ok(Value::Okay) => None,
        Ok(Value::BulkString(why)) => Some(String::from_utf8_lossy(&why).into_owned()),
        Ok(_) => None,
        Err(error) => Some(error.details().unwrap_or_default().to_string()),
    }
}

/// Redis' words where a command may not be run, or is not there. Other errors are not about that.
fn refusal(answer: Result<Value, ServerError>) -> Option<String> {
    let error = answer.err()?;
    let details = error.details().unwrap_or_default();
    let is_absent = error.code() == "ERR" && details.starts_with("unknown command");
    (is_absent || error.code() == "NOPERM").then(|| details.to_string())
}
