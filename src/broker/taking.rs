//! Takes elements from a list that several consumers share: what is taken stands in a list of the consumer's own until it
//! is removed, a block at a time.
//!
//! Beside that list stands the consumer's turn: how many blocks it has removed, and the token of the session that did.
//! Every removal is a compare-and-set of it, as with the watcher's commit record. So a killed consumer's last removal,
//! which may still sit in a socket buffer, is either seen by its successor or refused; two consumers of the same name
//! cannot remove what the other has in hand; and what a late command still takes stands behind what is in hand, where
//! the next removal finds it.
//!
//! **A turn that can expire has nothing in hand that is out.** So the turn of a consumer that does not come back goes, and an
//! absent turn counts from the last block that is out. Whatever is in hand was put there before that is known, and is kept
//! (`hold`) before it goes anywhere.

use std::time::Duration;

use redis::{Value, from_redis_value};

use super::cluster::tag_of;
use super::connection::Connection;
use super::reading::{NAME, odd, wrong_type};
use super::{Address, Failure};
use crate::error::Error;
use crate::fault;

/// Seconds that a turn stays after its consumer's hand was emptied: 30 days.
const TURN_STAYS: &[u8] = b"2592000";

/// The keys of one consumer of one list.
#[derive(Debug, Clone)]
pub struct Shelf {
    pub list: Vec<u8>,
    /// What this consumer has in hand.
    pub own: Vec<u8>,
    turn: Vec<u8>,
    /// In a cluster all three share a slot.
    has_tag: bool,
}

impl Shelf {
    pub fn new(list: &[u8], consumer: &str) -> Shelf {
        let tag = std::str::from_utf8(list).ok().and_then(tag_of);
        let shown = match &tag {
            Some(tag) => format!("{{{tag}}}").into_bytes(),
            None => list.to_vec(),
        };
        let key = |kind: &str| {
            let (kind, name) = (format!("tailcast:{kind}:"), format!(":{consumer}"));
            [kind.as_bytes(), &shown, name.as_bytes()].concat()
        };
        Shelf {
            list: list.to_vec(),
            own: key("taken"),
            turn: key("turn"),
            has_tag: tag.is_some(),
        }
    }
}

/// A connection that takes, from its take-over to its first error.
pub struct Taking {
    connection: Connection,
    shelf: Shelf,
    token: String,
    /// Blocks that were removed.
    removed: u64,
    /// The turn does not expire.
    is_held: bool,
    /// Something was in hand, and no turn told of what.
    is_untold: bool,
}

impl Taking {
    /// Connects, and takes the consumer's turn over. `out`: the last block that is out, as far as is known.
    pub fn open(address: &Address, shelf: &Shelf, out: u64) -> Result<Taking, Failure> {
        let mut connection = Connection::open(address, NAME, None)?;
        if connection.is_cluster() && !shelf.has_tag {
            return Err(Failure::Fatal(Error::Failed(format!(
                "redis {address}: the list {} has a name that no hash tag can be made of, so in a Redis Cluster its \
                 elements cannot be moved to another: choose another --target for watch",
                shelf.list.escape_ascii()
            ))));
        }
        match connection.ask(&[b"TYPE", &shelf.list])? {
            Value::SimpleString(kind) if matches!(kind.as_str(), "list" | "none") => {}
            _ => return Err(wrong_type(address, &shelf.list, "list", "stream")),
        }
        let mut taking = Taking {
            connection,
            shelf: shelf.clone(),
            token: format!("{:016x}", fastrand::u64(..)),
            removed: out,
            is_held: false,
            is_untold: false,
        };
        while !taking.take_over()? {}
        Ok(taking)
    }

    /// False: somebody else did at the same time.
    fn take_over(&mut self) -> Result<bool, Failure> {
        let (turn, in_hand) = self.look()?;
        self.is_untold = turn.is_none() && in_hand > 0;
        if let Some(text) = turn {
            self.removed = read_turn(&text).ok_or_else(|| self.malformed())?;
        }
        self.set_turn(&[], self.removed, in_hand > 0)
    }

    /// Whether something was in hand, and no turn told how many blocks were removed before it.
    pub fn is_untold(&self) -> bool {
        self.is_untold
    }

    /// Blocks that were removed until now.
    pub fn removed(&self) -> u64 {
        self.removed
    }

    /// What is in hand behind the first `skip` elements, at most so much.
    pub fn in_hand(&mut self, skip: usize, most: usize) -> Result<Vec<Vec<u8>>, Failure> {
        let (first, last) = (skip.to_string(), (skip + most.max(1) - 1).to_string());
        let (own, first, last) = (self.shelf.own.as_slice(), first.as_bytes(), last.as_bytes());
        let items = self.connection.ask(&[b"LRANGE", own, first, last])?;
        self.elements(items)
    }

    /// Waits for an element, and takes it in hand, behind what is there.
    pub fn wait(&mut self, wait: Duration) -> Result<(), Failure> {
        let seconds = wait.as_secs_f64().to_string().into_bytes();
        let Shelf { list, own, .. } = &self.shelf;
        let words: [&[u8]; 6] = [b"BLMOVE", list, own, b"LEFT", b"RIGHT", &seconds];
        let _: Option<Vec<u8>> = self.connection.ask_for(&words)?;
        Ok(())
    }

