//! Where each source goes on: what its record and its checkpoint say, and what has arrived of what is under way.

use super::{Publisher, TOGETHER};
use crate::broker::{Failure, Session, TakeOver, TakenOver};
use crate::checkpoint::Store;
use crate::cli::Delivery;
use crate::error::{Error, Result};
use crate::file::born;
use crate::position::{Dates, Progress};
use crate::talk;
use crate::watch::source::Ownership;
use crate::watch::{Answer, Ending, Resume, account};

impl Publisher {
    /// Takes over the sources that wait for it, and tells the reader where they go on. Nothing may be in flight.
    pub(super) fn take_over(&mut self, session: &mut Session) -> Result<(), Failure> {
        let mut missing = 0;
        while !self.flow.is_open() && !self.shared.halts() {
            self.gather();
            let together: Vec<_> = self.flow.opening().take(TOGETHER).collect();
            self.name_records(session, &together);
            let taken = session.take_over(&self.candidates(&together))?;
            self.say_taken_over(together.len());
            for (source, taken) in together.into_iter().zip(taken) {
                self.flow.opened(source);
                self.taken(source, taken);
            }
            self.outage.end(&self.shared.address);
            session.set_deadline(self.outage.deadline())?;
            missing = self.flow.settle();
        }
        if missing > 0 {
            let batches = account::count(missing as u64, "batch");
            talk::detail(&format!("{batches} had not arrived: sending again"));
        }
        Ok(())
    }

    fn say_taken_over(&self, sources: usize) {
        let records = account::count(sources as u64, "commit record");
        talk::detail(&match self.shared.options.delivery {
            Delivery::ExactlyOnce => format!("redis {}: took over {records}", self.shared.address),
            Delivery::AtLeastOnce => {
                format!("{records} not kept, as --delivery is at-least-once")
            }
        });
    }

    /// Looks at what else is here, so that it need not be waited for by itself.
    fn gather(&mut self) {
        while self.flow.may_take_in()
            && let Ok(work) = self.work.try_recv()
        {
            self.take_in(work);
        }
    }

    /// What records are called depends on the Redis that keeps them.
    fn name_records(&mut self, session: &Session, sources: &[usize]) {
        for source in sources {
            if let Some(state) = self.sources.get_mut(source) {
                state.key = session.key_of(&state.name);
            }
        }
    }

    fn candidates(&self, sources: &[usize]) -> Vec<TakeOver<'_>> {
        let (options, home) = (&self.shared.options, self.shared.home);
        let states = sources.iter().filter_map(|source| self.sources.get(source));
        states
            .map(move |state| TakeOver {
                key: &state.key,
                path: &state.path,
                choose: Box::new(move |record| state.choose(options, home, record)),
            })
            .collect()
    }

    fn taken(&mut self, source: usize, taken: TakenOver) {
        let ((progress, dates), record) = match taken {
            Ok(taken) => taken,
            Err(error) => return self.refuse(source, error),
        };
        let Some(state) = self.sources.get_mut(&source) else {
            return;
        };
        let stage = std::mem::replace(&mut state.stage, Ownership::Owned { record });
        let is_known = state.known.as_ref() == Some(&progress);
        if stage == Ownership::Fresh {
            talk::detail(&state.begins(&progress, self.shared.options.reset));
            let is_initial = state.known.is_none() && state.initial == progress;
            (state.known, state.dates) = (Some(progress.clone()), dates);
            self.resume(source, progress, is_initial);
        } else if !is_known && !self.has_arrived(source, &progress) {
            self.rewind(source, progress, dates);
        }
    }

    /// Whether a record stands where a batch of ours ends, the reply to which was lost. Those up to it are done with.
    fn has_arrived(&mut self, source: usize, progress: &Progress) -> bool {
        let Some(state) = self.sources.get(&source) else {
            return false;
        };
        let path = state.path.display().to_string();
        let arrived = self.flow.take_arrived(source, state.epoch, progress);
        let has_arrived = !arrived.is_empty();
        for batch in arrived {
            talk::detail(&format!(
                "{path}: the reply to a batch of {} lines was lost, but its commit record says that it has arrived",
                batch.lines
            ));
            self.acknowledge(batch);
        }
        has_arrived
    }

    /// The record is somewhere else: another watcher has gone further, or Redis has lost what it had.
    pub(super) fn rewind(&mut self, source: usize, progress: Progress, dates: Option<Dates>) {
        let Some(state) = self.sources.get_mut(&source) else {
            return;
        };
        state.rewind(&progress, dates);
        talk::detail(&format!(
            "{}: going on from {}, where its commit record stands",
            state.path.display(),
            account::place(&progress)
        ));
        self.resume(source, progress, false);
    }

    /// Tells the reader where to go on; the checkpoint, too, where neither that nor the record has said it.
    fn resume(&mut self, source: usize, progress: Progress, is_initial: bool) {
        let Some(state) = self.sources.get(&source) else {
            return;
        };
        // A checkpoint has a time, by which it is told whether a file of which nothing was read is still the same. So what
        // is from earlier is not written down before the files were looked at.
        let current = progress.current;
        let is_there = || current.offset > 0 || born(&state.path, current.file).is_some();
        let dates = state.dates;
        if let Some(dates) = dates.filter(|_| is_initial && is_there()) {
            let (path, mailbox) = (&state.path, &self.shared.mailbox);
            mailbox.put(path, (progress.clone(), dates.as_of), 0);
        }
        let _ = self.answers.send(Answer::Resume(Resume {
            source,
            progress,
            dates,
            epoch: state.epoch,
        }));
    }

    /// A source that cannot be published: its batches are void from here on.
    pub(super) fn refuse(&mut self, source: usize, error: Error) {
        self.sources.remove(&source);
        let _ = self.answers.send(Answer::Refused { source, error });
    }

    /// Drops what is not watched any more, once everything before it is through.
    pub(super) fn end_sources(&mut self, session: &mut Session) -> Result<(), Failure> {
        match self.flow.next_ending() {
            None => {}
            Some(Ending::Close(source)) => _ = self.sources.remove(&source),
            Some(Ending::Forget(names)) => {
                let keys = names.iter().map(|name| session.key_of(name));
                let forgotten = self.forget(session, &keys.collect::<Vec<_>>());
                if forgotten.is_err() {
                    self.flow.end(Ending::Forget(names));
                }
                forgotten?;
            }
        }
        Ok(())
    }

    /// Removes records, once it is written down how far their generations have come.
    fn forget(&self, session: &mut Session, keys: &[String]) -> Result<(), Failure> {
        let highest = session.highest_generation(keys)?;
        let store = Store::at(&self.shared.options.state_dir);
        if let Err(error) = store.note_forgotten(highest) {
            talk::warn(&error.to_string());
            return Ok(());
        }
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        match session.forget(&keys) {
            // A user who may not delete leaves them there; nobody is worse off.
            Err(Failure::Fatal(error)) => talk::detail(&error.to_string()),
            other => other?,
        }
        Ok(())
    }
}
