//! Receives a list that several consumers share, in blocks that are removed when they are out.
//!
//! What a consumer has taken stands in a list of its own until then; what was left there comes first. Blocks are numbered
//! in Redis and in the place beside `--output`: so it is known of a block that was left whether the file has it.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::WAIT;
use super::passage::Passage;
use super::place::At;
use super::retry::{Break, Health, retry};
use crate::broker::{Address, Shelf, Taking, Turn};
use crate::error::Result;
use crate::talk;

/// A consumer of a list.
pub struct Taker<'a> {
    address: &'a Address,
    shelf: Shelf,
    passage: Passage<'a>,
    /// The number of the last block that is out, and its elements. None: nobody knows.
    out: Option<(u64, usize)>,
}

impl<'a> Taker<'a> {
    pub fn new(address: &'a Address, shelf: Shelf, passage: Passage<'a>) -> Taker<'a> {
        let out = match passage.place.as_ref().map(|place| place.at) {
            Some(At::List { block, elements }) if block > 0 => Some((block, elements)),
            _ => None,
        };
        Taker {
            address,
            shelf,
            passage,
            out,
        }
    }

    /// Receives until `--count` lines, a signal, or an error that does not heal.
    pub fn run(mut self, stop: &AtomicBool) -> Result<()> {
        let what = format!("the list {}", self.shelf.list.escape_ascii());
        retry(what, stop, |health| self.session(health))
    }

    fn session(&mut self, health: &mut Health) -> Result<(), Break> {
        let mut taking = Taking::open(self.address, &self.shelf)?;
        health.is_well(self.address);
        self.remove_what_is_out(&mut taking)?;
        if self.passage.is_done() {
            return Ok(());
        }
        let mut block = taking.in_hand(self.passage.count())?;
        while !block.is_empty() || !self.passage.is_done() {
            if block.is_empty() {
                self.passage.relay.is_out(Duration::ZERO)?;
                taking.wait(WAIT)?;
                // All of it: a predecessor's last command may have put something there too.
                block = taking.in_hand(self.passage.count())?;
                continue;
            }
            let number = taking.removed() + 1;
            self.passage.send_elements(&block, number)?;
            self.passage.settle()?;
            self.out = Some((number, block.len()));
            let most = if self.passage.is_done() {
                0
            } else {
                self.passage.count()
            };
            block = match taking.turn(block.len(), most)? {
                Turn::Next(block) => block,
                Turn::More if self.passage.is_done() => break,
                Turn::More => taking.in_hand(self.passage.count())?,
            };
        }
        Ok(())
    }

    /// The block that was out when the last session ended may be in hand still.
    fn remove_what_is_out(&mut self, taking: &mut Taking) -> Result<(), Break> {
        let Some((number, elements)) = self.out else {
            return Ok(());
        };
        let removed = taking.removed();
        if number == removed + 1 {
            taking.turn(elements, 0)?;
        } else if number > removed {
            talk::warn(&format!(
                "redis {}: it has lost what this consumer had removed (block {removed}, and not {number}): lines may be \
                 repeated",
                self.address
            ));
        }
        Ok(())
    }
}
