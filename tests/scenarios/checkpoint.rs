//! The checkpoint file: its name, its text, when it is written.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use crate::util::*;

/// 64-bit FNV-1a, written down here once more so that the file's meaning is checked and not its writer.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| {
        (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[test]
fn a_checkpoint_is_one_line_of_offset_generation_file_anchor_and_path() {
    let scene = Scene::new();
    scene.append("app.log", text(0..20) + "half");
    scene.once("app.log");
    let end = text(0..20).len();
    let path = scene.path("app.log");
    let file = fs::metadata(&path).expect("stat");
    let anchor = fnv1a(&text(0..20).as_bytes()[end - 64..]);
    let (device, inode) = (file.dev(), file.ino());
    let (first, since) = scene.numbers("app.log");
    let expected = format!(
        "{end} {first}+{since} {device}:{inode} 64:{anchor:016x} {}\n",
        path.display()
    );
    assert_eq!(scene.checkpoint("app.log"), expected);
}

#[test]
fn the_anchor_of_a_short_file_is_all_of_it() {
    let scene = Scene::new();
    scene.append("app.log", "short\n");
    scene.once("app.log");
    let anchor = format!(" 6:{:016x} ", fnv1a(b"short\n"));
    assert!(
        scene.checkpoint("app.log").contains(&anchor),
        "{}",
        scene.checkpoint("app.log")
    );
}

#[test]
fn cut_answers_how_far() {
    let scene = Scene::new();
    scene.append("app.log", text(0..20));
    scene.once("app.log");
    let cut = std::process::Command::new("cut")
        .args(["-d", " ", "-f1"])
        .arg(scene.checkpoint_path("app.log"))
        .output();
    let stdout = String::from_utf8(cut.expect("run cut").stdout).expect("UTF-8");
    assert_eq!(stdout.trim(), text(0..20).len().to_string());
}

#[test]
fn a_file_that_holds_only_a_number_is_taken_as_an_offset() {
    for end in ["", "\n"] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        scene.append("app.log", text(0..20));
        let checkpoint = scene.checkpoint_path("app.log");
        fs::write(&checkpoint, format!("{}{end}", text(0..15).len())).expect("write");
        scene.once("app.log");
        assert_exactly(&lines(15..20), &oracle.settle());
        assert_eq!(scene.offset("app.log"), text(0..20).len() as u64);
    }
}

#[test]
fn a_relative_path_and_an_absolute_one_share_a_checkpoint() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..5));
    scene.once("app.log");
    scene.append("app.log", text(5..6));
    let run = scene.tailcast(&[
        "watch",
        "logs/app.log",
        "--once",
        "--redis",
        &scene.redis.url(),
        "--state-dir",
    ]);
    run.arg(scene.state_dir()).run().assert_silent_success();
    assert_exactly(&lines(0..6), &oracle.settle());
}

#[test]
fn a_checkpoint_is_written_after_so_many_lines() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..1));
    let often = ["--checkpoint-lines", "10", "--checkpoint-interval", "1h"];
    let watcher = scene.watch("app.log").args(often).spawn();
    oracle.wait_for(1);
    for ten in 0..3 {
        scene.append("app.log", text(ten * 10 + 1..ten * 10 + 11));
        // Whether the line before counts into the first ten or not, so many are checkpointed now.
        let end = text(0..ten * 10 + 10).len() as u64;
        wait_until("ten more lines are checkpointed", || {
            !scene.checkpoint("app.log").is_empty() && scene.offset("app.log") >= end
        });
    }
    scene.assert_arrives(watcher, &oracle, &lines(0..31));
}

#[test]
fn a_checkpoint_is_written_after_so_much_time() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..1));
    let seldom = [
        "--checkpoint-lines",
        "1000000",
        "--checkpoint-interval",
        "50ms",
    ];
    let watcher = scene.watch("app.log").args(seldom).spawn();
    oracle.wait_for(1);
    scene.append("app.log", text(1..2));
    let end = text(0..2).len().to_string();
    wait_until("the second line is checkpointed", || {
        scene.checkpoint("app.log").starts_with(&end)
    });
    scene.assert_arrives(watcher, &oracle, &lines(0..2));
}

