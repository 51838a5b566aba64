//! A look at what lies beside a log: the files, the facts, the answers to what `diff` asks of their content, and what
//! its events make of the chain.
//!
//! All or nothing: what may fail comes first, so that a rotation that renames under a look is looked at again.

mod apply;
mod copies;
mod known;

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use super::diff::{Ask, Fact, Facts, Known, Replies, Reply, diff};
use super::folder::Candidate;
use super::names::{Kind, Name, Packing};
use super::open::{Version, bytes_before, equals_beginning, holds, is_absent, is_shortage};
use super::unpack::{Findings, HEAD, Inspection};
use super::{Before, LOOK_AGAIN, Tail};
use crate::error::describe;
use crate::lines::is_text;
use crate::position::{ANCHOR_LEN, Anchor, FileId, Gap};
use crate::talk;
use copies::{is_earlier_copy, open_candidate};

/// What came of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// The chain is as it was.
    Same,
    Changed,
    /// An archive is being read through: the answer comes later.
    Pending,
    /// A rotation is under way: it is to be looked at again after a while.
    Waiting,
}

/// What is known of archives, and the one that is being read through.
#[derive(Debug, Default)]
pub struct Inspector {
    known: HashMap<Version, Inspected>,
    present: Option<(Version, Inspection)>,
    /// Not whole yet, or not to be read for the moment: when to try again.
    again_at: Option<Instant>,
    /// Since when files could not be read, of those that are asked about.
    refused_since: HashMap<FileId, Instant>,
}

/// An archive that was read through.
#[derive(Debug)]
struct Inspected {
    /// What is in it, or why it cannot be read.
    found: Result<Findings, String>,
    /// What was looked for.
    wanted: Vec<(u64, Anchor)>,
    /// The generation that it was found to be.
    is: Option<u64>,
}

/// How long an archive that does not unpack is taken to be in the making, after its last change: less than `--once` waits
/// without `--timeout`.
const MAKING: Duration = Duration::from_secs(4);
/// A copy of a file has got further than the beginning of a line after so long.
const BEGUN: Duration = Duration::from_millis(50);
/// Between two steps of a rotation lies no longer than this.
const SETTLED: Duration = Duration::from_secs(1);
const TRY_AGAIN: Duration = Duration::from_millis(200);
/// Unpacked bytes that are asked for in one go.
const PIECE: usize = 256 * 1024;

