//! Which files are read: found by a glob, opened where the publisher says, given up, closed, and forgotten.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::{Entry, FORGET_EVERY, RESCAN, RETRY, Reader, Stage};
use crate::error::{Error, Result};
use crate::file::{Limits, Place, Tail, identify, link_target, logs_of, weak_log_of};
use crate::order;
use crate::position::FileId;
use crate::watch::admission::Admitted;
use crate::watch::globs::matches;
use crate::watch::source::Source;
use crate::watch::{Ending, Resume, Work, account};
use crate::{cli, talk};

impl<'w> Reader<'w> {
    /// Begins with a path: the publisher will say where.
    pub(super) fn add(
        &mut self,
        path: PathBuf,
        found: Admitted,
        from: cli::From,
        is_match: bool,
    ) -> Result<()> {
        let (checkpoint, dates) = found.checkpoint.unzip();
        let since = dates.map(|dates| dates.as_of);
        talk::detail_of(|| account::found(&path, &found.name, checkpoint.as_ref()));
        let number = self.next_number;
        self.next_number += 1;
        let initial = Tail::initial(&path, from, self.admission.store.new_generation()?)?;
        let options = &self.shared.options;
        let now = Instant::now();
        let mut tail = Tail::resume(
            number,
            self.place_of(&path),
            Limits {
                rotate_wait: options.rotate_wait,
                max_line: options.max_line,
            },
            self.surroundings,
            checkpoint.clone().unwrap_or_else(|| initial.clone()),
            dates,
        );
        // It has its files open before others are asked whose they are.
        tail.watch(now);
        let (name, dates) = (found.name.clone(), dates.unwrap_or_else(|| tail.dates()));
        let source = Source::new(number, path.clone(), name, checkpoint, dates, initial);
        self.opening.push(source);
        self.numbers.insert(path.clone(), number);
        let entry = Entry {
            path,
            name: found.name.into(),
            is_match,
            stage: Stage::Opening(tail),
            since,
            epoch: 0,
            next_poll: now,
            quick_until: now,
            is_hungry: false,
            lock: found.lock,
        };
        self.entries.insert(number, entry);
        Ok(())
    }

    /// Asks the publisher where to begin. What is new comes behind what has been read before: only its record may say that it
    /// is what one of these was.
    pub(super) fn open(&mut self, work: &Sender<Work>) {
        let is_begun =
            |entry: &Entry| entry.since.is_some() && matches!(entry.stage, Stage::Opening(_));
        let opening = if self.entries.values().any(is_begun) {
            let is_begun = |source: &mut Source| source.known.is_some();
            self.opening.extract_if(.., is_begun).collect()
        } else {
            std::mem::take(&mut self.opening)
        };
        if !opening.is_empty() {
            // A publisher that has ended is noticed by who waits for its answers.
            let _ = work.send(Work::Open(opening));
        }
    }

    /// Matches that were not begun yet give way to the log whose files they are: it has them open, or they are asked for again.
    fn give_way(&mut self, files: &[FileId]) {
        let is_match = |number: &usize| self.entries.get(number).is_some_and(|it| it.is_match);
        let owners = files
            .iter()
            .filter_map(|file| self.surroundings.owner(*file));
        let matches: Vec<_> = owners.filter(is_match).collect();
        let is_one = |source: &mut Source| source.known.is_none() && matches.contains(&source.id);
        let yielding: Vec<_> = self.opening.extract_if(.., is_one).collect();
        for source in yielding {
            self.entries.remove(&source.id);
            self.numbers.remove(&source.path);
            self.admission.give_way(source.path);
            (self.next_scan, self.next_retry) = (Instant::now(), Instant::now());
        }
    }

