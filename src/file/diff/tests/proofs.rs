//! What proves which file is what, and what tells it where nothing does.

use super::*;

#[test]
fn what_a_record_knows_without_its_time_is_told_by_its_inode_unless_it_may_be_packed() {
    let table = [
        (
            &[("app.log.1", 1, 9, 1), ("app.log", 7, 9, 8)][..],
            "0 is #1, #7 is new 1",
        ),
        // it may have been packed, and its inode used again
        (
            &[
                ("app.log.2.gz", 1, 9, 1),
                ("app.log.1.gz", 6, 9, 6),
                ("app.log", 7, 9, 8),
            ],
            "0 is #1, 1 vanished, #6 is new 1, #7 is new 2",
        ),
        // what is younger is a copy of it
        (
            &[
                ("app.log.3", 1, 9, 1),
                ("app.log.2", 8, 9, 8),
                ("app.log.1", 9, 9, 9),
                ("app.log", 7, 9, 9),
            ],
            "0 is #1, #8 is new 1, #9 is new 2, #7 is new 3",
        ),
    ];
    for (files, events) in table {
        let facts = facts(files, Some(5));
        let mut known = [known(0, 1, 9, No), known(1, 7, 0, No)];
        known[1].is_later = true;
        assert_told(&known, &facts, &[(1, "0")], events);
    }
}

#[test]
fn what_no_content_proves_is_told_by_what_stands_beside_it() {
    let between = [
        ("app.log.2.gz", 1, 9, 1),
        ("app.log.1.gz", 5, 9, 2),
        ("app.log", 3, 40, 3),
    ];
    let reused = [("app.log.1.gz", 2, 9, 1), ("app.log", 4, 50, 9)];
    let passed = [
        ("app.log.2", 1, 90, 1),
        ("app.log.1", 3, 80, 2),
        ("app.log", 4, 50, 9),
    ];
    let read = known(0, 1, 50, No);
    let table = [
        (
            &between[..],
            vec![read.clone(), known(1, 9, 0, No), known(2, 3, 40, No)],
            &[(1, "0"), (3, "2")][..],
            "0 is #1, 1 is #5, 2 is #3",
        ),
        // two neighbours with one file too many between them
        (
            &between,
            vec![read.clone(), known(1, 9, 0, No), known(3, 3, 40, No)],
            &[(1, "0"), (3, "3")],
            "0 is #1, 1 vanished, 3 is #3",
        ),
        // the inode of a file that is gone is the older one's archive's by now
        (
            &reused,
            vec![read.clone(), known(1, 2, 0, No)],
            &[(2, "0")],
            "0 is #2, 1 vanished, gap 1:0, #4 is new 1",
        ),
        // a copy shorter than what was read of it, older than the checkpoint
        (
            &passed,
            vec![read, known(1, 4, 288, No)],
            &[(1, "0")],
            "0 is #1, 1 vanished behind #3, gap 1:288, #4 is new 2",
        ),
        // rotated and compressed with nothing in it
        (
            &reused,
            vec![known(0, 1, 0, No)],
            &[(2, "e")],
            "0 vanished behind #2, #4 is new 0",
        ),
    ];
    for (files, known, content, events) in table {
        assert_told(&known, &facts(files, Some(5)), content, events);
    }
}

