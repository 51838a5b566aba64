//! Installing on a server, and taking it away again: what `scripts/install.sh` puts where, and that nothing is left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::util::*;

/// `scripts/install.sh`, with the binary under test.
fn install(args: &[&str], root: Option<&Path>) -> Output {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/install.sh"));
    command
        .args(args)
        .env("TAILCAST_BIN", env!("CARGO_BIN_EXE_tailcast"))
        .env_remove("DESTDIR");
    if let Some(root) = root {
        command.env("DESTDIR", root);
    }
    command.output().expect("run install.sh")
}

#[track_caller]
fn assert_installs(args: &[&str], root: Option<&Path>) {
    let output = install(args, root);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
}

/// Every file and folder below, relative to it and sorted.
fn below(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut todo) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).expect("list").flatten() {
            found.push(entry.path().strip_prefix(root).expect("below").to_owned());
            if entry.file_type().expect("a type").is_dir() {
                todo.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn what_is_installed_is_there_and_uninstalling_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    // Twice, as one does for a newer version: then too everything is known to be ours.
    assert_installs(&[], Some(root));
    assert_installs(&[], Some(root));
    for file in [
        "usr/local/bin/tailcast",
        "usr/local/lib/systemd/system/tailcast.service",
        "usr/local/share/bash-completion/completions/tailcast",
        "usr/local/share/doc/tailcast/logrotate.example",
        "usr/local/share/fish/vendor_completions.d/tailcast.fish",
        "usr/local/share/man/man1/tailcast.1",
        "usr/local/share/zsh/site-functions/_tailcast",
    ] {
        let metadata = fs::metadata(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(metadata.len() > 100, "{file}");
    }
    let version = Command::new(root.join("usr/local/bin/tailcast"))
        .arg("--version")
        .output()
        .expect("run what was installed");
    assert!(version.stdout.starts_with(b"tailcast "), "{version:?}");
    assert_installs(&["--uninstall"], Some(root));
    assert_eq!(below(root), [] as [PathBuf; 0]);
}

#[test]
fn what_others_have_there_stays() {
    let root = tempfile::tempdir().unwrap();
    let prefix = root.path().join("opt");
    let others = prefix.join("share/man/man1/other.1");
    fs::create_dir_all(others.parent().unwrap()).unwrap();
    fs::create_dir_all(prefix.join("bin")).unwrap();
    fs::write(&others, "theirs").unwrap();
    let before = below(root.path());
    let prefix = ["--prefix", prefix.to_str().unwrap()];
    assert_installs(&prefix, None);
    assert!(below(root.path()).len() > before.len() + 7);
    assert_installs(&[&prefix[..], &["--uninstall"]].concat(), None);
    assert_eq!(below(root.path()), before, "an empty folder of theirs too");
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    if !installed("systemd-analyze") {
        return skip("systemd-analyze is not installed");
    }
    let root = tempfile::tempdir().unwrap();
    let prefix = root.path().join("usr");
    let prefix = prefix.to_str().unwrap();
    assert_installs(&["--prefix", prefix], None);
    let unit = format!("{prefix}/lib/systemd/system/tailcast.service");
    let text = fs::read_to_string(&unit).unwrap();
    let start = format!("ExecStart={prefix}/bin/tailcast watch $TAILCAST_ARGS\n");
    assert!(text.contains(&start), "{text}");
    let verdict = Command::new("systemd-analyze")
        .args(["verify", &unit])
        .output()
        .expect("run systemd-analyze");
    let said = String::from_utf8_lossy(&verdict.stderr).into_owned();
    let of_ours: Vec<&str> = said.lines().filter(|l| l.contains("tailcast")).collect();
    assert!(verdict.status.success() && of_ours.is_empty(), "{said}");
}

#[test]
fn what_it_cannot_do_is_said_in_a_line() {
    let root = tempfile::tempdir().unwrap();
    for (args, code, want) in [
        (
            &["--prefix", "here"][..],
            2,
            "give an absolute folder: \"here\"",
        ),
        (&["--prefix"], 2, "--prefix needs a folder"),
        (
            &["--prefix=/a b"],
            2,
            "a systemd unit cannot name it: \"/a b\"",
        ),
        (&["--force"], 2, "unknown argument: --force"),
        (&["--uninstall"], 1, "nothing is installed there"),
    ] {
        let output = install(args, Some(root.path()));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(
            said.lines().next().unwrap().contains(want),
            "{args:?}: {said}"
        );
    }
    assert_eq!(below(root.path()), [] as [PathBuf; 0]);
}