    pub(super) fn resume(&mut self, resume: Resume) {
        let files: Vec<_> = resume.progress.positions().map(|it| it.file).collect();
        self.give_way(&files);
        let Some(entry) = self.entries.get_mut(&resume.source) else {
            return;
        };
        entry.epoch = resume.epoch;
        entry.next_poll = Instant::now();
        entry.stage = match std::mem::replace(&mut entry.stage, Stage::Done) {
            Stage::Opening(tail) | Stage::Reading(tail) | Stage::ReadingTo(tail, _) => {
                let mut tail = tail.resume_again(resume.progress, resume.dates);
                // It opens what is its own before those that gave way are asked for again.
                tail.watch(Instant::now());
                Stage::Reading(tail)
            }
            Stage::Done => {
                // With `--once`, read already; what Redis has lost since is sent by the next run.
                Stage::Done
            }
            Stage::Refused => Stage::Refused,
        };
    }

    /// The publisher cannot publish a source: the others go on, and where there are none it is the end.
    pub(super) fn refuse(&mut self, source: usize, error: Error) -> Result<()> {
        if let Some(entry) = self.entries.get_mut(&source) {
            entry.stage = Stage::Refused;
        }
        let is_refused = |entry: &Entry| matches!(entry.stage, Stage::Refused);
        if self.entries.values().all(is_refused) && self.globs.is_empty() {
            return Err(error);
        }
        talk::warn(&error.to_string());
        Ok(())
    }

    /// Looks for new matches; one that cannot be watched is said once, and tried again.
    pub(super) fn scan(&mut self, now: Instant, from: cli::From) {
        if now < self.next_scan {
            return;
        }
        self.next_scan = now + RESCAN;
        if self.globs.is_empty() {
            self.next_scan = now + FORGET_EVERY;
            return;
        }
        self.surroundings.forget_listings();
        let is_first = std::mem::take(&mut self.is_first_scan);
        let scan = self.walk.scan();
        if !scan.changed && !is_first && now < self.next_retry {
            return;
        }
        self.next_retry = now + RETRY;
        for (folder, error) in scan.errors.iter().filter(|_| scan.changed) {
            talk::warn(&Error::io("list", folder, error).to_string());
        }
        let mut found = if scan.changed {
            self.admission.keep(&scan.matches);
            scan.matches.clone()
        } else {
            self.admission.undecided()
        };
        found.retain(|path| !self.numbers.contains_key(path));
        let found = self.in_order(found, is_first);
        self.admit(found, from);
    }

    /// Matches, and the logs whose rotated files they are. Who has been read before has its files open before others are
    /// asked whose they are; and what may be another log's rotated file comes behind that log.
    fn in_order(&self, found: Vec<PathBuf>, is_first: bool) -> Vec<PathBuf> {
        let is_begun = |path: &PathBuf| self.admission.store.file_of(path).exists();
        let mut logs: BTreeSet<_> = found
            .iter()
            .flat_map(|path| self.known_logs(path))
            .collect();
        let (begun, strays): (Vec<_>, Vec<_>) = found.into_iter().partition(is_begun);
        let id_of = |path: &PathBuf| Some((identify(path)?.0, path.clone()));
        self.surroundings
            .set_strays(strays.iter().filter_map(id_of).collect());
        let weak_last = |mut paths: Vec<PathBuf>| {
            order::sort_by_key(&mut paths, |path| weak_log_of(path).is_some());
            paths
        };
        logs.extend(begun);
        if is_first {
            logs.extend(self.renamed_away(&logs));
        }
        let mut found = weak_last(logs.into_iter().collect());
        found.extend(weak_last(strays));
        found
    }

