//! What rotations do.

use super::*;

#[test]
fn rename_and_create() {
    let one = [("app.log.1", 1, 90, 1), ("app.log", 2, 50, 2)];
    let three = [
        ("app.log.4", 9, 90, 0),
        ("app.log.3", 1, 90, 1),
        ("app.log.2", 2, 90, 2),
        ("app.log.1", 3, 90, 3),
        ("app.log", 4, 50, 4),
    ];
    let table = [
        // nothing happened
        (&one[1..], known(5, 2, 40, Intact), NONE, "5 is #2"),
        // between two looks
        (&one, known(0, 1, 50, Intact), NONE, "0 is #1, #2 is new 1"),
        // not yet made anew
        (&one[..1], known(0, 1, 50, Intact), NONE, "0 is #1"),
        (
            &three,
            known(0, 1, 50, Intact),
            NONE,
            "0 is #1, #2 is new 1, #3 is new 2, #4 is new 3",
        ),
        // while down: the anchor proves it, and where the inode is another the content does
        (
            &three,
            known(7, 1, 50, No),
            &[(1, "7")],
            "7 is #1, #2 is new 8, #3 is new 9, #4 is new 10",
        ),
        (
            &three,
            known(7, 8, 50, No),
            &[(1, "7")],
            "7 is #1, #2 is new 8, #3 is new 9, #4 is new 10",
        ),
        // nothing was read of it, so the inode decides
        (
            &three,
            known(7, 2, 0, No),
            NONE,
            "#2 is new 7, #3 is new 8, #4 is new 9",
        ),
        (
            &three,
            known(7, 2, 0, Intact),
            NONE,
            "#2 is new 7, #3 is new 8, #4 is new 9",
        ),
    ];
    for (files, known, content, events) in table {
        assert_told(&[known], &facts(files, Some(2)), content, events);
    }
}

/// #1 is the path throughout; #2 is older than #3.
const COPIES: [File; 3] = [
    ("app.log.2", 2, 90, 2),
    ("app.log.1", 3, 95, 3),
    ("app.log", 1, 20, 4),
];

#[test]
fn copytruncate() {
    let files = COPIES;
    let table = [
        (
            &files[1..],
            vec![known(0, 1, 90, Cut)],
            &[(3, "0")][..],
            "0 copied to #3, #1 is new 1",
        ),
        (
            &files,
            vec![known(0, 1, 90, Cut)],
            &[(2, "0")],
            "0 copied to #2, #3 is new 1, #1 is new 2",
        ),
        // the same while down, where the inode has other bytes
        (
            &files,
            vec![known(0, 1, 90, No)],
            &[(2, "0")],
            "0 is #2, #3 is new 1, #1 is new 2",
        ),
        // the copy was made before the last lines were read
        (
            &files[1..],
            vec![known(0, 1, 90, Cut)],
            &[(3, "!0")],
            "0 truncated, #1 is new 1",
        ),
        // there is none
        (
            &files[2..],
            vec![known(0, 1, 90, Cut)],
            NONE,
            "0 truncated, gap 0:90, #1 is new 1",
        ),
    ];
    for (files, known, content, events) in table {
        assert_told(&known, &facts(files, Some(1)), content, events);
    }
}

#[test]
fn copytruncate_of_what_nothing_was_read_of() {
    let files = COPIES;
    // the copies are the generation, and the next one
    let table = [
        (
            &files[1..],
            vec![known(0, 1, 0, Intact)],
            NONE,
            "#3 is new 0, #1 is new 1",
        ),
        (
            &files,
            vec![known(4, 2, 90, No), known(5, 1, 0, Intact)],
            &[(2, "4")],
            "4 is #2, #3 is new 5, #1 is new 6",
        ),
        // not truncated yet
        (
            &files[1..],
            vec![known(0, 1, 0, Intact)],
            &[(3, "p")],
            "#3 is new 0, #1 is new 1",
        ),
    ];
    for (files, known, content, events) in table {
        assert_told(&known, &facts(files, Some(1)), content, events);
    }
    let copy = [("app.log.1", 3, 20, 3), ("app.log", 1, 20, 4)];
    let unread = [known(0, 1, 0, Intact)];
    assert_told(&unread, &facts(&copy, Some(1)), &[(3, "p")], "#1 is new 0");
}

