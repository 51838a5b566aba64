//! A file that lines are written to: cut back after a crash to what is proven, and gone on with.

use super::*;

/// A child that another test starts has every lock of this process until its exec.
fn open(path: &Path) -> Output {
    loop {
        match Output::open(path, true) {
            Err(Error::TryLater(_)) => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

/// Writes a block and dies before its place is kept.
fn die_in_a_block(mut output: Output, lines: &[u8]) {
    output.follow_rotation().unwrap();
    output.append(lines).unwrap();
}

#[test]
fn what_is_not_proven_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    fs::write(&path, "before\n").unwrap();
    let mut output = open(&path);
    assert_eq!(output.place(), b"");
    output.write(b"one\n", b"first").unwrap();
    die_in_a_block(output, b"two\nthr");
    let output = open(&path);
    assert_eq!(output.place(), b"first");
    assert_eq!(fs::read(&path).unwrap(), b"before\none\n");
    die_in_a_block(output, b"two\n");
    drop(open(&path));
    assert_eq!(fs::read(&path).unwrap(), b"before\none\n");
}

#[test]
fn a_rotated_file_is_cut_back_under_its_new_name() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("out"), folder.path().join("out.1"));
    let mut output = open(&path);
    output.write(b"one\n", b"first").unwrap();
    die_in_a_block(output, b"two\n");
    fs::rename(&path, &old).unwrap();
    let mut output = open(&path);
    assert_eq!(output.place(), b"first");
    output.write(b"two\n", b"second").unwrap();
    assert_eq!(fs::read(&old).unwrap(), b"one\n");
    assert_eq!(fs::read(&path).unwrap(), b"two\n");
}

#[test]
fn a_successor_that_got_lines_before_a_crash_is_cut_back_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("out"), folder.path().join("out.1"));
    let mut output = open(&path);
    output.write(b"one\n", b"first").unwrap();
    fs::rename(&path, &old).unwrap();
    die_in_a_block(output, b"two\n");
    assert_eq!(fs::read(&path).unwrap(), b"two\n");
    assert_eq!(open(&path).place(), b"first");
    assert_eq!(fs::read(&path).unwrap(), b"");
    assert_eq!(fs::read(&old).unwrap(), b"one\n");
}

#[test]
fn a_copy_of_the_file_is_gone_on_with_and_another_one_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    open(&path).write(b"one\n", b"first").unwrap();
    fs::write(folder.path().join("new"), "one\nunproven\n").unwrap();
    fs::rename(folder.path().join("new"), &path).unwrap();
    drop(open(&path));
    assert_eq!(fs::read(&path).unwrap(), b"one\n");
    fs::write(folder.path().join("new"), "somebody else's\n").unwrap();
    fs::rename(folder.path().join("new"), &path).unwrap();
    drop(open(&path));
    assert_eq!(fs::read(&path).unwrap(), b"somebody else's\n");
}

#[test]
fn a_truncated_file_goes_on_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let mut output = open(&path);
    output.write(b"one\n", b"first").unwrap();
    fs::write(&path, "").unwrap();
    output.write(b"two\n", b"second").unwrap();
    drop(output);
    fs::write(&path, "x").unwrap();
    open(&path).write(b"three\n", b"third").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"x\nthree\n");
}

#[test]
fn what_is_no_place_and_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    for text in ["", "x\n", "1 2:3\n", "1 2:3 4:xyz\n", "1 2:3 4:5"] {
        fs::write(beside(&path, ".place"), text).unwrap();
        let error = Output::open(&path, true).err().unwrap().to_string();
        assert!(error.contains("out.place: its first line"), "{error}");
    }
    let error = Output::open(folder.path(), true).err().unwrap();
    assert!(error.to_string().contains("not a regular file"), "{error}");
    drop(Output::open(&folder.path().join("other"), true).unwrap());
    let held = open(&folder.path().join("held"));
    let error = Output::open(&folder.path().join("held"), true).err();
    assert_eq!(error.unwrap().exit_code(), 75);
    drop(held);
}
