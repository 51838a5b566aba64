//! Tables of what was known and found, and what came of it.

mod gaps;
mod proofs;
mod rotations;

use super::*;

/// What the files are in these tables: (name, inode, size, seconds of last write). They were born at second `inode`,
/// and renamed when the next one was born.
type File = (&'static str, u64, u64, u64);

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn id(ino: u64) -> FileId {
    FileId { dev: 1, ino }
}

fn facts(files: &[File], since: Option<u64>) -> Facts {
    let fact = |(name, ino, size, modified): &File| Fact {
        file: id(*ino),
        size: *size,
        modified: at(*modified),
        changed: at(ino + 1),
        born: Some(at(*ino)),
        name: Name::of(name.as_bytes(), b"app.log").unwrap_or_else(Name::of_path),
        claimed: false,
        given_up: false,
    };
    Facts {
        files: files.iter().map(fact).collect(),
        since: since.map(at),
        held_until: since.map(at),
        ..Facts::default()
    }
}

/// A generation that was read so far, of an inode.
fn known(generation: u64, ino: u64, offset: u64, hold: Held) -> Known {
    let anchor = Anchor {
        len: 1,
        hash: generation,
    };
    Known {
        generation: Some(generation),
        file: id(ino),
        offset,
        probe: (offset > 0).then_some((offset, anchor)),
        hold,
        seen: 0,
        lived: None,
        is_later: false,
    }
}

/// What came of it, in words. `content` says for an inode which generation's bytes are in it; `!g` an earlier copy of
/// it, `p` a copy of the path's, `b` binary, `x` not readable.
fn diffed(known: &[Known], facts: &Facts, content: &[(u64, &str)]) -> String {
    let mut replies = Replies::new();
    let events = loop {
        let ask = match diff(known, facts, &replies) {
            Ok(events) => break events,
            Err(ask) => ask,
        };
        let ino = facts.files[ask.file()].file.ino;
        let is = |what: &str| content.contains(&(ino, what));
        let number = |index: usize| {
            known[index]
                .generation
                .map_or("-".into(), |g| g.to_string())
        };
        let yes = match ask {
            Ask::Holds { known, .. } => is(&number(known)),
            Ask::IsEarlierCopy { known, .. } => is(&format!("!{}", number(known))),
            Ask::IsCopyOfPath { .. } => is("p"),
            Ask::IsText { .. } => !is("b"),
            Ask::IsEmpty { .. } => is("e"),
            Ask::IsSettled { .. } => true,
        };
        let reply = match (yes, is("x")) {
            (_, true) => Reply::Unreadable("closed".into()),
            (true, _) => Reply::Yes,
            (false, _) => Reply::No,
        };
        assert_eq!(replies.insert(ask, reply), None, "{ask:?} is asked once");
    };
    let number = |index: usize| known[index].generation.unwrap_or(99);
    let ino = |file: usize| facts.files[file].file.ino;
    let word = |event: &Event| match event {
        Event::Found { known, file } => format!("{} is #{}", number(*known), ino(*file)),
        Event::Copied { known, file } => {
            format!("{} copied to #{}", number(*known), ino(*file))
        }
        Event::Truncated { known, .. } => format!("{} truncated", number(*known)),
        Event::Appeared { file, generation } => format!("#{} is new {generation}", ino(*file)),
        Event::Vanished {
            known,
            passed: None,
        } => format!("{} vanished", number(*known)),
        Event::Vanished {
            known,
            passed: Some(passed),
        } => format!("{} vanished behind #{}", number(*known), ino(*passed)),
        Event::Gap(gap, _) => format!("gap {}:{}", gap.generation, gap.offset),
        Event::GivenUp { file } => format!("#{} is given up", ino(*file)),
        Event::Renumbered { known, generation } => {
            format!("{} becomes {generation}", number(*known))
        }
    };
    events.iter().map(word).collect::<Vec<_>>().join(", ")
}

use Held::{Cut, Intact, No};

/// No file has bytes that anybody knows.
const NONE: &[(u64, &str)] = &[];

#[track_caller]
fn assert_told(known: &[Known], facts: &Facts, content: &[(u64, &str)], events: &str) {
    assert_eq!(diffed(known, facts, content), events, "{known:?}");
}