#[test]
fn what_was_not_read_is_told_by_inode_neighbours_and_number() {
    let removed = [
        ("app.log.3", 1, 9, 1),
        ("app.log.1", 3, 90, 3),
        ("app.log", 4, 40, 4),
    ];
    let packed = [
        ("app.log.3.gz", 1, 9, 1),
        ("app.log.2.gz", 7, 9, 2),
        ("app.log.1.gz", 8, 90, 3),
        ("app.log", 4, 40, 4),
    ];
    let missing = [
        ("app.log.4.gz", 1, 9, 1),
        ("app.log.2.gz", 7, 9, 2),
        ("app.log.1.gz", 8, 90, 3),
        ("app.log", 4, 40, 4),
    ];
    let broken = [("app.log-20260126.gz", 7, 9, 9), ("app.log", 4, 40, 4)];
    let table = [
        // a file that its inode proves is no other one as well
        (
            &removed[..],
            vec![known(1, 1, 0, No), known(2, 2, 0, No), known(3, 3, 90, No)],
            &[(3, "3")][..],
            "1 is #1, 2 vanished, 3 is #3, #4 is new 4",
        ),
        // and a neighbour although nothing was read of it
        (
            &packed,
            vec![known(0, 1, 0, No), known(1, 2, 0, No), known(2, 3, 90, No)],
            &[(8, "2")],
            "0 is #1, 1 is #7, 2 is #8, #4 is new 3",
        ),
        // of three one is missing, and the numbers tell which
        (
            &missing,
            vec![known(0, 1, 0, No), known(2, 2, 0, No), known(3, 3, 90, No)],
            &[(8, "3")],
            "0 is #1, 2 is #7, 3 is #8, #4 is new 4",
        ),
        // it was broken later than it was read
        (
            &broken,
            vec![known(2, 2, 0, No), known(3, 4, 40, No)],
            &[(4, "3"), (7, "x")],
            "2 vanished, 3 is #4",
        ),
    ];
    for (files, known, content, events) in table {
        assert_told(&known, &facts(files, Some(5)), content, events);
    }
}

#[test]
fn of_unread_ones_between_two_that_are_found_whichever_is_left_is_one() {
    let below_path = [
        ("app.log.4.gz", 1, 90, 1),
        ("app.log.2.gz", 7, 9, 2),
        ("app.log", 4, 40, 4),
    ];
    let dated = [
        ("app.log-20260126.gz", 1, 90, 1),
        ("app.log-20260128.gz", 7, 9, 2),
        ("app.log", 4, 40, 4),
    ];
    let unread_between = || {
        vec![
            known(0, 1, 90, No),
            known(1, 2, 0, No),
            known(2, 3, 0, No),
            known(3, 5, 0, No),
            known(4, 4, 40, No),
        ]
    };
    let newest_but_one = unread_between()
        .into_iter()
        .filter(|known| known.generation != Some(2));
    let content = [(1, "0"), (4, "4")];
    let table = [
        (
            // the path stands before its lowest number
            below_path,
            unread_between(),
            "0 is #1, 1 vanished, 2 is #7, 3 vanished, 4 is #4",
        ),
        // dates do not, but nothing was read of any
        (
            dated,
            unread_between(),
            "0 is #1, 1 vanished, 2 vanished, 3 is #7, 4 is #4",
        ),
        (
            dated,
            newest_but_one.collect(),
            "0 is #1, 1 vanished, 3 vanished, 4 is #4",
        ),
    ];
    for (files, known, events) in table {
        assert_told(&known, &facts(&files, Some(5)), &content, events);
    }
}

#[test]
fn an_archive_that_was_broken_since_makes_nothing_behind_it_unread() {
    let files = [
        ("app.log.3.gz", 1, 9, 8),
        ("app.log.2.gz", 2, 9, 2),
        ("app.log.1", 6, 9, 7),
        ("app.log", 8, 9, 9),
    ];
    assert_told(
        &[known(3, 4, 50, No)],
        &facts(&files, Some(5)),
        &[(1, "x")],
        "3 vanished behind #2, gap 3:50, #6 is new 4, #8 is new 5",
    );
}

#[test]
fn an_archive_that_is_younger_than_who_has_its_inode_is_another_file() {
    let older = [
        ("app.log.2.gz", 3, 90, 3),
        ("app.log.1", 4, 90, 5),
        ("app.log", 8, 50, 8),
    ];
    let younger = [("app.log.2.gz", 7, 90, 3), older[1], older[2]];
    let unread = [known(0, 4, 0, No)];
    assert_told(
        &unread,
        &facts(&older, Some(2)),
        &[],
        "0 vanished, #3 is new 0, #4 is new 1, #8 is new 2",
    );
    assert_told(
        &unread,
        &facts(&younger, Some(2)),
        &[],
        "0 vanished, gap 0:0, #7 is new 0, #4 is new 1, #8 is new 2",
    );
}

