//! Redis: where it is, how to reach it, and what its errors mean for us.
//!
//! The only place that names `redis::`. `connection` is the crate's, greeted; `encode` turns lines into a batch
//! of commands, `commit` sends batches and keeps the commit `record`. `subscription` receives what is published,
//! `audience` tells who else does; `reading` and `group` receive from a stream, `taking` from a list; `backlog` is what
//! nobody has taken yet. `sentinel` and `cluster` say which Redis it is.

mod audience;
mod backlog;
mod cluster;
mod commit;
mod connection;
mod encode;
mod entry;
mod extent;
mod group;
mod inspect;
mod reading;
mod record;
mod records;
mod rights;
mod sentinel;
mod subscription;
mod take_over;
mod taking;
mod tls;

use std::fmt;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{
    Client, ConnectionInfo, FromRedisValue, IntoConnectionInfo, RedisConnectionInfo, RedisResult,
    ServerError, Value, from_redis_value_ref,
};

use crate::cli::{self, Mode};
use crate::error::{Error, Result};
use cluster::Nodes;
use sentinel::Sentinels;

pub use audience::{Audience, Subscriber};
#[cfg(test)]
pub use backlog::Group;
pub use backlog::{Backlog, Standing, Trim, count_kept};
pub use cluster::Moves;
pub use commit::{Arrived, Claim, Session};
pub use encode::{Batch, Encoder, Removed};
pub use entry::{Delivered, Id, StreamEntry};
pub use extent::{Extent, Reach};
pub use group::{Consumer, GroupFailure, Member};
pub use inspect::{Denied, ServerFacts, Survey, denied};
pub use reading::Reading;
pub use record::{Record, source_name};
pub use records::Records;
pub use rights::mend as mend_rights;
pub use subscription::Subscription;
pub use take_over::{TakeOver, TakenOver, forget_records, read_records};
pub use taking::{Shelf, Taking};

/// A connection attempt, and a reply, may take this long; then the connection is given up.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why Redis did not do what it was asked to.
#[derive(Debug)]
pub enum Failure {
    /// It heals by itself or by somebody's hand: nothing moves until then.
    Wait(String),
    /// A signal came while a reply was waited for, as when the program was stopped and goes on: the connection is of no
    /// use, and nothing is wrong.
    Interrupted,
    /// Another node of the cluster has the keys.
    Moved { to: Box<Address>, why: String },
    /// A source's commit record is not what this session made it: the source is to be taken over anew.
    LostTurn(String),
    /// A line cannot be published, and those behind it can.
    Refused { what: Refusal, why: String },
    /// It will be the same next time, until somebody mends what the error names.
    Fatal(Error),
}

/// Which lines Redis refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// One that is longer than its `proto-max-bulk-len`.
    TooLong,
    /// Those for a key that holds something else; their own type names it.
    Key(Vec<u8>),
}

impl Refusal {
    /// Takes the lines that it is about out of a batch.
    pub fn take_out(&self, batch: &mut Batch, mode: Mode) -> Vec<Removed> {
        batch.remove(mode, |target, line| match self {
            Refusal::TooLong => line.len() > SHORTEST_LIMIT,
            Refusal::Key(key) => key == target,
        })
    }
}

/// The least that `proto-max-bulk-len` can be: what is no longer is never refused for its length.
const SHORTEST_LIMIT: usize = 1024 * 1024;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Interrupted => f.write_str("interrupted by a signal"),
            Failure::Wait(why)
            | Failure::Moved { why, .. }
            | Failure::LostTurn(why)
            | Failure::Refused { why, .. } => f.write_str(why),
            Failure::Fatal(error) => error.fmt(f),
        }
    }
}

/// Where Redis is; its `Display` never shows the password.
#[derive(Clone)]
pub struct Address {
    /// With sentinels: user, password and database of the master, and the first sentinel's address.
    info: ConnectionInfo,
    sentinels: Option<Sentinels>,
    nodes: Nodes,
    certificates: tls::Certificates,
}

