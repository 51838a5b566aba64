//! What `--verbose` says of a source and of the session: what was found, where each begins and why, and what became of
//! batches whose replies were lost.
//!
//! Words only: who calls knows the facts.

use std::path::Path;

use crate::position::Progress;

/// A path that is watched from now on.
pub fn found(path: &Path, source: &str, checkpoint: Option<&Progress>) -> String {
    let size = match std::fs::metadata(path) {
        Ok(metadata) => format!("{} bytes", metadata.len()),
        Err(_) => "not there yet".into(),
    };
    let checkpoint = match checkpoint {
        Some(progress) => format!("its checkpoint is at {}", place(progress)),
        None => "no checkpoint".into(),
    };
    format!(
        "{}: found: {size}; {checkpoint}; its source is {source}",
        path.display()
    )
}

/// Why it begins there.
pub fn because(
    progress: &Progress,
    checkpoint: Option<&Progress>,
    initial: &Progress,
    reset: bool,
) -> String {
    match checkpoint {
        _ if reset => "as --reset forgets how far it was".into(),
        Some(checkpoint) if checkpoint == progress => "where its checkpoint stands".into(),
        Some(checkpoint) => format!(
            "where its commit record stands, and not the checkpoint at {}",
            place(checkpoint)
        ),
        None if initial != progress => "where its commit record stands".into(),
        None if progress.current.offset > 0 => {
            "its end, as it was not seen before (--from end)".into()
        }
        None => "its start, as nothing of it was published yet".into(),
    }
}

/// A position, as `status` names it.
pub fn place(progress: &Progress) -> String {
    let current = &progress.current;
    format!(
        "offset {} of generation {}",
        current.offset,
        progress.rotations()
    )
}

/// `1 batch`, `2 batches`.
pub fn count(number: u64, thing: &str) -> String {
    let ending = match number {
        1 => "",
        _ if thing.ends_with("ch") => "es",
        _ => "s",
    };
    format!("{number} {thing}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{FileId, Position};

    fn at(offset: u64) -> Progress {
        Progress::at(Position {
            offset,
            ..Position::start(2, FileId::default())
        })
    }

    #[test]
    fn a_source_begins_somewhere_for_a_reason() {
        let said = |progress: &Progress, checkpoint: Option<&Progress>, initial: &Progress| {
            because(progress, checkpoint, initial, false)
        };
        assert_eq!(
            said(&at(5), Some(&at(5)), &at(0)),
            "where its checkpoint stands"
        );
        assert!(said(&at(9), Some(&at(5)), &at(0)).contains("not the checkpoint at offset 5"));
        assert_eq!(said(&at(9), None, &at(0)), "where its commit record stands");
        assert!(said(&at(9), None, &at(9)).contains("--from end"));
        assert!(said(&at(0), None, &at(0)).contains("its start"));
    }
}