    /// Takes at most so many elements in hand, behind the `known` ones that are there. None: there are others among them, as
    /// from a predecessor's late command. Each is a reply of its own, so that no reply is large.
    pub fn take(&mut self, known: usize, most: usize) -> Result<Option<Vec<Vec<u8>>>, Failure> {
        let Shelf { list, own, .. } = &self.shelf;
        let take: &[&[u8]] = &[b"LMOVE", list, own, b"LEFT", b"RIGHT"];
        let mut commands = vec![take; most];
        let count: &[&[u8]] = &[b"LLEN", own];
        commands.push(count);
        let mut replies: Vec<Value> = self.connection.ask_all(&commands)?;
        let in_hand = replies.pop();
        replies.retain(|reply| *reply != Value::Nil);
        let taken = self.elements(Value::Array(replies))?;
        let expected = Value::Int((known + taken.len()) as i64);
        Ok(Some(taken).filter(|_| in_hand == Some(expected)))
    }

    /// Sees that the turn stays while something is in hand. It may have expired since nothing was.
    pub fn hold(&mut self) -> Result<(), Failure> {
        fault::point("before-hold");
        while !self.is_held {
            let (turn, _) = self.look()?;
            if turn.is_some_and(|turn| turn != self.turn_text(self.removed)) {
                return Err(self.lost_turn());
            }
            self.set_turn(&[], self.removed, true)?;
        }
        Ok(())
    }

    /// Removes the first `count` elements in hand, which are a block. True: there are more in hand.
    pub fn remove(&mut self, count: usize) -> Result<bool, Failure> {
        let (first, own) = (count.to_string(), self.shelf.own.clone());
        let trim: &[&[u8]] = &[b"LTRIM", &own, first.as_bytes(), b"-1"];
        loop {
            let (turn, in_hand) = self.look()?;
            match turn {
                Some(turn) if turn == self.turn_text(self.removed) => {}
                Some(_) => return Err(self.lost_turn()),
                None => return Err(self.lost_hand()),
            }
            fault::point("before-acknowledge");
            let has_more = in_hand > count;
            if self.set_turn(&[trim], self.removed + 1, has_more)? {
                fault::point("after-acknowledge");
                return Ok(has_more);
            }
        }
    }

    /// Watches and reads the turn, and counts what is in hand.
    fn look(&mut self) -> Result<(Option<Vec<u8>>, usize), Failure> {
        let Shelf { own, turn, .. } = &self.shelf;
        let look: [&[&[u8]]; 3] = [&[b"WATCH", turn, own], &[b"GET", turn], &[b"LLEN", own]];
        let (_, turn, in_hand): (Value, _, _) = self.connection.ask_all(&look)?;
        Ok((turn, in_hand))
    }

    /// Sets the turn behind other commands; one that is not held expires. False: what was looked at has changed.
    fn set_turn(
        &mut self,
        before: &[&[&[u8]]],
        removed: u64,
        is_held: bool,
    ) -> Result<bool, Failure> {
        let text = self.turn_text(removed);
        let set: [&[u8]; 5] = [b"SET", &self.shelf.turn, &text, b"EX", TURN_STAYS];
        let set = if is_held { &set[..3] } else { &set };
        let is_done = self.connection.transact(&[before, &[set]].concat())?;
        let is_done = is_done.is_some();
        if is_done {
            (self.removed, self.is_held) = (removed, is_held);
        }
        Ok(is_done)
    }

    fn elements(&self, items: Value) -> Result<Vec<Vec<u8>>, Failure> {
        from_redis_value(items).map_err(|_| odd(&self.connection, "elements"))
    }

    fn turn_text(&self, removed: u64) -> Vec<u8> {
        format!("{removed} {}", self.token).into_bytes()
    }

    fn lost_turn(&self) -> Failure {
        Failure::LostTurn(format!(
            "redis {}: another subscriber took over what {} holds",
            self.connection.address(),
            self.shelf.own.escape_ascii()
        ))
    }

    fn lost_hand(&self) -> Failure {
        Failure::Wait(format!(
            "redis {}: what this consumer had in hand is gone (evicted, or flushed)",
            self.connection.address()
        ))
    }

    fn malformed(&self) -> Failure {
        Failure::Fatal(Error::Failed(format!(
            "redis {}: {} is not how many blocks were removed: delete the key, which may repeat the block in hand",
            self.connection.address(),
            self.shelf.turn.escape_ascii()
        )))
    }
}

fn read_turn(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.split_once(' ')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumers_keys_share_the_slot_of_the_list() {
        for (list, own) in [
            ("logs", "tailcast:taken:{logs}:web-1"),
            ("{a}:b", "tailcast:taken:{a}:web-1"),
            ("a}b", "tailcast:taken:a}b:web-1"),
        ] {
            let shelf = Shelf::new(list.as_bytes(), "web-1");
            assert_eq!(shelf.own, own.as_bytes());
            assert_eq!(shelf.has_tag, list != "a}b");
            assert_ne!(shelf.own, shelf.turn);
        }
    }

    #[test]
    fn a_turn_is_read_as_it_is_written() {
        assert_eq!(read_turn(b"17 0123456789abcdef"), Some(17));
        for wrong in [&b""[..], b"17", b"x y", b"-1 t"] {
            assert_eq!(read_turn(wrong), None);
        }
    }
}
