//! The bound on what piles up in Redis: before a batch takes effect there is room for it, or it waits, or the oldest
//! lines go. What every group has acknowledged is taken away as we go.
//!
//! The log file is the buffer: while a batch waits, the reader reads no further. Nothing here depends on what was counted
//! before a restart; what lies in Redis is looked at anew.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::Shared;
use super::outage::Outage;
use super::room::{Rooms, TrimStep};
use crate::broker::{self, Batch, Failure, Standing, Trim};
use crate::cli::{self, Mode, Retain, WhenFull};
use crate::route::Route;
use crate::signal;
use crate::talk::{self, Once};

/// Shorter waits for a consumer are its daily life.
const WORTH_SAYING: Duration = Duration::from_secs(1);
/// At the beginning of a session so many keys are looked at, the others when lines go there.
const LOOKED_AT: usize = 20;
/// The first pause before one looks again, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

pub struct Bound {
    shared: Arc<Shared>,
    is_bounded: bool,
    rooms: Rooms,
    link: Option<broker::Backlog>,
    /// Since when we wait.
    waits: Option<Instant>,
    waiting: Once,
    dropping: Once,
    /// Lines that were dropped since that was last said.
    dropped: u64,
}

impl Bound {
    pub fn new(shared: Arc<Shared>) -> Bound {
        Bound {
            is_bounded: shared.options.mode != Mode::Pubsub,
            rooms: Rooms::new(shared.options.backlog.max),
            shared,
            link: None,
            waits: None,
            waiting: Once::default(),
            dropping: Once::default(),
            dropped: 0,
        }
    }

    /// A session begins: it may be another Redis, and one that is out of memory has some again when what nobody needs is
    /// taken away.
    pub fn begin(&mut self, outage: &Outage) -> Result<(), Failure> {
        if !self.is_bounded {
            return Ok(());
        }
        let target = &self.shared.options.target;
        let keys = if Route::new(target, "").is_typed() {
            self.rooms.longest(LOOKED_AT)
        } else {
            vec![target.clone().into_bytes()]
        };
        self.rooms.forget();
        self.link = None;
        self.waits = None;
        for key in keys {
            if let Some(standing) = self.look(&key, outage)? {
                self.rooms.looked(&key, standing.length, 0, Instant::now());
            }
        }
        Ok(())
    }

    /// A batch is about to be sent: decides whether it is to wait for a look before it takes effect.
    pub fn enter(&mut self, batch: &mut Batch) {
        let now = Instant::now();
        let rooms = &mut self.rooms;
        let due = batch
            .keys()
            .filter(|(key, lines)| rooms.enter(key, *lines, now));
        let due = due.count();
        batch.waits_for_room = self.is_bounded && due > 0;
    }

    /// How many entries Redis keeps behind the last batch, or a little less; None: nobody looks.
    pub fn entries(&self) -> Option<u64> {
        self.is_bounded.then(|| self.rooms.entries())
    }

    /// Sees that there is room for a batch that waits for it.
    pub fn make_room(&mut self, batch: &Batch, outage: &Outage) -> Result<(), Failure> {
        for (key, lines) in batch.keys() {
            if self.is_bounded && self.rooms.is_due(key) {
                self.make_room_in(key, lines, outage)?;
            }
        }
        Ok(())
    }

