//! Copytruncate where the position proves nothing: of files of which nothing was read yet, and of copies that are packed.

use crate::util::*;

fn watch(scene: &Scene) -> Tailcast {
    scene.watch("app.log")
}

/// An empty log.
fn empty(scene: &Scene) -> usize {
    scene.append("app.log", "");
    0
}

/// Ten lines.
fn ten(scene: &Scene) -> usize {
    scene.append("app.log", text(0..10));
    10
}

/// Ten lines, which were rotated away; nothing was written since.
fn ten_and_empty(scene: &Scene) -> usize {
    scene.append("app.log", text(0..10));
    scene.once("app.log");
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", "");
    10
}

/// What logrotate does besides.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Compress {
    No,
    AtOnce(Packer),
    Delayed(Packer),
}

fn compressions() -> Vec<Compress> {
    let packed = packers()
        .into_iter()
        .flat_map(|p| [Compress::AtOnce(p), Compress::Delayed(p)]);
    std::iter::once(Compress::No).chain(packed).collect()
}

fn copytruncate(scene: &Scene, compress: Compress) {
    if let Compress::Delayed(packer) = compress
        && scene.path("app.log.1").exists()
    {
        scene.compress("app.log.1", packer);
    }
    scene.rotate_by_copy("app.log");
    if let Compress::AtOnce(packer) = compress {
        scene.compress("app.log.1", packer);
    }
}

/// So many rounds of five lines and a copytruncate behind each, then three lines.
fn rounds(scene: &Scene, first: usize, count: usize, compress: Compress) -> usize {
    let mut written = first;
    for _ in 0..count {
        scene.append("app.log", text(written..written + 5));
        written += 5;
        copytruncate(scene, compress);
    }
    scene.append("app.log", text(written..written + 3));
    written + 3
}

#[test]
fn a_burst_into_an_empty_file_right_before_a_copytruncate_is_published() {
    unseen(watch, empty, |scene| rounds(scene, 0, 1, Compress::No));
}

#[test]
fn a_burst_into_an_empty_file_is_published_also_when_nothing_follows_its_copytruncate() {
    unseen(watch, empty, |scene| {
        scene.append("app.log", text(0..7));
        copytruncate(scene, Compress::No);
        7
    });
}

#[test]
fn a_burst_into_the_empty_file_behind_a_rotation_is_published_when_that_is_copytruncated() {
    unseen(watch, ten_and_empty, |scene| {
        rounds(scene, 10, 1, Compress::No)
    });
}

#[test]
fn an_empty_file_that_is_copytruncated_loses_and_repeats_nothing() {
    unseen(watch, empty, |scene| {
        copytruncate(scene, Compress::No);
        copytruncate(scene, Compress::No);
        rounds(scene, 0, 1, Compress::No)
    });
}

#[test]
fn several_copytruncates_of_a_file_of_which_nothing_was_read_lose_nothing() {
    unseen(watch, empty, |scene| rounds(scene, 0, 3, Compress::No));
}

#[test]
fn a_copytruncate_of_a_file_of_which_nothing_was_read_with_compress_loses_nothing() {
    for (compress, absence) in paired(&compressions(), &Absence::ALL) {
        println!("{compress:?}");
        unseen_while(absence, watch, empty, |scene| rounds(scene, 0, 1, compress));
    }
}

#[test]
fn copytruncates_of_a_file_that_was_read_with_compress_lose_nothing() {
    for (compress, absence) in paired(&compressions(), &Absence::ALL) {
        println!("{compress:?}");
        unseen_while(absence, watch, ten, |scene| rounds(scene, 10, 3, compress));
    }
}

#[test]
fn copytruncates_of_a_file_that_was_read_to_its_end_say_no_gap() {
    unseen(watch, ten, |scene| {
        copytruncate(scene, Compress::No);
        copytruncate(scene, Compress::No);
        scene.append("app.log", text(10..12));
        12
    });
}

#[test]
fn bursts_right_before_copytruncates_under_a_running_watcher_lose_nothing() {
    for compress in compressions() {
        println!("{compress:?}");
        let scene = Scene::new();
        let oracle = scene.subscriber();
        scene.append("app.log", "");
        let watcher = watch(&scene).spawn();
        wait_for_start(&scene, &watcher, &oracle, 0);
        let mut written = 0;
        for round in 0..20 {
            scene.append("app.log", text(written..written + 30));
            written += 30;
            copytruncate(&scene, compress);
            if round % 3 == 0 {
                oracle.wait_for(written);
            }
        }
        oracle.wait_for(written);
        let ended = watcher.sigterm();
        assert_exactly(&lines(0..written), &oracle.settle());
        assert_no_gap(&ended);
    }
}

#[test]
fn a_quiet_file_that_is_copytruncated_during_a_long_absence_of_redis_loses_nothing() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    ten_and_empty(&scene);
    let watcher = watch(&scene).spawn();
    wait_for_start(&scene, &watcher, &oracle, 10);
    scene.redis.stop();
    scene.append("app.log", text(10..20));
    // It has given up waiting for replies, and waits for Redis.
    watcher.wait_complains();
    for round in 2..5 {
        copytruncate(&scene, Compress::No);
        scene.append("app.log", text(round * 10..round * 10 + 10));
    }
    scene.redis.cont();
    scene.assert_arrives(watcher, &oracle, &lines(0..50));
}
