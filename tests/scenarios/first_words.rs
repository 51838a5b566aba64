//! What a stranger reads first: the usage, and with `-v` what is done and why.

use crate::util::*;

#[test]
fn without_a_command_the_usage_has_lines_and_no_backslashes() {
    let scene = Scene::new();
    let run = scene.tailcast(&[]).run();
    run.assert_fails(
        2,
        &[
            "no command given",
            "tailcast watch app.log",
            "check, top, help",
        ],
    );
    assert!(run.stdout.is_empty());
    assert!(!run.stderr.contains('\\'), "{}", run.stderr);
    assert!(run.stderr.lines().count() > 5, "{}", run.stderr);
}

#[test]
fn on_a_terminal_the_usage_is_the_same() {
    if !has_terminals() {
        return skip("there is no script(1) here");
    }
    let scene = Scene::new();
    let (code, text) = Terminal::open(&scene, (80, 24), &[], &[]).finish();
    assert_eq!(code, 2);
    let piped = scene.tailcast(&[]).run().stderr;
    assert_eq!(text.replace("\r\n", "\n"), piped);
}

#[test]
fn what_comes_from_outside_is_still_one_line_that_no_terminal_obeys() {
    let scene = Scene::new();
    let run = scene.tailcast(&["status", "no\u{1b}\nsuch.log"]).run();
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains(r"no\x1b\nsuch.log"), "{}", run.stderr);
    assert!(!run.stderr.contains('\u{1b}'), "{}", run.stderr);
}

#[test]
fn verbose_says_what_was_found_and_where_it_begins_and_why() {
    let scene = Scene::new();
    scene.append("app.log", text(0..5));
    let first = scene.watch("app.log").args(["--once", "-v"]).run();
    let half = text(0..5).len();
    for words in [
        &format!("app.log: found: {half} bytes; no checkpoint")[..],
        "took over 1 commit record",
        "app.log: begins at offset 0 of generation 0: its start, as nothing of it was published yet",
        "published 5 lines",
    ] {
        assert!(first.stderr.contains(words), "{words}: {}", first.stderr);
    }
    let again = scene.watch("app.log").args(["--once", "-v"]).run();
    let words = format!("begins at offset {half} of generation 0: where its checkpoint stands");
    assert!(again.stderr.contains(&words), "{}", again.stderr);
    std::fs::remove_file(scene.checkpoint_path("app.log")).expect("remove");
    let by_record = scene.watch("app.log").args(["--once", "-v"]).run();
    let words = format!("begins at offset {half} of generation 0: where its commit record stands");
    assert!(by_record.stderr.contains(&words), "{}", by_record.stderr);
    let reset = scene
        .watch("app.log")
        .args(["--once", "-v", "--reset"])
        .run();
    assert!(
        reset.stderr.contains("as --reset forgets"),
        "{}",
        reset.stderr
    );
}

#[test]
fn verbose_says_what_rotates_and_what_comes_and_goes() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..5));
    let watcher = scene
        .watch("*.log")
        .args(["-v", "--rotate-wait", "10ms"])
        .spawn();
    oracle.wait_for(5);
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", text(5..6));
    let place = scene.path("app.log.1");
    watcher.wait_says(&format!("generation 0 is {}", place.display()));
    watcher.wait_says("generation 1 is ");
    scene.append("other.log", text(6..7));
    watcher.wait_says("other.log: found: ");
    oracle.wait_for(7);
    scene.remove("other.log");
    watcher.wait_says("other.log: gone, and read to its end");
    watcher.sigterm();
}

#[test]
fn verbose_says_that_a_batch_whose_reply_was_lost_has_arrived() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let proxy = Proxy::start(scene.redis.port);
    let run = |name: &str, first: usize| {
        scene.append(name, text(first..first + 5));
        let watch = scene.watch_through(&proxy.url(), name);
        watch.args(["--once", "-v", "--hold", "off"]).run()
    };
    run("a.log", 0);
    let replies = proxy.passed(Way::ToClient);
    // In the middle of the last reply, which is the one to EXEC.
    proxy.cut_next_after(Way::ToClient, replies - 10);
    let cut = run("b.log", 5);
    let words = "b.log: the reply to a batch of 5 lines was lost, but its commit record says that it has arrived";
    assert!(cut.stderr.contains(words), "{}", cut.stderr);
    assert_exactly(&lines(0..10), &oracle.settle());
}

#[test]
fn verbose_says_that_a_batch_had_not_arrived() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let proxy = Proxy::start(scene.redis.port);
    scene.append("app.log", text(0..1));
    let watcher = scene
        .watch_through(&proxy.url(), "app.log")
        .arg("-v")
        .spawn();
    oracle.wait_for(1);
    proxy.hold_from(b"EXEC\r\n");
    scene.append("app.log", text(1..6));
    wait_until("its EXEC is held back", || proxy.held() > 0);
    proxy.cut_all();
    proxy.release();
    let said = watcher.wait_says("1 batch had not arrived: sending again");
    assert!(said.contains("nothing is lost, trying again"), "{said}");
    scene.assert_arrives(watcher, &oracle, &lines(0..6));
}
