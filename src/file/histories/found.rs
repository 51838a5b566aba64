//! Histories that once came out wrong, as random ones found them, with what they are about.

use super::Event::{self, *};
use super::History;

const RENAME: Event = Rename { create: false };
const CREATE: Event = Rename { create: true };
const COPYTRUNCATE: [Event; 2] = [Copy(4), Truncate(0)];

#[track_caller]
fn comes_out_right(what: &str, waits: bool, events: &[&[Event]]) {
    let mut history = History::new(1, waits);
    history.is_destructive = true;
    history.play(&events.concat(), 80);
    history
        .check()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
}

#[test]
fn what_is_in_a_truncated_file_that_was_removed_comes_behind_its_copies() {
    let written = [Write(1)];
    comes_out_right(
        "its last lines are nowhere else",
        false,
        &[&[Zap, Write(1)], &COPYTRUNCATE, &[Write(2), RemoveLive]],
    );
    comes_out_right(
        "nothing was read of it, and it was empty when it was last seen",
        false,
        &[
            &[CREATE, Poll(1)],
            &written,
            &COPYTRUNCATE,
            &written,
            &[RemoveLive],
        ],
    );
    comes_out_right(
        "they are in an archive as well",
        false,
        &[
            &[Zap, Write(1)],
            &COPYTRUNCATE,
            &[Write(1), RENAME, Pack(0)],
        ],
    );
    comes_out_right(
        "what was truncated away is said",
        false,
        &[&[Write(1), Zap, Write(1), RemoveLive, Write(1)]],
    );
}

#[test]
fn an_unread_file_that_was_truncated_is_sought_in_its_copy() {
    let copied = [Rename { create: false }, Block, Write(1), Copy(4)];
    comes_out_right(
        "behind a removed one",
        false,
        &[&copied, &[Remove(0), Poll(1)]],
    );
    let begun = [Zap, Begin, Copy(1), Poll(2)];
    comes_out_right(
        "the copy has only just begun",
        false,
        &[&[Write(2)], &begun],
    );
}

#[test]
fn unread_files_keep_their_order_whatever_becomes_of_them() {
    comes_out_right(
        "one is packed, another removed",
        false,
        &[
            &[
                Write(1),
                RENAME,
                Block,
                Remove(0),
                Write(1),
                Poll(1),
                RENAME,
                Remove(0),
            ],
            &[Write(1), RENAME, Poll(1), Pack(0)],
        ],
    );
    comes_out_right(
        "an archive of one that was empty comes before them",
        false,
        &[
            &[
                CREATE,
                RENAME,
                Write(1),
                Block,
                CREATE,
                CREATE,
                RENAME,
                Write(2),
            ],
            &[Poll(1), RemoveLive, Pack(3)],
        ],
    );
}

#[test]
fn what_comes_and_is_rotated_away_while_the_path_is_absent_is_read() {
    let gone = [RemoveLive, Poll(1), Write(2), RENAME, Poll(1), Write(1)];
    comes_out_right("behind a removed one", false, &[&gone]);
    comes_out_right(
        "while the sink takes nothing",
        false,
        &[
            &[RENAME, Block, Poll(1), Write(1), RENAME, Remove(1)],
            &[Block, Poll(1)],
        ],
    );
}

#[test]
fn a_progress_does_not_go_back_when_an_empty_file_is_removed() {
    comes_out_right(
        "behind a copy",
        false,
        &[&[Copy(1), Truncate(1), RemoveLive, Poll(1)]],
    );
    comes_out_right(
        "behind one that is waited for",
        false,
        &[&[Begin, CREATE, Poll(1), RemoveLive, Poll(1)]],
    );
}

#[test]
fn a_backup_that_is_written_over_is_another_backup() {
    comes_out_right(
        "one was all that was left",
        false,
        &[&[BackUp, Zap, Poll(1), Write(1), BackUp, RENAME]],
    );
}

#[test]
fn a_copy_of_the_path_in_the_making_is_not_the_generation_that_is_missing() {
    comes_out_right(
        "which was empty",
        true,
        &[&[
            CREATE,
            Poll(1),
            Restart(1),
            RemoveLive,
            Write(3),
            Copy(1),
            Poll(3),
        ]],
    );
    comes_out_right(
        "nor is one that was read, where those between it and the next are empty",
        true,
        &[&[
            CREATE,
            CREATE,
            Truncate(0),
            RENAME,
            Write(1),
            Copy(1),
            Truncate(1),
            Copy(1),
            Pack(2),
        ]],
    );
}

#[test]
fn a_removed_file_that_was_read_in_part_is_said_by_the_next_run() {
    let empty = [Write(1), Poll(3), Copy(4), Truncate(0), Poll(3)];
    comes_out_right(
        "it was empty and read to its end when it got its number",
        false,
        &[
            &empty,
            &COPYTRUNCATE,
            &[Write(9), RemoveLive, Write(1), Poll(3), Restart(0)],
        ],
    );
}

#[test]
fn what_was_seen_of_a_truncated_file_is_said_although_its_path_is_gone_by_then() {
    let seen = [Block, Write(1), Poll(1), Zap];
    comes_out_right("it was removed", false, &[&seen, &[RemoveLive]]);
    comes_out_right("it was renamed", false, &[&seen, &[RENAME]]);
}

/// The guarantees' row of a log that is emptied within a second of the last look.
#[test]
fn a_line_that_came_and_was_truncated_away_between_two_looks_is_nobodys() {
    comes_out_right(
        "its copy was removed as well",
        false,
        &[&[Write(1)], &COPYTRUNCATE, &[Remove(0)]],
    );
}
