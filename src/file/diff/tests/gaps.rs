//! What is missing, and is said.

use super::*;

#[test]
fn what_is_missing_is_a_gap() {
    let numbered = [
        ("app.log.4", 1, 90, 1),
        ("app.log.2", 3, 90, 3),
        ("app.log", 5, 50, 5),
    ];
    let dated = [
        ("app.log-20260101", 1, 90, 1),
        ("app.log-20260104", 4, 90, 4),
        ("app.log", 5, 50, 5),
    ];
    let gone = [("app.log.1", 3, 90, 3), ("app.log", 5, 50, 5)];
    let table = [
        (
            &numbered[..],
            known(0, 1, 50, Intact),
            NONE,
            "0 is #1, gap 1:0, #3 is new 2, gap 3:0, #5 is new 4",
        ),
        (
            &numbered,
            known(0, 1, 50, No),
            &[(1, "0")],
            "0 is #1, gap 1:0, #3 is new 2, gap 3:0, #5 is new 4",
        ),
        (
            &dated,
            known(0, 1, 50, No),
            &[(1, "0")],
            "0 is #1, gap 1:0, #4 is new 2, #5 is new 3",
        ),
        (
            &gone,
            known(0, 1, 50, Intact),
            NONE,
            "gap 0:50, #3 is new 1, #5 is new 2",
        ),
        (
            &gone,
            known(0, 1, 50, No),
            NONE,
            "0 vanished, gap 0:50, #3 is new 1, #5 is new 2",
        ),
        (
            &gone[1..],
            known(0, 1, 0, No),
            NONE,
            "0 vanished, gap 0:0, #5 is new 0",
        ),
        // there is nothing to go on with: it may come back
        (&[], known(0, 1, 50, No), NONE, ""),
        (&[], known(0, 1, 50, Intact), NONE, ""),
    ];
    for (files, known, content, events) in table {
        assert_told(&[known], &facts(files, Some(2)), content, events);
    }
}

#[test]
fn of_an_older_one_what_cannot_be_read_is_missing_unless_it_was_read_to_its_end() {
    let broken = [("app.log.1.gz", 3, 40, 3), ("app.log", 5, 90, 5)];
    let noted = known(0, 1, 50, No);
    let closed = Known {
        is_later: true,
        ..noted.clone()
    };
    let newest = known(1, 5, 50, No);
    let (gap, none) = ("gap 0:50, 0 vanished, 1 is #5", "0 vanished, 1 is #5");
    for (files, older, content, events) in [
        (&broken[..], noted.clone(), [(3, "x"), (5, "1")], gap),
        (&broken, closed, [(3, "x"), (5, "1")], none),
        // what is in its place is another one
        (&broken, noted.clone(), [(3, "p"), (5, "1")], none),
        (&broken[1..], noted, [(3, "x"), (5, "1")], none),
    ] {
        let known = [older, newest.clone()];
        assert_told(&known, &facts(files, Some(5)), &content, events);
    }
}

#[test]
fn what_was_missing_before_the_first_generation_is_said_when_that_gets_its_number_and_not_again() {
    let older = |name| [(name, 3, 90, 3), ("app.log", 8, 50, 8)];
    for name in ["app.log.2", "app.log.20260101"] {
        let before = Known {
            generation: None,
            seen: 90,
            ..known(0, 3, 0, No)
        };
        let unread = known(4, 8, 0, Intact);
        assert_told(
            &[before, unread],
            &facts(&older(name), Some(4)),
            &[],
            "#8 is new 4",
        );
    }
    // What is missing is the one that is gone, and not the one that stands before it.
    assert_told(
        &[known(0, 1, 50, No)],
        &facts(&older("app.log.2"), Some(4)),
        &[],
        "0 vanished, gap 0:50, #8 is new 1",
    );
    assert_told(
        &[known(0, 1, 50, No)],
        &facts(&older("app.log.1"), Some(4)),
        &[],
        "0 vanished behind #3, gap 0:50, #8 is new 1",
    );
}

#[test]
fn an_empty_archive_that_broke_is_sought_no_longer() {
    let files = [
        ("app.log.2.gz", 1, 90, 1),
        ("app.log.1", 2, 90, 2),
        ("app.log", 5, 50, 5),
    ];
    assert_told(
        &[known(0, 1, 0, No), known(1, 2, 0, No)],
        &facts(&files, Some(2)),
        &[(1, "x")],
        "0 vanished, #1 is given up, #2 is new 1, #5 is new 2",
    );
}

#[test]
fn a_file_whose_time_is_a_clock_step_behind_the_commit_is_passed_over_only_if_it_can_be_read() {
    let files = [("app.log.1.gz", 6, 90, 6), ("app.log", 7, 50, 7)];
    let behind = |milliseconds| {
        let mut facts = facts(&files, Some(5));
        facts.files[0].modified = at(5) - Duration::from_millis(milliseconds);
        facts
    };
    let lost = [known(0, 1, 50, No)];
    assert_told(
        &lost,
        &behind(4),
        &[(6, "x")],
        "0 vanished, gap 0:50, #6 is given up, #7 is new 1",
    );
    let told = "0 vanished behind #6, gap 0:50, #7 is new 1";
    assert_told(&lost, &behind(4), &[], told);
    assert_told(&lost, &behind(40), &[(6, "x")], told);
}
