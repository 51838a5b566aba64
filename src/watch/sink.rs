//! Lines into batches from a pool, and filled batches to the publisher.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::mpsc::Sender;

use super::{BATCHES, Shared, Work};
use crate::broker::{Batch, Encoder};
use crate::cli::{self, Mode};
use crate::file::Sink;
use crate::position::{Dates, Progress};

/// A batch is full at this size, in bytes of commands.
const BATCH_BYTES: usize = 1024 * 1024;

/// Where the lines that are being read belong.
#[derive(Default)]
pub struct Target {
    pub source: usize,
    pub epoch: u64,
    pub name: Rc<str>,
}

/// Fills batches from the pool, and sends them to the publisher.
pub struct BatchSink<'a> {
    work: &'a Sender<Work>,
    encoder: Encoder,
    /// A batch is full with so many lines.
    limit: usize,
    /// The batch that is being filled, or is to be next.
    filling: Option<Box<Batch>>,
    /// Further empty ones. While all are under way there is no room: so a stalled Redis stops the reading.
    pool: VecDeque<Box<Batch>>,
    pub target: Target,
    /// The batches that are under way: their sources, and the bytes of the logs in them.
    pub out: Vec<(usize, u64)>,
}

impl<'a> BatchSink<'a> {
    pub fn new(shared: &Shared, work: &'a Sender<Work>) -> BatchSink<'a> {
        let options = &shared.options;
        BatchSink {
            work,
            limit: limit(options),
            encoder: Encoder::new(options.mode, &options.target, &options.type_field),
            filling: None,
            pool: (0..BATCHES).map(|_| Box::default()).collect(),
            target: Target::default(),
            out: Vec::new(),
        }
    }

    /// Takes a batch that is through, to be filled again.
    pub fn take_back(&mut self, mut batch: Box<Batch>) {
        let through = (batch.source, batch.bytes);
        if let Some(index) = self.out.iter().position(|out| *out == through) {
            self.out.swap_remove(index);
        }
        batch.clear();
        self.pool.push_back(batch);
    }
}

/// What is full when it holds a few lines is not to get many at once.
fn limit(options: &cli::Watch) -> usize {
    let max = usize::try_from(options.backlog.max).unwrap_or(usize::MAX);
    match options.mode {
        Mode::Pubsub => options.batch_lines,
        Mode::Stream | Mode::List => options.batch_lines.min(max),
    }
}

impl Sink for BatchSink<'_> {
    fn has_room(&mut self) -> bool {
        self.filling = self.filling.take().or_else(|| self.pool.pop_front());
        self.filling.is_some()
    }

    fn line(&mut self, line: &[u8], generation: u64, end: u64) -> bool {
        let limit = self.limit;
        let (encoder, target) = (&self.encoder, &self.target);
        self.filling.as_mut().is_none_or(|batch| {
            debug_assert!(
                batch.lines == 0 || batch.generation == generation,
                "a batch's lines are of one generation"
            );
            batch.generation = generation;
            encoder.push(batch, &target.name, line, end);
            batch.bytes += line.len() as u64 + 1;
            batch.lines >= limit || batch.len() >= BATCH_BYTES
        })
    }

    fn commit(&mut self, progress: Progress, dates: Dates) -> ControlFlow<()> {
        let Some(mut batch) = self.filling.take() else {
            return ControlFlow::Break(());
        };
        debug_assert!(
            progress
                .positions()
                .is_sorted_by(|a, b| a.generation > b.generation),
            "the numbers of a chain rise: {progress:?}"
        );
        (batch.source, batch.epoch) = (self.target.source, self.target.epoch);
        batch.end = Some((progress, dates));
        self.out.push((batch.source, batch.bytes));
        match self.work.send(Work::Batch(batch)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn discard(&mut self) {
        if let Some(batch) = &mut self.filling {
            batch.clear();
        }
    }
}
