//! Lines, when they are due, and the file that they are appended to.

use super::*;
use tempfile::TempDir;

fn options(file: PathBuf, count: u64) -> cli::Generate {
    cli::Generate {
        file,
        interval: Duration::ZERO,
        count: Some(count),
        seed: Some(1),
        quiet: true,
    }
}

fn generate(options: &cli::Generate) -> Result<()> {
    run(options, &AtomicBool::new(false))
}

fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_line_is_as_the_design_shows_it() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut out = Vec::new();
    let now = Duration::from_micros(1_769_847_330_000_000);
    for micros in [123_456, 7, 1_000_000] {
        push_line(&mut random, now + Duration::from_micros(micros), &mut out);
    }
    let text = String::from_utf8(out).unwrap();
    let stamps = [
        "2026-01-31T08:15:30.123456Z",
        "2026-01-31T08:15:30.000007Z",
        "2026-01-31T08:15:31.000000Z",
    ];
    for (line, stamp) in text.lines().zip(stamps) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let (kind, message) = (
            value["type"].as_str().unwrap(),
            value["message"].as_str().unwrap(),
        );
        assert!(
            TYPES.contains(&kind) && MESSAGES.contains(&message),
            "{line}"
        );
        let want = format!(r#"{{"timestamp":"{stamp}","type":"{kind}","message":"{message}"}}"#);
        assert_eq!(line, want);
    }
}

#[test]
fn a_seed_repeats_a_run() {
    let texts = |seed| {
        let mut out = Vec::new();
        let mut random = fastrand::Rng::with_seed(seed);
        (0..50).for_each(|_| push_line(&mut random, Duration::ZERO, &mut out));
        out
    };
    assert_eq!(texts(1), texts(1));
    assert_ne!(texts(1), texts(2));
}

#[test]
fn every_type_and_message_comes_up() {
    let mut out = Vec::new();
    let mut random = fastrand::Rng::with_seed(3);
    (0..500).for_each(|_| push_line(&mut random, Duration::ZERO, &mut out));
    let text = String::from_utf8(out).unwrap();
    for word in TYPES.iter().chain(&MESSAGES) {
        assert!(text.contains(word), "{word}");
    }
}

#[test]
fn exactly_count_lines_are_appended_in_blocks_and_one_by_one() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("app.log");
    let mut want = 0;
    for (count, interval) in [(0, 0), (1, 0), (5000, 0), (0, 1), (3, 1)] {
        let interval = Duration::from_millis(interval);
        generate(&cli::Generate {
            interval,
            ..options(path.clone(), count)
        })
        .unwrap();
        want += count as usize;
        assert_eq!(lines(&path).len(), want);
    }
}

#[test]
fn the_schedule_neither_drifts_nor_bursts() {
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    let table = [
        ("on time", 0, 1000, 0, 1000),
        ("a little late", 0, 1000, 30, 1000),
        (
            "later than the next is due, by a nap at most",
            0,
            10,
            60,
            10,
        ),
        ("after a pause", 0, 10, 61, 71),
        ("after a long pause", 1000, 1000, 9500, 10_500),
    ];
    for (what, last, interval, now, want) in table {
        let due = next_due(at(last), Duration::from_millis(interval), at(now));
        assert_eq!(due - start, at(want) - start, "{what}");
    }
}

#[test]
fn a_stop_ends_the_longest_wait() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("app.log");
    let stop = AtomicBool::new(false);
    let slow = cli::Generate {
        interval: Duration::from_secs(3600),
        ..options(path.clone(), 9)
    };
    std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&slow, &stop));
        while !path.exists() || lines(&path).is_empty() {
            std::thread::yield_now();
        }
        stop.store(true, Relaxed);
        let asked = Instant::now();
        running.join().unwrap().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(2));
    });
    assert_eq!(lines(&path).len(), 1);
}

#[test]
fn a_rotated_or_removed_file_is_reopened() {
    let dir = TempDir::new().unwrap();
    let (path, old) = (dir.path().join("app.log"), dir.path().join("app.log.1"));
    let mut log = LogFile::open(&path).unwrap();
    log.append(b"1\n").unwrap();
    fs::rename(&path, &old).unwrap();
    log.append(b"2\n").unwrap();
    assert_eq!(fs::read(&old).unwrap(), b"1\n");
    assert_eq!(fs::read(&path).unwrap(), b"2\n");
    fs::remove_file(&path).unwrap();
    log.append(b"3\n").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"3\n");
}

#[test]
fn a_truncated_file_is_appended_to_from_its_new_end() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("app.log");
    let mut log = LogFile::open(&path).unwrap();
    log.append(b"before\n").unwrap();
    OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(&path)
        .unwrap();
    log.append(b"after\n").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"after\n");
}

#[test]
fn what_cannot_be_written_is_named_with_the_reason() {
    let dir = TempDir::new().unwrap();
    let missing = dir.path().join("none").join("app.log");
    let folder = dir.path().to_owned();
    let (here, none) = (folder.display().to_string(), dir.path().join("none"));
    for (path, want) in [
        (
            missing.clone(),
            format!(
                "open {}: there is no folder {}; create it first",
                missing.display(),
                none.display()
            ),
        ),
        (folder, format!("open {here}: is a directory")),
        (
            "/dev/full".into(),
            "write /dev/full: no space left on device".to_owned(),
        ),
    ] {
        assert_eq!(generate(&options(path, 1)).unwrap_err().to_string(), want);
    }
}