#[test]
fn where_the_same_bytes_stand_in_several_files_the_number_and_the_order_decide() {
    let files = [
        ("app.log.4", 14, 500, 20),
        ("app.log.3.gz", 25, 500, 30),
        ("app.log.2.gz", 26, 500, 40),
        ("app.log.1", 27, 500, 50),
        ("app.log", 28, 500, 60),
    ];
    let facts = facts(&files, Some(25));
    // Packed, so that its inode is gone; a newer one has the same bytes at its place.
    let packed = [known(4, 14, 100, No), known(5, 99, 200, No)];
    let same = [(14, "4"), (25, "5"), (27, "5"), (26, "5")];
    let events = "4 is #14, 5 is #25, #26 is new 6, #27 is new 7, #28 is new 8";
    assert_told(&packed, &facts, &same, events);
    // The older one was removed; what has its bytes is newer than what is newer than it.
    let removed = [known(3, 98, 100, No), known(5, 25, 200, No)];
    let events = "3 vanished, 5 is #25, #26 is new 6, #27 is new 7, #28 is new 8";
    assert_told(&removed, &facts, &[(25, "5"), (27, "3")], events);
    assert_told(&removed, &facts, &[(25, "5"), (28, "3")], events);
    // Its inode was free when its archive was made: a newer file has it by now.
    let reused = [known(4, 14, 100, No), known(5, 27, 200, No)];
    let same = [(14, "4"), (25, "5"), (27, "5")];
    let events = "4 is #14, 5 is #25, #26 is new 6, #27 is new 7, #28 is new 8";
    assert_told(&reused, &facts, &same, events);
    // It was removed: far from where its number says are only the same bytes in another file.
    let many = [
        ("app.log.8", 12, 500, 12),
        ("app.log.7", 13, 500, 13),
        ("app.log.6", 14, 500, 14),
        ("app.log.5", 15, 500, 15),
        ("app.log.4", 16, 500, 16),
        ("app.log.3", 17, 500, 17),
        ("app.log.2", 18, 500, 18),
        ("app.log.1", 19, 500, 19),
        ("app.log", 20, 500, 20),
    ];
    let many = self::facts(&many, Some(20));
    let removed = [known(1, 98, 100, No), known(9, 20, 200, No)];
    assert_told(
        &removed,
        &many,
        &[(20, "9"), (12, "1")],
        "1 is #12, 9 is #20",
    );
    let far = [known(8, 98, 100, No), known(9, 20, 200, No)];
    assert_told(&far, &many, &[(20, "9"), (12, "8")], "8 vanished, 9 is #20");
    // What is empty between them has no number.
    let mut empty = many.clone();
    for fact in &mut empty.files[1..7] {
        fact.size = 0;
    }
    let beside = [known(1, 12, 100, No), known(2, 20, 200, Cut)];
    let events = "1 is #12, 2 copied to #19, #20 is new 3";
    assert_told(&beside, &empty, &[(12, "1"), (19, "2")], events);
}

#[test]
fn of_two_times_that_are_the_same_the_birth_tells_where_nothing_was_read() {
    let files = |born| {
        [
            ("app.log.2", born, 90, 5),
            ("app.log.1", 4, 50, 7),
            ("app.log", 8, 50, 8),
        ]
    };
    let unread = [known(0, 4, 0, No)];
    assert_told(
        &unread,
        &facts(&files(3), Some(5)),
        &[],
        "#4 is new 0, #8 is new 1",
    );
    assert_told(
        &unread,
        &facts(&files(6), Some(5)),
        &[],
        "#6 is new 0, #4 is new 1, #8 is new 2",
    );
}

#[test]
fn an_archive_in_the_place_of_the_log_is_the_file_or_a_backup_of_it() {
    let known = [known(0, 1, 50, No)];
    let (file, backup) = ("0 is #3, #5 is new 1", "0 is #3, gap 0:50, #5 is new 1");
    for (modified, events) in [(2, file), (4, backup)] {
        let files = [("app.log.gz", 3, 90, modified), ("app.log", 5, 50, 5)];
        assert_told(&known, &facts(&files, Some(2)), &[(3, "0")], events);
    }
}

#[test]
fn a_backup_has_no_place_in_the_order() {
    let files = [
        ("app.log.20260102", 1, 90, 3),
        ("app.log.orig", 2, 50, 2),
        ("app.log", 5, 50, 5),
    ];
    // The copy of it is gone, and what was its own file is the next one.
    assert_told(
        &[known(0, 9, 50, No), known(1, 1, 0, No)],
        &facts(&files, Some(2)),
        &[(2, "0")],
        "0 is #2, #1 is new 1, gap 2:0, #5 is new 3",
    );
}