impl Tail<'_> {
    /// Looks what there is, and follows it. An error: the files moved on under the look, or cannot be looked at.
    pub fn look(&mut self) -> io::Result<Looked> {
        if self
            .inspector
            .again_at
            .is_some_and(|time| Instant::now() < time)
        {
            return Ok(Looked::Waiting);
        }
        self.inspector.again_at = None;
        let mut known = self.known()?;
        let path = self.end_of_path(&known)?;
        let ids: Vec<_> = known.iter().map(|known| known.file).collect();
        let (candidates, others) = self.surroundings.look(&self.place, &ids)?;
        let split = self.split_unlinked(&mut known, &candidates)?;
        let facts = self.facts(&candidates, others);
        let mut replies = Replies::new();
        let events = loop {
            let ask = match diff(&known, &facts, &replies) {
                Ok(events) => break events,
                Err(ask) => ask,
            };
            let Some(reply) = self.answer(ask, &known, &candidates)? else {
                return Ok(match self.inspector.again_at {
                    Some(_) => Looked::Waiting,
                    None => Looked::Pending,
                });
            };
            replies.insert(ask, reply);
        };
        self.is_all_there(&known, path.as_ref())?;
        let changed = self.apply(&known, split, &candidates, &events)?;
        self.remember_before(&candidates);
        self.mark(&known, path)?;
        self.claim();
        self.inspector.keep(&candidates);
        self.given_up
            .retain(|(id, _)| candidates.iter().any(|c| c.stat.id == *id));
        Ok(if changed {
            Looked::Changed
        } else {
            Looked::Same
        })
    }

    fn facts(&self, candidates: &[Candidate], others: Vec<Name>) -> Facts {
        let fact = |candidate: &Candidate| {
            let owner = self.surroundings.owner(candidate.stat.id);
            Fact {
                file: candidate.stat.id,
                size: candidate.stat.size,
                modified: candidate.stat.modified,
                changed: candidate.stat.changed,
                born: candidate.stat.born,
                name: candidate.name.clone(),
                claimed: owner.is_some_and(|owner| owner != self.source),
                given_up: self
                    .given_up
                    .contains(&(candidate.stat.id, candidate.stat.size)),
            }
        };
        Facts {
            files: candidates.iter().map(fact).collect(),
            since: self.since,
            held_until: self.dates.map(|dates| dates.made),
            others,
            looked_lately: self.looked_lately,
            was_absent: self.was_absent,
            is_all_ours: self.before == Before::Nothing,
            next: self.committed.current.generation + 1,
            floor: self.floor(),
            given: self.given.map(|end| (end.file, end.generation)),
        }
    }

    /// The answer to a question. None: later.
    fn answer(
        &mut self,
        ask: Ask,
        known: &[Known],
        candidates: &[Candidate],
    ) -> io::Result<Option<Reply>> {
        let candidate = &candidates[ask.file()];
        let place = match ask {
            Ask::Holds { known: index, .. } => known[index].probe,
            _ => None,
        };
        if matches!(ask, Ask::IsSettled { .. }) {
            let is_settled = candidate.stat.age() >= SETTLED;
            self.inspector.again_at = (!is_settled).then(|| Instant::now() + TRY_AGAIN);
            return Ok(is_settled.then_some(Reply::Yes));
        }
        let answered = match candidate.name.packing {
            Some(packing) => self.answer_packed(ask, place, candidate, packing, known),
            None => self.answer_plain(ask, place, candidates, known),
        };
        match answered {
            Err(error) => {
                let is_compared = matches!(ask, Ask::IsCopyOfPath { .. });
                let refused = match candidates.last() {
                    Some(path) if is_compared && open_candidate(candidate).is_ok() => path,
                    _ => candidate,
                };
                self.inspector
                    .refuse(refused, error, self.limits.rotate_wait)
            }
            answered => answered,
        }
    }

    fn answer_plain(
        &mut self,
        ask: Ask,
        place: Option<(u64, Anchor)>,
        candidates: &[Candidate],
        known: &[Known],
    ) -> io::Result<Option<Reply>> {
        let candidate = &candidates[ask.file()];
        let (file, _) = open_candidate(candidate)?;
        let size = candidate.stat.size;
        let yes = match ask {
            Ask::Holds { .. } => match place {
                Some((offset, anchor)) => holds(&file, offset, anchor)?,
                None => false,
            },
            Ask::IsEarlierCopy { known: index, .. } => {
                let head = bytes_before(&file, size.min(ANCHOR_LEN as u64), ANCHOR_LEN)?;
                is_earlier_copy(&self.chain, &known[index], size, &head, |offset, anchor| {
                    holds(&file, offset, anchor)
                })?
            }
            Ask::IsCopyOfPath { .. } => match candidates.last() {
                Some(path) if equals_beginning(&file, size, &open_candidate(path)?.0)? => {
                    let is_line = bytes_before(&file, size, HEAD)?.contains(&b'\n');
                    let is_younger = candidate.stat.born > path.stat.born;
                    // The beginning of a line may be a copy's, which goes on at once, or another file's.
                    if !is_line && !is_younger && candidate.stat.age() < BEGUN {
                        self.inspector.again_at = Some(Instant::now() + BEGUN);
                        return Ok(None);
                    }
                    is_line || is_younger
                }
                _ => false,
            },
            Ask::IsText { .. } => is_text(&bytes_before(&file, size.min(HEAD as u64), HEAD)?),
            Ask::IsEmpty { .. } => size == 0,
            Ask::IsSettled { .. } => true,
        };
        Ok(Some(if yes { Reply::Yes } else { Reply::No }))
    }

    fn answer_packed(
        &mut self,
        ask: Ask,
        place: Option<(u64, Anchor)>,
        candidate: &Candidate,
        packing: Packing,
        known: &[Known],
    ) -> io::Result<Option<Reply>> {
        let mut wanted: Vec<_> = known.iter().filter_map(|known| known.probe).collect();
        wanted.extend(self.chain.iter().flat_map(|g| g.trail.places()));
        let generation = match ask {
            Ask::Holds { known: index, .. } => known[index].generation,
            _ => None,
        };
        // What was once found to be a generation is looked for no further, however far that is read by now.
        let sought = place.filter(|_| !self.inspector.is_known_as(candidate, generation));
        let Some(inspected) = self.inspector.inspect(candidate, packing, wanted, sought)? else {
            return Ok(None);
        };
        let yes = match (&inspected.found, ask) {
            (Err(reason), _) => return Ok(Some(Reply::Unreadable(reason.clone()))),
            (Ok(found), Ask::Holds { .. }) => match sought {
                Some(place) => found.anchors.contains(&place),
                None => place.is_some(),
            },
            (Ok(found), Ask::IsEarlierCopy { known: index, .. }) => {
                let head = &found.head[..found.head.len().min(ANCHOR_LEN)];
                let known = &known[index];
                is_earlier_copy(&self.chain, known, found.length, head, |offset, anchor| {
                    Ok(found.anchors.contains(&(offset, anchor)))
                })?
            }
            (Ok(_), Ask::IsCopyOfPath { .. }) => false,
            (Ok(found), Ask::IsText { .. }) => is_text(&found.head),
            (Ok(found), Ask::IsEmpty { .. }) => found.length == 0,
            (Ok(_), Ask::IsSettled { .. }) => true,
        };
        if yes && generation.is_some() {
            inspected.is = generation;
        }
        Ok(Some(if yes { Reply::Yes } else { Reply::No }))
    }

    /// Says which files it has open.
    pub(super) fn claim(&mut self) {
        let open = self.chain.iter().filter(|g| !g.is_sought());
        let has: Vec<_> = open.map(|g| g.stat.id).collect();
        self.surroundings.claim(self.source, &self.claimed, &has);
        self.claimed = has;
    }

    pub(super) fn note_gap(&mut self, gap: Gap, why: &str) {
        self.gaps.push((gap, why.to_string()));
    }

    /// Says what was found to be missing since this was last asked, and returns it.
    pub fn say_gaps(&mut self) -> Vec<Gap> {
        let path = self.place.path.display();
        for (gap, why) in &self.gaps {
            let generation = gap.generation.saturating_sub(self.committed.first);
            let offset = gap.offset;
            let missing = match gap.bytes {
                Some(bytes) => format!("{bytes} bytes can no longer be read"),
                None => "an unknown number of bytes may be missing".to_string(),
            };
            talk::warn(&format!(
                "{path}: gap: generation {generation}, from offset {offset}: {missing}: {why}"
            ));
        }
        self.gaps.drain(..).map(|(gap, _)| gap).collect()
    }
}

