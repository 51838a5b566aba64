//! The names that log rotations give, by logrotate's options, log4j, logback and Python: all are found, none is a new log.

use std::fs;

use crate::util::*;

/// A way of naming: the file that is rotated in round 1, 2, 3, and whether older ones are renamed first.
#[derive(Clone, Copy)]
struct Naming {
    what: &'static str,
    /// Where `shifts`, the names of the newest, the next, and so on.
    names: [&'static str; 3],
    shifts: bool,
}

const NAMINGS: [Naming; 10] = [
    Naming {
        what: "numbered",
        names: ["app.log.1", "app.log.2", "app.log.3"],
        shifts: true,
    },
    Naming {
        what: "logrotate extension",
        names: ["app.1.log", "app.2.log", "app.3.log"],
        shifts: true,
    },
    Naming {
        what: "logrotate dateext",
        names: ["app.log-20260130", "app.log-20260131", "app.log-20260201"],
        shifts: false,
    },
    Naming {
        what: "logrotate dateext, extension",
        names: ["app-20260130.log", "app-20260131.log", "app-20260201.log"],
        shifts: false,
    },
    Naming {
        what: "logrotate dateformat -%Y%m%d-%s",
        names: [
            "app.log-20260130-1769731200",
            "app.log-20260130-1769731201",
            "app.log-20260130-1769731202",
        ],
        shifts: false,
    },
    Naming {
        what: "dates that do not sort",
        names: [
            "app.log.31-01-2026",
            "app.log.01-02-2026",
            "app.log.02-02-2026",
        ],
        shifts: false,
    },
    Naming {
        what: "log4j",
        names: [
            "app-2026-01-30.log",
            "app-2026-01-31.log",
            "app-2026-02-01.log",
        ],
        shifts: false,
    },
    Naming {
        what: "logback",
        names: [
            "app.2026-01-31.0.log",
            "app.2026-01-31.1.log",
            "app.2026-02-01.0.log",
        ],
        shifts: false,
    },
    Naming {
        what: "logback, ten in a day",
        names: [
            "app.2026-01-31.9.log",
            "app.2026-01-31.10.log",
            "app.2026-01-31.11.log",
        ],
        shifts: false,
    },
    Naming {
        what: "Python",
        names: [
            "app.log.2026-01-31_12-00-01",
            "app.log.2026-01-31_12-00-02",
            "app.log.2026-01-31_12-00-03",
        ],
        shifts: false,
    },
];

impl Naming {
    /// Rotates app.log for the n-th time, from 0; returns where its lines are now.
    fn rotate(&self, scene: &Scene, round: usize) -> &'static str {
        if !self.shifts {
            scene.rename("app.log", self.names[round]);
            return self.names[round];
        }
        for older in (0..round).rev() {
            scene.rename(self.names[older], self.names[older + 1]);
        }
        scene.rename("app.log", self.names[0]);
        self.names[0]
    }
}

fn ten(scene: &Scene) -> usize {
    scene.append("app.log", text(0..10));
    10
}

fn three_rotations(scene: &Scene, naming: Naming) -> usize {
    for round in 0..3 {
        scene.append("app.log", text(round * 10 + 10..round * 10 + 20));
        naming.rotate(scene, round);
    }
    scene.append("app.log", text(40..50));
    50
}

#[test]
fn three_rotations_unseen_are_read_in_order_whatever_their_names() {
    for (naming, absence) in paired(&NAMINGS, &Absence::ALL) {
        println!("{}", naming.what);
        unseen_while(
            absence,
            |scene| scene.watch("app.log"),
            ten,
            |scene| three_rotations(scene, naming),
        );
    }
}

#[test]
fn names_that_a_glob_matches_are_no_new_logs() {
    let ways = each_with_each(&["*.log", "app*"], &Absence::ALL);
    for (naming, (glob, absence)) in paired(&NAMINGS, &ways) {
        println!("{}, {glob}", naming.what);
        unseen_while(
            absence,
            |scene| scene.watch(glob),
            ten,
            |scene| three_rotations(scene, naming),
        );
    }
}

