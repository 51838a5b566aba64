//! Blocks on their way from the thread that receives to the one that writes, and back when they are out.
//!
//! A block is out when its destination has it for good: only then may it be acknowledged.

use std::collections::VecDeque;
use std::mem;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::Duration;

use super::TICK;
use super::destination::Destination;
use crate::error::Result;

/// What goes out as one.
#[derive(Debug, Default)]
pub struct Block {
    pub lines: Vec<u8>,
    /// How far the lines take us, as a text to be kept beside them; empty where that is of no use.
    pub place: Vec<u8>,
}

/// Blocks, and bytes of them, that may be under way: some are written, and wait for the disk together, while the next are
/// read.
const UNDER_WAY: usize = 8;
const BYTES_UNDER_WAY: usize = 4 * 1024 * 1024;
/// A buffer that a giant line has blown up is given back to the system.
const KEEP_CAPACITY: usize = 1024 * 1024;
/// Bytes that are written as one, where writing as one is what pays.
const TOGETHER: usize = 4 * 1024 * 1024;

/// The other side has ended.
#[derive(Debug)]
pub struct Ended;

/// The receiving thread's side.
pub struct Relay {
    to: Sender<Block>,
    back: Receiver<Block>,
    spare: Vec<Block>,
    /// The bytes of each block that is under way.
    in_flight: VecDeque<usize>,
}

/// The writing thread's side.
pub struct Intake {
    from: Receiver<Block>,
    back: Sender<Block>,
}

pub fn pair() -> (Relay, Intake) {
    let (to, from) = mpsc::channel();
    let (back, returned) = mpsc::channel();
    let relay = Relay {
        to,
        back: returned,
        spare: Vec::new(),
        in_flight: VecDeque::new(),
    };
    (relay, Intake { from, back })
}

impl Relay {
    /// An empty block.
    pub fn block(&mut self) -> Block {
        self.spare.pop().unwrap_or_default()
    }

    /// Sends a block off. The caller sees to it that not too much is under way.
    pub fn send(&mut self, block: Block) -> Result<(), Ended> {
        self.in_flight.push_back(block.lines.len());
        self.to.send(block).map_err(|_| Ended)
    }

    /// Blocks that are under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether so much is under way that no more is to be read.
    pub fn is_full(&self) -> bool {
        let bytes: usize = self.in_flight.iter().sum();
        self.in_flight.len() >= UNDER_WAY || bytes >= BYTES_UNDER_WAY
    }

    /// Whether one more block is out; waits for it as long as `wait` says, where one is under way. They come back in the
    /// order in which they were sent.
    pub fn is_out(&mut self, wait: Duration) -> Result<bool, Ended> {
        let returned = if wait.is_zero() || self.in_flight.is_empty() {
            self.back.try_recv().map_err(|error| match error {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            })
        } else {
            self.back.recv_timeout(wait)
        };
        match returned {
            Ok(mut block) => {
                self.in_flight.pop_front();
                for buffer in [&mut block.lines, &mut block.place] {
                    buffer.clear();
                    buffer.shrink_to(KEEP_CAPACITY);
                }
                self.spare.push(block);
                Ok(true)
            }
            Err(RecvTimeoutError::Timeout) => Ok(false),
            Err(RecvTimeoutError::Disconnected) => Err(Ended),
        }
    }
}

impl Intake {
    /// Writes blocks until no more can come.
    pub fn pass_on(self, destination: &mut Destination) -> Result<()> {
        loop {
            match self.from.recv_timeout(TICK) {
                Ok(mut block) => {
                    let joined = self.join(&mut block, destination.waits_for_disk());
                    destination.write(&block.lines, &block.place)?;
                    for block in [block].into_iter().chain(joined) {
                        // Nobody waits for it any more where the other side has ended.
                        let _ = self.back.send(block);
                    }
                }
                Err(RecvTimeoutError::Timeout) => destination.look_after()?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Puts what has come meanwhile into a block; the place of the last one holds for all. Returns what is empty by that.
    fn join(&self, block: &mut Block, pays: bool) -> Vec<Block> {
        let mut joined = Vec::new();
        while pays && block.lines.len() < TOGETHER {
            let Ok(mut next) = self.from.try_recv() else {
                break;
            };
            block.lines.append(&mut next.lines);
            mem::swap(&mut block.place, &mut next.place);
            joined.push(next);
        }
        joined
    }
}
