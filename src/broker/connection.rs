//! A connection to Redis: the crate's own, greeted, and with errors that say what they mean for us.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{
    ErrorKind, FromRedisValue, RedisConnectionInfo, RedisError, ServerError, Value,
    from_redis_value, from_redis_value_ref,
};

use super::encode::push_command;
use super::{Address, Failure, REPLY_TIMEOUT, cluster, lower, sentinel, tls};

/// A connection, and how long it may take.
pub struct Connection {
    address: Address,
    inner: redis::Connection,
    /// Whether it leads to a node of a Redis Cluster.
    is_cluster: bool,
    /// Redis has closed it while it was written to.
    is_closed: bool,
    /// Beyond this no reply is waited for.
    deadline: Option<Instant>,
}

/// What is left before a deadline is never nothing, as the system takes that for "without end".
const SHORTEST: Duration = Duration::from_millis(20);

impl Connection {
    /// Connects, to the master where there are sentinels, to a node where there is a cluster; authenticates, selects the
    /// database, and says who we are.
    pub fn open(
        address: &Address,
        name: &str,
        deadline: Option<Instant>,
    ) -> Result<Connection, Failure> {
        let Some(sentinels) = &address.sentinels else {
            return Connection::open_any(address, name, deadline);
        };
        let master = sentinels.find_master(address, deadline)?;
        let mut connection = Connection::open_direct(&master, name, deadline)?;
        sentinel::expect_master(&mut connection)?;
        Ok(connection)
    }

    /// To the first node that answers, where there are several.
    fn open_any(
        address: &Address,
        name: &str,
        deadline: Option<Instant>,
    ) -> Result<Connection, Failure> {
        let mut first = None;
        for node in address.to_try() {
            match Connection::open_direct(&node, name, deadline) {
                Ok(mut connection) if connection.is_cluster => {
                    cluster::learn_nodes(&mut connection)?;
                    return Ok(connection);
                }
                Ok(connection) => return Ok(connection),
                Err(failure) => _ = first.get_or_insert(failure),
            }
        }
        Err(first.unwrap_or_else(|| Failure::Wait(format!("redis {address}: no node is known"))))
    }

    fn open_direct(
        address: &Address,
        name: &str,
        deadline: Option<Instant>,
    ) -> Result<Connection, Failure> {
        // The crate's own greeting would not tell a wrong password from a Redis that has no room for us.
        let bare = RedisConnectionInfo::default().set_skip_set_lib_name();
        let timeout = left(deadline);
        let inner = address
            .client(bare)
            .and_then(|client| client.get_connection_with_timeout(timeout))
            .map_err(|error| failure(address, &error))?;
        let mut connection = Connection {
            address: address.clone(),
            inner,
            is_cluster: false,
            is_closed: false,
            deadline,
        };
        connection.set_timeout(timeout)?;
        connection.greet(name)?;
        Ok(connection)
    }

    fn greet(&mut self, name: &str) -> Result<(), Failure> {
        let settings = self.address.info.redis_settings().clone();
        let mut out = Vec::new();
        let mut replies = 0;
        if let Some(password) = settings.password() {
            let user = settings.username().map(str::as_bytes);
            let auth = [b"AUTH".as_slice()].into_iter().chain(user);
            let words: Vec<_> = auth.chain([password.as_bytes()]).collect();
            push_command(&words, &mut out);
            replies += 1;
        }
        if settings.db() != 0 {
            let number = settings.db().to_string();
            push_command(&[b"SELECT", number.as_bytes()], &mut out);
            replies += 1;
        }
        push_command(&[b"CLIENT", b"SETNAME", name.as_bytes()], &mut out);
        push_command(&[b"HELLO"], &mut out);
        // A last word of Redis may have the password in it too, so it is not looked for.
        let sent = self.inner.send_packed_command(&out);
        sent.map_err(|error| failure(&self.address, &error))?;
        let address = self.address.clone();
        let refused = |reply: &Value| match settings.password() {
            Some(password) => address.refused_login(reply, password),
            None => address.unexpected(reply),
        };
        for _ in 0..replies {
            match self.reply()? {
                Value::Okay => {}
                other => return Err(refused(&other)),
            }
        }
        // It is a courtesy: a user who may not name itself does without. But a Redis that cannot serve says so here.
        match self.reply()? {
            Value::ServerError(error) if !matches!(error.code(), "NOPERM" | "ERR") => {
                return Err(refused(&Value::ServerError(error)));
            }
            _ => {}
        }
        self.is_cluster = is_of_cluster(&self.reply()?);
        Ok(())
    }

    /// Whether it leads to a node of a Redis Cluster.
    pub fn is_cluster(&self) -> bool {
        self.is_cluster
    }

    /// Where it leads.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The crate's connection, for what it does beyond commands and replies.
    pub fn inner(&mut self) -> &mut redis::Connection {
        &mut self.inner
    }