#[test]
fn a_running_watcher_under_a_glob_publishes_no_rotated_file_again() {
    for naming in NAMINGS {
        println!("{}", naming.what);
        let scene = Scene::new();
        let oracle = scene.subscriber();
        ten(&scene);
        scene.append("other.log", text(1000..1001));
        let watcher = scene.watch("*.log").spawn();
        oracle.wait_for(11);
        for round in 0..3 {
            scene.append("app.log", text(round * 10 + 10..round * 10 + 15));
            naming.rotate(&scene, round);
            scene.append("app.log", text(round * 10 + 15..round * 10 + 20));
            oracle.wait_for(round * 10 + 21);
            // A later match is found: the glob was looked at since.
            let late = format!("new-{round}-x.log");
            scene.append(&late, text(2000 + round..2001 + round));
            oracle.wait_for_line(line(2000 + round));
            scene.remove(&late);
            scene.append("other.log", text(3000 + round..3001 + round));
            oracle.wait_for_line(line(3000 + round));
            scene.append("app.log", "");
        }
        watcher.sigterm();
        scene.watch("*.log").arg("--once").run();
        let arrived = oracle.settle();
        let own: Vec<_> = arrived
            .iter()
            .filter(|l| lines(0..1000).iter().any(|o| o.as_bytes() == l.as_slice()))
            .collect();
        assert_exactly(&lines(0..40), &own);
        assert_eq!(arrived.len(), 40 + 1 + 3 + 3, "nothing twice");
    }
}

#[test]
fn compressed_files_are_found_whatever_their_names() {
    let kept: Vec<_> = NAMINGS.into_iter().filter(|n| !n.shifts).collect();
    for (naming, absence) in paired(&kept, &Absence::ALL) {
        println!("{}", naming.what);
        unseen_while(
            absence,
            |scene| scene.watch("app.log"),
            ten,
            |scene| {
                for round in 0..3 {
                    scene.append("app.log", text(round * 10 + 10..round * 10 + 20));
                    scene.compress(naming.rotate(scene, round), GZIP);
                }
                scene.append("app.log", text(40..50));
                50
            },
        );
    }
}

#[test]
fn rotated_files_are_found_in_the_folder_of_olddir() {
    for compressed in [false, true] {
        unseen(
            |scene| {
                let _ = fs::create_dir(scene.path("old"));
                scene
                    .watch("app.log")
                    .arg("--rotated")
                    .arg(scene.path("old"))
            },
            ten,
            |scene| {
                for round in 0..3 {
                    scene.append("app.log", text(round * 10 + 10..round * 10 + 20));
                    scene.shift("old/app.log");
                    scene.rename("app.log", "old/app.log.1");
                    if compressed {
                        scene.compress("old/app.log.1", GZIP);
                    }
                }
                scene.append("app.log", text(40..50));
                50
            },
        );
    }
}

#[test]
fn copies_are_found_in_the_folder_of_olddir() {
    unseen(
        |scene| {
            let _ = fs::create_dir(scene.path("old"));
            scene
                .watch("app.log")
                .arg("--rotated")
                .arg(scene.path("nowhere"))
                .arg("--rotated")
                .arg(scene.path("old"))
        },
        |scene| {
            let _ = fs::create_dir(scene.path("nowhere"));
            ten(scene)
        },
        |scene| {
            for round in 0..3 {
                scene.append("app.log", text(round * 10 + 10..round * 10 + 20));
                scene.shift("old/app.log");
                scene.copytruncate("app.log", "old/app.log.1");
            }
            scene.append("app.log", text(40..50));
            50
        },
    );
}

#[test]
fn a_log_whose_name_begins_like_another_log_keeps_to_itself() {
    // app-2.log may be what log4j made of app.log, and is a log of its own.
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    scene.append("app-2.log", text(100..110));
    let watcher = scene.watch("app.log").arg(scene.path("app-2.log")).spawn();
    oracle.wait_for(20);
    scene.append("app-2.log", text(110..120));
    scene.rotate("app-2.log");
    scene.append("app-2.log", text(120..130));
    scene.append("app.log", text(10..20));
    scene.rotate("app.log");
    scene.append("app.log", text(20..30));
    oracle.wait_for(60);
    watcher.sigterm();
    let arrived = oracle.settle();
    let (own, other): (Vec<_>, Vec<_>) = arrived
        .into_iter()
        .partition(|l| lines(0..100).iter().any(|o| o.as_bytes() == l.as_slice()));
    assert_exactly(&lines(0..30), &own);
    assert_exactly(&lines(100..130), &other);
}