    fn make_room_in(&mut self, key: &[u8], lines: u64, outage: &Outage) -> Result<(), Failure> {
        let when_full = self.bounds().when_full;
        let mut pause = FIRST_PAUSE;
        loop {
            let Some(mut standing) = self.look(key, outage)? else {
                return Ok(());
            };
            if self.rooms.is_full(standing.length) && when_full == WhenFull::DropOldest {
                self.drop_oldest(key, lines, &mut standing, outage)?;
            }
            if !self.rooms.is_full(standing.length) {
                self.rooms
                    .looked(key, standing.length, lines, Instant::now());
                self.say_going_on(key);
                return Ok(());
            }
            self.shared.counters.set_backlog(standing.length);
            let why = self.describe(key, &standing);
            let why = format!("redis {}: {why}", self.shared.address);
            outage.may_wait(&why, self.shared.halts())?;
            if !self.shared.options.once {
                self.say_waiting(&why, standing.slowest().is_some());
            }
            signal::sleep_until(Instant::now() + pause, || self.shared.halts());
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Looks at a key, and takes away what nobody needs. None: the user may not.
    fn look(&mut self, key: &[u8], outage: &Outage) -> Result<Option<Standing>, Failure> {
        let (is_asked_for, is_once) = (self.bounds().is_asked_for, self.shared.options.once);
        let looked = self.with_link(outage, |link, bound| bound.look_and_trim(key, link));
        match looked {
            Ok(standing) => Ok(Some(standing)),
            Err(Failure::Fatal(error)) if !is_asked_for => {
                let text = format!("{error}; nothing bounds what piles up in Redis");
                if is_once {
                    talk::detail(&text);
                } else {
                    talk::note(&text);
                }
                self.is_bounded = false;
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    fn look_and_trim(&self, key: &[u8], link: &mut broker::Backlog) -> Result<Standing, Failure> {
        let retain = self.bounds().retain;
        let mut standing = link.look(key)?;
        if standing.groups.is_empty() {
            return Ok(standing);
        }
        let now = match retain {
            Retain::Age(_) => link.time()?,
            Retain::Lines(_) => Duration::ZERO,
        };
        for step in TrimStep::ALL {
            if let Some(trim) = self.rooms.trim(step, retain, &standing, now) {
                let removed = link.trim(key, trim)?;
                standing.length = standing.length.saturating_sub(removed);
            }
        }
        Ok(standing)
    }

    fn drop_oldest(
        &mut self,
        key: &[u8],
        lines: u64,
        standing: &mut Standing,
        outage: &Outage,
    ) -> Result<(), Failure> {
        let keep = self.rooms.keep(lines);
        let dropped = self.with_link(outage, |link, bound| match bound.shared.options.mode {
            Mode::List => link.shorten(key, keep),
            _ => link.trim(key, Trim::Newest { keep }),
        })?;
        standing.length = standing.length.saturating_sub(dropped).min(keep);
        self.shared.counters.dropped.fetch_add(dropped, Relaxed);
        self.dropped += dropped;
        if self.dropped > 0 && self.dropping.is_news("") {
            let dropped = std::mem::take(&mut self.dropped);
            talk::warn(&format!(
                "redis {}: {} {} was full (--max-backlog {}): {} of its oldest lines were dropped that nobody was done with \
                 (--when-full drop-oldest)",
                self.shared.address,
                self.kind(),
                String::from_utf8_lossy(key),
                self.bounds().max,
                dropped,
            ));
        }
        Ok(())
    }

    /// One that was open already may have been closed by Redis: then it is tried once more with a new one.
    fn with_link<T>(
        &mut self,
        outage: &Outage,
        mut ask: impl FnMut(&mut broker::Backlog, &Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let deadline = outage.deadline();
        if let Some(mut link) = self.link.take()
            && let Ok(answer) = link
                .set_deadline(deadline)
                .and_then(|()| ask(&mut link, self))
        {
            self.link = Some(link);
            return Ok(answer);
        }
        let mut link =
            broker::Backlog::open(&self.shared.address, self.shared.options.mode, deadline)?;
        let answer = ask(&mut link, self)?;
        self.link = Some(link);
        Ok(answer)
    }

    fn bounds(&self) -> &cli::Bounds {
        &self.shared.options.backlog
    }

    fn kind(&self) -> &'static str {
        self.shared.options.mode.word()
    }

    /// Why there is no room.
    fn describe(&self, key: &[u8], standing: &Standing) -> String {
        let (mode, key) = (self.shared.options.mode, String::from_utf8_lossy(key));
        let (length, max) = (standing.length, self.bounds().max);
        let (why, way_out) = match standing.slowest() {
            Some(group) => {
                let name = String::from_utf8_lossy(&group.name);
                let pending = match group.pending {
                    0 => "not read".to_string(),
                    pending => format!("not acknowledged ({pending} of them delivered)"),
                };
                let why = format!("entries since the first that group {name} has {pending}");
                (why, "")
            }
            None if mode == Mode::List => ("lines that nobody has taken".to_string(), ""),
            None => (
                "entries and no group that could acknowledge them".to_string(),
                "; without a group only --when-full drop-oldest makes room",
            ),
        };
        format!(
            "{} {key} holds {length} {why} (--max-backlog {max}){way_out}",
            mode.word()
        )
    }

    /// Said again where the group that was waited for is gone, or there is one now: what helps is something else then.
    fn say_waiting(&mut self, why: &str, for_group: bool) {
        let since = self.waits.get_or_insert_with(Instant::now);
        let whom = if for_group { "a group" } else { "anybody" };
        if since.elapsed() > WORTH_SAYING && self.waiting.is_news(whom) {
            talk::warn(&format!("{why}; waiting, the log file is the buffer"));
        }
    }

    fn say_going_on(&mut self, key: &[u8]) {
        if let Some(since) = self.waits.take() {
            self.waiting.over(&format!(
                "redis {}: {} {} has room again after {:.1} s; going on",
                self.shared.address,
                self.kind(),
                String::from_utf8_lossy(key),
                since.elapsed().as_secs_f64()
            ));
        }
    }
}
