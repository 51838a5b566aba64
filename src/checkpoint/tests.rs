//! The files of a state directory: their names, what they hold, who may have them, and how they go.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Instant, SystemTime};

use super::*;
use crate::position::{FileId, Gap, Position};

fn progress(offset: u64) -> Progress {
    Progress::at(Position {
        offset,
        ..Position::start(0, FileId { dev: 1, ino: 2 })
    })
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), Delivery::ExactlyOnce).unwrap();
    (folder, store)
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_checkpoint_comes_back_as_it_was_written_and_knows_its_log() {
    let (_folder, store) = store();
    let log = Path::new("/var/log/app.log");
    assert_eq!(store.read(log).unwrap(), None);
    store.write(log, &progress(750), SystemTime::now()).unwrap();
    assert_eq!(store.read(log).unwrap().unwrap().0, progress(750));
    assert!(store.file_of(log).ends_with("%var%log%app.log.checkpoint"));
    fs::rename(store.file_of(log), store.file_of(Path::new("/other"))).unwrap();
    let error = store.read(Path::new("/other")).unwrap_err().to_string();
    assert!(
        error.contains("another log, /var/log/app.log") && error.contains("--reset"),
        "{error}"
    );
}

#[test]
fn a_name_that_would_be_too_long_is_cut_and_stays_its_own() {
    let name = |log: &str| String::from_utf8(short_name(Path::new(log))).unwrap();
    let long = |length: usize| format!("/{}", "x".repeat(length - 1));
    assert_eq!(name(&long(189)), long(189).replace('/', "%"));
    let cut = name(&long(190));
    let (kept, hash) = cut.split_once('.').unwrap();
    assert_eq!((kept, hash.len()), ("x".repeat(120).as_str(), 16));
    assert_eq!(hash, format!("{:016x}", fnv1a(long(190).as_bytes())));
    assert_ne!(name(&long(190)), name(&long(191)));
    // Bytes of letters stay together: 120 bytes are 40 letters, and of 119 the first is only half there.
    let letters = name(&format!("/{}a", "\u{20ac}".repeat(100)));
    assert!(
        letters.starts_with(&format!("{}a.", "\u{20ac}".repeat(39))),
        "{letters}"
    );
    // Short names begin with a %, and no cut one does.
    let slash = name(&format!("/{}/{}", "d".repeat(100), "f".repeat(119)));
    assert!(slash.starts_with("ff"), "{slash}");
    assert_ne!(name("/a%b"), name("/a/b"));
    assert_eq!(name("/a/b"), "%a%b");
}

#[test]
fn a_log_whose_path_is_very_long_has_state_like_any_other() {
    let (folder, store) = store();
    let log = PathBuf::from(format!("/{}app.log", "containers/".repeat(300)));
    let lock = store.lock(&log).unwrap();
    assert!(matches!(store.lock(&log), Err(Error::TryLater(_))));
    store.write(&log, &progress(7), SystemTime::now()).unwrap();
    store
        .note_gap(
            &log,
            &Gap {
                generation: 0,
                offset: 7,
                bytes: None,
            },
        )
        .unwrap();
    assert_eq!(store.read(&log).unwrap().unwrap().0, progress(7));
    assert_eq!(store.stale(Duration::ZERO), [log.as_path()]);
    store.forget(&log, lock).unwrap();
    assert_eq!(names(folder.path()), BTreeSet::from(["identity".into()]));
}

#[test]
fn two_logs_whose_names_look_alike_forget_nothing_of_each_other() {
    let (_folder, store) = store();
    let (slash, percent) = (Path::new("/a/b"), Path::new("/a%b"));
    store.write(slash, &progress(1), SystemTime::now()).unwrap();
    assert_eq!(store.read(percent).unwrap(), None);
    store
        .write(percent, &progress(2), SystemTime::now())
        .unwrap();
    store.remove(percent).unwrap();
    assert_eq!(store.read(slash).unwrap().unwrap().0, progress(1));
}

#[test]
fn the_state_directory_is_made_for_us_alone() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("a/state");
    Store::create(&state, Delivery::ExactlyOnce).unwrap();
    let mode = fs::metadata(&state).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    fs::set_permissions(&state, fs::Permissions::from_mode(0o1777)).unwrap();
    let error = Store::create(&state, Delivery::ExactlyOnce).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("everybody may write") && text.contains("--state-dir"),
        "{text}"
    );
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(Store::create(&file, Delivery::ExactlyOnce).is_err());
}

