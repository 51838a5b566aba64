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
use crate::broker::{Address, Shelf, Taking};
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
        retry(what, Duration::MAX, stop, |health| self.session(health))
    }

    fn session(&mut self, health: &mut Health) -> Result<(), Break> {
        let out = self.out.map_or(0, |(number, _)| number);
        let mut taking = Taking::open(self.address, &self.shelf, out)?;
        health.is_well(self.address);
        self.remove_what_is_out(&mut taking)?;
        // A predecessor may have left something in hand, and its last command may have put something there too.
        let mut has_more = true;
        while !self.passage.is_done() {
            let block = self.next_block(&mut taking, has_more)?;
            if block.is_empty() {
                self.passage.relay.is_out(Duration::ZERO)?;
                taking.wait(WAIT)?;
                has_more = true;
                continue;
            }
            taking.hold()?;
            let (number, elements) = (taking.removed() + 1, block.len());
            self.passage.send_elements(block, number)?;
            self.passage.settle()?;
            self.out = Some((number, elements));
            has_more = taking.remove(elements)?;
        }
        Ok(())
    }

    /// What is in hand, and what can be taken behind it. Without `has_more` nothing is in hand.
    fn next_block(
        &mut self,
        taking: &mut Taking,
        mut has_more: bool,
    ) -> Result<Vec<Vec<u8>>, Break> {
        let mut block = Vec::new();
        loop {
            let (known, count) = (block.len(), self.passage.count_behind(block.len()));
            if count == 0 || Passage::are_block(&block) {
                return Ok(block);
            }
            if has_more {
                block.extend(taking.in_hand(known, count)?);
                has_more = block.len() == known + count;
            } else if let Some(taken) = taking.take(known, count)? {
                block.extend(taken);
                if block.len() < known + count {
                    return Ok(block);
                }
            } else {
                block.clear();
                has_more = true;
            }
        }
    }

    /// The block that was out when the last session ended may be in hand still.
    fn remove_what_is_out(&mut self, taking: &mut Taking) -> Result<(), Break> {
        let Some((number, elements)) = self.out else {
            return Ok(());
        };
        let removed = taking.removed();
        if number == removed + 1 {
            taking.remove(elements)?;
        } else if number > removed {
            talk::warn(&format!(
                "redis {}: it has lost what this consumer had removed (block {removed}, and not {number}): lines may be \
                 repeated",
                self.address
            ));
        } else if taking.is_untold() {
            talk::warn(&format!(
                "redis {}: how many blocks this consumer has removed is gone, and something is in its hand: lines may be \
                 repeated",
                self.address
            ));
        }
        Ok(())
    }
}