impl Address {
    /// Reads its URL: `redis://[user:password@]host[:port][/db]`, the same with `rediss://`, or `redis+unix:///path`. No
    /// error shows more of it than what it lacks, as a password may stand anywhere in one that is wrong.
    pub fn parse(server: &cli::Server) -> Result<Address> {
        let url = server.url.as_str();
        let fail = |cause: String| {
            let takes = "it takes redis://[user:password@]host[:port][/db], the same with rediss:// for TLS, \
                redis+unix:///path/to/socket, or redis+sentinel://host[:port],.../MASTER[/db]";
            Error::Usage(format!("--redis: not a Redis URL: {cause}; {takes}"))
        };
        let is_tls = url.starts_with("rediss:") || url.starts_with("valkeys:");
        let certificates = tls::read(is_tls, server)?;
        let (sentinels, url) = match sentinel::split(url).transpose().map_err(fail)? {
            Some((sentinels, lone)) => (Some(sentinels), lone),
            None => (None, url.to_string()),
        };
        // An @ behind the host is of a password whose beginning would be taken for a port, and shown.
        let mut behind_host = url.split(['/', '?', '#']).skip(3);
        let is_socket = url.starts_with("redis+unix:") || url.starts_with("unix:");
        if !is_socket && behind_host.any(|part| part.contains('@')) {
            let cause = "a /, ? or # of the password is written as %2F, %3F or %23";
            return Err(fail(cause.into()));
        }
        let info = url
            .into_connection_info()
            .map_err(|error| fail(lower(&error.to_string())))?;
        let settings = info.redis_settings();
        if settings.username().is_some() && settings.password().is_none() {
            let text = "--redis: its user has no password: write redis://USER:PASSWORD@...; where the user needs none, any \
                will do";
            return Err(Error::Usage(text.into()));
        }
        Ok(Address {
            nodes: Nodes::only(info.addr()),
            info,
            sentinels,
            certificates,
        })
    }

    /// The user who is logged in.
    pub fn user(&self) -> &str {
        self.info.redis_settings().username().unwrap_or("default")
    }

    /// What the crate connects with; the greeting is ours.
    fn client(&self, bare: RedisConnectionInfo) -> RedisResult<Client> {
        // A batch goes out in several writes: held back by the system, each would wait for an answer to the one before.
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = self.info.clone().set_redis_settings(bare);
        tls::client(info.set_tcp_settings(tcp), &self.certificates)
    }

    /// An error reply, as what it means for us.
    fn error_reply(&self, error: &ServerError) -> Failure {
        self.refusal(error.code(), error.details().unwrap_or_default())
    }

    /// A reply as what it is to be.
    fn read<T: FromRedisValue>(&self, reply: &Value) -> Result<T, Failure> {
        from_redis_value_ref(reply).map_err(|_| self.unexpected(reply))
    }

    /// An answer to a greeting that has the password in it: whoever answers may say it again, as Redis does where it does
    /// not know `AUTH`, so no more is shown than the code.
    fn refused_login(&self, reply: &Value, password: &str) -> Failure {
        let (code, detail) = match reply {
            Value::ServerError(error) => (error.code(), error.details().unwrap_or_default()),
            _ => ("", ""),
        };
        let is_code =
            !code.contains(password) && code.bytes().all(|byte| byte.is_ascii_uppercase());
        let shown = Some(code).filter(|code| is_code && !code.is_empty());
        let text = format!(
            "redis {self}: the login is answered with {}",
            shown.unwrap_or("something else than OK")
        );
        match mend(code, detail) {
            Some(mend) => Failure::Fatal(Error::Failed(format!("{text}; {mend}"))),
            None => Failure::Wait(text),
        }
    }

    fn unexpected(&self, reply: &Value) -> Failure {
        match reply {
            Value::ServerError(error) => self.error_reply(error),
            other => Failure::Wait(format!("redis {self}: an unexpected reply: {other:?}")),
        }
    }

    fn refusal(&self, code: &str, detail: &str) -> Failure {
        let text = format!("redis {self}: {code} {detail}");
        if detail.contains("invalid bulk length") {
            return Failure::Refused {
                what: Refusal::TooLong,
                why: text,
            };
        }
        match (code, self.named_by_moved(detail)) {
            // Records are elsewhere in a cluster: one that is not known to be one is no place to go on in.
            ("MOVED", Some(to)) if self.nodes.is_cluster() => {
                let (to, why) = (Box::new(to), text);
                return Failure::Moved { to, why };
            }
            ("ASK" | "TRYAGAIN", _) => {
                return Failure::Wait(format!(
                    "{text}: the slot of the keys is moving to another node"
                ));
            }
            _ => {}
        }
        match mend(code, detail) {
            Some(mend) => Failure::Fatal(Error::Failed(format!("{}; {mend}", text.trim_end()))),
            None => Failure::Wait(text),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sentinels {
            Some(sentinels) => write!(f, "{} (of sentinel {})", sentinels.master, self.info.addr()),
            None => write!(f, "{}", self.info.addr()),
        }
    }
}

/// What a person can do about an error reply; None: it may heal without one, so it is waited for.
fn mend(code: &str, detail: &str) -> Option<&'static str> {
    Some(match code {
        "NOAUTH" => "give the password in the URL of --redis or $REDIS_URL",
        "WRONGPASS" => "give the right user and password in the URL of --redis or $REDIS_URL",
        "NOPERM" => {
            "let the user run it (ACL SETUSER): tailcast check prints the line for all that a watcher needs, and \
             docs/redis.md has the one for subscribe"
        }
        "WRONGTYPE" => {
            "another program keeps something else under that key: choose another --target, or delete the key"
        }
        "DENIED" => "Redis is in protected mode: give it a password, or let it bind to loopback",
        "MOVED" | "CROSSSLOT" => {
            "a Redis Cluster is known by its reply to HELLO: leave it that command"
        }
        "ERR" if detail.contains("max number of clients") => return None,
        "ERR" if detail.contains("without any password configured") => {
            "take the password out of the URL"
        }
        "ERR" if detail.contains("SELECT is not allowed in cluster mode") => {
            "a Redis Cluster has no databases: take the number out of the URL"
        }
        "ERR" if detail.contains("DB index") => "choose another database number in the URL",
        "ERR" if detail.starts_with("unknown command") => {
            "is this a Redis 6.2 or later, or a Valkey?"
        }
        _ => return None,
    })
}