#[test]
fn where_nothing_lay_beside_an_unread_log_all_that_comes_is_its_own() {
    let copied = [("app.log.1", 3, 20, 3), ("app.log", 1, 20, 4)];
    let unread = [known(0, 1, 0, Intact)];
    let mut facts = facts(&copied, Some(9));
    assert_told(&unread, &facts, &[], "#1 is new 0");
    facts.is_all_ours = true;
    assert_told(&unread, &facts, &[], "#3 is new 0, #1 is new 1");
}

#[test]
fn compressed() {
    let files = [
        ("app.log.2.gz", 2, 9, 2),
        ("app.log.1.gz", 3, 9, 3),
        ("app.log", 4, 20, 4),
    ];
    let table = [
        (
            known(0, 1, 90, No),
            &[(2, "0")][..],
            "0 is #2, #3 is new 1, #4 is new 2",
        ),
        (known(0, 1, 90, Intact), &[(3, "0")], "0 is #3, #4 is new 1"),
        (
            known(0, 1, 90, No),
            &[(2, "0"), (3, "x")],
            "0 is #2, #3 is given up, gap 1:0, #4 is new 2",
        ),
        (
            known(0, 1, 90, No),
            &[],
            "0 vanished, gap 0:90, #2 is new 1, #3 is new 2, #4 is new 3",
        ),
        // nothing was read of it: what was written since is it, and what followed
        (
            known(0, 1, 0, No),
            &[],
            "0 vanished, #2 is new 0, #3 is new 1, #4 is new 2",
        ),
    ];
    for (known, content, events) in table {
        assert_told(&[known], &facts(&files, Some(1)), content, events);
    }
}

#[test]
fn what_is_open_and_unread_keeps_its_place_before_what_was_removed() {
    let files = [("app.log.20260101", 1, 90, 1), ("app.log", 5, 50, 5)];
    for offset in [0, 50] {
        assert_told(
            &[known(1, 1, 0, Intact), known(2, 2, offset, Intact)],
            &facts(&files, Some(2)),
            NONE,
            "#1 is new 1, #5 is new 3",
        );
    }
}

#[test]
fn what_is_open_and_unread_keeps_its_place_before_what_is_packed() {
    let files = [
        ("app.log.3.gz", 1, 90, 1),
        ("app.log.2.gz", 9, 90, 2),
        ("app.log.1", 3, 90, 3),
        ("app.log", 4, 50, 5),
    ];
    let packed = Known {
        probe: known(1, 2, 90, Intact).probe,
        ..known(1, 2, 0, Intact)
    };
    assert_told(
        &[known(0, 1, 0, Intact), packed, known(2, 4, 0, Intact)],
        &facts(&files, Some(2)),
        &[(9, "1")],
        "1 is #9, #1 is new 0, #3 is new 2, #4 is new 3",
    );
}

#[test]
fn what_is_no_rotated_log_is_not_read() {
    let strangers = [
        ("app.log.bak", 6, 90, 6),
        ("app.log.1.sha256", 7, 90, 7),
        ("app-1.log", 8, 90, 8),
        ("app.log.1", 1, 90, 5),
        ("app.log.20260101", 4, 90, 9),
        ("app.log", 5, 50, 5),
    ];
    let read = known(0, 1, 50, Intact);
    assert_told(
        &[read],
        &facts(&strangers, Some(2)),
        &[(4, "b"), (6, "0")],
        "0 is #1, #5 is new 1",
    );
    // A backup is the log where nothing else is, but it does not say what was written behind it.
    let lost = known(0, 9, 50, No);
    assert_told(
        &[lost],
        &facts(&strangers, Some(4)),
        &[(4, "b"), (6, "0")],
        "0 is #6, gap 0:90, #1 is new 1, #5 is new 2",
    );
    let mut claimed = facts(&strangers[3..], Some(2));
    claimed.files[1].claimed = true;
    assert_told(
        &[known(0, 1, 50, Intact)],
        &claimed,
        &[],
        "0 is #1, #5 is new 1",
    );
}