impl Inspector {
    fn is_known_as(&self, candidate: &Candidate, generation: Option<u64>) -> bool {
        let inspected = self.known.get(&candidate.stat.version());
        generation.is_some() && inspected.is_some_and(|inspected| inspected.is == generation)
    }

    /// What is in an archive, which is read through once more where it was not searched for the place that is sought.
    /// None: it is not known yet.
    fn inspect(
        &mut self,
        candidate: &Candidate,
        packing: Packing,
        wanted: Vec<(u64, Anchor)>,
        sought: Option<(u64, Anchor)>,
    ) -> io::Result<Option<&mut Inspected>> {
        let version = candidate.stat.version();
        let is_enough = |inspected: &Inspected| {
            inspected.found.is_err() || sought.is_none_or(|place| inspected.wanted.contains(&place))
        };
        if !self.known.get(&version).is_some_and(is_enough) {
            let Some(found) = self.advance(candidate, packing, version, wanted.clone())? else {
                return Ok(None);
            };
            let inspected = Inspected {
                found,
                wanted,
                is: None,
            };
            self.known.insert(version, inspected);
        }
        Ok(self.known.get_mut(&version))
    }

    fn advance(
        &mut self,
        candidate: &Candidate,
        packing: Packing,
        version: Version,
        wanted: Vec<(u64, Anchor)>,
    ) -> io::Result<Option<Result<Findings, String>>> {
        if self
            .present
            .as_ref()
            .is_none_or(|(which, _)| *which != version)
        {
            let (file, _) = open_candidate(candidate)?;
            self.present = Some((version, Inspection::new(file, packing, wanted)));
        }
        let Some((_, inspection)) = &mut self.present else {
            return Ok(None);
        };
        let found = match inspection.advance(&mut vec![0; PIECE]) {
            Ok(None) => return Ok(None),
            Ok(Some(findings)) => Ok(findings),
            Err(error) => Err(error),
        };
        self.present = None;
        Ok(Some(match found {
            Ok(findings) => Ok(findings),
            Err(error) if is_of_archive(&error) => {
                let is_broken = error.kind() == io::ErrorKind::InvalidData;
                if is_broken && candidate.stat.age() < MAKING {
                    self.again_at = Some(Instant::now() + TRY_AGAIN);
                    return Ok(None);
                }
                Err(unreadable(candidate, &error))
            }
            Err(error) => return Err(error),
        }))
    }

    /// A file could not be read since then, as was seen when it was open.
    pub fn note_refused(&mut self, id: FileId, since: Instant) {
        self.refused_since.insert(id, since);
    }

    /// What the error says of a file: nothing, as long as its cause may pass.
    fn refuse(
        &mut self,
        candidate: &Candidate,
        error: io::Error,
        wait: Duration,
    ) -> io::Result<Option<Reply>> {
        if is_absent(&error) || is_shortage(&error) || candidate.name.kind == Kind::Path {
            return Err(error);
        }
        let now = Instant::now();
        let since = *self.refused_since.entry(candidate.stat.id).or_insert(now);
        if now.duration_since(since) < wait {
            self.again_at = Some(now + LOOK_AGAIN);
            return Ok(None);
        }
        Ok(Some(Reply::Unreadable(unreadable(candidate, &error))))
    }

    /// Forgets archives that are not there any more.
    fn keep(&mut self, candidates: &[Candidate]) {
        self.known
            .retain(|known, _| candidates.iter().any(|c| c.stat.version() == *known));
        self.refused_since
            .retain(|id, _| candidates.iter().any(|c| c.stat.id == *id));
    }
}

/// Whether an archive cannot be unpacked, by its content or for want of a program: no reason that passes.
fn is_of_archive(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::Unsupported
    )
}

fn unreadable(candidate: &Candidate, error: &io::Error) -> String {
    format!(
        "{} cannot be read: {}",
        candidate.path.display(),
        describe(error)
    )
}
