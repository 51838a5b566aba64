//! When positions are written, and that no log holds up another.

use super::*;
use crate::cli::Delivery;
use crate::position::{FileId, Position};

fn at(offset: u64) -> Moment {
    let progress = Progress::at(Position {
        offset,
        ..Position::start(0, FileId { dev: 1, ino: 2 })
    });
    (progress, SystemTime::UNIX_EPOCH)
}

#[test]
fn a_write_is_due_after_so_many_lines_or_so_long_but_not_at_once_after_another() {
    let cadence = Cadence {
        lines: 50,
        interval: Duration::from_secs(2),
    };
    let cases = [
        (0, 0, false, 2000),
        (49, 500, false, 1500),
        (50, 0, false, 100),
        (51, 30, false, 70),
        (51, 100, false, 0),
        (1, 2000, false, 0),
        (1, 9000, false, 0),
        (51, 100, true, 1900),
    ];
    for (lines, age, is_failing, wait) in cases {
        let waited = cadence.wait(lines, Duration::from_millis(age), is_failing);
        let expected = Duration::from_millis(wait);
        assert_eq!(waited, expected, "{lines} lines, {age} ms");
    }
    let eager = Cadence {
        lines: 1,
        interval: Duration::ZERO,
    };
    let of_refused = eager.wait(1, Duration::ZERO, true);
    assert_eq!(of_refused, Duration::from_millis(200));
}

#[test]
fn a_newer_position_replaces_a_queued_one_and_the_last_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), Delivery::ExactlyOnce).unwrap();
    let mailbox = Mailbox::new(Cadence {
        lines: 1,
        interval: Duration::from_secs(60),
    });
    let log = Path::new("/app.log");
    for offset in 1..=1000 {
        mailbox.put(log, at(offset), 1);
    }
    mailbox.close();
    mailbox.write_all(&store).unwrap();
    assert_eq!(store.read(log).unwrap().unwrap().0, at(1000).0);
}

/// Closes a mailbox, also when a test fails: else its writer would never end.
struct Closing<'m>(&'m Mailbox);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A mailbox whose writer runs while `play` does.
fn with_writer(store: &Store, cadence: Cadence, play: impl FnOnce(&Mailbox)) -> Mailbox {
    let mailbox = Mailbox::new(cadence);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| mailbox.write_all(store));
        let closing = Closing(&mailbox);
        play(&mailbox);
        drop(closing);
        writer.join().unwrap().unwrap();
    });
    mailbox
}

/// Waits, a while at most.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_sleeping_writer_wakes_for_what_is_due_sooner() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), Delivery::ExactlyOnce).unwrap();
    let (a, b) = (Path::new("/a.log"), Path::new("/b.log"));
    let offset = |log| store.read(log).unwrap().map(|it| it.0.current.offset);
    let cadence = Cadence {
        lines: 10,
        interval: Duration::from_secs(3600),
    };
    with_writer(&store, cadence, |mailbox| {
        mailbox.put(a, at(1), 1);
        until("the first is written at once", || offset(a) == Some(1));
        mailbox.put(a, at(2), 1);
        mailbox.put(b, at(3), 1);
        until("another log's first too", || offset(b) == Some(3));
        mailbox.put(b, at(4), 9);
        mailbox.put(b, at(5), 1);
        until("ten lines are enough", || offset(b) == Some(5));
        assert_eq!(offset(a), Some(1), "one is not");
    });
    assert_eq!(offset(a), Some(2));
}

#[test]
fn a_log_that_is_forgotten_leaves_nothing_on_disk_or_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), Delivery::ExactlyOnce).unwrap();
    let cadence = Cadence {
        lines: 1,
        interval: Duration::ZERO,
    };
    let mailbox = with_writer(&store, cadence, |mailbox| {
        for number in 0..50 {
            let log = std::path::PathBuf::from(format!("/{number}.log"));
            let lock = store.lock(&log).unwrap();
            mailbox.put(&log, at(1), 1);
            until("it is written", || store.read(&log).unwrap().is_some());
            mailbox.put(&log, at(2), 1);
            mailbox.forget(&log, lock);
        }
    });
    let names = std::fs::read_dir(folder.path()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["identity"]);
    let state = mailbox.state();
    assert!(state.tried.is_empty() && state.pending.is_empty());
}

#[test]
fn one_checkpoint_that_cannot_be_written_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), Delivery::ExactlyOnce).unwrap();
    let cadence = Cadence {
        lines: 1,
        interval: Duration::from_millis(1),
    };
    let (bad, good) = (Path::new("/a.log"), Path::new("/b.log"));
    let in_the_way = store.file_of(bad);
    std::fs::create_dir(&in_the_way).unwrap();
    with_writer(&store, cadence, |mailbox| {
        mailbox.put(bad, at(1), 1);
        until("it fails", || !mailbox.state().failed.is_empty());
        for offset in 1..4 {
            mailbox.put(good, at(offset), 1);
            let written = || store.read(good).unwrap().map(|it| it.0.current.offset);
            until("the other is written", || written() == Some(offset));
            assert!(mailbox.state().is_failing, "said once, so not over yet");
        }
        std::fs::remove_dir(&in_the_way).unwrap();
        until("it is written at last", || !mailbox.state().is_failing);
    });
    assert_eq!(store.read(bad).unwrap().unwrap().0, at(1).0);
}

#[test]
fn where_redis_has_the_positions_a_disk_without_room_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let store = |has_record, folder: &str| Store {
        folder: folder.into(),
        has_record,
        is_full: true,
    };
    let gone = folder
        .path()
        .join("never made")
        .to_str()
        .unwrap()
        .to_owned();
    for (has_record, succeeds) in [(true, true), (false, false)] {
        let mailbox = Mailbox::new(Cadence {
            lines: 1,
            interval: Duration::ZERO,
        });
        mailbox.put(Path::new("/app.log"), at(1), 1);
        mailbox.close();
        let written = mailbox.write_all(&store(has_record, &gone));
        assert_eq!(written.is_ok(), succeeds, "{written:?}");
    }
}