    /// From here on no reply is waited for beyond this.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) -> Result<(), Failure> {
        let (before, after) = (left(self.deadline), left(deadline));
        self.deadline = deadline;
        if before != after {
            self.set_timeout(after)?;
        }
        Ok(())
    }

    fn set_timeout(&self, timeout: Duration) -> Result<(), Failure> {
        let set = self.inner.set_read_timeout(Some(timeout));
        set.and_then(|()| self.inner.set_write_timeout(Some(timeout)))
            .map_err(|error| failure(&self.address, &error))
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.is_empty() {
            // As the crate takes nothing for a mistake.
            return Ok(());
        }
        let sent = self.inner.send_packed_command(bytes);
        sent.map_err(|error| {
            self.is_closed = !error.is_timeout() && !is_interrupted(&error);
            failure(&self.address, &error)
        })
    }

    /// Whether Redis has closed the connection while it was written to.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Why Redis has closed the connection while it was written to, where it said so.
    pub fn last_word(&mut self) -> Option<Failure> {
        while let Ok(reply) = self.inner.recv_response() {
            if let Value::ServerError(error) = reply
                && let refused @ Failure::Refused { .. } = self.address.error_reply(&error)
            {
                return Some(refused);
            }
        }
        None
    }

    /// The next reply, waited for; an error reply is one like another.
    pub fn reply(&mut self) -> Result<Value, Failure> {
        let reply = self.inner.recv_response();
        reply.map_err(|error| failure(&self.address, &error))
    }

    /// One command, and its reply; an error reply is a failure.
    pub fn ask(&mut self, words: &[&[u8]]) -> Result<Value, Failure> {
        let answer = self.try_ask(words)?;
        answer.map_err(|error| self.address.error_reply(&error))
    }

    /// One command, and its reply or Redis's own word why there is none: for who knows what that means.
    pub fn try_ask(&mut self, words: &[&[u8]]) -> Result<Result<Value, ServerError>, Failure> {
        let mut bytes = Vec::new();
        push_command(words, &mut bytes);
        self.write(&bytes)?;
        Ok(match self.reply()? {
            Value::ServerError(error) => Err(error),
            reply => Ok(reply),
        })
    }

    /// The same, as what it is to be.
    pub fn ask_for<T: FromRedisValue>(&mut self, words: &[&[u8]]) -> Result<T, Failure> {
        let reply = self.ask(words)?;
        self.address.read(&reply)
    }

    /// Several commands at once, and their replies together, as what these are to be; the first error reply is the failure.
    pub fn ask_all<T: FromRedisValue>(&mut self, commands: &[&[&[u8]]]) -> Result<T, Failure> {
        let mut bytes = Vec::new();
        for words in commands {
            push_command(words, &mut bytes);
        }
        self.write(&bytes)?;
        let replies = commands.iter().map(|_| self.reply());
        let replies = replies.collect::<Result<_, _>>()?;
        self.read_all(replies)
    }

    /// The commands as one transaction, and their replies. None: a watched key has changed, and nothing was done.
    pub fn transact<'w>(
        &mut self,
        commands: &[impl AsRef<[&'w [u8]]>],
    ) -> Result<Option<Vec<Value>>, Failure> {
        let mut bytes = Vec::new();
        push_command(&[b"MULTI"], &mut bytes);
        for words in commands {
            push_command(words.as_ref(), &mut bytes);
        }
        push_command(&[b"EXEC"], &mut bytes);
        self.write(&bytes)?;
        self.expect_ok()?;
        for _ in commands {
            self.expect(&Value::SimpleString("QUEUED".into()))?;
        }
        match self.reply()? {
            Value::Nil => Ok(None),
            Value::Array(replies) => self.read_all(replies).map(Some),
            other => Err(self.address.unexpected(&other)),
        }
    }

    /// Replies as what they are to be together; the first error reply is the failure.
    fn read_all<T: FromRedisValue>(&self, replies: Vec<Value>) -> Result<T, Failure> {
        let is_error = |reply: &&Value| matches!(reply, Value::ServerError(_));
        match replies.iter().find(is_error) {
            Some(error) => Err(self.address.unexpected(error)),
            None => from_redis_value(Value::Array(replies)).map_err(|error| {
                Failure::Wait(format!(
                    "redis {}: an unexpected reply: {error}",
                    self.address
                ))
            }),
        }
    }

    /// Sees that the next reply is `OK`.
    pub fn expect_ok(&mut self) -> Result<(), Failure> {
        self.expect(&Value::Okay)
    }

    fn expect(&mut self, wanted: &Value) -> Result<(), Failure> {
        match self.reply()? {
            reply if reply == *wanted => Ok(()),
            other => Err(self.address.unexpected(&other)),
        }
    }
}

/// Whether the reply to `HELLO`, names and values, says so. One that does not know it, or denies it, is taken for a lone
/// Redis.
fn is_of_cluster(reply: &Value) -> bool {
    let fields = from_redis_value_ref::<HashMap<String, Value>>(reply);
    fields.is_ok_and(|fields| fields.get("mode") == Some(&Value::BulkString("cluster".into())))
}

/// The time that an answer has.
fn left(deadline: Option<Instant>) -> Duration {
    deadline.map_or(REPLY_TIMEOUT, |deadline| {
        let left = deadline.saturating_duration_since(Instant::now());
        left.clamp(SHORTEST, REPLY_TIMEOUT)
    })
}

/// Whether a signal cut a wait short.
pub fn is_interrupted(error: &RedisError) -> bool {
    let source = error.source();
    let inner = source.and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let inner = inner.and_then(|inner| inner.downcast_ref::<io::Error>());
    inner.is_some_and(|inner| inner.kind() == io::ErrorKind::Interrupted)
}

/// What went wrong on a connection.
pub fn failure(address: &Address, error: &RedisError) -> Failure {
    if is_interrupted(error) {
        return Failure::Interrupted;
    }
    let cause = match error.kind() {
        _ if error.is_timeout() => "no answer in time".into(),
        ErrorKind::Io if error.to_string() == "unexpected end of file" => {
            "it closed the connection".into()
        }
        ErrorKind::Parse => "what answers there does not speak the Redis protocol".into(),
        _ => {
            let text = error.to_string();
            lower(text.split(" (os error").next().unwrap_or_default())
        }
    };
    let text = format!("redis {address}: {cause}");
    match tls::mend(&error.to_string()) {
        Some(mend) => Failure::Fatal(crate::error::Error::Failed(format!("{text}; {mend}"))),
        None => Failure::Wait(text),
    }
}
