//! The bound on what piles up in Redis: before a batch takes effect there is room for it, or it waits, or the oldest
//! lines go. What every group has acknowledged is taken away as we go.
//!
//! The log file is the buffer: while a batch waits, the reader reads no further. Nothing here depends on what was counted
//! before a restart; what lies in Redis is looked at anew.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::Shared;
use super::outage::out_of_time;
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
    options: cli::Bounds,
    mode: Mode,
    is_bounded: bool,
    rooms: Rooms,
    link: Option<broker::Backlog>,
    /// The key that every line goes to; None: it depends on the line.
    only: Option<Vec<u8>>,
    /// Since when we wait.
    waits: Option<Instant>,
    waiting: Once,
    dropping: Once,
    /// Lines that were dropped since that was last said.
    dropped: u64,
}

impl Bound {
    pub fn new(options: &cli::Watch) -> Bound {
        let is_typed = Route::new(&options.target, "").is_typed();
        Bound {
            options: options.backlog.clone(),
            mode: options.mode,
            is_bounded: options.mode != Mode::Pubsub,
            rooms: Rooms::new(options.backlog.max),
            link: None,
            only: (!is_typed).then(|| options.target.clone().into_bytes()),
            waits: None,
            waiting: Once::default(),
            dropping: Once::default(),
            dropped: 0,
        }
    }

