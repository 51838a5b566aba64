//! What `check` asks a Redis: what it is, what it keeps, and what our user may do there.
//!
//! Nothing is changed. Who may run what is asked (`ACL DRYRUN`, Redis 7); a user who may not ask has each command tried
//! inside a `MULTI` that never gets its `EXEC`, as Redis judges when it queues. A proxy, or a Redis in which `MULTI` has
//! another name, would run it: so a command is sent only right behind one that was seen to be queued, and to be harmless.
//! What a server does not tell is not known, and no failure.

use std::collections::{BTreeMap, HashMap};

use redis::{ServerError, Value, from_redis_value};

use super::connection::Connection;
use super::record::{self, RecordSlot};
use super::{Address, Failure, commit, rights};
use crate::cli;
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
        self.learn_pairs("", &[b"HELLO"])?;
        if let Some(Value::BulkString(text)) = self.answer(&[b"INFO"])? {
            let text = String::from_utf8_lossy(&text);
            let pairs = text.lines().filter_map(|line| line.split_once(':'));
            let pairs = pairs.map(|(name, value)| (format!("info:{name}"), value.to_string()));
            self.facts.0.extend(pairs);
        }
        for setting in SETTINGS {
            self.learn_pairs("config:", &[b"CONFIG", b"GET", setting.as_bytes()])?;
        }
        Ok(())
    }

    /// What the reply to a command says, where it is names and values.
    fn learn_pairs(&mut self, kind: &str, words: &[&[u8]]) -> Result<(), Failure> {
        let reply = self.answer(words)?;
        let pairs = reply.and_then(|reply| from_redis_value::<HashMap<String, Value>>(reply).ok());
        for (name, value) in pairs.unwrap_or_default() {
            if let Value::BulkString(value) = value {
                let value = String::from_utf8_lossy(&value).into_owned();
                self.facts.0.insert(format!("{kind}{name}"), value);
            }
        }
        Ok(())
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
    for (_, is_required, name, args) in rights::needs(options) {
        let args = args.split_whitespace().map(|word| match word {
            "KEY" => key.as_bytes(),
            "TARGET" => &target,
            other => other.as_bytes(),
        });
        let words: Vec<_> = name.split(' ').map(str::as_bytes).chain(args).collect();
        let refused = match *name {
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
            Some(why) if *is_required => denied.commands.push((name, why)),
            Some(_) => denied.optional.push(name),
            None => {}
        }
    }
    // What was queued goes with the connection.
    Ok(denied)
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
