//! Errors that say nothing of a file: a handle that went stale, no descriptor left, a disk that does not answer.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use crate::util::*;

/// Reads of one inode fail with an error as long as a file is there; or only through descriptors that were used before.
const FAILING: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
static char used[1024];
int close(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "close");
    if (fd >= 0) used[fd % 1024] = 0;
    return real(fd);
}
ssize_t pread64(int fd, void *to, size_t length, off64_t offset) {
    static ssize_t (*real)(int, void *, size_t, off64_t);
    struct stat file;
    if (!real) real = dlsym(RTLD_NEXT, "pread64");
    if (!fstat(fd, &file) && file.st_ino == (ino_t)atoll(getenv("FAIL_INODE"))) {
        int fails = !access(getenv("FAIL_WHILE"), F_OK);
        if (fails && (!getenv("FAIL_USED") || used[fd % 1024])) {
            errno = atoi(getenv("FAIL_WITH"));
            return -1;
        }
        if (!fails) used[fd % 1024] = 1;
    }
    return real(fd, to, length, offset);
}
"#;

const EIO: &str = "5";
const ESTALE: &str = "116";

/// The library that makes reads fail. None: there is no C compiler.
fn failing(scene: &Scene) -> Option<PathBuf> {
    let (source, library) = (
        scene.home().join("failing.c"),
        scene.home().join("failing.so"),
    );
    fs::write(&source, FAILING).expect("write a source");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-D_LARGEFILE64_SOURCE", "-o"])
        .args([&library, &source])
        .status();
    built
        .is_ok_and(|status| status.success())
        .then_some(library)
}

/// A watch of the log whose present file's reads fail with `error` while there is a file `fail`.
fn watch_failing(scene: &Scene, library: &PathBuf, error: &str) -> Tailcast {
    let inode = fs::metadata(scene.path("app.log")).expect("stat").ino();
    scene
        .watch("app.log")
        .env("LD_PRELOAD", library)
        .env("FAIL_INODE", inode.to_string())
        .env("FAIL_WHILE", scene.home().join("fail"))
        .env("FAIL_WITH", error)
}

fn begin_to_fail(scene: &Scene) {
    fs::write(scene.home().join("fail"), "").expect("write a file");
}

#[test]
fn a_stale_handle_of_a_file_that_lives_on_is_opened_anew() {
    let scene = Scene::new();
    let Some(library) = failing(&scene) else {
        return skip("there is no C compiler");
    };
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = watch_failing(&scene, &library, ESTALE)
        .env("FAIL_USED", "yes")
        .spawn();
    oracle.wait_for(10);
    begin_to_fail(&scene);
    scene.append("app.log", text(10..20));
    scene.assert_arrives(watcher, &oracle, &lines(0..20));
}

#[test]
fn a_rotated_file_that_cannot_be_read_is_a_gap_behind_the_wait_and_its_log_goes_on() {
    for (error, replaced) in [(EIO, false), (ESTALE, true)] {
        let scene = Scene::new();
        let Some(library) = failing(&scene) else {
            return skip("there is no C compiler");
        };
        let oracle = scene.subscriber();
        scene.append("app.log", text(0..10));
        let watcher = watch_failing(&scene, &library, error)
            .args(["--rotate-wait", "300ms"])
            .spawn();
        oracle.wait_for(10);
        begin_to_fail(&scene);
        scene.append("new", text(10..20));
        if !replaced {
            scene.rename("app.log", "app.log.1");
        }
        scene.rename("new", "app.log");
        oracle.wait_for(20);
        scene.append("app.log", text(20..30));
        oracle.wait_for(30);
        let ended = watcher.sigterm();
        assert_one_gap(&ended.stderr, &["app.log"]);
        assert_exactly(&lines(0..30), &oracle.settle());
    }
}

#[test]
fn once_that_cannot_read_says_so_and_fails() {
    let scene = Scene::new();
    let Some(library) = failing(&scene) else {
        return skip("there is no C compiler");
    };
    scene.append("app.log", text(0..10));
    begin_to_fail(&scene);
    let run = watch_failing(&scene, &library, EIO)
        .args(["--once", "--timeout", "1s"])
        .run();
    run.assert_fails(1, &["app.log", "input/output error"]);
}

#[test]
fn forty_unread_rotated_files_come_in_order_under_thirty_descriptors() {
    if !installed("prlimit") {
        return skip("prlimit (util-linux) is not installed");
    }
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    scene.once("app.log");
    for round in 1..42 {
        scene.append("app.log", text(round * 10..round * 10 + 10));
        if round < 41 {
            scene.rotate("app.log");
        }
    }
    let run = scene
        .watch("app.log")
        .args(["--once", "--rotate-wait", "200ms"])
        .under(&["prlimit", "--nofile=30:30"])
        .run();
    run.assert_success();
    assert_eq!(gaps(&run.stderr), Vec::<&str>::new());
    assert_exactly(&lines(0..420), &oracle.settle());
}