/// Another library's words, fit for the middle of a line.
fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address> {
        Address::parse(&cli::Server {
            url: url.to_owned(),
            ..cli::Server::default()
        })
    }

    #[test]
    fn an_address_never_shows_the_password() {
        for url in [
            "redis://user:hunter2@localhost:1234/3",
            "redis://:hunter2@localhost:1234",
            "redis://localhost:1234",
        ] {
            assert_eq!(parse(url).unwrap().to_string(), "localhost:1234");
        }
        for url in [
            "redis://:hunter2@",
            "redis://:hunter2@h/x",
            "redis+sentinel://:hunter2@h",
            "redis+sentinel://:hunter2@h:x/m",
            "redis+sentinel://:hunter2@h/m/x",
            "http://:hunter2@h",
            "redis://u:12/hunter2@h",
            "redis://u:12?hunter2@h",
            "redis://u:12#hunter2@h",
            "redis+sentinel://u:12#hunter2@h/m",
            "hunter2",
        ] {
            let error = parse(url).err().unwrap().to_string();
            assert!(
                error.starts_with("--redis: not a Redis URL: ") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_user_without_a_password_is_not_taken_for_the_default_user() {
        for url in ["redis://bob@h", "redis+unix:///s?user=bob"] {
            let error = parse(url).err().unwrap().to_string();
            assert!(
                error.contains("its user has no password") && !error.contains("bob"),
                "{error}"
            );
        }
    }

    #[test]
    fn nothing_of_an_answer_to_the_password_is_shown_but_its_code() {
        let address = parse("redis://h").unwrap();
        let shown = |reply: &[u8]| {
            let reply = redis::parse_redis_value(reply).unwrap();
            address.refused_login(&reply, "HUNTER").to_string()
        };
        let told =
            shown(b"-ERR unknown command 'AUTH', with args beginning with: 'bob' 'HUNTER' \r\n");
        assert!(
            told.starts_with("redis h:6379: the login is answered with ERR; "),
            "{told}"
        );
        for reply in [
            &b"-HUNTER is wrong\r\n"[..],
            b"-'HUNTER' is wrong\r\n",
            b"+HUNTER\r\n",
            b"*3\r\n$4\r\nAUTH\r\n$3\r\nbob\r\n$6\r\nHUNTER\r\n",
            b"-ERR HUNTER\r\n",
            b"-WRONGPASS HUNTER\r\n",
        ] {
            let told = shown(reply);
            assert!(!told.contains("HUNTER") && !told.contains("bob"), "{told}");
        }
    }

    #[test]
    fn an_error_reply_is_waited_for_or_ends_the_program_with_a_mend() {
        let address = parse("redis://h").unwrap();
        for code in [
            "OOM",
            "READONLY",
            "LOADING",
            "MASTERDOWN",
            "BUSY",
            "NOREPLICAS",
            "MISCONF",
            "CLUSTERDOWN",
            "ASK",
            "TRYAGAIN",
        ] {
            assert!(
                matches!(address.refusal(code, "x"), Failure::Wait(_)),
                "{code}"
            );
        }
        for detail in ["max number of clients reached", "something new"] {
            assert!(matches!(address.refusal("ERR", detail), Failure::Wait(_)));
        }
        assert!(matches!(
            address.refusal("ERR", "unknown command 'WATCH'"),
            Failure::Fatal(_)
        ));
        for code in [
            "WRONGTYPE",
            "NOAUTH",
            "WRONGPASS",
            "NOPERM",
            "CROSSSLOT",
            "MOVED",
        ] {
            assert!(
                matches!(address.refusal(code, "1 h:6381"), Failure::Fatal(_)),
                "{code}"
            );
        }
        address.nodes.learn(address.info.addr(), std::iter::empty());
        assert!(matches!(
            address.refusal("MOVED", "1 h:6381"),
            Failure::Moved { .. }
        ));
    }
}