#[test]
fn no_file_of_the_state_directory_is_reached_through_a_link() {
    let (folder, store) = store();
    let log = Path::new("/app.log");
    let victim = folder.path().join("victim");
    fs::write(&victim, "750\n").unwrap();
    let endings = [".checkpoint.tmp", ".gaps", ".lock", ".checkpoint"];
    for ending in endings {
        symlink(&victim, store.name(log, ending)).unwrap();
    }
    let gap = Gap {
        generation: 0,
        offset: 7,
        bytes: None,
    };
    assert!(store.lock(log).is_err());
    assert!(store.read(log).is_err());
    assert!(store.note_gap(log, &gap).is_err());
    assert!(store.gaps(log).is_err());
    store.write(log, &progress(1), SystemTime::now()).unwrap();
    assert_eq!(store.read(log).unwrap().unwrap().0, progress(1));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "750\n");
}

#[test]
fn a_lock_file_that_was_unlinked_meanwhile_is_no_lock() {
    let (folder, store) = store();
    let log = Path::new("/app.log");
    let first = store.lock(log).unwrap();
    let path = store.name(log, LOCK);
    // Opened before the first one forgot the log, and locked after.
    let late = File::options().write(true).open(&path).unwrap();
    store.forget(log, first).unwrap();
    late.try_lock().unwrap();
    assert!(!is_at(&late, &path).unwrap());
    let second = store.lock(log).unwrap();
    assert!(matches!(store.lock(log), Err(Error::TryLater(_))));
    // Whoever holds a file that is no longer there removes none that is.
    store.forget(log, Lock { file: Some(late) }).unwrap();
    assert!(is_at(second.file.as_ref().unwrap(), &path).unwrap());
    assert_eq!(names(folder.path()), ["%app.log.lock".to_string()].into());
}

#[test]
fn a_lock_that_a_dead_process_left_to_its_child_is_waited_for() {
    let (_folder, store) = store();
    let log = Path::new("/app.log");
    drop(store.lock(log).unwrap());
    // `flock` owns it and is gone at once; the shell has it until it ends.
    let mut shell = std::process::Command::new("sh")
        .args(["-c", "exec 9>\"$0\"; flock 9; echo; sleep 0.1"])
        .arg(store.name(log, LOCK))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0];
    shell.stdout.take().unwrap().read_exact(&mut line).unwrap();
    let lock = store.lock(log).unwrap();
    assert!(matches!(store.lock(log), Err(Error::TryLater(_))));
    drop(lock);
    shell.wait().unwrap();
}

#[test]
fn many_who_lock_and_forget_at_once_never_hold_a_lock_together() {
    let (_folder, store) = store();
    let log = Path::new("/app.log");
    let holders = std::sync::atomic::AtomicUsize::new(0);
    let contend = || {
        let mut held = 0;
        while held < 200 {
            let Ok(lock) = store.lock(log) else { continue };
            let before = holders.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            assert_eq!(before, 0, "somebody else holds it too");
            std::thread::yield_now();
            held += 1;
            holders.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            store.forget(log, lock).unwrap();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(contend);
        }
    });
}

#[test]
fn what_is_gone_for_long_is_stale() {
    let (folder, store) = store();
    let (there, gone) = (
        folder.path().join("there.log"),
        folder.path().join("gone.log"),
    );
    fs::write(&there, "").unwrap();
    // What it is true of may lie further back than when it was made.
    let yesterday = SystemTime::now() - Duration::from_secs(24 * 3600);
    for log in [&there, &gone] {
        store.write(log, &progress(1), yesterday).unwrap();
    }
    fs::write(store.file_of(Path::new("/number")), "750\n").unwrap();
    fs::write(store.file_of(Path::new("/broken")), "nonsense").unwrap();
    assert_eq!(store.stale(Duration::from_secs(3600)), [] as [&Path; 0]);
    assert_eq!(store.stale(Duration::ZERO), [gone.as_path()]);
    let begin = Instant::now();
    while store.stale(Duration::from_millis(50)) != [gone.as_path()] {
        assert!(begin.elapsed() < Duration::from_secs(10), "not stale yet");
    }
}
