//! Where the master is, as the sentinels say: asked anew at each connect, and not believed before its own `ROLE` agrees.
//!
//! The crate's feature `sentinel` is not used: it asks them without a limit in time, on which `--timeout` and a signal
//! would wait, and brings two more crates for a few lines less.

use std::time::Instant;

use redis::{ConnectionAddr, Value, from_redis_value_ref};

use super::cluster::Nodes;
use super::connection::Connection;
use super::{Address, Failure};
use crate::error::Error;

/// `redis+sentinel://h1:p1,h2:p2/MASTER`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentinels {
    /// Host and port of each.
    pub hosts: Vec<(String, u16)>,
    /// What they call the master.
    pub master: String,
}

const SCHEME: &str = "redis+sentinel://";
const PORT: u16 = 26379;

/// Parts such a URL: the sentinels, and the URL of a lone Redis that has the rest. None: it is another kind of URL. The
/// error says what is wrong with it.
pub fn split(url: &str) -> Option<Result<(Sentinels, String), String>> {
    let rest = url.strip_prefix(SCHEME)?;
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (format!("{user}@"), rest),
        None => (String::new(), rest),
    };
    let mut parts = rest.trim_end_matches('/').split('/');
    let hosts = parts.next().unwrap_or_default();
    let Some(master) = parts.next().filter(|master| !master.is_empty()) else {
        return Some(Err("the name of the master is missing".into()));
    };
    let db = parts.next().unwrap_or_default();
    let hosts: Option<Vec<_>> = hosts.split(',').map(read_host).collect();
    Some(match hosts {
        Some(hosts) => {
            let (host, port) = &hosts[0];
            let lone = format!("redis://{user}{host}:{port}/{db}");
            let master = master.to_string();
            Ok((Sentinels { hosts, master }, lone))
        }
        None => Err("not a list of sentinels".into()),
    })
}

fn read_host(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (text, PORT),
    };
    (!host.is_empty()).then(|| (host.to_string(), port))
}

impl Sentinels {
    /// Asks one after the other where the master is.
    pub fn find_master(
        &self,
        address: &Address,
        deadline: Option<Instant>,
    ) -> Result<Address, Failure> {
        let mut last = None;
        for (host, port) in &self.hosts {
            match self.ask(&address.of_sentinel(host, *port), deadline) {
                Ok((host, port)) => return Ok(address.of_redis(host, port)),
                // One that knows the master is better informed than one that does not.
                Err(failure) => {
                    last = last
                        .filter(|last| !matches!(last, Failure::Fatal(_)))
                        .or(Some(failure))
                }
            }
        }
        Err(last.unwrap_or_else(|| Failure::Wait(format!("redis {address}: no sentinel"))))
    }

    fn ask(&self, sentinel: &Address, deadline: Option<Instant>) -> Result<(String, u16), Failure> {
        let mut connection = Connection::open(sentinel, "tailcast", deadline)?;
        let master = self.master.as_bytes();
        let place: Option<(String, u16)> =
            connection.ask_for(&[b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", master])?;
        place.ok_or_else(|| {
            Failure::Fatal(Error::Failed(format!(
                "redis {sentinel}: this sentinel knows no master {}; name the one that it monitors in the URL of --redis",
                self.master
            )))
        })
    }
}

/// Sees that a connection leads to the master: the sentinels may not have noticed yet that another one is.
pub fn expect_master(connection: &mut Connection) -> Result<(), Failure> {
    let words: Vec<Value> = connection.ask_for(&[b"ROLE"])?;
    let role: Option<String> = words
        .first()
        .and_then(|role| from_redis_value_ref(role).ok());
    match role.as_deref().unwrap_or("stranger") {
        "master" => Ok(()),
        role => Err(Failure::Wait(format!(
            "redis {}: it is a {role}, and no sentinel knows of another master yet",
            connection.address()
        ))),
    }
}

impl Address {
    fn of_redis(&self, host: String, port: u16) -> Address {
        let node = ConnectionAddr::Tcp(host, port);
        Address {
            nodes: Nodes::only(&node),
            info: self.info.clone().set_addr(node),
            sentinels: None,
            certificates: self.certificates.clone(),
        }
    }

    /// Without user and password, which are the master's.
    fn of_sentinel(&self, host: &str, port: u16) -> Address {
        let mut address = self.of_redis(host.to_string(), port);
        address.info = address.info.set_redis_settings(Default::default());
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentinel_url_has_hosts_a_master_and_the_rest() {
        let sentinels = |hosts: &[(&str, u16)], master: &str| Sentinels {
            hosts: hosts
                .iter()
                .map(|(host, port)| (host.to_string(), *port))
                .collect(),
            master: master.into(),
        };
        let cases = [
            ("h/m", sentinels(&[("h", 26379)], "m"), "redis://h:26379/"),
            (
                "u:p%40@a:1,b:2/m/3",
                sentinels(&[("a", 1), ("b", 2)], "m"),
                "redis://u:p%40@a:1/3",
            ),
        ];
        for (rest, sentinels, lone) in cases {
            let parted = split(&format!("{SCHEME}{rest}"));
            assert_eq!(parted, Some(Ok((sentinels, lone.to_string()))), "{rest}");
        }
        for rest in ["h", "h/", "h:x/m", ",/m"] {
            assert!(
                matches!(split(&format!("{SCHEME}{rest}")), Some(Err(_))),
                "{rest}"
            );
        }
        assert_eq!(split("redis://h/"), None);
    }
}