#[test]
fn a_checkpoint_is_never_ahead_of_what_was_published() {
    let scene = Scene::new();
    let proxy = Proxy::start(scene.redis.port);
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..5));
    let eager = ["--checkpoint-lines", "1", "--checkpoint-interval", "1ms"];
    let watcher = scene
        .watch_through(&proxy.url(), "app.log")
        .args(eager)
        .spawn();
    oracle.wait_for(5);
    let end = text(0..5).len().to_string() + " ";
    wait_until("the first lines are checkpointed", || {
        scene.checkpoint("app.log").starts_with(&end)
    });
    proxy.hold_from(b"PUBLISH");
    scene.append("app.log", text(5..10));
    wait_until("the lines are on their way", || proxy.held() > 0);
    // At its end it writes every position that it has queued.
    watcher.sigterm();
    assert_eq!(scene.offset("app.log"), text(0..5).len() as u64);
}

#[test]
fn nothing_but_checkpoints_locks_and_an_identity_stays_in_the_state_folder() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..500));
    let watcher = scene
        .watch("app.log")
        .args(["--checkpoint-lines", "1"])
        .spawn();
    scene.assert_arrives(watcher, &oracle, &lines(0..500));
    for entry in fs::read_dir(scene.state_dir()).expect("list").flatten() {
        let name = entry.file_name().into_string().expect("UTF-8");
        assert!(
            name.ends_with(".checkpoint") || name.ends_with(".lock") || name == "identity",
            "{name}"
        );
    }
}

#[test]
fn a_path_of_any_length_can_be_watched() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let folder = "pods/".to_owned() + &"a-name-as-containers-have-it/".repeat(30);
    fs::create_dir_all(scene.path(&folder)).expect("create folders");
    for name in ["app.log", "web.log"] {
        scene.append(&(folder.clone() + name), text(0..5));
    }
    let app = folder.clone() + "app.log";
    for part in [5..10, 10..15] {
        scene.append(&app, text(part));
        scene.once(&app);
    }
    assert_exactly(&lines(0..15), &oracle.settle());
    scene.once(&(folder + "web.log"));
    assert_exactly(&[lines(0..15), lines(0..5)].concat(), &oracle.settle());
}

#[test]
fn a_state_folder_that_others_may_write_to_is_refused() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..3));
    let set_mode = |mode| {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(scene.state_dir(), permissions).expect("chmod");
    };
    for mode in [0o777, 0o1777] {
        set_mode(mode);
        let run = scene.watch("app.log").arg("--once").run();
        let state = scene.state_dir();
        run.assert_fails(
            1,
            &[state.to_str().expect("UTF-8"), "everybody", "--state-dir"],
        );
    }
    set_mode(0o755);
    scene.once("app.log");
    assert_exactly(&lines(0..3), &oracle.settle());
}

#[test]
fn a_state_folder_that_is_missing_is_made_for_its_owner_alone() {
    let scene = Scene::new();
    fs::remove_dir(scene.state_dir()).expect("remove");
    scene.append("app.log", text(0..3));
    scene.once("app.log");
    let mode = fs::metadata(scene.state_dir()).expect("stat").mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_link_in_the_state_folder_leads_nowhere() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let victim = scene.home().join("victim");
    fs::write(&victim, "precious").expect("write");
    let temporary = scene
        .checkpoint_path("app.log")
        .with_extension("checkpoint.tmp");
    symlink(&victim, temporary).expect("link");
    scene.append("app.log", text(0..3));
    scene.once("app.log");
    assert_eq!(scene.offset("app.log"), text(0..3).len() as u64);
    assert_eq!(fs::read(&victim).expect("read"), b"precious");
    let checkpoint = scene.checkpoint_path("app.log");
    fs::rename(&checkpoint, &victim).expect("rename");
    symlink(&victim, &checkpoint).expect("link");
    let run = scene.watch("app.log").arg("--once").run();
    run.assert_fails(1, &[checkpoint.to_str().expect("UTF-8")]);
    assert_exactly(&lines(0..3), &oracle.settle());
}
