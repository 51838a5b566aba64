//! Who is subscribed, and how much of what was published each still has to read.

use std::time::Instant;

use redis::Value;

use super::connection::Connection;
use super::{Address, Failure};

/// `CLIENT LIST TYPE pubsub`, encoded.
pub(super) const LIST: &[u8] =
    b"*4\r\n$6\r\nCLIENT\r\n$4\r\nLIST\r\n$4\r\nTYPE\r\n$6\r\npubsub\r\n";

/// A client that is subscribed to something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// Redis never gives it again.
    pub id: u64,
    /// Where it connects from.
    pub address: String,
    /// Bytes that Redis holds for it.
    pub pending: u64,
}

/// A connection of its own: while a transaction is under way, the session's cannot ask.
pub struct Audience {
    connection: Connection,
}

impl Audience {
    pub fn open(address: &Address, deadline: Option<Instant>) -> Result<Audience, Failure> {
        let connection = Connection::open(address, "tailcast-watch", deadline)?;
        Ok(Audience { connection })
    }

    pub fn look(&mut self) -> Result<Vec<Subscriber>, Failure> {
        self.connection.write(LIST)?;
        let reply = self.connection.reply()?;
        read(&reply).ok_or_else(|| self.connection.address().unexpected(&reply))
    }
}

/// Reads the reply to `LIST`.
pub(super) fn read(reply: &Value) -> Option<Vec<Subscriber>> {
    let Value::BulkString(text) = reply else {
        return None;
    };
    let text = String::from_utf8_lossy(text);
    text.lines().map(read_client).collect()
}

fn read_client(line: &str) -> Option<Subscriber> {
    let field = |name: &str| {
        let mut fields = line.split(' ').filter_map(|field| field.split_once('='));
        fields.find_map(|(key, value)| (key == name).then_some(value))
    };
    Some(Subscriber {
        id: field("id")?.parse().ok()?,
        address: field("addr")?.to_string(),
        pending: field("omem")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_list_is_read() {
        let text = "id=7 addr=127.0.0.1:5 laddr=127.0.0.1:6 fd=8 name=a psub=1 omem=20504 events=r cmd=ping\n\
            id=9 addr=/tmp/s:0 fd=9 name= omem=0\n";
        let client = |id, address: &str, pending| Subscriber {
            id,
            address: address.into(),
            pending,
        };
        let reply = |text: &str| Value::BulkString(text.into());
        assert_eq!(
            read(&reply(text)),
            Some(vec![
                client(7, "127.0.0.1:5", 20504),
                client(9, "/tmp/s:0", 0)
            ])
        );
        assert_eq!(read(&reply("")), Some(Vec::new()));
        assert_eq!(read(&reply("something else\n")), None);
        assert_eq!(read(&Value::Nil), None);
    }
}