    fn admit(&mut self, found: Vec<PathBuf>, from: cli::From) {
        let shown: HashSet<_> = found.iter().cloned().collect();
        let mut led_to: HashSet<_> = self
            .numbers
            .keys()
            .filter_map(|it| link_target(it))
            .collect();
        for path in found {
            // Two names of one file, whatever file it is by now.
            let target = link_target(&path);
            let is_watched = |target: &PathBuf| self.numbers.contains_key(target);
            if led_to.contains(&path) || target.as_ref().is_some_and(is_watched) {
                continue;
            }
            let watched = |log: &Path| match self.numbers.get(log) {
                Some(number) => Some(self.entries.get(number).and_then(|entry| entry.since)),
                None => (shown.contains(log) || led_to.contains(log)).then_some(None),
            };
            let admitted = self.admission.admit_match(&path, &watched);
            let added = match admitted {
                Ok(None) => continue,
                Ok(Some(found)) => {
                    led_to.extend(target);
                    self.add(path, found, from, true)
                }
                Err(error) => Err(error),
            };
            if let Err(error) = added {
                talk::warn(&error.to_string());
            }
        }
    }

    /// The logs that have a checkpoint, and whose rotated file a match is: they are watched for what is unread of it, also
    /// while they are not there.
    fn known_logs(&self, path: &Path) -> Vec<PathBuf> {
        let mut logs = logs_of(path, &self.shared.options.rotated);
        logs.retain(|log| {
            !self.numbers.contains_key(log)
                && self.globs.iter().any(|glob| matches(glob, log))
                && self.admission.store.file_of(log).exists()
        });
        logs
    }

    /// The logs that have a checkpoint and are not there, and of which a rotated file is, or a match that nobody has read:
    /// while nobody watched they may have got lines, and come back late or never.
    fn renamed_away(&self, found: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
        // One that is there and no match was not a moment ago, when the folders were looked at.
        let mut logs = self.admission.store.logs(Duration::ZERO);
        let is_stray = |log: &Path| {
            let checkpoint = self.admission.store.read(log).ok().flatten();
            checkpoint.is_some_and(|(progress, _)| {
                let mut positions = progress.positions();
                positions.any(|position| self.surroundings.is_stray(position.file))
            })
        };
        let has_rotated = |log: &Path| self.surroundings.has_rotated(&self.place_of(log));
        logs.retain(|log| {
            let is_known = found.contains(log) || self.numbers.contains_key(log);
            !is_known && self.walk.may_match(log) && (has_rotated(log) || is_stray(log))
        });
        logs
    }

    fn place_of(&self, log: &Path) -> Place {
        Place {
            path: log.into(),
            rotated: self.shared.options.rotated.clone(),
        }
    }

    /// Lets go of matches that are gone and read; their state stays for `--forget-after`.
    pub(super) fn close_what_is_over(&mut self, work: &Sender<Work>) {
        let is_over = |entry: &mut Entry| match &entry.stage {
            Stage::Reading(tail) => entry.is_match && tail.is_over(),
            _ => false,
        };
        for (number, entry) in self.entries.extract_if(.., |_, entry| is_over(entry)) {
            talk::detail(&format!(
                "{}: gone, and read to its end",
                entry.path.display()
            ));
            self.numbers.remove(&entry.path);
            drop(entry.lock);
            let _ = work.send(Work::End(Ending::Close(number)));
        }
    }

    /// Has the state removed of matches that have been gone for `--forget-after`.
    pub(super) fn forget(&mut self, now: Instant, work: &Sender<Work>) {
        if now < self.next_forget || self.globs.is_empty() {
            return;
        }
        let after = self.shared.options.forget_after;
        self.next_forget = now + (after / 4).clamp(RESCAN, FORGET_EVERY);
        let mut names = Vec::new();
        for log in self.admission.store.stale(after) {
            let is_match = self.globs.iter().any(|glob| matches(glob, &log));
            if !is_match || self.numbers.contains_key(&log) {
                continue;
            }
            // Where another watcher has it, it is that one's.
            if let Ok(lock) = self.admission.store.lock(&log) {
                names.push(self.admission.naming.name(&log));
                self.shared.mailbox.forget(&log, lock);
            }
        }
        if !names.is_empty() {
            let _ = work.send(Work::End(Ending::Forget(names)));
        }
    }
}