    /// A session begins: it may be another Redis, and one that is out of memory has some again when what nobody needs is
    /// taken away.
    pub fn begin(&mut self, shared: &Shared, deadline: Option<Instant>) -> Result<(), Failure> {
        if !self.is_bounded {
            return Ok(());
        }
        let keys = match &self.only {
            Some(only) => vec![only.clone()],
            None => self.rooms.longest(LOOKED_AT),
        };
        self.rooms.forget();
        self.link = None;
        self.waits = None;
        for key in keys {
            if let Some(standing) = self.look(&key, shared, deadline)? {
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
    pub fn make_room(
        &mut self,
        batch: &Batch,
        shared: &Shared,
        deadline: Option<Instant>,
    ) -> Result<(), Failure> {
        for (key, lines) in batch.keys() {
            if self.is_bounded && self.rooms.is_due(key) {
                self.make_room_in(key, lines, shared, deadline)?;
            }
        }
        Ok(())
    }

    fn make_room_in(
        &mut self,
        key: &[u8],
        lines: u64,
        shared: &Shared,
        deadline: Option<Instant>,
    ) -> Result<(), Failure> {
        let mut pause = FIRST_PAUSE;
        loop {
            let Some(mut standing) = self.look(key, shared, deadline)? else {
                return Ok(());
            };
            if self.rooms.is_full(standing.length) && self.options.when_full == WhenFull::DropOldest
            {
                self.drop_oldest(key, lines, &mut standing, shared, deadline)?;
            }
            if !self.rooms.is_full(standing.length) {
                self.rooms
                    .looked(key, standing.length, lines, Instant::now());
                self.say_going_on(key, shared);
                return Ok(());
            }
            shared.counters.set_backlog(standing.length);
            let why = format!(
                "redis {}: {}",
                shared.address,
                self.describe(key, &standing)
            );
            if shared.halts() {
                return Err(Failure::Wait(why));
            }
            if deadline.is_some_and(|end| end <= Instant::now()) {
                return Err(Failure::Fatal(out_of_time(&why, shared.options.timeout)));
            }
            if !shared.options.once {
                self.say_waiting(&why, standing.slowest().is_some());
            }
            signal::sleep_until(Instant::now() + pause, || shared.halts());
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Looks at a key, and takes away what nobody needs. None: the user may not.
    fn look(
        &mut self,
        key: &[u8],
        shared: &Shared,
        deadline: Option<Instant>,
    ) -> Result<Option<Standing>, Failure> {
        let looked = self.with_link(shared, deadline, |link, backlog| {
            backlog.look_and_trim(key, link)
        });
        match looked {
            Ok(standing) => Ok(Some(standing)),
            Err(Failure::Fatal(error)) if !self.options.is_asked_for => {
                let text = format!("{error}; nothing bounds what piles up in Redis");
                if shared.options.once {
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
        let mut standing = link.look(key)?;
        if standing.groups.is_empty() {
            return Ok(standing);
        }
        let now = match self.options.retain {
            Retain::Age(_) => link.time()?,
            Retain::Lines(_) => Duration::ZERO,
        };
        for step in TrimStep::ALL {
            if let Some(trim) = self.rooms.trim(step, self.options.retain, &standing, now) {
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
        shared: &Shared,
        deadline: Option<Instant>,
    ) -> Result<(), Failure> {
        let keep = self.rooms.keep(lines);
        let mode = self.mode;
        let dropped = self.with_link(shared, deadline, |link, _| match mode {
            Mode::List => link.shorten(key, keep),
            _ => link.trim(key, Trim::Newest { keep }),
        })?;
        standing.length = standing.length.saturating_sub(dropped).min(keep);
        shared.counters.dropped.fetch_add(dropped, Relaxed);
        self.dropped += dropped;
        if self.dropped > 0 && self.dropping.is_news("") {
            talk::warn(&format!(
                "redis {}: {} {} was full (--max-backlog {}): {} of its oldest lines were dropped that nobody was done with \
                 (--when-full drop-oldest)",
                shared.address,
                self.kind(),
                String::from_utf8_lossy(key),
                self.options.max,
                std::mem::take(&mut self.dropped),
            ));
        }
        Ok(())
    }

    /// One that was open already may have been closed by Redis: then it is tried once more with a new one.
    fn with_link<T>(
        &mut self,
        shared: &Shared,
        deadline: Option<Instant>,
        mut ask: impl FnMut(&mut broker::Backlog, &Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if let Some(mut link) = self.link.take()
            && let Ok(answer) = link
                .set_deadline(deadline)
                .and_then(|()| ask(&mut link, self))
        {
            self.link = Some(link);
            return Ok(answer);
        }
        let mut link = broker::Backlog::open(&shared.address, self.mode, deadline)?;
        let answer = ask(&mut link, self)?;
        self.link = Some(link);
        Ok(answer)
    }

    fn kind(&self) -> &'static str {
        match self.mode {
            Mode::List => "list",
            _ => "stream",
        }
    }

    /// Why there is no room.
    fn describe(&self, key: &[u8], standing: &Standing) -> String {
        let (kind, key) = (self.kind(), String::from_utf8_lossy(key));
        let (length, max) = (standing.length, self.options.max);
        let why = match standing.slowest() {
            Some(group) => {
                let name = String::from_utf8_lossy(&group.name);
                let pending = match group.pending {
                    0 => "not read".to_string(),
                    pending => format!("not acknowledged ({pending} of them delivered)"),
                };
                format!("entries since the first that group {name} has {pending}")
            }
            None if self.mode == Mode::List => "lines that nobody has taken".to_string(),
            None => "entries and no group that could acknowledge them".to_string(),
        };
        let way_out = match standing.slowest() {
            None if self.mode == Mode::Stream => {
                "; without a group only --when-full drop-oldest makes room"
            }
            _ => "",
        };
        format!("{kind} {key} holds {length} {why} (--max-backlog {max}){way_out}")
    }

    /// Said again where the group that was waited for is gone, or there is one now: what helps is something else then.
    fn say_waiting(&mut self, why: &str, for_group: bool) {
        let since = self.waits.get_or_insert_with(Instant::now);
        let whom = if for_group { "a group" } else { "anybody" };
        if since.elapsed() > WORTH_SAYING && self.waiting.is_news(whom) {
            talk::warn(&format!("{why}; waiting, the log file is the buffer"));
        }
    }

    fn say_going_on(&mut self, key: &[u8], shared: &Shared) {
        if let Some(since) = self.waits.take() {
            self.waiting.over(&format!(
                "redis {}: {} {} has room again after {:.1} s; going on",
                shared.address,
                self.kind(),
                String::from_utf8_lossy(key),
                since.elapsed().as_secs_f64()
            ));
        }
    }
}
