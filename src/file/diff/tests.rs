//! Tables of what was known and found, and what came of it.

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
fn known(generation: u64, ino: u64, offset: u64, hold: Hold) -> Known {
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
    };
    events.iter().map(word).collect::<Vec<_>>().join(", ")
}

use Hold::{Cut, Intact, No};

#[track_caller]
fn assert_told(known: &[Known], facts: &Facts, content: &[(u64, &str)], events: &str) {
    assert_eq!(diffed(known, facts, content), events, "{known:?}");
}

#[test]
fn rename_and_create() {
    let none: &[(u64, &str)] = &[];
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
        (&one[1..], known(5, 2, 40, Intact), none, "5 is #2"),
        // between two looks
        (&one, known(0, 1, 50, Intact), none, "0 is #1, #2 is new 1"),
        // not yet made anew
        (&one[..1], known(0, 1, 50, Intact), none, "0 is #1"),
        (
            &three,
            known(0, 1, 50, Intact),
            none,
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
            none,
            "#2 is new 7, #3 is new 8, #4 is new 9",
        ),
        (
            &three,
            known(7, 2, 0, Intact),
            none,
            "#2 is new 7, #3 is new 8, #4 is new 9",
        ),
    ];
    for (files, known, content, events) in table {
        assert_told(&[known], &facts(files, Some(2)), content, events);
    }
}

#[test]
fn copytruncate() {
    let none: &[(u64, &str)] = &[];
    // #1 is the path throughout; #2 is older than #3
    let files = [
        ("app.log.2", 2, 90, 2),
        ("app.log.1", 3, 95, 3),
        ("app.log", 1, 20, 4),
    ];
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
            none,
            "0 truncated, gap 0:90, #1 is new 1",
        ),
        // nothing had been read of it: the copies are the generation, and the next one
        (
            &files[1..],
            vec![known(0, 1, 0, Intact)],
            none,
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
fn what_is_missing_is_a_gap() {
    let none: &[(u64, &str)] = &[];
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
            none,
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
            none,
            "gap 0:50, #3 is new 1, #5 is new 2",
        ),
        (
            &gone,
            known(0, 1, 50, No),
            none,
            "0 vanished, gap 0:50, #3 is new 1, #5 is new 2",
        ),
        (
            &gone[1..],
            known(0, 1, 0, No),
            none,
            "0 vanished, gap 0:0, #5 is new 0",
        ),
        // there is nothing to go on with: it may come back
        (&[], known(0, 1, 50, No), none, ""),
        (&[], known(0, 1, 50, Intact), none, ""),
    ];
    for (files, known, content, events) in table {
        assert_told(&[known], &facts(files, Some(2)), content, events);
    }
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

#[test]
fn what_is_open_and_unread_keeps_its_place_before_what_was_removed() {
    let files = [("app.log.20260101", 1, 90, 1), ("app.log", 5, 50, 5)];
    let none: &[(u64, &str)] = &[];
    for offset in [0, 50] {
        assert_told(
            &[known(1, 1, 0, Intact), known(2, 2, offset, Intact)],
            &facts(&files, Some(2)),
            none,
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
