//! The commit records that there are, whoever's they are. Reads them, and touches none.
//!
//! In a Redis Cluster these are the records of the node that is asked.

use super::connection::Connection;
use super::take_over::read_all;
use super::{Address, Failure, Record};
use crate::error::Result;
use crate::order;

const NAME: &str = "tailcast-top";
const PREFIX: &str = "tailcast:commit:";
/// So many keys are gone through at a time, so that Redis is not held up.
const AT_ONCE: &[u8] = b"1000";

/// A connection to ask on.
pub struct Records {
    connection: Connection,
}

impl Records {
    pub fn open(address: &Address) -> Result<Records, Failure> {
        let connection = Connection::open(address, NAME, None)?;
        Ok(Records { connection })
    }

    /// Every source's name and record, by name. What is no record, or has just gone, is left out.
    pub fn read(&mut self) -> Result<Vec<(String, Record)>, Failure> {
        let keys = self.scan()?;
        let records = read_all(&mut self.connection, &keys)?;
        let named = keys
            .iter()
            .zip(records)
            .filter_map(|(key, record)| Some((source_of(key).to_string(), record.ok()??)));
        Ok(named.collect())
    }

    fn scan(&mut self) -> Result<Vec<String>, Failure> {
        let pattern = format!("{PREFIX}*");
        let (mut keys, mut cursor) = (Vec::new(), b"0".to_vec());
        loop {
            let scan: [&[u8]; 6] = [
                b"SCAN",
                &cursor,
                b"MATCH",
                pattern.as_bytes(),
                b"COUNT",
                AT_ONCE,
            ];
            let found: Vec<Vec<u8>>;
            (cursor, found) = self.connection.ask_for(&scan)?;
            let names = found.into_iter();
            keys.extend(names.filter_map(|key| String::from_utf8(key).ok()));
            if cursor == b"0" {
                break;
            }
        }
        // One may be found twice.
        order::sort(&mut keys);
        keys.dedup();
        Ok(keys)
    }
}

/// A source's name, from the key of its record, without a cluster's hash tag.
fn source_of(key: &str) -> &str {
    let name = key.strip_prefix(PREFIX).unwrap_or(key);
    let behind_tag = name
        .strip_prefix('{')
        .and_then(|rest| rest.split_once("}:"));
    match behind_tag {
        // The tag is the target's.
        Some((_, source)) if !source.starts_with('/') => source,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_without_its_targets_tag() {
        for (key, source) in [
            ("tailcast:commit:web-1:/a.log", "web-1:/a.log"),
            ("tailcast:commit:{logs}:web-1:/a.log", "web-1:/a.log"),
            ("tailcast:commit:{web-1}:/a.log", "{web-1}:/a.log"),
            ("tailcast:commit:db", "db"),
        ] {
            assert_eq!(source_of(key), source);
        }
    }
}
